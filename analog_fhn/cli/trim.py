"""`analog-fhn trim`: one chip measured, trimmed, its readout retrained, its arrays written again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import new_table, write_records, write_text
from analog_fhn.cli import common, costs
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.chip import Chip
    from analog_fhn.data import Dataset
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.trim.codes import Codes, Lines
    from analog_fhn.trim.finetune import Images
    from analog_fhn.trim.repair import Step, StepName


FILES = ("steps.csv", "summary.json", "codes.csv", "trim.npz", "accuracy.png")
_FROM_FILE = ("codes.csv", "trim.npz", "summary.json")


def trim(
    network: common.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: common.ChipOption = None,
    measurements: Annotated[
        Path | None,
        typer.Option(
            "--measurements",
            metavar="FILE",
            help="Instead of --chip: responses of a real chip, .csv (neuron,drive,response) or .npz (drives, "
            "responses, and if measured hidden, labels, scores).",
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
    stratified: common.StratifiedOption = False,
    images_seed: common.ImagesSeedOption = None,
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
        typer.Option("--reprogram", help="Arrays that the fine-tuning may write (default: both)."),
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
        typer.Option("--table", metavar="N", help="Drives of the response table (default: 9 for direct, else 33)."),
    ] = None,
    tables: common.TablesOption = None,
    errors: common.ErrorsOption = None,
    temperature: common.TemperatureOption = None,
    supply: common.SupplyOption = None,
    readout: common.ReadoutOption = None,
    raw: common.RawOption = False,
    data: common.DataOption = None,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Repair one chip that can only be driven, read and written: trim codes, a new readout, both arrays fine-tuned.

    Each step's accuracy on held-out images and its cost; trim.npz for `classify --trim` and `export --trim`.
    """
    from analog_fhn.design import Design

    start = time.perf_counter()
    net = common.load_network(network, readout=readout, raw=raw)
    made = common.load_technology(technology, errors=errors, temperature=temperature, supply=supply)
    if verify is not None and not 0 < verify < 1:
        raise InputError(f"--verify {verify:g}: expected a share of g_max between 0 and 1")
    design = Design(net, made)
    draw = common.seed_of_draw(stratified, images_seed)
    if measurements is not None:
        for_simulation = {
            "--chip": chip, "--dataset": dataset, "--steps": steps, "--labelled": labelled, "--held-out": held_out,
            "--stratified": stratified or None,
            "--drives": drives, "--rounds": rounds, "--verify": verify, "--reprogram": reprogram, "--epochs": epochs,
            "--reading-noise": reading_noise, "--backend": backend, "--table": table, "--tables": tables,
            "--errors": errors, "--data": data,
        }  # fmt: skip
        for option, given in for_simulation.items():
            if given is not None:
                text = option if given is True else f"{option} {given}"
                raise InputError(f"{text} with --measurements: it is for a chip that is drawn and shown images")
        chosen_unit = unit or "x"
        content = from_file(measurements, design, chosen_unit, output, json)
        settings = common.settings(net, None, technology=made) | {"unit": chosen_unit}
        common.write_json(json, "trim", None, start, common.without_nan(content) | {"settings": settings})
        return
    if unit is not None:
        raise InputError(f"--unit {unit} without --measurements: it is the unit of the responses in that file")
    if dataset is None:
        raise InputError("--dataset is missing: expected mnist, digits or a path, or --measurements FILE")
    wanted = steps_of(steps)
    for option, value, users in (
        ("--drives", drives, ("trim",)), ("--rounds", rounds, ("readout", "finetune")),
        ("--verify", verify, ("readout", "finetune")), ("--reprogram", reprogram, ("finetune",)),
        ("--epochs", epochs, ("finetune",)),
    ):  # fmt: skip
        if value is not None and not set(users) & set(wanted):
            raise InputError(
                f"{option} {value} with --steps {steps}: it is an option of the step{'s' if len(users) > 1 else ''} "
                f"{' and '.join(users)}"
            )
    if epochs and reprogram == "output":
        raise InputError(
            f"--epochs {epochs} with --reprogram output: they train the input weights, which are not written then"
        )
    if reading_noise is not None and not 0.0 <= reading_noise < 1.0:
        raise InputError(f"--reading-noise {reading_noise:g}: expected a number from 0 to below 1, in units of x")
    options = {
        name: value
        for name, value in (
            ("drives", drives), ("rounds", rounds), ("verify", verify), ("reprogram", reprogram), ("epochs", epochs),
        )
        if value is not None
    }  # fmt: skip
    backend = backend or "direct"
    content, final = repaired(
        design, chip, dataset, output, json, network=network, steps=wanted, options=options,
        labelled=1000 if labelled is None else labelled, held_out=held_out, draw=draw,
        backend=backend, table=table, tables=tables,
        reading_noise=reading_noise or 0.0, errors=errors, data=data, yes=yes,
    )  # fmt: skip
    settings = common.settings(net, final, errors=errors, technology=made) | {"dataset": dataset, "backend": backend}
    settings |= {"reading_noise": reading_noise or 0.0, "stratified": stratified, "images_seed": draw}
    common.write_json(json, "trim", chip, start, common.without_nan(content) | {"settings": settings})


