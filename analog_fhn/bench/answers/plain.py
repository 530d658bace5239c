"""Arrays as values that JSON holds."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def numbers(values: ArrayLike) -> list[Any]:
    """Numbers with the seven digits that single precision has."""
    return [float(f"{value:.7g}") for value in np.asarray(values, dtype=np.float64).ravel()]


def packed(values: ArrayLike) -> dict[str, Any]:
    """A large array: its shape, and its numbers in single precision, little end first, as base64."""
    array = np.ascontiguousarray(values, dtype="<f4")
    return {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode("ascii")}
