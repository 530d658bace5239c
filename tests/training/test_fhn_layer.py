"""The layer of FHN neurons: forward as the circuit, backward as promised, in Keras like any other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.cell.base import Cells
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import FHN as Parameters
from analog_fhn.neuron import Protocol
from analog_fhn.technology.technology import Technology
from analog_fhn.training import FHN
from analog_fhn.training.plain import keras_on_jax
from analog_fhn.training.response import Responses
from tests.curve_neurons import cells_of, saturating


@pytest.fixture(scope="module")
def cells() -> Cells:
    technology = Technology.load("discrete").with_values({"resistor.tolerance": 0.1, "capacitor.tolerance": 0.1})
    generator = np.random.default_rng(3)
    network = Network.of_weights((generator.normal(size=(5, 12)), generator.normal(size=(12, 3))))
    return Design(network, technology).chip(7).layers[0].cells


@pytest.fixture(scope="module")
def z() -> np.ndarray:
    return np.random.default_rng(0).normal(scale=2.0, size=(30, 12))


def gradient(layer: Any, z: np.ndarray) -> np.ndarray:
    import jax

    return np.asarray(jax.grad(lambda value: layer(value).sum())(z.astype(np.float32)))


def slope_of_the_mean(cells: Cells, z: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Finite differences of the settled mean response that `direct` integrates, with respect to z."""
    ends = [settled_means(cells, cells.drive_stage.drives(z + s), Protocol(), longest=400.0)[0] for s in (-step, step)]
    return cells.row_stage.gain * (ends[1] - ends[0]) / (2.0 * step)


def test_forward_is_the_table(cells: Cells, z: np.ndarray) -> None:
    responses = Responses.of(cells, Protocol())
    assert np.abs(np.asarray(FHN(responses)(z)) - responses.activations(z)).max() < 1e-5


@pytest.mark.parametrize("kind", ["response", "sigmoid"])
def test_gradients_of_ideal_neurons_are_finite_differences_of_the_mean(z: np.ndarray, kind: str) -> None:
    ideal = Cells.ideal("sigmoid", Parameters(), 12)
    found = gradient(FHN(gradient=kind), z)
    # Ends of the table's cells: where two straight pieces meet, the difference sees both.
    assert np.abs(found - slope_of_the_mean(ideal, z)).max() < 5e-3


def test_gradients_of_a_chip_follow_its_own_neurons(cells: Cells, z: np.ndarray) -> None:
    responses, wanted = Responses.of(cells, Protocol()), slope_of_the_mean(cells, z)
    assert np.abs(gradient(FHN(responses), z) - wanted).max() < 1e-2
    # The sigmoid takes the response for a straight line between its ends; 10 % parts bend it by a few percent.
    assert np.abs(gradient(FHN(responses, gradient="sigmoid"), z) - wanted).max() < 2e-2
    # Neurons differ by more than that: what the nominal neuron would give is far off.
    assert np.abs(gradient(FHN(), z) - wanted).max() > 3e-2


def test_raw_and_inverted_responses_have_their_sign_and_size(z: np.ndarray) -> None:
    # <x> = -(a + gamma tanh(slope z)): exact for the ideal neuron
    for gamma in (-1.0, 0.7):
        wanted = -gamma * 0.5 / np.cosh(0.5 * z) ** 2
        for kind in ("response", "sigmoid"):
            layer = FHN(fhn=Parameters(gamma=gamma), recentre=False, gradient=kind)
            assert np.abs(gradient(layer, z) - wanted).max() < 1e-2


@pytest.mark.parametrize("kept", [True, False])
def test_instants(cells: Cells, z: np.ndarray, kept: bool) -> None:
    protocol = Protocol(settle=1.0, control=3.0, interval=0.1)
    # 1001 drives place an upstroke to within a sample; simulated in the call, nothing is interpolated.
    responses = Responses.of(cells, protocol, window=True, samples=kept, drives=1001)
    layer = FHN(responses, samples=protocol, gradient="sigmoid")
    found = np.asarray(layer(z))
    assert found.shape == (30, 30, 12)
    from analog_fhn.backends.direct.backend import Direct

    exact = Direct().respond(cells, cells.drive_stage.drives(z), protocol, samples=True).samples
    assert exact is not None
    wrong = np.abs(found - (cells.row_stage.gain * exact.transpose(1, 0, 2) + cells.row_stage.offset))
    assert np.quantile(wrong, 0.97) < 0.02
    # Every instant has the way back of the mean.
    assert np.allclose(gradient(layer, z), 30 * gradient(FHN(responses, gradient="sigmoid"), z), atol=1e-4)


