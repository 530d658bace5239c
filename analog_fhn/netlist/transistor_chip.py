"""The netlist of a chip of transistors under one image: read after read, and each neuron by itself between them.

The parts of such a chip work one after another, and what one hands to the next is a voltage on a capacitor: arrays are
read within microseconds, neurons then run for a window, and the next array is read. So each has a circuit of its own,
which begins with that capacitor charged; `run.cir` runs them in turn. Transistors have the deviations that were drawn
for them. Those of the read-outs and row drivers are not drawn one by one: what a chip has in their place (see
`analog_fhn.array.integrating` and `IntegratorParts`) stands in their capacitors, copies, start voltages and thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.integrating import IntegratingParts
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.ota_fhn.layout import IntegratorParts
from analog_fhn.cell.parts import Parts
from analog_fhn.chip import ArrayLayer, ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.netlist.chip_lines import BEGIN, END, array_words, column_nodes, includes, row_nodes, score_lines
from analog_fhn.netlist.decks import chip_libraries
from analog_fhn.netlist.whole_chip import array_lines
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.wires import Wires

README = "README.txt"

# Lines of the read-outs and of the row drivers (V); see the headers of column_readout.lib, integrate_hold.lib and
# ota_row_driver.lib.
_GROUND, _OUTPUT_START = 0.2, 1.1
_INTEGRATION_START, _DUMP = 1.35, 1.2
# What a read-out's capacitor has beside it (F): node sum and switches. Measured with hold capacitors from 1.5 to 5 pF
# and ratios of 20 and 40, within 5 fF. An integrator's: its switches.
_BESIDE_HOLD, _BESIDE_INTEGRATOR = 70e-15, 12e-15
_WIRING = 1e-12  # F, of a column; from 0.3 to 3 pF it changes nothing
_EDGE = 4e-9  # s, of controls
# A comparator's delay depends on its common-mode voltage: pulses are longer by this with a falling ramp, and shorter
# with a rising one.
_WIDER = 0.027
# Times of a read (s), from when its amplifiers are switched on; see column_readout.lib.
_PRECHARGED, _ZERO, _OPEN, _ZEROED, _RESET, _INTEGRATE, _PULSE = (
    t * 1e-6 for t in (0.08, 0.28, 0.3, 0.5, 0.52, 0.54, 0.58)
)
_TAIL = 0.42e-6  # from the end of the pulses until the columns' currents have settled
_RAMP = 0.5e-6  # the ramp of the row drivers begins
_RAMP_AHEAD = 0.05  # V before the voltage at which pulses begin
_LATEST = 0.3e-6  # by which those pulses begin and end later
_READ_STEP = 8e-9
_READ_OPTIONS = "reltol=1e-4 abstol=1e-14 chgtol=1e-18 gmin=1e-16 vntol=1e-7"
# An integrator begins this much after the end of the settling time, when it has been cut off from its start (s).
_CUT, _BEGIN = 20e-9, 40e-9
_CELL_STEP, _CELL_RELTOL = 0.01, 1e-4  # T; see analog_fhn.cell.ota_fhn.times


@dataclass(frozen=True, eq=False)
class _Layer:
    """A hidden layer with the array in front of it: what its netlist is made of."""

    chip: ManufacturedChip
    number: int

    @property
    def cells(self) -> CircuitCells:
        return self.chip.hardware[self.number].cells

    @cached_property
    def cell(self) -> OtaFHN:
        cell = self.cells.cell
        assert isinstance(cell, OtaFHN)
        return cell

    @property
    def parts(self) -> tuple[Parts, Parts, IntegratorParts]:
        neurons, drives, integrators = self.cells.parts
        assert isinstance(integrators, IntegratorParts)
        return neurons, drives, integrators

    @property
    def suffixes(self) -> list[str]:
        return [f"_{self.number}_{k:03d}" if self.number else f"_{k:03d}" for k in range(len(self.cells))]

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


def transistor_chip(chip: ManufacturedChip, inputs: NDArray[np.floating], *, folded: bool) -> dict[str, str]:
    """Circuits of a chip of transistors under one image, the `run.cir` that runs them in turn, and a README.

    `read_0.cir` is a read of the input array: rows that are pulsed for an input, devices, read-outs. `cell_000.cir` is
    hidden cell 0: drive stage, neuron, integrator. `read_1.cir` is a read of the output array, whose rows are driven
    for a time that their held voltages say. A deeper layer has `cell_1_000.cir` and the next number of a read.

    Parameters
    ----------
    inputs
        The image, shape (n_in,).
    folded
        Whether arrays are their effective conductances, without the nodes of their wires.

    Returns
    -------
    dict
        File names and texts.

    Raises
    ------
    InputError
        If the chip has what its netlist cannot: convolutions, units tanh, inputs below 0; or its initial state lies
        beyond the supplies.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    layers = [_Layer(chip, number) for number in range(len(chip.hardware))]
    _check(chip, layers)
    first = chip.hardware[0].array
    volts = first.row_voltages(chip.network.fronts[0].rows(np.asarray(inputs, dtype=np.float64)[None])[0])
    if not np.isfinite(volts).all():
        raise ValueError("the inputs are not all finite")
    if volts.min() < 0.0:
        raise InputError(
            f"an input is {volts.min() / first.row_volts[0]:g}: the read-outs of technology {chip.technology.name!r} "
            "take currents of one direction; expected inputs from 0 on"
        )
    files = {}
    for layer in layers:
        files[_read_file(layer.number)] = _read(chip, layers, layer.number, volts, folded)
        for k in range(len(layer.cells)):
            files[_cell_file(layer, k)] = _cell(layer, k)
    files[_read_file(len(layers))] = _read(chip, layers, len(layers), volts, folded)
    return files | {"run.cir": _run(chip, layers), README: _readme(chip, layers)}


