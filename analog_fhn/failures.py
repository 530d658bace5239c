"""Chips that hardly ever fail: how often they do all the same, and which one fails first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn._support.cards import Card, Grid, Tabular
from analog_fhn._support.progress import Progress
from analog_fhn._support.words import percent
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.montecarlo.design_point import DesignPoint, WorstCase, design_point
from analog_fhn.montecarlo.design_point import worst_case as first_failing
from analog_fhn.montecarlo.directions import Along, Directions
from analog_fhn.montecarlo.gradient import LEAST_PART
from analog_fhn.montecarlo.importance import Probability, Search, log_weights, search
from analog_fhn.montecarlo.open_run import OpenRun, compare_configurations, open_run
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.runner import Workers, local_workers, run_trials
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.shifted_store import ShiftedStore, open_shifted
from analog_fhn.montecarlo.slopes import no_slopes
from analog_fhn.montecarlo.trial import ShiftedTrial, Trial
from analog_fhn.neuron import FloatArray
from analog_fhn.sweeps import as_dataset, checked_plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class RareFailures(Tabular):
    """How often chips of a design miss a specification.

    Parameters
    ----------
    design, specification
        What is manufactured, and the accuracy (fraction) that a chip must reach.
    probability
        That a chip fails, with its interval.
    directions, amounts
        Along which the chips were shifted, and how far (sigmas).
    found
        How the shift was found.
    worst_case
        The most probable chip that fails.
    trials
        The chips, in their order.
    n_chips
        Number of chips in all, those of the search among them.
    """

    design: Design
    specification: float
    probability: Probability
    directions: Directions
    found: Search
    worst_case: WorstCase
    trials: tuple[ShiftedTrial, ...]
    n_chips: int

    def _card(self) -> Card:
        p = self.probability
        line = (
            f"{p.probability:.3g} of the chips miss {percent(self.specification)} (95 % interval {p.low:.3g} to "
            f"{p.high:.3g}), {self.n_chips} chips; worst case at {self.worst_case.distance:.2f} sigmas"
        )
        facts = {
            "shifted chips that fail": f"{p.n_failing} of {p.n_samples}, effective sample size {p.effective:.0f}",
            "explained by the linear model": f"{100 * self.found.explained:.0f} % of the variance",
        }
        rows = list(zip(self.directions.names, self.amounts, strict=True))
        return Card("Rare failures", line, facts, (Grid(("direction", "shift (sigmas)"), rows),))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Accuracies of the shifted chips, on these axes or those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on, label = plots.canvas(ax), f"{len(self.trials)} chips, shifted towards failure"
        values = np.array([trial.accuracy for trial in self.trials])
        steps = np.diff(np.unique(values))
        step = float(steps.min()) if len(steps) else 0.001
        return plots.only_axes(
            plots.histograms({label: values}, self.specification, self.worst_case.nominal, step, on), on
        )  # fmt: skip

    @property
    def amounts(self) -> tuple[float, ...]:
        """How far the chips were shifted along each direction, in sigmas."""
        return self.found.amounts

    @cached_property
    def log_weights(self) -> FloatArray:
        """Logarithms of the likelihood ratios of the chips, shape (n,)."""
        return log_weights(np.array([trial.projections for trial in self.trials]), self.amounts)

    @property
    def shift(self) -> ShiftFile:
        """What the chips were shifted by, as it is written to a file."""
        return ShiftFile(self.directions, self.amounts)

    def chip(self, trial: ShiftedTrial) -> ManufacturedChip:
        """One of the chips."""
        return self.design.chip(trial.chip_seed, Along(self.directions, self.amounts))

    def table(self) -> list[dict[str, Any]]:
        """A row per chip: its number and seed, its accuracy, the logarithm of its weight, whether it fails."""
        return [
            {
                "trial": trial.trial, "chip_seed": trial.chip_seed, "accuracy": trial.accuracy,
                "log_weight": float(weight), "fails": (trial.accuracy or 0.0) < self.specification,
            }
            for trial, weight in zip(self.trials, self.log_weights, strict=True)
        ]  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Plain values; without the chips."""
        return self.probability.as_json() | {
            "specification": self.specification,
            "n_chips": self.n_chips,
            "explained": self.found.explained,
            "directions": list(self.directions.names),
            "amounts": list(self.amounts),
            "rounds": [asdict(one) for one in self.found.rounds],
            "worst_case": self.worst_case.as_json(),
        }


