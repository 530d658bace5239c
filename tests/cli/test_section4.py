"""`train --model fhn --protocol paper`, `reproduce figure6` and `table2`: what they write, reuse and refuse."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from analog_fhn import cli, datasets
from analog_fhn.inference import classify
from analog_fhn.network import Network

PAPER = ("train", "--dataset", "digits", "--model", "fhn", "--protocol", "paper")
SHORT = ("--settle", "1", "--control", "2")


def run(*arguments: object) -> tuple[int, str, str]:
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["analog-fhn", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


def good(*arguments: object) -> Any:
    """The result object."""
    status, out, err = run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out)


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
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
    network, test = Network.load(path), datasets.load("digits", "test")
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
        (("--gamma", "-2"), "--gamma -2.0 is an option of --model fhn --protocol paper"),
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
    test = datasets.load("digits", "test")
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
    Network((np.ones((64, 3)), np.ones((3, 10)))).save(plain)
    common = ("-o", tmp_path, "--dataset", "digits", "--images", 100, "--network", plain)
    assert f"{plain}: keeps no history" in refused("reproduce", "figure6", *common)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("figure4", "--epochs", "2"), "--epochs: figure4 trains nothing; an option of figure6 and table2"),
        (("table1", "--recentre"), "--recentre: table1 trains nothing"),
        (("table2", "--gammas", "1,2"), "--gammas is no option of table2"),
        (("figure6", "--images", "120"), "120 images with equal counts in 10 classes"),
    ],
)
def test_reproduce_refuses_what_does_not_fit(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in refused("reproduce", *arguments, "-o", tmp_path, "--dataset", "digits")
