"""What is done with a file of each kind that was accepted: it must go well to the end."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn import weights
from analog_fhn.backends.table.waveforms import ResponseTable, TableQuality
from analog_fhn.design import Design
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import Protocol
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.twin import units_of
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.state import as_trimmed, load_state, measured_from, trim_notes


@cache
def small_network() -> Network:
    """Of 4 inputs, 3 neurons and 2 classes."""
    rng = np.random.default_rng(1)
    return Network.of_weights((rng.normal(size=(4, 3)), rng.normal(size=(3, 2))), (rng.normal(size=3), None))


@cache
def small_design() -> Design:
    """Of `small_network`, in discrete parts."""
    return Design(small_network(), Technology.load("discrete"))


def _classify(network: Network) -> None:
    """Assert that scores are numbers, that nothing overflows, and that the network can be saved."""
    edges = np.array(network.input_range)[:, None] * np.ones(network.n_inputs)
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(network.forward(edges)).all()


def read_network(path: Path) -> None:
    """Load a network, compute with it, save and load it again."""
    network = Network.load(path)
    _classify(network)
    network.save(path)
    assert Network.load(path).sha256 == network.sha256


def read_weights(path: Path) -> None:
    """Import trained weights as the command does."""
    trained = weights.read(path)
    relus = [layer for layer in trained.layers or () if isinstance(layer, Dense) and layer.unit == "relu"]
    ceilings = 2.0 if any(layer.ceiling is None for layer in relus) else None
    network = weights.to_network(trained, hidden=trained.hidden or "sigmoid", ceilings=ceilings, nearest=True)
    _classify(network)
    network.save(path)
    Network.load(path)


def read_trim(path: Path) -> None:
    """Load the state of a trimmed chip, and build the chip."""
    network = as_trimmed(path, small_network())
    state, technology = load_state(path, network)
    state.chip(Design(network, technology))
    measured_from(path)
    trim_notes(path)


def read_twin(path: Path) -> None:
    """Load a reconstruction and let it run for ten samples."""
    twin = Reconstruction.load(path)
    twin.run(10 * twin.step)
    units_of(twin)


@cache
def small_table() -> ResponseTable:
    """Of two neurons at five drives: one rests, one spikes with made-up waves."""
    drives, ones = np.tile(np.linspace(-2.0, 0.0, 5), (2, 1)), np.ones((2, 5))
    regime = np.repeat(np.array([[0], [1]], "i1"), 5, axis=1)
    quality = TableQuality(5, 10, 0, 0.0, 0.0, None, None, 0.0, 0, 0.0, 0.0)
    wave = np.zeros((2, 5, 2, 8), "f4")
    return ResponseTable(
        drives, np.array([5, 5], "i4"), regime, -ones, 3.0 * ones, 0.1 * ones, 0.4 * ones, wave, ones, quality
    )


def read_table(path: Path) -> None:
    """Load a response table and interpolate in it."""
    ends = small_table().drives[:, 0], small_table().drives[:, -1]
    table = ResponseTable.load(path, "key", ends)
    response = table.respond(np.linspace(*ends, 7), Protocol(1.0, 2.0, 0.5), samples=True)
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(response.mean).all()
    assert f"{table.quality.rms:.1e} {table.quality.n_drives} {table.quality.window_largest:.1e}"


def kept(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays of a file that was saved, without its text."""
    return {name: values for name, values in arrays.items() if name != "meta"}
