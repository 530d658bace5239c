"""Objects show themselves: short at the prompt, whole in print, escaped and self-contained in a notebook."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from analog_fhn._support.cards import MOST_ROWS, Bar, Card, Grid, Rows, Shown, Tabular
from analog_fhn.errors import MissingProgramError


class Thing(Shown):
    def _card(self) -> Card:
        facts = {"<b>": 'a "quoted" & dangerous <script>', "nothing": None, "truth": True, "number": 1 / 3}
        grid = Grid(("part", "size", "share"), [("R1 & <R2>", 0.5, Bar(0.25, "25 %")), ("C1", 2.0, Bar(7.0, "all"))])
        return Card("Thing", "of a kind", facts, (grid,))


def test_one_line_at_the_prompt_and_all_in_print() -> None:
    assert repr(Thing()) == "<Thing: of a kind>"
    lines = str(Thing()).splitlines()
    assert lines[0] == "Thing: of a kind"
    assert [line.split() for line in lines[2:5]] == [["nothing", "–"], ["truth", "yes"], ["number", "0.3333"]]
    assert lines[5:] == ["  part       size  share", "  R1 & <R2>   0.5  25 %", "  C1            2  all"]


def test_html_is_one_element_whose_text_is_that_of_print() -> None:
    html = Thing()._repr_html_()
    element = ElementTree.fromstring(html)  # well-formed, with everything escaped
    assert element.tag == "div"
    assert not list(element.iter("script"))
    cells = ["".join(cell.itertext()) for cell in element.iter("td")]
    assert 'a "quoted" & dangerous <script>' in cells
    assert cells[-6:] == ["R1 & <R2>", "0.5", "25 %", "C1", "2", "all"]
    assert not re.search(r"https?:|url\(|src=|href=|<style|class=\"(?!analog-fhn\")", html)


def test_html_takes_the_colours_of_the_page_and_bars_stay_within_it() -> None:
    html = Thing()._repr_html_()
    colours = set(re.findall(r"(?:color|background|border[a-z-]*):([^;\"]+)", html))
    assert {colour for colour in colours if "#" in colour} == {"4px solid #0b6e99", "#0b6e99"}  # the mark and the bars
    assert re.findall(r"width:(\d+)px", html) == ["30", "120"]


@dataclass(frozen=True)
class Record:
    name: str
    value: float


class Records(Rows[Record]):
    def _card(self) -> Card:
        return Card("Records", f"{len(self)}", grids=(Grid(("name", "value"), [(r.name, r.value) for r in self]),))


def test_a_list_of_records_is_a_list_and_a_table() -> None:
    records = Records([Record("a", 1.0), Record("b", 2.0)])
    assert records == [Record("a", 1.0), Record("b", 2.0)]
    assert repr(records) == "<Records: 2>"
    assert records.table() == [{"name": "a", "value": 1.0}, {"name": "b", "value": 2.0}]


def test_long_tables_are_cut_and_say_so() -> None:
    records = Records(Record(str(k), float(k)) for k in range(MOST_ROWS + 3))
    assert str(records).endswith("... and 3 more")
    assert "and 3 more" in records._repr_html_()
    assert str(Records()).splitlines() == ["Records: 0", "  name  value"]


def test_a_frame_has_the_rows_of_the_table() -> None:
    pandas = pytest.importorskip("pandas")
    records = Records([Record("a", 1.0), Record("b", 2.0)])
    frame = records.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.to_dict("records") == records.table()


def test_without_pandas_tables_stay_and_a_frame_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    records: Tabular = Records([Record("a", 1.0)])
    assert records.table() == [{"name": "a", "value": 1.0}]
    with pytest.raises(MissingProgramError, match=r'data frames need pandas.*pip install "analog-fhn\[tables\]"'):
        records.frame()
