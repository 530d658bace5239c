"""Recordings in files: read from what oscilloscopes and simulators write, written as CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analog_fhn._support.files import new_table
from analog_fhn._support.plugins import reader_of_ending
from analog_fhn._support.tables import excerpt
from analog_fhn._support.words import listed
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.oscilloscope import ColumnTable, read_table
from analog_fhn.reconstruct.recordings.recording import (
    MIN_SAMPLES,
    Recording,
    check_recording,
    counted,
    without_glitches,
)
from analog_fhn.reconstruct.recordings.sampling import Sampled, UnevenError, on_grid
from analog_fhn.reconstruct.recordings.units import NOTHING_TELLS, Column

_LONGEST = 1e11
"""Seconds (three thousand years): what lies beyond is in another unit, such as milliseconds since 1970."""

_UNIT_RATIOS = (60.0, 1e3, 1e6, 1e9, 1e12)
READ_ENDINGS = (".csv", ".txt", ".atf", ".lvm")
"""Endings of files that are read here, whatever an installed package adds for them."""

_AGREES = 0.01  # relative difference of two sampling intervals that is not worth a word


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
    """Recording in a file of `write_recording`, of an oscilloscope or of a simulator (see `read_table`).

    Files of other endings than `READ_ENDINGS` may be read by the reader that an installed package adds for them (entry
    points of the group ``analog_fhn.recording``, by the ending without its dot).

    Units that the file names are converted to s and V; without units s and V are assumed, and the report says which
    units were not understood. Missing samples are rows left out, cells that are empty, out of range or no number, and
    single values far beyond all others (`without_glitches`). Columns `state_1`, ... become `Recording.states`.

    Parameters
    ----------
    path
        The file is read from here.
    column
        The voltage is in the column of this name or number, from 1 (a text of digits is first looked for among the
        names). None: in the first with a unit or a name of a voltage, else the first channel of an instrument, else
        the only one that may be a voltage.
    time_column
        The times are in this column, likewise. None: in the one named so or with a unit of time, or the first of
        columns without names.
    step
        Sampling interval (s): needed where the file has no times, or to interpolate uneven ones with.
    start, stop
        Samples are taken with ``start <= time < stop`` (s); None: from the first, to the last.
    volts_per_unit, seconds_per_unit
        One unit of the voltage's and of the times' column is so many V and s, whatever the file says.
    bridge, allow_clipped
        As for `Recording.bridged` and `check_recording`.

    Raises
    ------
    InputError
        If the file or what it holds is wrong (see `check_recording`), it is not certain which columns are times and
        voltage, a step or unit is not above 0, or nothing is between `start` and `stop`.
    """
    _check_above_0("step", step, "seconds")
    _check_above_0("volts_per_unit", volts_per_unit, "volts")
    _check_above_0("seconds_per_unit", seconds_per_unit, "seconds")
    path = Path(path)
    added = reader_of_ending("recording", path, READ_ENDINGS)
    if added is None:
        recording, where = _of_columns(path, column, time_column, step, volts_per_unit, seconds_per_unit)
    else:
        columns = {
            "column": column, "time_column": time_column, "step": step, "volts_per_unit": volts_per_unit,
            "seconds_per_unit": seconds_per_unit,
        }  # fmt: skip
        recording, where = _of_reader(added, path, columns), f"{path}"
    if start is not None or stop is not None:
        recording = recording.cut(start, stop)
    if recording.missing.all():
        raise InputError(f"{where}: none of {len(recording)} samples is a finite number")
    recording = without_glitches(recording)
    recording = replace(recording, report=(*recording.report, *_gaps_report(recording)))
    return check_recording(recording.bridged(bridge), allow_clipped=allow_clipped)


def read_channels(path: Path | str, channels: Sequence[Sequence[str]]) -> list[Recording]:
    """Several voltages of one file that were recorded at the same times, as `read_recording` reads one.

    They are not checked for being those of a neuron: a constant voltage is one.

    Parameters
    ----------
    channels
        For each voltage the names that its column may have, the first that is there counts. Where no column has any of
        all these names, the columns besides the times are the channels in their order, if they are as many.

    Raises
    ------
    InputError
        If the file is wrong, or a channel is not in it.
    """
    table = _long_table(Path(path))
    times = _time_column(table, None, None)
    others = [c for c in table.numeric if times is None or c.number != times.number]
    named = {name: c for c in reversed(others) for name in (c.name.lower(), c.bare)}
    chosen = [next((named[n.lower()] for n in names if n.lower() in named), None) for names in channels]
    if not any(chosen) and len(others) == len(channels):
        chosen = list(others)
    recordings = []
    for column, names in zip(chosen, channels, strict=True):
        if column is None:
            raise InputError(f"{path}: no column {' or '.join(names)} among {listed(others)}; expected one")
        voltage = table.header.with_unit(column, "voltage")
        recordings.append(_recording(table, times, voltage, None, None, None))
    return recordings


def _of_columns(
    path: Path,
    column: str | int | None,
    time_column: str | int | None,
    step: float | None,
    volts_per_unit: float | None,
    seconds_per_unit: float | None,
) -> tuple[Recording, str]:
    """Recording in columns of text, and the place of its voltage."""
    table = _long_table(path)
    times = _time_column(table, time_column, step)
    voltage = _voltage_column(table, column, times)
    recording = _recording(table, times, voltage, step, volts_per_unit, seconds_per_unit)
    return recording, f"{table.path}, column {voltage}"


def _of_reader(reader: Callable[[Path], object], path: Path, columns: Mapping[str, object]) -> Recording:
    """Recording that the reader of an installed package makes of a file; options of columns are refused."""
    for name, value in columns.items():
        if value is not None:
            raise InputError(f"{path}: {name} = {value} says how columns of text are read; this file has none")
    try:
        recording = reader(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not isinstance(recording, Recording):
        raise InputError(f"{path}: its reader gives {type(recording).__name__}; expected a Recording")
    return recording


def _check_above_0(name: str, value: float | None, unit: str) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} = {value}: expected a number of {unit} above 0")


def _long_table(path: Path) -> ColumnTable:
    """Columns of a file, which has enough samples."""
    table = read_table(path)
    if len(table.rows) < MIN_SAMPLES:
        raise InputError(
            f"{path}: {counted(len(table.rows), 'sample')}; expected at least {MIN_SAMPLES}, each in a line"
        )
    return table


def _recording(
    table: ColumnTable,
    times: Column | None,
    voltage: Column,
    step: float | None,
    volts_per_unit: float | None,
    seconds_per_unit: float | None,
) -> Recording:
    """All of a file in s and V, with what is to be said of its columns."""
    states = [c for c in table.columns if c.name.startswith("state_") and c not in (times, voltage)]
    numbers, beyond = table.numbers_in_range(voltage)
    report = _units_report(table, times, voltage, seconds_per_unit, volts_per_unit)
    if beyond:
        report += (
            f"column {voltage}: {counted(beyond, 'sample')} out of the instrument's range (infinite) taken as missing; "
            "the voltage is clipped there",
        )
    volts = voltage.factor if volts_per_unit is None else volts_per_unit
    values = np.stack([volts * numbers, *map(table.numbers, states)], axis=1)
    sampled = _sampled(table, times, values, step, seconds_per_unit)
    voltages, known = sampled.values[:, 0].copy(), sampled.values[:, 1:].copy() if states else None
    return Recording(voltages, sampled.step, sampled.start, table.path.name, known, (*report, *sampled.report))


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


def _time_column(table: ColumnTable, key: str | int | None, step: float | None) -> Column | None:
    times = table.time_column() if key is None else table.column(key, "times")
    if times is not None:
        return table.header.with_unit(times, "time")
    if step is None and table.header.interval is None:
        stamps = table.stamps()
        if stamps is not None:
            raise InputError(
                f"{table.path}: column {stamps[0]} holds dates or clock times ({excerpt(stamps[1])}), which are not "
                "read; expected seconds, or the sampling interval by --step (step)"
            )
        raise InputError(
            f"{table.path}: no column of times among {listed(table.columns)}; expected one named 'time' or by "
            "--time-column (time_column), or the sampling interval by --step (step)"
        )
    return None


def _voltage_column(table: ColumnTable, key: str | int | None, times: Column | None) -> Column:
    if key is not None:
        chosen = table.column(key, "voltage")
        if times is not None and chosen.number == times.number:
            raise InputError(f"{table.path}: column {chosen} holds the times; expected another one for the voltage")
        return table.header.with_unit(chosen, "voltage")
    others = [c for c in table.numeric if (times is None or c.number != times.number) and c.kind != "time"]
    if not others:
        raise InputError(f"{table.path}: no column besides the times ({times}); expected a voltage")
    with_units = [table.header.with_unit(c, "voltage") for c in others]
    ranks = {c.number: rank for c in with_units if (rank := c.unlike_voltage) is not None}
    best = min(ranks.values(), default=NOTHING_TELLS)
    doubtful = best >= NOTHING_TELLS
    left = [c for c in with_units if c.number in ranks and (doubtful or ranks[c.number] == best)]
    if doubtful and len(left) > 1:  # one without a name among others is pandas' index, or counts samples
        left = [c for c in left if c.name] or [c for c in left if not table.is_count(table.numbers(c))]
    # Channels of one kind are alike, and the first of them is taken; so is the first of a known unit.
    alike = not doubtful and bool(left) and (bool(left[0].unit) or len({c.stem for c in left}) == 1)
    if len(left) != 1 and not alike:
        raise InputError(
            f"{table.path}: no column is certainly the voltage among {listed(others)}; expected its name or number by "
            "--column (column)"
        )
    return left[0]


def _sampled(
    table: ColumnTable, times: Column | None, values: FloatArray, step: float | None, seconds_per_unit: float | None
) -> Sampled:
    """Values on a uniform grid, by the times of the file, the step that was given or the interval that is stated."""
    path, header = table.path, table.header
    if times is not None:
        stamps, read_as = _times(table, times, seconds_per_unit)
        try:
            sampled = on_grid(stamps, values, step)
        except UnevenError as error:
            raise InputError(f"{table.at(error.row, times)}: {error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        contradiction = _interval_report(table, times, sampled.step, seconds_per_unit)
        return replace(sampled, report=(*read_as, *sampled.report, *contradiction))
    if seconds_per_unit is not None:
        raise InputError(f"{path}: seconds_per_unit = {seconds_per_unit:g}, but there is no column of times")
    if table.blank is not None:
        raise InputError(
            f"{path}, line {table.blank}: is blank between the samples; expected one in each line, as there are no "
            "times to tell whether one is missing"
        )
    if step is not None:
        return Sampled(0.0, step, values)
    assert header.interval is not None
    return Sampled(header.start or 0.0, header.interval, values)


def _times(table: ColumnTable, column: Column, seconds_per_unit: float | None) -> tuple[FloatArray, tuple[str, ...]]:
    """Times (s) of a column, and how they were read; numbers of samples are made times by the stated interval."""
    values, header = table.numbers(column), table.header
    empty = np.flatnonzero(np.isnan(values))
    if empty.size:
        raise InputError(f"{table.at(int(empty[0]), column)}: there is no time; expected one in every row")
    if seconds_per_unit is not None:
        return seconds_per_unit * values, ()
    counts = column.unit.lower() == "sequence"
    if header.interval is not None and (counts or (not column.unit and table.is_count(values))):
        line = f"column {column} counts samples; one every {header.interval:g} s, as the file says above them"
        return (header.start or 0.0) + header.interval * values, () if counts else (line,)
    if header.has_settings and not column.unit and table.is_count(values):
        raise InputError(
            f"{table.path}: column {column} may count samples or seconds; expected its unit, --seconds-per-unit "
            "(seconds_per_unit) or the sampling interval by --step (step)"
        )
    times = column.factor * values
    if np.abs(times).max() > _LONGEST:
        raise InputError(
            f"{table.path}: column {column}: times up to {np.abs(times).max():g} s; expected seconds (are they in "
            "another unit? --seconds-per-unit (seconds_per_unit) says which)"
        )
    return times, ()


def _interval_report(table: ColumnTable, times: Column, step: float, seconds_per_unit: float | None) -> tuple[str, ...]:
    """Say, or refuse if it is a matter of the unit, that times do not have the interval that the file states."""
    stated = table.header.interval
    if stated is None or abs(step / stated - 1.0) < _AGREES:
        return ()
    both = f"a sample every {stated:g} s by the lines above the data, every {step:g} s by column {times}"
    if (
        not times.unit
        and seconds_per_unit is None
        and any(abs(step / stated / f - 1.0) < _AGREES for f in _UNIT_RATIOS)
    ):
        raise InputError(f"{table.path}: {both}; expected its unit by --seconds-per-unit (seconds_per_unit)")
    return (both,)


def _units_report(
    table: ColumnTable,
    times: Column | None,
    voltage: Column,
    seconds_per_unit: float | None,
    volts_per_unit: float | None,
) -> tuple[str, ...]:
    lines = []
    chosen = [c.number for c in (times, voltage) if c is not None]
    others = [c for c in table.numeric if c.number not in chosen and not c.name.startswith("state_")]
    if others:
        lines.append(f"voltage from column {voltage}; not read: {listed(others)}")
    if table.layout.pairs:
        lines.append("the comma is both separator and decimal mark; numbers are put together from two cells each")
    for column, unit, kind, per_unit in (
        (times, "s", "time", seconds_per_unit), (voltage, "V", "voltage", volts_per_unit),
    ):  # fmt: skip
        if column is None:
            continue
        if per_unit is not None:
            instead = f", not {column.unit}" if column.unit else ""
            lines.append(f"column {column}: one unit is {per_unit:g} {unit}, as told{instead}")
        elif column.unit_unknown or (column is times and not column.unit and column.name and not column.is_time):
            lines.append(f"column {column}: its unit is not known; its numbers are taken as {unit}")
        elif column.unit and column.kind != kind and column.unit.lower() != "sequence":
            lines.append(f"column {column} is in {column.unit}; its numbers are taken as {unit}")
        elif column.factor != 1.0:
            lines.append(f"column {column} is in {column.unit}; converted to {unit}")
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
