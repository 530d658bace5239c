"""A driven twin for tests whose rate is proportional to the current above threshold, with no map behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.map import DrivenMap
from analog_fhn.reconstruct.driven.traces import OTHERS
from analog_fhn.reconstruct.driven.twin import DrivenTwin

CURRENTS = np.array([-50e-12, 0.0, 25e-12, 100e-12])
RATES = np.array([0.0, 0.0, 10.0, 40.0])
REST, PEAK = -0.06, 0.03
STEP = 0.25e-3
N_INPUTS = OTHERS + 7


class Metronome(DrivenTwin):
    """Spikes of 1 ms at equal intervals, the first after one interval."""

    def run(self, duration: float, current: ArrayLike, seed: int | None = None) -> FloatArray:
        time = self.step * np.arange(round(duration / self.step))
        rate = np.maximum(0.0, np.atleast_1d(current) / 100e-12 * 40.0)
        phase = rate[:, None] * time
        spiking = (phase >= 1) & (phase % 1.0 < 1e-3 * rate[:, None])
        return np.where(spiking, PEAK, REST)


def metronome() -> Metronome:
    layers = ((np.zeros((N_INPUTS, 1)), np.zeros(1)),)
    state_map = DrivenMap(layers, np.zeros(N_INPUTS), np.ones(N_INPUTS), 5.0, (-0.1, 0.06), STEP)
    return Metronome(state_map, CURRENTS, RATES, np.full(4, REST))
