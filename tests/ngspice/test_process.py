import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.errors import MissingProgramError, SimulationError
from analog_fhn.ngspice import batch, process
from analog_fhn.ngspice.messages import faults
from analog_fhn.ngspice.process import SimulatorProcess

RC = """{title}
Vin in 0 1
R1 in out 1e3
C1 out 0 1e-6 IC=0
Idrive 0 out 0
.tran {step} {stop} 0 {step} uic
.end
"""


def rc(title: str = "rc", step: float = 1e-5, stop: float = 5e-3) -> str:
    return RC.format(title=title, step=step, stop=stop)


def _installed() -> bool:
    try:
        process.find_library()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


needs_ngspice = pytest.mark.skipif(not _installed(), reason="libngspice or PySpice is not installed")


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    """For tests in which nothing fails; a failed run closes its process."""
    if not _installed():
        pytest.skip("libngspice or PySpice is not installed")
    with SimulatorProcess() as simulator:
        yield simulator


def test_a_run_gives_the_waveforms(shared: SimulatorProcess) -> None:
    shared.load(rc())
    waves = shared.run()
    np.testing.assert_allclose(waves["out"], 1 - np.exp(-waves["time"] / 1e-3), atol=2e-3)
    assert waves["time"][-1] == pytest.approx(5e-3)


def test_alter_and_run_again_begins_at_the_initial_conditions(shared: SimulatorProcess) -> None:
    shared.load(rc())
    first = shared.run()
    shared.alter("idrive", 1e-3)
    second = shared.run()
    shared.alter("Idrive", 0.0)
    third = shared.run()
    assert second["out"][-1] == pytest.approx(2.0, abs=0.02)
    np.testing.assert_array_equal(first["out"], third["out"])
    np.testing.assert_array_equal(first["time"], third["time"])


def test_load_replaces_the_circuit(shared: SimulatorProcess) -> None:
    shared.load(rc())
    shared.load(rc().replace("Vin in 0 1", "Vin in 0 3"))
    assert shared.run()["out"][-1] == pytest.approx(3.0, abs=0.03)


@pytest.mark.parametrize("title", ["an error in the title", "Error: unknown subckt", "* fatal", ""])
def test_a_title_is_not_a_fault(shared: SimulatorProcess, title: str) -> None:
    shared.load(rc(title))
    assert shared.run()["out"][-1] == pytest.approx(1.0, abs=0.01)


def test_notes_and_warnings_are_no_faults(shared: SimulatorProcess) -> None:
    # A node without a DC path: singular matrix warnings, gmin and source stepping, and a solution in the end.
    shared.load("t\nV1 a 0 1\nC1 a b 1e-9\nC2 b 0 1e-9\n.tran 1e-6 1e-4 0 1e-6\n.end\n")
    assert shared.run()["b"][-1] == pytest.approx(0.5, abs=1e-3)
    assert "Starting dynamic gmin stepping" in shared.log
    assert "Warning: singular matrix" in shared.log


def test_which_messages_are_faults() -> None:
    harmless = [
        "Note: Starting dynamic gmin stepping", "Trying gmin =   1.0000E-03 Note: One successful gmin step",
        "Warning: there is no circuit loaded.", "Using SPARSE 1.3 as Direct Linear Solver", "", "Circuit: an error",
        "Note: can't find init file.", "Supplies reduced to   0.0000% ", " Reference value :  9.55357e-02",
        "Warning: singular matrix:  check node b", "3 : r_error in out 1k",
    ]  # fmt: skip
    bad = [
        "Error: unknown subckt: x1 in out nosub", "Error on line 3 or its substitute:", "Undefined parameter [nopar]",
        "doAnalyses: TRAN:  Timestep too small; time = 9.4e-07, timestep = 1.25e-18: trouble with node \"out\"",
        "run simulation(s) aborted", "Error: ngspice.dll cannot recover and awaits to be detached",
        "ERROR: fatal error in ngspice, exit(1)", "run simulation not started",
    ]  # fmt: skip
    assert faults(harmless) == []
    assert faults(bad) == bad


@needs_ngspice
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("R1 in out 1e3", "X1 in out nosuch", "unknown subckt"),
        ("R1 in out 1e3", "R1 in out {nosuch}", "(?i)undefined parameter"),
        ("R1 in out 1e3", "R1 in out 1e3 foo=3", "unknown parameter"),
        ("R1 in out 1e3", ".include nosuch.lib", "include file"),
        (".tran 1e-05 0.005 0 1e-05 uic", "*", "no .tran"),
    ],
)
def test_a_bad_deck_after_a_good_run_raises(old: str, new: str, message: str) -> None:
    bad = rc().replace(old, new)
    assert bad != rc()
    with SimulatorProcess() as simulator:
        simulator.load(rc())
        simulator.run()
        with pytest.raises((SimulationError, ValueError), match=message):
            simulator.load(bad)
        with pytest.raises(SimulationError, match="closed"):
            simulator.run()
    with SimulatorProcess() as fresh:
        fresh.load(rc())
        assert fresh.run()["out"][-1] == pytest.approx(1.0, abs=0.01)


