"""`analog-fhn arrays`: what the arrays of a chip are made of, what their wires lose, and which weights remain."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import common, costs
from analog_fhn.cli.design import engineering
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.checks.array_summary import ArraySummary
    from analog_fhn.chip import Chip
    from analog_fhn.network import Network
    from analog_fhn.neuron import FloatArray

FILES = ("arrays.csv", "conductances.png", "line_losses.png", "weights.png")


def arrays(
    network: common.NetworkArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the pictures and arrays.csv.")
    ],
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: common.ChipOption = None,
    errors: common.ErrorsOption = None,
    temperature: common.TemperatureOption = None,
    supply: common.SupplyOption = None,
    image: Annotated[
        int | None,
        typer.Option("--image", min=0, help="Show the lines under this image, not with all rows at the read voltage."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Where the image comes from.")
    ] = None,
    split: common.SplitOption = "test",
    raw: common.RawOption = False,
    gamma: common.GammaOption = None,
    settle: common.SettleOption = None,
    control: common.ControlOption = None,
    data: common.DataOption = None,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Both arrays of a chip in numbers and pictures: conductances, voltages lost on the lines, effective weights."""
    from dataclasses import asdict

    from analog_fhn import plots
    from analog_fhn.array.wires import node_voltages
    from analog_fhn.checks.array_summary import NAMES, summarise
    from analog_fhn.design import Design

    start = time.perf_counter()
    net = common.load_network(network, raw=raw, gamma=gamma, settle=settle, control=control)
    common.check_work(costs.layout(net, output, exported=False), yes=yes)
    if image is None and dataset is not None:
        raise InputError(f"--dataset {dataset}: without --image K no image is shown")
    shown = None if image is None else common.load_image(image, dataset, split, data, net)[None]
    made = common.make_chip(net, technology, chip, errors=errors, temperature=temperature, supply=supply)
    assert made is not None
    assert made.technology is not None
    assert made.arrays is not None
    folder = common.output_folder(output)
    for name in FILES:
        common.writable(folder / name)
    found = summarise(Design(net, made.technology), made)
    for line in table(found):
        common.say(line, json)
    write_records(folder / "arrays.csv", [asdict(one) for one in found])

    array = made.technology.array
    title = f"{'Nominal chip' if chip is None else f'Chip {chip}'} of technology {made.technology.name}"
    bars = {
        f"{name} array, {len(layer.crossbar.g_plus)} x {2 * layer.crossbar.g_plus.shape[1]}": layer.crossbar.conductance
        for name, layer in zip(NAMES, made.arrays, strict=True)
    }
    largest = max(array.g_max, *(float(g.max()) for g in bars.values()))
    written = [plots.save(plots.conductances(bars, largest, title), folder / "conductances.png")]
    weights = {
        f"{one.array} array": (wanted, effective, one.weight_slope, one.weight_error)
        for one, wanted, effective in zip(found, net.weights, made.weights, strict=True)
    }
    written.append(plots.save(plots.weights(weights, title), folder / "weights.png"))
    if array.wires.ideal:
        (folder / "line_losses.png").unlink(missing_ok=True)  # of another technology
        common.say(f"{folder / 'line_losses.png'}: not written, the wires of {made.technology.name} are ideal", json)
    else:
        losses = {}
        for name, layer, volts in zip(NAMES, made.arrays, _row_volts(net, made, shown), strict=True):
            g = layer.crossbar.conductance
            word, bit = node_voltages(
                g, volts, **array.wires.ohms, tile_rows=array.tile_rows, tile_columns=array.tile_columns
            )
            losses[f"{name} array"] = (volts[:, None] - word, bit)
        rows = f"all rows at {array.read_voltage:g} V" if shown is None else f"image {image} of {dataset}"
        written.append(plots.save(plots.line_losses(losses, f"{title}, {rows}"), folder / "line_losses.png"))
    common.say_written([folder / "arrays.csv", *written], json)
    content = {
        "arrays": [asdict(one) for one in found],
        "settings": common.settings(net, made, errors=errors)
        | {"image": image, "dataset": dataset, "split": None if image is None else split},
    }
    common.write_json(json, "arrays", chip, start, content)


def table(found: tuple[ArraySummary, ArraySummary]) -> list[str]:
    """Lines for people: a quantity, then its value for each array."""
    rows: list[tuple[str, Callable[[ArraySummary], str]]] = [
        ("", lambda a: f"{a.array} array"),
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
    return [f"{label:40} {value(found[0]):>22} {value(found[1]):>22}" for label, value in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _row_volts(network: Network, chip: Chip, image: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Voltages of the word lines of both arrays: under an image (time averages), or all at the read voltage."""
    import numpy as np

    from analog_fhn.backends.direct.backend import Direct

    assert chip.technology is not None
    assert chip.arrays is not None
    if image is None:
        first, second = (np.full(len(a.crossbar.g_plus), chip.technology.array.read_voltage) for a in chip.arrays)
        return first, second
    case = 0 if network.recentre else 1
    gain, offset = chip.row_stage.of(network.recentre)
    mean = Direct().respond(chip, chip.drives(image), network.protocol).mean
    first, second = (
        np.concatenate([signal[0], np.full(array.crossbar.bias_rows, array.crossbar.bias_drive)])
        * array.row_volts[case]
        for array, signal in zip(chip.arrays, (image, gain * mean + offset), strict=True)
    )
    return first, second
