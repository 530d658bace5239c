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
from analog_fhn.network import Network

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
        ("net.npz", lambda path: np.savez(path, w0=np.eye(2), w1=np.eye(2)), "--hidden sigmoid or --hidden tanh"),
        ("net.npz", lambda path: np.savez(path, w0=np.eye(2), w1=np.eye(3)), "w0 (2, 2), w1 (3, 3)"),
        ("net.safetensors", relu, "hidden activation 'relu' is unbounded"),
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
    status, _, err = run(written(tmp_path / "a.keras", digits), "-o", tmp_path / "net.npz", "--hidden", "relu")
    assert status == 2
    assert "'relu' is not one of 'sigmoid', 'tanh'" in err
