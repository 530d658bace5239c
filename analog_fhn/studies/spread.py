"""Mismatch of transistor neurons: offset, gain and period of many drawn ones, and those that do not work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.draws import draw_cell_parts
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

DRIVES = np.linspace(0.0, 2.0, 11)  # a + I
_LONGEST = 200.0  # T
_OFF = 0.25  # of full scale: a mean that is further from the identity is not that of a neuron that works


@dataclass(frozen=True, eq=False)
class Spread:
    """Drawn neurons, each with its own transistors.

    Parameters
    ----------
    offset, gain
        Of the line ``mean output = full scale offset - gain (a + I)`` through the settled means at `DRIVES`; offset as a
        share of the full scale of 2. Shape (n,).
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
    loaded = technology if isinstance(technology, Technology) else Technology.load(technology)
    if not isinstance(loaded, SiliconTechnology):
        raise InputError(f"technology {loaded.name!r} has no transistors; expected one of the cell 'ota_fhn'")
    cell = OtaFHN(FHN(), "sigmoid", loaded, n)
    streams = zip(cell.nominal, cell.streams.values(), strict=True)
    return cell.cells(tuple(draw_cell_parts(group, stream, 0, loaded, seed) for group, stream in streams))


def spread(technology: Technology | str | Path, n: int = 1000, seed: int = 1) -> Spread:
    """Offset, gain and period of `n` drawn neurons by their reduced equations; arguments and errors as `drawn_neurons`."""
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
