"""`analog-fhn export`: a chip's netlists and conductance tables."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn._support.versions import versions
from analog_fhn.cli import console, costs, option_values, outputs, parameters
from analog_fhn.cli.groups import NetworkOptions, OneImageOptions, TrimmableChipOptions
from analog_fhn.cli.options import takes_option_groups
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.board.order import ArrayParts
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.inference import LayerPass
    from analog_fhn.neuron import FloatArray


@dataclass(frozen=True)
class ExportedChip(TrimmableChipOptions):
    """The chip that is written."""

    technology: Annotated[
        str | None, typer.Option("--technology", metavar="NAME|PATH", help="Technology (default: discrete).")
    ] = None


@dataclass(frozen=True)
class InputImage(OneImageOptions):
    """Image at the inputs."""

    image: Annotated[
        int | None,
        typer.Option("--image", min=0, help="Image at the inputs (needs --dataset). Default: all inputs are zero."),
    ] = None

    WITHOUT_IMAGE = " without --image: expected the number of an image"


@takes_option_groups
def export(
    network: parameters.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    *,
    circuit: ExportedChip,
    form: Annotated[
        Literal["full", "reduced", "neurons", "kicad"] | None,
        typer.Option(
            "--form",
            help="full: every component in one circuit; reduced: one cell after the other, arrays folded into what "
            "their amplifiers see; neurons: each neuron alone, at its drive; kicad: the schematic of a board, as a "
            "project of KiCad 6, and the full form. Default: full where ngspice should end within ten minutes, else "
            "reduced.",
        ),
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option(
            "--cells", metavar="N", help="With --form kicad: a board of the first N hidden cells alone, without arrays."
        ),
    ] = None,
    array_parts: Annotated[
        Literal["resistors", "networks", "digital"] | None,
        typer.Option(
            "--array-parts",
            help="With --form kicad: what bom.csv orders for devices of arrays: single resistors (default), networks "
            "of eight where they fit, or digital potentiometers, with codes.csv.",
        ),
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(
            "--position",
            metavar="R,C",
            help="Only a patch of the convolutions, at this row and column, from 0: circuits that run by themselves.",
        ),
    ] = None,
    under: InputImage,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="Write the weights that the arrays of the chip realise, for your framework: .keras, .weights.h5, "
            ".safetensors or .npz.",
        ),
    ] = None,
    how: NetworkOptions,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Write a chip under one image as netlists that run in plain `ngspice -b`, conductance tables, parts, a manifest.

    `ngspice -b run.cir` in the folder writes scores.txt: index and score of each class, averaged over the control
    window. Of a convolutional network it runs every position, and writes activations.txt: what is held.
    """
    start = time.perf_counter()
    at = None if position is None else option_values.whole_pair("--position", position)
    _check_board(form, cells, array_parts, position, under)
    net = how.load(network, circuit.trim)
    costs.check_work(costs.layout(net, output, exported=True), yes=yes)
    chip = circuit.build(net)
    image = under.load(net, data)
    if weights is not None:
        outputs.writable(weights)
    folder = outputs.output_folder(output)
    if weights is not None:
        _write_weights(weights, chip, json)
    notes = {"versions": versions()} | under.settings
    if form == "kicad":
        with console.working("schematic"):
            written = _write_board(chip, image, folder, notes, cells, array_parts, network.stem)
        _say_board(folder, written, cells, json)
    else:
        with console.working("netlists"):
            written, what = _write(chip, image, folder, notes, form, at)
    if form != "kicad" and not has_failed(folder / "manifest.json"):
        first = "neuron_000.cir" if form == "neurons" else "run.cir"
        parts = "bom.csv, " if "bom.csv" in written else ""
        console.remark(
            f"written to {folder}: {what}; conductance tables, {parts}manifest.json. "
            f"Try: cd {shlex.quote(str(folder))} && ngspice -b {first}",
            json,
        )
    trim = {"trim": None if circuit.trim is None else str(circuit.trim)}
    settings = outputs.settings(net, chip, errors=circuit.errors, trim=circuit.trim) | under.settings | trim
    files = [path.relative_to(folder).as_posix() for path in outputs.written(folder / name for name in written)]
    outputs.write_json(json, "export", circuit.chip, start, {"files": files, "settings": settings})


def _check_board(
    form: str | None, cells: int | None, array_parts: str | None, position: str | None, under: InputImage
) -> None:
    """Refuse options that say nothing of what is written."""
    if form != "kicad":
        for option, value in (("--cells", cells), ("--array-parts", array_parts)):
            if value is not None:
                raise InputError(f"{option} {value} without --form kicad: expected both, or no {option}")
    elif cells is not None and array_parts is not None:
        raise InputError("--array-parts with --cells: cells alone have no arrays; expected one of the two")
    elif position is not None:
        raise InputError("--position with --form kicad: a board has no positions; expected one of the two")
    elif cells is not None and under.image is not None:
        raise InputError("--image with --cells: cells alone have no image at their inputs; expected one of the two")


