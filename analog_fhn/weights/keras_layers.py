"""What each layer of Keras does to the chain of layers.

Source: the layers of Keras 1, 2 and 3 and their settings, as keras.io documents them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import Pair
from analog_fhn.weights.chain import Chain, Pads, normalised
from analog_fhn.weights.keras_config import Entry

# Act in training only.
_INACTIVE = {
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
    "ActivityRegularization", "Identity",
}  # fmt: skip
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
_SMALLEST = 1e-7  # of a deviation in Normalization: Keras's epsilon
_EXPECTED = (
    "expected Dense, Conv1D, Conv2D, average pooling, and beside them Input, Flatten, Reshape, Permute, ZeroPadding, "
    "Rescaling, normalisation, Dropout, Activation and Softmax"
)

Arrays = dict[str, FloatArray]


def roles(layer: Entry) -> tuple[str, ...]:
    """What a layer's arrays are, in the order in which Keras stores them; none for layers without."""
    settings = layer.settings
    kind = "convolution" if layer.kind in ("Conv1D", "Conv2D", "Dense") else layer.kind.rstrip("12D")
    match kind:
        case "convolution" | "DepthwiseConv":
            first: tuple[str, ...] = ("kernel",)
        case "SeparableConv":
            first = ("depthwise_kernel", "pointwise_kernel")
        case "BatchNormalization":
            both = (("scale", "gamma"), ("center", "beta"))
            learnt = tuple(role for setting, role in both if settings.get(setting, True))
            return (*learnt, "moving_mean", "moving_variance")
        case "Normalization":
            return () if settings.get("mean") is not None else ("mean", "variance")
        case _:
            return ()
    # bias is Keras 1's
    return (*first, "bias") if settings.get("use_bias", settings.get("bias", True)) else first


def take(chain: Chain, layer: Entry, arrays: Callable[[], Arrays]) -> None:
    """Take a layer into the chain.

    Parameters
    ----------
    arrays
        Gives the layer's arrays by their roles, when they are needed.

    Raises
    ------
    InputError
        If it has no place in a circuit.
    """
    if layer.kind in _INACTIVE:
        chain.notes.append(f"{layer.name} ({layer.kind}) left out: it acts in training only")
    elif layer.kind in _ACTIVATIONS:
        activation = layer.settings.get("activation") if layer.kind == "Activation" else None
        chain.unit(layer.at, *_unit(chain, layer, activation or {"class_name": layer.kind, "config": layer.settings}))
    elif layer.kind in _TAKE:
        step = _Step(chain, layer, arrays)
        _TAKE[layer.kind](step)
        if "activation" in layer.settings:
            chain.unit(layer.at, *_unit(chain, layer, layer.settings["activation"]))
    elif layer.kind != "InputLayer":
        raise chain.error(layer.at, f"has no place in this circuit; {_EXPECTED}")


def _unit(chain: Chain, layer: Entry, setting: Any) -> tuple[str, float | None]:
    """Name of an activation, and its ceiling; the setting is a name, a description with a name, or null."""
    if setting is None:
        return "linear", None
    config: Any = {}
    if isinstance(setting, dict):
        config = setting.get("config")
        setting = config if isinstance(config, str) else setting["class_name"]
    name, config = str(setting), config if isinstance(config, dict) else {}
    if name in ("relu6", "ReLU6"):
        return "relu", 6.0
    if name == "Softmax":
        return "softmax", None
    if name != "ReLU":
        return name if name.islower() else name.lower(), None
    if config.get("negative_slope"):
        return "leaky_relu", None
    if config.get("threshold"):
        raise chain.error(layer.at, f"threshold {shown(config['threshold'])}: expected 0")
    ceiling = config.get("max_value")
    return "relu", None if ceiling is None else float(ceiling)


