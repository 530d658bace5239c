"""Hashes name weights, tables and files that were written long ago: their values stay."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from analog_fhn._support.hashing import labelled, sha256, sha256_of_arrays, sha256_of_json, sha256_of_stream

PINNED = "e4fa1df6fb09d3b0cbaca2b583e7662e017e66a1f9823c1c73f2b6e03afd31c9"
ARRAYS = {"w1": np.array([[3], [5]], dtype="<i4"), "b0": np.array([0.5, -1.0]), "a": np.array([2.0])}


def test_parts_follow_one_another() -> None:
    # FIPS 180-2, appendix B.1
    assert sha256("a", b"b", memoryview(b"c")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256("ä") == hashlib.sha256(b"\xc3\xa4").hexdigest()
    assert sha256() == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("shape", [(), (0, 3), (12,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["?", "u1", "<i8", ">f4", "f8"])
def test_an_array_counts_as_its_values_in_c_order(shape: tuple[int, ...], dtype: str) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 5).reshape(shape).astype(dtype)
    for same in (array, np.asfortranarray(array), array.repeat(2, axis=-1)[..., ::2] if shape else array):
        assert sha256(same) == hashlib.sha256(array.tobytes()).hexdigest()


def test_arrays_with_their_names_shapes_and_types() -> None:
    # pinned: networks and tables in files carry this value
    assert sha256_of_arrays(ARRAYS) == PINNED
    assert sha256_of_arrays(dict(reversed(ARRAYS.items()))) == PINNED
    assert sha256(*labelled("w", ARRAYS["w1"])) == hashlib.sha256(b"w(2, 1)<i4\3\0\0\0\5\0\0\0").hexdigest()


def test_json_does_not_depend_on_the_order_of_keys() -> None:
    expected = hashlib.sha256(b'{"a": [1.5, null], "b": "x"}').hexdigest()
    assert sha256_of_json({"b": "x", "a": [1.5, None]}) == expected
    assert json.dumps({"a": [1.5, None], "b": "x"}, sort_keys=True) == '{"a": [1.5, null], "b": "x"}'


def test_a_file_is_hashed_as_its_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as stream:
        assert sha256_of_stream(stream) == sha256(content) == hashlib.sha256(content).hexdigest()
