"""`analog-fhn reproduce`: the paper's figures and tables, beside what this package computes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support import estimate
from analog_fhn._support.files import at_once, has_failed
from analog_fhn.cli import common, costs
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.datasets import Dataset
    from analog_fhn.network import Network

_SECTION4 = ("figure6", "table2")
_TRAINED = ("--tanh", "--recentre", "--epochs", "--gamma", "--a", "--eps", "--slope")  # what section 4 trains with
_SIMULATED = ("--network", "--dataset", "--data", "--images", "--a", "--eps", "--slope", "--settle", "--control")

# Options that each figure or table has; whatever else is given is refused by name.
_OWN = {
    "figure2": ("--a", "--eps"),
    "figure3": (*_SIMULATED, "--split", "--stratified", "--gamma"),
    "figure4": (*_SIMULATED, "--split", "--stratified", "--gammas", "--name"),
    "table1": (*_SIMULATED, "--stratified", "--curve"),
    "figure6": (*_SIMULATED, *_TRAINED),
    "table2": (*_SIMULATED, *_TRAINED),
    "reconstruction": ("--neuron", "--seeds", "--duration", "--steps"),
}


def reproduce(
    what: Annotated[
        Literal["figure2", "figure3", "figure4", "table1", "figure6", "table2", "reconstruction"],
        typer.Argument(
            help="What to make again; figure6 and table2 train with FHN neurons inside, reconstruction rebuilds a "
            "bursting neuron from its recorded voltage."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for CSV and pictures.")],
    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Default: trained on the spot, and saved.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Data set (default: mnist).")
    ] = None,
    split: Annotated[
        Literal["train", "test"] | None, typer.Option("--split", help="figure3, figure4: which images (default: test).")
    ] = None,
    images: common.ImagesOption = None,
    stratified: common.StratifiedOption = False,
    gammas: Annotated[str | None, typer.Option("--gammas", help="Comma-separated list for figure4.")] = None,
    curve: Annotated[
        Path | None, typer.Option("--curve", metavar="figure4.csv", help="For table1: default OUTPUT/figure4.csv.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="File name of figure4's output (default: figure4).")
    ] = None,
    tanh: Annotated[
        Literal["drive", "input"] | None,
        typer.Option("--tanh", help="figure6, table2: where the tanh acts (default: drive)."),
    ] = None,
    recentre: Annotated[
        bool, typer.Option("--recentre", help="figure6, table2: recentred rows in place of x itself.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="figure6, table2: passes over the images (default: 10).")
    ] = None,
    neuron_kind: Annotated[
        Literal["modified", "original", "both"] | None,
        typer.Option("--neuron", help="reconstruction: of Sherman and Rinzel (default: both)."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="reconstruction: autoencoders and maps (default: 10).")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="SECONDS", help="reconstruction: recording (default: 500).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="reconstruction: training steps of an autoencoder.")
    ] = None,
    gamma: common.GammaOption = None,
    a: common.AOption = None,
    eps: common.EpsOption = None,
    slope: common.SlopeOption = None,
    settle: common.SettleOption = None,
    control: common.ControlOption = None,
    data: common.DataOption = None,
    seed: common.SeedOption = 0,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Make a figure or table of the paper again, with the paper's protocol unless an option says otherwise."""
    from analog_fhn.neuron import FHN
    from analog_fhn.papers import bogatenko2023 as paper

    start = time.perf_counter()
    _check_options(
        what,
        {
            "--network": network, "--dataset": dataset, "--data": data, "--split": split, "--images": images,
            "--stratified": stratified or None,
            "--gammas": gammas, "--curve": curve, "--name": name, "--tanh": tanh, "--recentre": recentre or None,
            "--epochs": epochs, "--gamma": gamma, "--a": a, "--eps": eps, "--slope": slope, "--settle": settle,
            "--control": control, "--neuron": neuron_kind, "--seeds": seeds, "--duration": duration, "--steps": steps,
        },
    )  # fmt: skip
    dataset, split, name = dataset or "mnist", split or "test", "figure4" if name is None else name
    training = {"tanh": tanh, "recentre": recentre or None, "epochs": epochs}
    folder = common.output_folder(output)
    content: dict[str, Any] = {}
    if what == "figure2":
        fhn = FHN(**{k: v for k, v in {"a": a, "eps": eps}.items() if v is not None})
        paths = paper.figure2(folder, fhn)
    elif what == "reconstruction":
        paths, content = _reconstruction(folder, neuron_kind or "both", seeds, duration, steps, seed, json, yes=yes)
    elif what in _SECTION4:
        neuron = {"gamma": gamma, "a": a, "eps": eps, "slope": slope}
        watched = {"settle": settle, "control": control}
        paths, content = _section4(
            what, folder, network, dataset, data, 10_000 if images is None else images, seed, training, neuron, watched,
            json, yes=yes,
        )  # fmt: skip
    else:
        if Path(name).name != name or not name:
            raise InputError(f"--name {name!r}: expected a file name without folders")
        source = network or _trained(folder / "network.npz", dataset, data, seed, json)
        net = common.load_network(
            source, protocol="paper", gamma=gamma, a=a, eps=eps, slope=slope, settle=settle, control=control
        )
        draw = seed if stratified else None
        chosen = common.load_images(dataset, split, data, images, net, draw=draw, holdout=True)
        values = paper.GAMMAS if gammas is None else common.numbers("--gammas", gammas)
        work = costs.classification(net, len(chosen.labels))
        common.check_work(costs.repeated(work, len(values) if what == "figure4" else 5, "gammas"), yes=yes)
        with common.progress_bar(what) as bar:
            if what == "figure3":
                paths = paper.figure3(folder, net, chosen)
            elif what == "figure4":
                paths = paper.figure4(folder, net, chosen, values, name, bar)
            else:
                known = paper.read_curve(curve or folder / "figure4.csv")
                train = common.load_images(dataset, "train", data, None, net, holdout=True)
                paths, agreement = paper.table1(folder, net, train, chosen, known, bar)
                content["agreement"] = agreement
                for key, found in agreement.items():
                    correlation = paper.correlation_text(found["correlation"])
                    common.say(
                        f"{key:11} gamma {found['gamma']:7.3f}: {found['accuracy']:5.1f} % (paper "
                        f"{found['published']:.1f} %), per digit r = {correlation}, "
                        f"rms difference {found['rms_difference']:.1f} points",
                        json,
                    )
        content["settings"] = common.settings(net, None) | {
            "dataset": dataset, "split": split, "stratified": stratified,
        }  # fmt: skip
    common.say_written(paths, json)
    files = [str(path) for path in common.written(paths)]
    common.write_json(json, f"reproduce {what}", seed, start, content | {"files": files})


