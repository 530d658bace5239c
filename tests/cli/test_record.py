"""`analog-fhn record`: its file is what the same function makes, its JSON and its refusals."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import command_line
import numpy as np
import pytest
from handmade_twin import handmade

from analog_fhn._support import estimate
from analog_fhn.errors import MissingProgramError
from analog_fhn.neuron import FHN
from analog_fhn.ngspice import process
from analog_fhn.reconstruct.recordings.files import read_recording
from analog_fhn.reconstruct.sources.record import circuit_chip, record_circuit, record_fhn, record_sherman


def run(*arguments: object) -> tuple[int, str, str]:
    return command_line.run("record", *arguments)


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    *warnings, line = err.splitlines()  # with --yes an estimate may come first
    assert len(warnings) <= 2 * ("--yes" in arguments)
    return line


@pytest.mark.parametrize(("source", "kind"), [("sherman", "original"), ("sherman-modified", "modified")])
def test_sherman_is_written(tmp_path: Path, source: str, kind: str) -> None:
    path = tmp_path / "r.csv"
    status, out, _ = run(
        "--source", source, "--duration", 5, "--step", 0.02, "--vs", -38, "--settle", 1, "-o", path
    )  # fmt: skip
    assert status == 0
    assert f"({kind}), V_S = -38 mV: 250 samples every 0.02 s (5 s)" in out
    assert out.splitlines()[-1] == f"written: {path}"
    found = read_recording(path)
    made = record_sherman(kind, 5.0, 0.02, v_s=-38.0, settle=1.0)  # type: ignore[arg-type]
    assert np.array_equal(found.voltage, made.voltage)
    assert np.array_equal(found.time, made.time)
    assert found.states is not None
    assert np.array_equal(found.states, made.states)  # type: ignore[arg-type]


def test_a_twin_runs_into_a_file(tmp_path: Path) -> None:
    path, twin, one = tmp_path / "r.csv", tmp_path / "twin.npz", handmade()
    one.save(twin)
    status, out, _ = run(
        "--source", "twin", "--twin", twin, "--drive", 0.5, "--duration", 0.03, "--settle", 0.01, "-o", path
    )
    assert status == 0
    assert "p = 0.5: 1500 samples every 2e-05 s (0.03 s)" in out
    found = read_recording(path)
    assert np.array_equal(found.voltage, one.run(0.04, 0.5)[0][500:])
    assert found.start == 0.0, "as of other sources, whatever came before"
    # Its first recorded drive, by itself.
    assert run("--source", "twin", "--twin", twin, "-o", path)[0] == 0
    assert np.array_equal(read_recording(path).voltage, one.run(0.2, -1.0)[0])
    for arguments, message in (
        (("--twin", twin, "--drive", 1.5), "the twin knows drives from -1 to 1"),
        (("--twin", twin, "--step", 1e-3), "--step 0.001: a twin has the step of its recordings"),
        (("--twin", twin, "--settle", -0.05), "no negative settling time"),
        ((), "--twin TWIN.npz is missing"),
        (("--twin", path), "r.csv"),
    ):
        assert message in refused("--source", "twin", *arguments, "-o", tmp_path / "no.csv")
    assert "--source twin" in refused("--source", "fhn", "--twin", twin, "-o", tmp_path / "no.csv")


@pytest.mark.parametrize("settle", [0.0, 0.0101, 0.05])
def test_a_twin_settles_without_losing_samples(tmp_path: Path, settle: float) -> None:
    path, twin = tmp_path / "r.csv", tmp_path / "twin.npz"
    handmade().save(twin)
    duration = 0.07
    arguments = ("--source", "twin", "--twin", twin, "--settle", settle, "--duration", duration, "-o", path)
    assert run(*arguments)[0] == 0
    assert len(read_recording(path)) == 3500


def test_nothing_is_written_over_what_is_read(tmp_path: Path) -> None:
    twin = tmp_path / "twin.npz"
    handmade().save(twin)
    before = twin.read_bytes()
    assert f"-o {twin}: is the twin; expected another file" in refused("--source", "twin", "--twin", twin, "-o", twin)
    arguments = ("--source", "twin", "--twin", twin, "-o", tmp_path / "r.csv", "--json", twin)
    assert f"--json {twin}: is the twin" in refused(*arguments)
    same = tmp_path / "same.csv"
    assert "is the other output (-o)" in refused("--source", "fhn", "-o", same, "--json", same)
    technology = tmp_path / "technology.yaml"
    technology.write_text("name: mine\n")
    assert "is the technology" in refused("--source", "spice", "--technology", technology, "-o", technology)
    assert twin.read_bytes() == before
    assert not same.exists()


def test_json_is_pure_and_tells_everything(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    arguments = ("--source", "fhn", "--drive", -0.4, "--a", 0.9, "--eps", 0.02, "-o", path)
    status, out, err = run(
        *arguments, "--noise", 0.1, "--missing", 0.2, "--missing-length", 3, "--seed", 7, "--json", "-"
    )
    assert status == 0
    result = json.loads(out)
    assert "white noise" in err
    assert (result["command"], result["seed"], result["source"]) == ("record", 7, "fhn")
    made = record_fhn(FHN(eps=0.02, a=0.9), -0.4)
    assert (result["n_samples"], result["step"]) == (len(made), made.step)
    assert result["duration"] == pytest.approx(len(made) * made.step)
    assert result["n_missing"] == pytest.approx(0.2 * len(made), rel=0.15)
    assert result["settings"] == {
        "fhn": {"eps": 0.02, "a": 0.9}, "drive": -0.4, "settle": 0.0, "noise": 0.1, "missing": 0.2,
        "missing_length": 3.0,
    }  # fmt: skip
    found = read_recording(path)
    assert np.count_nonzero(found.missing) == result["n_missing"]
    assert np.nanstd(found.voltage - made.voltage) == pytest.approx(0.1 * np.std(made.voltage), rel=0.05)
    assert result["voltage"]["high"] == pytest.approx(np.nanmax(found.voltage))

    first = path.read_bytes()
    for seed, same in ((7, True), (8, False)):
        run(*arguments, "--noise", 0.1, "--missing", 0.2, "--missing-length", 3, "--seed", seed)
        assert (path.read_bytes() == first) == same


def test_what_goes_missing_does_not_depend_on_the_noise(tmp_path: Path) -> None:
    gaps = []
    for noise in (0, 0.1):
        run("--source", "fhn", "--missing", 0.1, "--noise", noise, "-o", tmp_path / "r.csv")
        gaps.append(read_recording(tmp_path / "r.csv").gaps)
    assert gaps[0] == gaps[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "fhn", "--duration", 60, "--step", 1e-6), "fhn: 60 s at a step of 1e-06 s: needs about 43.2 GB"),
        (("--source", "sherman", "--duration", 1e12), "needs about"),
        (("--source", "sherman", "--settle", 1e12), "after 1e+12 s: takes about 51 years"),
        (("--source", "spice", "--duration", 1e300, "--step", 1e-300), "needs about"),
        (("--source", "fhn", "--step", 1e-320), "needs about"),
        (("--source", "twin", "--duration", 1e9), "needs about"),
    ],
)
def test_a_recording_beyond_the_machine_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], said: str
) -> None:
    monkeypatch.setattr(estimate, "available_memory", lambda: 16e9)
    if "twin" in arguments:
        handmade().save(tmp_path / "twin.npz")
        arguments = (*arguments, "--twin", tmp_path / "twin.npz")
    message = refused(*arguments, "-o", tmp_path / "r.csv")
    assert said in message
    assert message.endswith("--yes to insist")
    assert not (tmp_path / "r.csv").exists()


def test_the_user_may_insist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_disk", lambda _folder: 1000.0)
    arguments = ("--source", "sherman", "--duration", 5, "-o", tmp_path / "r.csv")
    assert "needs about 50 kB of disk; 1 kB are free" in refused(*arguments)
    status, _, err = run(*arguments, "--yes")
    assert status == 0
    assert "analog-fhn: warning: --source sherman: 5 s at a step of 0.01 s: needs about 50 kB of disk" in err
    # The estimate is that of the file, within a third.
    assert (tmp_path / "r.csv").stat().st_size == pytest.approx(50e3, rel=0.33)


def test_a_large_file_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.cli.record._LARGE", 1e4)
    err = run("--source", "sherman", "--duration", 5, "-o", tmp_path / "r.csv")[2]
    assert "5 s at a step of 0.01 s: 500 samples, a file of about 50 kB" in err


def _installed() -> bool:
    try:
        process.find_library()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


@pytest.mark.skipif(not _installed(), reason="libngspice or PySpice is not installed")
def test_circuit_is_that_of_the_chip(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    status, out, _ = run(
        "--source", "spice", "--chip", 3, "--drive", -0.7, "--gamma", -1.2, "--duration", 0.004, "--step", 2e-5,
        "-o", path, "--json", "-",
    )  # fmt: skip
    assert status == 0
    (made,) = record_circuit(circuit_chip("discrete", 3, fhn=FHN(gamma=-1.2)), -0.7, 0.004, 2e-5)
    assert np.array_equal(read_recording(path).voltage, made.voltage)
    settings = json.loads(out)["settings"]
    assert (settings["technology"], settings["chip"], settings["fhn"]["gamma"]) == ("discrete", 3, -1.2)
    assert settings["scales"]["time_unit"] == 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "fhn", "--vs", -36), "--vs -36 is an option of --source sherman and --source sherman-modified"),
        (("--source", "sherman", "--drive", -0.5), "--drive -0.5 is an option of --source fhn and --source spice"),
        (("--source", "fhn", "--gamma", -1), "--gamma -1 is an option of --source spice"),
        (("--source", "fhn", "--technology", "discrete"), "--technology discrete is an option of --source spice"),
        (("--source", "sherman", "--chip", 1), "--chip 1 is an option of --source spice"),
        (("--source", "fhn", "--noise", -1), "noise share = -1"),
        (("--source", "fhn", "--missing", 1), "missing share = 1"),
        (("--source", "fhn", "--missing-length", 3), "--missing-length 3: nothing goes missing without --missing"),
        (("--source", "fhn", "--eps", 0), "FHN eps = 0.0: expected a number from"),
        (("--source", "sherman", "--duration", 0), "--duration 0: expected a number of seconds above 0"),
        (("--source", "fhn", "--step", 0), "--step 0: expected a number of seconds above 0"),
        (("--source", "fhn", "--step", "nan"), "--step nan"),
        (("--source", "fhn", "--missing", 0.1, "--missing-length", 0), "0"),
        (("--source", "sherman", "--duration", 0.5), "50 samples; expected at least 100"),
        (("--source", "sherman", "--settle", -1), "no negative settling time"),
        (("--source", "sherman", "--step", 1e-12, "--yes"), "500000000000000 samples; expected at most"),
        (("--source", "fhn", "--step", 1e-320, "--yes"), "inf samples; expected at most"),
        (("--source", "fhn", "--missing", 0.1, "--missing-length", 1e13), "mean length = 1e+13"),
        (("--source", "spice", "--technology", "tubes"), "tubes"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, arguments: tuple[object, ...], message: str) -> None:
    assert message in refused(*arguments, "-o", tmp_path / "r.csv")
    assert not (tmp_path / "r.csv").exists()


def test_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    assert "cannot be written" in refused("--source", "sherman", "-o", tmp_path)


def test_an_unknown_source_is_refused() -> None:
    status, _, err = run("--source", "squid", "-o", "r.csv")
    assert status == 2
    assert "sherman-modified" in err
