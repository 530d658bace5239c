"""Packages that are not always installed: what needs an absent one says how to install it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analog_fhn.errors import MissingProgramError


@contextmanager
def extra(name: str, need: str) -> Iterator[None]:
    """Import optional packages within the block; where one is absent, a message tells how to install it.

    Parameters
    ----------
    name
        The extra of analog-fhn that installs the packages: ``plots``.
    need
        The message begins with what needs which package: "pictures need matplotlib".

    Raises
    ------
    MissingProgramError
        If an import within the block fails.
    """
    try:
        yield
    except ImportError as error:
        raise MissingProgramError(f'{need} ({error}): pip install "analog-fhn[{name}]"') from error
