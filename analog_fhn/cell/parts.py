"""Components of many cells as arrays, and what each field says of its part: its kind, spread, drift and designator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from analog_fhn.neuron import FloatArray


@dataclass(frozen=True)
class Deviation:
    """Where a technology says how far a value deviates from its nominal one.

    Parameters
    ----------
    field
        Name of the number in the kind's section of the technology.
    bounded
        Whether the number is a limit, as a tolerance is: normal with a sigma of a third of it, cut there, or uniform
        if the section's `distribution` says so. Otherwise it is the sigma of a normal distribution.
    """

    field: str
    bounded: bool


@dataclass(frozen=True)
class Kind:
    """What parts of one kind have in common.

    Parameters
    ----------
    section
        Section of the technology that describes them; the name of their error group, too.
    relative
        Whether deviations are shares of the nominal value; otherwise they are added to it.
    spread, drift
        Deviation from part to part, and of the change with temperature (per kelvin); None: there is none.
    symbol, unit
        Letter of the designator of a part that is bought by its value (R, C), and the unit of that value.
    """

    section: str
    relative: bool
    spread: Deviation
    drift: Deviation | None = None
    symbol: str = ""
    unit: str = ""


RESISTOR = Kind(
    "resistor", True, Deviation("tolerance", True), Deviation("temperature_coefficient", True), "R", "ohm"
)  # fmt: skip
CAPACITOR = Kind("capacitor", True, Deviation("tolerance", True), Deviation("temperature_coefficient", True), "C", "F")
OPAMP_OFFSET = Kind("opamp", False, Deviation("offset_sigma", False), Deviation("offset_drift", False))


@dataclass(frozen=True)
class PartField:
    """What a field of `Parts` says of its part.

    Parameters
    ----------
    name
        Of the field.
    kind
        What it is.
    lot
        For deviations that are added: name that errors of one lot have in common.
    compensates
        Section of the technology whose `compensated` makes the value proportional to the absolute temperature; "":
        none does.
    purpose
        What the part is there for, in words; "": nothing is said of it.
    """

    name: str
    kind: Kind
    lot: str = ""
    compensates: str = ""
    purpose: str = ""


def part(kind: Kind, purpose: str = "", *, lot: str = "", compensates: str = "") -> Any:
    """Field of a subclass of `Parts`; arguments as the parameters of `PartField`."""
    return field(metadata={"kind": kind, "lot": lot, "compensates": compensates, "purpose": purpose})


class CellArrays:
    """Values of n cells or columns; every field of a subclass, a dataclass, has shape (n,)."""

    @classmethod
    def alike(cls, n: int, values: dict[str, float]) -> Self:
        """The same values for each of `n`; those that are not given are 0."""
        return cls(**{f.name: np.full(n, values.get(f.name, 0.0)) for f in cls._fields()})

    @classmethod
    def _fields(cls) -> tuple[Field[Any], ...]:
        return fields(cls)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.items()[0][1])

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        return type(self)(**{name: value[index] for name, value in self.items()})

    def items(self) -> list[tuple[str, FloatArray]]:
        """Name and values of every field, in their order."""
        return [(f.name, getattr(self, f.name)) for f in self._fields()]

    def with_values(self, **values: FloatArray) -> Self:
        """Copy with other values of some fields."""
        return type(self)(**(dict(self.items()) | values))


class Parts(CellArrays):
    """Component values of n cells or columns, in SI units; every field of a subclass is made by `part`."""

    @classmethod
    def described(cls) -> Iterator[PartField]:
        """What each field says of its part, in their order."""
        for f in cls._fields():
            yield PartField(f.name, **f.metadata)

    @classmethod
    def names(cls, kind: Kind) -> tuple[str, ...]:
        """Names of the parts of one kind, in the order of the fields."""
        return tuple(f.name for f in cls.described() if f.kind == kind)

    @classmethod
    def kind_of(cls, name: str) -> Kind:
        """Kind of the part of a field."""
        return next(f.kind for f in cls.described() if f.name == name)
