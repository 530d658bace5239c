"""`analog-fhn record --info`: what it says of a recording, writes and refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import command_line
import numpy as np
import pytest

pytest.importorskip("neo")
from abf_files import write_abf

N = 12_800
EPOCHS = ((2000, 0.0, 0.0), (6000, -20.0, 20.0), (1000, 0.0, 0.0))


def run(*arguments: object) -> tuple[int, str, str]:
    return command_line.run("record", *arguments)


def refused(*arguments: object) -> str:
    status, _, err = run(*arguments)
    assert status == 2
    return err.splitlines()[-1]


def recording(path: Path, **options: object) -> Path:
    """Five sweeps; k spikes in the step of the sweep k, from 0."""
    sweeps = [np.full((N, 1), -60.0) for _ in range(5)]
    for k, sweep in enumerate(sweeps):
        for begin in range(3000, 3000 + 1000 * k, 1000):
            sweep[begin : begin + 20] = 30.0
    return write_abf(path, sweeps, **{"epochs": EPOCHS, **options})  # type: ignore[arg-type]


def test_the_contents_are_said_and_written(tmp_path: Path) -> None:
    path, picture, table = recording(tmp_path / "r.abf"), tmp_path / "r.png", tmp_path / "steps.csv"
    status, out, err = run("--info", path, "--picture", picture, "-o", table, "--json", "-")
    assert status == 0
    result = json.loads(out)
    assert "5 sweeps of 12800 samples (0.64 s) at 20 kHz" in err
    assert "threshold, step 1: silent at -20 pA, spikes from 0 pA" in err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (result["command"], result["current_clamp"], result["problem"]) == ("record", True, None)
    assert [step["spikes"] for step in result["steps"]] == [0, 1, 2, 3, 4]
    assert result["currents"] == pytest.approx([-2e-11, 0.0, 2e-11, 4e-11, 6e-11])
    assert result["channels"][0] == {"number": 1, "name": "Vm", "unit": "mV", "kind": "voltage", "rate": 20_000.0}
    assert result["thresholds"] == [{"step": 1, "silent": pytest.approx(-2e-11), "spiking": 0.0}]
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["spikes"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[4]["last_interval"]) == pytest.approx(0.05)
    assert rows[1]["first_interval"] == ""


def test_a_voltage_clamp_is_shown_for_what_it_is(tmp_path: Path) -> None:
    path = recording(tmp_path / "vc.abf", channels=[("Im", "pA")], command=("Vc", "mV"))
    picture = tmp_path / "vc.png"
    status, out, err = run("--info", path, "--picture", picture, "--json", tmp_path / "vc.json")
    assert status == 0
    assert "channel 1 'Im' (pA): current" in out
    assert "voltage clamp: the command 'Vc' (mV) is a voltage" in err
    assert picture.is_file()
    result = json.loads((tmp_path / "vc.json").read_text())
    assert not result["current_clamp"]
    assert "voltage clamp" in result["problem"]
    assert "voltage clamp" in refused("--info", path, "-o", tmp_path / "steps.csv")


def test_a_file_of_columns_is_shown_too(tmp_path: Path) -> None:
    path = tmp_path / "scope.csv"
    rows = "".join(f"{1e-3 * k},{0.1 * (k % 7)}\n" for k in range(300))
    path.write_text("time,voltage\n" + rows)
    status, out, _ = run("--info", path, "--picture", tmp_path / "p.png")
    assert status == 0
    assert "300 samples every 0.001 s, 0 to 0.6 V" in out
    assert (tmp_path / "p.png").is_file()
    assert "is read as columns of numbers, without sweeps" in refused("--info", path, "--channel", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "fhn"), "--source fhn is an option of recording"),
        (("--drive", -0.5), "--drive -0.5 is an option of recording"),
        (("--step", 0.1), "--step 0.1 is an option of recording"),
        (("--noise", 0.1), "--noise 0.1 is an option of recording"),
        (("--channel", "7"), "there is no channel '7'"),
        (("--volts-per-unit", 0), "--volts-per-unit 0: expected a number of volts above 0"),
    ],
)
def test_options_of_recording_are_refused(tmp_path: Path, arguments: tuple[object, ...], message: str) -> None:
    assert message in refused("--info", recording(tmp_path / "r.abf"), *arguments)


def test_nothing_is_written_over_the_recording(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.abf")
    before = path.read_bytes()
    for option in ("-o", "--picture", "--json"):
        assert "is the recording; expected another file" in refused("--info", path, option, path)
    assert path.read_bytes() == before


def test_without_info_its_options_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    assert "--channel 1 is an option of --info" in refused("--source", "fhn", "-o", output, "--channel", 1)
    assert "-o is missing" in refused("--source", "fhn")
    assert "--source is missing: expected --source and -o to record, or --info FILE" in refused("-o", output)
    assert not output.exists()
