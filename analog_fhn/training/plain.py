"""Training of the plain network: layers of sigmoid, tanh or relu units, convolutions, and a linear output layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.data import Dataset
from analog_fhn.errors import InputError
from analog_fhn.network import Dense, Layer, Network, matched_slope, units_text
from analog_fhn.neuron import FHN
from analog_fhn.patches import Shape
from analog_fhn.readout import Activation
from analog_fhn.training.fit import Fit, Progress, Schedule, seeded
from analog_fhn.training.fit import keras_on_jax as keras_on_jax  # where users import it from
from analog_fhn.training.layers import LayerSpec, Plan, PlannedMap
from analog_fhn.training.model import model_of
from analog_fhn.weights.ceilings import with_ceilings

_LARGEST_WEIGHT = 1e30  # of a start: sums of single precision stay within its range


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights of a trained network and how they came about.

    Parameters
    ----------
    layers
        As in a network, their weights in double precision.
    history
        ``"loss"`` (mean cross-entropy, nats) and ``"accuracy"`` (fraction): one value per epoch, over the training
        images while the weights were still moving. With a validation set also ``"val_loss"`` and ``"val_accuracy"``:
        of its images, after the epoch.
    settings
        What made the weights, ready for JSON: hyperparameters, seed, data set, versions of Keras and JAX. Of relus
        ``"ceilings"`` says for each whether it was given or measured on the images, and what share of its activations
        there lies above it.
    inside
        Fields of the network that training decided besides the layers (fhn, protocol, ...); empty: the defaults.
    """

    layers: tuple[Layer, ...]
    history: dict[str, list[float]]
    settings: dict[str, Any]
    inside: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Weights (n_in, n_out) of each linear map, the output layer last."""
        return [layer.weights for layer in self._dense]

    @property
    def biases(self) -> list[NDArray[np.float64] | None]:
        """Bias (n_out,) of each linear map, or None where there is none."""
        return [layer.bias for layer in self._dense]

    @property
    def units(self) -> tuple[Activation, ...]:
        """Activation behind each linear map before the last."""
        return tuple(layer.unit for layer in self._dense if layer.unit is not None)

    @property
    def _dense(self) -> list[Dense]:
        return [layer for layer in self.layers if isinstance(layer, Dense)]

    def network(self, input_range: tuple[float, float]) -> Network:
        """The trained network with FHN neurons to take the hidden units' place.

        The slope of the drives matches the activation (`matched_slope`).
        """
        return Network(
            self.layers,
            input_range=input_range,
            provenance={"trained": self.settings},
            **({"fhn": FHN(slope=matched_slope(self.units[0]))} | self.inside),
        )


def train_plain(
    dataset: Dataset,
    *,
    n_hidden: int | Sequence[int] | None = None,
    hidden: str | Sequence[str] | None = None,
    layers: str | Sequence[LayerSpec] | None = None,
    shape: Shape | None = None,
    ceiling: float | Sequence[float] | None = None,
    bias: bool = False,
    start: Network | None = None,
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
        Number of hidden neurons, or of each hidden layer's; None: 100.
    hidden
        Activation of the hidden neurons, or of each hidden layer's; None: sigmoid. The output layer is linear.
    layers
        Hidden layers in place of both, convolutions and means among them: ``conv8@5x5/2 relu, mean2x2, 64 relu`` (see
        `analog_fhn.training.layers.read_layers`), or a sequence of that module's objects.
    shape
        Lines, places and channels of an image, for convolutions and means; None: square images of one channel.
    ceiling
        Largest activation of all relus, or of each, which is trained with: ``min(max(z, 0), ceiling)``. None: that of
        `start`; without, relus are trained without end, and their ceilings are measured on the training images
        afterwards (`analog_fhn.weights.ceilings`).
    bias
        Whether the layers have biases.
    start
        Network whose weights training begins with, whose layers these are unless others are named, which must then be
        the same; of the same range of inputs, without other stages than the neurons; with biases only if `bias`.
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
        If a setting is out of range, layers do not fit the images, the data set has fewer than two classes, the start
        is not as described, the training diverges, or Keras was imported before with another backend.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, progress=progress)
    fit.check()
    plan = Plan.of(dataset, n_hidden=n_hidden, hidden=hidden, layers=layers, shape=shape, start=start)
    if start is not None:
        check_start(start, plan, bias, dataset)
    return plain_of(plan.with_ceilings(ceiling, start), fit, bias=bias, start=start)


def plain_of(plan: Plan, fit: Fit, *, bias: bool, start: Network | None = None) -> Trained:
    """What `train_plain` does once its arguments are checked; relus of the plan have ceilings or are without end."""
    keras = keras_on_jax()
    with seeded(keras, fit.seed):
        model, maps = plain_model(plan, bias)
        if start is not None:
            put(start, maps)
        # Keras' own: the same seed then gives the weights that it always gave, to the last bit.
        history = fit.run(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy")
    layers, ceilings = with_told_ceilings(arrays_of(plan, maps), fit.dataset)
    begun = {} if start is None else {"start": start.sha256}
    kept = ("fhn", "protocol", "readout", "recentre")
    return Trained(
        layers=layers,
        history=history,
        settings=plan.settings | {"bias": bias} | fit.settings(history) | begun | ceilings,
        inside={} if start is None else {name: getattr(start, name) for name in kept},
    )


def plain_model(plan: Plan, bias: bool) -> tuple[Any, list[Any]]:
    """Keras model of a plan with its units, and its layers of linear maps."""
    keras = keras_on_jax()

    def linear(_number: int, one: PlannedMap) -> Any:
        options = {"use_bias": bias, "kernel_initializer": "glorot_uniform", "dtype": "float32"}
        activation = _activation(keras, one)
        if one.patches is None:
            return keras.layers.Dense(one.n_out, activation=activation, **options)
        from analog_fhn.training.convolution import Convolved

        return Convolved(one.n_out, one.patches, activation=activation, **options)

    return model_of(plan, linear)


def put(start: Network, maps: Sequence[Any]) -> None:
    """Put a network's weights and biases into Keras' layers; biases that it has not stay as they are."""
    for layer, dense in zip(maps, start.dense, strict=True):
        layer.kernel.assign(dense.weights)
        if dense.bias is not None:
            layer.bias.assign(dense.bias)


def arrays_of(plan: Plan, maps: Sequence[Any]) -> tuple[Layer, ...]:
    """Layers of a plan with the weights of Keras' layers, in double precision."""
    arrays = [[np.asarray(v.value, dtype=np.float64) for v in layer.trainable_variables] for layer in maps]
    return plan.filled([one[0] for one in arrays], [one[1] if len(one) > 1 else None for one in arrays])


