"""Levenberg and Marquardt's method for one hidden layer, against methods that build the Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import least_squares

from analog_fhn.reconstruct.model.levenberg import Layer, fit_layer, sigmoid

SCALE = np.array([0.5, 2.0])


@dataclass
class Problem:
    truth: Layer
    start: Layer
    z: np.ndarray
    targets: np.ndarray


def made(noise: float = 0.02, hidden: int = 3, apart: float = 0.2) -> Problem:
    rng = np.random.default_rng(5)
    truth = Layer(2 * rng.normal(size=(3, hidden)), rng.normal(size=(hidden + 1, 2)))
    z = rng.normal(size=(80, 2))
    start = Layer(*(part + apart * rng.normal(size=part.shape) for part in (truth.inner, truth.outer)))
    return Problem(truth, start, z, truth(z) + noise * rng.normal(size=(80, 2)))


def flat(layer: Layer) -> np.ndarray:
    return np.concatenate([layer.inner.ravel(), layer.outer.ravel()])


def errors(parameters: np.ndarray, problem: Problem) -> np.ndarray:
    """In units of the scale, so that their squares add up to the loss; written out without the layer's own code."""
    hidden = problem.start.inner.shape[1]
    inner, outer = parameters[: 3 * hidden].reshape(3, hidden), parameters[3 * hidden :].reshape(hidden + 1, 2)
    unit = 1 / (1 + np.exp(-(problem.z @ inner[:2] + inner[2])))
    return ((unit @ outer[:hidden] + outer[hidden] - problem.targets) / SCALE).ravel() / np.sqrt(len(problem.z))


def test_layer_is_its_formula() -> None:
    problem = made()
    assert problem.truth(problem.z)[4, 1] == pytest.approx(
        sum(
            problem.truth.outer[h, 1]
            / (1 + np.exp(-problem.z[4] @ problem.truth.inner[:2, h] - problem.truth.inner[2, h]))
            for h in range(3)
        )
        + problem.truth.outer[3, 1],
        rel=1e-12,
    )


def test_sigmoid_saturates_without_overflow() -> None:
    assert sigmoid(np.array([-1e9, 0.0, 1e9])).tolist() == [0.0, 0.5, 1.0]


def test_minimum_is_that_of_scipy() -> None:
    problem = made()
    layer, losses = fit_layer(problem.start, problem.z, problem.targets, SCALE, 200)
    expected = least_squares(errors, flat(problem.start), args=(problem,), method="lm", xtol=1e-15, ftol=1e-15)
    assert losses[-1] == pytest.approx(2 * expected.cost, rel=1e-9)
    assert layer(problem.z) == pytest.approx(
        errors(expected.x, problem).reshape(-1, 2) * np.sqrt(80) * SCALE + problem.targets, abs=1e-4
    )


def test_one_step_solves_the_normal_equations() -> None:
    problem = made()
    layer, losses = fit_layer(problem.start, problem.z, problem.targets, SCALE, 1)
    x, h = flat(problem.start), 1e-5
    jacobian = np.stack(
        [(errors(x + h * one, problem) - errors(x - h * one, problem)) / (2 * h) for one in np.eye(len(x))], axis=1
    )
    normal = jacobian.T @ jacobian
    # 1e-3 of the diagonal is the first damping; this start accepts it.
    step = np.linalg.solve(normal + 1e-3 * np.diag(np.diag(normal)), -jacobian.T @ errors(x, problem))
    assert flat(layer) - x == pytest.approx(step, rel=1e-5, abs=1e-7)
    assert losses[0] == pytest.approx(np.sum(errors(flat(layer), problem) ** 2), rel=1e-12)


def test_losses_fall() -> None:
    problem = made()
    _, losses = fit_layer(problem.start, problem.z, problem.targets, SCALE, 50)
    assert losses[0] < np.sum(errors(flat(problem.start), problem) ** 2)
    assert np.all(np.diff(losses) < 0)


def test_a_known_layer_is_found() -> None:
    problem = made(noise=0.0)
    layer, losses = fit_layer(problem.start, problem.z, problem.targets, SCALE, 200)
    assert losses[-1] < 1e-20
    assert flat(layer) == pytest.approx(flat(problem.truth), abs=1e-6)


def test_it_stops_at_a_minimum() -> None:
    problem = made(noise=0.0)
    layer, losses = fit_layer(problem.truth, problem.z, problem.targets, SCALE, 10)
    assert len(losses) <= 10
    assert flat(layer) == pytest.approx(flat(problem.truth), abs=1e-12)


def test_two_equal_inputs_are_no_obstacle() -> None:
    problem = made(noise=0.0)
    inner = np.vstack([problem.start.inner[:2], problem.start.inner[1:]])
    z = np.column_stack([problem.z, problem.z[:, 1]])
    layer, losses = fit_layer(Layer(inner, problem.start.outer), z, problem.targets, SCALE, 100)
    assert losses[-1] < 1e-3 * losses[0]
    assert layer.inner[1] - layer.inner[2] == pytest.approx(inner[1] - inner[2], abs=1e-9)


def test_progress_counts_iterations() -> None:
    problem, calls = made(), []
    fit_layer(problem.start, problem.z, problem.targets, SCALE, 3, lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
