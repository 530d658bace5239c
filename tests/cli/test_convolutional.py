"""The commands with a convolutional network of 6x6 pixels."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import small_cnn

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cli import costs
from analog_fhn.design import Design
from analog_fhn.draws import RunNoise
from analog_fhn.inference import classify, hidden_response
from analog_fhn.network import Network
from analog_fhn.studies.quiescent import BoardConsumption
from analog_fhn.technology.technology import Technology

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds net.npz, and data.npz with 40 images."""
    made = tmp_path_factory.mktemp("convolutional")
    net = small_cnn.network(two=True)
    net.save(made / "net.npz")
    images = np.random.default_rng(1).random((40, 36))
    np.savez(made / "data.npz", images=images, labels=net.forward(images).argmax(axis=1))
    return made


def good(*arguments: object) -> Any:
    """Object that a command writes as JSON."""
    status, out, err = command_line.run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out)


def network() -> Network:
    return small_cnn.network(two=True)


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_export_of_all_positions(form: str, folder: Path, tmp_path: Path) -> None:
    dataset = ("--dataset", folder / "data.npz", "--image", 3, "--form", form)
    status, out, _ = command_line.run("export", folder / "net.npz", "--chip", 1, *dataset, "-o", tmp_path / "out")
    assert status == 0
    first = "layer by layer" if form == "full" else "cell by cell"
    assert f"{first} at 18 positions, image 3 at its inputs" in out
    assert (tmp_path / "out" / ("layer_1.cir" if form == "full" else "cell_1_001.cir")).is_file()


def test_export_of_one_position(folder: Path, tmp_path: Path) -> None:
    dataset = ("--dataset", folder / "data.npz", "--image", 3)
    content = good(
        "export", folder / "net.npz", "--chip", 1, *dataset, "--position", "0,1", "-o", tmp_path / "out"
    )  # fmt: skip
    assert {"layer_0.cir", "layer_1.cir", "run.cir"} <= set(content["files"])
    # the voltages of the deeper one are those of the layer before, with errors of the hold stages but no noise
    chip = Design(network(), Technology.load("discrete")).chip(1)
    with np.load(folder / "data.npz") as data:
        image = data["images"][3:4]
    _, every = hidden_response(chip, image, Direct(), sampled=RunNoise.none(2))
    assert every[0].values is not None
    layer = chip.layers[1]
    rows = layer.front.rows(every[0].values)[1]
    rows = rows if layer.row_errors is None else rows + layer.row_errors[1]
    lines = (tmp_path / "out" / "layer_1.cir").read_text().splitlines()
    found = [float(line.split()[3]) for line in lines if line.startswith("Vr1_")][: len(rows)]
    np.testing.assert_allclose(found, rows * chip.arrays[1].row_volts[0], rtol=1e-6)


def test_neurons_have_the_drives_of_a_position(folder: Path, tmp_path: Path) -> None:
    chip = Design(network(), Technology.load("discrete")).chip(1)
    with np.load(folder / "data.npz") as data:
        _, every = hidden_response(chip, data["images"][3:4], Direct(), sampled=RunNoise.none(2))
    for position, places in (([], (0, 0)), (["--position", "3,2"], (14, 0)), (["--position", "0,1"], (1, 1))):
        where = tmp_path / f"{places}"
        common = ("--chip", 1, "--dataset", folder / "data.npz", "--image", 3, "--form", "neurons")
        good("export", folder / "net.npz", *common, *position, "-o", where)
        drives = json.loads((where / "manifest.json").read_text())["drives"]
        expected = np.concatenate([one.drives[place] for one, place in zip(every, places, strict=True)])
        np.testing.assert_allclose(drives, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ("5", "--position '5': expected two whole numbers from 0, such as 3,5"),
        ("-1,2", "--position '-1,2': expected two whole numbers"),
        ("1,x", "--position '1,x': expected two whole numbers"),
        ("4,4", "position (4, 4): expected row and column of a patch, from 0; layer 0 has 4 x 4, layer 1 has 1 x 2"),
    ],
)
def test_positions_that_are_none(position: str, words: str, folder: Path, tmp_path: Path) -> None:
    status, out, err = command_line.run(
        "export", folder / "net.npz", "--chip", 1, f"--position={position}", "-o", tmp_path / "out"
    )
    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_design_says_positions_time_and_energy(folder: Path) -> None:
    content = good("design", "--network", folder / "net.npz")
    assert (content["positions"], content["windows"], content["hold_stages"]) == ([16, 2], 18, 36)
    assert content["seconds_per_inference"] == pytest.approx(18 * 60e-3)
    power = content["quiescent_power"]
    assert content["energy_per_inference"] == pytest.approx(sum(power.values()) * 18 * 60e-3)
    status, out, _ = command_line.run("design", "--network", folder / "net.npz")
    assert status == 0
    assert "4 x 4, 1 x 2 positions of the hidden layers, 36 hold stages; an answer takes 18 windows, 1.08 s" in out


