"""`analog-fhn trim`: one chip measured, trimmed, its readout retrained, its arrays written again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import new_table, write_records, write_text
from analog_fhn._support.interrupts import keeping
from analog_fhn._support.versions import versions
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters
from analog_fhn.cli.options import as_written
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.trim.bench import SimulatedBench
    from analog_fhn.trim.codes import ResponseLines, TrimCodes
    from analog_fhn.trim.finetune import LabelledImages
    from analog_fhn.trim.recorded import Recorded, RecordedReadout
    from analog_fhn.trim.repair import Repair, RepairOptions, RepairStep, StepName
    from analog_fhn.trim.state import TrimState


FILES = ("steps.csv", "summary.json", "codes.csv", "trim.npz", "accuracy.png")
_FROM_FILE = ("codes.csv", "trim.npz", "summary.json")


def trim(
    network: parameters.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    technology: parameters.NeededTechnologyOption = "discrete",
    chip: parameters.ChipOption = None,
    measurements: Annotated[
        Path | None,
        typer.Option(
            "--measurements",
            metavar="FILE",
            help="Instead of --chip: responses of a real chip, .csv (neuron,drive,response; of several hidden "
            "layers layer too) or .npz (drives, responses, and if measured hidden, labels, scores).",
        ),
    ] = None,
    unit: Annotated[
        Literal["x", "volts"] | None,
        typer.Option("--unit", help="Unit of the responses in --measurements (default: x)."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Images to show the chip.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option("--steps", metavar="STEP,...", help="Some of trim, readout, finetune (default: all)."),
    ] = None,
    labelled: Annotated[
        int | None,
        typer.Option(
            "--labelled", min=2, help="Labelled images (of the training split) that the chip is shown (default: 1000)."
        ),
    ] = None,
    held_out: Annotated[
        int | None, typer.Option("--held-out", min=1, help="Images of the test split to judge on (default: all).")
    ] = None,
    stratified: parameters.StratifiedOption = False,
    images_seed: parameters.ImagesSeedOption = None,
    drives: Annotated[int | None, typer.Option("--drives", min=3, help="Test drives per neuron (default: 5).")] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            min=1,
            help="Rounds of writing an array and measuring its weights; 1: write once, blindly (default: 8).",
        ),
    ] = None,
    verify: Annotated[
        float | None,
        typer.Option("--verify", metavar="TOL", help="Verify every writing: tolerance as a share of g_max."),
    ] = None,
    reprogram: Annotated[
        Literal["output", "both"] | None,
        typer.Option(
            "--reprogram", help="Arrays that the fine-tuning may write: output, or all, called both (default)."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", min=0, help="Epochs of training with the measured chip in the forward pass (default: 0)."
        ),
    ] = None,
    reading_noise: Annotated[
        float | None,
        typer.Option(
            "--reading-noise",
            metavar="SIGMA",
            help="Noise of every reading of the simulated chip, in units of x (default: 0).",
        ),
    ] = None,
    backend: Annotated[
        Literal["direct", "reference", "brian", "spice"] | None,
        typer.Option("--backend", help="What integrates the neurons (default: direct)."),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option(
            "--table", metavar="N", help="Drives of the response table (default: 9 for direct and the mean, else 33)."
        ),
    ] = None,
    tables: parameters.TablesOption = None,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    readout: parameters.ReadoutOption = None,
    raw: parameters.RawOption = False,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Repair one chip that can only be driven, read and written: trim codes, a new readout, all arrays fine-tuned.

    Each step's accuracy on held-out images and its cost; trim.npz for `classify --trim` and `export --trim`.
    """
    from analog_fhn.design import Design

    start = time.perf_counter()
    net = inputs.load_network(network, readout=readout, raw=raw)
    parts = circuits.load_technology(technology, errors=errors, temperature=temperature, supply=supply)
    if verify is not None and not 0 < verify < 1:
        raise InputError(f"--verify {verify:g}: expected a share of g_max between 0 and 1")
    design = Design(net, parts)
    draw = inputs.seed_of_draw(stratified, images_seed)
    if measurements is not None:
        _refuse_simulation({
            "--chip": chip, "--dataset": dataset, "--steps": steps, "--labelled": labelled, "--held-out": held_out,
            "--stratified": stratified or None,
            "--drives": drives, "--rounds": rounds, "--verify": verify, "--reprogram": reprogram, "--epochs": epochs,
            "--reading-noise": reading_noise, "--backend": backend, "--table": table, "--tables": tables,
            "--errors": errors, "--data": data,
        })  # fmt: skip
        content = from_file(measurements, design, unit or "x", output, json)
        settings = outputs.settings(net, None, technology=parts) | {"unit": unit or "x"}
        outputs.write_json(json, "trim", None, start, outputs.without_nan(content) | {"settings": settings})
        return
    if unit is not None:
        raise InputError(f"--unit {unit} without --measurements: it is the unit of the responses in that file")
    if dataset is None:
        raise InputError("--dataset is missing: expected mnist, digits or a path, or --measurements FILE")
    if reading_noise is not None and not 0.0 <= reading_noise < 1.0:
        raise InputError(f"--reading-noise {reading_noise:g}: expected a number from 0 to below 1, in units of x")
    chosen = {"drives": drives, "rounds": rounds, "verify": verify, "reprogram": reprogram, "epochs": epochs}
    job = RepairJob(
        design, network, steps_of(steps, design), repair_options(steps, chosen, design),
        RepairImageOptions(dataset, 1000 if labelled is None else labelled, held_out, draw, data),
        BenchOptions(chip, backend or "direct", table, tables, reading_noise or 0.0, verify), errors,
    )  # fmt: skip
    content, final = repaired(job, output, json, yes=yes)
    settings = outputs.settings(net, final, errors=errors, technology=parts)
    settings |= {"dataset": dataset, "backend": job.bench.backend, "reading_noise": job.bench.reading_noise}
    settings |= {"stratified": stratified, "images_seed": draw}
    outputs.write_json(json, "trim", chip, start, outputs.without_nan(content) | {"settings": settings})


