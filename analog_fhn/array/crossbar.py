"""Weights as differential pairs of conductances: the mapping, its inverse, and the devices as they are manufactured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.draws import DeviceDraws, SideDraws
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE, Array

MOST_BIAS_ROWS = 64
_ATTEMPTS = 100  # of one round of programming, at most (`Array.write_pulses`)


@dataclass(frozen=True)
class Crossbar:
    """Conductances of one weight layer; rows are word lines, columns neurons of the next layer.

    Parameters
    ----------
    g_plus, g_minus
        Conductances of the two devices of each weight, shape (n_rows, n_out), in siemens; the last `bias_rows` rows are
        driven by a constant.
    siemens_per_weight
        Scale k of the mapping: ``weight = (g_plus - g_minus)/k``.
    bias_rows
        Number of rows that carry the biases, each an equal share.
    bias_drive
        Value of the constant in units of the layer's input.
    """

    g_plus: FloatArray
    g_minus: FloatArray
    siemens_per_weight: float
    bias_rows: int = 0
    bias_drive: float = 1.0

    @property
    def n_in(self) -> int:
        """Number of inputs, without the bias rows."""
        return len(self.g_plus) - self.bias_rows

    @property
    def weights(self) -> FloatArray:
        """Weights, shape (n_in, n_out): the inverse of the mapping."""
        return self._weights()[: self.n_in]

    @property
    def bias(self) -> FloatArray | None:
        """Biases, shape (n_out,), or None."""
        return self.bias_drive * self._weights()[self.n_in :].sum(axis=0) if self.bias_rows else None

    @property
    def conductance(self) -> FloatArray:
        """The array as it is laid out: shape (n_rows, 2 n_out), columns +, -, +, -, ..."""
        rows, outputs = self.g_plus.shape
        return np.stack([self.g_plus, self.g_minus], axis=-1).reshape(rows, 2 * outputs)

    def _weights(self) -> FloatArray:
        return (self.g_plus - self.g_minus) / self.siemens_per_weight


@dataclass(frozen=True, eq=False)
class Writes:
    """Which devices of an array were written again after manufacture, and how.

    Parameters
    ----------
    plus, minus
        Round in which each device was last written, shape (n_rows, n_out); 0: at manufacture.
    verify
        For each round, from the first, its tolerance as a share of g_max (None: one pulse per device, not verified) and
        its largest number of pulses.
    """

    plus: NDArray[np.int32]
    minus: NDArray[np.int32]
    verify: tuple[tuple[float | None, int], ...] = ()

    @classmethod
    def none(cls, crossbar: Crossbar) -> Writes:
        """Writes of an array as it was manufactured: none."""
        nothing = np.zeros(crossbar.g_plus.shape, dtype=np.int32)
        return cls(nothing, nothing)

    def then(self, plus: NDArray[np.bool_], minus: NDArray[np.bool_], tolerance: float | None, pulses: int) -> Writes:
        """Writes after one more round, in which the devices marked in `plus` and `minus` are written."""
        number = len(self.verify) + 1
        return Writes(
            np.where(plus, number, self.plus).astype(np.int32),
            np.where(minus, number, self.minus).astype(np.int32),
            (*self.verify, (tolerance, pulses)),
        )


def map_weights(
    weights: FloatArray, bias: FloatArray | None, array: Array, *, layer: int = 0, bias_drive: float = 1.0
) -> Crossbar:
    """Target conductances of a weight layer before programming: clipped, mapped and quantised.

    One-sided: ``G+- = Gmin + k max(+-w, 0)``, k = (Gmax - Gmin)/w_max. Two-sided:
    ``G+- = (Gmin + Gmax)/2 +- k w/2`` with the same k. w_max is the layer's `clip_quantile` of |w|; larger weights are
    clipped to it. Every conductance goes to the nearest of the levels.

    Parameters
    ----------
    weights, bias
        Trained weights and biases, shapes (n_in, n_out) and (n_out,). The biases are divided by `bias_drive` and shared
        by as many rows as it takes not to clip them.
    array
        Settings of the array: conductance range, levels, mapping, clip quantile.
    layer
        Number of the layer, which selects the clip quantile; 0: input array, 1: output array.
    bias_drive
        Value of the constant on the bias rows, in units of the layer's input.

    Raises
    ------
    InputError
        If the biases would take more than 64 rows.
    """
    w_max = float(np.quantile(np.abs(weights), array.clip(layer)))
    if w_max == 0.0:
        w_max = float(np.max(np.abs(weights))) or 1.0
    rows, bias_rows = weights, 0
    if bias is not None:
        shared = np.abs(bias).max() / (w_max * bias_drive)
        bias_rows = max(1, int(np.ceil(shared * (1.0 - 1e-12))))
        if bias_rows > MOST_BIAS_ROWS:
            raise InputError(
                f"biases of layer {layer} up to {np.abs(bias).max():g} would take {bias_rows} rows of weights up to "
                f"{w_max:g} driven by {bias_drive:g}: expected at most {MOST_BIAS_ROWS} rows (train with smaller "
                "biases, or raise array.clip_quantile)"
            )
        rows = np.vstack([weights, *[bias / (bias_rows * bias_drive)] * bias_rows])
    k = (array.g_max - array.g_min) / w_max
    return Crossbar(*pairs(np.clip(rows, -w_max, w_max), k, array), k, bias_rows, bias_drive)


def pairs(weights: FloatArray, siemens_per_weight: float, array: Array) -> tuple[FloatArray, FloatArray]:
    """Settable conductances (S) of the two devices of each weight, which is within the range; see `map_weights`."""
    k = siemens_per_weight
    if array.mapping == "one-sided":
        plus = array.g_min + k * np.maximum(weights, 0.0)
        minus = array.g_min + k * np.maximum(-weights, 0.0)
    else:
        middle = 0.5 * (array.g_min + array.g_max)
        plus, minus = middle + 0.5 * k * weights, middle - 0.5 * k * weights
    return quantised(plus, array), quantised(minus, array)


def quantised(conductances: FloatArray, array: Array) -> FloatArray:
    """Nearest settable conductances, of any shape (S)."""
    levels = array.level_values
    if levels is None:
        return conductances
    return np.asarray(levels[np.searchsorted(0.5 * (levels[1:] + levels[:-1]), conductances)])


def manufacture(
    target: Crossbar,
    array: Array,
    temperature: float,
    draws: DeviceDraws | None,
    writes: Writes | None = None,
) -> Crossbar:
    """Conductances of the devices as they are when the chip is used.

    In this order: programming (``G = G_target (1 + sigma N)`` or the device's own spread, repeated if it is verified),
    drift, faults, temperature (``G/(1 + c (T - 300 K))``: the coefficient is that of the resistance), read noise. A
    conductance is never negative. A device that was written again has a programming error of its own round; drift,
    fault, temperature coefficient and read noise stay the device's.

    Parameters
    ----------
    target
        Conductances before programming; of a device that was written again those of its last writing.
    temperature
        Of the devices (K).
    draws
        Random numbers of the devices; attempts of later rounds begin at 100 times the round's number. None: nominal
        devices, without spread; they drift as the mean device does.
    writes
        What was written again; None: nothing.
    """
    plus, minus = (
        _devices(g, array, temperature, None if draws is None else draws.side(side), _rounds(writes, side))
        for side, g in enumerate((target.g_plus, target.g_minus))
    )
    return replace(target, g_plus=plus, g_minus=minus)


def pulses(target: Crossbar, array: Array, draws: DeviceDraws | None, writes: Writes) -> int:
    """Write pulses of the last round of `writes`; other arguments as for `manufacture`.

    A stuck device that is verified takes as many as are allowed, unless it is stuck within the tolerance.
    """
    number = len(writes.verify)
    tolerance, most = writes.verify[-1]
    array = array.model_copy(update={"write_tolerance": tolerance, "write_pulses": most})
    total = 0
    for side, g in enumerate((target.g_plus, target.g_minus)):
        written = (writes.plus, writes.minus)[side] == number
        if draws is None:
            total += int(np.count_nonzero(written))
            continue
        _, taken = _program(g, array, draws.side(side), number)
        if tolerance is not None:
            for faulty, value in _faults(array, draws.side(side)):
                wrong = np.abs(value - g) > tolerance * array.g_max
                taken = np.where(faulty, np.where(wrong, most, 1), taken)
        total += int(taken[written].sum())
    return total


def _rounds(writes: Writes | None, side: int) -> tuple[NDArray[np.int32], tuple[tuple[float | None, int], ...]] | None:
    return None if writes is None else ((writes.plus, writes.minus)[side], writes.verify)


def _devices(
    target: FloatArray,
    array: Array,
    temperature: float,
    draws: SideDraws | None,
    rounds: tuple[NDArray[np.int32], tuple[tuple[float | None, int], ...]] | None,
) -> FloatArray:
    device, seconds, read = array.device, array.drift_time, array.read_voltage
    g = programmed = target if draws is None else _programmed(target, array, draws, rounds)
    if seconds is not None:
        assert device is not None
        normal = None if draws is None else draws.draw("drift", 0)
        g = np.maximum(0.0, device.drifted(programmed, seconds, normal, read_voltage=read))
    if draws is None:
        return g
    for faulty, value in _faults(array, draws):
        g, programmed = (np.where(faulty, value, v) for v in (g, programmed))
    warmer = temperature - NOMINAL_TEMPERATURE
    if warmer and array.change_per_kelvin:
        g = g / (1.0 + warmer * array.change_per_kelvin * draws.draw("temperature", 0))
    if array.read_noise == "device":
        assert device is not None
        normal = draws.draw("read", 0)
        g = g + device.read_deviation(g, normal, read_voltage=read, seconds=seconds, programmed=programmed)
        g = np.maximum(0.0, g)
    elif array.read_noise:
        g = np.maximum(0.0, g * (1.0 + array.read_noise * draws.draw("read", 0)))
    return g


def _faults(array: Array, draws: SideDraws) -> list[tuple[NDArray[np.bool_], float]]:
    """Which devices are stuck, at either end of the conductance range, and the conductance (S) there."""
    if not (array.stuck_on or array.stuck_off):
        return []
    uniform = draws.draw("fault", 0)
    on = uniform < array.stuck_on
    return [(on, array.g_max), (~on & (uniform > 1.0 - array.stuck_off), array.g_min)]


def _programmed(
    target: FloatArray,
    array: Array,
    draws: SideDraws,
    rounds: tuple[NDArray[np.int32], tuple[tuple[float | None, int], ...]] | None,
) -> FloatArray:
    """Conductances after programming and every later round of it."""
    g = _program(target, array, draws)[0]
    if rounds is None:
        return g
    last, verify = rounds
    for number, (tolerance, most) in enumerate(verify, start=1):
        written = last == number
        if written.any():
            again = array.model_copy(update={"write_tolerance": tolerance, "write_pulses": most})
            g = np.where(written, _program(target, again, draws, number)[0], g)
    return g


def _program(
    target: FloatArray, array: Array, draws: SideDraws, number: int = 0
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Conductances after round `number` of programming, and pulses of each device."""
    error, device, taken = array.programming_error, array.device, np.ones(target.shape, dtype=np.intp)
    if not error:
        return target, taken

    def attempt(n: int) -> FloatArray:
        normal = draws.draw("programming", _ATTEMPTS * number + n)
        if isinstance(error, str):
            assert device is not None
            programmed = target + device.programming_deviation(target, normal, read_voltage=array.read_voltage)
        else:
            programmed = target * (1.0 + error * normal)
        return np.maximum(0.0, programmed)

    g = attempt(0)
    if array.write_tolerance is None:
        return g, taken
    for n in range(1, array.write_pulses):
        wrong = np.abs(g - target) > array.write_tolerance * array.g_max
        if not wrong.any():
            break
        g, taken = np.where(wrong, attempt(n), g), taken + wrong
    return g, taken
