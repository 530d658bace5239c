"""Curves are splines that every backend reads alike; a tabulated cubic is the FHN neuron."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Coefficients, coefficients_of, cycle
from analog_fhn.transconductors import Characteristic, TransconductorDynamics
from tests.curve_neurons import saturating, tabulated

DRIVES = np.linspace(-2.6, 0.6, 32)[:, None]  # none of them at an onset


def tanh_curves(points: int = 81) -> Characteristic:
    x = np.linspace(-4.0, 4.0, points)
    return Characteristic.through(-4.0, 4.0, np.stack([np.tanh(x), 0.5 * np.tanh(2.0 * x) - 0.1]))


# --- one curve ------------------------------------------------------------------------------------------------


def test_a_curve_is_scipys_spline_with_its_slope() -> None:
    x, grid = np.linspace(-3.99, 3.99, 301), np.linspace(-4.0, 4.0, 81)
    exact = CubicSpline(grid, np.tanh(grid))
    curve = tanh_curves()
    np.testing.assert_allclose(curve(x[:, None])[:, 0], exact(x), atol=1e-14)
    np.testing.assert_allclose(curve.slope(x[:, None])[:, 0], exact(x, 1), atol=1e-12)


def test_a_fine_sweep_comes_close_to_the_function_behind_it() -> None:
    x = np.linspace(-4.0, 4.0, 1001)[:, None]
    assert np.abs(tanh_curves(161)(x)[:, :1] - np.tanh(x)).max() < 1e-6


def test_grids_may_differ_from_neuron_to_neuron() -> None:
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 4.0])
    curve = Characteristic.through(low, high, np.linspace(low, high, 9).T ** 3)
    x = np.array([[-0.3, 1.7], [0.9, 3.2]])
    np.testing.assert_allclose(curve(x), x**3, rtol=1e-12)
    np.testing.assert_allclose(curve.slope(x), 3.0 * x**2, rtol=1e-12)
    np.testing.assert_allclose(curve.high, high)


def test_beyond_its_ends_a_curve_goes_on_straight() -> None:
    x = np.linspace(-1.0, 2.0, 31)
    curve = Characteristic.through(-1.0, 2.0, (x**3)[None])
    beyond = np.array([[-3.0], [-1.0], [2.0], [1e6]])
    np.testing.assert_allclose(curve(beyond)[:, 0], [-1.0 + 3.0 * -2.0, -1.0, 8.0, 8.0 + 12.0 * (1e6 - 2.0)], rtol=1e-9)
    np.testing.assert_allclose(curve.slope(beyond)[:, 0], [3.0, 3.0, 12.0, 12.0], rtol=1e-9)


def test_functions_of_one_neuron_are_those_of_the_arrays() -> None:
    curve = tanh_curves()[1:]
    value, slope = curve.alone()
    for x in (-7.0, -4.0, -0.013, 0.0, 1.23, 4.0, 5.5):
        assert value(x) == pytest.approx(float(curve(np.array([x]))[0]), abs=1e-15)
        assert slope(x) == pytest.approx(float(curve.slope(np.array([x]))[0]), abs=1e-13)
    with pytest.raises(ValueError, match="expected one neuron, got 2"):
        tanh_curves().alone()


def test_the_inverse_leads_back_within_and_beyond_the_sweep() -> None:
    x = np.linspace(-5.0, 5.0, 41)[:, None] * np.ones(2)
    np.testing.assert_allclose(tanh_curves().inverse(tanh_curves()(x)), x, atol=1e-9)
    falling = Characteristic.through(-4.0, 4.0, -np.tanh(np.linspace(-4.0, 4.0, 81))[None])
    np.testing.assert_allclose(falling.inverse(falling(x[:, :1])), x[:, :1], atol=1e-9)


def test_a_value_that_a_level_end_does_not_reach_lies_infinitely_far() -> None:
    curve = Characteristic.through(0.0, 3.0, np.array([[1.0, 1.0, 1.0, 1.0]]))
    assert curve.inverse(np.array([2.0])) == np.inf
    assert curve.inverse(np.array([0.0])) == -np.inf


def test_of_a_curve_that_turns_back_the_first_argument_counts() -> None:
    x = np.linspace(-2.0, 2.0, 81)
    curve = Characteristic.through(-2.0, 2.0, (x**3 - x)[None])
    assert curve.inverse(np.array([0.0]))[0] == pytest.approx(-1.0)


def test_slopes_are_the_extremes_of_the_derivative() -> None:
    x = np.linspace(-3.0, 3.0, 30)  # the steepest rise lies within a cell
    low, high = Characteristic.through(-3.0, 3.0, (x - x**3 / 3.0)[None]).slopes
    assert low[0] == pytest.approx(-8.0)
    assert high[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "high", "values", "message"),
    [
        (0.0, 1.0, np.zeros((2, 3)), "values have shape (2, 3); expected (n, 4 or more)"),
        (0.0, 1.0, np.zeros(5), "values have shape (5,)"),
        (1.0, 1.0, np.zeros((1, 5)), "expected high above low"),
    ],
)
def test_a_curve_that_is_none_is_refused(low: float, high: float, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Characteristic.through(low, high, values)


def test_a_sweep_that_is_no_number_makes_coefficients_that_a_chip_refuses() -> None:
    values = np.zeros((1, 9))
    values[0, 4] = np.inf
    curve = Characteristic.through(0.0, 1.0, values)
    assert np.isnan(curve.coefficients[0, 3]).all()


# --- the equations --------------------------------------------------------------------------------------------


def test_a_tabulated_cubic_has_the_rest_points_and_regimes_of_the_ideal_neuron() -> None:
    ideal, curves = Coefficients.ideal(FHN(), 2), tabulated(FHN(), 2)
    drives = DRIVES * np.ones(2)
    for one, other in zip(curves.rest_point(drives), ideal.rest_point(drives), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    np.testing.assert_array_equal(curves.stable_at_rest(drives), ideal.stable_at_rest(drives))
    np.testing.assert_allclose(curves.identity_mean(drives), ideal.identity_mean(drives), atol=1e-12)
    np.testing.assert_allclose(curves.spiking_drive(), ideal.spiking_drive(), atol=1e-4)
    np.testing.assert_allclose(curves.slow_slope, ideal.slow_slope)
    x = np.linspace(-2.0, 2.0, 9)[:, None] * np.ones(2)
    np.testing.assert_allclose(curves.fast_nullcline(x), ideal.fast_nullcline(x), atol=1e-9)
    np.testing.assert_allclose(curves.output(x), x, atol=1e-12)
    assert np.all(curves.fast_rate(drives) >= ideal.fast_rate(drives) * 0.999)


def test_a_tabulated_cubic_has_the_flow_and_the_cycle_of_the_ideal_neuron() -> None:
    ideal, curves = Coefficients.ideal(FHN(), 1), tabulated(FHN(), 1)
    for state in np.random.default_rng(0).uniform(-2.0, 2.0, size=(5, 2)):
        for one, other in zip(curves.flow(-0.7), ideal.flow(-0.7), strict=True):
            np.testing.assert_allclose(one(0.0, state), other(0.0, state), atol=1e-8)
    one, other = cycle(curves, -0.7, settle=4.0), cycle(ideal, -0.7, settle=4.0)
    assert one.period == pytest.approx(other.period, rel=1e-8)
    np.testing.assert_allclose(one.x, other.x, atol=1e-5)


def test_the_swing_of_y_is_that_of_the_relaxation_oscillation() -> None:
    means = np.linspace(-0.9, 0.9, 7)[:, None]
    expected = Coefficients.ideal(FHN(), 1).slow_variance(means)
    # An estimate of the order eps^(2/3); see `Coefficients.slow_variance`.
    curves = tabulated(FHN(), 1)
    np.testing.assert_allclose(curves.slow_variance(means), expected, rtol=0.03)
    np.testing.assert_array_equal(curves.slow_variance(np.array([[-1.2], [1.1]])), 0.0)


def test_the_identity_follows_a_copy_of_another_gain_and_offset() -> None:
    x = np.linspace(-3.0, 3.0, 61)
    one = tabulated(FHN(), 2, points=61)
    copy = Characteristic.through(-3.0, 3.0, np.stack([0.2 + 0.9 * x, -0.1 + 1.1 * x]))
    other = replace(one, copy=copy)
    np.testing.assert_allclose(other.identity_mean(np.full(2, -1.5)), [0.2 + 0.9 * 0.5, -0.1 + 1.1 * 0.5], atol=1e-12)
    np.testing.assert_allclose(other.slow_slope, [1.0 / 0.9, 1.0 / 1.1])
    np.testing.assert_allclose(
        other.identity_at(np.array([1, 0, 1]), np.array([-1.5, -1.5, -1.0])), [0.45, 0.65, -0.1], atol=1e-12
    )


def test_neurons_are_chosen_by_slices_and_by_numbers() -> None:
    every = saturating(4)
    some = every[np.array([3, 1])]
    drives = np.array([-1.2, -0.8])
    np.testing.assert_array_equal(some.identity_mean(drives), every.identity_mean(np.array([0, -0.8, 0, -1.2]))[[3, 1]])
    assert len(every[1:3]) == 2
    assert some.eps == every.eps


def test_every_number_is_named_for_hashes_and_checks() -> None:
    one = saturating(2)
    assert set(one.arrays()) == {
        *(f"{part} of the {c} curve" for c in one.curves for part in ("low", "step", "coefficients")),
        "drive gain",
        "bias",
    }
    assert dict(one.numbers())["drive gain of the neurons"] is one.drive_gain


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bias": np.zeros(3)}, "expected those of 2 neurons"),
        ({"slow": tabulated(FHN(), 2, points=61).slow}, "expected those of one sweep of x"),
        ({"coupling": tabulated(FHN(), 3).coupling}, "expected those of 2 neurons"),
        ({"eps": 0.0}, "eps = 0.0; expected a number above 0"),
        ({"lag": np.ones(3)}, "lag of shape (3,); expected a number, or one for each of 2 neurons"),
        ({"lag": -0.1}, "expected 0 for all neurons, or times above 0 for all"),
        ({"lag": np.array([0.0, 0.1])}, "expected 0 for all neurons, or times above 0 for all"),
    ],
)
def test_curves_that_do_not_belong_together_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(tabulated(FHN(), 2), **changed)  # type: ignore[arg-type]


# --- a lag ----------------------------------------------------------------------------------------------------


def lines(slope: float, lag: float = 0.0) -> TransconductorDynamics:
    """Straight curves: ``f = slope x, h = -y, g = x, o = 2 x``, without drive's gain or bias."""
    x = np.linspace(-4.0, 4.0, 9)[None]
    curves = (Characteristic.through(-4.0, 4.0, k * x) for k in (slope, -1.0, 1.0, 2.0))
    return TransconductorDynamics(*curves, np.ones(1), np.zeros(1), 1.0, lag)


