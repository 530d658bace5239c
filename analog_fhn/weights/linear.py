"""A linear map of a model that is being read, and two of them as one where no unit stands between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import cast

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Layer
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import AveragePool, Pair, Patches
from analog_fhn.readout import Activation

MOST_WEIGHTS = 2**26
"""Weights of a map that is made of others; beyond it a file is refused."""


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A linear map with what stands in front of it and, once that is known, its unit.

    Parameters
    ----------
    at
        The operation that it comes from, for messages.
    weights, bias
        Shapes (n_rows, n_out) and (n_out,).
    patches
        Of a convolution; None: it is used once, on all values.
    pools
        Means in front of it.
    activation
        Name of its activation in the model.
    unit, ceiling
        As for `Dense`; a relu's ceiling may still be open.
    """

    at: str
    weights: FloatArray
    bias: FloatArray | None
    patches: Patches | None = None
    pools: tuple[AveragePool, ...] = ()
    activation: str | None = None
    unit: Activation | None = None
    ceiling: float | None = None

    @property
    def n_out(self) -> int:
        """Number of outputs, of a convolution its channels."""
        return int(self.weights.shape[1])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers of a network, the means first."""
        settings = (self.weights, self.bias, self.unit, "tanh", self.ceiling)
        layer = Dense(*settings) if self.patches is None else Convolution(*settings, self.patches)  # type: ignore[arg-type]
        return (*self.pools, layer)

    def scaled(self, scale: FloatArray, offset: FloatArray) -> LinearMap:
        """The map with its outputs multiplied and shifted; one number, or one for each."""
        bias = scale * (np.zeros(self.n_out) if self.bias is None else self.bias) + offset
        return replace(self, weights=self.weights * scale, bias=bias)

    def of_scaled(self, scale: FloatArray, offset: FloatArray) -> LinearMap:
        """The map of inputs that are multiplied and shifted in front of it; one number, or one for each row."""
        rows = scale[:, np.newaxis] if scale.ndim else scale
        bias = with_bias(self.bias, np.broadcast_to(offset, len(self.weights)), self.weights)
        return replace(self, weights=rows * self.weights, bias=bias)

    def then_dense(self, weights: FloatArray, bias: FloatArray | None) -> LinearMap:
        """The map and a dense one (n_values, n_out) behind it, as one dense map.

        Raises
        ------
        InputError
            If it has too many weights.
        """
        if self.patches is None:
            return replace(self, weights=self.weights @ weights, bias=with_bias(bias, self.bias, weights))
        patches, n_out = self.patches, weights.shape[1]
        _check_number(max(patches.n_inputs * n_out, patches.n_positions * patches.n_rows))
        behind = weights.reshape(patches.n_positions, -1, n_out)
        numbers = np.arange(1.0, patches.n_inputs + 1)[np.newaxis]
        sources = replace(patches, fill=0.0).take(numbers).astype(np.intp)  # 0: what was added around the values
        fill = np.broadcast_to(patches.fill, patches.shape[2])
        whole, constant = np.zeros((patches.n_inputs + 1, n_out)), np.zeros(n_out)
        for row, source in enumerate(sources.T):
            share = np.tensordot(behind, self.weights[row], axes=(1, 0))
            outside = source == 0
            whole[source[~outside]] += share[~outside]  # no two positions read one value here
            constant += fill[row % patches.shape[2]] * share[outside].sum(axis=0)
        bias = with_bias(bias, self.bias, behind.sum(axis=0))
        if constant.any():
            bias = constant if bias is None else bias + constant
        return replace(self, weights=whole[1:], bias=bias, patches=None)

    def then_convolution(self, kernel: FloatArray, bias: FloatArray | None, strides: Pair, dilation: Pair) -> LinearMap:
        """The convolution and one without padding behind it, as one convolution.

        Parameters
        ----------
        kernel
            Of the one behind, shape (lines, places, channels, n_out).

        Raises
        ------
        InputError
            If it has too many weights, or the kernel does not fit into the values.
        """
        first = self.patches
        assert first is not None
        steps = [s * d for s, d in zip(first.strides, dilation, strict=True)]
        reach = [(n - 1) * d + 1 for n, d in zip(first.size, first.dilation, strict=True)]
        size = tuple(step * (n - 1) + r for step, n, r in zip(steps, kernel.shape, reach, strict=False))
        _check_number(prod(size) * first.shape[2] * kernel.shape[3])
        patches = replace(
            first,
            size=cast("Pair", size),
            strides=(first.strides[0] * strides[0], first.strides[1] * strides[1]),
            dilation=(1, 1),
        )
        both = np.zeros((*size, first.shape[2], kernel.shape[3]))
        own = self.weights.reshape(*first.size, first.shape[2], -1)
        down, along = first.dilation
        for i, j in np.ndindex(*kernel.shape[:2]):
            y, x = i * steps[0], j * steps[1]
            both[y : y + reach[0] : down, x : x + reach[1] : along] += own @ kernel[i, j]
        return replace(
            self,
            weights=both.reshape(-1, kernel.shape[3]),
            bias=with_bias(bias, self.bias, kernel.sum(axis=(0, 1))),
            patches=patches,
        )

    def used_once(self) -> LinearMap:
        """The map as a dense one, if it is a convolution at one position that reads most of the values."""
        at = self.patches
        if at is None or at.n_positions > 1 or at.n_rows < at.n_inputs:
            return self
        return self.then_dense(np.eye(self.n_out), None)


def with_bias(bias: FloatArray | None, constant: FloatArray | None, weights: FloatArray) -> FloatArray | None:
    """Bias of a map together with what these weights make of a constant input; None: there is none."""
    if constant is None or not constant.any():
        return bias
    return constant @ weights if bias is None else bias + constant @ weights


def _check_number(n: int) -> None:
    if n > MOST_WEIGHTS:
        raise InputError(
            f"taken together with the layer before it, it has {n} weights; expected at most {MOST_WEIGHTS}"
        )
