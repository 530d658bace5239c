"""Netlists of a whole chip under one image: everything in one circuit, or cell by cell with folded arrays.

Numbers and parts are those of `analog_fhn.netlist.decks`; every name is fixed text of these two modules.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.wires import tile_slices
from analog_fhn.chip import ArrayLayer, Chip
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import (
    RELTOL,
    accuracy_lines,
    check_lines,
    components,
    mean_lines,
    neuron_lines,
    number,
    sense_lines,
    supply_lines,
    transient_line,
)
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.technology import NOMINAL_TEMPERATURE

SCORES = "scores.txt"
# Products of a row's voltage and a conductance that stand in one current source.
_PER_SOURCE = 8


def whole_chip(chip: Chip, inputs: NDArray[np.floating], *, recentre: bool) -> dict[str, str]:
    """The full form: `chip.cir` holds every component, `run.cir` is ngspice's analysis of it.

    Word lines of the input array are the nodes r_000, ..., its columns p_000, n_000, ...; hidden cell k goes from z_k
    (behind its transimpedance amplifier) by sum2_k, x_k, nx_k, y_k to row_k, a word line of the output array; its
    columns are sp_0, sn_0, ..., the outputs score_0, .... With wires there is a node on each word line and on each bit
    line at every device: word0_r_b and bit0_r_b in the input array, word1_r_b and bit1_r_b in the output array, where
    b counts the bit lines +, -, +, -, ....

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
        If the chip has no components, or the initial state lies beyond the linear range of the parts.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    first, second = _arrays(chip)
    pixels, biases = _rows(first, inputs, True), _rows(second, None, recentre)
    technology, _ = components(chip)
    n_hidden, n_classes = chip.n_neurons, chip.weights[1].shape[1]
    protocol = chip.network.protocol
    lines = [
        "* The whole chip under one image: arrays, amplifiers, tanh pairs, neurons, row drivers.",
        f"* Needs {', '.join(LIBRARIES)}; run.cir includes them.",
        *supply_lines(technology),
        *shift_lines(chip, recentre),
        f"* Word lines of the input array, {number(first.row_volts[0])} V for an input of 1; the last "
        f"{first.crossbar.bias_rows} carry the biases.",
        *(f"Vr_{i:03d} r_{i:03d} 0 {number(volts)}" for i, volts in enumerate(pixels)),
        *_array_lines(chip, 0, [f"r_{i:03d}" for i in range(len(pixels))], _columns(0, n_hidden)),
    ]
    for k in range(n_hidden):
        suffix = f"_{k:03d}"
        lines += [
            f"* Hidden cell {k}",
            *sense_lines(chip, 0, k, f"Xsense0{suffix}", f"p{suffix} n{suffix} z{suffix}"),
            *pair_lines(chip, k, suffix),
            *neuron_lines(chip, k, protocol, suffix),
            *driver_lines(chip, k, recentre, suffix),
        ]
    rows = [f"row_{i:03d}" for i in range(second.crossbar.g_plus.shape[0])]
    lines += [
        f"* Word lines of the output array that carry the biases: {second.crossbar.bias_rows}",
        *(f"V{row} {row} 0 {number(volts)}" for row, volts in zip(rows[n_hidden:], biases, strict=True)),
        *_array_lines(chip, 1, rows, _columns(1, n_classes)),
    ]
    for k in range(n_classes):
        lines += sense_lines(chip, 1, k, f"Xsense1_{k}", f"sp_{k} sn_{k} score_{k}")
    circuit = "\n".join(lines) + "\n"
    return {"chip.cir": circuit, "run.cir": _run_whole(chip, recentre), **_other_simulators(chip, recentre)}


