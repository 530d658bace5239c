"""Named arrays of .npz files: bounded by what the file holds, whatever its headers say."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn._support.npz import read_npz, take_meta
from analog_fhn.errors import InputError


def with_header(path: Path, shape: tuple[int, ...], descr: str = "<f8", values: bytes = bytes(48)) -> Path:
    """A file whose array `w` has this header and these bytes."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", member.getvalue() + values)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_npz(path, "a network")
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("shape", "descr"),
    [
        ((10**9, 10**9), "<f8"),
        ((2**62, 4), "<f8"),  # overflows to 0 in 64 bits
        ((7,), "<f8"),
        ((5,), "<f8"),
        ((0, 10**18), "<f8"),
        ((-6,), "<f8"),
        ((10**18,), "<U0"),
        ((), "V1000000000"),
    ],
)
def test_headers_that_claim_other_than_the_member_holds(shape: tuple[int, ...], descr: str, tmp_path: Path) -> None:
    path = with_header(tmp_path / "net.npz", shape, descr)
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "is damaged ('w': shape " in message
    assert peak < 2**22


def test_a_header_that_tells_the_truth(tmp_path: Path) -> None:
    path = with_header(tmp_path / "net.npz", (2, 3), values=np.arange(6.0).tobytes())
    np.testing.assert_array_equal(read_npz(path, "a network")["w"], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])


def test_arrays_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", z=np.ones(1), a=np.ones((2, 2), order="F"), m=np.array("text"))
    assert list(read_npz(tmp_path / "net.npz", "a network")) == ["z", "a", "m"]


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_members_that_are_no_arrays(content: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        archive.writestr("w.npy", content)
    assert "is damaged" in refusal(tmp_path / "net.npz")


def test_two_arrays_of_one_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w=np.ones(1))
    with zipfile.ZipFile(tmp_path / "net.npz", "a") as archive:
        archive.writestr("w", archive.read("w.npy"))
    assert "two arrays of one name" in refusal(tmp_path / "net.npz")


@pytest.mark.parametrize("order", "<>")
def test_meta_of_either_byte_order(order: str) -> None:
    text = np.array('{"a": "ä"}')
    assert take_meta(Path("net.npz"), {"meta": text.astype(f"{order}U20")}, "a network") == {"a": "ä"}


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (None, "no 'meta' in it (found: w); expected a network"),
        (np.array([1.0, 2.0]), "'meta' has type float64 and shape (2,); expected one text: a network"),
        (np.array(["{}", "{}"]), "'meta' has type <U2 and shape (2,); expected one text"),
        (np.array(0x110000, "<u4").view("<U1"), "'meta' is no text"),
        (np.array(0xD800, "<u4").view("<U1"), "'meta' is no text"),
        (np.array("[]"), "'meta': holds no names and values"),
    ],
)
def test_meta_that_cannot_be_read(meta: Any, said: str) -> None:
    arrays = {"w": np.ones(1)} | ({} if meta is None else {"meta": meta})
    with pytest.raises(InputError) as caught:
        take_meta(Path("net.npz"), arrays, "a network")
    assert str(caught.value).startswith("net.npz: ")
    assert said in str(caught.value)
