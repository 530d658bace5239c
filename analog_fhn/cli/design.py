"""`analog-fhn design`: a neuron's scales and parts for wanted parameters, and what may be wrong with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import write_records
from analog_fhn.cli import circuits, console, consumption, inputs, outputs, parameters
from analog_fhn.cli.options import takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.design import Design
    from analog_fhn.findings import Finding
    from analog_fhn.studies.consumption import Consumption


@dataclass(frozen=True)
class CellOptions:
    """What a hidden cell is designed for, and of which parts."""

    technology: parameters.NeededTechnologyOption = "discrete"
    eps: parameters.EpsOption = None
    a: parameters.AOption = None
    gamma: parameters.GammaOption = None
    time_unit: Annotated[
        float | None, typer.Option("--time-unit", metavar="SECONDS", help="Duration of one time unit T.")
    ] = None
    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Take eps, a, gamma from this network.")
    ] = None

    def build(self) -> Design:
        """The design: of the network, else of a single neuron, since all have the same nominal values."""
        import numpy as np

        from analog_fhn.design import Design
        from analog_fhn.network import Network

        technology = circuits.load_technology(self.technology)
        if self.time_unit is not None:
            try:
                technology = technology.with_values({"time_unit": self.time_unit})
            except InputError as error:
                raise InputError(f"--time-unit {self.time_unit:g}: {error}") from None
        settings = values_set(self, "eps", "a", "gamma")
        if self.network is not None:
            return Design(inputs.load_network(self.network, **settings), technology)
        one = np.ones((1, 1))
        return Design(Network.of_weights((one, one)).with_options(**settings), technology)


@takes_option_groups
def design(
    *,
    what: CellOptions,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write neuron_parts.csv there.")
    ] = None,
    json: parameters.JsonOption = None,
) -> None:
    """Scales and parts of a hidden cell for eps, a, gamma, T; what the E series leave; what may be wrong (status 1)."""
    from analog_fhn.checks.design import check
    from analog_fhn.studies.consumption import estimated
    from analog_fhn.studies.quiescent import hold_stages

    start = time.perf_counter()
    layout = what.build()
    if output is not None:
        outputs.writable(output / "neuron_parts.csv")
    with console.working("design"):
        findings, parts, drawn = check(layout), _parts(layout), estimated(layout)
    for line in _lines(layout, parts, drawn, findings):
        console.say(line, json)
    if output is not None:
        path = output / "neuron_parts.csv"
        write_records(path, parts)
        outputs.say_written([path], json)
    fhn, technology = layout.network.fhn, layout.technology
    content = {
        "scales": dict(layout.cells[0].voltage_scales),
        "parts": parts,
        "errors": layout.errors,
        "positions": [down * along for down, along in consumption.positions(layout)],
        "windows": layout.windows,
        "hold_stages": hold_stages(layout),
        **consumption.of_answer(drawn),
        "quiescent_power": consumption.quiescent_powers(drawn),
        "findings": [asdict(finding) for finding in findings],
        "settings": {"fhn": asdict(fhn), "technology": technology.name, "time_unit": layout.time_unit},
    }
    outputs.write_json(json, "design", None, start, content)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _lines(
    layout: Design, parts: list[dict[str, Any]], drawn: Consumption, findings: list[Finding]
) -> Iterator[str]:  # fmt: skip
    """What people read of a design."""
    fhn, cell = layout.network.fhn, layout.cells[0]
    scales = {name: value for name, value in cell.voltage_scales.items() if name != "time_unit"}
    volts = ", ".join(f"{name[0].upper()}{name[1:]} = {value:.5g} V" for name, value in scales.items())
    yield (
        f"eps = {fhn.eps:g}, a = {fhn.a:g}, gamma = {fhn.gamma:g}, T = {console.engineering(cell.time_unit, 's')}, "
        f"technology {layout.technology.name}\n"
        f"{volts}, I = 1 is {console.engineering(cell.drive_current(1.0) - cell.drive_current(0.0), 'A')}"
    )
    for part in parts:
        yield (
            f"  {part['name']:6} {console.engineering(part['value'], part['unit']):>11}  {part['series'] or 'any':4} "
            f"{100 * part['tolerance']:3g} %  {part['purpose']}"
        )
    yield from consumption.estimate_lines(layout, drawn)
    left = ", ".join(f"{name} {100 * error:+.2f} %" for name, error in layout.errors.items() if abs(error) >= 5e-6)
    yield f"errors that the series leave: {left or 'none'}"
    for finding in findings:
        yield f"{finding.severity}: {finding.message}"
    if not findings:
        yield "no findings"


def _parts(layout: Design) -> list[dict[str, Any]]:
    """Rows of the table of parts: those that are bought by their values.

    The cells of all hidden layers, each part once; where layers differ in a part's value, for each value.
    """
    rows: dict[tuple[str, float], dict[str, Any]] = {}
    for cell in layout.cells:
        for group in cell.nominal:
            for described in group.described():
                if not (described.purpose and described.kind.symbol) or described.name in cell.left_out(True):
                    continue
                section = getattr(cell.technology, described.kind.section)
                row = {
                    "name": described.name[0].upper() + described.name[1:],
                    "value": float(getattr(group, described.name)[0]),
                    "unit": described.kind.unit,
                    "series": getattr(section, "series", None),
                    "tolerance": getattr(section, described.kind.spread.field),
                    "purpose": described.purpose,
                }
                rows.setdefault((described.name, row["value"]), row)
    return list(rows.values())
