"""IDX files of labelled images: found in a folder under the names of MNIST and their variants, unpacked, read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.limits import unpack_gzip
from analog_fhn.errors import InputError

MOST_VALUES = 2**27
"""Numbers that a packed file of images may unpack to, unless it is a tenth as large (bytes) itself."""

_TYPES = {
    0x08: "unsigned byte",
    0x09: "signed byte",
    0x0B: "16-bit integer",
    0x0C: "32-bit integer",
    0x0D: "32-bit float",
    0x0E: "64-bit float",
}


def candidates(folder: Path, name: str) -> list[Path]:
    """Files of a folder that may be `name`: plain or .gz, with a dot before idx, in upper or lower case."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _plain(path.name) == name and path.is_file())


def read(folder: Path, name: str) -> tuple[Path, bytes]:
    """Unpacked content of a file of a folder, and its path.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read or unpacked, or there are several with other contents.
    """
    paths = candidates(folder, name)
    if not paths:
        raise InputError(f"{folder}: {name} is missing (neither plain nor .gz); put it beside the other file")
    contents = [unpacked(path, _bytes(path)) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        if content != contents[0]:
            raise InputError(f"{paths[0]} and {path.name} hold other data; expected one of them, or two that are alike")
    return paths[0], contents[0]


def unpacked(path: Path, raw: bytes) -> bytes:
    """Content of an IDX file, gzipped or not; `path` is for the messages."""
    # Browsers and other programs pack and unpack without renaming, so the contents decide, not the name.
    return unpack_gzip(raw, path, most_values(len(raw))) if raw[:2] == b"\x1f\x8b" else raw


def most_values(size: int) -> int:
    """Numbers that a file of so many bytes may unpack to."""
    return max(MOST_VALUES, 10 * size)


def array(path: Path, raw: bytes, ndim: int) -> NDArray[np.uint8]:
    """Unsigned bytes in `ndim` dimensions: two zero bytes, type, number of dimensions, big-endian 32-bit sizes, data.

    Raises
    ------
    InputError
        For anything else.
    """
    header = 4 + 4 * ndim
    expected = f"00 00 08 {ndim:02x} (unsigned bytes in {ndim} dimension{'s' if ndim > 1 else ''})"
    if len(raw) < 4:
        raise InputError(f"{path}: {len(raw)} bytes are too short for an IDX file; download it again")
    if raw[:2] != b"\0\0":
        raise InputError(f"{path}: bad magic number {raw[:4].hex(' ')}, expected {expected}: this is not an IDX file")
    if raw[2] != 0x08:
        kind = _TYPES.get(raw[2], "unknown to IDX")
        raise InputError(f"{path}: data type code 0x{raw[2]:02x} ({kind}), expected 0x08 (unsigned byte)")
    if raw[3] != ndim:
        raise InputError(
            f"{path}: bad magic number {raw[:4].hex(' ')}, expected {expected}: are images and labels swapped?"
        )
    if len(raw) < header:
        raise InputError(f"{path}: {len(raw)} bytes are too short for the header of {header} bytes; download it again")
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, header, 4))
    size = header + math.prod(shape)
    if len(raw) != size:
        what = "truncated" if len(raw) < size else "too long"
        raise InputError(
            f"{path}: {what}: {len(raw)} bytes, but the header ({' x '.join(map(str, shape))}) expects {size}; "
            "copy or download it again"
        )
    if size == header:
        raise InputError(f"{path}: empty: sizes {' x '.join(map(str, shape))}; expected at least one of each")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def _plain(name: str) -> str:
    """Name as MNIST's own files have it."""
    return name.lower().removesuffix(".gz").replace(".idx", "-idx")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
