"""All backends tell the same story about the same chip, and `direct` about itself."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from vacask_program import needs_vacask

from analog_fhn.backends import BACKENDS
from analog_fhn.backends.base import Response
from analog_fhn.backends.brian import Brian
from analog_fhn.backends.direct import backend as direct_module
from analog_fhn.backends.direct.backend import Direct, explicit_is_stable
from analog_fhn.backends.reference import Reference
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify, make_backend
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, Cycle, Protocol, cycle, cycle_from_samples, waveform_rms
from analog_fhn.studies.doctor import PERIOD_LIMIT, WAVEFORM_LIMIT
from analog_fhn.technology.technology import Technology
from analog_fhn.training.plain import train_plain

every_backend = pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=[needs_vacask] if name == "vacask" else []) for name in BACKENDS]
)
FINE = Protocol(settle=6.0, control=12.0, interval=0.005)


def ideal_cells(n: int, **settings: Any) -> Cells:
    return Cells.ideal("sigmoid", FHN(**settings), n)


# --- one manufactured neuron in all backends ------------------------------------------------------------------


def golden_neuron() -> CircuitCells:
    """First neuron of chip 7 of a small network, the one whose draws tests/test_chip.py pins."""
    w0 = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    w1 = np.linspace(0.5, -0.75, 6).reshape(3, 2)
    return Design(Network.of_weights((w0, w1)), Technology.load("discrete")).chip(7).hardware[0].cells[:1]


@cache
def golden_exact() -> Cycle:
    return cycle(golden_neuron().dynamics, -1.0, settle=6.0)


@cache
def golden_response(backend: str) -> Response:
    return make_backend(backend).respond(golden_neuron(), np.array([[-1.0]]), FINE, samples=True)


def golden_cycle(backend: str) -> Cycle:
    samples = golden_response(backend).samples
    assert samples is not None
    found = cycle_from_samples(FINE.sample_times, samples[:, 0, 0])
    assert found is not None
    return found


@every_backend
def test_period_is_that_of_the_chips_own_equations(backend: str) -> None:
    assert golden_cycle(backend).period == pytest.approx(golden_exact().period, rel=PERIOD_LIMIT[backend])


@every_backend
def test_waveform_is_that_of_the_chips_own_equations(backend: str) -> None:
    assert waveform_rms(golden_cycle(backend), golden_exact()) < WAVEFORM_LIMIT[backend]


@every_backend
def test_mean_is_that_of_the_chips_own_equations(backend: str) -> None:
    # 12 T are 6.3 periods: each backend is at its own phase at the ends, so the periods' mean is compared by the
    # samples of whole periods.
    assert float(np.mean(golden_cycle(backend).x)) == pytest.approx(float(np.mean(golden_exact().x)), abs=0.01)


@every_backend
def test_mean_of_the_window_is_the_mean_of_its_samples(backend: str) -> None:
    response = golden_response(backend)
    assert response.samples is not None
    # Rectangle rule on 2 400 samples: half a sample at each end, (2 - -2)/2 * 0.005/12 at most.
    assert response.mean[0, 0] == pytest.approx(float(response.samples.mean(dtype=np.float64)), abs=1e-3)


def test_limits_are_the_agreed_ones() -> None:
    # shared design, numbers to reach: 1e-3 for direct; 0.3 % and 1 % for ngspice
    assert (PERIOD_LIMIT["direct"], PERIOD_LIMIT["spice"]) == (1e-3, 3e-3)
    assert (WAVEFORM_LIMIT["direct"], WAVEFORM_LIMIT["spice"]) == (1e-3, 1e-2)


# --- direct against reference ---------------------------------------------------------------------------------

DRIVES = (-2.5, -1.9, -1.5, -1.0, -0.5, 0.3)


@cache
def responses(name: str) -> Response:
    backend = {"reference": Reference(), "direct": Direct(), "fine": Direct(refine=2)}[name]
    return backend.respond(ideal_cells(len(DRIVES)), np.array([DRIVES]), FINE, samples=True)


def waveforms(name: str, k: int) -> tuple[Cycle | None, NDArray[np.float32]]:
    samples = responses(name).samples
    assert samples is not None
    return cycle_from_samples(FINE.sample_times, samples[:, 0, k]), samples[:, 0, k]


@pytest.mark.parametrize("k", [k for k, drive in enumerate(DRIVES) if abs(1 + drive) < 1])
def test_direct_oscillates_as_the_reference_does(k: int) -> None:
    (found, _), (exact, _) = waveforms("direct", k), waveforms("reference", k)
    assert found is not None
    assert exact is not None
    assert found.period == pytest.approx(exact.period, rel=1e-3)
    assert waveform_rms(found, exact) < 1e-3


@pytest.mark.parametrize("k", [k for k, drive in enumerate(DRIVES) if abs(1 + drive) >= 1])
def test_direct_rests_where_the_reference_does(k: int) -> None:
    (found, x), (exact, x_exact) = waveforms("direct", k), waveforms("reference", k)
    assert (found, exact) == (None, None)
    # Both are still creeping towards the rest point; rounding to single precision is 1e-7.
    np.testing.assert_allclose(x, x_exact, rtol=0, atol=1e-3)


def test_halving_the_step_changes_little() -> None:
    # Third order: the coarse step's error is 8/7 of the difference. Direct states 2e-4 for the period at eps 0.01.
    for k, drive in enumerate(DRIVES):
        (coarse, x), (fine, x_fine) = waveforms("direct", k), waveforms("fine", k)
        if coarse is None:
            np.testing.assert_allclose(x, x_fine, rtol=0, atol=1e-4, err_msg=f"drive {drive}")
        else:
            assert fine is not None
            assert coarse.period == pytest.approx(fine.period, rel=2e-4), drive


# --- direct by itself -----------------------------------------------------------------------------------------

GAMMAS = (2.0, 1.0, -0.5, -1.0, -1.5, -2.0, -4.0, -10.0, -20.0)


@cache
def over_gammas(refine: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Drives (gamma, z), and mean x after 0 and after 9 000 T, control 60 T."""
    drives = np.outer(GAMMAS, np.tanh(np.linspace(-3, 3, 13)))
    cells = ideal_cells(13)
    early, late = (
        Direct(refine=refine).respond(cells, drives, Protocol(settle=s, control=60.0)).mean for s in (0.0, 9000.0)
    )
    return drives, early, late


