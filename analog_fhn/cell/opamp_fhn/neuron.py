"""The FHN neuron as three op-amps, two multipliers, two capacitors and seven resistors.

U1 integrates x (inverting): currents into its summing node from -Vx through R1, from W = Vx^3/Vm^2 through R2
and from Vy through R3, feedback Cx. U2 integrates y: from -Vx through R4, from the reference -Vref through R5,
feedback Cy; the drive current is drawn out of its summing node. U3 makes -Vx (Ra, Rb). Vx = Sx x, Vy = Sy y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.cell.parts import CAPACITOR, OPAMP_OFFSET, RESISTOR, Deviation, Kind, Parts, part
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Coefficients, FloatArray, extremes
from analog_fhn.technology.board import BoardTechnology


@dataclass(frozen=True)
class Scales:
    """Voltage per unit of x and of y (V), and the time unit T (s)."""

    sx: float
    sy: float
    time_unit: float


MULTIPLIER_SCALE = Kind("multiplier", False, Deviation("scale_sigma", False))
MULTIPLIER_OFFSET = Kind("multiplier", False, Deviation("offset_sigma", False))


@dataclass(frozen=True)
class NeuronParts(Parts):
    """Component values of n neurons; every field has shape (n,).

    Parameters
    ----------
    r1, r2, r3, r4, r5, ra, rb
        Resistors (ohm).
    cx, cy
        Capacitors (F).
    vos1, vos2, vos3
        Input offsets of U1, U2, U3 (V).
    m1_scale, m2_scale
        Relative scale errors of the multipliers: ``W = (1 + error) (X + x)(Y + y)/scale + z``.
    m1_x, m1_y, m1_z, m2_x, m2_y, m2_z
        Their X, Y and output offsets (V). M1 squares Vx; M2 multiplies Vx (X) with M1's output (Y).
    """

    r1: FloatArray = part(RESISTOR, "-Vx into U1: sets the time scale of x")
    r2: FloatArray = part(RESISTOR, "Vx^3/Vm^2 into U1: the cubic")
    r3: FloatArray = part(RESISTOR, "Vy into U1")
    r4: FloatArray = part(RESISTOR, "-Vx into U2: sets the time unit and the drive current")
    r5: FloatArray = part(RESISTOR, "reference into U2: a")
    ra: FloatArray = part(RESISTOR, "input of the inverter U3")
    rb: FloatArray = part(RESISTOR, "feedback of the inverter U3")
    cx: FloatArray = part(CAPACITOR, "feedback of U1: integrates x")
    cy: FloatArray = part(CAPACITOR, "feedback of U2: integrates y")
    vos1: FloatArray = part(OPAMP_OFFSET, lot="vos")
    vos2: FloatArray = part(OPAMP_OFFSET, lot="vos")
    vos3: FloatArray = part(OPAMP_OFFSET, lot="vos")
    m1_scale: FloatArray = part(MULTIPLIER_SCALE, lot="scale")
    m1_x: FloatArray = part(MULTIPLIER_OFFSET, lot="x")
    m1_y: FloatArray = part(MULTIPLIER_OFFSET, lot="y")
    m1_z: FloatArray = part(MULTIPLIER_OFFSET, lot="z")
    m2_scale: FloatArray = part(MULTIPLIER_SCALE, lot="scale")
    m2_x: FloatArray = part(MULTIPLIER_OFFSET, lot="x")
    m2_y: FloatArray = part(MULTIPLIER_OFFSET, lot="y")
    m2_z: FloatArray = part(MULTIPLIER_OFFSET, lot="z")


def choose_scales(fhn: FHN, technology: BoardTechnology) -> Scales:
    """Largest Sx, Sy for which no node leaves the linear range under the largest drive.

    x and y reach `extremes`, the cubic's voltage is ``W = Vx^3/Vm^2``. Sy never exceeds Sx: a larger one would win
    nothing against the offsets, which act through R1, R2 and R4.

    Raises
    ------
    InputError
        If a scale would fall below `supplies.minimum_scale`: with such a gamma offsets would dominate.
    """
    limit = technology.supplies.linear_range
    vm = technology.multiplier.scale
    x_max, y_max = extremes(fhn)
    sx = min(limit, np.cbrt(limit * vm**2)) / x_max
    sy = min(sx, limit / y_max)
    if min(sx, sy) < technology.supplies.minimum_scale:
        raise InputError(
            f"technology {technology.name!r}: a = {fhn.a:g}, gamma = {fhn.gamma:g} ask for |x| up to {x_max:.3g} and "
            f"|y| up to {y_max:.3g}; within {limit:g} V this leaves Sx = {sx:.3g} V, Sy = {sy:.3g} V, less than "
            f"supplies.minimum_scale = {technology.supplies.minimum_scale:g} V. Use a smaller |gamma| "
            "(about 2 or less), or simulate it as mathematics, without a technology"
        )
    return Scales(float(sx), float(sy), technology.time_unit)


def nominal_parts(fhn: FHN, technology: BoardTechnology, scales: Scales, n_neurons: int) -> NeuronParts:
    """Nominal components of `n_neurons` neurons, all errors zero.

    Cx = eps T/R1, R2 = 3 Sx^2 R1/Vm^2, R3 = R1 Sy/Sx, Cy = T Sx/(Sy R4), R5 = Vref R4/(a Sx)  (nodal analysis).

    Raises
    ------
    InputError
        If ``a <= 0``: R5 brings a from a negative reference.
    """
    if fhn.a <= 0:
        raise InputError(f"a = {fhn.a:g}: the circuit makes a from a negative reference and needs a > 0")
    base = technology.neuron
    values = {
        "r1": base.r1,
        "r2": 3.0 * scales.sx**2 * base.r1 / technology.multiplier.scale**2,
        "r3": base.r1 * scales.sy / scales.sx,
        "r4": base.r4,
        "r5": technology.supplies.reference * base.r4 / (fhn.a * scales.sx),
        "ra": base.ra,
        "rb": base.ra,
        "cx": fhn.eps * scales.time_unit / base.r1,
        "cy": scales.time_unit * scales.sx / (scales.sy * base.r4),
    }
    return NeuronParts.alike(n_neurons, values)


def coefficients(
    parts: NeuronParts, scales: Scales, technology: BoardTechnology, eps: float, load: FloatArray | float = 0.0
) -> Coefficients:
    """Nine coefficients of each neuron from its actual parts, by nodal analysis.

    The summing nodes sit at the offset voltages, and an op-amp of finite gain-bandwidth and gain A adds
    ``sum(G)/wt`` to its integrator's capacitor and a leak ``sum(G)/A`` across it (first order in 1/A, 1/wt)::

        (Cx (1 + 1/A) + sumG1/wt) dVx/dt = -Vnx/R1 - W/R2 - Vy/R3 + Vos1 sumG1 + Ib - Vx sumG1/A
        Vnx = -(Rb/Ra) Vx + Vos3 (1 + Rb/Ra) + Ib Rb
        (Cy (1 + 1/A) + sumG2/wt) dVy/dt = -Vnx/R4 + Vref/R5 + Iin + Vos2 (1/R4 + 1/R5) + Ib - Vy sumG2/A

    with Ib the amplifiers' bias current, sumG1 = 1/R1 + 1/R2 + 1/R3, sumG2 = 1/R4 + 1/R5 + load; Iin is what flows out
    of the node at the voltage Vos2. The multipliers give
    ``W = k2 (Vx + x2)(k1 (Vx + x1)(Vx + y1) + z1 + y2) + z2``, k = (1 + error)/Vm: an even term appears.
    U3's finite gain scales -Vx by 1/(1 + (1 + Rb/Ra)/A). The drive is I = Iin R4/Sx with the nominal R4.

    Parameters
    ----------
    parts
        Component values of n neurons.
    eps
        Nominal time-scale ratio, the factor that the coefficients are normalised with.
    load
        Conductance (S) that the drive stage adds to the summing node of U2, shape (n,); 0: it is a current source.
    """
    sx, sy, unit = scales.sx, scales.sy, scales.time_unit
    amp = technology.opamp
    bias = amp.input_current(technology.conditions.temperature)
    inv_gain, inv_offset = inverter(parts, technology)

    w0, w1, w2, w3 = cubic(parts, technology)
    g1, g2 = node_conductances(parts)
    cx, cy = integrators(parts, technology, load)
    factor = eps * unit / (sx * cx)
    p = np.stack(
        [
            factor * (parts.vos1 * g1 + bias - inv_offset / parts.r1 - w0 / parts.r2),
            factor * sx * (inv_gain / parts.r1 - w1 / parts.r2 - g1 / amp.gain),
            -factor * sx**2 * w2 / parts.r2,
            -factor * sx**3 * w3 / parts.r2,
            -factor * sy / parts.r3,
        ],
        axis=1,
    )
    factor = unit / (sy * cy)
    reference = technology.supplies.reference
    q = np.stack(
        [
            factor * (reference / parts.r5 + parts.vos2 * g2 + bias - inv_offset / parts.r4),
            factor * sx * inv_gain / parts.r4,
            -factor * sy * (g2 + load) / amp.gain,
            factor * drive_current(1.0, scales, technology) * np.ones(len(parts)),
        ],
        axis=1,
    )
    return Coefficients(p, q, eps)


def cubic(parts: NeuronParts, technology: BoardTechnology) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """w0 (V), w1, w2 (1/V), w3 (1/V^2) of the multipliers, each of shape (n,): ``W = w0 + w1 Vx + w2 Vx^2 + w3 Vx^3``.

    See `coefficients`.
    """
    vm = technology.multiplier.scale
    k1, k2 = (1.0 + parts.m1_scale) / vm, (1.0 + parts.m2_scale) / vm
    residue = k1 * parts.m1_x * parts.m1_y + parts.m1_z + parts.m2_y
    pair = k1 * (parts.m1_x + parts.m1_y)
    return (
        k2 * parts.m2_x * residue + parts.m2_z,
        k2 * (residue + parts.m2_x * pair),
        k2 * (pair + k1 * parts.m2_x),
        k1 * k2,
    )


def inverter(parts: NeuronParts, technology: BoardTechnology) -> tuple[FloatArray, FloatArray]:
    """Gain and output offset (V) of U3, each of shape (n,): ``Vnx = -gain Vx + offset``."""
    ratio = parts.rb / parts.ra
    error = 1.0 / (1.0 + (1.0 + ratio) / technology.opamp.gain)
    bias = technology.opamp.input_current(technology.conditions.temperature)
    return ratio * error, (parts.vos3 * (1.0 + ratio) + bias * parts.rb) * error


def node_conductances(parts: NeuronParts) -> tuple[FloatArray, FloatArray]:
    """Conductance (S) on the summing nodes of U1 (R1, R2, R3) and U2 (R4, R5), each of shape (n,)."""
    return 1.0 / parts.r1 + 1.0 / parts.r2 + 1.0 / parts.r3, 1.0 / parts.r4 + 1.0 / parts.r5


def integrators(
    parts: NeuronParts, technology: BoardTechnology, load: FloatArray | float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Capacitances (F) on which U1 and U2 integrate, each of shape (n,): Cx (1 + 1/A) + sumG1/wt, likewise Cy.

    Parameters
    ----------
    load
        As for `coefficients`.
    """
    amp = technology.opamp
    wt = 2.0 * np.pi * amp.gain_bandwidth
    g1, g2 = node_conductances(parts)
    return parts.cx * (1.0 + 1.0 / amp.gain) + g1 / wt, parts.cy * (1.0 + 1.0 / amp.gain) + (g2 + load) / wt


def drive_current(drive: float, scales: Scales, technology: BoardTechnology) -> float:
    """Current (A) drawn out of U2's summing node for the drive I: ``Iin = I Sx/R4``, R4 nominal."""
    return drive * scales.sx / technology.neuron.r4
