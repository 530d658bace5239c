"""Sheets of arrays, of their sense amplifiers, of connectors and supplies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from analog_fhn.board.artist import Artist
from analog_fhn.board.drawing import Drawing, Spot
from analog_fhn.board.elements import Element, Sheet
from analog_fhn.board.stock import Package

# Distances of two rows and of two bit lines of an array.
_ROW, _BIT_LINE = 10, 14


def draw_array(sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> Drawing:
    """Devices of an array as a grid: rows come from the left, bit lines leave below, a resistor at each crossing.

    Parameters
    ----------
    elements
        On this sheet.
    stock, block
        See `Artist`.
    """
    artist = Artist(sheet, stock, block)
    rows = list(dict.fromkeys(element.terminals["1"] for element in elements))
    columns = list(dict.fromkeys(element.terminals["2"] for element in elements))
    across = {node: 34 + _BIT_LINE * k for k, node in enumerate(sorted(columns, key=_place(elements, "2")))}
    down = {node: 24 + _ROW * k for k, node in enumerate(sorted(rows, key=_place(elements, "1")))}
    low = max(down.values()) + _ROW
    last: dict[str, int] = {}
    for element in elements:
        x, y = across[element.terminals["2"]], down[element.terminals["1"]]
        placed = artist.passive(element, (x - 6, y + 5), "left")
        artist.wire((x - 10, y), (x - 10, y + 5), placed.pin("1"))
        artist.wire(placed.pin("2"), (x, y + 5))
        last[element.terminals["1"]] = max(x - 10, last.get(element.terminals["1"], 0))
    for node, y in down.items():
        artist.wire((18, y), (last[node], y))
        artist.port(node, (18, y), "left", "input")
    for node, x in across.items():
        tops = [down[e.terminals["1"]] for e in elements if e.terminals["2"] == node]
        artist.wire((x, min(tops) + 5), (x, low))
        artist.port(node, (x, low), "down", "output")
    return artist.drawing


def _place(elements: Sequence[Element], terminal: str) -> Callable[[str], int]:
    order = {element.terminals[terminal]: element.path.split("_")[int(terminal)] for element in elements}
    return lambda node: int(order[node])


def draw_sense(sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> Drawing:
    """Transimpedance amplifiers of an array in two columns; arguments as those of `draw_array`."""
    artist = Artist(sheet, stock, block)
    stages: dict[str, list[Element]] = {}
    stage = ""
    for element in elements:
        stage = element.path.partition(".")[0] or stage
        stages.setdefault(stage, []).append(element)
    nulled = any(element.kind == "jumper" for element in elements)
    each = 54 if nulled else 40
    for k, parts in enumerate(stages.values()):
        _Stage(artist, parts, (12 + 154 * (k % 2), 12 + each * (k // 2))).draw(nulled)
    return artist.drawing


class _Stage:
    """Draws one transimpedance amplifier from a corner to the right and below."""

    def __init__(self, artist: Artist, elements: Sequence[Element], corner: Spot) -> None:
        self.artist, self.corner = artist, corner
        self.parts = {element.path.partition(".")[2] or element.kind: element for element in elements}
        self.parts |= {element.name: element for element in elements if not element.path}
        self.capacitors = [element for element in elements if element.kind == "decoupling"]

    def at(self, x: int, y: int) -> Spot:
        """A spot on the sheet."""
        return self.corner[0] + x, self.corner[1] + y

    def draw(self, nulled: bool) -> None:
        """Both amplifiers, the supplies of their package, and the null if there is one."""
        artist, parts = self.artist, self.parts
        plus, out = parts["rf"].terminals["2"], parts["rb"].terminals["1"]
        artist.frame(self.at(0, 0), self.at(148, 52 if nulled else 38), f"{plus}, {parts['rb'].terminals['2']}: {out}")
        node, half = artist.inverting(parts["xu1"], self.at(34, 20))
        artist.feedback(parts["rf"], node, half, 12)
        artist.port(plus, self.at(13, 18), "left", "input")
        artist.wire(self.at(13, 18), node)
        between = artist.passive(parts["ra"], self.at(54, 20), "left")
        artist.wire(half, between.pin("1"))
        if nulled:
            second = artist.amplifier(parts["xu2"], self.at(76, 22))
            summing, end = self.at(66, 20), self.at(86, 22)
            artist.wire(summing, second.pin("-"))
            artist.wire(second.pin("out"), end)
            self.null(second.pin("+"))
        else:
            summing, end = artist.inverting(parts["xu2"], self.at(76, 22))
        artist.wire(between.pin("2"), summing)
        artist.feedback(parts["rb"], summing, end, 12)
        artist.port(parts["rb"].terminals["2"], self.at(13, 29), "left", "input")
        artist.wire(self.at(13, 29), self.at(66, 29), summing)
        artist.wire(end, self.at(94, 22))
        artist.port(out, self.at(94, 22), "right", "output")
        package = artist.stock[parts["xu1"].reference]
        artist.supplies_of(package, self.capacitors, self.at(112, 20))

    def null(self, plus: Spot) -> None:
        """A jumper puts the second amplifier's other input to ground, or to a divided trimmer."""
        artist, parts = self.artist, self.parts
        jumper = artist.put(parts["jumper"], self.at(62, 43), 0, (2.8, 3.0), None, "left")
        artist.wire(plus, (self.at(68, 0)[0], plus[1]), self.at(68, 43), jumper.pin("2"))
        artist.ground(jumper.pin("1"))
        trimmer = artist.put(parts["potentiometer"], self.at(24, 38), 0, (-1.6, -1.1), (-1.6, 1.1), "right")
        artist.supply("vcc", trimmer.pin("1"))
        artist.supply("vee", trimmer.pin("3"))
        series, shunt = (
            artist.passive(parts["Rn1"], self.at(36, 38), "left"),
            artist.passive(parts["Rn2"], self.at(46, 43), "up"),
        )
        artist.wire(trimmer.pin("2"), series.pin("1"))
        artist.wire(series.pin("2"), self.at(46, 38), shunt.pin("1"))
        artist.ground(shunt.pin("2"))
        artist.wire(self.at(46, 38), jumper.pin("3"))


