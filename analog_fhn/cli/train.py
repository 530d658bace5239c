"""`analog-fhn train`: a network in Keras, with or without FHN neurons inside, saved as a network file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn._support.interrupts import keeping
from analog_fhn.cli import circuits, console, costs, inputs, option_values, outputs, parameters
from analog_fhn.cli.groups import NeuronOptions
from analog_fhn.cli.options import as_written, options_set, takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analog_fhn.data import Dataset
    from analog_fhn.network import Network
    from analog_fhn.neuron import Protocol
    from analog_fhn.readout import Activation
    from analog_fhn.training.circuit import Inside, SeenChips
    from analog_fhn.training.layers import Plan
    from analog_fhn.training.plain import Trained
    from analog_fhn.weights.trained import Hidden

Trainer = Callable[["Dataset", "Dataset", "_Task"], "_Done"]

# Options that only some models have; whatever else is given is refused by name.
_OPTIONS = {
    "--model ann": ("--layers", "--shape", "--activation", "--ceiling", "--bias", "--start"),
    "--model fhn": (
        "--layers", "--shape", "--activation", "--ceiling", "--bias", "--gradient", "--gamma", "--a", "--eps",
        "--slope", "--settle", "--control", "--window", "--start", "--technology", "--errors", "--ramp",
        "--chips", "--clip-sigma", "--noise", "--ignore-levels", "--wires",
    ),
    "--model fhn --protocol paper": (
        "--tanh", "--recentre", "--gradient", "--gamma", "--a", "--eps", "--slope", "--settle", "--control",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class HiddenOptions:
    """Hidden layers and units, and what stands in their place on the way back."""

    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="LAYER[,LAYER...]",
            help="Hidden layers in place of --hidden: 'conv8@5x5/2 relu, mean2x2, conv16@3x3 same relu, 64 tanh' "
            "(units relu, tanh, sigmoid; default: sigmoid).",
        ),
    ] = None
    shape: Annotated[
        str | None,
        typer.Option(
            "--shape", metavar="H,W,C", help="Lines, places and channels of an image (default: square, 1 channel)."
        ),
    ] = None
    activation: Annotated[
        Literal["sigmoid", "tanh", "relu"] | None,
        typer.Option("--activation", help="Hidden activation (default: sigmoid, or --start's)."),
    ] = None
    ceiling: Annotated[
        str | None,
        typer.Option(
            "--ceiling",
            metavar="C[,C...]",
            help="Largest activation of relu layers, for all or for each, trained with (default: --start's, else "
            "measured on the training images).",
        ),
    ] = None
    bias: Annotated[bool, typer.Option("--bias", help="Train biases too (the paper has none).")] = False
    tanh: Annotated[
        Literal["drive", "input"] | None,
        typer.Option("--tanh", help="Where the tanh acts: I = gamma tanh(X W) or gamma tanh(X) W (default: drive)."),
    ] = None
    recentre: Annotated[
        bool, typer.Option("--recentre", help="Train with recentred rows in place of x itself (the paper).")
    ] = False
    gradient: Annotated[
        Literal["sigmoid", "response"] | None,
        typer.Option(
            "--gradient",
            help="What stands in the neurons' place on the way back (default: response; --protocol paper: sigmoid).",
        ),
    ] = None


@dataclass(frozen=True)
class HardwareOptions:
    """Chips that training sees."""

    technology: Annotated[
        str | None,
        typer.Option("--technology", metavar="NAME|PATH", help="Every step sees a fresh chip of this technology."),
    ] = None
    errors: parameters.ErrorsOption = None
    ramp: Annotated[
        Literal["linear", "constant"] | None,
        typer.Option("--ramp", help="Errors grow over the first half of the epochs (default), or stay."),
    ] = None
    chips: Annotated[
        int | None, typer.Option("--chips", min=1, help="Chips that neurons are drawn from (default: 50).")
    ] = None
    clip_sigma: Annotated[
        float | None,
        typer.Option("--clip-sigma", help="Largest weight in standard deviations; 0: not clipped (default: 1.7)."),
    ] = None
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise",
            metavar="intrinsic|DENSITY",
            help="Training with a technology sees noise: that of the parts, or A/√Hz.",
        ),
    ] = None
    ignore_levels: Annotated[
        bool, typer.Option("--ignore-levels", help="Training with a technology does not see the conductance levels.")
    ] = False
    wires: Annotated[
        bool, typer.Option("--wires", help="Training with a technology sees what its wires leave of each device.")
    ] = False

    def hardware(self) -> SeenChips | None:
        """What training sees of a technology; None without one."""
        from analog_fhn.training.circuit import SeenChips

        clip = self.clip_sigma
        if clip is not None and not clip >= 0:
            raise InputError(f"--clip-sigma {clip:g}: expected a number above 0, or 0 for weights that are not clipped")
        if self.technology is None:
            for option, value in options_set(self).items():
                raise InputError(f"{as_written(option, value)} needs a --technology whose chips training is to see")
            return None
        technology = circuits.load_technology(self.technology, errors=self.errors)
        circuits.warn_of_values(technology)
        noise: float | Literal["intrinsic"] | None = None
        if self.noise is not None:
            noise = "intrinsic" if self.noise == "intrinsic" else circuits.density(self.noise)
        clipped: dict[str, Any] = {} if clip is None else {"clip_sigma": clip or None}
        return SeenChips(
            technology,
            levels=not self.ignore_levels,
            wires=self.wires,
            noise=noise,
            **values_set(self, "ramp", "chips"),
            **clipped,
        )


@dataclass(frozen=True)
class BeginOptions:
    """What training begins with, and whether it sees averages over a window."""

    window: Annotated[
        bool, typer.Option("--window", help="Train with averages over the control window, not of settled neurons.")
    ] = False
    begin: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="NETWORK.npz", help="Train this network on, with its neurons and times unless given."
        ),
    ] = None


@dataclass(frozen=True)
class ModelOptions:
    """Options that only some models have (see `_OPTIONS`)."""

    units: HiddenOptions
    neuron: NeuronOptions
    begin: BeginOptions
    hardware: HardwareOptions

    def check(self, name: str) -> None:
        """Refuse an option that `name`, the model as it is asked for, does not have."""
        for option, value in options_set(self).items():
            if option not in _OPTIONS[name]:
                raise option_values.foreign(option, as_written(option, value), name, _OPTIONS)


@dataclass(frozen=True)
class PassOptions:
    """How long and in what steps every model is trained."""

    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the training images (default: 20; paper: 10).")
    ] = None
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images per step (default: 32; paper: 50).")] = (
        None
    )
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="Adam's step size at the start (default: 3e-3; paper: 1e-2)."),
    ] = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the training functions."""
        arguments = values_set(self, "epochs", "batch", "learning_rate")
        return {"batch_size" if name == "batch" else name: value for name, value in arguments.items()}


