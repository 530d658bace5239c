"""Trials on any `concurrent.futures` executor: processes of this machine, a Dask cluster, or the caller's own."""

from __future__ import annotations

import logging
import multiprocessing.connection
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.extras import extra
from analog_fhn._support.threads import usable_cores
from analog_fhn.backends.base import Backend
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, RunError
from analog_fhn.inference import check_images
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.trial import Job, Trial, chip_seed, keep_job, run_trial, share_images

_BEGAN = "began"  # file beside the shared images
_DEATHS = 3  # workers that a trial may take with it before it counts as failed
_RETURN = 30.0  # seconds in which a cluster without workers gets one again; a worker's nanny takes about two
_KEPT = "what is done is kept, --resume goes on"


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
    again
        Gives the job anew to workers that took the place of all those that had it, for an executor that is not owned;
        None: there are no such workers.
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
        again: Callable[[], Any] | None = None,
    ) -> None:
        self.job, self.number, self.seed, self.owned, self.began = job, number, seed, owned, began
        self._again = again
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
        elif self._again is not None:
            self.job = self._again()
        elif isinstance(error, CancelledError):
            raise RunError(f"the executor gave trials up; {_KEPT}")
        else:
            raise RunError(f"the workers are gone ({error}); {_KEPT}")


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
            raise RunError(f"{path}: images cannot be written ({error.strerror or error}); {_KEPT}") from None
        shared = replace(job, images=path, workers=1 if number > 1 else None)
        workers = Workers(
            lambda: _processes(shared, number), job.key, number, job.seed, began=(path / _BEGAN).exists
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
    return _Processes(number, mp_context=context, initializer=_begin, initargs=(job,))


def _begin(job: Job) -> None:
    """Make a process of ours a worker: Ctrl-C is the driver's business, and no worker outlives it."""
    from analog_fhn._support.threads import stay_single

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (multiprocessing.connection.wait([sentinel]), os._exit(1)), daemon=True).start()
    stay_single()
    keep_job(job)
    assert isinstance(job.images, Path)
    (job.images / _BEGAN).touch()


@contextmanager
def dask_workers(job: Job, address: str) -> Iterator[Workers]:
    """Workers of a Dask cluster that is running; the job goes to each worker once.

    Raises
    ------
    MissingProgramError
        If Dask is not installed.
    InputError
        If no scheduler answers at the address.
    """
    with extra("dask", "a scheduler needs Dask"):
        from distributed import Client
        from distributed.comm import get_address_host_port
    try:
        get_address_host_port(address)  # a client of no address takes half a minute to go away
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None

    def send() -> Any:
        return client.scatter(replace(job, workers=1), broadcast=True)

    def again() -> Any:
        # The scheduler makes lost results anew, but the job is none: it went with the last worker that held it.
        if client.status != "running":
            raise RunError(f"--scheduler {address}: the scheduler is gone; {_KEPT}")
        try:
            client.wait_for_workers(1, timeout=_RETURN)
            return send()
        except (OSError, ValueError, TimeoutError, CancelledError) as error:
            raise RunError(f"--scheduler {address}: the workers are gone ({error}); {_KEPT}") from None

    with _silent("distributed", "tornado", "asyncio"), client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise InputError(f"--scheduler {address}: the scheduler has no workers yet (dask worker {address})")
        yield Workers(client.get_executor, send(), threads, job.seed, owned=False, again=again)


@contextmanager
def _silent(*packages: str) -> Iterator[None]:
    """Without messages of these packages: what they would say with tracebacks, ours says in one line."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)
               if name.split(".")[0] in packages]  # fmt: skip
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _run_alone(job: Any, point: SweepPoint, trial: int) -> Trial:
    """A trial in a worker, which shares the cores with others."""
    from analog_fhn._support.threads import stay_single

    stay_single()
    return run_trial(job, point, trial)


def run_trials(
    workers: Workers, points: Sequence[SweepPoint], tasks: Iterable[tuple[int, int]], record: Callable[[Trial], None]
) -> None:
    """Run trials and record each as it finishes, in whatever order.

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
    waiting, suspects = deque(tasks), deque[tuple[int, int]]()
    deaths = Counter[tuple[int, int]]()
    while waiting or suspects:
        flying: dict[Future[Trial], tuple[int, int]] = {}
        executor = workers.executor()
        try:
            while waiting or suspects or flying:
                queue, most = (suspects, 1) if suspects else (waiting, 2 * workers.number + 2)
                while queue and len(flying) < most:
                    task = queue[0]
                    flying[executor.submit(_run_alone, workers.job, points[task[0]], task[1])] = task
                    queue.popleft()
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    trial = _outcome(future, flying[future], workers.seed)
                    del flying[future]
                    record(trial)
        except (BrokenExecutor, CancelledError) as error:
            workers.renew(error)
            for task in flying.values():
                deaths[task] += 1
                if deaths[task] < _DEATHS:
                    suspects.append(task)
                else:
                    died = f"the worker process died {_DEATHS} times (killed, or out of memory)"
                    record(_failed(task, workers.seed, died))
        except BaseException:
            for future in flying:
                future.cancel()
            workers.close(kill=True)
            raise


def _outcome(future: Future[Trial], task: tuple[int, int], seed: int) -> Trial:
    try:
        return future.result()
    except (InputError, MissingProgramError, BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        # A simulation that fails is a result. Dask gives a trial up that took several workers with it.
        said = f"{type(error).__name__}: {error}"
        if type(error).__name__ == "KilledWorker":
            return _failed(task, seed, said)
        raise RunError(f"point {task[0]}, chip {task[1]}: a worker cannot run the trial ({said}); {_KEPT}") from error


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
