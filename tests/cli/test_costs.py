"""Estimates against wall times that the documentation gives for two cores: right within a factor of three."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analog_fhn.cli import costs
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.network import Network
from analog_fhn.studies.frontier import CONTROL
from analog_fhn.technology.technology import Technology

STAGES = {"noise_images": 0, "brian_images": 0, "spice_images": 2, "spice_table": 0}


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
    # docs/backends.md, 9 drives of each of 100 neurons
    found = costs.classification(mnist, 10000, backend="spice", table=9).seconds
    assert 8.1 / 3 < found < 3 * 8.1


def test_all_hidden_layers_count(mnist: Network) -> None:
    first, last = mnist.weights
    second = np.eye(100)
    deep = Network.of_weights((first, second, last))
    for one, other in (
        (costs.classification(deep, 1000), costs.classification(mnist, 1000)),
        (costs.comparison(deep, 1000, **STAGES), costs.comparison(mnist, 1000, **STAGES)),
    ):
        assert one.seconds == pytest.approx(2 * other.seconds, rel=0.01)
    repairs = {"labelled": 100, "held_out": 100, "trained": 100, "drives": 100_000, "rounds": 3, "epochs": 0}
    repair = [costs.repair(network, **repairs, backend="direct", table=0).seconds for network in (deep, mnist)]
    assert repair[0] == pytest.approx(2 * repair[1], rel=0.01)
    assert costs.layout(deep, Path(), exported=True).disk > costs.layout(mnist, Path(), exported=True).disk


def test_frontier_of_several_layers_simulates_every_choice_of_times(mnist: Network) -> None:
    deep = Network.of_weights((mnist.weights[0], np.eye(100), mnist.weights[1]))
    times = (0.0, 10.0)
    choices = [settle + control for settle in times for control in CONTROL]

    def of_images(network: Network) -> float:
        """Seconds of 1 000 images, without those of the powers in ngspice."""
        return costs.frontier(network, 2000, 1, times).seconds - costs.frontier(network, 1000, 1, times).seconds

    assert of_images(deep) == pytest.approx(2 * of_images(mnist) * sum(choices) / max(choices))
    with_low_passes = costs.frontier(deep, 1000, 1, times, 3)
    assert with_low_passes.seconds == pytest.approx(
        costs.frontier(deep, 1000, 1, times).seconds + 3 * costs.classification(deep, 1000).seconds
    )
