"""What is found out from outside against what the chip is made of."""

from __future__ import annotations

import numpy as np
import pytest
from repairs import BAD, N_HIDDEN, bench, deep_network, digits_network, images, technology

from analog_fhn.cell.base import DriveStage
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.finetune import HiddenArray
from analog_fhn.trim.identify import (
    ChipTwin,
    LayerTwin,
    extreme_images,
    measure_deeper,
    measure_ends,
    measure_inputs,
    output_weights,
)
from analog_fhn.trim.repair import RepairOptions, repair, spread_drives


@pytest.mark.parametrize("bias", [False, True])
def test_measured_input_weights_are_the_chips(bias: bool) -> None:
    tested = bench(3, digits_network(bias), **BAD)
    found = measure_inputs(tested, measure_ends(tested, 0))
    chip, network = tested.chip, tested.design.network
    # What can be seen from outside is the product with the pair's slope.
    ratio = chip.layers[0].cells.drive_stage.slope / network.fhn.slope
    known = np.isfinite(found.weights)
    assert known.mean() > 0.99
    # Neurons bend the line by up to 1e-3 of the activation.
    assert np.abs(found.weights - chip.layers[0].weights * ratio)[known].max() < 0.01
    wanted = chip.layers[0].bias * ratio + chip.layers[0].cells.drive_stage.shift / network.fhn.slope
    np.testing.assert_allclose(found.bias, wanted, atol=0.01)
    assert tested.costs.runs == 2 * N_HIDDEN + 65


def test_ends_are_those_of_pair_neuron_and_driver() -> None:
    tested = bench(3, **BAD)
    chip, found = tested.chip, measure_ends(tested, 0)
    p = chip.layers[0].cells.dynamics.q
    amplitude = -chip.layers[0].cells.row_stage.gain * p[:, 3] / p[:, 1] * chip.layers[0].cells.drive_stage.gain
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=2e-3)


def test_measured_output_weights_are_the_chips() -> None:
    tested = bench(3, digits_network(True), **BAD)
    hidden, scores = tested.both(images("train", 80).images, 1)
    found = output_weights(hidden, scores)
    np.testing.assert_allclose(found.weights, tested.chip.output.weights, atol=1e-6)
    np.testing.assert_allclose(found.bias, tested.chip.output.bias, atol=1e-6)
    np.testing.assert_allclose(scores, tested.scores(images("train", 80).images), rtol=1e-12)


def test_the_twin_does_what_the_chip_does() -> None:
    tested = bench(3, **BAD)
    ends = measure_ends(tested, 0)
    twin = ChipTwin((LayerTwin.of(tested.design.network, 0, measure_inputs(tested, ends), ends),))
    shown = images("test").images
    assert np.abs(twin.hidden(shown) - tested.hidden(shown)).max() < 0.01


def test_no_corner_drives_a_neuron_of_the_second_layer_much_further() -> None:
    design = Design(deep_network(), technology())
    arrays, n = design.crossbars[:2], 12

    def second(images: np.ndarray) -> np.ndarray:
        hidden = 1.0 / (1.0 + np.exp(-(images @ arrays[0].weights + arrays[0].bias)))
        return np.asarray(hidden @ arrays[1].weights)

    reached = second(extreme_images(design.network, arrays))
    corners = second(np.random.default_rng(0).integers(0, 2, size=(5000, 64)).astype(float))
    for j in range(n):
        span = reached[j, j] - reached[n + j, j]
        assert corners[:, j].max() < reached[j, j] + 0.05 * span
        assert corners[:, j].min() > reached[n + j, j] - 0.05 * span
    # No activation reaches beyond 0 and 1, which bounds what can be asked for.
    bound = np.abs(arrays[1].weights).sum(axis=0)
    assert np.median((np.diagonal(reached[:n]) - np.diagonal(reached[n:])) / bound) > 0.8