def draw_connectors(sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> Drawing:
    """Connectors side by side; arguments as those of `draw_array`."""
    artist = Artist(sheet, stock, block)
    each = 2 * max(len(element.terminals) for element in elements) + 14
    for k, element in enumerate(elements):
        x, y = 44 + 48 * (k % 6), 24 + each * (k // 6)
        placed = artist.put(element, (x, y), 0, (0.0, -4.8), (0.0, -2.8))
        grounds = []
        for terminal, node in element.terminals.items():
            end = placed.pin(terminal)
            if node == "0":
                grounds.append(end)
                continue
            artist.wire((x - 12, end[1]), end)
            artist.port(node, (x - 12, end[1]), "left", "output" if element.name == "inputs" else "input")
        for end in grounds:
            artist.wire(end, (x - 8, end[1]))
        artist.ground((x - 8, grounds[0][1]), (x - 8, grounds[-1][1] + 2))
    return artist.drawing


def draw_supplies(sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> Drawing:
    """Connectors of supplies, then each of these with its test point and capacitor; arguments as of `draw_array`."""
    artist = Artist(sheet, stock, block)
    for element in elements:
        if element.kind == "connector":
            _supply_connector(artist, element, (60 if element.name == "supply" else 120, 40))
    capacitors = {element.name: element for element in elements if element.kind == "decoupling"}
    points = [element for element in elements if element.kind == "test_point"]
    for k, element in enumerate(points):
        node, x, y = element.terminals["1"], 24 + 42 * k, 84
        artist.wire((x, y), (x + 18, y))
        artist.supply(node, (x, y))
        artist.test_point(element, (x + 6, y))
        artist.flag((x + 18, y))
        if element.name in capacitors:
            capacitor = capacitors[element.name]
            placed = artist.passive(capacitor, (x + 28, y + 5), "up" if capacitor.terminals["1"] == node else "down")
            upper, lower = sorted((placed.pin("1"), placed.pin("2")), key=lambda spot: spot[1])
            artist.wire((x + 18, y), (x + 28, y), upper)
            artist.ground(lower)
    return artist.drawing


def _supply_connector(artist: Artist, element: Element, at: Spot) -> None:
    """A connector whose pins go to supplies, the first one above, the others below, none across another."""
    placed = artist.put(element, at, 0, (0.0, -4.8), (0.0, -2.8))
    x, y = at
    for k, node in enumerate(element.terminals.values()):
        end = placed.pin(str(k + 1))
        if node in ("vcc", "vplus"):
            artist.wire(end, (x - 12, end[1]), (x - 12, y - 3))
            artist.supply(node, (x - 12, y - 3))
            continue
        reach = x - 8 - 6 * (len(element.terminals) - 1 - k)
        artist.wire(end, (reach, end[1]), (reach, end[1] + 2))
        artist.supply(node, (reach, end[1] + 2))
