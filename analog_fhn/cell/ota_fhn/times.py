"""Lag and effective capacitances of a transistor neuron: what its equations need beside static curves.

Static curves know no capacitance. The current into y, and its copy, follow x through mirrors whose gates have to be
charged. Their delay at low frequency, from an AC analysis with the nodes held, depends on x; over the swing of x, one
number takes its place: the charge that the mirrors take up from one end to the other, by the change of the current.
Gates and diffusions add to the capacitors of x and y, and the lag of -g into x acts like a negative capacitor there:
two periods of the nominal neuron tell what is effective.

In 30 mismatched neurons (gf180mcu, 27 C) periods are off by 0.8 % (standard deviation) with the lag, by 2.2 % without.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import cumulative_trapezoid, solve_ivp, trapezoid

from analog_fhn._support.hashing import sha256, sha256_of_arrays
from analog_fhn._support.kept import kept_arrays
from analog_fhn.cell.ota_fhn.characterise import OPTIONS, NeuronCurves, Timing, deck_identity, supplied
from analog_fhn.cell.ota_fhn.layout import OtaLayout
from analog_fhn.crossings import Rises, mean_period
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.batch import program_version, run_tables, table_lines
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.transconductors import TransconductorDynamics

TRANSIENT = "reltol=1e-4 abstol=1e-16 vntol=1e-7 gmin=1e-16 chgtol=1e-19"
MAX_STEP = 0.01  # T
DRIVES = (0.0, 0.85)  # a + I of the two runs: half way between the onsets, and beside one of them
_DURATION = 9.0  # T
_LAG_POINTS = 25  # of x at which the delay of the mirrors is measured
_LAG_FREQUENCY = 0.01  # 1/T: the delay does not change below
# Share of the drawn capacitor of x that is effective at least; the lag is shortened to leave that. It is 0.58 in the
# default neuron. Of longer legs, and in a hot and fast corner, the lag of -g into x takes off more than that, and then
# one lag describes a neuron no better than none.
_LEAST_FAST = 0.35
_DIFFERENCE, _CLOSE, _MOST_STEPS = 0.02, 1e-4, 15  # of logarithms; of relative periods
_LIMIT = 300.0  # s


def fitted_timing(cell: OtaLayout, *, lagging: bool = True) -> Timing:
    """Timing of the nominal neuron under the technology's conditions.

    Parameters
    ----------
    lagging
        Whether the equations have the lag; else effective capacitances take its place.

    Raises
    ------
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    InputError
        If the nominal neuron does not oscillate.
    """
    curves, *_ = cell.nominal_curves
    deck = _deck(cell)
    arrays = {name: getattr(curves, name) for name in ("x", "y", "fast", "coupling", "slow")}
    of_lag = deck_identity(_lag_deck(cell, (-1.0, 1.0))) + str(_LEAST_FAST) if lagging else "no lag"
    key = sha256(cell.surroundings.identity, program_version(), deck_identity(deck), of_lag, sha256_of_arrays(arrays))

    def fit() -> dict[str, FloatArray]:
        return {"timing": _timing(cell, curves, deck, lagging)}

    found = kept_arrays("curves", key, "timing", fit, lambda kept: "timing" in kept and kept["timing"].shape == (9,))
    fast, slow, one, other, supply, eps, lowest, highest, lag = found["timing"].tolist()
    return Timing(fast, slow, (one, other), supply, eps, (lowest, highest), lag)


def _timing(cell: OtaLayout, curves: NeuronCurves, deck: str, lagging: bool) -> FloatArray:
    """The numbers of the timing, in the order in which they are kept."""
    neurons = cell.nominal[0][:1]
    periods, supply, reach = _measured(cell, deck)
    lag = _lag(cell, reach) if lagging else 0.0

    def dynamics(fast: float, slow: float, lag: float) -> TransconductorDynamics:
        return cell.dynamics(neurons, curves, Timing(fast, slow, periods, supply, 1.0, reach, lag))

    def mismatch(*values: float) -> FloatArray:
        made = dynamics(*values)
        wanted = [period / cell.time_unit for period in periods]
        return np.array([period_of(made, a - cell.fhn.a) / w - 1.0 for a, w in zip(DRIVES, wanted, strict=True)])

    drawn = cell.neuron_sizes["cx"], cell.neuron_sizes["cy"]
    lowest = _LEAST_FAST * drawn[0] if lagging else 0.0
    if not np.isfinite(mismatch(*drawn, lag)).all():
        raise InputError(
            f"technology {cell.technology.name!r}: the static curves of the nominal neuron have no oscillation at "
            f"a + I = {' or '.join(f'{a:g}' for a in DRIVES)}, where its transistors still have one; expected "
            f"neuron.unit_current ({cell.technology.neuron.unit_current:g} A) to be the drive at which spiking ends"
        )
    fast, slow = _solved(lambda fast, slow: mismatch(fast, slow, lag), drawn, lowest)
    if lag and fast < 1.01 * lowest:
        fast = lowest
        lag, slow = _solved(lambda lag, slow: mismatch(lowest, slow, lag), (0.7 * lag, slow))
    eps = float(1.0 / dynamics(fast, slow, lag).fast.largest_slope[0])
    return np.array([fast, slow, *periods, supply, eps, *reach, lag])


def _solved(
    function: Callable[[float, float], FloatArray], start: tuple[float, float], lowest: float = 0.0
) -> tuple[float, float]:
    """Two positive arguments, the first not below `lowest`, at which both values of `function` are nearly 0.

    Broyden's method in the logarithms: a solver that goes on to the noise of the integrator takes ten times as long.
    """
    place = np.log(start)
    low, high = place - 2.0, place + 2.0
    if lowest:
        low[0] = max(low[0], np.log(lowest))

    def at(logarithms: FloatArray) -> FloatArray:
        one, other = np.exp(logarithms)
        return function(float(one), float(other))

    values = at(place)

    def slope(step: FloatArray) -> FloatArray:
        """Change with one argument; 0, so that it stays, where nothing oscillates on either side of it."""
        for sign in (1.0, -1.0):
            if np.isfinite(found := at(place + sign * step)).all():
                return np.asarray((found - values) / (sign * _DIFFERENCE))
        return np.zeros(2)

    slopes = np.stack([slope(step) for step in _DIFFERENCE * np.eye(2)], axis=1)
    for _ in range(_MOST_STEPS):
        if np.abs(values).max() < _CLOSE:
            break
        step = np.clip(np.linalg.lstsq(slopes, -values)[0], -0.5, 0.5)
        moved = np.clip(place + step, low, high) - place
        while not np.isfinite(found := at(place + moved)).all():  # too far: nothing oscillates there
            moved = 0.5 * moved
        if not moved.any() or (moved[0] == 0.0 and slopes[:, 0].any()):  # at its lower end
            break
        slopes = slopes + np.outer(found - values - slopes @ moved, moved) / (moved @ moved)
        place, values = place + moved, found
    one, other = np.exp(place)
    return float(one), float(other)


def period_of(dynamics: TransconductorDynamics, drive: float) -> float:
    """Period (T) of one neuron's equations, from the last two rises of x through 0; NaN if there are none."""
    rhs, jacobian = dynamics.flow(drive)

    def rising(_t: float, state: FloatArray) -> float:
        return float(state[0])

    rising.direction = 1.0  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, _DURATION), dynamics.start(1.0, 0.0), method="LSODA", rtol=1e-6, atol=1e-8, jac=jacobian,
        events=rising,
    )  # fmt: skip
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
                f"two rises of x within {_DURATION:g} T. Other bias currents, sizes or capacitors, another time_unit?"
            )
        periods.append(mean_period(at[-2:]))
        whole = above[(time >= at[-2]) & (time <= at[-1])]
        reached += [float(whole.min()), float(whole.max())]
        charge = cumulative_trapezoid(table[f"i(vsupply_{k})"], time, initial=0)
        first, last = np.interp(at[-2:], time, charge)
        currents.append((last - first) / periods[-1])
    return (periods[0], periods[1]), float(np.mean(currents)), (min(reached), max(reached))


