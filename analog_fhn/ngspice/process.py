"""The one place that talks to PySpice and ngspice.

`Simulator` drives libngspice within its own process, `SimulatorProcess` does the same in a fresh process. Use the
latter: an undefined parameter leaves the library unusable for the rest of a process's life.

PySpice 1.5 looks for faults in ngspice's standard output only, so that a netlist with an unknown subcircuit passes
and the *previous* circuit runs again; and it takes every line of standard error for a fault, so that harmless notes
stop a good run. Here only the loading of the library and the calls into it are PySpice's; what ngspice says is read
by `messages.faults`, and a run counts only if the circuit just loaded made it, to its end, with finite values.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import importlib.util
import itertools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TextIO

import numpy as np

from analog_fhn._support.temporary import temporary_folder
from analog_fhn._support.threads import alarm
from analog_fhn.errors import MissingProgramError, SimulationError
from analog_fhn.ngspice.messages import INSTALL, faults, version_in

if TYPE_CHECKING:
    from analog_fhn.neuron import FloatArray

# Generous: decks of a neuron or cell take 0.1 ms a step, other commands milliseconds, on a machine that is not busy.
_COMMAND_LIMIT = 60.0  # s
_STEP_LIMIT = 0.01  # s


def find_library() -> str:
    """Path or name of libngspice: NGSPICE_LIBRARY_PATH, else the system's library, else the usual folders.

    Raises
    ------
    MissingProgramError
        If there is none, or NGSPICE_LIBRARY_PATH names no file.
    """
    by_user = os.environ.get("NGSPICE_LIBRARY_PATH")
    if by_user:
        if not Path(by_user).is_file():
            raise MissingProgramError(f"NGSPICE_LIBRARY_PATH = {by_user}: there is no such file; {INSTALL}")
        return by_user
    by_system = ctypes.util.find_library("ngspice")
    if by_system:
        return by_system
    folders = ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
               "/opt/homebrew/lib")  # fmt: skip
    names = ("libngspice.so", "libngspice.so.0", "libngspice.dylib", "libngspice.0.dylib")
    for folder, name in itertools.product(folders, names):
        if (path := Path(folder, name)).is_file():
            return str(path)
    raise MissingProgramError(f"libngspice is not installed, or not where it is looked for; {INSTALL}")


def version() -> str:
    """Version of libngspice, for instance "39".

    Raises
    ------
    MissingProgramError
        If libngspice or PySpice is absent.
    """
    with SimulatorProcess() as simulator:
        return simulator.version()


def cube_is_odd() -> bool:
    """Whether `V(x)^3` keeps the sign of V(x) in this ngspice, found by running it (in version 39 it does not)."""
    deck = "cube\nVin in 0 -2\nEcube out 0 VALUE={v(in)^3}\nRload out 0 1e3\n.tran 1e-6 1e-5 0 1e-6 uic\n.end\n"
    with SimulatorProcess() as simulator:
        simulator.load(deck)
        return bool(simulator.run()["out"][-1] < 0)


class Simulator:
    """libngspice in this process; there can be only one, and after a `SimulationError` it must not be used again.

    Parameters
    ----------
    echo
        Gets what ngspice says as it says it.

    Raises
    ------
    MissingProgramError
        If libngspice or PySpice is absent.
    """

    _titles = itertools.count(1)

    def __init__(self, echo: TextIO | None = None) -> None:
        self._library = find_library()
        self._engine = _engine(self._library)
        self._engine.echo = echo
        self._loaded = False
        self._title = ""
        self._stop = 0.0
        self._log: list[str] = []

    @property
    def log(self) -> str:
        """Everything that ngspice has said since the last `load`."""
        return "".join(line + "\n" for line in self._log)

    def version(self) -> str:
        """Version of libngspice."""
        return version_in("\n".join(self._command("version -f")), self._library)

    def load(self, deck: str) -> None:
        """Load a deck in place of the one before.

        Parameters
        ----------
        deck
            Begins with a title line (it is replaced by a unique one) and has one `.tran` line whose stop time is a
            plain SI number.

        Raises
        ------
        SimulationError
            If ngspice finds a fault, or does not have this deck as its one circuit afterwards.
        """
        lines = deck.splitlines()
        self._log = []
        if self._loaded:
            self._command("remcirc")
            self._loaded = False
        _, self._stop = _transient(lines)
        self._title = f"deck {next(self._titles)}"
        self._check(self._engine.load([self._title, *lines[1:]]))
        circuits = self._command("setcirc")
        if [line.split("\t")[-1].strip() for line in circuits if line.startswith("Current")] != [self._title]:
            raise SimulationError("ngspice did not load the circuit: " + " | ".join(circuits))
        self._loaded = True

    def alter(self, element: str, value: float) -> None:
        """Set the value of a source, resistor or capacitor, for instance `alter("idrive", 1e-5)`.

        Raises
        ------
        SimulationError
            If there is no such element.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", element) or not np.isfinite(value):
            raise ValueError(f"cannot set {element!r} to {value!r}: expected an element's name and a finite number")
        self._command(f"alter {element.lower()} = {float(value)!r}")

    def run(self) -> dict[str, FloatArray]:
        """Run the transient analysis of the loaded deck, from its initial conditions.

        Returns
        -------
        dict
            `time` (s) and each saved voltage (V) or current (A), shape (n_points,), under its name in lower case.

        Raises
        ------
        SimulationError
            If nothing is loaded, ngspice reports a fault, the run ends before its stop time, a value is not finite,
            or another circuit than the one loaded has run.
        """
        if not self._loaded:
            raise SimulationError("no circuit is loaded")
        self._engine.run_title = None
        try:
            self._command("run")
            if self._engine.run_title != self._title:
                raise SimulationError(
                    f"ngspice ran {self._engine.run_title!r} instead of {self._title!r}, the circuit just loaded"
                )
            waves: dict[str, FloatArray] = self._engine.vectors()
        finally:
            with contextlib.suppress(SimulationError):
                self._command("destroy all")
        if "time" not in waves or not len(waves["time"]):
            raise SimulationError("the run has no time points")
        reached = waves["time"][-1]
        if reached < self._stop * (1 - 1e-9):
            raise SimulationError(f"the run stopped at {reached:g} s; it should have reached {self._stop:g} s")
        for name, wave in waves.items():
            if len(wave) != len(waves["time"]) or not np.isfinite(wave).all():
                raise SimulationError(f"waveform {name} is not finite at every time point")
        return waves

    def _command(self, command: str) -> list[str]:
        return self._check(self._engine.command(command))

    def _check(self, said: list[str]) -> list[str]:
        self._log += said
        messages = faults(said)
        if messages:
            raise SimulationError("ngspice: " + " | ".join(line[:200] for line in messages[:5]))
        return said


