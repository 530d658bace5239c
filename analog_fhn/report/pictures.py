"""The pictures of a run's report, each as an SVG element that stands in a page."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analog_fhn import plots
from analog_fhn.montecarlo import statistics
from analog_fhn.montecarlo.outcome import Outcome, Results
from analog_fhn.montecarlo.sensitivity import Difference
from analog_fhn.report.filters import count, percent

CURVES = 8  # points with a curve of their own; of more only tables are read
ROWS = 60  # rows of a picture or table
_LONGEST_LABEL = 54  # letters


@dataclass(frozen=True)
class Picture:
    """What stands within an SVG element; a template adds the element and the words that describe it.

    Parameters
    ----------
    view_box
        The attribute of this name.
    content
        Elements whose ids are unique on the page.
    """

    view_box: str
    content: Markup

    @classmethod
    def of(cls, figure: Figure, name: str) -> Picture:
        """A figure; `name` is unique on the page.

        Letters are outlines: a phone without the font shows the same picture.
        """
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
            figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        text = buffer.getvalue()
        # A style sheet would hold for the whole page, and ids must differ between pictures.
        text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
        text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
        text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", text)
        parts = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>(.*)</svg>', text, flags=re.DOTALL)
        assert parts is not None
        return cls(parts[1], Markup(parts[2]))


def pictures(results: Results) -> dict[str, Picture]:
    """The pictures that a run has chips enough for, by their names."""
    return {name: Picture.of(drawn(results, name), name) for name in possible(results)}


def possible(results: Results) -> list[str]:
    """Names of the pictures that a run has chips enough for."""
    judged = results.judged
    few = ["yield-curve", "histogram"] if judged and len(judged) <= CURVES else []
    return [*few, *(["convergence", "waterfall"] if judged else []), *(["sensitivity"] if results.effects else [])]


def drawn(results: Results, name: str, on: plots.Canvas | None = None) -> Figure:
    """One picture of a run.

    Parameters
    ----------
    name
        One of those that are `possible`.
    on
        Where it is drawn; see `plots.canvas`.

    Raises
    ------
    ValueError
        If there is no such picture, or it has several panels and is to be drawn on one pair of axes.
    """
    if name not in possible(results):
        raise ValueError(f"picture {name!r}: expected one of {', '.join(possible(results))}")
    match name:
        case "yield-curve":
            return _yield_curves(results, on)
        case "histogram":
            return _histograms(results, on)
        case "waterfall":
            return _waterfall(results, on)
        case "sensitivity":
            return _sensitivity(results, on)
    judged = results.judged
    return _convergence(judged if len(judged) <= CURVES else [results.least_known], on)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def _yield_curves(results: Results, on: plots.Canvas | None) -> Figure:
    curves = {_short(o.name): statistics.yield_curve(o.trials) for o in results.judged}
    return plots.yield_curves(curves, results.specification, results.plain, on)


def _histograms(results: Results, on: plots.Canvas | None) -> Figure:
    several = len(results.judged) > 1
    panels = {f"{_short(o.name)}: " * several + count(len(o.values), "chip"): o.values for o in results.judged}
    return plots.histograms(panels, results.specification, results.plain, 1.0 / results.meta["n_images"], on)


def _convergence(outcomes: Sequence[Outcome], on: plots.Canvas | None) -> Figure:
    if isinstance(on, Axes):
        raise ValueError("picture 'convergence' has two panels; expected ax=None")
    panels = {}
    for outcome in outcomes:
        c = outcome.convergence
        judged = np.cumsum([trial.accuracy is not None for trial in outcome.trials])[c.n - 1]
        known = np.where(judged >= statistics.FEWEST_FOR_MEDIAN, 1.0, np.nan)
        medians = c.median, known * c.median_low, known * c.median_high
        panels[_short(outcome.name)] = c.n, (c.share, c.low, c.high), medians
    return plots.convergence(panels, on)


def _waterfall(results: Results, on: plots.Canvas | None) -> Figure:
    """Plain network and nominal chip where there is one point, the error groups alone, and the points."""
    judged = results.judged
    rows: list[tuple[str, float | None, tuple[float, float, float] | None, str]] = []
    chips: list[tuple[str, float | None, Outcome]] = [(o.point.name, None, o) for o in results.alone]
    if len(judged) == 1:
        nominal = judged[0].nominal
        rows.append(("plain network", None, None, percent(results.plain)))
        if nominal is not None:
            rows.append(("nominal chip", nominal, None, percent(nominal)))
        chips.append(("all errors", None, judged[0]))
    else:
        chips += [(_short(o.name), o.nominal, o) for o in judged[:ROWS]]
    rows += [(_wrapped(name), nominal, o.spread, percent(o.spread[1])) for name, nominal, o in chips]
    return plots.chip_waterfall(rows, results.plain, on)


def _wrapped(name: str) -> str:
    """A name in two lines, which leave room for a picture."""
    lines = textwrap.wrap(name, 24)
    return "\n".join([lines[0], f"{lines[1]} …"] if len(lines) > 2 else lines)


def _sensitivity(results: Results, on: plots.Canvas | None) -> Figure:
    def triple(d: Difference | None) -> tuple[float, float, float] | None:
        return None if d is None else astuple(d)

    effects = results.effects
    lost, left_out = [triple(e.lost) for e in effects], [triple(e.left_out) for e in effects]
    return plots.sensitivity([e.group for e in effects], lost, left_out, on)
