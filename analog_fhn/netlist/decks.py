"""Decks of neurons, cells and stages that instantiate the subcircuits of `netlists/`.

Numbers are written as plain SI floats that read back exactly; every name and title is fixed text of this module.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analog_fhn._support.resources import resource
from analog_fhn.array.read_out import ReadOut
from analog_fhn.array.sense import op_amps
from analog_fhn.cell.base import Cell, Cells, CircuitCells
from analog_fhn.chip import ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.technology.amplifier_model import amplifier_parameters
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE
from analog_fhn.technology.technology import Technology

SENSE_LIBRARIES = ("opamp.lib", "transimpedance.lib")
# Libraries of what stands around the cells, by the technology's read-out.
_AROUND = {
    "transimpedance": SENSE_LIBRARIES,
    "integrating": ("column_readout.lib", "integrate_hold.lib", "ota_row_driver.lib"),
}
HOLD_LIBRARY = "sample_hold.lib"

# Threads of ngspice wait for each other by spinning: with two of them a neuron of transistors takes 40 times as long.
ONE_THREAD = "set num_threads=1"

# Measured on the nominal neuron against reltol 1e-7 with a step of 0.005 T: with these two the period is off by
# less than 0.02 % at drives -0.1, -0.5 and -1. At reltol 1e-4 it is off by 0.2 %; at the simulator's own 1e-3, with
# no largest step, by several per cent, without a message.
RELTOL = 1e-5
MAX_STEP = 0.05


def neuron_deck(
    cells: Cells,
    neuron: int,
    drive: float,
    protocol: Protocol,
    *,
    reltol: float = RELTOL,
    max_step: float = MAX_STEP,
    inline: bool = True,
    data_file: str | None = None,
) -> str:
    """Complete deck of one neuron under one constant drive.

    Nodes `x` and `y` are Sx x and Sy y; the drive is the current source `Idrive`, which a simulator may alter. The
    currents of the supplies `Vcc`, `Vee` and `Vref` are saved.

    Parameters
    ----------
    neuron
        Index of the hidden neuron.
    drive
        Dimensionless drive I.
    protocol
        Settling time and control window (the deck runs through both) and the initial state.
    reltol
        Relative tolerance of the simulator; its tolerance of currents follows.
    max_step
        Largest time step, in units of T.
    inline
        Whether the subcircuits stand in the deck; otherwise it includes them from its own folder.
    data_file
        Name of a file for the samples (time, V(x), V(y)). With it the deck runs alone in `ngspice -b`, prints the
        mean of V(x) over the control window as `mean_vx`, and ends with a nonzero status if the run stopped early.

    Raises
    ------
    InputError
        If the cells have no components, or the initial state lies beyond the linear range of the parts.
    """
    circuit = components(cells)
    return _deck(
        "FHN neuron: one transient under a constant drive",
        [
            *supply_lines(circuit.cell),
            *neuron_lines(circuit, neuron, protocol),
            f"* The drive, drawn out of the summing node: I = {number(drive)}",
            f"Idrive sum2 0 {number(circuit.cell.drive_current(drive))}",
        ],
        circuit.cell,
        protocol,
        circuit.cell.NEURON_LIBRARIES,
        reltol=reltol,
        max_step=max_step,
        inline=inline,
        nodes=("x", "y"),
        means=("x",),
        data_file=data_file,
    )


def cell_deck(
    cells: Cells,
    neuron: int,
    z: float,
    protocol: Protocol,
    *,
    recentre: bool = True,
    reltol: float = RELTOL,
    max_step: float = MAX_STEP,
    inline: bool = True,
    data_file: str | None = None,
) -> str:
    """Complete deck of one hidden cell, from its pre-activation to its row: drive stage, neuron, row driver.

    The source `Vz`, which a simulator may alter, is `Cell.volts_per_z` z; for gamma < 0 it drives a tanh pair's `inp`,
    for gamma > 0 its `inn`, and the other input is grounded. Nodes `x` and `y` are Sx x and Sy y; node `row` rises with
    the activation (see `analog_fhn.readout.recentring`).

    Parameters
    ----------
    neuron
        Index of the hidden neuron.
    z
        Pre-activation, in the units of the weights.
    protocol, reltol, max_step, inline
        See `neuron_deck`.
    recentre
        Whether the row carries the activation; otherwise the shift resistor is left out, the driver's input is U3's
        output, and the row carries x alone.
    data_file
        As for `neuron_deck`, with V(row) as a third column and its mean printed as `mean_vrow`.

    Raises
    ------
    InputError
        If the cells have no components, or the initial state lies beyond the linear range of the parts.
    """
    circuit = components(cells)
    return _deck(
        "Hidden cell: drive stage, FHN neuron, row stage",
        [
            *supply_lines(circuit.cell),
            *neuron_lines(circuit, neuron, protocol),
            *_input_lines(circuit.cell.volts_per_z, z),
            *supply_lines(circuit.cell, recentre),
            *stage_lines(circuit, neuron, recentre),
        ],
        circuit.cell,
        protocol,
        circuit.cell.libraries,
        reltol=reltol,
        max_step=max_step,
        inline=inline,
        nodes=("x", "y", "row"),
        means=("x", "row"),
        data_file=data_file,
    )


def drive_stage_deck(cells: Cells, neuron: int, z: float, summing_volts: float = 0.0) -> str:
    """Complete deck of one drive stage, its output held at a voltage as by a summing node.

    `Vz` may be altered, as in `cell_deck`; the current of `Vsum2` is what the stage pushes into the summing node.
    Transistors and diodes have no capacitance: every point of the short transient is a tanh pair's answer, the end is
    that of a rectifier, whose amplifiers take microseconds.

    Parameters
    ----------
    summing_volts
        Voltage of the summing node: the offset of its amplifier.

    Raises
    ------
    InputError
        If the cells have no components.
    """
    circuit = components(cells)
    drive_stage = circuit.cell.stage_instances(circuit, neuron, True, "")[:1]
    lines = [*supply_lines(circuit.cell), *_input_lines(circuit.cell.volts_per_z, z), *instance_lines(drive_stage)]
    return _deck(
        "Drive stage: output current into a node at a constant voltage",
        [*lines, f"Vsum2 sum2 0 {number(summing_volts)}"],
        circuit.cell,
        Protocol(settle=0.0, control=0.2),
        circuit.cell.drive_libraries,
        reltol=RELTOL,
        max_step=MAX_STEP,
        inline=True,
        nodes=("z",),
        currents=("vsum2",),
        means=(),
        data_file=None,
    )


def neuron_decks(chip: ManufacturedChip, drives: Sequence[FloatArray]) -> dict[str, str]:
    """Text by file name of one deck per neuron, layer by layer, each of which runs with `ngspice -b`.

    `neuron_000.cir` prints `mean_vx` and writes `neuron_000.txt`: time, V(x), V(y) at the protocol's sampling
    interval. Neurons of the next hidden layer are `neuron_1_000.cir`, ....

    Parameters
    ----------
    drives
        Dimensionless drives, shape (n_neurons,), of each hidden layer.

    Raises
    ------
    InputError
        If the initial state lies beyond the linear range of the parts.
    ValueError
        If the drives' number or shape does not fit.
    """
    shapes, expected = [np.shape(one) for one in drives], [(len(one.cells),) for one in chip.hardware]
    if shapes != expected:
        raise ValueError(f"drives have shapes {shapes}; expected {expected}")
    decks = {}
    for layer, (one, values) in enumerate(zip(chip.hardware, drives, strict=True)):
        for k, drive in enumerate(values):
            name = f"neuron{cell_suffix(layer, k)}.cir"
            decks[name] = neuron_deck(
                one.cells, k, float(drive), chip.network.protocol, inline=False, data_file=data_file(name)
            )
    return decks


def cell_suffix(layer: int, cell: int) -> str:
    """What the names of a hidden cell end with; layers and cells count from 0."""
    return f"_{layer}_{cell:03d}" if layer else f"_{cell:03d}"


def data_file(deck: str) -> str:
    """Name of the file that a neuron's deck writes its waveforms into."""
    return f"{deck.removesuffix('.cir')}.txt"


