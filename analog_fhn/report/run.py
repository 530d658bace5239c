"""What a Monte-Carlo run found, as one HTML file: the answer in words, then the pictures and tables behind it."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn import plots
from analog_fhn._support.files import new_file
from analog_fhn.errors import InputError
from analog_fhn.montecarlo import statistics
from analog_fhn.montecarlo.plan import Point
from analog_fhn.montecarlo.sensitivity import Difference, GroupEffect, group_effects
from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.study import reproduce_command
from analog_fhn.montecarlo.trial import WINDOW_CHECKS, Trial, default_table
from analog_fhn.neuron import FloatArray
from analog_fhn.report.page import (
    LONG,
    Content,
    Html,
    decimal,
    definitions,
    element,
    number,
    page,
    paragraph,
    percent,
    picture,
    points,
    section,
    signed,
    span,
    table,
)

_CURVES = 8  # points with a curve of their own; of more only tables are read
_ROWS = 60
_WORST = 5
_FEW = 6  # fewest chips whose least and largest accuracy hold the median with 95 %
_PARTS = 10  # components of the regression
_CLASSES = 20  # classes that a table of pairs is read for
_SHARES = (0.5, 0.9, 0.95, 0.99)
_NEEDED = ("configuration", "accuracy_plain", "specification", "n_images", "n_classes")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the chips of one point did.

    Parameters
    ----------
    point, trials
        Conditions, and chips judged under them.
    nominal
        Accuracy of the chip without spread; None: unknown.
    name, where
        In pictures and tables, and in a sentence.
    specification
        Accuracy that a chip must reach.
    """

    point: Point
    trials: list[Trial]
    nominal: float | None
    name: str
    where: str
    specification: float

    @property
    def brief(self) -> str:
        """Name for a narrow column."""
        return self.name if len(self.name) <= LONG else f"point {self.point.number}"

    @property
    def values(self) -> FloatArray:
        """Accuracies of the chips that were simulated."""
        return statistics.accuracies(self.trials)

    @property
    def summary(self) -> dict[str, Any]:
        """See `analog_fhn.montecarlo.statistics.summary`."""
        return statistics.summary(self.trials, self.specification)

    @property
    def quantiles(self) -> dict[str, float]:
        """See `analog_fhn.montecarlo.statistics.quantiles`."""
        return statistics.quantiles(self.values)

    @property
    def spread(self) -> tuple[float, float, float]:
        """5 % quantile, median, 95 % quantile of the accuracies."""
        found = self.quantiles
        return found["q05"], found["q50"], found["q95"]


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that a report says, read from a run at one moment.

    Parameters
    ----------
    name
        Of the run folder.
    meta
        See `analog_fhn.montecarlo.store.Store.meta`.
    outcomes
        Of every point that has chips, by its number.
    shown
        Those that the report is about: the points of the plan, and the fresh chips of an allocation.
    effects
        Of the error groups, where the run has points for them.
    missing
        Trials that the plan still asks for.
    searched
        Whether an allocation was begun.
    """

    name: str
    meta: dict[str, Any]
    outcomes: dict[int, Outcome]
    shown: list[Outcome]
    effects: list[GroupEffect]
    missing: int
    searched: bool

    @property
    def trials(self) -> list[Trial]:
        """All of the run."""
        return [trial for outcome in self.outcomes.values() for trial in outcome.trials]

    @property
    def failed(self) -> list[Trial]:
        """Trials whose simulation failed."""
        return [trial for trial in self.trials if trial.accuracy is None]

    @property
    def judged(self) -> list[Outcome]:
        """Those shown that have at least one accuracy."""
        return [outcome for outcome in self.shown if len(outcome.values)]

    @property
    def specification(self) -> float:
        """Accuracy that a chip must reach."""
        return float(self.meta["specification"])

    @property
    def plain(self) -> float:
        """Accuracy of the plain network."""
        return float(self.meta["accuracy_plain"])

    @property
    def plan(self) -> dict[str, Any]:
        """The sweep file's keys and their values."""
        found: dict[str, Any] = self.meta["configuration"]["plan"]
        return found

    @property
    def images(self) -> str:
        """Number of images, for people."""
        return number(self.meta["n_images"])


def read(run: Path) -> Results:
    """Results of a run folder, which may still be written to.

    Raises
    ------
    InputError
        If there is no run, it is broken, or no trial is done yet.
    """
    with Store(run) as store:
        found = _results(run, store, store.known(*_NEEDED))
    if not found.outcomes:
        raise InputError(f"{run}: no trial is done yet; nothing to report (analog-fhn status {run})")
    return found


