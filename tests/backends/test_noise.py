"""Noise in the backends against exact moments: Ornstein-Uhlenbeck processes, and a neuron linearised at rest.

Wherever a number is estimated, the estimate comes from independent runs and must lie within four of its own standard
errors (from the scatter between the runs) of the exact one: a right program fails one such check in 16 000.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm, solve_continuous_lyapunov

from analog_fhn import inference
from analog_fhn.backends import brian as brian_module
from analog_fhn.backends.base import Backend
from analog_fhn.backends.brian import Brian
from analog_fhn.backends.direct import backend as direct_module
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.cell.opamp_fhn.noise import intensities
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.inference import classify, make_backend
from analog_fhn.netlist.decks import neuron_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol
from analog_fhn.ngspice import process
from analog_fhn.ngspice.text import number
from analog_fhn.noise import LARGEST, Noise
from analog_fhn.technology.technology import Technology


def ideal_cells(n: int) -> Cells:
    return Cells.ideal("sigmoid", FHN(), n)


def within_errors(runs: NDArray[np.floating], exact: float, largest_error: float, bias: float = 0.0) -> None:
    """The mean of independent runs is `exact` within 4 standard errors, which must be small enough to tell."""
    error = float(np.std(runs, ddof=1) / np.sqrt(runs.size))
    assert error < largest_error * abs(exact)
    assert abs(float(np.mean(runs)) - exact) < 4 * error + bias * abs(exact)


# --- the process dx = -rate x dt + sigma dW -------------------------------------------------------------------

SIGMA = 0.1


def linear_cells(rates: FloatArray) -> Cells:
    """Neurons whose x is an Ornstein-Uhlenbeck process of its own; y follows with rate 2, and does not act on x."""
    p = np.zeros((len(rates), 5))
    p[:, 1], p[:, 4] = -0.01 * rates, 1e-14
    q = np.tile([0.0, 1e-9, -2.0, 1.0], (len(rates), 1))
    return replace(ideal_cells(len(rates)), dynamics=Coefficients(p, q, 0.01))


def linear_runs(
    backend: Backend, rate: float, n_runs: int, protocol: Protocol, seed: int = 5
) -> tuple[FloatArray, FloatArray]:
    """Samples (n_samples, n_runs) of the process, and its means over the window."""
    cells = linear_cells(np.full(64, rate))
    noise = Noise(np.full(64, SIGMA), np.zeros(64), seed)
    response = backend.respond(cells, np.zeros((n_runs // 64, 64)), protocol, samples=True, noise=noise)
    assert response.samples is not None
    return response.samples.reshape(-1, n_runs).astype(np.float64), response.mean.ravel()


# Steps are 0.002: from rate * step = 0.01 to 0.64 explicit, 3 and 40 implicit.
@pytest.mark.parametrize("rate", [5.0, 100.0, 320.0, 1500.0, 20000.0])
def test_variance_in_direct_is_exact_for_every_stiffness(rate: float) -> None:
    x, _ = linear_runs(Direct(), rate, 2048, Protocol(settle=2.0, control=10.0, x0=0.0, y0=0.0))
    within_errors(np.mean(x**2, axis=0), SIGMA**2 / (2 * rate), largest_error=0.01)


@pytest.mark.parametrize("rate", [5.0, 100.0, 320.0, 1500.0, 20000.0])
def test_mean_in_direct_has_the_exact_variance(rate: float) -> None:
    # The integral of an Ornstein-Uhlenbeck process: Var(mean) = sigma^2/(rate^2 W) (1 - (1 - exp(-rate W))/(rate W)).
    window = 2.0
    protocol = Protocol(settle=2.0, control=window, x0=0.0, y0=0.0)
    _, mean = linear_runs(Direct(), rate, 8192, protocol)
    exact = SIGMA**2 / (rate**2 * window) * (1 + np.expm1(-rate * window) / (rate * window))
    within_errors(mean**2, exact, largest_error=0.017)


@pytest.mark.parametrize("method", ["explicit", "implicit"])
def test_correlation_time_in_direct(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method == "implicit":
        monkeypatch.setattr(
            direct_module, "explicit_is_stable", lambda _c, drives, _step: np.zeros(drives.shape, dtype=np.bool_)
        )
    rate, protocol = 5.0, Protocol(settle=2.0, control=20.0, interval=0.05, x0=0.0, y0=0.0)
    x, _ = linear_runs(Direct(), rate, 1024, protocol)
    variance = SIGMA**2 / (2 * rate)
    within_errors(np.mean(x**2, axis=0), variance, largest_error=0.01)
    for lag in (1, 4, 8):
        exact = variance * np.exp(-rate * lag * protocol.interval)
        within_errors(np.mean(x[lag:] * x[:-lag], axis=0), exact, largest_error=0.03)


def test_correlation_time_in_brian() -> None:
    # The fast bound of the step counts |x| up to 2.05, so steps are 0.001; (rate h)^2/12 is nothing here.
    rate, protocol = 5.0, Protocol(settle=1.0, control=4.0, interval=0.05, x0=0.0, y0=0.0)
    x, _ = linear_runs(Brian(), rate, 2048, protocol)
    variance = SIGMA**2 / (2 * rate)
    within_errors(np.mean(x**2, axis=0), variance, largest_error=0.012)
    for lag in (1, 4):
        exact = variance * np.exp(-rate * lag * protocol.interval)
        within_errors(np.mean(x[lag:] * x[:-lag], axis=0), exact, largest_error=0.03)


def test_variance_in_brian_is_below_by_what_it_states() -> None:
    # Held noise: tanh(r h/2)/(r h/2) = 1 - 0.32^2/12 at r h = 0.32.
    x, _ = linear_runs(Brian(), 320.0, 2048, Protocol(settle=0.2, control=4.0, x0=0.0, y0=0.0))
    within_errors(np.mean(x**2, axis=0), SIGMA**2 / 640 * (1 - 0.32**2 / 12), largest_error=0.01)


def test_strong_noise_in_direct_does_not_depend_on_the_step() -> None:
    # x is carried to 4, where the fast rate is five times that within spikes: the step must be shortened for it.
    cells, drives = ideal_cells(64), np.linspace(-2, 0, 64)[None].repeat(8, axis=0)
    noise = Noise(np.full(64, 10.0), np.full(64, 1.5), 3)
    protocol = Protocol(settle=4.0, control=40.0)
    squares = []
    for refine in (1, 4):
        samples = Direct(refine=refine).respond(cells, drives, protocol, samples=True, noise=noise).samples
        assert samples is not None
        assert np.abs(samples).max() > 3.5
        squares.append(np.mean(samples.reshape(protocol.n_samples, -1).astype(np.float64) ** 2, axis=0))
    error = np.hypot(*(s.std(ddof=1) / np.sqrt(s.size) for s in squares))
    assert error < 0.005 * squares[0].mean()
    # Second order in a step of at most a fast time constant; x is known within 1 % of its mean square.
    assert abs(squares[0].mean() - squares[1].mean()) < 4 * error + 0.005 * squares[1].mean()


# --- a noisy neuron at rest -----------------------------------------------------------------------------------

DRIVE = 0.3


def lyapunov(coefficients: Coefficients, drive: float, sigma_x: float, sigma_y: float) -> tuple[FloatArray, FloatArray]:
    """Linearisation of one neuron at its rest point, and its stationary covariance."""
    x = float(coefficients.rest_point(np.array([drive]))[0][0])
    _, p1, p2, p3, p4 = coefficients.p[0]
    _, q1, q2, _ = coefficients.q[0]
    matrix = np.array([[p1 + 2 * p2 * x + 3 * p3 * x**2, p4], [0.0, 0.0]]) / coefficients.eps
    matrix[1] = q1, q2
    return matrix, np.asarray(solve_continuous_lyapunov(matrix, -np.diag([sigma_x**2, sigma_y**2])))


def small_noise(n: int, node: str) -> Noise:
    """So small that the neuron stays linear: x deviates by 0.004, and its curvature shifts that by 1e-4 of it."""
    sigma = {"x": (0.1, 0.0), "y": (0.0, 0.003), "both": (0.05, 0.003)}[node]
    return Noise(np.full(n, sigma[0]), np.full(n, sigma[1]), seed=8)


@pytest.mark.parametrize("node", ["x", "y", "both"])
@pytest.mark.parametrize("name", ["direct", "brian"])
def test_resting_neuron_fluctuates_as_its_linearisation_does(name: str, node: str) -> None:
    n_images, control, interval = (40, 60.0, 0.2) if name == "direct" else (30, 6.0, 0.1)
    cells, noise = ideal_cells(64), small_noise(64, node)
    protocol = Protocol(
        settle=12.0 if name == "direct" else 8.0, control=control, interval=interval, x0=-1.3, y0=-0.568
    )
    response = make_backend(name).respond(cells, np.full((n_images, 64), DRIVE), protocol, samples=True, noise=noise)
    assert response.samples is not None
    x = response.samples.reshape(protocol.n_samples, -1).astype(np.float64) + 1.0 + DRIVE
    matrix, covariance = lyapunov(cells.dynamics[:1], DRIVE, float(noise.x[0]), float(noise.y[0]))
    # Slow eigenvalue -1.49/T: runs of 60 T hold about 45 independent values where y carries the noise.
    # Held noise takes 0.04 % off in Brian2 (rate * step = 0.07); linearisation adds 0.1 %.
    within_errors(np.mean(x**2, axis=0), covariance[0, 0], largest_error=0.02, bias=0.002)
    lag = round(0.4 / interval)
    exact = (expm(matrix * 0.4) @ covariance)[0, 0]
    if node != "x":
        within_errors(np.mean(x[lag:] * x[:-lag], axis=0), exact, largest_error=0.03, bias=0.002)


def test_noise_below_the_rounding_of_y_is_not_lost() -> None:
    # Kicks of 2.7e-8, with steps of 0.00025; single precision rounds y = -0.57 to multiples of 6e-8.
    n, protocol = 64, Protocol(settle=12.0, control=20.0, x0=-1.3, y0=-0.5676667)
    noise = Noise(np.zeros(n), np.full(n, 1e-6), seed=2)
    noisy, quiet = (
        Direct(refine=8).respond(ideal_cells(n), np.full((16, n), DRIVE), protocol, samples=True, noise=sigma).samples
        for sigma in (noise, replace(noise, y=noise.x))
    )
    assert noisy is not None
    assert quiet is not None
    deviation = (noisy.astype(np.float64) - quiet).reshape(protocol.n_samples, -1)
    _, covariance = lyapunov(ideal_cells(1).dynamics, DRIVE, 0.0, 1e-6)
    # x is rounded to 1.2e-7, a seventh of its fluctuation: 1/12 of that squared, twice, is 0.4 % of the variance.
    within_errors(np.mean(deviation**2, axis=0), covariance[0, 0], largest_error=0.02, bias=0.01)


def _has_ngspice() -> bool:
    try:
        process.find_library()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


@pytest.mark.skipif(not _has_ngspice(), reason="libngspice or PySpice is not installed")
def test_resting_neuron_in_ngspice_fluctuates_as_the_coefficients_say() -> None:
    # trnoise cannot be seeded: four standard errors from 72 batches of one long run, failing by chance once in 6 000
    # (Student's t with 71 degrees of freedom). Each batch of 40 T holds about 30 correlation times.
    network = Network.of_weights((np.ones((1, 1)), np.ones((1, 2))))
    cells = Design(network, Technology.load("discrete")).chip(3).hardware[0].cells
    cell = cells.cell
    assert isinstance(cell, OpAmpFHN)
    density, batches, length = 6e-9, 72, 40.0
    _, sigma = intensities(groups(cells)[0], 0.0, density, cell.scales, cell.technology)
    _, covariance = lyapunov(cells.dynamics, DRIVE, 0.0, float(sigma[0]))
    rest = cells.dynamics.rest_point(np.array([DRIVE]))
    protocol = Protocol(settle=20.0, control=batches * length, x0=float(rest[0][0]), y0=float(rest[1][0]))
    # White to 1/(2 NT) with the one-sided density 2 NA^2 NT; the correlation time 0.7 T is 14 NT.
    spacing = 0.05 * cell.time_unit
    amplitude = density / np.sqrt(2 * spacing)
    source = f"In2 sum2 0 dc 0 trnoise({number(amplitude)} {number(spacing)} 0 0)"
    deck, n = re.subn(r"^(Idrive .*)$", rf"\1\n{source}", neuron_deck(cells, 0, DRIVE, protocol), flags=re.MULTILINE)
    assert n == 1
    with process.SimulatorProcess() as simulator:
        simulator.load(deck)
        waves = simulator.run()
    x = np.interp(protocol.sample_times, waves["time"] / cell.time_unit, waves["x"] / cell.volts_per_x)
    runs = (x.reshape(batches, -1) - x.mean()) ** 2
    # One mean over 2 880 T for all batches: 0.1 % of the variance; interpolated noise: 0.5 %.
    within_errors(runs.mean(axis=1), covariance[0, 0], largest_error=0.05, bias=0.01)


# --- the random numbers themselves ----------------------------------------------------------------------------


@numba.njit
def _words(seed: int, images: int, neurons: int, n: int) -> NDArray[np.uint32]:
    out = np.empty((images, neurons, n), dtype=np.uint32)
    for i in range(images):
        for k in range(neurons):
            a, b, c, d = direct_module._start_stream(np.uint64(seed), np.uint64(i), np.uint64(k))
            for t in range(n):
                out[i, k, t], a, b, c, d = direct_module._next(a, b, c, d)
    return out


@cache
def increments(seed: int = 0) -> NDArray[np.float64]:
    """Unit kicks, shape (2 for x and y, 20 images, 20 neurons, 4000 steps), by the kernel's own functions."""
    words = _words(seed, 20, 20, 4000)
    points = np.vectorize(direct_module._three_points.py_func, otypes=[np.float64])
    table = points(np.arange(65536, dtype=np.uint32))
    return np.stack([table[words & 0xFFFF], table[words >> 16]]) * direct_module._KICK


