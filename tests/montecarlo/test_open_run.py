"""A run in its folder: killed and gone on with, refused where it is another one, stopped when enough is known."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from sweeps import Command, descendants, digits, digits_network, discrete, running, threads, wait_for, write_plan

from analog_fhn import cli
from analog_fhn.cli.sweep import begin
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.montecarlo.open_run import OpenRun, open_run, reproduce_command, technology_file
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.runner import Workers
from analog_fhn.montecarlo.statistics import known_well
from analog_fhn.montecarlo.store import FILE, Store
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

# --- killed, and gone on with ---------------------------------------------------------------------------------

PLAN = {"chips": 150, "grid": {"array.levels": [32, 256]}}
TRIALS = 300


def rows(run: Path) -> int:
    """Rows of a run so far; -1: there is no run yet."""
    if not (run / FILE).exists():
        return -1
    with Store(run) as store:
        return len(store.done())


@dataclass
class Killed:
    """A run that was killed three times, and then ended by other workers."""

    run: Path
    rows: list[int] = field(default_factory=list)
    survivors: list[set[tuple[int, str]]] = field(default_factory=list)
    leftovers: list[int] = field(default_factory=list)
    said: str = ""
    status: int = -1


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(tmp_path_factory.mktemp("plan"), **PLAN)


@pytest.fixture(scope="module")
def killed(plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """At the beginning, when its worker is busy, and when more than a third is done."""
    folder = tmp_path_factory.mktemp("killed")
    run = folder / "run"
    found = Killed(run)
    for moment, number in ((0, 2), (30, 1), (110, 2)):
        arguments = ("sweep", plan_file, "-o", run, "--resume", "--workers", number)
        with Command(arguments, folder / "said.txt") as command:
            command.until(lambda moment=moment: rows(run) >= moment)  # type: ignore[misc]
            workers = descendants(command.process.pid)
            command.process.send_signal(signal.SIGKILL)
            command.process.wait()
            wait_for(lambda workers=workers: not running(workers), 5)  # type: ignore[misc]
            found.survivors.append(running(workers))
            found.rows.append(rows(run))
            found.leftovers.append(len(list(run.glob(".images-*"))))
    with Command(("sweep", plan_file, "-o", run, "--resume", "--workers", 1), folder / "said.txt") as command:
        found.status, found.said = command.finish(), command.said
    return found


@pytest.fixture(scope="module")
def uninterrupted(plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Table of the same plan, run in one go in this process."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    study = begin(plan_file, folder, None, resume=False)
    with study.store, threads(study.job) as workers:
        study.run(workers)
        study.store.export(folder / "trials.csv")
    return (folder / "trials.csv").read_bytes()


def test_kills_came_while_trials_were_missing(killed: Killed) -> None:
    assert killed.rows[0] < killed.rows[1] <= killed.rows[2] < TRIALS


def test_killed_run_ends_when_it_is_gone_on_with(killed: Killed) -> None:
    assert killed.status == 0, killed.said


def test_table_of_a_killed_run_is_that_of_an_uninterrupted_one(killed: Killed, uninterrupted: bytes) -> None:
    assert (killed.run / "trials.csv").read_bytes() == uninterrupted, killed.said


def test_killed_run_holds_every_trial_once(killed: Killed) -> None:
    with Store(killed.run) as store:
        assert [(t.point, t.trial) for t in store.trials()] == [(p, k) for p in (0, 1) for k in range(150)]


def test_no_worker_outlives_a_killed_driver(killed: Killed) -> None:
    assert killed.survivors == [set(), set(), set()]


def test_images_that_a_killed_run_left_are_removed(killed: Killed) -> None:
    assert max(killed.leftovers) == 1, "one at a time: each start removes that of the one before"
    assert list(killed.run.glob(".images-*")) == []


def test_images_that_are_left_over_are_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / ".images-abc").mkdir()
    (tmp_path / ".images-abc" / "images.npy").write_bytes(b"")
    opened(tmp_path).store.close()
    assert list(tmp_path.glob(".images-*")) == []


@dataclass
class Interrupted:
    """A run that Ctrl-C ended."""

    run: Path
    rows: int
    status: int
    said: str
    survivors: set[tuple[int, str]]


@pytest.fixture(scope="module")
def interrupted(plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    folder = tmp_path_factory.mktemp("interrupted")
    run = folder / "run"
    with Command(("sweep", plan_file, "-o", run, "--workers", 2), folder / "said.txt") as command:
        command.until(lambda: rows(run) >= 20)
        before, workers = rows(run), descendants(command.process.pid)
        os.killpg(command.process.pid, signal.SIGINT)  # a terminal sends it to all of them
        status = command.finish(15)
        wait_for(lambda: not running(workers), 5)
        return Interrupted(run, before, status, command.said, running(workers))


def imports_numpy(pid: int) -> bool:
    """Whether a process has begun to load what a worker needs, which takes it a second or more."""
    try:
        return "_multiarray_umath" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module")
def interrupted_early(plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Output of a sweep that Ctrl-C ended while its two workers were starting."""
    folder = tmp_path_factory.mktemp("early")
    with Command(("sweep", plan_file, "-o", folder / "run", "--workers", 2), folder / "said.txt") as command:
        command.until(lambda: any(imports_numpy(pid) for pid, _ in descendants(command.process.pid)))
        os.killpg(command.process.pid, signal.SIGINT)
        command.finish(15)
        return command.said


