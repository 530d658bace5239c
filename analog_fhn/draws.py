"""The only random numbers that a chip is made of: one stream per component and array, from one integer seed.

Spreads scale the same draws, so that two tolerance levels share their random numbers; a component's stream does not
change when another component is drawn differently. A golden test pins them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analog_fhn.cell.parts import Deviation, PartField, Parts
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE, Array, Die
from analog_fhn.technology.technology import Technology

P = TypeVar("P", bound=Parts)

Key = tuple[int, ...]  # of a stream, within the random numbers of a chip

# What a device of an array draws a number for.
Quantity = Literal["programming", "drift", "fault", "temperature", "read"]

# First numbers of the keys of the streams. Groups of parts of the first hidden layer take 0, 2 and 3 (`Cell.streams`).
_STREAM_ARRAY = 1
_STREAM_LOT = 4
_STREAM_SENSE = 5  # of the input array; each array behind it takes the next number
_STREAM_DEEPER = 1 << 16  # hidden layers behind the first
_STREAM_HOLD = 1 << 17
_STREAM_HOLD_NOISE = 1 << 18
_STREAM_READ_NOISE = 1 << 19
_STREAM_CODES = 1 << 20
_STREAM_SOBOL = 1 << 21
_STREAM_DIE = 1 << 22  # functions of the place: of a section's lot, or of an array
_STREAM_CALIBRATION = 1 << 23  # inputs that arrays are measured with
# Within an array's stream; a device's first programming draws from the stream itself.
_QUANTITIES: dict[Quantity, int] = {"programming": 0, "drift": 1, "fault": 2, "temperature": 3, "read": 4}
# Within a component's stream, and its lot's: the temperature coefficient.
_TEMPERATURE = 1
# Within the stream of a function of the place: the gradient; lines of cells follow, the devices of an array are one.
_GRADIENT, _LINES = 0, 1
# What the place of a device has a say in.
_PLACED: tuple[Quantity, ...] = ("programming", "drift", "temperature")

_SOBOL_BLOCK = 1024  # points that are made at a time
_SOBOL_HALF = 2.0**-31  # half a step of their grid

_TAIL = 0.0013498980316300933  # share of a standard normal beyond -3


def check_seed(seed: int | None) -> None:
    """Raise ValueError if a chip's seed is negative."""
    if seed is not None and seed < 0:
        raise ValueError(f"chip seed {seed}: expected a non-negative integer")


class Shift(ABC):
    """Moves some of the standard normal numbers of a chip.

    Every value that is normal, also one that is cut at its tolerance, is a monotone function of one such number. Stuck
    devices and values that are uniform within their tolerance are no functions of these, and are never moved.
    """

    @abstractmethod
    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """Numbers to take instead of those of one stream; those themselves where the stream is not shifted."""


@dataclass(frozen=True)
class DeviceDraws:
    """Random numbers of the devices of one array of a chip.

    Parameters
    ----------
    seed
        Of the chip; None: every number is in the middle of its distribution before it is shifted.
    array
        Number of the array, from 0, the input array.
    shape
        (n_rows, n_out).
    places
        Where they lie; None: devices have nothing in common.
    shift
        Moves normal numbers; None: nothing does.
    """

    seed: int | None
    array: int
    shape: tuple[int, ...]
    places: DevicePlaces | None = None
    shift: Shift | None = None

    def side(self, number: int) -> SideDraws:
        """Those of the positive devices (0) or of the negative ones (1)."""
        key = (_STREAM_ARRAY, self.array, number)
        return SideDraws(self.seed, key, self.shape, self.places, self.shift)


@dataclass(frozen=True)
class DevicePlaces:
    """Places of the devices of an array on the die, in rows and bit lines.

    Parameters
    ----------
    die
        Distances and shares.
    tile_rows, tile_columns
        Of a tile (columns: bit lines); None: undivided.
    """

    die: Die
    tile_rows: int | None
    tile_columns: int | None

    @classmethod
    def of(cls, technology: Technology) -> DevicePlaces | None:
        """Those of a technology's arrays; None where places have no say."""
        array: Array = technology.array
        return cls(technology.die, array.tile_rows, array.tile_columns) if technology.die.common else None

    def added(self, own: FloatArray, seed: int | None, key: Key, side: int) -> FloatArray:
        """Standard normal numbers of the devices of one side (n_rows, n_out), of which a share follows from the place.

        Parameters
        ----------
        own
            What they would be alone.
        seed
            Of the chip; None: functions of the place are 0.
        key
            Of the functions of the place.
        """
        if seed is None:
            return _mixed(own, [(self.die.common, np.zeros(()))])
        rows, outputs = own.shape
        down = self._along(rows, self.tile_rows)
        along = self._along(2 * outputs, self.tile_columns)
        gradient = _generator(seed, (*key, _GRADIENT)) if self.die.gradient_share else None
        normals = None
        if self.die.share:
            normals = _generator(seed, (*key, _LINES)).standard_normal((rows, 2 * outputs))
        terms = _functions_of_place(self.die, down, along, normals, gradient)
        return _mixed(own, [(share, values[:, side::2]) for share, values in terms])

    def _along(self, number: int, tile: int | None) -> FloatArray:
        index = np.arange(number)
        gaps = np.zeros(number) if tile is None else index // tile
        return index * self.die.device_pitch + gaps * self.die.tile_gap


