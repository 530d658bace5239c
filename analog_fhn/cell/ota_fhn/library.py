"""Reads our own subcircuits of transistors: which transistors they have, and how these are sized.

A file in `netlists/` is the one statement of a circuit: the parts that are drawn, their areas and the instances of a
netlist all follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from functools import cache

from analog_fhn._support.resources import resource
from analog_fhn.cell.parts import CAPACITOR, Deviation, Kind, Parts, part
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.foundry import Extent, Mismatch, Polarity

# Deviations are drawn for a transistor of an effective area of 1 m^2, so that areas may change and draws stay.
THRESHOLD: Mapping[Polarity, Kind] = {p: Kind(f"fet_{p}", False, Deviation("threshold", False)) for p in ("n", "p")}
GAIN: Mapping[Polarity, Kind] = {p: Kind(f"fet_{p}", False, Deviation("gain", False)) for p in ("n", "p")}

_FET = re.compile(
    r"^X(?P<name>\w+)\s+(?P<nodes>\S+\s+\S+\s+\S+\s+\S+)\s+fet_(?P<polarity>[np])\s+(?P<values>.*)$", re.IGNORECASE
)
_LESS, _MORE = 1.0 - 1e-9, 1.0 + 1e-9  # rounding of decimal numbers
_EXPONENTS = {"t": 12, "g": 9, "meg": 6, "k": 3, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}


@dataclass(frozen=True)
class Transistor:
    """One transistor of a subcircuit; width, length and number are numbers or names of the subcircuit's parameters."""

    name: str
    polarity: Polarity
    width: str
    length: str
    number: str


@dataclass(frozen=True)
class Subcircuit:
    """A subcircuit of transistors as its file states it.

    Parameters
    ----------
    name
        Of the subcircuit; that of its file is the same with ``.lib``.
    pins
        Their names, in their order.
    sizes
        Parameters and their defaults, but for the deviations of transistors.
    transistors
        In the order of the file.
    capacitors
        Names of the capacitors' parameters, whose values have a tolerance.
    """

    name: str
    pins: tuple[str, ...]
    sizes: Mapping[str, float]
    transistors: tuple[Transistor, ...]
    capacitors: tuple[str, ...]

    def with_sizes(self, sizes: Mapping[str, float]) -> Mapping[str, float]:
        """All sizes, those that are given in place of the defaults.

        Raises
        ------
        InputError
            For a name that the subcircuit does not have.
        """
        for name in sizes:
            if name not in self.sizes:
                raise InputError(
                    f"subcircuit {self.name!r} has no size {shown(name)}; there are {', '.join(self.sizes)}"
                )
        return {**self.sizes, **sizes}

    def check(self, sizes: Mapping[str, float], extents: Mapping[Polarity, Extent]) -> None:
        """Refuse transistors that the models are not made for.

        Raises
        ------
        InputError
            Naming the first of them.
        """
        for one in self.transistors:
            width, length, number = (_value(text, sizes) for text in (one.width, one.length, one.number))
            made = extents[one.polarity]
            (narrowest, widest), (shortest, longest) = made.width, made.length
            fits = narrowest * _LESS <= width <= widest * _MORE and shortest * _LESS <= length <= longest * _MORE
            if not fits or number <= 0:
                raise InputError(
                    f"subcircuit {self.name!r}: transistor {one.name} is {width:g} m wide and {length:g} m long, "
                    f"{number:g} in parallel; the models are made for {narrowest:g} to {widest:g} m by {shortest:g} to "
                    f"{longest:g} m"
                )

    def root_areas(self, sizes: Mapping[str, float], mismatch: Mapping[Polarity, Mismatch]) -> dict[str, float]:
        """Square root of each transistor's effective area (m), by its name."""
        areas = {}
        for one in self.transistors:
            width, length, number = (_value(text, sizes) for text in (one.width, one.length, one.number))
            areas[one.name] = mismatch[one.polarity].root_area(width, length, number)
        return areas

    def gate_area(self, sizes: Mapping[str, float]) -> float:
        """Area of all gates (m^2)."""
        return sum(
            _value(one.width, sizes) * _value(one.length, sizes) * _value(one.number, sizes) for one in self.transistors
        )

    @property
    def parts(self) -> type[Parts]:
        """Class of the drawn values: of each transistor a threshold (V m) and a gain factor (m); capacitors (F)."""
        return _parts(self)

    def nominal(self, sizes: Mapping[str, float], n: int) -> Parts:
        """Parts of `n` subcircuits without deviations."""
        return self.parts.alike(n, {name: sizes[name] for name in self.capacitors})

    def values(
        self, parts: Parts, index: int, sizes: Mapping[str, float], areas: Mapping[str, float]
    ) -> dict[str, float]:
        """Parameters of the instance of one cell.

        Parameters
        ----------
        parts
            Of all cells.
        index
            Of the cell.
        sizes, areas
            As by `with_sizes` and `root_areas`.
        """
        drawn = {name: float(values[index]) for name, values in parts.items()}
        values = {name: value for name, value in sizes.items() if value != self.sizes[name]}
        values |= {name: drawn[name] for name in self.capacitors}
        for one in self.transistors:
            threshold, gain = drawn[f"dvt_{one.name}"], drawn[f"beta_{one.name}"]
            if threshold:
                values[f"dvt_{one.name}"] = threshold / areas[one.name]
            if gain:
                values[f"beta_{one.name}"] = 1.0 + gain / areas[one.name]
        return values


