"""Whether a schematic is the circuit of its netlist: the same parts, with the same numbers, on the same nets.

Both are read from their files by programs that know nothing of how they were made: ngspice expands the netlist, and
kicad-monkey follows wires and labels. Nets may have different names: two circuits are equal if the same terminals of
the same parts are together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.words import counted, listed
from analog_fhn.board.net_differences import Matched, match_nets
from analog_fhn.board.parts import SYMMETRIC, VALUE, Part, base_name
from analog_fhn.board.pins import terminal_pins
from analog_fhn.board.schematic_reader import (
    Package,
    numbers_of,
    percentage_of,
    project_in,
    read_schematic,
    value_of,
)
from analog_fhn.board.spice_reader import SpiceCircuit, read_netlist
from analog_fhn.board.trimmers import closed, trimmers
from analog_fhn.netlist.export import NETLISTS

# Both files have 15 digits or more of the same number.
_EQUAL = 1e-9
# Parts are drawn with a third of the technology's tolerance as standard deviation, and bought as good or better.
_TOLERANCES = 5.0
_LETTERS = {"R": "resistor", "C": "capacitor", "D": "diode"}
_JOINING = ("R", "C", "D", "L", "Q", "U")


@dataclass(frozen=True)
class Difference:
    """One thing that a schematic and its netlist do not agree in.

    Parameters
    ----------
    kind
        What differs.
    name
        Of the part in the netlist, `xneuron_000.r1`, or its net.
    sentence
        What the schematic has, and what the netlist.
    """

    kind: Literal["part", "pin", "number", "value", "net", "name"]
    name: str
    sentence: str


class BoardCheck(Rows[Difference]):
    """Differences of a schematic from its netlist; empty: they are equal.

    Parameters
    ----------
    rows
        The differences.
    n_parts, n_nets
        Of the netlist.
    """

    def __init__(self, rows: list[Difference], n_parts: int, n_nets: int) -> None:
        super().__init__(rows)
        self.n_parts, self.n_nets = n_parts, n_nets

    @property
    def summary(self) -> str:
        """Result on one line."""
        found = counted(len(self), "difference") if self else "the schematic is the netlist"
        return f"{self.n_parts} parts, {self.n_nets} nets: {found}"

    def _card(self) -> Card:
        grid = Grid(("what", "where", "how"), [(one.kind, one.name, one.sentence) for one in self])
        return Card("Board", self.summary, grids=(grid,) if self else ())


def check_board(folder: str | Path) -> BoardCheck:
    """Compare the schematic of an export with its netlist.

    Parameters
    ----------
    folder
        What `export_kicad` wrote, perhaps changed in KiCad since: a project of KiCad, and the netlist in `netlist/`.

    Returns
    -------
    BoardCheck
        What differs, in sentences; empty: the schematic has the parts of the netlist, each with the numbers of this
        chip and on the same nets.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    MissingProgramError
        If ngspice or kicad-monkey is not installed.
    """
    packages = read_schematic(project_in(Path(folder)))
    netlist = read_netlist(Path(folder) / NETLISTS)
    return compare(packages, netlist)


def compare(packages: list[Package], netlist: SpiceCircuit) -> BoardCheck:
    """Differences of a schematic's packages from a netlist."""
    reach = trimmers(packages)
    packages, useless = closed(packages)
    found = [Difference("net", name, f"{name}: pins 1 and 2 are on one net, which it cannot open") for name in useless]
    drawn = _drawn(packages, netlist, found)
    for package in packages:
        found += _values(package, netlist, reach.get(package.reference, 0.0))
    for path in netlist.parts.keys() - drawn.keys():
        found.append(Difference("part", path, f"{path}, a {netlist.parts[path].kind}, is not in the schematic"))
    for path, part in drawn.items():
        found += _numbers(path, part, netlist)
    matched = match_nets(netlist.parts, drawn)
    found += (Difference("net", name, sentence) for name, sentence in matched.sentences)
    found += _names(packages, netlist, matched)
    found += _extra(packages, netlist, matched)
    found.sort(key=lambda one: (one.kind != "part", one.name))
    nodes = {net for part in netlist.parts.values() for net in part.terminals.values()}
    return BoardCheck(found, len(netlist.parts), len(nodes))


