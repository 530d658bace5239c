"""Trim codes: what digital potentiometers and offset nulls do to a chip, and which codes measured responses ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.read_out import ReadOut
from analog_fhn.cell.base import CircuitCells
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class TrimHardware:
    """What can be set on every chip.

    Parameters
    ----------
    gain_bits, gain_range
        Digital potentiometer in the feedback of each row driver: ``Rf (1 + code step)``, from -range to +range.
    offset_bits, offset_range
        The same in the row driver's shift resistor: ``Rshift (1 + code step)``. Chips whose activations spread by 10 %
        (standard deviation) stay within the default ranges of both.
    output_bits, output_range
        Offset null of each output's second sense amplifier: ``vos2 + code step``, from -range to +range (V).

    Raises
    ------
    InputError
        If a number is out of range.
    """

    gain_bits: int = 8
    gain_range: float = 0.4
    offset_bits: int = 8
    offset_range: float = 0.4
    output_bits: int = 8
    output_range: float = 20e-3

    def __post_init__(self) -> None:
        for name in ("gain", "offset", "output"):
            bits, span = getattr(self, f"{name}_bits"), getattr(self, f"{name}_range")
            if not 1 <= bits <= 16:
                raise InputError(f"{name}_bits = {bits}: expected 1 to 16")
            largest = np.inf if name == "output" else 1.0
            if not 0.0 < span < largest:
                raise InputError(f"{name}_range = {span:g}: expected a number above 0 and below {largest:g}")

    @property
    def gain_step(self) -> float:
        """Relative change of Rf per code."""
        return float(2.0 * self.gain_range / 2**self.gain_bits)

    def within_reach(self, gain: FloatArray) -> FloatArray:
        """Factors of rows as the gain codes' range limits them; an offset code has to fit these."""
        lowest, highest = code_range(self.gain_bits)
        return np.asarray(np.clip(gain, 1.0 + self.gain_step * lowest, 1.0 + self.gain_step * highest))

    @property
    def offset_step(self) -> float:
        """Relative change of Rshift per code."""
        return float(2.0 * self.offset_range / 2**self.offset_bits)

    @property
    def output_step(self) -> float:
        """Change of an output amplifier's offset per code (V)."""
        return float(2.0 * self.output_range / 2**self.output_bits)


def rows_carry_activations(network: Network, layer: int) -> bool:
    """Whether the rows behind a hidden layer carry the activation, as they always do between layers, or x itself."""
    return network.recentre or network.held[layer] or layer < len(network.hidden_layers) - 1


@dataclass(frozen=True, eq=False)
class RowCodes:
    """Settings of the row drivers of one hidden layer; whole numbers around 0, which changes nothing.

    Parameters
    ----------
    gain, offset
        Of each neuron's row driver, shape (n_neurons,).
    saturated
        How many of the codes that were asked for lay beyond the range and stand at its end.
    """

    gain: IntArray
    offset: IntArray
    saturated: int = 0

    @classmethod
    def none(cls, n_neurons: int) -> RowCodes:
        """Codes of 0."""
        zero = np.zeros(n_neurons, dtype=np.int64)
        return cls(zero, zero)

    def applied(self, cells: CircuitCells, hardware: TrimHardware) -> CircuitCells:
        """Cells with these codes set.

        Raises
        ------
        InputError
            If a code is not 0 and such cells have none.
        """
        if not (self.gain.any() or self.offset.any()):
            return cells
        gain = np.asarray(1.0 + hardware.gain_step * self.gain)
        shift = np.asarray(1.0 + hardware.offset_step * self.offset)
        return cells.cell.cells(cells.cell.trimmed(cells.parts, gain, shift))

    def factors(self, hardware: TrimHardware) -> tuple[FloatArray, FloatArray]:
        """What the codes multiply the gain of a row by, and the current of its shift resistor; each (n_neurons,)."""
        gain = 1.0 + hardware.gain_step * self.gain
        return np.asarray(gain), np.asarray(1.0 / (1.0 + hardware.offset_step * self.offset))

    def with_factors(
        self, gain: FloatArray, shift: FloatArray, hardware: TrimHardware, *, shifted: bool = True
    ) -> RowCodes:
        """Codes nearest to these factors (see `factors`).

        Parameters
        ----------
        shift
            That goes with the gain within the codes' reach.
        shifted
            Whether the rows are shifted at all; if not, the offset codes stay as they are.
        """
        gains, beyond = nearest_code((gain - 1.0) / hardware.gain_step, hardware.gain_bits)
        if not shifted:
            return RowCodes(gains, self.offset, beyond)
        with np.errstate(divide="ignore"):
            resistor = np.where(shift > 0.0, 1.0 / shift, np.inf)
        offsets, more = nearest_code((resistor - 1.0) / hardware.offset_step, hardware.offset_bits)
        return RowCodes(gains, offsets, beyond + more)


