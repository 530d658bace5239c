"""A board as a project of KiCad 6."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from analog_fhn.board import kicad
from analog_fhn.board.cell_sheet import draw_cell
from analog_fhn.board.circuit import BoardCircuit
from analog_fhn.board.drawing import Drawing, Words
from analog_fhn.board.elements import Element, Sheet
from analog_fhn.board.root_sheet import draw_root
from analog_fhn.board.signal_sheets import draw_array, draw_connectors, draw_sense, draw_supplies
from analog_fhn.board.stock import Package, packages

_DRAWN = {
    "cell": draw_cell, "array": draw_array, "sense": draw_sense, "connectors": draw_connectors,
    "supplies": draw_supplies,
}  # fmt: skip


def project_texts(circuit: BoardCircuit, name: str) -> dict[str, str]:
    """Text by file name of a board's schematic: project, sheets, and the library of their symbols.

    Parameters
    ----------
    name
        Of the project; the files of project and first sheet are called so.

    Raises
    ------
    MissingProgramError
        Without kiutils.
    InputError
        If the catalogue of parts has none for an element.
    """
    stock = packages(circuit)
    drawn = drawings(circuit, stock)
    texts, instances, pages = {}, [], [("/", "1")]
    for page, (key, drawing) in enumerate(drawn.items(), 1):
        place = kicad.Place(name, key, page, _comments(circuit))
        inside = "/" if not key else f"/{kicad.sheet_identifier(name, key)}/"
        sheet, own = kicad.schematic(drawing, place, stock, inside)
        instances += own
        if key:
            pages.append((inside.rstrip("/"), str(page)))
            texts[f"{key}.kicad_sch"] = sheet.to_sexpr()
        else:
            first = sheet
    kicad.list_instances(first, pages, instances)
    symbols: dict[str, Package | None] = {
        one.symbol: None for drawing in drawn.values() for one in drawing.placed if not one.element
    }
    symbols |= {package.symbol: package for package in stock.values()}
    return {
        f"{name}.kicad_pro": _settings(name, pages),
        f"{name}.kicad_sch": first.to_sexpr(),
        **texts,
        f"{kicad.LIBRARY}.kicad_sym": kicad.library(symbols),
        "sym-lib-table": (
            f'(sym_lib_table\n  (lib (name "{kicad.LIBRARY}")(type "KiCad")'
            f'(uri "${{KIPRJMOD}}/{kicad.LIBRARY}.kicad_sym")(options "")(descr "Symbols of this project"))\n)\n'
        ),
    }


def drawings(circuit: BoardCircuit, stock: Mapping[str, Package]) -> dict[str, Drawing]:
    """All sheets by their keys, the root first, under the key ""."""
    drawn = {sheet.key: _draw(sheet, circuit, stock) for sheet in circuit.sheets}
    return {"": draw_root(circuit, drawn), **drawn}


def _draw(sheet: Sheet, circuit: BoardCircuit, stock: Mapping[str, Package]) -> Drawing:
    elements: Sequence[Element] = circuit.on(sheet.key)
    drawing = _DRAWN[sheet.kind](sheet, elements, stock, circuit.block)
    low = max(y for _, y in drawing.corners())
    drawing.words += [Words(line, (16, low + 8 + 3 * k), "left", 1.5) for k, line in enumerate(sheet.notes)]
    return drawing


def _comments(circuit: BoardCircuit) -> tuple[str, ...]:
    """Lines of the title blocks."""
    chip = circuit.chip
    made = "nominal chip" if chip.seed is None else f"chip {chip.seed}"
    what = f"network {chip.network.sizes_text}"
    if circuit.cells is not None:
        what = f"{circuit.cells} cells of a {what}"
    return f"{what}, technology {chip.technology.name}, {made}", "Values are nominal; fields 'Actual' are this chip's"


def _settings(name: str, pages: Sequence[tuple[str, str]]) -> str:
    """Text of the project's settings."""
    settings = {
        "meta": {"filename": f"{name}.kicad_pro", "version": 1},
        "schematic": {"legacy_lib_dir": "", "legacy_lib_list": []},
        "sheets": [[path.rpartition("/")[2], page] for path, page in pages],
        "text_variables": {},
    }
    return json.dumps(settings, indent=2) + "\n"
