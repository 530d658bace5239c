"""What both forms of a whole chip's netlist share: names of its nodes, and the lines that write its scores.

Nodes of the first hidden layer are x_000, x_001, ...; those of a deeper one have its number before, x_1_000. Word lines
behind hold stages are r1_000, r1_001, ..., by the number of their array.
"""

from __future__ import annotations

from collections.abc import Iterable

from analog_fhn.chip import ManufacturedChip
from analog_fhn.netlist.decks import cell_suffix, supply_lines
from analog_fhn.ngspice.text import number

SCORES = "scores.txt"


# Whoever finds the file after a failed run must not take old scores for new ones.
def beginning(results: str) -> tuple[str, ...]:
    """Commands at the beginning of a run that writes a file of results."""
    return "set numdgt=12", f"echo the run has not ended > {results}", "let reached = 0"


BEGIN = beginning(SCORES)
END = ("quit 0", ".endc", ".end", "")


def row_nodes(chip: ManufacturedChip, array: int) -> list[str]:
    """Ends of an array's word lines, those of the biases last."""
    n_rows = len(chip.arrays[array].crossbar.g_plus)
    if array == 0:
        return [f"r_{i:03d}" for i in range(n_rows)]
    if chip.network.held[array - 1]:  # no row drivers, but hold stages stand in front
        return [f"r{array}_{i:03d}" for i in range(n_rows)]
    return [f"row{cell_suffix(array - 1, i)}" for i in range(n_rows)]


def column_nodes(chip: ManufacturedChip, array: int) -> list[str]:
    """Virtual grounds at the ends of an array's bit lines, +, -, +, -, ..."""
    n_outputs = chip.arrays[array].crossbar.g_plus.shape[1]
    if array == len(chip.hardware):
        return [f"{sign}_{k}" for k in range(n_outputs) for sign in ("sp", "sn")]
    return [f"{sign}{cell_suffix(array, k)}" for k in range(n_outputs) for sign in ("p", "n")]


def array_words(chip: ManufacturedChip, array: int) -> str:
    """An array in words."""
    if array == 0:
        return "the input array"
    return "the output array" if array == len(chip.hardware) else f"array {array}"


def operating_point_lines() -> list[str]:
    """ngspice commands after `op` of the output stage: end with status 1 if there is no operating point."""
    return [
        "let reached = length(v(score_0))",
        "if reached < 1",
        "  echo the output stage has no operating point",
        "  quit 1",
        "end",
    ]


def chip_supplies(chip: ManufacturedChip, recentre: bool) -> list[str]:
    """Sources of all that any of the layers needs, each once."""
    cells = [one.cells.cell for one in chip.hardware]
    lines = [line for case in (None, recentre) for cell in cells for line in supply_lines(cell, case)]
    return list(dict.fromkeys(lines))


def includes(names: Iterable[str]) -> list[str]:
    """Lines that include files of the deck's own folder."""
    return [f".include {name}" for name in names]


def volts_per_score(chip: ManufacturedChip, recentre: bool) -> str:
    """Output voltage that stands for a score of 1, as text."""
    return number(chip.output_array.volts[0 if recentre else 1])


def score_lines(chip: ManufacturedChip, recentre: bool, outputs: str) -> list[str]:
    """ngspice commands that write the scores in the units of the trained weights; `outputs` of class {k}, in volts."""
    volts = volts_per_score(chip, recentre)
    lines = [f"* {volts} V at the output stand for a score of 1."]
    for k in range(chip.network.output.n_out):
        lines += [
            f"let score = {outputs.format(k=k)}/{volts}",
            f'echo "{k} $&score" {">>" if k else ">"} {SCORES}',
        ]
    return lines