def test_the_second_array_is_measured_through_the_first_layer() -> None:
    tested = bench(3, deep_network(), **BAD)
    layer, shown = tested.chip.layers[1], images("train", 150).images
    ends = measure_ends(tested, 1)
    # Known ends leave what the regression is right to.
    q, rows = layer.cells.dynamics.q, layer.cells.row_stage
    assert isinstance(layer.cells.drive_stage, DriveStage)
    stage = layer.cells.drive_stage
    np.testing.assert_allclose(ends.amplitude, -rows.gain * q[:, 3] / q[:, 1] * stage.gain, rtol=0.05)
    ratio = stage.slope / tested.design.network.neurons[1].slope
    measured = measure_deeper(tested, 1, ends, shown, tested.design.network.weights[1])
    error = measured.weights - layer.weights * ratio
    assert np.sqrt(np.mean(error**2)) < 0.05 * np.sqrt(np.mean(layer.weights**2))
    np.testing.assert_allclose(measured.bias, layer.bias * ratio + stage.shift / 0.5, atol=0.3)


def test_the_twin_of_two_layers_does_what_the_chip_does() -> None:
    tested, shown = bench(3, deep_network(), **BAD), images("test").images
    arrays = [
        HiddenArray(k, measure_ends(tested, k), np.ones(64), images("train", 150).images, dense.weights)
        for k, dense in enumerate(tested.design.network.hidden_layers)
    ]
    layers = (LayerTwin.of(tested.design.network, k, one.measure(tested), one.ends) for k, one in enumerate(arrays))
    assert np.sqrt(np.mean((ChipTwin(tuple(layers)).hidden(shown) - tested.hidden(shown)) ** 2)) < 0.01


def test_a_row_between_layers_that_no_image_moves_keeps_its_assumed_weights() -> None:
    given = deep_network()
    first = given.weights[0].copy()
    first[:, 3] = 0.0
    network = given.with_weights((first, *given.weights[1:]), given.biases)
    exact = technology(array__programming_error=0.0)
    measured = []
    for noise in (0.0, 1e-3):
        tested = SimulatedBench(Design(network, exact), 1, reading_noise=noise)
        assumed, shown = network.weights[1], images("train", 150).images
        measured.append(measure_deeper(tested, 1, measure_ends(tested, 1), shown, assumed))
    quiet, noisy = measured
    np.testing.assert_allclose(quiet.weights[3], assumed[3], atol=1e-3)
    np.testing.assert_allclose(noisy.weights[3], assumed[3], atol=0.05 * np.abs(assumed).max())
    np.testing.assert_allclose(noisy.weights, quiet.weights, atol=0.1 * np.abs(assumed).max())
    np.testing.assert_allclose(noisy.bias, quiet.bias, atol=0.2)


def test_a_neuron_without_inputs_keeps_its_code_and_the_ideal_gain() -> None:
    given = digits_network(True)
    first, bias = given.weights[0].copy(), given.biases[0].copy()
    first[:, 3] = bias[3] = 0.0
    network = given.with_weights((first, given.weights[1]), (bias, given.biases[1]))
    tested = bench(3, network, **BAD)
    ends = measure_ends(tested, 0)
    assert np.flatnonzero(~ends.known).tolist() == [3]
    assert ends.amplitude[3] == 0.5
    level = tested.hidden(np.zeros((1, 64)))[0, 3]
    assert ends.centre[3] == pytest.approx(level, abs=0.05)
    done = repair(tested, ["trim", "readout", "finetune"], images("train", 100), images("test", 100),
                  options=RepairOptions(rounds=2))  # fmt: skip
    assert all(np.isfinite(step.accuracy) for step in done)
    assert done[1].accuracy > done[0].accuracy
    assert done[-1].accuracy > 0.9
    assert np.abs(tested.codes.rows[0].gain).max() <= 128


def test_the_bias_is_found_beside_a_constant_activation() -> None:
    rng = np.random.default_rng(0)
    hidden, weights = rng.uniform(size=(40, 5)), rng.normal(size=(5, 3))
    hidden[:, 2] = 0.4
    scores = hidden @ weights + [1.0, 2.0, 3.0]
    found = output_weights(hidden, scores, weights)
    np.testing.assert_allclose(found.bias, [1.0, 2.0, 3.0])
    assert np.isnan(found.weights[2]).all()
    np.testing.assert_allclose(found.weights[[0, 1, 3, 4]], weights[[0, 1, 3, 4]])
    np.testing.assert_allclose(output_weights(hidden, scores).bias, [1.0, 2.0, 3.0] + 0.4 * weights[2])


