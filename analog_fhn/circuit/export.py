"""A chip as a folder of files: netlists, conductance tables, bill of materials, manifest."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analog_fhn.circuit.bom import bill, write_bill
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.chip_netlist import SCORES, estimated_seconds, folded_chip, tiles, whole_chip
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.netlist import LIBRARIES, copy_libraries, write_neuron_netlists
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

Form = Literal["full", "reduced"]
# Beyond this the reduced form is the default.
LONGEST_RUN = 600.0  # s


def write_network(
    chip: Chip,
    inputs: NDArray[np.floating],
    folder: Path,
    notes: dict[str, Any],
    *,
    form: Form | None = None,
    recentre: bool | None = None,
) -> list[str]:
    """Write netlists of a whole chip under one image, conductance tables, bill of materials and manifest.

    `ngspice -b run.cir` in the folder writes `scores.txt`, one line per class: its index and its score in the units of
    the trained weights, averaged over the control window. `analog_fhn.backends.spice.run_exported` does the same.

    Parameters
    ----------
    chip
        With a technology.
    inputs
        The image, shape (n_in,), scaled as in training.
    folder
        Created if it does not exist.
    notes
        Anything JSON can hold, added to the manifest.
    form
        "full": every component in one circuit; "reduced": cell by cell, arrays folded into what their amplifiers see
        (see `analog_fhn.circuit.chip_netlist`). None: full, if it would run in `LONGEST_RUN` or less.
    recentre
        Whether the rows of the output array carry the activation, or x itself; None: as the network says.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.

    Raises
    ------
    InputError
        If the chip has no components, or its initial state lies beyond the linear range of the parts.
    OSError
        If a file cannot be written.
    """
    design = _design(chip)
    recentre = chip.network.recentre if recentre is None else recentre
    if form is None:
        form = "full" if estimated_seconds(chip, full=True) <= LONGEST_RUN else "reduced"
    make = whole_chip if form == "full" else folded_chip
    texts = make(chip, inputs, recentre=recentre)
    names = [*copy_libraries(folder), *texts]
    (folder / SCORES).unlink(missing_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")
    facts = {
        "form": form,
        "run": "ngspice -b run.cir",
        "writes": SCORES,
        "scores": "time averages over the control window, before any converter, in the units of the trained weights",
        "inputs": [float(value) for value in inputs],
        "recentre": recentre,
    }
    return _finish(chip, design, folder, names, facts | notes, recentre)


def write_chip(chip: Chip, drives: FloatArray, folder: Path, notes: dict[str, Any]) -> list[str]:
    """Write one netlist per neuron, conductance tables, bill of materials and manifest.

    Parameters
    ----------
    chip
        With a technology.
    drives
        Shape (n_neurons,), the drive that each neuron's netlist is given.
    folder
        Created if it does not exist.
    notes
        Anything JSON can hold, added to the manifest.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.

    Raises
    ------
    InputError
        If the chip has no components, or its initial state lies beyond the linear range of the parts.
    OSError
        If a file cannot be written.
    """
    design = _design(chip)
    decks = write_neuron_netlists(chip, drives, chip.network.protocol, folder)
    (folder / SCORES).unlink(missing_ok=True)
    names = [*LIBRARIES, *(path.name for path in decks)]
    facts = {"form": "neurons", "run": "ngspice -b neuron_000.cir", "drives": [float(d) for d in drives]}
    return _finish(chip, design, folder, names, facts | notes, chip.network.recentre)


def _design(chip: Chip) -> Design:
    """The design that the chip is a sample of."""
    if chip.technology is None or chip.scales is None or chip.arrays is None:
        raise InputError("an export needs a chip with a technology")
    return Design(chip.network, chip.technology)


def _finish(
    chip: Chip, design: Design, folder: Path, names: list[str], facts: dict[str, Any], recentre: bool
) -> list[str]:
    assert chip.technology is not None
    assert chip.scales is not None
    assert chip.arrays is not None
    for layer in range(len(chip.arrays)):
        names += write_conductances(chip, layer, folder)
    write_bill(bill(design, recentre=recentre), folder / "bom.csv")
    names.append("bom.csv")
    manifest = {
        "format": 2,
        "chip_seed": chip.seed,
        "technology": chip.technology.model_dump(),
        "scales": asdict(chip.scales),
        "siemens_per_weight": [array.crossbar.siemens_per_weight for array in chip.arrays],
        "fhn": asdict(chip.network.fhn),
        "protocol": asdict(chip.network.protocol),
        "weights_sha256": chip.network.sha256,
        "sha256": {name: _sha256(folder / name) for name in names},
    }
    _remove_earlier(folder, names)
    (folder / "manifest.json").write_text(json.dumps(manifest | facts, indent=2) + "\n", encoding="utf-8")
    return [*names, "manifest.json"]


def _remove_earlier(folder: Path, names: list[str]) -> None:
    """Remove what only the export before has written here: by its manifest, and if nobody has changed it since."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        # Manifests of other programs may list hashes, too.
        earlier = dict(manifest["sha256"]) if {"format", "form", "weights_sha256"} <= manifest.keys() else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for name, digest in earlier.items():
        path = folder / name
        if path.name == name not in names and path.is_file() and _sha256(path) == digest:
            path.unlink()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_conductances(chip: Chip, layer: int, folder: Path) -> list[str]:
    """Write one table per tile of an array, one line per device, and return the files' names."""
    assert chip.arrays is not None
    made = chip.arrays[layer].crossbar
    target, conductance = chip.arrays[layer].target.conductance, made.conductance
    parts = tiles(chip, layer)
    names = []
    for rows, bit_lines in parts:
        tile = "" if len(parts) == 1 else f"_row_{rows.start}_bit_line_{bit_lines.start}"
        names.append(f"conductances_{layer}{tile}.csv")
        with (folder / names[-1]).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "bit_line", "input", "output", "sign", "target_siemens", "made_siemens"])
            for i in rows:
                for j in bit_lines:
                    writer.writerow(
                        [
                            i, j, "bias" if i >= made.n_in else i, j // 2, "-" if j % 2 else "+",
                            repr(float(target[i, j])), repr(float(conductance[i, j])),
                        ]
                    )  # fmt: skip
    return names
