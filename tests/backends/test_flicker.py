"""1/f noise in `direct` against its law: spectrum, variance of a window's mean, independence, seeds and refusals.

Estimates come from independent neurons; their errors follow from the scatter between them. A right program fails a
check of four standard errors once in 16 000.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.signal import welch

from analog_fhn.backends.brian import Brian
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol
from analog_fhn.noise import LARGEST, Flicker, Noise, chip_noise
from analog_fhn.technology.technology import Technology

RATE = 20.0
DISCRETE = Technology.load("discrete")
CORNER = DISCRETE.with_values({"opamp.noise_corner": 50.0})
NETWORK = Network.of_weights((np.ones((2, 3)), np.ones((3, 2))))


def linear_cells(n: int) -> Cells:
    """Neurons whose x follows what is added to its rate: ``dx/dt = -20 x + rate``; y is of no effect."""
    p = np.zeros((n, 5))
    p[:, 1], p[:, 4] = -0.01 * RATE, 1e-14
    q = np.tile([0.0, 1e-9, -2.0, 1.0], (n, 1))
    return replace(Cells.ideal("sigmoid", FHN(), n), dynamics=Coefficients(p, q, 0.01))


def noise_of(n: int, intensity: float = 1.0, low: float = 1e-3, high: float = 1.0, seed: int = 4) -> Noise:
    return Noise(np.zeros(n), np.zeros(n), seed, flicker=Flicker(np.full(n, intensity), np.zeros(n), low, high))


def runs(n_images: int, protocol: Protocol, noise: Noise) -> tuple[FloatArray, FloatArray]:
    """Samples (n_samples, n) and means (n,) of independent neurons, in units of the rate that is added."""
    response = Direct().respond(linear_cells(64), np.zeros((n_images, 64)), protocol, samples=True, noise=noise)
    assert response.samples is not None
    samples = response.samples.reshape(protocol.n_samples, -1).astype(np.float64)
    return RATE * samples, RATE * response.mean.ravel().astype(np.float64)


def test_the_spectrum_is_that_of_the_law() -> None:
    flicker = noise_of(1).flicker
    assert flicker is not None
    protocol = Protocol(settle=1.0, control=409.6, x0=0.0, y0=0.0)
    samples, _ = runs(16, protocol, noise_of(64))
    # Welch: segments of 102.4 T, whose window blurs the steep end; compared from the fourth bin on
    frequency, density = welch(samples, 1.0 / protocol.interval, "hann", nperseg=512, axis=0, detrend=False)
    f = frequency[4:103]
    # The rate is held at its mean over an interval, sampled with its aliases; x follows it from interval to interval.
    aliases = f[:, None] + np.arange(-4, 5) / protocol.interval
    held = (flicker.density(aliases) * np.sinc(aliases * protocol.interval) ** 2).sum(axis=1)
    left = np.exp(-RATE * protocol.interval)
    followed = (1.0 - left) ** 2 / np.abs(1.0 - left * np.exp(-2j * np.pi * f * protocol.interval)) ** 2
    ratio = density[4:103] / (held * followed)[:, None]
    error = ratio.std(axis=1, ddof=1) / np.sqrt(ratio.shape[1])
    assert error.max() < 0.015
    # 99 bins, 5 standard errors each: one right program in 18 000 fails. The window's blur is below 1.5 % there.
    assert np.all(np.abs(ratio.mean(axis=1) - 1.0) < 5 * error + 0.015)
    whole = ratio.mean(axis=0)
    assert abs(whole.mean() - 1.0) < 4 * whole.std(ddof=1) / np.sqrt(whole.size) + 0.005


def test_its_density_is_one_over_f() -> None:
    flicker = noise_of(1).flicker
    assert flicker is not None
    frequency = np.geomspace(0.01, 0.1, 30)
    # A decade from either end a part of the arc tangents is missing, 2/pi arctan(0.1) = 0.063.
    assert np.all(np.abs(flicker.density(frequency) * frequency - 1.0) < 0.07)
    wide = Flicker(np.ones(1), np.ones(1), 1e-6, 1e3)
    frequency = np.geomspace(1e-3, 1.0, 200)
    np.testing.assert_allclose(wide.density(frequency) * frequency, 1.0, atol=2e-3)


@pytest.mark.parametrize("window", [2.0, 40.0])
def test_the_mean_over_a_window_has_the_variance_of_the_integral(window: float) -> None:
    flicker = noise_of(1).flicker
    assert flicker is not None
    # The integral over frequencies in two parts: beyond 30/W the squared sine is a half on average.
    cut = 30.0 / window
    inner = quad(lambda f: flicker.density(f) * np.sinc(f * window) ** 2, 0.0, cut, limit=400)[0]
    outer = quad(lambda f: flicker.density(f) / (2.0 * (np.pi * f * window) ** 2), cut, np.inf)[0]
    assert flicker.variance_of_mean(window) == pytest.approx(inner + outer, rel=2e-4)
    protocol = Protocol(settle=2.0, control=window, x0=0.0, y0=0.0)
    _, means = runs(128, protocol, noise_of(64))
    square = means**2
    error = square.std(ddof=1) / np.sqrt(square.size)
    assert error < 0.025 * flicker.variance_of_mean(window)
    # x is 1/20 T late: that changes the window's ends by a part in a thousand of a window of 2 T
    assert abs(square.mean() - flicker.variance_of_mean(window)) < 4 * error + 0.005 * square.mean()


def test_an_interval_is_gone_exactly_whatever_its_length() -> None:
    # Two steps of an interval are one of twice the length: variances at the end and of the mean, and their covariance.
    flicker = Flicker(np.ones(1), np.ones(1), 1e-6, 1e3)
    rates, variances = flicker.relaxations()
    for interval in (1e-3, 0.1, 10.0):
        decay, step, kept, common, own, deviation = flicker.steps(interval).astype(np.float64)
        u = rates * interval
        np.testing.assert_allclose(deviation**2, variances, rtol=1e-6)
        np.testing.assert_allclose(decay**2 * variances + step**2, variances, rtol=2e-6)
        mean = kept**2 * variances + common**2 + own**2
        # (u - 1 + exp(-u)) loses digits for small u, where the variance of the mean is that of the start
        np.testing.assert_allclose(
            mean, 2.0 * variances * (u + np.expm1(-u)) / u**2, rtol=1e-5 if u[0] > 1e-4 else 1e-3
        )
        np.testing.assert_allclose(decay * kept * variances + step * common, kept * variances, rtol=1e-5)


def test_nodes_neurons_images_and_seeds_are_independent() -> None:
    protocol = Protocol(settle=1.0, control=1.0, x0=0.0, y0=0.0)
    means = runs(64, protocol, noise_of(64))[1].reshape(64, 64)
    other = runs(64, protocol, noise_of(64, seed=5))[1].reshape(64, 64)
    scale = np.mean(means**2)
    for one, two in ((means[1:], means[:-1]), (means[:, 1:], means[:, :-1]), (means, other)):
        assert abs(np.mean(one * two)) < 4 * scale / np.sqrt(one.size)


def some(n_images: int = 40, **changes: object) -> FloatArray:
    noise = replace(
        Noise(np.full(13, 0.05), np.full(13, 0.01), 3, flicker=Flicker(np.full(13, 0.2), np.full(13, 0.1), 1e-3, 5.0)),
        **changes,  # type: ignore[arg-type]
    )
    drives = np.random.default_rng(1).uniform(-6, 1, size=(80, 13))
    first = noise.first_image
    protocol = Protocol(settle=2.0, control=4.0)
    return (
        Direct()
        .respond(Cells.ideal("sigmoid", FHN(), 13), drives[first : first + n_images], protocol, noise=noise)
        .mean
    )


def test_it_depends_neither_on_threads_nor_on_groups_of_images() -> None:
    whole = some()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(some(), whole)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(np.concatenate([some(11), some(29, first_image=11)]), whole)
    assert not np.array_equal(some(seed=4), whole)


def test_white_noise_is_the_same_beside_it() -> None:
    nothing = Flicker(np.zeros(13), np.zeros(13), 1e-3, 5.0)
    np.testing.assert_array_equal(some(flicker=nothing), some(flicker=None))


# --- whose it is ------------------------------------------------------------------------------------------------


def cells_of(technology: Technology, unit: str = "sigmoid") -> CircuitCells:
    layers = (Dense(np.ones((2, 3)), None, "relu", "tanh", 2.0), Dense(np.ones((3, 2))))
    network = NETWORK if unit == "sigmoid" else Network(layers)
    return Design(network, technology).chip(1).hardware[0].cells


def test_the_corner_is_where_it_equals_the_amplifiers_white_noise() -> None:
    cells = cells_of(CORNER)
    noise = Noise.intrinsic(cells, 0)
    flicker = noise.flicker
    assert flicker is not None
    _, y = cells.cell.noise_sources(cells)  # type: ignore[attr-defined]
    u2 = cells.cell.noise_intensities(cells, 0.0, y["opamp"])[1]
    # One-sided: white noise of intensity sigma has 2 sigma^2 per unit of frequency; U3's share comes on top.
    at_corner = flicker.y**2 / (50.0 * cells.cell.time_unit)
    assert np.all(at_corner > 2.0 * u2**2)
    total = cells.cell.noise_intensities(cells, 0.0, np.hypot(y["opamp"], y["inverter"]))[1]
    assert np.all(at_corner < 2.0 * total**2)
    assert (flicker.low, flicker.high) == pytest.approx((1e-4, 5.0))
    np.testing.assert_array_equal(noise.x, Noise.intrinsic(cells_of(DISCRETE), 0).x)


def test_without_a_corner_there_is_none() -> None:
    assert Noise.intrinsic(cells_of(DISCRETE), 0).flicker is None
    assert Noise.intrinsic(cells_of(CORNER.with_errors(["opamp"])), 0).flicker is None
    assert Noise.intrinsic(cells_of(CORNER.with_errors(["flicker"])), 0).flicker is not None
    chip = Design(NETWORK, CORNER).chip(1)
    assert chip_noise(chip, 0)[0].flicker is not None
    assert chip_noise(chip, 0, 1e-9)[0].flicker is None


def test_a_chip_is_the_same_with_it() -> None:
    with_corner, without = (Design(NETWORK, technology).chip(7) for technology in (CORNER, DISCRETE))
    np.testing.assert_array_equal(with_corner.last.cells.dynamics.p, without.last.cells.dynamics.p)
    np.testing.assert_array_equal(with_corner.output.weights, without.output.weights)


def test_both_readouts_feel_it() -> None:
    chip = Design(NETWORK, CORNER).chip(1)
    loud = [replace(one, flicker=replace(one.flicker, y=np.full(3, 0.3))) for one in chip_noise(chip, 0)]  # type: ignore[type-var]
    images = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 2))
    for readout in ("mean", "vote"):
        watched = replace(chip, network=chip.network.with_options(settle=5.0, control=20.0, readout=readout))
        quiet, noisy = (classify(watched, images, noise=noise).scores for noise in (chip_noise(chip, 0), loud))
        assert np.abs(noisy - quiet).max() > 0.01


def test_rectifiers_have_theirs() -> None:
    cells = cells_of(CORNER, "relu")
    cell = cells.cell
    assert isinstance(cell, OpAmpFHN)
    densities = cell.flicker_densities(cells)
    assert densities is not None
    assert np.all(densities.density_y > 18e-9 / 120e3)


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"backend 'brian' has no 1/f noise"):
        Brian().respond(linear_cells(2), np.zeros((1, 2)), Protocol(), noise=noise_of(2))
    with pytest.raises(InputError, match="rising frequencies"):
        Flicker(np.ones(1), np.ones(1), 1.0, 0.5)
    with pytest.raises(InputError, match="not negative"):
        Flicker(np.ones(1), np.full(1, LARGEST), 1e-3, 1.0)
    with pytest.raises(ValueError, match="one shape"):
        Flicker(np.ones(1), np.ones(2), 1e-3, 1.0)
    with pytest.raises(ValueError, match=r"1/f noise has shape \(2,\); expected \(3,\)"):
        Noise(np.ones(3), np.ones(3), 0, flicker=noise_of(2).flicker)
    with pytest.raises(InputError, match="noise_corner"):
        DISCRETE.with_values({"opamp.noise_corner": -1.0})
