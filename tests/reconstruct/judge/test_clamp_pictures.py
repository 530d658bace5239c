"""Recorded spikes over the current, and those of models of one seed and of several."""

from __future__ import annotations

import numpy as np

from analog_fhn.reconstruct.judge.clamp_pictures import judged_curves
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, steps_of

STEP = 0.25e-3


def spiking() -> CurrentClamp:
    """Sweeps of 0, 10, ..., 60 pA with as many spikes as tens of pA."""
    current, voltage = np.zeros((7, 1000)), np.full((7, 1000), -0.06)
    for k in range(7):
        current[k, 200:800] = 1e-11 * k
        voltage[k, 250 : 250 + 60 * k : 60] = 0.02
    return CurrentClamp(tuple(voltage), tuple(current), STEP, steps_of(tuple(current), 10), "cell")


def test_models_are_drawn_with_their_medians_and_ranges() -> None:
    clamp = spiking()
    seeds = [{step: k + number for k, step in enumerate(clamp.steps)} for number in (0, 1, 5)]
    del seeds[0][clamp.steps[3]]  # of all that have the first seed: not judged
    models = {"twin": seeds, **{f"model {number}": seeds[0] for number in range(7)}}
    (axes,) = judged_curves(clamp, models, clamp.held_out, "cell").axes
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    assert np.array_equal(drawn["recorded"], np.arange(7))
    assert np.array_equal(np.delete(drawn["twin, 3 seeds"], 3), np.delete(np.arange(7) + 1, 3))
    assert np.flatnonzero(np.isnan(drawn["model 0"])).tolist() == [3]
    assert {f"model {number}" for number in range(7)} <= drawn.keys()  # more than there are colours
    ends = [path.vertices[:, 1] for each in axes.collections for path in each.get_paths() if len(path.vertices) == 2]
    assert [tuple(pair) for pair in ends if np.isfinite(pair).all()] == [(k, k + 5) for k in range(7) if k != 3]
