"""What a Monte-Carlo run has shown so far: its chips point by point, and what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analog_fhn.backends.table.backend import default_drives
from analog_fhn.errors import InputError
from analog_fhn.montecarlo import statistics
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.sensitivity import GroupEffect, group_effects
from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.trial import Trial
from analog_fhn.neuron import FloatArray

_NEEDED = ("configuration", "accuracy_plain", "specification", "n_images", "n_classes")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the chips of one point did.

    Parameters
    ----------
    point, trials
        Conditions, and chips judged under them.
    nominal
        Accuracy of the chip without spread; None: unknown.
    name
        Name among the outcomes of the run.
    specification
        Accuracy that a chip must reach.
    fresh
        Whether these chips were drawn to confirm what an allocation chose.
    """

    point: SweepPoint
    trials: list[Trial]
    nominal: float | None
    name: str
    specification: float
    fresh: bool = False

    @cached_property
    def values(self) -> FloatArray:
        """Accuracies of the chips that were simulated, shape (n,)."""
        return statistics.accuracies(self.trials)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """See `analog_fhn.montecarlo.statistics.summary`."""
        return statistics.summary(self.trials, self.specification)

    @cached_property
    def quantiles(self) -> dict[str, float]:
        """See `analog_fhn.montecarlo.statistics.quantiles`."""
        return statistics.quantiles(self.values)

    @property
    def spread(self) -> tuple[float, float, float]:
        """5 % quantile, median, 95 % quantile of the accuracies."""
        return self.quantiles["q05"], self.quantiles["q50"], self.quantiles["q95"]

    @property
    def yield_width(self) -> float:
        """Width of the yield's 95 % interval (fraction)."""
        return float(self.summary["yield_high"] - self.summary["yield_low"])

    @cached_property
    def convergence(self) -> statistics.Convergence:
        """See `analog_fhn.montecarlo.statistics.convergence`."""
        return statistics.convergence(self.trials, self.specification)

    def reached(self, share: float) -> float | None:
        """See `analog_fhn.montecarlo.statistics.reached`."""
        return statistics.reached(self.trials, share)

    @property
    def passed(self) -> int:
        """Number of chips that meet the specification."""
        return statistics.passed(self.trials, self.specification)


