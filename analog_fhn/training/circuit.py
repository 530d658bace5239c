"""Training with the circuit in the forward pass: FHN neurons, and with a technology a fresh chip in every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from analog_fhn._support.interrupts import keeping
from analog_fhn.backends.table.means import averages_window
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network, layer_neurons, matched_slope
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.patches import Shape
from analog_fhn.readout import Activation
from analog_fhn.technology.technology import Technology
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
from analog_fhn.training.layers import LayerSpec, Plan, PlannedMap
from analog_fhn.training.model import model_of
from analog_fhn.training.plain import Trained, arrays_of, check_start, plain_of, put, with_told_ceilings
from analog_fhn.training.response import Responses

Ramp = Literal["constant", "linear"]

_START_EPOCHS = 2
_SEEDS = 2**32  # Keras takes seeds below it
_RAMP = 0.5  # share of the epochs in which a linear ramp reaches its end


@dataclass(frozen=True)
class SeenChips:
    """The chips of a technology that training sees.

    Parameters
    ----------
    technology
        Its errors are those that training sees; `Technology.with_errors` keeps some of the groups. The gain errors of
        sense amplifiers, the ripple behind low-passes, and the errors of stages that hold activations are not seen.
    levels
        Whether training sees the conductance levels.
    wires
        Whether training sees the wires: what they leave of each device, solved again before each epoch. See
        `ArrayDense`.
    chips
        Number of chips whose neurons (with their drive stages and row drivers) and amplifier offsets are drawn from.
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
    wires: bool = False
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
        Unit of all hidden layers, or one for each; None: those that the layers or the start name, else sigmoid.
    fhn, recentre
        As in a network; without `fhn` the slope matches the first unit.
    protocol
        Settling time and control window.
    gradient
        Way back through the neurons: "response" or "sigmoid"; see `FHN`.
    window
        Whether training sees the average over the control window, from the protocol's initial state, or that of settled
        neurons. Of chips whose cells integrate over a short window it sees that in any case, in the technology's times.
    instants
        With a protocol, training sees x(t) of the last hidden layer at its times, and the loss is the mean over them:
        for the vote. It is seen without noise.
    responses
        Responses of the neurons of all hidden layers, in place of those that the above gives; not with hardware, whose
        chips have theirs, nor for relus.
    """

    hidden: Activation | Sequence[Activation] | None = None
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
        hidden = self.hidden or "sigmoid"
        return FHN(slope=matched_slope(hidden if isinstance(hidden, str) else hidden[0]))


def train_fhn(
    dataset: Dataset,
    *,
    n_hidden: int | Sequence[int] | None = None,
    layers: str | Sequence[LayerSpec] | None = None,
    shape: Shape | None = None,
    ceiling: float | Sequence[float] | None = None,
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
    neurons with mismatched parts, amplifier offsets. Of a convolution it has one array, and one neuron for each
    channel, at all positions.

    Parameters
    ----------
    dataset
        Training images, used in their own scale, and labels.
    n_hidden
        Number of hidden neurons, or of each hidden layer's; None: 100.
    layers, shape
        Hidden layers in place of `n_hidden` and `inside.hidden`, and shape of an image; as in `train_plain`.
    ceiling
        Largest activation of all relus, or of each. None: that of `start`; without, what a plain network has on the
        training images after two epochs, whose weights training then begins with.
    inside
        The hidden neurons.
    hardware
        None: ideal neurons and weights.
    bias
        Whether the layers have biases; with `hardware` on rows of devices of their own, as `map_weights` has them.
    start
        Network whose weights training begins with, whose layers these are unless others are named, which must then be
        the same; of the same range of inputs, without other stages than the neurons; with biases only if `bias`. None:
        Glorot's uniform distribution; with `hardware`, a plain network after two epochs.
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
        As `train_plain`; with `hardware` for responses, or instants in noise; for what is not read of activations that
        are held.
    MissingProgramError
        If Keras or JAX is not installed.
    """
    inside = Inside() if inside is None else inside
    fit = Fit(dataset, epochs, batch_size, learning_rate, schedule, seed, validation, progress)
    fit.check()
    plan = Plan.of(dataset, n_hidden=n_hidden, hidden=inside.hidden, layers=layers, shape=shape, start=start)
    inside = replace(inside, hidden=plan.units)
    if start is not None:
        check_start(start, plan, bias, dataset)
    plan = plan.with_ceilings(ceiling, start)
    _check_inside(inside, plan, hardware)
    begun = "glorot_uniform" if start is None else start.sha256
    keras = keras_on_jax()
    open_ended = any(one.unit == "relu" and one.ceiling is None for one in plan.hidden)
    if start is None and (hardware is not None or open_ended):
        begun = "plain network of two epochs"
        with keeping(False):
            begin = plain_of(plan, Fit(dataset, _START_EPOCHS, batch_size, 3e-3, "cosine", seed), bias=bias)
        start = begin.network(dataset.scale)
        plan = plan.with_ceilings(None, start)
    if hardware is None:
        seen = _ideal(inside, plan)
    else:
        assert start is not None
        seen = drawn_chips(replace(start, layers=plan.filled(start.weights, start.biases)), inside, hardware)
    with seeded(keras, seed):
        model, maps, neurons = _model(keras, plan, inside, hardware, seen, bias, seed)
        if start is not None:
            put(start, maps)
        history = fit.run(model, cross_entropy, accuracy_of("mean"), begin=_each_epoch(maps, neurons, hardware, epochs))
    trained, ceilings = with_told_ceilings(arrays_of(plan, maps), dataset)
    return Trained(
        layers=trained,
        history=history,
        settings=plan.settings
        | _settings(inside, hardware)
        | {"bias": bias}
        | fit.settings(history)
        | {"start": begun}
        | ceilings,
        inside={"fhn": inside.neuron, "protocol": inside.protocol, "recentre": inside.recentre},
    )


