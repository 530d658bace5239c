"""Checks transistor cells by the nominal neuron's curves and period, and by what one sigma of each transistor changes.

A neuron that does not oscillate at all never becomes a design (see `analog_fhn.cell.ota_fhn.times`); this is about what
oscillates but may not do as its equations say, or not on every chip. Every finding names the part and the number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np
from scipy.integrate import solve_ivp

from analog_fhn.cell.ota_fhn.characterise import NeuronCurves, Timing
from analog_fhn.cell.ota_fhn.layout import OtaLayout
from analog_fhn.findings import Finding, Severity, judge
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.transconductors import Characteristic, TransconductorDynamics

# Margins in sigmas of the mismatch. A network of 100 neurons loses one on every seventh chip at 3 sigma, on one in
# 17 000 at 5.
SIGMA_ERROR, SIGMA_WARNING = 3.0, 5.0
# Distance of the states from the supplies: beside the mirrors' saturation voltages, g's pair needs one for its tail.
HEADROOM_ERROR, HEADROOM_WARNING = 0.1, 0.2
# Where spiking ends, as a + I. Over corners, 0 to 70 C and supplies of 10 % it stays within 1.04 and 1.09.
ONSET_WARNING, ONSET_ERROR = 0.1, 0.3
# Period over 2 T. Over those conditions it moves by 15 %.
PERIOD_WARNING, PERIOD_ERROR, PERIOD_MOVED = 0.1, 0.5, 0.25
# Lag of the mirrors in units of T; 0.08 to 0.1 over those conditions.
LAG_WARNING, LAG_ERROR = 0.2, 0.4
# Effective capacitance of x over the drawn one: gates and diffusions add to it, the mirrors' lag takes off. 0.37 to
# 0.75 over those conditions.
LAG_X_WARNING, LAG_X_ERROR = 0.2, 0.05
# Offset and gain of a neuron (sigma, of full scale). MNIST, 784-100-10: 5 and 2 % cost 0.06 points, three times these
# 0.6 (reduced model).
SPREAD_WARNING, SPREAD_ERROR = 0.1, 0.25
MISMATCH_WARNING = 0.01  # relative; constants copied from a file agree to their last digit
# Periods in a control window. Of 2 T + 5 T the mean is 5.9 % of full scale off (rms), of 7 T that begin at once
# MNIST loses 0.15 points.
PERIODS_WARNING, PERIODS_ERROR = 2.0, 1.0
# Share of the voltage between output's limits that the integral over a control window may take.
SWING_WARNING, SWING_ERROR = 0.9, 1.2
_DURATION = 9.0  # T, of the equations' transient
_STEP, _BEYOND = 0.01, 3.0  # of a + I, in which the end of spiking is looked for
OUTPUT_LOW, OUTPUT_HIGH = 0.5, 0.3  # V from node 0 and from the supply; see netlists/ota_neuron.lib


@dataclass(frozen=True)
class Margins:
    """Numbers that follow from neurons' curves, each of shape (n,).

    Parameters
    ----------
    rise
        Steepest rise of f (S): without one nothing oscillates.
    low, high
        What the range of h has beyond the valley and the hump of f (A): without it the neuron stays on one branch.
    offset, gain
        Of the output, ``offset + gain g``: the one as a share of full scale, the other relative to 1.
    """

    rise: FloatArray
    low: FloatArray
    high: FloatArray
    offset: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, curves: NeuronCurves, full: float) -> Margins:
        """Margins of neurons with these curves; `full` is the largest drive current (A)."""
        fast = Characteristic.through(curves.x[0], curves.x[-1], curves.fast)
        valley, hump = fast.folds
        lines = []
        for g, out in zip(curves.slow, curves.copy, strict=True):
            driven = np.abs(g) < full
            lines.append(np.polyfit(g[driven], out[driven], 1))
        gain, offset = np.array(lines).T
        return cls(
            fast.largest_slope,
            curves.coupling.max(axis=1) + fast(valley),
            -curves.coupling.min(axis=1) - fast(hump),
            offset / full,
            gain - 1.0,
        )


def findings(cell: OtaLayout, timing: Timing, neuron: TransconductorDynamics) -> Iterator[Finding]:
    """What may be wrong with transistor cells.

    Parameters
    ----------
    cell
        Their layout.
    timing, neuron
        Periods and equations of the nominal neuron, the only one of `neuron`.

    Raises
    ------
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    """
    yield from _mismatch(cell)
    yield from _margins(cell)
    yield from _onset(cell, neuron)
    yield from _states(cell, timing, neuron)
    yield from _lag(cell, timing)
    yield from _period(cell, timing)


def window_findings(cell: OtaLayout, timing: Timing, protocol: Protocol) -> Iterator[Finding]:
    """What may be wrong with the times at which the neurons of a network are watched."""
    seconds = protocol.control * cell.time_unit
    periods = seconds / timing.periods[0]
    if periods < PERIODS_WARNING:
        severity, limit = _lowest(periods, PERIODS_WARNING, PERIODS_ERROR)
        enough = math.ceil(2.0 * PERIODS_WARNING * timing.periods[0] / cell.time_unit) / 2.0
        yield Finding(
            "window", "periods in the control window (lowest)", periods, limit, "1", severity,
            f"control window: {protocol.control:g} T hold {periods:.2g} periods of {_microseconds(timing.periods[0])}, "
            f"so that the time average depends on where it begins; control = {enough:g} T would hold "
            f"{PERIODS_WARNING:g}",
        )  # fmt: skip
    capacitor = cell.technology.integrator.capacitor
    swing, room = cell.full_current * seconds / capacitor, cell.supply_volts["vdd"] - OUTPUT_LOW - OUTPUT_HIGH
    if judged := judge(swing, SWING_WARNING * room, SWING_ERROR * room):
        yield Finding(
            "integrator", "largest voltage that it integrates to", swing, judged[1], "V", judged[0],
            f"integrator: {1e9 * cell.full_current:.3g} nA for {_microseconds(seconds)} move its "
            f"{1e12 * capacitor:.3g} pF by {swing:.3g} V; the output of a neuron works over {room:.3g} V. "
            f"integrator.capacitor = {capacitor * swing / (SWING_WARNING * room):.2g} F or a shorter control window "
            "would do",
        )  # fmt: skip


def _mismatch(cell: OtaLayout) -> Iterator[Finding]:
    """Constants of the technology against those that the foundry's file states, if any; 0 leaves an error out."""
    for polarity, stated in cell.technology.mismatch.items():
        section = cell.technology.fet_n if polarity == "n" else cell.technology.fet_p
        for name in ("threshold", "gain"):
            value, foundry = float(getattr(section, name)), getattr(stated, name)
            if foundry is None:
                continue
            off = abs(value / foundry - 1.0)
            if value and off > MISMATCH_WARNING:
                yield Finding(
                    f"fet_{polarity}", f"{name} against the foundry's file", off, MISMATCH_WARNING, "1", "warning",
                    f"fet_{polarity}.{name} = {value:.6g} is {100 * off:.2g} % off the {foundry:.6g} that "
                    f"{cell.technology.pdk.file.name} states",
                )  # fmt: skip


