"""Codes: nearest steps, saturation, and chips whose activations they make right."""

from __future__ import annotations

import numpy as np
import pytest
from repairs import N_HIDDEN, bench, deep_network, digits_network, images

from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.codes import (
    ResponseLines,
    RowTarget,
    TrimCodes,
    TrimHardware,
    codes_of_responses,
    fit_lines,
    nearest_code,
)
from analog_fhn.trim.identify import measure_ends, output_weights
from analog_fhn.trim.repair import RepairOptions, repair

HARDWARE = TrimHardware()


def lines(level: object, slope: object) -> ResponseLines:
    level, slope = np.array(level, dtype=float), np.array(slope, dtype=float)
    return ResponseLines(level, slope, np.zeros(len(level)))


IDEAL = lines([-1.0], [-1.0])


def two_neurons(**changes: object) -> Network:
    return Network.of_weights((np.ones((1, 2)), np.ones((2, 1)))).with_options(**changes)  # type: ignore[arg-type]


def test_the_nearest_step_is_chosen_and_saturation_counted() -> None:
    codes, beyond = nearest_code(np.array([0.4, -0.6, 126.7, 127.4, 127.6, -128.4, -200.0]), 8)
    assert codes.tolist() == [0, -1, 127, 127, 127, -128, -128]
    assert beyond == 2


def test_a_code_of_nothing_is_refused() -> None:
    assert nearest_code(np.array([np.inf, -np.inf]), 8)[1] == 2
    with pytest.raises(InputError, match="code 1 of 2: its wanted value is not a number"):
        nearest_code(np.array([1.0, np.nan]), 8)


def test_codes_of_0_change_nothing() -> None:
    tested = bench(1)
    before = tested.chip
    tested.set_codes(TrimCodes.none(tested.design.network))
    np.testing.assert_array_equal(tested.chip.layers[0].cells.row_stage.gain, before.layers[0].cells.row_stage.gain)
    np.testing.assert_array_equal(tested.chip.output.bias, before.output.bias)


def test_an_ideal_neuron_needs_no_code() -> None:
    codes = codes_of_responses(lines([-1.0, -1.0], [-1.0, -1.0]), IDEAL, RowTarget.of(two_neurons(), 0), HARDWARE)
    assert not codes.gain.any()
    assert not codes.offset.any()


def test_factors_take_slope_and_level_back() -> None:
    # h = f_g (x/2 + f_o) for the sigmoid at a = 1, gamma = -1: with x = -1.1 - 0.9 I, f_g 0.9 = 1 and
    # f_g (-0.55 + f_o) = 1/2, by hand f_g = 1.1111, f_o = 1.0
    codes = codes_of_responses(lines([-1.1, -1.0], [-0.9, -1.0]), IDEAL, RowTarget.of(two_neurons(), 0), HARDWARE)
    gain, shift = codes.factors(HARDWARE)
    assert gain[0] == pytest.approx(1.0 / 0.9, abs=0.5 * HARDWARE.gain_step)
    assert shift[0] == pytest.approx(1.0, abs=0.5 * HARDWARE.offset_step)


def test_without_recentring_only_the_gain_is_set() -> None:
    codes = codes_of_responses(
        lines([-1.3, -1.0], [-0.9, -1.0]), IDEAL, RowTarget.of(two_neurons(recentre=False), 0), HARDWARE
    )
    assert codes.gain[0] == round((1 / 0.9 - 1) / HARDWARE.gain_step)
    assert not codes.offset.any()


def test_a_far_neuron_saturates_its_code() -> None:
    codes = codes_of_responses(lines([-1.0, -1.0], [-0.5, -1.0]), IDEAL, RowTarget.of(two_neurons(), 0), HARDWARE)
    assert codes.gain[0] == 127
    assert codes.saturated >= 1


def test_a_response_that_rises_is_refused() -> None:
    with pytest.raises(InputError, match=r"neuron 1: its response has the slope 0\.2"):
        codes_of_responses(lines([-1.0, -1.0], [-1.0, 0.2]), IDEAL, RowTarget.of(two_neurons(), 0), HARDWARE)


@pytest.mark.parametrize(("name", "value"), [("gain_bits", 0), ("offset_range", 1.5), ("output_range", 0.0)])
def test_hardware_that_cannot_be_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        TrimHardware(**{name: value})  # type: ignore[arg-type]


