"""Training sees the wires: the layer's forward pass is the exact array's, and networks learn to stand them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.training import ArrayDense
from analog_fhn.training.circuit import SeenChips, train_fhn
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.plain import train_plain

RNG = np.random.default_rng(4)
WEIGHTS, BIAS = RNG.normal(size=(30, 12)), 3.0 * RNG.normal(size=12)


def wired(ohm: float = 50.0, **values: object) -> Technology:
    """Without other errors; r Gmax is 0.005 at 50 ohm: these arrays lose a third of their current and more."""
    changes: dict[str, object] = {"array.wires.word": ohm, "array.wires.bit": ohm, "array.clip_quantile": 1.0}
    changes |= {"array.programming_error": 0.0} | {f"array.{key}": value for key, value in values.items()}
    return Technology.load("discrete").with_values(changes)


def layer_of(technology: Technology, bias: bool = False, **options: object) -> object:
    layer = ArrayDense(12, technology.array, bias_drive=1.0 if bias else None, wires=True, **options)
    layer.build((None, 30))
    layer.kernel.assign(WEIGHTS)
    if bias:
        layer.bias.assign(BIAS)
    layer.refresh()
    return layer


def exact(technology: Technology, weights: np.ndarray, bias: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the manufactured array as seen through its wires, amplifiers left out."""
    biases = () if bias is None else (bias, np.zeros(2))
    array = Design(Network.of_weights((weights, np.ones((12, 2))), biases), technology).chip(None).arrays[0]
    seen = (array.ports.effective[:, 0::2] - array.ports.effective[:, 1::2]) / array.crossbar.siemens_per_weight
    n = array.crossbar.n_in
    return seen[:n], array.crossbar.bias_drive * seen[n:].sum(axis=0)


def forward(layer: object) -> np.ndarray:
    return np.asarray(layer(np.eye(30), training=True))  # type: ignore[operator]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"levels": None, "mapping": "two-sided"},
        {"levels": 16, "tile_rows": 8, "tile_columns": 10, "wires.driver": 100.0, "wires.sense": 30.0},
        {"g_min": 0.0, "levels": None},
    ],
)
def test_the_forward_pass_is_that_of_the_exact_array(values: dict[str, object]) -> None:
    technology = wired(**values)
    found, (wanted, _) = forward(layer_of(technology)), exact(technology, WEIGHTS)
    assert np.linalg.norm(wanted - WEIGHTS) > 0.08 * np.linalg.norm(WEIGHTS)  # there is something to see
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_biases_are_seen_through_their_rows() -> None:
    technology = wired(levels=None)
    found, (weights, bias) = forward(layer_of(technology, bias=True)), exact(technology, WEIGHTS, BIAS)
    np.testing.assert_allclose(found, weights + bias, rtol=0, atol=3e-6 * np.abs(weights + bias).max())


def test_between_refreshes_it_is_near_the_exact_array() -> None:
    # Weights that moved by a twentieth of their deviation, as in an epoch: the wires' share is 25 % of the outputs and
    # more, its change 0.3 % of them.
    technology = wired(levels=None)
    layer = layer_of(technology)
    moved = WEIGHTS + 0.05 * np.random.default_rng(1).normal(size=WEIGHTS.shape)
    moved = np.clip(moved, -np.abs(WEIGHTS).max(), np.abs(WEIGHTS).max())
    moved.flat[np.abs(WEIGHTS).argmax()] = WEIGHTS.flat[np.abs(WEIGHTS).argmax()]
    layer.kernel.assign(moved)  # type: ignore[attr-defined]
    wanted, _ = exact(technology, moved)
    off = np.linalg.norm(forward(layer) - wanted) / np.linalg.norm(wanted)
    lost = np.linalg.norm(moved - wanted) / np.linalg.norm(wanted)
    assert off < 0.005
    assert lost > 0.25
    layer.refresh()  # type: ignore[attr-defined]
    np.testing.assert_allclose(forward(layer), wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_what_is_left_is_nearly_the_derivative_of_the_exact_array() -> None:
    # One device more or less, alone, within a quarter: a ratio of currents knows nothing of its own line's answer.
    technology = wired(levels=None)
    layer, base = layer_of(technology), exact(technology, WEIGHTS)[0]
    left = np.asarray(layer.left.value)  # type: ignore[attr-defined]
    for i, j in ((3, 2), (29, 0), (0, 11), (15, 6), (8, 9)):
        moved = WEIGHTS.copy()
        moved[i, j] *= 1.001
        slope = (exact(technology, moved)[0] - base)[i, j] / (moved - WEIGHTS)[i, j]
        assert left[0 if WEIGHTS[i, j] > 0 else 1, i, j] == pytest.approx(slope, rel=0.25)


def test_gradients_take_what_is_left_for_constant() -> None:
    import jax

    layer = layer_of(wired(g_min=0.0))
    kernel = layer.kernel.value  # type: ignore[attr-defined]
    left, around = layer.left.value, layer.around.value  # type: ignore[attr-defined]
    found = np.asarray(jax.grad(lambda k: layer._drawn(k, (left, around)).sum())(kernel))  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, np.where(WEIGHTS > 0, left[0], left[1]), rtol=1e-5)
    assert np.all((np.asarray(left) > 0.0) & (np.asarray(left) <= 1.0))