def _margins(cell: OtaLayout) -> Iterator[Finding]:
    nominal, sigma = margins(cell)
    rise, low, high, _, _ = astuple(nominal)
    of_rise, of_low, of_high, offset, gain = astuple(sigma)
    if (z := _in_sigmas(rise, of_rise)) < SIGMA_WARNING:
        severity, limit = _lowest(z, SIGMA_WARNING, SIGMA_ERROR)
        yield Finding(
            "nfx, nfr, nft", "steepest rise of f (lowest, in sigmas of the mismatch)", z, limit, "1", severity,
            f"positive feedback: f rises by {1e9 * rise:.3g} nS at most, {z:.3g} sigma of the mismatch; a neuron "
            "whose f does not rise is silent. More current (neuron.sizes: a shorter l_tail_f) or larger transistors "
            "would help",
        )  # fmt: skip
    for margin, sigma_of, branch, end in ((low, of_low, "lower", "valley"), (high, of_high, "upper", "hump")):
        if (z := _in_sigmas(margin, sigma_of)) < SIGMA_WARNING:
            severity, limit = _lowest(z, SIGMA_WARNING, SIGMA_ERROR)
            yield Finding(
                "nhr, nhy, nht", f"range of h beyond the {end} of f (lowest, in sigmas of the mismatch)", z, limit, "1",
                severity,
                f"h: its range exceeds the {end} of f by {1e9 * margin:.3g} nA, {z:.3g} sigma of the mismatch; a "
                f"neuron in which it does not latches on the {branch} branch. More current in h (neuron.sizes: a "
                "shorter l_tail_h) or less in f (a longer l_tail_f) would help",
            )  # fmt: skip
    for name, value in (("offset", offset), ("gain", gain)):
        if judged := judge(value, SPREAD_WARNING, SPREAD_ERROR):
            yield Finding(
                "legs", f"{name} of a neuron's output (sigma), relative to full scale", value, judged[1], "1",
                judged[0],
                f"legs: mismatch gives a neuron's output an {name} of {100 * value:.2g} % of full scale (sigma); legs "
                f"of {(value / SPREAD_WARNING) ** 2:.2g} times the area, with capacitors grown with it, would leave "
                f"{100 * SPREAD_WARNING:g} %",
            )  # fmt: skip


