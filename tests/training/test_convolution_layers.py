"""Convolutions and means in Keras: what Keras' own layers, sums written out and chips give."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.array.crossbar import map_weights
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import classify
from analog_fhn.network import Convolution, Dense, Layer, Network
from analog_fhn.neuron import FHN
from analog_fhn.patches import AveragePool, Padding, Patches
from analog_fhn.technology.technology import Technology
from analog_fhn.training import circuit, plain
from analog_fhn.training.array import ArrayDense
from analog_fhn.training.circuit import Inside
from analog_fhn.training.convolution import ArrayConv, Convolved, Means
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.layers import Plan

keras = keras_on_jax()

PATCHES = Patches((7, 6, 2), (3, 2), (2, 1), ((1, 2), (0, 1)))
IMAGES = np.random.default_rng(3).normal(size=(5, 7 * 6 * 2)).astype(np.float32)


def written_out(images: np.ndarray, weights: np.ndarray, at: Patches) -> np.ndarray:
    """Sums over patches by loops over their values, shape (n, down, along, n_out)."""
    down, along = at.positions
    padded = np.zeros((len(images), at.shape[0] + sum(at.padding[0]), at.shape[1] + sum(at.padding[1]), at.shape[2]))
    padded += at.fill
    top, left = at.padding[0][0], at.padding[1][0]
    padded[:, top : top + at.shape[0], left : left + at.shape[1]] = images.reshape(-1, *at.shape)
    sums = np.zeros((len(images), down, along, weights.shape[1]))
    kernel = weights.reshape(*at.size, at.shape[2], -1)
    for p, q, i, j, c in product(range(down), range(along), *map(range, (*at.size, at.shape[2]))):
        line, place = p * at.strides[0] + i * at.dilation[0], q * at.strides[1] + j * at.dilation[1]
        sums[:, p, q] += padded[:, line, place, c, None] * kernel[i, j, c]
    return sums


@pytest.mark.parametrize(
    "at",
    [
        PATCHES, Patches((7, 6, 2), (2, 3)), Patches((7, 6, 2), (2, 2), (1, 2), dilation=(3, 2)),
        replace(PATCHES, fill=(0.5, -2.0)), replace(PATCHES, fill=1.5),
    ],
)  # fmt: skip
def test_convolutions_are_sums_written_out(at: Patches) -> None:
    layer = Convolved(4, at)
    layer.build((None, 84))
    weights, bias = np.random.default_rng(0).normal(size=(at.n_rows, 4)), np.arange(4.0)
    layer.kernel.assign(weights)
    layer.bias.assign(bias)
    found = np.asarray(layer(IMAGES))
    assert found.shape == layer.compute_output_shape((5, 84))
    np.testing.assert_allclose(found, written_out(IMAGES, weights, at) + bias, atol=2e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_means_are_those_of_keras(padding: str, strides: tuple[int, int]) -> None:
    own = keras.layers.AveragePooling2D((3, 2), strides, padding=padding)
    wanted = np.asarray(own(IMAGES.reshape(5, 7, 6, 2)))
    around: Padding = ((0, 0), (0, 0))
    if padding == "same":
        totals = (max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip((7, 6), strides, (3, 2), strict=True))
        around = tuple((t // 2, t - t // 2) for t in totals)  # type: ignore[assignment]
    pool = AveragePool((7, 6, 2), (3, 2), strides, around)
    np.testing.assert_allclose(np.asarray(Means(pool)(IMAGES)), wanted, atol=1e-6)
    zeros_count = Means(replace(pool, padding=((1, 0), (1, 1)), count_padding=True))(IMAGES)
    padded = np.pad(IMAGES.reshape(5, 7, 6, 2), ((0, 0), (1, 0), (1, 1), (0, 0)))
    np.testing.assert_allclose(
        np.asarray(zeros_count), np.asarray(keras.layers.AveragePooling2D((3, 2), strides)(padded)), atol=1e-6
    )


def test_a_described_convolution_is_that_of_keras() -> None:
    digits = load("digits", "train").head(30)
    for words, options in (
        ("conv4@3x3 same relu", {"padding": "same"}),
        ("conv4@5x3/2 relu", {"strides": 2}),
        ("conv4@3x4/3x1 same relu", {"padding": "same", "strides": (3, 1)}),
    ):
        plan = Plan.of(digits, layers=words)
        model, (first, _) = plain.plain_model(plan, bias=True)
        at = plan.maps[0].patches
        assert at is not None
        own = keras.layers.Conv2D(4, at.size, activation="relu", **options)
        own.build((None, 8, 8, 1))
        own.kernel.assign(np.asarray(first.kernel.value).reshape(own.kernel.shape))
        wanted = np.asarray(own(digits.images.reshape(-1, 8, 8, 1)))
        np.testing.assert_allclose(np.asarray(model.layers[0](digits.images)), wanted, atol=1e-5)


def mixed(units: tuple[str, ...], ceiling: float | None = 1.5, seed: int = 0) -> Network:
    """8x8 -> 4 channels of 3x3, means, 5 channels of 2x2 with a border -> means -> dense -> 10 classes."""
    random = np.random.default_rng(seed)
    caps = [ceiling if unit == "relu" else None for unit in units]
    layers: tuple[Layer, ...] = (
        Convolution(random.normal(size=(9, 4)), random.normal(size=4), units[0], "tanh", caps[0],  # type: ignore[arg-type]
                    Patches((8, 8, 1), (3, 3), (1, 1), ((1, 0), (0, 1)))),
        AveragePool((7, 7, 4), (2, 2), (2, 2), ((0, 1), (1, 0))),
        Convolution(random.normal(size=(16, 5)), random.normal(size=5), units[1], "tanh", caps[1],  # type: ignore[arg-type]
                    Patches((4, 4, 4), (2, 2), (1, 2), ((1, 0), (0, 0)))),
        AveragePool((4, 2, 5), (2, 2), (2, 2)),
        Dense(random.normal(size=(10, 12)), random.normal(size=12), units[2], "tanh", caps[2]),  # type: ignore[arg-type]
        Dense(random.normal(size=(12, 10)), random.normal(size=10)),
    )  # fmt: skip
    return Network(layers, fhn=FHN(slope=0.5 if units[0] == "sigmoid" else 1.0))


@pytest.mark.parametrize("units", [("relu",) * 3, ("tanh", "relu", "sigmoid"), ("sigmoid", "tanh", "relu")])
def test_the_plain_model_is_the_network(units: tuple[str, ...]) -> None:
    network, digits = mixed(units), load("digits", "test").head(100)
    model, maps = plain.plain_model(Plan.of_network(network), bias=True)
    plain.put(network, maps)
    wanted = network.forward(digits.images)
    assert np.abs(model.predict(digits.images, verbose=0) - wanted).max() < 1e-5 * np.abs(wanted).max()
    # And back again.
    layers = plain.arrays_of(Plan.of_network(network), maps)
    found = replace(network, layers=layers).forward(digits.images)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("units", [("relu",) * 3, ("tanh", "relu", "sigmoid")])
def test_the_model_with_neurons_inside_is_what_images_are_judged_by(units: tuple[str, ...]) -> None:
    network, digits = mixed(units), load("digits", "test").head(100)
    plan, inside = Plan.of_network(network), Inside(hidden=network.units, fhn=network.fhn)
    model, maps, _ = circuit._model(keras, plan, inside, None, circuit._ideal(inside, plan), bias=True, seed=0)
    plain.put(network, maps)
    found, judged = model.predict(digits.images, verbose=0), classify(network, digits.images, table=33)
    assert np.abs(found - judged.scores).max() < 1e-4 * np.abs(judged.scores).max()
    assert np.mean(found.argmax(axis=1) == judged.predictions) > 0.99


# --- one array -----------------------------------------------------------------------------------------------------

WEIGHTS = np.random.default_rng(4).normal(size=(PATCHES.n_rows, 6))


def conv(technology: Technology, at: Patches = PATCHES, weights: np.ndarray = WEIGHTS, **options: Any) -> ArrayConv:
    layer = ArrayConv(weights.shape[1], technology.array, at, **options)
    layer.build((None, at.n_inputs))
    layer.kernel.assign(weights)
    layer.refresh()
    return layer


def technology(**values: object) -> Technology:
    return Technology.load("discrete").with_values({f"array.{key}": value for key, value in values.items()})


def test_one_array_is_used_at_every_position_of_every_image() -> None:
    made, offsets = technology(programming_error=0.3, stuck_on=0.05), np.random.default_rng(1).normal(size=(4, 6))
    layer = conv(made, seed=7, offsets=offsets)
    rows = ArrayDense(6, made.array, seed=7, offsets=offsets)  # the same draws, seen by unit vectors
    rows.build((None, len(WEIGHTS)))
    rows.kernel.assign(WEIGHTS)
    rows.refresh()
    for _ in range(2):
        found = np.asarray(layer(IMAGES, training=True))
        drawn = np.asarray(rows(np.vstack([np.zeros(len(WEIGHTS)), np.eye(len(WEIGHTS))]), training=True))
        weights, shift = drawn[1:] - drawn[0], drawn[0]
        np.testing.assert_allclose(found, written_out(IMAGES, weights, PATCHES) + shift, atol=5e-5)
    assert np.abs(weights - WEIGHTS).max() > 0.5
    np.testing.assert_allclose(np.asarray(layer(IMAGES)), written_out(IMAGES, WEIGHTS, PATCHES), atol=2e-5)


def biased(bias: np.ndarray, weights: np.ndarray, made: Technology, drive: float, **options: Any) -> ArrayDense:
    layer = ArrayDense(len(bias), made.array, bias_drive=drive, **options)
    layer.build((None, len(weights)))
    layer.kernel.assign(weights)
    layer.bias.assign(bias)
    layer.refresh()
    return layer


BIAS = np.array([0.3, -7.0, 2.0, 0.0, 11.0, -0.4])


def biases_of(layer: ArrayDense, n: int) -> np.ndarray:
    nothing = np.zeros((1, layer.kernel.shape[0]))
    return np.array([np.asarray(layer(nothing, training=True))[0] for _ in range(n)])


@pytest.mark.parametrize("drive", [0.5, 1.0, 6.0])
@pytest.mark.parametrize("levels", [None, 32])
def test_biases_without_errors_are_those_that_are_mapped(drive: float, levels: int | None) -> None:
    made = technology(programming_error=0.0, clip_quantile=0.9, levels=levels)
    bar = map_weights(WEIGHTS, BIAS, made.array, bias_drive=drive)
    assert bar.bias_rows > 1
    assert bar.bias is not None
    layer = biased(BIAS, WEIGHTS, made, drive)
    np.testing.assert_allclose(biases_of(layer, 1)[0], bar.bias, atol=2e-5 * np.abs(BIAS).max())
    np.testing.assert_allclose(np.asarray(layer(np.zeros((1, 12))))[0], BIAS, rtol=1e-6)


@pytest.mark.parametrize("values", [{"programming_error": 0.2}, {"programming_error": 0.1, "stuck_off": 0.05}])
def test_moments_of_biases_are_those_of_chips(values: dict[str, object]) -> None:
    made = technology(levels=None, **values).with_errors(["programming", "faults"])
    network = Network.of_weights((WEIGHTS, np.ones((6, 2))), (BIAS, None))
    design, n = Design(network, made), 400
    chips = np.array([design.chip(seed).arrays[0].crossbar.bias for seed in range(n)])
    found = biases_of(biased(BIAS, WEIGHTS, made, 1.0), n)
    # 6 biases, two means of 400 draws each: 5 sigma of their difference; a deviation has one of 3.5 %, with faults,
    # whose distribution has long tails, up to 10 %.
    error = np.sqrt((chips.var(axis=0) + found.var(axis=0)) / n) + 1e-6
    assert np.all(np.abs(found.mean(axis=0) - chips.mean(axis=0)) < 5.0 * error)
    there = BIAS != 0.0
    ratio = found.std(axis=0)[there] / chips.std(axis=0)[there]
    assert np.all(np.abs(ratio - 1.0) < (0.4 if "stuck_off" in values else 0.2))


def test_biases_learn_through_their_devices() -> None:
    import jax

    layer = biased(BIAS, WEIGHTS, technology(programming_error=0.0, levels=16), 1.0)
    slopes = np.asarray(jax.grad(lambda bias: layer._drawn_bias(bias).sum())(layer.bias.value))
    np.testing.assert_allclose(slopes, np.ones(6), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_a_model_of_them_survives_its_file_and_is_copied(tmp_path: Path) -> None:
    pool = AveragePool((4, 6, 6), (2, 2), (2, 2))
    layer = conv(technology(programming_error=0.2), bias_drive=1.0, seed=5)
    model = keras.Sequential([
        keras.Input((84,)), layer, Means(pool), Convolved(3, Patches((2, 3, 6), (2, 2)), activation="relu"),
        keras.layers.Flatten(), ArrayDense(2, technology().array, bias_drive=0.5),
    ])  # fmt: skip
    model.layers[0].bias.assign(np.arange(6.0))
    model.save(tmp_path / "model.keras")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for training in (False, True):
        wanted = np.asarray(model(IMAGES, training=training))
        for other in (loaded, copy):
            assert np.array_equal(np.asarray(other(IMAGES, training=training)), wanted)
    assert loaded.layers[0].get_config() == layer.get_config()
