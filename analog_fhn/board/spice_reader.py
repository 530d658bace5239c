"""Parts and nodes of an exported netlist, as ngspice expands it: its subcircuits flattened, its expressions evaluated.

Amplifiers, multipliers and transconductance amplifiers are opaque: what stands in their subcircuits is replaced by a
mark of each terminal and of each parameter, which ngspice then names, connects and evaluates like any element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analog_fhn._support.temporary import temporary_folder
from analog_fhn.board.parts import VALUE, Part
from analog_fhn.cell.opamp_fhn.stages import NO_SHIFT
from analog_fhn.errors import InputError, MissingProgramError, SimulationError, shown
from analog_fhn.ngspice.batch import run_batch

DECK = "run.cir"
_LONGEST_FILE = 2**26  # bytes, hundreds of times a board's netlist
_LIMIT = 120.0  # s; ngspice reads 3 000 elements in 0.2 s
# Lines that are read on; whatever else a file has, commands above all, is left out.
_ELEMENTS = "cdirvx"
_DIRECTIVES = (".subckt", ".ends", ".param", ".model")
_PIN, _PARAMETER = "board_pin_", "board_parameter_"


@dataclass(frozen=True)
class _Opaque:
    """A subcircuit that stands for one part, or for one part and its resistors.

    Parameters
    ----------
    kind
        Of the part.
    pins
        Of the subcircuit.
    terminals
        Node within the subcircuit by terminal, in their order.
    beginning
        Parameters that are none of the part's, but of where a simulation begins.
    resistors
        That are parts of their own, each with a parameter of its name.
    """

    kind: str
    pins: tuple[str, ...]
    terminals: Mapping[str, str]
    beginning: tuple[str, ...] = ()
    resistors: tuple[str, ...] = ()


_OPAQUE = {
    "opamp": _Opaque(
        "opamp",
        ("inp", "inn", "out", "vcc", "vee"),
        {"+": "inp", "-": "inn", "out": "out", "V+": "vcc", "V-": "vee"},
        ("vout0",),
    ),
    "multiplier": _Opaque(
        "multiplier",
        ("x", "y", "w", "vcc", "vee"),
        {"X1": "x", "X2": "0", "Y1": "y", "Y2": "0", "Z": "0", "W": "w", "V+": "vcc", "V-": "vee"},
        ("w0",),
    ),
    "tanh_pair": _Opaque(
        "ota",
        ("inp", "inn", "out", "vcc", "vee"),
        {"+": "base1", "-": "base2", "abc": "abc", "out": "out", "V+": "vcc", "V-": "vee"},
        resistors=("rs1", "rp1", "rs2", "rp2", "rabc"),
    ),
}


@dataclass
class SpiceCircuit:
    """What stands in a netlist.

    Parameters
    ----------
    parts
        By path: `xneuron_000.r1`.
    sources
        Node of each voltage source of the top level that has its other end at node 0.
    nodes
        Of the top level.
    defaults
        Parameters of opaque subcircuits where nothing is said, by kind.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    defaults: dict[str, dict[str, float]] = field(default_factory=dict)


def read_netlist(folder: Path) -> SpiceCircuit:
    """Parts of the netlist `run.cir` in a folder, with what it includes.

    Commands in it are not executed. A resistor of `NO_SHIFT` stands for none.

    Raises
    ------
    InputError
        If a file is missing, cannot be read, or has something else than parts of a board.
    MissingProgramError
        If there is no program ngspice.
    """
    path = folder / DECK
    circuit = SpiceCircuit()
    lines = ["the circuit of a board", *_opaque(path, _logical_lines(folder, DECK), circuit)]
    with temporary_folder("board") as place:
        deck = place / "board.cir"
        deck.write_text("\n".join([*lines, ".control", "listing expand", "quit 0", ".endc", ".end", ""]), "utf-8")
        try:
            listing = run_batch(deck, _LIMIT)
        except MissingProgramError as error:
            raise MissingProgramError(f"{path}: ngspice flattens netlists for the check: {error}") from None
        except SimulationError as error:
            raise InputError(f"{path}: ngspice cannot read it: {error}") from None
    _collect(listing, circuit)
    for element, part in list(circuit.parts.items()):
        if part.kind == "resistor" and part.numbers[VALUE] >= NO_SHIFT:
            del circuit.parts[element]
    if not circuit.parts:
        raise InputError(f"{path}: no parts; expected the netlist of a board")
    return circuit


def _logical_lines(folder: Path, name: str, among: tuple[str, ...] = ()) -> Iterator[str]:
    """Lines of a file and of those it includes, in lower case, continued ones joined, without commands."""
    path = folder / name
    if name in among or Path(name).name != name:
        raise InputError(
            f"{folder / among[-1]}: .include {shown(name)}: expected the name of another file in the folder"
        )
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise InputError(f"{path}: {path.stat().st_size} bytes; expected a netlist")
        text = path.read_text(encoding="ascii").lower()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a netlist") from None
    text = re.sub(r"(?ms)^\.control\b.*?(^\.endc\b|\Z)", "", text)
    text = re.sub(r"(?m)^\s*\*.*\n?", "", text)
    for line in re.sub(r"\n\+", " ", text).splitlines():
        words = line.split()
        if words and words[0] == ".include":
            yield from _logical_lines(folder, " ".join(words[1:]).strip("\"'"), (*among, name))
        elif words:
            yield " ".join(words)


