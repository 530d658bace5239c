"""SHA-256 of arrays, texts and files: the identity of weights, response tables, images and exported files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sha256(*parts: str | bytes | memoryview | NDArray[Any]) -> str:
    """SHA-256, 64 hexadecimal digits, over the parts one after another.

    Parameters
    ----------
    parts
        A text counts as its UTF-8, an array as the bytes of its values in C order, without its shape and type.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        elif isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(part)
    return digest.hexdigest()


def labelled(name: str, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """Name, shape and type of an array as a text, and the array: parts for `sha256`."""
    return f"{name}{array.shape}{array.dtype.str}", array


def sha256_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, shapes, types and values of the arrays, in the order of their names."""
    return sha256(*(part for name in sorted(arrays) for part in labelled(name, arrays[name])))


def sha256_of_json(content: Any) -> str:
    """SHA-256 over the JSON text of numbers, texts, lists and dictionaries, whose keys are sorted."""
    return sha256(json.dumps(content, sort_keys=True))


def sha256_of_stream(stream: BufferedReader) -> str:
    """SHA-256 over the rest of an open file, which is not held in memory as a whole."""
    return hashlib.file_digest(stream, "sha256").hexdigest()
