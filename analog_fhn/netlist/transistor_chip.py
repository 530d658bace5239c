"""The netlist of a chip of transistors under one image: read after read, and each neuron by itself between them.

The parts of such a chip work one after another, and what one hands to the next is a voltage on a capacitor: arrays are
read within microseconds, neurons then run for a window, and the next array is read. So each has a circuit of its own,
which begins with that capacitor charged; `run.cir` runs them in turn. Transistors have the deviations that were drawn
for them. Those of the read-outs and row drivers are not drawn one by one: what a chip has in their place (see
`analog_fhn.array.integrating` and `IntegratorParts`) stands in their capacitors, copies, start voltages and thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.integrating import IntegratingParts
from analog_fhn.cell.ota_fhn.library import subcircuit
from analog_fhn.chip import ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.netlist.array_read import (
    BESIDE_HOLD,
    INTEGRATION_START,
    OUTPUT_START,
    HiddenCells,
    control,
    hold_capacitors,
    output_nodes,
    read,
    read_end,
    read_file,
    silicon,
)
from analog_fhn.netlist.chip_lines import BEGIN, END, array_words, includes, score_lines
from analog_fhn.netlist.decks import ONE_THREAD, chip_libraries
from analog_fhn.ngspice.text import Instance, instance_lines, number

README = "README.txt"
READ_CIRCUITS = ("column_readout", "integrate_hold", "ota_row_driver")
"""Circuits whose sizes are those of their files, whatever the technology."""

_DUMP = 1.2  # V, where the output of a neuron goes while it is not integrated
# An integrator begins this much after the end of the settling time, when it has been cut off from its start (s).
_CUT, _BEGIN = 20e-9, 40e-9
_CELL_STEP, _CELL_RELTOL = 0.01, 1e-4  # T; see analog_fhn.cell.ota_fhn.times


def transistor_chip(
    chip: ManufacturedChip, inputs: NDArray[np.floating], *, folded: bool, recentre: bool = True
) -> dict[str, str]:
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
    recentre
        Whether rows carry activations; they cannot carry x.

    Returns
    -------
    dict
        File names and texts.

    Raises
    ------
    InputError
        If the chip has what its netlist cannot: convolutions, units tanh, inputs below 0, rows without recentring; if
        the process has no transistors of the sizes of its read-outs; or if its initial state lies beyond the supplies.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    layers = [HiddenCells(chip, number) for number in range(len(chip.hardware))]
    _check(chip, layers, recentre)
    first = chip.hardware[0].array
    volts = first.row_voltages(chip.layers[0].front.rows(np.asarray(inputs, dtype=np.float64)[None])[0])
    if not np.isfinite(volts).all():
        raise ValueError("the inputs are not all finite")
    if volts.min() < 0.0:
        raise InputError(
            f"an input is {volts.min() / first.row_volts[0]:g}: the read-outs of technology {chip.technology.name!r} "
            "take currents of one direction; expected inputs from 0 on"
        )
    files = {}
    for layer in layers:
        files[read_file(layer.number)] = read(chip, layers, layer.number, volts, folded)
        for k in range(len(layer.cells)):
            files[_cell_file(layer, k)] = _cell(layer, k)
    files[read_file(len(layers))] = read(chip, layers, len(layers), volts, folded)
    return files | {"run.cir": _run(chip, layers), README: _readme(chip, layers)}


def expected_seconds(chip: ManufacturedChip, *, full: bool) -> float:
    """About how long ngspice takes for an image, on one core.

    Fitted to ngspice 39 on networks of 6-2-3 and 64-12-10 in both forms: within a factor of 2. Each row driver ends its
    pulse at a time of its own, and the wires of an array fill the matrix of its read.
    """
    protocol, wires = chip.network.protocol, chip.technology.array.wires
    total = 0.0
    for number_of, array in enumerate(chip.arrays):
        drivers = len(chip.hardware[number_of - 1].cells) if number_of else 0
        transistors = 69 * len(array.columns.offset) + 15 * drivers
        devices = array.crossbar.conductance.size if full else 0
        nodes = devices * [wires.word > 0.0, wires.bit > 0.0].count(True)
        solutions = 3000 + 320 * drivers
        total += solutions * (1.1e-6 * transistors + 0.3e-6 * (devices + nodes) + 1e-9 * nodes**2)
    cells = sum(len(one.cells) for one in chip.hardware)
    return total + cells * (0.05 + 0.017 * (protocol.settle + protocol.control))


def _check(chip: ManufacturedChip, layers: list[HiddenCells], recentre: bool) -> None:
    """Refuse what the netlist of a chip of transistors cannot have."""
    name = chip.technology.name
    if any(chip.network.held) or any(front.patches is not None or front.pools for front in chip.network.fronts):
        raise InputError(
            f"technology {name!r}: convolutions and means between layers are not in the netlists of chips of "
            "transistors; expected dense layers"
        )
    if not recentre:
        raise InputError(
            f"technology {name!r}: rows of chips of transistors are driven for a time, and cannot carry x, which has "
            "both signs; expected a network with recentring"
        )
    for of_read in READ_CIRCUITS:
        circuit = subcircuit(of_read)
        try:
            circuit.check(circuit.sizes, layers[0].cell.technology.extents)
        except InputError as error:
            raise InputError(f"technology {name!r} has no netlist of a chip: {error}") from None
    for layer in layers:
        if layer.cell.unit == "tanh":
            raise InputError(
                f"technology {name!r}: activations of units 'tanh' have both signs, and a row of a chip of transistors "
                "is driven for a time; expected units 'sigmoid' or 'relu'"
            )
        lowest = INTEGRATION_START - layer.span
        if not lowest > 0.0:
            raise InputError(
                f"technology {name!r}: integrators of {layer.cell.technology.integrator.capacitor:g} F go down by "
                f"{layer.span:g} V in a control window of {chip.network.protocol.control:g} T; expected less than "
                f"{INTEGRATION_START:g} V"
            )


def _cell_file(layer: HiddenCells, k: int) -> str:
    return f"cell{layer.suffixes[k]}.cir"


def _cell(layer: HiddenCells, k: int) -> str:
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
        f"Cz{suffix} z{suffix} 0 {number(float(hold_capacitors(cell.technology, sense)[k] + BESIDE_HOLD))}",
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
        f"Vstart start 0 {number(INTEGRATION_START)}",
        f"Vdump dump 0 {number(_DUMP)}",
    ]
    cut = begin - _BEGIN + _CUT
    for name, edges in (("rst", [(cut, False)]), ("integ", [(begin, True), (end, False)])):
        lines.append(control(name, supplies["vdd"], edges))
        lines.append(control(f"{name}b", supplies["vdd"], [(t, not high) for t, high in edges]))
    options = " ".join(f"{name}={number(value)}" for name, value in cell.tolerances(_CELL_RELTOL).items())
    step = number(_CELL_STEP * unit)
    lines += [
        f".options {options} temp={number(cell.celsius)}",
        f".tran {step} {number(end + _BEGIN)} 0 {step}",
        f".save v(held{suffix})",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _integration(layer: HiddenCells) -> tuple[float, float]:
    """When integrators begin and end (s)."""
    protocol, unit = layer.chip.network.protocol, layer.cell.time_unit
    begin = protocol.settle * unit + _BEGIN
    return begin, begin + protocol.control * unit


def _run(chip: ManufacturedChip, layers: list[HiddenCells]) -> str:
    lines = [
        "* The chip under one image, reads of arrays and hidden cells in turn: ngspice -b run.cir",
        ".control",
        ONE_THREAD,
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
    return "\n".join([*lines, *score_lines(chip, True, f"(score_{{k}}-{number(OUTPUT_START)})"), *END])


def _run_read(chip: ManufacturedChip, layers: list[HiddenCells], array: int) -> Iterator[str]:
    end = read_end(silicon(chip), array)
    yield from _transient(f"read of {array_words(chip, array)}", read_file(array), end)
    for node in output_nodes(chip, layers, array):
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
    layers = [HiddenCells(chip, number) for number in range(len(chip.hardware))]
    return [f"{name}{suffix}.inc" for layer in layers for suffix in layer.suffixes for name in ("z", "held")]


def _readme(chip: ManufacturedChip, layers: list[HiddenCells]) -> str:
    technology = silicon(chip)
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
neurons have the mismatch of this chip, each its own. Those of read-outs and row drivers are nominal: what this chip has
as their errors is in their capacitors, copies, start voltages and comparators.
Ideal sources: supplies, reference, the currents into gate lines, ramp, controls, and what drives the input rows.
Not modelled: real references, layout and its parasitics, noise.
"""
