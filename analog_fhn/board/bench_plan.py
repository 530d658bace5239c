"""The folder of a bench plan: a page that says what to measure, a table to fill in, expected values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.files import new_table, write_text
from analog_fhn._support.json_text import read_object
from analog_fhn._support.words import engineering
from analog_fhn.board.bench_model import CellModel, spread
from analog_fhn.board.bench_recordings import FOLDER, file_name
from analog_fhn.board.bench_steps import TIMES, WORDS, BenchProtocol, Channel, Shot, Step, bench_protocols
from analog_fhn.board.measured import write_measurements
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray

FILES = ("plan.md", "plan.json", "measurements.csv", "expected.csv", "sensitivities.csv")
"""Files of a plan."""
CHIP_FILE = "measurements_chip.csv"
"""What a drawn chip would give, by the equations."""
_FORMAT = 1
_OUT = {"tanh pair": "the LM13700 out of its socket", "rectifier": "Rout and Roff lifted at one end"}
_LOW, _HIGH = 2.5, 97.5  # per cent of the cells of drawn chips


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What is measured of the cells of one hidden layer.

    Parameters
    ----------
    steps
        Of each of them.
    neurons
        Numbers of the cells.
    volts_per_x
        Voltage of Vx for x = 1 (V).
    """

    steps: tuple[Step, ...]
    neurons: int
    volts_per_x: float


@dataclass(frozen=True, eq=False)
class ExpectedReadings:
    """Readings of the nominal cell, and their interval over drawn chips, each of shape (n_readings,)."""

    nominal: FloatArray
    low: FloatArray
    high: FloatArray


def expected_readings(design: Design, layer: int, model: CellModel) -> ExpectedReadings:
    """Nominal readings, and the interval of 95 % of the cells of drawn chips."""
    drawn = spread(design, layer, model)
    return ExpectedReadings(
        model.expected, *(np.asarray(np.nanpercentile(drawn, share, axis=0)) for share in (_LOW, _HIGH))
    )


def write_plan(design: Design, folder: Path, cells: int | None = None, seed: int | None = None) -> list[str]:
    """Write the files of a plan; returns their names.

    Parameters
    ----------
    cells
        Only so many of the first cells of each layer are asked for; None: all.
    seed
        Of a chip whose readings are written as well; None: of none.

    Raises
    ------
    InputError
        If the design is no board.
    """
    protocols = bench_protocols(design)
    models = [CellModel.of(design, layer, protocol) for layer, protocol in enumerate(protocols)]
    expected = [expected_readings(design, layer, model) for layer, model in enumerate(models)]
    plans = [
        LayerPlan(p.steps, p.cell.n_cells if cells is None else min(cells, p.cell.n_cells), p.cell.volts_per_x)
        for p in protocols
    ]
    blank = [np.full((plan.neurons, len(p.readings)), np.nan) for plan, p in zip(plans, protocols, strict=True)]
    write_text(folder / "plan.md", _page(design, protocols, plans, expected))
    layers = [asdict(plan) for plan in plans]
    write_text(folder / "plan.json", json.dumps({"format": _FORMAT, "layers": layers}, indent=1) + "\n")
    write_measurements(folder / "measurements.csv", [plan.steps for plan in plans], blank)
    _write_expected(folder / "expected.csv", protocols, expected)
    _write_sensitivities(folder / "sensitivities.csv", models)
    if seed is None:
        return list(FILES)
    hardware = design.chip(seed).hardware
    drawn = [model.read(one.cells)[: plan.neurons] for model, one, plan in zip(models, hardware, plans, strict=True)]
    write_measurements(folder / CHIP_FILE, [plan.steps for plan in plans], drawn)
    return [*FILES, CHIP_FILE]


