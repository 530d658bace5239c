"""A chip as a folder of files: neuron netlists, conductance tables, manifest."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.netlist import LIBRARIES, write_neuron_netlists
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray


def write_chip(chip: Chip, drives: FloatArray, folder: Path, notes: dict[str, Any]) -> list[str]:
    """Write a chip's neuron netlists, conductance tables and manifest.

    Parameters
    ----------
    chip
        With a technology.
    drives
        Shape (n_neurons,), the drive that each neuron's netlist is given.
    folder
        Existing folder.
    notes
        Anything JSON can hold, added to the manifest.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.
    """
    if chip.technology is None or chip.scales is None or chip.arrays is None:
        raise InputError("an export needs a chip with a technology")
    decks = write_neuron_netlists(chip, drives, chip.network.protocol, folder)
    names = [*LIBRARIES, *(path.name for path in decks)]
    for layer, crossbar in enumerate(array.crossbar for array in chip.arrays):
        path = folder / f"conductances_{layer}.csv"
        names.append(path.name)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "column", "g_plus_siemens", "g_minus_siemens"])
            rows, columns = crossbar.g_plus.shape
            for i in range(rows):
                bias = i >= crossbar.n_in
                for j in range(columns):
                    plus, minus = float(crossbar.g_plus[i, j]), float(crossbar.g_minus[i, j])
                    writer.writerow(["bias" if bias else i, j, repr(plus), repr(minus)])
    manifest = {
        "format": 1,
        "chip_seed": chip.seed,
        "technology": chip.technology.model_dump(),
        "scales": asdict(chip.scales),
        "siemens_per_weight": [array.crossbar.siemens_per_weight for array in chip.arrays],
        "fhn": asdict(chip.network.fhn),
        "protocol": asdict(chip.network.protocol),
        "drives": [float(d) for d in drives],
        "weights_sha256": chip.network.sha256,
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | notes, indent=2) + "\n", encoding="utf-8")
    return [*names, "manifest.json"]