def _results(run: Path, store: Store, meta: dict[str, Any]) -> Results:
    every, nominal = store.points(), store.nominal()
    trials: dict[int, list[Trial]] = {point.number: [] for point in every}
    for trial in store.trials():
        trials[trial.point].append(trial)
    specification, plan = float(meta["specification"]), meta["configuration"]["plan"]
    several = sum(point.role == "sweep" and bool(trials[point.number]) for point in every) > 1
    outcomes = {
        p.number: Outcome(
            p,
            trials[p.number],
            nominal.get(p.number),
            f"{p.number}: {p.name}" if several else p.name,
            f"point {p.number} ({p.name})",
            specification,
        )
        for p in every
        if trials[p.number]
    }
    searched = any(point.role == "allocation" for point in every)
    missing = 0
    for point in every:
        own = trials[point.number]
        enough = plan["until"] is not None and statistics.known_well(own, specification, plan["until"]["width"])
        # `allocate` draws its own chips, and none of the plan's.
        if point.role != "allocation" and not enough and (own or not searched):
            missing += max(0, plan["chips"] - len(own))
    shown = [outcome for outcome in outcomes.values() if outcome.point.role == "sweep"]
    confirmation = (meta.get("allocation") or {}).get("confirmation")
    if confirmation is not None and confirmation["point"] in outcomes:
        chosen = outcomes[confirmation["point"]]
        fresh = chosen.trials[-confirmation["n_trials"] :]
        name = "chosen classes, fresh chips"
        shown.append(
            Outcome(
                chosen.point, fresh, chosen.nominal, name, "the chosen classes (drawn to confirm them)", specification
            )
        )
    shown = shown or [outcome for outcome in outcomes.values() if outcome.point.role == "allocation"]
    shown = shown or list(outcomes.values())
    effects = group_effects(store) if any(point.role in ("only", "without") for point in every) else []
    return Results(run.resolve().name, meta, outcomes, shown, effects, missing, searched)


def report(run: Path, output: Path) -> Results:
    """Write the report of a run as one HTML file that loads nothing; see `read` and `write`."""
    results = read(run)
    write(results, output)
    return results


def write(results: Results, output: Path) -> int:
    """Write a report.

    Returns
    -------
    int
        Size in bytes.

    Raises
    ------
    InputError, RunError
        If the file cannot be written; as for `analog_fhn._support.files.new_file`.
    """
    content = html(results).encode()
    with new_file(output) as file:
        return file.write(content)


def html(results: Results) -> str:
    """The report's text."""
    parts = [
        ("answer", "The answer", _answer(results)),
        ("yield", "Yield against specification", _yield_section(results)),
        ("histogram", "How the chips are spread", _histogram_section(results)),
        ("convergence", "Are these chips enough?", _convergence_section(results)),
        ("waterfall", "From the plain network to real chips", _waterfall_section(results)),
        ("sensitivity", "Which parts decide", _sensitivity_section(results) + _regression_section(results)),
        ("confusion", f"Which {_class(results, 's')} are taken for which", _confusion_section(results)),
        ("worst", "Worst chips", _worst_section(results)),
        ("tables", "Errors of the response tables", _tables_section(results)),
        ("allocation", "Allocation of tolerances", _allocation_section(results)),
        ("failed", "Failed trials", _failed_section(results)),
        ("made", "How it was made", _made_section(results)),
    ]
    parts = [(name, title, content) for name, title, content in parts if content]
    title = f"Monte-Carlo run {results.name}"
    links = [[element("a", heading, href=f"#{name}"), " "] for name, heading, _ in parts[1:]]
    return page(
        title,
        element("h1", title),
        paragraph(_subtitle(results), class_="soft"),
        _answer(results),
        element("nav", links, aria_label="Parts of this report") if links else None,
        [[section(*part), "\n"] for part in parts[1:]],
    )


def _subtitle(results: Results) -> str:
    technology = results.meta["configuration"].get("technology", {}).get("name", "unknown")
    data = Path(str(results.meta.get("dataset", "own images"))).name
    return f"Technology {technology}; {results.images} {results.plan['split']} images of {data}."


def _class(results: Results, plural: str = "") -> str:
    return ("digit" if results.meta.get("dataset") in ("mnist", "digits") else "class") + (
        plural if results.meta.get("dataset") in ("mnist", "digits") or not plural else "es"
    )


def _answer(results: Results) -> list[Content]:
    """Headline numbers, and what follows from them in words."""
    found: list[Content] = [_tiles(results)]
    if results.failed:
        found.append(paragraph(
            element("b", f"{_count(len(results.failed), 'trial')} of {number(len(results.trials))} failed"),
            "; each counts as a chip that does not pass. ", element("a", "What went wrong", href="#failed"), ".",
            class_="warning",
        ))  # fmt: skip
    if results.missing:
        found.append(paragraph(
            element("b", "The run is not finished"), f": {_count(results.missing, 'trial')} of the plan "
            f"{'is' if results.missing == 1 else 'are'} still to come.", class_="warning",
        ))  # fmt: skip
    found.append(_chips_in_words(results))
    if results.effects:
        found.append(paragraph(_sensitivity_in_words(results.effects)))
    if results.searched:
        found.append(paragraph(_allocation_in_words(results.meta.get("allocation"))))
    if len(results.shown) > 1:
        found.append(_points_table(results))
    return found


