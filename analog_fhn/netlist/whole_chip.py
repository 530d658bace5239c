"""The full form of a chip's netlist: everything in one circuit, under one image.

Numbers and parts are those of `analog_fhn.netlist.decks`; every name is fixed text of the modules of this folder.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.wires import tile_slices
from analog_fhn.chip import ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.netlist.chip_lines import (
    BEGIN,
    END,
    array_words,
    chip_supplies,
    column_nodes,
    includes,
    operating_point_lines,
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
    sense_lines,
    stage_lines,
    transient_line,
)
from analog_fhn.netlist.positions import (
    TABLES,
    PositionDeck,
    Rows,
    Segment,
    altered_holds,
    altered_rows,
    every_position,
    handed_on,
    hold_lines,
    kept,
    sampled,
    segments,
    switch_line,
    tables,
    vectors,
)
from analog_fhn.netlist.vacask_run import DECK as VACASK_DECK
from analog_fhn.netlist.vacask_run import run_vacask
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import number
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.technology.wires import Wires

_log = logging.getLogger(__name__)


def whole_chip(chip: ManufacturedChip, inputs: NDArray[np.floating], *, recentre: bool) -> dict[str, str]:
    """The full form: every component of the chip, under one image.

    Of a network whose layers drive each other as they are, `chip.cir` is the one circuit of everything and `run.cir`
    ngspice's analysis of it. Where activations are held, each part between hold stages has a circuit of its own:
    `layer_0.cir`, ... with the array, cells and hold stages of one position, and `output.cir` with what is behind the
    last hold stages; `run.cir` runs them at every position (see `analog_fhn.netlist.positions`).

    Word lines of the input array are the nodes r_000, ..., its columns p_000, n_000, ...; hidden cell k goes from z_k
    (behind its transimpedance amplifier) by sum2_k, x_k, nx_k, y_k to row_k, a word line of the next array, or through
    its hold stage to held_k. Cells of a deeper layer have its number in their names, x_1_000, and so have their
    columns; those of the output array are sp_0, sn_0, ..., the outputs score_0, .... With wires there is a node on each
    word line and on each bit line at every device: word0_r_b and bit0_r_b in the input array, word1_r_b and bit1_r_b in
    the next one, where b counts the bit lines +, -, +, -, ....

    Parameters
    ----------
    inputs
        The image, shape (n_in,).
    recentre
        Whether the rows of the output array carry the activation, or x itself.

    Returns
    -------
    dict
        File names and texts. `run_vacask.sim` is the circuit in the language of VACASK in one file, and writes the same
        scores; it is left out, with a warning, where a cell has netlist lines that are not translated. The wrappers for
        LTspice and Xyce measure them. Where activations are held there are none of these, for they do not run a
        circuit again and again.

    Raises
    ------
    InputError
        If the initial state lies beyond the linear range of the parts.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    if any(chip.network.held):
        return _held_chip(chip, np.asarray(inputs, dtype=np.float64), recentre)
    whole = Segment(range(len(chip.hardware)), True)
    lines = [
        "* The whole chip under one image: arrays, amplifiers, drive stages, neurons, row drivers.",
        f"* Needs {', '.join(chip_libraries(chip))}; run.cir includes them.",
        *_circuit(chip, whole, _image_volts(chip, inputs), recentre),
    ]
    others = _other_simulators(chip, recentre)
    try:
        others[VACASK_DECK] = run_vacask(chip, lines, recentre)
    except InputError as error:
        _log.warning("%s is left out of the export: %s", VACASK_DECK, error)
    return {"chip.cir": "\n".join(lines) + "\n", "run.cir": _run(chip, recentre), **others}


def _image_volts(chip: ManufacturedChip, inputs: NDArray[np.floating]) -> FloatArray:
    """Voltages of the rows of an input array that is used once; those of the biases are not among them."""
    handed = chip.layers[0].front.rows(np.asarray(inputs, dtype=np.float64)[None])[0]
    first = chip.hardware[0].array
    return first.row_voltages(handed)[: first.crossbar.n_in]


def _circuit(chip: ManufacturedChip, segment: Segment, volts: FloatArray, recentre: bool) -> Iterator[str]:
    """Supplies, rows at these voltages, arrays, and cells of a segment, up to the rows of its last cells or outputs."""
    number_of, array = segment.array, chip.arrays[segment.array]
    yield from chip_supplies(chip, recentre)
    yield (
        f"* Word lines of {array_words(chip, number_of)}, {number(array.row_volts[0])} V for an input of 1; the last "
        f"{array.crossbar.bias_rows} carry the biases."
    )
    rows = np.concatenate([volts, array.row_voltages(None, recentre)])
    for row, value in zip(row_nodes(chip, number_of), rows, strict=True):
        yield f"V{row} {row} 0 {number(value)}"
    yield from array_lines(chip, number_of, chip.technology.array.wires)
    for layer in segment.layers:
        yield from _hidden_lines(chip, layer, recentre)
        if layer < segment.layers[-1] or segment.output:
            yield from _bias_lines(chip, layer + 1, recentre)
            yield from array_lines(chip, layer + 1, chip.technology.array.wires)
    if segment.output:
        last, sense = len(chip.hardware), chip.output_array.sense
        for k in range(chip.network.output.n_out):
            yield from sense_lines(sense, k, chip.technology, f"Xsense{last}_{k}", f"sp_{k} sn_{k} score_{k}")


