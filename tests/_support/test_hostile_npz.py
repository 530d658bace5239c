"""Files of this package, damaged or made to harm: networks, trims, reconstructions and tables, each to its use."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from handmade_twin import handmade
from hostile import EXAMPLES, check, damaged, hostile
from hostile_files import arrays_changed, changed, npz
from hostile_readers import kept, small_design, small_network, small_table
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_fhn._support.hashing import sha256_of_arrays
from analog_fhn.backends.table import waveforms as response_table
from analog_fhn.reconstruct.twin import as_neuron
from analog_fhn.trim.codes import TrimHardware
from analog_fhn.trim.state import TrimState

KINDS = ["network", "trim", "twin", "table"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("originals")
    small_network().save(folder / "network.npz")
    design = small_design()
    TrimState.untouched(design, 3, TrimHardware()).save(folder / "trim.npz", design, {"errors": ["neuron"]})
    as_neuron(handmade(), 3.0, 1e-3).save(folder / "twin.npz")
    small_table().save(folder / "table.npz", {"key": "key"})
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def parts(originals: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Text and arrays of each."""
    path = tmp_path_factory.mktemp("parts") / "whole.npz"
    content = {}
    for name, raw in originals.items():
        path.write_bytes(raw)
        with np.load(path) as file:
            content[name] = json.loads(str(file["meta"])), kept(dict(file))
    return content


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 8)
def test_hostile_bytes(kind: str, data: st.DataObject, originals: dict[str, bytes]) -> None:
    check(f"hostile_readers:read_{kind}", f"{kind}.npz", data.draw(damaged([originals[kind]])))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 5)
def test_hostile_content(kind: str, data: st.DataObject, parts: dict[str, tuple[Any, Any]]) -> None:
    meta, arrays = parts[kind]
    arrays = data.draw(arrays_changed(arrays))
    meta = data.draw(changed(meta))
    if kind == "network" and isinstance(meta, dict) and "sha256" in meta:  # so that not the hash alone refuses
        meta["sha256"] = _hash(arrays)
    if kind == "table" and isinstance(meta, dict) and "content" in meta:
        meta["content"] = _content_hash(meta.get("quality"), arrays)
    content = data.draw(npz({"meta": np.array(json.dumps(meta)), **arrays}))
    check(f"hostile_readers:read_{kind}", f"{kind}.npz", content)


def _hash(arrays: dict[str, Any]) -> str:
    try:
        return sha256_of_arrays(arrays)
    except ValueError:  # objects have no bytes
        return ""


def _content_hash(quality: Any, arrays: dict[str, Any]) -> str:
    try:
        return response_table._content_hash("key", quality, arrays)
    except ValueError:
        return ""


def test_whole_files_are_accepted(originals: dict[str, bytes]) -> None:
    kinds = {kind: check(f"hostile_readers:read_{kind}", f"{kind}.npz", raw).kind for kind, raw in originals.items()}
    assert kinds == dict.fromkeys(KINDS, "accepted")
