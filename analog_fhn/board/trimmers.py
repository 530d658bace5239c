"""Jumpers of a schematic: what they join as they are delivered, and which trimmers they put in place of resistors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from analog_fhn.board.schematic_reader import Package, value_of


def closed(packages: list[Package]) -> tuple[list[Package], list[str]]:
    """Packages with the nets joined that jumpers join as they are delivered, from pin 1 to pin 2.

    Returns
    -------
    packages
        With one name for such nets: that of pin 2.
    useless
        Jumpers that can open nothing, since both pins are on one net.
    """
    names: dict[str, str] = {}
    useless = []

    def name(net: str) -> str:
        while net in names:
            net = names[net]
        return net

    for reference, nets in _jumpers(packages):
        one, two = nets.get("1"), nets.get("2")
        if one is None or two is None:
            continue
        if one == two:
            useless.append(reference)
        elif name(one) != name(two):
            names[name(one)] = name(two)
    joined = [
        replace(
            package,
            pins=tuple(replace(pin, net=pin.net if pin.net is None else name(pin.net)) for pin in package.pins),
        )
        for package in packages
    ]
    return joined, useless


def trimmers(packages: list[Package]) -> dict[str, float]:
    """Largest resistance (ohm) of the trimmer that a jumper can put in the place of a resistor, by its reference."""
    beside = {nets["1"]: nets["3"] for _, nets in _jumpers(packages) if nets.get("1") and nets.get("3")}
    reach = {}
    for package in _of(packages, "RV"):
        if (value := value_of(package.value)) is not None:
            reach[frozenset(pin.net for pin in package.pins)] = value
    found = {}
    for package in _of(packages, "R"):
        ends = {pin.net for pin in package.pins if pin.net is not None}
        for end in ends & beside.keys():
            both = frozenset(ends - {end} | {beside[end]})
            if both in reach:
                found[package.reference] = reach[both]
    return found


def _jumpers(packages: list[Package]) -> Iterator[tuple[str, dict[str, str]]]:
    """Reference of each, and net by pin."""
    for package in _of(packages, "JP"):
        yield package.reference, {pin.number: pin.net for pin in package.pins if pin.net is not None}


def _of(packages: list[Package], prefix: str) -> Iterator[Package]:
    return (package for package in packages if re.fullmatch(rf"{prefix}\d+", package.reference))
