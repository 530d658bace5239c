"""Reduced equations of every neuron, tuned to a few short runs of its circuit in ngspice.

The circuit of an op-amp neuron, or of one made of transistors, follows its reduced equations but for what these leave
out: amplifiers' bandwidths, the capacitances of gates. That shows as a period which is longer or shorter by a factor,
and a mean output which is shifted, both smooth functions of the drive. So a circuit is run at few drives, a few periods
each; the equations are run for the same time from the same initial state, and both runs are read alike: over the same
whole periods where both oscillate, else over the same time. What the runs have not settled by is then in both, and
their difference is free of it. Between the drives the factor and the shift are interpolated.

Where a circuit begins to oscillate at another drive than its equations, these are given a drive that is moved by as
much, the less the farther away; the mean is kept on the line that the identity puts it on.

What that is worth is measured: each neuron's circuit is run at further drives between these, and compared with the
tuned equations. A neuron whose circuit does something else than its equations is simulated in ngspice throughout.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid

from analog_fhn._support.kept import arrays_in
from analog_fhn.backends.base import Backend, CircuitBackend, Response, backend_of, check_drives, refuse_noise
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.crossings import Rises, mean_period
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise

TUNED_FORMAT = 1
"""Version of what `kept_tuning` keeps; a change makes it anew."""

_SHORTEST, _LONGEST = 4.0, 28.0  # T, of a run
_USUALLY = 0.9  # share of the runs for which the usual length is enough
_REGIME = 7.0  # T, in whose second half a neuron spikes or not
_SWING = 1.0  # of the output, above which a neuron spikes; oscillations that die out beside the onset have less
_LARGEST_ERROR = 0.02  # of the mean, measured between the drives
_SLOWER = 1.05  # how much longer than its equations a circuit may take
_OUTLYING = 0.1  # of a factor
_REGIMES = 129  # drives at which an onset of the equations is looked for, and again between two of these
_BESIDE = 0.01  # of the range of drives: how far beside an onset of the equations a circuit is run
_CLOSE = 3.0  # times that, where a slight difference decides whether there is one spike more
_MOVED = 16.0  # times that, by which a circuit's onset may be elsewhere
_REACH = 32.0  # times that, to which drives are moved with it
_LEAST_CHECKS = 32
_SAMPLE_BYTES = 100e6  # memory for the samples of one call
_STRANGE_DRIVES = 129  # at most, that a circuit is run at in place of its equations
_TOGETHER = 8192  # runs of the equations whose curves are copied at once
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

_log = logging.getLogger(__name__)

_ARRAYS = ("drives", "factor", "shift", "strange", "onsets", "moved", "reach")

_Waves = list[list[FloatArray]]
"""Output over time of runs (m, n_neurons): of each an array of samples, at intervals that all runs share."""


@dataclass(frozen=True, eq=False)
class TunedEquations:
    """Backend: reduced equations with the circuits' periods and means, integrated by `direct`.

    Parameters
    ----------
    drives
        Drives at which the circuits were run, shape (n_neurons, k), increasing.
    factor
        Period of the circuit over that of its equations there, same shape.
    shift
        What the circuit's mean output is above that of its equations, same shape.
    strange
        Whether the circuit does something else than its equations, shape (n_neurons,): its means come from ngspice, at
        129 drives where more are asked for and interpolated between them.
    onsets, moved
        Drives of the equations' onsets of oscillation, and how far above them the circuit's are; shape (n_neurons, j),
        NaN where a neuron has fewer.
    reach
        How far beside an onset drives are moved, shape (n_neurons,).
    spice
        Simulates those.
    """

    drives: FloatArray
    factor: FloatArray
    shift: FloatArray
    strange: NDArray[np.bool_]
    onsets: FloatArray
    moved: FloatArray
    reach: FloatArray
    spice: CircuitBackend = field(kw_only=True)
    direct: Direct = field(default_factory=Direct, kw_only=True)

    @property
    def name(self) -> str:
        """Name in messages."""
        return self.spice.name

    def only(self, neurons: NDArray[np.intp]) -> TunedEquations:
        """See `analog_fhn.backends.base.OwnNeurons.only`."""
        return replace(self, **{name: getattr(self, name)[neurons] for name in _ARRAYS})

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
        """Integrate every neuron; see `Backend.respond`. The power is not known."""
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        mean = np.empty(drives.shape)
        waves = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32) if samples else None
        for which, respond in ((~self.strange, self._by_equations), (self.strange, self._by_circuits)):
            neurons = np.flatnonzero(which)
            if neurons.size and drives.size:
                one = respond(cells, neurons, drives[:, neurons], protocol, samples)
                mean[:, neurons] = one.mean
                if waves is not None:
                    waves[:, :, neurons] = one.samples
        if progress is not None:
            progress(drives.size, drives.size)
        return Response(mean, waves)

    def _by_equations(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool
    ) -> Response:
        means, waves = [], []
        for tuned, part, shift in self._tuned(cells, neurons, drives):
            response = self.direct.respond(tuned, part.reshape(1, -1), protocol, samples=samples)
            means.append(response.mean.reshape(part.shape) + shift)
            if response.samples is not None:
                waves.append(response.samples.reshape(-1, *part.shape) + shift.astype(np.float32))
        return Response(np.concatenate(means), np.concatenate(waves, axis=1) if samples else None)

    def _tuned(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray
    ) -> Iterator[tuple[Cells, FloatArray, FloatArray]]:
        """Rows of drives (m, len(neurons)), some after others: a neuron of its own for each drive, drives, shifts."""
        rows = max(1, _TOGETHER // len(neurons))
        dynamics = cells[neurons].dynamics
        per_drive = dynamics.identity_mean(1.0) - dynamics.identity_mean(0.0)
        for first in range(0, len(drives), rows):
            part = drives[first : first + rows]
            # The period's factor differs from drive to drive.
            factor, shift = (self._between(neurons, part, values) for values in (self.factor, self.shift))
            chosen = cells[np.tile(neurons, len(part))]
            moved = self._moved(neurons, part)
            yield (
                replace(chosen, dynamics=chosen.dynamics.slower(factor.ravel())),
                moved,
                shift + per_drive * (part - moved),
            )

    def _moved(self, neurons: NDArray[np.intp], drives: FloatArray) -> FloatArray:
        """Drives of the equations that stand for drives (m, len(neurons)) of the circuits."""
        at = drives.copy()
        for onset, moved in zip(self.onsets[neurons].T, self.moved[neurons].T, strict=True):
            away = np.abs(drives - onset - moved) / self.reach[neurons]
            at -= np.where(away < 1.0, (1.0 - away) * moved, 0.0)
        return at

    def means(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        by: Callable[[Cells, FloatArray], FloatArray],
    ) -> FloatArray:
        """Means (m, n_neurons) under drives of that shape, by a function of equations that makes means of any kind.

        Parameters
        ----------
        protocol
            Neurons that are simulated in ngspice have their means over its control window.
        by
            Called with cells and a drive of each, shape (1, n); returns means of that shape.
        """
        mean = np.empty(drives.shape)
        usual, strange = np.flatnonzero(~self.strange), np.flatnonzero(self.strange)
        if usual.size:
            parts = self._tuned(cells, usual, drives[:, usual])
            rows = [by(tuned, part.reshape(1, -1)).reshape(part.shape) + shift for tuned, part, shift in parts]
            mean[:, usual] = np.concatenate(rows)
        if strange.size:
            mean[:, strange] = self._by_circuits(cells, strange, drives[:, strange], protocol, samples=False).mean
        return mean

    def _by_circuits(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool
    ) -> Response:
        chosen = cells[neurons]
        if samples or len(drives) <= _STRANGE_DRIVES:
            return self.spice.respond(chosen, drives, protocol, samples=samples)
        grid = np.linspace(drives.min(axis=0), drives.max(axis=0), _STRANGE_DRIVES)
        found = self.spice.respond(chosen, grid, protocol).mean
        return Response(
            np.stack([np.interp(*of_one) for of_one in zip(drives.T, grid.T, found.T, strict=True)], axis=1)
        )

    def _between(self, neurons: NDArray[np.intp], drives: FloatArray, values: FloatArray) -> FloatArray:
        """Values (n_neurons, k) interpolated at drives (m, len(neurons))."""
        columns = [
            np.interp(column, self.drives[k], values[k]) for column, k in zip(drives.T, neurons.tolist(), strict=True)
        ]
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Tuning:
    """Tuned equations, and how far they are from the circuits between the drives that they were tuned at.

    Parameters
    ----------
    equations
        The tuned equations.
    checks
        Drives of each neuron at which they were compared, shape (m, n_neurons).
    errors
        Of their mean output there; 0 of neurons that are simulated in ngspice.
    period_errors
        Relative ones, shape (k,), of those runs where both oscillate.
    runs
        Runs of ngspice, those of the checks not counted.
    """

    equations: TunedEquations
    checks: FloatArray
    errors: FloatArray
    period_errors: FloatArray
    runs: int


def kept_tuning(
    path: Path | None,
    spice: CircuitBackend,
    cells: Cells,
    ends: tuple[FloatArray, FloatArray],
    protocol: Protocol,
    n: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """See `tune`; from a file if it is there, else kept in it. A file that cannot be used is a warning.

    Parameters
    ----------
    path
        The file; None: nothing is kept.
    """
    measured = ("checks", "errors", "period_errors", "runs")
    if path is None:
        return tune(spice, cells, ends, protocol, n, progress)

    def made() -> dict[str, NDArray[Any]]:
        tuning = tune(spice, cells, ends, protocol, n, progress)
        arrays = {name: getattr(tuning.equations, name) for name in _ARRAYS}
        return arrays | {name: np.asarray(getattr(tuning, name)) for name in measured}

    def usable(found: Mapping[str, NDArray[Any]]) -> bool:
        return {*_ARRAYS, *measured} <= set(found) and all(len(found[name]) == len(cells) for name in _ARRAYS)

    found = arrays_in(path, "equations tuned to ngspice", made, usable)
    equations = TunedEquations(*(found[name] for name in _ARRAYS), spice=spice)
    return Tuning(equations, found["checks"], found["errors"], found["period_errors"], int(found["runs"]))


def tune(
    spice: CircuitBackend,
    cells: Cells,
    ends: tuple[FloatArray, FloatArray],
    protocol: Protocol,
    n: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Run every neuron's circuit at `n` drives and between them, and tune its equations.

    Parameters
    ----------
    ends
        Lowest and highest drive of each neuron, shape (n_neurons,) each.
    protocol
        Its initial state is that of the runs.
    n
        Drives of each neuron, evenly spread.
    progress
        Called with (runs done, runs in all).

    Raises
    ------
    InputError
        If the cells have no components.
    MissingProgramError
        If ngspice or PySpice is absent.
    SimulationError
        If a run fails.
    """
    low, high = ends
    n_neurons, beside = len(cells), _BESIDE * (high - low)
    onsets = _onsets(cells, ends, protocol)
    n_onsets = onsets.shape[1]
    n = max(n, 3 * onsets.shape[1] + 1)
    nodes = _nodes(cells, ends, onsets, beside, n, protocol)
    checks = math.ceil(_LEAST_CHECKS / n_neurons)
    i, k = np.arange(checks)[:, None], np.arange(n_neurons)
    between = low + (0.05 + 0.9 * (((i * n_neurons + k + 0.5) * _GOLDEN) % 1.0)) * (high - low)
    drives = np.vstack([nodes, between])
    lengths = _lengths(cells, drives, protocol)
    circuits = _waves(spice, cells, drives, protocol, lengths, progress)
    spice = spice.unchecked()
    moved, first = np.zeros(onsets.shape), n - 2 * n_onsets
    own = _waves(Direct(), cells, nodes[first:], protocol, lengths[first:n]) if n_onsets else []
    for j in range(n_onsets):
        pair = slice(2 * j, 2 * j + 2)
        does, wanted = (
            np.array([[_oscillates(x) for x in row] for row in waves[pair]]) for waves in (circuits[first:n], own)
        )
        moved[:, j] = _moved_onsets(spice, cells, protocol, onsets[:, j], beside, does, wanted)
    order = np.argsort(nodes, axis=0, kind="stable")
    at = np.ascontiguousarray(np.take_along_axis(nodes, order, axis=0).T)
    equations = TunedEquations(
        at,
        np.ones(at.shape),
        np.zeros(at.shape),
        np.zeros(n_neurons, dtype=np.bool_),
        onsets,
        np.nan_to_num(moved),
        _REACH * beside,
        spice=spice,
    )
    # Beside an onset it takes little for one spike more or less: nothing there is taken for what a circuit does
    # elsewhere, and what is left there is an error that is stated.
    node_far, check_far = (
        ~(np.abs(drive[..., None] - onsets - moved) < _CLOSE * beside[:, None]).any(axis=2)
        for drive in (nodes, between)
    )

    def by_drive(values: FloatArray) -> FloatArray:
        return np.take_along_axis(values, order, axis=0).T

    # A neuron that has not settled is compared with equations that have taken as long.
    first_look = _Compared.of(circuits[:n], _waves(equations, cells, nodes, protocol, lengths[:n]))
    equations = replace(equations, factor=_filled(at, _without_outliers(by_drive(first_look.factor)), 1.0))
    compared = _Compared.of(circuits[:n], _waves(equations, cells, nodes, protocol, lengths[:n]))
    equations = replace(equations, shift=_filled(at, by_drive(np.where(node_far, compared.shift, np.nan)), 0.0))
    checked = _Compared.of(circuits[n:], _waves(equations, cells, between, protocol, lengths[n:]))
    strange = np.asarray(
        np.isnan(moved).any(axis=1)
        | (node_far & ~compared.alike).any(axis=0)
        | (check_far & (np.abs(checked.shift) > _LARGEST_ERROR)).any(axis=0)
    )
    if strange.any():
        _log.warning(
            "neurons %s of the layer do something else in %s than their equations; they are simulated throughout",
            ", ".join(map(str, np.flatnonzero(strange)[:10])) + (", ..." if strange.sum() > 10 else ""),
            "ngspice" if spice.name == "spice" else spice.name,
        )
    good = ~strange
    factors = checked.factor[:, good]
    return Tuning(
        replace(equations, strange=strange),
        between,
        np.where(strange, 0.0, -checked.shift),
        1.0 / factors[np.isfinite(factors)] - 1.0,
        nodes.size,
    )


