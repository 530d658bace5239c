"""A sweep of objects in hand: in memory, in a folder and by the command line the same; what it is asked afterwards."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import (
    Command,
    deep_digits_network,
    descendants,
    digits,
    digits_network,
    discrete,
    running,
    wait_for,
    write_plan,
)
from sweeps import tiny_network as untrained

import analog_fhn
from analog_fhn import cli
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.montecarlo.store import FILE, Store
from analog_fhn.sweeps import Study, sweep

GRID = {"array.levels": [16, 256]}


def design() -> Design:
    return Design(digits_network(), discrete())


def swept(**changes: Any) -> Study:
    """Two points of three chips, on one worker."""
    options = {"chips": 3, "grid": GRID, "seed": 3, "specification": 0.75, "workers": 1} | changes
    return sweep(options.pop("design", design()), options.pop("data", digits()), **options)


@pytest.fixture(scope="module")
def study() -> Study:
    return swept()


@pytest.fixture(scope="module")
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the same sweep, by two workers."""
    folder = tmp_path_factory.mktemp("swept") / "new" / "run"
    swept(folder=folder, workers=2)
    return folder


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the same sweep by the command line."""
    folder = tmp_path_factory.mktemp("command")
    np.savez(folder / "mine.npz", images=digits().images, labels=digits().labels)
    plan = write_plan(folder, grid=GRID, dataset="mine.npz", images=None)
    cli.app(["sweep", str(plan), "-o", str(folder / "run"), "--workers", "1"], standalone_mode=False)
    return folder / "run"


def as_written(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows as a CSV file has them."""
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


# --- the same wherever it runs --------------------------------------------------------------------------------


def test_sweep_in_memory_has_the_table_of_one_in_a_folder(study: Study, in_folder: Path) -> None:
    with (in_folder / "trials.csv").open(newline="") as file:
        assert as_written(study.table()) == list(csv.DictReader(file))


def test_sweep_in_a_folder_has_the_table_of_the_command_line(in_folder: Path, by_command: Path) -> None:
    assert (in_folder / "trials.csv").read_bytes() == (by_command / "trials.csv").read_bytes()


def test_run_of_the_command_line_is_gone_on_with(by_command: Path, study: Study) -> None:
    assert swept(folder=by_command).table() == study.table()


def test_arrays_are_as_good_as_a_data_set(study: Study) -> None:
    images, labels = digits().images, digits().labels
    in_hand = swept(data=(images.astype(float).reshape(-1, 8, 8), labels.tolist()))
    assert in_hand.table() == study.table()


def test_values_of_a_grid_may_be_an_array(study: Study) -> None:
    assert swept(grid={"array.levels": np.array([16, 256])}).table() == study.table()


def test_points_of_a_grid_are_those_that_are_listed(study: Study) -> None:
    assert swept(grid=None, points=({"array.levels": 16}, {"array.levels": 256})).table() == study.table()


def test_trial_is_the_chip_of_its_seed(study: Study) -> None:
    row = study.table()[4]
    chip = study.design(row["point"]).chip(row["chip_seed"])
    assert classify(chip, digits().images, table=9).accuracy(digits().labels) == row["accuracy"]


# --- killed, and gone on with ---------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from sweeps import digits, digits_network, discrete
from analog_fhn import Design, sweep
if __name__ == "__main__":
    sweep(Design(digits_network(), discrete()), digits(), chips={chips}, seed=3, specification=0.75, workers=2,
          folder={folder!r})
"""
CHIPS = 200


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a sweep whose process was killed after some trials."""
    folder = tmp_path_factory.mktemp("killed")
    run = folder / "run"

    def rows() -> int:
        if not (run / FILE).exists():
            return 0
        with Store(run) as store:
            return len(store.done())

    (folder / "script.py").write_text(SCRIPT.format(chips=CHIPS, folder=str(run), tests=str(Path(__file__).parent)))
    with Command((), folder / "said.txt", (str(folder / "script.py"),)) as command:
        command.until(lambda: rows() >= 10)
        workers = descendants(command.process.pid)
        command.process.kill()
        command.process.wait()
        wait_for(lambda: not running(workers), 5)
    assert 10 <= rows() < CHIPS
    return run


def test_killed_sweep_goes_on_when_it_is_called_again(killed: Path) -> None:
    with Store(killed) as store:
        before = store.trials()
    calls: list[tuple[int, int]] = []
    resumed = swept(grid=None, chips=CHIPS, folder=killed, workers=2, progress=lambda *call: calls.append(call))
    assert calls[0] == (len(before), CHIPS)
    assert calls[-1] == (CHIPS, CHIPS)
    assert [row["trial"] for row in resumed.table()] == list(range(CHIPS))
    fresh = swept(grid=None, chips=20)
    assert resumed.table()[:20] == fresh.table()


