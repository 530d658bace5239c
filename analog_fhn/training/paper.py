"""Section 4 of Bogatenko et al., Chaos 33(7), 2023: training with FHN neurons in the forward pass.

The network is n_in -> W_in -> FHN neurons -> fixed identity -> sigmoid units -> W_out -> classes, without biases.
Forward, the neurons' waveforms x(t) are simulated and the sigmoid units act at every instant; backward, a sigmoid
stands in the neurons' place. The answer is the vote over the instants, or their mean.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from analog_fhn.data import Dataset
from analog_fhn.network import Network, Tanh
from analog_fhn.neuron import FHN, Coefficients, Protocol
from analog_fhn.readout import Activation, recentring
from analog_fhn.training.fit import (
    Fit,
    Gradient,
    Progress,
    Schedule,
    accuracy_of,
    check_one_of,
    cross_entropy,
    keras_on_jax,
    seeded,
)
from analog_fhn.training.layers import hidden_sizes
from analog_fhn.training.plain import Trained

NEURON = FHN(gamma=-3.0, slope=1.0)
"""Neurons unless others are given: the slope as the paper prints it, and a gamma chosen on held-out training images.

With 4 500 of MNIST's training images and 6 epochs the vote is right on 90.4 % of 2 000 others at gamma = -1, 92.9 % at
-2 and 93.7 % at -3. Beyond that neurons take long to settle.
"""

TIMES = Protocol(settle=5.0, control=5.0, interval=0.5)
"""When training watches the neurons: a few periods, at ten instants."""

JUDGED = Protocol(settle=20.0, control=30.0)
"""When a trained network is watched unless another protocol is given."""

_EXPLICIT_UP_TO = 2.35  # |x| that the explicit method is stable for at a step of half of eps


def train_paper(
    dataset: Dataset,
    *,
    n_hidden: int = 100,
    tanh: Tanh = "drive",
    recentre: bool = False,
    hidden: Activation = "tanh",
    fhn: FHN = NEURON,
    gradient: Gradient = "sigmoid",
    times: Protocol = TIMES,
    protocol: Protocol = JUDGED,
    epochs: int = 10,
    batch_size: int = 50,
    learning_rate: float = 1e-2,
    schedule: Schedule = "cosine",
    validation: Dataset | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Train with ideal FHN neurons in the forward pass, by Adam on the softmax cross-entropy of every instant.

    Both layers start from Glorot's uniform distribution, in single precision. W_out gets the exact gradient, W_in that
    of the surrogate.

    Parameters
    ----------
    dataset
        Training images, used in their own scale, and labels.
    n_hidden
        Number of hidden neurons, and of sigmoid units behind them.
    tanh
        Where the tanh acts: "drive" or "input"; see `Network`.
    recentre
        Whether the sigmoid units see the activation, or x itself (the paper).
    hidden
        What the activation is: "tanh" ``-(x + a)/gamma``, or "sigmoid" ``(1 - (x + a)/gamma)/2``.
    fhn
        Parameters of the neurons.
    gradient
        What stands in the neurons' place on the way back. "sigmoid": ``x = -2 gamma/(1 + exp(-2 slope z))`` up to a
        constant, of the height and sign that the drive's tanh gives. "response": the time average, ``x = -a - I``.
    times
        When training watches the neurons: settling time, and instants at which the loss is taken.
    protocol
        What the trained network is to be judged with.
    epochs, batch_size, learning_rate, schedule, seed
        As in `train_plain`.
    validation
        Images that are judged after each epoch, at the same times.
    progress
        Called after each epoch with the epoch (from 1), the number of epochs, the loss and the accuracy.

    Returns
    -------
    Trained
        History: "loss" (mean over the instants) and "accuracy" (of the vote over the instants) of the training images
        while the weights were moving, and "val_loss" and "val_accuracy" of the validation set.

    Raises
    ------
    InputError
        If a setting is out of range, the data set has fewer than two classes, the training diverges, or Keras was
        imported before with another backend.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, validation, progress)
    hidden_sizes(n_hidden, hidden)
    fit.check()
    check_one_of("hidden", hidden, Literal["sigmoid", "tanh"])
    check_one_of("tanh", tanh, Tanh)
    check_one_of("gradient", gradient, Gradient)
    keras = keras_on_jax()
    rows = recentring(hidden, fhn.a, fhn.gamma) if recentre else (1.0, 0.0)
    with seeded(keras, seed):
        model = keras.Sequential([
            keras.Input((dataset.images.shape[1],)),
            *([keras.layers.Activation("tanh")] if tanh == "input" else []),
            _dense(keras, n_hidden),
            _neurons(keras, fhn, tanh, rows, gradient, times),
            keras.layers.Activation("sigmoid"),
            _dense(keras, dataset.n_classes),
        ])  # fmt: skip
        history = fit.run(
            model,
            cross_entropy,
            accuracy_of("vote"),
            diverged=f" at gamma {fhn.gamma:g}, learning rate {learning_rate:g}; expected a smaller one of either, or "
            "tanh 'drive', which bounds the drive",
        )
    weights = [np.asarray(variable.value, dtype=np.float64) for variable in model.trainable_variables]
    return Trained(
        layers=Network.of_weights(weights, hidden=hidden, tanh=tanh, behind="sigmoid").layers,
        history=history,
        settings={
            "model": "fhn", "protocol": "paper", "n_hidden": n_hidden, "hidden": hidden, "bias": False, "tanh": tanh,
            "recentre": recentre, "fhn": asdict(fhn), "gradient": gradient, "times": asdict(times),
        }
        | fit.settings(history)
        | {"loss": "softmax cross-entropy of every instant"},
        inside={
            "fhn": fhn, "protocol": protocol, "readout": "vote", "recentre": recentre,
        },
    )  # fmt: skip


def _dense(keras: Any, units: int) -> Any:
    return keras.layers.Dense(units, use_bias=False, kernel_initializer="glorot_uniform", dtype="float32")


def _neurons(keras: Any, fhn: FHN, tanh: Tanh, rows: tuple[float, float], gradient: Gradient, times: Protocol) -> Any:
    """Layer from z (batch, n) to the rows at every instant (batch, n_samples, n)."""
    import jax
    import jax.numpy as jnp

    from analog_fhn.training.chain import drives, with_way_back
    from analog_fhn.training.waveform import simulate

    one = Coefficients.ideal(fhn, 1)
    gain, offset = rows
    implicit = tanh == "input" or abs(fhn.a) + abs(fhn.gamma) > _EXPLICIT_UP_TO

    class Neurons(keras.layers.Layer):  # type: ignore[misc]
        def call(self, z: Any) -> Any:
            drive = fhn.gamma * z if tanh == "input" else drives(z, fhn.gamma, fhn.slope)
            x = simulate(jax.lax.stop_gradient(drive), one.p[0], one.q[0], fhn.eps, times, implicit=implicit)
            surrogate = -drive if gradient == "response" else -2.0 * fhn.gamma * jax.nn.sigmoid(2.0 * fhn.slope * z)
            return gain * with_way_back(jnp.moveaxis(x, 0, 1), surrogate[:, None]) + offset

        def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
            return shape[0], times.n_samples, shape[1]

    return Neurons(name="neurons", dtype="float32")
