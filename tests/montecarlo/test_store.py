"""The file of a run: what is stored is read back, whoever reads and however the writer ended."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from sweeps import made, wait_for

from analog_fhn.errors import InputError, MissingProgramError, RunError
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.store import FILE, FORMAT, Store
from analog_fhn.montecarlo.trial import COLUMNS, Trial

POINTS = [
    SweepPoint(0, "sweep", "as planned", {"gamma": -1.0, "array.levels": 16, "errors": ["opamp", "adc"]}),
    SweepPoint(1, "only", "only opamp", {"gamma": -1, "array.levels": "device", "array.tile_rows": None}),
]
TRIALS = [
    Trial(0, 0, 3757552657, "done", 0.97, 0.99, "[1,0,0,1]", 1.25e-4, 0.1 + 0.2, "", 0.5),
    Trial(0, 1, 12, "failed", message='neuron 2, "trouble",\nagain', seconds=1.5),
    Trial(1, 0, 3757552657, "done", 1 / 3, 1.0, "[1,0,1,0]", 0.0, None, "", 0.25),
]


def create(folder: Path, **meta: Any) -> Store:
    return Store.create(folder, meta, POINTS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A run with three trials, open for writing."""
    with create(tmp_path, specification=0.97) as opened:
        for trial in TRIALS:
            opened.add(trial)
        yield opened


def altered(folder: Path, statement: str, *values: object) -> Path:
    """Run folder whose file something else has written to."""
    with create(folder) as opened:
        opened.add(TRIALS[0])
    database = sqlite3.connect(folder / FILE)
    database.execute(statement, values)
    database.commit()
    database.close()
    return folder


# --- round trip -----------------------------------------------------------------------------------------------


def test_trials_are_read_back_as_they_were(store: Store) -> None:
    assert store.trials() == TRIALS


def test_trials_of_one_point(store: Store) -> None:
    assert store.trials(1) == TRIALS[2:]


def test_trials_are_ordered_whatever_the_order_they_came_in(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        for trial in reversed(TRIALS):
            opened.add(trial)
        assert opened.trials() == TRIALS


def test_done_are_point_and_trial_of_every_row(store: Store) -> None:
    assert store.done() == {(0, 0), (0, 1), (1, 0)}


def test_points_are_read_back_as_they_were(store: Store) -> None:
    assert store.points() == POINTS


def test_point_that_is_there_stays(store: Store) -> None:
    store.add_point(replace(POINTS[0], name="another"))
    assert store.points() == POINTS


def test_meta_are_read_back_as_they_were(tmp_path: Path) -> None:
    values = {"specification": 0.97, "plan": "chips: 3\n", "versions": {"numpy": "1"}, "nothing": None}
    with create(tmp_path, **values) as opened:
        assert opened.meta == {"format": FORMAT} | values


def test_meta_can_be_set_later(store: Store) -> None:
    for value in ({"a": 1}, [2]):
        store.set_meta("note", value)
    assert store.meta["note"] == [2]


def test_nominal_accuracies_are_those_that_were_set(store: Store) -> None:
    store.set_nominal(1, 0.98)
    assert store.nominal() == {1: 0.98}


def test_rows_are_there_after_closing(store: Store, tmp_path: Path) -> None:
    store.close()
    with Store(tmp_path) as again:
        assert again.trials() == TRIALS


def test_row_is_on_the_disk_when_it_is_added(store: Store, tmp_path: Path) -> None:
    # a copy of the files, as they are at this moment, is what a crash leaves
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    with Store(copy) as left:
        assert left.trials() == TRIALS


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2)])
def test_row_outlives_a_power_cut(pragma: str, value: object, store: Store) -> None:
    # full: SQLite has the write-ahead log on the disk before a row counts as stored
    assert store._db.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_same_trial_twice_is_refused(store: Store) -> None:
    with pytest.raises(RunError, match="UNIQUE"):
        store.add(TRIALS[0])


