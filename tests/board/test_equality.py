"""The check that a schematic is its netlist, on schematics of labels alone, which nothing of the package draws."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_board import SYMBOLS, Package, write

from analog_fhn.board.equality import check_board
from analog_fhn.board.spice_reader import SpiceCircuit, read_netlist
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.export import NETLISTS, export
from analog_fhn.network import Dense, Network
from analog_fhn.technology.technology import Technology

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mismatched chip with two relus, and its netlist."""
    folder = tmp_path_factory.mktemp("chip")
    rng = np.random.default_rng(0)
    layers = Dense(rng.normal(size=(2, 2)), None, "relu", "tanh", 2.0), Dense(rng.normal(size=(2, 1)))
    export(Design(Network(layers), Technology.load("discrete")).chip(1), np.zeros(2), folder / NETLISTS)
    return folder


@pytest.fixture(scope="module")
def circuit(folder: Path) -> SpiceCircuit:
    return read_netlist(folder / NETLISTS)


Boards = dict[str, Package]


@pytest.fixture
def check(folder: Path, circuit: SpiceCircuit) -> Callable[[Callable[[Boards], object]], list[str]]:
    """What the check says of the board after a change of its packages."""

    def changed(change: Callable[[Boards], object]) -> list[str]:
        packages = packages_of(circuit)
        change({name: package for package in packages for name in (package.reference, *paths(package))})
        write(packages, folder)
        return [one.sentence for one in check_board(folder)]

    return changed


def paths(package: Package) -> list[str]:
    return [path for name, path in package.fields.items() if name.startswith("Circuit")]


def exchanged(package: Package, one: str, other: str) -> None:
    package.nets[one], package.nets[other] = package.nets[other], package.nets[one]


def test_a_board_is_its_netlist(check: Callable[[Callable[[Boards], object]], list[str]], folder: Path) -> None:
    assert check(lambda board: exchanged(board["xneuron_000.r3"], "1", "2")) == []  # a resistor may lie either way
    found = check_board(folder)
    assert str(found).startswith(f"Board: {found.n_parts} parts, {found.n_nets} nets: the schematic is the netlist")
    kinds = {part.kind for part in read_netlist(folder / NETLISTS).parts.values()}
    assert kinds == {"resistor", "capacitor", "opamp", "multiplier", "diode"}


def swapped_symbol(board: Boards) -> None:
    board["xneuron_000.xu1"].symbol = "opamp_swapped"
    board["xneuron_000.xu1"].fields["MPN"] = "TL082CP"
    exchanged(board["xneuron_000.xu1"], "2", "3")


def renamed(board: Boards, names: dict[str, str]) -> None:
    for package in {id(one): one for one in board.values()}.values():
        package.nets = {pin: names.get(net, net) for pin, net in package.nets.items()}