def _check_inside(inside: Inside, plan: Plan, hardware: SeenChips | None) -> None:
    """Raise InputError for what is not trained together."""
    if inside.responses is not None and hardware is not None:
        raise InputError("responses with hardware: expected one of them, for the chips of a technology have theirs")
    if inside.responses is not None and "relu" in plan.units:
        raise InputError("responses of relu layers: expected none, for each layer's follow from its ceiling")
    if inside.instants is not None and hardware is not None and hardware.noise is not None:
        raise InputError(
            f"hardware.noise = {hardware.noise} with instants: x(t) is trained without noise; expected None of either"
        )
    if plan.held[-1] and (inside.instants is not None or not inside.recentre):
        raise InputError(
            "the activations in front of the output layer are held (it stands behind a convolution or a mean), so that "
            "nothing oscillates there; expected recentring, and no instants"
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
    bias_drives
        Of each array the constant on the rows of its biases, in units of its input.
    """

    responses: list[Responses]
    offsets: list[FloatArray] | None = None
    bias_drives: list[float] | None = None


def _ideal(inside: Inside, plan: Plan) -> SeenLayers:
    """Ideal neurons, or those that `inside` brings."""
    units = plan.units
    if inside.responses is not None:
        return SeenLayers([inside.responses] * len(units))
    protocol = inside.protocol if inside.instants is None else inside.instants
    responses, last = [], len(units) - 1
    for number, (one, fhn) in enumerate(zip(plan.hidden, layer_neurons(inside.neuron, units), strict=True)):
        responses.append(
            Responses.nominal(
                fhn, units[number], protocol, ceiling=one.ceiling or 1.0, recentre=inside.recentre or number < last,
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
    offsets = []
    for number, target in enumerate(design.arrays):
        volts = target.volts[0 if number < len(network.units) or inside.recentre else 1]
        values = np.array([chip.arrays[number].columns.offset / volts for chip in chips])
        offsets.append(values[1:] - values[0])
    responses = [_of_layer(number, chips, inside, hardware) for number in range(len(network.units))]
    return SeenLayers(responses, offsets, [target.crossbar.bias_drive for target in design.arrays])


def _of_layer(number: int, chips: list[ManufacturedChip], inside: Inside, hardware: SeenChips) -> Responses:
    """Responses of hidden layer number `number` of chips, of the first chip those of one neuron alone."""
    cells, held = [chip.hardware[number].cells for chip in chips], chips[0].network.held[number]
    before = None if number == len(chips[0].layers) - 1 else chips[0].low_passes_before(number)
    one, protocol = cells[0][np.zeros(1, dtype=np.intp)], chips[0].network.protocol
    window = inside.window or averages_window(one.dynamics, protocol)
    bank = Responses.together([
        Responses.of(some, protocol, recentre=inside.recentre, before=before, held=held, window=window)
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
        Responses.of(one, protocol, window=True, drives=bank.n_drives, noise=case) for case in (None, white)
    )
    # The first neuron is the one outside training, and where a ramp begins: it stays quiet.
    drawn = np.arange(len(bank))[:, None] > 0
    return replace(bank, mean=bank.mean + drawn * (noisy.mean - quiet.mean), deviation=drawn * noisy.deviation)


def _model(
    keras: Any, plan: Plan, inside: Inside, hardware: SeenChips | None, seen: SeenLayers, bias: bool, seed: int
) -> tuple[Any, list[Any], list[Any]]:
    """Model, its layers of linear maps and its layers of neurons."""
    from analog_fhn.training.array import ArrayDense
    from analog_fhn.training.fhn import FHN as Layer

    neurons: list[Any] = []

    def linear(number: int, one: PlannedMap) -> Any:
        from analog_fhn.training.convolution import ArrayConv, Convolved

        if hardware is None:
            if one.patches is None:
                return keras.layers.Dense(one.n_out, use_bias=bias, dtype="float32")
            return Convolved(one.n_out, one.patches, use_bias=bias, dtype="float32")
        technology = hardware.technology
        options: dict[str, Any] = {
            "layer": number, "temperature": technology.conditions.temperature, "levels": hardware.levels,
            "clip_sigma": hardware.clip_sigma, "offsets": None if seen.offsets is None else seen.offsets[number],
            "bias_drive": seen.bias_drives[number] if bias and seen.bias_drives is not None else None,
            "wires": hardware.wires, "seed": (seed + number) % _SEEDS,
        }  # fmt: skip
        if one.patches is None:
            return ArrayDense(one.n_out, technology.array, **options)
        return ArrayConv(one.n_out, technology.array, one.patches, **options)

    def behind(number: int) -> list[Any]:
        last = number == len(plan.units) - 1
        neurons.append(
            Layer(
                seen.responses[number], gradient=inside.gradient, draw=hardware is not None,
                seed=(seed + 100 + number) % _SEEDS, samples=inside.instants if last else None,
            )
        )  # fmt: skip
        return neurons[-1:]

    return *model_of(plan, linear, behind), neurons


def _each_epoch(
    maps: list[Any], neurons: list[Any], hardware: SeenChips | None, epochs: int
) -> Callable[..., None] | None:
    """What happens before an epoch: errors grow, and the largest weights are looked for again."""
    if hardware is None:
        return None

    def begin(epoch: int, _logs: dict[str, float] | None = None) -> None:
        growing = 1.0 if hardware.ramp == "constant" else min(1.0, (epoch + 1) / max(1.0, _RAMP * epochs))
        for layer in maps:
            layer.refresh()
        for layer in (*maps, *neurons):
            layer.strength.assign(growing)

    return begin


def _settings(inside: Inside, hardware: SeenChips | None) -> dict[str, Any]:
    """What decided the model, ready for JSON."""
    names = ("levels", "wires", "clip_sigma", "noise", "ramp", "chips", "first_chip")
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
