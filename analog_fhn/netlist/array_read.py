"""A read of an array of a chip of transistors: rows, devices and integrating read-outs as a circuit of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analog_fhn.array.integrating import IntegratingParts
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.ota_fhn.layout import IntegratorParts
from analog_fhn.cell.parts import Parts
from analog_fhn.chip import ArrayLayer, ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.netlist.chip_lines import array_words, column_nodes, includes, row_nodes
from analog_fhn.netlist.decks import cell_suffix, chip_libraries
from analog_fhn.netlist.whole_chip import array_lines
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.technology.silicon import SiliconTechnology

# Lines of the read-outs and of the row drivers (V); see the headers of column_readout.lib, integrate_hold.lib and
# ota_row_driver.lib.
_GROUND, OUTPUT_START = 0.2, 1.1
INTEGRATION_START = 1.35
# What a read-out's capacitor has beside it (F): node sum and switches. Measured with hold capacitors from 1.5 to 5 pF
# and ratios of 20 and 40, within 5 fF. An integrator's: its switches.
BESIDE_HOLD, _BESIDE_INTEGRATOR = 70e-15, 12e-15
# Charge that memory and switches leave on a hold capacitor, times the ratio (C): from 0.22 to 0.33 fC in the same runs.
# The start voltages take it off.
_LEFT = 0.28e-15
_WIRING = 1e-12  # F, of a column; from 0.3 to 3 pF it changes nothing
_EDGE = 4e-9  # s, of controls
# A comparator's delay depends on its common-mode voltage: pulses are longer by this with a falling ramp, and shorter
# with a rising one, for spans of 0.35 to 0.5 V in 1 us.
_WIDER = 0.035
# Times of a read (s), from when its amplifiers are switched on; see column_readout.lib.
_PRECHARGED, _ZERO, _OPEN, _ZEROED, _RESET, _INTEGRATE, _PULSE = (
    t * 1e-6 for t in (0.08, 0.28, 0.3, 0.5, 0.52, 0.54, 0.58)
)
_TAIL = 0.42e-6  # from the end of the pulses until the columns' currents have settled
_ROWS_ON = 10e-9  # the comparators of the row drivers are switched on
_RAMP = 0.5e-6  # the ramp of the row drivers begins
_RAMP_AHEAD = 0.05  # V before the voltage at which pulses begin
_LATEST = 0.3e-6  # by which those pulses begin and end later
_READ_STEP = 8e-9
_READ_OPTIONS = "reltol=1e-4 abstol=1e-14 chgtol=1e-18 gmin=1e-16 vntol=1e-7"


@dataclass(frozen=True, eq=False)
class HiddenCells:
    """Hidden layer number `number` of a chip: what its netlist is made of."""

    chip: ManufacturedChip
    number: int

    @property
    def cells(self) -> CircuitCells:
        """Its cells."""
        return self.chip.hardware[self.number].cells

    @cached_property
    def cell(self) -> OtaFHN:
        """Their layout."""
        cell = self.cells.cell
        assert isinstance(cell, OtaFHN)
        return cell

    @property
    def parts(self) -> tuple[Parts, Parts, IntegratorParts]:
        """Neurons, drive stages, integrators."""
        neurons, drives, integrators = self.cells.parts
        assert isinstance(integrators, IntegratorParts)
        return neurons, drives, integrators

    @property
    def suffixes(self) -> list[str]:
        """What the names of each cell end with."""
        return [cell_suffix(self.number, k) for k in range(len(self.cells))]

    @property
    def integrators(self) -> FloatArray:
        """Capacitors of the integrators (F), without what their switches add; errors of the span are theirs."""
        parts = self.parts[2]
        return np.asarray(parts.c / (1.0 + parts.gain) - _BESIDE_INTEGRATOR)

    @property
    def span(self) -> float:
        """Change of an integrator's voltage at the largest drive (V)."""
        window = self.chip.network.protocol.control * self.cell.time_unit
        return self.cell.full_current * window / self.cell.technology.integrator.capacitor