@dataclass(frozen=True)
class SideDraws:
    """Random numbers of the positive or the negative devices of an array; see `DeviceDraws`."""

    seed: int | None
    key: Key
    shape: tuple[int, ...]
    places: DevicePlaces | None = None
    shift: Shift | None = None

    def draw(self, quantity: Quantity, attempt: int) -> FloatArray:
        """Numbers of `shape` for one quantity and one attempt, from 0, at writing the devices.

        Standard normal ones; for "fault" uniform ones from 0 to 1, for "temperature" deviations within +-1.
        """
        first = quantity == "programming" and attempt == 0
        key = (*self.key, *(() if first else (_QUANTITIES[quantity], attempt)))
        if quantity == "fault":
            return _uniform(self.seed, key, self.shape, None)
        placed = self.places is not None and quantity in _PLACED
        if quantity == "temperature":
            uniform = _uniform(self.seed, key, self.shape, self.shift)
            return _within_three_sigma(ndtr(self._placed(ndtri(uniform), quantity)) if placed else uniform)
        normal = _normal(self.seed, key, self.shape, self.shift)
        return self._placed(normal, quantity) if placed else normal

    def _placed(self, own: FloatArray, quantity: Quantity) -> FloatArray:
        """A device's place has the same say in every attempt at writing it."""
        assert self.places is not None
        stream, array, side = self.key
        return self.places.added(own, self.seed, (_STREAM_DIE, stream, array, _QUANTITIES[quantity]), side)


def draw_cell_parts(
    nominal: P, stream: int, layer: int, technology: Technology, seed: int | None, shift: Shift | None = None
) -> P:
    """Parts of the cells of hidden layer number `layer`, from 0, as they are made; see `draw_parts`.

    Parameters
    ----------
    stream
        Number of this group of parts, the same for all layers.
    """
    key = (_STREAM_DEEPER, layer, stream) if layer else (stream,)
    return draw_parts(nominal, key, technology, seed, shift, line=layer)


def draw_sense_parts(nominal: P, array: int, technology: Technology, seed: int | None, shift: Shift | None = None) -> P:
    """Parts of the amplifiers behind array number `array` as they are made; see `draw_parts`."""
    return draw_parts(nominal, (_STREAM_SENSE + array,), technology, seed, shift, line=array)


def draw_hold_parts(nominal: P, layer: int, technology: Technology, seed: int | None, shift: Shift | None = None) -> P:
    """Hold stages behind hidden layer number `layer`, from 0, as they are made; see `draw_parts`."""
    return draw_parts(nominal, (_STREAM_HOLD, layer), technology, seed, shift, line=layer)


def draw_code_errors(n_converters: int, n_codes: int, seed: int) -> NDArray[np.float32]:
    """Standard normal numbers, one for each code of each converter in front of the input array."""
    return _generator(seed, (_STREAM_CODES,)).standard_normal((n_converters, n_codes), dtype=np.float32)


class Samples:
    """Standard normal numbers of what a chip does anew at each run, one after another.

    Parameters
    ----------
    seed
        Of the chip.
    stream
        Number of the kind of noise.
    number
        Of the layer or array, from 0.
    """

    def __init__(self, seed: int, stream: int, number: int) -> None:
        self._generator = _generator(seed, (stream, number))

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The next numbers, of this shape."""
        return self._generator.standard_normal(shape, dtype=np.float32)


def hold_samples(seed: int, layer: int) -> Samples:
    """Numbers of all that the hold stages behind hidden layer number `layer` sample."""
    return Samples(seed, _STREAM_HOLD_NOISE, layer)


@dataclass(frozen=True, eq=False)
class ReadNoise:
    """Noise of the read-out behind an array.

    Parameters
    ----------
    sigma
        Of an output, in the units that it stands for.
    samples
        Its numbers.
    """

    sigma: float
    samples: Samples

    @classmethod
    def of(cls, seed: int, array: int, sigma: float) -> ReadNoise:
        """That of array number `array`."""
        return cls(sigma, Samples(seed, _STREAM_READ_NOISE, array))

    def drawn(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Noise of the next outputs, of this shape."""
        return np.float32(self.sigma) * self.samples.normal(shape)