class SimulatorProcess:
    """A `Simulator` in a fresh process; a context manager.

    The process is an interpreter of its own that imports nothing of the caller's main module, so scripts need no
    `if __name__ == "__main__"`. It ignores Ctrl-C (whoever started it closes it) and reads no user's `.spiceinit`.
    After any exception it is closed.

    Raises
    ------
    MissingProgramError
        If libngspice or PySpice is absent.
    """

    def __init__(self) -> None:
        find_library()
        if importlib.util.find_spec("PySpice") is None:
            raise MissingProgramError(f"the Python package PySpice is not installed; {INSTALL}")
        self.log = ""
        # ngspice runs the .spiceinit of its working directory, or else that of the user's home.
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(temporary_folder("ngspice"))
        self._limit = 0.0
        self._expired = False
        (self._folder / ".spiceinit").write_text("set num_threads=1\n", encoding="ascii")
        path = [str(Path(entry or ".").resolve()) for entry in sys.path]
        with (self._folder / "stderr.txt").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOTSTRAP, json.dumps(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self._folder,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def version(self) -> str:
        """See `Simulator.version`."""
        return str(self._call("version"))

    def load(self, deck: str) -> None:
        """See `Simulator.load`."""
        self._call("load", deck)
        self._limit = _COMMAND_LIMIT + _STEP_LIMIT * steps(deck)

    def alter(self, element: str, value: float) -> None:
        """See `Simulator.alter`."""
        self._call("alter", element, value)

    def run(self) -> dict[str, FloatArray]:
        """See `Simulator.run`.

        Raises
        ------
        SimulationError
            Also if it does not end within 60 s and 10 ms a time step, a hundred times what small decks take.
        """
        waves: dict[str, FloatArray] = self._call("run", limit=self._limit)
        return waves

    def kill(self) -> None:
        """Stop the process at once, in whatever it does; `close` must still follow. Any thread may call this."""
        self._process.kill()

    def close(self) -> None:
        """Stop the process and remove its folder."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def _call(self, method: str, *arguments: object, limit: float | None = None) -> Any:
        limit = limit or _COMMAND_LIMIT
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if stdin.closed:
            raise SimulationError("this simulator process is closed; after a failed run a fresh one is needed")
        timer = alarm(limit, self._expire)
        try:
            pickle.dump((method, arguments), stdin)
            stdin.flush()
            answer, self.log = pickle.load(stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            status = self._process.wait()
            self.log = (self._folder / "stderr.txt").read_text(errors="replace")
            last = " ".join(self.log.strip().splitlines()[-1:])[:200]
            self.close()
            if self._expired:
                raise SimulationError(f"ngspice did not end '{method}' within {limit:g} s: {last}") from None
            raise SimulationError(f"the ngspice process ended with status {status}: {last}") from None
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        if isinstance(answer, BaseException):
            self.close()
            raise answer
        return answer


_BOOTSTRAP = (
    "import json, sys; path = json.loads(sys.argv[1]); sys.path[:] = path + [p for p in sys.path if p not in path]; "
    "from analog_fhn.ngspice.process import _serve; _serve()"
)


def _serve() -> None:
    """What a `SimulatorProcess` runs: answers calls from standard input until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    calls: BinaryIO = sys.stdin.buffer
    # ngspice may print; its output must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    simulator: Simulator | None = None
    while True:
        try:
            method, arguments = pickle.load(calls)
        except EOFError:
            return
        answer: object
        try:
            simulator = simulator or Simulator(echo=sys.stderr)
            answer = getattr(simulator, method)(*arguments)
        except (SimulationError, MissingProgramError, ValueError) as error:
            answer = error
        except Exception:
            answer = RuntimeError("in the ngspice process: " + traceback.format_exc())
        try:
            pickle.dump((answer, simulator.log if simulator else ""), answers)
            answers.flush()
        except BrokenPipeError:
            return


def _end_with(parent: int) -> None:
    """End this process soon after its parent was killed, also in the middle of a run."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def steps(deck: str) -> float:
    """Number of time steps of a deck's transient, if none is shorter than the first number of its `.tran` line."""
    step, stop = _transient(deck.splitlines())
    return stop / step


def _transient(lines: list[str]) -> tuple[float, float]:
    """Time step and stop time (s)."""
    for line in lines[1:]:
        words = line.split()
        if words and words[0].lower() == ".tran":
            return float(words[1]), float(words[2])
    raise ValueError("the deck has no .tran line")


@functools.cache
def _engine(library: str) -> Any:
    """PySpice's binding of libngspice, with its reading of messages replaced; one per process."""
    import logging

    try:
        from PySpice.Spice.NgSpice import Shared
    except ImportError as error:
        raise MissingProgramError(f"the Python package PySpice cannot be imported ({error}); {INSTALL}") from None
    logging.getLogger(Shared.__name__).setLevel(logging.CRITICAL)

    class Engine(Shared.NgSpiceShared):  # type: ignore[misc]
        LIBRARY_PATH = library.replace("{", "{{").replace("}", "}}")

        def __init__(self) -> None:
            self.said: list[str] = []
            self.run_title: str | None = None
            self.echo: TextIO | None = None
            super().__init__()

        @staticmethod
        def _send_char(message: Any, _ngspice_id: int, user_data: Any) -> int:
            self = Shared.ffi.from_handle(user_data)
            stream, _, text = Shared.ffi.string(message).decode(errors="replace").partition(" ")
            # PySpice reads the version, and joins outputs, from these two lists.
            (self._stderr if stream == "stderr" else self._stdout).append(text)
            self.said.append(text)
            if self.echo is not None:
                print(text, file=self.echo, flush=True)
            return 0

        @staticmethod
        def _send_stat(_message: Any, _ngspice_id: int, _user_data: Any) -> int:
            return 0

        def send_init_data(self, data: Any, _ngspice_id: int) -> int:
            self.run_title = Shared.ffi.string(data.title).decode(errors="replace")
            return 0

        def load(self, lines: list[str]) -> list[str]:
            self.said = []
            try:
                self.load_circuit("\n".join(lines))
            except NameError as error:
                self.said.append(f"Error: {error}")
            return self.said

        def command(self, text: str) -> list[str]:
            self.said = []
            try:
                self.exec_command(text)
            except NameError as error:
                self.said.append(f"Error: {error}")
            return self.said

        def vectors(self) -> dict[str, FloatArray]:
            plot = self.plot(None, self.last_plot)
            return {str(name).lower(): np.array(vector._data, dtype=np.float64) for name, vector in plot.items()}

    try:
        return Engine()
    except (OSError, AttributeError) as error:  # no library, or another one
        raise MissingProgramError(f"libngspice cannot be loaded from {library} ({error}); {INSTALL}") from None
