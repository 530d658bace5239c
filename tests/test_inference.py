"""Network, chip, backend and images together: the scores mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from analog_fhn import datasets, inference
from analog_fhn.backends.base import Response
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.noise import Noise
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.inference import classify, classify_all, confusion, make_backend, per_class
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol

IMAGES = datasets.load("digits", "test").images[:30]
# Settled, and many periods long, but cheap for 16 neurons
PROTOCOL = Protocol(settle=20.0, control=100.0)


def make(hidden: str = "sigmoid", bias: bool = True, protocol: Protocol = PROTOCOL) -> Network:
    rng = np.random.default_rng(0)
    w0, w1 = rng.normal(size=(64, 16)), rng.normal(size=(16, 10))
    # Without biases images of digits would all look alike to such neurons.
    centre = IMAGES.mean(axis=0).astype(np.float64) @ w0
    weights, biases = (w0, w1), (-centre, -0.5 * w1.sum(axis=0) * (hidden == "sigmoid")) if bias else ()
    network = Network(weights, biases, hidden, protocol=protocol)  # type: ignore[arg-type]
    return network.with_options(slope=0.5 if hidden == "sigmoid" else 1.0)


@dataclass(frozen=True)
class Instant:
    """A stand-in for a backend: x(t) is the mean that the identity gives, plus a fixed square wave."""

    ripple: float = 0.0
    name: str = "instant"

    def respond(
        self,
        chip: Chip,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        mean = -(chip.network.fhn.a + drives)
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
    x = backend.respond(chip, chip.drives(IMAGES), network.protocol, samples=True).samples
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
    result = classify(network, IMAGES, chip=chip, backend=Instant())
    z = IMAGES.astype(np.float64) @ chip.weights[0] + chip.biases[0]
    expected = (1 / (1 + np.exp(-z))) @ chip.weights[1] + chip.biases[1]
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("recentre", [True, False])
def test_every_row_has_its_own_gain_and_offset(recentre: bool) -> None:
    network = make().with_options(recentre=recentre)
    chip = Design(network, Technology.load("discrete")).chip(3)
    result = classify(network, IMAGES, chip=chip, backend=Instant())
    x = Instant().respond(chip, chip.drives(IMAGES), network.protocol).mean
    rows = chip.row_stage
    carried = rows.gain * x + rows.offset if recentre else rows.raw_gain * x + rows.raw_offset
    assert np.ptp(rows.gain) > 0
    bias = chip.biases[1] if recentre else chip.raw_bias
    assert bias is not None
    np.testing.assert_allclose(result.scores, carried @ chip.weights[1] + bias, rtol=0, atol=1e-12)


def test_chip_may_serve_other_readouts_and_protocols() -> None:
    network = make()
    chip = Design(network, Technology.load("discrete")).chip(3)
    other = network.with_options(readout="vote", recentre=False, settle=2.0)
    assert classify(other, IMAGES, chip=chip, backend=Instant()).readout == "vote"


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


@pytest.mark.parametrize("other", [make("tanh"), make(bias=False), make().with_options(gamma=-0.5)])
def test_foreign_chip_is_refused(other: Network) -> None:
    with pytest.raises(InputError, match="made for another network or other FHN settings"):
        classify(make(), IMAGES, chip=Chip.ideal(other))


def test_two_hidden_layers_are_refused() -> None:
    network = Network((np.ones((64, 3)), np.ones((3, 3)), np.ones((3, 10))))
    with pytest.raises(InputError, match="2 hidden layers; exactly one"):
        classify(network, IMAGES)


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
