"""Accuracy against the time that an answer takes: what settling time, control window, gamma and readout to choose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Rows, grid_of
from analog_fhn._support.words import percent
from analog_fhn.backends.base import Backend, Response
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.inference import check_converters, classify_all, outputs_over_time, passes
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.readout import Readout, vote
from analog_fhn.technology.technology import Technology

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTLE = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
CONTROL = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
# Where a technology has a short window of its own.
SHORT_SETTLE = (0.0, 1.0, 2.0, 5.0)
SHORT_CONTROL = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0)
INTERVAL = 0.05  # T; a spike of 1 to 2 T is seen by tens of samples, so short windows average well
READOUTS: tuple[Readout, ...] = ("mean", "vote")
_SAMPLE_BYTES = 100e6
_LOSS = 0.01  # that a choice may have to count as good


@dataclass(frozen=True)
class FrontierPoint:
    """Accuracy at one choice; settle and control in units of T, of which an answer takes so many windows."""

    gamma: float
    readout: Readout
    settle: float
    control: float
    accuracy: float
    windows: int = 1

    @property
    def latency(self) -> float:
        """From applying the image to the answer, in units of T."""
        return self.windows * (self.settle + self.control)


class Frontier(Rows[FrontierPoint]):
    """Accuracy of a chip for every choice of settling time, control window and readout.

    Attributes
    ----------
    plain
        Accuracy of the plain network on the same images.
    time_unit
        T in seconds; None: of ideal neurons.
    """

    plain: float
    time_unit: float | None

    def __init__(self, points: Iterable[FrontierPoint], plain: float, time_unit: float | None) -> None:
        super().__init__(points)
        self.plain, self.time_unit = plain, time_unit

    def _card(self) -> Card:
        best = cheapest(self, self.plain - _LOSS)
        facts = {"plain network": percent(self.plain)}
        if best is not None:
            facts[f"shortest within {100 * _LOSS:g} point"] = (
                f"{best.readout}, settle {best.settle:g} T, control {best.control:g} T: {percent(best.accuracy)}"
            )
        return Card("Frontier", f"{len(self)} choices", facts, (grid_of(self.table(), {"accuracy": percent}),))

    def table(self) -> list[dict[str, Any]]:
        """One row per choice: gamma, readout, settling time, control window, latency (all in T), accuracy."""
        return [asdict(point) | {"latency": point.latency} for point in self]

    def plot(self, settle: float | None = None, ax: Axes | None = None) -> Axes:
        """Points lost against the time of an answer.

        Parameters
        ----------
        settle
            Settling time (T) whose choices are shown; None: that of the shortest choice within a point of the plain
            network, or the longest.
        ax
            Axes to draw on; None: those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        if settle is None:
            best = cheapest(self, self.plain - _LOSS)
            settle = max(point.settle for point in self) if best is None else best.settle
        on, title = plots.canvas(ax), f"Accuracy against time, {settle:g} T of settling"
        return plots.only_axes(plots.frontier(curves(self, settle), self.plain, self.time_unit, None, title, on=on), on)


def curves(points: Sequence[FrontierPoint], settle: float) -> dict[tuple[float, str], tuple[list[float], list[float]]]:
    """Latencies and accuracies at one settling time, by gamma and readout."""
    lines: dict[tuple[float, str], tuple[list[float], list[float]]] = {}
    for gamma, readout in itertools.product(dict.fromkeys(point.gamma for point in points), READOUTS):
        line = [p for p in points if (p.gamma, p.readout, p.settle) == (gamma, readout, settle)]
        if line:
            lines[gamma, readout] = [p.latency for p in line], [p.accuracy for p in line]
    return lines


