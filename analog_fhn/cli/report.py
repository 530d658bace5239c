"""`analog-fhn report`: a run as one HTML file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import console, outputs, parameters
from analog_fhn.cli.sweep import RunArgument


def report(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: report.html in the run folder.")
    ] = None,
    json: parameters.JsonOption = None,
) -> None:
    """Write what a run found as one HTML file: the answer in words, then pictures and tables. It loads nothing."""
    from analog_fhn.montecarlo.outcome import read
    from analog_fhn.report.run import write

    start = time.perf_counter()
    path = run / "report.html" if output is None else output
    outputs.writable(path)
    with console.working("report"):
        results = read(run)
        size = write(results, path)
    n_failed = len(results.failed)
    console.remark(
        f"written: {path} ({size / 1e3:.0f} kB): {len(results.trials)} trials"
        + (f", {n_failed} failed" if n_failed else ""),
        json,
    )
    rows = [
        {"point": o.point.number, "role": o.point.role, "name": o.name, "nominal_accuracy": o.nominal} | o.summary
        for o in results.shown
    ]
    content = {
        "report": str(path), "bytes": size, "n_trials": len(results.trials), "n_failed": n_failed,
        "trials_missing": results.missing, "accuracy_plain": results.plain, "points": rows,
    }  # fmt: skip
    outputs.write_json(json, "report", results.plan["seed"], start, content)
