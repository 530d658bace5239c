"""Folders for libraries that keep files in the user's home, where there is no such home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analog_fhn._support.temporary import temporary_folder

# Variable that names another place than the usual one below the home: matplotlib, Brian2's compiled code, Keras.
_PLACES = {"MPLCONFIGDIR": ".config/matplotlib", "CYTHON_CACHE_DIR": ".cython", "KERAS_HOME": ".keras"}


@contextmanager
def libraries_at_home() -> Iterator[None]:
    """While the block runs, libraries whose place in the home cannot be written have one in a temporary folder."""
    homeless = [name for name, place in _PLACES.items() if name not in os.environ and not _writable(place)]
    if not homeless:
        yield
        return
    with temporary_folder("home") as folder:
        for name in homeless:
            (folder / name).mkdir()
            os.environ[name] = str(folder / name)
        try:
            yield
        finally:
            for name in homeless:
                os.environ.pop(name, None)


def _writable(place: str) -> bool:
    try:
        path = Path.home() / place
    except RuntimeError:
        return False
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