def steps_of(text: str | None) -> list[StepName]:
    """Steps that `--steps` names, in their order; without it all."""
    from analog_fhn.trim.repair import STEPS

    if text is None:
        return list(STEPS)
    wanted = [step.strip() for step in text.split(",")]
    unknown = [step for step in wanted if step not in STEPS]
    if unknown:
        raise InputError(f"--steps {text!r}: {unknown[0]!r} is not one of {', '.join(STEPS)}")
    return [step for step in STEPS if step in wanted]


def repaired(
    design: Design,
    seed: int | None,
    dataset: str,
    output: Path,
    json: str | None,
    *,
    network: Path,
    steps: list[StepName],
    options: dict[str, Any],
    labelled: int,
    held_out: int | None,
    draw: int | None,
    backend: str,
    table: int | None,
    tables: Path | None,
    reading_noise: float,
    errors: str | None,
    data: Path | None,
    yes: bool,
) -> tuple[dict[str, Any], Chip]:
    """Repair a drawn chip, write everything, and return what goes into the JSON, and the chip.

    Parameters
    ----------
    network
        File of the design's network.
    options
        Of the repair, where they are not the default ones.
    draw
        Seed that labelled and held-out images are drawn with; None: the first ones.
    """
    import numpy as np

    from analog_fhn import plots
    from analog_fhn.netlist.export import write_network
    from analog_fhn.trim.bench import SimulatedBench
    from analog_fhn.trim.repair import Options, check_labels, repair

    net = design.network
    training = common.load_images(dataset, "train", data, None, net, holdout=True)
    shown = common.choose_images(training, "train", labelled, option="--labelled", draw=draw)
    judged = common.load_images(dataset, "test", data, held_out, net, option="--held-out", draw=draw, holdout=True)
    check_judged(net, judged)
    first = "the first " if draw is None else ""
    to_show, to_train = images_of(shown), images_of(training)
    for user, given, what in (
        ("readout", to_show, f"--labelled {labelled}: {first}{labelled} training images of {shown.source}"),
        ("finetune", to_train, f"the training images of {training.source}"),
    ):
        if user in steps:
            check_labels(net, given, what)
    n_table = {"direct": 9}.get(backend, 33) if table is None else table
    how = Options(**options)
    work = costs.repair(
        net, labelled=labelled, held_out=len(judged.labels), trained=len(training.labels), drives=how.drives,
        rounds=how.rounds, epochs=how.epochs, backend=backend, table=n_table,
    )  # fmt: skip
    common.check_work(work, yes=yes)
    folder = common.output_folder(output)
    for name in FILES:
        common.writable(folder / name)
    common.warn_of(design)
    kept = common.tables_folder(n_table or None, tables, backend)
    bench = SimulatedBench(
        design, seed, backend=backend, table=n_table, verify=options.get("verify"), tables=kept,
        reading_noise=reading_noise,
    )  # fmt: skip
    done = repair(
        bench, steps, to_show, images_of(judged), to_train, how,
        lambda step: common.note(f"{step} ..."),
    )  # fmt: skip
    plain = net.accuracy(judged.images, judged.labels)
    for step in done:
        common.say(step_line(step), json)
        if step.facts.get("kept"):
            warn_of_kept(step.facts["validated"], step.facts["validated_before"])
    common.say(f"{'plain network':12} {common.percent(plain):>9}", json)
    title = f"{'Nominal chip' if seed is None else f'Chip {seed}'}, technology {design.technology.name}"
    picture = plots.repair(
        [step.name for step in done],
        [step.accuracy for step in done],
        [cost_label(step) for step in done],
        plain,
        title,
    )
    write_steps(done, folder / "steps.csv")
    write_codes(bench.codes, None, folder / "codes.csv")
    told = {"steps": common.without_nan([asdict(step) for step in done]), "errors": common.error_groups(errors)}
    bench.state.save(folder / "trim.npz", design, told)
    plots.save(picture, folder / "accuracy.png")
    notes = {"versions": common.versions(), "trim": "trim.npz"}
    network_files = write_network(bench.chip, np.zeros(net.layer_sizes[0]), folder, notes, form="reduced")
    content = {
        "accuracy": done[-1].accuracy,
        "accuracy_as_made": done[0].accuracy,
        "accuracy_plain": plain,
        "n_images": len(judged.labels),
        "labelled": len(shown.labels),
        "steps": [asdict(step) for step in done],
        "costs": asdict(bench.costs),
        "saturated": bench.codes.saturated,
        "files": _written(folder, [*FILES, *network_files]),
    }
    write_summary(folder, content)
    files = _written(folder, [*FILES, *network_files])
    if len(files) == len(FILES) + len(network_files):
        judge = ["analog-fhn", "classify", str(network), "--dataset", dataset, "--trim", str(folder / "trim.npz")]
        judge += ["--table", str(n_table or 9)]
        judge += [] if backend == "direct" else ["--backend", backend]
        judge += [] if data is None else ["--data", str(data)]
        common.say(
            f"written to {folder}: {', '.join(FILES)}, conductance tables and netlist. Try: {shlex.join(judge)}", json
        )
    else:
        common.say_written([folder / name for name in files], json)
    return content, bench.chip