def test_wires_grow_with_the_errors() -> None:
    layer = layer_of(wired(levels=None))
    full = forward(layer)
    layer.strength.assign(0.0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(forward(layer), WEIGHTS, atol=1e-5)
    layer.strength.assign(0.5)  # type: ignore[attr-defined]
    np.testing.assert_allclose(forward(layer), (full + WEIGHTS) / 2.0, atol=1e-5)


def test_errors_and_faults_are_seen_through_the_wires() -> None:
    # A positive device that is stuck on carries g_max times what is left of it.
    layer = layer_of(wired(stuck_on=1.0 - 1e-6, g_min=0.0, levels=None))
    left = np.asarray(layer.left.value)  # type: ignore[attr-defined]
    largest = np.abs(WEIGHTS).max()
    found = forward(layer) / largest - np.asarray(layer.around.value)  # type: ignore[attr-defined]
    of_plus = left[0] - left[1] * np.maximum(-WEIGHTS, 0.0) / largest
    of_minus = left[0] * np.maximum(WEIGHTS, 0.0) / largest - left[1]
    nearest = np.minimum(np.abs(found - of_plus), np.abs(found - of_minus))
    assert nearest.max() < 1e-5


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_a_model_with_wires_survives_its_file(tmp_path: Path) -> None:
    keras = keras_on_jax()
    layer = ArrayDense(12, wired().array, wires=True, bias_drive=1.0)
    model = keras.Sequential([keras.Input((30,)), layer])
    layer.kernel.assign(WEIGHTS)
    layer.refresh()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(np.eye(30), training=True), model(np.eye(30), training=True))


def test_without_the_option_wires_are_not_seen() -> None:
    layer = ArrayDense(12, wired(levels=None).array)
    layer.build((None, 30))
    layer.kernel.assign(WEIGHTS)
    layer.refresh()
    np.testing.assert_allclose(forward(layer), WEIGHTS, atol=1e-5)


@pytest.mark.slow
def test_a_badly_wired_chip_recovers_by_training_with_its_wires() -> None:
    # 64-16-10 on digits at r Gmax = 0.01: 71.8 % as trained, 20 epochs later 73.4 % without the wires, 86.6 % with.
    train, test = load("digits", "train"), load("digits", "test")
    technology = wired(100.0, levels=None, clip_quantile=0.999).with_errors(["wires"])
    start = train_plain(train, n_hidden=16, epochs=40).network(train.scale)

    def accuracy(network: Network) -> float:
        design = Design(network.with_options(settle=10.0, control=60.0, readout="mean"), technology)
        return classify(design.chip(None).with_ideal_cells(), test.images).accuracy(test.labels)

    without, seen = (
        train_fhn(
            train, n_hidden=16, start=start, epochs=20,
            hardware=SeenChips(technology, wires=wires, clip_sigma=None, chips=1, ramp="constant"),
        )
        for wires in (False, True)
    )  # fmt: skip
    assert accuracy(seen.network(train.scale)) > max(accuracy(without.network(train.scale)), accuracy(start)) + 0.1
    assert (without.settings["wires"], seen.settings["wires"]) == (False, True)
