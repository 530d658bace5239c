"""The Sherman-Rinzel neuron: known rest point, bursts and regimes; its Jacobian and its solver against others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.sources.sherman_rinzel import START, ShermanRinzel, integrate, sample_times

BOTH = pytest.mark.parametrize(
    "neuron", [ShermanRinzel.original(), ShermanRinzel.modified()], ids=["original", "modified"]
)


def spikes(voltage: FloatArray, step: float) -> FloatArray:
    """Times of the maxima above -40 mV."""
    inner = voltage[1:-1]
    return step * (1 + np.flatnonzero((inner > voltage[:-2]) & (inner >= voltage[2:]) & (inner > -40.0)))


def test_the_modified_neuron_rests_where_it_is_known_to() -> None:
    # RK4 at 1 ms of the same equations in another program: V = -50.636 mV, eigenvalues -38.8, -19.5, -0.159 1/s.
    (rest,) = ShermanRinzel.modified().rest_points()
    assert rest.state[0] == pytest.approx(-50.636, abs=1e-3)
    assert rest.eigenvalues.real == pytest.approx([-38.8, -19.5, -0.159], rel=3e-3)
    assert np.all(rest.eigenvalues.imag == 0.0)
    assert rest.stable
    (other,) = ShermanRinzel.original().rest_points()
    assert not other.stable


@BOTH
def test_nothing_moves_at_a_rest_point(neuron: ShermanRinzel) -> None:
    for rest in neuron.rest_points():
        assert np.abs(neuron.derivatives(rest.state)).max() < 1e-9


def test_several_rest_points_are_all_found() -> None:
    # With more of the second potassium current the whole current crosses zero thrice.
    neuron = ShermanRinzel(v_s=-32.0, g_k2=0.8)
    found = [float(rest.state[0]) for rest in neuron.rest_points()]
    v = np.linspace(neuron.v_k, neuron.v_ca, 3001)
    n, s = 1 / (1 + np.exp((-16 - v) / 5.6)), 1 / (1 + np.exp((-32 - v) / 10))
    slope = neuron.derivatives(np.stack([v, n, s], axis=-1))[:, 0]
    assert len(found) == 3
    assert found == pytest.approx(v[:-1][np.diff(np.sign(slope)) != 0], abs=0.04)


@pytest.mark.parametrize(("v_s", "stable"), [(-37.2, False), (-37.0, True), (-35.1, True), (-34.9, False)])
def test_the_rest_point_is_stable_in_its_range(v_s: float, stable: bool) -> None:
    # Stable between -37.06 and -34.98 mV.
    assert any(rest.stable for rest in ShermanRinzel.modified(v_s).rest_points()) == stable


@BOTH
def test_jacobian_is_that_of_finite_differences(neuron: ShermanRinzel) -> None:
    rng = np.random.default_rng(0)
    states = np.stack([rng.uniform(-70, -15, 20), rng.uniform(0, 0.6, 20), rng.uniform(0.1, 0.3, 20)], axis=-1)
    exact = neuron.jacobian(states)
    assert exact.shape == (20, 3, 3)
    for j, h in enumerate((1e-4, 1e-6, 1e-6)):
        shift = h * np.eye(3)[j]
        slope = (neuron.derivatives(states + shift) - neuron.derivatives(states - shift)) / (2 * h)
        assert exact[:, :, j] == pytest.approx(slope, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(
    ("neuron", "number", "period", "pause", "first", "last", "low", "high"),
    [
        (ShermanRinzel.modified(), 16, 8.56, 4.05, 0.207, 0.564, -64.0, -22.7),
        (ShermanRinzel.original(), 20, 9.03, None, None, None, None, None),
    ],
    ids=["modified", "original"],
)
def test_bursts_are_the_known_ones(
    neuron: ShermanRinzel, number: int, period: float, pause: float | None, first: float | None, last: float | None,
    low: float | None, high: float | None,
) -> None:  # fmt: skip
    step = 1e-3
    _, states = neuron.simulate(30.0, step, settle=40.0, rtol=1e-8, atol=1e-10)
    times = spikes(states[:, 0], step)
    intervals = np.diff(times)
    ends = np.flatnonzero(intervals > 1.5)
    assert np.diff(ends).tolist() == [number] * (len(ends) - 1)
    assert np.diff(times[ends]) == pytest.approx(period, abs=6e-3)
    if pause is not None:
        within = intervals[ends[0] + 1 : ends[1]]
        assert intervals[ends] == pytest.approx(pause, abs=6e-3)
        assert (within[0], within[-1]) == pytest.approx((first, last), abs=2e-3)
        assert (states[:, 0].min(), states[:, 0].max()) == pytest.approx((low, high), abs=0.1)


def test_the_modified_neuron_rests_beside_its_bursts() -> None:
    neuron = ShermanRinzel.modified()
    (rest,) = neuron.rest_points()
    _, states = neuron.simulate(30.0, 0.1, start=(rest.state + np.array([0.3, 0.0, 0.0])).tolist())
    assert states[-1, 0] == pytest.approx(rest.state[0], abs=0.01)


def test_solver_has_converged_and_agrees_with_another() -> None:
    neuron = ShermanRinzel.modified()
    time, states = neuron.simulate(12.0, 0.01)
    _, tighter = neuron.simulate(12.0, 0.01, rtol=1e-12, atol=1e-14)
    assert np.abs(states[:, 0] - tighter[:, 0]).max() < 2e-3
    other = solve_ivp(
        lambda _t, u: neuron.derivatives(u), (0.0, 12.0), START, method="DOP853", rtol=1e-10, atol=1e-12, t_eval=time
    )
    assert np.abs(other.y[0] - tighter[:, 0]).max() < 1e-3


def test_settling_is_the_same_run_seen_later() -> None:
    neuron = ShermanRinzel.original()
    _, whole = neuron.simulate(4.0, 0.01)
    time, late = neuron.simulate(1.0, 0.01, settle=3.0)
    assert time[:2].tolist() == [0.0, 0.01]
    assert late[:, 0] == pytest.approx(whole[300:, 0], abs=1e-3)


@pytest.mark.parametrize(
    "values", [{"tau": 0.0}, {"theta_p": -1.0}, {"v_s": np.nan}, {"v_ca": -80.0}], ids=lambda values: next(iter(values))
)
def test_impossible_parameters_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        ShermanRinzel(**values)


@pytest.mark.parametrize("times", [(np.inf, 0.1, 0.0), (1.0, 0.0, 0.0), (1.0, 0.1, -1.0), (0.1, 0.1, 0.0)])
def test_impossible_times_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(InputError):
        sample_times(*times)


def test_a_wrong_start_is_refused() -> None:
    with pytest.raises(InputError, match="start"):
        ShermanRinzel.original().simulate(1.0, 0.1, start=(-50.0, 0.0))


def test_a_solver_that_gives_up_is_an_error() -> None:
    with np.errstate(over="ignore"), pytest.raises(SimulationError, match="gave up"):
        integrate(lambda _t, u: (u[0] * u[0],), np.array([1.0]), np.array([0.0, 2.0]))