@pytest.mark.parametrize(("order", "moment"), [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (5, 0.0)])
@pytest.mark.parametrize("which", [0, 1])
def test_moments_of_the_kicks_are_those_of_a_normal_variable(which: int, order: int, moment: float) -> None:
    values = increments()[which].ravel() ** order
    error = values.std() / np.sqrt(values.size)
    assert abs(values.mean() - moment) < 4 * error
    assert error < 0.01


def test_kicks_have_exact_moments_over_all_integers() -> None:
    points = np.array([direct_module._three_points.py_func(np.uint32(k)) for k in range(65536)], dtype=np.float64)
    values = points * direct_module._KICK
    assert np.mean(values) == 0.0
    assert np.mean(values**2) == pytest.approx(1.0, rel=1e-12)
    assert np.mean(values**4) == pytest.approx(3.0, rel=4e-5)


def test_kicks_are_independent_of_each_other() -> None:
    x, y = increments()
    pairs = {
        "x and y": (x, y),
        "successive": (x[..., 1:], x[..., :-1]),
        "x and the next y": (x[..., :-1], y[..., 1:]),
        "images": (x[1:], x[:-1]),
        "neurons": (x[:, 1:], x[:, :-1]),
        "image k neuron j and the reverse": (x, x.transpose(1, 0, 2)),
        "seeds": (x, increments(1)[0]),
    }
    off = ~np.eye(20, dtype=np.bool_)
    for name, (one, other) in pairs.items():
        if "reverse" in name:
            one, other = one[off], other[off]
            # each pair of streams occurs twice
            bound = 4 * np.sqrt(2 / one.size)
        else:
            bound = 4 / np.sqrt(one.size)
        assert abs(float(np.mean(one * other))) < bound, name
        # Squares too: the kicks' sizes are independent, not only their signs. Var(x^2) = 2.
        assert abs(float(np.mean((one**2 - 1) * (other**2 - 1)))) < 2 * bound, name


