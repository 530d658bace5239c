"""The parts to build with, read from a YAML file: by name from `calibration/`, or by the user's path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from analog_fhn._support.files import write_text
from analog_fhn._support.resources import resource
from analog_fhn._support.yaml_files import read_yaml, yaml_text
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.technology import quantities as of
from analog_fhn.technology.device import Device
from analog_fhn.technology.typed_yaml import Name, Section, Words, explain, find_yaml, listed, plain
from analog_fhn.technology.wires import Wires

ByDevice = Literal["device"]
Levels = Annotated[int, of.Quantity("1", (2, 65536))]

NOMINAL_TEMPERATURE = 300.0  # K; part values are those at this temperature


class Supplies(Section):
    """Supply rails and the voltage range that the design may use (V)."""

    positive: of.Voltage
    negative: of.NegativeVoltage
    reference: of.Voltage
    linear_range: of.Voltage
    minimum_scale: of.VoltageScale


class Conditions(Section):
    """Corner under which the chip works: ambient temperature (K), supplies relative to their nominal values."""

    temperature: of.Temperature = NOMINAL_TEMPERATURE
    supply: of.SupplyRatio = 1.0


class NeuronBase(Section):
    """Resistors that set the impedance level of the neuron (ohm)."""

    r1: of.Resistance
    r4: of.Resistance
    ra: of.Resistance


class Passive(Section):
    """Tolerance class of a resistor or capacitor.

    Parameters
    ----------
    tolerance
        Largest relative deviation of a part from its nominal value (a fraction).
    distribution
        Distribution of the parts within the tolerance: normal with sigma = tolerance/3, cut at the tolerance, or
        uniform.
    temperature_coefficient
        Limit of the relative change per kelvin; each part has a coefficient of its own, spread like its value.
    lot_share
        Share of the variance that all parts of one kind on a chip have in common because they come from one lot: for
        resistors and capacitors those of one nominal value, for amplifiers and multipliers those of one error.
    series
        E series that nominal values are taken from; null: any value.
    """

    tolerance: of.Tolerance
    distribution: Literal["normal", "uniform"]
    temperature_coefficient: of.TemperatureCoefficient = 0.0
    lot_share: of.Share = 0.0
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

    offset_sigma: of.ErrorVoltage
    offset_drift: of.VoltageDrift = 0.0
    bias_current: of.BiasCurrent = 0.0
    gain: of.Gain
    gain_bandwidth: of.Bandwidth
    slew_rate: of.SlewRate
    output_limit: of.Voltage
    quiescent_current: of.SupplyCurrent = 0.0
    voltage_noise_density: of.NoiseVoltage = 0.0
    lot_share: of.Share = 0.0

    def offset_spread(self, temperature: float) -> float:
        """Sigma of the input offset at a temperature (K), in volts."""
        return float(np.hypot(self.offset_sigma, self.offset_drift * (temperature - NOMINAL_TEMPERATURE)))

    def input_current(self, temperature: float) -> float:
        """Input bias current (A) at a temperature (K): doubles every 10 K, as the leakage of a JFET's gate does."""
        return float(self.bias_current * 2.0 ** ((temperature - NOMINAL_TEMPERATURE) / 10.0))


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


class LowPass(Section):
    """What hands a hidden layer's time averages to the array of the next one: a capacitor across the row drivers' Rf.

    Parameters
    ----------
    time_constant
        Nominal Rf C, in units of the time unit T.
    """

    time_constant: of.TimeConstant = 10.0


class Hold(Section):
    """Sample-and-hold stages between layers of which one is used position by position, on volts of a row.

    Parameters
    ----------
    offset_sigma
        Offset of a stage, with the step that opening its switch makes (V), typical, taken as sigma.
    droop_sigma
        Change of a held voltage (V/s), typical, taken as sigma: leakage of switch, capacitor and amplifier, of either
        sign, over the capacitance.
    noise
        Standard deviation of the noise of a sample (V).
    capacitor
        Hold capacitor (F), for the bill of materials; null: within the part.
    quiescent_current
        Supply current of one stage (A).
    lot_share
        As for passives, for offset and droop.
    """

    offset_sigma: of.ErrorVoltage = 0.0
    droop_sigma: of.Droop = 0.0
    noise: of.ErrorVoltage = 0.0
    capacitor: of.Capacitance | None = None
    quiescent_current: of.SupplyCurrent = 0.0
    lot_share: of.Share = 0.0


