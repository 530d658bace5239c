"""Damaged and hostile data sets: refused with a message, or read as NumPy reads what they hold."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import dataset_readers
import numpy as np
import pytest
from hostile import EXAMPLES, check, damaged, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 3, 4), dtype=np.uint8)
CLASSES = np.arange(20) % 4
SIZES = st.sampled_from([0, 1, 2, 3, 20, 2**16, 2**31, 2**32 - 1])


def idx(sizes: tuple[int, ...], content: bytes, dtype: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, dtype, len(sizes), *sizes) + content


IMAGES = idx(PIXELS.shape, PIXELS.tobytes())
LABELS = idx((20,), CLASSES.astype(np.uint8).tobytes())


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def reread(reader: Any, path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return reader(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


# --- IDX ------------------------------------------------------------------------------------------------------


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """An IDX file with a header of its own, and as many bytes as it says, or not."""
    sizes = tuple(draw(st.lists(SIZES, min_size=0, max_size=4)))
    right = math.prod(sizes)
    length = right if right < 4096 and draw(st.booleans()) else draw(st.integers(0, 200))
    content = idx(sizes, draw(st.binary(min_size=length, max_size=length)), draw(st.sampled_from([8, 8, 8, 9, 13, 0])))
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@st.composite
def packed(draw: st.DrawFn, content: bytes) -> bytes:
    if draw(st.integers(0, 39)) == 23:
        return gzip.compress(content) + bomb()
    match draw(st.sampled_from(["plain", "plain", "gz", "gz", "members", "twice", "damaged"])):
        case "gz":
            return gzip.compress(content)
        case "twice":
            return gzip.compress(gzip.compress(content))
        case "members":
            return gzip.compress(content[:7]) + gzip.compress(content[7:])
        case "damaged":
            return draw(damaged([gzip.compress(content)]))
    return content


@cache
def bomb() -> bytes:
    """Zeros, 2.5 GiB of them."""
    return 10 * gzip.compress(bytes(2**28))


@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 4)
def test_hostile_idx(data: st.DataObject, folder: Path) -> None:
    images = data.draw(st.one_of(*[st.just(IMAGES)] * 4, idx_files(), damaged([IMAGES])).flatmap(packed))
    labels = data.draw(st.one_of(*[st.just(LABELS)] * 4, idx_files(), damaged([LABELS])).flatmap(packed))
    content = dataset_readers.together(images, labels)
    if check("dataset_readers:idx", "idx", content).kind == "accepted":
        read = reread(dataset_readers.idx, folder / "idx", content)
        raw, classes = unpacked(images), unpacked(labels)
        shape = np.frombuffer(raw, ">u4", 3, 4)
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(int(shape[0]), -1)
        np.testing.assert_array_equal(read.images, pixels.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(read.labels, np.frombuffer(classes, np.uint8, offset=8))


def unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


# --- .npz -----------------------------------------------------------------------------------------------------

WHOLE = [
    saved(images=PIXELS, labels=CLASSES),
    saved(x_train=PIXELS / 255, y_train=CLASSES[:, None], x_test=PIXELS[:5] / 255, y_test=np.eye(4)[CLASSES[:5]]),
]
DTYPES = [
    "?", "u1", "<i2", ">i4", "<i8", ">u8", "<f2", ">f4", "<f8", "g", "<c8", "M8[s]", "m8[s]", "S3", "<U2", "V4", "O"
]  # fmt: skip
STYLES = [
    ("images", "labels"), ("x", "y"), ("X", "y"), ("Images", "LABELS"), ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
]  # fmt: skip
SHAPES = [(), (6,), (6, 1), (6, 4), (6, 2, 2), (6, 2, 2, 1), (6, 1, 2, 2), (6, 2, 2, 3), (0, 4), (6, 0), (1, 6), (5, 4)]
ODD = [0, 1, 2, -1, 0.5, 1e39, -1e300, 7e4, 65504.0, np.nan, np.inf, 2**40]


@st.composite
def arrays(draw: st.DrawFn, labels: bool) -> NDArray[Any]:
    """Numbers of any type and shape; more often than not such as images or labels have."""
    usual = [(6,), (6, 1), (6, 3)] if labels else [(6, 4), (6, 2, 2), (6, 2, 2, 1)]
    shape = draw(st.sampled_from(usual * 8 + SHAPES))
    dtype = np.dtype(draw(st.sampled_from(["u1", "<i8", "<f4", ">f8"] * 6 + DTYPES)))
    values: Any
    if labels and len(shape) == 2 and shape[1] == 3:
        values = np.eye(3)[np.arange(shape[0]) % 3]
        if values.size and draw(st.booleans()):
            values[0] = draw(st.sampled_from([(0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 2), (1, 0, -1), (1, 0, np.nan)]))
    else:
        drawn = np.array(draw(st.lists(st.integers(0, 5), min_size=math.prod(shape), max_size=math.prod(shape))))
        values = drawn.reshape(shape).astype(float)
    if values.size and draw(st.integers(0, 4)) == 3:
        values.flat[draw(st.integers(0, values.size - 1))] = draw(st.sampled_from(ODD))
    if dtype.kind == "V":
        return np.zeros(shape, [("a", "u1"), ("b", "f4")])
    with np.errstate(all="ignore"):
        made = values.astype("i8").astype(dtype) if dtype.kind in "mM" else values.astype(dtype)
    if dtype.char == "g" and made.size and draw(st.booleans()):
        made.flat[0] = np.longdouble("1e4000")  # beyond double precision
    return np.asfortranarray(made) if draw(st.booleans()) else made


@st.composite
def npz_files(draw: st.DrawFn) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """An archive, and its arrays by name."""
    names = draw(st.sampled_from(STYLES))
    content = {name: draw(arrays(labels=k % 2 == 1)) for k, name in enumerate(names)}
    extra = draw(st.sampled_from(["", "", "", "x", "images", "a\0b", "\x1b[2J", "../up", "n" * 3000, "y.npy"]))
    if extra:
        content.setdefault(extra, draw(arrays(labels=False)))
    if draw(st.integers(0, 9)) == 7:
        content.pop(draw(st.sampled_from(sorted(content))))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name, array in content.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=True)
            raw = member.getvalue()
            if draw(st.integers(0, 19)) == 13:
                raw = draw(st.sampled_from([b"", b"\x93NUMPY", raw[8:], raw + b"\0", raw.replace(b"6, ", b"9, ")]))
            archive.writestr(f"{name}.npy", raw)
    return file.getvalue(), content


@given(content=damaged(WHOLE))
@settings(hostile, max_examples=EXAMPLES // 4)
def test_hostile_npz_bytes(content: bytes) -> None:
    check("dataset_readers:file", "mine.npz", content)


@given(drawn=npz_files())
@settings(hostile, max_examples=EXAMPLES // 2)
def test_hostile_npz_content(drawn: tuple[bytes, dict[str, NDArray[Any]]], folder: Path) -> None:
    content, held = drawn
    if check("dataset_readers:file", "mine.npz", content).kind == "accepted":
        read = reread(dataset_readers.file, folder / "mine.npz", content)
        small = {name.lower(): array for name, array in held.items()}
        images, labels = next(
            (small[a], small[b])
            for a, b in (("test_images", "test_labels"), ("x_test", "y_test"), ("images", "labels"), ("x", "y"))
            if a in small and b in small
        )
        # One image after the other, pixel by pixel, as Python numbers.
        expected = [[float(v) for v in np.ravel(image)] for image in images]
        np.testing.assert_array_equal(read.images, np.array(expected, np.float32))
        rows = [np.ravel(row) for row in labels]
        for row in rows:
            assert len(row) == 1 or sorted(map(float, row)) == [0.0] * (len(row) - 1) + [1.0]
        classes = [int(row[0]) if len(row) == 1 else [float(v) for v in row].index(1.0) for row in rows]
        assert read.labels.tolist() == classes


@pytest.mark.parametrize("whole", WHOLE, ids=["pair", "both splits"])
def test_whole_files_are_accepted(whole: bytes) -> None:
    assert check("dataset_readers:file", "mine.npz", whole).kind == "accepted"
