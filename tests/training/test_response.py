"""Responses of a chip's neurons are what the backends find, in noise and in windows too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.cell.base import Cells
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import held, hidden_response
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.noise import Noise
from analog_fhn.patches import Patches
from analog_fhn.technology.technology import Technology
from analog_fhn.training.response import Responses
from tests.curve_neurons import cells_of, saturating


@pytest.fixture(scope="module")
def cells() -> Cells:
    technology = Technology.load("discrete").with_values({"resistor.tolerance": 0.1, "capacitor.tolerance": 0.1})
    generator = np.random.default_rng(3)
    network = Network.of_weights((generator.normal(size=(5, 12)), generator.normal(size=(12, 3))))
    return Design(network, technology).chip(7).layers[0].cells


def test_the_ideal_neuron_at_slope_one_half_is_the_logistic_function() -> None:
    z = np.linspace(-8.0, 8.0, 201)[:, None]
    assert np.abs(Responses.nominal(FHN()).activations(z) - expit(z)).max() < 1e-3


@pytest.mark.parametrize("gamma", [-1.9, 0.8])
def test_other_gammas_are_recentred_to_the_same_curve(gamma: float) -> None:
    z = np.linspace(-8.0, 8.0, 41)[:, None]
    assert np.abs(Responses.nominal(FHN(gamma=gamma)).activations(z) - expit(z)).max() < 2e-3


@pytest.mark.parametrize("recentre", [True, False])
def test_settled_means_of_a_chip_are_those_of_a_long_window(cells: Cells, recentre: bool) -> None:
    z = np.random.default_rng(1).normal(scale=2.0, size=(20, len(cells)))
    mean = Direct().respond(cells, cells.drive_stage.drives(z), Protocol(settle=200.0, control=1000.0)).mean
    rows = cells.row_stage
    gain, offset = (rows.gain, rows.offset) if recentre else (rows.raw_gain, rows.raw_offset)
    found = Responses.of(cells, Protocol(), recentre=recentre).activations(z)
    # What is left: the phase at the window's ends (swing 4 over 1000 T, a period of 3) and 33 drives.
    assert np.abs(found - (gain * mean + offset)).max() < 4e-3 * np.abs(gain).max()


def test_windows_are_those_of_direct(cells: Cells) -> None:
    protocol = Protocol(settle=0.0, control=2.0)
    responses = Responses.of(cells, protocol, window=True)
    z = np.random.default_rng(1).normal(scale=2.0, size=(50, len(cells)))
    mean = Direct().respond(cells, cells.drive_stage.drives(z), protocol).mean
    # The onset of the first spike is a jump in the window's mean: it shows on few of the 600.
    wrong = np.abs(responses.activations(z) - (cells.row_stage.gain * mean + cells.row_stage.offset))
    assert np.quantile(wrong, 0.98) < 1e-3


def test_instants_average_to_the_window(cells: Cells) -> None:
    protocol = Protocol(settle=0.0, control=4.0, interval=0.01)
    responses = Responses.of(cells, protocol, window=True, samples=True, drives=65)
    assert responses.waves.shape == (12, 65, 400)
    assert np.abs(responses.waves.mean(axis=2) - responses.mean).max() < 0.01


def test_deviation_in_noise_is_that_of_independent_runs(cells: Cells) -> None:
    protocol, runs = Protocol(settle=0.0, control=5.0), 400
    one = cells[np.zeros(1, dtype=np.intp)]
    noise = Noise(np.zeros(1), np.ones(1), seed=1)
    responses = Responses.of(one, protocol, window=True, noise=noise, drives=5, repeats=runs)
    grid = np.linspace(responses.low, responses.high, 5)
    other = Noise(np.zeros(1), np.ones(1), seed=2)
    means = Direct().respond(one, np.repeat(grid, runs, axis=0), protocol, noise=other).mean.reshape(5, runs)
    ratio = means.var(axis=1, ddof=1) / responses.deviation[0] ** 2
    # Two estimates of one variance; both within their 99.99 % intervals, were they normal.
    low, high = chi2.ppf([5e-5, 1 - 5e-5], runs - 1) / (runs - 1)
    assert np.all((ratio > low / high) & (ratio < high / low))
    error = np.sqrt(2.0 / runs) * responses.deviation[0]
    assert np.all(np.abs(means.mean(axis=1) - responses.mean[0]) < 4.0 * error)
    assert np.all(responses.deviation > 0.05)


def test_noise_and_instants_need_a_window(cells: Cells) -> None:
    noise = Noise(np.zeros(12), np.ones(12), seed=1)
    with pytest.raises(InputError, match="window=True"):
        Responses.of(cells, Protocol(), noise=noise)
    with pytest.raises(InputError, match="at least 5"):
        Responses.of(cells, Protocol(), drives=4)
    with pytest.raises(InputError, match="no noise"):
        Responses.of(cells, Protocol(control=2.0), window=True, samples=True, noise=noise)


def test_together_and_parts(cells: Cells) -> None:
    responses = Responses.of(cells, Protocol())
    both = Responses.together([responses[:4], responses[np.arange(4, 12)]])
    z = np.random.default_rng(1).normal(size=(3, 12))
    assert np.array_equal(both.activations(z), responses.activations(z))
    with pytest.raises(ValueError, match=r"curves \['ramp', 'tanh'\]; expected one"):
        Responses.together([responses, Responses.nominal(FHN(), "relu")])


def test_what_is_held_is_what_images_are_judged_by() -> None:
    random = np.random.default_rng(3)
    layers = (
        Convolution(random.normal(size=(9, 6)), None, "relu", "tanh", 2.5, Patches((8, 8, 1), (3, 3))),
        Dense(random.normal(size=(216, 3))),
    )
    protocol = Protocol(settle=20.0, control=40.0)
    network = Network(layers, fhn=FHN(slope=1.0), protocol=protocol)
    technology = Technology.load("discrete").with_values({"low_pass.time_constant": 20.0, "hold.noise": 0.0})
    chip = Design(network, technology).chip(3)
    images = random.uniform(size=(4, 64))
    every = hidden_response(chip, images, Table(Direct(), 33))[1]
    z = chip.layers[0].pre_activations(every[0].inputs)
    wanted = held(chip.layers[0], every[0].means, protocol)
    found = Responses.of(chip.layers[0].cells, protocol, recentre=False, held=True).activations(z)
    # Both have settled neurons at 33 drives; only a held row has lost what its low-pass, still charging, keeps back.
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()
    free = Responses.of(chip.layers[0].cells, protocol).activations(z)
    np.testing.assert_allclose(found, free * (1.0 - np.exp(-3.0)), rtol=0.03, atol=0.02)


def test_responses_of_transistors_are_those_of_direct() -> None:
    cells, short = cells_of(saturating(4)), Protocol(settle=2.0, control=5.0, interval=0.1)
    z = np.random.default_rng(1).normal(scale=2.0, size=(50, 4))
    drives = cells.drive_stage.drives(z)
    settled, window = Responses.of(cells, short), Responses.of(cells, short, window=True)
    assert not settled.has_coefficients
    assert settled.explicit_is_stable
    assert settled.n_drives == 33
    rows = cells.row_stage
    long = Direct().respond(cells, drives, Protocol(settle=100.0, control=500.0)).mean
    assert np.abs(settled.activations(z) - (rows.gain * long + rows.offset)).max() < 5e-3
    wrong = np.abs(window.activations(z) - (rows.gain * Direct().respond(cells, drives, short).mean + rows.offset))
    assert np.median(wrong) < 1e-3
    assert len(Responses.together([settled, settled[1:3]])) == 6