@pytest.fixture(scope="module")
def open_to_interrupts(plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, set[int]]:
    """Number of workers of a sweep, and those that SIGINT could reach at any time from their start to a first row."""
    folder = tmp_path_factory.mktemp("open")
    seen, reached = set[int](), set[int]()
    with Command(("sweep", plan_file, "-o", folder / "run", "--workers", 2), folder / "said.txt") as command:

        def look() -> bool:
            for pid, _ in descendants(command.process.pid):
                with contextlib.suppress(OSError):
                    # Before it runs a program of its own, a new process shows the command of its parent.
                    if b"multiprocessing-fork" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        seen.add(pid)
                        if not deaf_to_interrupts(pid):
                            reached.add(pid)
            return rows(folder / "run") > 0

        command.until(look)
    return len(seen), reached


def deaf_to_interrupts(pid: int) -> bool:
    """Whether a process blocks or ignores SIGINT."""
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool((int(status["SigBlk"], 16) | int(status["SigIgn"], 16)) >> (signal.SIGINT - 1) & 1)


def test_ctrl_c_reaches_no_worker_from_its_start_on(open_to_interrupts: tuple[int, set[int]]) -> None:
    assert open_to_interrupts == (2, set())


def test_interrupted_run_has_status_130(interrupted: Interrupted) -> None:
    assert interrupted.status == 130, interrupted.said


def test_interrupted_run_says_that_rows_are_kept(interrupted: Interrupted) -> None:
    again, kept = interrupted.said.splitlines()[-2:]
    assert again.startswith("analog-fhn: to go on: analog-fhn sweep ")
    assert again.endswith(f" -o {interrupted.run} --resume")
    assert kept == "analog-fhn: interrupted; what was written before is kept"


def test_interrupted_run_shows_no_traceback(interrupted: Interrupted) -> None:
    assert "Traceback" not in interrupted.said


def test_run_that_is_interrupted_while_workers_start_shows_no_traceback(interrupted_early: str) -> None:
    assert interrupted_early.splitlines()[-1] == "analog-fhn: interrupted; what was written before is kept"
    assert "Traceback" not in interrupted_early


def test_interrupted_run_keeps_its_rows(interrupted: Interrupted) -> None:
    assert interrupted.rows <= rows(interrupted.run) < TRIALS


def test_interrupted_run_leaves_no_images(interrupted: Interrupted) -> None:
    assert list(interrupted.run.glob(".images-*")) == []


def test_interrupted_run_leaves_no_workers(interrupted: Interrupted) -> None:
    assert interrupted.survivors == set()


# --- opening --------------------------------------------------------------------------------------------------


def plan(**changes: Any) -> Sweep:
    content = {
        "network": "net.npz", "technology": "discrete", "chips": 3, "dataset": "digits", "seed": 3,
        "specification": 0.75,
    } | changes  # fmt: skip
    return Sweep.model_validate(content)


def opened(
    folder: Path,
    wanted: Sweep | None = None,
    network: Network | None = None,
    technology: Technology | None = None,
    images: Dataset | None = None,
    resume: bool = True,
) -> OpenRun:
    return open_run(
        folder,
        wanted or plan(),
        network or digits_network(),
        technology or discrete(),
        images or digits(),
        resume=resume,
    )


