"""Drive stages as the equations have them, fitted to static curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analog_fhn.cell.base import Curve, DriveStage
from analog_fhn.neuron import FloatArray

_STEPS = 50
_CLOSE = 1e-12


def fitted_stage(curve: Curve, z: FloatArray, drives: FloatArray) -> DriveStage:
    """Stages ``gain curve(slope z + shift) + offset`` closest to measured drives, by least squares.

    Levenberg's method for all cells at once, from the ends and the steepest point of each curve.

    Parameters
    ----------
    z
        Pre-activations, shape (points,).
    drives
        Shape (n, points).
    """
    first, last = drives[:, 0], drives[:, -1]
    middle = 0.5 * (first + last)
    slope = np.gradient(drives, z, axis=1)
    steepest = np.argmax(np.abs(slope), axis=1)
    rows = np.arange(len(drives))
    if curve == "tanh":
        gain = 0.5 * (last - first)
        per_z = slope[rows, steepest] / gain
        start = np.stack([gain, per_z, -per_z * z[steepest], middle], axis=1)
    else:
        gain = last - first
        # between a fifth and four fifths of the way the ramp is straight
        inside = np.abs((drives - middle[:, None]) / gain[:, None]) < 0.3
        weight = inside / inside.sum(axis=1, keepdims=True)
        mean_z, mean_drive = weight @ z, (weight * drives).sum(axis=1)
        away = z - mean_z[:, None]
        per_z = (weight * away * (drives - mean_drive[:, None])).sum(axis=1) / (weight * away**2).sum(axis=1) / gain
        start = np.stack([gain, per_z, (mean_drive - first) / gain - per_z * mean_z, first], axis=1)
    gain, per_z, shift, offset = _closest(curve, z, drives, start).T
    return DriveStage.of_curve(curve, gain, per_z, shift, offset)


def _closest(curve: Curve, z: FloatArray, drives: FloatArray, start: FloatArray) -> FloatArray:
    """Gain, slope, shift and offset of each cell, shape (n, 4)."""
    values, damping = start.copy(), np.full(len(start), 1e-3)
    error = _error(curve, z, drives, values)
    best = (error**2).sum(axis=1)
    for _ in range(_STEPS):
        jacobian = _jacobian(curve, z, values)
        normal = np.einsum("npi,npj->nij", jacobian, jacobian)
        pull = np.einsum("npi,np->ni", jacobian, error)
        scale = np.einsum("nii->ni", normal)
        step = np.linalg.solve(normal + np.eye(4) * (damping[:, None] * scale)[:, None, :], pull[..., None])[..., 0]
        trial = values - step
        trial_error = _error(curve, z, drives, trial)
        total = (trial_error**2).sum(axis=1)
        better = total < best
        if not np.any(best - total > _CLOSE * best):
            damping = damping * 10.0
            if np.all(damping > 1e6):
                break
        values = np.where(better[:, None], trial, values)
        error = np.where(better[:, None], trial_error, error)
        best = np.where(better, total, best)
        damping = np.where(better, damping / 10.0, damping * 10.0)
    return values


def _shape(curve: Curve, u: FloatArray) -> tuple[FloatArray, NDArray[np.float64]]:
    """Curve and its derivative."""
    if curve == "tanh":
        t = np.tanh(u)
        return t, 1.0 - t**2
    return np.clip(u, 0.0, 1.0), ((u > 0.0) & (u < 1.0)).astype(np.float64)


def _error(curve: Curve, z: FloatArray, drives: FloatArray, values: FloatArray) -> FloatArray:
    gain, slope, shift, offset = (v[:, None] for v in values.T)
    return np.asarray(gain * _shape(curve, slope * z + shift)[0] + offset - drives)


def _jacobian(curve: Curve, z: FloatArray, values: FloatArray) -> FloatArray:
    gain, slope, shift, _ = (v[:, None] for v in values.T)
    shape, derivative = _shape(curve, slope * z + shift)
    return np.stack([shape, gain * derivative * z, gain * derivative, np.ones_like(shape)], axis=2)
