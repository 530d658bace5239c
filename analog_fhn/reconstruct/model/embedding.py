"""Delay vectors of a voltage recording: one sample per lag, or the mean of the samples around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

_DENSE = 1 / 3  # share of a spread embedding's samples that follow each other


def successive(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Places in `index` (m,), the numbers of samples, at which the next one is the next sample; shape (k,)."""
    return np.flatnonzero(np.diff(index) == 1)


@dataclass(frozen=True, eq=False)
class Embedding:
    """Delay vectors ``R_j(n) = (sum_k w_jk V(n - lag_j - k) - mean_j)/deviation_j``.

    With one sample per lag these are the delay coordinates of F. Takens, Lect. Notes Math. 898:366 (1981); with a mean
    around each lag they are filtered ones (T. Sauer, J. A. Yorke, M. Casdagli, J. Stat. Phys. 65:579, 1991).

    Parameters
    ----------
    lags
        Samples, shape (D,), increasing from 0.
    widths
        Samples on either side of a lag that are averaged, with weights cos²; shape (D,). The newest has none.
    means, deviations
        Of each coordinate over the recordings that were embedded first, V, shape (D,).

    Raises
    ------
    InputError
        If the lags do not increase from 0, a mean reaches beyond the newest sample, or a coordinate does not vary.
    """

    lags: NDArray[np.intp]
    widths: NDArray[np.intp]
    means: FloatArray
    deviations: FloatArray

    def __post_init__(self) -> None:
        shape = self.lags.shape
        if len(shape) != 1 or any(values.shape != shape for values in (self.widths, self.means, self.deviations)):
            raise InputError("embedding: lags, widths, means and deviations must have the same shape (D,)")
        if not len(self.lags) or self.lags[0] != 0 or np.any(np.diff(self.lags) < 1):
            raise InputError("embedding: lags must increase from 0")
        if np.any(self.widths < 0) or np.any(self.widths > self.lags):
            raise InputError("embedding: the mean around a lag must not reach beyond the newest sample")
        if not (np.isfinite(self.means).all() and np.isfinite(self.deviations).all() and np.all(self.deviations > 0)):
            raise InputError("embedding: the recording must vary")

    @classmethod
    def uniform(cls, voltages: list[ArrayLike], dimension: int, stride: int = 1) -> Embedding:
        """One sample every `stride` samples.

        Parameters
        ----------
        voltages
            Recordings (V) that give the means and deviations; NaN where a sample is missing.

        Raises
        ------
        InputError
            If the dimension or the stride is below 1, or a recording has no vector without a missing sample.
        """
        if dimension < 1 or stride < 1:
            raise InputError(f"embedding: dimension {dimension} and stride {stride} must be 1 or more")
        lags = stride * np.arange(dimension)
        return cls._fit(voltages, lags, np.zeros_like(lags))

    @classmethod
    def spread(cls, voltages: list[ArrayLike], dimension: int, longest: int, smoothing: float = 0.3) -> Embedding:
        """A third of the samples follow each other, the lags of the others grow geometrically.

        What happened long ago enters as a mean over the more samples, the longer ago: it leaves the vector smoothly.

        Parameters
        ----------
        voltages
            As for `uniform`.
        dimension
            Samples in a vector; fewer where two would have the same lag.
        longest
            Largest lag, samples.
        smoothing
            Width of a mean, from 0 to 0.6: it reaches over 1.5 times this share of its lag to either side, with weights
            cos², which are half as high at half of that.

        Raises
        ------
        InputError
            If a parameter is out of range, or a recording has no vector without a missing sample.
        """
        if dimension < 3 or longest < dimension or not 0 <= smoothing <= 0.6:
            raise InputError(
                f"embedding: dimension {dimension}, longest lag {longest}, smoothing {smoothing:g}; expected 3 samples "
                "or more, a longest lag of at least as many samples, and a smoothing from 0 to 0.6"
            )
        dense = max(2, round(_DENSE * dimension))
        grown = np.geomspace(dense, longest, dimension - dense) if dimension - dense > 1 else np.array([longest])
        lags = np.unique(np.concatenate([np.arange(dense), np.round(grown)]).astype(np.intp))
        return cls._fit(voltages, lags, np.minimum(lags, 1.5 * smoothing * lags).astype(np.intp))

    @classmethod
    def _fit(cls, voltages: list[ArrayLike], lags: NDArray[np.intp], widths: NDArray[np.intp]) -> Embedding:
        plain = cls(lags, widths, np.zeros(len(lags)), np.ones(len(lags)))
        vectors = np.concatenate([plain.vectors(voltage)[0] for voltage in voltages])
        return cls(lags, widths, vectors.mean(axis=0), vectors.std(axis=0))

    @property
    def dimension(self) -> int:
        """D, the number of coordinates."""
        return len(self.lags)

    @property
    def span(self) -> int:
        """Samples from the newest to the oldest one that a vector depends on."""
        return int(np.max(self.lags + self.widths))

    def restore(self, newest: ArrayLike) -> FloatArray:
        """First coordinate of vectors, any shape, as a voltage (V)."""
        return np.asarray(np.asarray(newest, dtype=np.float64) * self.deviations[0] + self.means[0])

    def vectors(self, voltage: ArrayLike) -> tuple[FloatArray, NDArray[np.intp]]:
        """All delay vectors without a missing sample.

        Parameters
        ----------
        voltage
            Shape (n,), V; NaN where a sample is missing.

        Returns
        -------
        vectors
            Shape (m, D), newest sample first.
        index
            Shape (m,): place n of each vector's newest sample in the recording, increasing.

        Raises
        ------
        InputError
            If there is no such vector.
        """
        v, span = np.asarray(voltage, dtype=np.float64), self.span
        if v.ndim != 1:
            raise InputError(f"embedding: one voltage series of shape (n,) expected, not {v.shape}")
        columns = []
        for lag, width in zip(self.lags, self.widths, strict=True):
            if len(v) <= span:
                break
            weights = np.cos(np.pi / 2 * np.arange(-width, width + 1) / (width + 1)) ** 2
            means = np.convolve(v, weights / weights.sum(), mode="valid")
            columns.append(means[span - lag - width : len(v) - lag - width])
        whole = np.flatnonzero(np.isfinite(columns).all(axis=0)) if columns else np.empty(0, np.intp)
        if not len(whole):
            raise InputError(
                f"embedding: {len(v)} samples hold no delay vector without a missing one; at least {span + 1} "
                "successive samples are needed"
            )
        vectors = (np.stack(columns, axis=1)[whole] - self.means) / self.deviations
        return vectors, whole + span
