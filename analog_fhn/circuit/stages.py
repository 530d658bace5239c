"""What stands before and behind each neuron: the tanh pair that makes its drive, the driver of its row."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analog_fhn.neuron import FloatArray


class Parts:
    """Component values of n neurons; every field of a subclass has shape (n,)."""

    def __len__(self) -> int:
        return len(self.items()[0][1])

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        return type(self)(**{name: value[index] for name, value in self.items()})

    def items(self) -> list[tuple[str, FloatArray]]:
        """Name and values of every component, in the order of the fields."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]


@dataclass(frozen=True)
class PairParts(Parts):
    """Tanh pairs: a transconductance amplifier with an attenuator on each input.

    Parameters
    ----------
    rs1, rp1, rs2, rp2
        Series and shunt resistors of the two inputs (ohm).
    rabc
        Sets the tail current from ground (ohm).
    vos
        Input offset of the pair (V).
    tail, positive, negative
        Mismatch of the base-emitter voltages in the tail mirror, in the mirror of the current that leaves the output,
        and in those of the current that enters it (V): a mirror's ratio is exp(mismatch/V_T).
    bn, bp
        Current gains of the npn and pnp transistors.
    """

    rs1: FloatArray
    rp1: FloatArray
    rs2: FloatArray
    rp2: FloatArray
    rabc: FloatArray
    vos: FloatArray
    tail: FloatArray
    positive: FloatArray
    negative: FloatArray
    bn: FloatArray
    bp: FloatArray


@dataclass(frozen=True)
class DriverParts(Parts):
    """Row drivers: an inverting amplifier that sums -V(x) and a reference.

    Parameters
    ----------
    rin, rf, rshift
        Resistors from the input, in the feedback, and from the reference (ohm).
    vos
        Input offset of the amplifier (V).
    """

    rin: FloatArray
    rf: FloatArray
    rshift: FloatArray
    vos: FloatArray
