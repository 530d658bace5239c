"""Neurons known only from recordings in place of a chip's hidden neurons: a backend made of reconstructions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn._support.hashing import labelled, sha256
from analog_fhn._support.progress import Progress
from analog_fhn._support.words import counted, engineering
from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.reconstruct.model.maps import free_run
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.turns import TakesTurns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABLE = 33
"""Drives of a response table of twins, where nobody asks for another number: twins are too slow without one."""

MARGIN = 0.01
"""Share of the recorded range by which a drive may lie outside and is taken to its end: tables reach a little further
than any image."""

_NOTE = "neuron"
_UNITS = ("volts_per_x", "seconds_per_T")
_STATES = 2_000_000  # of a group of free runs, all samples counted


def as_neuron(reconstruction: Reconstruction, volts_per_x: float, seconds_per_T: float) -> Reconstruction:
    """Reconstruction that can stand for a hidden neuron: its p is the drive I, and its units are in its notes.

    Parameters
    ----------
    volts_per_x
        Recorded voltage (V) of one unit of x: S_x of a circuit, 1 for `sources.record_fhn`.
    seconds_per_T
        Time unit T of the recorded neuron (s).

    Raises
    ------
    InputError
        If a unit is not positive, or there are no recordings at two drives or more.
    """
    for name, value in zip(_UNITS, (volts_per_x, seconds_per_T), strict=True):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value}: expected a number above 0")
    if len(np.unique(reconstruction.control)) < 2:
        raise InputError(
            "recordings at one drive do not tell what a drive does; a twin for a network needs recordings at several "
            "drives over the whole range that it will be given, with these drives as their p"
        )
    units = {"volts_per_x": float(volts_per_x), "seconds_per_T": float(seconds_per_T)}
    return replace(reconstruction, notes=reconstruction.notes | {_NOTE: units})


def units_of(reconstruction: Reconstruction) -> tuple[float, float]:
    """Unit of x (V) and time unit T (s) of what `as_neuron` made.

    Raises
    ------
    InputError
        If it was not made by it.
    """
    units = reconstruction.notes.get(_NOTE)
    try:
        volts, seconds = (float(units[name]) for name in _UNITS)  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise InputError(
            "it does not say how many volts one unit of x is, nor how many seconds T is; `as_neuron` adds both, and so "
            "do --volts-per-x and --time-unit of `analog-fhn reconstruct`"
        ) from None
    as_neuron(reconstruction, volts, seconds)
    return volts, seconds


@dataclass(frozen=True, repr=False)
class Twins(TakesTurns, Shown):
    """A backend whose neurons are reconstructions, run freely at the drive that each neuron is given.

    Of the cells only their number counts; arrays and stages stay in the network around the twins. A run
    starts from a state recorded at the drive nearest to its own, not from the protocol's initial state. A run
    takes about as many map steps as samples were recorded in the same time, so that images need a response table:
    ``Table(Twins(twins), 33)``, or `classify(..., backend=Twins(twins), table=33)`.

    Parameters
    ----------
    twins
        Results of `as_neuron`; hidden neuron k is twin k modulo their number.
    which
        Twin of each neuron, in place of that rule.
    name
        How results call the backend.

    Raises
    ------
    InputError
        If there is no twin, one is none of `as_neuron`, or `which` names one that is not there.
    """

    twins: tuple[Reconstruction, ...] = field(compare=False)
    which: tuple[int, ...] | None = None
    name: str = "twin"
    _digests: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.twins:
            raise InputError("no twin: expected one reconstruction or more")
        for twin in self.twins:
            units_of(twin)
        self.check_which()
        object.__setattr__(self, "_digests", tuple(_digest(twin) for twin in self.twins))

    def _card(self) -> Card:
        rows = []
        for number, twin in enumerate(self.twins):
            (volts, seconds), drives = units_of(twin), np.unique(twin.control)
            span = f"{drives.min():g} to {drives.max():g}"
            rows.append((number, span, len(drives), engineering(volts, "V"), engineering(seconds, "s")))
        grid = Grid(("twin", "drives", "recorded", "volts of x = 1", "T"), rows)
        return Card("Twins", counted(len(self.twins), "neuron"), grids=(grid,))

    def plot(self, twin: int = 0, ax: Axes | None = None) -> Axes:
        """Free runs of one twin over 12 T, at the ends and in the middle of its recorded drives.

        Parameters
        ----------
        twin
            Number of the twin.
        ax
            Axes to draw on; None: those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        SimulationError
            If the twin diverges.
        """
        from analog_fhn import plots  # needs an optional package

        drives = np.unique(self.twins[twin].control)
        shown, protocol = drives[[0, len(drives) // 2, -1]], Protocol(settle=10.0, control=12.0, interval=0.02)
        _, x = self._run(twin, shown, protocol, True)
        assert x is not None
        curves = {f"I = {drive:g}": (protocol.sample_times, x[:, k]) for k, drive in enumerate(shown)}
        on = plots.canvas(ax)
        return plots.only_axes(plots.traces(curves, f"Twin {twin}, running freely", on=on), on)

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Twins:
        """From files of `Reconstruction.save`.

        Raises
        ------
        InputError
            If a file is no reconstruction, or none that `as_neuron` made.
        """
        twins = []
        for path in paths:
            twin = Reconstruction.load(path)
            try:
                units_of(twin)
            except InputError as error:
                raise InputError(f"{path}: is no twin of a neuron: {error}") from None
            twins.append(twin)
        return cls(tuple(twins))

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Progress | None = None,
    ) -> Response:
        """Run every neuron's twin under a constant drive; see `Backend.respond`. Equal runs are made once.

        Raises
        ------
        InputError
            If noise is asked for, or a drive lies outside the range that a twin was recorded at: nothing is
            extrapolated.
        SimulationError
            If a twin diverges.
        """
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        numbers = self.numbers(cells)
        inside = np.empty_like(drives)
        for neuron, number in enumerate(numbers):
            inside[:, neuron] = self._within(int(number), drives[:, neuron])
        mean = np.empty(drives.size)
        traces = np.empty((protocol.n_samples if samples else 0, drives.size), dtype=np.float32)
        done = 0
        for number in np.unique(numbers):
            runs = np.flatnonzero(np.broadcast_to(numbers == number, drives.shape))
            different, places = np.unique(inside.ravel()[runs], return_inverse=True)
            group = max(1, _STATES // self._steps(int(number), protocol))
            for first in range(0, len(different), group):
                part = different[first : first + group]
                means, x = self._run(int(number), part, protocol, samples)
                here = (places >= first) & (places < first + len(part))
                mean[runs[here]] = means[places[here] - first]
                if x is not None:
                    traces[:, runs[here]] = x[:, places[here] - first]
                done += int(np.count_nonzero(here))
                if progress is not None:
                    progress(done, drives.size)
        shaped = traces.reshape(protocol.n_samples, *drives.shape) if samples else None
        return Response(mean.reshape(drives.shape), shaped)

    def _within(self, number: int, drives: FloatArray) -> FloatArray:
        """The same drives, those just outside the recorded range moved to its ends."""
        control = self.twins[number].control
        low, high = float(control.min()), float(control.max())
        margin = MARGIN * (high - low)
        outside = (drives < low - margin) | (drives > high + margin)
        if outside.any():
            raise InputError(
                f"twin {number} was recorded at drives from {low:g} to {high:g}, and is asked for drives from "
                f"{drives.min():.3g} to {drives.max():.3g}; record the neuron at drives that reach as far"
            )
        return np.clip(drives, low, high)

    def _steps(self, number: int, protocol: Protocol) -> int:
        twin = self.twins[number]
        _, second = units_of(twin)
        return math.ceil((protocol.settle + protocol.control) * second / twin.step) + 3

    def _run(
        self, number: int, drives: FloatArray, protocol: Protocol, samples: bool
    ) -> tuple[FloatArray, NDArray[np.float32] | None]:
        """Means (m,) and samples (n_samples, m) of x at `drives` (m,)."""
        twin = self.twins[number]
        volts, second = units_of(twin)
        start = np.stack([twin.starts_near(drive)[0] for drive in drives])
        orbit = free_run(twin.state_map, start, self._steps(number, protocol), drives)
        diverged = np.isnan(orbit[-1]).any(axis=-1)
        if diverged.any():
            raise SimulationError(
                f"twin {number} diverges at drive {drives[np.argmax(diverged)]:g}; more recordings may help, or "
                "another seed"
            )
        # State k is k + 1 samples after the start.
        first = max(0, math.floor(protocol.settle * second / twin.step) - 4)
        times = twin.step / second * np.arange(first + 1, len(orbit) + 1)
        curve = Akima1DInterpolator(times, twin.voltage(orbit[first:]) / volts, method="makima", extrapolate=True)
        end = protocol.settle + protocol.control
        means = np.asarray(curve.integrate(protocol.settle, end), dtype=np.float64) / protocol.control
        return means, np.asarray(curve(protocol.sample_times), dtype=np.float32) if samples else None


def _digest(twin: Reconstruction) -> str:
    """SHA-256 of everything that decides a free run."""
    layers = [array for layer in twin.autoencoder.decoder for array in layer]
    arrays = [
        twin.embedding.means[:1], twin.embedding.deviations[:1], twin.coordinates.centre, twin.coordinates.transform,
        twin.starts, twin.control, *layers, *twin.state_map.arrays.values(),  # type: ignore[attr-defined]
    ]  # fmt: skip
    settings = f"{twin.step!r}{units_of(twin)!r}{type(twin.state_map).__name__}"
    return sha256(settings, *(part for array in arrays for part in labelled("", array)))
