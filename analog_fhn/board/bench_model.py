"""What a bench reads of a cell with given parts, and how far each part may deviate in the technology."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analog_fhn.board.bench_steps import BenchProtocol
from analog_fhn.board.waveforms import NAMES, waveform_numbers
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.opamp_fhn.layout import OpAmpLayout, typed_groups
from analog_fhn.cell.opamp_fhn.neuron import NeuronParts, cubic, integrators, inverter
from analog_fhn.cell.parts import PartField, Parts
from analog_fhn.design import Design
from analog_fhn.neuron import Coefficients, FloatArray, coefficients_of

_AMPLIFIERS = {"vos1": "offset of U1", "vos2": "offset of U2", "vos3": "offset of U3"}
_FACTORS = {"x": "X offset", "y": "Y offset", "z": "output offset", "scale": "scale"}
_OTHERS = {
    "vos": "input offset", "dvbe_tail": "mismatch of the tail mirror", "dvbe_source": "mismatch of the upper mirror",
    "dvbe_sink": "mismatch of the lower mirror", "bn": "current gain, npn", "bp": "current gain, pnp",
}  # fmt: skip
_CELLS, _PER_CHIP = 200, 10  # cells that expected values are taken from, and at most how many of one chip


@dataclass(frozen=True)
class PartError:
    """One part of a cell that may deviate.

    Parameters
    ----------
    instance, field
        Subcircuit in the netlist (neuron, pair, ...), and the part's parameter in it.
    group
        Number of the group of parts.
    words
        What it is, for people.
    sigma
        Standard deviation in the technology: a share of the value where `relative`, else in the part's unit.
    relative
        Whether deviations are shares.
    unit
        Of deviations that are none.
    """

    instance: str
    field: str
    group: int
    words: str
    sigma: float
    relative: bool
    unit: str

    def path(self, suffix: str) -> str:
        """Its place in the netlist of a board, for a cell of this suffix."""
        return f"x{self.instance}{suffix}.{self.field}"

    def size(self, sigmas: float) -> str:
        """So many standard deviations in the part's own terms."""
        deviation = sigmas * self.sigma
        if self.relative:
            return f"{100.0 * deviation:+.2g} %"
        return f"{1e3 * deviation:+.2g} mV" if self.unit == "V" else f"{deviation:+.2g}"


@dataclass(frozen=True, eq=False)
class CellModel:
    """Readings of a bench protocol as functions of the parts of a cell.

    Parameters
    ----------
    protocol
        What is read.
    nominal
        Groups of parts of one nominal cell at the technology's temperature.
    start
        x and y at which a neuron begins.
    """

    protocol: BenchProtocol
    nominal: tuple[Parts, ...]
    start: tuple[float, float]

    @classmethod
    def of(cls, design: Design, layer: int, protocol: BenchProtocol) -> CellModel:
        """Of the cells of a hidden layer."""
        cells = design.chip(None).hardware[layer].cells
        times = design.network.protocol
        return cls(protocol, tuple(group[:1] for group in cells.parts), (times.x0, times.y0))

    @property
    def cell(self) -> OpAmpLayout:
        """Layout of the cell."""
        return self.protocol.cell

    @cached_property
    def errors(self) -> tuple[PartError, ...]:
        """Parts that deviate in the technology, in the order of the netlist."""
        out = self.cell.left_out(self.protocol.carried)
        names = ("neuron", "pair" if self.cell.drive.NAME == "tanh pair" else "rectifier", "driver")
        found = []
        for group, (name, parts) in enumerate(zip(names, self.nominal, strict=True)):
            for described in parts.described():
                sigma = _sigma(self.cell, described)
                if sigma > 0.0 and not (name == "driver" and described.name in out):
                    kind = described.kind
                    unit = "" if kind.relative or described.name.endswith("_scale") else "V"
                    relative = kind.relative or described.name.endswith("_scale")
                    words = _words(group, self.cell.drive.NAME, described)
                    found.append(PartError(name, described.name, group, words, sigma, relative, unit))
        return tuple(found)

    def parts(self, sigmas: FloatArray) -> tuple[Parts, ...]:
        """Groups of parts of n cells whose parts deviate so far, (n, n_errors), in units of sigma."""
        n = len(sigmas)
        values: list[dict[str, FloatArray]] = [{} for _ in self.nominal]
        for error, column in zip(self.errors, sigmas.T, strict=True):
            nominal = getattr(self.nominal[error.group], error.field)
            deviation = error.sigma * column
            # An exponential keeps every value above 0, however far an estimate goes.
            whole = nominal * np.exp(deviation) if self._scales(error) else nominal + deviation
            values[error.group][error.field] = whole
        index = np.zeros(n, dtype=np.intp)
        return tuple(group[index].with_values(**v) for group, v in zip(self.nominal, values, strict=True))

    def _scales(self, error: PartError) -> bool:
        return type(self.nominal[error.group]).kind_of(error.field).relative

    def cells(self, sigmas: FloatArray) -> CircuitCells:
        """Cells of these parts; see `parts`."""
        return self.cell.cells(self.parts(sigmas))

    def readings(self, sigmas: FloatArray) -> FloatArray:
        """Readings (n, n_readings) of cells whose parts deviate so far (n, n_errors)."""
        return self.read(self.cells(sigmas))

    def read(self, cells: CircuitCells) -> FloatArray:
        """Readings (n, n_readings) of some cells of this layout; NaN where a neuron at rest has no rhythm to read."""
        neurons, _, _ = typed_groups(cells.parts)
        technology, scales = self.cell.technology, self.cell.scales
        drives = np.stack([
            np.full(len(cells), step.drive)
            if step.drive is not None
            else cells.drive_stage.drives(np.full(len(cells), (step.volts_z or 0.0) / self.cell.volts_per_z))
            for step in self.protocol.steps
        ])  # fmt: skip
        dynamics = coefficients_of(cells.dynamics, "bench protocol")
        waveforms = waveform_numbers(dynamics, drives, _lags(neurons, self.cell), self.start)
        numbers = dict(zip(NAMES, waveforms, strict=True))
        gain, offset = inverter(neurons, technology)
        w0, w1, w2, w3 = cubic(neurons, technology)
        mean, square, cube = (scales.sx**k * numbers[name] for k, name in ((1, "x"), (2, "x2"), (3, "x3")))
        row_gain, row_offset = cells.row_stage.of(self.protocol.carried)
        columns = {
            "response": mean, "v_y": scales.sy * numbers["y"], "v_nx": offset - gain * mean,
            "w": w0 + w1 * mean + w2 * square + w3 * cube,
            "period": scales.time_unit * numbers["period"], "rise": scales.time_unit * numbers["rise"],
            "v_x_high": scales.sx * numbers["high"], "v_x_low": scales.sx * numbers["low"],
            "v_y_rms": scales.sy * numbers["y_rms"],
            "row": self.protocol.row_volts * (row_gain * numbers["x"] + row_offset),
        }  # fmt: skip
        return np.stack([columns[reading.column][reading.step] for reading in self.protocol.readings], axis=1)

    @cached_property
    def expected(self) -> FloatArray:
        """Readings of the nominal cell, (n_readings,)."""
        return np.asarray(self.readings(np.zeros((1, len(self.errors))))[0])

    @cached_property
    def sensitivities(self) -> FloatArray:
        """Change of each reading per standard deviation of each part, (n_readings, n_errors), at the nominal cell."""
        return np.asarray(self.slopes(np.zeros((1, len(self.errors))))[0])

    def slopes(self, sigmas: FloatArray) -> FloatArray:
        """The same of n cells at the deviations `sigmas`: (n, n_readings, n_errors), by central differences."""
        n, m = sigmas.shape
        around = sigmas[:, None, None, :] + np.array([0.5, -0.5])[:, None, None] * np.eye(m)
        read = self.readings(around.reshape(-1, m)).reshape(n, 2, m, -1)
        return np.asarray(np.moveaxis(read[:, 0] - read[:, 1], 1, 2))

    def coefficients(self, sigmas: FloatArray) -> Coefficients:
        """Nine coefficients of the neurons of n cells, (n, n_errors)."""
        return coefficients_of(self.cells(sigmas).dynamics, "bench protocol")


