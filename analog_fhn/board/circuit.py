"""The circuit of a board: every part of a chip that is bought, with its nodes, its value and its place.

Nodes and paths are those of the full form of the exported netlist (`analog_fhn.netlist.whole_chip`), in lower case and
flattened as simulators do: node `sum1` of instance `Xneuron_000` is `xneuron_000.sum1`, and its resistor `R1` is
`xneuron_000.r1`. What a board has besides, from connectors to trimmers, has no path. Where rows are not shifted the
netlist has a shift resistor of `NO_SHIFT` ohm, and a board none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from analog_fhn.board import extras
from analog_fhn.board.elements import Element, Sheet, SheetParts
from analog_fhn.board.subcircuits import SUBCIRCUITS
from analog_fhn.chip import Chip, ManufacturedChip, array_names
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.chip_lines import column_nodes, row_nodes
from analog_fhn.netlist.decks import cell_suffix, sense_instance
from analog_fhn.ngspice.text import Instance
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.wires import Wires

# Most devices of arrays that a board is drawn with: beyond it is hundreds of sheets.
LARGEST = 20_000
# What fits on a sheet.
_ROWS, _BIT_LINES, _STAGES, _NULLED_STAGES = 17, 20, 8, 6


@dataclass(frozen=True, eq=False)
class BoardCircuit:
    """Sheets and parts of a board.

    Parameters
    ----------
    chip
        What it realises.
    cells
        How many cells stand alone on it, without arrays; None: the whole network.
    recentre
        Whether the rows of the output array carry the activation, or x itself.
    sheets
        In the order of their numbers.
    elements
        All parts, sheet by sheet.
    supplies
        Nominal voltage (V) of each supply node; with that of ground, "0".
    inputs
        Nodes that are driven from outside: rows of the input array and of biases, or inputs of drive stages.
    outputs
        Nodes that lead outside: scores, or rows of cells.
    """

    chip: ManufacturedChip
    cells: int | None
    recentre: bool
    sheets: tuple[Sheet, ...]
    elements: tuple[Element, ...]
    supplies: Mapping[str, float]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def by_path(self) -> Mapping[str, Element]:
        """Parts that have a counterpart in the netlist, by their paths there."""
        return {element.path: element for element in self.elements if element.path}

    @property
    def technology(self) -> BoardTechnology:
        """What it is built with."""
        assert isinstance(self.chip.technology, BoardTechnology)
        return self.chip.technology

    @property
    def block(self) -> int:
        """Distance of the designators of two sheets."""
        return _block(self.cells)

    def on(self, sheet: str) -> list[Element]:
        """Parts on the sheet of this key."""
        return [element for element in self.elements if element.sheet == sheet]


def _block(cells: int | None) -> int:
    """Distance of the designators of two sheets: a sheet of an array has hundreds."""
    return 1000 if cells is None else 100


def board_circuit(chip: Chip, cells: int | None = None, *, recentre: bool | None = None) -> BoardCircuit:
    """Parts of a chip's board, or of its first hidden cells alone.

    Parameters
    ----------
    chip
        With a technology of a board.
    cells
        So many cells of the first hidden layer, with connectors at their inputs and rows; None: the whole network.
    recentre
        Whether the rows of the output array carry the activation, or x itself; None: as the network says.

    Raises
    ------
    InputError
        If the chip has no parts that are bought, has not so many cells, or if, of a whole network, layers are not
        dense, activations are held, lines of arrays have resistance, devices are not ohmic, converters are wanted, or
        arrays have more than `LARGEST` devices.
    """
    made = _checked(chip, cells)
    recentre = chip.network.recentre if recentre is None else recentre
    supplies = _supplies(made, len(made.hardware) if cells is None else 1, recentre)
    sheets = tuple(_sheets(made, cells, recentre, supplies))
    if cells is None:
        inputs = tuple(node for array in range(len(made.arrays)) for node in _driven_rows(made, array))
        outputs = tuple(f"score_{k}" for k in range(chip.network.output.n_out))
    else:
        inputs, outputs = (tuple(f"{node}{cell_suffix(0, k)}" for k in range(cells)) for node in ("z", "row"))
    nominal = [
        {name: float(values[0]) for name, values in one.sense.items()}
        for one in Design(made.network, made.technology).arrays
    ]
    elements: list[Element] = []
    for sheet in sheets:
        parts = SheetParts(sheet, _block(cells))
        match sheet.kind:
            case "cell":
                _cell(made, parts, recentre, sheet.number - 1)
            case "array":
                _array(made, parts)
            case "sense":
                _sense(made, parts, nominal[sheet.layer])
            case "connectors":
                extras.connectors(parts, inputs, outputs)
            case "supplies":
                extras.supplies(parts, supplies)
        elements += parts.elements
    return BoardCircuit(made, cells, recentre, sheets, tuple(elements), supplies, inputs, outputs)


def _checked(chip: Chip, cells: int | None) -> ManufacturedChip:
    """The chip, if a board can be drawn of it."""
    if not isinstance(chip, ManufacturedChip):
        raise InputError("a board needs a chip with a technology")
    technology, network = chip.technology, chip.network
    if not isinstance(technology, BoardTechnology):
        raise InputError(
            f"technology {technology.name!r} (cell {technology.cell!r}): a chip of transistors has no parts to be "
            "bought; expected a technology of a board, for instance discrete"
        )
    if cells is not None:
        most = len(chip.hardware[0].cells)
        if not 1 <= cells <= most:
            raise InputError(f"cells = {cells}: expected 1 to {most}, the cells of the first hidden layer")
        return chip
    refused = {
        "layers that are not dense, or activations that are held": any(network.held)
        or any(front.patches is not None or front.pools for front in network.fronts),
        "converters at its inputs or outputs": technology.dac is not None or technology.adc is not None,
        "lines with resistance (array.wires)": technology.array.wires != Wires(),
        "devices that are not ohmic": any(array.nonlinear is not None for array in chip.arrays),
    }
    for what, found in refused.items():
        if found:
            raise InputError(f"a board is not drawn of a network with {what}; expected its cells alone")
    devices = sum(array.crossbar.conductance.size for array in chip.arrays)
    if devices > LARGEST:
        raise InputError(
            f"the arrays have {devices} devices: a board is drawn with up to {LARGEST}; expected its cells alone"
        )
    return chip


def _sheets(
    chip: ManufacturedChip, cells: int | None, recentre: bool, supplies: Mapping[str, float]
) -> Iterator[Sheet]:
    """All sheets; cells come first, so that the first cell's designators begin with 1."""
    number = itertools.count(1)
    hardware = chip.hardware if cells is None else chip.hardware[:1]
    names = array_names(len(chip.hardware))
    for layer, one in enumerate(hardware):
        for k in range(len(one.cells) if cells is None else cells):
            where = f" of hidden layer {layer + 1}" if len(hardware) > 1 else ""
            yield Sheet(
                f"cell{cell_suffix(layer, k)}", "cell", f"Cell {k}{where}", next(number), layer, range(k, k + 1)
            )
    for array, devices in enumerate(chip.arrays if cells is None else ()):
        rows, bit_lines = devices.crossbar.conductance.shape
        for across, down in itertools.product(_shares(bit_lines // 2, _BIT_LINES // 2), _shares(rows, _ROWS)):
            columns = range(2 * across.start, 2 * across.stop)
            title = f"{names[array].capitalize()}, rows {_span(down)}, bit lines {_span(columns)}"
            key = f"array_{array}_{down.start:03d}_{columns.start:03d}"
            yield Sheet(key, "array", title, next(number), array, down, columns)
        for share in _shares(bit_lines // 2, _STAGES if array < len(hardware) else _NULLED_STAGES):
            title = f"Sense amplifiers of the {names[array]}, {_span(share)}"
            yield Sheet(f"sense_{array}_{share.start:03d}", "sense", title, next(number), array, share)
    signals = _row_notes(chip, recentre) if cells is None else _cell_notes(chip)
    yield Sheet("connectors", "connectors", "Connectors", next(number), notes=signals)
    rails = tuple(f"{node.upper()}: {volts:+g} V" for node, volts in supplies.items() if node != "0")
    yield Sheet("supplies", "supplies", "Supplies", next(number), notes=rails)


def _cell_notes(chip: ManufacturedChip) -> tuple[str, ...]:
    """What stands at the connectors of cells alone."""
    cell = chip.hardware[0].cells.cell
    return (
        f"z_000, ...: {cell.volts_per_z:.4g} V for a pre-activation of 1, from a source of low resistance",
        f"row_000, ...: 0 to {chip.technology.array.read_voltage:g} V",
    )


def _row_notes(chip: ManufacturedChip, recentre: bool) -> tuple[str, ...]:
    """What stands at the connectors of a network."""
    first = chip.arrays[0]
    notes = [f"r_000, ...: {first.row_volts[0]:.4g} V for an input of 1, from sources of low resistance"]
    for array, layer in enumerate(chip.arrays):
        nodes = row_nodes(chip, array)[layer.crossbar.n_in :]
        if nodes:
            volts = layer.row_voltages(None, recentre)[0]
            notes.append(f"{', '.join(nodes)}: {volts:.4g} V, constant, for the biases")
    volts = chip.output_array.volts[0 if recentre else 1]
    return (*notes, f"score_0, ...: mean over the control window, {volts:.4g} V for a score of 1")


def _shares(count: int, most: int) -> list[range]:
    """Numbers up to a count in as few parts as have at most so many, as even as can be."""
    parts = -(-count // most)
    return [range(k * count // parts, (k + 1) * count // parts) for k in range(parts)]


def _span(numbers: range) -> str:
    return f"{numbers.start} to {numbers.stop - 1}" if len(numbers) > 1 else f"{numbers.start}"


def _driven_rows(chip: ManufacturedChip, array: int) -> tuple[str, ...]:
    """Rows of an array that are driven from outside: all of the input array, of others those of the biases."""
    return tuple(row_nodes(chip, array)[chip.arrays[array].crossbar.n_in if array else 0 :])


def _supplies(chip: ManufacturedChip, hidden: int, recentre: bool) -> Mapping[str, float]:
    """Nominal voltages of supplies; conditions move the rails of the netlist, not what a board is built for."""
    voltages = {"0": 0.0}
    for one in chip.hardware[:hidden]:
        voltages |= {**one.cells.cell.supplies(), **one.cells.cell.row_supplies(recentre)}
    return voltages | dict(zip(("vcc", "vee"), chip.technology.rails, strict=True))


def _parts(
    parts: SheetParts,
    instance: Instance,
    nominal: Mapping[str, float],
    packages: Mapping[str, tuple[str, int]],
    left_out: frozenset[str] = frozenset(),
) -> None:
    """Add the parts of a subcircuit's instance.

    Parameters
    ----------
    nominal
        Values of passives by name.
    packages
        Designator, and number within the package, of parts by name; others get designators of their own.
    left_out
        Names of parts that are not fitted.
    """  # fmt: skip
    subcircuit, name = SUBCIRCUITS[instance.subcircuit], instance.name.lower()
    pins = dict(zip(subcircuit.pins, instance.nodes, strict=True))
    for part in subcircuit.parts:
        if part.name in left_out:
            continue
        nodes = {t: "0" if node == "0" else pins.get(node, f"{name}.{node}") for t, node in part.terminals.items()}
        actual = {ours: float(instance.parameters[theirs]) for ours, theirs in part.parameters.items()}
        reference, unit = packages.get(part.name, ("", 0))
        parts.add(
            part.name.removeprefix("x").capitalize() or "OTA", part.kind, nodes, nominal.get(part.name),
            path=f"{name}.{part.name}" if part.name else name, actual=actual, section=part.section,
            reference=reference, unit=unit,
        )  # fmt: skip


def _cell(chip: ManufacturedChip, parts: SheetParts, recentre: bool, index: int) -> None:
    """Add a cell: neuron, drive stage, row driver, and what a board has besides.

    Its operational amplifiers share packages among themselves. Of dual transconductance amplifiers a cell with an even
    `index`, counted over all layers, has the first half and the one after it the second.
    """
    sheet = parts.sheet
    layer, k = sheet.layer, sheet.items.start
    cells, suffix = chip.hardware[layer].cells, cell_suffix(layer, k)
    (neuron,) = cells.cell.neuron_instances(cells, k, chip.network.protocol, suffix)
    drive, driver = cells.cell.stage_instances(cells, k, recentre, suffix)
    nominal = {name: float(values[k]) for group in cells.cell.nominal for name, values in group.items()}
    first, second, square, cube, other = (parts.reference("opamp") for _ in range(5))
    packages = [first, second, square, cube, other]
    if drive.subcircuit == "tanh_pair" and index % 2:  # in the package of the cell before
        other = f"U{int(packages.pop()[1:]) - parts.block}"
    neurons = {"xu1": (first, 0), "xu3": (first, 1), "xu2": (second, 0), "xm1": (square, 0), "xm2": (cube, 0)}
    _parts(parts, neuron, nominal, neurons)
    _parts(parts, drive, nominal, {"": (other, index % 2), "xu5": (other, 0), "xu4": (other, 1)})
    _parts(parts, driver, nominal, {"xu": (second, 1)}, cells.cell.left_out(recentre))
    extras.cell(parts, suffix, driver.name.lower(), driver.nodes)
    for package in packages:
        parts.decouple(package)


def _array(chip: ManufacturedChip, parts: SheetParts) -> None:
    """Add the devices of one sheet of an array."""
    array, sheet = parts.sheet.layer, parts.sheet
    one = chip.arrays[array]
    rows, columns = row_nodes(chip, array), column_nodes(chip, array)
    for i, j in itertools.product(sheet.items, sheet.columns):
        made, target = float(one.crossbar.conductance[i, j]), float(one.target.conductance[i, j])
        if made > 0.0:
            parts.add(
                f"R{i},{j}", "resistor", {"1": rows[i], "2": columns[j]}, 1.0 / target if target > 0.0 else 1.0 / made,
                path=f"r{array}_{i:03d}_{j:03d}", actual={"value": 1.0 / made}, section="array",
            )  # fmt: skip


def _sense(chip: ManufacturedChip, parts: SheetParts, nominal: Mapping[str, float]) -> None:
    """Add transimpedance amplifiers; those of the output array with offset nulls."""
    array, technology = parts.sheet.layer, chip.technology
    output = array == len(chip.hardware)
    columns = column_nodes(chip, array)
    for k in parts.sheet.items:
        name = f"Xsense{array}_{k}" if output else f"Xsense{array}_{k:03d}"
        out = f"score_{k}" if output else f"z{cell_suffix(array, k)}"
        nodes = f"{columns[2 * k]} {columns[2 * k + 1]} {out}"
        package = parts.reference("opamp")
        instance = sense_instance(chip.arrays[array].sense, k, technology, name, nodes)
        _parts(parts, instance, nominal, {"xu1": (package, 0), "xu2": (package, 1)})
        if output:
            extras.null(parts, name.lower())
        parts.decouple(package)
