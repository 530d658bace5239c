"""Transistor cells as laid out: their subcircuits, sizes and surroundings, and the curves of any sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analog_fhn.cell.base import Cell, Curve, curve_of
from analog_fhn.cell.ota_fhn.characterise import (
    Currents,
    Held,
    NeuronCurves,
    Surroundings,
    Sweep,
    Timing,
    measured,
    neuron_curves,
    supplied,
)
from analog_fhn.cell.ota_fhn.library import Subcircuit, subcircuit
from analog_fhn.cell.parts import CAPACITOR, Deviation, Kind, Parts, part
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.transconductors import Characteristic, TransconductorDynamics

INTEGRATOR_OFFSET = Kind("integrator", False, Deviation("offset_sigma", False))
INTEGRATOR_GAIN = Kind("integrator", False, Deviation("gain_sigma", False))


@dataclass(frozen=True)
class DriveKind:
    """Circuit that makes a curve of a drive stage.

    Parameters
    ----------
    name
        Of its subcircuit.
    words, stream
        Of its parts: their name and the number of their random stream.
    lines
        Its pins behind zp, zn and y, as nodes that all cells have in common.
    """

    name: str
    words: str
    stream: int
    lines: tuple[str, ...]


DRIVES: Mapping[Curve, DriveKind] = {
    "tanh": DriveKind("ota_tanh", "differential pair", 2, ("bd", "vdd")),
    "ramp": DriveKind("ota_ramp", "ramp", 1 << 15, ("bd", "bdp", "bdk", "vdd")),
}
_KEPT = 0.4e-9  # A, keeps the mirrors of a ramp fast; see netlists/ota_ramp.lib
# Relative to the reference (V): what the nodes reach, and what lies beyond it.
STATE_X = Sweep(-0.6, 0.5, 89)
STATE_Y = Sweep(-0.6, 0.5, 89)
_TANH_REACH, _INPUT_POINTS = 0.36, 49  # V: eight units of z


@dataclass(frozen=True)
class IntegratorParts(Parts):
    """What integrates the output of a neuron, holds it and drives a row.

    Parameters
    ----------
    c
        Capacitor (F).
    offset
        Of the row (V).
    gain
        Relative error of the row's span, but for that of the capacitor.
    """

    c: FloatArray = part(CAPACITOR, "integrates the output of the neuron")
    offset: FloatArray = part(INTEGRATOR_OFFSET, lot="offset")
    gain: FloatArray = part(INTEGRATOR_GAIN, lot="gain")


@dataclass(frozen=True, eq=False)
class OtaLayout(Cell):
    """Transistor cells as laid out; `nominal` are transistors of neurons, of drive stages, and `IntegratorParts`.

    Raises
    ------
    InputError
        If a differs from abs(gamma), which one branch of a pair cannot make, or gamma is not 1 or -1.
    """

    technology: SiliconTechnology

    NEURON_LIBRARIES: ClassVar[tuple[str, ...]] = ("devices.lib", "bias_line.lib", "ota_neuron.lib", "ota_probe.lib")

    def __post_init__(self) -> None:
        fhn = self.fhn
        if abs(fhn.gamma) != 1.0 or fhn.a != 1.0:
            raise InputError(
                f"a = {fhn.a:g}, gamma = {fhn.gamma:g}: the drive cells of technology {self.technology.name!r} steer "
                "one current from 0 to a + I = 2; expected a = 1 and gamma = 1 or -1"
            )

    @cached_property
    def neuron(self) -> Subcircuit:
        """Subcircuit of the neurons."""
        return subcircuit("ota_neuron")

    @cached_property
    def neuron_sizes(self) -> Mapping[str, float]:
        """Its sizes."""
        legs = self.technology.legs
        own = {
            "l_leg_p": legs.length_p, "l_leg_n": legs.length_n, "m_leg": legs.number,
            "l_mirror_p": legs.mirror_p, "l_mirror_n": legs.mirror_n,
            "cx": legs.fast_capacitor, "cy": legs.slow_capacitor,
        }  # fmt: skip
        return self.neuron.with_sizes({**self.technology.neuron.sizes, **own})

    @property
    def drive_kind(self) -> DriveKind:
        """Circuit of the drive stages."""
        return DRIVES[curve_of(self.unit)]

    @cached_property
    def drive(self) -> Subcircuit:
        """Subcircuit of the drive stages."""
        return subcircuit(self.drive_kind.name)

    @cached_property
    def drive_sizes(self) -> Mapping[str, float]:
        """Its sizes."""
        drive = self.technology.drive
        return self.drive.with_sizes(drive.tanh if curve_of(self.unit) == "tanh" else drive.ramp)

    @cached_property
    def areas(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Square roots of the effective areas of the transistors of a neuron and of a drive stage (m).

        Raises
        ------
        InputError
            For sizes that the models are not made for.
        """
        mismatch, extents = self.technology.mismatch, self.technology.extents
        self.neuron.check(self.neuron_sizes, extents)
        self.drive.check(self.drive_sizes, extents)
        return self.neuron.root_areas(self.neuron_sizes, mismatch), self.drive.root_areas(self.drive_sizes, mismatch)

    @cached_property
    def nominal(self) -> tuple[Parts, ...]:
        """Neurons, drive stages and integrators without deviations."""
        integrator = IntegratorParts.alike(self.n_cells, {"c": self.technology.integrator.capacitor})
        neurons = self.neuron.nominal(self.neuron_sizes, self.n_cells)
        return neurons, self.drive.nominal(self.drive_sizes, self.n_cells), integrator

    @property
    def errors(self) -> Mapping[str, float]:
        """None: no value is taken from a series."""
        return {}

    @property
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""
        return self.technology.time_unit

    @property
    def voltage_scales(self) -> Mapping[str, float]:
        """Voltage per unit of x and of y (V), and the time unit (s)."""
        volts = self.technology.neuron.volts_per_unit
        return {"sx": volts, "sy": volts, "time_unit": self.time_unit}

    @property
    def volts_per_x(self) -> float:
        """Voltage of node `x` for an output of 1 (V): the probe's."""
        return 1.0

    @property
    def celsius(self) -> float:
        """Temperature."""
        return self.technology.conditions.temperature - 273.15

    def library(self, name: str) -> str:
        """Text of one of the libraries; `devices.lib` are those of the process, in the corner of the conditions."""
        if name != "devices.lib":
            return super().library(name)
        pdk = self.technology.pdk
        return pdk.process.devices_text(pdk.file, self.technology.conditions.corner)

    @cached_property
    def surroundings(self) -> Surroundings:
        """What a deck of static curves has around its cells."""
        technology = self.technology
        supplies = [f"V{name} {name} 0 {number(value)}" for name, value in self.supply_volts.items()]
        names = (*self.NEURON_LIBRARIES, f"{self.drive.name}.lib")
        pdk = technology.pdk
        return Surroundings(
            "".join(self.library(name) for name in names),
            (*supplies, *instance_lines(self.bias_instances(""))),
            "vdd",
            "vref",
            round(self.celsius, 9),
            pdk.process.identity(pdk.file),
        )

    @property
    def supply_volts(self) -> Mapping[str, float]:
        """Voltages (V) of `vdd` and `vref` under the conditions."""
        supplies = self.technology.supplies
        return {"vdd": supplies.vdd * self.technology.conditions.supply, "vref": supplies.reference}

    @property
    def start_volts(self) -> float:
        """Input voltage of a drive stage for z = 0, relative to the reference: a ramp is centred there (V)."""
        return 0.0 if curve_of(self.unit) == "tanh" else -0.5 * self.technology.drive.ramp_span

    def bias_instances(self, suffix: str, supply: str = "vdd") -> tuple[Instance, ...]:
        """Gate lines of the tails, made once for all cells: `bn` of the neurons, `bd` and `bp` of the drive stages."""
        sizes, full = self.drive_sizes, self.full_current

        def diode(
            line: str, current: float, polarity: str, ends: tuple[str, str], values: dict[str, float]
        ) -> tuple[Instance, ...]:
            node = f"{line}{suffix}"
            return (
                Instance(f"Xreference_{line}{suffix}", (node,), "reference_current", {"i": current}),
                Instance(f"Xdiode_{line}{suffix}", (node, node, *ends), f"fet_{polarity}", values),
            )

        def size(letter: str, *names: str) -> dict[str, float]:
            return {name: sizes[f"{name}_{letter}"] for name in names}

        lines = [
            Instance(
                f"Xreference{suffix}",
                (f"bn{suffix}",),
                "reference_current",
                {"i": self.technology.supplies.bias_current},
            ),
            Instance(f"Xbias{suffix}", (f"bn{suffix}", f"bp{suffix}", supply), "bias_line", {}),
            *diode("bd", full, "n", ("0", "0"), size("t", "w", "l", "m")),
        ]
        if "bdk" in self.drive_kind.lines:
            lines += diode("bdk", _KEPT, "n", ("0", "0"), size("k", "w", "l"))
            lines += diode("bdp", -0.5 * full, "p", (supply, supply), size("s", "w", "l"))
        return tuple(lines)

    @property
    def full_current(self) -> float:
        """Largest drive current (A): that of a + I = 2."""
        return 2.0 * self.technology.neuron.unit_current

    @property
    def input_sweep(self) -> Sweep:
        """Voltages of a drive stage's input, relative to the reference."""
        if curve_of(self.unit) == "tanh":
            return Sweep(-_TANH_REACH, _TANH_REACH, _INPUT_POINTS)
        full = self.technology.drive.ramp_span
        return Sweep(-0.8 * full, 0.8 * full, _INPUT_POINTS)

    def neuron_instance(self, parts: Parts, index: int, suffix: str) -> Instance:
        """Instance of one neuron between the nodes `s` (x), `sum2` (y) and `out`."""
        nodes = (f"s{suffix}", f"sum2{suffix}", f"out{suffix}", "vdd", "vref", "bn")
        values = self.neuron.values(parts, index, self.neuron_sizes, self.areas[0])
        return Instance(f"Xota{suffix}", nodes, self.neuron.name, values)

    def drive_instance(self, parts: Parts, index: int, suffix: str) -> Instance:
        """Instance of one drive stage from `z` to `sum2`; a rising z makes less current where gamma is negative."""
        kind = self.drive_kind
        inputs = ("vref", f"z{suffix}")
        nodes = (*(inputs if self.fhn.gamma < 0 else inputs[::-1]), f"sum2{suffix}", *kind.lines)
        values = self.drive.values(parts, index, self.drive_sizes, self.areas[1])
        return Instance(f"Xdrive{suffix}", nodes, self.drive.name, values)

    def curves(self, neurons: Parts, drives: Parts) -> tuple[NeuronCurves, FloatArray, FloatArray]:
        """Static curves of neurons; currents out of drive stages, and into them from the supply (A).

        The latter two are those over `input_sweep`, of shape (n, points).

        Raises
        ------
        MissingProgramError
            If ngspice or the models are absent.
        SimulationError
            If ngspice fails.
        """
        distinct, place = _distinct(neurons, drives)
        if len(distinct) < len(neurons):
            curves, drawn, drain = self.curves(neurons[distinct], drives[distinct])
            return curves[place], drawn[place], drain[place]
        sweeps = {"x": STATE_X, "y": STATE_Y, "z": self.input_sweep}
        cells = []
        for k in range(len(neurons)):
            suffix = f"_{k}"
            neuron = self.neuron_instance(neurons, k, suffix)
            drive = self.drive_instance(drives, k, f"_d{k}")
            supply = {"neuron": f"vdd{suffix}", "drive": f"vdd_d{k}"}
            cells.append(
                (
                    Held(
                        supplied(neuron, supply["neuron"]),
                        {"x": f"s{suffix}", "y": f"sum2{suffix}"},
                        {
                            "x": f"s{suffix}",
                            "y": f"sum2{suffix}",
                            "out": f"out{suffix}",
                            "supply": supply["neuron"],
                        },
                        supply["neuron"],
                    ),
                    Held(
                        supplied(drive, supply["drive"]),
                        {"z": f"z_d{k}"},
                        {"z": f"z_d{k}", "current": f"sum2_d{k}", "drain": supply["drive"]},
                        supply["drive"],
                    ),
                )
            )
        currents: Currents = measured(self.surroundings, cells, sweeps)
        return neuron_curves(currents, sweeps), currents["z"]["current"], -currents["z"]["drain"]

    @cached_property
    def nominal_curves(self) -> tuple[NeuronCurves, FloatArray, FloatArray]:
        """Those of one neuron and one drive stage without deviations; see `curves`."""
        neurons, drives, _ = (group[:1] for group in self.nominal)
        return self.curves(neurons, drives)

    def drive_current(self, drive: float) -> float:
        """Current (A) drawn out of node `sum2`: ``a + I`` flows into it."""
        return -self.technology.neuron.unit_current * (self.fhn.a + drive)

    def dynamics(self, neurons: Parts, curves: NeuronCurves, timing: Timing) -> TransconductorDynamics:
        """Equations of neurons with these curves; their capacitors differ from the effective ones as they are drawn."""
        volts, unit = self.technology.neuron.volts_per_unit, self.technology.neuron.unit_current
        values = dict(neurons.items())
        fast = timing.fast + values["cx"] - self.neuron_sizes["cx"]
        slow = timing.slow + values["cy"] - self.neuron_sizes["cy"]
        per_fast, per_slow = (self.time_unit / (volts * c)[:, None] for c in (fast, slow))
        (x_low, x_high), (y_low, y_high) = ((v[0] / volts, v[-1] / volts) for v in (curves.x, curves.y))
        gain = self.time_unit * unit / (volts * slow)
        return TransconductorDynamics(
            Characteristic.through(x_low, x_high, curves.fast * per_fast),
            Characteristic.through(y_low, y_high, curves.coupling * per_fast),
            Characteristic.through(x_low, x_high, curves.slow * per_slow),
            Characteristic.through(x_low, x_high, curves.copy / unit),
            gain,
            self.fhn.a * gain,
            timing.eps,
            timing.lag / self.time_unit,
        )


def _distinct(*groups: Parts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of cells of which no two have the same parts, and for each cell its place among them."""
    values = np.stack([value for group in groups for _, value in group.items()])
    _, first, place = np.unique(values, axis=1, return_index=True, return_inverse=True)
    return np.asarray(first, dtype=np.intp), np.asarray(place, dtype=np.intp).reshape(-1)
