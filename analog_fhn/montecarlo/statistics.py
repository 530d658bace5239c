"""What many chips say: distribution, yield and its uncertainty, when there are enough of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from analog_fhn.montecarlo.trial import Trial
from analog_fhn.neuron import FloatArray

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FEWEST_FOR_MEDIAN = 6  # chips whose least and largest accuracy hold the median with 95 %


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson, J. Am. Stat. Assoc. 22:209, 1927)."""
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def accuracies(trials: Sequence[Trial]) -> FloatArray:
    """Accuracies of the trials that did not fail, shape (n,)."""
    return np.array([t.accuracy for t in trials if t.accuracy is not None])


def passed(trials: Sequence[Trial], specification: float) -> int:
    """Number of chips that meet the specification; a failed trial is a chip that does not."""
    return int(np.count_nonzero(accuracies(trials) >= specification))


def summary(trials: Sequence[Trial], specification: float) -> dict[str, float | int | None]:
    """Numbers of a sweep: trials, failures, median accuracy, yield with its 95 % Wilson interval.

    A failed trial counts as a chip that does not pass.
    """
    values = accuracies(trials)
    low, high = wilson(passed(trials, specification), len(trials)) if trials else (0.0, 1.0)
    return {
        "n_trials": len(trials),
        "n_failed": len(trials) - len(values),
        "median_accuracy": float(np.median(values)) if len(values) else None,
        "yield": passed(trials, specification) / len(trials) if trials else None,
        "yield_low": low,
        "yield_high": high,
        "specification": specification,
    }


def quantiles(values: FloatArray) -> dict[str, float]:
    """Quantiles, mean, standard deviation and extremes of accuracies."""
    each = {f"q{100 * q:02.0f}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return {
        "mean": float(values.mean()), "sd": spread, "worst": float(values.min()), "best": float(values.max()),
    } | each  # fmt: skip


def yield_curve(trials: Sequence[Trial]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Share of chips that reach an accuracy: a step at each accuracy that occurs.

    Returns
    -------
    s, share, low, high
        Shape (m,): accuracies, ascending, the last one infinite; share of chips that reach at least s, and its 95 %
        Wilson interval. Failed trials reach nothing.
    """
    s = np.append(np.unique(accuracies(trials)), np.inf)
    counts = [passed(trials, value) for value in s]
    bounds = np.array([wilson(count, len(trials)) for count in counts])
    return s, np.array(counts) / len(trials), bounds[:, 0], bounds[:, 1]


def reached(trials: Sequence[Trial], share: float) -> float | None:
    """Largest accuracy that a share of the chips reaches; None if so many were not simulated."""
    values = np.sort(accuracies(trials))[::-1]
    needed = int(np.ceil(share * len(trials) - 1e-9))
    return float(values[needed - 1]) if needed <= len(values) else None


def known_well(trials: Sequence[Trial], specification: float, width: float) -> bool:
    """Whether the yield's 95 % interval is no wider than `width`."""
    if not trials:
        return False
    low, high = wilson(passed(trials, specification), len(trials))
    return high - low <= width


@dataclass(frozen=True, eq=False)
class Convergence:
    """Yield and median of the first n chips; every array has shape (m,).

    Parameters
    ----------
    n
        Numbers of chips.
    share, low, high
        Yield, and its 95 % Wilson interval.
    median, median_low, median_high
        Median accuracy, and its 95 % interval from order statistics (the extremes where chips are fewer than
        `FEWEST_FOR_MEDIAN`).
    """

    n: NDArray[np.intp]
    share: FloatArray
    low: FloatArray
    high: FloatArray
    median: FloatArray
    median_low: FloatArray
    median_high: FloatArray


def convergence(trials: Sequence[Trial], specification: float, points: int = 60) -> Convergence:
    """How yield and median settle with the number of chips, at up to `points` numbers, evenly on a logarithmic axis."""
    n = np.unique(np.geomspace(1, len(trials), min(points, len(trials))).round().astype(np.intp))
    rows = []
    for number in n:
        first = trials[:number]
        values = np.sort(accuracies(first))
        bounds = wilson(passed(first, specification), number)
        middle = np.full(3, np.nan)
        if len(values):
            # Ranks within which the median lies with at least 95 %: as many values are below it as a fair coin falls.
            rank = max(0, int(binom.ppf(0.025, len(values), 0.5)) - 1)
            middle = np.array([np.median(values), values[rank], values[-1 - rank]])
        rows.append((passed(first, specification) / number, *bounds, *middle))
    return Convergence(n, *np.array(rows).T)


def total_confusion(trials: Sequence[Trial], n_classes: int) -> NDArray[np.intp]:
    """Counts over all chips, shape (n_classes, n_classes): row = true class, column = predicted class."""
    counts = np.zeros(n_classes * n_classes, dtype=np.intp)
    for trial in trials:
        if trial.confusion is not None:
            counts += np.array(json.loads(trial.confusion), dtype=np.intp)
    return counts.reshape(n_classes, n_classes)


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Which classes chips take for which; rows are true classes, columns answers, both of shape (n_classes, n_classes).

    Parameters
    ----------
    counts
        Numbers of answers over all chips.
    shares
        The same divided by the sums of their rows; a row without images is zero.
    n_chips
        Number of chips.
    """

    counts: NDArray[np.intp]
    shares: FloatArray
    n_chips: int

    @classmethod
    def of(cls, trials: Sequence[Trial], n_classes: int) -> Mistakes | None:
        """Mistakes of the chips that were simulated; None if there are none of these."""
        simulated = [trial for trial in trials if trial.confusion is not None]
        if not simulated:
            return None
        counts = total_confusion(simulated, n_classes)
        return cls(counts, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), len(simulated))

    @property
    def wrong(self) -> FloatArray:
        """Shares without those of right answers."""
        return np.where(np.eye(len(self.shares), dtype=bool), 0.0, self.shares)

    @property
    def hardest(self) -> int:
        """Class that is answered right least often, of those that have images."""
        return int(np.argmin(np.where(self.counts.sum(axis=1) > 0, np.diag(self.shares), 1.0)))

    def most_frequent(self, number: int) -> list[tuple[int, int]]:
        """True class and answer of the mistakes with the largest shares, largest first."""
        order = np.argsort(-self.wrong, axis=None, kind="stable")[:number]
        pairs = (np.unravel_index(k, self.wrong.shape) for k in order)
        return [(int(i), int(j)) for i, j in pairs if self.wrong[i, j] > 0]


def worst(trials: Sequence[Trial], number: int) -> list[Trial]:
    """The chips of least accuracy, worst first; of equals the one drawn first."""
    judged = [t for t in trials if t.accuracy is not None]
    return sorted(judged, key=lambda t: (t.accuracy, t.point, t.trial))[:number]
