"""Training with the circuit in the forward pass: what it learns is what the backends then see."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.patches import AveragePool, Patches
from analog_fhn.technology.technology import Technology
from analog_fhn.training import array, circuit
from analog_fhn.training.circuit import Inside, SeenChips, train_fhn
from analog_fhn.training.plain import train_plain
from analog_fhn.training.response import Responses


@pytest.fixture(scope="module")
def train() -> Dataset:
    return load("digits", "train")


@pytest.fixture(scope="module")
def test() -> Dataset:
    return load("digits", "test")


def test_settled_neurons_learn_as_the_plain_network(train: Dataset, test: Dataset) -> None:
    told: list[tuple[int, int]] = []
    trained = train_fhn(train, n_hidden=30, epochs=12, validation=test, progress=lambda e, n, *_: told.append((e, n)))
    plain = train_plain(train, n_hidden=30, epochs=12)
    network = trained.network(train.scale)
    found = classify(network, test.images).accuracy(test.labels)
    # 500 images: two standard deviations of a difference of independent shares at 92 % are 3.4 points.
    assert found > plain.network(train.scale).accuracy(test.images, test.labels) - 0.034
    assert trained.history["val_accuracy"][-1] == pytest.approx(found, abs=0.01)
    assert told == [(k, 12) for k in range(1, 13)]
    assert network.fhn == FHN()


def test_same_seed_same_weights(train: Dataset) -> None:
    few = train.head(96)
    hardware = SeenChips(Technology.load("discrete"), chips=2)
    for options in ({}, {"hardware": hardware}):
        one, other = (train_fhn(few, n_hidden=6, epochs=2, seed=4, **options) for _ in range(2))  # type: ignore[arg-type]
        assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    assert not np.array_equal(one.weights[0], train_fhn(few, n_hidden=6, epochs=2, seed=5).weights[0])


def test_short_windows_can_be_trained_for(train: Dataset, test: Dataset) -> None:
    protocol = Protocol(settle=0.0, control=1.0)
    plain = train_plain(train, n_hidden=30, epochs=12).network(train.scale)
    before = classify(plain.with_options(settle=0.0, control=1.0), test.images).accuracy(test.labels)
    trained = train_fhn(train, n_hidden=30, inside=Inside(protocol=protocol, window=True), start=plain, epochs=8)
    network = trained.network(train.scale)
    assert network.protocol == protocol
    assert classify(network, test.images).accuracy(test.labels) > before + 0.01


def test_instants_are_seen_one_by_one(train: Dataset, test: Dataset) -> None:
    instants = Protocol(settle=2.0, control=6.0, interval=0.5)
    trained = train_fhn(train, n_hidden=30, inside=Inside(instants=instants, gradient="sigmoid"), epochs=16)
    network = trained.network(train.scale).with_options(settle=2.0, control=6.0, readout="vote")
    assert classify(network, test.images).accuracy(test.labels) > 0.85


def test_chips_get_better_by_training_with_their_kind(train: Dataset, test: Dataset) -> None:
    technology = Technology.load("discrete").with_values(
        {"array.programming_error": 0.2, "array.stuck_on": 0.03, "array.stuck_off": 0.03, "resistor.tolerance": 0.1}
    )
    plain = train_plain(train, n_hidden=40, epochs=20).network(train.scale)
    told = train_fhn(
        train, n_hidden=40, hardware=SeenChips(technology, chips=10), start=plain, epochs=20, learning_rate=3e-3
    )

    def median(network: Network) -> float:
        design = Design(network, technology)
        found = [classify(design.chip(k), test.images, table=9).accuracy(test.labels) for k in range(15)]
        return float(np.median(found))

    assert median(told.network(train.scale)) > median(plain) + 0.03
    assert told.settings["technology"]["array"]["programming_error"] == 0.2


def test_chips_with_two_hidden_layers_get_better_too(train: Dataset, test: Dataset) -> None:
    technology = Technology.load("discrete").with_values(
        {"array.programming_error": 0.2, "array.stuck_on": 0.03, "array.stuck_off": 0.03, "resistor.tolerance": 0.1}
    )
    # As many epochs in all: what training on by itself brings is not counted.
    plain, start = (
        train_plain(train, n_hidden=(16, 12), hidden=("tanh", "sigmoid"), epochs=n).network(train.scale)
        for n in (40, 20)
    )
    trained = train_fhn(
        train, n_hidden=(16, 12), inside=Inside(hidden=("tanh", "sigmoid")),
        hardware=SeenChips(technology, chips=5), start=start, epochs=20,
    )  # fmt: skip

    def median(network: Network) -> float:
        design = Design(network, technology)
        return float(
            np.median([classify(design.chip(k), test.images, table=9).accuracy(test.labels) for k in range(9)])
        )

    network = trained.network(train.scale)
    assert (network.layer_sizes, network.units) == ((64, 16, 12, 10), ("tanh", "sigmoid"))
    assert median(network) > median(plain) + 0.05
    assert trained.settings["hidden"] == ["tanh", "sigmoid"]


def test_each_layer_draws_the_cells_of_its_own(train: Dataset) -> None:
    technology = Technology.load("discrete").with_values({"low_pass.time_constant": 80.0})
    start = Network.of_weights((np.ones((64, 5)), np.ones((5, 4)), np.ones((4, 10))), (), ("tanh", "sigmoid"))
    start = replace(start, fhn=FHN(slope=1.0))
    seen = circuit.drawn_chips(start, Inside(hidden=start.units, recentre=False), SeenChips(technology, chips=2))
    chip = Design(start, technology).chip(1_000_001)
    for number, (responses, layer) in enumerate(zip(seen.responses, chip.layers, strict=True)):
        n = len(layer.cells)
        assert len(responses) == 1 + 2 * n
        stage, rows = layer.cells.drive_stage, layer.cells.row_stage
        np.testing.assert_array_equal(responses[np.arange(n + 1, 2 * n + 1)].slope, stage.slope)
        # Only the output array's rows are raw; between layers the low-pass lets through what has settled.
        gain = rows.gain * rows.handed_over(start.protocol, 0) if number == 0 else rows.raw_gain
        np.testing.assert_array_equal(responses[np.arange(n + 1, 2 * n + 1)].row_gain, gain)
    assert np.all(chip.layers[0].cells.row_stage.handed_over(start.protocol, 0) < 0.99)
    assert [values.shape for values in seen.offsets or []] == [(2, 5), (2, 4), (2, 10)]


def test_noise_of_the_parts_is_seen(train: Dataset) -> None:
    technology, few = Technology.load("discrete"), train.head(64)
    inside = Inside(protocol=Protocol(settle=0.0, control=5.0))
    quiet, parts, loud = (
        train_fhn(few, n_hidden=5, inside=inside, hardware=SeenChips(technology, chips=1, noise=noise), epochs=1)
        for noise in (None, "intrinsic", 1e-6)
    )
    # The parts' own noise moves a weight by little, a density of 1e-6 A/sqrt(Hz) (a thousand times as much) by a lot.
    little, much = (np.abs(other.weights[0] - quiet.weights[0]).max() for other in (parts, loud))
    assert 0.0 < little < 0.3 * much
    assert loud.settings["noise"] == 1e-6


def test_several_hidden_layers(train: Dataset, test: Dataset) -> None:
    network = train_fhn(train, n_hidden=(25, 20), epochs=30).network(train.scale)
    assert network.layer_sizes == (64, 25, 20, 10)
    found = classify(network, test.images)
    assert found.accuracy(test.labels) > 0.85
    # The composition, written out: each layer's neurons answer with their settled means.
    one = Responses.nominal(FHN())
    h = test.images.astype(float)
    for w in network.weights[:-1]:
        z = h @ w
        h = one.activations(z.reshape(-1, 1)).reshape(z.shape)
    assert np.mean((h @ network.weights[-1]).argmax(axis=1) == found.predictions) > 0.99


def test_biases(train: Dataset, test: Dataset) -> None:
    network = train_fhn(train, n_hidden=20, bias=True, epochs=6).network(train.scale)
    assert [b is None for b in network.biases] == [False, False]
    assert classify(network, test.images).accuracy(test.labels) > 0.8


def test_wrong_settings_are_refused(train: Dataset) -> None:
    few, hardware = train.head(50), SeenChips(Technology.load("discrete"), chips=1)

    def make(**options: Any) -> Network:
        return Network.of_weights((np.ones((64, 5)), np.ones((5, 10))), **options)

    start = make()
    for options, message in (
        ({"n_hidden": ()}, "at least one hidden layer"),
        ({"n_hidden": (4, 0)}, "n_hidden = 0"),
        ({"n_hidden": 6, "start": start}, r"layers \(64, 5, 10\); expected \(64, 6, 10\)"),
        ({"n_hidden": (4, 4), "inside": Inside(hidden=("tanh",) * 3)}, "names 3 units of 2 hidden layers"),
        ({"epochs": 0}, "epochs = 0"),
        ({"n_hidden": 5, "start": make(hidden="tanh")}, "start was trained as 'tanh'; expected hidden 'sigm"),
        ({"n_hidden": 5, "start": make(behind="sigmoid")}, "start has tanh 'drive', behind 'sigmoid'"),
        ({"n_hidden": 5, "start": make(tanh="input")}, "start has tanh 'input'"),
        ({"n_hidden": 5, "start": make(biases=(np.ones(5), None))}, "start has biases"),
        ({"n_hidden": 5, "start": replace(start, input_range=(0, 255))}, "values from 0 to 255; expected those of"),
        ({"inside": Inside(responses=Responses.nominal(FHN())), "hardware": hardware}, "responses with hardware"),
        (
            {"inside": Inside(instants=Protocol(1.0, 2.0)), "hardware": replace(hardware, noise="intrinsic")},
            "hardware.noise = intrinsic with instants",
        ),
        ({"schedule": "linear"}, "schedule = 'linear'"),
    ):
        with pytest.raises(InputError, match=message):
            train_fhn(few, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="chips = 0"):
        replace(hardware, chips=0)
    for clip in (-1.0, 0.0, float("nan")):
        with pytest.raises(InputError, match="clip_sigma = "):
            replace(hardware, clip_sigma=clip)
    with pytest.raises(InputError, match="ramp = 'steep'"):
        replace(hardware, ramp="steep")  # type: ignore[arg-type]


def test_validation_images_of_another_kind_are_refused_before_training(train: Dataset) -> None:
    few = train.head(50)
    narrow = replace(few, images=few.images[:, :16].copy(), source="narrow")
    more = replace(few, labels=np.full_like(few.labels, 11), n_classes=12, source="more")
    for validation, message in (
        (narrow, "narrow: images have 16 values; expected 64, as in load_digits"),
        (more, "more: label 11; expected 0 to 9, for load_digits"),
    ):
        with pytest.raises(InputError, match=message):
            train_fhn(few, n_hidden=3, epochs=1, validation=validation)


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32 - 101])
def test_the_largest_seeds_are_seeds(seed: int, train: Dataset) -> None:
    few, hardware = train.head(32), SeenChips(Technology.load("discrete"), chips=1)
    for options in ({}, {"hardware": hardware}):
        trained = train_fhn(few, n_hidden=3, epochs=1, seed=seed, **options)  # type: ignore[arg-type]
        assert all(np.isfinite(w).all() for w in trained.weights)


def test_arrays_whose_devices_can_be_without_conductance_are_trained_for(train: Dataset) -> None:
    technology = Technology.load("discrete").with_values({"array.g_min": 0.0})
    trained = train_fhn(train, n_hidden=12, hardware=SeenChips(technology, chips=2), epochs=4)
    assert trained.network(train.scale).accuracy(train.images, train.labels) > 0.6


@pytest.mark.parametrize("recentre", [True, False])
def test_amplifier_offsets_are_those_of_the_rows(
    recentre: bool, train: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Spy(array.ArrayDense):  # type: ignore[misc]
        def __init__(self, *arguments: object, **options: object) -> None:
            seen.append(options["offsets"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr(array, "ArrayDense", Spy)
    technology = Technology.load("discrete").with_errors(["amplifier"])
    start = Network.of_weights((np.ones((64, 5)), np.eye(5, 10)))
    hardware = SeenChips(technology, chips=3, first_chip=7)
    train_fhn(train.head(32), n_hidden=5, inside=Inside(recentre=recentre), hardware=hardware, start=start, epochs=1)
    design = Design(start, technology)
    recentred = np.array([design.chip(k).output.bias for k in (7, 8, 9)])
    # The same volts are twice as much on rows of x as on those of the activation, x/2 + 1.
    assert np.allclose(seen[1], recentred if recentre else 2.0 * recentred, rtol=1e-6, atol=1e-10)
    assert np.abs(recentred).max() > 1e-3


def test_settings_tell_what_training_saw(train: Dataset) -> None:
    few = train.head(32)
    start = Network.of_weights((np.ones((64, 5)), np.ones((5, 10))))
    inside = Inside(fhn=FHN(gamma=-1.2), protocol=Protocol(0.0, 2.0), recentre=False, window=True)
    hardware = SeenChips(Technology.load("discrete"), chips=1, first_chip=7)
    settings = train_fhn(few, n_hidden=5, inside=inside, hardware=hardware, start=start, epochs=1).settings
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["start"], settings["first_chip"], settings["recentre"]) == (start.sha256, 7, False)
    assert (settings["fhn"]["gamma"], settings["protocol"]["control"]) == (-1.2, 2.0)
    assert train_fhn(few, n_hidden=2, epochs=1).settings["start"] == "glorot_uniform"


LARGE_ERRORS = {
    "array.programming_error": 0.2, "array.stuck_on": 0.03, "array.stuck_off": 0.03, "resistor.tolerance": 0.1,
}  # fmt: skip
CONVOLUTIONS = "conv8@3x3 relu, mean2x2, 24 relu"


def median_of_chips(network: Network, technology: Technology, test: Dataset, n: int = 9) -> float:
    design = Design(network, technology)
    return float(np.median([classify(design.chip(k), test.images, table=9).accuracy(test.labels) for k in range(n)]))


def test_relus_and_convolutions_learn_with_neurons_inside(train: Dataset, test: Dataset) -> None:
    for layers, least in (("30 relu", 0.93), (CONVOLUTIONS, 0.93)):
        trained = train_fhn(train, layers=layers, bias=True, epochs=12, validation=test)
        network = trained.network(train.scale)
        found = classify(network, test.images, table=33).accuracy(test.labels)
        assert found > least
        assert network.fhn == FHN(slope=1.0)
        # What training saw is what images are judged by, and ideal neurons are the units of the plain network.
        assert trained.history["val_accuracy"][-1] == pytest.approx(found, abs=0.005)
        assert network.accuracy(test.images, test.labels) == pytest.approx(found, abs=0.005)
        # Ceilings are those of a plain network after two epochs, and training goes on from it.
        assert trained.settings["start"] == "plain network of two epochs"
        told = trained.settings["ceilings"]
        assert [one["ceiling"] for one in told] == list(network.ceilings)
        assert all(one["from"] == "given" and 0.0 <= one["clipped"] < 0.2 for one in told)


def test_a_given_ceiling_is_trained_with(train: Dataset, test: Dataset) -> None:
    trained = train_fhn(train, layers="20 relu, 10 tanh, 12 relu", ceiling=(1.5, 2.0), epochs=8)
    network = trained.network(train.scale)
    assert network.ceilings == (1.5, 1.0, 2.0)
    assert trained.settings["start"] == "glorot_uniform"
    assert classify(network, test.images, table=33).accuracy(test.labels) > 0.75


def test_chips_of_relus_get_better_by_training_with_their_kind(train: Dataset, test: Dataset) -> None:
    technology = Technology.load("discrete").with_values(LARGE_ERRORS)
    start = train_plain(train, n_hidden=40, hidden="relu", bias=True, epochs=20).network(train.scale)
    # As many epochs in all: what training on by itself brings is not counted.
    plain = train_plain(train, start=start, bias=True, epochs=12).network(train.scale)
    trained = train_fhn(train, hardware=SeenChips(technology, chips=5), start=start, bias=True, epochs=12)
    network = trained.network(train.scale)
    assert (network.layer_sizes, network.units, network.ceilings) == ((64, 40, 10), ("relu",), start.ceilings)
    assert median_of_chips(network, technology, test) > median_of_chips(plain, technology, test) + 0.05
    assert network.biases[0] is not None
    assert np.abs(network.biases[0] - start.biases[0]).max() > 0.01


def test_chips_of_convolutions_get_better_too(train: Dataset, test: Dataset) -> None:
    technology = Technology.load("discrete").with_values(LARGE_ERRORS)
    start = train_plain(train, layers=CONVOLUTIONS, bias=True, epochs=15).network(train.scale)
    hardware = SeenChips(technology, chips=5)
    network = train_fhn(train, hardware=hardware, start=start, bias=True, epochs=10).network(train.scale)
    assert network.sizes_text == start.sizes_text == "8x8-conv8@3x3-mean2x2-24-10"
    assert median_of_chips(network, technology, test) > median_of_chips(start, technology, test) + 0.15


def test_held_layers_and_biases_are_seen_as_chips_have_them() -> None:
    random = np.random.default_rng(0)
    layers = (
        Convolution(random.normal(size=(9, 3)), np.ones(3), "relu", "tanh", 2.0, Patches((8, 8, 1), (3, 3))),
        AveragePool((6, 6, 3), (2, 2), (2, 2)),
        Dense(random.normal(size=(27, 5)), np.ones(5), "relu", "tanh", 3.0),
        Dense(random.normal(size=(5, 4)), None, "tanh"),
        Dense(random.normal(size=(4, 10)), np.ones(10)),
    )
    technology = Technology.load("discrete").with_values({"low_pass.time_constant": 60.0})
    start = Network(layers, fhn=FHN(slope=1.0))
    seen = circuit.drawn_chips(start, Inside(hidden=start.units, fhn=start.fhn), SeenChips(technology, chips=2))
    chip = Design(start, technology).chip(1_000_001)
    for number, (responses, layer) in enumerate(zip(seen.responses, chip.layers, strict=True)):
        n, rows = len(layer.cells), layer.cells.row_stage
        drawn = responses[np.arange(n + 1, 2 * n + 1)]
        assert responses.curve == ("tanh" if number == 2 else "ramp")
        through = (rows.held(start.protocol), rows.handed_over(start.protocol, 0), np.ones(n))[number]
        np.testing.assert_array_equal(drawn.row_gain, rows.gain * through)
        np.testing.assert_array_equal(drawn.shift, layer.cells.drive_stage.shift)
    assert np.all(chip.layers[0].cells.row_stage.held(start.protocol) < 0.998)
    # Offsets are the amplifiers' alone: programming errors of bias rows are drawn in training.
    assert seen.bias_drives == [array.target.bias_drive for array in chip.arrays]
    exact = Design(start, technology.with_errors(["amplifier_offset"]))
    for number, offsets in enumerate(seen.offsets or []):
        wanted = exact.chip(1_000_001).arrays[number].bias() - exact.chip(None).arrays[number].bias()
        np.testing.assert_allclose(offsets[1], wanted, rtol=0.1, atol=1e-4)


def test_what_cannot_be_inside_is_refused(train: Dataset) -> None:
    few, held = train.head(50), "conv3@3x3 relu"
    for options, message in (
        ({"layers": held, "inside": Inside(recentre=False)}, "are held .*; expected recentring"),
        ({"layers": held, "inside": Inside(instants=Protocol(1.0, 2.0))}, "are held .*, and no instants"),
        ({"layers": "5 relu", "inside": Inside(responses=Responses.nominal(FHN()))}, "responses of relu layers"),
        ({"layers": "5 relu", "inside": Inside(hidden="relu")}, "layers beside n_hidden or hidden"),
    ):
        with pytest.raises(InputError, match=message):
            train_fhn(few, **options)  # type: ignore[arg-type]


def test_a_start_brings_its_layers_or_has_those_that_are_named(train: Dataset) -> None:
    few = train.head(64)
    start = train_plain(few, layers=CONVOLUTIONS, epochs=1).network(few.scale)
    for options in ({}, {"layers": CONVOLUTIONS}):
        for trained in (
            train_plain(few, start=start, epochs=1, learning_rate=1e-9, **options),  # type: ignore[arg-type]
            train_fhn(few, start=start, epochs=1, learning_rate=1e-9, **options),  # type: ignore[arg-type]
        ):
            network = trained.network(few.scale)
            assert network.ceilings == start.ceilings
            assert trained.settings["start"] == start.sha256
            np.testing.assert_allclose(network.forward(few.images), start.forward(few.images), atol=1e-4)
    for options, message in (
        ({"layers": "conv8@3x3 relu, 24 relu"}, r"start has layers 8x8-.*; expected conv8@3x3 relu, 24 relu"),
        ({"layers": "conv8@3x3 relu, mean2x2, 24 tanh"}, "start was trained as 'relu'; expected hidden 'relu, tanh'"),
        ({"n_hidden": 5}, "start has layers 8x8-"),
    ):
        with pytest.raises(InputError, match=message):
            train_plain(few, start=start, **options)  # type: ignore[arg-type]
    other = replace(few, n_classes=12, labels=np.arange(64) % 12, whole=None)
    with pytest.raises(InputError, match=r"start has 64 inputs and 10 outputs; expected 64 and 12, for load_digits"):
        train_plain(other, start=start)


def test_dense_start_keeps_neurons_and_times(train: Dataset) -> None:
    few = train.head(64)
    start = replace(train_plain(few, n_hidden=5, epochs=1).network(few.scale), protocol=Protocol(3.0, 4.0))
    network = train_plain(few, start=start, epochs=1).network(few.scale)
    assert (network.protocol, network.fhn, network.layer_sizes) == (start.protocol, start.fhn, (64, 5, 10))
