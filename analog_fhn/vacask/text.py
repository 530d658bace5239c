"""Our netlists, read back: subcircuits, models and elements, each line understood or refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from analog_fhn.errors import InputError, shown

_WORD = re.compile(r"""\{([^{}]*)\}|'([^']*)'|"[^"]*"|=|[^\s={}'"]+""")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_ITEM = re.compile(r"([vi])\(([a-z0-9_]+)\)")
# Words that begin a line of VACASK's own.
_RESERVED = frozenset(
    ("include", "section", "endsection", "load", "model", "global", "ground", "subckt", "ends", "parameters", "control")
)


@dataclass(frozen=True)
class Element:
    """An element, or an instance of a subcircuit.

    Parameters
    ----------
    kind
        First letter of its name: r, c, v, i, e, g, f, h, d, q, m or x.
    name, nodes
        In lower case.
    of
        Model, subcircuit, or source whose current controls it; "": none.
    value
        Expression: resistance, capacitance, voltage, current or gain; "": none.
    behaviour
        Whether the value is an expression of voltages and currents.
    parameters
        Expressions by name.
    """

    kind: str
    name: str
    nodes: tuple[str, ...]
    of: str = ""
    value: str = ""
    behaviour: bool = False
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model card: kind (d, npn, pnp, nmos or pmos) and expressions by name."""

    kind: str
    parameters: dict[str, str]


@dataclass
class Scope:
    """What stands in a subcircuit, or outside of all.

    Parameters
    ----------
    pins, defaults
        Of the subcircuit: nodes, and parameters that an instance may set.
    derived
        Expressions of further parameters, in their order.
    starts
        Expressions of voltages at the start, by node (`.ic`).
    """

    name: str = ""
    pins: tuple[str, ...] = ()
    defaults: dict[str, str] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)


@dataclass
class Deck:
    """A deck, read.

    Parameters
    ----------
    top
        Elements, parameters and models outside of subcircuits.
    subcircuits
        By name.
    options
        Values by name.
    step, stop
        Largest time step and end of the transient (s); 0: there is none.
    from_initial_conditions
        Whether capacitors begin with their initial conditions (`uic`).
    saved
        Kind (v or i) and name of node or source.
    """

    top: Scope = field(default_factory=Scope)
    subcircuits: dict[str, Scope] = field(default_factory=dict)
    options: dict[str, float] = field(default_factory=dict)
    step: float = 0.0
    stop: float = 0.0
    from_initial_conditions: bool = False
    saved: list[tuple[str, str]] = field(default_factory=list)


def read(text: str, section: Callable[[str, str], str]) -> Deck:
    """Read a deck, from its title to `.end`, without a control block.

    Parameters
    ----------
    section
        Text of a section of a foundry's file, called with path and section; only its models and parameters count.

    Raises
    ------
    InputError
        If a line is not one of those that our netlists consist of.
    """
    deck = Deck()
    scope, opened = deck.top, False
    for line in _lines(text.split("\n", 1)[-1]):
        words = _words(line)
        try:
            match words:
                case [".subckt", name, *rest] if not opened:
                    pins, assigned = _assignments(rest)
                    scope = Scope(_name(name), tuple(_name(pin) for pin in pins), assigned)
                    opened = True
                    deck.subcircuits[name] = scope
                case [".ends", *_] if opened:
                    scope, opened = deck.top, False
                case [".param", *rest]:
                    scope.derived |= _only_assignments(rest)
                case [".model", name, *rest]:
                    scope.models[name] = _model(rest)
                case [".ic", *rest]:
                    scope.starts |= {_item(word, "v"): value for word, value in _only_assignments(rest).items()}
                case [".lib", path, name] if not opened:
                    _read_section(section(path.strip('"'), name), deck.top)
                case [".options", *rest] if not opened:
                    deck.options |= {key: float(value) for key, value in _only_assignments(rest).items()}
                case [".tran", _, stop, "0", step, *rest] if not opened and rest in ([], ["uic"]):
                    deck.stop, deck.step, deck.from_initial_conditions = float(stop), float(step), bool(rest)
                case [".save", *rest] if not opened:
                    deck.saved += [(word[:1], _item(word, word[:1])) for word in rest]
                case [".end"]:
                    break
                case [word, *rest] if not word.startswith("."):
                    scope.elements.append(_element(word, rest))
                case _:
                    raise ValueError
        except ValueError:
            raise InputError(f"netlist line {shown(line)}: this is none of the lines that VACASK is given") from None
    return deck


def _read_section(text: str, top: Scope) -> None:
    """Models and parameters of a section; its subcircuits are the foundry's own and stay unused."""
    inside = False
    for line in _lines(text):
        words = _words(line)
        match words:
            case [".subckt", *_]:
                inside = True
            case [".ends", *_]:
                inside = False
            case [".model", name, *rest] if not inside:
                top.models[name] = _model(rest)
            case [".param", *rest] if not inside:
                top.derived |= _only_assignments(rest)
            case _ if not inside:
                raise ValueError


