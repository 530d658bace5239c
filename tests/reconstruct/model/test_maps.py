"""Maps: derivatives, free runs, and what they learn of known dynamics and of a control."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.maps import (
    MapOptions,
    NeuralMap,
    Pairs,
    PolynomialMap,
    StateMap,
    fit_map,
    fit_polynomial,
    free_run,
)

QUICK = MapOptions(hidden=25, samples=1200, iterations=30)
DT = 0.1


def stuart_landau(start: complex, number: int, p: float) -> np.ndarray:
    """Samples (number, 2) of dz/dt = z (p - |z|²) + i (0.5 + 0.2 p) z, by its closed solution."""
    time = DT * np.arange(number)
    radius = np.sqrt(p / (1 - (1 - p / abs(start) ** 2) * np.exp(-2 * p * time)))
    z = radius * np.exp(1j * (np.angle(start) + (0.5 + 0.2 * p) * time))
    return np.stack([z.real, z.imag], axis=1)


def turns(orbit: np.ndarray) -> tuple[float, float]:
    """Mean radius of an orbit (n, 2), and its angle per step."""
    z = orbit[:, 0] + 1j * orbit[:, 1]
    return float(np.abs(z).mean()), float(np.angle(z[1:] / z[:-1]).mean())


@cache
def turned() -> tuple[NeuralMap, Pairs]:
    """A map of the cycle at p = 1, 2 and 3, with some way to it."""
    runs = [stuart_landau(start, 250, p) for p in (1.0, 2.0, 3.0) for start in (0.5 + 0.2j, -2.4 + 0.4j)]
    index = np.concatenate([1000 * k + np.arange(250) for k in range(6)])
    u, p = np.concatenate(runs), np.repeat([1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 250)
    first = np.diff(index) == 1
    pairs = Pairs.of(u, index, p, np.diff(u, axis=0)[first].std(axis=0))
    return fit_map(pairs, replace(QUICK, noise=0.05), 0)[0], pairs


def cycle_pairs(control: float = 1.0) -> Pairs:
    u = stuart_landau(1.0 + 0.0j, 500, 1.0)
    return Pairs.of(u, np.arange(500), control, np.diff(u, axis=0).std(axis=0))


def random_neural(seed: int = 0) -> NeuralMap:
    rng = np.random.default_rng(seed)
    shapes = ((3, 8), (8,), (8,), (8, 3), (3,))
    return NeuralMap(*(rng.normal(size=shape) for shape in shapes))


def random_polynomial() -> PolynomialMap:
    rng = np.random.default_rng(1)
    powers = np.array([[a, b, c, p] for a in range(4) for b in range(3) for c in range(2) for p in range(2)])
    return PolynomialMap(powers, rng.normal(size=(len(powers), 3)))


def test_neural_step_is_its_formula() -> None:
    made, u = random_neural(), np.array([0.3, -1.0, 0.5])
    unit = [1 / (1 + np.exp(-(u @ made.a[:, h] + 0.7 * made.alpha[h] + made.b[h]))) for h in range(8)]
    expected = [u[i] + sum(unit[h] * made.big_b[h, i] for h in range(8)) + made.c[i] for i in range(3)]
    assert made.step(u[None], 0.7)[0] == pytest.approx(expected, rel=1e-12)


def test_polynomial_step_is_its_formula() -> None:
    made, u, p = random_polynomial(), np.array([0.3, -1.0, 0.5]), 0.7
    monomials = [u[0] ** a * u[1] ** b * u[2] ** c * p**d for a, b, c, d in made.powers]
    assert made.step(u[None], p)[0] == pytest.approx(u + np.dot(monomials, made.coefficients), rel=1e-12)


@pytest.mark.parametrize("made", [random_neural(), random_polynomial()], ids=["neural", "polynomial"])
def test_jacobians_are_those_of_finite_differences(made: StateMap) -> None:
    rng = np.random.default_rng(2)
    u, p, h = rng.normal(size=(6, 3)), rng.normal(size=6), 1e-5
    expected = np.stack(
        [(made.step(u + h * one, p) - made.step(u - h * one, p)) / (2 * h) for one in np.eye(3)], axis=2
    )
    assert made.jacobian(u, p) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("made", [random_neural(), random_polynomial()], ids=["neural", "polynomial"])
def test_one_control_for_each_state(made: StateMap) -> None:
    u = np.random.default_rng(3).normal(size=(4, 3))
    p = np.array([0.0, 1.0, 2.0, -1.0])
    for method in (made.step, made.jacobian):
        each = [method(u[k : k + 1], p[k])[0] for k in range(4)]
        assert method(u, p) == pytest.approx(np.array(each), rel=1e-12)


def test_redrawn_control_changes_nothing_where_the_map_was_trained() -> None:
    made, u = random_neural(), np.random.default_rng(4).normal(size=(5, 3))
    for p in (1.0, 2.5):
        other = made.redrawn(np.random.default_rng(5), p)
        assert other.step(u, p) == pytest.approx(made.step(u, p), rel=1e-12)
        assert np.abs(other.step(u, p + 0.5) - made.step(u, p + 0.5)).max() > 1e-2
        assert not np.allclose(other.alpha, made.alpha)


def test_pairs_stay_on_one_side_of_a_gap() -> None:
    u = np.arange(6.0)[:, None]
    pairs = Pairs.of(u, np.array([3, 4, 5, 9, 10, 20]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], np.ones(1))
    assert pairs.now[:, 0].tolist() == [0.0, 1.0, 3.0]
    assert pairs.then[:, 0].tolist() == [1.0, 2.0, 4.0]
    assert pairs.control.tolist() == [1.0, 2.0, 4.0]


def test_drawn_noise_is_a_share_of_the_step() -> None:
    pairs = cycle_pairs()
    drawn = pairs.drawn(np.random.default_rng(6), 20_000, 0.3)
    clean = pairs.drawn(np.random.default_rng(6), 20_000, 0.0)
    assert (drawn.now - clean.now).std(axis=0) == pytest.approx(0.3 * pairs.speeds, rel=0.03)
    assert np.array_equal(drawn.then, clean.then)


def test_error_is_in_units_of_the_step() -> None:
    pairs = cycle_pairs()
    standing = PolynomialMap(np.zeros((1, 3), dtype=np.intp), np.zeros((1, 2)))
    assert pairs.error(standing) == pytest.approx(np.mean(((pairs.then - pairs.now) / pairs.speeds) ** 2), rel=1e-12)
    assert pairs.error(standing) == pytest.approx(1.0, rel=0.05)


def test_polynomial_finds_the_logistic_map() -> None:
    x = [0.3]
    for _ in range(300):
        x.append(3.8 * x[-1] * (1 - x[-1]))
    u = np.array(x)[:, None]
    pairs = Pairs.of(u, np.arange(len(u)), 1.0, np.ones(1))
    found = fit_polynomial(pairs, 2, MapOptions(noise=0.0), 0)
    assert pairs.error(found) < 1e-12
    tried = np.array([[0.1], [0.55], [0.9]])
    assert found.step(tried, 1.0) == pytest.approx(3.8 * tried * (1 - tried), abs=1e-5)
    assert found.jacobian(tried, 1.0)[:, 0] == pytest.approx(3.8 * (1 - 2 * tried), abs=1e-4)


def test_polynomial_finds_the_henon_map_and_runs_like_it() -> None:
    u = np.zeros((1000, 2))
    for k in range(999):
        u[k + 1] = 1 - 1.4 * u[k, 0] ** 2 + u[k, 1], 0.3 * u[k, 0]
    found = fit_polynomial(Pairs.of(u, np.arange(1000), 1.0, np.ones(2)), 2, MapOptions(noise=0.0), 0)
    run = free_run(found, u[500:501], 12)
    assert run[:, 0] == pytest.approx(u[501:513], abs=1e-3)
    # Chaos parts the two later; the attractor stays the same.
    long = free_run(found, u[500:501], 5000)[:, 0]
    assert long.mean(axis=0) == pytest.approx(u[100:].mean(axis=0), abs=0.05)
    assert long.std(axis=0) == pytest.approx(u[100:].std(axis=0), rel=0.05)


def test_polynomial_learns_a_control() -> None:
    rng = np.random.default_rng(7)
    u, p = rng.uniform(0.1, 0.9, 400)[:, None], np.repeat([2.5, 3.0, 3.5, 3.8], 100)
    then = p[:, None] * u * (1 - u)
    found = fit_polynomial(Pairs(u, then, p, np.ones(1)), 3, MapOptions(noise=0.0), 0)
    assert found.step(np.array([[0.4]]), 3.2) == pytest.approx(3.2 * 0.4 * 0.6, abs=1e-5)


def test_polynomial_of_no_order_is_refused() -> None:
    with pytest.raises(InputError, match="order = 0"):
        fit_polynomial(cycle_pairs(), 0, QUICK, 0)


def test_neural_map_learns_a_cycle() -> None:
    pairs = cycle_pairs()
    found, losses = fit_map(pairs, QUICK, 0)
    assert np.all(np.diff(losses) < 0)
    assert pairs.error(found) < 1e-3
    late = free_run(found, pairs.now[[0, 200]], 4000)[2000:]
    for k in range(2):
        radius, angle = turns(late[:, k])
        assert radius == pytest.approx(1.0, rel=0.01)
        assert angle == pytest.approx(0.7 * DT, rel=0.01)


def test_noise_teaches_the_map_to_return() -> None:
    pairs = cycle_pairs()
    found, _ = fit_map(pairs, QUICK, 0)
    off = 1.0 + 2 * 0.15 * pairs.speeds[0]
    assert abs(turns(free_run(found, np.array([[off, 0.0]]), 50)[30:, 0])[0] - 1.0) < 0.2 * (off - 1.0)


def test_same_seed_same_map() -> None:
    few = MapOptions(hidden=10, samples=300, iterations=5)
    one, same, other = (fit_map(cycle_pairs(), few, seed)[0] for seed in (3, 3, 4))
    assert all(np.array_equal(one.arrays[name], same.arrays[name]) for name in one.arrays)
    assert not np.allclose(one.a, other.a)


@pytest.mark.parametrize("control", [1.0, 2.0])
def test_one_control_says_nothing_about_itself(control: float) -> None:
    early, late = (
        fit_map(cycle_pairs(control), MapOptions(hidden=10, samples=300, iterations=n), 0)[0] for n in (1, 25)
    )
    assert np.abs(late.b - early.b).max() > 0.1
    # Their sum is learned, their difference stays where it was drawn.
    assert control * late.alpha - late.b == pytest.approx(control * early.alpha - early.b, abs=1e-6)


def test_a_control_of_zero_has_no_gradient() -> None:
    early, late = (fit_map(cycle_pairs(0.0), MapOptions(hidden=10, samples=300, iterations=n), 0)[0] for n in (1, 25))
    assert late.alpha == pytest.approx(early.alpha, abs=1e-9)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 1.5, 2.5])
def test_control_is_learned_and_right_between(p: float) -> None:
    found, _ = turned()
    radius, angle = turns(free_run(found, np.array([[1.2, 0.0]]), 1500, p)[1000:, 0])
    assert radius == pytest.approx(np.sqrt(p), rel=0.02)
    assert angle == pytest.approx((0.5 + 0.2 * p) * DT, rel=0.02)


def test_runs_at_several_controls_at_once() -> None:
    found, _ = turned()
    start, p = np.array([[1.2, 0.0], [1.0, 1.0]]), np.array([1.0, 3.0])
    both = free_run(found, start, 40, p)
    assert both.shape == (40, 2, 2)
    for k in range(2):
        assert both[:, k] == pytest.approx(free_run(found, start[k : k + 1], 40, p[k])[:, 0], rel=1e-9, abs=1e-12)
    assert both[0] == pytest.approx(found.step(start, p), rel=1e-12)


def test_what_diverges_is_nan_from_there() -> None:
    doubling = PolynomialMap(np.array([[1, 0]]), np.array([[1.0]]))
    orbit = free_run(doubling, np.array([[1.0], [0.0]]), 30)[:, :, 0]
    assert orbit[:9, 0].tolist() == [2.0**k for k in range(1, 10)]
    assert np.isnan(orbit[9:, 0]).all()
    assert np.all(orbit[:, 1] == 0.0)


@pytest.mark.parametrize("option", [{"hidden": 0}, {"iterations": 0}, {"steepness": 0.0}, {"noise": -0.1}])
def test_options_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        MapOptions(**option)  # type: ignore[arg-type]
