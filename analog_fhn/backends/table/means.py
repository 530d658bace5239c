"""Response table of time averages alone: what the mean readout asks of a neuron, made and read in compiled code.

Made by `direct` on a grid of drives that is even in each neuron. By the identity ``<x> = -(q0 + q2 <y> + q3 I)/q1`` the
mean is nearly straight in the drive, through the onset of spikes too: few drives serve, and no onset need be found. The
identity is no part of the table; it says how far the table is from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.backends.table.build import largest, rms, window_checks
from analog_fhn.backends.table.waveforms import TableQuality, outside_table
from analog_fhn.cell.base import Cells, DriveStage
from analog_fhn.neuron import FloatArray, Protocol

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False)
class MeanTable:
    """Time averages of one chip's neurons.

    Parameters
    ----------
    low, high
        First and last drive of each neuron's grid, which is even; shape (n_neurons,).
    mean
        Time average of x at its drives, shape (n_neurons, n_drives).
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
    inner: Direct, cells: Cells, protocol: Protocol, n: int, drives: tuple[FloatArray, FloatArray], *, window: bool
) -> MeanTable:
    """Integrate every neuron at `n` drives, and at one more between them that tells the interpolation error.

    Parameters
    ----------
    inner
        Its step is used; it serves neurons that do not settle within the protocol's time, and the comparison with its
        control window.
    drives
        Lowest and highest drive of each neuron.
    window
        Whether some neurons are run with the protocol's settling time and control window, to measure what these
        change.

    Raises
    ------
    SimulationError
        If a neuron diverges.
    """
    low, high = drives
    n_neurons = len(cells)
    neurons = np.arange(n_neurons)
    grid = np.linspace(low, high, n)
    # One check in a cell of each neuron, away from its ends: all together they cover all cells.
    cell = np.minimum(((neurons * _GOLDEN) % 1.0 * (n - 1)).astype(np.intp), n - 2)
    between = grid[cell, neurons] + (0.3 + 0.4 * (neurons * _GOLDEN**2 % 1.0)) * (high - low) / (n - 1)
    drives_to_run = np.vstack([grid, between])
    longest = max(100.0, protocol.settle + protocol.control)
    step = inner.step_per_eps / inner.refine
    means, _ = settled_means(cells, drives_to_run, protocol, longest=longest, step_per_eps=step)
    row, neuron = np.nonzero(np.isnan(means))
    if row.size:
        # As the user's own protocol sees a neuron that still creeps; what diverged is reported there.
        response = inner.respond(cells[neuron], drives_to_run[row, neuron][None], protocol)
        means[row, neuron] = response.mean[0]
    table = MeanTable(low, high, np.ascontiguousarray(means[:n].T), _NOTHING)
    error = table.look_up(between[None])[0] - means[n]
    deviation = means - cells.dynamics.identity_mean(drives_to_run)
    difference = np.zeros(0)
    if window:
        who, drive = window_checks(cells, protocol)
        response = inner.respond(cells[who], drive[None], protocol)
        difference = response.mean[0] - table.only(who).look_up(drive[None])[0]
    quality = TableQuality(
        n, grid.size, between.size, rms(error), largest(error), None, None, largest(deviation), len(difference),
        rms(difference), largest(difference),
    )  # fmt: skip
    return replace(table, quality=quality)


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
