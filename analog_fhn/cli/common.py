"""What the commands share: options, data, progress, JSON."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed, is_stream, write_text
from analog_fhn._support.versions import versions as versions
from analog_fhn.errors import InputError, brief, printable

if TYPE_CHECKING:
    from analog_fhn._support.estimate import Work
    from analog_fhn.chip import Chip, ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.neuron import FloatArray
    from analog_fhn.noise import Noise
    from analog_fhn.technology.technology import Technology


_MOST_WARNINGS = 20


def _check_json(target: str | None) -> str | None:
    if target not in (None, "-"):
        writable(Path(str(target)))
    return target


JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE|-", help="Write the result as JSON; '-' is pure stdout.", callback=_check_json
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the MNIST files (else ANALOG_FHN_DATA, else cache)."),
]
DatasetOption = Annotated[
    str, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Data set, or your own .npz or .csv file.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
ImagesOption = Annotated[int | None, typer.Option("--images", min=1, help="Number of images (default: all).")]
StratifiedOption = Annotated[
    bool,
    typer.Option("--stratified", help="Draw the images so that each class has its share, instead of the first ones."),
]
ImagesSeedOption = Annotated[
    int | None, typer.Option("--images-seed", min=0, help="Seed of the draw of --stratified (default: 0).")
]
NetworkArgument = Annotated[Path, typer.Argument(metavar="NETWORK.npz", help="Network file.")]
SplitOption = Annotated[Literal["train", "test"], typer.Option("--split", help="Which images.")]
ReadoutOption = Annotated[
    Literal["vote", "mean"] | None, typer.Option("--readout", help="Override the network's readout.")
]
RawOption = Annotated[bool, typer.Option("--raw", help="Feed x itself to the output layer (the paper): no recentring.")]
GammaOption = Annotated[float | None, typer.Option("--gamma", help="Override gamma.")]
AOption = Annotated[float | None, typer.Option("--a", help="Override a.")]
EpsOption = Annotated[float | None, typer.Option("--eps", help="Override eps.")]
SlopeOption = Annotated[float | None, typer.Option("--slope", help="Override the slope of the tanh.")]
SettleOption = Annotated[float | None, typer.Option("--settle", help="Override the settling time (T).")]
ControlOption = Annotated[float | None, typer.Option("--control", help="Override the control window (T).")]
ProtocolOption = Annotated[
    Literal["paper"] | None, typer.Option("--protocol", help="paper: slope 1, raw, vote, settle 1000, control 1000.")
]
TechnologyOption = Annotated[
    str | None, typer.Option("--technology", metavar="NAME|PATH", help="Technology: a name (discrete) or a YAML file.")
]
ChipOption = Annotated[
    int | None, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed (default: the nominal chip).")
]
TrimOption = Annotated[
    Path | None,
    typer.Option(
        "--trim", metavar="FILE", help="The chip as `analog-fhn trim` left it (trim.npz); it names technology and seed."
    ),
]
TablesOption = Annotated[
    Path | None,
    typer.Option(
        "--tables",
        metavar="DIR",
        help="Where response tables are kept (default: the user's cache; those of direct are not kept).",
    ),
]
ErrorsOption = Annotated[
    str | None,
    typer.Option(
        "--errors",
        metavar="GROUP,...|none",
        help="Only these errors: resistor, capacitor, opamp, multiplier, tanh_pair, array (programming, faults, "
        "read_noise, drift, array_temperature, wires), amplifier (amplifier_offset, amplifier_gain), adc.",
    ),
]
TemperatureOption = Annotated[
    float | None, typer.Option("--temperature", metavar="KELVIN", help="Override the technology's temperature.")
]
SupplyOption = Annotated[
    float | None, typer.Option("--supply", metavar="FACTOR", help="Supplies relative to their nominal values.")
]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="intrinsic|DENSITY",
        help="White current noise at both summing nodes: that of the parts, or a density in A/sqrt(Hz).",
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Begin also what is expected to take more than this machine has, or a year.")
]
NoiseSeedOption = Annotated[
    int | None, typer.Option("--noise-seed", min=0, max=2**63 - 1, help="Seed of the noise (default: 0).")
]


def load_network(
    path: Path,
    *,
    protocol: str | None = None,
    readout: Literal["vote", "mean"] | None = None,
    raw: bool = False,
    gamma: float | None = None,
    a: float | None = None,
    eps: float | None = None,
    slope: float | None = None,
    settle: float | None = None,
    control: float | None = None,
    trim: Path | None = None,
) -> Network:
    """Network file with the options of the command line applied; a single option overrides the protocol.

    A trim file brings readout, recentring and protocol; of these only settling time and control window may be others,
    which are no part of the chip.
    """
    from analog_fhn.network import Network

    network = Network.load(path)
    if protocol == "paper":
        network = network.paper_protocol()
    network = network.with_options(
        gamma=gamma, slope=slope, a=a, eps=eps, readout=readout, recentre=False if raw else None,
        settle=settle, control=control,
    )  # fmt: skip
    return network if trim is None else _as_trimmed(network, trim, protocol, readout, raw, settle, control)


def _as_trimmed(
    network: Network,
    trim: Path,
    protocol: str | None,
    readout: str | None,
    raw: bool,
    settle: float | None,
    control: float | None,
) -> Network:
    """Network with the settings of a trim file, which the options must not contradict."""
    from analog_fhn.trim.state import as_trimmed

    made = as_trimmed(trim, network)
    paper = "--protocol paper" if protocol else None
    asked_readout = f"--readout {readout}" if readout else paper
    if asked_readout is not None and network.readout != made.readout:
        raise InputError(f"{asked_readout}: {trim} was made with the readout {made.readout!r}; leave the option out")
    asked_raw = "--raw" if raw else paper
    if asked_raw is not None and made.recentre:
        raise InputError(f"{asked_raw}: {trim} was made with recentred rows, without --raw; leave the option out")
    times = network.protocol if paper else None
    return made.with_options(
        settle=settle if settle is not None or times is None else times.settle,
        control=control if control is not None or times is None else times.control,
    )


def load_holdout(dataset: str, split: Literal["train", "test"], data: Path | None) -> Dataset:
    """Split of a data set that a command both trains on and judges; images that it holds out are told of."""
    from analog_fhn.data import load
    from analog_fhn.data.user_files import HOLDOUT

    loaded = load(dataset, split, data, holdout=True)
    if split == "test" and loaded.held_out is not None:
        note(
            f"{dataset} has no test images of its own: of each class every {HOLDOUT}th image, "
            f"{len(loaded.held_out)} in all, is held out for testing and not trained on"
        )
    return loaded


def seed_of_draw(stratified: bool, seed: int | None) -> int | None:
    """Seed that `--stratified` draws images with; None: they are not drawn."""
    if seed is not None and not stratified:
        raise InputError(f"--images-seed {seed}: no images are drawn without --stratified")
    return (seed or 0) if stratified else None


def choose_images(
    loaded: Dataset,
    split: str,
    images: int | None,
    *,
    option: str = "--images",
    draw: int | None = None,
    refuse: bool = False,
) -> Dataset:
    """As many of the images as `option` asks for; what their classes lack is said on standard error.

    Parameters
    ----------
    images
        None: all.
    option
        What asks for so many images.
    draw
        Seed that they are drawn with, each class in its share; None: the first ones.
    refuse
        Whether first images that do not hold the classes in their shares are refused, for a command whose result
        promises something of the others.
    """
    if draw is not None:
        loaded = loaded.stratified(draw)
    if images is None:
        return loaded
    if images > len(loaded.labels):
        raise InputError(f"{option} {images}: {loaded.source} has only {len(loaded.labels)} {split} images")
    chosen = loaded.head(images)
    remedy = "--stratified" if option.startswith("-") else "stratified: true"
    if chosen.unfair and refuse:
        raise InputError(
            f"{option} {images}: {chosen.unfair}; expected each class in its share ({remedy} draws it so), in "
            f"{loaded.source}"
        )
    tell_unfair(chosen, option, remedy)
    absent = [k for k in chosen.missing if k not in loaded.missing]
    could_be_of_all = images >= loaded.n_classes - len(loaded.missing)
    if absent and not chosen.unfair and (could_be_of_all or refuse):
        note(f"note: {option} {images}: no image is of class {_listed(absent)}")
    return chosen


def tell_unfair(chosen: Dataset, option: str, remedy: str = "--stratified") -> None:
    """Warn of first images that do not hold the classes in their shares."""
    if chosen.unfair:
        note(
            f"warning: {option} {len(chosen.labels)}: {chosen.unfair}, in {chosen.source}; {remedy} gives each class "
            "its share"
        )


def tell_missing(loaded: Dataset, n_classes: int, split: str) -> None:
    """Say which classes a whole split has no image of."""
    from analog_fhn.data.class_shares import missing_classes

    absent = missing_classes(loaded.labels, n_classes)
    if absent:
        classes = f"{_listed(absent)}, of the classes 0 to {n_classes - 1}"
        note(f"note: {loaded.source}: no {split} image is of class {classes}")


def _listed(classes: list[int]) -> str:
    shown = ", ".join(map(str, classes[:10]))
    return f"{shown} and {len(classes) - 10} more" if len(classes) > 10 else shown


def load_images(
    dataset: str,
    split: Literal["train", "test"],
    data: Path | None,
    images: int | None,
    network: Network,
    *,
    option: str = "--images",
    draw: int | None = None,
    refuse: bool = False,
    holdout: bool = False,
) -> Dataset:
    """Data set checked against the network: number of pixels, range of values, number of classes.

    Parameters
    ----------
    option, draw, refuse
        As for `choose_images`.
    holdout
        For a command that trains too: see `load_holdout`.
    """
    from analog_fhn.data import load
    from analog_fhn.inference import check_dataset

    loaded = load_holdout(dataset, split, data) if holdout else load(dataset, split, data)
    check_dataset(network, loaded)
    tell_missing(loaded, network.layer_sizes[-1], split)
    return choose_images(loaded, split, images, option=option, draw=draw, refuse=refuse)


def load_image(
    image: int, dataset: str | None, split: Literal["train", "test"], data: Path | None, network: Network
) -> FloatArray:
    """One image of a data set, shape (n_in,), by its number."""
    if dataset is None:
        raise InputError(f"--image {image} needs --dataset to take the image from")
    loaded = load_images(dataset, split, data, None, network)
    if image >= len(loaded.labels):
        raise InputError(f"--image {image}: {loaded.source} has images 0 to {len(loaded.labels) - 1}")
    chosen: FloatArray = loaded.images[image].astype(float)
    return chosen


def load_technology(
    name: str, *, errors: str | None = None, temperature: float | None = None, supply: float | None = None
) -> Technology:
    """Technology with the options of the command line applied."""
    from analog_fhn.technology.technology import Technology

    technology = Technology.load(name).under(temperature=temperature, supply=supply)
    if errors is None:
        return technology
    try:
        return technology.with_errors(error_groups(errors))
    except InputError as error:
        raise InputError(f"--errors {errors!r}: {error}, or none") from None


def error_groups(errors: str | None) -> list[str]:
    """Groups that `--errors` spreads: without the option all of them."""
    from analog_fhn.technology.technology import ERRORS

    if errors is None:
        return list(ERRORS)
    return [] if errors == "none" else list(dict.fromkeys(group.strip() for group in errors.split(",")))


def requested_chip(
    network: Network,
    technology: str | None,
    seed: int | None,
    backend: str,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
    trim: Path | None = None,
) -> ManufacturedChip | None:
    """Chip that the options ask for, as `make_chip`; None: they ask for ideal neurons and float weights.

    The spice backend needs components: without a technology it gets the nominal chip of `discrete`.
    """
    if trim is None and technology is None:
        for option, value in (("chip", seed), ("errors", errors), ("temperature", temperature), ("supply", supply)):
            if value is not None:
                raise InputError(
                    f"--{option} {value} needs a --technology to draw the chip from (for example --technology discrete)"
                )
        if backend != "spice":
            return None
        technology = "discrete"
    return make_chip(
        network, technology, seed, errors=errors, temperature=temperature, supply=supply, trim=trim
    )  # fmt: skip


def make_chip(
    network: Network,
    technology: str | None,
    seed: int | None,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
    trim: Path | None = None,
) -> ManufacturedChip:
    """Chip that the options ask for, of a technology (None: discrete) or of a trim file, which brings it.

    What `design` would warn of is said on standard error. A trim file brings technology and seed; those given must be
    the same.
    """
    from analog_fhn.design import Design

    if trim is not None:
        return trimmed_chip(network, trim, technology, seed, errors=errors, temperature=temperature, supply=supply)
    parts = load_technology(technology or "discrete", errors=errors, temperature=temperature, supply=supply)
    design = Design(network, parts)
    warn_of(design)
    return design.chip(seed)


def trimmed_chip(
    network: Network,
    trim: Path,
    technology: str | None,
    seed: int | None,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
) -> ManufacturedChip:
    """Chip of a trim file; technology and seed, where they are given, must be those that it was trimmed with."""
    from analog_fhn.design import Design
    from analog_fhn.trim.state import load_state, measured_from

    state, made = load_state(trim, network)
    measured = measured_from(trim)
    if measured is not None:
        note(
            f"warning: {trim} holds the codes of the chip measured in {measured}; here they are set on a "
            "nominal chip, whose accuracy is not that chip's"
        )
    if technology is not None and load_technology(technology) != made:
        raise InputError(
            f"--technology {technology}: {trim} was made with the technology {made.name!r} of other values; leave the "
            "option out, the file holds them"
        )
    if seed is not None and seed != state.seed:
        raise InputError(f"--chip {seed}: {trim} is the trim of chip {state.seed}")
    under = made.under(temperature=temperature, supply=supply)
    if errors is not None:
        under = under.with_errors(error_groups(errors))
    design = Design(network, under)
    warn_of(design)
    return state.chip(design)


def warn_of(*designs: Design) -> None:
    """Say on standard error what `design` would warn of, the same only once."""
    from analog_fhn.checks.design import check

    findings = (finding for design in designs for finding in check(design))
    _warn(f"{finding.severity}: {finding.message}" for finding in findings if finding.severity != "note")


def warn_of_values(technology: Technology) -> None:
    """Say on standard error which values of a technology are unusual, where no design is made of it."""
    _warn(f"warning: {one}" for one in technology.unusual())


def _warn(messages: Iterable[str]) -> None:
    every = list(dict.fromkeys(messages))
    for message in every[:_MOST_WARNINGS]:
        note(message)
    if len(every) > _MOST_WARNINGS:
        note(f"and {len(every) - _MOST_WARNINGS} more warnings")


def foreign(option: str, given: str, name: str, owners: Mapping[str, Sequence[str]]) -> InputError:
    """Error for an option of others than `name`, of those whose options are `owners`; `given` is it as it was given."""
    having = " and ".join(other for other, options in owners.items() if option in options)
    return InputError(f"{given} is an option of {having}; {name} has none of that name")


def numbers(option: str, text: str) -> list[float]:
    """Numbers of a comma-separated list, the value of an option."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r}: expected numbers separated by commas, such as 1,-1,-4") from None


