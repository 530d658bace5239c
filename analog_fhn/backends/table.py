"""Response tables: what every neuron of a chip does at a grid of drives, measured once, then interpolated.

Hidden neurons are independent and see a constant drive, so a neuron's whole effect on the network is a function of
one number. An inner backend is run at a grid of drives per neuron; 10 000 images then cost an interpolation each, at
the level of whatever made the table (op-amps in ngspice, for instance). Nothing in a table comes from the identity
``<x> = -(a + I)``: it only serves to say how far the table is from it.

What is approximate:

- The mean is over whole periods, or at rest of the settled end of a run; a control window of finite length cuts a
  period at both ends. `TableQuality.window_rms` and `window_largest` state by how much the two differ.
- Between two drives the mean, the period, and the waveform over phase are interpolated linearly. The errors at
  drives between those of the grid are measured, and stated in `TableQuality`.
- Samples repeat the settled cycle; the start-up transient is not in the table. Errors of the period add up, so the
  phases of the neurons relative to each other drift away from those of a direct simulation. The share of time in
  which a class leads (the vote) is equal statistically; single samples are not.
- Beside the onset of spikes lies a range of drives, about eps/8 wide, where x oscillates without crossing zero. Such
  cycles are kept like spikes, cut where x crosses its own mean. Their size follows a root of the drive's distance
  from the onset, and settles slowly there: the samples' size is less exact than the mean. Swings below 0.01 count as
  rest: mean over whole cycles, samples that are this mean.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from analog_fhn.backends import ngspice
from analog_fhn.backends.base import Backend, Response, SimulationError, check_drives, refuse_noise
from analog_fhn.backends.spice import Spice
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.netlist import neuron_deck
from analog_fhn.circuit.noise import Noise
from analog_fhn.errors import InputError
from analog_fhn.network import read_npz
from analog_fhn.neuron import FloatArray, Protocol

FORMAT = 2
MIN_DRIVES = 5

_WAVE = 128  # phase points per branch
_SAMPLE_BYTES = 100e6  # memory for the samples of one call of the inner backend
_SETTLED = 2e-4  # error of a resting neuron's mean (units of x) below which it counts as settled
_MAX_DOUBLINGS = 6
_DRIFT_DOUBLINGS = 3  # as many more for cycles that still grow or decay
_RIPPLE = 0.01  # swing of x below which a neuron rests
_WINDOW_TIME = 100.0  # simulated time (T) per neuron of the checks against the user's control window
_KEPT = 4  # tables kept in memory
# Of a technology, what a neuron's response to a drive does not depend on; the range of drives is in the key by itself.
_UNINVOLVED = {"name", "source", "tanh_pair", "row_driver", "array"}
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

_REST, _SPIKING, _UNSETTLED, _UNDECIDED, _SWINGING, _DRIFTING = 0, 1, 2, 3, 4, 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableQuality:
    """What a table's numbers are worth, measured with the backend that made it.

    Parameters
    ----------
    n_drives
        Drives of the grid per neuron, those near the onset of spikes not counted.
    n_runs
        Runs of the inner backend that the table itself took, over all neurons.
    n_checks
        Runs at drives between those of the grid, spread over cells and neurons.
    rms, largest
        Interpolation error of the mean of x there.
    period_rms, period_largest
        Relative interpolation error of the period there, over the neurons that spike.
    identity_deviation
        Largest deviation of the table's means from the identity ``-(q0 + q3 I)/q1``.
    n_window
        Runs with the settling time and control window asked for.
    window_rms, window_largest
        Difference between their mean and the table's.
    """

    n_drives: int
    n_runs: int
    n_checks: int
    rms: float
    largest: float
    period_rms: float
    period_largest: float
    identity_deviation: float
    n_window: int
    window_rms: float
    window_largest: float


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """The table of one chip. Rows of fewer than `n_nodes` drives are filled up with their last one.

    Parameters
    ----------
    drives
        Shape (n_neurons, n_nodes), increasing up to each neuron's count.
    counts
        Shape (n_neurons,), number of drives of each neuron.
    regime
        Shape (n_neurons, n_nodes): 0 where the neuron rests, 1 where it spikes, 4 where x oscillates without crossing
        zero; its mean takes the place of zero then.
    mean
        Time average of x, shape (n_neurons, n_nodes); the rest point where the neuron rests.
    period, rise, duty
        Shape (n_neurons, n_nodes): period (T), time of a rising zero crossing of x carried back towards the start by
        whole periods (T), share of the period that x spends above zero. 0 at rest.
    wave
        x over phase, shape (n_neurons, n_nodes, 2, n_phase): from the rising to the falling crossing, and on to the
        next rising one; phase points lie densest at both ends, where the jumps are.
    power
        Mean supply power (W), shape (n_neurons, n_nodes), or None.
    quality
        Measured errors.
    """

    drives: FloatArray
    counts: NDArray[np.int32]
    regime: NDArray[np.int8]
    mean: FloatArray
    period: FloatArray
    rise: FloatArray
    duty: FloatArray
    wave: NDArray[np.float32]
    power: FloatArray | None
    quality: TableQuality

    def respond(self, drives: FloatArray, protocol: Protocol, samples: bool = False) -> Response:
        """Interpolated response, as `Backend.respond`.

        Parameters
        ----------
        drives
            Shape (n_images, n_neurons).
        protocol
            Only its sample times are used.

        Raises
        ------
        InputError
            If a drive lies outside the table.
        """
        drives = np.asarray(drives, dtype=np.float64)
        self._check_range(drives)
        cells, weights = _locate(drives, self.drives, self.counts)
        power = None if self.power is None else _linear(self.power, cells, weights)
        x = None
        if samples:
            x = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32)
            _fill(
                cells, weights, self.regime, self.mean, self.period, self.rise, self.duty, self.wave,
                protocol.settle, protocol.interval, x,
            )  # fmt: skip
        return Response(_linear(self.mean, cells, weights), x, power)

    def period_at(self, drives: FloatArray) -> FloatArray:
        """Interpolated period (T), shape (n_images, n_neurons); 0 where a neuron rests."""
        cells, weights = _locate(drives, self.drives, self.counts)
        neurons = np.arange(cells.shape[1])
        same = self.regime[neurons, cells] == self.regime[neurons, cells + 1]
        return _linear(self.period, cells, np.where(same, weights, np.round(weights)))

    def _check_range(self, drives: FloatArray) -> None:
        low, high = self.drives[:, 0], self.drives[:, -1]
        outside = (drives < low) | (drives > high)
        if outside.any():
            image, neuron = (int(i) for i in np.argwhere(outside)[0])
            raise InputError(
                f"drive {drives[image, neuron]:g} of neuron {neuron} (image {image}) lies outside its response table, "
                f"which reaches from {low[neuron]:g} to {high[neuron]:g}"
            )

    def save(self, path: Path, meta: dict[str, Any]) -> None:
        """Write the table and what decided it; the file appears whole or not at all."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        text = json.dumps(meta | {"quality": asdict(self.quality)})
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, meta=np.array(text), **arrays)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path, key: str) -> ResponseTable:
        """Read a table.

        Raises
        ------
        InputError
            If the file is missing or damaged, or its key is another one.
        """
        arrays = read_npz(path, "response table")
        try:
            meta = json.loads(str(arrays.pop("meta")))
            if meta["key"] != key:
                raise InputError(f"{path}: belongs to another chip or other settings (key {meta['key']})")
            quality = TableQuality(**meta["quality"])
            table = cls(**{name: arrays.get(name) for name in _ARRAYS}, quality=quality)  # type: ignore[arg-type]
            if not table._is_whole():
                raise InputError(f"{path}: is no response table (values or shapes do not fit together)")
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: is no response table ({error})") from None
        return table

    def _is_whole(self) -> bool:
        """Whether all arrays fit together: compiled code does not check its indices."""
        shape = self.drives.shape
        rows = (self.regime, self.mean, self.period, self.rise, self.duty)
        return bool(
            len(shape) == 2
            and shape[1] >= 2
            and all(array.shape == shape for array in rows)
            and self.wave.shape[:3] == (*shape, 2)
            and self.wave.ndim == 4
            and (self.power is None or self.power.shape == shape)
            and self.counts.shape == shape[:1]
            and np.all((self.counts >= 2) & (self.counts <= shape[1]))
            and all(np.isfinite(array).all() for array in (self.drives, self.wave, *rows))
        )


