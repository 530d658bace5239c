"""Cores there are, and how many threads the linear algebra of NumPy uses: one where results must not depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def usable_cores() -> int:
    """Cores that this process may use; where the system does not tell, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def single_blas() -> Iterator[None]:
    """Matrix products on one thread: their last bits do not depend on the machine's cores or on what runs beside."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


def stay_single() -> None:
    """One thread for matrix products and compiled loops of this worker from now on; the cores are shared by workers."""
    import numba

    _controller().limit(limits=1, user_api="blas")
    numba.set_num_threads(1)
