"""The whole chip under one image for VACASK: one file with everything, which writes the scores as `run.cir` does."""

from __future__ import annotations

from collections.abc import Sequence

from analog_fhn.chip import ManufacturedChip
from analog_fhn.netlist.chip_lines import SCORES, volts_per_score
from analog_fhn.netlist.decks import accuracy_lines, chip_libraries, transient_line
from analog_fhn.ngspice.text import number
from analog_fhn.vacask.translate import translate

DECK = "run_vacask.sim"
_SCRIPT = "vacask_scores.py"
# What a run leaves behind: waveforms, what it compiles of expressions, and the script.
LEFT = (
    "run.raw",
    _SCRIPT,
    f"{_SCRIPT}.origin",
    "run_vacask.log",
    *(f"{DECK}__behavioral.{kind}" for kind in ("va", "va.origin", "osdi")),
)

# Python's own library alone: means over the control window, edges interpolated.
_MEANS = """\
import re, struct, sys
if sys.argv[1:] == ["begin"]:
    open("{file}", "w").write("the run has not ended\\n")
    sys.exit()
header, data = open("run.raw", "rb").read().split(b"Binary:\\n", 1)
points = int(re.search(rb"No\\. Points:\\s*(\\d+)", header).group(1))
names = re.findall(rb"^\\s*\\d+\\s+(\\S+)\\s+\\S+\\s*$", header, re.M)
rows = list(struct.iter_unpack("%dd" % len(names), data[: 8 * points * len(names)]))
start, stop, volts = {start}, {stop}, {volts}
if rows[-1][0] < stop * (1 - 1e-9):
    sys.exit("the transient stopped early")
lines = []
for k in range({classes}):
    column, area = names.index(b"score_%d" % k), 0.0
    for before, after in zip(rows, rows[1:]):
        first, last = max(before[0], start), min(after[0], stop)
        if last > first:
            slope = (after[column] - before[column]) / (after[0] - before[0])
            area += (before[column] + slope * ((first + last) / 2 - before[0])) * (last - first)
    lines.append("%d %.9g\\n" % (k, area / (stop - start) / volts))
open("{file}", "w").write("".join(lines))
"""


def run_vacask(chip: ManufacturedChip, circuit: Sequence[str], recentre: bool) -> str:
    """Text of `run_vacask.sim`: `vacask run_vacask.sim` writes `scores.txt`, by a small script of Python in it.

    Parameters
    ----------
    circuit
        Lines of the chip's circuit for ngspice, without libraries.
    recentre
        Whether the rows of the output array carry the activation, or x itself.
    """
    cell, protocol, unit = chip.hardware[0].cells.cell, chip.network.protocol, chip.time_unit
    classes = chip.network.output.n_out
    libraries = [text.decode("ascii") for text in chip_libraries(chip).values()]
    deck = translate(
        "\n".join(
            [
                "title",
                *libraries,
                *circuit,
                *accuracy_lines(cell),
                transient_line(cell, protocol),
                f".save {' '.join(f'v(score_{k})' for k in range(classes))}",
                ".end",
            ]
        )
    )
    script = _MEANS.format(
        file=SCORES,
        start=number(protocol.settle * unit),
        stop=number((protocol.settle + protocol.control) * unit),
        volts=volts_per_score(chip, recentre),
        classes=classes,
    )
    control = [
        "control",
        f'postprocess(PYTHON, "{_SCRIPT}", "begin")',
        *deck.run_lines({}),
        f'postprocess(PYTHON, "{_SCRIPT}")',
        "endc",
        f'embed "{_SCRIPT}" <<<FILE',
        script + ">>>FILE",
    ]
    return deck.text + "\n".join(control) + "\n"
