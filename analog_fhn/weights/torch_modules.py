"""Modules of PyTorch in memory: chains of its own layers, read by their settings and arrays; PyTorch is not imported.

Source: the attributes of the classes of torch.nn (PyTorch 2). Weights of a Linear are (n_out, n_in), those of a Conv2d
(n_out, channels, lines, places); values have their channels first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import Padding, Pair
from analog_fhn.weights import named
from analog_fhn.weights.chain import Chain, normalised
from analog_fhn.weights.trained import TrainedWeights, as_float64

_INACTIVE = {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"}
_EXPECTED = (
    "expected a Sequential (nested ones, too) of Linear, Conv1d, Conv2d, AvgPool, BatchNorm, Flatten, Dropout and "
    "activations"
)


def arrays(state: Mapping[str, Any], path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a state dict, of tensors or of NumPy's arrays.

    Raises
    ------
    InputError
        If a value is none.
    """
    for name, value in state.items():
        if not isinstance(name, str) or not hasattr(value, "shape"):
            raise InputError(
                f"{path}: {shown(name)} is {shown(value)}; expected names and arrays alone, as model.state_dict() "
                "gives them (take them out of a checkpoint first)"
            )
    return {name: _array(value) for name, value in state.items()}


def read_state(state: Mapping[str, NDArray[Any]], path: Path) -> TrainedWeights:
    """Layers of named arrays, in their order; the hidden unit is not said.

    Raises
    ------
    InputError
        As `named.layers`.
    """
    chain = named.layers(state, path, stored=True)
    return TrainedWeights(chain.weights, chain.biases, None, path, "state dict", chain.notes)


def read(module: Any, path: Path, input_shape: Sequence[int] | None) -> TrainedWeights:
    """Layers of a Sequential, also of Sequentials in it.

    Parameters
    ----------
    input_shape
        Sizes of an input without the axis of the images; needed by convolutions.

    Raises
    ------
    InputError
        For other modules, whose flow only running them would tell, and for layers that no circuit is built for.
    """
    layers = list(_layers(module, "", path))
    if input_shape is None and layers and type(layers[0][1]).__name__ == "BatchNorm1d":
        input_shape = (layers[0][1].num_features,)
    chain = Chain(path, input_shape)
    for name, layer in layers:
        kind = type(layer).__name__
        at = f"layer {name} ({kind})" if name else kind
        reader = _READERS.get(kind)
        if reader is not None:
            reader(chain, at, layer)
        elif kind in _INACTIVE:
            chain.notes.append(f"{at} left out: it acts in training only")
        elif type(layer).__module__.endswith(".activation") and kind != "MultiheadAttention":
            chain.unit(at, kind.lower())
        elif kind != "Identity":
            raise chain.error(at, f"has no place in this circuit; {_EXPECTED}")
    return chain.finish("PyTorch module")


