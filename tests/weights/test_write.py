"""Weights written for other frameworks: exactly what was given, and Keras computes the same with them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.patches import AveragePool, Patches
from analog_fhn.training.plain import keras_on_jax

# NumPy 2 finds that Keras's variables do not know a keyword of __array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def make(
    sizes: tuple[int, ...] = (6, 5, 4), dtype: Any = np.float64, bias: str = "all", hidden: Any = "tanh"
) -> Network:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=pair).astype(dtype) for pair in pairwise(sizes)]
    biases: list[Any] = [rng.normal(size=n).astype(dtype) for n in sizes[1:]]
    if bias == "none":
        biases = [None] * len(biases)
    elif bias == "last":
        biases[:-1] = [None] * (len(biases) - 1)
    return Network.of_weights(tuple(arrays), tuple(biases), hidden)


def written(path: Path, network: Network) -> Path:
    weights.write(path, network.weights, network.biases, network.units)
    return path


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", ["all", "last", "none"])
@pytest.mark.parametrize("sizes", [(6, 5, 4), (5, 5, 5, 5), tuple([3] * 14)], ids=["three", "square", "deep"])
def test_round_trip_is_exact(suffix: str, dtype: Any, bias: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    network = make(sizes, dtype, bias)
    found = weights.to_network(weights.read(written(tmp_path / f"net{suffix}", network)), hidden="tanh")
    assert found.sha256 == network.sha256
    for one, other in zip((*found.weights, *found.biases), (*network.weights, *network.biases), strict=True):
        np.testing.assert_array_equal(one, other)


def test_names_are_as_good_as_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = make()
    weights.write("back.safetensors", network.weights, network.biases, network.hidden)
    weights.to_network(weights.read("back.safetensors")).save("net.npz")
    assert Network.load("net.npz").sha256 == network.sha256


@pytest.mark.parametrize("suffix", [".keras", ".safetensors", ".npz"])
def test_activation_travels(suffix: str, tmp_path: Path) -> None:
    assert weights.read(written(tmp_path / f"net{suffix}", make())).hidden == "tanh"


@pytest.mark.parametrize("suffix", [".keras", ".safetensors", ".npz"])
def test_units_of_each_layer_travel(suffix: str, tmp_path: Path) -> None:
    units = ("sigmoid", "tanh", "sigmoid")
    path = written(tmp_path / f"net{suffix}", make((5, 5, 5, 5, 5), hidden=units))
    network = weights.to_network(weights.read(path))
    assert (weights.read(path).hidden, network.units) == (units, units)
    assert [fhn.slope for fhn in network.neurons] == [0.5, 1.0, 0.5]


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_single_precision_is_kept_where_it_holds_the_values(suffix: str, tmp_path: Path) -> None:
    single, double = (
        written(tmp_path / name / f"net{suffix}", make((60, 50, 10), dtype)).stat().st_size
        for name, dtype in (("single", np.float32), ("double", np.float64))
    )
    values = 60 * 50 + 50 * 10 + 60
    assert double - single == pytest.approx(4 * values, rel=0.1)


def test_value_beyond_single_precision(tmp_path: Path) -> None:
    network = Network.of_weights((np.array([[1e140, 0.5]]), np.eye(2)), (), "tanh")
    assert weights.read(written(tmp_path / "net.npz", network)).weights[0][0, 0] == 1e140


def test_safetensors_are_as_pytorch_names_and_turns_them(tmp_path: Path) -> None:
    network = make(dtype=np.float32)
    path = written(tmp_path / "net.safetensors", network)
    tensors = load_file(path)
    assert {name: t.shape for name, t in tensors.items()} == {
        "0.weight": (5, 6), "0.bias": (5,), "2.weight": (4, 5), "2.bias": (4,),
    }  # fmt: skip
    np.testing.assert_array_equal(tensors["0.weight"], network.weights[0].T)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt", "hidden": "tanh"}


def test_npz_is_plain_arrays(tmp_path: Path) -> None:
    network = make(dtype=np.float32)
    with np.load(written(tmp_path / "net.npz", network), allow_pickle=False) as file:
        assert sorted(file.files) == ["b0", "b1", "hidden", "w0", "w1"]
        np.testing.assert_array_equal(file["w1"], network.weights[1])
        assert str(file["hidden"]) == "tanh"


def test_same_network_same_file(tmp_path: Path) -> None:
    one, other = (written(tmp_path / f"{name}.keras", make()).read_bytes() for name in "ab")
    assert one == other


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_on_jax()


@pytest.mark.parametrize("bias", ["all", "last"])
def test_keras_loads_the_archive_and_computes_the_same(bias: str, keras: Any, tmp_path: Path) -> None:
    network = make((6, 5, 5, 4), np.float32, bias)
    images = np.random.default_rng(1).random((30, 6))
    model = keras.saving.load_model(written(tmp_path / "net.keras", network))
    np.testing.assert_allclose(np.asarray(model(images)), network.forward(images), rtol=1e-6, atol=1e-6)
    # and what Keras makes of it comes back
    model.save(tmp_path / "again.keras")
    assert weights.to_network(weights.read(tmp_path / "again.keras")).sha256 == network.sha256


def test_keras_keeps_double_precision_if_jax_does(keras: Any, tmp_path: Path) -> None:
    import jax

    network = make(hidden="sigmoid")  # Keras computes tanh in single precision all the same
    images = np.random.default_rng(1).random((30, 6))
    with jax.enable_x64(True):
        model = keras.saving.load_model(written(tmp_path / "net.keras", network))
        scores = np.asarray(model(images))
        values = [np.asarray(layer.kernel.value) for layer in model.layers]
    np.testing.assert_allclose(scores, network.forward(images), rtol=1e-13, atol=1e-13)
    for value, w in zip(values, network.weights, strict=True):
        np.testing.assert_array_equal(value, w)


def test_keras_loads_the_weights_into_its_own_model(keras: Any, tmp_path: Path) -> None:
    network = make(dtype=np.float32)
    images = np.random.default_rng(1).random((30, 6))
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(5, "tanh", kernel_initializer="zeros"),
            keras.layers.Dense(4, kernel_initializer="zeros", name="scores"),
        ]
    )
    model.load_weights(written(tmp_path / "net.weights.h5", network))
    np.testing.assert_allclose(np.asarray(model(images)), network.forward(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["net.pt", "net.h5", "net", "net.onnx"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(InputError) as caught:
        written(path, make())
    assert str(caught.value) == f"{path}: expected a name that ends in .keras, .weights.h5, .safetensors, .npz"
    assert not path.exists()


def test_what_is_no_network_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="w1 has shape"):
        weights.write(tmp_path / "net.keras", [np.eye(3), np.eye(4)])
    with pytest.raises(InputError, match="have no upper end"):
        weights.write(tmp_path / "net.keras", [np.eye(3), np.eye(3)], hidden="relu")
    with pytest.raises(InputError, match="'elu' goes below 0"):
        weights.write(tmp_path / "net.keras", [np.eye(3), np.eye(3)], hidden="elu")
    assert list(tmp_path.iterdir()) == []


# --- relu, convolutions and means ---------------------------------------------------------------------------------


def relus() -> Network:
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((6, 5), (5, 4), (4, 3), (3, 2))]
    units: Any = zip(arrays, ("relu", "tanh", "relu", None), (6.0, None, 1.7, None), strict=True)
    return Network(tuple(Dense(w, w[0] / 3.0, unit, "tanh", ceiling) for w, unit, ceiling in units))


def single(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def images_network(**of_patches: Any) -> Network:
    """Two convolutions, means in front of the second and of the output layer."""
    rng = np.random.default_rng(4)
    first = Patches((7, 6, 2), (3, 2), (1, 2), ((1, 0), (2, 1)), **of_patches)
    second = Patches((3, 2, 3), (2, 1), (2, 1), ((0, 1), (0, 0)))
    mean = AveragePool((*first.positions, 3), (2, 2), (2, 2), ((0, 1), (0, 0)), count_padding=True)
    last = AveragePool((*second.positions, 4), (2, 2), (2, 2))
    assert mean.output_shape == second.shape
    return Network(
        (
            Convolution(single(rng, 12, 3), single(rng, 3), "relu", "tanh", 4.0, first),
            mean,
            Convolution(single(rng, 6, 4), None, "sigmoid", "tanh", None, second),
            last,
            Dense(single(rng, 4, 3), single(rng, 3)),
        )
    )


@pytest.mark.parametrize("suffix", [".keras", ".safetensors", ".npz"])
def test_ceilings_travel(suffix: str, tmp_path: Path) -> None:
    network = relus()
    weights.write(tmp_path / f"net{suffix}", network)
    found = weights.load_network(tmp_path / f"net{suffix}")
    assert (found.units, found.ceilings) == (("relu", "tanh", "relu"), (6.0, 1.0, 1.7))
    assert found.sha256 == network.sha256


def test_ceilings_that_the_file_states_wrongly(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w0=np.eye(3), w1=np.eye(3), hidden=np.array("relu"), ceilings=np.array("1, 2"))
    with pytest.raises(InputError, match=r"ceilings '1, 2': expected numbers .*, one for each relu layer \(1\)"):
        weights.read(tmp_path / "net.npz")


def test_ceilings_beside_arrays(tmp_path: Path) -> None:
    weights.write(tmp_path / "net.npz", [np.eye(3), np.eye(3)], hidden="relu", ceilings=2.5)
    assert weights.load_network(tmp_path / "net.npz").ceilings == (2.5,)


def test_keras_computes_the_same_with_ceilings(keras: Any, tmp_path: Path) -> None:
    network, images = relus(), np.random.default_rng(1).normal(size=(30, 6))
    weights.write(tmp_path / "net.keras", network)
    model = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(np.asarray(model(images)), network.forward(images), atol=1e-5)


def test_keras_computes_the_same_with_convolutions(keras: Any, tmp_path: Path) -> None:
    network, images = images_network(), np.random.default_rng(1).normal(size=(5, 84))
    weights.write(tmp_path / "net.keras", network)
    model = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(np.asarray(model(images.reshape(5, 7, 6, 2))), network.forward(images), atol=1e-5)
    found = weights.load_network(tmp_path / "net.keras")
    np.testing.assert_allclose(found.forward(images), network.forward(images), atol=1e-12)
    assert found.ceilings == network.ceilings


def test_strides_with_gaps_are_written_as_zeros(keras: Any, tmp_path: Path) -> None:
    patches = Patches((7, 6, 2), (2, 2), (2, 1), dilation=(2, 3))
    rng = np.random.default_rng(1)
    layers = (
        Convolution(single(rng, 8, 3), None, "tanh", "tanh", None, patches),
        Dense(single(rng, 3 * patches.n_positions, 2)),
    )
    network, images = Network(layers), rng.normal(size=(5, 84))
    weights.write(tmp_path / "net.keras", network)
    model = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(np.asarray(model(images.reshape(5, 7, 6, 2))), network.forward(images), atol=1e-5)


def test_convolutions_are_a_network_file_or_refused(tmp_path: Path) -> None:
    network = images_network()
    weights.write(tmp_path / "net.npz", network)
    assert Network.load(tmp_path / "net.npz").sha256 == network.sha256
    with pytest.raises(
        InputError, match=r"do not say how convolutions and means are used; expected .*\.keras or \.npz"
    ):
        weights.write(tmp_path / "net.safetensors", network)
    with pytest.raises(InputError, match="Keras pads with 0 alone"):
        weights.write(tmp_path / "net.keras", images_network(fill=0.5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz"]
