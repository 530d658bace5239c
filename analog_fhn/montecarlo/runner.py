"""Trials on any `concurrent.futures` executor: processes of this machine, or the caller's own."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import queue
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.threads import usable_cores
from analog_fhn.backends.base import Backend
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, RunError
from analog_fhn.inference import check_images
from analog_fhn.montecarlo.agenda import Agenda, Batch
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.trial import Job, Trial, chip_seed, run_trial, share_images
from analog_fhn.montecarlo.worker_process import BEGAN, begin

_LOOK = 2.0  # seconds between two looks at the workers
KEPT = "what is done is kept, --resume goes on"


class Workers:
    """Where trials run.

    Parameters
    ----------
    make
        Makes an executor; again where workers died with it, if it is `owned`.
    job
        What `run_trial` is given there: the job itself, its key, or what the executor makes a job of.
    number
        Trials that run at a time.
    seed
        Root seed.
    owned
        Whether the executor is shut down in the end, and made again where it broke.
    began
        Whether a worker ever got as far as to wait for trials.
    batch
        Seconds of work that are handed over at a time, in chips of one point; 0: chips go one by one.
    here
        Runs a trial in this process, which does so until workers have begun; None: only they do.
    """

    def __init__(
        self,
        make: Callable[[], Executor],
        job: Any,
        number: int,
        seed: int,
        *,
        owned: bool = True,
        began: Callable[[], bool] = lambda: True,
        batch: float = 0.0,
        here: Callable[[SweepPoint, int], Trial] | None = None,
    ) -> None:
        self.job, self.number, self.seed, self.owned, self.began = job, number, seed, owned, began
        self.batch, self.here = batch, here
        self._make = make
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        """The executor, made when it is first needed."""
        if self._executor is None:
            self._executor = self._make()
        return self._executor

    def close(self, *, kill: bool = False) -> None:
        """Shut an owned executor down; the next use makes a new one."""
        if self._executor is not None and self.owned:
            if kill:
                # The executor has no public way; the caller may have other child processes.
                for process in list((getattr(self._executor, "_processes", None) or {}).values()):
                    process.terminate()
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def renew(self, error: BaseException) -> None:
        """Have workers again after `error` said that those that there were are gone.

        Raises
        ------
        RunError
            If there are none to be had.
        """
        if self.owned:
            self.close()
            if not self.began():
                raise RunError(
                    "worker processes end before their first trial (killed, or started by a script without "
                    "`if __name__ == '__main__':`)"
                )
        elif isinstance(error, CancelledError):
            raise RunError(f"the executor gave trials up; {KEPT}")
        else:
            raise RunError(f"the workers are gone ({error}); {KEPT}")

    def look(self) -> None:
        """See how many workers there are; called every two seconds."""


@contextmanager
def local_workers(job: Job, number: int | None, folder: Path | None = None) -> Iterator[Workers]:
    """Worker processes of this machine, which share one copy of the images.

    Parameters
    ----------
    number
        Of processes; None: one per usable core.
    folder
        Where the images lie for the time of the run; None: with other temporary files.
    """
    number = number or usable_cores()
    with TemporaryDirectory(prefix=".images-", dir=folder) as temporary:
        path = Path(temporary)
        try:
            share_images(job.mapped(), path)
        except OSError as error:
            raise RunError(f"{path}: images cannot be written ({error.strerror or error}); {KEPT}") from None
        shared = replace(job, images=path, workers=1 if number > 1 else None)
        # Workers load for two seconds. Of what takes long, or may end its process, nothing runs here.
        here = functools.partial(run_trial, shared) if job.backend == "direct" else None
        workers = Workers(
            lambda: _processes(shared, number), job.key, number, job.seed, began=(path / BEGAN).exists, here=here
        )  # fmt: skip
        try:
            yield workers
        finally:
            workers.close()


class _Processes(ProcessPoolExecutor):
    """Worker processes that Ctrl-C does not reach while they start, nor this process while it starts them.

    `submit` starts processes, too. It runs in a thread: no KeyboardInterrupt comes there, whichever thread the system
    gives the signal to, and the processes inherit what that thread blocks.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._starter = ThreadPoolExecutor(
            1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, [signal.SIGINT])
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._starter.submit(super().submit, fn, *args, **kwargs).result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._starter.shutdown(wait)


def _processes(job: Job, number: int) -> Executor:
    # Not forked: the threads of compiled loops do not survive that.
    context = multiprocessing.get_context("spawn")
    return _Processes(number, mp_context=context, initializer=begin, initargs=(pickle.dumps(job),))


def _run_batch(job: Any, point: SweepPoint, trials: Sequence[int], seconds: float) -> list[Trial]:
    """Trials in a worker, which shares the cores with others; those of them that it comes to in this time.

    What is a mistake of the caller's is said of the first trial alone: those before it are done.
    """
    from analog_fhn._support.threads import stay_single

    stay_single()
    end, done = time.monotonic() + seconds, list[Trial]()
    for trial in trials:
        if done and time.monotonic() > end:
            break
        try:
            done.append(run_trial(job, point, trial))
        except (InputError, MissingProgramError):
            if not done:
                raise
            break
    return done


