"""`analog-fhn import`: what it saves, what it says, and what it refuses."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from analog_fhn import cli, weights
from analog_fhn.data import load
from analog_fhn.network import Dense, Network

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit status, standard output, standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analog-fhn", "import", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return command


@pytest.fixture
def refused(run: Run, tmp_path: Path) -> Callable[..., str]:
    """What a refusal says; nothing is written."""

    def command(*arguments: object) -> str:
        output = tmp_path / "out" / "net.npz"
        status, out, err = run(*arguments, "-o", output)
        assert (status, out) == (2, "")
        assert err.startswith("analog-fhn: ")
        assert "Traceback" not in err
        assert not output.exists()
        return err

    return command


@pytest.fixture(scope="module")
def digits() -> Network:
    """A network that knows the digits: random hidden units, outputs by least squares."""
    train = load("digits", "train")
    rng = np.random.default_rng(1)
    w0, b0 = rng.normal(scale=0.3, size=(64, 80)), rng.normal(size=80)
    features = np.column_stack([np.tanh(train.images @ w0 + b0), np.ones(len(train.labels))])
    fit = np.linalg.lstsq(features, np.eye(10)[train.labels], rcond=None)[0]
    w0, w1, b0, b1 = (a.astype(np.float32).astype(np.float64) for a in (w0, fit[:-1], b0, fit[-1]))
    return Network.of_weights((w0, w1), (b0, b1), "tanh")


@pytest.fixture(scope="module")
def accuracy(digits: Network) -> float:
    test = load("digits", "test")
    found = digits.accuracy(test.images, test.labels)
    assert found > 0.9
    return found


def written(path: Path, network: Network) -> Path:
    weights.write(path, network.weights, network.biases, network.hidden)
    return path


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_network_and_its_accuracy(suffix: str, digits: Network, accuracy: float, run: Run, tmp_path: Path) -> None:
    options = ["--hidden", "tanh"] if suffix == ".weights.h5" else []
    source = written(tmp_path / f"trained{suffix}", digits)
    status, out, err = run(source, "-o", tmp_path / "deep" / "net.npz", "--dataset", "digits", *options)
    assert (status, err) == (0, "")
    first, *_, measured, last = out.splitlines()
    assert first.startswith(f"{source} (")
    assert first.endswith("64-80-10 (tanh), with biases, inputs from 0 to 1")
    assert measured == f"plain network: {100 * accuracy:.2f} % of 500 test images"
    assert last == f"saved as {tmp_path / 'deep' / 'net.npz'}"
    network = Network.load(tmp_path / "deep" / "net.npz")
    assert network.sha256 == digits.sha256
    assert (network.hidden, network.fhn.slope) == ("tanh", 1.0)


def test_result_object(digits: Network, accuracy: float, run: Run, tmp_path: Path) -> None:
    source = written(tmp_path / "trained.keras", digits)
    status, out, err = run(source, "-o", tmp_path / "net.npz", "--dataset", "digits", "--json", "-")
    assert status == 0
    assert "saved as" in err
    found = json.loads(out)
    assert found["command"] == "import"
    assert (found["layers"], found["hidden"], found["biases"]) == ([64, 80, 10], "tanh", [True, True])
    assert (found["accuracy"], found["n_images"]) == (accuracy, 500)
    assert (found["file"], found["format"]) == (str(source), "Keras archive")
    assert found["sha256"] == Network.load(tmp_path / "net.npz").provenance["imported"]["sha256"]
    assert found["settings"]["weights_sha256"] == digits.sha256
    assert "accuracy" not in json.loads(run(source, "-o", tmp_path / "net.npz", "--json", "-")[1])


def test_wrong_activation_shows(digits: Network, run: Run, tmp_path: Path) -> None:
    source = written(tmp_path / "trained.weights.h5", digits)
    status, out, _ = run(source, "-o", tmp_path / "net.npz", "--hidden", "sigmoid", "--dataset", "digits")
    assert status == 0
    assert "that is low: are the hidden activation (--hidden), the scale of the images" in out


def test_good_accuracy_raises_no_question(digits: Network, run: Run, tmp_path: Path) -> None:
    out = run(written(tmp_path / "a.keras", digits), "-o", tmp_path / "net.npz", "--dataset", "digits")[1]
    assert "that is low" not in out


def test_input_range_is_that_of_the_data_set(digits: Network, accuracy: float, run: Run, tmp_path: Path) -> None:
    # pixels from 0 to 16, as scikit-learn has them
    test = load("digits", "test")
    np.savez(tmp_path / "mine.npz", images=test.images * 16, labels=test.labels)
    scaled = digits.with_weights((digits.weights[0] / 16, digits.weights[1]), digits.biases)
    source = written(tmp_path / "trained.keras", scaled)
    status, out, _ = run(source, "-o", tmp_path / "net.npz", "--dataset", tmp_path / "mine.npz")
    assert status == 0
    assert f"{100 * accuracy:.2f} % of 500 test images" in out
    assert Network.load(tmp_path / "net.npz").input_range == (0.0, 16.0)
    run(source, "-o", tmp_path / "net.npz", "--input-range", "-1,15")
    assert Network.load(tmp_path / "net.npz").input_range == (-1.0, 15.0)


def test_stated_range_is_checked_against_the_images(digits: Network, refused: Any, tmp_path: Path) -> None:
    source = written(tmp_path / "trained.keras", digits)
    message = refused(source, "--dataset", "digits", "--input-range", "0,255")
    assert "the network was trained on values from 0 to 255; scale the images as in training" in message


def test_transposed_weights_do_not_pass(digits: Network, refused: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "turned.npz", *(w.T for w in digits.weights))
    assert "as (out, in), as PyTorch stores .weight, they would" in refused(tmp_path / "turned.npz")
    # Turned and in the reverse order, the shapes fit each other, but not the images.
    np.savez(tmp_path / "turned.npz", *(w.T for w in reversed(digits.weights)))
    message = refused(tmp_path / "turned.npz", "--hidden", "tanh", "--dataset", "digits")
    assert "images have 64 values; the network was trained on 10" in message


def test_network_without_biases_says_so(digits: Network, run: Run, tmp_path: Path) -> None:
    for biases, said in (((), "without biases"), ((None, digits.biases[1]), "with biases in 1 of 2 layers")):
        source = written(tmp_path / "trained.keras", digits.with_weights(digits.weights, biases))
        assert f"64-80-10 (tanh), {said}, inputs" in run(source, "-o", tmp_path / "net.npz")[1]


def test_network_file_is_imported_over_itself(digits: Network, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    digits.with_options(gamma=-2.0).save(path)
    assert run(path, "-o", path)[0] == 0
    assert Network.load(path).fhn.gamma == -2.0


def relu(path: Path) -> None:
    save_file({"w0": np.eye(2), "w1": np.eye(2)}, path, metadata={"hidden": "relu"})


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("net.keras", lambda path: path.write_bytes(b"PK\3\4" + bytes(40)), "is damaged or no weight file"),
        ("net.pt", lambda path: path.write_bytes(pickle.dumps([1])), "torch.load('net.pt', weights_only=True)"),
        ("net.npz", lambda path: np.savez(path, w0=np.array([[{}]])), "pickled Python objects"),
        ("net.npz", lambda path: np.savez(path, w0=np.eye(2), w1=np.eye(2)), "--hidden tanh or --hidden relu"),
        ("net.npz", lambda path: np.savez(path, w0=np.eye(2), w1=np.eye(3)), "w0 (2, 2), w1 (3, 3)"),
        ("net.safetensors", relu, "say their ceiling (--ceiling C, or C,C,... for each layer"),
        ("net.txt", lambda path: path.write_text("0 1\n"), "is no weight file that is known here"),
        ("net.weights.h5", lambda path: None, "No such file or directory"),
    ],
)  # fmt: skip
def test_bad_files(name: str, make: Callable[[Path], Any], said: str, refused: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    make(path)
    message = refused(path)
    assert said in message
    assert str(path) in message


@pytest.mark.parametrize("value", ["1", "1,0", "0,0", "a,b", "0,1,2", "nan,1", "0,inf"])
def test_impossible_input_ranges(value: str, digits: Network, refused: Any, tmp_path: Path) -> None:
    message = refused(written(tmp_path / "trained.keras", digits), "--input-range", value)
    assert "input-range" in message or "input_range (0.0, inf): expected two numbers" in message


def test_unknown_activation_is_wrong_usage(digits: Network, run: Run, tmp_path: Path) -> None:
    status, _, err = run(written(tmp_path / "a.keras", digits), "-o", tmp_path / "net.npz", "--hidden", "elu")
    assert status == 2
    assert "'elu' is not one of 'sigmoid', 'tanh', 'relu'" in err


# --- relu layers, other scales, and what stands in ----------------------------------------------------------------


@pytest.fixture(scope="module")
def relu_digits() -> Network:
    """Like `digits`, of relu units with a ceiling that nothing reaches."""
    train = load("digits", "train")
    rng = np.random.default_rng(1)
    w0, b0 = rng.normal(scale=0.3, size=(64, 80)), rng.normal(size=80)
    features = np.column_stack([np.maximum(train.images @ w0 + b0, 0.0), np.ones(len(train.labels))])
    fit = np.linalg.lstsq(features, np.eye(10)[train.labels], rcond=None)[0]
    return Network((Dense(w0, b0, "relu", "tanh", 1e6), Dense(fit[:-1], fit[-1])))


def test_ceilings_are_measured_on_training_images(relu_digits: Network, run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{f"w{k}": w for k, w in enumerate(relu_digits.weights)},
             **{f"b{k}": b for k, b in enumerate(relu_digits.biases)})  # fmt: skip
    arguments = (tmp_path / "w.npz", "--hidden", "relu", "--dataset", "digits", "-o", tmp_path / "net.npz")
    status, out, _ = run(*arguments, "--ceiling-quantile", "0.99", "--json", "-")
    assert status == 0
    found = json.loads(out)
    train, test = load("digits", "train"), load("digits", "test")
    z = train.images @ relu_digits.weights[0] + relu_digits.biases[0]
    (entry,) = found["ceilings"]
    assert entry["ceiling"] == pytest.approx(np.quantile(z[z > 0.0], 0.99))
    assert (entry["layer"], entry["from"], entry["clipped"]) == (
        0,
        "images",
        pytest.approx(np.mean(z > entry["ceiling"])),
    )
    assert found["accuracy_without_ceilings"] == relu_digits.accuracy(test.images, test.labels)
    assert found["accuracy"] == Network.load(tmp_path / "net.npz").accuracy(test.images, test.labels)
    out = run(*arguments)[1]
    assert "hidden layer 0 (relu): ceiling" in out
    assert "(measured on training images), above which" in out
    assert "without ceilings: they cost" in out
    out = run(*arguments[:-2], "--ceiling", "3.5", "-o", tmp_path / "net.npz")[1]
    assert "hidden layer 0 (relu): ceiling 3.5 (--ceiling), above which" in out
    assert Network.load(tmp_path / "net.npz").ceilings == (3.5,)


def test_ceilings_are_asked_for(relu_digits: Network, refused: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", *relu_digits.weights)
    message = refused(tmp_path / "w.npz", "--hidden", "relu")
    assert (
        "say their ceiling (--ceiling C, or C,C,... for each layer; in Python ceilings=...), or have it measured"
        in message
    )
    assert "--ceiling 'x': expected numbers" in refused(tmp_path / "w.npz", "--hidden", "relu", "--ceiling", "x")


def test_another_scale_of_the_pixels_is_recognised(digits: Network, accuracy: float, run: Run, tmp_path: Path) -> None:
    # trained on pixels from -1 to 1, as twice the pixel less one
    w, b = digits.weights[0] / 2.0, digits.biases[0] + digits.weights[0].sum(axis=0) / 2.0
    source = written(tmp_path / "a.keras", digits.with_weights((w, digits.weights[1]), (b, digits.biases[1])))
    status, out, _ = run(source, "-o", tmp_path / "net.npz", "--dataset", "digits")
    assert status == 0
    percent = f"{100 * accuracy:.2f} %"
    assert f"with pixels from -1 to 1 it is {percent} of 500: if the training took them so, import it with" in out
    assert "--scaling 2,-1" in out
    assert percent not in next(line for line in out.splitlines() if line.startswith("plain network"))
    out = run(source, "-o", tmp_path / "net.npz", "--dataset", "digits", "--scaling", "2,-1")[1]
    assert f"plain network: {percent} of 500 test images" in out
    assert "with pixels" not in out


def test_the_range_that_nobody_says_is_spoken_of(digits: Network, run: Run, tmp_path: Path) -> None:
    out = run(written(tmp_path / "a.keras", digits), "-o", tmp_path / "net.npz")[1]
    assert "the file does not say the range of the inputs: 0 to 1 is taken (--input-range)" in out


def test_the_nearest_unit_and_its_accuracy(relu_digits: Network, run: Run, refused: Any, tmp_path: Path) -> None:
    tensors = {f"{2 * k}.weight": np.ascontiguousarray(w.T) for k, w in enumerate(relu_digits.weights)}
    tensors |= {f"{2 * k}.bias": b for k, b in enumerate(relu_digits.biases)}
    save_file(tensors, tmp_path / "net.safetensors", metadata={"hidden": "leaky_relu"})
    arguments = (tmp_path / "net.safetensors", "--dataset", "digits", "-o", tmp_path / "net.npz")
    message = refused(*arguments[:3])
    assert "hidden activation 'leaky_relu' falls without bound below 0" in message
    assert "import --nearest" in message
    assert "train --start" in message
    status, out, _ = run(*arguments, "--nearest")
    assert status == 0
    assert "activation leaky_relu read as relu" in out
    assert "plain network: " in out
