"""Tables of numbers as oscilloscopes and simulators write them: a few lines of text, then columns.

Known layouts: Rigol and Keysight (a second line of units; Rigol's `Start` and `Increment` beside the data), Tektronix
(key and value lines, in older models in columns left of the data), Siglent, LeCroy, PicoScope (units in brackets),
Rohde & Schwarz ("C1 in V"), Owon and Hantek (numbers of samples), Hioki, Digilent (comment lines), LTspice's text
export, Axon text files, LabVIEW measurement files, and plain CSV. What is data is found from the bulk of the file, so
that a text between the numbers is an error and not the end of a header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analog_fhn._support.tables import Layout, Line, TextTable, excerpt, find_layout, read_lines
from analog_fhn._support.words import listed
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.header import Header, read_header
from analog_fhn.reconstruct.recordings.units import Column

_WHAT = "columns of numbers"
_STAMP = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(\D.*)?|(.*\D)?\d{1,2}:\d{2}(\D.*)?")
_NO_VALUE, _OVER_RANGE = 9.91e37, 9.9e37  # SCPI's numbers for "not a number" and "infinity"
_LOOK = 200  # rows that the columns of numbers are found from
_MOST_COLUMNS = 20_000
_END_OF_HEADER = "***End_of_Header***"


@dataclass(frozen=True)
class ColumnTable:
    """What a file holds, the cells still text.

    Parameters
    ----------
    path
        File that was read.
    header
        The lines above the data, with all columns.
    numeric
        Columns that mostly hold numbers.
    rows, lines
        Cells, and the line that each row stands in.
    layout
        The way in which numbers are written.
    blank
        Number of a line between the rows that is blank, though not after each row; None: there is none.
    """

    path: Path
    header: Header
    numeric: tuple[Column, ...]
    rows: list[list[str]]
    lines: list[int]
    layout: Layout
    blank: int | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns."""
        return self.header.columns

    def at(self, row: int, column: Column) -> str:
        """Where a cell stands, for messages."""
        return f"{self.path}, line {self.lines[row]}, column {column}"

    def column(self, key: str | int, what: str) -> Column:
        """Column by name or by number, from 1; of a text of digits, a name goes before a number.

        Raises
        ------
        InputError
            If there is none, or a part of a name fits several; `what` says what it is for.
        """
        text = str(key).strip()
        if isinstance(key, str) and text:
            exact = [c for c in self.columns if c.name == text]
            alike = [c for c in self.columns if text.lower() in (c.name.lower(), c.bare)]
            if exact or len(alike) == 1:
                return (exact or alike)[0]
            if alike:
                raise InputError(
                    f"{self.path}: {text[:60]!r} for the {what} fits the columns {listed(alike)}; expected a whole "
                    "name or a number"
                )
        if text.isdecimal() and 1 <= int(text) <= len(self.columns):
            return self.columns[int(text) - 1]
        raise InputError(
            f"{self.path}: there is no column {key!r:.60} for the {what}; expected a name or a number (from 1) "
            f"of: {listed(self.columns)}"
        )

    def time_column(self) -> Column | None:
        """Column that holds times by its name or unit, or else the first if its numbers increase and others follow."""
        named = [c for c in self.numeric if c.is_time]
        if named:
            return min(named, key=lambda c: c.unlike_time)
        if len(self.numeric) < 2 or self.numeric[0].name or self.stamps() is not None:
            return None
        first = self.numbers(self.numeric[0])
        # A mere count may be of samples as well.
        if self.is_count(first):
            return None
        # One line in the wrong place is a mistake to be told, not another kind of column.
        parts = np.array_split(first, min(10, len(first)))
        increases = np.mean(np.diff(first) >= 0) > 0.9 and np.all(np.diff([np.median(part) for part in parts]) > 0)
        return self.numeric[0] if increases else None

    def stamps(self) -> tuple[Column, str] | None:
        """Column of dates or clock times, and its first cell."""
        numeric = {c.number for c in self.numeric}
        for column, cell in zip(self.columns, self.rows[0], strict=False):
            if column.number not in numeric and is_stamp(cell):
                return column, cell
        return None

    @staticmethod
    def is_count(values: FloatArray) -> bool:
        """Whether numbers are 0, 1, 2, ... or 1, 2, 3, ..."""
        return len(values) > 0 and values[0] in (0, 1) and bool(np.all(np.diff(values) == 1))

    def numbers(self, column: Column) -> FloatArray:
        """Numbers of a column as in the file, shape (n_rows,); NaN where a cell is empty, or stands for no value.

        Raises
        ------
        InputError
            If a cell is text.
        """
        return self.numbers_in_range(column)[0]

    def numbers_in_range(self, column: Column) -> tuple[FloatArray, int]:
        """As `numbers`, and how many cells are infinite or stand for a value beyond the instrument's range."""
        k = column.number - 1
        cells = [row[k] if k < len(row) else "" for row in self.rows]
        text = "".join(cells)
        try:
            if "_" in text or not text.isascii():
                raise ValueError
            values = np.array(list(map(float, cells)))
        except ValueError:  # a cell is empty, has a decimal comma, or is text
            values = np.array([self._value(cell, i, column) for i, cell in enumerate(cells)])
        size = np.abs(values)
        over = int(np.count_nonzero((size >= _OVER_RANGE) & (size != _NO_VALUE)))
        values[~(size < _OVER_RANGE)] = np.nan
        return values, over

    def _value(self, cell: str, row: int, column: Column) -> float:
        value = self.layout.number(cell)
        if value is None:
            what = "a date or a clock time, not a number" if is_stamp(cell) else "no number"
            raise InputError(
                f"{self.at(row, column)}: {excerpt(cell)} is {what}; expected one, or an empty cell where "
                "there is no sample"
            )
        return value


