"""`analog-fhn arrays`: what the arrays of a chip are made of, what their wires lose, and which weights remain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import console, costs, outputs, parameters
from analog_fhn.cli.console import engineering
from analog_fhn.cli.groups import ChipOptions, NetworkOptions, OneImageOptions
from analog_fhn.cli.options import takes_option_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analog_fhn.checks.array_summary import ArraySummary
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.design import Design
    from analog_fhn.neuron import FloatArray

FILES = ("arrays.csv", "conductances.png", "line_losses.png", "weights.png")


@dataclass(frozen=True)
class ShownImage(OneImageOptions):
    """Image under which the lines are shown."""

    image: Annotated[
        int | None,
        typer.Option("--image", min=0, help="Show the lines under this image, not with all rows at the read voltage."),
    ] = None

    WITHOUT_IMAGE = ": without --image K no image is shown"


@takes_option_groups
def arrays(
    network: parameters.NetworkArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the pictures and arrays.csv.")
    ],
    *,
    circuit: ChipOptions,
    shown: ShownImage,
    how: NetworkOptions,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Show a chip's arrays in numbers and pictures: conductances, voltages lost on the lines, effective weights."""
    from analog_fhn import plots
    from analog_fhn.checks.array_summary import summarise

    start = time.perf_counter()
    net = how.load(network)
    costs.check_work(costs.layout(net, output, exported=False), yes=yes)
    image = shown.load(net, data)
    design = circuit.design(net)
    folder = outputs.output_folder(output)
    for name in FILES:
        outputs.writable(folder / name)
    with console.working("devices and wires"):
        chip = design.chip(circuit.chip)
        summaries = summarise(design, chip)
    for line in table(summaries):
        console.say(line, json)
    write_records(folder / "arrays.csv", [asdict(one) for one in summaries])
    title = f"{'Nominal chip' if chip.seed is None else f'Chip {chip.seed}'} of technology {chip.technology.name}"
    figures = {
        "conductances.png": _conductances(design, chip, title),
        "weights.png": _weights(design, chip, summaries, title),
    }
    if chip.technology.array.wires.ideal:
        (folder / "line_losses.png").unlink(missing_ok=True)  # of another technology
        ideal = f"the wires of {chip.technology.name} are ideal"
        console.remark(f"{folder / 'line_losses.png'}: not written, {ideal}", json)
    else:
        under = f"all rows at {chip.technology.array.read_voltage:g} V"
        if image is not None:
            under = f"image {shown.image} of {shown.dataset}"
        if any(net.held):
            under += ", convolutions where driven most"
        with console.working("voltages along the lines"):
            figures["line_losses.png"] = _line_losses(design, chip, _row_volts(chip, image), f"{title}, {under}")
    with console.working("pictures"):
        pictures = [plots.save(figure, folder / name) for name, figure in figures.items()]
    outputs.say_written([folder / "arrays.csv", *pictures], json)
    settings = outputs.settings(net, chip, errors=circuit.errors) | shown.settings
    content = {"arrays": [asdict(one) for one in summaries], "settings": settings}
    outputs.write_json(json, "arrays", circuit.chip, start, content)


def _conductances(design: Design, chip: ManufacturedChip, title: str) -> Figure:
    """Picture of the conductances of every array's devices."""
    from analog_fhn import plots

    bars = {
        f"{name}, {len(array.crossbar.g_plus)} x {2 * array.crossbar.g_plus.shape[1]}": array.crossbar.conductance
        for name, array in zip(design.array_names, chip.arrays, strict=True)
    }
    largest = max(chip.technology.array.g_max, *(float(g.max()) for g in bars.values()))
    return plots.conductances(bars, largest, title)


def _weights(design: Design, chip: ManufacturedChip, summaries: Sequence[ArraySummary], title: str) -> Figure:
    """Picture of every array's effective weights against the trained ones."""
    from analog_fhn import plots

    weights = {
        name: (trained, array.weights, one.weight_slope, one.weight_error)
        for name, one, trained, array in zip(
            design.array_names, summaries, chip.network.weights, chip.arrays, strict=True
        )
    }
    return plots.weights(weights, title)


def _line_losses(design: Design, chip: ManufacturedChip, row_volts: Sequence[FloatArray], title: str) -> Figure:
    """Picture of the voltages that every array's lines lose under these voltages of their rows."""
    from analog_fhn import plots
    from analog_fhn.array.wires import node_voltages

    settings, losses = chip.technology.array, {}
    for name, array, volts in zip(design.array_names, chip.arrays, row_volts, strict=True):
        word, bit = node_voltages(
            array.crossbar.conductance, volts, settings.wires,
            tile_rows=settings.tile_rows, tile_columns=settings.tile_columns,
        )  # fmt: skip
        losses[name] = (volts[:, None] - word, bit)
    return plots.line_losses(losses, title)


def table(summaries: Sequence[ArraySummary]) -> list[str]:
    """Lines for people: a quantity, then its value for each array."""
    rows: list[tuple[str, Callable[[ArraySummary], str]]] = [
        ("", lambda a: f"array {a.array}" if a.array.isdigit() else f"{a.array} array"),
        ("word lines (of these for biases)", lambda a: f"{a.rows} ({a.bias_rows})"),
        ("bit lines", lambda a: f"{a.bit_lines}"),
        ("tiles", lambda a: f"{a.tiles}"),
        ("devices", lambda a: f"{a.devices}"),
        ("conductance of a weight of 1", lambda a: engineering(a.siemens_per_weight, "S")),
        ("largest weight (share clipped)", lambda a: f"{a.largest_weight:.4g} ({100 * a.clipped:.2g} %)"),
        ("Rf, Ra", lambda a: ", ".join("-" if r is None else engineering(r, "ohm") for r in (a.rf, a.ra))),
        ("Rb", lambda a: engineering(a.rb, "ohm")),
        ("output voltage of 1", lambda a: engineering(a.volts_per_unit, "V")),
        ("largest column sum", lambda a: engineering(a.largest_column_sum, "S")),
        ("largest noise gain 1 + Rf G", lambda a: f"{a.noise_gain:.3g}"),
        ("offset, sigma of the output", lambda a: f"{a.offset:.3g}"),
        ("wire loss", lambda a: _percent(a.wire_loss)),
        ("wire loss, estimate for the worst tile", lambda a: _percent(a.expected_wire_loss)),
        ("effective weights: slope", lambda a: f"{a.weight_slope:.4f}"),
        ("rms error of the weights", lambda a: f"{a.weight_error:.3g}"),
    ]  # fmt: skip
    return [f"{label:40} {' '.join(f'{value(one):>22}' for one in summaries)}" for label, value in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _row_volts(chip: ManufacturedChip, image: FloatArray | None) -> list[FloatArray]:
    """Voltages of every array's word lines: time averages under an image (n_in,), or all at the read voltage.

    Of a convolution at the position where its rows are driven most.
    """
    import numpy as np

    from analog_fhn.backends.direct.backend import Direct
    from analog_fhn.inference import layer_inputs

    if image is None:
        return [np.full(len(one.crossbar.g_plus), chip.technology.array.read_voltage) for one in chip.arrays]
    recentre = chip.network.recentre
    every = layer_inputs(chip, image[None], Direct())
    most = [values[np.abs(values).sum(axis=1).argmax()] for values in every]
    return [array.row_voltages(values, recentre) for array, values in zip(chip.arrays, most, strict=True)]
