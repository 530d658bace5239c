"""What a driven twin is judged by: free runs under the recorded current, and the rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.bench import BEFORE, Bench
from analog_fhn.reconstruct.driven.map import DrivenMap
from analog_fhn.reconstruct.recordings.current_clamp import Step, spike_times

RULE = (
    "held out: of the n distinct currents, in increasing order, the middle one of each of ceil(n/4) equal parts, in "
    "all steps that have it; each step is run from the state recorded 50 ms before it; reached if in every held-out "
    "step with spikes the twin's count is within one spike or 15 % of the recorded one, and it is silent in every one "
    "without"
)
"""Fixed before any twin is trained, and kept in its file."""

_SHARE = 0.15
_EARLY = 2e-3  # V by which the voltage before a spike may be off before it counts as much as a spike
_UPSTROKE = 2e-3  # s before a spike that belong to it


@dataclass(frozen=True, eq=False)
class StepRun:
    """A step of current, recorded and run.

    Parameters
    ----------
    step
        Of the recording.
    recorded, run
        Voltage at the map's step, from `begin` samples before the step to its end, shape (n,) each, V.
    begin
        Samples before the step.
    interval
        The map's step (s).
    recorded_times, times
        Spikes, s after the step's beginning; the recorded ones of the recording as it is.
    """

    step: Step
    recorded: FloatArray
    run: FloatArray
    begin: int
    interval: float
    recorded_times: FloatArray
    times: FloatArray

    @property
    def within(self) -> bool:
        """Whether the count is as `RULE` wants it."""
        return within(len(self.recorded_times), len(self.times))


def within(recorded: int, run: float) -> bool:
    """`RULE` for one step."""
    return run == 0 if recorded == 0 else abs(run - recorded) <= max(1.0, _SHARE * recorded)


def step_runs(bench: Bench, state_map: DrivenMap, which: NDArray[np.intp]) -> list[StepRun]:
    """Every step of some sweeps, each run from the state `BEFORE` it; in the recording's order."""
    return runs_of_several(bench, [state_map], which)[0]


