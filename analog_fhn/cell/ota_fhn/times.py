"""Effective capacitances of a transistor neuron: those with which its equations have the periods of its transistors.

Static curves know no capacitance. Gates and diffusions add to the capacitors of x and y, and mirrors that lag act like
a negative one on x; two periods of the nominal neuron tell both.
"""

from __future__ import annotations

import logging

import numpy as np
from scipy.integrate import cumulative_trapezoid, solve_ivp
from scipy.optimize import least_squares

from analog_fhn._support.files import at_once, new_file
from analog_fhn._support.hashing import sha256, sha256_of_arrays
from analog_fhn._support.npz import read_npz
from analog_fhn._support.resources import cache_folder
from analog_fhn.cell.ota_fhn.characterise import Timing, deck_identity, supplied
from analog_fhn.cell.ota_fhn.layout import OtaLayout
from analog_fhn.crossings import Rises, mean_period
from analog_fhn.errors import InputError, RunError
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.batch import program_version, run_tables, table_lines
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.transconductors import TransconductorDynamics

_log = logging.getLogger(__name__)

TRANSIENT = "reltol=1e-4 abstol=1e-16 vntol=1e-7 gmin=1e-16 chgtol=1e-19"
MAX_STEP = 0.01  # T
DRIVES = (0.0, 0.85)  # a + I of the two runs: half way between the onsets, and beside one of them
_DURATION = 9.0  # T
_LIMIT = 300.0  # s


def fitted_timing(cell: OtaLayout) -> Timing:
    """Timing of the nominal neuron under the technology's conditions.

    Raises
    ------
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    InputError
        If the nominal neuron does not oscillate.
    """
    neurons, drives, _ = (group[:1] for group in cell.nominal)
    curves, *_ = cell.curves(neurons, drives)
    deck = _deck(cell)
    arrays = {name: getattr(curves, name) for name in ("x", "y", "fast", "coupling", "slow")}
    key = sha256(cell.surroundings.identity, program_version(), deck_identity(deck), sha256_of_arrays(arrays))
    path = cache_folder("curves") / f"{key}.npz"
    if path.exists():
        try:
            fast, slow, one, other, supply, eps, lowest, highest = read_npz(path, "timing")["timing"].tolist()
            return Timing(fast, slow, (one, other), supply, eps, (lowest, highest))
        except (InputError, KeyError, ValueError) as error:
            _log.warning("%s; the neuron is timed again", error)
    periods, supply, reach = _measured(cell, deck)

    def dynamics(logarithms: FloatArray) -> TransconductorDynamics:
        fast, slow = np.exp(logarithms)
        return cell.dynamics(neurons, curves, Timing(float(fast), float(slow), periods, supply, 1.0, reach))

    def mismatch(logarithms: FloatArray) -> FloatArray:
        made = dynamics(logarithms)
        wanted = [period / cell.time_unit for period in periods]
        return np.array([period_of(made, a - cell.fhn.a) / w - 1.0 for a, w in zip(DRIVES, wanted, strict=True)])

    start = np.log([cell.neuron_sizes["cx"], cell.neuron_sizes["cy"]])
    if not np.isfinite(mismatch(start)).all():
        raise InputError(
            f"technology {cell.technology.name!r}: the static curves of the nominal neuron have no oscillation at a + I = "
            f"{' or '.join(f'{a:g}' for a in DRIVES)}, where its transistors still have one; expected neuron.unit_current "
            f"({cell.technology.neuron.unit_current:g} A) to be the drive at which spiking ends"
        )
    found = least_squares(
        mismatch, start, diff_step=[0.02, 0.02], xtol=1e-5, ftol=1e-8, gtol=1e-10, bounds=(start - 2, start + 2)
    )
    fast, slow = np.exp(found.x)
    eps = float(1.0 / dynamics(found.x).fast.largest_slope[0])
    result = np.array([fast, slow, *periods, supply, eps, *reach])
    try:
        with at_once(), new_file(path) as stream:
            np.savez(stream, timing=result)
    except (InputError, RunError) as error:
        _log.warning("times of the neuron cannot be stored: %s", error)
    return Timing(float(fast), float(slow), periods, supply, eps, reach)


