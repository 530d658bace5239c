"""The readout: regression against scikit-learn, limits, conductances."""

from __future__ import annotations

import numpy as np
import pytest
from repairs import digits_network, images, technology
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from analog_fhn.design import Design
from analog_fhn.trim.codes import TrimCodes, TrimHardware
from analog_fhn.trim.readout import (
    LinearReadout,
    fit_readout,
    folds,
    lay_out,
    near_chance,
    numbered,
    on_array,
    output_codes,
    train_readout,
)


def zeros() -> LinearReadout:
    return LinearReadout(np.zeros((24, 10)), np.zeros(10))


def activations(number: int = 300) -> tuple[np.ndarray, np.ndarray]:
    network, shown = digits_network(), images("train", number)
    return 1.0 / (1.0 + np.exp(-shown.images @ network.weights[0])), shown.labels


def test_regression_is_scikit_learns() -> None:
    hidden, labels = activations()
    # Neurons that hardly move count as if they moved a little more; see the next test.
    hidden = hidden[:, hidden.std(axis=0) > 0.2 * np.median(hidden.std(axis=0))]
    penalty, start = 0.01, LinearReadout(np.zeros((hidden.shape[1], 10)), np.zeros(10))
    made = fit_readout(hidden, labels, start, penalty, iterations=2000)
    inputs = (hidden - hidden.mean(axis=0)) / hidden.std(axis=0)
    peer = LogisticRegression(C=1.0 / (penalty * len(labels)), tol=1e-8, max_iter=5000).fit(inputs, labels)
    np.testing.assert_allclose(made.weights * hidden.std(axis=0)[:, None], peer.coef_.T, atol=2e-3)


def test_a_neuron_that_hardly_moves_gets_no_large_weight() -> None:
    hidden, labels = activations()
    still = hidden.copy()
    still[:, 4] = 0.3 + 1e-3 * (hidden[:, 4] - 0.3)
    moving, hardly = (np.abs(fit_readout(h, labels, zeros(), 0.01).weights[4]).max() for h in (hidden, still))
    assert hardly < 3.0 * moving


def test_a_large_penalty_keeps_the_start() -> None:
    hidden, labels = activations()
    start = LinearReadout(digits_network().weights[1], np.zeros(10))
    made = fit_readout(hidden, labels, start, 1e6)
    np.testing.assert_allclose(made.weights, start.weights, atol=1e-3)


def test_reach_and_largest_bias_are_kept() -> None:
    hidden, labels = activations()
    reach = np.full((24, 10), -0.5), np.full((24, 10), 1.0)
    reach[0][3], reach[1][3] = 0.25, 0.25
    made = fit_readout(hidden, labels, zeros(), 1e-3, reach=reach, largest_bias=0.2)
    assert made.weights.min() >= -0.5 - 1e-12
    assert made.weights.max() <= 1.0 + 1e-12
    np.testing.assert_allclose(made.weights[3], 0.25)
    assert np.abs(made.bias).max() <= 0.2 + 1e-12
    assert np.abs(fit_readout(hidden, labels, zeros(), 1e-3).bias).max() > 0.5


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.3])
def test_a_tight_limit_of_the_biases_leaves_the_best_readout_within_it(limit: float) -> None:
    hidden, labels = activations()
    penalty, spread = 0.01, hidden.std(axis=0)[:, None]
    start = LinearReadout(digits_network().weights[1], np.zeros(10))

    def loss(made: LinearReadout) -> float:
        logs = log_softmax(hidden @ made.weights + made.bias, axis=1)
        change = (made.weights - start.weights) * spread
        return float(-logs[np.arange(len(labels)), labels].mean() + 0.5 * penalty * (change**2).sum())

    made = fit_readout(hidden, labels, start, penalty, largest_bias=limit, iterations=3000)
    assert np.abs(made.bias).max() <= limit + 1e-12
    # Another method on the same problem: projected gradient steps from what was found gain nothing.
    weights, bias = made.weights * spread, made.bias
    for _ in range(300):
        wrong = softmax(hidden @ (weights / spread) + bias, axis=1)
        wrong[np.arange(len(labels)), labels] -= 1.0
        slope = (hidden / spread.T).T @ wrong / len(labels) + penalty * (weights - start.weights * spread)
        weights = weights - 0.02 * slope
        bias = np.clip(bias - 0.02 * wrong.mean(axis=0), -limit, limit)
    assert loss(LinearReadout(weights / spread, bias)) > loss(made) - 1e-3
    free = fit_readout(hidden, labels, start, penalty, iterations=3000)
    assert loss(free) <= loss(made) + 1e-6
    assert loss(made) < loss(LinearReadout(start.weights, np.clip(start.bias, -limit, limit))) - 0.05


def test_cross_validation_tells_what_new_images_will_say() -> None:
    hidden, labels = activations(600)
    made = train_readout(hidden[::2], labels[::2], [zeros()])
    # Two shares of 300 images: one standard error of the difference is 2 %.
    assert made.validated == pytest.approx(np.mean(made.classes(hidden[1::2]) == labels[1::2]), abs=0.06)