_ARRAYS = ("drives", "counts", "regime", "mean", "period", "rise", "duty", "wave", "power")


@dataclass(frozen=True)
class Table:
    """A backend made of another one: it characterises every neuron at `n` drives and interpolates.

    Each neuron's grid is spread evenly over the drives that the chip can produce. In a cell whose ends differ in
    regime (rest, spikes, or oscillations between them), the onset is bisected with the inner backend; those runs stay
    in the table, so the grid is densest where the period changes fastest. All times are in units of T.

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
    _made: dict[str, ResponseTable] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n < MIN_DRIVES:
            raise InputError(f"table of {self.n} drives: expected at least {MIN_DRIVES}")
        if not (0 <= self.settle < np.inf and 0 < self.control < np.inf):
            raise InputError(
                f"table settle = {self.settle}, control = {self.control}: settle must not be negative, control must "
                "be positive"
            )
        if self.bisections < 1 or self.checks < 1:
            raise InputError(f"table bisections = {self.bisections}, checks = {self.checks}: expected at least 1")

    @property
    def name(self) -> str:
        """Name in result files."""
        return f"{self.inner.name} table of {self.n}"

    def respond(
        self,
        chip: Chip,
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
        drives = check_drives(chip, drives)
        response = self.make(chip, protocol).respond(drives, protocol, samples)
        if progress is not None:
            progress(drives.size, drives.size)
        return response

    def quality(self, chip: Chip, protocol: Protocol) -> TableQuality:
        """Measured errors of the chip's table, which is made if there is none yet."""
        return self.make(chip, protocol).quality

    def make(self, chip: Chip, protocol: Protocol, progress: Callable[[int, int], None] | None = None) -> ResponseTable:
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
        decided_by = self._decided_by(chip, protocol)
        key = _hash(decided_by)
        if key in self._made:
            return self._made[key]
        path = None if self.folder is None else self.folder / f"{key}.npz"
        table = None
        if path is not None and path.exists():
            try:
                table = ResponseTable.load(path, key)
            except InputError as error:
                _log.warning("%s; the table is made again", error)
        if table is None:
            table = _Maker(self, chip, protocol, progress).table()
            if path is not None:
                try:
                    table.save(path, decided_by | {"key": key, "versions": _versions()})
                except OSError as error:
                    _log.warning("%s: the response table cannot be stored (%s)", path, error.strerror or error)
        while len(self._made) >= _KEPT:
            del self._made[next(iter(self._made))]
        self._made[key] = table
        return table

    def key(self, chip: Chip, protocol: Protocol) -> str:
        """SHA-256 of everything that decides the table; the name of its file."""
        return _hash(self._decided_by(chip, protocol))

    def _decided_by(self, chip: Chip, protocol: Protocol) -> dict[str, Any]:
        digest = hashlib.sha256()
        parts = [] if chip.parts is None else chip.parts.items()
        ranges = zip(("low", "high"), grid_range(chip), strict=True)
        named = [("p", chip.coefficients.p), ("q", chip.coefficients.q), *parts, *ranges]
        for name, values in named:
            digest.update(f"{name}{values.shape}{values.dtype.str}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("inner", "folder", "_made")}
        return {
            "format": FORMAT,
            "chip": digest.hexdigest(),
            "eps": chip.coefficients.eps,
            "scales": None if chip.scales is None else asdict(chip.scales),
            "technology": None if chip.technology is None else chip.technology.model_dump_json(exclude=_UNINVOLVED),
            "protocol": asdict(protocol),
            "table": own,
            "backend": self.inner.name,
            "settings": _settings(self.inner),
            "program": version("analog-fhn"),
            "simulator": _simulator(self.inner, chip, protocol),
        }


def grid_range(chip: Chip) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest drive that each neuron's table covers: what the chip can produce, and a hundredth more."""
    low, high = chip.drive_range()
    margin = 0.005 * (high - low) + 1e-9
    return low - margin, high + margin


def _simulator(backend: Backend, chip: Chip, protocol: Protocol) -> dict[str, str] | None:
    """What decides besides the chip's numbers where ngspice simulates: the text of the circuit, and its version."""
    if not isinstance(backend, Spice):
        return None
    deck = neuron_deck(chip, 0, 1.0, protocol, reltol=backend.reltol, max_step=backend.max_step)
    return {"deck": hashlib.sha256(deck.encode()).hexdigest(), "ngspice": _ngspice_version()}


@cache
def _ngspice_version() -> str:
    return ngspice.version()


def _settings(backend: Backend) -> str:
    """Settings of a backend that change its results: not its workers, its checks, nor the folder of its failures."""
    if not is_dataclass(backend):
        return repr(backend)
    deciding = [f.name for f in fields(backend) if f.compare and f.name not in ("workers", "keep", "check")]
    values = {name: getattr(backend, name) for name in deciding}
    return f"{type(backend).__name__} {values!r}"


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "numba")}


