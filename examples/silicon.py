"""The transistor neuron: its mean output over temperature, corners and supply; its spread; its reduced equations.

Every point of the first picture is a transient of the nominal neuron's transistors in ngspice, at seven drives under 45
conditions. The second draws neurons with the foundry's mismatch for each class of legs that the technology offers, and
gives offset, gain and period of their equations. A table compares these equations, with the lag of the mirrors and
without, with transients of the transistors of some drawn neurons.

    python examples/silicon.py -o out/silicon
    python examples/silicon.py --corners typical --temperatures 300 --neurons 20 --legs once --compared 2  # quick
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from analog_fhn import Technology, plots
from analog_fhn.studies.corners import CORNERS, SUPPLIES, TEMPERATURES, CornerResult, identity
from analog_fhn.studies.spread import Spread, compared, drawn_neurons, spread

DRIVES = (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0)  # a + I; full scale is from 0 to 2
GOAL = 0.002  # of full scale


def over_conditions(arguments: argparse.Namespace) -> list[CornerResult]:
    """The nominal neuron under every combination of the conditions, told line by line."""

    def told(done: int, total: int) -> None:
        print(f"\r{done} of {total} conditions", end="" if done < total else "\n", file=sys.stderr, flush=True)

    found = identity(
        arguments.technology, arguments.drives, temperatures=arguments.temperatures, corners=arguments.corners,
        supplies=arguments.supplies, progress=told,
    )  # fmt: skip
    spiking = [abs(e) for c in found for e, o in zip(c.errors, c.orbits, strict=True) if o.period]
    resting = [abs(e) for c in found for e, o in zip(c.errors, c.orbits, strict=True) if not o.period]
    for name, errors in (("spiking", spiking), ("at rest", resting)):
        if errors:
            print(f"{name}: {len(errors)} runs, largest error {100 * max(errors):.4f} % of full scale")
    return found


def legs_by_class(arguments: argparse.Namespace) -> dict[str, tuple[float, Spread]]:
    """Gate area of the legs (um^2) and drawn neurons, by class."""
    technology = Technology.load(arguments.technology)
    found = {}
    for name in arguments.legs or [part.name for part in technology.classes["legs"]]:
        drawn = spread(technology.with_classes({"legs": name}), arguments.neurons, arguments.seed)
        sizes = drawn.cells.cell.neuron_sizes
        area = 2e12 * sizes["w_mirror"] * sizes["m_leg"] * (sizes["l_leg_p"] + sizes["l_leg_n"])
        found[name] = area, drawn
        print(
            f"{name:18} {area:5.1f} um^2: offset {100 * drawn.offset.std():.2f} % of full scale, gain "
            f"{100 * drawn.gain.std():.2f} %, period {1e6 * drawn.period.mean():.2f} us +- "
            f"{100 * drawn.period.std() / drawn.period.mean():.1f} %; silent {len(drawn.silent)}, latched "
            f"{len(drawn.latched)} of {len(drawn)}",
            flush=True,
        )
    return found


def write_conditions(found: list[CornerResult], folder: Path) -> None:
    with (folder / "conditions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["corner", "kelvin", "supply", "drive", "error_of_full_scale", "period_s", "power_w"])
        for corner in found:
            for drive, error, orbit in zip(corner.drives, corner.errors, corner.orbits, strict=True):
                row = [corner.name, corner.temperature, corner.supply, drive, error, orbit.period, orbit.power]
                writer.writerow(row)
    # period and power at the drive nearest to 0
    k = int(np.argmin(np.abs(found[0].drives)))
    shown = {
        (c.name, c.temperature, c.supply): (c.errors, c.orbits[k].period, c.orbits[k].power) for c in found
    }  # fmt: skip
    title = f"Nominal transistor neuron in ngspice; period and power at a + I = {found[0].drives[k]:g}"
    figure = plots.process_conditions(found[0].drives, shown, GOAL, title)
    print("written:", folder / "conditions.csv", plots.save(figure, folder / "silicon_conditions.png"))


def write_spread(found: dict[str, tuple[float, Spread]], folder: Path) -> None:
    with (folder / "spread.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["legs", "leg_area_um2", "neuron", "offset_of_full_scale", "gain", "period_s"])
        for name, (area, drawn) in found.items():
            rows = zip(range(len(drawn)), drawn.offset, drawn.gain, drawn.period, strict=True)
            writer.writerows([name, area, *row] for row in rows)
    areas = [area for area, _ in found.values()]
    drawn = [one for _, one in found.values()]
    sigmas = {
        "offset (of full scale)": [one.offset.std() for one in drawn],
        "gain": [one.gain.std() for one in drawn],
        "period": [one.period.std() / one.period.mean() for one in drawn],
    }
    title = "Mismatch of drawn neurons against the area of their legs"
    figure = plots.mismatch_over_area(areas, sigmas, len(drawn[0]), list(found), title)
    print("written:", folder / "spread.csv", plots.save(figure, folder / "silicon_spread.png"))


def equations_against_transistors(arguments: argparse.Namespace) -> None:
    """Periods and means of drawn neurons by their equations and by their transistors, as a table."""
    cells = drawn_neurons(arguments.technology, arguments.compared, arguments.seed)
    found = dict(zip(("with the lag", "without"), compared(cells, lagging=(True, False)), strict=True))
    path = arguments.output / "equations.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["equations", "drive", "neuron", "period_s", "transistor_period_s", "mean", "transistor_mean"])
        for name, one in found.items():
            for k, drive in enumerate(one.drives):
                rows = zip(one.period[k], one.transistor_period[k], one.mean[k], one.transistor_mean[k], strict=True)
                writer.writerows([name, drive, n, *row] for n, row in enumerate(rows))
                period, mean = 100 * one.period_errors[k], 100 * one.mean_errors[k]
                print(
                    f"{name:13} a + I = {drive:4g}: period {np.nanmean(period):+.2f} % +- {np.nanstd(period):.2f} "
                    f"(worst {np.nanmax(np.abs(period)):.2f}), mean rms {np.sqrt(np.nanmean(mean**2)):.4f} (worst "
                    f"{np.nanmax(np.abs(mean)):.4f}) % of full scale"
                )
            print(f"{name:13} another regime than the transistors: {len(one.other_regime)} runs")
    print("written:", path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--technology", default="silicon")
    parser.add_argument("--corners", nargs="+", choices=CORNERS, default=CORNERS)
    parser.add_argument("--temperatures", nargs="+", type=float, default=TEMPERATURES, help="K")
    parser.add_argument("--supplies", nargs="+", type=float, default=SUPPLIES, help="of the nominal supply")
    parser.add_argument("--drives", nargs="+", type=float, default=DRIVES, help="a + I")
    parser.add_argument("--neurons", type=int, default=1000, help="drawn neurons of each class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--legs", nargs="+", help="classes of the technology (default: all)")
    parser.add_argument("--compared", type=int, default=30, help="drawn neurons that are simulated as transistors")
    parser.add_argument("--only", choices=("conditions", "spread", "equations"), help="one of the three parts")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/silicon"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.only in (None, "conditions"):
        write_conditions(over_conditions(arguments), arguments.output)
    if arguments.only in (None, "spread"):
        write_spread(legs_by_class(arguments), arguments.output)
    if arguments.only in (None, "equations"):
        equations_against_transistors(arguments)


if __name__ == "__main__":
    main()