def folded_chip(chip: Chip, inputs: NDArray[np.floating], *, recentre: bool) -> dict[str, str]:
    """The reduced form: one circuit per hidden cell and one of the output stage, which `run.cir` runs in turn.

    Each array is folded into what its amplifiers see: the columns' currents at 0 V, that is the rows' voltages times
    G_eff, and the columns' admittance. Under a constant image hidden cells do not act on each other; each runs at
    component level from its transimpedance amplifier to its row. The output stage is linear, so the mean of its
    outputs is what it makes of the rows' means; its operating point gives the scores.

    What wires let the offset of one amplifier push through the columns of others is a constant current in the input
    array (their finite gain, a millionth of their output, is left out of it) and a resistor in the output array.

    Parameters
    ----------
    inputs, recentre
        As for `whole_chip`.

    Returns
    -------
    dict
        File names and texts.

    Raises
    ------
    InputError
        If the chip has no components, or the initial state lies beyond the linear range of the parts.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    volts = _rows(_arrays(chip)[0], inputs, True)
    n_hidden = chip.n_neurons
    files = {f"cell_{k:03d}.cir": _cell(chip, k, volts, recentre) for k in range(n_hidden)}
    return files | {"output.cir": _output(chip, recentre), "run.cir": _run_cells(chip, recentre)}


def _arrays(chip: Chip) -> tuple[ArrayLayer, ArrayLayer]:
    components(chip)
    if chip.arrays is None:
        raise InputError("this chip has no arrays, and a netlist needs their components")
    first, second = chip.arrays
    return first, second


def _rows(array: ArrayLayer, inputs: NDArray[np.floating] | None, recentre: bool) -> FloatArray:
    """Voltages of an array's rows under an image, its bias rows last; without one those of the bias rows."""
    unit = array.row_volts[0 if recentre else 1]
    bar = array.crossbar
    values: FloatArray = np.empty(0) if inputs is None else np.asarray(inputs, dtype=np.float64)
    if inputs is not None and values.shape != (bar.n_in,):
        raise ValueError(f"inputs have shape {values.shape}; expected ({bar.n_in},)")
    return np.concatenate([values * unit, np.full(bar.bias_rows, bar.bias_drive * unit)])


def _columns(layer: int, n_outputs: int) -> list[str]:
    """Virtual grounds at the ends of the bit lines, +, -, +, -, ..."""
    plus, minus, width = (("p", "n", 3), ("sp", "sn", 1))[layer]
    return [f"{sign}_{k:0{width}d}" for k in range(n_outputs) for sign in (plus, minus)]


def _array_lines(chip: Chip, layer: int, rows: list[str], columns: list[str]) -> Iterator[str]:
    """Devices and wires of an array, tile by tile.

    Word line i of a tile runs from its row through the driver's resistance and one segment to the first device, and by
    one segment to each next; bit line j from its column through the sense resistance and one segment to the last
    device, and by one segment to each one before.
    """
    technology, _ = components(chip)
    conductance, wires = _arrays(chip)[layer].crossbar.conductance, technology.array.wires
    for down, across in tiles(chip, layer):
        yield f"* Array {layer}: rows {down.start} to {down.stop - 1}, bit lines {across.start} to {across.stop - 1}"
        words = {
            i: _line(rows[i], [f"word{layer}_{i:03d}_{j:03d}" for j in across], wires.driver + wires.word, wires.word)
            for i in down
        }
        bits = {
            j: _line(
                columns[j], [f"bit{layer}_{i:03d}_{j:03d}" for i in down[::-1]], wires.sense + wires.bit, wires.bit
            )
            for j in across
        }
        for i in down:
            for j in across:
                g = conductance[i, j]
                if g > 0.0:
                    ends = f"{words[i][0][j - across.start]} {bits[j][0][down.stop - 1 - i]}"
                    yield f"R{layer}_{i:03d}_{j:03d} {ends} {number(1.0 / g)}"
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


def tiles(chip: Chip, layer: int) -> list[tuple[range, range]]:
    """Rows and bit lines of each tile of an array."""
    technology, _ = components(chip)
    array = technology.array
    shape = _arrays(chip)[layer].crossbar.conductance.shape
    slices = tile_slices(shape, array.tile_rows, array.tile_columns)
    return [(range(*rows.indices(shape[0])), range(*columns.indices(shape[1]))) for rows, columns in slices]


