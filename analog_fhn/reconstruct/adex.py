"""The adaptive exponential integrate-and-fire neuron, fitted to steps of current: a baseline with eleven numbers.

C dV/dt = -g (V - E) + g D exp((V - T) / D) - w + I,  tau dw/dt = a (V - E) - w; where V runs away, V = R and w grows
by b (Brette and Gerstner, J. Neurophysiol. 94:3637, 2005), with a refractory time, and with a current k (B - B0) for a
recording whose resting voltage B differs between sweeps though the injected current does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import Bounds, differential_evolution

from analog_fhn._support.compiled import compiled
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, Step

_DT = 1e-4  # s of an integration step, or the sampling interval if that is longer
_QUIET = 0.1  # s before the first edge of the current that the resting voltage of a sweep is taken from
_CUT = 10.0  # D above T at which V counts as run away
_LOWEST = -0.5  # V: nothing goes further
_MOST = 2000  # spikes in one sweep
_SILENT = 5e-3  # V by which the voltage of a silent step may be off before it counts as much as a spike
_TOLERANCE = 0.15  # share of the spikes that counts as much as one spike where there are many


@dataclass(frozen=True)
class Adex:
    """Parameters of the neuron, SI units.

    Parameters
    ----------
    capacitance, conductance, rest
        C (F), g (S), E (V).
    threshold, width
        T and D (V).
    coupling, time_constant, jump
        a (S), tau (s), b (A).
    reset, refractory
        R (V), and the time (s) for which V stays there.
    drift, centre
        k (S) and B0 (V).
    """

    capacitance: float
    conductance: float
    rest: float
    threshold: float
    width: float
    coupling: float
    time_constant: float
    jump: float
    reset: float
    refractory: float
    drift: float
    centre: float

    def sweep_spikes(self, clamp: CurrentClamp, sweep: int) -> FloatArray:
        """Times of spikes (s) from the beginning of a sweep, run from its resting voltage with its current."""
        return _Sweep.of(clamp, sweep).run(_values(self))[0]

    def spikes(self, clamp: CurrentClamp, step: Step) -> FloatArray:
        """Times of spikes (s) from the beginning of a step; the run begins with the sweep."""
        return _within(self.sweep_spikes(clamp, step.sweep), clamp, step)

    def counts(self, clamp: CurrentClamp, currents: FloatArray) -> list[tuple[Step, FloatArray]]:
        """Steps at these currents (A), such as `clamp.held_out`, each with its `spikes`."""
        steps = [step for step in clamp.steps if step.amplitude in currents]
        sweeps = {number: self.sweep_spikes(clamp, number) for number in sorted({step.sweep for step in steps})}
        return [(step, _within(sweeps[step.sweep], clamp, step)) for step in steps]


def _within(times: FloatArray, clamp: CurrentClamp, step: Step) -> FloatArray:
    """Those of a sweep's spikes that lie in a step, from its beginning (s)."""
    since = times - step.start * clamp.step
    return since[(since >= 0.0) & (since < len(step) * clamp.step)]


# Ranges; those that span decades are searched on a logarithmic scale.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "capacitance": (5e-12, 1e-9, True), "conductance": (2e-10, 5e-8, True), "rest": (-0.09, -0.03, False),
    "threshold": (-0.065, -0.01, False), "width": (2e-4, 1e-2, True), "coupling": (-5e-9, 2e-8, False),
    "time_constant": (5e-3, 2.0, True), "jump": (1e-13, 5e-10, True), "reset": (-0.08, -0.02, False),
    "refractory": (0.0, 1e-2, False), "drift": (-1e-8, 1e-8, False),
}  # fmt: skip


