"""Boards as they are exported, held against their netlists: equal as they are, and what is changed is found."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from small_boards import KINDS, small_chip
from sweeps import random_features

from analog_fhn.board.catalogue import named
from analog_fhn.board.equality import check_board
from analog_fhn.board.export import export_kicad
from analog_fhn.board.spice_reader import read_netlist
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.netlist.export import NETLISTS
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.codes import RowCodes, TrimCodes

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
for package in ("kicad_monkey", "kiutils"):
    pytest.importorskip(package, reason=f'{package} is not installed: pip install "analog-fhn[board]"')


@pytest.fixture(scope="module")
def design() -> Design:
    """Digits, 64-8-10."""
    return Design(random_features((8, 0.5)), Technology.load("discrete"))


def trimmed(design: Design) -> ManufacturedChip:
    """A mismatched chip whose row drivers and offset nulls have codes."""
    bench = SimulatedBench(design, 2)
    codes = np.array([100, -100, 60, 0, 3, -3, 127, -128])
    bench.set_codes(
        replace(TrimCodes.none(design.network).with_rows(0, RowCodes(codes, codes[::-1])), output=np.arange(-5, 5))
    )
    return bench.state.chip(design)


def check_equal(chip: ManufacturedChip, cells: int | None, folder: Path) -> None:
    export_kicad(chip, folder, cells=cells)
    assert list(check_board(folder)) == []
    kinds = [part.kind for part in read_netlist(folder / NETLISTS).parts.values()]
    # An output of an array has two amplifiers, a cell four and half a package of transconductance amplifiers, or six.
    n_sense = 0 if cells else sum(len(array.sense) for array in chip.arrays)
    n_cells = cells or sum(len(layer.cells) for layer in chip.hardware)
    expected = (6, 0) if chip.network.hidden_layers[0].unit == "relu" else (4, 1)
    assert (kinds.count("opamp"), kinds.count("ota")) == (expected[0] * n_cells + 2 * n_sense, expected[1] * n_cells)


@pytest.mark.parametrize("cells", [4, None])
def test_the_digits_demonstrator_is_its_netlist(cells: int | None, design: Design, tmp_path: Path) -> None:
    check_equal(trimmed(design), cells, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_every_kind_are_their_netlists(kind: str, tmp_path: Path) -> None:
    check_equal(small_chip(kind), None, tmp_path)


@pytest.fixture(scope="module")
def one_cell(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    export_kicad(design.chip(1), folder, cells=1, name="one")
    return folder


def wire_at_pin(text: str) -> str:
    """Without the first wire of the sheet."""
    return re.sub(r"\n  \(wire .*?\n  \)", "", text, count=1, flags=re.DOTALL)


def swapped_pins(text: str) -> str:
    """Pins 2 and 3 of the operational amplifiers with each other's numbers: wires then lead to the wrong ones."""
    symbol = re.compile(r'\(symbol "analog_fhn:TL082CP".*?\n    \)\n', re.DOTALL)
    swap = {"2": "3", "3": "2"}
    return symbol.sub(lambda one: re.sub(r'\(number "([23])"', lambda n: f'(number "{swap[n[1]]}"', one[0]), text)


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "a value": (
        lambda text: text.replace('"Value" "100k"', '"Value" "47k"', 1),
        r"R\d+ \(xneuron_000\.r4\): a part of 47k and 1 % is not 1\d+, as the netlist has it",
    ),
    "what this chip has": (
        lambda text: re.sub(r'("Actual_A" "vos=)', r"\g<1>1", text, count=1),
        r"U\d+A \(x\w+\.xu\d?\): vos is 1.*, in the netlist .*",
    ),
    "a wire": (wire_at_pin, r".*: on net .*, cut off from .*, node .* of the netlist"),
    "pins": (swapped_pins, r"U\d+A \(xneuron_000\.xu1\): its symbol has \+ at pin 2, and TL082CP has it at pin 3"),
    "another part of the netlist": (
        lambda text: text.replace('"xneuron_000.r3"', '"xneuron_000.r1"'),
        r"xneuron_000\.r1 is in the schematic twice: R\d+, R\d+",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_found(what: str, one_cell: Path, tmp_path: Path) -> None:
    change, expected = CHANGES[what]
    shutil.copytree(one_cell, tmp_path, dirs_exist_ok=True)
    sheet = tmp_path / "cell_000.kicad_sch"
    changed = change(sheet.read_text())
    assert changed != sheet.read_text()
    sheet.write_text(changed)
    status, out, err = run("check-board", str(tmp_path))
    assert (status, err) == (1, "")
    assert re.search(rf"^\w+ +{expected}$", out, re.MULTILINE), out
    assert re.search(r"parts, \d+ nets: \d+ differences?$", out)


def test_an_equal_board_says_so(one_cell: Path) -> None:
    status, out, _ = run("check-board", str(one_cell))
    assert (status, out.strip()) == (0, "24 parts, 18 nets: the schematic is the netlist")


DUAL = {"A": {"out": "1", "-": "2", "+": "3"}, "B": {"+": "5", "-": "6", "out": "7"}, "": {"V-": "4", "V+": "8"}}
# By the symbols that KiCad 6.0.10 has of these parts. Of the AD633 it has none: connection diagrams of the data sheet.
PINS = {
    "TL082CP": DUAL,
    "TL082CDR": DUAL,
    "OPA2134PA": DUAL,
    "OPA2134UA": DUAL,
    "LM13700N/NOPB": {
        "A": {"abc": "1", "+": "3", "-": "4", "out": "5"}, "B": {"out": "12", "-": "13", "+": "14", "abc": "16"},
        "": {"V-": "6", "V+": "11"},
    },
    "AD633ANZ": {"A": {"X1": "1", "X2": "2", "Y1": "3", "Y2": "4", "Z": "6", "W": "7"}, "": {"V-": "5", "V+": "8"}},
    "AD633ARZ": {"A": {"X1": "7", "X2": "8", "Y1": "1", "Y2": "2", "Z": "4", "W": "5"}, "": {"V-": "3", "V+": "6"}},
    "1N4148-TAP": {"A": {"K": "1", "A": "2"}},
}  # fmt: skip


@pytest.mark.parametrize("part_number", PINS)
def test_pins_of_the_catalogue_are_those_of_other_libraries(part_number: str) -> None:
    component = named(part_number)
    assert component is not None
    units = {"AB"[k]: dict(unit) for k, unit in enumerate(component.units)}
    power = {"": dict(component.power)} if component.power else {}
    assert units | power == PINS[part_number]
