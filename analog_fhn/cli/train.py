"""`analog-fhn train`: a network in Keras, with or without FHN neurons inside, saved as a network file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn.cli import common, costs
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analog_fhn.datasets import Dataset
    from analog_fhn.network import Network
    from analog_fhn.training.fit import Progress
    from analog_fhn.training.plain import Trained

Options = dict[str, Any]

# Options that only some models have; whatever else is given is refused by name.
_OWN = {
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


def train(
    dataset: common.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NETWORK.npz", help="Network file to write.")],
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
            help="Hidden neurons (default: 100, or --start's); 100,50: two layers (fhn).",
        ),
    ] = None,
    activation: Annotated[
        Literal["sigmoid", "tanh"] | None,
        typer.Option("--activation", help="Hidden activation (default: sigmoid, or --start's)."),
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Train biases too (the paper has none).")] = False,
    tanh: Annotated[
        Literal["drive", "input"] | None,
        typer.Option("--tanh", help="Where the tanh acts: I = gamma tanh(X W) or gamma tanh(X) W (default: drive)."),
    ] = None,
    recentre: Annotated[
        bool, typer.Option("--recentre", help="Train with recentred rows in place of x itself (the paper).")
    ] = False,
    gradient: Annotated[
        Literal["sigmoid", "response"] | None,
        typer.Option(
            "--gradient",
            help="What stands in the neurons' place on the way back (default: response; --protocol paper: sigmoid).",
        ),
    ] = None,
    gamma: common.GammaOption = None,
    a: common.AOption = None,
    eps: common.EpsOption = None,
    slope: common.SlopeOption = None,
    settle: common.SettleOption = None,
    control: common.ControlOption = None,
    window: Annotated[
        bool, typer.Option("--window", help="Train with averages over the control window, not of settled neurons.")
    ] = False,
    begin: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="NETWORK.npz", help="Train this network on, with its neurons and times unless given."
        ),
    ] = None,
    technology: Annotated[
        str | None,
        typer.Option("--technology", metavar="NAME|PATH", help="Every step sees a fresh chip of this technology."),
    ] = None,
    errors: common.ErrorsOption = None,
    ramp: Annotated[
        Literal["linear", "constant"] | None,
        typer.Option("--ramp", help="Errors grow over the first half of the epochs (default), or stay."),
    ] = None,
    chips: Annotated[
        int | None, typer.Option("--chips", min=1, help="Chips that neurons are drawn from (default: 50).")
    ] = None,
    clip_sigma: Annotated[
        float | None,
        typer.Option("--clip-sigma", help="Largest weight in standard deviations; 0: not clipped (default: 1.7)."),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise",
            metavar="intrinsic|DENSITY",
            help="Training with a technology sees noise: that of the parts, or A/√Hz.",
        ),
    ] = None,
    ignore_levels: Annotated[
        bool, typer.Option("--ignore-levels", help="Training with a technology does not see the conductance levels.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the training images (default: 20; paper: 10).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Images per step (default: 32; paper: 50).")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="Adam's step size at the start (default: 3e-3; paper: 1e-2)."),
    ] = None,
    images: common.ImagesOption = None,
    stratified: common.StratifiedOption = False,
    data: common.DataOption = None,
    seed: common.SeedOption = 0,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Train n_in - hidden - n_classes, report its test accuracy, and save it."""
    from analog_fhn.datasets import check_alike
    from analog_fhn.inference import confusion, per_class
    from analog_fhn.network import Network

    start = time.perf_counter()
    own: Options = {
        "--activation": activation, "--bias": bias or None, "--tanh": tanh, "--recentre": recentre or None,
        "--gradient": gradient, "--gamma": gamma, "--a": a, "--eps": eps, "--slope": slope, "--settle": settle,
        "--control": control, "--window": window or None, "--start": begin, "--technology": technology,
        "--errors": errors, "--ramp": ramp, "--chips": chips, "--clip-sigma": clip_sigma,
        "--noise": noise, "--ignore-levels": ignore_levels or None,
    }  # fmt: skip
    trainer = _trainer(model, protocol, own)
    known = None if begin is None else Network.load(begin)
    sizes = _layers(hidden, model, protocol, known)
    own |= {"--start": known, "--activation": _activation(activation, known)}
    # A network may be trained on from itself.
    common.check_outputs({}, {"-o": output, "--json": json})
    common.writable(output)
    whole = common.load_holdout(dataset, "train", data)
    common.tell_missing(whole, whole.n_classes, "training")
    draw = seed if stratified else None
    training = common.choose_images(whole, "training", images, draw=draw, refuse=True)
    test = common.load_holdout(dataset, "test", data)
    check_alike(training, test)
    common.tell_missing(test, training.n_classes, "test")
    _check_work((training.images.shape[1], *sizes, training.n_classes), training, test, own, epochs, batch, yes=yes)
    for_all: Options = {"n_hidden": sizes[0] if len(sizes) == 1 else sizes, "seed": seed}
    for name, value in (("epochs", epochs), ("batch_size", batch), ("learning_rate", learning_rate)):
        if value is not None:
            for_all[name] = value
    with common.progress_bar("training") as bar:
        done = trainer(training, test, own, for_all, lambda epoch, total, _loss, _accuracy: bar(epoch, total))
    trained, predictions = done.trained, done.predictions
    network = trained.network(training.scale)
    network.save(output)
    accuracy = float((predictions == test.labels).mean())
    common.say(
        f"{done.what} {'-'.join(map(str, network.layer_sizes))} ({done.how}): {common.percent(accuracy)} of "
        f"{len(test.labels)} test images, {common.percent(trained.history['accuracy'][-1])} of the training images"
        + ("" if has_failed(output) else f"; saved as {output}"),
        json,
    )
    content = {
        "accuracy": accuracy,
        "n_images": len(test.labels),
        "held_out": None if test.held_out is None else test.held_out.tolist(),
        "per_digit": per_class(predictions, test.labels, network.layer_sizes[-1]),
        "confusion": confusion(predictions, test.labels, network.layer_sizes[-1]).tolist(),
        "history": trained.history,
        "settings": common.settings(network, None)
        | {"trained": trained.settings, "dataset": dataset, "model": model}
        | {"stratified": stratified},
    }
    common.write_json(json, "train", seed, start, content)


