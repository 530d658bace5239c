"""A deck for ngspice as one for VACASK: the same subcircuits, elements, models, options and initial conditions.

Nothing is left out: what is not understood is refused. Names are in lower case, since VACASK tells upper from lower.
Capacitors have no initial condition there; what they begin with is computed here, down the hierarchy, and forced at the
operating point that a transient begins from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analog_fhn.errors import InputError, shown
from analog_fhn.ngspice.text import number
from analog_fhn.vacask.expressions import translated, value_of
from analog_fhn.vacask.text import Deck, Element, Model, Scope, read

_OPTIONS = frozenset(("reltol", "abstol", "vntol", "chgtol", "gmin", "temp", "tnom"))
_SOURCES = {"v": "vsource", "i": "isource"}
_CONTROLLED = {"e": "vcvs", "g": "vccs", "f": "cccs", "h": "ccvs"}
# Compiled model, its file, and what its card begins with.
_DEVICES = {
    "r": ("sp_resistor", "resistor", ""),
    "c": ("sp_capacitor", "capacitor", ""),
    "d": ("sp_diode", "diode", ""),
    "npn": ("sp_bjt", "bjt", "type=1"),
    "pnp": ("sp_bjt", "bjt", "type=-1"),
    "nmos": ("sp_bsim4v8", "bsim4v8", "type=1"),
    "pmos": ("sp_bsim4v8", "bsim4v8", "type=-1"),
}
_EDGES = ("lmin", "lmax", "wmin", "wmax")
_LEVEL = 54.0  # BSIM4
# How much more than a node's own conductance holds it at its initial condition, over the relative tolerance. With more
# the rounding errors of the current that this takes exceed the tolerance of currents; it leaves 3e-5 of x at 1e-5.
_FORCE = 1e9
_STRONGEST = 1e5  # VACASK's own
_CLOSE = 1e-12  # relative, of a size to the lowest of a bin


@dataclass(frozen=True)
class Translation:
    """A deck in VACASK's language, up to its control block.

    Parameters
    ----------
    text
        Title, models, subcircuits, elements.
    options
        By name.
    initial
        Nodes, one or two, and the voltage (V) of the first against the second at the start.
    step, stop
        Largest time step and end of the transient (s).
    saved
        Such as v(x) and i(vcc).
    behaviours
        Sources given by expressions, each with its subcircuit: VACASK compiles them.
    """

    text: str
    options: Mapping[str, float]
    initial: Sequence[tuple[tuple[str, ...], float]]
    step: float
    stop: float
    saved: tuple[str, ...]
    behaviours: tuple[str, ...]

    def deck(self, sources: Mapping[str, float] | None = None) -> str:
        """Complete text of a deck that writes the transient's waveforms to `run.raw`.

        Parameters
        ----------
        sources
            Currents (A) or voltages (V) of sources that are set before it, by name; None: none.
        """
        return self.text + "\n".join(["control", *self.run_lines(sources or {}), "endc", ""])

    def run_lines(self, sources: Mapping[str, float]) -> list[str]:
        """Lines of a control block that make a run; see `deck`."""
        settings = " ".join(f"{name}={number(value)}" for name, value in self.options.items())
        force = min(_FORCE * self.options.get("reltol", 1e-3), _STRONGEST)
        initial = ", ".join(
            f"{', '.join(chr(34) + node + chr(34) for node in nodes)}, {number(volts)}" for nodes, volts in self.initial
        )
        return [
            "abort always",
            f"options {settings} nr_force={number(force)}",
            f"save {' '.join(self.saved)}",
            *(f'alter instance("{name}") dc={number(value)}' for name, value in sources.items()),
            f"analysis run tran step={number(self.step)} maxstep={number(self.step)} stop={number(self.stop)} "
            f'icmode="op" ic={{{initial}}}',
        ]


def translate(text: str) -> Translation:
    """Translate a deck for ngspice, its subcircuits in it, with one `.tran` line and no control block.

    Raises
    ------
    InputError
        If the deck has something that is not understood, or a transistor has no model of its size.
    """
    deck = read(text, section_of)
    unknown = deck.options.keys() - _OPTIONS
    if unknown:
        raise InputError(f"netlist option {shown(min(unknown))}: VACASK is given {', '.join(sorted(_OPTIONS))} alone")
    if not deck.stop or not deck.saved:
        raise InputError("netlist without a transient of its own or without saved voltages: expected .tran and .save")
    survey = _Survey(deck)
    survey.visit(deck.top, "", {}, {})
    writer = _Writer(deck, survey)
    body = [
        line for scope in deck.subcircuits.values() if scope.name in survey.used for line in writer.subcircuit(scope)
    ]
    body += writer.elements(deck.top, "")
    title = "Translated from a netlist for ngspice by analog_fhn"
    lines = [title, *writer.heading(), *body]
    return Translation(
        "\n".join(lines) + "\n",
        deck.options,
        survey.initial,
        deck.step,
        deck.stop,
        tuple(f"{kind}({name})" for kind, name in deck.saved),
        tuple(
            f"{scope.name} {element.name} {' '.join(element.nodes)} {element.value}"
            for scope in (*deck.subcircuits.values(), deck.top)
            for element in scope.elements
            if element.behaviour
        ),
    )


def section_of(path: str, name: str) -> str:
    """Text of a section of a foundry's file, from `.lib name` to `.endl`; of sections it names in turn it has none.

    Raises
    ------
    InputError
        If there is no such file or section.
    """
    try:
        content = Path(path).read_text(encoding="latin-1")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a file of transistor models") from None
    match = re.search(rf"^\.lib[ \t]+{re.escape(name)}[ \t]*$(.*?)^\.endl", content, re.I | re.M | re.S)
    if match is None:
        raise InputError(f"{path}: there is no section {shown(name)}")
    return match.group(1)


@dataclass
class _Survey:
    """What the hierarchy holds: initial conditions, subcircuits and models that are used."""

    deck: Deck
    initial: list[tuple[tuple[str, ...], float]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    bins: dict[str, set[str]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    _globals: dict[str, float] = field(default_factory=dict)

    def visit(self, scope: Scope, path: str, nodes: Mapping[str, str], values: dict[str, float]) -> None:
        """Go through an instance.

        Parameters
        ----------
        path
            Of the instance, ending with a colon; "": outside of all subcircuits.
        nodes
            What its pins are connected to.
        values
            Its parameters.
        """
        values = {**self._globals, **values}
        for name, expression in scope.derived.items():
            values[name] = value_of(expression, values)
        if not path:
            self._globals = dict(values)

        def node(name: str) -> str:
            return "0" if name == "0" else nodes.get(name, path + name)

        for name, expression in scope.starts.items():
            self.initial.append(((node(name),), value_of(expression, values)))
        for element in scope.elements:
            match element.kind:
                case "x":
                    self._instance(element, path, tuple(map(node, element.nodes)), values)
                case "c":
                    self.kinds.add("c")
                    if self.deck.from_initial_conditions:
                        ends = tuple(map(node, element.nodes))
                        volts = value_of(element.parameters.get("ic", "0.0"), values)
                        self.initial.append((ends[:1] if ends[1] == "0" else ends, volts))
                case "m":
                    self._transistor(element, path, values)
                case "d" | "q":
                    self.kinds.add(self.model(scope, element).kind)
                case "r":
                    self.kinds.add("r")

    def _instance(self, element: Element, path: str, nodes: tuple[str, ...], values: dict[str, float]) -> None:
        inner = self.deck.subcircuits.get(element.of)
        if inner is None:
            raise InputError(f"netlist instance {shown(path + element.name)}: there is no subcircuit {element.of!r}")
        foreign = element.parameters.keys() - inner.defaults.keys()
        if len(nodes) != len(inner.pins) or foreign:
            raise InputError(
                f"netlist instance {shown(path + element.name)}: {element.of} has {len(inner.pins)} pins and the "
                f"parameters {', '.join(inner.defaults)}"
            )
        self.used.add(inner.name)
        own = {name: value_of(element.parameters.get(name, inner.defaults[name]), values) for name in inner.defaults}
        self.visit(inner, f"{path}{element.name}:", dict(zip(inner.pins, nodes, strict=True)), own)

    def model(self, scope: Scope, element: Element) -> Model:
        """Model of a diode or transistor, of the subcircuit itself or outside of all."""
        model = scope.models.get(element.of) or self.deck.top.models.get(element.of)
        if model is None:
            raise InputError(f"netlist element {shown(element.name)}: there is no model {shown(element.of)}")
        return model

    def _transistor(self, element: Element, path: str, values: dict[str, float]) -> None:
        """Note the models of the size of a MOSFET: with several sizes of a kind, `name.0`, `name.1`, ...."""
        width, length = (value_of(element.parameters[key], values) for key in ("w", "l"))
        for name, model in self.deck.top.models.items():
            if name.rsplit(".", 1)[0] != element.of:
                continue
            if value_of(model.parameters.get("level", "0"), {}) != _LEVEL:
                raise InputError(f"netlist model {shown(name)}: VACASK is given BSIM4 alone, level 54")
            low_l, high_l, low_w, high_w = (value_of(model.parameters[edge], {}) for edge in _EDGES)
            if low_l * (1 - _CLOSE) <= length < high_l * (1 - _CLOSE) and (
                low_w * (1 - _CLOSE) <= width < high_w * (1 - _CLOSE)
            ):
                self.bins.setdefault(element.of, set()).add(name)
                self.kinds.add(model.kind)
                return
        raise InputError(
            f"netlist element {shown(path + element.name)}: there is no model {shown(element.of)} of width {width:g} m "
            f"and length {length:g} m"
        )


@dataclass(frozen=True)
class _Writer:
    """Lines of VACASK's language."""

    deck: Deck
    survey: _Survey

    def heading(self) -> list[str]:
        """Compiled models that are loaded, parameters and models outside of subcircuits."""
        used = [_DEVICES[kind] for kind in sorted(self.survey.kinds)]
        lines = [f'load "spice/{file}.osdi"' for file in dict.fromkeys(file for _, file, _ in used)]
        lines += [f"model {name} {name}" for name in (*_SOURCES.values(), *_CONTROLLED.values())]
        lines += [f"model {_DEVICES[kind][1]} {_DEVICES[kind][0]}" for kind in "rc" if kind in self.survey.kinds]
        values: dict[str, float] = {}
        for name, expression in self.deck.top.derived.items():
            values[name] = value_of(expression, values)
        for names in self.survey.bins.values():
            for name in sorted(names):
                card = self.deck.top.models[name]
                parameters = {key: value for key, value in card.parameters.items() if key not in _UNWRITTEN}
                numbers = {key: number(value_of(value, values)) for key, value in parameters.items()}
                lines.append(_card(_written(name), card.kind, numbers))
        return lines

    def subcircuit(self, scope: Scope) -> list[str]:
        """A subcircuit."""
        lines = [f"subckt {scope.name} ({' '.join(scope.pins)})"]
        # One that is set from outside must have a number here.
        lines += [f"parameters {name}={number(value_of(text, {}))}" for name, text in scope.defaults.items()]
        lines += [f"parameters {name}={translated(text)}" for name, text in scope.derived.items()]
        for name, model in scope.models.items():
            lines.append(_card(name, model.kind, {key: translated(text) for key, text in model.parameters.items()}))
        return [*lines, *self.elements(scope, "  "), "ends"]

    def elements(self, scope: Scope, indent: str) -> list[str]:
        """Elements of a scope."""
        return [indent + line for element in scope.elements for line in self._element(element)]

    def _element(self, element: Element) -> list[str]:
        begin = f"{element.name} ({' '.join(element.nodes)})"
        if element.behaviour:
            return [f"{begin} {'v' if element.kind == 'e' else 'i'}={translated(element.value, probes=True)}"]
        value = translated(element.value) if element.value else ""
        given = {name: translated(text) for name, text in element.parameters.items() if name != "ic"}
        parameters = "".join(f" {name}={text}" for name, text in given.items())
        match element.kind:
            case "r":
                return [f"{begin} resistor r={value}"]
            case "c":
                return [f"{begin} capacitor c={value}"]
            case "v" | "i":
                return [f"{begin} {_SOURCES[element.kind]} dc={value}"]
            case "e" | "g":
                return [f"{begin} {_CONTROLLED[element.kind]} gain={value}"]
            case "f" | "h":
                return [f'{begin} {_CONTROLLED[element.kind]} ctlinst="{element.of}" gain={value}']
            case "m":
                return self._transistor(begin, element, given)
            case _:
                return [f"{begin} {element.of}{parameters}"]

    def _transistor(self, begin: str, element: Element, given: dict[str, str]) -> list[str]:
        """A MOSFET under the condition of its size, once for each model in use."""
        written = " ".join(f"{'$mfactor' if name == 'm' else name}={text}" for name, text in given.items())
        lines: list[str] = []
        for name in sorted(self.survey.bins.get(element.of, ())):
            edges = {edge: value_of(self.deck.top.models[name].parameters[edge], {}) * (1 - _CLOSE) for edge in _EDGES}
            condition = " && ".join(
                f"{given[size]} >= {number(edges[size + 'min'])} && {given[size]} < {number(edges[size + 'max'])}"
                for size in "lw"
            )
            lines += [f"@{'elseif' if lines else 'if'} {condition}", f"  {begin} {_written(name)} {written}"]
        return [*lines, "@end"]


_UNWRITTEN = frozenset((*_EDGES, "level", "version"))


def _written(model: str) -> str:
    return model.replace(".", "__")


def _card(name: str, kind: str, parameters: Mapping[str, str]) -> str:
    device, _, first = _DEVICES[kind]
    return f"model {name} {device} {' '.join([first, *(f'{key}={text}' for key, text in parameters.items())])}"
