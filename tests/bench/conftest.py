"""A bench with a small network of digits, its server in a thread, and a browser; each made once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest
from playwright.sync_api import Browser

from analog_fhn.bench.bench import Bench
from analog_fhn.bench.server import Server, listening
from analog_fhn.data import load
from analog_fhn.network import Network


@pytest.fixture(scope="session")
def network() -> Network:
    """64-12-10 with sigmoid units, after 300 steps of gradient descent on the digits."""
    train, rng = load("digits", "train"), np.random.default_rng(5)
    arrays = [0.3 * rng.normal(size=(64, 12)), np.zeros(12), rng.normal(size=(12, 10)), np.zeros(10)]
    speeds = [np.zeros_like(array) for array in arrays]
    for _ in range(300):
        hidden = 1.0 / (1.0 + np.exp(-(train.images @ arrays[0] + arrays[1])))
        shares = np.exp(hidden @ arrays[2] + arrays[3])
        error = (shares / shares.sum(axis=1, keepdims=True) - np.eye(10)[train.labels]) / len(hidden)
        back = error @ arrays[2].T * hidden * (1.0 - hidden)
        slopes = [train.images.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        for array, speed, slope in zip(arrays, speeds, slopes, strict=True):
            speed *= 0.9
            speed -= 1.0 * slope
            array += speed
    return Network.of_weights(arrays[::2], arrays[1::2]).with_options(settle=20.0, control=40.0)


@pytest.fixture(scope="session")
def network_file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "my net.npz"  # a name that a shell has to be told
    network.save(path)
    return path


@pytest.fixture(scope="session")
def bench(network_file: Path) -> Bench:
    names = {"network": str(network_file), "dataset": "digits", "data": None}
    return Bench(Network.load(network_file), load("digits", "test"), names)


@pytest.fixture(scope="session")
def served(bench: Bench) -> Iterator[Server]:
    with listening(0) as place:
        server = Server(bench, place)
        thread = threading.Thread(target=server.run)
        thread.start()
        yield server
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")  # Playwright takes one at a time
def browser() -> Iterator[Browser]:
    with chromium.started() as started:
        yield started
