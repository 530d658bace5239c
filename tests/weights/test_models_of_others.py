"""Files that others made, where they lie beside the checkout: scores against the framework's, or the refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.training.plain import keras_on_jax

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "models"
HIGH = 1e9  # ceiling of relus that have none in the file

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no files of others beside the checkout")


def images(n: int, count: int = 50) -> Any:
    return np.random.default_rng(1).uniform(0.0, 1.0, (count, n)).astype(np.float32)


def sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def of_onnx(name: str, pixels: Any, exchange: dict[str, str] | None = None) -> Any:
    """Scores by onnx's own evaluator, before a softmax; `exchange` puts other operators in the place of some."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(FOLDER / name)
    for node in model.graph.node:
        if node.op_type in (exchange or {}):
            node.op_type = (exchange or {})[node.op_type]
            if node.op_type == "Identity":
                del node.attribute[:]
    value = model.graph.input[0]
    shape = [size.dim_value for size in value.type.tensor_type.shape.dim][1:]
    # in the order in which they follow each other, which one of the files does not have
    made, nodes = {value.name, *(tensor.name for tensor in model.graph.initializer)}, list(model.graph.node)
    del model.graph.node[:]
    while nodes:
        ready = next(node for node in nodes if made >= set(node.input))
        nodes.remove(ready)
        made |= set(ready.output)
        model.graph.node.append(ready)
    with np.errstate(all="ignore"):  # the evaluator computes both halves of a sigmoid everywhere
        return ReferenceEvaluator(model).run(None, {value.name: pixels.reshape(-1, *shape)})[0]


def of_hdf5(name: str, pixels: Any, layers: list[str], inside: str = "model_weights") -> Any:
    """Scores of sigmoid layers, from the arrays of an old Keras file."""
    import h5py

    values = pixels.astype(np.float64)
    with h5py.File(FOLDER / name) as file:
        for k, layer in enumerate(layers):
            arrays: dict[str, Any] = {}
            file[f"{inside}/{layer}"].visititems(
                lambda path, item, found=arrays: (
                    found.update({path.split("/")[-1]: item[()]}) if hasattr(item, "shape") else None
                )
            )
            values = (sigmoid(values) if k else values) @ arrays["kernel:0"] + arrays["bias:0"]
    return values


def of_keras(name: str, pixels: Any) -> Any:
    model = keras_on_jax().saving.load_model(FOLDER / name)
    shape = model.input_shape[1:]
    return np.log(np.asarray(model(pixels.reshape(-1, *shape)), np.float64))


def of_tinygrad(name: str, pixels: Any) -> Any:
    tensors = load_file(FOLDER / name)
    return np.maximum(pixels @ tensors["l1.weight"].T, 0.0) @ tensors["l2.weight"].T


AVERAGE = {"MaxPool": "AveragePool"}
SCORES: dict[str, tuple[int, Callable[[str, Any], Any], dict[str, Any]]] = {
    "robust_sigmoid.onnx": (784, of_onnx, {}),
    "mnist_5_5_sigmoid.onnx": (784, of_onnx, {}),
    "two_sigmoids.onnx": (2, of_onnx, {}),
    "robust_sigmoid.h5": (784, lambda n, x: of_hdf5(n, x, ["dense", "dense_1", "dense_2"]), {}),
    "dense100_sigmoid.h5": (784, lambda n, x: of_hdf5(n, x, ["fc1", "fc2"], ""), {"hidden": "sigmoid"}),
    "iris.h5": (4, lambda n, x: of_hdf5(n, x, ["dense_1", "dense_2"]), {}),
    "mnist_relu.keras": (784, of_keras, {"ceilings": HIGH}),
    "tinygrad_relu.safetensors": (784, of_tinygrad, {"hidden": "relu", "ceilings": HIGH}),
    "cnn_max.onnx": (784, lambda n, x: of_onnx(n, x, AVERAGE), {"ceilings": HIGH, "nearest": True}),
    "cnn_small.onnx": (784, lambda n, x: of_onnx(n, x, AVERAGE | {"Softmax": "Identity"}),
                       {"ceilings": HIGH, "nearest": True}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_the_framework(name: str) -> None:
    n, scores, options = SCORES[name]
    pixels = images(n)
    net: Network = weights.load_network(FOLDER / name, **options)
    found, expected = net.forward(pixels), np.asarray(scores(name, pixels), np.float64)
    if name == "mnist_relu.keras":  # of a softmax the differences of the logarithms
        found, expected = (values - values[:, :1] for values in (found, expected))
    np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())


def test_reading_takes_less_than_two_seconds() -> None:
    seconds = []
    for _ in range(3):  # what else runs on the machine counts in some of them
        start = time.perf_counter()
        weights.load_network(FOLDER / "robust_sigmoid.onnx")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cnn_max.onnx", "node 'conv2d_15_1/Identity:0_pooling' (MaxPool): max pooling picks the largest"),
        ("cnn_small.onnx", "node 'max_pooling2d_5' (MaxPool): max pooling picks the largest"),
        ("mnist_relu.keras", "the activations of hidden layer 0, 1 (relu) have no upper end"),
        ("tinygrad_relu.safetensors", "does not say the hidden activation"),
        ("dense100_sigmoid.h5", "does not say the hidden activation"),
    ],
)
def test_what_is_asked_for_or_refused(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        weights.load_network(FOLDER / name)
    assert said in str(caught.value)


def test_every_file_is_tried() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == set(SCORES)