def is_stamp(cell: str) -> bool:
    """Whether a text looks like a date or a clock time."""
    return _STAMP.fullmatch(cell.strip()) is not None


def read_table(path: Path) -> ColumnTable:
    """Read a file of columns.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, or has no column of numbers, or rows hold more or fewer cells than others.
    """
    content = read_lines(path, _WHAT)
    head = _known_header(content)
    layout = find_layout(path, content[head:] or content)
    widest = 1 + max(line.text.count(layout.delimiter) for line in content)
    if widest > _MOST_COLUMNS:
        raise InputError(f"{path}: {widest} columns; expected at most {_MOST_COLUMNS}, a sample in a line")
    rows = TextTable(path, content, layout).rows()
    numeric = _numeric(rows[head:], layout)
    first = _first_row(rows, head, numeric, layout)
    last = max((k for k, row in enumerate(rows) if any(cell.strip() for cell in row)), default=-1)
    data = [] if first is None else [k for k in range(first, last + 1) if not content[k].is_comment]
    if first is None or not data:
        raise InputError(
            f"{path}: no column of numbers found (line {content[-1].number}: {excerpt(content[-1].text)}); expected "
            "columns separated by commas, semicolons or tabs"
        )
    _refuse_broken_row(path, rows, content, range(head, first), numeric, layout)
    _refuse_numbers_of_columns(path, rows[first:], content[first])
    width = max(numeric[-1] + 1, _width(rows[first]))
    header = read_header(rows[:first], numeric, width, layout)
    if header.misfit:
        raise InputError(
            f"{path}, line {content[first - 1].number}: {header.misfit} names above {width} numbers in a row; "
            "expected as many names (is the comma both separator and decimal mark?)"
        )
    _check_widths(path, rows, content, data, len(header.columns), numeric)
    return ColumnTable(
        path, header, tuple(header.columns[k] for k in numeric), [rows[k] for k in data],
        [content[k].number for k in data], layout, _blank(content[first : last + 1]),
    )  # fmt: skip


def _known_header(content: Sequence[Line]) -> int:
    """Lines before the names of the columns in formats that state it: Axon's text, LabVIEW's measurements."""
    first = content[0].text
    if re.match(r'"?ATF"?[\t,]', first) and len(content) > 1:
        stated = re.match(r"\s*(\d{1,6})[\t,]", content[1].text)
        return min(2 + int(stated[1]), len(content) - 1) if stated else 0
    if first.startswith("LabVIEW Measurement"):
        ends = [k for k, line in enumerate(content[:_LOOK]) if line.text.startswith(_END_OF_HEADER)]
        return min(ends[:2][-1] + 1, len(content) - 1) if ends else 0
    return 0