@pytest.mark.parametrize("name", ["run#1", "what?", "50%20", "a b", "größer"])
def test_any_name_of_a_folder_will_do(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    create(tmp_path / name).close()
    with Store(tmp_path / name) as opened:
        assert opened.points() == POINTS


# --- one writer, any readers ----------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.trial import Trial
with Store(Path(sys.argv[1]), write=True) as store:
    trial = 2
    while True:
        store.add(Trial(0, trial, trial, "done", 0.5))
        trial += 1
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run that another process writes to, all the time."""
    folder = tmp_path_factory.mktemp("written")
    create(folder).close()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
    try:
        with Store(folder) as reader:
            assert wait_for(lambda: len(reader.done()) > 10, 30)
        yield folder
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_reading_while_another_process_writes(written: Path) -> None:
    with Store(written) as reader:
        before = len(reader.trials())
        assert wait_for(lambda: len(reader.trials()) > before, 30)


def test_second_writer_is_refused(written: Path) -> None:
    with pytest.raises(InputError, match="another process is writing this run"):
        Store(written, write=True)


def test_export_while_another_process_writes(written: Path, tmp_path: Path) -> None:
    with Store(written) as reader:
        reader.export(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        assert [int(row["trial"]) for row in csv.DictReader(file)][:10] == list(range(2, 12))


def test_second_writer_in_the_same_process_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another process is writing this run"):
        Store(tmp_path, write=True)


def test_lock_needs_nothing_that_some_systems_lack(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(InputError, match="another process is writing this run"):
        Store(written, write=True)


def test_what_is_no_lock_is_named(store: Store, tmp_path: Path) -> None:
    store.close()
    (tmp_path / ".lock").write_bytes(b"no database, but more bytes than its header has: " * 100)
    with pytest.raises(InputError, match=r"\.lock: cannot be locked \(file is not a database\); delete it"):
        Store(tmp_path, write=True)


def test_another_may_write_after_closing(store: Store, tmp_path: Path) -> None:
    store.close()
    with Store(tmp_path, write=True) as again:
        again.add(made(1, 7))
        assert len(again.trials()) == 4


def test_reader_cannot_write(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path) as reader, pytest.raises(RunError, match="readonly"):
        reader.add(made(1, 7))


# --- what is no run -------------------------------------------------------------------------------------------


def test_second_run_in_a_folder_is_refused(store: Store, tmp_path: Path) -> None:
    store.close()
    with pytest.raises(InputError, match="holds a run already; add --resume"):
        create(tmp_path)


def test_run_that_was_killed_while_it_was_created_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.new").write_bytes(b"half a file")
    with create(tmp_path) as opened:
        assert opened.points() == POINTS


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: holds no run"):
        Store(tmp_path)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        Store(tmp_path / "absent")


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: cannot be written"):
        create(tmp_path / "absent")


def test_another_format_is_refused(tmp_path: Path) -> None:
    folder = altered(tmp_path, "UPDATE meta SET value = ? WHERE key = 'format'", json.dumps(FORMAT + 1))
    with pytest.raises(InputError, match=f"format {FORMAT + 1}; this version reads format {FORMAT}"):
        Store(folder)


def test_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format unknown"):
        Store(altered(tmp_path, "DELETE FROM meta"))


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("content", [b"", b"no database", b"no database" * 1000], ids=["empty", "short", "long"])
def test_file_that_is_no_database_is_refused(content: bytes, write: bool, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a run"):
        Store(tmp_path, write=write)


def test_database_of_something_else_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("CREATE TABLE songs (name TEXT)")
    database.close()
    with pytest.raises(InputError, match="no such table"):
        Store(tmp_path)


def test_refused_file_can_be_opened_by_another(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database")
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be read as a run"):
            Store(tmp_path, write=True)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Run whose first pages are whole and whose others are not."""
    with create(tmp_path) as opened:
        for k in range(200):
            opened.add(made(0, k, confusion="[1,2,3,4]" * 20))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[5 * 4096 :] = b"\xa5" * (len(content) - 5 * 4096)
    (tmp_path / FILE).write_bytes(content)
    return tmp_path


def test_damaged_file_is_refused_where_it_is_opened(damaged: Path) -> None:
    with pytest.raises(InputError, match=f"{FILE}: cannot be read as a run"):
        Store(damaged)


# --- what no run of ours holds --------------------------------------------------------------------------------

READ = {"meta": lambda store: store.meta, "points": Store.points, "trials": Store.trials}


@pytest.mark.parametrize(
    ("table", "statement", "values", "where"),
    [
        ("meta", "INSERT INTO meta VALUES ('a', ?)", ["not JSON"], "meta, key 'a': cannot be read as JSON"),
        ("meta", "INSERT INTO meta VALUES ('a', ?)", [b"x"], "meta, key 'a': b'x': expected JSON text"),
        ("meta", "INSERT INTO meta VALUES ('a', ?)", ["[" * 10**5], "meta, key 'a': JSON nested deeper"),
        ("meta", "INSERT INTO meta VALUES ('n_images', '0')", [], "meta: n_images = 0"),
        ("meta", "INSERT INTO meta VALUES ('specification', '\"x\"')", [], "meta: specification = 'x'"),
        ("points", "UPDATE points SET settings = '[]' WHERE point = 1", [], "points, point 1: settings"),
        ("points", "UPDATE points SET role = 'x' WHERE point = 1", [], "points, point 1: role = 'x'"),
        ("points", "UPDATE points SET name = ' ' WHERE point = 1", [], "points, point 1: name = ' '"),
        ("points", "UPDATE points SET point = 5 WHERE point = 1", [], "points, point 5: expected point 1"),
        ("points", "UPDATE points SET nominal_accuracy = 7", [], "points, point 0: nominal_accuracy = 7"),
        ("trials", "UPDATE trials SET accuracy = 'x'", [], "trials, point 0, trial 0: accuracy = 'x'"),
        (
            "trials",
            "UPDATE trials SET accuracy = NULL",
            [],
            "trials, point 0, trial 0: status 'done' with accuracy None",
        ),
        ("trials", "UPDATE trials SET chip_seed = -1", [], "trials, point 0, trial 0: chip_seed = -1"),
        ("trials", "UPDATE trials SET message = ?", [b"x"], "trials, point 0, trial 0: message = b'x'"),
        ("trials", "UPDATE trials SET point = 9", [], "trials, point 9, trial 0: there is no such point"),
        (
            "trials",
            "UPDATE trials SET confusion = '{}'",
            [],
            "trials, point 0, trial 0: confusion = '{}': expected a list",
        ),
    ],
)
def test_what_no_run_holds_is_named(
    table: str, statement: str, values: list[object], where: str, tmp_path: Path
) -> None:
    with (
        Store(altered(tmp_path, statement, *values)) as opened,
        pytest.raises(InputError, match=f"{FILE}, table {where}"),
    ):
        READ[table](opened)


@pytest.mark.parametrize(("key", "value"), [("n_classes", 3), ("n_images", 7)])
def test_confusion_of_another_size_than_the_run_is_refused(key: str, value: int, tmp_path: Path) -> None:
    with create(tmp_path, **{key: value}) as opened:
        opened.add(TRIALS[0])
        with pytest.raises(InputError, match=f"table trials, point 0, trial 0: confusion: .*; expected {value}"):
            opened.trials()


def test_view_in_the_place_of_a_table_is_not_run(tmp_path: Path) -> None:
    create(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.executescript(
        "DROP TABLE trials; CREATE VIEW trials AS WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n) "
        "SELECT k AS point, k AS trial FROM n"
    )
    database.close()
    with pytest.raises(InputError, match=f"{FILE}: trials is a view; expected a table"):
        Store(tmp_path)


def test_computed_column_is_not_run(tmp_path: Path) -> None:
    folder = altered(tmp_path, "ALTER TABLE trials ADD COLUMN a AS (zeroblob(1000000000))")
    with pytest.raises(InputError, match="table trials: has computed columns"):
        Store(folder)


# --- full disk ------------------------------------------------------------------------------------------------


def fill(store: Store) -> int:
    """Number of rows that go into a file that may not grow for long."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    for number in range(1000):
        try:
            store.add(made(0, number, message="a" * 500))
        except RunError:
            return number
    raise AssertionError("the file is never full")


def test_full_disk_is_named_and_rows_are_said_to_be_kept(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        fill(opened)
        with pytest.raises(RunError, match=r"database or disk is full\); what stands in it is kept, --resume"):
            opened.add(made(0, 1000, message="a" * 500))


def test_full_disk_loses_no_row(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        rows = fill(opened)
    with Store(tmp_path) as again:
        assert [trial.trial for trial in again.trials()] == list(range(rows))


def test_after_a_full_disk_rows_go_on(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        rows = fill(opened)
    with Store(tmp_path, write=True) as again:
        again.add(made(0, rows))
        assert len(again.trials()) == rows + 1


# --- export ---------------------------------------------------------------------------------------------------

SETTINGS = ("gamma", "array.levels", "errors", "array.tile_rows")
EXPORTED = ["point", "point_name", *SETTINGS, *(name for name in COLUMNS if name not in ("point", "seconds"))]


def as_csv(store: Store, folder: Path) -> list[dict[str, str]]:
    store.export(folder / "trials.csv")
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_parquet(store: Store, folder: Path) -> list[dict[str, Any]]:
    store.export(folder / "trials.parquet")
    found: list[dict[str, Any]] = parquet.read_table(folder / "trials.parquet").to_pylist()
    return found


def test_columns_of_csv(store: Store, tmp_path: Path) -> None:
    assert list(as_csv(store, tmp_path)[0]) == EXPORTED


def test_columns_of_parquet(store: Store, tmp_path: Path) -> None:
    assert list(as_parquet(store, tmp_path)[0]) == EXPORTED


def test_csv_holds_the_trials(store: Store, tmp_path: Path) -> None:
    names = [name for name in COLUMNS if name != "seconds"]
    expected = [["" if (value := getattr(t, name)) is None else str(value) for name in names] for t in TRIALS]
    assert [[row[name] for name in names] for row in as_csv(store, tmp_path)] == expected


def test_parquet_holds_the_trials(store: Store, tmp_path: Path) -> None:
    names = [name for name in COLUMNS if name != "seconds"]
    found = as_parquet(store, tmp_path)
    assert [[row[name] for name in names] for row in found] == [[getattr(t, name) for name in names] for t in TRIALS]


def test_csv_keeps_every_digit(store: Store, tmp_path: Path) -> None:
    assert [float(row["accuracy"]) for row in as_csv(store, tmp_path) if row["accuracy"]] == [0.97, 1 / 3]


def test_settings_are_columns_of_csv(store: Store, tmp_path: Path) -> None:
    found = [[row[name] for name in ("point_name", *SETTINGS)] for row in as_csv(store, tmp_path)]
    first = ["as planned", "-1.0", "16", '["opamp", "adc"]', ""]
    assert found == [first, first, ["only opamp", "-1", "device", "", ""]]


def test_setting_of_mixed_types_is_text_in_parquet(store: Store, tmp_path: Path) -> None:
    assert [row["array.levels"] for row in as_parquet(store, tmp_path)] == ["16", "16", "device"]


def test_whole_and_fractional_numbers_are_numbers_in_parquet(store: Store, tmp_path: Path) -> None:
    assert [row["gamma"] for row in as_parquet(store, tmp_path)] == [-1.0, -1.0, -1.0]


def test_list_is_text_in_parquet(store: Store, tmp_path: Path) -> None:
    assert [row["errors"] for row in as_parquet(store, tmp_path)] == ['["opamp", "adc"]'] * 2 + [None]


@pytest.mark.parametrize("name", ["trials.csv", "trials.parquet"])
def test_export_does_not_depend_on_the_order_of_the_rows(name: str, tmp_path: Path) -> None:
    rows = [made(point, k, 0.9 + 0.001 * k, seconds=random.random()) for point in (0, 1) for k in range(30)]
    found = []
    for order in (rows, random.Random(0).sample(rows, len(rows))):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        with create(folder) as opened:
            for trial in order:
                opened.add(replace(trial, seconds=random.random()))
            opened.export(folder / name)
        found.append((folder / name).read_bytes())
    assert found[0] == found[1]


def test_run_without_trials_exports_its_columns_as_csv(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        opened.export(tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text().splitlines() == [",".join(EXPORTED)]


def test_run_without_trials_exports_its_columns_as_parquet(tmp_path: Path) -> None:
    with create(tmp_path) as opened:
        opened.export(tmp_path / "trials.parquet")
    assert parquet.read_table(tmp_path / "trials.parquet").column_names == EXPORTED


@pytest.mark.parametrize("name", ["trials.xlsx", "trials"])
def test_another_ending_is_refused(name: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}: expected a name that ends in \.csv or \.parquet"):
        store.export(tmp_path / name)


@pytest.mark.parametrize("name", ["trials.csv", "trials.parquet"])
def test_export_that_cannot_be_written_is_refused(name: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name}: cannot be written"):
        store.export(tmp_path / FILE / name)


def test_absent_pyarrow_is_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingProgramError, match='pip install "analog-fhn\\[parquet\\]"'):
        store.export(tmp_path / "trials.parquet")
