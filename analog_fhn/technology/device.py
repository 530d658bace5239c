"""Devices of a crossbar as they were measured, read from a YAML file: programming error, drift, read noise, levels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval
from pydantic import AfterValidator, Field, ValidationError, model_validator
from scipy.special import ndtr

from analog_fhn._support.files import write_text
from analog_fhn._support.resources import resource
from analog_fhn._support.yaml_files import read_yaml, yaml_text
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology import quantities as of
from analog_fhn.technology.e_series import between
from analog_fhn.technology.typed_yaml import Name, Section, Words, explain, find_yaml

NOT_STATED = "not stated"

# Stands for zero in logarithms and negative powers: their clips are reached long before, so the limits are exact.
TINY = 1e-300


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the first number ({pair[0]:g}) must not exceed the second ({pair[1]:g})")
    return pair


# Written as YAML lists; strict alone would ask for tuples.
_Pair = (Field(strict=False), AfterValidator(_rising))
ConductanceRange = Annotated[tuple[of.DeviceConductance, of.DeviceConductance], *_Pair]
CurrentRange = Annotated[tuple[of.DeviceCurrent, of.DeviceCurrent], *_Pair]
TimeRange = Annotated[tuple[of.Age, of.Age], *_Pair]
TemperatureRange = Annotated[tuple[of.DeviceTemperature, of.DeviceTemperature], *_Pair]
ResistanceRange = Annotated[tuple[of.Resistance, of.Resistance], *_Pair]
Coefficients = Annotated[tuple[of.Number, ...], Field(strict=False, min_length=1, max_length=20)]


class FitError(Section):
    """Distance of a preset's numbers from the measurement: its value, its unit, and what was compared (`of`)."""

    value: of.Price
    unit: Literal["S", "A", "relative"]
    of: Words


class Polynomial(Section):
    """Normal error: ``sigma = unit max(0, c0 + c1 u + c2 u^2 + ...)``, ``u = q/scale``.

    q is the device's own quantity, a conductance (S) or a current (A), as in all sections below; `scale` and `unit`
    are in the same unit.
    """

    kind: Literal["polynomial"]
    scale: of.DeviceUnit
    unit: of.DeviceUnit
    coefficients: Coefficients

    def sigma(self, q: FloatArray) -> FloatArray:
        """Standard deviation, shape of `q`."""
        sigma: FloatArray = np.maximum(0.0, self.unit * polyval(q / self.scale, self.coefficients))
        return sigma

    def deviation(self, q: FloatArray, normal: FloatArray) -> FloatArray:
        """Deviations from the target, of standard normal draws of the shape of `q`."""
        return self.sigma(q) * normal


class Saturating(Section):
    """Normal error: ``sigma = a (1 - exp(-q/b))``; 0 where q is negative."""

    kind: Literal["saturating"]
    a: of.DeviceUnit
    b: of.DeviceUnit

    def sigma(self, q: FloatArray) -> FloatArray:
        """Standard deviation, shape of `q`."""
        return -self.a * np.expm1(-np.maximum(q, 0.0) / self.b)

    def deviation(self, q: FloatArray, normal: FloatArray) -> FloatArray:
        """Deviations from the target, of standard normal draws of the shape of `q`."""
        return self.sigma(q) * normal


