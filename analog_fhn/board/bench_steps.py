"""The steps of the bench protocol: what is applied to a cell, at which test points it is read, and with which settings.

In the steps A the drive stage is unplugged and a known current is drawn out of U2's summing node: they tell the neuron
by itself. In the steps B a voltage stands in for the array: they tell drive stage and row driver besides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analog_fhn.cell.base import Cell, curve_of
from analog_fhn.cell.opamp_fhn.layout import OpAmpLayout
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, extremes, regime
from analog_fhn.trim.codes import rows_carry_activations

TEST_POINTS = {"response": "Vx", "v_y": "Vy", "v_nx": "-Vx", "w": "W", "row": "row"}
"""Test point that the time average in each column of measurements is read at."""
TIMES = ("period", "rise")
"""Columns in seconds; the others are in volts."""
WORDS = {
    "response": "mean of Vx", "v_y": "mean of Vy", "v_nx": "mean of -Vx", "w": "mean of W", "row": "mean of row",
    "period": "period of Vx", "v_x_high": "mean of Vx while it is above 0",
    "v_x_low": "mean of Vx while it is below 0", "v_y_rms": "AC rms of Vy",
    "rise": "time of Vx from -Sx/2 to +Sx on its way up",
}  # fmt: skip
"""What each column of measurements is."""

_REST, _NEAR_REST = 0.8, 0.25  # drives of the steps A at rest, as shares of |gamma|
_TANH = (-3.0, -0.5, 0.5, 3.0)  # argument of the tanh at the ends of the activation, and between
_RAMP = (-0.5, 0.25, 0.75, 1.5)  # argument of a ramp, 0 to 1 between its ends
_SAMPLES = 2500
_DIVISIONS, _LINES = 8, 10  # of a screen: high, wide
_WHOLE = 16.0  # T that a recording lasts at least: eight periods
_JUMP = 10.0  # eps T that a recording of a jump lasts at least
_AT_REST = 5.0  # time constants of a neuron near its rest
_SETTINGS = {"volts": (1.0, 2.0, 2.5, 5.0), "seconds": (1.0, 2.0, 5.0)}  # 2.5 is the fine setting of many instruments
# Share of its size that a reading is off by at least: of a jump its noise, of the others the samples on the jumps.
_LEFT = {"rise": 0.01, "v_x_high": 0.002, "v_x_low": 0.002}
ACCURACY, NOISE = 0.0005, 0.01
"""Share of its typical size that a reading is off by for other reasons; noise of a sample as a share of the screen."""


@dataclass(frozen=True)
class Channel:
    """One channel of the oscilloscope.

    Parameters
    ----------
    point
        Test point.
    per_division
        Vertical setting (V).
    """

    point: str
    per_division: float

    @property
    def screen(self) -> float:
        """Height of the screen (V)."""
        return _DIVISIONS * self.per_division


@dataclass(frozen=True)
class Shot:
    """One recording of the oscilloscope.

    Parameters
    ----------
    name
        What the name of its file ends with.
    channels
        In their order, from channel 1.
    per_division
        Time base (s); ten divisions.
    trigger
        Level of Vx (V), upward, that starts it in the middle of the screen; None: none is needed.
    """

    name: str
    channels: tuple[Channel, ...]
    per_division: float
    trigger: float | None = None

    @property
    def duration(self) -> float:
        """Width of the screen (s)."""
        return _LINES * self.per_division

    @property
    def samples(self) -> int:
        """Samples of each channel."""
        return _SAMPLES


@dataclass(frozen=True)
class Step:
    """What is applied to a cell, and what is read.

    Parameters
    ----------
    name
        A1, ..., B1, ...
    drive
        Dimensionless current drawn out of U2's summing node with the drive stage unplugged; None: it is in place.
    volts_z
        Voltage at Vz; None: not applied.
    readings
        Columns of the measurements.
    settle
        Time to wait after the input is applied (s).
    shots
        Recordings.
    """

    name: str
    drive: float | None
    volts_z: float | None
    readings: tuple[str, ...]
    settle: float
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Reading:
    """One number that is read of every cell.

    Parameters
    ----------
    step
        Number of the step, from 0.
    column
        Column of the measurements.
    scale
        Its typical size (V or s), which accuracies are shares of.
    """

    step: int
    column: str
    scale: float


@dataclass(frozen=True, eq=False)
class BenchProtocol:
    """Steps that every cell of one hidden layer is measured in.

    Parameters
    ----------
    cell
        Layout of the cells.
    carried
        Whether their rows carry the activation.
    steps
        In their order.
    """

    cell: OpAmpLayout
    carried: bool
    steps: tuple[Step, ...]

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """All numbers that are read of a cell, step by step."""
        return tuple(
            Reading(number, column, _scale(self.cell, self.row_volts, column))
            for number, step in enumerate(self.steps)
            for column in step.readings
        )

    @property
    def row_volts(self) -> float:
        """Voltage on a row for what it carries, of 1 (V)."""
        return self.cell.row_volts[0 if self.carried else 1]

    def sigmas(self, accuracy: float = ACCURACY, noise: float = NOISE) -> FloatArray:
        """Standard deviation of every reading (V or s).

        Parameters
        ----------
        accuracy
            Of the readings, as a share of their typical size.
        noise
            Of each sample of a recording, as a share of the screen's height; 0: the readings are not of recordings.
        """
        return np.array([self._sigma(reading, accuracy, noise) for reading in self.readings])

    def _sigma(self, reading: Reading, accuracy: float, noise: float) -> float:
        shot = self.steps[reading.step].shots[0]
        point = TEST_POINTS.get(reading.column, "Vy" if reading.column == "v_y_rms" else "Vx")
        screen = next(channel.screen for channel in shot.channels if channel.point == point)
        of_samples = 0.0 if reading.column in TIMES else noise * screen / math.sqrt(shot.samples)
        left = max(accuracy, _LEFT.get(reading.column, 0.0)) * reading.scale
        return math.hypot(left, of_samples)


def bench_protocols(design: Design) -> tuple[BenchProtocol, ...]:
    """Steps for each hidden layer of a board.

    Raises
    ------
    InputError
        If the design is no board of op-amp cells.
    """
    return tuple(_of_layer(cell, design.network, layer) for layer, cell in enumerate(design.cells))


def _of_layer(cell: Cell, network: Network, layer: int) -> BenchProtocol:
    if not isinstance(cell, OpAmpLayout):
        raise InputError(
            f"technology {cell.technology.name!r}: its cells ({cell.NAME}) have no test points; expected a board of "
            "op-amp cells, such as technology discrete"
        )
    carried = rows_carry_activations(network, layer)
    gamma = abs(cell.fhn.gamma)
    steps = [_drive_step(cell, name, drive, full) for name, drive, full in (
        ("A1", _REST * gamma, True), ("A2", _NEAR_REST * gamma, False), ("A3", -gamma, True),
    )]  # fmt: skip
    slope, volts = cell.fhn.slope, cell.volts_per_z
    ramp = curve_of(cell.unit) == "ramp"
    places = [u * (cell.ceiling if ramp else 1.0) / slope for u in (_RAMP if ramp else _TANH)]
    row = _per_division(cell.row_volts[0 if carried else 1] * cell.largest_activation)
    for number, z in enumerate(places):
        columns = ("response", "row") if number in (0, len(places) - 1) else ("row",)
        settings = {"Vx": _per_division(_highest(cell)), "row": row, "Vz": _per_division(abs(z) * volts)}
        channels = tuple(Channel(point, setting) for point, setting in settings.items())
        name = f"B{number + 1}"
        shot = Shot(name, channels, _time_base(_WHOLE * cell.time_unit))
        settle = _settling(cell) + _AT_REST * math.prod(cell.low_pass)
        steps.append(Step(name, None, float(f"{z * volts:.4g}"), columns, settle, (shot,)))
    return BenchProtocol(cell, carried, tuple(steps))


def _drive_step(cell: OpAmpLayout, name: str, drive: float, full: bool) -> Step:
    """Step with a current; `full`: -V_x is read as well where the neuron rests."""
    highest, w = _highest(cell), _highest(cell) ** 3 / cell.technology.multiplier.scale**2
    points = [("Vx", highest), ("Vy", cell.scales.sy * extremes(cell.fhn)[1]), ("-Vx", highest), ("W", w)]
    channels = tuple(Channel(point, _per_division(volts)) for point, volts in points)
    shots = [Shot(name, channels, _time_base(_WHOLE * cell.time_unit))]
    columns: tuple[str, ...] = ("response", "v_y", "v_nx", "w") if full else ("response", "v_y", "w")
    if regime(cell.fhn, drive) == "oscillating":
        columns = ("response", "v_y", "period", "v_x_high", "v_x_low", "v_y_rms", "rise")
        jump = _time_base(_JUMP * cell.fhn.eps * cell.time_unit)
        shots.append(Shot(f"{name}_jump", channels[:1], jump, trigger=0.0))
    return Step(name, drive, None, columns, _settling(cell), tuple(shots))


def _highest(cell: OpAmpLayout) -> float:
    """Largest |Vx|: a spike reaches 2 and a little more, a neuron at rest what the largest drive asks for (V)."""
    return cell.scales.sx * max(2.05, abs(cell.fhn.a) + abs(cell.fhn.gamma))


def _settling(cell: OpAmpLayout) -> float:
    """Time (s) in which a neuron comes to rest, with the time constant (a + I)^2 - 1 at most, or into its rhythm."""
    furthest = abs(cell.fhn.a) + abs(cell.fhn.gamma)
    return _AT_REST * max(furthest**2 - 1.0, 2.0) * cell.time_unit


def _scale(cell: OpAmpLayout, row_volts: float, column: str) -> float:
    if column == "period":
        return 2.0 * cell.time_unit
    if column == "rise":
        return 2.5 * cell.fhn.eps * cell.time_unit
    return {"v_y": cell.scales.sy, "v_y_rms": cell.scales.sy, "row": row_volts}.get(column, cell.scales.sx)


def _per_division(volts: float) -> float:
    """Smallest setting whose screen holds -volts to volts, with a tenth to spare."""
    return _next_setting(1.1 * volts / (0.5 * _DIVISIONS), "volts")


def _time_base(duration: float) -> float:
    return _next_setting(duration / _LINES, "seconds")


def _next_setting(value: float, kind: str) -> float:
    """The next setting of an instrument's from `value` on."""
    power = math.floor(math.log10(value))
    found = (float(f"{step}e{exponent}") for exponent in (power, power + 1) for step in _SETTINGS[kind])
    return next(one for one in found if one >= value * (1.0 - 1e-9))
