"""`analog-fhn export`: a chip's netlists and conductance tables."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import common
from analog_fhn.errors import InputError


def export(
    network: common.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    chip: common.ChipOption = None,
    errors: common.ErrorsOption = None,
    temperature: common.TemperatureOption = None,
    supply: common.SupplyOption = None,
    image: Annotated[
        int | None, typer.Option("--image", min=0, help="Drive the neurons as this image does (needs --dataset).")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Where the image comes from.")
    ] = None,
    split: common.SplitOption = "test",
    gamma: common.GammaOption = None,
    settle: common.SettleOption = None,
    control: common.ControlOption = None,
    data: common.DataOption = None,
    json: common.JsonOption = None,
) -> None:
    """Write one netlist per hidden neuron (each runs in plain `ngspice -b`), conductance tables and a manifest."""
    import numpy as np

    from analog_fhn.circuit.export import write_chip

    start = time.perf_counter()
    net = common.load_network(network, gamma=gamma, settle=settle, control=control)
    made = common.make_chip(net, technology, chip, errors=errors, temperature=temperature, supply=supply)
    assert made is not None
    if image is None:
        # Half of gamma: a neuron that spikes, whatever the image.
        drives = np.full(made.n_neurons, 0.5 * net.fhn.gamma)
    elif dataset is None:
        raise InputError(f"--image {image} needs --dataset to take the image from")
    else:
        chosen = common.load_images(dataset, split, data, None, net)
        if image >= len(chosen.labels):
            raise InputError(f"--image {image}: {chosen.source} has images 0 to {len(chosen.labels) - 1}")
        drives = made.drives(chosen.images[image : image + 1])[0]
    folder = common.output_folder(output)
    written = write_chip(made, drives, folder, {"versions": common.versions(), "image": image, "dataset": dataset})
    common.say(
        f"written to {folder}: {made.n_neurons} neuron netlists, {len(made.arrays or ())} conductance tables, "
        f"manifest.json. Try: cd {folder} && ngspice -b neuron_000.cir",
        json,
    )
    content = {
        "files": written,
        "settings": common.settings(net, made, errors=errors)
        | {"image": image, "dataset": dataset, "split": None if image is None else split},
    }
    common.write_json(json, "export", chip, start, content)
