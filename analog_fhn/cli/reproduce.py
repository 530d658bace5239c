"""`analog-fhn reproduce`: the paper's figures and tables, beside what this package computes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support import estimate
from analog_fhn._support.files import at_once, has_failed
from analog_fhn.cli import console, costs, inputs, option_values, outputs, parameters
from analog_fhn.cli.groups import NeuronOptions
from analog_fhn.cli.options import options_set, takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn._support.estimate import Work
    from analog_fhn.data import Dataset
    from analog_fhn.network import Network
    from analog_fhn.papers.kuptsov2025 import StudyOptions

    Sets = tuple[Dataset, Dataset]

_SECTION4_FILE = "section4.npz"
_SECTION4 = ("figure6", "table2")
_TRAINED = ("--tanh", "--recentre", "--epochs", "--gamma", "--a", "--eps", "--slope")  # what section 4 trains with
_SIMULATED = ("--network", "--dataset", "--data", "--images", "--a", "--eps", "--slope", "--settle", "--control")

# Options that each figure or table has; whatever else is given is refused by name.
_OPTIONS = {
    "figure2": ("--a", "--eps"),
    "figure3": (*_SIMULATED, "--split", "--stratified", "--gamma"),
    "figure4": (*_SIMULATED, "--split", "--stratified", "--gammas", "--name"),
    "table1": (*_SIMULATED, "--stratified", "--curve"),
    "table1-population": (*_SIMULATED[1:], "--stratified", "--gammas", "--seeds"),
    "figure6": (*_SIMULATED, *_TRAINED),
    "table2": (*_SIMULATED, *_TRAINED),
    "reconstruction": ("--neuron", "--seeds", "--duration", "--steps"),
}


@dataclass(frozen=True)
class FigureImages:
    """The network, and the images that it sees."""

    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Default: trained on the spot, and saved.")
    ] = None
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Data set (default: mnist).")
    ] = None
    split: Annotated[
        Literal["train", "test"] | None, typer.Option("--split", help="figure3, figure4: which images (default: test).")
    ] = None
    images: parameters.ImagesOption = None
    stratified: parameters.StratifiedOption = False


@dataclass(frozen=True)
class CurveOptions:
    """Accuracy against gamma: the values, and where the curve is kept."""

    gammas: Annotated[
        str | None, typer.Option("--gammas", help="Comma-separated list for figure4 and table1-population.")
    ] = None
    curve: Annotated[
        Path | None, typer.Option("--curve", metavar="figure4.csv", help="For table1: default OUTPUT/figure4.csv.")
    ] = None
    name: Annotated[str | None, typer.Option("--name", help="File name of figure4's output (default: figure4).")] = None


@dataclass(frozen=True)
class TrainingOptions:
    """How section 4 trains its network."""

    tanh: Annotated[
        Literal["drive", "input"] | None,
        typer.Option("--tanh", help="figure6, table2: where the tanh acts (default: drive)."),
    ] = None
    recentre: Annotated[
        bool, typer.Option("--recentre", help="figure6, table2: recentred rows in place of x itself.")
    ] = False
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="figure6, table2: passes over the images (default: 10).")
    ] = None


@dataclass(frozen=True)
class ReconstructionOptions:
    """What is recorded of which neuron, and how often it is rebuilt."""

    neuron_kind: Annotated[
        Literal["modified", "original", "both"] | None,
        typer.Option("--neuron", help="reconstruction: of Sherman and Rinzel (default: both)."),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            help="reconstruction: autoencoders and maps (default: 10); table1-population: networks of each training "
            "(default: 20).",
        ),
    ] = None
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="SECONDS", help="reconstruction: recording (default: 500).")
    ] = None
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="reconstruction: training steps of an autoencoder.")
    ] = None

    def study(self, seed: int) -> StudyOptions:
        """The study that the options ask for."""
        from analog_fhn.papers.kuptsov2025 import StudyOptions
        from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
        from analog_fhn.reconstruct.pipeline import FitOptions

        options = FitOptions(latent=3, seed=seed)
        if self.steps is not None:
            options = replace(options, autoencoder=AutoencoderOptions(steps=self.steps), scan_steps=self.steps)
        study = StudyOptions(options=options, **values_set(self, "duration"))
        return study if self.seeds is None else replace(study, seeds=self.seeds, record_seeds=min(self.seeds, 3))


@dataclass(frozen=True)
class FigureOptions:
    """Options of which each figure or table has some (see `_OPTIONS`)."""

    source: FigureImages
    curve: CurveOptions
    training: TrainingOptions
    reconstruction: ReconstructionOptions
    neuron: NeuronOptions
    data: parameters.DataOption = None

    def check(self, what: str) -> None:
        """Refuse an option that this figure or table does not have, or does not have together with a network."""
        for option in options_set(self):
            if option not in _OPTIONS[what]:
                raise option_values.foreign(option, option, what, _OPTIONS)
            if what in _SECTION4 and option in _TRAINED and self.source.network is not None:
                raise InputError(f"{option} is what {what} trains a network with; --network names one that is trained")

    @property
    def dataset(self) -> str:
        """Name or file of the data set."""
        return self.source.dataset or "mnist"

    def images_of(
        self, network: Network, split: Literal["train", "test"], images: int | None = None, draw: int | None = None
    ) -> Dataset:
        """Images of a split that fit the network; `images` and `draw` as for `inputs.choose_images`."""
        return inputs.load_images(self.dataset, split, self.data, images, network, draw=draw, holdout=True)


@dataclass(frozen=True)
class _Run:
    """Where a figure is written and what decides it, apart from its options."""

    folder: Path
    seed: int
    yes: bool
    json: str | None

    def say(self, message: str) -> None:
        console.say(message, self.json)

    def remark(self, message: str) -> None:
        console.remark(message, self.json)

    def check(self, work: Work) -> None:
        costs.check_work(work, yes=self.yes)


@takes_option_groups
def reproduce(
    what: Annotated[
        Literal["figure2", "figure3", "figure4", "table1", "table1-population", "figure6", "table2", "reconstruction"],
        typer.Argument(
            help="What to make again; table1-population trains many networks in three ways, figure6 and table2 train "
            "with FHN neurons inside, reconstruction rebuilds a bursting neuron from its recorded voltage."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for CSV and pictures.")],
    *,
    options: FigureOptions,
    seed: parameters.SeedOption = 0,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Reproduce a figure or table of the paper, with the paper's protocol unless an option says otherwise."""
    from analog_fhn.neuron import FHN
    from analog_fhn.papers import bogatenko2023 as paper

    start = time.perf_counter()
    options.check(what)
    run = _Run(outputs.output_folder(output), seed, yes, json)
    content: dict[str, Any] = {}
    if what == "figure2":
        paths = paper.figure2(run.folder, options.neuron.fhn(FHN()))
    elif what == "reconstruction":
        paths, content = _reconstruction(options.reconstruction, run)
    elif what == "table1-population":
        paths, content = _population(options, run)
    elif what in _SECTION4:
        paths, content = _section4(what, options, run)
    else:
        paths, content = _with_network(what, options, run)
    outputs.say_written(paths, json)
    files = [str(path) for path in outputs.written(paths)]
    outputs.write_json(json, f"reproduce {what}", seed, start, content | {"files": files})


