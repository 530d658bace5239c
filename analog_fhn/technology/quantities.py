"""Numbers of configuration files by what they measure: unit, what is possible at all, what is usual in practice.

A number outside what is possible is refused when the file is read: most often it is in another unit than SI. One that
is possible but unusual is said by the check of the design (`analog_fhn.checks.design`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_SMALL = (("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("p", 1e-12))
_LARGE = (("M", 1e6), ("k", 1e3))


@dataclass(frozen=True)
class Quantity:
    """Unit and range of a number in a file: metadata of its annotation, and its check.

    Parameters
    ----------
    unit
        SI unit; "1" for a ratio or a count.
    possible
        Lowest and highest number that is accepted.
    usual
        Lowest and highest number that is accepted without a warning; None: all that are possible.
    zero
        Whether 0, for none of it, is possible and usual besides.
    """

    unit: str
    possible: tuple[float, float]
    usual: tuple[float, float] | None = None
    zero: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The number's own schema, then this check."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: float) -> float:
        if self.within(value, self.possible):
            return value
        raise PydanticCustomError("quantity", "{expected}", {"expected": f"{self.expected}{self.hint(value)}"})

    def within(self, value: float, limits: tuple[float, float]) -> bool:
        """Whether a number lies within limits, or is a 0 that stands for none."""
        return limits[0] <= value <= limits[1] or (self.zero and value == 0)

    @property
    def expected(self) -> str:
        """What is possible, for messages."""
        return f"expected {'0 or ' if self.zero and self.possible[0] > 0 else ''}{self.span(self.possible)}"

    def span(self, limits: tuple[float, float]) -> str:
        """Limits with their unit, for messages."""
        return f"{limits[0]:g} to {limits[1]:g}{'' if self.unit == '1' else f' {self.unit}'}"

    def hint(self, value: float) -> str:
        """What the number is if it was meant with a prefix, `` (100 uS is 0.0001)``; nothing if that is unusual too."""
        if self.usual is None or self.unit == "1":
            return ""
        for prefix, factor in _LARGE if self.unit in ("Hz", "V/s", "ohm") else _SMALL:
            if self.usual[0] <= value * factor <= self.usual[1]:
                return f" ({value:g} {prefix}{self.unit} is {value * factor:g})"
        return ""


@dataclass(frozen=True)
class Unusual:
    """A number that is possible but unusual: its key as in the file, its value, and what it measures."""

    key: str
    value: float
    quantity: Quantity

    @property
    def field(self) -> str:
        """Last part of the key."""
        return self.key.split(".")[-1].split(" ")[-1]

    @property
    def limit(self) -> float:
        """End of the usual range that the number lies beyond."""
        assert self.quantity.usual is not None
        return self.quantity.usual[0] if self.value < self.quantity.usual[0] else self.quantity.usual[1]

    def __str__(self) -> str:
        assert self.quantity.usual is not None
        return (
            f"{self.key} = {self.value:g}: unusual, in practice {self.quantity.span(self.quantity.usual)}"
            f"{self.quantity.hint(self.value)}"
        )


def unusual(section: BaseModel, prefix: str = "") -> Iterator[Unusual]:
    """Unusual numbers of a section and of those in it; `prefix` stands before their keys."""
    for name, annotation, value in _fields(section):
        for key, number, quantity in _numbers(f"{prefix}{name}", annotation, value):
            if quantity.usual is not None and not quantity.within(number, quantity.usual):
                yield Unusual(key, number, quantity)


def quantity_of(section: type[Any], name: str) -> Quantity:
    """Unit and range of the field of this name of a section or dataclass."""
    return next(quantity for _, _, quantity in _numbers(name, _annotations(section)[name], 1.0))


def _annotations(section: type[Any]) -> dict[str, tuple[Any, ...]]:
    """Annotation (a type and its metadata) of each field of a section or dataclass."""
    if issubclass(section, BaseModel):
        return {name: (field.annotation, *field.metadata) for name, field in section.model_fields.items()}
    hints = get_type_hints(section, include_extras=True)
    return {name: (hint,) for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def _fields(section: Any) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Name, annotation and value of each field of a section or dataclass."""
    for name, annotation in _annotations(type(section)).items():
        yield name, annotation, getattr(section, name)


