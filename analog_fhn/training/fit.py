"""What every training in Keras has: backend, loss and accuracy, Adam and its schedule."""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.interrupts import kept
from analog_fhn._support.threads import single_xla
from analog_fhn.data import Dataset
from analog_fhn.data.class_shares import commonest
from analog_fhn.data.dataset import check_alike
from analog_fhn.errors import InputError

Schedule = Literal["constant", "cosine"]
Optimizer = Literal["adam", "sgd"]
Gradient = Literal["sigmoid", "response"]
Progress = Callable[[int, int, float, float], None]

_MANY_CLASSES = 1000  # above so many, there must be as many images: labels are identifiers otherwise


@dataclass(frozen=True, eq=False)
class Fit:
    """Adam, or plain gradient descent, on a data set.

    Parameters
    ----------
    dataset
        Training images and labels.
    epochs, batch_size, learning_rate, schedule, seed
        As in `train_plain`.
    validation
        Images that are judged after each epoch.
    progress
        Called after each epoch with the epoch (from 1), the number of epochs, the loss and the accuracy.
    optimizer
        "adam", or "sgd": gradient descent on batches, without momentum.
    """

    dataset: Dataset
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    seed: int
    validation: Dataset | None = None
    progress: Progress | None = None
    optimizer: Optimizer = "adam"

    def check(self) -> None:
        """Raise InputError for settings out of range, or data that cannot be trained on or judged."""
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value < 1:
                raise InputError(f"{name} = {value}: expected at least 1")
        check_one_of("schedule", self.schedule, Schedule)
        check_one_of("optimizer", self.optimizer, Optimizer)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"learning_rate = {self.learning_rate}: expected a finite number above 0")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed = {self.seed}: expected a whole number from 0 to {2**32 - 1}")
        self._check_data()

    def _check_data(self) -> None:
        if self.dataset.n_classes < 2:
            raise InputError(
                f"{self.dataset.source}: {self.dataset.n_classes} class; expected at least two, with labels 0, 1, ..."
            )
        often, share = commonest(self.dataset.labels)
        if share == 1.0:
            raise InputError(
                f"{self.dataset.source}: all {len(self.dataset.labels)} training images are of class {often}; expected "
                "at least two classes"
            )
        if self.dataset.n_classes > max(_MANY_CLASSES, len(self.dataset.labels)):
            raise InputError(
                f"{self.dataset.source}: labels up to {self.dataset.n_classes - 1} of {len(self.dataset.labels)} "
                "training images; expected classes numbered 0, 1, ..., and at least one image of each"
            )
        if self.dataset.unfair:
            raise InputError(f"{self.dataset.source}: {self.dataset.unfair}; expected each class in its share")
        images = self.dataset.images
        if images.min() == images.max():
            raise InputError(
                f"{self.dataset.source}: all pixels of the {len(images)} images are {images.min():g}; expected images "
                "that differ"
            )
        if self.validation is not None:
            check_alike(self.dataset, self.validation)

    def run(
        self,
        model: Any,
        loss: Any,
        accuracy: Any,
        *,
        begin: Callable[..., None] | None = None,
        diverged: str | None = None,
    ) -> dict[str, list[float]]:
        """Train a model; history under "loss" and "accuracy", with a validation set also "val_loss", "val_accuracy".

        Ctrl-C within `analog_fhn._support.interrupts.keeping` leaves the model as it was after the last whole epoch.

        Parameters
        ----------
        loss, accuracy
            Of labels and scores; `accuracy` goes by that name.
        begin
            Called before each epoch with its number from 0.
        diverged
            What to say of a loss that is no number, after the epoch; None: that the learning rate is too large.

        Raises
        ------
        InputError
            If the training diverges.
        """
        keras, data = keras_on_jax(), self.dataset
        why = diverged or (
            f"; learning rate {self.learning_rate:g} is too large for {data.name} (pixels from {data.scale[0]:g} to "
            f"{data.scale[1]:g})"
        )

        history: dict[str, list[float]] = {}
        weights: list[Any] = []

        def end(epoch: int, logs: dict[str, float]) -> None:
            if not math.isfinite(logs["loss"]):
                raise InputError(f"training diverged: loss {logs['loss']} in epoch {epoch + 1}{why}")
            for name, value in logs.items():
                history.setdefault(name, []).append(float(value))
            weights[:] = [np.array(variable.value) for variable in model.weights]
            if self.progress is not None:
                self.progress(epoch + 1, self.epochs, float(logs["loss"]), float(logs["accuracy"]))

        steps = self.epochs * math.ceil(len(data.images) / self.batch_size)
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        optimizer = keras.optimizers.Adam(rate) if self.optimizer == "adam" else keras.optimizers.SGD(rate)
        model.compile(optimizer=optimizer, loss=loss, metrics=[accuracy], jit_compile=True)
        shown = self.validation
        with kept(lambda: weights):
            model.fit(
                data.images, data.labels, batch_size=self.batch_size, epochs=self.epochs, verbose=0,
                validation_data=None if shown is None else (shown.images, shown.labels),
                callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)],
            )  # fmt: skip
        if len(history["loss"]) < self.epochs:  # in the middle of an epoch its arrays are JAX's
            model.set_weights(weights)
        return history

    def settings(self, history: Mapping[str, Sequence[float]]) -> dict[str, Any]:
        """What decided the weights besides the model, ready for JSON; `history` is what `run` returned."""
        import jax

        done = len(history["loss"])

        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "seed": self.seed,
            "optimizer": self.optimizer,
            "loss": "softmax cross-entropy",
            "start": "glorot_uniform",
            "dataset": self.dataset.name,
            "n_images": len(self.dataset.images),
            "keras": str(keras_on_jax().__version__),
            "jax": str(jax.__version__),
        } | ({} if done == self.epochs else {"interrupted_after": done})


