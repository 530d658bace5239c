"""Making a response table: a backend is run at drives of every neuron, and its runs are read.

Nothing in a table comes from the identity ``<x> = -(a + I)``: it only serves to say how far the table is from it.

- The mean is over whole periods, or at rest of the settled end of a run; a control window of finite length cuts a
  period at both ends. `TableQuality.window_rms` and `window_largest` state by how much the two differ.
- Beside the onset of spikes lies a range of drives, about eps/8 wide, where x oscillates without crossing zero. Such
  cycles are kept like spikes, cut where x crosses its own mean. Their size follows a root of the drive's distance
  from the onset, and settles slowly there: the samples' size is less exact than the mean. Swings below 0.01 count as
  rest: mean over whole cycles, samples that are this mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn.backends.base import Backend, Response, backend_of
from analog_fhn.backends.table.waveforms import ResponseTable, TableQuality
from analog_fhn.cell.base import Cells
from analog_fhn.errors import SimulationError
from analog_fhn.neuron import FloatArray, Protocol

_WAVE = 128  # phase points per branch
_SAMPLE_BYTES = 100e6  # memory for the samples of one call of the inner backend
_SETTLED = 2e-4  # error of a resting neuron's mean (units of x) below which it counts as settled
_MAX_DOUBLINGS = 6
_DRIFT_DOUBLINGS = 3  # as many more for cycles that still grow or decay
_RIPPLE = 0.01  # swing of x below which a neuron rests
_WINDOW_TIME = 100.0  # simulated time (T) per neuron of the checks against the user's control window
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

_REST, _SPIKING, _UNSETTLED, _UNDECIDED, _SWINGING, _DRIFTING = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True)
class TablePlan:
    """Which runs a table is made of; the fields are those of `Table`."""

    n: int
    settle: float
    control: float
    bisections: int
    checks: int


def grid_range(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest drive that each neuron's table covers: what the chip can produce, and a hundredth more."""
    low, high = cells.drive_stage.range()
    margin = 0.005 * (high - low) + 1e-9
    return low - margin, high + margin


def window_checks(
    cells: Cells, protocol: Protocol, time: float = _WINDOW_TIME, *, least: int = 8
) -> tuple[NDArray[np.intp], FloatArray]:
    """Neurons and drives, each of shape (m,), at which a table is compared with the user's control window.

    Parameters
    ----------
    time
        Simulated time (T) per neuron, at most.
    least
        Number of checks all the same.
    """
    n_neurons = len(cells)
    number = int(np.clip(time * n_neurons / (protocol.settle + protocol.control), least, 64))
    i = np.arange(number)
    neuron = i * n_neurons // number if number <= n_neurons else i % n_neurons
    place = (i + 0.5) * _GOLDEN % 1.0
    low, high = (edge[neuron] for edge in grid_range(cells))
    return neuron, low + place * (high - low)


@dataclass(frozen=True, eq=False)
class _Points:
    """What runs at a list of (neuron, drive) showed; all fields have the same first axis."""

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


