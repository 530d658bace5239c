"""Where a sampled signal rises through a level, and the period that such crossings have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rises:
    """Upward crossings of a level, each after the signal was below a lower one.

    Parameters
    ----------
    after
        Shape (k,): index of the first sample at or above the level; the sample before it is below.
    gaps
        Shape (k,): number of gaps (runs of NaN between samples) before each crossing.
    widths
        Number of samples that the signal then stays at or above the level, for those crossings after which it is seen
        to fall through the level again; at most k of them.
    """

    after: NDArray[np.intp]
    gaps: NDArray[np.intp]
    widths: NDArray[np.intp]

    @classmethod
    def of(cls, signal: NDArray[np.float64], level: float, armed_below: float) -> Rises:
        """Crossings of `level` in `signal`, shape (n,), in which NaN samples are missing.

        A crossing counts where a sample was below `armed_below` since the crossing before it and since the last gap:
        noise about the level makes no crossings of its own, and none is assumed in a gap.
        """
        index = np.arange(len(signal))
        missing = np.isnan(signal)
        above = signal >= level
        rises = np.flatnonzero((signal[:-1] < level) & above[1:]) + 1
        last_low, last_missing = (
            np.maximum.accumulate(np.where(which, index, -1)) for which in (signal < armed_below, missing)
        )
        disarmed = np.concatenate([[-1], rises])[:-1]
        after = rises[last_low[rises] > np.maximum(disarmed, last_missing[rises])]
        gap_begins = np.concatenate([[False], missing[1:] & ~missing[:-1]])
        ends = np.flatnonzero(~above)
        place = np.searchsorted(ends, after)
        fall, after_falling = ends[place[place < len(ends)]], after[place < len(ends)]
        whole = ~missing[fall]
        return cls(after, np.cumsum(gap_begins)[after], (fall - after_falling)[whole])

    def times(self, signal: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        """When a straight line between two samples crosses the level, shape (k,), in samples from the first one."""
        before = signal[self.after - 1]
        return np.asarray(self.after - 1 + (level - before) / (signal[self.after] - before), dtype=np.float64)


def mean_period(crossings: NDArray[np.float64]) -> float:
    """Mean time from one of two or more crossings, shape (k,), to the next: over whole periods alone."""
    return float((crossings[-1] - crossings[0]) / (len(crossings) - 1))
