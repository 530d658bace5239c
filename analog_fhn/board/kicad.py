"""Drawings as files of KiCad 6, by kiutils: schematics and a library of their symbols."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from analog_fhn._support.extras import extra
from analog_fhn.board import symbols
from analog_fhn.board.artist import SUPPLIES
from analog_fhn.board.drawing import Drawing, Justify, Label, Placed, SheetBox, Words
from analog_fhn.board.stock import PLAIN_SYMBOLS, Package
from analog_fhn.board.symbols import Body, Circle, Pin

GRID = 1.27  # mm
LIBRARY = "analog_fhn"
VERSION = "20211123"  # of the file format of KiCad 6
# Width and height of the papers of KiCad (mm), landscape.
_PAPERS = {
    "A4": (297.0, 210.0),
    "A3": (420.0, 297.0),
    "A2": (594.0, 420.0),
    "A1": (841.0, 594.0),
    "A0": (1189.0, 841.0),
}
_MARGIN = 12.0  # mm, of a paper
_TITLE_WIDTH, _TITLE = 120.0, 34.0  # mm, of its title block
_PIN_ANGLES = {"left": 0, "right": 180, "up": 270, "down": 90}
_LABEL_ANGLES = {"right": 0, "up": 90, "left": 180, "down": 270}


@dataclass(frozen=True)
class Place:
    """A sheet within the project.

    Parameters
    ----------
    project
        Name of the project, of which all identifiers are made.
    key
        Of the sheet; "": the root.
    page
        Number of its page.
    comments
        Lines of its title block.
    """

    project: str
    key: str
    page: int
    comments: tuple[str, ...] = ()

    def identifier(self, *what: object) -> str:
        """An identifier of something on the sheet, always the same."""
        return identifier(self.project, self.key, *what)


def identifier(*what: object) -> str:
    """UUID of a path of names."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(["analog_fhn", *map(str, what)])))


def text(value: str) -> str:
    """Text within quotes: kiutils escapes the quotes alone, and a line break would end the file for KiCad."""
    kept = "".join(letter for letter in value if letter.isprintable() or letter == "\n")
    return kept.replace("\\", "\\\\").replace("\n", "\\n")


def schematic(drawing: Drawing, place: Place, stock: Mapping[str, Package], sheet_path: str) -> tuple[Any, list[Any]]:
    """A sheet as kiutils has it, and what the root has to list of its symbols.

    Parameters
    ----------
    stock
        All packages.
    sheet_path
        Path of identifiers to the sheet, which ends with a slash.

    Raises
    ------
    MissingProgramError
        Without kiutils.
    """
    with extra("board", "schematics need kiutils"):
        from kiutils.items import schitems
        from kiutils.items.common import PageSettings, TitleBlock
        from kiutils.schematic import Schematic

    used = {one.symbol: one for one in drawing.placed}
    sheet = Schematic(version=VERSION, generator=LIBRARY, uuid=place.identifier("sheet"))
    name, width, height = _paper(drawing)
    sheet.paper = PageSettings(name, width, height)
    sheet.titleBlock = TitleBlock(text(drawing.title), comments=dict(enumerate(map(text, place.comments), 1)))
    packages = {
        stock[one.element.reference].symbol: stock[one.element.reference] for one in drawing.placed if one.element
    }
    sheet.libSymbols = [library_symbol(key, packages.get(key), nested=True) for key in sorted(used)]
    for k, (a, b) in enumerate(drawing.segments()):
        points = [_position(*a), _position(*b)]
        sheet.graphicalItems.append(schitems.Connection("wire", points, _stroke(), place.identifier("wire", k)))
    sheet.junctions = [
        schitems.Junction(_position(*at), 0, uuid=place.identifier("junction", *at)) for at in drawing.junctions()
    ]
    sheet.noConnects = [schitems.NoConnect(_position(*at), place.identifier("open", *at)) for at in drawing.unconnected]
    for k, (a, b) in enumerate(drawing.frames):
        corners = [a, (b[0], a[1]), b, (a[0], b[1]), a]
        # A polyline of KiCad 6 has two points.
        for side, ends in enumerate(pairwise(corners)):
            points = [_position(*corner) for corner in ends]
            sheet.graphicalItems.append(schitems.PolyLine(points, _stroke("dash"), place.identifier("frame", k, side)))
    for k, words in enumerate(drawing.words):
        sheet.texts.append(
            schitems.Text(
                text(words.text),
                _position(*words.at, words.angle),
                _effects(words, text=True),
                place.identifier("text", k),
            )
        )
    for label in drawing.labels:
        _add_label(sheet, label, place)
    instances = []
    for k, one in enumerate(drawing.placed):
        symbol, own = _placed(one, place, stock, k)
        sheet.schematicSymbols.append(symbol)
        reference, value = symbol.properties[0].value, symbol.properties[1].value
        instances.append(
            schitems.SymbolInstance(f"{sheet_path}{own}", reference, one.unit, value, symbol.properties[2].value)
        )
    sheet.sheets = [_box(box, place) for box in drawing.boxes]
    return sheet, instances


