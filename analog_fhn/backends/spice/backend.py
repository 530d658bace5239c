"""Backend `spice`: ngspice transients of every neuron at component level.

One small deck per neuron: a hundred op-amp neurons in one deck would share their time steps and cost 38 times more
than a hundred decks. A deck is loaded once and its drive current altered from image to image; every run begins at the
protocol's initial state, and gives the same values to the last bit as a freshly loaded deck, so results depend
neither on the number of worker processes nor on the order of the runs.
"""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import at_once, write_set
from analog_fhn._support.hashing import sha256
from analog_fhn._support.threads import usable_cores
from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.cell.base import Cell, Cells, CircuitCells
from analog_fhn.errors import InputError, RunError, SimulationError
from analog_fhn.netlist.chip_lines import SCORES
from analog_fhn.netlist.decks import MAX_STEP, RELTOL, cell_deck, components, neuron_deck
from analog_fhn.netlist.export import read_manifest
from analog_fhn.netlist.positions import ACTIVATIONS
from analog_fhn.netlist.vacask_run import DECK as VACASK_DECK
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.batch import run_batch
from analog_fhn.ngspice.process import SimulatorProcess, version
from analog_fhn.noise import Noise
from analog_fhn.vacask.process import run_deck

# Any single period may differ by this fraction, a rest value by this much in x, from a run with much tighter settings.
# With the default settings it is 1e-4; with ngspice's own reltol of 1e-3 at least 5e-3 (12 neurons, 4 chips).
SETTINGS_LIMIT = 2e-3
_checked: set[str] = set()


class FailedRunError(SimulationError):
    """A run of ngspice failed; its deck and log are kept.

    Parameters
    ----------
    message
        Names neuron, drive, fault and both files.
    deck, log
        The deck, which runs alone in `ngspice -b`, and what ngspice said.
    partial
        What had been simulated by then; NaN where nothing had.
    """

    def __init__(self, message: str, deck: Path, log: Path, partial: Response) -> None:
        super().__init__(message)
        self.deck = deck
        self.log = log
        self.partial = partial


