"""Trim codes: what digital potentiometers and offset nulls do to a chip, and which codes measured responses ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.sense import SenseParts
from analog_fhn.cell.stages import DriverParts
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.readout import recentring

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


@dataclass(frozen=True, eq=False)
class Codes:
    """Settings of one chip; whole numbers around 0, which changes nothing.

    Parameters
    ----------
    gain, offset
        Of each hidden neuron's row driver, shape (n_neurons,).
    output
        Of each output, shape (n_classes,).
    saturated_rows, saturated_outputs
        How many of the codes that were asked for, of the row drivers and of the outputs, lay beyond the range and stand
        at its end.
    """

    gain: IntArray
    offset: IntArray
    output: IntArray
    saturated_rows: int = 0
    saturated_outputs: int = 0

    @property
    def saturated(self) -> int:
        """How many of all codes stand at the end of their range and should be beyond it."""
        return self.saturated_rows + self.saturated_outputs

    @classmethod
    def none(cls, network: Network) -> Codes:
        """Codes of 0."""
        _, n_neurons, n_classes = network.layer_sizes
        none = np.zeros(n_neurons, dtype=np.int64)
        return cls(none, none, np.zeros(n_classes, dtype=np.int64))

    def applied(self, driver: DriverParts, sense: SenseParts, hardware: TrimHardware) -> tuple[DriverParts, SenseParts]:
        """Row drivers and output sense amplifiers with these codes set."""
        return (
            replace(
                driver,
                rf=driver.rf * (1.0 + hardware.gain_step * self.gain),
                rshift=driver.rshift * (1.0 + hardware.offset_step * self.offset),
            ),
            replace(sense, vos2=sense.vos2 + hardware.output_step * self.output),
        )

    def factors(self, hardware: TrimHardware) -> tuple[FloatArray, FloatArray]:
        """What the codes multiply the gain of a row by, and the current of its shift resistor; each (n_neurons,)."""
        gain = 1.0 + hardware.gain_step * self.gain
        return np.asarray(gain), np.asarray(1.0 / (1.0 + hardware.offset_step * self.offset))

    def with_rows(self, gain: FloatArray, shift: FloatArray, hardware: TrimHardware, *, shifted: bool = True) -> Codes:
        """Codes nearest to wanted factors (see `factors`).

        Parameters
        ----------
        shift
            That goes with the gain within the codes' reach.
        shifted
            Whether the rows are shifted at all; without recentring they are not, and the offset codes are kept.
        """
        gains, beyond = nearest_code((gain - 1.0) / hardware.gain_step, hardware.gain_bits)
        if not shifted:
            return replace(self, gain=gains, saturated_rows=beyond)
        with np.errstate(divide="ignore"):
            resistor = np.where(shift > 0.0, 1.0 / shift, np.inf)
        offsets, more = nearest_code((resistor - 1.0) / hardware.offset_step, hardware.offset_bits)
        return replace(self, gain=gains, offset=offsets, saturated_rows=beyond + more)


def nearest_code(wanted: FloatArray, bits: int) -> tuple[IntArray, int]:
    """Nearest whole number that `bits` can hold around 0, and how many values lay more than half a step beyond.

    Infinite values stand for any beyond the range.

    Raises
    ------
    InputError
        If a value is NaN.
    """
    unknown = np.flatnonzero(np.isnan(wanted))
    if unknown.size:
        raise InputError(f"code {unknown[0]} of {len(wanted)}: its wanted value is not a number; expected one")
    lowest, highest = code_range(bits)
    clipped = np.clip(wanted, lowest, highest)
    return np.rint(clipped).astype(np.int64), int(np.count_nonzero(np.abs(wanted - clipped) > 0.5))


def code_range(bits: int) -> tuple[int, int]:
    """Lowest and highest code of so many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


@dataclass(frozen=True, eq=False)
class Lines:
    """Responses as straight lines ``response = level + slope drive``, each of shape (n_neurons,).

    Parameters
    ----------
    worst
        Largest distance of a response from its neuron's line: how well a line says it.
    """

    level: FloatArray
    slope: FloatArray
    worst: FloatArray


def fit_lines(drives: FloatArray, responses: FloatArray) -> Lines:
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
    return Lines(level, slope, worst)


def codes_of_responses(lines: Lines, ideal: Lines, network: Network, hardware: TrimHardware) -> Codes:
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
            f"neuron {wrong[0]}: its response has the slope {lines.slope[wrong[0]]:.3g} over the drive; expected about "
            f"{float(ideal.slope[0]):.3g}"
        )
    scale, shift = recentring(network.hidden, network.fhn.a, network.fhn.gamma)
    gain = ideal.slope / lines.slope
    wanted = scale * ideal.level + shift
    none = Codes.none(network)
    if not network.recentre or shift == 0.0:
        return none.with_rows(gain, np.ones_like(gain), hardware, shifted=False)
    return none.with_rows(gain, (wanted / hardware.within_reach(gain) - scale * lines.level) / shift, hardware)


def beyond_gain_codes(lines: Lines, ideal: Lines, hardware: TrimHardware) -> list[int]:
    """Neurons whose slope no gain code mends, by more than half a step; `lines` and `ideal` as above."""
    wanted = (ideal.slope / lines.slope - 1.0) / hardware.gain_step
    lowest, highest = code_range(hardware.gain_bits)
    return [int(j) for j in np.flatnonzero((wanted < lowest - 0.5) | (wanted > highest + 0.5))]


def codes_of_ends(
    present: Codes,
    amplitude: FloatArray,
    centre: FloatArray,
    wanted: tuple[float, float],
    network: Network,
    hardware: TrimHardware,
    known: NDArray[np.bool_] | None = None,
) -> Codes:
    """Better codes, from what the rows do under the present ones: ``activation = centre + amplitude tanh(u)``.

    Parameters
    ----------
    amplitude, centre
        Measured, shape (n_neurons,).
    wanted
        Amplitude and centre of an ideal neuron.
    known
        Neurons whose ends were measured, shape (n_neurons,); the others keep their codes. None: all.
    """
    if known is not None:
        amplitude, centre = np.where(known, amplitude, wanted[0]), np.where(known, centre, wanted[1])
    shift = recentring(network.hidden, network.fhn.a, network.fhn.gamma)[1]
    gain, current = present.factors(hardware)
    better = gain * wanted[0] / amplitude
    if not network.recentre or shift == 0.0:
        return present.with_rows(better, current, hardware, shifted=False)
    shifted = current + (wanted[1] / hardware.within_reach(better) - centre / gain) / shift
    return present.with_rows(better, shifted, hardware)
