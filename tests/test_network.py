"""The network: its arithmetic, its file, and what it refuses."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol


def make(hidden: str = "sigmoid", bias: bool = True, seed: int = 0, **settings: Any) -> Network:
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(6, 4)), rng.normal(size=(4, 3)))
    biases = (rng.normal(size=4), rng.normal(size=3)) if bias else ()
    return Network.of_weights(weights, biases, hidden, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("hidden", "function"), [("sigmoid", expit), ("tanh", np.tanh)])
def test_forward_is_two_layers(hidden: str, function: Callable[[Any], Any]) -> None:
    net = make(hidden)
    images = np.random.default_rng(1).random((5, 6))
    (w0, w1), (b0, b1) = net.weights, net.biases
    expected = np.einsum("ih,hk->ik", function(np.einsum("ij,jh->ih", images, w0) + b0), w1) + b1
    np.testing.assert_allclose(net.forward(images), expected, rtol=1e-13, atol=1e-14)


def test_forward_without_biases() -> None:
    net = make(bias=False)
    images = np.random.default_rng(1).random((5, 6))
    expected = expit(images @ net.weights[0]) @ net.weights[1]
    np.testing.assert_allclose(net.forward(images), expected, rtol=1e-13, atol=1e-14)


def test_forward_does_not_overflow() -> None:
    net = Network.of_weights((np.array([[1000.0, -1000.0]]), np.eye(2)))
    np.testing.assert_array_equal(net.forward(np.ones((1, 1))), [[1.0, 0.0]])


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [False, True])
def test_save_and_load_give_the_same_network(hidden: str, bias: bool, tmp_path: Path) -> None:
    net = make(
        hidden, bias, fhn=FHN(0.02, 1.05, -1.5, 0.7), protocol=Protocol(10.0, 20.0, 0.1, 0.3, 0.1), readout="vote",
        recentre=False, input_range=(-1.0, 2.0), provenance={"made": ["by", 1]},
    )  # fmt: skip
    path = tmp_path / "folder" / "net.npz"
    net.save(path)
    loaded = Network.load(path)
    for name in ("hidden", "fhn", "protocol", "readout", "recentre", "input_range", "provenance", "sha256"):
        assert getattr(loaded, name) == getattr(net, name), name
    for one, other in zip(loaded.weights, net.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for b, c in zip(loaded.biases, net.biases, strict=True):
        np.testing.assert_array_equal(b, c)


def test_file_is_plain_arrays_and_json(tmp_path: Path) -> None:
    make().save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["b0", "b1", "meta", "w0", "w1"]
        assert file["w0"].shape == (6, 4)
        assert {"format", "layers", "fhn", "readout", "provenance", "sha256"} <= json.loads(str(file["meta"])).keys()


def as_format_1(meta: dict[str, Any]) -> None:
    """Turn what a file of format 2 says into what one of format 1 says, which has stages in place of layers."""
    layers = meta.pop("layers")
    drives = {"linear": {"tanh": "input"}, "tanh": {}}
    stages = [{"type": "fhn", "trained_as": one["unit"]} | drives[one["drive"]] for one in layers if one.get("unit")]
    stages += [{"type": "sigmoid"} for one in layers if one.get("function") == "sigmoid"]
    meta |= {"format": 1, "stages": stages}


def altered(
    path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], version: int = 2, **options: Any
) -> Path:
    """Network file of a format at `path` whose meta and arrays were changed after saving."""
    make(**options).save(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    if version == 1:
        as_format_1(meta)
    change(meta, arrays)
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Network.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.npz")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_other_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    path.write_text("w0 = 1\n")
    assert refusal(path) == f"{path}: is no .npz file; expected one that holds a network"


def test_pickled_file(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, w0=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "pickled Python objects" in refusal(path)


def test_bare_pickle(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    path.write_bytes(pickle.dumps({"w0": 1}))
    assert refusal(path) == f"{path}: is no .npz file; expected one that holds a network"


def test_archive_of_other_arrays(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, images=np.zeros(3))
    assert "no 'meta' in it (found: images)" in refusal(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_archive_is_an_input_error(save: Callable[..., None], tmp_path: Path) -> None:
    path, whole = tmp_path / "net.npz", tmp_path / "whole.npz"
    make().save(whole)
    with np.load(whole) as file:
        save(whole, **file)
    refused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        raw = bytearray(whole.read_bytes())
        start, length = rng.integers(len(raw)), rng.integers(1, 30)
        raw[start : start + length] = rng.bytes(length)
        path.write_bytes(raw)
        try:
            Network.load(path)
        except InputError:
            refused += 1
    # The rest is damage to what nothing reads, such as the time stamps of the archive.
    assert refused > 250


def test_meta_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, meta=np.array("{"), w0=np.zeros((1, 1)))
    assert "'meta': cannot be read as JSON" in refusal(path)


@pytest.mark.parametrize("key", ["format", "layers", "fhn", "protocol", "readout", "input_range", "sha256", "stages"])
def test_missing_key(key: str, tmp_path: Path) -> None:
    version = 1 if key == "stages" else 2
    assert f"'{key}' is missing" in refusal(altered(tmp_path / "net.npz", lambda meta, _: meta.pop(key), version))


def test_missing_array(tmp_path: Path) -> None:
    assert "'w1' is missing" in refusal(altered(tmp_path / "net.npz", lambda _, arrays: arrays.pop("w1")))


def test_leaky_relu_is_refused_with_two_ways_out(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(stages=[{"type": "LeakyReLU"}]), version=1)
    message = refusal(path)
    assert "'LeakyReLU' falls without bound below 0" in message
    assert "import --nearest" in message
    assert "train --start" in message


def test_relu_without_a_ceiling_is_refused(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(stages=[{"type": "relu"}]), version=1)
    assert "layer 0 is a relu without a ceiling" in refusal(path)


def test_unknown_activation(tmp_path: Path) -> None:
    stages = [{"type": "fhn", "trained_as": "sine"}]
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(stages=stages), version=1)
    assert "'sine': expected 'sigmoid', 'tanh' or 'relu'" in refusal(path)


def test_different_stages(tmp_path: Path) -> None:
    stages = [{"type": "fhn", "trained_as": "sigmoid"}, {"type": "fhn", "trained_as": "tanh"}]
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(stages=stages), version=1)
    assert "expected one activation for all hidden layers" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_weight_is_named_by_its_index(value: float, tmp_path: Path) -> None:
    def change(_: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays["w0"][3, 2] = value

    message = refusal(altered(tmp_path / "net.npz", change))
    assert "w0 holds 1 NaN or infinite values, the first at index (3, 2)" in message


def test_text_in_place_of_numbers(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(w1=np.full((4, 3), "x")))
    assert "w1 has type <U1: expected real numbers" in refusal(path)


def test_wrong_number_of_rows(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(w1=np.zeros((5, 3))))
    message = refusal(path)
    assert "w1 has shape (5, 3): expected 4 rows" in message
    assert "transposed" not in message


def test_transposed_weights_are_recognised(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(w1=arrays["w1"].T))
    assert "is it transposed, as PyTorch stores it?" in refusal(path)


def test_wrong_bias(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(b1=np.zeros(4)))
    assert "b1 has shape (4,): expected (3,)" in refusal(path)


def test_empty_layer(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(w0=np.zeros((0, 4))))
    assert "w0 has shape (0, 4)" in refusal(path)


@pytest.mark.parametrize("array", ["w0", "w1", "b0", "b1"])
def test_altered_array_does_not_match_its_hash(array: str, tmp_path: Path) -> None:
    def change(_: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays[array].flat[0] += 1e-12

    assert "do not match their SHA-256" in refusal(altered(tmp_path / "net.npz", change))


def test_dropped_bias_does_not_match_its_hash(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.pop("b0"))
    assert "do not match their SHA-256" in refusal(path)


@pytest.mark.parametrize("section", ["fhn", "protocol"])
def test_unknown_setting(section: str, tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta[section].update(epsilon=0.01))
    assert "settings epsilon; known:" in refusal(path)


@pytest.mark.parametrize(("section", "key"), [("fhn", "gamma"), ("protocol", "settle")])
def test_missing_setting(section: str, key: str, tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta[section].pop(key))
    message = refusal(path)
    assert key in message
    assert "missing" in message


def test_impossible_setting(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta["fhn"].update(gamma=0))
    assert "FHN gamma = 0" in refusal(path)


@pytest.mark.parametrize("value", [0, 3, "1"])
def test_other_format(value: object, tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(format=value))
    assert refusal(path).endswith(f"format {value!r}; this version reads formats 1 and 2")


def test_extra_arrays(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda _, arrays: arrays.update(w2=np.zeros((3, 3))))
    assert "unexpected arrays w2 beside 2 layers" in refusal(path)


def test_unknown_readout(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta["readout"].update(type="loudest"))
    assert "readout 'loudest': expected 'vote' or 'mean'" in refusal(path)


@pytest.mark.parametrize("value", [[1.0, 0.0], [0.0, None], [0.0]])
def test_impossible_input_range(value: list[Any], tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(input_range=value))
    assert refusal(path)


def test_single_layer_is_no_network() -> None:
    with pytest.raises(InputError, match="1 weight layers; expected at least 2"):
        Network.of_weights((np.zeros((3, 2)),))


def test_number_of_biases_must_be_that_of_layers() -> None:
    with pytest.raises(InputError, match="2 weight layers but 1 biases"):
        Network.of_weights((np.zeros((3, 2)), np.zeros((2, 2))), (None,))


@pytest.mark.parametrize(
    ("option", "value"),
    [("gamma", -0.3), ("slope", 2.0), ("a", 1.05), ("eps", 0.05), ("readout", "vote"), ("recentre", False),
     ("settle", 0.0), ("control", 40.0)],
)  # fmt: skip
def test_with_options_changes_one_setting(option: str, value: Any) -> None:
    def flat(network: Network) -> dict[str, Any]:
        return {
            **asdict(network.fhn), **asdict(network.protocol), "readout": network.readout,
            "recentre": network.recentre, "hidden": network.hidden, "sha256": network.sha256,
        }  # fmt: skip

    net = make()
    assert flat(net)[option] != value
    assert flat(net.with_options(**{option: value})) == flat(net) | {option: value}


def test_paper_protocol() -> None:
    # shared by the paper: slope 1 as printed, settle 1000, raw x, vote; the control record of 1000 is our choice
    net = make(fhn=FHN(a=1.05, gamma=-4.0)).paper_protocol()
    assert (net.fhn, net.readout, net.recentre) == (FHN(a=1.05, gamma=-4.0, slope=1.0), "vote", False)
    assert (net.protocol.settle, net.protocol.control) == (1000.0, 1000.0)


def test_hash_depends_on_the_shape() -> None:
    one = Network.of_weights((np.ones((2, 6)), np.ones((6, 4))))
    other = Network.of_weights((np.ones((4, 3)), np.ones((3, 8))))
    assert one.sha256 != other.sha256


STAGES = [("drive", "linear"), ("input", "linear"), ("drive", "sigmoid"), ("input", "sigmoid")]


@pytest.mark.parametrize(("tanh", "behind"), STAGES)
def test_stages_survive_the_file(tanh: str, behind: str, tmp_path: Path) -> None:
    make(tanh=tanh, behind=behind).save(tmp_path / "net.npz")
    loaded = Network.load(tmp_path / "net.npz")
    assert (loaded.tanh, loaded.behind) == (tanh, behind)
    assert loaded.plain_stages == ((tanh, behind) == ("drive", "linear"))


def test_files_from_before_the_stages_load_with_the_defaults(tmp_path: Path) -> None:
    # A file of format 1 as it was first written.
    stages = [{"type": "fhn", "trained_as": "tanh"}]
    path = altered(tmp_path / "net.npz", lambda meta, _: meta.update(stages=stages), version=1)
    loaded = Network.load(path)
    assert (loaded.hidden, loaded.tanh, loaded.behind) == ("tanh", "drive", "linear")


def test_the_file_says_the_layers(tmp_path: Path) -> None:
    make(tanh="input", behind="sigmoid").save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as file:
        assert json.loads(str(file["meta"]))["layers"] == [
            {"kind": "pointwise", "function": "tanh"},
            {"kind": "dense", "unit": "sigmoid", "drive": "linear"},
            {"kind": "pointwise", "function": "sigmoid"},
            {"kind": "dense", "unit": None, "drive": "tanh"},
        ]


@pytest.mark.parametrize("stage", [{"type": "softmax"}, {"type": "tanh"}])
def test_unknown_stage_behind_the_neurons(stage: dict[str, str], tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta["stages"].append(stage), version=1)
    assert "differ" in refusal(path)


def test_unknown_place_of_the_tanh(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta["stages"][0].update(tanh="output"), version=1)
    assert "tanh 'output': expected 'drive' or 'input'" in refusal(path)


@pytest.mark.parametrize(("tanh", "behind"), STAGES[1:])
def test_other_stages_are_for_one_hidden_layer(tanh: str, behind: str) -> None:
    with pytest.raises(InputError, match=r"2 hidden layers, tanh .*; expected one hidden layer"):
        Network.of_weights((np.ones((2, 3)),) + (np.ones((3, 3)),) * 2, tanh=tanh, behind=behind)  # type: ignore[arg-type]


@pytest.mark.parametrize("recentre", [True, False])
def test_plain_network_with_sigmoids_behind_has_the_backward_pass_in_the_neurons_place(recentre: bool) -> None:
    fhn = FHN(a=1.05, gamma=-1.5, slope=0.8)
    net = make(fhn=fhn, tanh="input", behind="sigmoid", recentre=recentre)
    images = np.random.default_rng(1).random((5, 6))
    (w0, w1), (b0, b1) = net.weights, net.biases
    h = expit(2 * 0.8 * (np.tanh(images) @ w0 + b0))  # of height 1; x swings by 2 |gamma| around -a
    rows = h if recentre else -1.05 + 1.5 * (2 * h - 1)
    np.testing.assert_allclose(net.forward(images), expit(rows) @ w1 + b1, rtol=1e-12, atol=1e-12)


def deep(units: Any = ("tanh", "sigmoid"), **settings: Any) -> Network:
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=shape) for shape in ((5, 4), (4, 3), (3, 2))]
    return Network.of_weights(weights, (rng.normal(size=4), None, np.ones(2)), units, **settings)


def test_units_of_each_layer_survive_the_file(tmp_path: Path) -> None:
    net = deep(fhn=FHN(slope=1.0))
    net.save(tmp_path / "net.npz")
    loaded = Network.load(tmp_path / "net.npz")
    assert (loaded.units, loaded.hidden, loaded.layer_sizes) == (("tanh", "sigmoid"), "tanh, sigmoid", (5, 4, 3, 2))
    assert (loaded.sha256, loaded.fhn, loaded.neurons) == (net.sha256, net.fhn, net.neurons)
    images = np.random.default_rng(1).random((5, 5))
    np.testing.assert_array_equal(loaded.forward(images), net.forward(images))
    (w0, w1, w2), (b0, _, b2) = net.weights, net.biases
    expected = expit(np.tanh(images @ w0 + b0) @ w1) @ w2 + b2
    np.testing.assert_allclose(net.forward(images), expected, rtol=1e-13, atol=1e-14)


def test_slopes_follow_the_units() -> None:
    assert [fhn.slope for fhn in deep(fhn=FHN(slope=1.0)).neurons] == [1.0, 0.5]
    assert [fhn.slope for fhn in deep(("sigmoid", "tanh"), fhn=FHN(slope=0.6)).neurons] == [0.6, 1.2]
    alike = deep("tanh", fhn=FHN(slope=0.7, gamma=-1.2))
    assert alike.neurons == (alike.fhn,) * 2


def test_a_file_of_format_1_is_read(tmp_path: Path) -> None:
    """As it was written before there were layers in it."""
    net = deep("tanh", readout="vote")
    arrays = {"w0": net.weights[0], "w1": net.weights[1], "w2": net.weights[2], "b0": net.biases[0], "b2": np.ones(2)}
    meta = {
        "format": 1,
        "stages": [{"type": "fhn", "trained_as": "tanh"}] * 2,
        "fhn": {"eps": 0.01, "a": 1.0, "gamma": -1.0, "slope": 0.5},
        "protocol": {"settle": 100.0, "control": 200.0, "interval": 0.2, "x0": -1.0, "y0": -0.6},
        "readout": {"type": "vote", "recentre": True},
        "input_range": [0.0, 1.0],
        "provenance": {"made": "before"},
        "sha256": net.sha256,
    }
    np.savez(tmp_path / "net.npz", meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]
    loaded = Network.load(tmp_path / "net.npz")
    assert (loaded.units, loaded.readout, loaded.fhn) == (("tanh", "tanh"), "vote", FHN())
    assert loaded.provenance == {"made": "before"}
    images = np.random.default_rng(1).random((5, 5))
    np.testing.assert_array_equal(loaded.forward(images), net.forward(images))


@pytest.mark.parametrize(("tanh", "behind"), STAGES)
def test_files_of_format_1_have_the_papers_stages(tanh: str, behind: str, tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda *_: None, version=1, tanh=tanh, behind=behind)
    loaded = Network.load(path)
    assert (loaded.tanh, loaded.behind, loaded.units) == (tanh, behind, ("sigmoid",))


def test_layers_that_do_not_chain_are_both_named(tmp_path: Path) -> None:
    weights = (np.ones((5, 4)), np.ones((3, 4)), np.ones((4, 2)))
    with pytest.raises(InputError, match=r"w1 has shape \(3, 4\): expected 4 rows, as many as w0 has columns"):
        Network.of_weights(weights)


def test_as_many_units_as_hidden_layers() -> None:
    with pytest.raises(InputError, match="3 weight layers but 3 units; expected 2, none behind the last"):
        deep(("tanh", "sigmoid", "tanh"))


def test_layers_of_a_deeper_network() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((5, 4), (4, 3), (3, 2))]
    net = Network.of_weights(tuple(weights), (None, np.ones(3), None), "tanh", readout="vote")
    second = net.layer(1)
    assert second.layer_sizes == (4, 3, 2)
    assert (second.hidden, second.readout) == ("tanh", "vote")
    np.testing.assert_array_equal(second.weights[0], weights[1])
    np.testing.assert_array_equal(second.biases[0], np.ones(3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fhn": {"eps": 10**39, "a": 1.0, "gamma": -1.0, "slope": 0.5}}, "FHN eps"),
        ({"fhn": {"eps": "0.01", "a": 1.0, "gamma": -1.0, "slope": 0.5}}, "FHN eps = '0.01': expected a number"),
        ({"fhn": []}, "FHN settings is []: expected names and numbers"),
        ({"protocol": {"settle": 1.0, "control": 1.0, "interval": 1e-320, "x0": 0.0, "y0": 0.0}}, "protocol interval"),
        ({"readout": {"type": "mean", "recentre": "false"}}, "recentre is 'false': expected true or false"),
        ({"readout": {"type": ["mean"], "recentre": True}}, "readout ['mean']: expected 'vote' or 'mean'"),
        ({"readout": None}, "cannot be read"),
        ({"input_range": "01"}, "input_range is '01': expected two numbers"),
        ({"input_range": [0, True]}, "input_range is [0, True]: expected two numbers"),
        ({"provenance": ["trained"]}, "provenance is ['trained']: expected names and values"),
        ({"stages": {"type": "fhn"}}, "stages is {'type': 'fhn'}: expected a list of stages"),
        ({"stages": []}, "stages [] differ; expected one activation"),
        ({"stages": [{"type": ["fhn"]}]}, "hidden activation ['fhn']: expected 'sigmoid', 'tanh' or 'relu'"),
        ({"layers": {"kind": "dense"}}, "layers is {'kind': 'dense'}: expected a list of layers"),
        ({"layers": []}, "unexpected arrays b0, b1, w0, w1 beside 0 layers"),
        (
            {"layers": [{"kind": "dense", "unit": ["x"], "drive": "tanh"}] * 2},
            "['x']: expected 'sigmoid', 'tanh' or 'relu'",
        ),
        ({"layers": [{"kind": "dense", "unit": "tanh", "drive": "tanh"}] * 2}, "network ends with a unit, 'tanh'"),
        ({"layers": [{"kind": "dense", "unit": "tanh", "drive": "step"}] * 2}, "drive 'step': expected 'tanh' or"),
        (
            {"layers": [{"kind": ["dense"]}]},
            "layer of kind ['dense']: expected 'dense', 'conv",
        ),
        (
            {"layers": [{"kind": "pooling", "size": 2}]},
            "layer of kind 'pooling': expected 'dense',",
        ),
        ({"format": [1]}, "format [1]; this version reads formats 1 and 2"),
    ],
)
def test_values_of_another_type(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    version = 1 if "stages" in change else 2
    assert said in refusal(altered(tmp_path / "net.npz", lambda meta, _: meta.update(change), version))


def test_a_number_of_400_digits(tmp_path: Path) -> None:
    path = altered(tmp_path / "net.npz", lambda meta, _: meta["fhn"].update(eps=10**400))
    assert "'meta': cannot be read as JSON (a whole number of 401 digits; expected at most 40)" in refusal(path)
