"""`analog-fhn rare`: how often chips fail that hardly ever do, and the first one that does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import write_records
from analog_fhn._support.threads import usable_cores
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters
from analog_fhn.cli.groups import ImageOptions
from analog_fhn.cli.options import takes_option_groups
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.design import Design
    from analog_fhn.failures import RareFailures
    from analog_fhn.montecarlo.design_point import WorstCase
    from analog_fhn.network import Network

_SHOWN = 8  # parts of the worst case that are told of


@dataclass(frozen=True)
class DesignOptions:
    """What is manufactured, and under which conditions."""

    technology: parameters.NeededTechnologyOption = "discrete"
    errors: parameters.ErrorsOption = None
    temperature: parameters.TemperatureOption = None
    supply: parameters.SupplyOption = None

    def build(self, network: Network) -> Design:
        """The design; what `design` would warn of is said on standard error."""
        from analog_fhn.design import Design

        technology = circuits.load_technology(
            self.technology, errors=self.errors, temperature=self.temperature, supply=self.supply
        )
        design = Design(network, technology)
        circuits.warn_of(design)
        return design


@takes_option_groups
def rare(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    specification: parameters.SpecificationOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    *,
    which: ImageOptions,
    circuit: DesignOptions,
    chips: Annotated[
        int, typer.Option("--chips", min=0, help="Chips of the estimate; 0: the worst case alone.")
    ] = 4000,
    pilot: Annotated[int, typer.Option("--pilot", min=1, help="Chips of each round of the search.")] = 1000,
    seed: parameters.SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the chips in the folder.")] = False,
    workers: parameters.WorkersOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Estimate how often chips miss a specification that nearly all meet, by importance sampling; find the worst.

    worst_case.csv has the parts, worst_case.npz the chip for `classify --shift`; chips.csv the chips, shift.npz what
    they are shifted by, for `classify --chip SEED --shift`. Every chip is a row of rare.sqlite as soon as it is judged;
    --resume goes on after whatever ended the run, or with more chips.
    """
    from analog_fhn import failures as study
    from analog_fhn.montecarlo.shifted_store import ShiftedStore

    start = time.perf_counter()
    net = inputs.load_network(network)
    design = circuit.build(net)
    images = which.load(dataset, design.network, data)
    work = costs.classification(design.network, len(images.labels), table=9)
    number = usable_cores() if workers is None else workers
    costs.check_work(costs.repeated(work, -(-(chips + 4 * pilot) // number) if chips else 100, "chips"), yes=yes)
    folder = outputs.output_folder(output)
    if chips and not resume and (folder / ShiftedStore.FILE).exists():
        raise InputError(f"{folder}: holds chips already; add --resume to go on with them, or name another folder")
    names = ["worst_case.csv", "worst_case.npz", *(["chips.csv", "shift.npz"] if chips else [])]
    files = {name: outputs.writable(folder / name) for name in names}
    content: dict[str, Any]
    if chips:
        with console.progress_bar("chips") as bar:
            found = study.rare(
                design, images, specification=specification, chips=chips, pilot=pilot, seed=seed, workers=workers,
                folder=folder, progress=bar,
            )  # fmt: skip
        worst, content = found.worst_case, found.as_json()
        write_records(files["chips.csv"], found.table())
        found.shift.save(files["shift.npz"], design.network)
        console.say(_probability_line(found), json)
    else:
        worst = study.worst_case(design, images, specification=specification, seed=seed)
        content = {"specification": specification, "worst_case": worst.as_json()}
    write_records(files["worst_case.csv"], worst.as_json()["parts"])
    worst.file.save(files["worst_case.npz"], design.network)
    for line in _worst_lines(worst):
        console.say(line, json)
    outputs.say_written(files.values(), json)
    content["settings"] = (
        outputs.settings(design.network, None, errors=circuit.errors, technology=design.technology)
        | which.settings(dataset)
        | {"chips": chips, "pilot": pilot}
    )
    outputs.write_json(json, "rare", seed, start, content)


def _probability_line(found: RareFailures) -> str:
    p, search = found.probability, found.found
    along = ", ".join(f"{name} {a:.2f}" for name, a in zip(found.directions.names, search.amounts, strict=True))
    return (
        f"{p.probability:.3g} of the chips miss {console.percent(found.specification)} (95 % interval {p.low:.3g} to "
        f"{p.high:.3g}): {p.n_failing} of {p.n_samples} shifted chips, effective sample size {p.effective:.0f}; "
        f"{found.n_chips} chips in all, shifted by {along} sigmas; the linear model explains "
        f"{100 * search.explained:.0f} % of the variance from chip to chip"
    )


def _worst_lines(worst: WorstCase) -> list[str]:
    """What people read of a worst case."""
    lines = [
        f"worst case at {worst.distance:.2f} sigmas: {console.percent(worst.accuracy)}, nominal chip "
        f"{console.percent(worst.nominal)}"
    ]
    for part in worst.parts[:_SHOWN]:
        lines.append(
            f"  {part.part}: {part.sigmas:.2f} sigmas ({100 * part.share:.0f} %), the largest {part.largest:+.2f} "
            f"(number {part.index})"
        )
    return lines
