"""Training of a map over several steps, from a map that was trained on one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.progress import Progress
from analog_fhn.errors import InputError, check_numbers
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.adam import minimise
from analog_fhn.reconstruct.model.maps import NeuralMap
from analog_fhn.training.fit import keras_on_jax

_CHUNK = 100  # updates between two calls of `progress`
_CLIP = 1.0  # norm of the gradient


@dataclass(frozen=True)
class MultiStepOptions:
    """How a map is trained over several steps.

    Parameters
    ----------
    ahead
        Steps K that the map runs by itself before its error is taken at each of them.
    updates, batch, learning_rate
        Adam takes so many steps, each on so many windows of K + 1 samples; its rate falls from this one to zero by half
        a cosine.
    forcing
        Partial teacher forcing: the share of the difference to the recorded state that is taken away after each step,
        ``u <- u + forcing (recorded - u)``, from 0 (free) to 1 (each step starts from a recorded state).
    noise
        Standard deviation of noise on the states that the windows start from, as a share of each coordinate's step.
    """

    ahead: int = 50
    updates: int = 500
    batch: int = 64
    learning_rate: float = 1e-4
    forcing: float = 0.1
    noise: float = 0.15

    def __post_init__(self) -> None:
        check_numbers(self, above_0=("ahead", "updates", "batch", "learning_rate"), from_0=("noise",))
        if not 0 <= self.forcing <= 1:
            raise InputError(f"forcing = {self.forcing}: expected a share from 0 to 1")


def windows(index: NDArray[np.intp], ahead: int) -> NDArray[np.intp]:
    """Places in `index` (m,) from which `ahead` samples follow without a gap, shape (k,).

    Raises
    ------
    InputError
        If there is none.
    """
    span = index[ahead:] - index[: max(len(index) - ahead, 0)]
    first = np.flatnonzero(span == ahead)
    if not len(first):
        raise InputError(f"map: no {ahead + 1} successive samples to learn from")
    return first


def refine_map(
    state_map: NeuralMap,
    states: FloatArray,
    index: NDArray[np.intp],
    control: ArrayLike,
    speeds: FloatArray,
    options: MultiStepOptions | None = None,
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[NeuralMap, FloatArray]:
    """Train a map on K steps, by backpropagation through them.

    The loss is the mean of ``sqrt(1 + e²) - 1`` over windows, steps and coordinates, e being the error in units of
    `speeds`; gradients longer than 1 are cut to that length. Teacher forcing after D. Hess et al., arXiv 2306.04406.

    Parameters
    ----------
    state_map
        Training begins with this map.
    states
        Recorded states, shape (m, L), of samples numbered `index` (m,), which increases.
    control
        p of each state, shape () or (m,).
    speeds
        Unit of each coordinate's error, shape (L,): `Coordinates.speeds`.
    seed
        Windows and noise are drawn from it.

    Returns
    -------
    state_map, losses
        The trained map, and the loss of each update's batch, shape (updates,).

    Raises
    ------
    InputError
        If nowhere K + 1 samples follow each other, or the training diverges.
    """
    options = options or MultiStepOptions()
    first = windows(index, options.ahead)
    keras = keras_on_jax()
    values, losses = minimise(
        _loss(states, first, control, speeds, options),
        [keras.Variable(values, dtype="float32") for values in state_map.arrays.values()],
        steps=options.updates, learning_rate=options.learning_rate, seed=seed, what="map", chunk=_CHUNK, clip=_CLIP,
        progress=progress,
    )  # fmt: skip
    return NeuralMap(*values), losses


def _loss(
    states: FloatArray, first: NDArray[np.intp], control: ArrayLike, speeds: FloatArray, options: MultiStepOptions
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What training minimises, twice, over batches of windows that begin at `first`."""
    import jax
    import jax.numpy as jnp

    data, places = jnp.asarray(states, jnp.float32), jnp.asarray(first)
    p = jnp.broadcast_to(jnp.asarray(control, jnp.float32), len(states))
    unit, within = jnp.asarray(speeds, jnp.float32), jnp.arange(options.ahead + 1)
    rollout = rollout_loss(unit, options.forcing)

    def loss(values, key):  # type: ignore[no-untyped-def]
        where, shaking = jax.random.split(key)
        chosen = places[jax.random.randint(where, (options.batch,), 0, len(places))]
        window = jnp.swapaxes(data[chosen[:, None] + within], 0, 1)
        start = window[0] + options.noise * unit * jax.random.normal(shaking, window[0].shape)
        error = rollout(values, start, window[1:], p[chosen])
        return error, error

    return loss


def rollout_loss(speeds: ArrayLike, forcing: float) -> Callable[[Any, Any, Any, Any], Any]:
    """What `refine_map` minimises, for JAX.

    Parameters
    ----------
    speeds
        Unit of each coordinate's error, shape (L,).
    forcing
        As in `MultiStepOptions`.

    Returns
    -------
    Callable
        Of a map's arrays (a, alpha, b, B, c), states to start from (m, L), the recorded ones after them (K, m, L) and p
        (m,).
    """
    import jax
    import jax.numpy as jnp

    unit = jnp.asarray(speeds, jnp.float32)

    def loss(values, start, recorded, p):  # type: ignore[no-untyped-def]
        a, alpha, b, big_b, c = values
        threshold = p[:, None] * alpha + b

        def advance(u, true):  # type: ignore[no-untyped-def]
            u = u + jax.nn.sigmoid(u @ a + threshold) @ big_b + c
            square = ((u - true) / unit) ** 2
            # sqrt(1 + e²) - 1, written so that single precision keeps small errors
            return u + forcing * (true - u), jnp.mean(square / (1 + jnp.sqrt(1 + square)))

        return jnp.mean(jax.lax.scan(advance, start, recorded)[1])

    return loss