def frontier(
    chip: Chip,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    settle: Sequence[float] | None = None,
    control: Sequence[float] | None = None,
    interval: float = INTERVAL,
    backend: Backend | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Frontier:
    """Accuracy of one chip for every settling time, control window and both readouts.

    All from one simulation; with several hidden layers from one for each choice of the times. Of layers whose
    activations are held the neurons' means are read from a response table, and where the output array is behind hold
    stages there is no vote.

    Parameters
    ----------
    chip
        Its network's recentring, initial state and gamma are used.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    settle, control
        In units of T, whole numbers of sampling intervals; None: those of `usual_times`.
    interval
        Sampling interval (T); both readouts are taken from the samples.
    backend
        None: `Direct`, or of held layers a table that it makes.
    progress
        Called with (images done, images in all).

    Raises
    ------
    InputError
        If a time is no whole number of intervals, or negative, or the chip has converters: not modelled with the vote.
    """
    network = chip.network
    check_converters(chip, readouts(chip))
    usual = usual_times(chip.technology if isinstance(chip, ManufacturedChip) else None)
    settle, control = (given or times for given, times in zip((settle, control), usual, strict=True))
    check_times(settle, control, interval)
    pairs = [(s, c) for s in settle for c in control]
    plain, unit = network.accuracy(images, labels), chip.time_unit if isinstance(chip, ManufacturedChip) else None
    if network.held[-1]:
        return Frontier(_held_frontier(chip, images, labels, pairs, interval, backend, progress), plain, unit)
    # Behind another hidden layer a neuron's drive depends on how long the low-passes have had to settle.
    groups = [pairs] if len(chip.layers) == 1 else [[pair] for pair in pairs]
    engine = Direct() if backend is None else backend
    tables = _of_means() if backend is None else backend
    points: dict[tuple[Readout, float, float], FrontierPoint] = {}
    for number, group in enumerate(groups):

        def advance(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(groups) * total)

        totals = _window_scores(chip, images, group, interval, (tables, engine), advance)
        for (s, c), by_readout in totals.items():
            for readout, scores in by_readout.items():
                accuracy = float(np.mean(np.argmax(scores, axis=1) == labels))
                points[readout, s, c] = FrontierPoint(network.fhn.gamma, readout, s, c, accuracy, chip.windows)
    return Frontier((points[readout, s, c] for readout in readouts(chip) for s, c in pairs), plain, unit)


def readouts(chip: Chip) -> tuple[Readout, ...]:
    """Readouts of a frontier: where the output array is given time averages nothing oscillates that could vote."""
    averages = isinstance(chip, ManufacturedChip) and not chip.hardware[-1].cells.cell.SHOWS_OSCILLATIONS
    return ("mean",) if averages or chip.network.held[-1] else READOUTS


def usual_times(technology: Technology | None) -> tuple[Sequence[float], Sequence[float]]:
    """Settling times and control windows (T) that a frontier has where nothing else is said; None: of ideal neurons."""
    usual = Protocol()
    own = technology is not None and technology.protocol(usual) != usual
    return (SHORT_SETTLE, SHORT_CONTROL) if own else (SETTLE, CONTROL)


def _held_frontier(
    chip: Chip,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    pairs: Sequence[tuple[float, float]],
    interval: float,
    backend: Backend | None,
    progress: Callable[[int, int], None] | None,
) -> list[FrontierPoint]:
    """The frontier of a chip whose output array is behind hold stages."""
    engine, points = _of_means() if backend is None else backend, []
    for done, (s, c) in enumerate(pairs, start=1):
        timed = chip.with_protocol(replace(chip.network.protocol, settle=s, control=c, interval=interval))
        readout = [("mean", True)]
        (result,) = classify_all(timed, images, readout, backend=engine)  # type: ignore[arg-type]
        points.append(FrontierPoint(chip.network.fhn.gamma, "mean", s, c, result.accuracy(labels), chip.windows))
        if progress is not None:
            progress(done * len(images), len(pairs) * len(images))
    return points


def _of_means() -> Table:
    return Table(Direct(), default_drives("direct", "mean"))


def _window_scores(
    chip: Chip,
    images: NDArray[np.floating],
    pairs: Sequence[tuple[float, float]],
    interval: float,
    engines: tuple[Backend, Backend],
    progress: Callable[[int, int], None],
) -> dict[tuple[float, float], dict[Readout, FloatArray]]:
    """Scores (n_images, n_classes), up to a factor, of each settling time and control window, by readout.

    The engines are those of held layers and of the others.
    """
    # Counted in intervals: as sums of floats, equal edges can differ in their last digit.
    windows = {(s, c): (round(s / interval), round(s / interval) + round(c / interval)) for s, c in pairs}
    edges = np.unique([0, *itertools.chain.from_iterable(windows.values())])
    protocol = replace(chip.network.protocol, settle=0.0, control=edges[-1] * interval, interval=interval)
    n_images, n_classes = len(images), chip.network.layer_sizes[-1]
    # Up to each edge: sum of the scores, and number of samples in which each class leads.
    sums, counts = np.zeros((2, len(edges), n_images, n_classes))
    last = chip.last
    size = max(1, int(_SAMPLE_BYTES / (4 * protocol.n_samples * len(last.cells))))
    s, c = pairs[0]
    judged = chip.with_protocol(replace(protocol, settle=s, control=c))
    for first in range(0, n_images, size):
        part = slice(first, min(first + size, n_images))
        response = _last_response(judged, images[part], protocol, engines)
        assert response.samples is not None
        outputs, shift = outputs_over_time(judged, response.samples, chip.network.recentre)
        for k, (start, stop) in enumerate(itertools.pairwise(edges), start=1):
            window = outputs[start:stop]
            sums[k, part] = sums[k - 1, part] + window.sum(axis=0, dtype=np.float64) + (stop - start) * shift
            counts[k, part] = counts[k - 1, part] + (stop - start) * vote(window, shift)
        progress(part.stop, n_images)
    counts = np.round(counts)
    places = {pair: np.searchsorted(edges, window) for pair, window in windows.items()}
    return {pair: {"mean": sums[j] - sums[i], "vote": counts[j] - counts[i]} for pair, (i, j) in places.items()}


def _last_response(
    chip: Chip, images: NDArray[np.floating], protocol: Protocol, engines: tuple[Backend, Backend]
) -> Response:
    """x(t) of the last hidden layer from its start, the layers before settled as the chip's own protocol says."""
    responses = []

    def means_of(number: int, drives: FloatArray) -> FloatArray:
        last = number == len(chip.layers) - 1
        cells, engine = chip.layers[number].cells, engines[0 if chip.network.held[number] else 1]
        response = engine.respond(cells, drives, protocol if last else chip.network.protocol, samples=last)
        responses.append(response)
        return response.mean

    for _ in passes(chip, images, means_of):
        pass
    return responses[-1]


def check_times(
    settle: Sequence[float] = SETTLE, control: Sequence[float] = CONTROL, interval: float = INTERVAL
) -> None:
    """Check the times of a frontier before the work.

    Raises
    ------
    InputError
        If a time is no whole number of intervals, or negative.
    """
    for s in settle:
        for c in control:
            _ = Protocol(settle=s, control=c, interval=interval)


def cheapest(points: Sequence[FrontierPoint], accuracy: float) -> FrontierPoint | None:
    """The point of least latency that reaches an accuracy (of equals the most accurate); None if none does."""
    good = [point for point in points if point.accuracy >= accuracy]
    return min(good, key=lambda point: (point.latency, -point.accuracy)) if good else None