def _nodes(
    cells: Cells,
    ends: tuple[FloatArray, FloatArray],
    onsets: FloatArray,
    beside: FloatArray,
    n: int,
    protocol: Protocol,
) -> FloatArray:
    """Drives (n, n_neurons) at which circuits are run; the last rows are those below and above each onset.

    Of the others the stretches of drives at which a neuron spikes have twice as many as those where it rests.
    """
    low, high = ends
    n_onsets = onsets.shape[1]
    spikes = _oscillating(Direct(), cells, low[None], protocol)[0]
    columns = []
    for k, row in enumerate(onsets):
        inner = row[np.isfinite(row)]
        edges = np.array([low[k], *inner, high[k]])
        spare = 2 * (n_onsets - len(inner))
        weights = np.where(np.arange(len(inner) + 1) % 2 == (0 if spikes[k] else 1), 2.0, 1.0)
        numbers = np.ones(len(weights), dtype=np.intp)
        for _ in range(n - 2 * n_onsets + spare - len(weights)):
            numbers[np.argmax(weights / (numbers + 1.0))] += 1
        even = np.concatenate(
            [
                _within(edges[j], edges[j + 1], int(number), first=j == 0, last=j == len(numbers) - 1)
                for j, number in enumerate(numbers)
            ]
        )
        pairs = np.clip((inner[:, None] + np.array([-1.0, 1.0]) * beside[k]).ravel(), low[k], high[k])
        columns.append(np.concatenate([even[: len(even) - spare], pairs, even[len(even) - spare :]]))
    return np.stack(columns, axis=1)


