"""The images of a split, the draws from them, and data sets that do not exist."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from dataset_readers import refusal

from analog_fhn.data import Dataset
from analog_fhn.errors import InputError


def a_dataset(**changes: object) -> Dataset:
    fields: dict[str, object] = {
        "name": "some",
        "images": np.arange(12, dtype=np.float32).reshape(4, 3),
        "labels": np.array([0, 1, 2, 1]),
        "n_classes": 3,
        "scale": (0.0, 11.0),
        "source": "here",
    }
    return Dataset(**(fields | changes))


def test_head_gives_the_first_images_without_copying() -> None:
    whole = a_dataset()
    first = whole.head(2)
    np.testing.assert_array_equal(first.images, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(first.labels, [0, 1])
    assert np.shares_memory(first.images, whole.images)
    assert (first.n_classes, first.scale, first.source) == (3, (0.0, 11.0), "here")


@pytest.mark.parametrize("n", [-1, 0, 5])
def test_head_refuses_more_or_fewer_than_there_are(n: int) -> None:
    with pytest.raises(InputError, match=r"some holds 4; expected 1 to 4"):
        a_dataset().head(n)


def uneven() -> Dataset:
    """Three classes with 7, 5 and 9 images; the first pixel is the place of the image."""
    labels = np.repeat(np.arange(3), [7, 5, 9])[np.arange(21) * 8 % 21]
    images = np.stack([np.arange(21), labels], axis=1).astype(np.float32)
    return Dataset("some", images, labels, 3, (0.0, 21.0), "here")


def test_balanced_has_each_class_equally_often_and_no_image_twice() -> None:
    drawn = uneven().balanced(4, seed=3)
    assert np.bincount(drawn.labels).tolist() == [4, 4, 4]
    assert len(set(drawn.images[:, 0])) == 12
    np.testing.assert_array_equal(drawn.images[:, 1], drawn.labels)  # each image kept its label
    assert (drawn.n_classes, drawn.scale, drawn.source) == (3, (0.0, 21.0), "here")
    assert np.any(np.diff(drawn.labels) < 0)  # mixed, so that the first images are no single class


def test_balanced_takes_all_of_the_smallest_class() -> None:
    whole = uneven()
    drawn = whole.balanced(5, seed=0)
    assert set(drawn.images[drawn.labels == 1, 0]) == set(whole.images[whole.labels == 1, 0])


def test_draws_follow_their_seed() -> None:
    whole = uneven()
    for draw in (lambda seed: whole.balanced(4, seed), lambda seed: whole.split(6, seed)[1]):
        np.testing.assert_array_equal(draw(1).images, draw(1).images)
        assert set(draw(1).images[:, 0]) != set(draw(2).images[:, 0])


@pytest.mark.parametrize(
    ("per_class", "said"),
    [(6, "6 images per class asked for, but some holds 5 of class 1; expected 1 to 5"), (0, "expected at least 1")],
)
def test_balanced_refuses_more_than_the_smallest_class_has(per_class: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        uneven().balanced(per_class, seed=0)


def test_split_parts_the_images() -> None:
    whole = uneven()
    rest, held_out = whole.split(6, seed=4)
    assert (len(rest.labels), len(held_out.labels)) == (15, 6)
    assert set(rest.images[:, 0]) | set(held_out.images[:, 0]) == set(range(21))
    for part in (rest, held_out):
        np.testing.assert_array_equal(part.images[:, 1], part.labels)
        assert np.all(np.diff(part.images[:, 0]) > 0)


@pytest.mark.parametrize("n", [-1, 0, 21])
def test_split_leaves_images_on_both_sides(n: int) -> None:
    with pytest.raises(InputError, match="some holds 21; expected 1 to 20"):
        uneven().split(n, seed=0)


@pytest.mark.parametrize("draw", [lambda s: s.balanced(1, -1), lambda s: s.split(1, -1)])
def test_negative_seeds_are_refused(draw: Callable[[Dataset], object]) -> None:
    with pytest.raises(InputError, match="seed = -1"):
        draw(uneven())


def test_a_dataset_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        a_dataset().name = "other"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": np.zeros((4, 3))}, "images are float64 and labels int64; expected float32 and int64"),
        ({"labels": np.zeros(4, dtype=np.int32)}, "labels int32; expected float32 and int64"),
        ({"images": np.zeros(4, dtype=np.float32)}, "shape (4,); expected (n, n_in)"),
        ({"images": np.zeros((0, 3), dtype=np.float32)}, "not empty"),
        ({"labels": np.zeros(3, dtype=np.int64)}, "4 images but labels of shape (3,)"),
        ({"images": np.full((4, 3), np.nan, dtype=np.float32)}, "NaN or infinite"),
        ({"images": np.full((4, 3), -np.inf, dtype=np.float32)}, "NaN or infinite"),
        ({"labels": np.array([0, 1, 3, 1])}, "labels run from 0 to 3; expected 0 to 2"),
        ({"labels": np.array([0, -1, 2, 1])}, "labels run from -1 to 2; expected 0 to 2"),
    ],
)
def test_a_dataset_that_does_not_fit_together_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        a_dataset(**changes)
    assert str(caught.value).startswith("here: ")
    assert said in str(caught.value)


def test_unknown_split_and_unknown_name_are_refused() -> None:
    assert "expected 'train' or 'test'" in refusal("digits", split="validation")
    assert refusal("minst") == "dataset 'minst': expected mnist, digits, or the path of a .npz or .csv file"


def test_pictures_are_refused_with_what_to_make_of_them(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG")
    expected = "expected mnist, digits, or the path of a .npz or .csv file; numpy.savez("
    assert f"{str(tmp_path)!r}: is a folder; {expected}" in refusal(str(tmp_path))
    assert f"0.png': {expected}" in refusal(str(tmp_path / "0.png"))


def test_nothing_heavy_is_imported_with_the_module() -> None:
    code = "import sys, analog_fhn.data; print({'sklearn', 'keras', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
