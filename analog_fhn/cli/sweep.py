"""`analog-fhn sweep`, `status`: many chips of one design, and how far a run is."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import at_once
from analog_fhn._support.threads import usable_cores
from analog_fhn._support.versions import versions
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.montecarlo.open_run import OpenRun
    from analog_fhn.montecarlo.regression import Regression

PlanArgument = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="What to sweep.")]
RunOption = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Run folder.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `analog-fhn sweep`.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
]


def sweep(
    plan: PlanArgument,
    output: RunOption,
    resume: ResumeOption = False,
    workers: parameters.WorkersOption = None,
    scheduler: SchedulerOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Draw chips, classify with each, report the spread of the accuracy and the yield.

    Every chip is a row of results.sqlite as soon as it is judged; --resume goes on after whatever ended the run.
    """
    from analog_fhn.errors import SimulationError
    from analog_fhn.sweeps import finish

    start = time.perf_counter()
    run = begin(plan, output, data, resume=resume, workers=workers, scheduler=scheduler, yes=yes)
    with run.store, console.progress_bar("chips") as bar:
        try:
            study = finish(run, workers=workers, scheduler=scheduler, progress=bar)
        except KeyboardInterrupt:
            again = shlex.join(["analog-fhn", "sweep", str(plan), "-o", str(output), "--resume"])
            console.note(f"to go on: {again}")
            raise
        decided = settings(run)
    results = study.results
    values = study.accuracies() if results.outcomes else ()
    if len(values):
        from analog_fhn import plots  # half a second, which the first chip need not wait for

        title = f"{len(values)} chips, technology {run.technology.name}"
        picture = plots.histogram(values, results.specification, results.plain, title)
        plots.save(picture, output / "histogram.png")
    with console.working("regression"):
        regressed = study.regression() if run.plan.sensitivity else None
    for line in summary_lines(results.summary) + ([] if regressed is None else regression_lines(regressed)):
        console.say(line, json)
    for trial in results.failed:
        console.say(f"point {trial.point}, chip {trial.chip_seed} failed: {trial.message}", json)
    files = ["results.sqlite", "trials.csv", *(["histogram.png"] if len(values) else [])]
    written = ", ".join(path.name for path in outputs.written(output / name for name in files))
    report = shlex.join(["analog-fhn", "report", str(output), "-o", "report.html"])
    console.remark(f"written to {output}: {written}. Next: {report}", json)
    content = results.summary | {
        "regression": None if regressed is None else regressed.as_json(), "settings": decided,
    }  # fmt: skip
    outputs.write_json(json, "sweep", run.plan.seed, start, content)
    if content["n_failed"] == content["n_trials"]:
        raise SimulationError(f"every chip of the sweep failed; see {output / 'trials.csv'}")


def status(
    run: RunArgument,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write all trials so far as .csv or .parquet."),
    ] = None,
    json: parameters.JsonOption = None,
) -> None:
    """Show how far a run is, from any terminal, during the run or afterwards."""
    from analog_fhn.montecarlo.statistics import summary
    from analog_fhn.montecarlo.store import Store

    start = time.perf_counter()
    with Store(run) as store:
        meta = store.known("configuration", "specification")
        points, trials = store.points(), store.trials()
        if export is not None:
            outputs.writable(export)
            store.export(export)
    plan = meta["configuration"]["plan"]
    rows = []
    for point in points:
        of_point = [trial for trial in trials if trial.point == point.number]
        rows.append({"point": point.number, "role": point.role, "name": point.name}
                    | summary(of_point, meta["specification"]))  # fmt: skip
        planned = f" of {'at most ' if plan['until'] else ''}{plan['chips']}" if point.role != "allocation" else ""
        console.say(
            f"point {point.number} ({point.name}): {len(of_point)}{planned} chips, {yield_text(rows[-1])}", json
        )
    seconds = sum(trial.seconds for trial in trials)
    console.say(f"{len(trials)} trials in {run}, {seconds:.0f} s of work; {len(points)} points", json)
    planned_points = {point.number for point in points if point.role == "sweep"}
    asked = [trial for trial in trials if trial.point in planned_points]
    content = summary(asked, meta["specification"]) | {"points": rows, "chips_planned": plan["chips"]}
    outputs.write_json(json, "status", plan["seed"], start, content)


