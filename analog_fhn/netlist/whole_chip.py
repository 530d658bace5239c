"""The full form of a chip's netlist: everything in one circuit, under one image.

Numbers and parts are those of `analog_fhn.netlist.decks`; every name is fixed text of the modules of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.wires import tile_slices
from analog_fhn.chip import ManufacturedChip
from analog_fhn.netlist.chip_lines import (
    BEGIN,
    END,
    array_words,
    chip_supplies,
    column_nodes,
    includes,
    row_nodes,
    score_lines,
    volts_per_score,
)
from analog_fhn.netlist.decks import (
    RELTOL,
    accuracy_lines,
    cell_suffix,
    check_lines,
    chip_libraries,
    mean_lines,
    neuron_lines,
    number,
    sense_lines,
    stage_lines,
    transient_line,
)
from analog_fhn.technology.technology import NOMINAL_TEMPERATURE


def whole_chip(chip: ManufacturedChip, inputs: NDArray[np.floating], *, recentre: bool) -> dict[str, str]:
    """The full form: `chip.cir` holds every component, `run.cir` is ngspice's analysis of it.

    Word lines of the input array are the nodes r_000, ..., its columns p_000, n_000, ...; hidden cell k goes from z_k
    (behind its transimpedance amplifier) by sum2_k, x_k, nx_k, y_k to row_k, a word line of the next array. Cells of a
    deeper layer have its number in their names, x_1_000, and so have their columns; those of the output array are sp_0,
    sn_0, ..., the outputs score_0, .... With wires there is a node on each word line and on each bit line at every
    device: word0_r_b and bit0_r_b in the input array, word1_r_b and bit1_r_b in the next one, where b counts the bit
    lines +, -, +, -, ....

    Parameters
    ----------
    inputs
        The image, shape (n_in,).
    recentre
        Whether the rows of the output array carry the activation, or x itself.

    Returns
    -------
    dict
        File names and texts. The wrappers for LTspice and Xyce measure the same scores.

    Raises
    ------
    InputError
        If the initial state lies beyond the linear range of the parts.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    first = chip.hardware[0].array
    rows = zip(row_nodes(chip, 0), first.row_voltages(inputs), strict=True)
    lines = [
        "* The whole chip under one image: arrays, amplifiers, tanh pairs, neurons, row drivers.",
        f"* Needs {', '.join(chip_libraries(chip))}; run.cir includes them.",
        *chip_supplies(chip, recentre),
        f"* Word lines of the input array, {number(first.row_volts[0])} V for an input of 1; the last "
        f"{first.crossbar.bias_rows} carry the biases.",
        *(f"V{row} {row} 0 {number(volts)}" for row, volts in rows),
        *_array_lines(chip, 0),
    ]
    for layer in range(len(chip.hardware)):
        lines += [*_hidden_lines(chip, layer, recentre), *_bias_lines(chip, layer + 1, recentre)]
        lines += _array_lines(chip, layer + 1)
    last, sense = len(chip.hardware), chip.output_array.sense
    for k in range(chip.network.output.n_out):
        lines += sense_lines(sense, k, chip.technology, f"Xsense{last}_{k}", f"sp_{k} sn_{k} score_{k}")
    circuit = "\n".join(lines) + "\n"
    return {"chip.cir": circuit, "run.cir": _run(chip, recentre), **_other_simulators(chip, recentre)}


def _hidden_lines(chip: ManufacturedChip, layer: int, recentre: bool) -> Iterator[str]:
    """Cells of a hidden layer with the amplifiers in front of them."""
    array, cells = chip.hardware[layer].array, chip.hardware[layer].cells
    for k in range(len(cells)):
        suffix = cell_suffix(layer, k)
        yield f"* Hidden cell {k} of layer {layer}" if layer else f"* Hidden cell {k}"
        nodes = f"p{suffix} n{suffix} z{suffix}"
        yield from sense_lines(array.sense, k, chip.technology, f"Xsense{layer}_{k:03d}", nodes)
        yield from neuron_lines(cells, k, chip.network.protocol, suffix)
        yield from stage_lines(cells, k, recentre, suffix)


def _bias_lines(chip: ManufacturedChip, array: int, recentre: bool) -> Iterator[str]:
    """Sources of the bias rows of an array behind a hidden layer."""
    layer = chip.arrays[array]
    yield f"* Word lines of {array_words(chip, array)} that carry the biases: {layer.crossbar.bias_rows}"
    rows = row_nodes(chip, array)[layer.crossbar.n_in :]
    for row, volts in zip(rows, layer.row_voltages(None, recentre), strict=True):
        yield f"V{row} {row} 0 {number(volts)}"