def _numbers(key: str, annotation: tuple[Any, ...], value: Any) -> Iterator[tuple[str, float, Quantity]]:
    """Every number in a value, with its key and what the annotation (a type and its metadata) says of it."""
    kind, *metadata = annotation
    if isinstance(value, BaseModel) or is_dataclass(value):
        for name, inner, part in _fields(value):
            yield from _numbers(f"{key}.{name}", inner, part)
    elif get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        yield from _numbers(key, (inner, *more, *metadata), value)
    elif get_origin(kind) in (Union, UnionType):
        for arm in get_args(kind):
            yield from _numbers(key, (arm, *metadata), value)
    elif isinstance(value, list | tuple) and get_origin(kind) in (list, tuple):
        for index, item in enumerate(value):
            yield from _numbers(f"{key}.{index}", (get_args(kind)[0],), item)
    elif isinstance(value, dict) and get_origin(kind) is dict:
        for name, item in value.items():
            yield from _numbers(f"{key}.{name}", (get_args(kind)[1],), item)
    elif kind in (float, int) and isinstance(value, int | float) and not isinstance(value, bool):
        yield from ((key, value, quantity) for quantity in metadata if isinstance(quantity, Quantity))


# Ratios and counts. What must be below 1 is so by six digits.
Fraction = Annotated[float, Quantity("1", (0, 0.999999))]
Tolerance = Annotated[float, Quantity("1", (0, 0.999999), (0, 0.5))]
Share = Annotated[float, Quantity("1", (0, 1))]
Quantile = Annotated[float, Quantity("1", (1e-6, 1), (0.1, 1))]
SupplyRatio = Annotated[float, Quantity("1", (0.5, 1.5))]
Gain = Annotated[float, Quantity("1", (1, 1e30), (1e3, 1e9))]
EmissionCoefficient = Annotated[float, Quantity("1", (0.1, 100), (0.5, 5))]
CurrentGain = Annotated[float, Quantity("1", (1, 1e9), (10, 1e4))]
Margin = Annotated[float, Quantity("1", (1e-3, 1e3), (0.5, 10))]
Number = Annotated[float, Quantity("1", (-1e30, 1e30))]
PositiveNumber = Annotated[float, Quantity("1", (1e-30, 1e30))]
Price = Annotated[float, Quantity("1", (0, 1e9))]
Count = Annotated[int, Quantity("1", (1, 1e6))]

Voltage = Annotated[float, Quantity("V", (1e-3, 1e3), (0.1, 50))]
NegativeVoltage = Annotated[float, Quantity("V", (-1e3, -1e-3), (-50, -0.1))]
VoltageScale = Annotated[float, Quantity("V", (1e-6, 1e3), (1e-2, 50))]
ReadVoltage = Annotated[float, Quantity("V", (1e-6, 1e3), (1e-3, 20))]
SinhVoltage = Annotated[float, Quantity("V", (1e-3, 1e3), (0.05, 10))]
ErrorVoltage = Annotated[float, Quantity("V", (0, 1), (1e-9, 0.1), zero=True)]
EarlyVoltage = Annotated[float, Quantity("V", (1, 1e9), (5, 1e4))]
VoltageDrift = Annotated[float, Quantity("V/K", (0, 1), (1e-10, 1e-3), zero=True)]
NoiseVoltage = Annotated[float, Quantity("V/sqrt(Hz)", (0, 1e-3), (1e-11, 1e-5), zero=True)]
SlewRate = Annotated[float, Quantity("V/s", (100, 1e30), (1e3, 1e11))]
Droop = Annotated[float, Quantity("V/s", (0, 1e3), (1e-9, 10), zero=True)]
Capacitance = Annotated[float, Quantity("F", (1e-15, 1), (1e-12, 1e-3))]

