"""A twin whose map is known in closed form: steps of Euler's method on the FitzHugh-Nagumo equations."""

from __future__ import annotations

import numpy as np

from analog_fhn.reconstruct.model.autoencoder import Autoencoder
from analog_fhn.reconstruct.model.embedding import Embedding
from analog_fhn.reconstruct.model.maps import PolynomialMap
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.model.states import Coordinates
from analog_fhn.reconstruct.rhythm import Levels

EPS, STEP = 0.1, 0.02
"""Of the neuron, and of Euler's method (T), which keeps the mean of x over a period exactly."""


def handmade(
    volts: float = 3.0, second: float = 1e-3, a: float = 1.0, control: tuple[float, ...] = (-1.0, 0.0, 1.0)
) -> Reconstruction:
    """Reconstruction with the state (x, y) and the voltage ``volts x``; it is no `as_neuron` yet."""
    # monomials x, x^3, y, 1, p
    powers = np.array([[1, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
    fast = np.array([1.0, -1.0 / 3.0, -1.0, 0.0, 0.0]) * STEP / EPS
    slow = np.array([1.0, 0.0, 0.0, a, 1.0]) * STEP
    lags = np.arange(2)
    return Reconstruction(
        Embedding(lags, np.zeros_like(lags), np.full(2, 0.5), np.full(2, volts)),
        Autoencoder(((np.eye(2, 4), np.zeros(4)),), ((np.eye(2), np.array([-0.5 / volts, 0.0])),)),
        Coordinates(np.zeros(2), np.eye(2), np.ones(2)),
        PolynomialMap(powers, np.stack([fast, slow], axis=1)),
        STEP * second,
        Levels(-2.0 * volts, 2.0 * volts),
        np.tile([-1.0, -0.6], (len(control), 1)),
        np.array(control),
    )
