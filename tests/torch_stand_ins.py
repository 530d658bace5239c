"""Modules with the names, settings and arrays of PyTorch's own, which the tests do without; JAX computes for them.

What each computes is the formula of its page in PyTorch's documentation, channels first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

GENERATOR = np.random.default_rng(5)


class Tensor:
    """An array behind the few methods of a tensor that lead to it."""

    def __init__(self, values: Any, dtype: str = "torch.float32") -> None:
        self.values, self.dtype = np.asarray(values, np.float32), dtype
        self.shape = self.values.shape

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.values)

    def numpy(self) -> Any:
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


class Module:
    __module__ = "torch.nn.modules.module"

    def __init__(self, **attributes: Any) -> None:
        self._modules: dict[str, Module] = {}
        vars(self).update(attributes)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        for label, child in self._modules.items():
            state |= {f"{label}.{name}": value for name, value in child.state_dict().items()}
        return state


class Sequential(Module):
    __module__ = "torch.nn.modules.container"

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        self._modules = {str(k): layer for k, layer in enumerate(layers)}

    def forward(self, x: Any) -> Any:
        for layer in self._modules.values():
            x = layer.forward(x)
        return x


def made(name: str, module: str, forward: Callable[[Any, Any], Any], **attributes: Any) -> Module:
    """A layer of this class name, in torch.nn.modules."""
    kind = type(name, (Module,), {"forward": forward, "__module__": f"torch.nn.modules.{module}"})
    layer: Module = kind(**attributes)
    return layer


def drawn(*shape: int) -> Tensor:
    return Tensor(GENERATOR.normal(size=shape) / np.sqrt(shape[-1]))


def linear(n_in: int, n_out: int, *, bias: bool = True) -> Module:
    def forward(self: Any, x: Any) -> Any:
        return x @ self.weight.values.T + (self.bias.values if bias else 0.0)

    return made("Linear", "linear", forward, weight=drawn(n_out, n_in), bias=drawn(n_out) if bias else None)


def conv2d(
    n_in: int, n_out: int, size: tuple[int, int], *, stride: tuple[int, int] = (1, 1), padding: Any = (0, 0),
    dilation: tuple[int, int] = (1, 1), groups: int = 1, bias: bool = True,
) -> Module:  # fmt: skip
    def forward(self: Any, x: Any) -> Any:
        pads = padding.upper() if isinstance(padding, str) else [(n, n) for n in padding]
        y = lax.conv_general_dilated(
            x, self.weight.values, stride, pads, rhs_dilation=dilation, feature_group_count=groups,
            dimension_numbers=("NCHW", "OIHW", "NCHW"), precision=lax.Precision.HIGHEST,
        )  # fmt: skip
        return y + (self.bias.values[:, None, None] if bias else 0.0)

    return made(
        "Conv2d", "conv", forward, weight=drawn(n_out, n_in // groups, *size), bias=drawn(n_out) if bias else None,
        stride=stride, padding=padding, dilation=dilation, groups=groups, padding_mode="zeros",
    )  # fmt: skip


def conv1d(n_in: int, n_out: int, size: int, *, stride: int = 1, padding: int = 0) -> Module:
    def forward(self: Any, x: Any) -> Any:
        y = lax.conv_general_dilated(
            x, self.weight.values, (stride,), [(padding, padding)], dimension_numbers=("NCH", "OIH", "NCH")
        )
        return y + self.bias.values[:, None]

    return made(
        "Conv1d", "conv", forward, weight=drawn(n_out, n_in, size), bias=drawn(n_out), stride=(stride,),
        padding=(padding,), dilation=(1,), groups=1, padding_mode="zeros",
    )  # fmt: skip


def avg_pool2d(
    size: Any, *, stride: Any = None, padding: Any = 0, ceil: bool = False, count_padding: bool = True
) -> Module:
    stride = size if stride is None else stride
    (down, along), steps, pads = (n if isinstance(n, tuple) else (n, n) for n in (size, stride, padding))

    def forward(self: Any, x: Any) -> Any:
        def sums(values: Any) -> Any:
            around = [(0, 0), (0, 0), *((n, n) for n in pads)]
            return lax.reduce_window(values, 0.0, lax.add, (1, 1, down, along), (1, 1, *steps), around)

        return sums(x) / (down * along if count_padding else sums(jnp.ones_like(x)))

    return made(
        "AvgPool2d", "pooling", forward, kernel_size=size, stride=stride, padding=padding, ceil_mode=ceil,
        count_include_pad=count_padding, divisor_override=None,
    )  # fmt: skip


def adaptive_avg_pool2d(size: Any) -> Module:
    lines, places = size if isinstance(size, tuple) else (size, size)

    def forward(self: Any, x: Any) -> Any:
        n, channels, height, width = x.shape
        return x.reshape(n, channels, lines, height // lines, places, width // places).mean(axis=(3, 5))

    return made("AdaptiveAvgPool2d", "pooling", forward, output_size=size)


def max_pool2d(size: int) -> Module:
    def forward(self: Any, x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, size, size), (1, 1, size, size), "VALID")

    return made("MaxPool2d", "pooling", forward, kernel_size=size, stride=size, padding=0, ceil_mode=False)


def batch_norm(n: int, *, dimensions: int, affine: bool = True) -> Module:
    def forward(self: Any, x: Any) -> Any:
        shape = (n,) + (1,) * (x.ndim - 2)
        y = (x - self.running_mean.values.reshape(shape)) / np.sqrt(self.running_var.values.reshape(shape) + self.eps)
        return y * self.weight.values.reshape(shape) + self.bias.values.reshape(shape) if affine else y

    variance = Tensor(GENERATOR.uniform(0.5, 2.0, n))
    return made(
        f"BatchNorm{dimensions}d", "batchnorm", forward, running_mean=drawn(n), running_var=variance, eps=1e-3,
        num_features=n, weight=drawn(n) if affine else None, bias=drawn(n) if affine else None,
    )  # fmt: skip


def flatten(start: int = 1, end: int = -1) -> Module:
    return made("Flatten", "flatten", lambda _, x: x.reshape(len(x), -1), start_dim=start, end_dim=end)


def unflatten(*sizes: int) -> Module:
    return made("Unflatten", "flatten", lambda _, x: x.reshape(len(x), *sizes), dim=1, unflattened_size=sizes)


def zero_pad2d(left: int, right: int, above: int, below: int) -> Module:
    around = [(0, 0), (0, 0), (above, below), (left, right)]
    return made("ZeroPad2d", "padding", lambda _, x: jnp.pad(x, around), padding=(left, right, above, below))


def dropout() -> Module:
    return made("Dropout", "dropout", lambda _, x: x, p=0.5)


def identity() -> Module:
    return made("Identity", "linear", lambda _, x: x)


def layer_norm() -> Module:
    return made("LayerNorm", "normalization", lambda _, x: x)


def softmax(name: str = "Softmax") -> Module:
    function = {"Softmax": jax.nn.softmax, "LogSoftmax": jax.nn.log_softmax}[name]
    return made(name, "activation", lambda _, x: function(x), dim=1)


def hardtanh(low: float, high: float) -> Module:
    return made("Hardtanh", "activation", lambda _, x: jnp.clip(x, low, high), min_val=low, max_val=high)


def activation(name: str) -> Module:
    functions: dict[str, Callable[[Any], Any]] = {
        "Sigmoid": jax.nn.sigmoid,
        "Tanh": jnp.tanh,
        "ReLU": jax.nn.relu,
        "ReLU6": jax.nn.relu6,
        "GELU": jax.nn.gelu,
        "LeakyReLU": jax.nn.leaky_relu,
    }
    return made(name, "activation", lambda _, x: functions[name](x))