def test_streams_of_different_lanes_differ() -> None:
    words = _words(3, 64, 64, 4).reshape(-1, 4)
    assert len(np.unique(words, axis=0)) == len(words)


# --- same seed, same result -----------------------------------------------------------------------------------


def some_noise(n: int, seed: int = 4) -> Noise:
    return Noise(np.linspace(0.05, 0.2, n), np.linspace(0.01, 0.05, n), seed)


def some_drives() -> FloatArray:
    return np.random.default_rng(1).uniform(-6, 1, size=(80, 13))  # five blocks, some implicit


SHORT = Protocol(settle=2.0, control=4.0)


def test_noise_does_not_depend_on_the_number_of_threads() -> None:
    cells, noise = ideal_cells(13), some_noise(13)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = Direct().respond(cells, some_drives(), SHORT, samples=True, noise=noise)
        numba.set_num_threads(1)
        one = Direct().respond(cells, some_drives(), SHORT, samples=True, noise=noise)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one.mean, many.mean)
    assert one.samples is not None
    assert many.samples is not None
    np.testing.assert_array_equal(one.samples, many.samples)


def test_noise_belongs_to_the_image() -> None:
    cells, noise, drives = ideal_cells(13), some_noise(13), some_drives()
    whole = Direct().respond(cells, drives, SHORT, noise=noise).mean
    for image in (0, 17, 79):
        alone = Direct().respond(cells, drives[image : image + 1], SHORT, noise=noise.from_image(image)).mean
        np.testing.assert_array_equal(alone[0], whole[image])


