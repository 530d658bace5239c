from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from analog_fhn.neuron import FloatArray
from analog_fhn.plots import save
from analog_fhn.reconstruct.judge import pictures
from analog_fhn.reconstruct.judge.advice import advice
from analog_fhn.reconstruct.judge.dynamics import Bifurcation
from analog_fhn.reconstruct.rhythm import REGIMES, Levels, Rhythm

STEP = 0.01
TIME = STEP * np.arange(3000)
LEVELS = Levels(-0.06, -0.02)


def wave(period: float) -> FloatArray:
    return np.asarray(-0.04 + 0.02 * np.cos(2 * np.pi * TIME / period) ** 3)


@cache
def scan(turned: bool = False) -> Bifurcation:
    """Two initial states: one spikes with a period that depends on the control value, the other rests in part."""
    values = np.linspace(0.9, 1.1, 5)
    rows = []
    for k in range(5):
        rest = np.full(len(TIME), -0.05 if k < 3 else np.nan)
        rows.append(tuple(Rhythm.of(v, STEP, LEVELS) for v in (wave(0.2 + 0.1 * (4 - k if turned else k)), rest)))
    return Bifurcation(values, tuple(rows))


def written(figure: Figure, folder: Path) -> None:
    """Warnings are errors, those of a layout that does not fit as well."""
    assert save(figure, folder / "picture.png").stat().st_size > 5000


def legend(figure: Figure) -> list[str]:
    owners = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for owner in owners if owner is not None for text in owner.get_texts()]


def test_advice_names_lags_and_dimension(tmp_path: Path) -> None:
    series = wave(0.5) + 1e-4 * np.random.default_rng(0).normal(size=len(TIME))
    found = advice(series, STEP, dimensions=3)
    figure = pictures.embedding_advice(found)
    assert found.zero_lag is not None
    assert f"first zero: {STEP * found.zero_lag:.3g} s" in legend(figure)
    written(figure, tmp_path)


def test_lags_that_do_not_exist_or_lie_outside_are_said_to(tmp_path: Path) -> None:
    figure = pictures.embedding_advice(advice(np.linspace(0, 1, 3000), STEP, longest=0.2, dimensions=1))
    assert "first minimum: none" in legend(figure)
    written(figure, tmp_path)
    slow = advice(np.sin(2 * np.pi * TIME / 4), STEP, longest=0.5, dimensions=2)
    assert slow.zero_lag == pytest.approx(100, abs=3)
    named = f"first zero: {STEP * slow.zero_lag:.3g} s (not shown)"
    assert named in legend(pictures.embedding_advice(slow))


def test_advice_on_milliseconds_keeps_its_texts_inside(tmp_path: Path) -> None:
    found = advice(np.sin(2 * np.pi * TIME / 4), 1.4e-5, longest=0.5e-3, dimensions=1)
    assert found.zero_lag is not None
    figure = pictures.embedding_advice(found)
    written(figure, tmp_path)
    assert f"first zero: {1.4e-2 * found.zero_lag:.3g} ms (not shown)" in legend(figure)
    assert figure.axes[1].get_xlabel() == "lag (ms)"
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_a_blank_recording_is_drawn(tmp_path: Path) -> None:
    figure = pictures.recording_and_free_run(TIME, np.full(len(TIME), np.nan), {"one": wave(0.4)})
    assert figure.axes[0].get_ylim()[1] > figure.axes[0].get_ylim()[0]
    figure.savefig(tmp_path / "blank.png")


def test_recording_and_free_runs_share_the_recordings_range(tmp_path: Path) -> None:
    recorded, wild = wave(0.5), wave(0.5)
    recorded[300:350] = np.nan
    wild[2000:] = 1e6
    figure = pictures.recording_and_free_run(TIME, recorded, {"one": wave(0.4), "two": wild[:2500]})
    low, high = figure.axes[0].get_ylim()
    assert -80 < low < -60  # mV
    assert -20 < high < 0
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["recording", "one", "two"]
    written(figure, tmp_path)


@pytest.mark.parametrize(
    ("seconds", "volts", "time_label", "voltage_label"),
    [
        (1.0, 1.0, "time (s)", "membrane voltage (mV)"),
        (1e-3, 50.0, "time (ms)", "voltage (V)"),
        (1e-6, 12.0, "time (µs)", "membrane voltage (mV)"),
    ],
)
def test_units_of_recordings_follow_their_range(
    seconds: float, volts: float, time_label: str, voltage_label: str
) -> None:
    recorded = volts * wave(0.5)
    figure = pictures.recording_and_free_run(seconds * TIME, recorded, {"run": recorded})
    assert figure.axes[-1].get_xlabel() == time_label
    assert figure.axes[-1].get_xlim()[1] == pytest.approx(TIME[-1])
    assert figure.get_supylabel() == voltage_label
    drawn = np.asarray(figure.axes[1].lines[0].get_ydata())
    np.testing.assert_allclose(drawn, recorded * (1.0 if voltage_label == "voltage (V)" else 1e3))


