"""What a recording says about its delay vectors: how far apart their samples should lie, and how many they need.

Missing samples are NaN in the recording; every function here leaves them out instead of filling them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

_BINS = 32
_REFERENCES = 2000  # vectors whose nearest neighbours are looked for
_CANDIDATES = 20_000  # vectors among which they are looked for
_NEIGHBOURS = 64  # looked at before a vector is said to have no neighbour outside the Theiler window
_RELATIVE = 15.0  # R_tol of Kennel et al.
_ABSOLUTE = 2.0  # A_tol of Kennel et al.
_FAR = 2000  # samples up to which the autocorrelation is followed to its decay and its first zero
_SCATTER = 3.0  # of the mutual information, over the square root of the number of samples
_ENOUGH = 0.01  # share of false neighbours that counts as none


@dataclass(frozen=True, eq=False)
class Advice:
    """What a recording says about its delay vectors, with the curves that show it.

    Parameters
    ----------
    step
        Sampling interval, s.
    lags
        In samples, shape (k,), from 0.
    correlation
        Autocorrelation at the lags, shape (k,).
    information
        Average mutual information at the lags, nats, shape (k,).
    decay_lag
        First lag at which the correlation is below 1/e, samples; looked for in the lags and up to 2000 samples, or a
        tenth of a shorter recording; None where it is not.
    zero_lag
        The same for a correlation that is not positive.
    information_lag
        First minimum of the mutual information, samples; None where there is none. From there it climbs by more than
        3/sqrt(n), n samples, before it falls further: the estimate's scatter makes no minimum.
    stride
        Of the delay vectors that the false neighbours were counted in, samples: as asked for, else `information_lag`,
        else `decay_lag`, else 1.
    dimensions
        Shape (d,), from 1.
    false_neighbours
        Share of false nearest neighbours at the dimensions, shape (d,); NaN where there were no neighbours to judge.
    dimension
        First dimension with less than 1 % of them; None where there is none.
    """

    step: float
    lags: NDArray[np.intp]
    correlation: FloatArray
    information: FloatArray
    decay_lag: int | None
    zero_lag: int | None
    information_lag: int | None
    stride: int
    dimensions: NDArray[np.intp]
    false_neighbours: FloatArray
    dimension: int | None


def autocorrelation(voltage: ArrayLike, lags: Sequence[int] | NDArray[np.intp]) -> FloatArray:
    """Autocorrelation at lags (samples), shape (k,), from the pairs of which neither sample is missing.

    Mean product of the deviations from the recording's mean, over its variance.

    Raises
    ------
    InputError
        The recording is flat, or a lag leaves no pair.
    """
    v = _series(voltage)
    deviation = v - np.nanmean(v) if np.isfinite(v).any() else v
    variance = float(np.nanmean(deviation**2)) if np.isfinite(v).any() else 0.0
    if not variance > 0:
        raise InputError("autocorrelation: the recording must vary")
    result = []
    for lag in lags:
        old, new = _pairs(deviation, int(lag))
        result.append(float(np.mean(old * new)) / variance)
    return np.array(result)


def mutual_information(voltage: ArrayLike, lags: Sequence[int] | NDArray[np.intp], bins: int = _BINS) -> FloatArray:
    """Average mutual information of V(t) and V(t - lag), **nats**, shape (k,).

    A. M. Fraser, H. L. Swinney, Phys. Rev. A 33:1134 (1986), with a fixed grid in place of their recursive one: bins
    that hold equally many samples of the whole recording. The estimate is corrected for the finite number n of pairs
    by ``-(occupied cells - occupied rows - occupied columns + 1)/(2 n)`` (G. A. Miller, in Information Theory in
    Psychology, 1955), which removes most of its positive bias. Of a noise-free recording that repeats exactly the
    value is set by the bins: their number is part of the answer there.

    Parameters
    ----------
    voltage
        Shape (n,); NaN samples are missing.
    lags
        In samples.
    bins
        So many bins are on each axis.

    Raises
    ------
    InputError
        The recording is flat, a lag leaves no pair, or there are fewer than two bins.
    """
    v = _series(voltage)
    finite = v[np.isfinite(v)]
    if bins < 2 or not len(finite) or finite.min() == finite.max():
        raise InputError("mutual information: two bins or more, and a recording that varies, are needed")
    cell = np.where(
        np.isfinite(v), np.searchsorted(np.quantile(finite, np.arange(1, bins) / bins), v, side="right"), np.nan
    )
    result = []
    for lag in lags:
        old, new = _pairs(cell, int(lag))
        counts = np.bincount((old * bins + new).astype(np.intp), minlength=bins * bins).reshape(bins, bins)
        result.append(_information(counts))
    return np.array(result)


def false_nearest(
    voltage: ArrayLike,
    stride: int,
    dimensions: Sequence[int] | NDArray[np.intp],
    *,
    theiler: int | None = None,
    relative: float = _RELATIVE,
    absolute: float = _ABSOLUTE,
) -> FloatArray:
    """Share of false nearest neighbours among delay vectors of each dimension, shape (d,).

    M. B. Kennel, R. Brown, H. D. I. Abarbanel, Phys. Rev. A 45:3403 (1992). The nearest neighbour of a vector is
    false if one more sample drives the two apart: by more than `relative` times their distance, or to a distance of
    more than `absolute` standard deviations of the recording. Neighbours less than `theiler` samples apart in time lie
    on the same stretch of orbit and are passed over (J. Theiler, Phys. Rev. A 34:2427, 1986).

    At most 2000 vectors are judged, against at most 20 000, both evenly spread over the recording.

    Parameters
    ----------
    voltage
        Shape (n,); NaN samples are missing.
    stride
        Samples between two samples of a vector.
    dimensions
        Each 1 or more.
    theiler
        Samples; by default ten times the first lag at which the autocorrelation is below 1/e, and at least the
        stride.
    relative, absolute
        The thresholds R_tol and A_tol of the paper.

    Returns
    -------
    FloatArray
        NaN where no vector has a neighbour outside the Theiler window at a distance above zero.

    Raises
    ------
    InputError
        The recording is too short for two vectors of one dimension more.
    """
    v = _series(voltage)
    if theiler is None:
        theiler = max(stride, 10 * (_first(autocorrelation(v, _short_lags(v)) < 1 / np.e) or stride))
    deviation = float(np.nanstd(v))
    return np.array([_false(v, stride, int(d), theiler, relative, absolute * deviation) for d in dimensions])


def advice(
    voltage: ArrayLike,
    step: float,
    *,
    stride: int | None = None,
    longest: float | None = None,
    dimensions: int = 8,
    bins: int = _BINS,
) -> Advice:
    """Look at a recording before embedding it.

    Parameters
    ----------
    voltage
        Shape (n,), V; NaN samples are missing.
    step
        Sampling interval, s.
    stride
        Stride of the vectors in which false neighbours are counted, samples; by default what the lags suggest.
    longest
        Largest lag, s; by default 100 samples, or a tenth of a shorter recording.
    dimensions
        Largest dimension in which false neighbours are counted.
    bins
        Bins of the mutual information, per axis.

    Raises
    ------
    InputError
        The recording is flat or too short.
    """
    v = _series(voltage)
    lags = _short_lags(v) if longest is None else np.arange(round(longest / step) + 1)
    far = np.arange(max(len(lags), min(_FAR, len(v) // 10)))
    correlation, information = autocorrelation(v, far), mutual_information(v, lags, bins)
    decay, information_lag = (
        _first(correlation < 1 / np.e),
        _first_minimum(information, _SCATTER / np.sqrt(np.isfinite(v).sum())),
    )
    stride = stride or information_lag or decay or 1
    tried = np.arange(1, dimensions + 1)
    shares = false_nearest(v, stride, tried)
    enough = _first(shares < _ENOUGH)
    return Advice(
        step=step,
        lags=lags,
        correlation=correlation[: len(lags)],
        information=information,
        decay_lag=decay,
        zero_lag=_first(correlation <= 0),
        information_lag=information_lag,
        stride=stride,
        dimensions=tried,
        false_neighbours=shares,
        dimension=None if enough is None else int(tried[enough]),
    )


def _series(voltage: ArrayLike) -> FloatArray:
    v = np.asarray(voltage, dtype=np.float64)
    if v.ndim != 1:
        raise InputError(f"embedding: one voltage series of shape (n,) expected, not {v.shape}")
    return v


def _short_lags(voltage: FloatArray) -> NDArray[np.intp]:
    return np.arange(min(100, len(voltage) // 10) + 1)


def _first(condition: NDArray[np.bool_]) -> int | None:
    places = np.flatnonzero(condition)
    return int(places[0]) if len(places) else None


def _first_minimum(values: FloatArray, rise: float) -> int | None:
    """Place of the first minimum from which the values climb by more than `rise` before they fall below it."""
    place = 0
    for k, value in enumerate(values):
        if value < values[place]:
            place = k
        elif place and value > values[place] + rise:
            return place
    return None


def _complete(voltage: FloatArray, dimension: int, stride: int) -> NDArray[np.intp]:
    """Newest samples of the delay vectors in which nothing is missing."""
    span = (dimension - 1) * stride
    if len(voltage) <= span:
        return np.empty(0, dtype=np.intp)
    there = np.isfinite(voltage)
    whole = np.ones(len(voltage) - span, dtype=np.bool_)
    for k in range(dimension):
        whole &= there[span - k * stride : len(voltage) - k * stride]
    return np.flatnonzero(whole) + span


def _pairs(values: FloatArray, lag: int) -> tuple[FloatArray, FloatArray]:
    """Values `lag` samples before, and values; only where neither is missing."""
    inside = 0 <= lag < len(values)
    old, new = (values[: len(values) - lag], values[lag:]) if inside else (values[:0], values[:0])
    there = np.isfinite(old) & np.isfinite(new)
    if not there.any():
        raise InputError(f"embedding: {len(values)} samples hold no pair at a lag of {lag}")
    return old[there], new[there]


def _information(counts: NDArray[np.intp]) -> float:
    total = counts.sum()
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    i, j = np.nonzero(counts)
    n = counts[i, j]
    plain = float(np.sum(n * np.log(n * total / (rows[i] * columns[j])))) / float(total)
    excess = len(n) - np.count_nonzero(rows) - np.count_nonzero(columns) + 1
    return plain - excess / (2.0 * float(total))


def _false(voltage: FloatArray, stride: int, dimension: int, theiler: int, relative: float, absolute: float) -> float:
    # Vectors of one dimension more, so that the sample that tells true from false neighbours is there.
    newest = _complete(voltage, dimension + 1, stride)
    if len(newest) < 2:
        raise InputError(
            f"false neighbours: {len(voltage)} samples are too few for vectors of {dimension + 1}, {stride} apart"
        )
    newest = newest[np.unique(np.linspace(0, len(newest) - 1, min(_CANDIDATES, len(newest))).astype(np.intp))]
    chosen = np.unique(np.linspace(0, len(newest) - 1, min(_REFERENCES, len(newest))).astype(np.intp))
    vectors = voltage[newest[:, None] - stride * np.arange(dimension)]
    further = voltage[newest - stride * dimension]
    many = min(_NEIGHBOURS, len(newest))
    nearest = cKDTree(vectors).query(vectors[chosen], many)
    distances, neighbours = (np.asarray(a).reshape(len(chosen), many) for a in nearest)
    allowed = (np.abs(newest[neighbours] - newest[chosen][:, None]) > theiler) & (distances > 0)
    judged = allowed.any(axis=1)
    if not judged.any():
        return float("nan")
    place = (np.flatnonzero(judged), allowed[judged].argmax(axis=1))
    near = distances[place]
    apart = np.abs(further[chosen[judged]] - further[neighbours[place]])
    return float(np.mean((apart > relative * near) | (np.hypot(near, apart) > absolute)))