# --- making a table -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Points:
    """What was found at a list of (neuron, drive); all fields have the same first axis."""

    neuron: NDArray[np.intp]
    drive: FloatArray
    status: NDArray[np.int8]
    mean: FloatArray
    period: FloatArray
    rise: FloatArray
    duty: FloatArray
    power: FloatArray
    wave: NDArray[np.float32]

    def __getitem__(self, index: Any) -> _Points:
        return _Points(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def joined(parts: list[_Points]) -> _Points:
        return _Points(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(_Points)))

    def put(self, index: NDArray[np.intp], other: _Points) -> None:
        for f in fields(self):
            getattr(self, f.name)[index] = getattr(other, f.name)

    @property
    def regime(self) -> NDArray[np.int8]:
        """Status of points that may still have to settle: 0, 1 or 4."""
        return np.where((self.status == _SPIKING) | (self.status == _SWINGING), self.status, np.int8(_REST))

    def accept_drift(self) -> None:
        """Take cycles that still grow or decay as they are, and as rest where little of them is left."""
        drifting = self.status == _DRIFTING
        small = drifting & (np.ptp(self.wave.reshape(len(self.wave), -1), axis=1) < _RIPPLE)
        self.status[drifting] = _SWINGING
        self.status[small] = _REST
        for values in (self.period, self.rise, self.duty, self.wave):
            values[small] = 0.0

    def neighbours(self) -> tuple[_Points, _Points]:
        """Pairs of points of one neuron, each the next one up from the other."""
        points = self[np.lexsort((self.drive, self.neuron))]
        same = points.neuron[:-1] == points.neuron[1:]
        return points[:-1][same], points[1:][same]