def _with_network(what: str, options: FigureOptions, run: _Run) -> tuple[list[Path], dict[str, Any]]:
    """Figure 3, figure 4 or table 1, of a network that was trained without neurons."""
    from analog_fhn.papers import bogatenko2023 as paper

    source, curve = options.source, options.curve
    name, split = "figure4" if curve.name is None else curve.name, source.split or "test"
    if Path(name).name != name or not name:
        raise InputError(f"--name {name!r}: expected a file name without folders")
    path = source.network or _trained(run, options.dataset, options.data)
    network = inputs.load_network(path, protocol="paper", **asdict(options.neuron))
    images = options.images_of(network, split, source.images, run.seed if source.stratified else None)
    gammas = paper.GAMMAS if curve.gammas is None else option_values.numbers("--gammas", curve.gammas)
    work = costs.classification(network, len(images.labels))
    run.check(costs.repeated(work, len(gammas) if what == "figure4" else 5, "gammas"))
    content: dict[str, Any] = {}
    with console.progress_bar(what) as bar:
        if what == "figure3":
            paths = paper.figure3(run.folder, network, images)
        elif what == "figure4":
            paths = paper.figure4(run.folder, network, images, gammas, name, bar)
        else:
            known = paper.read_curve(curve.curve or run.folder / "figure4.csv")
            training = options.images_of(network, "train")
            paths, agreement = paper.table1(run.folder, network, training, images, known, bar)
            content["agreement"] = agreement
            for key, column in agreement.items():
                run.say(
                    f"{key:11} gamma {column['gamma']:7.3f}: {column['accuracy']:5.1f} % (paper "
                    f"{column['published']:.1f} %), per digit r = {paper.correlation_text(column['correlation'])}, "
                    f"rms difference {column['rms_difference']:.1f} points"
                )
    settings = {"dataset": options.dataset, "split": split, "stratified": source.stratified}
    return paths, content | {"settings": outputs.settings(network, None) | settings}


