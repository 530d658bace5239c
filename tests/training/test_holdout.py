"""Data for training and judging: apart, where a file has no splits of its own, and fit for each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.data import load
from analog_fhn.data.dataset import check_alike
from analog_fhn.errors import InputError

LABELS = np.array([0] * 12 + [2] * 4 + [1] * 5)
PLACES = [4, 9, 20]  # the fifth and tenth 0, the fifth 1, no 2
IMAGES = np.arange(42.0).reshape(21, 2)


def file_of(folder: Path, suffix: str, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> str:
    path = folder / f"mine{suffix}"
    if suffix == ".npz":
        np.savez(path, images=images, labels=labels)
    else:
        np.savetxt(path, np.column_stack([labels, images]), delimiter=",", fmt="%g")
    return str(path)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_every_fifth_image_of_each_class_is_held_out(suffix: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, suffix)
    train, test = (load(path, split, holdout=True) for split in ("train", "test"))
    np.testing.assert_array_equal(test.images, IMAGES[PLACES])
    np.testing.assert_array_equal(test.labels, [0, 0, 1])
    np.testing.assert_array_equal(train.images, np.delete(IMAGES, PLACES, axis=0))
    np.testing.assert_array_equal(train.labels, np.delete(LABELS, PLACES))
    for part in (train, test):
        assert (part.n_classes, part.scale) == (3, (0.0, 41.0))
        np.testing.assert_array_equal(part.held_out, PLACES)
        assert path in part.source
    assert train.source != test.source


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_who_only_judges_gets_the_whole_file(suffix: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, suffix)
    for split in ("train", "test"):
        whole = load(path, split)
        np.testing.assert_array_equal(whole.images, IMAGES)
        assert whole.held_out is None


def test_interleaved_classes_are_counted_one_by_one(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 4, 200)
    test = load(file_of(tmp_path, ".npz", np.arange(400.0).reshape(200, 2), labels), "test", holdout=True)
    seen = dict.fromkeys(range(4), 0)
    wanted = []
    for place, label in enumerate(labels):
        seen[int(label)] += 1
        if seen[int(label)] % 5 == 0:
            wanted.append(place)
    assert test.held_out is not None
    assert test.held_out.tolist() == wanted


def test_splits_that_there_are_stay_as_they_are(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "both.npz", train_images=IMAGES, train_labels=LABELS, test_images=IMAGES[:1], test_labels=LABELS[:1]
    )
    for name in (str(tmp_path / "both.npz"), "digits"):
        for split in ("train", "test"):
            one, other = load(name, split), load(name, split, holdout=True)
            np.testing.assert_array_equal(one.images, other.images)
            assert (one.source, one.held_out) == (other.source, other.held_out)


def test_a_file_of_which_nothing_can_be_held_out_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, ".csv", IMAGES[:8], np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    for split in ("train", "test"):
        with pytest.raises(InputError, match=r"mine\.csv: no test images, and none can be held out of 4 images"):
            load(path, split, holdout=True)


def test_test_images_of_another_kind_are_refused() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    check_alike(train, test)
    narrow = replace(test, images=test.images[:, :16], source="narrow")
    with pytest.raises(InputError, match="narrow: images have 16 values; expected 64, as in load_digits"):
        check_alike(train, narrow)
    further = replace(test, labels=np.where(test.labels == 3, 10, test.labels), n_classes=11, source="further")
    with pytest.raises(InputError, match=r"further: label 10; expected 0 to 9, for load_digits .* has 10 classes"):
        check_alike(train, further)
