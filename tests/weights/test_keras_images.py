"""Convolutional models that Keras wrote: what the network computes is what the model computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Dense, Network
from analog_fhn.training.plain import keras_on_jax

# NumPy 2 finds that Keras's variables do not know a keyword of __array__; .h5 is Keras's older format.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (9, 8, 2)
IMAGES = np.random.default_rng(3).uniform(0.0, 1.0, (6, *SHAPE))


def conv(layers: Any, n: int, size: Any = 3, **options: Any) -> Any:
    kind = options.pop("kind", layers.Conv2D)
    return kind(n, size, **options)


def end(layers: Any) -> list[Any]:
    return [layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(4)]


def nested(layers: Any, keras: Any) -> list[Any]:
    """A sequential and a functional model in the model, with layers of like names."""
    inner = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3), layers.BatchNormalization()], name="inner")
    x = keras.Input((7, 6, 3))
    y = layers.AveragePooling2D(2)(layers.Activation("sigmoid")(layers.Conv2D(4, 2, name="c")(x)))
    return [inner, layers.ReLU(), keras.Model(x, y, name="other"), *end(layers)]


MODELS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "plain": lambda L, k: [conv(L, 3, activation="relu"), L.AveragePooling2D(2), *end(L)],
    "same": lambda L, k: [
        conv(L, 3, (3, 2), padding="same", strides=2, activation="sigmoid"),
        L.AveragePooling2D((2, 3), strides=2, padding="same"), *end(L),
    ],
    "normalised": lambda L, k: [
        conv(L, 3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(6.0), L.SpatialDropout2D(0.1),
        conv(L, 4, 2), L.BatchNormalization(scale=False), L.Activation("tanh"), L.GlobalAveragePooling2D(),
        L.Dense(4, "softmax"),
    ],
    "behind the unit": lambda L, k: [
        conv(L, 3, activation="tanh"), L.BatchNormalization(), L.AveragePooling2D(2),
        conv(L, 3, 2, padding="same", activation="sigmoid"), L.BatchNormalization(center=False), *end(L),
    ],
    "separable": lambda L, k: [
        conv(L, 4, kind=L.SeparableConv2D, activation="relu"), L.DepthwiseConv2D(2, depth_multiplier=2), L.ReLU(),
        *end(L),
    ],
    "groups": lambda L, k: [
        conv(L, 4, activation="tanh"), conv(L, 6, 2, groups=2, dilation_rate=2, activation="sigmoid"), *end(L),
    ],
    "pixels normalised": lambda L, k: [
        L.Normalization(mean=[0.3, 0.4], variance=[0.04, 0.09]), L.ZeroPadding2D(((1, 0), (2, 1))),
        conv(L, 3, activation="relu"), *end(L),
    ],
    "first normalised": lambda L, k: [L.BatchNormalization(), conv(L, 3, padding="same", activation="tanh"), *end(L)],
    "one dimension": lambda L, k: [
        L.Reshape((9, 16)), L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        L.AveragePooling1D(2), L.SeparableConv1D(3, 2, activation="sigmoid"), L.GlobalAveragePooling1D(), L.Dense(4),
    ],
    "rearranged": lambda L, k: [
        conv(L, 3, activation="tanh"), L.Permute((3, 1, 2)), L.Reshape((-1, 6)), L.Flatten(),
        L.Dense(5, "sigmoid"), L.Dropout(0.1), L.Dense(4),
    ],
    "no unit between": lambda L, k: [
        conv(L, 3, padding="same"), conv(L, 4, 2, strides=2), L.AveragePooling2D(2, strides=1), L.ReLU(), *end(L),
    ],
    "nested": nested,
    "last convolution": lambda L, k: [
        conv(L, 3, activation="relu"), conv(L, 4, 1), L.GlobalAveragePooling2D(), L.Softmax(),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_on_jax()


def randomised(model: Any) -> Any:
    rng = np.random.default_rng(5)
    model.set_weights(
        [
            abs(draw) + 0.1 if v.name in ("moving_variance", "gamma") else draw
            for v in model.weights
            for draw in [rng.normal(scale=0.6, size=v.shape)]
        ]
    )
    return model


def read(path: Path, **options: Any) -> Network:
    trained = weights.read(path)
    if any(isinstance(part, Dense) and part.unit == "relu" and part.ceiling is None for part in trained.layers or ()):
        options = {"ceilings": 1e9} | options  # so that the scores are the file's
    return weights.to_network(trained, **options)


def assert_same_order(net: Network, model: Any, images: Any) -> None:
    """The same scores; of a softmax the differences of their logarithms."""
    found, expected = net.forward(images.reshape(len(images), -1)), np.asarray(model(images), np.float64)
    if np.allclose(expected.sum(axis=1), 1.0):
        expected = np.log(expected)
        found, expected = (scores - scores[:, :1] for scores in (found, expected))
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(1.0, abs(expected).max()))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", MODELS)
def test_what_the_model_computes(name: str, keras: Any, folder: Path) -> None:
    model = randomised(keras.Sequential([keras.Input(SHAPE), *MODELS[name](keras.layers, keras)]))
    for suffix in (".keras", ".h5"):
        model.save(folder / f"{name}{suffix}")
        assert_same_order(read(folder / f"{name}{suffix}"), model, IMAGES)


def test_channels_first(keras: Any, folder: Path) -> None:
    layers, first = keras.layers, {"data_format": "channels_first"}
    model = randomised(
        keras.Sequential(
            [
                keras.Input((2, 9, 8)),
                layers.Conv2D(3, 3, padding="same", activation="relu", **first),
                layers.BatchNormalization(axis=1),
                layers.AveragePooling2D(2, **first),
                layers.Conv2D(4, 2, activation="tanh", **first),
                layers.Flatten(**first),
                layers.Dense(4),
            ]
        )
    )
    model.save(folder / "first.keras")
    images = IMAGES.transpose(0, 3, 1, 2)
    expected = np.asarray(model(images), np.float64)
    found = read(folder / "first.keras").forward(IMAGES.reshape(6, -1))
    np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())


def test_normalisation_that_was_adapted(keras: Any, folder: Path) -> None:
    layers = keras.layers
    normalisation = layers.Normalization(name="pixels")
    normalisation.adapt(IMAGES * 255.0)
    parts = [normalisation, layers.Conv2D(3, 3, padding="same", activation="relu"), *end(layers)]
    model = keras.Sequential([keras.Input(SHAPE), *parts])
    model.save(folder / "adapted.keras")
    assert_same_order(read(folder / "adapted.keras"), model, IMAGES * 255.0)


def test_rescaling_and_normalisation(keras: Any, folder: Path) -> None:
    layers = keras.layers
    parts = [layers.Rescaling(1 / 255), layers.Normalization(mean=0.4, variance=0.1, axis=None), *end(layers)]
    model = randomised(keras.Sequential([keras.Input(SHAPE), *parts]))
    model.save(folder / "rescaled.keras")
    net = read(folder / "rescaled.keras")
    assert net.input_range == (0.0, 1.0)
    expected = np.asarray(model(IMAGES * 255.0), np.float64)
    np.testing.assert_allclose(net.forward(IMAGES.reshape(6, -1)), expected, atol=1e-5 * abs(expected).max())


def test_ceilings_come_with_the_file(keras: Any, folder: Path) -> None:
    layers = keras.layers
    parts = [conv(layers, 3), layers.ReLU(max_value=2.5), layers.Flatten(), layers.Dense(5, "relu6"), layers.Dense(4)]
    model = randomised(keras.Sequential([keras.Input(SHAPE), *parts]))
    model.save(folder / "ceilings.keras")
    net = weights.load_network(folder / "ceilings.keras")
    assert net.ceilings == (2.5, 6.0)
    assert_same_order(net, model, IMAGES)


def test_max_pooling(keras: Any, folder: Path) -> None:
    layers = keras.layers
    for name, pool in (("max", layers.MaxPooling2D(2, name="p")), ("mean", layers.AveragePooling2D(2, name="p"))):
        parts = [conv(layers, 3, activation="sigmoid"), pool, *end(layers)]
        randomised(keras.Sequential([keras.Input(SHAPE), *parts])).save(folder / f"{name}.keras")
    with pytest.raises(InputError, match=r"layer 'p' \(MaxPooling2D\): max pooling picks the largest"):
        weights.load_network(folder / "max.keras")
    net = weights.load_network(folder / "max.keras", nearest=True)
    assert net.sha256 == weights.load_network(folder / "mean.keras").sha256


@pytest.mark.parametrize(
    ("shape", "make", "said"),
    [
        ((None, None, 2), lambda L: [L.Conv2D(3, 3)], "expected fixed sizes"),
        (SHAPE, lambda L: [L.Dense(4, "tanh"), L.Flatten(), L.Dense(4)], "along the last axis"),
        (SHAPE, lambda L: [L.Conv2D(3, 3), L.Conv2D(3, 3, padding="same"), L.ReLU()], "or no padding"),
        ((9, 4), lambda L: [L.LSTM(5, name="x"), L.Dense(4)], "layer 'x' (LSTM): has no place in this circuit"),
        (SHAPE, lambda L: [L.Conv2DTranspose(3, 3)], "(Conv2DTranspose): has no place in this circuit"),
    ],
    ids=["open sizes", "last axis", "padding between", "recurrent", "transposed"],
)
def test_models_without_a_circuit(
    shape: Any, make: Callable[[Any], list[Any]], said: str, keras: Any, folder: Path
) -> None:
    keras.Sequential([keras.Input(shape), *make(keras.layers)]).save(folder / "refused.keras")
    with pytest.raises(InputError) as caught:
        weights.load_network(folder / "refused.keras")
    assert said in str(caught.value)
