"""A backend made of another one: every neuron of a chip is measured once at a grid of drives, then interpolated.

Hidden neurons are independent and see a constant drive, so a neuron's whole effect on the network is a function of
one number. An inner backend is run at a grid of drives per neuron; 10 000 images then cost an interpolation each, at
the level of whatever made the table (op-amps in ngspice, for instance). What is approximate is said where it arises,
in `build`, `waveforms` and `means`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from analog_fhn import __version__
from analog_fhn._support.files import at_once
from analog_fhn._support.hashing import labelled, sha256, sha256_of_json
from analog_fhn.backends.base import (
    CIRCUIT_BACKENDS,
    Backend,
    CircuitBackend,
    Response,
    check_drives,
    refuse_noise,
)
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.tuning import TUNED_FORMAT, Tuning, kept_tuning
from analog_fhn.backends.table.build import Maker, TablePlan, grid_range, largest, rms, window_checks
from analog_fhn.backends.table.means import WINDOW_DRIVES, MeanTable, averages_window, make_mean_table, settled
from analog_fhn.backends.table.waveforms import FORMAT, ResponseTable, TableQuality
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.errors import InputError, RunError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.readout import Readout

T = TypeVar("T")

MIN_DRIVES = 5

_EQUATION_DRIVES = 33  # of tables that tuned equations fill
_WINDOW_TIME = 20.0  # simulated time (T) per neuron in ngspice of the checks against the user's control window

_KEPT = 8  # tables kept in memory; a chip has one for each hidden layer
# Of a technology, what a neuron's response to a drive does not depend on; the range of drives is in the key by itself.
_UNINVOLVED = {
    "name", "source", "tanh_pair", "rectifier", "row_driver", "low_pass", "hold", "sense_amplifier", "array", "dac",
    "adc", "classes",
}  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """A backend made of another one: it characterises every neuron at `n` drives and interpolates.

    Each neuron's grid is spread evenly over the drives that the chip can produce. In a cell whose ends differ in
    regime (rest, spikes, or oscillations between them), the onset is bisected with the inner backend; those runs stay
    in the table, so the grid is densest where the period changes fastest. All times are in units of T.

    Of ngspice as the inner backend a few short runs are asked at each of the `n` drives, which tune each neuron's
    equations to its circuit (`analog_fhn.backends.spice.tuning`); these fill the table, at 33 drives or more.

    Parameters
    ----------
    inner
        The backend that characterises.
    n
        Drives per neuron, at least 5.
    folder
        Where tables are stored and found again; None: only in memory. One that cannot be read or stored is a
        warning.
    settle, control
        Of the characterising runs. Runs that this does not suffice for are repeated with twice the time; a neuron
        that still creeps towards its rest point when the user's own protocol is as long gets the mean of that.
    bisections
        Runs per onset; each is known to a cell's width over two to this power.
    checks
        Runs per neuron, between the drives of the grid, that measure the interpolation error. Two more are made in
        each cell with an onset, where the error is largest.
    average
        What means are over: "settled", one cycle or the rest point, or "window", the protocol's control window from its
        initial state. "auto" is the window where equations fill the table and neurons are given by curves, if it is
        shorter than 100 T (`analog_fhn.backends.table.means.averages_window`), else settled.
    tuned
        Whether that is so; else ngspice makes all runs of the table, which takes eight times as long.
    window_drives
        Drives per neuron of a table of window means, or `n` if that is more: they go up and down with the drive. Such
        tables are not stored. Waveforms that are asked for beside them are settled ones all the same.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    inner: Backend
    n: int = 33
    folder: Path | None = None
    settle: float = 20.0
    control: float = 20.0
    bisections: int = 6
    checks: int = 8
    average: Literal["auto", "settled", "window"] = "auto"
    window_drives: int = WINDOW_DRIVES
    tuned: bool = True
    _tunings: dict[str, Tuning] = field(default_factory=dict, init=False, repr=False, compare=False)
    _made: dict[str, ResponseTable] = field(default_factory=dict, init=False, repr=False, compare=False)
    _means: dict[str, MeanTable] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n < MIN_DRIVES:
            raise InputError(f"table of {self.n} drives: expected at least {MIN_DRIVES}")
        if not (0 <= self.settle < np.inf and 0 < self.control < np.inf):
            raise InputError(
                f"table settle = {self.settle}, control = {self.control}: settle must not be negative, control must "
                "be positive"
            )
        if self.average not in ("auto", "settled", "window"):
            raise InputError(f"table average = {self.average!r}: expected 'auto', 'settled' or 'window'")
        if self.window_drives < MIN_DRIVES:
            raise InputError(f"table window_drives = {self.window_drives}: expected at least {MIN_DRIVES}")
        if self.bisections < 1 or self.checks < 1:
            raise InputError(f"table bisections = {self.bisections}, checks = {self.checks}: expected at least 1")

    @property
    def name(self) -> str:
        """Name in result files."""
        return f"{self.inner.name} table of {self.n}"

    def averages_window(self, cells: Cells, protocol: Protocol) -> bool:
        """Whether the means of these cells are those over the protocol's control window; see `average`."""
        if self.average == "auto":
            return self._by_equations and averages_window(cells.dynamics, protocol)
        return self.average == "window"

    def means_serve(self, cells: Cells, protocol: Protocol) -> bool:
        """Whether a table of means alone is made where no waveforms are asked for.

        By equations, if none is to be kept; and always of window means, which no waveform tells.
        """
        kept = self.folder is not None and isinstance(self.inner, Direct)
        return (self._by_equations and not kept) or self.averages_window(cells, protocol)

    @property
    def _tunes(self) -> bool:
        return self.tuned and isinstance(self.inner, CircuitBackend)

    @property
    def _by_equations(self) -> bool:
        """Whether equations fill the table: runs cost little."""
        return self._tunes or isinstance(self.inner, Direct)

    @property
    def _plan(self) -> TablePlan:
        return TablePlan(self.n, self.settle, self.control, self.bisections, self.checks)

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
        """Interpolate in the chip's table, which is made if there is none yet; see `Backend.respond`.

        Raises
        ------
        InputError
            If noise is asked for, or a drive lies outside the table.
        """
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        response = None
        if samples or not self.means_serve(cells, protocol):
            response = self.make(cells, protocol).respond(drives, protocol, samples)
        if response is None or self.averages_window(cells, protocol):
            key = self.key(cells, protocol)
            if key not in self._means:
                _keep(self._means, key, self.means(cells, protocol, window=False))
            mean = self._means[key].look_up(drives)
            response = Response(mean) if response is None else replace(response, mean=mean)
        if progress is not None:
            progress(drives.size, drives.size)
        return response

    def means(
        self,
        cells: Cells,
        protocol: Protocol,
        *,
        window: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> MeanTable:
        """The chip's table of means alone, which equations make in a few milliseconds; of the kind that `average` says.

        Parameters
        ----------
        protocol, progress
            As for `make`.
        window
            Whether it is compared with the protocol's control window; that takes longer than the table.

        Raises
        ------
        InputError
            If the inner backend is not `direct` or ngspice, and the means are settled ones.
        SimulationError
            If ngspice fails.
        """
        ends = grid_range(cells)
        if self._tunes:
            return self._tuned_means(cells, protocol, window, progress)
        if self.averages_window(cells, protocol):
            n = max(self.n, self.window_drives)
            return make_mean_table(self.inner, cells, protocol, n, ends, window=window, average="window")
        if not isinstance(self.inner, Direct):
            raise InputError(f"{self.name}: only direct makes tables of means alone")
        return make_mean_table(self.inner, cells, protocol, self.n, ends, window=window)

    def _tuned_means(
        self, cells: Cells, protocol: Protocol, window: bool, progress: Callable[[int, int], None] | None
    ) -> MeanTable:
        tuning, ends = self._tuning(cells, protocol, progress), grid_range(cells)
        whole = self.averages_window(cells, protocol)
        n = max(self.n, self.window_drives if whole else _EQUATION_DRIVES)
        made = make_mean_table(
            tuning.equations, cells, protocol, n, ends, window=False, average="window" if whole else "settled"
        )
        against = self._against_windows(cells, protocol, lambda who, at: made.only(who).look_up(at)) if window else None
        error = made.look_up(tuning.checks) - self._tuned_at_checks(tuning, cells, protocol, whole)
        return replace(made, quality=self._tuned_quality(made.quality, tuning, error, against))

    def _tuned_at_checks(self, tuning: Tuning, cells: Cells, protocol: Protocol, whole: bool) -> FloatArray:
        """Means by tuned equations, without a table between, at the drives where they were compared with circuits."""
        if whole:
            return tuning.equations.respond(cells, tuning.checks, protocol).mean
        return settled(tuning.equations, cells, tuning.checks, protocol)

    def _tuning(self, cells: Cells, protocol: Protocol, progress: Callable[[int, int], None] | None = None) -> Tuning:
        """Tuned equations of the chip: from memory, from the folder, or by ngspice."""
        assert isinstance(self.inner, CircuitBackend)
        decided_by = self._decided_by(cells, protocol) | {"tuned": TUNED_FORMAT}
        key = sha256_of_json(decided_by)
        if key not in self._tunings:
            path = None if self.folder is None else self.folder / f"tuned-{key}.npz"
            _keep(
                self._tunings, key, kept_tuning(path, self.inner, cells, grid_range(cells), protocol, self.n, progress)
            )
        return self._tunings[key]

    def _against_windows(
        self, cells: Cells, protocol: Protocol, look_up: Callable[[NDArray[np.intp], FloatArray], FloatArray]
    ) -> FloatArray:
        """Means over the protocol's control window in ngspice, less those of a table, at some neurons and drives."""
        who, drive = window_checks(cells, protocol, _WINDOW_TIME, least=4)
        assert isinstance(self.inner, CircuitBackend)
        response = self.inner.unchecked().respond(cells[who], drive[None], protocol)
        return np.asarray(response.mean - look_up(who, drive[None]))

    def _tuned_quality(
        self, made: TableQuality, tuning: Tuning, between: FloatArray, against: FloatArray | None
    ) -> TableQuality:
        """Quality of a table of tuned equations, measured in ngspice.

        Parameters
        ----------
        between
            What the table's interpolation adds to the equations' errors where these were measured.
        against
            See `_against_windows`; None: not measured.
        """
        errors, periods = (tuning.errors + between).ravel(), tuning.period_errors
        against = np.zeros(0) if against is None else against
        return TableQuality(
            self.n, tuning.runs, len(errors), rms(errors), largest(errors), rms(periods), largest(periods),
            made.identity_deviation, against.size, rms(against), largest(against),
        )  # fmt: skip

    def quality(self, cells: Cells, protocol: Protocol) -> TableQuality:
        """Measured errors of the chip's table with its waveforms, which is made if there is none yet."""
        return self.make(cells, protocol).quality

    def make(
        self, cells: Cells, protocol: Protocol, progress: Callable[[int, int], None] | None = None
    ) -> ResponseTable:
        """The chip's table: from memory, from the folder, or made by the inner backend.

        Parameters
        ----------
        protocol
            Initial state, and the settling time and control window that the table is compared with.
        progress
            Called with (runs done, runs in all); the latter is an estimate.

        Raises
        ------
        SimulationError
            If the inner backend fails, or a neuron neither rests nor spikes regularly.
        """
        decided_by = self._decided_by(cells, protocol)
        key = sha256_of_json(decided_by)
        if key in self._made:
            return self._made[key]
        path = None if self.folder is None or self._tunes else self.folder / f"{key}.npz"
        table = self._tuned_table(cells, protocol, progress) if self._tunes else None
        if path is not None and path.exists():
            try:
                table = ResponseTable.load(path, key, grid_range(cells))
            except InputError as error:
                _log.warning("%s; the table is made again", error)
        if table is None:
            table = Maker(self.name, self.inner, self._plan, cells, protocol, progress).table()
            if path is not None:
                try:
                    with at_once():  # results do not need it
                        table.save(path, decided_by | {"key": key, "versions": _versions()})
                except (InputError, RunError) as error:
                    _log.warning("the response table cannot be stored: %s", error)
        _keep(self._made, key, table)
        return table

    def _tuned_table(
        self, cells: Cells, protocol: Protocol, progress: Callable[[int, int], None] | None
    ) -> ResponseTable:
        tuning = self._tuning(cells, protocol, progress)
        plan = replace(self._plan, n=max(self.n, _EQUATION_DRIVES), checks=1)
        made = Maker(self.name, tuning.equations, plan, cells, protocol, None).table()
        against = self._against_windows(cells, protocol, lambda who, at: made.look_up(who, at[0])[0][None])
        mean = made.look_up(np.tile(np.arange(len(cells)), len(tuning.checks)), tuning.checks.ravel())[0]
        error = mean.reshape(tuning.checks.shape) - self._tuned_at_checks(tuning, cells, protocol, whole=False)
        return replace(made, quality=self._tuned_quality(made.quality, tuning, error, against))

    def key(self, cells: Cells, protocol: Protocol) -> str:
        """SHA-256 of everything that decides the table; the name of its file."""
        return sha256_of_json(self._decided_by(cells, protocol))

    def _decided_by(self, cells: Cells, protocol: Protocol) -> dict[str, Any]:
        circuit = cells if isinstance(cells, CircuitCells) else None
        parts = [] if circuit is None else circuit.parts[0].items()
        ranges = zip(("low", "high"), grid_range(cells), strict=True)
        named = [*cells.dynamics.arrays().items(), *parts, *ranges]
        return {
            "format": FORMAT,
            "chip": sha256(*(part for name, values in named for part in labelled(name, values))),
            "eps": cells.dynamics.eps,
            "cell": None if circuit is None else [circuit.cell.NAME, circuit.cell.time_unit, circuit.cell.volts_per_x],
            "technology": None if circuit is None else circuit.cell.technology.model_dump_json(exclude=_UNINVOLVED),
            "protocol": asdict(protocol),
            "table": asdict(self._plan),
            "backend": self.inner.name,
            "settings": _settings(self.inner),
            "program": __version__,
            "simulator": self.inner.circuit(cells, protocol) if isinstance(self.inner, CircuitBackend) else None,
        }


def default_drives(backend: str, readout: Readout) -> int:
    """Drives per neuron of a table where nothing else is said: a mean by `direct` needs few.

    That of a settled neuron does; of means over a short window see `Table.window_drives`. In ngspice it is at these
    drives that equations are tuned.
    """
    return 9 if backend in CIRCUIT_BACKENDS or (backend, readout) == ("direct", "mean") else 33


def _keep(tables: dict[str, T], key: str, table: T) -> None:
    """Add a table to those in memory, the oldest of which makes room."""
    while len(tables) >= _KEPT:
        del tables[next(iter(tables))]
    tables[key] = table


def _settings(backend: Backend) -> str:
    """Settings of a backend that change its results: not its workers, its checks, nor the folder of its failures."""
    if not is_dataclass(backend):
        return repr(backend)
    deciding = [f.name for f in fields(backend) if f.compare and f.name not in ("workers", "keep", "check")]
    values = {name: getattr(backend, name) for name in deciding}
    return f"{type(backend).__name__} {values!r}"


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "numba")}
