"""Parts and sheets of a board, before anything of them is drawn or bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "resistor", "capacitor", "opamp", "multiplier", "ota", "diode",
    "connector", "test_point", "decoupling", "potentiometer", "jumper",
]  # fmt: skip

# Letters of the references.
PREFIXES: Mapping[str, str] = {
    "resistor": "R", "capacitor": "C", "opamp": "U", "multiplier": "U", "ota": "U", "diode": "D",
    "connector": "J", "test_point": "TP", "decoupling": "C", "potentiometer": "RV", "jumper": "JP",
}  # fmt: skip


@dataclass(frozen=True)
class Element:
    """One part of a board; of a package with several amplifiers one of them.

    Parameters
    ----------
    path
        Its name in the flattened netlist; "": what has no counterpart there.
    kind
        What it is. An "ota" is half of a dual transconductance amplifier, all of `tanh_pair.lib` but its resistors.
    terminals
        Nodes of the flattened netlist by terminal: "1" and "2" of passives, "+", "-", "out", "V+", "V-" of amplifiers
        (and "abc" of an ota), "X1", "X2", "Y1", "Y2", "Z", "W", "V+", "V-" of multipliers, "A" and "K" of diodes.
        A jumper joins "2", its middle, to "1" or to "3": as it is delivered to "1". A potentiometer has its wiper at
        "2". Connectors have "1", "2", ...; test points "1". Nodes that the netlist does not have begin with "board.".
    value
        Nominal value in ohm or farad; None where a kind of part has none.
    actual
        Parameters that it has on this chip, by their names in the netlist; a passive's is "value".
    section
        Kind of part in the technology's `classes`; "" of what has none.
    sheet
        Key of its sheet.
    reference
        Designator on the board, U101 for instance; amplifiers of one package share it.
    name
        What it is called where it stands: R1, Cx, U1, Vx.
    unit
        Which amplifier of its package, from 0.
    """

    path: str
    kind: Kind
    terminals: Mapping[str, str]
    value: float | None
    actual: Mapping[str, float]
    section: str
    sheet: str
    reference: str
    name: str
    unit: int = 0


@dataclass(frozen=True)
class Sheet:
    """One sheet of the schematic.

    Parameters
    ----------
    key
        Its name, also of its file: cell_000, array_0, sense_1_0, connectors, supplies.
    kind
        What it shows.
    title
        In words.
    number
        From 1; its parts have designators from `number * block + 1` on.
    layer
        Hidden layer of a cell, number of an array; 0 of other sheets.
    items
        Cells, outputs, or rows that it shows; of connectors, the numbers of these.
    columns
        Bit lines of an array that it shows.
    notes
        Lines to be written on it.
    """

    key: str
    kind: Literal["cell", "array", "sense", "connectors", "supplies"]
    title: str
    number: int
    layer: int = 0
    items: range = range(0)
    columns: range = range(0)
    notes: tuple[str, ...] = ()


@dataclass
class SheetParts:
    """Collects the parts of one sheet, and counts their designators."""

    sheet: Sheet
    block: int
    elements: list[Element] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def reference(self, kind: Kind) -> str:
        """Next free designator of a kind of part."""
        prefix = PREFIXES[kind]
        self.counts[prefix] = self.counts.get(prefix, 0) + 1
        return f"{prefix}{self.sheet.number * self.block + self.counts[prefix]}"

    def add(
        self,
        name: str,
        kind: Kind,
        terminals: Mapping[str, str],
        value: float | None = None,
        *,
        path: str = "",
        actual: Mapping[str, float] | None = None,
        section: str = "",
        reference: str = "",
        unit: int = 0,
    ) -> Element:
        """Add a part; without a reference it gets the next one."""
        element = Element(
            path, kind, terminals, value, actual or {}, section, self.sheet.key,
            reference or self.reference(kind), name, unit,
        )  # fmt: skip
        self.elements.append(element)
        return element

    def decouple(self, reference: str) -> None:
        """Two capacitors at the supply pins of a package."""
        for node in ("vcc", "vee"):
            self.add(reference, "decoupling", {"1": node, "2": "0"}, DECOUPLING)


DECOUPLING = 100e-9  # F, at each supply pin of a package
BULK = 10e-6  # F, where a supply comes onto the board
