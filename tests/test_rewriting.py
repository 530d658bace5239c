"""Arrays that are written again: the same devices with other programming errors, counted pulse by pulse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from analog_fhn.array.crossbar import Writes
from analog_fhn.chip import ArrayLayer, ArrayTarget
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

N_IN, N_HIDDEN = 60, 40


def design(**array: Any) -> Design:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(N_IN, N_HIDDEN)), rng.normal(size=(N_HIDDEN, 3))))
    values = {f"array.{name}": value for name, value in ({"programming_error": 0.2} | array).items()}
    return Design(network, Technology.load("discrete").with_values(values))


def written(
    made: Design, rounds: int = 1, tolerance: float | None = None, pulses: int = 10, level: float = 5e-5
) -> ArrayTarget:
    """The first half of the rows, written to one level again and again."""
    target = made.arrays[0]
    half = np.zeros(target.crossbar.g_plus.shape, dtype=bool)
    half[: N_IN // 2] = True
    writes = Writes.none(target.crossbar)
    for _ in range(rounds):
        writes = writes.then(half, half, tolerance, pulses)
    bar = target.crossbar
    new = replace(bar, g_plus=np.where(half, level, bar.g_plus), g_minus=np.where(half, level, bar.g_minus))
    return replace(target, crossbar=new, writes=writes)


def array(made: Design, target: ArrayTarget, seed: int | None = 4) -> ArrayLayer:
    return ArrayLayer.made(target, made.technology, seed)


def halves(layer: ArrayLayer) -> tuple[np.ndarray, np.ndarray]:
    """Conductances of the rows that were written again, and of the others."""
    both = np.stack([layer.crossbar.g_plus, layer.crossbar.g_minus])
    return both[:, : N_IN // 2], both[:, N_IN // 2 :]


def test_nothing_written_is_the_chip_as_it_was() -> None:
    made = design(stuck_on=0.02)
    chip = made.chip(4)
    none = replace(made.arrays[0], writes=Writes.none(made.arrays[0].crossbar))
    np.testing.assert_array_equal(array(made, none).crossbar.conductance, chip.arrays[0].crossbar.conductance)


def test_what_is_not_written_keeps_its_value_and_what_is_gets_a_fresh_error() -> None:
    made = design()
    before, after = array(made, made.arrays[0]), array(made, written(made))
    np.testing.assert_array_equal(halves(before)[1], halves(after)[1])
    errors = halves(after)[0] / 5e-5 - 1.0
    n = errors.size
    assert abs(errors.mean()) < 4 * 0.2 / np.sqrt(n)  # four standard errors
    assert abs(errors.std() - 0.2) < 4 * 0.2 / np.sqrt(2 * n)
    first = (
        halves(before)[0] / np.stack([made.arrays[0].crossbar.g_plus, made.arrays[0].crossbar.g_minus])[:, : N_IN // 2]
        - 1.0
    )
    assert abs(np.corrcoef(errors.ravel(), first.ravel())[0, 1]) < 4 / np.sqrt(n)


def test_every_round_has_its_own_errors_and_the_same_ones_each_time() -> None:
    made = design()
    one, two = (halves(array(made, written(made, rounds)))[0] for rounds in (1, 2))
    assert np.all(one != two)
    np.testing.assert_array_equal(two, halves(array(made, written(made, 2)))[0])
    assert np.all(two != halves(array(made, written(made, 2), seed=5))[0])


def test_stuck_devices_stay_where_they_are() -> None:
    made = design(stuck_on=0.05, stuck_off=0.05)
    technology = made.technology.array
    before, after = (halves(array(made, target))[0] for target in (made.arrays[0], written(made)))
    for end in (technology.g_max, technology.g_min):
        stuck = before == end  # a programming error of 20 % hits no value exactly
        assert 0.02 < stuck.mean() < 0.08
        assert np.all(after[stuck] == end)
        assert not np.any(after[~stuck] == end)


def test_drift_and_read_noise_stay_those_of_the_device() -> None:
    made = design(programming_error=0.0, read_noise=0.1)
    before, after = (halves(array(made, target))[0] for target in (made.arrays[0], written(made)))
    bar = made.arrays[0].crossbar
    targets = np.stack([bar.g_plus, bar.g_minus])[:, : N_IN // 2]
    np.testing.assert_allclose(after / 5e-5, before / targets, rtol=1e-12)


def test_pulses_without_verification_are_one_per_device() -> None:
    made = design(stuck_on=0.1)
    assert written(made).write_pulses(made.technology, 4) == 2 * (N_IN // 2) * N_HIDDEN


def test_verified_devices_are_within_the_tolerance_or_took_all_pulses() -> None:
    made = design()
    target = written(made, tolerance=0.02, pulses=100)
    found = halves(array(made, target))[0]
    assert np.abs(found - 5e-5).max() <= 0.02 * made.technology.array.g_max
    # Each pulse hits with the chance that a normal number of sigma 20 % of 50 uS is within 2 uS: 0.1585
    n = found.size
    spent = target.write_pulses(made.technology, 4)
    assert abs(spent - n / 0.1585) < 4 * np.sqrt(n * (1 - 0.1585)) / 0.1585


def test_a_stuck_device_takes_all_the_pulses_that_are_allowed() -> None:
    made = design(programming_error=0.0, stuck_on=0.3)
    target = written(made, tolerance=0.02, pulses=7)
    stuck = np.count_nonzero(halves(array(made, target))[0] == made.technology.array.g_max)
    n = 2 * (N_IN // 2) * N_HIDDEN
    assert stuck > 0.2 * n
    assert target.write_pulses(made.technology, 4) == n + 6 * stuck
    on = written(made, tolerance=0.02, pulses=7, level=made.technology.array.g_max)
    assert on.write_pulses(made.technology, 4) == n  # stuck where it was wanted


def test_a_nominal_chip_is_written_without_errors() -> None:
    made = design()
    assert np.all(halves(array(made, written(made), seed=None))[0] == 5e-5)
    assert written(made).write_pulses(made.technology, None) == 2 * (N_IN // 2) * N_HIDDEN