def _cell(chip: Chip, k: int, volts: FloatArray, recentre: bool) -> str:
    """Deck of one hidden cell, its two columns folded into current sources and conductances."""
    first, _ = _arrays(chip)
    technology, _ = components(chip)
    lines = [
        f"* Hidden cell {k}: transimpedance amplifier, tanh pair, FHN neuron, row driver",
        *_includes(LIBRARIES),
        *supply_lines(technology),
        *shift_lines(chip, recentre),
        "* What the rows that are not at 0 V drive into the columns at 0 V: voltage times effective conductance.",
    ]
    driven = np.flatnonzero(volts)
    for node, column in (("p", 2 * k), ("n", 2 * k + 1)):
        for start in range(0, len(driven), _PER_SOURCE):
            group = driven[start : start + _PER_SOURCE]
            terms = "+".join(f"{number(volts[i])}*{number(first.ports.effective[i, column])}" for i in group)
            lines.append(f"I{node}_{group[0]:03d} 0 {node} {{{terms.replace('+-', '-')}}}")
    lines += [
        "* What the columns conduct to each other and to ground, and what other columns' offsets push into them.",
        *_admittance_lines(["p", "n"], first, slice(2 * k, 2 * k + 2)),
        *sense_lines(chip, 0, k, "Xsense", "p n z"),
        *pair_lines(chip, k),
        *neuron_lines(chip, k, chip.network.protocol),
        *driver_lines(chip, k, recentre),
        *accuracy_lines(chip),
        transient_line(chip, chip.network.protocol),
        ".save v(row)",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _admittance_lines(nodes: list[str], array: ArrayLayer, own: slice) -> Iterator[str]:
    """Admittance of some of an array's columns; the others stand at their amplifiers' offsets."""
    admittance = array.ports.bit_admittance[own]
    between = admittance[:, own]
    offsets = np.stack([array.sense.vos1, array.sense.vos2], axis=-1).reshape(-1)
    offsets[own] = 0.0
    for j, (node, conductance, pushed) in enumerate(zip(nodes, between.sum(axis=1), admittance @ offsets, strict=True)):
        if conductance > 0.0:
            yield f"R{node} {node} 0 {number(1.0 / conductance)}"
        if pushed:
            yield f"I{node} {node} 0 {number(pushed)}"
        for k in range(j):
            if between[j, k] < 0.0:
                yield f"R{node}_{nodes[k]} {node} {nodes[k]} {number(-1.0 / between[j, k])}"


def _output(chip: Chip, recentre: bool) -> str:
    """Deck of the output stage: rows as voltage sources (altered before the analysis), array folded, amplifiers."""
    _, second = _arrays(chip)
    technology, _ = components(chip)
    effective, n_hidden = second.ports.effective, chip.n_neurons
    rows = [f"row_{i:03d}" for i in range(len(effective))]
    columns = _columns(1, effective.shape[1] // 2)
    voltages = np.concatenate([np.zeros(n_hidden), _rows(second, None, recentre)])
    lines = [
        "* Output stage: array folded into effective conductances, transimpedance amplifiers",
        *_includes((LIBRARIES[0], LIBRARIES[5])),
        *supply_lines(technology),
        "* Mean row voltages of the hidden cells are put in by run.cir; the last rows carry the biases.",
        *(f"V{row} {row} 0 {number(volts)}" for row, volts in zip(rows, voltages, strict=True)),
        "* What a row drives into a column at 0 V: its effective conductance.",
    ]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if effective[i, j] > 0.0:
                lines.append(f"G{column}_{i:03d} 0 {column} {row} 0 {number(effective[i, j])}")
    lines += _admittance_lines(columns, second, slice(None))
    for k in range(len(columns) // 2):
        lines += sense_lines(chip, 1, k, f"Xsense_{k}", f"sp_{k} sn_{k} score_{k}")
    lines += [*accuracy_lines(chip), ".end"]
    return "\n".join(lines) + "\n"


def _run_whole(chip: Chip, recentre: bool) -> str:
    _, scales = components(chip)
    protocol, n_classes = chip.network.protocol, chip.weights[1].shape[1]
    scores = [f"score_{k}" for k in range(n_classes)]
    lines = [
        "* The whole chip under one image: ngspice -b run.cir",
        *_includes((*LIBRARIES, "chip.cir")),
        *accuracy_lines(chip),
        transient_line(chip, protocol),
        f".save {' '.join(f'v({score})' for score in scores)}",
        ".control",
        *_BEGIN,
        "run",
        *check_lines(protocol, scales.time_unit),
    ]
    for score in scores:
        lines += mean_lines(score, protocol, scales.time_unit)
    return "\n".join([*lines, *_score_lines(chip, recentre, "mean_vscore_{k}"), *_END])


def _run_cells(chip: Chip, recentre: bool) -> str:
    _, scales = components(chip)
    protocol, n_hidden = chip.network.protocol, chip.n_neurons
    lines = [
        "* The chip under one image, one hidden cell after the other, then the output stage: ngspice -b run.cir",
        ".control",
        *_BEGIN,
        # To ngspice a vector of one element is a scalar, which has no element 0.
        f"let means = vector({max(n_hidden, 2)})",
    ]
    for k in range(n_hidden):
        # A circuit that cannot be loaded leaves no plot behind: then the `reached` of the constants counts.
        lines += [
            f"echo hidden cell {k + 1} of {n_hidden}",
            f"source cell_{k:03d}.cir",
            "run",
            *check_lines(protocol, scales.time_unit),
            *mean_lines("row", protocol, scales.time_unit),
            f"let const.means[{k}] = mean_vrow",
            "remcirc",
            "destroy all",
        ]
    lines += [
        "echo output stage",
        "source output.cir",
        *(f"alter vrow_{k:03d} = const.means[{k}]" for k in range(n_hidden)),
        "op",
        "let reached = length(v(score_0))",
        "if reached < 1",
        "  echo the output stage has no operating point",
        "  quit 1",
        "end",
    ]
    return "\n".join([*lines, *_score_lines(chip, recentre, "v(score_{k})"), *_END])


# Whoever finds the file after a failed run must not take old scores for new ones.
_BEGIN = ("set numdgt=12", f"echo the run has not ended > {SCORES}", "let reached = 0")
_END = ("quit 0", ".endc", ".end", "")


def _score_lines(chip: Chip, recentre: bool, outputs: str) -> list[str]:
    """ngspice commands that write the scores in the units of the trained weights; `outputs` of class {k}, in volts."""
    volts = _volts(chip, recentre)
    lines = [f"* {volts} V at the output stand for a score of 1."]
    for k in range(chip.weights[1].shape[1]):
        lines += [
            f"let score = {outputs.format(k=k)}/{volts}",
            f'echo "{k} $&score" {">>" if k else ">"} {SCORES}',
        ]
    return lines


def _volts(chip: Chip, recentre: bool) -> str:
    _, second = _arrays(chip)
    return number(second.volts[0 if recentre else 1])


def _other_simulators(chip: Chip, recentre: bool) -> dict[str, str]:
    """Wrappers of the whole chip for LTspice and Xyce, whose options differ."""
    technology, scales = components(chip)
    protocol, n_classes, volts = chip.network.protocol, chip.weights[1].shape[1], _volts(chip, recentre)
    start, stop = (number(t * scales.time_unit) for t in (protocol.settle, protocol.settle + protocol.control))
    celsius = number(round(technology.conditions.temperature - 273.15, 9))
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
            *_includes((*LIBRARIES, "chip.cir")),
            *options,
            transient_line(chip, protocol),
            *(f".measure tran score{k} AVG {score.format(k=k)} FROM={start} TO={stop}" for k in range(n_classes)),
            ".end",
        ]
        wrappers[f"run_{simulator.lower()}.cir"] = "\n".join(lines) + "\n"
    return wrappers


def estimated_seconds(chip: Chip, *, full: bool) -> float:
    """About how long ngspice takes for the network's protocol, on one core.

    Fitted to ngspice 39 on chips of 4 to 24 neurons with up to 13 000 devices, and 100 neurons in the reduced form:
    within a factor of 2. In one circuit all neurons share their time steps, so time grows with their number squared,
    and wires fill the matrix.
    """
    technology, _ = components(chip)
    arrays, protocol, n = _arrays(chip), chip.network.protocol, chip.n_neurons
    steps = protocol.settle + protocol.control
    if not full:
        return 4.5e-3 * steps * n
    devices = sum(array.crossbar.conductance.size for array in arrays)
    wires = technology.array.wires
    nodes = devices * [wires.word > 0.0, wires.bit > 0.0].count(True)
    per_iteration = 30e-6 * n + 10e-6 * chip.weights[1].shape[1] + 0.18e-6 * (devices + nodes) + 1e-9 * nodes**2
    return float(100.0 * steps * n * per_iteration)


def _includes(names: tuple[str, ...]) -> list[str]:
    return [f".include {name}" for name in names]