def _population(options: FigureOptions, run: _Run) -> tuple[list[Path], dict[str, Any]]:
    """Table 1 over networks of three trainings, which the folder keeps."""
    from analog_fhn import plots
    from analog_fhn.papers import bogatenko2023 as paper
    from analog_fhn.papers import pictures, recipes
    from analog_fhn.papers import population as many

    source, neuron = options.source, options.neuron
    train, test = (inputs.load_holdout(options.dataset, split, options.data) for split in ("train", "test"))
    paper.check_digits("table 1", train.source, train.n_classes)
    test = inputs.choose_images(test, "test", source.images, draw=run.seed if source.stratified else None)
    a = many.A if neuron.a is None else (neuron.a,)
    listed = options.curve.gammas
    gammas = many.GAMMAS if listed is None else option_values.numbers("--gammas", listed)
    number = many.SEEDS if options.reconstruction.seeds is None else options.reconstruction.seeds
    fhn, protocol = neuron.fhn(many.NEURON), neuron.protocol(many.PROTOCOL)
    sizes = train.images.shape[1], recipes.HIDDEN, train.n_classes
    folder, seeds = run.folder / "networks", range(run.seed, run.seed + number)
    there = recipes.kept(folder, train, recipes.RECIPES, seeds)
    works = [
        costs.repeated(costs.training(sizes, len(train.labels), one.epochs, recipes.BATCH), missing, "seeds")
        for one in recipes.RECIPES
        if (missing := number - sum(name == one.name for name, _ in there))
    ]
    one = costs.classification_by((1, 1, train.n_classes), protocol, fhn.eps, many.DRIVES, samples=True)
    run.check(costs.together([*works, costs.repeated(one, len(a) * len(gammas), "pairs of a and gamma")]))
    with console.progress_bar("training") as bar:
        networks = recipes.trained(outputs.output_folder(folder), train, recipes.RECIPES, seeds, there, bar)
    with console.progress_bar("table1-population") as bar:
        people = many.judge(networks, test, fhn, protocol, a=a, gammas=gammas, progress=bar)
    title = f"Table 1 over {len(networks)} networks of three trainings, {len(test.labels)} test images"
    paths = [
        people.write(run.folder / "table1_population.csv"),
        plots.save(pictures.population(people, title), run.folder / "table1_population.png"),
    ]
    summary = people.summary()
    for line in many.told(summary):
        run.say(line)
    settings = {"dataset": options.dataset, "n_images": len(test.labels), "stratified": source.stratified}
    settings |= {"a": list(a), "gammas": list(gammas), "eps": fhn.eps, "slope": fhn.slope, **asdict(protocol)}
    return paths, {"settings": settings, "population": summary}


def _trained(run: _Run, dataset: str, data: Path | None) -> Path:
    """File of the plain network with default settings, which is trained unless the folder has one."""
    from analog_fhn.training.plain import train_plain

    path = run.folder / "network.npz"
    if not path.exists():
        training = inputs.load_holdout(dataset, "train", data)
        with at_once(), console.progress_bar("training") as bar:  # it is read below
            trained = train_plain(
                training, seed=run.seed, progress=lambda epoch, total, _loss, _accuracy: bar(epoch, total)
            )
            trained.network(training.scale).save(path)
        run.remark(f"trained a network: {path}")
    return path


def _section4(what: str, options: FigureOptions, run: _Run) -> tuple[list[Path], dict[str, Any]]:
    """Figure 6 or table 2, of the network of the options or one that is trained for both and kept in the folder."""
    from analog_fhn.papers import bogatenko2023 as paper

    images = 10_000 if options.source.images is None else options.source.images
    load = _section4_trained if options.source.network is None else _section4_loaded
    network, full, sets = load(what, options, images, run)
    network = network.with_options(**values_set(options.neuron, "settle", "control"))
    run.check(costs.classification(network, sum(len(part.labels) for part in full)))
    how = f"tanh at the {network.tanh}, {'recentred' if network.recentre else 'raw x'}, gamma = {network.fhn.gamma:g}"
    settings = outputs.settings(network, None) | {"dataset": options.dataset, "images": images}
    content: dict[str, Any] = {"settings": settings}
    if what == "figure6":
        history = network.provenance.get("history", {})
        if "val_loss" not in history:
            source = options.source.network or run.folder / _SECTION4_FILE
            raise InputError(f"{source}: keeps no history of its training; expected a network of 'reproduce figure6'")
        paths = paper.figure6(run.folder, history, f"Training with FHN neurons inside\n({how})")
        return paths, content | {"history": history}
    columns = dict(zip(("train_10000", "test_1000", "train_60000", "test_10000"), (*sets, *full), strict=True))
    title = f"Table 2: after training with FHN neurons ({how})"
    with console.progress_bar("table2") as bar:
        paths, averages = paper.table2(run.folder, network, columns, title, bar)
    for name, row in averages.items():
        run.say(f"{name:11} {row['n_images']:6.0f} images: {row['accuracy']:5.1f} % (paper {row['published']:.1f} %)")
    return paths, content | {"accuracies": averages}