def _refuse_simulation(options: dict[str, object]) -> None:
    """Refuse options that are for a drawn chip."""
    for option, value in options.items():
        if value is not None:
            text = as_written(option, value)
            raise InputError(f"{text} with --measurements: it is for a chip that is drawn and shown images")


def steps_of(text: str | None, design: Design | None = None) -> list[StepName]:
    """Steps that `--steps` names, in their order; without it all, of a chip of `design` those that it may have."""
    from analog_fhn.trim.repair import STEPS, possible_steps

    if text is None:
        return list(STEPS) if design is None else possible_steps(design)
    named = [step.strip() for step in text.split(",")]
    unknown = [step for step in named if step not in STEPS]
    if unknown:
        raise InputError(f"--steps {text!r}: {unknown[0]!r} is not one of {', '.join(STEPS)}")
    return [step for step in STEPS if step in named]


def repair_options(steps: str | None, chosen: dict[str, Any], design: Design | None = None) -> RepairOptions:
    """How the chip is repaired, from the options that were given; those that no step uses are refused."""
    from analog_fhn.trim.repair import RepairOptions

    users = {"drives": ("trim",), "rounds": ("readout", "finetune"), "verify": ("readout", "finetune"),
             "reprogram": ("finetune",), "epochs": ("finetune",)}  # fmt: skip
    chosen = {name: value for name, value in chosen.items() if value is not None}
    asked = steps_of(steps, design)
    for name, value in chosen.items():
        if not set(users[name]) & set(asked):
            raise InputError(
                f"--{name} {value} with --steps {steps or ','.join(asked)}: it is an option of the "
                f"step{'s' * (len(users[name]) > 1)} "
                f"{' and '.join(users[name])}"
            )
    if chosen.get("epochs") and chosen.get("reprogram") == "output":
        raise InputError(
            f"--epochs {chosen['epochs']} with --reprogram output: they train the input weights, which are not "
            "written then"
        )
    return RepairOptions(**chosen)


