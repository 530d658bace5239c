"""What a run has shown: its points, what is missing, its worst chips and its tables' errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sweeps import made

from analog_fhn.errors import InputError
from analog_fhn.montecarlo.outcome import Results, collect, read
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.store import Store

PLAN = {
    "chips": 4, "images": 2, "split": "test", "seed": 0, "readout": None, "gamma": None, "errors": None, "settings": {},
    "points": None, "grid": None, "backend": "direct", "table": None, "specification": 0.9, "until": None,
    "sensitivity": False,
}  # fmt: skip


def run(
    folder: Path,
    rows: Mapping[tuple[str, str], Sequence[float | None]],
    plan: dict[str, Any] | None = None,
    **meta: Any,
) -> Results:
    """Results of a run with points of a role and a name, and accuracies per chip."""
    folder.mkdir()
    content = {
        "configuration": {"plan": PLAN | (plan or {}), "readout": ["mean", True]}, "accuracy_plain": 0.95,
        "specification": 0.9, "n_images": 2, "n_classes": 2,
    }  # fmt: skip
    points = [SweepPoint(k, role, name) for k, (role, name) in enumerate(rows)]  # type: ignore[arg-type]
    with Store.create(folder, content | meta, points) as store:
        for k, accuracies in enumerate(rows.values()):
            for chip, accuracy in enumerate(accuracies):
                store.add(made(k, chip, accuracy, confusion=json.dumps([1, 0, 0, 1])))
        return collect(store)


def test_points_without_chips_have_no_outcome(tmp_path: Path) -> None:
    results = run(tmp_path / "run", {("sweep", "a"): (0.9, 0.8), ("sweep", "b"): ()})
    assert [(o.name, len(o.trials)) for o in results.outcomes.values()] == [("a", 2)]
    assert results.missing == 2 + 4


def test_several_points_are_numbered(tmp_path: Path) -> None:
    results = run(tmp_path / "run", {("sweep", "a"): (0.9,), ("sweep", "b"): (None,), ("only", "only x"): (0.8,)})
    assert [o.name for o in results.shown] == ["0: a", "1: b"]
    assert [o.name for o in results.judged] == ["0: a"]
    assert [o.point.name for o in results.alone] == ["only x"]


def test_chips_that_confirm_an_allocation_are_the_last_of_their_point(tmp_path: Path) -> None:
    parts = {"classes": {"resistor": "1 %"}, "cost": 1.0}
    confirmation = {"point": 1, "n_trials": 2, "yield": 0.5, "yield_low": 0.1, "yield_high": 0.9}
    allocation = {"target": 0.9, "specification": 0.9, "present": parts, "chosen": parts, "confirmation": confirmation}
    rows = {("sweep", "a"): (), ("allocation", "b"): (0.9, 0.95, 0.7, 0.8)}
    results = run(tmp_path / "run", rows, allocation=allocation)
    (chosen,) = results.shown
    assert chosen.fresh
    assert chosen.values.tolist() == [0.7, 0.8]
    # an allocation draws its own chips
    assert (results.searched, results.missing) == (True, 0)


def test_of_several_points_each_has_one_worst_chip(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {("sweep", "a"): (0.9, 0.7, None, 0.8)})
    assert [trial.trial for _, trial in one.worst(2)] == [1, 3]
    two = run(tmp_path / "two", {("sweep", "a"): (0.9, 0.7, 0.6), ("sweep", "b"): (0.5, 0.8)})
    assert [(o.point.number, trial.trial) for o, trial in two.worst(2)] == [(1, 0), (0, 2)]


def test_sequential_stopping_asks_for_no_more_chips(tmp_path: Path) -> None:
    rows = {("sweep", "a"): (0.9,) * 3}
    assert run(tmp_path / "run", rows, {"chips": 99, "until": {"width": 0.9, "every": 3}}).missing == 0


def test_size_of_the_tables(tmp_path: Path) -> None:
    rows = {("sweep", "a"): (0.9,)}
    assert run(tmp_path / "default", rows).table_size == 9
    assert run(tmp_path / "stated", rows, {"table": 17}).table_size == 17


def test_run_without_trials_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", {("sweep", "a"): ()})
    with pytest.raises(InputError, match="no trial is done yet"):
        read(tmp_path / "run")
