"""Trained networks as analog circuits of FitzHugh-Nagumo neurons.

The public names are `Network`, `Technology`, `Design`, `Chip`, `classify`, `sweep`, and the two errors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analog_fhn.chip import Chip
    from analog_fhn.design import Design
    from analog_fhn.errors import InputError, MissingProgramError
    from analog_fhn.inference import Result, classify
    from analog_fhn.network import Network
    from analog_fhn.neuron import FHN, Protocol
    from analog_fhn.sweeps import Study, sweep
    from analog_fhn.technology.technology import Technology

__all__ = [
    "FHN",
    "Chip",
    "Design",
    "InputError",
    "MissingProgramError",
    "Network",
    "Protocol",
    "Result",
    "Study",
    "Technology",
    "classify",
    "sweep",
]

_HOME = {
    "FHN": "neuron",
    "Protocol": "neuron",
    "Network": "network",
    "Technology": "technology.technology",
    "Design": "design",
    "Chip": "chip",
    "classify": "inference",
    "Result": "inference",
    "Study": "sweeps",
    "sweep": "sweeps",
    "InputError": "errors",
    "MissingProgramError": "errors",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that the command line answers at once.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
