"""Trials on workers: the same table whoever computes it, and what happens when workers die."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import TROUBLE, Misbehaves, Slow, Unreadable, made, threads, tiny_job

from analog_fhn.errors import InputError, MissingProgramError, RunError
from analog_fhn.montecarlo import runner
from analog_fhn.montecarlo.packed import PackedImages
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.runner import Workers, _run_batch, local_workers, run_trials
from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.trial import Trial, chip_seed, run_trial

POINTS = [
    SweepPoint(0, "sweep", "as planned"),
    SweepPoint(1, "sweep", "coarse", {"array.levels": 4, "errors": ["array"]}),
]
CHIPS = [(point, chip) for chip in range(10) for point in (0, 1)]


class Gives(Executor):
    """Whose trials all end in the same way, or are given rows of so many seconds."""

    def __init__(self, outcome: float | BaseException) -> None:
        self._outcome = outcome

    def submit(
        self, _fn: Any, _job: Any, point: SweepPoint, trials: Sequence[int], _seconds: float
    ) -> Future[Any]:  # fmt: skip
        future: Future[Any] = Future()
        if isinstance(self._outcome, CancelledError):
            future.cancel()
            future.set_running_or_notify_cancel()
        elif isinstance(self._outcome, BaseException):
            future.set_exception(self._outcome)
        else:
            future.set_result([made(point.number, trial, seconds=self._outcome) for trial in trials])
        return future


def failing(error: BaseException) -> Workers:
    return Workers(lambda: Gives(error), "nothing", 1, 5, owned=False)


def exported(folder: Path, run: Callable[[Callable[[Sequence[Trial]], None]], None]) -> bytes:
    """Table of the rows that `run` records."""
    folder.mkdir()
    with Store.create(folder, {}, POINTS) as store:
        run(lambda trials: store.add(*trials))
        store.export(folder / "trials.csv")
    return (folder / "trials.csv").read_bytes()


def run_on(workers: Workers, tasks: list[tuple[int, int]]) -> list[Trial]:
    """Rows in the order in which they were recorded."""
    rows: list[Trial] = []
    run_trials(workers, POINTS, tasks, rows.extend)
    return rows


# --- the same table -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Table of trials that were run one after the other in this process."""
    job = tiny_job()

    def run(record: Callable[[Sequence[Trial]], None]) -> None:
        for point, chip in CHIPS:
            record([run_trial(job, POINTS[point], chip)])

    return exported(tmp_path_factory.mktemp("reference") / "run", run)


@pytest.mark.parametrize("number", [1, 2])
def test_processes_give_the_table_of_this_process(number: int, reference: bytes, tmp_path: Path) -> None:
    with local_workers(tiny_job(), number) as workers:
        found = exported(tmp_path / "run", lambda record: run_trials(workers, POINTS, CHIPS, record))
    assert found == reference


@pytest.mark.parametrize("number", [1, 3])
def test_executor_of_the_caller_gives_the_table_of_this_process(number: int, reference: bytes, tmp_path: Path) -> None:
    with threads(tiny_job(), number) as workers:
        found = exported(tmp_path / "run", lambda record: run_trials(workers, POINTS, CHIPS, record))
    assert found == reference


def test_order_of_the_trials_does_not_matter(reference: bytes, tmp_path: Path) -> None:
    with threads(tiny_job()) as workers:
        found = exported(tmp_path / "run", lambda record: run_trials(workers, POINTS, CHIPS[::-1], record))
    assert found == reference


def test_executor_of_the_caller_stays_open() -> None:
    with threads(tiny_job()) as workers:
        run_on(workers, CHIPS[:1])
        workers.close()
        assert workers.executor().submit(pow, 2, 3).result() == 8


def test_nothing_wanted_starts_no_executor() -> None:
    def make() -> Executor:
        raise AssertionError("an executor was made")

    run_trials(Workers(make, "nothing", 1, 5), POINTS, [], lambda _: None)


def test_number_of_trials_under_way_is_limited() -> None:
    # a plan may have millions of trials
    submitted = 0
    rows: list[int] = []

    class Counts(Gives):
        def submit(self, *given: Any, **_: Any) -> Future[Any]:
            nonlocal submitted
            submitted += 1
            return super().submit(*given)

    workers = Workers(lambda: Counts(1.0), "nothing", 2, 5, owned=False)
    run_trials(workers, POINTS, [(0, k) for k in range(50)], lambda _: rows.append(submitted - len(rows)))
    assert max(rows) <= 2 * 2 + 2


# --- failures -------------------------------------------------------------------------------------------------


def test_failed_simulation_is_a_row() -> None:
    with threads(tiny_job(backend=Misbehaves(chip_seed(5, 1), "fails"), table=0)) as workers:
        rows = run_on(workers, [(0, k) for k in range(4)])
    assert {row.trial: row.message for row in rows} == {0: "", 1: TROUBLE, 2: "", 3: ""}


