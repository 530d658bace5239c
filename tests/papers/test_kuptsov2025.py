"""Reference 2 again, at a small size: what is written, and that it agrees with the recording and with itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import command_line
import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.papers import kuptsov2025 as reconstruction
from analog_fhn.papers.kuptsov2025 import ONE_STEP, StudyOptions, succeeds
from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
from analog_fhn.reconstruct.model.maps import MapOptions
from analog_fhn.reconstruct.model.multistep import MultiStepOptions
from analog_fhn.reconstruct.pipeline import FitOptions
from analog_fhn.reconstruct.rhythm import Regime, Rhythm

PICTURES = {
    "advice", "bifurcation", "elbow", "free_runs", "intervals", "losses", "portraits", "redrawn", "turned",
}  # fmt: skip
SMALL = StudyOptions(
    seeds=2,
    duration=150.0,
    run=40.0,
    orders=(3,),
    control=(0.0, 0.5, 1.0, 1.5, 2.0),
    redraws=1,
    lengths=(60.0, 200.0),
    noises=(),
    missing=(0.1,),
    record_seeds=1,
    options=FitOptions(
        latent=3, refine=MultiStepOptions(10, updates=50), largest_latent=2, scan_steps=100,
        autoencoder=AutoencoderOptions(steps=2000),
        map=MapOptions(hidden=30, samples=4000, iterations=15),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "_SCALES", (("spread", 64), ("uniform", 32)))
    monkeypatch.setattr(reconstruction, "_SCAN_VS", np.array([-45.0, -36.0]))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bursting(period: float, spikes: int, regime: Regime = "bursting") -> Rhythm:
    none = np.empty(0)
    return Rhythm(regime, none, none, none, np.array([spikes]), np.array([period]), none, none, none)


def test_success_is_regime_period_and_spikes() -> None:
    recorded = bursting(8.0, 16)
    assert succeeds(bursting(8.79, 18), recorded)
    assert succeeds(bursting(7.21, 14), recorded)
    assert not succeeds(bursting(8.81, 16), recorded)
    assert not succeeds(bursting(7.19, 16), recorded)
    assert not succeeds(bursting(8.0, 19), recorded)
    assert not succeeds(bursting(8.0, 16, "irregular"), recorded)
    assert not succeeds(bursting(np.nan, 16), recorded)


def test_no_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seeds = 0"):
        StudyOptions(seeds=0)


def test_everything_for_one_neuron(tmp_path: Path) -> None:
    told: list[str] = []
    paths, summary = reconstruction.reproduce(tmp_path, "modified", SMALL, told.append)
    assert {path.stem for path in paths if path.suffix == ".png"} == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")
    assert {path.stem for path in paths if path.suffix == ".csv"} == {"elbow", "seeds", "turned", "records"}
    assert summary["period_recorded"] == pytest.approx(8.558, abs=0.005)
    assert summary["spikes_per_burst_recorded"] == 16

    rows = read(tmp_path / "seeds.csv")
    assert [(row["map"], row["seed"]) for row in rows] == [
        ("neural", "0"), ("neural", "1"),
        (ONE_STEP, "0"), ("polynomial 3", "0"), (ONE_STEP, "1"), ("polynomial 3", "1"),
    ]  # fmt: skip
    for row in rows[:2]:
        # What the decoder makes of recorded states is the recording.
        assert float(row["decoded_period"]) == pytest.approx(8.558, abs=0.01)
        assert float(row["decoded_spikes_per_burst"]) == 16
        v, n, s = map(float, row["explained"].split())
        assert 0.5 < n < v < 1.0
        assert s > 0.97
        assert float(row["horizon"]) > 0
    assert rows[0]["period"] != rows[1]["period"]
    assert summary["successes"] == sum(row["success"] == "True" for row in rows[:2])
    for name, successes in summary["other_successes"].items():
        assert successes == sum(row["success"] == "True" for row in rows[2:] if row["map"] == name)

    assert {row["embedding"] for row in read(tmp_path / "elbow.csv")} == {"spread, D = 64", "uniform, D = 32"}
    for losses in summary["latent_scan"].values():
        assert losses[0] > losses[1] > 0
    turned = {row["map"]: row["order"] for row in read(tmp_path / "turned.csv")}
    assert list(turned) == ["seed 0", "seed 1", "draw 0", "neuron over V_S"]
    assert turned["neuron over V_S"].startswith("silent -45 to -45, bursting -36 to -36")
    # A recording that is not shorter is left out.
    assert [row["recording"] for row in read(tmp_path / "records.csv")] == ["60 s", "10% missing"]
    assert any("neuron over V_S" in line for line in told)


def test_command_takes_one_neuron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def made(folder: Path, kind: str, study: StudyOptions, tell: object) -> tuple[list[Path], dict[str, float]]:
        del tell
        asked.append((folder.name, kind, study.seeds, study.record_seeds, study.duration, study.options.autoencoder))
        return [folder / "seeds.csv"], {"successes": 2.0, "period_error": float("nan")}

    monkeypatch.setattr(reconstruction, "reproduce", made)
    arguments = ("reconstruction", "-o", tmp_path, "--seeds", 2, "--duration", 80, "--steps", 50, "--json", "-")
    status, out, err = command_line.run("reproduce", *arguments, "--neuron", "original")
    assert status == 0
    assert asked == [("original", "original", 2, 2, 80.0, AutoencoderOptions(steps=50))]
    assert "original: 2" in err
    result = json.loads(out)
    assert result["original"] == {"successes": 2.0, "period_error": None}
    assert "modified" not in result
    command_line.run("reproduce", *arguments)
    assert [kind for _, kind, *_ in asked[1:]] == ["modified", "original"]
