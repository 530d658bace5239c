"""From neuron states to a class: recentring, vote and mean readout."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["sigmoid", "tanh"]
Readout = Literal["vote", "mean"]


def recentring(hidden: Activation, a: float, gamma: float) -> tuple[float, float]:
    """Gain and offset of the activation ``h = gain * x + offset`` in the units the weights were trained for.

    For sigmoid-trained weights ``h = (1 - (x + a)/gamma)/2``, for tanh-trained ``h = -(x + a)/gamma``: with the
    time average ``<x> = -a - gamma tanh(slope z)`` these are the trained activations (algebra).
    """
    if hidden == "sigmoid":
        return -0.5 / gamma, 0.5 * (1.0 - a / gamma)
    return -1.0 / gamma, -a / gamma


def vote(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Class that holds the argmax of the scores longest over the control window (the paper's equation 3).

    Parameters
    ----------
    scores
        Shape (n_samples, n_images, n_classes).

    Returns
    -------
    ndarray
        Votes, shape (n_images, n_classes): number of samples at which each class leads. The answer is the
        argmax over classes; of equal ones the lowest index wins, at each instant and in the count.
    """
    n_classes = scores.shape[2]
    leader = np.argmax(scores, axis=2)
    counts = np.empty(scores.shape[1:], dtype=np.intp)
    for k in range(n_classes):
        counts[:, k] = np.count_nonzero(leader == k, axis=0)
    return counts
