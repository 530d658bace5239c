"""`analog-fhn arrays`: what the arrays of a chip are made of, what their wires lose, and which weights remain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters
from analog_fhn.cli.design import engineering
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.checks.array_summary import ArraySummary
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.neuron import FloatArray

FILES = ("arrays.csv", "conductances.png", "line_losses.png", "weights.png")


def arrays(
    network: parameters.NetworkArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the pictures and arrays.csv.")
    ],
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: parameters.ChipOption = None,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    image: Annotated[
        int | None,
        typer.Option("--image", min=0, help="Show the lines under this image, not with all rows at the read voltage."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Where the image comes from.")
    ] = None,
    split: parameters.SplitOption = "test",
    raw: parameters.RawOption = False,
    gamma: parameters.GammaOption = None,
    settle: parameters.SettleOption = None,
    control: parameters.ControlOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """The arrays of a chip in numbers and pictures: conductances, voltages lost on the lines, effective weights."""
    from dataclasses import asdict

    from analog_fhn import plots
    from analog_fhn.array.wires import node_voltages
    from analog_fhn.checks.array_summary import summarise
    from analog_fhn.design import Design

    start = time.perf_counter()
    net = inputs.load_network(network, raw=raw, gamma=gamma, settle=settle, control=control)
    costs.check_work(costs.layout(net, output, exported=False), yes=yes)
    if image is None and dataset is not None:
        raise InputError(f"--dataset {dataset}: without --image K no image is shown")
    shown = None if image is None else inputs.load_image(image, dataset, split, data, net)[None]
    sample = circuits.make_chip(net, technology, chip, errors=errors, temperature=temperature, supply=supply)
    folder = outputs.output_folder(output)
    for name in FILES:
        outputs.writable(folder / name)
    design = Design(net, sample.technology)
    summaries, names = summarise(design, sample), design.array_names
    for line in table(summaries):
        console.say(line, json)
    write_records(folder / "arrays.csv", [asdict(one) for one in summaries])

    array = sample.technology.array
    title = f"{'Nominal chip' if chip is None else f'Chip {chip}'} of technology {sample.technology.name}"
    bars = {
        f"{name}, {len(layer.crossbar.g_plus)} x {2 * layer.crossbar.g_plus.shape[1]}": layer.crossbar.conductance
        for name, layer in zip(names, sample.arrays, strict=True)
    }
    largest = max(array.g_max, *(float(g.max()) for g in bars.values()))
    written = [plots.save(plots.conductances(bars, largest, title), folder / "conductances.png")]
    weights = {
        name: (trained, array.weights, one.weight_slope, one.weight_error)
        for name, one, trained, array in zip(names, summaries, net.weights, sample.arrays, strict=True)
    }
    written.append(plots.save(plots.weights(weights, title), folder / "weights.png"))
    if array.wires.ideal:
        (folder / "line_losses.png").unlink(missing_ok=True)  # of another technology
        console.say(f"{folder / 'line_losses.png'}: not written, the wires of {sample.technology.name} are ideal", json)
    else:
        losses = {}
        for name, layer, volts in zip(names, sample.arrays, _row_volts(sample, shown), strict=True):
            g = layer.crossbar.conductance
            word, bit = node_voltages(g, volts, array.wires, tile_rows=array.tile_rows, tile_columns=array.tile_columns)
            losses[name] = (volts[:, None] - word, bit)
        rows = f"all rows at {array.read_voltage:g} V" if shown is None else f"image {image} of {dataset}"
        written.append(plots.save(plots.line_losses(losses, f"{title}, {rows}"), folder / "line_losses.png"))
    outputs.say_written([folder / "arrays.csv", *written], json)
    content = {
        "arrays": [asdict(one) for one in summaries],
        "settings": outputs.settings(net, sample, errors=errors)
        | {"image": image, "dataset": dataset, "split": None if image is None else split},
    }
    outputs.write_json(json, "arrays", chip, start, content)


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
        ("Rf, Ra", lambda a: f"{engineering(a.rf, 'ohm')}, {engineering(a.ra, 'ohm')}"),
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
    """Voltages of the word lines of every array: under an image (time averages), or all at the read voltage."""
    import numpy as np

    from analog_fhn.backends.direct.backend import Direct
    from analog_fhn.inference import layer_inputs

    if image is None:
        return [np.full(len(one.crossbar.g_plus), chip.technology.array.read_voltage) for one in chip.arrays]
    recentre = chip.network.recentre
    inputs = layer_inputs(chip, image, Direct())
    return [array.row_voltages(values[0], recentre) for array, values in zip(chip.arrays, inputs, strict=True)]
