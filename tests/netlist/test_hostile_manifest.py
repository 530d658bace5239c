"""Manifests that were damaged or made up: an export in their folder removes nothing for them, and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hostile import check, damaged, hostile
from hypothesis import given
from hypothesis import strategies as st

from analog_fhn.backends.spice.backend import longest_run
from analog_fhn.netlist.export import earlier_files

GOOD = {
    "format": 2, "form": "full", "weights_sha256": "0" * 64, "expected_seconds": 3.5,
    "results": ["scores.txt", "run.log"], "sha256": {"run.cir": "0" * 64, "manifest.json": "1" * 64},
}  # fmt: skip
NAMES = st.text() | st.sampled_from(["..", "/", "", "../x", "a\0b", "a" * 300, "\ud800", "manifest.json"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | NAMES,
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=8,
)


def read(path: Path) -> None:
    """What an export in the folder, and a run of it, take from its manifest."""
    assert all(file.parent == path.parent and file.is_file() for file in earlier_files(path.parent))
    assert 0 < longest_run(path.parent) < float("inf")


@hostile
@given(damaged([json.dumps(GOOD, indent=2).encode()]))
def test_hostile_bytes(content: bytes) -> None:
    check("netlist.test_hostile_manifest:read", "manifest.json", content)


@hostile
@given(st.sampled_from(sorted(GOOD)), VALUES)
def test_hostile_values(key: str, value: object) -> None:
    check("netlist.test_hostile_manifest:read", "manifest.json", json.dumps(GOOD | {key: value}).encode())


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"expected_seconds": 1' + b"0" * 5000 + b"}", b" " * 2**25])
def test_hostile_sizes(content: bytes) -> None:
    check("netlist.test_hostile_manifest:read", "manifest.json", content)
