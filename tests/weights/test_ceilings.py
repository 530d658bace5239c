"""Ceilings of relu layers, activations that others stand in for, and pixels that were scaled another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn import weights
from analog_fhn.data import from_arrays
from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.patches import AveragePool, Patches
from analog_fhn.weights.ceilings import with_ceilings
from analog_fhn.weights.input_scale import better_scaling
from analog_fhn.weights.trained import TrainedWeights, to_network

RNG = np.random.default_rng(2)
IMAGES = RNG.uniform(0.0, 1.0, (700, 6))
IMAGES[0, :2] = 0.0, 1.0
W = [RNG.normal(size=shape) for shape in ((6, 8), (8, 7), (7, 3))]
B = [RNG.normal(size=n) for n in (8, 7, 3)]


def trained(hidden: Any = "relu") -> TrainedWeights:
    return TrainedWeights(tuple(W), tuple(B), hidden, Path("net"), "arrays")


def told(network: Network) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = network.provenance["imported"]["ceilings"]
    return found


def test_each_layer_is_measured_behind_the_ceilings_before_it() -> None:
    network = to_network(trained(), images=IMAGES, quantile=0.9)
    first = IMAGES @ W[0] + B[0]
    ceiling = np.quantile(first[first > 0.0], 0.9)
    second = np.clip(first, 0.0, ceiling) @ W[1] + B[1]
    expected = [ceiling, np.quantile(second[second > 0.0], 0.9)]
    np.testing.assert_allclose(network.ceilings, expected)
    for entry, z, top in zip(told(network), (first, second), expected, strict=True):
        assert entry["from"] == "images"
        assert entry["clipped"] == pytest.approx(np.mean(z > top))


def test_a_ceiling_that_nothing_reaches_changes_no_score() -> None:
    network = to_network(trained(), images=IMAGES, quantile=1.0)
    np.testing.assert_allclose(network.forward(IMAGES), network.forward(IMAGES, ceilings=False), atol=1e-12)
    assert [entry["clipped"] for entry in told(network)] == [0.0, 0.0]


def test_ceilings_of_means_and_convolutions() -> None:
    patches = Patches((4, 5, 1), (2, 2))
    layers = (
        Convolution(RNG.normal(size=(4, 3)), None, "relu", "tanh", None, patches),
        AveragePool((3, 4, 3), (2, 2)),
        Dense(RNG.normal(size=(18, 4)), None, "relu"),
        Dense(RNG.normal(size=(4, 2))),
    )
    images = RNG.normal(size=(300, 20))
    found, entries = with_ceilings(layers, None, images, 0.8)
    network = Network(found)
    z = patches.take(images) @ layers[0].weights
    assert network.ceilings[0] == pytest.approx(np.quantile(z[z > 0.0], 0.8))
    pooled = layers[1](np.clip(z, 0.0, network.ceilings[0]).reshape(300, -1)) @ layers[2].weights
    assert network.ceilings[1] == pytest.approx(np.quantile(pooled[pooled > 0.0], 0.8))
    assert [entry["layer"] for entry in entries] == [0, 1]


def test_given_ceilings() -> None:
    assert to_network(trained(), ceilings=2.0).ceilings == (2.0, 2.0)
    network = to_network(trained(), ceilings=[2.0, 3.0], images=IMAGES)
    assert network.ceilings == (2.0, 3.0)
    assert [entry["from"] for entry in told(network)] == ["user", "user"]
    assert told(network)[0]["clipped"] == pytest.approx(np.mean(IMAGES @ W[0] + B[0] > 2.0))
    mixed = to_network(trained(("sigmoid", "relu")), ceilings=[4.0])
    assert (mixed.units, mixed.ceilings) == (("sigmoid", "relu"), (1.0, 4.0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {},
            r"--ceiling C, or C,C,... for each layer; in Python ceilings=...\), or have it measured on training images",
        ),
        ({"ceilings": [1.0, 2.0, 3.0]}, "3 ceilings for 2 relu layers"),
        ({"ceilings": 0.0}, "ceilings 0, 0: expected numbers above 0"),
        ({"ceilings": float("nan")}, "expected numbers above 0"),
        ({"images": IMAGES, "quantile": 1.5}, "ceiling quantile = 1.5: expected a number from 0.5 to 1"),
        ({"images": IMAGES[:, :5]}, "images have 5 values; the network takes 6"),
        ({"images": IMAGES, "hidden": "tanh"}, "'tanh' asked for, but the file says 'relu'"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        to_network(trained(), **options)


def test_a_relu_that_stays_at_0() -> None:
    dead = TrainedWeights((-abs(W[0]), W[1], W[2]), (None, None, None), "relu", Path("net"), "arrays")
    with pytest.raises(InputError, match="hidden layer 0 is a relu that stays at 0 on all 700 images"):
        to_network(dead, images=IMAGES)


def test_a_network_of_other_units_has_none() -> None:
    network = to_network(trained("tanh"), images=IMAGES)
    assert "ceilings" not in network.provenance["imported"]
    with pytest.raises(InputError, match="1 ceilings for 0 relu layers"):
        to_network(trained("tanh"), ceilings=1.0)


# --- pixels that were scaled ----------------------------------------------------------------------------------------


def test_scaling_is_taken_into_the_first_layer() -> None:
    network = to_network(trained("tanh"), scaling=(2.0, -1.0))
    np.testing.assert_allclose(
        network.forward(IMAGES), to_network(trained("tanh")).forward(2.0 * IMAGES - 1.0), atol=1e-12
    )
    assert network.provenance["imported"]["scaling"] == [2.0, -1.0]


def test_scaling_around_a_padded_convolution() -> None:
    # zeros around scaled pixels are 0.3 around the pixels themselves
    patches = Patches((2, 3, 1), (2, 2), padding=((1, 0), (1, 1)))
    layers = (
        Convolution(RNG.normal(size=(4, 2)), None, "tanh", "tanh", None, patches),
        Dense(RNG.normal(size=(16, 2))),
    )
    parts = [layer.weights for layer in layers]
    read = TrainedWeights(tuple(parts), (None, None), "tanh", Path("net"), "file", layers=layers)
    network = to_network(read, scaling=(4.0, -1.2))
    np.testing.assert_allclose(network.forward(IMAGES), Network(layers).forward(4.0 * IMAGES - 1.2), atol=1e-12)
    assert network.dense[0].window is not None
    assert network.dense[0].window.fill == pytest.approx(0.3)


def test_scaling_with_gain_0() -> None:
    with pytest.raises(InputError, match="scaling 0, 1: expected a gain other than 0"):
        to_network(trained("tanh"), scaling=(0.0, 1.0))


@pytest.mark.parametrize(
    ("gain", "offset", "name"), [(2.0, -1.0, "from -1 to 1"), (255.0, 0.0, "from 0 to 255"), (-1.0, 1.0, "from 1 to 0")]
)
def test_another_scaling_is_recognised(gain: float, offset: float, name: str) -> None:
    """A classifier of bright and dark images, trained on pixels that were scaled."""
    labels = (IMAGES.mean(axis=1) > 0.5).astype(np.int64)
    # the mean of the scaled pixels, and its threshold
    w, threshold = np.full((6, 1), 20.0 / gain / 6.0), np.array([-20.0 * (0.5 + offset / gain)])
    network = Network.of_weights((w, np.array([[-1.0, 1.0]])), (threshold, None), "tanh")
    assert np.mean(network.forward(gain * IMAGES + offset).argmax(axis=1) == labels) == 1.0
    data = from_arrays(IMAGES, labels)
    found = better_scaling(network, data, data)
    assert found is not None
    assert (found.name, found.gain, found.offset, found.accuracy) == (name, gain, offset, 1.0)
    fitting = to_network(
        TrainedWeights(network.weights, network.biases, "tanh", Path("net"), "arrays"), scaling=(gain, offset)
    )
    assert better_scaling(fitting, data, data) is None


def test_load_network_hands_on_what_it_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w0=W[0], w1=W[1], w2=W[2])
    network = weights.load_network(tmp_path / "net.npz", hidden="relu", ceilings=(2.0, 3.0), input_range=(0.0, 2.0))
    assert (network.units, network.ceilings, network.input_range) == (("relu", "relu"), (2.0, 3.0), (0.0, 2.0))