def check_judged(network: Network, judged: Dataset) -> None:
    """Refuse to judge a repair on images that the network itself is right on no more often than guessing is."""
    right, chance = network.accuracy(judged.images, judged.labels), 1.0 / network.layer_sizes[-1]
    if right <= chance:
        raise InputError(
            f"{judged.source}: the plain network is right on {common.percent(right)} of {len(judged.labels)} held-out "
            f"images, and guessing on {common.percent(chance)}; expected the images and classes that it was trained for"
        )


def from_file(
    path: Path, design: Design, unit: Literal["x", "volts"], output: Path, json: str | None
) -> dict[str, Any]:
    """Codes, and with labelled activations a readout, from a file of the bench."""
    from analog_fhn.netlist.export import write_conductances
    from analog_fhn.trim.codes import TrimHardware
    from analog_fhn.trim.measurements import load_measurements
    from analog_fhn.trim.recorded import from_measurements

    found = load_measurements(path, design, unit)
    trimmed = from_measurements(found, design, TrimHardware())
    codes, readout = trimmed.state.codes, trimmed.readout
    folder = common.output_folder(output)
    files = list(_FROM_FILE)
    for name in files:
        common.writable(folder / name)
    slopes = -trimmed.lines.slope
    content: dict[str, Any] = {
        "measurements": str(path),
        "saturated": codes.saturated,
        "slope_mean": float(slopes.mean()),
        "slope_spread": float(slopes.std()),
        "neurons_beyond_codes": list(trimmed.beyond),
        "nonlinearity": float(trimmed.lines.worst.max()),
        "validated": None if readout is None else readout.validated,
        "validated_before": None if readout is None else readout.before,
        "kept": None if readout is None else readout.kept,
        "files": files,
    }
    write_codes(codes, trimmed.lines, folder / "codes.csv")
    trimmed.state.save(folder / "trim.npz", design, {"measurements": str(path)})
    if readout is not None:
        files += write_conductances(trimmed.state.chip(design), 1, folder)
    write_summary(folder, content)
    content["files"] = _written(folder, files)
    common.say(
        f"{found.responses.shape[1]} neurons: x falls by {slopes.mean():.3g} per unit of drive, spread "
        f"{slopes.std():.2g}; {codes.saturated} codes at the end of their range",
        json,
    )
    if trimmed.beyond:
        factor = 1.0 + TrimHardware().gain_range
        common.note(
            f"warning: no gain code ({2.0 - factor:g} to {factor:g} times) mends the slope of "
            f"{len(trimmed.beyond)} of the neurons; their codes stand at the end. Neuron (x falls by): "
            + ", ".join(f"{j} ({slopes[j]:.3g})" for j in trimmed.beyond)
        )
    if readout is not None:
        number = len(found.labels if found.labels is not None else ())
        copies = "" if trimmed.different == number else f" ({trimmed.different} different ones)"
        common.say(
            f"readout from {number} images{copies}: "
            f"{common.percent(readout.validated)} in cross-validation (as trained: {common.percent(readout.before)})",
            json,
        )
        if readout.kept:
            warn_of_kept(readout.validated, readout.before)
    if content["files"]:
        common.say(
            f"written to {folder}: {', '.join(content['files'])}; they are for the chip that was measured, of which "
            "classify --trim knows nothing else",
            json,
        )
    return content


