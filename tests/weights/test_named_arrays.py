"""Files of named arrays: safetensors, NumPy's .npz, and the pickles that are not opened."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from trap import Trap

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FHN

RNG = np.random.default_rng(11)
W0, B0 = RNG.normal(size=(6, 5)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
W1, B1 = RNG.normal(size=(5, 4)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
T0, T1 = np.ascontiguousarray(W0.T), np.ascontiguousarray(W1.T)

PYTORCH = {"0.weight": T0, "0.bias": B0, "2.weight": T1, "2.bias": B1}
NAMES = {
    "sequential": PYTORCH,
    "attributes": {"fc1.weight": T0, "fc1.bias": B0, "fc2.weight": T1, "fc2.bias": B1},
    "wrapped": {f"module.net.{name}": array for name, array in PYTORCH.items()},
    "keras": {"dense/kernel": W0, "dense/bias": B0, "dense_1/kernel": W1, "dense_1/bias": B1},
    "keras 2": {"z/kernel:0": W0, "z/bias:0": B0, "z_1/kernel:0": W1, "z_1/bias:0": B1},
    "own": {"w0": W0, "b0": B0, "w1": W1, "b1": B1},
    "from one": {"W1": W0, "b1": B0, "W2": W1, "b2": B1},
}
SAVE: dict[str, Callable[..., Any]] = {
    ".safetensors": lambda path, arrays: save_file(arrays, path),
    ".npz": lambda path, arrays: np.savez(path, **arrays),
}


def network(path: Path, **options: Any) -> Network:
    return weights.to_network(weights.read(path), **options)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        network(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


def saved(path: Path, arrays: dict[str, Any]) -> Path:
    SAVE[path.suffix](path, arrays)
    return path


def assert_is_the_network(net: Network) -> None:
    for found, given in zip((*net.weights, *net.biases), (W0, W1, B0, B1), strict=True):
        assert found is not None
        np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("names", NAMES)
def test_names_tell_order_and_orientation(names: str, suffix: str, tmp_path: Path) -> None:
    # written in the reverse order
    arrays = dict(reversed(NAMES[names].items()))
    assert_is_the_network(network(saved(tmp_path / f"net{suffix}", arrays), hidden="tanh"))


@pytest.mark.parametrize("suffix", SAVE)
def test_square_layers_are_turned_by_their_name(suffix: str, tmp_path: Path) -> None:
    square = RNG.normal(size=(5, 5))
    path = saved(tmp_path / f"net{suffix}", {"0.weight": square, "2.weight": square[:3]})
    np.testing.assert_array_equal(weights.read(path).weights[0], square.T)
    path = saved(path, {"0/kernel": square, "2/kernel": square[:, :3]})
    np.testing.assert_array_equal(weights.read(path).weights[0], square)


@pytest.mark.parametrize("suffix", SAVE)
def test_tenth_layer_comes_after_the_second(suffix: str, tmp_path: Path) -> None:
    arrays = {f"{2 * k}.weight": np.full((2, 2), float(k)) for k in range(12)}
    found = weights.read(saved(tmp_path / f"net{suffix}", arrays))
    assert [w[0, 0] for w in found.weights] == list(range(12))


def test_list_of_a_keras_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", *(W0, B0, W1, B1))
    assert_is_the_network(network(tmp_path / "net.npz", hidden="sigmoid"))


def test_long_list_without_biases(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", *(np.full((2, 2), float(k)) for k in range(12)))
    found = weights.read(tmp_path / "net.npz")
    assert [w[0, 0] for w in found.weights] == list(range(12))
    assert found.biases == (None,) * 12


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
def test_biases_may_be_rows_or_columns(shape: tuple[int, int], suffix: str, tmp_path: Path) -> None:
    arrays = {name: a.reshape(shape) if "bias" in name else a for name, a in PYTORCH.items()}
    assert_is_the_network(network(saved(tmp_path / f"net{suffix}", arrays), hidden="tanh"))


def test_rows_of_biases_in_a_list(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", W0, B0[None], W1, B1[None])
    assert_is_the_network(network(tmp_path / "net.npz", hidden="sigmoid"))


def test_a_row_after_one_output_is_a_layer(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", W0[:, :1], W1[:1, :1], W1[:1])
    assert [w.shape for w in weights.read(tmp_path / "net.npz").weights] == [(6, 1), (1, 1), (1, 4)]


def test_a_counter_of_the_training_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors", PYTORCH | {"1.num_batches_tracked": np.array(7)})
    assert weights.read(path).notes == ("1.num_batches_tracked left out: a counter of the training",)


def test_some_biases(tmp_path: Path) -> None:
    found = weights.read(saved(tmp_path / "net.safetensors", {"0.weight": T0, "2.weight": T1, "2.bias": B1}))
    assert found.biases[0] is None
    np.testing.assert_array_equal(found.biases[1], B1)


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_of_floats(dtype: Any, suffix: str, tmp_path: Path) -> None:
    arrays = {name: array.astype(dtype) for name, array in PYTORCH.items()}
    found = weights.read(saved(tmp_path / f"net{suffix}", arrays))
    assert found.weights[0].dtype == np.float64
    np.testing.assert_array_equal(found.weights[0], W0.astype(dtype))


def raw_safetensors(path: Path, **tensors: tuple[str, list[int], bytes]) -> Path:
    """A file by the format's own words: header length, JSON header, bytes."""
    header, content = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(content), len(content) + len(data)]}
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def test_bfloat16(tmp_path: Path) -> None:
    # 1, -2, 0.15625 (1.01 binary, 2^-3), largest power below overflow: sign, eight bits of exponent, seven of fraction
    bits = np.array([0x3F80, 0xC000, 0x3E20, 0x7F00], "<u2").tobytes()
    path = raw_safetensors(tmp_path / "net.safetensors", w0=("BF16", [2, 2], bits), w1=("BF16", [2, 2], bits))
    np.testing.assert_array_equal(weights.read(path).weights[0], [[1.0, -2.0], [0.15625, 2.0**127]])


