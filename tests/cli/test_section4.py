"""`train --model fhn`, with and without the paper's protocol, and `reproduce`: what they write, reuse and refuse."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from command_line import run

from analog_fhn.data import load
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol

PAPER = ("train", "--dataset", "digits", "--model", "fhn", "--protocol", "paper")
SHORT = ("--settle", "1", "--control", "2")


def good(*arguments: object) -> Any:
    """The result object."""
    status, out, err = run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out)


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    (line,) = [line for line in err.splitlines() if not line.startswith("analog-fhn: note: ")]
    return line


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """Folder with figure 6 and table 2 of the digits, and both result objects."""
    folder = tmp_path_factory.mktemp("section4")
    common = ("-o", folder, "--dataset", "digits", "--images", 100, "--epochs", 2, "--gamma", -1.1, *SHORT)
    return folder, good("reproduce", "figure6", *common), good("reproduce", "table2", *common)


def test_train_reports_the_accuracy_of_the_network_it_saved(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result = good(
        *PAPER, "-o", path, "--hidden", 12, "--epochs", 2, "--images", 200, "--batch", 20, "--tanh", "input",
        "--recentre", "--gamma", -1.1, *SHORT,
    )  # fmt: skip
    network, test = Network.load(path), load("digits", "test")
    assert (network.tanh, network.behind, network.recentre, network.readout) == ("input", "sigmoid", True, "vote")
    assert (network.fhn.gamma, network.fhn.slope, network.protocol.settle) == (-1.1, 1.0, 1.0)
    found = classify(network, test.images)
    assert result["accuracy"] == pytest.approx(found.accuracy(test.labels), rel=1e-12)
    np.testing.assert_array_equal(np.argmax(found.scores, axis=1), found.predictions)
    assert result["settings"]["behind"] == "sigmoid"
    assert result["settings"]["trained"]["n_images"] == 200
    assert len(result["history"]["loss"]) == 2
    # What was saved can be classified with, but not built.
    again = good("classify", path, "--dataset", "digits")
    assert again["accuracy"] == result["accuracy"]
    assert "only ideal neurons" in refused("classify", path, "--dataset", "digits", "--technology", "discrete")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tanh", "input"), "--tanh input is an option of --model fhn --protocol paper; --model ann has none"),
        (("--recentre",), "--recentre is an option of --model fhn --protocol paper"),
        (("--gamma", "-2"), "--gamma -2.0 is an option of --model fhn and --model fhn --protocol paper"),
        (("--protocol", "paper"), "--model ann --protocol paper: expected one of --model ann, "),
        (("--model", "fhn", "--protocol", "paper", "--bias"), "--bias is an option of --model ann"),
        (("--model", "fhn", "--protocol", "paper", "--activation", "tanh"), "--activation tanh is an option of"),
        (("--model", "fhn", "--protocol", "paper", "--gamma", "0"), "FHN gamma = 0"),
    ],
)
def test_options_of_other_models_are_refused_by_name(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in refused("train", "--dataset", "digits", "-o", tmp_path / "net.npz", *arguments)
    assert not (tmp_path / "net.npz").exists()


def test_figure6_is_the_history_of_the_kept_network(reproduced: tuple[Path, Any, Any]) -> None:
    folder, figure, _ = reproduced
    assert [Path(p).name for p in figure["files"]] == ["figure6.csv", "figure6.png"]
    network = Network.load(folder / "section4.npz")
    assert network.fhn.gamma == -1.1
    rows = read(folder / "figure6.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["test_loss"]) for row in rows] == pytest.approx(figure["history"]["val_loss"], rel=1e-5)
    assert network.provenance["history"] == figure["history"]


def test_table2_judges_that_network_on_truncated_and_full_sets(reproduced: tuple[Path, Any, Any]) -> None:
    folder, _, table = reproduced
    found = table["accuracies"]
    assert [v["n_images"] for v in found.values()] == [100, 10, 1297, 500]
    test = load("digits", "test")
    network = Network.load(folder / "section4.npz").with_options(settle=1.0, control=2.0)
    expected = 100 * classify(network, test.images).accuracy(test.labels)
    assert found["test_10000"]["accuracy"] == pytest.approx(expected, rel=1e-12)
    assert float(read(folder / "table2.csv")[10]["test_500_ours"]) == pytest.approx(expected, abs=0.006)


def test_a_network_trained_otherwise_is_not_taken_for_this_one(reproduced: tuple[Path, Any, Any]) -> None:
    folder, _, _ = reproduced
    before = Network.load(folder / "section4.npz")
    common = ("-o", folder, "--dataset", "digits", "--images", 100, "--gamma", -1.1, *SHORT)
    with mock.patch("analog_fhn.training.paper.train_paper", side_effect=AssertionError("trained again")):
        good("reproduce", "figure6", *common, "--epochs", 2)
        with pytest.raises(AssertionError, match="trained again"):
            run("reproduce", "figure6", *common, "--epochs", 2, "--seed", 1)
    assert Network.load(folder / "section4.npz").sha256 == before.sha256


def test_figure6_of_a_network_without_history(reproduced: tuple[Path, Any, Any], tmp_path: Path) -> None:
    plain = tmp_path / "plain.npz"
    Network.of_weights((np.ones((64, 3)), np.ones((3, 10)))).save(plain)
    common = ("-o", tmp_path, "--dataset", "digits", "--images", 100, "--network", plain)
    assert f"{plain}: keeps no history" in refused("reproduce", "figure6", *common)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("figure4", "--epochs", "2"), "--epochs is an option of figure6 and table2; figure4 has none of that name"),
        (("table1", "--recentre"), "--recentre is an option of figure6 and table2; table1 has none"),
        (("table2", "--gammas", "1,2"), "--gammas is an option of figure4 and table1-population; table2 has none"),
        (("table2", "--split", "train"), "--split is an option of figure3 and figure4; table2 has none"),
        (("figure6", "--name", "x"), "--name is an option of figure4; figure6 has none"),
        (("figure4", "--gamma", "-2"), "--gamma is an option of figure3 and figure6 and table2; figure4 has none"),
        (("table2", "--network", "n.npz", "--epochs", "2"), "--epochs is what table2 trains a network with; --network"),
        (("figure6", "--network", "n.npz", "--gamma", "-2"), "--gamma is what figure6 trains a network with"),
        (("figure6", "--network", "n.npz", "--tanh", "input"), "--tanh is what figure6 trains a network with"),
        (("figure6", "--images", "120"), "120 images with equal counts in 10 classes"),
    ],
)
def test_reproduce_refuses_what_does_not_fit(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in refused("reproduce", *arguments, "-o", tmp_path, "--dataset", "digits")


def test_table2_takes_networks_of_its_kind_and_their_data(reproduced: tuple[Path, Any, Any], tmp_path: Path) -> None:
    weights = np.ones((64, 3)), np.ones((3, 10))
    common = ("reproduce", "table2", "-o", tmp_path, "--dataset", "digits", "--images", 100, "--network")
    Network.of_weights(weights).save(tmp_path / "plain.npz")
    assert "tanh 'drive', behind 'linear'; expected a network with sigmoid units" in refused(
        *common, tmp_path / "plain.npz"
    )
    Network.of_weights(weights, behind="sigmoid", input_range=(0.0, 255.0)).save(tmp_path / "bytes.npz")
    assert "trained on values from 0 to 255" in refused(*common, tmp_path / "bytes.npz")
    Network.of_weights((weights[0], np.ones((3, 12))), behind="sigmoid").save(tmp_path / "twelve.npz")
    assert "the network has 12 classes, expected 10" in refused(*common, tmp_path / "twelve.npz")
    images = np.random.default_rng(0).uniform(size=(90, 4))
    labels = np.tile(np.arange(3), 30)
    three = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "three.npz", **three)  # type: ignore[arg-type]
    of_three = refused("reproduce", "table2", "-o", tmp_path, "--dataset", tmp_path / "three.npz", "--images", 30)
    assert "has 3 classes, expected 10" in of_three
    # Its own network, named, gives the table that it gave without a name.
    folder, _, table = reproduced
    again = good(*common, folder / "section4.npz", *SHORT)
    assert again["accuracies"] == table["accuracies"]


def test_a_network_trained_on_other_images_is_not_taken_for_this_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    labels = np.tile(np.arange(10), 30)
    for path in (one, other):
        np.savez(path, images=generator.uniform(size=(300, 4)).round(2), labels=labels)
    common = ("figure6", "-o", tmp_path, "--images", 100, "--epochs", 1, *SHORT, "--dataset")
    good("reproduce", *common, one)
    with (
        mock.patch("analog_fhn.training.paper.train_paper", side_effect=AssertionError("trained again")),
        pytest.raises(AssertionError, match="trained again"),
    ):
        run("reproduce", *common, other)
    other.write_bytes(one.read_bytes())
    with (
        mock.patch("analog_fhn.training.paper.train_paper", side_effect=AssertionError("trained again")),
        pytest.raises(AssertionError, match="trained again"),
    ):
        run("reproduce", *common, other)


def test_a_kept_network_without_history_is_named(reproduced: tuple[Path, Any, Any], tmp_path: Path) -> None:
    kept = Network.load(reproduced[0] / "section4.npz")
    replace(kept, provenance={"asked": kept.provenance["asked"]}).save(tmp_path / "section4.npz")
    common = ("-o", tmp_path, "--dataset", "digits", "--images", 100, "--epochs", 2, "--gamma", -1.1, *SHORT)
    assert f"{tmp_path / 'section4.npz'}: keeps no history" in refused("reproduce", "figure6", *common)


def test_figure3_of_several_layers_is_refused(tmp_path: Path) -> None:
    deep = Network.of_weights((np.ones((64, 3)), np.ones((3, 4)), np.ones((4, 10))))
    deep.save(tmp_path / "deep.npz")
    said = refused("reproduce", "figure3", "-o", tmp_path, "--dataset", "digits", "--network", tmp_path / "deep.npz")
    assert "network has 2 hidden layers; the paper's figure 3 shows one" in said


INSIDE = ("train", "--dataset", "digits", "--model", "fhn", "--images", 100, "--epochs", 1)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tanh-trained network of five neurons, of another slope than tanh's own and with raw rows."""
    path = tmp_path_factory.mktemp("begun") / "start.npz"
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(64, 5)), generator.normal(size=(5, 10))
    protocol = Protocol(settle=0.0, control=3.0)
    fhn = FHN(gamma=-1.3, slope=0.9)
    Network.of_weights(weights, (), "tanh", fhn=fhn, protocol=protocol, recentre=False).save(path)
    return path


