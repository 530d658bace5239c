"""Whether some images stand for the whole, against draws by chance and data sets in the order of their classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analog_fhn.data import Dataset, Split, load
from analog_fhn.data.class_shares import FALSE_ALARM, commonest, fair_order, in_order, missing_classes, unfair

SORTED = np.repeat(np.arange(10), 30)
USUAL = (1, 2, 3, 5, 10, 20, 50, 100, 200, 300, 400, 499)


def mixed(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(labels)


def test_first_images_of_a_sorted_set_are_of_one_class() -> None:
    said = unfair(SORTED[:20], SORTED)
    assert said == "the first 20 of 300 images are all of class 0, whose share would be 2"


@pytest.mark.parametrize("n", [2, 3, 25, 60, 150, 270, 297])
def test_first_images_of_a_sorted_set_are_no_fair_ones(n: int) -> None:
    assert unfair(SORTED[:n], SORTED)
    assert unfair(SORTED[::-1][:n], SORTED[::-1])


@pytest.mark.parametrize("n", [1, 299, 300])
def test_off_by_one_image_is_fair(n: int) -> None:
    assert not unfair(SORTED[:n], SORTED)


def test_two_classes_of_which_only_one_is_seen() -> None:
    labels = np.repeat([0, 1], 50)
    assert "are all of class 0, whose share would be 2.5" in unfair(labels[:5], labels)


def test_a_last_class_that_comes_short_is_named() -> None:
    # Mixed but for class 9, which stands at the end.
    labels = np.concatenate([mixed(SORTED[SORTED < 9], 0), np.full(30, 9)])
    assert unfair(labels[:200], labels) == "the first 200 of 300 images hold none of class 9, whose share would be 20"


def test_runs_of_one_class_are_in_order() -> None:
    runs = np.tile(np.repeat(np.arange(10), 6), 5)
    assert in_order(runs)
    assert not in_order(mixed(runs, 2))
    assert not in_order(np.tile(np.arange(10), 30))


def test_half_of_the_classes_in_each_half_is_found_by_their_shares() -> None:
    halves = np.concatenate([mixed(np.repeat(np.arange(5), 30), 0), mixed(np.repeat(np.arange(5, 10), 30), 1)])
    assert not in_order(halves)
    assert "hold 24 of class 0, whose share would be 10" in unfair(halves[:100], halves)


@pytest.mark.parametrize("labels", [SORTED, np.repeat([0, 1], [5, 195]), np.repeat([0, 1, 2], 7)])
def test_mixed_sets_are_fair_but_for_the_stated_share(labels: NDArray[np.int64]) -> None:
    draws = 400
    alarms = sum(bool(unfair(shuffled[: len(labels) // 4], shuffled))
                 for shuffled in (mixed(labels, seed) for seed in range(draws)))  # fmt: skip
    assert alarms <= 1 + 4 * FALSE_ALARM * draws


@pytest.mark.parametrize("split", ["train", "test"])
def test_first_digits_stay_what_they_are(split: Split) -> None:
    whole = load("digits", split)
    assert [n for n in USUAL if whole.head(n).unfair] == []


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_first_mnist_images_stay_what_they_are(split: Split) -> None:
    whole = load("mnist", split)
    assert [n for n in (*USUAL, 500, 1000, 2000, 5000, 9999) if whole.head(n).unfair] == []


@pytest.mark.parametrize("labels", [SORTED, mixed(SORTED, 0), np.repeat([0, 1, 2], [200, 60, 7])])
def test_fair_order_gives_every_beginning_its_shares(labels: NDArray[np.int64]) -> None:
    order = fair_order(labels, seed=4)
    assert sorted(order) == list(range(len(labels)))
    counts = np.bincount(labels)
    seen = np.cumsum(np.eye(len(counts))[labels[order]], axis=0)
    # One part t of every class, to within an image: (seen - 1) / counts <= t <= (seen + 1) / counts.
    assert (((seen - 1) / counts).max(axis=1) <= ((seen + 1) / counts).min(axis=1)).all()


def test_fair_order_is_fair_where_many_classes_are_rare() -> None:
    labels = np.concatenate([np.zeros(2000, dtype=np.int64), np.arange(1, 61)])
    for seed in range(5):
        drawn = labels[fair_order(labels, seed)]
        assert [n for n in (20, 100, 500, 1000, 1900) if unfair(drawn[:n], drawn)] == []


def test_fair_order_follows_its_seed_and_not_the_order_of_the_file() -> None:
    first = fair_order(SORTED, seed=1)
    np.testing.assert_array_equal(first, fair_order(SORTED, seed=1))
    assert set(first[:50]) != set(fair_order(SORTED, seed=2)[:50])
    drawn = Counter(int(place) for seed in range(200) for place in fair_order(SORTED, seed)[:10])
    assert len(drawn) > 280  # any image may be the first of its class


def test_fair_order_is_the_same_for_ever() -> None:
    assert fair_order(np.array([0, 0, 1, 1, 2]), seed=0).tolist() == PINNED


PINNED = [3, 1, 4, 2, 0]


def test_commonest_class_and_missing_ones() -> None:
    assert commonest(np.array([3, 1, 3, 0])) == (3, 0.5)
    assert missing_classes(np.array([0, 2, 2]), 4) == [1, 3]


def test_stratified_images_keep_their_labels_and_know_their_places() -> None:
    whole = Dataset(
        "some", np.arange(300, dtype=np.float32)[:, None], SORTED.astype(np.int64), 10, (0.0, 299.0), "here"
    )
    few = whole.stratified(3).head(20)
    assert np.bincount(few.labels).tolist() == [2] * 10
    assert few.places is not None
    np.testing.assert_array_equal(few.images[:, 0], few.places)
    np.testing.assert_array_equal(whole.labels[few.places], few.labels)
    assert not few.unfair


def test_a_file_in_order_is_known_behind_its_hold_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=np.arange(300.0)[:, None], labels=SORTED)
    kept = load(str(tmp_path / "mine.npz"), "train", holdout=True)
    assert kept.head(24).unfair == "the first 24 of 240 images are all of class 0, whose share would be 2.4"
