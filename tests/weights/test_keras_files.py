"""Files that Keras wrote: what the network computes is what the model computes, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.training.plain import keras_on_jax

IMAGES = np.random.default_rng(7).uniform(-2.0, 2.0, (40, 6))

# NumPy 2 finds that Keras's variables do not know a keyword of __array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def softmax(scores: Any) -> Any:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def outputs(folder: Path) -> dict[str, Any]:
    """Files in `folder` by name, written by Keras itself, and what their models make of `IMAGES`."""
    keras = keras_on_jax()
    layers = keras.layers

    def dense(units: int, activation: str | None = None, name: str | None = None, **options: Any) -> Any:
        # zeros: JAX compiles its random numbers anew for each shape, NumPy sets them later
        return layers.Dense(units, activation, name=name, kernel_initializer="zeros", **options)

    def sequential(*chain: Any, shape: tuple[int, ...] = (6,)) -> Any:
        return keras.Sequential([keras.Input(shape), *chain])

    first, second = keras.Input((6,)), keras.Input((6,))
    square = keras.Input((2, 3))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(square))
    x = layers.Activation("tanh")(dense(5)(x))
    functional = keras.Model(square, dense(4, "softmax", name="a_output")(layers.GaussianNoise(0.1)(x)))
    again = dense(6, "tanh")
    middle = dense(5, "tanh")(first)

    class Subclassed(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = dense(5, "tanh")
            self.out = dense(4)

        def call(self, inputs: Any) -> Any:
            return self.out(self.hidden(inputs))

    subclassed = Subclassed()
    subclassed(np.zeros((1, 6)))
    models = {
        # names that sort the wrong way round
        "sequential": sequential(
            dense(5, "sigmoid", name="z"), layers.Dropout(0.5), dense(4, name="a"), layers.Softmax()
        ),
        "functional": functional,
        "deep": sequential(*(dense(6, "tanh") for _ in range(12)), dense(4)),
        "no bias": sequential(dense(5, "tanh", use_bias=False), dense(4, "sigmoid", use_bias=False)),
        "signed": sequential(layers.Rescaling(1 / 127.5, offset=-1.0), dense(5, "tanh", use_bias=False), dense(4)),
        "half": sequential(dense(5, "tanh", dtype="float16"), dense(4, dtype="bfloat16")),
        "reshaped": sequential(layers.Reshape((6,)), dense(5, "tanh"), dense(4), shape=(3, 2)),
        "relu": sequential(dense(5, "relu", name="h"), dense(4)),
        "leaky": sequential(dense(5, name="h"), layers.LeakyReLU(), dense(4)),
        "linear": sequential(dense(5, name="h"), dense(4)),
        "two activations": sequential(dense(5, "tanh"), layers.Activation("sigmoid", name="again"), dense(4)),
        "differing": sequential(dense(5, "tanh", name="h"), dense(5, "sigmoid", name="i"), dense(4)),
        "relu output": sequential(dense(5, "tanh"), dense(4, "relu", name="o")),
        "one output": sequential(dense(5, "tanh"), dense(1, "sigmoid")),
        "one linear output": sequential(dense(5, "tanh"), dense(1)),
        "one layer": sequential(dense(4)),
        "no layer": sequential(layers.Dropout(0.5)),
        "normalised": sequential(dense(5, "tanh"), layers.BatchNormalization(name="bn"), dense(4)),
        "convolution": sequential(
            layers.Conv1D(2, 3, kernel_initializer="zeros", name="conv"),
            layers.Flatten(),
            dense(5, "tanh"),
            dense(4),
            shape=(6, 1),
        ),
        "rescaled late": sequential(dense(5, "tanh"), layers.Rescaling(0.5, name="r"), dense(4)),
        "standardised": sequential(layers.Rescaling(0.5, offset=0.3, name="r"), dense(5, "tanh"), dense(4)),
        "nested": sequential(keras.Sequential([keras.Input((6,)), dense(5, "tanh")], name="inner"), dense(4)),
        "lambda": sequential(dense(5, "tanh"), layers.Lambda(lambda x: x + print("run"), name="code"), dense(4)),
        "branched": keras.Model(first, dense(4)(layers.Add()([middle, middle]))),
        "two outputs": keras.Model(first, [middle, dense(4)(middle)]),
        "two inputs": keras.Model([first, second], dense(4)(middle)),
        "shared": keras.Model(first, dense(4)(again(again(first)))),
        "subclassed": subclassed,
    }
    rng = np.random.default_rng(5)
    results: dict[str, Any] = {"values": {}}
    for name, model in models.items():
        # large values: saturated units, biases that matter
        values = [
            abs(draw) if v.name == "moving_variance" else draw
            for v in model.weights
            for draw in [rng.normal(scale=1.5, size=v.shape).astype(str(v.dtype))]
        ]
        model.set_weights(values)
        results["values"][name] = values
        model.save(folder / f"{name}.keras")
    for name in ("sequential", "functional", "deep", "no bias", "half", "normalised", "subclassed"):
        models[name].save_weights(folder / f"{name}.weights.h5")
        if name != "subclassed":
            models[name].save(folder / f"{name}.h5")
    for name in (
        "sequential", "functional", "deep", "no bias", "signed", "half", "reshaped", "one output", "differing",
        "normalised", "convolution", "rescaled late", "standardised", "nested",
    ):  # fmt: skip
        # what a Rescaling takes
        inputs = IMAGES * 255.0 if name in ("functional", "signed") else IMAGES
        results[name] = np.asarray(models[name](inputs.reshape(-1, *models[name].input_shape[1:])))
    compiled = models["sequential"]
    compiled.compile("adam", "mse", metrics=["accuracy"])
    compiled.optimizer.build(compiled.trainable_variables)
    compiled.save_weights(folder / "compiled.weights.h5")
    compiled.save(folder / "compiled.keras")
    return results


def network(path: Path, **options: Any) -> Network:
    return weights.to_network(weights.read(path), **options)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        network(path, **options)
    message = str(caught.value)
    assert str(path) in message
    return message


# --- what the network computes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sequential", "compiled"])
def test_sequential_model(name: str, outputs: dict[str, Any], folder: Path) -> None:
    net = network(folder / f"{name}.keras")
    assert (net.layer_sizes, net.hidden) == ((6, 5, 4), "sigmoid")
    np.testing.assert_allclose(softmax(net.forward(IMAGES)), outputs["sequential"], atol=1e-5)
    classes = outputs["sequential"].argmax(axis=1)
    np.testing.assert_array_equal(net.forward(IMAGES).argmax(axis=1), classes)
    assert len(set(classes)) > 1


@pytest.mark.parametrize("name", ["normalised", "convolution", "rescaled late", "standardised", "nested"])
def test_what_is_no_dense_layer_is_taken_into_them(name: str, outputs: dict[str, Any], folder: Path) -> None:
    net = network(folder / f"{name}.keras")
    assert net.layer_sizes == (6, 5, 4)
    np.testing.assert_allclose(net.forward(IMAGES), outputs[name], rtol=1e-5, atol=1e-5)


def test_layers_with_different_units(outputs: dict[str, Any], folder: Path) -> None:
    net = network(folder / "differing.keras")
    assert net.units == ("tanh", "sigmoid")
    np.testing.assert_allclose(net.forward(IMAGES), outputs["differing"], rtol=1e-5, atol=1e-5)
    # Each layer's drive follows the unit that its weights were trained with.
    assert [fhn.slope for fhn in net.neurons] == [1.0, 0.5]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_functional_model_with_rescaling(suffix: str, outputs: dict[str, Any], folder: Path) -> None:
    trained = weights.read(folder / f"functional{suffix}")
    net = weights.to_network(trained)
    assert (net.layer_sizes, net.hidden, net.input_range) == ((6, 5, 4), "tanh", (0.0, 1.0))
    np.testing.assert_allclose(softmax(net.forward(IMAGES)), outputs["functional"], atol=1e-5)
    said = " ".join(trained.notes)
    assert "(Rescaling): where the model takes 0 to 255, the network takes 0 to 1" in said
    assert "(GaussianNoise) left out" in said
    assert "softmax of the outputs left out" in said


def test_rescaling_to_both_signs_is_taken_into_the_first_layer(outputs: dict[str, Any], folder: Path) -> None:
    trained = weights.read(folder / "signed.keras")
    net = weights.to_network(trained)
    assert net.input_range == (0.0, 1.0)
    np.testing.assert_allclose(net.forward(IMAGES), outputs["signed"], rtol=1e-5, atol=1e-5)
    assert "the model takes 0 to 255" in trained.notes[0]


@pytest.mark.parametrize(
    ("suffix", "hidden"), [(".keras", None), (".h5", None), (".weights.h5", "tanh")], ids=["archive", "old", "weights"]
)
def test_thirteen_layers_keep_their_order(suffix: str, hidden: Any, outputs: dict[str, Any], folder: Path) -> None:
    net = network(folder / f"deep{suffix}", hidden=hidden)
    assert net.layer_sizes == (*[6] * 13, 4)
    np.testing.assert_allclose(net.forward(IMAGES), outputs["deep"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["sequential", "no bias"])
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_values_arrive_exactly(name: str, suffix: str, outputs: dict[str, Any], folder: Path) -> None:
    found = weights.read(folder / f"{name}{suffix}")
    arrays = [a for pair in zip(found.weights, found.biases, strict=True) for a in pair if a is not None]
    assert [a.dtype for a in arrays] == [np.float64] * len(arrays)
    for one, other in zip(arrays, outputs["values"][name], strict=True):
        np.testing.assert_array_equal(one, other)


def test_model_without_biases(outputs: dict[str, Any], folder: Path) -> None:
    trained = weights.read(folder / "no bias.keras")
    assert trained.biases == (None, None)
    # sigmoid of each output
    np.testing.assert_allclose(
        1.0 / (1.0 + np.exp(-weights.to_network(trained).forward(IMAGES))), outputs["no bias"], atol=1e-5
    )
    assert trained.notes == ("sigmoid of the outputs left out: the largest stays the largest",)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_half_precision(suffix: str, outputs: dict[str, Any], folder: Path) -> None:
    net = network(folder / f"half{suffix}", hidden="tanh")
    for array in (net.weights[0], net.biases[0]):
        np.testing.assert_array_equal(array, np.asarray(array, np.float16))
    # eight bits of bfloat16: the rest of a float32 is zero
    assert net.biases[1] is not None
    for array in (net.weights[1], net.biases[1]):
        assert not np.any(array.astype(np.float32).view(np.uint32) & 0xFFFF)
    # The model rounds to eight bits, 2^-9 each, what it multiplies and sums.
    np.testing.assert_allclose(net.forward(IMAGES), outputs["half"].astype(float), atol=0.1)


def test_reshape_to_one_dimension_is_flatten(outputs: dict[str, Any], folder: Path) -> None:
    np.testing.assert_allclose(
        network(folder / "reshaped.keras").forward(IMAGES), outputs["reshaped"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.usefixtures("outputs")
def test_weights_alone_need_the_activation(folder: Path) -> None:
    path = folder / "compiled.weights.h5"
    message = refusal(path)
    assert "this Keras weights file does not say the hidden activation" in message
    assert "--hidden sigmoid, --hidden tanh or --hidden relu" in message
    for one, other in zip(
        network(path, hidden="sigmoid").weights, network(folder / "compiled.keras").weights, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_older_weights_alone_are_in_the_order_of_their_list(tmp_path: Path) -> None:
    # the layout of Keras 2's save_weights
    path = tmp_path / "old.h5"
    rng = np.random.default_rng(0)
    arrays = {"z": rng.normal(size=(6, 5)), "a": rng.normal(size=(5, 4))}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", b"z", b"a"]
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for name, kernel in arrays.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = kernel, kernel[0]
    net = network(path, hidden="tanh")
    for found, kernel in zip(net.weights, arrays.values(), strict=True):
        np.testing.assert_array_equal(found, kernel)
    with h5py.File(path, "a") as file:
        file["a"].attrs["weight_names"] = ["a/gamma:0"]
    assert "layer 'a' has gamma; expected kernel and bias" in refusal(path, hidden="tanh")


@pytest.mark.usefixtures("outputs")
def test_one_sigmoid_output_is_two_classes(outputs: dict[str, Any], folder: Path) -> None:
    # the second class where Keras's own output is above one half
    net = network(folder / "one output.keras")
    np.testing.assert_array_equal(net.forward(IMAGES).argmax(axis=1), (outputs["one output"] > 0.5).ravel())


def test_older_functional_model(outputs: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    # Keras 2 wrote connections as [[[layer, node, tensor, {}]]], and no modules.
    path = tmp_path / "old.h5"
    path.write_bytes((folder / "functional.h5").read_bytes())
    with h5py.File(path, "a") as file:
        model = json.loads(file.attrs["model_config"])
        for before, layer in pairwise(model["config"]["layers"]):
            layer["inbound_nodes"] = [[[before["config"]["name"], 0, 0, {}]]]
            layer.pop("module", None)
        model["config"]["output_layers"] = [model["config"]["output_layers"]]
        file.attrs["model_config"] = json.dumps(model).encode()
    np.testing.assert_allclose(softmax(network(path).forward(IMAGES)), outputs["functional"], atol=1e-5)
    with h5py.File(path, "a") as file:
        model["config"]["layers"][-1]["inbound_nodes"][0].append(
            [model["config"]["layers"][0]["config"]["name"], 0, 0, {}]
        )
        file.attrs["model_config"] = json.dumps(model)
    assert "the model branches" in refusal(path)


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relu", "the activations of hidden layer 0 (relu) have no upper end, but those of neurons do"),
        ("leaky", "layer 'h' (Dense): hidden activation 'leakyrelu' falls without bound below 0"),
        ("leaky", "Two ways out: read it as relu, the nearest of them (import --nearest says what that costs)"),
        ("linear", "holds 1 linear layers with an activation between them"),
        ("two activations", "layer 'again' (Activation): follows no linear layer that waits for its activation"),
        ("relu output", "layer 'o' (Dense): output activation 'relu'; expected one that keeps the largest output the"),
        ("one linear output", "one output, a threshold between two classes that the file does not tell"),
        ("one layer", "holds 1 linear layers with an activation between them; expected at least 2 (hidden and output)"),
        ("no layer", "holds 0 linear layers"),
        ("lambda", "layer 'code' (Lambda): has no place in this circuit; expected Dense, Conv1D"),
        ("branched", "the model branches, shares a layer or has several inputs or outputs"),
        ("two outputs", "the model branches, shares a layer or has several inputs or outputs"),
        ("shared", "the model branches, shares a layer or has several inputs or outputs"),
        ("two inputs", "the model branches, shares a layer or has several inputs or outputs"),
        ("subclassed", "holds a Subclassed; expected a Sequential or functional model"),
    ],
)
@pytest.mark.usefixtures("outputs")
def test_models_without_a_circuit(name: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refusal(folder / f"{name}.keras")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("outputs")
def test_subclassed_model_has_no_order(folder: Path) -> None:
    message = refusal(folder / "subclassed.weights.h5", hidden="tanh")
    assert "hidden has weights outside the model's list of layers" in message


@pytest.mark.usefixtures("outputs")
def test_weights_of_other_layers(folder: Path) -> None:
    message = refusal(folder / "normalised.weights.h5", hidden="tanh")
    assert "batch_normalization: weights of other layers than Dense" in message


@pytest.mark.usefixtures("outputs")
def test_what_the_file_says_is_not_overridden(folder: Path) -> None:
    path = folder / "functional.keras"
    assert "'sigmoid' asked for, but the file says 'tanh'" in refusal(path, hidden="sigmoid")
    assert "input range (0.0, 255.0) asked for, but the file says (0.0, 1.0)" in refusal(path, input_range=(0.0, 255.0))


def archive(path: Path, source: Path, change: Callable[[dict[str, Any]], None], **options: Any) -> Path:
    """Copy of a .keras file whose members {name: bytes} were changed."""
    with zipfile.ZipFile(source) as given:
        members = {name: given.read(name) for name in given.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", **options) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def with_weights(change: Callable[[Any], None]) -> Callable[[dict[str, Any]], None]:
    """Change to the HDF5 file in a .keras file."""

    def changed(members: dict[str, Any]) -> None:
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "a") as file:
            change(file)
        members["model.weights.h5"] = content.getvalue()

    return changed


def swap(file: Any, name: str, make: Callable[[], Any]) -> None:
    del file[name]
    file[name] = make()


@pytest.mark.usefixtures("outputs")
def test_links_out_of_the_file(folder: Path, tmp_path: Path) -> None:
    kernel = "layers/dense/vars/0"
    for make, said in (
        (lambda: h5py.ExternalLink("other.h5", "/x"), f"/{kernel} is a link to somewhere else"),
        (lambda: h5py.SoftLink("/layers/dense_1/vars/0"), f"/{kernel} is a link to somewhere else"),
    ):
        path = archive(
            tmp_path / "linked.keras", folder / "sequential.keras", with_weights(lambda f, m=make: swap(f, kernel, m))
        )
        assert said in refusal(path)
        group = with_weights(lambda f, m=make: swap(f, "layers", m))
        assert "/layers is a link to somewhere else" in refusal(archive(path, folder / "sequential.keras", group))


@pytest.mark.usefixtures("outputs")
def test_link_is_not_followed_to_see_whether_it_is_there(folder: Path, tmp_path: Path) -> None:
    # A name that does not exist: whether it does must not be looked up.
    path = tmp_path / "linked.weights.h5"
    path.write_bytes((folder / "sequential.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        file["aside"] = h5py.ExternalLink(str(tmp_path / "absent.h5"), "/x")
    assert "/aside is a link to somewhere else" in refusal(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f, n: f.create_dataset(n, (6, 5), "<f4", external=[("/etc/hostname", 0, 120)]), "in another file"),
        (lambda f, n: f.create_dataset(n, (6, 5), "<f4", compression="gzip"), "is packed, which Keras does not do"),
        (lambda f, n: f.create_dataset(n, (1 << 20, 1 << 20), "<f4", chunks=(64, 64)), "more than it holds"),
        (lambda f, n: f.create_dataset(n, data=np.zeros((6, 5), np.int8)), "int8: expected float16"),
        (lambda f, n: f.create_dataset(n, data=np.zeros((6, 5), np.complex64)), "complex64: expected float16"),
        (lambda f, n: f.create_dataset(n, data=["a"] * 6), "object: expected float16"),
        (lambda f, n: f.create_dataset(n, data=h5py.Empty("f")), "holds no values"),
        (lambda f, n: f.create_group(n), "holds no values"),
        (lambda f, n: f.create_dataset(n, data=np.full((6, 5), np.nan, "<f4")), "weights that are NaN or infinite"),
        (lambda f, n: f.create_dataset(n, data=np.zeros((6, 7), "<f4")), "weights of shape (6, 7); expected 5 columns"),
        (lambda f, n: f.create_dataset(n, data=np.zeros(6, "<f4")), "has weights of shape (6,); expected 5 columns"),
        (lambda f, n: None, "/layers/dense/vars/0 is missing"),
    ],
    ids=[
        "external", "gzip", "bomb", "int8", "complex", "strings", "empty", "group", "nan", "shape", "vector", "missing"
    ],
)  # fmt: skip
@pytest.mark.usefixtures("outputs")
def test_strange_values(make: Callable[..., None], said: str, folder: Path, tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense/vars/0"]
        make(file, "layers/dense/vars/0")

    assert said in refusal(archive(tmp_path / "strange.keras", folder / "sequential.keras", with_weights(change)))


@pytest.mark.usefixtures("outputs")
def test_virtual_dataset(folder: Path, tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense/vars/0"]
        layout = h5py.VirtualLayout((6, 5), "<f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (6, 5))
        file.create_virtual_dataset("layers/dense/vars/0", layout)

    path = archive(tmp_path / "virtual.keras", folder / "sequential.keras", with_weights(change))
    assert "keeps its values in another file" in refusal(path)


@pytest.mark.usefixtures("outputs")
def test_one_array_linked_many_times_is_not_read_many_times(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analog_fhn._support.hdf5.LIMIT", 4 * 4 * 4 * 10)
    path = tmp_path / "many.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.eye(4, dtype=np.float32)
        for k in range(1, 11):
            file[f"layers/dense_{k}"] = file["layers/dense"]
    assert "more than it holds or than the 640 that are read" in refusal(path, hidden="tanh")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda m: m.pop("config.json"), {}, "config.json not in it"),
        (lambda m: m.pop("model.weights.h5"), {}, "model.weights.h5 not in it"),
        (lambda m: m.update({"config.json": b"{"}), {}, "config.json: cannot be read as JSON"),
        (lambda m: m.update({"config.json": b"[" * 100_000}), {}, "config.json: JSON nested deeper than 64 levels"),
        (lambda m: m.update({"config.json": b"[]"}), {}, "config.json: holds no names and values"),
        (lambda m: m.update({"model.weights.h5": m["model.weights.h5"][:900]}), {}, "is damaged or too large"),
        (lambda m: None, {"compression": zipfile.ZIP_LZMA}, "packed by a method other than 'deflated'"),
    ],
    ids=["no config", "no weights", "no JSON", "deep JSON", "other JSON", "cut weights", "lzma"],
)
@pytest.mark.usefixtures("outputs")
def test_strange_archives(
    change: Callable[[dict[str, Any]], None], options: dict[str, Any], said: str, folder: Path, tmp_path: Path
) -> None:
    assert said in refusal(archive(tmp_path / "strange.keras", folder / "sequential.keras", change, **options))


@pytest.mark.usefixtures("outputs")
def test_archive_that_unpacks_to_too_much(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    archive(
        path, folder / "sequential.keras", lambda m: m.update({"x": bytes(2**21)}), compression=zipfile.ZIP_DEFLATED
    )
    content = path.read_bytes()
    # Two mebibytes of zeros, declared as more than the limit.
    claimed = (2**30 + 2**21).to_bytes(4, "little")
    assert (2**21).to_bytes(4, "little") in content
    path.write_bytes(content.replace((2**21).to_bytes(4, "little"), claimed))
    assert "unpacks to 1026 MiB; expected at most 1024 MiB" in refusal(path)


@pytest.mark.usefixtures("outputs")
def test_layer_of_the_users_own_code(folder: Path, tmp_path: Path) -> None:
    def change(members: dict[str, Any]) -> None:
        model = json.loads(members["config.json"])
        model["config"]["layers"][1] |= {"module": "os", "registered_name": "Custom>Dense"}
        members["config.json"] = json.dumps(model).encode()

    path = archive(tmp_path / "own.keras", folder / "sequential.keras", change)
    assert "layer 'z' is a Dense of the user's own, which is not run" in refusal(path)


@pytest.mark.parametrize("name", ["sequential.keras", "sequential.weights.h5", "sequential.h5"])
@pytest.mark.usefixtures("outputs")
def test_cut_files(name: str, folder: Path, tmp_path: Path) -> None:
    whole = (folder / name).read_bytes()
    path = tmp_path / name
    for length in range(0, len(whole), len(whole) // 8):
        path.write_bytes(whole[:length])
        refusal(path, hidden="sigmoid")


def test_other_hdf5_file(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file["node/nodes"] = 1.0
    assert "no Keras weights in this HDF5 file (it holds: node)" in refusal(path)