@dataclass(frozen=True)
class Spice:
    """PySpice/ngspice at component level.

    Parameters
    ----------
    workers
        Number of worker processes; None: one per usable core.
    reltol
        Relative tolerance of ngspice.
    max_step
        Largest time step, in units of T.
    keep
        Folder for the deck and log of a failed run; None: a fresh temporary folder.
    check
        Whether `respond` first runs one neuron with these settings and with much tighter ones, and refuses to go on
        if they differ (once for some cells and their settings).

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

    def __post_init__(self) -> None:
        check_values(self.name, self.workers, self.reltol, self.max_step)

    @property
    def name(self) -> str:
        """Name on the command line and in result files."""
        return "spice"

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
            If the cells have no components.
        MissingProgramError
            If ngspice or PySpice is absent.
        FailedRunError
            If a run fails.
        SimulationError
            If the period of the first neuron depends on the settings.
        """
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        n_images, n_neurons = drives.shape
        mean, power = np.full(drives.shape, np.nan), np.full(drives.shape, np.nan)
        x = np.full((protocol.n_samples, *drives.shape), np.nan, dtype=np.float32) if samples else None
        # Also refuses cells without components before any process is started.
        circuit = components(cells)
        decks = [self._deck(cells, k, 0.0, protocol) for k in range(n_neurons)]
        n_workers = self.workers or usable_cores()
        total = drives.size
        if total == 0:
            return Response(mean, x, power)
        # Loading costs a fiftieth of a run, so short blocks spread the work evenly for little.
        length = int(np.clip(total // (4 * n_workers), 1, 16))
        blocks = [(k, i, min(i + length, n_images)) for k in range(n_neurons) for i in range(0, n_images, length)]
        with _Crew(min(n_workers, len(blocks)), blocks, decks, circuit, drives, protocol, samples) as crew:
            if self.check:
                self._check_sample(crew.simulators[0], cells, decks[0], protocol)
            crew.start()
            for done, result in enumerate(crew.results(total), start=1):
                if isinstance(result.fault, SimulationError):
                    raise self._failure(result, cells, drives, protocol, Response(mean, x, power)) from result.fault
                if result.fault is not None:
                    raise result.fault
                mean[result.image, result.neuron] = result.mean
                power[result.image, result.neuron] = result.power
                if x is not None:
                    x[:, result.image, result.neuron] = result.samples
                if progress is not None:
                    progress(done, total)
        return Response(mean, x, power)

    def check_settings(self, cells: Cells, neuron: int = 0, drive: float | None = None, control: float = 12.0) -> float:
        """Largest relative difference of a period between these settings and much tighter ones (reltol/10, half step).

        Single periods are compared: with coarse settings some are too long and some too short, and their mean may be
        right by chance.

        Parameters
        ----------
        neuron, drive
            Which neuron, under which drive; it must oscillate. None: the drive that puts its rest point at x = -1/2,
            where every neuron spikes. Near the onset of spikes, or at rest, a small difference of the settings tells
            either too much or nothing.
        control
            Length of the runs after 3 T, in units of T; made longer until there is a whole period.

        Raises
        ------
        ValueError
            If the neuron does not oscillate.
        """
        with SimulatorProcess() as simulator:
            return self._difference(simulator, cells, neuron, drive, Protocol(settle=3.0, control=control))

    def _difference(
        self, simulator: SimulatorProcess, cells: Cells, neuron: int, drive: float | None, protocol: Protocol
    ) -> float:
        def run(deck: str) -> dict[str, FloatArray]:
            simulator.load(deck)
            return simulator.run()

        return period_difference(run, cells, neuron, drive, protocol, self.reltol, self.max_step)

    def _check_sample(self, simulator: SimulatorProcess, cells: Cells, deck: str, protocol: Protocol) -> None:
        """Refuse settings with which the first neuron does not spike as it does with much tighter ones.

        Parameters
        ----------
        deck
            Of this neuron: its components and settings, by which the check is remembered.
        """

        def difference(brief: Protocol) -> float:
            try:
                return self._difference(simulator, cells, 0, None, brief)
            except SimulationError as fault:
                result, nothing = _Result(0, 0, fault=fault, log=simulator.log), np.zeros((1, 1))
                raise self._failure(result, cells, nothing, brief, Response(nothing * np.nan)) from fault

        refuse_coarse(self.name, self.reltol, self.max_step, deck, protocol, difference)

    def unchecked(self) -> Spice:
        """See `CircuitBackend.unchecked`."""
        return replace(self, check=False)

    def circuit(self, cells: Cells, protocol: Protocol) -> dict[str, str]:
        """See `analog_fhn.backends.base.CircuitBackend.circuit`."""
        return {"deck": sha256(self._deck(cells, 0, 1.0, protocol)), "ngspice": _version()}

    def _deck(self, cells: Cells, neuron: int, drive: float, protocol: Protocol, data_file: str | None = None) -> str:
        return neuron_deck(
            cells, neuron, drive, protocol, reltol=self.reltol, max_step=self.max_step, data_file=data_file
        )

    def _failure(
        self, result: _Result, cells: Cells, drives: FloatArray, protocol: Protocol, partial: Response
    ) -> FailedRunError:
        drive = float(drives[result.image, result.neuron])
        stem = f"neuron_{result.neuron:03d}_image_{result.image:05d}"
        deck = self._deck(cells, result.neuron, drive, protocol, data_file=f"{stem}.txt")
        what = f"neuron {result.neuron}, drive {drive:g}: {result.fault}"
        return failed_run(self.keep, stem, deck, f"{result.log}{result.fault}\n", what, partial)


@cache
def _version() -> str:
    return version()


def check_values(name: str, workers: int | None, reltol: float, max_step: float) -> None:
    """Refuse settings of a simulator of circuits that are out of range (InputError)."""
    if workers is not None and workers < 1:
        raise InputError(f"{name} workers = {workers}: expected at least 1")
    if not 0 < reltol < 1 or not 0 < max_step < np.inf:
        raise InputError(
            f"{name} reltol = {reltol}, max_step = {max_step}: reltol must lie between 0 and 1, "
            "max_step must be positive"
        )


def period_difference(
    run: Callable[[str], dict[str, FloatArray]],
    cells: Cells,
    neuron: int,
    drive: float | None,
    protocol: Protocol,
    reltol: float,
    max_step: float,
) -> float:
    """Largest relative difference of a period between these settings and much tighter ones; see `check_settings`.

    Parameters
    ----------
    run
        Makes a deck's waveforms, as `analog_fhn.ngspice.process.Simulator.run` returns them.

    Raises
    ------
    ValueError
        If the neuron does not oscillate.
    """
    cell = components(cells).cell
    drive = float(cells.dynamics.spiking_drive()[neuron]) if drive is None else drive
    for longer in (1.0, 4.0, 16.0):
        long = replace(protocol, control=longer * protocol.control)
        periods: list[FloatArray] = []
        for tolerance, step in ((reltol / 10, max_step / 2), (reltol, max_step)):
            waves = run(neuron_deck(cells, neuron, drive, long, reltol=tolerance, max_step=step))
            time, x = waves["time"] / cell.time_unit, waves["x"] / cell.volts_per_x
            up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0) & (time[:-1] >= protocol.settle))
            periods.append(np.diff(time[up] - x[up] * (time[up + 1] - time[up]) / (x[up + 1] - x[up])))
            if not periods[0].size:
                break
        else:
            n = min(len(p) for p in periods)
            return float(np.max(np.abs(periods[1][:n] / periods[0][:n] - 1.0))) if n else np.inf
    raise ValueError(f"neuron {neuron} does not oscillate at drive {drive}")