@dataclass(frozen=True)
class RepairImageOptions:
    """Images that the options ask for.

    Parameters
    ----------
    labelled, held_out
        How many of the training split are shown, and of the test split judged (None: all).
    draw
        Seed that both are drawn with; None: the first ones.
    data
        Folder of the data sets.
    """

    dataset: str
    labelled: int
    held_out: int | None
    draw: int | None
    data: Path | None

    def load(self, network: Network, steps: list[StepName]) -> RepairImages:
        """The images, with labels that the steps can be done and judged with."""
        from analog_fhn.trim.repair import check_labels

        training = inputs.load_images(self.dataset, "train", self.data, None, network, holdout=True)
        shown = inputs.choose_images(training, "train", self.labelled, option="--labelled", draw=self.draw)
        judged = inputs.load_images(
            self.dataset, "test", self.data, self.held_out, network, option="--held-out", draw=self.draw, holdout=True
        )
        check_judged(network, judged)
        images = RepairImages(images_of(shown), images_of(judged), images_of(training))
        first = "the first " if self.draw is None else ""
        words = f"--labelled {self.labelled}: {first}{self.labelled} training images of {shown.source}"
        for user, of_user, what in (
            ("readout", images.labelled, words),
            ("finetune", images.training, f"the training images of {training.source}"),
        ):
            if user in steps:
                check_labels(network, of_user, what)
        return images


@dataclass(frozen=True)
class RepairImages:
    """Images that are shown to a chip, that it is judged on, and that its fine-tuning trains on."""

    labelled: LabelledImages
    judged: LabelledImages
    training: LabelledImages


@dataclass(frozen=True)
class BenchOptions:
    """Bench that the options ask for; see `analog_fhn.trim.bench.SimulatedBench`."""

    chip: int | None
    backend: str
    table: int | None
    tables: Path | None
    reading_noise: float
    verify: float | None

    def drives(self, network: Network) -> int:
        """Drives of the response tables."""
        from analog_fhn.backends.table.backend import default_drives

        return default_drives(self.backend, network.readout) if self.table is None else self.table

    def make(self, design: Design) -> SimulatedBench:
        """The bench, with the chip as it is made."""
        from analog_fhn.trim.bench import SimulatedBench

        drives = self.drives(design.network)
        tables = outputs.tables_folder(drives or None, self.tables, self.backend)
        return SimulatedBench(
            design, self.chip, backend=self.backend, table=drives, verify=self.verify, tables=tables,
            reading_noise=self.reading_noise,
        )  # fmt: skip


@dataclass(frozen=True)
class RepairJob:
    """Everything that a repair of a drawn chip is asked for with.

    Parameters
    ----------
    network
        File of the design's network.
    errors
        Error groups of the technology that are left.
    """

    design: Design
    network: Path
    steps: list[StepName]
    options: RepairOptions
    images: RepairImageOptions
    bench: BenchOptions
    errors: str | None

    def check_work(self, images: RepairImages, *, yes: bool) -> None:
        """Announce long work, or refuse it."""
        net, how = self.design.network, self.options
        work = costs.repair(
            net, labelled=self.images.labelled, held_out=len(images.judged.labels),
            trained=len(images.training.labels), drives=how.drives, rounds=how.rounds, epochs=how.epochs,
            backend=self.bench.backend, table=self.bench.drives(net),
        )  # fmt: skip
        costs.check_work(work, yes=yes)

    def judging_command(self, folder: Path) -> str:
        """Command that judges the repaired chip."""
        drives = self.bench.drives(self.design.network) or 9
        words = ["analog-fhn", "classify", str(self.network), "--dataset", self.images.dataset]
        words += ["--trim", str(folder / "trim.npz"), "--table", str(drives)]
        words += [] if self.bench.backend == "direct" else ["--backend", self.bench.backend]
        words += [] if self.images.data is None else ["--data", str(self.images.data)]
        return shlex.join(words)


def repaired(
    job: RepairJob, output: Path, json: str | None, *, yes: bool
) -> tuple[dict[str, Any], ManufacturedChip]:  # fmt: skip
    """Repair a drawn chip, write everything, and return what goes into the JSON, and the chip."""
    net = job.design.network
    images = job.images.load(net, job.steps)
    job.check_work(images, yes=yes)
    folder = outputs.output_folder(output)
    for name in FILES:
        outputs.writable(folder / name)
    circuits.warn_of(job.design)
    bench = job.bench.make(job.design)
    done, state = _repair_kept(bench, job, images)
    for step in done:
        console.say(step_line(step), json)
        if step.facts.get("kept"):
            warn_of_unchanged(step.facts["validated"], step.facts["validated_before"])
    console.say(f"{'plain network':12} {console.percent(done.plain):>9}", json)
    files = write_repair(job, state, done, folder)
    content = {
        "accuracy": done[-1].accuracy,
        "accuracy_as_made": done[0].accuracy,
        "accuracy_plain": done.plain,
        "n_images": len(images.judged.labels),
        "labelled": len(images.labelled.labels),
        "steps": [asdict(step) for step in done],
        "costs": asdict(bench.costs),
        "saturated": state.codes.saturated,
        "files": _written(folder, files),
    }
    write_summary(folder, content)
    complete = _written(folder, files)
    if len(complete) == len(files):
        named = f"{', '.join(FILES)}, conductance tables and netlist"
        console.remark(f"written to {folder}: {named}. Try: {job.judging_command(folder)}", json)
    else:
        outputs.say_written([folder / name for name in complete], json)
    return content, state.chip(job.design)


