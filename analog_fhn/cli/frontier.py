"""`analog-fhn frontier`: accuracy against the time and energy of an answer."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import common


def frontier(
    network: common.NetworkArgument,
    dataset: common.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="frontier.csv and frontier.png.")],
    split: common.SplitOption = "test",
    images: common.ImagesOption = None,
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: Annotated[int, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed.")] = 0,
    gammas: Annotated[
        str, typer.Option("--gammas", help="Comma-separated list; the supplies must allow each.")
    ] = "-0.25,-0.5,-1,-1.9",
    settle: Annotated[
        float, typer.Option("--settle", min=0, help="Settling time (T) of the picture; the table has others too.")
    ] = 2.0,
    loss: Annotated[
        float, typer.Option("--loss", min=0, help="Accuracy that may be lost against the plain network.")
    ] = 0.003,
    data: common.DataOption = None,
    json: common.JsonOption = None,
) -> None:
    """Which gamma, readout, settling time and control window: accuracy, latency and energy of each choice."""
    from analog_fhn import plots
    from analog_fhn.backends.spice import cell_power
    from analog_fhn.report import frontier as report

    start = time.perf_counter()
    values = common.numbers("--gammas", gammas)
    net = common.load_network(network)
    chips = [common.make_chip(net.with_options(gamma=gamma), technology, chip) for gamma in values]
    chosen = common.load_images(dataset, split, data, images, net)
    folder = common.output_folder(output)
    plain = net.accuracy(chosen.images, chosen.labels)
    points, powers = [], {}
    times = sorted({*report.SETTLE, settle})
    with common.progress_bar("images") as bar:
        for k, (gamma, made) in enumerate(zip(values, chips, strict=True)):
            assert made is not None

            def advance(done: int, total: int, k: int = k) -> None:
                bar(k * total + done, len(values) * total)

            points += report.frontier(made, chosen.images, chosen.labels, settle=times, progress=advance)
            powers[gamma] = cell_power(made, chosen.images[:1]).sum()
    assert chips[0] is not None
    assert chips[0].scales is not None
    unit = chips[0].scales.time_unit
    with (folder / "frontier.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["gamma", "readout", "settle", "control", "latency_seconds", "energy_joule", "accuracy"])
        for p in points:
            writer.writerow(
                [
                    p.gamma,
                    p.readout,
                    p.settle,
                    p.control,
                    p.latency * unit,
                    powers[p.gamma] * p.latency * unit,
                    p.accuracy,
                ]
            )
    curves = {}
    for gamma in values:
        for readout in ("mean", "vote"):
            line = [p for p in points if (p.gamma, p.readout, p.settle) == (gamma, readout, settle)]
            curves[gamma, readout] = [p.latency for p in line], [p.accuracy for p in line]
    power = max(powers.values())
    title = f"Accuracy against time and energy, {settle:g} T of settling, chip {chip}, {len(chosen.labels)} images"
    picture = plots.save(plots.frontier(curves, plain, unit, power, title), folder / "frontier.png")
    best = report.cheapest(points, plain - loss)
    for gamma, watts in powers.items():
        common.say(f"gamma {gamma:g}: {watts / chips[0].n_neurons:.3f} W a neuron, {watts:.1f} W in all", json)
    if best is None:
        common.say(f"no choice comes within {100 * loss:g} points of {common.percent(plain)}", json)
    else:
        common.say(
            f"shortest within {100 * loss:g} points of the plain network's {common.percent(plain)}: gamma "
            f"{best.gamma:g}, {best.readout}, settle {best.settle:g} T, control {best.control:g} T: "
            f"{common.percent(best.accuracy)}, {best.latency * unit:g} s, "
            f"{powers[best.gamma] * best.latency * unit:.3g} J an answer",
            json,
        )
    common.say(f"written: {folder / 'frontier.csv'}, {picture}", json)
    content = {
        "accuracy_plain": plain,
        "n_images": len(chosen.labels),
        "power_watt": [{"gamma": gamma, "power": float(watts)} for gamma, watts in powers.items()],
        "cheapest": None if best is None else asdict(best),
        "points": [asdict(p) for p in points],
        "settings": common.settings(net, chips[0]) | {"dataset": dataset, "split": split},
    }
    common.write_json(json, "frontier", chip, start, content)