def test_a_lag_adds_two_low_passes_that_begin_settled() -> None:
    one = lines(-0.5, 0.25)
    rhs, jacobian = one.flow(0.3)
    assert one.start(0.7, -0.2) == pytest.approx([0.7, -0.2, 0.7, 1.4])
    assert rhs(0.0, np.array([0.7, -0.2, 0.1, 0.5])) == pytest.approx([-0.35 + 0.2, 0.1 + 0.3, 4.0 * 0.6, 4.0 * 0.9])
    assert np.array(jacobian(0.0, np.zeros(4))) == pytest.approx(
        np.array([[-0.5, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [4.0, 0.0, -4.0, 0.0], [8.0, 0.0, 0.0, -4.0]])
    )
    value, gradient = one.output_flow()
    assert value(np.array([1.0, 2.0, 3.0, 4.0])) == 4.0
    assert gradient(np.zeros(4)) == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("lag", [0.01, 0.3, 0.6, 0.7, 3.0])
def test_a_lag_takes_stability_as_the_eigenvalues_say(lag: float) -> None:
    for slope in (-2.0, -0.5, -0.2, 0.1):
        one = lines(slope, lag)
        jacobian = np.array(one.flow(0.0)[1](0.0, np.zeros(4)))
        assert one.stable_at_rest(np.zeros(1))[0] == (np.linalg.eigvals(jacobian).real.max() < 0.0)


def test_rest_and_identity_are_those_without_a_lag() -> None:
    plain, lagging = saturating(3), replace(saturating(3), lag=np.array([0.05, 0.1, 0.2]))
    for one, other in zip(plain.rest_point(DRIVES), lagging.rest_point(DRIVES), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(plain.identity_mean(DRIVES), lagging.identity_mean(DRIVES))
    assert lagging[1:].lags == pytest.approx([0.1, 0.2])
    assert "lag" in lagging.arrays()
    assert plain.lags is None


def test_the_swing_of_y_is_that_of_the_cycle_with_a_lag() -> None:
    plain = tabulated(FHN(eps=0.05), 1)
    one, zero = replace(plain, lag=0.2), np.zeros((1, 1))
    # a + I = 0: the mean is 0, half way between the onsets
    times = np.linspace(20.0, 60.0, 20001)
    run = solve_ivp(one.flow(-1.0)[0], (0.0, 60.0), one.start(1.0, 0.0), rtol=1e-6, atol=1e-8, t_eval=times)
    assert one.slow_variance(zero)[0, 0] == pytest.approx(run.y[1].var(), rel=0.02)
    assert run.y[1].var() > 1.1 * plain.slow_variance(zero)[0, 0]


def test_who_needs_a_polynomial_says_so() -> None:
    ideal = Coefficients.ideal(FHN(), 1)
    assert coefficients_of(ideal, "this") is ideal
    with pytest.raises(InputError, match=r"^this: the neurons' equations are curves of .*; expected a polynomial"):
        coefficients_of(tabulated(FHN(), 1), "this")


def test_saturating_neurons_spike_between_their_onsets() -> None:
    neurons = saturating(5)
    spiking = neurons.spiking_drive()
    assert isinstance(neurons, TransconductorDynamics)
    assert not neurons.stable_at_rest(spiking).any()
    assert neurons.stable_at_rest(spiking + 2.5).all()
    assert neurons.stable_at_rest(spiking - 2.5).all()
