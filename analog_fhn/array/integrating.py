"""Integrating read-out of a chip of transistors: copies of the columns' currents charge a capacitor during a read.

The circuit is `netlists/column_readout.lib`. Regulated current sinks hold both columns at one voltage; copies of their
currents, smaller by a fixed ratio, charge and discharge a capacitor while the rows are driven. What flows without input
is taken off before (auto-zero), so that errors of the sinks' voltages and currents leave no offset but what switches
leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.array.read_out import Columns, ReadOut
from analog_fhn.array.wires import Ports
from analog_fhn.cell.parts import CAPACITOR, Deviation, Kind, part
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

MIRROR = Kind("sense_amplifier", False, Deviation("mirror_sigma", False))
OFFSET = Kind("sense_amplifier", False, Deviation("offset_sigma", False))


@dataclass(frozen=True)
class IntegratingParts(ReadOut):
    """Stages that integrate, one per output.

    Parameters
    ----------
    r
        Transresistance (ohm): duration of a read over ratio of the copies and capacitor, whose deviation it has.
    plus, minus
        Relative errors of the copies of both columns' currents.
    offset
        Difference of the columns' currents that gives the output without input (A).
    """

    r: FloatArray = part(CAPACITOR, "integrates the copies of the columns' currents")
    plus: FloatArray = part(MIRROR, lot="mirror")
    minus: FloatArray = part(MIRROR, lot="mirror")
    offset: FloatArray = part(OFFSET, lot="offset")

    @classmethod
    def nominal(cls, target: Crossbar, technology: Technology, volts: float | None) -> Self:
        """Nominal stages; see `ReadOut.nominal`. The capacitor sets the gain."""
        read = technology.array.read_voltage
        difference = target.g_plus - target.g_minus
        if volts is None:
            current = max(float(np.max(np.maximum(sign * difference, 0.0).sum(axis=0))) for sign in (1.0, -1.0)) * read
            ohms = technology.column_range / (current or technology.array.g_max * read)
        else:
            ohms = volts / (target.siemens_per_weight * read)
        return cls.alike(difference.shape[1], {"r": ohms})

    @property
    def transresistance(self) -> FloatArray:
        """See `ReadOut.transresistance`."""
        return self.r

    def columns(self, ports: Ports, technology: Technology) -> Columns:
        """See `ReadOut.columns`: ``V_out = R ((1 + e+) I+ - (1 + e-) I- + I_os)``.

        Where the read voltage is proportional to the absolute temperature, gains are those at 300 K times it.
        """
        made = _silicon(technology)
        warmer = technology.conditions.temperature / NOMINAL_TEMPERATURE if made.drive.compensated else 1.0
        plus, minus = ports.effective[:, 0::2], ports.effective[:, 1::2]
        gain = self.transresistance * ((1.0 + self.plus) * plus - (1.0 + self.minus) * minus)
        each = warmer * self.transresistance
        return Columns(
            warmer * gain, self.transresistance * self.offset, each * (1.0 + self.plus), -each * (1.0 + self.minus)
        )

    def offset_sigma(self, ports: Ports, technology: Technology) -> float:
        """See `ReadOut.offset_sigma`."""
        return _silicon(technology).sense_amplifier.offset_sigma * float(self.transresistance[0])

    def read_noise(self, technology: Technology) -> float:
        """See `ReadOut.read_noise`."""
        return _silicon(technology).sense_amplifier.noise * float(self.transresistance[0])

    def nominal_offset_sigma(self, columns: FloatArray, technology: Technology) -> float:
        """See `ReadOut.nominal_offset_sigma`."""
        return _silicon(technology).sense_amplifier.offset_sigma * float(self.transresistance[0])

    def largest_noise_gain(self, ports: Ports) -> float:
        """See `ReadOut.largest_noise_gain`: offsets of the sinks are taken off before each read."""
        return 0.0

    def with_null(self, volts: FloatArray) -> Self:
        """See `ReadOut.with_null`."""
        return replace(self, offset=self.offset + volts / self.transresistance)

    def with_gain(self, factors: FloatArray) -> Self:
        """See `ReadOut.with_gain`: the duration of a read is set, output by output."""
        return replace(self, r=self.r * factors)

    def null_gain(self, minus: FloatArray) -> FloatArray:
        """See `ReadOut.null_gain`."""
        return np.ones(len(self))

    def largest_output(self, plus: float, difference: float) -> float:
        """See `ReadOut.largest_output`."""
        return difference * float(self.transresistance[0])


def _silicon(technology: Technology) -> SiliconTechnology:
    """The technology, whose class says that it reads out by integration."""
    assert isinstance(technology, SiliconTechnology)
    return technology
