"""The results of a Monte-Carlo run as one HTML file: the answer in words, then the pictures and tables behind it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from analog_fhn._support.files import new_file
from analog_fhn.montecarlo.open_run import reproduce_command
from analog_fhn.montecarlo.outcome import Outcome, Results, read
from analog_fhn.montecarlo.sensitivity import costliest
from analog_fhn.montecarlo.statistics import FEWEST_FOR_MEDIAN
from analog_fhn.montecarlo.trial import WINDOW_CHECKS, Trial
from analog_fhn.report.filters import FILTERS
from analog_fhn.report.pictures import CURVES, ROWS, pictures

# What the templates leave out of a run that is large.
_LIMITS = {
    "CURVES": CURVES,
    "ROWS": ROWS,
    "WORST": 5,
    "PARTS": 10,  # components of the regression
    "CLASSES": 20,  # classes that a table of pairs is read for
    "SHARES": (0.5, 0.9, 0.95, 0.99),
    "FEWEST_FOR_MEDIAN": FEWEST_FOR_MEDIAN,
    "WINDOW_CHECKS": WINDOW_CHECKS,
}


def report(run: Path, output: Path) -> Results:
    """Write the report of a run as one HTML file that loads nothing; see `read` and `write`."""
    results = read(run)
    write(results, output)
    return results


def write(results: Results, output: Path) -> int:
    """Write a report.

    Returns
    -------
    int
        Size in bytes.

    Raises
    ------
    InputError, RunError
        If the file cannot be written; as for `analog_fhn._support.files.new_file`.
    """
    content = html(results).encode()
    with new_file(output) as file:
        return file.write(content)


def html(results: Results) -> str:
    """The report's text."""
    return (
        _environment()
        .get_template("run.html.j2")
        .render(results=results, pictures=pictures(results), costliest=costliest(results.effects))
    )


@cache
def _environment() -> Environment:
    """Templates whose every value is escaped, but for pictures, which are HTML already."""
    environment = Environment(
        loader=PackageLoader("analog_fhn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(_LIMITS, command=_command)
    return environment


def _command(outcome: Outcome, trial: Trial, meta: Mapping[str, Any]) -> str:
    """Command that classifies the images with this chip, or what it lacks."""
    try:
        return reproduce_command(outcome.point, trial.chip_seed, dict(meta))
    except KeyError as error:
        return f"(the run does not say its {error})"
