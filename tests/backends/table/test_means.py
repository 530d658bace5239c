"""Tables of means alone: what they are worth, and the scores that are read from them in single precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.build import grid_range
from analog_fhn.backends.table.means import MeanTable, interpolate
from analog_fhn.cell.base import Cells, CircuitCells, DriveStage
from analog_fhn.chip import Chip, HiddenLayer, ManufacturedChip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import Result, classify, classify_all, scores_of_means
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol
from analog_fhn.technology.sections import Adc
from analog_fhn.technology.technology import Technology

PROTOCOL = Protocol()
LONG = Protocol(settle=50.0, control=4000.0)
IMAGES = load("digits", "test").images


@cache
def drawn(n: int = 20) -> CircuitCells:
    network = Network.of_weights((np.ones((1, n)), np.ones((n, 2))))
    return Design(network, Technology.load("discrete")).chip(5).hardware[0].cells


@cache
def leaky(n: int = 60) -> Cells:
    """Neurons whose mean is no straight line over the drive, so that interpolation has something to miss."""
    return leaking(Cells.ideal("sigmoid", FHN(), n), np.linspace(0.1, 0.5, n))


def leaking(cells: Cells, leak: FloatArray | float) -> Cells:
    """The same cells, whose y decays at the rate of `leak`."""
    q = cells.dynamics.q.copy()
    q[:, 2] = -leak
    return replace(cells, dynamics=Coefficients(cells.dynamics.p, q, cells.dynamics.eps))


@cache
def digits(hidden: str = "sigmoid", bias: bool = True, gamma: float = -1.0) -> Network:
    """Random weights; biases put the images of digits around zero, so that they spread over drives and classes."""
    rng = np.random.default_rng(0)
    w0, w1 = rng.normal(size=(64, 16)), rng.normal(size=(16, 10))
    centre = IMAGES.mean(axis=0).astype(np.float64) @ w0
    biases = (-centre, -0.5 * w1.sum(axis=0) * (hidden == "sigmoid")) if bias else ()
    network = Network.of_weights((w0, w1), biases, hidden)
    return network.with_options(slope=0.5 if hidden == "sigmoid" else 1.0, gamma=gamma)


@cache
def chip_of_digits() -> ManufacturedChip:
    return Design(digits(), Technology.load("discrete")).chip(1)


@cache
def judged(table: int | None) -> Result:
    return classify(chip_of_digits(), IMAGES, table=table)


def margins(scores: FloatArray) -> FloatArray:
    """By how much each image's class leads."""
    two = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


# --- stated errors --------------------------------------------------------------------------------------------


@cache
def scan() -> tuple[FloatArray, FloatArray]:
    """Drives all over the range of the leaky neurons, ends of cells of no table, and the means there."""
    drives = np.linspace(*grid_range(leaky()), 37)[1:-1] + 0.003
    return drives, Direct().respond(leaky(), drives, LONG).mean


@pytest.mark.parametrize("n", [9, 33])
def test_stated_errors_are_those_of_a_fine_scan(n: int) -> None:
    table = Table(Direct(), n).means(leaky(), PROTOCOL, window=False)
    drives, long = scan()
    errors = table.look_up(drives) - long
    rms, largest = np.sqrt(np.mean(errors**2)), np.abs(errors).max()
    # 60 checks against 2100, and the few in a cell where the mean jumps are most of it; the long window itself misses
    # by up to 1.6/4000. Stated errors are neither too small ...
    assert rms < 2 * table.quality.rms + 2e-4
    assert largest < 2 * table.quality.largest + 4e-4
    # ... nor an exaggeration.
    assert table.quality.rms < 2 * rms
    assert table.quality.largest < 2 * largest


def test_nine_drives_serve_neurons_almost_without_a_leak() -> None:
    table = Table(Direct(), 9).means(drawn(), PROTOCOL, window=False)
    drives = np.random.default_rng(3).uniform(-0.97, 0.97, (50, 20))
    long = Direct().respond(drawn(), drives, LONG).mean
    np.testing.assert_allclose(table.look_up(drives), long, rtol=0, atol=table.quality.largest + 4e-4)
    assert table.quality.largest < 3e-4