def with_told_ceilings(layers: tuple[Layer, ...], dataset: Dataset) -> tuple[tuple[Layer, ...], dict[str, Any]]:
    """Layers whose relus all have a ceiling, and for the settings what it is ("ceilings"; nothing without relus).

    Those that have none get one that is measured on the training images.
    """
    found, told = with_ceilings(layers, None, dataset.images)
    for one in told:
        one["from"] = "images" if one["from"] == "images" else "given"
    return found, {"ceilings": told} if told else {}


def check_start(start: Network, plan: Plan, bias: bool, dataset: Dataset) -> None:
    """Raise InputError for a network that training cannot begin with."""
    own, n_inputs = Plan.of_network(start), dataset.images.shape[1]
    if own.shapes != plan.shapes:
        raise InputError(f"start has layers {_named(own)}; expected {_named(plan)}")
    if (start.n_inputs, start.output.n_values) != (n_inputs, dataset.n_classes):
        raise InputError(
            f"start has {start.n_inputs} inputs and {start.output.n_values} outputs; expected {n_inputs} and "
            f"{dataset.n_classes}, for {dataset.source}"
        )
    if start.units != plan.units:
        raise InputError(
            f"start was trained as {start.hidden!r}; expected hidden {units_text(plan.units)!r}, as the neurons inside"
        )
    largest = max(float(np.abs(w).max()) for w in (*start.weights, *start.biases) if w is not None)
    if largest > _LARGEST_WEIGHT:
        raise InputError(
            f"start has weights up to {largest:.3g}; expected at most {_LARGEST_WEIGHT:g}: training computes in single "
            "precision"
        )
    if not start.plain_stages:
        raise InputError(f"start has {start.stages_text}; expected tanh 'drive', behind 'linear'")
    if not bias and any(b is not None for b in start.biases):
        raise InputError("start has biases, training (bias = False) has none; expected both with, or both without")
    if not np.allclose(start.input_range, dataset.scale, rtol=1e-6, atol=0.0):
        low, high = start.input_range
        raise InputError(
            f"start was trained on values from {low:g} to {high:g}; expected those of {dataset.source}, from "
            f"{dataset.scale[0]:g} to {dataset.scale[1]:g}"
        )


def _named(plan: Plan) -> str:
    return str((plan.n_inputs, *(one.n_out for one in plan.maps))) if plan.dense else plan.text


def _activation(keras: Any, one: PlannedMap) -> Any:
    """What Keras knows a unit by."""
    if one.unit != "relu":
        return one.unit or "linear"
    return "relu" if one.ceiling is None else keras.layers.ReLU(max_value=one.ceiling)
