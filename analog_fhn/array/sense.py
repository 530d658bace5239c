"""Transimpedance stages of op-amps: what the columns of a crossbar become behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.array.read_out import Columns, ReadOut
from analog_fhn.array.wires import Ports
from analog_fhn.cell.parts import Deviation, Kind, part
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.e_series import downward, nearest
from analog_fhn.technology.sections import SenseAmplifier
from analog_fhn.technology.technology import Technology

SENSE_RESISTOR = Kind("sense_amplifier", True, Deviation("resistor_tolerance", True), None, "R", "ohm")
SENSE_OFFSET = Kind("sense_amplifier", False, Deviation("offset_sigma", False), Deviation("offset_drift", False))


@dataclass(frozen=True)
class SenseParts(ReadOut):
    """Transimpedance stages, one per output: U1 turns the positive column's current into U2's second input.

    Parameters
    ----------
    rf, ra, rb
        Feedback of U1, from U1 to U2, feedback of U2 (ohm).
    vos1, vos2
        Input offsets (V).
    """

    rf: FloatArray = part(SENSE_RESISTOR)
    ra: FloatArray = part(SENSE_RESISTOR)
    rb: FloatArray = part(SENSE_RESISTOR)
    vos1: FloatArray = part(SENSE_OFFSET, lot="vos")
    vos2: FloatArray = part(SENSE_OFFSET, lot="vos")

    @classmethod
    def nominal(cls, target: Crossbar, technology: Technology, volts: float | None) -> SenseParts:
        """See `nominal_sense`."""
        return nominal_sense(target, technology, volts)

    @property
    def transresistance(self) -> FloatArray:
        """Rb, as Ra is Rf."""
        return self.rb

    def columns(self, ports: Ports, technology: Technology) -> Columns:
        """See `columns`."""
        return columns(self, ports, technology)

    def offset_sigma(self, ports: Ports, technology: Technology) -> float:
        """See `ReadOut.offset_sigma`."""
        amplifier, gain = op_amps(technology), offset_gain(self, ports, technology)
        share = amplifier.lot_share + technology.die.common  # both offsets of a stage lie at one place
        power = np.mean((1.0 - share) * (gain**2).sum(axis=0) + share * gain.sum(axis=0) ** 2)
        return float(amplifier.offset_spread(technology.conditions.temperature) * np.sqrt(power))

    def nominal_offset_sigma(self, columns: FloatArray, technology: Technology) -> float:
        """See `ReadOut.nominal_offset_sigma`."""
        first, second = noise_gains(self, columns)
        gains = np.hypot(self.rb / self.ra * first, second)
        return float(op_amps(technology).offset_spread(technology.conditions.temperature) * np.sqrt(np.mean(gains**2)))

    def largest_noise_gain(self, ports: Ports) -> float:
        """``1 + Rf G`` of the largest positive column."""
        return float(np.max(noise_gains(self, ports.bit_diagonal)[0]))

    def with_null(self, volts: FloatArray) -> SenseParts:
        """The nulls act on the second amplifiers."""
        return replace(self, vos2=self.vos2 + volts)

    def with_gain(self, factors: FloatArray) -> SenseParts:
        """Rb is set, the feedback of the second amplifiers."""
        return replace(self, rb=self.rb * factors)

    def null_gain(self, minus: FloatArray) -> FloatArray:
        """``1 + Rb/Ra + Rb G-``."""
        return np.asarray(1.0 + self.rb / self.ra + self.rb * minus)

    def largest_output(self, plus: float, difference: float) -> float:
        """That of U1 or of U2."""
        return max(difference * float(self.rb[0]), plus * float(self.rf[0]))


def op_amps(technology: Technology) -> SenseAmplifier:
    """Amplifiers of the stages.

    Raises
    ------
    TypeError
        If the technology's stages are others.
    """
    amplifier = technology.sense_amplifier
    if not isinstance(amplifier, SenseAmplifier):
        raise TypeError(f"technology {technology.name!r} has no transimpedance stages")
    return amplifier


def nominal_sense(target: Crossbar, technology: Technology, volts: float | None) -> SenseParts:
    """Nominal transimpedance stages of a layer, all alike.

    ``V_out = Rb k V_row w`` summed over the rows. Ra = Rf is the largest value of the series with which U1 stays within
    `Technology.column_range` when all rows are at the read voltage.

    Parameters
    ----------
    target
        Conductances before programming.
    volts
        Output voltage of a weight of 1 at the read voltage; None: as large as `Technology.column_range` allows when the
        rows of all positive, or of all negative weights of a column are at the read voltage.
    """
    series, limit = op_amps(technology).series, technology.column_range
    read = technology.array.read_voltage
    # Without positive weights and with g_min = 0 there is no current: then that of one device.
    largest = (float(np.max(target.g_plus.sum(axis=0))) or technology.array.g_max) * read
    ra = downward(series, limit / largest, 1.0)[0]
    difference = target.g_plus - target.g_minus
    if volts is None:
        current = max(float(np.max(np.maximum(sign * difference, 0.0).sum(axis=0))) for sign in (1.0, -1.0)) * read
        rb = downward(series, limit / current, 1.0)[0] if current else ra
    else:
        rb = nearest(series, volts / (target.siemens_per_weight * read))
    return SenseParts.alike(difference.shape[1], {"rf": ra, "ra": ra, "rb": rb})


def columns(parts: SenseParts, ports: Ports, technology: Technology) -> Columns:
    """Gains and offsets from the rows to the outputs, by nodal analysis of the stage in `netlists/transimpedance.lib`.

    Its virtual grounds sit at the amplifiers' offsets, which push currents through the array: with the admittance Y of
    the columns, ``I = V_row G_eff - V_os Y``. Then ``V_half = Vos1 - Rf (I+ - Ib)`` and
    ``V_out = Vos2 (1 + Rb/Ra) - Rb (V_half/Ra + I- - Ib)``, each divided by ``1 + noise gain/A`` for the amplifiers'
    finite gain A. That is exact without wires; what these let the ``V/A`` of other columns push is left out.

    Parameters
    ----------
    parts
        Transimpedance stages.
    ports
        Conductances and admittances of the array, whose columns are +, -, +, -, ...
    """
    ib = op_amps(technology).input_current(technology.conditions.temperature)
    offsets = np.stack([parts.vos1, parts.vos2], axis=-1).reshape(-1)
    # V_os Y: currents that the offsets push through the array
    pushed = offsets * ports.bit_diagonal
    if ports.bit_coupling is not None:
        pushed += offsets @ ports.bit_coupling
    pushed = pushed.reshape(-1, 2)
    half_loss, loss = _losses(parts, ports, technology)
    plus, minus = ports.effective[:, 0::2], ports.effective[:, 1::2]
    ratio = parts.rf / (parts.ra * half_loss)
    half = (parts.vos1 + parts.rf * (pushed[:, 0] + ib)) / half_loss
    offset = parts.vos2 * (1.0 + parts.rb / parts.ra) - parts.rb * (half / parts.ra - pushed[:, 1] - ib)
    transresistance = parts.rb / loss
    return Columns(transresistance * (ratio * plus - minus), offset / loss, transresistance * ratio, -transresistance)


def noise_gains(parts: SenseParts, column: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Noise gains of U1 and of U2, to their own outputs, each of shape (n_out,): ``1 + Rf G+``, ``1 + Rb/Ra + Rb G-``.

    Parameters
    ----------
    parts
        Transimpedance stages.
    column
        Conductance of each column, shape (2 n_out,), +, -, +, -, ... (S).
    """
    return 1.0 + parts.rf * column[0::2], 1.0 + parts.rb / parts.ra + parts.rb * column[1::2]