def run_trials(
    workers: Workers,
    points: Sequence[SweepPoint],
    tasks: Iterable[tuple[int, int]],
    record: Callable[[Sequence[Trial]], None],
) -> None:
    """Run trials and record those that are done at once, in whatever order.

    A worker that dies takes no trial with it: the trials that were under way run again, one at a time, and one that
    goes down with three workers is recorded as failed.

    Parameters
    ----------
    points
        All points, by their number.
    tasks
        Numbers of point and trial.
    record
        Called in this thread.

    Raises
    ------
    InputError, MissingProgramError
        From a trial.
    RunError
        If an executor of the caller's is broken or gives trials up, a cluster loses its workers for good, worker
        processes do not even begin, or a worker cannot run a trial (has no analog_fhn, for instance).
    """
    agenda = Agenda(tasks)
    while agenda:
        flying: dict[Future[list[Trial]], Batch] = {}
        try:
            _fly(workers, points, agenda, flying, record)
        except (BrokenExecutor, CancelledError) as error:
            workers.renew(error)
            hopeless = [task for batch in flying.values() for task in agenda.died(batch)]
            died = f"the worker process died {agenda.DEATHS} times (killed, or out of memory)"
            if hopeless:
                record([_failed(task, workers.seed, died) for task in hopeless])
        except BaseException:
            if not workers.owned:  # one of ours gives errors to its trials, which those that are cancelled do not take
                for future in flying:
                    future.cancel()
            workers.close(kill=True)
            raise


def _fly(
    workers: Workers,
    points: Sequence[SweepPoint],
    agenda: Agenda,
    flying: dict[Future[list[Trial]], Batch],
    record: Callable[[Sequence[Trial]], None],
) -> None:
    """Run what is on the agenda as long as the executor goes on; what is in `flying` in the end is not done."""
    executor, landed = workers.executor(), queue.SimpleQueue[Future[list[Trial]]]()
    looked = time.monotonic()
    while agenda or flying:
        while (
            len(flying) < agenda.most(workers.number)
            and (batch := agenda.next(workers.number, workers.batch)) is not None
        ):
            future = executor.submit(_run_batch, workers.job, points[batch.point], batch.trials, 2.0 * workers.batch)
            agenda.take(batch)
            flying[future] = batch
            future.add_done_callback(landed.put)
        if time.monotonic() > looked + _LOOK:
            workers.look()
            looked = time.monotonic()
        if landed.empty() and _run_here(workers, points, agenda, record):
            continue
        try:
            future = landed.get(timeout=_LOOK)
        except queue.Empty:
            continue
        trials = _outcome(future, flying[future], workers.seed)
        agenda.landed(flying.pop(future), trials)
        if trials:
            record(trials)


def _run_here(
    workers: Workers, points: Sequence[SweepPoint], agenda: Agenda, record: Callable[[Sequence[Trial]], None]
) -> bool:
    """Run the next trial in this process if no worker has begun yet; returns whether one was run."""
    batch = None if workers.here is None or workers.began() else agenda.next(workers.number, workers.batch)
    if workers.here is None or batch is None or batch.alone:
        return False
    agenda.take(batch)
    done = [workers.here(points[batch.point], trial) for trial in batch.trials]
    agenda.landed(batch, done)
    record(done)
    return True


def _outcome(future: Future[list[Trial]], batch: Batch, seed: int) -> list[Trial]:
    """The trials of a batch that are done; none where it went down with workers and each has to run alone."""
    try:
        return future.result()
    except (InputError, MissingProgramError, BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        # A simulation that fails is a result. Dask gives trials up that took several workers with them.
        said = f"{type(error).__name__}: {error}"
        if type(error).__name__ == "KilledWorker":
            return [_failed(task, seed, said) for task in batch.tasks] if len(batch.trials) == 1 else []
        first = batch.trials[0]
        raise RunError(f"point {batch.point}, chip {first}: a worker cannot run the trial ({said}); {KEPT}") from error


def _failed(task: tuple[int, int], seed: int, message: str) -> Trial:
    point, trial = task
    return Trial(point, trial, chip_seed(seed, trial), "failed", message=message)


def run_chips(
    design: Design,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    n_chips: int,
    seed: int,
    *,
    backend: str | Backend = "direct",
    table: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """Classify the images with `n_chips` chips, one after the other in this process.

    Parameters
    ----------
    design
        What is manufactured; its network gives readout and protocol.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    seed
        Root seed; see `chip_seed`.
    table
        Drives per neuron of the response table; 0: none, None: 9 for the mean readout by direct, 33 else.
    progress
        Called with (chips done, chips in all).

    Returns
    -------
    list of Trial
        A simulation that fails is a trial with its message, not an exception.

    Raises
    ------
    InputError
        For images that do not fit the network.
    """
    network = design.network
    check_images(network, images)
    plain = network.forward(images).argmax(axis=1)
    single = np.asarray(images, dtype=np.float32)
    job = Job(uuid4().hex, network, design.technology, single, labels, plain, seed, backend, table)
    trials = []
    for k in range(n_chips):
        trials.append(run_trial(job, SweepPoint(0, "sweep", "as designed"), k))
        if progress is not None:
            progress(k + 1, n_chips)
    return trials
