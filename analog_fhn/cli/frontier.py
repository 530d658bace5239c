"""`analog-fhn frontier`: accuracy against the time and energy of an answer."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.files import new_table
from analog_fhn.cli import circuits, console, costs, inputs, option_values, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.studies.frontier import FrontierPoint


def frontier(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="frontier.csv and frontier.png.")],
    split: parameters.SplitOption = "test",
    images: parameters.ImagesOption = None,
    stratified: parameters.StratifiedOption = False,
    images_seed: parameters.ImagesSeedOption = None,
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: Annotated[int, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed.")] = 0,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    gammas: Annotated[
        str, typer.Option("--gammas", help="Comma-separated list; the supplies must allow each.")
    ] = "-0.25,-0.5,-1,-1.9",
    settle: Annotated[
        float, typer.Option("--settle", min=0, help="Settling time (T) of the picture; the table has others too.")
    ] = 2.0,
    loss: Annotated[
        float, typer.Option("--loss", min=0, help="Accuracy that may be lost against the plain network.")
    ] = 0.003,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Which gamma, readout, settling time and control window: accuracy, latency and energy of each choice."""
    from analog_fhn import plots
    from analog_fhn.inference import check_converters
    from analog_fhn.studies import frontier as report
    from analog_fhn.studies.waterfall import consumption

    start = time.perf_counter()
    draw = inputs.seed_of_draw(stratified, images_seed)
    values = list(dict.fromkeys(option_values.numbers("--gammas", gammas)))
    times = sorted({*report.SETTLE, settle})
    report.check_times(times)
    if not math.isfinite(loss):
        raise InputError(f"--loss {loss:g}: expected a fraction, 0.003 for instance")
    net = inputs.load_network(network)
    chosen = inputs.load_images(dataset, split, data, images, net, draw=draw)
    longest = max(times) + max(report.CONTROL)
    costs.check_work(costs.frontier(net, len(chosen.labels), len(values), longest, report.INTERVAL), yes=yes)
    chips = {}
    for gamma in values:
        sample = circuits.make_chip(
            net.with_options(gamma=gamma), technology, chip, errors=errors, temperature=temperature, supply=supply
        )
        check_converters(sample, ["mean", "vote"])
        chips[gamma] = sample
    some = chips[values[0]]
    unit = some.time_unit
    folder = outputs.output_folder(output)
    table, picture = (outputs.writable(folder / name) for name in ("frontier.csv", "frontier.png"))
    plain = net.accuracy(chosen.images, chosen.labels)
    # First: minutes, where the frontiers can take hours, and an absent ngspice is found at once.
    powers: dict[float, float] = {}
    with console.progress_bar("powers") as bar:
        for gamma, sample in chips.items():
            powers[gamma] = consumption(sample, chosen.images[:1]).power
            bar(len(powers), len(values))
    points: list[report.FrontierPoint] = []
    with console.progress_bar("images") as bar:
        for k, sample in enumerate(chips.values()):

            def advance(done: int, total: int, k: int = k) -> None:
                bar(k * total + done, len(values) * total)

            points += report.frontier(sample, chosen.images, chosen.labels, settle=times, progress=advance)
            _write(table, points, unit, powers)  # whole after each gamma: the next one may take hours
    curves = {}
    for gamma in values:
        for readout in ("mean", "vote"):
            line = [p for p in points if (p.gamma, p.readout, p.settle) == (gamma, readout, settle)]
            curves[gamma, readout] = [p.latency for p in line], [p.accuracy for p in line]
    power = max(powers.values())
    title = f"Accuracy against time and energy, {settle:g} T of settling, chip {chip}, {len(chosen.labels)} images"
    plots.save(plots.frontier(curves, plain, unit, power, title), picture)
    best = report.cheapest(points, plain - loss)
    for gamma, watts in powers.items():
        console.say(f"gamma {gamma:g}: {watts / sum(net.layer_sizes[1:-1]):.3f} W a neuron, {watts:.1f} W in all", json)
    if best is None:
        console.say(f"no choice comes within {100 * loss:g} points of {console.percent(plain)}", json)
    else:
        console.say(
            f"shortest within {100 * loss:g} points of the plain network's {console.percent(plain)}: gamma "
            f"{best.gamma:g}, {best.readout}, settle {best.settle:g} T, control {best.control:g} T: "
            f"{console.percent(best.accuracy)}, {best.latency * unit:g} s, "
            f"{powers[best.gamma] * best.latency * unit:.3g} J an answer",
            json,
        )
    outputs.say_written([table, picture], json)
    content = {
        "accuracy_plain": plain,
        "n_images": len(chosen.labels),
        "power_watt": [{"gamma": gamma, "power": watts} for gamma, watts in powers.items()],
        "cheapest": None if best is None else asdict(best),
        "points": [asdict(p) for p in points],
        "settings": outputs.settings(net, some, errors=errors)
        | {"dataset": dataset, "split": split, "gammas": values, "settle": settle, "loss": loss}
        | {"stratified": stratified, "images_seed": draw},
    }
    outputs.write_json(json, "frontier", chip, start, content)


def _write(path: Path, points: list[FrontierPoint], unit: float, powers: dict[float, float]) -> None:
    """Write a row for each choice; `unit` is T in seconds, `powers` the chip's power (W) by gamma."""
    with new_table(path) as table:
        table.writerow(["gamma", "readout", "settle", "control", "latency_seconds", "energy_joule", "accuracy"])
        for p in points:
            seconds = p.latency * unit
            table.writerow([p.gamma, p.readout, p.settle, p.control, seconds, powers[p.gamma] * seconds, p.accuracy])
