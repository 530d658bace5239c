"""How good a recovered state is: what it explains of the true one, its tears, and how close its turns come."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.embedding import successive
from analog_fhn.reconstruct.rhythm import Rhythm

MAX_TERMS = 1000
"""Most terms of a regression on the recovered state."""

_BLOCK = 500  # states whose distances to all others are looked at together


def explained(states: ArrayLike, truth: ArrayLike, order: int = 3) -> FloatArray:
    """R² of a polynomial regression of the true state on the recovered one, shape (k,); NaN where it is constant.

    Parameters
    ----------
    states
        Shape (m, L).
    truth
        Shape (m, k), in any unit; rows with NaN are left out.

    Raises
    ------
    InputError
        If there are not more states than the regression has terms, or these are more than `MAX_TERMS`.
    """
    u, true = np.asarray(states, np.float64), np.asarray(truth, np.float64)
    known = np.isfinite(true).all(axis=1)
    u, true = u[known], true[known]
    number = comb(u.shape[1] + order, order)
    if number > min(MAX_TERMS, len(u) - 1):
        raise InputError(f"{number} terms in the regression on {len(u)} states; expected fewer, at most {MAX_TERMS}")
    terms = [combinations_with_replacement(range(u.shape[1]), degree) for degree in range(order + 1)]
    features = np.stack([u[:, list(one)].prod(axis=1) for degree in terms for one in degree], axis=1)
    rest = true - features @ np.linalg.lstsq(features, true, rcond=None)[0]
    spread = true.var(axis=0)
    left = np.divide(rest.var(axis=0), spread, out=np.full(len(spread), np.nan), where=spread > 0)
    return np.asarray(1.0 - left, dtype=np.float64)


def largest_step(states: ArrayLike, index: NDArray[np.intp]) -> float:
    """Largest distance from one sample to the next, in units of `states` (m, L): a tear of the curve is one.

    Parameters
    ----------
    index
        Numbers of the samples, shape (m,); what lies between two that do not follow each other does not count.
    """
    distances = np.linalg.norm(np.diff(np.asarray(states, np.float64), axis=0), axis=1)[successive(index)]
    return float(distances.max(initial=0.0))


def turns_apart(states: ArrayLike, index: NDArray[np.intp], step: float, recorded: Rhythm) -> float:
    """How near the turns of one burst come to each other, in units of `states`; NaN where there are no bursts.

    The median over a burst in the middle of the recording, of the distance to the nearest state of the same burst that
    is more than 0.6 of its first interval away in time.

    Parameters
    ----------
    states
        Shape (m, L).
    index
        Numbers of the samples, shape (m,).
    step
        Sampling interval (s).
    recorded
        Rhythm of the recording.
    """
    if not len(recorded.burst_starts):
        return float("nan")
    begin = round(recorded.burst_starts[len(recorded.burst_starts) // 2] / step)
    length = round((recorded.period - recorded.pause) / step)
    chosen = np.flatnonzero((index >= begin) & (index < begin + length))
    inside, when = np.asarray(states, np.float64)[chosen], index[chosen]
    apart = max(1, round(0.6 * recorded.first_interval / step))
    nearest = np.full(len(inside), np.inf)
    for first in range(0, len(inside), _BLOCK):
        part = slice(first, first + _BLOCK)
        distances = cdist(inside[part], inside)
        distances[np.abs(np.subtract.outer(when[part], when)) < apart] = np.inf
        nearest[part] = distances.min(axis=1)
    return float(np.median(nearest)) if len(nearest) and np.isfinite(nearest).all() else float("nan")
