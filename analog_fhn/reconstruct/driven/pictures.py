"""Picture of a driven twin: recorded and own voltage at held-out currents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analog_fhn.plots import COLOURS, INK
from analog_fhn.reconstruct.driven.judging import StepRun

_ROW = 0.95  # inches


def held_out_waveforms(runs: Sequence[StepRun], title: str) -> Figure:
    """Recorded voltage and the twin's at each held-out step: a row for a current, a column for a step of the sweep."""
    currents = sorted({run.step.amplitude for run in runs})
    numbers = sorted({run.step.number for run in runs})
    figure = Figure(figsize=(3.1 * len(numbers) + 0.5, _ROW * len(currents) + 0.8), layout="constrained")
    grid = figure.subplots(len(currents), len(numbers), squeeze=False, sharex=True, sharey=True)
    for run in runs:
        axes = grid[currents.index(run.step.amplitude), numbers.index(run.step.number)]
        time = 1e3 * run.interval * (np.arange(len(run.recorded)) - run.begin)
        axes.plot(time, 1e3 * run.recorded, color=INK, lw=0.8, label="recorded")
        axes.plot(time, 1e3 * run.run, color=COLOURS[1], lw=0.8, label="twin")
        axes.set_title(
            f"{1e12 * run.step.amplitude:g} pA: {len(run.recorded_times)} spikes recorded, twin {len(run.times)}",
            fontsize=8, loc="left",
        )  # fmt: skip
    for axes in grid.ravel():
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("time after the step's beginning (ms)", fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("V (mV)", fontsize=8)
    grid[0, -1].legend(fontsize=7, frameon=False, loc="upper right")
    figure.suptitle(title, fontsize=10)
    return figure
