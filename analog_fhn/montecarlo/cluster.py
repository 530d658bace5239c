"""Workers of a Dask cluster: each is sent what all trials have in common once, and trials by some at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from analog_fhn._support.extras import extra
from analog_fhn.errors import InputError, RunError
from analog_fhn.montecarlo.packed import PackedImages
from analog_fhn.montecarlo.runner import KEPT, Workers
from analog_fhn.montecarlo.trial import Job

if TYPE_CHECKING:
    from distributed import Client

_BATCH = 0.5  # seconds of work of a task, by which rows lag, at least
_OF_DRIVER = 4e-3  # and per worker: twice what a task takes the driver, which is to keep up with all of them
_RETURN = 30.0  # seconds in which a cluster without workers gets one again; a worker's nanny takes about two


class _DaskWorkers(Workers):
    """Workers of a cluster that may come and go.

    Parameters
    ----------
    client, address
        Connection to the scheduler, and where it is.
    job
        What they know already.
    number
        Of threads at present.
    """

    def __init__(self, client: Client, address: str, job: Job, number: int) -> None:
        super().__init__(lambda: client.get_executor(pure=False), job.key, number, job.seed, owned=False)
        self._count(number)
        self._client, self._address = client, address
        self._alone_since: float | None = None

    def _count(self, number: int) -> None:
        self.number, self.batch = number, max(_BATCH, _OF_DRIVER * number)

    def renew(self, error: BaseException) -> None:
        """See `Workers.renew`. A cluster runs trials of lost workers elsewhere: those it gives up are lost with it."""
        what = "gave trials up" if self._client.status == "running" else "is gone"
        raise RunError(f"--scheduler {self._address}: the scheduler {what}; {KEPT}")

    def look(self) -> None:
        """See how many threads there are by now.

        Raises
        ------
        RunError
            If there has been none for half a minute.
        """
        if self._client.status != "running":
            return  # the trials that the scheduler had are given up
        try:
            number = sum(self._client.nthreads().values())
        except (OSError, TimeoutError):
            return
        if number:
            self._count(number)
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now > self._alone_since + _RETURN:
            raise RunError(f"--scheduler {self._address}: the workers are gone; {KEPT}")


@contextmanager
def dask_workers(job: Job, address: str) -> Iterator[Workers]:
    """Workers of a Dask cluster that is running; the job goes to each worker once, also to those that come later.

    Raises
    ------
    MissingProgramError
        If Dask is not installed.
    InputError
        If no scheduler answers at the address.
    RunError
        If workers cannot be given the job, for lack of analog_fhn for instance.
    """
    with extra("dask", "a scheduler needs Dask"):
        from distributed import Client
        from distributed.comm import get_address_host_port
    try:
        get_address_host_port(address)  # a client of no address takes half a minute to go away
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with _silent("distributed", "tornado", "asyncio"), client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise InputError(f"--scheduler {address}: the scheduler has no workers yet (dask worker {address})")
        with _sent(client, address, job):
            yield _DaskWorkers(client, address, job, threads)


@contextmanager
def _sent(client: Client, address: str, job: Job) -> Iterator[None]:
    """With a job at every worker.

    The memory manager of a cluster takes copies away that it holds to be too many, and has them sent again: that is why
    the job is no datum of a task's.
    """
    from analog_fhn.montecarlo.dask_plugin import KeepsJob

    name = f"analog_fhn-{job.key}"
    try:
        client.register_plugin(KeepsJob(replace(job, images=PackedImages(job.mapped()), workers=1)), name=name)
    except OSError:
        pass  # a worker was lost meanwhile
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise RunError(f"--scheduler {address}: a worker cannot be given the sweep ({said}); {KEPT}") from error
    try:
        yield
    finally:
        with suppress(Exception):  # whatever it is, all is done or said
            client.unregister_worker_plugin(name)


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
