"""The first hidden cells of a chip by themselves: drive stages, neurons and row drivers, without arrays."""

from __future__ import annotations

from analog_fhn.chip import ManufacturedChip
from analog_fhn.netlist.chip_lines import END, beginning, chip_supplies, includes
from analog_fhn.netlist.decks import (
    accuracy_lines,
    cell_suffix,
    check_lines,
    mean_lines,
    neuron_lines,
    stage_lines,
    transient_line,
)

ROWS = "rows.txt"


def cells_alone(chip: ManufacturedChip, count: int, recentre: bool) -> dict[str, str]:
    """Netlist of the first `count` cells of the first hidden layer, in one circuit, and `run.cir` that runs it.

    Names are those of `analog_fhn.netlist.whole_chip`. Inputs are the sources `Vz_000`, ..., all at 0 V; a run writes
    `rows.txt`: number of each cell, mean of its row over the control window (V).

    Raises
    ------
    InputError
        If the initial state lies beyond the linear range of the parts.
    """
    cells, protocol = chip.hardware[0].cells, chip.network.protocol
    suffixes = [cell_suffix(0, k) for k in range(count)]
    lines = [
        f"* Hidden cells 0 to {count - 1} by themselves: drive stages, neurons, row drivers.",
        f"* Needs {', '.join(cells.cell.libraries)}; run.cir includes them.",
        *chip_supplies(chip, recentre),
    ]
    for k, suffix in enumerate(suffixes):
        lines += [f"Vz{suffix} z{suffix} 0 0.0", *neuron_lines(cells, k, protocol, suffix)]
        lines += stage_lines(cells, k, recentre, suffix)
    rows = [f"row{suffix}" for suffix in suffixes]
    run = [
        "* Hidden cells by themselves, their inputs at 0 V: ngspice -b run.cir",
        *includes((*cells.cell.libraries, "chip.cir")),
        *accuracy_lines(cells.cell),
        transient_line(cells.cell, protocol),
        f".save {' '.join(f'v({row})' for row in rows)}",
        ".control",
        *beginning(ROWS),
        "run",
        *check_lines(protocol, cells.cell.time_unit),
    ]
    for k, row in enumerate(rows):
        run += mean_lines(row, protocol, cells.cell.time_unit)
        run.append(f'echo "{k} $&mean_v{row}" {">>" if k else ">"} {ROWS}')
    return {"chip.cir": "\n".join(lines) + "\n", "run.cir": "\n".join([*run, *END])}
