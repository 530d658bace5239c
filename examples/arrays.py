"""What may the arrays suffer? Accuracy against each of their errors alone.

The neurons are ideal and all but one error are off: levels, programming error, stuck devices, wires with and without
tiles, offsets of the amplifiers at two read voltages, drift of phase-change memory, curved characteristics of the
devices, converters in front of the input array. The means of x come from a response
table that `direct` makes of the neurons; every chip has conductances of its own.

    python examples/arrays.py net.npz --dataset mnist -o out/arrays
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn import Chip, Design, Network, Technology, classify, plots
from analog_fhn.array.wires import propose_tiles
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.data import load
from analog_fhn.technology.sections import Dac
from analog_fhn.technology.wires import Wires

ALLOWED = 0.003
DRIVES = 33

LEVELS, PROGRAMMING, FAULTS = "settable levels", "programming error", "stuck devices"
WIRES, OFFSET, DRIFT = "wires", "amplifier offset", "drift of phase-change memory"
CURVED, CONVERTERS = "curved devices", "input converters"
TIMES = {1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86_400.0: "1 day", 2.63e6: "1 month", 3.15e7: "1 year"}
ERRORS_OF_CODES = {"code_sigma": 0.5, "bow": 1.0}
AXES: dict[str, tuple[str, dict[float, str]]] = {
    LEVELS: ("number of conductances", {n: f"{n}" for n in (2, 4, 8, 16, 32, 64)}),
    PROGRAMMING: ("sigma relative to the target (%)", {s: f"{s:g}" for s in (0.5, 1, 2, 5, 10, 20)}),
    FAULTS: ("share of the devices (%)", {s: f"{s:g}" for s in (0.1, 0.2, 0.5, 1, 2, 5)}),
    WIRES: ("r × Gmax of a segment", {10.0**-k: f"1e-{k}" for k in (8, 7, 6, 5, 4)}),
    OFFSET: ("sigma (mV)", {s: f"{s:g}" for s in (0.1, 0.2, 0.5, 1, 2, 3, 5)}),
    DRIFT: ("time after programming", TIMES),
    CURVED: ("read voltage over V0", {x: f"{x:g}" for x in (0.25, 0.5, 1, 2, 4, 8)}),
    CONVERTERS: ("bits", {n: f"{n}" for n in (1, 2, 3, 4, 6, 8)}),
}


@dataclass(frozen=True)
class Point:
    """One size of one error: `size` in the unit of the panel's axis."""

    panel: str
    curve: str
    size: float
    technology: Technology
    random: bool


def exact() -> Technology:
    """`discrete` with continuous conductances and without any error."""
    technology = Technology.load("discrete").with_errors([])
    return with_array(technology, levels=None)


def with_array(technology: Technology, **values: Any) -> Technology:
    return technology.model_copy(update={"array": technology.array.model_copy(update=values)})


def phase_change(**values: Any) -> Technology:
    """Phase-change memory in its own range of conductance, read at 0.2 V."""
    data = exact().model_dump()
    device = {"device": "pcm", "g_min": 0.0, "g_max": 25e-6, "read_voltage": 0.2}
    return Technology.from_values(data | {"array": data["array"] | device | values}, "study")


def plan(network: Network) -> Iterator[Point]:
    """Every point of the picture."""
    base = exact()
    for quantile in (0.999, 0.98):
        for n in AXES[LEVELS][1]:
            made = with_array(base, levels=int(n), clip_quantile=quantile)
            yield Point(LEVELS, f"Gmax: {quantile:g} quantile of |w|", n, made, random=False)
    for curve, levels in (("any conductance", None), ("32 levels", 32)):
        for size in AXES[PROGRAMMING][1]:
            made = with_array(base, levels=levels, programming_error=size / 100)
            yield Point(PROGRAMMING, curve, size, made, random=True)
    near = {"die.share": 1.0, "die.length": 100e-6, "die.device_pitch": 1e-6}
    for size in AXES[PROGRAMMING][1]:
        made = with_array(base, programming_error=size / 100).with_values(near)
        yield Point(PROGRAMMING, "shared over 100 devices", size, made, random=True)
    for curve, on, off in (("at Gmin", 0.0, 1.0), ("half each", 0.5, 0.5), ("at Gmax", 1.0, 0.0)):
        for size in AXES[FAULTS][1]:
            made = with_array(base, stuck_on=on * size / 100, stuck_off=off * size / 100)
            yield Point(FAULTS, curve, size, made, random=True)
    g = Design(network, base).crossbars[0].conductance
    for curve in ("tiles that lose below 1 %", "64 x 64 tiles", "whole array"):
        for size in AXES[WIRES][1]:
            r = size / base.array.g_max
            tile: tuple[int | None, int | None] | None = (64, 64) if curve.startswith("64") else (None, None)
            if curve.startswith("tiles"):
                tile = propose_tiles(g, Wires(word=r, bit=r))
            if tile is not None:
                made = with_array(base, wires=Wires(word=r, bit=r), tile_rows=tile[0], tile_columns=tile[1])
                yield Point(WIRES, curve, size, made, random=False)
    for read in (1.0, 0.2):
        for size in AXES[OFFSET][1]:
            made = with_array(base, read_voltage=read)
            sense = made.sense_amplifier.model_copy(update={"offset_sigma": 1e-3 * size})
            made = made.model_copy(update={"sense_amplifier": sense})
            yield Point(OFFSET, f"{read:g} V on the rows", size, made, random=True)
    of_device = {"programming_error": "device", "read_noise": "device"}
    for curve, errors in (
        ("drift alone", {}),
        ("drift alone, compensated", {"drift_compensation": "column"}),
        ("and programming, read noise", of_device),
        ("all three, compensated", of_device | {"drift_compensation": "column"}),
    ):
        for seconds in TIMES:
            yield Point(DRIFT, curve, seconds, phase_change(drift_time=seconds, **errors), random=True)
    for size in AXES[CURVED][1]:
        made = with_array(base, nonlinearity=base.array.read_voltage / size)
        yield Point(CURVED, "all devices alike", size, made, random=False)
    for curve, errors in (("rounding alone", {}), ("codes off by half a step (sigma), bow of one", ERRORS_OF_CODES)):
        for n in AXES[CONVERTERS][1]:
            made = base.model_copy(update={"dac": Dac(bits=int(n), **errors)})
            yield Point(CONVERTERS, curve, n, made, random=bool(errors))


