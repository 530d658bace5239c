"""Pictures of a reconstruction, from the choice of the delay vectors to the regimes of the map; see `plots`.

Each function returns a matplotlib Figure; times come in s and are drawn in s, ms or µs, voltages in mV, or in V where
they span more than 0.5 V, as those of circuits do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from analog_fhn.neuron import FloatArray
from analog_fhn.plots import COLOURS, INK, NARROW
from analog_fhn.reconstruct.judge.advice import Advice
from analog_fhn.reconstruct.judge.dynamics import Bifurcation
from analog_fhn.reconstruct.rhythm import REGIMES, interval_histogram

_REGIME_COLOURS = {
    "silent": "#a9b4ba",
    "spiking": COLOURS[4],
    "bursting": COLOURS[0],
    "irregular": COLOURS[3],
    "diverged": INK,
}
_POINTS = 6000  # drawn in one portrait; a bifurcation diagram shows up to twenty times as many intervals
_BINS, _NARROWEST = 60, 0.02  # of interval histograms: most bins, and least width in natural logarithms


def embedding_advice(advice: Advice) -> Figure:
    """Autocorrelation, mutual information and false neighbours, with the lags and the dimension that they suggest."""
    figure = Figure(figsize=(NARROW, 6.6), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1)
    scale, unit = _time_unit(advice.step * float(advice.lags[-1]))
    step = scale * advice.step
    time = step * advice.lags
    marks = [("below 1/e", advice.decay_lag, COLOURS[4]), ("first zero", advice.zero_lag, COLOURS[3])]
    top.plot(time, advice.correlation, color=COLOURS[0], lw=1.6)
    top.axhline(0.0, color=INK, lw=0.8)
    _mark_lags(top, marks, step, float(time[-1]), unit)
    top.set(ylabel="autocorrelation")
    middle.plot(time, advice.information, color=COLOURS[0], lw=1.6)
    _mark_lags(middle, [("first minimum", advice.information_lag, COLOURS[1])], step, float(time[-1]), unit)
    middle.set(ylabel="mutual information (nats)", xlabel=f"lag ({unit})")
    share = 100 * advice.false_neighbours
    bottom.plot(advice.dimensions, np.maximum(share, 0.02), "o-", color=COLOURS[0], ms=5, lw=1.6)
    bottom.axhline(1.0, color=INK, lw=1.0, ls="--", label="1 %")
    if advice.dimension is not None:
        bottom.axvline(advice.dimension, color=COLOURS[1], lw=1.4, ls="--", label=f"dimension {advice.dimension}")
    bottom.set(yscale="log", ylim=(0.015, 130), xlabel=f"dimension (samples {step * advice.stride:.3g} {unit} apart)")
    # Of 2000 vectors the smallest share above zero is 0.05 %.
    bottom.set_yticks([0.02, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
    bottom.set_yticks([], minor=True)
    bottom.set_ylabel("false neighbours (%)")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in (top, middle, bottom):
        long = sum(len(label) for label in axes.get_legend_handles_labels()[1]) > 45
        where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.1}
        axes.legend(fontsize=8, ncols=1 if long else 2, frameon=False, **where)
        _plain(axes)
    figure.align_ylabels()
    return figure


def recording_and_free_run(
    time: ArrayLike, recorded: ArrayLike, runs: Mapping[str, ArrayLike], title: str = "Recording and free run"
) -> Figure:
    """Voltage of the recording, and of free runs below it, a panel each.

    Parameters
    ----------
    time
        Shape (n,), s.
    recorded
        Shape (n,), V; NaN samples are left blank.
    runs
        Per label: voltage, shape (m,), V, sampled as the recording; drawn up to the recording's end.
    """
    t = np.asarray(time, dtype=np.float64)
    scale, unit = _time_unit(float(t[-1]))
    t = scale * t
    factor, ylabel = _voltage_unit(1e3 * np.asarray(recorded, dtype=np.float64))
    figure = Figure(figsize=(8.0, 1.5 * (1 + len(runs)) + 0.9), layout="constrained")
    grid = figure.subplots(1 + len(runs), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    panels = {"recording": recorded, **runs}
    for k, (axes, (label, voltage)) in enumerate(zip(grid, panels.items(), strict=True)):
        v = 1e3 * factor * np.asarray(voltage, dtype=np.float64)[: len(t)]
        axes.plot(t[: len(v)], v, color=INK if k == 0 else COLOURS[(k - 1) % len(COLOURS)], lw=0.9)
        axes.set_title(label, fontsize=9, loc="left")
        _plain(axes)
    known = 1e3 * factor * np.asarray(recorded, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known):  # a run that diverges shall not squeeze the others
        low, high = known.min(), known.max()
        grid[0].set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))
    grid[0].set_xlim(float(t[0]), float(t[-1]))
    grid[-1].set_xlabel(f"time ({unit})")
    figure.supylabel(ylabel, fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def latent_scan(
    sizes: Sequence[int],
    losses: Mapping[str, ArrayLike],
    chosen: int | None = None,
    ylabel: str = "reconstruction error",
) -> Figure:
    """Error of the autoencoder against its latent size: the right size is the smallest past which it stops falling.

    Parameters
    ----------
    sizes
        Latent sizes, shape (k,).
    losses
        Per label (the delay vectors' size): error at each size, shape (k,), or (restarts, k); of restarts the median
        is drawn as a line and each as a dot.
    chosen
        Latent size to mark.
    """
    figure = Figure(figsize=(NARROW, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for k, (label, values) in enumerate(losses.items()):
        rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(sizes, np.median(rows, axis=0), "o-", color=colour, ms=5, lw=1.6, label=label)
        if len(rows) > 1:
            axes.plot(np.tile(sizes, len(rows)), rows.ravel(), ".", color=colour, ms=4, alpha=0.5)
    if chosen is not None:
        axes.axvline(chosen, color=INK, lw=1.2, ls="--", label=f"chosen: {chosen}")
    axes.set(yscale="log", xlabel="latent size", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    _plain(axes)
    return figure


def loss_curves(
    curves: Mapping[int | str, ArrayLike], xlabel: str = "epoch", ylabel: str = "loss", title: str = "latent size"
) -> Figure:
    """Loss over the training, one curve per latent size (or other label): label -> losses, shape (n,)."""
    figure = Figure(figsize=(NARROW, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for k, (label, losses) in enumerate(curves.items()):
        values = np.asarray(losses, dtype=np.float64)
        axes.plot(np.arange(1, len(values) + 1), values, color=COLOURS[k % len(COLOURS)], lw=1.4, label=str(label))
    axes.set(yscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize=8, title=title, title_fontsize=8, ncols=2)
    _plain(axes)
    return figure


def portraits(
    states: ArrayLike | None, latents: ArrayLike, colours: ArrayLike, colour_label: str | None = None
) -> Figure:
    """The true orbit beside the one in the recovered state.

    Parameters
    ----------
    states
        Shape (n, 3): V (mV), n, S; or (n, 2), of any unit; None where the truth is not known.
    latents
        Shape (n, L); of more than three variables the first three principal components are drawn, each over its own
        standard deviation. With L = 1 it is drawn against its successor.
    colours
        Shape (n,): what the points are coloured by, the same in both.
    colour_label
        None: the colours are voltages in mV.
    """
    shown, names = _components(np.asarray(latents, dtype=np.float64))
    panels = [("recovered state", shown, names)]
    if states is not None:
        truth = np.asarray(states, dtype=np.float64)
        axis_names = ("V (mV)", "n", "S") if truth.shape[1] == 3 else ("state 1", "state 2")
        panels.insert(0, ("true state", truth, axis_names))
    figure = Figure(figsize=(4.6 * len(panels) + 0.6, 4.2), layout="constrained")
    shade = np.asarray(colours, dtype=np.float64)[: len(shown)]
    if colour_label is None:
        factor, colour_label = _voltage_unit(shade)
        shade = factor * shade
    every = max(1, -(-len(shade) // _POINTS))
    drawn: list[Any] = []
    for k, (title, points, labels) in enumerate(panels):
        solid = len(labels) == 3
        axes: Any = figure.add_subplot(1, len(panels), k + 1, projection="3d" if solid else None)
        columns = points[: len(shade) : every].T
        drawn.append(axes.scatter(*columns, c=shade[::every], s=2.0, cmap="viridis", linewidths=0, rasterized=True))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if solid:
            axes.set_zlabel(labels[2], labelpad=9)
            axes.yaxis.labelpad = 7
            axes.set_box_aspect(None, zoom=0.85)
            for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
                axis.set_major_locator(MaxNLocator(4))
            axes.tick_params(labelsize=8)
        else:
            _plain(axes)
        axes.set_title(title, fontsize=11, y=0.94 if solid else 1.0)
    figure.get_layout_engine().set(wspace=0.12)  # type: ignore[union-attr, call-arg]
    figure.colorbar(drawn[-1], ax=figure.axes, label=colour_label, shrink=0.7, pad=0.06)
    return figure


def intervals(recorded: ArrayLike, runs: Mapping[str, ArrayLike], title: str = "Intervals between spikes") -> Figure:
    """Interval histograms on a logarithmic scale, a panel per run with the recording's behind it.

    Parameters
    ----------
    recorded
        Intervals, s, shape (n,).
    runs
        Per label: intervals, s.
    """
    every = np.concatenate([np.ravel(np.asarray(d, dtype=np.float64)) for d in (recorded, *runs.values())])
    every = every[np.isfinite(every) & (every > 0)]
    low, high = (float(every.min()) / 1.2, float(every.max()) * 1.2) if len(every) else (0.1, 10.0)
    # The recording's median lies in the middle of a bin: a run that differs by less than half of it shares the bin.
    known = np.asarray(recorded, dtype=np.float64)
    known = known[np.isfinite(known) & (known > 0)]
    centre = float(np.median(known)) if len(known) else float(np.sqrt(low * high))
    width = max(_NARROWEST, float(np.log(high / low)) / _BINS)
    first, last = np.floor(np.log(low / centre) / width), np.ceil(np.log(high / centre) / width)
    truth, edges = interval_histogram(recorded, centre * np.exp(width * (np.arange(first, last + 2) - 0.5)))
    scale, unit = _time_unit(float(edges[-1]))
    names = runs or {"recording": []}
    figure = Figure(figsize=(NARROW + 1.0, 1.5 * len(names) + 1.3), layout="constrained")
    grid = figure.subplots(len(names), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for k, (axes, (label, values)) in enumerate(zip(grid, names.items(), strict=True)):
        axes.stairs(100 * truth, scale * edges, fill=True, color="#c3ccd1", label="recording")
        if runs:
            share = 100 * interval_histogram(values, edges)[0]
            axes.stairs(share, scale * edges, color=COLOURS[k % len(COLOURS)], lw=1.4)
        axes.set_title(label, fontsize=9, loc="left")
        axes.set_xscale("log")
        _plain(axes)
    grid[-1].set_xlim(scale * edges[0], scale * edges[-1])
    _interval_ticks(grid[-1].xaxis, scale * float(edges[0]), scale * float(edges[-1]))
    grid[-1].set_xlabel(f"interval ({unit})")
    figure.supylabel("share of the intervals (%)", fontsize=10)
    figure.suptitle(title, fontsize=11)
    if runs:
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower right", fontsize=8, frameon=False)
    return figure


def bifurcation(
    neuron: Bifurcation | None,
    of_map: Bifurcation,
    neuron_label: str = "V_S (mV)",
    map_label: str = "control input p",
    trained: tuple[float | None, float | None] = (None, None),
    titles: tuple[str, str] = ("neuron", "map"),
) -> Figure:
    """Intervals between spikes over the control value, of the neuron and of the map, with the regimes below.

    Parameters
    ----------
    neuron, of_map
        Bifurcations of the neuron over V_S, None where it is not known, and of the map over p.
    neuron_label, map_label
        Labels of the control axes.
    trained
        Control values of neuron and map that are marked: those at which the recording was made.
    titles
        Titles of the two panels.
    """
    panels = [(titles[1], of_map, map_label, trained[1])]
    if neuron is not None:
        panels.insert(0, (titles[0], neuron, neuron_label, trained[0]))
    figure = Figure(figsize=(4.4 * len(panels) + 0.4, 4.6), layout="constrained")
    grid = figure.subplots(2, len(panels), sharex="col", sharey="row", squeeze=False, height_ratios=[5, 1])
    every = np.concatenate([d for _, b, _, _ in panels for d in b.intervals])
    scale, unit = _time_unit(float(every.max()) if len(every) else 10.0)
    low, high = (scale * float(every.min()), scale * float(every.max())) if len(every) else (0.1, 10.0)
    for (top, bottom), (name, scan, label, mark) in zip(grid.T, panels, strict=True):
        for regime, (values, lengths) in _by_regime(scan).items():
            top.plot(values, scale * lengths, ".", color=_REGIME_COLOURS[regime], ms=3.0, mew=0, rasterized=True)
        top.set(yscale="log", title=name, ylim=(low / 1.3, high * 1.3))
        edges, bottoms = _edges(scan.values), np.zeros(len(scan.values))
        for k, regime in enumerate(REGIMES):
            share = 100 * scan.shares[:, k]
            bottom.bar(edges[:-1], share, np.diff(edges), bottoms, align="edge", color=_REGIME_COLOURS[regime], lw=0)
            bottoms += share
        bottom.set(xlabel=label, ylim=(0, 100), xlim=(edges[0], edges[-1]))
        bottom.set_yticks([0, 100])
        bottom.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if mark is not None:
            for axes in (top, bottom):
                axes.axvline(mark, color=INK, lw=1.0, ls=":")
        _plain(top)
    grid[0, 0].set_ylabel(f"interval between spikes ({unit})")
    grid[1, 0].set_ylabel("starts (%)")
    _interval_ticks(grid[0, 0].yaxis, low / 1.3, high * 1.3)
    present = np.concatenate([b.regimes.ravel() for _, b, _, _ in panels])
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    figure.legend(handles=_legend(present), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def regimes(
    values: ArrayLike,
    places: NDArray[np.intp],
    labels: Sequence[str] | None = None,
    xlabel: str = "control input p",
    title: str = "Regimes of maps trained from different seeds",
) -> Figure:
    """Coloured strips: regime over the control value, a row per seed.

    Parameters
    ----------
    values
        Control values, shape (k,), increasing.
    places
        Regime of each seed at each control value as its place in `REGIMES`, shape (seeds, k).
    labels
        Names of the rows; None: seed 1, 2, ...
    """
    rows = np.asarray(places)
    names = [f"seed {k + 1}" for k in range(len(rows))] if labels is None else list(labels)
    figure = Figure(figsize=(7.0, 0.32 * len(rows) + 1.7), layout="constrained")
    axes = figure.add_subplot()
    colours = ListedColormap([_REGIME_COLOURS[r] for r in REGIMES])
    edges = _edges(np.asarray(values, dtype=np.float64))
    axes.pcolormesh(edges, np.arange(len(rows) + 1) - 0.5, rows, cmap=colours, vmin=-0.5, vmax=len(REGIMES) - 0.5)
    axes.hlines(np.arange(1, len(rows)) - 0.5, edges[0], edges[-1], color="white", lw=2)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel)
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


def _mark_lags(axes: Axes, marks: Sequence[tuple[str, int | None, str]], step: float, end: float, unit: str) -> None:
    """Lines at the lags that lie within the picture; those beyond are named in the legend only."""
    for label, lag, colour in marks:
        if lag is None:
            axes.plot([], [], " ", label=f"{label}: none")
        elif step * lag <= end:
            axes.axvline(step * lag, color=colour, lw=1.4, ls="--", label=f"{label}: {step * lag:.3g} {unit}")
        else:
            axes.plot([], [], " ", label=f"{label}: {step * lag:.3g} {unit} (not shown)")


def _time_unit(longest: float) -> tuple[float, str]:
    """How many of the unit are a second, and its name, for times up to `longest` (s)."""
    if longest >= 0.1:
        return 1.0, "s"
    return (1e3, "ms") if longest >= 1e-4 else (1e6, "µs")


def _voltage_unit(millivolts: FloatArray) -> tuple[float, str]:
    """Factor from mV to the unit to draw in, and the label of the axis."""
    finite = millivolts[np.isfinite(millivolts)]
    return (1e-3, "voltage (V)") if len(finite) and np.ptp(finite) > 500.0 else (1.0, "membrane voltage (mV)")


def _edges(values: FloatArray) -> FloatArray:
    """Borders half way between the values."""
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middle = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _by_regime(scan: Bifurcation) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Control values and intervals to draw, by the regime of the run that they come from."""
    most = max(1, 20 * _POINTS // max(1, scan.regimes.size))
    drawn: dict[str, tuple[list[FloatArray], list[FloatArray]]] = {}
    for value, row in zip(scan.values, scan.rhythms, strict=True):
        for rhythm in row:
            if rhythm.regime in ("silent", "diverged"):
                continue
            some = rhythm.intervals[:most]
            values, lengths = drawn.setdefault(rhythm.regime, ([], []))
            values.append(np.full(len(some), value))
            lengths.append(some)
    return {regime: (np.concatenate(a), np.concatenate(b)) for regime, (a, b) in drawn.items()}


def _legend(regimes: NDArray[np.intp]) -> list[Patch]:
    return [Patch(color=_REGIME_COLOURS[r], label=r) for k, r in enumerate(REGIMES) if (regimes == k).any()]


def _interval_ticks(axis: Any, low: float, high: float) -> None:
    """Labelled ticks of a logarithmic axis: 1, 2, 5 of each decade, finer ones where few of those lie in the range."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = np.outer(decades, (1, 2, 5) if high < 1e4 * low else (1,)).ravel()
    if ((low <= ticks) & (ticks <= high)).sum() < 3:
        ticks = np.asarray(MaxNLocator(5).tick_values(low, high))
    ticks = ticks[(low <= ticks) & (ticks <= high)]
    axis.set_ticks(ticks, [f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)


def _components(latents: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Two or three coordinates to draw, and their names."""
    size = latents.shape[1]
    if size == 1:
        return np.column_stack([latents[:-1, 0], latents[1:, 0]]), ("u(n)", "u(n + 1)")
    if size <= 3:
        return latents, tuple(f"u{k + 1}" for k in range(size))
    deviation = latents - latents.mean(axis=0)
    left, _, _ = np.linalg.svd(deviation, full_matrices=False)
    return left[:, :3] * np.sqrt(len(left)), tuple(f"component {k + 1}" for k in range(3))
