"""Text tables: how lines are taken apart, and what is too large to be read."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest

from analog_fhn._support import tables
from analog_fhn._support.tables import Layout, excerpt, read_text_table
from analog_fhn.errors import InputError


def layout_of(folder: Path, text: str) -> Layout:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_text_table(path, "columns of numbers").layout


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ("1,2.5", Layout(",", ".")), ("1;2.5", Layout(";", ".")), ("1;2,5", Layout(";", ",")),
        ("1\t2,5", Layout("\t", ",")), ("1  2.5", Layout(" ", ".")), ('"1,5","2,5"', Layout(",", ",")),
        ("12:00:00\t2,5", Layout("\t", ",")), ("1 Jan;2,5;3,5", Layout(";", ",")), ("1, 2.5", Layout(",", ".")),
    ],
)  # fmt: skip
def test_layout(tmp_path: Path, row: str, layout: Layout) -> None:
    assert layout_of(tmp_path, f"{row}\n" * 20) == layout


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1.5", ".", 1.5), (" 1,5 ", ",", 1.5), ("−2e3", ".", -2000.0), ("1,5", ".", None), ("1.5", ",", None),
        ("1.234,5", ",", None), ("1_000", ".", None), ("\u0661", ".", None), ("OL", ".", math.inf),
        ("- ∞", ",", -math.inf), ("x", ".", None), ("Na", ".", None), ("1 000", ".", None),
    ],
)  # fmt: skip
def test_number(cell: str, decimal: str, value: float | None) -> None:
    assert Layout(";", decimal).number(cell) == value


@pytest.mark.parametrize("cell", ["", "  ", "NA", "nan", "N/A"])
def test_no_value(cell: str) -> None:
    value = Layout().number(cell)
    assert value is not None
    assert math.isnan(value)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_text_table(path, "columns of numbers").rows()
    return str(caught.value)


def test_a_sparse_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "huge.csv: larger than 1024 MiB; expected columns of numbers" in refusal(path)


def test_a_device_that_never_ends_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST", 10**6)
    assert "larger than" in refusal(Path("/dev/zero"))


def test_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("1,2\n3,4\n",))
    writer.start()
    assert read_text_table(path, "columns of numbers").rows() == [["1", "2"], ["3", "4"]]
    writer.join()


def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    path = tmp_path / "long.csv"
    path.write_text("1,2\n" + "1," * 600)
    assert "a line of 1200 characters; expected columns of numbers, at most 1000 a line" in refusal(path)


def test_too_many_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_LINES", 1000)
    path = tmp_path / "many.csv"
    path.write_text("\n" * 1000)
    assert "many.csv: 1001 lines; expected columns of numbers, at most 1000: take a part of the file" in refusal(path)


@pytest.mark.parametrize("row", ["1,2,3", "1;2;3", "1 2 3"])
def test_of_long_lines_the_beginning_tells_the_layout(tmp_path: Path, row: str) -> None:
    assert layout_of(tmp_path, row[1].join([row] * 40_000) + "\n") == Layout(row[1], ".")


def test_lines_and_cells_that_need_more_than_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.csv"
    monkeypatch.setattr(tables, "available_memory", lambda: 100e3)
    path.write_text("\n" * 1000)
    assert "many.csv: 1001 lines need about 163 kB of memory; 100 kB are available" in refusal(path)
    path.write_text("1" + ",2" * 9999)
    assert "many.csv: 10000 cells need about 600 kB of memory; 100 kB are available" in refusal(path)


@pytest.mark.parametrize("content", [b"\xff\xfe1", b"1,2\n\0\0", b"\xff\xfe\0\0" + b"1\0\0\0" * 4, b"\x89PNG\0"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(content)
    assert refusal(path) == f"{path}: is no text; expected columns of numbers (CSV)"


def test_an_excerpt_is_short_and_harmless() -> None:
    assert excerpt(" a\x1b[2J\u202e ") == r"'a\x1b[2J\u202e'"
    assert len(excerpt("x" * 10**6)) == 62
