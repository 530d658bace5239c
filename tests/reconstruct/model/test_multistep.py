"""Training over several steps: its loss and gradient, and what it does for the error after several steps."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.maps import MapOptions, NeuralMap, Pairs, fit_map, free_run
from analog_fhn.reconstruct.model.multistep import MultiStepOptions, refine_map, rollout_loss, windows

AHEAD = 30


@cache
def cycle() -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, 2) of a circular cycle whose speed varies, and speeds (2,)."""
    phase = 0.09 * np.arange(1500)
    angle = phase + 0.3 * np.sin(phase)
    u = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return u, np.diff(u, axis=0).std(axis=0)


@cache
def one_step() -> NeuralMap:
    """A map with few units: what it cannot learn adds up over several steps."""
    u, speeds = cycle()
    pairs = Pairs.of(u, np.arange(len(u)), 1.0, speeds)
    return fit_map(pairs, MapOptions(hidden=8, samples=600, iterations=10), 0)[0]


def loss(state_map: NeuralMap, start: np.ndarray, recorded: np.ndarray, p: np.ndarray, forcing: float) -> float:
    """Pseudo-Huber loss, step by step in double precision."""
    u, total = start, []
    for true in recorded:
        u = state_map.step(u, p)
        total.append(np.sqrt(1 + ((u - true) / cycle()[1]) ** 2) - 1)
        u = u + forcing * (true - u)
    return float(np.mean(total))


def batch(number: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States to start from, those recorded after them, and controls."""
    u, rng = cycle()[0], np.random.default_rng(1)
    chosen = rng.integers(0, len(u) - AHEAD, number)
    recorded = np.stack([u[chosen + k] for k in range(1, AHEAD + 1)])
    return u[chosen], recorded, rng.uniform(0.8, 1.2, number)


def far(state_map: NeuralMap) -> float:
    """Error after several steps of a free run, root mean square, in steps."""
    u, speeds = cycle()
    starts = np.arange(0, len(u) - AHEAD, 7)
    ends = free_run(state_map, u[starts], AHEAD)[-1]
    return float(np.sqrt(np.mean(((ends - u[starts + AHEAD]) / speeds) ** 2)))


@pytest.mark.parametrize("forcing", [0.0, 0.2])
def test_loss_and_gradient(forcing: float) -> None:
    import jax

    start, recorded, p = batch()
    compiled = jax.value_and_grad(rollout_loss(cycle()[1], forcing))
    values = [np.float32(array) for array in one_step().arrays.values()]
    value, gradient = compiled(values, np.float32(start), np.float32(recorded), np.float32(p))
    assert float(value) == pytest.approx(loss(one_step(), start, recorded, p, forcing), rel=1e-4)
    rng, h = np.random.default_rng(2), 1e-6
    for place, (name, array) in enumerate(one_step().arrays.items()):
        direction = rng.normal(size=array.shape)
        moved = [
            loss(NeuralMap(**(one_step().arrays | {name: array + side * h * direction})), start, recorded, p, forcing)
            for side in (1, -1)
        ]
        slope = float(np.sum(np.asarray(gradient[place]) * direction))
        assert slope == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=2e-3, abs=1e-4 * float(value)), name


def test_error_after_several_steps_falls() -> None:
    u, speeds = cycle()
    options = MultiStepOptions(AHEAD, updates=300, batch=32, learning_rate=3e-3, forcing=0.0, noise=0.0)
    calls: list[tuple[int, int]] = []
    found, losses = refine_map(
        one_step(), u, np.arange(len(u)), 1.0, speeds, options, seed=0, progress=lambda *call: calls.append(call)
    )
    assert losses.shape == (300,)
    assert losses[-20:].mean() < 0.3 * losses[:20].mean()
    assert far(found) < 0.5 * far(one_step())
    assert calls == [(100, 300), (200, 300), (300, 300)]


def test_same_seed_same_map() -> None:
    u, speeds = cycle()
    options = MultiStepOptions(5, updates=3, batch=4)
    one, same = (refine_map(one_step(), u, np.arange(len(u)), 1.0, speeds, options, seed=3)[0] for _ in range(2))
    assert all(np.array_equal(one.arrays[name], same.arrays[name]) for name in one.arrays)
    assert not np.array_equal(one.a, one_step().a)


def test_windows_have_no_gap() -> None:
    index = np.array([4, 5, 6, 7, 10, 11, 12, 20])
    assert windows(index, 1).tolist() == [0, 1, 2, 4, 5]
    assert windows(index, 2).tolist() == [0, 1, 4]
    assert windows(index, 3).tolist() == [0]
    for ahead in (4, 20):
        with pytest.raises(InputError, match=f"no {ahead + 1} successive samples"):
            windows(index, ahead)


def test_too_high_a_learning_rate_is_named() -> None:
    u, speeds = cycle()
    options = MultiStepOptions(5, updates=3, batch=4, learning_rate=1e30)
    with pytest.raises(InputError, match="diverged; learning rate 1e\\+30 is too high"):
        refine_map(one_step(), u, np.arange(len(u)), 1.0, speeds, options, seed=0)


@pytest.mark.parametrize("option", [{"ahead": 0}, {"updates": 0}, {"forcing": 1.5}, {"noise": -1.0}])
def test_options_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        MultiStepOptions(**option)  # type: ignore[arg-type]
