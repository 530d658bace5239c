"""The FHN equations: what they are, where they rest, how they oscillate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from analog_fhn.errors import InputError
from analog_fhn.neuron import (
    FHN,
    Coefficients,
    Cycle,
    FloatArray,
    Protocol,
    cycle,
    cycle_from_samples,
    regime,
    waveform_rms,
)


def mismatched(seed: int, n: int = 1) -> Coefficients:
    """Ideal coefficients, each off by a few per cent, with small values where the ideal ones are zero."""
    rng = np.random.default_rng(seed)
    p = np.array([0.0, 1.0, 0.0, -1 / 3, -1.0]) * (1 + 0.03 * rng.normal(size=(n, 5)))
    q = np.array([1.0, 1.0, 0.0, 1.0]) * (1 + 0.03 * rng.normal(size=(n, 4)))
    p[:, [0, 2]] = 0.01 * rng.normal(size=(n, 2))
    q[:, 2] = -0.01 * rng.random(n)
    return Coefficients(p, q, 0.01)


def ideal(a: float = 1.0, eps: float = 0.01, n: int = 1) -> Coefficients:
    return Coefficients.ideal(FHN(eps=eps, a=a), n)


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_are_equation_1_of_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, drive = rng.uniform(-3, 3, size=(3, 7))
    eps, a = rng.uniform(0.005, 0.1), rng.uniform(0.5, 1.5)
    dx, dy = Coefficients.ideal(FHN(eps=eps, a=a), 7).derivatives(x, y, drive)
    # Chaos 33(7), 2023, doi:10.1063/5.0152703, equation 1. Three roundings on numbers of order 10/eps.
    np.testing.assert_allclose(dx, (x - x**3 / 3 - y) / eps, rtol=0, atol=1e-14 * 10 / eps)
    np.testing.assert_allclose(dy, x + a + drive, rtol=0, atol=1e-14)


def test_drive_is_equation_2_of_the_paper() -> None:
    z = np.array([[-30.0, -0.7, 0.0], [0.2, 1.0, 40.0]])
    # tanh by exponentials; slope and gamma are the network's
    expected = -1.9 * (np.exp(1.6 * z) - 1) / (np.exp(1.6 * z) + 1)
    np.testing.assert_allclose(FHN(gamma=-1.9, slope=0.8).drive(z), expected, rtol=1e-13, atol=1e-15)


def test_every_coefficient_stands_where_it_is_said_to() -> None:
    c = mismatched(4)
    x, y, drive = 1.3, -0.4, 0.7
    p, q = c.p[0], c.q[0]
    dx, dy = c.derivatives([x], [y], [drive])
    assert dx[0] == pytest.approx((p[0] + p[1] * x + p[2] * x**2 + p[3] * x**3 + p[4] * y) / 0.01, rel=1e-12)
    assert dy[0] == pytest.approx(q[0] + q[1] * x + q[2] * y + q[3] * drive, rel=1e-12)


def test_coefficients_refuse_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(n, 5\) and \(n, 4\)"):
        Coefficients(np.zeros((3, 5)), np.zeros((2, 4)), 0.01)


def test_indexing_takes_the_same_neurons_of_both_equations() -> None:
    c = mismatched(0, n=5)
    chosen = c[slice(1, 3)]
    np.testing.assert_array_equal(chosen.p, c.p[1:3])
    np.testing.assert_array_equal(chosen.q, c.q[1:3])


def test_ideal_rest_point_is_at_minus_a_minus_drive() -> None:
    # Algebra: dy/dt = 0 gives x = -(a + I), dx/dt = 0 then y = x - x^3/3.
    drive = np.array([[-2.5, -0.3, 0.0, 2.0]])
    x, y = ideal(1.05, n=4).rest_point(drive)
    np.testing.assert_allclose(x, -(1.05 + drive), rtol=1e-15)
    np.testing.assert_allclose(y, -(1.05 + drive) + (1.05 + drive) ** 3 / 3, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_moves_at_the_rest_point(seed: int) -> None:
    c = mismatched(seed, n=6)
    drive = np.linspace(-2, 1, 6)
    dx, dy = c.derivatives(*c.rest_point(drive), drive)
    # Newton stops at steps of 1e-14; the slopes there are at most 1/eps * 8.
    np.testing.assert_allclose(dx, 0, atol=1e-10)
    np.testing.assert_allclose(dy, 0, atol=1e-12)


def test_fast_nullcline_is_where_x_stands_still() -> None:
    c = mismatched(1, n=3)
    x = np.linspace(-2, 2, 15).reshape(5, 3)
    dx, _ = c.derivatives(x, c.fast_nullcline(x), 0.0)
    np.testing.assert_allclose(dx, 0, atol=1e-11)


@pytest.mark.parametrize("seed", range(5))
def test_stability_is_that_of_the_eigenvalues(seed: int) -> None:
    c = mismatched(seed, n=60)
    drive = np.linspace(-2.6, 0.6, 60)
    x, y = c.rest_point(drive)
    h = 1e-5
    along_x = [np.array(c.derivatives(x + s * h, y, drive)) for s in (1, -1)]
    along_y = [np.array(c.derivatives(x, y + s * h, drive)) for s in (1, -1)]
    jacobian = np.stack([along_x[0] - along_x[1], along_y[0] - along_y[1]]) / (2 * h)  # (by, of, neuron)
    largest = np.linalg.eigvals(jacobian.transpose(2, 1, 0)).real.max(axis=1)
    # A central difference of slopes of order 1e2 is good to 1e-8 or so; none of these is that close to zero.
    assert np.abs(largest).min() > 1e-5
    assert 5 < np.count_nonzero(largest < 0) < 55
    np.testing.assert_array_equal(c.stable_at_rest(drive), largest < 0)


@pytest.mark.parametrize(
    ("total", "expected"), [(-1.01, "excitable"), (-0.99, "oscillating"), (0.99, "oscillating"), (1.01, "excitable")]
)
def test_regime_changes_where_the_rest_point_loses_its_stability(total: float, expected: str) -> None:
    # Algebra: the trace of the Jacobian, (1 - x0^2)/eps, is positive for |a + I| < 1.
    fhn = FHN(a=0.8)
    stable = bool(Coefficients.ideal(fhn, 1).stable_at_rest(np.array([total - 0.8]))[0])
    assert (regime(fhn, total - 0.8), stable) == (expected, expected == "excitable")


def independent_period(c: Coefficients, drive: float, settle: float) -> tuple[float, NDArray[np.float64]]:
    """Period by LSODA from the state's own falling crossings of x = 0.3, and the waveform over phase."""
    p, q = c.p[0], c.q[0]

    def rhs(_t: float, u: NDArray[np.float64]) -> list[float]:
        x, y = u
        return [np.polyval([p[3], p[2], p[1], p[0] + p[4] * y], x) / c.eps, q[0] + q[1] * x + q[2] * y + q[3] * drive]

    def falling(_t: float, u: NDArray[np.float64]) -> float:
        return float(u[0]) - 0.3

    falling.direction = -1.0  # type: ignore[attr-defined]

    def rising(_t: float, u: NDArray[np.float64]) -> float:
        return float(u[0])

    rising.direction = 1.0  # type: ignore[attr-defined]
    found = solve_ivp(
        rhs, (0, settle + 4.5), [0.5, 0.2], method="LSODA", rtol=1e-10, atol=1e-12, events=(falling, rising),
        dense_output=True,
    )  # fmt: skip
    down = found.t_events[0][found.t_events[0] > settle]
    up = found.t_events[1][found.t_events[1] > settle]
    period = float(np.mean(np.diff(down)))
    return period, found.sol(up[0] + period * np.arange(256) / 256)[0]