def silicon(chip: ManufacturedChip) -> SiliconTechnology:
    """Technology of a chip of transistors."""
    technology = chip.technology
    assert isinstance(technology, SiliconTechnology)
    return technology


def read_file(array: int) -> str:
    """Name of the file with a read of an array."""
    return f"read_{array}.cir"


def read(chip: ManufacturedChip, layers: list[HiddenCells], array: int, volts: FloatArray, folded: bool) -> str:
    """Circuit of a read of an array; `volts` are what an image puts on the rows of the input array."""
    one, technology = chip.arrays[array], silicon(chip)
    rows, columns = row_nodes(chip, array), column_nodes(chip, array)
    wires = technology.array.wires
    if array:
        wires = replace(wires, driver=0.0)  # the transistor that drives a row is one itself
    lines = [
        f"* A read of {array_words(chip, array)}: rows, devices, read-outs",
        "* Supplies, gate lines, ramp and controls are ideal sources.",
        *includes(chip_libraries(chip)),
        *_read_lines(layers[0].cell),
    ]
    if array == 0:
        lines += _pulsed_rows(chip, rows, volts) if not folded else []
    else:
        lines += _driven_rows(layers[array - 1], rows, one.row_voltages(None))
    if not folded:
        lines += array_lines(chip, array, wires)
    elif array == 0:
        lines += _folded_columns(chip, one, columns, volts)
    else:
        lines += _folded_array(one, rows, columns)
    lines += _columns(technology, columns)
    lines += _read_outs(chip, layers, array, columns)
    end = read_end(technology, array)
    lines += [
        f".options {_READ_OPTIONS} temp={number(layers[0].cell.celsius)}",
        f".tran {number(_READ_STEP)} {number(end + 0.1e-6)} 0 {number(_READ_STEP)}",
        f".save {' '.join(f'v({node})' for node in output_nodes(chip, layers, array))}",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def read_end(technology: SiliconTechnology, array: int) -> float:
    """When the integration of a read ends (s)."""
    return _PULSE + technology.reading.duration + _TAIL + (_LATEST if array else 0.0)


def output_nodes(chip: ManufacturedChip, layers: list[HiddenCells], array: int) -> list[str]:
    """Nodes of the capacitors on which the outputs of an array are held."""
    if array < len(layers):
        return [f"z{suffix}" for suffix in layers[array].suffixes]
    return [f"score_{k}" for k in range(chip.network.output.n_out)]


def _start_volts(layers: list[HiddenCells], array: int) -> float:
    """Voltage from which read-outs start (V): that of z = 0 where a drive stage follows."""
    if array == len(layers):
        return OUTPUT_START
    cell = layers[array].cell
    return cell.supply_volts["vref"] + cell.start_volts


def _read_lines(cell: OtaFHN) -> Iterator[str]:
    """Supplies and gate lines of a read, as in the bench of column_readout.lib."""
    yield f"Vdd vdd 0 {number(cell.supply_volts['vdd'])}"
    yield f"Vvg vg 0 {number(_GROUND)}"
    yield "* Gate lines, from ideal currents of 8, 4 and 1.25 uA. Each goes to all read-outs through an ideal buffer:"
    yield "* what they push into it when they are switched on would take a diode longer than a read to carry away."
    current, n, p = "reference_current", "fet_n", "fet_p"
    yield from instance_lines(
        [
            Instance("Xref_bn", ("bn_diode",), current, {"i": 8e-6}),
            Instance("Xbn", ("bn_diode", "bn_diode", "0", "0"), n, {"w": 11e-6, "l": 5e-6}),
            Instance("Xbn2", ("bp_diode", "bn_diode", "0", "0"), n, {"w": 11e-6, "l": 5e-6}),
            Instance("Xbp", ("bp_diode", "bp_diode", "vdd", "vdd"), p, {"w": 8e-6, "l": 2e-6}),
            Instance("Xref_cn", ("cn_diode",), current, {"i": 4e-6}),
            Instance("Xcn", ("cn_diode", "cn_diode", "0", "0"), n, {"w": 1e-6, "l": 5e-6}),
            Instance("Xcp2", ("cp_diode", "bn_diode", "0", "0"), n, {"w": 5.5e-6, "l": 5e-6}),
            Instance("Xcp", ("cp_diode", "cp_diode", "vdd", "vdd"), p, {"w": 4e-6, "l": 3.8e-6}),
            Instance("Xref_pre", ("pre_diode",), current, {"i": 1.25e-6}),
            Instance("Xpre", ("pre_diode", "pre_diode", "0", "0"), n, {"w": 2.1e-6, "l": 3.5e-6}),
        ]
    )
    for line in ("bn", "bp", "cn", "cp", "pre"):
        yield f"E{line} {line} 0 {line}_diode 0 1.0"


def _controls(vdd: float, end: float) -> Iterator[str]:
    """Controls of the read-outs until the time `end` (s), and their complements."""
    steps = {
        "enb": [(10e-9, False), (end + 20e-9, True)],
        "prc": [(12e-9, True), (_PRECHARGED, False)],
        "zero": [(_ZERO, True), (_ZEROED, False)],
        "integ": [(_OPEN, False), (_INTEGRATE, True), (end, False)],
        "rst": [(_RESET, False)],
    }
    for name, edges in steps.items():
        yield control(name, vdd, edges)
    for name in ("zero", "integ", "rst"):
        yield control(f"{name}b", vdd, [(t, not high) for t, high in steps[name]])


def control(name: str, vdd: float, edges: list[tuple[float, bool]]) -> str:
    """Source of a control that is 0 or vdd, before its first edge the other of what it is then."""
    level = 0.0 if edges[0][1] else vdd
    points = [(0.0, level)]
    for time, high in edges:
        points += [(time, level), (time + _EDGE, vdd if high else 0.0)]
        level = points[-1][1]
    return _source(name, points)


def _source(name: str, points: Iterable[tuple[float, float]]) -> str:
    """Voltage source through points (s, V)."""
    return f"V{name} {name} 0 PWL({' '.join(f'{number(t)} {number(v)}' for t, v in points)})"


def _pulse(begin: float, duration: float, low: float, high: float) -> list[tuple[float, float]]:
    return [
        (0.0, low), (begin, low), (begin + _EDGE, high), (begin + duration, high), (begin + duration + _EDGE, low),
    ]  # fmt: skip


def _warmer(technology: SiliconTechnology) -> float:
    """Factor of the read voltage, which is proportional to the absolute temperature if `drive.compensated`."""
    return technology.conditions.temperature / NOMINAL_TEMPERATURE if technology.drive.compensated else 1.0


def _pulsed_rows(chip: ManufacturedChip, rows: list[str], volts: FloatArray) -> Iterator[str]:
    """Rows that are pulsed with the voltages of an image."""
    technology = silicon(chip)
    yield f"* Rows: pulses of {number(technology.reading.duration)} s above the virtual ground; the biases' rows last."
    for row, value in zip(rows, volts * _warmer(technology), strict=True):
        if value:
            pulse = _pulse(_PULSE, technology.reading.duration, _GROUND, _GROUND + float(value))
            yield _source(row, pulse)
        else:
            yield f"V{row} {row} 0 {number(_GROUND)}"


def _driven_rows(layer: HiddenCells, rows: list[str], bias: FloatArray) -> Iterator[str]:
    """Row drivers behind a layer: held voltages become times for which rows are at the read voltage.

    A row is driven while ramp and held voltage are in the order that is an activation above 0. Where activations rise
    with the drive (gamma > 0) the ramp falls, from where integrators start; where they fall with it, it rises, from
    where integrators end at the largest drive, and the pins of the comparator are exchanged.
    """
    cell, technology = layer.cell, layer.cell.technology
    rising, span, duration = cell.fhn.gamma < 0, layer.span, technology.reading.duration
    vdd = cell.supply_volts["vdd"]
    yield "* Row drivers, each with the capacitor that holds its voltage; run.cir writes what these are charged to."
    zero = INTEGRATION_START - span if rising else INTEGRATION_START
    yield f"Vzero_activation zero_activation 0 {number(zero)}"
    direction = 1.0 if rising else -1.0
    slope = direction * span / duration * (1.0 - direction * _WIDER)
    ramp = zero - direction * _RAMP_AHEAD
    length = (1.1 * span + 2.0 * _RAMP_AHEAD) / abs(slope)
    yield _source("ramp", [(0.0, ramp), (_RAMP, ramp), (_RAMP + length, ramp + slope * length)])
    yield _source("idle", [(0.0, vdd), (_RAMP - 10e-9, vdd), (_RAMP - 10e-9 + _EDGE, 0.0)])
    yield "* Comparators are switched on with the read; their gate line has an ideal buffer as those of the read-outs."
    yield f"Irow_diode 0 row_diode PWL(0.0 0.0 {number(_ROWS_ON)} 0.0 {number(_ROWS_ON + _EDGE)} 8e-06)"
    yield from instance_lines(
        [Instance("Xrow_diode", ("row_diode",) * 2 + ("0", "0"), "fet_n", {"w": 11e-6, "l": 5e-6})]
    )
    yield "Erow_bias row_bias 0 row_diode 0 1.0"
    yield "* The driver that times the beginning, and en: neither its pin on nor idle."
    lines = ("vg", "vrow")
    inputs = ("ramp", "zero_activation") if rising else ("zero_activation", "ramp")
    yield from instance_lines(
        [
            Instance("Xtime", (*inputs, "unused", "timing", *lines, "vdd", "row_bias", "vdd"), "ota_row_driver", {}),
            Instance("Xen1", ("en", "timing", "0", "0"), "fet_n", {"w": 2e-6, "l": 0.28e-6}),
            Instance("Xen2", ("en", "idle", "0", "0"), "fet_n", {"w": 2e-6, "l": 0.28e-6}),
            Instance("Xen3", ("half", "timing", "vdd", "vdd"), "fet_p", {"w": 8e-6, "l": 0.28e-6}),
            Instance("Xen4", ("en", "idle", "half", "vdd"), "fet_p", {"w": 8e-6, "l": 0.28e-6}),
        ]
    )
    offsets = layer.parts[2].offset / technology.array.read_voltage * span
    for suffix, row, farads, offset in zip(layer.suffixes, rows, layer.integrators, offsets, strict=False):
        held = f"held{suffix}"
        yield f"C{held} {held} 0 {number(farads)}"
        yield f".include {held}.inc"
        pins = ("ramp", held) if rising else (held, "ramp")
        parameters = {"dvt_hold": float(offset)} if offset else {}
        nodes = (*pins, row, f"on{suffix}", *lines, "en", "row_bias", "vdd")
        yield from instance_lines([Instance(f"Xrow{suffix}", nodes, "ota_row_driver", parameters)])
    if len(bias):
        yield "* Rows of the biases, at their voltages for as long as a row whose activation is the largest."
        begin = _RAMP + _RAMP_AHEAD / abs(slope) + 0.05e-6
        for row, value in zip(rows[-len(bias) :], bias * _warmer(technology), strict=True):
            yield _source(row, _pulse(begin, duration, _GROUND, _GROUND + float(value)))


def _folded_columns(chip: ManufacturedChip, array: ArrayLayer, columns: list[str], volts: FloatArray) -> Iterator[str]:
    """What an image drives into the columns of the input array, and what these conduct to the virtual ground."""
    technology, ports = silicon(chip), array.ports
    yield "* What the rows drive into each column at the virtual ground, and what it conducts to what is there."
    currents = array.column_currents(volts) * _warmer(technology)
    for j, column in enumerate(columns):
        current = float(currents[j])
        pulse = " ".join(
            f"{number(t)} {number(i)}" for t, i in _pulse(_PULSE, technology.reading.duration, 0.0, current)
        )
        yield f"I{column} 0 {column} PWL({pulse})"
        yield f"R{column} vg {column} {number(1.0 / float(ports.bit_diagonal[j]))}"


def _folded_array(array: ArrayLayer, rows: list[str], columns: list[str]) -> Iterator[str]:
    """Effective conductances from rows to columns, and what columns conduct besides, to the virtual ground."""
    ports = array.ports
    yield "* Effective conductances, through the wires; then what columns conduct to each other."
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if ports.effective[i, j] > 0.0:
                yield f"R{i:03d}_{column} {row} {column} {number(1.0 / float(ports.effective[i, j]))}"
    for j, column in enumerate(columns):
        between = float(ports.bit_diagonal[j] - ports.effective[:, j].sum())
        if between > 1e-9 * ports.bit_diagonal[j]:
            yield f"R{column} vg {column} {number(1.0 / between)}"


def _columns(technology: SiliconTechnology, columns: list[str]) -> Iterator[str]:
    """What the columns have besides devices: wiring, and devices of a row that is always driven."""
    read = technology.array.read_voltage * _warmer(technology)
    yield f"* Columns: {number(_WIRING)} F of wires, and devices of a row that is driven throughout: a sink does not"
    yield "* regulate without current, and the amplifier of a column without conductance may oscillate."
    yield f"Vvrow vrow 0 {number(_GROUND + read)}"
    for column in columns:
        yield f"C{column} {column} 0 {number(_WIRING)}"
        yield f"Rpedestal_{column} vrow {column} {number(read / technology.reading.pedestal)}"


def _read_outs(chip: ManufacturedChip, layers: list[HiddenCells], array: int, columns: list[str]) -> Iterator[str]:
    """Read-outs of an array's columns with the errors that were drawn for them."""
    technology, parts = silicon(chip), chip.arrays[array].sense
    assert isinstance(parts, IntegratingParts)
    vdd, start = layers[0].cell.supply_volts["vdd"], _start_volts(layers, array)
    yield "* Controls of the read-outs."
    yield from _controls(vdd, read_end(technology, array))
    yield "* Read-outs. Errors of the copies of a column's current stand in the copies' mobility, offsets in the start"
    yield f"* voltage: {number(start)} V, less what memory and switches leave. Capacitors are less by"
    yield f"* {number(BESIDE_HOLD)} F, which is beside them."
    farads = hold_capacitors(technology, parts)
    controls = ["pre", "enb", "prc", "zero", "zerob", "integ", "integb", "rst", "rstb", "bn", "bp", "cn", "cp", "vdd"]
    ratio = technology.sense_amplifier.ratio
    starts = start + parts.offset * parts.r - _LEFT * ratio / (farads + BESIDE_HOLD)
    for k, output in enumerate(output_nodes(chip, layers, array)):
        yield f"Vstart_{k:03d} start_{k:03d} 0 {number(starts[k])}"
        nodes = (columns[2 * k], columns[2 * k + 1], output, "vg", f"start_{k:03d}", *controls)
        parameters = {
            "n_ratio": ratio, "c_hold": float(farads[k]),
            "beta_p_copy": 1.0 + float(parts.plus[k]), "beta_n_copy": 1.0 + float(parts.minus[k]),
        }  # fmt: skip
        yield from instance_lines([Instance(f"Xread_{k:03d}", nodes, "column_readout", parameters)])


def hold_capacitors(technology: SiliconTechnology, parts: IntegratingParts) -> FloatArray:
    """Hold capacitors of read-outs (F): duration over ratio and transresistance, less what is beside them."""
    farads = technology.reading.duration / (technology.sense_amplifier.ratio * parts.r) - BESIDE_HOLD
    if farads.min() <= 0.0:
        raise InputError(
            f"technology {technology.name!r}: a read-out of {parts.r.max():g} ohm leaves no hold capacitor beside the "
            f"{BESIDE_HOLD:g} F of its switches; expected a longer reading.duration or a smaller sense_amplifier.ratio"
        )
    return np.asarray(farads)