def _repair_kept(
    bench: SimulatedBench, job: RepairJob, images: RepairImages
) -> tuple[Repair, TrimState]:  # fmt: skip
    """Steps of a repair, and the chip as the last one left it; after Ctrl-C those that were whole."""
    from analog_fhn.trim.repair import repair

    states: list[TrimState] = []
    with console.progress_bar("as made") as bar, keeping() as work:

        def before(step: str) -> None:
            console.note(f"{step} ...")
            bar.label(step)
            bar(len(states), len(job.steps) + 1)
            states.append(bench.state)

        done = repair(bench, job.steps, images.labelled, images.judged, images.training, job.options, before)
    if work.interrupted:
        console.going_on(f"the chip is as it was after step {done[-1].name}")
    return done, states[len(done)] if len(done) < len(states) else bench.state


def write_repair(
    job: RepairJob, state: TrimState, done: Repair, folder: Path
) -> list[str]:  # fmt: skip
    """Write everything but the summary; returns the names of all files, with that of the summary."""
    import numpy as np

    from analog_fhn import plots
    from analog_fhn.netlist.export import export as write_network

    of_chip = "Nominal chip" if job.bench.chip is None else f"Chip {job.bench.chip}"
    picture = done.picture(f"{of_chip}, technology {job.design.technology.name}")
    write_steps(done, folder / "steps.csv")
    write_codes(state.codes, None, folder / "codes.csv")
    notes = {
        "steps": outputs.without_nan([asdict(step) for step in done]),
        "errors": circuits.error_groups(job.design.technology, job.errors),
    }
    state.save(folder / "trim.npz", job.design, notes)
    plots.save(picture, folder / "accuracy.png")
    manifest = {"versions": versions(), "trim": "trim.npz"}
    image = np.zeros(job.design.network.layer_sizes[0])
    return [*FILES, *write_network(state.chip(job.design), image, folder, manifest, form="reduced")]


def check_judged(network: Network, judged: Dataset) -> None:
    """Refuse to judge a repair on images that the network itself is right on no more often than guessing is."""
    right, chance = network.accuracy(judged.images, judged.labels), 1.0 / network.layer_sizes[-1]
    if right <= chance:
        raise InputError(
            f"{judged.source}: the plain network is right on {console.percent(right)} of {len(judged.labels)} held-out "
            f"images, and guessing on {console.percent(chance)}; expected the images and classes that it was trained "
            "for"
        )


def from_file(
    path: Path, design: Design, unit: Literal["x", "volts"], output: Path, json: str | None
) -> dict[str, Any]:
    """Codes, and with labelled activations a readout, from a file of the bench."""
    from analog_fhn.netlist.export import write_conductances
    from analog_fhn.trim.codes import TrimHardware
    from analog_fhn.trim.measurements import load_measurements
    from analog_fhn.trim.recorded import from_measurements

    recorded = from_measurements(load_measurements(path, design, unit), design, TrimHardware())
    codes, trained = recorded.state.codes, recorded.trained
    folder = outputs.output_folder(output)
    files = list(_FROM_FILE)
    for name in files:
        outputs.writable(folder / name)
    write_codes(codes, recorded.lines, folder / "codes.csv")
    recorded.state.save(folder / "trim.npz", design, {"measurements": str(path)})
    if trained is not None:
        files += write_conductances(recorded.state.chip(design), design.arrays[-1].number, folder)
    content = recorded_content(path, recorded, files)
    write_summary(folder, content)
    content["files"] = _written(folder, files)
    say_lines(recorded, design, json)
    if trained is not None:
        say_readout(trained, json)
    if content["files"]:
        console.remark(
            f"written to {folder}: {', '.join(content['files'])}; they are for the chip that was measured, of which "
            "classify --trim knows nothing else",
            json,
        )
    return content


