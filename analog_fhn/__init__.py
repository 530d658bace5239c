"""Trained networks as analog circuits of FitzHugh-Nagumo neurons.

The public names stand in six groups: networks and data, circuits, answers, many chips, netlists and studies, repair and
living neurons. The page "Python" of the documentation has a paragraph and an example for each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analog_fhn.backends.spice.backend import run_exported
    from analog_fhn.backends.table.backend import Table
    from analog_fhn.board.equality import check_board
    from analog_fhn.board.export import export_kicad
    from analog_fhn.checks.design import check
    from analog_fhn.chip import Chip
    from analog_fhn.corner_grid import corners
    from analog_fhn.data import Dataset
    from analog_fhn.data import load as load_data
    from analog_fhn.design import Design
    from analog_fhn.errors import InputError, MissingProgramError
    from analog_fhn.failures import rare, worst_case
    from analog_fhn.inference import Result, activations, classify, make_backend
    from analog_fhn.netlist.bom import bill
    from analog_fhn.netlist.export import export
    from analog_fhn.network import Convolution, Dense, Network
    from analog_fhn.neuron import FHN, Protocol, cycle
    from analog_fhn.noise import chip_noise
    from analog_fhn.patches import AveragePool, Patches
    from analog_fhn.reconstruct.pipeline import reconstruct_neuron
    from analog_fhn.reconstruct.recordings.files import read_recording
    from analog_fhn.reconstruct.twin import Twins
    from analog_fhn.studies.consumption import consumption
    from analog_fhn.studies.frontier import frontier
    from analog_fhn.studies.low_pass import low_pass
    from analog_fhn.studies.waterfall import waterfall
    from analog_fhn.sweeps import Study, sweep
    from analog_fhn.technology.technology import Technology
    from analog_fhn.training.circuit import train_fhn
    from analog_fhn.training.plain import train_plain
    from analog_fhn.trim.bench import SimulatedBench
    from analog_fhn.trim.repair import repair
    from analog_fhn.weights import load_network
    from analog_fhn.weights.models import from_model

__version__ = "1.0.0"

# Module that each name comes from, and its name there where that is another. Loaded on first use, so that the command
# line answers at once.
_HOME = {
    # Networks and data
    "Network": ("network", "Network"),
    "Dense": ("network", "Dense"),
    "Convolution": ("network", "Convolution"),
    "AveragePool": ("patches", "AveragePool"),
    "Patches": ("patches", "Patches"),
    "FHN": ("neuron", "FHN"),
    "Protocol": ("neuron", "Protocol"),
    "load_network": ("weights", "load_network"),
    "from_model": ("weights.models", "from_model"),
    "Dataset": ("data", "Dataset"),
    "load_data": ("data", "load"),
    "train_plain": ("training.plain", "train_plain"),
    "train_fhn": ("training.circuit", "train_fhn"),
    # Circuits
    "Technology": ("technology.technology", "Technology"),
    "Design": ("design", "Design"),
    "Chip": ("chip", "Chip"),
    "check": ("checks.design", "check"),
    "bill": ("netlist.bom", "bill"),
    # Answers
    "classify": ("inference", "classify"),
    "Result": ("inference", "Result"),
    "activations": ("inference", "activations"),
    "make_backend": ("inference", "make_backend"),
    "Table": ("backends.table.backend", "Table"),
    "chip_noise": ("noise", "chip_noise"),
    "cycle": ("neuron", "cycle"),
    # Many chips
    "sweep": ("sweeps", "sweep"),
    "Study": ("sweeps", "Study"),
    "rare": ("failures", "rare"),
    "worst_case": ("failures", "worst_case"),
    "corners": ("corner_grid", "corners"),
    # Netlists and studies
    "export": ("netlist.export", "export"),
    "export_kicad": ("board.export", "export_kicad"),
    "check_board": ("board.equality", "check_board"),
    "run_exported": ("backends.spice.backend", "run_exported"),
    "waterfall": ("studies.waterfall", "waterfall"),
    "consumption": ("studies.consumption", "consumption"),
    "frontier": ("studies.frontier", "frontier"),
    "low_pass": ("studies.low_pass", "low_pass"),
    # Repair and living neurons
    "SimulatedBench": ("trim.bench", "SimulatedBench"),
    "repair": ("trim.repair", "repair"),
    "read_recording": ("reconstruct.recordings.files", "read_recording"),
    "reconstruct_neuron": ("reconstruct.pipeline", "reconstruct_neuron"),
    "Twins": ("reconstruct.twin", "Twins"),
    "InputError": ("errors", "InputError"),
    "MissingProgramError": ("errors", "MissingProgramError"),
}

__all__ = [
    # Networks and data
    "Network",
    "Dense",
    "Convolution",
    "AveragePool",
    "Patches",
    "FHN",
    "Protocol",
    "load_network",
    "from_model",
    "Dataset",
    "load_data",
    "train_plain",
    "train_fhn",
    # Circuits
    "Technology",
    "Design",
    "Chip",
    "check",
    "bill",
    # Answers
    "classify",
    "Result",
    "activations",
    "make_backend",
    "Table",
    "chip_noise",
    "cycle",
    # Many chips
    "sweep",
    "Study",
    "rare",
    "worst_case",
    "corners",
    # Netlists and studies
    "export",
    "export_kicad",
    "check_board",
    "run_exported",
    "waterfall",
    "consumption",
    "frontier",
    "low_pass",
    # Repair and living neurons
    "SimulatedBench",
    "repair",
    "read_recording",
    "reconstruct_neuron",
    "Twins",
    "InputError",
    "MissingProgramError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(_HOME)
