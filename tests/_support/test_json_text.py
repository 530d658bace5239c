"""JSON of users' files: what is no value that can be worked with is refused in a line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analog_fhn._support.json_text import read_json, read_object
from analog_fhn.errors import InputError


@pytest.mark.parametrize("content", [{"a": [1, 2.5, None, True, "ä😀"]}, [], 0, "text", 10**39])
def test_what_json_writes_is_read(content: Any) -> None:
    assert read_json(json.dumps(content), "net.npz: 'meta'") == content


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper than 64 levels"),
        ("9" * 400, "a whole number of 400 digits"),
        ("9" * 5000, "a whole number of 5000 digits"),
        ("1e400", "a number beyond the range of double precision"),
        (f"{'9' * 400}.0", "a number beyond the range of double precision"),
        (r'"\ud800"', "surrogates not allowed"),
        (r'{"\ud800": 1}', "surrogates not allowed"),
        (b'"\xff"', "can't decode byte 0xff"),
        (" " * (2**24 + 1), "JSON of 16 MiB; expected at most 16 MiB"),
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ],
)
def test_what_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_json(text, "net.npz: 'meta'")
    assert str(caught.value).startswith("net.npz: 'meta': ")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "1", "null", '"a"'])
def test_other_json_is_no_object(text: str) -> None:
    with pytest.raises(InputError, match="holds no names and values; expected a JSON object"):
        read_object(text, "net.npz: 'meta'")