def _onset(cell: OtaLayout, neuron: TransconductorDynamics) -> Iterator[Finding]:
    """Where the nominal neuron's rest point becomes stable, which should be a + I = 1."""
    drives = np.arange(0.0, _BEYOND, _STEP)
    resting = [drive for drive in drives if neuron.stable_at_rest(np.array([drive - cell.fhn.a]))[0]]
    ratio = float(resting[0]) if resting else _BEYOND
    onset = ratio * cell.technology.neuron.unit_current
    if judged := judge(abs(ratio - 1.0), ONSET_WARNING, ONSET_ERROR):
        yield Finding(
            "unit current", "drive at which spiking ends, less 1", ratio - 1.0, math.copysign(judged[1], ratio - 1.0),
            "1", judged[0],
            f"unit current: spiking ends at {1e9 * onset:.3g} nA, where a + I is {ratio:.3g}; neuron.unit_current = "
            f"{onset:.2g} A (with the tails of the drive stages) would put it to 1",
        )  # fmt: skip


def margins(cell: OtaLayout) -> tuple[Margins, Margins]:
    """Margins of the nominal neuron, and their sigmas by the mismatch of its transistors; numbers, not arrays.

    To first order: one neuron for each deviation of one sigma, whose changes add as squares.
    """
    deviations = _deviations(cell)
    n = len(deviations) + 1
    nominal = cell.neuron.nominal(cell.neuron_sizes, n)
    one_each = {name: np.zeros(n) for name in deviations}
    for k, (name, sigma) in enumerate(deviations.items(), start=1):
        one_each[name][k] = sigma
    curves, _, _ = cell.curves(nominal.with_values(**one_each), cell.drive.nominal(cell.drive_sizes, n))
    every = astuple(Margins.of(curves, cell.full_current))
    values = Margins(*(v[0] for v in every))
    return values, Margins(*(np.sqrt(np.square(v[1:] - v[0]).sum()) for v in every))


def _deviations(cell: OtaLayout) -> dict[str, float]:
    """Sigma of the threshold and of the gain of each transistor of a neuron, where it is not 0."""
    sigmas = {}
    for described in cell.neuron.parts.described():
        spread = described.kind.spread
        if not spread.bounded:
            sigmas[described.name] = float(getattr(getattr(cell.technology, described.kind.section), spread.field))
    return {name: sigma for name, sigma in sigmas.items() if sigma}


