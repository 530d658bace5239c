"""Few chips at circuit level, and the same chips and many more by their equations: a control variate.

Both runs draw their chips from one seed, so that chip k is the same sample in both. What the equations leave out moves
a chip's accuracy by little beside what its mismatch does: the difference of both is known well from few chips, and what
many chips do from the equations. The estimate is the latter plus the mean difference,

    mean of Y = mean of X over all N chips + mean of (Y - X) over the n chips that are in both,

which is unbiased, with the variance ``var(Y - X)/n + var(X)/N`` (Glasserman, Monte Carlo Methods in Financial
Engineering, 4.1, with the coefficient 1; that the n chips are among the N makes it smaller).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, pearsonr, t

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn._support.words import percent
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.montecarlo.trial import Trial

FEWEST = 5
"""Chips in both runs, at least."""


@dataclass(frozen=True, repr=False)
class Combined(Shown):
    """What both runs say of chips at circuit level; accuracies and yields are fractions.

    Parameters
    ----------
    n_both, n_control
        Chips in both runs, and in the run of the equations.
    difference, difference_low, difference_high
        Mean accuracy at circuit level less that by equations, with its 95 % interval.
    mean, mean_low, mean_high
        Mean accuracy at circuit level.
    yield_, yield_low, yield_high
        Share of chips at circuit level that meet the specification.
    alone_low, alone_high
        Interval of the yield from the chips at circuit level alone (Wilson).
    passed_by_one
        Chips that pass at circuit level alone, and by the equations alone.
    correlation
        Of the accuracies of the chips in both runs; None where one of them is constant.
    """

    n_both: int
    n_control: int
    difference: float
    difference_low: float
    difference_high: float
    mean: float
    mean_low: float
    mean_high: float
    yield_: float
    yield_low: float
    yield_high: float
    alone_low: float
    alone_high: float
    passed_by_one: tuple[int, int]
    correlation: float | None

    def _card(self) -> Card:
        def span(low: float, high: float) -> str:
            return f"{100 * low:.2f} to {percent(high)}"

        rows = [
            ("mean accuracy", percent(self.mean), span(self.mean_low, self.mean_high)),
            ("difference to the control", percent(self.difference), span(self.difference_low, self.difference_high)),
            ("yield", percent(self.yield_), span(self.yield_low, self.yield_high)),
            ("yield of these chips alone", None, span(self.alone_low, self.alone_high)),
        ]
        facts = {} if self.correlation is None else {"correlation of the accuracies": f"{self.correlation:.3f}"}
        line = f"{self.n_both} chips, with {self.n_control} as a control variate"
        return Card("Combined", line, facts, (Grid(("", "estimate", "95 % interval"), rows),))


def combine(circuit: Sequence[Trial], control: Sequence[Trial], specification: float) -> Combined:
    """Accuracy and yield at circuit level from few chips there and many by equations.

    A failed trial is a chip that does not pass, and takes no part in means. The interval of the yield is that of a
    difference of paired shares after Agresti and Min (Statistics in Medicine 24:729, 2005), who add half a chip to each
    of the four cases, so that it has a width where no chip differs; the variance of the control's yield is added.

    Parameters
    ----------
    circuit, control
        Chips at circuit level, and by equations.
    specification
        Accuracy that a chip must reach.

    Raises
    ------
    InputError
        If fewer than five chips are in both.
    """
    by_seed = {trial.chip_seed: trial for trial in control}
    pairs = [(one, by_seed[one.chip_seed]) for one in circuit if one.chip_seed in by_seed]
    done = [(one.accuracy, other.accuracy) for one, other in pairs]
    both = np.array([pair for pair in done if None not in pair], dtype=np.float64).reshape(-1, 2)
    if len(both) < FEWEST:
        raise InputError(
            f"{len(both)} chips were judged in both runs (of {len(circuit)} and {len(control)}); expected at least "
            f"{FEWEST}: runs of the same seed and network, whose chips are the same samples"
        )
    many = np.array([trial.accuracy for trial in control if trial.accuracy is not None])
    apart, n, m = both[:, 0] - both[:, 1], len(both), len(many)
    quantile = float(t.ppf(0.975, n - 1))
    difference, of_difference = float(apart.mean()), float(apart.var(ddof=1) / n)
    mean, of_mean = float(many.mean()) + difference, of_difference + float(many.var(ddof=1) / m)

    passes = np.array([[a is not None and a >= specification for a in pair] for pair in done])
    only_circuit, only_control = (int(np.sum(passes[:, k] & ~passes[:, 1 - k])) for k in (0, 1))
    share = float(np.mean([t.accuracy is not None and t.accuracy >= specification for t in control]))
    b, c, of_all = only_circuit + 0.5, only_control + 0.5, len(pairs) + 2.0
    moved = (b - c) / of_all
    of_yield = (b + c - (b - c) ** 2 / of_all) / of_all**2 + share * (1.0 - share) / len(control)
    half = float(norm.ppf(0.975) * np.sqrt(of_yield))
    low, high = wilson(int(passes[:, 0].sum()), len(pairs))
    constant = np.ptp(both, axis=0).min() == 0.0
    return Combined(
        len(pairs), len(control),
        difference, difference - quantile * of_difference**0.5, difference + quantile * of_difference**0.5,
        mean, mean - quantile * of_mean**0.5, mean + quantile * of_mean**0.5,
        float(np.clip(share + (only_circuit - only_control) / len(pairs), 0.0, 1.0)),
        float(np.clip(share + moved - half, 0.0, 1.0)), float(np.clip(share + moved + half, 0.0, 1.0)),
        low, high, (only_circuit, only_control),
        None if constant else float(pearsonr(both[:, 0], both[:, 1]).statistic),
    )  # fmt: skip
