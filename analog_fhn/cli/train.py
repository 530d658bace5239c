"""`analog-fhn train`: a network in Keras, with or without FHN neurons inside, saved as a network file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn.cli import circuits, console, costs, inputs, option_values, outputs, parameters
from analog_fhn.cli.groups import NeuronOptions
from analog_fhn.cli.options import options_set, takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analog_fhn.data import Dataset
    from analog_fhn.network import Network
    from analog_fhn.training.circuit import Inside, SeenChips
    from analog_fhn.training.plain import Trained
    from analog_fhn.weights.trained import Hidden

Trainer = Callable[["Dataset", "Dataset", "_Task"], "_Done"]

# Options that only some models have; whatever else is given is refused by name.
_OPTIONS = {
    "--model ann": ("--activation", "--bias"),
    "--model fhn": (
        "--activation", "--bias", "--gradient", "--gamma", "--a", "--eps", "--slope", "--settle", "--control",
        "--window", "--start", "--technology", "--errors", "--ramp", "--chips", "--clip-sigma",
        "--noise", "--ignore-levels",
    ),
    "--model fhn --protocol paper": (
        "--tanh", "--recentre", "--gradient", "--gamma", "--a", "--eps", "--slope", "--settle", "--control",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class HiddenOptions:
    """Hidden units, and what stands in their place on the way back."""

    activation: Annotated[
        Literal["sigmoid", "tanh"] | None,
        typer.Option("--activation", help="Hidden activation (default: sigmoid, or --start's)."),
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

    def hardware(self) -> SeenChips | None:
        """What training sees of a technology; None without one."""
        from analog_fhn.training.circuit import SeenChips

        clip = self.clip_sigma
        if clip is not None and not clip >= 0:
            raise InputError(f"--clip-sigma {clip:g}: expected a number above 0, or 0 for weights that are not clipped")
        if self.technology is None:
            for option, value in options_set(self).items():
                raise InputError(f"{_as_written(option, value)} needs a --technology whose chips training is to see")
            return None
        technology = circuits.load_technology(self.technology, errors=self.errors)
        circuits.warn_of_values(technology)
        noise: float | Literal["intrinsic"] | None = None
        if self.noise is not None:
            noise = "intrinsic" if self.noise == "intrinsic" else circuits.density(self.noise)
        clipped: dict[str, Any] = {} if clip is None else {"clip_sigma": clip or None}
        return SeenChips(
            technology, levels=not self.ignore_levels, noise=noise, **values_set(self, "ramp", "chips"), **clipped
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
                raise option_values.foreign(option, _as_written(option, value), name, _OPTIONS)


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

    start = time.perf_counter()
    trainer = _trainer(model, protocol, options)
    begin = None if options.begin.begin is None else Network.load(options.begin.begin)
    sizes = _layers(hidden, protocol, begin)
    activation = _activation(options.units.activation, begin)
    # A network may be trained on from itself.
    outputs.check_outputs({}, {"-o": output, "--json": json})
    outputs.writable(output)
    training, test = _images(dataset, data, images, seed if stratified else None)
    whole = (training.images.shape[1], *sizes, training.n_classes)
    _check_work(whole, training, test, options, begin, passes, yes=yes)
    arguments = {"n_hidden": sizes[0] if len(sizes) == 1 else sizes, "seed": seed} | passes.arguments
    with console.progress_bar("training") as bar:
        arguments["progress"] = lambda epoch, total, _loss, _accuracy: bar(epoch, total)
        done = trainer(training, test, _Task(options, activation, begin, arguments))
    network = done.trained.network(training.scale)
    network.save(output)
    accuracy = float((done.predictions == test.labels).mean())
    console.say(
        f"{done.what} {'-'.join(map(str, network.layer_sizes))} ({done.how}): {console.percent(accuracy)} of "
        f"{len(test.labels)} test images, {console.percent(done.trained.history['accuracy'][-1])} of the training "
        "images" + ("" if has_failed(output) else f"; saved as {output}"),
        json,
    )
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


def _check_work(
    sizes: tuple[int, ...],
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
    work = costs.together([
        costs.training(
            sizes, len(training.labels), passes.epochs or 20, passes.batch or 32,
            chips=0 if hardware.technology is None else hardware.chips or 50,
            protocol=times if options.begin.window else None,
        ),
        costs.classification_by(sizes, times, eps, len(test.labels)),
    ])  # fmt: skip
    costs.check_work(work, yes=yes)


@dataclass(frozen=True)
class _Task:
    """What one of the models is trained by: options, hidden activation, network to begin with, arguments of all."""

    options: ModelOptions
    activation: Hidden
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


def _activation(option: Literal["sigmoid", "tanh"] | None, start: Network | None) -> Hidden:
    """Hidden activation, or one of each layer: that of the network to begin with, which the option must agree with."""
    if start is not None and option not in (None, start.hidden):
        raise InputError(f"--activation {option}: the network of --start was trained as {start.hidden}")
    return option or ("sigmoid" if start is None else start.units)


def _layers(hidden: str | None, protocol: str | None, start: Network | None) -> tuple[int, ...]:
    """Numbers of hidden neurons by layer, from the option or the network to begin with, which must not differ.

    Raises
    ------
    InputError
        For something else than numbers, several layers where there can be one, or others than that network's.
    """
    known = (100,) if start is None else start.layer_sizes[1:-1]
    if hidden is None:
        return known
    try:
        sizes = tuple(int(part) for part in hidden.split(","))
    except ValueError:
        raise InputError(f"--hidden {hidden!r}: expected a whole number, or several separated by commas") from None
    if min(sizes) < 1:
        raise InputError(f"--hidden {hidden}: expected numbers from 1")
    if start is not None and sizes != known:
        raise InputError(f"--hidden {hidden}: the network of --start has {','.join(map(str, known))}")
    if len(sizes) > 1 and protocol is not None:
        raise InputError(f"--hidden {hidden}: --protocol {protocol} has one hidden layer")
    return sizes


def _as_written(option: str, value: Any) -> str:
    return option if value is True else f"{option} {value}"


def _ann(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.network import units_text
    from analog_fhn.training.plain import train_plain

    trained = train_plain(training, hidden=task.activation, bias=task.options.units.bias, **task.arguments)
    predictions = trained.network(training.scale).forward(test.images).argmax(axis=1)
    return _Done(trained, predictions, "plain network", units_text(trained.units))


def _fhn(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.inference import classify
    from analog_fhn.neuron import Protocol
    from analog_fhn.training.circuit import train_fhn

    options, begin = task.options, task.begin
    if begin is not None and not options.units.bias and any(b is not None for b in begin.biases):
        raise InputError("the network of --start has biases; expected --bias, to train them too")
    hardware = options.hardware.hardware()
    inside = _inside(task)
    trained = train_fhn(
        training, inside=inside, hardware=hardware, bias=options.units.bias, start=begin, **task.arguments
    )
    network = trained.network(training.scale)
    # The default times are long enough that settled neurons tell all; others are judged as `classify` will judge them.
    as_stored = inside.window or inside.protocol != Protocol()
    predictions = classify(network, test.images, table=None if as_stored else 33).predictions
    seen = "" if hardware is None else f", seen chips of {hardware.technology.name}"
    window = f"window of {inside.protocol.control:g} T" if inside.window else "settled"
    if as_stored and not inside.window:
        window = f"trained settled, judged in {inside.protocol.control:g} T after {inside.protocol.settle:g} T"
    return _Done(trained, predictions, "FHN network", f"gamma {network.fhn.gamma:g}, {window}, mean{seen}")


def _inside(task: _Task) -> Inside:
    """Hidden neurons in training: those of the network to begin with, if there is one, but for what options set."""
    from analog_fhn.training.circuit import Inside

    options, begin = task.options, task.begin
    inside = Inside(hidden=task.activation, window=options.begin.window, **values_set(options.units, "gradient"))
    if begin is not None:
        inside = replace(inside, fhn=begin.fhn, protocol=begin.protocol, recentre=begin.recentre)
    return replace(inside, fhn=options.neuron.fhn(inside.neuron), protocol=options.neuron.protocol(inside.protocol))


def _paper(training: Dataset, test: Dataset, task: _Task) -> _Done:
    from analog_fhn.inference import classify
    from analog_fhn.training.paper import JUDGED, NEURON, train_paper

    options = task.options
    trained = train_paper(
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
