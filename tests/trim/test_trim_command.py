"""`analog-fhn trim`: its files name the chip that `classify --trim` and `export --trim` then see."""

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
from repairs import BAD, bench, digits_network, images, technology

from analog_fhn import cli
from analog_fhn.circuit.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.trim.repair import Options, repair, spread_drives
from analog_fhn.trim.state import load_state


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


def refused(*arguments: object) -> str:
    status, _, err = run(*arguments)
    assert status == 2
    return err.splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with biases, a bad technology, and a chip that was repaired."""
    made = tmp_path_factory.mktemp("trim")
    digits_network(True).save(made / "net.npz")
    technology(**BAD).save(made / "bad.yaml")
    status, _, err = run(
        "trim", made / "net.npz", "--technology", made / "bad.yaml", "--chip", 5, "--dataset", "digits",
        "--labelled", 200, "-o", made / "out", "--json", made / "result.json",
    )  # fmt: skip
    assert status == 0, err
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_every_step_brings_something_at_a_cost(folder: Path, result: Any) -> None:
    with (folder / "out" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["as made", "trim", "readout", "finetune"]
    accuracy = [float(row["accuracy"]) for row in rows]
    assert accuracy[3] > accuracy[0] + 0.05
    assert accuracy[3] > result["accuracy_plain"] - 0.02  # 500 images: two standard errors are 0.014
    assert [int(row["pulses"]) > 0 for row in rows] == [False, False, True, True]
    assert int(rows[0]["runs"]) == 0
    # 5 drives, 2 n runs for the ends twice, and up to 3 times 3 n images for the offsets
    assert 5 + 4 * 24 < int(rows[1]["runs"]) <= 5 + 4 * 24 + 3 * 72
    for row in rows:
        assert float(row["seconds"]) == pytest.approx(0.3 * int(row["runs"]))
    assert result["costs"]["pulses"] == sum(int(row["pulses"]) for row in rows)


def test_files_are_written(folder: Path, result: Any) -> None:
    for name in result["files"]:
        assert (folder / "out" / name).stat().st_size > 0
    assert {"run.cir", "conductances_0.csv", "conductances_1.csv", "accuracy.png"} <= set(result["files"])
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["steps"] == result["steps"]


@pytest.mark.parametrize("options", [["--table", 9], ["--images", 100]])
def test_classify_judges_exactly_this_chip(folder: Path, result: Any, options: list[object]) -> None:
    status, _, err = run(
        "classify", folder / "net.npz", "--dataset", "digits", "--trim", folder / "out" / "trim.npz",
        "--json", folder / "classified.json", *options,
    )  # fmt: skip
    assert status == 0, err
    found = json.loads((folder / "classified.json").read_text())
    if "--images" in options:  # every image simulated
        assert found["accuracy"] == pytest.approx(result["accuracy"], abs=0.1)
    else:
        assert found["accuracy"] == result["accuracy"]
        assert found["settings"]["chip"] == 5


def test_export_writes_the_targets_and_devices_of_the_trimmed_chip(folder: Path) -> None:
    network = Network.load(folder / "net.npz")
    state, made = load_state(folder / "out" / "trim.npz", network)
    status, _, err = run("export", folder / "net.npz", "--trim", folder / "out" / "trim.npz", "-o", folder / "exported")
    assert status == 0, err
    chip = state.chip(Design(network, made))
    assert chip.arrays is not None
    for layer in range(2):
        table = np.genfromtxt(folder / "exported" / f"conductances_{layer}.csv", delimiter=",", names=True)
        np.testing.assert_array_equal(table["target_siemens"], state.targets[layer].crossbar.conductance.ravel())
        np.testing.assert_array_equal(table["made_siemens"], chip.arrays[layer].crossbar.conductance.ravel())
    assert not np.array_equal(state.targets[0].crossbar.g_plus, Design(network, made).arrays[0].crossbar.g_plus)


def test_a_trim_file_comes_back_as_it_was(tmp_path: Path) -> None:
    tested = bench(5, digits_network(True), **BAD)
    repair(tested, ["trim", "readout"], images("train", 150), images("test", 50), options=Options(rounds=3))
    tested.state.save(tmp_path / "trim.npz", tested.design)
    state, made = load_state(tmp_path / "trim.npz", digits_network(True))
    chip = state.chip(Design(digits_network(True), made))
    for one, other in zip(chip.weights, tested.chip.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(chip.biases[1], tested.chip.biases[1])
    np.testing.assert_array_equal(chip.row_stage.gain, tested.chip.row_stage.gain)
    with np.load(tmp_path / "trim.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_fine_tuning_with_the_chip_in_the_forward_pass() -> None:
    pytest.importorskip("jax")
    tested = bench(6, **BAD)
    done = repair(
        tested, ["finetune"], images("train", 150), images("test"), images("train"), Options(rounds=5, epochs=2)
    )
    assert done[1].accuracy > done[0].accuracy
    assert done[1].facts["twin_error"] < 0.01


def test_only_the_output_array_is_written_on_request() -> None:
    tested = bench(6, **BAD)
    before = tested.chip.weights[0]
    done = repair(
        tested, ["finetune"], images("train", 150), images("test"), images("train"), Options(reprogram="output")
    )
    np.testing.assert_array_equal(tested.chip.weights[0], before)
    assert done[1].accuracy > done[0].accuracy


def test_wrong_use_is_refused(folder: Path, tmp_path: Path) -> None:
    net, trim = folder / "net.npz", folder / "out" / "trim.npz"
    known = "trim", net, "--technology", folder / "bad.yaml", "--dataset", "digits", "-o", tmp_path
    assert "'glue' is not one of trim, readout, finetune" in refused(*known, "--steps", "trim,glue")
    assert "20 labelled images: expected more than the network's 24" in refused(*known, "--labelled", 20)
    assert "--verify 2" in refused(*known, "--verify", 2)
    assert "--dataset is missing" in refused("trim", net, "-o", tmp_path)
    assert "--chip 3 with --measurements" in refused(
        "trim", net, "-o", tmp_path, "--measurements", tmp_path / "m.csv", "--chip", 3
    )
    judged = "classify", net, "--dataset", "digits", "--trim"
    assert "is the trim of chip 5" in refused(*judged, trim, "--chip", 4)
    assert "--technology discrete" in refused(*judged, trim, "--technology", "discrete")
    assert "is no .npz file" in refused(*judged, folder / "bad.yaml")
    assert "'meta' is missing" in refused(*judged, broken(trim, tmp_path, "meta"))
    assert "'gain_code' is missing" in refused(*judged, broken(trim, tmp_path, "gain_code"))
    with pytest.raises(InputError, match="expected the network that was trimmed"):
        load_state(trim, digits_network(False))


def broken(path: Path, folder: Path, without: str) -> Path:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != without}
    np.savez(folder / "broken.npz", **arrays)
    return folder / "broken.npz"


def test_measurements_of_a_real_chip(folder: Path, tmp_path: Path) -> None:
    tested = bench(5, digits_network(True), **BAD)
    drives, shown = spread_drives(digits_network(True), 4), images("train", 200)
    hidden, scores = tested.both(shown.images)
    np.savez(
        tmp_path / "bench.npz", drives=drives, responses=tested.neurons(drives), hidden=hidden, labels=shown.labels,
        scores=scores,
    )  # fmt: skip
    status, out, err = run(
        "trim", folder / "net.npz", "--technology", folder / "bad.yaml", "--measurements", tmp_path / "bench.npz",
        "-o", tmp_path / "out", "--json", "-",
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(out)
    assert found["slope_mean"] == pytest.approx(1.0, abs=0.1)
    assert found["validated"] > 0.7
    assert {"codes.csv", "trim.npz", "conductances_1.csv"} <= {p.name for p in (tmp_path / "out").iterdir()}
    with (tmp_path / "out" / "codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["code_of"] for row in rows].count("gain") == 24
    status, _, err = run(
        "classify", folder / "net.npz", "--dataset", "digits", "--trim", tmp_path / "out" / "trim.npz", "--table", 9
    )
    assert status == 0, err