def _check_options(what: str, given: dict[str, Any]) -> None:
    """Raise InputError for an option that this figure or table does not have, or not together with a network."""
    for option, value in given.items():
        if value is None:
            continue
        if option not in _OWN[what]:
            raise common.foreign(option, option, what, _OWN)
        if what in _SECTION4 and option in _TRAINED and given["--network"] is not None:
            raise InputError(f"{option} is what {what} trains a network with; --network names one that is trained")


def _trained(path: Path, dataset: str, data: Path | None, seed: int, json: str | None) -> Path:
    """Train the plain network with default settings, once."""
    from analog_fhn.training.plain import train_plain

    if not path.exists():
        training = common.load_holdout(dataset, "train", data)
        with at_once():  # it is read below
            train_plain(training, seed=seed).network(training.scale).save(path)
        common.say(f"trained a network: {path}", json)
    return path


def _section4(
    what: str,
    folder: Path,
    network: Path | None,
    dataset: str,
    data: Path | None,
    images: int,
    seed: int,
    training: dict[str, Any],
    neuron: dict[str, float | None],
    watched: dict[str, float | None],
    json: str | None,
    *,
    yes: bool,
) -> tuple[list[Path], dict[str, Any]]:
    """Figure 6 or table 2, from the given network or one trained for both and kept in the folder."""
    from analog_fhn.network import Network
    from analog_fhn.papers import bogatenko2023 as paper

    source = folder / "section4.npz" if network is None else network
    if network is None:
        full = common.load_holdout(dataset, "train", data), common.load_holdout(dataset, "test", data)
        if what == "table2":  # before a network is trained in vain
            paper.check_digits("table 2", full[0].source, full[0].n_classes)
        sets = paper.truncated(*full, images, seed)
        sizes = sets[0].images.shape[1], 100, sets[0].n_classes
        common.check_work(costs.training(sizes, len(sets[0].labels), training["epochs"] or 10, 50), yes=yes)
        asked = {**training, **neuron, "seed": seed, "n_images": images, "dataset": sets[0].name}
        net = _section4_network(source, sets, asked | {"images_sha256": paper.images_hash(*sets)}, neuron, json)
    else:
        net = Network.load(network)
        if what == "table2" and net.behind != "sigmoid":
            raise InputError(
                f"{network}: {net.stages_text}; expected a network with sigmoid units behind the neurons, as 'train "
                "--model fhn --protocol paper' makes"
            )
        full = (
            common.load_images(dataset, "train", data, None, net, holdout=True),
            common.load_images(dataset, "test", data, None, net, holdout=True),
        )
        sets = paper.truncated(*full, images, seed)
    net = net.with_options(**watched)  # type: ignore[arg-type]
    common.check_work(costs.classification(net, sum(len(part.labels) for part in full)), yes=yes)
    how = f"tanh at the {net.tanh}, {'recentred' if net.recentre else 'raw x'}, gamma = {net.fhn.gamma:g}"
    content: dict[str, Any] = {"settings": common.settings(net, None) | {"dataset": dataset, "images": images}}
    if what == "figure6":
        history = net.provenance.get("history", {})
        if "val_loss" not in history:
            raise InputError(f"{source}: keeps no history of its training; expected a network of 'reproduce figure6'")
        paths = paper.figure6(folder, history, f"Training with FHN neurons inside\n({how})")
        return paths, content | {"history": history}
    columns = dict(zip(("train_10000", "test_1000", "train_60000", "test_10000"), (*sets, *full), strict=True))
    with common.progress_bar("table2") as bar:
        paths, averages = paper.table2(folder, net, columns, f"Table 2: after training with FHN neurons ({how})", bar)
    for name, found in averages.items():
        common.say(
            f"{name:11} {found['n_images']:6.0f} images: {found['accuracy']:5.1f} % (paper {found['published']:.1f} %)",
            json,
        )
    return paths, content | {"accuracies": averages}


