"""A neuron's voltage while known currents were injected into it, sweep by sweep: what the steps of current did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analog_fhn._support.words import counted
from analog_fhn.crossings import Rises
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

SPIKE_LEVEL = -0.010
"""A spike is where the voltage (V) rises through this level ..."""

REARM_LEVEL = -0.020
"""... after it was below this one since the spike before: noise about the level makes no spikes of its own."""

HELD_OUT = 4
"""One of so many currents is held out; see `held_out_currents`."""


@dataclass(frozen=True)
class Step:
    """A stretch of constant current that differs between the sweeps.

    Parameters
    ----------
    sweep
        Number of the sweep, from 0.
    number
        Which of the sweep's steps it is, from 0.
    start, stop
        Samples ``start <= k < stop`` of the sweep have the current.
    amplitude
        The current (A).
    before
        The current right before it (A).
    """

    sweep: int
    number: int
    start: int
    stop: int
    amplitude: float
    before: float

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class CurrentClamp:
    """Voltage of one neuron in sweeps, the current that was injected, and the steps of this current.

    Parameters
    ----------
    voltage
        V, an array of shape (n_k,) for each sweep.
    current
        A, as many samples in each sweep.
    step
        Sampling interval (s).
    steps
        In order of sweeps, and of time within each.
    source
        Titles and files call the recording so.
    sha256
        Of the file; empty if there is none.
    report
        What was noticed and decided while it was read, a sentence each.

    Raises
    ------
    InputError
        If there is no sweep, the shapes of voltage and current differ, a number is not finite, the sampling interval
        is not above 0, or a step does not lie within its sweep.
    """

    voltage: tuple[FloatArray, ...]
    current: tuple[FloatArray, ...]
    step: float
    steps: tuple[Step, ...]
    source: str = ""
    sha256: str = ""
    report: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        what = self.source or "recording"
        if not self.voltage or len(self.voltage) != len(self.current):
            raise InputError(
                f"{what}: {len(self.voltage)} sweeps of voltage, {len(self.current)} of current; expected as many"
            )
        if not (math.isfinite(self.step) and self.step > 0):
            raise InputError(f"{what}: a sample every {self.step} s; expected a positive interval")
        for k, (v, i) in enumerate(zip(self.voltage, self.current, strict=True)):
            if v.ndim != 1 or v.shape != i.shape or not len(v):
                raise InputError(
                    f"{what}, sweep {k + 1}: voltage has shape {v.shape}, current {i.shape}; expected (n,) of both"
                )
            if not (np.isfinite(v).all() and np.isfinite(i).all()):
                raise InputError(f"{what}, sweep {k + 1}: a sample is not finite; expected numbers throughout")
        for step in self.steps:
            if not (
                0 <= step.sweep < len(self.voltage) and 0 <= step.start < step.stop <= len(self.voltage[step.sweep])
            ):
                raise InputError(f"{what}: {step} does not lie within a sweep")

    @property
    def currents(self) -> FloatArray:
        """Distinct currents of the steps (A), increasing."""
        return np.unique([step.amplitude for step in self.steps])

    @property
    def trained(self) -> list[int]:
        """Numbers of the sweeps that something may be fitted to: those without a step of a held-out current.

        Raises
        ------
        InputError
            If there is none with a step, or the recording has too few currents.
        """
        held_out = self.held_out
        left_out = {step.sweep for step in self.steps if step.amplitude in held_out}
        others = [number for number in range(len(self.voltage)) if number not in left_out]
        if not {step.sweep for step in self.steps} - left_out:
            currents = ", ".join(f"{1e12 * current:g}" for current in held_out)
            raise InputError(
                f"{self.source or 'recording'}: every sweep has a step of a current that is held out ({currents} pA); "
                "expected sweeps that have none, since nothing is fitted to a sweep that has one"
            )
        return others

    @property
    def held_out(self) -> FloatArray:
        """Currents (A) that nothing is fitted to: `held_out_currents` of the recording.

        Raises
        ------
        InputError
            If there are too few currents.
        """
        try:
            return held_out_currents(self.currents)
        except InputError as error:
            raise InputError(f"{self.source or 'recording'}: {error}") from None

    def check_spikes(self) -> None:
        """Refuse a recording without a spike.

        Raises
        ------
        InputError
            If there is none in any step.
        """
        if not any(len(self.spikes(step)) for step in self.steps):
            low, high = 1e3 * min(float(v.min()) for v in self.voltage), 1e3 * max(float(v.max()) for v in self.voltage)
            raise InputError(
                f"{self.source or 'recording'}: no spike in any of its {counted(len(self.steps), 'step')}, the voltage "
                f"goes from {low:.4g} to {high:.4g} mV; expected a neuron that rises through {1e3 * SPIKE_LEVEL:g} mV"
            )

    @property
    def uniform(self) -> tuple[FloatArray, FloatArray]:
        """Voltage (V) and current (A) of all sweeps, shape (sweeps, samples) each.

        Raises
        ------
        InputError
            If the sweeps are not of one length.
        """
        lengths = sorted({len(v) for v in self.voltage})
        if len(lengths) > 1:
            raise InputError(
                f"{self.source or 'recording'}: sweeps of {lengths[0]} to {lengths[-1]} samples; expected one length"
            )
        return np.stack(self.voltage), np.stack(self.current)

    def during(self, step: Step, before: int = 0, after: int = 0) -> FloatArray:
        """Voltage (V) in a step and so many samples before and after it, as far as the sweep has them."""
        return self.voltage[step.sweep][max(0, step.start - before) : step.stop + after]

    def spikes(self, step: Step, level: float = SPIKE_LEVEL, rearm: float = REARM_LEVEL) -> FloatArray:
        """Times (s) from the step's beginning at which the voltage spikes, as `spike_times`."""
        return spike_times(self.during(step), self.step, level, rearm)


