"""What is found out from outside against what the chip is made of."""

from __future__ import annotations

import numpy as np
import pytest
from repairs import BAD, bench, digits_network, images

from analog_fhn.errors import InputError
from analog_fhn.trim.identify import Twin, measure_ends, measure_inputs, output_weights


@pytest.mark.parametrize("bias", [False, True])
def test_measured_input_weights_are_the_chips(bias: bool) -> None:
    tested = bench(3, digits_network(bias), **BAD)
    found = measure_inputs(tested, measure_ends(tested))
    chip, network = tested.chip, tested.design.network
    # What can be seen from outside is the product with the pair's slope.
    ratio = chip.drive_stage.slope / network.fhn.slope
    known = np.isfinite(found.weights)
    assert known.mean() > 0.99
    # Neurons bend the line by up to 1e-3 of the activation.
    assert np.abs(found.weights - chip.weights[0] * ratio)[known].max() < 0.01
    wanted = chip.biases[0] * ratio + chip.drive_stage.shift / network.fhn.slope
    np.testing.assert_allclose(found.bias, wanted, atol=0.01)
    assert tested.costs.runs == 2 * chip.n_neurons + 65


def test_ends_are_those_of_pair_neuron_and_driver() -> None:
    tested = bench(3, **BAD)
    chip, found = tested.chip, measure_ends(tested)
    p = chip.coefficients.q
    amplitude = -chip.row_stage.gain * p[:, 3] / p[:, 1] * chip.drive_stage.gain
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=2e-3)


def test_measured_output_weights_are_the_chips() -> None:
    tested = bench(3, digits_network(True), **BAD)
    hidden, scores = tested.both(images("train", 80).images)
    found = output_weights(hidden, scores)
    np.testing.assert_allclose(found.weights, tested.chip.weights[1], atol=1e-6)
    np.testing.assert_allclose(found.bias, tested.chip.biases[1], atol=1e-6)
    np.testing.assert_allclose(scores, tested.scores(images("train", 80).images), rtol=1e-12)


def test_the_twin_does_what_the_chip_does() -> None:
    tested = bench(3, **BAD)
    ends = measure_ends(tested)
    twin = Twin.of(tested.design.network, measure_inputs(tested, ends), ends)
    shown = images("test").images
    assert np.abs(twin.hidden(shown) - tested.hidden(shown)).max() < 0.01


def test_fewer_images_than_neurons_are_refused() -> None:
    with pytest.raises(InputError, match="20 images for the output weights of 24 neurons: expected at least 25"):
        output_weights(np.ones((20, 24)), np.ones((20, 10)))
