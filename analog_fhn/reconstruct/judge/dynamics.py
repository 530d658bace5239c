"""Long-term behaviour of a map or a neuron: Lyapunov exponents, regimes over a control value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.rhythm import REGIMES, Levels, Regime, Rhythm, rhythms

_VOLT = 1e-3  # per mV


class Neuron(Protocol):
    """What can be scanned: `neurons.ShermanRinzel`, or anything that simulates alike."""

    def simulate(
        self, duration: float, step: float, *, start: Sequence[float] | None = None, settle: float = 0.0
    ) -> tuple[FloatArray, FloatArray]:
        """Times (n,), s, and states (n, k) with the voltage in mV first."""
        ...


def lyapunov(jacobians: ArrayLike, step: float = 1.0, settle: int = 0) -> FloatArray:
    """All Lyapunov exponents of a map along one orbit, largest first, shape (L,), 1/s.

    The product of the Jacobians is factorised step by step, ``J(k) Q(k) = Q(k+1) R(k+1)``; the exponents are the mean
    logarithms of R's diagonal over the step. G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15:9
    (1980); J.-P. Eckmann, D. Ruelle, Rev. Mod. Phys. 57:617 (1985), section V.

    Parameters
    ----------
    jacobians
        Shape (n, L, L): ``d u_i(k+1) / d u_j(k)`` at the points of the orbit, in order.
    step
        Time that one step of the map stands for, s; 1 gives exponents per step.
    settle
        Steps whose factors are left out, while Q turns into the orbit's own directions.

    Returns
    -------
    FloatArray
        -inf where a direction is lost altogether; NaN if a Jacobian is not finite.

    Raises
    ------
    InputError
        Shapes do not fit, the step is not positive, or no step is left.
    """
    return _mean_logarithms(jacobians, step, settle, None)


def largest_lyapunov(jacobians: ArrayLike, step: float = 1.0, settle: int = 0) -> float:
    """The largest exponent only, 1/s; see `lyapunov`."""
    return float(_mean_logarithms(jacobians, step, settle, 1)[0])


def _mean_logarithms(jacobians: ArrayLike, step: float, settle: int, count: int | None) -> FloatArray:
    """The first `count` exponents, 1/s, largest first."""
    j = np.ascontiguousarray(jacobians, dtype=np.float64)
    if j.ndim != 3 or j.shape[1] != j.shape[2] or not step > 0 or not 0 <= settle < len(j):
        raise InputError(
            f"lyapunov: jacobians of shape (n, L, L), more than {settle} of them, and a positive step expected, "
            f"not {j.shape} and {step:g}"
        )
    size = j.shape[1]
    # Not along the axes: a direction that an axis keeps to itself would not be found.
    frame = np.linalg.qr(np.eye(size) + 0.1 / (1.0 + np.add.outer(np.arange(size), np.arange(size))))[0].T
    exponents = _exponents(j, np.ascontiguousarray(frame[:count]), settle)
    return np.asarray(exponents / step, dtype=np.float64)


@compiled(error_model="numpy")
def _exponents(jacobians, frame, settle):  # type: ignore[no-untyped-def]
    """Mean logarithms of the stretching, per step, by modified Gram-Schmidt; the rows of `frame` are orthonormal."""
    n, (count, size) = jacobians.shape[0], frame.shape
    frame, moved = frame.copy(), np.empty((count, size))
    total = np.zeros(count)
    for k in range(n):
        for i in range(count):
            for a in range(size):
                value = 0.0
                for b in range(size):
                    value += jacobians[k, a, b] * frame[i, b]
                moved[i, a] = value
        for i in range(count):
            for j in range(i):
                shared = 0.0
                for a in range(size):
                    shared += moved[i, a] * frame[j, a]
                for a in range(size):
                    moved[i, a] -= shared * frame[j, a]
            norm = 0.0
            for a in range(size):
                norm += moved[i, a] ** 2
            norm = np.sqrt(norm)
            for a in range(size):
                frame[i, a] = moved[i, a] / norm if norm > 0.0 or np.isnan(norm) else 0.0
            if k >= settle:
                total[i] += np.log(norm)
    return -np.sort(-total / (n - settle))


@dataclass(frozen=True, eq=False)
class Bifurcation:
    """Rhythms over a control value: of a neuron over V_S, or of a map over its knob p.

    Parameters
    ----------
    values
        Control values, shape (k,).
    rhythms
        Per control value, one per initial state (or per seed): k tuples of equal length m.

    Raises
    ------
    InputError
        The numbers of values and rhythms differ, or there are no rhythms.
    """

    values: FloatArray
    rhythms: tuple[tuple[Rhythm, ...], ...]

    def __post_init__(self) -> None:
        sizes = {len(row) for row in self.rhythms}
        if self.values.ndim != 1 or len(self.values) != len(self.rhythms) or len(sizes) != 1 or 0 in sizes:
            raise InputError(
                f"bifurcation: {self.values.size} control values, {len(self.rhythms)} rows of {sorted(sizes)} rhythms"
            )

    @cached_property
    def regimes(self) -> NDArray[np.intp]:
        """Regime of each run as its place in `REGIMES`, shape (k, m)."""
        return np.array([[REGIMES.index(r.regime) for r in row] for row in self.rhythms], dtype=np.intp)

    @property
    def shares(self) -> FloatArray:
        """Share of the initial states that end in each regime, shape (k, len(REGIMES))."""
        present = self.regimes[:, :, None] == np.arange(len(REGIMES))
        return np.asarray(present.mean(axis=1), dtype=np.float64)

    @property
    def dominant(self) -> tuple[Regime, ...]:
        """Regime of most initial states, per control value; the first in `REGIMES` of equals."""
        return tuple(REGIMES[k] for k in self.shares.argmax(axis=1))

    @property
    def multistable(self) -> NDArray[np.bool_]:
        """Where different initial states end in different regimes, shape (k,)."""
        return np.asarray((self.shares > 0).sum(axis=1) > 1, dtype=np.bool_)

    @property
    def intervals(self) -> tuple[FloatArray, ...]:
        """Inter-spike intervals of all runs that spike for good, s, one array per control value."""
        lasting = [[r.intervals for r in row if r.regime not in ("silent", "diverged")] for row in self.rhythms]
        return tuple(np.concatenate([np.empty(0), *row]) for row in lasting)


def scan(
    run: Callable[[float], ArrayLike], values: ArrayLike, step: float, levels: Levels, settle: float = 0.0
) -> Bifurcation:
    """Rhythms of whatever runs freely at a control value.

    Parameters
    ----------
    run
        Control value -> voltages, shape (m, n): m initial states (or seeds), in the unit of the levels.
    values
        Control values, shape (k,).
    step
        Sampling interval, s.
    levels
        Levels of the recording.
    settle
        Beginning of each run that is left out, s.
    """
    control = np.asarray(values, dtype=np.float64)
    rows = [tuple(rhythms(np.atleast_2d(np.asarray(run(float(v)))), step, levels, settle)) for v in control]
    return Bifurcation(control, tuple(rows))


def scan_neuron(
    neuron: Callable[[float], Neuron],
    values: ArrayLike,
    levels: Levels,
    *,
    duration: float = 100.0,
    step: float = 0.01,
    settle: float = 100.0,
    starts: Sequence[Sequence[float] | None] = (None,),
    executor: Executor | None = None,
) -> Bifurcation:
    """Rhythms of the true neuron over its control parameter.

    Parameters
    ----------
    neuron
        Control value (mV) -> neuron, for instance ``ShermanRinzel.modified``.
    values
        Values of V_S (mV), shape (k,).
    levels
        Levels in V, as those of a recording.
    duration, step, settle
        Each simulation lasts `settle` and then `duration`, which is sampled at every `step` (s).
    starts
        Initial states, V in mV first; None is the neuron's own.
    executor
        Works on several values at once; `neuron` must then be picklable for a pool of processes.
    """
    control = np.asarray(values, dtype=np.float64)
    work = partial(_neuron_rhythms, neuron, levels, duration, step, settle, tuple(starts))
    rows = executor.map(work, control.tolist()) if executor is not None else map(work, control.tolist())
    return Bifurcation(control, tuple(rows))


def _neuron_rhythms(
    neuron: Callable[[float], Neuron],
    levels: Levels,
    duration: float,
    step: float,
    settle: float,
    starts: tuple[Sequence[float] | None, ...],
    value: float,
) -> tuple[Rhythm, ...]:
    one = neuron(value)
    states = (one.simulate(duration, step, start=start, settle=settle)[1] for start in starts)
    return tuple(Rhythm.of(_VOLT * s[:, 0], step, levels) for s in states)