def test_direct_is_finite_for_every_gamma() -> None:
    _, early, late = over_gammas(1)
    assert np.isfinite(early).all()
    assert np.isfinite(late).all()


def test_direct_does_not_depend_on_the_step_for_any_gamma() -> None:
    # From the start on: a window of 60 T holds 20 to 35 spikes, and may cut one differently at its end: a period's
    # error of 2e-4 over 30 periods moves the last jump by 0.012 T, (2 - -1) * 0.012/60 = 6e-4 in the mean.
    np.testing.assert_allclose(over_gammas(1)[1], over_gammas(2)[1], rtol=0, atol=2e-3)


def test_direct_settles_at_the_identity() -> None:
    # Reference 1: <x> = -(a + I). The slowest here relaxes with 440 T; 20 exp(-9000/440) is left of it.
    # Oscillating ones miss by (y(end) - y(start))/60 T (the integral of dy/dt), and y swings by 1.5 at most.
    drives, _, late = over_gammas(1)
    deviation = np.abs(late + 1.0 + drives)
    resting = np.abs(1.0 + drives) > 1.05
    assert deviation[resting].max() < 1e-4
    assert deviation[~resting].max() < 1.5 / 60


def test_paper_gammas_need_the_implicit_method_and_small_ones_do_not() -> None:
    drives, _, _ = over_gammas(1)
    stable = explicit_is_stable(ideal_cells(13).dynamics, drives, 0.005)
    assert stable[GAMMAS.index(-0.5)].all()
    assert not stable[GAMMAS.index(-20.0)].all()