def expected_seconds(chip: ManufacturedChip, *, full: bool) -> float:
    """About how long ngspice takes for an image, on one core.

    Fitted to ngspice 39 on a network of 64-12-10 in both forms: within a factor of 2. The wires of an array fill the
    matrix of its read.
    """
    protocol, wires = chip.network.protocol, chip.technology.array.wires
    total = 0.0
    for array in chip.arrays:
        devices = array.crossbar.conductance.size
        nodes = devices * [wires.word > 0.0, wires.bit > 0.0].count(True) if full else 0
        total += 0.4 * len(array.columns.offset) + _READ_SOLVES * (0.3e-6 * (devices + nodes) + 1e-9 * nodes**2)
    cells = sum(len(one.cells) for one in chip.hardware)
    return total + cells * (0.2 + 0.04 * (protocol.settle + protocol.control))


_READ_SOLVES = 1500.0  # of a read's matrix


def _check(chip: ManufacturedChip, layers: list[_Layer]) -> None:
    """Refuse what the netlist of a chip of transistors cannot have."""
    name = chip.technology.name
    if any(chip.network.held) or any(front.patches is not None or front.pools for front in chip.network.fronts):
        raise InputError(
            f"technology {name!r}: convolutions and means between layers are not in the netlists of chips of "
            "transistors; expected dense layers"
        )
    if not chip.network.recentre:
        raise InputError(
            f"technology {name!r}: rows of chips of transistors are driven for a time, and cannot carry x, which has "
            "both signs; expected a network with recentring"
        )
    for layer in layers:
        if layer.cell.unit == "tanh":
            raise InputError(
                f"technology {name!r}: activations of units 'tanh' have both signs, and a row of a chip of transistors "
                "is driven for a time; expected units 'sigmoid' or 'relu'"
            )
        lowest = _INTEGRATION_START - layer.span
        if not 0.0 < lowest:
            raise InputError(
                f"technology {name!r}: integrators of {layer.cell.technology.integrator.capacitor:g} F go down by "
                f"{layer.span:g} V in a control window of {chip.network.protocol.control:g} T; expected less than "
                f"{_INTEGRATION_START:g} V"
            )


def _read_file(array: int) -> str:
    return f"read_{array}.cir"


def _cell_file(layer: _Layer, k: int) -> str:
    return f"cell{layer.suffixes[k]}.cir"


def _technology(chip: ManufacturedChip) -> SiliconTechnology:
    technology = chip.technology
    assert isinstance(technology, SiliconTechnology)
    return technology


# --- A read of an array