@dataclass(frozen=True, eq=False)
class TrimCodes:
    """Settings of one chip.

    Parameters
    ----------
    rows
        Of the row drivers of each hidden layer.
    output
        Of the offset null of each output, shape (n_classes,); whole numbers around 0, which changes nothing.
    saturated_outputs
        How many of these that were asked for lay beyond the range and stand at its end.
    """

    rows: tuple[RowCodes, ...]
    output: IntArray
    saturated_outputs: int = 0

    @classmethod
    def none(cls, network: Network) -> TrimCodes:
        """Codes of 0."""
        rows = tuple(RowCodes.none(dense.n_out) for dense in network.hidden_layers)
        return cls(rows, np.zeros(network.output.n_out, dtype=np.int64))

    @property
    def saturated_rows(self) -> int:
        """How many codes of row drivers stand at the end of their range and should be beyond it."""
        return sum(rows.saturated for rows in self.rows)

    @property
    def saturated(self) -> int:
        """How many of all codes stand at the end of their range and should be beyond it."""
        return self.saturated_rows + self.saturated_outputs

    def with_rows(self, layer: int, rows: RowCodes) -> TrimCodes:
        """The same with other codes of one hidden layer."""
        return replace(self, rows=(*self.rows[:layer], rows, *self.rows[layer + 1 :]))

    def null(self, sense: ReadOut, hardware: TrimHardware) -> ReadOut:
        """Output amplifiers with the offset nulls set."""
        return sense.with_null(np.asarray(hardware.output_step * self.output, dtype=np.float64))


def nearest_code(exact: FloatArray, bits: int) -> tuple[IntArray, int]:
    """Nearest whole number that `bits` can hold around 0, and how many values lay more than half a step beyond.

    Infinite values stand for any beyond the range.

    Raises
    ------
    InputError
        If a value is NaN.
    """
    unknown = np.flatnonzero(np.isnan(exact))
    if unknown.size:
        raise InputError(f"code {unknown[0]} of {len(exact)}: its wanted value is not a number; expected one")
    lowest, highest = code_range(bits)
    clipped = np.clip(exact, lowest, highest)
    return np.rint(clipped).astype(np.int64), int(np.count_nonzero(np.abs(exact - clipped) > 0.5))


def code_range(bits: int) -> tuple[int, int]:
    """Lowest and highest code of so many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


@dataclass(frozen=True, eq=False)
class ResponseLines:
    """Responses as straight lines ``response = level + slope drive``, each of shape (n_neurons,).

    Parameters
    ----------
    worst
        Largest distance of a response from its neuron's line: how well a line says it.
    """

    level: FloatArray
    slope: FloatArray
    worst: FloatArray


def fit_lines(drives: FloatArray, responses: FloatArray) -> ResponseLines:
    """Least squares, neuron by neuron.

    Parameters
    ----------
    drives, responses
        Shape (m, n_neurons); NaN where a neuron was not measured.
    """
    known = np.isfinite(drives) & np.isfinite(responses)
    count = known.sum(axis=0)
    x, y = np.where(known, drives, 0.0), np.where(known, responses, 0.0)
    x_mean, y_mean = x.sum(axis=0) / count, y.sum(axis=0) / count
    dx, dy = np.where(known, x - x_mean, 0.0), np.where(known, y - y_mean, 0.0)
    slope = (dx * dy).sum(axis=0) / (dx**2).sum(axis=0)
    level = y_mean - slope * x_mean
    worst = np.abs(np.where(known, y - level - slope * x, 0.0)).max(axis=0)
    return ResponseLines(level, slope, worst)


@dataclass(frozen=True)
class RowTarget:
    """What the rows behind a hidden layer should carry: ``h = scale x + shift`` of ideal neurons.

    Parameters
    ----------
    scale, shift
        Of the recentring.
    recentred
        Whether they carry h; if not, they carry x, and no shift resistor is in place.
    place
        What messages add to a neuron's number; "" where there is one hidden layer alone.
    """

    scale: float
    shift: float
    recentred: bool
    place: str = ""

    @classmethod
    def of(cls, network: Network, layer: int) -> RowTarget:
        """Of a network's hidden layer."""
        place = f" of hidden layer {layer + 1}" if len(network.hidden_layers) > 1 else ""
        return cls(*network.recentring(layer), rows_carry_activations(network, layer), place)

    @property
    def shifted(self) -> bool:
        """Whether there is a shift that an offset code sets."""
        return self.recentred and self.shift != 0.0

    def of_response(self, level: float, slope: float, gamma: float) -> tuple[float, float]:
        """Amplitude and centre of a row, ``centre + amplitude tanh(u)``, where ``x = level + slope gamma tanh(u)``."""
        scale, shift = (self.scale, self.shift) if self.recentred else (1.0, 0.0)
        return scale * slope * gamma, scale * level + shift


