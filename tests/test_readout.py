"""Recentring and voting, against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from analog_fhn.readout import leaders, recentring, vote


def settings(seed: int) -> tuple[float, float, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 1.5), -rng.uniform(0.1, 20.0), rng.normal(scale=4.0, size=200)


@pytest.mark.parametrize("seed", range(10))
def test_recentring_gives_the_sigmoid_back(seed: int) -> None:
    a, gamma, z = settings(seed)
    gain, offset = recentring("sigmoid", a, gamma)
    # 1 + tanh(z/2) = 2 sigmoid(z). a/gamma is at most 15: a few roundings of numbers of that size.
    np.testing.assert_allclose(gain * (-a - gamma * np.tanh(z / 2)) + offset, expit(z), rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_recentring_gives_the_tanh_back(seed: int) -> None:
    a, gamma, z = settings(seed)
    gain, offset = recentring("tanh", a, gamma)
    np.testing.assert_allclose(gain * (-a - gamma * np.tanh(z)) + offset, np.tanh(z), rtol=0, atol=2e-14)


def random_outputs(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(97, 6, 5)).astype(np.float32), rng.normal(size=5)


@pytest.mark.parametrize("seed", range(4))
def test_vote_counts_the_leaders(seed: int) -> None:
    outputs, shift = random_outputs(seed)
    winners = np.argmax(outputs + shift, axis=2)
    expected = np.stack([np.bincount(winners[:, k], minlength=5) for k in range(6)]) / 97
    np.testing.assert_array_equal(vote(outputs, shift), expected)


def test_leaders_are_the_argmax_at_each_instant() -> None:
    outputs, shift = random_outputs(9)
    np.testing.assert_array_equal(leaders(outputs, shift), np.argmax(outputs + shift, axis=2))


@pytest.mark.parametrize("function", [vote, leaders])
def test_of_equal_scores_the_lowest_class_leads(function: object) -> None:
    outputs = np.zeros((1, 1, 4), dtype=np.float32)
    outputs[0, 0] = [1.0, 3.0, 3.0, 3.0]
    found = function(outputs, np.zeros(4))  # type: ignore[operator]
    assert np.ravel(found).tolist() == ([1] if function is leaders else [0, 1, 0, 0])


def test_of_equal_counts_the_lowest_class_wins() -> None:
    outputs = np.zeros((2, 1, 3), dtype=np.float32)
    outputs[0, 0, 2] = outputs[1, 0, 1] = 1.0
    assert int(np.argmax(vote(outputs, np.zeros(3))[0])) == 1
