"""Network, chip, backend and images together: the scores mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from analog_fhn import inference
from analog_fhn.backends.base import Response
from analog_fhn.cell.base import Cells
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify, classify_all, confusion, make_backend, per_class
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.technology.technology import Technology

IMAGES = load("digits", "test").images[:30]
# Settled, and many periods long, but cheap for 16 neurons
PROTOCOL = Protocol(settle=20.0, control=100.0)


def make(hidden: str = "sigmoid", bias: bool = True, protocol: Protocol = PROTOCOL) -> Network:
    rng = np.random.default_rng(0)
    w0, w1 = rng.normal(size=(64, 16)), rng.normal(size=(16, 10))
    # Without biases images of digits would all look alike to such neurons.
    centre = IMAGES.mean(axis=0).astype(np.float64) @ w0
    weights, biases = (w0, w1), (-centre, -0.5 * w1.sum(axis=0) * (hidden == "sigmoid")) if bias else ()
    network = Network.of_weights(weights, biases, hidden, protocol=protocol)  # type: ignore[arg-type]
    return network.with_options(slope=0.5 if hidden == "sigmoid" else 1.0)


@dataclass(frozen=True)
class Instant:
    """A stand-in for a backend: x(t) is the mean that the identity gives, plus a fixed square wave."""

    ripple: float = 0.0
    name: str = "instant"

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        mean = -(1.0 + drives)  # a = 1
        wave = self.ripple * np.where(np.arange(protocol.n_samples) % 4 < 2, 1.0, -1.0)
        x = (mean + wave[:, None, None] * np.linspace(-1, 1, drives.shape[1])).astype(np.float32)
        if progress is not None:
            progress(drives.size, drives.size)
        return Response(mean, x if samples else None)


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [False, True])
def test_mean_readout_of_ideal_neurons_is_the_plain_network(hidden: str, bias: bool) -> None:
    network = make(hidden, bias)
    result = classify(network, IMAGES)
    plain = network.forward(IMAGES)
    # The mean of x misses by (y(end) - y(start))/100 T, the integral of dy/dt, and y swings by 1.5 at most; then come
    # the recentring's gain (1/2 for sigmoid, 1 for tanh) and the weights.
    gain = 0.5 if hidden == "sigmoid" else 1.0
    bound = 0.015 * gain * np.abs(network.weights[1]).sum(axis=0)
    assert np.all(np.abs(result.scores - plain) < bound)


def test_classes_are_those_of_the_plain_network() -> None:
    network = make()
    plain = network.forward(IMAGES)
    two = np.sort(plain, axis=1)[:, -2:]
    clear = two[:, 1] - two[:, 0] > 0.1
    assert np.count_nonzero(clear) > 20
    assert len(set(plain.argmax(axis=1))) > 4
    np.testing.assert_array_equal(classify(network, IMAGES).predictions[clear], plain.argmax(axis=1)[clear])


def test_raw_scores_differ_by_the_column_sums() -> None:
    # Reference 1: x = -a - gamma tanh(z/2) where the weights expect h = (1 - (x + a)/gamma)/2; with gamma = -1, a = 1
    # the score of raw x is 2 h w + (-a + gamma) * sum w = 2 (score - b) - 2 sum w + b.
    network = make()
    raw, centred = classify_all(network, IMAGES, [("mean", False), ("mean", True)])
    sums, bias = network.weights[1].sum(axis=0), network.biases[1]
    np.testing.assert_allclose(raw.scores, 2 * (centred.scores - bias) - 2 * sums + bias, rtol=0, atol=1e-12)


def test_vote_of_a_constant_response_is_unanimous() -> None:
    network = make().with_options(readout="vote")
    result = classify(network, IMAGES, backend=Instant())
    winners = network.forward(IMAGES).argmax(axis=1)
    np.testing.assert_array_equal(result.predictions, winners)
    np.testing.assert_array_equal(result.scores, np.eye(10)[winners])


@pytest.mark.parametrize("recentre", [True, False])
def test_vote_counts_the_instants(recentre: bool) -> None:
    network = make().with_options(readout="vote", recentre=recentre)
    backend = Instant(ripple=1.5)
    result = classify(network, IMAGES, backend=backend)
    chip = Chip.ideal(network)
    x = backend.respond(chip.last.cells, chip.last.drives(IMAGES), network.protocol, samples=True).samples
    assert x is not None
    h = 0.5 * (1 + (x + 1.0)) if recentre else x  # gamma = -1, a = 1
    leaders = (h.astype(np.float64) @ network.weights[1] + network.biases[1]).argmax(axis=2)
    shares = np.stack([np.bincount(leaders[:, k], minlength=10) for k in range(len(IMAGES))]) / len(leaders)
    assert (shares.max(axis=1) < 1).any()
    np.testing.assert_allclose(result.scores, shares, rtol=0, atol=1e-12)


READOUTS = [("vote", False), ("mean", False), ("vote", True), ("mean", True)]


@pytest.mark.parametrize(("readout", "recentre"), READOUTS)
def test_one_simulation_serves_all_readouts(readout: str, recentre: bool) -> None:
    network = make(protocol=Protocol(settle=2.0, control=10.0))
    together = classify_all(network, IMAGES, READOUTS)[READOUTS.index((readout, recentre))]  # type: ignore[arg-type]
    alone = classify(network.with_options(readout=readout, recentre=recentre), IMAGES)  # type: ignore[arg-type]
    assert (together.readout, together.recentre) == (alone.readout, alone.recentre) == (readout, recentre)
    # float32 matrix products of another shape may round differently at a tie of the vote; here none is that close
    np.testing.assert_allclose(together.scores, alone.scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", ["vote", "mean"])
def test_grouping_does_not_change_results(readout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make(protocol=Protocol(settle=2.0, control=10.0)).with_options(readout=readout)  # type: ignore[arg-type]
    whole = classify(network, IMAGES)
    monkeypatch.setattr(inference, "_GROUP", 7)
    monkeypatch.setattr(inference, "_SAMPLE_BYTES", 7 * 50 * 46 * 4)
    calls: list[tuple[int, int]] = []
    grouped = classify(network, IMAGES, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == [7, 14, 21, 28, 30]
    np.testing.assert_allclose(grouped.scores, whole.scores, rtol=0, atol=1e-12)
    assert grouped.identity_deviation == whole.identity_deviation


def test_progress_ends_with_all_images() -> None:
    calls: list[tuple[int, int]] = []
    classify(make(), IMAGES, backend=Instant(), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (30, 30)


def test_identity_deviation_tells_what_has_not_settled() -> None:
    # Started far below on the left branch, y needs some time: without settling the means are off.
    network = make(protocol=Protocol(settle=0.0, control=2.0))
    early, late = (classify(n, IMAGES) for n in (network, network.with_options(settle=20.0, control=100.0)))
    assert early.unsettled > 0.5
    assert late.unsettled == 0.0
    assert late.identity_deviation < 0.015


def test_chip_scores_use_its_effective_weights() -> None:
    network = make()
    chip = Design(network, Technology.load("discrete")).chip(3).with_ideal_stages()
    result = classify(chip, IMAGES, backend=Instant())
    z = IMAGES.astype(np.float64) @ chip.layers[0].weights + chip.layers[0].bias
    expected = (1 / (1 + np.exp(-z))) @ chip.output.weights + chip.output.bias
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("recentre", [True, False])
def test_every_row_has_its_own_gain_and_offset(recentre: bool) -> None:
    network = make().with_options(recentre=recentre)
    chip = Design(network, Technology.load("discrete")).chip(3)
    result = classify(chip, IMAGES, backend=Instant())
    x = Instant().respond(chip.last.cells, chip.last.drives(IMAGES), network.protocol).mean
    rows = chip.last.cells.row_stage
    carried = rows.gain * x + rows.offset if recentre else rows.raw_gain * x + rows.raw_offset
    assert np.ptp(rows.gain) > 0
    bias = chip.output.bias if recentre else chip.output.raw_bias
    assert bias is not None
    np.testing.assert_allclose(result.scores, carried @ chip.output.weights + bias, rtol=0, atol=1e-12)


def test_a_chip_is_read_with_another_readout_and_protocol_by_another_network() -> None:
    chip = Design(make(), Technology.load("discrete")).chip(3)
    other = replace(chip, network=chip.network.with_options(readout="vote", recentre=False, settle=2.0))
    assert classify(other, IMAGES, backend=Instant()).readout == "vote"


@pytest.mark.parametrize("shape", [(30, 63), (64,), (0, 64), (3, 8, 8)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"images have shape .*: expected \(n_images, 64\)"):
        classify(make(), np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_images_are_refused(value: float) -> None:
    images = IMAGES.copy()
    images[4, 5] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        classify(make(), images)


def deep(hidden: str, **settings: Any) -> Network:
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(size=shape) / np.sqrt(shape[0] / 8) for shape in ((64, 12), (12, 7), (7, 5), (5, 10)))
    biases = (-IMAGES.mean(axis=0).astype(np.float64) @ weights[0], None, rng.normal(size=5), rng.normal(size=10))
    network = Network.of_weights(weights, biases, hidden, protocol=PROTOCOL, **settings)  # type: ignore[arg-type]
    return network.with_options(slope=0.5 if hidden == "sigmoid" else 1.0)


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_several_hidden_layers_follow_the_plain_network(hidden: str) -> None:
    network = deep(hidden)
    result = classify(network, IMAGES)
    # Each layer's mean misses by 0.015 at most (see above), times its gain; what follows passes it on with a slope
    # below 1 (tanh) or 1/4 (sigmoid) times the weights.
    gain, slope = (0.5, 0.25) if hidden == "sigmoid" else (1.0, 1.0)
    bound = np.zeros(64)
    for weights in network.weights:
        if weights is not network.weights[0]:
            bound = slope * bound + 0.015 * gain
        bound = bound @ np.abs(weights)
    assert np.all(np.abs(result.scores - network.forward(IMAGES)) < bound)
    assert result.unsettled == 0.0


@pytest.mark.parametrize(("readout", "recentre"), READOUTS)
def test_several_hidden_layers_are_a_composition(readout: str, recentre: bool) -> None:
    network = deep("sigmoid").with_options(readout=readout, recentre=recentre, settle=2.0, control=10.0)  # type: ignore[arg-type]
    w, b = network.weights, network.biases
    direct = make_backend("direct")
    h: FloatArray = IMAGES.astype(np.float64)
    for k in range(3):
        z = h @ w[k] + (0.0 if b[k] is None else b[k])
        neurons = Cells.ideal("sigmoid", network.fhn, z.shape[1])
        response = direct.respond(neurons, -np.tanh(0.5 * z), network.protocol, samples=True)
        last = k == 2
        h = 0.5 * (2.0 + response.mean) if recentre or not last else response.mean  # gamma = -1, a = 1
    x = np.asarray(response.samples, dtype=np.float64)
    over_time = (0.5 * (2.0 + x) if recentre else x) @ w[3] + b[3]
    expected = h @ w[3] + b[3]
    if readout == "vote":
        expected = np.stack([(over_time.argmax(axis=2) == k).mean(axis=0) for k in range(10)], axis=1)
    together = classify_all(network, IMAGES, READOUTS)[READOUTS.index((readout, recentre))]  # type: ignore[arg-type]
    # single precision may decide an instant of the vote otherwise
    np.testing.assert_allclose(together.scores, expected, rtol=0, atol=0.021 if readout == "vote" else 1e-9)
    np.testing.assert_array_equal(classify(network, IMAGES).scores, together.scores)


def test_several_hidden_layers_from_tables() -> None:
    network = deep("sigmoid")
    found = classify(network, IMAGES, table=33)
    assert found.table is not None
    np.testing.assert_allclose(found.scores, classify(network, IMAGES).scores, atol=0.1)


def test_progress_counts_the_images_of_every_layer() -> None:
    calls: list[tuple[int, int]] = []
    classify(deep("sigmoid"), IMAGES, backend=Instant(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(15, 30), (23, 30), (30, 30)]  # 12, 7 and 5 neurons


def test_noise_of_another_number_of_layers_is_refused() -> None:
    noise = [Noise(np.zeros(n), np.zeros(n), 0) for n in (12, 7)]
    with pytest.raises(ValueError, match="noise of 2 layers; expected one for each of the 3 hidden layers"):
        classify(deep("sigmoid"), IMAGES, noise=noise)


def test_a_network_is_its_own_ideal_chip() -> None:
    network = make()
    np.testing.assert_array_equal(classify(network, IMAGES).scores, classify(Chip.ideal(network), IMAGES).scores)


def deep_chip(**low_pass: float) -> tuple[ManufacturedChip, ManufacturedChip]:
    """A nominal chip of three hidden layers, and the same one with low-passes that neither ripple nor lag."""
    technology = Technology.load("discrete").with_values({f"low_pass.{k}": v for k, v in low_pass.items()})
    chip = Design(deep("sigmoid").with_options(settle=100.0, control=200.0), technology).chip(None)
    exact = []
    for one in chip.hardware:
        rows = replace(one.cells.row_stage, time_constant=np.zeros(len(one.cells)))
        exact.append(replace(one, cells=replace(one.cells, row_stage=rows)))
    return chip, chip.with_parts(hardware=tuple(exact))


def test_tables_of_several_layers_see_ripple_and_lag_as_the_simulation_does() -> None:
    chip, exact = deep_chip(time_constant=0.5)
    simulated, read = (classify(chip, IMAGES, table=table).scores for table in (None, 33))
    np.testing.assert_allclose(read, simulated, atol=0.05)
    assert np.abs(simulated - classify(exact, IMAGES).scores).max() > 0.1  # there is something to be seen


def test_a_fast_low_pass_ripples_and_a_slow_one_lags() -> None:
    errors = {}
    for tau in (0.5, 10.0, 90.0):
        chip, exact = deep_chip(time_constant=tau)
        errors[tau] = np.abs(classify(chip, IMAGES, table=9).scores - classify(exact, IMAGES, table=9).scores).max()
    assert errors[10.0] < 0.2 * min(errors[0.5], errors[90.0])


def staged(tanh: str, behind: str, **options: Any) -> Network:
    network = make(protocol=Protocol(settle=2.0, control=10.0)).with_options(**options)
    return Network.of_weights(
        network.weights, network.biases, tanh=tanh, behind=behind,  # type: ignore[arg-type]
        **{name: getattr(network, name) for name in ("fhn", "protocol", "readout", "recentre", "input_range")},
    )  # fmt: skip


@pytest.mark.parametrize(("tanh", "behind"), [("input", "linear"), ("drive", "sigmoid"), ("input", "sigmoid")])
@pytest.mark.parametrize(("readout", "recentre"), READOUTS)
def test_stages_at_every_instant(tanh: str, behind: str, readout: str, recentre: bool) -> None:
    network = staged(tanh, behind, readout=readout, recentre=recentre)
    (w0, w1), (b0, b1) = network.weights, network.biases
    images = IMAGES.astype(np.float64)
    z = (np.tanh(images) if tanh == "input" else images) @ w0 + b0
    drives = -z if tanh == "input" else -np.tanh(0.5 * z)
    neurons = Chip.ideal(make()).last.cells
    response = make_backend("direct").respond(neurons, drives, network.protocol, samples=True)
    x = np.asarray(response.samples)
    if readout == "mean" and behind == "linear":
        x = response.mean[None]
    rows = 0.5 * (2.0 + x.astype(np.float64)) if recentre else x.astype(np.float64)  # gamma = -1, a = 1
    scores = (expit(rows) if behind == "sigmoid" else rows) @ w1 + b1
    result = classify(network, IMAGES)
    if readout == "vote":
        expected = np.stack([(scores.argmax(axis=2) == k).mean(axis=0) for k in range(10)], axis=1)
        np.testing.assert_allclose(result.scores, expected, rtol=0, atol=0.021)
    else:
        np.testing.assert_allclose(result.scores, scores.mean(axis=0), atol=2e-5)


@pytest.mark.parametrize("readout", ["vote", "mean"])
def test_a_table_serves_sigmoids_behind(readout: str) -> None:
    network = staged("drive", "sigmoid", readout=readout, settle=20.0, control=100.0)
    found = classify(network, IMAGES, table=33)
    assert found.table is not None
    np.testing.assert_allclose(found.scores, classify(network, IMAGES).scores, atol=0.05)


def test_a_table_covers_the_drives_of_tanh_inputs() -> None:
    network = staged("input", "linear", readout="mean", settle=20.0, control=100.0)
    network = network.with_weights((network.weights[0] / 8, network.weights[1]))
    low, high = Chip.ideal(network).last.cells.drive_stage.range()
    w = network.weights[0]
    np.testing.assert_allclose(low, -np.tanh(1.0) * np.maximum(w, 0.0).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(high, -np.tanh(1.0) * np.minimum(w, 0.0).sum(axis=0), rtol=1e-12)
    one = classify(network, IMAGES, table=65)
    np.testing.assert_allclose(one.scores, classify(network, IMAGES).scores, atol=0.1)


def test_no_shortcut_over_means_for_other_stages() -> None:
    network = staged("drive", "sigmoid")
    with pytest.raises(InputError, match="not linear in x"):
        Chip.ideal(network).scores_of_rows(True)
    from analog_fhn.backends.table.backend import Table

    plain = make()
    means = Table(make_backend("direct"), 33).means(Chip.ideal(plain).last.cells, PROTOCOL)
    for tanh, behind in (("drive", "sigmoid"), ("input", "linear")):
        with pytest.raises(InputError, match="means alone do not serve"):
            inference.scores_of_means(Chip.ideal(staged(tanh, behind)), [means], IMAGES, [True])


@pytest.mark.parametrize(("tanh", "behind"), [("input", "linear"), ("drive", "sigmoid")])
def test_no_circuit_is_designed_for_other_stages(tanh: str, behind: str) -> None:
    with pytest.raises(InputError, match=f"tanh '{tanh}', behind '{behind}': only ideal neurons"):
        Design(staged(tanh, behind), Technology.load("discrete"))


def test_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="backend 'neuron': expected one of reference, direct, brian, spice"):
        make_backend("neuron")


def test_accuracy_is_the_share_of_right_classes() -> None:
    result = classify(make(), IMAGES, backend=Instant())
    labels = result.predictions.copy()
    labels[:6] = (labels[:6] + 1) % 10
    assert result.accuracy(labels) == pytest.approx(24 / 30, rel=1e-15)


def counts() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 2, 2, 1])


def test_confusion_has_true_classes_as_rows() -> None:
    predictions, labels = counts()
    assert confusion(predictions, labels, 4).tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 2, 0], [0, 0, 0, 0]]


def test_per_class_accuracy_is_none_without_images() -> None:
    predictions, labels = counts()
    assert per_class(predictions, labels, 4) == [0.5, 0.5, 1.0, None]


POWER = 2.0**140  # beyond single precision, whose largest number is 2**128


@pytest.mark.parametrize("table", [None, 9])
@pytest.mark.parametrize(("readout", "recentre"), READOUTS)
@pytest.mark.parametrize("scale", [POWER, 1.0 / POWER])
def test_output_weights_beyond_single_precision_scale_the_scores(
    table: int | None, readout: str, recentre: bool, scale: float
) -> None:
    network = replace(make(), readout=readout, recentre=recentre)  # type: ignore[arg-type]
    (w0, w1), (b0, b1) = network.weights, network.biases
    scaled = network.with_weights((w0, w1 * scale), (b0, b1 * scale))  # type: ignore[operator]
    plain, other = (classify(one, IMAGES, table=table) for one in (network, scaled))
    unit = 1.0 if readout == "vote" else scale
    np.testing.assert_allclose(other.scores / unit, plain.scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(other.predictions, plain.predictions)


@pytest.mark.parametrize("pixel", [0, 20])  # never bright; bright in some images
def test_one_input_weight_beyond_single_precision_gives_tables_and_direct_the_same_classes(pixel: int) -> None:
    network = make()
    weights = network.weights[0].copy()
    weights[pixel, 3] = 1e39
    network = network.with_weights((weights, network.weights[1]), network.biases)
    direct, table = classify(network, IMAGES), classify(network, IMAGES, table=33)
    np.testing.assert_array_equal(table.predictions, direct.predictions)
    np.testing.assert_allclose(table.scores, direct.scores, atol=0.05)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_weights_beyond_what_sums_can_hold_are_refused_with_their_layer(layer: int, factor: float) -> None:
    weights = list(make().weights)
    weights[layer] = weights[layer] * factor
    with pytest.raises(InputError, match=f"w{layer}: .*expected"):
        Network.of_weights(tuple(weights))


def test_a_response_that_is_no_number_is_refused_with_the_layer() -> None:
    @dataclass(frozen=True)
    class Lost(Instant):
        def respond(self, cells: Cells, drives: FloatArray, protocol: Protocol, **options: Any) -> Response:
            return Response(np.full(drives.shape, np.nan))

    with pytest.raises(InputError, match="output layer: the score of output 0 for image 0 is nan"):
        classify(make(), IMAGES, backend=Lost())


def test_images_beyond_single_precision_are_refused() -> None:
    images = IMAGES.astype(np.float64)
    images[2, 5] = 1e37
    with pytest.raises(InputError, match="images hold values up to 1e\\+37; expected at most 1e\\+30"):
        classify(make(), images)
