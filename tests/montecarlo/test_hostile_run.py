"""Runs whose results.sqlite something else has written to, or whose bytes are damaged: taken or refused, never more."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tempfile
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import hostile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.store import FILE, Store
from analog_fhn.montecarlo.trial import COLUMNS, Trial, chip_seed

N_IMAGES = 20
PLAN = {
    "chips": 4, "images": N_IMAGES, "split": "test", "seed": 4, "readout": None, "gamma": None, "errors": None,
    "settings": {}, "points": None, "grid": None, "backend": "direct", "table": None, "specification": 0.9,
    "until": {"width": 0.1, "every": 2}, "sensitivity": True,
}  # fmt: skip
YIELD = {"n_trials": 4, "yield": 0.75, "yield_low": 0.3, "yield_high": 0.95}
PARTS = {"classes": {"resistor": "1 %"}, "cost": 3.5}
META = {
    "configuration": {
        "plan": PLAN, "network": "ab", "images": "cd", "labels": "ef", "readout": ["mean", True],
        "technology": {"name": "discrete", "source": "data sheets"}, "protocol": {"settle": 100.0, "control": 200.0},
        "points": [["sweep", {"gamma": -1.0}]],
    },
    "accuracy_plain": 0.95, "specification": 0.9, "n_images": N_IMAGES, "n_classes": 2, "images": "my.npz",
    "plan": "chips: 4", "versions": {"numpy": "2"}, "dataset": "my.npz",
    "regression": {
        "n_chips": 4, "n_images": N_IMAGES, "explained": 0.5, "components": [["neuron r1", "resistor", 0.2]],
        "terms": [{"group": "resistor", "coefficient": 1.0, "low": 0.9, "high": 1.1, "share": 0.4},
                  {"group": "opamp", "coefficient": None, "low": None, "high": None, "share": 0.0}],
    },
    "allocation": {
        "target": 0.9, "specification": 0.9, "present": PARTS, "chosen": PARTS, "unpriced": ["opamp"],
        "steps": [PARTS | YIELD | {"point": 3, "verdict": "meets"}],
        "confirmation": YIELD | {"point": 3, "median_accuracy": 0.95},
    },
}  # fmt: skip
POINTS = [
    SweepPoint(0, "sweep", "as planned", {"gamma": -1.0, "errors": ["opamp"], "array.levels": 16}),
    SweepPoint(1, "only", "only resistor", {"gamma": -1.0, "errors": ["resistor"]}),
    SweepPoint(2, "without", "all but resistor", {"gamma": -1.0, "errors": ["opamp"]}),
    SweepPoint(3, "allocation", "resistor 1 %", {"classes": {"resistor": "1 %"}}),
]


def trial(point: int, k: int) -> Trial:
    if (point, k) == (0, 3):
        return Trial(0, 3, chip_seed(4, 3), "failed", message="neuron 2: timestep too small", seconds=0.5)
    right = 16 + k + point % 2
    counts = json.dumps([10, 0, N_IMAGES - right, right - 10])
    accuracy = right / N_IMAGES
    return Trial(point, k, chip_seed(4, k), "done", accuracy, accuracy, counts, 1e-5, 2e-3, seconds=0.5)


@cache
def run() -> bytes:
    """File of a whole run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.create(folder, META, POINTS) as store:
            for point in POINTS:
                for k in range(4):
                    store.add(trial(point.number, k))
            store.set_nominal(0, 0.94)
        database = sqlite3.connect(folder / FILE, isolation_level=None)
        # small pages: a file of which damages hit something
        for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 512", "VACUUM"):
            database.execute(statement)
        database.close()
        return (folder / FILE).read_bytes()


# --- readers, which the child imports by their name -----------------------------------------------------------


def _folder(path: Path) -> Path:
    folder = path.parent / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(path, folder / FILE)
    return folder


def status(path: Path) -> None:
    from analog_fhn.cli.sweep import status as command

    folder = _folder(path)
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        command(folder, folder / "trials.csv", str(folder / "status.json"))
        command(folder, folder / "trials.parquet")


def report(path: Path) -> None:
    from analog_fhn.report import run as module

    folder = _folder(path)
    module.report(folder, folder / "report.html")


def resume(path: Path) -> None:
    """What `sweep --resume` reads before it goes on."""
    with Store(_folder(path), write=True) as store:
        store.known("configuration")
        store.trials()
        store.done()
        store.add(trial(0, 7))


# --- edits ----------------------------------------------------------------------------------------------------