def _lag(cell: OtaLayout, reach: tuple[float, float]) -> float:
    """Mean delay (s) of the current into y behind x between the ends of its `reach` (V), weighted by the slope of g.

    ``i(x, t) = g(x) - q(x) dx/dt`` for slow x, so that the imaginary part of the current over the angular frequency is
    -q: the integrals of q and of the slope of g are charge and current from one end to the other.
    """
    table = run_tables(_lag_deck(cell, reach), _LIMIT)["lag"]
    rows = [[float(table[f"{part}(i(vy_{k}))"][0]) for part in ("real", "imag")] for k in range(_LAG_POINTS)]
    current, charge = trapezoid(np.array(rows), axis=0)
    return float(-charge / (2.0 * np.pi * _LAG_FREQUENCY / cell.time_unit * current))


def _lag_deck(cell: OtaLayout, reach: tuple[float, float]) -> str:
    """AC analysis of nominal neurons whose x is held at even steps over its `reach` (V), and y at the reference."""
    around = cell.surroundings
    lines = ["Delay of the mirrors", around.libraries.rstrip("\n"), *around.lines]
    for k, volts in enumerate(np.linspace(*reach, _LAG_POINTS)):
        lines += instance_lines([cell.neuron_instance(cell.nominal[0], 0, f"_{k}")])
        lines += [f"Vx_{k} s_{k} vref {number(volts)} ac 1", f"Vy_{k} sum2_{k} vref 0", f"Vout_{k} out_{k} vref 0"]
    frequency = number(_LAG_FREQUENCY / cell.time_unit)
    vectors = (f"{part}(i(vy_{k}))" for k in range(_LAG_POINTS) for part in ("real", "imag"))
    return "\n".join(
        [
            *lines,
            f".options {OPTIONS} temp={number(around.celsius)}",
            ".control",
            f"ac lin 1 {frequency} {frequency}",
            *table_lines("lag", *vectors),
            "quit",
            ".endc",
            ".end\n",
        ]
    )
