"""What the lines above a table of numbers say: names and units of the columns, and the sampling interval."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from analog_fhn._support.tables import Layout
from analog_fhn.reconstruct.recordings.units import Column, column_of, time_factor, unit_in_brackets, unit_text

_INTERVAL = re.compile(r"sampl(e|ing) (interval|period)|x\s?inc(rement)?\b|^increment|^clock$|^delta_x$", re.IGNORECASE)
_RATE = re.compile(r"^sampl(e|ing) rate", re.IGNORECASE)
# "mHz" is none: whoever writes it may mean MHz.
_RATE_UNIT = re.compile(r"(?P<prefix>[kKMgG]?)(?i:hz|sa/s|s/s|sps|samples/s)")
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_QUANTITY = re.compile(r"(?P<number>[-+.,\d]+(?:e[-+]?\d+)?)\s*(?P<unit>.*)", re.IGNORECASE)
_KEY_VALUE = re.compile(r"(.*?)[:=]\s*(\S.*)")
_BEGIN = re.compile(r"^(start|x\s?org|xorigin|xzero|x0)\b", re.IGNORECASE)
_UNITS_OF = {
    "time": re.compile(r"(horizontal|x|time)[ _-]?(axis[ _-]?)?units?([ _-]?label)?", re.IGNORECASE),
    "voltage": re.compile(r"(vertical|y|voltage)[ _-]?(axis[ _-]?)?units?([ _-]?label)?", re.IGNORECASE),
}
_VALUE = re.compile(r"[-+.]?\d.*")
_SETTING = re.compile(r"on|off|true|false|yes|no|ac|dc|gnd|normal|auto", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """Names and units of the columns, and what is stated beside them.

    Parameters
    ----------
    columns
        A column for each name, and as many more as rows of data are wide.
    misfit
        How many names stand above more numbers in a row, although they tell what is in their columns; 0: none.
    has_settings
        True if lines of key and value stand above the data.
    start, interval
        Time of the first row and from row to row (s), where they are stated.
    units
        Units of all times ("time") and voltages ("voltage"), where lines of key and value state them.
    """

    columns: tuple[Column, ...]
    misfit: int = 0
    has_settings: bool = False
    start: float | None = None
    interval: float | None = None
    units: dict[str, str] = field(default_factory=dict)

    def with_unit(self, column: Column, kind: Literal["time", "voltage"]) -> Column:
        """A column of times or voltages with the unit that is stated for all of them, if it has none by itself."""
        unit = self.units.get(kind, "")
        if not unit or column.unit or column.unit_unknown:
            return column
        return replace(column_of(column.number, column.name, unit), bare=column.bare)


def read_header(rows: Sequence[list[str]], numeric: Sequence[int], width: int, layout: Layout) -> Header:
    """Header of the rows above the data.

    Parameters
    ----------
    numeric
        Columns that hold numbers, counted from 0.
    width
        Cells of a row of data.
    """
    clean = [[cell.strip().strip('"').lstrip("#%").strip() for cell in row or [""]] for row in rows]
    names, units = _names(clean, numeric, layout)
    above = clean[: len(clean) - bool(names) - bool(units)]
    misfit = 0
    if len(names) <= numeric[-1] or (layout.delimiter == " " and len(names) != width):
        if layout.delimiter != " " and any(map(_tells, map(column_of, itertools.count(1), names))):
            misfit = len(names)
        names = []  # names with blanks in them cannot be told apart
    columns = tuple(column_of(k + 1, _at(names, k), _at(units, k)) for k in range(max(len(names), width)))
    start, interval = _stated(clean, names, units, layout)
    settings = [_key_value(row) for row in above]
    stated = {
        kind: value.rsplit(":", 1)[-1].strip()
        for key, value, _ in settings
        for kind, pattern in _UNITS_OF.items()
        if pattern.fullmatch(key.strip(' ":'))
    }
    return Header(columns, misfit, any(value for _, value, _ in settings), start, interval, stated)


def _names(rows: list[list[str]], numeric: Sequence[int], layout: Layout) -> tuple[list[str], list[str]]:
    """Names and units, from the last two lines before the data."""
    rows = rows[-2:]
    if not rows:
        return [], []
    texts = [[_at(row, k) for k in numeric] for row in rows]
    known = [unit_text(cell, _at(texts[0], k) if len(rows) == 2 else "") for k, cell in enumerate(texts[-1])]
    bracketed = [cell.startswith(("(", "[")) and cell.endswith((")", "]")) for cell in texts[-1]]
    plain = [not cell or layout.is_number(cell) for cell in texts[-1]]
    of_units = any(known) and all(map(any, zip(known, bracketed, plain, strict=True)))
    if of_units and len(rows) == 2 and any(texts[0]):
        return rows[0], rows[1]
    if of_units and any(bracketed):
        return [], rows[-1]
    # A first row that is only partly of units, below names that tell.
    if any(known) and len(rows) == 2 and len(rows[0]) == len(rows[1]) and _tell(texts[0]) and not _tell(texts[1]):
        return rows[0], rows[1]
    # A line of key and value is no line of names. The first name may be empty: pandas' index has none.
    last = texts[-1]
    if _is_setting(rows[-1], layout) or not any(rows[-1]) or not all(last[1 : len(rows[-1])]):
        return [], []
    return rows[-1], []


def _tell(texts: Sequence[str]) -> bool:
    """Whether one of the texts is a name of a time, a voltage or a channel, and more than a unit."""
    columns = [column_of(1, text) for text in texts]
    return any(c.bare != c.unit.lower() and (_tells(c) or c.unlike_voltage == 2) for c in columns if c.bare)


def _tells(column: Column) -> bool:
    return bool(column.unit) or column.is_time or column.unlike_voltage in (0, 1)


def _is_setting(row: list[str], layout: Layout) -> bool:
    """Whether a line is one of key and value rather than of names."""
    cells = [cell for cell in row if cell]
    if any(layout.is_number(cell) and any(map(str.isdigit, cell)) for cell in cells):
        return True
    if any(_VALUE.fullmatch(cell) and not column_of(1, cell).unit for cell in cells[1:]):
        return True
    key, value, _ = _key_value(row)
    if len(cells) == 1 and value and _VALUE.fullmatch(value):
        return True
    return len(cells) == 2 and bool(
        key.endswith((":", "=")) or _SETTING.fullmatch(value) or any(p.fullmatch(key) for p in _UNITS_OF.values())
    )


def _stated(
    rows: Sequence[list[str]], names: list[str], units: list[str], layout: Layout
) -> tuple[float | None, float | None]:
    """Time of the first row and interval (s) that a header states: lines of key and value, or Rigol's two columns."""
    stated: dict[str, float] = {}
    pairs = [_key_value(row) for row in rows] + [(name, _at(units, k), "") for k, name in enumerate(names)]
    for key, value, unit in pairs:
        key = key.strip(' ":#%')
        for what, pattern in (("interval", _INTERVAL), ("start", _BEGIN), ("rate", _RATE)):
            if pattern.search(key) and (number := _stated_number(what, key, value, unit, layout)) is not None:
                stated.setdefault(what, number)
    interval = stated.get("interval", 1.0 / stated["rate"] if stated.get("rate") else None)
    if interval is None or not (math.isfinite(interval) and interval > 0):
        return None, None
    return stated.get("start"), interval


def _key_value(row: list[str]) -> tuple[str, str, str]:
    """Key, value and unit of a header's line: in cells, or `key=value` or `key: value` in the first."""
    match = _KEY_VALUE.match(row[0])
    cells = [*match.groups(), *row[1:]] if match else row
    return cells[0], _at(cells, 1), _at(cells, 2)


def _stated_number(what: str, key: str, value: str, unit: str, layout: Layout) -> float | None:
    """Number of a header in s, or of a rate in Hz; None if it is none, or in a unit that is not known.

    The unit stands behind the number, else in a cell of its own, else in the key.
    """
    match = _QUANTITY.fullmatch(value.strip())
    number = layout.number(match["number"]) if match else None
    if match is None or number is None or not math.isfinite(number):
        return None
    unit = "" if layout.is_number(unit) else unit.strip("()[] ")
    unit = match["unit"] or unit or unit_in_brackets(key)
    if not unit:
        return number
    if what == "rate":
        rate = _RATE_UNIT.fullmatch(unit)
        return number * _PREFIXES[rate["prefix"].lower()] if rate else None
    factor = time_factor(unit)
    return None if factor is None else number * factor


def _at(row: Sequence[str], k: int) -> str:
    return row[k] if k < len(row) else ""
