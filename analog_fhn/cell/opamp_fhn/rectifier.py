"""The drive stage of a relu: a clamp and a follower, whose diodes lie in the feedback of amplifiers U5 and U4.

U5 holds its input at the limit as soon as V_z exceeds it, U4 follows it as long as it is positive, and what U4 follows
pushes a current through Rout into the neuron's summing node. Roff draws a constant current out of it. At z <= 0 nothing
but this constant current is left: what most units of a network make most of the time is the error of one resistor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.constants import Boltzmann

from analog_fhn.cell.base import DriveStage, RampStage
from analog_fhn.cell.opamp_fhn.drive import DriveCircuit, DriveParts
from analog_fhn.cell.opamp_fhn.stages import BAND_GAP, full_scale_current, thermal_voltage
from analog_fhn.cell.parts import OPAMP_OFFSET, RESISTOR, part
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import Instance
from analog_fhn.technology.amplifier_model import amplifier_parameters
from analog_fhn.technology.board import Rectifier
from analog_fhn.technology.e_series import between, nearest
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE

# How far the limit's lower resistor may be from the value that the technology's full scale asks for.
_FREEDOM = 1.1


@dataclass(frozen=True)
class RectifierParts(DriveParts):
    """Rectifying, saturating drive stages.

    Parameters
    ----------
    rz
        Between the input and the clamp (ohm).
    rl1, rl2
        Divider of the limit, from the positive reference and to ground (ohm).
    rout
        From the follower into the summing node (ohm).
    roff
        From the summing node to the negative reference (ohm).
    vos4, vos5
        Input offsets of U4, the follower, and of U5, the clamp (V).
    """

    rz: FloatArray = part(RESISTOR, "rectifier: input, in front of the clamp")
    rl1: FloatArray = part(RESISTOR, "rectifier: limit, from the positive reference")
    rl2: FloatArray = part(RESISTOR, "rectifier: limit, to ground")
    rout: FloatArray = part(RESISTOR, "rectifier: output, sets gamma")
    roff: FloatArray = part(RESISTOR, "rectifier: negative reference, sets the drive at z <= 0")
    vos4: FloatArray = part(OPAMP_OFFSET, lot="vos")
    vos5: FloatArray = part(OPAMP_OFFSET, lot="vos")


def leakage(rectifier: Rectifier, temperature: float) -> float:
    """Current (A) of a diode that blocks: its saturation current at a temperature (K).

    ``I_S(T) = I_S (T/T0)^(3/N) exp((T/T0 - 1) E_g/(N V_T))``, T0 = 300 K (the temperature law of SPICE's diode).
    """
    ratio, n = temperature / NOMINAL_TEMPERATURE, rectifier.emission_coefficient
    growth = ratio ** (3.0 / n) * np.exp((ratio - 1.0) * BAND_GAP / (n * thermal_voltage(temperature)))
    return float(rectifier.saturation_current * growth)


@dataclass(frozen=True, eq=False)
class Rectifiers(DriveCircuit[RectifierParts]):
    """Rectifying, saturating drive stages of a layer as laid out."""

    NAME: ClassVar[str] = "rectifier"
    STREAM: ClassVar[int] = 1 << 15
    LIBRARIES: ClassVar[tuple[str, ...]] = ("opamp.lib", "rectifier.lib")
    CULPRITS: ClassVar[dict[str, str]] = {"gamma": "Rl1, Rl2, Rout", "slope": "Rl1, Rl2", "zero_drive": "Roff"}

    @cached_property
    def nominal(self) -> RectifierParts:
        """Nominal parts: ``Rout = V_limit R4/(2 |gamma| Sx)``, ``Roff = V_ref R4/(|gamma| Sx)``.

        V_limit is full_scale, or up to a tenth away from it where the series then has a better value for Rout.

        Raises
        ------
        InputError
            If gamma is positive, or full_scale not below the reference.
        """
        rectifier, reference = self.technology.rectifier, self.technology.supplies.reference
        if self.fhn.gamma > 0:
            raise InputError(
                f"gamma = {self.fhn.gamma:g}: the drive stage of a relu is drawn for gamma < 0; its follower pushes "
                "currents into the neuron alone"
            )
        if not rectifier.full_scale < reference:
            raise InputError(
                f"technology {self.technology.name!r}: rectifier.full_scale = {rectifier.full_scale:g} V; expected "
                f"less than supplies.reference = {reference:g} V, which it is divided from"
            )
        series, rl1 = self.technology.resistor.series, rectifier.divider
        current = full_scale_current(self.fhn, self.sx, self.technology.neuron.r4)
        exact = rl1 * rectifier.full_scale / (reference - rectifier.full_scale)
        choice = [nearest(series, exact)]
        if series is not None:
            choice += between(series, exact / _FREEDOM, exact * _FREEDOM)

        def output(rl2: float) -> float:
            return reference * rl2 / (rl1 + rl2) / (2.0 * current)

        rl2 = min(choice, key=lambda value: abs(np.log(nearest(series, output(value)) / output(value))))
        values = {
            "rz": rectifier.input_resistor,
            "rl1": rl1,
            "rl2": rl2,
            "rout": nearest(series, output(rl2)),
            "roff": nearest(series, reference / current),
        }
        return RectifierParts.alike(self.n_cells, values)

    @property
    def limit(self) -> float:
        """Nominal limit (V)."""
        rl1, rl2 = float(self.nominal.rl1[0]), float(self.nominal.rl2[0])
        return self.technology.supplies.reference * rl2 / (rl1 + rl2)

    @property
    def volts_per_z(self) -> float:
        """Input voltage for a pre-activation of 1 (V): the slope times z reaches the ceiling at the limit."""
        return self.limit * self.fhn.slope / self.ceiling

    def stage(self, parts: RectifierParts, summing_volts: FloatArray) -> DriveStage:
        """What rectifiers of these parts make of z.

        With the amplifiers' gain A, the diodes' forward voltage V_D and leakage I_S, the bias current I_b and the
        voltage V_s of the summing node, the clamp's input V, what it is held at, and the follower's output are ::

            V = V_z - 2 I_b Rz,    V <= V_max = (V_limit + Vos5 + V_D/A)/(1 + 1/A)
            V_limit = (V_ref/Rl1 - I_b)/(1/Rl1 + 1/Rl2),    V_a = (V + Vos4 - V_D/A)/(1 + 1/A)

        ``i = (V_a - V_s)/Rout`` flows into the summing node, but never less than ``-(I_S + I_b)``, which is what flows
        while the follower's diode blocks. ``(V_ref + V_s)/Roff`` flows out of it. V_D is taken at the largest current;
        at smaller ones it is smaller, which rounds the corners by microvolts. Left out is that at V = 0, but not from
        some 0.1 V on, the leakage of the clamp's diode raises V by I_S Rz.
        """
        technology, gain = self.technology, self.technology.opamp.gain
        temperature, reference = technology.conditions.temperature, technology.supplies.reference
        bias, leaks = technology.opamp.input_current(temperature), leakage(technology.rectifier, temperature)
        drop = self._forward_voltage(leaks)
        limit = (reference / parts.rl1 - bias) / (1.0 / parts.rl1 + 1.0 / parts.rl2)
        highest = (limit + parts.vos5 + drop / gain) / (1.0 + 1.0 / gain)

        def pushed(volts: FloatArray) -> FloatArray:
            return ((volts + parts.vos4 - drop / gain) / (1.0 + 1.0 / gain) - summing_volts) / parts.rout

        low, high, at_zero = -(leaks + bias), pushed(highest), pushed(-2.0 * bias * parts.rz)
        per_z = self.volts_per_z / (1.0 + 1.0 / gain) / parts.rout
        to_drive = technology.neuron.r4 / self.sx
        return RampStage(
            -to_drive * (high - low),
            per_z / (high - low),
            (at_zero - low) / (high - low),
            to_drive * ((reference + summing_volts) / parts.roff - low),
        )

    def _forward_voltage(self, saturation: float) -> float:
        """Of a diode (V) at the largest current, ``N V_T ln(1 + I/I_S)``."""
        technology = self.technology
        current = 2.0 * full_scale_current(self.fhn, self.sx, technology.neuron.r4)
        vt = thermal_voltage(technology.conditions.temperature)
        return float(technology.rectifier.emission_coefficient * vt * np.log1p(current / saturation))

    def load(self, parts: RectifierParts) -> FloatArray:
        """Conductance of Rout and Roff on the summing nodes; while the diode blocks it is that of Roff alone."""
        return np.asarray(1.0 / parts.rout + 1.0 / parts.roff)

    def noise(self, parts: RectifierParts, gain: FloatArray) -> FloatArray:
        """Thermal noise of Rout and Roff, and through Rout that of U4 and of Rz: while the follower follows."""
        thermal = 4.0 * Boltzmann * self.technology.conditions.temperature
        follower = self.technology.opamp.voltage_noise_density**2 + thermal * parts.rz
        return np.asarray(np.sqrt(thermal * self.load(parts) + follower / parts.rout**2))

    def amplifier_noise(self, parts: RectifierParts) -> FloatArray:
        """That of U4 through Rout, while the follower follows."""
        return np.asarray(self.technology.opamp.voltage_noise_density / parts.rout)

    def instance(self, values: dict[str, float], suffix: str) -> Instance:
        """Instance `Xrectifier`."""
        technology = self.technology
        diode = {
            "isat": technology.rectifier.saturation_current,
            "emission": technology.rectifier.emission_coefficient,
        }
        nodes = (f"z{suffix}", f"sum2{suffix}", "vplus", "vref", "vcc", "vee")
        parameters = values | diode | amplifier_parameters(technology, technology.opamp)
        return Instance(f"Xrectifier{suffix}", nodes, "rectifier", parameters)

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """Amplifiers and diodes of one stage."""
        return (
            ("opamp", "operational amplifier (opamp)", 2, "U4 U5 of the rectifiers"),
            ("rectifier", "diode (rectifier)", 3, "D1 D2 D3 of the rectifiers"),
        )

    def errors(self) -> dict[str, float]:
        """Relative errors in gamma, in the slope, and in the drive at z <= 0."""
        rest = float(self.nominal_stage().offset[0])
        return super().errors() | {"zero_drive": rest / abs(self.fhn.gamma) - 1.0}

    def supplies(self) -> dict[str, float]:
        """The positive reference `vplus` (V)."""
        return {"vplus": self.technology.supplies.reference}

    def levels(self) -> dict[str, float]:
        """U4 stands higher than the limit by its diode's forward voltage."""
        return {"U4": self.limit + self._forward_voltage(leakage(self.technology.rectifier, NOMINAL_TEMPERATURE))}

    def loads(self) -> dict[str, float]:
        """U4 drives Rout; what amplifiers in front of the clamp deliver through Rz at their limit, U5 or D3 take."""
        technology, rz = self.technology, float(self.nominal.rz[0])
        reached = technology.column_swing
        return {
            "U4": self.limit / float(self.nominal.rout[0]),
            "U5": max(0.0, reached - self.limit) / rz,
            "amplifiers in front of Rz": reached / rz,
        }
