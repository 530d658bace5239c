"""The program VACASK: found, or said to be missing; stopped in time; results that are none are refused."""

from __future__ import annotations

import importlib.util
import stat
import time
from pathlib import Path

import numpy as np
import pytest
from vacask_program import needs_vacask

from analog_fhn.errors import MissingProgramError, SimulationError
from analog_fhn.vacask import process
from analog_fhn.vacask.process import VARIABLE, Workspace, find_program, read_waves, run_deck, version
from analog_fhn.vacask.translate import translate

RC = """title
V1 in 0 1
R1 in a 1e3
C1 a 0 1e-6 IC=0
Edouble b 0 VALUE={2*v(a)}
.options reltol=1e-5
.tran 1e-5 2e-3 0 1e-5 uic
.save v(a) v(b) i(v1)
.end
"""


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\ncase $1 in -h) echo This is vacask 1.2.; exit;; esac\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def raw(path: Path, *rows: tuple[float, ...], points: int | None = None) -> Path:
    header = f"Title: t\nNo. Variables: 3\nNo. Points: {points or len(rows)}    \nVariables:\n"
    header += "\t0\ttime\tnotype\n\t1\ta\tnotype\n\t2\tv1:flow(br)\tnotype\nBinary:\n"
    path.write_bytes(header.encode() + np.array(rows, dtype=np.float64).tobytes())
    return path


@needs_vacask
def test_a_capacitor_charges() -> None:
    translation = translate(RC)
    with Workspace() as place:
        first, again = (place.run(translation, {}, 60.0) for _ in range(2))
        other = place.run(translation, {"v1": 2.0}, 60.0)
        different = place.run(translate(RC.replace("2*v(a)", "3*v(a)")), {}, 60.0)
    np.testing.assert_allclose(first["a"], 1 - np.exp(-first["time"] / 1e-3), atol=5e-4)
    np.testing.assert_allclose(first["v1#branch"], (first["a"] - 1.0) / 1e3, atol=1e-9)
    np.testing.assert_allclose(first["b"], 2 * first["a"], atol=1e-9)
    np.testing.assert_allclose(other["a"][-1], 2 * first["a"][-1], rtol=1e-4)
    np.testing.assert_allclose(different["b"], 3 * different["a"], atol=1e-9)  # what was compiled before is not used
    assert all(np.array_equal(first[name], again[name]) for name in first)


@needs_vacask
def test_the_version_is_told() -> None:
    assert version()[0].isdigit()


def test_without_the_program_a_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingProgramError, match=r"VACASK is not installed.*analog-fhn\[vacask\]"):
        find_program()


def test_a_named_program_must_be_there_and_be_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(MissingProgramError, match="there is no such file"):
        version()
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho something else\n")
    other.chmod(0o700)
    monkeypatch.setenv(VARIABLE, str(other))
    with pytest.raises(MissingProgramError, match="is not VACASK"):
        version()


def test_a_hanging_program_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path / "hangs", "echo working; sleep 60")))
    (tmp_path / "deck.sim").write_text("x\n")
    begin = time.monotonic()
    with pytest.raises(SimulationError, match=r"did not end within 0\.5 s: working"):
        run_deck(tmp_path / "deck.sim", 0.5)
    assert time.monotonic() - begin < 10
    assert "working" in (tmp_path / "deck.log").read_text()


def test_a_failing_program_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path / "fails", "echo no convergence >&2; exit 1")))
    with Workspace() as place:
        with pytest.raises(SimulationError, match="status 1: no convergence"):
            place.run(translate(RC), {}, 60.0)
        assert "no convergence" in place.log


def test_a_program_that_writes_nothing_has_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path / "idle", "true")))
    with Workspace() as place, pytest.raises(SimulationError, match="wrote no waveforms"):
        place.run(translate(RC), {}, 60.0)


def test_waveforms_are_read(tmp_path: Path) -> None:
    waves = read_waves(raw(tmp_path / "run.raw", (0, 1, 2), (1, 3, 4)), 1.0)
    assert {name: wave.tolist() for name, wave in waves.items()} == {"time": [0, 1], "a": [1, 3], "v1#branch": [2, 4]}


@pytest.mark.parametrize(
    ("rows", "points", "message"),
    [
        ([(0, 1, 2), (1, np.nan, 4)], None, "not finite"),
        ([(0, 1, 2), (1, np.inf, 4)], None, "not finite"),
        ([(0, 1, 2), (0.5, 3, 4)], None, r"stopped at 0\.5 s; it should have reached 1 s"),
        ([(0, 1, 2), (1, 3, 4)], 3, "wrote no waveforms"),
        ([(0, 1, 2), (2, 1, 1), (1, 3, 4)], None, "time goes back"),
    ],
)
def test_results_that_are_none_are_refused(
    rows: list[tuple[float, ...]], points: int | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SimulationError, match=message):
        read_waves(raw(tmp_path / "run.raw", *rows, points=points), 1.0)


@pytest.mark.parametrize("content", [b"", b"Binary:\n", b"Title: x\nNo. Points: 1\nBinary:\n12345678"])
def test_damaged_results_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.raw").write_bytes(content)
    with pytest.raises(SimulationError, match="VACASK"):
        read_waves(tmp_path / "run.raw", 1.0)


def test_the_program_of_the_package_comes_before_that_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = program(tmp_path / "vacask", "true")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(process, "_packaged", lambda: None)
    assert (find_program(), version()) == (str(mine), "1.2")