@dataclass(frozen=True, eq=False)
class Results:
    """What a run has shown, read at one moment.

    Parameters
    ----------
    name
        Name of the run folder.
    meta
        See `analog_fhn.montecarlo.store.Store.meta`.
    outcomes
        Outcomes of all points that have chips, by the point's number.
    shown
        Those that the run is about: the points of the plan, and the fresh chips of an allocation.
    effects
        Effects of the error groups, where the run has points for them.
    missing
        Number of trials that the plan still asks for.
    searched
        Whether an allocation was begun.
    """

    name: str
    meta: dict[str, Any]
    outcomes: dict[int, Outcome]
    shown: list[Outcome]
    effects: list[GroupEffect]
    missing: int
    searched: bool

    @cached_property
    def trials(self) -> list[Trial]:
        """All trials of the run."""
        return [trial for outcome in self.outcomes.values() for trial in outcome.trials]

    @cached_property
    def failed(self) -> list[Trial]:
        """Trials whose simulation failed."""
        return [trial for trial in self.trials if trial.accuracy is None]

    @cached_property
    def judged(self) -> list[Outcome]:
        """Outcomes among `shown` that have at least one accuracy."""
        return [outcome for outcome in self.shown if len(outcome.values)]

    @property
    def alone(self) -> list[Outcome]:
        """Outcomes of the points at which one error group alone is spread, where they have an accuracy."""
        return [o for o in self.outcomes.values() if o.point.role == "only" and len(o.values)]

    @property
    def specification(self) -> float:
        """Accuracy that a chip must reach."""
        return float(self.meta["specification"])

    @property
    def plain(self) -> float:
        """Accuracy of the plain network."""
        return float(self.meta["accuracy_plain"])

    @property
    def configuration(self) -> dict[str, Any]:
        """What decides the trials, as the run stores it."""
        content: dict[str, Any] = self.meta["configuration"]
        return content

    @property
    def plan(self) -> dict[str, Any]:
        """Keys of the sweep file and their values."""
        content: dict[str, Any] = self.configuration["plan"]
        return content

    @property
    def least_known(self) -> Outcome:
        """The judged outcome whose yield has the widest interval."""
        return max(self.judged, key=lambda outcome: outcome.yield_width)

    @cached_property
    def mistakes(self) -> statistics.Mistakes | None:
        """Mistakes of all chips among `shown`; None if no chip was simulated."""
        trials = [trial for outcome in self.shown for trial in outcome.trials]
        return statistics.Mistakes.of(trials, self.meta["n_classes"])

    def worst(self, number: int) -> list[tuple[Outcome, Trial]]:
        """Chips of least accuracy, worst first: so many of a run with one point, of several points one of each."""
        each = number if len(self.judged) == 1 else 1
        chips = [(outcome, trial) for outcome in self.judged for trial in statistics.worst(outcome.trials, each)]
        return sorted(chips, key=lambda chip: (chip[1].accuracy or 0.0, chip[1].point, chip[1].trial))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Numbers of the run: over the points of the plan, and for each of them; see `statistics.summary`."""
        rows = []
        for outcome in self.outcomes.values():
            point = outcome.point
            known = {"point": point.number, "role": point.role, "name": point.name, "settings": dict(point.settings)}
            distribution = outcome.quantiles if len(outcome.values) else None
            rows.append(known | outcome.summary | {"nominal_accuracy": outcome.nominal, "distribution": distribution})
        planned = [trial for o in self.outcomes.values() if o.point.role == "sweep" for trial in o.trials]
        return statistics.summary(planned, self.specification) | {
            "accuracy_plain": self.plain, "n_images": self.meta["n_images"], "points": rows,
        }  # fmt: skip

    @property
    def table_size(self) -> int:
        """Drives per neuron of the response tables; 0: none were used."""
        if self.plan["table"] is not None:
            return int(self.plan["table"])
        return default_drives(self.plan["backend"], (self.configuration.get("readout") or ["mean"])[0])

    @property
    def table_errors(self) -> dict[str, list[Trial]]:
        """Trials that state an error of their response table, largest first, by `table_error` and `window_error`."""
        kinds = {
            kind: [t for t in self.trials if getattr(t, kind) is not None] for kind in ("table_error", "window_error")
        }
        return {k: sorted(trials, key=lambda t: -getattr(t, k)) for k, trials in kinds.items() if trials}


def read(run: Path) -> Results:
    """Results of a run folder, which may still be written to.

    Raises
    ------
    InputError
        If there is no run, it is broken, or no trial is done yet.
    """
    with Store(run) as store:
        results = collect(store)
    if not results.outcomes:
        raise InputError(f"{run}: no trial is done yet; nothing to report (analog-fhn status {run})")
    return results


def collect(store: Store) -> Results:
    """Results of an open run.

    Raises
    ------
    InputError
        If it is broken or no run of a sweep.
    """
    meta = store.known(*_NEEDED)
    points = store.points()
    trials: dict[int, list[Trial]] = {point.number: [] for point in points}
    for trial in store.trials():
        trials[trial.point].append(trial)
    outcomes = _outcomes(points, trials, store.nominal(), float(meta["specification"]))
    return Results(
        name=store.name,
        meta=meta,
        outcomes=outcomes,
        shown=_shown(outcomes, meta.get("allocation")),
        effects=group_effects(store) if any(point.role in ("only", "without") for point in points) else [],
        missing=_missing(points, trials, meta),
        searched=any(point.role == "allocation" for point in points),
    )


def _outcomes(
    points: Sequence[SweepPoint], trials: Mapping[int, list[Trial]], nominal: Mapping[int, float], specification: float
) -> dict[int, Outcome]:
    """Outcomes of the points that have chips."""
    several = sum(point.role == "sweep" and bool(trials[point.number]) for point in points) > 1
    return {
        p.number: Outcome(
            p, trials[p.number], nominal.get(p.number), f"{p.number}: {p.name}" if several else p.name, specification
        )
        for p in points
        if trials[p.number]
    }


def _shown(outcomes: Mapping[int, Outcome], allocation: Mapping[str, Any] | None) -> list[Outcome]:
    """Outcomes of the plan's points and of the chips that confirm an allocation; without these, what there is."""
    shown = [outcome for outcome in outcomes.values() if outcome.point.role == "sweep"]
    confirmation = (allocation or {}).get("confirmation")
    if confirmation is not None and confirmation["point"] in outcomes:
        chosen = outcomes[confirmation["point"]]
        fresh = chosen.trials[-confirmation["n_trials"] :]
        name = "chosen classes, fresh chips"
        shown.append(Outcome(chosen.point, fresh, chosen.nominal, name, chosen.specification, fresh=True))
    shown = shown or [outcome for outcome in outcomes.values() if outcome.point.role == "allocation"]
    return shown or list(outcomes.values())


def _missing(points: Sequence[SweepPoint], trials: Mapping[int, list[Trial]], meta: Mapping[str, Any]) -> int:
    """Number of trials that the plan still asks for."""
    plan = meta["configuration"]["plan"]
    searched = any(point.role == "allocation" for point in points)
    missing = 0
    for point in points:
        drawn = trials[point.number]
        enough = plan["until"] is not None and statistics.known_well(
            drawn, float(meta["specification"]), plan["until"]["width"]
        )
        # `allocate` draws its own chips, and none of the plan's.
        if point.role != "allocation" and not enough and (drawn or not searched):
            missing += max(0, plan["chips"] - len(drawn))
    return missing
