"""The regression on drawn values: its slopes against brute force, its coefficients against the measured accuracies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sweeps import digits_network

from analog_fhn.data import load
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.regression import Regression, _Slopes, _values, regression
from analog_fhn.montecarlo.study import Study, open_study
from analog_fhn.technology.technology import Technology

CHIPS = 150
# Offsets that decide among the groups, and are small enough for the first order (at 10 mV it explains 40 %).
ERRORS = {"sense_amplifier.offset_sigma": 3e-3}


def open_run(folder: Path, **changes: object) -> Study:
    folder.mkdir()
    plan = Sweep.model_validate(
        {"network": "n", "technology": "discrete", "dataset": "digits", "chips": CHIPS, "seed": 2, "settings": ERRORS}
        | changes
    )
    return open_study(folder, plan, digits_network(), Technology.load("discrete"), load("digits", "train"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    study = open_run(tmp_path_factory.mktemp("regression") / "run")
    with study.store, study.workers(None, None) as workers:
        study.run(workers)
        yield study


@pytest.fixture(scope="module")
def found(study: Study) -> Regression:
    result = regression(study)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def slopes(study: Study) -> _Slopes:
    design = study.store.points()[0].design(study.network, study.technology)
    return _Slopes(study, design, study.store.trials(0))


@pytest.mark.parametrize(
    ("name", "index"),
    [("neuron.r5", 3), ("pair.vos", 0), ("driver.rf", 7), ("sense0.vos2", 5), ("sense0.rb", 2), ("sense1.vos1", 4)],
)
def test_slope_of_one_component_is_that_of_the_smoothed_accuracy(slopes: _Slopes, name: str, index: int) -> None:
    # Not all neurons at a time, as the slopes are found, but one component of one stage alone.
    values = dict(_values(slopes._nominal))[name]
    change = np.zeros(len(values))
    change[index] = 1e-3 * abs(values[index]) or 3e-4
    everyone = np.arange(len(slopes.labels))

    def margins(added: np.ndarray) -> np.ndarray:
        scores = slopes._scores(slopes._with(name, values + added))
        return scores[everyone, slopes.labels] - scores[everyone, slopes._rival]

    before, low, high = margins(0.0 * change), margins(-change), margins(change)
    # The weight is k(margin/tau)/tau/n, largest where the margin vanishes; tau follows from it there.
    weight = slopes._weight
    k = np.argmax(weight / np.exp(-np.abs(before)))
    taus = np.geomspace(1e-3, 1e3, 200001)
    tau = taus[np.argmin(np.abs(norm.pdf(before[k] / taus) / taus / len(before) - weight[k]))]
    assert np.allclose(norm.pdf(before / tau) / tau / len(before), weight, rtol=1e-2, atol=1e-9)
    brute = np.mean(norm.cdf(high / tau) - norm.cdf(low / tau)) / (2.0 * change[index])
    # 3 %: third order in the step, and single precision of the scores
    assert slopes._slopes[name][index] == pytest.approx(brute, rel=0.03, abs=1e-6 * abs(brute))


def test_first_order_tells_what_the_drawn_values_cost(found: Regression) -> None:
    # The sums of slope times deviation predict the measured accuracies: not only their order, but their size.
    assert found.explained > 0.5
    largest = found.terms[0]
    assert largest.group == "amplifier_offset"
    assert largest.low is not None
    assert largest.high is not None
    assert 0.6 < largest.low < largest.high < 1.4


def test_shares_add_up_to_what_is_explained(found: Regression) -> None:
    # Adjusted R squared differs from the sum by the degrees of freedom.
    total = sum(term.share for term in found.terms)
    terms = sum(term.coefficient is not None for term in found.terms)
    assert 1.0 - (1.0 - total) * (found.n_chips - 1) / (found.n_chips - 1 - terms) == pytest.approx(found.explained)


def test_components_add_up_to_their_group(found: Regression) -> None:
    for term in found.terms:
        parts = [share for _, group, share in found.components if group == term.group]
        assert sum(parts) == pytest.approx(term.share, abs=1e-9)


def test_parts_that_do_not_reach_the_mean_have_no_coefficient(found: Regression) -> None:
    # Capacitors set the time scales; the mean of x does not depend on them (time-average identity).
    capacitor = next(term for term in found.terms if term.group == "capacitor")
    assert (capacitor.coefficient, capacitor.share) == (None, 0.0)


def test_no_regression_without_spread(tmp_path: Path) -> None:
    study = open_run(tmp_path / "exact", chips=10, errors=[])
    with study.store, study.workers(1, None) as workers:
        study.run(workers)
        assert regression(study) is None
