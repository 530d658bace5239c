"""Parts and nets of a KiCad schematic, as kicad-monkey reads it: the hierarchy flattened, wires and labels followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analog_fhn._support.extras import extra
from analog_fhn.errors import InputError, shown

if TYPE_CHECKING:
    from kicad_monkey.kicad_netlist_model import KiCadNetlist

# Fields of a symbol that say which element of the netlist it is, and what this chip's part has.
CIRCUIT, ACTUAL = "Circuit", "Actual"


@dataclass(frozen=True)
class Pin:
    """One pin of a package.

    Parameters
    ----------
    unit
        Of the symbol: A, B, ...
    name
        In the symbol; its number, where it has none.
    net
        None: nothing is connected to it.
    """

    number: str
    unit: str
    name: str
    net: str | None


@dataclass(frozen=True)
class Package:
    """One package of a schematic, with all its units."""

    reference: str
    value: str
    fields: Mapping[str, str]
    pins: tuple[Pin, ...]

    def elements(self) -> Iterator[tuple[str, str, str]]:
        """Unit ("" of a package with one), path in the netlist, and the numbers of this chip's part."""
        for name, path in self.fields.items():
            base, _, unit = name.partition("_")
            if base == CIRCUIT and path:
                yield unit, path.lower(), self.fields.get(f"{ACTUAL}_{unit}" if unit else ACTUAL, "")

    def unit(self, unit: str) -> list[Pin]:
        """Pins that no other element has, and after them those of a unit; of "" all pins."""
        others = {one for one, _, _ in self.elements()} - {unit}
        pins = [pin for pin in self.pins if pin.unit not in others]
        return sorted(pins, key=lambda pin: pin.unit == unit)


def project_in(folder: Path) -> Path:
    """The KiCad project in a folder.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    found = sorted(folder.glob("*.kicad_pro"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder}: expected one project of KiCad, *.kicad_pro; found {names}")
    return found[0]


def read_schematic(project: Path) -> list[Package]:
    """Packages of a project's schematic.

    Raises
    ------
    InputError
        If it cannot be read.
    MissingProgramError
        If kicad-monkey is not installed.
    """
    with extra("board", "reading a schematic needs kicad-monkey"):
        from kicad_monkey import KiCadDesign
    path = project.with_suffix(".kicad_sch")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected the schematic of {project.name}")
    try:
        netlist = KiCadDesign.from_project_file(project).to_netlist()
    except Exception as error:  # of a damaged file it raises whatever its parts do
        raise InputError(f"{path}: kicad-monkey cannot read it ({type(error).__name__}: {error})") from None
    packages = list(_packages(netlist))
    if not packages:
        raise InputError(f"{path}: no parts; expected the schematic of a board")
    return packages


def _packages(netlist: KiCadNetlist) -> Iterator[Package]:
    connected: dict[tuple[str, str], str] = {}
    for net in netlist.nets:
        if not net.name.startswith("unconnected-("):
            for terminal in net.terminals:
                connected[terminal.designator, terminal.pin] = net.name.replace("{slash}", "/")
    names = {
        (part.lib, part.part): {pin.number: "" if pin.name == "~" else pin.name for pin in part.pins}
        for part in netlist.libparts
    }
    for one in netlist.components:
        known = names.get((one.libsource_lib, one.libsource_part), {})
        pins = (
            Pin(number, unit.name, known.get(number, "") or number, connected.get((one.reference, number)))
            for unit in one.units
            for number in unit.pins
        )
        yield Package(one.reference, one.value, dict(one.fields), tuple(pins))


_PREFIXES = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_VALUE = re.compile(r"(\d+\.?\d*(?:[eE][+-]?\d+)?)\s*([pnuµμmkMG]?)\s*(?:Ω|ohm|F)?")


def value_of(text: str) -> float | None:
    """A value such as 4.87k or 10nF in ohm or F; None: it is none."""
    match = _VALUE.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _PREFIXES[match[2]]


def percentage_of(text: str) -> float | None:
    """A tolerance such as "1 %, F" as a share of 1; None: none stands there."""
    match = re.search(r"(\d+\.?\d*)\s*%", text)
    return None if match is None else float(match[1]) / 100.0


def numbers_of(package: str, text: str) -> dict[str, float]:
    """Numbers of a field `Actual`: pairs name=number.

    Raises
    ------
    InputError
        If something else stands there.
    """
    found = {}
    for word in text.split():
        name, _, number = word.partition("=")
        try:
            found[name.lower()] = float(number)
        except ValueError:
            raise InputError(f"{package}, field {ACTUAL}, {shown(word)}: expected name=number") from None
    return found