@pytest.mark.parametrize("seed", range(3))
def test_explicit_is_stable_by_the_eigenvalue_at_the_rest_point(seed: int) -> None:
    # Third-order Runge-Kutta methods are stable on the negative real axis to -2.5127 (root of 1 + z + z^2/2 + z^3/6
    # = -1). Wherever the explicit method is chosen, the fast eigenvalue at rest must stay inside.
    limit = float(np.max(-np.roots([1 / 6, 1 / 2, 1, 2]).real))
    assert limit == pytest.approx(2.5127, abs=1e-4)
    rng = np.random.default_rng(seed)
    c = Coefficients.ideal(FHN(), 200)
    c = Coefficients(c.p * rng.uniform(0.9, 1.1, c.p.shape), c.q * rng.uniform(0.9, 1.1, c.q.shape), 0.01)
    drives = rng.uniform(-6, 4, size=(5, 200))
    step = 0.005
    chosen = explicit_is_stable(c, drives, step)
    x, _ = c.rest_point(drives)
    rate = -(c.p[:, 1] + 2 * c.p[:, 2] * x + 3 * c.p[:, 3] * x**2) / 0.01
    assert 100 < np.count_nonzero(chosen) < 900
    assert (step * rate)[chosen].max() < limit
    # ... and it is not refused without need: beyond 2.5 times the rate of the branch a spike lands on, 2.2^2 - 1
    assert (step * np.maximum(rate, (1.1 * 2.05**2 - 0.9) / 0.01))[~chosen].min() > 0.75 * limit


def test_both_methods_give_the_same_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    drives, protocol = np.array([[-2.4, -2.2, 0.1, 0.8]]), Protocol(settle=20.0, control=20.0)
    cells = ideal_cells(4)
    explicit = Direct().respond(cells, drives, protocol).mean
    monkeypatch.setattr(
        direct_module, "explicit_is_stable", lambda _c, drives, _step: np.zeros(drives.shape, dtype=np.bool_)
    )
    implicit = Direct().respond(cells, drives, protocol).mean
    assert np.any(explicit != implicit)  # not the same kernel twice
    # The rest point creeps by a fraction per unit of time; second order at steps of 0.02 T is good to 1e-5 there.
    np.testing.assert_allclose(implicit, explicit, rtol=0, atol=1e-4)


def test_a_drive_gives_the_same_bits_in_every_batch() -> None:
    rng = np.random.default_rng(0)
    protocol = Protocol(settle=2.0, control=10.0)
    drives = rng.uniform(-6, 1, size=(40, 13))  # 520: three blocks, some implicit
    cells = ideal_cells(13)
    whole = Direct().respond(cells, drives, protocol, samples=True)
    assert whole.samples is not None
    for image in (0, 17, 39):
        alone = Direct().respond(cells, drives[image : image + 1], protocol, samples=True)
        assert alone.samples is not None
        np.testing.assert_array_equal(alone.mean[0], whole.mean[image])
        np.testing.assert_array_equal(alone.samples[:, 0], whole.samples[:, image])


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    drives = np.random.default_rng(1).uniform(-6, 1, size=(80, 13))
    protocol, cells = Protocol(settle=2.0, control=10.0), ideal_cells(13)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = Direct().respond(cells, drives, protocol).mean
        numba.set_num_threads(1)
        one = Direct().respond(cells, drives, protocol).mean
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, many)


def test_samples_do_not_change_the_mean() -> None:
    drives, protocol, cells = np.array([DRIVES]), Protocol(settle=2.0, control=10.0), ideal_cells(len(DRIVES))
    one, other = (Direct().respond(cells, drives, protocol, samples=s).mean for s in (False, True))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", ["reference", "direct", "brian"])
def test_mean_is_over_the_window_and_no_longer(backend: str) -> None:
    # At rest x is constant, so its mean over ever so short a window is that constant; one step too many in the
    # integral would show as 0.005/0.2 of it.
    mean = make_backend(backend).respond(ideal_cells(1), np.array([[-2.4]]), Protocol(settle=40.0, control=0.2)).mean
    assert float(mean[0, 0]) == pytest.approx(1.4, rel=1e-5)