def _position(x: float, y: float, angle: float | None = None) -> Any:
    from kiutils.items.common import Position

    return Position(_mm(x), _mm(y), angle)


def _mm(steps: float) -> float:
    """Millimetres of grid steps, as short as they can be said."""
    value = round(steps * GRID, 4)
    return int(value) if value == int(value) else value


def _stroke(kind: str = "default") -> Any:
    from kiutils.items.common import ColorRGBA, Stroke

    return Stroke(0, kind, ColorRGBA())


def _effects(words: Words, *, text: bool = False) -> Any:
    """Font and justification; texts of a sheet stand with their lower edge at their place."""
    from kiutils.items.common import Effects, Font, Justify

    size = words.size or 1.27
    horizontal = None if words.justify == "centre" else words.justify
    justify = Justify(horizontal, "bottom" if text else None)
    return Effects(Font(height=size, width=size, bold=words.bold), justify, hide=words.size == 0.0)


def _paper(drawing: Drawing) -> tuple[str, float | None, float | None]:
    """The smallest paper that holds a drawing above the title block."""
    spots = [(x * GRID, y * GRID) for x, y in drawing.corners()]
    for name, (width, height) in _PAPERS.items():
        beside, above = width - _MARGIN - _TITLE_WIDTH, height - _MARGIN - _TITLE
        if all(x <= width - _MARGIN and y <= (height - _MARGIN if x < beside else above) for x, y in spots):
            return name, None, None
    right, low = (max(spot[k] for spot in spots) + _MARGIN for k in range(2))
    return "User", round(right, 2), round(low + _TITLE, 2)


def _add_label(sheet: Any, label: Label, place: Place) -> None:
    from kiutils.items import schitems

    justify: Justify = "right" if label.side in ("left", "down") else "left"
    position = _position(*label.at, _LABEL_ANGLES[label.side])
    own = place.identifier("label", label.text, *label.at)
    if label.sheet_pin is None:
        effects = _effects(Words("", label.at, justify), text=True)
        sheet.labels.append(schitems.LocalLabel(text(label.text), position, effects, own))
        return
    effects = _effects(Words("", label.at, justify))
    sheet.hierarchicalLabels.append(
        schitems.HierarchicalLabel(text(label.text), label.sheet_pin, position, effects, own)
    )


def _placed(one: Placed, place: Place, stock: Mapping[str, Package], number: int) -> tuple[Any, str]:
    """A symbol, and its identifier."""
    from kiutils.items.common import Property
    from kiutils.items.schitems import SchematicSymbol

    package = stock[one.element.reference] if one.element else None
    symbol = SchematicSymbol(position=_position(*one.at, one.angle), unit=one.unit)
    symbol.libraryNickname, symbol.entryName = LIBRARY, one.symbol
    symbol.inBom = symbol.onBoard = package is not None
    own = place.identifier("symbol", number)
    symbol.uuid = own
    numbers = {"1": "1"} if package is None else package.numbers(one.unit - 1)
    symbol.pins = {numbers[terminal]: place.identifier("pin", number, terminal) for terminal in one.body.pins}
    fields = {"Footprint": "", "Datasheet": ""} if package is None else package.fields
    # A field turns with its symbol.
    angle = 90 if one.angle in (90, 270) else 0
    for k, (name, words) in enumerate((("Reference", one.reference), ("Value", one.value))):
        symbol.properties.append(Property(name, text(words.text), k, _position(*words.at, angle), _effects(words)))
    hidden = Words("", one.at, size=0.0)
    for k, (name, value) in enumerate(fields.items(), 2):
        symbol.properties.append(Property(name, text(value), k, _position(*one.at, angle), _effects(hidden)))
    return symbol, own