def begin(
    plan: Path,
    output: Path,
    data: Path | None,
    *,
    resume: bool,
    workers: int | None = None,
    scheduler: str | None = None,
    yes: bool = False,
) -> OpenRun:
    """Everything that a sweep file names, loaded and checked, and its run opened; says what the design is warned of.

    Parameters
    ----------
    workers, scheduler, yes
        As the options of these names, for the estimate of what the run takes.
    """
    from analog_fhn.montecarlo.open_run import open_run
    from analog_fhn.montecarlo.plan import Sweep
    from analog_fhn.technology.technology import Technology

    plan_of_file = Sweep.load(plan)
    network = inputs.load_network(Path(plan_of_file.network))
    technology = Technology.load(plan_of_file.technology)
    number = usable_cores() if workers is None else workers
    at_a_time = None if scheduler else number
    costs.check_work(costs.sweep_plan(plan_of_file, network, technology, 0 if scheduler else number), yes=yes)
    try:
        every = plan_of_file.all_points(network, technology)
    except InputError as error:
        raise InputError(f"{plan}: {error}") from None
    points = [point for point in every if point.role == "sweep"]
    circuits.warn_of(*(point.design(network, technology) for point in points))
    draw = plan_of_file.seed if plan_of_file.stratified else None
    chosen = inputs.load_images(
        plan_of_file.dataset,
        plan_of_file.split,
        data,
        plan_of_file.images,
        network,
        option="images:",
        draw=draw,
        refuse=True,
    )
    costs.check_work(costs.sweep(plan_of_file, every, network, len(chosen.labels), at_a_time, output), yes=yes)
    named = plan_of_file.dataset in ("mnist", "digits")
    dataset = plan_of_file.dataset if named else str(Path(plan_of_file.dataset).resolve())
    notes = {"plan": plan.read_text(encoding="utf-8"), "versions": versions(), "dataset": dataset}
    folder = outputs.output_folder(output)
    with at_once():  # a run whose folder is not whole is not begun
        return open_run(folder, plan_of_file, network, technology, chosen, resume=resume, notes=notes)


def summary_lines(content: dict[str, Any]) -> list[str]:
    """What people read of a run's numbers."""
    lines = [f"plain network {console.percent(content['accuracy_plain'])} of {content['n_images']} images"]
    for row in content["points"]:
        distribution = row["distribution"]
        if distribution is not None:
            lines.append(
                f"{row['name']}: {row['n_trials']} chips: median {console.percent(distribution['q50'])}, "
                f"worst {console.percent(distribution['worst'])}; {yield_text(row)}"
            )
    return lines


def regression_lines(regression: Regression) -> list[str]:
    """Which groups explain the accuracy from chip to chip."""
    shares = ", ".join(
        f"{term.group} {100 * term.share:.0f} %" for term in regression.terms if term.coefficient is not None
    )
    return [
        f"the drawn values explain {100 * regression.explained:.0f} % of the variance of the accuracy over "
        f"{regression.n_chips} chips: {shares}"
    ]


def yield_text(row: dict[str, Any]) -> str:
    """Yield with its interval."""
    if not row["n_trials"]:
        return "no chip yet"
    return (
        f"yield at {console.percent(row['specification'])}: {100 * row['yield']:.1f} % "
        f"(95 % interval {100 * row['yield_low']:.1f} to {100 * row['yield_high']:.1f} %)"
    )


def settings(run: OpenRun) -> dict[str, Any]:
    """What decided the numbers; what the plan leaves open (readout: null) stands there as it was used."""
    first = run.store.points()[0].design(run.network, run.technology)
    return run.plan.model_dump() | outputs.settings(first.network, None, technology=first.technology)