def other_weights() -> Network:
    first, second = digits_network().weights
    return digits_network().with_weights((1.01 * first, second), digits_network().biases)


def other_images(**changes: Any) -> Dataset:
    return replace(digits(), **changes)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"wanted": plan(chips=4)}, "plan.chips was 3 and is 4"),
        ({"wanted": plan(seed=4)}, "plan.seed was 3 and is 4"),
        ({"wanted": plan(table=17)}, "plan.table was null and is 17"),
        ({"wanted": plan(specification=0.7)}, "plan.specification was 0.75 and is 0.7"),
        ({"wanted": plan(until={"width": 0.1})}, 'plan.until was null and is {"width": 0.1, "every": 50}'),
        ({"wanted": plan(settings={"array.levels": 16})}, "plan.settings.array.levels was null and is 16"),
        ({"network": other_weights()}, "network was "),
        ({"network": digits_network().with_options(gamma=-0.8)}, "fhn.gamma was -1.0 and is -0.8"),
        ({"network": digits_network().with_options(settle=8.0)}, "protocol.settle was 100.0 and is 8.0"),
        ({"network": digits_network().with_options(recentre=False)}, 'readout was ["mean", true] and is'),
        (
            {"technology": discrete().with_values({"resistor.tolerance": 0.02})},
            "technology.resistor.tolerance was 0.01 and is 0.02",
        ),
        ({"images": digits(99)}, "images was "),
        ({"images": other_images(images=digits().images[::-1])}, "images was "),
        ({"images": other_images(labels=digits().labels[::-1])}, "labels was "),
    ],
)
def test_run_of_another_configuration_is_refused(changes: dict[str, Any], difference: str, tmp_path: Path) -> None:
    opened(tmp_path).store.close()
    with pytest.raises(InputError, match="holds a run of another configuration") as caught:
        opened(tmp_path, **changes)
    assert difference in str(caught.value)


def test_refused_run_can_be_gone_on_with_rightly(tmp_path: Path) -> None:
    opened(tmp_path).store.close()
    with pytest.raises(InputError, match="another configuration"):
        opened(tmp_path, plan(chips=4))
    opened(tmp_path).store.close()


def test_what_an_allocation_has_to_reach_may_change(tmp_path: Path) -> None:
    opened(tmp_path).store.close()
    opened(tmp_path, plan(allocation={"yield": 0.9})).store.close()


def test_runs_from_before_images_were_drawn_are_gone_on_with(tmp_path: Path) -> None:
    with opened(tmp_path).store as store:
        assert "stratified" not in store.meta["configuration"]["plan"]  # as such runs have it


def test_runs_from_before_cells_and_low_passes_are_gone_on_with(tmp_path: Path) -> None:
    with opened(tmp_path).store as store:
        configuration = store.meta["configuration"]
        del configuration["technology"]["cell"], configuration["technology"]["low_pass"]
        store.set_meta("configuration", configuration)
    opened(tmp_path).store.close()


def test_low_pass_other_than_that_of_the_time_before_it_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path).store as store:
        configuration = store.meta["configuration"]
        del configuration["technology"]["low_pass"]
        store.set_meta("configuration", configuration)
    slow = discrete().with_values({"low_pass.time_constant": 7.0})
    with pytest.raises(InputError, match=r"low_pass.time_constant was [\d.]+ and is 7.0"):
        opened(tmp_path, technology=slow)


def test_where_the_files_lie_does_not_matter(tmp_path: Path) -> None:
    opened(tmp_path).store.close()
    opened(tmp_path, plan(network="elsewhere/net.npz", technology="copy.yaml", dataset="copy.npz")).store.close()


def test_second_run_in_a_folder_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, resume=False).store.close()
    with pytest.raises(InputError, match="holds a run already; add --resume"):
        opened(tmp_path, resume=False)


def test_resuming_nothing_begins_a_run(tmp_path: Path) -> None:
    with opened(tmp_path, resume=True).store as store:
        assert len(store.points()) == 1


