"""`analog-fhn design`: a neuron's scales and parts for wanted parameters, and what may be wrong with them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import common
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.design import Design

PURPOSE = {
    "r1": "-Vx into U1: sets the time scale of x",
    "r2": "Vx^3/Vm^2 into U1: the cubic",
    "r3": "Vy into U1",
    "r4": "-Vx into U2: sets the time unit and the drive current",
    "r5": "reference into U2: a",
    "ra": "input of the inverter U3",
    "rb": "feedback of the inverter U3",
    "cx": "feedback of U1: integrates x",
    "cy": "feedback of U2: integrates y",
    "rs1": "tanh pair: attenuator of the input for gamma < 0, sets the slope",
    "rp1": "tanh pair: its shunt",
    "rs2": "tanh pair: attenuator of the input for gamma > 0",
    "rp2": "tanh pair: its shunt",
    "rabc": "tanh pair: tail current, sets gamma",
    "rin": "row driver: input",
    "rf": "row driver: feedback",
    "rshift": "row driver: reference, recentres",
}


def design(
    technology: Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")] = "discrete",
    eps: common.EpsOption = None,
    a: common.AOption = None,
    gamma: common.GammaOption = None,
    time_unit: Annotated[
        float | None, typer.Option("--time-unit", metavar="SECONDS", help="Duration of one time unit T.")
    ] = None,
    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Take eps, a, gamma from this network.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write neuron_parts.csv there.")
    ] = None,
    json: common.JsonOption = None,
) -> None:
    """Scales and parts of a hidden cell for eps, a, gamma, T; what the E series leave; what may be wrong (status 1)."""
    from dataclasses import asdict

    start = time.perf_counter()
    made = _design(technology, eps, a, gamma, time_unit, network)
    if output is not None:
        common.writable(output / "neuron_parts.csv")
    from analog_fhn.checks.cell import check

    findings = check(made)
    parts = _parts(made)
    fhn, scales = made.network.fhn, made.scales
    common.say(
        f"eps = {fhn.eps:g}, a = {fhn.a:g}, gamma = {fhn.gamma:g}, T = {engineering(scales.time_unit, 's')}, "
        f"technology {made.technology.name}\n"
        f"Sx = {scales.sx:.5g} V, Sy = {scales.sy:.5g} V, I = 1 is "
        f"{engineering(scales.sx / made.technology.neuron.r4, 'A')}",
        json,
    )
    for part in parts:
        common.say(
            f"  {part['name']:6} {engineering(part['value'], part['unit']):>11}  {part['series'] or 'any':4} "
            f"{100 * part['tolerance']:3g} %  {part['purpose']}",
            json,
        )
    left = ", ".join(f"{name} {100 * error:+.2f} %" for name, error in made.errors.items() if abs(error) >= 5e-6)
    common.say(f"errors that the series leave: {left or 'none'}", json)
    for finding in findings:
        common.say(f"{finding.severity}: {finding.message}", json)
    if not findings:
        common.say("no findings", json)
    if output is not None:
        path = output / "neuron_parts.csv"
        write_records(path, parts)
        common.say_written([path], json)
    content = {
        "scales": asdict(scales),
        "parts": parts,
        "errors": made.errors,
        "findings": [asdict(finding) for finding in findings],
        "settings": {"fhn": asdict(fhn), "technology": made.technology.name, "time_unit": scales.time_unit},
    }
    common.write_json(json, "design", None, start, content)
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
        net = common.load_network(network, eps=eps, a=a, gamma=gamma)
    else:
        # One neuron is enough: all neurons of a design have the same nominal values.
        net = Network((np.ones((1, 1)), np.ones((1, 1)))).with_options(eps=eps, a=a, gamma=gamma)
    return Design(net, chosen)


def _parts(made: Design) -> list[dict[str, Any]]:
    from analog_fhn.cell.stages import NO_SHIFT

    technology = made.technology
    nominal = dict(made.parts.items()) | dict(made.pairs.items()) | dict(made.drivers.items())
    rows = []
    for name, purpose in PURPOSE.items():
        value = float(nominal[name][0])
        if value >= NO_SHIFT:
            continue
        passive, unit = (technology.resistor, "ohm") if name.startswith("r") else (technology.capacitor, "F")
        rows.append(
            {
                "name": name[0].upper() + name[1:],
                "value": value,
                "unit": unit,
                "series": passive.series,
                "tolerance": passive.tolerance,
                "purpose": purpose,
            }
        )
    return rows
