"""Sections that the technology of any circuit has: conditions, arrays and what stands behind them, parts to choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology import quantities as of
from analog_fhn.technology.device import Device
from analog_fhn.technology.typed_yaml import Name, Section
from analog_fhn.technology.wires import Wires

ByDevice = Literal["device"]
ESeries = Literal["E12", "E24", "E48", "E96", "E192"]
Levels = Annotated[int, of.Quantity("1", (2, 65536))]

_MOST_CURVED = 20  # read voltages over V0; beyond, a device would carry next to nothing below the read voltage
_BITS_OF_CODES = 12

NOMINAL_TEMPERATURE = 300.0  # K; part values are those at this temperature


class Conditions(Section):
    """Corner under which the chip works: ambient temperature (K), supplies relative to their nominal values."""

    temperature: of.Temperature = NOMINAL_TEMPERATURE
    supply: of.SupplyRatio = 1.0


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
    series: ESeries | None = None


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


class Die(Section):
    """Where parts and devices lie, and what of their spread those that lie near each other have in common.

    Two shares of the variance of every part, and of the programming, drift and temperature coefficient of every device
    of an array, are normal functions of its place, of variance 1 everywhere; with the distances dx and dy of two places
    their covariances are ::

        share:           exp(-(|dx| + |dy|)/length)
        gradient_share:  (cos(sqrt(2) dx/gradient_length) + cos(sqrt(2) dy/gradient_length))/2

    The first is the exponential correlation of process variations within a die (Liu, DAC 2007, p. 817), along rows and
    columns each. The second is a constant and a plane for distances d well below its length, so that parts differ by
    ``d/gradient_length`` of its standard deviation: the distance term ``S D`` of Pelgrom, Duinmaijer and Welbers (IEEE
    J. Solid-State Circuits 24:1433, 1989), with ``S = sigma sqrt(gradient_share)/gradient_length``. As with
    `lot_share`, parts of one kind share a function: resistors and capacitors of one nominal value, amplifiers and
    multipliers of one error; each array has functions of its own.

    The cells of a hidden layer, its hold stages and the stages behind an array stand side by side in their order, a
    line for each layer; the devices of an array stand in rows and bit lines, tile by tile.

    Parameters
    ----------
    share, gradient_share
        Shares of the variance; with `lot_share` at most 1.
    length, gradient_length
        Lengths of correlation (m).
    cell_pitch, layer_pitch
        Distance of neighbouring cells, and of the lines of a layer and the next (m).
    device_pitch, tile_gap
        Distance of neighbouring devices, and what there is more of it from a tile to the next (m).
    """

    share: of.Share = 0.0
    length: of.Distance = 1e-3
    gradient_share: of.Share = 0.0
    gradient_length: of.Distance = 10e-3
    cell_pitch: of.Distance = 100e-6
    layer_pitch: of.Distance = 1e-3
    device_pitch: of.Distance = 1e-6
    tile_gap: of.Distance = 10e-6

    @property
    def common(self) -> float:
        """Share of the variance that follows from the place."""
        return self.share + self.gradient_share


class ColumnStage(Section):
    """What stands behind a column of an array; a subclass for each circuit (see `analog_fhn.array.read_out`)."""


class SenseAmplifier(OpAmp, ColumnStage):
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
    series: ESeries | None = None


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


class Dac(Section):
    """Converters in front of the input array, one for each of its rows that carries no bias.

    Codes are whole numbers from 0 to ``2^bits - 1`` at equal steps from one end of the range to the other; an input
    becomes the nearest code's output. Errors are in steps, as data sheets have them in LSB: the integral nonlinearity
    is a smooth bow, as of a string of resistors whose values have a gradient, and what is left of it differs from code
    to code.

    Parameters
    ----------
    bits
        Resolution of each converter.
    range
        Inputs at the first and the last code, in units of the network's inputs; null: the network's own range.
    bow
        Deviation in the middle of the range, steps: ``4 bow u (1 - u)`` at the share u of the range; the ends are
        exact.
    code_sigma
        Sigma of the deviation of each code of each converter, steps; at most 12 bits.
    """

    bits: Annotated[int, of.Quantity("1", (1, 24))]
    range: Annotated[tuple[of.Number, of.Number], Field(strict=False)] | None = None
    bow: Annotated[float, of.Quantity("1", (-1e4, 1e4), (-16, 16))] = 0.0
    code_sigma: Annotated[float, of.Quantity("1", (0, 1e4), (0, 4))] = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Dac:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range = {list(self.range)}: expected two rising numbers")
        if self.code_sigma and self.bits > _BITS_OF_CODES:
            raise ValueError(
                f"bits = {self.bits} with code_sigma = {self.code_sigma:g}: expected at most {_BITS_OF_CODES} bits, "
                "because each code of each converter is drawn"
            )
        return self


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
    drift_compensation
        Gain of the read-out that takes back what the devices lost on average, measured on the chip when it is used: one
        for each "layer", one for each "column" (output), or null: none. See `analog_fhn.array.compensation`.
    temperature_coefficient
        Limit of the relative change per kelvin from 300 K, or "device"; each device has its own, normal with sigma a
        third of the limit, cut there.
    nonlinearity
        V0 (V) of all devices' characteristics, ``I = G V_r sinh(V/V0)/sinh(V_r/V0)`` with G at the read voltage V_r, or
        "device"; null: ohmic.
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
    drift_compensation: Literal["layer", "column"] | None = None
    temperature_coefficient: of.TemperatureCoefficient | ByDevice = 0.0
    nonlinearity: of.SinhVoltage | ByDevice | None = None
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
        if isinstance(self.nonlinearity, float) and self.read_voltage > _MOST_CURVED * self.nonlinearity:
            raise ValueError(
                f"nonlinearity = {self.nonlinearity:g}: expected at least a {_MOST_CURVED}th of read_voltage "
                f"({self.read_voltage:g} V)"
            )
        if self.stuck_on + self.stuck_off > 1.0:
            raise ValueError(f"stuck_on + stuck_off = {self.stuck_on + self.stuck_off:g}: expected at most 1")
        for name in (
            "levels",
            "programming_error",
            "read_noise",
            "drift_time",
            "temperature_coefficient",
            "nonlinearity",
        ):
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

    def sinh_volts(self, conductance: FloatArray) -> FloatArray | None:
        """V0 of the characteristics of devices of these conductances (S), of the same shape, in volts; None: ohmic."""
        if self.nonlinearity is None:
            return None
        if not isinstance(self.nonlinearity, str):
            return np.full(conductance.shape, self.nonlinearity)
        assert self.device is not None
        return self.device.sinh_volts(conductance, read_voltage=self.read_voltage)

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
        Fields of the section that this class sets (see `Technology.CLASSES`), in their units. All classes of a section
        set the same fields, so a choice does not depend on the one before.
    """

    name: Name
    price: of.Price
    values: Annotated[dict[str, of.Number], Field(min_length=1)]
