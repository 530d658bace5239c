"""Ways in which a run can be refused or end early; the command line turns them into exit status 2, 3 and 1."""

import math


class InputError(ValueError):
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


class MissingProgramError(RuntimeError):
    """A needed program or optional package is absent: says what is missing and how to install it."""


class RunError(RuntimeError):
    """Work that was under way cannot go on (a full disk, workers that die); what was done is kept."""
