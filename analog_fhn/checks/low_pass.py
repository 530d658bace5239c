"""Checks the low-passes between hidden layers: too fast, oscillations come through; too slow, activations are late."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from analog_fhn.cell.base import Cells, DriveStage
from analog_fhn.design import Design
from analog_fhn.findings import Finding, judge
from analog_fhn.neuron import FloatArray

# Shift of a drive relative to gamma, by what the low-passes leave of the oscillations.
SHIFT_WARNING, SHIFT_ERROR = 0.01, 0.1
# Share of an activation that is missing at the next array, as the mean over the control window.
MISSING_WARNING, MISSING_ERROR = 1e-3, 1e-2
# Largest t (1 - t^2) of t = tanh u, at t = 1/sqrt(3).
_BEND = 2.0 / 3.0**1.5


def check_low_passes(design: Design) -> Iterator[Finding]:
    """Findings about the low-passes behind all hidden layers but the last."""
    cells = [cell.cells(cell.nominal) for cell in design.cells]
    for number, (one, behind) in enumerate(itertools.pairwise(cells)):
        part = f"low-pass{design.layer_names[number]}"
        yield from _too_fast(part, one, behind, design.network.hidden_layers[number + 1].weights)
        yield from _too_slow(part, one, design, number)


def _too_fast(part: str, cells: Cells, behind: Cells, weights: FloatArray) -> Iterator[Finding]:
    """What the ripple on z costs: to second order ``<tanh(u + r)> = tanh u - <r^2> t (1 - t^2)``, t = tanh u.

    Every neuron is taken to oscillate with the time average that leaves most, none in step with another.
    """
    stage = behind.drive_stage
    if not isinstance(stage, DriveStage):
        return
    means = np.linspace(-1.0, 1.0, 41)[:, None] * np.ones(len(cells))
    variance = cells.ripple(means).max(axis=0) @ weights**2
    shift = float((_BEND * stage.slope**2 * variance).max())
    if judged := judge(shift, SHIFT_WARNING, SHIFT_ERROR):
        tau = float(cells.row_stage.time_constant[0])
        enough = tau * (shift / SHIFT_WARNING) ** 0.5
        yield Finding(
            part, "shift of a drive by what is left of the oscillations, relative to gamma", shift, judged[1], "1",
            judged[0],
            f"{part}: with a time constant of {tau:.3g} T what is left of the oscillations shifts drives of the next "
            f"layer by up to {100 * shift:.2g} % of gamma; {enough:.3g} T would leave {100 * SHIFT_WARNING:g} %",
        )  # fmt: skip


def _too_slow(part: str, cells: Cells, design: Design, number: int) -> Iterator[Finding]:
    protocol, rows = design.network.protocol, cells.row_stage
    missing = float(1.0 - rows.handed_over(protocol, number).min())
    if judged := judge(missing, MISSING_WARNING, MISSING_ERROR):
        enough = rows.settling(protocol, number, MISSING_WARNING)
        yield Finding(
            part, "share of an activation that is missing in the control window", missing, judged[1], "1", judged[0],
            f"{part}: with a time constant of {rows.time_constant[0]:.3g} T {100 * missing:.2g} % of an activation is "
            f"missing after settle = {protocol.settle:g} T in control = {protocol.control:g} T; settle = {enough:g} T "
            f"would leave {100 * MISSING_WARNING:g} %",
        )  # fmt: skip
