"""Which parts decide: error groups one at a time and left out one at a time, and a regression on the drawn values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.trial import Trial
from analog_fhn.neuron import FloatArray


@dataclass(frozen=True)
class Difference:
    """Mean difference of an accuracy (fraction) over the same chips, with its 95 % interval (Student's t, paired)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupEffect:
    """What one error group does.

    Parameters
    ----------
    group
        Name, as in `--errors`.
    alone
        Accuracy of chips with this group alone, less that of the nominal chip; None: no such point in the run.
    alone_changed
        Share of images to which chips with this group alone give another class than the plain network: mean of one
        minus the agreement; None likewise.
    alone_sd
        Standard deviation of the accuracy from chip to chip with this group alone.
    left_out
        Accuracy of chips without this group, less that of the same chips with all groups.
    """

    group: str
    alone: Difference | None
    alone_changed: float | None
    alone_sd: float | None
    left_out: Difference | None

    @property
    def lost(self) -> Difference | None:
        """Accuracy lost with this group alone: `alone` with its sign turned."""
        d = self.alone
        return None if d is None else Difference(-d.mean, -d.high, -d.low)


@dataclass(frozen=True)
class Costliest:
    """The error group that costs most.

    Parameters
    ----------
    group
        Name of the group.
    loss
        Accuracy that it costs.
    alone
        Whether it is the accuracy lost with this group alone; else that regained without this group.
    rivals
        Other groups whose interval overlaps with that of `loss`.
    """

    group: str
    loss: Difference
    alone: bool
    rivals: tuple[str, ...]


def costliest(effects: Sequence[GroupEffect]) -> Costliest | None:
    """The group with the largest loss alone, or, without any such point, with the largest gain when it is left out.

    None: no effect is known.
    """
    for alone in (True, False):
        losses = [(e.group, loss) for e in effects if (loss := e.lost if alone else e.left_out) is not None]
        if losses:
            (group, most), *others = sorted(losses, key=lambda item: -item[1].mean)
            return Costliest(group, most, alone, tuple(name for name, d in others if d.high >= most.low))
    return None


def group_effects(store: Store) -> list[GroupEffect]:
    """Effects of all groups that the run has points for, the largest loss first."""
    points = store.points()
    if not points:
        return []
    base = {t.trial: t for t in store.trials(points[0].number)}
    nominal = store.nominal().get(points[0].number)
    effects: dict[str, GroupEffect] = {}
    for point in points:
        if point.role not in ("only", "without"):
            continue
        group = point.name.split()[-1]
        effect = effects.get(group, GroupEffect(group, None, None, None, None))
        trials = [t for t in store.trials(point.number) if t.accuracy is not None]
        if point.role == "only" and nominal is not None and len(trials) > 1:
            values = _accuracy(trials)
            changed = float(np.mean([1.0 - (t.agreement or 0.0) for t in trials]))
            effect = GroupEffect(
                group, _difference(values - nominal), changed, float(values.std(ddof=1)), effect.left_out
            )
        if point.role == "without":
            both = [(t, base[t.trial]) for t in trials if t.trial in base and base[t.trial].accuracy is not None]
            if len(both) > 1:
                gained = _accuracy([t for t, _ in both]) - _accuracy([b for _, b in both])
                effect = GroupEffect(group, effect.alone, effect.alone_changed, effect.alone_sd, _difference(gained))
        effects[group] = effect
    return sorted(effects.values(), key=lambda e: e.alone.mean if e.alone is not None else 0.0)


def _accuracy(trials: list[Trial]) -> FloatArray:
    return np.array([t.accuracy for t in trials], dtype=np.float64)


def _difference(values: FloatArray) -> Difference:
    half = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return Difference(mean, mean - half, mean + half)
