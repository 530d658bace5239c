import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.backends.spice import backend as spice
from analog_fhn.backends.spice.backend import FailedRunError, Spice, cell_power, window_mean
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, SimulationError
from analog_fhn.netlist.decks import RELTOL, cell_deck, neuron_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol, cycle, cycle_from_samples, waveform_rms
from analog_fhn.ngspice import process
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.technology.technology import Technology


def _installed() -> bool:
    try:
        process.find_library()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


pytestmark = pytest.mark.skipif(not _installed(), reason="libngspice or PySpice is not installed")

SHORT = Protocol(settle=2.0, control=4.0, interval=0.1)


def make_design(fhn: FHN | None = None) -> Design:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(20, 5)), rng.normal(size=(5, 3))), fhn=fhn or FHN())
    return Design(network, Technology.load("discrete"))


def cells_of(design: Design, seed: int | None) -> CircuitCells:
    return design.chip(seed).hardware[0].cells


@pytest.fixture(scope="module")
def design() -> Design:
    return make_design()


@pytest.fixture(scope="module")
def cells(design: Design) -> CircuitCells:
    return cells_of(design, 1)


@pytest.mark.parametrize(("seed", "neuron"), [(None, 0), (1, 0), (2, 4)])
def test_agrees_with_the_coefficient_equations(design: Design, seed: int | None, neuron: int) -> None:
    cells = cells_of(design, seed)[neuron : neuron + 1]
    # Spikes rise within 0.02: coarser samples would be compared with their own interpolation.
    protocol = Protocol(settle=6.0, control=24.0, interval=0.005)
    response = Spice().respond(cells, np.array([[-1.0], [-0.5], [0.25]]), protocol, samples=True)
    assert response.samples is not None
    assert response.samples.dtype == np.float32
    for image, drive in enumerate((-1.0, -0.5)):
        found = cycle_from_samples(protocol.sample_times, response.samples[:, image, 0])
        assert found is not None
        expected = cycle(cells.dynamics, drive, settle=5.0)
        assert found.period == pytest.approx(expected.period, rel=3e-3)
        assert waveform_rms(found, expected) < 0.01
    rest = cells.dynamics.rest_point(np.array([0.25]))[0][0]
    assert response.mean[2, 0] == pytest.approx(rest, abs=0.01)


def test_another_design_with_larger_gain(design: Design) -> None:
    """Other scales (Sx, Sy) and another a, eps: the signs and scale factors are not those of one design only."""
    cells = cells_of(make_design(FHN(eps=0.05, a=0.9, gamma=-1.5)), 3)[:1]
    assert cells.cell.volts_per_x != 4.0
    protocol = Protocol(settle=10.0, control=30.0, interval=0.005)
    response = Spice().respond(cells, np.array([[-1.1], [0.6]]), protocol, samples=True)
    assert response.samples is not None
    found, expected = (
        cycle_from_samples(protocol.sample_times, response.samples[:, 0, 0]),
        cycle(cells.dynamics, -1.1, settle=5.0),
    )
    assert found is not None
    assert found.period == pytest.approx(expected.period, rel=3e-3)
    assert waveform_rms(found, expected) < 0.01
    assert response.mean[1, 0] == pytest.approx(cells.dynamics.rest_point(np.array([0.6]))[0][0], abs=0.01)


def test_mean_over_whole_periods_keeps_the_identity(cells: CircuitCells) -> None:
    one, drive = cells[:1], np.array([[-0.5]])
    protocol = Protocol(settle=6.0, control=24.0, interval=0.02)
    response = Spice(workers=1).respond(one, drive, protocol, samples=True)
    assert response.samples is not None
    found = cycle_from_samples(protocol.sample_times, response.samples[:, 0, 0])
    assert found is not None
    whole = replace(protocol, control=round(10 * found.period, 3), interval=0.001)
    mean = Spice(workers=1).respond(one, drive, whole).mean[0, 0]
    assert mean == pytest.approx(one.dynamics.identity_mean(-0.5)[0], abs=0.01)


def test_the_settings_have_converged(design: Design) -> None:
    nominal = cells_of(design, None)
    assert Spice().check_settings(nominal, drive=-1.0, control=40.0) < 5e-4
    assert Spice(reltol=1e-3, max_step=1.0).check_settings(nominal, drive=-1.0, control=40.0) > 2e-3
    with pytest.raises(ValueError, match="does not oscillate"):
        Spice().check_settings(nominal, drive=0.3, control=5.0)


