"""Weights as differential pairs of conductances, quantised and programmed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.circuit.technology import Array
from analog_fhn.neuron import FloatArray


@dataclass(frozen=True)
class Crossbar:
    """Conductances of one weight layer; rows are word lines, columns neurons of the next layer.

    Parameters
    ----------
    g_plus, g_minus
        Shape (n_rows, n_out), in siemens; the last row is the constant-driven bias row if `has_bias`.
    siemens_per_weight
        k: ``weight = (g_plus - g_minus)/k``.
    has_bias
        Whether the last row carries biases.
    """

    g_plus: FloatArray
    g_minus: FloatArray
    siemens_per_weight: float
    has_bias: bool

    @property
    def weights(self) -> FloatArray:
        """Effective weights, shape (n_in, n_out), without the bias row."""
        return self._effective()[: len(self.g_plus) - self.has_bias]

    @property
    def bias(self) -> FloatArray | None:
        """Effective biases, shape (n_out,), or None."""
        return self._effective()[-1] if self.has_bias else None

    def _effective(self) -> FloatArray:
        return (self.g_plus - self.g_minus) / self.siemens_per_weight


def map_weights(weights: FloatArray, bias: FloatArray | None, array: Array) -> Crossbar:
    """Target conductances of a weight layer before programming: clipped, mapped and quantised.

    One-sided: ``G+- = Gmin + k max(+-w, 0)``, k = (Gmax - Gmin)/w_max. Two-sided:
    ``G+- = (Gmin + Gmax)/2 +- k w/2`` with the same k. w_max is the `clip_quantile` of |w|; larger weights are
    clipped to it. Levels are equally spaced from Gmin to Gmax.
    """
    rows = weights if bias is None else np.vstack([weights, bias])
    w_max = float(np.quantile(np.abs(rows), array.clip_quantile))
    if w_max == 0.0:
        w_max = float(np.max(np.abs(rows))) or 1.0
    k = (array.g_max - array.g_min) / w_max
    w = np.clip(rows, -w_max, w_max)
    if array.mapping == "one-sided":
        plus = array.g_min + k * np.maximum(w, 0.0)
        minus = array.g_min + k * np.maximum(-w, 0.0)
    else:
        middle = 0.5 * (array.g_min + array.g_max)
        plus, minus = middle + 0.5 * k * w, middle - 0.5 * k * w
    if array.levels is not None:
        plus, minus = (_quantise(g, array, array.levels) for g in (plus, minus))
    return Crossbar(plus, minus, k, bias is not None)


def _quantise(g: FloatArray, array: Array, levels: int) -> FloatArray:
    step = (array.g_max - array.g_min) / (levels - 1)
    return np.asarray(array.g_min + step * np.round((g - array.g_min) / step))


def program(target: Crossbar, array: Array, normal_plus: FloatArray, normal_minus: FloatArray) -> Crossbar:
    """Conductances after programming: ``G = max(0, G_target (1 + programming_error * N(0, 1)))``.

    Parameters
    ----------
    normal_plus, normal_minus
        Standard normal draws, shape (n_rows, n_out).
    """
    plus, minus = (
        np.maximum(0.0, g * (1.0 + array.programming_error * normal))
        for g, normal in ((target.g_plus, normal_plus), (target.g_minus, normal_minus))
    )
    return Crossbar(plus, minus, target.siemens_per_weight, target.has_bias)