@pytest.mark.parametrize("mode", ["auto", "numpy", pytest.param("standalone", marks=pytest.mark.slow)])
def test_brian_repeats_itself_by_its_seed(mode: Any) -> None:
    cells, protocol = ideal_cells(3), Protocol(settle=0.4, control=1.0)
    drives, noise = np.full((2, 3), DRIVE), some_noise(3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - Brian2 draws from it
    one, again = (Brian(mode=mode).respond(cells, drives, protocol, noise=noise).mean for _ in range(2))
    np.testing.assert_array_equal(one, again)
    if mode != "standalone":
        np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        for other in (replace(noise, seed=5), noise.from_image(2)):
            assert np.all(Brian(mode=mode).respond(cells, drives, protocol, noise=other).mean != one)


def test_other_seeds_and_images_give_other_noise() -> None:
    # Uncorrelated, not merely different: 1 040 pairs, four standard errors.
    cells, noise, drives = ideal_cells(13), some_noise(13), np.full((80, 13), DRIVE)
    noise = Noise(np.zeros(13), np.full(13, 0.003), 4)
    deviations = []
    for other in (noise, replace(noise, seed=5), noise.from_image(80)):
        mean = Direct().respond(cells, drives, SHORT, noise=other).mean.ravel()
        deviations.append((mean - mean.mean()) / mean.std())
    for k in (1, 2):
        assert abs(np.mean(deviations[0] * deviations[k])) < 4 / np.sqrt(1040)


def test_classify_gives_noise_to_images_not_to_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(9, 5)), rng.normal(size=(5, 3))), protocol=SHORT)
    images = rng.random((11, 9))
    noise = some_noise(5)
    whole = classify(network, images, noise=[noise])
    monkeypatch.setattr(inference, "_GROUP", 1)
    grouped = classify(network, images, noise=[noise])
    np.testing.assert_allclose(grouped.scores, whole.scores, rtol=0, atol=1e-12)
    quiet = classify(network, images)
    assert np.abs(quiet.scores - whole.scores).max() > 1e-3


