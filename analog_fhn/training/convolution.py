"""Convolutions and means as Keras layers, where `analog_fhn.patches` has them; this module loads Keras and JAX."""

from __future__ import annotations

from dataclasses import asdict
from math import prod
from typing import Any

from analog_fhn.patches import AveragePool, Patches
from analog_fhn.technology.sections import Array
from analog_fhn.training.array import ArrayDense
from analog_fhn.training.fit import keras_on_jax

keras = keras_on_jax()

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

_Layer: Any = keras.layers.Layer
_Dense: Any = keras.layers.Dense

_ORDER = ("NHWC", "HWIO", "NHWC")  # of the axes: channels last


def convolved(values: Any, weights: Any, patches: Patches) -> Any:
    """Sums of weights (n_rows, n_out) over all patches of values (n, ...), shape (n, down, along, n_out)."""
    images = values.reshape(-1, *patches.shape)
    padding = patches.padding
    if patches.fill != 0.0:
        (above, below), (left, right) = padding
        fill = jnp.broadcast_to(jnp.asarray(patches.fill, images.dtype), images.shape[3:])
        # Zeros around what is different from the fill, and the fill again.
        images = jnp.pad(images - fill, ((0, 0), (above, below), (left, right), (0, 0))) + fill
        padding = ((0, 0), (0, 0))
    kernel = weights.reshape(*patches.size, patches.shape[2], -1)
    return lax.conv_general_dilated(
        images, kernel, patches.strides, padding, rhs_dilation=patches.dilation, dimension_numbers=_ORDER
    )


@keras.saving.register_keras_serializable(package="analog_fhn")
class Means(_Layer):  # type: ignore[misc]
    """Means over windows of values (n, ...), shape (n, down, along, channels).

    Parameters
    ----------
    pool
        The windows.
    """

    def __init__(self, pool: AveragePool | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool = pool if isinstance(pool, AveragePool) else AveragePool(**pool)

    def call(self, values: Any) -> Any:
        """Means of values."""
        pool = self.pool

        def sums(images: Any) -> Any:
            around = ((0, 0), *pool.padding, (0, 0))
            return lax.reduce_window(images, 0.0, lax.add, (1, *pool.size, 1), (1, *pool.strides, 1), around)

        images = jnp.reshape(values, (-1, *pool.shape))
        counts = prod(pool.size) if pool.count_padding else sums(jnp.ones((1, *pool.shape), images.dtype))
        return sums(images) / counts

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `shape`."""
        return (shape[0], *self.pool.output_shape)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        config: dict[str, Any] = super().get_config()
        return config | {"pool": asdict(self.pool)}


@keras.saving.register_keras_serializable(package="analog_fhn")
class Convolved(_Dense):  # type: ignore[misc]
    """Dense layer that is used on each patch of values (n, ...); its outputs have shape (n, down, along, units).

    Parameters
    ----------
    units
        Number of channels that it makes.
    patches
        Where it is used; its kernel has shape (n_rows, units), its rows in the order of a patch's values.
    **kwargs
        As of `keras.layers.Dense`.
    """

    def __init__(self, units: int, patches: Patches | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.patches = _patches(patches)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights; `shape` is that of the inputs."""
        super().build((shape[0], self.patches.n_rows))
        self.input_spec = None  # Dense would ask for rows

    def call(self, values: Any, training: bool | None = None) -> Any:
        """Outputs at all positions."""
        z = convolved(values, self.kernel.value, self.patches)
        if self.bias is not None:
            z = z + self.bias.value
        return z if self.activation is None else self.activation(z)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `shape`."""
        return (shape[0], *self.patches.positions, self.units)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        config: dict[str, Any] = super().get_config()
        return config | {"patches": asdict(self.patches)}


@keras.saving.register_keras_serializable(package="analog_fhn")
class ArrayConv(ArrayDense):
    """`ArrayDense` that is used on each patch of values (n, ...); its outputs have shape (n, down, along, units).

    A step sees one array: the same devices at every position, of every image.

    Parameters
    ----------
    units, array
        Number of channels; as for `ArrayDense`.
    patches
        Where it is used; its kernel has shape (n_rows, units), its rows in the order of a patch's values.
    **kwargs
        The other parameters of `ArrayDense`.
    """

    def __init__(
        self, units: int, array: Array | dict[str, Any], patches: Patches | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(units, array, **kwargs)
        self.patches = _patches(patches)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights; `shape` is that of the inputs."""
        super().build((shape[0], self.patches.n_rows))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `shape`."""
        return (shape[0], *self.patches.positions, self.units)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return super().get_config() | {"patches": asdict(self.patches)}

    def _summed(self, inputs: Any, weights: Any) -> Any:
        return convolved(inputs, weights, self.patches)


def _patches(patches: Patches | dict[str, Any]) -> Patches:
    return patches if isinstance(patches, Patches) else Patches(**patches)
