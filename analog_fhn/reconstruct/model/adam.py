"""Adam with a cosine schedule, many steps in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analog_fhn._support.progress import Progress
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
    progress: Progress | None = None,
    each: Callable[[list[FloatArray]], None] | None = None,
) -> tuple[list[FloatArray], FloatArray]:
    """Train Keras variables by Adam.

    Parameters
    ----------
    loss
        A function for JAX: (values of the variables, random key of the step) -> (what is minimised, what is reported).
    variables
        Each is a `keras.Variable`, and keeps its value.
    steps, learning_rate
        The rate falls to zero by half a cosine over so many steps.
    seed
        The keys of all steps follow from it.
    what
        Messages call by this name what is trained.
    chunk
        So many steps lie between two calls of `progress` and of `each`.
    clip
        Longer gradients are cut to this norm; None: none is.
    each
        Called with the values that a chunk ends with, which are finite.

    Returns
    -------
    values, losses
        Trained values in the order of the variables, and what each step reported, shape (steps,).

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
    run, keys = _compiled_steps(loss, optimizer), jax.random.split(jax.random.key(seed), steps)
    state = [v.value for v in variables], [v.value for v in optimizer.variables]
    losses: list[FloatArray] = []
    for begin in range(0, steps, chunk):
        state, errors = run(state, keys[begin : begin + chunk])
        losses.append(np.asarray(errors, dtype=np.float64))
        if not np.isfinite(losses[-1]).all():
            raise InputError(f"the {what}'s training diverged; learning rate {learning_rate:g} is too high")
        if each is not None:
            each([np.asarray(value, dtype=np.float64) for value in state[0]])
        if progress is not None:
            progress(min(begin + chunk, steps), steps)
    return [np.asarray(value, dtype=np.float64) for value in state[0]], np.concatenate(losses)


def _compiled_steps(loss: Callable[[Any, Any], tuple[Any, Any]], optimizer: Any) -> Callable[[Any, Any], Any]:
    """Compiled loop: (values and moments, keys of the steps) -> (values and moments after them, what each reported)."""
    import jax

    def step(state, key):  # type: ignore[no-untyped-def]
        values, moments = state
        (_, reported), gradient = jax.value_and_grad(loss, has_aux=True)(values, key)
        return optimizer.stateless_apply(moments, gradient, values), reported

    return jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))  # type: ignore[no-any-return]
