"""Weights as differential pairs of conductances: the mapping, its inverse, and what manufacture makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analog_fhn.circuit.technology import NOMINAL_TEMPERATURE, Array
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

MOST_BIAS_ROWS = 64

# What a device draws a number for.
Quantity = Literal["programming", "drift", "fault", "temperature", "read"]


@dataclass(frozen=True)
class Crossbar:
    """Conductances of one weight layer; rows are word lines, columns neurons of the next layer.

    Parameters
    ----------
    g_plus, g_minus
        Shape (n_rows, n_out), in siemens; the last `bias_rows` rows are driven by a constant.
    siemens_per_weight
        k: ``weight = (g_plus - g_minus)/k``.
    bias_rows
        How many rows carry the biases, each its share.
    bias_drive
        Value of the constant in units of the layer's input.
    """

    g_plus: FloatArray
    g_minus: FloatArray
    siemens_per_weight: float
    bias_rows: int = 0
    bias_drive: float = 1.0

    @property
    def n_in(self) -> int:
        """Number of inputs, without the bias rows."""
        return len(self.g_plus) - self.bias_rows

    @property
    def weights(self) -> FloatArray:
        """Weights, shape (n_in, n_out): the inverse of the mapping."""
        return self._weights()[: self.n_in]

    @property
    def bias(self) -> FloatArray | None:
        """Biases, shape (n_out,), or None."""
        return self.bias_drive * self._weights()[self.n_in :].sum(axis=0) if self.bias_rows else None

    @property
    def conductance(self) -> FloatArray:
        """The array as it is laid out: shape (n_rows, 2 n_out), columns +, -, +, -, ..."""
        rows, outputs = self.g_plus.shape
        return np.stack([self.g_plus, self.g_minus], axis=-1).reshape(rows, 2 * outputs)

    def _weights(self) -> FloatArray:
        return (self.g_plus - self.g_minus) / self.siemens_per_weight


def map_weights(
    weights: FloatArray, bias: FloatArray | None, array: Array, *, layer: int = 0, bias_drive: float = 1.0
) -> Crossbar:
    """Target conductances of a weight layer before programming: clipped, mapped and quantised.

    One-sided: ``G+- = Gmin + k max(+-w, 0)``, k = (Gmax - Gmin)/w_max. Two-sided:
    ``G+- = (Gmin + Gmax)/2 +- k w/2`` with the same k. w_max is the layer's `clip_quantile` of |w|; larger weights are
    clipped to it. Every conductance goes to the nearest of the levels.

    Parameters
    ----------
    weights, bias
        Shapes (n_in, n_out) and (n_out,). The biases are divided by `bias_drive` and shared by as many rows as it takes
        not to clip them.
    layer
        0: input array, 1: output array; selects the clip quantile.
    bias_drive
        Value of the constant on the bias rows, in units of the layer's input.

    Raises
    ------
    InputError
        If the biases would take more than 64 rows.
    """
    w_max = float(np.quantile(np.abs(weights), array.clip(layer)))
    if w_max == 0.0:
        w_max = float(np.max(np.abs(weights))) or 1.0
    rows, bias_rows = weights, 0
    if bias is not None:
        shared = np.abs(bias).max() / (w_max * bias_drive)
        bias_rows = max(1, int(np.ceil(shared * (1.0 - 1e-12))))
        if bias_rows > MOST_BIAS_ROWS:
            raise InputError(
                f"biases of layer {layer} up to {np.abs(bias).max():g} would take {bias_rows} rows of weights up to "
                f"{w_max:g} driven by {bias_drive:g}: expected at most {MOST_BIAS_ROWS} rows (train with smaller "
                "biases, or raise array.clip_quantile)"
            )
        rows = np.vstack([weights, *[bias / (bias_rows * bias_drive)] * bias_rows])
    k = (array.g_max - array.g_min) / w_max
    w = np.clip(rows, -w_max, w_max)
    if array.mapping == "one-sided":
        plus = array.g_min + k * np.maximum(w, 0.0)
        minus = array.g_min + k * np.maximum(-w, 0.0)
    else:
        middle = 0.5 * (array.g_min + array.g_max)
        plus, minus = middle + 0.5 * k * w, middle - 0.5 * k * w
    levels = array.level_values
    if levels is not None:
        plus, minus = (levels[np.searchsorted(0.5 * (levels[1:] + levels[:-1]), g)] for g in (plus, minus))
    return Crossbar(plus, minus, k, bias_rows, bias_drive)


def manufacture(
    target: Crossbar,
    array: Array,
    temperature: float,
    draw: Callable[[Quantity, int, int], FloatArray] | None,
) -> Crossbar:
    """Conductances of the devices as they are when the chip is used.

    In this order: programming (``G = G_target (1 + sigma N)`` or the device's own spread, repeated if it is verified),
    drift, faults, temperature (``G/(1 + c (T - 300 K))``: the coefficient is that of the resistance), read noise. A
    conductance is never negative.

    Parameters
    ----------
    target
        Conductances before programming.
    temperature
        Of the devices (K).
    draw
        Called with the quantity, the side (0: plus, 1: minus) and the attempt: standard normal numbers, shape (n_rows,
        n_out), for "fault" uniform ones between 0 and 1, for "temperature" relative deviations within +-1. None:
        nominal devices, without spread; they drift as the mean device does.
    """
    plus, minus = (
        _devices(g, array, temperature, None if draw is None else lambda q, n, side=side: draw(q, side, n))  # type: ignore[misc]
        for side, g in enumerate((target.g_plus, target.g_minus))
    )
    return replace(target, g_plus=plus, g_minus=minus)


def _devices(
    target: FloatArray, array: Array, temperature: float, draw: Callable[[Quantity, int], FloatArray] | None
) -> FloatArray:
    device, seconds, read = array.device, array.drift_time, array.read_voltage
    g = programmed = target if draw is None else _program(target, array, draw)
    if seconds is not None:
        assert device is not None
        normal = None if draw is None else draw("drift", 0)
        g = np.maximum(0.0, device.drifted(programmed, seconds, normal, read_voltage=read))
    if draw is None:
        return g
    if array.stuck_on or array.stuck_off:
        uniform = draw("fault", 0)
        on, off = uniform < array.stuck_on, uniform > 1.0 - array.stuck_off
        g, programmed = (np.where(on, array.g_max, np.where(off, array.g_min, v)) for v in (g, programmed))
    warmer = temperature - NOMINAL_TEMPERATURE
    if warmer and array.change_per_kelvin:
        g = g / (1.0 + warmer * array.change_per_kelvin * draw("temperature", 0))
    if array.read_noise == "device":
        assert device is not None
        normal = draw("read", 0)
        g = g + device.read_deviation(g, normal, read_voltage=read, seconds=seconds, programmed=programmed)
        g = np.maximum(0.0, g)
    elif array.read_noise:
        g = np.maximum(0.0, g * (1.0 + array.read_noise * draw("read", 0)))
    return g


def _program(target: FloatArray, array: Array, draw: Callable[[Quantity, int], FloatArray]) -> FloatArray:
    error, device = array.programming_error, array.device
    if not error:
        return target

    def attempt(n: int) -> FloatArray:
        normal = draw("programming", n)
        if isinstance(error, str):
            assert device is not None
            made = target + device.programming_deviation(target, normal, read_voltage=array.read_voltage)
        else:
            made = target * (1.0 + error * normal)
        return np.maximum(0.0, made)

    g = attempt(0)
    if array.write_tolerance is None:
        return g
    for n in range(1, array.write_pulses):
        wrong = np.abs(g - target) > array.write_tolerance * array.g_max
        if not wrong.any():
            break
        g = np.where(wrong, attempt(n), g)
    return g
