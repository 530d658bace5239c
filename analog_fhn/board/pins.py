"""Which pin of a package is which terminal: by the names in its symbol, and by the data sheet of what is bought."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from analog_fhn.board.catalogue import named
from analog_fhn.board.schematic_reader import Package, Pin


def terminal_pins(package: Package, unit: str, terminals: Collection[str]) -> tuple[dict[str, Pin], list[str]]:
    """Pins of an element by terminal, and what is wrong with them.

    A pin is a terminal if the symbol calls it so. Where it calls none so, the catalogue of parts says which it is.

    Parameters
    ----------
    unit
        Letter of the unit; "": the package has one.
    """
    by_name = {pin.name: pin for pin in package.unit(unit)}
    by_number = {pin.number: pin for pin in package.pins if pin.name not in terminals}
    bought = _numbers(package, unit)
    found, wrong = {}, []
    for terminal in terminals:
        number = bought.get(terminal)
        pin = by_name.get(terminal)
        if pin is None and number is not None:
            pin = by_number.get(number)
        if pin is None:
            wrong.append(f"it has no pin {terminal}")
        else:
            found[terminal] = pin
            if number is not None and pin.number != number:
                what = package.fields.get("MPN", "")
                wrong.append(f"its symbol has {terminal} at pin {pin.number}, and {what} has it at pin {number}")
    return found, wrong


def _numbers(package: Package, unit: str) -> Mapping[str, str]:
    """Pins of a unit by terminal as the catalogue of parts has them; empty where it does not know the part."""
    component = named(package.fields.get("MPN", ""))
    index = ord(unit) - ord("A") if len(unit) == 1 else 0
    if component is None or not 0 <= index < len(component.units):
        return {}
    return {**component.units[index], **component.power}
