"""Writing in a loop: weights come nearer, stuck devices are found and made up for, little is written in vain."""

from __future__ import annotations

import numpy as np
import pytest
from repairs import bench, images

from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.finetune import HiddenArray, write_hidden
from analog_fhn.trim.identify import measure_ends
from analog_fhn.trim.writing import expected_square, spread, write_weights


def input_array(tested: SimulatedBench, weights: np.ndarray | None = None) -> HiddenArray:
    shown, trained = images("train"), tested.design.network.weights[0]
    return HiddenArray(
        0, measure_ends(tested, 0), shown.importance, shown.images, trained if weights is None else weights
    )


def test_optimal_stopping_against_drawn_numbers() -> None:
    # Draw again while the square exceeds what is to be expected of the draws that are left.
    rng = np.random.default_rng(0)
    limits = [expected_square(n) for n in range(4)]
    assert limits[0] == 1.0
    assert limits == sorted(limits, reverse=True)
    final = np.full(200_000, np.inf)
    for left in (3, 2, 1, 0):
        again = final > (limits[left] if left < 3 else -1.0)
        final[again] = rng.normal(size=again.sum()) ** 2
    assert final.mean() == pytest.approx(limits[3], rel=0.02)


def test_spread_of_verified_writing_against_drawn_devices() -> None:
    array = bench(None, array__programming_error=0.5, array__write_tolerance=0.02).design.technology.array
    rng = np.random.default_rng(1)
    target = np.full(100_000, 4e-5)
    found = target * (1 + 0.5 * rng.normal(size=target.shape))
    for _ in range(array.write_pulses - 1):
        wrong = np.abs(found - target) > 0.02 * array.g_max
        found[wrong] = target[wrong] * (1 + 0.5 * rng.normal(size=wrong.sum()))
    assert spread(target[:1], array)[0] == pytest.approx(np.std(found), rel=0.03)


@pytest.mark.parametrize("error", [0.1, 0.5])
def test_weights_come_nearer_round_by_round(error: float) -> None:
    tested = bench(1, array__programming_error=error)
    network = tested.design.network
    importance = images("train").importance
    done = write_hidden(tested, input_array(tested))
    assert done.errors[-1] < 0.35 * done.errors[0]
    true = (
        tested.chip.layers[0].weights * tested.chip.layers[0].cells.drive_stage.slope / network.fhn.slope
        - network.weights[0]
    )
    assert np.sqrt(np.mean((true * importance[:, None]) ** 2)) == pytest.approx(done.errors[-1], rel=0.1)


def test_stuck_devices_are_found_and_made_up_for() -> None:
    tested = bench(1, array__programming_error=0.05, array__stuck_on=0.03, array__stuck_off=0.03)
    network, array = tested.design.network, tested.design.technology.array
    importance = images("train").importance
    done = write_hidden(tested, input_array(tested))
    chip = tested.chip
    made = chip.arrays[0].crossbar
    lit = (importance > 0.1)[:, None]
    for name, g in (("plus", made.g_plus), ("minus", made.g_minus)):
        found = getattr(done.devices, f"stuck_{name}") & lit
        on, off = (g == array.g_max) & lit, (g == array.g_min) & lit
        # Not those that stand where they are wanted.
        assert np.mean(found[on]) > 0.75
        assert np.mean((on | off)[found]) > 0.95
    error = np.abs(
        chip.layers[0].weights * chip.layers[0].cells.drive_stage.slope / network.fhn.slope - network.weights[0]
    )
    # A pair with the wanted device stuck on is mended with the other one, and so is one whose idle device is stuck off.
    wanted_up = network.weights[0] > 0
    one_on = np.where(wanted_up, made.g_plus == array.g_max, made.g_minus == array.g_max)
    other = np.where(wanted_up, made.g_minus, made.g_plus)
    mended = one_on & (other != array.g_max) & (other != array.g_min) & lit
    assert mended.sum() > 20
    largest = np.abs(network.weights[0]).max()
    assert np.median(error[mended]) < 0.05 * largest
    # Without any of it such a pair is off by what is missing to the largest weight.
    assert np.median((largest - np.abs(network.weights[0]))[mended]) > 0.5 * largest


def test_what_is_right_is_not_written() -> None:
    tested = bench(1, array__programming_error=0.0, array__levels=None)
    network = tested.design.network
    layer = tested.chip.layers[0]
    done = write_hidden(tested, input_array(tested, layer.weights * layer.cells.drive_stage.slope * 2.0))
    assert network.fhn.slope == 0.5
    assert len(done.errors) == 1
    assert tested.costs.pulses == 0


def test_an_array_of_which_nothing_can_be_read_has_no_error() -> None:
    tested = bench(1)
    target = tested.targets(1)
    unknown = np.full(target.weights.shape, np.nan)
    done = write_weights(tested, 1, target.weights, lambda: unknown, np.ones(len(unknown)), rounds=2)
    assert np.isnan(done.errors).all()
    assert tested.costs.pulses == 0