def refuse_coarse(
    name: str, reltol: float, max_step: float, deck: str, protocol: Protocol, difference: Callable[[Protocol], float]
) -> None:
    """Refuse settings with which a period differs too much from that with tighter ones; once for a deck.

    Parameters
    ----------
    name
        Of the simulator.
    deck
        Of the neuron that is compared: its components and settings, by which the check is remembered.
    protocol
        Its initial state is that of the runs.
    difference
        Relative difference of a period in runs of a protocol; ValueError if the neuron does not oscillate in them.

    Raises
    ------
    SimulationError
        If the difference is too large.
    """
    digest = sha256(deck)
    if digest in _checked:
        return
    try:
        found = difference(Protocol(settle=3.0, control=12.0, x0=protocol.x0, y0=protocol.y0))
    except ValueError:
        found = 0.0  # no spikes within 192 T: nothing to compare, and nothing to be refused for
    if found > SETTINGS_LIMIT:
        raise SimulationError(
            f"{name} reltol = {reltol:g}, max_step = {max_step:g} are too coarse: a period of neuron 0 "
            f"differs by {found:.2g} from that with a tenth of reltol and half the step; at most "
            f"{SETTINGS_LIMIT:g} is accepted"
        )
    _checked.add(digest)


def failed_run(
    keep: Path | None,
    stem: str,
    deck: str,
    log: str,
    what: str,
    partial: Response | None = None,
    suffix: str = ".cir",
) -> FailedRunError:
    """Keep deck and log of a failed run in a folder (None: a fresh one), and make the error that names both."""
    folder = keep or Path(tempfile.mkdtemp(prefix="analog-fhn-failed-"))
    paths = folder / f"{stem}{suffix}", folder / f"{stem}.log"
    evidence = f"deck {paths[0]}, log {paths[1]}"
    try:
        with at_once():
            write_set(folder, {paths[0].name: deck.encode("ascii"), paths[1].name: log.encode("utf-8")})
    except (InputError, RunError) as error:
        evidence = f"deck and log: {error}"
    nothing = Response(np.full((1, 1), np.nan))
    return FailedRunError(f"{what} ({evidence})", *paths, nothing if partial is None else partial)


@dataclass(frozen=True)
class _Result:
    """One run's outcome, or why there is none."""

    neuron: int
    image: int
    mean: float = np.nan
    power: float = np.nan
    samples: NDArray[np.float32] | None = None
    fault: BaseException | None = None
    log: str = ""