def codes_of_responses(
    lines: ResponseLines, ideal: ResponseLines, rows: RowTarget, hardware: TrimHardware
) -> RowCodes:  # fmt: skip
    """Codes that turn measured responses of x into the activations of ideal neurons, with nominal row drivers.

    ``h = f_g (G x + O f_o)``, G and O of the recentring: f_g takes the slope back, f_o the level.

    Parameters
    ----------
    lines
        Measured.
    ideal
        Of one ideal neuron, shapes (1,).

    Raises
    ------
    InputError
        If the response of a neuron does not fall with its drive: then no gain makes it right.
    """
    wrong = np.flatnonzero(lines.slope * ideal.slope <= 0.0)
    if wrong.size:
        raise InputError(
            f"neuron {wrong[0]}{rows.place}: its response has the slope {lines.slope[wrong[0]]:.3g} over the drive; "
            f"expected about {float(ideal.slope[0]):.3g}"
        )
    gain, none = ideal.slope / lines.slope, RowCodes.none(len(lines.slope))
    if not rows.shifted:
        return none.with_factors(gain, np.ones_like(gain), hardware, shifted=False)
    centre = rows.scale * ideal.level + rows.shift
    shift = (centre / hardware.within_reach(gain) - rows.scale * lines.level) / rows.shift
    return none.with_factors(gain, shift, hardware)


def beyond_gain_codes(lines: ResponseLines, ideal: ResponseLines, hardware: TrimHardware) -> list[int]:
    """Neurons whose slope no gain code mends, by more than half a step; `lines` and `ideal` as above."""
    exact = (ideal.slope / lines.slope - 1.0) / hardware.gain_step
    lowest, highest = code_range(hardware.gain_bits)
    return [int(j) for j in np.flatnonzero((exact < lowest - 0.5) | (exact > highest + 0.5))]


def codes_of_ends(
    present: RowCodes,
    amplitude: FloatArray,
    centre: FloatArray,
    ideal: tuple[float, float],
    rows: RowTarget,
    hardware: TrimHardware,
    known: NDArray[np.bool_] | None = None,
) -> RowCodes:
    """Better codes, from what the rows do under the present ones: ``activation = centre + amplitude tanh(u)``.

    Parameters
    ----------
    amplitude, centre
        Measured, shape (n_neurons,).
    ideal
        Amplitude and centre of an ideal neuron.
    known
        Neurons whose ends were measured, shape (n_neurons,); the others keep their codes. None: all.
    """
    if known is not None:
        amplitude, centre = np.where(known, amplitude, ideal[0]), np.where(known, centre, ideal[1])
    gain, current = present.factors(hardware)
    better = gain * ideal[0] / amplitude
    if not rows.shifted:
        return present.with_factors(better, current, hardware, shifted=False)
    shifted = current + (ideal[1] / hardware.within_reach(better) - centre / gain) / rows.shift
    return present.with_factors(better, shifted, hardware)
