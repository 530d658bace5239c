"""Energy, time and area of an answer of a chip of transistors, with every part in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.words import engineering
from analog_fhn.backends.base import Backend
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.hold import window_seconds
from analog_fhn.inference import layer_values
from analog_fhn.studies.consumption import Consumption
from analog_fhn.technology.silicon import SiliconTechnology

TRANSIENTS = False  # see `analog_fhn.studies.consumption.Circuit`


@dataclass(frozen=True)
class Summed:
    """Numbers by what makes them; a subclass has a field for each."""

    @property
    def total(self) -> float:
        """All parts together."""
        return float(sum(asdict(self).values()))

    def by_name(self) -> dict[str, float]:
        """The total first, then the parts."""
        return {"total": self.total, **asdict(self)}


@dataclass(frozen=True)
class EnergyParts(Summed):
    """Energy of one answer by what takes it (J).

    Parameters
    ----------
    neurons
        Neurons, from the supply, while they run.
    drive
        Drive stages in front of them, while they run.
    array
        Current of the devices of all arrays while they are read, and the constant one of their columns, from the rail
        that rows are driven from.
    amplifiers
        Read-outs of all columns and drivers of all rows.
    hold
        Charging what holds pre-activations and integrates outputs.
    bias
        Gate lines and references that all cells have in common.
    """

    neurons: float
    drive: float
    array: float
    amplifiers: float
    hold: float
    bias: float

    def in_windows(self, ratio: float) -> EnergyParts:
        """Those of windows that are longer by this factor: arrays are read and capacitors charged as before."""
        return EnergyParts(
            ratio * self.neurons, ratio * self.drive, self.array, self.amplifiers, self.hold, ratio * self.bias
        )


@dataclass(frozen=True)
class AreaParts(Summed):
    """Area by what takes it (m^2).

    Parameters
    ----------
    neurons, drives
        Neurons and drive stages: gates with their overhead, or the capacitors where these are larger (they lie above).
    arrays
        Devices.
    amplifiers
        Read-outs of columns, drivers of rows, integrators.
    """

    neurons: float
    drives: float
    arrays: float
    amplifiers: float


@dataclass(frozen=True, repr=False)
class SiliconConsumption(Consumption):
    """What an answer of a chip of transistors takes.

    Parameters
    ----------
    energies
        Of one answer, in windows of `seconds` in all.
    area
        Of the chip.
    n_cells
        Number of hidden cells.
    reading
        Time of all reads of arrays (s), besides the windows.
    """

    energies: EnergyParts
    area: AreaParts
    n_cells: int
    reading: float

    def _facts(self) -> dict[str, str]:
        return {"power of a neuron with its drive stage": engineering(self.power_per_neuron, "W")}

    @property
    def power(self) -> float:
        """Power of the hidden cells and their gate lines while they run (W)."""
        return (self.energies.neurons + self.energies.drive + self.energies.bias) / self.seconds

    @property
    def power_per_neuron(self) -> float:
        """Power of one neuron with its drive stage (W), the mean over the hidden cells."""
        return (self.energies.neurons + self.energies.drive) / self.seconds / self.n_cells

    def energy_in(self, seconds: float) -> float:
        """See `Consumption.energy_in`: what arrays, amplifiers and holds take stays."""
        return self.energies.in_windows(seconds / self.seconds).total

    def parts_in(self, seconds: float) -> Mapping[str, float]:
        """See `Consumption.parts_in`."""
        return self.energies.in_windows(seconds / self.seconds).by_name()

    @property
    def areas(self) -> Mapping[str, float]:
        """See `Consumption.areas`."""
        return self.area.by_name()

    def latency_in(self, seconds: float) -> float:
        """See `Consumption.latency_in`: windows and reads, one after another."""
        return seconds + self.reading


def measured(chip: ManufacturedChip, images: NDArray[np.floating]) -> SiliconConsumption:
    """See `analog_fhn.studies.consumption.consumption`."""
    from analog_fhn.backends.direct.backend import Direct

    design = Design(chip.network, chip.technology)
    return _consumption(design, energy_per_inference(chip, images, Direct()))


def estimated(design: Design) -> SiliconConsumption:
    """See `analog_fhn.studies.consumption.estimated`: all rows at the read voltage, devices as they are meant to be."""
    read = silicon_technology(design).array.read_voltage
    currents = []
    for front, target in zip(design.network.fronts, design.arrays, strict=True):
        bar = target.crossbar
        currents.append(front.n_positions * read * float((bar.g_plus + bar.g_minus).sum()))
    return _consumption(design, _energies(design, currents))


def energy_per_inference(chip: ManufacturedChip, images: NDArray[np.floating], engine: Backend) -> EnergyParts:
    """Mean energy of an answer over some images (n_images, n_in), with their real pixels.

    Parameters
    ----------
    engine
        Simulates the activations that drive the arrays behind hidden layers.

    Raises
    ------
    InputError
        If the chip is none of transistors.
    """
    design = Design(chip.network, chip.technology)
    silicon_technology(design)
    inputs, _ = layer_values(chip, images, engine)
    currents = []
    for array, values in zip(chip.arrays, inputs, strict=True):
        conductance = array.ports.effective.sum(axis=1)
        unit, bar = array.row_volts[0], array.crossbar
        driven = np.concatenate([values * unit, np.full((len(values), bar.bias_rows), bar.bias_drive * unit)], axis=1)
        currents.append(len(values) / len(images) * float((np.abs(driven) @ conductance).mean()))
    return _energies(design, currents)


def _energies(design: Design, currents: list[float]) -> EnergyParts:
    """Energies of an answer in which the devices of each array draw these currents (A), summed over its reads."""
    technology, network = silicon_technology(design), design.network
    reading, integrator = technology.reading, technology.integrator
    volts = technology.supplies.vdd * technology.conditions.supply
    window = window_seconds(network.protocol, design.time_unit)
    neurons = drive = bias = hold = 0.0
    for cell, front in zip(transistor_cells(design), network.fronts, strict=False):
        seconds = front.n_positions * window
        neurons += cell.n_cells * cell.timing.supply_current * volts * seconds
        drive += cell.n_cells * cell.drive_supply_current * volts * seconds
        bias += cell.bias_current * volts * seconds
        charged = integrator.capacitor * volts**2 + integrator.switching_energy
        hold += front.n_positions * cell.n_cells * charged
    charge = sum(currents) * reading.duration
    amplifiers = 0.0
    for target, front in zip(design.arrays, network.fronts, strict=True):
        rows, columns = target.crossbar.g_plus.shape
        charge += front.n_positions * 2 * columns * reading.pedestal * reading.cycle
        amplifiers += front.n_positions * (columns * reading.column_energy + rows * reading.row_energy)
    return EnergyParts(neurons, drive, charge * reading.rail, amplifiers, hold, bias)


def _consumption(design: Design, energies: EnergyParts) -> SiliconConsumption:
    network, reading = design.network, silicon_technology(design).reading
    return SiliconConsumption(
        energies,
        areas(design),
        sum(cell.n_cells for cell in design.cells),
        sum(front.n_positions for front in network.fronts) * reading.cycle,
        seconds=design.windows * window_seconds(network.protocol, design.time_unit),
        windows=design.windows,
    )


def areas(design: Design) -> AreaParts:
    """Area of a design of transistors, estimated: before layout.

    Raises
    ------
    InputError
        If the design is none of transistors.
    """
    technology = silicon_technology(design)
    area, neurons, drives, integrators = technology.areas, 0.0, 0.0, 0.0
    for cell, front in zip(transistor_cells(design), design.network.fronts, strict=False):
        capacitors = (cell.neuron_sizes["cx"] + cell.neuron_sizes["cy"]) / area.capacitance_density
        neurons += cell.n_cells * max(area.overhead * cell.neuron.gate_area(cell.neuron_sizes), capacitors)
        drives += cell.n_cells * area.overhead * cell.drive.gate_area(cell.drive_sizes)
        # one for each value that is held
        integrators += front.n_positions * cell.n_cells * technology.integrator.capacitor / area.capacitance_density
    shapes = [array.crossbar.g_plus.shape for array in design.arrays]
    devices = area.device * sum(2 * rows * columns for rows, columns in shapes)
    stages = sum(columns * area.column + rows * area.row for rows, columns in shapes)
    return AreaParts(neurons, drives, devices, stages + integrators)


def silicon_technology(design: Design) -> SiliconTechnology:
    """The technology of a design of transistors.

    Raises
    ------
    InputError
        If the design is one of another kind.
    """
    if not isinstance(design.technology, SiliconTechnology):
        raise InputError(
            f"technology {design.technology.name!r} (cell {design.technology.cell!r}): energies by parts are known of "
            "chips of transistors; expected a technology of the cell 'ota_fhn'"
        )
    return design.technology


def transistor_cells(design: Design) -> tuple[OtaFHN, ...]:
    """Layout of each hidden layer's cells, of a design of transistors."""
    return tuple(cell for cell in design.cells if isinstance(cell, OtaFHN))
