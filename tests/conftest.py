"""What every test runs with."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """JAX keeps what it compiled: the same training occurs in many tests, and Keras compiles it anew in each.

    A folder for each process of the tests, since JAX does not write its files at once; what a folder holds is found
    again by its contents, so it serves later runs too.
    """
    worker = getattr(config, "workerinput", {}).get("workerid", "alone")
    if config.cache is not None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir(f"jax-{worker}"))
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
