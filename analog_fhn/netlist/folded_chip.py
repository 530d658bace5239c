"""The reduced form of a chip's netlist: cell by cell with folded arrays, under one image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.sense import SenseParts
from analog_fhn.chip import ArrayLayer, ManufacturedChip
from analog_fhn.errors import InputError, shown
from analog_fhn.netlist.chip_lines import (
    BEGIN,
    END,
    chip_supplies,
    column_nodes,
    includes,
    operating_point_lines,
    row_nodes,
    score_lines,
)
from analog_fhn.netlist.decks import (
    SENSE_LIBRARIES,
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
    altered_holds,
    altered_rows,
    every_position,
    handed_on,
    hold_lines,
    kept,
    sampled,
    switch_line,
    tables,
    vectors,
)
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import number

# Products of a row's voltage and a conductance that stand in one current source.
_PER_SOURCE = 8


def folded_chip(chip: ManufacturedChip, inputs: NDArray[np.floating], *, recentre: bool) -> dict[str, str]:
    """The reduced form: one circuit per hidden cell and one of the output stage, which `run.cir` runs in turn.

    Each array is folded into what its amplifiers see: the columns' currents at 0 V, that is the rows' voltages times
    G_eff, and the columns' admittance. Under a constant image the cells of a layer do not act on each other; each runs
    at component level from its transimpedance amplifier to its row. The output stage is linear, so the mean of its
    outputs is what it makes of the rows' means; its operating point gives the scores.

    Rows of a deeper layer are voltage sources that `run.cir` sets to the means of the rows before, low-pass included,
    over the control window. What these low-passes leave of the oscillation, and how the rows come to their means, is
    left out there; the full form has both.

    What wires let the offset of one amplifier push through the columns of others is a constant current in the arrays in
    front of cells (their finite gain, a millionth of their output, is left out of it) and a resistor in the output
    array.

    Parameters
    ----------
    inputs, recentre
        As for `analog_fhn.netlist.whole_chip.whole_chip`.

    Returns
    -------
    dict
        File names and texts; cell 0 of the first layer is `cell_000.cir`, that of the next one `cell_1_000.cir`.

    Raises
    ------
    InputError
        If the initial state lies beyond the linear range of the parts, or the arrays' devices are not ohmic.
    ValueError
        If the inputs' shape does not fit or a number is not finite.
    """
    check_ohmic(chip)
    inputs = np.asarray(inputs, dtype=np.float64)
    files = {}
    for layer, one in enumerate(chip.hardware):
        for k in range(len(one.cells)):
            files[_cell_file(layer, k)] = _cell(chip, layer, k, _rows(chip, layer, k, inputs, recentre), 0, recentre)
    if any(chip.network.held):
        files[TABLES] = tables(chip, inputs)
    return files | {"output.cir": _output(chip, recentre), "run.cir": _run(chip, recentre)}


def position_decks(
    chip: ManufacturedChip, layer: int, position: tuple[int, int], volts: FloatArray, recentre: bool
) -> list[PositionDeck]:
    """The circuits of a convolution's cells at one position, with these voltages of its array's rows (V)."""
    check_ohmic(chip)
    index = Rows.of(chip, layer).number(position)
    array = chip.hardware[layer].array
    rows = np.concatenate([volts, array.row_voltages(None)])
    return [
        PositionDeck(
            _cell_file(layer, k), _cell(chip, layer, k, _input_rows(array, k, rows), index, recentre), layer,
            range(k, k + 1), ["held"],
        )
        for k in range(len(chip.hardware[layer].cells))
    ]  # fmt: skip


def check_ohmic(chip: ManufacturedChip) -> None:
    """Refuse devices that are not ohmic: of their arrays there are no effective conductances.

    Raises
    ------
    InputError
        If there are some.
    """
    if chip.output_array.nonlinear is not None:
        raise InputError(
            f"technology {chip.technology.name!r}: array.nonlinearity = {shown(chip.technology.array.nonlinearity)}: "
            "the reduced form folds arrays into conductances, which devices with curved characteristics do not have; "
            "expected the form 'full', or array.nonlinearity: null"
        )


def _cell_file(layer: int, k: int) -> str:
    return f"cell{cell_suffix(layer, k)}.cir"


def _cell(chip: ManufacturedChip, layer: int, k: int, rows: list[str], position: int, recentre: bool) -> str:
    """Deck of one hidden cell; `rows` are what drives its two columns. With its hold stage of a position, if it has."""
    one, protocol, held = chip.hardware[layer], chip.network.protocol, chip.network.held[layer]
    cell = one.cells.cell
    lines = [
        f"* Hidden cell {k}{f' of layer {layer}' if layer else ''}: transimpedance amplifier, drive stage, FHN neuron, "
        f"row driver{', hold stage' if held else ''}",
        *includes(chip_libraries(chip)),
        *chip_supplies(chip, recentre),
        *rows,
        "* What the columns conduct to each other and to ground, and what other columns' offsets push into them.",
        *_admittance_lines(["p", "n"], one.array, slice(2 * k, 2 * k + 2)),
        *sense_lines(one.array.sense, k, chip.technology, "Xsense", "p n z"),
        *neuron_lines(one.cells, k, protocol),
        *stage_lines(one.cells, k, recentre),
    ]
    if held:
        lines += [switch_line(protocol, chip.time_unit), *hold_lines(chip, layer, position, k, "")]
        protocol = sampled(protocol)
    lines += [
        *accuracy_lines(cell),
        transient_line(cell, protocol),
        f".save v({'held' if held else 'row'})",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _rows(chip: ManufacturedChip, layer: int, k: int, inputs: NDArray[np.floating], recentre: bool) -> list[str]:
    """What drives the columns of one cell: the image at an input array that is used once, else rows to be altered."""
    front = chip.layers[0].front
    if layer or front.patches is not None:
        return _altered_rows(chip, layer, k, recentre)
    array = chip.hardware[0].array
    return _input_rows(array, k, array.row_voltages(front.rows(inputs[None])[0]))


def _input_rows(array: ArrayLayer, k: int, volts: FloatArray) -> list[str]:
    """Currents that the image drives into the columns of one cell of the first layer."""
    lines = ["* What the rows that are not at 0 V drive into the columns at 0 V: voltage times effective conductance."]
    driven = np.flatnonzero(volts)
    for node, column in (("p", 2 * k), ("n", 2 * k + 1)):
        for start in range(0, len(driven), _PER_SOURCE):
            group = driven[start : start + _PER_SOURCE]
            terms = "+".join(f"{number(volts[i])}*{number(array.ports.effective[i, column])}" for i in group)
            lines.append(f"I{node}_{group[0]:03d} 0 {node} {{{terms.replace('+-', '-')}}}")
    return lines


def _altered_rows(chip: ManufacturedChip, layer: int, k: int, recentre: bool) -> list[str]:
    """Rows that `run.cir` alters, and what they drive into the columns of one cell."""
    columns = {"p": 2 * k, "n": 2 * k + 1}
    return [
        f"* Row voltages are put in by run.cir, {_of_rows(chip, layer)}; the last rows carry the biases.",
        *_row_lines(chip, layer, recentre),
        "* What a row drives into a column at 0 V: its effective conductance.",
        *_conductance_lines(chip, layer, columns),
    ]


def _of_rows(chip: ManufacturedChip, array: int) -> str:
    """What the rows of an array are given, in words."""
    if array == 0:
        return "the patch of a position"
    return "what is held" if chip.network.held[array - 1] else "the means of the layer before"


def _row_lines(chip: ManufacturedChip, array: int, recentre: bool) -> Iterator[str]:
    """Sources of an array's rows; those that carry no bias stand at 0 V until they are altered."""
    layer = chip.arrays[array]
    voltages = np.concatenate([np.zeros(layer.crossbar.n_in), layer.row_voltages(None, recentre)])
    for row, volts in zip(row_nodes(chip, array), voltages, strict=True):
        yield f"V{row} {row} 0 {number(volts)}"


