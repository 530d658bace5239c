"""A transistor neuron over drive, temperature, corner and supply: how far its mean output is from minus the drive.

Every point is a transient of the nominal neuron's transistors in ngspice; nothing here comes from reduced equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
from scipy.integrate import cumulative_trapezoid

from analog_fhn._support.threads import usable_cores
from analog_fhn.backends.spice.backend import supply_power
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.parts import Parts
from analog_fhn.crossings import Rises
from analog_fhn.netlist.decks import neuron_deck
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.technology.foundry import Corner
from analog_fhn.technology.silicon import SiliconTechnology, of_transistors
from analog_fhn.technology.technology import Technology

TEMPERATURES = (273.15, 300.0, 343.15)  # K
CORNERS: tuple[str, ...] = get_args(Corner)
SUPPLIES = (0.9, 1.0, 1.1)
_RUN = Protocol(settle=0.0, control=16.0, interval=0.2, x0=1.0, y0=0.0)
_FIRST = 3.0  # T, from where on whole periods count
_STEP = 0.01  # T, for periods within 0.1 %
_RELTOL = 1e-4


@dataclass(frozen=True)
class Orbit:
    """What a neuron settles to under a constant drive.

    Parameters
    ----------
    mean
        Of the output over whole periods, or at rest, in units of the drive.
    period
        In s; 0 at rest.
    power
        Mean power from the supplies (W).
    """

    mean: float
    period: float
    power: float


@dataclass(frozen=True)
class CornerResult:
    """A neuron under one set of conditions.

    Parameters
    ----------
    name, temperature, supply
        Corner of the process, temperature (K), supply relative to its nominal value.
    drives
        Values of a + I, shape (n,).
    orbits
        One for each drive.
    """

    name: str
    temperature: float
    supply: float
    drives: FloatArray
    orbits: tuple[Orbit, ...]

    @property
    def errors(self) -> FloatArray:
        """Mean output plus a + I, relative to the full scale of 2; shape (n,)."""
        return np.array([0.5 * (orbit.mean + drive) for orbit, drive in zip(self.orbits, self.drives, strict=True)])


def identity(
    technology: Technology | str | Path,
    drives: Sequence[float],
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    corners: Sequence[str] = CORNERS,
    supplies: Sequence[float] = SUPPLIES,
    progress: Callable[[int, int], None] | None = None,
) -> list[CornerResult]:
    """The nominal neuron under every combination of conditions.

    Parameters
    ----------
    drives
        Values of a + I; the neuron spikes between -1 and 1.

    Raises
    ------
    InputError
        If the technology is not one of transistors, or a value is out of range.
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If a run fails.
    """
    loaded = of_transistors(technology)
    conditions = list(product(corners, temperatures, supplies))

    def one(condition: tuple[str, float, float]) -> CornerResult:
        corner, kelvin, supply = condition
        under = loaded.with_values(
            {"conditions.corner": corner, "conditions.temperature": kelvin, "conditions.supply": supply}
        )
        assert isinstance(under, SiliconTechnology)
        cell = OtaFHN(FHN(), "sigmoid", under, 1)
        return CornerResult(corner, kelvin, supply, np.array(drives), tuple(orbits(cell, cell.nominal, drives)))

    found = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for done, result in enumerate(pool.map(one, conditions), start=1):
            found.append(result)
            if progress is not None:
                progress(done, len(conditions))
    return found


def orbits(cell: OtaFHN, parts: tuple[Parts, ...], drives: Sequence[float], index: int = 0) -> list[Orbit]:
    """What one neuron's transistors settle to in ngspice under drives a + I.

    Parameters
    ----------
    parts
        Of the cells; `index` is that of the neuron.

    Raises
    ------
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If a run fails.
    """
    # Equations are not needed, and cost sweeps.
    ideal = Cells.ideal(cell.unit, cell.fhn, len(parts[0]))
    cells = CircuitCells(ideal.dynamics, ideal.drive_stage, ideal.row_stage, cell, parts)
    found = []
    with SimulatorProcess() as simulator:
        simulator.load(neuron_deck(cells, index, 0.0, _RUN, reltol=_RELTOL, max_step=_STEP))
        for drive in drives:
            simulator.alter("idrive", cell.drive_current(drive - cell.fhn.a))
            waves = simulator.run()
            time, x = waves["time"] / cell.time_unit, waves["x"]
            found.append(_settled(time, x, supply_power(waves, cell), cell.time_unit))
    return found


def _settled(time: FloatArray, x: FloatArray, power: FloatArray, unit: float) -> Orbit:
    late = time >= _FIRST
    level = 0.5 * (x[late].max() + x[late].min())
    swing = float(x[late].max() - x[late].min())
    at = np.interp(Rises.of(x, level, level - 0.1 * swing).times(x, level), np.arange(len(time)), time)
    at = at[at >= _FIRST]
    if len(at) < 2 or swing < 0.05:
        return Orbit(float(x[-1]), 0.0, float(power[-1]))
    area, work = (cumulative_trapezoid(values, time, initial=0) for values in (x, power))
    first, last = at[0], at[-1]
    mean, drawn = ((np.interp(last, time, v) - np.interp(first, time, v)) / (last - first) for v in (area, work))
    return Orbit(float(mean), float((last - first) / (len(at) - 1) * unit), float(drawn))
