"""Checks the hold stages of a design: offset, droop, samples in front of the output array, time of an answer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from analog_fhn.cell.base import Cell
from analog_fhn.design import Design
from analog_fhn.findings import Finding, judge
from analog_fhn.hold import window_seconds

# What hold stages add to an activation (sigma), relative to the largest one. MNIST, medians of 3 chips without other
# errors, networks of 8 and 16 channels (98.75 %) and of 2 and 2 (92.2 %). Offsets, the same on every image: 0.02 costs
# 0.05 and 0.4 points, 0.05 costs 0.5 and 2, 0.1 costs 2 and 9. Droop of the first sample of a layer, later ones droop
# less: 0.05 costs 0.1 and 0.8 points, 0.1 costs 0.2 and 3, 0.2 costs 0.3 and 15. Samples of oscillations: 0.05 costs 0
# and 0.1 points, 0.11 costs 0.15 and 0.9, 0.23 costs 0.2 and 3.
OFFSET_WARNING, OFFSET_ERROR = 0.03, 0.1
DROOP_WARNING, DROOP_ERROR = 0.05, 0.2
SAMPLE_WARNING, SAMPLE_ERROR = 0.05, 0.2
# Seconds of an answer that are worth knowing.
LONG = 1.0


def check_holds(design: Design) -> Iterator[Finding]:
    """Findings about the hold stages behind all hidden layers whose activations are held."""
    network, last = design.network, len(design.cells) - 1
    if not any(network.held):
        return
    for number, cell in enumerate(design.cells):
        if network.held[number]:
            part = f"hold stages{design.layer_names[number] or ' of the hidden layer'}"
            yield from _offset(part, cell, design)
            yield from _droop(part, cell, design, number)
            if number == last:
                yield from _samples(part, cell, design)
    yield from _time(design)


def longest_wait(design: Design, number: int) -> float:
    """Windows from the first sample of a hidden layer until it is last used.

    The other positions of the layer come first, then those of the next one; the outputs are read at once.
    """
    fronts = design.network.fronts
    later = fronts[number + 1].n_positions - 0.5 if number + 1 < len(design.cells) else 0.0
    return fronts[number].n_positions - 1 + later


def _offset(part: str, cell: Cell, design: Design) -> Iterator[Finding]:
    share = design.technology.hold.offset_sigma / _full_scale(cell)
    if judged := judge(share, OFFSET_WARNING, OFFSET_ERROR):
        yield Finding(
            part, "offset relative to the largest activation (sigma)", share, judged[1], "1", judged[0],
            f"{part}: offsets of {1e3 * design.technology.hold.offset_sigma:.2g} mV are {100 * share:.2g} % (sigma) of "
            f"the {1e3 * _full_scale(cell):.3g} mV that stand for the largest activation; stages of less offset or "
            "more array.read_voltage help",
        )  # fmt: skip


def _droop(part: str, cell: Cell, design: Design, number: int) -> Iterator[Finding]:
    hold, waits = design.technology.hold, longest_wait(design, number)
    seconds = waits * window_seconds(design.network.protocol, design.time_unit)
    share = hold.droop_sigma * seconds / _full_scale(cell)
    if judged := judge(share, DROOP_WARNING, DROOP_ERROR):
        larger = 1.05 * share / DROOP_WARNING  # so that it suffices as it is rounded
        capacitor = "" if hold.capacitor is None else f" (hold.capacitor = {larger * hold.capacitor:.2g} F)"
        yield Finding(
            part, "droop in the longest wait relative to the largest activation (sigma)", share, judged[1], "1",
            judged[0],
            f"{part}: a value that waits {seconds:.3g} s for the {waits:g} windows of the other positions changes by "
            f"{100 * share:.2g} % (sigma) of the largest activation; capacitors {larger:.2g} times as large{capacitor} "
            f"would leave {100 * DROOP_WARNING:g} %, and so would shorter windows (settle, control) or fewer positions "
            "(larger strides)",
        )  # fmt: skip


def _samples(part: str, cell: Cell, design: Design) -> Iterator[Finding]:
    """What is left of the oscillations in the samples that the output array is given.

    Every neuron is taken to oscillate with the time average that leaves most. In front of another hidden layer
    `analog_fhn.checks.low_pass` says what it does to the drives.
    """
    cells, protocol = cell.cells(cell.nominal), design.network.protocol
    ripple = cells.ripple(np.linspace(-1.0, 1.0, 41)[:, None] * np.ones(len(cells)))
    sigma = float(np.sqrt(ripple.max() + (design.technology.hold.noise / cell.row_volts[0]) ** 2))
    share = sigma / cell.ceiling
    if judged := judge(share, SAMPLE_WARNING, SAMPLE_ERROR):
        tau = float(cells.row_stage.time_constant[0])
        enough = 1.005 * tau * share / SAMPLE_WARNING  # so that it suffices as it is rounded
        settled = enough * math.log(1e3)
        longer = "" if settled <= protocol.settle + protocol.control else f", with settle + control = {settled:.3g} T"
        yield Finding(
            part, "what is left of the oscillations in a sample, relative to the largest activation (sigma)", share,
            judged[1], "1", judged[0],
            f"{part}: behind a low-pass of {tau:.3g} T samples differ by {100 * share:.2g} % (sigma) of the largest "
            f"activation with the phase of the oscillations; low_pass.time_constant = {enough:.3g} T{longer} would "
            f"leave {100 * SAMPLE_WARNING:g} %",
        )  # fmt: skip


def _time(design: Design) -> Iterator[Finding]:
    window = window_seconds(design.network.protocol, design.time_unit)
    seconds = design.windows * window
    if seconds > LONG:
        yield Finding(
            "network", "time of an answer", seconds, LONG, "s", "note",
            f"an answer takes {seconds:.3g} s: {design.windows} settling times and control windows of {window:.3g} s, "
            "one after another, for the positions of the patches",
        )  # fmt: skip


def _full_scale(cell: Cell) -> float:
    """Voltage of a row for the largest activation (V)."""
    return cell.row_volts[0] * cell.ceiling
