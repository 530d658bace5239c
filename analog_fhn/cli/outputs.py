"""What commands write: the JSON of a result, files and folders that can be written, the folder of tables."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analog_fhn._support.files import has_failed, is_stream, write_text
from analog_fhn._support.versions import versions
from analog_fhn.cli import circuits, console
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.network import Network
    from analog_fhn.technology.technology import Technology


def write_json(target: str | None, command: str, seed: int | None, start: float, content: dict[str, Any]) -> None:
    """Write the result object of a command; `start` is the perf_counter at its beginning."""
    if target is None:
        return
    head = {"command": command, "versions": versions(), "seed": seed, "seconds": time.perf_counter() - start}
    text = json.dumps(head | content, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(target, text)


def without_nan(value: Any) -> Any:
    """Content for JSON with None in place of numbers that do not exist."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def writable(path: Path) -> Path:
    """Path whose folder exists; an output that cannot be written is refused before the work begins."""
    try:
        stream = is_stream(path)
        there = os.path.lexists(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    if not stream:
        output_folder(path.parent)
    if path.is_dir() or (there and not path.is_symlink() and not os.access(path, os.W_OK)):
        raise InputError(f"{path}: cannot be written; expected a file name in a folder that may be written to")
    return path


def check_outputs(inputs: Mapping[Path, str], outputs: Mapping[str, Path | str | None]) -> None:
    """Refuse to write over an input, or one output over another.

    Parameters
    ----------
    inputs
        What each file that is read is, for the message.
    outputs
        File by option; None and "-" (standard output) are none.
    """
    taken = {path.resolve(): what for path, what in inputs.items()}
    for option, target in outputs.items():
        if target is None or str(target) == "-":
            continue
        path = Path(target).resolve()
        if path in taken:
            raise InputError(f"{option} {target}: is {taken[path]}; expected another file")
        taken[path] = f"the other output ({option})"


def output_folder(path: Path) -> Path:
    """Create an output folder, or say why it cannot be, or why nothing can be written there."""
    _existing_folder(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written to; expected a folder in which you may create files")
    return path


def _existing_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be used as a folder ({error.strerror})") from None
    return path


def tables_folder(table: int | None, tables: Path | None, backend: str, *, option: str = "--table") -> Path | None:
    """Folder of the response tables: the one given, else the user's cache; `option` is what asks for a table.

    Tables of `direct` stay in memory unless a folder is given: they are made faster than they are found. So do those
    for which there is no cache: nobody asked for that folder.
    """
    from analog_fhn._support.resources import cache_folder

    if tables is not None:
        if table is None:
            raise InputError(f"--tables {tables}: there is no table to keep without {option} N")
        return _existing_folder(tables)  # tables in one that is read-only are used
    if table is None or backend == "direct":
        return None
    try:
        return _existing_folder(cache_folder("tables"))
    except InputError as error:
        console.note(f"{error}; the response table is not kept (--tables DIR)")
        return None


def written(paths: Iterable[Path]) -> list[Path]:
    """Those of the output files that could be written; what is said of the others comes at the end of the command."""
    return [path for path in paths if not has_failed(path)]


def say_written(paths: Iterable[Path], json_target: str | None) -> None:
    """Print which files were written, if any were."""
    if names := [str(path) for path in written(paths)]:
        console.remark(f"written: {', '.join(names)}", json_target)


def settings(
    network: Network,
    chip: ManufacturedChip | None,
    *,
    errors: str | None = None,
    technology: Technology | None = None,
    trim: Path | None = None,
) -> dict[str, Any]:
    """Everything that decided a result, for JSON.

    Parameters
    ----------
    errors
        Value of `--errors`.
    technology
        Where there is no single chip; None: the chip's.
    trim
        File that the chip is the trim of: no errors but those that it was trimmed with are left.
    """
    if technology is None and chip is not None:
        technology = chip.technology
    return {
        "fhn": asdict(network.fhn),
        "protocol": asdict(network.protocol),
        "readout": network.readout,
        "recentre": network.recentre,
        "hidden": network.hidden,
        "tanh": network.tanh,
        "behind": network.behind,
        "layers": list(network.layer_sizes),
        "architecture": network.sizes_text,
        "weights_sha256": network.sha256,
        "technology": None if technology is None else technology.name,
        "technology_values": None if technology is None else technology.model_dump(),
        "conditions": None if technology is None else technology.conditions.model_dump(),
        "errors": None if technology is None else _errors_left(technology, errors, trim),
        "chip": chip.seed if chip is not None else None,
    }


def _errors_left(technology: Technology, errors: str | None, trim: Path | None) -> list[str]:
    if trim is None:
        return circuits.error_groups(technology, errors)
    from analog_fhn.trim.state import trim_notes

    before: list[str] = trim_notes(trim).get("errors", circuits.error_groups(technology, None))
    if errors is None:
        return before
    # Both lists group by group: what the first one left exact stays so.
    one, other = (
        [g for group in groups for g in technology.SHORT.get(group, (group,))]
        for groups in (before, circuits.error_groups(technology, errors))
    )
    return [group for group in one if group in other]