@takes_option_groups
def train(
    dataset: parameters.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NETWORK.npz", help="Network file to write.")],
    *,
    model: Annotated[
        Literal["ann", "fhn"], typer.Option("--model", help="ann: the plain network; fhn: FHN neurons inside.")
    ] = "ann",
    protocol: Annotated[
        Literal["paper"] | None,
        typer.Option("--protocol", help="paper: section 4, sigmoid units behind the neurons and the vote (for fhn)."),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            "--hidden",
            metavar="N[,N...]",
            help="Hidden neurons (default: 100, or --start's); 100,50: two layers.",
        ),
    ] = None,
    options: ModelOptions,
    passes: PassOptions,
    images: parameters.ImagesOption = None,
    stratified: parameters.StratifiedOption = False,
    data: parameters.DataOption = None,
    seed: parameters.SeedOption = 0,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Train n_in - hidden - n_classes, report its test accuracy, and save it."""
    from analog_fhn.network import Network
    from analog_fhn.training.layers import Plan

    start = time.perf_counter()
    trainer = _trainer(model, protocol, options)
    begin = None if options.begin.begin is None else Network.load(options.begin.begin)
    layers = _layers(hidden, protocol, options.units, begin)
    activation = _activation(options.units, begin)
    # A network may be trained on from itself.
    outputs.check_outputs({}, {"-o": output, "--json": json})
    outputs.writable(output)
    training, test = _images(dataset, data, images, seed if stratified else None)
    plan = Plan.of(training, hidden=activation, start=begin, **layers)
    _check_work(plan, training, test, options, begin, passes, yes=yes)
    arguments = layers | {"seed": seed} | passes.arguments
    with console.progress_bar("training") as bar:

        def after_epoch(epoch: int, total: int, loss: float, right: float) -> None:
            bar(epoch, total)
            bar.label(f"training: loss {loss:.3g}, {console.percent(right)} right")

        arguments["progress"] = after_epoch
        done = trainer(training, test, _Task(options, activation, plan.units, begin, arguments))
    network = done.trained.network(training.scale)
    network.save(output)
    accuracy = float((done.predictions == test.labels).mean())
    console.say(
        f"{done.what} {network.sizes_text} ({done.how}{_ceilings(network)}): {console.percent(accuracy)} of "
        f"{len(test.labels)} test images, {console.percent(done.trained.history['accuracy'][-1])} of the training "
        "images",
        json,
    )
    if not has_failed(output):
        console.remark(f"saved as {output}", json)
    settings = outputs.settings(network, None) | {"trained": done.trained.settings, "dataset": dataset, "model": model}
    content = _content(done, network, test) | {"settings": settings | {"stratified": stratified}}
    outputs.write_json(json, "train", seed, start, content)


def _images(dataset: str, data: Path | None, images: int | None, draw: int | None) -> tuple[Dataset, Dataset]:
    """Training images, of which `images` are chosen, and test images; `draw` as for `inputs.choose_images`."""
    from analog_fhn.data.dataset import check_alike

    whole = inputs.load_holdout(dataset, "train", data)
    inputs.tell_missing(whole, whole.n_classes, "training")
    training = inputs.choose_images(whole, "training", images, draw=draw, refuse=True)
    test = inputs.load_holdout(dataset, "test", data)
    check_alike(training, test)
    inputs.tell_missing(test, training.n_classes, "test")
    return training, test


def _content(done: _Done, network: Network, test: Dataset) -> dict[str, Any]:
    """What the JSON object says about the test images and the training."""
    from analog_fhn.inference import confusion, per_class

    n_classes = network.layer_sizes[-1]
    return {
        "accuracy": float((done.predictions == test.labels).mean()),
        "n_images": len(test.labels),
        "held_out": None if test.held_out is None else test.held_out.tolist(),
        "per_digit": per_class(done.predictions, test.labels, n_classes),
        "confusion": confusion(done.predictions, test.labels, n_classes).tolist(),
        "history": done.trained.history,
    }


def _ceilings(network: Network) -> str:
    """Ceilings of the relu layers as the message says them."""
    ceilings = [f"{layer.ceiling:.4g}" for layer in network.hidden_layers if layer.ceiling is not None]
    return f", ceiling{'s' * (len(ceilings) > 1)} {', '.join(ceilings)}" if ceilings else ""


def _check_work(
    plan: Plan,
    training: Dataset,
    test: Dataset,
    options: ModelOptions,
    begin: Network | None,
    passes: PassOptions,
    *,
    yes: bool,
) -> None:
    """Refuse what is beyond the machine: the training, or judging the network in its own times."""
    from analog_fhn.neuron import FHN, Protocol

    times = options.neuron.protocol(Protocol() if begin is None else begin.protocol)
    eps = options.neuron.fhn(FHN() if begin is None else begin.fhn).eps
    hardware = options.hardware
    window = options.begin.window
    work = costs.together([
        costs.training(
            plan, len(training.labels), passes.epochs or 20, passes.batch or 32,
            chips=0 if hardware.technology is None else hardware.chips or 50,
            protocol=times if window else None,
        ),
        costs.classification_by(plan, times, eps, len(test.labels), table=_judged_by(window, times)),
    ])  # fmt: skip
    costs.check_work(work, yes=yes)


def _judged_by(window: bool, times: Protocol) -> int | None:
    """Drives of the table that test images are judged by; None: they are simulated.

    The default times are long enough that settled neurons tell all; others are judged as `classify` will judge them.
    """
    from analog_fhn.neuron import Protocol

    return None if window or times != Protocol() else 33


@dataclass(frozen=True)
class _Task:
    """What one of the models is trained by: options, hidden units, network to begin with, arguments of all.

    The activation is the option's, None without it.
    """

    options: ModelOptions
    activation: Hidden | None
    units: tuple[Activation, ...]
    begin: Network | None
    arguments: dict[str, Any]


@dataclass(frozen=True)
class _Done:
    """A trained network, its answers for the test images, and what people read about it."""

    trained: Trained
    predictions: NDArray[np.intp]
    what: str
    how: str


def _trainer(model: str, protocol: str | None, options: ModelOptions) -> Trainer:
    """Function that trains the model, once it is known to have the options.

    Raises
    ------
    InputError
        For a model that there is not, or an option of another one.
    """
    name = f"--model {model}" + ("" if protocol is None else f" --protocol {protocol}")
    trainers = {"--model ann": _ann, "--model fhn": _fhn, "--model fhn --protocol paper": _paper}
    if name not in trainers:
        raise InputError(f"{name}: expected one of {', '.join(trainers)}")
    options.check(name)
    return trainers[name]


def _activation(units: HiddenOptions, start: Network | None) -> Hidden | None:
    """Hidden activation, which must be that of the network to begin with; None: the layers or that network say it."""
    option = units.activation
    if option is not None and units.layers is not None:
        raise InputError(f"--activation {option}: the units stand behind the layers of --layers")
    if start is not None and option not in (None, start.hidden):
        raise InputError(f"--activation {option}: the network of --start was trained as {start.hidden}")
    return option


def _layers(hidden: str | None, protocol: str | None, units: HiddenOptions, start: Network | None) -> dict[str, Any]:
    """Layers that options name, as the arguments that training functions call them; none: those of the start, or 100.

    Raises
    ------
    InputError
        For something else than numbers, several layers where there can be one, or others than that network's.
    """
    if units.layers is None and units.shape is not None:
        raise InputError(f"--shape {units.shape} is the shape of images that --layers begin with; expected both")
    if units.layers is not None:
        if hidden is not None:
            raise InputError(f"--hidden {hidden} beside --layers: expected the one or the other")
        return {"layers": units.layers} | ({} if units.shape is None else {"shape": _shape(units.shape)})
    if hidden is None:
        return {}
    try:
        sizes = tuple(int(part) for part in hidden.split(","))
    except ValueError:
        raise InputError(f"--hidden {hidden!r}: expected a whole number, or several separated by commas") from None
    if min(sizes) < 1:
        raise InputError(f"--hidden {hidden}: expected numbers from 1")
    if start is not None and sizes != start.layer_sizes[1:-1]:
        raise InputError(f"--hidden {hidden}: the network of --start has {','.join(map(str, start.layer_sizes[1:-1]))}")
    if len(sizes) > 1 and protocol is not None:
        raise InputError(f"--hidden {hidden}: --protocol {protocol} has one hidden layer")
    return {"n_hidden": sizes[0] if len(sizes) == 1 else sizes}


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--shape {text!r}: expected lines, places and channels, such as 28,28,1") from None


def _arguments(task: _Task) -> dict[str, Any]:
    """Arguments that `train_plain` and `train_fhn` share."""
    units, begin = task.options.units, task.begin
    if begin is not None and not units.bias and any(b is not None for b in begin.biases):
        raise InputError("the network of --start has biases; expected --bias, to train them too")
    ceiling = None if units.ceiling is None else option_values.numbers("--ceiling", units.ceiling)
    return {"bias": units.bias, "start": begin, "ceiling": ceiling} | task.arguments


def _kept_training(train: Callable[..., Trained], *arguments: Any, **options: Any) -> Trained:
    """What a training function gives; after Ctrl-C the network as it was after its last whole epoch."""
    with keeping() as work:
        trained = train(*arguments, **options)
    if work.interrupted:
        done = len(trained.history["loss"])
        console.going_on(f"the network is as it was after epoch {done} of {trained.settings['epochs']}")
    return trained


def _ann(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.network import units_text
    from analog_fhn.training.plain import train_plain

    trained = _kept_training(train_plain, training, hidden=task.activation, **_arguments(task))
    predictions = trained.network(training.scale).forward(test.images).argmax(axis=1)
    return _Done(trained, predictions, "plain network", units_text(trained.units))


def _fhn(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.inference import classify
    from analog_fhn.training.circuit import train_fhn

    arguments = _arguments(task)
    hardware = task.options.hardware.hardware()
    inside = _inside(task)
    trained = _kept_training(train_fhn, training, inside=inside, hardware=hardware, **arguments)
    network = trained.network(training.scale)
    table = _judged_by(inside.window, inside.protocol)
    predictions = classify(network, test.images, table=table).predictions
    seen = "" if hardware is None else f", seen chips of {hardware.technology.name}"
    window = f"window of {inside.protocol.control:g} T" if inside.window else "settled"
    if table is None and not inside.window:
        window = f"trained settled, judged in {inside.protocol.control:g} T after {inside.protocol.settle:g} T"
    return _Done(trained, predictions, "FHN network", f"gamma {network.fhn.gamma:g}, {window}, mean{seen}")


def _inside(task: _Task) -> Inside:
    """Hidden neurons in training: those of the network to begin with, if there is one, but for what options set."""
    from analog_fhn.network import matched_slope
    from analog_fhn.neuron import FHN
    from analog_fhn.training.circuit import Inside

    options, begin = task.options, task.begin
    inside = Inside(
        hidden=task.activation, fhn=FHN(slope=matched_slope(task.units[0])), window=options.begin.window,
        **values_set(options.units, "gradient"),
    )  # fmt: skip
    if begin is not None:
        inside = replace(inside, fhn=begin.fhn, protocol=begin.protocol, recentre=begin.recentre)
    return replace(inside, fhn=options.neuron.fhn(inside.neuron), protocol=options.neuron.protocol(inside.protocol))


def _paper(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.inference import classify
    from analog_fhn.training.paper import JUDGED, NEURON, train_paper

    options = task.options
    trained = _kept_training(
        train_paper,
        training,
        recentre=options.units.recentre,
        fhn=options.neuron.fhn(NEURON),
        protocol=options.neuron.protocol(JUDGED),
        **values_set(options.units, "tanh", "gradient"),
        **task.arguments,
    )
    network = trained.network(training.scale)
    predictions = classify(network, test.images).predictions
    how = f"gamma {network.fhn.gamma:g}, tanh at the {network.tanh}, {'recentred' if network.recentre else 'raw'}, vote"
    return _Done(trained, predictions, "FHN network", how)
