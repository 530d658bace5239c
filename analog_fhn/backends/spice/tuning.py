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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.kept import arrays_in
from analog_fhn.backends.base import Backend, CircuitBackend
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.onsets import equations_onsets, moved_onsets, oscillate
from analog_fhn.backends.spice.short_runs import Compared, Waves, oscillates, run_lengths, waves_of
from analog_fhn.backends.spice.tuned import ARRAYS, TunedEquations
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FloatArray, Protocol

TUNED_FORMAT = 1
"""Version of what `kept_tuning` keeps; a change makes it anew."""

_LARGEST_ERROR = 0.02  # of the mean, measured between the drives
_OUTLYING = 0.1  # of a factor
_BESIDE = 0.01  # of the range of drives: how far beside an onset of the equations a circuit is run
_CLOSE = 3.0  # times that, where a slight difference decides whether there is one spike more
_REACH = 32.0  # times that, to which drives are moved with it
_LEAST_CHECKS = 32
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

_log = logging.getLogger(__name__)


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
        arrays = {name: getattr(tuning.equations, name) for name in ARRAYS}
        return arrays | {name: np.asarray(getattr(tuning, name)) for name in measured}

    def usable(found: Mapping[str, NDArray[Any]]) -> bool:
        return {*ARRAYS, *measured} <= set(found) and all(len(found[name]) == len(cells) for name in ARRAYS)

    found = arrays_in(path, "equations tuned to ngspice", made, usable)
    equations = TunedEquations(*(found[name] for name in ARRAYS), spice=spice)
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
    runs = _Runs.of(spice, cells, ends, protocol, n, progress)
    spice = spice.unchecked()
    moved = _moved(spice, cells, protocol, runs)
    equations, compared = _fitted(_untuned(spice, runs, moved), cells, protocol, runs, moved)
    checked = runs.beside(equations, cells, protocol, runs.checks)
    strange = np.asarray(
        np.isnan(moved).any(axis=1)
        | (runs.far(moved, runs.nodes) & ~compared.alike).any(axis=0)
        | (runs.far(moved, runs.checks) & (np.abs(checked.shift) > _LARGEST_ERROR)).any(axis=0)
    )
    if strange.any():
        _warn_of(strange, "ngspice" if spice.name == "spice" else spice.name)
    factors = checked.factor[:, ~strange]
    return Tuning(
        replace(equations, strange=strange),
        runs.drives[runs.checks],
        np.where(strange, 0.0, -checked.shift),
        1.0 / factors[np.isfinite(factors)] - 1.0,
        runs.n * len(cells),
    )


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of circuits: at the drives that equations are tuned at, and behind them those that check the outcome.

    Parameters
    ----------
    onsets, close
        Drives of the equations' onsets of oscillation, shape (n_neurons, j), and how far beside them a circuit is run,
        shape (n_neurons,).
    n
        Number of drives that are tuned at; the last of them are those below and above each onset.
    drives, lengths
        Of all runs, the latter in T; shape (m, n_neurons).
    waves
        The circuits' output.
    """

    onsets: FloatArray
    close: FloatArray
    n: int
    drives: FloatArray
    lengths: FloatArray
    waves: Waves

    @classmethod
    def of(
        cls,
        spice: CircuitBackend,
        cells: Cells,
        ends: tuple[FloatArray, FloatArray],
        protocol: Protocol,
        n: int,
        progress: Callable[[int, int], None] | None,
    ) -> _Runs:
        """Run each circuit at `n` drives, more if there are many onsets, and at some between them."""
        low, high = ends
        n_neurons, close = len(cells), _BESIDE * (high - low)
        onsets = equations_onsets(cells, ends, protocol)
        n = max(n, 3 * onsets.shape[1] + 1)
        nodes = _nodes(cells, ends, onsets, close, n, protocol)
        checks = math.ceil(_LEAST_CHECKS / n_neurons)
        i, k = np.arange(checks)[:, None], np.arange(n_neurons)
        between = low + (0.05 + 0.9 * (((i * n_neurons + k + 0.5) * _GOLDEN) % 1.0)) * (high - low)
        drives = np.vstack([nodes, between])
        lengths = run_lengths(cells, drives, protocol)
        return cls(onsets, close, n, drives, lengths, waves_of(spice, cells, drives, protocol, lengths, progress))

    @property
    def nodes(self) -> slice:
        """Runs that are tuned to."""
        return slice(0, self.n)

    @property
    def checks(self) -> slice:
        """Runs that check."""
        return slice(self.n, None)

    @property
    def at_onsets(self) -> slice:
        """Runs below and above each onset."""
        return slice(self.n - 2 * self.onsets.shape[1], self.n)

    def beside(self, equations: Backend, cells: Cells, protocol: Protocol, some: slice) -> Compared:
        """Some of the runs beside equations that run as long."""
        return Compared.of(
            self.waves[some], waves_of(equations, cells, self.drives[some], protocol, self.lengths[some])
        )

    def far(self, moved: FloatArray, some: slice) -> NDArray[np.bool_]:
        """Whether some of the runs are far from the circuits' onsets, which are `moved` from those of the equations.

        Beside an onset it takes little for one spike more or less: nothing there is taken for what a circuit does
        elsewhere, and what is left there is an error that is stated.
        """
        away = np.abs(self.drives[some][..., None] - self.onsets - moved)
        return np.asarray(~(away < _CLOSE * self.close[:, None]).any(axis=2))


def _moved(spice: Backend, cells: Cells, protocol: Protocol, runs: _Runs) -> FloatArray:
    """How far the circuits' onsets are above those of the equations, shape (n_neurons, j); see `moved_onsets`."""
    moved, pairs, n_onsets = np.zeros(runs.onsets.shape), runs.at_onsets, runs.onsets.shape[1]
    if not n_onsets:
        return moved
    own = waves_of(Direct(), cells, runs.drives[pairs], protocol, runs.lengths[pairs])
    for j in range(n_onsets):
        pair = slice(2 * j, 2 * j + 2)
        does, wanted = (
            np.array([[oscillates(x) for x in row] for row in waves[pair]]) for waves in (runs.waves[pairs], own)
        )
        moved[:, j] = moved_onsets(spice, cells, protocol, runs.onsets[:, j], runs.close, does, wanted)
    return moved


