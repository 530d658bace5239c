"""The cheapest part classes that still meet a yield, from the cost table of the technology.

Every class is tried by itself beside the best classes of everything else, on the same chips. Losses of accuracy, and
variances, are taken as additive to put all combinations in order; those that this lets hope are simulated, from the
cheapest on, until one meets the yield. Then every single cheaper class is tried in it, and what comes out is confirmed
on chips that the search has never seen. The estimate only says what to try first: every verdict is a simulation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import norm

from analog_fhn._support.progress import Progress
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.open_run import OpenRun
from analog_fhn.montecarlo.plan import Allocation, SweepPoint
from analog_fhn.montecarlo.runner import Workers
from analog_fhn.montecarlo.statistics import accuracies, passed, wilson
from analog_fhn.montecarlo.trial import Trial
from analog_fhn.netlist.bom import bill, cost
from analog_fhn.technology.technology import Technology

_ROUND = 20  # chips between two looks at a combination, and chips that a class by itself is judged by
_HOPEFUL = 0.25  # estimated yield, as a share of the one wanted, below which a combination is not simulated

Classes = Mapping[str, str]  # class by key of `Technology.classes`
Verdict = Literal["meets", "fails"]


@dataclass(frozen=True)
class Combination:
    """One combination that was simulated; prices in the technology's own unit."""

    point: int
    classes: dict[str, str]
    cost: float
    n_trials: int
    share: float
    low: float
    high: float
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """With the names that result files use."""
        values = asdict(self)
        return {_NAMES.get(name, name): value for name, value in values.items()}


_NAMES = {"share": "yield", "low": "yield_low", "high": "yield_high"}


@dataclass(frozen=True)
class Effect:
    """What one class does beside the best of everything else: mean accuracy and its variance from chip to chip."""

    mean: float
    variance: float


def search(
    prices: Mapping[str, Mapping[str, float]],
    effects: Mapping[str, Mapping[str, Effect]],
    best: Effect,
    specification: float,
    target: float,
    simulate: Callable[[Classes], Verdict],
    confirm: Callable[[Classes], bool],
) -> dict[str, str] | None:
    """Cheapest combination that is found to meet the yield and is confirmed; None if none is.

    Parameters
    ----------
    prices
        Cost of all parts of a class, by key and name.
    effects, best
        Of each class beside the best of the other keys, and of the best of all keys together.
    specification, target
        Accuracy that a chip must reach, and share of chips that must.
    simulate, confirm
        Judge a combination on the chips of the search, and on fresh ones.
    """
    keys = list(prices)
    combinations = [dict(zip(keys, names, strict=True)) for names in itertools.product(*prices.values())]
    total = [sum(prices[key][name] for key, name in classes.items()) for classes in combinations]
    failed: list[dict[str, str]] = []

    def no_worse(one: Classes, other: Classes) -> bool:
        """Whether every class of `one` is as good as that of `other` in mean and variance, or the same."""

        def as_good(a: Effect, b: Effect) -> bool:
            return a.mean >= b.mean and a.variance <= b.variance

        return all(one[k] == other[k] or as_good(effects[k][one[k]], effects[k][other[k]]) for k in keys)

    def meets(classes: dict[str, str]) -> bool:
        if any(no_worse(worse, classes) for worse in failed):
            return False
        if simulate(classes) == "meets":
            return True
        failed.append(classes)
        return False

    def cheaper(classes: dict[str, str]) -> list[dict[str, str]]:
        """The same with one class cheaper, the largest saving first."""
        savings = [
            (prices[key][name] - prices[key][classes[key]], {**classes, key: name})
            for key in keys for name in prices[key] if prices[key][name] < prices[key][classes[key]]
        ]  # fmt: skip
        return [changed for _, changed in sorted(savings, key=lambda item: item[0])]

    for k in sorted(range(len(combinations)), key=lambda i: (total[i], i)):
        classes = combinations[k]
        if _estimated_yield(classes, effects, best, specification) < _HOPEFUL * target or not meets(classes):
            continue
        good = [classes]
        while (improved := next((other for other in cheaper(good[-1]) if meets(other)), None)) is not None:
            good.append(improved)
        for classes in reversed(good):
            if confirm(classes):
                return classes
            failed.append(classes)
    return None


