"""Models in memory: what the network computes is what the model computes, and what is refused."""

from __future__ import annotations

import sys
import types
import warnings as python_warnings
from typing import Any

import numpy as np
import pytest
import torch_stand_ins as nn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import analog_fhn as af
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.training.plain import keras_on_jax

GENERATOR = np.random.default_rng(7)
IMAGES = GENERATOR.uniform(-1.0, 1.0, (30, 6)).astype(np.float32)
SQUARES = GENERATOR.uniform(0.0, 1.0, (12, 1, 8, 10)).astype(np.float32)

# NumPy 2 finds that Keras's variables do not know a keyword of __array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def compare(network: Network, images: Any, expected: Any) -> None:
    scores = network.forward(images, ceilings=False)
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.abs(expected).max())


def refusal(model: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        af.from_model(model, **options)
    return str(caught.value)


# --- Keras


@pytest.fixture(scope="module")
def layers() -> Any:
    return keras_on_jax().layers


def keras_model(*chain: Any, shape: tuple[int, ...] = (6,)) -> Any:
    keras = keras_on_jax()
    model = keras.Sequential([keras.Input(shape), *chain])
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(scale=0.7, size=w.shape) for w in model.get_weights()])
    return model


def test_keras_model(layers: Any) -> None:
    model = keras_model(layers.Dense(5, "tanh"), layers.Dropout(0.5), layers.Dense(4, "sigmoid"), layers.Dense(3))
    network = af.from_model(model)
    assert (network.layer_sizes, network.units) == ((6, 5, 4, 3), ("tanh", "sigmoid"))
    compare(network, IMAGES, np.asarray(model(IMAGES)))
    told = network.provenance["imported"]
    assert told["model"].endswith("Sequential")
    assert told["library"] == f"keras {sys.modules['keras'].__version__}"
    assert "file" not in told
    assert len(told["sha256"]) == 64


def test_functional_and_compiled_keras_model(layers: Any) -> None:
    keras = keras_on_jax()
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(4)(layers.Activation("tanh")(layers.Dense(5)(inputs))))
    model.compile("adam", "mse")
    compare(af.from_model(model), IMAGES, np.asarray(model(IMAGES)))


def test_keras_convolution_with_normalisation_and_a_model_in_the_model(layers: Any) -> None:
    keras = keras_on_jax()
    inside = keras.Sequential(
        [layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization(), layers.Activation("tanh")], name="inside"
    )
    model = keras_model(
        layers.Rescaling(1 / 255.0), inside, layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(4),
        shape=(8, 10, 1),
    )  # fmt: skip
    variance = next(w for w in model.weights if "moving_variance" in w.path)
    variance.assign(np.abs(np.asarray(variance)) + 0.5)
    images = np.moveaxis(SQUARES, 1, -1)
    network = af.from_model(model)
    compare(network, images.reshape(12, -1), np.asarray(model(255.0 * images)))
    assert network.input_range == (0.0, 1.0)


def test_keras_in_bfloat16(layers: Any) -> None:
    model = keras_model(layers.Dense(5, "tanh", dtype="bfloat16"), layers.Dense(3, dtype="bfloat16"))
    network = af.from_model(model)
    np.testing.assert_array_equal(network.weights[0], np.asarray(model.get_weights()[0]).astype(np.float32))


def test_keras_model_without_a_description_or_weights_is_refused(layers: Any) -> None:
    keras = keras_on_jax()

    class Subclassed(keras.Model):  # type: ignore[misc]
        pass

    assert "expected a Sequential or functional model of Keras" in refusal(Subclassed())
    unbuilt = keras.Sequential([layers.Dense(5, "tanh", name="first"), layers.Dense(3)])
    assert "layer 'first' (Dense) has no weights yet; build the model" in refusal(unbuilt)


def test_keras_relu_asks_for_its_ceiling_or_measures_it(layers: Any) -> None:
    model = keras_model(layers.Dense(5, "relu"), layers.Dense(3, "softmax"))
    assert "ceilings=" in refusal(model)
    assert af.from_model(model, ceilings=4.0).ceilings == (4.0,)
    network = af.from_model(model, images=IMAGES)
    assert network.input_range == (IMAGES.min(), IMAGES.max())
    (measured,) = network.ceilings
    hidden = np.maximum(IMAGES @ model.get_weights()[0] + model.get_weights()[1], 0.0)
    assert hidden[hidden > 0.0].mean() < measured <= hidden.max() * (1 + 1e-6)


