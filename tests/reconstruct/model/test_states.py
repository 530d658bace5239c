"""Whitened coordinates, from the slowest to the fastest."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.states import Coordinates

NUMBER = 4000
TIME = np.arange(NUMBER) * 2 * np.pi / NUMBER
SOURCES = np.sqrt(2) * np.stack([np.sin(40 * TIME), np.cos(3 * TIME), np.sin(11 * TIME)], axis=1)


@pytest.fixture
def latents() -> np.ndarray:
    mixing = np.array([[1.0, 0.4, -0.3], [0.2, 2.0, 0.5], [-0.6, 0.1, 0.7]])
    return SOURCES @ mixing + np.array([3.0, -1.0, 0.5])


def test_coordinates_are_white_and_so_are_their_steps(latents: np.ndarray) -> None:
    found = Coordinates.fit(latents, np.arange(NUMBER))
    u = found.of(latents)
    assert u.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert np.cov(u.T) == pytest.approx(np.eye(3), abs=1e-12)
    steps = np.diff(u, axis=0)
    assert steps.T @ steps / len(steps) == pytest.approx(np.diag(found.speeds**2), abs=1e-12)


def test_mixed_sources_are_found_from_slow_to_fast(latents: np.ndarray) -> None:
    found = Coordinates.fit(latents, np.arange(NUMBER))
    u = found.of(latents)
    for k, source in enumerate((1, 2, 0)):
        assert abs(np.corrcoef(u[:, k], SOURCES[:, source])[0, 1]) > 0.9999
    # A sine of m turns over n samples moves by 2 pi m/n of its amplitude, root mean square over root 2.
    assert found.speeds == pytest.approx(np.array([3, 11, 40]) * 2 * np.pi / NUMBER, rel=1e-2)


def test_latents_come_back(latents: np.ndarray) -> None:
    found = Coordinates.fit(latents, np.arange(NUMBER))
    assert found.latents(found.of(latents)) == pytest.approx(latents, abs=1e-12)
    assert found.of(latents[7]) == pytest.approx(found.of(latents)[7], abs=1e-12)


def test_a_jump_across_a_gap_is_no_step(latents: np.ndarray) -> None:
    order = np.concatenate([np.arange(2000, NUMBER), np.arange(2000)])
    index = np.concatenate([np.arange(2000), 10_000 + np.arange(2000)])
    joined, parted = (Coordinates.fit(latents[order], i).speeds for i in (np.arange(NUMBER), index))
    whole = Coordinates.fit(latents, np.arange(NUMBER)).speeds
    assert parted == pytest.approx(whole, rel=1e-3)
    # Where the sources do not repeat, the jump counts.
    broken = latents[np.concatenate([np.arange(1000), np.arange(1333, NUMBER)])]
    gapped = np.concatenate([np.arange(1000), np.arange(1333, NUMBER)])
    assert Coordinates.fit(broken, np.arange(len(broken))).speeds[0] > 1.02 * Coordinates.fit(broken, gapped).speeds[0]
    assert joined.shape == (3,)


def test_one_coordinate_is_enough() -> None:
    found = Coordinates.fit(3.0 * SOURCES[:, :1] + 1.0, np.arange(NUMBER))
    assert np.abs(found.of([[1.0 + 3.0 * np.sqrt(2)]])) == pytest.approx(np.sqrt(2), rel=1e-3)


def test_no_two_samples_in_a_row_are_refused(latents: np.ndarray) -> None:
    with pytest.raises(InputError, match="no two successive samples"):
        Coordinates.fit(latents, 2 * np.arange(NUMBER))


def test_latents_that_do_not_fill_their_space_are_refused(latents: np.ndarray) -> None:
    flat = np.column_stack([latents, latents[:, 0] + latents[:, 1]])
    with pytest.raises(InputError, match="the 4 latent coordinates do not vary independently"):
        Coordinates.fit(flat, np.arange(NUMBER))