def _within(low: float, high: float, number: int, *, first: bool, last: bool) -> FloatArray:
    """Evenly spread drives between two; the first and the last stretch have that end of theirs that is no onset."""
    if first and last:
        return np.linspace(low, high, number)
    places = np.arange(number) / number if first else (np.arange(number) + 1.0) / (number if last else number + 1.0)
    return np.asarray(low + places * (high - low))


def _oscillates(x: FloatArray) -> bool:
    return _middle(x)[1] > _SWING


def _onsets(cells: Cells, ends: tuple[FloatArray, FloatArray], protocol: Protocol) -> FloatArray:
    """Drives at which the equations of each neuron begin or cease to oscillate, shape (n_neurons, k), k from 0 to 2.

    NaN where a neuron has fewer; a neuron with more than two has none.
    """
    drives = np.linspace(*ends, _REGIMES)
    oscillating = _oscillating(Direct(), cells, drives, protocol)
    change = oscillating[1:] != oscillating[:-1]
    number = change.sum(axis=0)
    change &= number <= 2
    row, neuron = np.nonzero(change)
    onsets = np.full((len(cells), int(number[number <= 2].max(initial=0))), np.nan)
    if row.size:
        finer = np.linspace(drives[row, neuron], drives[row + 1, neuron], 17)
        again = _oscillating(Direct(), cells[neuron], finer, protocol)
        last = np.argmax(again != again[0], axis=0)
        place = 0.5 * (finer[last, np.arange(len(row))] + finer[np.maximum(last - 1, 0), np.arange(len(row))])
        for k in range(len(cells)):
            mine = np.sort(place[neuron == k])
            onsets[k, : len(mine)] = mine
    return onsets


