"""What a circuit in front of the neurons says of itself: one kind for each curve of a drive stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

import numpy as np

from analog_fhn.cell.base import DriveStage
from analog_fhn.cell.parts import Parts
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.ngspice.text import Instance
from analog_fhn.readout import Activation
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE


class DriveParts(Parts):
    """Parts of the circuits that make drives of pre-activations."""


P = TypeVar("P", bound=DriveParts)


@dataclass(frozen=True, eq=False)
class DriveCircuit(ABC, Generic[P]):
    """The drive stages of a layer's cells as laid out.

    Parameters
    ----------
    fhn, unit, technology, n_cells, ceiling
        Of the cells.
    sx
        Voltage per unit of x (V).
    """

    fhn: FHN
    unit: Activation
    technology: BoardTechnology
    n_cells: int
    ceiling: float
    sx: float

    # In words, and the number of the random stream of its parts.
    NAME: ClassVar[str]
    STREAM: ClassVar[int]
    # Libraries, each after those that it needs.
    LIBRARIES: ClassVar[tuple[str, ...]]
    # Parts that leave each of the errors.
    CULPRITS: ClassVar[Mapping[str, str]]

    @cached_property
    @abstractmethod
    def nominal(self) -> P:
        """Nominal parts.

        Raises
        ------
        InputError
            If the technology cannot make them.
        """

    @property
    @abstractmethod
    def volts_per_z(self) -> float:
        """Input voltage that stands for a pre-activation of 1 (V)."""

    @abstractmethod
    def stage(self, parts: P, summing_volts: FloatArray) -> DriveStage:
        """What stages of these parts make of z, at the technology's temperature and supplies.

        The drive is the current out of U2's summing node, in units of Sx/R4.

        Parameters
        ----------
        parts
            Values at the technology's temperature.
        summing_volts
            Voltage of the summing node, the offset of U2 (V), shape (n,).
        """

    @abstractmethod
    def load(self, parts: P) -> FloatArray:
        """Conductance (S) that the stages add to the summing nodes, shape (n,); a neuron's netlist alone has none."""

    @abstractmethod
    def noise(self, parts: P, gain: FloatArray) -> FloatArray:
        """Density (A/sqrt(Hz)) of their own white noise at the summing nodes, shape (n,).

        Parameters
        ----------
        gain
            Of their drive stage, shape (n,).
        """

    def amplifier_noise(self, parts: P) -> FloatArray:
        """White density (A/sqrt(Hz)) of the op-amps of the stages alone at the summing nodes, shape (n,).

        A circuit that has op-amps overrides this.
        """
        return np.zeros(len(parts))

    @abstractmethod
    def instance(self, values: dict[str, float], suffix: str) -> Instance:
        """Netlist of one stage from node `z` to `sum2`.

        Parameters
        ----------
        values
            Of its parts, by their names.
        suffix
            Of every node and name.
        """

    @abstractmethod
    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """See `analog_fhn.cell.base.Cell.devices`."""

    def errors(self) -> dict[str, float]:
        """Relative errors that the E series leave in gamma and in the slope."""
        wanted = DriveStage.ideal(self.unit, self.fhn, 1, self.ceiling)
        stage = self.nominal_stage()
        return {
            "gamma": float(stage.gain[0]) / float(wanted.gain[0]) - 1.0,
            "slope": float(stage.slope[0]) / float(wanted.slope[0]) - 1.0,
        }

    def nominal_stage(self) -> DriveStage:
        """One stage of nominal parts under nominal conditions."""
        nominal = self.technology.under(temperature=NOMINAL_TEMPERATURE, supply=1.0)
        return replace(self, technology=nominal).stage(self.nominal[:1], np.zeros(1))

    def supplies(self) -> dict[str, float]:
        """Name and voltage (V) of every supply that they need besides those of the neurons."""
        return {}

    def levels(self) -> dict[str, float]:
        """Largest voltage of each amplifier's output while z is within its range (V)."""
        return {}

    def loads(self) -> dict[str, float]:
        """Largest current that each amplifier delivers, those in front of the stages too (A)."""
        return {}