JSON = st.sampled_from([
    None, True, -1, 0, 3, 2**40, 10**400, 1.5, -1e308, 1e-320, "", "x", "nan", "$\\frac{$", "\ud800", "\0", "\x1b[31m",
    "a" * 5000, [], [1], [[]], ["a", {}], {}, {"a": 1}, {"": None},
])  # fmt: skip
SQL = st.sampled_from([
    None, -1, 0, 1, 2, 9, 2**62, -(2**63), 0.5, 1e308, -1.5, float("inf"), "", " ", "x", "0.5", "[1,2,3,4]", "[1e400]",
    "[" * 100000, "{}", "[]", "null", "1e999", "NaN", '{"a": [NaN]}', "9" * 5000, b"", b"\xff\xfe", b"1", "\0", "a\nb",
    "sweep", "only", "allocation", "failed", "done", "$x_{$", "\x1b[2J",
])  # fmt: skip
COLUMNS_OF = {
    "meta": ("key", "value"), "points": ("point", "role", "name", "settings", "nominal_accuracy"), "trials": COLUMNS,
}  # fmt: skip
TABLES = st.sampled_from(sorted(COLUMNS_OF))


class Edited:
    """The run after some statements of SQL, which a failing test shows."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self.database = sqlite3.connect(":memory:")
        self.database.deserialize(run())

    def do(self, statement: str, *values: object) -> None:
        with suppress(sqlite3.Error, OverflowError), self.database:
            self.database.execute(statement, values)
            self._said.append(f"{statement} {values!r:.200}")

    @property
    def content(self) -> bytes:
        return self.database.serialize()

    def __repr__(self) -> str:
        return "; ".join(self._said)


@st.composite
def edited(draw: st.DrawFn) -> Edited:
    edit = Edited()
    for _ in range(draw(st.integers(1, 3))):
        table = draw(TABLES)
        column = draw(st.sampled_from(COLUMNS_OF[table]))
        match draw(st.sampled_from(["value"] * 6 + ["json"] * 6 + ["delete", "copy", "drop", "lose", "rename", "any"])):
            case "value":
                edit.do(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", draw(SQL), draw(st.integers(1, 9)))
            case "json":
                _edit_json(draw, edit)
            case "delete":
                edit.do(f"DELETE FROM {table} WHERE {column} = (SELECT max({column}) FROM {table})")
            case "copy":
                edit.do(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")
            case "drop":
                edit.do(f"DROP TABLE {table}")
            case "lose":
                edit.do(f"ALTER TABLE {table} DROP COLUMN {column}")
            case "rename":
                edit.do(f"ALTER TABLE {table} RENAME COLUMN {column} TO another")
            case _:  # a table of the same names, which takes values of any type
                edit.do(f"ALTER TABLE {table} RENAME TO before")
                edit.do(f"CREATE TABLE {table} AS SELECT * FROM before")
                edit.do(f"UPDATE {table} SET {column} = ?", draw(SQL))
    return edit


def _edit_json(draw: st.DrawFn, edit: Edited) -> None:
    table, key, column = draw(
        st.sampled_from([("meta", "key", "value"), ("points", "point", "settings"), ("trials", "rowid", "confusion")])
    )
    with suppress(sqlite3.Error, ValueError, TypeError):  # an edit before has left nothing to change
        rows = edit.database.execute(f"SELECT {key}, {column} FROM {table}").fetchall()
        name, text = rows[draw(st.integers(0, 30)) % len(rows)] if rows else (None, None)
        root = _changed(draw, json.loads(text))
        edit.do(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", json.dumps(root), name)


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """JSON with one value somewhere in it changed or gone."""
    if not (isinstance(value, list | dict) and value and draw(st.integers(0, 4))):
        return draw(JSON)
    copy = value.copy()
    key = draw(st.sampled_from(sorted(copy) if isinstance(copy, dict) else range(len(copy))))
    if draw(st.integers(0, 9)):
        copy[key] = _changed(draw, copy[key])
    else:
        del copy[key]
    return copy


# --- what comes of it -----------------------------------------------------------------------------------------

MODULE = "montecarlo.test_hostile_run"
# these share their readers with the first one
fewer = settings(hostile.hostile, max_examples=max(1, hostile.EXAMPLES // 4))
# a report draws a dozen pictures
drawn = settings(hostile.hostile, max_examples=max(1, hostile.EXAMPLES // 20))


@pytest.mark.parametrize("reader", ["status", "resume", "report"])
def test_run_as_it_was_is_taken(reader: str) -> None:
    assert hostile.check(f"{MODULE}:{reader}", "input.sqlite", run()).kind == "accepted"


@hostile.hostile
@given(edited())
def test_hostile_edits_are_shown_or_refused(edit: Edited) -> None:
    hostile.check(f"{MODULE}:status", "input.sqlite", edit.content)


@fewer
@given(st.deferred(lambda: hostile.damaged([run()])))
def test_hostile_damages_are_shown_or_refused(content: bytes) -> None:
    hostile.check(f"{MODULE}:status", "input.sqlite", content)


@fewer
@given(edited())
def test_hostile_edits_are_gone_on_with_or_refused(edit: Edited) -> None:
    hostile.check(f"{MODULE}:resume", "input.sqlite", edit.content)


@drawn
@given(edited())
def test_hostile_edits_are_reported_or_refused(edit: Edited) -> None:
    hostile.check(f"{MODULE}:report", "input.sqlite", edit.content)