def _held_chip(chip: ManufacturedChip, inputs: FloatArray, recentre: bool) -> dict[str, str]:
    """The full form of a chip whose activations are held, and `run.cir`, which runs it at every position."""
    texts = {TABLES: tables(chip, inputs)}
    run = [
        "* The whole chip under one image, position by position: ngspice -b run.cir",
        ".control",
        *BEGIN,
        *vectors(chip),
    ]
    for segment in segments(chip.network):
        array, layers = segment.array, segment.layers
        volts = np.zeros(chip.arrays[array].crossbar.n_in)
        if array == 0 and chip.network.fronts[0].patches is None:
            volts = _image_volts(chip, inputs)
        texts[segment.file] = _deck(chip, segment, volts, 0, recentre)
        run.append(f"source {segment.file}")
        body = [*altered_rows(chip, array), *_analysis(chip, segment)]
        if segment.output:
            run += every_position(chip, array, "output layer", [*body, *_score_means(chip, segment, recentre)])
            continue
        layer, channels = layers[-1], range(len(chip.hardware[layers[-1]].cells))
        suffixes = [cell_suffix(layer, k) for k in channels]
        body = [
            *altered_holds(chip, layer, channels, [f"xhold{suffix}" for suffix in suffixes]),
            *body,
            *kept(chip, layer, channels, [f"held{suffix}" for suffix in suffixes]),
        ]
        run += every_position(chip, array, f"layer {layer}", body)
        run += ["remcirc", "destroy all", *handed_on(chip, layer)]
    return texts | {"run.cir": "\n".join([*run, *END])}


def position_decks(
    chip: ManufacturedChip, layer: int, position: tuple[int, int], volts: FloatArray, recentre: bool
) -> list[PositionDeck]:
    """The circuit of a convolution at one position, with these voltages of its array's rows (V)."""
    segment = next(one for one in segments(chip.network) if layer in one.layers)
    index = Rows.of(chip, layer).number(position)
    channels = range(len(chip.hardware[layer].cells))
    text = _deck(chip, segment, volts, index, recentre)
    return [PositionDeck(segment.file, text, layer, channels, [f"held{cell_suffix(layer, k)}" for k in channels])]


def _deck(chip: ManufacturedChip, segment: Segment, volts: FloatArray, position: int, recentre: bool) -> str:
    """A segment's circuit as a deck; of a convolution at one position, whose rows have these voltages."""
    cell, protocol = chip.hardware[0].cells.cell, chip.network.protocol
    layers = segment.layers
    what = "array, amplifiers, drive stages, neurons, row drivers" if layers else "array and amplifiers"
    words = "The output layer" if not layers else f"Hidden layers {layers[0]} to {layers[-1]}"
    words = f"Hidden layer {layers[0]}" if len(layers) == 1 else words
    lines = [
        f"* {words}{' and the output layer' if layers and segment.output else ''}: {what}"
        f"{'' if segment.output else ', hold stages, at one position'}",
        *includes(chip_libraries(chip)),
        *_circuit(chip, segment, volts, recentre),
    ]
    saved = [f"v(score_{k})" for k in range(chip.network.output.n_out)]
    if not segment.output:
        layer = layers[-1]
        suffixes = [cell_suffix(layer, k) for k in range(len(chip.hardware[layer].cells))]
        lines.append(switch_line(protocol, chip.time_unit))
        for k, suffix in enumerate(suffixes):
            lines += hold_lines(chip, layer, position, k, suffix)
        protocol, saved = sampled(protocol), [f"v(held{suffix})" for suffix in suffixes]
    lines += accuracy_lines(cell)
    if layers:
        lines += [transient_line(cell, protocol), f".save {' '.join(saved)}"]
    return "\n".join([*lines, ".end", ""])


def _analysis(chip: ManufacturedChip, segment: Segment) -> list[str]:
    """Commands that run a segment's circuit, and end if that fails."""
    if not segment.layers:
        return ["op", *operating_point_lines()]
    protocol = chip.network.protocol
    return ["run", *check_lines(protocol if segment.output else sampled(protocol), chip.time_unit)]


def _score_means(chip: ManufacturedChip, segment: Segment, recentre: bool) -> Iterator[str]:
    """Commands that write the scores of a segment with the output array: means, or those of an operating point."""
    if not segment.layers:
        yield from score_lines(chip, recentre, "v(score_{k})")
        return
    for k in range(chip.network.output.n_out):
        yield from mean_lines(f"score_{k}", chip.network.protocol, chip.time_unit)
    yield from score_lines(chip, recentre, "mean_vscore_{k}")


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