def spike_times(voltage: FloatArray, step: float, level: float = SPIKE_LEVEL, rearm: float = REARM_LEVEL) -> FloatArray:
    """Times (s) from the first sample at which a voltage (V), shape (n,), rises through `level`.

    Parameters
    ----------
    step
        Sampling interval (s).
    rearm
        A spike counts where the voltage was below this level (V) since the spike before.
    """
    return step * Rises.of(voltage, level, rearm).times(voltage, level)


def held_out_currents(currents: Sequence[float] | FloatArray) -> FloatArray:
    """Currents that nothing is fitted to, and fits are judged on: declared here, before any of them was made.

    The n distinct currents in increasing order are cut into ceil(n / 4) equal parts, and the one in the middle of each
    part is held out: every fourth from the third where n is a multiple of 4. Neither the lowest nor the highest is
    held out, from 4 currents on: nothing is judged by extrapolation.

    Raises
    ------
    InputError
        If there are fewer than 4 currents.
    """
    distinct = np.unique(np.asarray(currents, dtype=np.float64))
    n = len(distinct)
    if n < HELD_OUT:
        raise InputError(f"steps of {counted(n, 'current')}; expected at least {HELD_OUT}, of which one is held out")
    parts = math.ceil(n / HELD_OUT)
    return distinct[[(2 * k + 1) * n // (2 * parts) for k in range(parts)]]


def steps_of(current: Sequence[FloatArray], shortest: int) -> tuple[Step, ...]:
    """Steps of the injected current (A), one array of shape (n_k,) for each sweep, of at least `shortest` samples.

    Where the sweeps change their current at common times, these cut all of them, and a stretch counts as steps if its
    current differs between the sweeps: a conditioning pulse that is the same in all of them is none, and a current
    equal to the holding one is a step like the others. Otherwise, and in a single sweep, each stretch whose current
    differs from the sweep's first one is a step.
    """
    changes = [np.flatnonzero(np.diff(i)) + 1 for i in current]
    common = max(changes, key=len)
    shared = len(current) > 1 and all(np.isin(c, common).all() for c in changes)
    longest = max(map(len, current))
    bounds = [[0, *common.tolist(), longest] if shared else [0, *c.tolist(), len(i)]
              for i, c in zip(current, changes, strict=True)]  # fmt: skip
    return tuple(
        Step(sweep, number, start, stop, float(own[start]), float(own[start - 1]))
        for sweep, own in enumerate(current)
        for number, (start, stop) in enumerate(_steps(current if shared else None, own, bounds[sweep], shortest))
    )


def _steps(
    sweeps: Sequence[FloatArray] | None, own: FloatArray, bounds: Sequence[int], shortest: int
) -> Iterator[tuple[int, int]]:
    """First sample, and the one behind the last, of the stretches of a sweep that are steps.

    Those whose current is not that of all `sweeps`, or, if there are none to compare with, not that of the sweep's
    beginning. The stretch that the sweep begins with is none, and neither is one that it does not have as a whole.
    """
    for start, stop in pairwise(bounds[1:]):
        if stop - start < shortest or stop > len(own):
            continue
        others = own[:1] if sweeps is None else np.array([i[start] for i in sweeps if start < len(i)])
        if (others != own[start]).any():
            yield start, stop
