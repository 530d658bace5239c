"""Delay vectors: which samples they hold, and which they leave out."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.embedding import Embedding


@pytest.fixture
def voltage() -> np.ndarray:
    return np.random.default_rng(1).normal(-0.05, 0.01, 300)


def test_uniform_vectors_are_delay_coordinates(voltage: np.ndarray) -> None:
    made = Embedding.uniform([voltage], 4, stride=3)
    vectors, index = made.vectors(voltage)
    assert (made.dimension, made.span) == (4, 9)
    assert np.array_equal(index, np.arange(9, 300))
    plain = np.stack([voltage[index - 3 * k] for k in range(4)], axis=1)
    assert vectors == pytest.approx((plain - plain.mean(axis=0)) / plain.std(axis=0), rel=1e-12)


def test_newest_coordinate_is_the_voltage(voltage: np.ndarray) -> None:
    for made in (Embedding.uniform([voltage], 5, 2), Embedding.spread([voltage], 12, 60)):
        vectors, index = made.vectors(voltage)
        assert made.restore(vectors[:, 0]) == pytest.approx(voltage[index], rel=1e-12)


def test_spread_lags_follow_each_other_and_then_grow(voltage: np.ndarray) -> None:
    made = Embedding.spread([voltage], 15, 100)
    assert list(made.lags[:6]) == [0, 1, 2, 3, 4, 5]
    assert made.lags[-1] == 100
    steps = np.diff(made.lags[5:])
    assert np.all(np.diff(steps) >= 0)
    assert made.lags[-1] / made.lags[-2] == pytest.approx(20 ** (1 / 9), rel=0.02)
    assert np.all((made.widths <= 0.45 * made.lags) & (made.widths > 0.45 * made.lags - 1.001))


def test_the_smallest_spread_vector_reaches_its_longest_lag(voltage: np.ndarray) -> None:
    assert Embedding.spread([voltage], 3, 100).lags.tolist() == [0, 1, 100]


def test_spread_coordinates_are_weighted_means(voltage: np.ndarray) -> None:
    made = Embedding.spread([voltage], 9, 40, smoothing=0.2)
    vectors, index = made.vectors(voltage)
    row = 17
    for j, (lag, width) in enumerate(zip(made.lags, made.widths, strict=True)):
        weights = [np.cos(np.pi / 2 * k / (width + 1)) ** 2 for k in range(-width, width + 1)]
        around = [voltage[index[row] - lag + k] for k in range(-width, width + 1)]
        mean = np.dot(weights, around) / sum(weights)
        assert vectors[row, j] * made.deviations[j] + made.means[j] == pytest.approx(mean, rel=1e-12)


def test_spread_without_smoothing_picks_samples(voltage: np.ndarray) -> None:
    made = Embedding.spread([voltage], 9, 40, smoothing=0.0)
    vectors, index = made.vectors(voltage)
    picked = voltage[index[:, None] - made.lags]
    assert vectors * made.deviations + made.means == pytest.approx(picked, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 0.6])
def test_no_vector_knows_the_future(voltage: np.ndarray, smoothing: float) -> None:
    made = Embedding.spread([voltage], 12, 60, smoothing)
    before, index = made.vectors(voltage)
    changed = voltage.copy()
    changed[200:] += 1.0
    after, _ = made.vectors(changed)
    past = index < 200
    assert np.array_equal(after[past], before[past])
    assert np.all(after[index == 200, 0] != before[index == 200, 0])


def test_vectors_depend_on_the_span_and_no_more(voltage: np.ndarray) -> None:
    made = Embedding.spread([voltage], 12, 60)
    before, index = made.vectors(voltage)
    changed = voltage.copy()
    changed[:100] += 1.0
    after, _ = made.vectors(changed)
    same = np.all(after == before, axis=1)
    assert np.array_equal(index[same], np.arange(100 + made.span, 300))


def test_missing_samples_leave_vectors_out(voltage: np.ndarray) -> None:
    made = Embedding.uniform([voltage], 3, 2)
    complete, _ = made.vectors(voltage)
    holed = voltage.copy()
    holed[100] = np.nan
    vectors, index = made.vectors(holed)
    assert np.array_equal(index, np.setdiff1d(np.arange(4, 300), [100, 102, 104]))
    assert np.array_equal(vectors, complete[index - 4])


def test_a_mean_over_a_missing_sample_leaves_its_vector_out(voltage: np.ndarray) -> None:
    made = Embedding.spread([voltage], 6, 20)
    holed = voltage.copy()
    holed[100] = np.nan
    _, index = made.vectors(holed)
    reached = {
        100 + lag + k
        for lag, width in zip(made.lags.tolist(), made.widths.tolist(), strict=True)
        for k in range(-width, width + 1)
    }
    assert np.array_equal(index, np.setdiff1d(np.arange(made.span, 300), sorted(reached)))


def test_several_recordings_share_one_scale(voltage: np.ndarray) -> None:
    other = voltage[:150] + 0.03
    made = Embedding.uniform([voltage, other], 2)
    both = np.concatenate([made.vectors(v)[0] for v in (voltage, other)])
    assert both.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert both.std(axis=0) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("dimension", "stride"), [(0, 1), (3, 0)])
def test_uniform_refuses_no_samples(voltage: np.ndarray, dimension: int, stride: int) -> None:
    with pytest.raises(InputError, match="must be 1 or more"):
        Embedding.uniform([voltage], dimension, stride)


@pytest.mark.parametrize(
    ("dimension", "longest", "smoothing"), [(2, 50, 0.3), (12, 11, 0.3), (12, 50, 0.7), (12, 50, -0.1)]
)
def test_spread_refuses_what_is_out_of_range(
    voltage: np.ndarray, dimension: int, longest: int, smoothing: float
) -> None:
    with pytest.raises(InputError, match="smoothing from 0 to"):
        Embedding.spread([voltage], dimension, longest, smoothing)


def test_a_short_recording_is_refused(voltage: np.ndarray) -> None:
    made = Embedding.uniform([voltage], 4, 10)
    assert len(made.vectors(voltage[:31])[0]) == 1
    with pytest.raises(InputError, match="at least 31 successive samples"):
        made.vectors(voltage[:30])


def test_a_recording_of_gaps_is_refused(voltage: np.ndarray) -> None:
    made = Embedding.uniform([voltage], 4, 1)
    holed = voltage.copy()
    holed[::3] = np.nan
    with pytest.raises(InputError, match="no delay vector without a missing"):
        made.vectors(holed)


def test_a_flat_recording_is_refused() -> None:
    with pytest.raises(InputError, match="must vary"):
        Embedding.uniform([np.zeros(100)], 3)


def test_a_table_is_no_recording(voltage: np.ndarray) -> None:
    with pytest.raises(InputError, match="one voltage series"):
        Embedding.uniform([voltage], 2).vectors(voltage.reshape(2, -1))


@pytest.mark.parametrize(
    ("lags", "widths", "message"),
    [
        ([0, 2, 2], [0, 0, 0], "increase from 0"),
        ([1, 2, 3], [0, 0, 0], "increase from 0"),
        ([0, 1, 3], [0, 2, 0], "beyond the newest"),
        ([0, 1, 3], [0, 0], "same shape"),
    ],
)
def test_impossible_lags_are_refused(lags: list[int], widths: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Embedding(np.array(lags), np.array(widths), np.zeros(3), np.ones(3))
