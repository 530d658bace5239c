"""A circuit as parts between nets, as a reader of some file found it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Their two terminals may be exchanged.
SYMMETRIC = ("resistor", "capacitor")
# What numbers of netlists call the value of a resistor or capacitor.
VALUE = "value"


@dataclass(frozen=True)
class Part:
    """One part of a circuit: of a package with two amplifiers, one of them.

    Parameters
    ----------
    kind
        See `analog_fhn.board.circuit.Element`.
    terminals
        Net of each terminal.
    numbers
        What this one has: `value` (ohm, F), or parameters of its model, in SI units.
    name
        What a person finds it by: its designator, or its path in the netlist.
    """

    kind: str
    terminals: Mapping[str, str]
    numbers: Mapping[str, float] = field(default_factory=dict)
    name: str = ""


def nets(parts: Mapping[str, Part]) -> dict[str, frozenset[tuple[str, str]]]:
    """Terminals on each net: path of the part, terminal; of a symmetric part, no matter which."""
    found: dict[str, set[tuple[str, str]]] = {}
    for path, part in parts.items():
        for terminal, net in part.terminals.items():
            found.setdefault(net, set()).add((path, "" if part.kind in SYMMETRIC else terminal))
    return {net: frozenset(terminals) for net, terminals in found.items()}


def base_name(net: str) -> str:
    """A net's name without the sheets it is on, in lower case; ground is 0."""
    name = net.rsplit("/", 1)[-1].lower()
    return "0" if name == "gnd" else name


def node_name(node: str) -> str:
    """A node's name without the subcircuits that it is in."""
    return node.rsplit(".", 1)[-1]
