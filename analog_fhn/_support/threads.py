"""Cores there are, timers, and threads of NumPy and JAX: one where results must not depend on their number."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def usable_cores() -> int:
    """Cores that this process may use; where the system does not tell, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def alarm(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """Timer that runs, and calls after so many seconds unless it is cancelled."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), call)
    timer.daemon = True
    timer.start()
    return timer


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def single_blas() -> Iterator[None]:
    """Matrix products on one thread: their last bits do not depend on the machine's cores or on what runs beside."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def single_xla() -> None:
    """One thread for what JAX computes on the processor: the order of its sums follows the number of threads.

    JAX reads the number, ``NPROC``, when it computes for the first time; where it did so before, or the user's
    environment sets ``NPROC``, that number stays.
    """
    import jax

    if "NPROC" in os.environ:
        return
    os.environ["NPROC"] = "1"
    try:
        jax.devices()
    finally:
        del os.environ["NPROC"]  # programs that are started from here read it too


_of_worker = threading.Event()  # set in a process that shares the cores with others like it


def programs_at_once() -> int:
    """Programs that this process may run beside each other: one per usable core, in a worker (`stay_single`) one."""
    return 1 if _of_worker.is_set() else usable_cores()


def stay_single() -> None:
    """One thread for matrix products and compiled loops, and one program at once, of this worker from now on.

    The cores are shared by workers.
    """
    import numba

    _of_worker.set()
    _controller().limit(limits=1, user_api="blas")
    numba.set_num_threads(1)
