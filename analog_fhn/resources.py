"""Finds the files that travel with the package (`netlists/`, `calibration/`), in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource(folder: Literal["netlists", "calibration"], name: str = "") -> Path:
    """Path of a file (or, without a name, of the folder) that is part of the package.

    Raises
    ------
    FileNotFoundError
        If it is neither in the installed package nor in the checkout.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "_data", package.parent):
        path = root / folder / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder}/{name} is not part of this installation of analog-fhn")