def judge(
    network: Network, point: Point, images: NDArray[np.floating], labels: NDArray[np.integer], chips: int, table: Table
) -> list[float]:
    """Accuracies of some chips with ideal neurons."""
    design = Design(network, point.technology)
    seeds = range(chips) if point.random else [None]
    samples = (design.chip(seed).with_ideal_cells() for seed in seeds)
    return [classify(chip, images, backend=table).accuracy(labels) for chip in samples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, metavar="NETWORK.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--images", type=int, help="first images of the test set (default: all)")
    parser.add_argument("--chips", type=int, default=5, help="for each size of an error")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/arrays"), metavar="DIR")
    arguments = parser.parse_args()
    start = time.perf_counter()
    network = Network.load(arguments.network).with_options(readout="mean", recentre=True)
    test = load(arguments.dataset, "test", arguments.data)
    test = test if arguments.images is None else test.head(arguments.images)
    plain = network.accuracy(test.images, test.labels)
    table = Table(Direct(), DRIVES)
    print(f"plain network {100 * plain:.2f} %, {len(test.labels)} images of {arguments.dataset}")
    for name, chip in (
        ("ideal weights", Chip.ideal(network)),
        ("arrays without errors", Design(network, exact()).chip(None).with_ideal_cells()),
    ):
        accuracy = classify(chip, test.images, backend=table).accuracy(test.labels)
        print(f"ideal neurons, {name}: {100 * accuracy:.2f} %")

    arguments.output.mkdir(parents=True, exist_ok=True)
    panels: dict[str, dict[str, tuple[list[float], list[list[float]]]]] = {}
    with (arguments.output / "arrays.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["error", "variant", "size", "unit", "tile_rows", "tile_columns", "chip", "accuracy"])
        for point in plan(network):
            values = judge(network, point, test.images, test.labels, arguments.chips, table)
            sizes, accuracies = panels.setdefault(point.panel, {}).setdefault(point.curve, ([], []))
            sizes.append(point.size)
            accuracies.append(values)
            array = point.technology.array
            unit = "s" if point.panel == DRIFT else AXES[point.panel][0]
            for k, value in enumerate(values):
                chip_number = k if point.random else ""
                row = [point.panel, point.curve, point.size, unit, array.tile_rows, array.tile_columns, chip_number]
                writer.writerow([*row, value])
            text = AXES[point.panel][1][point.size]
            tiles = f", tiles {array.tile_rows} x {array.tile_columns}" if array.tile_rows else ""
            spread = f" ({100 * min(values):.2f} to {100 * max(values):.2f})" if len(values) > 1 else ""
            verdict = "" if np.median(values) >= plain - ALLOWED else f"  below -{100 * ALLOWED:g}"
            print(
                f"{point.panel}, {point.curve}: {text:>7} {100 * np.median(values):6.2f} %{spread}{tiles}{verdict}",
                flush=True,
            )
    title = (
        f"Each error alone, ideal neurons: points lost against the plain network's {100 * plain:.2f} % "
        f"(shaded: within {100 * ALLOWED:g}; bands: {arguments.chips} chips)"
    )
    figure = plots.lost_points(panels, AXES, plain, ALLOWED, title)
    print("written:", arguments.output / "arrays.csv", plots.save(figure, arguments.output / "arrays.png"))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