def fit_adex(
    clamp: CurrentClamp, seed: int, *, generations: int = 100, progress: Callable[[int, int], None] | None = None
) -> Adex:
    """Fit to the sweeps without a held-out current, by differential evolution.

    What is minimised, the mean over the steps: the difference of the numbers of spikes, in spikes or in 15 % of the
    recorded ones, whichever is more; plus the mean distance of spikes of one number, in mean recorded intervals, at
    most 1; for steps that are silent in both, the difference of the mean voltage in 5 mV, at most 1.

    Parameters
    ----------
    seed
        Of the search.
    generations
        Of a population of 110 neurons.
    progress
        Called with generations done and all.

    Raises
    ------
    InputError
        If the recording has fewer than four currents, no sweep without one that is held out, or no spike in those.
    """
    objective = _Objective(clamp)
    done = 0

    def after(*_: object, **__: object) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, generations)

    low, high = (np.array([np.log(r[k]) if r[2] else r[k] for r in _RANGES.values()]) for k in (0, 1))
    found = differential_evolution(
        objective, Bounds(low, high), maxiter=generations, popsize=10, rng=seed, polish=False,
        tol=0.0, init="sobol", callback=after,
    )  # fmt: skip
    return _adex(found.x, objective.centre)


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Current of a sweep at the steps of the integration, up to the end of its last step, and its resting voltage."""

    current: FloatArray
    dt: float
    baseline: float

    @classmethod
    def of(cls, clamp: CurrentClamp, sweep: int) -> _Sweep:
        stride = max(1, int(_DT / clamp.step + 0.5))
        voltage, current = clamp.voltage[sweep], clamp.current[sweep]
        edges = np.flatnonzero(np.diff(current)) + 1
        first = int(edges[0]) if len(edges) else len(current)
        quiet = voltage[max(0, first - round(_QUIET / clamp.step)) : first]
        last = max((step.stop for step in clamp.steps if step.sweep == sweep), default=len(current))
        return cls(np.ascontiguousarray(current[:last:stride]), stride * clamp.step, float(np.median(quiet)))

    def run(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Times of spikes (s), and the voltage (V) at each step of the integration."""
        times, voltage = np.empty(_MOST), np.empty(len(self.current))
        number = _integrate(values, self.current, self.dt, self.baseline, times, voltage)
        return times[:number].copy(), voltage


class _Objective:
    """How far a neuron is from the steps that it is fitted to."""

    def __init__(self, clamp: CurrentClamp) -> None:
        trained = clamp.trained
        self.clamp = clamp
        self.steps = [step for step in clamp.steps if step.sweep in trained]
        self.recorded = [clamp.spikes(step) for step in self.steps]
        if not any(len(spikes) for spikes in self.recorded):
            raise InputError(
                f"{clamp.source or 'recording'}: no spike in the sweeps that a neuron is fitted to; expected some"
            )
        self.means = [float(clamp.during(step).mean()) for step in self.steps]
        self.sweeps = {step.sweep: _Sweep.of(clamp, step.sweep) for step in self.steps}
        self.centre = float(np.median([sweep.baseline for sweep in self.sweeps.values()]))

    def __call__(self, x: FloatArray) -> float:
        values = _values(_adex(x, self.centre))
        runs = {number: sweep.run(values) for number, sweep in self.sweeps.items()}
        return float(np.mean([self._error(k, *runs[step.sweep]) for k, step in enumerate(self.steps)]))

    def _error(self, k: int, times: FloatArray, voltage: FloatArray) -> float:
        step, recorded, dt = self.steps[k], self.recorded[k], self.sweeps[self.steps[k].sweep].dt
        begin, end = step.start * self.clamp.step, step.stop * self.clamp.step
        own = times[np.searchsorted(times, begin) : np.searchsorted(times, end)] - begin
        counts = abs(len(own) - len(recorded)) / max(1.0, _TOLERANCE * len(recorded))
        common = min(len(own), len(recorded))
        if common:
            scale = (end - begin) / len(recorded)
            return counts + min(1.0, float(np.abs(own[:common] - recorded[:common]).mean()) / scale)
        if len(own) or len(recorded):
            return counts + 1.0
        mean = voltage[int(begin / dt) : int(end / dt)].mean()
        return min(1.0, abs(float(mean) - self.means[k]) / _SILENT)


def _adex(x: FloatArray, centre: float) -> Adex:
    """Neuron of a point of the search."""
    values = {name: float(np.exp(v) if log else v) for v, (name, (_, _, log)) in zip(x, _RANGES.items(), strict=True)}
    return Adex(**values, centre=centre)


def _values(neuron: Adex) -> FloatArray:
    return np.array([getattr(neuron, field.name) for field in fields(neuron)])


@compiled()
def _integrate(values, current, dt, baseline, times, voltage):  # type: ignore[no-untyped-def]
    """Forward Euler; the number of spikes, of which the first ones are written to `times`."""
    c, g, rest, threshold, width, a, tau, b, reset, refractory, drift, centre = values
    offset, cut, onset = drift * (baseline - centre), threshold + _CUT * width, threshold - _CUT * width
    v, w, number, wait = baseline, a * (baseline - rest), 0, 0
    leak, slow, charge, steep = dt * g / c, dt / tau, dt / c, 1.0 / width
    pause = int(refractory / dt + 0.5)
    for k in range(len(current)):
        w_next = w + slow * (a * (v - rest) - w)
        if wait > 0:
            wait -= 1
        else:
            change = charge * (current[k] + offset - w) - leak * (v - rest)
            if v > onset:  # below it the exponential is less than 5e-5
                change += leak * width * np.exp((v - threshold) * steep)
            v = max(v + change, _LOWEST)
        w = w_next
        if v > cut:
            voltage[k] = cut
            v, wait = reset, pause
            w += b
            if number < len(times):
                times[number] = (k + 1) * dt
                number += 1
        else:
            voltage[k] = v
    return number
