"""Recordings in files: read from what oscilloscopes and simulators write, written as CSV."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from analog_fhn._support.files import new_table
from analog_fhn.errors import InputError
from analog_fhn.reconstruct.oscilloscope import Column, Table, listed, read_table
from analog_fhn.reconstruct.recording import MIN_SAMPLES, Recording, check_recording, counted, without_glitches
from analog_fhn.reconstruct.sampling import UnevenError, on_grid


def read_recording(
    path: Path | str,
    *,
    column: str | int | None = None,
    time_column: str | int | None = None,
    step: float | None = None,
    start: float | None = None,
    stop: float | None = None,
    volts_per_unit: float | None = None,
    seconds_per_unit: float | None = None,
    bridge: int = 0,
    allow_clipped: bool = False,
) -> Recording:
    """Recording of a file: `write_recording`'s, an oscilloscope's or a simulator's (see `read_table`).

    Parameters
    ----------
    path
        Of the file.
    column
        Voltage: name of the column, or its number from 1 (a text of digits is first looked for among the names).
        None: the first that holds no times.
    time_column
        Times, likewise. None: the one named so or with a unit of time, or the first of columns without names.
    step
        Sampling interval (s): needed where the file has no times, or to interpolate uneven ones with.
    start, stop
        Times (s) between which samples are taken, ``start <= time < stop``; None: from the first, to the last.
    volts_per_unit, seconds_per_unit
        What one unit of the voltage's and of the times' column stands for, whatever the file says.
    bridge
        Gaps of up to so many samples are bridged (`Recording.bridged`).
    allow_clipped
        See `check_recording`.

    Units that the file names are converted to s and V; without units these are assumed. Rows left out and cells that
    are empty or no finite number are missing samples, and so are single ones far beyond all others
    (`without_glitches`). Columns `state_1`, ... become `Recording.states`.

    Raises
    ------
    InputError
        If something is wrong with the file, naming line and column, or with what it holds (see `check_recording`), or
        the step or what a unit stands for is not above 0, or there is nothing between `start` and `stop`.
    """
    for name, value, what in (
        ("step", step, "seconds"), ("volts_per_unit", volts_per_unit, "volts"),
        ("seconds_per_unit", seconds_per_unit, "seconds"),
    ):  # fmt: skip
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value}: expected a number of {what} above 0")
    path = Path(path)
    table = read_table(path)
    if len(table.rows) < MIN_SAMPLES:
        raise InputError(
            f"{path}: {counted(len(table.rows), 'sample')}; expected at least {MIN_SAMPLES}, each in a line"
        )
    times = _time_column(table, time_column, step)
    voltage = _voltage_column(table, column, times)
    states = [c for c in table.columns if c.name.startswith("state_") and c not in (times, voltage)]
    report = _units_report(table, times, voltage, seconds_per_unit, volts_per_unit)
    volts = voltage.factor if volts_per_unit is None else volts_per_unit
    values = np.stack([volts * table.numbers(voltage), *map(table.numbers, states)], axis=1)
    begin = 0.0
    if times is not None:
        stamps = table.times(times, seconds_per_unit)
        try:
            sampled = on_grid(stamps, values, step)
        except UnevenError as error:
            raise InputError(f"{table.at(error.row, times)}: {error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        begin, step, values = sampled.start, sampled.step, sampled.values
        report += sampled.report
    elif seconds_per_unit is not None:
        raise InputError(f"{path}: seconds_per_unit = {seconds_per_unit:g}, but there is no column of times")
    elif step is None:
        begin, step = table.start or 0.0, table.interval
    assert step is not None
    made = Recording(values[:, 0].copy(), step, begin, path.name, values[:, 1:].copy() if states else None)
    if start is not None or stop is not None:
        made = made.cut(start, stop)
    if made.missing.all():
        raise InputError(f"{path}, column {voltage}: none of {len(made)} samples is a finite number")
    made = without_glitches(made)
    made = replace(made, report=(*report, *made.report, *_gaps_report(made)))
    return check_recording(made.bridged(bridge), allow_clipped=allow_clipped)


def write_recording(path: Path | str, recording: Recording) -> None:
    """Write a CSV file: `time` (s), `voltage` (V, nan where missing), and states, where known, as `state_1`, ...

    Numbers are written so that `read_recording` finds exactly the same ones.
    """
    check_recording(recording, allow_clipped=True)
    states = np.empty((len(recording), 0)) if recording.states is None else recording.states
    rows = np.column_stack([recording.time, recording.voltage, states])
    with new_table(path, lineterminator="\n") as table:
        table.writerow(["time", "voltage", *(f"state_{k + 1}" for k in range(states.shape[1]))])
        table.writerows(rows.tolist())


def _time_column(table: Table, wanted: str | int | None, step: float | None) -> Column | None:
    found = table.time_column() if wanted is None else table.column(wanted, "times")
    if found is None and step is None and table.interval is None:
        raise InputError(
            f"{table.path}: no column of times among {listed(table.columns)}; expected one named 'time' or by "
            "--time-column (time_column), or the sampling interval by --step (step)"
        )
    return found


def _voltage_column(table: Table, wanted: str | int | None, times: Column | None) -> Column:
    if wanted is not None:
        found = table.column(wanted, "voltage")
        if found == times:
            raise InputError(f"{table.path}: column {found} holds the times; expected another one for the voltage")
        return found
    left = [c for c in table.numeric if c != times and c.kind != "time"]
    # A column without a unit may be one, a column of another unit only if there is nothing else. One without a name
    # among others is pandas' index.
    left.sort(key=lambda c: (c.name != "voltage", bool(c.unit) and c.kind == "other", not c.name))
    if not left:
        raise InputError(f"{table.path}: no column besides the times ({times}); expected a voltage")
    return left[0]


def _units_report(
    table: Table, times: Column | None, voltage: Column, seconds_per_unit: float | None, volts_per_unit: float | None
) -> tuple[str, ...]:
    lines = []
    others = [c for c in table.numeric if c not in (times, voltage) and not c.name.startswith("state_")]
    if others:
        lines.append(f"voltage from column {voltage}; not read: {listed(others)}")
    for column, unit, told in ((times, "s", seconds_per_unit), (voltage, "V", volts_per_unit)):
        if column is None:
            continue
        if told is not None:
            instead = f", not {column.unit}" if column.unit else ""
            lines.append(f"column {column}: one unit is {told:g} {unit}, as told{instead}")
        elif column.factor != 1.0:
            lines.append(f"column {column} is in {column.unit}; converted to {unit}")
        elif column.unit_unknown:
            lines.append(f"column {column}: its unit is not known; its numbers are taken as {unit}")
    if voltage.unit and voltage.kind != "voltage" and volts_per_unit is None:
        lines.append(f"column {voltage} is in {voltage.unit}; its numbers are taken as V")
    return tuple(lines)


def _gaps_report(recording: Recording) -> list[str]:
    gaps = recording.gaps
    if not gaps:
        return []
    lost = int(np.count_nonzero(recording.missing))
    time, several = recording.time, "" if len(gaps) == 1 else "the longest: "
    longest = sorted(gaps, key=lambda gap: gap.start - gap.stop)[:3]
    places = ", ".join(f"{counted(gap.stop - gap.start, 'sample')} from {time[gap.start]:.6g} s" for gap in longest)
    return [f"{counted(len(gaps), 'gap')}, {lost} of {len(recording)} samples missing; {several}{places}"]
