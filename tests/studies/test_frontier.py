"""The frontier against plain classification with the same times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_cnn

from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify_all
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.studies import frontier as module
from analog_fhn.studies.frontier import FrontierPoint, cheapest, frontier
from analog_fhn.technology.sections import Adc
from analog_fhn.technology.technology import Technology
from analog_fhn.training.plain import train_plain


@pytest.fixture(scope="module")
def network() -> Network:
    data = load("digits", "train")
    return train_plain(data, n_hidden=20, epochs=20, seed=0).network(data.scale)


@pytest.mark.parametrize("gamma", [-0.5, -1.5])
def test_each_point_is_the_accuracy_with_these_times(
    network: Network, gamma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAMPLE_BYTES", 1e6)  # several groups of images
    data = load("digits", "test").head(150)
    chip = Design(network.with_options(gamma=gamma), Technology.load("discrete")).chip(3)
    points = frontier(chip, data.images, data.labels, settle=(0.0, 3.0), control=(2.0, 8.0))
    assert len(points) == 2 * 2 * 2
    for point in points:
        protocol = Protocol(settle=point.settle, control=point.control, interval=0.05)
        timed = replace(chip, network=replace(chip.network, protocol=protocol))
        (result,) = classify_all(timed, data.images, [(point.readout, True)])
        # Vote: the same samples, but for rounding. Mean: of samples here, an exact integral there.
        images = 1 if point.readout == "vote" else 4
        assert abs(point.accuracy - result.accuracy(data.labels)) <= images / 150 + 1e-9, point
        assert (point.gamma, point.latency) == (gamma, point.settle + point.control)
    assert len({point.accuracy for point in points}) > 2


def test_layers_before_settle_as_long_as_the_times_say() -> None:
    data, rng = load("digits", "test").head(60), np.random.default_rng(2)
    deep = Network.of_weights([rng.normal(size=shape) for shape in ((64, 8), (8, 6), (6, 10))])
    chip = Design(deep, Technology.load("discrete")).chip(3)
    points = frontier(chip, data.images, data.labels, settle=(0.0, 20.0), control=(12.0,))
    for point in points:
        protocol = Protocol(settle=point.settle, control=point.control, interval=0.05)
        timed = replace(chip, network=replace(deep, protocol=protocol))
        (result,) = classify_all(timed, data.images, [(point.readout, True)])
        images = 1 if point.readout == "vote" else 3
        assert abs(point.accuracy - result.accuracy(data.labels)) <= images / 60 + 1e-9, point


def test_cheapest_is_the_shortest_that_is_good_enough() -> None:
    points = [FrontierPoint(-1.0, "mean", 2.0, c, accuracy) for c, accuracy in ((1.0, 0.7), (2.0, 0.97), (5.0, 0.98))]
    points.append(FrontierPoint(-1.0, "vote", 3.0, 1.0, 0.975))
    best = cheapest(points, 0.97)
    assert best is not None
    assert (best.readout, best.latency) == ("vote", 4.0)
    assert cheapest(points, 0.99) is None


def test_equal_edges_that_differ_as_sums_of_floats(network: Network) -> None:
    assert 0.1 + 0.2 != 0.3
    data = load("digits", "test").head(100)
    chip = Design(network, Technology.load("discrete")).chip(3)
    together = frontier(chip, data.images, data.labels, settle=(0.1, 0.3), control=(0.2, 0.4), interval=0.1)
    alone = [
        point
        for settle in (0.1, 0.3)
        for control in (0.2, 0.4)
        for point in frontier(chip, data.images, data.labels, settle=(settle,), control=(control,), interval=0.1)
    ]
    assert set(together) == set(alone)


def test_times_must_fit_the_interval(network: Network) -> None:
    chip = Design(network, Technology.load("discrete")).chip(None)
    with pytest.raises(InputError, match=r"settle = 0\.12"):
        frontier(chip, np.zeros((1, 64)), np.zeros(1, dtype=np.int64), settle=(0.12,))


def test_converters_are_refused(network: Network) -> None:
    technology = Technology.load("discrete").model_copy(update={"adc": Adc(bits=8)})
    chip = Design(network, technology).chip(None)
    with pytest.raises(InputError, match=r"converters \(adc\.bits = 8\) and the vote readout"):
        frontier(chip, np.zeros((1, 64)), np.zeros(1, dtype=np.int64))


@pytest.mark.parametrize("hidden", [False, True])
def test_held_activations_take_all_windows(hidden: bool) -> None:
    net, images = small_cnn.network("sigmoid", hidden=hidden), np.random.default_rng(1).random((60, 36))
    # half of the images in each class, all of them close to the border
    middle = np.median(net.forward(images), axis=0)
    net = replace(net, layers=(*net.layers[:-1], replace(net.output, bias=net.output.shift - middle)))
    labels = net.forward(images).argmax(axis=1)
    made = small_cnn.chip(net, 3, **{"hold.droop_sigma": 0.02})
    times = {"settle": (0.0, 20.0), "control": (10.0, 60.0)}
    points = frontier(made, images, labels, **times)
    assert {point.readout for point in points} == ({"mean", "vote"} if hidden else {"mean"})
    for point in points:
        assert point.windows == 16 + hidden
        assert point.latency == point.windows * (point.settle + point.control)
        protocol = replace(net.protocol, settle=point.settle, control=point.control, interval=0.05)
        again = Design(replace(net, protocol=protocol), made.technology).chip(3)  # droops by these windows
        (result,) = classify_all(again, images, [(point.readout, True)])
        assert abs(point.accuracy - result.accuracy(labels)) <= 4 / 60 + 1e-9, point
    assert len({point.accuracy for point in points}) > 1