def offset_gain(parts: SenseParts, ports: Ports, technology: Technology) -> FloatArray:
    """Noise gains of the offsets: output voltage of each column per volt of vos1, vos2 of the first, of the second, ...

    Shape (2 n_out, n_out); see `columns` for the equations and parameters. Without wires a column's output feels only
    its own two offsets: ``-Rb/Ra (1 + Rf G+)`` and ``1 + Rb/Ra + Rb G-`` with the columns' conductances.
    """
    half_loss, loss = _losses(parts, ports, technology)
    ratio = parts.rf / (parts.ra * half_loss)
    gain = parts.rb * (ports.bit_admittance[:, 1::2] - ratio * ports.bit_admittance[:, 0::2])
    stage = np.arange(len(parts))
    gain[2 * stage, stage] -= parts.rb / (parts.ra * half_loss)
    gain[2 * stage + 1, stage] += 1.0 + parts.rb / parts.ra
    return np.asarray(gain / loss)


def _losses(parts: SenseParts, ports: Ports, technology: Technology) -> tuple[FloatArray, FloatArray]:
    """Divisors of the outputs of U1 and U2 for their finite gains A, ``1 + noise gain/A``, each of shape (n_out,)."""
    first, second = noise_gains(parts, ports.bit_diagonal)
    gain = op_amps(technology).gain
    return 1.0 + first / gain, 1.0 + second / gain