def spread(design: Design, layer: int, model: CellModel, first_seed: int = 0) -> FloatArray:
    """Readings of about 200 cells of chips of the seeds from `first_seed`, (n, n_readings)."""
    each = min(_PER_CHIP, len(design.chip(None).hardware[layer].cells))
    index = np.arange(each)
    chips = range(first_seed, first_seed + -(-_CELLS // each))
    return np.concatenate([model.read(design.chip(seed).hardware[layer].cells[index]) for seed in chips])


def with_part(cells: CircuitCells, group: int, field: str, value: float) -> CircuitCells:
    """Cells all of which have this value of one part: a fault to practise on."""
    parts = list(cells.parts)
    parts[group] = parts[group].with_values(**{field: np.full(len(cells), value)})
    return cells.cell.cells(tuple(parts))


def _sigma(cell: OpAmpLayout, described: PartField) -> float:
    """Standard deviation of a part in the technology; see `analog_fhn.draws.draw_parts`."""
    spread = described.kind.spread
    section = getattr(cell.technology, described.kind.section)
    width = float(getattr(section, spread.field))
    if not spread.bounded:
        return width
    even = getattr(section, "distribution", "normal") == "uniform"
    return width / np.sqrt(3.0) if even else width / 3.0


def _lags(neurons: NeuronParts, cell: OpAmpLayout) -> tuple[FloatArray, FloatArray]:
    """u and c of `analog_fhn.board.waveforms`, each of shape (n,)."""
    technology, scales = cell.technology, cell.scales
    ratio, cx = neurons.rb / neurons.ra, integrators(neurons, technology)[0]
    wt = 2.0 * np.pi * technology.opamp.gain_bandwidth
    tau = 1.0 / (2.0 * np.pi * technology.multiplier.bandwidth)
    u = ratio * (1.0 + ratio) / (neurons.r1 * wt * cx)
    c = 5.0 * tau * scales.sx**2 / (technology.multiplier.scale**2 * neurons.r2 * cx)
    return np.asarray(u), np.asarray(c)


def _words(group: int, drive: str, described: PartField) -> str:
    name = described.name
    if group == 0:
        if name in _AMPLIFIERS:
            return _AMPLIFIERS[name]
        if name[0] == "m":
            return f"{_FACTORS[name[3:]]} of {name[:2].upper()}"
        return name.capitalize()
    stage = drive if group == 1 else "row driver"
    words = _OTHERS.get(name, name.capitalize())
    return f"{words} of the {stage}" if words[0].islower() else f"{words} ({stage})"
