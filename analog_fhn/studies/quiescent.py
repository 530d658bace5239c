"""Power and energy of a design by the quiescent currents of its parts, without any simulation."""

from __future__ import annotations

from dataclasses import dataclass

from analog_fhn.array.sense import SENSE_OFFSET, SenseParts
from analog_fhn.design import Design
from analog_fhn.hold import window_seconds


@dataclass(frozen=True)
class Quiescent:
    """What the parts of a design draw without load; `seconds` is the time of an answer, all powers are in W.

    Parameters
    ----------
    cells
        Power of the hidden cells' amplifiers and multipliers.
    amplifiers
        Power of the amplifiers behind the arrays.
    hold
        Power of the hold stages.
    seconds
        All settling times and control windows of an answer (s).
    """

    cells: float
    amplifiers: float
    hold: float
    seconds: float

    @property
    def power(self) -> float:
        """Power of all of them (W)."""
        return self.cells + self.amplifiers + self.hold

    @property
    def energy(self) -> float:
        """Energy of an answer (J)."""
        return self.power * self.seconds


def quiescent(design: Design) -> Quiescent:
    """Quiescent powers of a design's parts, and the time of an answer."""
    technology, network = design.technology, design.network
    volts = (technology.supplies.positive - technology.supplies.negative) * technology.conditions.supply
    cells = sum(
        number * cell.n_cells * float(getattr(getattr(technology, section), "quiescent_current", 0.0))
        for cell in design.cells
        for section, _, number, _ in cell.devices()
    )
    per_stage = len(SenseParts.names(SENSE_OFFSET)) * technology.sense_amplifier.quiescent_current
    stages = sum(array.crossbar.g_plus.shape[1] for array in design.arrays)
    seconds = network.windows * window_seconds(network.protocol, design.time_unit)
    hold = hold_stages(design) * technology.hold.quiescent_current
    return Quiescent(volts * cells, volts * per_stage * stages, volts * hold, seconds)


def hold_stages(design: Design) -> int:
    """Number of hold stages: one for each position and channel of every layer whose activations are held."""
    network = design.network
    return sum(dense.n_values for dense, held in zip(network.hidden_layers, network.held, strict=True) if held)
