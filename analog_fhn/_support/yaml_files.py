"""YAML files as text, numbers, lists and mappings (the core schema of YAML 1.2), read within limits.

What YAML 1.1 makes of plain text is left as text here: dates, ``1:30`` (5400 there), ``yes`` and ``off``, ``1_000``.
``010`` is ten and ``0o10`` eight. A tag other than those of the schema is refused; nothing is executed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from analog_fhn.errors import InputError, shown

# Far above what a file of ours holds. PyYAML takes 10 us a byte, and an alias is a byte that stands for any number.
MOST_BYTES, MOST_NODES, DEEPEST = 256 * 1024, 100_000, 20
LONGEST_NUMBER = 64  # characters

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# Control characters but tab and line ends, and halves of surrogate pairs: no text of anybody's.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML mapping.

    Parameters
    ----------
    what
        Kind of file, for messages: "technology" for instance.

    Raises
    ------
    InputError
        If the file is missing, longer than 256 kB, no YAML, not a mapping with text as keys, deeper than 20 levels, of
        more than 100 000 values (aliases count as what they stand for), or holds control characters.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{what} file {path}: cannot be read ({error})") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{what} file {path}: is longer than {MOST_BYTES // 1024} kB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} file {path}: cannot be read (no UTF-8 text at byte {error.start})") from None
    try:
        data = _load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{what} file {path}: is not valid YAML: {_described(error)}") from None
    except RecursionError:
        raise InputError(f"{what} file {path}: is nested deeper than {DEEPEST} levels") from None
    except InputError as error:
        raise InputError(f"{what} file {path}: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{what} file {path}: expected 'key: value' lines, found {_KINDS.get(type(data), 'a number')}")
    return data


def yaml_text(data: dict[str, Any]) -> str:
    """YAML that `read_yaml` reads back as it was."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)


_KINDS: dict[type, str] = {type(None): "nothing", str: "text", list: "a list", bool: "true or false"}


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Number of nodes that a node stands for, and of levels below it; an alias stands for the node that it names.

    `known` holds the numbers of nodes by their ids, None while a node is being measured.
    """
    if id(node) in known:
        seen = known[id(node)]
        if seen is None:
            raise InputError(f"{_place(node.start_mark)}: a value holds itself")
        return seen
    known[id(node)] = None
    nodes, levels = 1, 0
    children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    for child in () if isinstance(node, yaml.ScalarNode) else children:
        below, deep = _measure(child, known)
        nodes, levels = nodes + below, max(levels, deep + 1)
    if levels > DEEPEST:
        raise InputError(f"{_place(node.start_mark)}: is nested deeper than {DEEPEST} levels")
    if nodes > MOST_NODES:
        raise InputError(f"{_place(node.start_mark)}: holds more than {MOST_NODES} values (aliases multiply)")
    known[id(node)] = nodes, levels
    return nodes, levels


def _place(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _described(error: yaml.YAMLError) -> str:
    """PyYAML's message, without its name for a stream, and not longer than a line or two."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} is {shown(chr(int(error.character)))}, which is no text"
    problem = str(getattr(error, "problem", None) or error)
    place = _place(getattr(error, "problem_mark", None))
    if len(problem) > 200:
        problem = f"{problem[:200]}..."
    return f"{place}: {problem}" if place else problem


class _Loader(yaml.SafeLoader):
    """Loader of the core schema that refuses a key given twice, keys that are no text, and what is no text at all."""

    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == f"{_TAG}merge":
                continue
            if key_node.tag != f"{_TAG}str":
                raise _refusal(key_node, "expected 'key: value' lines with text as key")
            key = self.construct_text(key_node)
            if key in seen:
                raise _refusal(key_node, f"key {shown(key)} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.Node) -> str:
        text = self.construct_scalar(node)  # type: ignore[arg-type]
        assert isinstance(text, str)
        if _NO_TEXT.search(text):
            raise _refusal(node, f"{shown(text)} holds control characters")
        return text

    def construct_foreign(self, node: yaml.Node) -> None:
        tag = node.tag.removeprefix(_TAG)
        raise _refusal(node, f"tag {shown(tag)}: expected str, int, float, bool, null, seq, map or none")

    def construct_null(self, node: yaml.Node) -> None:
        self._matched(node, _NULL, "null")

    def construct_flag(self, node: yaml.Node) -> bool:
        return self._matched(node, _BOOL, "true or false").lower() == "true"

    def construct_whole(self, node: yaml.Node) -> int:
        text = self._matched(node, _INT, "a whole number")
        return int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10)

    def construct_number(self, node: yaml.Node) -> float:
        text = self._matched(node, _FLOAT, "a number").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def _matched(self, node: yaml.Node, pattern: re.Pattern[str], what: str) -> str:
        text = self.construct_text(node)
        if len(text) > LONGEST_NUMBER:
            raise _refusal(node, f"a number of {len(text)} characters; expected at most {LONGEST_NUMBER}")
        if not pattern.fullmatch(text):
            raise _refusal(node, f"{shown(text)} is tagged as {what}")
        return text


def _refusal(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Dumper(yaml.SafeDumper):
    """Dumper that puts in quotes what either schema, 1.1 or 1.2, would not read as text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", _whole, _first)
    _Dumper.add_implicit_resolver(f"{_TAG}{_tag}", _whole, _first)
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"<<\Z"), ["<"])
for _tag, _construct in (
    ("str", _Loader.construct_text),
    ("null", _Loader.construct_null),
    ("bool", _Loader.construct_flag),
    ("int", _Loader.construct_whole),
    ("float", _Loader.construct_number),
    ("seq", yaml.SafeLoader.construct_yaml_seq),
    ("map", yaml.SafeLoader.construct_yaml_map),
):
    _Loader.add_constructor(f"{_TAG}{_tag}", _construct)
_Loader.add_constructor(None, _Loader.construct_foreign)
