"""From neuron states to a class: recentring, vote and mean readout."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled

Activation = Literal["sigmoid", "tanh", "relu"]
Readout = Literal["vote", "mean"]


def recentring(hidden: Activation, a: float, gamma: float, ceiling: float = 1.0) -> tuple[float, float]:
    """Gain and offset of the activation ``h = gain * x + offset`` in the units the weights were trained for.

    For sigmoid-trained weights ``h = (1 - (x + a)/gamma)/2``, for tanh-trained ``h = -(x + a)/gamma``: with the
    time average ``<x> = -a - gamma tanh(slope z)`` these are the trained activations (algebra). For relu, whose drive
    is ``gamma (2 u - 1)`` with u from 0 to 1, ``h = ceiling (1 - (x + a)/gamma)/2`` is ``ceiling u``.

    Parameters
    ----------
    ceiling
        Largest activation of a relu; other units have none.
    """
    if hidden == "tanh":
        return -1.0 / gamma, -a / gamma
    height = ceiling if hidden == "relu" else 1.0
    return -0.5 * height / gamma, 0.5 * height * (1.0 - a / gamma)


def product_type(
    weights: NDArray[np.floating], shift: NDArray[np.floating], largest_input: float
) -> type[np.floating[Any]]:
    """Floating-point type in which ``inputs @ weights + shift`` neither overflows nor loses small weights.

    Single precision wherever its range (1e-38 to 3e38) holds every sum with a wide margin, else double precision.

    Parameters
    ----------
    weights, shift
        Shapes (n_in, n_out) and (n_out,).
    largest_input
        Largest magnitude of an input.
    """
    largest = float(max(np.abs(weights).max(), np.abs(shift).max()))
    if largest == 0.0 or (largest > 1e-25 and largest * largest_input * len(weights) < 1e30):
        return np.float32
    return np.float64


def vote(outputs: NDArray[np.floating], shift: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the control window in which each class leads (the paper's equation 3).

    Parameters
    ----------
    outputs
        Output layer over time, x(t) W without bias; shape (n_samples, n_images, n_classes).
    shift
        The scores are ``outputs + shift``, shift of shape (n_classes,): recentring and biases.

    Returns
    -------
    ndarray
        Shape (n_images, n_classes). The answer is the argmax over classes; of equal ones the lowest index wins,
        at each instant and in the count.
    """
    counts = _count_leaders(outputs, np.asarray(shift, dtype=outputs.dtype))
    return np.asarray(counts / len(outputs), dtype=np.float64)


def leaders(outputs: NDArray[np.floating], shift: NDArray[np.floating]) -> NDArray[np.intp]:
    """Class that holds the argmax at each instant, shape (n_samples, n_images); arguments as for `vote`."""
    leader: NDArray[np.intp] = np.argmax(outputs + np.asarray(shift, dtype=outputs.dtype), axis=2)
    return leader


@compiled(parallel=True)
def _count_leaders(outputs, shift):  # type: ignore[no-untyped-def]
    n_samples, n_images, n_classes = outputs.shape
    counts = np.zeros((n_images, n_classes), dtype=np.int64)
    for image in prange(n_images):
        for sample in range(n_samples):
            best = 0
            highest = outputs[sample, image, 0] + shift[0]
            for k in range(1, n_classes):
                score = outputs[sample, image, k] + shift[k]
                if score > highest:
                    highest = score
                    best = k
            counts[image, best] += 1
    return counts
