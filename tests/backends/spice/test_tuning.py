"""Equations tuned to circuits: what is known of a circuit has to come back, and ngspice has to agree with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from silicon import needs_models

from analog_fhn.backends.base import Response
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.backends.spice.tuning import Tuning, kept_tuning, tune
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.build import grid_range
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.noise import Noise

PROTOCOL = Protocol(settle=20.0, control=40.0)


@dataclass(frozen=True)
class Known(Spice):
    """Stands for ngspice: circuits whose equations are known to be others than those of the cells."""

    factor: float = 1.0
    shift: float = 0.0
    at: float = 0.0  # drive that is added to every neuron's
    latched: tuple[int, ...] = ()

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        slow = replace(cells, dynamics=cells.dynamics.slower(np.full(len(cells), self.factor)))
        found = Direct().respond(slow, drives + self.at, protocol, samples=True)
        assert found.samples is not None
        mean, waves = found.mean + self.shift, found.samples + np.float32(self.shift)
        for k in self.latched if len(cells) > 1 else ():
            mean[:, k], waves[:, :, k] = 1.5, 1.5
        return Response(mean, waves if samples else None)


def cells(n: int = 3) -> CircuitCells:
    network = Network.of_weights((np.ones((1, n)), np.ones((n, 2))), fhn=FHN(eps=0.05))
    return Design(network, "discrete").chip(1).hardware[0].cells


def tuned(circuits: Known, some: Cells, n: int = 9) -> Tuning:
    return tune(circuits, some, grid_range(some), PROTOCOL, n)


def test_a_factor_and_a_shift_come_back() -> None:
    some = cells()
    found = tuned(Known(factor=1.03, shift=0.004), some)
    np.testing.assert_allclose(found.equations.factor, 1.03, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.equations.shift, 0.004, rtol=0, atol=2e-4)
    assert not found.equations.strange.any()
    assert np.abs(found.errors).max() < 3e-4
    assert np.abs(found.period_errors).max() < 1e-3
    drives = np.array([[-0.9, -0.6, -0.3], [0.5, 0.7, 0.9]])
    circuits, ours = (
        one.respond(some, drives, Protocol(settle=0.0, control=30.0), samples=True)
        for one in (Known(factor=1.03, shift=0.004), found.equations)
    )
    np.testing.assert_allclose(ours.mean, circuits.mean, rtol=0, atol=2e-3)
    assert ours.samples is not None
    assert circuits.samples is not None
    # after 15 periods still in step
    assert np.mean(np.sign(ours.samples) == np.sign(circuits.samples)) > 0.99


def test_an_onset_elsewhere_is_found() -> None:
    some = cells()
    circuits = Known(at=-0.1)
    found = tuned(circuits, some)
    moved = found.equations.moved
    width = 0.01 * np.subtract(*grid_range(some)[::-1])[:, None]
    np.testing.assert_array_less(np.abs(moved[np.isfinite(found.equations.onsets)] - 0.1), width.max())
    drives = found.equations.onsets[:, :1].T + np.array([[-0.3], [-0.1], [0.05], [0.3]])
    own = Direct().respond(some, drives, PROTOCOL).mean
    before, after = (np.abs(mean - circuits.respond(some, drives, PROTOCOL).mean).max() for mean in (
        own, found.equations.respond(some, drives, PROTOCOL).mean))  # fmt: skip
    assert after < 0.35 * before


def test_a_circuit_that_does_something_else_is_simulated(caplog: pytest.LogCaptureFixture) -> None:
    some, circuits = cells(), Known(latched=(1,))
    with caplog.at_level(logging.WARNING):
        found = tuned(circuits, some)
    np.testing.assert_array_equal(found.equations.strange, [False, True, False])
    assert "neurons 1 of the layer do something else in ngspice" in caplog.text
    drives = np.tile(np.linspace(-0.8, 0.9, 200)[:, None], (1, 3))
    some_of_them = found.equations.only(np.array([1])).respond(some[1:2], drives[:, 1:2], PROTOCOL).mean[:, 0]
    assert np.quantile(np.abs(some_of_them - Known().respond(some, drives, PROTOCOL).mean[:, 1]), 0.8) < 2e-3
    few = found.equations.respond(some, drives[::50], PROTOCOL, samples=True).mean
    np.testing.assert_array_equal(few[:, 1], Known().respond(some, drives[::50], PROTOCOL).mean[:, 1])


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    some, path = cells(), tmp_path / "tuned.npz"
    first = kept_tuning(path, Known(factor=1.01), some, grid_range(some), PROTOCOL, 9)
    again = kept_tuning(path, Known(factor=0.9), some, grid_range(some), PROTOCOL, 9)
    for name in ("drives", "factor", "shift", "strange", "onsets", "moved", "reach"):
        np.testing.assert_array_equal(getattr(first.equations, name), getattr(again.equations, name))
    np.testing.assert_array_equal(first.errors, again.errors)
    assert first.runs == again.runs


def test_table_of_op_amps_is_that_of_ngspice_alone() -> None:
    network = Network.of_weights((np.ones((1, 2)), np.ones((2, 2))))
    some = Design(network, "discrete").chip(5).hardware[0].cells
    fast, full = Table(Spice(), 9), Table(Spice(), 5, tuned=False, checks=1, bisections=2)
    quality = fast.means(some, PROTOCOL).quality
    assert quality.largest < 5e-4
    assert quality.n_checks >= 32
    drives = np.array([[-0.77, -0.41], [-0.2, 0.4], [0.8, -0.9]])
    one, other = (table.respond(some, drives, PROTOCOL) for table in (fast, full))
    np.testing.assert_allclose(one.mean, other.mean, rtol=0, atol=5e-4)
    ours, circuits = (engine.respond(some, drives, PROTOCOL, samples=True).samples for engine in (fast, Spice()))
    assert ours is not None
    assert circuits is not None
    assert np.mean(np.sign(ours) == np.sign(circuits)) > 0.97
    direct = Direct().respond(some, drives, Protocol(settle=50.0, control=4000.0)).mean
    # What ngspice knows beside the equations is there: closer to it than these are.
    assert np.abs(one.mean - other.mean).max() < np.abs(direct - other.mean).max()


@needs_models
def test_windows_of_transistors_are_those_of_ngspice() -> None:
    network = Network.of_weights((np.ones((1, 2)), np.ones((2, 2))))
    design = Design(network, "silicon")
    some, protocol = design.chip(5).hardware[0].cells, design.network.protocol
    table = Table(Spice(), 7)
    drives = np.array([[-0.8, -0.45], [-0.25, 0.6]])
    ours, own, circuits = (engine.respond(some, drives, protocol).mean for engine in (table, Direct(), Spice()))
    assert np.abs(ours - circuits).max() < 0.03
    assert np.sqrt(np.mean((ours - circuits) ** 2)) < np.sqrt(np.mean((own - circuits) ** 2)) + 0.003