@dataclass(frozen=True, eq=False)
class _Step:
    """A layer, its arrays, and the chain so far."""

    chain: Chain
    layer: Entry
    arrays: Callable[[], Arrays]

    @property
    def at(self) -> str:
        return self.layer.at

    @property
    def channels_first(self) -> bool:
        return self.layer.settings.get("data_format") == "channels_first"

    @property
    def two(self) -> bool:
        """Whether the layer is one of two dimensions."""
        return self.layer.kind.endswith("2D")

    def error(self, text: str) -> InputError:
        return self.chain.error(self.at, text)

    def pair(self, *names: str) -> Pair | None:
        """Two numbers from 1 of a setting, of one dimension after a 1; None: it is not there."""
        value = next((self.layer.settings[name] for name in names if self.layer.settings.get(name) is not None), None)
        if value is None:
            return None
        numbers = [value] * (1 + self.two) if type(value) is int else list(value)
        if len(numbers) != 1 + self.two or any(type(number) is not int or number < 1 for number in numbers):
            raise self.error(f"{names[0]} {shown(value)}: expected {1 + self.two} whole numbers from 1")
        return (numbers[0], numbers[1]) if self.two else (1, numbers[0])

    def padding(self, length: int = 0) -> Pads:
        """How lines and places are added; `length` is what a kernel of one dimension reaches over."""
        padding = self.layer.settings.get("padding", self.layer.settings.get("border_mode", "valid"))
        if padding == "causal" and not self.two:
            return ((0, 0), (length - 1, 0))
        if padding not in ("valid", "same"):
            raise self.error(f"padding {shown(padding)}: expected 'valid' or 'same'")
        known: dict[str, Pads] = {"valid": "valid", "same": "same"}
        return known[padding]

    def with_line(self, kernel: FloatArray) -> FloatArray:
        """Kernel of one dimension with one line."""
        return kernel if self.two else kernel[np.newaxis]


def _dense(step: _Step) -> None:
    arrays, units = step.arrays(), step.layer.settings.get("units", step.layer.settings.get("output_dim"))
    kernel = arrays["kernel"]
    if units is not None and kernel.shape[1:] != (units,):
        raise step.error(f"has weights of shape {kernel.shape}; expected {shown(units)} columns, its units")
    step.chain.dense(step.at, kernel, arrays.get("bias"))


def _convolution(step: _Step) -> None:
    arrays, groups = step.arrays(), step.layer.settings.get("groups", 1)
    _convolve(step, arrays["kernel"], arrays.get("bias"), groups if isinstance(groups, int) else 1)


def _convolve(step: _Step, kernel: FloatArray, bias: FloatArray | None, groups: int) -> None:
    kernel = step.with_line(kernel)
    dilation = step.pair("dilation_rate") or (1, 1)
    step.chain.convolution(
        step.at, kernel, bias,
        strides=step.pair("strides", "subsample") or (1, 1),
        padding=step.padding((kernel.shape[1] - 1) * dilation[1] + 1 if kernel.ndim == 4 else 0),
        dilation=dilation,
        groups=groups,
        channels_first=step.channels_first,
    )  # fmt: skip


def _depthwise(step: _Step) -> None:
    arrays = step.arrays()
    _convolve(step, *_each_channel(step, arrays["kernel"], arrays.get("bias")))


def _each_channel(
    step: _Step, kernel: FloatArray, bias: FloatArray | None
) -> tuple[FloatArray, FloatArray | None, int]:
    """Kernel (..., channels, outputs of each) as one in groups of one channel."""
    if kernel.ndim < 3:
        raise step.error(f"kernel has shape {kernel.shape}; expected one of one or two dimensions")
    *size, channels, each = kernel.shape
    return kernel.reshape(*size, 1, channels * each), bias, channels


def _separable(step: _Step) -> None:
    arrays = step.arrays()
    _convolve(step, *_each_channel(step, arrays["depthwise_kernel"], None))
    pointwise = step.with_line(arrays["pointwise_kernel"])
    step.chain.convolution(step.at, pointwise, arrays.get("bias"), channels_first=step.channels_first)


def _pool(step: _Step) -> None:
    size = step.pair("pool_size", "pool_length") or ((2, 2) if step.two else (1, 2))
    settings: dict[str, Any] = {"strides": step.pair("strides", "stride"), "padding": step.padding()}
    pool = step.chain.max_pool if step.layer.kind.startswith("Max") else step.chain.average_pool
    pool(step.at, size, channels_first=step.channels_first, **settings)


def _pool_of_all(step: _Step) -> None:
    pool = step.chain.max_pool if step.layer.kind.startswith("GlobalMax") else step.chain.average_pool
    pool(step.at, channels_first=step.channels_first, keep=bool(step.layer.settings.get("keepdims")))


def _pad(step: _Step) -> None:
    value = step.layer.settings.get("padding", 1)
    pairs: list[Any] = [value] if type(value) is int else list(value)
    if not step.two and len(pairs) == 2 and all(type(part) is int for part in pairs):
        pairs = [pairs]
    pairs = pairs * 2 if step.two and len(pairs) == 1 else pairs
    both: list[Any] = [(part, part) if type(part) is int else tuple(part) for part in pairs]
    if len(both) != 1 + step.two or any(
        len(part) != 2 or any(type(n) is not int or n < 0 for n in part) for part in both
    ):
        raise step.error(f"padding {shown(value)}: expected whole numbers from 0")
    padding = (both[0], both[1]) if step.two else ((0, 0), both[0])
    step.chain.pad(step.at, padding, channels_first=step.channels_first)


