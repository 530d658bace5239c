"""The bench protocol: what is read of a board, and what the readings say of its parts and its repair."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from command_line import run

from analog_fhn.board.bench_model import CellModel, with_part
from analog_fhn.board.bench_plan import read_plan
from analog_fhn.board.bench_recordings import FOLDER, file_name, step_readings
from analog_fhn.board.bench_steps import bench_protocols
from analog_fhn.board.diagnosis import Suspect, suspects
from analog_fhn.board.virtual_board import VirtualBoard
from analog_fhn.board.waveforms import NAMES, waveform_numbers
from analog_fhn.cell.base import CircuitCells
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import Coefficients, FloatArray, cycle_from_samples, trajectory
from analog_fhn.reconstruct.recordings.files import read_recording
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.codes import TrimHardware
from analog_fhn.trim.measurements import load_measurements
from analog_fhn.trim.recorded import from_measurements

NEURONS = 2


@cache
def network(neurons: int = NEURONS) -> Network:
    rng = np.random.default_rng(3)
    return Network.of_weights((rng.normal(size=(4, neurons)), rng.normal(size=(neurons, 3))))


@cache
def design() -> Design:
    exact = {"array.programming_error": 0.0, "array.levels": None}  # arrays whose errors no code of a row mends
    return Design(network(), Technology.load("discrete").with_values(exact))


@cache
def model() -> CellModel:
    return CellModel.of(design(), 0, bench_protocols(design())[0])


def cells(seed: int = 7) -> CircuitCells:
    """Neuron 0 of a chip."""
    return design().chip(seed).hardware[0].cells[np.zeros(1, dtype=np.intp)]


def named(found: list[Suspect]) -> set[tuple[int, str]]:
    """Parts of the first suspect."""
    return {(fault.part.group, fault.part.field) for fault in found[0].faults}


def measured(board: CircuitCells, folder: Path, seed: int = 0) -> FloatArray:
    """Readings of one cell through ngspice and the screen of an oscilloscope."""
    protocol = model().protocol
    VirtualBoard(board, protocol, design().network.protocol).record(folder, np.random.default_rng(seed))
    values: list[float] = []
    for step in protocol.steps:
        found, missing = step_readings(folder, 0, 0, step, protocol.cell.volts_per_x)
        assert not missing
        values += [found[column] for column in step.readings]
    return np.array(values)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan's folder, beside its network, with the readings that chip 7 gives by the equations."""
    folder = tmp_path_factory.mktemp("bench")
    network().save(folder / "net.npz")
    arguments = ("--chip", 7, "-o", folder / "plan", "--json", folder / "plan.json")
    status, out, err = run("bench", "plan", folder / "net.npz", *arguments)
    assert status == 0, err
    files = json.loads((folder / "plan.json").read_text())["files"]
    assert all((folder / "plan" / name).stat().st_size > 0 for name in files)
    assert "measurements_chip.csv" in out
    return folder