@dataclass(frozen=True, eq=False)
class RunNoise:
    """What a chip does anew at each run: by it images one after another differ.

    Parameters
    ----------
    holds
        What the hold stages of each hidden layer sample; None: there are none.
    reads
        Noise of the read-out behind each array, the output array's last; None: there is none.
    """

    holds: tuple[Samples | None, ...]
    reads: tuple[ReadNoise | None, ...]

    @classmethod
    def none(cls, n_layers: int) -> RunNoise:
        """No noise at all, for a chip of so many hidden layers."""
        return cls((None,) * n_layers, (None,) * (n_layers + 1))


def calibration_inputs(array: int, n: int, n_rows: int) -> FloatArray:
    """Inputs that array number `array` is measured with, uniform in 0 to 1 and the same on all chips, (n, n_rows)."""
    return _generator(0, (_STREAM_CALIBRATION, array)).random((n, n_rows))


def sobol_normal(seed: int, dimensions: int, number: int) -> FloatArray:
    """Point number `number`, from 0, of a scrambled Sobol sequence, made standard normal; shape (dimensions,).

    Sobol', USSR Comput. Math. Math. Phys. 7(4):86, 1967; the scrambling is that of `scipy.stats.qmc.Sobol`.

    Parameters
    ----------
    seed
        Root seed of the chips.
    """
    first = number - number % _SOBOL_BLOCK
    return np.asarray(_sobol_block(seed, dimensions, first)[number - first])


@lru_cache(maxsize=4)
def _sobol_block(seed: int, dimensions: int, first: int) -> FloatArray:
    from scipy.stats.qmc import Sobol

    sequence = Sobol(dimensions, rng=_generator(seed, (_STREAM_SOBOL, dimensions)))
    if first:
        sequence.fast_forward(first)
    uniform = sequence.random(_SOBOL_BLOCK)
    # Points of the sequence lie on a grid that begins at 0.
    return np.asarray(ndtri(uniform + _SOBOL_HALF))


def draw_parts(
    nominal: P, key: Key, technology: Technology, seed: int | None, shift: Shift | None = None, *, line: int = 0
) -> P:
    """Parts as they are made and at the technology's temperature; with seed None they have no spread but the shift.

    Tolerances: normal with sigma = tolerance/3, cut at the tolerance, or uniform. Offsets and scale errors: normal
    with the data sheet's typical value as sigma. Of the variance, `lot_share` is common to all parts of one kind on
    the chip, and the shares of `Die` follow from their places. Temperature coefficients act on the distance from 300 K.

    Parameters
    ----------
    key
        Begins the key of the stream of each part, which its number within the group ends.
    shift
        Moves normal numbers; None: nothing does.
    line
        Number of the layer on the die, see `analog_fhn.technology.sections.Die`.
    """
    warmer = technology.conditions.temperature - NOMINAL_TEMPERATURE
    values = {}
    for index, described in enumerate(nominal.described()):
        kind, value = described.kind, getattr(nominal, described.name)
        if seed is not None or shift is not None:
            draw = _Draw(technology, described, seed, (*key, index), value, shift, line)
            drift = warmer * draw.deviation(kind.drift, _TEMPERATURE) if warmer and kind.drift else 0.0
            error = draw.deviation(kind.spread)
            value = value * (1.0 + error) * (1.0 + drift) if kind.relative else value + error + drift
        if described.compensates and getattr(technology, described.compensates).compensated:
            value = value * (1.0 + warmer / NOMINAL_TEMPERATURE)
        values[described.name] = value
    return type(nominal)(**values)