def test_refused_keras_model_is_named_without_the_path_of_a_file(layers: Any) -> None:
    message = refusal(keras_model(layers.Dense(5, "gelu", name="mine"), layers.Dense(3)))
    assert message.startswith("Sequential: ")
    assert "gelu" in message
    assert ".keras" not in message


# --- PyTorch


def check_torch(model: Any, images: Any = IMAGES, **options: Any) -> Network:
    """Compare with the stand-ins' own forward pass; images of the network have their channels last."""
    network = af.from_model(model, **options)
    flat = np.moveaxis(images, 1, -1).reshape(len(images), -1)
    compare(network, flat, np.asarray(model.forward(images)))
    return network


@pytest.mark.parametrize(
    ("name", "unit"), [("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("ReLU", "relu"), ("ReLU6", "relu")]
)
def test_sequential(name: str, unit: str) -> None:
    model = nn.Sequential(
        nn.linear(6, 5), nn.activation(name), nn.dropout(),
        nn.Sequential(nn.linear(5, 4, bias=False), nn.activation(name)), nn.identity(), nn.linear(4, 3),
    )  # fmt: skip
    network = check_torch(model, ceilings=9.0 if name == "ReLU" else None)
    assert network.units == (unit, unit)
    assert network.ceilings == ({"ReLU": 9.0, "ReLU6": 6.0}.get(name, 1.0),) * 2
    notes = network.provenance["imported"]["notes"]
    assert notes == ["layer 2 (Dropout) left out: it acts in training only"]


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_at_the_end_is_left_out(name: str) -> None:
    shared = nn.activation("Tanh")  # one module at two places
    layers = [nn.linear(6, 5), shared, nn.linear(5, 5), shared, nn.linear(5, 3)]
    network = af.from_model(nn.Sequential(*layers, nn.softmax(name)))
    compare(network, IMAGES, np.asarray(nn.Sequential(*layers).forward(IMAGES)))


def test_batch_normalisation_is_taken_into_the_weights() -> None:
    model = nn.Sequential(
        nn.batch_norm(6, dimensions=1), nn.linear(6, 5), nn.batch_norm(5, dimensions=1, affine=False),
        nn.activation("Tanh"), nn.batch_norm(5, dimensions=1), nn.linear(5, 3),
    )  # fmt: skip
    check_torch(model, input_range=(-1.0, 1.0))


def test_relu_with_a_ceiling_by_the_name_of_hardtanh() -> None:
    model = nn.Sequential(nn.linear(6, 5), nn.hardtanh(0.0, 1.5), nn.linear(5, 3))
    network = af.from_model(model)
    assert (network.units, network.ceilings) == (("relu",), (1.5,))
    expected = np.asarray(model.forward(IMAGES))
    np.testing.assert_allclose(network.forward(IMAGES), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "chain",
    [
        lambda: [nn.conv2d(1, 3, (3, 3)), nn.activation("Tanh"), nn.flatten(), nn.linear(3 * 6 * 8, 4)],
        lambda: [
            nn.conv2d(1, 4, (3, 2), stride=(2, 1), padding=(1, 0), bias=False), nn.batch_norm(4, dimensions=2),
            nn.activation("Sigmoid"), nn.avg_pool2d(2), nn.conv2d(4, 6, (2, 2), groups=2, padding=(1, 1)),
            nn.activation("Tanh"), nn.adaptive_avg_pool2d(1), nn.flatten(), nn.linear(6, 4),
        ],
        lambda: [
            nn.conv2d(1, 3, (3, 3), padding="same", dilation=(2, 2)), nn.activation("Tanh"),
            nn.avg_pool2d((3, 2), stride=(2, 2), padding=(1, 1)), nn.flatten(), nn.linear(3 * 4 * 6, 4),
        ],
        lambda: [
            nn.avg_pool2d(2, count_padding=False), nn.zero_pad2d(1, 0, 2, 1), nn.conv2d(1, 3, (2, 3)),
            nn.activation("Sigmoid"), nn.adaptive_avg_pool2d((3, 1)), nn.flatten(), nn.linear(9, 4),
        ],
    ],
    ids=["plain", "groups and means", "same and padded means", "padding of its own"],
)  # fmt: skip
def test_convolutions(chain: Any) -> None:
    check_torch(nn.Sequential(*chain()), SQUARES, input_shape=(1, 8, 10))


def test_colours() -> None:
    images = GENERATOR.uniform(0.0, 1.0, (9, 3, 6, 5)).astype(np.float32)
    model = nn.Sequential(nn.conv2d(3, 4, (3, 3)), nn.activation("Tanh"), nn.flatten(), nn.linear(4 * 4 * 3, 4))
    check_torch(model, images, input_shape=(3, 6, 5))


def test_convolution_of_a_line() -> None:
    images = GENERATOR.uniform(0.0, 1.0, (9, 1, 12)).astype(np.float32)
    model = nn.Sequential(
        nn.conv1d(1, 3, 4, stride=2, padding=1), nn.activation("Tanh"), nn.flatten(), nn.linear(3 * 6, 4)
    )
    check_torch(model, images, input_shape=(1, 12))


def test_vector_that_is_made_an_image() -> None:
    model = nn.Sequential(
        nn.unflatten(1, 2, 3), nn.conv2d(1, 3, (2, 2)), nn.activation("Tanh"), nn.flatten(), nn.linear(6, 4)
    )
    network = af.from_model(model, input_shape=(6,))
    compare(network, IMAGES, np.asarray(model.forward(IMAGES)))


def test_max_pooling_stands_in_as_the_mean_if_asked() -> None:
    def chain(pool: Any) -> Any:
        return nn.Sequential(*front, pool, nn.flatten(), last)

    front, last = (nn.conv2d(1, 3, (3, 3)), nn.activation("Tanh")), nn.linear(3 * 3 * 4, 4)
    maximum = chain(nn.max_pool2d(2))
    assert "layer 2 (MaxPool2d): max pooling picks the largest" in refusal(maximum, input_shape=(1, 8, 10))
    network = af.from_model(maximum, input_shape=(1, 8, 10), nearest=True)
    compare(network, SQUARES.reshape(12, -1), np.asarray(chain(nn.avg_pool2d(2)).forward(SQUARES)))


def test_activation_without_a_neuron_is_refused_unless_the_nearest_is_asked_for() -> None:
    model = nn.Sequential(nn.linear(6, 5), nn.activation("GELU"), nn.linear(5, 3))
    assert "hidden activation 'gelu' falls and rises again" in refusal(model)
    assert af.from_model(model, nearest=True, ceilings=3.0).units == ("relu",)


class Own(nn.Module):
    """A module with a forward of its own."""

    __module__ = "mine"

    def forward(self, x: Any) -> Any:
        return x


class Named(nn.Sequential):
    """A Sequential under another name."""

    __module__ = "mine"


def test_sequential_of_the_users_own_class_without_a_forward() -> None:
    check_torch(Named(nn.linear(6, 5), nn.activation("Tanh"), nn.linear(5, 3)))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Own(), "Own: Own with a forward of its own, whose flow only running it would tell: export it by torch.onnx"),
        (nn.Sequential(nn.linear(6, 5), Own()), "Sequential: layer 1 is a Own with a forward of its own"),
        (nn.Sequential(nn.linear(6, 5), nn.layer_norm()), "layer 1 (LayerNorm): has no place in this circuit"),
        (nn.Sequential(nn.linear(6, 5), nn.activation("Tanh")), "holds 1 linear layers"),
        (nn.Sequential(nn.conv2d(1, 2, (3, 3))), "layer 0 (Conv2d): needs the size of the images"),
        (nn.Sequential(nn.flatten(2)), "layer 0 (Flatten): flattens the axes 2 to -1; expected 1 to -1"),
        (nn.Sequential(), "holds 0 linear layers"),
    ],
)
def test_other_modules_are_refused(model: Any, said: str) -> None:
    assert said in refusal(model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"padding_mode": "reflect"}, "padding_mode 'reflect'; expected 'zeros'"),
        ({"groups": 3}, "groups"),
    ],
)
def test_settings_of_a_convolution_that_are_not_read(change: dict[str, Any], said: str) -> None:
    layer = nn.conv2d(1, 2, (3, 3))
    vars(layer).update(change)
    assert said in refusal(nn.Sequential(layer), input_shape=(1, 8, 10))