def test_deviation_from_the_identity_is_stated() -> None:
    table = Table(Direct(), 9).means(leaky(), PROTOCOL, window=False)
    drives = np.linspace(table.low, table.high, 9)
    deviation = np.abs(table.look_up(drives) - leaky().dynamics.identity_mean(drives)).max()
    # Of the drives between, which are no part of the table, none is beyond its ends.
    assert table.quality.identity_deviation == pytest.approx(deviation, rel=1e-9)
    assert deviation > 0.05


def test_the_number_of_runs_is_stated() -> None:
    quality = Table(Direct(), 9).means(drawn(), PROTOCOL, window=False).quality
    assert (quality.n_drives, quality.n_runs, quality.n_checks) == (9, 9 * 20, 20)


def test_the_control_window_is_compared_with_only_if_asked() -> None:
    with_window, without = (Table(Direct(), 9).means(drawn(), Protocol(20.0, 10.0), window=w) for w in (True, False))
    assert (without.quality.n_window, without.quality.window_rms, without.quality.window_largest) == (0, 0.0, 0.0)
    np.testing.assert_array_equal(with_window.mean, without.mean)
    assert with_window.quality.n_window > 8
    # The mean over a finite window misses by (y(end) - y(start))/control: y swings by 4/3 and more.
    assert 1e-3 < with_window.quality.window_rms < with_window.quality.window_largest < 1.6 / 10


def test_neurons_that_do_not_settle_are_seen_by_the_users_protocol() -> None:
    # gamma = -6: y relaxes with up to 7^2 - 1 = 48 T, and 100 T are the longest that a neuron is followed.
    cells, protocol = Cells.ideal("sigmoid", FHN(gamma=-6.0), 3), Protocol(settle=50.0, control=20.0)
    table = Table(Direct(), 9).means(cells, protocol, window=False)
    rest = cells.dynamics.rest_point(table.high[None])[0]
    direct = Direct().respond(cells, table.high[None], protocol).mean
    assert np.abs(direct - rest).max() > 0.05  # not settled indeed
    np.testing.assert_array_equal(table.mean[:, -1], direct[0])
    settled = Table(Direct(), 9).means(cells, Protocol(settle=2000.0, control=100.0), window=False)
    np.testing.assert_allclose(settled.mean[:, -1], rest[0], rtol=0, atol=1e-5)


def test_only_direct_makes_them() -> None:
    with pytest.raises(InputError, match="spice table of 9: only direct makes tables of means alone"):
        Table(Spice(), 9, tuned=False).means(drawn(), PROTOCOL)


# --- looking up -----------------------------------------------------------------------------------------------


@cache
def bent(n_neurons: int = 7, n_drives: int = 6) -> MeanTable:
    """A table of random means, whose drives are another range for each neuron."""
    rng = np.random.default_rng(4)
    low = rng.uniform(-2.0, -1.0, n_neurons)
    quality = Table(Direct(), 9).means(drawn(), PROTOCOL, window=False).quality
    return MeanTable(low, low + rng.uniform(1.0, 3.0, n_neurons), rng.normal(size=(n_neurons, n_drives)), quality)


def interpolated(table: MeanTable, drives: FloatArray) -> FloatArray:
    grid = np.linspace(table.low, table.high, table.mean.shape[1])
    return np.stack([np.interp(drives[:, k], grid[:, k], table.mean[k]) for k in range(len(table.low))], axis=1)


def test_look_up_is_linear_interpolation() -> None:
    table = bent()
    drives = np.linspace(table.low, table.high, 97)  # both ends, all six drives and 91 between them
    np.testing.assert_allclose(table.look_up(drives), interpolated(table, drives), rtol=0, atol=1e-12)


@pytest.mark.parametrize("edge", ["low", "high"])
def test_drives_outside_are_refused(edge: str) -> None:
    table = bent()
    drives = np.tile(0.5 * (table.low + table.high), (3, 1))
    drives[1, 4] = getattr(table, edge)[4] + {"low": -1e-6, "high": 1e-6}[edge]
    with pytest.raises(InputError, match=r"drive .* of neuron 4 \(image 1\) lies outside its response table, which"):
        table.look_up(drives)