def _batch_normalization(step: _Step) -> None:
    arrays, settings = step.arrays(), step.layer.settings
    factor, term = normalised(
        arrays.get("gamma", 1.0), arrays.get("beta", 0.0), arrays["moving_mean"], arrays["moving_variance"],
        float(settings.get("epsilon", 1e-3)),
    )  # fmt: skip
    axis = settings.get("axis", -1)
    _scale(step, factor, term, axis if isinstance(axis, list) else [axis])


def _normalization(step: _Step) -> None:
    settings = step.layer.settings
    if settings.get("invert"):
        raise step.error("invert: expected a normalisation, not what undoes one")
    arrays = step.arrays()
    stated = (settings.get(name, arrays.get(name)) for name in ("mean", "variance"))
    mean, variance = (np.asarray(arrays.get(name) if part is None else part, np.float64)
                      for name, part in zip(("mean", "variance"), stated, strict=True))  # fmt: skip
    with np.errstate(invalid="ignore"):
        factor = 1.0 / np.maximum(np.sqrt(variance), _SMALLEST)
    axis = settings.get("axis", -1)
    _scale(step, factor, -mean * factor, [] if axis is None else axis if isinstance(axis, list) else [axis])


def _scale(step: _Step, factor: FloatArray, term: FloatArray, axes: list[Any]) -> None:
    """Scale and shift along axes, which count that of the images."""
    shape = step.chain.shape
    if factor.size > 1 and len(axes) <= 1:
        rank = 2 if shape is None else 1 + len(shape)
        axis = axes[0] if axes else -1
        if type(axis) is not int or not -rank < axis < rank or axis == 0:
            raise step.error(f"axis {shown(axes)}: expected one of values of the sizes {shape}")
        sizes = [1] * (rank - 1)
        sizes[axis % rank - 1] = -1
        factor, term = (part.reshape(sizes) for part in (factor.ravel(), term.ravel()))
    elif factor.size > 1:
        inside = sorted(axes)
        if shape is None or any(type(axis) is not int for axis in inside) or inside != [*range(1, 1 + len(shape))]:
            raise step.error(f"axis {shown(axes)}: expected one, or all of values of the sizes {shape}")
    step.chain.affine(step.at, factor, term)


def _rescaling(step: _Step) -> None:
    scale, offset = step.layer.settings["scale"], step.layer.settings.get("offset", 0.0)
    if isinstance(scale, int | float) and isinstance(offset, int | float):
        step.chain.rescale(step.at, scale, offset)
    else:
        step.chain.affine(step.at, np.asarray(scale, np.float64), np.asarray(offset, np.float64))


def _flatten(step: _Step) -> None:
    if step.channels_first:
        step.chain.channels_last(step.at)
    step.chain.reshape(step.at, (-1,))


def _sizes(step: _Step, name: str) -> list[int]:
    sizes = step.layer.settings[name]
    if not isinstance(sizes, list) or any(type(size) is not int for size in sizes):
        raise step.error(f"{name} {shown(sizes)}: expected whole numbers")
    return sizes


def _reshape(step: _Step) -> None:
    step.chain.reshape(step.at, _sizes(step, "target_shape"))


def _permute(step: _Step) -> None:
    step.chain.transpose(step.at, [axis - 1 for axis in _sizes(step, "dims")])


_TAKE: dict[str, Callable[[_Step], None]] = {
    "Dense": _dense, "Conv1D": _convolution, "Conv2D": _convolution, "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise, "SeparableConv1D": _separable, "SeparableConv2D": _separable,
    "AveragePooling1D": _pool, "AveragePooling2D": _pool, "MaxPooling1D": _pool, "MaxPooling2D": _pool,
    "GlobalAveragePooling1D": _pool_of_all, "GlobalAveragePooling2D": _pool_of_all,
    "GlobalMaxPooling1D": _pool_of_all, "GlobalMaxPooling2D": _pool_of_all, "ZeroPadding1D": _pad,
    "ZeroPadding2D": _pad, "BatchNormalization": _batch_normalization, "Normalization": _normalization,
    "Rescaling": _rescaling, "Flatten": _flatten, "Reshape": _reshape, "Permute": _permute,
}  # fmt: skip
