"""Text files of numbers in columns: one reader of separators, decimal marks, encodings, quotes and comments.

Separators are comma, semicolon, tab or blanks; numbers have a decimal point or a decimal comma. A comma that is both is
taken apart where the names above leave no doubt, and refused elsewhere.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.estimate import available_memory, size
from analog_fhn.errors import InputError

LARGEST = 2**30
"""Bytes of the largest file that is read."""

LONGEST_LINE = 2**24
"""Characters of the longest line that is read."""

MOST_LINES = 30_000_000
"""Lines that are read, blank ones too."""

COMMENT = ("#", "%")

_LINE, _CELL = 80, 60  # bytes that the text of a line takes in memory beside its characters, and of a short cell
_DELIMITERS = (",", ";", "\t", " ")
_LOOK = 200  # lines that the layout is found from, and ...
_BEGINNING = 20_000  # ... characters of each
_CUT = 60  # characters of a text that a message shows
_OVER_RANGE = re.compile(
    r"(?P<sign>[-+−]?)\s*(∞|o\.?l\.?|ovld?|ovf|ovrng|overflow|overload|over[ -]?range)", re.IGNORECASE
)
_NO_VALUE = ("NA", "N/A", "#N/A", "NULL", "null")
_WHOLE, _DECIMALS = re.compile(r"\s*[-+]?\d+"), re.compile(r"\d+(?:[eE][-+]?\d+)?\s*")
_NO_POINT = re.compile(r"\s*[-+]?\d+(?:[eE][-+]?\d+)?\s*")


class Line(NamedTuple):
    """A line that is not blank: its number in the file, from 1, and its text."""

    number: int
    text: str

    @property
    def is_comment(self) -> bool:
        """Whether it begins with the sign of a comment."""
        return self.text.lstrip().startswith(COMMENT)


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are taken apart.

    Parameters
    ----------
    delimiter
        Character between cells; a blank stands for any number of blanks and tabs.
    decimal
        Character before the decimals.
    pairs
        Number of cells between the commas of a line, where commas are separators and decimal marks by turns; 0: they
        are not.
    """

    delimiter: str = ","
    decimal: str = "."
    pairs: int = 0

    def cells(self, text: str) -> list[str]:
        """Cells of one line, without quotes."""
        if self.delimiter == " ":
            return text.lstrip("".join(COMMENT)).split()
        cells = next(csv.reader([text], delimiter=self.delimiter)) if '"' in text else text.split(self.delimiter)
        if self.pairs and _are_pairs(cells) and len(cells) == self.pairs:
            return [f"{whole},{decimals}" for whole, decimals in zip(cells[::2], cells[1::2], strict=True)]
        return cells

    def number(self, cell: str) -> float | None:
        """Value of a cell: NaN if it is empty or stands for no value, infinite if over range, None if it is text."""
        text = cell.strip()
        decimal_comma = self.decimal == ","
        # a point then stands between thousands, or is another decimal mark
        value = None if decimal_comma and "." in text else _float(text.replace(",", ".") if decimal_comma else text)
        return _word(text) if value is None else value

    def is_number(self, cell: str) -> bool:
        """Whether a cell is not empty and no text."""
        return bool(cell.strip()) and self.number(cell) is not None


