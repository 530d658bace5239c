"""The map of a driven twin: from state and injected current to the voltage one step later."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.bench import Bench
from analog_fhn.reconstruct.driven.traces import OTHERS, State, gains, raw_inputs, spiking

UNIT = 1e-4
"""Voltage change (V) per step up to which the map is linear in its net's output; above it grows like sinh."""

_MARGIN = 0.02  # V: so far beyond the recorded range a run may go
_BASE = 5e-3  # V: smallest unit of the baseline, so that one that hardly differs between sweeps is not made large


@dataclass(frozen=True, eq=False)
class DrivenMap:
    """``V(n+1) = V(n) + UNIT sinh(B tanh(o / B))``, o = net(state, current) with silu units in its hidden layers.

    Parameters
    ----------
    layers
        Weights (n_in, n_out) and biases (n_out,) of each layer.
    centre, unit
        Of the inputs, shape (n_in,) each; (m, n_in) while m maps that differ in them are run at once.
    bound
        B: with it the largest change is twice the largest recorded.
    limits
        Voltages (V) that a run keeps within.
    step
        s.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    centre: FloatArray
    unit: FloatArray
    bound: float
    limits: tuple[float, float]
    step: float

    @classmethod
    def drawn(cls, bench: Bench, which: NDArray[np.intp], hidden: int, means: int, rng: Generator) -> DrivenMap:
        """A map to begin training with, which reads the first `means` means; scaled to the sweeps it is trained on."""
        voltage = bench.voltage[which]
        base = np.broadcast_to(bench.base[which, None], voltage.shape)
        raw = raw_inputs(voltage, bench.slow[which, :, :means], bench.spikes[which], bench.current[which], base)
        raw = raw.reshape(-1, raw.shape[-1])
        unit = raw.std(axis=0)
        unit[-1] = max(unit[-1], _BASE)
        unit[unit == 0] = 1.0
        sizes = (raw.shape[1], hidden, hidden, 1)
        layers = tuple(
            (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in), np.zeros(n_out)) for n_in, n_out in pairwise(sizes)
        )
        bound = float(np.arcsinh(2 * np.abs(np.diff(voltage, axis=1)).max() / UNIT))
        limits = float(voltage.min()) - _MARGIN, float(voltage.max()) + _MARGIN
        return cls(layers, raw.mean(axis=0), unit, bound, limits, bench.step)

    @property
    def means(self) -> int:
        """Number of the voltage's means that it reads."""
        return int(self.centre.shape[-1]) - OTHERS

    def scaled(
        self, voltage: FloatArray, slow: FloatArray, spikes: FloatArray, current: FloatArray, base: FloatArray
    ) -> FloatArray:
        """Inputs of the net, shape (..., n_in), of a state with all its means."""
        raw = raw_inputs(voltage, slow[..., : self.means], spikes, current, base)
        return np.asarray((raw - self.centre) / self.unit)

    def change(
        self, voltage: FloatArray, slow: FloatArray, spikes: FloatArray, current: FloatArray, base: FloatArray
    ) -> FloatArray:
        """Voltage change in one step, shape (...), V."""
        return np.asarray(change(self.layers, self.scaled(voltage, slow, spikes, current, base), self.bound))

    def run(self, state: State, current: FloatArray, noise: FloatArray | None = None) -> FloatArray:
        """Voltage of free runs, shape (m, n), V; the first sample is the state's.

        Parameters
        ----------
        state
            Of m runs.
        current
            Injected current at each sample, shape (m, n), A.
        noise
            What is added to the voltage after each step, shape (m, n), V; None: nothing.
        """
        return self.run_on(state, current, noise)[0]

    def run_on(self, state: State, current: FloatArray, noise: FloatArray | None = None) -> tuple[FloatArray, State]:
        """As `run`, and the state after the last sample, from which a run goes on."""
        voltage, slow, spikes, base = state.voltage, state.slow.copy(), state.spikes.copy(), state.base
        of_voltage, of_spikes = gains(self.step)
        out = np.empty(current.shape)
        for n in range(current.shape[1]):
            out[:, n] = voltage
            moved = self.change(voltage, slow, spikes, current[:, n], base)
            slow += of_voltage * (voltage[:, None] - slow)
            spikes += of_spikes * (spiking(voltage)[:, None] - spikes)
            if noise is not None:
                moved = moved + noise[:, n]
            voltage = np.clip(voltage + moved, *self.limits)
        return out, State(voltage, slow, spikes, base)


def change(layers: Any, inputs: Any, bound: float, xp: Any = np) -> Any:
    """Voltage change (V) from scaled inputs (..., n_in), by NumPy or by JAX."""
    values = inputs
    for weights, biases in layers[:-1]:
        values = values @ weights + biases
        values = values * (0.5 + 0.5 * xp.tanh(0.5 * values))  # silu
    weights, biases = layers[-1]
    output = (values @ weights + biases)[..., 0]
    return UNIT * xp.sinh(bound * xp.tanh(output / bound))