def _conductance_lines(chip: ManufacturedChip, array: int, columns: dict[str, int]) -> Iterator[str]:
    """What rows drive into some of an array's columns, which are given by their nodes."""
    effective = chip.arrays[array].ports.effective
    for i, row in enumerate(row_nodes(chip, array)):
        for node, column in columns.items():
            if effective[i, column] > 0.0:
                yield f"G{node}_{i:03d} 0 {node} {row} 0 {number(effective[i, column])}"


def _admittance_lines(nodes: list[str], array: ArrayLayer, columns: slice) -> Iterator[str]:
    """Admittance of some of an array's columns; the others stand at their amplifiers' offsets."""
    admittance = array.ports.bit_admittance[columns]
    between = admittance[:, columns]
    assert isinstance(array.sense, SenseParts)
    offsets = np.stack([array.sense.vos1, array.sense.vos2], axis=-1).reshape(-1)
    offsets[columns] = 0.0
    for j, (node, conductance, pushed) in enumerate(zip(nodes, between.sum(axis=1), admittance @ offsets, strict=True)):
        if conductance > 0.0:
            yield f"R{node} {node} 0 {number(1.0 / conductance)}"
        if pushed:
            yield f"I{node} {node} 0 {number(pushed)}"
        for k in range(j):
            if between[j, k] < 0.0:
                yield f"R{node}_{nodes[k]} {node} {nodes[k]} {number(-1.0 / between[j, k])}"


