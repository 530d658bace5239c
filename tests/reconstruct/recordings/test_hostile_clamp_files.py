"""Axon files that are damaged: what is accepted is finite, and what is refused is refused soon, by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hostile import check, hostile
from hostile import damaged as damages
from hypothesis import given

pytest.importorskip("neo")
from abf_files import write_abf

READER = "analog_fhn.reconstruct.recordings.clamp_files:read_current_clamp"


def original(channels: int) -> bytes:
    """Four sweeps of 256 samples a channel: most of the file is header."""
    rng = np.random.default_rng(2)
    sweeps = [rng.normal(-60.0, 1.0, (256, channels)) for _ in range(4)]
    names = [("Vm", "mV"), ("Im", "pA")][:channels]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.abf"
        return write_abf(path, sweeps, channels=names, epochs=[(50, 0, 0), (100, -10, 10)], rate=1000.0).read_bytes()


@hostile
@given(content=damages([original(1), original(2)]))
def test_hostile_damaged_axon_files(content: bytes) -> None:
    check(READER, "cell.abf", content)
