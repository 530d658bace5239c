"""`analog-fhn bench plan`, `read` and `diagnose`: what to measure on a board, and what the readings say."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn.cli import circuits, console, inputs, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.board.bench_reading import CellDiagnosis, LayerDiagnosis
    from analog_fhn.board.diagnosis import Suspect
    from analog_fhn.design import Design

_SHOWN_NOTES, _SHOWN_SUSPECTS = 5, 3


def plan(
    network: parameters.NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    technology: parameters.NeededTechnologyOption = "discrete",
    cells: Annotated[
        int | None, typer.Option("--cells", metavar="N", min=1, help="Only the first N cells of each hidden layer.")
    ] = None,
    chip: Annotated[
        int | None,
        typer.Option(
            "--chip", metavar="SEED", min=0, help="Also write what this drawn chip would give: measurements_chip.csv."
        ),
    ] = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    json: parameters.JsonOption = None,
) -> None:
    """Write what to measure on a board: test points, drives, settings of the instruments, expected values, a table.

    The table, measurements.csv, goes into `bench diagnose` and `trim --measurements --unit volts` once it is filled in,
    by hand or by `bench read`.
    """
    from analog_fhn.board.bench_plan import CHIP_FILE, FILES, write_plan

    start = time.perf_counter()
    design = _design(network, technology, temperature, supply)
    folder = outputs.output_folder(output)
    for name in (*FILES, *(() if chip is None else (CHIP_FILE,))):
        outputs.writable(folder / name)
    with console.working("expected values"):
        files = write_plan(design, folder, cells, chip)
    outputs.say_written([folder / name for name in files], json)
    settings = outputs.settings(design.network, None, technology=design.technology)
    outputs.write_json(json, "bench plan", chip, start, {"files": files, "cells": cells, "settings": settings})


def read(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of `bench plan`, with DIR/recordings/*.csv.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.csv", help="Table to write (default: DIR/measurements.csv)."),
    ] = None,
    json: parameters.JsonOption = None,
) -> None:
    """Fill in the table of a plan from an oscilloscope's recordings, one CSV file for each cell and shot.

    Readings that stand in the table stay where there is no recording.
    """
    import numpy as np

    from analog_fhn.board.bench_plan import read_plan
    from analog_fhn.board.bench_reading import read_recordings
    from analog_fhn.board.measured import kept_readings, write_measurements

    start = time.perf_counter()
    plans = read_plan(folder)
    path = outputs.writable(folder / "measurements.csv" if output is None else output)
    with console.progress_bar("cells") as bar:
        readings, notes = read_recordings(folder, plans, bar)
    for line in notes[:_SHOWN_NOTES]:
        console.warn(f"warning: {line}")
    if len(notes) > _SHOWN_NOTES:
        console.warn(f"warning: and {len(notes) - _SHOWN_NOTES} more; their readings are left to be filled in")
    readings = kept_readings(path, [plan.steps for plan in plans], readings)
    number = sum(int(np.isfinite(values).sum()) for values in readings)
    total = sum(values.size for values in readings)
    console.say(f"{number} of {total} readings of {sum(map(len, readings))} cells", json)
    write_measurements(path, [plan.steps for plan in plans], readings)
    outputs.say_written([path], json)
    content = {"readings": number, "expected": total, "missing": notes, "output": str(path)}
    outputs.write_json(json, "bench read", None, start, content)


def diagnose(
    network: parameters.NetworkArgument,
    measurements: Annotated[Path, typer.Argument(metavar="MEASUREMENTS.csv", help="Table of `bench plan`, filled in.")],
    technology: parameters.NeededTechnologyOption = "discrete",
    accuracy: Annotated[
        float | None,
        typer.Option(
            "--accuracy",
            metavar="SHARE",
            help="Of readings that were filled in by hand, as a share of their typical size (default: recordings with "
            "1 % noise, 0.0005 besides).",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.csv",
            help="Table with the readings that the estimated parts give: less noise, for `trim --measurements`.",
        ),
    ] = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    json: parameters.JsonOption = None,
) -> None:
    """Say which cells are off, which parts alone would explain it, and the nine coefficients of every neuron."""
    from analog_fhn.board.bench_reading import diagnose as diagnosis
    from analog_fhn.board.bench_steps import ACCURACY, NOISE, bench_protocols
    from analog_fhn.board.measured import write_measurements

    start = time.perf_counter()
    outputs.check_outputs({measurements: "the measurements"}, {"-o": output, "--json": json})
    if output is not None:
        outputs.writable(output)
    if accuracy is not None and not 0.0 < accuracy < 1.0:
        raise InputError(f"--accuracy {accuracy:g}: expected a share between 0 and 1")
    design = _design(network, technology, temperature, supply)
    with console.progress_bar("cells") as bar:
        found = diagnosis(
            measurements, design, ACCURACY if accuracy is None else accuracy, NOISE if accuracy is None else 0.0, bar
        )
    for layer, place in zip(found, design.layer_names, strict=True):
        for cell in layer.cells:
            for line in _lines(cell, place):
                console.say(line, json)
    if output is not None:
        steps = [protocol.steps for protocol in bench_protocols(design)]
        write_measurements(output, steps, [layer.estimated for layer in found])
        outputs.say_written([output], json)
    settings = outputs.settings(design.network, None, technology=design.technology)
    content = {"layers": [_content(layer) for layer in found], "accuracy": accuracy, "settings": settings}
    outputs.write_json(json, "bench diagnose", None, start, outputs.without_nan(content))


def _design(network: Path, technology: str, temperature: float | None, supply: float | None) -> Design:
    from analog_fhn.design import Design

    parts = circuits.load_technology(technology, errors=None, temperature=temperature, supply=supply)
    return Design(inputs.load_network(network), parts)


def _lines(cell: CellDiagnosis, place: str) -> list[str]:
    """What people read about a cell."""
    head = f"neuron {cell.neuron}{place}: {cell.readings} readings, misfit {cell.misfit:.0f} (limit {cell.limit:.0f})"
    if not cell.suspects:
        return [f"{head}: as the technology's cells are"]
    far = ", ".join(f"{step} {column} {off:+.1f} sigma" for step, column, off in cell.furthest)
    lines = [f"{head}; furthest off: {far}"]
    for number, suspect in enumerate(cell.suspects[:_SHOWN_SUSPECTS]):
        lines.append(f"  {'most likely' if number == 0 else 'rather not'}: {_words(suspect)}")
    return lines


def _words(suspect: Suspect) -> str:
    faults = [
        f"{fault.part.words} {fault.part.size(fault.sigmas)} ({fault.sigmas:+.1f} +- {fault.error:.1f} sigma)"
        for fault in suspect.faults
    ]
    apart = "" if len(faults) == 1 else "; which of them, the readings do not tell"
    return " or ".join(faults) + f"; explains {suspect.explained:.0f} of the misfit" + apart


def _content(layer: LayerDiagnosis) -> dict[str, Any]:
    numbers = zip(layer.coefficients.p.tolist(), layer.coefficients.q.tolist(), layer.left.tolist(), strict=True)
    found = ({"p": p, "q": q, "sigma_p": left[:5], "sigma_q": left[5:]} for p, q, left in numbers)
    return {"cells": [asdict(cell) | one for cell, one in zip(layer.cells, found, strict=True)]}
