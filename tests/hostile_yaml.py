"""Hostile YAML: good files with values of other types and sizes in them, tags, aliases, and damaged bytes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml
from hostile import damaged
from hypothesis import strategies as st

EXTREMES = [
    0, -1, 1, 2, 0.0, -0.0, 0.5, 100, 1e-9, 1e-15, 1e9, 1e15, 1e30, 1e-320, -1e-320, 5e-324, 1e308, -1e308,
    10**18, 10**60, float("inf"), float("-inf"), float("nan"), True, False, None,
    "", "x", "device", "yes", "1:30", "1e3", "=HYPERLINK()", "\x00", "\x1b[31m", "\ud800", "\u202e", "x" * 5000,
    "../../etc/passwd", "pcm", "sonos.yaml", "a\nb",
    [], {}, [[]], [1, 2], [1e-6, 1e-4], [0.0, 1e308], ["x"], {"x": 1}, {"kind": "series"}, {"kind": "x"}, {"": None},
]  # fmt: skip
RAW = [
    "!!bool foo", "!!int ''", "!!int 1:30", "!!float x", "!!timestamp x", "!!timestamp 2024-99-99", "!!binary x",
    "!!set {a}", "!!omap [a: 1]", "!!python/object:os.system {}", "!!str 1", "!!null ''", "!x y", "59:59:59.5",
    "2024-01-01", "0x", "0b1", "0o8", "9" * 400, "9" * 5000, "-" + "9" * 400, "1e400", "1_0", ".nan", "&a [*a]", "*b",
    "<<: 1", "{<<: 1}", "? [1]", "[" * 60, "|", "%", "\t", "'", '"\\ud800"', '"\\0"', "- - - - -", "{a: 1, a: 2}",
    "[[[[[[1]]]]]]",
]  # fmt: skip

numbers = st.one_of(
    st.floats(), st.floats(1e-12, 1e3), st.integers(-(10**20), 10**20), st.integers(0, 100).map(float),
    st.builds(lambda m, e: m * 10.0**e, st.floats(1, 10), st.integers(-30, 30)),
)  # fmt: skip
values = st.one_of(st.sampled_from(EXTREMES), numbers, st.text(max_size=20), st.lists(numbers, max_size=4))


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Container and key of every value."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from _places(data[key])


@st.composite
def mutated(draw: st.DrawFn, originals: list[dict[str, Any]]) -> bytes:
    """One of the originals with a few values exchanged, scaled, left out or added, then perhaps its text too."""
    data = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(list(_places(data))))
        match draw(st.sampled_from(["value", "scale", "scale", "leave out", "add", "copy"])):
            case "scale" if type(container[key]) in (int, float):
                container[key] *= 10.0 ** draw(st.integers(-12, 12))
            case "leave out":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(st.text(max_size=8))] = draw(values)
            case "copy":
                other, name = draw(st.sampled_from(list(_places(data))))
                container[key] = copy.deepcopy(other[name])
            case _:
                container[key] = draw(values)
        if not data:
            break
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        lines = text.split("\n")
        k = draw(st.integers(0, len(lines) - 1))
        lines[k] = f"{lines[k].split(':')[0]}: {draw(st.sampled_from(RAW))}"
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def aliased(draw: st.DrawFn) -> bytes:
    """Aliases of aliases, as lists or merged mappings, or values that hold themselves."""
    levels, width, merge = draw(st.integers(1, 40)), draw(st.integers(1, 12)), draw(st.booleans())
    lines = ["format: 1", f"a0: &a0 {'{x: 1}' if merge else '[x]'}"]
    for k in range(1, levels):
        name = k if draw(st.integers(0, 20)) == 0 else k - 1
        every = ", ".join([f"*a{name}"] * width)
        lines.append(f"a{k}: &a{k} {{<<: [{every}]}}" if merge else f"a{k}: &a{k} [{every}]")
    key = draw(st.sampled_from(["name", "array", "classes", "settings", "points", "grid", "programming", "network"]))
    return "\n".join([*lines, f"{key}: *a{levels - 1}", ""]).encode()


def files(originals: list[str]) -> st.SearchStrategy[bytes]:
    """Hostile files made of good ones."""
    return st.one_of(
        mutated([yaml.safe_load(text) for text in originals]),
        mutated([yaml.safe_load(text) for text in originals]),
        damaged([text.encode() for text in originals]),
        aliased(),
    )
