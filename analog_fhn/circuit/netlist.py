"""The one writer of netlist text: decks that instantiate the subcircuits of `netlists/`.

Numbers are written as plain SI floats that read back exactly; every name and title is fixed text of this module.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.neuron import drive_current
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.resources import resource

LIBRARIES = ("opamp.lib", "multiplier.lib", "fhn_neuron.lib")

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

    Nodes `x` and `y` are Sx x and Sy y; the drive is the current source `Idrive`, which a simulator may alter.

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
    if chip.parts is None or chip.scales is None or chip.technology is None:
        raise InputError(
            "ngspice simulates component values, and this chip has none (ideal equations): "
            "choose a technology, for instance --technology discrete"
        )
    technology, scales = chip.technology, chip.scales
    unit, supplies = scales.time_unit, technology.supplies
    vx0, vy0 = scales.sx * protocol.x0, scales.sy * protocol.y0
    if max(abs(vx0), abs(vy0)) > supplies.linear_range:
        raise InputError(
            f"protocol x0 = {protocol.x0:g}, y0 = {protocol.y0:g} are {vx0:g} V and {vy0:g} V in this circuit; "
            f"technology {technology.name!r} has a linear range of {supplies.linear_range:g} V"
        )
    amp, multiplier = technology.opamp, technology.multiplier
    parameters = {name: values[neuron] for name, values in chip.parts.items()}
    parameters |= {
        "gain": amp.gain,
        "gbw": amp.gain_bandwidth,
        "slew": amp.slew_rate,
        "vmax": amp.output_limit,
        "scale": multiplier.scale,
        "bw": multiplier.bandwidth,
        "wmax": multiplier.output_limit,
        "vx0": vx0,
        "vy0": vy0,
    }
    stop = (protocol.settle + protocol.control) * unit
    step = number(max_step * unit)
    lines = [
        "FHN neuron: one transient under a constant drive",
        f"* Neuron {neuron} of the chip; V(x) = {number(scales.sx)} x, V(y) = {number(scales.sy)} y, "
        f"time unit {number(unit)} s.",
        *_libraries(inline),
        f"Vref vref 0 {number(-supplies.reference)}",
        "Xneuron x nx y sum2 vref fhn_neuron",
        *_parameter_lines(parameters),
        f"* The drive, drawn out of the summing node: I = {number(drive)}",
        f"Idrive sum2 0 {number(drive_current(drive, scales, technology))}",
        "* With the usual reltol of 1e-3 and no largest step the period comes out wrong by several per cent, silently.",
        "* abstol is reltol of the current Sx/R1, so that idle branches do not hold up the iterations.",
        f".options reltol={number(reltol)} abstol={number(reltol * scales.sx / technology.neuron.r1)}",
        f".tran {step} {number(stop)} 0 {step} uic",
        ".save v(x) v(y)",
        *([] if data_file is None else _control(protocol, unit, data_file)),
        ".end",
    ]
    return "\n".join(lines) + "\n"


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
    drives = np.asarray(drives, dtype=np.float64)
    if drives.shape != (chip.n_neurons,):
        raise ValueError(f"drives have shape {drives.shape}; expected ({chip.n_neurons},)")
    decks = [
        neuron_deck(chip, k, drive, protocol, inline=False, data_file=f"neuron_{k:03d}.txt")
        for k, drive in enumerate(drives)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        shutil.copyfile(resource("netlists", name), folder / name)
    paths = [folder / f"neuron_{k:03d}.cir" for k in range(len(decks))]
    for path, deck in zip(paths, decks, strict=True):
        path.write_text(deck, encoding="ascii")
    return paths


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


def _libraries(inline: bool) -> list[str]:
    if not inline:
        return [f".include {name}" for name in LIBRARIES]
    lines = []
    for name in LIBRARIES:
        text = resource("netlists", name).read_text(encoding="ascii")
        lines += [line for line in text.splitlines() if line.strip() and not line.startswith("*")]
    return lines


def _parameter_lines(parameters: dict[str, float], per_line: int = 4) -> list[str]:
    items = [f"{name}={number(value)}" for name, value in parameters.items()]
    rows = [" ".join(items[k : k + per_line]) for k in range(0, len(items), per_line)]
    return [f"+ PARAMS: {rows[0]}", *(f"+ {row}" for row in rows[1:])]


def _control(protocol: Protocol, unit: float, data_file: str) -> list[str]:
    start, stop = protocol.settle * unit, (protocol.settle + protocol.control) * unit
    # The first time point is not 0 but a fraction of a step.
    at_zero = "let area_start = -time[0]*v(x)[0]"
    area_start = f"meas tran area_start FIND area AT={number(start)}" if start > 0 else at_zero
    return [
        ".control",
        "set numdgt=12",
        "set wr_singlescale",
        "set wr_vecnames",
        "run",
        "let reached = time[length(time)-1]",
        f"if reached < {number(stop * (1 - 1e-9))}",
        "  echo the transient stopped early",
        "  quit 1",
        "end",
        "* The mean is the integral over the control window, both edges interpolated.",
        "let area = integ(v(x))",
        area_start,
        f"meas tran area_stop FIND area AT={number(stop)}",
        f"let mean_vx = (area_stop - area_start)/{number(protocol.control * unit)}",
        "print mean_vx",
        f"let lin-tstep = {number(protocol.interval * unit)}",
        "linearize v(x) v(y)",
        f"wrdata {data_file} v(x) v(y)",
        "quit",
        ".endc",
    ]