@pytest.mark.parametrize(("drive", "seed"), [(-1.6, None), (-0.4, 5)])
def test_cycle_agrees_with_another_integrator(drive: float, seed: int | None) -> None:
    c = ideal() if seed is None else mismatched(seed)
    found = cycle(c, drive, n_phase=256, settle=4.0)
    period, x = independent_period(c, drive, 4.0)
    # Both are asked for 1e-9 or better per step; about 2 000 steps accumulate at most 1e-6.
    assert found.period == pytest.approx(period, rel=1e-6)
    # On the upstroke x moves by 2 in 2e-2 T; 1e-6 T late is 1e-4 in x, at two or three of 256 points.
    assert waveform_rms(found, Cycle(period, found.phase, x)) < 1e-4


@pytest.mark.parametrize("eps", [1e-2, 1e-3])
def test_period_approaches_the_relaxation_limit(eps: float) -> None:
    # 3 - 2 ln 2 + 7.0143 eps^(2/3) at a + I = 0, the van der Pol equation: A. A. Dorodnitsyn, Prikl. Mat. Mekh.
    # 11:313, 1947; 7.0143 is three times the first zero of the Airy function. The next terms, of order eps ln eps,
    # take away 10 % of the correction at eps 0.01 and less below.
    correction = cycle(ideal(eps=eps), -1.0, settle=3.0).period - (3 - 2 * math.log(2))
    assert correction / eps ** (2 / 3) == pytest.approx(7.0143, rel=0.12)


