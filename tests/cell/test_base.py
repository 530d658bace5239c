"""What stands around a neuron as equations: drives under a ripple, low-passes behind rows, what they hand over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analog_fhn.cell.base import Cells, DriveStage, LinearDrive, RowStage, TanhStage
from analog_fhn.neuron import FHN, FloatArray, Protocol


def smoothed(tau: float, eps: float = 0.01) -> Cells:
    """One ideal neuron for a sigmoid, with a low-pass behind its row."""
    cells = Cells.ideal("sigmoid", FHN(eps=eps), 1)
    return replace(cells, row_stage=replace(cells.row_stage, time_constant=np.array([tau])))


# --- drives ---------------------------------------------------------------------------------------------------


def drive_stage() -> DriveStage:
    """Stages that differ in every number."""
    return TanhStage(*(np.array(v) for v in ([-1.0, 0.8, -1.4], [0.5, 1.0, 0.4], [0.0, 0.1, -0.2], [0.0, -0.1, 0.05])))


def test_ripple_moves_the_mean_drive_as_a_sine_does() -> None:
    stage, amplitude = drive_stage(), 0.1
    z = np.linspace(-4.0, 4.0, 17)[:, None] * np.ones(3)
    phases = 2.0 * np.pi * np.arange(64) / 64  # of a smooth function: exact to rounding
    average = np.mean([stage.drives(z + amplitude * np.sin(phase)) for phase in phases], axis=0)
    moved = average - stage.drives(z)
    # <r^2> = A^2/2. The fourth order, <r^4>/24 times a derivative of 4.1 at most, is below 1e-2 of the largest effect.
    ours = stage.drives(z, np.full(z.shape, amplitude**2 / 2.0)) - stage.drives(z)
    np.testing.assert_allclose(ours, moved, rtol=0, atol=1e-2 * np.abs(moved).max())
    assert np.abs(moved).max() > 1e-3


def test_without_a_ripple_drives_are_to_the_last_bit_what_they_were() -> None:
    stage, z = drive_stage(), np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(stage.drives(z, np.zeros((5, 3))), stage.drives(z))


def test_a_linear_drive_averages_a_ripple_away() -> None:
    stage = LinearDrive(*(np.array([v]) for v in (-1.5, 0.2, -1.0, 1.0)))
    z = np.array([[0.3], [-0.7]])
    np.testing.assert_array_equal(stage.drives(z, np.full((2, 1), 0.5)), -1.5 * z + 0.2)


# --- what is left of the oscillation --------------------------------------------------------------------------


def simulated_ripple(cells: Cells, drive: float) -> float:
    """Variance behind a low-pass that a simulated neuron feeds, over ten periods after five time constants."""
    rhs, _ = cells.dynamics.flow(drive)
    gain, offset, tau = (
        float(v[0]) for v in (cells.row_stage.gain, cells.row_stage.offset, cells.row_stage.time_constant)
    )

    def with_low_pass(t: float, u: FloatArray) -> list[float]:
        return [*rhs(t, u[:2]), (gain * u[0] + offset - u[2]) / tau]

    def rising(_t: float, u: FloatArray) -> float:
        return float(u[0])

    rising.direction = 1.0  # type: ignore[attr-defined]
    settle = 5.0 * tau
    mean = float(cells.dynamics.identity_mean(np.array([drive]))[0])
    solution = solve_ivp(
        with_low_pass, (0.0, settle + 30.0), [-1.0, -0.6, gain * mean + offset], method="LSODA", rtol=1e-6, atol=1e-8,
        events=rising, dense_output=True,
    )  # fmt: skip
    starts = solution.t_events[0][solution.t_events[0] > settle]
    n = min(10, len(starts) - 1)
    assert n > 3
    times = np.linspace(starts[0], starts[n], 20_000, endpoint=False)
    return float(np.var(solution.sol(times)[2]))


@pytest.mark.parametrize("tau", [5.0, 10.0])
@pytest.mark.parametrize("drive", [-0.3, -1.0, -1.6])
def test_ripple_is_that_behind_a_simulated_low_pass(tau: float, drive: float) -> None:
    cells = smoothed(tau)
    mean = cells.dynamics.identity_mean(np.array([[drive]]))
    assert cells.ripple(mean)[0, 0] == pytest.approx(simulated_ripple(cells, drive), rel=0.1)


def test_ripple_falls_with_the_square_of_the_time_constant() -> None:
    mean = np.array([[0.2], [-0.8]])
    np.testing.assert_allclose(smoothed(5.0).ripple(mean), 4.0 * smoothed(10.0).ripple(mean), rtol=1e-12)


def test_nothing_ripples_at_rest_or_without_a_low_pass() -> None:
    np.testing.assert_array_equal(smoothed(5.0).ripple(np.array([[1.0], [-1.4]])), 0.0)
    np.testing.assert_array_equal(Cells.ideal("sigmoid", FHN(), 2).ripple(np.zeros((3, 2))), 0.0)


# --- what has come through within the control window ----------------------------------------------------------


def simulated_share(tau: float, low_passes: int, protocol: Protocol) -> float:
    """Mean over the control window behind equal low-passes one after another, whose input steps from 0 to 1."""

    def rhs(_t: float, u: FloatArray) -> FloatArray:
        before = np.concatenate([[1.0], u[: low_passes - 1]])
        return np.append((before - u[:low_passes]) / tau, u[low_passes - 1])

    stop = protocol.settle + protocol.control
    solution = solve_ivp(
        rhs,
        (0.0, stop),
        np.zeros(low_passes + 1),
        method="DOP853",
        t_eval=[protocol.settle, stop],
        rtol=1e-10,
        atol=1e-12,
    )
    first, last = solution.y[-1]
    return float(last - first) / protocol.control


@pytest.mark.parametrize("low_passes", [1, 2, 3])
@pytest.mark.parametrize("settle", [0.0, 4.0, 20.0])
def test_share_handed_over_is_that_of_simulated_low_passes(low_passes: int, settle: float) -> None:
    protocol, taus = Protocol(settle=settle, control=12.0), (0.5, 5.0, 11.0)
    rows = RowStage(*(np.ones(3) for _ in range(4)), np.array(taus))
    exact = [simulated_share(tau, low_passes, protocol) for tau in taus]
    np.testing.assert_allclose(rows.handed_over(protocol, low_passes - 1), exact, rtol=1e-6)


def test_everything_is_handed_over_without_a_low_pass_and_after_a_long_time() -> None:
    rows = RowStage(*(np.ones(2) for _ in range(4)), np.array([0.0, 5.0]))
    np.testing.assert_array_equal(rows.handed_over(Protocol(settle=0.0, control=2.0), 1)[:1], 1.0)
    np.testing.assert_allclose(rows.handed_over(Protocol(settle=1e6, control=200.0), 2), 1.0, rtol=1e-12)


@pytest.mark.parametrize("before", [0, 2])
def test_settling_is_the_first_sampling_interval_at_which_enough_is_handed_over(before: int) -> None:
    rows = RowStage(*(np.ones(3) for _ in range(4)), np.array([0.0, 2.0, 9.0]))
    protocol = Protocol(settle=3.0, control=12.0)
    enough = rows.settling(protocol, before, 1e-3)
    shares = [
        rows.handed_over(replace(protocol, settle=settle), before).min()
        for settle in (enough - protocol.interval, enough)
    ]
    assert shares[0] < 0.999 <= shares[1]
    # one low-pass: tau/control exp(-settle/tau) (1 - exp(-control/tau)) is missing
    if before == 0:
        exact = 9.0 * np.log(9.0 / 12.0 * (1.0 - np.exp(-12.0 / 9.0)) / 1e-3)
        assert exact <= enough < exact + protocol.interval


def test_without_a_low_pass_nothing_has_to_settle() -> None:
    rows = RowStage(*(np.ones(2) for _ in range(4)), np.zeros(2))
    assert rows.settling(Protocol(), 1, 1e-3) == 0.0
    with pytest.raises(ValueError, match="expected a share above 0"):
        rows.settling(Protocol(), 1, 0.0)