def _sampled(rows: Sequence[list[str]]) -> list[list[str]]:
    """Some rows of the bulk: headers stand in the first fifth, if the file is not shorter than its header."""
    bulk = rows[len(rows) // 5 :]
    return [bulk[k] for k in np.unique(np.linspace(0, len(bulk) - 1, min(_LOOK, len(bulk))).astype(int))]


def _numeric(rows: list[list[str]], layout: Layout) -> list[int]:
    """Columns of which at least half of the bulk's cells are numbers, or at least a tenth and the others empty."""
    sample = _sampled(rows)
    width = max(len(row) for row in sample)
    chosen = []
    for k in range(width):
        cells = [row[k] if k < len(row) else "" for row in sample]
        numbers = sum(map(layout.is_number, cells))
        empty = sum(not cell.strip() for cell in cells)
        if numbers >= 0.5 * len(cells) or (numbers >= 0.1 * len(cells) and numbers + empty == len(cells)):
            chosen.append(k)
    return chosen


def _first_row(rows: list[list[str]], head: int, numeric: list[int], layout: Layout) -> int | None:
    """First of five rows in succession (or of all that follow) that hold numbers or nothing in the numeric columns."""
    if not numeric:
        return None
    return next(
        (k for k in range(head, len(rows)) if all(_good(row, numeric, layout) for row in rows[k : k + 5])), None
    )


def _good(row: list[str], numeric: list[int], layout: Layout) -> bool:
    if len(row) <= numeric[-1]:
        return False
    cells = [row[k] for k in numeric]
    return any(map(layout.is_number, cells)) and all(layout.number(cell) is not None for cell in cells)


def _width(row: list[str]) -> int:
    """Cells of a row without empty ones at its end."""
    return max((k + 1 for k, cell in enumerate(row) if cell.strip()), default=0)


def _refuse_broken_row(
    path: Path, rows: list[list[str]], content: Sequence[Line], above: range, numeric: list[int], layout: Layout
) -> None:
    """Raise InputError if a text between the first rows of data made them look like a header."""
    begins = next((k for k in above if _good(rows[k], numeric, layout)), above.stop)
    broken = next((k for k in range(begins, above.stop) if not _good(rows[k], numeric, layout)), None)
    # Names, and key and value, begin with a text.
    if broken is None and len(above) and layout.is_number((rows[above[-1]] + [""] * (numeric[0] + 1))[numeric[0]]):
        broken = above[-1]
    for k in numeric if broken is not None else ():
        cell = rows[broken or 0][k] if k < len(rows[broken or 0]) else ""
        if layout.number(cell) is None:
            raise InputError(
                f"{path}, line {content[broken or 0].number}, column {k + 1}: {excerpt(cell)} is no number; expected "
                "one, or an empty cell where there is no sample"
            )


def _refuse_numbers_of_columns(path: Path, rows: list[list[str]], line: Line) -> None:
    """Raise InputError if the first row is 0, 1, ... (names of pandas) and what follows are no whole numbers."""
    cells = [cell.strip() for cell in rows[0]]
    numbers = [str(k) for k in range(len(cells))]
    if cells in (numbers, ["", *numbers[:-1]]) and any(
        not cell.strip().lstrip("-").isdigit() for row in rows[1:3] for cell in row[:1]
    ):
        raise InputError(
            f"{path}, line {line.number}: {excerpt(line.text)} seem to be numbers of columns; expected names, or data"
        )


def _check_widths(
    path: Path, rows: list[list[str]], content: Sequence[Line], data: list[int], most: int, numeric: list[int]
) -> None:
    """Raise InputError if a row has more cells than there are columns, or one before the last row too few of them."""
    usual = int(np.median([len(rows[k]) for k in data]))
    for k in data:
        long = len(rows[k]) > most and _width(rows[k]) > most
        if long or (len(rows[k]) <= numeric[-1] < usual and k != data[-1]):
            raise InputError(
                f"{path}, line {content[k].number}: {len(rows[k])} cells ({excerpt(content[k].text)}); expected "
                f"{usual} as in most lines"
            )


def _blank(content: Sequence[Line]) -> int | None:
    """Number of a blank line between lines that are mostly not apart; None: there is none."""
    numbers = np.array([line.number for line in content])
    gaps = np.diff(numbers)
    if not len(gaps) or gaps.max() == gaps.min():
        return None
    return int(numbers[np.argmax(gaps > gaps.min())]) + 1
