"""`analog-fhn combine`: few chips at circuit level and many by equations, as one answer."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn.cli import console, outputs, parameters
from analog_fhn.cli.sweep import RunArgument
from analog_fhn.errors import InputError, shown

if TYPE_CHECKING:
    from analog_fhn.montecarlo.control import Combined
    from analog_fhn.montecarlo.outcome import Results


def combine(
    run: RunArgument,
    control: Annotated[
        Path,
        typer.Argument(
            metavar="CONTROL", help="Run folder with the same chips and more, judged by the equations (direct)."
        ),
    ],
    json: parameters.JsonOption = None,
) -> None:
    """Estimate accuracy and yield at circuit level from a few chips in RUN and many in CONTROL, of the same seed."""
    from analog_fhn.montecarlo import control as control_variate
    from analog_fhn.montecarlo.outcome import read

    start = time.perf_counter()
    with console.working("runs"):
        runs = read(run), read(control)
    _check_alike(*runs, (run, control))
    others = {outcome.name: outcome for outcome in runs[1].shown}
    points = []
    for outcome in runs[0].shown:
        if outcome.name not in others:
            raise InputError(f"{control}: no point {shown(outcome.name)}; expected the points of {run}")
        found = control_variate.combine(outcome.trials, others[outcome.name].trials, outcome.specification)
        for line in _lines(outcome.name, found, outcome.specification):
            console.say(line, json)
        numbers = asdict(found)
        points.append({"name": outcome.name, "yield": numbers.pop("yield_")} | numbers)
    content = {"specification": runs[0].specification, "points": points, "settings": {"control": str(control)}}
    outputs.write_json(json, "combine", runs[0].plan["seed"], start, content)


def _check_alike(run: Results, control: Results, folders: tuple[Path, Path]) -> None:
    """Raise InputError unless both runs judge chips of the same seed by the same images."""
    deciding = {
        key: (run.configuration.get(key), control.configuration.get(key))
        for key in ("network", "readout", "fhn", "protocol", "technology", "images", "labels")
    } | {key: (run.plan[key], control.plan[key]) for key in ("seed",)}
    for key, (one, other) in deciding.items():
        if one != other:
            told = "another" if isinstance(one, dict) else f"{shown(other)} in place of {shown(one)}"
            raise InputError(f"{folders[1]}: {key} is {told}; expected the chips and images of {folders[0]}")


def _lines(name: str, found: Combined, specification: float) -> list[str]:
    percent = console.percent
    correlation = "" if found.correlation is None else f", correlation {found.correlation:.3f}"
    alone = f"from these {found.n_both} chips alone {percent(found.alone_low)} to {percent(found.alone_high)}"
    return [
        f"{name}: {found.n_both} chips in both runs differ by {100 * found.difference:+.3f} points "
        f"({100 * found.difference_low:+.3f} to {100 * found.difference_high:+.3f}){correlation}",
        f"at circuit level: mean {percent(found.mean)} ({percent(found.mean_low)} to {percent(found.mean_high)}); "
        f"yield at {percent(specification)}: {percent(found.yield_)} (95 % interval {percent(found.yield_low)} to "
        f"{percent(found.yield_high)}; {alone})",
    ]