def _states(cell: OtaLayout, timing: Timing, neuron: TransconductorDynamics) -> Iterator[Finding]:
    """What x reaches in ngspice and y in the equations, against the supplies and the ends of the static curves."""
    volts, supplies = cell.technology.neuron.volts_per_unit, cell.supply_volts
    y = _orbit(neuron, -cell.fhn.a)[1] * volts
    for node, (lowest, highest), curve in (
        ("x", timing.reach, neuron.fast),
        ("y", (float(y.min()), float(y.max())), neuron.coupling),
    ):
        low, high = supplies["vref"] + lowest, supplies["vdd"] - supplies["vref"] - highest
        for room, place, supply in ((low, lowest, "0 V"), (high, highest, f"vdd = {supplies['vdd']:.3g} V")):
            if room < HEADROOM_WARNING:
                severity, limit = _lowest(room, HEADROOM_WARNING, HEADROOM_ERROR)
                yield Finding(
                    node, "distance to a supply (lowest)", room, limit, "V", severity,
                    f"node {node}: it reaches {supplies['vref'] + place:.3g} V, {1e3 * room:.3g} mV from {supply}; its "
                    f"mirrors need {1e3 * HEADROOM_WARNING:g} mV. Another supplies.reference, or larger capacitors (x "
                    "overshoots where the mirrors lag) would help",
                )  # fmt: skip
        ends = float(curve.low[0]) * volts, float(curve.high[0]) * volts
        if lowest < ends[0] or highest > ends[1]:
            beyond = lowest if lowest < ends[0] else highest
            limit = ends[0] if lowest < ends[0] else ends[1]
            yield Finding(
                node, "voltage beyond the static curves", beyond, limit, "V", "error",
                f"node {node}: it reaches {beyond:.3g} V from the reference; the static curves end at {limit:.3g} V, "
                "and the equations are guessed beyond. Larger capacitors would keep it within",
            )  # fmt: skip


def _lag(cell: OtaLayout, timing: Timing) -> Iterator[Finding]:
    """Lag of the mirrors against T, and what it leaves of the capacitor of x, on which it acts as a negative one."""
    lag, drawn = timing.lag / cell.time_unit, cell.neuron_sizes["cx"]
    if judged := judge(lag, LAG_WARNING, LAG_ERROR):
        yield Finding(
            "mirrors", "lag into y and the output, in units of T", lag, judged[1], "1", judged[0],
            f"mirrors: into y and the output they lag by {_microseconds(timing.lag)}, {lag:.2g} T, and x overshoots; "
            "shorter mirrors and legs or larger capacitors (legs.fast_capacitor, legs.slow_capacitor) would help",
        )  # fmt: skip
    ratio = timing.fast / drawn
    if ratio < LAG_X_WARNING:
        severity, limit = _lowest(ratio, LAG_X_WARNING, LAG_X_ERROR)
        yield Finding(
            "Cx", "effective capacitance over the drawn one (lowest)", ratio, limit, "1", severity,
            f"Cx: the lag of the mirrors leaves {100 * ratio:.2g} % of its {1e15 * drawn:.3g} fF; the equations are "
            "off where that is little. A larger legs.fast_capacitor or shorter mirrors would help",
        )  # fmt: skip


def _period(cell: OtaLayout, timing: Timing) -> Iterator[Finding]:
    """Period at a + I = 0 against 2 T; conditions move it, which another time unit does not mend."""
    conditions, ratio = cell.technology.conditions, timing.periods[0] / (2.0 * cell.time_unit)
    usual = (conditions.corner, conditions.temperature, conditions.supply) == ("typical", NOMINAL_TEMPERATURE, 1.0)
    if judged := judge(abs(ratio - 1.0), PERIOD_WARNING if usual else PERIOD_MOVED, PERIOD_ERROR):
        yield Finding(
            "time unit", "period at a + I = 0 over 2 T, less 1", ratio - 1.0, math.copysign(judged[1], ratio - 1.0),
            "1", judged[0],
            f"time unit: the period is {_microseconds(timing.periods[0])} at a + I = 0, {100 * (ratio - 1.0):+.2g} % "
            f"off 2 T, and settling times and control windows are off by as much; time_unit = "
            f"{0.5 * timing.periods[0]:.3g} s would fit",
        )  # fmt: skip


def _orbit(neuron: TransconductorDynamics, drive: float) -> FloatArray:
    """States of one neuron over some periods, shape (n_states, n_times): x, y and, with a lag, more."""
    rhs, jacobian = neuron.flow(drive)
    start = neuron.start(1.0, 0.0)
    run = solve_ivp(rhs, (0.0, _DURATION), start, method="LSODA", rtol=1e-6, atol=1e-8, jac=jacobian)
    return np.asarray(run.y)


def _lowest(value: float, warning: float, error: float) -> tuple[Severity, float]:
    """Severity of a value below `warning`, and the limit that it fell below."""
    return ("error", error) if value < error else ("warning", warning)


def _in_sigmas(value: float, sigma: float) -> float:
    return value / sigma if sigma else math.copysign(math.inf, value)


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} us"
