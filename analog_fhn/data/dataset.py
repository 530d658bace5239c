"""Labelled images of one split of a data set, and the draws from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn.data.class_shares import fair_order, missing_classes, unfair
from analog_fhn.errors import InputError

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Shown):
    """Labelled images of one split.

    Parameters
    ----------
    name
        ``"mnist"``, ``"digits"`` or the name of the user's file.
    images
        Pixel values, float32, shape (n, n_in); within `scale`, which is 0..1 for MNIST and the digits.
    labels
        Class of each image, int64, shape (n,), from 0 to ``n_classes - 1``.
    n_classes
        Number of classes.
    scale
        Smallest and largest pixel value of the data set, in the units of `images`.
    source
        Where the images came from, in words.
    held_out
        Places in the file, counted from 0, of the images that `load` held out for testing, shape (n_held_out,); None:
        it held out none.
    places
        Places in the split, counted from 0, of images that `stratified` drew, shape (n,); None: the images are the
        split, or its first ones.
    whole
        Labels of the images that `head` took these from, int64, shape (n_whole,); None: these are all.
    notes
        Sentences about how the file was read, where its layout could be taken for another; empty for the plain one.

    Raises
    ------
    InputError
        If shapes, types or counts do not fit together, a pixel is not finite or a label is out of range.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    n_classes: int
    scale: tuple[float, float]
    source: str
    held_out: NDArray[np.intp] | None = None
    places: NDArray[np.intp] | None = None
    whole: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != np.float32 or self.labels.dtype != np.int64:
            raise InputError(
                f"{self.source}: images are {self.images.dtype} and labels {self.labels.dtype}; "
                "expected float32 and int64"
            )
        if self.images.ndim != 2 or self.images.size == 0:
            raise InputError(f"{self.source}: images have shape {self.images.shape}; expected (n, n_in), not empty")
        if self.labels.shape != self.images.shape[:1]:
            raise InputError(
                f"{self.source}: {len(self.images)} images but labels of shape {self.labels.shape}; "
                "expected one label per image"
            )
        if not (np.isfinite(self.images.min()) and np.isfinite(self.images.max())):
            raise InputError(f"{self.source}: some pixels are NaN or infinite; expected finite values")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.n_classes:
            raise InputError(
                f"{self.source}: labels run from {low} to {high}; expected 0 to {self.n_classes - 1} "
                f"for {self.n_classes} classes"
            )

    def _card(self) -> Card:
        (n, n_in), (low, high) = self.images.shape, self.scale
        counts = np.bincount(self.labels, minlength=self.n_classes).tolist()
        grid = Grid(["class", *map(str, range(self.n_classes))], [["images", *counts]])
        facts = {"source": self.source, "values": f"{low:g} to {high:g}"}
        line = f"{n} images of {n_in} values, {self.n_classes} classes"
        return Card(f"Dataset {self.name}", line, facts, (grid,) if self.n_classes <= 20 else ())

    def head(self, n: int) -> Dataset:
        """Give the first `n` images, as views of the same arrays.

        Raises
        ------
        InputError
            If `n` is not between 1 and the number of images.
        """
        if not 1 <= n <= len(self.images):
            raise InputError(
                f"{n} images asked for, but {self.name} holds {len(self.images)}; expected 1 to {len(self.images)}"
            )
        places = None if self.places is None else self.places[:n]
        whole = self.labels if self.whole is None else self.whole
        return replace(self, images=self.images[:n], labels=self.labels[:n], places=places, whole=whole)

    @property
    def unfair(self) -> str:
        """What is wrong with the shares of the classes among images that `head` took; "": nothing."""
        return "" if self.whole is None else unfair(self.labels, self.whole)

    @property
    def missing(self) -> list[int]:
        """Classes that none of the images is of."""
        return missing_classes(self.labels, self.n_classes)

    def stratified(self, seed: int) -> Dataset:
        """The images in an order in which the first n, for every n, hold each class in its share, to about one image.

        Parameters
        ----------
        seed
            Of the draw, which images of a class come first; the same seed gives the same order.

        Raises
        ------
        InputError
            If `seed` is below 0.
        """
        _check_seed(seed)
        order = fair_order(self.labels, seed)
        return replace(self.take(order), places=order if self.places is None else self.places[order])

    def balanced(self, per_class: int, seed: int) -> Dataset:
        """Draw equally many images of each class, without replacement, in random order.

        Parameters
        ----------
        per_class
            Images of each class.
        seed
            Of the draw; the same seed gives the same images.

        Raises
        ------
        InputError
            If `per_class` is below 1, or a class has fewer images.
        """
        if per_class < 1:
            raise InputError(f"{per_class} images per class asked for; expected at least 1")
        counts = np.bincount(self.labels, minlength=self.n_classes)
        fewest = int(counts.argmin())
        if counts[fewest] < per_class:
            raise InputError(
                f"{per_class} images per class asked for, but {self.name} holds {counts[fewest]} of class {fewest}; "
                f"expected 1 to {counts[fewest]}"
            )
        generator = _generator(seed)
        chosen = [
            generator.choice(np.flatnonzero(self.labels == k), per_class, replace=False) for k in range(self.n_classes)
        ]
        return replace(self.take(generator.permutation(np.concatenate(chosen))), whole=None)

    def split(self, n: int, seed: int) -> tuple[Dataset, Dataset]:
        """Hold out `n` images drawn at random; both parts keep the order of the whole.

        Parameters
        ----------
        n
            Images held out.
        seed
            Of the draw; the same seed gives the same images.

        Returns
        -------
        rest, held_out

        Raises
        ------
        InputError
            If `n` does not leave an image on both sides.
        """
        if not 1 <= n < len(self.images):
            raise InputError(
                f"{n} images to hold out, but {self.name} holds {len(self.images)}; expected 1 to "
                f"{len(self.images) - 1}"
            )
        out = np.zeros(len(self.images), dtype=bool)
        out[_generator(seed).choice(len(self.images), n, replace=False)] = True
        return self.take(~out), self.take(out)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Dataset:
        """Give the images at places in the split, counted from 0, or where a mask of shape (n,) is true, as copies."""
        places = None if self.places is None else self.places[index]
        return replace(self, images=self.images[index], labels=self.labels[index], places=places)


def check_alike(training: Dataset, test: Dataset) -> None:
    """Raise InputError unless the test images have as many pixels as the training images, and no further classes."""
    n_in, n_test = training.images.shape[1], test.images.shape[1]
    if n_test != n_in:
        raise InputError(f"{test.source}: images have {n_test} values; expected {n_in}, as in {training.source}")
    if test.labels.max() >= training.n_classes:
        raise InputError(
            f"{test.source}: label {test.labels.max()}; expected 0 to {training.n_classes - 1}, for "
            f"{training.source} has {training.n_classes} classes"
        )


def _generator(seed: int) -> np.random.Generator:
    _check_seed(seed)
    return np.random.default_rng(seed)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed = {seed}: expected a whole number from 0 on")
