"""Layers in a few words, and what they come to on images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.patches import AveragePool, Patches
from analog_fhn.training.layers import ConvolutionLayer, DenseLayer, MeanLayer, Plan, PlannedMap, read_layers


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", "train").head(100)


def test_words_are_layers_and_layers_are_words() -> None:
    text = "conv8@5x5/2 relu, mean2x3, conv16@3x1/2x1 same tanh, 64 relu, 10 sigmoid"
    layers = read_layers(text)
    assert layers == (
        ConvolutionLayer(8, (5, 5), (2, 2), unit="relu"), MeanLayer((2, 3)),
        ConvolutionLayer(16, (3, 1), (2, 1), same=True, unit="tanh"), DenseLayer(64, "relu"), DenseLayer(10),
    )  # fmt: skip
    assert ", ".join(map(str, layers)) == text
    assert read_layers(" conv2@3x3   tanh same ,7") == (
        ConvolutionLayer(2, (3, 3), same=True, unit="tanh"),
        DenseLayer(7, "sigmoid"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conv8@5 relu", "'conv8@5 relu': expected conv8@5x5, conv8@5x5/2 same, mean2x2 or 64"),
        ("8 relu,", "layers '8 relu,': '': expected conv8@5x5"),
        ("mean2x2 relu, 8", "'mean2x2 relu': expected"),
        ("max2x2, 8", "'max2x2': expected"),
        ("8 relu relu", "'8 relu relu': expected"),
        ("-8 relu", "'-8 relu': expected"),
        ("conv8@5x5/2x2x2", "'conv8@5x5/2x2x2': expected"),
        ("64 same", "hidden activation 'same': expected 'sigmoid', 'tanh' or 'relu'"),
        ("64 gelu", "layers '64 gelu': hidden activation 'gelu' falls and rises again"),
        ("99999999999", "'99999999999': expected"),
    ],
)
def test_other_words_are_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_layers(text)
    assert said in str(caught.value)


def test_sizes_follow_from_the_images(digits: Dataset) -> None:
    plan = Plan.of(digits, layers="conv6@3x3 relu, mean2x2, conv5@3x3/2 same tanh, 12")
    patches = Patches((3, 3, 6), (3, 3), (2, 2), ((1, 1), (1, 1)))
    assert plan.stack == (
        PlannedMap(9, 6, "relu", None, Patches((8, 8, 1), (3, 3))), AveragePool((6, 6, 6), (2, 2), (2, 2)),
        PlannedMap(54, 5, "tanh", None, patches), PlannedMap(20, 12, "sigmoid"), PlannedMap(12, 10),
    )  # fmt: skip
    assert (plan.shape, plan.n_inputs, plan.dense, plan.held) == ((8, 8, 1), 64, False, (True, True, False))
    assert plan.units == ("relu", "tanh", "sigmoid")
    assert plan.settings == {
        "layers": "conv6@3x3 relu, mean2x2, conv5@3x3/2 same tanh, 12 sigmoid", "hidden": ["relu", "tanh", "sigmoid"],
        "shape": [8, 8, 1],
    }  # fmt: skip
    # As a network it holds the same activations, and is read from it as it was.
    random = np.random.default_rng(0)
    network = Network(plan.with_ceilings(2.0, None).filled(
        [random.normal(size=(one.n_in, one.n_out)) for one in plan.maps], [None] * 4
    ))  # fmt: skip
    assert network.held == plan.held
    assert Plan.of_network(network).shapes == plan.shapes
    colour = Plan.of(digits, layers="conv3@2x2 relu", shape=(4, 4, 4))
    assert colour.maps[0].patches == Patches((4, 4, 4), (2, 2))
    assert colour.held == (True,)


def test_numbers_of_neurons_are_layers_too(digits: Dataset) -> None:
    plan = Plan.of(digits, n_hidden=(7, 5), hidden=("relu", "tanh"))
    assert plan.stack == (PlannedMap(64, 7, "relu"), PlannedMap(7, 5, "tanh"), PlannedMap(5, 10))
    assert plan.stack == Plan.of(digits, layers="7 relu, 5 tanh").stack
    assert (plan.text, plan.dense, plan.held) == ("64-7-5-10", True, (False, False))
    assert Plan.of(digits).maps == (PlannedMap(64, 100, "sigmoid"), PlannedMap(100, 10))
    many = replace(digits, images=np.ones((100, 50), np.float32))
    assert Plan.of(many, layers="7 relu").n_inputs == 50  # no square, which dense layers do not ask for


def test_layers_of_a_network_that_is_trained_on(digits: Dataset) -> None:
    layers = (
        Convolution(np.ones((4, 3)), None, "relu", "tanh", 2.5, Patches((8, 8, 1), (2, 2), (2, 2))),
        Dense(np.ones((48, 10))),
    )
    start = Network(layers)
    plan = Plan.of(digits, start=start)
    assert plan.stack == (PlannedMap(4, 3, "relu", 2.5, layers[0].patches), PlannedMap(48, 10))
    assert plan.settings == {"layers": "8x8-conv3@2x2-10", "hidden": "relu"}
    assert plan.with_ceilings(None, start) == plan
    assert plan.with_ceilings([4.0], start).hidden[0].ceiling == 4.0
    assert Plan.of(digits, layers="conv3@2x2/2 relu").with_ceilings(None, start).stack == plan.stack


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "mean2x2"}, "layers without units"),
        ({"layers": ()}, "layers without units"),
        ({"layers": "8, conv3@1x1"}, "layer conv3@1x1 sigmoid behind a dense layer"),
        ({"layers": "8, mean2x2"}, "layer mean2x2 behind a dense layer"),
        ({"layers": "conv3@9x9 relu"}, "layer conv3@9x9 relu: Patches of size (9, 9) does not fit into 8 x 8 values"),
        ({"layers": "conv3@3x3/0"}, "layer conv3@3x3/0 sigmoid: strides (0, 0); expected two whole numbers from 1"),
        ({"layers": "conv3@0x3 same"}, "size (0, 3); expected two whole numbers from 1"),
        ({"layers": "mean9x9, 8"}, "layer mean9x9: AveragePool of size (9, 9) does not fit"),
        ({"layers": "0 relu"}, "layer 0 relu: 0 outputs; expected a whole number from 1"),
        ({"layers": (DenseLayer(2.0),)}, "2.0 outputs; expected a whole number from 1"),  # type: ignore[arg-type]
        ({"layers": (DenseLayer(2, "elu"),)}, "hidden activation 'elu' goes below 0"),  # type: ignore[arg-type]
        ({"layers": (7,)}, "expected a DenseLayer, ConvolutionLayer or MeanLayer"),
        ({"layers": "8", "n_hidden": 8}, "layers beside n_hidden or hidden"),
        ({"layers": "8 relu", "shape": (8, 8, 1)}, "shape (8, 8, 1): expected none, for the first layer is dense"),
        (
            {"start": Network((Dense(np.ones((64, 2)), None, "tanh"), Dense(np.ones((2, 10))))), "shape": (8, 8, 1)},
            "start",
        ),
        ({"layers": "conv3@3x3", "shape": (8, 8)}, "shape (8, 8): expected lines, places and channels"),
        ({"layers": "conv3@3x3", "shape": (8, 8, 2)}, "whose product is 64"),
        ({"n_hidden": (4, 0)}, "n_hidden = 0"),
        ({"hidden": ("tanh", "relu")}, "names 2 units of 1 hidden layers"),
    ],
)
def test_what_does_not_fit_is_refused(digits: Dataset, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Plan.of(digits, **options)
    assert said in str(caught.value)


def test_images_that_are_no_square_want_their_shape_said(digits: Dataset) -> None:
    wide = replace(digits, images=digits.images[:, :48].copy(), source="wide")
    with pytest.raises(InputError, match=r"wide: images of 48 values, which make no square .*--shape H,W,C"):
        Plan.of(wide, layers="conv3@3x3")
    assert Plan.of(wide, layers="conv3@3x3", shape=(6, 8, 1)).maps[1] == PlannedMap(4 * 6 * 3, 10)


@pytest.mark.parametrize(("ceiling", "said"), [((1.0, 2.0), "2 ceilings for 1 relu"), (-1.0, "expected numbers above")])
def test_wrong_ceilings_are_refused(digits: Dataset, ceiling: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Plan.of(digits, layers="8 relu, 4 tanh").with_ceilings(ceiling, None)
    with pytest.raises(InputError, match="for 0 relu layers"):
        Plan.of(digits, layers="8 tanh").with_ceilings(1.0, None)
