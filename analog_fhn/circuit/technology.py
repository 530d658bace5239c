"""The parts to build with, read from a YAML file: by name from `calibration/`, or by the user's path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from analog_fhn.circuit.typed_yaml import Fraction, NonNegative, Positive, Section, Share, explain, read_yaml
from analog_fhn.errors import InputError
from analog_fhn.resources import resource

NOMINAL_TEMPERATURE = 300.0  # K; part values are those at this temperature

# Which values each error group spreads; see `Technology.with_errors`.
ERRORS = {
    "resistor": ("tolerance", "temperature_coefficient"),
    "capacitor": ("tolerance", "temperature_coefficient"),
    "opamp": ("offset_sigma", "offset_drift"),
    "multiplier": ("scale_sigma", "offset_sigma"),
    "tanh_pair": ("offset_sigma", "mirror_sigma", "beta_tolerance"),
    "array": ("programming_error",),
}


class Supplies(Section):
    """Supply rails and the voltage range that the design may use (V)."""

    positive: Positive
    negative: Annotated[float, Field(lt=0, allow_inf_nan=False)]
    reference: Positive
    linear_range: Positive
    minimum_scale: Positive


class Conditions(Section):
    """Corner under which the chip works: ambient temperature (K), supplies relative to their nominal values."""

    temperature: Annotated[float, Field(ge=200, le=400)] = NOMINAL_TEMPERATURE
    supply: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0


class NeuronBase(Section):
    """Resistors that set the impedance level of the neuron (ohm)."""

    r1: Positive
    r4: Positive
    ra: Positive


class Passive(Section):
    """Tolerance class of a resistor or capacitor.

    Parameters
    ----------
    tolerance
        A fraction.
    distribution
        How parts are spread within the tolerance: normal with sigma = tolerance/3, cut there, or uniform.
    temperature_coefficient
        Limit of the relative change per kelvin; each part has its own coefficient, spread like its value.
    lot_share
        Share of the variance that all parts of one kind on a chip have in common because they come from one lot: for
        resistors and capacitors those of one nominal value, for amplifiers and multipliers those of one error.
    series
        E series that nominal values are taken from; null: any value.
    """

    tolerance: Fraction
    distribution: Literal["normal", "uniform"]
    temperature_coefficient: Fraction = 0.0
    lot_share: Share = 0.0
    series: Literal["E12", "E24", "E48", "E96", "E192"] | None = None


class OpAmp(Section):
    """Operational amplifier.

    Parameters
    ----------
    offset_sigma, offset_drift
        Input offset (V) and its change with temperature (V/K), both typical, taken as sigma.
    bias_current
        Current into each input at 300 K (A); doubles every 10 K (JFET input).
    gain, gain_bandwidth, slew_rate
        Open-loop DC gain, gain-bandwidth product (Hz), slew rate (V/s).
    output_limit
        Output swing (V) on the nominal supplies; the distance to the rail stays when the supplies move.
    quiescent_current
        Supply current of one amplifier without load (A).
    voltage_noise_density
        Input voltage noise, white part (V/sqrt(Hz)).
    lot_share
        As for passives, for the offset.
    """

    offset_sigma: NonNegative
    offset_drift: NonNegative = 0.0
    bias_current: NonNegative = 0.0
    gain: Positive
    gain_bandwidth: Positive
    slew_rate: Positive
    output_limit: Positive
    quiescent_current: NonNegative = 0.0
    voltage_noise_density: NonNegative = 0.0
    lot_share: Share = 0.0


class Multiplier(Section):
    """Four-quadrant multiplier W = X Y / scale.

    Parameters
    ----------
    scale
        Scale voltage (V).
    scale_sigma, offset_sigma
        Relative scale error; X, Y and output offsets (V); typical, taken as sigma.
    bandwidth, output_limit, quiescent_current
        Hz, V (on the nominal supplies), A.
    slew_rate
        V/s; null: not known. The circuit check compares with it; the netlist's multiplier has none.
    voltage_noise_density
        Output voltage noise, white part (V/sqrt(Hz)).
    lot_share
        As for passives, for scale errors and offsets.
    """

    scale: Positive
    scale_sigma: Fraction
    offset_sigma: NonNegative
    bandwidth: Positive
    output_limit: Positive
    slew_rate: Positive | None = None
    quiescent_current: NonNegative = 0.0
    voltage_noise_density: NonNegative = 0.0
    lot_share: Share = 0.0


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

    volts_per_unit: Positive
    shunt: Positive
    compensated: bool
    offset_sigma: NonNegative
    mirror_sigma: NonNegative
    beta_npn: Positive
    beta_pnp: Positive
    beta_tolerance: Fraction
    saturation_current: Positive
    early_voltage: Positive
    lot_share: Share = 0.0


class RowDriver(Section):
    """Amplifier that shifts and attenuates V(x) to the rows of the output array: its input resistor (ohm)."""

    input_resistor: Positive


class Array(Section):
    """Read voltage (V), conductance range (S), levels, mapping and programming error of the crossbar devices."""

    read_voltage: Positive = 1.0
    g_min: NonNegative
    g_max: Positive
    levels: Annotated[int, Field(ge=2)] | None
    mapping: Literal["one-sided", "two-sided"]
    clip_quantile: Annotated[float, Field(gt=0, le=1)]
    programming_error: Fraction

    @model_validator(mode="after")
    def _range(self) -> Array:
        if self.g_min >= self.g_max:
            raise ValueError(f"g_min ({self.g_min}) must be below g_max ({self.g_max})")
        return self


class Technology(Section):
    """A typed, frozen technology; `Technology.load` reads it, `save` writes it back unchanged."""

    format: Literal[1]
    name: str
    source: str
    time_unit: Positive
    supplies: Supplies
    neuron: NeuronBase
    resistor: Passive
    capacitor: Passive
    opamp: OpAmp
    multiplier: Multiplier
    tanh_pair: TanhPair
    row_driver: RowDriver
    array: Array
    conditions: Conditions = Conditions()

    @property
    def lost_swing(self) -> float:
        """Volts that an output's swing loses at this corner: it keeps its distance to the rail that moved most."""
        lost = 1.0 - self.conditions.supply
        return max(lost * self.supplies.positive, -lost * self.supplies.negative)

    @model_validator(mode="after")
    def _headroom(self) -> Technology:
        lost = 1.0 - self.conditions.supply
        limits = {
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
        for name in ("opamp", "multiplier"):
            limit = getattr(self, name).output_limit
            rail = min(self.supplies.positive, -self.supplies.negative)
            if limit > rail:
                raise ValueError(f"{name}.output_limit ({limit:g} V) must not exceed the nearer supply ({rail:g} V)")
        return self

    @classmethod
    def load(cls, name: str | Path) -> Technology:
        """Read a technology by its name in `calibration/` or by the path of a YAML file.

        Raises
        ------
        InputError
            Unknown name, unreadable file, unknown key, wrong type or value out of range; the message names
            the file and the key.
        """
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            known = sorted(p.stem for p in resource("calibration").glob("*.yaml"))
            if str(name) not in known:
                raise InputError(
                    f"technology {str(name)!r}: not one of {', '.join(known)}, and no path of a .yaml file"
                )
            path = resource("calibration", f"{name}.yaml")
        data = read_yaml(path, "technology")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(path, error)) from None

    def under(self, *, temperature: float | None = None, supply: float | None = None) -> Technology:
        """Copy under another ambient temperature (K) or other supplies (relative to nominal); None: as it is.

        Raises
        ------
        InputError
            If a value is out of range.
        """
        given = {name: value for name, value in (("temperature", temperature), ("supply", supply)) if value is not None}
        data = self.model_dump()
        try:
            return Technology.model_validate(data | {"conditions": data["conditions"] | given})
        except ValidationError as error:
            raise InputError(explain(f"technology {self.name!r}", error)) from None

    def with_errors(self, groups: Iterable[str]) -> Technology:
        """Copy in which only the named groups of `ERRORS` are spread; all other parts are exact.

        Each component has its own random stream, so a part that stays spread keeps its value on every chip.

        Raises
        ------
        InputError
            If a group is unknown.
        """
        wanted = set(groups)
        if unknown := sorted(wanted - ERRORS.keys()):
            raise InputError(f"error group {unknown[0]!r}: expected some of {', '.join(ERRORS)}")
        exact = {
            group: getattr(self, group).model_copy(update=dict.fromkeys(names, 0.0))
            for group, names in ERRORS.items()
            if group not in wanted
        }
        return self.model_copy(update=exact)

    def save(self, path: Path) -> None:
        """Write the technology as YAML; `load` gives an equal one."""
        path.write_text(yaml.safe_dump(self.model_dump(), sort_keys=False), encoding="utf-8")