def test_chosen_neurons_keep_their_means() -> None:
    chosen = np.array([5, 0, 5])
    drives = bent().low + np.linspace(0.0, 1.0, 9)[:, None]
    np.testing.assert_array_equal(bent().only(chosen).look_up(drives[:, chosen]), bent().look_up(drives)[:, chosen])


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_compiled_interpolation_is_that_of_look_up(sign: float) -> None:
    table = bent()
    ideal = DriveStage.ideal("sigmoid", FHN(), 7)
    stage = replace(ideal, gain=0.5 * sign * (table.high - table.low), offset=0.5 * (table.high + table.low))
    tanh = np.linspace(-1.0, 1.0, 201, dtype=np.float32)[:, None] * np.ones(7, dtype=np.float32)
    drives = np.clip(stage.gain * tanh.astype(np.float64) + stage.offset, table.low, table.high)
    gain, offset, nodes = table.behind(stage)
    single = tanh.copy()
    interpolate(single, gain.astype(np.float32), offset.astype(np.float32), nodes)
    # Single precision: 1e-7 of five cells, whose means differ by up to 4.
    np.testing.assert_allclose(single, table.look_up(drives), rtol=0, atol=1e-5)


# --- scores ---------------------------------------------------------------------------------------------------


def in_double(chip: Chip, table: MeanTable, images: NDArray[np.floating], recentre: bool) -> FloatArray:
    """Scores of the mean readout from a chip's parts, one after the other, in double precision."""
    (layer,) = chip.layers
    z = images.astype(np.float64) @ layer.weights + layer.bias
    stage, rows = layer.cells.drive_stage, layer.cells.row_stage
    assert isinstance(stage, DriveStage)
    x = interpolated(table, stage.gain * np.tanh(stage.slope * z + stage.shift) + stage.offset)
    carried = rows.gain * x + rows.offset if recentre else rows.raw_gain * x + rows.raw_offset
    bias = chip.output.bias if recentre else chip.output.raw_bias
    return np.asarray(carried @ chip.output.weights + bias)


CASES = [("sigmoid", True, -1.0), ("sigmoid", False, -1.0), ("tanh", True, -1.0), ("tanh", True, 1.0),
         ("sigmoid", True, 0.7)]  # fmt: skip


@pytest.mark.parametrize(("hidden", "bias", "gamma"), CASES)
@pytest.mark.parametrize("technology", [None, "discrete"])
def test_scores_are_those_of_double_precision(hidden: str, bias: bool, gamma: float, technology: str | None) -> None:
    network = digits(hidden, bias, gamma)
    ideal = technology is None
    chip = Chip.ideal(network) if ideal else Design(network, Technology.load(str(technology))).chip(2)
    straight = Table(Direct(), 9).means(chip.last.cells, PROTOCOL, window=False)
    # Means beside the straight line, so that the interpolation matters
    table = replace(straight, mean=straight.mean + np.random.default_rng(5).normal(0.0, 0.2, straight.mean.shape))
    for scores, recentre in zip(scores_of_means(chip, [table], IMAGES, [True, False]), (True, False), strict=True):
        exact = in_double(chip, table, IMAGES, recentre)
        np.testing.assert_allclose(scores, exact, rtol=0, atol=1e-5 * np.ptp(exact))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_may_be_of_either_precision(dtype: type) -> None:
    table = Table(Direct(), 9).means(chip_of_digits().last.cells, PROTOCOL, window=False)
    (scores,) = scores_of_means(chip_of_digits(), [table], IMAGES.astype(dtype), [True])
    (single,) = scores_of_means(chip_of_digits(), [table], IMAGES, [True])
    np.testing.assert_array_equal(scores, single)


def test_nine_drives_decide_like_direct_simulation() -> None:
    nine, direct = judged(9), judged(None)
    # The window of 200 T misses by 1.6/200 per neuron, of any sign: half an image in a hundred is that close.
    assert np.mean(nine.predictions == direct.predictions) > 0.99
    assert len(set(direct.predictions)) > 5
    rows, _ = chip_of_digits().scores_of_rows(True)
    assert np.all(np.abs(nine.scores - direct.scores) < 1.6 / 200 * np.abs(rows).sum(axis=0))


def test_nine_drives_are_as_good_as_the_full_table() -> None:
    # Asked for the vote as well, the table is one of waveforms, with onsets bisected.
    chip = chip_of_digits()
    short = replace(chip, network=chip.network.with_options(control=2.0))
    full = classify_all(short, IMAGES, [("mean", True), ("vote", True)], table=33)[0]
    assert full.table is not None
    assert judged(9).table is not None
    assert full.table.period_rms is not None
    rows, _ = chip.scores_of_rows(True)
    worst = (judged(9).table.largest + full.table.largest) * np.abs(rows).sum(axis=0)  # type: ignore[union-attr]
    assert np.all(np.abs(judged(9).scores - full.scores) < worst)
    clear = margins(full.scores) > 2 * worst.max()
    assert clear.mean() > 0.97
    np.testing.assert_array_equal(judged(9).predictions[clear], full.predictions[clear])