def test_run_that_was_killed_before_its_points_were_stored_gets_them(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.store._db.execute("DELETE FROM points")
    study.store.close()
    with opened(tmp_path).store as store:
        assert [point.name for point in store.points()] == ["as planned"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE points SET settings = '{\"gamma\": -9}'", r'point 0: {"gamma": -9}; the plan says {}'),
        ("UPDATE points SET role = 'allocation'", "point 0"),
        ("INSERT INTO trials VALUES (0, 0, 1, 'done', 'x', 1, NULL, 0, 0, '', 0)", "trial 0: accuracy = 'x'"),
        ("DELETE FROM meta WHERE key = 'configuration'", "says nothing about configuration"),
    ],
)
def test_run_that_was_written_to_is_not_gone_on_with(statement: str, message: str, tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.store._db.execute(statement)
    study.store.close()
    with pytest.raises(InputError, match=f"{FILE}.*{message}"):
        opened(tmp_path)


def test_refused_point_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"resistor\.tolerence"):
        opened(tmp_path, plan(points=[{"resistor.tolerence": 0.1}]))
    assert not (tmp_path / FILE).exists()


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images have shape"):
        opened(tmp_path, images=other_images(images=np.ascontiguousarray(digits().images[:, :60])))


def test_specification_is_the_plain_accuracy_less_half_a_point(tmp_path: Path) -> None:
    study = opened(tmp_path, plan(specification=None))
    study.store.close()
    plain = digits_network().accuracy(digits().images, digits().labels)
    assert study.specification == plain - 0.005


def test_specification_of_the_plan_stands(tmp_path: Path) -> None:
    study = opened(tmp_path)
    with study.store as store:
        assert study.specification == store.meta["specification"] == 0.75


def test_network_is_kept_with_the_run(tmp_path: Path) -> None:
    opened(tmp_path).store.close()
    assert Network.load(tmp_path / "network.npz").sha256 == digits_network().sha256


def test_technology_of_each_point_is_kept_with_the_run(tmp_path: Path) -> None:
    opened(tmp_path, plan(points=[{}, {"array.levels": 16, "errors": ["opamp"]}])).store.close()
    found = [Technology.load(technology_file(tmp_path, k)) for k in (0, 1)]
    assert found == [discrete(), discrete().with_values({"array.levels": 16}).with_errors(["opamp"])]


def test_nominal_chip_is_judged_at_the_points_of_the_plan(tmp_path: Path) -> None:
    with opened(tmp_path, plan(points=[{}, {"array.levels": 4}], sensitivity=True)).store as store:
        found = store.nominal()
    expected = {}
    for number, levels in enumerate((32, 4)):
        chip = Design(digits_network(), discrete().with_values({"array.levels": levels})).chip(None)
        expected[number] = classify(chip, digits().images, table=9).accuracy(digits().labels)
    assert found == expected


# --- running --------------------------------------------------------------------------------------------------


def run(folder: Path, wanted: Sweep, number: int = 1, progress: Any = None) -> None:
    study = opened(folder, wanted)
    with study.store, threads(study.job, number) as workers:
        study.run(workers, progress)


def chips(folder: Path) -> list[list[int]]:
    """Chips that were drawn at each point."""
    with Store(folder) as store:
        return [[t.trial for t in store.trials(point.number)] for point in store.points()]


def nobody() -> Executor:
    raise AssertionError("a trial was run")


def test_every_point_gets_its_chips(tmp_path: Path) -> None:
    run(tmp_path, plan(points=[{}, {"array.levels": 4}]))
    assert chips(tmp_path) == [[0, 1, 2]] * 2


def test_run_that_is_done_draws_nothing_more(tmp_path: Path) -> None:
    run(tmp_path, plan())
    study = opened(tmp_path)
    with study.store:
        study.run(Workers(nobody, "nothing", 1, 3))


def test_chips_do_not_depend_on_the_other_points(tmp_path: Path) -> None:
    tables = []
    for points in ([{"array.levels": 16}], [{}, {"gamma": -0.8}, {"array.levels": 16}]):
        folder = tmp_path / str(len(points))
        folder.mkdir()
        run(folder, plan(points=points))
        with Store(folder) as store:
            tables.append([(t.chip_seed, t.accuracy, t.confusion) for t in store.trials(len(points) - 1)])
    assert tables[0] == tables[1]


