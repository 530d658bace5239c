"""The one writer of netlist text: decks that instantiate the subcircuits of `netlists/`.

Numbers are written as plain SI floats that read back exactly; every name and title is fixed text of this module.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analog_fhn._support.files import write_set
from analog_fhn._support.resources import resource
from analog_fhn.cell.neuron import Scales, drive_current
from analog_fhn.cell.stages import NO_SHIFT, bias_current
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.readout import recentring
from analog_fhn.technology.technology import NOMINAL_TEMPERATURE, OpAmp, Technology

# Every subcircuit, each after those that it is made of.
LIBRARIES = (
    "opamp.lib", "multiplier.lib", "fhn_neuron.lib", "tanh_pair.lib", "row_driver.lib", "transimpedance.lib",
)  # fmt: skip
NEURON_LIBRARIES = LIBRARIES[:3]
CELL_LIBRARIES = LIBRARIES[:5]

# Measured on the nominal neuron against reltol 1e-7 with a step of 0.005 T: with these two the period is off by
# less than 0.02 % at drives -0.1, -0.5 and -1. At reltol 1e-4 it is off by 0.2 %; at the simulator's own 1e-3, with
# no largest step, by several per cent, without a message.
RELTOL = 1e-5
MAX_STEP = 0.05


def neuron_deck(
    chip: Chip,
    neuron: int,
    drive: float,
    protocol: Protocol,
    *,
    reltol: float = RELTOL,
    max_step: float = MAX_STEP,
    inline: bool = True,
    data_file: str | None = None,
) -> str:
    """Complete deck of one neuron of the chip under one constant drive.

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
        If the chip has no components, or the initial state lies beyond the linear range of the parts.
    """
    technology, scales = components(chip)
    return _deck(
        "FHN neuron: one transient under a constant drive",
        [
            *supply_lines(technology),
            *neuron_lines(chip, neuron, protocol),
            f"* The drive, drawn out of the summing node: I = {number(drive)}",
            f"Idrive sum2 0 {number(drive_current(drive, scales, technology))}",
        ],
        chip,
        protocol,
        NEURON_LIBRARIES,
        reltol=reltol,
        max_step=max_step,
        inline=inline,
        nodes=("x", "y"),
        means=("x",),
        data_file=data_file,
    )


def cell_deck(
    chip: Chip,
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
    """Complete deck of one hidden cell, from its pre-activation to its row: tanh pair, neuron, row driver.

    The source `Vz`, which a simulator may alter, is `volts_per_unit` z; for gamma < 0 it drives the pair's `inp`, for
    gamma > 0 its `inn`, and the other input is grounded. Nodes `x` and `y` are Sx x and Sy y; node `row` rises with
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
        If the chip has no components, or the initial state lies beyond the linear range of the parts.
    """
    technology, _ = components(chip)
    volts = technology.tanh_pair.volts_per_unit
    return _deck(
        "Hidden cell: tanh pair, FHN neuron, row driver",
        [
            *supply_lines(technology),
            *neuron_lines(chip, neuron, protocol),
            *_input_lines(volts, z),
            *pair_lines(chip, neuron),
            *shift_lines(chip, recentre),
            *driver_lines(chip, neuron, recentre),
        ],
        chip,
        protocol,
        CELL_LIBRARIES,
        reltol=reltol,
        max_step=max_step,
        inline=inline,
        nodes=("x", "y", "row"),
        means=("x", "row"),
        data_file=data_file,
    )


def pair_deck(chip: Chip, neuron: int, z: float) -> str:
    """Complete deck of one tanh pair, its output held at 0 V as by a summing node.

    `Vz` may be altered, as in `cell_deck`; the current of `Vsum2` is what the pair pushes into the summing node. The
    transistors have no capacitance, so every point of the short transient is the answer.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    technology, _ = components(chip)
    volts = technology.tanh_pair.volts_per_unit
    return _deck(
        "Tanh pair: output current into a node at 0 V",
        [*supply_lines(technology), *_input_lines(volts, z), *pair_lines(chip, neuron), "Vsum2 sum2 0 0"],
        chip,
        Protocol(settle=0.0, control=0.2),
        CELL_LIBRARIES[3:4],
        reltol=RELTOL,
        max_step=MAX_STEP,
        inline=True,
        nodes=("z",),
        currents=("vsum2",),
        means=(),
        data_file=None,
    )


def supply_voltages(technology: Technology) -> dict[str, float]:
    """Name and voltage (V) of every supply of a deck, under the technology's conditions."""
    supplies, relative = technology.supplies, technology.conditions.supply
    return {
        "vcc": supplies.positive * relative,
        "vee": supplies.negative * relative,
        "vref": -supplies.reference,
    }


def write_neuron_netlists(chip: Chip, drives: FloatArray, protocol: Protocol, folder: Path) -> list[Path]:
    """Write one deck per neuron, and the subcircuits, into a folder where each runs with `ngspice -b`.

    `neuron_000.cir` prints `mean_vx` and writes `neuron_000.txt`: time, V(x), V(y) at the protocol's sampling
    interval.

    Parameters
    ----------
    drives
        Shape (n_neurons,), dimensionless.
    folder
        Created if it does not exist.

    Returns
    -------
    list of Path
        The decks, in the order of the neurons.
    """
    decks = neuron_decks(chip, drives, protocol)
    write_set(folder, libraries() | {name: deck.encode("ascii") for name, deck in decks.items()})
    return [folder / name for name in decks]