def test_normalisation_without_its_statistics_is_refused() -> None:
    layer = nn.batch_norm(6, dimensions=1)
    vars(layer).update(running_mean=None, running_var=None)
    assert "keeps no running mean" in refusal(nn.Sequential(layer, nn.linear(6, 5)))


def test_bfloat16_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.linear(6, 5), nn.activation("Tanh"), nn.linear(5, 3))
    vars(model._modules["0"]).update(weight=nn.Tensor(np.full((5, 6), 0.375), "torch.bfloat16"))
    check_torch(model)


def test_provenance_says_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.ModuleType("torch")
    torch.__version__ = "2.9.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    model = nn.Sequential(nn.linear(6, 5), nn.activation("Tanh"), nn.linear(5, 3))
    told = af.from_model(model).provenance["imported"]
    assert (told["model"], told["library"]) == ("torch.nn.modules.container.Sequential", "torch 2.9.1")
    assert told["sha256"] == af.from_model(model.state_dict(), hidden="tanh").provenance["imported"]["sha256"]


def test_torch_is_not_imported() -> None:
    af.from_model(nn.Sequential(nn.linear(6, 5), nn.activation("Tanh"), nn.linear(5, 3)))
    assert "torch" not in sys.modules


# --- state dicts


def state(kind: Any = np.float32) -> dict[str, Any]:
    shapes = {"fc1.weight": (5, 6), "fc1.bias": (5,), "fc2.weight": (3, 5), "fc2.bias": (3,)}
    generator = np.random.default_rng(9)
    return {name: generator.normal(size=shape).astype(kind) for name, shape in shapes.items()}