def test_cycle_begins_at_the_rising_zero_crossing() -> None:
    found = cycle(ideal(), -1.0, settle=4.0)
    assert abs(found.x[0]) < 1e-6
    assert found.x[1] > 0


def test_cycle_refuses_a_neuron_that_rests() -> None:
    with pytest.raises(ValueError, match=r"does not oscillate at drive -2\.5"):
        cycle(ideal(), -2.5, settle=4.0)


def test_cycle_refuses_several_neurons() -> None:
    with pytest.raises(ValueError, match="expected one neuron, got 2"):
        cycle(ideal(n=2), -1.0)


@pytest.mark.parametrize(("drive", "a"), [(-0.5, 1.0), (-1.7, 1.05)])
def test_time_average_over_a_period_is_minus_a_minus_drive(drive: float, a: float) -> None:
    # Reference 1: averaging dy/dt over a period. The mean over equally spaced phases is the integral over the period;
    # 4096 points resolve the jumps (width 1e-3 of the period at the steepest).
    found = cycle(ideal(a), drive, n_phase=4096, settle=4.0)
    assert float(np.mean(found.x)) == pytest.approx(-(a + drive), abs=1e-4)


def test_identity_mean_is_the_average_of_the_slow_equation() -> None:
    c = mismatched(2)
    q = c.q[0]
    found = cycle(c, -0.8, n_phase=4096, settle=4.0)
    # <y> from <x> by q0 + q1 <x> + q2 <y> + q3 I = 0 would be circular; the fast nullcline gives it instead
    # ( <dx/dt> = 0 ):  <y> = -(p0 + p1 <x> + p2 <x^2> + p3 <x^3>)/p4.
    p = c.p[0]
    mean_y = -(p[0] + sum(p[k] * np.mean(found.x**k) for k in (1, 2, 3))) / p[4]
    assert abs(q[2] * mean_y) < 0.1
    assert float(c.identity_mean(-0.8, mean_y)[0]) == pytest.approx(float(np.mean(found.x)), abs=2e-4)


def sampled(drive: float, interval: float = 0.005, stop: float = 12.0) -> tuple[NDArray[np.float64], ...]:
    times = 4 + interval * np.arange(1, round(stop / interval))
    found = solve_ivp(
        lambda _t, u: [(u[0] - u[0] ** 3 / 3 - u[1]) / 0.01, u[0] + 1 + drive], (0, times[-1]), [-1.0, -0.6],
        method="LSODA", rtol=1e-9, atol=1e-11, t_eval=times,
    )  # fmt: skip
    return times, found.y[0]


def test_cycle_from_samples_finds_the_period() -> None:
    found = cycle_from_samples(*sampled(-1.0))
    assert found is not None
    exact = cycle(ideal(), -1.0, settle=4.0)
    # A cubic spline on an upstroke of 0.02 T sampled every 0.005 T is off by some 1e-4 T at each end of 5 periods.
    assert found.period == pytest.approx(exact.period, rel=5e-5)
    # Folding interpolates linearly: on the upstroke up to 0.1 off at one of hundred points.
    assert waveform_rms(found, exact) < 3e-3


def test_cycle_from_samples_gives_none_at_rest() -> None:
    assert cycle_from_samples(*sampled(-2.4)) is None


def test_cycle_from_samples_wants_three_crossings() -> None:
    times = np.linspace(0, 2.2, 500)  # rising through zero at 1 and 2
    assert cycle_from_samples(times, np.sin(2 * np.pi * times)) is None


def test_noise_near_zero_is_not_counted_twice() -> None:
    times = np.arange(0, 20, 0.001)
    x = np.sin(2 * np.pi * times)
    noisy = x + 0.05 * np.sin(2 * np.pi * 97.3 * times)  # crosses zero several times at each passage
    assert np.count_nonzero((noisy[:-1] < 0) & (noisy[1:] >= 0)) > 30
    found = cycle_from_samples(times, noisy)
    assert found is not None
    # The ripple may move each of the two outer crossings by 0.05/(2 pi) = 0.008; they are 18 or 19 periods apart.
    assert found.period == pytest.approx(1.0, abs=2 * 0.008 / 18)


def test_waveform_rms_is_relative_to_the_peak_to_peak() -> None:
    phase = np.arange(100) / 100
    one = Cycle(1.0, phase, np.sin(2 * np.pi * phase))
    other = Cycle(2.0, phase, np.sin(2 * np.pi * phase) + 0.1)
    assert waveform_rms(one, other) == pytest.approx(0.05, rel=1e-12)


