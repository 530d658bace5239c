"""What drift took on average, given back by the gain of the read-out behind an array."""

from __future__ import annotations

from typing import Literal

import numpy as np

from analog_fhn.draws import calibration_inputs
from analog_fhn.neuron import FloatArray

READINGS = 100  # of an array, when it was programmed and when it is used


def compensating_gains(
    before: FloatArray, after: FloatArray, array: int, scope: Literal["layer", "column"]
) -> FloatArray:
    """Factors of the read-out's gains (n_out,) that bring the outputs after drift closest to those before it.

    The array is read under the same inputs when it was programmed and when it is used. With the deviations of both
    outputs from their means over the inputs, y and y', the factor is the one of least squares, ``sum(y y')/sum(y'^2)``,
    over the inputs and over all outputs of the layer or of each column alone. Means are left out since the offsets of
    the amplifiers are in them. A scale for all devices is the global drift compensation of Joshi et al. (Nat. Commun.
    11:2473, 2020), there by the sum of all currents under one input.

    Parameters
    ----------
    before, after
        Gains from the rows to the outputs as measured after programming and now, shape (n_rows, n_out).
    array
        Number of the array, which decides the inputs.
    scope
        One factor for the "layer", or one for each "column".
    """
    inputs = calibration_inputs(array, READINGS, len(before))
    inputs -= inputs.mean(axis=0)
    then, now = inputs @ before, inputs @ after
    together, power = (then * now).sum(axis=0), (now * now).sum(axis=0)
    if scope == "layer":
        together, power = (np.full(len(power), total.sum()) for total in (together, power))
    # An output without weights, or one that drifted beyond its sign, keeps its gain.
    return np.where((power > 0.0) & (together > 0.0), together / np.where(power > 0.0, power, 1.0), 1.0)
