"""The response table of one chip: what every neuron does at a grid of drives, read by interpolation.

- Between two drives the mean, the period, and the waveform over phase are interpolated linearly. The errors at
  drives between those of the grid are measured, and stated in `TableQuality`.
- Samples repeat the settled cycle; the start-up transient is not in the table. Errors of the period add up, so the
  phases of the neurons relative to each other drift away from those of a direct simulation. The share of time in
  which a class leads (the vote) is equal statistically; single samples are not.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn._support.files import new_file
from analog_fhn._support.hashing import sha256_of_arrays, sha256_of_json
from analog_fhn._support.npz import read_npz, reading, take_meta
from analog_fhn.backends.base import Response
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray, Protocol

FORMAT = 3


@dataclass(frozen=True)
class TableQuality:
    """What a table's numbers are worth, measured with the backend that made it.

    Parameters
    ----------
    n_drives
        Drives of the grid per neuron, those near the onset of spikes not counted.
    n_runs
        Runs of the inner backend that the table itself took, over all neurons.
    n_checks
        Runs at drives between those of the grid, spread over cells and neurons.
    rms, largest
        Interpolation error of the mean of x there.
    period_rms, period_largest
        Relative interpolation error of the period there, over the neurons that spike; None: the table has no periods.
    identity_deviation
        Largest deviation of the table's means from the identity ``-(q0 + q3 I)/q1``.
    n_window
        Runs with the settling time and control window asked for.
    window_rms, window_largest
        Difference between their mean and the table's.
    """

    n_drives: int
    n_runs: int
    n_checks: int
    rms: float
    largest: float
    period_rms: float | None
    period_largest: float | None
    identity_deviation: float
    n_window: int
    window_rms: float
    window_largest: float


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """The table of one chip. Rows of fewer than `n_nodes` drives are filled up with their last one.

    Parameters
    ----------
    drives
        Shape (n_neurons, n_nodes), increasing up to each neuron's count.
    counts
        Shape (n_neurons,), number of drives of each neuron.
    regime
        Shape (n_neurons, n_nodes): 0 where the neuron rests, 1 where it spikes, 4 where x oscillates without crossing
        zero; its mean takes the place of zero then.
    mean
        Time average of x, shape (n_neurons, n_nodes); the rest point where the neuron rests.
    period, rise, duty
        Shape (n_neurons, n_nodes): period (T), time of a rising zero crossing of x carried back towards the start by
        whole periods (T), share of the period that x spends above zero. 0 at rest.
    wave
        x over phase, shape (n_neurons, n_nodes, 2, n_phase): from the rising to the falling crossing, and on to the
        next rising one; phase points lie densest at both ends, where the jumps are.
    power
        Mean supply power (W), shape (n_neurons, n_nodes), or None.
    quality
        Measured errors.
    """

    drives: FloatArray
    counts: NDArray[np.int32]
    regime: NDArray[np.int8]
    mean: FloatArray
    period: FloatArray
    rise: FloatArray
    duty: FloatArray
    wave: NDArray[np.float32]
    power: FloatArray | None
    quality: TableQuality

    def respond(self, drives: FloatArray, protocol: Protocol, samples: bool = False) -> Response:
        """Interpolated response, as `Backend.respond`.

        Parameters
        ----------
        drives
            Shape (n_images, n_neurons).
        protocol
            Only its sample times are used.

        Raises
        ------
        InputError
            If a drive lies outside the table.
        """
        drives = np.asarray(drives, dtype=np.float64)
        outside_table(drives, self.drives[:, 0], self.drives[:, -1])
        cells, weights = _locate(drives, self.drives, self.counts)
        power = None if self.power is None else _linear(self.power, cells, weights)
        x = None
        if samples:
            x = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32)
            _fill(
                cells, weights, self.regime, self.mean, self.period, self.rise, self.duty, self.wave,
                protocol.settle, protocol.interval, x,
            )  # fmt: skip
        return Response(_linear(self.mean, cells, weights), x, power)

    def look_up(self, neurons: NDArray[np.intp], drives: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interpolated mean and period (T) of each of `neurons` (n,) at its own of `drives` (n,).

        The period is 0 where the neuron rests.
        """
        cells, weights = _locate(drives[None], self.drives[neurons], self.counts[neurons])
        same = self.regime[neurons, cells] == self.regime[neurons, cells + 1]
        mean = _linear(self.mean[neurons], cells, weights)
        period = _linear(self.period[neurons], cells, np.where(same, weights, np.round(weights)))
        return mean[0], period[0]

    def save(self, path: Path, meta: dict[str, Any]) -> None:
        """Write the table and what decided it; the file appears whole or not at all."""
        arrays = {name: getattr(self, name) for name in _TYPES if getattr(self, name) is not None}
        quality = asdict(self.quality)
        text = json.dumps(meta | {"quality": quality, "content": _content_hash(meta["key"], quality, arrays)})
        with new_file(path) as file:
            np.savez(file, meta=np.array(text), **arrays)

    @classmethod
    def load(cls, path: Path, key: str, drives: tuple[FloatArray, FloatArray]) -> ResponseTable:
        """Read a table.

        Parameters
        ----------
        key
            Hash of what decides the table.
        drives
            Lowest and highest drive of each neuron, which the table must reach from and to.

        Raises
        ------
        InputError
            If the file is missing, damaged or edited, or its key is another one.
        """
        arrays = read_npz(path, _WHAT)
        meta = take_meta(path, arrays, _WHAT)
        with reading(path, _WHAT):
            if meta["key"] != key:
                raise InputError(f"{path}: belongs to another chip or other settings (key {shown(meta['key'])})")
            if meta["content"] != _content_hash(key, meta["quality"], arrays):
                raise InputError(f"{path}: its content does not match the hash that was stored with it")
            quality = TableQuality(**meta["quality"])
            for name, value in meta["quality"].items():
                if type(value) not in (int, float) and (value is not None or not name.startswith("period")):
                    raise InputError(f"{path}: quality: {name} is {shown(value)}: expected a number")
            table = cls(**{name: arrays.get(name) for name in _TYPES}, quality=quality)  # type: ignore[arg-type]
            if not table._is_whole():
                raise InputError(f"{path}: is no response table (values, types or shapes do not fit together)")
            if not all(np.array_equal(table.drives[:, end], drives[end]) for end in (0, -1)):
                raise InputError(f"{path}: its drives are not those of the chip")
        return table

    def _is_whole(self) -> bool:
        """Whether all arrays fit together and are in range: compiled code does not check its indices."""
        arrays = {name: getattr(self, name) for name in _TYPES}
        if any(array is not None and array.dtype != _TYPES[name] for name, array in arrays.items()):
            return False
        shape = self.drives.shape
        rows = (self.regime, self.mean, self.period, self.rise, self.duty)
        return bool(
            len(shape) == 2
            and shape[1] >= 2
            and all(array.shape == shape for array in rows)
            and self.wave.shape[:3] == (*shape, 2)
            and self.wave.ndim == 4
            and self.wave.shape[3] >= 2
            and (self.power is None or self.power.shape == shape)
            and self.counts.shape == shape[:1]
            and np.all((self.counts >= 2) & (self.counts <= shape[1]))
            and all(np.abs(array).max() <= _LARGEST for array in (self.drives, self.wave, *rows))
            and np.all(np.diff(self.drives, axis=1) >= 0)
            and self._has_cycles()
        )

    def _has_cycles(self) -> bool:
        """Whether every regime is one of three, with a period and a share of it above zero where x is periodic."""
        periodic = self.regime != 0
        duty = self.duty[periodic]
        return bool(
            np.isin(self.regime, (0, 1, 4)).all()
            and np.all(self.period[periodic] > 0)
            and np.all((duty > 0) & (duty < 1))
        )