class _Maker:
    """Makes one table."""

    def __init__(
        self, table: Table, chip: Chip, protocol: Protocol, progress: Callable[[int, int], None] | None
    ) -> None:
        self._settings, self._chip, self._protocol, self._progress = table, chip, protocol, progress
        self._runs = 0
        self._expected = chip.n_neurons * (table.n + table.bisections + table.checks)

    def table(self) -> ResponseTable:
        n, n_neurons = self._settings.n, self._chip.n_neurons
        low, high = grid_range(self._chip)
        grid = np.linspace(low, high, n)
        everyone = np.arange(n_neurons)
        points = self._measure(everyone, grid)
        points = _Points.joined([points, *self._between_rests(points)])
        near = self._onset_checks(points)
        points = self._with_onsets(points, (grid[1] - grid[0]) / 2**self._settings.bisections)
        n_points = len(points.drive)
        between = self._check_drives(grid)
        checks = [self._measure(everyone, between)]
        if near.drive.size:
            checks.append(self._measure(near.neuron, near.drive[None]))
        points = _Points.joined([points, *checks])
        self._settle(points)
        points, found = points[:n_points], points[n_points:]
        n_checks = len(found.drive)
        quality = TableQuality(n, self._runs - n_checks, n_checks, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)
        table = _pack(points, n_neurons, quality)
        return replace(table, quality=self._judge(table, points, found))

    def _check_drives(self, grid: FloatArray) -> FloatArray:
        """Drives (checks, n_neurons) between those of the grid.

        Cells are dealt out so that all checks together cover all of them; within a cell away from both ends, where a
        linear interpolation errs most.
        """
        n, checks = self._settings.n, self._settings.checks
        k, i = np.arange(self._chip.n_neurons), np.arange(checks)[:, None]
        cell = np.minimum(((i + (k * _GOLDEN) % 1.0) / checks * (n - 1)).astype(np.intp), n - 2)
        place = 0.3 + 0.4 * ((i * len(k) + k + 0.5) * _GOLDEN % 1.0)
        return np.asarray(grid[cell, k] + place * (grid[cell + 1, k] - grid[cell, k]))

    def _onset_checks(self, points: _Points) -> _Pairs:
        """Two drives in each cell whose ends differ in regime, one in either half of it."""
        a, b = points.neighbours()
        edge = a.regime != b.regime
        a, b = a[edge], b[edge]
        place = 0.1 + 0.3 * (np.arange(2 * len(a.drive)).reshape(2, -1) * _GOLDEN % 1.0) + [[0.0], [0.5]]
        return _Pairs(np.tile(a.neuron, 2), (a.drive + place * (b.drive - a.drive)).ravel())

    def _between_rests(self, points: _Points) -> list[_Points]:
        """Rest on either side of zero: there are spikes between, in a cell wider than their range of drives."""
        a, b = points.neighbours()
        jump = (a.regime != _SPIKING) & (b.regime != _SPIKING) & (a.mean * b.mean < 0)
        if not jump.any():
            return []
        a, b = a[jump], b[jump]
        middle = a.drive + (b.drive - a.drive) * a.mean / (a.mean - b.mean)
        return [self._measure(a.neuron, middle[None])]

    def _with_onsets(self, points: _Points, widths: FloatArray) -> _Points:
        """Bisect cells whose ends differ in regime until none is wider than its neuron's `widths`."""
        for _ in range(self._settings.bisections):
            a, b = points.neighbours()
            edge = (a.regime != b.regime) & (b.drive - a.drive > 1.01 * widths[a.neuron])
            if not edge.any():
                break
            middle = 0.5 * (a.drive + b.drive)[edge]
            points = _Points.joined([points, self._measure(a.neuron[edge], middle[None])])
        return points

    def _judge(self, table: ResponseTable, points: _Points, found: _Points) -> TableQuality:
        mean, period = _look_up(table, _Pairs(found.neuron, found.drive))
        error = mean - found.mean
        both = (found.period > 0) & (period > 0)
        relative = period[both] / found.period[both] - 1.0
        identity = points.mean - _identity(self._chip, points)

        window = self._window_drives(table)
        single = self._respond(window.neuron, window.drive[None], self._protocol, samples=False).mean[0]
        difference = single - _look_up(table, window)[0]
        return TableQuality(
            self._settings.n, table.quality.n_runs, len(error), _rms(error), _largest(error), _rms(relative),
            _largest(relative), _largest(identity), len(window.drive), _rms(difference), _largest(difference),
        )  # fmt: skip

    def _window_drives(self, table: ResponseTable) -> _Pairs:
        n_neurons = self._chip.n_neurons
        length = self._protocol.settle + self._protocol.control
        number = int(np.clip(_WINDOW_TIME * n_neurons / length, 8, 64))
        i = np.arange(number)
        neuron = i * n_neurons // number if number <= n_neurons else i % n_neurons
        place = (i + 0.5) * _GOLDEN % 1.0
        low, high = table.drives[neuron, 0], table.drives[neuron, -1]
        return _Pairs(neuron, low + place * (high - low))

    def _measure(self, neurons: NDArray[np.intp], drives: FloatArray) -> _Points:
        """Characterise `neurons` (m,) at `drives` (k, m); points in the order of drives.ravel(), some unsettled."""
        whole = self._settings.settle + self._settings.control
        points = self._points(neurons, drives, self._settings.settle, self._settings.control)
        for doubling in range(1, _MAX_DOUBLINGS + 1):
            if doubling > _DRIFT_DOUBLINGS:
                points.accept_drift()
            unclear = np.flatnonzero((points.status == _UNDECIDED) | (points.status == _DRIFTING))
            if not unclear.size:
                return points
            half = whole * 2**doubling / 2
            points.put(unclear, self._points(points.neuron[unclear], points.drive[unclear][None], half, half))
        points.accept_drift()
        unclear = np.flatnonzero(points.status == _UNDECIDED)
        if unclear.size:
            first = unclear[0]
            raise SimulationError(
                f"{self._settings.name}: neuron {points.neuron[first]} at drive {points.drive[first]:g} neither rests "
                f"nor spikes regularly within {whole * 2**_MAX_DOUBLINGS:g} T"
            )
        return points

    def _settle(self, points: _Points) -> None:
        """Give neurons that creep towards their rest point more time, in the end as much as the user does."""
        control = self._settings.control
        whole = self._settings.settle + control
        while True:
            creeping = np.flatnonzero(points.status == _UNSETTLED)
            if not creeping.size:
                return
            whole *= 2
            if whole >= self._protocol.settle + self._protocol.control:
                self._as_the_user_sees(points, creeping)
                return
            neurons, drives = points.neuron[creeping], points.drive[creeping]
            again = self._points(neurons, drives[None], whole - control, control)
            again.status[again.status == _UNDECIDED] = _UNSETTLED
            again.accept_drift()
            points.put(creeping, again)

    def _as_the_user_sees(self, points: _Points, index: NDArray[np.intp]) -> None:
        response = self._respond(points.neuron[index], points.drive[index][None], self._protocol, samples=False)
        points.mean[index] = response.mean[0]
        if response.power is not None:
            points.power[index] = response.power[0]
        points.status[index] = _REST

    def _points(self, neurons: NDArray[np.intp], drives: FloatArray, settle: float, control: float) -> _Points:
        # A spike's jump takes about 2 eps; half of eps resolves it.
        interval = control / math.ceil(control / (0.5 * self._chip.coefficients.eps) * (1.0 - 1e-9))
        settle = math.ceil(settle / interval * (1.0 - 1e-9)) * interval
        protocol = replace(self._protocol, settle=settle, control=control, interval=interval)
        columns = max(1, int(_SAMPLE_BYTES / (4 * protocol.n_samples)))
        rows = max(1, columns // len(neurons))
        found = []
        for first in range(0, len(drives), rows):
            for left in range(0, len(neurons), columns):
                part = drives[first : first + rows, left : left + columns]
                who = neurons[left : left + columns]
                response = self._respond(who, part, protocol, samples=True)
                assert response.samples is not None
                status, mean, period, rise, duty, wave = _analyse(
                    response.samples.reshape(protocol.n_samples, -1),
                    settle + interval,
                    interval,
                    _WAVE,
                    _SETTLED,
                    _RIPPLE,
                )
                power = np.full(part.size, np.nan) if response.power is None else response.power.ravel()
                found.append(
                    _Points(np.tile(who, len(part)), part.ravel(), status, mean, period, rise, duty, power, wave)
                )
        return _Points.joined(found)

    def _respond(self, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool) -> Response:
        chip = self._chip
        whole = np.array_equal(neurons, np.arange(chip.n_neurons))
        before = self._runs

        def advance(done: int, _total: int) -> None:
            if self._progress is not None:
                self._progress(before + done, max(self._expected, before + done))

        try:
            response = self._settings.inner.respond(
                chip if whole else chip.only(neurons), drives, protocol, samples=samples, progress=advance
            )
        except SimulationError as error:
            if whole:
                raise
            raise SimulationError(
                f"{self._settings.name}: {error} (here 0, 1, ... stand for neurons {', '.join(map(str, neurons))} of "
                "the chip)"
            ) from error
        self._runs += drives.size
        return response


@dataclass(frozen=True, eq=False)
class _Pairs:
    """A list of (neuron, drive), both of shape (n,)."""

    neuron: NDArray[np.intp]
    drive: FloatArray


def _look_up(table: ResponseTable, pairs: _Pairs) -> tuple[FloatArray, FloatArray]:
    """Mean and period at a list of (neuron, drive)."""
    names = ("drives", "counts", "regime", "mean", "period")
    rows = replace(table, **{name: getattr(table, name)[pairs.neuron] for name in names})
    cells, weights = _locate(pairs.drive[None], rows.drives, rows.counts)
    return _linear(rows.mean, cells, weights)[0], rows.period_at(pairs.drive[None])[0]


def _identity(chip: Chip, points: _Points) -> FloatArray:
    return np.asarray(chip.coefficients[points.neuron].identity_mean(points.drive))


def _rms(error: FloatArray) -> float:
    return float(np.sqrt(np.mean(error**2))) if error.size else 0.0


def _largest(error: FloatArray) -> float:
    return float(np.max(np.abs(error))) if error.size else 0.0


def _pack(points: _Points, n_neurons: int, quality: TableQuality) -> ResponseTable:
    """Sort points by neuron and drive into rows of equal length."""
    points = points[np.lexsort((points.drive, points.neuron))]
    counts = np.bincount(points.neuron, minlength=n_neurons)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    column = np.minimum(np.arange(counts.max()), counts[:, None] - 1)
    index = starts[:, None] + column
    rows = points[index]
    power = None if np.isnan(points.power).any() else rows.power
    return ResponseTable(
        rows.drive, counts.astype(np.int32), rows.regime, rows.mean, rows.period,
        _unwrapped(rows.regime, rows.rise, rows.period), rows.duty, rows.wave, power, quality,
    )  # fmt: skip


def _unwrapped(regime: NDArray[np.int8], rise: FloatArray, period: FloatArray) -> FloatArray:
    """Rising crossings carried back by as many periods at one drive as at the next.

    Two neighbouring drives may show their first crossing after the settling time one period apart. Back at the start
    neighbours differ by little, so the nearest of the possible crossings is the one that belongs.
    """
    result = np.zeros_like(rise)
    for neuron, row in enumerate(regime):
        before: float | None = None
        for node in range(len(row)):
            if node and row[node] != row[node - 1]:
                before = None
            if row[node] == _REST:
                continue
            time, length = rise[neuron, node], period[neuron, node]
            start = time % length
            if before is not None:
                start += round((before - start) / length) * length
            result[neuron, node] = before = start
    return result


# --- compiled parts -------------------------------------------------------------------------------------------


def _linear(values: FloatArray, cells: NDArray[np.int32], weights: FloatArray) -> FloatArray:
    neurons = np.arange(cells.shape[1])
    one, other = values[neurons, cells], values[neurons, cells + 1]
    return np.asarray(one + weights * (other - one))


@njit(parallel=True, cache=True)
def _locate(drives, nodes, counts):  # type: ignore[no-untyped-def]
    """Cell of each drive, and its place in it from 0 to 1."""
    n_images, n_neurons = drives.shape
    cells = np.empty((n_images, n_neurons), dtype=np.int32)
    weights = np.empty((n_images, n_neurons))
    for image in prange(n_images):
        for neuron in range(n_neurons):
            drive = drives[image, neuron]
            low, high = 0, counts[neuron] - 1
            while high - low > 1:
                middle = (low + high) // 2
                if nodes[neuron, middle] <= drive:
                    low = middle
                else:
                    high = middle
            width = nodes[neuron, high] - nodes[neuron, low]
            cells[image, neuron] = low
            weights[image, neuron] = (drive - nodes[neuron, low]) / width if width > 0 else 0.0
    return cells, weights


# Phase points u = 2 s^2 up to the middle of a branch and its mirror image beyond, s even: densest at both jumps.
@njit(inline="always")
def _spread(s):  # type: ignore[no-untyped-def]
    return 2.0 * s * s if s < 0.5 else 1.0 - 2.0 * (1.0 - s) * (1.0 - s)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def _fill(  # type: ignore[no-untyped-def]
    cells, weights, regime, mean, period, rise, duty, wave, settle, interval, out
):
    n_samples, n_images, n_neurons = out.shape
    n_phase = wave.shape[3]
    half, one32 = np.float32(0.5), np.float32(1.0)
    top = np.float32(n_phase - 1)
    for image in prange(n_images):
        curve = np.empty(n_neurons * 2 * n_phase, dtype=np.float32)
        phase = np.zeros(n_neurons)
        speed = np.zeros(n_neurons)
        up = np.full(n_neurons, np.float32(0.5))
        per_up = np.full(n_neurons, np.float32(2.0))
        per_down = np.full(n_neurons, np.float32(2.0))
        for k in range(n_neurons):
            cell, w = cells[image, k], weights[image, k]
            one, other = cell, cell + 1
            if regime[k, one] != regime[k, other]:
                one = other = cell if w < 0.5 else cell + 1
            first = k * 2 * n_phase
            if regime[k, one] != 0:
                length = period[k, one] + w * (period[k, other] - period[k, one])
                start = rise[k, one] + w * (rise[k, other] - rise[k, one])
                phase[k] = (settle + interval - start) / length
                phase[k] -= math.floor(phase[k])
                speed[k] = interval / length
                speed[k] -= math.floor(speed[k])
                share = duty[k, one] + w * (duty[k, other] - duty[k, one])
                up[k] = share
                per_up[k] = 1.0 / share
                per_down[k] = 1.0 / (1.0 - share)
                single = np.float32(w)
                for branch in range(2):
                    for i in range(n_phase):
                        left = wave[k, one, branch, i]
                        curve[first + branch * n_phase + i] = left + single * (wave[k, other, branch, i] - left)
            else:
                curve[first : first + 2 * n_phase] = np.float32(mean[k, one] + w * (mean[k, other] - mean[k, one]))
        for sample in range(n_samples):
            # Written without branches, so that it runs on several neurons at a time.
            for k in range(n_neurons):
                angle = np.float32(phase[k])
                after = phase[k] + speed[k]
                phase[k] = after - 1.0 if after >= 1.0 else after
                high = angle < up[k]
                u = angle * per_up[k] if high else (angle - up[k]) * per_down[k]
                nearer = max(min(u, one32 - u), np.float32(0.0))
                root = np.sqrt(half * nearer)
                place = (root if u < half else one32 - root) * top
                point = min(np.int32(place), np.int32(n_phase - 2))
                at = np.int32(2 * n_phase) * np.int32(k) + (np.int32(0) if high else np.int32(n_phase)) + point
                left = curve[at]
                out[sample, image, k] = left + (place - np.float32(point)) * (curve[at + 1] - left)


@njit(inline="always")
def _cubic(x, i, s):  # type: ignore[no-untyped-def]
    """Value between samples i and i + 1, at s from 0 to 1: the cubic through four samples."""
    i = min(max(i, 1), x.size - 3)
    return (
        -s * (s - 1.0) * (s - 2.0) / 6.0 * x[i - 1]
        + (s + 1.0) * (s - 1.0) * (s - 2.0) / 2.0 * x[i]
        - (s + 1.0) * s * (s - 2.0) / 2.0 * x[i + 1]
        + (s + 1.0) * s * (s - 1.0) / 6.0 * x[i + 2]
    )


@njit(cache=True)
def _crossing(x, i):  # type: ignore[no-untyped-def]
    """Place from 0 to 1 between samples i and i + 1, which differ in sign, where x crosses zero."""
    low, high = 0.0, 1.0
    rising = x[i] < 0.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if (_cubic(x, i, middle) < 0.0) == rising:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True)
