"""Limits of a user's packed files: what unpacks to more is refused before it is unpacked."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analog_fhn.errors import InputError

LIMIT = 2**30
"""Bytes that a file may unpack to."""

_MEMBERS = 10_000
_DIRECTORY = 2**22  # bytes of an archive's list of members; those of 10 000 have less


def unpack_gzip(raw: bytes, path: Path, limit: int = LIMIT) -> bytes:
    """Content of a gzip file.

    Parameters
    ----------
    raw
        The file's bytes.
    path
        Name of the file in messages.
    limit
        Largest number of bytes that the file may unpack to.

    Raises
    ------
    InputError
        If the file unpacks to more, is cut off or damaged.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged gzip file ({reason}); expected a whole one: copy or download it again"
        ) from None
    if len(content) > limit:
        raise InputError(f"{path}: unpacks to more than {limit / 2**20:g} MiB, the most that is read")
    return content


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members can be read whole: together they unpack to no more than `LIMIT`.

    What is as large as it says without being packed may be larger. What a damaged archive raises is left to the caller.

    Raises
    ------
    InputError
        If it unpacks to more, has more than 10 000 members or two of one name, or is packed by another method than
        'deflated'.
    """
    with path.open("rb") as stream, zipfile.ZipFile(_Bounded(stream, path)) as archive:
        members = archive.infolist()
        size = path.stat().st_size
        total = sum(member.file_size for member in members)
        if total > max(LIMIT, size):
            raise InputError(f"{path}: unpacks to {total / 2**20:.0f} MiB; expected at most {LIMIT / 2**20:.0f} MiB")
        if len(members) > _MEMBERS:
            raise InputError(f"{path}: {len(members)} members; expected at most {_MEMBERS}")
        if len(set(archive.namelist())) < len(members):
            raise InputError(f"{path}: two of its members have one name; expected an archive as its program saves it")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise InputError(
                f"{path}: packed by a method other than 'deflated'; expected an archive as its program saves it"
            )
        yield archive


class _Bounded:
    """A file that is not read in large pieces, as the list of an archive's members would be."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path

    def read(self, size: int = -1) -> bytes:
        if size > _DIRECTORY:
            raise InputError(f"{self._path}: its list of members is {size / 2**20:.0f} MiB long; expected a short one")
        content: bytes = self._stream.read(size)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
