"""The trials of a run in SQLite, in a folder or in memory.

In a folder a row is on the disk as soon as it is there; there is one writer, and any number of readers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from analog_fhn._support.extras import extra
from analog_fhn._support.files import new_file, new_table
from analog_fhn.errors import InputError, RunError
from analog_fhn.montecarlo import stored
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.trial import COLUMNS, Trial

FORMAT = 1
FILE = "results.sqlite"
_LONGEST = 2**27  # bytes of one value
# What may differ between two runs of one plan.
_NOT_EXPORTED = ("seconds",)

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE points (
    point INTEGER PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL,
    nominal_accuracy REAL
);
CREATE TABLE trials (
    point INTEGER NOT NULL, trial INTEGER NOT NULL, chip_seed INTEGER NOT NULL, status TEXT NOT NULL,
    accuracy REAL, agreement REAL, confusion TEXT, table_error REAL, window_error REAL,
    message TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (point, trial)
);
"""


class Store:
    """A run folder's `results.sqlite`. Closed by `close` or at the end of a with-block.

    Parameters
    ----------
    folder
        Of the run.
    write
        Take the place of the one writer; else the file is only read, also while a run is going on.

    Raises
    ------
    InputError
        If there is no run, it is damaged or of another format, or (to write) another process writes already.
    """

    FILE: ClassVar[str] = FILE
    COMMAND: ClassVar[str] = "analog-fhn sweep"  # that writes such files
    TABLES: ClassVar[tuple[str, ...]] = ("meta", "points", "trials")
    SCHEMA: ClassVar[str] = SCHEMA

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self.folder: Path | None = folder
        self._path = folder / self.FILE
        self._lock: sqlite3.Connection | None = None
        if not self._path.is_file():
            raise InputError(
                f"{folder}: holds no run ({self.FILE} is missing); expected the folder of `{self.COMMAND}`"
            )
        if write:
            self._lock = _locked(folder)
        place = self._path.absolute().as_uri()  # of a name that holds ? or # too
        try:
            self._db = sqlite3.connect(f"{place}?mode={'rw' if write else 'ro'}", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            self._unlock()
            raise InputError(f"{self._path}: cannot be read as a run ({error})") from None
        try:
            self._check_schema()
            formats = self._rows("SELECT value FROM meta WHERE key = 'format'")
            said = formats[0][0] if formats else "unknown"
            if said != json.dumps(FORMAT):
                raise InputError(f"{self._path}: format {str(said)[:20]}; this version reads format {FORMAT}")
            if write:
                # FULL: a row that was reported is on the disk, whatever happens to the machine.
                with self._writing():
                    self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: Path, meta: dict[str, Any], points: Iterable[SweepPoint]) -> Self:
        """A new run in a folder that holds none yet; `meta` are JSON values by name.

        Raises
        ------
        InputError
            If the folder holds a run or cannot be written.
        """
        path = folder / cls.FILE
        if path.exists():
            raise InputError(f"{folder}: holds a run already; add --resume to go on with it, or name another folder")
        lock = _locked(folder)
        try:
            # Appears whole or not at all: a run that is killed here has not begun.
            draft = folder / f".{cls.FILE}.new"
            draft.unlink(missing_ok=True)
            db = sqlite3.connect(draft)
            _begin(db, cls.SCHEMA, meta)
            db.close()
            draft.replace(path)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{path}: cannot be written ({error})") from None
        finally:
            lock.close()
        store = cls(folder, write=True)
        for point in points:
            store.add_point(point)
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; another process may write then."""
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _check_schema(self) -> None:
        """Refuse a damaged database, and what would run as a program when it is read (views, computed columns)."""
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        kinds = dict(self._rows("SELECT name, type FROM sqlite_master"))
        for name in self.TABLES:
            if kinds.get(name, "table") != "table":
                raise InputError(f"{self._path}: {name} is a {kinds[name]}; expected a table")
            if any(hidden for *_, hidden in self._rows(f"PRAGMA table_xinfo({name})")):
                raise InputError(f"{self._path}, table {name}: has computed columns; expected values")
        ((said,),) = self._rows("PRAGMA quick_check(1)")
        if said != "ok":
            raise InputError(f"{self._path}: cannot be read as a run (damaged: {' '.join(str(said).split())})")

    @property
    def name(self) -> str:
        """Name of the run's folder, or that it has none."""
        return "in memory" if self.folder is None else self.folder.resolve().name

    @property
    def meta(self) -> dict[str, Any]:
        """What the run was made of.

        Raises
        ------
        InputError
            For a value that no run of ours holds, as in all methods that read; names table and row.
        """
        return stored.meta(self._path, self._rows("SELECT key, value FROM meta"))

    def known(self, *keys: str) -> dict[str, Any]:
        """As `meta`, of a run that has these keys.

        Raises
        ------
        InputError
            If one is missing.
        """
        values = self.meta
        if absent := [key for key in keys if values.get(key) is None]:
            raise InputError(f"{self._path}: says nothing about {', '.join(absent)}; is it a run of a sweep?")
        return values

    def set_meta(self, key: str, value: Any) -> None:
        """Store one JSON value."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def add_point(self, point: SweepPoint) -> None:
        """Store a point; one that is there already stays."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO points (point, role, name, settings) VALUES (?, ?, ?, ?)",
                (point.number, point.role, point.name, json.dumps(dict(point.settings))),
            )

    def set_nominal(self, point: int, accuracy: float) -> None:
        """Store what a point's nominal chip reaches."""
        with self._writing():
            self._db.execute("UPDATE points SET nominal_accuracy = ? WHERE point = ?", (accuracy, point))

    def nominal(self) -> dict[int, float]:
        """Accuracy of each point's nominal chip, where it is known."""
        return self._points()[1]

    def points(self) -> list[SweepPoint]:
        """All points, in their order."""
        return self._points()[0]

    def _points(self) -> tuple[list[SweepPoint], dict[int, float]]:
        query = "SELECT point, role, name, settings, nominal_accuracy FROM points ORDER BY point"
        return stored.points(self._path, self._rows(query))

    def add(self, *trials: Trial) -> None:
        """Store trials, all or none; they are on the disk when this returns.

        Raises
        ------
        RunError
            If they cannot be written, on a full disk for instance.
        """
        with self._writing():
            self._db.execute("BEGIN")
            try:
                self._insert(trials)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _insert(self, trials: Sequence[Trial]) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        rows = [tuple(getattr(trial, name) for name in COLUMNS) for trial in trials]
        self._db.executemany(f"INSERT INTO trials ({', '.join(COLUMNS)}) VALUES ({marks})", rows)

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: even what SQLite says of it is no text
            raise InputError(f"{self._path}: cannot be read as a run ({error})") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self._path}: cannot be written ({error}); what stands in it is kept, --resume goes on"
            ) from None

    def trials(self, point: int | None = None) -> list[Trial]:
        """Trials of one point, or of all, ordered by point and trial."""
        where, values = ("", ()) if point is None else ("WHERE point = ?", (point,))
        rows = self._rows(f"SELECT {', '.join(COLUMNS)} FROM trials {where} ORDER BY point, trial", values)
        return stored.trials(self._path, [Trial(*row) for row in rows], len(self.points()), self.meta)

    def done(self) -> set[tuple[int, int]]:
        """Point and trial of every row."""
        return {(point, trial) for point, trial in self._rows("SELECT point, trial FROM trials")}

    def export(self, path: Path) -> None:
        """Write all trials with their points' settings as `.csv` or `.parquet`; what differs between runs is left out.

        Raises
        ------
        InputError
            For another ending, or a file that cannot be written; as for `analog_fhn._support.files.new_file`.
        MissingProgramError
            If pyarrow is needed and not there.
        """
        rows = table_rows(self.points(), self.trials())
        columns = {name: [_plain(row[name]) for row in rows] for name in table_columns(self.points())}
        if path.suffix == ".csv":
            with new_table(path) as table:
                table.writerow(columns)
                table.writerows(zip(*columns.values(), strict=True))
        elif path.suffix == ".parquet":
            _write_parquet(columns, path)
        else:
            raise InputError(f"{path}: expected a name that ends in .csv or .parquet")