class SenseAmplifier(OpAmp):
    """Amplifier of the transimpedance stages behind the columns of the arrays.

    Parameters
    ----------
    resistor_tolerance, distribution
        Of the stage's three resistors, which make its gain error; see `Passive`.
    series
        E series of their nominal values; null: any value.
    lot_share
        As for passives, for the offset and for the three resistors, which have no temperature coefficient here.
    """

    resistor_tolerance: of.Tolerance = 0.0
    distribution: Literal["normal", "uniform"] = "normal"
    series: Literal["E12", "E24", "E48", "E96", "E192"] | None = None


class Adc(Section):
    """Converters of the scores, mean readout only.

    Parameters
    ----------
    bits
        Resolution of each converter.
    calibration_images
        Number of images, the first ones, whose largest score (its magnitude) becomes the range of all converters.
    margin
        Factor by which that range is widened.
    """

    bits: Annotated[int, of.Quantity("1", (1, 24))]
    calibration_images: of.Count = 100
    margin: of.Margin = 1.2


class Array(Section):
    """Crossbar devices and lines.

    Where a value may be "device", it is that of the device preset.

    Parameters
    ----------
    read_voltage
        Largest voltage of a row (V).
    g_min, g_max
        Conductance range (S).
    levels
        Settable conductances: a number of equally spaced ones, a rising list (S), "device", or null: any.
    mapping
        Differential pairs: one-sided (one device stays at g_min) or two-sided (both move).
    clip_quantile
        Quantile of a layer's |weight| that g_max stands for; one number, or one per layer.
    tile_rows, tile_columns
        Largest size of a tile (columns: bit lines, two per output); null: not divided. Every tile has its own drivers
        and wires; its bit lines end at the amplifiers that all tiles of a column share.
    device
        Preset in `calibration/devices/`, or path of a YAML file, relative to that of the technology.
    programming_error
        Sigma of the programmed conductance relative to its target, or "device".
    write_tolerance, write_pulses
        Write-verify: a device further than `write_tolerance` times g_max from its target is programmed again, at most
        `write_pulses` times in all; null: every device is programmed once.
    stuck_on, stuck_off
        Shares of devices at g_max and g_min, whatever their target.
    read_noise
        Sigma of a reading relative to the conductance, or "device"; one draw per chip: slow (1/f) fluctuations that
        last longer than a set of images.
    drift_time
        Seconds from the first reading after programming to the use of the chip (needs a device); null: no drift.
    temperature_coefficient
        Limit of the relative change per kelvin from 300 K, or "device"; each device has its own, normal with sigma a
        third of the limit, cut there.
    wires
        Resistances of the lines.
    """

    read_voltage: of.ReadVoltage = 1.0
    g_min: of.LowConductance
    g_max: of.Conductance
    levels: Levels | Annotated[list[of.LowConductance], Field(min_length=2, max_length=65536)] | ByDevice | None
    mapping: Literal["one-sided", "two-sided"]
    clip_quantile: of.Quantile | Annotated[list[of.Quantile], Field(min_length=2)]
    tile_rows: of.Count | None = None
    tile_columns: of.Count | None = None
    device: Device | None = None
    programming_error: of.Tolerance | ByDevice = 0.0
    write_tolerance: Annotated[float, of.Quantity("1", (1e-9, 0.999999))] | None = None
    write_pulses: Annotated[int, of.Quantity("1", (1, 100))] = 10
    stuck_on: of.Share = 0.0
    stuck_off: of.Share = 0.0
    read_noise: of.Tolerance | ByDevice = 0.0
    drift_time: of.Age | None = None
    temperature_coefficient: of.TemperatureCoefficient | ByDevice = 0.0
    wires: Wires = Wires()

    @field_validator("device", mode="before")
    @classmethod
    def _named(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        try:
            # Without a suffix it is a name; the path of a file is relative to that of the technology.
            return Device.load((info.context or {}).get("folder", Path()) / value if Path(value).suffix else value)
        except InputError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _known(self) -> Array:
        if self.g_min >= self.g_max:
            raise ValueError(f"g_min ({self.g_min}) must be below g_max ({self.g_max})")
        if isinstance(self.levels, list):
            if self.levels != sorted(set(self.levels)):
                raise ValueError("levels: expected rising conductances, each once")
            if self.levels[0] < self.g_min or self.levels[-1] > self.g_max:
                raise ValueError(
                    f"levels from {self.levels[0]:g} to {self.levels[-1]:g} S: expected them between g_min "
                    f"({self.g_min:g}) and g_max ({self.g_max:g})"
                )
        if self.stuck_on + self.stuck_off > 1.0:
            raise ValueError(f"stuck_on + stuck_off = {self.stuck_on + self.stuck_off:g}: expected at most 1")
        for name in ("levels", "programming_error", "read_noise", "drift_time", "temperature_coefficient"):
            if self.device is None and self.asks_device(name):
                raise ValueError(f"{name} = {getattr(self, name)!r} needs a device (key 'device')")
        return self

    def asks_device(self, name: str) -> bool:
        """Whether the field of this name takes its value from the device preset."""
        value = getattr(self, name)
        return value is not None if name == "drift_time" else isinstance(value, str)

    @property
    def level_values(self) -> FloatArray | None:
        """All settable conductances (S), rising; None: any."""
        if self.levels is None:
            return None
        if isinstance(self.levels, int):
            step = (self.g_max - self.g_min) / (self.levels - 1)
            return np.asarray(self.g_min + step * np.arange(self.levels), dtype=np.float64)
        if isinstance(self.levels, list):
            return np.array(self.levels)
        assert self.device is not None
        return np.array(self.device.level_values(self.g_min, self.g_max))

    def clip(self, layer: int) -> float:
        """Clip quantile of a layer."""
        return self.clip_quantile[layer] if isinstance(self.clip_quantile, list) else self.clip_quantile

    @property
    def change_per_kelvin(self) -> float:
        """Limit of the relative change per kelvin."""
        if not isinstance(self.temperature_coefficient, str):
            return self.temperature_coefficient
        assert self.device is not None
        assert self.device.temperature_coefficient is not None
        return self.device.temperature_coefficient


class PartClass(Section):
    """What may be bought for one section of a technology: a tolerance class, a grade, or another type.

    Parameters
    ----------
    name
        Name of the class in an order; no two classes of a section have one name.
    price
        Price of one part: one resistor, capacitor, multiplier or array device, one amplifier (not a package of
        several). Any currency will do, the same throughout a technology.
    values
        Fields of the section that this class sets (see `CLASSES`), in their units. All classes of a section set the
        same fields, so a choice does not depend on the one before.
    """

    name: Name
    price: of.Price
    values: Annotated[dict[str, of.Number], Field(min_length=1)]


_PASSIVE = ("tolerance", "temperature_coefficient")
_AMPLIFIER = (
    "offset_sigma", "offset_drift", "bias_current", "gain", "gain_bandwidth", "slew_rate", "quiescent_current",
    "voltage_noise_density",
)  # fmt: skip
# Kinds of parts that come in classes: the section that describes them, and what a class may set of it. Nominal values,
# ranges and limits are not among it: they are for the designer to choose.
CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "resistor": ("resistor", _PASSIVE),
    "capacitor": ("capacitor", _PASSIVE),
    "opamp": ("opamp", _AMPLIFIER),
    "multiplier": (
        "multiplier",
        ("scale_sigma", "offset_sigma", "bandwidth", "slew_rate", "quiescent_current", "voltage_noise_density"),
    ),
    "tanh_pair": ("tanh_pair", ("offset_sigma", "mirror_sigma", "beta_tolerance")),
    "sense_amplifier": ("sense_amplifier", _AMPLIFIER),
    # The three resistors of each transimpedance stage, bought apart from its amplifiers.
    "sense_resistor": ("sense_amplifier", ("resistor_tolerance",)),
    "array": ("array", ("programming_error", "stuck_on", "stuck_off", "read_noise", "temperature_coefficient")),
}