@needs_ngspice
def test_pyspice_alone_would_run_the_previous_circuit_again(tmp_path: Path) -> None:
    """The fault that this module exists for; when this test fails, PySpice or ngspice has been mended."""
    import subprocess
    import sys

    script = f"""
import logging; logging.disable(logging.CRITICAL)
from PySpice.Spice.NgSpice.Shared import NgSpiceShared
NgSpiceShared.LIBRARY_PATH = {process.find_library()!r}
engine = NgSpiceShared.new_instance()
engine.load_circuit({rc()!r})
engine.run()
engine.load_circuit({rc().replace("R1 in out 1e3", "X1 in out nosuch")!r})
engine.run()
print(engine.plot(None, engine.last_plot)["out"]._data[-1])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(1.0, abs=0.01)


@needs_ngspice
@pytest.mark.parametrize(
    ("element", "message"),
    [
        ("V8 out 0 1\nV9 out 0 2", "aborted"),
        ("B1 out 0 I=-exp(100*v(out))", "aborted|finite"),
        ("B1 0 out I=1/(0.5-v(out))*1e-3*sqrt(0.6-v(out)-time)", "ngspice"),
    ],
)
def test_a_run_that_fails_raises(element: str, message: str) -> None:
    with SimulatorProcess() as simulator:
        simulator.load(rc().replace("Idrive 0 out 0", element))
        with pytest.raises(SimulationError, match=message):
            simulator.run()
        assert simulator.log


@needs_ngspice
def test_altering_what_is_not_there_raises() -> None:
    with SimulatorProcess() as simulator:
        simulator.load(rc())
        with pytest.raises(SimulationError, match="nosuch"):
            simulator.alter("nosuch", 1.0)
    with SimulatorProcess() as simulator, pytest.raises(ValueError, match="finite"):
        simulator.alter("idrive", float("nan"))
    with SimulatorProcess() as simulator, pytest.raises(ValueError, match="name"):
        simulator.alter("idrive = 3; quit", 1.0)


@needs_ngspice
def test_running_without_a_circuit_raises() -> None:
    with SimulatorProcess() as simulator, pytest.raises(SimulationError, match="no circuit"):
        simulator.run()


@needs_ngspice
def test_stop_time_not_reached_raises() -> None:
    deck = rc() + ".control\nstop when time > 0.001\n.endc\n"
    with SimulatorProcess() as simulator:
        simulator.load(deck.replace(".end\n", "", 1) + ".end\n")
        with pytest.raises(SimulationError, match=r"stopped|should have reached"):
            simulator.run()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@needs_ngspice
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow() -> None:
    deck = rc(step=1e-6, stop=8e-3)  # 8000 points, 0.3 MB a run
    with SimulatorProcess() as simulator:
        for k in range(80):
            if k % 4 == 0:
                simulator.load(deck)
            simulator.alter("idrive", 1e-6 * k)
            waves = simulator.run()
            if k == 19:
                before = _resident(simulator.pid)
        grown = _resident(simulator.pid) - before
    per_run = sum(wave.nbytes for wave in waves.values())
    assert grown < 10 * per_run, f"60 runs grew the process by {grown / 1e6:.1f} MB"


@needs_ngspice
def test_a_killed_process_raises_instead_of_waiting() -> None:
    with SimulatorProcess() as simulator:
        simulator.load(rc(step=1e-8, stop=1.0))
        threading.Timer(0.3, os.kill, (simulator.pid, signal.SIGKILL)).start()
        start = time.monotonic()
        with pytest.raises(SimulationError, match="status -9"):
            simulator.run()
        assert time.monotonic() - start < 10


@needs_ngspice
def test_a_users_init_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".spiceinit").write_text("set ngbehavior=ps\n")
    monkeypatch.chdir(tmp_path)
    with SimulatorProcess() as simulator:
        simulator.load(rc())
        assert "No compatibility mode selected" in simulator.log


@needs_ngspice
def test_versions_agree() -> None:
    assert process.version().split(".")[0].isdigit()
    assert process.version() == batch.program_version()


@needs_ngspice
def test_the_sign_of_a_cube_is_known() -> None:
    if process.version() != "39":
        pytest.skip("measured in version 39")
    assert not process.cube_is_odd(), "x^3 written with a caret uses |x|: netlists write products"


def test_missing_programs_say_how_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "libngspice.so"))
    with pytest.raises(MissingProgramError, match="apt install"):
        process.find_library()
    with pytest.raises(MissingProgramError, match="NGSPICE_LIBRARY_PATH"):
        SimulatorProcess()
    (tmp_path / "libngspice.so").write_text("no library")
    with pytest.raises(MissingProgramError, match="cannot be loaded"):
        process.version()
    monkeypatch.delenv("NGSPICE_LIBRARY_PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgramError, match="ngspice"):
        batch.program_version()
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(process, "find_library", lambda: "libngspice.so.0")
    with pytest.raises(MissingProgramError, match="pip install"):
        SimulatorProcess()