def neuron_decks(chip: Chip, drives: FloatArray, protocol: Protocol) -> dict[str, str]:
    """Text by file name of the decks that `write_neuron_netlists` writes, in the order of the neurons."""
    drives = np.asarray(drives, dtype=np.float64)
    if drives.shape != (chip.n_neurons,):
        raise ValueError(f"drives have shape {drives.shape}; expected ({chip.n_neurons},)")
    return {
        f"neuron_{k:03d}.cir": neuron_deck(
            chip, k, drive, protocol, inline=False, data_file=data_file(f"neuron_{k:03d}.cir")
        )
        for k, drive in enumerate(drives)
    }


def data_file(deck: str) -> str:
    """Name of the file that a neuron's deck writes its waveforms into."""
    return f"{deck.removesuffix('.cir')}.txt"


def number(value: float) -> str:
    """Plain SI float as netlist text; reads back as the same number.

    Raises
    ------
    ValueError
        If the value is not finite: a simulator would take "nan" for a name.
    """
    if not np.isfinite(value):
        raise ValueError(f"{value} cannot stand in a netlist; expected a finite number")
    return repr(float(value))


def components(chip: Chip) -> tuple[Technology, Scales]:
    """Technology and scales of a chip.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    if chip.parts is None or chip.scales is None or chip.technology is None:
        raise InputError(
            "ngspice simulates component values, and this chip has none (ideal equations): "
            "choose a technology, for instance --technology discrete"
        )
    return chip.technology, chip.scales


def libraries() -> dict[str, bytes]:
    """Content of every file of subcircuits, by its name."""
    return {name: resource("netlists", name).read_bytes() for name in LIBRARIES}


def supply_lines(technology: Technology) -> list[str]:
    """Sources `Vcc`, `Vee`, `Vref`."""
    return [f"V{name[1:]} {name} 0 {number(value)}" for name, value in supply_voltages(technology).items()]


def neuron_lines(chip: Chip, neuron: int, protocol: Protocol, suffix: str = "") -> list[str]:
    """Instance `Xneuron` between the nodes `x`, `nx`, `y` and `sum2`, each with a suffix to its name.

    Raises
    ------
    InputError
        If the chip has no components, or the initial state lies beyond the linear range of the parts.
    """
    technology, scales = components(chip)
    assert chip.parts is not None
    supplies, multiplier = technology.supplies, technology.multiplier
    vx0, vy0 = scales.sx * protocol.x0, scales.sy * protocol.y0
    if max(abs(vx0), abs(vy0)) > supplies.linear_range:
        raise InputError(
            f"protocol x0 = {protocol.x0:g}, y0 = {protocol.y0:g} are {vx0:g} V and {vy0:g} V in this circuit; "
            f"technology {technology.name!r} has a linear range of {supplies.linear_range:g} V"
        )
    high, low = _drops(technology, multiplier.output_limit)
    parameters = {name: values[neuron] for name, values in chip.parts.items()}
    parameters |= opamp_parameters(technology, technology.opamp)
    parameters |= {
        "scale": multiplier.scale,
        "bw": multiplier.bandwidth,
        "m_drop_high": high,
        "m_drop_low": low,
        "m_iq": multiplier.quiescent_current,
        "vx0": vx0,
        "vy0": vy0,
    }
    return [
        f"* Neuron {neuron} of the chip; V(x) = {number(scales.sx)} x, V(y) = {number(scales.sy)} y, "
        f"time unit {number(scales.time_unit)} s.",
        f"Xneuron{suffix} x{suffix} nx{suffix} y{suffix} sum2{suffix} vref vcc vee fhn_neuron",
        *parameter_lines(parameters),
    ]


def pair_lines(chip: Chip, neuron: int, suffix: str = "") -> list[str]:
    """Instance `Xpair` from node `z` to node `sum2`, each with a suffix to its name.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    technology, _ = components(chip)
    if chip.pair is None:
        raise InputError("this chip has ideal tanh pairs, and a netlist needs their components")
    transistor = technology.tanh_pair
    pair = {name: values[neuron] for name, values in chip.pair.items()}
    pair |= {"isat": transistor.saturation_current, "vaf": transistor.early_voltage}
    inputs = f"z{suffix} 0" if chip.network.fhn.gamma < 0 else f"0 z{suffix}"
    return [f"Xpair{suffix} {inputs} sum2{suffix} vcc vee tanh_pair", *parameter_lines(pair)]


def shift_lines(chip: Chip, recentre: bool) -> list[str]:
    """The positive reference `Vplus`, where the row drivers shift their rows down."""
    technology, _ = components(chip)
    return [f"Vplus vplus 0 {number(technology.supplies.reference)}"] if _shift(chip, recentre) == "vplus" else []


