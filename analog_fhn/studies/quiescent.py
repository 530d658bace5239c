"""Power and energy of boards: by the quiescent currents of their parts, and by supply currents from ngspice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.words import engineering
from analog_fhn.array.sense import SENSE_OFFSET, SenseParts, op_amps
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.hold import window_seconds
from analog_fhn.inference import hidden_response
from analog_fhn.studies.consumption import Consumption

TRANSIENTS = True  # see `analog_fhn.studies.consumption.Circuit`
_RUNS = 16  # of each cell, in which its power is measured


@dataclass(frozen=True, repr=False)
class BoardConsumption(Consumption):
    """What the hidden cells of a board draw from their supplies, and its hold stages.

    Parameters
    ----------
    power_per_neuron
        Mean over the hidden cells, each of drive stage, neuron and row driver (W).
    power
        Of all hidden cells (W); arrays and their amplifiers are not in it.
    holds
        Quiescent power of all hold stages (W).
    """

    power_per_neuron: float
    power: float
    holds: float = 0.0

    def _facts(self) -> dict[str, str]:
        facts = {"a hidden cell": engineering(self.power_per_neuron, "W"), "all": engineering(self.power, "W")}
        return facts | ({"hold stages": engineering(self.holds, "W")} if self.holds else {})

    def _counted(self) -> str:
        return ", arrays and their amplifiers not counted"

    def energy_in(self, seconds: float) -> float:
        """See `Consumption.energy_in`: hidden cells and hold stages draw power throughout."""
        return (self.power + self.holds) * seconds


@dataclass(frozen=True, repr=False)
class Quiescent(Consumption):
    """What the parts of a design draw without load; all powers are in W.

    Parameters
    ----------
    cells
        Power of the hidden cells' amplifiers and multipliers.
    amplifiers
        Power of the amplifiers behind the arrays.
    hold
        Power of the hold stages.
    """

    cells: float
    amplifiers: float
    hold: float

    def _facts(self) -> dict[str, str]:
        powers = {"hidden cells": self.cells, "amplifiers": self.amplifiers, "hold stages": self.hold}
        return {name: engineering(value, "W") for name, value in powers.items()}

    def _counted(self) -> str:
        return ", by quiescent currents"

    @property
    def power(self) -> float:
        """Power of all of them (W)."""
        return self.cells + self.amplifiers + self.hold

    def energy_in(self, seconds: float) -> float:
        """See `Consumption.energy_in`."""
        return self.power * seconds


def quiescent(design: Design) -> Quiescent:
    """Quiescent powers of a design's parts, and the time of an answer."""
    technology, network = design.technology, design.network
    volts = technology.supply_span
    cells = sum(
        number * cell.n_cells * float(getattr(getattr(technology, section), "quiescent_current", 0.0))
        for cell in design.cells
        for section, _, number, _ in cell.devices()
    )
    per_stage = len(SenseParts.names(SENSE_OFFSET)) * op_amps(technology).quiescent_current
    stages = sum(array.crossbar.g_plus.shape[1] for array in design.arrays)
    seconds = design.windows * window_seconds(network.protocol, design.time_unit)
    hold = hold_stages(design) * technology.hold.quiescent_current
    return Quiescent(volts * cells, volts * per_stage * stages, volts * hold, seconds=seconds, windows=design.windows)


def hold_stages(design: Design) -> int:
    """Number of hold stages: one for each position and channel of every layer whose activations are held."""
    network = design.network
    return sum(dense.n_values for dense, held in zip(network.hidden_layers, network.held, strict=True) if held)


def measured(chip: ManufacturedChip, images: NDArray[np.floating]) -> BoardConsumption:
    """See `analog_fhn.studies.consumption.consumption`.

    The power of a convolution's cells is the mean over some of its positions.
    """
    from analog_fhn.backends.direct.backend import Direct
    from analog_fhn.backends.spice.backend import cell_power

    protocol = chip.network.protocol
    _, every = hidden_response(chip, images, Direct())
    powers = []
    for one, hardware in zip(every, chip.hardware, strict=True):
        z = one.layer.pre_activations(one.inputs)
        some = np.linspace(0, len(z) - 1, min(len(z), max(_RUNS, len(images)))).round().astype(int)
        powers.append(cell_power(hardware.cells, z[some], protocol))
    power = np.concatenate(powers)
    idle = quiescent(Design(chip.network, chip.technology))
    return BoardConsumption(
        float(power.mean()), float(power.sum()), idle.hold, seconds=idle.seconds, windows=idle.windows
    )


def estimated(design: Design) -> Quiescent:
    """See `analog_fhn.studies.consumption.estimated`."""
    return quiescent(design)