def cross_entropy(labels: Any, scores: Any) -> Any:
    """Softmax cross-entropy of scores (batch, n_classes), or the mean over the instants of (batch, n, n_classes)."""
    import jax
    import jax.numpy as jnp

    index = jnp.ravel(labels).astype("int32").reshape(-1, *([1] * (scores.ndim - 1)))
    logs = jnp.take_along_axis(jax.nn.log_softmax(scores, axis=-1), index, axis=-1)
    return -logs.reshape(len(logs), -1).mean(axis=-1)


def accuracy_of(readout: Literal["mean", "vote"]) -> Any:
    """Right or not, by the mean over the instants of the scores, or by the class that leads at the most of them.

    The function is called ``accuracy``, by which name Keras keeps its average.
    """

    def accuracy(labels: Any, scores: Any) -> Any:
        import jax
        import jax.numpy as jnp

        if scores.ndim == 3:
            voted = readout == "vote"
            instants = jax.nn.one_hot(jnp.argmax(scores, axis=-1), scores.shape[-1]) if voted else scores
            scores = instants.sum(axis=1)
        return jnp.equal(jnp.argmax(scores, axis=-1), jnp.ravel(labels)).astype("float32")

    return accuracy


def check_one_of(name: str, value: object, known: Any) -> None:
    """Raise InputError for a value that is none of a Literal's."""
    if value not in get_args(known):
        raise InputError(f"{name} = {value!r}: expected {' or '.join(map(repr, get_args(known)))}")


def keras_on_jax() -> Any:
    """Import Keras with its JAX backend, which computes on one thread unless it has begun with more.

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
    with extra("train", "training needs Keras and JAX"):
        import jax  # noqa: F401  # first, so that the message names what is missing
        import keras
    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(
            f"Keras is already imported with the backend {backend!r}; expected 'jax': set KERAS_BACKEND=jax "
            "before Keras is first imported, or train in a process of its own"
        )
    single_xla()
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
