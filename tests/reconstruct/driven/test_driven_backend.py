"""Recorded neurons as hidden units: currents, counts in windows, scales, and training with their curve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from metronome import CURRENTS, PEAK, REST, metronome

from analog_fhn.backends.table.backend import Table
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.noise import Noise
from analog_fhn.reconstruct.driven.backend import LivingNeurons, counts
from analog_fhn.reconstruct.driven.curve import responses
from analog_fhn.reconstruct.driven.spread import Spread
from analog_fhn.reconstruct.driven.twin import DrivenTwin
from analog_fhn.reconstruct.recordings.current_clamp import spike_times

FHN_ = FHN(gamma=-0.9)
PROTOCOL = Protocol(settle=10.0, control=100.0)  # 0.1 and 1 s
CELLS = Cells.ideal("sigmoid", FHN_, 2)


def test_a_metronome_is_the_sigmoid_within_a_spike_of_its_window() -> None:
    # its rate is proportional to the current above threshold, so what it hands on is a straight line
    drives = np.linspace(-0.9, 0.9, 41)[:, None] * np.ones(2)
    mean = LivingNeurons((metronome(),)).respond(CELLS, drives, PROTOCOL).mean
    identity = CELLS.dynamics.identity_mean(drives)
    largest = 40.0  # spikes in the window at the largest current
    assert np.abs(mean - identity).max() < 2 * 0.9 * 1.5 / largest


def test_counts_are_whole_numbers_of_the_window() -> None:
    neurons = LivingNeurons((metronome(),))
    drives = np.linspace(-0.9, 0.9, 200)[:, None] * np.ones(2)
    short = Protocol(settle=0.0, control=10.0)  # 0.1 s: 0 to 4 spikes
    mean = neurons.respond(CELLS, drives, short).mean[:, 0]
    spikes = 4.0 * (mean - CELLS.dynamics.identity_mean(np.array([[0.9, 0.9]]))[0, 0]) / (2 * 0.9)
    assert spikes == pytest.approx(np.rint(spikes), abs=1e-9)
    assert len(np.unique(np.rint(spikes))) in (4, 5)


def test_counts_agree_with_the_detector_of_recordings() -> None:
    rng = np.random.default_rng(3)
    voltage = 0.03 * rng.standard_normal((5, 400))
    assert counts(voltage).tolist() == [len(spike_times(v, 1e-3)) for v in voltage]


@pytest.mark.parametrize("activation", ["rate", "curve"])
def test_a_neuron_that_is_silent_at_the_strongest_drive_has_no_scale(activation: Literal["rate", "curve"]) -> None:
    blocked = replace(metronome(), rates=np.array([0.0, 10.0, 25.0, 0.0]))  # as under depolarisation block
    with pytest.raises(InputError, match=r"silent at the largest recorded current \(100 pA\)"):
        LivingNeurons((blocked,), activation).respond(CELLS, np.zeros((1, 2)), PROTOCOL)


def test_the_measured_curve_needs_no_run() -> None:
    twin = replace(metronome(), rates=np.array([0.0, 0.0, 10.0, 40.0]))
    twin.run = None  # type: ignore[method-assign, assignment]
    neurons = LivingNeurons((twin,), activation="curve")
    drives = np.array([[0.9, 0.9], [0.0, 0.0], [-0.9, -0.9]])
    mean = neurons.respond(CELLS, drives, PROTOCOL).mean
    low, high = CELLS.dynamics.identity_mean(drives[[0, 2]])[:, 0]
    assert mean[[0, 2], 0] == pytest.approx([low, high])
    assert mean[1, 0] == pytest.approx(low + (high - low) * np.interp(50e-12, CURRENTS, twin.rates) / 40.0)
    with pytest.raises(InputError, match=r"has no x\(t\)"):
        neurons.respond(CELLS, drives, PROTOCOL, samples=True)


def test_mean_voltage_and_its_samples_share_a_scale() -> None:
    neurons = LivingNeurons((metronome(),), activation="voltage")
    protocol = Protocol(settle=0.0, control=100.0, interval=0.025)
    response = neurons.respond(CELLS, np.array([[-0.9, -0.9]]), protocol, samples=True)
    assert response.samples is not None
    assert response.samples.mean(axis=0) == pytest.approx(response.mean, abs=0.05)
    assert response.samples.max() > response.samples.min()


def test_several_twins_take_turns() -> None:
    slow = replace(metronome(), rates=np.array([0.0, 0.0, 20.0, 80.0]))  # scaled by twice the rate it has
    neurons = LivingNeurons((metronome(), slow))
    mean = neurons.respond(CELLS, np.array([[-0.9, -0.9]]), PROTOCOL).mean[0]
    assert mean[0] > mean[1] + 0.5
    assert neurons.only(np.array([1])).respond(CELLS[:1], np.array([[-0.9]]), PROTOCOL).mean[0, 0] == mean[1]


def test_tables_of_different_twins_are_told_apart() -> None:
    twin = metronome()
    other = replace(twin, rates=np.array([0.0, 0.0, 20.0, 40.0]))
    keys = [Table(LivingNeurons((one,)), 9).key(CELLS, PROTOCOL) for one in (twin, other, metronome())]
    assert keys[0] == keys[2] != keys[1]


def test_training_sees_the_same_curve() -> None:
    neurons = LivingNeurons((metronome(),))
    seen = responses(neurons, FHN_, PROTOCOL)
    z = np.linspace(-6, 6, 50)[:, None]
    one = Cells.ideal("sigmoid", FHN_, 1)
    mean = neurons.respond(one, one.drive_stage.drives(z), PROTOCOL).mean
    gain, offset = one.row_stage.of(recentre=True)
    # the backend takes the nearest of 257 currents, training interpolates
    assert seen.activations(z) == pytest.approx(gain * mean + offset, abs=1.5 / 40)


def test_a_population_has_the_spread_of_the_recorded_neurons() -> None:
    # twice as steep from a threshold that is 20 pA higher: sample deviations of two numbers are their distance / sqrt 2
    other = replace(metronome(), currents=CURRENTS + 20e-12, rates=np.array([0.0, 0.0, 20.0, 80.0]))
    n = 2000
    neurons = LivingNeurons((metronome(), other), "curve").drawn(seed=5)
    cells = Cells.ideal("sigmoid", FHN_, n)
    drives = np.linspace(0.9, -0.9, 257)[:, None] * np.ones(n)
    mean = neurons.respond(cells, drives, PROTOCOL).mean
    level = (mean - mean.min()) / (mean.max() - mean.min())
    current = np.linspace(0.0, 100e-12, 257)
    whole = (level[0] == 0) & (level[-1] > 0.5)  # of these the threshold is seen, and half of the largest rate
    seen = np.array([np.interp([0.1, 0.4], unit, current) for unit in level.T[whole]])
    gains = np.log(0.3 * 100e-12 / np.diff(seen, axis=1)[:, 0])
    drawn = np.random.default_rng(5).standard_normal((n, 2))[whole]
    assert gains == pytest.approx(np.log(2.0) / np.sqrt(2.0) * drawn[:, 1], abs=0.05)
    thresholds = seen[:, 0] - 0.1 * 100e-12 * np.exp(-gains)
    assert thresholds == pytest.approx(20e-12 / np.sqrt(2.0) * drawn[:, 0], abs=1e-12)
    assert whole.sum() > n / 5
    few = neurons.respond(Cells.ideal("sigmoid", FHN_, 3), drives[:, :3], PROTOCOL).mean
    alone = neurons.only(np.arange(5, n)).only(np.array([2])).respond(CELLS[:1], drives[:, :1], PROTOCOL).mean
    assert np.array_equal(few, mean[:, :3])
    assert np.array_equal(alone, mean[:, 7:8])
    none = LivingNeurons((metronome(), other), "curve").drawn(0.0).respond(cells[:2], drives[:, :2], PROTOCOL).mean
    assert np.array_equal(none, LivingNeurons((metronome(),), "curve").respond(CELLS, drives[:, :2], PROTOCOL).mean)


def test_training_sees_every_drawn_unit() -> None:
    neurons = LivingNeurons((metronome(),), "curve", spread=Spread(20e-12, 0.5, seed=1))
    seen = responses(neurons, FHN_, PROTOCOL, 5)
    cells = Cells.ideal("sigmoid", FHN_, 5)
    z = np.linspace(-6, 6, 50)[:, None] * np.ones(5)
    mean = neurons.respond(cells, cells.drive_stage.drives(z), PROTOCOL).mean
    gain, offset = cells.row_stage.of(recentre=True)
    assert seen.activations(z) == pytest.approx(gain * mean + offset, abs=0.01)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no twin"):
        LivingNeurons(())
    with pytest.raises(InputError, match="expected 'rate', 'voltage' or 'curve'"):
        LivingNeurons((metronome(),), activation="spikes")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="noise"):
        LivingNeurons((metronome(),)).respond(
            CELLS, np.zeros((1, 2)), PROTOCOL, noise=Noise.from_density(CELLS, 1, 1, 0)
        )
    with pytest.raises(InputError, match="1 twin: expected two or more recorded neurons"):
        LivingNeurons((metronome(),)).drawn()
    with pytest.raises(InputError, match="expected a number from 0"):
        LivingNeurons((metronome(), metronome())).drawn(-1.0)
    silent = replace(metronome(), rates=np.zeros(4))
    with pytest.raises(InputError, match="silent at its largest current"):
        LivingNeurons((metronome(), silent)).drawn()
    with pytest.raises(InputError, match="number of seconds above 0"):
        LivingNeurons((metronome(),), seconds_per_T=0.0)


def test_files_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    metronome().save(path)
    twin = DrivenTwin.load(path)
    assert twin.rates.tolist() == metronome().rates.tolist()
    assert twin.threshold == CURRENTS[1]
    assert (REST, PEAK) == (-0.06, 0.03)
