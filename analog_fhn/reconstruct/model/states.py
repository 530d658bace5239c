"""Coordinates that maps work in: whitened, from the slowest to the fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.embedding import successive


@dataclass(frozen=True, eq=False)
class Coordinates:
    """``u = (latent - centre) T``: of unit variance, uncorrelated, and so are their steps in time.

    Slow feature analysis with linear features: L. Wiskott, T. J. Sejnowski, Neural Computation 14:715 (2002).

    Parameters
    ----------
    centre
        Shape (L,).
    transform
        T, shape (L, L).
    speeds
        Standard deviation of each coordinate's step from one sample to the next, shape (L,), increasing.
    """

    centre: FloatArray
    transform: FloatArray
    speeds: FloatArray

    @classmethod
    def fit(cls, latents: FloatArray, index: NDArray[np.intp]) -> Coordinates:
        """From latent coordinates (m, L) of samples numbered `index` (m,).

        Raises
        ------
        InputError
            If two samples never follow each other, or the latents do not fill their space.
        """
        first = successive(index)
        if not len(first):
            raise InputError("map: no two successive samples to learn from")
        centre = latents.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(latents.T).reshape(latents.shape[1], -1))
        if values[0] <= 1e-9 * values[-1]:
            raise InputError(
                f"map: the {latents.shape[1]} latent coordinates do not vary independently (variances from "
                f"{max(values[0], 0.0):.3g} to {values[-1]:.3g}); take fewer"
            )
        white = vectors / np.sqrt(values)
        steps = np.diff((latents - centre) @ white, axis=0)[first]
        squares, rotation = np.linalg.eigh(steps.T @ steps / len(steps))
        return cls(centre, white @ rotation, np.sqrt(np.maximum(squares, 1e-18)))

    def of(self, latents: ArrayLike) -> FloatArray:
        """Latent coordinates (..., L) -> u."""
        return np.asarray((np.asarray(latents, dtype=np.float64) - self.centre) @ self.transform)

    def latents(self, u: ArrayLike) -> FloatArray:
        """U (..., L) -> latent coordinates."""
        return np.asarray(np.asarray(u, dtype=np.float64) @ np.linalg.inv(self.transform) + self.centre)
