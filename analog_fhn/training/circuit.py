"""Training with the circuit in the forward pass: FHN neurons, and with a technology a fresh chip in every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from analog_fhn.chip import Chip
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network, matched_slope
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.technology.technology import Technology
from analog_fhn.training.fit import (
    Fit,
    Gradient,
    Hidden,
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
class Hardware:
    """What the chips of a technology are that training is to see.

    Parameters
    ----------
    technology
        Its errors are those that training sees; `Technology.with_errors` keeps some of the groups. Wires and the gain
        errors of sense amplifiers are not seen.
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
    fhn, hidden, recentre
        As in a network; without `fhn` the slope matches `hidden`.
    protocol
        Settling time and control window.
    gradient
        Way back through the neurons: "response" or "sigmoid"; see `FHN`.
    window
        Whether training sees the average over the control window, from the protocol's initial state, or that of settled
        neurons.
    instants
        With a protocol, training sees x(t) at its times, and the loss is the mean over them: for the vote. It is seen
        without noise.
    responses
        Of the neurons, in place of those that the above gives; not with hardware, whose chips bring their own.
    """

    hidden: Hidden = "sigmoid"
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
        return FHN(slope=matched_slope(self.hidden)) if self.fhn is None else self.fhn


def train_fhn(
    dataset: Dataset,
    *,
    n_hidden: int | Sequence[int] = 100,
    inside: Inside | None = None,
    hardware: Hardware | None = None,
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
        Network whose weights training begins with, of the same layers, activation and range of inputs, without other
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
        As `train_plain`; for a start that is not as described; with `hardware` for biases, several hidden layers,
        responses, or instants in noise.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    inside = Inside() if inside is None else inside
    sizes = (n_hidden,) if isinstance(n_hidden, int) else tuple(n_hidden)
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, validation, progress)
    fit.check(inside.hidden, *sizes)
    if not sizes:
        raise InputError("n_hidden is empty: expected at least one hidden layer")
    if hardware is not None:
        _check_hardware(inside, hardware, bias or len(sizes) > 1)
    widths = (dataset.images.shape[1], *sizes, dataset.n_classes)
    if start is not None:
        _check_start(start, widths, inside.hidden, bias, dataset)
    given = start
    keras = keras_on_jax()
    if hardware is not None and start is None:
        plain = train_plain(
            dataset, n_hidden=sizes[0], hidden=inside.hidden, epochs=_START_EPOCHS, batch_size=batch_size, seed=seed,
        )  # fmt: skip
        start = plain.network(dataset.scale)
    with seeded(keras, seed):
        model, denses, neurons = _model(keras, widths, inside, hardware, start, bias, seed)
        if start is not None:
            for layer, w, b in zip(denses, start.weights, start.biases, strict=True):
                layer.kernel.assign(w)
                if bias and b is not None:
                    layer.bias.assign(b)
        history = fit.run(
            model, cross_entropy, accuracy_of("mean"), begin=_each_epoch(denses, neurons, hardware, epochs)
        )
    arrays = [[np.asarray(v.value, dtype=np.float64) for v in layer.trainable_variables] for layer in denses]
    begun = "plain network of two epochs" if given is None and hardware is not None else "glorot_uniform"
    return Trained(
        weights=[values[0] for values in arrays],
        biases=[values[1] if bias else None for values in arrays],
        history=history,
        settings=_settings(sizes, inside, hardware)
        | {"bias": bias}
        | fit.settings()
        | {"start": begun if given is None else given.sha256},
        inside={"fhn": inside.neuron, "protocol": inside.protocol, "recentre": inside.recentre},
    )


def _check_start(start: Network, widths: tuple[int, ...], hidden: Hidden, bias: bool, dataset: Dataset) -> None:
    """Raise InputError for a network that training cannot begin with."""
    if start.layer_sizes != widths:
        raise InputError(f"start has layers {start.layer_sizes}; expected {widths}")
    if start.hidden != hidden:
        raise InputError(f"start was trained as {start.hidden!r}; expected hidden {hidden!r}, as the neurons inside")
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


def _check_hardware(inside: Inside, hardware: Hardware, other_layers: bool) -> None:
    """Raise InputError for what is not trained together with hardware."""
    if other_layers:
        raise InputError("hardware-aware training: expected one hidden layer and no biases")
    if inside.responses is not None:
        raise InputError("responses with hardware: expected one of them, for the chips of a technology bring their own")
    if inside.instants is not None and hardware.noise is not None:
        raise InputError(
            f"hardware.noise = {hardware.noise} with instants: x(t) is trained without noise; expected None of either"
        )


def _model(
    keras: Any, widths: tuple[int, ...], inside: Inside, hardware: Hardware | None, start: Network | None, bias: bool,
    seed: int,
) -> tuple[Any, list[Any], list[Any]]:  # fmt: skip
    """Model, its dense layers and its layers of neurons."""
    from analog_fhn.training.array import ArrayDense
    from analog_fhn.training.fhn import FHN as Layer

    responses, offsets = inside.responses, [None] * (len(widths) - 1)
    if hardware is not None:
        assert start is not None
        responses, offsets = _bank(start, inside, hardware)
    elif responses is None:
        responses = Responses.nominal(
            inside.neuron, inside.hidden, inside.protocol if inside.instants is None else inside.instants,
            recentre=inside.recentre, window=inside.window or inside.instants is not None,
            samples=inside.instants is not None,
        )  # fmt: skip
    layers: list[Any] = [keras.Input((widths[0],))]
    denses, neurons = [], []
    for k, width in enumerate(widths[1:]):
        if hardware is None:
            dense = keras.layers.Dense(width, use_bias=bias, dtype="float32")
        else:
            conditions = hardware.technology.conditions
            dense = ArrayDense(
                width, hardware.technology.array, layer=k, temperature=conditions.temperature, levels=hardware.levels,
                clip_sigma=hardware.clip_sigma, offsets=offsets[k], seed=(seed + k) % _SEEDS,
            )  # fmt: skip
        denses.append(dense)
        layers.append(dense)
        if k < len(widths) - 2:
            last = k == len(widths) - 3
            neurons.append(
                Layer(
                    responses, gradient=inside.gradient, draw=hardware is not None, seed=(seed + 100 + k) % _SEEDS,
                    samples=inside.instants if last else None,
                )
            )  # fmt: skip
            layers.append(neurons[-1])
    return keras.Sequential(layers), denses, neurons


def _bank(start: Network, inside: Inside, hardware: Hardware) -> tuple[Responses, list[Any]]:
    """Responses of the nominal neuron and of all neurons of the drawn chips; amplifier offsets of each layer."""
    network = replace(start, hidden=inside.hidden, fhn=inside.neuron, protocol=inside.protocol)
    design = Design(network, hardware.technology)
    chips = [design.chip(None), *(design.chip(hardware.first_chip + k) for k in range(hardware.chips))]
    found = [Responses.of(chip, inside.protocol, recentre=inside.recentre, window=inside.window) for chip in chips]
    first = slice(0, 1)
    biases = [np.array([_bias(chip, layer, inside.recentre) for chip in chips]) for layer in range(2)]
    offsets = [values[1:] - values[0] for values in biases]
    bank = Responses.together([found[0][first], *found[1:]])
    if hardware.noise is not None:
        one = chips[0].only(np.zeros(1, dtype=np.intp))
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
        bank = replace(
            bank, mean=bank.mean + drawn * (noisy.mean - quiet.mean), deviation=drawn * noisy.deviation
        )  # fmt: skip
    return bank, offsets


def _bias(chip: Chip, layer: int, recentre: bool) -> FloatArray:
    """Bias of an array of a chip, with its amplifiers' offsets."""
    bias = chip.biases[layer] if layer == 0 or recentre or chip.raw_bias is None else chip.raw_bias
    assert bias is not None
    return bias


