"""The op-amp neuron: its nine coefficients against the currents at its nodes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.cell.opamp_fhn.neuron import (
    NeuronParts,
    Scales,
    choose_scales,
    coefficients,
    drive_current,
    nominal_parts,
)
from analog_fhn.cell.parts import CAPACITOR, RESISTOR
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
# Amplifiers so good that their finite gain and bandwidth drop out of the 1e-9 comparison below.
IDEAL_AMPLIFIERS = DISCRETE.model_copy(
    update={"opamp": DISCRETE.opamp.model_copy(update={"gain": 1e18, "gain_bandwidth": 1e24, "bias_current": 0.0})}
)
LEAKY_AMPLIFIERS = IDEAL_AMPLIFIERS.model_copy(
    update={"opamp": IDEAL_AMPLIFIERS.opamp.model_copy(update={"bias_current": 2e-6})}
)
N = 40


def random_parts(fhn: FHN, technology: Technology, scales: Scales, seed: int) -> NeuronParts:
    """Nominal parts with every value off: 5 % in the passives, 2 % in the scales and 20 mV in the offsets."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, value in nominal_parts(fhn, technology, scales, N).items():
        if NeuronParts.kind_of(name) in (RESISTOR, CAPACITOR):
            values[name] = value * (1 + 0.05 * rng.normal(size=N))
        else:
            values[name] = value + 0.02 * rng.normal(size=N)
    return NeuronParts(**values)


def multiplier(x: NDArray[np.float64], y: NDArray[np.float64], n: int, parts: NeuronParts, vm: float) -> NDArray:
    """Multiplier `n` by its data sheet: W = (1 + error)(X + x)(Y + y)/Vm + z."""
    error, dx, dy, dz = (getattr(parts, f"m{n}_{name}") for name in ("scale", "x", "y", "z"))
    return (1 + error) * (x + dx) * (y + dy) / vm + dz


def by_nodes(
    parts: NeuronParts, technology: Technology, vx: NDArray, vy: NDArray, current: NDArray
) -> tuple[NDArray, NDArray]:
    """(dVx/dt, dVy/dt) in V/s from Kirchhoff's law at three summing nodes, each held at its amplifier's offset."""
    vm, vref = technology.multiplier.scale, technology.supplies.reference
    # U3: the current through Ra into the node at Vos3 leaves through Rb.
    bias = technology.opamp.bias_current
    vnx = parts.vos3 - ((vx - parts.vos3) / parts.ra - bias) * parts.rb
    w = multiplier(vx, multiplier(vx, vx, 1, parts, vm), 2, parts, vm)
    # U1: what R1, R2 and R3 bring in flows on through Cx, whose other end is Vx.
    into_u1 = (vnx - parts.vos1) / parts.r1 + (w - parts.vos1) / parts.r2 + (vy - parts.vos1) / parts.r3
    # U2: likewise; the reference is negative, and the drive is drawn out of the node.
    into_u2 = (vnx - parts.vos2) / parts.r4 + (-vref - parts.vos2) / parts.r5 - current
    return -(into_u1 - bias) / parts.cx, -(into_u2 - bias) / parts.cy


