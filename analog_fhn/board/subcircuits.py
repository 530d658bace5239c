"""Parts of each subcircuit in `netlists/` that a board is built of, by the names and nodes of those files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analog_fhn.board.elements import Kind

# Parameters of amplifiers and multipliers that are alike in all of them.
_AMPLIFIER = {name: name for name in ("ib", "gain", "gbw", "slew", "drop_high", "drop_low", "iq")}
_MULTIPLIER = {"scale": "scale", "bw": "bw", "drop_high": "m_drop_high", "drop_low": "m_drop_low", "iq": "m_iq"}


@dataclass(frozen=True)
class SubcircuitPart:
    """One part of a subcircuit that is bought.

    Parameters
    ----------
    name
        Of its instance in the subcircuit, in lower case; "": the subcircuit itself, without its other parts.
    kind
        See `analog_fhn.board.circuit.Element`.
    terminals
        Nodes by terminal.
    section
        Kind of part in the technology's `classes`.
    parameters
        Names of the part's own parameters, and those of the subcircuit that set them.
    """

    name: str
    kind: Kind
    terminals: Mapping[str, str]
    section: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subcircuit:
    """Pins in their order, and parts of a subcircuit."""

    pins: tuple[str, ...]
    parts: tuple[SubcircuitPart, ...]


def _passive(kind: Kind, section: str, name: str, first: str, second: str) -> SubcircuitPart:
    return SubcircuitPart(name, kind, {"1": first, "2": second}, section, {"value": name})


def _resistors(section: str = "resistor", **ends: tuple[str, str]) -> tuple[SubcircuitPart, ...]:
    return tuple(_passive("resistor", section, name, *nodes) for name, nodes in ends.items())


def _capacitors(**ends: tuple[str, str]) -> tuple[SubcircuitPart, ...]:
    return tuple(_passive("capacitor", "capacitor", name, *nodes) for name, nodes in ends.items())


def _amplifier(
    name: str, plus: str, minus: str, out: str, offset: str = "vos", section: str = "opamp"
) -> SubcircuitPart:
    terminals = {"+": plus, "-": minus, "out": out, "V+": "vcc", "V-": "vee"}
    return SubcircuitPart(name, "opamp", terminals, section, {"vos": offset} | _AMPLIFIER)


def _multiplier(name: str, x: str, y: str, w: str) -> SubcircuitPart:
    terminals = {"X1": x, "X2": "0", "Y1": y, "Y2": "0", "Z": "0", "W": w, "V+": "vcc", "V-": "vee"}
    own = {"scale_error": "scale", "x_os": "x", "y_os": "y", "z_os": "z"}
    errors = {ours: f"{name[1:]}_{theirs}" for ours, theirs in own.items()}
    return SubcircuitPart(name, "multiplier", terminals, "multiplier", _MULTIPLIER | errors)


def _diode(name: str, anode: str, cathode: str) -> SubcircuitPart:
    terminals = {"A": anode, "K": cathode}
    return SubcircuitPart(name, "diode", terminals, "rectifier", {"isat": "isat", "emission": "emission"})


_PAIR = ("vos", "dvbe_tail", "dvbe_source", "dvbe_sink", "bn", "bp", "isat", "vaf")
_DRIVER = (
    *_resistors(rin=("in", "sum"), rshift=("shift", "sum"), rf=("row", "sum")),
    _amplifier("xu", "0", "sum", "row"),
)
_DRIVER_PINS = ("in", "row", "shift", "vcc", "vee")

SUBCIRCUITS: Mapping[str, Subcircuit] = {
    "fhn_neuron": Subcircuit(
        ("x", "nx", "y", "sum2", "vref", "vcc", "vee"),
        (
            *_resistors(
                r1=("nx", "sum1"), r2=("cube", "sum1"), r3=("y", "sum1"), r4=("nx", "sum2"), r5=("vref", "sum2"),
                ra=("x", "sum3"), rb=("nx", "sum3"),
            ),
            *_capacitors(cx=("x", "sum1"), cy=("y", "sum2")),
            _amplifier("xu1", "0", "sum1", "x", "vos1"),
            _amplifier("xu2", "0", "sum2", "y", "vos2"),
            _amplifier("xu3", "0", "sum3", "nx", "vos3"),
            _multiplier("xm1", "x", "x", "square"),
            _multiplier("xm2", "x", "square", "cube"),
        ),
    ),
    "tanh_pair": Subcircuit(
        ("inp", "inn", "out", "vcc", "vee"),
        (
            *_resistors(
                rs1=("inp", "base1"), rp1=("base1", "0"), rs2=("inn", "base2"), rp2=("base2", "0"), rabc=("0", "abc"),
            ),
            SubcircuitPart(
                "",
                "ota",
                {"+": "base1", "-": "base2", "abc": "abc", "out": "out", "V+": "vcc", "V-": "vee"},
                "tanh_pair",
                {name: name for name in _PAIR},
            ),
        ),
    ),
    "rectifier": Subcircuit(
        ("z", "out", "vplus", "vref", "vcc", "vee"),
        (
            *_resistors(
                rz=("z", "in"), rl1=("vplus", "limit"), rl2=("limit", "0"), rout=("a", "out"), roff=("vref", "out"),
            ),
            _diode("d3", "0", "in"),
            _diode("d2", "in", "low"),
            _diode("d1", "high", "a"),
            _amplifier("xu5", "limit", "in", "low", "vos5"),
            _amplifier("xu4", "in", "a", "high", "vos4"),
        ),
    ),
    "row_driver": Subcircuit(_DRIVER_PINS, _DRIVER),
    "smoothing_driver": Subcircuit(_DRIVER_PINS, (*_DRIVER, *_capacitors(cf=("row", "sum")))),
    "transimpedance": Subcircuit(
        ("inp", "inn", "out", "vcc", "vee"),
        (
            *_resistors("sense_resistor", rf=("half", "inp"), ra=("half", "inn"), rb=("out", "inn")),
            _amplifier("xu1", "0", "inp", "half", "vos1", "sense_amplifier"),
            _amplifier("xu2", "0", "inn", "out", "vos2", "sense_amplifier"),
        ),
    ),
}  # fmt: skip