def _opaque(path: Path, lines: Iterator[str], circuit: SpiceCircuit) -> Iterator[str]:
    """Lines with marks in place of what stands in opaque subcircuits."""
    within: _Opaque | None = None
    for line in lines:
        words = line.split()
        if words[0] == ".subckt" and (within := _OPAQUE.get(words[1])) is not None:
            yield line
            pins, defaults = _heading(path, words)
            if pins != within.pins:
                raise InputError(f"{path}: subcircuit {words[1]} has pins {pins}; expected {within.pins}")
            left_out = (*within.beginning, *within.resistors)
            circuit.defaults[within.kind] = {k: v for k, v in defaults.items() if k not in left_out}
            yield from _marks(within, circuit.defaults[within.kind])
        elif within is not None:
            if words[0] == ".ends":
                within = None
                yield line
            elif words[0] in within.resistors:
                yield line
        elif line[0] in _ELEMENTS or words[0] in _DIRECTIVES:
            yield line
        elif line[0] != ".":
            raise InputError(
                f"{path}: {shown(line[:60])}: expected resistors, capacitors, diodes, voltage sources, subcircuits"
            )


def _heading(path: Path, words: list[str]) -> tuple[tuple[str, ...], dict[str, float]]:
    """Pins, and parameters with their defaults, of a line `.subckt`."""
    pins, parameters = [], {}
    for word in words[2:]:
        name, equals, value = word.partition("=")
        if equals:
            try:
                parameters[name] = float(value)
            except ValueError:
                raise InputError(f"{path}: subcircuit {words[1]}, {shown(word)}: expected a number") from None
        elif name != "params:":
            pins.append(name)
    return tuple(pins), parameters


def _marks(opaque: _Opaque, parameters: Mapping[str, float]) -> Iterator[str]:
    for k, node in enumerate(opaque.terminals.values()):
        yield f"r{_PIN}{opaque.kind}_{k} {node} 0 1"
    for name in parameters:
        yield f"v{_PARAMETER}{name} parameters 0 {{{name}}}"


_LINE = re.compile(r"^\s*\d+ : (\S.*)$")
_MODEL = re.compile(r"^\.model (\S+) d ?\((.*)\)$")


def _collect(listing: str, circuit: SpiceCircuit) -> None:
    """Parts of an expanded listing."""
    models: dict[str, dict[str, float]] = {}
    diodes: dict[str, str] = {}
    for match in map(_LINE.match, listing.lower().splitlines()):
        if match is None:
            continue
        if (model := _MODEL.match(match[1])) is not None:
            pairs = re.findall(r"(\w+) *= *(\S+)", model[2])
            models[model[1]] = {name: float(value) for name, value in pairs}
        elif match[1][0] in "rcdv":
            _element(match[1].split(), circuit, diodes)
    for path, name in diodes.items():
        one = circuit.parts[path]
        numbers = {"isat": models[name]["is"], "emission": models[name]["n"]}
        circuit.parts[path] = Part(one.kind, one.terminals, numbers, path)


_KINDS = {"r": "resistor", "c": "capacitor", "d": "diode"}


def _element(words: list[str], circuit: SpiceCircuit, diodes: dict[str, str]) -> None:
    """Take one element of the listing, or what a mark says of an opaque one."""
    path, kind = words[0], words[0][0]
    path = path[2:] if path[1:2] == "." else path
    owner, _, name = path.rpartition(".")
    circuit.nodes |= {node for node in words[1:3] if "." not in node}
    if name.startswith("r" + _PIN):
        of, _, number = name.removeprefix("r" + _PIN).rpartition("_")
        part = circuit.parts.setdefault(owner, Part(of, {}, {}, owner))
        terminal = list(next(one for one in _OPAQUE.values() if one.kind == of).terminals)[int(number)]
        circuit.parts[owner] = Part(of, {**part.terminals, terminal: words[1]}, part.numbers, owner)
    elif name.startswith("v" + _PARAMETER):
        part, own = circuit.parts[owner], name.removeprefix("v" + _PARAMETER)
        circuit.parts[owner] = Part(part.kind, part.terminals, {**part.numbers, own: float(words[3])}, owner)
    elif kind == "v":
        if not owner and words[2] == "0":
            circuit.sources[path] = words[1]
    elif kind == "d":
        circuit.parts[path] = Part(_KINDS[kind], {"A": words[1], "K": words[2]}, {}, path)
        diodes[path] = words[3]
    else:
        circuit.parts[path] = Part(_KINDS[kind], {"1": words[1], "2": words[2]}, {VALUE: float(words[3])}, path)