def _written(folder: Path, names: Iterable[str]) -> list[str]:
    return [path.name for path in common.written(folder / name for name in names)]


def warn_of_kept(validated: float, before: float) -> None:
    """Say that a readout stays as it was trained, because new ones do worse."""
    common.note(
        f"warning: a new readout finds {common.percent(validated)} of the labelled images in "
        f"cross-validation, the readout as trained {common.percent(before)}; it stays (more labelled images?)"
    )


def images_of(loaded: Dataset) -> Images:
    """Images and labels of a data set."""
    from analog_fhn.trim.finetune import Images

    return Images(loaded.images, loaded.labels)


def step_line(step: Step) -> str:
    """What people read about a step."""
    text = f"{step.name:12} {common.percent(step.accuracy):>9}"
    if step.runs:
        text += (
            f"   {step.runs} runs ({step.seconds:.0f} s on the chip), {step.readings} readings, {step.pulses} pulses"
        )
    return text + (f"; {step.saturated} codes at the end of their range" if step.saturated else "")


def cost_label(step: Step) -> str:
    """Cost of a step in the picture."""
    return f"({step.runs} runs, {step.pulses} pulses)" if step.runs else ""


def write_steps(done: list[Step], path: Path) -> None:
    """One line per step."""
    with new_table(path) as table:
        table.writerow(["step", "accuracy", "runs", "readings", "pulses", "seconds", "saturated"])
        for step in done:
            table.writerow(
                [step.name, step.accuracy, step.runs, step.readings, step.pulses, step.seconds, step.saturated]
            )


def write_codes(codes: Codes, lines: Lines | None, path: Path) -> None:
    """One line per code."""
    from analog_fhn.trim.recorded import code_rows

    write_records(path, code_rows(codes, lines))


def write_summary(folder: Path, content: dict[str, Any]) -> None:
    """Write summary.json."""
    import json

    write_text(folder / "summary.json", json.dumps(common.without_nan(content), indent=2, allow_nan=False) + "\n")