@pytest.mark.parametrize(("dtype", "size"), [("F8_E4M3", 1), ("I8", 1), ("I64", 8), ("BOOL", 1)])
def test_other_types_are_named(dtype: str, size: int, tmp_path: Path) -> None:
    path = raw_safetensors(tmp_path / "net.safetensors", w0=(dtype, [2, 2], bytes(4 * size)))
    assert f"w0 has type {dtype}: expected F16, BF16, F32 or F64; convert it before saving" in refusal(path)


def test_integers_in_npz(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "net.npz", {"w0": np.ones((2, 2), np.int8)}))
    assert "w0 has type int8: expected float16, bfloat16, float32 or float64 (quantised weights need" in message


def test_activation_in_the_metadata(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(PYTORCH, path, metadata={"hidden": "tanh"})
    assert network(path).hidden == "tanh"
    assert "'sigmoid' asked for, but the file says 'tanh'" in refusal(path, hidden="sigmoid")
    save_file(PYTORCH, path, metadata={"hidden": "relu"})
    assert "the activations of hidden layer 0 (relu) have no upper end" in refusal(path)
    np.savez(tmp_path / "net.npz", **PYTORCH, hidden=np.array("gelu"))
    assert "hidden activation 'gelu' falls and rises again, without bound" in refusal(tmp_path / "net.npz")
    assert network(tmp_path / "net.npz", nearest=True, ceilings=2.0).ceilings == (2.0,)
    np.savez(tmp_path / "net.npz", **PYTORCH, hidden=np.array(1.0))
    assert "'hidden' has type float64 and shape (); expected one text: 'sigmoid'" in refusal(tmp_path / "net.npz")


def test_units_that_do_not_fit_the_layers(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.npz", PYTORCH | {"hidden": np.array("tanh, sigmoid")})
    assert f"{path}: network has 2 weight layers but 2 units; expected 1" in refusal(path)


@pytest.mark.parametrize(("name", "kind"), [("net.safetensors", "safetensors file"), ("net.npz", "NumPy file")])
def test_activation_that_nobody_says(name: str, kind: str, tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / name, PYTORCH))
    assert (
        f"this {kind} does not say the hidden activation; say it: --hidden sigmoid, --hidden tanh or --hidden relu"
        in message
    )


@pytest.mark.parametrize(("hidden", "slope"), [("sigmoid", 0.5), ("tanh", 1.0)])
def test_slope_matches_the_activation(hidden: Any, slope: float, tmp_path: Path) -> None:
    net = network(saved(tmp_path / "net.safetensors", PYTORCH), hidden=hidden, input_range=(-1.0, 2.0))
    assert (net.hidden, net.fhn.slope, net.input_range) == (hidden, slope, (-1.0, 2.0))


def test_provenance_names_the_file(tmp_path: Path) -> None:
    import hashlib

    path = saved(tmp_path / "net.safetensors", PYTORCH)
    net = network(path, hidden="tanh")
    net.save(tmp_path / "net.npz")
    assert Network.load(tmp_path / "net.npz").provenance["imported"] == {
        "file": "net.safetensors",
        "format": "safetensors file",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "notes": [],
    }


def test_network_file_keeps_its_settings(tmp_path: Path) -> None:
    net = Network.of_weights(
        (W0, W1), (B0, None), "tanh", fhn=FHN(gamma=-1.5, slope=0.7), readout="vote", recentre=False,
        input_range=(0.0, 16.0), provenance={"made": "by hand"},
    )  # fmt: skip
    net.save(tmp_path / "net.npz")
    found = network(tmp_path / "net.npz")
    assert found.provenance.pop("made") == "by hand"
    assert found.provenance.pop("imported")["file"] == "net.npz"
    assert found.provenance == {}
    for name in ("hidden", "fhn", "protocol", "readout", "recentre", "input_range", "sha256"):
        assert getattr(found, name) == getattr(net, name), name
    assert "'sigmoid' asked for, but the file says 'tanh'" in refusal(tmp_path / "net.npz", hidden="sigmoid")


@pytest.mark.parametrize("name", ["net.npz", "net.keras", "net.txt", "net.pt", "net"])
def test_content_and_not_the_name_tells_the_format(name: str, tmp_path: Path) -> None:
    save_file(PYTORCH, tmp_path / name)
    assert_is_the_network(network(tmp_path / name, hidden="tanh"))


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"0.weight": W0, "2.weight": W1},
            "0.weight (6, 5), 2.weight (5, 4): read as (out, in), as PyTorch stores .weight, the layers do not follow "
            "each other; as (in, out), they would: transpose them or name them .kernel; if it is the order",
        ),
        (
            {"w0": T0, "w1": T1},
            "w0 (5, 6), w1 (4, 5): read as (in, out), the layers do not follow each other; as (out, in), as PyTorch "
            "stores .weight, they would: transpose them or name them .weight",
        ),
        ({"arr_0": T0, "arr_1": B0, "arr_2": T1}, "arr_0 (5, 6), arr_2 (4, 5): read as (in, out)"),
        ({"w0": W0, "w1": np.ones((7, 4))}, "the outputs of one layer are not as many as the inputs of the next"),
        ({"w0": W0, "b0": B1, "w1": W1}, "b0 has shape (4,): expected (5,)"),
        ({"w0": W0, "w1": np.full((5, 4), np.nan)}, "w1 holds 20 NaN or infinite values, the first at index (0, 0)"),
        ({"w0": W0}, "network has 1 weight layers; expected at least 2"),
        ({}, "holds no arrays; expected 0.weight and 0.bias (PyTorch)"),
        ({"bn.num_batches_tracked": B0}, "holds no layers with weights; expected fully connected ones"),
        ({"a": W0, "b": B0}, "holds a, b; expected only 0.weight and 0.bias"),
        ({**PYTORCH, **{f"x{k}": B0 for k in range(7)}}, "holds x0, x1, x2, x3, x4 and 2 more; expected only"),
        ({**PYTORCH, "1.running_mean": B0}, "1.running_mean: layer '1' normalises batches, which the circuit does"),
        ({**PYTORCH, "n/moving_variance": B0}, "n/moving_variance: layer 'n' normalises batches"),
        ({"0.weight": T0, "1.weight": B0, "2.weight": T1}, "1.weight has shape (5,): expected a matrix; only fully"),
        ({"0.weight": np.ones((4, 1, 3, 3))}, "0.weight has shape (4, 1, 3, 3): expected a matrix"),
        ({"0.weight": T0, "2.kernel": W1}, "0.weight, 2.kernel: names of several kinds; expected one kind"),
        ({"0.weight": T0, "0.kernel": W0}, "belong to one layer; expected one of them"),
        ({"0.weight": T0, "1.bias": B0, "2.weight": T1}, "1.bias without the weights of that layer"),
        ({"arr_0": B0, "arr_1": W0}, "arr_0 has shape (5,): expected weights before each bias"),
        ({"arr_0": W0, "arr_1": B0, "arr_2": B0}, "arr_2 has shape (5,): expected weights before each bias"),
        ({"w0": W0, "w1": W1[:, :1]}, "one output, a threshold between two classes that the file does not tell"),
    ],
)
@pytest.mark.parametrize("suffix", SAVE)
def test_arrays_that_make_no_network(arrays: dict[str, Any], said: str, suffix: str, tmp_path: Path) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    assert said in refusal(saved(tmp_path / f"net{suffix}", arrays), hidden="tanh")


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return path


