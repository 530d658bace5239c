"""The state of a driven twin: voltage and exponential means of its past, slow ones for adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.current_clamp import SPIKE_LEVEL

VOLTAGE_TIMES = (0.5e-3, 1.5e-3, 5e-3, 15e-3, 50e-3, 0.15, 0.5)
"""Time constants of the exponential means of the voltage (s); a map reads all or the first of them."""

SPIKE_TIMES = (0.05, 0.2, 1.0)
"""Time constants of the spike traces (s), on which adaptation rests."""

WIDTH = 4e-3
"""A spike trace follows sigmoid((V - SPIKE_LEVEL) / WIDTH); V."""

OTHERS = 1 + len(SPIKE_TIMES) + 2
"""Inputs of a map beside the means: voltage, traces of spikes, current, baseline."""


@dataclass(frozen=True, eq=False)
class State:
    """State of m runs: voltage (m,), its means (m, 7), traces of spikes (m, 3), and the baseline (m,) of each."""

    voltage: FloatArray
    slow: FloatArray
    spikes: FloatArray
    base: FloatArray

    def some(self, which: Any) -> State:
        """State of a selection of the runs."""
        return State(self.voltage[which], self.slow[which], self.spikes[which], self.base[which])


def gains(step: float) -> tuple[FloatArray, FloatArray]:
    """What the means of the voltage and the traces of spikes move by in a step (s), as shares of the distance."""
    return -np.expm1(-step / np.array(VOLTAGE_TIMES)), -np.expm1(-step / np.array(SPIKE_TIMES))


def spiking(voltage: Any, xp: Any = np) -> Any:
    """Smooth indicator of a spike, from 0 to 1; by NumPy or by JAX."""
    return 0.5 + 0.5 * xp.tanh(0.5 / WIDTH * (voltage - SPIKE_LEVEL))


def traces(voltage: FloatArray, base: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Means of the voltage (m, n, 7) and traces of spikes (m, n, 3) along recorded sweeps (m, n).

    At a sample they hold what came before it. At a sweep's beginning the means are the baseline (m,), and there were
    no spikes.
    """
    of_voltage, of_spikes = gains(step)
    rest, spikes = base[:, None], spiking(voltage)
    slow = [_lagging(voltage - rest, k) + rest for k in of_voltage]
    return np.stack(slow, axis=-1), np.stack([_lagging(spikes, k) for k in of_spikes], axis=-1)


def _lagging(values: FloatArray, gain: float) -> FloatArray:
    return np.asarray(lfilter([0.0, gain], [1.0, gain - 1.0], values, axis=1))


def raw_inputs(voltage: Any, slow: Any, spikes: Any, current: Any, base: Any, xp: Any = np) -> Any:
    """Inputs of the map before they are scaled, shape (..., 6 + number of means).

    Voltage, its differences from its means, traces of spikes, injected current, baseline.
    """
    parts = (voltage[..., None], voltage[..., None] - slow, spikes, current[..., None], base[..., None])
    return xp.concatenate(parts, axis=-1)
