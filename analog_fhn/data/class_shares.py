"""Whether some of many labelled images hold each class in its share, and an order in which the first ones always do."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM = 1e-4
"""Probability that images drawn blindly from the whole are called unfair."""

# Neighbours of different classes where a set stands in order: below this share of those in a mixed one, and by so many
# standard errors. The errors alone say too much where a class is rare, the share where there are few images.
_FEW_CHANGES = 0.5
_CLEARLY = 4.0


def unfair(labels: NDArray[np.integer], whole: NDArray[np.integer]) -> str:
    """What is wrong with the shares of the classes among some images; "": nothing.

    The shares are wrong if a class has more or fewer images than a blind draw would give it but once in
    1 / `FALSE_ALARM` draws (hypergeometric distribution, over all classes together). Where the whole stands in the
    order of its classes, the images are no draw: there a class is wrong that is off by more than one image.

    Parameters
    ----------
    labels
        Classes of the first images of the whole, from 0, shape (n,).
    whole
        Classes of all images, in their order, shape (n_whole,).
    """
    n, n_whole = len(labels), len(whole)
    if n >= n_whole:
        return ""
    in_whole = np.bincount(whole)
    counts = np.bincount(labels, minlength=len(in_whole))
    share = n * in_whole / n_whole
    off = np.abs(counts - share)
    if off.max() <= 1.0 or not (in_order(whole) or _improbable(counts, in_whole)):
        return ""
    worst = int(off.argmax())
    held = f"hold {counts[worst] or 'none'} of class {worst}" if counts[worst] < n else f"are all of class {worst}"
    return f"the first {n} of {n_whole} images {held}, whose share would be {share[worst]:.3g}"


def in_order(labels: NDArray[np.integer]) -> bool:
    """Whether images stand sorted by class, or in runs of one class: far fewer neighbours differ than in a mixed order.

    The number of neighbours that differ is compared with its mean and standard error over all orders (the test of
    Wald and Wolfowitz, for any number of classes).
    """
    n = float(len(labels))
    counts = np.bincount(labels).astype(float)
    squares, cubes = (counts**2).sum(), (counts**3).sum()
    mean = n - squares / n
    variance = (squares * (squares + n * (n + 1.0)) - 2.0 * n * cubes - n**3) / (n * n * max(n - 1.0, 1.0))
    changes = np.count_nonzero(np.diff(labels))
    return bool(changes < _FEW_CHANGES * mean and changes < mean - _CLEARLY * math.sqrt(max(variance, 0.0)))


def fair_order(labels: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """Order of images in which the first n, for every n, hold the same part of each class, to within one image.

    The images of a class stand evenly apart; which of them comes first, and where, is drawn.

    Parameters
    ----------
    labels
        Classes, from 0, shape (n,).
    seed
        Of the draw, from 0 on; the same seed gives the same order, on any machine.
    """
    counts = np.bincount(labels)
    # The raw stream of a bit generator never changes between versions of NumPy; its permutations may.
    raw = np.random.PCG64(seed).random_raw(len(labels) + len(counts))
    drawn = np.argsort(raw[: len(labels)], kind="stable")
    by_class = drawn[np.argsort(labels[drawn], kind="stable")]
    of_place = labels[by_class]
    number = np.arange(len(labels)) - np.searchsorted(of_place, of_place)  # of an image in its class, from 0
    first = raw[len(labels) :] / 2.0**64
    return by_class[np.argsort((number + first[of_place]) / counts[of_place], kind="stable")]


def commonest(labels: NDArray[np.integer]) -> tuple[int, float]:
    """Most frequent class, and its share: what always answering this class finds."""
    counts = np.bincount(labels)
    return int(counts.argmax()), float(counts.max() / len(labels))


def missing_classes(labels: NDArray[np.integer], n_classes: int) -> list[int]:
    """Classes that no label names."""
    return [int(c) for c in np.flatnonzero(np.bincount(labels, minlength=n_classes)[:n_classes] == 0)]


def _improbable(counts: NDArray[np.integer], in_whole: NDArray[np.integer]) -> bool:
    from scipy.stats import hypergeom

    present = in_whole > 0
    of_each = hypergeom(int(in_whole.sum()), in_whole[present], int(counts.sum()))
    tail = np.minimum(of_each.cdf(counts[present]), of_each.sf(counts[present] - 1))
    return bool(2.0 * tail.min() * np.count_nonzero(present) < FALSE_ALARM)
