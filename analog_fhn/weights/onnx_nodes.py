"""What each operator of ONNX does to the chain of layers.

Source: the ONNX operator specification (onnx.ai/onnx/operators), opsets 7 to 26.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analog_fhn.errors import shown
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import Padding, Pair
from analog_fhn.weights.chain import Pads, normalised
from analog_fhn.weights.onnx_numbers import Step, is_float

# What the inputs are divided by where pixels are whole numbers, and what the largest of them then is.
_PIXELS = {255.0: 1.0, 127.5: 2.0}
_UNITS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softmax": "softmax", "LogSoftmax": "log_softmax",
    "ArgMax": "argmax", "LeakyRelu": "leaky_relu", "PRelu": "prelu", "Elu": "elu", "Selu": "selu", "Celu": "celu",
    "Gelu": "gelu", "Softplus": "softplus", "Softsign": "softsign", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "Mish": "mish", "Swish": "swish",
}  # fmt: skip
_RECURRENT = {"RNN", "LSTM", "GRU"}
_EITHER = {"Add", "Mul", "Sub", "Div", "Min", "Max"}  # the values may be any of their inputs
_EXPECTED = (
    "expected Gemm, MatMul, Conv, AveragePool, BatchNormalization, Sigmoid, Tanh, Relu, Clip and what only rearranges, "
    "scales or shifts"
)


def take(step: Step) -> None:
    """Take a node into the layers.

    Raises
    ------
    InputError
        If it has no place in a circuit.
    """
    kind = step.node.op_type
    if kind in _UNITS:
        step.chain.unit(step.at, _UNITS[kind])
        return
    taken = _TAKE.get(kind)
    if taken is None:
        what = "recurrent layers have" if kind in _RECURRENT else "this operator has"
        raise step.error(f"{what} no place in this circuit; {_EXPECTED}")
    if step.place and kind not in _EITHER:
        raise step.error(f"takes the values as its input number {step.place + 1}; expected them as the first")
    taken(step)


def _pass(step: Step) -> None:
    if step.node.op_type == "Cast" and not is_float(step.attribute("to")):
        raise step.error("makes whole numbers of the values; expected a cast between floats")


def _gemm(step: Step) -> None:
    if step.attribute("transA"):
        raise step.error("transA: turns the images themselves; expected 0")
    weights = step.floats(1)
    if weights.ndim != 2:
        raise step.error(f"weights have shape {weights.shape}; expected a matrix")
    alpha, beta = (step.number(name, 1.0) for name in ("alpha", "beta"))
    weights = alpha * (weights.T if step.attribute("transB") else weights)
    bias = None
    if step.has(2):
        bias = beta * _row(step, step.floats(2), weights.shape[1])
    step.chain.dense(step.at, weights, bias)


def _row(step: Step, bias: FloatArray, n: int) -> FloatArray:
    """A bias that is the same for all images, shape (n,)."""
    if bias.size != 1 and (bias.size != n or bias.shape[-1] != n):
        raise step.error(f"bias has shape {bias.shape}; expected {n} numbers")
    return np.broadcast_to(bias.ravel(), n)


def _matmul(step: Step) -> None:
    step.chain.dense(step.at, step.floats(1))


def _terms(step: Step) -> None:
    """Add, Sub, Mul or Div with numbers of the file."""
    numbers = step.floats(1 - step.place)
    rank = step.rank
    if numbers.ndim > rank or (numbers.ndim == rank and numbers.shape[0] != 1):
        raise step.error(f"takes {numbers.shape} numbers, others for each image; expected the same for all")
    numbers = numbers[0] if numbers.ndim == rank else numbers
    kind = step.node.op_type
    if kind == "Div" and step.place:
        raise step.error("divides numbers by the values; expected the values divided by numbers")
    with np.errstate(divide="ignore"):
        factor = {"Mul": numbers, "Div": 1.0 / numbers}.get(kind)
    if factor is not None:
        parts = {float(part) for part in np.ravel(1.0 / factor if kind == "Mul" else numbers)}
        largest = next((top for known, top in _PIXELS.items() if {round(part, 3) for part in parts} == {known}), None)
        if largest is not None:
            step.chain.rescale(step.at, float(np.ravel(factor)[0]), 0.0, largest=largest)
        else:
            step.chain.affine(step.at, factor, 0.0)
    elif kind == "Add":
        step.chain.affine(step.at, 1.0, numbers, bias=True)
    else:
        step.chain.affine(step.at, *((-1.0, numbers) if step.place else (1.0, -numbers)))


def _limits(step: Step) -> None:
    """Clip, Min or Max: a relu, with its ceiling or without."""
    low, high = None, None
    if step.node.op_type == "Clip":
        low, high = (_limit(step, name, k) for k, name in ((1, "min"), (2, "max")))
    elif len(step.node.input) == 2:
        limit = step.floats(1 - step.place)
        low, high = (float(limit.max()), None) if step.node.op_type == "Max" else (None, float(limit.min()))
        if limit.size != 1 and float(limit.max()) != float(limit.min()):
            raise step.error("has another limit for each value; expected one")
    if low == 0.0 or (low is None and high is not None):
        if high is not None and high <= 0.0:
            raise step.error(f"leaves values from 0 to {high:g} only; expected a limit above 0")
        if low is None and not step.chain.behind_relu:
            raise step.error("limits values from above alone; expected a limit of 0 from below")
        step.chain.unit(step.at, "relu", high)
    elif low is not None and low == -1.0 and high == 1.0:
        step.chain.unit(step.at, "hard_tanh")
    elif low is not None or high is not None:
        raise step.error(f"limits values to {low} and {high}; expected 0 and a number above it")


def _limit(step: Step, name: str, place: int) -> float | None:
    """A limit of Clip; None: there is none."""
    value = step.attribute(name)
    if value is None and step.has(place):
        value = step.single(place)
    if value is None or abs(float(value)) > 1e30:  # the default of old opsets is the largest float
        return None
    return float(value)


def _conv(step: Step) -> None:
    weights = step.floats(1)
    if weights.ndim not in (3, 4) or weights.ndim != step.rank:
        raise step.error(
            f"weights of shape {weights.shape} on values of the sizes {step.sizes}; expected a convolution of one or "
            "two dimensions on an image"
        )
    kernel = (weights[:, :, np.newaxis] if weights.ndim == 3 else weights).transpose(2, 3, 1, 0)
    bias = step.floats(2) if step.has(2) else None
    two = weights.ndim == 4
    group = step.attribute("group")
    step.chain.convolution(
        step.at, kernel, bias,
        strides=_pair(step, "strides", two),
        padding=_pads(step, two),
        dilation=_pair(step, "dilations", two),
        groups=group if isinstance(group, int) else 1,
        channels_first=True,
    )  # fmt: skip


def _pair(step: Step, name: str, two: bool) -> Pair:
    """Two numbers from 1, ones where they are not there; of one dimension the first is 1."""
    numbers = step.whole(name) or ([1, 1] if two else [1])
    if len(numbers) != 1 + two or min(numbers) < 1:
        raise step.error(f"{name} {shown(numbers)}; expected {1 + two} whole numbers from 1")
    return (numbers[0], numbers[1]) if two else (1, numbers[0])


def _pads(step: Step, two: bool) -> Pads:
    auto = step.attribute("auto_pad") or "NOTSET"
    if auto != "NOTSET":
        known: dict[str, Pads] = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}
        if auto not in known:
            raise step.error(f"auto_pad {shown(auto)}; expected {', '.join(known)} or NOTSET")
        return known[auto]
    numbers = step.whole("pads") or [0] * (2 + 2 * two)
    if len(numbers) != 2 + 2 * two or min(numbers) < 0:
        raise step.error(f"pads {shown(numbers)}; expected {2 + 2 * two} whole numbers from 0")
    return ((numbers[0], numbers[2]), (numbers[1], numbers[3])) if two else ((0, 0), (numbers[0], numbers[1]))


def _pool(step: Step) -> None:
    two = step.rank == 4
    if step.whole("kernel_shape") is None:
        raise step.error("does not say its kernel_shape")
    if _pair(step, "dilations", two) != (1, 1):
        raise step.error("has windows with gaps (dilations); expected none")
    settings: dict[str, Any] = {
        "strides": _pair(step, "strides", two),
        "padding": _pads(step, two),
        "ceil": bool(step.attribute("ceil_mode")),
        "channels_first": True,
    }
    size = _pair(step, "kernel_shape", two)
    if step.node.op_type == "MaxPool":
        step.chain.max_pool(step.at, size, **settings)
    else:
        step.chain.average_pool(step.at, size, count_padding=bool(step.attribute("count_include_pad")), **settings)


def _pool_of_all(step: Step) -> None:
    pool = step.chain.max_pool if step.node.op_type == "GlobalMaxPool" else step.chain.average_pool
    pool(step.at, channels_first=True)


def _reduce(step: Step) -> None:
    """Mean or maximum over lines and places."""
    rank = step.rank
    axes = step.whole("axes", 1)
    over = sorted(axis % rank for axis in axes or range(rank))
    if rank not in (3, 4) or over not in ([*range(2, rank)], [*range(1, rank - 1)]):
        raise step.error(f"goes over the axes {axes} of {rank}; expected lines and places, not the channels")
    keep = step.attribute("keepdims") in (None, 1)
    pool = step.chain.max_pool if step.node.op_type == "ReduceMax" else step.chain.average_pool
    pool(step.at, channels_first=over[0] == 2, keep=keep)


def _batch_normalization(step: Step) -> None:
    if step.attribute("training_mode") or step.attribute("spatial") == 0:
        raise step.error("is a normalisation of training; export the model for inference")
    scale, shift, mean, variance = (step.floats(place) for place in range(1, 5))
    factor, term = normalised(scale, shift, mean, variance, step.number("epsilon", 1e-5))
    sizes = (-1, *[1] * (len(step.sizes or (0,)) - 1))
    step.chain.affine(step.at, factor.reshape(sizes), term.reshape(sizes))


def _pad(step: Step) -> None:
    if (step.attribute("mode") or "constant") != "constant":
        raise step.error(f"mode {shown(step.attribute('mode'))}; expected 'constant'")
    rank = step.rank
    numbers = step.whole("pads", 1) or []
    axes = step.whole("axes", 3) or list(range(rank))
    if len(numbers) != 2 * len(axes) or min(numbers, default=0) < 0 or rank not in (3, 4):
        raise step.error(f"pads {shown(numbers)} of an image; expected whole numbers from 0 for each axis")
    pairs = dict.fromkeys(range(rank), (0, 0))
    pairs |= {axis % rank: (numbers[k], numbers[k + len(axes)]) for k, axis in enumerate(axes)}
    value = step.number("value", 0.0)
    if step.has(2):
        value = step.single(2)
    first = pairs[1] == (0, 0)
    inside = [pairs[k] for k in (range(2, rank) if first else range(1, rank - 1))]
    if pairs[0] != (0, 0) or not (first or pairs[rank - 1] == (0, 0)):
        raise step.error("adds images or channels; expected lines and places only")
    padding: Padding = (inside[0], inside[1]) if len(inside) == 2 else ((0, 0), inside[0])
    step.chain.pad(step.at, padding, value, channels_first=first)


# --- layout -----------------------------------------------------------------------------------------------------------


def _flatten(step: Step) -> None:
    rank = step.rank
    axis = step.attribute("axis")
    if (1 if axis is None else axis) % rank != 1 % rank:
        raise step.error(f"axis {axis}: expected 1, all values of an image in one row")
    step.chain.reshape(step.at, (-1,))


def _reshape(step: Step) -> None:
    sizes = step.whole("shape", 1)
    before = (step.batch or 1, *step.sizes)
    if not sizes or sizes[0] not in {0, -1, 1, step.batch}:
        raise step.error(f"shape {shown(sizes)}: expected the number of images first, such as -1")
    rest = [before[k] if size == 0 and k < len(before) else size for k, size in enumerate(sizes)][1:]
    step.chain.reshape(step.at, rest)


def _squeeze(step: Step) -> None:
    sizes = list(step.sizes)
    axes = step.whole("axes", 1)
    rank = 1 + len(sizes)
    if axes is None:
        axes = [1 + k for k, size in enumerate(sizes) if size == 1]
    axes = [axis % rank for axis in axes]
    if 0 in axes or any(sizes[axis - 1] != 1 for axis in axes):
        raise step.error(f"takes away axes {axes}; expected axes of an image of size 1")
    step.chain.reshape(step.at, [size for k, size in enumerate(sizes) if k + 1 not in axes])


def _unsqueeze(step: Step) -> None:
    sizes = list(step.sizes)
    axes = step.whole("axes", 1) or []
    rank = 1 + len(sizes) + len(axes)
    places = sorted(axis % rank for axis in axes)
    if not places or places[0] == 0:
        raise step.error(f"adds axes {axes}; expected some behind the first, which counts the images")
    for place in places:
        sizes.insert(place - 1, 1)
    step.chain.reshape(step.at, sizes)


def _transpose(step: Step) -> None:
    axes = step.whole("perm") or []
    if not axes or axes[0] != 0:
        raise step.error(f"perm {shown(axes)}: expected the axis of the images to stay the first")
    step.chain.transpose(step.at, [axis - 1 for axis in axes[1:]])


_TAKE: dict[str, Callable[[Step], None]] = {
    "Identity": _pass, "Dropout": _pass, "Cast": _pass, "Gemm": _gemm, "MatMul": _matmul, "Add": _terms, "Sub": _terms,
    "Mul": _terms, "Div": _terms, "Clip": _limits, "Min": _limits, "Max": _limits, "Conv": _conv, "AveragePool": _pool,
    "MaxPool": _pool, "GlobalAveragePool": _pool_of_all, "GlobalMaxPool": _pool_of_all, "ReduceMean": _reduce,
    "ReduceMax": _reduce, "BatchNormalization": _batch_normalization, "Pad": _pad, "Flatten": _flatten,
    "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose,
}  # fmt: skip