def test_design_of_a_single_neuron_takes_one_window() -> None:
    content = good("design")
    assert (content["windows"], content["hold_stages"], content["positions"]) == (1, 0, [1])
    _, out, _ = command_line.run("design")
    assert "positions" not in out


def test_compare_has_held_activations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = BoardConsumption(0.5, 2.0, 4.0, seconds=1.08)
    monkeypatch.setattr("analog_fhn.studies.consumption.consumption", lambda *_: drawn)
    few = ("--noise-images", 0, "--brian-images", 0, "--spice-images", 0)
    content = good("compare", folder / "net.npz", "--dataset", folder / "data.npz", "--chip", 1, *few)
    names = [stage["name"] for stage in content["stages"]]
    assert names.index("held activations") == names.index("mismatched neurons") - 1
    assert content["power_of_holds"] is None


@needs_ngspice
def test_power_line_of_compare(folder: Path) -> None:
    few = ("--noise-images", 0, "--brian-images", 0, "--spice-images", 1, "--images", 2)
    given = ("compare", folder / "net.npz", "--dataset", folder / "data.npz", "--chip", 1, *few)
    status, out, err = command_line.run(*given)
    assert status == 0, err
    assert "W of hold stages; an answer takes 18 windows, 1.08 s" in out


def test_frontier_counts_the_windows(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = BoardConsumption(0.5, 2.0, 4.0, seconds=1.08)
    monkeypatch.setattr("analog_fhn.studies.consumption.consumption", lambda *_: drawn)
    monkeypatch.setattr("analog_fhn.studies.low_pass.consumption", lambda *_: drawn)
    content = good(
        "frontier", folder / "net.npz", "--dataset", folder / "data.npz", "--chip", 1, "--gammas=-1", "--low-pass", "5",
        "-o", tmp_path,
    )  # fmt: skip
    assert {point["readout"] for point in content["points"]} == {"mean"}
    assert {point["windows"] for point in content["points"]} == {18}
    with (tmp_path / "frontier.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        seconds = 18 * (float(row["settle"]) + float(row["control"])) * 1e-3
        assert float(row["latency_seconds"]) == pytest.approx(seconds, rel=0.01)
        assert float(row["energy_joule"]) == pytest.approx(6.0 * float(row["latency_seconds"]))
    (low,) = content["low_pass"]
    assert low["energy"] == pytest.approx(6.0 * low["latency"])


def test_costs_count_every_position() -> None:
    net = network()
    size = costs.Size.of(net)
    assert (size.neurons, size.runs, size.outputs) == (4, 2 * 16 + 2 * 2, 2)
    assert size.weights == 9 * 2 + 8 * 2 + 4 * 2
    assert size.products == 16 * 9 * 2 + 2 * 8 * 2 + 4 * 2
    assert size.held == 36
    dense = Network.of_weights((np.ones((36, 4)), np.ones((4, 2)))).with_options(settle=20.0, control=40.0)
    ratio = costs.classification(net, 1000).seconds / costs.classification(dense, 1000).seconds
    assert ratio == pytest.approx(36 / 4, rel=0.1)
    assert "36 images, 4 neurons at 9 positions" in costs.classification(net, 36).cause
    assert costs.layout(net, Path(), exported=True).cause == "a chip of 6x6-conv2@3x3-mean2x2-conv2@2x2-2"


def test_classify_judges_a_chip(folder: Path) -> None:
    content = good(
        "classify", folder / "net.npz", "--dataset", folder / "data.npz", "--technology", "discrete", "--chip", 2,
        "--table", 9,
    )  # fmt: skip
    with np.load(folder / "data.npz") as data:
        result = classify(Design(network(), Technology.load("discrete")).chip(2), data["images"], table=9)
        assert content["accuracy"] == result.accuracy(data["labels"])
