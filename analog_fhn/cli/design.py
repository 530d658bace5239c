"""`analog-fhn design`: a neuron's scales and parts for wanted parameters, and what may be wrong with them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import console, inputs, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.cell.base import Cell
    from analog_fhn.design import Design


def design(
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    eps: parameters.EpsOption = None,
    a: parameters.AOption = None,
    gamma: parameters.GammaOption = None,
    time_unit: Annotated[
        float | None, typer.Option("--time-unit", metavar="SECONDS", help="Duration of one time unit T.")
    ] = None,
    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Take eps, a, gamma from this network.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write neuron_parts.csv there.")
    ] = None,
    json: parameters.JsonOption = None,
) -> None:
    """Scales and parts of a hidden cell for eps, a, gamma, T; what the E series leave; what may be wrong (status 1)."""
    from dataclasses import asdict

    start = time.perf_counter()
    layout = _design(technology, eps, a, gamma, time_unit, network)
    if output is not None:
        outputs.writable(output / "neuron_parts.csv")
    from analog_fhn.checks.design import check

    findings, cell = check(layout), layout.cells[0]
    parts, scales = _parts(cell), dict(cell.voltage_scales)
    fhn, volts = (
        layout.network.fhn,
        ", ".join(f"{name[0].upper()}{name[1:]} = {v:.5g} V" for name, v in scales.items() if name != "time_unit"),
    )
    console.say(
        f"eps = {fhn.eps:g}, a = {fhn.a:g}, gamma = {fhn.gamma:g}, T = {engineering(cell.time_unit, 's')}, "
        f"technology {layout.technology.name}\n"
        f"{volts}, I = 1 is {engineering(cell.drive_current(1.0), 'A')}",
        json,
    )
    for part in parts:
        console.say(
            f"  {part['name']:6} {engineering(part['value'], part['unit']):>11}  {part['series'] or 'any':4} "
            f"{100 * part['tolerance']:3g} %  {part['purpose']}",
            json,
        )
    left = ", ".join(f"{name} {100 * error:+.2f} %" for name, error in layout.errors.items() if abs(error) >= 5e-6)
    console.say(f"errors that the series leave: {left or 'none'}", json)
    for finding in findings:
        console.say(f"{finding.severity}: {finding.message}", json)
    if not findings:
        console.say("no findings", json)
    if output is not None:
        path = output / "neuron_parts.csv"
        write_records(path, parts)
        outputs.say_written([path], json)
    content = {
        "scales": scales,
        "parts": parts,
        "errors": layout.errors,
        "findings": [asdict(finding) for finding in findings],
        "settings": {"fhn": asdict(fhn), "technology": layout.technology.name, "time_unit": cell.time_unit},
    }
    outputs.write_json(json, "design", None, start, content)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def engineering(value: float, unit: str) -> str:
    """Value with a prefix between p and M, four significant digits: ``4.42 kohm``."""
    if value == 0.0:
        return f"0 {unit}"
    digits = float(f"{value:.4g}")
    exponent = min(max(3 * math.floor(math.log10(abs(digits)) / 3 + 1e-12), -12), 6)
    prefix = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M"}[exponent]
    return f"{digits / 10.0**exponent:.4g} {prefix}{unit}"


def _design(
    technology: str,
    eps: float | None,
    a: float | None,
    gamma: float | None,
    time_unit: float | None,
    network: Path | None,
) -> Design:
    import numpy as np

    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.technology.technology import Technology

    chosen = Technology.load(technology)
    if time_unit is not None:
        try:
            chosen = chosen.with_values({"time_unit": time_unit})
        except InputError as error:
            raise InputError(f"--time-unit {time_unit:g}: {error}") from None
    if network is not None:
        net = inputs.load_network(network, eps=eps, a=a, gamma=gamma)
    else:
        # One neuron is enough: all neurons of a design have the same nominal values.
        net = Network.of_weights((np.ones((1, 1)), np.ones((1, 1)))).with_options(eps=eps, a=a, gamma=gamma)
    return Design(net, chosen)


def _parts(cell: Cell) -> list[dict[str, Any]]:
    """Rows of the table of parts: those that are bought by their values."""
    rows = []
    for group in cell.nominal:
        for described in group.described():
            if not described.purpose or described.name in cell.left_out(True):
                continue
            section = getattr(cell.technology, described.kind.section)
            rows.append(
                {
                    "name": described.name[0].upper() + described.name[1:],
                    "value": float(getattr(group, described.name)[0]),
                    "unit": described.kind.unit,
                    "series": section.series,
                    "tolerance": section.tolerance,
                    "purpose": described.purpose,
                }
            )
    return rows
