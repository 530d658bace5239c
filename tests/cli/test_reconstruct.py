"""`analog-fhn reconstruct`: what it writes and says, and what it refuses."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import command_line
import numpy as np
import pytest

from analog_fhn.cli.reconstruct import FitSettings
from analog_fhn.reconstruct.model.multistep import MultiStepOptions
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.recordings.files import write_recording
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.sources.record import record_fhn

QUICK = ("--latent", 2, "--dimension", 16, "--steps", 600, "--restarts", 2, "--hidden", 30, "--ahead", 0)


def run(*arguments: object) -> tuple[int, str, str]:
    return command_line.run("reconstruct", *arguments)


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    (line,) = err.splitlines()
    return line


@cache
def oscillator() -> Recording:
    return record_fhn(drive=-0.5)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "fhn.csv"
    write_recording(path, oscillator())
    return path


def test_a_neuron_is_rebuilt(tmp_path: Path, record: Path) -> None:
    twin, pictures = tmp_path / "twin.npz", tmp_path / "pictures"
    status, out, err = run(record, *QUICK, "-o", twin, "--pictures", pictures, "--json", "-")
    assert status == 0
    result = json.loads(out)
    assert result["command"] == "reconstruct"
    assert result["recordings"][0]["file"] == str(record)
    assert max(result["waveform_errors"][result["chosen"]]) < 0.1
    assert f"{record}: {len(oscillator())} samples every " in err
    assert "rms of its range" in err
    assert (result["latent"], result["restarts"], result["latent_scan"]) == (2, 2, [])
    assert result["recorded_regime"] == "spiking"
    assert abs(result["period_error"]) < 0.02
    assert result["period"] == pytest.approx(result["period_recorded"] * (1 + result["period_error"]))
    assert "kept" in err
    assert "largest step" in err
    assert len(result["explained"]) == 2
    assert result["explained"][0] > 0.95
    assert result["turns_apart"] is None
    assert {path.name for path in pictures.iterdir()} == {
        "advice.png", "portraits.png", "free_runs.png", "intervals.png"
    }  # fmt: skip
    made = Reconstruction.load(twin)
    assert made.notes["chosen"] == result["chosen"]
    assert made.notes["rule"] == result["rule"]
    swing = np.ptp(made.run(5 * result["period"]), axis=1)
    np.testing.assert_allclose(swing, np.ptp(oscillator().voltage[1000:]), rtol=0.15)


def test_fine_recordings_are_thinned(tmp_path: Path) -> None:
    path = tmp_path / "fine.csv"
    write_recording(path, record_fhn(drive=-0.5, duration=0.021, step=1e-6))
    # So short a training makes no twin: what there is is kept, and the status tells.
    status, out, err = run(path, *QUICK, "--steps", 20, "--restarts", 1, "-o", tmp_path / "t.npz")
    assert status == 1
    assert "0 of 3 free runs of the map that was kept show the recorded regime" in err
    assert Reconstruction.load(tmp_path / "t.npz").step == pytest.approx(1e-6)
    assert "2109 samples in a period" in out
    assert "--every 7" in out
    status, out, _ = run(path, *QUICK, "--every", 7, "--restarts", 1, "-o", tmp_path / "t.npz")
    assert status == 0
    assert "samples in a period" not in out
    made = Reconstruction.load(tmp_path / "t.npz")
    assert made.step == pytest.approx(7e-6)
    assert "from 1 to 21000" in refused(path, "--every", 30000, "-o", tmp_path / "t.npz")


def test_maps_trained_ahead_are_tried_too(tmp_path: Path, record: Path) -> None:
    quick = (*QUICK, "--restarts", 1, "--steps", 20, "-o", tmp_path / "t.npz", "--json", "-")
    status, out, err = run(record, *quick, "--ahead", 10)
    assert status in (0, 1)
    assert json.loads(out)["maps"] == ["map 1", "map 1, 10 steps ahead"]
    assert "map 1, 10 steps ahead (one-step error" in err


def test_several_drives_are_judged_one_by_one(tmp_path: Path) -> None:
    drives, paths = (-0.5, 0.3), [tmp_path / "a.csv", tmp_path / "b.csv"]
    for drive, path in zip(drives, paths, strict=True):
        write_recording(path, record_fhn(drive=drive, duration=0.03, step=2e-5))
    arguments = (*paths, "--drive", "-0.5,0.3", *QUICK, "--steps", 1500, "-o", tmp_path / "t.npz", "--json", "-")
    status, out, err = run(*arguments)
    assert status == 0
    result = json.loads(out)
    assert result["recorded_regimes"] == ["spiking", "silent"]
    assert "6 of 6 in the recorded regime, period within" in err
    assert result["regimes"][result["chosen"]] == ["spiking"] * 3 + ["silent"] * 3


def test_nothing_is_written_over_a_recording(tmp_path: Path, record: Path) -> None:
    before = record.read_bytes()
    assert "is a recording; expected another file" in refused(record, *QUICK, "-o", record)
    assert "is a recording" in refused(record, *QUICK, "-o", tmp_path / "t.npz", "--json", record)
    assert "is the other output (-o)" in refused(record, *QUICK, "-o", tmp_path / "t.npz", "--json", tmp_path / "t.npz")
    assert record.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--step", 0), ("--step", "nan"), ("--longest", "inf"), ("--noise", "inf"), ("--noise", -1),
        ("--volts-per-unit", 0), ("--seconds-per-unit", "inf"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense(tmp_path: Path, record: Path, option: str, value: object) -> None:
    assert option.lstrip("-") in refused(record, *QUICK, option, value, "-o", tmp_path / "t.npz")


@pytest.mark.parametrize("units", [(0, 1e-3), (1, "nan")])
def test_units_are_checked_before_the_training(tmp_path: Path, record: Path, units: tuple[object, object]) -> None:
    line = refused(
        record, record, "--drive", "0,1", "--volts-per-x", units[0], "--time-unit", units[1], "-o", tmp_path / "t.npz"
    )
    assert "expected a number above 0" in line


def test_options_of_the_neural_map_are_refused_with_a_polynomial(tmp_path: Path, record: Path) -> None:
    for option in ("--hidden", "--ahead", "--updates"):
        message = refused(record, "--polynomial", 3, option, 20, "-o", tmp_path / "t.npz")
        assert f"{option} 20 is an option of the neural map; --polynomial 3 has none" in message


def test_steps_ahead_that_the_recording_does_not_hold_are_told(tmp_path: Path, record: Path) -> None:
    quick = (*QUICK, "--restarts", 1, "--steps", 20, "-o", tmp_path / "t.npz")
    assert "note: no map could be trained on 100000 steps: nowhere do" in run(record, *quick, "--ahead", 100_000)[1]


def test_updates_of_the_training_on_several_steps_can_be_set(tmp_path: Path, record: Path) -> None:
    message = refused(record, *QUICK, "--updates", 20, "-o", tmp_path / "t.npz")
    assert "--updates 20 is of the training that --ahead 0 leaves out" in message
    for updates, ahead in ((None, None), (2000, None), (20, 7)):
        given = FitSettings(updates=updates, ahead=ahead).options(bridge=0, seed=0).refine
        assert given == MultiStepOptions(ahead=ahead or 50, updates=updates or 500)


def test_result_is_kept_where_a_picture_fails(tmp_path: Path) -> None:
    """Blocks of ten samples: vectors of three in succession there are, but no pair at the lags that are looked at."""
    path, twin, told = tmp_path / "blocks.csv", tmp_path / "t.npz", tmp_path / "t.json"
    voltage = oscillator().voltage.copy()
    voltage[np.arange(len(voltage)) % 40 >= 10] = np.nan
    write_recording(path, Recording(voltage, oscillator().step))
    quick = ("--latent", 2, "--dimension", 3, "--stride", 1, "--steps", 20, "--restarts", 1, "--ahead", 0)
    status, _, err = run(path, *quick, "-o", twin, "--json", told, "--pictures", tmp_path / "pictures")
    assert status == 2
    assert "hold no pair at a lag" in err
    assert json.loads(told.read_text())["file"] == str(twin)
    assert Reconstruction.load(twin).step == oscillator().step


def test_states_with_gaps_are_explained(tmp_path: Path, record: Path) -> None:
    lines = record.read_text().splitlines()
    path = tmp_path / "gaps.csv"
    path.write_text("\n".join(line for k, line in enumerate(lines) if k == 0 or k % 10) + "\n")
    quick = (*QUICK, "--restarts", 1, "--steps", 300, "-o", tmp_path / "t.npz", "--json", "-")
    status, out, _ = run(path, *quick)
    assert status in (0, 1)
    assert json.loads(out)["explained"][0] > 0.5


def test_a_part_in_other_units(tmp_path: Path) -> None:
    path = tmp_path / "scope.csv"
    part = record_fhn(drive=-0.5, duration=0.06)
    write_recording(path, Recording(100 * part.voltage, 1e3 * part.step))
    units = ("--volts-per-unit", 0.01, "--seconds-per-unit", 1e-3)
    quick = (*QUICK, "--restarts", 1, "--steps", 20, "-o", tmp_path / "t.npz")
    status, out, _ = run(path, *quick, *units, "--start", 0.03, "--stop", 0.05)
    assert status in (0, 1)
    part = part.cut(0.03, 0.05)
    low, high = part.voltage.min(), part.voltage.max()
    assert f"one unit is 0.01 V, as told\n{path}: " in out
    assert f"every {part.step:g} s ({part.step * len(part):g} s), {low:.4g} to {high:.4g} V" in out
    assert "nothing between 0.07 and None s" in refused(path, *quick, *units, "--start", 0.07)


def test_a_file_without_times_needs_a_step(tmp_path: Path, record: Path) -> None:
    plain = tmp_path / "plain.csv"
    np.savetxt(plain, oscillator().voltage, header="volts", comments="")
    assert "plain.csv" in refused(plain, *QUICK, "-o", tmp_path / "t.npz")
    assert "nothing" in refused(record, "--column", "nothing", "-o", tmp_path / "t.npz")


def test_several_recordings_need_a_drive_each(tmp_path: Path, record: Path) -> None:
    assert "--drive" in refused(record, record, "-o", tmp_path / "t.npz")
    line = refused(record, record, "--drive", "1,2,3", "-o", tmp_path / "t.npz")
    assert "3 values; expected one for each of 2 recordings" in line
    assert "belong together" in refused(record, "--volts-per-x", 1, "-o", tmp_path / "t.npz")
    units = ("--volts-per-x", 1, "--time-unit", 1e-3)
    assert "two or more" in refused(record, "--drive", "1", *units, "-o", tmp_path / "t.npz")
    assert "--stride" in refused(record, "--stride", 1, "--longest", 1, "-o", tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t, v: (t, np.full_like(v, 0.1)), "expected a voltage that changes"),
        (lambda t, v: (t[:20], v[:20]), "20 samples"),
        (lambda t, v: (t, np.full_like(v, np.nan)), "bad.csv"),
        (lambda t, v: (np.where(np.arange(len(t)) == 50, t[10], t), v), "bad.csv"),
        (lambda t, v: (t, np.clip(v, -0.5, 0.5)), "clipped"),
    ],
    ids=["constant", "short", "nan", "time runs back", "clipped"],
)
def test_bad_recordings(tmp_path: Path, spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    recording = oscillator()
    time, voltage = spoil(recording.time.copy(), recording.voltage.copy())
    path = tmp_path / "bad.csv"
    np.savetxt(path, np.column_stack([time, voltage]), delimiter=",", header="time,voltage", comments="")
    line = refused(path, *QUICK, "-o", tmp_path / "t.npz")
    assert "bad.csv" in line
    assert words in line
    assert not (tmp_path / "t.npz").exists()