@cache
def subcircuit(name: str) -> Subcircuit:
    """The subcircuit of `netlists/<name>.lib` of that name."""
    text = resource("netlists", f"{name}.lib").read_text(encoding="ascii")
    return parsed(text, name)


def parsed(text: str, name: str) -> Subcircuit:
    """The subcircuit of this name in a library's text.

    Raises
    ------
    ValueError
        If it is not there, or a line of a transistor is not as expected.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("+") and lines:
            lines[-1] += " " + line[1:]
        elif line.strip() and not line.startswith("*"):
            lines.append(line.split(" ;")[0].strip())
    begin = next((k for k, line in enumerate(lines) if line.lower().startswith(f".subckt {name} ")), None)
    if begin is None:
        raise ValueError(f"no subcircuit {name!r}")
    words = re.sub(r"\bparams:", " ", lines[begin], flags=re.IGNORECASE).split()
    pins = tuple(word for word in words[2:] if "=" not in word)
    defaults = {key.lower(): _number(value) for key, value in (word.split("=") for word in words[2:] if "=" in word)}
    transistors, capacitors = [], []
    for line in lines[begin + 1 :]:
        if line.lower().startswith(".ends"):
            break
        if match := _FET.match(line):
            values = {
                key.lower(): value.strip("{}").lower()
                for key, value in re.findall(r"(\w+)=(\{[^}]*\}|\S+)", match["values"])
            }
            fet = match["name"].lower()
            if values.get("dvt") != f"dvt_{fet}" or values.get("beta") != f"beta_{fet}":
                raise ValueError(f"subcircuit {name!r}: expected dvt={{dvt_{fet}}} beta={{beta_{fet}}} in {line!r}")
            polarity: Polarity = "n" if match["polarity"].lower() == "n" else "p"
            transistors.append(Transistor(fet, polarity, values["w"], values["l"], values.get("m", "1")))
        elif line[0].lower() == "c":
            capacitors.append(line.split()[3].strip("{}").lower())
    sizes = {key: value for key, value in defaults.items() if not key.startswith(("dvt_", "beta_"))}
    return Subcircuit(name, pins, sizes, tuple(transistors), tuple(c for c in dict.fromkeys(capacitors) if c in sizes))


@cache
def _parts_of(name: str, transistors: tuple[tuple[str, Polarity], ...], capacitors: tuple[str, ...]) -> type[Parts]:
    entries = []
    for fet, polarity in transistors:
        entries.append((f"dvt_{fet}", FloatArray, part(THRESHOLD[polarity], lot="dvt")))
        entries.append((f"beta_{fet}", FloatArray, part(GAIN[polarity], lot="beta")))
    entries += [(capacitor, FloatArray, part(CAPACITOR)) for capacitor in capacitors]
    made: type[Parts] = make_dataclass(f"{name.title().replace('_', '')}Parts", entries, bases=(Parts,), frozen=True)
    return made


def _parts(subcircuit: Subcircuit) -> type[Parts]:
    return _parts_of(
        subcircuit.name, tuple((t.name, t.polarity) for t in subcircuit.transistors), subcircuit.capacitors
    )


def _number(text: str) -> float:
    """A SPICE number: digits and a suffix."""
    match = re.fullmatch(r"([-+]?[0-9.]+)(?:e([-+]?[0-9]+))?(meg|[tgkmunpf])?", text.strip("{}").lower())
    if match is None:
        raise ValueError(f"{text!r}: expected a number")
    return float(f"{match[1]}e{int(match[2] or 0) + _EXPONENTS.get(match[3] or '', 0)}")


def _value(text: str, sizes: Mapping[str, float]) -> float:
    return sizes[text] if text in sizes else _number(text)
