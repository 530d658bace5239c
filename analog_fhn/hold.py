"""Sample-and-hold stages: what keeps a layer's activations until the next layer has read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange

from analog_fhn._support.compiled import compiled
from analog_fhn.cell.parts import Deviation, Kind, Parts, part
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.patches import Front

HOLD_OFFSET = Kind("hold", False, Deviation("offset_sigma", False))
HOLD_DROOP = Kind("hold", False, Deviation("droop_sigma", False))


@dataclass(frozen=True)
class HoldParts(Parts):
    """Sample-and-hold stages of a layer, one for each value: position by position, the channels of a position together.

    Parameters
    ----------
    offset
        What is added to a sample (V).
    droop
        Change of a held voltage (V/s).
    """

    offset: FloatArray = part(HOLD_OFFSET, lot="offset")
    droop: FloatArray = part(HOLD_DROOP, lot="droop")


@dataclass(frozen=True, eq=False)
class Hold:
    """What sample-and-hold stages do to activations, in units of the activation.

    Parameters
    ----------
    offset
        Added to each value, shape (n_positions, n).
    droop
        Change of each value in one settling time and control window, shape (n_positions, n).
    noise
        Standard deviation of one sample's noise, without what is left of the oscillation.
    """

    offset: FloatArray
    droop: FloatArray
    noise: float

    @classmethod
    def of(cls, parts: HoldParts, noise: float, row_volts: float, seconds: float, n_cells: int) -> Hold:
        """Stages of these parts.

        Parameters
        ----------
        noise
            Standard deviation of a sample (V).
        row_volts
            Voltage of an activation of 1 (V).
        seconds
            Settling time and control window (s).
        n_cells
            Values of a position.
        """
        offset, droop = (v.reshape(-1, n_cells) / row_volts for v in (parts.offset, parts.droop * seconds))
        return cls(offset, droop, noise / row_volts)

    def errors(self, front: Front, *, driven: bool) -> FloatArray | None:
        """What offset and droop add to the rows of the next array, shape (n_positions of the next array, n_rows).

        Position p is sampled at the end of its window, p + 1 windows after the layer's first; the next layer's window q
        begins when all of this layer are over, and sees a held value in its middle.

        Parameters
        ----------
        front
            In front of the next array.
        driven
            Whether the next array drives cells, for one window at each position; else its outputs are read at once.

        Returns
        -------
        ndarray or None
            None if there is neither offset nor droop.
        """
        if not (np.any(self.offset) or np.any(self.droop)):
            return None
        front = front.unfilled()
        at_end = front.rows((self.offset + self.droop * _waited(len(self.droop))).reshape(1, -1))
        return np.asarray(at_end + _later(len(at_end), driven) * front.rows(self.droop.reshape(1, -1)))

    def slopes(self, front: Front, of_rows: FloatArray, *, driven: bool) -> tuple[FloatArray, FloatArray]:
        """Transpose of `errors`: slopes in the rows as slopes in offset and droop, each of their shape.

        Parameters
        ----------
        of_rows
            Shape (n_positions of the next array, n_rows).
        front, driven
            As for `errors`.
        """
        at_end = front.gathered(of_rows).reshape(self.offset.shape)
        since = front.gathered(_later(len(of_rows), driven) * of_rows).reshape(self.droop.shape)
        return np.asarray(at_end), np.asarray(_waited(len(self.droop)) * at_end + since)


def _waited(n_positions: int) -> FloatArray:
    """Windows from the sample of each of a layer's positions to that of its last one, shape (n_positions, 1)."""
    return np.arange(n_positions - 1.0, -1.0, -1.0, dtype=np.float64)[:, None]


def _later(n_positions: int, driven: bool) -> FloatArray:
    """Windows from a layer's last sample until each position of the next array reads, shape (n_positions, 1)."""
    return np.arange(n_positions, dtype=np.float64)[:, None] + 0.5 if driven else np.zeros((n_positions, 1))


def window_seconds(protocol: Protocol, time_unit: float) -> float:
    """Duration of settling time and control window (s); `time_unit` in seconds."""
    return (protocol.settle + protocol.control) * time_unit


@compiled(parallel=True)
def add_samples(values: Any, means: Any, normal: Any, per_y: Any, deviation: Any, noise: Any) -> None:
    """Add to activations (n_runs, n) what hold stages sample of the oscillation, and their own noise.

    Parameters
    ----------
    means
        Time averages of x, of the same shape.
    normal
        Standard normal numbers, of the same shape.
    per_y
        Rest of the oscillation in units of the activation, per deviation of y; shape (n,). See `Cells.ripple_per_y`.
    deviation
        Standard deviation of y at time averages that lie evenly from -1 to 1; beyond it is 0.
    noise
        Standard deviation of a sample.
    """
    last = len(deviation) - 1
    for run in prange(values.shape[0]):
        for k in range(values.shape[1]):
            place = 0.5 * (means[run, k] + 1.0) * last
            y = 0.0
            if 0.0 <= place < last:
                cell = int(place)
                y = deviation[cell] + (place - cell) * (deviation[cell + 1] - deviation[cell])
            values[run, k] += normal[run, k] * np.sqrt((per_y[k] * y) ** 2 + noise**2)
