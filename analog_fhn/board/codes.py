"""How manufacturers write values into part numbers, and back."""

from __future__ import annotations

import math
from typing import Literal

Code = Literal["letter", "picofarads", "three_digits", "four_digits", "pins"]

_LETTERS = {"R": 1.0, "K": 1e3, "M": 1e6}


def written(code: Code, value: float) -> str:
    """A value (ohm or farad; of `pins` their number) as a part number has it.

    Parameters
    ----------
    code
        `letter`: 10R, 4K42, 1M (IEC 60062). `picofarads`: two digits of picofarads and a power of ten. `three_digits`,
        `four_digits`: likewise of ohms. `pins`: two digits.

    Raises
    ------
    ValueError
        If the code has no room for the value.
    """
    if code == "letter":
        text = _with_letter(value)
    elif code == "pins":
        text = f"{value:02.0f}"
    else:
        text = _with_power(value / (1e-12 if code == "picofarads" else 1.0), 3 if code == "four_digits" else 2)
    if not math.isclose(read(code, text), value, rel_tol=1e-9):
        raise ValueError(f"value {value:g} cannot be written as {code}")
    return text


def read(code: Code, text: str) -> float:
    """The value that a part number's code stands for; the inverse of `written`."""
    if code == "letter":
        letter = next(letter for letter in _LETTERS if letter in text)
        return float(text.replace(letter, ".")) * _LETTERS[letter]
    if code == "pins":
        return float(text)
    value = float(f"{text[:-1]}e{text[-1]}")
    return value * 1e-12 if code == "picofarads" else value


def _with_letter(value: float) -> str:
    letter = "M" if value >= 1e6 * (1 - 1e-9) else "K" if value >= 1e3 * (1 - 1e-9) else "R"
    whole, _, part = f"{value / _LETTERS[letter]:.6g}".partition(".")
    return f"{whole}{letter}{part}"


def _with_power(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa.replace('.', '')}{int(exponent) - digits + 1}"
