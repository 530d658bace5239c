"""The waterfall: every stage adds one thing, and is what a direct calculation gives."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import small_cnn

from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.studies.consumption import consumption
from analog_fhn.studies.quiescent import quiescent
from analog_fhn.studies.waterfall import Stage, waterfall
from analog_fhn.technology.sections import Adc
from analog_fhn.technology.technology import Technology

N_IMAGES = 40


@cache
def setup() -> tuple[ManufacturedChip, Dataset]:
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
    return Design(network, technology.model_copy(update=changed)).chip(5), test


@cache
def stages() -> dict[str, Stage]:
    chip, test = setup()
    every = waterfall(chip, test.images, test.labels, noise_images=7, brian_images=3, spice_images=0)
    return {stage.name: stage for stage in every}


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
    chip, test = setup()
    technology = chip.technology.with_errors(())
    array = technology.array.model_copy(update={"levels": None, "clip_quantile": 0.5})
    clipped = Design(chip.network, technology.model_copy(update={"array": array})).chip(5)
    predictions = {stage.name: stage.predictions for stage in waterfall(clipped, test.images, test.labels)}
    assert list(predictions)[2:4] == ["mapped weights", "mismatched neurons"]
    expected = classify(clipped.with_ideal_cells(), test.images).predictions
    np.testing.assert_array_equal(predictions["mapped weights"], expected)
    assert (predictions["mapped weights"] != predictions["ideal FHN"]).any()


def test_first_stage_is_the_plain_network() -> None:
    chip, test = setup()
    plain = chip.network.forward(test.images).argmax(axis=1)
    assert np.mean(plain == test.labels) > 0.5
    np.testing.assert_array_equal(stages()["float"].predictions, plain)


def test_last_stage_is_the_chip_itself() -> None:
    chip, test = setup()
    expected = classify(chip, test.images).predictions
    np.testing.assert_array_equal(stages()["mismatched tanh pairs and row drivers"].predictions, expected)
    without = classify(chip.with_ideal_stages(), test.images).predictions
    np.testing.assert_array_equal(stages()["mismatched neurons"].predictions, without)


def test_quantised_stage_has_neither_programming_error_nor_mismatch() -> None:
    chip, test = setup()
    rounded = Design(chip.network, chip.technology).crossbars
    z = test.images @ rounded[0].weights + rounded[0].bias
    scores = 1 / (1 + np.exp(-z)) @ rounded[1].weights + rounded[1].bias
    two = np.sort(scores, axis=1)[:, -2:]
    clear = two[:, 1] - two[:, 0] > 0.15  # what a window of 30 T leaves uncertain
    assert np.count_nonzero(clear) > 10
    predictions = stages()["quantised weights"].predictions
    np.testing.assert_array_equal(predictions[clear], scores.argmax(axis=1)[clear])


def test_stages_differ() -> None:
    answers = [tuple(s.predictions) for s in stages().values() if s.backend == "direct" and s.agreement is None]
    assert len(set(answers)) == len(answers)


def test_accuracy_is_that_of_the_predictions() -> None:
    _, test = setup()
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
    chip, test = setup()
    first, second = chip.network.weights
    small = chip.network.with_weights((first[:, :2], second[:2]))
    drawn = consumption(Design(small, chip.technology).chip(5), test.images[:1])
    # Data sheets: four op-amps of 1.4 mA and two multipliers of 4 mA on 30 V; loads are mA, the tanh pair 0.1 mA.
    quiescent = 30.0 * (4 * 1.4e-3 + 2 * 4e-3)
    assert quiescent < drawn.power_per_neuron < 1.25 * quiescent
    assert drawn.power == pytest.approx(2 * drawn.power_per_neuron)
    assert drawn.seconds == pytest.approx(34e-3)
    assert drawn.energy == pytest.approx(drawn.power * 34e-3)


def test_more_simulator_images_than_images_are_cut() -> None:
    chip, test = setup()
    stages = waterfall(chip, test.images[:2], test.labels[:2], brian_images=50)
    assert stages[-1].n_images == 2


def test_progress_ends_complete() -> None:
    chip, test = setup()
    calls: list[tuple[int, int]] = []
    waterfall(chip, test.images[:2], test.labels[:2], progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1]


@pytest.fixture
def no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("a stage was reached")

    monkeypatch.setattr("analog_fhn.studies.waterfall.classify", reached)


@pytest.mark.usefixtures("no_stage")
def test_converters_and_vote_are_refused_before_any_stage() -> None:
    chip, test = setup()
    technology = chip.technology.model_copy(update={"adc": Adc(bits=8)})
    converting = Design(chip.network.with_options(readout="vote"), technology).chip(5)
    with pytest.raises(InputError, match="converters"):
        waterfall(converting, test.images, test.labels)


@pytest.mark.usefixtures("no_stage")
@pytest.mark.parametrize("drives", [4, -1])
def test_too_small_a_table_is_refused_before_any_stage(drives: int) -> None:
    chip, test = setup()
    with pytest.raises(InputError, match=f"table of {drives} drives: expected at least 5, or 0 for none"):
        waterfall(chip, test.images, test.labels, spice_table=drives)


def test_two_hidden_layers_go_through_all_stages() -> None:
    chip, test = setup()
    network = deep()
    deep_chip = Design(network, chip.technology).chip(5)
    every = waterfall(deep_chip, test.images, test.labels, noise_images=2)
    assert [stage.name for stage in every] == [stage.name for stage in stages().values()][:-1]
    np.testing.assert_array_equal(every[0].predictions, network.forward(test.images).argmax(axis=1))
    np.testing.assert_array_equal(every[-2].predictions, classify(deep_chip, test.images).predictions)


def deep() -> Network:
    """Random layers behind each other."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape) for shape in ((64, 8), (8, 6), (6, 10))]
    return Network.of_weights(weights, protocol=setup()[0].network.protocol)


