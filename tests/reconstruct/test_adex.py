"""The integrate-and-fire baseline: its equations beside an exact integrator, and a neuron that is found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.adex import Adex, fit_adex
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, held_out_currents, steps_of

# A neuron of the size of a small cortical one, which adapts.
NEURON = Adex(
    capacitance=1e-10, conductance=5e-9, rest=-0.065, threshold=-0.045, width=2e-3, coupling=1e-9, time_constant=0.1,
    jump=2e-11, reset=-0.058, refractory=2e-3, drift=0.0, centre=-0.065,
)  # fmt: skip
STEP = 1e-4


def sweeps(amplitudes: FloatArray, baseline: float = -0.065) -> CurrentClamp:
    """0.1 s without current, then 0.4 s with it; the voltage a flat line, to be replaced."""
    current = [np.repeat([0.0, a], [1000, 4000]) for a in amplitudes]
    return CurrentClamp(tuple(np.full(5000, baseline) for _ in current), tuple(current), STEP, steps_of(current, 100))


def answered(neuron: Adex, clamp: CurrentClamp) -> CurrentClamp:
    """The sweeps with the neuron's spikes as samples of 20 mV."""
    voltage = []
    for sweep, flat in enumerate(clamp.voltage):
        spikes = flat.copy()
        spikes[np.round(neuron.sweep_spikes(clamp, sweep) / STEP).astype(int)] = 0.02
        voltage.append(spikes)
    return replace(clamp, voltage=tuple(voltage))


def exact(n: Adex, current: float, duration: float) -> list[float]:
    """Spikes of a neuron at rest whose current begins at 0, by Runge-Kutta with events."""

    def slopes(_: float, state: FloatArray) -> list[float]:
        v, w = state
        leak = -n.conductance * (v - n.rest) + n.conductance * n.width * np.exp((v - n.threshold) / n.width)
        return [(leak - w + current) / n.capacitance, (n.coupling * (v - n.rest) - w) / n.time_constant]

    def waiting(_: float, state: FloatArray) -> list[float]:
        return [0.0, slopes(0.0, state)[1]]

    def cut(_: float, state: FloatArray) -> float:
        return float(state[0]) - n.threshold - 10 * n.width

    cut.terminal = True  # type: ignore[attr-defined]
    time, state, spikes = 0.0, np.array([n.rest, 0.0]), []
    while True:
        run = solve_ivp(slopes, (time, duration), state, events=cut, rtol=1e-8, atol=1e-15)
        if not len(run.t_events[0]):
            return spikes
        time = float(run.t_events[0][0])
        spikes.append(time)
        held = solve_ivp(waiting, (0.0, n.refractory), [n.reset, run.y[1, -1] + n.jump], rtol=1e-8, atol=1e-15)
        time, state = time + n.refractory, held.y[:, -1]


def test_the_equations_are_those_that_are_stated() -> None:
    clamp = sweeps(np.array([2.5e-10, 4e-10]))
    for sweep, current in enumerate((2.5e-10, 4e-10)):
        expected = exact(NEURON, current, 0.4)
        found = NEURON.spikes(clamp, clamp.steps[sweep])
        assert len(expected) >= 5
        assert len(found) == len(expected)
        # steps of 0.1 ms: each interval is off by about one of them
        np.testing.assert_allclose(np.diff(found), np.diff(expected), atol=4e-4)


def test_a_resting_voltage_that_drifts_moves_the_current() -> None:
    neuron = replace(NEURON, drift=5e-9)
    counts = [len(neuron.spikes(c, c.steps[0])) for b in (-0.07, -0.065, -0.06) for c in [sweeps(np.array([3e-10]), b)]]
    assert counts[0] < counts[1] < counts[2]


def test_a_neuron_is_found_again_from_its_spikes() -> None:
    clamp = answered(NEURON, sweeps(np.linspace(0.0, 5e-10, 6)))
    held_out = held_out_currents(clamp.currents)
    fitted = fit_adex(clamp, seed=1, generations=12)
    recorded = {step: len(clamp.spikes(step)) for step in clamp.steps if step.amplitude in held_out}
    assert sorted(recorded.values())[-1] >= 5
    for step, spikes in fitted.counts(clamp, held_out):
        assert abs(len(spikes) - recorded[step]) <= 1
    assert fit_adex(clamp, seed=1, generations=1) == fit_adex(clamp, seed=1, generations=1)
    assert fit_adex(clamp, seed=1, generations=1) != fit_adex(clamp, seed=2, generations=1)


def test_nothing_is_fitted_to_silence() -> None:
    with pytest.raises(InputError, match="recording: no spike in the sweeps that a neuron is fitted to"):
        fit_adex(sweeps(np.linspace(0.0, 1e-10, 5)), seed=0)
