"""The variational autoencoder: delay vectors in, a state of few coordinates, delay vectors out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.errors import InputError, check_numbers
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.adam import minimise
from analog_fhn.reconstruct.model.embedding import successive
from analog_fhn.training.fit import keras_on_jax

HIDDEN = (128, 64)
_CHUNK = 500  # steps between two calls of `progress`
_BLOCK = 4096  # rows that pass through a network together, so that they stay in the cache
_LOGARITHMS = (-10.0, 3.0)  # of the latent's standard deviation
_ELBOW = 0.4

Layers = tuple[tuple[FloatArray, FloatArray], ...]


@dataclass(frozen=True)
class AutoencoderOptions:
    """How the autoencoder is trained.

    Parameters
    ----------
    steps, batch_size, learning_rate
        Adam takes so many steps with batches of this size; its rate falls from this one to zero by half a cosine.
    kl
        Weight of the Kullback-Leibler term beside the mean squared error.
    tear
        Weight of the mean squared step of the latent from one sample to the next: against tears in the latent curve.
    """

    steps: int = 6000
    batch_size: int = 256
    learning_rate: float = 2e-3
    kl: float = 1e-4
    tear: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(self, above_0=("steps", "batch_size", "learning_rate"), from_0=("kl", "tear"))


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """Trained encoder and decoder; layers of silu units, the last one linear, in single precision as they were trained.

    Parameters
    ----------
    encoder, decoder
        Weights (n_in, n_out) and biases (n_out,) of each layer.
    """

    encoder: Layers
    decoder: Layers

    @property
    def latent(self) -> int:
        """Number of latent coordinates."""
        return len(self.decoder[0][0])

    def encode(self, vectors: ArrayLike) -> FloatArray:
        """Means of the latent coordinates of delay vectors (..., D), shape (..., latent)."""
        return _forward(self.encoder, vectors)[..., : self.latent]

    def decode(self, latents: ArrayLike) -> FloatArray:
        """Delay vectors (..., D) of latent coordinates (..., latent)."""
        return _forward(self.decoder, latents)

    def newest(self, latents: ArrayLike) -> FloatArray:
        """The decoded vectors' first coordinate only, shape (...)."""
        weights, biases = self.decoder[-1]
        return _forward((*self.decoder[:-1], (weights[:, :1], biases[:1])), latents)[..., 0]

    def loss(self, vectors: FloatArray) -> float:
        """Mean squared error of decoded means."""
        return float(np.mean((self.decode(self.encode(vectors)) - vectors) ** 2))


@single_blas()
def _forward(layers: Layers, values: ArrayLike) -> FloatArray:
    inputs = np.asarray(values, dtype=np.float64)
    rows = inputs.reshape(-1, inputs.shape[-1])
    single = [(weights.astype(np.float32), biases.astype(np.float32)) for weights, biases in layers]
    result = np.empty((len(rows), single[-1][0].shape[1]))
    for begin in range(0, len(rows), _BLOCK):
        x = rows[begin : begin + _BLOCK].astype(np.float32)
        for k, (weights, biases) in enumerate(single):
            x = x @ weights + biases
            if k < len(single) - 1:
                x = x * (np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x))
        result[begin : begin + _BLOCK] = x
    return result.reshape(*inputs.shape[:-1], result.shape[1])


