"""Zip archives that cannot unpack to more than they may."""

from __future__ import annotations

import zipfile
from pathlib import Path

from analog_fhn.errors import InputError
from analog_fhn.weights.trained import LIMIT


def check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse archives that unpack to more than `LIMIT`, by what they declare: no more than that is ever read.

    Raises
    ------
    InputError
        If it is too large, or packed by a method that cannot be read piece by piece.
    """
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > LIMIT:
        raise InputError(f"{path}: unpacks to {total / 2**20:.0f} MiB; expected at most {LIMIT / 2**20:.0f} MiB")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise InputError(
            f"{path}: packed by a method other than 'deflated'; expected an archive as its program saves it"
        )


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Content of one member, read to its declared size and no further."""
    info = archive.getinfo(name)
    with archive.open(info) as stream:
        return stream.read(info.file_size)
