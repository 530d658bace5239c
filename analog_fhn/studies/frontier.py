"""Accuracy against the time that an answer takes: what settling time, control window, gamma and readout to choose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.base import Backend
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.chip import Chip
from analog_fhn.inference import check_converters, outputs_over_time
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.readout import Readout, vote

SETTLE = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
CONTROL = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
INTERVAL = 0.05  # T; a spike of 1 to 2 T is seen by tens of samples, so short windows average well
_SAMPLE_BYTES = 100e6


@dataclass(frozen=True)
class Point:
    """Accuracy at one choice; settle and control in units of T."""

    gamma: float
    readout: Readout
    settle: float
    control: float
    accuracy: float

    @property
    def latency(self) -> float:
        """From applying the image to the answer, in units of T."""
        return self.settle + self.control


def frontier(
    chip: Chip,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    settle: Sequence[float] = SETTLE,
    control: Sequence[float] = CONTROL,
    interval: float = INTERVAL,
    backend: Backend | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Accuracy of one chip for every settling time, control window and both readouts, from one simulation.

    Parameters
    ----------
    chip
        Its network's recentring, initial state and gamma are used.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    settle, control
        In units of T, whole numbers of sampling intervals.
    interval
        Sampling interval (T); both readouts are taken from the samples.
    backend
        None: `Direct`.
    progress
        Called with (images done, images in all).

    Raises
    ------
    InputError
        If a time is no whole number of intervals, or negative, or the chip has converters: not modelled with the vote.
    """
    network = chip.network
    check_converters(chip, ["mean", "vote"])
    check_times(settle, control, interval)
    # Counted in intervals: as sums of floats, equal edges can differ in their last digit.
    windows = {
        (s, c): (round(s / interval), round(s / interval) + round(c / interval)) for s in settle for c in control
    }
    edges = np.unique([0, *itertools.chain.from_iterable(windows.values())])
    protocol = Protocol(
        settle=0.0, control=edges[-1] * interval, interval=interval, x0=network.protocol.x0, y0=network.protocol.y0
    )
    engine = Direct() if backend is None else backend
    n_images, n_classes = len(labels), network.layer_sizes[-1]
    # Up to each edge: sum of the scores, and number of samples in which each class leads.
    sums, counts = np.zeros((2, len(edges), n_images, n_classes))
    group = max(1, int(_SAMPLE_BYTES / (4 * protocol.n_samples * chip.n_neurons)))
    for first in range(0, n_images, group):
        part = slice(first, min(first + group, n_images))
        samples = engine.respond(chip, chip.drives(images[part]), protocol, samples=True).samples
        assert samples is not None
        outputs, shift = outputs_over_time(chip, samples, network.recentre)
        for k, (start, stop) in enumerate(itertools.pairwise(edges), start=1):
            window = outputs[start:stop]
            sums[k, part] = sums[k - 1, part] + window.sum(axis=0, dtype=np.float64) + (stop - start) * shift
            counts[k, part] = counts[k - 1, part] + (stop - start) * vote(window, shift)
        if progress is not None:
            progress(part.stop, n_images)

    def accuracy(totals: FloatArray, window: tuple[int, int]) -> float:
        i, j = np.searchsorted(edges, window)
        return float(np.mean(np.argmax(totals[j] - totals[i], axis=1) == labels))

    readouts: tuple[tuple[Readout, FloatArray], ...] = (("mean", sums), ("vote", np.round(counts)))
    return [
        Point(network.fhn.gamma, readout, s, c, accuracy(totals, window))
        for readout, totals in readouts
        for (s, c), window in windows.items()
    ]


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


def cheapest(points: Sequence[Point], accuracy: float) -> Point | None:
    """The point of least latency that reaches an accuracy (of equals the most accurate); None if none does."""
    good = [point for point in points if point.accuracy >= accuracy]
    return min(good, key=lambda point: (point.latency, -point.accuracy)) if good else None