@dataclass(frozen=True)
class TextTable:
    """The lines of a file that are not blank, and how they are taken apart."""

    path: Path
    lines: list[Line]
    layout: Layout

    def cells(self, line: Line) -> list[str]:
        """Cells of one line.

        Raises
        ------
        InputError
            If a quoted cell is too long.
        """
        return _cells(self.path, line, self.layout)

    def rows(self) -> list[list[str]]:
        """Cells of all lines.

        Raises
        ------
        InputError
            If they are more than the memory holds, or a quoted cell is too long.
        """
        delimiter = self.layout.delimiter
        cells = sum(line.text.count(delimiter) for line in self.lines) + len(self.lines)
        _check_memory(self.path, f"{cells} cells", _CELL * cells + _LINE * len(self.lines))
        rows = list(map(self.cells, self.lines))
        if self.layout.pairs:
            for line, row in zip(self.lines, rows, strict=True):
                if 2 * len(row) != self.layout.pairs and all(map(self.layout.is_number, row)):
                    raise InputError(
                        f"{self.path}, line {line.number}: {excerpt(line.text)}: the comma is both separator and "
                        f"decimal mark; expected {self.layout.pairs} numbers between commas as in other lines"
                    )
        return rows

    def array(self, lines: Sequence[Line]) -> NDArray[np.float64]:
        """Finite numbers of some of the lines, shape (n_lines, n_cells).

        Raises
        ------
        InputError
            If a cell is no finite number, or a line has more or fewer cells than the first.
        """
        values = self._at_once(lines)
        if values is not None and np.isfinite(values).all():
            return values
        # Reading fast does not say which line is at fault, so it is looked for only now.
        width = len(self.cells(lines[0]))
        return np.array([self._finite(line, width) for line in lines])

    def _at_once(self, lines: Sequence[Line]) -> NDArray[np.float64] | None:
        """Numbers of lines, read in one go; None if that fails, without a word about the line at fault."""
        delimiter, texts = self.layout.delimiter, [line.text for line in lines]
        if self.layout.decimal == ",":
            if delimiter == "," or any("." in text for text in texts):
                return None
            texts = [text.replace(",", ".") for text in texts]
        try:
            return np.loadtxt(
                texts, delimiter=None if delimiter == " " else delimiter, quotechar='"', comments=None, ndmin=2
            )
        except ValueError:
            return None

    def _finite(self, line: Line, width: int) -> list[float]:
        """Finite numbers of one line of `width` cells; anything else is an `InputError` that names the line."""
        values, cells = [], self.cells(line)
        for k, cell in enumerate(cells, start=1):
            value = self.layout.number(cell)
            if value is None or not cell.strip():
                raise InputError(f"{self.path}, line {line.number}, column {k}: {excerpt(cell)} is not a number")
            if not math.isfinite(value):
                raise InputError(
                    f"{self.path}, line {line.number}, column {k}: {excerpt(cell)}; expected a finite number"
                )
            values.append(value)
        if len(cells) != width:
            raise InputError(
                f"{self.path}, line {line.number}: {len(cells)} columns; expected {width} as in the first line"
            )
        return values

    def without_comments(self) -> list[Line]:
        """Lines that are no comments, without those at the end that hold separators only."""
        lines = [line for line in self.lines if not line.is_comment]
        while lines and not lines[-1].text.strip(f' "{self.layout.delimiter}'):
            lines.pop()
        return lines


def excerpt(text: str) -> str:
    """The beginning of a text of a file, in quotes and without control characters, for a message."""
    return repr(text.strip()[:_CUT])


def read_text_table(path: Path, what: str) -> TextTable:
    """Read a text file of columns.

    Parameters
    ----------
    what
        What the file should hold, for the messages: "columns of numbers".

    Raises
    ------
    InputError
        If the file cannot be read, is no text, is empty, is larger or has longer lines than can be read, or commas are
        separators and decimal marks and nothing tells which.
    """
    lines = read_lines(path, what)
    return TextTable(path, lines, find_layout(path, lines))