def _tiles(results: Results) -> Html:
    summaries = [outcome.summary for outcome in results.shown]
    values = [outcome.values for outcome in results.judged]
    n_chips = sum(summary["n_trials"] for summary in summaries)
    if len(summaries) == 1:
        remark = f"95 % interval {span(summaries[0]['yield_low'], summaries[0]['yield_high'])}"
    else:
        remark = f"at {len(summaries)} points; intervals below"
    none = "–"
    tiles = [
        (f"Yield at {percent(results.specification)}", _range([s["yield"] for s in summaries]), remark),
        ("Median chip", _range([float(np.median(v)) for v in values]) if values else none, f"of {number(n_chips)}"
         + (f" at {len(summaries)} points" if len(summaries) > 1 else "")),
        ("Worst chip", percent(min(float(v.min()) for v in values)) if values else none, f"of {number(n_chips)}"),
        ("Plain network", percent(results.plain), f"of {results.images} images"),
    ]  # fmt: skip
    return element("div", [
        element("div", element("span", what), element("b", value), element("span", remark), class_="tile")
        for what, value, remark in tiles
    ], class_="tiles")  # fmt: skip


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return percent(low) if percent(low) == percent(high) else span(low, high)


def _count(n: int, thing: str) -> str:
    return f"{number(n)} {thing}{'' if n == 1 else 's'}"


def _chips_in_words(results: Results) -> Html:
    judged = results.judged
    plain = f"The plain network answers {percent(results.plain)} of the {results.images} images right"
    if not judged:
        return paragraph(f"No chip could be simulated. {plain}.")
    if len(results.shown) > 1:
        return paragraph(*_points_in_words(results), f" {plain}.")
    only = judged[0]
    summary, (low, middle, high) = only.summary, only.spread
    nominal = f"; the nominal chip, without any spread, {percent(only.nominal)}" if only.nominal is not None else ""
    passed = statistics.passed(only.trials, results.specification)
    where = "" if only.point.role == "sweep" else f" of {only.where}"
    return paragraph(
        f"Of {_count(summary['n_trials'], 'chip')}{where} the median one answers ", element("b", percent(middle)),
        f" of the {results.images} images right, the worst {percent(float(only.values.min()))}; 90 % of them lie "
        f"between {span(low, high).replace(' to ', ' and ')}. {number(passed)} of {number(summary['n_trials'])} reach "
        f"the specification of {percent(results.specification)}: a yield of ", element("b", percent(summary["yield"])),
        f", with 95 % confidence between {span(summary['yield_low'], summary['yield_high']).replace(' to ', ' and ')}. "
        f"{plain}{nominal}.",
    )  # fmt: skip


def _points_in_words(results: Results) -> list[Content]:
    chips = sum(len(outcome.trials) for outcome in results.shown)
    said: list[Content] = [f"{number(chips)} chips were drawn, at {_count(len(results.shown), 'point')}. "]

    def extremes(what: Callable[[Outcome], float], text: Callable[[Outcome], str]) -> list[Content]:
        best, least = max(results.judged, key=what), min(results.judged, key=what)
        if what(best) == what(least):
            return [f"the same at all of them, {text(best)}. "]
        return [
            "highest at ", element("b", best.where), f", {text(best)}, and lowest at ", element("b", least.where),
            f", {text(least)}. ",
        ]  # fmt: skip

    said += [f"The yield at {percent(results.specification)} is "]
    said += extremes(lambda o: float(o.summary["yield"]), lambda o: _yield(o.summary))
    said += ["The accuracy of the median chip is "]
    said += extremes(lambda o: o.spread[1], lambda o: percent(o.spread[1]))
    return said


def _yield(summary: Mapping[str, Any]) -> str:
    return f"{percent(summary['yield'])} (95 % interval {span(summary['yield_low'], summary['yield_high'])})"


def _points_table(results: Results) -> Html:
    rows: list[list[Content]] = []
    failures = any(outcome.summary["n_failed"] for outcome in results.shown)
    for outcome in results.shown[:_ROWS]:
        summary, judged = outcome.summary, len(outcome.values) > 0
        low, high = 100 * summary["yield_low"], 100 * summary["yield_high"]
        rows.append([
            outcome.name,
            [f"{100 * summary['yield']:.2f}", element("small", f"{low:.2f} to {high:.2f}")],
            f"{100 * summary['median_accuracy']:.2f}" if judged else "–",
            f"{100 * float(outcome.values.min()):.2f}" if judged else "–",
            f"{100 * outcome.nominal:.2f}" if outcome.nominal is not None else "–",
            number(summary["n_trials"]), *([number(summary["n_failed"])] if failures else []),
        ])  # fmt: skip
    head = ["point", "yield", "median", "worst", "nominal", "chips", *(["failed"] if failures else [])]
    caption = f"In %: yield at {percent(results.specification)} with its 95 % interval; accuracies of chips."
    if len(results.shown) > _ROWS:
        caption += f" The first {_ROWS} of {len(results.shown)} points; trials.csv holds all."
    return table(head, rows, caption=caption)


