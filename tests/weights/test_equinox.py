"""Files that Equinox wrote: what the network computes is what the model computes, and what is refused."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refused_files import refusal
from trap import Trap

from analog_fhn import weights
from analog_fhn.errors import InputError

IMAGES = np.random.default_rng(7).uniform(-2.0, 2.0, (40, 6)).astype(np.float32)
KEYS = jax.random.split(jax.random.PRNGKey(3), 8)
UNITS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
}


def linear(n_in: int, n_out: int, key: int, **options: Any) -> Any:
    return eqx.nn.Linear(n_in, n_out, key=KEYS[key], **options)


def written(path: Path, model: Any, settings: Any = None) -> Path:
    """The file as Equinox's documentation has it, with a line of JSON in front if there are settings."""
    with path.open("wb") as file:
        if settings is not None:
            file.write((json.dumps(settings) + "\n").encode())
        eqx.tree_serialise_leaves(file, model)
    return path


def scores(path: Path, hidden: str) -> Any:
    """Scores of the layers that are read, by NumPy."""
    trained = weights.read(path)
    h = IMAGES.astype(np.float64)
    for k, (w, b) in enumerate(zip(trained.weights, trained.biases, strict=True)):
        h = h @ w + (0.0 if b is None else b)
        h = UNITS[hidden](h) if k < len(trained.weights) - 1 else h
    return h


def check(path: Path, model: Any, hidden: str) -> None:
    expected = np.asarray(jax.vmap(model)(IMAGES))
    np.testing.assert_allclose(scores(path, hidden), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("hidden", "depth"), [("sigmoid", 1), ("tanh", 3), ("relu", 2)])
@pytest.mark.parametrize("biases", [True, False])
def test_mlp(hidden: str, depth: int, biases: bool, tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 4, 5, depth, getattr(jax.nn, hidden), use_bias=biases, use_final_bias=biases, key=KEYS[0])
    path = written(tmp_path / "net.eqx", model)
    check(path, model, hidden)
    trained = weights.read(path)
    assert (trained.format, trained.hidden, trained.notes) == ("Equinox file", None, ())


def test_network_of_a_file(tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 4, 5, 2, jax.nn.sigmoid, key=KEYS[0])
    network = weights.load_network(written(tmp_path / "net.eqx", model), hidden="sigmoid")
    expected = np.asarray(jax.vmap(model)(IMAGES))
    np.testing.assert_allclose(network.forward(IMAGES), expected, atol=1e-5 * np.abs(expected).max())


def test_square_layers_are_read_as_equinox_has_them(tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 6, 6, 2, jnp.tanh, use_bias=False, use_final_bias=False, key=KEYS[0])
    check(written(tmp_path / "net.eqx", model), model, "tanh")


def test_sequential_with_dropout_of_which_one_layer_has_a_bias(tmp_path: Path) -> None:
    model = eqx.nn.Sequential(
        [
            linear(6, 5, 0, use_bias=False), eqx.nn.Lambda(jnp.tanh), eqx.nn.Dropout(0.5, inference=True),
            linear(5, 5, 1), eqx.nn.Lambda(jnp.tanh), linear(5, 4, 2, use_bias=False),
        ]
    )  # fmt: skip
    path = written(tmp_path / "net.eqx", model)
    check(path, model, "tanh")
    assert weights.read(path).notes == ("Dropout left out: it acts in training only",)


class InOut(eqx.Module):
    """A module of the user's own, with weights (inputs, outputs)."""

    first: Any
    second: Any

    def __call__(self, x: Any) -> Any:
        return jnp.tanh(x @ self.first) @ self.second


def test_weights_the_other_way_round_are_told_by_their_shapes(tmp_path: Path) -> None:
    model = InOut(*(jax.random.normal(key, shape) for key, shape in zip(KEYS, [(6, 5), (5, 4)], strict=False)))
    path = written(tmp_path / "net.eqx", model)
    check(path, model, "tanh")
    (note,) = weights.read(path).notes
    assert note.startswith("weights read as (inputs, outputs)")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_read_exactly(dtype: str, tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 4, 5, 1, jnp.tanh, key=KEYS[0])
    short = jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_array(leaf) else leaf, model)
    trained = weights.read(written(tmp_path / "net.eqx", short))
    for layer, w, b in zip(short.layers, trained.weights, trained.biases, strict=True):
        np.testing.assert_array_equal(w, np.asarray(layer.weight.astype("float32")).T)
        np.testing.assert_array_equal(b, np.asarray(layer.bias.astype("float32")))


@pytest.mark.parametrize(
    ("settings", "hidden"),
    [
        ({"width_size": 5}, None),
        ({"mlp": {"depth": 1}}, None),
        ({"activation": "tanh", "a": 1}, "tanh"),
        ({"activation": "jax.nn.sigmoid", "final_activation": "jax.nn.softmax"}, "sigmoid"),
        ({"activation": ["relu"]}, "relu"),
    ],
)
def test_line_of_settings(settings: dict[str, Any], hidden: str | None, tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 4, 5, 1, jnp.tanh, key=KEYS[0])
    path = written(tmp_path / "net.eqx", model, settings)
    assert weights.read(path).hidden == hidden
    check(path, model, "tanh")


