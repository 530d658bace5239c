"""Bill of materials of a design: what to buy, how many, at what price, and which of it the E series has."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.files import CsvTable, write_text
from analog_fhn._support.words import engineering
from analog_fhn.array.sense import SENSE_OFFSET, SENSE_RESISTOR, SenseParts, op_amps
from analog_fhn.cell.parts import CAPACITOR, RESISTOR, Kind
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.positions import means_matrix
from analog_fhn.patches import Patches
from analog_fhn.technology.device import Series, Tolerance
from analog_fhn.technology.e_series import in_series

# Tolerance codes of resistors and capacitors (IEC 60062).
_CLASSES = {
    0.001: "B", 0.0025: "C", 0.005: "D", 0.01: "F", 0.02: "G", 0.05: "J", 0.1: "K", 0.2: "M",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One line of a bill of materials.

    Parameters
    ----------
    part
        Kind of part; for those that a section of the technology describes, with its name.
    value, unit
        Nominal value; None where a kind of part has only one.
    series, in_series
        E series that values are taken from, and whether it has this one; None where there is no such question.
    tolerance, tolerance_class
        Largest relative deviation, and its letter code if it has one.
    quantity
        Number of parts; of amplifiers that come several to a package the number of amplifiers.
    where
        Designators and where they stand.
    choice, price
        Class of the technology's `classes` that is bought, and the price of one part; None where there is none.
    """

    part: str
    value: float | None
    unit: str
    series: str | None
    in_series: bool | None
    tolerance: float | None
    tolerance_class: str | None
    quantity: int
    where: str
    choice: str | None = None
    price: float | None = None


class Bill(Rows[Item]):
    """Bill of materials: a line for each kind and value of part."""

    def _card(self) -> Card:
        total, unpriced = cost(self)
        price = f", {total:.2f} in all" if self and not unpriced else ""
        rows = [
            (item.part, None if item.value is None else engineering(item.value, item.unit), item.tolerance_class,
             item.quantity, item.where)
            for item in self
        ]  # fmt: skip
        grid = Grid(("part", "value", "class", "quantity", "where"), rows)
        return Card("Bill", f"{sum(item.quantity for item in self)} parts in {len(self)} lines{price}", grids=(grid,))


def bill(design: Design, *, recentre: bool = True) -> Bill:
    """All parts of a design; equal ones of different places stand in one line.

    Parameters
    ----------
    design
        Its cells, arrays and what stands between layers.
    recentre
        Whether the row drivers have their shift resistors.
    """
    merged: dict[tuple[object, ...], Item] = {}
    for bought, item in _items(design, recentre):
        if (part := design.technology.bought(bought)) is not None:
            item = replace(item, choice=part.name, price=part.price)
        key = item.part, item.value, item.unit, item.series, item.tolerance, item.choice, item.price
        if (known := merged.get(key)) is not None:
            item = replace(known, quantity=known.quantity + item.quantity, where=f"{known.where}; {item.where}")
        merged[key] = item
    return Bill(merged.values())


def cost(items: Iterable[Item]) -> tuple[float, list[str]]:
    """Price of a bill, and what it leaves out.

    Returns
    -------
    total
        Sum of price times quantity over the items that have a price, in the currency of the technology.
    unpriced
        Kinds of parts of which some have no price, each once; empty: `total` is that of the whole bill.
    """
    items = list(items)
    total = sum(item.price * item.quantity for item in items if item.price is not None)
    return float(total), list(dict.fromkeys(item.part for item in items if item.price is None))


def write_bill(items: list[Item], path: Path) -> None:
    """Write a bill as CSV; an empty field where there is nothing to say."""
    write_text(path, bill_text(items))


def bill_text(items: list[Item]) -> str:
    """Text of a bill's CSV file."""
    file = io.StringIO(newline="")
    table = CsvTable(file)
    table.writerow([field.name for field in fields(Item)])
    for item in items:
        table.writerow(["" if value is None else _text(value) for value in astuple(item)])
    return file.getvalue()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)


def _items(design: Design, recentre: bool) -> Iterator[tuple[str, Item]]:
    """Each with the key of `Technology.classes` that it is bought by."""
    yield from _passives_of_cells(design, recentre)
    technology, arrays = design.technology, list(zip(design.array_names, design.arrays, strict=True))
    if technology.READ_OUT != "transimpedance":
        raise InputError(
            f"technology {technology.name!r} (cell {technology.cell!r}): a chip of transistors has no parts to be "
            "bought; expected a technology of a board"
        )
    sense = op_amps(technology)
    for array, target in arrays:
        for name in SenseParts.names(SENSE_RESISTOR):
            values = getattr(target.sense, name)
            item = _passive(
                "resistor", float(values[0]), "ohm", sense.series, sense.resistor_tolerance, len(values), name,
                f"transimpedance amplifiers of the {array}",
            )  # fmt: skip
            yield "sense_resistor", item
    for cell, layer in zip(design.cells, design.layer_names, strict=True):
        for section, words, number, where in cell.devices():
            yield section, _plain(words, number * cell.n_cells, where + layer)
    for array, target in arrays:
        count = len(SenseParts.names(SENSE_OFFSET)) * len(target.sense)
        where = f"U1 U2 of the transimpedance amplifiers of the {array}"
        yield "sense_amplifier", _plain("operational amplifier (sense_amplifier)", count, where)
    yield from _held(design)
    for array, target in arrays:
        for item in _devices(design, array, target.crossbar.conductance):
            yield "array", item
    if technology.dac is not None:
        item = _plain("digital-to-analog converter", design.crossbars[0].n_in, "rows of the input array")
        yield "dac", replace(item, value=technology.dac.bits, unit="bit")
    if technology.adc is not None:
        item = _plain("analog-to-digital converter", design.network.output.n_out, "outputs")
        yield "adc", replace(item, value=technology.adc.bits, unit="bit")


