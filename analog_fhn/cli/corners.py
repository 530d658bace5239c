"""`analog-fhn corners`: the same chips at every combination of temperature, supplies and process corner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.files import write_records
from analog_fhn._support.threads import usable_cores
from analog_fhn.cli import console, costs, inputs, option_values, outputs, parameters
from analog_fhn.cli.groups import ImageOptions
from analog_fhn.cli.options import takes_option_groups
from analog_fhn.cli.rare import DesignOptions
from analog_fhn.errors import InputError, SimulationError

if TYPE_CHECKING:
    from analog_fhn.corner_grid import CornerYield


@dataclass(frozen=True)
class ConditionOptions:
    """Values of each condition; every combination is tried."""

    temperatures: Annotated[str, typer.Option("--temperatures", metavar="KELVIN,...", help="Temperatures.")] = (
        "273.15,300,343.15"
    )
    supplies: Annotated[
        str, typer.Option("--supplies", metavar="FACTOR,...", help="Supplies relative to their nominal values.")
    ] = "0.95,1,1.05"
    processes: Annotated[
        str | None,
        typer.Option("--processes", metavar="CORNER,...", help="Process corners (silicon; default: the technology's)."),
    ] = None

    def grid(self) -> tuple[list[float], list[float], list[str] | None]:
        """Temperatures (K), supplies, and process corners; None: no choice is made of the latter."""
        processes = None if self.processes is None else [name.strip() for name in self.processes.split(",")]
        temperatures = option_values.numbers("--temperatures", self.temperatures)
        return temperatures, option_values.numbers("--supplies", self.supplies), processes


@takes_option_groups
def corners(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="corners.csv and corners.png.")],
    *,
    which: ImageOptions,
    circuit: DesignOptions,
    conditions: ConditionOptions,
    specification: Annotated[
        float | None,
        typer.Option("--specification", metavar="ACCURACY", help="Default: the plain network's accuracy less 0.005."),
    ] = None,
    chips: Annotated[int, typer.Option("--chips", min=1, help="Number of chips, the same at every corner.")] = 100,
    seed: parameters.SeedOption = 0,
    workers: parameters.WorkersOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Judge the same chips at every combination of temperature, supplies and process corner.

    Every chip is a row of results.sqlite in the folder as soon as it is judged; the same command goes on with it.
    """
    from analog_fhn import plots
    from analog_fhn.corner_grid import corners as judged

    start = time.perf_counter()
    for option, value in (("--temperature", circuit.temperature), ("--supply", circuit.supply)):
        if value is not None:
            many = {"--temperature": "--temperatures", "--supply": "--supplies"}[option]
            raise InputError(f"{option} {value:g}: the grid has its own; expected {many}")
    temperatures, supplies, processes = conditions.grid()
    net = inputs.load_network(network)
    design = circuit.build(net)
    images = which.load(dataset, design.network, data)
    number = len(temperatures) * len(supplies) * len(processes or ["one"]) * chips
    work = costs.classification(design.network, len(images.labels), table=9)
    at_a_time = usable_cores() if workers is None else workers
    costs.check_work(costs.repeated(work, -(-number // at_a_time), "chips"), yes=yes)
    folder = outputs.output_folder(output)
    files = [outputs.writable(folder / name) for name in ("corners.csv", "corners.png")]
    with console.progress_bar("chips") as bar:
        found = judged(
            design, images, temperatures=temperatures, supplies=supplies, processes=processes, chips=chips, seed=seed,
            specification=specification, workers=workers, folder=folder, progress=bar,
        )  # fmt: skip
    goal = found.specification
    rows = found.table()
    write_records(files[0], rows)
    title = f"{chips} chips, technology {design.technology.name}"
    plots.save(found.picture(title), files[1])
    for one in found.results:
        console.say(_line(one, goal), json)
    outputs.say_written(files, json)
    content = {"specification": goal, "n_chips": chips, "corners": rows, "worst": rows[found.worst.point]}
    content["settings"] = outputs.settings(
        design.network, None, errors=circuit.errors, technology=design.technology
    ) | which.settings(dataset)
    outputs.write_json(json, "corners", seed, start, content)
    if all(one.median is None for one in found.results):
        raise SimulationError("no chip could be simulated under any conditions")


def _line(one: CornerYield, specification: float) -> str:
    """What people read of one set of conditions."""
    where = f"{one.temperature:g} K, supply {one.supply:g}" + ("" if one.process is None else f", {one.process}")
    median = "no chip simulated" if one.median is None else f"median {console.percent(one.median)}"
    return (
        f"{where}: {median}, yield at {console.percent(specification)}: {100 * one.yield_:.1f} % (95 % interval "
        f"{100 * one.low:.1f} to {100 * one.high:.1f} %)"
    )