def components(cells: Cells) -> CircuitCells:
    """The cells, if they are made of components.

    Raises
    ------
    InputError
        If they are ideal equations.
    """
    if not isinstance(cells, CircuitCells):
        raise InputError(
            "ngspice and VACASK simulate component values, and this chip has none (ideal equations): choose a "
            "technology, for instance discrete"
        )
    return cells


def libraries(*cells: Cell) -> dict[str, bytes]:
    """Content of every file of subcircuits that cells and arrays need, by its name, each after those that it needs."""
    texts = {name: cell.library(name).encode("ascii") for cell in cells for name in cell.libraries}
    around = dict.fromkeys(name for cell in cells for name in _AROUND[cell.technology.READ_OUT])
    return texts | {name: resource("netlists", name).read_bytes() for name in around}


def chip_libraries(chip: ManufacturedChip) -> dict[str, bytes]:
    """`libraries` of all of a chip, and that of its hold stages."""
    texts = libraries(*(one.cells.cell for one in chip.hardware))
    if any(one.holds is not None for one in chip.hardware):
        texts[HOLD_LIBRARY] = resource("netlists", HOLD_LIBRARY).read_bytes()
    return texts


def supply_lines(cell: Cell, recentre: bool | None = None) -> list[str]:
    """Sources of the supplies; with `recentre` of those that rows with or without recentring need besides."""
    supplies = cell.supplies() if recentre is None else cell.row_supplies(recentre)
    return [f"V{name[1:]} {name} 0 {number(value)}" for name, value in supplies.items()]


