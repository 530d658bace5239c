"""Response table of time averages alone: what the mean readout asks of a neuron, made and read in compiled code.

Made by `direct` on a grid of drives that is even in each neuron. By the identity ``<x> = -(q0 + q2 <y> + q3 I)/q1`` the
mean is nearly straight in the drive, through the onset of spikes too: few drives serve, and no onset need be found. The
identity is no part of the table; it says how far the table is from it.

The mean over a control window of a few periods differs from that of the settled neuron by several per cent, since the
window cuts periods at both ends and all neurons begin alike; it goes up and down with the drive. Where such a window is
what is read, the table holds this mean (`averages_window`), at many more drives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numba import prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn.backends.base import Backend, backend_of
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.backends.spice.tuned import TunedEquations
from analog_fhn.backends.table.build import largest, rms, window_checks
from analog_fhn.backends.table.waveforms import TableQuality, outside_table
from analog_fhn.cell.base import Cells, DriveStage
from analog_fhn.errors import InputError
from analog_fhn.neuron import Dynamics, FloatArray, Protocol
from analog_fhn.transconductors import TransconductorDynamics

Average = Literal["settled", "window"]

WINDOW_DRIVES = 1025
"""Drives per neuron of a table of window means, at least.

With 2 T and 5 T the rms of what is lost between them is 0.1 to 0.25 % of the full scale (2 units of the output), most
of it beside the onset, where the mean of such a window jumps as a first spike comes into it. 257 drives lose twice
that.
"""

_WINDOW_CHECKS = 64  # runs per neuron between those drives that measure this: jumps are rare

SHORT_WINDOW = 100.0
"""Control window (T) below which tables of neurons that are given by curves hold window means."""

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def averages_window(dynamics: Dynamics, protocol: Protocol) -> bool:
    """Whether a table holds means over the control window where nothing else is said.

    It does for neurons that are given by curves: transistors, whose output is integrated on a capacitor during a window
    of a few periods. At 100 T the rms difference of both means is 0.2 % of the full scale, at 20 T 1.1 %.
    """
    return isinstance(dynamics, TransconductorDynamics) and protocol.control < SHORT_WINDOW


@dataclass(frozen=True, eq=False)
class MeanTable:
    """Time averages of one chip's neurons.

    Parameters
    ----------
    low, high
        First and last drive of each neuron's grid, which is even; shape (n_neurons,).
    mean
        Time average of the output at its drives, shape (n_neurons, n_drives).
    quality
        Measured errors.
    """

    low: FloatArray
    high: FloatArray
    mean: FloatArray
    quality: TableQuality

    def only(self, neurons: NDArray[np.intp]) -> MeanTable:
        """Table of some of the neurons; one may be named more than once."""
        return MeanTable(self.low[neurons], self.high[neurons], self.mean[neurons], self.quality)

    def look_up(self, drives: FloatArray) -> FloatArray:
        """Interpolated means, shape (n_images, n_neurons) like `drives`.

        Raises
        ------
        InputError
            If a drive lies outside the table.
        """
        outside_table(drives, self.low, self.high)
        return even_means(drives, self.low, self.high, self.mean)

    def behind(self, stage: DriveStage) -> tuple[FloatArray, FloatArray, NDArray[np.float32]]:
        """Grid place of a neuron whose tanh pair's tanh is t, ``gain t + offset``, and the means at whole places.

        For `interpolate`; gain and offset have shape (n_neurons,).
        """
        cells = self.mean.shape[1] - 1
        per_drive = cells / (self.high - self.low)
        return per_drive * stage.gain, per_drive * (stage.offset - self.low), self.mean.astype(np.float32)


def even_means(drives: FloatArray, low: FloatArray, high: FloatArray, mean: FloatArray) -> FloatArray:
    """Means (n_images, n_neurons) interpolated at drives of that shape, which lie within even grids.

    Parameters
    ----------
    low, high, mean
        As in `MeanTable`.
    """
    cells = mean.shape[1] - 1
    place = (drives - low) * (cells / (high - low))
    cell = np.minimum(place.astype(np.intp), cells - 1)
    neurons = np.arange(len(low))
    one, other = mean[neurons, cell], mean[neurons, cell + 1]
    return np.asarray(one + (place - cell) * (other - one))


def make_mean_table(
    inner: Backend,
    cells: Cells,
    protocol: Protocol,
    n: int,
    drives: tuple[FloatArray, FloatArray],
    *,
    window: bool,
    average: Average = "settled",
) -> MeanTable:
    """Integrate every neuron at `n` drives, and between them at one more, or 64 for windows, that tell the error there.

    Parameters
    ----------
    inner
        `direct`, or equations that it integrates: its step is used, and it serves neurons that do not settle within the
        protocol's time, and the comparison with its control window. Any backend for window means.
    drives
        Lowest and highest drive of each neuron.
    window
        Whether some neurons are run with the protocol's settling time and control window, to measure what these
        change.
    average
        "settled": over one cycle, or at rest; "window": over the protocol's control window.

    Raises
    ------
    InputError
        If means of settled neurons are asked of another backend than `direct` or tuned equations.
    SimulationError
        If a neuron diverges.
    """
    low, high = drives
    n_neurons = len(cells)
    neurons = np.arange(n_neurons)
    grid = np.linspace(low, high, n)
    # Checks in one or some cells of each neuron, away from their ends: all together they cover all cells.
    checks = _WINDOW_CHECKS if average == "window" else 1
    i = np.arange(checks)[:, None]
    cell = np.minimum(((i + (neurons * _GOLDEN) % 1.0) / checks * (n - 1)).astype(np.intp), n - 2)
    place = 0.3 + 0.4 * ((i * n_neurons + neurons) * _GOLDEN**2 % 1.0)
    between = grid[cell, neurons] + place * (high - low) / (n - 1)
    drives_to_run = np.vstack([grid, between])
    if average == "window":
        means = inner.respond(cells, drives_to_run, protocol).mean
    else:
        means = settled(inner, cells, drives_to_run, protocol)
    table = MeanTable(low, high, np.ascontiguousarray(means[:n].T), _NOTHING)
    error = table.look_up(between) - means[n:]
    deviation = means - cells.dynamics.identity_mean(drives_to_run)
    difference = np.zeros(0)
    if window:
        who, drive = window_checks(cells, protocol)
        response = backend_of(inner, who).respond(cells[who], drive[None], protocol)
        difference = response.mean[0] - table.only(who).look_up(drive[None])[0]
    quality = TableQuality(
        n, grid.size, between.size, rms(error), largest(error), None, None, largest(deviation), len(difference),
        rms(difference), largest(difference),
    )  # fmt: skip
    return replace(table, quality=quality)


def settled(inner: Backend, cells: Cells, drives: FloatArray, protocol: Protocol) -> FloatArray:
    """Means of settled neurons under drives (m, n), by `direct` or by tuned equations.

    Raises
    ------
    InputError
        If the backend is another one.
    SimulationError
        If a neuron diverges.
    """
    if isinstance(inner, TunedEquations):
        return inner.means(cells, drives, protocol, lambda tuned, at: settled(inner.direct, tuned, at, protocol))
    if not isinstance(inner, Direct):
        raise InputError(f"{inner.name}: only direct makes tables of means of settled neurons alone")
    longest = max(100.0, protocol.settle + protocol.control)
    step = inner.step_per_eps / inner.refine
    means, _ = settled_means(cells, drives, protocol, longest=longest, step_per_eps=step)
    row, neuron = np.nonzero(np.isnan(means))
    if row.size:
        # As the user's own protocol sees a neuron that still creeps; what diverged is reported there.
        response = inner.respond(cells[neuron], drives[row, neuron][None], protocol)
        means[row, neuron] = response.mean[0]
    return means


_NOTHING = TableQuality(0, 0, 0, 0.0, 0.0, None, None, 0.0, 0, 0.0, 0.0)


@compiled(parallel=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def interpolate(tanh, gain, offset, nodes):  # type: ignore[no-untyped-def]
    """Means in place of tanh (n_images, n_neurons), in single precision; see `MeanTable.behind`."""
    n_images, n_neurons = tanh.shape
    last = nodes.shape[1] - 2
    for image in prange(n_images):
        row = tanh[image]
        for k in range(n_neurons):
            place = gain[k] * row[k] + offset[k]
            cell = min(max(np.int32(place), np.int32(0)), np.int32(last))
            one = nodes[k, cell]
            row[k] = one + (place - np.float32(cell)) * (nodes[k, cell + 1] - one)
