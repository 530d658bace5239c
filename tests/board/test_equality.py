"""The check that a schematic is its netlist, on schematics of labels alone, which nothing of the package draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_board import SYMBOLS, Package, write
from sweeps import random_features

from analog_fhn.board.equality import NETLIST_FOLDER, check_board
from analog_fhn.board.spice_reader import SpiceCircuit, read_netlist
from analog_fhn.design import Design
from analog_fhn.netlist.export import export
from analog_fhn.technology.technology import Technology

pytest.importorskip("kicad_monkey", reason='kicad-monkey is not installed: pip install "analog-fhn[board]"')

_LETTERS = {"resistor": "R", "capacitor": "C", "diode": "D"}


def packages_of(circuit: SpiceCircuit) -> list[Package]:
    """Parts of a netlist in packages; amplifiers of a kind share them two by two."""
    packages: list[Package] = []
    counts: dict[str, int] = {}
    started: dict[str, Package] = {}
    for path, part in circuit.parts.items():
        letter, units = _LETTERS.get(part.kind, "U"), SYMBOLS[part.kind]
        actual = " ".join(f"{name}={number!r}" for name, number in part.numbers.items())
        package, unit = started.pop(part.kind, None), 1
        if package is None:
            counts[letter] = counts.get(letter, 0) + 1
            value = f"{part.numbers['value']:.4g}" if "value" in part.numbers else part.kind
            package, unit = Package(f"{letter}{counts[letter]}", part.kind, value, {"Tolerance": "1 %"}, {}), 0
            packages.append(package)
            if len(units) > 1:
                started[part.kind] = package
        suffix = f"_{'AB'[unit]}" if len(units) > 1 else ""
        package.fields |= {f"Circuit{suffix}": path, f"Actual{suffix}": actual}
        pins = {**units[unit], **units[-1]}
        package.nets |= {pins[terminal]: net.replace(".", "/") for terminal, net in part.terminals.items()}
    for k, node in enumerate(circuit.sources.values(), 1):
        packages.append(Package(f"J{k}", "connector", node, {}, {"1": node, "2": "0"}))
    return packages


@pytest.fixture(scope="module")
def chip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mismatched chip of digits, 64-8-10, and its netlist."""
    folder = tmp_path_factory.mktemp("chip")
    chip = Design(random_features((8, 0.5)), Technology.load("discrete")).chip(1)
    export(chip, np.zeros(64), folder / NETLIST_FOLDER, form="full")
    return folder


@pytest.fixture(scope="module")
def circuit(chip_folder: Path) -> SpiceCircuit:
    return read_netlist(chip_folder / NETLIST_FOLDER)


@pytest.fixture
def check(chip_folder: Path, circuit: SpiceCircuit) -> Callable[[Callable[[dict[str, Package]], None]], list[str]]:
    """What the check says of the whole board after a change of its packages."""

    def changed(change: Callable[[dict[str, Package]], None]) -> list[str]:
        packages = packages_of(circuit)
        change({package.reference: package for package in packages})
        write(packages, chip_folder)
        return [one.sentence for one in check_board(chip_folder)]

    return changed
