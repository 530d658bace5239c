"""Nominal parts of op-amp cells, and the scales between their voltages and the equations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analog_fhn.cell.base import Cell, CircuitCells, Curve, curve_of
from analog_fhn.cell.opamp_fhn.drive import DriveCircuit, DriveParts
from analog_fhn.cell.opamp_fhn.neuron import NeuronParts, Scales
from analog_fhn.cell.opamp_fhn.rectifier import Rectifiers
from analog_fhn.cell.opamp_fhn.stages import DriverParts, TanhPairs, largest_activation, nominal_drivers, row_stage
from analog_fhn.cell.opamp_fhn.synthesis import Synthesis, synthesise
from analog_fhn.cell.parts import Parts
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE

# Circuit that makes a curve of a drive stage.
DRIVE_CIRCUITS: dict[Curve, type[DriveCircuit[Any]]] = {"tanh": TanhPairs, "ramp": Rectifiers}


@dataclass(frozen=True, eq=False)
class OpAmpLayout(Cell):
    """Cells of op-amps as laid out; `nominal` are `NeuronParts`, `DriveParts` and `DriverParts`."""

    technology: BoardTechnology

    @cached_property
    def synthesis(self) -> Synthesis:
        """Scales and nominal parts of the neurons, in the technology's E series."""
        return synthesise(self.fhn, self.technology, self.n_cells)

    @property
    def scales(self) -> Scales:
        """Voltage scales Sx, Sy and the time unit."""
        return self.synthesis.scales

    @property
    def neurons(self) -> NeuronParts:
        """Nominal neurons."""
        return self.synthesis.parts

    @cached_property
    def drive(self) -> DriveCircuit[Any]:
        """Circuits in front of the neurons."""
        kind = DRIVE_CIRCUITS[curve_of(self.unit)]
        return kind(self.fhn, self.unit, self.technology, self.n_cells, self.ceiling, self.scales.sx)

    @cached_property
    def drivers(self) -> DriverParts:
        """Nominal row drivers."""
        sx, n, smoothed = self.scales.sx, self.n_cells, self.smoothed
        return nominal_drivers(self.fhn, self.recentring, self.technology, sx, n, smoothed)

    @property
    def nominal(self) -> tuple[Parts, ...]:
        """Nominal neurons, circuits in front of them, and row drivers."""
        return self.neurons, self.drive.nominal, self.drivers

    @cached_property
    def errors(self) -> dict[str, float]:
        """Relative errors that the E series leave.

        Of eps, a, cubic, y_gain and time_unit in the neuron, gamma and slope in the drive stage (of a rectifier also
        zero_drive, the drive at z <= 0), and of the row driver's offset (0 if there is none).
        """
        nominal = self.technology.under(temperature=NOMINAL_TEMPERATURE, supply=1.0)
        ideal = np.ones(1), np.zeros(1)
        row = row_stage(self.drivers[:1], self.drivers, ideal, self.recentring, nominal, self.scales.sx)
        offset = self.recentring[1]
        rows = {"offset": float(row.offset[0]) / offset - 1.0 if offset else 0.0}
        return self.synthesis.errors | self.drive.errors() | rows

    @property
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""
        return self.scales.time_unit

    @property
    def voltage_scales(self) -> dict[str, float]:
        """Voltage per unit of x and of y (V), and the time unit (s)."""
        return asdict(self.scales)

    @property
    def volts_per_z(self) -> float:
        """Input voltage of a drive stage for a pre-activation of 1 (V)."""
        return self.drive.volts_per_z

    @property
    def volts_per_x(self) -> float:
        """Voltage of node `x` for x = 1 (V)."""
        return self.scales.sx

    @property
    def row_volts(self) -> tuple[float, float]:
        """What the nominal row driver makes of an activation of 1, and of x = 1 without recentring (V)."""
        raw = float(self.drivers.rf[0] / self.drivers.rin[0]) * self.scales.sx
        return raw / abs(self.recentring[0]), raw

    @property
    def largest_activation(self) -> float:
        """Largest instantaneous |activation|: on a spike, or at rest under the largest drive."""
        return largest_activation(self.fhn, self.recentring)

    @property
    def low_pass(self) -> tuple[float, float]:
        """Feedback resistor of the row drivers (ohm), and the capacitor across it (F)."""
        return (float(self.drivers.rf[0]), float(self.drivers.cf[0])) if self.smoothed else (0.0, 0.0)


def groups(cells: CircuitCells) -> tuple[NeuronParts, DriveParts, DriverParts]:
    """Neurons, what makes their drives, and row drivers of op-amp cells.

    Raises
    ------
    TypeError
        If the cells are of another kind.
    """
    return typed_groups(cells.parts)


def typed_groups(parts: tuple[Parts, ...]) -> tuple[NeuronParts, DriveParts, DriverParts]:
    """The same, of the parts themselves."""
    match parts:
        case (NeuronParts() as neurons, DriveParts() as drives, DriverParts() as drivers):
            return neurons, drives, drivers
    raise TypeError(f"parts {[type(group).__name__ for group in parts]} are not those of op-amp cells")
