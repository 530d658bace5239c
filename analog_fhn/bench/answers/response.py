"""The response curve of one neuron: time average of its output over the drive, and where the shown image lies on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from analog_fhn.bench.answers.plain import numbers
from analog_fhn.bench.answers.waveform import drives_of, neuron_of
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State
from analog_fhn.bench.work import Watch

_MOST = 400  # places of a curve that are sent


def response(bench: Bench, state: State, watch: Watch) -> dict[str, Any]:
    """Means of the table that images are judged by, the identity ``-(a + I)``, and the drives of the shown image."""
    chip = bench.chip(state, watch)
    every = drives_of(bench, chip, state, watch)
    neuron = neuron_of(chip, state, every)
    cells, drives = chip.layers[state.layer].cells[np.array([neuron])], every[:, [neuron]]
    engine = bench.table(chip, watch)
    table = engine.means(cells, chip.network.protocol)
    grid = np.linspace(table.low[0], table.high[0], table.mean.shape[1])
    some = np.unique(np.linspace(0, len(grid) - 1, min(_MOST, len(grid))).round().astype(int))
    return {
        "drive": numbers(grid[some]),
        "mean": numbers(table.mean[0, some]),
        "identity": numbers(cells.dynamics.identity_mean(grid[some][:, None])[:, 0]),
        "n_drives": len(grid),
        "window": engine.averages_window(cells, chip.network.protocol),
        "image_drives": numbers(drives),
        "image_means": numbers(table.look_up(drives)),
    }
