"""Sweeps on a Dask cluster of this machine: one scheduler and two workers, real processes on the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sweeps import Command, descendants, kill_tree, threads, tiny_job, wait_for, write_plan

from analog_fhn.cli.sweep import begin
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.montecarlo.cluster import dask_workers
from analog_fhn.montecarlo.store import FILE, Store

CHIPS = 150


class Daemon:
    """A process of Dask's with all that it starts; what it says is in a file."""

    def __init__(self, log: Path, *arguments: object) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments), "--host", "127.0.0.1", "--no-dashboard"],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, cwd=log.parent,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def plan_file(folder: Path) -> Path:
    return write_plan(folder, chips=CHIPS)


@pytest.fixture(scope="module", autouse=True)
def unanswered(folder: Path, plan_file: Path) -> Iterator[Command]:
    """Sweep that asks where there is no scheduler; it waits for ten seconds while the others run."""
    arguments = ("sweep", plan_file, "-o", folder / "unanswered", "--scheduler", "tcp://127.0.0.1:1")
    with Command(arguments, folder / "unanswered.txt") as command:
        yield command


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    """A scheduler."""
    started = Daemon(
        folder / "scheduler.txt", "distributed.cli.dask_scheduler", "--port", 0, "--scheduler-file",
        folder / "scheduler.json",
    )  # fmt: skip
    try:
        yield started
    finally:
        kill_tree(started.process)


@pytest.fixture(scope="module")
def scheduler(folder: Path, daemon: Daemon) -> str:
    """Its address."""
    place = folder / "scheduler.json"
    assert wait_for(lambda: place.exists() and place.read_text().endswith("}"), 30), daemon.said
    address: str = json.loads(place.read_text())["address"]
    return address


@pytest.fixture(scope="module")
def lonely(folder: Path, plan_file: Path, scheduler: str) -> tuple[int, str]:
    """Exit status and output of a sweep whose scheduler has no workers."""
    arguments = ("sweep", plan_file, "-o", folder / "lonely", "--scheduler", scheduler)
    with Command(arguments, folder / "lonely.txt") as command:
        return command.finish(), command.said


@pytest.fixture(scope="module")
def workers(folder: Path, scheduler: str, lonely: tuple[int, str]) -> Iterator[list[Daemon]]:
    started = [
        Daemon(
            folder / f"worker_{k}.txt", "distributed.cli.dask_worker", scheduler, "--nthreads", 1,
            "--local-directory", folder / f"scratch_{k}",
        )
        for k in range(2)
    ]  # fmt: skip
    try:
        for daemon in started:
            assert wait_for(lambda daemon=daemon: "Registered to" in daemon.said, 30), daemon.said  # type: ignore[misc]
        yield started
    finally:
        for daemon in started:
            kill_tree(daemon.process)


def stored(run: Path) -> int:
    """Rows of a run so far."""
    if not (run / FILE).exists():
        return 0
    with Store(run) as store:
        return len(store.done())


@dataclass(frozen=True)
class Swept:
    """A sweep that lost one of its two workers; rows there were when it did."""

    run: Path
    status: int
    said: str
    rows_then: int


@pytest.fixture(scope="module")
def swept(folder: Path, plan_file: Path, scheduler: str, workers: list[Daemon]) -> Swept:
    run = folder / "run"

    with Command(("sweep", plan_file, "-o", run, "--scheduler", scheduler), folder / "said.txt") as command:
        command.until(lambda: stored(run) >= 20)
        kill_tree(workers[0].process)  # with the nanny that would start it again
        then = stored(run)
        return Swept(run, command.finish(), command.said, then)