def _check_work(
    sizes: tuple[int, ...],
    training: Dataset,
    test: Dataset,
    own: Options,
    epochs: int | None,
    batch: int | None,
    *,
    yes: bool,
) -> None:
    """Refuse what is beyond the machine: the training, or judging the network in its own times."""
    from dataclasses import replace

    from analog_fhn.neuron import FHN, Protocol

    start = own["--start"]
    times = replace(Protocol() if start is None else start.protocol, **_given(own, "settle", "control"))
    eps = replace(FHN() if start is None else start.fhn, **_given(own, "eps")).eps
    chips = 0 if own["--technology"] is None else own["--chips"] or 50
    work = costs.together([
        costs.training(
            sizes, len(training.labels), epochs or 20, batch or 32, chips=chips,
            protocol=times if own["--window"] else None,
        ),
        costs.classification_by(sizes, times, eps, len(test.labels)),
    ])  # fmt: skip
    common.check_work(work, yes=yes)


@dataclass(frozen=True)
class _Done:
    """A trained network, its answers for the test images, and what people read about it."""

    trained: Trained
    predictions: NDArray[np.intp]
    what: str
    how: str


def _trainer(model: str, protocol: str | None, own: Options) -> Any:
    """Function that trains the model, once the options are known to be its own.

    Raises
    ------
    InputError
        For a model that there is not, or an option of another one.
    """
    name = f"--model {model}" + ("" if protocol is None else f" --protocol {protocol}")
    trainers = {"--model ann": _ann, "--model fhn": _fhn, "--model fhn --protocol paper": _paper}
    if name not in trainers:
        raise InputError(f"{name}: expected one of {', '.join(trainers)}")
    for option, value in own.items():
        if value is not None and option not in _OWN[name]:
            raise common.foreign(option, option if value is True else f"{option} {value}", name, _OWN)
    return trainers[name]


