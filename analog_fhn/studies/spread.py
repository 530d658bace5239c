"""Mismatch of transistor neurons: offset, gain and period of many drawn ones, and those that do not work.

All that is by reduced equations; how far they are from the transistors themselves is measured, too (`compared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analog_fhn._support.threads import programs_at_once
from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.ota_fhn.times import fitted_timing
from analog_fhn.draws import draw_cell_parts
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.studies.corners import orbits
from analog_fhn.technology.silicon import of_transistors
from analog_fhn.technology.technology import Technology

DRIVES = np.linspace(0.0, 2.0, 11)  # a + I
COMPARED_DRIVES = (0.0, 0.5, 0.85)
"""a + I at which equations are compared with transistors: half way between the onsets, on the way, beside one."""
_LONGEST = 200.0  # T
_OFF = 0.25  # of full scale: a mean that is further from the identity is not that of a neuron that works


@dataclass(frozen=True, eq=False)
class Spread:
    """Drawn neurons, each with its own transistors.

    Parameters
    ----------
    offset, gain
        Of the line ``mean output = full scale offset - gain (a + I)`` through the settled means at `DRIVES`; offset as
        a share of the full scale of 2. Shape (n,).
    period
        At a + I = 0 (s), shape (n,); 0 where a neuron does not oscillate.
    silent
        Numbers of neurons that do not oscillate at a + I = 0.
    latched
        Numbers of neurons whose mean is further than a quarter of full scale from the identity at some drive.
    cells
        The neurons.
    """

    offset: FloatArray
    gain: FloatArray
    period: FloatArray
    silent: tuple[int, ...]
    latched: tuple[int, ...]
    cells: CircuitCells

    def __len__(self) -> int:
        return len(self.offset)


def drawn_neurons(technology: Technology | str | Path, n: int, seed: int) -> CircuitCells:
    """`n` neurons drawn like those of the first hidden layer of a chip of this seed.

    Raises
    ------
    InputError
        If the technology is not one of transistors.
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    """
    loaded = of_transistors(technology)
    cell = OtaFHN(FHN(), "sigmoid", loaded, n)
    streams = zip(cell.nominal, cell.streams.values(), strict=True)
    return cell.cells(tuple(draw_cell_parts(group, stream, 0, loaded, seed) for group, stream in streams))


def spread(technology: Technology | str | Path, n: int = 1000, seed: int = 1) -> Spread:
    """Offset, gain and period of `n` drawn neurons by their equations; arguments and errors as `drawn_neurons`."""
    cells = drawn_neurons(technology, n, seed)
    drives = np.tile(DRIVES[:, None] - 1.0, (1, n))
    means, periods = settled_means(cells, drives, Protocol(), longest=_LONGEST)
    period = np.nan_to_num(periods[0]) * cells.cell.time_unit
    usual = np.nan_to_num(means, nan=np.inf)
    latched = np.flatnonzero(np.abs(usual + DRIVES[:, None]).max(axis=0) > 2.0 * _OFF)
    works = np.isfinite(means).all(axis=0)
    slope, level = np.full((2, n), np.nan)
    slope[works], level[works] = np.polyfit(DRIVES, means[:, works], 1)
    return Spread(level / 2.0, -slope, period, tuple(np.flatnonzero(period == 0.0)), tuple(latched), cells)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Drawn neurons by their reduced equations and by their transistors.

    Parameters
    ----------
    drives
        Values of a + I, shape (m,).
    mean, period
        By the equations: of the output over whole periods or at rest, in units of the drive, and in s, 0 at rest; shape
        (m, n). NaN where the equations do not settle.
    transistor_mean, transistor_period
        By ngspice, the same.
    """

    drives: FloatArray
    mean: FloatArray
    period: FloatArray
    transistor_mean: FloatArray
    transistor_period: FloatArray

    @property
    def period_errors(self) -> FloatArray:
        """Period by the equations over that of the transistors, less 1; NaN unless both oscillate. Shape (m, n)."""
        both = (self.period > 0.0) & (self.transistor_period > 0.0)
        return np.where(both, self.period / np.where(both, self.transistor_period, 1.0) - 1.0, np.nan)

    @property
    def mean_errors(self) -> FloatArray:
        """Mean by the equations less that of the transistors, as a share of the full scale of 2; shape (m, n)."""
        return np.asarray(0.5 * (self.mean - self.transistor_mean))

    @property
    def other_regime(self) -> tuple[tuple[int, int], ...]:
        """Numbers of drive and neuron where only the equations, or only the transistors, oscillate."""
        differ = (self.period > 0.0) != (self.transistor_period > 0.0)
        return tuple((int(drive), int(neuron)) for drive, neuron in np.argwhere(differ))


def compared(
    cells: CircuitCells, drives: Sequence[float] = COMPARED_DRIVES, *, lagging: Sequence[bool] = (True,)
) -> list[Comparison]:
    """Settled means and periods of drawn neurons by their reduced equations, and by transients of their transistors.

    Parameters
    ----------
    cells
        Such as those of `drawn_neurons`.
    drives
        Values of a + I.
    lagging
        For each comparison whether the equations have the lag of the mirrors; the transistors run once.

    Raises
    ------
    InputError
        If the cells are not made of transistors.
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    """
    cell, n = cells.cell, len(cells)
    if not isinstance(cell, OtaFHN):
        raise InputError(f"cells {cell.NAME!r} have no transistors; expected those of the cell 'ota_fhn'")
    with ThreadPoolExecutor(programs_at_once()) as pool:
        measured = list(pool.map(lambda index: orbits(cell, cells.parts, drives, index), range(n)))
    transistors = (np.array([[getattr(one, name) for one in row] for row in measured]).T for name in ("mean", "period"))
    transistor_mean, transistor_period = transistors
    neurons, stages, _ = cells.parts
    curves, _, _ = cell.curves(neurons, stages)
    levels = np.array(drives, dtype=np.float64)
    result = []
    for one in lagging:
        equations = replace(cells, dynamics=cell.dynamics(neurons, curves, fitted_timing(cell, lagging=one)))
        wanted = np.tile(levels[:, None] - cell.fhn.a, (1, n))
        mean, period = settled_means(equations, wanted, Protocol(), longest=_LONGEST)
        result.append(Comparison(levels, mean, period * cell.time_unit, transistor_mean, transistor_period))
    return result