@pytest.fixture
def table(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it in the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(plan, tmp_path, dirs_exist_ok=True)
    return Path("plan", "measurements_chip.csv")


def test_waveforms_are_those_of_scipy() -> None:
    dynamics = cells().dynamics
    assert isinstance(dynamics, Coefficients)
    none = np.zeros(1), np.zeros(1)
    found = dict(zip(NAMES, waveform_numbers(dynamics, np.array([[-1.0], [0.5]]), none, (-1.0, -0.6)), strict=True))
    times = np.arange(0.0, 14.0, 0.002)
    x, _ = trajectory(dynamics, -1.0, times, -1.0, -0.6)
    exact = cycle_from_samples(times[times >= 6.0], x[times >= 6.0], n_phase=4096)
    assert exact is not None
    assert found["period"][0, 0] == pytest.approx(exact.period, rel=2e-4)
    assert found["x"][0, 0] == pytest.approx(np.mean(exact.x), abs=2e-3)
    assert found["x3"][0, 0] == pytest.approx(np.mean(exact.x**3), abs=5e-3)
    assert found["high"][0, 0] == pytest.approx(np.mean(exact.x[exact.x > 0]), abs=2e-3)
    after, before = exact.phase < 0.02, exact.phase > 0.98
    rise = (
        np.interp(1.0, exact.x[after], exact.phase[after]) + 1.0 - np.interp(-0.5, exact.x[before], exact.phase[before])
    )
    assert found["rise"][0, 0] == pytest.approx(exact.period * rise, rel=0.01)
    x, y = trajectory(dynamics, 0.5, np.array([0.0, 60.0]), -1.0, -0.6)
    assert [found["x"][1, 0], found["y"][1, 0]] == pytest.approx([x[-1], y[-1]], abs=1e-5)
    assert np.isnan(found["period"][1, 0])


def test_a_board_in_ngspice_reads_as_the_equations_say_and_its_fault_is_named(tmp_path: Path) -> None:
    nominal = float(model().nominal[0].r3[0])  # type: ignore[attr-defined]
    board = with_part(cells(), 0, "r3", 1.05 * nominal)
    readings, sigma = measured(board, tmp_path), model().protocol.sigmas()
    assert len(readings) == 20
    assert np.all(np.abs(readings - model().read(board)[0]) < 4.5 * sigma)
    found = suspects(model(), readings, sigma)
    assert named(found) == {(0, "r3")}
    assert found[0].faults[0].sigmas * found[0].faults[0].part.sigma == pytest.approx(0.05, abs=0.012)


FAULTS: list[tuple[int, str, float, set[tuple[int, str]]]] = [
    *((0, name, 0.05, set()) for name in ("r1", "r2", "r4")),
    (0, "r5", 0.05, {(0, "vos2")}),
    (0, "ra", 0.05, {(0, "rb")}),
    (0, "cx", 0.2, set()),
    (0, "cy", 0.2, set()),
    (0, "vos1", 0.03, set()),
    (0, "vos3", 0.03, set()),
    (0, "m1_scale", 0.03, {(0, "m2_scale")}),
    (0, "m2_z", 0.05, set()),
    (1, "vos", 5e-3, set()),
    (2, "rin", 0.05, set()),
    (2, "rf", 0.05, set()),
    (2, "rshift", 0.05, {(2, "vos")}),
]


def test_every_fault_is_named_by_itself_or_with_what_does_the_same(tmp_path: Path) -> None:
    for group, field, change, inseparable in FAULTS:
        nominal = float(getattr(model().nominal[group], field)[0])
        board = with_part(cells(), group, field, nominal * (1.0 + change) if nominal else change)
        found = suspects(model(), measured(board, tmp_path), model().protocol.sigmas())
        assert named(found) == {(group, field)} | inseparable, field


def test_sound_cells_are_called_sound_and_their_codes_repair_the_chip(table: Path) -> None:
    status, out, err = run("bench", "diagnose", "net.npz", table, "-o", "estimated.csv")
    assert status == 0, err
    assert out.count("as the technology's cells are") == NEURONS
    estimated, given = (load_measurements(path, design(), "volts").layers[0] for path in (Path("estimated.csv"), table))
    assert np.max(np.abs(estimated.responses - given.responses)) < 2e-3  # readings without noise are not moved
    status, out, err = run("trim", "net.npz", "--measurements", table, "--unit", "volts", "-o", "codes")
    assert status == 0, err
    codes = from_measurements(load_measurements(table, design(), "volts"), design(), TrimHardware()).state.codes
    bench = SimulatedBench(design(), 7)
    images = np.random.default_rng(0).random((20, 4))
    (dense,) = network().hidden_layers
    ideal, rows = dense.activation(dense.pre_activations(images)), bench.hidden(images)
    bench.set_codes(codes)
    before, after = (float(np.sqrt(np.mean((h - ideal) ** 2))) for h in (rows, bench.hidden(images)))
    assert after < 0.5 * before


def test_recordings_fill_the_table_and_readings_by_hand_stay(table: Path) -> None:
    (layer,) = read_plan(table.parent)
    board = VirtualBoard(design().chip(7).hardware[0].cells, model().protocol, network().protocol)
    board.record(table.parent / FOLDER, np.random.default_rng(1), which=[0])
    path = table.parent / "measurements.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1] + "0.4"]) + "\n")  # the row of the last cell in B4
    status, out, err = run("bench", "read", "plan")
    assert status == 0, err
    assert "21 of 40 readings of 2 cells" in out
    assert file_name(0, 1, "A1") in err
    assert path.read_text().splitlines()[-1].endswith(",0.4")
    voltage = read_recording(table.parent / FOLDER / file_name(0, 0, "A3")).voltage  # as `reconstruct` reads it
    nominal = dict(zip([r.column for r in model().protocol.readings[7:14]], model().expected[7:14], strict=True))
    assert np.mean(voltage[voltage > 0]) == pytest.approx(nominal["v_x_high"], rel=0.03)
    first = Path(table.parent, FOLDER, file_name(0, 0, layer.steps[0].shots[0].name))
    first.write_text(first.read_text().replace("CH3", "CH7"))
    status, _, err = run("bench", "read", "plan")
    assert status == 2
    assert f"{first.name}: no column -Vx or CH3 or C3" in err


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (1, "response", "", "line 2, column 'response': ''; expected a finite number"),
        (4, "row", "2.5e3", "line 5, column 'row': 2500"),
        (4, "v_z", "", "line 5, column 'drive': ''; expected a finite number"),
        (1, "neuron", "9", "line 2, column 'neuron'"),
    ],
)
def test_trim_refuses_by_line_and_column(table: Path, line: int, column: str, text: str, message: str) -> None:
    changed(table, line, column, text)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        load_measurements(table, design(), "volts")


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (3, "period", "1.9", "line 4, column 'period': 1.9; expected seconds, of a nominal cell 0.00191"),
        (1, "response", "-690", "line 2, column 'response': -690; expected volts between the supplies"),
        (1, "v_y", "broken", "line 2, column 'v_y': 'broken'; expected a finite number"),
        (1, "step", "A9", "line 2, column 'step': 'A9'; expected one of A1, A2"),
        (2, "drive", "0.3", "line 3, column 'drive': 0.3; step A2 of the plan has 0.25"),
        (1, "row", "0.4", "line 2, column 'row': '0.4'; expected nothing there: step A1 is read in response, "),
    ],
)
def test_a_diagnosis_refuses_by_line_and_column(table: Path, line: int, column: str, text: str, message: str) -> None:
    changed(table, line, column, text)
    status, _, err = run("bench", "diagnose", "net.npz", table)
    assert status == 2
    assert message in err


def changed(table: Path, line: int, column: str, text: str) -> None:
    rows = [row.split(",") for row in table.read_text().splitlines()]
    rows[line][rows[0].index(column)] = text
    table.write_text("\n".join(map(",".join, rows)) + "\n")


def test_plan_is_a_command_and_a_file_of_that_name_has_its_page(table: Path) -> None:
    shutil.rmtree(table.parent)
    shutil.copy("net.npz", "plan")
    status, out, _ = run("bench", "--help")
    assert status == 0
    assert "--dataset" in out
    assert "diagnose" in out
    status, _, err = run("bench", "plan", "net.npz", "-o", "out")
    assert status == 0
    assert "the page of the network file plan: bench ./plan" in err
    status, _, err = run("bench", "./plan", "--dataset", "nowhere.npz")
    assert status == 2
    assert "nowhere.npz" in err
    status, _, err = run("bench", "read", "elsewhere")
    assert status == 2
    assert "expected a folder that `analog-fhn bench plan` wrote" in err