def check_above_0(option: str, value: float | None, what: str = "a number") -> None:
    """Refuse a number that is given and not above 0, or not finite."""
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{option} {value:g}: expected {what} above 0")


def density(noise: str) -> float:
    """Density of white current noise (A/sqrt(Hz)), the value of `--noise`."""
    try:
        value = float(noise)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"--noise {noise}: expected 'intrinsic' or a density in A/sqrt(Hz), 1e-9 for instance")
    return value


def make_noise(chip: Chip | None, noise: str | None, seed: int | None) -> tuple[Noise, ...] | None:
    """Noise of each hidden layer that the options ask for."""
    from analog_fhn.noise import chip_noise

    if noise is None:
        if seed is not None:
            raise InputError(f"--noise-seed {seed}: there is no noise without --noise intrinsic or --noise DENSITY")
        return None
    if chip is None:
        raise InputError(f"--noise {noise}: noise in physical units needs a technology (--technology discrete)")
    return chip_noise(chip, 0 if seed is None else seed, None if noise == "intrinsic" else density(noise))


def settings(
    network: Network,
    chip: ManufacturedChip | None,
    *,
    errors: str | None = None,
    technology: Technology | None = None,
    trim: Path | None = None,
) -> dict[str, Any]:
    """Everything that decided a result, for JSON.

    Parameters
    ----------
    errors
        Value of `--errors`.
    technology
        Where there is no single chip; None: the chip's.
    trim
        File that the chip is the trim of: no errors but those that it was trimmed with are left.
    """
    if technology is None and chip is not None:
        technology = chip.technology
    return {
        "fhn": asdict(network.fhn),
        "protocol": asdict(network.protocol),
        "readout": network.readout,
        "recentre": network.recentre,
        "hidden": network.hidden,
        "tanh": network.tanh,
        "behind": network.behind,
        "layers": list(network.layer_sizes),
        "weights_sha256": network.sha256,
        "technology": None if technology is None else technology.name,
        "technology_values": None if technology is None else technology.model_dump(),
        "conditions": None if technology is None else technology.conditions.model_dump(),
        "errors": None if technology is None else _errors_left(errors, trim),
        "chip": chip.seed if chip is not None else None,
    }