def test_drawn_neurons_are_fresh_in_training_and_the_first_outside(cells: Cells) -> None:
    responses = Responses.together([Responses.nominal(Parameters()), Responses.of(cells, Protocol())])
    layer = FHN(responses, draw=True, seed=5)
    z = np.full((1, 2000), 0.7)
    found = np.asarray(layer(z, training=True))[0]
    every = responses.activations(np.full((1, 13), 0.7))[0]
    counts = np.array([np.sum(np.abs(found - value) < 1e-5) for value in every])
    assert counts.sum() == 2000
    # Each of 13 with a chance of 1/13: within 5 sigma.
    assert np.abs(counts - 2000 / 13).max() < 5 * np.sqrt(2000 / 13)
    assert not np.array_equal(found, np.asarray(layer(z, training=True))[0])
    assert np.allclose(layer(z), every[0], atol=1e-5)
    layer.strength.assign(0.0)
    assert np.allclose(layer(z, training=True), every[0], atol=1e-5)
    again = FHN(responses, draw=True, seed=5)
    assert np.array_equal(again(z, training=True)[0], found)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_a_model_with_the_layer_learns_and_survives_its_file(cells: Cells, tmp_path: Path) -> None:
    keras = keras_on_jax()
    train, test = load("digits", "train"), load("digits", "test")
    keras.utils.set_random_seed(1)
    responses = Responses.of(cells, Protocol())
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(12), FHN(responses, name="neurons"), keras.layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss, metrics=["accuracy"])
    model.fit(train.images, train.labels, epochs=12, batch_size=32, verbose=0)
    assert model.evaluate(test.images, test.labels, verbose=0)[1] > 0.85
    assert len(model.trainable_variables) == 4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.predict(test.images, verbose=0), model.predict(test.images, verbose=0))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("samples", [None, Protocol(settle=0.0, control=2.0)])
def test_a_copy_of_a_model_has_its_responses(cells: Cells, many: bool, samples: Protocol | None) -> None:
    keras = keras_on_jax()
    responses = Responses.of(cells, Protocol(0.0, 2.0), window=True, samples=samples is not None, drives=65)
    neurons = FHN(responses, gradient="sigmoid", draw=True, samples=samples, seed=3) if many else FHN()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), neurons])
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    inputs = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    for training in (False, True):
        found, wanted = (np.asarray(m(inputs, training=training)) for m in (copy, model))
        assert np.isfinite(wanted).all()
        np.testing.assert_array_equal(found, wanted)
    # Of other responses than those that it was made with, too.
    neurons.assign(replace(responses if many else Responses.nominal(Parameters()), row_offset=neurons.stages[5] + 1.0))
    layer = FHN.from_config(neurons.get_config())
    z = np.linspace(-2.0, 2.0, 12)[None]
    np.testing.assert_array_equal(np.asarray(layer(z)), np.asarray(neurons(z)))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_many_responses_are_not_written_out_and_have_to_be_loaded(cells: Cells, tmp_path: Path) -> None:
    keras = keras_on_jax()
    responses = Responses.of(cells, Protocol(0.0, 2.0), window=True)
    inputs = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    for layer, few in ((FHN(responses, draw=True), False), (FHN(draw=True), True)):
        model = keras.Sequential([keras.Input((12,)), layer])
        assert ('"row_gain"' in model.to_json()) == few
        made = keras.models.model_from_json(model.to_json())
        if few:
            assert np.array_equal(made(inputs), model(inputs))
            continue
        with pytest.raises(InputError, match="its responses are not loaded; expected its model's weights"):
            made(inputs)
        model.save_weights(tmp_path / "model.weights.h5")
        made.load_weights(tmp_path / "model.weights.h5")
        assert np.array_equal(made(inputs), model(inputs))
        assert np.array_equal(keras.models.clone_model(made)(inputs), model(inputs))
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert np.array_equal(loaded(inputs, training=True), model(inputs, training=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_as_an_activation_it_survives_its_file(tmp_path: Path) -> None:
    keras = keras_on_jax()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=FHN())])
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    found = np.asarray(keras.models.load_model(tmp_path / "model.keras")(inputs))
    assert np.isfinite(found).all()
    assert np.array_equal(found, model(inputs))


