"""What can be bought for a board: manufacturers' parts with their pins, packages, footprints and price classes.

The parts stand in `parts.yaml` beside this module, with the data sheets that say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from analog_fhn._support.words import engineering
from analog_fhn._support.yaml_files import read_yaml
from analog_fhn.board.codes import Code, read, written
from analog_fhn.errors import InputError, shown
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.e_series import in_series, nearest
from analog_fhn.technology.sections import ESeries
from analog_fhn.technology.typed_yaml import Name, Section, Words, explain

Mounting = Literal["through-hole", "smd"]

PARTS = Path(__file__).parent / "parts.yaml"

_Few = TypeVar("_Few")
_List = Annotated[tuple[_Few, ...], Field(strict=False)]
_Pins = dict[str, str]


class Prices(Section):
    """What the numbers under `prices` of the parts are.

    Parameters
    ----------
    currency, year
        Of the classes.
    spread
        Factor by which a price may be off, in either direction.
    quantities
        How many are bought, in the order of the parts' prices.
    """

    currency: Name
    year: int
    spread: Annotated[float, Field(ge=1.0)]
    quantities: _List[int]


class Pinout(Section):
    """Pins of a package by what they do.

    Parameters
    ----------
    pins
        How many; 0: as many as the form says, in order.
    units
        Pins of each unit by its terminals.
    power
        Pins that the units share, by supply.
    open
        Pins that stay unconnected, and what they are.
    other
        Further pins, and what they are.
    unused
        What each terminal of a unit that is not used is tied to.
    source
        Who says so.
    """

    pins: int
    units: _List[_Pins]
    power: _Pins = Field(default_factory=dict)
    open: _Pins = Field(default_factory=dict)
    other: _Pins = Field(default_factory=dict)
    unused: _Pins = Field(default_factory=dict)
    source: Words


class Rheostat(Section):
    """Digital potentiometer between its terminals W and B: ``R = R_AB D/positions + wiper`` (ohm).

    Parameters
    ----------
    positions
        Number of codes D, from 0.
    wiper
        Resistance of the wiper (ohm), typical.
    lowest
        Smallest code for which the data sheet states the nonlinearity.
    bits_below
        By how many bits the code is shifted in the data word.
    """

    positions: int
    wiper: float
    lowest: int
    bits_below: int


class Form(Section):
    """A part number, or of a series its pattern, and the package.

    Parameters
    ----------
    part_number
        With ``{}`` where the value stands.
    code
        How a value is written into it.
    series, mantissas, values
        E series or mantissas that are made, and the lowest and highest value.
    value
        Of a part of one value.
    footprint
        By its name in KiCad 6; ``{}`` stands for the number of pins.
    pins
        How many, where the pinout does not say.
    """

    mounting: Mounting
    part_number: Name
    package: Name
    footprint: Annotated[str, Field(max_length=200)]
    pinout: Name
    code: Code | None = None
    series: _List[ESeries] = ()
    mantissas: _List[float] = ()
    values: _List[float] = ()
    value: float | None = None
    pins: int | None = None


class Part(Section):
    """A part, or a series of parts that differ by their value."""

    kind: Name
    name: Name
    manufacturer: Name
    description: Name
    datasheet: Name
    prices: _List[float]
    forms: _List[Form]
    tolerance: float | None = None
    temperature_coefficient: float | None = None
    value: float | None = None
    rheostat: Rheostat | None = None


class Catalogue(Section):
    """All of `parts.yaml`."""

    format: Literal[1]
    prices: Prices
    pinouts: dict[str, Pinout]
    parts: _List[Part]

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        for part in self.parts:
            if len(part.prices) != len(self.prices.quantities):
                raise ValueError(f"{part.name}: expected a price for each of prices.quantities")
            for form in part.forms:
                if form.pinout not in self.pinouts:
                    raise ValueError(f"{form.part_number}: pinout {form.pinout!r} is not among pinouts")
                if ("{}" in form.part_number) != (form.code is not None):
                    raise ValueError(f"{form.part_number}: expected {{}} and code together")
        return self

    @classmethod
    def load(cls, path: Path = PARTS) -> Catalogue:
        """Read a catalogue.

        Raises
        ------
        InputError
            Unreadable file, unknown key, wrong type or value; the message names the file and the key.
        """
        data = read_yaml(path, "catalogue")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(path, error, data)) from None


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue of this package."""
    return Catalogue.load()