def _layers(module: Any, name: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Layers in the order of their use, with their names; one that is used twice comes twice."""
    runs = next(kind for kind in type(module).__mro__ if "forward" in vars(kind))
    if not runs.__module__.startswith("torch.nn."):
        raise InputError(
            f"{path}: {f'layer {name} is a ' if name else ''}{type(module).__name__} with a forward of its own, whose "
            "flow only running it would tell: export it by torch.onnx.export(model, torch.zeros(1, ...), 'net.onnx') "
            "and read the file with load_network; or, of Linear layers alone, hand over model.state_dict() and "
            "hidden=..."
        )
    if runs.__name__ == "Sequential":
        for label, child in module._modules.items():
            yield from _layers(child, f"{name}.{label}" if name else label, path)
    else:
        yield name, module


def _array(tensor: Any) -> NDArray[Any]:
    """Values of a tensor or an array; those of bfloat16, which NumPy lacks, as float32."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        tensor = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return np.asarray(tensor)


def _numbers(chain: Chain, at: str, layer: Any, name: str) -> FloatArray:
    return as_float64(_array(getattr(layer, name)), f"{at}: {name}", chain.path)


def _bias(chain: Chain, at: str, layer: Any) -> FloatArray | None:
    return None if layer.bias is None else _numbers(chain, at, layer, "bias")


def _linear(chain: Chain, at: str, layer: Any) -> None:
    chain.dense(at, np.ascontiguousarray(_numbers(chain, at, layer, "weight").T), _bias(chain, at, layer))


def _convolution(chain: Chain, at: str, layer: Any) -> None:
    if layer.padding_mode != "zeros":
        raise chain.error(at, f"padding_mode {shown(layer.padding_mode)}; expected 'zeros'")
    _check_image(chain, at)
    weight = _numbers(chain, at, layer, "weight")
    kernel = (weight[:, :, np.newaxis] if weight.ndim == 3 else weight).transpose(2, 3, 1, 0)
    padding: Any = layer.padding
    if not isinstance(padding, str):
        padding = _around(padding)
    chain.convolution(
        at, kernel, _bias(chain, at, layer), strides=_pair(layer.stride), padding=padding,
        dilation=_pair(layer.dilation), groups=layer.groups, channels_first=True,
    )  # fmt: skip


def _average_pool(chain: Chain, at: str, layer: Any) -> None:
    if getattr(layer, "divisor_override", None) is not None:
        raise chain.error(at, f"divisor_override {shown(layer.divisor_override)}; expected none")
    _check_image(chain, at)
    chain.average_pool(
        at, _windows(layer, layer.kernel_size), strides=_windows(layer, layer.stride),
        padding=_padding(layer), count_padding=layer.count_include_pad, ceil=layer.ceil_mode, channels_first=True,
    )  # fmt: skip


def _max_pool(chain: Chain, at: str, layer: Any) -> None:
    _check_image(chain, at)
    chain.max_pool(
        at, _windows(layer, layer.kernel_size), strides=_windows(layer, layer.stride), padding=_padding(layer),
        ceil=layer.ceil_mode, channels_first=True,
    )  # fmt: skip


def _adaptive_pool(chain: Chain, at: str, layer: Any) -> None:
    """Means over equal windows, as many as the layer gives."""
    _check_image(chain, at)
    assert chain.shape is not None
    given, wanted = (1, 1, *chain.shape)[-2:], _windows(layer, layer.output_size)
    if not all(isinstance(n, int) and n > 0 and size % n == 0 for n, size in zip(wanted, given, strict=True)):
        raise chain.error(at, f"makes {shown(layer.output_size)} means of {given} values; expected windows of one size")
    size = (given[0] // wanted[0], given[1] // wanted[1])
    chain.average_pool(at, size, channels_first=True)


def _batch_norm(chain: Chain, at: str, layer: Any) -> None:
    """(x - mean)/sqrt(variance + eps), times weight, plus bias: for each channel, the first axis."""
    if layer.running_mean is None:
        raise chain.error(
            at, "keeps no running mean, so that each batch is normalised anew; expected track_running_stats"
        )
    weight, bias = (
        default if getattr(layer, name) is None else _numbers(chain, at, layer, name)
        for name, default in (("weight", 1.0), ("bias", 0.0))
    )
    mean, variance = (_numbers(chain, at, layer, f"running_{name}") for name in ("mean", "var"))
    scale, offset = normalised(weight, bias, mean, variance, float(layer.eps))
    shape = (-1, *(1,) * (len(chain.shape or (0,)) - 1))
    chain.affine(at, scale.reshape(shape), offset.reshape(shape))


def _flatten(chain: Chain, at: str, layer: Any) -> None:
    if (layer.start_dim, layer.end_dim) not in ((1, -1), (1, len(chain.shape or ()))):
        raise chain.error(at, f"flattens the axes {layer.start_dim} to {layer.end_dim}; expected 1 to -1")
    chain.reshape(at, (-1,))


def _unflatten(chain: Chain, at: str, layer: Any) -> None:
    if layer.dim not in (1, -1) or len(chain.shape or (0,)) != 1:
        raise chain.error(at, f"unflattens axis {layer.dim} of values of shape {chain.shape}; expected one row, axis 1")
    chain.reshape(at, tuple(layer.unflattened_size))


def _zero_pad(chain: Chain, at: str, layer: Any) -> None:
    _check_image(chain, at)
    left, right, *lines = layer.padding
    above, below = lines or (0, 0)
    chain.pad(at, ((above, below), (left, right)), channels_first=True)


def _relu6(chain: Chain, at: str, layer: Any) -> None:
    chain.unit(at, "relu", 6.0)


def _hardtanh(chain: Chain, at: str, layer: Any) -> None:
    """From 0 to a number it is a relu with a ceiling."""
    if layer.min_val == 0:
        chain.unit(at, "relu", float(layer.max_val))
    else:
        chain.unit(at, "hardtanh")


def _check_image(chain: Chain, at: str) -> None:
    if chain.shape is None:
        raise chain.error(
            at,
            "needs the size of the images, which the module does not know; say input_shape=(channels, lines, places)",
        )


def _windows(layer: Any, sizes: Any) -> Pair:
    """Sizes for lines and places; layers for one dimension have one line."""
    if type(layer).__name__.endswith("1d"):
        return (1, *(sizes if isinstance(sizes, tuple) else (sizes,)))
    return sizes if isinstance(sizes, tuple) else (sizes, sizes)


def _padding(layer: Any) -> Padding:
    down, along = _windows(layer, layer.padding)
    down = 0 if type(layer).__name__.endswith("1d") else down
    return (down, down), (along, along)


def _pair(sizes: tuple[int, ...]) -> Pair:
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _around(padding: tuple[int, ...]) -> Padding:
    down, along = (0, padding[0]) if len(padding) == 1 else padding
    return (down, down), (along, along)


_READERS: dict[str, Callable[[Chain, str, Any], None]] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "AvgPool1d": _average_pool,
    "AvgPool2d": _average_pool,
    "AdaptiveAvgPool1d": _adaptive_pool,
    "AdaptiveAvgPool2d": _adaptive_pool,
    "MaxPool1d": _max_pool,
    "MaxPool2d": _max_pool,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "ZeroPad1d": _zero_pad,
    "ZeroPad2d": _zero_pad,
    "ReLU6": _relu6,
    "Hardtanh": _hardtanh,
}