def _box(box: SheetBox, place: Place) -> Any:
    """The symbol of a sheet."""
    from kiutils.items.common import ColorRGBA, Property
    from kiutils.items.schitems import HierarchicalPin, HierarchicalSheet

    sheet = HierarchicalSheet(_position(*box.at), _mm(box.size[0]), _mm(box.size[1]))
    sheet.stroke, sheet.fill = _stroke("solid"), ColorRGBA()
    sheet.uuid = sheet_identifier(place.project, box.key)
    x, y = box.at
    above, below = Words("", (x, y - 0.6), "left"), Words("", (x, y + box.size[1] + 0.6), "left")
    sheet.sheetName = Property("Sheet name", text(box.title), 0, _position(*above.at, 0), _effects(above, text=True))
    effects = _effects(below)
    effects.justify.vertically = "top"
    sheet.fileName = Property("Sheet file", f"{box.key}.kicad_sch", 1, _position(*below.at, 0), effects)
    for pin in box.pins:
        words = Words("", pin.at, "left" if pin.side == "left" else "right")
        position = _position(*pin.at, 180 if pin.side == "left" else 0)
        sheet.pins.append(
            HierarchicalPin(
                text(pin.name), pin.flow, position, _effects(words), place.identifier("sheet pin", box.key, pin.name)
            )
        )
    return sheet


def sheet_identifier(project: str, key: str) -> str:
    """Identifier of a sheet's symbol on the root."""
    return identifier(project, "", "sheet symbol", key)


def library_symbol(name: str, package: Package | None, *, nested: bool) -> Any:
    """A symbol of the library; nested ones, within a schematic, name their library.

    Parameters
    ----------
    package
        One of those that it stands for; None: a supply.
    """
    from kiutils.symbol import Symbol

    if package is None:
        body = symbols.FLAG if name == "PWR_FLAG" else next(body for key, body in SUPPLIES.values() if key == name)
        bodies: Iterable[Body] = (body,)
    else:
        bodies = package.bodies
    prefix = "#PWR" if package is None else package.reference.rstrip("0123456789")
    prefix = "#FLG" if name == "PWR_FLAG" else prefix
    symbol = Symbol.create_new(f"{LIBRARY}:{name}" if nested else name, prefix, name)
    symbol.isPower = package is None and name != "PWR_FLAG"
    symbol.inBom = symbol.onBoard = package is not None
    many = package is not None and package.symbol not in PLAIN_SYMBOLS
    symbol.hidePinNumbers = not many
    symbol.pinNames, symbol.pinNamesHide, symbol.pinNamesOffset = True, not many, 0.5
    for unit, body in enumerate(bodies):
        child = Symbol(entryName=name, unitId=unit + 1, styleId=1)
        numbers = {"1": "1"} if package is None else package.numbers(unit)
        child.graphicItems = [_graphic(item) for item in body.graphics]
        # A supply's net is called what its pin is called.
        names = {} if package is not None else {"1": name}
        child.pins = [_pin(pin, numbers[t], names.get(t, pin.name)) for t, pin in body.pins.items()]
        symbol.units.append(child)
    return symbol


def _pin(pin: Pin, number: str, name: str) -> Any:
    from kiutils.symbol import SymbolPin

    words = Words("", (0.0, 0.0))
    return SymbolPin(
        pin.kind, "line", _up(*pin.at, _PIN_ANGLES[pin.side]), _mm(pin.length), text(name) or "~",
        _effects(words), number, _effects(words), pin.kind == "power_in" and pin.length == 0.0,
    )  # fmt: skip


def _graphic(item: symbols.Line | Circle) -> Any:
    from kiutils.items.common import Fill, Stroke
    from kiutils.items.syitems import SyCircle, SyPolyLine

    stroke, fill = Stroke(0.254, "default"), Fill(item.filled)
    if isinstance(item, Circle):
        return SyCircle(center=_up(*item.centre), radius=_mm(item.radius), stroke=stroke, fill=fill)
    return SyPolyLine([_up(*point) for point in item.points], stroke, fill)


def _up(x: float, y: float, angle: float | None = None) -> Any:
    """A place within a symbol, where y points up."""
    return _position(x, -y if y else 0, angle)


def library(stock: Mapping[str, Package | None]) -> str:
    """Text of the library of symbols."""
    from kiutils.symbol import SymbolLib

    symbols = [library_symbol(name, package, nested=False) for name, package in sorted(stock.items())]
    return str(SymbolLib("20211014", LIBRARY, symbols).to_sexpr())


def list_instances(root: Any, pages: Sequence[tuple[str, str]], instances: Sequence[Any]) -> None:
    """Tell the root of all pages, and of all symbols by their path."""
    from kiutils.items.schitems import HierarchicalSheetInstance

    root.sheetInstances = [HierarchicalSheetInstance(path, page) for path, page in pages]
    root.symbolInstances = list(instances)