def _write_board(
    chip: ManufacturedChip,
    image: FloatArray | None,
    folder: Path,
    notes: dict[str, Any],
    cells: int | None,
    array_parts: ArrayParts | None,
    network: str,
) -> list[str]:
    """Write the schematic and what goes with it; the project has the name of the network's file."""
    from analog_fhn.board.export import export_kicad, project_name

    name, array = project_name(network), array_parts or "resistors"
    return export_kicad(chip, folder, notes, cells=cells, inputs=image, name=name, array=array)


def _say_board(folder: Path, written: list[str], cells: int | None, json: str | None) -> None:
    from analog_fhn.netlist.export import read_manifest

    if has_failed(folder / "manifest.json"):
        return
    sheets = sum(name.endswith(".kicad_sch") for name in written)
    project = next(name for name in written if name.endswith(".kicad_pro"))
    what = "the whole network" if cells is None else f"{cells} cells"
    order = read_manifest(folder)["order"]  # is small: hashes of a file for each sheet
    codes = "codes.csv, " if "codes.csv" in written else ""
    console.remark(
        f"written to {folder}: the board of {what}, {sheets} sheets; netlist/, bom.csv ({order['price']:.0f} "
        f"{order['currency']} by price classes), {codes}manifest.json. Open {folder / project} with KiCad 6 or later",
        json,
    )
    for sentence in order["remarks"]:
        console.remark(f"what is bought: {sentence}", json)


def _write_weights(path: Path, chip: ManufacturedChip, json: str | None) -> None:
    """Write the weights that the arrays realise, as a framework reads them."""
    from analog_fhn import weights as trained

    arrays = chip.arrays
    trained.write(
        path, chip.network.with_weights([array.weights for array in arrays], [array.bias() for array in arrays])
    )
    if not has_failed(path):
        console.remark(f"effective weights of the arrays: {path}", json)


def _write(
    chip: ManufacturedChip,
    image: FloatArray | None,
    folder: Path,
    notes: dict[str, Any],
    form: Literal["full", "reduced", "neurons"] | None,
    position: tuple[int, int] | None,
) -> tuple[list[str], str]:
    """Write the chip in a form; names of the files, and in words what they are. `notes` name the image."""
    import numpy as np

    from analog_fhn.netlist.export import default_form, expected_seconds, form_words
    from analog_fhn.netlist.export import export as write_network

    if form == "neurons":
        drive = "each at the drive gamma/2" if image is None else f"driven by image {notes['image']}"
        if position is not None and image is not None:
            drive += f" at position {position[0]}, {position[1]}"
        written = _write_neurons(chip, image, folder, notes, position)
        return written, f"{chip.network.n_hidden} neuron netlists, {drive}"
    pixels = np.zeros(chip.network.n_inputs) if image is None else image
    under = "all inputs zero" if image is None else f"image {notes['image']} at its inputs"
    if position is not None:
        held = [one.values[0] for one in _passes(chip, pixels) if one.values is not None]
        written = write_network(chip, pixels, folder, notes, form=form, position=position, held=held)
        return written, f"a patch at position {position[0]}, {position[1]}, {under}"
    written = write_network(chip, pixels, folder, notes, form=form)
    form = form or default_form(chip)
    minutes = expected_seconds(chip, form) / 60.0
    positions = sum(front.n_positions for front in chip.network.fronts[:-1])
    which = form_words(chip, form)
    if any(chip.network.held):
        which = f"{'layer by layer' if form == 'full' else 'cell by cell'} at {positions} positions"
    return written, f"{which}, {under} (about {max(minutes, 0.1):.1f} min in ngspice)"


def _write_neurons(
    chip: ManufacturedChip,
    image: FloatArray | None,
    folder: Path,
    notes: dict[str, Any],
    position: tuple[int, int] | None,
) -> list[str]:
    """Write each neuron alone, at its drive under the image; without one at half of gamma, where it spikes.

    Neurons of a convolution have the drives of a position, where it has it, else of its first.
    """
    import numpy as np

    from analog_fhn.netlist.export import write_chip
    from analog_fhn.netlist.positions import check_position

    if position is not None:
        check_position(chip.network, position)
    if image is None:
        drives = [np.full(len(layer.cells), 0.5 * chip.network.fhn.gamma) for layer in chip.layers]
        return write_chip(chip, drives, folder, notes)
    drives = []
    for one in _passes(chip, image):
        patches, (row, column) = one.layer.front.patches, position or (0, 0)
        down, along = (1, 1) if patches is None else patches.positions
        drives.append(one.drives[row * along + column if row < down and column < along else 0])
    return write_chip(chip, drives, folder, notes)


def _passes(chip: ManufacturedChip, image: FloatArray) -> list[LayerPass]:
    """What each hidden layer does under an image, without noise of the samples that are held."""
    import numpy as np

    from analog_fhn.backends.direct.backend import Direct
    from analog_fhn.draws import RunNoise
    from analog_fhn.inference import hidden_response

    _, passes = hidden_response(chip, image[np.newaxis], Direct(), sampled=RunNoise.none(len(chip.layers)))
    return passes
