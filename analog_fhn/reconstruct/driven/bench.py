"""Sweeps of a current clamp at the step of a driven map, with the state of the map along them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.traces import State, traces
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, Step

STEP = 0.25e-3
"""Longest step of a driven map (s): means over as many samples are taken as go into it."""

BEFORE = 0.05
"""A step of current is run from the state recorded so long before it (s)."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Sweeps of one length, prepared once for training and for many runs from their states.

    Parameters
    ----------
    clamp
        The recording as it is.
    voltage, current
        At the map's step, shape (m, n), V and A.
    step
        s.
    steps
        Steps of current, in samples of the map's step; in the recording's order.
    base
        Median voltage before the first step of each sweep, shape (m,), V.
    slow, spikes
        Traces along the sweeps, shapes (m, n, 7) and (m, n, 3).
    """

    clamp: CurrentClamp
    voltage: FloatArray
    current: FloatArray
    step: float
    steps: tuple[Step, ...]
    base: FloatArray
    slow: FloatArray
    spikes: FloatArray

    @classmethod
    def of(cls, clamp: CurrentClamp, longest: float = STEP) -> Bench:
        """From a recording, at the largest whole number of its samples within `longest` (s).

        Raises
        ------
        InputError
            If sweeps are of unequal length, or there are no steps.
        """
        voltage, current = clamp.uniform
        if not clamp.steps:
            raise InputError(f"{clamp.source}: no step of current in it; a driven twin is learned from steps")
        every = max(1, int(longest / clamp.step + 1e-6))
        n = voltage.shape[1] // every
        shape = (len(voltage), n, every)
        voltage = voltage[:, : n * every].reshape(shape).mean(axis=2)
        current = current[:, : n * every].reshape(shape)[:, :, -1]
        steps = tuple(replace(s, start=s.start // every, stop=min(s.stop // every, n)) for s in clamp.steps)
        first = max(1, min(s.start for s in steps))
        base = np.median(voltage[:, :first], axis=1)
        step = clamp.step * every
        return cls(clamp, voltage, current, step, steps, base, *traces(voltage, base, step))

    def __len__(self) -> int:
        return len(self.voltage)

    @property
    def held_out(self) -> NDArray[np.intp]:
        """Numbers of the sweeps that have a step of a held-out current."""
        return np.setdiff1d(np.arange(len(self)), self.trained)

    @property
    def trained(self) -> NDArray[np.intp]:
        """Numbers of the other sweeps: `CurrentClamp.trained`."""
        return np.array(self.clamp.trained, dtype=np.intp)

    @cached_property
    def spike_times(self) -> tuple[FloatArray, ...]:
        """Recorded spikes of each step, s after its beginning."""
        return tuple(self.clamp.spikes(step) for step in self.clamp.steps)

    @property
    def windows(self) -> dict[tuple[int, int], list[int]]:
        """Numbers of the steps by their (first sample, first sample after)."""
        found: dict[tuple[int, int], list[int]] = {}
        for number, step in enumerate(self.steps):
            found.setdefault((step.start, step.stop), []).append(number)
        return found

    def state(self, which: NDArray[np.intp], place: int | NDArray[np.intp]) -> State:
        """Recorded state of some sweeps at a sample, or at one for each."""
        return State(self.voltage[which, place], self.slow[which, place], self.spikes[which, place], self.base[which])
