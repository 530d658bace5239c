"""Drive stages as the equations have them, fitted to static curves."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from analog_fhn.cell.base import Curve, DriveStage
from analog_fhn.neuron import FloatArray


def fitted_stage(curve: Curve, z: FloatArray, drives: FloatArray) -> DriveStage:
    """Stages ``gain curve(slope z + shift) + offset`` closest to measured drives, by least squares.

    Parameters
    ----------
    z
        Pre-activations, shape (points,).
    drives
        Shape (n, points).
    """
    starts = _starts(curve, z, drives)
    values = [_closest(curve, z, *cell) for cell in zip(drives, starts, strict=True)]
    return DriveStage.of_curve(curve, *np.array(values).T)


def _closest(curve: Curve, z: FloatArray, drives: FloatArray, start: FloatArray) -> FloatArray:
    """Gain, slope, shift and offset of one cell."""

    def error(values: FloatArray) -> FloatArray:
        return DriveStage.of_curve(curve, *values[:, None]).drives(z[:, None])[:, 0] - drives

    return np.asarray(least_squares(error, start, x_scale="jac", method="lm").x)


def _starts(curve: Curve, z: FloatArray, drives: FloatArray) -> FloatArray:
    """Gain, slope, shift and offset by the ends and the steepest part of each curve, shape (n, 4)."""
    first, last = drives[:, 0], drives[:, -1]
    middle = 0.5 * (first + last)
    if curve == "tanh":
        slope = np.gradient(drives, z, axis=1)
        steepest = np.argmax(np.abs(slope), axis=1)
        gain = 0.5 * (last - first)
        per_z = slope[np.arange(len(drives)), steepest] / gain
        return np.stack([gain, per_z, -per_z * z[steepest], middle], axis=1)
    gain = last - first
    # between a fifth and four fifths of the way the ramp is straight
    inside = np.abs((drives - middle[:, None]) / gain[:, None]) < 0.3
    weight = inside / inside.sum(axis=1, keepdims=True)
    mean_z, mean_drive = weight @ z, (weight * drives).sum(axis=1)
    away = z - mean_z[:, None]
    per_z = (weight * away * (drives - mean_drive[:, None])).sum(axis=1) / (weight * away**2).sum(axis=1) / gain
    return np.stack([gain, per_z, (mean_drive - first) / gain - per_z * mean_z, first], axis=1)
