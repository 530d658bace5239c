"""`analog-fhn device fit`: a user's own measurements become a device preset."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from analog_fhn._support.files import has_failed
from analog_fhn.cli import console, outputs, parameters
from analog_fhn.cli.common import as_command
from analog_fhn.cli.console import engineering

if TYPE_CHECKING:
    from analog_fhn.technology.device_fit import DeviceFit

app = typer.Typer(help="Devices of arrays.", no_args_is_help=True, rich_markup_mode=None)


def fit(
    measured: Annotated[
        Path,
        typer.Argument(
            metavar="MEASURED.csv", help="Columns target, conductance (S); with drift also seconds, device."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PRESET.yaml", help="Device preset to write.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the preset (default: that of the file).")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Where the numbers come from, to be stated in the preset.")
    ] = None,
    sigma: Annotated[
        Literal["polynomial", "table"],
        typer.Option("--sigma", help="Programming error as a polynomial of the conductance, or as a table of it."),
    ] = "polynomial",
    json: parameters.JsonOption = None,
) -> None:
    """Make a device preset from measured conductances: programming error, and drift where readings have times."""
    from analog_fhn.technology.device_fit import fit_device, read_readings

    start = time.perf_counter()
    outputs.check_outputs({measured: "the measured file"}, {"-o": output, "--json": json})
    if output is not None:
        outputs.writable(output)
    with console.working("fit"):
        found = fit_device(read_readings(measured), name or measured.stem, source, model=sigma)
    for line in _lines(found):
        console.say(line, json)
    if output is not None:
        found.device.save(output)
        outputs.say_written([output], json)
    else:
        console.say(found.device.text().rstrip("\n"), json)
    content = {
        "device": found.device.model_dump(mode="json"),
        "states": [asdict(one) for one in found.states],
        "drift": None if found.drift is None else asdict(found.drift),
        "output": None if output is None or has_failed(output) else str(output),
    }
    outputs.write_json(json, "device fit", None, start, content)


app.command("fit")(as_command(fit))


def _lines(found: DeviceFit) -> list[str]:
    """The fit for people."""
    titles = ("target", "devices", "mean deviation", "sigma", "95 % of it", "fitted", "95 % of it")
    rows = [titles]
    for one in found.states:
        numbers = (one.target, one.deviation, one.sigma, one.low, one.high, one.fitted, one.fitted_low, one.fitted_high)
        target, deviation, sigma, low, high, fitted, from_, to = (engineering(value, "S") for value in numbers)
        rows.append((target, str(one.readings), deviation, sigma, f"{low} to {high}", fitted, f"{from_} to {to}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    drift = found.drift
    if drift is not None:
        lines.append(
            f"drift exponent {drift.mean:.4g} +- {drift.mean_error:.2g} (standard error), from device to device "
            f"{drift.sigma:.2g} +- {drift.sigma_error:.1g}, of {drift.devices} devices; residual of a reading "
            f"{100 * drift.residual:.2g} %"
        )
    return lines
