"""What programming makes of a conductance, as mean and spread: a table for training, measured on drawn devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.array.crossbar import Crossbar, Quantity, manufacture
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.technology import Array

_POINTS = 33
_DEVICES = 4000


@dataclass(frozen=True, eq=False)
class Made:
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
    def of(cls, array: Array, temperature: float, seed: int = 0) -> Made:
        """Program 4000 devices to each of 33 conductances: write-verify, drift, temperature and read noise included.

        Faults are left out: they do not depend on the target.
        """
        sound = array.model_copy(update={"stuck_on": 0.0, "stuck_off": 0.0})
        target = np.linspace(array.g_min, array.g_max, _POINTS)
        generator = np.random.default_rng(seed)

        def draw(quantity: Quantity, _side: int, _attempt: int) -> FloatArray:
            shape = (_POINTS, _DEVICES)
            if quantity == "temperature":  # of a normal draw whose third sigma is the limit; see `manufacture`
                return np.clip(generator.standard_normal(shape) / 3.0, -1.0, 1.0)
            return generator.standard_normal(shape)

        wanted = np.repeat(target[:, None], _DEVICES, axis=1)
        made = manufacture(Crossbar(wanted, wanted, 1.0), sound, temperature, draw)
        return cls(target, made.g_plus.mean(axis=1), made.g_plus.std(axis=1))
