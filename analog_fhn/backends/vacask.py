"""Backend `vacask`: the transients of backend `spice`, in the simulator VACASK.

The decks are those for ngspice, translated. Each run is a process of its own: VACASK starts in 15 ms, and of several
runs in a process the last bits depend on their number.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analog_fhn._support.hashing import sha256
from analog_fhn._support.threads import usable_cores
from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.backends.spice.backend import (
    FailedRunError,
    check_values,
    failed_run,
    neuron_answer,
    period_difference,
    refuse_coarse,
)
from analog_fhn.cell.base import Cells
from analog_fhn.errors import SimulationError
from analog_fhn.netlist.decks import MAX_STEP, RELTOL, components, neuron_deck
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.vacask.process import Workspace, find_program, version
from analog_fhn.vacask.translate import Translation, translate

# Generous, as for ngspice: such decks take 0.1 ms a step.
_RUN_LIMIT, _STEP_LIMIT = 60.0, 0.01  # s


@dataclass(frozen=True)
class Vacask:
    """VACASK at component level.

    Parameters
    ----------
    workers
        Number of processes at once; None: one per usable core.
    reltol
        Relative tolerance of VACASK.
    max_step
        Largest time step, in units of T.
    keep
        Folder for the deck and log of a failed run; None: a fresh temporary folder.
    check
        Whether `respond` first runs one neuron with these settings and with much tighter ones, and refuses to go on
        if they differ (once for some cells and their settings).
    limit
        Seconds that a run may take; None: a minute and 10 ms a time step.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    workers: int | None = None
    reltol: float = RELTOL
    max_step: float = MAX_STEP
    keep: Path | None = None
    check: bool = True
    limit: float | None = None

    def __post_init__(self) -> None:
        check_values(self.name, self.workers, self.reltol, self.max_step)

    @property
    def name(self) -> str:
        """Name on the command line and in result files."""
        return "vacask"

    def unchecked(self) -> Vacask:
        """See `CircuitBackend.unchecked`."""
        return replace(self, check=False)

    def circuit(self, cells: Cells, protocol: Protocol) -> dict[str, str]:
        """See `analog_fhn.backends.base.CircuitBackend.circuit`."""
        return {"deck": sha256(self._translated(cells, 0, protocol).deck()), "vacask": version()}

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Simulate every neuron under every drive; see `Backend.respond`.

        Raises
        ------
        InputError
            If the cells have no components, or such as are not translated.
        MissingProgramError
            If VACASK is absent.
        FailedRunError
            If a run fails.
        SimulationError
            If the period of the first neuron depends on the settings.
        """
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        cell = components(cells).cell
        find_program()
        mean, power = np.full(drives.shape, np.nan), np.full(drives.shape, np.nan)
        x = np.full((protocol.n_samples, *drives.shape), np.nan, dtype=np.float32) if samples else None
        answer = Response(mean, x, power)
        if drives.size == 0:
            return answer
        n_workers = min(self.workers or usable_cores(), drives.size)
        with _Crew(n_workers) as crew:
            if self.check:
                self._check_sample(cells, protocol, crew)
            decks = [self._translated(cells, k, protocol) for k in range(drives.shape[1])]

            def run(image: int, neuron: int) -> None:
                try:
                    with crew.workspace() as place:
                        current = cell.drive_current(float(drives[image, neuron]))
                        waves = crew.run(place, decks[neuron], {"idrive": current}, self._longest(decks[neuron]))
                except SimulationError as fault:
                    raise self._failure(place.log, fault, cells, drives, (image, neuron), protocol, answer) from fault
                mean[image, neuron], power[image, neuron], sampled = neuron_answer(waves, cell, protocol, samples)
                if x is not None:
                    x[:, image, neuron] = sampled

            crew.work(run, [(i, k) for k in range(drives.shape[1]) for i in range(len(drives))], progress)
        return answer

    def check_settings(self, cells: Cells, neuron: int = 0, drive: float | None = None, control: float = 12.0) -> float:
        """Largest relative difference of a period between these settings and much tighter ones (reltol/10, half step).

        See `analog_fhn.backends.spice.backend.Spice.check_settings`.
        """
        protocol = Protocol(settle=3.0, control=control)
        with _Crew(1) as crew:
            return self._difference(cells, neuron, drive, protocol, crew)

    def _difference(self, cells: Cells, neuron: int, drive: float | None, protocol: Protocol, crew: _Crew) -> float:
        with crew.workspace() as place:

            def run(deck: str) -> dict[str, FloatArray]:
                translation = translate(deck)
                return crew.run(place, translation, {}, self._longest(translation))

            return period_difference(run, cells, neuron, drive, protocol, self.reltol, self.max_step)

    def _check_sample(self, cells: Cells, protocol: Protocol, crew: _Crew) -> None:
        """Refuse settings with which the first neuron does not spike as it does with much tighter ones."""

        def difference(brief: Protocol) -> float:
            try:
                return self._difference(cells, 0, None, brief, crew)
            except SimulationError as fault:
                nothing = np.zeros((1, 1))
                raise self._failure("", fault, cells, nothing, (0, 0), brief, Response(nothing * np.nan)) from fault

        deck = self._translated(cells, 0, protocol).deck()
        refuse_coarse(self.name, self.reltol, self.max_step, deck, protocol, difference)

    def _translated(self, cells: Cells, neuron: int, protocol: Protocol) -> Translation:
        return translate(neuron_deck(cells, neuron, 0.0, protocol, reltol=self.reltol, max_step=self.max_step))

    def _longest(self, deck: Translation) -> float:
        return _RUN_LIMIT + _STEP_LIMIT * deck.stop / deck.step if self.limit is None else self.limit

    def _failure(
        self,
        log: str,
        fault: SimulationError,
        cells: Cells,
        drives: FloatArray,
        place: tuple[int, int],
        protocol: Protocol,
        partial: Response,
    ) -> FailedRunError:
        """Error of a run of (image, neuron), whose deck and log are kept."""
        (image, neuron), drive = place, float(drives[place])
        deck = self._translated(cells, neuron, protocol)
        text = deck.deck({"idrive": components(cells).cell.drive_current(drive)})
        stem = f"neuron_{neuron:03d}_image_{image:05d}"
        what = f"neuron {neuron}, drive {drive:g}: {fault}"
        return failed_run(self.keep, stem, text, f"{log}{fault}\n", what, partial, suffix=".sim")


class _Crew:
    """Workspaces for so many runs at once, and the programs that run in them; a context manager that stops these."""

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._stack = contextlib.ExitStack()
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], None]] = {}
        self._stopped = threading.Event()

    def __enter__(self) -> _Crew:
        for _ in range(self._n_workers):
            self._free.put(self._stack.enter_context(Workspace()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """A workspace that no other run has."""
        place = self._free.get()
        try:
            yield place
        finally:
            self._free.put(place)

    def run(
        self, place: Workspace, deck: Translation, sources: Mapping[str, float], limit: float
    ) -> dict[str, FloatArray]:
        """Run a deck; see `Workspace.run`."""
        mine = threading.get_ident()

        def begun(stop: Callable[[], None]) -> None:
            with self._lock:
                self._stops[mine] = stop
            if self._stopped.is_set():
                stop()

        try:
            return place.run(deck, sources, limit, begun)
        finally:
            with self._lock:
                self._stops.pop(mine, None)

    def work(
        self,
        run: Callable[[int, int], None],
        jobs: Sequence[tuple[int, int]],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Do all jobs; after the first one that fails, or an interruption, the others are stopped."""
        with ThreadPoolExecutor(self._n_workers) as pool:
            futures = [pool.submit(run, *job) for job in jobs]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    if progress is not None:
                        progress(done, len(jobs))
            except BaseException:
                # Also Ctrl-C: the pool would wait for all of the runs.
                pool.shutdown(wait=False, cancel_futures=True)
                self._stopped.set()
                with self._lock:
                    stops = list(self._stops.values())
                for stop in stops:
                    stop()
                raise
