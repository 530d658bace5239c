"""The commands with a network of two hidden layers, 64-16-12-10."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import yaml
from sweeps import digits, random_features

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.inference import classify, hidden_response, layer_inputs
from analog_fhn.network import Network
from analog_fhn.noise import chip_noise
from analog_fhn.studies.low_pass import low_pass
from analog_fhn.studies.quiescent import BoardConsumption
from analog_fhn.technology.technology import Technology

SHORT = ("--settle", 30, "--control", 60)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deep") / "deep.npz"
    random_features((16, 0.5), (12, 1.5)).save(path)
    return path


def network(net: Path) -> Network:
    return Network.load(net).with_options(settle=30.0, control=60.0)


def design(net: Path) -> Design:
    return Design(network(net), Technology.load("discrete"))


def chip(net: Path, seed: int | None = 3) -> ManufacturedChip:
    return design(net).chip(seed)


def good(*arguments: object) -> Any:
    """Object that a command writes as JSON."""
    status, out, err = command_line.run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out)


def refused(*arguments: object) -> str:
    status, out, err = command_line.run(*arguments)
    (line,) = err.splitlines()
    assert (status, out) == (2, "")
    return line


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- classify -------------------------------------------------------------------------------------------------


def test_classify_is_that_chip_and_says_its_layers(net: Path) -> None:
    shown = good(
        "classify", net, "--dataset", "digits", "--images", 100, "--technology", "discrete", "--chip", 3, *SHORT
    )
    expected = classify(chip(net), digits().images)
    assert shown["accuracy"] == expected.accuracy(digits().labels)
    assert shown["unsettled"] == expected.unsettled
    assert shown["settings"]["layers"] == [64, 16, 12, 10]
    assert shown["settings"]["hidden"] == "sigmoid"


def test_classify_of_the_ideal_network(net: Path) -> None:
    shown = good("classify", net, "--dataset", "digits", "--images", 50, *SHORT)
    part = digits().head(50)
    assert shown["accuracy"] == classify(network(net), part.images).accuracy(part.labels)
    # The neurons stand for the trained units: their answers differ on few images.
    assert abs(shown["accuracy"] - shown["accuracy_plain"]) <= 0.1


def test_classify_with_tables_of_both_layers(net: Path) -> None:
    command = ("classify", net, "--dataset", "digits", "--images", 50, "--technology", "discrete", "--chip", 3)
    shown = good(*command, "--table", 9, *SHORT)
    part = digits().head(50)
    expected = classify(chip(net), part.images, table=9)
    assert shown["accuracy"] == expected.accuracy(part.labels)
    assert expected.table is not None
    assert shown["table"]["n_drives"] == 9


def test_classify_with_noise_in_both_layers(net: Path) -> None:
    command = ("classify", net, "--dataset", "digits", "--images", 5, "--technology", "discrete", "--chip", 3)
    shown = good(*command, "--noise", "intrinsic", "--noise-seed", 2, "--settle", 5, "--control", 20)
    one = design(net).network.with_options(settle=5.0, control=20.0)
    sample = Design(one, design(net).technology).chip(3)
    part = digits().head(5)
    expected = classify(sample, part.images, noise=chip_noise(sample, 2))
    assert shown["accuracy"] == expected.accuracy(part.labels)
    assert shown["identity_deviation"] == expected.identity_deviation


# --- compare --------------------------------------------------------------------------------------------------


def test_compare_goes_through_its_stages(net: Path, tmp_path: Path) -> None:
    shown = good(
        "compare", net, "--dataset", "digits", "--images", 50, "--chip", 3, "--noise-images", 0, "--brian-images", 0,
        "--spice-images", 0, "-o", tmp_path, *SHORT,
    )  # fmt: skip
    part = digits().head(50)
    stages = {stage["name"]: stage for stage in shown["stages"]}
    assert stages["float"]["accuracy"] == network(net).accuracy(part.images, part.labels)
    assert stages["ideal FHN"]["accuracy"] == classify(network(net), part.images).accuracy(part.labels)
    last = stages["mismatched tanh pairs and row drivers"]
    assert last["accuracy"] == classify(chip(net), part.images).accuracy(part.labels)
    assert [row["label"] for row in read(tmp_path / "compare.csv")] == [str(label) for label in part.labels]
    assert (tmp_path / "waterfall.png").read_bytes().startswith(b"\x89PNG")


# --- arrays ---------------------------------------------------------------------------------------------------


def test_arrays_shows_three_of_them(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("analog_fhn.plots.weights", lambda layers, _: drawn.update(weights=layers) or _figure())
    monkeypatch.setattr("analog_fhn.plots.conductances", lambda bars, *_: drawn.update(bars=bars) or _figure())
    monkeypatch.setattr("analog_fhn.plots.line_losses", lambda losses, _: drawn.update(losses=losses) or _figure())
    wired = Technology.load("discrete").with_values({"array.wires.word": 0.5, "array.wires.bit": 0.5})
    wired.save(tmp_path / "wired.yaml")
    command = ("arrays", net, "--technology", tmp_path / "wired.yaml", "--chip", 3, "-o", tmp_path)
    shown = good(*command, "--dataset", "digits", "--image", 2, *SHORT)
    names = ["input array", "array 1", "output array"]
    sample = Design(network(net), wired).chip(3)
    assert [row["array"] for row in read(tmp_path / "arrays.csv")] == [one["array"] for one in shown["arrays"]]
    assert [one["rows"] for one in shown["arrays"]] == [len(array.crossbar.g_plus) for array in sample.arrays]
    assert list(drawn["weights"]) == list(drawn["losses"]) == names
    assert [bar.split(",")[0] for bar in drawn["bars"]] == names
    for name, weights, array in zip(names, network(net).weights, sample.arrays, strict=True):
        np.testing.assert_array_equal(drawn["weights"][name][0], weights)
        np.testing.assert_array_equal(drawn["weights"][name][1], array.weights)
    # Under an image the rows between hidden layers carry what is handed over to them.
    inputs = layer_inputs(sample, digits().images[2:3].astype(float), Direct())
    volts = sample.arrays[1].row_voltages(inputs[1][0])
    lost, _ = drawn["losses"]["array 1"]
    assert np.all(np.abs(lost) <= np.abs(volts)[:, None] + 1e-12)
    assert np.abs(lost).max() > 0.0


def _figure() -> Any:
    from matplotlib.figure import Figure

    return Figure()


# --- export ---------------------------------------------------------------------------------------------------


def test_export_of_neurons_has_those_of_both_layers(net: Path, tmp_path: Path) -> None:
    shown = good(
        "export", net, "--chip", 3, "--form", "neurons", "--dataset", "digits", "--image", 2, "-o", tmp_path, *SHORT
    )
    decks = {name for name in shown["files"] if name.startswith("neuron_") and name.endswith(".cir")}
    assert decks == {f"neuron_{k:03d}.cir" for k in range(16)} | {f"neuron_1_{k:03d}.cir" for k in range(12)}
    _, passes = hidden_response(chip(net), digits().images[2:3].astype(float), Direct())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    np.testing.assert_array_equal(manifest["drives"], np.concatenate([one.drives[0] for one in passes]))
    assert {f"conductances_{k}.csv" for k in range(3)} <= set(shown["files"])


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_export_of_a_circuit_has_its_low_passes(form: str, net: Path, tmp_path: Path) -> None:
    shown = good("export", net, "--form", form, "-o", tmp_path, *SHORT)
    text = "".join((tmp_path / name).read_text() for name in shown["files"] if name.endswith(".cir"))
    assert text.count(" smoothing_driver\n") == 16
    assert text.count(" row_driver\n") == 12
    (low_pass_row,) = (row for row in read(tmp_path / "bom.csv") if "Cf" in row["where"])
    assert low_pass_row["quantity"] == "16"


def test_weights_of_all_arrays_are_exported(net: Path, tmp_path: Path) -> None:
    good("export", net, "--chip", 3, "--form", "neurons", "-o", tmp_path, "--weights", tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as arrays:
        for number, array in enumerate(chip(net).arrays):
            np.testing.assert_allclose(arrays[f"w{number}"], array.weights, rtol=1e-6)


# --- design ---------------------------------------------------------------------------------------------------


def test_design_lists_the_low_pass_once(net: Path) -> None:
    shown = good("design", "--network", net)
    names = [part["name"] for part in shown["parts"]]
    assert names.count("Cf") == 1
    assert len(names) == len(set(names))
    value = next(part["value"] for part in shown["parts"] if part["name"] == "Cf")
    assert value == design(net).cells[0].low_pass[1]


def test_design_says_what_is_wrong_with_a_low_pass(net: Path, tmp_path: Path) -> None:
    technology = tmp_path / "slow.yaml"
    Technology.load("discrete").with_values({"low_pass.time_constant": 100.0}).save(technology)
    status, out, _ = command_line.run("design", "--network", net, "--technology", technology)
    assert status == 1
    assert "error: low-pass of hidden layer 1: with a time constant of 101 T 16 % of an activation is missing" in out


# --- frontier -------------------------------------------------------------------------------------------------


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> float:
    """Power that ngspice is taken to measure (W)."""
    for name in ("consumption", "low_pass"):
        drawn = BoardConsumption(0.5, 14.0, seconds=1.0)
        monkeypatch.setattr(f"analog_fhn.studies.{name}.consumption", lambda *_, drawn=drawn: drawn)
    return 14.0


def test_frontier_with_low_passes(net: Path, tmp_path: Path, power: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, times in (("SETTLE", (0.0, 20.0)), ("CONTROL", (10.0, 30.0))):
        monkeypatch.setattr(f"analog_fhn.studies.frontier.{name}", times)
    shown = good(
        "frontier", net, "--dataset", "digits", "--images", 20, "--chip", 3, "--gammas", "-1", "--settle", 20,
        "--low-pass", "5,20,5", "-o", tmp_path,
    )  # fmt: skip
    part = digits().head(20)
    whole = Design(Network.load(net), Technology.load("discrete"))
    expected = low_pass(whole, part.images, part.labels, [5.0, 20.0])
    rows = read(tmp_path / "low_pass.csv")
    assert list(rows[0]) == [
        "time_constant", "resistance_ohm", "capacitance_farad", "settle", "ripple", "accuracy", "latency_seconds",
        "energy_joule",
    ]  # fmt: skip
    for row, point, one in zip(rows, shown["low_pass"], expected, strict=True):
        assert point["time_constant"] == one.time_constant
        values = [one.time_constant, *one_values(one)]
        assert [float(value) for value in row.values()] == values
        assert list(point.values()) == values
    assert shown["low_pass"][0]["energy"] == pytest.approx(power * shown["low_pass"][0]["latency"])
    assert (tmp_path / "low_pass.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "frontier.png").exists()


def one_values(point: Any) -> list[float]:
    return [
        point.resistance,
        point.capacitance,
        point.settle,
        point.ripple,
        point.accuracy,
        point.latency,
        point.energy,
    ]


def test_low_passes_that_cannot_be_are_refused_before_the_work(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr("analog_fhn.studies.consumption.consumption", reached)
    shallow = tmp_path / "shallow.npz"
    random_features((8, 0.5)).save(shallow)
    options = ("--dataset", "digits", "--images", 5, "--gammas", "-1", "-o", tmp_path / "new", "--low-pass")
    assert "--low-pass 5,10: a network with one hidden layer has no low-pass" in refused(
        "frontier", shallow, *options, "5,10"
    )
    assert "low_pass.time_constant = 500 T is longer than the control window of 200 T" in refused(
        "frontier", net, *options, "5,500"
    )
    assert "--low-pass '5;10': expected numbers" in refused("frontier", net, *options, "5;10")
    assert not (tmp_path / "new").exists()


# --- allocate -------------------------------------------------------------------------------------------------


def test_allocate_chooses_parts_of_all_layers(net: Path, tmp_path: Path) -> None:
    keep = [key for key in Technology.load("discrete").classes if key != "capacitor"]
    plan = {
        "network": str(net), "technology": "discrete", "dataset": "digits", "seed": 4, "chips": 5, "images": 50,
        "specification": 0.2, "allocation": {"yield": 0.5, "chips": 20, "confirm": 5, "keep": keep},
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    shown = good("allocate", tmp_path / "plan.yaml", "-o", tmp_path / "run", "--workers", 1)
    assert list(shown["chosen"]["classes"]) == ["capacitor"]
    assert shown["chosen"]["cost"] <= shown["present"]["cost"]
    (low_pass_row,) = (row for row in read(tmp_path / "run" / "bom.csv") if "Cf" in row["where"])
    assert (low_pass_row["quantity"], low_pass_row["choice"]) == ("16", shown["chosen"]["classes"]["capacitor"])
