"""Measurements of the bench protocol as a CSV file: written to be filled in, and read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from analog_fhn._support.files import new_table
from analog_fhn._support.tables import TextTable, excerpt, finite_number, named_rows, read_text_table
from analog_fhn._support.words import listed
from analog_fhn.board.bench_steps import TIMES, BenchProtocol, Step
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

READ = ("response", "v_y", "v_nx", "w", "period", "v_x_high", "v_x_low", "v_y_rms", "rise", "row")
"""Columns of readings, after those that say what was applied."""
_APPLIED = ("step", "neuron", "drive", "v_z")
_FACTOR = {"period": 5.0, "rise": 20.0}  # within which a time lies of the nominal cell's
_DRIVES_ALIKE = 1e-3  # of |gamma|


def write_measurements(path: Path, steps: Sequence[Sequence[Step]], readings: Sequence[FloatArray]) -> None:
    """Write a table of one line for each cell and step; readings that are NaN are left to be filled in.

    Parameters
    ----------
    steps
        Of each hidden layer.
    readings
        Of each hidden layer, (n_neurons, n_readings), in the order of the steps.
    """
    layers = len(steps) > 1
    with new_table(path, lineterminator="\n") as table:
        table.writerow(["step", *(["layer"] if layers else []), *_APPLIED[1:], *READ])
        for layer, (of_layer, values) in enumerate(zip(steps, readings, strict=True)):
            for neuron, row in enumerate(values):
                numbers = iter(row)
                for step in of_layer:
                    found = {column: next(numbers) for column in step.readings}
                    drive, volts = ("" if v is None else f"{v:g}" for v in (step.drive, step.volts_z))
                    cells = [_text(found.get(column, math.nan)) for column in READ]
                    table.writerow([step.name, *([layer] if layers else []), neuron, drive, volts, *cells])


def kept_readings(path: Path, steps: Sequence[Sequence[Step]], readings: Sequence[FloatArray]) -> list[FloatArray]:
    """Readings, and where they are NaN those that stand in a table that is there already; arguments as above.

    Raises
    ------
    InputError
        If there is a file that is no such table.
    """
    whole = [values.copy() for values in readings]
    if not path.exists():
        return whole
    for table, line, values, layer, neuron in _lines(path, list(map(len, whole))):
        places = [(step.name, column) for step in steps[layer] for column in step.readings]
        found = _named(table, line, values, steps[layer])
        for k, (name, column) in enumerate(places):
            if name == found.name and values[column].strip() and np.isnan(whole[layer][neuron, k]):
                whole[layer][neuron, k] = finite_number(table, line, column, values[column])
    return whole


def _text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def read_measurements(
    path: Path, protocols: Sequence[BenchProtocol], expected: Sequence[FloatArray]
) -> list[FloatArray]:
    """Readings of each hidden layer, (n_neurons, n_readings); NaN where a cell of the table is empty.

    Parameters
    ----------
    expected
        Readings of a nominal cell of each layer, (n_readings,).

    Raises
    ------
    InputError
        For whatever is wrong with the file, or a reading that no such circuit gives; names line and column.
    """
    found = [np.full((one.cell.n_cells, len(one.readings)), np.nan) for one in protocols]
    for table, line, values, layer, neuron in _lines(path, list(map(len, found))):
        protocol = protocols[layer]
        number = _step(table, line, values, protocol)
        for k, reading in enumerate(protocol.readings):
            if reading.step == number and values[reading.column].strip():
                if np.isfinite(found[layer][neuron, k]):
                    raise InputError(
                        f"{path}, line {line}, column {reading.column!r}: step {values['step'].strip()} of neuron "
                        f"{neuron} is in the table twice; expected one line for each"
                    )
                value = finite_number(table, line, reading.column, values[reading.column])
                _check(table, line, reading.column, value, protocol, float(expected[layer][k]))
                found[layer][neuron, k] = value
    for layer, readings in enumerate(found):
        if not np.isfinite(readings).any():
            of = f" of hidden layer {layer + 1}" if len(found) > 1 else ""
            raise InputError(f"{path}: no reading of any cell{of}; expected some in the columns {', '.join(READ)}")
    return found


def _lines(path: Path, neurons: Sequence[int]) -> Iterator[tuple[TextTable, int, dict[str, str], int, int]]:
    """Each line of a table: its number, its cells by column, hidden layer and neuron, of so many of each layer."""
    layers = ("layer",) if len(neurons) > 1 else ()
    columns, optional = ("step", *layers, "neuron"), ("drive", "v_z", *READ)
    table = read_text_table(path, f"the columns {','.join(columns)} and readings")
    for line, texts in named_rows(table, columns, optional):
        values = dict(zip((*columns, *optional), texts, strict=True))
        layer = _whole(table, line, "layer", values["layer"], len(neurons)) if layers else 0
        yield table, line, values, layer, _whole(table, line, "neuron", values["neuron"], neurons[layer])


def _whole(table: TextTable, line: int, column: str, text: str, n: int) -> int:
    value = finite_number(table, line, column, text)
    if not value.is_integer() or not 0 <= value < n:
        raise InputError(f"{table.path}, line {line}, column {column!r}: {excerpt(text)}; expected 0 to {n - 1}")
    return int(value)


def _step(table: TextTable, line: int, values: dict[str, str], protocol: BenchProtocol) -> int:
    """Number of the step of a line, whose drive or voltage is that of the plan."""
    step = _named(table, line, values, protocol.steps)
    size = abs(protocol.cell.fhn.gamma), abs(protocol.cell.volts_per_z)
    for column, planned, unit in (("drive", step.drive, size[0]), ("v_z", step.volts_z, size[1])):
        if planned is not None and values[column].strip():
            value = finite_number(table, line, column, values[column])
            if abs(value - planned) > _DRIVES_ALIKE * unit:
                raise InputError(
                    f"{table.path}, line {line}, column {column!r}: {value:g}; step {step.name} of the plan has "
                    f"{planned:g}, which the readings are compared at"
                )
    return protocol.steps.index(step)


def _named(table: TextTable, line: int, values: dict[str, str], steps: Sequence[Step]) -> Step:
    """The step of a line, which has readings in no other columns than this step's."""
    names = [step.name for step in steps]
    name = values["step"].strip().strip('"')
    if name not in names:
        raise InputError(
            f"{table.path}, line {line}, column 'step': {excerpt(name)}; expected one of {', '.join(names)}"
        )
    step = steps[names.index(name)]
    for column in READ:
        if values[column].strip() and column not in step.readings:
            raise InputError(
                f"{table.path}, line {line}, column {column!r}: {excerpt(values[column])}; expected nothing there: "
                f"step {name} is read in {listed(step.readings)}"
            )
    return step


def _check(
    table: TextTable, line: int, column: str, value: float, protocol: BenchProtocol, expected: float
) -> None:  # fmt: skip
    """Refuse what no such circuit gives, whatever part is off."""
    if column in TIMES:
        factor = _FACTOR[column]
        if expected / factor <= value <= factor * expected:
            return
        wanted = f"seconds, of a nominal cell {expected:.3g}"
    else:
        supplies = protocol.cell.supplies()
        low, high = supplies["vee"], supplies["vcc"]
        if low <= value <= high and (column != "v_y_rms" or value >= 0.0):
            return
        wanted = f"volts between the supplies, {low:g} and {high:g}, of a nominal cell {expected:.3g}"
    raise InputError(f"{table.path}, line {line}, column {column!r}: {value:g}; expected {wanted}")
