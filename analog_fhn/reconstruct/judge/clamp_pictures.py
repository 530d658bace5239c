"""Pictures of a recording under current clamp: what was injected, what the neuron did, and its f-I curve; see `plots`.

Currents are drawn in pA, or nA where they exceed 2000 pA; voltages in mV. A current has one colour in all panels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analog_fhn._support.words import counted
from analog_fhn.neuron import FloatArray
from analog_fhn.plots import COLOURS, INK
from analog_fhn.reconstruct.recordings.current_clamp import SPIKE_LEVEL, CurrentClamp, Step
from analog_fhn.reconstruct.recordings.sweep_file import SweepFile
from analog_fhn.reconstruct.steps import StepResponse

_SHOWN = 5  # sweeps whose voltage is drawn
_POINTS = 4000  # of a drawn trace: pairs of lowest and highest sample in equal spans
_MARKERS = ("o", "s", "^", "D", "v")
_ASIDE = 0.24  # of the distance of two currents: models of several seeds side by side
_SPAN = 0.88  # of the map of colours: its bright end is not seen on white

Colour = Callable[[float], tuple[float, float, float, float]]


def step_sheet(clamp: CurrentClamp, responses: Sequence[StepResponse]) -> Figure:
    """Voltage and current of some sweeps; spikes a second against the current; intervals in their order.

    Parameters
    ----------
    clamp
        The recording.
    responses
        Its `step_responses`.
    """
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3, 1, 3.2))
    top = figure.add_subplot(grid[0, :])
    below = figure.add_subplot(grid[1, :], sharex=top)
    curve, order = (figure.add_subplot(grid[2, k]) for k in (0, 1))
    scale, unit = _current_unit(clamp)
    colour = _colours(clamp)
    _traces(top, below, clamp, responses, scale, unit, colour)
    _curve(curve, responses, scale, unit)
    _intervals(order, responses, scale, unit, colour)
    sweeps, currents = counted(len(clamp.voltage), "sweep"), counted(len(clamp.currents), "current")
    figure.suptitle(f"{clamp.source}: {sweeps}, {currents}")
    for axes in (top, below, curve, order):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


Counts = Mapping[Step, int]
"""Number of spikes in each step."""


def judged_curves(
    clamp: CurrentClamp, models: Mapping[str, Counts | Sequence[Counts]], held_out: FloatArray, title: str
) -> Figure:
    """Spikes in each step against the current, recorded and of models, a panel for each step of a sweep.

    Parameters
    ----------
    clamp
        The recording.
    models
        By name: number of spikes in each step, of one seed, or of several: crosses are medians, bars go from the lowest
        to the highest number. Steps that are not in it are left out.
    held_out
        Currents (A) that no model was fitted to; a band marks them, and another the recorded number within one or 15 %.
    """
    numbers = sorted({step.number for step in clamp.steps})
    figure = Figure(figsize=(4.8 * len(numbers), 3.8), layout="constrained")
    panels = figure.subplots(1, len(numbers), squeeze=False, sharey=True)[0]
    scale, unit = _current_unit(clamp)
    for number, axes in zip(numbers, panels, strict=True):
        steps = sorted((s for s in clamp.steps if s.number == number), key=lambda s: s.amplitude)
        current = np.array([scale * step.amplitude for step in steps])
        recorded = np.array([len(clamp.spikes(step)) for step in steps])
        near = np.where(recorded > 0, np.maximum(1.0, 0.15 * recorded), 0.0)
        axes.fill_between(
            current, recorded - near, recorded + near, color=INK, alpha=0.12, lw=0, label="within 1 or 15 %"
        )
        for k, value in enumerate(scale * held_out):
            axes.axvline(value, color=COLOURS[4], lw=5, alpha=0.25, label=None if k else "held out")
        axes.plot(current, recorded, "o-", color=INK, ms=4.5, lw=1.4, label="recorded")
        for k, ((name, counts), colour) in enumerate(zip(models.items(), cycle(COLOURS), strict=False)):
            every = [counts] if isinstance(counts, Mapping) else counts
            spikes = np.array([[one.get(step, np.nan) for step in steps] for one in every])
            place = current
            if len(every) > 1:
                place = current + (k - (len(models) - 1) / 2) * _ASIDE * np.min(np.diff(current))
                name = f"{name}, {len(every)} seeds"
                axes.vlines(place, spikes.min(axis=0), spikes.max(axis=0), color=colour, lw=3, alpha=0.5)
            axes.plot(place, np.median(spikes, axis=0), "x--", color=colour, ms=5, lw=1.2, label=name)
        axes.set(xlabel=f"injected current ({unit})", title=f"step {number + 1}" if len(numbers) > 1 else "")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("spikes in the step")
    panels[0].legend(fontsize=8, loc="upper left")
    figure.suptitle(title)
    return figure


def channel_sheet(file: SweepFile) -> Figure:
    """Every channel of the first, middle and last sweep, for a file that is not read as a current clamp."""
    channels = file.channels[:6]
    figure = Figure(figsize=(9.6, 1.2 + 2.0 * len(channels)), layout="constrained")
    rows = figure.subplots(len(channels), 1, squeeze=False)[:, 0]
    for axes, channel in zip(rows, channels, strict=True):
        factor = {"voltage": 1e3, "current": 1e12}.get(channel.kind, 1.0)
        unit = {"voltage": "mV", "current": "pA"}.get(channel.kind, channel.unit or "no unit")
        for colour, sweep in zip(COLOURS, _spread(file.n_sweeps, 3), strict=False):
            time, values = _thinned(file.samples(channel, sweep), channel.step)
            axes.plot(time, factor * values, color=colour, lw=0.8, label=f"sweep {sweep + 1}")
        axes.set(ylabel=f"{channel.name[:20]} ({unit})")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    rows[0].legend(fontsize=8, loc="upper right", ncols=3)
    rows[-1].set_xlabel("time in the sweep (s)")
    figure.suptitle(f"{file.path.name}: {file.program}, {counted(file.n_sweeps, 'sweep')}")
    return figure


def _traces(
    top: Axes,
    below: Axes,
    clamp: CurrentClamp,
    responses: Sequence[StepResponse],
    scale: float,
    unit: str,
    colour_of: Colour,
) -> None:
    sweeps = sorted({response.step.sweep for response in responses}, key=lambda k: _amplitude(responses, k))
    top.axhline(1e3 * SPIKE_LEVEL, color=INK, lw=0.8, ls=":")
    top.annotate(
        "spikes\ncounted\nhere", (1.0, 1e3 * SPIKE_LEVEL), xycoords=("axes fraction", "data"), xytext=(2, 0),
        textcoords="offset points", ha="left", va="center", fontsize=8, color=INK,
    )  # fmt: skip
    for place in _spread(len(sweeps), _SHOWN):
        k = sweeps[place]
        colour = colour_of(_amplitude(responses, k))
        label = f"{scale * _amplitude(responses, k):.3g} {unit}"
        time, voltage = _thinned(clamp.voltage[k], clamp.step)
        top.plot(time, 1e3 * voltage, color=colour, lw=0.8, label=label)
        time, current = _thinned(clamp.current[k], clamp.step)
        below.plot(time, scale * current, color=colour, lw=1.2)
    top.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=_SHOWN, frameon=False, borderaxespad=0.1)
    top.set_title("current of the first step:", fontsize=9, loc="left")
    top.set(ylabel="membrane voltage (mV)")
    top.tick_params(labelbottom=False)
    below.set(xlabel="time in the sweep (s)", ylabel=f"injected\ncurrent ({unit})")


def _curve(axes: Axes, responses: Sequence[StepResponse], scale: float, unit: str) -> None:
    """Firing rate against current: the activation function of the recorded neuron."""
    numbers = sorted({response.step.number for response in responses})
    several = len(numbers) > 1
    for number, colour, marker in zip(numbers, COLOURS, _MARKERS, strict=False):
        own = sorted((r for r in responses if r.step.number == number), key=lambda r: r.step.amplitude)
        label = f"spikes in step {number + 1}, by its length" if several else "spikes in the step, by its length"
        current = [scale * r.step.amplitude for r in own]
        # a curve below another one is seen through it
        hollow: dict[str, Any] = {} if number == numbers[0] else {"mfc": "none", "ms": 7.5, "ls": "--"}
        look: dict[str, Any] = {"marker": marker, "color": colour, "ms": 4.5, "lw": 1.4} | hollow
        axes.plot(current, [r.rate for r in own], label=label, **look)
    own = sorted((r for r in responses if r.step.number == numbers[0]), key=lambda r: r.step.amplitude)
    for which, style in (("first_interval", ":"), ("last_interval", "-.")):
        known = [(scale * r.step.amplitude, 1.0 / value) for r in own if (value := getattr(r, which))]
        if known:
            label = f"1 / {which.replace('_', ' ')}" + (f", step {numbers[0] + 1}" if several else "")
            axes.plot(*zip(*known, strict=True), style, color=INK, lw=1.0, label=label)
    axes.set(
        xlabel=f"injected current, the drive ({unit})", ylabel="firing rate, the answer (spikes/s)",
        ylim=(0, None if any(len(r.spikes) for r in responses) else 1),
    )  # fmt: skip
    axes.set_title("f-I curve", fontsize=10)
    axes.legend(fontsize=8)


def _intervals(axes: Axes, responses: Sequence[StepResponse], scale: float, unit: str, colour_of: Colour) -> None:
    """Adaptation: intervals that grow while the current stays."""
    first = min(response.step.number for response in responses)
    own = [r for r in responses if r.step.number == first and len(r.spikes) > 1]
    own.sort(key=lambda r: r.step.amplitude)
    for place in _spread(len(own), _SHOWN):
        response = own[place]
        axes.plot(
            np.arange(1, len(response.spikes)), 1e3 * response.intervals, "o-",
            color=colour_of(response.step.amplitude), ms=3.5, lw=1.2,
            label=f"{scale * response.step.amplitude:.3g} {unit}",
        )  # fmt: skip
    axes.set(xlabel="interval, in its order", ylabel="interval between spikes (ms)")
    axes.set_ylim(bottom=0.0)
    axes.set_title("adaptation" + (", first step" if len({r.step.number for r in responses}) > 1 else ""), fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if own:
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "no two spikes in a step", ha="center", va="center", transform=axes.transAxes)


def _amplitude(responses: Sequence[StepResponse], sweep: int) -> float:
    """Current (A) of the first step of a sweep."""
    return next(response.step.amplitude for response in responses if response.step.sweep == sweep)


def _colours(clamp: CurrentClamp) -> Colour:
    """Colour of a step's current (A), from dark for the lowest to bright for the highest."""
    low, high = clamp.currents[[0, -1]]
    norm = Normalize(low, high if high > low else low + 1.0)
    return lambda current: colormaps["plasma"](_SPAN * float(norm(current)))


def _current_unit(clamp: CurrentClamp) -> tuple[float, str]:
    """How many of the unit are an ampere, and its name."""
    largest = max(float(np.abs(current).max()) for current in clamp.current)
    return (1e9, "nA") if largest > 2e-9 else (1e12, "pA")


def _spread(n: int, most: int) -> list[int]:
    """At most so many of n places, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int)).tolist() if n else []


def _thinned(values: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Times (s) and values that look like all of them: the lowest and highest of equal spans, so that spikes stay."""
    span = max(1, 2 * len(values) // _POINTS)
    whole = len(values) // span * span
    parts = values[:whole].reshape(-1, span)
    time = step * span * (np.arange(len(parts)) + 0.5)
    return np.repeat(time, 2), np.stack([parts.min(axis=1), parts.max(axis=1)], axis=1).ravel()