def test_respond_refuses_settings_that_have_not_converged(design: Design) -> None:
    cells = cells_of(design, None)
    drives = np.array([[0.4, -1.0, 0.3, 0.2, 0.1], [0.5, 0.3, 0.3, 0.2, 0.1]])
    protocol = Protocol(settle=0.0, control=1.0)
    assert np.isfinite(Spice().respond(cells, drives, protocol).mean).all()
    with pytest.raises(SimulationError, match=r"too coarse: a period of neuron 0 differs by"):
        Spice(reltol=1e-3, max_step=1.0).respond(cells, drives, protocol)
    coarse = Spice(reltol=1e-3, max_step=1.0, check=False).respond(cells, drives, protocol)
    assert np.isfinite(coarse.mean).all()


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_coarse_settings_do_not_pass_by_chance(design: Design, seed: int) -> None:
    with pytest.raises(SimulationError, match="too coarse"):
        Spice(reltol=1e-3).respond(cells_of(design, seed), np.full((1, 5), -0.9), SHORT)


def test_settings_are_checked_once_for_a_chip(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    tight: list[float] = []

    def counted(cells: Cells, neuron: int, drive: float, *arguments: object, **options: object) -> str:
        if options["reltol"] == pytest.approx(RELTOL / 10):
            tight.append(drive)
        return neuron_deck(cells, neuron, drive, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(spice, "neuron_deck", counted)
    cells, protocol = cells_of(design, 11), Protocol(settle=0.0, control=1.0)
    oscillating, resting, onset = (np.full((1, 5), drive) for drive in (-1.2, 0.2, -0.005))
    for drives in (resting, oscillating, onset):
        Spice(workers=1).respond(cells, drives, protocol)
    # At a drive under which the neuron spikes, whatever it is asked for.
    assert tight == [pytest.approx(-0.5, abs=0.05)]
    Spice(workers=1).respond(cells_of(design, 12), oscillating, protocol)
    Spice(workers=1, max_step=0.04).respond(cells, oscillating, protocol)
    assert len(tight) == 3


def supply_power(cells: CircuitCells, deck_waves: dict[str, FloatArray], drive: float, rail: float) -> FloatArray:
    """Power of the nominal neuron (W) at each time point, from its two voltages by nodal analysis."""
    vx, vy = deck_waves["x"], deck_waves["y"]
    w, vnx = vx**3 / 100, -vx
    neurons, _, _ = groups(cells)
    r2, r5 = float(neurons.r2[0]), float(neurons.r5[0])
    into1 = vnx / 10e3 + w / r2 + vy / 10e3
    into2 = vnx / 100e3 - 10 / r5 - drive * cells.cell.volts_per_x / 100e3
    outputs = (
        vx / 10e3 - into1,  # Ra, and Cx, which takes what flows into its summing node
        vy / 10e3 - into2,
        vnx * (1 / 10e3 + 1 / 100e3 + 1 / 10e3),
        w / r2,
    )
    # The op-amps' 1.4 mA and the multipliers' 4 mA; an output's current comes from one of the two supplies.
    return np.asarray(2 * rail * (3 * 1.4e-3 + 2 * 4e-3) + rail * np.abs(outputs).sum(axis=0) + 10 * 10 / r5)


def at_supply(cells: CircuitCells, supply: float) -> CircuitCells:
    technology = cells.cell.technology
    conditions = technology.conditions.model_copy(update={"supply": supply})
    return replace(cells, cell=replace(cells.cell, technology=technology.model_copy(update={"conditions": conditions})))


@pytest.mark.parametrize("supply", [1.0, 0.9])
def test_power_is_what_nodal_analysis_gives(design: Design, supply: float) -> None:
    cells = at_supply(cells_of(design, None)[:1], supply)
    protocol = Protocol(settle=8.0, control=20.0)
    power = Spice(workers=1).respond(cells, np.array([[-1.0], [0.25]]), protocol).power
    assert power is not None
    assert power.shape == (2, 1)
    with SimulatorProcess() as simulator:
        for image, drive in enumerate((-1.0, 0.25)):
            simulator.load(neuron_deck(cells, 0, drive, protocol))
            waves = simulator.run()
            expected = window_mean(waves["time"] / 1e-3, supply_power(cells, waves, drive, 15 * supply), 8.0, 28.0)
            # The multipliers' lag shifts 0.2 % of the load's tenth.
            assert power[image, 0] == pytest.approx(expected, rel=5e-4)


def test_supplies_do_not_change_what_a_neuron_does_within_its_range(design: Design) -> None:
    nominal = cells_of(design, None)[:1]
    means = [
        Spice(workers=1).respond(at_supply(nominal, supply), np.array([[-0.7]]), SHORT).mean[0, 0]
        for supply in (0.8, 1.2)
    ]
    assert means[0] == pytest.approx(means[1], abs=1e-4)


def test_the_simulators_own_settings_give_a_wrong_period(design: Design) -> None:
    """With reltol 1e-3 and no largest step, ngspice's defaults, periods are wrong and nothing says so."""
    cells = cells_of(design, None)[:1]
    ours = neuron_deck(cells, 0, -1.0, Protocol(settle=10.0, control=50.0))
    lines = [line for line in ours.splitlines() if not line.startswith(".options")]
    lines = [".tran 0.001 0.06 uic" if line.startswith(".tran") else line for line in lines]
    centre = float(cells.dynamics.identity_mean(0.0)[0])  # -a of the parts at hand
    periods = []
    with SimulatorProcess() as simulator:
        for deck in (ours, "\n".join(lines)):
            simulator.load(deck)
            for drive in (centre + 0.9, centre + 0.5, centre, centre - 0.9):
                simulator.alter("idrive", cells.cell.drive_current(drive))
                waves = simulator.run()
                keep = waves["time"] > 10e-3
                found = cycle_from_samples(waves["time"][keep] / 1e-3, waves["x"][keep] / cells.cell.volts_per_x)
                periods.append(np.inf if found is None else found.period)
    right, wrong = np.reshape(periods, (2, 4))
    # The other half of the statement, that ours are right, is test_agrees_with_the_coefficient_equations.
    assert right[0] == pytest.approx(right[3], rel=1e-3), "the nominal neuron is symmetric about I = -a"
    assert max(abs(wrong / right - 1)) > 0.02


def test_altered_runs_equal_fresh_loads(cells: CircuitCells) -> None:
    one = cells[2:3]
    drives = np.array([[-1.0], [0.2], [-0.3], [-1.0]])
    together = Spice(workers=1).respond(one, drives, SHORT, samples=True)
    assert together.samples is not None
    np.testing.assert_array_equal(together.samples[:, 0], together.samples[:, 3])
    for image, drive in enumerate(drives[:3, 0]):
        # Written into the deck instead of altered.
        with SimulatorProcess() as simulator:
            simulator.load(neuron_deck(one, 0, drive, SHORT))
            waves = simulator.run()
        mean = window_mean(waves["time"] / 1e-3, waves["x"] / one.cell.volts_per_x, 2.0, 6.0)
        assert mean == pytest.approx(together.mean[image, 0], rel=1e-12)


def test_results_do_not_depend_on_the_number_of_workers(cells: CircuitCells) -> None:
    drives = np.random.default_rng(1).uniform(-1.8, 0.3, (3, 5))
    calls: list[tuple[int, int]] = []
    one = Spice(workers=1).respond(cells, drives, SHORT, samples=True, progress=lambda *call: calls.append(call))
    three = Spice(workers=3).respond(cells, drives, SHORT, samples=True)
    np.testing.assert_array_equal(one.mean, three.mean)
    assert one.samples is not None
    assert three.samples is not None
    np.testing.assert_array_equal(one.samples, three.samples)
    assert calls == [(k, 15) for k in range(1, 16)]
    assert one.samples.shape == (SHORT.n_samples, 3, 5)


def test_a_failed_run_keeps_its_deck_and_log(
    cells: CircuitCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cells: Cells, neuron: int, *arguments: object, **options: object) -> str:
        deck = neuron_deck(cells, neuron, *arguments, **options)  # type: ignore[arg-type]
        return deck.replace("fhn_neuron\n+", "nosuch\n+") if neuron == 3 else deck

    monkeypatch.setattr(spice, "neuron_deck", broken)
    keep = tmp_path / "failed"
    drives = np.full((2, 5), -0.75)
    with pytest.raises(FailedRunError, match=r"neuron 3, drive -0\.75: .*unknown subckt") as caught:
        Spice(workers=1, keep=keep).respond(cells, drives, SHORT)
    assert isinstance(caught.value, SimulationError)
    assert caught.value.deck.parent == keep
    assert "nosuch" in caught.value.deck.read_text()
    assert "unknown subckt" in caught.value.log.read_text()
    assert str(caught.value.deck) in str(caught.value)
    assert str(caught.value.log) in str(caught.value)
    assert np.isfinite(caught.value.partial.mean[:, :3]).all(), "what was simulated before is not lost"
    assert np.isnan(caught.value.partial.mean[:, 3:]).all()


def test_refuses_wrong_input(cells: CircuitCells) -> None:
    with pytest.raises(InputError, match="technology"):
        Spice().respond(Cells.ideal("sigmoid", FHN(), 5), np.zeros((1, 5)), SHORT)
    with pytest.raises(InputError, match="workers"):
        Spice(workers=0)
    with pytest.raises(InputError, match="reltol"):
        Spice(reltol=0.0)
    with pytest.raises(ValueError, match="shape"):
        Spice().respond(cells, np.zeros((1, 4)), SHORT)
    assert Spice().respond(cells, np.zeros((0, 5)), SHORT).mean.shape == (0, 5)


def test_beyond_the_rails_it_saturates(cells: CircuitCells) -> None:
    """A drive far outside the design's range meets the output limits: a finite answer, not hundreds of volts."""
    one = cells[:1]
    response = Spice(workers=1).respond(one, np.array([[-6.0], [5.0]]), SHORT, samples=True)
    assert response.samples is not None
    assert np.abs(response.samples).max() < (one.cell.technology.opamp.output_limit + 0.1) / one.cell.volts_per_x


def test_window_mean_uses_the_exact_edges() -> None:
    time_points = np.array([0.0, 0.9, 1.3, 2.2, 3.5, 4.0])
    assert window_mean(time_points, time_points, 1.0, 3.0) == pytest.approx(2.0)
    assert window_mean(time_points, np.full(6, 2.5), 0.0, 4.0) == pytest.approx(2.5)


SCRIPT = """
import numpy as np
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.design import Design
from analog_fhn.technology.technology import Technology
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol

print("begins", flush=True)
rng = np.random.default_rng(0)
network = Network.of_weights((rng.normal(size=(20, 5)), rng.normal(size=(5, 3))))
cells = Design(network, Technology.load("discrete")).chip(1).layers[0].cells
drives = np.full(({images}, 5), -1.0)
response = Spice(workers=2).respond(
    cells, drives, Protocol(settle=1.0, control={control}), progress=lambda done, total: print(done, flush=True)
)
print("mean", response.mean.shape)
"""


def test_a_script_without_main_guard_works(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(images=1, control=2.0)))
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["begins", "1", "2", "3", "4", "5", "mean", "(1,", "5)"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_interrupt_ends_the_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(images=50, control=200.0))
    run = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == "begins\n"
        assert run.stdout.readline() == "1\n"
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert len(children) == 2
        start = time.monotonic()
        # As from a terminal: to the whole process group.
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=20)
        assert time.monotonic() - start < 10
        assert run.returncode != 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)
    finally:
        run.kill()


