"""A chip as a folder of files: netlists, conductance tables, bill of materials, manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import CsvTable, has_failed, write_set, write_text
from analog_fhn._support.hashing import sha256
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.netlist.bom import bill, bill_text
from analog_fhn.netlist.chip_lines import SCORES
from analog_fhn.netlist.decks import chip_libraries, data_file, neuron_decks
from analog_fhn.netlist.folded_chip import folded_chip
from analog_fhn.netlist.folded_chip import position_decks as folded_position
from analog_fhn.netlist.positions import ACTIVATIONS, check_position, row_volts, run_once
from analog_fhn.netlist.transistor_chip import expected_seconds as transistor_seconds
from analog_fhn.netlist.transistor_chip import handed_over, transistor_chip
from analog_fhn.netlist.vacask_run import DECK as VACASK_DECK
from analog_fhn.netlist.vacask_run import LEFT
from analog_fhn.netlist.whole_chip import estimated_seconds, position_seconds, tiles, whole_chip
from analog_fhn.netlist.whole_chip import position_decks as whole_position
from analog_fhn.neuron import FloatArray

Form = Literal["full", "reduced"]
MANIFEST = "manifest.json"
NETLISTS = "netlist"  # folder of the netlists that go with a schematic
_LONGEST_MANIFEST = 2**24  # bytes, hundreds of times what there is to say
# Beyond this the reduced form is the default.
LONGEST_RUN = 600.0  # s


@dataclass(frozen=True)
class _Netlists:
    """What writes the netlists of one kind of chip.

    Parameters
    ----------
    texts
        Circuits and `run.cir` of a chip under an image, in the full form or the other, with recentring or without.
    seconds
        About how long ngspice takes for them.
    results
        Files that runs write besides the scores.
    full, reduced
        Both forms in words.
    of_parts
        Whether such chips are boards: of parts that are bought, and with convolutions.
    """

    texts: Callable[[ManufacturedChip, NDArray[np.floating], bool, bool], dict[str, str]]
    seconds: Callable[[ManufacturedChip, bool], float]
    results: Callable[[ManufacturedChip], list[str]]
    full: str
    reduced: str
    of_parts: bool


def _board(chip: ManufacturedChip, inputs: NDArray[np.floating], full: bool, recentre: bool) -> dict[str, str]:
    return (whole_chip if full else folded_chip)(chip, inputs, recentre=recentre)


# By the technology's read-out.
_NETLISTS = {
    "transimpedance": _Netlists(
        _board,
        lambda chip, full: estimated_seconds(chip, full=full),
        lambda chip: [ACTIVATIONS] if any(chip.network.held) else [],
        "the whole chip in one circuit",
        "the chip cell by cell",
        True,
    ),
    "integrating": _Netlists(
        lambda chip, inputs, full, recentre: transistor_chip(chip, inputs, folded=not full, recentre=recentre),
        lambda chip, full: transistor_seconds(chip, full=full),
        handed_over,
        "the whole chip, reads of arrays and cells in turn",
        "the chip with folded arrays, reads and cells in turn",
        False,
    ),
}


def expected_seconds(chip: ManufacturedChip, form: Form) -> float:
    """About how long ngspice takes for a chip under an image, on one core."""
    return _NETLISTS[chip.technology.READ_OUT].seconds(chip, form == "full")


def default_form(chip: ManufacturedChip) -> Form:
    """The form of a chip's netlist where none is asked for: full, if it would run in `LONGEST_RUN` or less.

    Full, too, where a board's devices are not ohmic: its reduced form has no such devices.
    """
    if chip.output_array.nonlinear is not None and chip.technology.READ_OUT == "transimpedance":
        return "full"
    return "full" if expected_seconds(chip, "full") <= LONGEST_RUN else "reduced"


def form_words(chip: ManufacturedChip, form: Form) -> str:
    """A form of a chip's netlist in words."""
    netlists = _NETLISTS[chip.technology.READ_OUT]
    return netlists.full if form == "full" else netlists.reduced


