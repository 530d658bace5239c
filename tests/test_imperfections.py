"""What goes wrong in the arrays, each error alone: mean and spread against its formula, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, kstest, norm, truncnorm

from analog_fhn.array.sense import columns, offset_gain
from analog_fhn.array.wires import effective_conductance
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.chip import ArrayLayer, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import _convert, classify, classify_all
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

EXACT = Technology.load("discrete").with_errors([])
# Continuous conductances; amplifiers with any resistor and without their finite gain and bias current.
IDEAL: dict[str, dict[str, Any]] = {
    "array": {"levels": None, "clip_quantile": 1.0},
    "sense_amplifier": {"series": None, "gain": 1e18, "bias_current": 0.0},
}
# A device with programming error, drift and read noise; what its publications say is in shared reference electronics
PCM = {"device": "pcm", "g_min": 0.0, "g_max": 25e-6, "read_voltage": 0.2}


def technology(**changes: Any) -> Technology:
    """Exact but for the given values; checked as if it came from a file."""
    data = EXACT.model_dump()
    for section, values in (*IDEAL.items(), *changes.items()):
        data[section] = {**(data[section] or {}), **values} if isinstance(values, dict) else values
    return BoardTechnology.model_validate(data)


def array(**values: Any) -> Technology:
    return technology(array=values)


def network(n_in: int = 300, n_hidden: int = 60, n_out: int = 10, *, bias: bool = False, **options: Any) -> Network:
    rng = np.random.default_rng(0)
    w0, w1 = rng.normal(size=(n_in, n_hidden)), rng.normal(size=(n_hidden, n_out))
    biases = (3.0 * rng.normal(size=n_hidden), 3.0 * rng.normal(size=n_out)) if bias else ()
    return Network.of_weights((w0, w1), biases, **options)


def alike(*values: float, rows: int = 40) -> Network:
    """Equal weights, `rows` rows of 100 for each of the values."""
    w0 = np.repeat(np.repeat(values, rows)[:, None], 100, axis=1)
    return Network.of_weights((w0, np.ones((100, 2))))


def devices(chip: ManufacturedChip, layer: int = 0) -> FloatArray:
    """Conductances, shape (rows, 2 columns), + and - interleaved."""
    return chip.arrays[layer].crossbar.conductance


def layer_of(chip: ManufacturedChip, layer: int = 0) -> ArrayLayer:
    return chip.arrays[layer]


def check_moments(sample: ArrayLike, mean: float, sigma: float) -> None:
    """Mean and standard deviation within four standard errors: by chance one test in 8000 fails."""
    values = np.asarray(sample, dtype=np.float64).ravel()
    n, found = values.size, values.std()
    assert abs(values.mean() - mean) < 4 * found / np.sqrt(n)
    fourth = np.mean((values - values.mean()) ** 4)
    assert abs(found**2 - sigma**2) < 4 * np.sqrt((fourth - found**4) / n)


def check_share(hits: NDArray[np.bool_], share: float) -> None:
    """Number of hits within the central 0.99994 of its binomial distribution."""
    low, high = binom.interval(1 - 6e-5, hits.size, share)
    assert low <= hits.sum() <= high


# --- programming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
def test_programming_error_is_relative_to_the_target(layer: int) -> None:
    design = Design(network(n_out=60), array(programming_error=0.03))
    target = design.crossbars[layer].conductance
    check_moments(devices(design.chip(1), layer) / target - 1, 0.0, 0.03)


@pytest.mark.parametrize("g", [1.0, 0.3])
def test_programming_error_of_a_device(g: float) -> None:
    # sigma = 0.26348 + 1.9650 g - 1.1731 g^2 uS (Nandakumar 2019): at g = 0.3 negative conductances are 5 sigma away
    chip = Design(alike(1.0, g), array(**PCM, programming_error="device")).chip(2)
    sigma = 0.26348 + 1.9650 * g - 1.1731 * g**2
    check_moments(devices(chip)[-40:, 0::2] * 1e6, 25 * g, sigma)


def test_programming_error_of_a_device_at_zero_is_cut_there() -> None:
    # half of all draws would be negative: mean sigma/sqrt(2 pi), mean square sigma^2/2
    chip = Design(alike(1.0), array(**PCM, programming_error="device")).chip(3)
    found, sigma = devices(chip)[:, 1::2] * 1e6, 0.26348
    check_share(found == 0.0, 0.5)
    check_moments(found, sigma / np.sqrt(2 * np.pi), sigma * np.sqrt(0.5 - 0.5 / np.pi))


@pytest.mark.parametrize("pulses", [1, 3, 10])
def test_write_verify_is_a_mixture(pulses: int) -> None:
    # One programming lands within the tolerance with probability p; after n pulses 1 - (1 - p)^n of the devices have,
    # as a normal cut there; the others are what the normal has outside.
    s, tolerance = 0.05, 0.02
    p = 2 * norm.cdf(tolerance / s) - 1
    accepted = 1 - (1 - p) ** pulses
    made = array(programming_error=s, write_tolerance=tolerance, write_pulses=pulses)
    found = devices(Design(alike(1.0, rows=200), made).chip(4))[:, 0::2] / 100e-6 - 1
    check_share(np.abs(found) <= tolerance, accepted)
    inside = (s * truncnorm(-tolerance / s, tolerance / s).std()) ** 2
    outside = (s**2 - p * inside) / (1 - p)
    check_moments(found, 0.0, np.sqrt(accepted * inside + (1 - accepted) * outside))


def test_write_verify_leaves_what_is_right() -> None:
    once, verified = (
        devices(Design(network(), array(programming_error=0.03, write_tolerance=t)).chip(5)) for t in (None, 0.01)
    )
    target = Design(network(), array()).crossbars[0].conductance
    right = np.abs(once - target) <= 0.01 * 100e-6
    np.testing.assert_array_equal(verified[right], once[right])
    assert np.all(verified[~right] != once[~right])


def test_devices_of_all_sides_layers_and_quantities_err_on_their_own() -> None:
    # square layers, so that every device of one has a counterpart in the other
    net, errors = network(80, 80, 80), ("programming_error", "read_noise", "temperature_coefficient")
    draws = []
    for name in errors:
        made = array(**{name: 0.002}).under(temperature=310.0)
        for layer in (0, 1):
            target = Design(net, made).crossbars[layer].conductance
            relative = devices(Design(net, made).chip(1), layer) / target - 1
            draws += [relative[:, 0::2].ravel(), relative[:, 1::2].ravel()]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    # 66 pairs: 4.5 standard errors are exceeded by chance in one run of two thousand
    assert np.abs(correlation).max() < 4.5 / np.sqrt(6400)


# --- faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "off"), [(0.03, 0.0), (0.0, 0.03), (0.02, 0.05)])
def test_stuck_devices(on: float, off: float) -> None:
    made = array(stuck_on=on, stuck_off=off, g_min=2e-6)
    net = Network.of_weights((np.full((300, 100), 0.5), np.ones((100, 2))))
    net = Network.of_weights((np.vstack([net.weights[0], np.ones((1, 100))]), net.weights[1]))
    target = Design(net, made).crossbars[0].conductance[:300, 0::2]  # all at 51 uS
    found = devices(Design(net, made).chip(6))[:300, 0::2]
    check_share(found == 100e-6, on)
    check_share(found == 2e-6, off)
    moved = (found == 100e-6) | (found == 2e-6)
    np.testing.assert_array_equal(found[~moved], target[~moved])


def test_more_faults_keep_those_that_there_were() -> None:
    few, many = (devices(Design(network(), array(stuck_on=s, stuck_off=2 * s)).chip(7)) for s in (0.01, 0.02))
    target = Design(network(), array()).crossbars[0].conductance
    assert np.any(few != target)
    np.testing.assert_array_equal(many[few != target], few[few != target])


# --- read noise, drift, temperature ---------------------------------------------------------------------------


def test_read_noise_is_relative() -> None:
    design = Design(network(), array(read_noise=0.02))
    check_moments(devices(design.chip(8)) / design.crossbars[0].conductance - 1, 0.0, 0.02)


@pytest.mark.parametrize("seconds", [None, 3600.0])
@pytest.mark.parametrize("g", [1.0, 0.1])
def test_read_noise_of_a_device(seconds: float | None, g: float) -> None:
    # sd = G(t) Q sqrt(ln((t + 250 ns)/500 ns)), Q = min(0.0088/g^0.65, 0.2) of the conductance that was programmed,
    # t from 20 s on. The drift of every device is what the same chip has without noise.
    noisy, quiet = (
        devices(Design(alike(1.0, g), array(**PCM, read_noise=noise, drift_time=seconds)).chip(9))[-40:, 0::2]
        for noise in ("device", 0.0)
    )
    t = 20.0 + (seconds or 0.0)
    sigma = min(0.0088 / g**0.65, 0.2) * np.sqrt(np.log((t + 250e-9) / 500e-9))
    check_moments(noisy / quiet - 1, 0.0, sigma)


@pytest.mark.parametrize("g", [1.0, 0.1])
def test_drift_of_a_device(g: float) -> None:
    # G (t/20 s)^-nu; nu normal and not below 0: mean clip(-0.0155 ln g + 0.0244, 0.049, 0.1), sigma
    # clip(-0.0125 ln g - 0.0059, 0.008, 0.045)
    made = array(**PCM, drift_time=86_400.0)
    ratio = devices(Design(alike(1.0, g), made).chip(10))[-40:, 0::2] / (25e-6 * g)
    m = np.clip(-0.0155 * np.log(g) + 0.0244, 0.049, 0.1)
    s = np.clip(-0.0125 * np.log(g) - 0.0059, 0.008, 0.045)
    # moments of a normal cut off below, the rest of it at 0
    above, density = norm.cdf(m / s), norm.pdf(m / s)
    mean = m * above + s * density
    square = (m**2 + s**2) * above + m * s * density
    decades = np.log(86_420.0 / 20.0)
    check_moments(np.log(ratio) / -decades, mean, np.sqrt(square - mean**2))


def test_nominal_chip_drifts_as_the_mean_device() -> None:
    nominal = devices(Design(alike(1.0, 0.1, rows=1), array(**PCM, drift_time=86_400.0)).chip(None))
    factor = (86_420.0 / 20.0) ** -np.array([0.049, 0.0244 - 0.0155 * np.log(0.1)])
    np.testing.assert_allclose(nominal[:, 0], 25e-6 * np.array([1.0, 0.1]) * factor, rtol=1e-12)


def test_a_device_that_was_measured_in_currents_drifts_too() -> None:
    # SONOS, after 5 days: mean change of 1 uA by the published polynomial, spread 34.58 (1 - exp(-I/207.3)) nA in all
    sonos = {"device": "sonos", "g_min": 0.0, "g_max": 10e-6, "read_voltage": 0.1}
    made = array(**sonos, drift_time=432_000.0, programming_error="device")
    current = devices(Design(alike(1.0), made).chip(11))[:, 0::2] * 0.1 * 1e9
    published = [
        3.19927e-1, 1.06596e-1, -1.04054e-3, 4.50290e-6, -1.10352e-8, 1.56477e-11, -1.27592e-14, 5.45513e-18,
        -7.26841e-22, -2.43893e-25, 7.14608e-29,
    ]  # fmt: skip
    mean = 1000.0 + np.polynomial.polynomial.polyval(1000.0, published)
    # The spread is flat there, 34.3 nA at 1 uA; the polynomial's curvature over the programming error is left out.
    assert current.mean() == pytest.approx(mean, abs=4 * 35.0 / np.sqrt(current.size) + 0.5)
    assert current.std() == pytest.approx(34.58 * (1 - np.exp(-mean / 207.3)), rel=4 / np.sqrt(2 * current.size) + 0.02)


def test_temperature_coefficient() -> None:
    # G/(1 + c (T - 300 K)), c normal with sigma a third of the limit, cut at the limit
    design = Design(network(), array(temperature_coefficient=100e-6).under(temperature=320.0))
    change = design.crossbars[0].conductance / devices(design.chip(12)) - 1
    assert np.abs(change).max() <= 2e-3 * (1 + 1e-9)
    check_moments(change, 0.0, 2e-3 / 3 * truncnorm(-3, 3).std())


@pytest.mark.parametrize("coefficient", [100e-6, "device"])
def test_at_300_kelvin_temperature_changes_nothing(coefficient: float | str) -> None:
    design = Design(network(), array(device="metal_film", temperature_coefficient=coefficient))
    np.testing.assert_array_equal(devices(design.chip(13)), design.crossbars[0].conductance)


def test_temperature_coefficient_of_a_device() -> None:
    given, own = (
        devices(
            Design(network(), array(device="metal_film", temperature_coefficient=c).under(temperature=350.0)).chip(1)
        )
        for c in (50e-6, "device")
    )
    np.testing.assert_array_equal(own, given)


# --- amplifiers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
def test_amplifier_offsets_are_multiplied_by_their_noise_gains(layer: int) -> None:
    # V_out = Vos2 (1 + Rb/Ra + Rb G-) - Rb/Ra Vos1 (1 + Rf G+), G the whole conductance of a column
    design = Design(network(40, 12, 12), technology(sense_amplifier={"offset_sigma": 2e-3}))
    target, made = design.arrays[layer], design.arrays[layer].crossbar
    rf, ra, rb = (getattr(target.sense, name)[0] for name in ("rf", "ra", "rb"))
    first = rb / ra * (1 + rf * made.g_plus.sum(axis=0))
    second = 1 + rb / ra + rb * made.g_minus.sum(axis=0)
    sigma = 2e-3 * np.sqrt(first**2 + second**2)
    chips = [layer_of(design.chip(seed), layer) for seed in range(250)]
    for recentre, volts in ((True, target.volts[0]), (False, target.volts[1])):
        bias = np.array([chip.bias(recentre) for chip in chips])
        check_moments(bias * volts / sigma, 0.0, 1.0)


def test_offset_of_the_input_array_is_one_of_z() -> None:
    design = Design(network(40, 12, bias=True), technology(sense_amplifier={"offset_sigma": 2e-3}))
    chip, images = design.chip(3), np.random.default_rng(0).random((5, 40))
    z = chip.last.pre_activations(images) - design.chip(None).last.pre_activations(images)
    layer = layer_of(chip)
    # the same for every image, and what the columns' outputs are without rows
    np.testing.assert_allclose(z, np.tile(layer.columns.offset / layer.volts[0], (5, 1)), rtol=0, atol=1e-12)
    assert np.abs(z).min() > 1e-4


@pytest.mark.parametrize(("sign", "resistors"), [(1, 3), (-1, 1)])
def test_amplifier_gain_is_off_by_its_resistors(sign: int, resistors: int) -> None:
    # positive weights pass Rf, Ra and Rb, negative ones Rb alone; the other device of the pair is at 0 S
    made = technology(array={"g_min": 0.0}, sense_amplifier={"resistor_tolerance": 0.01})
    design = Design(Network.of_weights((np.full((2, 100), float(sign)), np.ones((100, 2)))), made)
    gain = [design.chip(seed).layers[0].weights[0] / sign - 1 for seed in range(30)]
    # 1e-4 of the spread, from products of tolerances, is far below a standard error
    check_moments(gain, 0.0, np.sqrt(resistors) * 0.01 / 3 * truncnorm(-3, 3).std())


def test_rows_of_a_column_share_its_amplifiers_gain() -> None:
    made = technology(array={"g_min": 0.0}, sense_amplifier={"resistor_tolerance": 0.01})
    weights = np.abs(np.random.default_rng(0).normal(size=(20, 30))) + 0.1
    chip = Design(Network.of_weights((weights, np.ones((30, 2)))), made).chip(5)
    ratio = chip.layers[0].weights / weights
    np.testing.assert_allclose(ratio, np.tile(ratio[0], (20, 1)), rtol=1e-12)
    assert np.ptp(ratio[0]) > 1e-3


# --- converters -----------------------------------------------------------------------------------------------


def test_converters_error_is_uniform_over_a_step() -> None:
    scores = np.random.default_rng(1).uniform(-1.0, 1.0, (2000, 10))
    made = technology(adc={"bits": 6, "calibration_images": 2000, "margin": 1.0}).adc
    assert made is not None
    step = 2 * np.abs(scores).max() / 2**6
    error = (_convert(scores, made) - scores) / step
    assert np.abs(error).max() <= 0.5 * (1 + 1e-9)
    check_moments(error, 0.0, np.sqrt(1 / 12))
    assert kstest(error.ravel(), "uniform", args=(-0.5, 1.0)).pvalue > 1e-4


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_converters_have_their_codes_and_clip(bits: int) -> None:
    scores = np.random.default_rng(2).normal(size=(4000, 10))
    made = technology(adc={"bits": bits, "calibration_images": 7, "margin": 1.5}).adc
    assert made is not None
    found = _convert(scores, made)
    limit = 1.5 * np.abs(scores[:7]).max()  # of the first seven images only
    step = 2 * limit / 2**bits
    codes = (found / step - 0.5).round()
    np.testing.assert_allclose(found, (codes + 0.5) * step, rtol=1e-12)
    assert (codes.min(), codes.max()) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    inside = np.abs(scores) < limit
    assert not inside.all()
    assert np.abs(found - scores)[inside].max() <= 0.5 * step * (1 + 1e-9)
    np.testing.assert_allclose(np.abs(found[~inside]), limit - 0.5 * step, rtol=1e-12)


SHORT_RUN = Protocol(settle=2.0, control=6.0)


def test_classes_are_those_of_the_converted_scores() -> None:
    net = network(16, 8, 4, protocol=SHORT_RUN)
    images = np.random.default_rng(3).random((40, 16))
    made = technology(adc={"bits": 3, "calibration_images": 5, "margin": 1.2})
    converted = classify(Design(net, made).chip(1), images)
    exact = classify(Design(net, technology()).chip(1), images)
    assert made.adc is not None
    np.testing.assert_array_equal(converted.scores, _convert(exact.scores, made.adc))
    np.testing.assert_array_equal(converted.predictions, converted.scores.argmax(axis=1))
    assert len(np.unique(converted.scores)) <= 8


# --- levels, mapping, rows ------------------------------------------------------------------------------------


def test_levels_as_a_list() -> None:
    levels = [1e-6, 5e-6, 40e-6, 90e-6]
    design = Design(network(), array(levels=levels))
    assert set(np.unique(devices(design.chip(None)))) == set(levels)
    fine = Design(network(), array()).crossbars[0].conductance
    # the nearest: no other level is closer
    distance = np.abs(fine[..., None] - levels)
    np.testing.assert_array_equal(devices(design.chip(None)), np.array(levels)[distance.argmin(axis=-1)])


def test_levels_of_a_device() -> None:
    # E96, metal film: 10.0 kohm to 100 kohm in 97 values, of which conductances are reciprocals
    made = array(device="metal_film", g_min=10e-6, g_max=100e-6, levels="device")
    ramp = Network.of_weights((np.linspace(0.0, 1.0, 4000).reshape(400, 10), np.ones((10, 2))))
    found = np.unique(devices(Design(ramp, made).chip(None)))
    assert len(found) == 97
    e96 = 1e4 * 10 ** (np.arange(97) / 96)
    np.testing.assert_allclose(np.sort(1 / found), e96, rtol=5e-3)  # rounded to three digits
    assert np.all(np.abs(np.round(1 / found, -2) * found - 1) < 1e-12)


def test_number_of_levels_and_mapping_at_the_chip() -> None:
    made = array(levels=5, mapping="two-sided")
    chip = Design(network(), made).chip(None)
    bar = layer_of(chip).crossbar
    allowed = np.linspace(1e-6, 100e-6, 5)
    np.testing.assert_allclose(np.unique(devices(chip)), allowed, rtol=1e-12)
    np.testing.assert_allclose(bar.g_plus + bar.g_minus, 101e-6, rtol=1e-12)  # both move


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
def test_mappings_realise_the_same_network(mapping: str) -> None:
    net = network(bias=True)
    chip = Design(net, array(mapping=mapping)).chip(None)
    for effective, trained in zip((*chip.layers, chip.output), net.dense, strict=True):
        np.testing.assert_allclose(effective.weights, trained.weights, rtol=0, atol=1e-11)
        np.testing.assert_allclose(effective.bias, trained.shift, rtol=0, atol=1e-11)


def test_clip_quantile_of_each_layer() -> None:
    net = network()
    chip = Design(net, array(clip_quantile=[0.9, 0.5])).chip(None)
    for effective, trained, quantile in zip((*chip.layers, chip.output), net.weights, (0.9, 0.5), strict=True):
        limit = np.quantile(np.abs(trained), quantile)
        np.testing.assert_allclose(effective.weights, np.clip(trained, -limit, limit), rtol=0, atol=1e-11)


def test_bias_rows_share_a_large_bias() -> None:
    # 7.5 times the largest weight: 8 rows of equal devices; one row would clip it
    net = Network.of_weights((np.array([[1.0, -0.5]]), np.ones((2, 2))), (np.array([7.5, -2.0]), None))
    layer = layer_of(Design(net, array()).chip(None))
    bar = layer.crossbar
    assert (bar.bias_rows, bar.n_in) == (8, 1)
    assert np.ptp(bar.g_plus[1:], axis=0).max() == 0.0
    np.testing.assert_allclose(layer.bias(), [7.5, -2.0], rtol=1e-12)


def test_errors_of_bias_rows_are_independent() -> None:
    # each row errs on its own: the bias of 8 rows is off by sigma/sqrt(8), not by sigma
    net = Network.of_weights((np.ones((1, 500)), np.ones((500, 2))), (np.full(500, 8.0), None))
    design = Design(net, array(g_min=0.0, programming_error=0.02))
    bias = np.array([design.chip(seed).layers[0].bias for seed in range(4)])
    check_moments(bias / 8.0 - 1, 0.0, 0.02 / np.sqrt(8))


@pytest.mark.parametrize("limits", [(-1.0, 1.0), (0.0, 255.0), (-0.42, 2.82)])
@pytest.mark.parametrize("levels", [None, 4096])
def test_any_input_range(limits: tuple[float, float], levels: int | None) -> None:
    net = network(50, 20, bias=True, input_range=limits)
    net = Network.of_weights((net.weights[0] / 50 / limits[1], net.weights[1]), net.biases, input_range=limits)
    design = Design(net, array(levels=levels))
    images = np.random.default_rng(5).uniform(*limits, (30, 50))
    z = images @ net.weights[0] + net.biases[0]
    step = 0.0 if levels is None else design.crossbars[0].siemens_per_weight ** -1 * 99e-6 / 4095
    # half a step for each device of the pair; rows of the bias, too
    rows = np.abs(images).sum(axis=1).max() + layer_of(design.chip(None)).crossbar.bias_rows * max(map(abs, limits))
    chip = design.chip(None)
    assert np.abs(chip.last.pre_activations(images) - z).max() <= 1e-10 + rows * step
    ideal = chip.with_ideal_stages().last.drives(images)
    np.testing.assert_allclose(ideal, -np.tanh(0.5 * z), rtol=0, atol=1e-10 + 0.5 * rows * step)
    # and no row is asked for more than the read voltage
    row_volts = layer_of(chip).row_volts[0]
    assert np.abs(images).max() * row_volts <= 1.0 + 1e-12


# --- wires and tiles ------------------------------------------------------------------------------------------

WIRES = {"word": 2.0, "bit": 1.0, "driver": 20.0, "sense": 15.0}


@pytest.mark.parametrize("tile", [(None, None), (16, 8), (7, None)])
@pytest.mark.parametrize("layer", [0, 1])
def test_weights_are_those_that_the_tiles_let_through(layer: int, tile: tuple[int | None, int | None]) -> None:
    made = array(wires=WIRES, tile_rows=tile[0], tile_columns=tile[1], programming_error=0.02)
    net = network(40, 12, 6, bias=True)
    found = layer_of(Design(net, made).chip(8), layer)
    g, target = found.crossbar.conductance, Design(net, made).arrays[layer]
    effective, lines = np.empty_like(g), g.shape
    for i in range(0, lines[0], tile[0] or lines[0]):
        for j in range(0, lines[1], tile[1] or lines[1]):
            part = np.s_[i : i + (tile[0] or lines[0]), j : j + (tile[1] or lines[1])]
            effective[part] = effective_conductance(g[part], Wires(2.0, 1.0, 20.0, 15.0))
    assert 0.001 < 1 - effective.sum() / g.sum() < 0.05
    wanted = target.sense.rb[0] * (effective[:, 0::2] - effective[:, 1::2]) * target.row_volts[0] / target.volts[0]
    np.testing.assert_allclose(found.weights, wanted[: found.crossbar.n_in], rtol=0, atol=1e-11 * np.abs(wanted).max())
    bias = found.crossbar.bias_drive * wanted[found.crossbar.n_in :].sum(axis=0)
    np.testing.assert_allclose(found.bias(), bias, rtol=1e-9)


def test_without_wires_tiles_change_nothing() -> None:
    whole, tiled = (Design(network(40, 12), array(tile_rows=n, tile_columns=n)).chip(1) for n in (None, 8))
    np.testing.assert_array_equal(tiled.layers[0].weights, whole.layers[0].weights)


@pytest.mark.parametrize("wires", [{}, WIRES])
def test_noise_gains_of_the_offsets(wires: dict[str, float]) -> None:
    # the output is affine in the offsets: one at a time, from the chip's own equations
    net = network(30, 5, 3)
    spread = Design(net, technology(array={"wires": wires}, sense_amplifier={"resistor_tolerance": 0.1, "gain": 1e3}))
    layer = layer_of(spread.chip(2))
    gain = offset_gain(layer.sense, layer.ports, spread.technology)
    assert gain.shape == (10, 5)
    for name, first in (("vos1", 0), ("vos2", 1)):
        for k in range(5):
            one = replace(layer.sense, **{name: np.eye(5)[k]})
            out = columns(one, layer.ports, spread.technology).offset - layer.columns.offset
            np.testing.assert_allclose(gain[2 * k + first], out, rtol=1e-9, atol=1e-12)
    assert (np.count_nonzero(gain) == 10) == (wires == {})  # with wires, neighbours feel them too


# --- each alone -----------------------------------------------------------------------------------------------

ALL = {
    "array": {
        **PCM, "programming_error": 0.05, "stuck_on": 0.05, "stuck_off": 0.05, "read_noise": 0.03, "drift_time": 1e4,
        "temperature_coefficient": 1e-3, "nonlinearity": 0.3,
    },
    "sense_amplifier": {"offset_sigma": 1e-3, "offset_drift": 1e-5, "resistor_tolerance": 0.01},
    "resistor": {"tolerance": 0.01, "temperature_coefficient": 50e-6},
    "capacitor": {"tolerance": 0.05, "temperature_coefficient": 30e-6},
    "opamp": {"offset_sigma": 3e-3, "offset_drift": 18e-6},
    "multiplier": {"scale_sigma": 2.5e-3, "offset_sigma": 5e-3},
    "tanh_pair": {"offset_sigma": 0.4e-3, "mirror_sigma": 0.2e-3, "beta_tolerance": 0.5},
    "conditions": {"temperature": 320.0},
    "dac": {"bits": 8},
    "adc": {"bits": 8},
}  # fmt: skip
ALL["array"]["wires"] = {"word": 5.0, "bit": 5.0, "driver": 10.0, "sense": 10.0}
NET = network(60, 20, bias=True)


def values(chip: ManufacturedChip) -> dict[str, FloatArray]:
    """Every number that is drawn for a chip."""
    drawn = {}
    for name, group in zip(("parts", "pair", "driver"), groups(chip.hardware[0].cells), strict=True):
        drawn |= {f"{name}.{key}": value for key, value in group.items()}
    for k in range(2):
        drawn[f"array {k}"] = devices(chip, k)
        drawn[f"seen {k}"] = layer_of(chip, k).ports.effective
        drawn |= {f"sense {k}.{key}": value for key, value in layer_of(chip, k).sense.items()}
    return drawn


@cache
def chip_with(*errors: str) -> ManufacturedChip:
    return Design(NET, technology(**ALL).with_errors(errors)).chip(7)


def moved(*errors: str) -> set[str]:
    exact, wrong = values(chip_with()), values(chip_with(*errors))
    return {name for name in exact if np.any(exact[name] != wrong[name])}


PARTS = {
    "resistor": {
        *(f"parts.{r}" for r in ("r1", "r2", "r3", "r4", "r5", "ra", "rb")),
        *(f"pair.{r}" for r in ("rs1", "rp1", "rs2", "rp2", "rabc")),
        *(f"driver.{r}" for r in ("rin", "rf", "rshift")),
    },
    "capacitor": {"parts.cx", "parts.cy"},
    "opamp": {"parts.vos1", "parts.vos2", "parts.vos3", "driver.vos"},
    "multiplier": {f"parts.m{k}_{what}" for k in (1, 2) for what in ("scale", "x", "y", "z")},
    "tanh_pair": {f"pair.{p}" for p in ("vos", "dvbe_tail", "dvbe_sink", "dvbe_source", "bn", "bp")},
    "amplifier_offset": {f"sense {k}.vos{n}" for k in (0, 1) for n in (1, 2)},
    "amplifier_gain": {f"sense {k}.{r}" for k in (0, 1) for r in ("rf", "ra", "rb")},
    "dac": set(),
    "adc": set(),
    "die": set(),  # where parts have no spread they have none in common either
    "flicker": set(),  # of runs, not of parts
    "hold": set(),  # this network has no layer that is held; those are in test_convolution
}
SEEN = {"seen 0", "seen 1"}
ARRAYS = {"array 0", "array 1"} | SEEN


@pytest.mark.parametrize("group", sorted(PARTS))
def test_a_group_of_parts_moves_these_parts_alone(group: str) -> None:
    assert moved(group) == PARTS[group]
    whole, alone = values(chip_with(*BoardTechnology.ERRORS)), values(chip_with(group))
    for name in PARTS[group]:
        np.testing.assert_array_equal(alone[name], whole[name], err_msg=name)
    assert (chip_with(group).technology.adc is None) == (group != "adc")
    assert (chip_with(group).input_converters is None) == (group != "dac")


@pytest.mark.parametrize("group", BoardTechnology.SHORT["array"])
def test_a_group_of_the_arrays_moves_devices_alone(group: str) -> None:
    assert moved(group) == {"wires": SEEN, "nonlinearity": set()}.get(group, ARRAYS)
    assert (layer_of(chip_with(group), 0).nonlinear is None) == (group != "nonlinearity")


def test_every_group_is_tested_alone() -> None:
    assert set(BoardTechnology.ERRORS) == set(PARTS) | set(BoardTechnology.SHORT["array"])
    assert moved("array") == ARRAYS
    assert moved("amplifier") == PARTS["amplifier_offset"] | PARTS["amplifier_gain"]


@pytest.mark.parametrize("group", ["read_noise", "array_temperature"])
def test_relative_errors_are_the_same_on_top_of_others(group: str) -> None:
    # common random numbers: what one more group does to a device does not depend on the other groups
    others = ("programming", "faults", "drift")
    exact, alone, base, together = (devices(chip_with(*g)) for g in ((), (group,), others, (*others, group)))
    there = (exact > 0) & (base > 0)
    assert there.mean() > 0.3
    np.testing.assert_allclose(together[there] / base[there], alone[there] / exact[there], rtol=1e-12)


def test_faults_are_at_the_same_places_on_top_of_others() -> None:
    exact, faulty, off = (devices(chip_with(*g)) for g in ((), ("faults",), ("programming", "drift")))
    both = devices(chip_with("programming", "drift", "faults"))
    # at a target equal to the state that a device is stuck at nobody sees a fault alone
    sure = faulty != exact
    assert 0.05 < sure.mean() < 0.1
    np.testing.assert_array_equal(both[sure], faulty[sure])
    np.testing.assert_array_equal(both[(both != off) & ~sure] % 25e-6, 0.0)
    np.testing.assert_array_equal(both[both == off], off[both == off])


def test_programming_is_the_same_before_drift() -> None:
    # without clipping at 0, drift at the mean exponent would be a power law of what was programmed
    exact, made = devices(chip_with()), devices(chip_with("programming"))
    drifted = devices(chip_with("programming", "drift"))
    alone = devices(chip_with("drift"))
    full = exact > 0.5 * 25e-6
    # exponents have the same draws; their mean and spread depend but weakly on what was programmed
    decades = np.log(10_020.0 / 20.0)
    nu = np.log(made[full] / drifted[full]) / decades
    np.testing.assert_allclose(nu, np.log(exact[full] / alone[full]) / decades, rtol=0, atol=5e-3)


# --- refusals -------------------------------------------------------------------------------------------------


def refusal(folder: Path, **changes: Any) -> str:
    data = EXACT.model_dump()
    for section, given in changes.items():
        data[section] = {**(data[section] or {}), **given}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Technology.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "{" not in message, "a key is named, not the values of its section"
    return message


MEMORY = {"device": "pcm", "g_min": 0.0, "g_max": 25e-6}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"drift_time": 60.0}, "drift_time = 60.0 needs a device (key 'device')"),
        ({"programming_error": "device"}, "programming_error = 'device' needs a device"),
        ({"read_noise": "device"}, "read_noise = 'device' needs a device"),
        ({"levels": "device"}, "levels = 'device' needs a device"),
        ({"temperature_coefficient": "device"}, "temperature_coefficient = 'device' needs a device"),
        ({"device": "flash"}, "device 'flash': not one of cmo_hfox_0p2, "),
        ({"device": "no/such.yaml"}, "cannot be read"),
        ({**MEMORY, "g_max": 30e-6}, "g_max = 3e-05: device 'pcm' is known from 0 to 2.5e-05 S"),
        ({**MEMORY, "levels": "device"}, "device 'pcm' has no levels"),
        ({**MEMORY, "drift_time": 1e9}, "drift_time = 1e+09: device 'pcm' is known from 0 to 3.2e+07 s"),
        ({**MEMORY, "temperature_coefficient": "device"}, "device 'pcm' has no temperature coefficient"),
        (
            {"device": "hfo2_rram", "g_min": 50e-6, "g_max": 225e-6},
            "read_voltage = 1: device 'hfo2_rram' bears at most 0.5 V",
        ),
        (
            {"device": "hfo2_rram", "g_min": 50e-6, "g_max": 225e-6, "read_voltage": 0.2, "drift_time": 60.0},
            "device 'hfo2_rram' has no drift",
        ),
        (
            {"device": "hfo2_rram", "g_min": 50e-6, "g_max": 225e-6, "read_voltage": 0.2, "read_noise": "device"},
            "device 'hfo2_rram' has no read noise",
        ),
        (
            {"device": "sonos", "g_min": 0.0, "g_max": 3.2e-6, "drift_time": 432_000.0},
            "g_max = 3.2e-06 at array.read_voltage = 1 and with drift: device 'sonos' is known from 0 to 1.8e-06 A",
        ),
        (
            {"device": "sonos", "g_min": 0.0, "g_max": 1.8e-6, "drift_time": 86_400.0},
            "drift_time = 86400: device 'sonos' is known at 0 or 432000 s only",
        ),
        (
            {"device": "metal_film", "g_min": 1.001e-5, "g_max": 1.01e-5, "levels": "device"},
            "device 'metal_film' has 0 between array.g_min = 1.001e-05 and array.g_max = 1.01e-05, at least 2",
        ),
        ({"levels": [1e-6, 50e-6, 20e-6]}, "levels: expected rising conductances, each once"),
        ({"levels": [1e-6, 1e-6]}, "levels: expected rising conductances, each once"),
        ({"levels": [1e-6, 200e-6]}, "levels from 1e-06 to 0.0002 S: expected them between g_min (1e-06) and g_max"),
        ({"levels": [1e-6]}, "array.levels = [1e-06]: "),
        ({"levels": "many"}, "array.levels = 'many': "),
        ({"stuck_on": 0.6, "stuck_off": 0.6}, "stuck_on + stuck_off = 1.2: expected at most 1"),
        ({"clip_quantile": [0.9]}, "array.clip_quantile = [0.9]: "),
        ({"clip_quantile": [0.9, 0.0]}, "array.clip_quantile.1 = 0.0: "),
        ({"tile_rows": 0}, "array.tile_rows = 0: "),
        ({"write_tolerance": 0.0}, "array.write_tolerance = 0.0: "),
        ({"write_pulses": 0}, "array.write_pulses = 0: "),
        ({"drift_time": -1.0}, "array.drift_time = -1.0: "),
        ({"programming_error": 1.0}, "array.programming_error = 1.0: "),
        ({"wires": {"word": -1.0}}, "array.wires.word = -1.0: "),
        ({"wires": {"bitline": 1.0}}, "unknown key 'array.wires.bitline'"),
    ],
)
def test_refused_arrays(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, array=values)


def test_a_device_beyond_its_temperatures_is_refused(tmp_path: Path) -> None:
    # metal film: from -55 degrees C on
    message = refusal(tmp_path, array={"device": "metal_film"}, conditions={"temperature": 210.0})
    assert "conditions.temperature = 210: device 'metal_film' is known from 218 to 428 K" in message


def test_refused_converters(tmp_path: Path) -> None:
    assert "adc.bits = 0: " in refusal(tmp_path, adc={"bits": 0})
    assert "key 'adc.bits' is missing" in refusal(tmp_path, adc={"margin": 2.0})


def test_converters_are_refused_with_the_vote() -> None:
    net = network(16, 8, 4, protocol=SHORT_RUN, readout="vote")
    chip = Design(net, technology(adc={"bits": 8})).chip(1)
    with pytest.raises(InputError, match=r"converters \(adc\.bits = 8\) and the vote .* expected readout 'mean'"):
        classify(chip, np.zeros((2, 16)))
    with pytest.raises(InputError, match="vote"):
        classify_all(chip, np.zeros((2, 16)), [("mean", True), ("vote", True)])