class MemoryStore(Store):
    """A run that is gone when the object is.

    Parameters
    ----------
    meta, points
        As for `Store.create`.
    """

    def __init__(self, meta: dict[str, Any], points: Iterable[SweepPoint]) -> None:
        self.folder, self._path, self._lock = None, Path("run in memory"), None
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        _begin(self._db, self.SCHEMA, meta)
        for point in points:
            self.add_point(point)


def _begin(db: sqlite3.Connection, schema: str, meta: dict[str, Any]) -> None:
    """Give a database the tables of a run without trials."""
    db.executescript(schema)
    rows = [(key, json.dumps(value)) for key, value in ({"format": FORMAT} | meta).items()]
    db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    db.commit()


def table_columns(points: Sequence[SweepPoint]) -> list[str]:
    """Names of the columns of a run's table: point, its name and settings, and what a trial says."""
    settings = dict.fromkeys(key for point in points for key in point.settings)
    return ["point", "point_name", *settings, *(name for name in COLUMNS if name not in ("point", *_NOT_EXPORTED))]


def table_rows(points: Sequence[SweepPoint], trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """One row for each trial, by the names of `table_columns`; a setting that its point does not have is None."""
    numbered = {point.number: point for point in points}
    columns = table_columns(points)
    rows = []
    for trial in trials:
        point = numbered[trial.point]
        known = dict(point.settings) | vars(trial) | {"point_name": point.name}
        rows.append({name: known.get(name) for name in columns})
    return rows


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _write_parquet(columns: dict[str, list[Any]], path: Path) -> None:
    with extra("parquet", f"{path}: Parquet needs pyarrow"):
        import pyarrow
        from pyarrow import parquet

    def column(values: list[Any]) -> Any:
        # A setting that is a number at one point and a word at another is text.
        kinds = {type(value) for value in values if value is not None}
        mixed = bool(kinds - {int, float}) and len(kinds) > 1
        return [None if v is None else str(v) for v in values] if mixed else values

    with new_file(path) as file:
        parquet.write_table(pyarrow.table({name: column(values) for name, values in columns.items()}), file)


def _locked(folder: Path) -> sqlite3.Connection:
    """Lock the run until the connection is closed or the process ends, however it ends.

    An empty database beside the run serves as the lock: SQLite locks files on every system.
    """
    path = folder / ".lock"
    try:
        path.touch()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    lock = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise InputError(f"{path}: cannot be locked ({error}); delete it if no process writes this run") from None
        raise InputError(f"{folder}: another process is writing this run") from None
    return lock