def driver_lines(chip: Chip, neuron: int, recentre: bool, suffix: str = "") -> list[str]:
    """Instance `Xdriver` from node `nx` or `x` to node `row`, each with a suffix to its name.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    technology, _ = components(chip)
    if chip.driver is None:
        raise InputError("this chip has ideal row drivers, and a cell's netlist needs their components")
    driver = {name: values[neuron] for name, values in chip.driver.items()}
    if not recentre:
        driver["rshift"] = NO_SHIFT
    rising = not recentre or recentring(chip.network.hidden, chip.network.fhn.a, chip.network.fhn.gamma)[0] > 0
    return [
        f"Xdriver{suffix} {'nx' if rising else 'x'}{suffix} row{suffix} {_shift(chip, recentre)} vcc vee row_driver",
        *parameter_lines(driver | opamp_parameters(technology, technology.opamp)),
    ]


def sense_lines(chip: Chip, layer: int, output: int, name: str, nodes: str) -> list[str]:
    """Instance `name` of an array's transimpedance amplifier between `nodes`: columns + and -, output.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    technology, _ = components(chip)
    if chip.arrays is None:
        raise InputError("this chip has no arrays, and a netlist needs their components")
    sense = {part: values[output] for part, values in chip.arrays[layer].sense.items()}
    return [
        f"{name} {nodes} vcc vee transimpedance",
        *parameter_lines(sense | opamp_parameters(technology, technology.sense_amplifier)),
    ]


def opamp_parameters(technology: Technology, amplifier: OpAmp) -> dict[str, float]:
    """Parameters of `netlists/opamp.lib`, but for the offset, under the technology's conditions."""
    high, low = _drops(technology, amplifier.output_limit)
    return {
        "ib": bias_current(amplifier, technology.conditions.temperature),
        "gain": amplifier.gain,
        "gbw": amplifier.gain_bandwidth,
        "slew": amplifier.slew_rate,
        "drop_high": high,
        "drop_low": low,
        "iq": amplifier.quiescent_current,
    }


def parameter_lines(parameters: dict[str, float], per_line: int = 4) -> list[str]:
    """Parameters of an instance as continuation lines."""
    items = [f"{name}={number(value)}" for name, value in parameters.items()]
    rows = [" ".join(items[k : k + per_line]) for k in range(0, len(items), per_line)]
    return [f"+ PARAMS: {rows[0]}", *(f"+ {row}" for row in rows[1:])]


def accuracy_lines(chip: Chip, reltol: float = RELTOL) -> list[str]:
    """Options: tolerances and temperature."""
    technology, scales = components(chip)
    celsius = round(technology.conditions.temperature - 273.15, 9)
    return [
        "* With the usual reltol of 1e-3 and no largest step the period comes out wrong by several per cent, silently.",
        "* abstol is reltol of the current Sx/R1, so that idle branches do not hold up the iterations.",
        f".options reltol={number(reltol)} abstol={number(reltol * scales.sx / technology.neuron.r1)}",
        f".options temp={number(celsius)} tnom={number(round(NOMINAL_TEMPERATURE - 273.15, 9))}",
    ]


def transient_line(chip: Chip, protocol: Protocol, max_step: float = MAX_STEP) -> str:
    """The analysis, from the initial conditions through settling time and control window."""
    _, scales = components(chip)
    step = number(max_step * scales.time_unit)
    return f".tran {step} {number((protocol.settle + protocol.control) * scales.time_unit)} 0 {step} uic"


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


def _shift(chip: Chip, recentre: bool) -> str:
    """Node that the row drivers' shift resistors come from."""
    fhn = chip.network.fhn
    return "vplus" if recentre and recentring(chip.network.hidden, fhn.a, fhn.gamma)[1] < 0 else "vref"


def _drops(technology: Technology, output_limit: float) -> tuple[float, float]:
    supplies = technology.supplies
    return supplies.positive - output_limit, -supplies.negative - output_limit


def _deck(
    title: str,
    circuit: list[str],
    chip: Chip,
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
    technology, scales = components(chip)
    saved = [f"v({node})" for node in nodes] + [f"i({name})" for name in (*supply_voltages(technology), *currents)]
    lines = [
        title if inline else f"* {title}",  # spicelib takes a title for an element where it is no comment
        *_libraries(libraries, inline),
        *circuit,
        *accuracy_lines(chip, reltol),
        transient_line(chip, protocol, max_step),
        f".save {' '.join(saved)}",
        *([] if data_file is None else _control(protocol, scales.time_unit, data_file, nodes, means)),
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _libraries(names: tuple[str, ...], inline: bool) -> list[str]:
    if not inline:
        return [f".include {name}" for name in names]
    lines = []
    for name in names:
        text = resource("netlists", name).read_text(encoding="ascii")
        lines += [line for line in text.splitlines() if line.strip() and not line.startswith("*")]
    return lines


def _control(
    protocol: Protocol, unit: float, data_file: str, nodes: tuple[str, ...], means: tuple[str, ...]
) -> list[str]:
    waves = " ".join(f"v({node})" for node in nodes)
    return [
        ".control",
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