def named_rows(
    table: TextTable, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> list[tuple[int, list[str]]]:
    """Lines of data below a line of names: the number of each line and its cells.

    Parameters
    ----------
    columns
        Names of the columns, in the order in which their cells are returned; a file may have them in any other.
    optional
        Further columns that a file may lack; their cells come last, empty where the column is missing.

    Raises
    ------
    InputError
        If no line has the names, or a line has more or fewer cells than that one.
    """
    path, lines, known = table.path, table.without_comments(), (*columns, *optional)

    def fits(names: list[str]) -> bool:
        return len(set(names)) == len(names) and set(columns) <= set(names) <= set(known)

    named = [line for line in table.lines if fits(_names(table, line))][:1]
    first = named[0] if named else (lines or table.lines)[0]
    header = _names(table, first)
    if not named:
        unknown, missing = [n for n in header if n not in known], [n for n in columns if n not in header]
        wrong = "; ".join(
            f"{what} {', '.join(map(excerpt, names[:5]))}{' and more' if len(names) > 5 else ''}"
            for what, names in (("unknown column", unknown), ("missing column", missing))
            if names
        )
        raise InputError(
            f"{path}, line {first.number}: {wrong or 'a column twice'}; expected the columns {','.join(columns)}"
            f"{' and, where there is more, ' if optional else ''}{','.join(optional)}"
        )
    order = [header.index(name) if name in header else None for name in known]
    data = []
    for line in lines:
        if line.number <= first.number:
            continue
        cells = table.cells(line)
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line.number}: {len(cells)} values; expected {len(header)}")
        data.append((line.number, ["" if k is None else cells[k] for k in order]))
    return data


def finite_number(table: TextTable, line: int, column: str, text: str) -> float:
    """Number in a cell of a named column.

    Raises
    ------
    InputError
        If it is none, or not finite; the message names file, line and column.
    """
    value = table.layout.number(text)
    if value is None or not np.isfinite(value):
        raise InputError(f"{table.path}, line {line}, column {column!r}: {excerpt(text)}; expected a finite number")
    return value


def _names(table: TextTable, line: Line) -> list[str]:
    return [name.strip().lower() for name in table.cells(Line(line.number, line.text.lstrip("".join(COMMENT))))]


def read_lines(path: Path, what: str) -> list[Line]:
    """Lines of a text file that are not blank; arguments and errors as for `read_text_table`."""
    text = _text(path, what)
    n_lines = text.count("\n") + text.count("\r") + 1
    if n_lines > MOST_LINES:
        raise InputError(f"{path}: {n_lines} lines; expected {what}, at most {MOST_LINES}: take a part of the file")
    _check_memory(path, f"{n_lines} lines", 3 * len(text) + 2 * _LINE * n_lines)
    for line_end in ("\r\r\n", "\r\n", "\r"):
        text = text.replace(line_end, "\n")
    parts = text.split("\n")
    longest = max(map(len, parts))
    if longest > LONGEST_LINE:
        raise InputError(f"{path}: a line of {longest} characters; expected {what}, at most {LONGEST_LINE} a line")
    lines = [Line(k, part) for k, part in enumerate(parts, start=1) if part and not part.isspace()]
    if not lines:
        raise InputError(f"{path}: the file is empty; expected {what}")
    return lines