def test_unknown_hidden_unit_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "net.eqx", eqx.nn.MLP(6, 4, 5, 1, key=KEYS[0]))
    with pytest.raises(InputError, match="does not say the hidden activation") as caught:
        weights.load_network(path)
    assert "--hidden" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"activation": "jax.nn.gelu"}, "activation: hidden activation 'gelu' falls and rises again"),
        ({"activation": "mine"}, "activation: hidden activation 'mine': expected 'sigmoid', 'tanh' or 'relu'"),
        ({"activation": "tanh", "final_activation": "relu"}, "final_activation 'relu'; expected one that keeps"),
    ],
)
def test_settings_that_no_network_has_are_refused(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    model = eqx.nn.MLP(6, 4, 5, 1, key=KEYS[0])
    assert said in refusal(written(tmp_path / "net.eqx", model, settings))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (
            [eqx.nn.Conv2d(1, 2, 3, key=KEYS[0]), linear(8, 4, 1)],
            "leaf 0 (counted from 0) has shape (2, 1, 3, 3), of a",
        ),
        ([linear(6, 5, 0), eqx.nn.LayerNorm(5), linear(5, 4, 1)], "leaf 2 (counted from 0) has shape (5,), of a conv"),
        ([linear(6, 5, 0), eqx.nn.PReLU(0.25), linear(5, 4, 1)], "leaf 2 (counted from 0) is the number 0.25, of a"),
        ([linear(6, 5, 0), linear(4, 3, 1)], "leaves of shapes (5, 6) (5,), (3, 4) (3,): as weights (outputs, inputs)"),
    ],
    ids=["convolution", "normalisation", "number", "no chain"],
)
def test_other_layers_are_refused(layers: list[Any], said: str, tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "net.eqx", eqx.nn.Sequential(layers)))
    assert said in message
    assert ("export the model to ONNX" in message) == ("no chain" not in said and "leaves of" not in said)


def test_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "net.eqx", eqx.nn.MLP(6, 4, 5, 1, key=KEYS[0]), {"depth": 1}).read_bytes()
    path = tmp_path / "cut.eqx"
    arrays = [k for k in range(len(whole)) if whole.startswith(b"\x93NUMPY", k)]
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        if length in arrays[1:]:
            continue  # a whole number of leaves
        assert str(path) in refusal(path)
    path.write_bytes(whole[: arrays[3] + 100])
    assert "leaf 3 (counted from 0) cannot be read" in refusal(path)
    path.write_bytes(whole[: arrays[0] + 200])
    assert "leaf 0 (counted from 0) has shape (5, 6): 120 bytes of float32, but the file ends after 72" in refusal(path)


def test_file_without_its_first_leaves_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "net.eqx", eqx.nn.MLP(6, 4, 5, 1, key=KEYS[0])).read_bytes()
    path = tmp_path / "rest.eqx"
    path.write_bytes(whole[whole.index(b"\x93NUMPY", 1) :])
    assert "leaf 0 (counted from 0) has shape (5,)" in refusal(path)


def test_pickled_leaf_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "net.eqx"
    with path.open("wb") as file:
        np.save(file, np.ones((5, 6), np.float32))
        np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    assert "leaf 1 (counted from 0) is a pickle" in refusal(path)
    path.write_bytes(b'{"depth": 1}\n' + pickle.dumps(Trap()))
    assert "leaf 0 (counted from 0) cannot be read" in refusal(path)
    assert Trap.sprung == 0


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("(4000000000, 4000000000)", "64000000000000000000 bytes of float32, but the file ends after 0"),
        ("(0, 1000000000000000000000000)", "has shape (0, 1000000000000000000000000)"),
        ("(-5, 6)", "has shape (-5, 6)"),
        ("()" * 600, "cannot be read"),
    ],
    ids=["huge", "empty", "below 0", "long header"],
)
def test_lying_header_is_refused(shape: str, said: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path = tmp_path / "net.eqx"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert said in refusal(path)


def test_whole_numbers_are_refused_as_weights(tmp_path: Path) -> None:
    content = io.BytesIO()
    for shape in ((5, 6), (4, 5)):
        np.save(content, np.ones(shape, np.int8))
    (tmp_path / "net.eqx").write_bytes(content.getvalue())
    assert "weights of layer 0 has type int8: expected float16" in refusal(tmp_path / "net.eqx")


def test_columns_that_stand_one_after_another(tmp_path: Path) -> None:
    first, second = np.arange(30.0).reshape(5, 6), np.arange(20.0).reshape(4, 5)
    with (tmp_path / "net.eqx").open("wb") as file:
        np.save(file, np.asfortranarray(first))
        np.save(file, second)
    read = weights.read(tmp_path / "net.eqx").weights
    np.testing.assert_array_equal(read[0], first.T)
    np.testing.assert_array_equal(read[1], second.T)


def test_other_files_that_begin_with_json_or_an_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"class_name": "Sequential"}\n')
    assert "holds 0 layers; expected at least 2" in refusal(path)
    np.save(tmp_path / "one.npy", np.ones(5))
    assert "leaf 0 (counted from 0) has shape (5,)" in refusal(tmp_path / "one.npy")