def _section4_network(
    path: Path, sets: tuple[Dataset, Dataset], asked: dict[str, Any], neuron: dict[str, float | None], json: str | None
) -> Network:
    """Network trained as asked, with the history of its training: the kept one if it is that."""
    from dataclasses import replace

    from analog_fhn.network import Network
    from analog_fhn.training.paper import NEURON, train_paper

    if path.exists():
        kept = Network.load(path)
        if kept.provenance.get("asked") == asked:
            return kept
    train, test = sets
    options = {name: asked[name] for name in ("tanh", "recentre", "epochs") if asked[name] is not None}
    fhn = replace(NEURON, **{name: value for name, value in neuron.items() if value is not None})
    with common.progress_bar("training") as bar:
        trained = train_paper(
            train, fhn=fhn, validation=test, seed=asked["seed"],
            progress=lambda epoch, total, _loss, _accuracy: bar(epoch, total), **options,
        )  # fmt: skip
    net = trained.network(train.scale)
    net = replace(net, provenance=net.provenance | {"asked": asked, "history": trained.history})
    net.save(path)
    if not has_failed(path):
        common.say(f"trained a network with FHN neurons inside: {path}", json)
    return net


def _reconstruction(
    folder: Path,
    kind: str,
    seeds: int | None,
    duration: float | None,
    steps: int | None,
    seed: int,
    json: str | None,
    *,
    yes: bool,
) -> tuple[list[Path], dict[str, Any]]:
    """Reference 2 for one bursting neuron or both, each in a folder of its own."""
    from analog_fhn.papers.kuptsov2025 import KINDS, Study, reproduce
    from analog_fhn.reconstruct.fit import FitOptions
    from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions

    training = {} if steps is None else {"autoencoder": AutoencoderOptions(steps=steps), "scan_steps": steps}
    given = {"seeds": seeds, "duration": duration, "record_seeds": None if seeds is None else min(seeds, 3)}
    study = Study(
        options=FitOptions(latent=3, seed=seed, **training),  # type: ignore[arg-type]
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    samples = estimate.product(study.duration, 100)  # at 0.01 s
    work = costs.reconstruction(study.options, samples)
    common.check_work(costs.repeated(work, study.seeds, f"duration {study.duration:g}, seeds"), yes=yes)
    paths: list[Path] = []
    content: dict[str, Any] = {}
    for name in KINDS:
        if kind in (name, "both"):
            found, content[name] = reproduce(
                common.output_folder(folder / name), name, study, lambda line: common.say(line, json)
            )
            paths += found
            common.say(f"{name}: {content[name]['successes']} of {study.seeds} seeds", json)
    return paths, common.without_nan(content)