def test_waveform_rms_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="2 and 3 phase points"):
        waveform_rms(Cycle(1, np.zeros(2), np.zeros(2)), Cycle(1, np.zeros(3), np.zeros(3)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0.0}, "FHN eps = 0.0: expected a number from 1e-12 to 1000"),
        ({"eps": -0.01}, "FHN eps = -0.01: expected a number from 1e-12"),
        ({"eps": 1e-320}, "FHN eps = 1e-320: expected"),
        ({"eps": 10**400}, r"FHN eps = 10+\.\.\.0+: expected"),
        ({"eps": 10**5000}, "FHN eps = a number of thousands of digits: expected"),
        ({"slope": 0.0}, "FHN slope = 0.0: expected"),
        ({"slope": 1e308}, r"FHN slope = 1e\+308: expected"),
        ({"gamma": 0.0}, "would not see their input"),
        ({"gamma": 1e-320}, "would not see their input"),
        ({"a": math.nan}, "FHN a = nan"),
        ({"a": "1"}, "FHN a = '1': expected a number"),
        ({"a": True}, "FHN a = True: expected a number"),
        ({"gamma": -math.inf}, "FHN gamma = -inf"),
        ({"gamma": 1e308}, r"FHN gamma = 1e\+308"),
    ],
)
def test_fhn_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FHN(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"settle": -1.0}, "protocol settle = -1.0: expected a number from 0 to"),
        ({"settle": 1e308}, r"protocol settle = 1e\+308: expected"),
        ({"control": 0.0}, "protocol control = 0.0: expected a number from 1e-09"),
        ({"control": 1e-320}, "protocol control = 1e-320: expected"),
        ({"interval": 0.0}, "protocol interval = 0.0: expected a number from 1e-09 to"),
        ({"interval": 1e-320}, "protocol interval = 1e-320: expected"),
        ({"interval": math.nan}, "interval = nan"),
        ({"x0": math.inf}, "x0 = inf"),
        ({"control": 10.1}, "control = 10.1 is no whole number of sampling intervals"),
        ({"settle": 0.3}, "settle = 0.3 is no whole number of sampling intervals"),
    ],
)
def test_protocol_refuses(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Protocol(**settings)


@pytest.mark.parametrize("a", [-1e6, 0.0, 1e6])
@pytest.mark.parametrize("gamma", [-1e6, 1e-9, 1e6])
@pytest.mark.parametrize("eps", [1e-12, 1e3])
def test_every_neuron_within_the_ranges_has_finite_rates(eps: float, a: float, gamma: float) -> None:
    fhn = FHN(eps=eps, a=a, gamma=gamma)
    c = Coefficients.ideal(fhn, 3)
    drive = fhn.drive(np.array([-1e6, 0.0, 1e6]))
    assert np.isfinite(c.rest_point(drive)).all()
    assert np.isfinite(c.fast_rate(drive)).all()


def test_sample_times_end_with_the_control_window() -> None:
    protocol = Protocol(settle=0.6, control=1.0, interval=0.2)
    np.testing.assert_allclose(protocol.sample_times, [0.8, 1.0, 1.2, 1.4, 1.6], rtol=1e-14)
    assert (protocol.n_samples, protocol.n_settle) == (5, 3)


# --- variance of y --------------------------------------------------------------------------------------------


def simulated_variance(fhn: FHN, drive: float) -> float:
    """Variance of y over four periods after a transient."""
    rhs, jacobian = Coefficients.ideal(fhn, 1).flow(drive)

    def rising(_t: float, u: FloatArray) -> float:
        return float(u[0])

    rising.direction = 1.0  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, 24.0), [-1.0, -0.6], method="LSODA", jac=jacobian, rtol=1e-6, atol=1e-8, events=rising,
        dense_output=True,
    )  # fmt: skip
    starts = solution.t_events[0][solution.t_events[0] > 6.0]
    times = np.linspace(starts[0], starts[4], 20_000, endpoint=False)
    return float(np.var(solution.sol(times)[1]))


@pytest.mark.parametrize("eps", [0.01, 0.05])
@pytest.mark.parametrize("drive", [-0.3, -0.7, -1.0, -1.7])
def test_slow_variance_is_that_of_a_simulation(eps: float, drive: float) -> None:
    fhn = FHN(eps=eps)
    mean = Coefficients.ideal(fhn, 1).identity_mean(np.array([drive]))
    assert Coefficients.ideal(fhn, 1).slow_variance(mean)[0] == pytest.approx(simulated_variance(fhn, drive), rel=0.03)


def test_slow_variance_is_even_and_vanishes_at_rest() -> None:
    c = ideal()
    means = np.array([[0.3], [0.9], [1.0], [2.0]])
    np.testing.assert_array_equal(c.slow_variance(means), c.slow_variance(-means))
    assert (c.slow_variance(means)[:, 0] > 0.0).tolist() == [True, True, False, False]