def test_mistake_of_the_caller_comes_out() -> None:
    job = tiny_job(backend=Misbehaves(chip_seed(5, 1), "refuses"), table=0)
    with threads(job) as workers, pytest.raises(InputError, match="timestep"):
        run_on(workers, CHIPS)


def test_missing_program_comes_out() -> None:
    with pytest.raises(MissingProgramError, match="install it"):
        run_on(failing(MissingProgramError("install it")), CHIPS)


def test_exception_of_the_recorder_comes_out() -> None:
    def full(_: Sequence[Trial]) -> None:
        raise RunError("disk full")

    with threads(tiny_job()) as workers, pytest.raises(RunError, match="disk full"):
        run_trials(workers, POINTS, CHIPS, full)


def test_trials_that_an_executor_cancels_are_no_failed_trials() -> None:
    with pytest.raises(RunError, match="gave trials up; what is done is kept"):
        run_on(failing(CancelledError()), CHIPS)


def test_broken_executor_of_the_caller_is_said() -> None:
    with pytest.raises(RunError, match=r"workers are gone \(no more\); what is done is kept"):
        run_on(failing(BrokenExecutor("no more")), CHIPS)


def test_exception_that_is_no_simulation_s_comes_out() -> None:
    # workers of a cluster that lack the package, for instance: no chip is to blame
    said = (
        r"point 1, chip 3: a worker cannot run the trial \(ModuleNotFoundError: no analog_fhn\); what is done is kept"
    )
    with pytest.raises(RunError, match=said):
        run_on(failing(ModuleNotFoundError("no analog_fhn")), [(1, 3)])


class KilledWorker(Exception):
    """As Dask names it."""


def test_trial_that_took_several_workers_of_a_cluster_is_a_failed_row() -> None:
    (row,) = run_on(failing(KilledWorker("three times")), [(1, 3)])
    assert (row.point, row.trial, row.chip_seed) == (1, 3, chip_seed(5, 3))
    assert (row.status, row.message) == ("failed", "KilledWorker: three times")


# --- batches --------------------------------------------------------------------------------------------------


class InBatches(Gives):
    """Whose trials take so many seconds; it notes the chips of each batch, and goes down with some."""

    def __init__(self, seconds: float, deadly: int | None = None) -> None:
        super().__init__(seconds)
        self.batches: list[tuple[int, ...]] = []
        self._deadly = deadly

    def submit(self, *given: Any, **_: Any) -> Future[Any]:
        trials = given[3]
        self.batches.append(trials)
        if self._deadly in trials:
            return Gives(KilledWorker("three times")).submit(*given)
        return super().submit(*given)


def in_batches(executor: Executor, number: int = 2) -> list[Trial]:
    """Rows of 400 chips in batches of half a second."""
    return run_on(Workers(lambda: executor, "nothing", number, 5, owned=False, batch=0.5), [(0, k) for k in range(400)])


@pytest.mark.parametrize(("seconds", "largest"), [(3.0, 1), (0.2, 2), (0.02, 25), (0.0, 197)])
def test_chips_of_half_a_second_go_together_and_no_more_than_a_worker_s_share(seconds: float, largest: int) -> None:
    executor = InBatches(seconds)
    rows = in_batches(executor)
    assert sorted(row.trial for row in rows) == list(range(400))
    assert max(map(len, executor.batches)) == largest


def test_chip_that_takes_its_workers_with_it_takes_no_other_of_its_batch() -> None:
    executor = InBatches(0.02, deadly=100)
    rows = in_batches(executor)
    assert sorted(row.trial for row in rows) == list(range(400))
    assert [row.trial for row in rows if row.status == "failed"] == [100]
    assert (100,) in executor.batches


def test_chips_before_a_mistake_of_the_caller_are_rows() -> None:
    job = tiny_job(backend=Misbehaves(chip_seed(5, 30), "refuses"), table=0)
    rows: list[Trial] = []
    with threads(job) as workers:
        workers.batch = 5.0
        with pytest.raises(InputError, match="timestep"):
            run_trials(workers, POINTS, [(0, k) for k in range(40)], rows.extend)
    assert {row.trial for row in rows} >= set(range(30))


def test_batch_ends_when_its_time_is_over() -> None:
    job = tiny_job(backend=Slow(0.05), table=0)
    with threads(job):
        assert [row.trial for row in _run_batch(job, POINTS[0], range(9), seconds=0.01)] == [0]


def test_packed_images_are_the_same_elsewhere() -> None:
    images = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    here = PackedImages(images)
    np.testing.assert_array_equal(here.unpacked(), images)
    sent = pickle.dumps(here)  # after it was unpacked
    assert len(sent) < images.nbytes + 300
    np.testing.assert_array_equal(pickle.loads(sent).unpacked(), images)


# --- worker processes -----------------------------------------------------------------------------------------


