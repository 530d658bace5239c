"""What a driven map leaves unexplained between spikes, as white current noise; what it changes near threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.bench import BEFORE, Bench
from analog_fhn.reconstruct.driven.map import DrivenMap
from analog_fhn.reconstruct.recordings.current_clamp import spike_times

_QUIET = 0.02  # s around a fast change that are left out
_FAST = 1e-3  # V in a step
_SHORT, _LONG = 4, 40  # steps over which the error is summed
_PROBE = 1e-12  # A


@dataclass(frozen=True)
class CurrentNoise:
    """White noise of the injected current that explains what a map does not.

    Parameters
    ----------
    per_step
        Standard deviation of what it adds to the voltage in one step of the map (V).
    density
        One-sided spectral density of the current (A/sqrt(Hz)).
    one_step
        Rms one-step error between spikes (V), the noise of the measurement included.

    All are NaN where the neuron is nowhere quiet for long enough to tell.
    """

    per_step: float
    density: float
    one_step: float


def current_noise(bench: Bench, state_map: DrivenMap, which: NDArray[np.intp]) -> CurrentNoise:
    """Noise of some sweeps between their spikes.

    Noise of the measurement is in the one-step errors too, but does not add up: of the errors summed over k steps the
    variance is ``2 m^2 + k s^2``, whose slope between 4 and 40 steps is the variance s^2 of what drives the neuron.
    """
    n = bench.voltage.shape[1] - 1
    base = np.broadcast_to(bench.base[which, None], (len(which), n))
    parts = bench.voltage[which, :n], bench.slow[which, :n], bench.spikes[which, :n]
    current = bench.current[which, :n]
    change = state_map.change(*parts, current, base)
    moved = np.diff(bench.voltage[which], axis=1)
    error = moved - change
    steady = np.diff(bench.current[which], axis=1) == 0
    quiet = _quiet(moved, steady, round(_QUIET / bench.step))
    short, long = (_variance_of_sums(error, quiet, k) for k in (_SHORT, _LONG))
    if np.isnan(long):
        return CurrentNoise(np.nan, np.nan, np.nan)
    per_step = float(np.sqrt(max(0.0, (long - short) / (_LONG - _SHORT))))
    gain = (state_map.change(*parts, current + _PROBE, base) - change)[quiet].mean() / _PROBE
    density = per_step / abs(float(gain)) * np.sqrt(2 * bench.step) if gain else 0.0
    return CurrentNoise(per_step, float(density), float(np.sqrt(np.mean(error[quiet] ** 2))))


def white_noise(per_step: float, shape: tuple[int, ...], seed: int) -> FloatArray:
    """Normal numbers of this standard deviation."""
    return per_step * np.random.default_rng(seed).standard_normal(shape)


def _quiet(moved: FloatArray, steady: NDArray[np.bool_], around: int) -> NDArray[np.bool_]:
    """Where no fast change of the voltage, and none of the current, is near, shape (m, n)."""
    disturbed = (np.abs(moved) > _FAST) | ~steady
    window = np.ones(2 * around + 1)
    return np.stack([np.convolve(row, window, "same") < 0.5 for row in disturbed])


def _variance_of_sums(error: FloatArray, quiet: NDArray[np.bool_], k: int) -> float:
    """Variance of sums of k successive errors, all of them quiet; robust: from the median of their size; NaN: none."""
    n = error.shape[1] // k * k
    sums = error[:, :n].reshape(len(error), -1, k).sum(axis=2)
    whole = quiet[:, :n].reshape(len(error), -1, k).all(axis=2)
    if not whole.any():
        return float("nan")
    values = sums[whole] - np.median(sums[whole])
    return float((np.median(np.abs(values)) / 0.6745) ** 2)


def noisy_counts(
    bench: Bench, state_map: DrivenMap, per_step: float, number: int, repeats: int, seed: int
) -> NDArray[np.intp]:
    """Spikes in repeated runs of one step of current in noise, shape (repeats,), from the state `BEFORE` it."""
    step = bench.steps[number]
    first = max(0, step.start - round(BEFORE / bench.step))
    sweeps = np.full(repeats, step.sweep)
    current = bench.current[sweeps, first : step.stop]
    noise = white_noise(per_step, current.shape, seed)
    voltage = state_map.run(bench.state(sweeps, first), current, noise)
    return np.array([len(spike_times(v[step.start - first :], bench.step)) for v in voltage])
