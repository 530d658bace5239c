"""Places parts on a sheet, with their fields where they are read, and supplies where they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from analog_fhn.board import symbols
from analog_fhn.board.drawing import Drawing, Justify, Label, Placed, Spot, Words
from analog_fhn.board.elements import Element, Sheet
from analog_fhn.board.stock import Package
from analog_fhn.board.symbols import Body

Way = Literal["left", "right", "up", "down"]

_ANGLES: Mapping[Way, int] = {"up": 0, "left": 90, "down": 180, "right": 270}
# Symbols of supplies by node.
SUPPLIES: Mapping[str, tuple[str, Body]] = {
    "0": ("GND", symbols.GROUND),
    "vcc": ("VCC", symbols.power(up=True)),
    "vplus": ("VPLUS", symbols.power(up=True)),
    "vee": ("VEE", symbols.power(up=False)),
    "vref": ("VREF", symbols.power(up=False)),
}


class Artist:
    """Draws on one sheet.

    Parameters
    ----------
    sheet
        What is drawn.
    stock
        All packages of the board.
    block
        Distance of the designators of two sheets.
    """

    def __init__(self, sheet: Sheet, stock: Mapping[str, Package], block: int) -> None:
        self.drawing = Drawing(sheet.title)
        self.stock, self._first = stock, sheet.number * block
        self._supplies = 0

    def wire(self, *spots: Spot) -> None:
        """See `Drawing.wire`."""
        self.drawing.wire(*spots)

    def put(
        self,
        element: Element,
        at: Spot,
        angle: int,
        reference: tuple[float, float],
        value: tuple[float, float] | None,
        justify: Justify = "centre",
    ) -> Placed:
        """Place a part; its fields stand at these distances from its origin, a value of None is hidden."""  # fmt: skip
        package = self.stock[element.reference]
        words = Words(element.reference, (at[0] + reference[0], at[1] + reference[1]), justify)
        shown = value or (0.0, 0.0)
        size = 1.27 if value else 0.0
        text = Words(package.value, (at[0] + shown[0], at[1] + shown[1]), justify, size)
        body = package.bodies[element.unit]
        placed = Placed(package.symbol, body, element.unit + 1, element, at, angle, words, text)
        self.drawing.placed.append(placed)
        return placed

    def passive(self, element: Element, at: Spot, first: Way) -> Placed:
        """Place a part of two ends, its terminal "1" towards a side."""
        off = 2.6 if element.kind in ("capacitor", "decoupling") else 1.9
        if first in ("left", "right"):
            return self.put(element, at, _ANGLES[first], (0.0, -off), (0.0, off))
        # Fields of what stands on its head are justified the other way round.
        justify: Justify = "left" if first == "up" else "right"
        return self.put(element, at, _ANGLES[first], (off - 0.4, -1.1), (off - 0.4, 1.1), justify)

    def diode(self, element: Element, at: Spot, cathode: Way) -> Placed:
        """Place a diode, its cathode towards a side."""
        angle = {"left": 0, "down": 90, "right": 180, "up": 270}[cathode]
        if cathode in ("left", "right"):
            return self.put(element, at, angle, (0.0, -2.0), None)
        return self.put(element, at, angle, (1.8, 0.0), None, "left")

    def amplifier(self, element: Element, at: Spot) -> Placed:
        """Place an amplifier."""
        return self.put(element, at, 0, (1.2, -3.6), (1.2, 3.6), "left")

    def supply(self, node: str, at: Spot) -> None:
        """Place the symbol of a supply."""
        name, body = SUPPLIES[node]
        self._supplies += 1
        up = node in ("vcc", "vplus")
        value = Words(name, (at[0], at[1] + (-2.9 if up else 2.9)), "centre", 0.0 if node == "0" else 1.27)
        number = f"#PWR{self._first + self._supplies:04d}"
        self.drawing.placed.append(Placed(name, body, 1, None, at, 0, Words(number, at, "centre", 0.0), value))

    def flag(self, at: Spot) -> None:
        """Tell the electrical rules check that a supply comes from outside."""
        self._supplies += 1
        number = f"#FLG{self._first + self._supplies:04d}"
        words = Words(number, at, "centre", 0.0), Words("PWR_FLAG", (at[0], at[1] - 2.8), "centre", 1.0)
        self.drawing.placed.append(Placed("PWR_FLAG", symbols.FLAG, 1, None, at, 0, *words))

    def ground(self, spot: Spot, *way: Spot) -> None:
        """Wire a spot to ground, by way of others."""
        self.wire(spot, *way)
        self.supply("0", way[-1] if way else spot)

    def label(self, text: str, at: Spot, side: Way = "right") -> None:
        """Name a net of this sheet."""
        self.drawing.labels.append(Label(text, at, side))

    def port(self, text: str, at: Spot, side: Way, flow: Literal["input", "output", "passive"]) -> None:
        """Name a net that leaves the sheet; the label lies on this side of its spot."""
        self.drawing.labels.append(Label(text, at, side, flow))

    def test_point(self, element: Element, at: Spot) -> None:
        """Place a test point upon a wire."""
        self.put(element, at, 0, (1.2, -2.6), (1.2, -4.2), "left")

    def caption(self, text: str, at: tuple[float, float], size: float = 2.0) -> None:
        """Write above what is drawn."""
        self.drawing.words.append(Words(text, at, "left", size, bold=size > 1.5))

    def frame(self, corner: Spot, other: Spot, caption: str) -> None:
        """Draw a dashed frame around a block, its caption within, at the upper left corner."""
        self.drawing.frames.append((corner, other))
        self.caption(caption, (corner[0] + 2, corner[1] + 3.6))

    def inverting(self, element: Element, at: Spot) -> tuple[Spot, Spot]:
        """Place an amplifier whose other input is grounded; its summing node, 4 steps left of the pin, and its output.

        The summing node stands at `(x - 10, y - 2)`, the output at `(x + 10, y)`.
        """
        placed = self.amplifier(element, at)
        x, y = at
        node, out = (x - 10, y - 2), (x + 10, y)
        self.wire(node, placed.pin("-"))
        self.wire(placed.pin("out"), out)
        self.ground(placed.pin("+"), (x - 8, y + 2), (x - 8, y + 4))
        return node, out

    def feedback(self, element: Element, node: Spot, out: Spot, above: int, first: Way = "right") -> None:
        """Place a part from an amplifier's output, its terminal "1", back to the summing node, `above` this node."""
        y, middle = node[1] - above, (node[0] + out[0]) // 2
        placed = self.passive(element, (middle, y), first)
        left, right = sorted((placed.pin("1"), placed.pin("2")))
        self.wire(node, (node[0], y), left)
        self.wire(right, (out[0], y), out)

    def supplies_of(self, package: Package, capacitors: list[Element], at: Spot) -> int:
        """Draw a package's supply unit, if it has one, and its capacitors from `at` to the right; the width taken."""
        x, y = at
        x += self._supply_unit(package, at) if package.shared else 10
        if not package.shared:
            self.caption(package.reference, (at[0], y + 0.5), 1.27)
        for element, offset in zip(capacitors, (-4, 4), strict=True):
            live_first = element.terminals["1"] != "0"
            above = (element.terminals["1" if live_first else "2"] == "vcc") == live_first
            self.passive(element, (x, y + offset), "up" if above else "down")
        self.supply("vcc", (x, y - 7))
        self.supply("vee", (x, y + 7))
        self.wire((x, y - 1), (x, y + 1))
        self.ground((x, y), (x - 3, y))
        return x + 10 - at[0]

    def _supply_unit(self, package: Package, at: Spot) -> int:
        """Draw what the units of a package share; the distance to its capacitors."""
        unit = len(package.bodies) - 1
        body, element = package.bodies[unit], next(iter(package.elements.values()))
        opened = [terminal for terminal in body.pins if terminal.startswith("open ")]
        x, y = at[0] + (8 if opened else 3), at[1]
        top, low = (body.pins[terminal].at[1] for terminal in ("V+", "V-"))
        places = (
            ((x + 1.0, y + top + 0.9), (x + 1.0, y + low - 0.9)) if opened else ((x + 3.6, y - 1.1), (x + 3.6, y + 1.1))
        )
        reference, value = (
            Words(text, place, "left") for text, place in zip((package.reference, package.value), places, strict=True)
        )
        placed = Placed(package.symbol, body, unit + 1, element, (x, y), 0, reference, value)
        self.drawing.placed.append(placed)
        self.supply("vcc", placed.pin("V+"))
        self.supply("vee", placed.pin("V-"))
        self.drawing.unconnected += [placed.pin(terminal) for terminal in opened]
        return 32 if opened else 20

    def unused(self, package: Package, unit: int, at: Spot) -> None:
        """Draw an amplifier that nothing uses, tied as its maker says."""
        body, element = package.bodies[unit], next(iter(package.elements.values()))
        x, y = at
        texts = ((package.reference, -3.6), (package.value, 3.6))
        words = (Words(text, (x + 1.2, y + off), "left") for text, off in texts)
        self.caption("not used", (x + 9, y + 0.5), 1.27)
        placed = Placed(package.symbol, body, unit + 1, element, at, 0, *words)
        self.drawing.placed.append(placed)
        nodes = {"0": "0", "V+": "vcc", "V-": "vee"}
        for terminal, tie in package.component.unused.items():
            end = placed.pin(terminal)
            if tie in nodes:
                beside = end if terminal == "abc" else (end[0] - 2 - 2 * (terminal == "-"), end[1])
                self.wire(end, beside)
                self.supply(nodes[tie], beside)
            elif tie == "open":
                self.drawing.unconnected.append(end)
            elif terminal < tie:  # once, from "-" to "out"
                other = placed.pin(tie)
                self.wire(end, (end[0], y - 6), (other[0], y - 6), other)
