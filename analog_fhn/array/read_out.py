"""What makes output voltages of the currents of an array's columns: the plug-in point for its circuits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from analog_fhn._support.plugins import named_class
from analog_fhn.cell.parts import Parts
from analog_fhn.neuron import FloatArray

if TYPE_CHECKING:
    from analog_fhn.array.crossbar import Crossbar
    from analog_fhn.array.wires import Ports
    from analog_fhn.technology.technology import Technology

# Module and class of every circuit, by the name that a technology's class calls it (`Technology.READ_OUT`).
READ_OUTS = {
    "transimpedance": ("analog_fhn.array.sense", "SenseParts"),
    "integrating": ("analog_fhn.array.integrating", "IntegratingParts"),
}


@dataclass(frozen=True)
class Columns:
    """Output voltages of an array and its read-out: ``V_out = V_row gain + offset``.

    Parameters
    ----------
    gain
        Output voltage per volt of a row, shape (n_rows, n_out), V/V.
    offset
        Output voltage without input (V), shape (n_out,).
    plus, minus
        Output voltage per ampere out of the positive and out of the negative column (ohm), shape (n_out,).
    """

    gain: FloatArray
    offset: FloatArray
    plus: FloatArray
    minus: FloatArray

    def outputs(self, currents: FloatArray) -> FloatArray:
        """Output voltages (n, n_out) for currents out of the columns (n, 2 n_out), without the offsets (V)."""
        return np.asarray(self.plus * currents[:, 0::2] + self.minus * currents[:, 1::2])


class ReadOut(Parts, ABC):
    """Parts of the stages behind an array, one stage per output."""

    @classmethod
    @abstractmethod
    def nominal(cls, target: Crossbar, technology: Technology, volts: float | None) -> Self:
        """Nominal stages of a layer, all alike: ``V_out = transresistance k V_row w`` summed over the rows.

        Parameters
        ----------
        target
            Conductances before programming.
        volts
            Output voltage of a weight of 1 at the read voltage; None: as large as `Technology.column_range` allows when
            the rows of all positive, or of all negative weights of a column are at the read voltage.
        """

    @property
    @abstractmethod
    def transresistance(self) -> FloatArray:
        """Output voltage per ampere of the difference of both columns' currents (ohm), shape (n_out,)."""

    @abstractmethod
    def columns(self, ports: Ports, technology: Technology) -> Columns:
        """Gains and offsets from the rows to the outputs.

        Parameters
        ----------
        ports
            Conductances and admittances of the array, whose columns are +, -, +, -, ...
        """

    @abstractmethod
    def offset_sigma(self, ports: Ports, technology: Technology) -> float:
        """Sigma of an output without input (V) that the stages' offsets make, rms over the outputs."""

    def read_noise(self, technology: Technology) -> float:
        """Standard deviation of the noise of one read of an output (V); read-outs that have some override this."""
        return 0.0

    @abstractmethod
    def nominal_offset_sigma(self, columns: FloatArray, technology: Technology) -> float:
        """The same without wires, for columns of these conductances (2 n_out,), +, -, +, -, ... (S)."""

    @abstractmethod
    def largest_noise_gain(self, ports: Ports) -> float:
        """Largest gain from an offset of an input amplifier to its own output."""

    @abstractmethod
    def with_null(self, volts: FloatArray) -> Self:
        """Stages whose offset nulls add these voltages (n_out,); see `null_gain`."""

    @abstractmethod
    def with_gain(self, factors: FloatArray) -> Self:
        """Stages whose transresistances are set to these multiples of themselves (n_out,)."""

    @abstractmethod
    def null_gain(self, minus: FloatArray) -> FloatArray:
        """Output voltage per volt of an offset null, shape (n_out,); `minus` are the sums of negative columns (S)."""

    @abstractmethod
    def largest_output(self, plus: float, difference: float) -> float:
        """What has to stay below `Technology.column_range` over the read voltage (V/V).

        Parameters
        ----------
        plus, difference
            Largest conductance of a positive column, and of the difference of a column's devices of one sign (S).
        """


def read_out_class(name: str) -> type[ReadOut]:
    """Class of a read-out by its name in `READ_OUTS`."""
    kind: type[ReadOut] = named_class(READ_OUTS, name, "read-out")
    return kind
