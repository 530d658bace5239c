"""The waterfall: every stage adds one thing, and is what a direct calculation gives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analog_fhn.chip import Chip
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.studies.waterfall import Stage, consumption, waterfall
from analog_fhn.technology.technology import Adc, Technology

N_IMAGES = 40


@cache
def setup() -> tuple[Network, Chip, Dataset]:
    """Random hidden neurons with an output layer by least squares: right on most digits, without training."""
    train, test = load("digits", "train"), load("digits", "test").head(N_IMAGES)
    w0 = np.random.default_rng(0).normal(size=(64, 12)) * 0.5
    hidden = 1 / (1 + np.exp(-(train.images - 0.3) @ w0))
    w1 = np.linalg.lstsq(hidden, np.eye(10)[train.labels], rcond=None)[0]
    network = Network.of_weights((w0, w1), (-0.3 * w0.sum(axis=0), np.zeros(10))).with_options(settle=4.0, control=30.0)
    # Errors large enough that each stage changes something
    technology = Technology.load("discrete")
    array = technology.array.model_copy(update={"levels": 4, "programming_error": 0.2})
    sense = technology.sense_amplifier.model_copy(update={"offset_sigma": 0.05})
    amplifier = technology.opamp.model_copy(update={"offset_sigma": 0.3})
    changed = {"array": array, "opamp": amplifier, "sense_amplifier": sense}
    return network, Design(network, technology.model_copy(update=changed)).chip(5), test


@cache
def stages() -> dict[str, Stage]:
    network, chip, test = setup()
    found = waterfall(network, chip, test.images, test.labels, noise_images=7, brian_images=3, spice_images=0)
    return {stage.name: stage for stage in found}


def test_stages_in_their_order() -> None:
    assert [(s.name, s.backend, s.n_images) for s in stages().values()] == [
        ("float", None, N_IMAGES),
        ("ideal FHN", "direct", N_IMAGES),
        ("quantised weights", "direct", N_IMAGES),
        ("devices", "direct", N_IMAGES),
        ("sense amplifiers", "direct", N_IMAGES),
        ("mismatched neurons", "direct", N_IMAGES),
        ("mismatched tanh pairs and row drivers", "direct", N_IMAGES),
        ("same chip with the noise of its parts", "direct", 7),
        ("same chip in Brian2", "brian", 3),
    ]


def test_arrays_without_levels_and_errors_still_clip() -> None:
    network, chip, test = setup()
    technology = chip.technology.with_errors(())
    array = technology.array.model_copy(update={"levels": None, "clip_quantile": 0.5})
    clipped = Design(network, technology.model_copy(update={"array": array})).chip(5)
    found = {stage.name: stage.predictions for stage in waterfall(network, clipped, test.images, test.labels)}
    assert list(found)[2:4] == ["mapped weights", "mismatched neurons"]
    expected = classify(clipped.with_ideal_cells(), test.images).predictions
    np.testing.assert_array_equal(found["mapped weights"], expected)
    assert (found["mapped weights"] != found["ideal FHN"]).any()


def test_first_stage_is_the_plain_network() -> None:
    network, _, test = setup()
    plain = network.forward(test.images).argmax(axis=1)
    assert np.mean(plain == test.labels) > 0.5
    np.testing.assert_array_equal(stages()["float"].predictions, plain)


def test_last_stage_is_the_chip_itself() -> None:
    network, chip, test = setup()
    expected = classify(chip, test.images).predictions
    np.testing.assert_array_equal(stages()["mismatched tanh pairs and row drivers"].predictions, expected)
    without = classify(chip.with_ideal_stages(), test.images).predictions
    np.testing.assert_array_equal(stages()["mismatched neurons"].predictions, without)


def test_quantised_stage_has_neither_programming_error_nor_mismatch() -> None:
    network, chip, test = setup()
    rounded = Design(network, chip.technology).crossbars
    z = test.images @ rounded[0].weights + rounded[0].bias
    scores = 1 / (1 + np.exp(-z)) @ rounded[1].weights + rounded[1].bias
    two = np.sort(scores, axis=1)[:, -2:]
    clear = two[:, 1] - two[:, 0] > 0.15  # what a window of 30 T leaves uncertain
    assert np.count_nonzero(clear) > 10
    found = stages()["quantised weights"].predictions
    np.testing.assert_array_equal(found[clear], scores.argmax(axis=1)[clear])


def test_stages_differ() -> None:
    answers = [tuple(s.predictions) for s in stages().values() if s.backend == "direct" and s.agreement is None]
    assert len(set(answers)) == len(answers)


def test_accuracy_is_that_of_the_predictions() -> None:
    _, _, test = setup()
    for stage in stages().values():
        assert stage.accuracy == np.mean(stage.predictions == test.labels[: stage.n_images]), stage.name


def test_agreement_is_with_direct_on_the_same_chip() -> None:
    brian, direct = stages()["same chip in Brian2"], stages()["mismatched tanh pairs and row drivers"]
    assert brian.agreement == np.mean(brian.predictions == direct.predictions[:3])
    assert brian.same == np.count_nonzero(brian.predictions == direct.predictions[:3])


def test_only_repetitions_of_the_same_chip_have_an_agreement() -> None:
    repeated = ["same chip with the noise of its parts", "same chip in Brian2"]
    assert [name for name, s in stages().items() if s.agreement is not None] == repeated


def test_consumption_is_the_supplies_quiescent_current_and_a_little_more() -> None:
    network, chip, test = setup()
    found = consumption(network, chip.last.cells[slice(0, 2)], test.images[:1])
    # Data sheets: four op-amps of 1.4 mA and two multipliers of 4 mA on 30 V; loads are mA, the tanh pair 0.1 mA.
    quiescent = 30.0 * (4 * 1.4e-3 + 2 * 4e-3)
    assert quiescent < found.power_per_neuron < 1.25 * quiescent
    assert found.power == pytest.approx(2 * found.power_per_neuron)
    assert found.seconds == pytest.approx(34e-3)
    assert found.energy == pytest.approx(found.power * 34e-3)


def test_more_simulator_images_than_images_are_cut() -> None:
    network, chip, test = setup()
    found = waterfall(network, chip, test.images[:2], test.labels[:2], brian_images=50)
    assert found[-1].n_images == 2


def test_progress_ends_complete() -> None:
    network, chip, test = setup()
    calls: list[tuple[int, int]] = []
    waterfall(network, chip, test.images[:2], test.labels[:2], progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1]


@pytest.fixture
def no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("a stage was reached")

    monkeypatch.setattr("analog_fhn.studies.waterfall.classify", reached)


@pytest.mark.usefixtures("no_stage")
def test_converters_and_vote_are_refused_before_any_stage() -> None:
    network, chip, test = setup()
    converting = replace(chip, technology=chip.technology.model_copy(update={"adc": Adc(bits=8)}))
    with pytest.raises(InputError, match="converters"):
        waterfall(network.with_options(readout="vote"), converting, test.images, test.labels)


@pytest.mark.usefixtures("no_stage")
@pytest.mark.parametrize("drives", [4, -1])
def test_too_small_a_table_is_refused_before_any_stage(drives: int) -> None:
    network, chip, test = setup()
    with pytest.raises(InputError, match=f"table of {drives} drives: expected at least 5, or 0 for none"):
        waterfall(network, chip, test.images, test.labels, spice_table=drives)


def test_chip_without_technology_is_refused() -> None:
    network, _, test = setup()
    with pytest.raises(ValueError, match="needs a chip with a technology"):
        waterfall(network, Chip.ideal(network), test.images, test.labels)