# Volts over V0 beyond which no device comes; steps of a simulator on the way to a solution do.
_LARGEST_SINH = 60.0


def array_lines(chip: ManufacturedChip, array: int, wires: Wires) -> Iterator[str]:
    """Devices and wires of an array, tile by tile.

    Word line i of a tile runs from its row through the driver's resistance and one segment to the first device, and by
    one segment to each next; bit line j from its column through the sense resistance and one segment to the last
    device, and by one segment to each one before.
    """
    conductance, nonlinear = chip.arrays[array].crossbar.conductance, chip.arrays[array].nonlinear
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
                    ends = words[i][0][j - across.start], bits[j][0][down.stop - 1 - i]
                    if nonlinear is None:
                        yield f"R{array}_{i:03d}_{j:03d} {' '.join(ends)} {number(1.0 / g)}"
                    else:
                        argument = f"(v({ends[0]})-v({ends[1]}))/{number(nonlinear.v0[i, j])}"
                        law = f"sinh(max(-{_LARGEST_SINH},min({_LARGEST_SINH},{argument})))"
                        value = f"{number(nonlinear.scale[i, j])}*{law}"
                        yield f"G{array}_{i:03d}_{j:03d} {' '.join(ends)} VALUE={{{value}}}"
        for _, resistors in (*words.values(), *bits.values()):
            yield from resistors


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
    whole = Segment(range(len(chip.hardware)), True)
    lines = [
        "* The whole chip under one image: ngspice -b run.cir",
        *includes((*chip_libraries(chip), "chip.cir")),
        *accuracy_lines(cell),
        transient_line(cell, protocol),
        f".save {' '.join(f'v({score})' for score in scores)}",
        ".control",
        *BEGIN,
        *_analysis(chip, whole),
        *_score_means(chip, whole, recentre),
        *END,
    ]
    return "\n".join(lines)


def _other_simulators(chip: ManufacturedChip, recentre: bool) -> dict[str, str]:
    """Wrappers of the whole chip for LTspice and Xyce, whose options differ."""
    cell, protocol, volts = chip.hardware[0].cells.cell, chip.network.protocol, volts_per_score(chip, recentre)
    n_classes = chip.network.output.n_out
    start, stop = (number(t * chip.time_unit) for t in (protocol.settle, protocol.settle + protocol.control))
    celsius = number(round(chip.technology.conditions.temperature - 273.15, 9))
    room = number(round(NOMINAL_TEMPERATURE - 273.15, 9))
    wrappers = {}
    for simulator, options, score in (
        (
            "LTspice",
            # Every point in double precision, of which .measure makes the means; else waveforms are compressed.
            [
                f".options reltol={number(RELTOL)} temp={celsius} tnom={room}",
                ".options plotwinsize=0 numdgt=15 measdgt=12",
            ],
            f"V(score_{{k}})/{volts}",
        ),
        (
            "Xyce",
            [f".options timeint reltol={number(RELTOL)}", f".options device temp={celsius} tnom={room}"],
            f"{{{{V(score_{{k}})/{volts}}}}}",
        ),
    ):
        lines = [
            f"* The whole chip under one image, for {simulator}; its authors ran that for ngspice and {VACASK_DECK}",
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
    and wires fill the matrix. A convolution is run at each of its positions: with 1 to 16 channels within a factor of
    3 where all neurons spike. Positions at which they rest, as those of a dark border, take an eighth of that.
    """
    fronts = chip.network.fronts
    return sum(fronts[one.array].n_positions * _seconds(chip, one, full) for one in segments(chip.network))


def position_seconds(chip: ManufacturedChip, layers: Collection[int], *, full: bool) -> float:
    """The same, of these convolutions at one position."""
    return sum(_seconds(chip, one, full) for one in segments(chip.network) if one.array in layers)


def _seconds(chip: ManufacturedChip, segment: Segment, full: bool) -> float:
    """Seconds that a run of a segment takes."""
    protocol, n = chip.network.protocol, sum(len(chip.hardware[layer].cells) for layer in segment.layers)
    time = protocol.settle + protocol.control
    if not full:
        return 4.5e-3 * time * n
    arrays = chip.arrays[segment.array :] if segment.output else [chip.arrays[k] for k in segment.layers]
    devices = sum(array.crossbar.conductance.size for array in arrays)
    wires = chip.technology.array.wires
    nodes = devices * [wires.word > 0.0, wires.bit > 0.0].count(True)
    outputs = chip.network.output.n_out if segment.output else 0
    per_iteration = 30e-6 * n + 10e-6 * outputs + 0.18e-6 * (devices + nodes) + 1e-9 * nodes**2
    return float(100.0 * time * n * per_iteration)
