"""Files in the layouts of older Keras: what the network computes is what their arrays say."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analog_fhn import weights
from analog_fhn.errors import InputError

RNG = np.random.default_rng(17)
SIZES = (6, 5, 5, 4)  # two layers that could take each other's place
KERNELS = [RNG.normal(size=shape) for shape in pairwise(SIZES)]
BIASES = [RNG.normal(size=n) for n in SIZES[1:]]
IMAGES = RNG.uniform(-2.0, 2.0, (30, 6))


def scores(images: Any) -> Any:
    """Of tanh units, layer by layer."""
    for kernel, bias in zip(KERNELS[:-1], BIASES[:-1], strict=True):
        images = np.tanh(images @ kernel + bias)
    return images @ KERNELS[-1] + BIASES[-1]


def dense(name: str, units: int, activation: str, **more: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": activation, **more}}


LAYERS = [dense(*entry) for entry in (("z", 5, "tanh"), ("m", 5, "tanh"), ("a", 4, "softmax"))]


def assert_computes_the_scores(path: Path, **options: Any) -> None:
    network = weights.to_network(weights.read(path), **options)
    np.testing.assert_allclose(network.forward(IMAGES), scores(IMAGES), atol=1e-12)


def old(path: Path, model: Any, names: tuple[str, str] = ("kernel:0", "bias:0"), inside: str = "model_weights") -> Path:
    """HDF5 file with the arrays under the layers' names; `model` None: without one."""
    with h5py.File(path, "w") as file:
        if model is not None:
            file.attrs["model_config"] = json.dumps(model).encode()
        group = file.require_group(inside)
        group.attrs["layer_names"] = [b"z", b"dropout_1", b"m", b"a"]
        group.create_group("dropout_1").attrs["weight_names"] = np.array([], "S1")
        for name, kernel, bias in zip("zma", KERNELS, BIASES, strict=True):
            layer = group.create_group(name)
            both = [name + ending if ending.startswith("_") else f"{name}/{ending}" for ending in names]
            layer.attrs["weight_names"] = [one.encode() for one in both]
            layer[both[0]], layer[both[1]] = kernel, bias
    return path


def test_a_model_that_is_a_list(tmp_path: Path) -> None:
    # Sequential models up to Keras 2.2.2
    assert_computes_the_scores(old(tmp_path / "net.h5", {"class_name": "Sequential", "config": LAYERS}))


@pytest.mark.parametrize("names", [("_W", "_b"), ("_W:0", "_b:0")])
def test_names_of_keras_1(names: tuple[str, str], tmp_path: Path) -> None:
    assert_computes_the_scores(old(tmp_path / "net.h5", None, names, "/"), hidden="tanh")


def test_settings_of_keras_1(tmp_path: Path) -> None:
    layers = [
        {"class_name": "Dense", "config": {"name": name, "output_dim": n, "activation": activation, "bias": True}}
        for name, n, activation in (("z", 5, "tanh"), ("m", 5, "tanh"), ("a", 4, "linear"))
    ]
    model = {"class_name": "Sequential", "config": layers}
    assert_computes_the_scores(old(tmp_path / "net.h5", model, ("_W:0", "_b:0")))


@pytest.mark.parametrize("separator", ["/", "\\"])
@pytest.mark.parametrize("container", ["_layer_checkpoint_dependencies", "layers"])
def test_archives_of_keras_2_12_and_of_windows(container: str, separator: str, tmp_path: Path) -> None:
    # Each layer was counted twice; beside them stand groups without weights.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for k, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True)):
            group = f"dense_{2 * k}" if k else "dense"
            values = file.create_group(f"{container}{separator}{group}/vars")
            values["0"], values["1"] = kernel, bias
            file.create_group(f"{container}{separator}{group}_1/vars" if k else f"{container}{separator}dropout/vars")
    layers = [{"class_name": "InputLayer", "config": {"name": "in"}}, *LAYERS]
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": layers}}
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", content.getvalue())
    assert_computes_the_scores(tmp_path / "net.keras")


def test_weights_that_do_not_fit_the_units(tmp_path: Path) -> None:
    layers = [dense("z", 5, "tanh"), dense("m", 7, "tanh"), dense("a", 4, "softmax")]
    path = old(tmp_path / "net.h5", {"class_name": "Sequential", "config": layers})
    with pytest.raises(
        InputError, match=r"layer 'm' \(Dense\): has weights of shape \(5, 5\); expected 7 columns, its units"
    ):
        weights.read(path)


@pytest.mark.parametrize(("activation", "middle"), [("sigmoid", 0.5), ("tanh", 0.0)])
def test_one_output_with_a_middle_is_two_classes(activation: str, middle: float, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        layers = [dense("z", 5, "tanh"), dense("a", 1, activation)]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        for name, kernel, bias in (("z", KERNELS[0], BIASES[0]), ("a", KERNELS[1][:, :1], BIASES[1][:1])):
            group = file.create_group(f"model_weights/{name}")
            group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = kernel, bias
    z = np.tanh(IMAGES @ KERNELS[0] + BIASES[0]) @ KERNELS[1][:, 0] + BIASES[1][0]
    output = np.tanh(z) if activation == "tanh" else 1.0 / (1.0 + np.exp(-z))
    trained = weights.read(tmp_path / "net.h5")
    assert "one output with" in trained.notes[-1]
    found = weights.to_network(trained).forward(IMAGES).argmax(axis=1)
    np.testing.assert_array_equal(found, output > middle)


def test_no_layers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = np.array([], "S1")
    with pytest.raises(InputError, match="holds no layers with weights; expected fully connected ones"):
        weights.read(tmp_path / "net.h5")


def test_weights_that_are_no_matrix(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        file["layers/dense/vars/0"], file["layers/dense_1/vars/0"] = KERNELS[0], np.ones(5)
    with pytest.raises(InputError, match=r"weights of layer 1 have shape \(5,\); expected a matrix"):
        weights.read(tmp_path / "net.weights.h5")