# What to put in place to leave an error group out, by section; see `Technology.with_errors`.
ERRORS: dict[str, dict[str, dict[str, object]]] = {
    "resistor": {"resistor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
    "capacitor": {"capacitor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
    "opamp": {"opamp": {"offset_sigma": 0.0, "offset_drift": 0.0}},
    "multiplier": {"multiplier": {"scale_sigma": 0.0, "offset_sigma": 0.0}},
    "tanh_pair": {"tanh_pair": {"offset_sigma": 0.0, "mirror_sigma": 0.0, "beta_tolerance": 0.0}},
    "programming": {"array": {"programming_error": 0.0}},
    "faults": {"array": {"stuck_on": 0.0, "stuck_off": 0.0}},
    "read_noise": {"array": {"read_noise": 0.0}},
    "drift": {"array": {"drift_time": None}},
    "array_temperature": {"array": {"temperature_coefficient": 0.0}},
    "wires": {"array": {"wires": Wires()}},
    "amplifier_offset": {"sense_amplifier": {"offset_sigma": 0.0, "offset_drift": 0.0}},
    "amplifier_gain": {"sense_amplifier": {"resistor_tolerance": 0.0}},
    "adc": {"": {"adc": None}},
    "hold": {"hold": {"offset_sigma": 0.0, "droop_sigma": 0.0, "noise": 0.0}},
}
# Several groups at once.
SHORT = {
    "array": ("programming", "faults", "read_noise", "drift", "array_temperature", "wires"),
    "amplifier": ("amplifier_offset", "amplifier_gain"),
}


class Technology(Section):
    """The parts to build with, their spread and the conditions: typed and frozen, a section for each kind of part.

    `load` reads a technology from its file, `save` writes it back unchanged. `classes` lists parts that may be bought
    instead of those in the sections, by the keys of `CLASSES`; they have no effect on a chip until `with_classes`
    chooses them.
    """

    format: Literal[1]
    name: Name
    source: Words
    cell: Name = "opamp_fhn"
    time_unit: of.TimeUnit
    supplies: Supplies
    neuron: NeuronBase
    resistor: Passive
    capacitor: Passive
    opamp: OpAmp
    multiplier: Multiplier
    tanh_pair: TanhPair
    rectifier: Rectifier = Rectifier()
    row_driver: RowDriver
    low_pass: LowPass = LowPass()
    hold: Hold = Hold()
    sense_amplifier: SenseAmplifier
    array: Array
    adc: Adc | None = None
    conditions: Conditions = Conditions()
    classes: dict[str, list[PartClass]] = Field(default_factory=dict)

    @property
    def lost_swing(self) -> float:
        """Volts that an output's swing loses at this corner: it keeps its distance to the rail that moved most."""
        lost = 1.0 - self.conditions.supply
        return max(lost * self.supplies.positive, -lost * self.supplies.negative)

    @model_validator(mode="after")
    def _headroom(self) -> Technology:
        lost = 1.0 - self.conditions.supply
        limits = {
            "sense_amplifier.output_limit": self.sense_amplifier.output_limit - self.lost_swing,
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
        return self

    @model_validator(mode="after")
    def _within_range(self) -> Technology:
        if problems := self.device_problems():
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _buyable(self) -> Technology:
        if problems := list(self._class_problems()):
            raise ValueError(listed(problems))
        return self

    def _class_problems(self) -> Iterator[str]:
        for key, offered in self.classes.items():
            if key not in CLASSES:
                yield f"classes: {shown(key)} is not one of {', '.join(CLASSES)}"
                continue
            name, settable = CLASSES[key]
            section = getattr(self, name)
            for index, part in enumerate(offered):
                this = f"classes.{key} {part.name!r}"
                unknown = [f"{plain(field)} = {v:g}" for field, v in part.values.items() if field not in settable]
                if unknown:
                    yield f"{this}: {listed(unknown)}: a class sets only {', '.join(settable)}"
                    continue
                values = dict(section) | part.values
                try:
                    type(section).model_validate(values)
                except ValidationError as error:
                    yield explain(this, error, values)
                for other in offered[:index]:
                    if other.name == part.name:
                        yield f"{this}: the name is given twice"
                    elif other.values == part.values:
                        yield f"{this}: sets the same values as {other.name!r}"
                if part.values.keys() != offered[0].values.keys():
                    yield f"{this}: sets {', '.join(part.values)}, expected {', '.join(offered[0].values)} as the first"

    def device_problems(self) -> list[str]:
        """Sentences on what the array asks of its device preset beyond its known range; see `Device.problems`."""
        array = self.array
        if array.device is None:
            return []
        return array.device.problems(
            g_min=array.g_min,
            g_max=array.g_max,
            read_voltage=array.read_voltage,
            seconds=array.drift_time,
            temperature=self.conditions.temperature,
            programming=array.asks_device("programming_error"),
            read_noise=array.asks_device("read_noise"),
            drift=array.asks_device("drift_time"),
            levels=array.asks_device("levels"),
            temperature_coefficient=array.asks_device("temperature_coefficient"),
        )

    @classmethod
    def load(cls, name: str | Path) -> Technology:
        """Read a technology by its name in `calibration/` or by the path of a YAML file.

        Raises
        ------
        InputError
            Unknown name, unreadable file, unknown key, wrong type or value out of range; the message names
            the file and the key.
        """
        path = find_yaml(name, "technology", resource("calibration"))
        return cls.from_values(read_yaml(path, "technology"), path, path.parent)

    @classmethod
    def from_values(cls, values: object, source: Path | str, folder: Path | None = None) -> Technology:
        """Technology with the values that `model_dump` returns, or that a file holds.

        Parameters
        ----------
        values
            Values by their keys, section by section.
        source
            File or name with which messages begin.
        folder
            Folder that the path of a device preset is relative to; None: the working folder.

        Raises
        ------
        InputError
            Unknown or missing key, wrong type or value out of range; the message names the key.
        """
        try:
            return cls.model_validate(values, context={"folder": folder or Path()})
        except ValidationError as error:
            raise InputError(explain(source, error, values)) from None

    def unusual(self) -> list[of.Unusual]:
        """Numbers that are possible but unusual in practice, of the technology and of the classes that it offers."""
        numbers = list(of.unusual(self))
        for key, offered in self.classes.items():
            name, _ = CLASSES[key]
            for part in offered:
                changed = getattr(self, name).model_copy(update=part.values)
                numbers += [
                    one for one in of.unusual(changed, f"classes.{key} {part.name!r}: ") if one.field in part.values
                ]
        return numbers

    def under(self, *, temperature: float | None = None, supply: float | None = None) -> Technology:
        """Copy under another ambient temperature (K) or other supplies (relative to nominal); None: as it is.

        Raises
        ------
        InputError
            If a value is out of range.
        """
        asked = {"temperature": temperature, "supply": supply}
        present = dict(self.conditions)
        changes = {f"conditions.{k}": v for k, v in asked.items() if v is not None and v != present[k]}
        return self.with_values(changes) if changes else self

    def with_values(self, values: Mapping[str, object]) -> Technology:
        """Copy with single values changed, checked like a file: ``{"resistor.tolerance": 0.02, "array.levels": 16}``.

        Raises
        ------
        InputError
            For a key that the technology does not have, or a value that it refuses; the message names them.
        """
        data = self.model_dump()
        for key, value in values.items():
            *path, last = key.split(".")
            section: object = data
            for name in path:
                section = section.get(name) if isinstance(section, dict) else None
            if not isinstance(section, dict):
                known = ", ".join(name for name, part in data.items() if isinstance(part, dict))
                raise InputError(f"technology {self.name!r} has no key {shown(key)}; sections: {known}")
            if last not in section:
                raise InputError(f"technology {self.name!r} has no key {shown(key)}; there are {', '.join(section)}")
            section[last] = value
        return Technology.from_values(data, f"technology {self.name!r}")

    def with_classes(self, chosen: Mapping[str, str]) -> Technology:
        """Copy built with other parts.

        Parameters
        ----------
        chosen
            Name of the chosen class for each key of `classes` that changes.

        Raises
        ------
        InputError
            For a key or a name that `classes` does not have.
        """
        values: dict[str, object] = {}
        for key, name in chosen.items():
            if key not in self.classes:
                known = ", ".join(self.classes) or "none"
                raise InputError(f"technology {self.name!r}: no classes of {key!r}; there are those of: {known}")
            offered = {part.name: part.values for part in self.classes[key]}
            if name not in offered:
                known = ", ".join(map(repr, offered))
                raise InputError(f"technology {self.name!r}: {key} {name!r}: not one of {known}")
            values |= {f"{CLASSES[key][0]}.{field}": value for field, value in offered[name].items()}
        return self.with_values(values)

    def bought(self, key: str) -> PartClass | None:
        """Class of a key of `classes` whose values the technology has now; None: no class has them."""
        for part in self.classes.get(key, ()):
            section = getattr(self, CLASSES[key][0])
            if all(getattr(section, field) == value for field, value in part.values.items()):
                return part
        return None

    def with_errors(self, groups: Iterable[str]) -> Technology:
        """Copy with only the named error groups (those of `ERRORS` and `SHORT`); all else is exact.

        Each component has its own random stream, so a part that stays spread keeps its value on every chip.

        Raises
        ------
        InputError
            If a group is unknown.
        """
        spread = set()  # single groups, short names resolved
        for group in groups:
            if group not in ERRORS and group not in SHORT:
                raise InputError(f"error group {group!r}: expected some of {', '.join((*ERRORS, *SHORT))}")
            spread |= set(SHORT.get(group, (group,)))
        changes: dict[str, dict[str, object]] = {}
        for group in ERRORS.keys() - spread:
            for section, values in ERRORS[group].items():
                changes.setdefault(section, {}).update(values)
        whole = changes.pop("", {})
        exact = {section: getattr(self, section).model_copy(update=values) for section, values in changes.items()}
        return self.model_copy(update=exact | whole)

    def save(self, path: str | Path) -> None:
        """Write the technology as YAML; `load` gives an equal one."""
        write_text(path, yaml_text(self.model_dump()))
