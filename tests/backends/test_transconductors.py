"""Neurons that are given by curves do the same in all backends, and as tabulated cubics what ideal neurons do."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from analog_fhn.backends.brian import Brian
from analog_fhn.backends.direct import transconductors
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.backends.reference import Reference
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.means import WINDOW_DRIVES, averages_window
from analog_fhn.cell.base import Cells
from analog_fhn.chip import Chip, HiddenLayer
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol, cycle, cycle_from_samples
from analog_fhn.noise import Noise
from analog_fhn.transconductors import Characteristic
from tests.curve_neurons import cells_of, saturating, tabulated

SHORT = Protocol(settle=2.0, control=5.0, interval=0.1)
FINE = Protocol(settle=6.0, control=12.0, interval=0.005)
DRIVES = np.array([[-0.3, -1.0, -1.7], [0.15, -2.2, -0.9]])  # spiking, and two at rest


def ideal(n: int = 3, **settings: float) -> Cells:
    return Cells.ideal("sigmoid", FHN(**settings), n)


def transistors(n: int = 3, **settings: float) -> Cells:
    return cells_of(saturating(n, **settings))  # type: ignore[arg-type]


def spread(cells: Cells, m: int) -> FloatArray:
    """Drives (m, n) over the range that the stages make."""
    low, high = cells.drive_stage.range()
    return np.linspace(low, high, m)


# --- the ideal neuron as a sweep shows it ---------------------------------------------------------------------


def test_reference_integrates_a_tabulated_cubic_as_the_polynomial() -> None:
    one, other = (Reference().respond(c[:1], DRIVES[:, :1], SHORT, samples=True) for c in (_tabulated(), ideal()))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-8)
    np.testing.assert_allclose(one.samples, other.samples, atol=1e-5)


def _tabulated() -> Cells:
    return cells_of(tabulated(FHN(), 3))


def test_direct_integrates_a_tabulated_cubic_as_the_polynomial() -> None:
    # At a quarter of the step both errors are below what is asked; single precision is that of the polynomial.
    one, other = (Direct(refine=4).respond(c, DRIVES, SHORT, samples=True) for c in (_tabulated(), ideal()))
    np.testing.assert_allclose(one.mean, other.mean, atol=3e-5)
    np.testing.assert_allclose(one.samples, other.samples, atol=3e-3)  # a spike's flank moves by 4 in 0.01 T


def test_the_usual_step_keeps_period_and_waveform() -> None:
    cells = _tabulated()[:1]
    exact = cycle(cells.dynamics, -1.0, settle=6.0)
    samples = Direct().respond(cells, np.array([[-1.0]]), FINE, samples=True).samples
    assert samples is not None
    found = cycle_from_samples(FINE.sample_times, samples[:, 0, 0])
    assert found is not None
    assert found.period == pytest.approx(exact.period, rel=2e-4)


@pytest.mark.parametrize("mode", ["numpy", "cython"])
def test_brian_integrates_a_tabulated_cubic_as_the_polynomial(mode: str) -> None:
    pytest.importorskip("brian2")
    brian = Brian(mode=mode)  # type: ignore[arg-type]
    if Brian().mode_used == "numpy" and mode == "cython":
        pytest.skip("Cython does not compile here")
    one, other = (b.respond(c, DRIVES, SHORT, samples=True) for b, c in ((brian, _tabulated()), (Reference(), ideal())))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-4)
    np.testing.assert_allclose(one.samples, other.samples, atol=1e-2)


def test_settled_means_and_periods_are_those_of_the_polynomial() -> None:
    drives = np.linspace(-3.2, 1.2, 23)[:, None]
    (mean, period), (expected, length) = (
        settled_means(c[:1], drives, Protocol(), longest=100.0, step_per_eps=0.125) for c in (_tabulated(), ideal())
    )
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    np.testing.assert_allclose(period, length, rtol=1e-4)
    np.testing.assert_allclose(mean, -(1.0 + drives), atol=1e-4)


def test_a_table_of_waveforms_is_that_of_the_polynomial() -> None:
    protocol = Protocol(settle=20.0, control=200.0)
    one, other = (Table(Direct(), 9, average="settled").make(c[:2], protocol) for c in (_tabulated(), ideal()))
    drives = np.linspace(-1.9, -0.1, 7)[:, None] * np.ones(2)
    neurons = np.zeros(7, dtype=np.intp)
    for found, expected, tolerance in zip(
        one.look_up(neurons, drives[:, 0]), other.look_up(neurons, drives[:, 0]), (1e-4, 1e-3), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=tolerance)
    assert one.quality.identity_deviation < 1e-3


# --- transistors ----------------------------------------------------------------------------------------------


def test_direct_and_reference_agree_on_saturating_neurons() -> None:
    cells = transistors(3)
    drives = spread(cells, 4)
    exact = Reference().respond(cells, drives, SHORT, samples=True)
    assert np.ptp(exact.mean, axis=1).max() > 0.01  # the neurons differ
    assert exact.samples is not None
    for refine, of_mean, of_samples in ((1, 1e-3, 0.1), (4, 2e-5, 1e-3)):
        found = Direct(refine=refine).respond(cells, drives, SHORT, samples=True)
        assert found.samples is not None
        np.testing.assert_allclose(found.mean, exact.mean, atol=of_mean)
        assert np.abs(found.samples - exact.samples).max() < of_samples


def test_brian_and_reference_agree_on_saturating_neurons() -> None:
    pytest.importorskip("brian2")
    cells = transistors(2)
    drives = spread(cells, 3)
    exact = Reference().respond(cells, drives, SHORT, samples=True)
    found = Brian(mode="numpy").respond(cells, drives, SHORT, samples=True)
    np.testing.assert_allclose(found.mean, exact.mean, atol=2e-4)
    np.testing.assert_allclose(found.samples, exact.samples, atol=2e-2)


def test_the_mean_is_that_of_the_output_and_not_of_what_it_copies() -> None:
    gain = np.array([0.8, 1.0, 1.3])
    one = cells_of(tabulated(FHN(), 3, gain=gain))
    plain, scaled = (Direct().respond(c, DRIVES, SHORT, samples=True) for c in (_tabulated(), one))
    np.testing.assert_allclose(scaled.mean, gain * plain.mean, rtol=1e-9)
    np.testing.assert_allclose(scaled.samples, gain * plain.samples, rtol=1e-5)
    table = Table(Direct(), 9, average="settled").means(one, Protocol(), window=False)
    np.testing.assert_allclose(table.look_up(0.4 * DRIVES), gain * -(1.0 + 0.4 * DRIVES), atol=2e-3)


def test_settled_means_follow_the_identity_as_far_as_the_copies_are_alike() -> None:
    drives = spread(transistors(20), 9)
    alike = transistors(20, copies=0.0)
    mean, period = settled_means(alike, drives, Protocol(), longest=100.0)
    # o is g without its spread: a line of g within the sweep
    assert np.abs(mean - alike.dynamics.identity_mean(drives)).max() < 1e-3
    assert np.isfinite(period).all()
    assert (period[2] > 1.0).all()  # at I = -1/2
    assert (period[-1] == 0.0).all()


# --- with a lag -----------------------------------------------------------------------------------------------

LAGS = np.array([0.08, 0.12])


def lagging(lag: FloatArray | float = LAGS) -> Cells:
    return cells_of(replace(saturating(2), lag=lag))


def test_a_lag_is_the_same_in_reference_direct_and_brian(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = lagging()
    drives = spread(cells, 4)[:3]
    exact = Reference().respond(cells, drives, SHORT, samples=True)
    assert np.abs(exact.mean - Reference(1e-6).respond(transistors(2), drives, SHORT).mean).max() > 0.02  # it matters
    runs = [(Direct(), 1e-3, 0.1), (Direct(refine=4), 2e-5, 1e-3)]
    if importlib.util.find_spec("brian2"):
        runs.append((Brian(mode="numpy"), 2e-4, 1e-2))  # type: ignore[arg-type]
    for backend, of_mean, of_samples in runs:
        found = backend.respond(cells, drives, SHORT, samples=True)
        np.testing.assert_allclose(found.mean, exact.mean, atol=of_mean)
        np.testing.assert_allclose(found.samples, exact.samples, atol=of_samples)
    monkeypatch.setattr(transconductors, "_integrate", _implicitly(transconductors._integrate))
    np.testing.assert_allclose(Direct(refine=4).respond(cells, drives, SHORT).mean, exact.mean, atol=1e-3)


def test_a_lag_leaves_settled_means_and_lengthens_periods() -> None:
    cells, drives = lagging(), spread(transistors(2), 9)
    mean, period = settled_means(cells, drives, Protocol(), longest=100.0)
    plain, shorter = settled_means(transistors(2), drives, Protocol(), longest=100.0)
    # Copies differ from lines of g, so that the means move with the cycle; by less than both are off the identity.
    assert np.abs(mean - plain).max() < 2e-3
    assert (period[2] > 1.01 * shorter[2]).all()
    np.testing.assert_allclose(mean[-1], plain[-1], atol=1e-6)  # at rest
    assert (period[-1] == 0.0).all()
    exact = cycle(cells.dynamics[:1], float(drives[2, 0]), settle=6.0)
    assert period[2, 0] == pytest.approx(exact.period, rel=5e-4)


def test_a_lag_that_vanishes_leaves_two_states() -> None:
    drives = spread(transistors(2), 4)
    # The explicit method is unstable at this lag: the implicit one takes its place.
    one, other = (Direct(refine=4).respond(c, drives, SHORT).mean for c in (lagging(1e-6), transistors(2)))
    np.testing.assert_allclose(one, other, atol=2e-3)
    exact = Reference(1e-7).respond(transistors(2), drives[:2], SHORT).mean
    np.testing.assert_allclose(Reference(1e-7).respond(lagging(1e-6), drives[:2], SHORT).mean, exact, atol=1e-5)


# --- what is done step by step --------------------------------------------------------------------------------


def test_a_stiff_neuron_is_integrated_by_the_implicit_method() -> None:
    # At rest at x = -2.9 the fast rate times half of eps is 3.7: the explicit method diverges.
    drives = np.full((1, 3), 1.9)
    mean = Direct().respond(_tabulated(), drives, Protocol(settle=150.0, control=5.0)).mean
    np.testing.assert_allclose(mean, -2.9, atol=1e-6)


def test_the_implicit_method_spikes_like_the_explicit_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, drives = transistors(2), spread(transistors(2), 5)
    explicit = Direct().respond(cells, drives, SHORT).mean
    monkeypatch.setattr(transconductors, "_integrate", _implicitly(transconductors._integrate))
    np.testing.assert_allclose(Direct(refine=4).respond(cells, drives, SHORT).mean, explicit, atol=2e-3)


def _implicitly(kernel):  # type: ignore[no-untyped-def]
    return lambda _implicit, *arguments: kernel(True, *arguments)


def test_runs_are_the_same_alone_and_among_others() -> None:
    cells, drives = transistors(4), spread(transistors(4), 21)
    every = Direct().respond(cells, drives, SHORT, samples=True)
    some = Direct().respond(cells[1:2], drives[3:5, 1:2], SHORT, samples=True)
    assert every.samples is not None
    np.testing.assert_array_equal(some.mean, every.mean[3:5, 1:2])
    np.testing.assert_array_equal(some.samples, every.samples[:, 3:5, 1:2])


def test_a_neuron_that_runs_away_is_an_error_that_names_it() -> None:
    neurons = tabulated(FHN(), 2)
    rising = Characteristic.through(-3.0, 3.0, np.linspace(-3.0, 3.0, 101) * np.array([[-1.0], [100.0]]))
    away = replace(neurons, fast=rising)
    with pytest.raises(SimulationError, match="direct: 1 neurons diverged, the first is neuron 1 of image 0 at drive"):
        Direct().respond(cells_of(away), np.full((1, 2), -0.7), SHORT)


def test_noise_is_refused_with_the_kind_of_neuron() -> None:
    noise = Noise(np.ones(3), np.ones(3), 1)
    for backend in (Direct(), Brian(mode="numpy")):
        with pytest.raises(InputError, match="white noise: the neurons' equations are curves of transconductors"):
            backend.respond(_tabulated(), DRIVES, SHORT, noise=noise)


# --- tables of window means -----------------------------------------------------------------------------------


def test_short_windows_of_transistors_are_tabulated_as_windows() -> None:
    cells = transistors(20)
    table = Table(Direct(), 9).means(cells, SHORT)
    assert table.mean.shape == (20, WINDOW_DRIVES)
    assert table.quality.n_drives == WINDOW_DRIVES
    drives = spread(cells, 200) * 0.99
    exact = Direct().respond(cells, drives, SHORT).mean
    settled = Table(Direct(), 9, average="settled").means(cells, SHORT).look_up(drives)
    error, of_settled = (np.sqrt(np.mean((found - exact) ** 2)) for found in (table.look_up(drives), settled))
    # Between the drives a twentieth is lost of what a table of settled means would be off.
    assert error < 0.004
    assert of_settled > 0.06
    assert table.quality.rms < 0.006
    assert table.quality.n_checks == 64 * 20


def test_the_rule_asks_for_curves_and_a_short_window() -> None:
    curves, polynomial = transistors(2), ideal(2)
    long = Protocol(settle=20.0, control=100.0)
    assert averages_window(curves.dynamics, SHORT)
    assert not averages_window(curves.dynamics, long)
    assert not averages_window(polynomial.dynamics, SHORT)
    assert Table(Direct(), 9).means(curves, long, window=False).mean.shape == (2, 9)
    assert Table(Direct(), 9).means(polynomial, SHORT, window=False).mean.shape == (2, 9)
    assert not Table(Reference(), 9).averages_window(curves, SHORT)


def test_windows_can_be_asked_of_any_neurons_and_backends() -> None:
    cells = ideal(1)
    table = Table(Reference(1e-6), 5, average="window", window_drives=5)
    drives = spread(cells, 3)[1:2]
    mean = table.respond(cells, drives, SHORT).mean
    np.testing.assert_allclose(mean, Reference(1e-6).respond(cells, drives, SHORT).mean, atol=1e-3)


def test_samples_of_a_window_table_come_with_the_means_of_the_window() -> None:
    cells = transistors(2)
    table, drives = Table(Direct(), 9), spread(transistors(2), 7) * 0.9
    with_samples, without = (table.respond(cells, drives, SHORT, samples=s) for s in (True, False))
    np.testing.assert_array_equal(with_samples.mean, without.mean)
    assert with_samples.samples is not None
    assert with_samples.samples.shape == (SHORT.n_samples, 7, 2)


def test_curves_are_part_of_a_tables_key() -> None:
    cells = transistors(2)
    table, moved = Table(Direct(), 9), replace(cells.dynamics, bias=cells.dynamics.bias + 1e-9)  # type: ignore[attr-defined, type-var]
    assert table.key(cells, SHORT) == table.key(transistors(2), SHORT)
    assert table.key(cells, SHORT) != table.key(replace(cells, dynamics=moved), SHORT)
    assert table.key(cells, SHORT) != table.key(transistors(2, seed=2), SHORT)


@pytest.mark.parametrize("settings", [{"average": "whole"}, {"window_drives": 4}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        Table(Direct(), 9, **settings)  # type: ignore[arg-type]


def test_images_are_classified_from_window_tables_as_by_direct() -> None:
    rng = np.random.default_rng(2)
    network = Network.of_weights((rng.normal(size=(6, 8)), rng.normal(size=(8, 3))), protocol=SHORT)
    plain = Chip.ideal(network)
    (layer,) = plain.layers
    cells = replace(layer.cells, dynamics=saturating(8))
    chip = replace(plain, layers=(HiddenLayer(layer.weights, layer.bias, cells),))
    images = rng.uniform(size=(60, 6))
    simulated, read = classify(chip, images), classify(chip, images, table=9)
    np.testing.assert_allclose(read.scores, simulated.scores, atol=0.02)
    assert read.table is not None
    assert read.table.n_drives == WINDOW_DRIVES
    assert np.mean(read.predictions == simulated.predictions) >= 0.95