def test_killed_worker_loses_and_doubles_nothing() -> None:
    tasks = [(0, k) for k in range(40)]
    rows: list[Trial] = []
    killed: list[int] = []

    def record(trials: Sequence[Trial]) -> None:
        rows.extend(trials)
        if len(rows) == 5:
            victim = multiprocessing.active_children()[0]
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    with local_workers(tiny_job(backend=Slow(0.02), table=0), 2) as workers:
        run_trials(workers, POINTS, tasks, record)
    assert killed
    assert Counter((row.point, row.trial, row.status) for row in rows) == Counter((*task, "done") for task in tasks)


@pytest.fixture(scope="module")
def deadly() -> list[Trial]:
    """Rows of a sweep whose chip 2 takes every worker with it."""
    job = tiny_job(backend=Misbehaves(chip_seed(5, 2), "kills its worker"), table=0)
    with local_workers(job, 1) as workers:
        return run_on(workers, [(0, k) for k in range(6)])


def test_trial_that_kills_its_workers_is_a_failed_row(deadly: list[Trial]) -> None:
    assert [(row.trial, row.chip_seed, row.message) for row in deadly if row.status == "failed"] == [
        (2, chip_seed(5, 2), "the worker process died 3 times (killed, or out of memory)")
    ]


def test_other_trials_go_on_beside_one_that_kills_its_workers(deadly: list[Trial]) -> None:
    assert sorted(row.trial for row in deadly if row.status == "done") == [0, 1, 3, 4, 5]


def test_workers_that_end_before_they_begin_blame_no_chip() -> None:
    with (
        local_workers(tiny_job(backend=Unreadable()), 1) as workers,
        pytest.raises(RunError, match=r"end before their first trial .*`if __name__ == '__main__':`"),
    ):
        run_on(workers, CHIPS)


@pytest.fixture
def bystander() -> Iterator[multiprocessing.process.BaseProcess]:
    """A child process that has nothing to do with the sweep."""
    process = multiprocessing.get_context("spawn").Process(target=signal.pause)
    process.start()
    yield process
    process.kill()
    process.join()


def test_other_child_processes_are_left_alone(bystander: multiprocessing.process.BaseProcess) -> None:
    def full(_: Sequence[Trial]) -> None:
        raise RunError("disk full")

    with local_workers(tiny_job(), 1) as workers, pytest.raises(RunError):
        run_trials(workers, POINTS, CHIPS, full)
    assert bystander.is_alive()


def test_workers_are_ended_when_the_recorder_fails() -> None:
    started: list[Any] = []

    def full(_: Sequence[Trial]) -> None:
        started.extend(multiprocessing.active_children())
        raise RunError("disk full")

    with local_workers(tiny_job(backend=Slow(0.05), table=0), 2) as workers:
        with pytest.raises(RunError):
            run_trials(workers, POINTS, [(0, k) for k in range(1000)], full)
        assert [process.is_alive() for process in started] == [False, False]


def test_trials_that_wait_for_workers_are_ended_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(executor: Any, *arguments: Any, **options: Any) -> None:
        time.sleep(0.5)  # the executor sees before that its workers are dead, and gives an error to what waits
        shutdown(executor, *arguments, **options)

    def full(_: Sequence[Trial]) -> None:
        raise RunError("disk full")

    shutdown = runner._Processes.shutdown
    monkeypatch.setattr(runner._Processes, "shutdown", slowly)
    with local_workers(tiny_job(), 2) as workers, pytest.raises(RunError, match="disk full"):
        run_trials(workers, POINTS, CHIPS, full)  # the first trial runs here, while workers load


def test_first_trials_run_here_while_workers_begin(reference: bytes, tmp_path: Path) -> None:
    here: list[int] = []

    def run(record: Callable[[Sequence[Trial]], None]) -> None:
        with local_workers(tiny_job(), 1) as workers:
            run_one = workers.here
            assert run_one is not None
            workers.here = lambda point, chip: here.append(chip) or run_one(point, chip)  # type: ignore[func-returns-value]
            workers.began = lambda: len(here) >= 5
            run_trials(workers, POINTS, CHIPS, record)

    assert exported(tmp_path / "run", run) == reference
    assert len(here) == 5


def test_only_equations_run_here() -> None:
    with local_workers(tiny_job(backend="spice"), 1) as workers:
        assert workers.here is None


def test_workers_share_one_copy_of_the_images(tmp_path: Path) -> None:
    job = tiny_job()
    with local_workers(job, 2, tmp_path):
        (path,) = tmp_path.glob(".images-*/images.npy")
        np.testing.assert_array_equal(np.load(path), job.images)


def test_copy_of_the_images_is_removed(tmp_path: Path) -> None:
    with local_workers(tiny_job(), 2, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_disk_that_is_full_before_the_first_trial_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with (
        pytest.raises(RunError, match=r"cannot be written \(No space left on device\)"),
        local_workers(tiny_job(), 1, tmp_path),
    ):
        pass