def test_progress_goes_from_what_is_stored_to_all(tmp_path: Path) -> None:
    study = opened(tmp_path, plan(points=[{}, {"array.levels": 4}]))
    calls: list[tuple[int, int]] = []
    with study.store, threads(study.job) as workers:
        study.ensure(workers, [1], 2)
        study.run(workers, lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(2, 7)]


def test_row_is_stored_before_it_is_counted(tmp_path: Path) -> None:
    lengths: list[int] = []
    run(tmp_path, plan(), progress=lambda *_: lengths.append(rows(tmp_path)))
    assert lengths == [0, 1, 2, 3]


def test_points_advance_together(tmp_path: Path) -> None:
    # an interrupted run has about as many chips of each point, in blocks of 25
    study = opened(tmp_path, plan(points=[{}, {"array.levels": 4}], chips=60))
    order: list[tuple[int, int]] = []

    def note(_workers: object, _points: object, wanted: list[tuple[int, int]], _record: object) -> None:
        order.extend(wanted)

    with study.store, mock.patch("analog_fhn.montecarlo.open_run.run_trials", note):
        study.run(Workers(nobody, "nothing", 1, 3))
    assert order[:50] == [*((0, k) for k in range(25)), *((1, k) for k in range(25))]


UNTIL = {"chips": 60, "until": {"width": 0.2, "every": 10}}
# Nearly all chips pass at the first, about half at the second, none at the third.
VARIED = [{"array.levels": 256}, {}, {"array.levels": 4}]


@pytest.fixture(scope="module", params=[1, 3])
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with sequential stopping, on one worker and on three."""
    folder = tmp_path_factory.mktemp("stopped")
    run(folder, plan(points=VARIED, specification=0.755, **UNTIL), request.param)
    return folder


def test_chips_until_a_yield_is_known_do_not_depend_on_the_workers(stopped: Path) -> None:
    assert [len(drawn) for drawn in chips(stopped)] == [20, 60, 20]


def test_chips_that_were_drawn_are_the_first_ones(stopped: Path) -> None:
    assert chips(stopped) == [list(range(n)) for n in (20, 60, 20)]


def test_yield_is_known_as_asked_or_all_chips_are_drawn(stopped: Path) -> None:
    with Store(stopped) as store:
        known = [known_well(store.trials(k), 0.755, 0.2) for k in range(3)]
    assert known == [True, False, True]


def test_stopping_is_at_the_first_look_that_knows_the_yield(stopped: Path) -> None:
    with Store(stopped) as store:
        assert not any(known_well(store.trials(k)[:10], 0.755, 0.2) for k in range(3))


def test_interrupted_stopping_draws_the_same_chips(tmp_path: Path) -> None:
    wanted = plan(points=VARIED, specification=0.755, **UNTIL)
    study = opened(tmp_path, wanted)
    with study.store, threads(study.job) as workers:
        study.ensure(workers, [0, 2], 7)
    run(tmp_path, wanted)
    assert chips(tmp_path) == [list(range(n)) for n in (20, 60, 20)]


# --- the same chip by the command line ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished run of the user's own images; its path has a space in it."""
    folder = tmp_path_factory.mktemp("own") / "my data"
    folder.mkdir()
    np.savez(folder / "mine.npz", images=digits().images, labels=digits().labels)
    points = [{}, {"gamma": -0.8, "resistor.tolerance": 0.05, "errors": ["resistor", "array"]}, {"array.levels": 256}]
    path = write_plan(folder, dataset="mine.npz", images=80, split="train", points=points)
    before = Path.cwd()
    os.chdir(folder)
    try:
        study = begin(Path(path.name), Path("run"), None, resume=False)
        with study.store, threads(study.job) as workers:
            study.run(workers)
    finally:
        os.chdir(before)
    return folder / "run"


@pytest.mark.parametrize("point", [0, 1, 2])
def test_command_that_a_report_names_repeats_the_chip(
    point: int, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(own_data) as store:
        row, meta, conditions = store.trials(point)[1], store.meta, store.points()[point]
    monkeypatch.chdir(own_data)
    command = [*shlex.split(reproduce_command(conditions, row.chip_seed, meta)), "--json", str(tmp_path / "again.json")]
    cli.app(command[1:], standalone_mode=False)
    assert json.loads((tmp_path / "again.json").read_text())["accuracy"] == row.accuracy
