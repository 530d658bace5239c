"""Named arrays of the user's `.npz` files, read without unpickling."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from analog_fhn._support.json_text import read_object
from analog_fhn._support.limits import LIMIT, open_archive
from analog_fhn._support.words import listed
from analog_fhn.errors import InputError, shown

npy: Any = npy_format  # its type hints lack the limit of the header
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_HEADER = 1000  # characters; that of an array of numbers or of one text has less
_SUFFIX = ".npy"


class Arrays(Mapping[str, NDArray[Any]]):
    """Arrays of an open file by their names, in the order in which they were saved; each is read when asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}
        if len(self) < len(archive.infolist()):
            raise ValueError("two arrays of one name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> NDArray[Any]:
        member = self._members[name]
        with self._archive.open(member) as stream:
            _check_header(stream, name, member.file_size)
        with self._archive.open(member) as stream:
            array: NDArray[Any] = npy.read_array(stream, allow_pickle=False, max_header_size=_HEADER)
        return array


@contextmanager
def open_npz(path: Path, what: str) -> Iterator[Arrays]:
    """Open an `.npz` file; arrays are read from disk when they are asked for.

    Parameters
    ----------
    what
        Content that is expected, for the messages: "a network".

    Raises
    ------
    InputError
        If the file is missing, is no `.npz`, is damaged, holds pickled objects or arrays larger than their members, or
        unpacks to more than `limits.LIMIT`; at opening or when an array is read.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(4) not in _ZIP:
                raise InputError(f"{path}: is no .npz file; expected one that holds {what}")
        with open_archive(path) as archive:
            yield Arrays(archive)
    except (InputError, MemoryError):
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged archive raises what its bytes happen to lead to
        if "pickle" in str(error).lower():
            raise InputError(
                f"{path}: holds pickled Python objects, which could run code when loaded; save plain numeric arrays"
            ) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged ({reason}); expected a .npz file that holds {what}") from None


def read_npz(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz` file; arguments and errors as for `open_npz`."""
    with open_npz(path, what) as file:
        return dict(file)


def take_meta(path: Path, arrays: dict[str, NDArray[Any]], what: str) -> dict[str, Any]:
    """Remove `meta` from a file's arrays, and return the content of its JSON text.

    Raises
    ------
    InputError
        If there is none, or it is no JSON object within the limits of `read_json`.
    """
    if "meta" not in arrays:
        raise InputError(f"{path}: no 'meta' in it (found: {listed(sorted(arrays), 8) or 'nothing'}); expected {what}")
    text = read_text(path, arrays, "meta", what)
    del arrays["meta"]
    return read_object(text, f"{path}: 'meta'")


def read_kind(path: Path, kind: str, number: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays of a file whose `meta` says what it holds, and this `meta`.

    Parameters
    ----------
    kind
        What it has to say, with an article.
    number
        Format of it that is read.

    Raises
    ------
    InputError
        As of `open_npz` and `take_meta`; if it holds something else, or has another format.
    """
    arrays = read_npz(path, kind)
    meta = take_meta(path, arrays, kind)
    with reading(path, kind):
        if meta.get("kind") != kind:
            other = f", but {shown(meta['kind'])}" if "kind" in meta else ""
            raise InputError(f"{path}: is not {kind}{other}")
        check_format(path, meta, number)
    return arrays, meta


def check_format(path: Path, meta: dict[str, Any], number: int) -> None:
    """Raise InputError if a file has another format; KeyError if it does not say which."""
    if meta["format"] != number:
        raise InputError(f"{path}: format {shown(meta['format'])}; this version reads format {number}")


def read_text(path: Path, arrays: Mapping[str, NDArray[Any]], name: str, expected: str) -> str:
    """Text that an array holds.

    Raises
    ------
    InputError
        If it holds something else, or numbers that are no characters.
    """
    text = arrays[name]
    if text.dtype.kind != "U" or text.ndim:
        raise InputError(
            f"{path}: {name!r} has type {text.dtype} and shape {shown(text.shape)}; expected one text: {expected}"
        )
    try:
        return text.astype(text.dtype.newbyteorder("<")).tobytes().decode("utf-32-le").rstrip("\0")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {name!r} is no text ({error.reason}); expected {expected}") from None


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn errors that a file's content causes within the block into an InputError that names the file.

    Parameters
    ----------
    what
        Content that is expected, as for `open_npz`.
    """
    try:
        yield
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: {shown(error.args[0])} is missing; expected {what}") from None
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected {what}") from None


def read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape of an array in NumPy's format, whether its columns stand one after another, and its type.

    The stream is left where the values begin.

    Raises
    ------
    ValueError
        If there is no such header, or the values are pickled objects.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers of Python 2
        shape, columns, dtype = read(stream, max_header_size=_HEADER)
    if dtype.hasobject:
        raise ValueError("pickled objects")
    return shape, columns, dtype


def _check_header(stream: Any, name: str, size: int) -> None:
    """Raise ValueError unless the member, of `size` bytes, holds as many values as its header says."""
    shape, _, dtype = read_header(stream)
    # in Python's numbers, which do not overflow; a length of 0 must not hide the others
    values, whole = size - stream.tell(), math.prod(shape) * dtype.itemsize
    largest = math.prod(max(1, length) for length in shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not dtype.itemsize or whole != values or largest > max(LIMIT, values):
        raise ValueError(f"{shown(name)}: shape {shown(shape)} of {dtype}, but {values} bytes of values")