def test_the_example_of_the_documentation_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    generator = np.random.default_rng(0)
    Network.of_weights((generator.normal(size=(784, 100)) / 28, generator.normal(size=(100, 10)))).save(
        tmp_path / "net.npz"
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    history = names["model"].fit(generator.uniform(size=(40, 784)), np.arange(40) % 10, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert 0.0 <= history["accuracy"][0] <= 1.0


def test_wrong_use_is_refused(cells: Cells) -> None:
    with pytest.raises(InputError, match="'sigmoid' or 'response'"):
        FHN(gradient="relu")
    with pytest.raises(InputError, match="expected 1 or 5"):
        FHN(Responses.of(cells, Protocol()))(np.zeros((2, 5)))
    protocol = Protocol(settle=0.0, control=2.0)
    responses = Responses.of(cells, protocol, window=True, samples=True, drives=5)
    with pytest.raises(InputError, match="hold 10 samples; expected 20"):
        FHN(responses, samples=Protocol(settle=0.0, control=4.0))


@pytest.fixture(scope="module")
def relus() -> Cells:
    technology = Technology.load("discrete").with_values({"resistor.tolerance": 0.1, "capacitor.tolerance": 0.1})
    generator = np.random.default_rng(3)
    layers = (
        Dense(generator.normal(size=(5, 12)), None, "relu", "tanh", 2.5),
        Dense(generator.normal(size=(12, 3))),
    )
    return Design(Network(layers, fhn=Parameters(slope=1.0)), technology).chip(7).layers[0].cells


def test_relus_of_a_chip_forward_and_backward(relus: Cells) -> None:
    z = np.random.default_rng(0).uniform(-2.0, 4.5, size=(40, 12))
    responses = Responses.of(relus, Protocol())
    assert responses.curve == "ramp"
    assert np.abs(np.asarray(FHN(responses)(z)) - responses.activations(z)).max() < 1e-5
    found, wanted = gradient(FHN(responses), z), slope_of_the_mean(relus, z)
    stage = relus.drive_stage
    at = stage.slope * z + stage.shift
    inner, outer = (at > 0.05) & (at < 0.95), (at < -0.05) | (at > 1.05)
    # A chip's response is bent by a few percent between the drives that it was measured at.
    assert np.abs(found - wanted)[inner].max() < 5e-2
    assert np.all(found[outer] == 0.0)
    assert np.mean(inner) > 0.2
    assert np.mean(outer) > 0.2
    # The sigmoid is as steep in the middle, and leads back from beyond the ends.
    middle = ((0.5 - stage.shift) / stage.slope)[None]
    smooth = FHN(responses, gradient="sigmoid")
    assert np.abs(gradient(smooth, middle) / slope_of_the_mean(relus, middle) - 1.0).max() < 0.05
    assert np.all(gradient(smooth, z)[outer] > 0.0)


def test_an_ideal_relu_is_a_relu_with_a_ceiling() -> None:
    z = np.linspace(-3.0, 6.0, 901)[:, None]
    layer = FHN(fhn=Parameters(slope=1.0), hidden="relu", ceiling=4.0)
    assert np.abs(np.asarray(layer(z)) - np.clip(z, 0.0, 4.0)).max() < 4.0 * 1e-3
    inside = (z > 0.01) & (z < 3.99)
    assert np.abs(gradient(layer, z) - inside)[np.abs(z * (z - 4.0)) > 0.1].max() < 0.02


def test_all_positions_have_the_same_drawn_neurons(cells: Cells) -> None:
    responses = Responses.together([Responses.nominal(Parameters()), Responses.of(cells, Protocol())])
    z = np.random.default_rng(1).normal(size=(3, 1, 1, 20)) * np.ones((3, 4, 5, 1))
    found = np.asarray(FHN(responses, draw=True, seed=5)(z, training=True))
    assert np.array_equal(found, found[:, :1, :1] * np.ones((1, 4, 5, 1), np.float32))
    flat = np.asarray(FHN(responses, draw=True, seed=5)(z[:, 0, 0], training=True))
    assert np.array_equal(found[:, 0, 0], flat)
    assert not np.allclose(flat, responses[np.zeros(20, dtype=np.intp)].activations(z[:, 0, 0]), atol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_relus_survive_their_file(relus: Cells, tmp_path: Path) -> None:
    keras = keras_on_jax()
    inputs = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    for responses in (Responses.of(relus, Protocol()), Responses.of(relus, Protocol(0.0, 2.0), window=True)):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), FHN(responses)])
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert np.array_equal(np.asarray(loaded(inputs)), np.asarray(model(inputs)))
        assert loaded.layers[1].responses.curve == "ramp"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_transistors_train_by_their_means_and_by_waveforms_that_are_recorded(z: np.ndarray, tmp_path: Path) -> None:
    transistors, short = cells_of(saturating(12)), Protocol(settle=2.0, control=5.0, interval=0.5)
    responses = Responses.of(transistors, short)
    layer = FHN(responses)
    assert np.abs(np.asarray(layer(z)) - responses.activations(z)).max() < 1e-5
    assert np.abs(gradient(layer, z)).max() > 0.05
    assert not layer.responses.has_coefficients
    keras = keras_on_jax()
    model = keras.Sequential([keras.Input((12,)), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(z)), np.asarray(model(z)))
    with pytest.raises(InputError, match=r"is not simulated in training; .* samples=True"):
        FHN(responses, samples=short)
    recorded = Responses.of(transistors, short, window=True, samples=True, drives=33)
    x = np.asarray(FHN(recorded, samples=short)(z))
    assert x.shape == (30, short.n_samples, 12)