def neuron_lines(cells: CircuitCells, neuron: int, protocol: Protocol, suffix: str = "") -> list[str]:
    """Instances of one neuron, see `Cell.neuron_instances`.

    Raises
    ------
    InputError
        If the initial state lies beyond what the circuit can begin with.
    """
    return instance_lines(cells.cell.neuron_instances(cells, neuron, protocol, suffix))


def stage_lines(cells: CircuitCells, neuron: int, recentre: bool, suffix: str = "") -> list[str]:
    """Instances of the stages around one neuron, see `Cell.stage_instances`."""
    return instance_lines(cells.cell.stage_instances(cells, neuron, recentre, suffix))


def sense_lines(sense: ReadOut, output: int, technology: Technology, name: str, nodes: str) -> list[str]:
    """Text of `sense_instance`."""
    return instance_lines([sense_instance(sense, output, technology, name, nodes)])


def sense_instance(sense: ReadOut, output: int, technology: Technology, name: str, nodes: str) -> Instance:
    """Instance `name` of an array's transimpedance amplifier between `nodes`: columns + and -, output."""
    parts = {part: float(values[output]) for part, values in sense.items()}
    parameters = parts | amplifier_parameters(technology, op_amps(technology))
    return Instance(name, (*nodes.split(), "vcc", "vee"), "transimpedance", parameters)


def accuracy_lines(cell: Cell, reltol: float = RELTOL) -> list[str]:
    """Options: tolerances and temperature."""
    celsius = round(cell.technology.conditions.temperature - 273.15, 9)
    return [
        "* With the usual reltol of 1e-3 and no largest step the period comes out wrong by several per cent, silently.",
        "* abstol is reltol of a typical current, so that idle branches do not hold up the iterations.",
        f".options {' '.join(f'{name}={number(value)}' for name, value in cell.tolerances(reltol).items())}",
        f".options temp={number(celsius)} tnom={number(round(NOMINAL_TEMPERATURE - 273.15, 9))}",
    ]