def _read(chip: ManufacturedChip, layers: list[_Layer], array: int, volts: FloatArray, folded: bool) -> str:
    """Circuit of a read of an array; `volts` are what an image puts on the rows of the input array."""
    one, technology = chip.arrays[array], _technology(chip)
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
    lines += [f"* Columns: {number(_WIRING)} F of wiring, and a pedestal without which a sink does not regulate."]
    for column in columns:
        lines += [f"C{column} {column} 0 {number(_WIRING)}"]
        lines += [f"Ipedestal_{column} 0 {column} {number(technology.reading.pedestal)}"]
    lines += _read_outs(chip, layers, array, columns)
    end = _read_end(technology, array)
    lines += [
        f".options {_READ_OPTIONS} temp={number(layers[0].cell.celsius)}",
        f".tran {number(_READ_STEP)} {number(end + 0.1e-6)} 0 {number(_READ_STEP)}",
        f".save {' '.join(f'v({node})' for node in _output_nodes(chip, layers, array))}",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _read_end(technology: SiliconTechnology, array: int) -> float:
    """When the integration of a read ends (s)."""
    return _PULSE + technology.reading.duration + _TAIL + (_LATEST if array else 0.0)


def _output_nodes(chip: ManufacturedChip, layers: list[_Layer], array: int) -> list[str]:
    if array < len(layers):
        return [f"z{suffix}" for suffix in layers[array].suffixes]
    return [f"score_{k}" for k in range(chip.network.output.n_out)]


def _start_volts(layers: list[_Layer], array: int) -> float:
    """Voltage from which read-outs start (V): that of z = 0 where a drive stage follows."""
    if array == len(layers):
        return _OUTPUT_START
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
        yield _control(name, vdd, edges)
    for name in ("zero", "integ", "rst"):
        yield _control(f"{name}b", vdd, [(t, not high) for t, high in steps[name]])


def _control(name: str, vdd: float, edges: list[tuple[float, bool]]) -> str:
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
    technology = _technology(chip)
    yield f"* Rows: pulses of {number(technology.reading.duration)} s above the virtual ground; the biases' rows last."
    for row, value in zip(rows, volts * _warmer(technology), strict=True):
        if value:
            pulse = _pulse(_PULSE, technology.reading.duration, _GROUND, _GROUND + float(value))
            yield _source(row, pulse)
        else:
            yield f"V{row} {row} 0 {number(_GROUND)}"


def _driven_rows(layer: _Layer, rows: list[str], bias: FloatArray) -> Iterator[str]:
    """Row drivers behind a layer: held voltages become times for which rows are at the read voltage.

    A row is driven while ramp and held voltage are in the order that is an activation above 0. Where activations rise
    with the drive (gamma > 0) the ramp falls, from where integrators start; where they fall with it, it rises, from
    where integrators end at the largest drive, and the pins of the comparator are exchanged.
    """
    cell, technology = layer.cell, layer.cell.technology
    rising, span, duration = cell.fhn.gamma < 0, layer.span, technology.reading.duration
    read = technology.array.read_voltage * _warmer(technology)
    vdd = cell.supply_volts["vdd"]
    yield "* Row drivers, each with the capacitor that holds its voltage; run.cir writes what these are charged to."
    yield f"Vvrow vrow 0 {number(_GROUND + read)}"
    zero = _INTEGRATION_START - span if rising else _INTEGRATION_START
    yield f"Vzero_activation zero_activation 0 {number(zero)}"
    direction = 1.0 if rising else -1.0
    slope = direction * span / duration * (1.0 - direction * _WIDER)
    ramp = zero - direction * _RAMP_AHEAD
    length = (1.1 * span + 2.0 * _RAMP_AHEAD) / abs(slope)
    yield _source("ramp", [(0.0, ramp), (_RAMP, ramp), (_RAMP + length, ramp + slope * length)])
    yield _source("idle", [(0.0, vdd), (_RAMP - 10e-9, vdd), (_RAMP - 10e-9 + _EDGE, 0.0)])
    yield "* The driver that times the beginning, and en: neither its pin on nor idle."
    lines = ("vg", "vrow")
    inputs = ("ramp", "zero_activation") if rising else ("zero_activation", "ramp")
    yield from instance_lines(
        [
            Instance("Xtime", (*inputs, "unused", "timing", *lines, "vdd", "bn", "vdd"), "ota_row_driver", {}),
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
        nodes = (*pins, row, f"on{suffix}", *lines, "en", "bn", "vdd")
        yield from instance_lines([Instance(f"Xrow{suffix}", nodes, "ota_row_driver", parameters)])
    if len(bias):
        yield "* Rows of the biases, at their voltages for as long as a row whose activation is the largest."
        begin = _RAMP + _RAMP_AHEAD / abs(slope) + 0.05e-6
        for row, value in zip(rows[-len(bias) :], bias * _warmer(technology), strict=True):
            yield _source(row, _pulse(begin, duration, _GROUND, _GROUND + float(value)))


def _folded_columns(
    chip: ManufacturedChip, array: ArrayLayer, columns: list[str], volts: FloatArray
) -> Iterator[str]:
    """What an image drives into the columns of the input array, and what these conduct to the virtual ground."""
    technology, ports = _technology(chip), array.ports
    yield "* What the rows drive into each column at the virtual ground, and what it conducts to the others and to rows."
    for j, column in enumerate(columns):
        current = float(volts @ ports.effective[:, j]) * _warmer(technology)
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


def _read_outs(chip: ManufacturedChip, layers: list[_Layer], array: int, columns: list[str]) -> Iterator[str]:
    """Read-outs of an array's columns with the errors that were drawn for them."""
    technology, parts = _technology(chip), chip.arrays[array].sense
    assert isinstance(parts, IntegratingParts)
    vdd, start = layers[0].cell.supply_volts["vdd"], _start_volts(layers, array)
    yield "* Controls of the read-outs."
    yield from _controls(vdd, _read_end(technology, array))
    yield (
        f"* Read-outs. Errors of the copies of a column's current stand in the copies' mobility, offsets in the start "
        f"voltage, {number(start)} V without; capacitors are less by the {number(_BESIDE_HOLD)} F beside them."
    )
    farads = _hold_capacitors(technology, parts)
    controls = "pre enb prc zero zerob integ integb rst rstb bn bp cn cp vdd".split()
    for k, (output, offset) in enumerate(
        zip(_output_nodes(chip, layers, array), parts.offset * parts.r, strict=True)
    ):
        yield f"Vstart_{k:03d} start_{k:03d} 0 {number(start + float(offset))}"
        nodes = (columns[2 * k], columns[2 * k + 1], output, "vg", f"start_{k:03d}", *controls)
        parameters = {
            "n_ratio": technology.sense_amplifier.ratio, "c_hold": float(farads[k]),
            "beta_p_copy": 1.0 + float(parts.plus[k]), "beta_n_copy": 1.0 + float(parts.minus[k]),
        }  # fmt: skip
        yield from instance_lines([Instance(f"Xread_{k:03d}", nodes, "column_readout", parameters)])


def _hold_capacitors(technology: SiliconTechnology, parts: IntegratingParts) -> FloatArray:
    """Hold capacitors of read-outs (F): duration over ratio and transresistance, less what is beside them."""
    farads = technology.reading.duration / (technology.sense_amplifier.ratio * parts.r) - _BESIDE_HOLD
    if farads.min() <= 0.0:
        raise InputError(
            f"technology {technology.name!r}: a read-out of {parts.r.max():g} ohm has no room for a hold capacitor beside "
            f"{_BESIDE_HOLD:g} F of its switches; expected a longer reading.duration or a smaller sense_amplifier.ratio"
        )
    return np.asarray(farads)


# --- A hidden cell


def _cell(layer: _Layer, k: int) -> str:
    """Circuit of a hidden cell: drive stage behind the capacitor that holds its input, neuron, integrator."""
    cell, suffix, protocol = layer.cell, layer.suffixes[k], layer.chip.network.protocol
    neurons, drives, _ = layer.parts
    sense = layer.chip.arrays[layer.number].sense
    assert isinstance(sense, IntegratingParts)
    supplies, unit = cell.supply_volts, cell.time_unit
    begin, end = _integration(layer)
    states = cell.start_state(protocol)
    lines = [
        f"* Hidden cell {k}{f' of layer {layer.number}' if layer.number else ''}: drive stage, FHN neuron, integrator",
        "* Supplies, currents of the gate lines and controls are ideal sources.",
        *includes(chip_libraries(layer.chip)),
        *(f"V{name} {name} 0 {number(volts)}" for name, volts in supplies.items()),
        *instance_lines(cell.bias_instances("")),
        "* The read-out's capacitor holds the input; run.cir writes what it is charged to.",
        f"Cz{suffix} z{suffix} 0 {number(float(_hold_capacitors(cell.technology, sense)[k] + _BESIDE_HOLD))}",
        f".include z{suffix}.inc",
        *instance_lines(
            [
                cell.drive_instance(drives, k, suffix),
                cell.neuron_instance(neurons, k, suffix),
                Instance(f"Xstart{suffix}", (f"s{suffix}", f"sum2{suffix}"), "ota_start", states),
                Instance(
                    f"Xintegrator{suffix}",
                    (f"out{suffix}", f"held{suffix}", "start", "dump", "integ", "integb", "rst", "rstb", "vdd"),
                    "integrate_hold",
                    {"c_hold": float(layer.integrators[k])},
                ),
            ]
        ),
        f"Vstart start 0 {number(_INTEGRATION_START)}",
        f"Vdump dump 0 {number(_DUMP)}",
    ]
    cut = begin - _BEGIN + _CUT
    for name, edges in (("rst", [(cut, False)]), ("integ", [(begin, True), (end, False)])):
        lines.append(_control(name, supplies["vdd"], edges))
        lines.append(_control(f"{name}b", supplies["vdd"], [(t, not high) for t, high in edges]))
    options = " ".join(f"{name}={number(value)}" for name, value in cell.tolerances(_CELL_RELTOL).items())
    step = number(_CELL_STEP * unit)
    lines += [
        f".options {options} temp={number(cell.celsius)}",
        f".tran {step} {number(end + _BEGIN)} 0 {step}",
        f".save v(held{suffix})",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _integration(layer: _Layer) -> tuple[float, float]:
    """When integrators begin and end (s)."""
    protocol, unit = layer.chip.network.protocol, layer.cell.time_unit
    begin = protocol.settle * unit + _BEGIN
    return begin, begin + protocol.control * unit


# --- What runs them


def _run(chip: ManufacturedChip, layers: list[_Layer]) -> str:
    lines = [
        "* The chip under one image, reads of arrays and hidden cells in turn: ngspice -b run.cir",
        ".control",
        "* Threads of ngspice wait for each other by spinning, and its circuits here are small.",
        "set num_threads=1",
        *BEGIN,
    ]
    for layer in layers:
        lines += _run_read(chip, layers, layer.number)
        lines += _hand_over([f"z{suffix}" for suffix in layer.suffixes])
        lines += ["remcirc", "destroy all"]
        for k, suffix in enumerate(layer.suffixes):
            end = _integration(layer)[1]
            words = f"hidden cell {k + 1} of {len(layer.suffixes)}{f', layer {layer.number}' if layer.number else ''}"
            lines += _transient(words, _cell_file(layer, k), end)
            lines.append(f"meas tran held{suffix} FIND v(held{suffix}) AT={number(end + 0.5 * _BEGIN)}")
            lines += [*_hand_over([f"held{suffix}"]), "remcirc", "destroy all"]
    lines += _run_read(chip, layers, len(layers))
    return "\n".join([*lines, *score_lines(chip, True, f"(score_{{k}}-{number(_OUTPUT_START)})"), *END])


def _run_read(chip: ManufacturedChip, layers: list[_Layer], array: int) -> Iterator[str]:
    end = _read_end(_technology(chip), array)
    yield from _transient(f"read of {array_words(chip, array)}", _read_file(array), end)
    for node in _output_nodes(chip, layers, array):
        yield f"meas tran {node} FIND v({node}) AT={number(end + 0.05e-6)}"


def _transient(words: str, file: str, end: float) -> Iterator[str]:
    """ngspice commands that run a circuit, and end with status 1 if it did not come to its end."""
    yield f"echo {words}"
    yield f"source {file}"
    yield "run"
    yield "let reached = time[length(time)-1]"
    yield f"if reached < {number(end)}"
    yield "  echo the transient stopped early"
    yield "  quit 1"
    yield "end"


def _hand_over(nodes: Iterable[str]) -> Iterator[str]:
    """ngspice commands that write measured voltages as initial conditions, each in a file of its own."""
    for node in nodes:
        yield f'echo ".ic v({node})=$&{node}" > {node}.inc'


def handed_over(chip: ManufacturedChip) -> list[str]:
    """Files that `run.cir` writes for the circuits that follow."""
    layers = [_Layer(chip, number) for number in range(len(chip.hardware))]
    return [f"{name}{suffix}.inc" for layer in layers for suffix in layer.suffixes for name in ("z", "held")]


def _readme(chip: ManufacturedChip, layers: list[_Layer]) -> str:
    technology = _technology(chip)
    pdk, cell = technology.pdk, layers[0].cell
    return f"""A chip of transistors under one image, as netlists for ngspice (39 or later).

    ngspice -b run.cir

writes scores.txt: index and score of each class, in the units of the trained weights.

The transistor models are the foundry's ({pdk.kit}, corner {technology.conditions.corner}) and are not in this folder:
{cell.NEURON_LIBRARIES[0]} names their file. To use one in another place, change the path in its three lines that begin
with .lib.

read_0.cir, read_1.cir, ... are reads of the arrays, cell_000.cir, ... the hidden cells. run.cir runs them in this order
and writes what each hands on, a voltage on a capacitor, into z_000.inc, held_000.inc, ..., which the next ones include.

With every transistor: drive stages, neurons, integrators, read-outs, row drivers. The transistors of drive stages and
neurons have the mismatch of this chip, each its own. Read-outs and row drivers have nominal transistors, and this chip's
errors in their capacitors, copies, start voltages and comparators.
Ideal sources: supplies, reference, the currents into gate lines, ramp, controls, and what drives the input rows.
Not modelled: real references, layout and its parasitics, noise.
"""