# What is changed, and what the check says: each sentence, in any order.
CHANGES: dict[str, tuple[Callable[[Boards], object], list[str]]] = {
    "a swapped value": (
        lambda board: setattr(board["xneuron_001.r4"], "value", "10k"),
        [r"R\d+ \(xneuron_001\.r4\): a part of 10k and 1 % is not 99677\.8, as the netlist has it"],
    ),
    "a value of another chip": (
        lambda board: board["xneuron_000.cx"].fields.update(Actual="value=9.938e-10"),
        [r"C\d+ \(xneuron_000\.cx\): value is 9.938e-10, in the netlist 9\.93834e-10"],
    ),
    "an offset of another amplifier": (
        lambda board: board["xneuron_000.xu1"].fields.update(Actual_A=board["xneuron_000.xu1"].fields["Actual_B"]),
        [r"U\d+A \(xneuron_000\.xu1\): vos is 0\.00\d+, in the netlist 0\.00\d+"],
    ),
    "a wire that is gone": (
        lambda board: board["xneuron_000.r2"].nets.pop("1"),
        [r"R\d+ \(xneuron_000\.r2\): nothing is connected to its pin 1, 1"],
    ),
    "a net in two pieces": (
        lambda board: board["xneuron_000.r2"].nets.update({"1": "elsewhere"}),
        [r"R\d+ \(xneuron_000\.r2\): on net elsewhere .*, cut off from xneuron_000/cube, node xneuron_000\.cube .*"],
    ),
    "two nets joined": (
        lambda board: renamed(board, {"x_000": "y_000"}),
        [r".*U\d+B pin out \(xneuron_000\.xu2\): on net y_000 .*, which joins nodes x_000 and y_000 .*",
         r"the net y_000 of the schematic is node x_000 of the netlist"],
    ),
    "swapped inputs": (
        lambda board: exchanged(board["xneuron_000.xu1"], "2", "3"),
        [r"U\d+A pin \+ \(xneuron_000\.xu1\): on net xneuron_000/sum1 of the schematic, in the netlist on 0",
         r"U\d+A pin - \(xneuron_000\.xu1\): on net 0 .*, in the netlist on xneuron_000\.sum1, there xneuron_000/sum1"],
    ),
    "swapped pins of the symbol, and wires that follow them": (
        swapped_symbol,
        [r"U\d+A \(xneuron_000\.xu1\): its symbol has \+ at pin 2, and TL082CP has it at pin 3",
         r"U\d+A \(xneuron_000\.xu1\): its symbol has - at pin 3, and TL082CP has it at pin 2"],
    ),
    "swapped supplies": (
        lambda board: renamed(board, {"vcc": "vee", "vee": "vcc"}),
        ["the net vee of the schematic is node vcc of the netlist", "the net vcc of the schematic is node vee .*"],
    ),
    "a part that is not known": (
        lambda board: board["xneuron_000.r1"].fields.pop("Circuit"),
        [r"xneuron_000\.r1, a resistor, is not in the schematic",
         r"R\d+, 1\.004e\+04, is not in the netlist; it joins nx_000, xneuron_000\.sum1"],
    ),
    "a source that leads nowhere": (
        lambda board: board["J1"].nets.clear(),
        ["no connector leads to vcc, where the netlist has the source vcc"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_wrong_is_named(what: str, check: Callable[[Callable[[Boards], object]], list[str]]) -> None:
    change, expected = CHANGES[what]
    said = check(change)
    assert len(said) == len(expected), said
    for pattern in expected:
        assert any(re.fullmatch(pattern, sentence) for sentence in said), said


def test_files_that_are_no_board(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one project of KiCad, \*\.kicad_pro; found none"):
        check_board(tmp_path)
    (tmp_path / "board.kicad_pro").write_text("{}")
    with pytest.raises(InputError, match=r"board\.kicad_sch: there is no such file"):
        check_board(tmp_path)
    (tmp_path / "board.kicad_sch").write_text("(kicad_sch (version")
    with pytest.raises(InputError, match=r"board\.kicad_sch: (kicad-monkey cannot read it|no parts)"):
        check_board(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (".include ../chip.cir", r"expected the name of another file in the folder"),
        (".include run.cir", r"expected the name of another file in the folder"),
        ("R1 a 0 1k\nM1 a b 0 0 fet", r"'m1 a b 0 0 fet': expected resistors"),
        ("* nothing\n.end", r"no parts; expected the netlist of a board"),
        (".subckt opamp a b c vcc vee\n.ends", r"subcircuit opamp has pins \('a', 'b', 'c', 'vcc', 'vee'\); expected"),
    ],
)
def test_netlists_that_are_no_board(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "run.cir").write_text(text)
    with pytest.raises(InputError, match=says):
        read_netlist(tmp_path)


def test_commands_of_a_netlist_are_not_run(tmp_path: Path) -> None:
    text = "R1 a 0 1\n.control\nshell touch owned\n.endc\n*# shell touch owned\n* .control\n.exec touch owned\n"
    (tmp_path / "run.cir").write_text(text)
    assert set(read_netlist(tmp_path).parts) == {"r1"}
    assert not list(tmp_path.rglob("owned"))