def _estimated_yield(
    classes: Classes, effects: Mapping[str, Mapping[str, Effect]], best: Effect, specification: float
) -> float:
    mean = best.mean + sum(effects[key][name].mean - best.mean for key, name in classes.items())
    variance = best.variance + sum(effects[key][name].variance - best.variance for key, name in classes.items())
    return float(norm.cdf((mean - specification) / np.sqrt(max(variance, 1e-8))))


def allocate(study: OpenRun, workers: Workers, progress: Progress | None = None) -> dict[str, Any]:
    """Search the cheapest classes for the plan's first point; the outcome is stored with the run.

    Returns
    -------
    dict
        `target`, `specification`, `present` and `chosen` (classes and cost; chosen is None if no combination meets the
        yield), `steps`, `confirmation`, `unpriced` (parts that no class prices).

    Raises
    ------
    InputError
        If the plan has no allocation, or the technology no classes to choose from.
    """
    goal = study.plan.allocation
    if goal is None:
        raise InputError("the plan has no key 'allocation' (expected for instance allocation: {yield: 0.99})")
    base = study.store.points()[0]
    technology = base.design(study.network, study.technology).technology
    prices, unpriced = _prices(base.design(study.network, study.technology), goal)
    tried = _Simulations(study, workers, base, goal, prices, progress)

    every = {key: dict.fromkeys(names, Effect(0.0, 0.0)) for key, names in prices.items()}
    # The dearest class is not always the best one: found out one key after the other, beside the present others.
    present = {key: _present(technology, key, names) for key, names in prices.items()}
    top = dict(present)
    for key, names in prices.items():
        seen = {name: _effect(tried.chips({**top, key: name}, _ROUND)) for name in names}
        top[key] = max(seen, key=lambda name: (seen[name].mean, -prices[key][name]))
    best = _effect(tried.chips(top, _ROUND))
    for key, names in prices.items():
        for name in names:
            every[key][name] = _effect(tried.chips({**top, key: name}, _ROUND))
    chosen = search(prices, every, best, study.specification, goal.target, tried.judge, tried.confirm)
    result = {
        "target": goal.target,
        "specification": study.specification,
        "present": {"classes": present, "cost": tried.cost(present)},
        "chosen": None if chosen is None else {"classes": chosen, "cost": tried.cost(chosen)},
        "steps": [step.as_json() for step in tried.steps],
        "confirmation": tried.confirmations[-1] if chosen is not None else None,
        "unpriced": unpriced,
    }
    study.store.set_meta("allocation", result)
    return result


def _present(technology: Technology, key: str, names: Mapping[str, float]) -> str:
    bought = technology.bought(key)
    return min(names, key=lambda name: names[name]) if bought is None else bought.name


def _effect(trials: list[Trial]) -> Effect:
    values = accuracies(trials)
    # A failed chip is one that gets nothing right.
    values = np.concatenate([values, np.zeros(len(trials) - len(values))])
    return Effect(float(values.mean()), float(values.var(ddof=1)))


