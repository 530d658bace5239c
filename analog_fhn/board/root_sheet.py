"""The first sheet of a board: a box for each of the others, from its inputs at the left to its outputs at the right."""

from __future__ import annotations

from collections.abc import Mapping

from analog_fhn.board.circuit import BoardCircuit
from analog_fhn.board.drawing import Drawing, Label, SheetBox, SheetPin, Words
from analog_fhn.board.elements import Sheet
from analog_fhn.netlist.decks import cell_suffix

# Grid steps: distance of pins, length of the wires at them, room for their labels.
_PITCH, _STUB, _ROOM = 2, 3, 9
_LEFT, _RIGHT = 24, 306


def draw_root(circuit: BoardCircuit, drawings: Mapping[str, Drawing]) -> Drawing:
    """Draw the root of a board whose other sheets are drawn; pins of one name are one net."""
    what = "the whole network" if circuit.cells is None else f"{circuit.cells} cells"
    root = Drawing(f"FitzHugh-Nagumo neurons: {what}")
    x, top, low = _LEFT, 30, 0
    for column in _columns(circuit.sheets):
        width = max(_box(sheet, drawings[sheet.key], (0, 0)).size[0] for sheet in column)
        if x + width > _RIGHT:  # like a line of text
            x, top = _LEFT, low + 16
        y = top
        for sheet in column:
            box = _box(sheet, drawings[sheet.key], (x, y))
            root.boxes.append(box)
            for pin in box.pins:
                way = -1 if pin.side == "left" else 1
                end = (pin.at[0] + way * _STUB, pin.at[1])
                root.wire(pin.at, end)
                root.labels.append(Label(pin.net, end, pin.side))
            y += box.size[1] + 8
        low = max(low, y)
        x += width + 2 * (_STUB + _ROOM)
    root.words.append(Words(root.title, (16, 16), "left", 3.0, bold=True))
    return root


def _columns(sheets: tuple[Sheet, ...]) -> list[list[Sheet]]:
    """Sheets in columns, in the order of the signal."""
    columns = [[sheet for sheet in sheets if sheet.kind in ("connectors", "supplies")]]
    last = max(sheet.layer for sheet in sheets)
    for layer in range(last + 1):
        for kind in ("array", "sense", "cell"):
            columns.append([sheet for sheet in sheets if sheet.kind == kind and sheet.layer == layer])
    return [column for column in columns if column]


def _box(sheet: Sheet, drawing: Drawing, at: tuple[int, int]) -> SheetBox:
    """A sheet's symbol; what leaves the sheet is at its right, of connectors what leaves the board at their left."""
    ports = {label.text: label.sheet_pin for label in drawing.labels if label.sheet_pin is not None}
    left = [name for name, flow in ports.items() if flow == "input"]
    right = [name for name, flow in ports.items() if flow != "input"]
    longest = max((len(name) for name in ports), default=0)
    size = (max(18, 2 * longest + 6), max(8, _PITCH * max(len(left), len(right)) + 4))
    x, y = at
    suffix = cell_suffix(sheet.layer, sheet.items.start) if sheet.kind == "cell" else ""

    def net(name: str) -> str:
        """Name above: cells call theirs alike."""
        return f"{name}{suffix}"

    pins = [SheetPin(name, net(name), (x, y + 3 + _PITCH * k), "left", "input") for k, name in enumerate(left)]
    pins += [
        SheetPin(name, net(name), (x + size[0], y + 3 + _PITCH * k), "right", "output") for k, name in enumerate(right)
    ]
    return SheetBox(sheet.key, sheet.title, at, size, tuple(pins))