def _output(chip: ManufacturedChip, recentre: bool) -> str:
    """Deck of the output stage: rows as voltage sources (altered before the analysis), array folded, amplifiers."""
    array, last = chip.output_array, len(chip.hardware)
    columns = column_nodes(chip, last)
    lines = [
        "* Output stage: array folded into effective conductances, transimpedance amplifiers",
        *includes(SENSE_LIBRARIES),
        *chip_supplies(chip, recentre),
        f"* Row voltages are put in by run.cir, {_of_rows(chip, last)}; the last rows carry the biases.",
        *_row_lines(chip, last, recentre),
        "* What a row drives into a column at 0 V: its effective conductance.",
        *_conductance_lines(chip, last, {node: column for column, node in enumerate(columns)}),
        *_admittance_lines(columns, array, slice(None)),
    ]
    for k in range(len(columns) // 2):
        lines += sense_lines(array.sense, k, chip.technology, f"Xsense_{k}", f"sp_{k} sn_{k} score_{k}")
    lines += [*accuracy_lines(chip.hardware[-1].cells.cell), ".end"]
    return "\n".join(lines) + "\n"


def _run(chip: ManufacturedChip, recentre: bool) -> str:
    lines = [
        "* The chip under one image, one hidden cell after the other, then the output stage: ngspice -b run.cir",
        ".control",
        *BEGIN,
    ]
    if any(chip.network.held):
        lines += vectors(chip)
    for layer in range(len(chip.hardware)):
        lines += _run_layer(chip, layer)
    lines += [
        "echo output stage",
        "source output.cir",
        *_alter_lines(chip, len(chip.hardware)),
        "op",
        *operating_point_lines(),
    ]
    return "\n".join([*lines, *score_lines(chip, recentre, "v(score_{k})"), *END])


def _run_layer(chip: ManufacturedChip, layer: int) -> Iterator[str]:
    """ngspice commands that run the cells of a hidden layer, and keep the means of their rows or what is held."""
    protocol, unit, n_cells = chip.network.protocol, chip.time_unit, len(chip.hardware[layer].cells)
    held = chip.network.held[layer]
    if not held:
        # To ngspice a vector of one element is a scalar, which has no element 0.
        yield f"let {_means(layer)} = vector({max(n_cells, 2)})"
    for k in range(n_cells):
        words = f"hidden cell {k + 1} of {n_cells}{f', layer {layer}' if layer else ''}"
        body = [*_alter_lines(chip, layer), "run", *check_lines(sampled(protocol) if held else protocol, unit)]
        # A circuit that cannot be loaded leaves no plot behind: then the `reached` of the constants counts.
        if held:
            yield f"source {_cell_file(layer, k)}"
            body = [*altered_holds(chip, layer, [k], ["xhold"]), *body, *kept(chip, layer, [k], ["held"])]
            yield from every_position(chip, layer, words, body)
        else:
            yield f"echo {words}"
            yield f"source {_cell_file(layer, k)}"
            yield from body
            yield from mean_lines("row", protocol, unit)
            yield f"let const.{_means(layer)}[{k}] = mean_vrow"
        yield "remcirc"
        yield "destroy all"
    if held:
        yield from handed_on(chip, layer)


def _alter_lines(chip: ManufacturedChip, array: int) -> Iterator[str]:
    """ngspice commands that put a patch, what is held or means into the rows of an array; none where they stand."""
    if array == 0 or chip.network.held[array - 1]:
        yield from altered_rows(chip, array)
        return
    for k, row in enumerate(row_nodes(chip, array)[: chip.arrays[array].crossbar.n_in]):
        yield f"alter v{row} = const.{_means(array - 1)}[{k}]"


def _means(layer: int) -> str:
    """Vector of the mean row voltages of a hidden layer."""
    return f"means_{layer}" if layer else "means"