# --- without noise, and what is refused -----------------------------------------------------------------------


def test_without_noise_nothing_changed() -> None:
    # Means before there was noise, bit by bit where floats are fused alike; elsewhere rounding may differ.
    drives = np.array([[-2.5, -1.9, -1.5, -1.0, -0.5, 0.3, -8.0, 3.0]])
    expected = [
        1.5444854950904847, 0.8013112795352936, 0.6106454011797905, 0.06796270836144686, -0.43966544926166534,
        -1.2998738050460816, 4.335356898307801, -3.1915956592559813,
    ]  # fmt: skip
    mean = Direct().respond(ideal_cells(8), drives, Protocol(settle=2.0, control=10.0)).mean
    np.testing.assert_allclose(mean[0], expected, rtol=0, atol=2e-6)


def test_vanishing_noise_is_the_finer_step() -> None:
    cells, drives, protocol = ideal_cells(6), np.array([[-2.5, -1.9, -1.0, -0.5, 0.3, -8.0]]), Protocol(2.0, 10.0)
    noisy = Direct().respond(cells, drives, protocol, noise=Noise(np.zeros(6), np.zeros(6), 0)).mean
    quiet = Direct(step_per_eps=0.2).respond(cells, drives, protocol).mean
    # The same steps; means by quadrature and by the trapezoid differ in the jumps, 0.002 T long a step.
    np.testing.assert_allclose(noisy, quiet, rtol=0, atol=2e-3)


