"""Values of options: numbers, lists of them, and options that are another choice's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analog_fhn.errors import InputError


def foreign(option: str, text: str, name: str, owners: Mapping[str, Sequence[str]]) -> InputError:
    """Error for an option of others than `name`, of those whose options are `owners`; `text` is it with its value."""
    having = " and ".join(other for other, options in owners.items() if option in options)
    return InputError(f"{text} is an option of {having}; {name} has none of that name")


def numbers(option: str, text: str) -> list[float]:
    """Numbers of a comma-separated list, the value of an option."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r}: expected numbers separated by commas, such as 1,-1,-4") from None


def whole_pair(option: str, text: str) -> tuple[int, int]:
    """Two whole numbers from 0, separated by a comma, the value of an option."""
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        first, second = -1, -1
    if min(first, second) < 0:
        raise InputError(f"{option} {text!r}: expected two whole numbers from 0, such as 3,5")
    return first, second


def check_above_0(option: str, value: float | None, what: str = "a number") -> None:
    """Refuse a number that is given and not above 0, or not finite."""
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{option} {value:g}: expected {what} above 0")