def runs_of_several(bench: Bench, maps: Sequence[DrivenMap], which: NDArray[np.intp]) -> list[list[StepRun]]:
    """As `step_runs`, of maps that differ only in `DrivenMap.centre` and `unit`, all at once."""
    runs: list[dict[int, StepRun]] = [{} for _ in maps]
    for (begin, n), numbers in _by_length(bench, which).items():
        centre, unit = (np.repeat([getattr(m, name) for m in maps], len(numbers), 0) for name in ("centre", "unit"))
        every = numbers * len(maps)
        sweeps = np.array([bench.steps[number].sweep for number in every])
        first = np.array([bench.steps[number].start for number in every]) - begin
        part = sweeps[:, None], first[:, None] + np.arange(n)
        state = bench.state(sweeps, first)
        voltage = replace(maps[0], centre=centre, unit=unit).run(state, bench.current[part])
        for k, (number, recorded, ours) in enumerate(zip(every, bench.voltage[part], voltage, strict=True)):
            runs[k // len(numbers)][number] = _step_run(bench, number, recorded, ours, begin)
    return [[of[number] for number in sorted(of)] for of in runs]


def _by_length(bench: Bench, which: NDArray[np.intp]) -> dict[tuple[int, int], list[int]]:
    """Numbers of the steps of some sweeps by the samples before them and all samples of their runs."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, step in enumerate(bench.steps):
        if step.sweep in which:
            begin = min(step.start, round(BEFORE / bench.step))
            found.setdefault((begin, begin + len(step)), []).append(number)
    return found


def whole_runs(bench: Bench, state_map: DrivenMap, which: NDArray[np.intp]) -> list[StepRun]:
    """Every step of some sweeps, each sweep run as a whole from its first recorded sample."""
    voltage = state_map.run(bench.state(which, 0), bench.current[which])
    return [
        _step_run(bench, number, bench.voltage[s.sweep, : s.stop], voltage[where[0], : s.stop], s.start)
        for number, s in enumerate(bench.steps)
        if len(where := np.flatnonzero(which == s.sweep))
    ]


def _step_run(bench: Bench, number: int, recorded: FloatArray, run: FloatArray, begin: int) -> StepRun:
    step = bench.clamp.steps[number]
    times = spike_times(run[begin:], bench.step)
    return StepRun(step, recorded, run, begin, bench.step, bench.spike_times[number], times)


def misfit(runs: list[StepRun]) -> float:
    """How far runs are from the recording: 0 if they are the same.

    Mean over steps of four terms: the difference in counts, in units of what `RULE` allows, at most 3; the mean
    difference in time of the spikes that both have, in units of the step's mean interval, at most 1; that of their mean
    waveforms, see `waveform_error`, at most 1; and the rms difference of the voltage from the step's beginning to the
    first spike of either, in 2 mV, at most 1. Counts alone leave the threshold anywhere between a silent step and one
    that spikes.
    """
    total = 0.0
    for run in runs:
        recorded, ours = run.recorded_times, run.times
        n = len(recorded)
        total += min(3.0, abs(len(ours) - n) / max(1.0, _SHARE * n)) + _early_error(run)
        both = min(n, len(ours))
        if both:
            length = run.interval * (len(run.recorded) - run.begin)
            total += min(1.0, float(np.abs(recorded[:both] - ours[:both]).mean()) * n / length)
            total += min(1.0, float(np.nan_to_num(waveform_error(run))))
    return total / len(runs)


def _early_error(run: StepRun) -> float:
    """Rms difference of the voltage before there is a spike, in `_EARLY`, at most 1."""
    first = min((times[0] for times in (run.recorded_times, run.times) if len(times)), default=np.inf)
    stop = min(len(run.run), run.begin + max(0.0, first - _UPSTROKE) / run.interval)
    difference = (run.run - run.recorded)[run.begin : int(stop)]
    return min(1.0, float(np.sqrt(np.mean(difference**2))) / _EARLY) if len(difference) else 0.0


def waveform_error(run: StepRun) -> float:
    """Rms difference of the mean spike of a run from the recorded one, relative to the recorded one's range.

    From 2 ms before the level is crossed to 8 ms after; NaN where either has no spike.
    """
    recorded, ours = (
        _mean_spike(voltage, times, run)
        for voltage, times in ((run.recorded, run.recorded_times), (run.run, run.times))
    )
    if recorded is None or ours is None:
        return float("nan")
    return float(np.sqrt(np.mean((ours - recorded) ** 2)) / np.ptp(recorded))


def _mean_spike(voltage: FloatArray, times: FloatArray, run: StepRun) -> FloatArray | None:
    """Mean over spikes that lie in the run with all their surroundings, shape (101,); None: there is none."""
    around = np.linspace(-2e-3, 8e-3, 101)
    at = run.begin * run.interval + times
    at = at[(at + around[0] >= 0) & (at + around[-1] <= (len(voltage) - 1) * run.interval)]
    if not len(at):
        return None
    samples = run.interval * np.arange(len(voltage))
    return np.asarray(np.interp(at[:, None] + around, samples, voltage).mean(axis=0))


def rest_error(run: StepRun) -> float:
    """Rms difference (V) of a silent run from a silent recording during the step; NaN where either spikes."""
    if len(run.times) or len(run.recorded_times):
        return float("nan")
    return float(np.sqrt(np.mean((run.run - run.recorded)[run.begin :] ** 2)))


def intervals(times: FloatArray) -> tuple[float, float, float]:
    """Time to the first spike, first interval and last interval (s); NaN where there are too few spikes."""
    gaps = np.diff(times)
    first = float(times[0]) if len(times) else float("nan")
    return (first, float(gaps[0]), float(gaps[-1])) if len(gaps) else (first, float("nan"), float("nan"))
