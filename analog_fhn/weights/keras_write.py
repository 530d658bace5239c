"""Description of a network's layers as Keras 3 has it, and the names of their groups in its weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import AveragePool, Padding, Shape
from analog_fhn.weights.chain import resolved

_NONE: Padding = ((0, 0), (0, 0))


def entry(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A layer of a model."""
    return {"module": "keras.layers", "class_name": kind, "config": settings, "registered_name": None}


def group_names(network: Network) -> list[str]:
    """Groups of the linear maps in a weight file: each class is counted on its own."""
    counts: dict[str, int] = {}
    names = []
    for layer in network.dense:
        kind = "conv2d" if isinstance(layer, Convolution) else "dense"
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        names.append(f"{kind}_{number}" if number else kind)
    return names


def kernel_of(layer: Dense) -> FloatArray:
    """Weights as Keras stores them: of a convolution (lines, places, channels, n_out).

    Gaps of a dilation are zeros where there are strides too, of which Keras allows only either.
    """
    patches = layer.window
    if patches is None:
        return layer.weights
    kernel = layer.weights.reshape(*patches.size, patches.shape[2], -1)
    if not _has_gaps(layer):
        return kernel
    (down, along), (lines, places) = patches.dilation, patches.size
    whole = np.zeros(((lines - 1) * down + 1, (places - 1) * along + 1, *kernel.shape[2:]))
    whole[::down, ::along] = kernel
    return whole


def _has_gaps(layer: Dense) -> bool:
    """Whether a kernel is written with its gaps in it."""
    patches = layer.window
    return patches is not None and patches.dilation != (1, 1) and patches.strides != (1, 1)


def described(path: Path, network: Network, dtype: str) -> list[dict[str, Any]]:
    """Layers of a Sequential model, behind its input.

    Raises
    ------
    InputError
        If a padding or a mean is none that Keras has.
    """
    model = _Model(path, dtype)
    names = iter(group_names(network))
    for layer in network.layers:
        if isinstance(layer, AveragePool):
            model.mean(layer)
        elif isinstance(layer, Dense):
            model.linear(layer, next(names))
    return model.layers


class _Model:
    """Layers of a model that is being written."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.layers: list[dict[str, Any]] = []
        self._path, self._dtype = path, dtype
        self._image: Shape | None = None  # shape of the values, if they are those of an image

    def _add(self, kind: str, name: str, **settings: Any) -> None:
        self.layers.append(entry(kind, {"name": name, "dtype": self._dtype} | settings))

    def _name(self, name: str) -> str:
        return f"{name}_{len(self.layers)}"

    def _pad(self, padding: Padding) -> None:
        if padding != _NONE:
            self._add("ZeroPadding2D", self._name("zero_padding2d"), padding=padding, data_format="channels_last")

    def mean(self, pool: AveragePool) -> None:
        same = resolved("same", pool.shape, pool.size, pool.strides, (1, 1), _NONE)
        if pool.padding != _NONE and not pool.count_padding and pool.padding != same:
            raise InputError(f"{self._path}: Keras has no mean with padding {pool.padding} of which nothing counts")
        counted = pool.count_padding or pool.padding == _NONE
        if counted:
            self._pad(pool.padding)
        self._add(
            "AveragePooling2D", self._name("average_pooling2d"), pool_size=pool.size, strides=pool.strides,
            padding="valid" if counted else "same", data_format="channels_last",
        )  # fmt: skip
        self._image = pool.output_shape

    def linear(self, layer: Dense, name: str) -> None:
        use = {
            "activation": "linear" if layer.unit in (None, "relu") else layer.unit,
            "use_bias": layer.bias is not None,
        }
        patches = layer.window
        if patches is None:
            if self._image is not None:
                self._add("Flatten", self._name("flatten"), data_format="channels_last")
                self._image = None
            self._add("Dense", name, units=layer.n_out, **use)
            self.layers[-1]["build_config"] = {"input_shape": [None, layer.n_in]}
        else:
            if np.any(patches.fill) and patches.padding != _NONE:
                raise InputError(
                    f"{self._path}: Keras pads with 0 alone; this network has {patches.fill} around its values"
                )
            self._pad(patches.padding)
            (above, below), (left, right) = patches.padding
            lines, places, channels = patches.shape
            shape = (lines + above + below, places + left + right, channels)
            self._add(
                "Conv2D", name, filters=layer.n_out, kernel_size=kernel_of(layer).shape[:2], strides=patches.strides,
                padding="valid", data_format="channels_last", groups=1,
                dilation_rate=(1, 1) if _has_gaps(layer) else patches.dilation, **use,
            )  # fmt: skip
            self.layers[-1]["build_config"] = {"input_shape": [None, *shape]}
            self._image = (*patches.positions, layer.n_out)
        if layer.unit == "relu":
            self._add("ReLU", self._name("re_lu"), max_value=layer.ceiling, negative_slope=0.0, threshold=0.0)
