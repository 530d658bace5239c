"""Finds the files that travel with the package (in a wheel and in a checkout), and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def resource(folder: Literal["netlists", "calibration"], name: str = "") -> Path:
    """Path of a file (or, without a name, of the folder) that is part of the package.

    Raises
    ------
    FileNotFoundError
        If it is neither in the installed package nor in the checkout.
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / "_data", package.parent):
        path = root / folder / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder}/{name} is not part of this installation of analog-fhn")


def cache_folder(name: str) -> Path:
    """Folder `name` in the user's cache: ``$XDG_CACHE_HOME`` or ``~/.cache``, ``analog-fhn/name``; may not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification tells programs to ignore a relative path.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "analog-fhn" / name