class Maker:
    """Makes one table; `name` is that of the backend it is for, in messages."""

    def __init__(
        self,
        name: str,
        inner: Backend,
        plan: TablePlan,
        cells: Cells,
        protocol: Protocol,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._name, self._inner, self._plan = name, inner, plan
        self._cells, self._protocol, self._progress = cells, protocol, progress
        self._runs = 0
        self._expected = len(cells) * (plan.n + plan.bisections + plan.checks)

    def table(self) -> ResponseTable:
        """Run the inner backend and return the table, with its errors measured."""
        n, n_neurons = self._plan.n, len(self._cells)
        low, high = grid_range(self._cells)
        grid = np.linspace(low, high, n)
        everyone = np.arange(n_neurons)
        points = self._measure(everyone, grid)
        points = _Points.joined([points, *self._between_rests(points)])
        near = self._onset_checks(points)
        points = self._with_onsets(points, (grid[1] - grid[0]) / 2**self._plan.bisections)
        n_points = len(points.drive)
        between = self._check_drives(grid)
        checks = [self._measure(everyone, between)]
        if near.drive.size:
            checks.append(self._measure(near.neuron, near.drive[None]))
        points = _Points.joined([points, *checks])
        self._settle(points)
        points, checked = points[:n_points], points[n_points:]
        n_checks = len(checked.drive)
        quality = TableQuality(n, self._runs - n_checks, n_checks, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)
        table = _pack(points, n_neurons, quality)
        return replace(table, quality=self._judge(table, points, checked))

    def _check_drives(self, grid: FloatArray) -> FloatArray:
        """Drives (checks, n_neurons) between those of the grid.

        Cells are dealt out so that all checks together cover all of them; within a cell away from both ends, where a
        linear interpolation errs most.
        """
        n, checks = self._plan.n, self._plan.checks
        k, i = np.arange(len(self._cells)), np.arange(checks)[:, None]
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
        """Points between neighbours that rest on either side of zero, in a cell wider than the spikes' range of drives.

        A line through both means puts the drive where the mean would be 0, in the middle of the spikes.
        """
        a, b = points.neighbours()
        jump = (a.regime != _SPIKING) & (b.regime != _SPIKING) & (a.mean * b.mean < 0)
        if not jump.any():
            return []
        a, b = a[jump], b[jump]
        middle = a.drive + (b.drive - a.drive) * a.mean / (a.mean - b.mean)
        return [self._measure(a.neuron, middle[None])]

    def _with_onsets(self, points: _Points, widths: FloatArray) -> _Points:
        """Bisect cells whose ends differ in regime until none is wider than its neuron's `widths`."""
        for _ in range(self._plan.bisections):
            a, b = points.neighbours()
            edge = (a.regime != b.regime) & (b.drive - a.drive > 1.01 * widths[a.neuron])
            if not edge.any():
                break
            middle = 0.5 * (a.drive + b.drive)[edge]
            points = _Points.joined([points, self._measure(a.neuron[edge], middle[None])])
        return points

    def _judge(self, table: ResponseTable, points: _Points, checks: _Points) -> TableQuality:
        """Errors of the table: against the runs of `checks`, the identity, and the user's own control window."""
        mean, period = table.look_up(checks.neuron, checks.drive)
        error = mean - checks.mean
        both = (checks.period > 0) & (period > 0)
        relative = period[both] / checks.period[both] - 1.0
        identity = points.mean - self._cells.dynamics.identity_at(points.neuron, points.drive)

        neuron, drive = window_checks(self._cells, self._protocol)
        single = self._respond(neuron, drive[None], self._protocol, samples=False).mean[0]
        difference = single - table.look_up(neuron, drive)[0]
        return TableQuality(
            self._plan.n, table.quality.n_runs, len(error), rms(error), largest(error), rms(relative),
            largest(relative), largest(identity), len(drive), rms(difference), largest(difference),
        )  # fmt: skip

    def _measure(self, neurons: NDArray[np.intp], drives: FloatArray) -> _Points:
        """Characterise `neurons` (m,) at `drives` (k, m); points in the order of drives.ravel(), some unsettled."""
        whole = self._plan.settle + self._plan.control
        points = self._points(neurons, drives, self._plan.settle, self._plan.control)
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
                f"{self._name}: neuron {points.neuron[first]} at drive {points.drive[first]:g} neither rests "
                f"nor spikes regularly within {whole * 2**_MAX_DOUBLINGS:g} T"
            )
        return points

    def _settle(self, points: _Points) -> None:
        """Give neurons that creep towards their rest point more time, in the end as much as the user does."""
        control = self._plan.control
        whole = self._plan.settle + control
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
        """Give points the mean over the user's own control window, as neurons that rest."""
        response = self._respond(points.neuron[index], points.drive[index][None], self._protocol, samples=False)
        points.mean[index] = response.mean[0]
        if response.power is not None:
            points.power[index] = response.power[0]
        points.status[index] = _REST

    def _points(self, neurons: NDArray[np.intp], drives: FloatArray, settle: float, control: float) -> _Points:
        """Run `neurons` (m,) at `drives` (k, m) for the times `settle` and `control` (T), and read each run."""
        # A spike's jump takes about 2 eps; half of eps resolves it.
        interval = control / math.ceil(control / (0.5 * self._cells.dynamics.eps) * (1.0 - 1e-9))
        settle = math.ceil(settle / interval * (1.0 - 1e-9)) * interval
        protocol = replace(self._protocol, settle=settle, control=control, interval=interval)
        columns = max(1, int(_SAMPLE_BYTES / (4 * protocol.n_samples)))
        rows = max(1, columns // len(neurons))
        measured = []
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
                measured.append(
                    _Points(np.tile(who, len(part)), part.ravel(), status, mean, period, rise, duty, power, wave)
                )
        return _Points.joined(measured)

    def _respond(self, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool) -> Response:
        """Response of `neurons` (m,) at `drives` (k, m) by the inner backend; its errors name this one."""
        cells = self._cells
        whole = np.array_equal(neurons, np.arange(len(cells)))
        before = self._runs

        def advance(done: int, _total: int) -> None:
            if self._progress is not None:
                self._progress(before + done, max(self._expected, before + done))

        try:
            response = backend_of(self._inner, None if whole else neurons).respond(
                cells if whole else cells[neurons], drives, protocol, samples=samples, progress=advance
            )
        except SimulationError as error:
            if whole:
                raise
            raise SimulationError(
                f"{self._name}: {error} (here 0, 1, ... stand for neurons {', '.join(map(str, neurons))} of the layer)"
            ) from error
        self._runs += drives.size
        return response


@dataclass(frozen=True, eq=False)
class _Pairs:
    """A list of (neuron, drive), both of shape (n,)."""

    neuron: NDArray[np.intp]
    drive: FloatArray


def rms(error: FloatArray) -> float:
    """Root mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(error**2))) if error.size else 0.0


def largest(error: FloatArray) -> float:
    """Largest magnitude; 0 of nothing."""
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


# --- what is read from a run ----------------------------------------------------------------------------------


# Phase points u = 2 s^2 up to the middle of a branch and its mirror image beyond, s even: densest at both jumps.
@njit(inline="always")
def _spread(s):  # type: ignore[no-untyped-def]
    return 2.0 * s * s if s < 0.5 else 1.0 - 2.0 * (1.0 - s) * (1.0 - s)


@njit(inline="always")
def _cubic(x, i, s):  # type: ignore[no-untyped-def]
    """Value between samples i and i + 1, at s from 0 to 1: Lagrange's cubic through samples i - 1 to i + 2."""
    i = min(max(i, 1), x.size - 3)
    return (
        -s * (s - 1.0) * (s - 2.0) / 6.0 * x[i - 1]
        + (s + 1.0) * (s - 1.0) * (s - 2.0) / 2.0 * x[i]
        - (s + 1.0) * s * (s - 2.0) / 2.0 * x[i + 1]
        + (s + 1.0) * s * (s - 1.0) / 6.0 * x[i + 2]
    )


@compiled()
def _crossing(x, i):  # type: ignore[no-untyped-def]
    """Place from 0 to 1 between samples i and i + 1, which differ in sign, where x crosses zero."""
    # Bisection of the cubic, to 2^-30 of the interval
    low, high = 0.0, 1.0
    rising = x[i] < 0.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if (_cubic(x, i, middle) < 0.0) == rising:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled()
def _smooth_mean(x, first, end):  # type: ignore[no-untyped-def]
    """Mean of x[first:end] under a Hann window, which suppresses an oscillation that is cut at the ends."""
    total, weight = 0.0, 0.0
    for i in range(first, end):
        w = 1.0 - math.cos(2.0 * math.pi * (i - first + 0.5) / (end - first))
        total += w * x[i]
        weight += w
    return total / weight


@compiled()
def _area(x, i, s, j, t):  # type: ignore[no-untyped-def]
    """Integral of x, in units of the interval, from the zero crossing at i + s to the one at j + t."""
    # Trapezoids between the samples; at both ends Simpson's rule, whose outermost value is the crossing's 0
    total = (1.0 - s) / 6.0 * (4.0 * _cubic(x, i, 0.5 * (1.0 + s)) + x[i + 1])
    for k in range(i + 1, j):
        total += 0.5 * (x[k] + x[k + 1])
    return total + t / 6.0 * (x[j] + 4.0 * _cubic(x, j, 0.5 * t))


@compiled()
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


@compiled()
def _cycles(x, n_rises, first, before, last, fall, wave):  # type: ignore[no-untyped-def]
    """Period in samples, first rise, mean and duty of whole cycles between zero crossings; fills the waveform."""
    n_phase = wave.shape[1]
    s_first, s_before = _crossing(x, first), _crossing(x, before)
    s_fall, s_last = _crossing(x, fall), _crossing(x, last)
    # Period and mean over all whole cycles from the first rise to the last: <x> = area/(cycles times period)
    length = (last + s_last - first - s_first) / (n_rises - 1)
    mean = _area(x, first, s_first, last, s_last) / (length * (n_rises - 1))
    # Waveform of the last cycle: its positive branch, then its negative one, each at the phases of `_spread`
    edges = (before + s_before, fall + s_fall, last + s_last)
    for branch in range(2):
        a, c = edges[branch], edges[branch + 1]
        for i in range(1, n_phase - 1):
            place = a + _spread(i / (n_phase - 1)) * (c - a)
            wave[branch, i] = _cubic(x, int(place), place - int(place))
    return length, first + s_first, mean, (edges[1] - edges[0]) / (edges[2] - edges[0])


@compiled()
def _swing(x, first, end):  # type: ignore[no-untyped-def]
    """Peak to peak of x[first:end]."""
    return x[first:end].max() - x[first:end].min()


@compiled(parallel=True)
def _analyse(samples, start, interval, n_phase, tolerance, ripple):  # type: ignore[no-untyped-def]
    """Status, mean, period, first rise, duty and waveform of every column of samples (n_samples, n_traces).

    The status is one of `_REST` to `_DRIFTING`; times are in T. `start` is the time of the first sample, `tolerance`
    the error of a resting neuron's mean below which it has settled, `ripple` the swing below which it rests.
    """
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
            # Spikes: x crosses zero, three times at least and up to the end
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

            # Beside the onset: x oscillates around its own mean, which then is what it has to cross
            q = n_samples // 4
            if _swing(x, 2 * q, n_samples) > 2.0 * tolerance:
                level = _smooth_mean(x, 2 * q, n_samples)
                around = x - level
                n_rises, first, before, last, fall, latest = _crossings(around)
                if n_rises >= 3 and n_samples - last < 1.5 * (last - before):
                    after = first + 1
                    while not (around[after] < 0.0 and around[after + 1] >= 0.0):
                        after += 1
                    # Swing of the first cycle and of the last: it drifts where they differ
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

            # Rest: means of the last three quarters of the run
            one = _smooth_mean(x, q, 2 * q)
            two = _smooth_mean(x, 2 * q, 3 * q)
            three = _smooth_mean(x, 3 * q, 4 * q)
            mean[trace] = three
            # What is left of an exponential approach after its last two steps: step r/(1 - r), r the steps' ratio
            step, earlier = abs(three - two), abs(two - one)
            ratio = min(step / earlier, 0.99) if earlier > 0.0 else 0.0
            if step > 1e-6 and step * ratio / (1.0 - ratio) > tolerance:
                status[trace] = 2
    return status, mean, period, rise, duty, wave
