"""`analog-fhn compare`: where accuracy is lost on the way from the trained weights to the chip."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn._support.files import new_table
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters


def compare(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    split: parameters.SplitOption = "test",
    images: parameters.ImagesOption = None,
    stratified: parameters.StratifiedOption = False,
    images_seed: parameters.ImagesSeedOption = None,
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: Annotated[int, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed.")] = 0,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    noise_images: Annotated[
        int, typer.Option("--noise-images", min=0, help="Images for the stage with the noise of the parts.")
    ] = 200,
    brian_images: Annotated[int, typer.Option("--brian-images", min=0, help="Images for the Brian2 stage.")] = 50,
    spice_images: Annotated[
        int,
        typer.Option(
            "--spice-images", min=0, help="Images for the ngspice stage (one transient per neuron and image)."
        ),
    ] = 2,
    spice_table: Annotated[
        int,
        typer.Option(
            "--spice-table", metavar="N", min=0, help="Judge all images with ngspice response tables of N drives."
        ),
    ] = 0,
    tables: parameters.TablesOption = None,
    readout: parameters.ReadoutOption = None,
    raw: parameters.RawOption = False,
    gamma: parameters.GammaOption = None,
    settle: parameters.SettleOption = None,
    control: parameters.ControlOption = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write compare.csv (image by image) and a picture."),
    ] = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Accuracy stage by stage: float, ideal FHN, arrays, mismatched neurons; then noise, Brian2 and ngspice."""
    from analog_fhn.backends.spice.ngspice import find_library
    from analog_fhn.studies.waterfall import consumption, picture, waterfall

    if output is not None:  # before the work: what pictures need may be absent
        from analog_fhn import plots
    start = time.perf_counter()
    draw = inputs.seed_of_draw(stratified, images_seed)
    net = inputs.load_network(network, readout=readout, raw=raw, gamma=gamma, settle=settle, control=control)
    chosen = inputs.load_images(dataset, split, data, images, net, draw=draw)
    work = costs.comparison(
        net, len(chosen.labels), noise_images=noise_images, brian_images=brian_images, spice_images=spice_images,
        spice_table=spice_table,
    )  # fmt: skip
    costs.check_work(work, yes=yes)
    sample = circuits.make_chip(net, technology, chip, errors=errors, temperature=temperature, supply=supply)
    stages_of_some = {"--noise-images": noise_images, "--brian-images": brian_images, "--spice-images": spice_images}
    for option, number in stages_of_some.items():
        if 0 < number < len(chosen.labels):
            inputs.tell_unfair(chosen.head(number), option)
    if output is not None:
        outputs.output_folder(output)
        for name in ("compare.csv", "waterfall.png"):
            outputs.writable(output / name)
    if spice_images or spice_table:
        find_library()  # what is missing is said before minutes of other stages
    kept = outputs.tables_folder(spice_table or None, tables, "spice", option="--spice-table")
    with console.progress_bar("stages") as bar:
        stages = waterfall(
            sample,
            chosen.images,
            chosen.labels,
            noise_images=noise_images,
            brian_images=brian_images,
            spice_images=spice_images,
            spice_table=spice_table,
            tables=kept,
            progress=bar,
        )
    width = max(len(stage.name) for stage in stages)
    for stage in stages:
        agreement = "" if stage.agreement is None else f"   same class as direct on {stage.same} of {stage.n_images}"
        console.say(
            f"{stage.name:{width}}  {stage.backend or '':9} {console.percent(stage.accuracy):>9}  "
            f"{stage.n_images:6d} images  {stage.seconds:7.1f} s{agreement}",
            json,
        )
    if output is not None:
        with new_table(output / "compare.csv") as table:
            table.writerow(["image", "label", *(stage.name for stage in stages)])
            for i, label in enumerate(chosen.labels):
                place = i if chosen.places is None else chosen.places[i]
                table.writerow([place, label, *(s.predictions[i] if i < s.n_images else "" for s in stages)])
        figure = picture(stages, f"From trained weights to chip {chip} (technology {sample.technology.name})")
        outputs.say_written([output / "compare.csv", plots.save(figure, output / "waterfall.png")], json)
    drawn = consumption(sample, chosen.images[:2]) if spice_images or spice_table else None
    if drawn is not None:
        console.say(
            f"power: {drawn.power_per_neuron:.3f} W a hidden cell (tanh pair, neuron, row driver), {drawn.power:.3g} W "
            f"in all; an answer takes {drawn.seconds:.3g} s and {drawn.energy:.3g} J (arrays not counted)",
            json,
        )
    content = {
        "stages": [
            {
                "name": stage.name,
                "accuracy": stage.accuracy,
                "n_images": stage.n_images,
                "backend": stage.backend,
                "seconds": stage.seconds,
                "agreement": stage.agreement,
            }
            for stage in stages
        ],
        "power_per_neuron": None if drawn is None else drawn.power_per_neuron,
        "power": None if drawn is None else drawn.power,
        "energy_per_inference": None if drawn is None else drawn.energy,
        "settings": outputs.settings(net, sample, errors=errors)
        | {"dataset": dataset, "split": split, "spice_table": spice_table}
        | {"stratified": stratified, "images_seed": draw},
    }
    outputs.write_json(json, "compare", chip, start, content)
