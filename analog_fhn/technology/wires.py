"""Resistances of a crossbar's lines: a section of a technology, and what the solvers of arrays take."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Strict

from analog_fhn.errors import InputError
from analog_fhn.technology import quantities as of

_Ohm = Annotated[of.WireResistance, Strict()]


@dataclass(frozen=True)
class Wires:
    """Resistances of an array's lines (ohm); 0: none.

    Parameters
    ----------
    word, bit
        Resistance of one segment of a word line, of a bit line: from one device to the next, and from the end of the
        line to the device next to it.
    driver
        Resistance between a row driver and its word line; every tile has its own.
    sense
        Resistance between a bit line and the virtual ground of its amplifier; every tile has its own.

    Raises
    ------
    InputError
        If a resistance is negative or not finite.
    """

    word: _Ohm = 0.0
    bit: _Ohm = 0.0
    driver: _Ohm = 0.0
    sense: _Ohm = 0.0

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # as in a `Section`

    def __post_init__(self) -> None:
        for line in fields(self):
            value: float = getattr(self, line.name)
            if not isinstance(value, Real) or not (math.isfinite(value) and value >= 0):
                raise InputError(f"{line.name} = {value!r}: expected ohms, finite and not negative")

    @property
    def ideal(self) -> bool:
        """Whether no line has a resistance."""
        return not (self.word or self.bit or self.driver or self.sense)

    def mirrored(self) -> Wires:
        """Wires of the array with bit lines for word lines."""
        return Wires(self.bit, self.word, self.sense, self.driver)
