"""A schematic that is a heap of symbols with a label at each pin: the shortest way from parts to a KiCad project."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Pins of each unit, number by terminal; of several units the power pins are a unit of their own.
SYMBOLS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "resistor": ({"1": "1", "2": "2"},),
    "capacitor": ({"1": "1", "2": "2"},),
    "opamp": (
        {"+": "3", "-": "2", "out": "1"},
        {"+": "5", "-": "6", "out": "7"},
        {"V+": "8", "V-": "4"},
    ),
    "opamp_swapped": (
        {"+": "2", "-": "3", "out": "1"},
        {"+": "5", "-": "6", "out": "7"},
        {"V+": "8", "V-": "4"},
    ),
    "multiplier": ({"X1": "1", "X2": "2", "Y1": "3", "Y2": "4", "V-": "5", "Z": "6", "W": "7", "V+": "8"},),
    "ota": (
        {"+": "3", "-": "4", "abc": "1", "out": "5", "bias": "2"},
        {"+": "14", "-": "13", "abc": "16", "out": "12", "bias": "15"},
        {"V+": "11", "V-": "6"},
    ),
    "diode": ({"A": "2", "K": "1"},),
    "connector": ({"signal": "1", "0": "2"},),
}


@dataclass
class Package:
    """A package: its symbol, fields, and the net of each pin by its number; pins without a net are not connected."""

    reference: str
    symbol: str
    value: str
    fields: dict[str, str]
    nets: dict[str, str]


def write(packages: Sequence[Package], folder: Path, name: str = "board") -> None:
    """Write a project of one sheet."""
    (folder / f"{name}.kicad_pro").write_text("{}\n")
    root = _uuid("root")
    body = [_library(kind) for kind in SYMBOLS]
    symbols, paths = [], []
    for k, one in enumerate(packages):
        for unit, pins in enumerate(SYMBOLS[one.symbol], 1):
            x, y = 30.48 + 50.8 * unit, 30.48 + 50.8 * k
            here = _uuid(f"{one.reference} {unit}")
            symbols.append(_symbol(one, unit, x, y, here))
            for row, number in enumerate(pins.values()):
                symbols.append(_pin_label(one.nets.get(number), x, y - 2.54 * row))
            paths.append(
                f'(path "/{here}" (reference "{one.reference}") (unit {unit}) (value "{one.value}") (footprint ""))'
            )
    text = [
        f'(kicad_sch (version 20211123) (generator analog_fhn) (uuid {root}) (paper "A0")',
        "(lib_symbols", *body, ")", *symbols,
        '(sheet_instances (path "/" (page "1")))', "(symbol_instances", *paths, "))",
    ]  # fmt: skip
    (folder / f"{name}.kicad_sch").write_text("\n".join(text) + "\n")


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _library(kind: str) -> str:
    units = []
    for unit, pins in enumerate(SYMBOLS[kind], 1):
        lines = [
            f"(pin passive line (at 0 {2.54 * row:.2f} 0) (length 2.54)"
            f' (name "{name}" (effects (font (size 1.27 1.27)))) (number "{number}" (effects (font (size 1.27 1.27)))))'
            for row, (name, number) in enumerate(pins.items())
        ]
        units.append(f'(symbol "{kind}_{unit}_1" {" ".join(lines)})')
    return (
        f'(symbol "analog_fhn:{kind}" (in_bom yes) (on_board yes) (property "Reference" "U" (id 0) (at 0 0 0))'
        f' (property "Value" "{kind}" (id 1) (at 0 0 0)) {" ".join(units)})'
    )


def _symbol(one: Package, unit: int, x: float, y: float, here: str) -> str:
    fields = {"Reference": one.reference, "Value": one.value, "Footprint": "", "Datasheet": ""} | one.fields
    properties = [
        f'(property "{key}" "{text}" (id {k}) (at {x} {y} 0))' for k, (key, text) in enumerate(fields.items())
    ]
    return (
        f'(symbol (lib_id "analog_fhn:{one.symbol}") (at {x} {y:.2f} 0) (unit {unit}) (in_bom yes) (on_board yes)'
        f" (uuid {here}) {' '.join(properties)})"
    )


def _pin_label(net: str | None, x: float, y: float) -> str:
    place = f"(at {x} {y:.2f}"
    if net is None:
        return f"(no_connect {place}) (uuid {_uuid(place)}))"
    return f'(global_label "{net}" (shape input) {place} 180) (effects (font (size 1.27 1.27))) (uuid {_uuid(place)}))'
