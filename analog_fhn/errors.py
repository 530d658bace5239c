"""Ways in which a run can be refused or end early; the command line turns them into exit status 2, 3 and 1."""

import math
import reprlib
from numbers import Real
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60

_CHARACTERS = 2000
_LINES = 20


def printable(text: str) -> str:
    """Text whose control characters and lone surrogates are written as escape sequences; line ends stay.

    Names and values that come from a file may hold anything, also what makes a terminal do something.
    """
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def brief(message: str) -> str:
    """Printable message of at most 2 000 characters and 20 lines.

    Of a longer one the middle is left out: its beginning names the file, and its end what was expected.
    """
    lines = message.split("\n")
    if len(lines) > _LINES:
        lines[_LINES // 2 : 1 - _LINES // 2] = [f"... ({len(lines) - _LINES + 1} lines left out)"]
    return _shortened(printable(_shortened("\n".join(lines))))


def _shortened(text: str) -> str:
    if len(text) <= _CHARACTERS:
        return text
    half = _CHARACTERS // 2 - 50  # the result, with what is said in the middle, is short enough
    return f"{text[:half]} ... ({len(text) - 2 * half} characters left out) ... {text[-half:]}"


class _Brief(Exception):
    def __init__(self, message: object = "") -> None:
        super().__init__(brief(str(message)))


class InputError(_Brief, ValueError):
    """Something that the user gave is wrong: names the file, the key, the value and what was expected."""


def check_numbers(options: object, *, above_0: tuple[str, ...] = (), from_0: tuple[str, ...] = ()) -> None:
    """Refuse options whose named fields are not above 0, or below it, or not finite.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    for name in above_0:
        if not 0 < getattr(options, name) < math.inf:
            raise InputError(f"{name} = {getattr(options, name)}: expected a number above 0")
    for name in from_0:
        if not 0 <= getattr(options, name) < math.inf:
            raise InputError(f"{name} = {getattr(options, name)}: expected 0 or more")


def shown(value: object) -> str:
    """Value as a message names it: on one line, without control characters, cut where it is long."""
    if isinstance(value, Real) and not isinstance(value, int):
        value = float(value)  # NumPy's numbers would show their type
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


def check_range(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number from `low` to `high`; infinity and NaN are in no range.

    Raises
    ------
    InputError
        Naming the value and the range.
    """
    # compared as it is: a large whole number has no float
    number: Any = value if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not low <= number <= high:
        raise InputError(f"{name} = {shown(value)}: expected a number from {low:g} to {high:g}")


class MissingProgramError(_Brief, RuntimeError):
    """A needed program or optional package is absent: says what is missing and how to install it."""


class RunError(_Brief, RuntimeError):
    """Work that was under way cannot go on (a full disk, workers that die); what was done is kept."""


class SimulationError(RunError):
    """A simulation gave no usable answer; the message says which neuron and where the evidence lies."""
