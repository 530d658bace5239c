"""Tables of numbers as oscilloscopes and simulators write them: a few lines of text, then columns.

Known layouts: Rigol and Keysight (a second line of units; Rigol's `Start` and `Increment` beside the data), Tektronix
(key and value lines, in older models in columns left of the data), Siglent, LeCroy, PicoScope (units in brackets),
Rohde & Schwarz ("C1 in V"), Owon and Hantek (numbers of samples), Hioki, Digilent (comment lines), LTspice's text
export, and plain CSV. Separators are comma, semicolon, tab or blanks; with the latter three numbers may have a decimal
comma. What is data is found from the bulk of the file, so that a text between the numbers is an error and not the end
of a header.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

Kind = Literal["time", "voltage", "other"]

_UNITS: dict[str, tuple[Kind, float]] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), ("time", 1e-3)),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), ("time", 1e-6)),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), ("time", 1e-9)),
    **dict.fromkeys(("ps", "picosecond", "picoseconds"), ("time", 1e-12)),
    **dict.fromkeys(("min", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("time", 3600.0)),
    **dict.fromkeys(("v", "volt", "volts"), ("voltage", 1.0)),
    **dict.fromkeys(("kv", "kilovolt", "kilovolts"), ("voltage", 1e3)),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), ("voltage", 1e-3)),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), ("voltage", 1e-6)),
    **dict.fromkeys(("a", "ma", "ua", "amp", "ampere", "w", "hz", "db", "sequence", "unknown"), ("other", 1.0)),
}
_NOT_IN_NAMES = ("h", "H", "min", "Min", "MIN")  # there they are a gate's variable, and a minimum
_COUNTS = ("nr", "no", "no.", "index", "idx", "sample", "samples", "point", "points", "unnamed: 0")
_TIMES = ("time", "times", "t", "x", "x-axis", "timestamp")
_BRACKETS = re.compile(r"^(?P<name>.*?)\s*[(\[]\s*(?P<unit>[^()\[\]]*?)\s*[)\]]$")
_IN = re.compile(r"^(?P<name>.*?)\s*\bin\s+(?P<unit>\S+)$")
_NODE = re.compile(r"[VIv][(\[]")  # V(out) is a simulator's name
_INTERVAL = re.compile(r"sampl(e|ing) (interval|period)|x\s?inc(rement)?\b|^increment|^clock$", re.IGNORECASE)
_RATE = re.compile(r"^sampl(e|ing) rate", re.IGNORECASE)
# "mHz" is none: whoever writes it may mean MHz.
_RATE_UNIT = re.compile(r"(?P<prefix>[kKMgG]?)(?i:hz|sa/s|s/s|sps|samples/s)")
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_QUANTITY = re.compile(r"(?P<number>[-+.,\d]+(?:e[-+]?\d+)?)\s*(?P<unit>.*)", re.IGNORECASE)
_KEY_VALUE = re.compile(r"(.*?)[:=]\s*(\S.*)")
_BEGIN = re.compile(r"^(start|x\s?org|xorigin|xzero)\b", re.IGNORECASE)
_NO_VALUE = 9.9e37  # SCPI's numbers for "not a number" (9.91e37) and "infinity" (9.9e37)
_DELIMITERS = (",", ";", "\t", " ")
_LOOK = 200  # rows that the layout is found from
_SHOWN = 12  # columns that a message lists
_CUT = 60  # characters of a text that it shows


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    number
        From 1.
    name
        As in the file; empty if it has none.
    kind, factor
        What the unit that the file names measures, and what turns its numbers into s or V; without a unit "other", 1.
    unit
        That unit; empty if none.
    """

    number: int
    name: str = ""
    kind: Kind = "other"
    factor: float = 1.0
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.name[:_CUT]!r}" if self.name else str(self.number)

    @property
    def bare(self) -> str:
        """Name in lower case, without a unit."""
        match = _BRACKETS.match(self.name) or _IN.match(self.name)
        name = match["name"] if match and self.unit else self.name.removesuffix(f"_{self.unit}")
        return name.strip().lower()

    @property
    def unit_unknown(self) -> bool:
        """Whether its name ends with a text in brackets that is no known unit, nor a number or a simulator's node."""
        match = None if self.unit or _NODE.match(self.name) else _BRACKETS.match(self.name)
        return match is not None and re.match(r"[^\W\d]|[%°]", match["unit"]) is not None


