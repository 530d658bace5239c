"""A pickle that tells whether anybody has opened it."""

from __future__ import annotations


class Trap:
    """Counts how often it is unpickled."""

    sprung = 0

    def __reduce__(self) -> tuple[object, ...]:
        return spring, ()


def spring() -> None:
    Trap.sprung += 1
