"""`analog-fhn reconstruct` of a current clamp, and its twin in `classify`."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
from abf_files import write_abf
from metronome import metronome
from real_recordings import FOLDER, real

from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.reconstruct import adex
from analog_fhn.reconstruct.driven import pipeline, training
from analog_fhn.reconstruct.driven.training import DrivenOptions
from analog_fhn.reconstruct.driven.twin import DrivenTwin

QUICK = DrivenOptions(hidden=16, updates=200, batch=256, rollouts=(), memories=(5,), rounds=1, generations=0)


def refused(*arguments: object) -> str:
    status, out, err = command_line.run(*arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line


def membrane_file(path: Path, kick: float = 0.0, electrode: float = 0.0) -> Path:
    """Eight steps of -20, -5, ..., 85 pA through a passive membrane; in the third a spike of `kick` mV is drawn.

    Through an electrode of so many gigaohms that the bridge does not balance.
    """
    n, on, off, step = 1280, 20, 820, 0.25e-3
    sweeps = []
    for k in range(8):
        current, voltage = np.zeros(n), np.full(n, -60.0)
        current[on:off] = -20 + 15 * k
        for i in range(n - 1):
            voltage[i + 1] = voltage[i] + step / 0.01 * (-60 - voltage[i] + 0.1 * current[i])
        if k == 2:
            voltage[400:404] += kick
        sweeps.append((voltage + electrode * current)[:, None])
    return write_abf(path, sweeps, epochs=[(800, -20.0, 15.0)], rate=4000.0)


def test_a_current_clamp_becomes_a_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "DrivenOptions", lambda: QUICK)
    path, twin = membrane_file(tmp_path / "cell.abf", kick=90.0, electrode=0.02), tmp_path / "twin.npz"
    status, out, err = command_line.run(
        "reconstruct",
        path,
        "--seed",
        3,
        "-o",
        twin,
        "--json",
        tmp_path / "out.json",
        "--pictures",
        tmp_path / "pictures",
        "--subtract-bridge",
    )
    # the drawn spike is in a held-out sweep, and nothing in the others tells of it: within one spike, so it is met
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert status == 0, err
    assert [(row["current"], row["spikes_recorded"], row["spikes_twin"]) for row in result["held_out"]] == [
        (pytest.approx(10e-12), 1, 0), (pytest.approx(70e-12), 0, 0)
    ]  # fmt: skip
    assert result["reached"]
    assert result["baseline"] is None  # no spike that it may see
    assert result["seed"] == 3
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"held_out.png", "fi.png"}
    assert "held out, 70 pA, step 1: 0 spikes recorded, 0 of the twin" in out
    loaded = DrivenTwin.load(twin)
    assert loaded.state_map.limits[1] < -0.06 + 85e-12 * 100e6 + 0.021  # without the electrode's 1.7 mV
    assert loaded.notes["recording"][-1].endswith("subtracted, up to 1.7 mV")
    assert loaded.notes["rule"] == result["rule"]
    assert loaded.currents == pytest.approx(1e-12 * np.arange(-20, 100, 15))


def test_ctrl_c_keeps_the_maps_that_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_one(*arguments: Any) -> Any:
        if trained:
            signal.raise_signal(signal.SIGINT)
        trained.append(train(*arguments))
        return trained[0]

    train, trained = training._train_one, list[Any]()
    monkeypatch.setattr(training, "_train_one", train_one)
    monkeypatch.setattr(pipeline.StepRun, "within", property(lambda run: run.step.amplitude < 50e-12))
    monkeypatch.setattr(pipeline, "DrivenOptions", lambda: replace(QUICK, rounds=3, good=0.0))
    path, twin, numbers = membrane_file(tmp_path / "cell.abf", kick=90.0), tmp_path / "twin.npz", tmp_path / "out.json"
    status, out, err = command_line.run("reconstruct", path, "-o", twin, "--json", numbers)
    assert status == 130
    assert "1 of 2 held-out steps are not as recorded (70 pA: " in out
    assert "interrupted: with 1 map, and no integrate-and-fire neuron" in " ".join(err.split())
    result = json.loads(numbers.read_text(encoding="utf-8"))
    assert len(result["maps"]) == len(trained) == 1
    assert DrivenTwin.load(twin).notes["said"] == ["interrupted: of up to 3 maps 1 trained"]
    assert len(result["held_out"]) == 2
    layers = DrivenTwin.load(twin).state_map.layers
    assert all(np.array_equal(a, b) for a, b in zip(layers[0], trained[0].best.layers[0], strict=True))


def test_ctrl_c_in_the_baseline_keeps_the_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "DrivenOptions", lambda: QUICK)
    monkeypatch.setattr(adex, "fit_adex", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    path, numbers = membrane_file(tmp_path / "cell.abf", kick=90.0), tmp_path / "out.json"
    status, _, err = command_line.run("reconstruct", path, "-o", tmp_path / "twin.npz", "--json", numbers)
    assert status == 130
    assert "interrupted: without the integrate-and-fire neuron" in " ".join(err.split())
    assert json.loads(numbers.read_text(encoding="utf-8"))["baseline"] is None
    assert (tmp_path / "twin.npz").is_file()


def test_a_goal_that_is_missed_is_status_1_with_all_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "DrivenOptions", lambda: replace(QUICK, updates=1))
    monkeypatch.setattr(pipeline.StepRun, "within", property(lambda run: run.step.amplitude < 50e-12))
    path = membrane_file(tmp_path / "cell.abf", kick=90.0)
    status, out, err = command_line.run("reconstruct", path, "-o", tmp_path / "twin.npz", "--json", "-")
    assert status == 1
    assert "1 of 2 held-out steps are not as recorded (70 pA: " in err
    assert len(json.loads(out)["held_out"]) == 2
    assert (tmp_path / "twin.npz").is_file()


def test_options_of_other_recordings_are_refused_by_name(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("time (s),voltage (V)\n", encoding="utf-8")
    line = refused("reconstruct", table, "-o", tmp_path / "twin.npz", "--subtract-bridge")
    assert "--subtract-bridge is an option of current clamps" in line
    path, out = membrane_file(tmp_path / "cell.abf"), tmp_path / "twin.npz"
    for option, value in (("--latent", 3), ("--drive", "1,2"), ("--every", 5), ("--seconds-per-unit", 1)):
        line = refused("reconstruct", path, "-o", out, option, value)
        assert line.startswith(f"analog-fhn: {option} {value}"), line
        assert "is an option of recordings of one voltage" in line
    assert "expected it alone, not 2 recordings" in refused("reconstruct", path, path, "-o", out)
    (tmp_path / "r.csv").write_text("time (s),voltage (V)\n")
    line = refused("reconstruct", tmp_path / "r.csv", "-o", out, "--channel", 2)
    assert "--channel 2 is an option of current clamps" in line


def test_pictures_do_not_go_where_the_twin_does(tmp_path: Path) -> None:
    path, out = membrane_file(tmp_path / "cell.abf", kick=90.0), tmp_path / "twin.npz"
    assert f"--pictures {out}: is the other output (-o)" in refused("reconstruct", path, "-o", out, "--pictures", out)
    assert not out.exists()


def test_channel_command_and_unit_can_be_told(tmp_path: Path) -> None:
    path, out = membrane_file(tmp_path / "cell.abf"), tmp_path / "twin.npz"
    assert "there is no channel '7'" in refused("reconstruct", path, "-o", out, "--channel", 7)
    assert "there is no commanded current 'Im'" in refused("reconstruct", path, "-o", out, "--command", "Im")
    status, said, err = command_line.run("reconstruct", path, "-o", out, "--volts-per-unit", 1.0)
    assert status == 2
    assert "the voltage goes from -6.2e+04 to -5.15e+04 mV, further than that of a membrane" in said
    assert "no spike in any of its 8 steps" in err
    assert not out.exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("living")
    rng = np.random.default_rng(1)
    weights = rng.normal(0.0, 0.5, (64, 4)), rng.normal(0.0, 1.0, (4, 10))
    protocol = Protocol(settle=10.0, control=20.0, interval=0.1)
    Network.of_weights(weights, fhn=FHN(gamma=-0.9), protocol=protocol).save(folder / "net.npz")
    # a straight f-I curve, so that it does what the sigmoid does
    replace(metronome(), rates=np.array([0.0, 0.0, 10.0, 40.0])).save(folder / "twin.npz")
    return folder


def test_a_straight_measured_curve_decides_as_the_network(folder: Path) -> None:
    network, images = folder / "net.npz", ("--dataset", "digits", "--images", 60, "--json", "-")
    status, out, _ = command_line.run(
        "classify", network, *images, "--backend", "twin", "--twin", folder / "twin.npz", "--activation", "curve"
    )
    assert status == 0
    result = json.loads(out)
    assert result["accuracy"] == pytest.approx(result["accuracy_plain"], abs=2 / 60)
    assert result["unsettled"] is None  # of the identity of FHN neurons
    assert result["table"] is None


def test_drawn_neurons_without_spread_are_the_first_twin(folder: Path) -> None:
    twin, steep, scores = folder / "twin.npz", folder / "steep.npz", folder / "scores.csv"
    replace(metronome(), rates=np.array([0.0, 0.0, 40.0, 80.0])).save(steep)
    run = ("classify", folder / "net.npz", "--dataset", "digits", "--images", 20, "--json", "-", "--backend", "twin")
    run += ("--activation", "curve", "--predictions", scores, "--twin", twin)
    found, settings = [], {}
    for more in ((), ("--twin", steep, "--spread", 0), ("--twin", steep, "--spread", 1)):
        status, out, err = command_line.run(*run, *more)
        assert status == 0, err
        found.append(scores.read_text(encoding="utf-8"))
        settings = json.loads(out)["settings"]
    assert found[0] == found[1] != found[2]
    assert settings["spread"] == {"threshold": 0.0, "gain": pytest.approx(np.log(2) / np.sqrt(2)), "seed": 0}


def test_what_classify_refuses_of_driven_twins(folder: Path) -> None:
    run = ("classify", folder / "net.npz", "--dataset", "digits", "--images", 5)
    twin = ("--backend", "twin", "--twin", folder / "twin.npz")
    assert "--table 9: twins that a current drives are run at currents of their own" in refused(
        *run, *twin, "--table", 9
    )
    assert "--activation rate is an option of --backend twin" in refused(*run, "--activation", "rate")
    assert "1 twin: expected two or more recorded neurons" in refused(*run, *twin, "--spread", 1)
    assert "nothing is drawn without --spread" in refused(*run, *twin, "--spread-seed", 3)


@real
@pytest.mark.slow
def test_a_real_neuron_meets_the_rule_in_some_seed(tmp_path: Path) -> None:
    # measured: ten of ten seeds do; three that all fail are a change for the worse
    path = FOLDER / "171116sh_0018.abf"
    for seed in range(3):
        target = tmp_path / f"{seed}.json"
        status, _, _ = command_line.run(
            "reconstruct", path, "--seed", seed, "-o", tmp_path / "twin.npz", "--json", target
        )
        result = json.loads(target.read_text(encoding="utf-8"))
        assert {round(row["current"] * 1e12) for row in result["held_out"]} == {-75, 25, 100, 175, 275}
        assert status == (0 if result["reached"] else 1)
        if result["reached"]:
            return
    pytest.fail("none of three seeds")
