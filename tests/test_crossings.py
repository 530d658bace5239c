"""Upward crossings of a level: which count, when they are, and gaps between samples."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.crossings import Rises, mean_period
from analog_fhn.neuron import FloatArray

NAN = float("nan")


def rises(*signal: float) -> Rises:
    return Rises.of(np.array(signal), level=1.0, armed_below=0.0)


def test_a_crossing_lies_on_the_line_between_two_samples() -> None:
    signal = np.array([-1.0, 0.5, 1.5, 2.0, -1.0, 1.0])
    crossings = Rises.of(signal, 1.0, 0.0)
    assert crossings.after.tolist() == [2, 5]
    assert crossings.times(signal, 1.0).tolist() == [1.5, 5.0]


def test_a_crossing_needs_the_signal_below_the_lower_level_first() -> None:
    assert rises(0.5, 2.0, 0.5, 2.0).after.size == 0
    assert rises(-1.0, 2.0, 0.5, 2.0, -1.0, 2.0).after.tolist() == [1, 5]


def test_a_signal_that_starts_above_has_not_crossed() -> None:
    assert rises(2.0, 2.0, -1.0, 2.0).after.tolist() == [3]


def test_no_crossing_is_assumed_in_a_gap() -> None:
    crossings = rises(-1.0, NAN, 2.0, -1.0, 2.0, NAN, NAN, -1.0, 2.0)
    assert crossings.after.tolist() == [4, 8]
    assert crossings.gaps.tolist() == [1, 2]


def test_missing_samples_at_the_beginning_are_no_gap() -> None:
    assert rises(NAN, NAN, -1.0, 2.0).gaps.tolist() == [0]


def test_widths_are_of_crossings_whose_end_is_seen() -> None:
    assert rises(-1.0, 2.0, 2.0, 2.0, 0.5, -1.0, 2.0, NAN, -1.0, 2.0, 2.0).widths.tolist() == [3]


@pytest.mark.parametrize("signal", [np.empty(0), np.zeros(1), np.full(3, NAN)])
def test_a_signal_without_crossings(signal: FloatArray) -> None:
    crossings = Rises.of(signal, 1.0, 0.5)
    assert crossings.after.size == crossings.gaps.size == crossings.widths.size == 0
    assert crossings.times(signal, 1.0).shape == (0,)


def test_the_mean_period_is_over_whole_periods() -> None:
    assert mean_period(np.array([1.0, 2.5, 3.0, 7.0])) == 2.0