@pytest.mark.parametrize("backend", ["reference", "direct", "brian"])
def test_settle_zero_begins_at_the_initial_state(backend: str) -> None:
    protocol = Protocol(settle=0.0, control=0.02, interval=0.01, x0=-1.5, y0=-0.4)
    samples = make_backend(backend).respond(ideal_cells(1), np.array([[0.2]]), protocol, samples=True).samples
    assert samples is not None
    # The flow by tiny Euler steps, whose error is 1e-4 here.
    x, y, h = -1.5, -0.4, 1e-6
    for _ in range(20_000):
        x, y = x + h * (x - x**3 / 3 - y) / 0.01, y + h * (x + 1.2)
    assert samples.shape == (2, 1, 1)
    assert float(samples[-1, 0, 0]) == pytest.approx(x, abs=1e-3)


@pytest.mark.parametrize("backend", ["reference", "direct", "brian"])
def test_drives_that_do_not_fit_the_chip_are_refused(backend: str) -> None:
    with pytest.raises(ValueError, match=r"drives have shape \(1, 3\); expected \(n_images, 2\)"):
        make_backend(backend).respond(ideal_cells(2), np.zeros((1, 3)), FINE)


@pytest.mark.parametrize("backend", ["reference", "direct", "brian"])
def test_not_finite_drives_are_refused(backend: str) -> None:
    with pytest.raises(InputError, match="drive of neuron 1 for image 0 is nan, no finite number"):
        make_backend(backend).respond(ideal_cells(2), np.array([[0.0, np.nan]]), FINE)


# --- Brian2 against direct ------------------------------------------------------------------------------------


def test_brian_and_direct_decide_alike() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    network = train_plain(train, n_hidden=16, epochs=6).network(train.scale).with_options(settle=10.0, control=40.0)
    chip = Design(network, Technology.load("discrete")).chip(7)
    one, other = (classify(chip, test.images[:200], backend=b) for b in ("brian", "direct"))
    assert np.mean(other.predictions == test.labels[:200]) > 0.7
    # shared design: the same decisions on 99.5 % of images
    assert np.count_nonzero(one.predictions != other.predictions) <= 1


@pytest.mark.slow
def test_brian_standalone_equals_runtime() -> None:
    protocol = Protocol(settle=4.0, control=6.0, interval=0.1)
    drives = np.array([[-2.2, -1.0, -0.4], [0.1, -1.6, -0.9]])
    runtime, standalone = (
        Brian(mode=mode).respond(ideal_cells(3), drives, protocol, samples=True) for mode in ("cython", "standalone")
    )
    assert runtime.samples is not None
    assert standalone.samples is not None
    # The same arithmetic in another order: 1e-15 per step grows along 6 T by the spread of the flow, never by 1e6.
    np.testing.assert_allclose(standalone.mean, runtime.mean, rtol=0, atol=1e-8)
    np.testing.assert_allclose(standalone.samples, runtime.samples, rtol=0, atol=1e-5)


def test_compiled_loops_are_kept_between_processes() -> None:
    # Compiling takes seconds; Numba keeps the result on disk, and a later process must find it there.
    script = (
        "import numpy as np\n"
        "from analog_fhn.backends.direct import backend as direct\n"
        "from analog_fhn.cell.base import Cells\n"
        "from analog_fhn.neuron import FHN, Protocol\n"
        "direct.Direct().respond(Cells.ideal('sigmoid', FHN(), 2), np.array([[-1.0, -6.0]]), Protocol(1.0, 1.0))\n"
        "kernels = [v for v in vars(direct).values() if hasattr(v, 'stats')]\n"
        "print(sum(sum(k.stats.cache_hits.values()) for k in kernels),\n"
        "      sum(sum(k.stats.cache_misses.values()) for k in kernels))\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert int(runs[1][0]) > 0
    assert int(runs[1][1]) == 0