def recorded_content(path: Path, recorded: Recorded, files: list[str]) -> dict[str, Any]:
    """Content of the JSON and of the summary; of several hidden layers, slopes are those of all their neurons."""
    import numpy as np

    readout = None if recorded.trained is None else recorded.trained.readout
    slopes = -np.concatenate([lines.slope for lines in recorded.lines])
    content = {
        "measurements": str(path),
        "saturated": recorded.state.codes.saturated,
        "slope_mean": float(slopes.mean()),
        "slope_spread": float(slopes.std()),
        "neurons_beyond_codes": list(recorded.beyond[0]),
        "nonlinearity": max(float(lines.worst.max()) for lines in recorded.lines),
        "validated": None if readout is None else readout.validated,
        "validated_before": None if readout is None else readout.before,
        "kept": None if readout is None else readout.unchanged,
        "files": files,
    }
    deeper = enumerate(recorded.beyond[1:], start=2)
    return content | {f"neurons_beyond_codes_{layer}": list(neurons) for layer, neurons in deeper}


def say_lines(recorded: Recorded, design: Design, json: str | None) -> None:
    """What people read about measured responses."""
    from analog_fhn.trim.codes import TrimHardware

    factor = 1.0 + TrimHardware().gain_range
    layers = zip(recorded.lines, recorded.state.codes.rows, recorded.beyond, design.layer_names, strict=True)
    for lines, codes, beyond, place in layers:
        slopes = -lines.slope
        console.say(
            f"{len(slopes)} neurons{place}: x falls by {slopes.mean():.3g} per unit of drive, spread "
            f"{slopes.std():.2g}; {codes.saturated} codes at the end of their range",
            json,
        )
        if beyond:
            console.warn(
                f"warning: no gain code ({2.0 - factor:g} to {factor:g} times) mends the slope of "
                f"{len(beyond)} of the neurons{place}; their codes stand at the end. Neuron (x falls by): "
                + ", ".join(f"{j} ({slopes[j]:.3g})" for j in beyond)
            )


def say_readout(trained: RecordedReadout, json: str | None) -> None:
    """What people read about a readout that was trained on measurements."""
    readout, number, different = trained.readout, trained.n_images, trained.n_different
    copies = "" if different == number else f" ({different} different ones)"
    console.say(
        f"readout from {number} images{copies}: "
        f"{console.percent(readout.validated)} in cross-validation (as trained: {console.percent(readout.before)})",
        json,
    )
    if readout.unchanged:
        warn_of_unchanged(readout.validated, readout.before)


def _written(folder: Path, names: Iterable[str]) -> list[str]:
    return [path.name for path in outputs.written(folder / name for name in names)]


def warn_of_unchanged(validated: float, before: float) -> None:
    """Say that a readout stays as it was trained, because new ones do worse."""
    console.warn(
        f"warning: a new readout finds {console.percent(validated)} of the labelled images in "
        f"cross-validation, the readout as trained {console.percent(before)}; it stays (more labelled images?)"
    )


def images_of(loaded: Dataset) -> LabelledImages:
    """Images and labels of a data set."""
    from analog_fhn.trim.finetune import LabelledImages

    return LabelledImages(loaded.images, loaded.labels)


def step_line(step: RepairStep) -> str:
    """What people read about a step."""
    text = f"{step.name:12} {console.percent(step.accuracy):>9}"
    if step.runs:
        text += (
            f"   {step.runs} runs ({step.seconds:.0f} s on the chip), {step.readings} readings, {step.pulses} pulses"
        )
    return text + (f"; {step.saturated} codes at the end of their range" if step.saturated else "")


def write_steps(done: list[RepairStep], path: Path) -> None:
    """One line per step."""
    with new_table(path) as table:
        table.writerow(["step", "accuracy", "runs", "readings", "pulses", "seconds", "saturated"])
        for step in done:
            table.writerow(
                [step.name, step.accuracy, step.runs, step.readings, step.pulses, step.seconds, step.saturated]
            )


def write_codes(codes: TrimCodes, lines: Sequence[ResponseLines] | None, path: Path) -> None:
    """One line per code."""
    from analog_fhn.trim.recorded import code_rows

    write_records(path, code_rows(codes, lines))


def write_summary(folder: Path, content: dict[str, Any]) -> None:
    """Write summary.json."""
    import json

    write_text(folder / "summary.json", json.dumps(outputs.without_nan(content), indent=2, allow_nan=False) + "\n")