def test_strong_noise_is_integrated_up_to_the_largest_that_is_taken() -> None:
    for x, y in ((20.0, 5.0), (LARGEST, LARGEST)):
        mean = (
            Direct().respond(ideal_cells(13), some_drives(), SHORT, noise=Noise(np.full(13, x), np.full(13, y), 1)).mean
        )
        assert np.isfinite(mean).all()
    with pytest.raises(InputError, match="per square root of T; more than 1000 would carry every amplifier"):
        Noise(np.zeros(2), np.full(2, 1.1 * LARGEST), 1)


@pytest.mark.parametrize("name", ["reference", "spice"])
def test_backends_without_noise_say_so(name: str) -> None:
    with pytest.raises(InputError, match="has no reproducible noise; use direct or brian"):
        make_backend(name).respond(ideal_cells(2), np.zeros((1, 2)), SHORT, noise=some_noise(2))


@pytest.mark.parametrize("name", ["direct", "brian"])
def test_noise_of_another_chip_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"noise has shape \(3,\); expected \(2,\)"):
        make_backend(name).respond(ideal_cells(2), np.zeros((1, 2)), SHORT, noise=some_noise(3))


# --- what Brian2 runs as --------------------------------------------------------------------------------------


def test_brian_falls_back_to_numpy_where_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Brian(mode="numpy").respond(ideal_cells(2), np.array([[-1.0, 0.3]]), SHORT).mean
    monkeypatch.setattr(brian_module, "cython_works", lambda: False)
    assert Brian().mode_used == "numpy"
    np.testing.assert_array_equal(Brian().respond(ideal_cells(2), np.array([[-1.0, 0.3]]), SHORT).mean, expected)


def test_a_compiler_that_is_not_there_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    assert not brian_module.cython_works.__wrapped__()


@pytest.mark.parametrize("mode", ["cython", pytest.param("standalone", marks=pytest.mark.slow)])
def test_brian_modes_agree(mode: Any) -> None:
    if not brian_module.cython_works():
        pytest.skip("Brian2 cannot compile here")
    cells, drives = ideal_cells(3), np.array([[-1.0, 0.3, -2.2]])
    assert Brian(mode=mode).mode_used == mode
    found = Brian(mode=mode).respond(cells, drives, SHORT).mean
    np.testing.assert_allclose(found, Brian(mode="numpy").respond(cells, drives, SHORT).mean, rtol=0, atol=1e-8)


def test_auto_takes_cython_where_it_compiles() -> None:
    assert Brian().mode_used == ("cython" if brian_module.cython_works() else "numpy")
    assert Brian(mode="standalone").mode_used == "standalone"
    assert Brian().name == "brian"