def _errors_left(errors: str | None, trim: Path | None) -> list[str]:
    if trim is None:
        return error_groups(errors)
    from analog_fhn.technology.technology import SHORT
    from analog_fhn.trim.state import trim_notes

    before: list[str] = trim_notes(trim).get("errors", error_groups(None))
    if errors is None:
        return before
    # Both lists group by group: what the first one left exact stays so.
    one, other = (
        [g for group in groups for g in SHORT.get(group, (group,))] for groups in (before, error_groups(errors))
    )
    return [group for group in one if group in other]


def write_json(target: str | None, command: str, seed: int | None, start: float, content: dict[str, Any]) -> None:
    """Write the result object of a command; `start` is the perf_counter at its beginning."""
    if target is None:
        return
    head = {"command": command, "versions": versions(), "seed": seed, "seconds": time.perf_counter() - start}
    text = json.dumps(head | content, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(target, text)


def without_nan(value: Any) -> Any:
    """Content for JSON with None in place of numbers that do not exist."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def writable(path: Path) -> Path:
    """Path whose folder exists; an output that cannot be written is refused before the work begins."""
    try:
        stream = is_stream(path)
        there = os.path.lexists(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    if not stream:
        output_folder(path.parent)
    if path.is_dir() or (there and not path.is_symlink() and not os.access(path, os.W_OK)):
        raise InputError(f"{path}: cannot be written; expected a file name in a folder that may be written to")
    return path


def check_outputs(inputs: Mapping[Path, str], outputs: Mapping[str, Path | str | None]) -> None:
    """Refuse to write over an input, or one output over another.

    Parameters
    ----------
    inputs
        What each file that is read is, for the message.
    outputs
        File by option; None and "-" (standard output) are none.
    """
    taken = {path.resolve(): what for path, what in inputs.items()}
    for option, given in outputs.items():
        if given is None or str(given) == "-":
            continue
        path = Path(given).resolve()
        if path in taken:
            raise InputError(f"{option} {given}: is {taken[path]}; expected another file")
        taken[path] = f"the other output ({option})"


def output_folder(path: Path) -> Path:
    """Create an output folder, or say why it cannot be, or why nothing can be written there."""
    _existing_folder(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written to; expected a folder in which you may create files")
    return path


def _existing_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be used as a folder ({error.strerror})") from None
    return path


def check_work(work: Work, *, yes: bool) -> None:
    """Refuse work that is beyond the machine unless the user insists; say on standard error how long it takes.

    Raises
    ------
    InputError
        For more memory or disk than there is, or more than a year.
    """
    beyond = work.beyond()
    if beyond is not None and not yes:
        raise InputError(f"{beyond}; expected less, or --yes to insist")
    warning = beyond or work.lasting()
    if warning is not None:
        note(f"warning: {warning}")


def tables_folder(table: int | None, tables: Path | None, backend: str, *, option: str = "--table") -> Path | None:
    """Folder of the response tables: the one given, else the user's cache; `option` is what asks for a table.

    Tables of `direct` stay in memory unless a folder is given: they are made faster than they are found. So do those
    for which there is no cache: nobody asked for that folder.
    """
    from analog_fhn._support.resources import cache_folder

    if tables is not None:
        if table is None:
            raise InputError(f"--tables {tables}: there is no table to keep without {option} N")
        return _existing_folder(tables)  # tables in one that is read-only are used
    if table is None or backend == "direct":
        return None
    try:
        return _existing_folder(cache_folder("tables"))
    except InputError as error:
        note(f"{error}; the response table is not kept (--tables DIR)")
        return None


def written(paths: Iterable[Path]) -> list[Path]:
    """Those of the output files that could be written; what is said of the others comes at the end of the command."""
    return [path for path in paths if not has_failed(path)]


def say_written(paths: Iterable[Path], json_target: str | None) -> None:
    """Print which files were written, if any were."""
    if names := [str(path) for path in written(paths)]:
        say(f"written: {', '.join(names)}", json_target)


def say(message: str, json_target: str | None) -> None:
    """Print for people; with `--json -` standard output is JSON alone and people read standard error."""
    print(printable(message), file=sys.stderr if json_target == "-" else sys.stdout, flush=True)


def note(message: str) -> None:
    """Say on standard error what people should know beside the result."""
    print(f"analog-fhn: {brief(message)}", file=sys.stderr, flush=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Progress bar with remaining time on standard error, only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def percent(value: float) -> str:
    """Accuracy as people read it."""
    return f"{100 * value:.2f} %"