def test_result_says_what_the_table_is_worth() -> None:
    result = judged(9)
    assert result.table is not None
    assert (result.backend, result.unsettled) == ("direct table of 9", 0.0)
    assert result.identity_deviation == result.table.identity_deviation < 5e-3
    assert result.table.period_rms is result.table.period_largest is None
    assert 0 < result.table.rms < result.table.largest < 3e-4


def test_neurons_far_from_the_identity_are_counted() -> None:
    # Strong leaks: each image's deviations are looked at, and the scores are the same table's.
    ideal = Chip.ideal(digits())
    layer = HiddenLayer(ideal.last.weights, ideal.last.bias, leaking(ideal.last.cells, 0.5))
    chip = replace(ideal, layers=(layer,))
    result = classify(chip, IMAGES, table=33)
    assert result.table is not None
    assert 0.3 < result.unsettled < 1.0
    table = Table(Direct(), 33).means(chip.last.cells, PROTOCOL, window=False)
    np.testing.assert_allclose(result.scores, in_double(chip, table, IMAGES, True), rtol=0, atol=1e-9)


def test_images_in_two_calls_are_judged_alike() -> None:
    parts = [classify(chip_of_digits(), part, table=9) for part in (IMAGES[:33], IMAGES[33:])]
    np.testing.assert_array_equal(np.concatenate([p.predictions for p in parts]), judged(9).predictions)


def test_groups_of_images_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.inference._HIDDEN_GROUP", 50)
    grouped = classify(chip_of_digits(), IMAGES, table=9)
    # Products of other shapes may be rounded otherwise.
    np.testing.assert_allclose(grouped.scores, judged(9).scores, rtol=0, atol=1e-5 * np.ptp(judged(9).scores))


@pytest.fixture
def threads() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_threads_change_no_bit() -> None:
    # As large as for MNIST, so that a product would be shared by threads
    rng = np.random.default_rng(6)
    network = Network.of_weights((rng.normal(0.0, 0.1, (784, 100)), rng.normal(size=(100, 10))))
    images = rng.uniform(size=(700, 784)).astype(np.float32)
    chip = Chip.ideal(network)
    by_threads = []
    for number in (1, 2):
        numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))
        with threadpool_limits(number):
            table = Table(Direct(), 9).means(chip.last.cells, PROTOCOL, window=False)
            by_threads.append((table.mean, *scores_of_means(chip, [table], images, [True])))
    for one, other in zip(*by_threads, strict=True):
        np.testing.assert_array_equal(one, other)


def test_converters_digitise_the_scores() -> None:
    plain = Technology.load("discrete")
    adc = Adc(bits=5, calibration_images=40)
    chips = [Design(digits(), t).chip(1) for t in (plain, plain.model_copy(update={"adc": adc}))]
    analog, digital = (classify(chip, IMAGES, table=9).scores for chip in chips)
    step = 2 * adc.margin * np.abs(analog[:40]).max() / 2**5
    # In the middle between two thresholds, but for scores beyond the range
    assert len(np.unique(digital)) <= 2**5
    np.testing.assert_allclose(digital / step % 1.0, 0.5, rtol=0, atol=1e-9)
    inside = np.abs(analog) < 15 * step
    assert inside.mean() > 0.9
    assert np.abs(digital - analog)[inside].max() <= 0.5 * step * (1 + 1e-6)


def test_samples_come_from_the_full_table() -> None:
    table = Table(Direct(), 9)
    drives = np.full((1, 20), -0.4)
    with_samples, means = (table.respond(drawn(), drives, PROTOCOL, samples=s) for s in (True, False))
    assert with_samples.samples is not None
    assert means.samples is None
    np.testing.assert_allclose(with_samples.mean, means.mean, rtol=0, atol=1e-3)


def test_the_step_of_direct_is_the_step_of_the_table() -> None:
    # Step halving is how a user checks convergence: it must reach the table too.
    coarse, fine = (Table(Direct(refine=refine), 9).means(drawn(), Protocol(), window=False) for refine in (1, 4))
    difference = np.abs(fine.mean - coarse.mean).max()
    assert 0.0 < difference < 3e-4