# --- pictures ---------------------------------------------------------------------------------------------------


def yield_curve(trials: Sequence[Trial]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Share of chips that reach an accuracy: a step at each accuracy that was found.

    Returns
    -------
    s, share, low, high
        Shape (m,): accuracies, ascending, the last one infinite; share of chips that reach at least s, and its 95 %
        Wilson interval. Failed trials reach nothing.
    """
    s = np.append(np.unique(statistics.accuracies(trials)), np.inf)
    counts = [statistics.passed(trials, value) for value in s]
    bounds = np.array([statistics.wilson(count, len(trials)) for count in counts])
    return s, np.array(counts) / len(trials), bounds[:, 0], bounds[:, 1]


def _reached(trials: Sequence[Trial], share: float) -> float | None:
    """Largest accuracy that a share of the chips reaches; None if fewer were simulated."""
    values = np.sort(statistics.accuracies(trials))[::-1]
    needed = int(np.ceil(share * len(trials) - 1e-9))
    return float(values[needed - 1]) if needed <= len(values) else None


def _labels(outcomes: Sequence[Outcome]) -> list[str]:
    return [o.name if len(o.name) <= 54 else f"{o.name[:53]}…" for o in outcomes]


def _yield_section(results: Results) -> list[Content]:
    judged = results.judged
    found: list[Content] = []
    if judged and len(judged) <= _CURVES:
        curves = {label: yield_curve(o.trials) for label, o in zip(_labels(judged), judged, strict=True)}
        figure = plots.yield_curves(curves, results.specification, results.plain)
        alt = "Share of chips that reach an accuracy, against this accuracy. " + " ".join(
            f"{o.name}: {percent(o.summary['yield'])} at the specification of {percent(results.specification)}."
            for o in judged
        )
        caption = (
            "Had the specification been another one: each curve falls by a step where a chip drops out. "
            "Bands: 95 % Wilson interval of the share."
        )
        found.append(picture(figure, "yield-curve", alt, caption))
    if judged:
        rows = [
            [o.name, *("–" if (s := _reached(o.trials, share)) is None else f"{100 * s:.2f}" for share in _SHARES)]
            for o in judged[:_ROWS]
        ]
        head = ["chips", *(f"{100 * share:.0f}{_PERCENT}" for share in _SHARES)]
        caption = "Accuracy in % that this share of the chips reaches"
        found.append(table(head, rows, caption=f"{caption}{' (–: too many failed)' if results.failed else ''}."))
    return found


_PERCENT = "\N{NO-BREAK SPACE}%"


def _histogram_section(results: Results) -> list[Content]:
    judged = results.judged
    if not judged or len(judged) > _CURVES:
        return []
    panels = {
        f"{label}: {_count(len(o.values), 'chip')}" if len(judged) > 1 else _count(len(o.values), "chip"): o.values
        for label, o in zip(_labels(judged), judged, strict=True)
    }
    figure = plots.histograms(panels, results.specification, results.plain, 1.0 / results.meta["n_images"])
    alt = "Number of chips against accuracy. " + " ".join(
        f"{o.name}: from {span(float(o.values.min()), float(o.values.max()))}, median {percent(o.spread[1])}."
        for o in judged
    )
    rest = f" Not shown: {_count(len(results.failed), 'failed trial')}." if results.failed else ""
    return [picture(figure, "histogram", alt, f"Accuracy of each chip on the same {results.images} images.{rest}")]


def _convergence_section(results: Results) -> list[Content]:
    judged = results.judged
    if not judged:
        return []
    settled = {o.point.number: statistics.convergence(o.trials, o.specification) for o in judged}

    def width(outcome: Outcome) -> float:
        return float(outcome.summary["yield_high"] - outcome.summary["yield_low"])

    drawn = judged if len(judged) <= _CURVES else [max(judged, key=width)]
    panels = {}
    for label, outcome in zip(_labels(drawn), drawn, strict=True):
        c = settled[outcome.point.number]
        known = np.where(np.cumsum([t.accuracy is not None for t in outcome.trials])[c.n - 1] >= _FEW, 1.0, np.nan)
        panels[label] = (c.n, (c.share, c.low, c.high), (c.median, known * c.median_low, known * c.median_high))
    figure = plots.convergence(panels)
    wide = max(judged, key=width)
    c = settled[wide.point.number]
    said = f"After {_count(len(wide.trials), 'chip')}" + (f" at {wide.where}" if len(judged) > 1 else "")
    said += f" the 95 % interval of the yield is {100 * width(wide):.2f} percentage points wide"
    if len(wide.values) >= _FEW:
        said += f", that of the median {100 * (c.median_high[-1] - c.median_low[-1]):.2f}"
    said += "; no point's yield is known less well." if len(judged) > 1 else "."
    alt = f"Yield and median accuracy of the first n chips against n, with 95 % intervals. {said}"
    caption = (
        f"Yield at {percent(results.specification)} and median of the first n chips, in their order. Bands: 95 % "
        f"interval (Wilson for the yield, order statistics for the median, which need {_FEW} chips)."
    )
    if len(drawn) < len(judged):
        caption += f" Drawn: {drawn[0].where}."
    return [paragraph(said), picture(figure, "convergence", alt, caption)]


_Row = tuple[str, float | None, tuple[float, float, float] | None, str]


def _waterfall_section(results: Results) -> list[Content]:
    judged = results.judged
    if not judged:
        return []
    plain, first = results.plain, judged[0]
    rows: list[_Row] = []
    last: list[_Row]
    said: Content = None
    if len(judged) == 1:
        rows.append(("plain network", None, None, percent(plain)))
        if first.nominal is not None:
            rows.append(("nominal chip", first.nominal, None, percent(first.nominal)))
            said = paragraph(
                "Building the network as a circuit, all parts at their nominal values, changes the accuracy by "
                f"{signed(first.nominal - plain)} percentage points, from {percent(plain)} to "
                f"{percent(first.nominal)}; "
                f"the spread of the parts takes the median chip to {percent(first.spread[1])} "
                f"({signed(first.spread[1] - first.nominal)})."
            )
        else:
            said = paragraph("No nominal chip was judged under these conditions.", class_="soft")
        last = [("all errors", None, first.spread, percent(first.spread[1]))]
    else:
        label = _labels(judged[:_ROWS])
        last = [(t, o.nominal, o.spread, percent(o.spread[1])) for t, o in zip(label, judged, strict=False)]
    alone = [o for o in results.outcomes.values() if o.point.role == "only" and len(o.values)]
    rows += [(o.point.name, None, o.spread, percent(o.spread[1])) for o in alone] + last
    figure = plots.chip_waterfall([(_wrapped(row[0]), *row[1:]) for row in rows], plain)
    alt = f"Accuracies: plain network {percent(plain)}. " + " ".join(f"{name}: {text}." for name, _, _, text in rows)
    caption = (
        f"Dashed: plain network, {percent(plain)}. Numbers at the right: {'' if len(judged) > 1 else 'nominal or '}"
    )
    caption += "median chip."
    if alone:
        caption += " Rows ‘only …’: chips in which this error group alone is spread, the others are nominal."
        if len(judged) > 1:
            caption += f" They belong to {judged[0].where}."
    return [said, picture(figure, "waterfall", alt, caption)]


def _wrapped(name: str) -> str:
    """A name in two lines, which leave room for a picture."""
    lines = textwrap.wrap(name, 24)
    return "\n".join([lines[0], f"{lines[1]} …"] if len(lines) > 2 else lines)


# --- sensitivity ------------------------------------------------------------------------------------------------


def _lost(effect: GroupEffect) -> Difference | None:
    """Points lost with a group alone, as positive numbers."""
    d = effect.alone
    return None if d is None else Difference(-d.mean, -d.high, -d.low)


def _interval(d: Difference | None) -> Content:
    if d is None:
        return "–"
    return [points(d.mean), element("small", f"{points(d.low)} to {points(d.high)}")]


def _sensitivity_in_words(effects: Sequence[GroupEffect]) -> list[Content]:
    costs = [(effect.group, lost) for effect in effects if (lost := _lost(effect)) is not None]
    what = "costs most by itself"
    if not costs:
        costs = [(effect.group, effect.left_out) for effect in effects if effect.left_out is not None]
        costs.sort(key=lambda item: -item[1].mean)
        what = "is the one whose absence helps most"
    if not costs:
        return ["The points with single error groups have no chips yet."]
    group, most = costs[0]
    text = f"{points(most.mean)} percentage points (95 % interval {points(most.low)} to {points(most.high)})"
    if most.low <= 0.0:
        return ["No error group shows a loss beyond chance; the largest is that of ", element("b", group), f", {text}."]
    said: list[Content] = ["Of the error groups ", element("b", group), f" {what}: {text}."]
    if rivals := [other for other, d in costs[1:] if d.high >= most.low]:
        theirs = "The interval of {} overlaps" if len(rivals) == 1 else "The intervals of {} overlap"
        said.append(f" {theirs.format(_listed(rivals))} with this one: their order is not certain.")
    return said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sensitivity_section(results: Results) -> list[Content]:
    effects = results.effects
    if not effects:
        return []

    def triple(d: Difference | None) -> tuple[float, float, float] | None:
        return None if d is None else (d.mean, d.low, d.high)

    lost = [_lost(effect) for effect in effects]
    left_out = [effect.left_out for effect in effects]
    figure = plots.sensitivity([e.group for e in effects], [*map(triple, lost)], [*map(triple, left_out)])
    alt = "Percentage points lost with one error group alone, and regained without it. " + " ".join(
        f"{e.group}: {'unknown' if d is None else points(d.mean)} and "
        f"{'unknown' if e.left_out is None else points(e.left_out.mean)}."
        for e, d in zip(effects, lost, strict=True)
    )
    caption = (
        "Lost: nominal chip less the mean chip in which this group alone is spread. Regained: the same chips without "
        "this group less those with all. Groups that matter have both to the right of 0."
    )
    rows: list[list[Content]] = [
        [
            effect.group, _interval(loss), _interval(effect.left_out),
            "–" if effect.alone_sd is None else percent(effect.alone_sd),
            "–" if effect.alone_changed is None else percent(effect.alone_changed),
        ]
        for effect, loss in zip(effects, lost, strict=True)
    ]  # fmt: skip
    head = ["group", "lost alone", "regained", "sd alone", "other answers"]
    below = (
        "Lost alone, regained without the group: percentage points, with 95 % intervals (Student, paired by chip). sd "
        "alone: standard deviation from chip to chip with this group alone. Other answers: images that such chips "
        "answer otherwise than the plain network, be it right or wrong."
    )
    return [
        paragraph(_sensitivity_in_words(effects)), picture(figure, "sensitivity", alt, caption),
        table(head, rows, caption=below),
    ]  # fmt: skip


def _regression_section(results: Results) -> list[Content]:
    """See `analog_fhn.montecarlo.regression`."""
    found = results.meta.get("regression")
    if found is None:
        return []
    terms: list[list[Content]] = []
    for term in found["terms"]:
        if term["coefficient"] is None:
            terms.append([term["group"], "–", "–"])
        else:
            interval = f"{decimal(term['low'])} to {decimal(term['high'])}"
            coefficient = [decimal(term["coefficient"]), element("small", interval)]
            terms.append([term["group"], percent(term["share"]), coefficient])
    parts: list[list[Content]] = [[name, group, percent(share)] for name, group, share in found["components"][:_PARTS]]
    said = (
        "From the nominal chip follows, to first order, what every component value that was drawn should cost a chip. "
        f"A regression of the accuracies of {_count(found['n_chips'], 'chip')} (on {number(found['n_images'])} images) "
        f"on these expectations explains {percent(found['explained'])} of the variance from chip to chip. Coefficient "
        "1: the first order is right; –: expected to move the accuracy by less than a hundredth of its spread."
    )
    made = [
        element("h3", "Regression on the drawn component values"), paragraph(said),
        table(["group", "of the variance", "coefficient"], terms, caption="Error groups, with 95 % intervals."),
    ]  # fmt: skip
    if parts:
        caption = f"Components with the largest shares ({len(parts)} of {len(found['components'])})."
        made.append(table(["component", "group", "of the variance"], parts, caption=caption, text=(1,)))
    return list(made)


# --- tables -----------------------------------------------------------------------------------------------------


def _confusion_section(results: Results) -> list[Content]:
    n = results.meta["n_classes"]
    trials = [trial for outcome in results.shown for trial in outcome.trials if trial.confusion is not None]
    if not trials:
        return []
    counts = statistics.total_confusion(trials, n)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(n, dtype=bool), 0.0, shares)
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [(int(i), int(j)) for i, j in (np.unravel_index(k, wrong.shape) for k in order) if wrong[i, j] > 0]
    least = int(np.argmin(np.where(counts.sum(axis=1) > 0, np.diag(shares), 1.0)))
    one = _class(results)
    said = f"{one.capitalize()} {least} is answered right least often, {percent(float(shares[least, least]))}."
    if pairs:
        said += " Most frequent mistakes: " + "; ".join(
            f"{i} taken for {j}, {percent(float(wrong[i, j]))} of the images of {'a' if one == 'digit' else one} {i}"
            for i, j in pairs
        )
        said += "."
    found: list[Content] = [paragraph(said)]
    chips = f"{_count(len(trials), 'chip')}" + (
        f" at all {len(results.shown)} points" if len(results.shown) > 1 else ""
    )
    caption = f"Rows: true {one}. Columns: answer. In % of the row, and below it counts over {chips}."
    if n > _CLASSES:
        rows: list[list[Content]] = [
            [str(i), percent(float(shares[i, i])), number(int(counts[i].sum()))] for i in range(n)
        ]
        head = [f"true {one}", "right", "answers"]
        return [*found, table(head, rows, caption=f"Over {chips}.")]
    largest = float(wrong.max()) or 1.0
    body: list[list[Content]] = []
    for i in range(n):
        cells: list[Content] = []
        for j in range(n):
            if not counts[i, j]:
                cells.append("·")
                continue
            colour = "11, 110, 153, .14" if i == j else f"179, 38, 30, {0.5 * shares[i, j] / largest:.2f}"
            shade = f"display:block;background:rgba({colour});padding:0 .2em"
            cells.append(element("div", f"{100 * shares[i, j]:.2f}", element("small", number(int(counts[i, j]))),
                                 style=shade))  # fmt: skip
        body.append([str(i), *cells])
    return [*found, _counted(table(["", *map(str, range(n))], body, caption=caption))]


def _counted(made: Html) -> Html:
    return Html(made.replace("<table>", '<table class="counts">', 1))


def _worst_section(results: Results) -> list[Content]:
    judged = results.judged
    if not judged:
        return []
    several = len(judged) > 1
    chosen: list[tuple[Outcome, Trial]] = []
    for outcome in judged:
        chosen += [(outcome, trial) for trial in statistics.worst(outcome.trials, 1 if several else _WORST)]
    chosen.sort(key=lambda item: (item[1].accuracy or 0.0, item[1].point, item[1].trial))
    items = []
    for outcome, trial in chosen[: 2 * _CURVES]:
        where = f", {outcome.where}" if several else ""
        try:
            command = reproduce_command(outcome.point, trial.chip_seed, results.meta)
        except KeyError as error:
            command = f"(the run does not say its {error})"
        items.append(element(
            "li", element("b", percent(trial.accuracy or 0.0)), f": chip {trial.trial}, seed {trial.chip_seed}{where}",
            element("pre", _unbroken(command)),
        ))  # fmt: skip
    said = "The worst chip of each point." if several else ""
    if len(chosen) > 2 * _CURVES:
        said = f"The worst chip of each of the {2 * _CURVES} points with the worst ones."
    return [
        paragraph(
            f"{said} Each command, given inside the run's folder, classifies the same images with this very chip. "
            "Images that are not where analog-fhn looks for them need --data DIR."
        ),
        element("ol", items),
    ]


def _unbroken(command: str) -> list[Content]:
    """A command that is broken between its words alone."""
    return [[element("span", word), " "] for word in command.split(" ")]


def _tables_section(results: Results) -> list[Content]:
    interpolated = [t for t in results.trials if t.table_error is not None]
    compared = [t for t in results.trials if t.window_error is not None]
    if not interpolated and not compared:
        if results.plan["table"] == 0:
            return [paragraph("None were used: every image was simulated.")]
        return [paragraph("No chip has stated any.")]

    def largest(trials: list[Trial], what: str) -> Trial:
        return max(trials, key=lambda t: float(getattr(t, what)))

    rows: list[list[Content]] = []
    several = len(results.outcomes) > 1
    for trials, what, name in (
        (interpolated, "table_error", "interpolation"),
        (compared, "window_error", "finite control window"),
    ):
        if trials:
            worst = largest(trials, what)
            row: list[Content] = [name, _power(getattr(worst, what)), number(len(trials)), str(worst.chip_seed)]
            rows.append(row + [results.outcomes[worst.point].brief] * several)
    n = _table_size(results)
    return [
        paragraph(
            f"Each chip's hidden neurons were simulated at {n} drives or more, and every image was read from the "
            "resulting table of the mean of x. Below: the largest differences, in units of x (which spans about ±2), "
            "between a table and simulations of the same chip: at drives between its own, and over the finite control "
            f"window instead of whole periods (on the first {WINDOW_CHECKS} chips of a point)."
        ),
        table(["error", "largest", "chips", "seed", *["point"] * several], rows, text=(4,)),
    ]


def _power(value: float) -> str:
    return "0" if value == 0 else re.sub("e([+-])0*", r"e\1", f"{value:.1e}").replace("e+", "e")


def _table_size(results: Results) -> int:
    plan, configuration = results.plan, results.meta["configuration"]
    if plan["table"] is not None:
        return int(plan["table"])
    return default_table(plan["backend"], configuration.get("readout", ["mean"])[0])


# --- allocation -------------------------------------------------------------------------------------------------


def _allocation_in_words(found: Mapping[str, Any] | None) -> list[Content]:
    if found is None:
        return ["The allocation of tolerances was begun and is not finished."]
    goal = f"a yield of {percent(found['target'])} at {percent(found['specification'])}"
    present = found["present"]["cost"]
    if found["chosen"] is None:
        return [f"No combination of part classes reaches {goal}; the present parts cost {present:.2f}."]
    cost = found["chosen"]["cost"]
    change = f" ({signed((cost - present) / present)}{_PERCENT})" if present else ""
    text: list[Content] = [
        f"The cheapest part classes found for {goal} cost ", element("b", f"{cost:.2f}"),
        f" instead of {present:.2f}{change}",
    ]  # fmt: skip
    confirmed = found.get("confirmation")
    if confirmed is None:
        return [*text, "; this was not confirmed on fresh chips."]
    text.append(f"; on {_count(confirmed['n_trials'], 'fresh chip')} the yield is {_yield(confirmed)}.")
    if confirmed["yield_low"] < found["target"]:
        text.append(" The interval reaches below the target: more chips would have to prove it.")
    return text


def _allocation_section(results: Results) -> list[Content]:
    if not results.searched:
        return []
    found = results.meta.get("allocation")
    said: list[Content] = [paragraph(_allocation_in_words(found))]
    if found is None:
        return said
    present, chosen = found["present"], found["chosen"]
    rows: list[list[Content]] = []
    for key, name in present["classes"].items():
        new = "–" if chosen is None else chosen["classes"].get(key, "–")
        rows.append([key, name, element("b", new) if new not in (name, "–") else new])
    rows.append(["cost", f"{present['cost']:.2f}", "–" if chosen is None else f"{chosen['cost']:.2f}"])
    said.append(table(["part", "present", "chosen"], rows, text=(1, 2), caption="Bold: changed. Prices have no unit: "
                      "they are those of the technology's file."))  # fmt: skip
    confirmed = found.get("confirmation")
    if confirmed is not None:
        median = confirmed.get("median_accuracy")
        said.append(paragraph(
            f"Confirmation on {_count(confirmed['n_trials'], 'chip')} that the search has not seen: yield "
            f"{_yield(confirmed)}" + ("" if median is None else f", median accuracy {percent(median)}") + "."
        ))  # fmt: skip
    if found.get("unpriced"):
        said.append(paragraph(f"Without a price, and not in the cost: {', '.join(found['unpriced'])}."))
    steps = found.get("steps") or []
    if steps:
        rows = [_step(step, present["classes"]) for step in steps[-_ROWS:]]
        caption = "Combinations that were simulated, in order: what differs from the present classes; yield in %."
        if len(steps) > _ROWS:
            caption += f" The last {_ROWS} of {len(steps)}."
        head = ["changes", "cost", "yield", "chips", "verdict"]
        said += [element("h3", "The search"), table(head, rows, caption=caption, text=(4,))]
    return said


def _step(step: Mapping[str, Any], present: Mapping[str, str]) -> list[Content]:
    changed = [f"{key}: {name}" for key, name in step["classes"].items() if present.get(key) != name]
    interval = f"{100 * step['yield_low']:.2f} to {100 * step['yield_high']:.2f}"
    return [
        "; ".join(changed) or "none", f"{step['cost']:.2f}",
        [f"{100 * step['yield']:.2f}", element("small", interval)], number(step["n_trials"]), step["verdict"],
    ]  # fmt: skip


# --- the rest ---------------------------------------------------------------------------------------------------


def _failed_section(results: Results) -> list[Content]:
    failed = results.failed
    if not failed:
        return [paragraph(f"None of {_count(len(results.trials), 'trial')} failed.")]
    kinds = Counter(trial.message for trial in failed)
    shown = failed[:_ROWS]
    rows: list[list[Content]] = [
        [trial.message, str(trial.chip_seed), str(trial.trial), results.outcomes[trial.point].brief] for trial in shown
    ]
    said = (
        f"{_count(len(failed), 'trial')} of {number(len(results.trials))} failed, with "
        f"{_count(len(kinds), 'message')}. A failed trial counts as a chip that does not pass; medians "
        "and quantiles are those of the others."
    )
    rest = f" The first {_ROWS}; trials.csv holds all." if len(failed) > _ROWS else ""
    return [paragraph(said), table(["message", "seed", "chip", "point"], rows, caption=rest, text=(3,))]


def _made_section(results: Results) -> list[Content]:
    meta, plan, configuration = results.meta, results.plan, results.meta["configuration"]
    seconds = sum(trial.seconds for trial in results.trials)
    readout = configuration.get("readout", ["unknown"])[0]
    n = _table_size(results)
    protocol = configuration.get("protocol", {})
    pairs: list[tuple[str, Content]] = [
        ("images", f"{results.images} ({plan['split']}), {meta.get('images', 'source unknown')}"),
        ("technology", _technology(configuration.get("technology", {}))),
        ("backend", f"{plan['backend']}, " + (f"response table of {n} drives per neuron" if n else "no table")),
        ("readout", f"{plan['readout'] or readout}, settling {protocol.get('settle', '?')} T, control window "
         f"{protocol.get('control', '?')} T"),
        ("seed", f"{plan['seed']}; chip k has the seed that follows from ({plan['seed']}, k), at every point the same"),
        ("trials", f"{number(len(results.trials))} at {_count(len(results.outcomes), 'point')}"),
        ("work", f"{number(round(seconds))} s, wall seconds of all trials added up; workers share them"),
    ]  # fmt: skip
    for name, key in (("network", "network"), ("images", "images"), ("labels", "labels")):
        if isinstance(configuration.get(key), str):
            pairs.append((f"SHA-256 of {name}", element("code", configuration[key])))
    versions = meta.get("versions", {})
    pairs.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"))
    found: list[Content] = [definitions(pairs)]
    if "plan" in meta:
        found += [element("h3", "The sweep file"), element("pre", meta["plan"])]
    return found


def _technology(values: Mapping[str, Any]) -> str:
    source = values.get("source")
    return f"{values.get('name', 'unknown')}" + (f" ({source})" if source else "")