CONVERT = (
    "is a pickle, which could run code when loaded; convert it where it was trained, in Python:\n"
    "import torch, safetensors.torch\n"
    "safetensors.torch.save_file(torch.load('{name}', weights_only=True), 'net.safetensors')"
)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.bin", "net.safetensors", "net.keras"])
def test_pytorch_file_is_not_opened(name: str, tmp_path: Path) -> None:
    # what torch.save writes: a zip archive with a pickle and the arrays beside it
    path = zipped(tmp_path / name, net__data_pkl=pickle.dumps(Trap()), net__version=b"3\n", net__data__0=bytes(80))
    assert refusal(path) == f"{path}: {CONVERT.format(name=name)}"
    for protocol in (2, 3, 4, 5):
        path.write_bytes(pickle.dumps(Trap(), protocol=protocol))
        assert refusal(path) == f"{path}: {CONVERT.format(name=name)}"
    assert Trap.sprung == 0


def test_old_pytorch_file_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(pickle.dumps(Trap(), protocol=0))
    assert "save_file(torch.load(" in refusal(path)


@pytest.mark.parametrize("name", ["net.pkl", "net.joblib"])
def test_other_pickles_become_numpy_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"w0": W0}))
    said = refusal(path)
    assert 'skops.io.dump(model, "net.skops")' in said
    assert 'numpy.savez("net.npz", w0=..., b0=..., w1=..., b1=...)' in said
    assert said.endswith("# of anything else; w: (inputs, outputs)")


