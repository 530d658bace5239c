"""Many chips of one design at a time: a sweep of objects in hand, and what it has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from analog_fhn._support.cards import Card, Grid, Rows, Tabular
from analog_fhn._support.progress import Progress
from analog_fhn._support.versions import versions
from analog_fhn._support.words import counted, percent
from analog_fhn.data import Dataset, from_arrays
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.montecarlo import statistics
from analog_fhn.montecarlo.control import Combined, combine
from analog_fhn.montecarlo.open_run import OpenRun, open_run
from analog_fhn.montecarlo.outcome import Outcome, Results, collect
from analog_fhn.montecarlo.plan import SweepPlan
from analog_fhn.montecarlo.regression import Regression, regression
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.store import table_rows
from analog_fhn.montecarlo.trial import Job, Trial
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.typed_yaml import explain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Settings = Mapping[str, Any]


def sweep(
    design: Design,
    data: Dataset | tuple[ArrayLike, ArrayLike],
    *,
    chips: int = 1000,
    grid: Mapping[str, Sequence[Any]] | None = None,
    points: Sequence[Settings] | None = None,
    settings: Settings | None = None,
    errors: Sequence[str] | None = None,
    sensitivity: bool = False,
    sobol: bool = False,
    until: Mapping[str, Any] | None = None,
    seed: int = 0,
    specification: float | None = None,
    backend: str = "direct",
    table: int | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Study:
    """Manufacture many chips of a design, and classify all images with each.

    Trials run in worker processes: a script that calls this does so below ``if __name__ == "__main__":``.

    Parameters
    ----------
    design
        What is manufactured; its network says how neurons are run and read.
    data
        Labelled images, or two arrays: images, (n_images, n_in) or (n_images, height, width), and labels, (n_images,).
    chips
        Number of chips per point.
    grid
        Values per setting, such as ``{"resistor.tolerance": [0.01, 0.02]}``; every combination is a point.
    points
        Settings of each point, instead of a grid; None: one point.
    settings
        Settings of all points: gamma, a, eps, slope, settle, control, readout, or any value of the technology.
    errors
        Error groups that are spread; None: all.
    sensitivity
        Whether each error group is judged alone and left out, at points of their own.
    sobol
        Whether chips are drawn at Sobol's points along the slopes of the accuracy; `chips` is then a power of 2.
    until
        Sequential stopping, such as ``{"width": 0.02}``: chips are drawn until the yield's 95 % interval is no wider.
    seed
        Root seed; chip k depends on (seed, k) alone, and is the same at every point but for its settings.
    specification
        Accuracy (fraction) that a chip must reach; None: the plain network's less 0.005.
    backend
        What integrates the neurons: direct, reference, brian or spice.
    table
        Drives per neuron of the response tables; 0: every image is simulated, None: 9 for the mean by direct, else 33.
    workers
        Number of worker processes; None: one per usable core.
    folder
        Where every trial is stored as soon as it is done. A sweep that was ended goes on there when it is called again.
        None: the trials are kept in memory alone.
    progress
        Called with (trials done, trials in all).

    Raises
    ------
    InputError
        Naming what is wrong with an argument, a setting or the data; if the folder holds a run of another sweep.
    RunError
        If worker processes do not even begin, or a trial cannot be stored.
    """
    values = {
        "chips": chips, "grid": grid, "points": points, "settings": settings or {}, "errors": errors, "until": until,
        "sensitivity": sensitivity, "sobol": sobol, "seed": seed, "specification": specification, "backend": backend,
        "table": table,
    }  # fmt: skip
    plan = checked_plan(values, "sweep")
    if workers is not None and workers < 1:
        raise InputError(f"sweep: workers = {workers}: expected at least 1")
    dataset = as_dataset(data, "sweep")
    place = None if folder is None else _folder(Path(folder))
    notes = {"versions": versions()}
    run = open_run(place, plan, design.network, design.technology, dataset, resume=True, notes=notes)
    with run.store:
        return finish(run, workers=workers, progress=progress)


def finish(
    run: OpenRun, *, workers: int | None = None, scheduler: str | None = None, progress: Progress | None = None
) -> Study:
    """Run the missing trials of an open run; in its folder `trials.csv` is written in the end.

    Parameters
    ----------
    workers, scheduler
        Number of worker processes of this machine, or the address of a Dask scheduler whose workers are used instead.
    progress
        Called with (trials done, trials in all).
    """
    with run.workers(workers, scheduler) as where:
        run.run(where, progress)
    if run.plan.sensitivity:
        first = run.store.points()[0]
        regressed = regression(run.job, first, run.store.trials(first.number))
        if regressed is not None:
            run.store.set_meta("regression", regressed.as_json())
    if run.folder is not None:
        run.store.export(run.folder / "trials.csv")
    return Study(collect(run.store), run.job)


@dataclass(frozen=True)
class Yield:
    """Share of the chips of one point that meet a specification.

    Parameters
    ----------
    point, name
        Number of the point, and what its settings are.
    specification
        Accuracy that a chip must reach.
    n_chips
        Number of chips; one whose simulation failed does not pass.
    share, low, high
        Share that passes, and its 95 % Wilson interval.
    """

    point: int
    name: str
    specification: float
    n_chips: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, outcome: Outcome, specification: float) -> Yield:
        """Yield at a point that has chips."""
        passed, drawn = statistics.passed(outcome.trials, specification), len(outcome.trials)
        low, high = statistics.wilson(passed, drawn)
        return cls(outcome.point.number, outcome.point.name, specification, drawn, passed / drawn, low, high)


class Yields(Rows[Yield]):
    """Yield at each point of a sweep."""

    def _card(self) -> Card:
        line = f"specification {percent(self[0].specification)}" if self else ""
        rows = [
            (one.name, one.n_chips, percent(one.share), f"{100 * one.low:.2f} to {percent(one.high)}") for one in self
        ]  # fmt: skip
        return Card("Yield", line, grids=(Grid(("point", "chips", "yield", "95 % interval"), rows),))


@dataclass(frozen=True, eq=False, repr=False)
class Study(Tabular):
    """What a sweep has shown.

    Parameters
    ----------
    results
        Its chips, point by point, and what is computed from them.
    job
        What they were made from and judged by.
    """

    results: Results
    job: Job

    def _card(self) -> Card:
        numbers, goal = self.results.summary, self.results.specification
        median = numbers["median_accuracy"]
        line = (
            f"{counted(numbers['n_trials'], 'chip')} at {counted(len(self.yield_()), 'point')}, median accuracy "
            f"{'unknown' if median is None else percent(median)}, "
            f"yield at {percent(goal)}: {100 * numbers['yield']:.1f} %"
        )
        rows = []
        for one in self.yield_():
            outcome = self._outcome(one.point)
            known = outcome.quantiles if len(outcome.values) else None
            ends = (None, None) if known is None else (percent(known["q50"]), percent(known["worst"]))
            interval = f"{100 * one.low:.1f} to {100 * one.high:.1f} %"
            rows.append((one.name, one.n_chips, *ends, f"{100 * one.share:.1f} %", interval))
        grid = Grid(("point", "chips", "median", "worst", "yield", "95 % interval"), rows)
        return Card("Study", line, {"plain network": percent(self.results.plain)}, (grid,))

    def plot(self, picture: str = "histogram", ax: Axes | None = None) -> Axes:
        """One of the report's pictures; of several panels the first is returned.

        Parameters
        ----------
        picture
            "histogram" of the accuracies, "yield-curve", "convergence", "waterfall", or "sensitivity".
        ax
            Axes to draw on, for pictures of one panel; None: those of a new figure.

        Raises
        ------
        ValueError
            If the study has no such picture, or it has several panels and axes are given.
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package
        from analog_fhn.report.pictures import drawn

        on = plots.canvas(ax)
        return plots.only_axes(drawn(self.results, picture, on), on)

    def combined_with(self, control: Study, specification: float | None = None) -> Combined:
        """Accuracy and yield of these chips, known better by many more chips of a study that is a control variate.

        Both studies draw their chips from one seed; see `analog_fhn.montecarlo.control`.

        Parameters
        ----------
        control
            Study of more chips by a faster method, such as the backend `direct` where this one is by ngspice.
        specification
            Accuracy (fraction) that a chip must reach; None: that of this study.

        Raises
        ------
        InputError
            If fewer than five chips are in both.
        """
        goal = self.results.specification if specification is None else specification
        return combine(self._outcome(0).trials, control._outcome(0).trials, goal)

    def table(self) -> list[dict[str, Any]]:
        """One row per trial: point, its settings, chip seed, accuracy, ..."""
        points = [outcome.point for outcome in self.results.outcomes.values()]
        return table_rows(points, self.results.trials)

    def accuracies(self, point: int = 0) -> FloatArray:
        """Accuracies of the chips of one point that did not fail, shape (n,)."""
        return np.array(self._outcome(point).values)

    def yield_(self, specification: float | None = None) -> Yields:
        """Yield at each point of the sweep.

        Parameters
        ----------
        specification
            Accuracy (fraction) that a chip must reach; None: that of the sweep.
        """
        goal = self.results.specification if specification is None else specification
        return Yields(
            Yield.of(outcome, goal) for outcome in self.results.outcomes.values() if outcome.point.role == "sweep"
        )

    def worst(self, number: int = 5) -> list[Trial]:
        """Chips of least accuracy, worst first; of a sweep of several points one of each."""
        return [trial for _, trial in self.results.worst(number)]

    def design(self, point: int = 0) -> Design:
        """Design of one point; ``study.design(point).chip(trial.chip_seed)`` is the chip of a trial."""
        return self._outcome(point).point.design(self.job.network, self.job.technology)

    @property
    def shift(self) -> ShiftFile:
        """What chips of a sweep with Sobol's points are shifted by: ``shift.chip(study.design(), trial.chip_seed)``.

        Raises
        ------
        ValueError
            If the sweep has none.
        """
        if self.job.directions is None:
            raise ValueError("a sweep without sobol: its chips are not shifted")
        return ShiftFile(self.job.directions, None, self.job.seed)

    def regression(self) -> Regression | None:
        """Accuracies of the first point's chips, regressed on the component values that were drawn for them.

        Returns
        -------
        Regression or None
            None where it cannot be made, see `analog_fhn.montecarlo.regression.regression`.
        """
        return self._regression

    @cached_property
    def _regression(self) -> Regression | None:
        stored = self.results.meta.get("regression")
        if stored is not None:
            return Regression.of_json(stored)
        first = self._outcome(0)
        return regression(self.job, first.point, first.trials)

    def report(self, path: str | Path) -> None:
        """Write one HTML file with distribution, yield, what decides, and the chips that do worst."""
        from analog_fhn.report.run import write

        write(self.results, Path(path))

    def _outcome(self, point: int) -> Outcome:
        if point not in self.results.outcomes:
            raise ValueError(f"point {point}: expected one of {', '.join(map(str, self.results.outcomes))}")
        return self.results.outcomes[point]


def as_dataset(data: Dataset | tuple[ArrayLike, ArrayLike], caller: str) -> Dataset:
    """Labelled images that a function was given; `caller` is its name, for the message."""
    if isinstance(data, Dataset):
        return data
    if len(data) != 2:
        raise InputError(f"{caller}: data = {shown(data)}: expected a Dataset, or images and labels")
    return from_arrays(*data)


def checked_plan(values: dict[str, Any], caller: str) -> SweepPlan:
    """Plan of the arguments of a function; `caller` is its name, for the message."""
    plain = _plain(values)
    try:
        return SweepPlan.model_validate(plain)
    except ValidationError as error:
        raise InputError(explain(caller, error, plain)) from None


def _plain(value: Any) -> Any:
    """Arrays and their numbers, tuples and other mappings as lists, numbers and dictionaries of Python."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror})") from None
    return folder
