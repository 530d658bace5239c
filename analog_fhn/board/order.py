"""What to order for a board: manufacturers' part numbers, packages, spares and price classes."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.files import CsvTable, write_text
from analog_fhn._support.words import counted, engineering, listed
from analog_fhn.board.catalogue import Component, Mounting, catalogue, component
from analog_fhn.board.circuit import BoardCircuit
from analog_fhn.board.elements import DECOUPLING, Element
from analog_fhn.board.rheostats import POTENTIOMETER, array_codes, codes_text, rheostat
from analog_fhn.errors import InputError, shown
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE

ArrayParts = Literal["resistors", "networks", "digital"]

EXTERNAL = 1e-6  # F, at pin EXT_CAP of a digital potentiometer

_INTEGRATED = {"opamp", "multiplier", "ota", "digital_potentiometer", "reference", "hold"}
_SMALL = {"resistor", "tempco_resistor", "capacitor", "decoupling", "diode", "resistor_network"}
_SHARED = {"opamp", "ota", "resistor_network"}
_ORDER = (
    "opamp", "multiplier", "ota", "digital_potentiometer", "reference", "hold", "diode", "resistor", "tempco_resistor",
    "resistor_network", "capacitor", "decoupling", "potentiometer", "power_connector", "connector", "jumper", "shunt",
    "test_point",
)  # fmt: skip
_DEVICE = re.compile(r"r(\d+)_(\d+)_(\d+)")  # path of a device: array, row, bit line
_UNITS = {"capacitor": "F", "decoupling": "F", "reference": "V"}


@dataclass(frozen=True)
class OrderLine:
    """One part number of an order.

    Parameters
    ----------
    part
        What is bought.
    needed, spares
        Packages on the boards, and besides.
    used, left
        Amplifiers (resistors of a network, ...) in these packages that are used, and those that are not.
    references
        Designators on one board, as ranges.
    worst
        Largest relative difference between a value that is wanted and the one that is bought.
    """

    part: Component
    needed: int
    spares: int
    used: int
    left: int
    references: str
    worst: float = 0.0

    @property
    def quantity(self) -> int:
        """Packages that are ordered."""
        return self.needed + self.spares

    @property
    def price(self) -> float:
        """Price class of one package at this quantity."""
        return self.part.price(self.quantity)

    @property
    def total(self) -> float:
        """Of the line, by the price class."""
        return self.price * self.quantity

    @property
    def value(self) -> str | None:
        """Value that is bought, with its unit; None: the part has none that could be another."""
        if self.part.value is None or self.part.kind in ("connector", "power_connector"):
            return None
        return engineering(self.part.value, _UNITS.get(self.part.kind, "ohm"))


class Order(Rows[OrderLine]):
    """Everything that has to be bought for a board, a line for each part number."""

    @property
    def total(self) -> float:
        """By the price classes."""
        return sum(line.total for line in self)

    def table(self) -> list[dict[str, object]]:
        """One dictionary per line, by the names of the columns of `text`."""
        return [{name: column(line) for name, column in _COLUMNS.items()} for line in self]

    def text(self) -> str:
        """As CSV."""
        file = io.StringIO(newline="")
        table = CsvTable(file)
        table.writerow(list(_COLUMNS))
        for line in self.table():
            table.writerow(["" if value is None else value for value in line.values()])
        return file.getvalue()

    def write(self, path: Path) -> None:
        """Write the CSV file."""
        write_text(path, self.text())

    def _card(self) -> Card:
        prices = catalogue().prices
        rows = [
            (line.part.part_number, line.value, line.part.package, line.quantity, line.spares, line.left, line.total)
            for line in self
        ]
        low, high = (f"{self.total * factor:.2g}" for factor in (1.0 / prices.spread, prices.spread))
        facts = {
            "price classes": f"of {prices.year}: {self.total:.2f} {prices.currency} in all, {low} to {high} if all are "
            f"off by a factor of {prices.spread:g}"
        }
        pieces = sum(line.quantity for line in self)
        grid = Grid(("part number", "value", "package", "quantity", "spares", "units left", "price"), rows)
        return Card("Order", f"{pieces} pieces in {counted(len(self), 'line')}", facts, (grid,))


_COLUMNS: Mapping[str, Callable[[OrderLine], object]] = {
    "manufacturer": lambda line: line.part.manufacturer,
    "part_number": lambda line: line.part.part_number,
    "description": lambda line: line.part.description,
    "value": lambda line: line.value,
    "package": lambda line: line.part.package,
    "footprint": lambda line: line.part.footprint,
    "needed": lambda line: line.needed,
    "spares": lambda line: line.spares,
    "quantity": lambda line: line.quantity,
    "units_left": lambda line: line.left,
    "price_class": lambda line: line.price,
    "total": lambda line: round(line.total, 2),
    "largest_error": lambda line: f"{line.worst:.2g}" if line.worst else None,
    "references": lambda line: line.references,
    "datasheet": lambda line: line.part.datasheet,
}


def order(
    circuit: BoardCircuit, *, array: ArrayParts = "resistors", mounting: Mounting = "through-hole", boards: int = 1
) -> Order:
    """What is bought for a board.

    Spares are a tenth of each kind of small part, at least two, and one package of each integrated circuit. Every
    jumper gets a shunt.

    Parameters
    ----------
    circuit
        What is on it.
    array
        Devices of arrays as single resistors, as networks of eight isolated ones wherever eight of a value that
        networks are made with are there and their tolerance is good enough, or as digital potentiometers.
    mounting
        Wanted of all parts that exist in both.
    boards
        How many are built.

    Raises
    ------
    InputError
        If the catalogue has no part for an element, `boards` is not above 0, `array` or `mounting` is none of theirs,
        or a digital potentiometer does not reach a conductance.
    """
    if boards < 1:
        raise InputError(f"boards = {boards}: expected 1 or more")
    for name, given, known in (("array", array, ArrayParts), ("mounting", mounting, Mounting)):
        if given not in get_args(known):
            raise InputError(f"{name} {shown(given)}: expected one of {listed(get_args(known))}")
    lines: dict[str, list[_Need]] = defaultdict(list)
    for need in _needs(circuit, array, mounting):
        lines[need.part.part_number].append(need)
    closed = (_line(needs, boards) for needs in lines.values())
    return Order(sorted(closed, key=lambda line: (_ORDER.index(line.part.kind), line.part.value or 0.0)))


def write_order(
    circuit: BoardCircuit, folder: Path, *, array: ArrayParts = "resistors", mounting: Mounting = "through-hole"
) -> Order:
    """Write the files of `order_texts` into a folder; parameters and errors are those of `order`."""
    bought, texts = order_texts(circuit, array=array, mounting=mounting)
    for name, text in texts.items():
        write_text(folder / name, text)
    return bought


def order_texts(
    circuit: BoardCircuit, *, array: ArrayParts = "resistors", mounting: Mounting = "through-hole"
) -> tuple[Order, dict[str, str]]:
    """An order and its files: `bom.csv`, and `codes.csv` where devices of arrays are digital potentiometers.

    Parameters and errors are those of `order`.
    """
    bought = order(circuit, array=array, mounting=mounting)
    places = {
        (int(found[1]), int(found[2]), int(found[3])): element.reference
        for element in circuit.elements
        if element.section == "array" and (found := _DEVICE.fullmatch(element.path))
    }
    texts = {"bom.csv": bought.text()}
    if array == "digital" and places:
        arrays = array_codes([one.target.conductance for one in circuit.chip.arrays])
        texts["codes.csv"] = codes_text(arrays, places)
    return bought, texts


def remarks(circuit: BoardCircuit, bought: Order) -> list[str]:
    """Sentences on what a buyer should know: where what is bought is not what the technology says.

    Parameters
    ----------
    circuit, bought
        A board and its order.
    """
    technology, said = circuit.technology, []
    kinds = {"opamp": "TL082", "sense_amplifier": "OPA2134", "multiplier": "AD633", "tanh_pair": "LM13700"}
    sections = {element.section for element in circuit.elements}
    for key in sorted(sections & kinds.keys()):
        if technology.bought(key) is None:
            said.append(f"{key}: the technology has the values of none of its classes.{key}; {kinds[key]} is bought")
    for line in bought:
        if line.part.kind == "tempco_resistor":
            ppm = 1e6 * (line.part.temperature_coefficient or 0.0)
            said.append(
                f"{line.part.part_number}: {ppm:.0f} ppm/K where the attenuators of tanh pairs want "
                f"{1e6 / NOMINAL_TEMPERATURE:.0f}"
            )
    off = [line for line in bought if line.worst > 1e-3 and line.part.kind != "digital_potentiometer"]
    if off:
        worst = max(line.worst for line in off)
        said.append(f"{counted(len(off), 'line')}: the nearest value that is made, up to {100 * worst:.1f} % off")
    return said


def component_of(element: Element, technology: BoardTechnology, mounting: Mounting = "through-hole") -> Component:
    """The part that is bought for an element of a board.

    Raises
    ------
    InputError
        If the catalogue has none; the message names the element.
    """
    kind: str = element.kind
    value = element.value
    if technology.tanh_pair.compensated and element.path.endswith((".rp1", ".rp2")):
        kind = "tempco_resistor"
    elif kind == "connector" and element.name == "supply":
        kind = "power_connector"
    elif kind == "connector":
        value = float(len(element.terminals))
    try:
        return component(kind, technology, value, section=element.section, mounting=mounting)
    except InputError as error:
        raise InputError(f"{element.reference} ({element.name}): {error}") from None


@dataclass(frozen=True)
class _Need:
    """One element of a board: what is bought for it, the package that it is in, and the value that is wanted."""

    part: Component
    package: str
    reference: str
    wanted: float | None = None
    given: float | None = None


def _needs(circuit: BoardCircuit, array: ArrayParts, mounting: Mounting) -> Iterator[_Need]:
    """All elements of a board, and what they need besides."""
    technology, devices = circuit.technology, []
    for element in circuit.elements:
        if element.section == "array" and array != "resistors":
            devices.append(element)
            continue
        part = component_of(element, technology, mounting)
        wanted = element.value if part.kind not in ("connector", "potentiometer") else None
        yield _Need(part, element.reference, element.reference, wanted, part.value)
        if element.kind == "jumper":
            yield _Need(component("shunt", technology), element.reference, element.reference)
    if devices and array == "digital":
        yield from _digital(devices, technology, mounting)
    elif devices:
        yield from _networks(devices, technology, mounting)


def _digital(devices: Sequence[Element], technology: BoardTechnology, mounting: Mounting) -> Iterator[_Need]:
    """Devices as digital potentiometers, all of one type, with the capacitors that each needs."""
    wanted = [1.0 / element.value for element in devices if element.value]
    chosen = rheostat(min(wanted), max(wanted), POTENTIOMETER)
    for element, g in zip(devices, wanted, strict=True):
        place = element.reference
        yield _Need(chosen.part, place, place, 1.0 / g, float(1.0 / chosen.nearest(g)))
        for name, value in (("V+", DECOUPLING), ("V-", DECOUPLING), ("EXT_CAP", EXTERNAL)):
            part = component("decoupling", technology, value, mounting=mounting)
            yield _Need(part, f"{place} {name}", "", value, part.value)


def _networks(devices: Sequence[Element], technology: BoardTechnology, mounting: Mounting) -> Iterator[_Need]:
    """Devices as networks of equal resistors as long as they fill one, the others as single resistors."""
    equal: dict[str, list[tuple[Component, Element]]] = defaultdict(list)
    for element in devices:
        single = component_of(element, technology, mounting)
        equal[single.part_number].append((single, element))
    for elements in equal.values():
        network = _network(elements[0][0], technology)
        size = 1 if network is None else len(network.units)
        filled = 0 if network is None else len(elements) // size * size
        for k, (single, element) in enumerate(elements):
            place = element.reference
            if network is not None and k < filled:
                yield _Need(network, f"{elements[k - k % size][1].reference} ...", place, element.value, network.value)
            else:
                yield _Need(single, place, place, element.value, single.value)


def _network(single: Component, technology: BoardTechnology) -> Component | None:
    """Network of resistors with the value of a single one; None: there is none, or none that is good enough."""
    try:
        network = component("resistor_network", technology, single.value)
    except InputError:
        return None
    error = technology.array.programming_error
    good = not isinstance(error, float) or (network.tolerance or 0.0) <= 3.0 * error * (1 + 1e-9)
    return network if good and network.value == single.value else None


def _line(needs: Sequence[_Need], boards: int) -> OrderLine:
    part = needs[0].part
    needed, used = boards * len({need.package for need in needs}), boards * len(needs)
    spares = max(2, math.ceil(needed / 10)) if part.kind in _SMALL else int(part.kind in _INTEGRATED)
    left = needed * len(part.units) - used if part.kind in _SHARED else 0
    worst = max((abs(need.given / need.wanted - 1.0) for need in needs if need.given and need.wanted), default=0.0)
    return OrderLine(part, needed, spares, used, left, ranges(need.reference for need in needs), worst)


def ranges(references: Iterable[str]) -> str:
    """Designators with consecutive ones as ranges: ``R1-R3, R7``."""
    split = sorted({(*re.fullmatch(r"(\D+)(\d+)", one).groups(),) for one in references if one})  # type: ignore[union-attr]
    said = []
    for prefix, group in itertools.groupby(split, key=lambda one: one[0]):
        numbers = sorted(int(number) for _, number in group)
        runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
        for _, run in runs:
            members = [number for _, number in run]
            last = f"-{prefix}{members[-1]}" if len(members) > 1 else ""
            said.append(f"{prefix}{members[0]}{last}")
    return ", ".join(said)
