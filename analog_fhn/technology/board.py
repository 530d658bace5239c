"""Parts of a board of operational amplifiers: the technology of the cell `opamp_fhn`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from analog_fhn.technology import quantities as of
from analog_fhn.technology.sections import ESeries, OpAmp, Passive, SenseAmplifier
from analog_fhn.technology.technology import AMPLIFIER_FIELDS, ErrorGroups, Header, PartKind, Technology
from analog_fhn.technology.typed_yaml import Section


class Supplies(Section):
    """Supply rails and the voltage range that the design may use (V)."""

    positive: of.Voltage
    negative: of.NegativeVoltage
    reference: of.Voltage
    linear_range: of.Voltage
    minimum_scale: of.VoltageScale


class NeuronBase(Section):
    """Resistors that set the impedance level of the neuron (ohm)."""

    r1: of.Resistance
    r4: of.Resistance
    ra: of.Resistance


class CellOpAmp(OpAmp):
    """Operational amplifier of the cells; see `OpAmp`.

    Parameters
    ----------
    noise_corner
        Frequency f_c (Hz) below which 1/f noise exceeds the white noise: the input voltage noise has the density
        ``voltage_noise_density^2 (1 + f_c/f)`` (TI, SLOA011, section 5.9); 0: white noise alone.
    """

    noise_corner: of.NoiseCorner = 0.0


class Multiplier(Section):
    """Four-quadrant multiplier W = X Y / scale.

    Parameters
    ----------
    scale
        Scale voltage (V).
    scale_sigma, offset_sigma
        Relative scale error; X, Y and output offsets (V); typical, taken as sigma.
    bandwidth, output_limit, quiescent_current
        Bandwidth (Hz), output swing on the nominal supplies (V), supply current (A).
    slew_rate
        Slew rate of the output (V/s), with which the circuit check compares; null: not known. The netlist's multiplier
        has none.
    voltage_noise_density
        Output voltage noise, white part (V/sqrt(Hz)).
    lot_share
        As for passives, for scale errors and offsets.
    """

    scale: of.Voltage
    scale_sigma: of.Tolerance
    offset_sigma: of.ErrorVoltage
    bandwidth: of.Bandwidth
    output_limit: of.Voltage
    slew_rate: of.SlewRate | None = None
    quiescent_current: of.SupplyCurrent = 0.0
    voltage_noise_density: of.NoiseVoltage = 0.0
    lot_share: of.Share = 0.0


class TanhPair(Section):
    """Bipolar differential pair with tail source and current mirrors (an LM13700-type transconductance amplifier).

    Parameters
    ----------
    volts_per_unit
        V_z for z = 1, in front of the attenuator (V).
    shunt
        Lower resistor of each input's attenuator (ohm).
    compensated
        Whether the shunts have the temperature coefficient 1/300 K, which follows the pair's thermal voltage.
    offset_sigma
        Input offset of the pair (V), typical, taken as sigma.
    mirror_sigma
        Mismatch of the base-emitter voltages in each of the tail, positive and negative mirrors (V).
    beta_npn, beta_pnp, beta_tolerance
        Current gains and their relative tolerance (3 sigma, one draw per package).
    saturation_current, early_voltage
        Of all transistors at 300 K (A, V).
    lot_share
        As for passives, for offsets, mirrors and current gains.
    """

    volts_per_unit: of.VoltageScale
    shunt: of.Resistance
    compensated: bool
    offset_sigma: of.ErrorVoltage
    mirror_sigma: of.ErrorVoltage
    beta_npn: of.CurrentGain
    beta_pnp: of.CurrentGain
    beta_tolerance: of.Tolerance
    saturation_current: of.SaturationCurrent
    early_voltage: of.EarlyVoltage
    lot_share: of.Share = 0.0


class Rectifier(Section):
    """Drive stage of a relu: a follower that passes positive voltages, behind a clamp that ends them at a limit.

    Its amplifiers are those of `opamp`, its resistors those of `resistor`.

    Parameters
    ----------
    full_scale
        Limit (V), which stands for the ceiling, below the reference. The largest limit that the amplifiers behind the
        arrays reach makes the offsets smallest. The design may move it by up to a tenth, where that gives the series a
        better value for the resistor behind it.
    input_resistor
        In front of the clamp (ohm): takes up what the input is beyond the limit, or below 0.
    divider
        Resistor between the reference and the limit (ohm).
    saturation_current, emission_coefficient
        Of the diodes, at 300 K (A); their leakage, which grows with temperature as the saturation current does.
    """

    full_scale: of.VoltageScale = 5.0
    input_resistor: of.Resistance = 10.0e3
    divider: of.Resistance = 100.0e3
    saturation_current: of.DiodeCurrent = 2.5e-9
    emission_coefficient: of.EmissionCoefficient = 1.75


class RowDriver(Section):
    """Amplifier that shifts and attenuates V(x) to the rows of the output array: its input resistor (ohm)."""

    input_resistor: of.Resistance


class BoardSections(Header):
    """Sections of a board, in the order in which files are written."""

    supplies: Supplies
    neuron: NeuronBase
    resistor: Passive
    capacitor: Passive
    opamp: CellOpAmp
    multiplier: Multiplier
    tanh_pair: TanhPair
    rectifier: Rectifier = Rectifier()
    row_driver: RowDriver


_PASSIVE = ("tolerance", "temperature_coefficient")


class BoardTechnology(Technology, BoardSections):
    """Boards of operational amplifiers, multipliers, bipolar pairs, resistors and capacitors."""

    CLASSES: ClassVar[Mapping[str, PartKind]] = {
        "resistor": ("resistor", _PASSIVE),
        "capacitor": ("capacitor", _PASSIVE),
        "opamp": ("opamp", (*AMPLIFIER_FIELDS, "noise_corner")),
        "multiplier": (
            "multiplier",
            ("scale_sigma", "offset_sigma", "bandwidth", "slew_rate", "quiescent_current", "voltage_noise_density"),
        ),
        "tanh_pair": ("tanh_pair", ("offset_sigma", "mirror_sigma", "beta_tolerance")),
        "sense_amplifier": ("sense_amplifier", AMPLIFIER_FIELDS),
        # The three resistors of each transimpedance stage, bought apart from its amplifiers.
        "sense_resistor": ("sense_amplifier", ("resistor_tolerance",)),
        **Technology.CLASSES,
    }
    ERRORS: ClassVar[ErrorGroups] = {
        "resistor": {"resistor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
        "capacitor": {"capacitor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
        "opamp": {"opamp": {"offset_sigma": 0.0, "offset_drift": 0.0}},
        "multiplier": {"multiplier": {"scale_sigma": 0.0, "offset_sigma": 0.0}},
        "tanh_pair": {"tanh_pair": {"offset_sigma": 0.0, "mirror_sigma": 0.0, "beta_tolerance": 0.0}},
        **{group: Technology.ERRORS[group] for group in Technology.SHORT["array"]},
        "amplifier_offset": {"sense_amplifier": {"offset_sigma": 0.0, "offset_drift": 0.0}},
        "amplifier_gain": {"sense_amplifier": {"resistor_tolerance": 0.0}},
        **Technology.ERRORS,
        "flicker": {"opamp": {"noise_corner": 0.0}},
    }
    LOTS: ClassVar[Mapping[str, int]] = {
        "resistor": 0, "capacitor": 1, "opamp": 2, "multiplier": 3, "tanh_pair": 4, **Technology.LOTS,
    }  # fmt: skip
    INPUT_SCALES: ClassVar[Mapping[str, str]] = {"tanh": "tanh_pair.volts_per_unit", "ramp": "rectifier.full_scale"}

    sense_amplifier: SenseAmplifier

    @property
    def rails(self) -> tuple[float, float]:
        """See `Technology.rails`."""
        return self.supplies.positive, self.supplies.negative

    @property
    def column_range(self) -> float:
        """See `Technology.column_range`."""
        return self.supplies.linear_range

    @property
    def column_swing(self) -> float:
        """Largest output voltage that the amplifiers behind the arrays reach under the conditions (V)."""
        return self.sense_amplifier.output_limit - self.lost_swing

    @property
    def array_series(self) -> ESeries | None:
        """See `Technology.array_series`."""
        return self.resistor.series

    def check_sections(self) -> None:
        """Refuse a linear range or output limits that the supplies do not leave room for."""
        lost = 1.0 - self.conditions.supply
        limits = {
            "sense_amplifier.output_limit": self.column_swing,
            "supplies.positive": self.supplies.positive - lost * self.supplies.positive,
            "-supplies.negative": -self.supplies.negative + lost * self.supplies.negative,
            "opamp.output_limit": self.opamp.output_limit - self.lost_swing,
            "multiplier.output_limit": self.multiplier.output_limit - self.lost_swing,
        }
        corner = f" at conditions.supply = {self.conditions.supply:g}" if lost else ""
        for name, limit in limits.items():
            if self.supplies.linear_range >= limit:
                raise ValueError(
                    f"supplies.linear_range ({self.supplies.linear_range} V) must be below {name} ({limit:g} V"
                    f"{corner}): a rail would be reached"
                )
        for name in ("opamp", "multiplier", "sense_amplifier"):
            limit = getattr(self, name).output_limit
            rail = min(self.supplies.positive, -self.supplies.negative)
            if limit > rail:
                raise ValueError(f"{name}.output_limit ({limit:g} V) must not exceed the nearer supply ({rail:g} V)")
