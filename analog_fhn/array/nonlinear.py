"""Crossbars whose devices are not ohmic: currents of the columns for given voltages of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analog_fhn.array.elimination import Elimination
from analog_fhn.array.wires import tile_slices
from analog_fhn.errors import SimulationError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.wires import Wires

_TOLERANCE = 1e-10  # last change of a device's voltage, relative to the largest of a row
_CHORDS = 40  # steps with one elimination for all rows' voltages
_SLOW = 0.7  # share of the change before that a step may leave; above, Newton's method takes over
_NEWTONS = 60
_VALUES = 4_000_000  # voltages of devices that are solved for at a time


@dataclass(frozen=True, eq=False)
class NonlinearArray:
    """An array of devices with the characteristic of a hyperbolic sine, wires included.

    A device of conductance G carries ``I = G V_r sinh(V/V0)/sinh(V_r/V0)`` at the voltage V over it: G is what is read
    at the read voltage V_r, as when the device was programmed. The law is that of hopping between traps, in circuit
    models of metal-oxide memories ``I0 exp(-gap/g0) sinh(V/V0)`` (Guan, Yu, Wong, IEEE Electron Device Lett. 33:1405,
    2012).

    Without wires the voltages of the rows are those over the devices. With wires, nodal analysis is solved by Newton's
    method on the elimination that ohmic arrays have: for all rows' voltages at once with the conductances at the read
    voltage as slopes (a chord, whose steps shrink the error by the wires' loss times the curvature), and one by one
    with the devices' own slopes where that is slow. The amplifiers behind the columns are at 0 V.

    Parameters
    ----------
    conductance
        At the read voltage, shape (n_in, n_out), in siemens.
    v0
        V0 of each device, of the same shape, in volts.
    read_voltage
        V_r, in volts.
    wires
        Resistances of the lines.
    tile_rows, tile_columns
        Size of the tiles, see `analog_fhn.array.wires.tile_slices`.
    """

    conductance: FloatArray
    v0: FloatArray
    read_voltage: float
    wires: Wires
    tile_rows: int | None = None
    tile_columns: int | None = None

    def currents(self, rows: FloatArray) -> FloatArray:
        """Currents out of the columns, shape (n, n_out), in amperes, for voltages of the rows (n, n_in), in volts.

        Raises
        ------
        SimulationError
            If the voltages of the devices cannot be found.
        """
        rows = np.asarray(rows, dtype=np.float64)
        if self.wires.ideal:
            return self._without_wires(rows)
        currents = np.zeros((len(rows), self.conductance.shape[1]))
        for tile in self._tiles:
            size = max(1, _VALUES // tile.g.size)
            for first in range(0, len(rows), size):
                part = slice(first, first + size)
                currents[part, tile.columns] += tile.currents(np.ascontiguousarray(rows[part, tile.rows].T))
        return currents

    def _without_wires(self, rows: FloatArray) -> FloatArray:
        """The law's power series, a product of matrices for each odd power; all terms are of one sign."""
        if np.ptp(self.v0) == 0.0:
            return np.asarray(np.sinh(rows / self.v0[0, 0]) @ self.scale)
        relative, x = rows / self.read_voltage, self.read_voltage / self.v0
        square, power = relative**2, relative.copy()
        term = self.conductance * self.read_voltage * (x / np.sinh(x))
        currents, last = power @ term, 0
        largest = max(1.0, float(np.abs(relative).max(initial=0.0))) * float(x.max())
        while True:
            last += 2
            power *= square
            term = term * (x**2 / (last * (last + 1)))
            currents += power @ term
            # Behind here terms of the largest argument fall by more than half from one to the next.
            if (ratio := largest**2 / ((last + 2) * (last + 3))) < 0.5 and _term(largest, last + 1) < 1e-17 * ratio:
                return np.asarray(currents)

    @cached_property
    def scale(self) -> FloatArray:
        """``G V_r/sinh(V_r/V0)`` of each device, shape (n_in, n_out), in amperes."""
        return self.conductance * (self.read_voltage / np.sinh(self.read_voltage / self.v0))

    @cached_property
    def _tiles(self) -> list[_Tile]:
        def part(values: FloatArray, place: tuple[slice, slice]) -> FloatArray:
            return np.ascontiguousarray(values[place])

        slices = tile_slices((self.conductance.shape[0], self.conductance.shape[1]), self.tile_rows, self.tile_columns)
        return [
            _Tile(*tile, part(self.conductance, tile), part(self.v0, tile), part(self.scale, tile), self.wires)
            for tile in slices
        ]


def _term(argument: float, power: int) -> float:
    """The power's term of sinh's series over sinh."""
    return float(np.exp(power * np.log(argument) - np.log(np.arange(1.0, power + 1.0)).sum() - argument))


@dataclass(frozen=True, eq=False)
class _Tile:
    """One tile: its rows and columns, and of its devices G, V0 and ``G V_r/sinh(V_r/V0)``."""

    rows: slice
    columns: slice
    g: FloatArray
    v0: FloatArray
    scale: FloatArray
    wires: Wires

    @cached_property
    def _chord(self) -> Elimination:
        return Elimination(self.g, self.wires)

    def currents(self, rows: FloatArray) -> FloatArray:
        """Currents out of its columns, shape (n, n_columns), for voltages of its rows (n_rows, n)."""
        allowed = _TOLERANCE * np.abs(rows).max(axis=0)
        g, v0, scale = (a[:, None, :] for a in (self.g, self.v0, self.scale))
        voltages, out = self._chord.solve(rows, np.zeros((*rows.shape, self.g.shape[1])))
        before = np.full(rows.shape[1], np.inf)
        for _ in range(_CHORDS):
            moved, out = self._chord.solve(rows, scale * np.sinh(voltages / v0) - g * voltages)
            change = np.abs(moved - voltages).max(axis=(0, 2))
            voltages = moved
            if (change <= allowed).all():
                return out
            if (change > np.maximum(_SLOW * before, allowed)).any():
                break
            before = change
        for k in np.flatnonzero(change > allowed):
            out[k] = self._newton(rows[:, k], float(allowed[k]))
        return out

    def _newton(self, rows: FloatArray, allowed: float) -> FloatArray:
        """Currents for one set of voltages of the rows (n_rows,), each step with the slopes of all devices."""
        low, high = min(0.0, float(rows.min())), max(0.0, float(rows.max()))
        voltages = np.zeros_like(self.g)
        for _ in range(_NEWTONS):
            slope = self.scale / self.v0 * np.cosh(voltages / self.v0)
            sources = self.scale * np.sinh(voltages / self.v0) - slope * voltages
            moved, out = Elimination(slope, self.wires).solve(rows[:, None], np.ascontiguousarray(sources[:, None, :]))
            # No node of a network of passive devices leaves the range of its sources.
            moved = np.clip(moved[:, 0], low - high, high - low)
            change, voltages = float(np.abs(moved - voltages).max()), moved
            if change <= allowed:
                return np.asarray(out[0])
        raise SimulationError(
            f"array of {self.g.shape[0]} x {self.g.shape[1]} devices: their voltages changed by {change:.3g} V in the "
            f"last of {_NEWTONS} steps of Newton's method, expected at most {allowed:.3g} V (devices with V0 from "
            f"{self.v0.min():.3g} V, rows from {rows.min():.3g} to {rows.max():.3g} V)"
        )
