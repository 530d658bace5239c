"""Probability that a chip misses a specification, where that is rare: importance sampling by a shift of the mean.

Chips are drawn with their normal numbers shifted towards failure, and each counts with its likelihood ratio. The shift
lies along the parts that the error groups have of the design point (`analog_fhn.montecarlo.design_point`); how far
along each is estimated anew from weighted failing chips, as the cross-entropy method does (Rubinstein and Kroese, The
Cross-Entropy Method, 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray

FEWEST_EFFECTIVE = 50.0  # failing chips, below which no interval is given
LEAST_EXPLAINED = 0.1  # share of the variance of the accuracy, below which shifts along slopes do not lead to failure

_LEVEL = 0.1  # share of the chips of a round that its level leaves failing, if too few miss the specification itself
_ROUNDS = 8
_LONGEST_ROUND = 8  # times as many chips as asked for
_FEWEST_ROUND = 10.0  # effective failing chips that a round's amounts are estimated from
_SETTLED = 0.3  # sigmas that amounts move from round to round in the end

Draw = Callable[[tuple[float, ...], int], tuple[FloatArray, FloatArray]]
"""Draws chips with these amounts and so many: their accuracies (n,), and the projections of their unshifted numbers on
the directions (n, k)."""


@dataclass(frozen=True)
class Probability:
    """Probability of a rare event from weighted samples.

    Parameters
    ----------
    probability, low, high
        Estimate, and its 95 % interval, which is symmetric on a logarithmic scale.
    effective
        Effective sample size of the failing samples, ``(sum w)^2 / sum w^2`` (Kong, technical report 348, University of
        Chicago, 1992).
    n_failing, n_samples
        Number of samples that failed, and of all.
    """

    probability: float
    low: float
    high: float
    effective: float
    n_failing: int
    n_samples: int

    @classmethod
    def of(cls, log_weights: FloatArray, failing: NDArray[np.bool_]) -> Probability:
        """Estimate ``P = mean(w 1_failing)`` from independent samples.

        The standard error of log P is ``sqrt(1/effective - 1/n)``.

        Parameters
        ----------
        log_weights
            Logarithms of the likelihood ratios w, shape (n,).
        failing
            Which samples failed, shape (n,).

        Raises
        ------
        InputError
            If the effective sample size is below 50.
        """
        n, kept = len(failing), log_weights[failing]
        effective = effective_size(kept)
        if effective < FEWEST_EFFECTIVE:
            raise InputError(
                f"chips = {n}: {len(kept)} fail, with an effective sample size of {effective:.1f}; expected at least "
                f"{FEWEST_EFFECTIVE:g} (more chips, or a specification that is missed more often)"
            )
        log = float(logsumexp(kept) - np.log(n))
        half = float(norm.ppf(0.975) * np.sqrt(max(0.0, 1.0 / effective - 1.0 / n)))
        low, high = np.exp(log - half), min(1.0, np.exp(log + half))
        return cls(float(np.exp(log)), float(low), float(high), effective, len(kept), n)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def effective_size(log_weights: FloatArray) -> float:
    """``(sum w)^2 / sum w^2`` of weights; 0 if there are none."""
    return float(np.exp(2.0 * logsumexp(log_weights) - logsumexp(2.0 * log_weights))) if len(log_weights) else 0.0


def log_weights(projections: FloatArray, amounts: Sequence[float]) -> FloatArray:
    """Logarithms of the likelihood ratios of samples that were shifted by `amounts`, shape (n,).

    ``log w = -a p - a^2/2``: of the density of the shifted numbers p + a without the shift over that with it.

    Parameters
    ----------
    projections
        Of the unshifted numbers on the directions, shape (n, k).
    """
    shift = np.asarray(amounts)
    return np.asarray(-projections @ shift - 0.5 * float(shift @ shift))


@dataclass(frozen=True)
class Round:
    """One round of the search for the shift.

    Parameters
    ----------
    amounts
        With which its chips were drawn, in sigmas along each direction.
    level
        Accuracy below which its chips counted as failing.
    n_failing, effective
        Number of these, and their effective sample size.
    """

    amounts: tuple[float, ...]
    level: float
    n_failing: int
    effective: float


@dataclass(frozen=True)
class Search:
    """A shift, and how it was found.

    Parameters
    ----------
    amounts
        In sigmas along each direction.
    explained
        Share of the variance of the accuracy among unshifted chips that the linear model explains.
    rounds
        In their order; the first one's chips were not shifted.
    """

    amounts: tuple[float, ...]
    explained: float
    rounds: tuple[Round, ...]


def search(lengths: FloatArray, specification: float, chips: int, draw: Draw) -> Search:
    """Find how far to shift along each direction.

    Unshifted chips tell which share r2 of the variance the linear model explains. Of a linear model the mean of failing
    chips lies at r2 times the design point. From there on each round of chips goes on towards the weighted mean of
    those that fail, by the share n/(n + k) of the way for n effective chips in k directions.

    Parameters
    ----------
    lengths
        Of the parts of the design point along the directions, shape (k,).
    specification
        Accuracy (fraction) below which a chip fails.
    chips
        Number of chips of a round.
    draw
        Draws and judges chips.

    Raises
    ------
    InputError
        If the linear model explains less than a tenth of the variance, or a round has too few effective chips.
    SimulationError
        If the rounds do not reach the specification.
    """
    nothing = (0.0,) * len(lengths)
    accuracy, projections = draw(nothing, chips)
    explained = _explained(accuracy, -projections @ lengths)
    if explained < LEAST_EXPLAINED:
        raise InputError(
            f"the linear model of the parts explains {explained:.0%} of the variance of the accuracy from chip to "
            f"chip; expected at least {LEAST_EXPLAINED:.0%} for a shift along its slopes to lead to failing chips"
        )
    failing = int(np.count_nonzero(accuracy < specification))
    rounds = [Round(nothing, specification, failing, float(failing))]
    amounts = tuple(float(explained * length) for length in lengths)
    for _ in range(_ROUNDS):
        level, weights, projections = _failing(specification, chips, amounts, draw)
        effective = effective_size(weights)
        rounds.append(Round(amounts, level, len(weights), effective))
        share = np.exp(weights - logsumexp(weights))
        step = share @ projections * effective / (effective + len(amounts))
        amounts = tuple(float(value) for value in amounts + step)
        # The step is known to about 1/sqrt(effective) in each direction.
        if level == specification and np.linalg.norm(step) < max(_SETTLED, np.sqrt(len(amounts) / effective)):
            break
    if level > specification:
        raise SimulationError(
            f"specification = {specification:g}: after {_ROUNDS} rounds of shifts a tenth of the chips still reach "
            f"{level:.2%}"
        )
    return Search(amounts, explained, tuple(rounds))


def _failing(
    specification: float, chips: int, amounts: tuple[float, ...], draw: Draw
) -> tuple[float, FloatArray, FloatArray]:
    """Level, and logarithms of the weights (n,) and projections (n, k) of a round's chips that fail it.

    The round goes on, up to eight times as many chips, until enough of them are effective.
    """
    accuracy, projections = draw(amounts, chips)
    while True:
        level = max(specification, float(np.quantile(accuracy, _LEVEL, method="higher")))
        failing = accuracy < level if level == specification else accuracy <= level
        weights = log_weights(projections, amounts)[failing]
        if (effective := effective_size(weights)) >= _FEWEST_ROUND:
            return level, weights, projections[failing]
        if len(accuracy) >= _LONGEST_ROUND * chips:
            raise InputError(
                f"pilot = {chips}: {len(weights)} of {len(accuracy)} chips fail, with an effective sample size of "
                f"{effective:.1f}; expected at least {_FEWEST_ROUND:g} (more chips a round)"
            )
        more = draw(amounts, chips)
        accuracy, projections = np.concatenate([accuracy, more[0]]), np.concatenate([projections, more[1]])


def _explained(accuracy: FloatArray, expected: FloatArray) -> float:
    """Share of the variance that a line through the expected values explains; 0 if either does not vary."""
    if accuracy.std() == 0.0 or expected.std() == 0.0:
        return 0.0
    return float(np.corrcoef(accuracy, expected)[0, 1] ** 2)