def _array_lines(chip: ManufacturedChip, array: int) -> Iterator[str]:
    """Devices and wires of an array, tile by tile.

    Word line i of a tile runs from its row through the driver's resistance and one segment to the first device, and by
    one segment to each next; bit line j from its column through the sense resistance and one segment to the last
    device, and by one segment to each one before.
    """
    conductance, wires = chip.arrays[array].crossbar.conductance, chip.technology.array.wires
    rows, columns = row_nodes(chip, array), column_nodes(chip, array)
    for down, across in tiles(chip, array):
        yield f"* Array {array}: rows {down.start} to {down.stop - 1}, bit lines {across.start} to {across.stop - 1}"
        words = {
            i: _line(rows[i], [f"word{array}_{i:03d}_{j:03d}" for j in across], wires.driver + wires.word, wires.word)
            for i in down
        }
        bits = {
            j: _line(
                columns[j], [f"bit{array}_{i:03d}_{j:03d}" for i in down[::-1]], wires.sense + wires.bit, wires.bit
            )
            for j in across
        }
        for i in down:
            for j in across:
                g = conductance[i, j]
                if g > 0.0:
                    ends = f"{words[i][0][j - across.start]} {bits[j][0][down.stop - 1 - i]}"
                    yield f"R{array}_{i:03d}_{j:03d} {ends} {number(1.0 / g)}"
        for _, segments in (*words.values(), *bits.values()):
            yield from segments


def _line(end: str, names: list[str], first: float, each: float) -> tuple[list[str], list[str]]:
    """Node of each device along a line, and the wires between them; a resistance of 0 joins the nodes at its ends."""
    nodes, wires = [], []
    for k, name in enumerate(names):
        resistance = each if k else first
        if resistance > 0.0:
            wires.append(f"R{name} {end} {name} {number(resistance)}")
            end = name
        nodes.append(end)
    return nodes, wires


def tiles(chip: ManufacturedChip, array: int) -> list[tuple[range, range]]:
    """Rows and bit lines of each tile of an array."""
    shape, settings = chip.arrays[array].crossbar.conductance.shape, chip.technology.array
    slices = tile_slices(shape, settings.tile_rows, settings.tile_columns)
    return [(range(*rows.indices(shape[0])), range(*columns.indices(shape[1]))) for rows, columns in slices]


def _run(chip: ManufacturedChip, recentre: bool) -> str:
    cell, protocol = chip.hardware[0].cells.cell, chip.network.protocol
    scores = [f"score_{k}" for k in range(chip.network.output.n_out)]
    lines = [
        "* The whole chip under one image: ngspice -b run.cir",
        *includes((*chip_libraries(chip), "chip.cir")),
        *accuracy_lines(cell),
        transient_line(cell, protocol),
        f".save {' '.join(f'v({score})' for score in scores)}",
        ".control",
        *BEGIN,
        "run",
        *check_lines(protocol, chip.time_unit),
    ]
    for score in scores:
        lines += mean_lines(score, protocol, chip.time_unit)
    return "\n".join([*lines, *score_lines(chip, recentre, "mean_vscore_{k}"), *END])


def _other_simulators(chip: ManufacturedChip, recentre: bool) -> dict[str, str]:
    """Wrappers of the whole chip for LTspice and Xyce, whose options differ."""
    cell, protocol, volts = chip.hardware[0].cells.cell, chip.network.protocol, volts_per_score(chip, recentre)
    n_classes = chip.network.output.n_out
    start, stop = (number(t * chip.time_unit) for t in (protocol.settle, protocol.settle + protocol.control))
    celsius = number(round(chip.technology.conditions.temperature - 273.15, 9))
    room = number(round(NOMINAL_TEMPERATURE - 273.15, 9))
    wrappers = {}
    for simulator, options, score in (
        ("LTspice", [f".options reltol={number(RELTOL)} temp={celsius} tnom={room}"], f"V(score_{{k}})/{volts}"),
        (
            "Xyce",
            [f".options timeint reltol={number(RELTOL)}", f".options device temp={celsius} tnom={room}"],
            f"{{{{V(score_{{k}})/{volts}}}}}",
        ),
    ):
        lines = [
            f"* The whole chip under one image, for {simulator}; only run.cir (ngspice) was ever run by its authors",
            *includes((*chip_libraries(chip), "chip.cir")),
            *options,
            transient_line(cell, protocol),
            *(f".measure tran score{k} AVG {score.format(k=k)} FROM={start} TO={stop}" for k in range(n_classes)),
            ".end",
        ]
        wrappers[f"run_{simulator.lower()}.cir"] = "\n".join(lines) + "\n"
    return wrappers


def estimated_seconds(chip: ManufacturedChip, *, full: bool) -> float:
    """About how long ngspice takes for the network's protocol, on one core.

    Fitted to ngspice 39 on chips of 4 to 24 neurons with up to 13 000 devices, and 100 neurons in the reduced form:
    within a factor of 2. In one circuit all neurons share their time steps, so time grows with their number squared,
    and wires fill the matrix.
    """
    protocol, n = chip.network.protocol, sum(len(one.cells) for one in chip.hardware)
    steps = protocol.settle + protocol.control
    if not full:
        return 4.5e-3 * steps * n
    devices = sum(array.crossbar.conductance.size for array in chip.arrays)
    wires = chip.technology.array.wires
    nodes = devices * [wires.word > 0.0, wires.bit > 0.0].count(True)
    per_iteration = 30e-6 * n + 10e-6 * chip.network.output.n_out + 0.18e-6 * (devices + nodes) + 1e-9 * nodes**2
    return float(100.0 * steps * n * per_iteration)