def _smooth_mean(x, first, end):  # type: ignore[no-untyped-def]
    """Mean of x[first:end] under a Hann window, which suppresses an oscillation that is cut at the ends."""
    total, weight = 0.0, 0.0
    for i in range(first, end):
        w = 1.0 - math.cos(2.0 * math.pi * (i - first + 0.5) / (end - first))
        total += w * x[i]
        weight += w
    return total / weight


@njit(cache=True)
def _area(x, i, s, j, t):  # type: ignore[no-untyped-def]
    """Integral of x, in units of the interval, from the zero crossing at i + s to the one at j + t."""
    total = (1.0 - s) / 6.0 * (4.0 * _cubic(x, i, 0.5 * (1.0 + s)) + x[i + 1])
    for k in range(i + 1, j):
        total += 0.5 * (x[k] + x[k + 1])
    return total + t / 6.0 * (x[j] + 4.0 * _cubic(x, j, 0.5 * t))


@njit(cache=True)
def _crossings(x):  # type: ignore[no-untyped-def]
    """Zero crossings of x: number of rises, the first, last but one and last of them, the fall between, the latest."""
    n_rises, first, before, last, fall, falling, latest = 0, 0, 0, 0, 0, 0, 0
    for i in range(1, x.size - 2):
        if x[i] < 0.0 and x[i + 1] >= 0.0:
            if n_rises == 0:
                first = i
            before, last, fall = last, i, falling
            n_rises += 1
            latest = i
        elif x[i] >= 0.0 and x[i + 1] < 0.0:
            falling = i
            latest = i
    return n_rises, first, before, last, fall, latest