def test_a_start_brings_its_activation_neurons_and_sizes(begun: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result = good(*INSIDE, "-o", path, "--start", begun, "--window", "--slope", 1.1, "--learning-rate", 1e-9)
    start, network = Network.load(begun), Network.load(path)
    assert (network.hidden, network.layer_sizes, network.recentre) == ("tanh", (64, 5, 10), False)
    assert (network.fhn, network.protocol) == (FHN(gamma=-1.3, slope=1.1), start.protocol)
    np.testing.assert_allclose(network.weights[0], start.weights[0], atol=1e-6)
    trained = result["settings"]["trained"]
    assert (trained["start"], trained["window"], trained["recentre"]) == (start.sha256, True, False)
    assert (trained["fhn"]["slope"], trained["protocol"]["control"]) == (1.1, 3.0)
    test = load("digits", "test")
    assert result["accuracy"] == classify(network, test.images).accuracy(test.labels)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--activation", "sigmoid"), "--activation sigmoid: the network of --start was trained as tanh"),
        (("--hidden", "6"), "--hidden 6: the network of --start has 5"),
        (("--hidden", "5,5"), "--hidden 5,5: the network of --start has 5"),
        (("--chips", "2"), "--chips 2 needs a --technology"),
        (("--clip-sigma", "-1", "--technology", "discrete"), "--clip-sigma -1: expected a number above 0, or 0"),
        (("--noise", "loud", "--technology", "discrete"), "--noise loud: expected 'intrinsic' or a density"),
        (("--errors", "wheels", "--technology", "discrete"), "--errors 'wheels'"),
    ],
)
def test_what_a_start_contradicts_is_refused(
    arguments: tuple[str, ...], said: str, begun: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.npz"
    assert said in refused(*INSIDE, "-o", path, "--start", begun, *arguments)
    assert not path.exists()


def test_starts_of_another_kind_are_refused(tmp_path: Path) -> None:
    weights, start = (np.ones((64, 5)), np.ones((5, 10))), tmp_path / "start.npz"
    for options, said in (
        ({"biases": (np.ones(5), None)}, "the network of --start has biases; expected --bias"),
        ({"behind": "sigmoid"}, "behind 'sigmoid'; expected tanh 'drive', behind 'linear'"),
        ({"tanh": "input"}, "start has tanh 'input'"),
        ({"input_range": (0.0, 16.0)}, "start was trained on values from 0 to 16; expected those of"),
    ):
        Network.of_weights(weights, **options).save(start)  # type: ignore[arg-type]
        assert said in refused(*INSIDE, "-o", tmp_path / "net.npz", "--start", start)


def test_fresh_chips_of_a_technology(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result = good(
        *INSIDE, "-o", path, "--hidden", 5, "--technology", "discrete", "--errors", "programming", "--chips", 1,
        "--ramp", "constant", "--clip-sigma", 0, "--ignore-levels",
    )  # fmt: skip
    trained = result["settings"]["trained"]
    assert (trained["chips"], trained["ramp"], trained["clip_sigma"], trained["levels"]) == (1, "constant", None, False)
    assert trained["technology"]["resistor"]["tolerance"] == 0.0
    assert Network.load(path).layer_sizes == (64, 5, 10)


def test_several_layers_inside(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result = good(*INSIDE, "-o", path, "--hidden", "5,4", "--activation", "tanh", "--gradient", "sigmoid", "--bias")
    network = Network.load(path)
    assert (network.layer_sizes, network.hidden) == ((64, 5, 4, 10), "tanh")
    assert all(b is not None for b in network.biases)
    assert (result["settings"]["trained"]["gradient"], result["settings"]["trained"]["n_hidden"]) == ("sigmoid", [5, 4])
    # Trained on, with its sizes and biases.
    good(*INSIDE, "-o", tmp_path / "next.npz", "--start", path, "--bias")
    assert Network.load(tmp_path / "next.npz").layer_sizes == network.layer_sizes
