"""Checks op-amp cells against their parts: levels, slopes, bandwidth, offsets, part values, output currents.

What `choose_scales` and `nominal_parts` refuse never becomes a design; this is about what can be built but may not
work as its equations say. Every finding names the part and the number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.polynomial import Polynomial

from analog_fhn.cell.opamp_fhn.layout import OpAmpLayout
from analog_fhn.cell.opamp_fhn.neuron import MULTIPLIER_OFFSET, NeuronParts, coefficients
from analog_fhn.cell.opamp_fhn.stages import NO_SHIFT
from analog_fhn.cell.parts import CAPACITOR, OPAMP_OFFSET, RESISTOR
from analog_fhn.findings import CURRENT_ERROR, CURRENT_WARNING, Finding, Severity, judge, unusual_resistance
from analog_fhn.neuron import extremes
from analog_fhn.technology.e_series import in_series, nearest

# Close to its limit an output stage is no longer linear, and limits of data sheets are typical values.
LEVEL_WARNING = 0.95
# Spikes at 85 % of the slew rate are still right in ngspice (period within 0.02 %), but slew rates of data sheets are
# typical too: the TL082's smallest is 8 of 13 V/us.
SLEW_WARNING = 0.5
# Share of an integrator's capacitance that its amplifier's gain-bandwidth adds. The coefficients know it to first
# order; what they leave out is of the order of its square, 1 % at the warning.
BANDWIDTH_NOTE, BANDWIDTH_WARNING = 0.01, 0.1
# Expected change of the period from lags that the coefficients leave out: 0.3 % is what ngspice and the coefficients
# may differ by in the tests, 3 % is more than the spread between chips.
LAG_WARNING, LAG_ERROR = 0.003, 0.03
# Period of the ideal neuron at I = -a: 3 - 2 ln 2 + 6.2 eps^(2/3), the second number fitted to 1.712, 1.908 and 2.429
# at eps = 0.002, 0.01, 0.05. A share of Cx acts like the same share of eps.
PERIOD_SLOW, PERIOD_FAST = 3.0 - 2.0 * np.log(2.0), 6.2
# x^2 where the multipliers' lag acts on the period: 0.71, 0.65, 0.61 measured in ngspice at these eps.
LAG_X2 = 0.65
# Slowest decay on the outer branch, where the cubic's loop is fastest, in units of 1/(eps T); ideal: x^2 - 1, about 3.
# ngspice, multipliers of 60, 50, 40 and 30 kHz: 0.36, 0.17, -0.007 and -0.17 give waveforms that are 1.5, 2.4 and
# 6.7 % off, and a circuit that rings by itself.
DECAY_WARNING = 0.5
# Shift by 3 sigma of the offsets, relative to a: beyond a few per cent drives near the bifurcation change regime.
OFFSET_WARNING, OFFSET_ERROR = 0.05, 0.1
# A board's strays are 2 to 5 pF; above 10 uF there are only electrolytic capacitors, which need one polarity.
CAPACITANCE_WARNING, CAPACITANCE_ERROR, CAPACITANCE_LARGEST = 20e-12, 5e-12, 10e-6
# The tolerance of a resistor; a tenth is no longer the neuron that was asked for.
SERIES_WARNING, SERIES_ERROR = 0.01, 0.1


def findings(cell: OpAmpLayout) -> Iterator[Finding]:
    """What may be wrong with op-amp cells.

    The cells are alike, so the first stands for all. Node levels and slopes are those of the ideal equations: |x|, |y|
    from `extremes`, and on the jump from the fold, where y = -2/3, ``eps T dx/dt = x - x^3/3 + 2/3``, at most 4/3.
    """
    for check in (_levels, _slopes, _bandwidth, _stability, _offsets, _values, _currents, _series):
        yield from check(cell)


def _part(cell: OpAmpLayout, name: str) -> float:
    return float(getattr(cell.neurons, name)[0])


def _label(name: str) -> str:
    return name[0].upper() + name[1:]


def _peaks(cell: OpAmpLayout) -> dict[str, tuple[str, float]]:
    """Largest voltage of each node: part -> (node, volts)."""
    scales, vm = cell.scales, cell.technology.multiplier.scale
    x, y = extremes(cell.fhn)
    vx = scales.sx * x
    return {
        "U1": ("Vx", vx),
        "U2": ("Vy", scales.sy * y),
        "U3": ("-Vx", vx * _part(cell, "rb") / _part(cell, "ra")),
        "M1": ("Vx^2/Vm", vx**2 / vm),
        "M2": ("Vx^3/Vm^2", vx**3 / vm**2),
    }


def _levels(cell: OpAmpLayout) -> Iterator[Finding]:
    technology, fhn = cell.technology, cell.fhn
    supplies, supply = technology.supplies, technology.conditions.supply
    peak = "under the largest drive" if extremes(fhn)[0] > 2.05 else "at the peak of a spike"
    levels = [(part, node, volts, peak) for part, (node, volts) in _peaks(cell).items()]
    levels += [(part, "its output", volts, "at the ceiling") for part, volts in cell.drive.levels().items()]
    for part, node, volts, when in levels:
        limit = (
            technology.opamp if part.startswith("U") else technology.multiplier
        ).output_limit - technology.lost_swing
        if judged := judge(volts, LEVEL_WARNING * limit, limit):
            at = f" with the supplies at {supply:g} of nominal" if supply != 1.0 else ""
            yield Finding(
                part, f"level of {node}", volts, judged[1], "V", judged[0],
                f"{part}: {node} reaches {volts:.3g} V {when}; its output ends at {limit:.3g} V{at}",
            )  # fmt: skip
        elif volts > supplies.linear_range * (1.0 + 1e-6):
            yield Finding(
                part, f"level of {node}", volts, supplies.linear_range, "V", "warning",
                f"{part}: {node} reaches {volts:.3g} V {when}; the technology's linear range is "
                f"{supplies.linear_range:.3g} V",
            )  # fmt: skip


def _slopes(cell: OpAmpLayout) -> Iterator[Finding]:
    technology, fhn, scales = cell.technology, cell.fhn, cell.scales
    vm = technology.multiplier.scale
    x = np.linspace(-1.0, 2.0, 601)
    fast = (x - x**3 / 3.0 + 2.0 / 3.0) / (fhn.eps * scales.time_unit) * scales.sx
    slow = scales.sy * (extremes(fhn)[0] + abs(fhn.a) + abs(fhn.gamma)) / scales.time_unit
    vx = scales.sx * x
    inverter = _part(cell, "rb") / _part(cell, "ra")
    slopes = {
        "U1": ("Vx", float(fast.max()), technology.opamp.slew_rate),
        "U2": ("Vy", slow, technology.opamp.slew_rate),
        "U3": ("-Vx", float(fast.max()) * inverter, technology.opamp.slew_rate),
        "M1": ("Vx^2/Vm", float(np.abs(2.0 * vx / vm * fast).max()), technology.multiplier.slew_rate),
        "M2": ("Vx^3/Vm^2", float((3.0 * vx**2 / vm**2 * fast).max()), technology.multiplier.slew_rate),
    }
    for part, (node, slope, limit) in slopes.items():
        if limit is not None and (judged := judge(slope, SLEW_WARNING * limit, limit)):
            yield Finding(
                part, f"slope of {node}", slope, judged[1], "V/s", judged[0],
                f"{part}: {node} must move at up to {slope * 1e-6:.3g} V/us; its slew rate is {limit * 1e-6:.3g} V/us",
            )  # fmt: skip


def _bandwidth(cell: OpAmpLayout) -> Iterator[Finding]:
    technology, eps = cell.technology, cell.fhn.eps
    r1, r2, r3, r4, r5, cx, cy = (_part(cell, n) for n in ("r1", "r2", "r3", "r4", "r5", "cx", "cy"))
    wt = 2.0 * np.pi * technology.opamp.gain_bandwidth
    sums = {"U1": ("Cx", (1 / r1 + 1 / r2 + 1 / r3) / wt / cx), "U2": ("Cy", (1 / r4 + 1 / r5) / wt / cy)}
    for part, (capacitor, share) in sums.items():
        if share > BANDWIDTH_NOTE:
            severity: Severity = "warning" if share > BANDWIDTH_WARNING else "note"
            limit = BANDWIDTH_WARNING if share > BANDWIDTH_WARNING else BANDWIDTH_NOTE
            yield Finding(
                part, f"share of {capacitor} from its gain-bandwidth", share, limit, "1", severity,
                f"{part}: its gain-bandwidth acts as {100 * share:.3g} % more {capacitor}; the coefficients contain it "
                "to first order",
            )  # fmt: skip
    inverter = _part(cell, "rb") / _part(cell, "ra")
    fast = PERIOD_FAST * eps ** (2.0 / 3.0)
    sensitivity = 2.0 / 3.0 * fast / (PERIOD_SLOW + fast)
    tau = 1.0 / (2.0 * np.pi * technology.multiplier.bandwidth)
    per_x2 = 5.0 * tau * cell.scales.sx**2 / technology.multiplier.scale**2 / (r2 * cx)
    lags = {
        "U3": ("+", "its lag", inverter * (1.0 + inverter) / (r1 * wt) / cx),
        "M1, M2": ("-", "their lag", LAG_X2 * per_x2),
    }
    for part, (sign, what, share) in lags.items():
        estimate = sensitivity * share
        if judged := judge(estimate, LAG_WARNING, LAG_ERROR):
            yield Finding(
                part, "change of the period by lag", estimate, judged[1], "1", judged[0],
                f"{part}: {what} acts as {sign}{100 * share:.3g} % of Cx, about {sign}{100 * estimate:.2g} % of the "
                "period, which the coefficients do not contain",
            )  # fmt: skip


def _stability(cell: OpAmpLayout) -> Iterator[Finding]:
    """The loop U1, M1, M2 on the outer branch: roots of its characteristic polynomial, y standing still.

    With V = Vx at the peak, tau the multipliers' and t3 U3's time constant, 1/wt U1's::

        s (Cx (1 + s/wt) + sumG1/wt) = (Rb/Ra)/(R1 (1 + s t3)) - V^2/(Vm^2 R2) (2/(1 + s tau)^2 + 1/(1 + s tau))
    """
    technology, fhn = cell.technology, cell.fhn
    r1, r2, r3, ra, rb, cx = (_part(cell, n) for n in ("r1", "r2", "r3", "ra", "rb", "cx"))
    wt = 2.0 * np.pi * technology.opamp.gain_bandwidth
    tau = 1.0 / (2.0 * np.pi * technology.multiplier.bandwidth)
    volts = _peaks(cell)["U1"][1]
    # Time in units of eps T keeps the coefficients within the range of doubles.
    unit = fhn.eps * cell.scales.time_unit
    s = Polynomial([0.0, 1.0 / unit])
    m, u3 = 1.0 + tau * s, 1.0 + (1.0 + rb / ra) / wt * s
    g1 = 1.0 / r1 + 1.0 / r2 + 1.0 / r3
    cube = volts**2 / technology.multiplier.scale**2 / r2
    loop = s * (cx + cx / wt * s + g1 / wt) * u3 * m * m - rb / ra / r1 * m * m + cube * (2.0 + m) * u3
    decay = -float(loop.roots().real.max())
    if decay < DECAY_WARNING:
        severity: Severity = "error" if decay < 0.0 else "warning"
        yield Finding(
            "U1, M1, M2", "decay of the cubic's loop", decay, 0.0 if decay < 0.0 else DECAY_WARNING, "1/(eps T)",
            severity,
            f"U1, M1, M2: at Vx = {volts:.3g} V the cubic's loop "
            + ("rings by itself" if decay < 0.0 else "hardly decays")
            + f" (decay {decay:.2g}/(eps T), ideally about 3)",
        )  # fmt: skip


def _offsets(cell: OpAmpLayout) -> Iterator[Finding]:
    technology, fhn = cell.technology, cell.fhn
    offsets = NeuronParts.names(OPAMP_OFFSET)
    sigmas = dict.fromkeys(offsets, technology.opamp.offset_spread(technology.conditions.temperature))
    sigmas |= dict.fromkeys(NeuronParts.names(MULTIPLIER_OFFSET), technology.multiplier.offset_sigma)

    def numbers(**changed: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        parts = replace(cell.neurons[:1], **{name: np.array([value]) for name, value in changed.items()})
        c = coefficients(parts, cell.scales, technology, fhn.eps)
        return np.array([c.q[0, 0] / c.q[0, 1], c.p[0, 0], c.p[0, 2]])

    nominal = numbers()
    shifts = np.array([numbers(**{name: sigma}) - nominal for name, sigma in sigmas.items()])
    rss = 3.0 * np.sqrt((shifts**2).sum(axis=0))
    for column, quantity in enumerate(("a", "p0", "p2")):
        if judged := judge(rss[column], OFFSET_WARNING * fhn.a, OFFSET_ERROR * fhn.a):
            part = "U1, U2, U3, M1, M2"
            if (shifts[: len(offsets), column] ** 2).sum() > 0.9 * (shifts[:, column] ** 2).sum():
                part = "U1, U2, U3"
            yield Finding(
                part, f"shift of {quantity} by 3 sigma of the offsets", float(rss[column]), judged[1], "1", judged[0],
                f"{part}: 3 sigma of the offsets move {quantity} by {rss[column]:.2g}; a is {fhn.a:g}",
            )  # fmt: skip


def _values(cell: OpAmpLayout) -> Iterator[Finding]:
    for label, value in _resistors(cell):
        if finding := unusual_resistance(label, value):
            yield finding
    for name in NeuronParts.names(CAPACITOR):
        value, label = _part(cell, name), _label(name)
        if value < CAPACITANCE_WARNING:
            severity: Severity = "error" if value < CAPACITANCE_ERROR else "warning"
            limit = CAPACITANCE_ERROR if value < CAPACITANCE_ERROR else CAPACITANCE_WARNING
            yield Finding(
                label, "capacitance", value, limit, "F", severity,
                f"{label} = {value * 1e12:.3g} pF: a board's strays are 2 to 5 pF",
            )  # fmt: skip
        elif value > CAPACITANCE_LARGEST:
            yield Finding(
                label, "capacitance", value, CAPACITANCE_LARGEST, "F", "warning",
                f"{label} = {value * 1e6:.3g} uF: more than {CAPACITANCE_LARGEST * 1e6:g} uF needs a polarised part",
            )  # fmt: skip


def _currents(cell: OpAmpLayout) -> Iterator[Finding]:
    fhn, scales = cell.fhn, cell.scales
    r1, r2, r3, r4, ra, rb, cy = (_part(cell, n) for n in ("r1", "r2", "r3", "r4", "ra", "rb", "cy"))
    volts = {part: level for part, (_, level) in _peaks(cell).items()}
    slow = scales.sy * (extremes(fhn)[0] + abs(fhn.a) + abs(fhn.gamma)) / scales.time_unit
    loads = {
        # On the jump Cx takes 4/3 Sx/R1, whatever eps and T are.
        "U1": volts["U1"] / ra + 4.0 / 3.0 * scales.sx / r1,
        "U2": volts["U2"] / r3 + cy * slow,
        "U3": volts["U3"] * (1 / r1 + 1 / r4 + 1 / rb),
        "M2": volts["M2"] / r2,
    }
    # The row driver hangs on U3 if its gain is positive, which an inverting amplifier makes of -Vx.
    driven = "U3" if cell.recentring[0] > 0 else "U1"
    loads[driven] += volts[driven] / cell.technology.row_driver.input_resistor
    loads |= cell.drive.loads()
    for part, current in loads.items():
        if judged := judge(current, CURRENT_WARNING, CURRENT_ERROR):
            yield Finding(
                part, "output current", current, judged[1], "A", judged[0],
                f"{part}: its load takes up to {current * 1e3:.3g} mA, more than {judged[1] * 1e3:g} mA",
            )  # fmt: skip


def _series(cell: OpAmpLayout) -> Iterator[Finding]:
    parts = {
        "eps": "R1, Cx, Cy", "a": "R2, R5", "cubic": "R2", "y_gain": "R3", "time_unit": "R3, Cy",
        **cell.drive.CULPRITS, "offset": "Rshift",
    }  # fmt: skip
    for name, error in cell.errors.items():
        if judged := judge(abs(error), SERIES_WARNING, SERIES_ERROR):
            yield Finding(
                parts[name], f"error of {name}", error, judged[1], "1", judged[0],
                f"{parts[name]}: the series leave an error of {100 * error:+.2g} % in {name}",
            )  # fmt: skip
    capacitors = [(_label(name), _part(cell, name)) for name in NeuronParts.names(CAPACITOR)]
    for unit, values, passive in (
        ("ohm", _resistors(cell), cell.technology.resistor),
        ("F", capacitors, cell.technology.capacitor),
    ):
        for label, value in values:
            if not in_series(passive.series, value):
                near = nearest(passive.series, value)
                yield Finding(
                    label, "series", value, near, unit, "warning",
                    f"{label} = {value:.6g}: no value of {passive.series}; the nearest is {near:.6g}",
                )  # fmt: skip


def _resistors(cell: OpAmpLayout) -> list[tuple[str, float]]:
    """Label and value of every resistor of a hidden cell; a shift resistor that is left out is none."""
    parts = [(_label(name), float(getattr(group, name)[0])) for group in cell.nominal for name in group.names(RESISTOR)]
    return [(label, value) for label, value in parts if value < NO_SHIFT]
