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
    from analog_fhn.data import Dataset
    from analog_fhn.network import Network
    from analog_fhn.weights.trained import TrainedWeights

_TRIED = 2000  # images that other scalings are tried on


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Trained network: .onnx, .keras, .weights.h5, .h5, .safetensors, .npz, .skops or .eqx.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NETWORK.npz", help="Network file to write.")],
    hidden: Annotated[
        Literal["sigmoid", "tanh", "relu"] | None,
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
    scaling: Annotated[
        str | None,
        typer.Option(
            "--scaling",
            metavar="GAIN,OFFSET",
            help="The training took GAIN times a pixel of the data set plus OFFSET; taken into the first layer.",
        ),
    ] = None,
    ceiling: Annotated[
        str | None,
        typer.Option(
            "--ceiling",
            metavar="C[,C...]",
            help="Largest activation of relu layers, for all or for each (default: the file's, else measured on the "
            "training images of --dataset).",
        ),
    ] = None,
    ceiling_quantile: Annotated[
        float | None,
        typer.Option(
            "--ceiling-quantile", metavar="SHARE", help="Share of positive activations below a measured ceiling."
        ),
    ] = None,
    nearest: Annotated[
        bool,
        typer.Option(
            "--nearest",
            help="Read activations that no neuron follows as the nearest unit, and max pooling as average pooling.",
        ),
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="mnist|digits|PATH", help="Measure the plain network on its test images."),
    ] = None,
    data: parameters.DataOption = None,
    json: parameters.JsonOption = None,
) -> None:
    """Make a network file from a trained network; nothing in the file is unpickled or run."""
    from analog_fhn import weights
    from analog_fhn.data import load

    start = time.perf_counter()
    # A network file may be imported over itself.
    outputs.check_outputs({}, {"-o": output, "--json": json})
    outputs.writable(output)
    span = None if input_range is None else _range(input_range)
    scale = None if scaling is None else _two("--scaling", scaling)
    ceilings = None if ceiling is None else option_values.numbers("--ceiling", ceiling)
    with console.working("reading"):
        trained = weights.read(file)
    train = None
    if dataset is not None and trained.network is None:
        train = load(dataset, "train", data)
        span = train.scale if span is None and trained.input_range is None else span
    given = {} if ceiling_quantile is None else {"quantile": ceiling_quantile}
    with console.working("network"):
        network = weights.to_network(
            trained, hidden=hidden, input_range=span, ceilings=ceilings, images=None if train is None else train.images,
            scaling=scale, nearest=nearest, **given,
        )  # fmt: skip
    content = _content(file, trained, network) | {"settings": outputs.settings(network, None) | {"dataset": dataset}}
    low, high = network.input_range
    lines = [
        f"{file} ({trained.format}): {network.sizes_text} ({network.hidden}), "
        f"{_biases(content['biases'])}, inputs from {low:g} to {high:g}",
        *content["notes"],
    ]
    if trained.network is None and trained.input_range is None and span is None:
        lines.append("the file does not say the range of the inputs: 0 to 1 is taken (--input-range)")
    lines += [_ceiling_line(entry) for entry in content["ceilings"]]
    if dataset is not None:
        test = inputs.load_images(dataset, "test", data, None, network)
        with console.working("test images"):
            found, told = _accuracy(network, test, train)
        content |= found
        lines += told
    network.save(output)
    console.say("\n".join(lines), json)
    if not has_failed(output):
        console.remark(f"saved as {output}", json)
    outputs.write_json(json, "import", None, start, content)


def _content(file: Path, trained: TrainedWeights, network: Network) -> dict[str, Any]:
    """What the JSON object says about the file and the network of it."""
    imported = network.provenance["imported"]
    return {
        "file": str(file),
        "format": trained.format,
        "sha256": trained.sha256,
        "layers": list(network.layer_sizes),
        "hidden": network.hidden,
        "biases": [b is not None for b in network.biases],
        "input_range": list(network.input_range),
        "ceilings": imported.get("ceilings", []),
        "notes": imported["notes"],
    }


def _ceiling_line(entry: dict[str, Any]) -> str:
    """Where a relu layer's ceiling comes from, and what it clips."""
    origin = {"file": "the file's", "user": "--ceiling", "images": "measured on training images"}[entry["from"]]
    clipped = f", above which {console.percent(entry['clipped'])} of its activations lie" if "clipped" in entry else ""
    return f"hidden layer {entry['layer']} (relu): ceiling {entry['ceiling']:.4g} ({origin}){clipped}"


def _accuracy(network: Network, test: Dataset, train: Dataset | None) -> tuple[dict[str, Any], list[str]]:
    """Accuracy of the plain network, what its ceilings cost, and whether its inputs seem to be others."""
    from analog_fhn.weights.input_scale import better_scaling

    accuracy, n_images = network.accuracy(test.images, test.labels), len(test.labels)
    content: dict[str, Any] = {"accuracy": accuracy, "n_images": n_images}
    lines = [f"plain network: {console.percent(accuracy)} of {n_images} test images"]
    if "relu" in network.units:
        unlimited = float((network.forward(test.images, ceilings=False).argmax(axis=1) == test.labels).mean())
        content["accuracy_without_ceilings"] = unlimited
        lines[0] += (
            f" ({console.percent(unlimited)} without ceilings: they cost {100 * (unlimited - accuracy):.2f} points)"
        )
    other = None if train is None else better_scaling(network, train, test.head(min(_TRIED, n_images)))
    if other is not None:
        content["better_scaling"] = {"gain": other.gain, "offset": other.offset, "accuracy": other.accuracy}
        lines.append(
            f"with pixels {other.name} it is {console.percent(other.accuracy)} of {min(_TRIED, n_images)}: if the "
            f"training took them so, import it with --scaling {other.gain:.6g},{other.offset:.6g}"
        )
    # half way between guessing and knowing
    if accuracy < 0.5 * (1.0 + 1.0 / network.layer_sizes[-1]):
        lines.append(
            "that is low: are the hidden activation (--hidden), the scale of the images (--input-range, --scaling) and "
            "the order of the pixels those of the training?"
        )
    return content, lines


def _range(text: str) -> tuple[float, float]:
    low, high = _two("--input-range", text)
    if not low < high:
        raise InputError(f"--input-range {text}: expected two numbers, the smaller first, such as 0,1 or -1,1")
    return low, high


def _two(option: str, text: str) -> tuple[float, float]:
    values = option_values.numbers(option, text)
    if len(values) != 2:
        raise InputError(f"{option} {text}: expected two numbers separated by a comma")
    return values[0], values[1]


def _biases(present: list[bool]) -> str:
    if all(present):
        return "with biases"
    return f"with biases in {sum(present)} of {len(present)} layers" if any(present) else "without biases"