def test_objects_in_npz_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w0=np.array([[Trap()]], dtype=object))
    assert "holds pickled Python objects" in refusal(tmp_path / "net.npz")
    assert Trap.sprung == 0


def test_npz_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.npz"
    np.savez_compressed(path, w0=np.zeros((1000, 600)), w1=np.zeros((600, 2)))
    assert path.stat().st_size < 10_000
    network(path, hidden="tanh")
    monkeypatch.setattr("analog_fhn._support.limits.LIMIT", 2**20)
    assert "unpacks to 5 MiB; expected at most 1 MiB" in refusal(path)


def test_file_of_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with path.open("wb") as file:
        file.truncate(2**30 + 2**20)
    assert refusal(path) == f"{path}: 1025 MiB; expected at most 1024 MiB"


def test_npz_with_a_lying_header(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.npz", {"w1": W1})
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<f8", "fortran_order": False, "shape": (4_000_000_000, 4_000_000_000)}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w0.npy", array.getvalue())
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize("suffix", SAVE)
def test_cut_files(suffix: str, tmp_path: Path) -> None:
    whole = saved(tmp_path / f"whole{suffix}", PYTORCH).read_bytes()
    path = tmp_path / f"net{suffix}"
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        refusal(path, hidden="tanh")


@pytest.mark.parametrize("suffix", SAVE)
def test_altered_files_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    whole = saved(tmp_path / f"whole{suffix}", PYTORCH).read_bytes()
    path = tmp_path / f"net{suffix}"
    refused = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        # anything but an InputError is the test's failure
        with contextlib.suppress(InputError):
            network(path, hidden="tanh")
            continue
        refused += 1
    # In safetensors most bytes are values, which have no checksum.
    assert refused > len(whole) // 30


@pytest.mark.parametrize(("name", "content"), [("net.txt", b"w0 = 1\n"), ("net.npz", b"")])
def test_unknown_content(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path}: is no weight file that is known here; expected .onnx, .keras, .weights.h5, .safetensors, .npz, .h5, "
        ".skops, .eqx"
    )


def test_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "net.npy", W0)
    assert "holds 1 layers; expected at least 2 (hidden and output)" in refusal(tmp_path / "net.npy")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.keras").endswith("cannot be read: No such file or directory")
    assert "is no file; expected one that ends in .onnx, .keras" in refusal(tmp_path)
    assert "is no file" in refusal(Path("/dev/zero"))


def test_notes_reach_the_network(tmp_path: Path) -> None:
    trained = replace(weights.read(saved(tmp_path / "net.npz", NAMES["own"])), notes=("a", "b"))
    assert weights.to_network(trained, hidden="tanh").provenance["imported"]["notes"] == ["a", "b"]
