"""`analog-fhn check-board`: whether the schematic of a board is the circuit of its netlist."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import console, outputs, parameters


def check_board(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What `export --form kicad` wrote, perhaps changed in KiCad since.")
    ],
    json: parameters.JsonOption = None,
) -> None:
    """Compare a board's schematic with its netlist: parts, the values of this chip, pins and nets."""
    from analog_fhn.board.equality import check_board as check

    start = time.perf_counter()
    outputs.check_outputs({folder: "the board"}, {"--json": json})
    with console.working("schematic and netlist"):
        found = check(folder)
    for one in found:
        console.say(f"{one.kind:6}  {one.sentence}", json)
    console.say(found.summary, json)
    content = {"parts": found.n_parts, "nets": found.n_nets, "differences": [asdict(one) for one in found]}
    outputs.write_json(json, "check-board", None, start, content)
    if found:
        raise typer.Exit(1)
