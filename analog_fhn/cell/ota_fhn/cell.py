"""Transistor cells: their equations from static curves, their netlist, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn.cell.base import CircuitCells, RowStage, curve_of
from analog_fhn.cell.ota_fhn import checks
from analog_fhn.cell.ota_fhn.characterise import Timing
from analog_fhn.cell.ota_fhn.layout import IntegratorParts, OtaLayout
from analog_fhn.cell.ota_fhn.library import subcircuit
from analog_fhn.cell.ota_fhn.stages import fitted_stage
from analog_fhn.cell.ota_fhn.times import fitted_timing
from analog_fhn.cell.parts import Parts
from analog_fhn.errors import InputError
from analog_fhn.findings import Finding
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.text import Instance


@dataclass(frozen=True, eq=False)
class OtaFHN(OtaLayout):
    """Drive stage, OTA-C neuron and integrator of transistors."""

    NAME: ClassVar[str] = "ota_fhn"
    BEGINS_SETTLED: ClassVar[bool] = True
    HAS_LOW_PASSES: ClassVar[bool] = False
    GAMMAS: ClassVar[tuple[float, ...]] = (-1.0, 1.0)
    SHOWS_OSCILLATIONS: ClassVar[bool] = False
    ROWS_ARE_TIMED: ClassVar[bool] = True

    @property
    def streams(self) -> Mapping[str, int]:
        """Neuron, drive stage, integrator."""
        return {"neuron": 0, self.drive_kind.words: self.drive_kind.stream, "integrator": 3}

    @property
    def drive_libraries(self) -> tuple[str, ...]:
        """Libraries of the drive stage."""
        return "devices.lib", "bias_line.lib", "ota_probe.lib", f"{self.drive.name}.lib"

    @property
    def libraries(self) -> tuple[str, ...]:
        """Libraries of a whole cell, each after those that it needs."""
        return (*self.NEURON_LIBRARIES, f"{self.drive.name}.lib")

    @property
    def volts_per_z(self) -> float:
        """Input voltage of a drive stage for a pre-activation of 1 (V)."""
        if curve_of(self.unit) == "tanh":
            # a + I = 2/(1 + exp(-v/scale)) = 1 + tanh(v/(2 scale))
            return 2.0 * self.fhn.slope * self.technology.drive.tanh_scale
        return self.technology.drive.ramp_span * self.fhn.slope / self.ceiling

    @property
    def row_volts(self) -> tuple[float, float]:
        """Row voltage of an activation of 1, and without recentring of an output of 1 (V)."""
        read = self.technology.array.read_voltage
        return read / self.ceiling, 0.5 * read

    @property
    def largest_activation(self) -> float:
        """Largest activation on a row: it is held, and does not oscillate."""
        return self.ceiling

    @cached_property
    def timing(self) -> Timing:
        """What transients of the nominal neuron tell; see `analog_fhn.cell.ota_fhn.times`."""
        return fitted_timing(self)

    @cached_property
    def drive_supply_current(self) -> float:
        """Current from the supply of a nominal drive stage (A), the mean over its inputs."""
        return float(self.nominal_curves[2].mean())

    @property
    def bias_current(self) -> float:
        """Current of all gate lines (A): the reference currents, and what the line of P transistors copies of one."""
        sizes = subcircuit("bias_line").sizes
        references = sum(abs(one.parameters.get("i", 0.0)) for one in self.bias_instances(""))
        return references + self.technology.supplies.bias_current * sizes["m_p"] / sizes["m"]

    def cells(self, parts: tuple[Parts, ...]) -> CircuitCells:
        """Reduced equations of cells of these transistors, from static curves that ngspice measures.

        Raises
        ------
        MissingProgramError
            If ngspice or the models are absent.
        SimulationError
            If ngspice fails.
        """
        neurons, drives, integrators = _groups(parts)
        curves, currents, _ = self.curves(neurons, drives)
        z = (self.input_sweep.volts - self.start_volts) / self.volts_per_z
        return CircuitCells(
            self.dynamics(neurons, curves, self.timing),
            fitted_stage(curve_of(self.unit), z, self._drive_of(currents)),
            self._row_stage(integrators),
            self,
            parts,
        )

    def _drive_of(self, currents: FloatArray) -> FloatArray:
        """Dimensionless drive of a current (A)."""
        return np.asarray(currents / self.technology.neuron.unit_current - self.fhn.a)

    def _row_stage(self, parts: IntegratorParts) -> RowStage:
        gain, offset = self.recentring
        volts, raw = self.row_volts
        span = self.technology.integrator.capacitor / parts.c * (1.0 + parts.gain)
        return RowStage(
            gain * span, offset + parts.offset / volts, span, parts.offset / raw, np.zeros(len(parts)),
        )  # fmt: skip

    def neuron_instances(self, cells: CircuitCells, index: int, protocol: Protocol, suffix: str) -> Sequence[Instance]:
        """Bias lines and one neuron between `s`, `sum2` (its y) and `out`, whose current the node `x` shows as volts.

        Raises
        ------
        InputError
            If the initial state lies beyond the supplies.
        """
        volts, supplies = self.technology.neuron.volts_per_unit, self.supply_volts
        neurons, _, _ = _groups(cells.parts)
        remark = (
            f"Neuron {index} of the layer; V(s) = {supplies['vref']!r} V + {volts!r} V x, "
            f"time unit {self.time_unit!r} s."
        )
        neuron = self.neuron_instance(neurons, index, suffix)
        state = (f"s{suffix}", f"sum2{suffix}")
        probed = (f"out{suffix}", f"sum2{suffix}", f"x{suffix}", f"y{suffix}", "vref")
        unit = self.technology.neuron.unit_current
        return (
            Instance(f"Xsupply{suffix}", (f"vbias{suffix}",), "reference_supply", {"v": supplies["vdd"]}),
            *self.bias_instances(suffix, f"vbias{suffix}"),
            Instance(neuron.name, (*neuron.nodes[:-1], f"bn{suffix}"), neuron.subcircuit, neuron.parameters, remark),
            Instance(f"Xprobe{suffix}", probed, "ota_probe", {"unit": unit, "volts": volts}),
            Instance(f"Xstart{suffix}", state, "ota_start", self.start_state(protocol)),
        )

    def start_state(self, protocol: Protocol) -> dict[str, float]:
        """Voltages of the state nodes at the beginning (V), as `ota_start` has them.

        Raises
        ------
        InputError
            If they lie beyond the supplies.
        """
        volts, supplies = self.technology.neuron.volts_per_unit, self.supply_volts
        start = {
            f"v{name}0": supplies["vref"] + volts * value for name, value in (("x", protocol.x0), ("y", protocol.y0))
        }
        for name, value in start.items():
            if not 0.0 <= value <= supplies["vdd"]:
                raise InputError(
                    f"protocol {name[1:]} = {(value - supplies['vref']) / volts:g} is {value:g} V in this circuit; "
                    f"expected a voltage between the supplies, 0 and {supplies['vdd']:g} V"
                )
        return start

    def stage_instances(self, cells: CircuitCells, index: int, recentre: bool, suffix: str) -> Sequence[Instance]:
        """Netlist of the drive stage alone, from `z` to `sum2`: what follows the neuron is read when it has run."""
        return (self.drive_instance(_groups(cells.parts)[1], index, suffix),)

    def supplies(self) -> Mapping[str, float]:
        """Voltages (V) of `vdd` and `vref`."""
        return self.supply_volts

    def row_supplies(self, recentre: bool) -> Mapping[str, float]:
        """None besides."""
        return {}

    @property
    def current_scale(self) -> float:
        """Typical current (A)."""
        return self.technology.neuron.unit_current

    def tolerances(self, reltol: float) -> Mapping[str, float]:
        """Tolerances below what picoamperes and femtofarads do; with ngspice's own a period is 38 % short."""
        return {"reltol": reltol, "abstol": 1e-16, "vntol": 1e-7, "gmin": 1e-16, "chgtol": 1e-19}

    def noise_densities(self, cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
        """Refused: the equations of transistor neurons have no noise.

        Raises
        ------
        InputError
            Always.
        """
        raise self._without_noise()

    def noise_intensities(
        self, cells: CircuitCells, density_x: ArrayLike, density_y: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Refused: the equations of transistor neurons have no noise.

        Raises
        ------
        InputError
            Always.
        """
        raise self._without_noise()

    def _without_noise(self) -> InputError:
        return InputError(
            f"technology {self.technology.name!r} (cell {self.NAME!r}): the equations of transistor neurons have no "
            "noise; expected a run without it"
        )

    def findings(self) -> Iterator[Finding]:
        """See `analog_fhn.cell.ota_fhn.checks`."""
        curves, _, _ = self.nominal_curves
        return checks.findings(self, self.timing, self.dynamics(self.nominal[0][:1], curves, self.timing))

    def window_findings(self, protocol: Protocol) -> Iterator[Finding]:
        """See `analog_fhn.cell.ota_fhn.checks`."""
        return checks.window_findings(self, self.timing, protocol)

    def left_out(self, recentre: bool) -> frozenset[str]:
        """Nothing is left out."""
        return frozenset()

    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """None are bought."""
        return ()


def _groups(parts: tuple[Parts, ...]) -> tuple[Parts, Parts, IntegratorParts]:
    """Transistors of the neurons, of what makes their drives, and integrators.

    Raises
    ------
    TypeError
        If the parts are those of another kind of cells.
    """
    match parts:
        case (neurons, drives, IntegratorParts() as integrators):
            return neurons, drives, integrators
    raise TypeError(f"parts {[type(group).__name__ for group in parts]} are not those of transistor cells")