def find_layout(path: Path, lines: Sequence[Line]) -> Layout:
    """Separator and decimal mark with which most lines of the bulk are numbers only, then most numbers, then cells."""
    picked = np.unique(np.linspace(len(lines) // 5, len(lines) - 1, _LOOK).astype(int))
    sample = [Line(lines[k].number, lines[k].text[:_BEGINNING]) for k in picked]
    best, chosen = (0.0, 0.0, 0.0), None
    layouts = [Layout(delimiter, decimal) for delimiter in _DELIMITERS for decimal in ".,"]
    for layout in layouts:
        rows = [_cells(path, line, layout) for line in sample]
        # the last cell of a line of which only the beginning is looked at may be half a number
        rows = [row if len(line.text) < _BEGINNING else row[:-1] for row, line in zip(rows, sample, strict=True)]
        good = [row for row in rows if all(layout.number(cell) is not None for cell in row)]
        n_numbers = sum(layout.is_number(cell) for row in good for cell in row)
        each = max(len(good), 1)
        score = (len(good) / len(rows), n_numbers / each, sum(map(len, good)) / each)
        if n_numbers and score > best:
            best, chosen = score, layout
    if chosen is None or best[0] < 0.1:  # some column is text: the layout with most columns of numbers beside it
        by_columns = [(_columns_of_numbers(path, sample, layout), layout) for layout in layouts]
        # where several do, a comma is rather a decimal mark
        return max(by_columns, key=lambda pair: (pair[0], pair[0] > 0 and pair[1].delimiter in "\t;"))[1]
    if chosen.delimiter == "," and all(len(line.text) < _BEGINNING for line in sample):
        return _comma_twice(path, lines, sample) or chosen
    return chosen


def _float(text: str) -> float | None:
    # Python takes 1_000 and other scripts' digits for numbers; nobody who writes a table does.
    if not text.isascii():
        text = text.replace("−", "-")
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _word(text: str) -> float | None:
    """Value of a cell that is no number: NaN for no value, infinite for one out of range, None if the cell is text."""
    if not text or text in _NO_VALUE:
        return math.nan
    over = _OVER_RANGE.fullmatch(text)
    if over is None:
        return None
    return -math.inf if over["sign"] in ("-", "−") else math.inf


def _columns_of_numbers(path: Path, sample: Sequence[Line], layout: Layout) -> float:
    """Share of the columns that are numbers, if all lines have as many; 0 otherwise."""
    rows = [_cells(path, line, layout) for line in sample]
    widths = sorted(map(len, rows))
    width = widths[len(widths) // 2]
    rows = [row for row in rows if len(row) == width]
    if width < 2 or 2 * len(rows) < len(sample):
        return 0.0
    return sum(2 * sum(layout.is_number(row[k]) for row in rows) >= len(rows) for k in range(width)) / width


def _comma_twice(path: Path, lines: Sequence[Line], sample: Sequence[Line]) -> Layout | None:
    """Layout of a file whose commas are separators and decimal marks by turns; None for any other file.

    Half as many names as cells say so. Without names, zeros before whole numbers in every other column only do: such a
    file is refused.
    """
    plain = Layout(",", ".")
    rows = [plain.cells(line.text) for line in sample]
    width = len(rows[0])
    if width < 2 or any(len(row) != width for row in rows):
        return None
    if not all(_NO_POINT.fullmatch(cell) for row in rows for cell in row):
        return None
    first = next(k for k, line in enumerate(lines) if all(map(plain.is_number, plain.cells(line.text))))
    names = [cell for cell in plain.cells(lines[first - 1].text) if cell.strip()] if first else []
    if len(names) == width:
        return None
    if 2 * len(names) == width and all(map(_are_pairs, rows)):
        return Layout(",", ",", pairs=width)
    padded = [any(re.match(r"\s*0\d", row[k]) for row in rows) for k in range(width)]
    if any(padded) and not (any(padded[::2]) and any(padded[1::2])):
        raise InputError(
            f"{path}, line {lines[first].number}: {excerpt(lines[first].text)}: the comma seems to be both separator "
            "and decimal mark; save the file with semicolons or tabs as separators"
        )
    return None


def _are_pairs(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers and decimals by turns."""
    return len(cells) % 2 == 0 and all(
        (_DECIMALS if k % 2 else _WHOLE).fullmatch(cell) is not None for k, cell in enumerate(cells)
    )


def _cells(path: Path, line: Line, layout: Layout) -> list[str]:
    try:
        return layout.cells(line.text)
    except csv.Error as error:
        raise InputError(
            f"{path}, line {line.number}: is no table ({error}); expected columns of numbers (CSV), a row in a line"
        ) from None


def _check_memory(path: Path, what: str, needed: float) -> None:
    available = available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"{path}: {what} need about {size(needed)} of memory; {size(available)} are available: take a part of the "
            "file"
        )


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1) if path.stat().st_size <= LARGEST else None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if data is None or len(data) > LARGEST:
        raise InputError(f"{path}: larger than {LARGEST >> 20} MiB; expected {what}: take a part of it")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0" if encoding == "utf-16" else data.decode("latin-1")
    if "\0" in text:
        raise InputError(f"{path}: is no text; expected {what} (CSV)")
    return text