@njit(cache=True)
def _cycles(x, n_rises, first, before, last, fall, wave):  # type: ignore[no-untyped-def]
    """Period in samples, first rise, mean and duty of whole cycles between zero crossings; fills the waveform."""
    n_phase = wave.shape[1]
    s_first, s_before = _crossing(x, first), _crossing(x, before)
    s_fall, s_last = _crossing(x, fall), _crossing(x, last)
    length = (last + s_last - first - s_first) / (n_rises - 1)
    mean = _area(x, first, s_first, last, s_last) / (length * (n_rises - 1))
    edges = (before + s_before, fall + s_fall, last + s_last)
    for branch in range(2):
        a, c = edges[branch], edges[branch + 1]
        for i in range(1, n_phase - 1):
            place = a + _spread(i / (n_phase - 1)) * (c - a)
            wave[branch, i] = _cubic(x, int(place), place - int(place))
    return length, first + s_first, mean, (edges[1] - edges[0]) / (edges[2] - edges[0])


@njit(cache=True)
def _swing(x, first, end):  # type: ignore[no-untyped-def]
    return x[first:end].max() - x[first:end].min()


@njit(parallel=True, cache=True)
def _analyse(samples, start, interval, n_phase, tolerance, ripple):  # type: ignore[no-untyped-def]
    """Regime, mean, period and waveform of every column of samples (n_samples, n_traces); times are in T."""
    n_samples, n_traces = samples.shape
    block = 16
    status = np.zeros(n_traces, dtype=np.int8)
    mean = np.zeros(n_traces)
    period = np.zeros(n_traces)
    rise = np.zeros(n_traces)
    duty = np.zeros(n_traces)
    wave = np.zeros((n_traces, 2, n_phase), dtype=np.float32)
    for b in prange((n_traces + block - 1) // block):
        left = b * block
        width = min(block, n_traces - left)
        columns = np.empty((block, n_samples))
        for i in range(n_samples):
            for k in range(width):
                columns[k, i] = samples[i, left + k]
        for k in range(width):
            x = columns[k]
            trace = left + k
            n_rises, first, before, last, fall, latest = _crossings(x)
            if n_rises >= 3 and n_samples - last < 1.5 * (last - before):
                status[trace] = 1
                length, begin, mean[trace], duty[trace] = _cycles(x, n_rises, first, before, last, fall, wave[trace])
                period[trace] = length * interval
                rise[trace] = start + begin * interval
                continue
            if latest > n_samples // 2:
                status[trace] = 3
                continue

            q = n_samples // 4
            if _swing(x, 2 * q, n_samples) > 2.0 * tolerance:
                level = _smooth_mean(x, 2 * q, n_samples)
                around = x - level
                n_rises, first, before, last, fall, latest = _crossings(around)
                if n_rises >= 3 and n_samples - last < 1.5 * (last - before):
                    after = first + 1
                    while not (around[after] < 0.0 and around[after + 1] >= 0.0):
                        after += 1
                    early, late = _swing(x, first, after + 1), _swing(x, before, last + 1)
                    drifts = abs(early - late) > 0.05 * late + 0.5 * ripple
                    length, begin, shift, share = _cycles(around, n_rises, first, before, last, fall, wave[trace])
                    mean[trace] = level + shift
                    if late > ripple or drifts:
                        status[trace] = 5 if drifts else 4
                        period[trace] = length * interval
                        rise[trace] = start + begin * interval
                        duty[trace] = share
                        wave[trace] += np.float32(level)
                    else:
                        wave[trace] = np.float32(0.0)
                    continue
                if n_rises >= 2 and latest > n_samples - q and _swing(x, 3 * q, n_samples) > ripple:
                    status[trace] = 3
                    continue

            one = _smooth_mean(x, q, 2 * q)
            two = _smooth_mean(x, 2 * q, 3 * q)
            three = _smooth_mean(x, 3 * q, 4 * q)
            mean[trace] = three
            # What is left of an exponential approach after its last two steps.
            step, earlier = abs(three - two), abs(two - one)
            ratio = min(step / earlier, 0.99) if earlier > 0.0 else 0.0
            if step > 1e-6 and step * ratio / (1.0 - ratio) > tolerance:
                status[trace] = 2
    return status, mean, period, rise, duty, wave