@pytest.mark.parametrize("fhn", [FHN(), FHN(eps=0.03, a=1.05, gamma=-0.5), FHN(a=0.7, gamma=-1.5)])
def test_nominal_parts_give_the_ideal_equations(fhn: FHN) -> None:
    scales = choose_scales(fhn, IDEAL_AMPLIFIERS)
    parts = nominal_parts(fhn, IDEAL_AMPLIFIERS, scales, 3)
    c = coefficients(parts, scales, IDEAL_AMPLIFIERS, fhn.eps)
    # Reference 1, equation 1; a dozen roundings.
    np.testing.assert_allclose(c.p, np.tile([0, 1, 0, -1 / 3, -1], (3, 1)), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(c.q, np.tile([fhn.a, 1, 0, 1], (3, 1)), rtol=1e-13, atol=1e-14)


def test_nominal_values_are_those_of_the_worked_example() -> None:
    # Sx = Sy = 4 V, T = 1 ms, eps 0.01, a 1.05, Vref 10 V: R2 = 4.8k, R3 = 10k, R5 = 238.1k, Cx = 1 nF, Cy = 10 nF
    # (nodal analysis, in the project's electronics notes, to the digits given there).
    parts = nominal_parts(FHN(a=1.05), DISCRETE, Scales(4.0, 4.0, 1e-3), 1)
    found = [float(v[0]) for v in (parts.r2, parts.r3, parts.r5, parts.cx, parts.cy)]
    assert found == pytest.approx([4800.0, 10e3, 238.1e3, 1e-9, 10e-9], rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fhn", [FHN(), FHN(eps=0.02, a=0.8, gamma=-1.4)])
def test_coefficients_are_the_currents_at_the_nodes(fhn: FHN, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    scales = choose_scales(fhn, LEAKY_AMPLIFIERS)
    parts = random_parts(fhn, LEAKY_AMPLIFIERS, scales, seed)
    c = coefficients(parts, scales, LEAKY_AMPLIFIERS, fhn.eps)
    x, y, drive = rng.uniform(-2.5, 2.5, size=(3, 30, N))
    dx, dy = c.derivatives(x, y, drive)
    # I = Iin R4/Sx with the nominal R4
    current = drive * scales.sx / LEAKY_AMPLIFIERS.neuron.r4
    dvx, dvy = by_nodes(parts, LEAKY_AMPLIFIERS, scales.sx * x, scales.sy * y, current)
    # dx/dt is a difference of numbers up to 10/eps: 1e-9 of that size, not of what is left near a nullcline
    np.testing.assert_allclose(dx, dvx / scales.sx * scales.time_unit, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dy, dvy / scales.sy * scales.time_unit, rtol=1e-9, atol=1e-9)


def with_opamp(gain: float, gain_bandwidth: float) -> Technology:
    opamp = DISCRETE.opamp.model_copy(update={"gain": gain, "gain_bandwidth": gain_bandwidth})
    return DISCRETE.model_copy(update={"opamp": opamp})


@pytest.mark.parametrize("seed", range(3))
def test_finite_bandwidth_moves_the_summing_nodes(seed: int) -> None:
    technology = with_opamp(1e18, 3e6)
    wt = 2 * math.pi * 3e6
    rng = np.random.default_rng(200 + seed)
    fhn = FHN()
    scales = choose_scales(fhn, technology)
    parts = random_parts(fhn, technology, scales, seed)
    c = coefficients(parts, scales, technology, fhn.eps)
    x, y, drive = rng.uniform(-2.5, 2.5, size=(3, 30, N))
    dx, dy = (d / scales.time_unit * s for d, s in zip(c.derivatives(x, y, drive), (scales.sx, scales.sy), strict=True))
    # dVo/dt = wt (Vos - Vs), so the node stands at Vs = Vos - (dVo/dt)/wt; the rest is Kirchhoff's law at that node.
    # (The charge that moves the node itself, Cx dVs/dt, is left out; it is of second order on the slow branches.)
    shifted = replace(parts, vos1=parts.vos1 - dx / wt, vos2=parts.vos2 - dy / wt)
    dvx, dvy = by_nodes(shifted, technology, scales.sx * x, scales.sy * y, drive * scales.sx / technology.neuron.r4)
    np.testing.assert_allclose(dx, dvx, rtol=1e-9, atol=1e-9 * scales.sx / scales.time_unit)
    np.testing.assert_allclose(dy, dvy, rtol=1e-9, atol=1e-9 * scales.sy / scales.time_unit)


def gain_error(gain: float, integrator: int) -> float:
    """How far the rate at which Vx (or Vy) acts on itself is from the exact one, in units of 1/(R C)."""
    technology = with_opamp(gain, 1e15)
    fhn, scales = FHN(), Scales(4.0, 4.0, 1e-3)
    parts = nominal_parts(fhn, technology, scales, 1)
    c = coefficients(parts, scales, technology, fhn.eps)
    r1, r2, r3, r4, r5, cx, cy = (float(getattr(parts, n)[0]) for n in ("r1", "r2", "r3", "r4", "r5", "cx", "cy"))
    # An amplifier of gain A holds its inverting input at -Vo/A. U3: (Vx + Vnx/A)/Ra = -(Vnx + Vnx/A)/Rb, Ra = Rb.
    vnx = -1.0 / (1.0 + 2.0 / gain)
    # U1 and U2: what the resistors bring into the node at Vs = -Vo/A charges the capacitor to Vs - Vo = -(1 + 1/A) Vo.
    if integrator == 1:
        exact = -(vnx / r1 + (1 / r1 + 1 / r2 + 1 / r3) / gain) / (cx * (1 + 1 / gain))
        return abs(float(c.p[0, 1]) / c.eps / scales.time_unit - exact) * r1 * cx
    exact = -((1 / r4 + 1 / r5) / gain) / (cy * (1 + 1 / gain))
    return abs(float(c.q[0, 2]) / scales.time_unit - exact) * r4 * cy


@pytest.mark.parametrize("integrator", [1, 2])
def test_finite_gain_is_right_to_first_order(integrator: int) -> None:
    # In first order the effect is below 10/A; of second order, so below 100/A^2, is what may be left.
    assert gain_error(1e4, integrator) < 100 / 1e4**2


def test_finite_bandwidth_slows_the_neuron_as_published_for_the_circuit() -> None:
    # Cx -> Cx + (1/R1 + 1/R2 + 1/R3)/wt: 408 uS / (2 pi 3 MHz) = 21.7 pF on 1 nF.
    fhn, scales = FHN(), choose_scales(FHN(), DISCRETE)
    c = coefficients(nominal_parts(fhn, DISCRETE, scales, 1), scales, DISCRETE, fhn.eps)
    assert -float(c.p[0, 4]) == pytest.approx(1 / (1 + (2e-4 + 1 / 4800) / (2 * math.pi * 3e6) / 1e-9), rel=1e-5)


def test_scales_of_the_default_neuron_are_4_volts() -> None:
    # shared design: for a = 1, gamma = -1 both are 4 V
    scales = choose_scales(FHN(), DISCRETE)
    assert (scales.sx, scales.sy, scales.time_unit) == pytest.approx((4.0, 4.0, 1e-3), rel=1e-12)


def test_scales_shrink_with_gamma() -> None:
    found = [choose_scales(FHN(gamma=g), DISCRETE) for g in (-0.5, -1.0, -1.5, -2.0)]
    assert found[0].sx == found[1].sx > found[2].sx > found[3].sx
    assert found[0].sy >= found[1].sy > found[2].sy > found[3].sy


@pytest.mark.parametrize("gamma", [-0.5, -1.0, -1.9])
def test_no_node_leaves_the_linear_range(gamma: float) -> None:
    fhn = FHN(gamma=gamma)
    scales = choose_scales(fhn, DISCRETE)
    drives = np.linspace(-abs(gamma), abs(gamma), 41)
    protocol = Protocol(settle=0.0, control=12.0, interval=0.005)
    x = Direct().respond(Cells.ideal("sigmoid", fhn, 41), drives[None], protocol, samples=True).samples
    assert x is not None
    x = x[:, 0].astype(np.float64)
    increments = np.cumsum(x + fhn.a + drives, axis=0) * protocol.interval
    y = protocol.y0 + increments
    vm = DISCRETE.multiplier.scale
    highest = max(scales.sx * np.abs(x).max(), scales.sy * np.abs(y).max(), (scales.sx * np.abs(x).max()) ** 3 / vm**2)
    assert highest <= DISCRETE.supplies.linear_range * (1 + 1e-3)  # y is summed from samples


def test_scales_are_the_largest() -> None:
    for gamma in (-1.0, -1.5, -1.9):
        fhn = FHN(gamma=gamma)
        s = choose_scales(fhn, DISCRETE)
        x = max(2.0, 1 + abs(gamma))
        y, w = abs(x - x**3 / 3), (s.sx * x) ** 3 / DISCRETE.multiplier.scale**2
        highest = max(s.sx * x, w, s.sy * y if s.sy < s.sx else 0.0)
        # at least one node, at rest under the largest drive or on the peak of a spike, is near the limit
        assert 0.97 * DISCRETE.supplies.linear_range < highest < 1.001 * DISCRETE.supplies.linear_range


@pytest.mark.parametrize("gamma", [-3.0, -20.0, 3.0])
def test_large_gamma_is_refused_with_the_voltages(gamma: float) -> None:
    with pytest.raises(InputError, match=r"technology 'discrete': a = 1, gamma = .* supplies\.minimum_scale"):
        choose_scales(FHN(gamma=gamma), DISCRETE)


@pytest.mark.parametrize("a", [0.0, -1.0])
def test_a_must_be_positive(a: float) -> None:
    fhn = FHN(a=a)
    with pytest.raises(InputError, match="negative reference and needs a > 0"):
        nominal_parts(fhn, DISCRETE, choose_scales(fhn, DISCRETE), 1)


def test_drive_current_is_40_microampere_per_unit() -> None:
    # electronics notes: I = 1 is 40 uA at Sx = 4 V, R4 = 100k
    assert drive_current(1.0, Scales(4.0, 4.0, 1e-3), DISCRETE) == pytest.approx(40e-6, rel=1e-12)


def test_each_neuron_has_its_own_coefficients() -> None:
    fhn, scales = FHN(), choose_scales(FHN(), DISCRETE)
    parts = random_parts(fhn, DISCRETE, scales, 0)
    whole, one = (coefficients(p, scales, DISCRETE, fhn.eps) for p in (parts, parts[slice(7, 8)]))
    np.testing.assert_array_equal(np.hstack([whole.p, whole.q])[7:8], np.hstack([one.p, one.q]))


@pytest.mark.parametrize("name", [name for name, _ in nominal_parts(FHN(), DISCRETE, Scales(4, 4, 1e-3), 1).items()])
def test_every_component_acts(name: str) -> None:
    fhn, scales = FHN(), choose_scales(FHN(), DISCRETE)
    parts = nominal_parts(fhn, DISCRETE, scales, 1)
    value = getattr(parts, name)
    if name in ("m1_x", "m1_y"):  # both shift the same factor
        other = replace(parts, **{name: value + 0.01})
    else:
        other = replace(parts, **{name: value * 1.01 + (0.01 if value[0] == 0 else 0)})
    one, two = (coefficients(p, scales, DISCRETE, fhn.eps) for p in (parts, other))
    assert np.abs(np.hstack([one.p - two.p, one.q - two.q])).max() > 1e-4
