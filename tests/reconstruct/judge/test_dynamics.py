from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.judge.dynamics import (
    Bifurcation,
    largest_lyapunov,
    lyapunov,
    scan,
    scan_neuron,
)
from analog_fhn.reconstruct.rhythm import REGIMES, Levels, Rhythm
from analog_fhn.reconstruct.sources.sherman_rinzel import ShermanRinzel

LEVELS = Levels(-0.064, -0.0229)  # V: of the modified neuron


def henon(u: FloatArray) -> FloatArray:
    return np.stack([1 - 1.4 * u[:, 0] ** 2 + 0.3 * u[:, 1], u[:, 0]], axis=1)


def henon_jacobian(u: FloatArray) -> FloatArray:
    j = np.zeros((len(u), 2, 2))
    j[:, 0, 0], j[:, 0, 1], j[:, 1, 0] = -2.8 * u[:, 0], 0.3, 1.0
    return j


def orbit(steps: int) -> FloatArray:
    u, points = np.array([[0.1, 0.1]]), np.empty((steps, 2))
    for k in range(steps):
        points[k] = u[0]
        u = henon(u)
    return points


def test_logistic_map() -> None:
    x, points = 0.3, np.empty(50_000)
    for k in range(len(points)):
        points[k] = x
        x = 4 * x * (1 - x)
    # exactly ln 2; the logarithms scatter with a standard deviation of pi/sqrt(12)
    assert lyapunov((4 - 8 * points)[:, None, None])[0] == pytest.approx(np.log(2), abs=0.01)


def test_henon_map() -> None:
    # 0.41922 +- 0.00006 per step (Sprott, Chaos and Time-Series Analysis, 2003); the sum is exactly ln 0.3
    jacobians = henon_jacobian(orbit(100_000))
    found = lyapunov(jacobians, settle=100)
    assert found[0] == pytest.approx(0.4192, abs=0.004)
    assert found.sum() == pytest.approx(np.log(0.3), rel=1e-12)
    assert largest_lyapunov(jacobians, settle=100) == pytest.approx(found[0], rel=1e-9)
    assert largest_lyapunov(jacobians, step=0.01, settle=100) == pytest.approx(100 * found[0], rel=1e-9)


def test_linear_map() -> None:
    matrix = np.array([[0.5, 0.2, 0.1], [0.0, 0.9, 0.3], [0.1, 0.0, 1.1]])
    exact = np.sort(np.log(np.abs(np.linalg.eigvals(matrix))))[::-1]
    found = lyapunov(np.broadcast_to(matrix, (3000, 3, 3)), step=0.01, settle=500)
    np.testing.assert_allclose(0.01 * found, exact, rtol=1e-9)


def test_rotation_neither_grows_nor_shrinks() -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(lyapunov(np.broadcast_to([[c, -s], [s, c]], (1000, 2, 2))), 0.0, atol=1e-12)


def test_a_direction_that_is_lost() -> None:
    found = lyapunov(np.broadcast_to(np.diag([2.0, 0.0]), (50, 2, 2)))
    assert found[0] == pytest.approx(np.log(2), abs=0.001)
    assert found[1] == -np.inf


def test_a_jacobian_that_is_not_finite() -> None:
    jacobians = np.broadcast_to(np.eye(2), (50, 2, 2)).copy()
    jacobians[20, 0, 1] = np.nan
    assert np.isnan(lyapunov(jacobians)).any()
    assert np.isnan(largest_lyapunov(jacobians))


@pytest.mark.parametrize(
    ("jacobians", "step", "settle"),
    [
        (np.ones((5, 2, 3)), 1.0, 0),
        (np.ones((5, 2, 2)), 0.0, 0),
        (np.ones((5, 2, 2)), 1.0, 5),
        (np.ones((5, 2)), 1.0, 0),
    ],
)
def test_orbits_without_exponents(jacobians: FloatArray, step: float, settle: int) -> None:
    with pytest.raises(InputError, match="lyapunov"):
        lyapunov(jacobians, step, settle)


def waves(period: float) -> FloatArray:
    """Two runs: one spikes with the period (s), the other rests."""
    time = 0.01 * np.arange(2000)
    return np.stack([-0.0435 + 0.02 * np.cos(2 * np.pi * time / period), np.full(2000, -0.05)])


def test_scan_over_the_knob_of_a_map() -> None:
    found = scan(waves, [0.3, 0.5], 0.01, LEVELS, settle=5.0)
    assert [REGIMES[k] for k in found.regimes[0]] == ["spiking", "silent"]
    assert found.multistable.tolist() == [True, True]
    assert found.shares.shape == (2, len(REGIMES))
    np.testing.assert_allclose(found.shares[:, REGIMES.index("spiking")], 0.5)
    assert [float(np.median(i)) for i in found.intervals] == pytest.approx([0.3, 0.5], rel=1e-3)


def test_a_container_of_other_shape_is_refused() -> None:
    rhythm = Rhythm.of(waves(0.3)[0], 0.01, LEVELS)
    with pytest.raises(InputError, match="bifurcation"):
        Bifurcation(np.array([1.0, 2.0]), ((rhythm,),))
    with pytest.raises(InputError, match="bifurcation"):
        Bifurcation(np.array([1.0, 2.0]), ((rhythm,), (rhythm, rhythm)))


def test_the_true_neuron_rests_beside_its_bursts() -> None:
    # reference: between -37.06 and -34.98 mV a stable rest point coexists with bursting
    neuron = ShermanRinzel.modified
    rest = [p.state.tolist() for p in neuron(-36.0).rest_points() if p.stable]
    assert len(rest) == 1
    starts: list[Sequence[float] | None] = [None, rest[0]]
    with ThreadPoolExecutor(2) as executor:
        found = scan_neuron(
            neuron, [-36.0, -34.0], LEVELS, duration=60.0, settle=60.0, starts=starts, executor=executor
        )
    assert [REGIMES[k] for k in found.regimes[0]] == ["bursting", "silent"]
    assert found.multistable.tolist() == [True, False]
    assert found.dominant[1] == "spiking"
    assert np.median(found.intervals[1]) == pytest.approx(0.5685, rel=1e-3)
