"""Checks the low-passes between hidden layers: too fast, oscillations come through; too slow, activations are late."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from analog_fhn.cell.base import Cells, Curve, DriveStage
from analog_fhn.design import Design
from analog_fhn.findings import Finding, judge

# Shift of a drive relative to gamma, by what the low-passes leave of the oscillations. That of a ramp lies in its
# corners alone; everywhere, 0.04 cost 0.1 points of a 784-128-32-10 network on MNIST.
_SHIFT: dict[Curve, tuple[float, float]] = {"tanh": (0.01, 0.1), "ramp": (0.04, 0.2)}
# Sigma of a drive relative to gamma where samples of them are held.
_SAMPLED = 0.1, 0.4
# Share of an activation that is missing at the next array, as the mean over the control window.
MISSING_WARNING, MISSING_ERROR = 1e-3, 1e-2
# Largest t (1 - t^2) of t = tanh u, at t = 1/sqrt(3).
_BEND = 2.0 / 3.0**1.5
# Steepest change of a drive with the argument u of its curve, in units of gamma: tanh u, and 2 u - 1.
_STEEPEST: dict[Curve, float] = {"tanh": 1.0, "ramp": 2.0}


def check_low_passes(design: Design) -> Iterator[Finding]:
    """Findings about the low-passes behind hidden layers: all but the last, and those whose activations are held."""
    cells = [cell.cells(cell.nominal) for cell in design.cells]
    for number, one in enumerate(cells):
        if design.cells[number].smoothed:
            part = f"low-pass{design.layer_names[number]}"
            if number + 1 < len(cells):
                yield from _too_fast(part, one, cells[number + 1], design, number)
            yield from _too_slow(part, one, design, number)


def _too_fast(part: str, cells: Cells, behind: Cells, design: Design, number: int) -> Iterator[Finding]:
    """What the ripple on z costs the next layer, whose drives are ``gamma tanh u`` or ``gamma (2 clip(u) - 1)``.

    The time average of ``tanh(u + r)`` is to second order ``tanh u - <r^2> t (1 - t^2)``, t = tanh u; a ramp's is
    moved most in its corners, by ``sigma/sqrt(2 pi)``. A sample is moved by the ripple itself.

    Every neuron is taken to oscillate with the time average that leaves most, none in step with another.
    """
    stage, network = behind.drive_stage, design.network
    if not isinstance(stage, DriveStage):
        return
    means = np.linspace(-1.0, 1.0, 41)[:, None] * np.ones(len(cells))
    variance = cells.ripple(means).max(axis=0)
    front, held = network.fronts[number + 1].unfilled(), network.held[number]
    values = np.tile(variance, network.fronts[number].n_positions)[None]
    averaged = math.prod(math.prod(pool.size) for pool in front.pools)
    of_z = front.rows(values) / averaged @ network.hidden_layers[number + 1].weights ** 2
    of_u = float((stage.slope**2 * of_z).max())
    steepest, words, power = _STEEPEST[stage.CURVE], "shift of a drive by what is left of the oscillations", 1
    warning, error = _SAMPLED if held else _SHIFT[stage.CURVE]
    if held:
        shift, words = steepest * of_u**0.5, "error of a drive by samples of what is left of the oscillations (sigma)"
    elif stage.CURVE == "ramp":
        shift = steepest * (of_u / (2.0 * math.pi)) ** 0.5
    else:
        shift, power = _BEND * of_u, 2
    if judged := judge(shift, warning, error):
        tau = float(cells.row_stage.time_constant[0])
        enough = tau * (shift / warning) ** (1.0 / power)
        moves = "moves the samples of" if held else "shifts"
        yield Finding(
            part, f"{words}, relative to gamma", shift, judged[1], "1", judged[0],
            f"{part}: with a time constant of {tau:.3g} T what is left of the oscillations {moves} drives of the next "
            f"layer by up to {100 * shift:.2g} % of gamma{' (sigma)' if held else ''}; {enough:.3g} T would leave "
            f"{100 * warning:g} %",
        )  # fmt: skip


def _too_slow(part: str, cells: Cells, design: Design, number: int) -> Iterator[Finding]:
    protocol, rows, held = design.network.protocol, cells.row_stage, design.network.held
    before = number - 1 - max((k for k in range(number) if held[k]), default=-1)  # low-passes since a value was held
    there = rows.held(protocol) if held[number] else rows.handed_over(protocol, before)
    missing = float(1.0 - there.min())
    if judged := judge(missing, MISSING_WARNING, MISSING_ERROR):
        tau = float(rows.time_constant.max())
        if held[number]:
            intervals = math.ceil((tau * math.log(1.0 / MISSING_WARNING) - protocol.control) / protocol.interval)
            enough, when = round(intervals * protocol.interval, 12), "at the end of"
        else:
            enough, when = rows.settling(protocol, before, MISSING_WARNING), "in"
        yield Finding(
            part, "share of an activation that is missing in the control window", missing, judged[1], "1", judged[0],
            f"{part}: with a time constant of {rows.time_constant[0]:.3g} T {100 * missing:.2g} % of an activation is "
            f"missing after settle = {protocol.settle:g} T {when} control = {protocol.control:g} T; settle = "
            f"{enough:g} T would leave {100 * MISSING_WARNING:g} %",
        )  # fmt: skip