@pytest.mark.parametrize("bias", [False, True])
def test_a_readout_on_the_array_is_the_readout_times_one_number(bias: bool) -> None:
    design = Design(digits_network(bias), technology(array__clip_quantile=1.0))
    present = design.arrays[1].crossbar
    rng = np.random.default_rng(0)
    readout = LinearReadout(rng.normal(size=(24, 10)), 0.5 * rng.normal(size=10))
    bar, scale = lay_out(readout, design, present)
    array = design.technology.array
    half_a_level = 0.5 * (array.g_max - array.g_min) / 31 / present.siemens_per_weight
    assert bar.siemens_per_weight == present.siemens_per_weight
    assert np.abs(bar.weights - scale * readout.weights).max() <= half_a_level * (1 + 1e-9)
    if bias:
        found = bar.bias
        assert found is not None
        assert (
            np.abs(found - scale * readout.bias).max() <= half_a_level * present.bias_rows * present.bias_drive * 1.01
        )
    sense, limit = design.arrays[1].sense, design.technology.supplies.linear_range
    for sign in (1.0, -1.0):
        currents = np.maximum(sign * (bar.g_plus - bar.g_minus), 0.0).sum(axis=0) * array.read_voltage
        assert currents.max() * sense.rb[0] <= 1.02 * limit


def test_present_weights_are_laid_out_as_the_design_does() -> None:
    design = Design(digits_network(True), technology())
    present = design.arrays[1].crossbar
    network = design.network
    again = on_array(network.weights[1], present, design, network.biases[1])
    np.testing.assert_array_equal(again.g_plus, present.g_plus)
    np.testing.assert_array_equal(again.g_minus, present.g_minus)


def test_output_codes_move_together_into_their_range() -> None:
    hardware = TrimHardware(output_bits=4)
    none = TrimCodes.none(digits_network())
    error = np.linspace(6.0, 16.0, 10)
    codes, beyond = output_codes(none, error, np.ones(10), hardware)
    assert beyond == 0
    # What is left is the same for all classes, to within a step.
    assert np.ptp(error + codes.output) <= 1.0
    codes, beyond = output_codes(none, error * 3.0, np.ones(10), hardware)
    assert beyond > 0
    assert codes.saturated == codes.saturated_outputs == beyond


def test_copies_of_an_image_are_known_and_stay_in_one_fold() -> None:
    hidden, _ = activations(40)
    assert numbered(hidden).tolist() == list(range(40))
    assert numbered(np.vstack([hidden[[3, 1, 3]], hidden[[1, 0]]])).tolist() == [0, 1, 0, 1, 2]
    noisy = np.vstack([hidden, hidden[::-1] + 1e-3 * np.random.default_rng(0).normal(size=hidden.shape)])
    assert len(np.unique(numbered(noisy))) == 80
    found = numbered(noisy, 0.03)
    assert found.tolist() == [*range(40), *range(39, -1, -1)]
    np.testing.assert_array_equal(folds(found)[:40], folds(found)[:39:-1])


def test_cross_validation_does_not_learn_copies_by_heart() -> None:
    hidden, _ = activations(57)
    labels = np.random.default_rng(0).permutation(np.arange(57) % 10)  # nothing to be learnt
    rows, given = np.tile(hidden, (7, 1)), np.tile(labels, 7)
    assert train_readout(rows, given, [zeros()], penalties=[1e-4]).validated > 0.9
    honest = train_readout(rows, given, [zeros()], penalties=[1e-4], originals=numbered(rows))
    assert honest.validated < 0.3


def test_a_readout_that_new_ones_do_not_reach_stays() -> None:
    hidden, labels = activations(600)
    start = fit_readout(hidden[60:], labels[60:], zeros(), 1e-3)
    hidden, labels = hidden[:60], labels[:60].copy()
    assert not train_readout(hidden, labels, [start]).unchanged
    labels[::3] = np.random.default_rng(0).permutation(labels[::3])  # a third of them wrong, which 24 neurons can fit
    made = train_readout(hidden, labels, [start], penalties=[1e-7])
    assert made.unchanged
    assert made.before == pytest.approx(np.mean(start.classes(hidden) == labels))
    assert made.validated < made.before
    np.testing.assert_array_equal(made.weights, start.weights)
    np.testing.assert_allclose(np.ptp(made.bias - start.bias), 0.0, atol=1e-12)


def test_chance_is_told_from_what_was_learnt() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 10
    assert near_chance(rng.permutation(labels), labels)
    assert near_chance((labels + 1) % 10, labels)
    assert near_chance(np.zeros(200, dtype=int), np.where(np.arange(200) < 180, 0, 1))  # one class for all
    assert not near_chance(np.where(np.arange(200) % 4 == 0, labels, rng.permutation(labels)), labels)
    # One image ten times is one image.
    few = np.tile([0, 1, 2, 3, 4, 5], 10), np.tile([0, 1, 1, 2, 5, 3], 10)
    assert not near_chance(*few)
    assert near_chance(*few, number=6)