def read_plan(folder: Path) -> tuple[LayerPlan, ...]:
    """The plan that `write_plan` wrote into a folder.

    Raises
    ------
    InputError
        If there is none, or it is broken.
    """
    path = folder / "plan.json"
    try:
        content = read_object(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a folder that `analog-fhn bench plan` wrote"
        ) from None
    if content.get("format") != _FORMAT:
        raise InputError(f"{path}: format {shown(content.get('format'))}; this version reads format {_FORMAT}")
    try:
        return tuple(_layer(one) for one in content["layers"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a plan of this version ({type(error).__name__}: {error!s:.80})") from None


def _layer(content: dict[str, Any]) -> LayerPlan:
    steps = []
    for step in content["steps"]:
        shots = tuple(
            Shot(
                str(shot["name"]), tuple(Channel(str(c["point"]), float(c["per_division"])) for c in shot["channels"]),
                float(shot["per_division"]), None if shot["trigger"] is None else float(shot["trigger"]),
            )
            for shot in step["shots"]
        )  # fmt: skip
        drive, volts = (None if step[key] is None else float(step[key]) for key in ("drive", "volts_z"))
        readings = tuple(map(str, step["readings"]))
        steps.append(Step(str(step["name"]), drive, volts, readings, float(step["settle"]), shots))
    return LayerPlan(tuple(steps), int(content["neurons"]), float(content["volts_per_x"]))


def _write_expected(path: Path, protocols: Sequence[BenchProtocol], expected: Sequence[ExpectedReadings]) -> None:
    with new_table(path, lineterminator="\n") as table:
        table.writerow(["layer", "step", "reading", "low", "nominal", "high", "unit"])
        for layer, (protocol, values) in enumerate(zip(protocols, expected, strict=True)):
            for reading, low, nominal, high in zip(
                protocol.readings, values.low, values.nominal, values.high, strict=True
            ):
                numbers = [f"{value:.6g}" for value in (low, nominal, high)]
                name = protocol.steps[reading.step].name
                table.writerow([layer, name, reading.column, *numbers, "s" if reading.column in TIMES else "V"])


def _write_sensitivities(path: Path, models: Sequence[CellModel]) -> None:
    """Change of every reading for one standard deviation of every part."""
    with new_table(path, lineterminator="\n") as table:
        table.writerow(["layer", "part", "parameter", "sigma", *_names(models[0])])
        for layer, model in enumerate(models):
            for error, column in zip(model.errors, model.sensitivities.T, strict=True):
                row = [layer, error.words, error.path(""), error.size(1.0)]
                table.writerow([*row, *(f"{value:.4g}" for value in column)])


def _names(model: CellModel) -> list[str]:
    steps = model.protocol.steps
    return [f"{steps[reading.step].name} {reading.column}" for reading in model.protocol.readings]


def _page(
    design: Design, protocols: Sequence[BenchProtocol], plans: Sequence[LayerPlan], expected: Sequence[ExpectedReadings]
) -> str:  # fmt: skip
    network, technology = design.network, design.technology
    lines = [
        f"# Bench plan: {network.sizes_text}, technology {technology.name}",
        "",
        f"{sum(plan.neurons for plan in plans)} cells, {len(protocols[0].readings)} readings each. Fill in "
        "`measurements.csv`: one line for each cell and step, volts and seconds. Or save what the oscilloscope shows "
        f"as CSV in `{FOLDER}/` under the names below, and let `analog-fhn bench read` fill in the table.",
        "",
        *_supplies(protocols[0]),
    ]
    for number, (protocol, plan, values) in enumerate(zip(protocols, plans, expected, strict=True)):
        place = f"Hidden layer {number + 1}: cells" if len(plans) > 1 else "Cells"
        lines += ["", f"## {place} 0 to {plan.neurons - 1}"]
        for step in plan.steps:
            lines += ["", *_step_lines(number, step, protocol)]
        lines += ["", "### Expected", "", *_expected_lines(protocol, values)]
    return "\n".join(lines) + "\n"


def _supplies(protocol: BenchProtocol) -> list[str]:
    supplies = {**protocol.cell.supplies(), **protocol.cell.row_supplies(protocol.carried)}
    r4 = protocol.cell.technology.neuron.r4
    return [
        "## Before you begin",
        "",
        "- Supplies: " + ", ".join(f"{name} {value:+g} V" for name, value in supplies.items())
        + ". Wait until the board is warm.",
        "- All trim codes at 0, the middle of their range.",
        "- Oscilloscope: DC coupling, probes 10:1 compensated, full bandwidth, 2500 samples of each channel. Levels "
        "are as true as its gain: let every channel show the reference first, and correct what a multimeter says "
        "otherwise. Where a trace is a flat line (noise below one step of the converter), take high resolution or a "
        "multimeter's DC reading.",
        f"- Current source: a voltage behind a resistor of {engineering(r4, 'ohm')}, 0.1 % or better, into the summing "
        "node of U2 (where R4, R5 and Cy meet), which stands at 0 V.",
        f"- Steps A need the drive stage out of the circuit ({_OUT[protocol.cell.drive.NAME]}), steps B a voltage at "
        "Vz: on a board of cells alone at its input connector, on the board of a network with the amplifiers of the "
        "array in front out of their sockets.",
    ]  # fmt: skip


def _step_lines(layer: int, step: Step, protocol: BenchProtocol) -> list[str]:
    cell = protocol.cell
    if step.drive is not None:
        current = cell.drive_current(step.drive)
        volts = -current * cell.technology.neuron.r4
        way = "out of" if current > 0 else "into"
        what = (
            f"Drive stage unplugged. Draw {engineering(abs(current), 'A')} {way} the summing node of U2 ({volts:+.4g} "
            f"V at the resistor): drive {step.drive:g}."
        )
    else:
        what = f"Drive stage in place. {step.volts_z:+g} V at Vz."
    lines = [f"### {step.name}", "", what, "", f"Wait {engineering(step.settle, 's')}. Read:", ""]
    lines += [f"- `{column}`: {WORDS[column]}" for column in step.readings]
    lines += ["", "| file | time base | trigger | channels |", "|---|---|---|---|"]
    for shot in step.shots:
        channels = ", ".join(
            f"CH{k} {channel.point} ({engineering(channel.per_division, 'V')}/div)"
            for k, channel in enumerate(shot.channels, start=1)
        )
        trigger = "auto" if shot.trigger is None else f"Vx rising through {shot.trigger:g} V, mid-screen"
        name = file_name(layer, 0, shot.name)
        rate = engineering(shot.samples / shot.duration, "S/s")
        lines.append(f"| `{name}`, ... | {engineering(shot.per_division, 's')}/div, {rate} | {trigger} | {channels} |")
    return lines


def _expected_lines(protocol: BenchProtocol, values: ExpectedReadings) -> list[str]:
    lines = ["| step | reading | nominal | 95 % of the cells |", "|---|---|---|---|"]
    for reading, low, nominal, high in zip(protocol.readings, values.low, values.nominal, values.high, strict=True):
        unit = "s" if reading.column in TIMES else "V"
        low_text, text, high_text = (engineering(float(value), unit) for value in (low, nominal, high))
        name = protocol.steps[reading.step].name
        lines.append(f"| {name} | {WORDS[reading.column]} | {text} | {low_text} to {high_text} |")
    return lines