def test_cells_of_all_hidden_layers_consume() -> None:
    chip, test = setup()
    drawn = consumption(Design(deep(), chip.technology).chip(5), test.images[:1])
    assert drawn.power == pytest.approx((8 + 6) * drawn.power_per_neuron)


def convolutional() -> tuple[ManufacturedChip, FloatArray, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    net = small_cnn.network(two=True)
    images = np.random.default_rng(1).random((60, 36))
    made = small_cnn.chip(net, 5, **{"hold.offset_sigma": 0.1, "hold.noise": 0.05})
    return made, images, net.forward(images).argmax(axis=1)


def test_held_activations_are_a_stage_of_their_own() -> None:
    made, images, labels = convolutional()
    every = {stage.name: stage for stage in waterfall(made, images, labels, noise_images=2)}
    assert list(every) == [
        "float", "ideal FHN", "quantised weights", "devices", "sense amplifiers", "held activations",
        "mismatched neurons", "mismatched rectifiers and row drivers", "same chip with the noise of its parts",
    ]  # fmt: skip
    assert {stage.backend for stage in every.values()} == {None, "direct table of 9", "direct"}
    # hold stages of ten times the usual offset, and nothing else, behind the arrays
    before, held = (every[name].predictions for name in ("sense amplifiers", "held activations"))
    np.testing.assert_array_equal(before, classify(made.with_ideal_cells(), images, table=9).predictions)
    assert (before != held).any()
    np.testing.assert_array_equal(
        every["mismatched rectifiers and row drivers"].predictions, classify(made, images, table=9).predictions
    )
    silent = small_cnn.chip(made.network, 5, **{"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0, "hold.noise": 0.0,
                                                "low_pass.time_constant": 5.0})  # fmt: skip
    quiet = {stage.name: stage.predictions for stage in waterfall(silent, images, labels)}
    # what is left there is the ripple
    assert np.mean(quiet["sense amplifiers"] == quiet["held activations"]) > np.mean(before == held)


def test_an_answer_of_a_convolutional_chip_takes_all_windows() -> None:
    made, images, _ = convolutional()
    drawn = consumption(made, images[:1])
    assert drawn.seconds == pytest.approx(18 * 60e-3)
    # 36 stages of 4.5 mA on 30 V
    assert drawn.holds == pytest.approx(36 * 4.5e-3 * 30.0)
    assert drawn.power == pytest.approx(4 * drawn.power_per_neuron)
    assert drawn.energy == pytest.approx((drawn.power + drawn.holds) * drawn.seconds)


def test_quiescent_power_is_that_of_data_sheets() -> None:
    made, images, _ = convolutional()
    idle = quiescent(Design(made.network, made.technology))
    # two amplifiers of 4 mA behind each of 2 + 2 + 2 outputs
    assert idle.amplifiers == pytest.approx(12 * 4e-3 * 30.0)
    assert idle.hold == pytest.approx(36 * 4.5e-3 * 30.0)
    assert idle.seconds == pytest.approx(18 * 60e-3)
    assert idle.energy == pytest.approx((idle.cells + idle.amplifiers + idle.hold) * idle.seconds)
    # loads are a few per cent
    assert idle.cells < consumption(made, images[:1]).power < 1.25 * idle.cells


def test_the_last_stage_names_what_stands_around_the_neurons() -> None:
    random = np.random.default_rng(2)
    w = [random.normal(size=shape) for shape in ((36, 5), (5, 4), (4, 3))]
    relu = Dense(w[0], None, "relu", "tanh", 3.0)
    images, labels = random.random((20, 36)), random.integers(0, 3, 20)
    for layers, words in (
        ((relu, Dense(w[1][:, :3])), "mismatched rectifiers and row drivers"),
        ((relu, Dense(w[1], None, "tanh"), Dense(w[2])), "mismatched rectifiers, tanh pairs and row drivers"),
    ):
        made = Design(Network(layers, fhn=FHN(slope=1.0), protocol=Protocol(20.0, 20.0)), "discrete").chip(1)
        assert waterfall(made, images, labels)[-1].name == words
