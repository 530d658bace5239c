"""What the tests of sweeps share: small networks, backends that misbehave, processes. Workers import it by its name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import threadpoolctl
import yaml
from numpy.typing import NDArray

from analog_fhn.backends.base import Response
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.montecarlo.runner import Workers
from analog_fhn.montecarlo.trial import Job, Trial
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.technology.technology import Technology

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
TROUBLE = 'neuron 2, drive -1: timestep too small, "trouble", again'


def tiny_network() -> Network:
    """Four neurons, not trained."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    return Network.of_weights(weights, protocol=Protocol(settle=2.0, control=10.0))


def tiny_images() -> NDArray[np.float32]:
    return np.random.default_rng(1).random((8, 5)).astype(np.float32)


@cache
def discrete() -> Technology:
    return Technology.load("discrete")


@cache
def digits_network() -> Network:
    """Reads four of five digits: random features, least squares behind them."""
    return random_features((16, 0.5))


@cache
def deep_digits_network() -> Network:
    """The same with two hidden layers."""
    return random_features((24, 0.5), (16, 1.5))


def random_features(*layers: tuple[int, float]) -> Network:
    """Network with hidden layers of random weights, each of a size and a standard deviation."""
    train = load("digits", "train")
    rng = np.random.default_rng(0)
    hidden, weights, biases = train.images.astype(float), [], []
    for size, scale in layers:
        weights.append(rng.normal(scale=scale, size=(hidden.shape[1], size)))
        # Behind a hidden layer all inputs are positive: without the bias neurons would saturate.
        biases.append(-hidden.mean(axis=0) @ weights[-1] if len(weights) > 1 else np.zeros(size))
        hidden = 1.0 / (1.0 + np.exp(-(hidden @ weights[-1] + biases[-1])))
    columns = np.column_stack([hidden, np.ones(len(hidden))])
    last = np.linalg.lstsq(columns, np.eye(10)[train.labels] - 0.1, rcond=None)[0]
    return Network.of_weights((*weights, last[:-1]), (*biases, last[-1]))


@cache
def digits(number: int = 100) -> Dataset:
    return load("digits", "test").head(number)


def tiny_job(**changes: Any) -> Job:
    network, images = tiny_network(), tiny_images()
    plain = network.forward(images).argmax(axis=1)
    given = {"images": images, "labels": LABELS, "plain": plain, "seed": 5} | changes
    return Job(uuid4().hex, given.pop("network", network), given.pop("technology", discrete()), **given)


def digits_job(**changes: Any) -> Job:
    network, test = digits_network(), digits()
    plain = network.forward(test.images).argmax(axis=1)
    given = {"images": test.images, "labels": test.labels, "plain": plain, "seed": 3} | changes
    return Job(uuid4().hex, network, discrete(), **given)


def design() -> Design:
    return Design(tiny_network(), discrete())


def made(point: int, trial: int, accuracy: float | None = 0.9, **changes: Any) -> Trial:
    """A trial as if it had been run."""
    status = "failed" if accuracy is None else "done"
    return Trial(point, trial, 1000 + trial, status, accuracy, **changes)


@dataclass(frozen=True)
class Misbehaves:
    """Direct, but the simulation of one chip of `design`, by its seed, ends otherwise."""

    seed: int
    how: Literal["fails", "breaks", "refuses", "kills its worker"]
    name: str = "direct"

    def respond(self, cells: Cells, drives: FloatArray, protocol: Protocol, **options: Any) -> Response:
        if np.array_equal(cells.dynamics.p, design().chip(self.seed).layers[0].cells.dynamics.p):
            if self.how == "kills its worker":
                os.kill(os.getpid(), signal.SIGKILL)
            kind = {"fails": SimulationError, "breaks": ZeroDivisionError, "refuses": InputError}[self.how]
            raise kind(TROUBLE)
        return Direct().respond(cells, drives, protocol, **options)


@dataclass(frozen=True)
class Slow:
    """Direct, with a rest before it."""

    seconds: float
    name: str = "direct"

    def respond(self, cells: Cells, drives: FloatArray, protocol: Protocol, **options: Any) -> Response:
        time.sleep(self.seconds)
        return Direct().respond(cells, drives, protocol, **options)


class Unreadable:
    """Backend that no other process can be given."""

    name = "direct"

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise ValueError("not in this process")


@contextmanager
def threads(job: Job, number: int = 1) -> Iterator[Workers]:
    """Trials in this process, on an executor of the caller's."""
    # Workers keep to one thread of the linear algebra from then on: not the tests that follow.
    with threadpoolctl.threadpool_limits(), ThreadPoolExecutor(number) as pool:
        yield Workers(lambda: pool, job, number, job.seed, owned=False)


# --- the command line in a process of its own -----------------------------------------------------------------


@dataclass
class Command:
    """`analog-fhn`, or another program of Python, in a process group of its own; what it says is in a file."""

    arguments: tuple[Any, ...]
    log: Path
    program: tuple[str, ...] = ("-m", "analog_fhn")
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        # A child inherits an ignored SIGINT (nohup, jobs in the background), and could not be interrupted.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *map(str, self.arguments)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        kill_tree(self.process)

    @property
    def said(self) -> str:
        """Output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def finish(self, seconds: float = 60.0) -> int:
        """Exit status, when it has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.arguments} goes on after {seconds} s; it said:\n{self.said}") from None

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until a condition holds, while the process is running."""

        def met() -> bool:
            assert self.process.poll() is None, f"{self.arguments} ended too early; it said:\n{self.said}"
            return condition()

        assert wait_for(met, seconds), f"{self.arguments} is not so far after {seconds} s; it said:\n{self.said}"


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition holds within some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def descendants(pid: int) -> set[tuple[int, str]]:
    """Process id and start time of all processes below one."""
    below: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            below.setdefault(int(stat[1]), []).append((int(entry.name), stat[19]))
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        children = below.get(waiting.pop(), [])
        found.update(children)
        waiting += [child for child, _ in children]
    return found


def running(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those of some processes that have not ended."""
    stats = {process: _stat(process[0]) for process in processes}
    return {p for p, stat in stats.items() if stat is not None and stat[19] == p[1] and stat[0] != "Z"}


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat behind the name: state, parent, ...; the 20th is the start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, for a process and all below it; the upper ones first, so that none is started again."""
    if process.poll() is None:
        below = descendants(process.pid)
        process.kill()
        process.wait(10)
        for pid, _ in running(below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def write_plan(folder: Path, **changes: Any) -> Path:
    """Sweep file of the network of the digits beside it; a value of None removes the key."""
    digits_network().save(folder / "net.npz")
    content = {
        "network": "net.npz", "technology": "discrete", "chips": 3, "images": 100, "dataset": "digits", "seed": 3,
        "specification": 0.75,
    } | changes  # fmt: skip
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}, sort_keys=False))
    return path
