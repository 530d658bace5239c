"""Parts of a board by their packages: what each is bought as, and the symbol that stands for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from analog_fhn._support.words import engineering
from analog_fhn.board import symbols
from analog_fhn.board.catalogue import Component
from analog_fhn.board.circuit import BoardCircuit
from analog_fhn.board.elements import Element
from analog_fhn.board.order import component_of
from analog_fhn.board.symbols import Body

_PLAIN = {
    "resistor": ("R", symbols.RESISTOR),
    "capacitor": ("C", symbols.CAPACITOR),
    "decoupling": ("C", symbols.CAPACITOR),
    "diode": ("D", symbols.DIODE),
    "potentiometer": ("R_Trim", symbols.POTENTIOMETER),
    "jumper": ("Jumper_3_Bridged12", symbols.JUMPER),
    "test_point": ("TestPoint", symbols.TEST_POINT),
}
PLAIN_SYMBOLS = frozenset(name for name, _ in _PLAIN.values())
"""Symbols whose pins have neither names nor numbers beside them."""
_AMPLIFIERS = {"opamp": symbols.AMPLIFIER, "ota": symbols.TRANSCONDUCTOR}
# Letters of units in the names of fields.
LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class Package:
    """All parts of one designator.

    Parameters
    ----------
    reference
        The designator.
    elements
        Parts by their unit, from 0.
    component
        What is bought.
    symbol
        Name of its symbol.
    bodies
        Units of the symbol; of packages with several amplifiers the last one has the supply pins.
    """

    reference: str
    elements: Mapping[int, Element]
    component: Component
    symbol: str
    bodies: tuple[Body, ...]

    @property
    def shared(self) -> bool:
        """Whether the package has units of its own for its supply."""
        return len(self.bodies) > len(self.component.units)

    def numbers(self, unit: int) -> Mapping[str, str]:
        """Pins of a unit by terminal."""
        if unit < len(self.component.units):
            return {**self.component.units[unit], **self.component.power}
        return {**self.component.power, **{f"open {pin}": pin for pin in self.component.open}}

    @property
    def value(self) -> str:
        """What is shown as its value: ohm or farad, else the part's number."""
        first = next(iter(self.elements.values()))
        if first.kind in ("connector", "jumper", "test_point"):
            return first.name
        return self.component.part_number if first.value is None else plain(first.value)

    @cached_property
    def fields(self) -> dict[str, str]:
        """Fields besides reference and value."""
        bought = self.component
        texts = {
            "Footprint": bought.footprint,
            "Datasheet": bought.datasheet,
            "Tolerance": "" if bought.tolerance is None else f"{100 * bought.tolerance:g} %",
            "Manufacturer": bought.manufacturer,
            "MPN": bought.part_number,
        }
        for unit, element in sorted(self.elements.items()):
            letter = f"_{LETTERS[unit]}" if len(bought.units) > 1 else ""
            texts[f"Function{letter}"] = element.name
            if element.path:
                texts[f"Circuit{letter}"] = element.path
                texts[f"Actual{letter}"] = " ".join(f"{name}={value!r}" for name, value in element.actual.items())
        return texts


def plain(value: float) -> str:
    """Value as it stands in a schematic: 4.42k, 100n."""
    return engineering(value, "").replace(" ", "")


def packages(circuit: BoardCircuit) -> dict[str, Package]:
    """Packages by their designators."""
    units: dict[str, dict[int, Element]] = {}
    for element in circuit.elements:
        units.setdefault(element.reference, {})[element.unit] = element
    technology = circuit.technology
    known: dict[object, Component] = {}
    found = {}
    for reference, elements in units.items():
        first = next(iter(elements.values()))
        key = (
            first.kind,
            first.section,
            first.value,
            len(first.terminals),
            first.name if first.kind == "connector" else "",
            first.path.partition(".")[2],
        )
        if key not in known:
            known[key] = component_of(first, technology)
        symbol, bodies = _symbol(first, known[key])
        found[reference] = Package(reference, elements, known[key], symbol, bodies)
    return found


def _symbol(element: Element, component: Component) -> tuple[str, tuple[Body, ...]]:
    if element.kind == "connector":
        count = len(element.terminals)
        return f"Conn_01x{count:02d}", (symbols.connector(count),)
    if element.kind in _PLAIN:
        name, body = _PLAIN[element.kind]
        return name, (body,)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", component.part_number)
    if element.kind == "multiplier":
        return name, (symbols.MULTIPLIER,)
    supply = symbols.supply_unit(component.power, component.open)
    return name, (*[_AMPLIFIERS[element.kind]] * len(component.units), supply)