def test_the_chip_may_be_one_of_many_neurons(cells: CircuitCells) -> None:
    """Neuron k of the response is neuron k of the cells, drive by drive."""
    drives = np.array([[-1.0, 0.3, -0.5, 0.5, -1.4]])
    mean = Spice().respond(cells, drives, SHORT).mean
    for k in (1, 3):
        alone = Spice(workers=1).respond(cells[k : k + 1], drives[:, k : k + 1], SHORT)
        assert alone.mean[0, 0] == mean[0, k]


@pytest.mark.parametrize("eps", [0.005, 1.0, 4.0])
def test_slow_neurons_are_not_taken_for_coarse_settings(eps: float) -> None:
    # eps = 4 spikes every 13 T: longer than the check's first window
    cells = cells_of(make_design(FHN(eps=eps)), 1)[:1]
    assert np.isfinite(Spice(workers=1).respond(cells, np.array([[-1.0]]), SHORT).mean).all()
    assert Spice().check_settings(cells) < 2e-3


def test_power_of_a_failed_cell_keeps_its_deck(
    cells: CircuitCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cells: Cells, neuron: int, *arguments: object, **options: object) -> str:
        deck = cell_deck(cells, neuron, *arguments, **options)  # type: ignore[arg-type]
        return deck.replace("row_driver\n+", "nosuch\n+") if neuron == 2 else deck

    monkeypatch.setattr(spice, "cell_deck", broken)
    monkeypatch.setattr(spice.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(FailedRunError, match=r"hidden cell 2, z = .*unknown subckt") as caught:
        cell_power(cells, np.zeros((2, 5)), SHORT)
    assert "nosuch" in caught.value.deck.read_text()
    assert "unknown subckt" in caught.value.log.read_text()
    with pytest.raises(InputError, match="at least one image"):
        cell_power(cells, np.zeros((0, 5)), SHORT)
