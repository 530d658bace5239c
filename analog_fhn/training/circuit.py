"""Training with the circuit in the forward pass: FHN neurons, and with a technology a fresh chip in every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network, layer_neurons, matched_slope, units_text
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.readout import Activation
from analog_fhn.technology.technology import Technology
from analog_fhn.training.fit import (
    Fit,
    Gradient,
    HiddenLayers,
    Progress,
    Schedule,
    accuracy_of,
    check_one_of,
    cross_entropy,
    keras_on_jax,
    seeded,
)
from analog_fhn.training.plain import Trained, train_plain
from analog_fhn.training.response import Responses

Ramp = Literal["constant", "linear"]

_START_EPOCHS = 2
_SEEDS = 2**32  # Keras takes seeds below it
_LARGEST_WEIGHT = 1e30  # of a start: sums of single precision stay within its range
_RAMP = 0.5  # share of the epochs in which a linear ramp reaches its end


@dataclass(frozen=True)
class SeenChips:
    """The chips of a technology that training sees.

    Parameters
    ----------
    technology
        Its errors are those that training sees; `Technology.with_errors` keeps some of the groups. Wires, the gain
        errors of sense amplifiers, and the ripple behind low-passes are not seen.
    levels
        Whether training sees the conductance levels.
    chips
        Number of chips whose neurons (with their tanh pairs and row drivers) and amplifier offsets are drawn from.
    first_chip
        Seed of the first; the others follow.
    clip_sigma
        Largest weight in standard deviations of its layer's, above 0; None: any. See `ArrayDense`.
    noise
        White current noise at both summing nodes of each neuron: its density (A/sqrt(Hz)), "intrinsic" for that of the
        nominal neuron's own parts, or None. Training sees by how much it moves that neuron's average over the
        protocol's control window, in the mean and from run to run.
    ramp
        How the errors grow over the epochs: at once ("constant"), or evenly over the first half ("linear").
    """

    technology: Technology
    levels: bool = True
    chips: int = 50
    first_chip: int = 1_000_000
    clip_sigma: float | None = 1.7
    noise: float | Literal["intrinsic"] | None = None
    ramp: Ramp = "linear"

    def __post_init__(self) -> None:
        if self.chips < 1:
            raise InputError(f"chips = {self.chips}: expected at least 1")
        if self.clip_sigma is not None and not (math.isfinite(self.clip_sigma) and self.clip_sigma > 0):
            raise InputError(f"clip_sigma = {self.clip_sigma}: expected a finite number above 0, or None")
        check_one_of("ramp", self.ramp, Ramp)


@dataclass(frozen=True, eq=False)
class Inside:
    """What the hidden neurons are in training.

    Parameters
    ----------
    hidden
        Unit of all hidden layers, or one for each.
    fhn, recentre
        As in a network; without `fhn` the slope matches the first unit.
    protocol
        Settling time and control window.
    gradient
        Way back through the neurons: "response" or "sigmoid"; see `FHN`.
    window
        Whether training sees the average over the control window, from the protocol's initial state, or that of settled
        neurons.
    instants
        With a protocol, training sees x(t) of the last hidden layer at its times, and the loss is the mean over them:
        for the vote. It is seen without noise.
    responses
        Responses of the neurons of all hidden layers, in place of those that the above gives; not with hardware, whose
        chips have theirs.
    """

    hidden: Activation | Sequence[Activation] = "sigmoid"
    fhn: FHN | None = None
    protocol: Protocol = field(default_factory=Protocol)
    recentre: bool = True
    gradient: Gradient = "response"
    window: bool = False
    instants: Protocol | None = None
    responses: Responses | None = None

    @property
    def neuron(self) -> FHN:
        """Parameters of the neurons."""
        if self.fhn is not None:
            return self.fhn
        return FHN(slope=matched_slope(self.hidden if isinstance(self.hidden, str) else self.hidden[0]))


def train_fhn(
    dataset: Dataset,
    *,
    n_hidden: int | Sequence[int] = 100,
    inside: Inside | None = None,
    hardware: SeenChips | None = None,
    bias: bool = False,
    start: Network | None = None,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    schedule: Schedule = "cosine",
    validation: Dataset | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Train n_in - n_hidden - ... - n_classes with FHN neurons in the forward pass, by Adam on the cross-entropy.

    With `hardware` every step sees a fresh chip: arrays with the technology's levels, programming errors and faults,
    neurons with mismatched parts, amplifier offsets.

    Parameters
    ----------
    dataset
        Training images, used in their own scale, and labels.
    n_hidden
        Number of hidden neurons, or of each hidden layer's.
    inside
        The hidden neurons.
    hardware
        None: ideal neurons and weights.
    bias
        Whether the layers have biases; not with `hardware`.
    start
        Network whose weights training begins with, of the same layers, units and range of inputs, without other
        stages than the neurons; with biases only if `bias`. None: Glorot's uniform distribution; with `hardware`, a
        plain network after two epochs.
    epochs, batch_size, learning_rate, schedule, seed
        As in `train_plain`.
    validation
        Images that are judged after each epoch, with ideal weights and the first neuron of the responses.
    progress
        Called after each epoch with the epoch (from 1), the number of epochs, the loss and the accuracy.

    Returns
    -------
    Trained
        Its history has "val_accuracy" too if there is a validation set.

    Raises
    ------
    InputError
        As `train_plain`; for a start that is not as described; with `hardware` for biases, responses, or instants in
        noise.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    inside = Inside() if inside is None else inside
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, validation, progress)
    hidden_layers = HiddenLayers.of(n_hidden, inside.hidden)
    fit.check(hidden_layers)
    widths = (dataset.images.shape[1], *hidden_layers.sizes, dataset.n_classes)
    if start is not None:
        _check_start(start, widths, hidden_layers.units, bias, dataset)
    begun = "glorot_uniform" if start is None else start.sha256
    keras = keras_on_jax()
    if hardware is None:
        seen = _ideal(inside, hidden_layers.units)
    else:
        _check_hardware(inside, hardware, bias)
        if start is None:
            begun = "plain network of two epochs"
            plain = train_plain(
                dataset, n_hidden=hidden_layers.sizes, hidden=hidden_layers.units, epochs=_START_EPOCHS,
                batch_size=batch_size, seed=seed,
            )  # fmt: skip
            start = plain.network(dataset.scale)
        seen = drawn_chips(start, inside, hardware)
    with seeded(keras, seed):
        model, denses, neurons = _model(keras, widths, inside, hardware, seen, bias, seed)
        if start is not None:
            for layer, w, b in zip(denses, start.weights, start.biases, strict=True):
                layer.kernel.assign(w)
                if bias and b is not None:
                    layer.bias.assign(b)
        history = fit.run(
            model, cross_entropy, accuracy_of("mean"), begin=_each_epoch(denses, neurons, hardware, epochs)
        )
    arrays = [[np.asarray(v.value, dtype=np.float64) for v in layer.trainable_variables] for layer in denses]
    return Trained(
        weights=[values[0] for values in arrays],
        biases=[values[1] if bias else None for values in arrays],
        units=hidden_layers.units,
        history=history,
        settings=hidden_layers.settings()
        | _settings(inside, hardware)
        | {"bias": bias}
        | fit.settings()
        | {"start": begun},
        inside={"fhn": inside.neuron, "protocol": inside.protocol, "recentre": inside.recentre},
    )


def _check_start(
    start: Network, widths: tuple[int, ...], units: tuple[Activation, ...], bias: bool, dataset: Dataset
) -> None:
    """Raise InputError for a network that training cannot begin with."""
    if start.layer_sizes != widths:
        raise InputError(f"start has layers {start.layer_sizes}; expected {widths}")
    if start.units != units:
        raise InputError(
            f"start was trained as {start.hidden!r}; expected hidden {units_text(units)!r}, as the neurons inside"
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


def _check_hardware(inside: Inside, hardware: SeenChips, bias: bool) -> None:
    """Raise InputError for what is not trained together with hardware."""
    if bias:
        raise InputError("hardware-aware training: expected no biases")
    if inside.responses is not None:
        raise InputError("responses with hardware: expected one of them, for the chips of a technology have theirs")
    if inside.instants is not None and hardware.noise is not None:
        raise InputError(
            f"hardware.noise = {hardware.noise} with instants: x(t) is trained without noise; expected None of either"
        )


@dataclass(frozen=True, eq=False)
class SeenLayers:
    """The layers as training sees them.

    Parameters
    ----------
    responses
        Of the neurons of each hidden layer: the first outside training, the others to draw from.
    offsets
        Of each array's outputs on the drawn chips, shape (n_chips, n_out), the output array last; None: none.
    """

    responses: list[Responses]
    offsets: list[FloatArray] | None = None


def _ideal(inside: Inside, units: tuple[Activation, ...]) -> SeenLayers:
    """Ideal neurons, or those that `inside` brings."""
    if inside.responses is not None:
        return SeenLayers([inside.responses] * len(units))
    protocol = inside.protocol if inside.instants is None else inside.instants
    responses, last = [], len(units) - 1
    for number, (unit, fhn) in enumerate(zip(units, layer_neurons(inside.neuron, units), strict=True)):
        responses.append(
            Responses.nominal(
                fhn, unit, protocol, recentre=inside.recentre or number < last,
                window=inside.window or inside.instants is not None,
                samples=inside.instants is not None and number == last,
            )
        )  # fmt: skip
    return SeenLayers(responses)


def drawn_chips(start: Network, inside: Inside, hardware: SeenChips) -> SeenLayers:
    """Of each layer the nominal neuron and all neurons of the drawn chips; amplifier offsets of each array."""
    network = replace(start, fhn=inside.neuron, protocol=inside.protocol)
    design = Design(network, hardware.technology)
    chips = [design.chip(None), *(design.chip(hardware.first_chip + k) for k in range(hardware.chips))]
    biases = [
        *(np.array([chip.layers[number].bias for chip in chips]) for number in range(len(network.units))),
        np.array([chip.output.bias_of(inside.recentre) for chip in chips]),
    ]
    responses = [_of_layer(number, chips, inside, hardware) for number in range(len(network.units))]
    return SeenLayers(responses, [values[1:] - values[0] for values in biases])


def _of_layer(number: int, chips: list[ManufacturedChip], inside: Inside, hardware: SeenChips) -> Responses:
    """Responses of hidden layer number `number` of chips, of the first chip those of one neuron alone."""
    cells = [chip.hardware[number].cells for chip in chips]
    before = None if number == len(chips[0].layers) - 1 else number
    one = cells[0][np.zeros(1, dtype=np.intp)]
    bank = Responses.together([
        Responses.of(some, inside.protocol, recentre=inside.recentre, before=before, window=inside.window)
        for some in (one, *cells[1:])
    ])  # fmt: skip
    if hardware.noise is None:
        return bank
    white = (
        Noise.intrinsic(one, hardware.first_chip)
        if hardware.noise == "intrinsic"
        else Noise.from_density(one, hardware.noise, hardware.noise, hardware.first_chip)
    )
    quiet, noisy = (
        Responses.of(one, inside.protocol, window=True, drives=bank.n_drives, noise=case) for case in (None, white)
    )
    # The first neuron is the one outside training, and where a ramp begins: it stays quiet.
    drawn = np.arange(len(bank))[:, None] > 0
    return replace(bank, mean=bank.mean + drawn * (noisy.mean - quiet.mean), deviation=drawn * noisy.deviation)


def _model(
    keras: Any,
    widths: tuple[int, ...],
    inside: Inside,
    hardware: SeenChips | None,
    seen: SeenLayers,
    bias: bool,
    seed: int,
) -> tuple[Any, list[Any], list[Any]]:
    """Model, its dense layers and its layers of neurons."""
    from analog_fhn.training.array import ArrayDense
    from analog_fhn.training.fhn import FHN as Layer

    layers: list[Any] = [keras.Input((widths[0],))]
    denses, neurons = [], []
    for k, width in enumerate(widths[1:]):
        if hardware is None:
            denses.append(keras.layers.Dense(width, use_bias=bias, dtype="float32"))
        else:
            denses.append(
                ArrayDense(
                    width, hardware.technology.array, layer=k,
                    temperature=hardware.technology.conditions.temperature, levels=hardware.levels,
                    clip_sigma=hardware.clip_sigma, offsets=None if seen.offsets is None else seen.offsets[k],
                    seed=(seed + k) % _SEEDS,
                )
            )  # fmt: skip
        layers.append(denses[-1])
        if k < len(seen.responses):
            neurons.append(
                Layer(
                    seen.responses[k], gradient=inside.gradient, draw=hardware is not None,
                    seed=(seed + 100 + k) % _SEEDS, samples=inside.instants if k == len(seen.responses) - 1 else None,
                )
            )  # fmt: skip
            layers.append(neurons[-1])
    return keras.Sequential(layers), denses, neurons


def _each_epoch(
    denses: list[Any], neurons: list[Any], hardware: SeenChips | None, epochs: int
) -> Callable[..., None] | None:
    """What happens before an epoch: errors grow, and the largest weights are looked for again."""
    if hardware is None:
        return None

    def begin(epoch: int, _logs: dict[str, float] | None = None) -> None:
        growing = 1.0 if hardware.ramp == "constant" else min(1.0, (epoch + 1) / max(1.0, _RAMP * epochs))
        for layer in denses:
            layer.refresh()
        for layer in (*denses, *neurons):
            layer.strength.assign(growing)

    return begin


def _settings(inside: Inside, hardware: SeenChips | None) -> dict[str, Any]:
    """What decided the model, ready for JSON."""
    names = ("levels", "clip_sigma", "noise", "ramp", "chips", "first_chip")
    return {
        "model": "fhn",
        "fhn": asdict(inside.neuron),
        "protocol": asdict(inside.protocol),
        "recentre": inside.recentre,
        "gradient": inside.gradient,
        "window": inside.window,
        "instants": None if inside.instants is None else asdict(inside.instants),
        "technology": None if hardware is None else hardware.technology.model_dump(),
    } | {name: None if hardware is None else getattr(hardware, name) for name in names}
