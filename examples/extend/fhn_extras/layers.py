"""Reader of trained weights in a format of one's own: `analog-fhn import net.layers -o net.npz`.

A text file of layers. Each begins with a line `layer INPUTS OUTPUTS UNIT` (unit `none` for the last one), then come
INPUTS lines of OUTPUTS numbers and one line of biases. Text behind `#` is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.weights.trained import TrainedWeights

UNITS = ("sigmoid", "tanh", "relu")
MOST = 100_000  # outputs of a layer: a header is not believed without limit


def read(path: Path) -> TrainedWeights:
    """Layers of a file; what is wrong with it is named with its line."""
    lines = _lines(path)
    weights, biases, units = [], [], []
    for number, line in lines:
        words = line.split()
        if len(words) != 4 or words[0] != "layer" or not all(w.isascii() and w.isdigit() for w in words[1:3]):
            raise InputError(f"{path}, line {number}: expected 'layer INPUTS OUTPUTS UNIT', found {line[:40]!r}")
        n_in, n_out = int(words[1]), int(words[2])
        if not (0 < n_in <= MOST and 0 < n_out <= MOST):
            raise InputError(f"{path}, line {number}: {n_in} x {n_out}: expected sizes from 1 to {MOST}")
        weights.append(np.array([_row(path, lines, n_out) for _ in range(n_in)]))
        biases.append(_row(path, lines, n_out))
        units.append((number, words[3]))
    for number, unit in units[:-1]:
        if unit not in UNITS:
            raise InputError(f"{path}, line {number}: unit {unit[:40]!r}: expected one of {', '.join(UNITS)}")
    if units and units[-1][1] != "none":
        raise InputError(f"{path}, line {units[-1][0]}: unit {units[-1][1][:40]!r}: expected 'none' for the last layer")
    return TrainedWeights(tuple(weights), tuple(biases), tuple(u for _, u in units[:-1]) or None, path, "layers file")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if line := line.partition("#")[0].strip():
            yield number, line


def _row(path: Path, lines: Iterator[tuple[int, str]], n: int) -> NDArray[np.float64]:
    number, line = next(lines, (0, ""))
    try:
        row = np.array(line.split(), dtype=np.float64)
    except ValueError:
        raise InputError(f"{path}, line {number}: expected {n} numbers, found {line[:40]!r}") from None
    if not number or len(row) != n or not np.isfinite(row).all():
        where = f"line {number}" if number else "at its end"
        raise InputError(f"{path}, {where}: expected {n} finite numbers, found {len(row)}")
    return row