SupplyCurrent = Annotated[float, Quantity("A", (0, 1), (1e-9, 0.1), zero=True)]
BiasCurrent = Annotated[float, Quantity("A", (0, 1e-2), (1e-18, 1e-5), zero=True)]
SaturationCurrent = Annotated[float, Quantity("A", (1e-30, 1e-3), (1e-18, 1e-10))]
DiodeCurrent = Annotated[float, Quantity("A", (1e-30, 1e-3), (1e-18, 1e-6))]
DeviceConductance = Annotated[float, Quantity("S", (0, 10), (1e-15, 1), zero=True)]
DeviceCurrent = Annotated[float, Quantity("A", (0, 1), (1e-15, 1e-2), zero=True)]

Resistance = Annotated[float, Quantity("ohm", (1e-3, 1e15), (1, 1e9))]
WireResistance = Annotated[float, Quantity("ohm", (1e-9, 1e9), (1e-4, 1e4), zero=True)]
Conductance = Annotated[float, Quantity("S", (1e-15, 1), (1e-9, 1e-2))]
LowConductance = Annotated[float, Quantity("S", (0, 1), (1e-12, 1e-2), zero=True)]
# Of a device that was measured in currents instead, in A.
DeviceUnit = Annotated[float, Quantity("S or A", (1e-15, 1), (1e-12, 1e-2))]
DeviceSpread = Annotated[float, Quantity("S or A", (0, 1), (1e-15, 1e-2), zero=True)]
DeviceChange = Annotated[float, Quantity("S or A", (-1, 1), (-1e-2, 1e-2))]

BranchCurrent = Annotated[float, Quantity("A", (1e-15, 1), (1e-12, 1e-3))]
ErrorCurrent = Annotated[float, Quantity("A", (0, 1), (1e-15, 1e-4), zero=True)]
SmallCapacitance = Annotated[float, Quantity("F", (1e-18, 1e-3), (1e-15, 1e-9))]
Length = Annotated[float, Quantity("m", (1e-9, 1e-2), (1e-8, 1e-3))]
Distance = Annotated[float, Quantity("m", (1e-9, 100), (1e-8, 1))]
Area = Annotated[float, Quantity("m^2", (0, 1), (1e-15, 1e-4), zero=True)]
Ratio = Annotated[float, Quantity("1", (1e-6, 1e6), (0.1, 1e4))]
AreaRatio = Annotated[float, Quantity("1", (1, 1e3), (1, 20))]
CapacitanceDensity = Annotated[float, Quantity("F/m^2", (1e-6, 1), (1e-4, 0.1))]
Energy = Annotated[float, Quantity("J", (0, 1), (1e-18, 1e-6), zero=True)]
PelgromThreshold = Annotated[float, Quantity("V m", (0, 1e-3), (1e-10, 1e-7), zero=True)]
PelgromGain = Annotated[float, Quantity("m", (0, 1e-3), (1e-11, 1e-7), zero=True)]

Bandwidth = Annotated[float, Quantity("Hz", (100, 1e30), (5e3, 1e11))]
NoiseCorner = Annotated[float, Quantity("Hz", (0, 1e12), (1e-2, 1e8), zero=True)]
TimeUnit = Annotated[float, Quantity("s", (1e-12, 1e6), (1e-7, 100))]
TimeConstant = Annotated[float, Quantity("1", (1e-3, 1e9), (1, 1e3))]
Age = Annotated[float, Quantity("s", (0, 1e12), (1e-9, 1e10), zero=True)]
Duration = Annotated[float, Quantity("s", (1e-15, 1e12), (1e-9, 1e10))]
Temperature = Annotated[float, Quantity("K", (200, 400))]
DeviceTemperature = Annotated[float, Quantity("K", (1, 2000), (4, 600))]
# Beyond, a part would have lost all of its value within the temperatures that a chip may have.
TemperatureCoefficient = Annotated[float, Quantity("1/K", (0, 9e-3), (0, 5e-3))]
