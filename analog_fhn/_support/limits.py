"""What a user's file may cost to read; more is refused before it is unpacked.

One limit per format, for every reader of it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from analog_fhn.errors import InputError

LIMIT = 2**30
"""Bytes that a file may hold, packed or unpacked."""


def unpack_gzip(raw: bytes, path: Path, limit: int = LIMIT) -> bytes:
    """Content of a gzip file.

    Parameters
    ----------
    raw
        The file's bytes.
    path
        The file's name in messages.
    limit
        Bytes that it may unpack to.

    Raises
    ------
    InputError
        If it unpacks to more, is cut off or damaged.
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
