"""`analog-fhn bench`: a page with knobs, on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import console, inputs, parameters


def bench(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port that the page is at (default: any that is free).")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only print its address.")
    ] = True,
    data: parameters.DataOption = None,
) -> None:
    """Turn knobs on a page: waveforms, arrays, one image's way, accuracy of a chip, yield; until Ctrl-C."""
    from analog_fhn.bench.bench import Bench
    from analog_fhn.bench.server import listening, serve

    listening(port).close()  # before images are loaded
    net = inputs.load_network(network)
    images = inputs.load_images(dataset, "test", data, None, net)
    names = {"network": str(network), "dataset": dataset, "data": None if data is None else str(Path(data))}
    serve(Bench(net, images, names), port, browser=browser, say=lambda address: console.say(address, None))
