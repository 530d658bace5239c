"""Whether a network was trained on pixels that were scaled another way than those of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.data import Dataset
from analog_fhn.network import Network


@dataclass(frozen=True)
class Scaling:
    """A scaling of pixels, and the accuracy of the plain network with it.

    Parameters
    ----------
    name
        In words.
    gain, offset
        What the network is given is gain * pixel + offset.
    accuracy
        Share of images that are classified as their labels.
    """

    name: str
    gain: float
    offset: float
    accuracy: float


def better_scaling(network: Network, train: Dataset, test: Dataset) -> Scaling | None:
    """The usual scaling of pixels that gives the plain network a far better accuracy; None: there is none.

    Far better is one by five points, or by one point with less than two thirds of the errors.

    Tried are 0..1, -1..1, 0..255, mean 0 and deviation 1 of the training images, each also with black and white
    exchanged.

    Parameters
    ----------
    train
        Training images, for their mean and deviation, in the scale of `test`.
    test
        Images that the accuracies are of.
    """
    low, high = test.scale
    mean, deviation = float(np.mean(train.images, dtype=np.float64)), float(np.std(train.images, dtype=np.float64))
    tried = [
        (f"from {first:g} to {last:g}", (last - first) / (high - low), first - low * (last - first) / (high - low))
        for first, last in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (1.0, 0.0), (1.0, -1.0), (255.0, 0.0))
    ]
    if deviation > 0.0:
        tried.append(("of mean 0 and deviation 1", 1.0 / deviation, -mean / deviation))
    accuracy = network.accuracy(test.images, test.labels)
    found = [
        Scaling(name, gain, offset, network.accuracy(gain * test.images + offset, test.labels))
        for name, gain, offset in tried
    ]
    best = max(found, key=lambda one: one.accuracy)
    fewer_errors = best.accuracy > accuracy + 0.01 and 1.0 - best.accuracy < 2.0 / 3.0 * (1.0 - accuracy)
    return best if fewer_errors or best.accuracy > accuracy + 0.05 else None
