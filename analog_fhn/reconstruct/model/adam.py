"""Adam with a cosine schedule, many steps in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.training.fit import keras_on_jax


def minimise(
    loss: Callable[[Any, Any], tuple[Any, Any]],
    variables: Sequence[Any],
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    what: str,
    chunk: int,
    clip: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[FloatArray], FloatArray]:
    """Train Keras variables.

    Parameters
    ----------
    loss
        For JAX: (values of the variables, random key of the step) -> (what is minimised, what is kept of it).
    variables
        `keras.Variable` each; they keep their values.
    seed
        Of the keys.
    what
        What is trained, for messages.
    chunk
        Steps between two calls of `progress`.
    clip
        Gradients longer than this are cut to it.
    progress
        Called with (steps done, steps).

    Returns
    -------
    values
        Trained, in the order of the variables.
    losses
        What was kept of each step, shape (steps,).

    Raises
    ------
    InputError
        If the training diverges.
    """
    keras = keras_on_jax()
    import jax

    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip)
    optimizer.build(variables)

    def step(state, key):  # type: ignore[no-untyped-def]
        values, moments = state
        (_, kept), gradient = jax.value_and_grad(loss, has_aux=True)(values, key)
        return optimizer.stateless_apply(moments, gradient, values), kept

    keys = jax.random.split(jax.random.key(seed), steps)
    run = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))
    state = [v.value for v in variables], [v.value for v in optimizer.variables]
    losses: list[FloatArray] = []
    for begin in range(0, steps, chunk):
        state, errors = run(state, keys[begin : begin + chunk])
        losses.append(np.asarray(errors, dtype=np.float64))
        if not np.isfinite(losses[-1]).all():
            raise InputError(f"the {what}'s training diverged; learning rate {learning_rate:g} is too high")
        if progress is not None:
            progress(min(begin + chunk, steps), steps)
    return [np.asarray(value, dtype=np.float64) for value in state[0]], np.concatenate(losses)