def test_lines_are_those_of_polyfit_and_leave_gaps_out() -> None:
    rng = np.random.default_rng(0)
    drives, responses = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    drives[4:, 1] = responses[4:, 1] = np.nan
    found = fit_lines(drives, responses)
    for j, n in enumerate((6, 4, 6)):
        slope, level = np.polyfit(drives[:n, j], responses[:n, j], 1)
        assert (found.slope[j], found.level[j]) == pytest.approx((slope, level), rel=1e-9)


@pytest.mark.parametrize("bias", [False, True])
def test_a_bad_chip_is_trimmed_to_within_a_step(bias: bool) -> None:
    tested = bench(2, digits_network(bias), resistor__tolerance=0.14, array__programming_error=0.1)
    before = measure_ends(tested, 0)
    assert np.std(before.amplitude) > 0.03
    (_, step) = repair(tested, ["trim"], images("train", 100), images("test", 100), options=RepairOptions())
    assert step.saturated == tested.codes.saturated == 0
    after = measure_ends(tested, 0)
    # Half a step of the gain, and of the shift, whose current stands for an activation of 1
    np.testing.assert_allclose(after.amplitude, 0.5, rtol=0.6 * HARDWARE.gain_step)
    assert np.abs(after.centre - 0.5).max() < 0.6 * HARDWARE.offset_step + 0.6 * HARDWARE.gain_step
    hidden, scores = tested.both(images("train", 100).images, 1)
    wanted = tested.design.network.biases[1] if bias else np.zeros(10)
    error = output_weights(hidden, scores).bias - wanted
    per_code = HARDWARE.output_step * 20.0 / tested.design.arrays[1].volts[0]  # a noise gain that none exceeds here
    assert np.abs(error).max() < per_code
    assert len(tested.codes.rows[0].gain) == N_HIDDEN


def test_rows_between_layers_carry_the_activation_even_where_those_of_the_output_array_do_not() -> None:
    raw = deep_network().with_options(recentre=False)
    assert [RowTarget.of(raw, layer).shifted for layer in (0, 1)] == [True, False]


@pytest.mark.parametrize("recentre", [True, False])
def test_both_layers_of_a_deep_chip_are_trimmed(recentre: bool) -> None:
    tested = bench(2, deep_network().with_options(recentre=recentre), resistor__tolerance=0.14)
    (_, step) = repair(tested, ["trim"], images("train", 100), images("test", 100))
    assert [len(rows.gain) for rows in tested.codes.rows] == [16, 12]
    assert step.facts["largest_gain_code_2"] > 0.0
    first, second = (measure_ends(tested, layer) for layer in (0, 1))
    np.testing.assert_allclose(first.amplitude, 0.5, rtol=0.6 * HARDWARE.gain_step)
    # Neurons of the second layer are not driven to their ends: their weights' errors take part.
    np.testing.assert_allclose(np.abs(second.amplitude), 0.5 if recentre else 1.0, rtol=0.02)
    if recentre:
        assert np.abs(second.centre - 0.5).max() < 0.02


@pytest.mark.parametrize("slope", [-0.5, -0.6, -2.0, -2.4])
@pytest.mark.parametrize("level", [-1.0, -1.1])
def test_the_offset_fits_the_gain_that_can_be_set(slope: float, level: float) -> None:
    codes = codes_of_responses(lines([level, level], [slope, slope]), IDEAL, RowTarget.of(two_neurons(), 0), HARDWARE)
    assert codes.gain[0] in (127, -128)
    gain, current = codes.factors(HARDWARE)
    # h = gain (x/2 + current) is to be 1/2 at no drive; no other offset code is nearer, but for a rounding.
    every = gain[0] * (0.5 * level + 1.0 / (1.0 + HARDWARE.offset_step * np.arange(-128, 128)))
    least = np.abs(every - 0.5).min()
    assert abs(gain[0] * (0.5 * level + current[0]) - 0.5) <= least + 0.5 * HARDWARE.offset_step


def test_a_chip_with_small_gain_potentiometers_is_centred_all_the_same() -> None:
    design = bench(5, resistor__tolerance=0.144).design
    errors = []
    for span in (0.4, 0.02):
        tested = SimulatedBench(design, 5, hardware=TrimHardware(gain_range=span))
        repair(tested, ["trim"], images("train", 100), images("test", 50))
        errors.append(np.sqrt(np.mean((measure_ends(tested, 0).centre - 0.5) ** 2)))
    assert errors[1] < 2.0 * errors[0]
