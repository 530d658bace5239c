"""Inverse design: from wanted eps, a, gamma and T to values that can be bought.

A technology whose resistors or capacitors come from an E series cannot have every value. The voltage scales are
free, within limits: with Sx = Vm sqrt(R2/(3 R1)) the cubic is exact for any R1 and R2 of the series, and with
Sy = Sx R3/R1 so is y's gain. What is left are the errors of eps, a and T, and these are what the search makes small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analog_fhn.cell.opamp_fhn.neuron import NeuronParts, Scales, choose_scales, nominal_parts
from analog_fhn.cell.parts import CAPACITOR, RESISTOR
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.e_series import between, downward, nearest

# What each relative error may be before a value farther from the technology's own is tried. a decides how far the
# neuron is from the bifurcation, and its error acts like a shift of every drive; eps and T only move the period, and
# by less than the capacitors' tolerance.
AIMS = {"eps": 0.01, "a": 0.002, "cubic": 0.002, "y_gain": 0.002, "time_unit": 0.01}

# How far below its largest value each scale may be set: the offsets gain in weight by as much.
SX_LOSS = 0.08
SY_LOSS = 0.15
# R1 stays within a tenth of a decade of the technology's value, on either side.
R1_SPAN = 10**0.1
# What is called a resistor or capacitor at all (ohm, F); what is sensible is for the checks to say.
RESISTORS_EXIST, CAPACITORS_EXIST = (1e-3, 1e15), (1e-18, 1e3)


@dataclass(frozen=True)
class Synthesis:
    """Scales and parts of a design, and what is left of the wish.

    Parameters
    ----------
    scales
        Chosen Sx, Sy (V) and the wanted time unit T (s): a deviation of T shows in the coefficients.
    parts
        Components of n neurons, all errors zero; values of the technology's series.
    errors
        Relative errors of ``eps``, ``a``, ``cubic``, ``y_gain`` and ``time_unit``, see `parameter_errors`.
    """

    scales: Scales
    parts: NeuronParts
    errors: dict[str, float]


def synthesise(fhn: FHN, technology: BoardTechnology, n_neurons: int) -> Synthesis:
    """Scales and nominal parts of `n_neurons` neurons, values taken from the technology's E series.

    R4 is the technology's, since the drive current I Sx/R4 is scaled with it; so is R1 unless the aims (`AIMS`)
    cannot be met with it. Of the values that meet all aims, those with R1 nearest the technology's are taken, then
    those with the largest Sx, then the largest Sy; if none does, those with the smallest sum of squared errors, each
    in units of its aim. Without series the result is `choose_scales` and `nominal_parts`.

    Raises
    ------
    InputError
        As `choose_scales` and `nominal_parts`, and if a part is so small or large that it does not exist.
    """
    largest = choose_scales(fhn, technology)
    exact = nominal_parts(fhn, technology, largest, n_neurons)
    for kind, (low, high), unit in ((RESISTOR, RESISTORS_EXIST, "ohm"), (CAPACITOR, CAPACITORS_EXIST, "F")):
        for name in NeuronParts.names(kind):
            value = float(getattr(exact, name)[0])
            if not low <= value <= high:
                raise InputError(
                    f"eps = {fhn.eps:g}, a = {fhn.a:g}, T = {technology.time_unit:g} s ask for "
                    f"{name[0].upper()}{name[1:]} = {value:.3g} {unit}; expected {low:g} to {high:g} {unit}"
                )
    if technology.resistor.series is None and technology.capacitor.series is None:
        return Synthesis(largest, exact, parameter_errors(fhn, technology, largest, exact))
    best: Synthesis | None = None
    for candidate in _candidates(fhn, technology, largest):
        if all(abs(error) <= AIMS[name] for name, error in candidate.errors.items()):
            best = candidate
            break
        if best is None or _cost(candidate) < _cost(best):
            best = candidate
    assert best is not None
    parts = NeuronParts(**{name: np.repeat(value, n_neurons) for name, value in best.parts.items()})
    return Synthesis(best.scales, parts, best.errors)


def parameter_errors(fhn: FHN, technology: BoardTechnology, scales: Scales, parts: NeuronParts) -> dict[str, float]:
    """Relative errors of what the first neuron's parts make, with ideal amplifiers and multipliers.

    The neuron obeys the FHN equations with ``eps = R1 Cx/T'``, ``a = Vref R4/(R5 Sx)``, the cubic coefficient
    ``Sx^2 R1/(Vm^2 R2)`` (1/3), y's gain ``Sy R1/(Sx R3)`` (1), in the time unit ``T' = R4 Cy Sy/Sx`` (nodal
    analysis, see `analog_fhn.cell.opamp_fhn.neuron.coefficients`).
    """
    r1, r2, r3, r4, r5, cx, cy = (float(getattr(parts, n)[0]) for n in ("r1", "r2", "r3", "r4", "r5", "cx", "cy"))
    time_unit = r4 * cy * scales.sy / scales.sx
    vm, reference = technology.multiplier.scale, technology.supplies.reference
    return {
        "eps": r1 * cx / (time_unit * fhn.eps) - 1.0,
        "a": reference * r4 / (r5 * scales.sx * fhn.a) - 1.0,
        "cubic": 3.0 * scales.sx**2 * r1 / (vm**2 * r2) - 1.0,
        "y_gain": scales.sy * r1 / (scales.sx * r3) - 1.0,
        "time_unit": time_unit / scales.time_unit - 1.0,
    }


def _cost(candidate: Synthesis) -> float:
    return sum((error / AIMS[name]) ** 2 for name, error in candidate.errors.items())


def _candidates(fhn: FHN, technology: BoardTechnology, largest: Scales) -> Iterator[Synthesis]:
    """Single neurons in the order of preference."""
    r_series, c_series = technology.resistor.series, technology.capacitor.series
    vm, r4, unit = technology.multiplier.scale, technology.neuron.r4, largest.time_unit
    ra = nearest(r_series, technology.neuron.ra)
    for r1 in _r1_values(fhn, technology, unit):
        for r2 in downward(r_series, 3.0 * largest.sx**2 * r1 / vm**2, (1.0 - SX_LOSS) ** 2):
            sx = vm * math.sqrt(r2 / (3.0 * r1))
            r5 = nearest(r_series, technology.supplies.reference * r4 / (fhn.a * sx))
            for r3, cy in _slow_side(technology, r1, min(1.0, largest.sy / sx), unit):
                cx = nearest(c_series, fhn.eps * r4 * cy * r3 / r1 / r1)
                values = {"r1": r1, "r2": r2, "r3": r3, "r4": r4, "r5": r5, "ra": ra, "rb": ra, "cx": cx, "cy": cy}
                parts = NeuronParts.alike(1, values)
                scales = Scales(sx, sx * r3 / r1, unit)
                yield Synthesis(scales, parts, parameter_errors(fhn, technology, scales, parts))


def _r1_values(fhn: FHN, technology: BoardTechnology, unit: float) -> list[float]:
    base, series = technology.neuron.r1, technology.resistor.series
    if series is None:
        return [fhn.eps * unit / nearest(technology.capacitor.series, fhn.eps * unit / base)]
    near = between(series, base / R1_SPAN, base * R1_SPAN)
    return sorted(near, key=lambda r1: abs(math.log(r1 / base)))


def _slow_side(technology: BoardTechnology, r1: float, ratio: float, unit: float) -> list[tuple[float, float]]:
    """Pairs (R3, Cy) with R3/R1 = Sy/Sx at most `ratio`, the largest Sy first; T = R4 Cy R3/R1."""
    r_series, c_series, r4 = technology.resistor.series, technology.capacitor.series, technology.neuron.r4
    r3_cy = unit * r1 / r4
    if r_series is None:
        assert c_series is not None
        lowest = r3_cy / (ratio * r1)
        cy = between(c_series, lowest * (1.0 - 1e-9), 2.0 * lowest)[0]
        return [(r3_cy / cy, cy)]
    return [(r3, nearest(c_series, r3_cy / r3)) for r3 in downward(r_series, ratio * r1, 1.0 - SY_LOSS)]