def test_another_sweep_in_the_folder_is_refused(in_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds a run of another configuration \(plan.seed was 3 and is 4\)"):
        swept(folder=in_folder, seed=4)


# --- what it has shown ----------------------------------------------------------------------------------------


def test_table_has_the_settings_of_its_points(study: Study) -> None:
    assert [(row["point"], row["array.levels"], row["trial"]) for row in study.table()] == [
        (point, levels, trial) for point, levels in enumerate(GRID["array.levels"]) for trial in range(3)
    ]


def test_accuracies_are_those_of_the_table(study: Study) -> None:
    assert study.accuracies(1).tolist() == [row["accuracy"] for row in study.table() if row["point"] == 1]


def test_accuracies_of_a_point_that_is_none_are_refused(study: Study) -> None:
    with pytest.raises(ValueError, match="point 7: expected one of 0, 1"):
        study.accuracies(7)


@pytest.mark.parametrize("specification", [None, 0.77])
def test_yield_is_the_share_with_its_wilson_interval(study: Study, specification: float | None) -> None:
    goal = specification or 0.75
    for point, found in enumerate(study.yield_(specification)):
        passed = int(np.count_nonzero(study.accuracies(point) >= goal))
        assert (found.point, found.specification, found.n_chips, found.share) == (point, goal, 3, passed / 3)
        assert (found.low, found.high) == wilson(passed, 3)
    assert [found.name for found in study.yield_()] == ["array.levels = 16", "array.levels = 256"]


def test_worst_chip_of_each_point(study: Study) -> None:
    assert sorted((t.point, t.accuracy) for t in study.worst()) == [(k, study.accuracies(k).min()) for k in (0, 1)]


def test_worst_chips_of_one_point() -> None:
    one = swept(grid=None)
    assert [trial.accuracy for trial in one.worst(2)] == sorted(one.accuracies())[:2]


def test_study_says_what_it_is(study: Study) -> None:
    assert repr(study).startswith("<Study: 6 chips at 2 points, median accuracy ")


@pytest.mark.parametrize("where", ["in memory", "in a folder"])
def test_report_is_one_file(where: str, study: Study, in_folder: Path, tmp_path: Path) -> None:
    (study if where == "in memory" else swept(folder=in_folder)).report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "array.levels = 256" in text
    worst = study.worst()[0]
    assert f"study.design({worst.point}).chip({worst.chip_seed})" in " ".join(
        text.replace("<span>", "").replace("</span>", "").split()
    )


def test_regression_is_made_when_it_is_asked_for() -> None:
    many = swept(grid=None, chips=40, settings={"sense_amplifier.offset_sigma": 3e-3})
    regressed = many.regression()
    assert regressed is not None
    assert regressed.terms[0].group == "amplifier_offset"
    assert many.regression() is regressed


def test_regression_of_a_folder_is_that_which_it_stores(tmp_path: Path) -> None:
    options = {"grid": None, "chips": 40, "settings": {"sense_amplifier.offset_sigma": 3e-3}, "sensitivity": True}
    made = swept(folder=tmp_path, errors=["amplifier_offset"], **options)
    with Store(tmp_path) as store:
        stored = store.meta["regression"]
    found = made.regression()
    assert found is not None
    assert json.loads(json.dumps(found.as_json())) == stored
    assert {row["point_name"] for row in made.table()} == {
        "as planned", "only amplifier_offset", "all but amplifier_offset"
    }  # fmt: skip


def test_chips_are_drawn_until_the_yield_is_known() -> None:
    stopped = swept(grid=None, settings={"array.levels": 4}, chips=60, until={"width": 0.2, "every": 10})
    assert len(stopped.table()) == 20


def test_two_hidden_layers() -> None:
    network = deep_digits_network()
    deep = swept(design=Design(network, discrete()), grid=None, specification=0.7)
    chip = deep.design().chip(deep.table()[1]["chip_seed"])
    assert deep.accuracies()[1] == classify(chip, digits().images, table=9).accuracy(digits().labels)


def test_study_can_be_pickled(study: Study) -> None:
    assert pickle.loads(pickle.dumps(study)).table() == study.table()


def test_public_name() -> None:
    assert analog_fhn.sweep is sweep


# --- mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chips": 0}, "sweep: chips = 0: expected"),
        ({"chips": 2.5}, "sweep: chips = 2.5: expected a whole number"),
        ({"workers": 0}, "sweep: workers = 0: expected at least 1"),
        ({"grid": {"resistor.tolerence": [0.01]}}, "point 0 (resistor.tolerence = 0.01): technology 'discrete' has no"),
        ({"grid": {"resistor.tolerance": []}}, "sweep: grid.resistor.tolerance"),
        ({"grid": {"resistor.tolerance": 0.01}}, "sweep: grid.resistor.tolerance = 0.01: expected a list"),
        ({"points": [{}]}, "points and grid: expected one of them"),
        ({"backend": "directly"}, "sweep: backend = 'directly': expected"),
        ({"specification": 97.0}, "sweep: specification = 97"),
        ({"until": {"width": 0.1, "evry": 3}}, "sweep: unknown key 'until.evry'"),
        ({"errors": ["resistors"]}, "error group 'resistors'"),
        ({"data": (digits().images, digits().labels[:-1])}, "arrays: 100 images but labels of shape (99,)"),
        ({"data": (digits().images,)}, "sweep: data = "),
        ({"data": (digits().images[:, :60], digits().labels)}, "images have shape (100, 60)"),
        ({"data": (digits().images, digits().labels + 3)}, "label 12; the network has 10 classes"),
        ({"data": (255.0 * digits().images, digits().labels)}, "arrays: values from 0 to 255"),
        ({"design": Design(untrained(), discrete()), "data": (np.eye(5), [0, 1, 2, 0, 1])}, "the plain network is"),
    ],
)
def test_mistake_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        swept(**changes)
    assert message in str(caught.value)


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be made a folder"):
        swept(folder=tmp_path / "file")


def test_data_set_that_head_took_unfairly_is_refused() -> None:
    order = np.argsort(digits(300).labels, kind="stable")
    whole = digits(300)
    sorted_by_class = Dataset(
        "mine", whole.images[order], whole.labels[order], 10, whole.scale, "mine"
    )  # fmt: skip
    with pytest.raises(InputError, match=r"mine: .*expected each class in its share"):
        swept(data=sorted_by_class.head(100))