def _held(design: Design) -> Iterator[tuple[str, Item]]:
    """Hold stages, what averages their outputs, and the switches that connect a patch to the next array's rows.

    A mean is the node that one resistor per held value leads to, followed by an amplifier; see `docs/circuit.md`.
    """
    network, hold = design.network, design.technology.hold
    for number, dense in enumerate(network.hidden_layers):
        if not network.held[number]:
            continue
        stages = f"behind hidden layer {number + 1}, {dense.n_values // dense.n_out} positions x {dense.n_out}"
        yield "hold", _plain("sample-and-hold stage (hold)", dense.n_values, stages)
        if hold.capacitor is not None:
            item = _plain("hold capacitor", dense.n_values, stages)
            yield "hold_capacitor", replace(item, value=hold.capacitor, unit="F")
        front, array = network.fronts[number + 1], design.array_names[number + 1]
        if front.pools:
            means = means_matrix(front, dense.n_values)
            where = f"means in front of the {array}"
            yield "averaging_resistor", _plain("averaging resistor, equal values", means.nnz, where)
            yield "sense_amplifier", _plain("operational amplifier (sense_amplifier)", means.shape[0], where)
        if front.patches is not None:
            where = f"from held values to rows of the {array}"
            yield "switch", _plain("analog switch", _switches(front.patches), where)
        if dense.n_values > dense.n_out:  # a low-pass begins every position at 0 V
            where = f"across Cf of the row drivers of hidden layer {number + 1}"
            yield "switch", _plain("analog switch", dense.n_out, where)


def _switches(patches: Patches) -> int:
    """Pairs of a row and a value that it is given at some position; all padding of a row counts as one value."""
    numbers = np.arange(1.0, patches.n_inputs + 1.0)[None]  # 0 is the padding
    given = replace(patches, fill=0.0).take(numbers)
    return sum(len(np.unique(column)) for column in given.T)


_WORDS = {RESISTOR: "resistor", CAPACITOR: "capacitor"}


def _passives_of_cells(design: Design, recentre: bool) -> Iterator[tuple[str, Item]]:
    """Resistors, then capacitors of the hidden cells."""
    for kind in _WORDS:
        for cell, layer in zip(design.cells, design.layer_names, strict=True):
            left_out = cell.left_out(recentre)
            for where, group in zip(cell.streams, cell.nominal, strict=True):
                for name in group.names(kind):
                    if name not in left_out:
                        value = float(getattr(group, name)[0])
                        yield kind.section, _of_kind(design, kind, value, cell.n_cells, name, f"{where}s{layer}")


def _of_kind(design: Design, kind: Kind, value: float, count: int, name: str, where: str) -> Item:
    section = getattr(design.technology, kind.section)
    return _passive(_WORDS[kind], value, kind.unit, section.series, section.tolerance, count, name, where)


def _devices(design: Design, array: str, target: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Iterator[Item]:
    """Devices of an array by their target conductances; those that can be set to any value in one line."""
    technology = design.technology
    where = f"{array}, {target.shape[0]} rows, {target.shape[1]} bit lines"
    if technology.array.level_values is None:
        yield _plain("array device, settable", target.size, where)
        return
    device, error = technology.array.device, technology.array.programming_error
    part, series, tolerance = "array resistor", technology.array_series, None
    if device is not None:
        series = device.levels.series if isinstance(device.levels, Series) else None
        part = "array resistor" if series else f"array device, {device.levels.kind if device.levels else 'settable'}"
    if isinstance(error, float):
        # Spread as a tolerance class t is: normal with sigma = t/3.
        tolerance = 3.0 * error or None
    elif device is not None and isinstance(device.programming, Tolerance):
        tolerance = device.programming.tolerance
    levels, counts = np.unique(target, return_counts=True)
    for level, count in zip(levels.tolist(), counts.tolist(), strict=True):
        if device is not None and device.levels is None:
            yield replace(_plain(part, count, where), value=level, unit="S")
        elif level > 0.0:
            yield _passive(part, 1.0 / level, "ohm", series, tolerance, count, "", where)


def _passive(
    part: str, value: float, unit: str, series: str | None, tolerance: float | None, count: int, name: str, where: str
) -> Item:
    known = None if series is None else in_series(series, value)
    letter = next((code for t, code in _CLASSES.items() if tolerance is not None and abs(t - tolerance) < 1e-9), None)
    place = f"{name[0].upper()}{name[1:]} of the {where}" if name else where
    return Item(part, value, unit, series, known, tolerance, letter, count, place)


def _plain(part: str, count: int, where: str) -> Item:
    return Item(part, None, "", None, None, None, None, count, where)
