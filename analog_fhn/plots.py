"""Pictures: one function per picture, each returns a matplotlib Figure; `save` writes it.

Those that take `on` draw there: on the axes of somebody's figure, or on an empty figure of pyplot (`canvas`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.extras import extra
from analog_fhn._support.files import new_file
from analog_fhn.neuron import Dynamics, FloatArray

with extra("plots", "pictures need matplotlib"):
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

Canvas = Axes | Figure
"""Where a picture is drawn; see `canvas`."""

INK = "#222222"
NARROW = 4.6  # inches: letters stay readable where the picture is as wide as a phone
# Told apart also by those who do not see red, green or blue (simulated as Machado et al. do, IEEE TVCG 15:1291, 2009).
COLOURS = ("#0b6e99", "#d1495b", "#7fae9f", "#7d16c0", "#e59500", "#5c6b73")
_LOW_TO_HIGH = ("#e59500", "#f7f7f7", "#6fb0d0")  # orange, white, blue: ink is legible on all of them


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG (150 dpi) and return the path."""
    with new_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
    return path


def canvas(axes: Axes | None) -> Canvas:
    """Where the method `plot` of an object draws: on these axes; None: on a new figure that pyplot shows."""
    if axes is not None:
        return axes
    from matplotlib import pyplot  # only where somebody looks: it chooses how windows are opened

    return pyplot.figure()


def only_axes(figure: Figure, on: Canvas) -> Axes:
    """The axes of a picture that has one, besides those of a colour bar."""
    return on if isinstance(on, Axes) else figure.axes[0]


def _figure(width: float, height: float, on: Canvas | None = None) -> Figure:
    if not isinstance(on, Figure):
        return Figure(figsize=(width, height), layout="constrained")
    on.set_size_inches(width, height)
    on.set_layout_engine("constrained")
    return on


def _axes(width: float = 6.4, height: float = 4.2, on: Canvas | None = None) -> tuple[Figure, Axes]:
    if isinstance(on, Axes):
        figure, axes = on.get_figure(root=True), on
        assert figure is not None
    else:
        figure = _figure(width, height, on)
        axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _panel(
    width: float, height: float, on: Canvas | None, n: int, *, along: bool = False
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with n panels, below each other with common axes, or along; on somebody's axes there is one alone."""
    if isinstance(on, Axes):
        if n != 1:
            raise ValueError(f"a picture of {n} panels does not fit on one pair of axes; expected ax=None")
        figure, axes = _axes(on=on)
        return figure, [axes]
    figure = _figure(width, height, on)
    if along:
        return figure, list(figure.subplots(1, n, squeeze=False)[0])
    return figure, list(figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0])


def _legend(figure: Figure, axes: Axes, on: Canvas | None, **options: Any) -> None:
    """A legend below the axes, or within somebody's, in whose figure the room is not ours."""
    if isinstance(on, Axes):
        axes.legend(fontsize=8)
    else:
        figure.legend(*axes.get_legend_handles_labels(), **options)


def phase_plane(
    dynamics: Dynamics,
    drives: Sequence[float],
    trajectories: Mapping[float, tuple[FloatArray, FloatArray]],
    title: str,
    on: Canvas | None = None,
) -> Figure:
    """Both nullclines and trajectories (x, y) in the phase plane, one vertical nullcline per drive.

    Parameters
    ----------
    dynamics
        Equations of one neuron.
    drives
        Drives, each of which shifts the nullcline dy/dt = 0.
    trajectories
        Per drive: x and y over time.
    """
    figure, axes = _axes(on=on)
    x = np.linspace(-2.6, 2.6, 400)[:, None]
    axes.plot(x, dynamics.fast_nullcline(x), color=INK, lw=1.6, label="dx/dt = 0  (cubic)")
    for colour, drive in zip(COLOURS, drives, strict=False):
        rest, height = (float(v[0]) for v in dynamics.rest_point(np.array([drive])))
        axes.axvline(rest, color=colour, lw=1.2, ls="--")
        if drive in trajectories:
            axes.plot(*trajectories[drive], color=colour, lw=1.3)
        kind = "rests" if dynamics.stable_at_rest(np.array([drive]))[0] else "spikes"
        axes.plot(rest, height, "o", color=colour, ms=6, label=f"dy/dt = 0 at I = {drive:g}: {kind}")
    axes.set(xlabel="activator x", ylabel="inhibitor y", xlim=(-2.6, 2.6), ylim=(-1.1, 1.55), title=title)
    axes.legend(fontsize=8, loc="upper center", ncols=2)
    return figure