def _oscillating(engine: Backend, cells: Cells, drives: FloatArray, protocol: Protocol) -> NDArray[np.bool_]:
    """Whether neurons oscillate in the second half of a run, shape (m, n_neurons) like the drives."""
    brief = _brief(cells, protocol, _REGIME)
    late = slice(brief.n_samples // 2, None)
    return np.concatenate(
        [np.ptp(found[..., late], axis=2) > _SWING for found in _in_parts(engine, cells, drives, brief, None)]
    )


def _moved_onsets(
    spice: Backend,
    cells: Cells,
    protocol: Protocol,
    onsets: FloatArray,
    beside: FloatArray,
    does: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
) -> FloatArray:
    """How far a circuit's onset is above that of its equations, shape (n_neurons,): 0 if it is close, NaN if far.

    Parameters
    ----------
    does, wanted
        Whether the circuit, and whether the equations spike just below and just above the equations' onset; shape (2,
        n_neurons).
    """
    moved = np.zeros(len(cells))
    lower, higher = does != wanted
    # Of a circuit that does the same on both sides the onset lies where it still does what it should not.
    sign = np.where(lower & ~higher, -1.0, np.where(higher & ~lower, 1.0, 0.0))
    moved[lower & higher & np.isfinite(onsets)] = np.nan
    search = np.flatnonzero((sign != 0.0) & np.isfinite(onsets))
    if not search.size:
        return moved
    end = wanted[(sign > 0).astype(np.intp), np.arange(len(cells))]  # what the circuit does beyond its onset
    near, far = np.ones(len(cells)), np.full(len(cells), np.nan)
    step = 2.0
    while step <= _MOVED and (open_ := search[np.isnan(far[search])]).size:
        does = _oscillating(spice, cells[open_], (onsets + sign * step * beside)[open_][None], protocol)[0]
        there = does == end[open_]
        far[open_[there]], near[open_[~there]] = step, step
        step *= 2.0
    while (open_ := search[far[search] - near[search] > 1.0]).size:
        middle = 0.5 * (near + far)
        does = _oscillating(spice, cells[open_], (onsets + sign * middle * beside)[open_][None], protocol)[0]
        there = does == end[open_]
        far[open_[there]], near[open_[~there]] = middle[open_[there]], middle[open_[~there]]
    moved[search] = (sign * 0.5 * (near + far) * beside)[search]
    return moved


@dataclass(frozen=True, eq=False)
class _Compared:
    """Circuits beside equations, run by run; all of shape (m, n_neurons).

    Parameters
    ----------
    factor
        Period of the circuit over that of the equations; NaN unless both show a whole one.
    shift
        Mean output of the circuit less that of the equations: over equally many whole periods, or else over the second
        half of both runs.
    alike
        Whether both oscillate, or neither.
    """

    factor: FloatArray
    shift: FloatArray
    alike: NDArray[np.bool_]

    @classmethod
    def of(cls, circuits: _Waves, equations: _Waves) -> _Compared:
        """Compare runs that are equally long."""
        beside = [
            [_beside(*pair) for pair in zip(*rows, strict=True)] for rows in zip(circuits, equations, strict=True)
        ]
        factor, shift, alike = np.moveaxis(np.array(beside), 2, 0)
        return cls(factor, shift, alike.astype(np.bool_))


def _beside(circuit: FloatArray, equations: FloatArray) -> tuple[float, float, bool]:
    """Factor, shift and likeness of one run."""
    level, swing = _middle(equations)
    oscillates = swing > _SWING, _middle(circuit)[1] > _SWING
    if all(oscillates):
        rises = [Rises.of(x, level, level - 0.1 * swing).times(x, level) for x in (circuit, equations)]
        whole = min(map(len, rises))
        if whole >= 2:
            (period, mean), (own, own_mean) = (
                (mean_period(at[:whole]), _mean_between(x, at[0], at[whole - 1]))
                for x, at in zip((circuit, equations), rises, strict=True)
            )
            return period / own, mean - own_mean, True
    half = len(equations) // 2
    return np.nan, float(circuit[half:].mean() - equations[half:].mean()), oscillates[0] == oscillates[1]


def _mean_between(x: FloatArray, first: float, last: float) -> float:
    """Mean of the line through samples from one place to another, which need not be whole."""
    area = np.asarray(cumulative_trapezoid(x, initial=0))
    edges = np.array([first, last])
    before = edges.astype(np.intp)
    place = edges - before
    at_edge = x[before] + place * (x[before + 1] - x[before])
    whole = area[before] + 0.5 * place * (x[before] + at_edge)
    return float((whole[1] - whole[0]) / (last - first))


def _lengths(cells: Cells, drives: FloatArray, protocol: Protocol) -> FloatArray:
    """How long each run has to be (T), shape (m, n_neurons), by the equations."""
    waves = _waves(Direct(), cells, drives, protocol, np.full(drives.shape, _LONGEST))
    needed = np.array([[_needed(x, _LONGEST / len(x)) for x in row] for row in waves])
    usual = math.ceil(np.quantile(needed, _USUALLY))
    return np.asarray(np.minimum(usual * 2.0 ** np.maximum(np.ceil(np.log2(needed / usual)), 0.0), _LONGEST))


def _needed(x: FloatArray, interval: float) -> float:
    """Time (T) in which a whole period is seen."""
    level, swing = _middle(x)
    rises = Rises.of(x, level, level - 0.1 * swing).times(x, level)
    if swing < _SWING or len(rises) < 2:
        return _SHORTEST
    # A circuit may be slower by as much as is accepted.
    return float(np.clip(_SLOWER * rises[1] * interval, _SHORTEST, _LONGEST))


def _middle(x: FloatArray) -> tuple[float, float]:
    """Level half way between the extremes of the second half of a run, and their distance."""
    late = x[len(x) // 2 :]
    return float(0.5 * (late.max() + late.min())), float(np.ptp(late))


def _waves(
    engine: Backend,
    cells: Cells,
    drives: FloatArray,
    protocol: Protocol,
    lengths: FloatArray,
    progress: Callable[[int, int], None] | None = None,
) -> _Waves:
    """Output over time of runs under drives (m, n_neurons), each of its own length (T), from the protocol's start."""
    waves: _Waves = []
    usual = float(lengths.min())
    for found in _in_parts(engine, cells, drives, _brief(cells, protocol, usual), progress):
        waves += [list(row) for row in found]
    for length in np.unique(lengths[lengths > usual]).tolist():
        row, neuron = np.nonzero(lengths == length)
        some = backend_of(engine.unchecked() if isinstance(engine, CircuitBackend) else engine, neuron)
        (found,) = _samples(some, cells[neuron], drives[row, neuron][None], _brief(cells, protocol, length), None)
        for r, k, wave in zip(row.tolist(), neuron.tolist(), found, strict=True):
            waves[r][k] = wave
    return waves


def _in_parts(
    engine: Backend,
    cells: Cells,
    drives: FloatArray,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None,
) -> Iterator[FloatArray]:
    """Samples by run as `_samples` has them, some rows of the drives after others."""
    rows = max(1, int(_SAMPLE_BYTES / (4 * protocol.n_samples * len(cells))))
    for first in range(0, len(drives), rows):
        yield _samples(engine, cells, drives[first : first + rows], protocol, progress)


def _samples(
    engine: Backend,
    cells: Cells,
    drives: FloatArray,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None,
) -> FloatArray:
    """Samples by run, shape (m, n_neurons, n_samples)."""
    samples = engine.respond(cells, drives, protocol, samples=True, progress=progress).samples
    assert samples is not None
    return np.ascontiguousarray(np.moveaxis(samples, 0, 2), dtype=np.float64)


def _brief(cells: Cells, protocol: Protocol, length: float) -> Protocol:
    """A run of this length that is sampled all the time."""
    # A spike's jump takes about 2 eps; half of eps resolves it.
    interval = 1.0 / math.ceil(1.0 / (0.5 * cells.dynamics.eps) * (1.0 - 1e-9))
    return replace(protocol, settle=0.0, control=length, interval=interval)


def _without_outliers(factor: FloatArray) -> FloatArray:
    """Factors (n_neurons, k) without those far from the others of a neuron, as beside the onset of spikes: NaN."""
    middle = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in factor])
    return np.where(np.abs(factor - middle[:, None]) > _OUTLYING, np.nan, factor)


def _filled(drives: FloatArray, values: FloatArray, otherwise: float) -> FloatArray:
    """Values (n_neurons, k) whose gaps (NaN) are interpolated over the drives; `otherwise` if all are gaps."""
    filled = np.full(values.shape, otherwise)
    for k, row in enumerate(values):
        known = np.isfinite(row)
        if known.any():
            filled[k] = np.interp(drives[k], drives[k, known], row[known])
    return filled
