"""The regression on drawn values: its slopes against brute force, its coefficients against the measured accuracies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sweeps import deep_digits_network, digits_network

from analog_fhn import data
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.design import Design
from analog_fhn.montecarlo.open_run import OpenRun, open_run
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.regression import Regression, regression
from analog_fhn.montecarlo.slopes import Component, Labelled, Slopes, components
from analog_fhn.montecarlo.trial import chip_seed
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

CHIPS = 150
# Offsets that decide among the groups, and are small enough for the first order (at 10 mV it explains 40 %).
ERRORS = {"sense_amplifier.offset_sigma": 3e-3}


def begun(folder: Path, network: Network, **changes: object) -> OpenRun:
    folder.mkdir()
    plan = Sweep.model_validate(
        {"network": "n", "technology": "discrete", "dataset": "digits", "chips": CHIPS, "seed": 2, "settings": ERRORS}
        | changes
    )
    return open_run(folder, plan, network, Technology.load("discrete"), data.load("digits", "train"))


def regressed(folder: Path, network: Network, **changes: object) -> Regression | None:
    study = begun(folder, network, **changes)
    with study.store, study.workers(None, None) as workers:
        study.run(workers)
        return regression(study.job, study.store.points()[0], study.store.trials(0))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Regression:
    result = regressed(tmp_path_factory.mktemp("regression") / "run", digits_network())
    assert result is not None
    return result


@pytest.fixture(scope="module")
def found_deep(tmp_path_factory: pytest.TempPathFactory) -> Regression:
    """Of a network with two hidden layers."""
    result = regressed(tmp_path_factory.mktemp("deep") / "run", deep_digits_network())
    assert result is not None
    return result


def slopes_of(network: Network) -> Slopes:
    train = data.load("digits", "train")
    design = Design(network, Technology.load("discrete").with_values(ERRORS))
    return Slopes(
        design, Labelled(train.images, train.labels, None), Table(Direct(), 9), [chip_seed(2, k) for k in range(8)]
    )


@pytest.fixture(scope="module")
def slopes() -> Slopes:
    return slopes_of(digits_network())


@pytest.fixture(scope="module")
def deep_slopes() -> Slopes:
    return slopes_of(deep_digits_network())


def brute_force(slopes: Slopes, component: Component, index: int) -> float:
    """Slope of the smoothed accuracy in one value: not all cells at a time, but one alone, and the whole chip."""
    values = component.values(slopes.nominal)
    change = np.zeros(len(values))
    change[index] = 1e-3 * abs(values[index]) or 3e-4
    accuracies = [
        np.mean(norm.cdf(slopes.margin(slopes.scores(component.with_values(slopes.nominal, changed))) / slopes.tau))
        for changed in (values - change, values + change)
    ]
    return float((accuracies[1] - accuracies[0]) / (2.0 * change[index]))


@pytest.mark.parametrize(
    ("component", "index"),
    [
        (Component(0, 0, "r5"), 3), (Component(0, 1, "vos"), 0), (Component(0, 2, "rf"), 7),
        (Component(0, None, "vos2"), 5), (Component(0, None, "rb"), 2), (Component(1, None, "vos1"), 4),
    ],
)  # fmt: skip
def test_slope_of_one_component_is_that_of_the_smoothed_accuracy(
    slopes: Slopes, component: Component, index: int
) -> None:
    brute = brute_force(slopes, component, index)
    # 3 %: third order in the step, and single precision of the scores
    assert slopes.of[component][index] == pytest.approx(brute, rel=0.03, abs=1e-6 * abs(brute))


@pytest.mark.parametrize(
    ("component", "index"),
    [
        (Component(0, 0, "r5"), 3), (Component(0, 1, "vos"), 0), (Component(0, 2, "rf"), 7), (Component(1, 0, "r5"), 2),
        (Component(0, None, "vos2"), 5), (Component(1, None, "vos2"), 3), (Component(2, None, "vos1"), 4),
    ],
)  # fmt: skip
def test_slope_in_a_layer_goes_through_the_layers_behind_it(
    deep_slopes: Slopes, component: Component, index: int
) -> None:
    brute = brute_force(deep_slopes, component, index)
    assert deep_slopes.of[component][index] == pytest.approx(brute, rel=0.03, abs=1e-6 * abs(brute))


def test_names_of_one_hidden_layer(slopes: Slopes) -> None:
    labels = [component.label(slopes.design) for component in slopes.of]
    assert labels[0] == "neuron r1"
    assert {"tanh pair vos", "row driver rf", "input sense amplifier rb", "output sense amplifier vos2"} <= set(labels)
    assert "row driver cf" not in labels, "there is no low-pass in front of the output array"


def test_names_of_two_hidden_layers(deep_slopes: Slopes) -> None:
    labels = [component.label(deep_slopes.design) for component in components(deep_slopes.design)]
    assert len(set(labels)) == len(labels)
    assert {
        "neuron r1 of hidden layer 2", "row driver cf of hidden layer 1", "sense amplifier of array 1 rf",
        "output sense amplifier rf",
    } <= set(labels)  # fmt: skip


def test_error_groups_are_those_of_the_technology(slopes: Slopes) -> None:
    groups = {component.label(slopes.design): component.errors(slopes.nominal) for component in slopes.of}
    assert [groups[f"{name}"] for name in ("neuron r1", "neuron cx", "tanh pair vos", "row driver vos")] == [
        "resistor", "capacitor", "tanh_pair", "opamp",
    ]  # fmt: skip
    assert groups["input sense amplifier rf"] == "amplifier_gain"
    assert groups["output sense amplifier vos1"] == "amplifier_offset"


def test_first_order_tells_what_drawn_values_of_two_layers_cost(found_deep: Regression) -> None:
    assert found_deep.explained > 0.5
    largest = found_deep.terms[0]
    assert largest.low is not None
    assert largest.high is not None
    assert 0.6 < largest.low < largest.high < 1.4


def test_devices_of_every_array_are_components(found_deep: Regression) -> None:
    names = {name for name, group, _ in found_deep.components if group == "array devices"}
    assert names == {f"array devices of {array}" for array in ("the input array", "array 1", "the output array")}


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
    assert regressed(tmp_path / "exact", digits_network(), chips=10, errors=[]) is None
