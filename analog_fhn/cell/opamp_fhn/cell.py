"""Op-amp cells: their equations from the values of their parts, netlist, noise and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn.cell.base import CircuitCells, FlickerDensities, curve_of
from analog_fhn.cell.opamp_fhn import checks, noise
from analog_fhn.cell.opamp_fhn.layout import DRIVE_CIRCUITS, OpAmpLayout, groups, typed_groups
from analog_fhn.cell.opamp_fhn.neuron import coefficients, drive_current, inverter
from analog_fhn.cell.opamp_fhn.stages import NO_SHIFT, row_stage
from analog_fhn.cell.parts import Parts
from analog_fhn.errors import InputError
from analog_fhn.findings import Finding
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.text import Instance
from analog_fhn.technology.amplifier_model import amplifier_parameters, drops


@dataclass(frozen=True, eq=False)
class OpAmpFHN(OpAmpLayout):
    """Tanh pair or rectifier, FHN neuron and row driver of op-amps."""

    NAME: ClassVar[str] = "opamp_fhn"
    NEURON_LIBRARIES: ClassVar[tuple[str, ...]] = ("opamp.lib", "multiplier.lib", "fhn_neuron.lib")

    @property
    def streams(self) -> Mapping[str, int]:
        """Neuron, tanh pair or rectifier, row driver."""
        drive = DRIVE_CIRCUITS[curve_of(self.unit)]
        return {"neuron": 0, drive.NAME: drive.STREAM, "row driver": 3}

    @property
    def drive_libraries(self) -> tuple[str, ...]:
        """Libraries of the tanh pair or of the rectifier."""
        return DRIVE_CIRCUITS[curve_of(self.unit)].LIBRARIES

    @property
    def libraries(self) -> tuple[str, ...]:
        """Libraries of a whole cell, each after those that it needs."""
        driver = "smoothing_driver.lib" if self.smoothed else "row_driver.lib"
        return tuple(dict.fromkeys((*self.NEURON_LIBRARIES, *self.drive_libraries, driver)))

    # What overflows is refused with its name in the end (`analog_fhn.chip.check_finite`).
    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def cells(self, parts: tuple[Parts, ...]) -> CircuitCells:
        """Reduced equations of cells of these neurons, drive stages and row drivers."""
        neurons, drives, drivers = typed_groups(parts)
        sx, technology = self.scales.sx, self.technology
        return CircuitCells(
            coefficients(neurons, self.scales, technology, self.fhn.eps, self.drive.load(drives)),
            self.drive.stage(drives, neurons.vos2),
            row_stage(drivers, self.drivers, inverter(neurons, technology), self.recentring, technology, sx),
            self,
            parts,
        )

    def trimmed(self, parts: tuple[Parts, ...], gain: FloatArray, shift: FloatArray) -> tuple[Parts, ...]:
        """Parts with potentiometers in the feedback and in the shift resistor of the row drivers."""
        neurons, drives, drivers = typed_groups(parts)
        return neurons, drives, replace(drivers, rf=drivers.rf * gain, rshift=drivers.rshift * shift)

    def neuron_instances(self, cells: CircuitCells, index: int, protocol: Protocol, suffix: str) -> Sequence[Instance]:
        """Instance `Xneuron` between the nodes `x`, `nx`, `y` and `sum2`.

        Raises
        ------
        InputError
            If the initial state lies beyond the linear range of the parts.
        """
        supplies, multiplier, scales = self.technology.supplies, self.technology.multiplier, self.scales
        vx0, vy0 = scales.sx * protocol.x0, scales.sy * protocol.y0
        if max(abs(vx0), abs(vy0)) > supplies.linear_range:
            raise InputError(
                f"protocol x0 = {protocol.x0:g}, y0 = {protocol.y0:g} are {vx0:g} V and {vy0:g} V in this circuit; "
                f"technology {self.technology.name!r} has a linear range of {supplies.linear_range:g} V"
            )
        high, low = drops(self.technology, multiplier.output_limit)
        parameters = _of(groups(cells)[0], index) | amplifier_parameters(self.technology, self.technology.opamp)
        parameters |= {
            "scale": multiplier.scale,
            "bw": multiplier.bandwidth,
            "m_drop_high": high,
            "m_drop_low": low,
            "m_iq": multiplier.quiescent_current,
            "vx0": vx0,
            "vy0": vy0,
        }
        nodes = (*(f"{node}{suffix}" for node in ("x", "nx", "y", "sum2")), "vref", "vcc", "vee")
        remark = (
            f"Neuron {index} of the layer; V(x) = {scales.sx!r} x, V(y) = {scales.sy!r} y, time unit "
            f"{scales.time_unit!r} s."
        )
        return (Instance(f"Xneuron{suffix}", nodes, "fhn_neuron", parameters, remark),)

    def stage_instances(self, cells: CircuitCells, index: int, recentre: bool, suffix: str) -> Sequence[Instance]:
        """Instance of the drive stage from `z` to `sum2`, and `Xdriver` from `nx` or `x` to `row`."""
        _, drives, drivers = groups(cells)
        driver = _of(drivers, index)
        recentre = self.carries_activation(recentre)
        if not recentre:
            driver["rshift"] = NO_SHIFT
        source = f"{'nx' if not recentre or self.recentring[0] > 0 else 'x'}{suffix}"
        if not self.smoothed:
            del driver["cf"]
        nodes = (source, f"row{suffix}", "vplus" if self._shifted_down(recentre) else "vref", "vcc", "vee")
        driver |= amplifier_parameters(self.technology, self.technology.opamp)
        return (
            self.drive.instance(_of(drives, index), suffix),
            Instance(f"Xdriver{suffix}", nodes, "smoothing_driver" if self.smoothed else "row_driver", driver),
        )

    def supplies(self) -> Mapping[str, float]:
        """Voltages (V) of `vcc`, `vee`, `vref` and of what drive stages need, under the technology's conditions."""
        supplies, relative = self.technology.supplies, self.technology.conditions.supply
        return {
            "vcc": supplies.positive * relative,
            "vee": supplies.negative * relative,
            "vref": -supplies.reference,
            **self.drive.supplies(),
        }

    def row_supplies(self, recentre: bool) -> Mapping[str, float]:
        """The positive reference `vplus` (V), where the row drivers shift their rows down and nothing else needs it."""
        needed = self._shifted_down(recentre) and "vplus" not in self.drive.supplies()
        return {"vplus": self.technology.supplies.reference} if needed else {}

    def _shifted_down(self, recentre: bool) -> bool:
        return self.carries_activation(recentre) and self.recentring[1] < 0

    def drive_current(self, drive: float) -> float:
        """Current (A) drawn out of node `sum2` for a dimensionless drive."""
        return drive_current(drive, self.scales, self.technology)

    @property
    def current_scale(self) -> float:
        """Typical current (A): Sx/R1."""
        return self.scales.sx / self.technology.neuron.r1

    def noise_densities(self, cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
        """Densities of the parts' own noise, all of `noise_sources` together."""
        x, y = (np.asarray(np.sqrt(sum(v**2 for v in node.values()))) for node in self.noise_sources(cells))
        return x, y

    def noise_sources(self, cells: CircuitCells) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Densities by source at the summing nodes of U1 and of U2; see `analog_fhn.cell.opamp_fhn.noise`."""
        neurons, drives, _ = groups(cells)
        x, y = noise.intrinsic_sources(neurons, self.drive.load(drives), self.scales, self.technology)
        return x, y | {self.drive.NAME: self.drive.noise(drives, cells.drive_stage.gain)}

    def flicker_densities(self, cells: CircuitCells) -> FlickerDensities | None:
        """Those of the operational amplifiers, where `opamp.noise_corner` says that they have 1/f noise."""
        corner = self.technology.opamp.noise_corner
        if not corner:
            return None
        neurons, drives, _ = groups(cells)
        nodes = noise.amplifier_sources(neurons, self.drive.load(drives), self.technology)
        x, y = (np.asarray(np.sqrt(sum(v**2 for v in node.values()))) for node in nodes)
        return FlickerDensities(x, np.hypot(y, self.drive.amplifier_noise(drives)), corner)

    def noise_intensities(
        self, cells: CircuitCells, density_x: ArrayLike, density_y: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Intensities of currents at the summing nodes of U1 and U2; see `analog_fhn.cell.opamp_fhn.noise`."""
        neurons, drives, _ = groups(cells)
        load = self.drive.load(drives)
        return noise.intensities(neurons, density_x, density_y, self.scales, self.technology, load)

    def findings(self) -> Iterator[Finding]:
        """What may be wrong; see `analog_fhn.cell.opamp_fhn.checks`."""
        return checks.findings(self)

    def left_out(self, recentre: bool) -> frozenset[str]:
        """The shift resistor of rows that are not shifted, and the capacitor where there is no low-pass."""
        shifted = self.carries_activation(recentre) and float(self.drivers.rshift[0]) < NO_SHIFT
        return frozenset(({"rshift"} if not shifted else set()) | ({"cf"} if not self.smoothed else set()))

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """Amplifiers, multipliers, and what the drive stage has of its own."""
        return (
            ("opamp", "operational amplifier (opamp)", 3, "U1 U2 U3 of the neurons"),
            ("opamp", "operational amplifier (opamp)", 1, "row drivers"),
            ("multiplier", "multiplier", 2, "M1 M2 of the neurons"),
            *self.drive.devices(),
        )


def _of(parts: Parts, index: int) -> dict[str, float]:
    """Values of one cell's parts by their names."""
    return {name: float(values[index]) for name, values in parts.items()}
