"""What a neuron does at each step of injected current: spikes, rate, intervals, adaptation, and where they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.current_clamp import REARM_LEVEL, SPIKE_LEVEL, CurrentClamp, Step

_BASELINE = 0.1  # s before a step that its baseline is taken from, or as much as has one current


@dataclass(frozen=True, eq=False)
class StepResponse:
    """A step of current and what it did.

    Parameters
    ----------
    step
        The step.
    duration
        Its length (s).
    baseline
        Median voltage (V) of the 0.1 s before it, as far back as the current was the same.
    spikes
        Times of spikes (s) from its beginning, shape (n,).
    peaks
        Highest voltage (V) of each spike, shape (n,).
    """

    step: Step
    duration: float
    baseline: float
    spikes: FloatArray
    peaks: FloatArray

    @property
    def rate(self) -> float:
        """Spikes per second, over the whole step."""
        return len(self.spikes) / self.duration

    @property
    def latency(self) -> float | None:
        """Time of the first spike (s); None: there is none."""
        return float(self.spikes[0]) if len(self.spikes) else None

    @property
    def intervals(self) -> FloatArray:
        """Intervals between spikes (s)."""
        return np.diff(self.spikes)

    @property
    def first_interval(self) -> float | None:
        """First interval (s); None with fewer than two spikes."""
        return float(self.intervals[0]) if len(self.spikes) > 1 else None

    @property
    def last_interval(self) -> float | None:
        """Last interval (s); None with fewer than two spikes."""
        return float(self.intervals[-1]) if len(self.spikes) > 1 else None

    @property
    def adaptation(self) -> float | None:
        """Adaptation index; None with fewer than three spikes.

        Mean of (b - a) / (b + a) over successive intervals a, b, as in the Allen Cell Types Database's
        electrophysiology: above 0 where intervals grow.
        """
        i = self.intervals
        return float(np.mean(np.diff(i) / (i[1:] + i[:-1]))) if len(i) > 1 else None

    @property
    def record(self) -> dict[str, Any]:
        """Row of a table, in SI units; None where there is no value."""
        step = self.step
        return {
            "sweep": step.sweep + 1, "step": step.number + 1, "current": step.amplitude, "current_before": step.before,
            "duration": self.duration, "baseline": self.baseline, "spikes": len(self.spikes), "rate": self.rate,
            "latency": self.latency, "first_interval": self.first_interval, "last_interval": self.last_interval,
            "adaptation": self.adaptation, "first_peak": float(self.peaks[0]) if len(self.peaks) else None,
            "last_peak": float(self.peaks[-1]) if len(self.peaks) else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Threshold:
    """Between which of the currents that were tried a neuron begins to spike.

    Parameters
    ----------
    silent
        Largest current (A) without a spike below all that have some; None: it spiked at all of them.
    spiking
        Smallest current (A) above it, at which it spiked.
    """

    silent: float | None
    spiking: float


def step_responses(clamp: CurrentClamp, level: float = SPIKE_LEVEL, rearm: float = REARM_LEVEL) -> list[StepResponse]:
    """Responses to all steps, in their order; levels (V) as for `spike_times`."""
    return [_response(clamp, step, level, rearm) for step in clamp.steps]


def threshold(responses: Sequence[StepResponse]) -> Threshold:
    """Threshold current of the steps of one number; use one at a time, as what comes before a step moves it.

    Raises
    ------
    InputError
        If there is no spike at any current.
    """
    counts: dict[float, int] = {}
    for response in responses:
        amplitude = response.step.amplitude
        counts[amplitude] = counts.get(amplitude, 0) + len(response.spikes)
    spiking = sorted(current for current, n in counts.items() if n)
    if not spiking:
        raise InputError(f"no spike at any of {len(counts)} currents up to {max(counts, default=0.0):.4g} A")
    silent = [current for current, n in counts.items() if not n and current < spiking[0]]
    return Threshold(max(silent, default=None), spiking[0])


def _response(clamp: CurrentClamp, step: Step, level: float, rearm: float) -> StepResponse:
    spikes = clamp.spikes(step, level, rearm)
    voltage, current = clamp.during(step), clamp.current[step.sweep]
    reach = min(step.start, max(1, round(_BASELINE / clamp.step)))
    others = np.flatnonzero(current[step.start - reach : step.start] != step.before)
    since = step.start - reach + (int(others[-1]) + 1 if others.size else 0)
    begins = np.ceil(spikes / clamp.step).astype(int)
    ends = [*begins.tolist(), len(voltage)][1:]
    return StepResponse(
        step, len(step) * clamp.step, float(np.median(clamp.voltage[step.sweep][since : step.start])), spikes,
        np.array([voltage[a:b].max() for a, b in zip(begins, ends, strict=True)]),
    )  # fmt: skip
