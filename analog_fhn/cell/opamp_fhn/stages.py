"""What stands before and behind each neuron: the tanh pair that makes its drive, the driver of its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.constants import Boltzmann, elementary_charge

from analog_fhn.cell.base import DriveStage, RowStage, TanhStage
from analog_fhn.cell.opamp_fhn.drive import DriveCircuit, DriveParts
from analog_fhn.cell.parts import CAPACITOR, OPAMP_OFFSET, RESISTOR, Deviation, Kind, Parts, part
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, FloatArray, extremes
from analog_fhn.ngspice.text import Instance
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.e_series import downward, nearest
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE

BOLTZMANN_OVER_CHARGE = 8.617333262e-5  # V/K (CODATA 2018)
BAND_GAP = 1.11  # V, with the exponent 3 below the usual SPICE defaults of a silicon junction
NO_SHIFT = 1e12  # ohm, in place of a shift resistor that is left out


BASE_EMITTER = Kind("tanh_pair", False, Deviation("mirror_sigma", False))
PAIR_OFFSET = Kind("tanh_pair", False, Deviation("offset_sigma", False))
CURRENT_GAIN = Kind("tanh_pair", True, Deviation("beta_tolerance", True))


@dataclass(frozen=True)
class PairParts(DriveParts):
    """Tanh pairs: a transconductance amplifier with an attenuator on each input.

    Parameters
    ----------
    rs1, rp1, rs2, rp2
        Series and shunt resistors of the two inputs (ohm).
    rabc
        Sets the tail current from ground (ohm).
    vos
        Input offset of the pair (V).
    dvbe_tail, dvbe_source, dvbe_sink
        Mismatch of the base-emitter voltages in the tail mirror, in the mirror of the current that leaves the output,
        and in those of the current that enters it (V): a mirror's ratio is exp(mismatch/V_T).
    bn, bp
        Current gains of the npn and pnp transistors.
    """

    rs1: FloatArray = part(RESISTOR, "tanh pair: attenuator of the input for gamma < 0, sets the slope")
    rp1: FloatArray = part(RESISTOR, "tanh pair: its shunt", compensates="tanh_pair")
    rs2: FloatArray = part(RESISTOR, "tanh pair: attenuator of the input for gamma > 0")
    rp2: FloatArray = part(RESISTOR, "tanh pair: its shunt", compensates="tanh_pair")
    rabc: FloatArray = part(RESISTOR, "tanh pair: tail current, sets gamma")
    vos: FloatArray = part(PAIR_OFFSET, lot="vos")
    dvbe_tail: FloatArray = part(BASE_EMITTER, lot="dvbe_tail")
    dvbe_source: FloatArray = part(BASE_EMITTER, lot="dvbe_source")
    dvbe_sink: FloatArray = part(BASE_EMITTER, lot="dvbe_sink")
    bn: FloatArray = part(CURRENT_GAIN)
    bp: FloatArray = part(CURRENT_GAIN)

    @property
    def source_resistances(self) -> tuple[FloatArray, FloatArray]:
        """What each base sees (ohm): series and shunt resistor in parallel."""
        return self.rs1 * self.rp1 / (self.rs1 + self.rp1), self.rs2 * self.rp2 / (self.rs2 + self.rp2)


@dataclass(frozen=True)
class DriverParts(Parts):
    """Row drivers: an inverting amplifier that sums -V(x) and a reference.

    Parameters
    ----------
    rin, rf, rshift
        Resistors from the input, in the feedback, and from the reference (ohm).
    vos
        Input offset of the amplifier (V).
    cf
        Capacitor across the feedback: the low-pass in front of another hidden layer's array; 0: there is none (F).
    """

    rin: FloatArray = part(RESISTOR, "row driver: input")
    rf: FloatArray = part(RESISTOR, "row driver: feedback")
    rshift: FloatArray = part(RESISTOR, "row driver: reference, recentres")
    vos: FloatArray = part(OPAMP_OFFSET, lot="vos")
    cf: FloatArray = part(CAPACITOR, "row driver: low-pass in front of the next array")


def thermal_voltage(temperature: float) -> float:
    """kT/q in volts at `temperature` (K)."""
    return BOLTZMANN_OVER_CHARGE * temperature


def base_emitter_voltage(current: FloatArray, saturation_current: float, temperature: float) -> FloatArray:
    """V_BE of a transistor at a collector current (A): ``V_T ln(I/I_S(T))``.

    ``I_S(T) = I_S (T/T0)^3 exp((T/T0 - 1) E_g/V_T)``, T0 = 300 K (the temperature law of SPICE's bipolar model).
    """
    vt, ratio = thermal_voltage(temperature), temperature / NOMINAL_TEMPERATURE
    i_s = saturation_current * ratio**3 * np.exp((ratio - 1.0) * BAND_GAP / vt)
    return np.asarray(vt * np.log(current / i_s))


def full_scale_current(fhn: FHN, sx: float, r4: float) -> float:
    """Current (A) of a saturated pair: ``|gamma| Sx/R4``."""
    return abs(fhn.gamma) * sx / r4


def nominal_pairs(fhn: FHN, technology: BoardTechnology, sx: float, n_neurons: int) -> PairParts:
    """Nominal tanh pairs: the attenuated V_z is ``2 slope z V_T``, the tail current gives ``|gamma| Sx/R4``.

    Base currents take part of the tail current and load the attenuators, and the mirrors' ratios exceed 1; the nominal
    values make up for all of this, as far as the technology's E series allows.

    Raises
    ------
    InputError
        If no positive resistance gives the wanted slope or current.
    """
    pair, vt = technology.tanh_pair, thermal_voltage(NOMINAL_TEMPERATURE)
    nominal = technology.under(temperature=NOMINAL_TEMPERATURE, supply=1.0)
    attenuation = 2.0 * fhn.slope * vt / pair.volts_per_unit
    factor = attenuation
    values = {"rp1": pair.shunt, "rp2": pair.shunt, "bn": pair.beta_npn, "bp": pair.beta_pnp}
    tail = full_scale_current(fhn, sx, technology.neuron.r4)
    # Tail current and attenuation depend on what they bring about; a few rounds settle both.
    for _ in range(50):
        below = 2.0 * float(base_emitter_voltage(np.asarray(tail), pair.saturation_current, NOMINAL_TEMPERATURE))
        rs = pair.shunt * (1.0 / factor - 1.0)
        rabc = (-technology.supplies.negative - below) / tail
        if not (rs > 0.0 and np.isfinite(rs)):
            raise InputError(
                f"technology {technology.name!r}: slope {fhn.slope:g} asks for {2.0 * fhn.slope * vt:.3g} V per unit "
                "of z at the tanh pair's bases, which leaves no attenuator for tanh_pair.volts_per_unit = "
                f"{pair.volts_per_unit:g} V and shunt = {pair.shunt:g} ohm"
            )
        if not (rabc > 0.0 and np.isfinite(rabc)):
            raise InputError(
                f"technology {technology.name!r}: the tanh pair's tail source needs {below:.3g} V; "
                f"supplies.negative is {technology.supplies.negative:g} V"
            )
        values |= {"rs1": rs, "rs2": rs, "rabc": rabc}
        stage = drive_stage(PairParts.alike(1, values), fhn, nominal, sx)
        tail *= abs(fhn.gamma / float(stage.gain[0]))
        factor *= fhn.slope / float(stage.slope[0])
    for name in ("rs1", "rs2", "rabc"):
        values[name] = nearest(technology.resistor.series, values[name])
    return PairParts.alike(n_neurons, values)


def drive_stage(parts: PairParts, fhn: FHN, technology: BoardTechnology, sx: float) -> DriveStage:
    """What tanh pairs of these parts make of z, at the technology's temperature and supplies.

    With V the voltage between the bases, collector currents ``I1,2 = alpha I_tail (1 +- tanh(V/(2 V_T)))/2``,
    alpha = beta/(beta + 1), the output pushes ``m_p I1 - m_n I2``. The tail current is what flows from ground through
    rabc to two V_BE above the negative supply, times its mirror's ratio. A mirror's ratio is exp(mismatch/V_T), and
    more by ``2 v/(beta (1 + v))``, v the collector-base voltage of its output transistor over the Early voltage,
    because Early effect raises that transistor's current gain, as it does that of the pair. Base currents drop
    ``alpha I_tail tanh(V/(2 V_T))/beta`` times the attenuators' mean parallel resistance; since that drop is taken as
    proportional to V, exactly so at V = 2 V_T, it is a loss of slope. The drive is this current times -R4/Sx; for
    gamma > 0 the other input is driven.

    Parameters
    ----------
    parts
        Values at the technology's temperature.

    Raises
    ------
    InputError
        If the supplies leave the mirrors no voltage.
    """
    pair, conditions = technology.tanh_pair, technology.conditions
    vt = thermal_voltage(conditions.temperature)
    high, low = (v * conditions.supply for v in (technology.supplies.positive, -technology.supplies.negative))
    current = full_scale_current(fhn, sx, technology.neuron.r4) * np.ones(len(parts))
    for _ in range(20):
        below = 2.0 * base_emitter_voltage(current, pair.saturation_current, conditions.temperature)
        if not np.all((low > 1.5 * below) & (high > below)):
            raise InputError(
                f"technology {technology.name!r}: the tanh pair's mirrors need {1.5 * float(np.max(below)):.3g} V "
                f"below and {float(np.max(below)):.3g} V above ground; the supplies are -{low:g} V and {high:g} V"
            )
        current = (low - below) / parts.rabc

    def ratio(mismatch: FloatArray, *outputs: tuple[FloatArray, FloatArray]) -> FloatArray:
        early = np.ones(len(parts))
        for voltage, beta in outputs:
            v = voltage / pair.early_voltage
            early = early * (1.0 + 2.0 * v / (beta * (1.0 + v)))
        return np.asarray(np.exp(mismatch / vt) * early)

    mirror = ratio(parts.dvbe_tail, (low - 1.5 * below, parts.bn))
    positive = ratio(parts.dvbe_source, (high - below, parts.bp))
    negative = ratio(parts.dvbe_sink, (high + low - 2.0 * below, parts.bp), (low - below, parts.bn))
    beta = parts.bn * (1.0 + (high - below) / pair.early_voltage)
    collector = current * mirror * beta / (beta + 1.0)
    parallel1, parallel2 = parts.source_resistances
    loading = 1.0 + np.tanh(1.0) * collector / beta * 0.5 * (parallel1 + parallel2) / (2.0 * vt)
    if fhn.gamma < 0:
        attenuation, sign = parts.rp1 / (parts.rs1 + parts.rp1), 1.0
    else:
        attenuation, sign = parts.rp2 / (parts.rs2 + parts.rp2), -1.0
    offset = parts.vos - 0.5 * collector / beta * (parallel1 - parallel2)
    to_drive = technology.neuron.r4 / sx
    return TanhStage(
        -sign * to_drive * collector * 0.5 * (positive + negative),
        attenuation * pair.volts_per_unit / (2.0 * vt * loading),
        sign * offset / (2.0 * vt * loading),
        -to_drive * collector * 0.5 * (positive - negative),
    )


@dataclass(frozen=True, eq=False)
class TanhPairs(DriveCircuit[PairParts]):
    """Tanh pairs of a layer as laid out."""

    NAME: ClassVar[str] = "tanh pair"
    STREAM: ClassVar[int] = 2
    LIBRARIES: ClassVar[tuple[str, ...]] = ("tanh_pair.lib",)
    CULPRITS: ClassVar[dict[str, str]] = {"gamma": "Rabc", "slope": "Rs1, Rs2"}

    @cached_property
    def nominal(self) -> PairParts:
        """Nominal tanh pairs; see `nominal_pairs`."""
        return nominal_pairs(self.fhn, self.technology, self.sx, self.n_cells)

    @property
    def volts_per_z(self) -> float:
        """Input voltage for a pre-activation of 1 (V), as the technology has it."""
        return self.technology.tanh_pair.volts_per_unit

    def stage(self, parts: PairParts, summing_volts: FloatArray) -> DriveStage:
        """What tanh pairs make of z, see `drive_stage`: their output does not feel its voltage."""
        return drive_stage(parts, self.fhn, self.technology, self.sx)

    def load(self, parts: PairParts) -> FloatArray:
        """None: the output is a current source."""
        return np.zeros(len(parts))

    def noise(self, parts: PairParts, gain: FloatArray) -> FloatArray:
        """Shot noise at balance, and thermal noise of the attenuators times the pair's slope I_tail/(2 V_T).

        Shot noise is 2 q I of each transistor that carries the output: the pair I_tail in all, two pnp mirrors twice
        that, the npn mirror I_tail.
        """
        temperature = self.technology.conditions.temperature
        thermal = 4.0 * Boltzmann * temperature
        tail = np.abs(gain) * self.sx / self.technology.neuron.r4
        parallel = sum(parts.source_resistances)
        slope = tail / (2.0 * thermal_voltage(temperature))
        return np.asarray(np.sqrt(8.0 * elementary_charge * tail + thermal * parallel * slope**2))

    def instance(self, values: dict[str, float], suffix: str) -> Instance:
        """Instance `Xpair`."""
        transistor = self.technology.tanh_pair
        parameters = values | {"isat": transistor.saturation_current, "vaf": transistor.early_voltage}
        inputs = (f"z{suffix}", "0") if self.fhn.gamma < 0 else ("0", f"z{suffix}")
        return Instance(f"Xpair{suffix}", (*inputs, f"sum2{suffix}", "vcc", "vee"), "tanh_pair", parameters)

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """Half of a dual transconductance amplifier."""
        packages = f"tanh pairs, the halves of {(self.n_cells + 1) // 2} dual packages"
        return (("tanh_pair", "transconductance amplifier (tanh_pair)", 1, packages),)


def largest_activation(fhn: FHN, recentring: tuple[float, float]) -> float:
    """Largest instantaneous |h|, on a spike or at rest under the largest drive, with recentring's gain and offset."""
    gain, offset = recentring
    return abs(gain) * extremes(fhn)[0] + abs(offset)


def nominal_drivers(
    fhn: FHN,
    recentring: tuple[float, float],
    technology: BoardTechnology,
    sx: float,
    n_neurons: int,
    smoothed: bool = False,
) -> DriverParts:
    """Nominal row drivers: the largest activation becomes the read voltage, or the next lower that the series has.

    ``Rf/Rin = V_read |gain|/(h_max Sx)``, ``Rin/Rshift = |offset| Sx/(|gain| Vref)``, gain and offset of the
    recentring. The low-pass is ``C = tau T/Rf``.

    Parameters
    ----------
    recentring
        Gain and offset from x to the activation.
    smoothed
        Whether there is a low-pass, of the technology's time constant.
    """
    gain, offset = recentring
    series, rin = technology.resistor.series, technology.row_driver.input_resistor
    per_unit = technology.array.read_voltage / largest_activation(fhn, recentring)
    rf = downward(series, rin * per_unit * abs(gain) / sx, 1.0)[0]
    rshift = NO_SHIFT
    if offset:
        rshift = min(NO_SHIFT, nearest(series, rin * abs(gain) * technology.supplies.reference / (abs(offset) * sx)))
    cf = 0.0
    if smoothed:
        cf = nearest(technology.capacitor.series, technology.low_pass.time_constant * technology.time_unit / rf)
    return DriverParts.alike(n_neurons, {"rin": rin, "rf": rf, "rshift": rshift, "cf": cf})


def row_stage(
    parts: DriverParts,
    nominal: DriverParts,
    inverter: tuple[FloatArray, FloatArray],
    recentring: tuple[float, float],
    technology: BoardTechnology,
    sx: float,
) -> RowStage:
    """What row drivers of these parts make of x, in units of the activation.

    The output stage's gain is that which the nominal driver asks for: it takes h_max and the series' error of Rf back.

    ``V_row = -(Rf/Rin) V_in - (Rf/Rshift) V_shift + Vos (1 + Rf/Rin + Rf/Rshift) + Ib Rf``; V_in is U3's output for
    gamma < 0 and V(x) else. Without recentring the shift resistor is left out and V_in is U3's output, so that the row
    rises with x whatever gamma is.

    Parameters
    ----------
    inverter
        Gain and output offset (V) of U3: ``V(nx) = -gain V(x) + offset``, each of shape (n,).
    recentring
        Gain and offset from x to the activation.
    """
    gain, offset = recentring
    nominal_ratio = (nominal.rf / nominal.rin)[0] * sx
    per_volt = abs(gain) / nominal_ratio
    ratio, shift = parts.rf / parts.rin, parts.rf / parts.rshift
    slope, level = inverter if gain > 0 else (-np.ones(len(parts)), np.zeros(len(parts)))
    bias = technology.opamp.input_current(technology.conditions.temperature) * parts.rf
    reference = np.copysign(technology.supplies.reference, offset)
    return RowStage(
        per_volt * ratio * slope * sx,
        per_volt * (bias - ratio * level + shift * reference + parts.vos * (1.0 + ratio + shift)),
        ratio * inverter[0] * sx / nominal_ratio,
        (bias - ratio * inverter[1] + parts.vos * (1.0 + ratio)) / nominal_ratio,
        parts.rf * parts.cf / technology.time_unit,
    )
