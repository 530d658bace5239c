"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable


def percent(value: float) -> str:
    """Accuracy as people read it."""
    return f"{100 * value:.2f} %"


def engineering(value: float, unit: str) -> str:
    """Value with a prefix between p and M, four significant digits: ``4.42 kohm``."""
    if value == 0.0:
        return f"0 {unit}"
    digits = float(f"{value:.4g}")
    exponent = min(max(3 * math.floor(math.log10(abs(digits)) / 3 + 1e-12), -12), 6)
    prefix = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M"}[exponent]
    return f"{digits / 10.0**exponent:.4g} {prefix}{unit}"


def listed(things: Iterable[object], most: int = 12) -> str:
    """Things for a message: the first ones, and how many more."""
    names = [str(thing) for thing in things]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(n: int, thing: str) -> str:
    """A count and what is counted."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