def _section4_loaded(what: str, options: FigureOptions, images: int, run: _Run) -> tuple[Network, Sets, Sets]:
    """Network of a file, the whole data set (training and test images), and the images of section 4."""
    from analog_fhn.network import Network
    from analog_fhn.papers import bogatenko2023 as paper

    path = options.source.network
    assert path is not None
    network = Network.load(path)
    if what == "table2" and network.behind != "sigmoid":
        raise InputError(
            f"{path}: {network.stages_text}; expected a network with sigmoid units behind the neurons, as 'train "
            "--model fhn --protocol paper' makes"
        )
    full = options.images_of(network, "train"), options.images_of(network, "test")
    return network, full, paper.truncated(*full, images, run.seed)


def _section4_trained(what: str, options: FigureOptions, images: int, run: _Run) -> tuple[Network, Sets, Sets]:
    """As `_section4_loaded`, of a network that is trained unless the folder has one of the same settings."""
    from analog_fhn.papers import bogatenko2023 as paper

    load = inputs.load_holdout
    full = load(options.dataset, "train", options.data), load(options.dataset, "test", options.data)
    if what == "table2":  # before a network is trained in vain
        paper.check_digits("table 2", full[0].source, full[0].n_classes)
    sets = paper.truncated(*full, images, run.seed)
    sizes = sets[0].images.shape[1], 100, sets[0].n_classes
    training = options.training
    run.check(costs.training(sizes, len(sets[0].labels), training.epochs or 10, 50))
    neuron = {name: getattr(options.neuron, name) for name in ("gamma", "a", "eps", "slope")}
    settings = {"tanh": training.tanh, "recentre": training.recentre or None, "epochs": training.epochs, **neuron}
    settings |= {
        "seed": run.seed,
        "n_images": images,
        "dataset": sets[0].name,
        "images_sha256": paper.images_hash(*sets),
    }
    return _section4_network(options, sets, settings, run), full, sets


def _section4_network(options: FigureOptions, sets: Sets, settings: dict[str, Any], run: _Run) -> Network:
    """Network trained with these settings, with the history of its training: the one in the folder if it is that."""
    from analog_fhn.network import Network
    from analog_fhn.training.paper import NEURON, train_paper

    path = run.folder / _SECTION4_FILE
    if path.exists():
        earlier = Network.load(path)
        if earlier.provenance.get("asked") == settings:
            return earlier
    train, test = sets
    with console.progress_bar("training") as bar:
        trained = train_paper(
            train, fhn=options.neuron.fhn(NEURON), validation=test, seed=run.seed,
            recentre=options.training.recentre, **values_set(options.training, "tanh", "epochs"),
            progress=lambda epoch, total, _loss, _accuracy: bar(epoch, total),
        )  # fmt: skip
    network = trained.network(train.scale)
    network = replace(network, provenance=network.provenance | {"asked": settings, "history": trained.history})
    network.save(path)
    if not has_failed(path):
        run.remark(f"trained a network with FHN neurons inside: {path}")
    return network


def _reconstruction(options: ReconstructionOptions, run: _Run) -> tuple[list[Path], dict[str, Any]]:
    """Reference 2 for one bursting neuron or both, each in a folder of its own."""
    from analog_fhn.papers.kuptsov2025 import KINDS, reproduce

    study = options.study(run.seed)
    samples = estimate.product(study.duration, 100)  # at 0.01 s
    work = costs.reconstruction(study.options, samples)
    run.check(costs.repeated(work, study.seeds, f"duration {study.duration:g}, seeds"))
    paths: list[Path] = []
    content: dict[str, Any] = {}
    for name in KINDS:
        if options.neuron_kind in (name, "both", None):
            with console.working(name):
                files, content[name] = reproduce(outputs.output_folder(run.folder / name), name, study, run.say)
            paths += files
            run.say(f"{name}: {content[name]['successes']} of {study.seeds} seeds")
    return paths, outputs.without_nan(content)
