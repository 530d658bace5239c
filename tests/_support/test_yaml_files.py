"""YAML as it is read: the core schema of YAML 1.2, within limits; and refusals of a line."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analog_fhn._support.yaml_files import read_yaml, yaml_text
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.technology.technology import Technology


def reading(text: str | bytes, folder: Path) -> dict[str, Any]:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, "technology")


def refusal(text: str | bytes, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        reading(text, folder)
    message = str(caught.value)
    assert message.startswith(f"technology file {folder / 'mine.yaml'}: ")
    assert message.isprintable()
    assert len(message) < 500
    return message


# The core schema of the YAML specification 1.2.2, section 10.3.2.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None), ("null", None), ("", None), ("true", True), ("FALSE", False),
        ("12", 12), ("-12", -12), ("+12", 12), ("010", 10), ("0o10", 8), ("0x1F", 31),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1E-3", -0.001),
        (".inf", math.inf), ("-.INF", -math.inf),
        # text here, other things in YAML 1.1
        ("yes", "yes"), ("NO", "NO"), ("on", "on"), ("off", "off"), ("1:30", "1:30"), ("1:30.5", "1:30.5"),
        ("1_000", "1_000"), ("2024-01-01", "2024-01-01"), ("0b11", "0b11"), ("=", "="), ("'12'", "12"),
        ("!!str 12", "12"), ("!!float 12", 12.0), ("!!int 12", 12),
    ],
)  # fmt: skip
def test_plain_text_is_read_as_yaml_1_2(text: str, value: object, tmp_path: Path) -> None:
    read = reading(f"a: {text}\n", tmp_path)["a"]
    assert (type(read), read) == (type(value), value)


def test_not_a_number_is_read(tmp_path: Path) -> None:
    assert math.isnan(reading("a: .nan\n", tmp_path)["a"])


def test_a_mark_of_the_byte_order_is_no_text(tmp_path: Path) -> None:
    assert reading("\ufeffa: 1\n", tmp_path) == {"a": 1}


def test_aliases_and_merges_are_read(tmp_path: Path) -> None:
    text = "one: &one {a: 1, b: 2}\ntwo: *one\nthree: {<<: *one, b: 3}\n"
    assert reading(text, tmp_path) == {"one": {"a": 1, "b": 2}, "two": {"a": 1, "b": 2}, "three": {"a": 1, "b": 3}}


TEN = "[" + ", ".join(["*{}"] * 10) + "]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!bool foo\n", "line 1, column 4: 'foo' is tagged as true or false"),
        ("a: !!int ''\n", "'' is tagged as a whole number"),
        ("a: !!int 1:30\n", "'1:30' is tagged as a whole number"),
        ("a: !!float 1:30.5\n", "'1:30.5' is tagged as a number"),
        ("a: !!null x\n", "'x' is tagged as null"),
        ("a: !!timestamp foo\n", "tag 'timestamp': expected str, int, float, bool, null, seq, map or none"),
        ("a: !!binary aGk=\n", "tag 'binary'"),
        ("a: !!set {b}\n", "tag 'set'"),
        ("a: !!python/object:os.system {}\n", "tag 'python/object:os.system'"),
        ("a: !!map x\n", "expected a mapping node"),
        (f"a: !<{'x' * 10_000}> y\n", "tag 'xxx"),
        ("a: " + "9" * 400, "a number of 400 characters; expected at most 64"),
        ("a: " + "9" * 5000, "a number of 5000 characters"),
        ('a: "x\\0y"\n', "'x\\x00y' holds control characters"),
        ('a: "\\x1b[31m"\n', "'\\x1b[31m' holds control characters"),
        ('a: "\\ud800"\n', "'\\ud800' holds control characters"),
        ('"a\\0": 1\n', "'a\\x00' holds control characters"),
        ("a: x\0y\n", "character 5 is '\\x00', which is no text"),
        ("a: {1: 2}\n", "line 1, column 5: expected 'key: value' lines with text as key"),
        ("a: {b: 1, b: 2}\n", "key 'b' is given twice"),
        ("a: &a [*a]\n", "line 1, column 4: a value holds itself"),
        ("a: &a {b: *a}\n", "a value holds itself"),
        ("a: *b\n", "found undefined alias 'b'"),
        ("a: " + "[" * 30 + "]" * 30, "is nested deeper than 20 levels"),
        ("a: " + "[" * 100_000, "is nested deeper than 20 levels"),
        ("a0: &a0 []\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 40)), "deeper than 20 levels"),
        ("a: [" + "1," * 110_000 + "]", "holds more than 100000 values"),
        ("a: " + "x" * 300_000, "is longer than 256 kB"),
        (b"a: \xff\xfe\n", "cannot be read (no UTF-8 text at byte 3)"),
    ],
)  # fmt: skip
def test_refusals_say_where_and_what(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(text, tmp_path)


def laughs(merge: str = "") -> str:
    """Ten lines that stand for 10^10 values."""
    lines = [f"a0: &a0 {'{x: 1}' if merge else '[x]'}"]
    for k in range(1, 11):
        every = ", ".join([f"*a{k - 1}"] * 10)
        lines.append(f"a{k}: &a{k} {{{merge}: [{every}]}}" if merge else f"a{k}: &a{k} [{every}]")
    return "\n".join(lines)


@pytest.mark.parametrize("merge", ["", "<<"])
@pytest.mark.parametrize("reader", [Technology.load, Sweep.load])
def test_aliases_of_aliases_are_counted(reader: Any, merge: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(laughs(merge))
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"holds more than 100000 values \(aliases multiply\)"):
        reader(path)
    assert time.perf_counter() - start < 5.0


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    words = [
        "1e3",
        "yes",
        "010",
        "0o7",
        "0b1",
        "1:30",
        "",
        "~",
        "<<",
        "=",
        "2024-01-01",
        "1_000",
        "null",
        "a: b #c",
        "[",
        ".5",
    ]
    data = {"words": words, "numbers": [1, 1e-6, 1e300, -0.5, True, None], "of": {word or "none": 1 for word in words}}
    (tmp_path / "mine.yaml").write_text(yaml_text(data))
    assert read_yaml(tmp_path / "mine.yaml", "technology") == data
    assert yaml.safe_load(yaml_text(data)) == data, "other programs read YAML 1.1"


def test_thousands_of_mistakes_are_said_in_a_few_lines(tmp_path: Path) -> None:
    count, path = 10_000, tmp_path / "mine.yaml"
    path.write_text("".join(f"key{k}: 1\n" for k in range(count)))
    with pytest.raises(InputError) as caught:
        Technology.load(path)
    message = str(caught.value)
    assert len(message) < 500
    assert "key 'format' is missing; " in message
    assert message.endswith(f"; and {count + 14 - 5} more")
