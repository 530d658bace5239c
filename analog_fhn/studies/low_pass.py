"""What the time constant of the low-passes behind hidden layers costs: accuracy, time and energy of an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Rows, grid_of
from analog_fhn._support.interrupts import keeping, kept
from analog_fhn._support.words import counted, percent
from analog_fhn.backends.base import Backend
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.checks.low_pass import MISSING_WARNING as MISSING
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.hold import window_seconds
from analog_fhn.inference import classify, passes
from analog_fhn.studies.consumption import Consumption, consumption

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
        What is left of the oscillations in the pre-activations of the next layer, or where the output array is behind
        hold stages in the scores: the root mean square over neurons or classes and all images, of the layer with most.
    accuracy
        Share of right classes after this settling time.
    latency
        Time from the image to the answer: this settling time, and the control window, as often as positions of patches
        are held (s).
    energy
        Energy of the hidden cells and hold stages for one answer (J); None: without ngspice it is not known.
    """

    time_constant: float
    resistance: float
    capacitance: float
    settle: float
    ripple: float
    accuracy: float
    latency: float
    energy: float | None


class LowPasses(Rows[LowPassPoint]):
    """What the time constant of the low-passes costs, a point for each.

    Attributes
    ----------
    plain
        Accuracy of the plain network on the same images.
    """

    plain: float

    def __init__(self, points: Iterable[LowPassPoint], plain: float) -> None:
        super().__init__(points)
        self.plain = plain

    def _card(self) -> Card:
        grid = grid_of(self.table(), {"accuracy": percent})
        return Card("Low-passes", counted(len(self), "time constant"), {"plain network": percent(self.plain)}, (grid,))

    def plot(self) -> Axes:
        """Accuracy, time and energy of an answer in panels of a new figure; the first is returned.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from matplotlib.figure import Figure

        from analog_fhn import plots  # needs an optional package

        on = plots.canvas(None)
        assert isinstance(on, Figure)
        return self.picture("Low-passes between hidden layers, nominal chip", on).axes[0]

    def picture(self, title: str, on: Figure | None = None) -> Figure:
        """The picture of `plot`; `on` as for `analog_fhn.plots.canvas`."""
        from analog_fhn import plots  # needs an optional package

        energies = [p.energy for p in self if p.energy is not None]
        columns = ([p.time_constant for p in self], [p.accuracy for p in self], [p.latency for p in self])
        return plots.low_pass(columns[0], columns[1], self.plain, columns[2], energies or None, title, on)


def low_pass(
    design: Design,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    time_constants: Sequence[float],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LowPasses:
    """A point for each time constant.

    Parameters
    ----------
    design
        A network in a technology, whose own time constant does not count; of several hidden layers, or held ones.
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
    drawn = _drawn(chips[0], images)
    points: list[LowPassPoint] = []
    with kept(lambda: points):
        for number, (time_constant, chip) in enumerate(zip(time_constants, chips, strict=True), start=1):
            network, cell = chip.network, chip.hardware[0].cells.cell
            with keeping(False):
                result = classify(chip, images, backend=_engine(chip))
            seconds = chip.windows * window_seconds(network.protocol, chip.time_unit)
            points.append(
                LowPassPoint(
                    time_constant, *cell.low_pass, network.protocol.settle, _ripple(chip, images),
                    result.accuracy(labels), seconds, None if drawn is None else drawn.energy_in(seconds),
                )
            )  # fmt: skip
            if progress is not None:
                progress(number, len(chips))
    return LowPasses(points, design.network.accuracy(images, labels))


def designs(design: Design, time_constants: Sequence[float]) -> list[Design]:
    """The design with low-passes of each time constant.

    Raises
    ------
    InputError
        As for `low_pass`.
    """
    if not any(cell.smoothed for cell in design.cells):
        raise InputError(
            f"network {design.network.sizes_text} has one hidden layer: there is no low-pass whose time constant could "
            "be chosen; expected two hidden layers or more"
        )
    if not any(all(cell.low_pass) for cell in design.cells):
        raise InputError(
            f"technology {design.technology.name!r} (cell {design.technology.cell!r}) has no low-passes: its cells "
            "integrate and hold the time average; the control window is what can be chosen"
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
    times = []
    for number, layer in enumerate(chip.layers):
        rows = layer.cells.row_stage
        if chip.network.held[number]:
            # Sampled at the end of the control window: ``exp(-(settle + control)/tau)`` is missing.
            wait = float(rows.time_constant.max()) * math.log(1.0 / MISSING) - protocol.control
            times.append(round(max(0, math.ceil(wait / protocol.interval)) * protocol.interval, 12))
        else:
            times.append(rows.settling(protocol, chip.low_passes_before(number), MISSING))
    return chip.with_protocol(replace(protocol, settle=max(times)))


def _engine(chip: ManufacturedChip) -> Backend:
    """What integrates the neurons; a convolution's are run at every position, for which a table serves."""
    if any(chip.network.held) and chip.network.readout == "mean":
        return Table(Direct(), default_drives("direct", "mean"))
    return Direct()


def _drawn(chip: ManufacturedChip, images: NDArray[np.floating]) -> Consumption | None:
    """What hidden cells and hold stages take under the first image; None: there is no ngspice to measure it."""
    try:
        return consumption(chip, images[:1])
    except MissingProgramError:
        return None


def _ripple(chip: ManufacturedChip, images: NDArray[np.floating]) -> float:
    """Root mean square of what is left of the oscillations in the pre-activations or scores, of the layer with most."""
    protocol, engine = chip.network.protocol, Table(Direct(), default_drives("direct", "mean"))
    layers = passes(
        chip, images, lambda number, drives: engine.respond(chip.layers[number].cells, drives, protocol).mean
    )
    fronts = chip.network.fronts
    weights = [*(layer.weights for layer in chip.layers), chip.output.weights]
    variances = []
    for number, one in enumerate(layers):
        if number == len(chip.layers) - 1 and not chip.network.held[number]:
            break
        variance, front = one.layer.cells.ripple(one.means).reshape(len(images), -1), fronts[number + 1].unfilled()
        averaged = math.prod(math.prod(pool.size) for pool in front.pools)  # of values that know nothing of each other
        variances.append(float((front.rows(variance) / averaged @ weights[number + 1] ** 2).mean()))
    return math.sqrt(max(variances))
