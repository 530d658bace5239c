"""A second cell in one file: an FHN neuron of two capacitors, two resistors and controlled sources.

dV(x)/dt and dV(y)/dt are currents of controlled sources into Cx and Cy, in units of 1 V over Rx and Ry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import Boltzmann

from analog_fhn.cell.base import Cell, CircuitCells, DriveStage, RowStage
from analog_fhn.cell.parts import CAPACITOR, OPAMP_OFFSET, RESISTOR, Parts, part
from analog_fhn.findings import Finding
from analog_fhn.neuron import Coefficients, FloatArray, Protocol, extremes
from analog_fhn.ngspice.text import Instance

LIBRARY = """\
.subckt toy_neuron x sum2 PARAMS: rx=10k ry=10k cx=1n cy=100n offset=0 a=1 x0=-1 y0=-0.6
Cx x 0 {cx} IC={x0}
Bx 0 x I=(v(x)-v(x)*v(x)*v(x)/3-v(y))/{rx}
Rx x 0 1e12
Vdrive sum2 0 0
Cy y 0 {cy} IC={y0}
By 0 y I=(v(x)+{offset}+{a})/{ry}-i(Vdrive)
Ry y 0 1e12
.ends
.subckt toy_stages z sum2 x row PARAMS: gamma=-1 slope=0.5 gain=0.5 level=1 per_drive=1e-4
Bdrive sum2 0 I={per_drive}*{gamma}*tanh({slope}*v(z))
Brow row 0 V={gain}*v(x)+{level}
.ends
"""


@dataclass(frozen=True)
class ToyParts(Parts):
    """Resistors (ohm), capacitors (F), and an offset added to V(x) where it drives y (V)."""

    rx: FloatArray = part(RESISTOR, "time scale of x")
    ry: FloatArray = part(RESISTOR, "time scale of y")
    cx: FloatArray = part(CAPACITOR, "integrates x")
    cy: FloatArray = part(CAPACITOR, "integrates y")
    offset: FloatArray = part(OPAMP_OFFSET, lot="vos")


@dataclass(frozen=True, eq=False)
class ToyFHN(Cell):
    """1 V for x, y, z and the activation of 1."""

    NAME: ClassVar[str] = "toy"
    streams: ClassVar[Mapping[str, int]] = {"neuron": 0}
    NEURON_LIBRARIES: ClassVar[tuple[str, ...]] = ("toy.lib",)
    drive_libraries = NEURON_LIBRARIES
    libraries = NEURON_LIBRARIES
    volts_per_z = 1.0
    volts_per_x = 1.0
    row_volts = (1.0, 0.5)
    errors: ClassVar[Mapping[str, float]] = {}

    @classmethod
    def library(cls, name: str) -> str:
        return LIBRARY

    @property
    def nominal(self) -> tuple[Parts, ...]:
        r, unit = self.technology.neuron.r1, self.time_unit
        values = {"rx": r, "ry": r, "cx": self.fhn.eps * unit / r, "cy": unit / r}
        return (ToyParts.alike(self.n_cells, values),)

    @property
    def time_unit(self) -> float:
        return self.technology.time_unit

    @property
    def voltage_scales(self) -> Mapping[str, float]:
        return {"sx": 1.0, "sy": 1.0, "time_unit": self.time_unit}

    @property
    def largest_activation(self) -> float:
        gain, offset = self.recentring
        return abs(gain) * extremes(self.fhn)[0] + abs(offset)

    def cells(self, parts: tuple[Parts, ...]) -> CircuitCells:
        (one,) = parts
        assert isinstance(one, ToyParts)
        n, unit = len(one), self.time_unit
        fast, slow = self.fhn.eps * unit / (one.rx * one.cx), unit / (one.ry * one.cy)
        p = fast[:, None] * np.array([0.0, 1.0, 0.0, -1.0 / 3.0, -1.0])
        q = np.stack([slow * (self.fhn.a + one.offset), slow, np.zeros(n), self._per_drive * unit / one.cy], axis=1)
        rows = RowStage.ideal(self.unit, self.fhn, n)
        drives = DriveStage.ideal(self.unit, self.fhn, n)
        return CircuitCells(Coefficients(p, q, self.fhn.eps), drives, rows, self, parts)

    @property
    def _per_drive(self) -> float:
        return 1.0 / self.technology.neuron.r1

    def neuron_instances(self, cells: CircuitCells, index: int, protocol: Protocol, suffix: str) -> Sequence[Instance]:
        values = {name: float(value[index]) for name, value in cells.parts[0].items()}
        values |= {"a": self.fhn.a, "x0": protocol.x0, "y0": protocol.y0}
        return (Instance(f"Xneuron{suffix}", (f"x{suffix}", f"sum2{suffix}"), "toy_neuron", values),)

    def stage_instances(self, cells: CircuitCells, index: int, recentre: bool, suffix: str) -> Sequence[Instance]:
        gain, level = self.recentring if recentre else (self.row_volts[1], 0.0)
        values = {"gamma": self.fhn.gamma, "slope": self.fhn.slope, "gain": gain, "level": level}
        nodes = tuple(f"{node}{suffix}" for node in ("z", "sum2", "x", "row"))
        return (Instance(f"Xstages{suffix}", nodes, "toy_stages", values | {"per_drive": self._per_drive}),)

    def supplies(self) -> Mapping[str, float]:
        return {"vcc": self.technology.supplies.positive, "vee": self.technology.supplies.negative}

    def row_supplies(self, recentre: bool) -> Mapping[str, float]:
        return {}

    def drive_current(self, drive: float) -> float:
        return drive * self._per_drive

    @property
    def current_scale(self) -> float:
        return self._per_drive

    def noise_densities(self, cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
        one = cells.parts[0]
        thermal = 4.0 * Boltzmann * self.technology.conditions.temperature
        return np.sqrt(thermal / one.rx), np.sqrt(thermal / one.ry)  # type: ignore[attr-defined]

    def noise_intensities(
        self, cells: CircuitCells, density_x: ArrayLike, density_y: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        one, root = cells.parts[0], np.sqrt(0.5 * self.time_unit)
        return np.asarray(density_x) * root / one.cx, np.asarray(density_y) * root / one.cy  # type: ignore[attr-defined]

    def findings(self) -> Iterator[Finding]:
        yield Finding("Cx", "toy", 1.0, 0.0, "1", "note", "Cx: this cell is a toy")

    def left_out(self, recentre: bool) -> frozenset[str]:
        return frozenset()

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        return (("opamp", "controlled source", 4, "Bx By Bdrive Brow of the neurons"),)
