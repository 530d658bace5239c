"""The technology of the cell `sources`: what its files hold, and what of it spreads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from analog_fhn.technology import quantities as of
from analog_fhn.technology.sections import Passive, SenseAmplifier
from analog_fhn.technology.technology import ErrorGroups, Header, PartKind, Technology
from analog_fhn.technology.typed_yaml import Section


class Rails(Section):
    """Supplies of the amplifiers behind the arrays, and what the arrays' outputs may reach (V)."""

    positive: of.Voltage
    negative: of.NegativeVoltage
    linear_range: of.Voltage


class CurrentSource(Section):
    """Controlled sources.

    Parameters
    ----------
    resistance
        What makes 1 V a current (ohm).
    offset_sigma
        Sigma of the input offset (V).
    lot_share
        Share of its variance that all sources of a chip have in common.
    """

    resistance: of.Resistance
    offset_sigma: of.ErrorVoltage
    lot_share: of.Share = 0.0


class SourcesSections(Header):
    """Sections of such a file that stand before those of the arrays."""

    supplies: Rails
    current_source: CurrentSource
    resistor: Passive
    capacitor: Passive


class SourcesTechnology(Technology, SourcesSections):
    """Two resistors, two capacitors and four controlled sources a cell; behind the arrays amplifiers of a board."""

    CLASSES: ClassVar[Mapping[str, PartKind]] = {
        "resistor": ("resistor", ("tolerance", "temperature_coefficient")),
        "capacitor": ("capacitor", ("tolerance", "temperature_coefficient")),
        **Technology.CLASSES,
    }
    ERRORS: ClassVar[ErrorGroups] = {
        "resistor": {"resistor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
        "capacitor": {"capacitor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
        "current_source": {"current_source": {"offset_sigma": 0.0}},
        "amplifier_offset": {"sense_amplifier": {"offset_sigma": 0.0, "offset_drift": 0.0}},
        "amplifier_gain": {"sense_amplifier": {"resistor_tolerance": 0.0}},
        **Technology.ERRORS,
    }
    # Numbers of random streams, which must not change: a chip is made of them. 0 to 6 are taken by this package.
    LOTS: ClassVar[Mapping[str, int]] = {"resistor": 1001, "capacitor": 1002, "current_source": 1003, **Technology.LOTS}

    sense_amplifier: SenseAmplifier

    @property
    def rails(self) -> tuple[float, float]:
        """See `Technology.rails`."""
        return self.supplies.positive, self.supplies.negative

    @property
    def column_range(self) -> float:
        """See `Technology.column_range`."""
        return self.supplies.linear_range

    def check_sections(self) -> None:
        """Refuse a linear range that the supplies do not leave room for."""
        if self.supplies.linear_range >= min(self.supplies.positive, -self.supplies.negative):
            raise ValueError(f"supplies.linear_range ({self.supplies.linear_range:g} V) must be below the supplies")