def _prices(design: Design, goal: Allocation) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Cost of all parts of every class, by key and name, and the kinds of parts without a price."""
    technology = design.technology
    unknown = set(goal.keep) - set(technology.classes)
    if unknown:
        raise InputError(
            f"allocation.keep: {', '.join(sorted(unknown))}: no keys of the technology's classes "
            f"({', '.join(technology.classes) or 'it has none'})"
        )
    keys = [key for key, parts in technology.classes.items() if parts and key not in goal.keep]
    if not keys:
        raise InputError(f"technology {technology.name!r} has no classes to choose from (key 'classes')")
    prices: dict[str, dict[str, float]] = {}
    unpriced: list[str] = []
    for key in keys:
        first = technology.classes[key][0].name
        others = {k: technology.classes[k][0].name for k in keys}
        base, unpriced = _cost(design, others)
        prices[key] = {
            part.name: _cost(design, {**others, key: part.name})[0] - base for part in technology.classes[key]
        }
        assert prices[key][first] == 0.0
    # What all parts of the first classes cost goes to one key, so that sums are whole costs.
    one = keys[0]
    prices[one] = {name: price + base for name, price in prices[one].items()}
    return prices, unpriced


def _cost(design: Design, classes: Classes) -> tuple[float, list[str]]:
    changed = Design(design.network, design.technology.with_classes(classes))
    if changed.technology.BOUGHT:
        return cost(bill(changed, recentre=changed.network.recentre))
    return _priced(changed), []


def _priced(design: Design) -> float:
    """Prices of all parts of a chip that come in classes: one for each device of an array, or for each cell."""
    technology, total = design.technology, 0.0
    cells = sum(cell.n_cells for cell in design.cells)
    devices = sum(array.crossbar.g_plus.size + array.crossbar.g_minus.size for array in design.arrays)
    for key in technology.classes:
        part = technology.bought(key)
        if part is not None:
            total += part.price * (devices if key == "array" else cells)
    return total


class _Simulations:
    """Combinations on the chips of the search; each is a point of the run."""

    def __init__(
        self,
        study: OpenRun,
        workers: Workers,
        base: SweepPoint,
        goal: Allocation,
        prices: Mapping[str, Mapping[str, float]],
        progress: Progress | None,
    ) -> None:
        self._study, self._workers, self._base, self._goal = study, workers, base, goal
        self._prices, self._progress = prices, progress
        self._done = 0
        self.steps: list[Combination] = []
        self.confirmations: list[dict[str, Any]] = []

    def cost(self, classes: Classes) -> float:
        return sum(self._prices[key][name] for key, name in classes.items())

    def chips(self, classes: Classes, number: int, first: int = 0) -> list[Trial]:
        """Trials of chips `first` to `first + number` of a combination."""
        point = self._point(classes)
        before = self._done

        def advance(done: int, _total: int) -> None:
            if self._progress is not None:
                self._progress(before + done, max(before + done, 2 * before))

        self._study.ensure(self._workers, [point], first + number, advance, first=first)
        self._done += number
        return [t for t in self._study.store.trials(point) if first <= t.trial < first + number]

    def judge(self, classes: Classes) -> Verdict:
        """Add chips until the yield's interval is on one side of the target, or all chips are drawn."""
        target, specification = self._goal.target, self._study.specification
        number = 0
        while True:
            number = min(number + _ROUND, self._goal.chips)
            trials = self.chips(classes, number)
            good = passed(trials, specification)
            low, high = wilson(good, number)
            if low >= target or high < target or number == self._goal.chips:
                break
        verdict: Verdict = "meets" if good / number >= target else "fails"
        point = self._point(classes)
        self.steps.append(
            Combination(point, dict(classes), self.cost(classes), number, good / number, low, high, verdict)
        )
        return verdict

    def confirm(self, classes: Classes) -> bool:
        """Fresh chips, beyond those of the search."""
        trials = self.chips(classes, self._goal.confirm, first=max(self._goal.chips, _ROUND))
        good = passed(trials, self._study.specification)
        low, high = wilson(good, len(trials))
        values = accuracies(trials)
        self.confirmations.append({
            "point": self._point(classes), "n_trials": len(trials), "yield": good / len(trials), "yield_low": low,
            "yield_high": high, "median_accuracy": float(np.median(values)) if len(values) else None,
        })  # fmt: skip
        return good / len(trials) >= self._goal.target

    def _point(self, classes: Classes) -> int:
        settings = dict(self._base.settings) | {"classes": dict(classes)}
        points = self._study.store.points()
        for point in points:
            if point.role == "allocation" and dict(point.settings) == settings:
                return point.number
        name = ", ".join(f"{key} {name}" for key, name in classes.items())
        self._study.add_point(SweepPoint(len(points), "allocation", name, settings))
        return len(points)
