"""Drives at which neurons begin or cease to oscillate: those of the equations, those of the circuits beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.base import Backend
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.short_runs import SWING, brief, in_parts
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FloatArray, Protocol

_REGIME = 7.0  # T, in whose second half a neuron spikes or not
_REGIMES = 129  # drives at which an onset of the equations is looked for, and again between two of these
_MOVED = 16.0  # times `beside`: how far off a circuit's onset may be


def equations_onsets(cells: Cells, ends: tuple[FloatArray, FloatArray], protocol: Protocol) -> FloatArray:
    """Drives at which the equations of each neuron begin or cease to oscillate, shape (n_neurons, k), k from 0 to 2.

    NaN where a neuron has fewer; a neuron with more than two has none.
    """
    drives = np.linspace(*ends, _REGIMES)
    oscillating = oscillate(Direct(), cells, drives, protocol)
    change = oscillating[1:] != oscillating[:-1]
    number = change.sum(axis=0)
    change &= number <= 2
    row, neuron = np.nonzero(change)
    onsets = np.full((len(cells), int(number[number <= 2].max(initial=0))), np.nan)
    if row.size:
        finer = np.linspace(drives[row, neuron], drives[row + 1, neuron], 17)
        again = oscillate(Direct(), cells[neuron], finer, protocol)
        last = np.argmax(again != again[0], axis=0)
        place = 0.5 * (finer[last, np.arange(len(row))] + finer[np.maximum(last - 1, 0), np.arange(len(row))])
        for k in range(len(cells)):
            mine = np.sort(place[neuron == k])
            onsets[k, : len(mine)] = mine
    return onsets


def oscillate(engine: Backend, cells: Cells, drives: FloatArray, protocol: Protocol) -> NDArray[np.bool_]:
    """Whether neurons oscillate in the second half of a run, shape (m, n_neurons) like the drives."""
    short = brief(cells, protocol, _REGIME)
    late = slice(short.n_samples // 2, None)
    return np.concatenate(
        [np.ptp(found[..., late], axis=2) > SWING for found in in_parts(engine, cells, drives, short, None)]
    )


def moved_onsets(
    spice: Backend,
    cells: Cells,
    protocol: Protocol,
    onsets: FloatArray,
    beside: FloatArray,
    does: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
) -> FloatArray:
    """How far a circuit's onset is above that of its equations, shape (n_neurons,): 0 if it is close, NaN if far.

    Parameters
    ----------
    does, wanted
        Whether the circuit, and whether the equations spike just below and just above the equations' onset; shape (2,
        n_neurons).
    """
    moved = np.zeros(len(cells))
    lower, higher = does != wanted
    # Of a circuit that does the same on both sides the onset lies where it still does what it should not.
    sign = np.where(lower & ~higher, -1.0, np.where(higher & ~lower, 1.0, 0.0))
    moved[lower & higher & np.isfinite(onsets)] = np.nan
    search = np.flatnonzero((sign != 0.0) & np.isfinite(onsets))
    if not search.size:
        return moved
    end = wanted[(sign > 0).astype(np.intp), np.arange(len(cells))]  # what the circuit does beyond its onset
    near, far = np.ones(len(cells)), np.full(len(cells), np.nan)
    step = 2.0
    while step <= _MOVED and (open_ := search[np.isnan(far[search])]).size:
        does = oscillate(spice, cells[open_], (onsets + sign * step * beside)[open_][None], protocol)[0]
        there = does == end[open_]
        far[open_[there]], near[open_[~there]] = step, step
        step *= 2.0
    while (open_ := search[far[search] - near[search] > 1.0]).size:
        middle = 0.5 * (near + far)
        does = oscillate(spice, cells[open_], (onsets + sign * middle * beside)[open_][None], protocol)[0]
        there = does == end[open_]
        far[open_[there]], near[open_[~there]] = middle[open_[there]], middle[open_[~there]]
    moved[search] = (sign * 0.5 * (near + far) * beside)[search]
    return moved