def transient_line(cell: Cell, protocol: Protocol, max_step: float = MAX_STEP) -> str:
    """The analysis, from the initial conditions through settling time and control window."""
    step = number(max_step * cell.time_unit)
    begin = "" if cell.BEGINS_SETTLED else " uic"
    return f".tran {step} {number((protocol.settle + protocol.control) * cell.time_unit)} 0 {step}{begin}"


def check_lines(protocol: Protocol, unit: float) -> list[str]:
    """ngspice commands after `run`: end with status 1 if it did not reach the end of the control window."""
    stop = (protocol.settle + protocol.control) * unit
    return [
        "let reached = time[length(time)-1]",
        f"if reached < {number(stop * (1 - 1e-9))}",
        "  echo the transient stopped early",
        "  quit 1",
        "end",
    ]


def mean_lines(node: str, protocol: Protocol, unit: float) -> list[str]:
    """ngspice commands that set `mean_vnode` to the time average of V(node) over the control window, edges included."""
    start, stop = protocol.settle * unit, (protocol.settle + protocol.control) * unit
    # The first time point is not 0 but a fraction of a step.
    at_zero = f"let area_start = -time[0]*v({node})[0]"
    return [
        f"let area = integ(v({node}))",
        f"meas tran area_start FIND area AT={number(start)}" if start > 0 else at_zero,
        f"meas tran area_stop FIND area AT={number(stop)}",
        f"let mean_v{node} = (area_stop - area_start)/{number(protocol.control * unit)}",
    ]


def _input_lines(volts_per_unit: float, z: float) -> list[str]:
    return [
        f"* The pre-activation, {number(volts_per_unit)} V per unit: z = {number(z)}",
        f"Vz z 0 {number(volts_per_unit * z)}",
    ]


def _deck(
    title: str,
    circuit: list[str],
    cell: Cell,
    protocol: Protocol,
    libraries: tuple[str, ...],
    *,
    reltol: float,
    max_step: float,
    inline: bool,
    nodes: tuple[str, ...],
    means: tuple[str, ...],
    data_file: str | None,
    currents: tuple[str, ...] = (),
) -> str:
    """A circuit with its subcircuits, supplies' currents, analysis and, with a data file, its evaluation."""
    saved = [f"v({node})" for node in nodes] + [f"i({name})" for name in (*cell.supplies(), *currents)]
    lines = [
        title if inline else f"* {title}",  # spicelib takes a title for an element where it is no comment
        *_libraries(cell, libraries, inline),
        *circuit,
        *accuracy_lines(cell, reltol),
        transient_line(cell, protocol, max_step),
        f".save {' '.join(saved)}",
        *([] if data_file is None else _control(protocol, cell.time_unit, data_file, nodes, means)),
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _libraries(cell: Cell, names: tuple[str, ...], inline: bool) -> list[str]:
    if not inline:
        return [f".include {name}" for name in names]
    lines = []
    for name in names:
        lines += [line for line in cell.library(name).splitlines() if line.strip() and not line.startswith("*")]
    return lines


def _control(
    protocol: Protocol, unit: float, data_file: str, nodes: tuple[str, ...], means: tuple[str, ...]
) -> list[str]:
    waves = " ".join(f"v({node})" for node in nodes)
    return [
        ".control",
        ONE_THREAD,
        "set numdgt=12",
        "set wr_singlescale",
        "set wr_vecnames",
        "run",
        *check_lines(protocol, unit),
        "* The mean is the integral over the control window, both edges interpolated.",
        *(line for node in means for line in (*mean_lines(node, protocol, unit), f"print mean_v{node}")),
        f"let lin-tstep = {number(protocol.interval * unit)}",
        f"linearize {waves}",
        f"wrdata {data_file} {waves}",
        "quit",
        ".endc",
    ]
