"""Weights as conductances: the mapping and its inverse, levels, clipping, programming errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analog_fhn.array.crossbar import Crossbar, manufacture, map_weights
from analog_fhn.draws import DeviceDraws
from analog_fhn.technology.sections import Array
from analog_fhn.technology.technology import Technology


def array(**changes: Any) -> Array:
    """From 1 to 100 uS, continuous, without clipping or programming error, unless told otherwise."""
    ideal = {"levels": None, "clip_quantile": 1.0, "programming_error": 0.0}
    return Technology.load("discrete").array.model_copy(update=ideal | changes)


def weights(shape: tuple[int, int] = (30, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_one_sided_mapping() -> None:
    # G+- = Gmin + k max(+-w, 0), k = (Gmax - Gmin)/w_max, with Gmin 1 uS, Gmax 100 uS, w_max 2
    w = np.array([[2.0, -1.0], [0.0, 0.5]])
    bar = map_weights(w, None, array(mapping="one-sided"))
    np.testing.assert_allclose(bar.g_plus, np.array([[100.0, 1.0], [1.0, 25.75]]) * 1e-6, rtol=1e-14)
    np.testing.assert_allclose(bar.g_minus, np.array([[1.0, 50.5], [1.0, 1.0]]) * 1e-6, rtol=1e-14)


def test_two_sided_mapping() -> None:
    # G+- = (Gmin + Gmax)/2 +- k w/2
    w = np.array([[2.0, -1.0], [0.0, 0.5]])
    bar = map_weights(w, None, array(mapping="two-sided"))
    np.testing.assert_allclose(bar.g_plus, np.array([[100.0, 25.75], [50.5, 62.875]]) * 1e-6, rtol=1e-14)
    np.testing.assert_allclose(bar.g_minus, np.array([[1.0, 75.25], [50.5, 38.125]]) * 1e-6, rtol=1e-14)


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
def test_without_quantisation_the_weights_come_back(mapping: str) -> None:
    w = weights()
    # 100 uS/1 uS costs two digits of sixteen
    np.testing.assert_allclose(map_weights(w, None, array(mapping=mapping)).weights, w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
def test_biases_are_the_last_row(mapping: str) -> None:
    w, b = weights(), 5 * weights((1, 8), 1)[0]
    bar = map_weights(w, b, array(mapping=mapping))
    assert bar.bias_rows == np.ceil(np.abs(b).max() / np.abs(w).max()) > 1
    assert bar.g_plus.shape == (30 + bar.bias_rows, 8)
    np.testing.assert_allclose(bar.weights, w, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(bar.bias, b, rtol=1e-12, atol=1e-13)


def test_without_biases_there_is_no_row_for_them() -> None:
    bar = map_weights(weights(), None, array())
    assert bar.g_plus.shape == (30, 8)
    assert bar.bias is None


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
@pytest.mark.parametrize("levels", [2, 16, 32])
def test_quantised_conductances_are_levels(mapping: str, levels: int) -> None:
    bar = map_weights(np.linspace(-1, 1, 400).reshape(40, 10), None, array(mapping=mapping, levels=levels))
    allowed = np.linspace(1e-6, 100e-6, levels)
    for g in (bar.g_plus, bar.g_minus):
        assert np.abs(g[..., None] - allowed).min(axis=-1).max() < 1e-18
    assert len(np.unique(np.round(bar.g_plus, 12))) == levels


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
def test_quantisation_goes_to_the_nearest_level(mapping: str) -> None:
    w = weights((200, 20))
    fine, coarse = (map_weights(w, None, array(mapping=mapping, levels=n)) for n in (None, 32))
    half_a_step = 0.5 * 99e-6 / 31
    for one, other in ((fine.g_plus, coarse.g_plus), (fine.g_minus, coarse.g_minus)):
        assert np.abs(one - other).max() <= half_a_step * (1 + 1e-9)


def test_clipping_at_the_quantile() -> None:
    w = np.arange(1.0, 102.0).reshape(101, 1) * np.where(np.arange(101) % 2, -1, 1)[:, None]
    # The 0.9 quantile of 1, 2, ..., 101 is 91.
    found = map_weights(w, None, array(clip_quantile=0.9)).weights
    np.testing.assert_allclose(found, np.clip(w, -91, 91), rtol=1e-12)


def test_mostly_zero_weights_are_not_clipped_to_zero() -> None:
    w = np.zeros((100, 10))
    w[3, 3] = -0.7
    np.testing.assert_allclose(map_weights(w, None, array(clip_quantile=0.9)).weights, w, rtol=1e-12)


def test_zero_weights_give_equal_conductances() -> None:
    bar = map_weights(np.zeros((3, 2)), None, array(levels=32))
    np.testing.assert_array_equal(bar.g_plus, bar.g_minus)


def programmed(error: float, seed: int = 0) -> tuple[Crossbar, Crossbar]:
    target = map_weights(weights((400, 100)), None, array())
    return target, manufacture(target, array(programming_error=error), 300.0, DeviceDraws(seed, 0, (400, 100)))


def test_programming_error_is_relative_to_the_target() -> None:
    target, made = programmed(0.01)
    deviation = np.concatenate([(made.g_plus / target.g_plus - 1).ravel(), (made.g_minus / target.g_minus - 1).ravel()])
    n = deviation.size  # 80 000
    # Four standard errors: chance 6e-5 each
    assert abs(deviation.mean()) < 4 * 0.01 / np.sqrt(n)
    assert abs(deviation.std() - 0.01) < 4 * 0.01 / np.sqrt(2 * n)


def test_both_devices_of_a_pair_err_on_their_own() -> None:
    target, made = programmed(0.01)
    plus, minus = (made.g_plus / target.g_plus - 1).ravel(), (made.g_minus / target.g_minus - 1).ravel()
    assert abs(np.corrcoef(plus, minus)[0, 1]) < 4 / np.sqrt(plus.size)


def test_no_programming_error_changes_nothing() -> None:
    target, made = programmed(0.0)
    np.testing.assert_array_equal(made.weights, target.weights)


def test_conductances_are_never_negative() -> None:
    _, made = programmed(0.8)  # every tenth draw would be below zero
    assert min(made.g_plus.min(), made.g_minus.min()) == 0.0


def test_programming_keeps_the_scale_of_the_weights() -> None:
    target, made = programmed(0.01)
    assert made.siemens_per_weight == target.siemens_per_weight