def _ann(training: Dataset, test: Dataset, own: Options, for_all: Options, progress: Progress) -> _Done:
    from analog_fhn.training.plain import train_plain

    activation: Literal["sigmoid", "tanh"] = own["--activation"]
    trained = train_plain(training, hidden=activation, bias=bool(own["--bias"]), progress=progress, **for_all)
    predictions = trained.network(training.scale).forward(test.images).argmax(axis=1)
    return _Done(trained, predictions, "plain network", activation)


def _activation(given: str | None, start: Network | None) -> str:
    """Hidden activation: the one given, which must be that of the network to begin with, if there is one."""
    if start is not None and given not in (None, start.hidden):
        raise InputError(f"--activation {given}: the network of --start was trained as {start.hidden}")
    return given or ("sigmoid" if start is None else start.hidden)


def _layers(hidden: str | None, model: str, protocol: str | None, start: Network | None) -> tuple[int, ...]:
    """Numbers of neurons of the hidden layers: those given, which must be those of the network to begin with, if any.

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
    if len(sizes) > 1 and (model != "fhn" or protocol is not None):
        raise InputError(f"--hidden {hidden}: several hidden layers are for --model fhn without --protocol")
    return sizes


def _given(own: Options, *names: str) -> Options:
    """Keyword arguments of the options of these names that were given."""
    return {name: own[f"--{name}"] for name in names if own[f"--{name}"] is not None}


def _fhn(training: Dataset, test: Dataset, own: Options, for_all: Options, progress: Progress) -> _Done:
    from dataclasses import replace

    from analog_fhn.inference import classify
    from analog_fhn.neuron import Protocol
    from analog_fhn.training.circuit import Hardware, Inside, train_fhn

    clip, start = own["--clip-sigma"], own["--start"]
    if clip is not None and not clip >= 0:
        raise InputError(f"--clip-sigma {clip:g}: expected a number above 0, or 0 for weights that are not clipped")
    if start is not None and not own["--bias"] and any(b is not None for b in start.biases):
        raise InputError("the network of --start has biases; expected --bias, to train them too")
    for option in ("--errors", "--ramp", "--chips", "--clip-sigma", "--noise", "--ignore-levels"):
        if own["--technology"] is None and own[option] is not None:
            given_as = option if own[option] is True else f"{option} {own[option]}"
            raise InputError(f"{given_as} needs a --technology whose chips training is to see")
    inside = Inside(hidden=own["--activation"], window=bool(own["--window"]), **_given(own, "gradient"))
    if start is not None:
        inside = replace(inside, fhn=start.fhn, protocol=start.protocol, recentre=start.recentre)
    inside = replace(
        inside,
        fhn=replace(inside.neuron, **_given(own, "gamma", "a", "eps", "slope")),
        protocol=replace(inside.protocol, **_given(own, "settle", "control")),
    )
    hardware = None
    if own["--technology"] is not None:
        made = common.load_technology(own["--technology"], errors=own["--errors"])
        common.warn_of_values(made)
        noise = own["--noise"] if own["--noise"] in (None, "intrinsic") else common.density(own["--noise"])
        hardware = Hardware(made, levels=not own["--ignore-levels"], noise=noise, **_given(own, "ramp", "chips"))
        if clip is not None:
            hardware = replace(hardware, clip_sigma=clip or None)
    trained = train_fhn(
        training,
        inside=inside,
        hardware=hardware,
        bias=bool(own["--bias"]),
        start=start,
        progress=progress,
        **for_all,
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


def _paper(training: Dataset, test: Dataset, own: Options, for_all: Options, progress: Progress) -> _Done:
    from dataclasses import replace

    from analog_fhn.inference import classify
    from analog_fhn.training.paper import JUDGED, NEURON, train_paper

    trained = train_paper(
        training,
        recentre=bool(own["--recentre"]),
        fhn=replace(NEURON, **_given(own, "gamma", "a", "eps", "slope")),
        protocol=replace(JUDGED, **_given(own, "settle", "control")),
        progress=progress,
        **_given(own, "tanh", "gradient"),
        **for_all,
    )
    network = trained.network(training.scale)
    predictions = classify(network, test.images).predictions
    how = f"gamma {network.fhn.gamma:g}, tanh at the {network.tanh}, {'recentred' if network.recentre else 'raw'}, vote"
    return _Done(trained, predictions, "FHN network", how)