@dataclass(frozen=True)
class Component:
    """A part that can be ordered.

    Parameters
    ----------
    kind
        opamp, multiplier, ota, diode, resistor, tempco_resistor, capacitor, decoupling, potentiometer,
        digital_potentiometer, resistor_network, reference, hold, connector, power_connector, jumper, shunt, test_point.
    manufacturer, part_number, description
        What is ordered.
    package, footprint, mounting
        Its package, that footprint's name in KiCad 6, and how it is soldered.
    units
        Pin of each terminal, a mapping for each amplifier, resistor or potentiometer in the package.
    power
        Pins that the units share, by supply: V+, V-, GND, VLOGIC.
    open
        Pins that stay unconnected, and what they are.
    other
        Further pins, and what they are.
    unused
        What each terminal of a unit that is not used is tied to: another of its terminals, V+, V-, "0" for ground, or
        "open".
    prices
        Price class of one part (`Prices.currency`) by the quantity that is bought.
    datasheet, source
        Document, and what in it tells the pins.
    value, tolerance, temperature_coefficient
        Nominal value as bought (ohm, farad, volt), its largest relative deviation, and in 1/K; None: has none.
    rheostat
        Of a digital potentiometer.
    """

    kind: str
    manufacturer: str
    part_number: str
    description: str
    package: str
    footprint: str
    mounting: Mounting
    units: tuple[Mapping[str, str], ...]
    power: Mapping[str, str]
    open: Mapping[str, str]
    other: Mapping[str, str]
    unused: Mapping[str, str]
    prices: Mapping[int, float]
    datasheet: str
    source: str
    value: float | None = None
    tolerance: float | None = None
    temperature_coefficient: float | None = None
    rheostat: Rheostat | None = field(default=None, repr=False)

    @property
    def pins(self) -> list[str]:
        """Numbers of all pins, rising."""
        named = [*self.power.values(), *self.open, *self.other]
        return sorted([*named, *(pin for unit in self.units for pin in unit.values())], key=int)

    def price(self, quantity: int) -> float:
        """Price class of one part if so many are bought."""
        reached = [number for number in self.prices if number <= quantity]
        return self.prices[max(reached, default=min(self.prices))]


# Kinds that several parts of the catalogue have, and the key of the technology's `classes` that tells which is bought.
_CHOSEN = {"opamp": "opamp", "multiplier": "multiplier", "ota": "tanh_pair"}
_DEFAULTS = {"opamp": "TL082", "sense_amplifier": "OPA2134"}
# Sections of the technology that say how good a passive has to be.
_PASSIVES = {"resistor", "capacitor"}


def component(
    kind: str,
    technology: BoardTechnology,
    value: float | None = None,
    *,
    section: str = "",
    mounting: Mounting = "through-hole",
    name: str | None = None,
) -> Component:
    """The part that is bought for an element of a board.

    Parameters
    ----------
    kind
        See `Component`.
    technology
        Says which amplifier is bought (`classes`), and how good passives have to be.
    value
        Nominal value (ohm, farad); of a connector its number of pins. The nearest that is made is bought.
    section
        Key of the technology's `classes` by which the element is bought: "sense_amplifier" for an operational amplifier
        behind an array, "sense_resistor" and "array" for resistors of arrays.
    mounting
        Wanted; a part that exists in one form only is taken in that form.
    name
        Part of that name, whatever the technology says.

    Raises
    ------
    InputError
        If the catalogue has no such part; the message names kind and value.
    """
    stock = catalogue()
    parts = _candidates(stock, kind, technology, section, name)
    for part in parts:
        found = _formed(stock, part, value, mounting)
        if found is not None:
            return found
    described = f" of {_described(kind, value)}" if value is not None else ""
    raise InputError(f"no {kind}{described} in the catalogue of parts ({', '.join(part.name for part in parts)})")


def named(part_number: str) -> Component | None:
    """The part of this number: its value is read from it; None if the catalogue has none."""
    stock = catalogue()
    for part in stock.parts:
        for form in part.forms:
            if form.code is None:
                if form.part_number == part_number:
                    return _made(stock, part, form, form.value if form.value is not None else part.value)
                continue
            before, after = form.part_number.split("{}")
            if not (part_number.startswith(before) and part_number.endswith(after)):
                continue
            try:
                value = read(form.code, part_number[len(before) : len(part_number) - len(after)])
            except (ValueError, StopIteration):
                continue
            if form.values[0] * (1 - 1e-9) <= value <= form.values[1] * (1 + 1e-9):
                return _made(stock, part, form, value)
    return None


