"""`analog-fhn compare`: where accuracy is lost on the way from the trained weights to the chip."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import new_table
from analog_fhn._support.interrupts import keeping
from analog_fhn.cli import console, consumption, costs, inputs, outputs, parameters
from analog_fhn.cli.groups import ImageOptions, LoadsNetwork, SeededChipOptions
from analog_fhn.cli.options import takes_option_groups

if TYPE_CHECKING:
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.network import Network
    from analog_fhn.studies.consumption import Consumption
    from analog_fhn.studies.waterfall import Stage, Waterfall

FILES = ("compare.csv", "waterfall.png")
# Images that the consumption is the mean over, where transients of all cells measure it, and elsewhere.
_MEASURED, _CALCULATED = 2, 200


@dataclass(frozen=True)
class StageOptions:
    """Stages that judge some of the images, for they take long."""

    noise_images: Annotated[
        int, typer.Option("--noise-images", min=0, help="Images for the stage with the noise of the parts.")
    ] = 200
    brian_images: Annotated[int, typer.Option("--brian-images", min=0, help="Images for the Brian2 stage.")] = 50
    spice_images: Annotated[
        int,
        typer.Option(
            "--spice-images", min=0, help="Images for the ngspice stage (one transient per neuron and image)."
        ),
    ] = 2
    spice_table: Annotated[
        int,
        typer.Option(
            "--spice-table", metavar="N", min=0, help="Judge all images with ngspice response tables of N drives."
        ),
    ] = 0
    vacask_images: Annotated[
        int, typer.Option("--vacask-images", min=0, help="Images for a stage in VACASK, likewise (default: none).")
    ] = 0
    tables: parameters.TablesOption = None

    @property
    def in_spice(self) -> bool:
        """Whether a stage needs ngspice."""
        return self.spice_images > 0 or self.spice_table > 0

    def check(self, network: Network, images: Dataset, *, yes: bool) -> None:
        """Announce long work or refuse it, and warn of first images that lack classes."""
        numbers = {name: value for name, value in asdict(self).items() if name != "tables"}
        costs.check_work(costs.comparison(network, len(images.labels), **numbers), yes=yes)
        for name in ("noise_images", "brian_images", "spice_images", "vacask_images"):
            if 0 < numbers[name] < len(images.labels):
                inputs.tell_unfair(images.head(numbers[name]), f"--{name.replace('_', '-')}")

    def run(self, chip: ManufacturedChip, images: Dataset) -> Waterfall:
        """All stages; those whose program is absent are refused before the others take their minutes."""
        from analog_fhn.ngspice.process import find_library
        from analog_fhn.studies.waterfall import waterfall
        from analog_fhn.vacask.process import find_program

        if self.in_spice:
            find_library()
        if self.vacask_images:
            find_program()
        tables = outputs.tables_folder(self.spice_table or None, self.tables, "spice", option="--spice-table")
        options = asdict(self) | {"tables": tables}
        with console.progress_bar("stages") as bar, keeping() as work:
            stages = waterfall(chip, images.images, images.labels, **options, progress=bar)
        if work.interrupted:
            console.going_on(f"with {len(stages)} stages")
        return stages


@dataclass(frozen=True)
class CompareOptions(LoadsNetwork):
    """How the network is run; None: as its file says."""

    readout: parameters.ReadoutOption = None
    raw: parameters.RawOption = False
    gamma: parameters.GammaOption = None
    settle: parameters.SettleOption = None
    control: parameters.ControlOption = None


@takes_option_groups
def compare(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    *,
    which: ImageOptions,
    circuit: SeededChipOptions,
    slower: StageOptions,
    how: CompareOptions,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write compare.csv (image by image) and a picture."),
    ] = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Accuracy stage by stage: float, ideal FHN, arrays, held values, mismatched cells; then noise, simulators."""
    from analog_fhn.studies.consumption import consumption as consumed
    from analog_fhn.studies.consumption import is_slow
    from analog_fhn.studies.waterfall import picture

    if output is not None:  # before the work: what pictures need may be absent
        from analog_fhn import plots
    start = time.perf_counter()
    net = how.load(network)
    images = which.load(dataset, net, data)
    slower.check(net, images, yes=yes)
    chip = circuit.build(net)
    if output is not None:
        outputs.output_folder(output)
        for name in FILES:
            outputs.writable(output / name)
    stages = slower.run(chip, images)
    for line in _lines(stages):
        console.say(line, json)
    for name, why in stages.left_out.items():
        console.note(f"note: stage '{name}' is left out: {why}")
    if output is not None:
        table_file, picture_file = (output / name for name in FILES)
        _write(table_file, stages, images)
        figure = picture(stages, f"From trained weights to chip {chip.seed} (technology {chip.technology.name})")
        outputs.say_written([table_file, plots.save(figure, picture_file)], json)
    drawn = None
    if "interrupted" not in stages.left_out.values() and (slower.in_spice or not is_slow(chip.technology)):
        with console.working("power"):
            drawn = consumed(chip, images.images[: _MEASURED if is_slow(chip.technology) else _CALCULATED])
    if drawn is not None:
        for line in consumption.lines(drawn):
            console.say(line, json)
    settings = outputs.settings(net, chip, errors=circuit.errors) | which.settings(dataset)
    content = _content(stages, drawn) | {"settings": settings | {"spice_table": slower.spice_table}}
    outputs.write_json(json, "compare", circuit.chip, start, content)


def _lines(stages: Sequence[Stage]) -> list[str]:
    """What people read of the stages."""
    width = max(len(stage.name) for stage in stages)
    lines = []
    for stage in stages:
        agreement = "" if stage.agreement is None else f"   same class as direct on {stage.same} of {stage.n_images}"
        lines.append(
            f"{stage.name:{width}}  {stage.backend or '':9} {console.percent(stage.accuracy):>9}  "
            f"{stage.n_images:6d} images  {stage.seconds:7.1f} s{agreement}"
        )
    return lines


def _write(path: Path, stages: Sequence[Stage], images: Dataset) -> None:
    """Write a row for each image: its place in the split, its label, and the class that each stage gives it."""
    with new_table(path) as table:
        table.writerow(["image", "label", *(stage.name for stage in stages)])
        for i, label in enumerate(images.labels):
            place = i if images.places is None else images.places[i]
            table.writerow([place, label, *(s.predictions[i] if i < s.n_images else "" for s in stages)])


def _content(stages: Waterfall, drawn: Consumption | None) -> dict[str, Any]:
    """Numbers of the result, for JSON."""
    names = ("name", "accuracy", "n_images", "backend", "seconds", "agreement")
    return {
        "stages": [{name: getattr(stage, name) for name in names} for stage in stages],
        "left_out": dict(stages.left_out),
        **consumption.content(drawn),
    }
