"""What the time constant between hidden layers costs, point by point, against the chip itself."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import small_cnn
from scipy.signal import lfilter
from sweeps import digits, discrete, random_features

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.studies import low_pass as module
from analog_fhn.studies.low_pass import LowPassPoint, low_pass
from analog_fhn.studies.quiescent import BoardConsumption

TIME_CONSTANTS = (2.0, 5.0, 20.0)


@pytest.fixture(scope="module")
def network() -> Network:
    return random_features((16, 0.5), (12, 1.5)).with_options(settle=5.0, control=60.0)


@pytest.fixture(scope="module")
def points(network: Network) -> list[LowPassPoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "consumption", lambda *_: BoardConsumption(0.5, 14.0, seconds=1.0))
        return low_pass(Design(network, discrete()), digits().images, digits().labels, TIME_CONSTANTS)


def of(network: Network, time_constant: float) -> Design:
    return Design(network, discrete().with_values({"low_pass.time_constant": time_constant}))


def test_parts_are_those_of_the_design(network: Network, points: list[LowPassPoint]) -> None:
    for point, time_constant in zip(points, TIME_CONSTANTS, strict=True):
        assert point.time_constant == time_constant
        one = of(network, time_constant)
        drivers = one.cells[0].nominal[2]
        assert (point.resistance, point.capacitance) == (drivers.rf[0], drivers.cf[0])  # type: ignore[attr-defined]
        # capacitors of E24
        assert point.resistance * point.capacitance == pytest.approx(time_constant * one.time_unit, rel=0.06)


def test_settling_leaves_a_thousandth(network: Network, points: list[LowPassPoint]) -> None:
    for point in points:
        tau = point.resistance * point.capacitance / Design(network, discrete()).time_unit
        # behind one low-pass: tau/control exp(-settle/tau), as the mean over the window
        exact = max(0.0, tau * np.log(tau / 60.0 * (1.0 - np.exp(-60.0 / tau)) / 1e-3))
        assert exact - 1e-9 <= point.settle < exact + 0.2 + 1e-9


def test_accuracy_is_that_of_the_nominal_chip_after_settling(network: Network, points: list[LowPassPoint]) -> None:
    for point in points:
        chip = of(network.with_options(settle=point.settle), point.time_constant).chip(None)
        assert point.accuracy == classify(chip, digits().images).accuracy(digits().labels)


def test_time_and_energy_are_those_of_an_answer(network: Network, points: list[LowPassPoint]) -> None:
    for point in points:
        assert point.latency == pytest.approx((point.settle + 60.0) * Design(network, discrete()).time_unit)
        assert point.energy == pytest.approx(14.0 * point.latency)


def behind_low_pass(samples: FloatArray, step: float, tau: float) -> FloatArray:
    """Samples (n_samples, ...) behind a low-pass, of which all but the last half are its transient."""
    share = 1.0 - np.exp(-step / tau)
    smooth = lfilter([share], [1.0, share - 1.0], samples - samples.mean(axis=0), axis=0)
    return np.asarray(smooth[len(smooth) // 2 :])


def test_ripple_is_that_of_simulated_neurons(network: Network, points: list[LowPassPoint]) -> None:
    point = points[1]
    chip = of(network, point.time_constant).chip(None)
    layer, behind = chip.layers
    protocol = replace(network.protocol, settle=20.0, control=200.0, interval=0.05)
    drives = layer.drives(digits().images[:20])
    samples = Direct().respond(layer.cells, drives, protocol, samples=True).samples
    assert samples is not None
    tau = float(layer.cells.row_stage.time_constant[0])
    rows = behind_low_pass(layer.cells.row_stage.gain * samples.astype(float), protocol.interval, tau)
    variance = rows.var(axis=0) @ behind.weights**2
    few = low_pass_of_images(network, 20)[1]
    assert few.ripple == pytest.approx(np.sqrt(variance.mean()), rel=0.1)


def low_pass_of_images(network: Network, number: int) -> list[LowPassPoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "consumption", lambda *_: BoardConsumption(0.5, 14.0, seconds=1.0))
        part = digits().head(number)
        return low_pass(Design(network, discrete()), part.images, part.labels, TIME_CONSTANTS)


def test_ripple_falls_with_the_time_constant(points: list[LowPassPoint]) -> None:
    assert points[0].ripple > points[1].ripple > points[2].ripple
    products = [point.ripple * point.resistance * point.capacitance for point in points]
    assert products == pytest.approx([products[0]] * 3, rel=1e-3)


def test_the_second_of_two_low_passes_decides_when_three_layers_have_settled() -> None:
    rng = np.random.default_rng(0)
    three = Network.of_weights([rng.normal(size=shape) for shape in ((64, 6), (6, 5), (5, 4), (4, 10))])
    chip = module.settled(of(three.with_options(settle=0.0), 5.0))
    rows, protocol = [layer.cells.row_stage for layer in chip.layers], chip.network.protocol
    assert protocol.settle == rows[1].settling(protocol, 1, 1e-3) > rows[0].settling(protocol, 0, 1e-3)


def test_without_ngspice_there_is_no_energy(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise MissingProgramError("ngspice")

    monkeypatch.setattr(module, "consumption", absent)
    part = digits().head(5)
    steps: list[tuple[int, int]] = []
    made = low_pass(
        Design(network, discrete()), part.images, part.labels, [5.0, 10.0], progress=lambda *step: steps.append(step)
    )
    assert [point.energy for point in made] == [None, None]
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
def test_power_is_that_of_data_sheets() -> None:
    rng = np.random.default_rng(0)
    small = Network.of_weights([rng.normal(size=shape) for shape in ((64, 2), (2, 2), (2, 10))])
    part = digits().head(5)
    (point,) = low_pass(Design(small, discrete()), part.images, part.labels, [5.0])
    assert point.energy is not None
    # four op-amps of 1.4 mA and two multipliers of 4 mA for each of 4 neurons, on 30 V, and a little more
    assert 4 * 0.40 < point.energy / point.latency < 4 * 0.60


def test_what_has_no_low_pass_is_refused(network: Network) -> None:
    part = digits().head(5)
    shallow = Network.of_weights((np.ones((64, 3)), np.ones((3, 10))))
    with pytest.raises(InputError, match="network 64-3-10 has one hidden layer: there is no low-pass"):
        low_pass(Design(shallow, discrete()), part.images, part.labels, [5.0])
    with pytest.raises(InputError, match="time_constant = 70 T is longer than the control window of 60 T"):
        low_pass(Design(network, discrete()), part.images, part.labels, [5.0, 70.0])
    with pytest.raises(InputError, match=r"low_pass\.time_constant"):
        low_pass(Design(network, discrete()), part.images, part.labels, [-5.0])
    with pytest.raises(ValueError, match="no time constant"):
        low_pass(Design(network, discrete()), part.images, part.labels, [])


@pytest.mark.parametrize("hidden", [False, True])
def test_held_activations_have_low_passes(hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "consumption", lambda *_: BoardConsumption(0.5, 14.0, 6.0, seconds=1.0))
    net = small_cnn.network("sigmoid", two=not hidden, hidden=hidden)
    images = np.random.default_rng(1).random((20, 36))
    labels = net.forward(images).argmax(axis=1)
    quiet = Design(net, discrete().with_values({"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0, "hold.noise": 0.0}))
    fast, slow = low_pass(quiet, images, labels, [2.0, 10.0])
    windows = 16 + (1 if hidden else 2)
    for point, tau in ((fast, 2.0), (slow, 10.0)):
        actual = point.resistance * point.capacitance / quiet.time_unit
        # exp(-(settle + control)/tau) is 0.001 at the sample
        assert point.settle == pytest.approx(max(0.0, np.log(1e3) * actual - 40.0), abs=0.3), tau
        assert point.latency == pytest.approx(windows * (point.settle + 40.0) * quiet.time_unit)
        assert point.energy == pytest.approx(20.0 * point.latency)
    assert fast.ripple * 2.0 == pytest.approx(slow.ripple * 10.0, rel=0.1)


def test_ripple_of_held_values_is_that_of_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "consumption", lambda *_: BoardConsumption(0.5, 14.0, seconds=1.0))
    net = small_cnn.network("sigmoid")
    image = small_cnn.IMAGES[:1]
    technology = discrete().with_values({"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0, "hold.noise": 0.0})
    (point,) = low_pass(Design(net, technology), image, np.zeros(1, dtype=np.int64), [5.0])
    # many samples of one image: their spread in the scores
    chip = Design(net, technology.with_values({"low_pass.time_constant": 5.0}))
    made = module.settled(chip)
    noisy = replace(made, seed=1)  # nominal parts, samples at random phases
    scores = classify(noisy, np.repeat(image, 800, axis=0), table=33).scores
    assert point.ripple == pytest.approx(np.sqrt(scores.var(axis=0).mean()), rel=0.1)
