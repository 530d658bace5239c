"""Importance sampling against Gaussian tails that are known, and against quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analog_fhn.errors import InputError, SimulationError
from analog_fhn.montecarlo.importance import Probability, Search, log_weights, search
from analog_fhn.neuron import FloatArray


class Linear:
    """Chips whose accuracy is linear in normal numbers: ``0.9 - slopes p - rest``, the rest in no direction.

    Parameters
    ----------
    slopes
        In the directions, shape (k,).
    rest
        Standard deviation of what no direction explains.
    bend
        Of the square of the sum, for a surface that is not flat.
    """

    def __init__(self, slopes: list[float], rest: float, bend: float = 0.0, seed: int = 0) -> None:
        self.slopes, self.rest, self.bend = np.array(slopes), rest, bend
        self.rng = np.random.default_rng(seed)

    def draw(self, amounts: tuple[float, ...], number: int) -> tuple[FloatArray, FloatArray]:
        projections = self.rng.normal(size=(number, len(self.slopes)))
        line = (projections + np.array(amounts)) @ self.slopes
        return 0.9 - line - self.bend * line**2 - self.rng.normal(scale=self.rest, size=number), projections

    def tail(self, specification: float) -> float:
        """Exact probability below the specification, without a bend."""
        assert self.bend == 0.0
        return float(norm.sf((0.9 - specification) / np.hypot(np.linalg.norm(self.slopes), self.rest)))

    def design_point(self, specification: float) -> FloatArray:
        return np.asarray((0.9 - specification) * self.slopes / (self.slopes @ self.slopes))


def estimate(chips: Linear, specification: float, number: int, found: Search) -> Probability:
    accuracy, projections = chips.draw(found.amounts, number)
    return Probability.of(log_weights(projections, found.amounts), accuracy < specification)


@pytest.mark.parametrize("sigmas", [3.0, 4.75, 6.0])
def test_a_gaussian_tail_is_found(sigmas: float) -> None:
    chips = Linear([0.003, 0.004], 0.002)
    specification = 0.9 - sigmas * float(np.hypot(0.005, 0.002))
    found = search(chips.design_point(specification), specification, 1000, chips.draw)
    result = estimate(chips, specification, 20_000, found)
    assert found.explained == pytest.approx(25 / 29, abs=0.05)
    # An interval of 95 %: at four times its half width it is wrong once in 10^14.
    half = np.log(result.high / result.probability)
    assert abs(np.log(result.probability / chips.tail(specification))) < 4.0 * half
    assert half < 0.35


def test_intervals_cover_as_often_as_they_say() -> None:
    chips = Linear([0.003, 0.004], 0.001)
    specification = 0.9 - 3.5 * float(np.hypot(0.005, 0.001))
    found = search(chips.design_point(specification), specification, 1000, chips.draw)
    results = [estimate(chips, specification, 8000, found) for _ in range(400)]
    covered = sum(r.low <= chips.tail(specification) <= r.high for r in results)
    # 380 are expected with a standard deviation of 4.4; at 8000 chips the weights are not quite normal.
    assert 358 <= covered <= 396


def test_amounts_are_corrected_where_the_surface_is_bent() -> None:
    # accuracy falls faster than the slopes at the nominal chip say: the design point of the line is too far
    chips = Linear([0.005], 0.001, bend=20.0)
    specification = 0.86
    found = search(chips.design_point(specification), specification, 1000, chips.draw)
    assert found.amounts[0] < 0.8 * chips.design_point(specification)[0]
    result = estimate(chips, specification, 20_000, found)
    # by quadrature over the line's normal number
    x = np.linspace(-10, 10, 20_001)
    line = 0.005 * x
    exact = np.trapezoid(norm.pdf(x) * norm.sf((0.9 - line - 20.0 * line**2 - specification) / 0.001), x)
    left = np.trapezoid(
        (norm.pdf(x) * norm.sf((0.9 - line - 20.0 * line**2 - specification) / 0.001))[:10_001], x[:10_001]
    )
    assert left < 1e-3 * exact
    assert result.probability == pytest.approx(exact, rel=0.15)


def test_a_linear_model_that_explains_too_little_is_refused() -> None:
    with pytest.raises(InputError, match=r"explains .* % of the variance .* expected at least 10%".replace(" %", "%")):
        search(np.array([4.0]), 0.86, 1000, Linear([0.001], 0.01).draw)


def test_rounds_that_do_not_reach_the_specification_end() -> None:
    class Bounded(Linear):
        def draw(self, amounts: tuple[float, ...], number: int) -> tuple[FloatArray, FloatArray]:
            accuracy, projections = super().draw(amounts, number)
            return np.maximum(accuracy, 0.88 + 1e-6 * accuracy), projections

    with pytest.raises((SimulationError, InputError), match=r"specification = 0\.87|effective sample size"):
        search(np.array([6.0]), 0.87, 500, Bounded([0.005], 0.001).draw)


def test_too_small_an_effective_sample_size_is_refused() -> None:
    weights = np.zeros(1000)
    with pytest.raises(InputError, match=r"chips = 1000: 49 fail, .* effective sample size of 49\.0; expected .* 50"):
        Probability.of(weights, np.arange(1000) < 49)
    few = np.where(np.arange(1000) < 3, 0.0, -20.0)
    with pytest.raises(InputError, match=r"effective sample size of 3\.0"):
        Probability.of(few, np.ones(1000, dtype=bool))


def test_without_a_shift_the_share_is_counted() -> None:
    result = Probability.of(np.zeros(1000), np.arange(1000) < 100)
    assert result.probability == pytest.approx(0.1)
    assert result.effective == pytest.approx(100.0)
    # that of a binomial share, of the logarithm by the delta method
    assert np.log(result.high / result.low) / 2 == pytest.approx(1.96 * np.sqrt(0.9 / 100), rel=1e-3)
