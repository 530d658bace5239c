"""Functions compiled by Numba, whose machine code is kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: Numba's `njit` with these options, and with its cache.

    The cache is NUMBA_CACHE_DIR, else `__pycache__` beside the source, else the user's cache folder. Where none of them
    can be written (a read-only installation without a home), and where the disk is full, every process compiles for
    itself.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            dispatcher = njit(cache=True, **options)(function)
        except RuntimeError:  # Numba's "no locator available"
            return njit(**options)(function)
        cache = dispatcher._cache
        for name in ("load_overload", "save_overload"):
            setattr(cache, name, _forgiving(getattr(cache, name)))
        return dispatcher

    return decorate


def _forgiving(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with suppress(OSError):
            return method(*arguments)
        return None

    return call
