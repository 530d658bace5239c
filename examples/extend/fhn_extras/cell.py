"""The cell `sources`: an FHN neuron of two capacitors, two resistors and four controlled sources.

Currents of controlled sources, in units of 1 V over Rx and Ry, flow into Cx and Cy:
Rx Cx dVx/dt = Vx - Vx^3/3 - Vy, Ry Cy dVy/dt = Vx + offset + a + I (volts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import Boltzmann

from analog_fhn.cell.base import Cell, CircuitCells, DriveStage, RowStage
from analog_fhn.cell.parts import CAPACITOR, RESISTOR, Deviation, Kind, Parts, part
from analog_fhn.errors import InputError
from analog_fhn.findings import Finding
from analog_fhn.neuron import Coefficients, FloatArray, Protocol, extremes
from analog_fhn.ngspice.text import Instance
from fhn_extras.technology import SourcesTechnology

LIBRARY = """\
.subckt sources_neuron x sum2 PARAMS: rx=10k ry=10k cx=1n cy=100n offset=0 a=1 x0=-1 y0=-0.6
Cx x 0 {cx} IC={x0}
Bx 0 x I=(v(x)-v(x)*v(x)*v(x)/3-v(y))/{rx}
Rx x 0 1e12
Vdrive sum2 0 0
Cy y 0 {cy} IC={y0}
By 0 y I=(v(x)+{offset}+{a})/{ry}-i(Vdrive)
Ry y 0 1e12
.ends
.subckt sources_stages z sum2 x row PARAMS: gamma=-1 slope=0.5 gain=0.5 level=1 per_drive=1e-4
Bdrive sum2 0 I={per_drive}*{gamma}*tanh({slope}*v(z))
Brow row 0 V={gain}*v(x)+{level}
.ends
"""


# Offsets are added to a value, and are not bought by it; other parts are shares of their nominal values.
OFFSET = Kind("current_source", False, Deviation("offset_sigma", False))


@dataclass(frozen=True)
class SourcesParts(Parts):
    """Resistors (ohm), capacitors (F), and the input offset of the source that drives y (V)."""

    rx: FloatArray = part(RESISTOR, "time scale of x")
    ry: FloatArray = part(RESISTOR, "time scale of y")
    cx: FloatArray = part(CAPACITOR, "integrates x")
    cy: FloatArray = part(CAPACITOR, "integrates y")
    offset: FloatArray = part(OFFSET, "input offset of By", lot="offset")


@dataclass(frozen=True, eq=False)
class SourcesFHN(Cell):
    """Layout of n such cells: 1 V stands for x, y, z and an activation of 1."""

    technology: SourcesTechnology

    NAME: ClassVar[str] = "sources"
    streams: ClassVar[Mapping[str, int]] = {"neuron": 0}
    NEURON_LIBRARIES: ClassVar[tuple[str, ...]] = ("sources.lib",)
    drive_libraries = NEURON_LIBRARIES
    libraries = NEURON_LIBRARIES
    volts_per_z = 1.0
    volts_per_x = 1.0
    row_volts = (1.0, 0.5)
    errors: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.technology, SourcesTechnology):
            raise InputError(f"technology {self.technology.name!r} has no sections of the cell 'sources'")
        if self.unit == "relu" or self.smoothed:
            raise InputError("cell 'sources': expected one hidden layer, of sigmoid or tanh units")

    @classmethod
    def library(cls, name: str) -> str:
        """The subcircuits; without this method they are looked for in this package's `netlists/`."""
        return LIBRARY

    @property
    def nominal(self) -> tuple[Parts, ...]:
        """Nominal parts, one group for each of `streams`."""
        r, unit = self.technology.current_source.resistance, self.time_unit
        values = {"rx": r, "ry": r, "cx": self.fhn.eps * unit / r, "cy": unit / r}
        return (SourcesParts.alike(self.n_cells, values),)

    @property
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""
        return self.technology.time_unit

    @property
    def voltage_scales(self) -> Mapping[str, float]:
        """Volts per unit of x and of y, and the time unit, for people and manifests."""
        return {"sx": 1.0, "sy": 1.0, "time_unit": self.time_unit}

    @property
    def largest_activation(self) -> float:
        """Largest activation that a row has to carry."""
        gain, offset = self.recentring
        return abs(gain) * extremes(self.fhn)[0] + abs(offset)

    def cells(self, parts: tuple[Parts, ...]) -> CircuitCells:
        """Equations of cells with these parts: coefficients, drive stages, row stages."""
        (one,) = parts
        assert isinstance(one, SourcesParts)
        n, unit = len(one), self.time_unit
        fast, slow = self.fhn.eps * unit / (one.rx * one.cx), unit / (one.ry * one.cy)
        p = fast[:, None] * np.array([0.0, 1.0, 0.0, -1.0 / 3.0, -1.0])
        q = np.stack([slow * (self.fhn.a + one.offset), slow, np.zeros(n), self._per_drive * unit / one.cy], axis=1)
        rows = RowStage.ideal(self.unit, self.fhn, n)
        drives = DriveStage.ideal(self.unit, self.fhn, n)
        return CircuitCells(Coefficients(p, q, self.fhn.eps), drives, rows, self, parts)

    @property
    def _per_drive(self) -> float:
        return 1.0 / self.technology.current_source.resistance

    def neuron_instances(self, cells: CircuitCells, index: int, protocol: Protocol, suffix: str) -> Sequence[Instance]:
        """Netlist of one neuron: its output is node x, its drive a current drawn out of sum2."""
        values = {name: float(value[index]) for name, value in cells.parts[0].items()}
        values |= {"a": self.fhn.a, "x0": protocol.x0, "y0": protocol.y0}
        return (Instance(f"Xneuron{suffix}", (f"x{suffix}", f"sum2{suffix}"), "sources_neuron", values),)

    def stage_instances(self, cells: CircuitCells, index: int, recentre: bool, suffix: str) -> Sequence[Instance]:
        """Netlist of one cell's drive stage and row stage, from z to row."""
        gain, level = self.recentring if recentre else (self.row_volts[1], 0.0)
        values = {"gamma": self.fhn.gamma, "slope": self.fhn.slope, "gain": gain, "level": level}
        nodes = tuple(f"{node}{suffix}" for node in ("z", "sum2", "x", "row"))
        return (Instance(f"Xstages{suffix}", nodes, "sources_stages", values | {"per_drive": self._per_drive}),)

    def supplies(self) -> Mapping[str, float]:
        """Supply nodes of a neuron's deck (V)."""
        return {"vcc": self.technology.supplies.positive, "vee": self.technology.supplies.negative}

    def row_supplies(self, recentre: bool) -> Mapping[str, float]:
        """Further supply nodes of the row stage (V): none."""
        return {}

    def drive_current(self, drive: float) -> float:
        """Current out of sum2 that stands for a drive (A)."""
        return drive * self._per_drive

    @property
    def current_scale(self) -> float:
        """Current that stands for a drive of 1 (A)."""
        return self._per_drive

    def noise_densities(self, cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
        """Thermal noise of Rx and Ry as currents into x and y (A/sqrt(Hz))."""
        one = cells.parts[0]
        thermal = 4.0 * Boltzmann * self.technology.conditions.temperature
        return np.sqrt(thermal / one.rx), np.sqrt(thermal / one.ry)  # type: ignore[attr-defined]

    def noise_intensities(
        self, cells: CircuitCells, density_x: ArrayLike, density_y: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """What such currents make of x and y, per root of T."""
        one, root = cells.parts[0], np.sqrt(0.5 * self.time_unit)
        return np.asarray(density_x) * root / one.cx, np.asarray(density_y) * root / one.cy  # type: ignore[attr-defined]

    def findings(self) -> Iterator[Finding]:
        """What may be wrong with the cell."""
        smallest = 20e-12
        (parts,) = self.nominal
        assert isinstance(parts, SourcesParts)
        if (cx := float(parts.cx[0])) < smallest:
            message = f"Cx = {cx:.3g} F: strays of a board are as large; expected at least {smallest:g} F"
            yield Finding("Cx", "capacitance", cx, smallest, "F", "warning", message)

    def left_out(self, recentre: bool) -> frozenset[str]:
        """Parts that a readout leaves out: none."""
        return frozenset()

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """What is bought without a value: section, kind, number, places."""
        return (("current_source", "controlled source", 4, "Bx By Bdrive Brow of the neurons"),)