def test_readings_are_as_noisy_as_asked_and_the_same_again() -> None:
    made = [SimulatedBench(Design(digits_network(), technology()), 1, reading_noise=1e-2) for _ in range(2)]
    exact, shown, drives = bench(1), images("train", 300).images, spread_drives(digits_network(), 5)
    read = [(b.neurons(0, drives), b.hidden(shown), b.scores(shown)) for b in made]
    for one, other in zip(*read, strict=True):
        np.testing.assert_array_equal(one, other)
    # Rows give half of x, scores a row's times the rms weight.
    scale = 1.0, 0.5, 0.5 * np.sqrt(np.mean(digits_network().weights[1] ** 2))
    noiseless = exact.neurons(0, drives), exact.hidden(shown), exact.scores(shown)
    for noisy, right, factor in zip(read[0], noiseless, scale, strict=True):
        assert np.std(noisy - right) == pytest.approx(1e-2 * factor, rel=4.0 / np.sqrt(2.0 * noisy.size))
    assert not np.array_equal(made[0].hidden(shown), read[0][1])
    np.testing.assert_array_equal(made[0].classify(shown), exact.classify(shown))


def test_a_reading_noise_of_a_thousandth_costs_little() -> None:
    accuracy = []
    for noise in (0.0, 1e-3):
        tested = SimulatedBench(Design(digits_network(True), technology(**BAD)), 6, reading_noise=noise)
        done = repair(tested, ["trim", "readout", "finetune"], images("train", 300), images("test"), images("train"))
        accuracy.append([step.accuracy for step in done])
    exact, noisy = accuracy
    assert exact[-1] > exact[0] + 0.02
    # 500 images: two standard errors are 0.014
    assert noisy[-1] > exact[-1] - 0.02


def test_fewer_images_than_neurons_are_refused() -> None:
    with pytest.raises(InputError, match="20 images for the output weights of 24 neurons: expected at least 25"):
        output_weights(np.ones((20, 24)), np.ones((20, 10)))


def test_noise_of_the_readings_gives_a_still_neuron_no_weights() -> None:
    rng = np.random.default_rng(0)
    true, design = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    hidden = rng.uniform(size=(60, 6))
    hidden[:, 1] = 0.7
    scores = hidden @ true + [1.0, 2.0, 3.0]
    read = hidden + 1e-3 * rng.normal(size=hidden.shape)
    found = output_weights(read, scores, design)
    assert np.isnan(found.weights[1]).all()
    rest = [0, 2, 3, 4, 5]
    np.testing.assert_allclose(found.weights[rest], true[rest], atol=0.02)
    # What the constant brings is known as far as its weights are.
    np.testing.assert_allclose(found.bias, [1.0, 2.0, 3.0] + 0.7 * (true - design)[1], atol=0.02)
    # Rounded to the last digit that is shown, which a still neuron may toggle.
    rounded = np.round(hidden, 2)
    rounded[::7, 1] += 0.01
    assert np.isnan(output_weights(rounded, np.round(scores, 2), design).weights[1]).all()
    assert np.isfinite(output_weights(np.round(hidden[:, rest], 2), np.round(scores, 2)).weights).all()


def test_noisy_readings_of_still_neurons_do_not_make_a_chip_worse() -> None:
    given = digits_network()
    still = np.arange(N_HIDDEN) < 3
    network = given.with_weights((np.where(still, 0.0, given.weights[0]), given.weights[1]), given.biases)
    left = []
    for noise in (0.0, 1e-3):
        tested = SimulatedBench(Design(network, technology(array__programming_error=0.2)), 5, reading_noise=noise)
        repair(tested, ["trim"], images("train", 100), images("test", 50))
        left.append(np.sqrt(np.mean(tested.chip.output.bias**2)))
    # The three neurons' weights, known to a fifth, stand for offsets of half of that.
    uncertain = 0.2 * 0.5 * np.sqrt(3.0 * np.mean(given.weights[1] ** 2))
    assert left[1] < left[0] + 1.5 * uncertain