def _drawn(packages: list[Package], netlist: SpiceCircuit, found: list[Difference]) -> dict[str, Part]:
    """Parts of the schematic by their path in the netlist; what is wrong with a part as such is added to `found`."""
    drawn: dict[str, Part] = {}
    for package in packages:
        for unit, path, actual in package.elements():
            name, known = f"{package.reference}{unit}", netlist.parts.get(path)
            if known is None:
                found.append(Difference("part", path, f"{name} stands for {path}, which is not in the netlist"))
                continue
            if path in drawn:
                found.append(Difference("part", path, f"{path} is in the schematic twice: {drawn[path].name}, {name}"))
                continue
            kind = _LETTERS.get(package.reference.rstrip("0123456789"), known.kind)
            if kind != known.kind:
                found.append(Difference("part", path, f"{name} is a {kind}; in the netlist {path} is a {known.kind}"))
            pins, wrong = terminal_pins(package, unit, known.terminals)
            found += (Difference("pin", path, f"{name} ({path}): {sentence}") for sentence in wrong)
            nets = {terminal: pin.net for terminal, pin in pins.items() if pin.net is not None}
            for terminal in pins.keys() - nets.keys():
                sentence = f"nothing is connected to its pin {pins[terminal].number}, {terminal}"
                found.append(Difference("net", path, f"{name} ({path}): {sentence}"))
            drawn[path] = Part(known.kind, nets, numbers_of(name, actual), name)
    return drawn


def _numbers(path: str, part: Part, netlist: SpiceCircuit) -> Iterator[Difference]:
    """Numbers of a part that differ, or that one side lacks."""
    known = netlist.parts[path]
    defaults = netlist.defaults.get(part.kind, {})
    for name in known.numbers.keys() | part.numbers.keys():
        ours, theirs = part.numbers.get(name, defaults.get(name)), known.numbers.get(name)
        if ours is None or theirs is None:
            where = "schematic" if ours is None else "netlist"
            yield Difference("number", path, f"{part.name} ({path}): the {where} does not say its {name}")
        elif not math.isclose(ours, theirs, rel_tol=_EQUAL, abs_tol=1e-18):
            yield Difference("number", path, f"{part.name} ({path}): {name} is {ours:g}, in the netlist {theirs:g}")


def _values(package: Package, netlist: SpiceCircuit, reach: float) -> Iterator[Difference]:
    """Whether what is bought with this value, or a trimmer of up to `reach` in its place, can be what the chip has."""
    for _, path, _ in package.elements():
        known = netlist.parts.get(path)
        if known is None or known.kind not in SYMMETRIC:
            continue
        name, value, actual = f"{package.reference} ({path})", value_of(package.value), known.numbers[VALUE]
        tolerance = percentage_of(package.fields.get("Tolerance", ""))
        if value is None or tolerance is None:
            missing = f"value {package.value!r}" if value is None else "no tolerance"
            yield Difference("value", path, f"{name} has {missing}; expected one such as 4.87k, of 1 %")
        elif abs(actual - value) > _TOLERANCES * tolerance * value and actual > reach:
            sentence = f"a part of {package.value} and {100 * tolerance:g} % is not {actual:g}, as the netlist has it"
            yield Difference("value", path, f"{name}: {sentence}")


def _names(packages: list[Package], netlist: SpiceCircuit, matched: Matched) -> Iterator[Difference]:
    """Nets and pins of connectors that are named after a node of the netlist, but are another one."""
    nodes = netlist.nodes | {"0"}
    for net, node in matched.nodes.items():
        if base_name(net) in nodes and base_name(net) != node:
            yield Difference("name", node, f"the net {net} of the schematic is node {node} of the netlist")
    fed = set()
    for package in packages:
        if not any(package.elements()):
            for pin in package.pins:
                meant = None if pin.net is None else matched.nodes.get(pin.net)
                if meant is None:
                    continue
                fed.add(meant)
                if pin.name.lower() in nodes and meant != pin.name.lower():
                    where = f"{package.reference}, pin {pin.number}, {pin.name}"
                    yield Difference(
                        "name", meant, f"{where}: it is on {pin.net}, which is node {meant} of the netlist"
                    )
    for source, node in netlist.sources.items():
        if node not in fed and node in matched.nodes.values():
            yield Difference("name", node, f"no connector leads to {node}, where the netlist has the source {source}")


def _extra(packages: list[Package], netlist: SpiceCircuit, matched: Matched) -> Iterator[Difference]:
    """Parts between nets of the netlist that it does not know of, other than between its supplies."""
    supplies = {*netlist.sources.values(), "0"}
    for package in packages:
        if package.reference.rstrip("0123456789?") not in _JOINING or any(package.elements()):
            continue
        nodes = {matched.nodes[pin.net] for pin in package.pins if pin.net is not None and pin.net in matched.nodes}
        if len(nodes) > 1 and not nodes <= supplies:
            name = f"{package.reference}, {package.value}"
            yield Difference(
                "part", package.reference, f"{name}, is not in the netlist; it joins {listed(sorted(nodes), 4)}"
            )