@pytest.fixture(scope="module")
def returned(folder: Path, plan_file: Path, scheduler: str, workers: list[Daemon], swept: Swept) -> Swept:
    """A sweep on one worker, which was killed and started again by its nanny."""
    run = folder / "returned"
    with Command(("sweep", plan_file, "-o", run, "--scheduler", scheduler), folder / "returned.txt") as command:
        command.until(lambda: stored(run) >= 20)
        for pid, _ in descendants(workers[1].process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        then = stored(run)
        return Swept(run, command.finish(), command.said, then)


@pytest.fixture(scope="module")
def headless(folder: Path, plan_file: Path, scheduler: str, daemon: Daemon, returned: Swept) -> Swept:
    """A sweep whose scheduler was killed: the last one of all."""
    run = folder / "headless"
    with Command(("sweep", plan_file, "-o", run, "--scheduler", scheduler), folder / "headless.txt") as command:
        command.until(lambda: stored(run) >= 20)
        kill_tree(daemon.process)
        then = stored(run)
        return Swept(run, command.finish(), command.said, then)


@pytest.fixture(scope="module")
def local(folder: Path, plan_file: Path) -> bytes:
    """Table of the same plan, run in this process."""
    run = folder / "local"
    run.mkdir()
    study = begin(plan_file, run, None, resume=False)
    with study.store, threads(study.job) as here:
        study.run(here)
        study.store.export(run / "trials.csv")
    return (run / "trials.csv").read_bytes()


def test_scheduler_without_workers_has_status_2(lonely: tuple[int, str]) -> None:
    assert lonely[0] == 2, lonely[1]


def test_scheduler_without_workers_is_said(lonely: tuple[int, str], scheduler: str) -> None:
    (line,) = lonely[1].splitlines()
    assert f"--scheduler {scheduler}: the scheduler has no workers yet (dask worker {scheduler})" in line


def test_worker_was_killed_while_trials_were_missing(swept: Swept) -> None:
    assert 20 <= swept.rows_then < CHIPS


def test_sweep_ends_without_one_of_its_workers(swept: Swept) -> None:
    assert swept.status == 0, swept.said


def test_every_trial_is_there_once(swept: Swept) -> None:
    with Store(swept.run) as store:
        assert [(t.point, t.trial) for t in store.trials()] == [(0, k) for k in range(CHIPS)]


def test_table_is_that_of_a_local_run(swept: Swept, local: bytes) -> None:
    assert (swept.run / "trials.csv").read_bytes() == local, swept.said


def test_only_worker_was_killed_while_trials_were_missing(returned: Swept) -> None:
    assert 20 <= returned.rows_then < CHIPS


def test_sweep_goes_on_with_the_worker_that_took_its_place(returned: Swept) -> None:
    assert returned.status == 0, returned.said


def test_table_of_two_lives_of_a_worker_is_that_of_a_local_run(returned: Swept, local: bytes) -> None:
    assert (returned.run / "trials.csv").read_bytes() == local, returned.said


def test_lost_scheduler_has_status_1(headless: Swept) -> None:
    assert headless.status == 1, headless.said


def test_lost_scheduler_is_said_in_one_line(headless: Swept, scheduler: str) -> None:
    (line,) = headless.said.splitlines()
    assert f"--scheduler {scheduler}: the scheduler is gone; what is done is kept, --resume goes on" in line


def test_lost_scheduler_takes_no_row_with_it(headless: Swept) -> None:
    assert 20 <= headless.rows_then <= stored(headless.run) < CHIPS


def test_absent_scheduler_has_status_2(unanswered: Command) -> None:
    assert unanswered.finish() == 2, unanswered.said


def test_absent_scheduler_is_said(unanswered: Command) -> None:
    unanswered.finish()
    (line,) = unanswered.said.splitlines()
    assert "--scheduler tcp://127.0.0.1:1: no Dask scheduler answers there (Timed out" in line


@pytest.mark.parametrize(
    ("address", "message"), [("here", "missing port number"), ("pigeon://127.0.0.1:3", "unknown address scheme")]
)
def test_what_is_no_address_is_refused(address: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--scheduler {address}: .*{message}"), dask_workers(tiny_job(), address):
        pass


def test_absent_dask_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingProgramError, match='pip install "analog-fhn\\[dask\\]"'), dask_workers(tiny_job(), "x"):
        pass