def period_of(dynamics: TransconductorDynamics, drive: float) -> float:
    """Period (T) of one neuron's equations, from the last two rises of x through 0; NaN if there are none."""
    rhs, jacobian = dynamics.flow(drive)

    def rising(_t: float, state: FloatArray) -> float:
        return float(state[0])

    rising.direction = 1.0  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, _DURATION), [1.0, 0.0], method="LSODA", rtol=1e-6, atol=1e-8, jac=jacobian, events=rising
    )
    assert solution.t_events is not None
    times = solution.t_events[0]
    return float(times[-1] - times[-2]) if len(times) > 1 else np.nan


def _deck(cell: OtaLayout) -> str:
    """Transients of the nominal neuron under the drives `DRIVES`, side by side."""
    neurons = cell.nominal[0]
    start = {"vx0": cell.supply_volts["vref"] + cell.technology.neuron.volts_per_unit, "vy0": cell.supply_volts["vref"]}
    around = cell.surroundings
    lines = ["Periods of the nominal neuron", around.libraries.rstrip("\n"), *around.lines]
    for k, drive in enumerate(DRIVES):
        suffix = f"_{k}"
        lines.append(f"Vsupply{suffix} vdd vdd{suffix} 0")
        lines += instance_lines(
            [
                supplied(cell.neuron_instance(neurons, 0, suffix), f"vdd{suffix}"),
                Instance(f"Xstart{suffix}", (f"s{suffix}", f"sum2{suffix}"), "ota_start", start),
            ]
        )
        lines.append(f"Vout{suffix} out{suffix} vref 0")
        lines.append(f"Idrive{suffix} sum2{suffix} 0 {number(cell.drive_current(drive - cell.fhn.a))}")
    step, stop = MAX_STEP * cell.time_unit, _DURATION * cell.time_unit
    return "\n".join(
        [
            *lines,
            f".options {TRANSIENT} temp={number(around.celsius)}",
            ".control",
            f"tran {number(step)} {number(stop)} 0 {number(step)}",
            *table_lines("periods", *(f"{what}_{k})" for k in range(len(DRIVES)) for what in ("v(s", "i(vsupply"))),
            "quit",
            ".endc",
            ".end\n",
        ]
    )


def _measured(cell: OtaLayout, deck: str) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """Periods (s) at both drives, the mean current from the supply (A), and the reach of x (V); see `Timing`."""
    table = run_tables(deck, _LIMIT)["periods"]
    time = table["time"]
    periods, currents, reached = [], [], []
    for k, drive in enumerate(DRIVES):
        above = table[f"v(s_{k})"] - cell.supply_volts["vref"]
        at = np.interp(Rises.of(above, 0.0, 0.0).times(above, 0.0), np.arange(len(time)), time)
        if len(at) < 2:
            conditions = cell.technology.conditions
            raise InputError(
                f"technology {cell.technology.name!r}: the nominal neuron does not oscillate at a + I = {drive:g} "
                f"(corner {conditions.corner}, {conditions.temperature:g} K, {cell.supply_volts['vdd']:g} V); expected "
                f"two rises of x within {_DURATION:g} T. Other bias currents, sizes or capacitors, or another time_unit?"
            )
        periods.append(mean_period(at[-2:]))
        whole = above[(time >= at[-2]) & (time <= at[-1])]
        reached += [float(whole.min()), float(whole.max())]
        charge = cumulative_trapezoid(table[f"i(vsupply_{k})"], time, initial=0)
        first, last = np.interp(at[-2:], time, charge)
        currents.append((last - first) / periods[-1])
    return (periods[0], periods[1]), float(np.mean(currents)), (min(reached), max(reached))
