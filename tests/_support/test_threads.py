"""How many cores a process may use."""

from __future__ import annotations

import os

import pytest

from analog_fhn._support.threads import usable_cores


def test_cores_are_those_of_the_process() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("cores", "expected"), [(6, 6), (None, 1)])
def test_where_the_system_does_not_tell_they_are_those_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert usable_cores() == expected