def _lines(text: str) -> Iterator[str]:
    """Lines with their continuations, in lower case but for what stands in double quotes; no comments."""
    joined: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("*"):
            continue
        if line.lstrip().startswith("+") and joined:
            joined[-1] += " " + line.lstrip()[1:]
        else:
            joined.append(line.strip())
    for line in joined:
        yield "".join(part if k % 2 else part.lower() for k, part in enumerate(re.split(r'("[^"]*")', line)))


def _words(line: str) -> list[str]:
    """Words of a line; expressions without their braces or quotes, of a model's card without its parentheses."""
    if line.startswith(".model"):
        line = line.replace("(", " ").replace(")", " ")
    words = []
    for match in _WORD.finditer(line):
        braced, quoted = match.group(1), match.group(2)
        words.append(
            match.group() if braced is None and quoted is None else f"({braced if quoted is None else quoted})"
        )
    return [word for word in words if word != "params:"]


def _assignments(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Words before the first assignment, and expressions by name.

    Raises
    ------
    ValueError
        If something else stands between assignments.
    """
    first = words.index("=") - 1 if "=" in words else len(words)
    rest, assigned = words[first:], {}
    if len(rest) % 3 or first < 0:
        raise ValueError
    for name, equals, value in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        if equals != "=" or name in assigned or value == "=":
            raise ValueError
        assigned[name] = value
    return words[:first], assigned


def _only_assignments(words: list[str]) -> dict[str, str]:
    before, assigned = _assignments(words)
    if before:
        raise ValueError
    return assigned


def _name(word: str) -> str:
    if word != "0" and (not _NAME.fullmatch(word) or word in _RESERVED):
        raise ValueError
    return word


def _item(word: str, kind: str) -> str:
    """Node or source of `v(node)` or `i(source)`."""
    match = _ITEM.fullmatch(word)
    if match is None or match.group(1) != kind:
        raise ValueError
    return _name(match.group(2))


def _model(words: list[str]) -> Model:
    (kind,), assigned = _assignments(words)
    if kind not in ("d", "npn", "pnp", "nmos", "pmos"):
        raise ValueError
    return Model(kind, assigned)


def _element(word: str, words: list[str]) -> Element:
    name, kind = _name(word), word[0]
    plain, assigned = _assignments(words)
    expressed = assigned.pop("value", None) if kind in "eg" else None
    nodes = tuple(_name(node) for node in plain[: _NODES.get(kind, len(plain) - 1)])
    if expressed is not None:
        if assigned or len(plain) != 2:
            raise ValueError
        return Element(kind, name, nodes[:2], value=expressed, behaviour=True)
    rest = plain[len(nodes) :]
    if len(nodes) != _NODES.get(kind, len(nodes)) or not set(assigned) <= _PARAMETERS.get(kind, set(assigned)):
        raise ValueError
    match kind, rest:
        case "r" | "c" | "v" | "i" | "e" | "g", [value]:
            return Element(kind, name, nodes, value=value, parameters=assigned)
        case "f" | "h", [source, value]:
            return Element(kind, name, nodes, _name(source), value)
        case "d" | "q" | "m" | "x", [of]:
            return Element(kind, name, nodes, _name(of), parameters=assigned)
    raise ValueError


_NODES = {"r": 2, "c": 2, "v": 2, "i": 2, "e": 4, "g": 4, "f": 2, "h": 2, "d": 2, "q": 3, "m": 4}
_PARAMETERS: dict[str, set[str]] = {kind: set() for kind in "rvieghfdq"} | {"c": {"ic"}}
