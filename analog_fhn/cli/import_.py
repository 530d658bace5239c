"""`analog-fhn import`: weights trained elsewhere become a network file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn.cli import console, inputs, option_values, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.network import Network
    from analog_fhn.weights.trained import TrainedWeights


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Trained weights: .keras, .weights.h5, .h5, .safetensors or .npz.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NETWORK.npz", help="Network file to write.")],
    hidden: Annotated[
        Literal["sigmoid", "tanh"] | None,
        typer.Option("--hidden", help="Hidden activation, where the file does not say."),
    ] = None,
    input_range: Annotated[
        str | None,
        typer.Option(
            "--input-range",
            metavar="LOW,HIGH",
            help="Smallest and largest input in training (default: what the file says, else the data set's, else 0,1).",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="mnist|digits|PATH", help="Measure the plain network on its test images."),
    ] = None,
    data: parameters.DataOption = None,
    json: parameters.JsonOption = None,
) -> None:
    """Make a network file from trained weights; nothing in the file is unpickled or run."""
    from analog_fhn import weights
    from analog_fhn.data import load

    start = time.perf_counter()
    # A network file may be imported over itself.
    outputs.check_outputs({}, {"-o": output, "--json": json})
    outputs.writable(output)
    trained = weights.read(file)
    span = None if input_range is None else _range(input_range)
    if span is None and trained.input_range is None and dataset is not None:
        span = load(dataset, "test", data).scale
    network = weights.to_network(trained, hidden=hidden, input_range=span)
    content = _content(file, trained, network) | {"settings": outputs.settings(network, None) | {"dataset": dataset}}
    lines = [
        f"{file} ({trained.format}): {'-'.join(map(str, network.layer_sizes))} ({network.hidden}), "
        f"{_biases(content['biases'])}, inputs from {network.input_range[0]:g} to {network.input_range[1]:g}",
        *trained.notes,
    ]
    if dataset is not None:
        test = inputs.load_images(dataset, "test", data, None, network)
        accuracy = network.accuracy(test.images, test.labels)
        content |= {"accuracy": accuracy, "n_images": len(test.labels)}
        lines += _accuracy_lines(accuracy, len(test.labels), network.layer_sizes[-1])
    network.save(output)
    if not has_failed(output):
        lines.append(f"saved as {output}")
    console.say("\n".join(lines), json)
    outputs.write_json(json, "import", None, start, content)


def _content(file: Path, trained: TrainedWeights, network: Network) -> dict[str, Any]:
    """What the JSON object says about the file and the network of it."""
    return {
        "file": str(file),
        "format": trained.format,
        "sha256": trained.sha256,
        "layers": list(network.layer_sizes),
        "hidden": network.hidden,
        "biases": [b is not None for b in network.biases],
        "input_range": list(network.input_range),
        "notes": list(trained.notes),
    }


def _accuracy_lines(accuracy: float, n_images: int, n_classes: int) -> list[str]:
    lines = [f"plain network: {console.percent(accuracy)} of {n_images} test images"]
    # half way between guessing and knowing
    if accuracy < 0.5 * (1.0 + 1.0 / n_classes):
        lines.append(
            "that is low: are the hidden activation (--hidden), the scale of the images (--input-range) and the order "
            "of the pixels those of the training?"
        )
    return lines


def _range(text: str) -> tuple[float, float]:
    values = option_values.numbers("--input-range", text)
    if len(values) != 2 or not values[0] < values[1]:
        raise InputError(f"--input-range {text}: expected two numbers, the smaller first, such as 0,1 or -1,1")
    return values[0], values[1]


def _biases(present: list[bool]) -> str:
    if all(present):
        return "with biases"
    return f"with biases in {sum(present)} of {len(present)} layers" if any(present) else "without biases"
