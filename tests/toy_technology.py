"""A technology of another circuit: film resistors between one supply and ground, with a corner of the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from analog_fhn.cell.parts import Deviation, Kind, Parts, part
from analog_fhn.neuron import FloatArray
from analog_fhn.technology import quantities as of
from analog_fhn.technology.sections import Conditions, SenseAmplifier
from analog_fhn.technology.technology import ErrorGroups, Header, PartKind, Technology
from analog_fhn.technology.typed_yaml import Section


class ToySupplies(Section):
    vdd: of.Voltage
    reference: of.Voltage


class Film(Section):
    tolerance: of.Tolerance
    lot_share: of.Share = 0.0


class ToyConditions(Conditions):
    corner: Literal["typical", "ff", "ss"] = "typical"


class ToySections(Header):
    supplies: ToySupplies
    film: Film


class ToyTechnology(Technology, ToySections):
    sense_amplifier: SenseAmplifier
    conditions: ToyConditions = ToyConditions()

    CLASSES: ClassVar[dict[str, PartKind]] = {"film": ("film", ("tolerance",)), **Technology.CLASSES}
    ERRORS: ClassVar[ErrorGroups] = {"film": {"film": {"tolerance": 0.0}}, **Technology.ERRORS}
    LOTS: ClassVar[dict[str, int]] = {"film": 1000, **Technology.LOTS}

    @property
    def rails(self) -> tuple[float, float]:
        return self.supplies.vdd, 0.0

    @property
    def column_range(self) -> float:
        return self.supplies.vdd - self.supplies.reference

    def check_sections(self) -> None:
        if self.supplies.reference >= self.supplies.vdd:
            raise ValueError(f"supplies.reference ({self.supplies.reference:g} V) must be below supplies.vdd")


FILM = Kind("film", True, Deviation("tolerance", True), None, "R", "ohm")


@dataclass(frozen=True)
class Films(Parts):
    first: FloatArray = part(FILM)
    second: FloatArray = part(FILM)


TEXT = """\
format: 1
name: films
source: a test
cell: toy
time_unit: 1.0e-3
supplies: {vdd: 1.8, reference: 1.1}
film: {tolerance: 0.03}
sense_amplifier: {offset_sigma: 1.0e-3, gain: 1.0e+5, gain_bandwidth: 1.0e+6, slew_rate: 1.0e+6, output_limit: 1.7}
array: {g_min: 0.0, g_max: 1.0e-5, levels: null, mapping: one-sided, clip_quantile: 1.0, read_voltage: 0.2}
conditions: {corner: ss}
classes:
  film:
  - {name: plain, price: 1.0, values: {tolerance: 0.03}}
  - {name: fine, price: 2.0, values: {tolerance: 0.01}}
"""