def listed(columns: Sequence[Column]) -> str:
    """Columns for a message: the first twelve, and how many more."""
    more = len(columns) - _SHOWN
    return ", ".join(map(str, columns[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Table:
    """What a file holds, the cells still text.

    Parameters
    ----------
    path
        Of the file.
    columns
        All of them.
    numeric
        Those that mostly hold numbers.
    rows, lines
        Cells, and the line that each row stands in.
    decimal
        Character before the decimals.
    start, interval
        Time of the first row and from row to row (s), where the file states them beside the data.
    """

    path: Path
    columns: tuple[Column, ...]
    numeric: tuple[Column, ...]
    rows: list[list[str]]
    lines: list[int]
    decimal: str
    start: float | None = None
    interval: float | None = None

    def at(self, row: int, column: Column) -> str:
        """Where a cell stands, for messages."""
        return f"{self.path}, line {self.lines[row]}, column {column}"

    def column(self, wanted: str | int, what: str) -> Column:
        """Column by name or by number, from 1; of a text of digits, a name goes before a number.

        Raises
        ------
        InputError
            If there is none; `what` says what it is for.
        """
        text = str(wanted).strip()
        if isinstance(wanted, str):
            for match in (
                [c for c in self.columns if c.name == text],
                [c for c in self.columns if text.lower() in (c.name.lower(), c.bare) and text],
            ):
                if match:
                    return match[0]
        if text.isdecimal() and 1 <= int(text) <= len(self.columns):
            return self.columns[int(text) - 1]
        raise InputError(
            f"{self.path}: there is no column {wanted!r} for the {what}; expected a name or a number (from 1) "
            f"of: {listed(self.columns)}"
        )

    def time_column(self) -> Column | None:
        """Column that holds times by its name or unit, or else the first if its numbers increase and others follow."""
        named = [c for c in self.numeric if c.bare in _TIMES or c.kind == "time"]
        if named:
            return named[0]
        if len(self.numeric) < 2 or self.numeric[0].name:
            return None
        first = self.numbers(self.numeric[0])
        # Without a name beside others, as pandas writes its index: times perhaps, but no mere count.
        if any(c.name for c in self.numeric) and np.array_equal(first, np.arange(len(first))):
            return None
        # One line in the wrong place is a mistake to be told, not another kind of column.
        parts = np.array_split(first, min(10, len(first)))
        increases = np.mean(np.diff(first) >= 0) > 0.9 and np.all(np.diff([np.median(part) for part in parts]) > 0)
        return self.numeric[0] if increases else None

    def times(self, column: Column, seconds_per_unit: float | None = None) -> FloatArray:
        """Times (s) of a column; numbers of samples, where the file states their interval, are made times.

        Parameters
        ----------
        seconds_per_unit
            What one unit of the column stands for; None: what the file says.

        Raises
        ------
        InputError
            If a cell is text or empty.
        """
        values = self.numbers(column)
        empty = np.flatnonzero(np.isnan(values))
        if empty.size:
            raise InputError(f"{self.at(int(empty[0]), column)}: there is no time; expected one in every row")
        if seconds_per_unit is not None:
            return seconds_per_unit * values
        if column.unit.lower() == "sequence" and self.interval is not None:
            return (self.start or 0.0) + self.interval * values
        return column.factor * values

    def numbers(self, column: Column) -> FloatArray:
        """Numbers of a column as in the file, shape (n_rows,); NaN where a cell is empty, or stands for no value.

        Raises
        ------
        InputError
            If a cell is text.
        """
        k = column.number - 1
        cells = [row[k] if k < len(row) else "" for row in self.rows]
        try:
            values = np.array(list(map(float, cells)))
        except ValueError:  # a cell is empty, has a decimal comma, or is text
            values = np.array([self._value(cell, i, column) for i, cell in enumerate(cells)])
        values[~(np.abs(values) < _NO_VALUE)] = np.nan
        return values

    def _value(self, cell: str, row: int, column: Column) -> float:
        value = _number(cell, self.decimal)
        if value is None:
            raise InputError(
                f"{self.at(row, column)}: {cell.strip()[:_CUT]!r} is no number; expected one, or an empty cell where "
                "there is no sample"
            )
        return value


def read_table(path: Path) -> Table:
    """Read a file of columns.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, or has no column of numbers.
    """
    text = re.split(r"\r{0,2}\n|\r", _text(path))
    content = [(k + 1, line) for k, line in enumerate(text) if line.strip()]
    if not content:
        raise InputError(f"{path}: the file is empty; expected columns of numbers")
    try:
        delimiter, decimal = _layout([line for _, line in content])
        rows = [_cells(line, delimiter) for _, line in content]
    except csv.Error as error:
        raise InputError(f"{path}: is no table ({error}); expected columns of numbers (CSV), a row in a line") from None
    lines = [number for number, _ in content]
    numeric = _numeric(rows, decimal)
    first = _first_row(rows, numeric, decimal)
    if first is None:
        raise InputError(
            f"{path}: no column of numbers found (line {lines[-1]}: {content[-1][1].strip()[:_CUT]!r}); expected "
            "columns separated by commas, semicolons or tabs"
        )
    _refuse_broken_row(path, rows, lines, first, numeric, decimal)
    names, units = _header(rows[:first], numeric, decimal)
    if delimiter == " " and len(names) != len(rows[first]):
        names = []  # names with blanks in them cannot be told apart
    n_columns = max(len(names), max(numeric) + 1, len(rows[first]) - (not rows[first][-1].strip()))
    columns = tuple(_column(k, _at(names, k), _at(units, k)) for k in range(n_columns))
    start, interval = _stated(rows[:first], names, units, decimal)
    data = [k for k in range(first, len(rows)) if not content[k][1].lstrip().startswith(("#", "%"))]
    return Table(
        path, columns, tuple(columns[k] for k in numeric), [rows[k] for k in data], [lines[k] for k in data], decimal,
        start, interval,
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of columns") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if b"\0" in data and encoding != "utf-16":
        raise InputError(f"{path}: is no text; expected columns of numbers (CSV)")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.lstrip("#%").split()
    if '"' in line:
        return next(csv.reader([line], delimiter=delimiter))
    return line.split(delimiter)


def _number(cell: str, decimal: str) -> float | None:
    """Value of a cell: NaN if it is empty, None if it is text."""
    cell = cell.strip()
    if not cell:
        return math.nan
    try:
        return float(cell if decimal == "." else cell.replace(",", "."))
    except ValueError:
        return None


def _is_number(cell: str, decimal: str) -> bool:
    return bool(cell.strip()) and _number(cell, decimal) is not None


def _sampled(rows: Sequence[list[str]]) -> list[list[str]]:
    """Some rows of the bulk: headers stand in the first fifth, if the file is not shorter than its header."""
    bulk = rows[len(rows) // 5 :]
    return [bulk[k] for k in np.unique(np.linspace(0, len(bulk) - 1, min(_LOOK, len(bulk))).astype(int))]


def _layout(lines: list[str]) -> tuple[str, str]:
    """Separator and decimal character with which most rows are numbers only, and of those the one with most columns."""
    best, found = (-1.0, 0.0), (",", ".")
    picked = [lines[k] for k in np.unique(np.linspace(len(lines) // 5, len(lines) - 1, _LOOK).astype(int))]
    for delimiter in _DELIMITERS:
        for decimal in ".," if delimiter != "," else ".":
            rows = [_cells(line, delimiter) for line in picked]
            good = [
                sum(_is_number(cell, decimal) for cell in row)
                for row in rows
                if all(_number(cell, decimal) is not None for cell in row)
            ]
            score = (len(good) / len(rows), float(np.mean(good)) if good else 0.0)
            if score > best:
                best, found = score, (delimiter, decimal)
    return found


def _numeric(rows: list[list[str]], decimal: str) -> list[int]:
    """Columns of which at least half of the bulk's cells are numbers, or at least a tenth and the others empty."""
    sample = _sampled(rows)
    width = max(len(row) for row in sample)
    chosen = []
    for k in range(width):
        cells = [_at(row, k) for row in sample]
        numbers = sum(_is_number(cell, decimal) for cell in cells)
        empty = sum(not cell.strip() for cell in cells)
        if numbers >= 0.5 * len(cells) or (numbers >= 0.1 * len(cells) and numbers + empty == len(cells)):
            chosen.append(k)
    return chosen


def _first_row(rows: list[list[str]], numeric: list[int], decimal: str) -> int | None:
    """First of five rows in succession (or of all that follow) that hold numbers or nothing in the numeric columns."""
    if not numeric:
        return None

    return next((k for k in range(len(rows)) if all(_good(row, numeric, decimal) for row in rows[k : k + 5])), None)


def _good(row: list[str], numeric: list[int], decimal: str) -> bool:
    cells = [_at(row, k) for k in numeric]
    return (
        len(row) > numeric[-1]
        and any(_is_number(cell, decimal) for cell in cells)
        and all(_number(cell, decimal) is not None for cell in cells)
    )


def _header(rows: list[list[str]], numeric: list[int], decimal: str) -> tuple[list[str], list[str]]:
    """Names and units of the columns, from the last lines before the data."""
    rows = [[cell.strip().strip('"').lstrip("#%").strip() for cell in row] for row in rows[-2:]]
    if not rows:
        return [], []
    texts = [[_at(row, k) for k in numeric] for row in rows]
    units: list[str] = []
    if all(_unit(cell) or not cell or _is_number(cell, decimal) for cell in texts[-1]) and any(map(_unit, texts[-1])):
        bracketed = any(cell.startswith(("(", "[")) for cell in texts[-1])
        if len(rows) == 2 and any(texts[0]):
            return rows[0], rows[1]
        if bracketed:
            units = rows[-1]
            return [], units
    # A line of key and value is no line of names. The first name may be empty: pandas' index has none.
    if len(rows[-1]) <= numeric[-1] or any(_is_number(cell, decimal) for cell in texts[-1]) or not all(texts[-1][1:]):
        return [], []
    return rows[-1], units


def _refuse_broken_row(
    path: Path, rows: list[list[str]], lines: list[int], first: int, numeric: list[int], decimal: str
) -> None:
    """Raise InputError if a text between the first rows of data made them look like a header."""
    begins = next(k for k in range(first + 1) if _good(rows[k], numeric, decimal))
    broken = next((k for k in range(begins, first) if not _good(rows[k], numeric, decimal)), None)
    # Names, and key and value, begin with a text.
    if broken is None and first and _is_number(_at(rows[first - 1], numeric[0]), decimal):
        broken = first - 1
    for k in numeric if broken is not None else ():
        cell = _at(rows[broken or 0], k).strip()
        if _number(cell, decimal) is None:
            raise InputError(
                f"{path}, line {lines[broken or 0]}, column {k + 1}: {cell[:_CUT]!r} is no number; expected one, or an "
                "empty cell where there is no sample"
            )


def _unit(text: str) -> str:
    """Text as a unit that is known; empty if it is none."""
    text = text.strip("()[] ")
    return text if text.lower() in _UNITS else ""


def _column(k: int, name: str, unit: str) -> Column:
    unit = _unit(unit)
    if not unit and (match := _BRACKETS.match(name) or _IN.match(name)):
        unit = _unit(match["unit"])
        # V(s) is a voltage of a simulator, of a node called s.
        if _NODE.match(name) and _UNITS.get(unit.lower(), ("", 0))[0] != "voltage":
            unit = ""
    if not unit and "_" in name and (suffix := name.rsplit("_", 1)[1]) not in _NOT_IN_NAMES:
        unit = _unit(suffix)
    # "Second,Volt" alone, as names; but S is a neuron's slow variable.
    if not unit and name not in ("S", *_NOT_IN_NAMES):
        unit = "sequence" if name.lower() in _COUNTS else _unit(name)
    kind, factor = _UNITS[unit.lower()] if unit else ("other", 1.0)
    return Column(k + 1, name, kind, factor, unit)


def _stated(
    rows: list[list[str]], names: list[str], units: list[str], decimal: str
) -> tuple[float | None, float | None]:
    """Time of the first row and interval (s) that a header states: lines of key and value, or Rigol's two columns."""
    found: dict[str, float] = {}
    pairs = [_key_value(row) for row in rows] + [(name, _at(units, k), "") for k, name in enumerate(names)]
    for key, value, unit in pairs:
        key = key.strip(' ":#%')
        for what, pattern in (("interval", _INTERVAL), ("start", _BEGIN), ("rate", _RATE)):
            if pattern.search(key) and (number := _stated_number(what, key, value, unit, decimal)) is not None:
                found.setdefault(what, number)
    interval = found.get("interval", 1.0 / found["rate"] if found.get("rate") else None)
    if interval is None or not (math.isfinite(interval) and interval > 0):
        return None, None
    return found.get("start"), interval


def _key_value(row: list[str]) -> tuple[str, str, str]:
    """Key, value and unit of a header's line: in cells, or `key=value` or `key: value` in the first."""
    match = _KEY_VALUE.match(row[0])
    cells = [*match.groups(), *row[1:]] if match else row
    return cells[0], _at(cells, 1), _at(cells, 2)


def _stated_number(what: str, key: str, value: str, unit: str, decimal: str) -> float | None:
    """Number of a header in s, or of a rate in Hz; None if it is none, or in a unit that is not known.

    The unit stands behind the number, else in a cell of its own, else in the key.
    """
    match = _QUANTITY.fullmatch(value.strip())
    number = _number(match["number"], decimal) if match else None
    if match is None or number is None:
        return None
    of_key = _BRACKETS.match(key) or _IN.match(key)
    unit = "" if _is_number(unit, decimal) else unit.strip("()[] ")
    unit = match["unit"] or unit or (of_key["unit"] if of_key else "")
    if not unit:
        return number
    if what == "rate":
        rate = _RATE_UNIT.fullmatch(unit)
        return number * _PREFIXES[rate["prefix"].lower()] if rate else None
    kind, factor = _UNITS.get(unit.lower(), ("other", 1.0))
    return number * factor if kind == "time" else None


def _at(row: Sequence[str], k: int) -> str:
    return row[k] if k < len(row) else ""
