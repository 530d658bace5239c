"""Short runs of circuits and of their equations from the same initial state, and what they differ by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid

from analog_fhn.backends.base import Backend, CircuitBackend, backend_of
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.crossings import Rises, mean_period
from analog_fhn.neuron import FloatArray, Protocol

_SHORTEST, _LONGEST = 4.0, 28.0  # T, of a run
_USUALLY = 0.9  # share of the runs for which the usual length is enough
SWING = 1.0  # of the output, above which a neuron spikes; oscillations that die out beside the onset have less
_SLOWER = 1.05  # how much longer than its equations a circuit may take
_SAMPLE_BYTES = 100e6  # memory for the samples of one call

Waves = list[list[FloatArray]]
"""Output over time of runs (m, n_neurons): of each an array of samples, at intervals that all runs share."""


@dataclass(frozen=True, eq=False)
class Compared:
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
    def of(cls, circuits: Waves, equations: Waves) -> Compared:
        """Compare runs that are equally long."""
        beside = [
            [_beside(*pair) for pair in zip(*rows, strict=True)] for rows in zip(circuits, equations, strict=True)
        ]
        factor, shift, alike = np.moveaxis(np.array(beside), 2, 0)
        return cls(factor, shift, alike.astype(np.bool_))


def _beside(circuit: FloatArray, equations: FloatArray) -> tuple[float, float, bool]:
    """Factor, shift and likeness of one run."""
    level, swing = _middle(equations)
    oscillates = swing > SWING, _middle(circuit)[1] > SWING
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


def run_lengths(cells: Cells, drives: FloatArray, protocol: Protocol) -> FloatArray:
    """How long each run has to be (T), shape (m, n_neurons), by the equations."""
    waves = waves_of(Direct(), cells, drives, protocol, np.full(drives.shape, _LONGEST))
    needed = np.array([[_needed(x, _LONGEST / len(x)) for x in row] for row in waves])
    usual = math.ceil(np.quantile(needed, _USUALLY))
    return np.asarray(np.minimum(usual * 2.0 ** np.maximum(np.ceil(np.log2(needed / usual)), 0.0), _LONGEST))


def _needed(x: FloatArray, interval: float) -> float:
    """Time (T) in which a whole period is seen."""
    level, swing = _middle(x)
    rises = Rises.of(x, level, level - 0.1 * swing).times(x, level)
    if swing < SWING or len(rises) < 2:
        return _SHORTEST
    # A circuit may be slower by as much as is accepted.
    return float(np.clip(_SLOWER * rises[1] * interval, _SHORTEST, _LONGEST))


def _middle(x: FloatArray) -> tuple[float, float]:
    """Level half way between the extremes of the second half of a run, and their distance."""
    late = x[len(x) // 2 :]
    return float(0.5 * (late.max() + late.min())), float(np.ptp(late))


def oscillates(x: FloatArray) -> bool:
    """Whether a run oscillates in its second half."""
    return _middle(x)[1] > SWING


def waves_of(
    engine: Backend,
    cells: Cells,
    drives: FloatArray,
    protocol: Protocol,
    lengths: FloatArray,
    progress: Callable[[int, int], None] | None = None,
) -> Waves:
    """Output over time of runs under drives (m, n_neurons), each of its own length (T), from the protocol's start."""
    waves: Waves = []
    usual = float(lengths.min())
    for found in in_parts(engine, cells, drives, brief(cells, protocol, usual), progress):
        waves += [list(row) for row in found]
    for length in np.unique(lengths[lengths > usual]).tolist():
        row, neuron = np.nonzero(lengths == length)
        some = backend_of(engine.unchecked() if isinstance(engine, CircuitBackend) else engine, neuron)
        (found,) = _samples(some, cells[neuron], drives[row, neuron][None], brief(cells, protocol, length), None)
        for r, k, wave in zip(row.tolist(), neuron.tolist(), found, strict=True):
            waves[r][k] = wave
    return waves


def in_parts(
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


def brief(cells: Cells, protocol: Protocol, length: float) -> Protocol:
    """A run of this length that is sampled all the time."""
    # A spike's jump takes about 2 eps; half of eps resolves it.
    interval = 1.0 / math.ceil(1.0 / (0.5 * cells.dynamics.eps) * (1.0 - 1e-9))
    return replace(protocol, settle=0.0, control=length, interval=interval)