def outside_table(drives: FloatArray, low: FloatArray, high: FloatArray) -> None:
    """Refuse drives (n_images, n_neurons) that lie outside the range low..high (n_neurons,) of a table."""
    outside = (drives < low) | (drives > high)
    if outside.any():
        image, neuron = (int(i) for i in np.argwhere(outside)[0])
        raise InputError(
            f"drive {drives[image, neuron]:g} of neuron {neuron} (image {image}) lies outside its response table, "
            f"which reaches from {low[neuron]:g} to {high[neuron]:g}"
        )


_WHAT = "a response table"
_TYPES = {
    "drives": "f8", "counts": "i4", "regime": "i1", "mean": "f8", "period": "f8", "rise": "f8", "duty": "f8",
    "wave": "f4", "power": "f8",
}  # fmt: skip
_LARGEST = 1e9  # of drives, x and times (T): far beyond any neuron; NaN is not below it either


def _content_hash(key: str, quality: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    """SHA-256 over what a table's file holds, and what decided it."""
    return sha256_of_json([key, quality, sha256_of_arrays(arrays)])


def _linear(values: FloatArray, cells: NDArray[np.int32], weights: FloatArray) -> FloatArray:
    neurons = np.arange(cells.shape[1])
    one, other = values[neurons, cells], values[neurons, cells + 1]
    return np.asarray(one + weights * (other - one))


@compiled(parallel=True)
def _locate(drives, nodes, counts):  # type: ignore[no-untyped-def]
    """Cell of each drive, and its place in it from 0 to 1."""
    n_images, n_neurons = drives.shape
    cells = np.empty((n_images, n_neurons), dtype=np.int32)
    weights = np.empty((n_images, n_neurons))
    for image in prange(n_images):
        for neuron in range(n_neurons):
            drive = drives[image, neuron]
            low, high = 0, counts[neuron] - 1
            while high - low > 1:
                middle = (low + high) // 2
                if nodes[neuron, middle] <= drive:
                    low = middle
                else:
                    high = middle
            width = nodes[neuron, high] - nodes[neuron, low]
            cells[image, neuron] = low
            weights[image, neuron] = (drive - nodes[neuron, low]) / width if width > 0 else 0.0
    return cells, weights


@compiled(parallel=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def _fill(  # type: ignore[no-untyped-def]
    cells, weights, regime, mean, period, rise, duty, wave, settle, interval, out
):
    n_samples, n_images, n_neurons = out.shape
    n_phase = wave.shape[3]
    half, one32 = np.float32(0.5), np.float32(1.0)
    top = np.float32(n_phase - 1)
    for image in prange(n_images):
        curve = np.empty(n_neurons * 2 * n_phase, dtype=np.float32)
        phase = np.zeros(n_neurons)
        speed = np.zeros(n_neurons)
        up = np.full(n_neurons, np.float32(0.5))
        per_up = np.full(n_neurons, np.float32(2.0))
        per_down = np.full(n_neurons, np.float32(2.0))
        for k in range(n_neurons):
            cell, w = cells[image, k], weights[image, k]
            one, other = cell, cell + 1
            if regime[k, one] != regime[k, other]:
                one = other = cell if w < 0.5 else cell + 1
            first = k * 2 * n_phase
            if regime[k, one] != 0:
                length = period[k, one] + w * (period[k, other] - period[k, one])
                start = rise[k, one] + w * (rise[k, other] - rise[k, one])
                phase[k] = (settle + interval - start) / length
                phase[k] -= math.floor(phase[k])
                speed[k] = interval / length
                speed[k] -= math.floor(speed[k])
                share = duty[k, one] + w * (duty[k, other] - duty[k, one])
                up[k] = share
                per_up[k] = 1.0 / share
                per_down[k] = 1.0 / (1.0 - share)
                single = np.float32(w)
                for branch in range(2):
                    for i in range(n_phase):
                        left = wave[k, one, branch, i]
                        curve[first + branch * n_phase + i] = left + single * (wave[k, other, branch, i] - left)
            else:
                curve[first : first + 2 * n_phase] = np.float32(mean[k, one] + w * (mean[k, other] - mean[k, one]))
        for sample in range(n_samples):
            # Written without branches, so that it runs on several neurons at a time.
            for k in range(n_neurons):
                angle = np.float32(phase[k])
                after = phase[k] + speed[k]
                phase[k] = after - 1.0 if after >= 1.0 else after
                high = angle < up[k]
                u = angle * per_up[k] if high else (angle - up[k]) * per_down[k]
                # phase points lie densest at both ends: the inverse of `characterise._spread`
                nearer = max(min(u, one32 - u), np.float32(0.0))
                root = np.sqrt(half * nearer)
                place = (root if u < half else one32 - root) * top
                point = min(np.int32(place), np.int32(n_phase - 2))
                at = np.int32(2 * n_phase) * np.int32(k) + (np.int32(0) if high else np.int32(n_phase)) + point
                left = curve[at]
                out[sample, image, k] = left + (place - np.float32(point)) * (curve[at + 1] - left)
