"""Training of the plain network: hidden layers of sigmoid or tanh neurons and a linear output layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.data import Dataset
from analog_fhn.network import Network, matched_slope
from analog_fhn.neuron import FHN
from analog_fhn.readout import Activation
from analog_fhn.training.fit import Fit, HiddenLayers, Progress, Schedule, seeded
from analog_fhn.training.fit import keras_on_jax as keras_on_jax  # where users import it from


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights of a trained network and how they came about.

    Parameters
    ----------
    weights
        A float64 array (n_in, n_out) per layer. The network is ``scores = h @ weights[-1] + biases[-1]``, where h
        begins as the images and is ``unit(h @ w + b)`` behind each layer before the last.
    biases
        Per layer, a float64 array (n_out,), or None where there is no bias.
    units
        Activation behind each layer before the last.
    history
        ``"loss"`` (mean cross-entropy, nats) and ``"accuracy"`` (fraction): one value per epoch, over the training
        images while the weights were still moving. With a validation set also ``"val_loss"`` and ``"val_accuracy"``:
        of its images, after the epoch.
    settings
        What made the weights, ready for JSON: hyperparameters, seed, data set, versions of Keras and JAX.
    inside
        Fields of the network that training decided besides the weights (fhn, protocol, ...); empty: the defaults.
    """

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64] | None]
    units: tuple[Activation, ...]
    history: dict[str, list[float]]
    settings: dict[str, Any]
    inside: dict[str, Any] = field(default_factory=dict)

    def network(self, input_range: tuple[float, float]) -> Network:
        """The trained network with FHN neurons to take the hidden units' place.

        The slope of the drive's tanh matches the activation (`matched_slope`).
        """
        return Network.of_weights(
            self.weights,
            self.biases,
            self.units,
            input_range=input_range,
            provenance={"trained": self.settings},
            **({"fhn": FHN(slope=matched_slope(self.units[0]))} | self.inside),
        )


def train_plain(
    dataset: Dataset,
    *,
    n_hidden: int | Sequence[int] = 100,
    hidden: str | Sequence[str] = "sigmoid",
    bias: bool = False,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    schedule: Schedule = "cosine",
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Train n_in - n_hidden - ... - n_classes by Adam on the softmax cross-entropy of the output layer's scores.

    All layers start from Glorot's uniform distribution (biases from zero), in single precision. The same
    arguments give the same weights, bit by bit, on the same machine with the same libraries. Python's and
    NumPy's global random states are left as they were; that of Keras is set to `seed`.

    Parameters
    ----------
    dataset
        Training images, used in their own scale, and labels.
    n_hidden
        Number of hidden neurons, or of each hidden layer's.
    hidden
        Activation of the hidden neurons, or of each hidden layer's; the output layer is linear.
    bias
        Whether the layers have biases.
    epochs, batch_size
        Passes over the images, and images per step; the order is drawn anew in each pass.
    learning_rate
        Step size of Adam at the start, whose other settings are the usual ones (0.9, 0.999, 1e-7).
    schedule
        "cosine" lets the step size fall to zero over all epochs; "constant" keeps it.
    seed
        Draws the starting weights and the order of the images; 0 to 2**32 - 1.
    progress
        Called after each epoch with the epoch (from 1), the number of epochs, the loss and the accuracy.

    Raises
    ------
    InputError
        If a setting is out of range, the data set has fewer than two classes, the training diverges, or Keras
        was imported before with another backend.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, progress=progress)
    hidden_layers = HiddenLayers.of(n_hidden, hidden)
    fit.check(hidden_layers)
    keras = keras_on_jax()

    def dense(units: int, activation: str) -> Any:
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=bias,
            kernel_initializer="glorot_uniform",
            dtype="float32",
        )

    with seeded(keras, seed):
        model = keras.Sequential(
            [
                keras.Input((dataset.images.shape[1],)),
                *map(dense, hidden_layers.sizes, hidden_layers.units),
                dense(dataset.n_classes, "linear"),
            ]
        )
        # Keras' own: the same seed then gives the weights that it always gave, to the last bit.
        history = fit.run(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy")
    layers = [[np.asarray(variable.value, dtype=np.float64) for variable in layer.weights] for layer in model.layers]
    return Trained(
        weights=[arrays[0] for arrays in layers],
        biases=[arrays[1] if bias else None for arrays in layers],
        units=hidden_layers.units,
        history=history,
        settings=hidden_layers.settings() | {"bias": bias} | fit.settings(),
    )