def _untuned(spice: CircuitBackend, runs: _Runs, moved: FloatArray) -> TunedEquations:
    """The equations as they are but for their onsets."""
    at = np.ascontiguousarray(np.sort(runs.drives[runs.nodes], axis=0).T)
    return TunedEquations(
        at, np.ones(at.shape), np.zeros(at.shape), np.zeros(len(at), dtype=np.bool_), runs.onsets,
        np.nan_to_num(moved), _REACH * runs.close, spice=spice,
    )  # fmt: skip


def _fitted(
    equations: TunedEquations, cells: Cells, protocol: Protocol, runs: _Runs, moved: FloatArray
) -> tuple[TunedEquations, Compared]:
    """Equations with the circuits' factors and shifts, and what the latter were read from."""
    order = np.argsort(runs.drives[runs.nodes], axis=0, kind="stable")

    def by_drive(values: FloatArray) -> FloatArray:
        return np.take_along_axis(values, order, axis=0).T

    # A neuron that has not settled is compared with equations that have taken as long.
    first_look = runs.beside(equations, cells, protocol, runs.nodes)
    factor = _filled(equations.drives, _without_outliers(by_drive(first_look.factor)), 1.0)
    equations = replace(equations, factor=factor)
    compared = runs.beside(equations, cells, protocol, runs.nodes)
    shift = by_drive(np.where(runs.far(moved, runs.nodes), compared.shift, np.nan))
    return replace(equations, shift=_filled(equations.drives, shift, 0.0)), compared


def _warn_of(strange: NDArray[np.bool_], simulator: str) -> None:
    """Say which neurons are not tuned."""
    _log.warning(
        "neurons %s of the layer do something else in %s than their equations; they are simulated throughout",
        ", ".join(map(str, np.flatnonzero(strange)[:10])) + (", ..." if strange.sum() > 10 else ""),
        simulator,
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
    spikes = oscillate(Direct(), cells, low[None], protocol)[0]
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