def export(
    chip: Chip,
    inputs: NDArray[np.floating],
    folder: str | Path,
    notes: dict[str, Any] | None = None,
    *,
    form: Form | None = None,
    recentre: bool | None = None,
    position: tuple[int, int] | None = None,
    held: Sequence[FloatArray] = (),
) -> list[str]:
    """Write netlists of a whole chip under one image, conductance tables, bill of materials and manifest.

    `ngspice -b run.cir` in the folder writes `scores.txt`, one line per class: its index and its score in the units of
    the trained weights, averaged over the control window; of a chip in one circuit `vacask run_vacask.sim` writes it,
    too. `analog_fhn.backends.spice.backend.run_exported` does the same. Where activations are held, it runs every
    position of every patch, and writes `activations.txt` besides: a line for each activation that is held, as it is
    sampled.

    Parameters
    ----------
    chip
        With a technology.
    inputs
        The image, shape (n_in,), scaled as in training.
    folder
        Created if it does not exist.
    notes
        Anything JSON can hold, added to the manifest; None: nothing.
    form
        "full": every component in one circuit; "reduced": cell by cell, arrays folded into what their amplifiers see
        (see `analog_fhn.netlist.whole_chip`). Of a chip of transistors both run reads of arrays and cells in turn, and
        the reduced form has its arrays folded (see `analog_fhn.netlist.transistor_chip`). None: full, if it would run
        in `LONGEST_RUN` or less.
    recentre
        Whether the rows of the output array carry the activation, or x itself; None: as the network says.
    position
        Row and column of a patch, from 0: instead of the whole network only the convolutions that have this position,
        each as circuits that run by themselves, with the voltages of the position at their rows. `run.cir` then writes
        `activations.txt` alone.
    held
        With a position: what each hidden layer hands on under the image, shape (n_values,), without errors of its hold
        stages, as far as arrays behind them are exported (`analog_fhn.inference.LayerPass.values`). Without it only the
        first array's convolution is.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.

    Raises
    ------
    InputError
        If the form is unknown, the chip has no components, its initial state lies beyond the linear range of the
        parts, no convolution has the position, held rows of the output array are asked to carry x, or a chip of
        transistors has what its netlists cannot.
    InputError, RunError
        If a file cannot be written; then none is, and what was in the folder stays.
    """
    if form is not None and form not in get_args(Form):
        raise InputError(f"form {shown(form)}: expected {' or '.join(map(repr, get_args(Form)))}")
    manufactured = _manufactured(chip)
    recentre = chip.network.recentre if recentre is None else recentre
    if manufactured.network.held[-1] and not recentre:
        raise InputError(
            "the activations in front of the output layer are held, so that its rows cannot carry x; expected an "
            "export with recentring"
        )
    if position is not None:
        return _export_position(manufactured, np.asarray(inputs), Path(folder), notes or {}, form, position, held)
    form = form or default_form(manufactured)
    netlists = _NETLISTS[manufactured.technology.READ_OUT]
    texts = netlists.texts(manufactured, inputs, form == "full", recentre)
    facts = {
        "form": form,
        "run": "ngspice -b run.cir",
        "writes": SCORES,
        "expected_seconds": expected_seconds(manufactured, form),
        "windows": manufactured.windows,
        "scores": "time averages over the control window, before any converter, in the units of the trained weights",
        "inputs": [float(value) for value in inputs],
        "recentre": recentre,
    }
    results = [SCORES, "run.log", *netlists.results(manufactured), *(LEFT if VACASK_DECK in texts else ())]
    return _write(manufactured, Path(folder), texts, results, facts | (notes or {}), recentre)


