"""Quality of recovered states on curves whose tears, turns and relation to the true state are known."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.judge.quality import explained, largest_step, turns_apart
from analog_fhn.reconstruct.rhythm import Rhythm


def test_cubic_functions_are_explained_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    u = rng.normal(size=(20_000, 2))
    noise = rng.normal(size=20_000)
    cubic = 2.0 + u[:, 0] - 3.0 * u[:, 0] * u[:, 1] ** 2 + u[:, 1] ** 3
    truth = np.stack([cubic, noise, cubic + cubic.std() * noise, np.ones(20_000), np.sin(4 * u[:, 0])], axis=1)
    found = explained(u, truth)
    assert found[0] == pytest.approx(1.0, abs=1e-12)
    # Of pure noise ten terms explain 9/20000, give or take its standard error.
    assert 0.0 <= found[1] < 0.0015
    assert found[2] == pytest.approx(0.5, abs=0.02)
    assert np.isnan(found[3])
    assert found[4] < 0.2
    assert explained(u, np.sin(u[:, :1]), order=5)[0] > explained(u, np.sin(u[:, :1]))[0]


def test_few_states_are_refused() -> None:
    with pytest.raises(InputError, match="10 terms"):
        explained(np.ones((10, 2)), np.ones((10, 1)))
    with pytest.raises(InputError, match=r"12341 terms in the regression on 20000 states; .* at most 1000"):
        explained(np.ones((20_000, 40)), np.ones((20_000, 1)))


def test_states_that_are_missing_are_left_out() -> None:
    u = np.random.default_rng(2).normal(size=(500, 2))
    truth = u[:, :1] ** 3
    truth[::10] = np.nan
    assert explained(u, truth)[0] == pytest.approx(1.0, abs=1e-12)


def test_a_tear_is_the_largest_step() -> None:
    u = np.cumsum(np.full((50, 2), 0.1), axis=0)
    index = np.arange(50)
    assert largest_step(u, index) == pytest.approx(0.1 * np.sqrt(2))
    u[30:] += [3.0, -4.0]
    assert largest_step(u, index) == pytest.approx(np.hypot(3.1, 3.9))
    # Nothing was recorded between them.
    index[30:] += 1
    assert largest_step(u, index) == pytest.approx(0.1 * np.sqrt(2))


def bursts(step: float) -> Rhythm:
    """Three bursts of five spikes 1 s apart, 10 s from burst to burst."""
    starts, none = np.array([10.0, 20.0, 30.0]), np.ones(3)
    return Rhythm(
        "bursting", np.concatenate([s + np.arange(5) for s in starts]), np.ones(12), starts, np.full(3, 5),
        10.0 * none, 6.0 * none, none, none,
    )  # fmt: skip


def test_turns_of_a_helix_are_its_pitch_apart() -> None:
    step = 0.01
    index = np.arange(4000)
    phase = 2 * np.pi * index * step
    helix = np.stack([np.cos(phase), np.sin(phase), 0.05 * index * step], axis=1)
    assert turns_apart(helix, index, step, bursts(step)) == pytest.approx(0.05, rel=1e-3)
    # What is missing takes its time, too: every other tenth of a second.
    there = index // 10 % 2 == 0
    assert turns_apart(helix[there], index[there], step, bursts(step)) == pytest.approx(0.05, rel=1e-3)
    none = np.empty(0)
    silent = Rhythm("silent", none, none, none, none.astype(np.intp), none, none, none, none)
    assert np.isnan(turns_apart(helix, index, step, silent))
    assert np.isnan(turns_apart(helix[:500], index[:500], step, bursts(step)))
