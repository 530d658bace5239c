"""Recordings of known neurons: their times, states, and periods against other computations of the same neuron."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

from analog_fhn.cell.opamp_fhn.layout import OpAmpLayout
from analog_fhn.chip import ManufacturedChip
from analog_fhn.errors import InputError, MissingProgramError, SimulationError
from analog_fhn.neuron import FHN, Coefficients, cycle, cycle_from_samples
from analog_fhn.ngspice import process
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.sources.record import circuit_chip, record_circuit, record_fhn, record_sherman, usual_times
from analog_fhn.reconstruct.sources.sherman_rinzel import ShermanRinzel
from analog_fhn.technology.technology import Technology


def _installed() -> bool:
    try:
        process.find_library()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


spice = pytest.mark.skipif(not _installed(), reason="libngspice or PySpice is not installed")


def period(recording: Recording, after: float) -> float:
    """Of spikes through zero, after a transient (s)."""
    late = recording.time >= after
    found = cycle_from_samples(recording.time[late], recording.voltage[late])
    assert found is not None
    return found.period


def test_sherman_is_the_simulation_in_volts() -> None:
    made = record_sherman("original", 3.0, 0.01, v_s=-38.0, settle=1.0)
    _, states = ShermanRinzel.original(-38.0).simulate(3.0, 0.01, settle=1.0)
    assert np.array_equal(made.voltage, 1e-3 * states[:, 0])
    assert made.states is not None
    assert np.array_equal(made.states, states)
    assert (made.step, len(made)) == (0.01, 300)
    assert made.source == "Sherman-Rinzel (original), V_S = -38 mV"
    other = record_sherman("modified", 3.0, 0.01, v_s=-38.0, settle=1.0)
    assert not np.allclose(other.voltage, made.voltage)


def test_the_transient_is_kept_and_begins_where_asked() -> None:
    made = record_sherman(duration=1.0, start=(-60.0, 0.002, 0.2))
    assert made.voltage[0] == -0.06
    assert record_fhn(duration=0.01, start=(0.5, 0.1)).voltage[0] == 0.5


def test_fhn_has_the_period_of_its_equations() -> None:
    fhn, drive = FHN(eps=0.05, a=0.8), -0.3
    made = record_fhn(fhn, drive)
    expected = 1e-3 * cycle(Coefficients.ideal(fhn, 1), drive, settle=5.0).period
    assert period(made, 10 * expected) == pytest.approx(expected, rel=1e-4)
    assert len(made) * made.step == pytest.approx(40 * expected, rel=0.01)
    assert expected / made.step == pytest.approx(150, rel=0.04)
    assert made.states is not None
    assert np.array_equal(made.states[:, 0], made.voltage)


def test_fhn_beyond_its_threshold_comes_to_rest() -> None:
    made = record_fhn(FHN(), 0.3)
    assert made.voltage[-1] == pytest.approx(-1.3, abs=1e-6)
    assert len(made) * made.step == pytest.approx(0.12, rel=0.01)


def test_settling_is_the_same_run_seen_later() -> None:
    whole, late = record_fhn(duration=0.02, step=1e-5), record_fhn(duration=0.01, step=1e-5, settle=0.01)
    assert late.voltage == pytest.approx(whole.voltage[1000:], abs=1e-5)
    assert late.start == 0.0


def test_times_that_are_given_are_kept() -> None:
    neuron = Coefficients.ideal(FHN(), 1)
    assert usual_times(neuron, -0.5, 1e-3, 0.2, 1e-4) == (0.2, 1e-4)
    duration, step = usual_times(neuron, -0.5, 1e-3, None, 1e-4)
    assert step == 1e-4
    assert duration == pytest.approx(40 * 2.109e-3, rel=0.01)


@pytest.fixture(scope="module")
def chip() -> ManufacturedChip:
    return circuit_chip("discrete", 3, neurons=2)


@spice
def test_circuit_has_the_period_of_its_own_coefficients(chip: ManufacturedChip) -> None:
    step = 2e-5
    runs = record_circuit(chip, [-0.5, 0.3], 0.03, step, neuron=1)
    cells = chip.hardware[0].cells
    coefficients, layout = cells.dynamics[1:2], cells.cell
    assert isinstance(layout, OpAmpLayout)
    sx, sy = layout.scales.sx, layout.scales.sy
    expected = 1e-3 * cycle(coefficients, -0.5, settle=5.0).period
    # The equations leave out what the lags of U3 and of the multipliers do: up to 0.3 %.
    assert period(runs[0], 6e-3) == pytest.approx(expected, rel=3e-3)
    assert (len(runs[0]), runs[0].step) == (1500, step)
    rest = coefficients.rest_point(np.array([0.3]))[0][0]
    assert runs[1].voltage[-1] / sx == pytest.approx(rest, abs=0.01)
    x, y = (values / scale for values, scale in zip(runs[0].states.T, (sx, sy), strict=True))  # type: ignore[union-attr]
    assert (x[0], y[0]) == pytest.approx((-1.0, -0.6), abs=2e-3)
    # dy/dt = q0 + q1 x + q2 y + q3 I, by differences.
    slope = np.gradient(y, step / 1e-3)
    expected_slope = coefficients.derivatives(x[:, None], y[:, None], -0.5)[1][:, 0]
    smooth = np.abs(np.gradient(x)) < 0.05
    assert np.abs(slope - expected_slope)[smooth].max() < 0.02
    assert runs[0].source == "discrete, chip 3, neuron 1, I = -0.5"


@spice
def test_a_settled_recording_begins_later_and_neurons_differ(chip: ManufacturedChip) -> None:
    (whole,) = record_circuit(chip, -0.5, 0.012, 2e-5)
    (late,) = record_circuit(chip, -0.5, 0.006, 2e-5, settle=0.006)
    assert np.abs(late.voltage - whole.voltage[300:]).max() < 1e-6 * chip.hardware[0].cells.cell.volts_per_x
    (other,) = record_circuit(chip, -0.5, 0.012, 2e-5, neuron=1)
    assert np.abs(other.voltage - whole.voltage).max() > 0.1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (lambda: record_fhn(drive=float("nan")), "finite numbers"),
        (lambda: record_fhn(start=(0.0, np.inf)), "start"),
        (lambda: record_fhn(duration=1e-5, step=1e-5), "at least two steps"),
        (lambda: record_fhn(duration=1.0, step=1e-12), "1000000000000 samples; expected at most 100000000"),
        (lambda: record_circuit(circuit_chip(), neuron=1), "neurons 0 to 0"),
        (lambda: record_circuit(circuit_chip(), []), "finite numbers"),
        (lambda: record_circuit(circuit_chip(), step=-1e-5), "positive step"),
        (lambda: record_circuit(circuit_chip(), start=(9.0, 0.0)), "linear range"),
        (lambda: circuit_chip(Technology.load("discrete"), fhn=FHN(gamma=-20.0)), "minimum_scale"),
    ],
)
def test_impossible_recordings_are_refused(record: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        record()


def test_a_neuron_beyond_all_numbers_is_told() -> None:
    with pytest.raises(SimulationError, match="too large"):
        record_sherman(v_s=10_000.0, duration=1.0)
