"""Equations of drawn transistor neurons against their transistors, and what the lag of the mirrors brings."""

from __future__ import annotations

import numpy as np
from silicon import needs_models

from analog_fhn.studies.spread import Comparison, compared, drawn_neurons


@needs_models
def test_drawn_neurons_have_the_periods_and_means_of_their_transistors() -> None:
    lagging, without = compared(drawn_neurons("silicon", 4, 11), (0.0, 0.85), lagging=(True, False))
    assert lagging.other_regime == without.other_regime == ()
    assert np.abs(lagging.period_errors).max() < 0.03
    assert np.abs(lagging.mean_errors).max() < 3e-4
    assert np.ptp(lagging.transistor_period[0]) > 0.05 * lagging.transistor_period[0].mean()  # the neurons differ
    for of_lagging, of_without in (
        (lagging.period_errors, without.period_errors),
        (lagging.mean_errors, without.mean_errors),
    ):
        assert np.square(of_lagging).sum() < 0.5 * np.square(of_without).sum()


def test_errors_of_periods_are_those_of_neurons_that_oscillate() -> None:
    one = Comparison(
        np.array([0.0, 1.0]),
        np.array([[0.1], [-1.0]]),
        np.array([[2.1], [0.0]]),
        np.zeros((2, 1)),
        np.full((2, 1), 2.0),
    )
    np.testing.assert_allclose(one.period_errors, [[0.05], [np.nan]])
    np.testing.assert_allclose(one.mean_errors, [[0.05], [-0.5]])
    assert one.other_regime == ((1, 0),)