class _Crew:
    """Worker processes, each with a thread that feeds it blocks of runs (neuron, first image, end)."""

    def __init__(
        self,
        n_workers: int,
        blocks: list[tuple[int, int, int]],
        decks: list[str],
        cells: CircuitCells,
        drives: FloatArray,
        protocol: Protocol,
        samples: bool,
    ) -> None:
        self._blocks: queue.SimpleQueue[tuple[int, int, int]] = queue.SimpleQueue()
        for block in blocks:
            self._blocks.put(block)
        self._decks, self._cell, self._drives = decks, cells.cell, drives
        self._protocol, self._samples = protocol, samples
        self._done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.simulators: list[SimulatorProcess] = []
        self._threads: list[threading.Thread] = []
        self._n_workers = n_workers

    def __enter__(self) -> _Crew:
        try:
            self.simulators.extend(SimulatorProcess() for _ in range(self._n_workers))
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        """Let the workers begin; until then the simulators are the caller's."""
        for simulator in self.simulators:
            thread = threading.Thread(target=self._work, args=(simulator,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for simulator in self.simulators:
            simulator.kill()
        for thread in self._threads:
            thread.join()
        for simulator in self.simulators:
            simulator.close()

    def results(self, total: int) -> Iterator[_Result]:
        """The outcomes of all runs, as they come."""
        for _ in range(total):
            yield self._done.get()

    def _work(self, simulator: SimulatorProcess) -> None:
        with contextlib.suppress(queue.Empty):
            while not self._stopped.is_set():
                neuron, first, end = self._blocks.get_nowait()
                loaded = False
                for image in range(first, end):
                    try:
                        if not loaded:
                            simulator.load(self._decks[neuron])
                            loaded = True
                        self._done.put(self._run(simulator, neuron, image))
                    except BaseException as fault:
                        # Also programming mistakes: in a thread they would vanish, and the caller wait for ever.
                        if not self._stopped.is_set():
                            self._done.put(_Result(neuron, image, fault=fault, log=simulator.log))
                        return

    def _run(self, simulator: SimulatorProcess, neuron: int, image: int) -> _Result:
        cell, protocol = self._cell, self._protocol
        simulator.alter("idrive", cell.drive_current(float(self._drives[image, neuron])))
        return _Result(neuron, image, *neuron_answer(simulator.run(), cell, protocol, self._samples))


def neuron_answer(
    waves: dict[str, FloatArray], cell: Cell, protocol: Protocol, samples: bool
) -> tuple[float, float, NDArray[np.float32] | None]:
    """Mean of x and of the power (W) over the control window, and samples of x if wanted, of a neuron's waveforms."""
    time, x = waves["time"] / cell.time_unit, waves["x"] / cell.volts_per_x
    window = protocol.settle, protocol.settle + protocol.control
    sampled = np.interp(protocol.sample_times, time, x).astype(np.float32) if samples else None
    return window_mean(time, x, *window), window_mean(time, supply_power(waves, cell), *window), sampled


def cell_power(cells: Cells, z: FloatArray, protocol: Protocol) -> FloatArray:
    """Power (W) that each hidden cell draws from the supplies: drive stage, neuron and row stage, in ngspice.

    The mean over images, each from 5 T to 15 T after its start, which is a few periods of a neuron that spikes. Arrays
    and their amplifiers are not in it.

    Parameters
    ----------
    z
        Pre-activations, shape (n_images, n_neurons).
    protocol
        Its initial state is used.

    Returns
    -------
    ndarray
        Shape (n_neurons,).

    Raises
    ------
    InputError
        If the cells have no components.
    MissingProgramError
        If ngspice or PySpice is absent.
    SimulationError
        If a run fails.
    """
    if not len(z):
        raise InputError("power needs at least one image to be measured with")
    protocol = Protocol(settle=5.0, control=10.0, x0=protocol.x0, y0=protocol.y0)
    window = protocol.settle, protocol.settle + protocol.control
    decks = [cell_deck(cells, k, 0.0, protocol) for k in range(len(cells))]
    cell = components(cells).cell
    n_workers = min(usable_cores(), len(decks))
    power = np.empty(len(decks))

    def measure(simulator: SimulatorProcess, first: int) -> None:
        for k in range(first, len(decks), n_workers):
            powers: list[float] = []
            for value in z[:, k]:
                try:
                    if not powers:
                        simulator.load(decks[k])
                    simulator.alter("vz", float(value) * cell.volts_per_z)
                    waves = simulator.run()
                except SimulationError as fault:
                    stem = f"cell_{k:03d}"
                    deck = cell_deck(cells, k, float(value), protocol, data_file=f"{stem}.txt")
                    what = f"hidden cell {k}, z = {value:g}: {fault}"
                    raise failed_run(None, stem, deck, f"{simulator.log}{fault}\n", what) from fault
                powers.append(window_mean(waves["time"] / cell.time_unit, supply_power(waves, cell), *window))
            power[k] = np.mean(powers)

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(n_workers) as pool:
        simulators = [stack.enter_context(SimulatorProcess()) for _ in range(n_workers)]
        runs = [pool.submit(measure, simulator, first) for first, simulator in enumerate(simulators)]
        try:
            for run in runs:
                run.result()
        except BaseException:
            # Also Ctrl-C: the simulators ignore it, and the pool would wait for all of their runs.
            for simulator in simulators:
                simulator.kill()
            raise
    return power


def run_exported(
    folder: str | Path, timeout: float | None = None, simulator: Literal["ngspice", "vacask"] = "ngspice"
) -> FloatArray:
    """Run a network, or a patch at one position, that `analog_fhn.netlist.export.export` wrote.

    As `ngspice -b run.cir` does, or `vacask run_vacask.sim`.

    Parameters
    ----------
    folder
        Holds `run.cir`; gets `scores.txt`, or of one position `activations.txt`.
    timeout
        Seconds after which the run is stopped; None: a minute and 20 times what the folder's manifest expects, an hour
        if it does not say.
    simulator
        The program; VACASK runs whole chips in one circuit.

    Returns
    -------
    ndarray
        Scores, shape (n_classes,), in the units of the trained weights; of one position the activations that the
        channels of its convolutions hold, those of the first one first. ngspice writes six digits.

    Raises
    ------
    InputError
        If there is no `run.cir` or `run_vacask.sim` in the folder.
    MissingProgramError
        If there is no such program.
    SimulationError
        If the run fails, or leaves no finite score for every class.
    """
    folder = Path(folder)
    deck, manifest = folder / ("run.cir" if simulator == "ngspice" else VACASK_DECK), read_manifest(folder)
    if not deck.is_file():
        option = "" if simulator == "ngspice" else " --form full"
        raise InputError(f"{deck}: there is no such file; expected a folder written by 'analog-fhn export{option}'")
    at_position = manifest.get("writes") == ACTIVATIONS
    results = folder / (ACTIVATIONS if at_position else SCORES)
    results.unlink(missing_ok=True)
    timeout = longest_run(folder) if timeout is None else timeout
    if simulator == "ngspice":
        run_batch(deck, timeout)
    else:
        run_deck(deck, timeout, postprocess=True)
    text = results.read_text(encoding="ascii", errors="replace") if results.is_file() else "no such file"
    # Index and score; or, under a heading, layer, channel and activation.
    lines, width, what = text.splitlines(), 2, "score for every class"
    if at_position:
        lines, width, what = lines[1:], 3, "activation for every channel"
    try:
        table = np.array([[float(word) for word in line.split()] for line in lines])
        indices, values = table[:, 0], table[:, width - 1 :]
    except (ValueError, IndexError):
        raise SimulationError(f"{results} holds no {what.split()[0]}s: {text[:200]!r}") from None
    counted = at_position or indices.tolist() == list(range(len(values)))
    if not counted or values.shape[1] != 1 or not np.isfinite(values).all():
        raise SimulationError(f"{results}: expected one finite {what}, found {text[:200]!r}")
    return np.asarray(values[:, 0])


def longest_run(folder: Path) -> float:
    """Seconds after which the run of an exported network is stopped, by what its manifest expects."""
    expected = read_manifest(folder).get("expected_seconds")
    if isinstance(expected, int | float) and 0 <= expected < 1e15:
        return 60.0 + 20.0 * expected
    return 3600.0


def supply_power(waves: dict[str, FloatArray], cell: Cell) -> FloatArray:
    """Power (W) that a deck draws from its supplies at each time point, from their saved currents."""
    drawn = np.zeros_like(waves["time"])
    for name, volts in cell.supplies().items():
        drawn -= volts * waves[f"{name}#branch"]
    return drawn


def window_mean(time: FloatArray, x: FloatArray, start: float, stop: float) -> float:
    """Time average of a waveform with uneven steps: its trapezoid integral from `start` to `stop`, over the length.

    Parameters
    ----------
    time, x
        Shape (n,), time increasing; the window's edges need not be among the time points.
    """
    inside = (time > start) & (time < stop)
    edges = np.interp([start, stop], time, x)
    t = np.concatenate([[start], time[inside], [stop]])
    values = np.concatenate([edges[:1], x[inside], edges[1:]])
    return float(np.sum(np.diff(t) * (values[1:] + values[:-1])) / 2 / (stop - start))