def rare(
    design: Design,
    data: Dataset | tuple[ArrayLike, ArrayLike],
    *,
    specification: float,
    chips: int = 4000,
    pilot: int = 1000,
    seed: int = 0,
    table: int | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> RareFailures:
    """Estimate the probability that a chip misses a specification which nearly all chips meet, by importance sampling.

    Every chip is one integer seed and the shift. Stuck devices and parts that are uniform within their tolerance are
    drawn as they always are. Trials run in worker processes: a script that calls this does so below
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    design
        What is manufactured.
    data
        Labelled images, or two arrays: images and labels.
    specification
        Accuracy (fraction) that a chip must reach.
    chips
        Number of chips of the estimate.
    pilot
        Number of chips of each round of the search for the shift, of which there are two to nine; a round with too few
        failing chips is longer.
    seed
        Root seed; chip k depends on (seed, k) and the shift alone.
    table
        Drives per neuron of the response tables; None: 9.
    workers
        Number of worker processes; None: one per usable core.
    folder
        A folder that exists, where every chip is stored in `rare.sqlite` as soon as it is judged. What was ended, or
        had too few chips, goes on there when it is called again, also with another number of `chips`. None: chips are
        kept in memory alone.
    progress
        Called with (chips done, chips that are known to be needed).

    Raises
    ------
    InputError
        Naming what is wrong with an argument or the data; if the accuracy has no slopes in the normal parts, if the
        linear model explains too little, or if the effective sample size of the failing chips is too small; if the
        folder holds chips of something else.
    SimulationError
        If a chip cannot be simulated, or the search for the shift does not settle.
    RunError
        If worker processes do not even begin.
    """
    for name, value in (("chips", chips), ("pilot", pilot)):
        if value < 1:
            raise InputError(f"rare: {name} = {value}: expected at least 1")
    if workers is not None and workers < 1:
        raise InputError(f"rare: workers = {workers}: expected at least 1")
    with _begun(design, data, specification, seed, table) as run, _kept(run, pilot, folder) as store:
        point = design_point(run.job, design, specification)
        worst = first_failing(run.job, design, specification, point)
        directions, lengths = Directions.of(point.point, point.groups, LEAST_PART)
        job = replace(run.job, directions=directions)
        with local_workers(job, workers) as where:
            source = _Source(where, progress, chips + 2 * pilot, store)
            found = search(lengths, specification, pilot, source.draw)
            trials = source.trials(found.amounts, chips)
    accuracy = np.array([trial.accuracy for trial in trials])
    weights = log_weights(np.array([trial.projections for trial in trials]), found.amounts)
    probability = Probability.of(weights, accuracy < specification)
    return RareFailures(
        design, specification, probability, directions, found, worst, tuple(trials), source.drawn
    )  # fmt: skip


def worst_case(
    design: Design,
    data: Dataset | tuple[ArrayLike, ArrayLike],
    *,
    specification: float,
    seed: int = 0,
    table: int | None = None,
) -> WorstCase:
    """The most probable chip of a design that misses a specification, and how many sigmas off it is.

    Parameters
    ----------
    design, data, specification, table
        As for `rare`.
    seed
        Root seed of the chips that tell how far margins move.

    Raises
    ------
    InputError
        Naming what is wrong with an argument or the data; if the accuracy has no slopes in the normal parts.
    SimulationError
        If the iteration does not settle, or the linear model does not lead to a chip that fails.
    """
    with _begun(design, data, specification, seed, table) as run:
        found: DesignPoint = design_point(run.job, design, specification)
        return first_failing(run.job, design, specification, found)


@contextmanager
def _begun(
    design: Design, data: Dataset | tuple[ArrayLike, ArrayLike], specification: float, seed: int, table: int | None
) -> Iterator[OpenRun]:
    """A run in memory, whose images and specification are checked."""
    if reason := no_slopes(design, "direct"):
        raise InputError(reason)
    plan = checked_plan(
        {"chips": 1, "seed": seed, "specification": specification, "table": table, "settings": {}}, "rare"
    )
    run = open_run(None, plan, design.network, design.technology, as_dataset(data, "rare"))
    with run.store:
        yield run


@contextmanager
def _kept(run: OpenRun, pilot: int, folder: str | Path | None) -> Iterator[ShiftedStore | None]:
    """Where chips are stored; None: nowhere."""
    if folder is None:
        yield None
        return
    meta = run.store.known("configuration", "n_images", "n_classes")
    meta = {key: meta[key] for key in ("n_images", "n_classes")} | {
        "configuration": meta["configuration"] | {"pilot": pilot}
    }
    with open_shifted(Path(folder), meta) as store:
        compare_configurations(store.known("configuration")["configuration"], meta["configuration"], Path(folder))
        yield store


class _Source:
    """Chips one after another, each with a number of its own.

    Parameters
    ----------
    workers
        Where they are judged.
    progress
        Called with (chips done, chips expected).
    expected
        Number of chips that are expected at least.
    store
        Where they are kept, and those of an earlier run are found; None: nowhere.
    """

    def __init__(
        self, workers: Workers, progress: Progress | None, expected: int, store: ShiftedStore | None = None
    ) -> None:
        self._workers, self._progress, self._expected, self._store = workers, progress, expected, store
        self._points: list[SweepPoint] = []
        self._asked = 0
        self.drawn = 0

    def trials(self, amounts: tuple[float, ...], number: int) -> list[ShiftedTrial]:
        """The next chips with these amounts, in their order."""
        point = SweepPoint(len(self._points), "sweep", "shifted", {}, amounts)
        self._points.append(point)
        numbers = range(self._asked, self._asked + number)
        self._asked += number
        kept = {} if self._store is None else self._store.chips(point)
        found = [kept[k] for k in numbers if k in kept]
        self._advance(len(found))

        def record(trials: Sequence[Trial]) -> None:
            shifted = [trial for trial in trials if isinstance(trial, ShiftedTrial)]
            if self._store is not None:
                self._store.add(*shifted)
            found.extend(shifted)
            self._advance(len(shifted))
            for trial in trials:
                if not isinstance(trial, ShiftedTrial):
                    raise SimulationError(f"chip {trial.chip_seed} cannot be simulated: {trial.message}")

        run_trials(self._workers, self._points, ((point.number, k) for k in numbers if k not in kept), record)
        return sorted(found, key=lambda trial: trial.trial)

    def _advance(self, chips: int) -> None:
        self.drawn += chips
        if self._progress is not None:
            self._progress(self.drawn, max(self._expected, self.drawn))

    def draw(self, amounts: tuple[float, ...], number: int) -> tuple[FloatArray, FloatArray]:
        """See `analog_fhn.montecarlo.importance.Draw`."""
        trials = self.trials(amounts, number)
        return np.array([trial.accuracy for trial in trials]), np.array([trial.projections for trial in trials])
