"""The plug-in point for neuron circuits: what a cell says of itself, so that no other module names its parts.

A new cell is one module with a subclass of `Cell`, one library of subcircuits, one technology file that names it, and a
line in `CELLS` or, in another package, an entry point of the group ``analog_fhn.cell``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from analog_fhn._support.plugins import check_subclass, named_class
from analog_fhn._support.resources import resource
from analog_fhn.cell.parts import CellArrays, Parts
from analog_fhn.errors import InputError
from analog_fhn.findings import Finding
from analog_fhn.neuron import FHN, Coefficients, Dynamics, FloatArray, Protocol
from analog_fhn.ngspice.text import Instance
from analog_fhn.readout import Activation, recentring
from analog_fhn.technology.technology import Technology

# Module and class of every cell, by the name that a technology's `cell` calls it.
CELLS = {
    "opamp_fhn": ("analog_fhn.cell.opamp_fhn.cell", "OpAmpFHN"),
    "ota_fhn": ("analog_fhn.cell.ota_fhn.cell", "OtaFHN"),
}


Curve = Literal["tanh", "ramp"]


def curve_of(unit: Activation) -> Curve:
    """Curve of the drive stage that stands for a unit."""
    return "ramp" if unit == "relu" else "tanh"


def tanh_with_ripple(t: Any, variance: Any) -> Any:
    """Time average of ``tanh(u + r)`` for t = tanh(u) and a ripple r of this variance.

    To second order ``<tanh(u + r)> = tanh u + <r^2> tanh''(u)/2``.
    """
    return t - t * (1.0 - t**2) * variance


def ramp_with_ripple(u: Any, variance: Any) -> Any:
    """Time average of ``min(max(u + r, 0), 1)`` for a ripple r of this variance, the sum of many oscillations.

    For a normal r of sigma s it is ``G(u) - G(u - 1)``, ``G(v) = v Phi(v/s) + s phi(v/s)``, Phi and phi the normal
    distribution and density (integral of Phi(v/s)).
    """
    sigma = np.sqrt(np.maximum(variance, 1e-30))

    def ramp(v: Any) -> Any:
        return v * ndtr(v / sigma) + sigma * np.exp(-0.5 * (v / sigma) ** 2) / np.sqrt(2.0 * np.pi)

    return ramp(u) - ramp(u - 1.0)


@dataclass(frozen=True)
class DriveStage(CellArrays):
    """Stages that make drives of z: ``I = gain curve(slope z + shift) + offset``; every field has shape (n,).

    The curve is that of a subclass: `TanhStage` or `RampStage`.
    """

    gain: FloatArray
    slope: FloatArray
    shift: FloatArray
    offset: FloatArray

    CURVE: ClassVar[Curve]

    @staticmethod
    def ideal(unit: Activation, fhn: FHN, n_cells: int, ceiling: float = 1.0) -> DriveStage:
        """``I = gamma tanh(slope z)`` for every cell, for a relu ``I = gamma (2 min(max(slope z/ceiling, 0), 1) - 1)``.

        Parameters
        ----------
        ceiling
            Of a relu; see `analog_fhn.network.Dense`.
        """
        one = np.ones(n_cells)
        if curve_of(unit) == "ramp":
            return RampStage(2.0 * fhn.gamma * one, fhn.slope / ceiling * one, 0.0 * one, -fhn.gamma * one)
        return TanhStage(fhn.gamma * one, fhn.slope * one, 0.0 * one, 0.0 * one)

    @staticmethod
    def of_curve(
        curve: Curve, gain: FloatArray, slope: FloatArray, shift: FloatArray, offset: FloatArray
    ) -> DriveStage:
        """Stage of the subclass with this curve."""
        return (RampStage if curve == "ramp" else TanhStage)(gain, slope, shift, offset)

    def drives(self, z: FloatArray, variance: FloatArray | float = 0.0) -> FloatArray:
        """Time averages of the drives for pre-activations z of shape (..., n).

        Parameters
        ----------
        variance
            Variance of the ripple on z, of the same shape.
        """
        argument = self.slope * z + self.shift
        ripple = self.slope**2 * variance if np.any(variance) else None
        return np.asarray(self.gain * self.curve(argument, ripple) + self.offset)

    def curve(self, argument: NDArray[np.floating], variance: FloatArray | None = None) -> NDArray[np.floating]:
        """The curve at arguments of shape (..., n), averaged over a ripple of this variance on them; None: no ripple.

        A subclass overrides this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no curve; expected TanhStage or RampStage")

    def range(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest drive of each cell, each of shape (n,).

        A subclass overrides this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no curve; expected TanhStage or RampStage")


@dataclass(frozen=True)
class TanhStage(DriveStage):
    """Drive stages whose curve is tanh."""

    CURVE: ClassVar[Curve] = "tanh"

    def curve(self, argument: NDArray[np.floating], variance: FloatArray | None = None) -> NDArray[np.floating]:
        """Hyperbolic tangent; see `DriveStage.curve`."""
        t = np.tanh(argument)
        return t if variance is None else np.asarray(tanh_with_ripple(t, variance))

    def range(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest drive of each cell, each of shape (n,)."""
        return self.offset - np.abs(self.gain), self.offset + np.abs(self.gain)


@dataclass(frozen=True)
class RampStage(DriveStage):
    """Drive stages whose curve is 0 below 0, 1 above 1, and straight between: rectifying and saturating."""

    CURVE: ClassVar[Curve] = "ramp"

    def curve(self, argument: NDArray[np.floating], variance: FloatArray | None = None) -> NDArray[np.floating]:
        """``min(max(u, 0), 1)``; see `DriveStage.curve`."""
        return np.clip(argument, 0.0, 1.0) if variance is None else np.asarray(ramp_with_ripple(argument, variance))

    def range(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest drive of each cell, each of shape (n,)."""
        return self.offset + np.minimum(self.gain, 0.0), self.offset + np.maximum(self.gain, 0.0)


@dataclass(frozen=True)
class LinearDrive(CellArrays):
    """Stages without a tanh, whose drives are ``I = gain z + offset``; every field has shape (n,).

    Parameters
    ----------
    gain, offset
        Of the stage.
    lowest, highest
        Range of the z that it is given.
    """

    gain: FloatArray
    offset: FloatArray
    lowest: FloatArray
    highest: FloatArray

    def drives(self, z: FloatArray, variance: FloatArray | float = 0.0) -> FloatArray:
        """Drives for pre-activations z of shape (..., n); a ripple on z does not move their time averages."""
        return np.asarray(self.gain * z + self.offset)

    def range(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest drive of each cell, each of shape (n,)."""
        ends = np.sort([self.gain * self.lowest + self.offset, self.gain * self.highest + self.offset], axis=0)
        return ends[0], ends[1]


@dataclass(frozen=True)
class RowStage(CellArrays):
    """Stages that make rows of the neurons' output: ``gain x + offset``; every field has shape (n,).

    Parameters
    ----------
    gain, offset
        With recentring: the activation in the units that the weights were trained for.
    raw_gain, raw_offset
        Without: x itself.
    time_constant
        Of the low-pass between the row and the array behind it, in units of T; 0: the array is given x(t) itself, or
        between layers of ideal cells its exact time average.
    """

    gain: FloatArray
    offset: FloatArray
    raw_gain: FloatArray
    raw_offset: FloatArray
    time_constant: FloatArray

    @classmethod
    def ideal(cls, unit: Activation, fhn: FHN, n_cells: int, ceiling: float = 1.0) -> RowStage:
        """Exact recentring for every cell; `ceiling` is that of a relu."""
        gain, offset = recentring(unit, fhn.a, fhn.gamma, ceiling)
        one, zero = np.ones(n_cells), np.zeros(n_cells)
        return cls(gain * one, offset * one, one, zero, zero)

    def of(self, recentre: bool) -> tuple[FloatArray, FloatArray]:
        """Gain and offset with recentring or without, each of shape (n,)."""
        return (self.gain, self.offset) if recentre else (self.raw_gain, self.raw_offset)

    def handed_over(self, protocol: Protocol, before: int) -> FloatArray:
        """Share of a constant activation that the low-passes let through within the control window, shape (n,).

        A row begins at an activation of 0. Behind m equal low-passes one after another a step has come to
        ``1 - exp(-t/tau) sum_k<m (t/tau)^k/k!``; this is its mean over the control window. The low-passes of the
        layers before are taken to be as slow as this one.

        Parameters
        ----------
        before
            Number of low-passes before this one.
        """
        tau = np.where(self.time_constant > 0.0, self.time_constant, 1.0)
        start, stop = protocol.settle / tau, (protocol.settle + protocol.control) / tau
        missing = sum(_tail(start, k) - _tail(stop, k) for k in range(before + 1)) * tau / protocol.control
        return np.where(self.time_constant > 0.0, 1.0 - missing, 1.0)

    def held(self, protocol: Protocol) -> FloatArray:
        """Share of a constant activation that the low-passes have let through when they are sampled, shape (n,).

        They are discharged before each settling time, and sampled at the end of the control window:
        ``1 - exp(-(settle + control)/tau)``.
        """
        tau = np.where(self.time_constant > 0.0, self.time_constant, 1.0)
        missing = np.exp(-np.minimum((protocol.settle + protocol.control) / tau, 700.0))
        return np.where(self.time_constant > 0.0, 1.0 - missing, 1.0)

    def settling(self, protocol: Protocol, before: int, missing: float) -> float:
        """Shortest settling time (T) after which at most a share `missing` of every activation is missing.

        A whole number of sampling intervals.

        Parameters
        ----------
        protocol
            Its control window and sampling interval are used.
        before
            Number of low-passes before this one.
        missing
            Above 0; see `handed_over`.

        Raises
        ------
        ValueError
            If `missing` is not above 0.
        """
        if not missing > 0.0:
            raise ValueError(f"missing = {missing}; expected a share above 0")

        def settled(intervals: int) -> bool:
            waiting = replace(protocol, settle=intervals * protocol.interval)
            return bool(np.all(self.handed_over(waiting, before) >= 1.0 - missing))

        enough = 0
        while not settled(enough):
            enough = max(1, 2 * enough)
        too_few = enough // 2 if enough > 1 else -1
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            too_few, enough = (too_few, middle) if settled(middle) else (middle, enough)
        return round(enough * protocol.interval, 12)  # 61.8, not 61.800000000000004


def _tail(t: FloatArray, k: int) -> FloatArray:
    """Integral of ``exp(-s) s^k/k!`` from t to infinity: ``exp(-t) sum_j<=k t^j/j!``."""
    term, total = np.ones_like(t), np.ones_like(t)
    for j in range(1, k + 1):
        term = term * t / j
        total = total + term
    return np.asarray(np.exp(-np.minimum(t, 700.0)) * total)


Drive = DriveStage | LinearDrive


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one hidden layer as equations; what every backend integrates.

    Parameters
    ----------
    dynamics
        Equations of the neurons, n of them.
    drive_stage, row_stage
        What stands before and behind each neuron.
    """

    dynamics: Dynamics
    drive_stage: Drive
    row_stage: RowStage

    @classmethod
    def ideal(cls, unit: Activation, fhn: FHN, n_cells: int, drive: Drive | None = None, ceiling: float = 1.0) -> Cells:
        """Ideal FHN neurons and stages; `drive` in place of the ideal drive stage, `ceiling` of a relu."""
        return Cells(
            Coefficients.ideal(fhn, n_cells),
            DriveStage.ideal(unit, fhn, n_cells, ceiling) if drive is None else drive,
            RowStage.ideal(unit, fhn, n_cells, ceiling),
        )

    def __len__(self) -> int:
        return len(self.dynamics)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        return replace(
            self, dynamics=self.dynamics[index], drive_stage=self.drive_stage[index], row_stage=self.row_stage[index]
        )

    def ripple(self, means: FloatArray) -> FloatArray:
        """Variance of what is left of the oscillation behind the low-pass, in units of the activation squared.

        With dy/dt averaged, the output is ``u - <u> = (dy/dt)/s`` (s: `Dynamics.slow_slope`): a low-pass of tau far
        longer than the period hands on ``gain (y - <y>)/(s tau)``.

        Parameters
        ----------
        means
            Time averages of the output, shape (..., n).
        """
        per_y = self.ripple_per_y
        if not np.any(per_y):
            return np.zeros_like(means)
        return np.asarray(self.dynamics.slow_variance(means) * per_y**2)

    @property
    def ripple_per_y(self) -> FloatArray:
        """What the low-pass leaves of an oscillation of y, in units of the activation, shape (n,); see `ripple`."""
        tau = self.row_stage.time_constant
        return np.asarray(self.row_stage.gain / (self.dynamics.slow_slope * np.where(tau > 0.0, tau, np.inf)))


@dataclass(frozen=True, eq=False)
class CircuitCells(Cells):
    """Cells that are made of parts.

    Parameters
    ----------
    cell
        Their layout.
    parts
        Their component values, at the technology's temperature; in the order of the layout's groups.
    """

    cell: Cell
    parts: tuple[Parts, ...]

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        return replace(super().__getitem__(index), parts=tuple(group[index] for group in self.parts))

    def with_ideal_stages(self) -> Cells:
        """The same neurons between ideal stages; without parts."""
        ideal = Cells.ideal(self.cell.unit, self.cell.fhn, len(self), ceiling=self.cell.ceiling)
        return Cells(self.dynamics, ideal.drive_stage, ideal.row_stage)


@dataclass(frozen=True, eq=False)
class FlickerDensities:
    """Current noise of parts that have 1/f noise beside their white noise S: ``S (1 + corner/f)``.

    Parameters
    ----------
    density_x, density_y
        Square roots of S in dx and in dy (A/sqrt(Hz)), shape (n,).
    corner
        Frequency below which 1/f noise is larger (Hz).
    """

    density_x: FloatArray
    density_y: FloatArray
    corner: float


@dataclass(frozen=True, eq=False)
class Cell(ABC):
    """A hidden layer's cells as laid out, and everything that follows from the values of their parts.

    Parameters
    ----------
    fhn, unit
        Neurons that are wanted, and the activation that they stand for.
    technology
        What they are built with.
    n_cells
        Number of cells, all alike.
    smoothed
        Whether a low-pass stands behind each row, since another hidden layer follows, or what holds the activation.
    ceiling
        Largest activation of a relu; 1 for other units.

    Raises
    ------
    InputError
        If the technology cannot make such cells.
    """

    fhn: FHN
    unit: Activation
    technology: Technology
    n_cells: int
    smoothed: bool = False
    ceiling: float = 1.0

    NAME: ClassVar[str]
    # Libraries of the neuron alone, each after those that it needs.
    NEURON_LIBRARIES: ClassVar[tuple[str, ...]]
    # Values of gamma that such cells are built for; (): any.
    GAMMAS: ClassVar[tuple[float, ...]] = ()
    # Whether what oscillates can be seen outside, as the vote needs it; else only time averages leave the cell.
    SHOWS_OSCILLATIONS: ClassVar[bool] = True
    # Whether low-passes stand between rows and the next array; else something holds the exact time average.
    HAS_LOW_PASSES: ClassVar[bool] = True
    # Whether a row behind a cell is driven at the read voltage for a time that is its activation, not at a voltage.
    ROWS_ARE_TIMED: ClassVar[bool] = False
    # Whether a transient begins from an operating point that the initial state is forced upon, not from zeros.
    BEGINS_SETTLED: ClassVar[bool] = False

    @property
    @abstractmethod
    def streams(self) -> Mapping[str, int]:
        """Groups of parts by the names that people know, the neuron's own first; numbers of their random streams."""

    @property
    @abstractmethod
    def drive_libraries(self) -> tuple[str, ...]:
        """Libraries of the drive stage, which may be simulated alone, each after those that it needs."""

    @property
    def recentring(self) -> tuple[float, float]:
        """Gain and offset from x to the activation; see `analog_fhn.readout.recentring`."""
        return recentring(self.unit, self.fhn.a, self.fhn.gamma, self.ceiling)

    @property
    @abstractmethod
    def libraries(self) -> tuple[str, ...]:
        """Libraries of a whole cell, each after those that it needs."""

    def library(self, name: str) -> str:
        """Text of one of the libraries; those that come with the package stand in `netlists/`."""
        return resource("netlists", name).read_text(encoding="ascii")

    @property
    @abstractmethod
    def nominal(self) -> tuple[Parts, ...]:
        """Nominal parts, a group for each of `streams`."""

    @property
    @abstractmethod
    def errors(self) -> Mapping[str, float]:
        """Relative errors that values of E series leave, by the parameter that is in error."""

    @property
    @abstractmethod
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""

    @property
    @abstractmethod
    def voltage_scales(self) -> Mapping[str, float]:
        """Scales between the circuit and the equations, for people: volts per unit, and the time unit (s)."""

    @property
    @abstractmethod
    def volts_per_z(self) -> float:
        """Input voltage that stands for a pre-activation of 1 (V)."""

    @property
    @abstractmethod
    def row_volts(self) -> tuple[float, float]:
        """Row voltage of the nominal cell for an activation of 1, and without recentring for x = 1 (V)."""

    @property
    @abstractmethod
    def largest_activation(self) -> float:
        """Largest instantaneous |activation| on a row."""

    @property
    def low_pass(self) -> tuple[float, float]:
        """Nominal resistance (ohm) and capacitance (F) behind each row; 0 and 0 where there is no low-pass.

        A cell that has low-passes overrides this.
        """
        return 0.0, 0.0

    def carries_activation(self, recentre: bool) -> bool:
        """Whether rows carry the activation: those with recentring, and all in front of another hidden layer."""
        return recentre or self.smoothed

    @abstractmethod
    def cells(self, parts: tuple[Parts, ...]) -> CircuitCells:
        """Reduced equations of cells of these parts."""

    @property
    def has_trim_codes(self) -> bool:
        """Whether rows have trim potentiometers; see `trimmed`."""
        return type(self).trimmed is not Cell.trimmed

    def trimmed(self, parts: tuple[Parts, ...], gain: FloatArray, shift: FloatArray) -> tuple[Parts, ...]:
        """Parts with the trim potentiometers of their rows set; a cell that has them overrides this.

        Parameters
        ----------
        parts
            As they are made.
        gain, shift
            Factors, each of shape (n,), of the resistances that set a row's gain and its shift.

        Raises
        ------
        InputError
            If such cells have no potentiometers.
        """
        raise InputError(f"cell {self.NAME!r}: its rows have no trim potentiometers")

    @abstractmethod
    def neuron_instances(self, cells: CircuitCells, index: int, protocol: Protocol, suffix: str) -> Sequence[Instance]:
        """Netlist of one neuron alone: node `x` is its output, the drive current is drawn out of `sum2`.

        Parameters
        ----------
        suffix
            Of every node and name.

        Raises
        ------
        InputError
            If the initial state lies beyond what the circuit can begin with.
        """

    @abstractmethod
    def stage_instances(self, cells: CircuitCells, index: int, recentre: bool, suffix: str) -> Sequence[Instance]:
        """Netlist of what stands around a neuron: from node `z` to `sum2`, and from `x` to `row`."""

    @abstractmethod
    def supplies(self) -> Mapping[str, float]:
        """Name and voltage (V) of every supply of such a netlist, under the technology's conditions."""

    @abstractmethod
    def row_supplies(self, recentre: bool) -> Mapping[str, float]:
        """The same, of supplies that only rows with or without recentring need."""

    @abstractmethod
    def drive_current(self, drive: float) -> float:
        """Current (A) drawn out of node `sum2` for a dimensionless drive."""

    @property
    @abstractmethod
    def volts_per_x(self) -> float:
        """Voltage of node `x` for x = 1 (V)."""

    @property
    @abstractmethod
    def current_scale(self) -> float:
        """Typical current (A)."""

    def tolerances(self, reltol: float) -> Mapping[str, float]:
        """Tolerances of a simulator by ngspice's names, for a relative one.

        Here that of currents is as large a part of a typical one, so that idle branches do not hold up the iterations.
        """
        return {"reltol": reltol, "abstol": reltol * self.current_scale}

    @abstractmethod
    def noise_densities(self, cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
        """Densities (A/sqrt(Hz)) of the parts' own white current noise in dx and in dy; each of shape (n,)."""

    def flicker_densities(self, cells: CircuitCells) -> FlickerDensities | None:
        """White densities of the parts that have 1/f noise besides, with its corner; None: no part has any.

        A cell whose parts have 1/f noise overrides this.
        """
        return None

    @abstractmethod
    def noise_intensities(
        self, cells: CircuitCells, density_x: ArrayLike, density_y: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Intensities in dx and dy, per square root of T and each of shape (n,), of current densities (A/sqrt(Hz))."""

    @abstractmethod
    def findings(self) -> Iterator[Finding]:
        """What may be wrong with this layout."""

    def window_findings(self, protocol: Protocol) -> Iterator[Finding]:
        """What may be wrong with the times at which such neurons are watched.

        Nothing is known here; a cell that knows of anything overrides this.
        """
        return iter(())

    @abstractmethod
    def left_out(self, recentre: bool) -> frozenset[str]:
        """Names of parts that are not placed, for rows with or without recentring."""

    @abstractmethod
    def devices(self) -> Sequence[tuple[str, str, int, str]]:
        """Parts of one cell that are not bought by their values.

        Each with its section of the technology, its kind in words, how many there are, and their designators.
        """


def cell_class(name: str) -> type[Cell]:
    """Class of a cell by its name.

    Raises
    ------
    InputError
        If there is none of that name, or an installed package has something else under it.
    """
    kind: type[Cell] = named_class(CELLS, name, "cell", "cell")
    check_subclass(kind, Cell, "cell", name)
    return kind
