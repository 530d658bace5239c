"""Estimates against wall times that the documentation gives for two cores: right within a factor of three."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analog_fhn.cli import costs
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "usable_cores", lambda: 2)


@pytest.fixture(scope="module")
def mnist() -> Network:
    """Of the sizes that were measured."""
    rng = np.random.default_rng(0)
    return Network.of_weights((rng.normal(size=(784, 100)), rng.normal(size=(100, 10))))


@pytest.mark.parametrize(("n_images", "seconds"), [(1000, 11.9), (10000, 23.7)])
def test_sweep_of_1000_chips(n_images: int, seconds: float, mnist: Network) -> None:
    # docs/sweeps.md, without the start of 9.6 s
    plan = Sweep(network="net.npz", technology="discrete", dataset="mnist", seed=1, chips=1000)
    points = plan.all_points(mnist, Technology.load("discrete"))
    found = costs.sweep(plan, points, mnist, n_images, 2, Path()).seconds
    assert seconds / 3 < found < 3 * seconds


def test_direct_simulation(mnist: Network) -> None:
    # docs/backends.md: 28 ns per neuron and T with steps of 0.0071 T, which are 0.005 T here
    seconds = 28e-9 * 0.0071 / 0.005 * 1000 * 100 * 300
    found = costs.classification(mnist, 1000).seconds
    assert seconds / 3 < found < 3 * seconds


def test_table_from_ngspice(mnist: Network) -> None:
    # docs/backends.md, 33 drives of each of 100 neurons
    found = costs.classification(mnist, 10000, backend="spice", table=33).seconds
    assert 123 / 3 < found < 3 * 123
