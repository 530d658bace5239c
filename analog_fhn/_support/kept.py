"""Arrays that take long to compute, kept in the user's cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import at_once, new_file
from analog_fhn._support.npz import read_npz
from analog_fhn._support.resources import cache_folder
from analog_fhn.errors import InputError, RunError

_log = logging.getLogger(__name__)


def kept_arrays(
    folder: str,
    key: str,
    what: str,
    compute: Callable[[], Mapping[str, NDArray[Any]]],
    usable: Callable[[Mapping[str, NDArray[Any]]], bool] = bool,
) -> Mapping[str, NDArray[Any]]:
    """Arrays from the cache, or computed and stored there; a cache that cannot be used costs a warning only.

    Parameters
    ----------
    folder
        Of the cache; see `cache_folder`.
    key
        Hash of all that the arrays depend on.
    what
        The arrays in words, for messages.
    compute
        Called if they are not there.
    usable
        Whether what the file holds is what `compute` would have returned, as far as one can see.
    """
    return arrays_in(cache_folder(folder) / f"{key}.npz", what, compute, usable)


def arrays_in(
    path: Path,
    what: str,
    compute: Callable[[], Mapping[str, NDArray[Any]]],
    usable: Callable[[Mapping[str, NDArray[Any]]], bool] = bool,
) -> Mapping[str, NDArray[Any]]:
    """As `kept_arrays`, of a file that is named."""
    if path.exists():
        try:
            if usable(found := read_npz(path, what)):
                return found
            _log.warning("%s: holds something else than %s; computed again", path, what)
        except InputError as error:
            _log.warning("%s; computed again", error)
    computed = compute()
    try:
        with at_once(), new_file(path) as stream:  # results do not need it
            np.savez(stream, **computed)  # type: ignore[arg-type]
    except (InputError, RunError) as error:
        _log.warning("%s cannot be stored: %s", what, error)
    return computed