def _export_position(
    chip: ManufacturedChip,
    inputs: NDArray[np.floating],
    folder: Path,
    notes: dict[str, Any],
    form: Form | None,
    position: tuple[int, int],
    held: Sequence[FloatArray],
) -> list[str]:
    """Write the convolutions that have a position, and what goes with them."""
    if not _NETLISTS[chip.technology.READ_OUT].of_parts:
        raise InputError(
            f"position {position}: technology {chip.technology.name!r} has no netlists of convolutions; expected an "
            "export of the whole network"
        )
    row, column = position
    layers = [k for k in check_position(chip.network, position) if k <= len(held)]
    if not layers:
        raise InputError(
            f"position ({row}, {column}): the input array has none, and what the layers before the other convolutions "
            "hand on is not given; expected 'held'"
        )
    form = form or "full"
    make = whole_position if form == "full" else folded_position
    decks = []
    for layer in layers:
        volts = row_volts(chip, layer, held[layer - 1] if layer else inputs, position)
        decks += make(chip, layer, position, volts, chip.network.recentre)
    facts = {
        "form": form,
        "position": [row, column],
        "layers": layers,
        "run": "ngspice -b run.cir",
        "writes": ACTIVATIONS,
        "expected_seconds": position_seconds(chip, layers, full=form == "full"),
        "activations": "as they are sampled, offsets of hold stages included, in the units of the trained weights",
        "inputs": [float(value) for value in inputs],
        "recentre": chip.network.recentre,
    }
    texts = {deck.file: deck.text for deck in decks} | {"run.cir": run_once(chip, decks)}
    return _write(chip, folder, texts, [ACTIVATIONS, "run.log"], facts | notes, chip.network.recentre)


def write_chip(chip: Chip, drives: Sequence[FloatArray], folder: Path, notes: dict[str, Any]) -> list[str]:
    """Write one netlist per neuron, conductance tables, bill of materials and manifest.

    Parameters
    ----------
    chip
        With a technology.
    drives
        The drive that each neuron's netlist is given, shape (n_neurons,), of each hidden layer.
    folder
        Created if it does not exist.
    notes
        Anything JSON can hold, added to the manifest.

    Returns
    -------
    list of str
        Names of the files written, relative to the folder.

    Raises
    ------
    InputError
        If the chip has no components, or its initial state lies beyond the linear range of the parts.
    InputError, RunError
        If a file cannot be written; then none is, and what was in the folder stays.
    """
    manufactured = _manufactured(chip)
    decks = neuron_decks(manufactured, drives)
    facts = {"form": "neurons", "run": "ngspice -b neuron_000.cir", "drives": np.concatenate(drives).tolist()}
    results = [data_file(name) for name in decks]
    return _write(manufactured, folder, decks, results, facts | notes, chip.network.recentre)


def _manufactured(chip: Chip) -> ManufacturedChip:
    """The chip, if it has components."""
    if not isinstance(chip, ManufacturedChip):
        raise InputError("an export needs a chip with a technology")
    return chip


def _write(
    chip: ManufacturedChip,
    folder: Path,
    decks: dict[str, str],
    results: list[str],
    facts: dict[str, Any],
    recentre: bool,
) -> list[str]:
    """Write decks and everything that goes with them, in place of the export before; `results` are what decks write."""
    texts = dict(decks)
    for number in range(len(chip.arrays)):
        texts |= _conductances(chip, number)
    if _NETLISTS[chip.technology.READ_OUT].of_parts:
        texts["bom.csv"] = bill_text(bill(Design(chip.network, chip.technology), recentre=recentre))
    contents = chip_libraries(chip) | {name: text.encode("utf-8") for name, text in texts.items()}
    manifest = chip_facts(chip, contents, results) | facts
    return write_export(folder, contents, manifest, (SCORES, ACTIVATIONS))


