"""Steps of a current that was recorded, with its noise, beside the voltage: constant between its edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import median_filter

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

_WINDOW = 1e-3  # s of the running median
_CLEAR = 6.0  # standard deviations of the noise that an edge is higher than
_LEAST = 0.02  # share of the whole range that it is higher than, too
_FIT = 3.0  # standard deviations of the noise by which samples may differ from a plateau, root mean square
_DIGITS = 50.0  # plateaus are rounded to the decimal step next below this part of the range


def plateaus(currents: Sequence[FloatArray], step: float) -> tuple[FloatArray, ...]:
    """Recorded currents (A), an array of shape (n_k,) for each sweep, as constants between their edges.

    An edge is where a running median over 1 ms changes by more than 6 standard deviations of the noise and 2 % of the
    range within 1 ms; edges of several sweeps within 1 ms are one. Between edges the median of the samples is taken,
    rounded to two or three digits of the range, so that sweeps of one current have the same number. Currents without
    noise stay as they are.

    Raises
    ------
    InputError
        If samples differ from their plateau by more than noise: a ramp, a sine, or a current that is an answer.
    """
    noise = float(np.median([_noise(current) for current in currents]))
    spread = max(float(np.ptp(current)) for current in currents)
    if noise == 0.0 or spread == 0.0:
        return tuple(currents)
    width = 2 * max(1, round(0.5 * _WINDOW / step)) + 1
    grain = 10.0 ** math.floor(math.log10(spread / _DIGITS))
    edges = [_edges(current, width, max(_CLEAR * noise, _LEAST * spread)) for current in currents]
    flat = []
    for current, own in zip(currents, _aligned(edges, width), strict=True):
        bounds = [0, *own, len(current)]
        levels = [np.median(current[a:b]) for a, b in pairwise(bounds)]
        flat.append(np.repeat(grain * np.round(np.array(levels) / grain), np.diff(bounds)))
    left = math.sqrt(np.mean([np.mean((current - own) ** 2) for current, own in zip(currents, flat, strict=True)]))
    if left > _FIT * noise + grain:
        raise InputError(
            f"the recorded current differs by {left:.3g} A from steps, its noise is {noise:.3g} A; expected steps"
        )
    return tuple(flat)


def _noise(current: FloatArray) -> float:
    """Standard deviation of white noise, from the differences of neighbours, whatever the steps are."""
    return float(1.4826 * np.median(np.abs(np.diff(current)))) / math.sqrt(2.0)


def _aligned(edges: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    """Edges of each sweep; those of all sweeps that lie less than `width` samples apart are one, at their median."""
    pooled = np.unique([edge for own in edges for edge in own]).astype(int)
    groups = np.split(pooled, np.flatnonzero(np.diff(pooled) >= width) + 1)
    place = {int(edge): int(np.median(group)) for group in groups for edge in group}
    return [sorted({place[edge] for edge in own}) for own in edges]


def _edges(current: FloatArray, width: int, height: float) -> list[int]:
    """First samples of new plateaus."""
    smooth = median_filter(current, size=width, mode="nearest")
    half = width // 2
    change = np.zeros(len(current))
    change[half + 1 : len(current) - half] = np.abs(smooth[2 * half + 1 :] - smooth[: len(current) - 2 * half - 1])
    found, k = [], 0
    high = change > height
    while k < len(high):
        if high[k]:
            end = k + int(np.argmin(np.append(high[k:], False)))
            run = np.arange(k, end)
            found.append(int(np.round(run[change[k:end] >= 0.9 * change[k:end].max()].mean())))
            k = end
        k += 1
    return found