def _each_epoch(denses: list[Any], neurons: list[Any], hardware: Hardware | None, epochs: int) -> Any:
    """What happens before an epoch: errors grow, and the largest weights are found again."""
    if hardware is None:
        return None

    def begin(epoch: int, _logs: dict[str, float] | None = None) -> None:
        growing = 1.0 if hardware.ramp == "constant" else min(1.0, (epoch + 1) / max(1.0, _RAMP * epochs))
        for layer in denses:
            layer.refresh()
        for layer in (*denses, *neurons):
            layer.strength.assign(growing)

    return begin


def _settings(sizes: tuple[int, ...], inside: Inside, hardware: Hardware | None) -> dict[str, Any]:
    """What decided the model, ready for JSON."""
    names = ("levels", "clip_sigma", "noise", "ramp", "chips", "first_chip")
    return {
        "model": "fhn",
        "n_hidden": sizes[0] if len(sizes) == 1 else list(sizes),
        "hidden": inside.hidden,
        "fhn": asdict(inside.neuron),
        "protocol": asdict(inside.protocol),
        "recentre": inside.recentre,
        "gradient": inside.gradient,
        "window": inside.window,
        "instants": None if inside.instants is None else asdict(inside.instants),
        "technology": None if hardware is None else hardware.technology.model_dump(),
    } | {name: None if hardware is None else getattr(hardware, name) for name in names}