@dataclass(frozen=True, eq=False)
class _Draw:
    """Deviations of one component of all cells."""

    technology: Technology
    described: PartField
    seed: int | None
    key: Key
    nominal: FloatArray
    shift: Shift | None
    line: int

    def deviation(self, deviation: Deviation, *sub: int) -> FloatArray:
        section, n = getattr(self.technology, self.described.kind.section), len(self.nominal)
        width = getattr(section, deviation.field)
        if width == 0.0:
            return np.zeros(n)
        even = deviation.bounded and getattr(section, "distribution", "normal") == "uniform"
        shift = None if even else self.shift
        uniform = _uniform(self.seed, (*self.key, *sub), (n,), shift)
        if section.lot_share > 0.0 or self.technology.die.common:
            uniform = ndtr(_mixed(ndtri(uniform), self._common(section.lot_share, sub, shift)))
        if not deviation.bounded:
            return np.asarray(width * ndtri(uniform))
        if even:
            return np.asarray(width * (2.0 * uniform - 1.0))
        return np.asarray(width * _within_three_sigma(uniform))

    def _common(self, lot_share: float, sub: tuple[int, ...], shift: Shift | None) -> list[tuple[float, FloatArray]]:
        """Shares of the variance that parts have in common, by their lot and by their places, and what they share."""
        lot, die = (self.technology.LOTS[self.described.kind.section], *self._lot(), *sub), self.technology.die
        terms = []
        if lot_share > 0.0:
            terms.append((lot_share, _normal(self.seed, (_STREAM_LOT, *lot), (), shift)))
        if die.common and self.seed is None:
            terms.append((die.common, np.zeros(())))
        elif die.common and self.seed is not None:
            n, key = len(self.nominal), (_STREAM_DIE, _STREAM_LOT, *lot)
            normals = None
            if die.share:
                streams = (_generator(self.seed, (*key, _LINES + line)) for line in range(self.line + 1))
                normals = np.stack([stream.standard_normal(n) for stream in streams])
            gradient = _generator(self.seed, (*key, _GRADIENT)) if die.gradient_share else None
            lines, columns = (np.arange(number, dtype=np.float64) for number in (self.line + 1, n))
            placed = _functions_of_place(die, lines * die.layer_pitch, columns * die.cell_pitch, normals, gradient)
            terms += [(share, values[-1]) for share, values in placed]
        return terms

    def _lot(self) -> tuple[int, ...]:
        """One reel holds one value; amplifiers and multipliers of one lot have their errors in common."""
        if not self.described.kind.relative:
            return tuple(self.described.lot.encode())
        bits = int(np.float64(self.nominal[0]).view(np.uint64))
        return bits >> 32, bits & 0xFFFFFFFF


def _mixed(own: FloatArray, terms: list[tuple[float, FloatArray]]) -> FloatArray:
    """Standard normal numbers of which the shares of the variance in `terms` are these, the rest their own."""
    left = np.sqrt(max(0.0, 1.0 - sum(share for share, _ in terms)))
    return np.asarray(left * own + sum(np.sqrt(share) * values for share, values in terms))


def _functions_of_place(
    die: Die, down: FloatArray, along: FloatArray, normals: FloatArray | None, gradient: np.random.Generator | None
) -> list[tuple[float, FloatArray]]:
    """Shares of a die, and the normal functions that they belong to at a grid of places; see `Die`.

    Parameters
    ----------
    down, along
        Places of the grid's lines and columns (m), shapes (n,) and (m,).
    normals
        Independent standard normal numbers (n, m), of which the exponentially correlated function is made: along each
        direction it is a Markov chain, ``f(x) = r f(x') + sqrt(1 - r^2) N`` with ``r = exp(-(x - x')/length)``, so that
        what follows later changes nothing before. None: there is no such function.
    gradient
        Random numbers of the gradient; None: there is none.
    """
    terms = []
    if normals is not None:
        one_way = _chain(normals, down, die.length)
        terms.append((die.share, _chain(one_way.T, along, die.length).T))
    if gradient is not None:
        a, b, c, d = gradient.standard_normal(4)
        turn_down, turn_along = (np.sqrt(2.0) * place / die.gradient_length for place in (down, along))
        lines = a * np.cos(turn_down) + b * np.sin(turn_down)
        columns = c * np.cos(turn_along) + d * np.sin(turn_along)
        terms.append((die.gradient_share, (lines[:, None] + columns) / np.sqrt(2.0)))
    return terms


def _chain(normals: FloatArray, places: FloatArray, length: float) -> FloatArray:
    """Markov chains along the first axis, of correlation ``exp(-distance/length)`` and variance 1."""
    chained, steps = normals.copy(), np.diff(places) / length
    for k, (kept, fresh) in enumerate(zip(np.exp(-steps), np.sqrt(-np.expm1(-2.0 * steps)), strict=True), start=1):
        chained[k] = kept * chained[k - 1] + fresh * normals[k]
    return chained


def _within_three_sigma(uniform: FloatArray) -> FloatArray:
    """Normal with sigma 1/3, cut at +-1."""
    return np.asarray(ndtri(_TAIL + (1.0 - 2.0 * _TAIL) * uniform) / 3.0)


def _normal(seed: int | None, key: Key, shape: tuple[int, ...], shift: Shift | None) -> FloatArray:
    """Standard normal numbers, moved by the shift; without a seed they are 0 before."""
    normal = np.zeros(shape) if seed is None else np.asarray(_generator(seed, key).standard_normal(shape))
    return normal if shift is None else shift.moved(key, normal)


def _uniform(seed: int | None, key: Key, shape: tuple[int, ...], shift: Shift | None) -> FloatArray:
    """Numbers from 0 to 1, moved by the shift as standard normal ones; without a seed they are 1/2 before."""
    uniform = np.full(shape, 0.5) if seed is None else _generator(seed, key).random(shape)
    if shift is None:
        return uniform
    normal = np.asarray(ndtri(uniform))
    moved = shift.moved(key, normal)
    return uniform if moved is normal else np.asarray(ndtr(moved))


def _generator(seed: int, key: Key) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
