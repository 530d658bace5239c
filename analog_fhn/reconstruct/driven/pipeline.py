"""From current-clamp sweeps to a driven twin: training on some currents, judgement on the others."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.reconstruct.driven.bench import BEFORE, Bench
from analog_fhn.reconstruct.driven.judging import (
    RULE,
    StepRun,
    intervals,
    misfit,
    rest_error,
    step_runs,
    waveform_error,
    whole_runs,
)
from analog_fhn.reconstruct.driven.noise import CurrentNoise, current_noise, noisy_counts
from analog_fhn.reconstruct.driven.training import DrivenOptions, Trained, train
from analog_fhn.reconstruct.driven.twin import DrivenTwin
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp

_FEW = 2  # spikes: steps with at most so many lie near threshold
_REPEATS = 16


@dataclass(frozen=True, eq=False)
class NoisyStep:
    """A step near threshold in noise: spikes recorded, without noise, and of each repeated run.

    Sweeps, and the steps of one, count from 1.
    """

    current: float
    sweep: int
    step: int
    recorded: int
    quiet: int
    counts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class DrivenResult:
    """A driven twin, and how it did.

    Parameters
    ----------
    twin
        The twin.
    trained
        How its map came about.
    held, others
        Steps of held-out currents and of those trained on, each from the state recorded before it.
    whole
        The held-out ones once more, their sweeps run as a whole from the beginning.
    noise
        What the map does not explain between spikes.
    near
        Held-out steps near threshold, in that noise.
    seconds
        What it took.
    """

    twin: DrivenTwin
    trained: Trained
    held: tuple[StepRun, ...]
    others: tuple[StepRun, ...]
    whole: tuple[StepRun, ...]
    noise: CurrentNoise
    near: tuple[NoisyStep, ...]
    seconds: float

    @property
    def reached(self) -> bool:
        """Whether `RULE` is met."""
        return all(run.within for run in self.held)

    def rows(self) -> list[dict[str, Any]]:
        """Each held-out step: current (A), spikes recorded and of the twin, latency, intervals (s), errors.

        Sweeps, and the steps of one, count from 1.
        """
        found = []
        for run, whole in zip(self.held, self.whole, strict=True):
            row: dict[str, Any] = {
                "current": run.step.amplitude, "sweep": run.step.sweep + 1, "step": run.step.number + 1,
                "spikes_recorded": len(run.recorded_times), "spikes_twin": len(run.times),
                "spikes_whole_sweep": len(whole.times), "within": run.within,
                "waveform_error": waveform_error(run), "rest_error": rest_error(run),
            }  # fmt: skip
            for who, times in (("recorded", run.recorded_times), ("twin", run.times)):
                names = ("latency", "first_interval", "last_interval")
                row |= {f"{name}_{who}": value for name, value in zip(names, intervals(times), strict=True)}
            found.append(row)
        return found


@single_blas()
def reconstruct_driven(
    clamp: CurrentClamp, options: DrivenOptions | None = None, seed: int = 0, progress: Progress | None = None
) -> DrivenResult:
    """Rebuild a neuron from current-clamp sweeps, the injected current being the control input.

    Parameters
    ----------
    clamp
        Sweeps of one length with steps of four or more currents.
    progress
        Called with the updates done and all of them.

    Raises
    ------
    InputError
        If the sweeps are of unequal length, too short, or have too few currents.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    begin, options = time.perf_counter(), options or DrivenOptions()
    bench = Bench.of(clamp)
    held, others = bench.held_out, bench.trained
    trained = train(bench, others, options, seed, progress)
    state_map = trained.state_map
    runs = _of_held_out(bench, step_runs(bench, state_map, held))
    noise = current_noise(bench, state_map, others)
    seconds = time.perf_counter() - begin
    notes = {
        "source": clamp.source, "sha256": clamp.sha256, "recording": list(clamp.report), "rule": RULE, "seed": seed,
        "options": asdict(options),
        "held_out": sorted({run.step.amplitude for run in runs}), "misfits": list(trained.misfits),
        "chosen": trained.chosen, "maps": list(trained.maps), "said": list(trained.notes),
        "reached": all(run.within for run in runs), "noise_density": noise.density, "means": state_map.means,
        "seconds": seconds,
    }  # fmt: skip
    return DrivenResult(
        DrivenTwin(state_map, *_curve(bench), float(np.nan_to_num(noise.per_step)), notes), trained, runs,
        tuple(step_runs(bench, state_map, others)), _of_held_out(bench, whole_runs(bench, state_map, held)), noise,
        _near_threshold(bench, runs, state_map, noise, seed), time.perf_counter() - begin,
    )  # fmt: skip


def _of_held_out(bench: Bench, runs: list[StepRun]) -> tuple[StepRun, ...]:
    """Those of a step of a held-out current; the sweep may have other steps, which nothing is learned from either."""
    held_out = bench.clamp.held_out
    return tuple(run for run in runs if run.step.amplitude in held_out)


def _curve(bench: Bench) -> tuple[Any, Any, Any]:
    """Recorded currents (A), rates (1/s) and baselines (V) at them, means over all steps of a current."""
    currents, rates, base = bench.clamp.currents, [], []
    for current in currents:
        steps = [s for s in bench.clamp.steps if s.amplitude == current]
        rates.append(np.mean([len(bench.clamp.spikes(s)) / (len(s) * bench.clamp.step) for s in steps]))
        base.append(np.mean([bench.base[s.sweep] for s in steps]))
    return currents, np.array(rates), np.array(base)


def _near_threshold(
    bench: Bench, runs: tuple[StepRun, ...], state_map: Any, noise: CurrentNoise, seed: int
) -> tuple[NoisyStep, ...]:
    """Held-out steps from the largest silent current to the last with few spikes, in noise; none if it is not known."""
    if np.isnan(noise.per_step):
        return ()
    silent = [run.step.amplitude for run in runs if not len(run.recorded_times)]
    floor = max(silent, default=-np.inf)
    found = []
    for run in runs:
        if run.step.amplitude >= floor and len(run.recorded_times) <= _FEW:
            number = bench.clamp.steps.index(run.step)
            counts = noisy_counts(bench, state_map, noise.per_step, number, _REPEATS, seed)
            place = run.step.sweep + 1, run.step.number + 1
            spikes = len(run.recorded_times), len(run.times)
            found.append(NoisyStep(run.step.amplitude, *place, *spikes, tuple(counts.tolist())))
    return tuple(found)


__all__ = ["BEFORE", "DrivenOptions", "DrivenResult", "misfit", "reconstruct_driven"]