class Tabulated(Section):
    """Normal error whose sigma was measured at some values of q: linear between them, beyond them as at the ends."""

    kind: Literal["table"]
    q: Annotated[tuple[of.DeviceConductance, ...], Field(strict=False, min_length=1, max_length=1000)]
    values: Annotated[tuple[of.DeviceSpread, ...], Field(strict=False, min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _pairs(self) -> Tabulated:
        if list(self.q) != sorted(set(self.q)):
            raise ValueError("q: expected rising numbers, each once")
        if len(self.q) != len(self.values):
            raise ValueError(f"values: {len(self.values)} numbers; expected {len(self.q)}, one for each of q")
        return self

    def sigma(self, q: FloatArray) -> FloatArray:
        """Standard deviation, shape of `q`."""
        return np.asarray(np.interp(q, self.q, self.values))

    def deviation(self, q: FloatArray, normal: FloatArray) -> FloatArray:
        """Deviations from the target, of standard normal draws of the shape of `q`."""
        return self.sigma(q) * normal


class Tolerance(Section):
    """Resistance uniform within a tolerance t: ``G = G_target/(1 + t u)``, u uniform in -1..1.

    Its standard deviation is ``G_target t/sqrt(3) (1 + 0.73 t^2 + ...)``; `sigma` is the first term.
    """

    kind: Literal["tolerance"]
    tolerance: of.Tolerance

    def sigma(self, q: FloatArray) -> FloatArray:
        """Standard deviation, shape of `q`."""
        return np.abs(q) * (self.tolerance / math.sqrt(3.0))

    def deviation(self, q: FloatArray, normal: FloatArray) -> FloatArray:
        """Deviations from the target, of standard normal draws of the shape of `q`."""
        # The distribution function of a normal variable is itself uniform.
        x = self.tolerance * (2.0 * ndtr(normal) - 1.0)
        deviation: FloatArray = -q * x / (1.0 + x)
        return deviation


class ClippedLine(Section):
    """``min(max(slope ln(u) + offset, low), high)``."""

    slope: of.Number
    offset: of.Number
    low: of.Number
    high: of.Number

    def value(self, u: FloatArray) -> FloatArray:
        """The line's value; u of 0 and below gives the limit for u -> 0."""
        line: FloatArray = self.slope * np.log(np.maximum(u, TINY)) + self.offset
        return np.clip(line, self.low, self.high)


class PowerLaw(Section):
    """Drift ``q (t/t0)^-nu``, ``t = t0 + seconds``; nu of each device normal, not below 0.

    Mean and sigma of nu before that clip are `mean` and `sigma` at ``u = q/scale``.

    Parameters
    ----------
    t0
        Time from programming to the first reading (s), from which `seconds` count.
    """

    kind: Literal["power_law"]
    scale: of.DeviceUnit
    t0: of.Duration
    mean: ClippedLine
    sigma: ClippedLine

    def after(self, q: FloatArray, seconds: float, normal: FloatArray | None) -> FloatArray:
        """Quantity `seconds` after the first reading, shape of `q`; `normal` None: that of the mean device."""
        u = q / self.scale
        nu = self.mean.value(u)
        if normal is not None:
            nu = np.maximum(0.0, nu + self.sigma.value(u) * normal)
        return q * (1.0 + seconds / self.t0) ** -nu


class Logarithmic(Section):
    """Drift ``q + mean ln(t) + (slope ln(t) + offset) N(0, 1)``, t in seconds, from `start` on.

    At t = 0 nothing has changed; between 0 and `start` it is as at `start`.
    """

    kind: Literal["logarithmic"]
    mean: of.DeviceChange
    slope: of.DeviceSpread
    offset: of.DeviceSpread
    start: Annotated[float, of.Quantity("s", (1, 1e12), (1, 1e10))]

    def after(self, q: FloatArray, seconds: float, normal: FloatArray | None) -> FloatArray:
        """Quantity `seconds` after programming, shape of `q`; `normal` None: that of the mean device."""
        if seconds == 0.0:
            return q.copy()
        log_t = math.log(max(seconds, self.start))
        moved = q + self.mean * log_t
        return moved if normal is None else moved + (self.slope * log_t + self.offset) * normal


class State(Section):
    """Change measured at one time: its mean ``unit (c0 + c1 u + ...)``, ``u = q/unit``, and all devices' spread."""

    seconds: of.Duration
    unit: of.DeviceUnit
    mean_change: Coefficients
    total: Saturating


class Measured(Section):
    """Drift known at single times only: mean change and the spread of all devices with one target.

    The measured spread contains the programming error, which a programmed quantity q has already; the mean change m(q)
    carries that on with the slope 1 + m'. So independent normal draws are added with
    ``sigma^2 = sigma_total(q + m)^2 - (1 + m')^2 sigma_programming(q)^2``.

    Parameters
    ----------
    limit
        Largest quantity whose mean change is known; above, it is that at the limit.
    """

    kind: Literal["measured"]
    limit: of.DeviceUnit
    states: Annotated[tuple[State, ...], Field(strict=False, min_length=1)]

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds after programming at which the device is known, without 0."""
        return tuple(state.seconds for state in self.states)

    def after(self, q: FloatArray, seconds: float, normal: FloatArray | None, fresh: FloatArray) -> FloatArray:
        """Quantity `seconds` after programming, shape of `q`; `fresh` is the sigma of the programming error in `q`.

        Raises
        ------
        InputError
            If nothing was measured at that time.
        """
        if seconds == 0.0:
            return q.copy()
        state = next((s for s in self.states if math.isclose(s.seconds, seconds)), None)
        if state is None:
            raise InputError(f"drift time {seconds:g} s: measured {_or(self.times)} s after programming only")
        u = np.clip(q, 0.0, self.limit) / state.unit
        moved: FloatArray = q + state.unit * polyval(u, state.mean_change)
        if normal is None:
            return moved
        carried = (1.0 + polyval(u, polyder(state.mean_change))) * fresh
        added: FloatArray = np.sqrt(np.maximum(0.0, state.total.sigma(moved) ** 2 - carried**2))
        return moved + added * normal


class OneOverF(Section):
    """Read noise of 1/f type: ``sigma = |q| Q sqrt(ln((t + t_read)/(2 t_read)))``, ``t = t0 + seconds``.

    ``Q = min(coefficient/u^exponent, ceiling)``, u = programmed quantity/scale.

    Parameters
    ----------
    t0, t_read
        Time from programming to the first reading, and length of a reading (s).
    """

    kind: Literal["one_over_f"]
    scale: of.DeviceUnit
    t0: of.Duration
    t_read: of.Duration
    coefficient: of.PositiveNumber
    exponent: of.Share
    ceiling: of.PositiveNumber

    @model_validator(mode="after")
    def _times(self) -> OneOverF:
        if self.t0 < self.t_read:
            raise ValueError(f"t0 ({self.t0:g} s) must not be below t_read ({self.t_read:g} s)")
        return self

    def sigma(self, q: FloatArray, seconds: float, programmed: FloatArray) -> FloatArray:
        """Standard deviation at a reading `seconds` after the first, shape of `q`."""
        u = np.maximum(programmed / self.scale, TINY)
        share: FloatArray = np.minimum(self.coefficient / u**self.exponent, self.ceiling)
        t = self.t0 + seconds
        return np.abs(q) * share * math.sqrt(math.log((t + self.t_read) / (2.0 * self.t_read)))


class Sinh(Section):
    """Current-voltage characteristic ``I = G V_r sinh(V/V0)/sinh(V_r/V0)``, G at the read voltage V_r.

    Its source is in `analog_fhn.array.nonlinear`. V0 (V) is `volts` at ``u = q/scale``.
    """

    kind: Literal["sinh"]
    scale: of.DeviceUnit
    volts: ClippedLine

    @model_validator(mode="after")
    def _above_zero(self) -> Sinh:
        if not 1e-3 <= self.volts.low <= self.volts.high:
            raise ValueError(
                f"volts.low = {self.volts.low:g}, volts.high = {self.volts.high:g}: expected 0.001 V <= low <= high"
            )
        return self


class Series(Section):
    """Resistors of an E series (IEC 60063) within a range of resistance (ohm)."""

    kind: Literal["series"]
    series: Literal["E12", "E24", "E48", "E96", "E192"]
    resistance: ResistanceRange

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """Conductances (S) from `g_min` to `g_max`, rising."""
        low = max(1.0 / g_max * (1.0 - 1e-9), self.resistance[0])
        high = min(1.0 / g_min * (1.0 + 1e-9) if g_min > 0.0 else math.inf, self.resistance[1])
        return tuple(1.0 / r for r in reversed(between(self.series, low, high))) if low <= high else ()


class Codes(Section):
    """Digital potentiometer used as a rheostat: ``R = end_to_end D/codes + wiper`` (ohm), D = 1..codes."""

    kind: Literal["codes"]
    codes: Annotated[int, of.Quantity("1", (2, 65536))]
    end_to_end: of.Resistance
    wiper: of.WireResistance

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """Conductances (S) from `g_min` to `g_max`, rising."""
        steps = np.arange(self.codes, 0, -1)
        g = 1.0 / (self.end_to_end * steps / self.codes + self.wiper)
        return tuple(g[(g >= g_min * (1.0 - 1e-9)) & (g <= g_max * (1.0 + 1e-9))].tolist())


class Device(Section):
    """A measured device, with the range in which its numbers hold; what is null was not measured or does not exist.

    Conductances and times are in S and s. `seconds` counts from the first reading after programming, and 0 is that
    reading. No result is clipped: conductances may come out negative.

    Parameters
    ----------
    name, source, note
        Name, publication or data sheet, and what is and is not modelled (default: not stated).
    g_range, current_range
        Conductances (S), or currents (A) for a device that was measured in currents, in which the numbers hold;
        one of the two. Of currents, ``I = G read_voltage``.
    read_voltage_limit
        Largest voltage (V) that a reading may put on the device.
    time_range
        Times in which the numbers hold (s); 0 holds always.
    temperature_range
        In K.
    fit_error, fit_error_note
        How good the numbers are; null, the default, if nobody says. The note (default: not stated) says why.
    programming, drift, read_noise
        Models of the programming error, of drift and of the noise of a reading.
    levels
        Conductances that can be set; null: all.
    temperature_coefficient
        Limit of the relative change per kelvin.
    nonlinearity
        Current-voltage characteristic; null: ohmic as far as is known.
    """

    format: Literal[1]
    name: Name
    source: Words
    note: Words = NOT_STATED
    g_range: ConductanceRange | None = None
    current_range: CurrentRange | None = None
    read_voltage_limit: of.ReadVoltage | None = None
    time_range: TimeRange | None = None
    temperature_range: TemperatureRange | None = None
    fit_error: Annotated[tuple[FitError, ...], Field(strict=False, min_length=1)] | None = None
    fit_error_note: Words = NOT_STATED
    programming: Annotated[Polynomial | Saturating | Tabulated | Tolerance, Field(discriminator="kind")] | None = None
    drift: Annotated[PowerLaw | Logarithmic | Measured, Field(discriminator="kind")] | None = None
    read_noise: Annotated[OneOverF | Saturating, Field(discriminator="kind")] | None = None
    levels: Annotated[Series | Codes, Field(discriminator="kind")] | None = None
    temperature_coefficient: of.TemperatureCoefficient | None = None
    nonlinearity: Sinh | None = None

    @model_validator(mode="after")
    def _complete(self) -> Device:
        if (self.g_range is None) == (self.current_range is None):
            raise ValueError("expected either g_range (S) or current_range (A)")
        if isinstance(self.drift, Measured) and self.programming is None:
            raise ValueError("drift of kind 'measured' holds the programming error: programming must be given")
        return self

    @classmethod
    def load(cls, name: str | Path) -> Device:
        """Read a device by its name in `calibration/devices/` or by the path of a YAML file.

        Raises
        ------
        InputError
            Unknown name, unreadable file, unknown key, wrong type or value out of range; the message names
            the file and the key.
        """
        path = find_yaml(name, "device", resource("calibration", "devices"))
        data = read_yaml(path, "device")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(path, error, data)) from None

    def save(self, path: str | Path) -> None:
        """Write the device as YAML without the keys that are null; `load` gives an equal one."""
        write_text(path, self.text())

    def text(self) -> str:
        """The device's file."""
        return yaml_text(self.model_dump(mode="json", exclude_none=True))

    def problems(
        self,
        *,
        g_min: float,
        g_max: float,
        read_voltage: float,
        seconds: float | None,
        programming: bool,
        read_noise: bool,
        drift: bool,
        levels: bool,
        temperature: float | None = None,
        temperature_coefficient: bool = False,
        nonlinearity: bool = False,
    ) -> list[str]:
        """Sentences on what an array asks of the device beyond what is known of it; each names the array's key.

        Parameters
        ----------
        g_min, g_max, read_voltage
            Conductance range (S) and read voltage (V) of the array.
        seconds
            Time since the first reading (s); None or 0: at the first reading.
        programming, read_noise, drift, levels, temperature_coefficient, nonlinearity
            Whether the array takes this from the device's model.
        temperature
            Ambient temperature (K); None: it is not checked.
        """
        asked = (
            (programming, self.programming, "programming_error", "programming error"),
            (read_noise, self.read_noise, "read_noise", "read noise"),
            (drift, self.drift, "drift_time", "drift"),
            (levels, self.levels, "levels", "levels, its conductance is continuous"),
        )
        sentences = [
            f"array.{key}: {self._missing(what)}" for needed, model, key, what in asked if needed and model is None
        ]
        if temperature_coefficient and self.temperature_coefficient is None:
            sentences.append(f"array.temperature_coefficient: {self._missing('temperature coefficient')}")
        if nonlinearity and self.nonlinearity is None:
            sentences.append(f"array.nonlinearity: {self._missing('current-voltage characteristic')}")
        sentences += self._out_of_range(g_min, g_max, read_voltage, drifting=drift and bool(seconds))
        limit = self.read_voltage_limit
        if limit is not None and read_voltage > limit * (1.0 + 1e-9):
            sentences.append(f"array.read_voltage = {read_voltage:g}: device {self.name!r} bears at most {limit:g} V")
        if seconds is not None and seconds != 0.0:
            sentences += self._wrong_time(seconds)
        if temperature is not None and self.temperature_range and not _within(temperature, self.temperature_range):
            sentences.append(f"conditions.temperature = {temperature:g}: {self._known(self.temperature_range, 'K')}")
        if levels and self.levels is not None and len(values := self.levels.values(g_min, g_max)) < 2:
            sentences.append(
                f"array.levels: device {self.name!r} has {len(values)} between array.g_min = {g_min:g} and "
                f"array.g_max = {g_max:g}, at least 2 are needed"
            )
        return sentences

    def _out_of_range(self, g_min: float, g_max: float, read_voltage: float, *, drifting: bool) -> list[str]:
        """Sentences on the limits of the array's conductances."""
        if self.g_range is not None:
            known, volt, at = self.g_range, 1.0, ""
        else:
            assert self.current_range is not None
            known, volt, at = self.current_range, read_voltage, f" at array.read_voltage = {read_voltage:g}"
            if drifting and isinstance(self.drift, Measured):
                known, at = (known[0], min(known[1], self.drift.limit)), f"{at} and with drift"
        unit = "S" if self.g_range is not None else "A"
        return [
            f"array.{key} = {g:g}{at}: {self._known(known, unit)}"
            for key, g in (("g_min", g_min), ("g_max", g_max))
            if not _within(g * volt, known)
        ]

    def _wrong_time(self, seconds: float) -> list[str]:
        """Sentences on a time other than that of the first reading."""
        if isinstance(self.drift, Measured):
            if any(math.isclose(seconds, time) for time in self.drift.times):
                return []
            times = _or((0.0, *self.drift.times))
            return [f"array.drift_time = {seconds:g}: device {self.name!r} is known at {times} s only"]
        if self.time_range is None or _within(seconds, self.time_range):
            return []
        return [f"array.drift_time = {seconds:g}: {self._known(self.time_range, 's')}"]

    def _known(self, limits: tuple[float, float], unit: str) -> str:
        low, high = limits
        if low == high:
            return f"device {self.name!r} is known at {low:g} {unit} only"
        return f"device {self.name!r} is known from {low:g} to {high:g} {unit}"

    def programming_sigma(self, g: FloatArray, *, read_voltage: float) -> FloatArray:
        """Standard deviation (S) of devices programmed to `g` (S), shape of `g`.

        Raises
        ------
        InputError
            If the device has no model of the programming error.
        """
        if self.programming is None:
            raise self._missing("programming error")
        volt = self._volt(read_voltage)
        return self.programming.sigma(_float(g) * volt) / volt

    def programming_deviation(self, g: FloatArray, normal: FloatArray, *, read_voltage: float) -> FloatArray:
        """Deviations (S) of devices programmed to `g` (S), from one standard normal draw per device; shape of `g`.

        Raises
        ------
        InputError
            If the device has no model of the programming error.
        """
        if self.programming is None:
            raise self._missing("programming error")
        volt = self._volt(read_voltage)
        return self.programming.deviation(_float(g) * volt, normal) / volt

    def drifted(
        self, g: FloatArray, seconds: float, normal: FloatArray | None, *, read_voltage: float | None = None
    ) -> FloatArray:
        """Conductances (S) `seconds` after the first reading of devices that were programmed to `g` (S).

        Parameters
        ----------
        g
            Conductances as programmed, with the programming error if there is one.
        seconds
            Time since the first reading (s).
        normal
            One standard normal draw per device, shape of `g`; None: the devices drift as the mean one does.
        read_voltage
            Voltage of a reading (V), needed for devices that were measured in currents.

        Raises
        ------
        InputError
            If the device has no model of drift or was not measured at that time, or `read_voltage` is missing.
        """
        if self.drift is None:
            raise self._missing("drift")
        volt = self._volt(read_voltage)
        q = _float(g) * volt
        if isinstance(self.drift, Measured):
            assert self.programming is not None  # checked when the file is read
            return self.drift.after(q, seconds, normal, self.programming.sigma(q)) / volt
        return self.drift.after(q, seconds, normal) / volt

    def read_sigma(
        self, g: FloatArray, *, read_voltage: float, seconds: float | None, programmed: FloatArray | None = None
    ) -> FloatArray:
        """Standard deviation (S) of one reading of devices of conductance `g` (S), shape of `g`.

        Parameters
        ----------
        g
            Conductances at the time of the reading, after drift.
        read_voltage
            Voltage of the reading (V).
        seconds
            Time since the first reading (s); None: at the first reading.
        programmed
            Conductances (S) before drift, on which the relative noise depends; None: `g`.

        Raises
        ------
        InputError
            If the device has no model of read noise.
        """
        if self.read_noise is None:
            raise self._missing("read noise")
        volt = self._volt(read_voltage)
        q = _float(g) * volt
        if isinstance(self.read_noise, OneOverF):
            before = q if programmed is None else _float(programmed) * volt
            return self.read_noise.sigma(q, seconds or 0.0, before) / volt
        return self.read_noise.sigma(q) / volt

    def read_deviation(
        self,
        g: FloatArray,
        normal: FloatArray,
        *,
        read_voltage: float,
        seconds: float | None,
        programmed: FloatArray | None = None,
    ) -> FloatArray:
        """Deviations (S) of one reading, from one standard normal draw per device; else as `read_sigma`."""
        return self.read_sigma(g, read_voltage=read_voltage, seconds=seconds, programmed=programmed) * normal

    def sinh_volts(self, g: FloatArray, *, read_voltage: float) -> FloatArray:
        """V0 of the characteristic (V) of devices of conductance `g` (S) at the read voltage (V), shape of `g`.

        Raises
        ------
        InputError
            If the device has no characteristic.
        """
        if self.nonlinearity is None:
            raise self._missing("current-voltage characteristic")
        return self.nonlinearity.volts.value(_float(g) * self._volt(read_voltage) / self.nonlinearity.scale)

    def level_values(self, g_min: float, g_max: float) -> tuple[float, ...] | None:
        """All conductances (S) from `g_min` to `g_max` that can be set, rising; None: continuous."""
        return None if self.levels is None else self.levels.values(g_min, g_max)

    def _missing(self, what: str) -> InputError:
        return InputError(f"device {self.name!r} has no {what}")

    def _volt(self, read_voltage: float | None) -> float:
        """Factor from a conductance to the quantity that was measured: 1, or the read voltage (V) for currents."""
        if self.g_range is not None:
            return 1.0
        if read_voltage is None:
            raise InputError(f"device {self.name!r} was measured in currents: read_voltage is needed")
        return read_voltage


def _float(g: FloatArray) -> FloatArray:
    return np.asarray(g, dtype=np.float64)


def _within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a value lies in a range, to nine digits."""
    return limits[0] * (1.0 - 1e-9) <= value <= limits[1] * (1.0 + 1e-9)


def _or(times: tuple[float, ...]) -> str:
    return " or ".join(f"{time:g}" for time in times)
