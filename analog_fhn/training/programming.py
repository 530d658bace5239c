"""Mean and spread of programmed conductances: a table for training, measured on drawn devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.array.crossbar import Crossbar, manufacture
from analog_fhn.draws import DeviceDraws
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import Array

_POINTS = 33
_DEVICES = 2000  # of each side of an array


@dataclass(frozen=True, eq=False)
class ProgrammingTable:
    """Mean and standard deviation of devices that were programmed to a conductance.

    Parameters
    ----------
    target
        Conductances that lie evenly from g_min to g_max (S), shape (n,).
    mean, deviation
        Of the devices' conductances when the chip is used (S), shape (n,).
    """

    target: FloatArray
    mean: FloatArray
    deviation: FloatArray

    @classmethod
    def of(cls, array: Array, temperature: float, seed: int = 0) -> ProgrammingTable:
        """Program 4000 devices to each of 33 conductances: write-verify, drift, temperature and read noise included.

        Faults are left out: they do not depend on the target.

        Parameters
        ----------
        temperature
            Of the devices (K).
        seed
            Of their draws.
        """
        sound = array.model_copy(update={"stuck_on": 0.0, "stuck_off": 0.0})
        target = np.linspace(array.g_min, array.g_max, _POINTS)
        devices = np.repeat(target[:, None], _DEVICES, axis=1)
        draws = DeviceDraws(seed, 0, devices.shape)
        drawn = manufacture(Crossbar(devices, devices, 1.0), sound, temperature, draws)
        g = np.concatenate([drawn.g_plus, drawn.g_minus], axis=1)
        return cls(target, g.mean(axis=1), g.std(axis=1))
