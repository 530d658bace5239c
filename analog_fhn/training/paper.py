"""Section 4 of Bogatenko et al., Chaos 33(7), 2023: training with FHN neurons in the forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn.datasets import Dataset
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.readout import recentring
from analog_fhn.training.plain import keras_on_jax, seeded

Tanh = Literal["drive", "input"]
Gradient = Literal["sigmoid", "response"]
Progress = Callable[[int, int, dict[str, float]], None]


def neurons(keras: Any, fhn: FHN, tanh: Tanh, recentre: bool, gradient: Gradient, protocol: Protocol, step) -> Any:
    import jax
    import jax.numpy as jnp

    from analog_fhn.training.waveform import simulate

    gain, offset = recentring("sigmoid", fhn.a, fhn.gamma) if recentre else (1.0, 0.0)
    largest = math.inf if tanh == "input" else abs(fhn.a) + abs(fhn.gamma)
    implicit = largest > 2.3

    class Neurons(keras.layers.Layer):
        def call(self, z: Any) -> Any:
            drive = fhn.gamma * (z if tanh == "input" else jnp.tanh(fhn.slope * z))
            x = simulate(
                jax.lax.stop_gradient(drive), [0.0, 1.0, 0.0, -1.0 / 3.0, -1.0], [fhn.a, 1.0, 0.0, 1.0], fhn.eps, protocol,
                step=step, implicit=implicit,
            )  # fmt: skip
            if gradient == "sigmoid":
                surrogate = -2.0 * fhn.gamma * jax.nn.sigmoid(2.0 * fhn.slope * z)
            else:
                surrogate = -drive
            x = jnp.moveaxis(x, 0, 1) + (surrogate - jax.lax.stop_gradient(surrogate))[:, None]
            return gain * x + offset

        def compute_output_shape(self, shape):
            return (shape[0], protocol.n_samples, shape[1])

    return Neurons()


def train(dataset, validation, *, n_hidden=100, tanh="drive", recentre=False, fhn=FHN(gamma=-1.0, slope=1.0), protocol=Protocol(10.0, 10.0, 0.5),
          gradient="sigmoid", epochs=10, batch_size=50, learning_rate=3e-3, seed=0, verbose=0, step=None, behind=True, optimizer=None, loss_kind="ce", w_in_scale=1.0):
    keras = keras_on_jax()
    import jax.numpy as jnp
    import jax

    def loss(labels, scores):
        labels = jnp.reshape(labels, (-1,)).astype(int)
        if loss_kind == "mse":
            return jnp.mean((scores - jax.nn.one_hot(labels, scores.shape[-1])[:, None, :])**2, axis=(1, 2)) * 10
        logp = jax.nn.log_softmax(scores, axis=-1)
        return -jnp.mean(jnp.take_along_axis(logp, labels[:, None, None], axis=-1)[..., 0], axis=1)

    def accuracy(labels, scores):
        labels = jnp.reshape(labels, (-1,)).astype(int)
        shares = jax.nn.one_hot(jnp.argmax(scores, axis=-1), scores.shape[-1]).sum(axis=1)
        return (jnp.argmax(shares, axis=-1) == labels).astype("float32")

    with seeded(keras, seed):
        init = keras.initializers.GlorotUniform() if w_in_scale == 1 else keras.initializers.VarianceScaling(w_in_scale**2, "fan_avg", "uniform")
        layers = [keras.Input((dataset.images.shape[1],))]
        if tanh == "input":
            layers.append(keras.layers.Activation("tanh"))
        layers += [keras.layers.Dense(n_hidden, use_bias=False, kernel_initializer=init), neurons(keras, fhn, tanh, recentre, gradient, protocol, step)]
        if behind:
            layers.append(keras.layers.Activation("sigmoid"))
        layers.append(keras.layers.Dense(dataset.n_classes, use_bias=False))
        model = keras.Sequential(layers)
        steps = epochs * math.ceil(len(dataset.images) / batch_size)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        model.compile(optimizer=optimizer(keras, learning_rate) if optimizer else keras.optimizers.Adam(rate), loss=loss, metrics=[accuracy], jit_compile=True)
        fitted = model.fit(dataset.images, dataset.labels, batch_size=batch_size, epochs=epochs, verbose=verbose,
                  validation_data=(validation.images, validation.labels), validation_batch_size=batch_size)
    W = [np.asarray(w) for w in model.get_weights()]
    return W, fitted.history