def _candidates(stock: Catalogue, kind: str, technology: BoardTechnology, section: str, name: str | None) -> list[Part]:
    """Parts of a kind that are good enough, the cheapest first."""
    parts = [part for part in stock.parts if part.kind == kind]
    if not parts:
        known = ", ".join(dict.fromkeys(part.kind for part in stock.parts))
        raise InputError(f"kind {shown(kind)} of part: expected one of {known}")
    if name is None and kind in _CHOSEN:
        key = section or _CHOSEN[kind]
        bought = technology.bought(key)
        # "LM13700, selected: ..." is an LM13700.
        name = _DEFAULTS.get(key, parts[0].name) if bought is None else bought.name.partition(",")[0]
    if name is not None:
        named = [part for part in parts if part.name == name]
        if not named:
            known = ", ".join(part.name for part in parts)
            raise InputError(f"{kind} {shown(name)}: not in the catalogue of parts; expected one of {known}")
        return named
    tolerance, coefficient = _asked(kind, technology, section)
    good = [
        part for part in parts
        if (part.tolerance or 0.0) <= tolerance * (1 + 1e-9)
        and (kind not in _PASSIVES or (part.temperature_coefficient or 0.0) <= coefficient * (1 + 1e-9))
    ]  # fmt: skip
    if not good:
        raise InputError(
            f"no {kind} of {100 * tolerance:g} % and {1e6 * coefficient:g} ppm/K in the catalogue of parts: the best "
            f"has {100 * min(part.tolerance or 0.0 for part in parts):g} %"
        )
    return sorted(good, key=lambda part: part.prices[-1])


def _asked(kind: str, technology: BoardTechnology, section: str) -> tuple[float, float]:
    """Largest tolerance and temperature coefficient (1/K) that the technology allows."""
    if kind not in _PASSIVES:
        return math.inf, math.inf
    if section == "sense_resistor":
        return technology.sense_amplifier.resistor_tolerance, math.inf
    if section == "array":
        error = technology.array.programming_error
        # Three sigma, as of a tolerance class.
        return (3.0 * error if isinstance(error, float) else math.inf), math.inf
    passive = technology.resistor if kind == "resistor" else technology.capacitor
    return passive.tolerance, passive.temperature_coefficient


def _formed(stock: Catalogue, part: Part, value: float | None, mounting: Mounting) -> Component | None:
    """The part in the wanted form, or else in another; None: it is not made with this value."""
    best: tuple[float, bool, int, Component] | None = None
    for place, form in enumerate(part.forms):
        made = _value(part, form, value)
        if made is None and value is not None:
            continue
        error = abs(math.log(made / value)) if made is not None and value is not None else 0.0
        key = (round(error, 12), form.mounting != mounting, place, _made(stock, part, form, made))
        if best is None or key[:3] < best[:3]:
            best = key
    return None if best is None else best[3]


def _value(part: Part, form: Form, value: float | None) -> float | None:
    """The nearest value in which a form is made; None: it is not made near that."""
    fixed = form.value if form.value is not None else part.value
    if form.code is None:
        # A value of another size is another part.
        near = fixed is not None and value is not None and abs(math.log(fixed / value)) < math.log(1.5)
        return fixed if value is None or near else None
    if value is None:
        return None
    low, high = form.values
    if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
        return None
    if form.mantissas:
        grid = [m * 10.0**e for e in range(-1, 8) for m in form.mantissas]
        return min((v for v in grid if low <= v <= high), key=lambda v: abs(math.log(v / value)))
    if not form.series:
        return float(round(value))
    exact = any(in_series(series, value) for series in form.series)
    return value if exact else nearest(form.series[-1], value)


def _made(stock: Catalogue, part: Part, form: Form, value: float | None) -> Component:
    pinout = stock.pinouts[form.pinout]
    pins = form.pins if form.pins is not None else round(value) if form.code == "pins" and value else 0
    units = tuple(pinout.units) or ({str(pin): str(pin) for pin in range(1, pins + 1)},)
    code = None if form.code is None or value is None else written(form.code, value)
    return Component(
        part.kind, part.manufacturer,
        form.part_number if code is None else form.part_number.replace("{}", code),
        part.description, form.package,
        form.footprint if code is None else form.footprint.replace("{}", code),
        form.mounting, units, pinout.power, pinout.open, pinout.other, pinout.unused,
        dict(zip(stock.prices.quantities, part.prices, strict=True)), part.datasheet, pinout.source,
        value, part.tolerance, part.temperature_coefficient, part.rheostat,
    )  # fmt: skip


def _described(kind: str, value: float) -> str:
    units = {"resistor": "ohm", "tempco_resistor": "ohm", "potentiometer": "ohm", "digital_potentiometer": "ohm",
             "resistor_network": "ohm", "capacitor": "F", "decoupling": "F"}  # fmt: skip
    return engineering(value, units[kind]) if kind in units else f"{value:g}"
