"""A board as a folder of files: a project of KiCad 6, the netlist of the same circuit, what to order, a manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.hashing import sha256
from analog_fhn.board.catalogue import catalogue
from analog_fhn.board.circuit import BoardCircuit, board_circuit
from analog_fhn.board.order import ArrayParts, order_texts, remarks
from analog_fhn.board.project import project_texts
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError, shown
from analog_fhn.netlist.cells_alone import ROWS, cells_alone
from analog_fhn.netlist.chip_lines import SCORES
from analog_fhn.netlist.decks import chip_libraries
from analog_fhn.netlist.export import NETLISTS, chip_facts, read_manifest, write_export
from analog_fhn.netlist.whole_chip import whole_chip

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


def export_kicad(
    chip: Chip,
    folder: str | Path,
    notes: dict[str, Any] | None = None,
    *,
    cells: int | None = None,
    inputs: NDArray[np.floating] | None = None,
    recentre: bool | None = None,
    name: str = "board",
    array: ArrayParts = "resistors",
) -> list[str]:
    """Write the schematic of a chip's board, or of its first cells alone, as a project of KiCad 6.

    Beside it are `netlist/`, the full form of the exported netlist, which is the same circuit, `bom.csv`, what to
    order (and `codes.csv`, the codes of digital potentiometers), and a manifest, which also has what a buyer should
    know. The same chip gives the same files.

    Parameters
    ----------
    chip
        With a technology of a board.
    folder
        Created if it does not exist.
    notes
        Anything JSON can hold, added to the manifest; None: nothing.
    cells
        So many cells of the first hidden layer, without arrays; None: the whole network.
    inputs
        The image at the rows of the input array in the netlist, shape (n_in,); None: all are 0. Cells alone have 0 V
        at their inputs.
    recentre
        Whether the rows of the output array carry the activation, or x itself; None: as the network says.
    name
        Of the project: letters, digits, "_" and "-".
    array
        What the devices of arrays are ordered as, see `analog_fhn.board.order.order`; the schematic draws resistors.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.

    Raises
    ------
    InputError
        If no board can be drawn of the chip (see `analog_fhn.board.circuit.board_circuit`), the name is none, or a
        schematic in the folder was changed since it was written.
    InputError, RunError
        If a file cannot be written; then none is, and what was in the folder stays.
    MissingProgramError
        Without kiutils.
    """
    folder = Path(folder)
    circuit = board_circuit(chip, cells, recentre=recentre)
    if not _NAME.fullmatch(name) or name in {sheet.key for sheet in circuit.sheets}:
        raise InputError(
            f"name {shown(name)} of a project: expected up to 60 letters, digits, '_' or '-', and none of its sheets"
        )
    bought, lists = order_texts(circuit, array=array)
    texts = project_texts(circuit, name) | lists
    contents = {file: text.encode("utf-8") for file, text in texts.items()}
    contents |= {f"{NETLISTS}/{file}": content for file, content in _netlists(circuit, inputs).items()}
    _check_unchanged(folder, contents)
    facts = {
        "form": "kicad",
        "project": name,
        "cells": cells,
        "run": f"cd {NETLISTS} && ngspice -b run.cir",
        "writes": f"{NETLISTS}/{SCORES if cells is None else ROWS}",
        "inputs": None if inputs is None else [float(value) for value in inputs],
        "recentre": circuit.recentre,
        "order": {
            "array": array, "price": round(bought.total, 2), "currency": catalogue().prices.currency,
            "remarks": remarks(circuit, bought),
        },
    }  # fmt: skip
    return write_export(folder, contents, chip_facts(circuit.chip, contents, ()) | facts | (notes or {}))


def project_name(text: str) -> str:
    """A name that a project can have, as near to a text as can be."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:50].strip("_") or "board"
    # Sheets are called cell_000, array_0_000_000, sense_0_000, connectors, supplies.
    taken = name.startswith(("cell_", "array_", "sense_")) or name in ("connectors", "supplies")
    return f"board_{name}" if taken else name


def _netlists(circuit: BoardCircuit, inputs: NDArray[np.floating] | None) -> dict[str, bytes]:
    """Files of the netlist of the same circuit."""
    chip = circuit.chip
    if circuit.cells is not None:
        texts = cells_alone(chip, circuit.cells, circuit.recentre)
        cell = chip.hardware[0].cells.cell
        files = {file: cell.library(file).encode("ascii") for file in cell.libraries}
    else:
        image = np.zeros(chip.network.n_inputs) if inputs is None else inputs
        texts = whole_chip(chip, image, recentre=circuit.recentre)
        files = chip_libraries(chip)
    return files | {file: text.encode("utf-8") for file, text in texts.items()}


def _check_unchanged(folder: Path, contents: dict[str, bytes]) -> None:
    """Refuse to write over schematics that somebody has worked on."""
    hashes = read_manifest(folder).get("sha256", {})
    for file in contents:
        path = folder / file
        if not file.endswith((".kicad_sch", ".kicad_pro")) or not path.is_file():
            continue
        if not isinstance(hashes, dict) or hashes.get(file) != sha256(path.read_bytes()):
            raise InputError(
                f"{path}: was changed since it was written, or is another project's; expected a new folder"
            )
