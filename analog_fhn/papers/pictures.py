"""Pictures of what is reproduced over many networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analog_fhn.plots import COLOURS, INK

if TYPE_CHECKING:
    from analog_fhn.papers.population import Population

_OFFSET = 0.24  # between the recipes' bars of a digit


def population(people: Population, title: str) -> Figure:
    """Published columns within a population of networks; below, accuracy against gamma and distance against a."""
    figure = Figure(figsize=(9.2, 6.0), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 0.9))[:, 0]
    panels = above.subplots(1, 3)
    for column, axes in enumerate(panels):
        _column(axes, people, column)
    panels[0].set_ylabel("accuracy (%)")
    left, right = below.subplots(1, 2, width_ratios=(2.0, 1.0))
    _against_gamma(left, people)
    _against_a(right, people)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(title)
    return figure


def _column(axes: Axes, people: Population, column: int) -> None:
    """A published column, and the least, median and greatest value of each recipe's networks."""
    places = np.append(np.arange(10.0), 10.7)
    for recipe, name in enumerate(people.recipes):
        values = people.at_own(column, recipe)
        x = places + _OFFSET * (recipe - (len(people.recipes) - 1) / 2)
        axes.vlines(x, values.min(axis=0), values.max(axis=0), color=COLOURS[recipe], lw=2.2, alpha=0.75)
        axes.plot(x, np.median(values, axis=0), "o", ms=3, color=COLOURS[recipe], label=name)
    width = 0.45
    axes.hlines(people.published[column], places - width, places + width, color=INK, lw=1.4, label="paper")
    axes.set_xticks(places, [*map(str, range(10)), "all"])
    axes.set(xlabel="digit", title=f"column {column + 1}, best gammas")
    axes.title.set_fontsize(10)
    axes.set_ylim(bottom=-1)
    axes.spines[["top", "right"]].set_visible(False)


def _against_gamma(axes: Axes, people: Population) -> None:
    gammas = np.array(people.gammas)
    for recipe in range(len(people.recipes)):
        values = people.averages[recipe, :, people.best_a]
        for branch in (gammas < 0, gammas > 0):  # at gamma = 0 the neurons do not see their input
            order = np.flatnonzero(branch)[np.argsort(gammas[branch])]
            low, high = values[:, order].min(axis=0), values[:, order].max(axis=0)
            axes.fill_between(gammas[order], low, high, color=COLOURS[recipe], alpha=0.2, lw=0)
            middle = np.median(values[:, order], axis=0)
            axes.plot(gammas[order], middle, "o-", ms=3, lw=1.2, color=COLOURS[recipe])
    for column in people.published:
        axes.axhline(column[10], color=INK, lw=0.9, ls=":")
    axes.set_xscale("symlog", linthresh=0.1)
    ticks = [t for t in (-20, -10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2) if gammas.min() <= t <= gammas.max()]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="multiplier gamma", ylabel="accuracy (%)", title=f"a = {people.a[people.best_a]:g}")
    axes.title.set_fontsize(10)
    axes.spines[["top", "right"]].set_visible(False)


def _against_a(axes: Axes, people: Population) -> None:
    for recipe in range(len(people.recipes)):
        values = people.rms[recipe]
        x = np.arange(len(people.a)) + _OFFSET * (recipe - (len(people.recipes) - 1) / 2)
        axes.vlines(x, values.min(axis=0), values.max(axis=0), color=COLOURS[recipe], lw=2.2, alpha=0.75)
        axes.plot(x, np.median(values, axis=0), "o", ms=3, color=COLOURS[recipe])
    axes.set_xticks(np.arange(len(people.a)), [f"{a:g}" for a in people.a])
    axes.set(xlabel="a", ylabel="rms difference (points)", title="all columns, best gammas")
    axes.title.set_fontsize(10)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
