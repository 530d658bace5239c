"""Means over one closed cycle, and rest points, against integrators with error control and against algebra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analog_fhn.backends.direct.backend import Direct, explicit_is_stable
from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol, cycle
from analog_fhn.technology.technology import Technology

PROTOCOL = Protocol()


def ideal(n: int = 1, **settings: Any) -> Cells:
    return Cells.ideal("sigmoid", FHN(**settings), n)


@cache
def drawn(n: int, gamma: float = -1.9, eps: float = 0.01) -> CircuitCells:
    network = Network.of_weights((np.ones((1, n)), np.ones((n, 2))), fhn=FHN(gamma=gamma, eps=eps))
    return Design(network, Technology.load("discrete")).chip(5).hardware[0].cells


def leaky(q2: float, eps: float) -> Cells:
    """A neuron whose mean is not given by the drive alone."""
    cells = ideal(eps=eps)
    q = cells.dynamics.q.copy()
    q[:, 2] = q2
    return replace(cells, dynamics=Coefficients(cells.dynamics.p, q, eps))


def settled(cells: Cells, drives: Any, longest: float = 300.0, protocol: Protocol = PROTOCOL) -> tuple[FloatArray, ...]:
    return settled_means(cells, np.atleast_2d(np.asarray(drives, dtype=np.float64)), protocol, longest=longest)


def exact(coefficients: Coefficients, neuron: int, drive: float, settle: float = 25.0) -> tuple[float, float]:
    """Mean over the last cycle before `settle`, and the period, by SciPy's DOP853; a third state is the integral of x.

    A cycle is cut where dy/dt = 0; that the integral is over one whole cycle is what makes the mean right.
    """
    p0, p1, p2, p3, p4 = coefficients.p[neuron]
    q0, q1, q2, q3 = coefficients.q[neuron]

    def rhs(_t: float, u: FloatArray) -> list[float]:
        x, y, _ = u
        fast = (p0 + x * (p1 + x * (p2 + x * p3)) + p4 * y) / coefficients.eps
        return [fast, q0 + q1 * x + q2 * y + q3 * drive, x]

    def line(_t: float, u: FloatArray) -> float:
        return float(q0 + q1 * u[0] + q2 * u[1] + q3 * drive)

    line.direction = 1.0  # type: ignore[attr-defined]
    start = [PROTOCOL.x0, PROTOCOL.y0, 0.0]
    solution = solve_ivp(rhs, (0.0, settle), start, method="DOP853", rtol=1e-9, atol=1e-11, events=line)
    times, states = solution.t_events[0], solution.y_events[0]
    assert np.ptp(states[-3:, 1]) < 1e-6  # the cycle repeats
    period = float(times[-1] - times[-2])
    return float(states[-1, 2] - states[-2, 2]) / period, period


# --- cycles ---------------------------------------------------------------------------------------------------

# The step resolves jumps by some 1e-4 T: 1e-4 of the period at eps = 0.01, 3.5e-4 at 0.03 (measured). A wrong cut of
# the cycle would cost the mean as much, were x not near its mean there; an orbit closed within 2e-4 of y's swing of 4/3
# costs 1.3e-4 over 2 T.
PERIOD, MEAN = 5e-4, 1.5e-4


@pytest.mark.parametrize("eps", [0.3, 0.1, 0.05, 0.01])
@pytest.mark.parametrize("place", [-0.7, 0.1, 0.8])
def test_cycle_is_that_of_an_integrator_with_error_control(eps: float, place: float) -> None:
    cells = ideal(eps=eps, a=1.05)
    drive = place - 1.05
    mean, period = exact(cells.dynamics, 0, drive)
    ours = settled(cells, drive)
    assert ours[0][0, 0] == pytest.approx(mean, abs=MEAN)
    assert ours[1][0, 0] == pytest.approx(period, rel=PERIOD)


def test_period_is_that_of_radau() -> None:
    cells = ideal(eps=0.05)
    one = cycle(cells.dynamics, -0.6, settle=10.0)
    assert settled(cells, -0.6)[1][0, 0] == pytest.approx(one.period, rel=PERIOD)


@pytest.mark.parametrize(("neuron", "drive"), [(0, -1.7), (1, -0.9), (2, -0.4), (3, -0.1)])
def test_cycle_is_that_of_a_drawn_neurons_equations(neuron: int, drive: float) -> None:
    cells = drawn(4)
    mean, period = exact(cells.dynamics, neuron, drive, settle=12.0)
    ours = settled(cells, np.full(4, drive))
    assert ours[0][0, neuron] == pytest.approx(mean, abs=MEAN)
    assert ours[1][0, neuron] == pytest.approx(period, rel=PERIOD)


@pytest.mark.parametrize("eps", [0.1, 0.01])
@pytest.mark.parametrize(("q2", "drive"), [(-0.25, -1.3), (-0.75, -1.3), (-0.75, -0.8)])
def test_a_mean_that_no_identity_gives_is_right(q2: float, drive: float, eps: float) -> None:
    # <x> = -(1 + I + q2 <y>): what is found does not follow from the drive.
    cells = leaky(q2, eps)
    mean, period = exact(cells.dynamics, 0, drive, settle=20.0)
    assert abs(mean - cells.dynamics.identity_mean(np.array([drive]))[0]) > 5 * MEAN
    ours = settled(cells, drive)
    assert ours[0][0, 0] == pytest.approx(mean, abs=MEAN)
    assert ours[1][0, 0] == pytest.approx(period, rel=PERIOD)


@pytest.mark.parametrize("eps", [0.3, 0.1, 0.05, 0.01])
def test_mean_beside_the_onset_is_that_of_very_long_windows(eps: float) -> None:
    # From full spikes over oscillations that never cross zero (eps/8 of drives) to damped ones at rest
    drives = np.concatenate([np.linspace(-0.2 * eps, 0.02 * eps, 45), [-0.030, -0.0080]])[:, None]
    mean, period = settled(ideal(eps=eps), drives, longest=3000.0)
    long = Direct().respond(ideal(eps=eps), drives, Protocol(200.0, 8000.0, 0.5)).mean
    # A cycle counts as closed when y misses by 2e-4 of its swing (at most 1.5), which the mean misses by over the
    # period (at least 0.6); the long window misses by 1.5/8000.
    np.testing.assert_allclose(mean, long, rtol=0, atol=2e-4 * 1.5 / 1.3 + 1.5 / 8000)
    # Both kinds are there: small oscillations take 2 pi sqrt(eps) and a little more, spikes clearly more.
    spikes, small = period[drives < -0.16 * eps], period[(drives > -0.1 * eps) & (drives < -0.02 * eps)]
    assert np.all(np.abs(small / (2 * np.pi * np.sqrt(eps)) - 1) < 0.25)
    assert spikes.min() > 1.25 * small.max()


@pytest.mark.parametrize("eps", [0.1, 0.01])
def test_small_oscillations_are_those_of_an_integrator_with_error_control(eps: float) -> None:
    drive = -0.11 * eps
    mean, period = exact(ideal(eps=eps).dynamics, 0, drive, settle=60.0)
    ours = settled(ideal(eps=eps), drive)
    assert ours[0][0, 0] == pytest.approx(mean, abs=MEAN)
    # Beside the canard explosion a cycle's size hangs on the last digits of the flow, not so its mean.
    assert ours[1][0, 0] == pytest.approx(period, rel=0.03)


@pytest.mark.parametrize("y0", [0.3, -0.3])
def test_a_start_on_the_line_is_no_cycle_by_itself(y0: float) -> None:
    # a + I = 0 and x = 0: dy/dt is exactly zero at the start, from where x goes up or down.
    cells = ideal()
    mean, period = settled(cells, -1.0, protocol=Protocol(x0=0.0, y0=y0))
    usual = settled(cells, -1.0)
    # By symmetry the mean is zero.
    assert mean[0, 0] == pytest.approx(0.0, abs=MEAN)
    assert period[0, 0] == pytest.approx(usual[1][0, 0], rel=PERIOD)


# --- rest -----------------------------------------------------------------------------------------------------

REST = 3e-5  # dying oscillations: what y still misses by, 1e-5, over the time of one, 0.6 T at eps = 0.01


@pytest.mark.parametrize("eps", [0.3, 0.1, 0.05, 0.01])
@pytest.mark.parametrize(("a", "gamma"), [(1.0, -1.9), (1.05, -1.0), (1.05, -0.25), (1.0, 1.0)])
def test_rest_is_where_both_derivatives_vanish(eps: float, a: float, gamma: float) -> None:
    cells = ideal(eps=eps, a=a, gamma=gamma)
    drives = np.linspace(-abs(gamma), abs(gamma), 201)[:, None]
    # Beyond eps/10 from the onset oscillations have died out in time.
    resting = cells.dynamics.stable_at_rest(drives) & (np.abs(a + drives) > 1.0 + 0.1 * eps)
    mean, period = settled(cells, drives)
    np.testing.assert_allclose(mean[resting], cells.dynamics.rest_point(drives)[0][resting], rtol=0, atol=REST)
    assert np.all(period[resting] == 0)


def test_drawn_neurons_rest_where_their_own_derivatives_vanish() -> None:
    cells = drawn(50)
    drives = np.linspace(0.1, 1.9, 20)[:, None] * np.ones(50)
    mean, period = settled(cells, drives)
    np.testing.assert_allclose(mean, cells.dynamics.rest_point(drives)[0], rtol=0, atol=REST)
    assert np.all(period == 0)


@pytest.mark.parametrize("q2", [-0.1, -0.5])
def test_leaky_neurons_rest_where_both_derivatives_vanish(q2: float) -> None:
    cells = leaky(q2, 0.01)
    drives = np.linspace(0.0, 4.0, 101)[:, None]
    mean, period = settled(cells, drives)
    np.testing.assert_allclose(mean, cells.dynamics.rest_point(drives)[0], rtol=0, atol=REST)
    assert np.all(period == 0)


@pytest.mark.parametrize(("gamma", "eps", "longest"), [(-1.9, 0.003, 300.0), (-6.0, 0.01, 1e3), (-20.0, 0.01, 1e4)])
def test_far_out_rest_is_reached_however_slow_it_is(gamma: float, eps: float, longest: float) -> None:
    # y approaches its rest with x^2 - 1 T, up to 440, by steps below its own rounding.
    cells = ideal(gamma=gamma, eps=eps)
    drives = np.linspace(0.8 * abs(gamma), abs(gamma), 9)[:, None]
    assert not explicit_is_stable(cells.dynamics, drives, 0.5 * eps).any()
    mean, _ = settled(cells, drives, longest)
    # single precision of x = -21
    np.testing.assert_allclose(mean, -1.0 - drives, rtol=1e-6, atol=0)


def test_a_neuron_that_still_creeps_is_given_up() -> None:
    cells = ideal(gamma=-20.0)
    drives = np.linspace(-20.0, 20.0, 81)[:, None]
    mean, period = settled(cells, drives, longest=300.0)
    lost = np.isnan(mean)
    # Within 300 T neurons come near their rest up to x^2 = 45 or so.
    assert lost[np.abs(1.0 + drives) > 8.0].all()
    assert not lost[np.abs(1.0 + drives) < 5.0].any()
    # and no other is wrong
    np.testing.assert_allclose(mean[~lost], -1.0 - drives[~lost], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(np.isnan(period), lost)


def test_a_start_at_rest_stays_there() -> None:
    # Numbers that single precision holds exactly: both derivatives are zero.
    mean, period = settled(ideal(), 0.5, protocol=Protocol(x0=-1.5, y0=-0.375))
    assert mean[0, 0] == pytest.approx(-1.5, abs=1e-7)
    assert period[0, 0] == 0.0


# --- what does not settle -------------------------------------------------------------------------------------


def test_nothing_settles_at_once() -> None:
    for values in settled(drawn(4), np.array([-0.9, -0.1, 0.3, 1.5]), longest=1.0):
        assert np.isnan(values).all()


def test_what_settles_early_does_not_depend_on_the_time_given() -> None:
    cells = drawn(4)
    drives = np.linspace(-1.9, 1.9, 40)[:, None] * np.ones(4)
    some, every = settled(cells, drives, longest=6.0)[0], settled(cells, drives)[0]
    early = ~np.isnan(some)
    assert 0.2 < early.mean() < 0.95
    np.testing.assert_array_equal(some[early], every[early])


def test_what_diverges_has_no_mean() -> None:
    # Explicit steps are chosen for where neurons get, not for a start as far out as this.
    mean, period = settled(ideal(), -0.5, protocol=Protocol(x0=50.0))
    assert np.isnan(mean).all()
    assert np.isnan(period).all()


# --- company and threads --------------------------------------------------------------------------------------


@cache
def crowd() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Drives of 150 neurons, several blocks of them at rest and spiking, and what is found there."""
    drives = np.random.default_rng(1).uniform(-1.9, 1.9, (3, 150))
    mean, period = settled(drawn(150), drives)
    implicit = ~explicit_is_stable(drawn(150).dynamics, drives, 0.005)
    assert min(np.mean(period > 0), np.mean(period == 0), np.mean(implicit)) > 0.1
    return drives, mean, period


@pytest.mark.parametrize("chosen", ["permuted", "one", "few"])
def test_company_changes_nothing(chosen: str) -> None:
    index = {
        "permuted": np.random.default_rng(2).permutation(150), "one": np.array([77]), "few": np.arange(3, 150, 11),
    }[chosen]  # fmt: skip
    drives, mean, period = crowd()
    ours = settled(drawn(150)[index], drives[:, index])
    np.testing.assert_array_equal(ours[0], mean[:, index])
    np.testing.assert_array_equal(ours[1], period[:, index])


@pytest.fixture
def threads() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("number", [1, 2])
def test_threads_change_nothing(number: int) -> None:
    drives, mean, period = crowd()
    numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))
    ours = settled(drawn(150), drives)
    np.testing.assert_array_equal(ours[0], mean)
    np.testing.assert_array_equal(ours[1], period)
