"""The program `ngspice -b`: one deck, one run, and the tables of numbers that it writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from analog_fhn._support.files import at_once, write_text
from analog_fhn._support.temporary import temporary_folder
from analog_fhn._support.threads import alarm
from analog_fhn.errors import InputError, MissingProgramError, RunError, SimulationError
from analog_fhn.ngspice.messages import INSTALL, faults, version_in

if TYPE_CHECKING:
    from analog_fhn.neuron import FloatArray

_VERSION_LIMIT = 60.0  # s
_LONGEST_OUTPUT = 2**24
_running: set[Callable[[], None]] = set()  # what stops them


def program_version() -> str:
    """Version of the `ngspice` program, for instance "39" (exported netlists run in it).

    Raises
    ------
    MissingProgramError
        If there is no such program.
    """
    program = _program()
    status, out, _ = program_output([program, "--version"], Path.cwd(), _VERSION_LIMIT, INSTALL)
    if status is None:
        raise MissingProgramError(f"{program} is not ngspice: it does not tell its version; {INSTALL}")
    return version_in(out, program)


def run_batch(deck: Path, timeout: float) -> str:
    """Run a deck alone, `ngspice -b`, in its own folder, without the user's `.spiceinit`; what it said.

    What it said in a run that fails is kept beside the deck, in a file that ends in `.log`.

    Parameters
    ----------
    timeout
        Seconds after which it is stopped.

    Raises
    ------
    MissingProgramError
        If there is no program ngspice, or one of that name is another program.
    SimulationError
        If it ends with a status other than 0, reports a fault, or does not end in time.
    """
    said, fault = _run(deck, timeout)
    if fault:
        raise SimulationError(fault + _keep_log(deck, said))
    return said


def run_tables(deck: str, timeout: float) -> dict[str, dict[str, FloatArray]]:
    """Run a deck alone in an empty folder; the tables that its control block writes by `table_lines`.

    For analyses with few numbers: operating points and DC sweeps.

    Parameters
    ----------
    deck
        Complete text, from the title line to `.end`; its control block ends with `quit`. What it includes has absolute
        paths, or stands in it.
    timeout
        Seconds after which it is stopped.

    Returns
    -------
    dict
        Columns of each table, see `read_columns`, under the table's name.

    Raises
    ------
    MissingProgramError
        If there is no program ngspice, or one of that name is another program.
    SimulationError
        If it ends with a status other than 0, reports a fault, does not end in time, or writes no usable table.
    """
    with temporary_folder("deck") as folder:
        path = folder / "deck.cir"
        write_text(path, deck)
        # Threads of ngspice wait for each other by spinning: where cores are shared a deck takes fifty times as long.
        write_text(folder / ".spiceinit", "set num_threads=1\n")
        _, fault = _run(path, timeout, read_init=True)
        if fault:
            raise SimulationError(fault)
        tables = {file.stem: read_columns(file) for file in sorted(folder.glob("*.txt"))}
    if not tables:
        raise SimulationError(f"ngspice wrote no table of the deck {deck.splitlines()[0]!r}")
    return tables


def table_lines(table: str, *vectors: str) -> list[str]:
    """ngspice commands after an analysis that write vectors of real numbers for `run_tables`.

    Parameters
    ----------
    table
        Name of the table, in lower case.
    vectors
        Such as `v(out)` or `i(vin)`.
    """
    return [
        "set numdgt=12",
        "set wr_singlescale",
        "set wr_vecnames",
        f"wrdata {table}.txt {' '.join(vectors)}",
    ]


def read_columns(path: Path) -> dict[str, FloatArray]:
    """Numbers that ngspice's `wrdata` wrote with `set wr_singlescale` and `set wr_vecnames`.

    Returns
    -------
    dict
        Each vector, shape (n_points,), in its SI unit, under its name in lower case. The first one is the scale: the
        swept voltage, or of an operating point some node.

    Raises
    ------
    SimulationError
        If there is no such file, it holds no points or no table, a name stands twice (of complex vectors ngspice
        writes two columns), or a value is not finite.
    """
    try:
        header, *rows = [line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()]
        names = [name.lower() for name in header]
        table = np.array([[float(value) for value in row] for row in rows if row])
    except (OSError, ValueError) as error:
        raise SimulationError(f"{path.name}: ngspice wrote no table of numbers ({error})") from None
    if table.shape[1:] != (len(names),) or not names:
        raise SimulationError(f"{path.name}: ngspice wrote {len(names)} names over a table of shape {table.shape}")
    # The scale may be one of the vectors.
    if len(set(names[1:])) < len(names) - 1:
        raise SimulationError(f"{path.name}: a name stands twice among {', '.join(names[1:])}")
    for name, values in zip(names, table.T, strict=True):
        if not np.isfinite(values).all():
            raise SimulationError(f"{path.name}: {name} is not finite at every point")
    return dict(zip(names, table.T.copy(), strict=True))


def _run(deck: Path, timeout: float, *, read_init: bool = False) -> tuple[str, str]:
    """What a deck alone said in its own folder, and what went wrong; "": nothing."""
    program_version()
    options = ["-b"] if read_init else ["-n", "-b"]
    status, *texts = program_output([_program(), *options, deck.name], deck.parent, timeout, INSTALL)
    out, err = (
        [line.strip() for line in text.splitlines() if line.strip() and "Reference value" not in line] for text in texts
    )
    messages = faults([*err, *out])
    if status == 0 and not messages:
        return texts[0], ""
    said = " | ".join(line[:200] for line in dict.fromkeys([*messages[:4], *err[-4:], *out[-2:]]))
    ended = f"did not end within {timeout:g} s" if status is None else f"ended with status {status}"
    return "".join(texts), f"ngspice -b {deck} {ended}: {said or 'it said nothing'}"


def _program() -> str:
    program = shutil.which("ngspice")
    if program is None:
        raise MissingProgramError(f"the program ngspice is not installed; {INSTALL}")
    return program


def program_output(
    command: list[str],
    folder: Path,
    limit: float,
    install: str,
    begun: Callable[[Callable[[], None]], object] = lambda stop: None,
) -> tuple[int | None, str, str]:
    """Status, output and errors of a program that is run in a folder.

    The status is None if it had to be stopped: after `limit` seconds, or because it said too much.

    Parameters
    ----------
    install
        What a message says of how to install it.
    begun
        Called with a function that stops the program, and what it has started, at once.

    Raises
    ------
    MissingProgramError
        If it cannot be run.
    """
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise MissingProgramError(f"{command[0]} cannot be run ({error.strerror}); {install}") from None
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a script may have started others

    def read(stream: IO[bytes] | None) -> str:
        assert stream is not None
        content = stream.read(_LONGEST_OUTPUT)
        if len(content) == _LONGEST_OUTPUT:
            stop()
        return content.decode(errors="replace")

    timer = alarm(limit, stop)
    _running.add(stop)
    begun(stop)
    with process, ThreadPoolExecutor(2) as pool:
        try:
            out, err = pool.map(read, (process.stdout, process.stderr))
            process.wait()
        except BaseException:
            stop()
            raise
        finally:
            _running.discard(stop)
            timer.cancel()
    return None if stopped.is_set() else process.returncode, out, err


def stop_all() -> None:
    """Stop every program that runs in a folder, for a process that is about to end."""
    for stop in list(_running):
        stop()


def _keep_log(deck: Path, log: str) -> str:
    """Write what was said beside a deck, and how a message names the file; nothing if it cannot be written."""
    path = deck.with_suffix(".log")
    try:
        with at_once():
            write_text(path, log)
    except (InputError, RunError):
        return ""
    return f" (log {path})"
