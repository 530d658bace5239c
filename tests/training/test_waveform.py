"""Waveforms in JAX against the compiled backend, which is itself tested against SciPy's Radau."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol, cycle_from_samples, waveform_rms

jax = pytest.importorskip("jax")

from analog_fhn.training.waveform import simulate, steps_per_sample  # noqa: E402

FINE = Protocol(settle=5.0, control=20.0, interval=0.005)


def by_direct(drives: FloatArray, coefficients: Coefficients, protocol: Protocol) -> tuple[FloatArray, FloatArray]:
    """What the backend `direct` makes of the same neurons: samples and means."""
    n = drives.shape[1]
    cells = replace(Cells.ideal("sigmoid", FHN(), n), dynamics=coefficients)
    response = Direct().respond(cells, drives, protocol, samples=True)
    assert response.samples is not None
    return response.samples.astype(np.float64), response.mean


def by_jax(drives: FloatArray, c: Coefficients, protocol: Protocol, *, implicit: bool = False) -> FloatArray:
    return np.asarray(simulate(drives, c.p, c.q, c.eps, protocol, implicit=implicit), dtype=np.float64)


@pytest.mark.parametrize(("implicit", "error"), [(False, 1e-5), (True, 2.5e-3)])
def test_periods_and_waveforms_are_those_of_direct(implicit: bool, error: float) -> None:
    drives = np.array([[-1.5, -1.0, -0.5, -0.1]])
    coefficients = Coefficients.ideal(FHN(), 4)
    ours = by_jax(drives, coefficients, FINE, implicit=implicit)
    theirs, mean = by_direct(drives, coefficients, FINE)
    assert ours.shape == (FINE.n_samples, 1, 4)
    for k in range(4):
        one = cycle_from_samples(FINE.sample_times, ours[:, 0, k])
        other = cycle_from_samples(FINE.sample_times, theirs[:, 0, k])
        assert one is not None
        assert other is not None
        assert one.period == pytest.approx(other.period, rel=2e-4)
        assert waveform_rms(one, other) < error
    # A mean of samples, not an integral: it differs by the ends of the window.
    np.testing.assert_allclose(ours.mean(axis=0), mean, atol=2e-3)


def test_neurons_at_rest_far_out_stay_stable_in_the_implicit_method() -> None:
    # gamma = -6: x rests at up to |a + I| = 5, where an explicit step of half eps diverges.
    drives = np.array([[-6.0, -4.0, -3.0, 0.5, 4.0], [-20.0, -5.0, -2.5, 1.0, 6.0]])
    coefficients = Coefficients.ideal(FHN(gamma=-6.0), 5)
    protocol = Protocol(settle=100.0, control=20.0)
    theirs, _ = by_direct(drives, coefficients, protocol)
    np.testing.assert_allclose(by_jax(drives, coefficients, protocol, implicit=True), theirs, atol=1e-4)
    assert not np.isfinite(by_jax(drives, coefficients, protocol)).all()


def test_every_neuron_has_its_own_coefficients() -> None:
    rng = np.random.default_rng(3)
    ideal = Coefficients.ideal(FHN(), 3)
    p = ideal.p * rng.normal(1.0, 0.02, (3, 5)) + rng.normal(0.0, 0.01, (3, 5))
    q = ideal.q * rng.normal(1.0, 0.02, (3, 4)) - np.array([0.0, 0.0, 0.01, 0.0])
    manufactured = Coefficients(p, q, 0.02)
    drives = np.array([[-1.0, -0.5, 0.8], [-0.7, -2.2, -1.6]])
    protocol = Protocol(settle=2.0, control=6.0, interval=0.01, x0=0.3, y0=0.1)
    theirs, _ = by_direct(drives, manufactured, protocol)
    ours = by_jax(drives, manufactured, protocol)
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 1e-3
    # The same seen from the other side: the ideal neurons do something else.
    assert np.sqrt(np.mean((by_jax(drives, ideal, protocol) - theirs) ** 2)) > 0.1


def test_alike_neurons_need_one_row_of_coefficients_and_any_shape_of_drives() -> None:
    protocol = Protocol(settle=1.0, control=2.0)
    drives = np.linspace(-1.5, 0.5, 6).reshape(1, 2, 3)
    one = Coefficients.ideal(FHN(), 1)
    found = simulate(drives, one.p[0], one.q[0], one.eps, protocol)
    assert found.shape == (10, 1, 2, 3)
    assert found.dtype == np.float32
    expected, _ = by_direct(drives.reshape(1, 6), Coefficients.ideal(FHN(), 6), protocol)
    np.testing.assert_allclose(found.reshape(10, 1, 6), expected, atol=1e-3)


def test_compiled_it_gives_the_same() -> None:
    protocol = Protocol(settle=1.0, control=2.0)
    c = Coefficients.ideal(FHN(), 4)
    drives = np.array([[-1.2, -0.8, 0.1, -2.0]])
    compiled = jax.jit(simulate, static_argnames=("eps", "protocol", "step", "implicit"))
    found = compiled(drives, c.p, c.q, eps=c.eps, protocol=protocol)
    np.testing.assert_allclose(found, by_jax(drives, c, protocol), atol=1e-4)


def test_steps_divide_the_sampling_interval() -> None:
    assert steps_per_sample(Protocol(), 0.01) == 40
    assert steps_per_sample(Protocol(), 0.1) == 10  # never longer than 0.02 T
    assert steps_per_sample(Protocol(), 0.01, step=0.03) == 7
