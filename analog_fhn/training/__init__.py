"""Training in Keras on JAX: networks whose weights become a circuit, with the circuit in the forward pass if wanted."""

from __future__ import annotations

from typing import Any

__all__ = ["FHN", "ArrayConv", "ArrayDense"]


def __getattr__(name: str) -> Any:
    # Keras takes seconds to load, and its backend can be chosen only once in a process.
    if name == "FHN":
        from analog_fhn.training.fhn import FHN

        return FHN
    if name == "ArrayDense":
        from analog_fhn.training.array import ArrayDense

        return ArrayDense
    if name == "ArrayConv":
        from analog_fhn.training.convolution import ArrayConv

        return ArrayConv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
