"""Training of the plain network: one hidden layer of sigmoid or tanh neurons and a linear output layer."""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn.datasets import Dataset
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.network import Network, matched_slope
from analog_fhn.neuron import FHN

Hidden = Literal["sigmoid", "tanh"]
Schedule = Literal["constant", "cosine"]
Progress = Callable[[int, int, float, float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights of a trained network and how they came about.

    Parameters
    ----------
    weights
        Two float64 arrays, shapes (n_in, n_hidden) and (n_hidden, n_out). The network is
        ``scores = hidden(images @ weights[0] + biases[0]) @ weights[1] + biases[1]``.
    biases
        Per layer, a float64 array of shape (n_hidden,) or (n_out,), or None where there is no bias.
    history
        ``"loss"`` (mean cross-entropy, nats) and ``"accuracy"`` (fraction): one value per epoch, over the
        training images while the weights were still moving.
    settings
        What made the weights, ready for JSON: hyperparameters, seed, data set, versions of Keras and JAX.
    inside
        Fields of the network that training decided besides the weights (fhn, protocol, ...); empty: the defaults.
    """

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64] | None]
    history: dict[str, list[float]]
    settings: dict[str, Any]
    inside: dict[str, Any] = field(default_factory=dict)

    def network(self, input_range: tuple[float, float]) -> Network:
        """The trained network with FHN neurons to take the hidden units' place.

        The slope of the drive's tanh matches the activation (`matched_slope`).
        """
        hidden: Hidden = "tanh" if self.settings["hidden"] == "tanh" else "sigmoid"
        return Network(
            tuple(self.weights),
            tuple(self.biases),
            hidden,
            input_range=input_range,
            provenance={"trained": self.settings},
            **({"fhn": FHN(slope=matched_slope(hidden))} | self.inside),
        )


def train_plain(
    dataset: Dataset,
    *,
    n_hidden: int = 100,
    hidden: Hidden = "sigmoid",
    bias: bool = False,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    schedule: Schedule = "cosine",
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Train n_in - n_hidden - n_classes by Adam on the softmax cross-entropy of the output layer's scores.

    Both layers start from Glorot's uniform distribution (biases from zero), in single precision. The same
    arguments give the same weights, bit by bit, on the same machine with the same libraries. Python's and
    NumPy's global random states are left as they were; that of Keras is set to `seed`.

    Parameters
    ----------
    dataset
        Training images, used in their own scale, and labels.
    n_hidden
        Number of hidden neurons.
    hidden
        Activation of the hidden neurons; the output layer is linear.
    bias
        Whether both layers have biases.
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
    check_settings(dataset, n_hidden, hidden, epochs, batch_size, learning_rate, seed)
    keras = keras_on_jax()
    import jax

    def each_epoch(epoch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"training diverged: loss {logs['loss']} in epoch {epoch + 1}; learning rate {learning_rate:g} "
                f"is too large for {dataset.name} (pixels from {dataset.scale[0]:g} to {dataset.scale[1]:g})"
            )
        if progress is not None:
            progress(epoch + 1, epochs, float(logs["loss"]), float(logs["accuracy"]))

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
                dense(n_hidden, hidden),
                dense(dataset.n_classes, "linear"),
            ]
        )
        steps = epochs * math.ceil(len(dataset.images) / batch_size)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps) if schedule == "cosine" else learning_rate
        model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=True,
        )
        fitted = model.fit(
            dataset.images,
            dataset.labels,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=each_epoch)],
        )
    layers = [[np.asarray(variable.value, dtype=np.float64) for variable in layer.weights] for layer in model.layers]
    return Trained(
        weights=[arrays[0] for arrays in layers],
        biases=[arrays[1] if bias else None for arrays in layers],
        history={name: [float(value) for value in fitted.history[name]] for name in ("loss", "accuracy")},
        settings={
            "n_hidden": n_hidden,
            "hidden": hidden,
            "bias": bias,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "seed": seed,
            "optimizer": "adam",
            "loss": "softmax cross-entropy",
            "start": "glorot_uniform",
            "dataset": dataset.name,
            "n_images": len(dataset.images),
            "keras": str(keras.__version__),
            "jax": str(jax.__version__),
        },
    )


def keras_on_jax() -> Any:
    """Import Keras with its JAX backend.

    Keras reads its backend once, when it is first imported, so ``KERAS_BACKEND`` is set here.

    Raises
    ------
    InputError
        If Keras was imported before with another backend.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    if sys.modules.get("keras") is None:
        os.environ["KERAS_BACKEND"] = "jax"
    try:
        import jax  # noqa: F401  # first, so that the message names what is missing
        import keras
    except ImportError as error:
        raise MissingProgramError(f'training needs Keras and JAX ({error}): pip install "analog-fhn[train]"') from error
    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(
            f"Keras is already imported with the backend {backend!r}; expected 'jax': set KERAS_BACKEND=jax "
            "before Keras is first imported, or train in a process of its own"
        )
    return keras


@contextlib.contextmanager
def seeded(keras: Any, seed: int) -> Iterator[None]:
    """Keras seeded within the block; Python's and NumPy's global random states are as before afterwards."""
    # Keras draws from Python's and NumPy's global generators, which belong to the caller.
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def check_settings(
    dataset: Dataset,
    n_hidden: int,
    hidden: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Raise InputError for settings out of range, or a data set of one class."""
    for name, value in (("n_hidden", n_hidden), ("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(f"{name} = {value}: expected at least 1")
    if hidden not in get_args(Hidden):
        raise InputError(f"hidden = {hidden!r}: expected 'sigmoid' or 'tanh'")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise InputError(f"learning_rate = {learning_rate}: expected a finite number above 0")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed = {seed}: expected a whole number from 0 to {2**32 - 1}")
    if dataset.n_classes < 2:
        raise InputError(f"{dataset.source}: {dataset.n_classes} class; expected at least two, with labels 0, 1, ...")
