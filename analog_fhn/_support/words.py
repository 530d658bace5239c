"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence


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


def listed(things: Sequence[object]) -> str:
    """Things for a message: the first twelve, and how many more."""
    more = len(things) - 12
    return ", ".join(map(str, things[:12])) + (f" and {more} more" if more > 0 else "")


def counted(n: int, thing: str) -> str:
    """A count and what is counted."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
