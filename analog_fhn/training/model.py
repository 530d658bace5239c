"""A plan's layers as a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from analog_fhn.patches import AveragePool
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.layers import Plan, PlannedMap


def model_of(
    plan: Plan, linear: Callable[[int, PlannedMap], Any], behind: Callable[[int], Sequence[Any]] = lambda _number: ()
) -> tuple[Any, list[Any]]:
    """Keras model of a plan, and its layers of linear maps.

    Parameters
    ----------
    linear
        Makes the layer of a linear map, by its number from 0.
    behind
        Makes the layers behind hidden map number k.
    """
    keras = keras_on_jax()
    stack: list[Any] = [keras.Input((plan.n_inputs,))]
    maps: list[Any] = []
    for one in plan.stack:
        if isinstance(one, AveragePool):
            from analog_fhn.training.convolution import Means

            stack.append(Means(one))
            continue
        if one.patches is None and not plan.dense:
            stack.append(keras.layers.Flatten(data_format="channels_last"))
        maps.append(linear(len(maps), one))
        stack += [maps[-1], *(behind(len(maps) - 1) if one.unit is not None else ())]
    if plan.maps[-1].patches is not None:
        stack.append(keras.layers.Flatten(data_format="channels_last"))
    return keras.Sequential(stack), maps
