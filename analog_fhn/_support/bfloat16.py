"""The 16-bit floats that are the upper halves of 32-bit ones; NumPy has no type for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def from_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Values of bfloat16, given as the 16 bits of each (uint16, any shape)."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