def test_latent_scan_draws_the_median_of_restarts(tmp_path: Path) -> None:
    losses = {"64 samples": [[0.1, 0.01], [0.3, 0.03], [0.2, 0.02]], "32 samples": [0.2, 0.005]}
    figure = pictures.latent_scan([1, 2], losses, chosen=2)
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[0].get_ydata()), [0.2, 0.02])
    assert legend(figure) == ["64 samples", "32 samples", "chosen: 2"]
    written(figure, tmp_path)


def test_loss_curves_one_per_size(tmp_path: Path) -> None:
    figure = pictures.loss_curves({1: [1.0, 0.5], 3: [0.9, 0.1, 0.05]})
    assert legend(figure) == ["1", "3"]
    written(figure, tmp_path)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("known", [True, False])
def test_portraits_of_any_latent_size(size: int, known: bool, tmp_path: Path) -> None:
    states = np.column_stack([1e3 * wave(0.5), np.sin(TIME), TIME])
    latents = np.random.default_rng(0).normal(size=(len(TIME), size))
    figure = pictures.portraits(states if known else None, latents, states[:, 0])
    assert len(figure.axes) == known + 2  # and the colour bar
    written(figure, tmp_path)


@pytest.mark.parametrize("size", [2, 3])
def test_portraits_of_a_circuit_are_in_volts_and_in_a_plane(size: int, tmp_path: Path) -> None:
    truth = 50 * np.column_stack([wave(0.5), wave(0.4)])
    latents = np.random.default_rng(0).normal(size=(len(TIME), size))
    figure = pictures.portraits(truth, latents, 1e3 * truth[:, 0])
    true, _, bar = figure.axes
    assert (true.get_xlabel(), true.get_ylabel(), bar.get_ylabel()) == ("state 1", "state 2", "voltage (V)")
    np.testing.assert_allclose(true.collections[0].get_array(), truth[:, 0])
    written(figure, tmp_path)


def test_portraits_draw_principal_components() -> None:
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(500, 5)) * [5.0, 0.1, 3.0, 0.1, 2.0]
    shown, names = pictures._components(latents)
    np.testing.assert_allclose(shown.std(axis=0), 1.0)
    assert names == ("component 1", "component 2", "component 3")
    assert abs(np.corrcoef(shown[:, 0], latents[:, 0])[0, 1]) > 0.99


def test_intervals_of_recording_and_runs(tmp_path: Path) -> None:
    recorded = np.repeat([0.2, 0.3, 4.0], [8, 7, 1])
    figure = pictures.intervals(recorded, {"map": recorded * 1.1, "silent map": np.empty(0)})
    assert len(figure.axes) == 2
    written(figure, tmp_path)
    written(pictures.intervals(recorded, {}), tmp_path)
    written(pictures.intervals([], {"map": []}), tmp_path)


@pytest.mark.parametrize(
    ("period", "unit", "ticks"),
    [(2.1, "s", ["1.8", "2", "2.2", "2.4"]), (2.1e-3, "ms", ["1.8", "2", "2.2", "2.4"]), (2.1e-6, "µs", ["1.8", "2"])],
)
def test_nearly_equal_intervals_overlap_and_have_ticks(
    period: float, unit: str, ticks: list[str], tmp_path: Path
) -> None:
    recorded = np.full(30, period)
    figure = pictures.intervals(recorded, {"map": 1.0035 * recorded})
    (axes,) = figure.axes
    assert axes.get_xlabel() == f"interval ({unit})"
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[: len(ticks)] == ticks
    both = [patch.get_data() for patch in axes.patches]
    np.testing.assert_array_equal(both[0].values, both[1].values)
    assert np.diff(np.log(both[0].edges)).min() > 0.0199
    written(figure, tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.1, 10, "0.1 0.2 0.5 1 2 5 10"), (0.002, 300, "0.01 0.1 1 10 100"), (3.0, 8.0, "3 4 5 6 7 8")],
)
def test_logarithmic_ticks(low: float, high: float, ticks: str) -> None:
    axes = Figure().add_subplot(xscale="log", xlim=(low, high))
    pictures._interval_ticks(axes.xaxis, low, high)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks.split()


def test_bifurcation_of_neuron_and_map(tmp_path: Path) -> None:
    figure = pictures.bifurcation(scan(), scan(turned=True), trained=(1.0, 1.0))
    assert legend(figure) == ["silent", "spiking", "diverged"]
    heights = [p.get_height() for p in figure.axes[2].patches]
    assert sum(heights) == pytest.approx(500)  # 100 % at each of five values
    written(figure, tmp_path)
    written(pictures.bifurcation(None, scan()), tmp_path)


def test_regime_strips(tmp_path: Path) -> None:
    found = np.array([[0, 1, 2, 2, 4], [2, 2, 2, 1, 0]])
    figure = pictures.regimes(np.linspace(0.9, 1.1, 5), found)
    assert legend(figure) == [REGIMES[k] for k in (0, 1, 2, 4)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["seed 1", "seed 2"]
    written(figure, tmp_path)
    written(pictures.regimes([1.0], np.array([[2]]), ["only"]), tmp_path)
