"""`train`: which images it learns from and judges, at which times, and data that do not fit."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from analog_fhn.data import load
from analog_fhn.network import Network

INSIDE = ("train", "--dataset", "digits", "--model", "fhn", "--hidden", 8, "--epochs", 3)


def good(*arguments: object) -> tuple[Any, str]:
    """Result object, and what standard error says."""
    status, out, err = run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out), err


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert (status, out) == (2, ""), err
    return err.splitlines()[-1]


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_file_without_splits_is_judged_on_images_that_were_held_out(suffix: str, tmp_path: Path) -> None:
    digits = load("digits", "train").head(300)
    path, net = tmp_path / f"mine{suffix}", tmp_path / "net.npz"
    if suffix == ".csv":
        np.savetxt(path, np.column_stack([digits.labels, digits.images]), delimiter=",", fmt="%.6g")
    else:
        np.savez(path, images=digits.images, labels=digits.labels)
    result, said = good("train", "--dataset", path, "--hidden", 20, "--epochs", 20, "-o", net)
    out = result["held_out"]
    assert sorted(np.concatenate([np.flatnonzero(digits.labels == k)[4::5] for k in range(10)])) == out
    assert (result["n_images"], result["settings"]["trained"]["n_images"]) == (len(out), 300 - len(out))
    assert f"{path} has no test images of its own: of each class every 5th image, {len(out)} in all" in said
    network = Network.load(net)
    right = network.forward(digits.images[out]).argmax(axis=1) == digits.labels[out]
    assert result["accuracy"] == pytest.approx(right.mean(), rel=1e-12)
    # The same weights from the other images alone, in a file with splits.
    apart = {
        f"{name}_{what}": np.delete(values, out, axis=0) if name == "train" else values[out]
        for name in ("train", "test")
        for what, values in (("images", digits.images), ("labels", digits.labels))
    }
    np.savez(tmp_path / "apart.npz", **apart)
    other, said = good(
        "train", "--dataset", tmp_path / "apart.npz", "--hidden", 20, "--epochs", 20, "-o", tmp_path / "other.npz"
    )
    assert (other["held_out"], other["accuracy"]) == (None, result["accuracy"])
    assert "no test images" not in said
    assert Network.load(tmp_path / "other.npz").sha256 == network.sha256
    # Who only judges gets all images.
    assert good("classify", net, "--dataset", path, "--table", 9)[0]["n_images"] == 300


def test_more_images_than_there_are_are_refused(tmp_path: Path) -> None:
    said = refused("train", "--dataset", "digits", "--images", 1298, "-o", tmp_path / "net.npz")
    assert "--images 1298: load_digits" in said
    assert "has only 1297 training images" in said
    result, _ = good("train", "--dataset", "digits", "--images", 1297, "--epochs", 1, "-o", tmp_path / "net.npz")
    assert result["settings"]["trained"]["n_images"] == 1297


def idx(path: Path, array: np.ndarray) -> None:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize("model", [(), ("--model", "fhn"), ("--model", "fhn", "--protocol", "paper")])
@pytest.mark.parametrize(
    ("side", "classes", "said"),
    [
        (4, 3, "t10k-labels-idx1-ubyte (SHA-256 differs from MNIST): images have 16 values; expected 64, as in "),
        (8, 12, "t10k-labels-idx1-ubyte (SHA-256 differs from MNIST): label 11; expected 0 to 9, for "),
    ],
)
def test_test_images_of_another_kind_are_refused_before_training(
    model: tuple[str, ...], side: int, classes: int, said: str, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    idx(tmp_path / "train-images-idx3-ubyte", generator.integers(0, 255, (60, 8, 8)))
    idx(tmp_path / "train-labels-idx1-ubyte", np.arange(60) % 3)
    idx(tmp_path / "t10k-images-idx3-ubyte", generator.integers(0, 255, (24, side, side)))
    idx(tmp_path / "t10k-labels-idx1-ubyte", np.arange(24) % classes)
    # So many epochs would take minutes.
    found = refused(
        "train", "--dataset", "mnist", "--data", tmp_path, "-o", tmp_path / "net.npz", "--epochs", 10**6, *model
    )
    assert said in found
    assert "train-images-idx3-ubyte" in found


@pytest.mark.parametrize("model", ["ann", "fhn"])
def test_images_of_a_single_value_are_refused_before_training(model: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "flat.npz", images=np.zeros((50, 8)), labels=np.arange(50) % 3)
    found = refused(
        "train", "--dataset", tmp_path / "flat.npz", "-o", tmp_path / "net.npz", "--epochs", 10**6, "--model", model
    )
    assert f"{tmp_path / 'flat.npz'} (images, labels)" in found
    assert "all pixels of the 41 images are 0; expected images that differ" in found


def test_the_largest_seed(tmp_path: Path) -> None:
    options = (*INSIDE[:-1], 1, "--images", 100, "-o", tmp_path / "net.npz", "--seed")
    assert good(*options, 2**32 - 1)[0]["seed"] == 2**32 - 1
    assert f"seed = {2**32}: expected a whole number from 0 to {2**32 - 1}" in refused(*options, 2**32)


def test_other_times_than_usual_are_judged_as_they_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result, _ = good(*INSIDE, "-o", path, "--settle", 0, "--control", 1)
    protocol = Network.load(path).protocol
    assert (protocol.settle, protocol.control) == (0.0, 1.0)
    judged, _ = good("classify", path, "--dataset", "digits")
    assert result["accuracy"] == judged["accuracy"]
    # Settled neurons, which training saw, have another accuracy.
    settled, _ = good("classify", path, "--dataset", "digits", "--settle", 100, "--control", 200, "--table", 33)
    assert abs(result["accuracy"] - settled["accuracy"]) > 0.02
    # So have the usual times, after which neurons are settled.
    usual, _ = good(*INSIDE, "-o", path)
    assert usual["accuracy"] == settled["accuracy"]
    # A network to begin with brings its times.
    begun, _ = good(*INSIDE[:-1], 1, "-o", tmp_path / "next.npz", "--start", path, "--control", 2)
    assert begun["accuracy"] == good("classify", tmp_path / "next.npz", "--dataset", "digits")[0]["accuracy"]


def test_stratified_images_of_a_sorted_file_are_of_all_classes(tmp_path: Path) -> None:
    digits = load("digits", "train")
    order = np.argsort(digits.labels, kind="stable")
    np.savez(tmp_path / "sorted.npz", images=digits.images[order], labels=digits.labels[order])
    result, said = good(
        "train", "--dataset", tmp_path / "sorted.npz", "--images", 300, "--stratified", "--seed", 3, "--hidden", 16,
        "--epochs", 20, "-o", tmp_path / "net.npz",
    )  # fmt: skip
    assert "warning" not in said
    assert result["settings"]["stratified"]
    assert min(result["per_digit"]) > 0.3


WORDS = "conv8@3x3 relu, mean2x1, 16 relu"


def test_layers_are_trained_judged_and_trained_on(tmp_path: Path) -> None:
    path, on = tmp_path / "net.npz", tmp_path / "on.npz"
    layers = ("--layers", WORDS, "--bias")
    result, said = good("train", "--dataset", "digits", *layers, "--epochs", 15, "-o", path)
    network, test = Network.load(path), load("digits", "test")
    assert network.sizes_text == "8x8-conv8@3x3-mean2x1-16-10"
    assert network.units == ("relu", "relu")
    assert result["accuracy"] == network.accuracy(test.images, test.labels) > 0.8
    assert "plain network 8x8-conv8@3x3-mean2x1-16-10 (relu, ceilings " in said
    told = result["settings"]["trained"]
    assert (told["layers"], told["shape"]) == ("conv8@3x3 relu, mean2x1, 16 relu", [8, 8, 1])
    for ceiling, one in zip(network.ceilings, told["ceilings"], strict=True):
        assert (one["ceiling"], one["from"]) == (ceiling, "images")
        assert 0.0 < one["clipped"] < 0.01
    inside, said = good(
        "train", "--dataset", "digits", "--model", "fhn", "--start", path, "--bias", "--epochs", 1, "-o", on
    )
    assert "FHN network 8x8-conv8@3x3-mean2x1-16-10 (gamma -1, settled, mean, ceilings " in said
    assert Network.load(on).ceilings == network.ceilings
    assert abs(inside["accuracy"] - result["accuracy"]) < 0.03
    judged, _ = good("classify", on, "--dataset", "digits", "--table", 33)
    assert inside["accuracy"] == judged["accuracy"]
    plain, _ = good("train", "--dataset", "digits", "--start", path, "--bias", "--epochs", 1, "-o", on)
    assert plain["settings"]["trained"]["start"] == network.sha256


def test_units_and_ceilings_of_dense_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    options = ("--dataset", "digits", "--hidden", "12,9", "--epochs", 2, "-o", path)
    good("train", *options, "--activation", "relu", "--ceiling", 2.5)
    network = Network.load(path)
    assert (network.ceilings, network.fhn.slope, network.units) == ((2.5, 2.5), 1.0, ("relu", "relu"))
    good("train", *options, "--model", "fhn", "--activation", "relu", "--ceiling", "2.5,4")
    assert Network.load(path).ceilings == (2.5, 4.0)
    # The slope follows from the units, whichever option names them, beside others of the neurons.
    words = ("--layers", "12 tanh, 9 relu", "--ceiling", 3)
    good("train", *options[:2], *options[4:], "--model", "fhn", *words, "--gamma", -1.2)
    network = Network.load(path)
    assert (network.fhn.slope, network.fhn.gamma, network.ceilings) == (1.0, -1.2, (1.0, 3.0))


def test_pictures_that_are_no_square_want_their_shape(tmp_path: Path) -> None:
    digits = load("digits", "train").head(200)
    np.savez(tmp_path / "wide.npz", images=digits.images[:, :48], labels=digits.labels)
    options = ("train", "--dataset", tmp_path / "wide.npz", "--layers", WORDS, "--epochs", 1, "-o", tmp_path / "n.npz")
    assert "images of 48 values, which make no square of one channel; say" in refused(*options)
    good(*options, "--shape", "6,8,1")
    assert Network.load(tmp_path / "n.npz").sizes_text == "6x8-conv8@3x3-mean2x1-16-10"
    assert "shape (8, 8, 1): expected lines, places and channels of the images of" in refused(
        *options, "--shape", "8,8,1"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--layers", "conv4@3 relu"), "'conv4@3 relu': expected conv8@5x5"),
        (("--layers", WORDS, "--hidden", 5), "--hidden 5 beside --layers: expected the one or the other"),
        (("--layers", WORDS, "--activation", "relu"), "--activation relu: the units stand behind the layers"),
        (("--shape", "8,8,1"), "--shape 8,8,1 is the shape of images that --layers begin with"),
        (("--layers", WORDS, "--shape", "8x8"), "--shape '8x8': expected lines, places and channels, such as 28,28,1"),
        (("--layers", WORDS, "--ceiling", "1,2,3"), "3 ceilings for 2 relu layers"),
        (("--layers", WORDS, "--ceiling", "high"), "--ceiling 'high': expected numbers"),
        (("--model", "fhn", "--protocol", "paper", "--layers", WORDS), "is an option of --model ann and --model fhn"),
        (("--layers", f"conv{'9' * 9}@3x3 relu"), "of memory"),
    ],
)
def test_layers_that_cannot_be_are_refused(options: tuple[object, ...], said: str, tmp_path: Path) -> None:
    assert said in refused("train", "--dataset", "digits", "-o", tmp_path / "net.npz", *options)


def test_a_start_with_biases_asks_for_them(tmp_path: Path) -> None:
    path, options = tmp_path / "net.npz", ("train", "--dataset", "digits", "--epochs", 1, "-o", tmp_path / "on.npz")
    good(*options[:-1], path, "--hidden", 6, "--activation", "relu", "--bias")
    assert "the network of --start has biases; expected --bias" in refused(*options, "--start", path)
    assert "--activation tanh: the network of --start was trained as relu" in refused(
        *options, "--start", path, "--bias", "--activation", "tanh"
    )
    assert "--hidden 7: the network of --start has 6" in refused(*options, "--start", path, "--bias", "--hidden", 7)
