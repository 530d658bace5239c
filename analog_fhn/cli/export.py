"""`analog-fhn export`: a chip's netlists and conductance tables."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn._support.versions import versions
from analog_fhn.cli import circuits, console, costs, inputs, outputs, parameters
from analog_fhn.errors import InputError


def export(
    network: parameters.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    technology: Annotated[
        str | None, typer.Option("--technology", metavar="NAME|PATH", help="Technology (default: discrete).")
    ] = None,
    chip: parameters.ChipOption = None,
    trim: parameters.TrimOption = None,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    form: Annotated[
        Literal["full", "reduced", "neurons"] | None,
        typer.Option(
            "--form",
            help="full: every component in one circuit; reduced: one cell after the other, arrays folded into what "
            "their amplifiers see; neurons: each neuron alone, at its drive. Default: full where ngspice should end "
            "within ten minutes, else reduced.",
        ),
    ] = None,
    image: Annotated[
        int | None,
        typer.Option("--image", min=0, help="Image at the inputs (needs --dataset). Default: all inputs are zero."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Where the image comes from.")
    ] = None,
    split: parameters.SplitOption = "test",
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="Write the weights that the arrays of the chip realise, for your framework: .keras, .weights.h5, "
            ".safetensors or .npz.",
        ),
    ] = None,
    raw: parameters.RawOption = False,
    gamma: parameters.GammaOption = None,
    settle: parameters.SettleOption = None,
    control: parameters.ControlOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Write a chip under one image as netlists that run in plain `ngspice -b`, conductance tables, parts, a manifest.

    `ngspice -b run.cir` in the folder writes scores.txt: index and score of each class, averaged over the control
    window.
    """
    import numpy as np

    from analog_fhn import weights as trained
    from analog_fhn.backends.direct.backend import Direct
    from analog_fhn.inference import hidden_response
    from analog_fhn.netlist.export import export as write_network
    from analog_fhn.netlist.export import write_chip
    from analog_fhn.netlist.whole_chip import estimated_seconds

    start = time.perf_counter()
    net = inputs.load_network(network, raw=raw, gamma=gamma, settle=settle, control=control, trim=trim)
    costs.check_work(costs.layout(net, output, exported=True), yes=yes)
    if technology is None and trim is None:
        technology = "discrete"
    sample = circuits.make_chip(net, technology, chip, errors=errors, temperature=temperature, supply=supply, trim=trim)
    shown = np.zeros(net.layer_sizes[0])
    if image is not None:
        shown = inputs.load_image(image, dataset, split, data, net)
    elif dataset is not None:
        raise InputError(f"--dataset {dataset} without --image: expected the number of an image")
    if weights is not None:
        outputs.writable(weights)
    folder = outputs.output_folder(output)
    if weights is not None:
        trained.write(weights, [one.weights for one in sample.arrays], [one.bias() for one in sample.arrays], net.units)
        if not has_failed(weights):
            console.say(f"effective weights of the arrays: {weights}", json)
    given = {"image": image, "dataset": dataset, "split": None if image is None else split}
    notes = {"versions": versions()} | given
    if form == "neurons":
        # Without an image half of gamma: a neuron that spikes.
        spiking = [np.full(len(layer.cells), 0.5 * net.fhn.gamma) for layer in sample.layers]
        drives = (
            spiking
            if image is None
            else [one.drives[0] for one in hidden_response(sample, shown[np.newaxis], Direct())[1]]
        )
        written = write_chip(sample, drives, folder, notes)
    else:
        written = write_network(sample, shown, folder, notes, form=form)
    if form == "neurons":
        what = f"{sum(net.layer_sizes[1:-1])} neuron netlists"
        what += ", each at the drive gamma/2" if image is None else f", driven by image {image}"
        first = "neuron_000.cir"
    else:
        full = "chip.cir" in written
        minutes = estimated_seconds(sample, full=full) / 60.0
        what = f"{'the whole chip in one circuit' if full else 'the chip cell by cell'}, "
        what += "all inputs zero" if image is None else f"image {image} at its inputs"
        what += f" (about {max(minutes, 0.1):.1f} min in ngspice)"
        first = "run.cir"
    if not has_failed(folder / "manifest.json"):
        console.say(
            f"written to {folder}: {what}; conductance tables, bom.csv, manifest.json. "
            f"Try: cd {shlex.quote(str(folder))} && ngspice -b {first}",
            json,
        )
    settings = outputs.settings(net, sample, errors=errors, trim=trim)
    content = {
        "files": [path.name for path in outputs.written(folder / name for name in written)],
        "settings": settings | given | {"trim": None if trim is None else str(trim)},
    }
    outputs.write_json(json, "export", chip, start, content)