def chip_facts(chip: ManufacturedChip, contents: Mapping[str, bytes], results: Sequence[str]) -> dict[str, Any]:
    """What every manifest says of a chip, its files and what runs of them write."""
    return {
        "format": 2,
        "chip_seed": chip.seed,
        "technology": chip.technology.model_dump(),
        "scales": dict(chip.hardware[0].cells.cell.voltage_scales),
        "siemens_per_weight": [array.crossbar.siemens_per_weight for array in chip.arrays],
        "fhn": asdict(chip.network.fhn),
        "protocol": asdict(chip.network.protocol),
        "architecture": chip.network.sizes_text,
        "weights_sha256": chip.network.sha256,
        "sha256": {name: sha256(content) for name, content in contents.items()},
        "results": list(results),
    }


def write_export(
    folder: Path, contents: dict[str, bytes], manifest: dict[str, Any], results: Sequence[str] = ()
) -> list[str]:  # fmt: skip
    """Write files and their manifest in place of the export before and of `results`; the names of the files."""
    names = [*contents, MANIFEST]
    earlier = earlier_files(folder)
    write_set(folder, contents | {MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode("utf-8")})
    if not has_failed(folder / MANIFEST):
        for path in (*(folder / name for name in results), *earlier):
            if path.relative_to(folder).as_posix() not in names:
                path.unlink(missing_ok=True)
    return names


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of an export; empty where there is none, or one that is damaged or another program's."""
    try:
        if (folder / MANIFEST).stat().st_size > _LONGEST_MANIFEST:
            return {}
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    # Manifests of other programs may list hashes, too.
    ours = isinstance(manifest, dict) and {"format", "form", "weights_sha256"} <= manifest.keys()
    return manifest if ours else {}


def earlier_files(folder: Path) -> list[Path]:
    """Files of the export before, and what runs of it wrote, by its manifest.

    A file that somebody has changed since is not among them, nor are links, nor anything outside the folder.
    """
    manifest = read_manifest(folder)
    results, hashes = manifest.get("results", []), manifest.get("sha256", {})
    if not isinstance(results, list) or not isinstance(hashes, dict):
        return []
    listed = [(name, None) for name in results] + list(hashes.items())
    return [folder / name for name, digest in listed if isinstance(name, str) and _as_written(folder, name, digest)]


def _as_written(folder: Path, name: str, digest: object) -> bool:
    """Whether a file of this name is in the folder, with this SHA-256 if there is one."""
    path = folder / name
    try:
        below = path.parent == folder / NETLISTS and not path.parent.is_symlink()
        if not (below or path.parent == folder) or path.is_symlink() or not path.is_file():
            return False
        return digest is None or sha256(path.read_bytes()) == digest
    except (OSError, ValueError):  # a name that cannot be one
        return False


def write_conductances(chip: ManufacturedChip, layer: int, folder: Path) -> list[str]:
    """Write one table per tile of an array, one line per device, and return the files' names."""
    tables = _conductances(chip, layer)
    for name, text in tables.items():
        write_text(folder / name, text)
    return list(tables)


def _conductances(chip: ManufacturedChip, layer: int) -> dict[str, str]:
    crossbar = chip.arrays[layer].crossbar
    target, conductance = chip.arrays[layer].target.conductance, crossbar.conductance
    parts = tiles(chip, layer)
    texts = {}
    for rows, bit_lines in parts:
        tile = "" if len(parts) == 1 else f"_row_{rows.start}_bit_line_{bit_lines.start}"
        file = io.StringIO(newline="")
        table = CsvTable(file)
        table.writerow(["row", "bit_line", "input", "output", "sign", "target_siemens", "made_siemens"])
        for i in rows:
            for j in bit_lines:
                table.writerow(
                    [
                        i, j, "bias" if i >= crossbar.n_in else i, j // 2, "-" if j % 2 else "+",
                        repr(float(target[i, j])), repr(float(conductance[i, j])),
                    ]
                )  # fmt: skip
        texts[f"conductances_{layer}{tile}.csv"] = file.getvalue()
    return texts
