"""What the time constant of the low-passes between hidden layers costs: accuracy, time and energy of an answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.checks.low_pass import MISSING_WARNING as MISSING
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.inference import classify, handed_over, passes
from analog_fhn.studies.waterfall import consumption


@dataclass(frozen=True)
class LowPassPoint:
    """A design with low-passes of one time constant, judged on its nominal chip.

    Parameters
    ----------
    time_constant
        Time constant that the technology is asked for, in units of T.
    resistance, capacitance
        Nominal parts of the first hidden layer's low-passes, as far as their series allow (ohm, F).
    settle
        Shortest settling time (T) after which at most 0.1 % of an activation is missing behind any low-pass.
    ripple
        What is left of the oscillations in the pre-activations of the next layer: the root mean square over its
        neurons and all images, of the layer with most.
    accuracy
        Share of right classes after this settling time.
    latency
        Time from the image to the answer: this settling time, and the control window (s).
    energy
        Energy of the hidden cells for one answer (J); None: without ngspice their power is not known.
    """

    time_constant: float
    resistance: float
    capacitance: float
    settle: float
    ripple: float
    accuracy: float
    latency: float
    energy: float | None


def low_pass(
    design: Design,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    time_constants: Sequence[float],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[LowPassPoint]:
    """A point for each time constant.

    Parameters
    ----------
    design
        A network of several hidden layers in a technology, whose own time constant does not count.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    time_constants
        In units of T.
    progress
        Called with (time constants done, time constants in all).

    Raises
    ------
    InputError
        If the network has one hidden layer, or a time constant is no number above 0 or longer than the control window.
    """
    chips = [settled(one) for one in designs(design, time_constants)]
    # The low-passes take no part in the power: their capacitors carry the ripple alone.
    power = _power(chips[0], images)
    points = []
    for number, (time_constant, chip) in enumerate(zip(time_constants, chips, strict=True), start=1):
        network, cell = chip.network, chip.hardware[0].cells.cell
        result = classify(chip, images)
        latency = (network.protocol.settle + network.protocol.control) * chip.time_unit
        points.append(
            LowPassPoint(
                time_constant, *cell.low_pass, network.protocol.settle, _ripple(chip, images),
                result.accuracy(labels), latency, None if power is None else power * latency,
            )
        )  # fmt: skip
        if progress is not None:
            progress(number, len(chips))
    return points


def designs(design: Design, time_constants: Sequence[float]) -> list[Design]:
    """The design with low-passes of each time constant.

    Raises
    ------
    InputError
        As for `low_pass`.
    """
    if len(design.cells) == 1:
        sizes = "-".join(map(str, design.network.layer_sizes))
        raise InputError(
            f"network {sizes} has one hidden layer: there is no low-pass whose time constant could be chosen; expected "
            "two hidden layers or more"
        )
    if not time_constants:
        raise ValueError("no time constant; expected one or more")
    return [
        Design(design.network, design.technology.with_values({"low_pass.time_constant": time_constant}))
        for time_constant in time_constants
    ]


def settled(design: Design) -> ManufacturedChip:
    """Nominal chip of a design, whose network waits until its low-passes have settled."""
    chip, protocol = design.chip(None), design.network.protocol
    times = [layer.cells.row_stage.settling(protocol, number, MISSING) for number, layer in enumerate(chip.layers)]
    return replace(chip, network=chip.network.with_options(settle=max(times)))


def _power(chip: ManufacturedChip, images: NDArray[np.floating]) -> float | None:
    """Power of the hidden cells under the first image (W); None: there is no ngspice to measure it."""
    try:
        return consumption(chip, images[:1]).power
    except MissingProgramError:
        return None


def _ripple(chip: Chip, images: NDArray[np.floating]) -> float:
    """Root mean square of what is left of the oscillations in the pre-activations, of the layer with most."""
    protocol, engine = chip.network.protocol, Table(Direct(), default_drives("direct", "mean"))
    layers = passes(
        chip, images, lambda number, drives: engine.respond(chip.layers[number].cells, drives, protocol).mean
    )
    variances = []
    for number, (one, behind) in enumerate(itertools.pairwise(layers)):
        _, variance = handed_over(one.layer.cells, one.means, protocol, number)
        variances.append(float((variance @ behind.layer.weights**2).mean()))
    return math.sqrt(max(variances))