def traces(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str, ylabel: str = "activator x", on: Canvas | None = None
) -> Figure:
    """Curves over time: label -> (t in units of T, values). The last one is thin and dashed, to be seen on top."""
    figure, axes = _axes(8.0, 3.6, on)
    for i, (label, (t, values)) in enumerate(curves.items()):
        last = 0 < i == len(curves) - 1
        axes.plot(
            t,
            values,
            color=INK if last else COLOURS[i % len(COLOURS)],
            lw=1.2 if last else 3.0,
            alpha=1.0 if last else 0.6,
            ls="--" if last else "-",
            label=label,
        )
    axes.set(xlabel="time (T)", ylabel=ylabel, title=title)
    axes.margins(x=0)
    _legend(figure, axes, on, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def waterfall(
    names: Sequence[str],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    title: str,
    remarks: Sequence[str] = (),
    on: Canvas | None = None,
) -> Figure:
    """Accuracy stage by stage (fractions), each with the interval that the finite image count leaves.

    Parameters
    ----------
    remarks
        Lines written below the axes.
    """
    figure, axes = _axes(8.0, 0.55 * len(names) + 1.4 + 0.2 * len(remarks), on)
    place = np.arange(len(names))[::-1]
    for y, accuracy, (low, high) in zip(place, accuracies, intervals, strict=True):
        axes.plot([100 * low, 100 * high], [y, y], color=COLOURS[0], lw=2, alpha=0.4)
        axes.plot(100 * accuracy, y, "o", color=COLOURS[0], ms=8)
        axes.annotate(
            f"{100 * accuracy:.2f} %", (100 * accuracy, y), (0, 7), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_yticks(place, names, fontsize=9)
    label = "accuracy (%); bars: 95 % interval that the finite number of images leaves"
    axes.set(xlabel="\n".join([label, *remarks]), title=title, ylim=(-0.6, len(names) - 0.3))
    axes.grid(axis="x", alpha=0.3)
    return figure


def histogram(accuracies: ArrayLike, specification: float, reference: float, title: str) -> Figure:
    """Accuracies of many chips, with the specification and the ideal network's accuracy."""
    values = 100 * np.asarray(accuracies)
    figure, axes = _axes()
    axes.hist(values, bins=min(30, max(6, len(values) // 3)), color=COLOURS[0], alpha=0.8)
    axes.axvline(100 * specification, color=COLOURS[1], lw=2, label=f"specification {100 * specification:.1f} %")
    axes.axvline(100 * reference, color=INK, lw=1.5, ls="--", label=f"plain network {100 * reference:.2f} %")
    share = float(np.mean(values >= 100 * specification))
    axes.set(xlabel="accuracy of a chip (%)", ylabel="number of chips")
    axes.set_title(f"{title}: {100 * share:.0f} % of {len(values)} pass", fontsize=11)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def confusion(counts: NDArray[np.integer], title: str, on: Canvas | None = None) -> Figure:
    """How often images of each class are taken for which; `counts` has a row for each true class.

    Colours are shares of a class, numbers are images.
    """
    n = len(counts)
    figure, axes = _axes(0.42 * n + 1.8, 0.42 * n + 1.2, on)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if n <= 20:
        for (row, column), number in np.ndenumerate(counts):
            if number:
                colour = "white" if shares[row, column] > 0.5 else INK
                axes.text(column, row, str(number), ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(n))
        axes.set_yticks(range(n))
    axes.set(xlabel="class of the circuit", ylabel="true class", title=title)
    return figure


def shares(parts: Mapping[str, float], words: Mapping[str, str], title: str, on: Canvas | None = None) -> Figure:
    """What each part has of a whole, a bar for each.

    Parameters
    ----------
    parts
        Share of the whole (fractions), by name.
    words
        What stands at the end of each bar.
    """
    figure, axes = _axes(6.4, 0.4 * len(parts) + 1.1, on)
    place = np.arange(len(parts))[::-1]
    values = 100 * np.array(list(parts.values()))
    axes.barh(place, values, 0.6, color=COLOURS[0])
    for y, value, name in zip(place, values, parts, strict=True):
        axes.annotate(words[name], (value, y), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(place, list(parts), fontsize=9)
    axes.set(xlabel="share of the whole (%)", title=title, xlim=(0, 1.3 * max(values.max(), 1e-9)))
    return figure


def accuracy_against_gamma(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], plain: float, title: str) -> Figure:
    """Accuracy (fractions) against gamma on a symmetric logarithmic axis; label -> (gammas, accuracies)."""
    figure, axes = _axes(7.6, 4.6)
    for i, (label, (gammas, accuracies)) in enumerate(curves.items()):
        g, values = np.asarray(gammas), 100 * np.asarray(accuracies)
        # Two branches: nothing was computed across gamma = 0, where the neurons do not see their input.
        for branch in (g < 0, g > 0):
            order = np.flatnonzero(branch)[np.argsort(g[branch])]
            axes.plot(g[order], values[order], "o-", ms=4, lw=1.4, color=COLOURS[i])
        axes.plot([], [], "o-", ms=4, lw=1.4, color=COLOURS[i], label=label)
    axes.axhline(100 * plain, color=INK, lw=1, ls=":", label=f"plain network {100 * plain:.2f} %")
    axes.set_xscale("symlog", linthresh=0.1)
    ticks = [-20, -10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="multiplier gamma", ylabel="accuracy (%)", ylim=(-2, 102), title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center right")
    return figure


def accuracy_against_noise(
    densities: ArrayLike,
    curves: Mapping[str, ArrayLike],
    quiet: Mapping[str, float],
    intrinsic: Mapping[str, float],
    title: str,
) -> Figure:
    """Accuracy (fractions) against the density of white current noise (A/sqrt(Hz)) on a logarithmic axis.

    Parameters
    ----------
    densities
        Shape (n,), positive.
    curves
        Per label: accuracies at the densities, shape (n,).
    quiet
        Per label: accuracy without noise, drawn at the left edge.
    intrinsic
        Densities to mark: those of the parts, per summing node.
    """
    figure, axes = _axes(7.6, 4.6)
    x = np.asarray(densities, dtype=np.float64)
    left = x.min() / 4.0
    for i, (label, values) in enumerate(curves.items()):
        accuracy = 100 * np.asarray(values)
        axes.plot(x, accuracy, "o-", ms=5, lw=1.6, color=COLOURS[i], label=f"{label} (without noise "
                  f"{100 * quiet[label]:.1f} %)")  # fmt: skip
        axes.plot([left, x.min()], [100 * quiet[label], accuracy[np.argmin(x)]], ":", lw=1.2, color=COLOURS[i])
    for i, (label, density) in enumerate(intrinsic.items()):
        axes.axvline(density, color=COLOURS[3 + i], lw=1.4, ls="--", label=f"{label}: {density:.1e} A/√Hz")
    axes.set(xscale="log", xlabel="noise current density at both summing nodes (A/√Hz)", ylabel="accuracy (%)")
    axes.set(ylim=(0, 102), xlim=(left, 2 * x.max()), title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    return figure


def per_digit_against_gamma(gammas: ArrayLike, accuracies: FloatArray, title: str) -> Figure:
    """Accuracy of each class against gamma as a map; `accuracies` has shape (n_gammas, n_classes)."""
    order = np.argsort(gammas)
    figure, axes = _axes(8.0, 4.2)
    image = axes.imshow(100 * accuracies[order].T, aspect="auto", cmap="viridis", vmin=0, vmax=100)
    axes.set_xticks(range(len(order)), [f"{np.asarray(gammas)[i]:g}" for i in order], fontsize=7, rotation=60)
    axes.set_yticks(range(accuracies.shape[1]))
    axes.set(xlabel="multiplier gamma", ylabel="digit", title=title)
    figure.colorbar(image, ax=axes, label="accuracy (%)")
    return figure


def paired_digits(columns: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """Per-digit accuracy (percent), published beside ours: column -> (published, ours)."""
    figure = Figure(figsize=(3.6 * len(columns), 3.6), layout="constrained")
    grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (label, (published, ours)) in zip(grid, columns.items(), strict=True):
        digits = np.arange(len(np.asarray(published)))
        axes.bar(digits - 0.2, published, 0.4, color=COLOURS[5], label="paper")
        axes.bar(digits + 0.2, ours, 0.4, color=COLOURS[0], label="ours")
        axes.set(xlabel="digit", title=label)
        axes.set_xticks(digits)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("accuracy (%)")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    figure.suptitle(title)
    return figure


def answers(times: ArrayLike, leaders: Mapping[str, NDArray[np.intp]], n_classes: int, title: str) -> Figure:
    """The network's answer over time, one panel per image: label -> leading class at each instant."""
    figure = Figure(figsize=(8.0, 1.7 * len(leaders) + 0.8), layout="constrained")
    grid = figure.subplots(len(leaders), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, leader) in zip(grid, leaders.items(), strict=True):
        axes.plot(times, leader, ".", ms=2.5, color=COLOURS[0])
        axes.set_yticks(range(n_classes), [str(k) if n_classes <= 10 else "" for k in range(n_classes)], fontsize=7)
        axes.set(ylim=(-0.6, n_classes - 0.4), ylabel="answer")
        axes.set_title(label, fontsize=9, loc="left")
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    grid[-1].set_xlabel("time (T)")
    figure.suptitle(title)
    return figure


def frontier(
    curves: Mapping[tuple[float, str], tuple[ArrayLike, ArrayLike]],
    plain: float,
    time_unit: float | None,
    power: float | None,
    title: str,
    fixed: float = 0.0,
    on: Canvas | None = None,
) -> Figure:
    """Accuracy lost against latency: (gamma, readout) -> (latencies in T, accuracies as fractions).

    Parameters
    ----------
    time_unit
        T in seconds, for the upper axis; None: unknown, and there is none.
    plain
        Accuracy of the plain network (fraction), from which losses count.
    power
        Power of all hidden neurons (W), the largest among the gammas; with it the upper axis shows energies, not times.
    fixed
        Energy of an answer that does not grow with its time (J).
    """
    figure, axes = _axes(8.4, 5.4, on)
    gammas = sorted({gamma for gamma, _ in curves}, reverse=True)
    floor = 0.05  # points; what is below it, gains too, is shown there: chance decides among 10 000 images
    for (gamma, readout), (latencies, accuracies) in curves.items():
        axes.plot(
            latencies,
            np.maximum(100 * (plain - np.asarray(accuracies)), floor),
            "o-" if readout == "mean" else "s--",
            color=COLOURS[gammas.index(gamma) % len(COLOURS)],
            ms=5,
            lw=1.6,
            mfc="white" if readout == "vote" else None,
            label=f"gamma = {gamma:g}, {readout}",
        )
    axes.set(xscale="log", yscale="log", ylim=(120, 0.8 * floor))
    levels = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_yticks(levels, ["0.05 or less", *(f"{level:g}" for level in levels[1:])])
    axes.set_yticks([], minor=True)
    ticks: list[float] = []
    for t in np.unique([float(t) for latencies, _ in curves.values() for t in np.asarray(latencies)]):
        if not ticks or t > 1.3 * ticks[-1]:
            ticks.append(float(t))
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
    axes.set_xticks([], minor=True)
    if time_unit is not None:
        above = axes.secondary_xaxis("top")
        above.set_xticks(ticks, [_engineering(t * time_unit * (power or 1.0) + fixed) for t in ticks], fontsize=8)
        above.set_xticks([], minor=True)
        which = " at the largest of these gammas' powers" if len(gammas) > 1 else ""
        above.set_xlabel(f"energy of an answer{which} (J)" if power else "time (s)")
    unit = "" if time_unit is None else f"; 1 T = {_engineering(time_unit)}s"
    axes.set(xlabel=f"from image to answer: settling and control (T{unit})")
    axes.set(ylabel=f"points lost against the plain network's {100 * plain:.2f} %", title=title)
    axes.grid(alpha=0.3)
    _legend(figure, axes, on, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def low_pass(
    time_constants: ArrayLike,
    accuracies: ArrayLike,
    plain: float,
    latencies: ArrayLike,
    energies: ArrayLike | None,
    title: str,
    on: Figure | None = None,
) -> Figure:
    """Accuracy, latency and energy of an answer against the time constant of the low-passes between hidden layers.

    Parameters
    ----------
    time_constants
        In units of T, shape (n,), as all others.
    accuracies, plain
        Accuracy with each time constant, and that of the plain network (fractions).
    latencies, energies
        Of an answer, in s and J; without energies there is no panel of them.
    """
    panels = {"accuracy (%)": 100.0 * np.asarray(accuracies), "time of an answer (s)": np.asarray(latencies)}
    if energies is not None:
        panels["energy of an answer (J)"] = np.asarray(energies)
    figure = _figure(6.4, 1.0 + 2.0 * len(panels), on)
    rows = figure.subplots(len(panels), 1, sharex=True)
    ticks = np.unique(np.asarray(time_constants, dtype=float))
    for axes, colour, (label, values) in zip(rows, COLOURS, panels.items(), strict=False):
        axes.plot(time_constants, values, "o-", color=colour, ms=5, lw=1.6)
        axes.set(xscale="log", ylabel=label)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    rows[0].axhline(100.0 * plain, color=INK, lw=1.0, ls=":", label=f"plain network, {100 * plain:.2f} %")
    rows[0].legend(fontsize=8)
    for axes in rows[1:]:
        axes.set_ylim(bottom=0.0)
        axes.yaxis.set_major_formatter(EngFormatter(sep=" "))
    rows[-1].set_xlabel("time constant of the low-passes (T)")
    figure.suptitle(title)
    return figure


def _engineering(value: float) -> str:
    return EngFormatter(places=None, sep=" ").format_data(float(f"{value:.3g}"))


def agreement(errors: Mapping[str, Sequence[float]], waveforms: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Period errors and waveform differences (fractions) of many neurons, one row of points per label."""
    figure = Figure(figsize=(9.0, 0.45 * len(errors) + 1.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(errors))[::-1]
    for axes, values in ((left, errors), (right, waveforms)):
        for y, points in zip(place, values.values(), strict=True):
            spread = np.linspace(-0.2, 0.2, len(points))
            axes.plot(100 * np.asarray(points), y + spread, "o", ms=3.5, alpha=0.7, color=COLOURS[0])
            axes.plot(100 * np.mean(points), y, "|", ms=18, mew=2, color=COLOURS[1])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
    left.axvline(0.0, color=INK, lw=1)
    left.set_yticks(place, list(errors), fontsize=9)
    left.set_xlabel("period: error in % (red: mean)")
    right.set_xlim(left=0)
    right.set_xlabel("waveform: rms difference in % of peak-to-peak")
    figure.suptitle(title)
    return figure


def deviations(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str, title: str) -> Figure:
    """Deviations (fractions, shown in %) against an input: label -> (input, deviation)."""
    figure, axes = _axes(7.6, 4.6)
    for colour, (label, (x, deviation)) in zip(COLOURS, curves.items(), strict=False):
        axes.plot(x, 100 * np.asarray(deviation), lw=1.8, color=colour, label=label)
    axes.axhline(0.0, color=INK, lw=0.8)
    axes.axhspan(-0.5, 0.5, color=INK, alpha=0.08, lw=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def process_conditions(
    drives: ArrayLike,
    conditions: Mapping[tuple[str, float, float], tuple[ArrayLike, float, float]],
    limit: float,
    title: str,
) -> Figure:
    """A neuron under many conditions: error of its mean output over the drive; period and power over temperature.

    Parameters
    ----------
    drives
        Values of a + I, shape (n,).
    conditions
        Per corner of the process, temperature (K) and supply (of nominal): errors (fractions of full scale, (n,)),
        period (s) and power (W), both at one drive. A period of 0, of a neuron at rest, is left out.
    limit
        Error that is marked as a goal (a fraction).
    """
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1.0))
    error = figure.add_subplot(grid[:, 0])
    period, power = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    corners = list(dict.fromkeys(corner for corner, _, _ in conditions))
    supplies = sorted({supply for _, _, supply in conditions})
    colours = {corner: COLOURS[k % len(COLOURS)] for k, corner in enumerate(corners)}
    styles = {supply: "--" if supply < 1.0 else ":" if supply > 1.0 else "-" for supply in supplies}
    floor = 1e-4  # %; what is below is shown there
    for (corner, _, supply), (errors, _, _) in conditions.items():
        shown = np.maximum(100 * np.abs(np.asarray(errors)), floor)
        error.plot(drives, shown, color=colours[corner], ls=styles[supply], lw=0.8, marker="o", ms=2.5, alpha=0.6)
    error.axhline(100 * limit, color=INK, lw=1)
    error.annotate(
        f"goal {100 * limit:g} %", (np.min(drives), 100 * limit), (0, 3), textcoords="offset points", fontsize=8
    )
    error.set_yscale("log")
    error.set(xlabel="drive a + I", ylabel="|mean output + (a + I)| (% of full scale)", ylim=(0.7 * floor, 300 * limit))
    periods = {key: 1e6 * value for key, (_, value, _) in conditions.items() if value}
    powers = {key: 1e9 * value for key, (_, _, value) in conditions.items()}
    for axes, values, label in ((period, periods, "period (us)"), (power, powers, "power (nW)")):
        for corner, supply in product(corners, supplies):
            line = sorted((key[1] - 273.15, v) for key, v in values.items() if key[0] == corner and key[2] == supply)
            if line:
                x, y = zip(*line, strict=True)
                axes.plot(x, y, color=colours[corner], ls=styles[supply], lw=1.1, marker="o", ms=3)
        axes.set(ylabel=label)
    period.tick_params(labelbottom=False)
    power.set(xlabel="temperature (°C)")
    for axes in (error, period, power):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    for corner in corners:
        error.plot([], [], color=colours[corner], lw=2, label=corner)
    for supply in supplies:
        error.plot([], [], color=INK, lw=1.2, ls=styles[supply], label=f"supply x {supply:g}")
    figure.legend(*error.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def corner_grid(
    panels: Mapping[str, Mapping[tuple[float, float], tuple[float, float | None]]],
    specification: float,
    title: str,
    on: Canvas | None = None,
) -> Figure:
    """Yield, as colour and number, and median accuracy over temperature and supply; a panel per process corner.

    Parameters
    ----------
    panels
        Per label, and there per temperature (K) and supply (of nominal): yield and median accuracy (fractions); None:
        no chip could be simulated.
    """
    temperatures, supplies = (sorted({key[k] for panel in panels.values() for key in panel}) for k in (0, 1))
    size = 1.2 + len(panels) * max(2.2, 1.15 * len(temperatures)), 1.7 + 0.75 * len(supplies)
    figure, grid = _panel(*size, on, len(panels), along=True)
    for axes, (label, panel) in zip(grid, panels.items(), strict=True):
        yields = np.array([[100 * panel[t, s][0] for t in temperatures] for s in supplies])
        colours = LinearSegmentedColormap.from_list("low to high", _LOW_TO_HIGH)
        axes.imshow(yields, cmap=colours, vmin=0, vmax=100, aspect="auto", origin="lower")
        for (row, supply), (column, kelvin) in product(enumerate(supplies), enumerate(temperatures)):
            share, median = panel[kelvin, supply]
            text = f"{100 * share:.1f} %" + ("" if median is None else f"\n{100 * median:.2f} %")
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.6 else INK)
        axes.set_xticks(range(len(temperatures)), [f"{t - 273.15:g}" for t in temperatures])
        axes.set_yticks(range(len(supplies)), [f"{s:g}" for s in supplies])
        axes.set(xlabel="temperature (°C)", title=label)
        axes.spines[:].set_visible(False)
    grid[0].set_ylabel("supply (of nominal)")
    heading = f"{title}:\nyield at {100 * specification:.2f} %, and median accuracy"
    if isinstance(on, Axes):
        on.set_title(heading, fontsize=10)
    else:
        figure.suptitle(heading, fontsize=10)
    return figure


def mismatch_over_area(
    areas: ArrayLike, sigmas: Mapping[str, ArrayLike], n: int, names: Sequence[str], title: str
) -> Figure:
    """Standard deviations (fractions) of drawn neurons against the area of the transistors that decide them.

    Parameters
    ----------
    areas
        In um^2, shape (k,).
    sigmas
        Per quantity: shape (k,). Bars are the 95 % interval that `n` neurons leave.
    names
        Of the k areas.
    """
    figure, axes = _axes(6.0, 4.2)
    area = np.asarray(areas, dtype=np.float64)
    order = np.argsort(area)
    width = 1.96 / np.sqrt(2.0 * n)
    for colour, (label, values) in zip(COLOURS, sigmas.items(), strict=False):
        percent = 100 * np.asarray(values)
        axes.errorbar(
            area[order], percent[order], width * percent[order], fmt="o-", color=colour, capsize=3, label=label
        )
    law = np.sqrt(area[order[0]] / area[order])
    largest = 100 * np.asarray(next(iter(sigmas.values())))[order[0]]
    axes.plot(area[order], largest * law, color=INK, lw=1, ls=":", label="one over the root of the area")
    top = max(100 * float(np.max(values)) for values in sigmas.values())
    axes.set_xscale("log")
    axes.set_yscale("log")
    for place, name in zip(area, names, strict=True):
        axes.annotate(name, (place, 1.25 * top), ha="left", va="bottom", rotation=40, fontsize=8, annotation_clip=False)
    axes.set_xticks(area, [f"{value:.3g}" for value in area])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="gate area of the four legs (um²)", ylabel=f"sigma of {n} neurons (%)")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def scatter_of_differences(values: ArrayLike, differences: ArrayLike, title: str) -> Figure:
    """Differences of mean x between two methods against mean x, one point per neuron and image."""
    figure, axes = _axes(7.6, 4.2)
    axes.plot(values, differences, "o", ms=2.5, alpha=0.4, color=COLOURS[0])
    axes.axhline(0.0, color=INK, lw=0.8)
    for limit in (-0.01, 0.01):
        axes.axhline(limit, color=COLOURS[1], lw=1.2, ls="--")
    axes.set(xlabel="mean of x over the control window", ylabel="difference of the mean", title=title)
    axes.grid(alpha=0.3)
    return figure


def conductances(arrays: Mapping[str, FloatArray], largest: float, title: str, on: Canvas | None = None) -> Figure:
    """Maps of the devices' conductances.

    Parameters
    ----------
    arrays
        Per label: siemens, shape (word lines, bit lines).
    largest
        End of the colour scale (S).
    """
    figure, panels = _maps(len(arrays), 1, on)
    for axes, (label, g) in zip(panels[0], arrays.items(), strict=True):
        image = axes.imshow(1e6 * g, aspect="auto", cmap="viridis", vmin=0.0, vmax=1e6 * largest)
        axes.set(xlabel="bit line (+, -, +, -, ...)", ylabel="word line", title=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=panels, label="conductance (µS)")
    if isinstance(on, Axes):
        on.set_title(f"{title}: {label}")
    else:
        figure.suptitle(title)
    return figure


def line_losses(arrays: Mapping[str, tuple[FloatArray, FloatArray]], title: str) -> Figure:
    """Maps of the voltages lost along the lines of arrays, one row of panels per array.

    Parameters
    ----------
    arrays
        Per label, in volts, each of shape (word lines, bit lines): voltage lost on the word line from its driver to a
        device, and voltage of the bit line there above that of its amplifier.
    """
    figure, panels = _maps(2, len(arrays))
    for row, (label, lost) in zip(panels, arrays.items(), strict=True):
        for axes, line, volts in zip(
            row, ("word lines: lost since the driver", "bit lines: above 0 V"), lost, strict=True
        ):
            limit = float(np.abs(volts).max())
            signed = float(volts.min()) < -0.1 * limit
            image = axes.imshow(
                1e3 * volts,
                aspect="auto",
                cmap="PuOr" if signed else "viridis",
                vmin=-1e3 * limit if signed else min(0.0, 1e3 * float(volts.min())),
                vmax=1e3 * limit or 1.0,
            )
            axes.set(xlabel="bit line", ylabel="word line")
            axes.set_title(f"{label}, {line}", fontsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            figure.colorbar(image, ax=axes, label="mV")
    figure.suptitle(title)
    return figure


def _maps(columns: int, rows: int, on: Canvas | None = None) -> tuple[Figure, NDArray[np.object_]]:
    if isinstance(on, Axes):
        return _axes(on=on)[0], np.array([[on]])
    figure = _figure(5.2 * columns, 3.8 * rows + 0.6, on)
    return figure, figure.subplots(rows, columns, squeeze=False)


def weights(layers: Mapping[str, tuple[FloatArray, FloatArray, float, float]], title: str) -> Figure:
    """Effective weights of an array against the trained ones, a panel per layer.

    Parameters
    ----------
    layers
        Per label: trained and effective weights, of equal shapes; slope of the regression through 0; rms of the
        difference.
    """
    figure = Figure(figsize=(5.2 * len(layers), 4.9), layout="constrained")
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for axes, (label, (trained, effective, slope, rms)) in zip(panels, layers.items(), strict=True):
        x, y = trained.ravel(), effective.ravel()
        if len(x) > 5000:
            image = axes.hexbin(x, y, gridsize=70, bins="log", mincnt=1, cmap="viridis", linewidths=0.2)
            figure.colorbar(image, ax=axes, label="weights")
        else:
            axes.plot(x, y, "o", ms=3, alpha=0.5, color=COLOURS[0], mec="none")
        limits = np.array([x.min(), x.max()])
        axes.plot(limits, limits, color=INK, lw=1, ls=":", label="as wanted")
        axes.plot(limits, slope * limits, color=COLOURS[1], lw=1.5, label=f"slope {slope:.4f}")
        axes.plot([], [], " ", label=f"rms difference {rms:.3g}")
        axes.set(xlabel="wanted weight", ylabel="effective weight", title=label)
        axes.legend(fontsize=8, loc="upper left")
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def lost_points(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, Sequence[ArrayLike]]]],
    axes_of: Mapping[str, tuple[str, Mapping[float, str]]],
    plain: float,
    allowed: float,
    title: str,
) -> Figure:
    """Accuracy lost against the size of an error, a panel per error: median of some chips, and from best to worst.

    Parameters
    ----------
    panels
        Per panel and curve: sizes of the error, shape (n,), positive, and the accuracies (fractions) at each of them.
    axes_of
        Per panel: label of its logarithmic axis, and where it has ticks with which text.
    plain
        Accuracy of the plain network (fraction), from which losses count.
    allowed
        Loss that is marked as acceptable (fraction).
    """
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.9 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, (panel, curves) in zip(grid.flat, panels.items(), strict=False):
        for colour, (label, (sizes, accuracies)) in zip(COLOURS, curves.items(), strict=False):
            x = np.asarray(sizes, dtype=np.float64)
            lost = [100 * (plain - np.asarray(values)) for values in accuracies]
            if any(v.size > 1 for v in lost):
                axes.fill_between(x, [v.min() for v in lost], [v.max() for v in lost], color=colour, alpha=0.2, lw=0)
            axes.plot(x, [np.median(v) for v in lost], "o-", ms=4, lw=1.6, color=colour, label=label)
        axes.axhspan(-1.0, 100 * allowed, color=COLOURS[2], alpha=0.1, lw=0)
        axes.axhline(0.0, color=INK, lw=1, ls=":")
        axes.axhline(100 * allowed, color=COLOURS[2], lw=1.2, ls="--")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=100 * allowed, linscale=0.7)
        levels = [-0.1, 0.0, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20, 50, 90]
        axes.set_yticks(levels, ["-0.1", "0", *(f"{level:g}" for level in levels[2:])])
        axes.set_yticks([], minor=True)
        axes.set_ylim(100, -0.2)
        xlabel, ticks = axes_of[panel]
        axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
        axes.set_xticks([], minor=True)
        axes.set(xlabel=xlabel, title=panel)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1:
            axes.legend(fontsize=8)
    for row in grid:
        row[0].set_ylabel("points lost")
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(title)
    return figure


def yield_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    specification: float,
    reference: float,
    on: Canvas | None = None,
) -> Figure:
    """Share of chips that reach an accuracy, against this accuracy.

    Parameters
    ----------
    curves
        Per label, as fractions: accuracies, ascending; the share of chips that reach at least each, which also holds
        down to the accuracy before; both ends of its interval. The last accuracy may be infinite.
    specification, reference
        Accuracies to mark: what a chip must reach, and what the plain network does.
    """
    figure, axes = _axes(NARROW, 3.4 + 0.22 * len(curves), on)
    finite = [100 * np.asarray(s)[np.isfinite(s)] for s, *_ in curves.values()]
    low, high = _with_marks(axes, np.concatenate(finite), specification, reference)
    colours = [COLOURS[0], *COLOURS[2:]]
    for i, (label, (s, *rows)) in enumerate(curves.items()):
        x = np.concatenate([[low], np.minimum(100 * np.asarray(s), high)])
        share, below, above = (100 * np.concatenate([np.asarray(row)[:1], np.asarray(row)]) for row in rows)
        colour, line = colours[i % len(colours)], ("-", "--")[i // len(colours) % 2]
        axes.fill_between(x, below, above, step="pre", color=colour, alpha=0.05 + 0.2 / len(curves), lw=0)
        axes.plot(x, share, drawstyle="steps-pre", color=colour, ls=line, lw=1.8, label=label)
    axes.set(xlabel="accuracy asked of a chip (%)", ylabel="chips that reach it (%)", ylim=(-3, 103), xlim=(low, high))
    axes.grid(alpha=0.3)
    _legend(figure, axes, on, loc="outside lower left", ncols=1, fontsize=9, frameon=False)
    return figure


def _with_marks(axes: Axes, values: FloatArray, specification: float, reference: float) -> tuple[float, float]:
    """Mark specification and plain network among values (%); returns limits of an axis that shows them.

    A mark so far off that the values would shrink to a line is named in the legend with its side, and not drawn.
    """
    span = max(float(np.ptp(values)), 0.1)
    low, high = float(values.min()), float(values.max())
    for mark, name, colour, style in (
        (100 * specification, "specification", COLOURS[1], "-"), (100 * reference, "plain network", INK, "--"),
    ):  # fmt: skip
        label = f"{name} {mark:.2f} %"
        if values.min() - 6 * span <= mark <= values.max() + 6 * span:
            axes.axvline(mark, color=colour, lw=1.5, ls=style, label=label)
            low, high = min(low, mark), max(high, mark)
        else:
            side = "left" if mark < values.min() else "right"
            axes.plot([], [], color=colour, lw=1.5, ls=style, label=f"{label} (far to the {side})")
    margin = 0.06 * max(high - low, 0.1)
    return low - margin, high + margin


def histograms(
    panels: Mapping[str, ArrayLike], specification: float, reference: float, step: float, on: Canvas | None = None
) -> Figure:
    """Accuracies of many chips, a panel per label; bins are the same in all.

    Parameters
    ----------
    panels
        Per label: accuracies (fractions).
    step
        Smallest difference of two accuracies: bins hold equally many of them.
    """
    figure, grid = _panel(NARROW, (2.2 if len(panels) == 1 else 1.15 * len(panels)) + 1.1, on, len(panels))
    every = 100 * np.concatenate([np.asarray(values) for values in panels.values()])
    wide = 100 * step * max(1, round(np.ptp(every) / (100 * step) / 24))
    n_bins = int((every.max() - every.min()) / wide + 0.5) + 1
    edges = every.min() - 50 * step + wide * np.arange(n_bins + 1)
    for axes, (label, values) in zip(grid, panels.items(), strict=True):
        low, high = _with_marks(axes, every, specification, reference)
        axes.hist(100 * np.asarray(values), bins=edges.tolist(), color=COLOURS[0], alpha=0.8)
        axes.set_xlim(min(low, edges[0]), max(high, edges[-1]))
        axes.set_title(label, fontsize=9, loc="left")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    grid[-1].set_xlabel("accuracy of a chip (%)")
    if isinstance(on, Axes):
        on.set_ylabel("number of chips")
    else:
        figure.supylabel("number of chips", fontsize=10)
    _legend(figure, grid[0], on, loc="outside lower left", ncols=1, fontsize=9, frameon=False)
    return figure


def convergence(
    panels: Mapping[str, tuple[ArrayLike, Sequence[ArrayLike], Sequence[ArrayLike]]], on: Figure | None = None
) -> Figure:
    """Yield and median accuracy of the first n chips, with their intervals, against n; two panels per label.

    Parameters
    ----------
    panels
        Per label: n; yield and median, each as value, lower and upper end (fractions).
    """
    alone = len(panels) == 1
    figure = _figure(NARROW, 4.6 if alone else 1.5 * len(panels) + 0.6, on)
    grid = figure.subplots(2, 1, sharex=True).reshape(1, 2) if alone else figure.subplots(len(panels), 2, sharex=True)
    most = max(int(np.max(n)) for n, _, _ in panels.values())
    for row, (label, (n, *both)) in zip(grid, panels.items(), strict=True):
        for axes, lines, colour in zip(row, both, (COLOURS[0], COLOURS[2]), strict=True):
            value, low, high = (100 * np.asarray(line) for line in lines)
            axes.fill_between(n, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(n, value, color=colour, lw=1.6, marker="o" if np.size(n) == 1 else None)
            axes.set_xscale("log")
            ticks = [t for t in (k * 10**e for e in range(7) for k in (1, 2, 5)) if t <= 1.1 * most]
            axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
            axes.set_xticks([], minor=True)
            axes.set_xlim(0.9, 1.1 * most)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
        row[0].set_ylim(-4, 104)
        if not alone:
            row[0].set_title(label, fontsize=9, loc="left")
        row[1].yaxis.set_major_formatter(FormatStrFormatter("%.2f"))
        row[1].yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        row[0].set_ylabel("yield (%)", fontsize=9)
        row[1].set_ylabel("median accuracy (%)" if alone else "median (%)", fontsize=9)
    for axes in grid[-1][1:] if alone else grid[-1]:
        axes.set_xlabel("number of chips drawn", fontsize=9)
    return figure


def chip_waterfall(
    rows: Sequence[tuple[str, float | None, tuple[float, float, float] | None, str]],
    reference: float,
    on: Canvas | None = None,
) -> Figure:
    """Accuracies from the plain network down to real chips, a row each (fractions).

    Parameters
    ----------
    rows
        Per row: its name; accuracy of a chip without spread, or None; 5 % quantile, median and 95 % quantile of chips,
        or None; text at the right edge. A row without any accuracy stands for the plain network itself.
    reference
        Accuracy of the plain network, drawn as a line.
    """
    figure, axes = _axes(NARROW, 0.32 * len(rows) + 1.3, on)
    axes.axvline(100 * reference, color=INK, lw=1, ls="--", label="plain network")
    for y, (_, nominal, spread, remark) in zip(range(len(rows))[::-1], rows, strict=True):
        if spread is not None:
            low, middle, high = (100 * value for value in spread)
            axes.plot([low, high], [y, y], color=COLOURS[0], lw=5, alpha=0.3, solid_capstyle="butt")
            axes.plot(middle, y, "o", color=COLOURS[0], ms=6)
        if nominal is None and spread is None:
            axes.plot(100 * reference, y, "s", color=INK, ms=6)
        if nominal is not None:
            axes.plot(100 * nominal, y, "D", color=COLOURS[4], ms=6, mfc="none", mew=1.6)
        axes.annotate(remark, (1.02, y), xycoords=("axes fraction", "data"), fontsize=8, va="center")
    if any(nominal is not None for _, nominal, _, _ in rows):
        axes.plot([], [], "D", color=COLOURS[4], ms=6, mfc="none", mew=1.6, label="nominal chip, no spread")
    axes.plot([], [], "o", color=COLOURS[0], ms=6, label="median chip")
    axes.plot([], [], color=COLOURS[0], lw=5, alpha=0.3, label="5 to 95 % of the chips")
    axes.set_yticks(range(len(rows))[::-1], [name for name, *_ in rows], fontsize=8)
    axes.set(xlabel="accuracy (%)", ylim=(-0.6, len(rows) - 0.4))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", alpha=0.3)
    _legend(figure, axes, on, loc="outside lower left", ncols=2, fontsize=9, frameon=False)
    return figure


def sensitivity(
    groups: Sequence[str],
    alone: Sequence[tuple[float, float, float] | None],
    left_out: Sequence[tuple[float, float, float] | None],
    on: Canvas | None = None,
) -> Figure:
    """Accuracy that each error group costs, a row per group: by itself, and what comes back without it.

    Parameters
    ----------
    alone, left_out
        Per group: points lost, points regained; each with both ends of its interval (fractions), None if unknown.
    """
    figure, axes = _axes(NARROW, 0.38 * len(groups) + 1.4, on)
    place = np.arange(len(groups))[::-1]
    for values, shift, colour, marker, label in (
        (alone, 0.14, COLOURS[1], "o", "lost with this group alone"),
        (left_out, -0.14, COLOURS[0], "s", "regained without this group"),
    ):
        for y, value in zip(place + shift, values, strict=True):
            if value is not None:
                mean, low, high = (100 * v for v in value)
                axes.plot([low, high], [y, y], color=colour, lw=2.5, alpha=0.4, solid_capstyle="butt")
                axes.plot(mean, y, marker, color=colour, ms=5)
        if any(value is not None for value in values):
            axes.plot([], [], color=colour, marker=marker, ms=5, lw=2.5, label=label)
    axes.axvline(0.0, color=INK, lw=1)
    axes.set_yticks(place, groups, fontsize=8)
    axes.set(xlabel="percentage points of accuracy; bars: 95 % interval", ylim=(-0.6, len(groups) - 0.4))
    axes.grid(axis="x", alpha=0.3)
    _legend(figure, axes, on, loc="outside lower left", ncols=2, fontsize=9, frameon=False)
    return figure


def training_curves(panels: Mapping[str, tuple[str, Mapping[str, ArrayLike]]], title: str) -> Figure:
    """Quantities over the epochs of a training, a panel each: name -> (axis label, curve -> value per epoch)."""
    figure = Figure(figsize=(NARROW, 2.4 * len(panels) + 0.9), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, (label, curves)) in zip(grid, panels.items(), strict=True):
        for k, (curve, values) in enumerate(curves.items()):
            series = np.asarray(values)
            axes.plot(np.arange(1, len(series) + 1), series, "os"[k % 2] + "-", color=COLOURS[k], ms=4, label=curve)
        axes.set(ylabel=label)
        axes.set_title(name, fontsize=9, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    grid[-1].set_xlabel("epoch")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=1, fontsize=9, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def trained_for(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]]], level: float, title: str
) -> Figure:
    """Accuracy against the control window, noise and the like, a panel for each; bars span the seeds.

    Parameters
    ----------
    panels
        Label of the horizontal axis -> label of the curve -> (places, accuracies of each seed at each place).
    level
        Accuracy of the plain network, drawn as a line.
    """
    figure = Figure(figsize=(NARROW * len(panels), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (label, curves) in zip(axes, panels.items(), strict=True):
        axis.spines[["top", "right"]].set_visible(False)
        for name, (places, values) in curves.items():
            shown = [(x, 100 * np.asarray(v)) for x, v in zip(places, values, strict=True) if len(v)]
            if not shown:
                continue
            middle = np.array([v.mean() for _, v in shown])
            span = np.abs(np.array([[v.min(), v.max()] for _, v in shown]).T - middle)
            style = "--" if "recentred" in name else "-"
            colour = COLOURS["vote" in name]
            axis.errorbar([x for x, _ in shown], middle, span, fmt=f"o{style}", color=colour, capsize=3, label=name)
        axis.axhline(100 * level, color=INK, lw=0.8, ls=":")
        axis.set_xlabel(label)
        if "window" in label.split(",")[0]:
            axis.set_xscale("log")
            axis.set_xticks([x for x, _ in shown], [f"{x:g}" for x, _ in shown])
            axis.minorticks_off()
    axes[0].set_ylabel("accuracy (%)")
    axes[0].legend(fontsize=8, loc="lower right")
    figure.suptitle(f"{title}; dotted: the plain network", fontsize=10)
    return figure


def repair(
    names: Sequence[str],
    accuracies: Sequence[float],
    costs: Sequence[str],
    reference: float,
    title: str,
    on: Canvas | None = None,
) -> Figure:
    """Accuracy of one chip after each step of its repair, a row per step, with what the step cost.

    Parameters
    ----------
    names, accuracies, costs
        Name of each step, accuracy after it (a fraction), and its cost in words.
    reference
        Accuracy of the plain network, drawn as a line.
    """
    figure, axes = _axes(NARROW, 0.45 * len(names) + 1.4, on)
    rows = np.arange(len(names))[::-1]
    values = 100 * np.asarray(accuracies)
    axes.axvline(100 * reference, color=INK, lw=1, ls="--", label="plain network")
    axes.plot(values, rows, "o", color=COLOURS[0], ms=7)
    span = max(100 * reference, values.max()) - values.min() + 1.0
    for value, row, cost in zip(values, rows, costs, strict=True):
        left = value > values.min() + 0.5 * span
        axes.annotate(
            f"{value:.2f} %  {cost}", (value, row), xytext=(-8 if left else 8, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(rows, names, fontsize=9)
    axes.set(xlabel="accuracy on held-out images (%)", ylim=(-0.8, len(names) - 0.5), title=title)
    axes.set_xlim(values.min() - 0.1 * span, max(100 * reference, values.max()) + 0.1 * span)
    axes.grid(axis="x", alpha=0.3)
    _legend(figure, axes, on, loc="outside lower left", fontsize=9, frameon=False)
    return figure


def repairs(panels: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> Figure:
    """Accuracy of many chips before and after their repair, a panel per kind of chip, a column per stage.

    Parameters
    ----------
    panels
        Kind of chip -> stage -> accuracies (fractions), the stages alike in all panels. Every chip is a dot; the median
        is a bar with its number.
    """
    figure = Figure(figsize=(3.0 * len(panels), 4.4), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    wrong = [100 * (1 - value) for stages in panels.values() for values in stages.values() for value in values]
    for axes, (label, stages) in zip(grid, panels.items(), strict=True):
        for k, values in enumerate(stages.values()):
            v, colour = 100 * (1 - np.asarray(values)), COLOURS[k % len(COLOURS)]
            aside = k + np.linspace(-0.22, 0.22, len(v))
            axes.plot(aside, v, "o", color=colour, ms=3, alpha=0.5)
            middle = float(np.median(v))
            axes.plot([k - 0.35, k + 0.35], [middle, middle], color=colour, lw=2.5)
            axes.annotate(f"{100 - middle:.1f}", (k, v.min()), xytext=(0, 5), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
        axes.set_xticks(range(len(stages)), [name.replace(", ", ",\n") for name in stages], rotation=60, fontsize=8)
        axes.set(title=label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    # Errors on a logarithmic axis, read as accuracies: a chip with half the errors is as far up everywhere.
    grid[0].set_yscale("log")
    grid[0].set(ylabel="accuracy (%)", ylim=(1.2 * max(wrong), min(wrong) / 1.3))
    marks = [100 - v for v in (98.5, 98, 97.5, 97, 96, 95, 93, 90, 85, 80, 70, 60, 40) if 100 - v < 1.2 * max(wrong)]
    grid[0].set_yticks(marks, [f"{100 - v:g}" for v in marks], minor=False)
    grid[0].minorticks_off()
    figure.suptitle(title, fontsize=10)
    return figure
