"""Programs and libraries that are called ngspice and hang, talk nonsense, or are something else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.backends.spice import backend as spice
from analog_fhn.backends.spice.backend import FailedRunError, Spice, run_exported
from analog_fhn.design import Design
from analog_fhn.errors import MissingProgramError, SimulationError
from analog_fhn.netlist.decks import neuron_deck
from analog_fhn.netlist.export import export
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.ngspice import batch, process
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.studies import doctor
from analog_fhn.studies.doctor import mismatched_neuron
from analog_fhn.technology.technology import Technology

VERSION = 'test "$1" = --version && { echo "** ngspice-39"; exit 0; }\n'


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A program of the name ngspice, found before any other."""
    path = folder / "bin" / "ngspice"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def runs(process: int) -> bool:
    """Whether a process does anything; one that has ended may wait to be taken note of."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A network's folder."""
    network = Network.of_weights((np.ones((2, 1)), np.ones((1, 2))))
    chip = Design(network, Technology.load("discrete")).chip(1)
    export(chip, np.zeros(2), tmp_path / "chip", {}, form="reduced")
    return tmp_path / "chip"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 0", "is not ngspice: asked for its version, it says ''"),
        ("echo I am something else", "is not ngspice: asked for its version, it says 'I am something else"),
        ("while :; do echo I am something else; done", "is not ngspice: it does not tell its version"),
        ("sleep 1000 & wait", "is not ngspice: it does not tell its version"),
    ],
)
def test_another_program_is_named(
    body: str, words: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path, monkeypatch, body)
    monkeypatch.setattr(batch, "_VERSION_LIMIT", 0.5)
    with pytest.raises(MissingProgramError, match="apt install ngspice") as error:
        run_exported(exported)
    assert f"{path} {words}" in str(error.value)
    assert len(str(error.value)) < 500


def test_a_file_that_cannot_be_run_is_named(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, monkeypatch, "")
    path.write_bytes(b"\x7fELF, but no more than that")
    with pytest.raises(MissingProgramError, match=r"bin/ngspice cannot be run \(Exec format error\)"):
        run_exported(exported)


def test_a_program_that_hangs_is_stopped_with_all_it_started(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, monkeypatch, f"{VERSION}echo iterating; sleep 1000 & echo $! > {tmp_path}/pid; wait")
    monkeypatch.setattr(spice, "longest_run", lambda folder: 0.5)
    begin = time.monotonic()
    with pytest.raises(SimulationError, match=r"run\.cir did not end within 0\.5 s: iterating \(log .*run\.log\)"):
        run_exported(exported)
    assert time.monotonic() - begin < 10
    assert (exported / "run.log").read_text() == "iterating\n"
    while runs(int((tmp_path / "pid").read_text())):
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize(("body", "words"), [("exit 0", "holds no scores"), ("exit 7", "status 7: it said nothing")])
def test_a_run_without_scores_is_a_failure(
    body: str, words: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, monkeypatch, VERSION + body)
    with pytest.raises(SimulationError, match=words):
        run_exported(exported)


def test_the_time_limit_grows_with_what_the_run_is_expected_to_take(exported: Path) -> None:
    manifest = exported / "manifest.json"
    text = manifest.read_text()
    expected = float(text.split('"expected_seconds": ')[1].split(",")[0])
    assert spice.longest_run(exported) == pytest.approx(60 + 20 * expected)
    for damaged in ("", "[]", '{"expected_seconds": "x"}', '{"expected_seconds": NaN}'):
        manifest.write_text(damaged)
        assert spice.longest_run(exported) == 3600


def test_a_library_that_hangs_is_stopped_and_deck_and_log_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STEP_LIMIT", 0.0)
    true = SimulatorProcess.load

    def load(simulator: SimulatorProcess, deck: str) -> None:
        true(simulator, deck)
        simulator._limit = 0.2  # of a run that takes minutes

    monkeypatch.setattr(SimulatorProcess, "load", load)
    backend = Spice(workers=1, keep=tmp_path, check=False)
    begin = time.monotonic()
    with pytest.raises(FailedRunError, match=r"ngspice did not end 'run' within 0\.2 s") as error:
        backend.respond(mismatched_neuron(), np.array([[-1.0]]), Protocol(settle=0.0, control=1e6, interval=10.0))
    assert time.monotonic() - begin < 60
    assert error.value.deck.read_text().splitlines()[-1] == ".end"
    assert "did not end" in error.value.log.read_text()


def test_a_run_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    deck = neuron_deck(mismatched_neuron(), 0, -1.0, Protocol(settle=0.0, control=1e6, interval=10.0))
    (tmp_path / "deck.cir").write_text(deck)
    script = (
        "import pathlib, sys; from analog_fhn.ngspice.process import SimulatorProcess\n"
        "simulator = SimulatorProcess(); simulator.load(pathlib.Path(sys.argv[1]).read_text())\n"
        "print(simulator.pid, flush=True); simulator.run()"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "deck.cir"], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        child = int(driver.stdout.readline())
        driver.kill()
    begin = time.monotonic()
    while runs(child):
        assert time.monotonic() - begin < 20


@pytest.mark.parametrize("content", [b"no library", None])
def test_another_library_is_named(content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "libngspice.so"
    if content is None:
        path.symlink_to(np._core._multiarray_umath.__file__)  # a library, but another one
    else:
        path.write_bytes(content)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(path))
    with pytest.raises(MissingProgramError, match="libngspice cannot be loaded from") as error:
        process.version()
    assert str(path) in str(error.value)
    assert len(str(error.value).replace(str(path), "")) < 600


def test_doctor_says_what_is_not_ngspice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, monkeypatch, "echo I am something else")
    (tmp_path / "libngspice.so").write_text("no library")
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "libngspice.so"))
    program, library, cube = doctor._ngspice()
    assert (program.missing, library.missing, cube.missing) == (True, True, True)
    assert f"{path} is not ngspice" in program.found
    assert "libngspice cannot be loaded" in library.found
