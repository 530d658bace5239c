"""Values of the E series (IEC 60063) near any value."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from functools import lru_cache

import eseries


def nearest(series: str | None, value: float) -> float:
    """Value of the E series (IEC 60063) with the smallest relative distance from `value`; None: `value` itself."""
    if series is None:
        return value
    return min(between(series, value / 2.0, value * 2.0), key=lambda v: abs(math.log(v / value)))


def in_series(series: str | None, value: float) -> bool:
    """Whether the E series has this value, to nine digits."""
    return abs(nearest(series, value) / value - 1.0) < 1e-9


def downward(series: str | None, limit: float, share: float) -> list[float]:
    """Values from `limit` down to `share` of it; at least the largest that does not exceed the limit."""
    if series is None:
        return [limit]
    below = between(series, limit / 10.0, limit * (1.0 + 1e-9))[::-1]
    return [value for value in below if value >= share * limit] or below[:1]


def between(series: str, low: float, high: float) -> list[float]:
    """Values of the series from `low` to `high`, rising."""
    decades = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 1)
    values = list(itertools.chain.from_iterable(_decade(series, decade) for decade in decades))
    return values[bisect_left(values, low) : bisect_right(values, high)]


@lru_cache(maxsize=256)
def _decade(series: str, decade: int) -> tuple[float, ...]:
    # Read from text, so that 1 nF is the same number as in a file.
    return tuple(float(f"{value / 100.0:.3g}e{decade}") for value in eseries.erange(_KEYS[series], 100.0, 999.0))


_KEYS = {key.name: key for key in eseries.series_keys()}
