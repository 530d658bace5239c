"""The low-pass between hidden layers in ngspice: what it leaves of the oscillation, and how it settles."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from analog_fhn.backends.spice.backend import window_mean
from analog_fhn.cell.base import CircuitCells
from analog_fhn.design import Design
from analog_fhn.netlist.decks import cell_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.technology.sections import LowPass
from analog_fhn.technology.technology import Technology

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")

DISCRETE = Technology.load("discrete")
NETWORK = Network.of_weights((np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 2))))


def layer(time_constant: float, number: int = 0, seed: int | None = 3) -> CircuitCells:
    technology = DISCRETE.model_copy(update={"low_pass": LowPass(time_constant=time_constant)})
    return Design(NETWORK, technology).chip(seed).hardware[number].cells


def row(cells: CircuitCells, z: float, protocol: Protocol) -> tuple[FloatArray, FloatArray, float]:
    """Time (T), activation on the row of the second cell, and the mean of x over the control window."""
    with SimulatorProcess() as simulator:
        simulator.load(cell_deck(cells, 1, z, protocol))
        waves = simulator.run()
    time = waves["time"] / cells.cell.time_unit
    x = waves["x"] / cells.cell.volts_per_x
    mean = window_mean(time, x, protocol.settle, protocol.settle + protocol.control)
    return time, waves["row"] / cells.cell.row_volts[0], mean


@pytest.mark.parametrize(("time_constant", "z"), [(2.0, 0.3), (3.0, 4.0), (10.0, 1.0)])
def test_ripple_is_that_of_the_equations(time_constant: float, z: float) -> None:
    cells = layer(time_constant)
    start, stop = 12.0 * time_constant, 12.0 * time_constant + 40.0
    time, activation, mean = row(cells, z, Protocol(settle=start, control=40.0))
    level = window_mean(time, activation, start, stop)
    variance = window_mean(time, (activation - level) ** 2, start, stop)
    expected = cells.ripple(np.full(3, mean))[1]
    assert expected > 0.0
    # The relaxation oscillation's own approximation, and 40 T are no whole number of periods: 4 % at most here.
    assert variance == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("settle", "control"), [(0.0, 6.0), (4.0, 8.0), (30.0, 6.0)])
def test_rows_settle_as_the_equations_say(settle: float, control: float) -> None:
    """A neuron at rest from the beginning: its row is a step behind one low-pass."""
    # The nominal chip: a row begins at its amplifier's offset, not quite at 0 V.
    cells, z = layer(3.0, seed=None), -0.6
    rest = cells.dynamics.rest_point(cells.drive_stage.drives(np.full(3, z)))
    protocol = Protocol(settle, control, x0=float(rest[0][1]), y0=float(rest[1][1]))
    time, activation, mean = row(cells, z, protocol)
    rows = cells.row_stage
    level = rows.gain[1] * mean + rows.offset[1]
    step = level * (1.0 - np.exp(-time / rows.time_constant[1]))
    # The op-amps' finite bandwidth, 50 ns of 3 ms, and the neuron's own way to rest.
    assert np.abs(activation - step).max() < 3e-3 * abs(level)
    share = window_mean(time, activation, settle, settle + control) / level
    assert share == pytest.approx(rows.handed_over(protocol, 0)[1], abs=2e-3)


def test_rows_without_recentring_are_those_of_the_last_layer_alone() -> None:
    """In front of another hidden layer a row carries the activation whatever the output array's rows carry."""
    for number, same in ((0, True), (1, False)):
        cells = layer(3.0, number)
        decks = [cell_deck(cells, 1, 0.5, Protocol(), recentre=recentre) for recentre in (True, False)]
        assert (decks[0] == decks[1]) == same