def test_state_dict_of_arrays_or_tensors() -> None:
    arrays = state()
    expected = (
        np.tanh(IMAGES @ arrays["fc1.weight"].T + arrays["fc1.bias"]) @ arrays["fc2.weight"].T + arrays["fc2.bias"]
    )
    network = af.from_model(arrays, hidden="tanh")
    compare(network, IMAGES, expected)
    assert network.provenance["imported"]["library"] is None
    compare(af.from_model({name: nn.Tensor(value) for name, value in arrays.items()}, hidden="tanh"), IMAGES, expected)


def test_order_of_layers_without_numbers_is_that_of_the_state_dict() -> None:
    arrays = {name.replace("fc1", "out").replace("fc2", "a"): value for name, value in state().items()}
    assert af.from_model(arrays, hidden="tanh").layer_sizes == (6, 5, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "does not say the hidden activation"),
        ({"epoch": 3}, "state dict: 'epoch' is 3; expected names and arrays alone"),
        ({"optimizer": {}}, "state dict: 'optimizer' is {}; expected names and arrays alone"),
        ({3: np.ones(2)}, "state dict: 3 is array"),
        ({"fc1.weight": np.ones((5, 6), np.int8)}, "quantised weights need their scale"),
        ({"conv.weight": np.ones((2, 1, 3, 3), np.float32)}, "conv.weight"),
    ],
)
def test_state_dict_that_does_not_tell_its_layers_is_refused(change: dict[Any, Any], said: str) -> None:
    assert said in refusal(state() | change)


# --- scikit-learn


def fitted(model: Any, labels: Any) -> Any:
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(5.0 * IMAGES, labels)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_classifier_of_scikit_learn(scaled: bool, classes: int) -> None:
    mlp = MLPClassifier((7, 6), activation="tanh", random_state=1, max_iter=30)
    model = fitted(make_pipeline(StandardScaler(), mlp) if scaled else mlp, np.arange(30) % classes)
    network = af.from_model(model, input_range=(-5.0, 5.0))
    scores = network.forward(5.0 * IMAGES)
    expected = np.log(model.predict_proba(5.0 * IMAGES))
    expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        scores - scores.mean(axis=1, keepdims=True), expected, atol=1e-5 * np.abs(expected).max()
    )
    told = network.provenance["imported"]
    assert told["library"] == f"sklearn {sys.modules['sklearn'].__version__}"
    assert told["model"].endswith("Pipeline" if scaled else "MLPClassifier")
    other = fitted(MLPClassifier((7, 6), activation="tanh", random_state=2, max_iter=30), np.arange(30) % classes)
    assert af.from_model(other).provenance["imported"]["sha256"] != told["sha256"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fitted(LogisticRegression(), np.arange(30) % 3), "LogisticRegression: holds a LogisticRegression"),
        (lambda: MLPClassifier(), "MLPClassifier: MLPClassifier without coefs_; expected a fitted one"),
        (lambda: make_pipeline(StandardScaler(), MLPClassifier()), "without coefs_; expected a fitted one"),
    ],
)
def test_other_estimators_are_refused(make: Any, said: str) -> None:
    assert said in refusal(make())


# --- anything else


@pytest.mark.parametrize("model", ["net.onnx", 3, None, [np.ones((2, 3))], np.ones((2, 3)), object()])
def test_what_is_no_model_is_refused_in_one_message(model: Any) -> None:
    message = refusal(model)
    assert "is no model that is known here; expected a model of Keras, a torch.nn.Sequential, a state dict" in message


def test_size_of_inputs_is_for_torch_alone() -> None:
    assert "input_shape (6,) given" in refusal(state(), hidden="tanh", input_shape=(6,))
