"""Parts of a chip of transistors: the technology of the cell `ota_fhn`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import Protocol
from analog_fhn.technology import quantities as of
from analog_fhn.technology.foundry import KITS, Corner, Extent, Kit, Mismatch, Polarity
from analog_fhn.technology.sections import ColumnStage, Conditions, Passive
from analog_fhn.technology.technology import ErrorGroups, Header, PartKind, Technology
from analog_fhn.technology.typed_yaml import Name, Place, Section

Sizes = dict[Name, Annotated[float, of.Quantity("m, F or 1", (1e-18, 1e6))]]


class Pdk(Section):
    """Process and its transistor models.

    Parameters
    ----------
    kit
        Name of the process, one of `analog_fhn.technology.foundry.KITS`.
    models
        Path of the foundry's file; null: the variable ANALOG_FHN_PDK names it, or the installed package has it.
    """

    kit: Name
    models: Place | None = None

    @field_validator("kit")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in KITS:
            raise ValueError(f"kit = {shown(value)}: expected one of {', '.join(KITS)}")
        return value

    @property
    def process(self) -> Kit:
        """The process."""
        return KITS[self.kit]

    @property
    def file(self) -> Path:
        """File of the models; see `analog_fhn.technology.foundry.Kit.found` for what is raised."""
        return self.process.found(self.models)


class Supplies(Section):
    """Supply, analog reference around which the neurons swing (V), and current into the bias line (A).

    The reference and the bias current are taken to be independent of temperature and supply.
    """

    vdd: of.Voltage
    reference: of.Voltage
    bias_current: of.BranchCurrent


class SiliconConditions(Conditions):
    """Conditions, with the corner of the process."""

    corner: Corner = "typical"


class Fet(Section):
    """Mismatch of transistors of one polarity; see `analog_fhn.technology.foundry.Mismatch`.

    Parameters
    ----------
    threshold
        Sigma of the threshold times the square root of the effective area (V m).
    gain
        Relative sigma of the gain factor times the square root of the effective area (m).
    lot_share
        Share of the variance that all transistors of this polarity on a chip have in common, thresholds and gain
        factors each.
    """

    threshold: of.PelgromThreshold
    gain: of.PelgromGain
    lot_share: of.Share = 0.0


class Neuron(Section):
    """OTA-C neuron of `netlists/ota_neuron.lib`.

    Parameters
    ----------
    unit_current
        Drive current that stands for a + I = 1 (A): where the neuron leaves the spiking regime.
    volts_per_unit
        Voltage of the nodes x and y for x = 1 and y = 1 (V).
    sizes
        Sizes of the subcircuit that differ from its defaults, by their names there.
    """

    unit_current: of.BranchCurrent
    volts_per_unit: of.VoltageScale
    sizes: Sizes = Field(default_factory=dict)


class Legs(Section):
    """The four legs of the neuron's transconductor that decide its offset and gain: into y and into the output.

    Parameters
    ----------
    length_p, length_n
        Lengths of the transistors (m).
    number
        How many are in parallel.
    mirror_p, mirror_n
        Lengths of the transistors whose currents the legs copy (m): the current of a leg is `mirror`/`length` times
        `number` of theirs, which decides the unit current, so that more legs need shorter mirrors.
    fast_capacitor, slow_capacitor
        Capacitors of x and y (F), which have to grow with the area of the legs.
    """

    length_p: of.Length
    length_n: of.Length
    number: Annotated[float, of.Quantity("1", (1, 1000))]
    mirror_p: of.Length
    mirror_n: of.Length
    fast_capacitor: of.SmallCapacitance
    slow_capacitor: of.SmallCapacitance

    @field_validator("number")
    @classmethod
    def _whole(cls, value: float) -> float:
        # no integer: the values of classes are numbers of any kind
        if value != int(value):
            raise ValueError(f"number = {value:g}: expected a whole number")
        return value


class Drive(Section):
    """Drive cells of `netlists/ota_tanh.lib` and `netlists/ota_ramp.lib`.

    Parameters
    ----------
    tanh_scale
        Input voltage of a differential pair that changes its current e-fold (V), at 300 K: ``a + I = 2/(1 +
        exp(-v/scale))``.
    ramp_span
        Input voltage between the two ends of a ramp (V), at 300 K.
    compensated
        Whether voltages of the read-out in front of them are proportional to the absolute temperature (by the read
        voltage), as the scale of a differential pair is.
    tanh, ramp
        Sizes of the subcircuits that differ from their defaults, by their names there.
    """

    tanh_scale: of.VoltageScale
    ramp_span: of.VoltageScale
    compensated: bool = True
    tanh: Sizes = Field(default_factory=dict)
    ramp: Sizes = Field(default_factory=dict)


class Window(Section):
    """When a neuron is watched, and from where it begins, where a network does not say it.

    It takes the place of the protocol that a network has by default (see `Protocol`); a settling time or control window
    that was chosen for the network stays, with the network's own start.

    Parameters
    ----------
    settle, control
        Transient that is discarded, and time for which the output is integrated, in units of T. The mean of a window is
        off by ``Cy (y(end) - y(begin))`` over its length: one that begins at once, from y near its middle, is best.
    x0, y0
        Preset state, in units of `Protocol`.
    """

    settle: Annotated[float, of.Quantity("T", (0, 1e6))]
    control: Annotated[float, of.Quantity("T", (0.1, 1e6))]
    x0: Annotated[float, of.Quantity("1", (-100, 100))] = 1.5
    y0: Annotated[float, of.Quantity("1", (-100, 100))] = 0.0


class Integrator(Section):
    """What integrates a neuron's output over the control window, holds it, and drives a row with it.

    Parameters
    ----------
    capacitor
        It integrates on (F).
    offset_sigma
        Offset of the row (V), of the stage that drives it and of its switches.
    gain_sigma
        Relative error of the row's span, but for that of the capacitor.
    noise
        Standard deviation of the noise on a row (V).
    switching_energy
        Of its switches and their drivers for one answer (J).
    lot_share
        As for passives, for offset and gain.
    """

    capacitor: of.SmallCapacitance
    switching_energy: of.Energy = 0.0
    offset_sigma: of.ErrorVoltage
    gain_sigma: of.Tolerance
    noise: of.ErrorVoltage = 0.0
    lot_share: of.Share = 0.0


class ColumnReadout(ColumnStage):
    """Integrating read-out behind the columns; see `analog_fhn.array.integrating`.

    Parameters
    ----------
    ratio
        Current of a column over that of its copy.
    output_range
        Largest voltage on the capacitor that the design uses, on either side of its start (V).
    largest_current
        Of a column, its pedestal included, up to which the sinks regulate (A).
    offset_sigma
        Offset that is left after the auto-zero, as a difference of the columns' currents (A).
    mirror_sigma
        Relative error of a copy.
    noise
        Standard deviation of the noise of one read, as a difference of the columns' currents (A).
    lot_share
        As for passives, for offsets and copies.
    """

    ratio: of.Ratio
    output_range: of.VoltageScale
    largest_current: of.BranchCurrent
    offset_sigma: of.ErrorCurrent
    mirror_sigma: of.Tolerance
    noise: of.ErrorCurrent = 0.0
    lot_share: of.Share = 0.0


class Reading(Section):
    """How an array is read, and what it takes.

    Parameters
    ----------
    duration
        Time for which rows are driven (s).
    cycle
        Time of a whole read, with switching on, auto-zero and settling (s).
    rail
        Supply that the current of the devices comes from (V).
    pedestal
        Constant current of every column during a cycle, from the same supply (A): a sink without current does not
        regulate.
    column_energy
        Of the amplifiers of one column for one read (J), besides the current of the devices.
    row_energy
        Of one row's driver for one read (J), besides the current of the devices.
    """

    duration: of.Duration
    cycle: of.Duration
    rail: of.Voltage
    pedestal: of.BranchCurrent
    column_energy: of.Energy
    row_energy: of.Energy


class Areas(Section):
    """Areas beside those of the gates (m^2).

    Parameters
    ----------
    overhead
        Area of a circuit over that of its gates: diffusions, wells, wires.
    capacitance_density
        Of a capacitor (F/m^2).
    device
        Of a device of an array with its access transistor.
    column
        Of the read-out of one output.
    row
        Of one row's driver.
    """

    overhead: of.AreaRatio
    capacitance_density: of.CapacitanceDensity
    device: of.Area
    column: of.Area
    row: of.Area


class SiliconSections(Header):
    """Sections of a chip of transistors, in the order in which files are written."""

    pdk: Pdk
    supplies: Supplies
    fet_n: Fet
    fet_p: Fet
    capacitor: Passive
    neuron: Neuron
    legs: Legs
    drive: Drive
    window: Window | None = None
    integrator: Integrator
    reading: Reading
    areas: Areas


class SiliconTechnology(Technology, SiliconSections):
    """Chips of transistors on a foundry's models."""

    sense_amplifier: ColumnReadout
    conditions: SiliconConditions = SiliconConditions()

    CLASSES: ClassVar[Mapping[str, PartKind]] = {
        "legs": (
            "legs",
            ("length_p", "length_n", "number", "mirror_p", "mirror_n", "fast_capacitor", "slow_capacitor"),
        ),
        **Technology.CLASSES,
    }
    ERRORS: ClassVar[ErrorGroups] = {
        "threshold": {"fet_n": {"threshold": 0.0}, "fet_p": {"threshold": 0.0}},
        "gain": {"fet_n": {"gain": 0.0}, "fet_p": {"gain": 0.0}},
        "capacitor": {"capacitor": {"tolerance": 0.0, "temperature_coefficient": 0.0}},
        "integrator": {"integrator": {"offset_sigma": 0.0, "gain_sigma": 0.0, "noise": 0.0}},
        "amplifier_offset": {"sense_amplifier": {"offset_sigma": 0.0}},
        "amplifier_gain": {"sense_amplifier": {"mirror_sigma": 0.0}},
        "amplifier_noise": {"sense_amplifier": {"noise": 0.0}},
        **Technology.ERRORS,
    }
    SHORT: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "transistor": ("threshold", "gain"),
        **Technology.SHORT,
        "amplifier": ("amplifier_offset", "amplifier_gain", "amplifier_noise"),
    }
    READ_OUT: ClassVar[str] = "integrating"
    BOUGHT: ClassVar[bool] = False
    CONSUMPTION: ClassVar[str] = "energies"
    INPUT_SCALES: ClassVar[Mapping[str, str]] = {"tanh": "drive.tanh_scale", "ramp": "drive.ramp_span"}
    LOTS: ClassVar[Mapping[str, int]] = {
        "capacitor": 1, "fet_n": 7, "fet_p": 8, "integrator": 9, **Technology.LOTS,
    }  # fmt: skip

    @property
    def rails(self) -> tuple[float, float]:
        """See `Technology.rails`: rows rest at the reference of the columns."""
        return self.supplies.vdd, 0.0

    @property
    def column_range(self) -> float:
        """See `Technology.column_range`."""
        return self.sense_amplifier.output_range

    @property
    def extents(self) -> Mapping[Polarity, Extent]:
        """Sizes that the foundry's models are made for; see `Kit.found` for what is raised."""
        process, file = self.pdk.process, self.pdk.file
        return {polarity: process.extent(file, polarity) for polarity in process.devices}

    @property
    def mismatch(self) -> Mapping[Polarity, Mismatch]:
        """Constants that the foundry's file states; see `Kit.found` for what is raised."""
        process, file = self.pdk.process, self.pdk.file
        return {polarity: process.mismatch(file, polarity) for polarity in process.devices}

    def protocol(self, protocol: Protocol) -> Protocol:
        """See `Technology.protocol`: `window` in place of the default settling time and control window."""
        usual = Protocol()
        if self.window is None or (protocol.settle, protocol.control) != (usual.settle, usual.control):
            return protocol
        return replace(protocol, **dict(self.window))

    def check_sections(self) -> None:
        """Refuse a reference beyond the supply."""
        if not 0.0 < self.supplies.reference < self.supplies.vdd:
            raise ValueError(
                f"supplies.reference ({self.supplies.reference:g} V) must lie between 0 and supplies.vdd "
                f"({self.supplies.vdd:g} V)"
            )


def of_transistors(technology: Technology | str | Path) -> SiliconTechnology:
    """A technology, or the one that `Technology.load` reads, as one of a chip of transistors.

    Raises
    ------
    InputError
        If it is of another cell, or cannot be loaded.
    """
    loaded = technology if isinstance(technology, Technology) else Technology.load(technology)
    if not isinstance(loaded, SiliconTechnology):
        raise InputError(
            f"technology {loaded.name!r} (cell {loaded.cell!r}) has no transistors; expected one of the cell 'ota_fhn'"
        )
    return loaded
