"""What every test runs with: a share of the cores, and a place where JAX keeps what it compiled."""

from __future__ import annotations

import os

import pytest

from analog_fhn._support.threads import usable_cores


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        _share_cores(max(1, usable_cores() // worker["workercount"]))
    if getattr(config, "cache", None) is not None:
        # A folder for each process, since JAX does not write its files at once.
        _keep_compiled(str(config.cache.mkdir(f"jax-{'alone' if worker is None else worker['workerid']}")))


def _share_cores(number: int) -> None:
    """Threads that wait for each other on the same cores spend more time on waiting than on the tests."""
    # read when a library is loaded, here and in the processes that tests start
    os.environ["OPENBLAS_NUM_THREADS"] = str(number)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import numba

    # not NUMBA_NUM_THREADS: tests of several threads ask for more
    numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))


def _keep_compiled(folder: str) -> None:
    """The same training occurs in many tests, and Keras has it compiled anew in each."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