def train_autoencoder(
    vectors: FloatArray,
    index: NDArray[np.intp],
    latent: int,
    *,
    seed: int,
    options: AutoencoderOptions | None = None,
    progress: Progress | None = None,
) -> tuple[Autoencoder, FloatArray]:
    """Train an autoencoder (D. P. Kingma, M. Welling, arXiv 1312.6114).

    Parameters
    ----------
    vectors
        Delay vectors, shape (m, D).
    index
        Shape (m,): vectors of which one follows the other in time have successive numbers.
    latent
        Number of latent coordinates.
    seed
        The first weights, the batches and the sampling are drawn from it.
    progress
        It is called with the steps that are done and all steps.

    Returns
    -------
    autoencoder
        The trained autoencoder.
    losses
        Mean squared error of each step's batch, shape (steps,).

    Raises
    ------
    InputError
        If the number of latent coordinates does not fit, or the training diverges.
    """
    dimension, options = vectors.shape[1], options or AutoencoderOptions()
    if not 1 <= latent <= dimension:
        raise InputError(f"latent = {latent}: expected 1 to {dimension}, the size of the delay vectors")
    keras = keras_on_jax()
    encoder = _network(keras, (dimension, *HIDDEN, 2 * latent), seed)
    decoder = _network(keras, (latent, *HIDDEN[::-1], dimension), seed + 1)
    first = successive(index)
    if not len(first):
        raise InputError("the recording holds no two successive samples to train an autoencoder with")
    variables = encoder.trainable_variables + decoder.trainable_variables
    values, losses = minimise(
        _loss(encoder, decoder, vectors, first, options), variables, steps=options.steps,
        learning_rate=options.learning_rate, seed=seed, what="autoencoder", chunk=_CHUNK, progress=progress,
    )  # fmt: skip
    cut = len(encoder.trainable_variables)
    return Autoencoder(_layers(values[:cut]), _layers(values[cut:])), losses


def _loss(
    encoder: Any, decoder: Any, vectors: FloatArray, first: NDArray[np.intp], options: AutoencoderOptions
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What training minimises, and the mean squared error in it, over batches of `vectors` that begin at `first`."""
    import jax
    import jax.numpy as jnp

    data, places, cut = jnp.asarray(vectors, jnp.float32), jnp.asarray(first), len(encoder.trainable_variables)

    def encode(values: Any, x: Any) -> tuple[Any, Any]:
        mean, log = jnp.split(encoder.stateless_call(values[:cut], [], x)[0], 2, axis=1)
        return mean, jnp.clip(log, *_LOGARITHMS)

    def loss(values, key):  # type: ignore[no-untyped-def]
        batch, sampling = jax.random.split(key)
        chosen = places[jax.random.randint(batch, (options.batch_size,), 0, len(places))]
        now, then = data[chosen], data[chosen + 1]
        mean, log = encode(values, now)
        drawn = mean + jnp.exp(log) * jax.random.normal(sampling, mean.shape)
        error = jnp.mean((decoder.stateless_call(values[cut:], [], drawn)[0] - now) ** 2)
        # Kullback-Leibler divergence of the latent's distribution from the normal one
        divergence = 0.5 * jnp.mean(jnp.sum(mean**2 + jnp.exp(2 * log) - 1 - 2 * log, axis=1))
        jump = jnp.mean((encode(values, then)[0] - mean) ** 2)
        return error + options.kl * divergence + options.tear * jump, error

    return loss


def _network(keras: Any, sizes: tuple[int, ...], seed: int) -> Any:
    layers = [keras.layers.Input((sizes[0],))]
    for k, size in enumerate(sizes[1:]):
        start = keras.initializers.GlorotUniform(seed=(1000 * seed + k) % 2**32)
        activation = "silu" if k < len(sizes) - 2 else None
        layers.append(keras.layers.Dense(size, activation, kernel_initializer=start))
    return keras.Sequential(layers)


def _layers(values: list[FloatArray]) -> Layers:
    return tuple(zip(values[::2], values[1::2], strict=True))


def elbow(losses: ArrayLike) -> int:
    """Number of latent coordinates by the rule: the largest that takes more than 60 % of the loss of one fewer away.

    Parameters
    ----------
    losses
        Mean squared error with 1, 2, ... coordinates, shape (k,).
    """
    values = np.asarray(losses, dtype=np.float64)
    return int(np.flatnonzero(np.append(True, values[1:] < _ELBOW * values[:-1]))[-1]) + 1
