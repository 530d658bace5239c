"""Measurements of a real chip from a file of the bench: CSV or `.npz`, checked before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from analog_fhn._support.npz import read_npz
from analog_fhn._support.tables import COMMENT, Line, TextTable, excerpt, read_text_table
from analog_fhn.data.class_shares import missing_classes
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, extremes
from analog_fhn.readout import recentring
from analog_fhn.trim.codes import fit_lines
from analog_fhn.trim.readout import near_chance, numbered

Unit = Literal["x", "volts"]

LEAST_POINTS = 3
COLUMNS = ("neuron", "drive", "response")
KEYS = ("drives", "responses", "hidden", "labels", "scores")
# Of the nominal slope of the response over the drive: beyond these it is another unit, not another neuron.
_SLOPES = (0.4, 2.5)
_LEAST_SPAN = 0.3  # of |gamma|, that the drives of a neuron have to span to tell its slope
_ALIKE = 1e-6  # drives that differ by less are one
# Largest distance of a response from its neuron's line, in units of |gamma|: real neurons bend by a thousandth.
_OFF_LINE = 0.3
# Where the ends of most neurons' activations lie between the ideal ones, 0 and 1: at least one quarter of the neurons
# reaches so far up, and one quarter so far down. Bad chips (programming error 50 %, 5 % stuck devices) stay within 0.1.
_QUARTER = 0.75
_BEYOND_ENDS = 1.0  # no activation reaches that far beyond them
_TOPS = (0.7, 1.4)
_BOTTOMS = (-0.4, 0.3)
# Of the scores over what the activations and the array's weights give: their rms, the slope of the regression, and the
# correlation. The same bad chips have slopes from 0.79 to 1.09, and correlations of at least 0.73.
_SPREADS_OF_SCORES = (0.2, 5.0)
_SLOPES_OF_SCORES = (0.6, 1.5)
_LEAST_CORRELATION = 0.45
_REORDERED = 1.0  # gain of the classes' correlations, summed, by which another order explains the scores better
ALIKE = 0.03  # rms difference of two images' activations, in units of their spread, below which they are of one image


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured on one chip.

    Parameters
    ----------
    drives, responses
        Shape (m, n_neurons): drives I and time averages of x, both dimensionless; NaN where a neuron has fewer points
        than another.
    hidden
        Activations on the rows of the output array under labelled images, shape (k, n_neurons), or None.
    labels
        Their classes, shape (k,), or None.
    scores
        Outputs under the same images, shape (k, n_classes), in the units of the trained weights, with the output array
        as it was laid out and all output codes at 0, the middle of their range; or None.
    source
        Name of the file.
    """

    drives: FloatArray
    responses: FloatArray
    hidden: FloatArray | None = None
    labels: NDArray[np.int64] | None = None
    scores: FloatArray | None = None
    source: str = "measurements"


def load_measurements(path: Path, design: Design, unit: Unit = "x") -> Measurements:
    """Read `.csv` (neuron, drive, response) or `.npz` (drives, responses; if measured hidden, labels, scores).

    Parameters
    ----------
    design
        Of the chip: number of neurons and classes, and volts per unit of x.
    unit
        Of the responses: x itself, or volts at the output of x, which the design's scale turns into x.

    Raises
    ------
    InputError
        For whatever is wrong with the file; names the file, the column or key, the place, the value and what was
        expected.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".npz"):
        raise InputError(f"{path}: expected a .csv or .npz file of measurements")
    found = _from_csv(path, design) if suffix == ".csv" else _from_npz(path, design)
    if unit == "volts":
        found = Measurements(
            found.drives, found.responses / design.scales.sx, found.hidden, found.labels, found.scores, found.source
        )
    _check_points(found, abs(design.network.fhn.gamma))
    _check_units(found, design, unit)
    _check_lines(found, abs(design.network.fhn.gamma))
    _check_images(found, design)
    return found


def _from_csv(path: Path, design: Design) -> Measurements:
    table = read_text_table(path, f"the columns {','.join(COLUMNS)}")
    lines = _without_header(table)
    n = design.network.layer_sizes[1]
    of_neuron: list[list[tuple[float, float]]] = [[] for _ in range(n)]
    for line, (neuron, drive, response) in lines:
        number = table.layout.number(neuron)
        if number is None or not number.is_integer():
            raise InputError(f"{path}, line {line}, column 'neuron': {excerpt(neuron)}; expected a whole number")
        if not 0 <= number < n:
            raise InputError(f"{path}, line {line}, column 'neuron': {number:g}; the network has neurons 0 to {n - 1}")
        values = []
        for name, cell in (("drive", drive), ("response", response)):
            value = table.layout.number(cell)
            if value is None or not np.isfinite(value):
                raise InputError(f"{path}, line {line}, column {name!r}: {excerpt(cell)}; expected a finite number")
            values.append(value)
        of_neuron[int(number)].append((values[0], values[1]))
    absent = [j for j, own in enumerate(of_neuron) if not own]
    if absent:
        raise InputError(
            f"{path}: no measurement of neuron {_listed(absent)}; expected at least {LEAST_POINTS} of each of the "
            f"network's {n} neurons"
        )
    most = max(len(own) for own in of_neuron)
    points = np.full((2, most, n), np.nan)
    for j, own in enumerate(of_neuron):
        points[:, : len(own), j] = np.array(own).T
    return Measurements(points[0], points[1], source=str(path))


def _without_header(table: TextTable) -> list[tuple[int, list[str]]]:
    """Lines of data: the number of each and its cells, in the order of `COLUMNS`."""
    path, lines = table.path, table.without_comments()
    named = [line for line in table.lines if sorted(_names(table, line)) == sorted(COLUMNS)][:1]
    first = named[0] if named else (lines or table.lines)[0]
    header = _names(table, first)
    if not named:
        unknown, missing = [n for n in header if n not in COLUMNS], [n for n in COLUMNS if n not in header]
        wrong = "; ".join(
            f"{what} {', '.join(map(excerpt, names[:5]))}{' and more' if len(names) > 5 else ''}"
            for what, names in (("unknown column", unknown), ("missing column", missing))
            if names
        )
        raise InputError(
            f"{path}, line {first.number}: {wrong or 'a column twice'}; expected the columns {','.join(COLUMNS)}"
        )
    order = [header.index(name) for name in COLUMNS]
    data = []
    for line in lines:
        if line.number <= first.number:
            continue
        cells = table.cells(line)
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line.number}: {len(cells)} values; expected {len(header)}")
        data.append((line.number, [cells[k] for k in order]))
    return data


def _names(table: TextTable, line: Line) -> list[str]:
    return [name.strip().lower() for name in table.cells(Line(line.number, line.text.lstrip("".join(COMMENT))))]


def _from_npz(path: Path, design: Design) -> Measurements:
    arrays = read_npz(path, "measurements")
    _, n, n_classes = design.network.layer_sizes
    unknown, missing = sorted(arrays.keys() - set(KEYS)), [key for key in KEYS[:2] if key not in arrays]
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; expected some of {', '.join(KEYS)}")
    if missing:
        raise InputError(f"{path}: key {missing[0]!r} is missing; expected drives and responses")
    for key, values in arrays.items():
        if values.dtype.kind not in "fiu":
            raise InputError(f"{path}, key {key!r}: type {values.dtype}; expected real numbers")
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            place = tuple(int(i) for i in bad[0])
            raise InputError(f"{path}, key {key!r}, index {place}: {values[place]}; expected a finite number")
    responses, drives = arrays["responses"], arrays["drives"]
    if responses.ndim != 2 or responses.shape[1] != n:
        raise InputError(f"{path}, key 'responses': shape {responses.shape}; expected (m, {n}), a column per neuron")
    m = len(responses)
    if drives.shape == (m,):
        drives = np.repeat(drives[:, None], n, axis=1)
    if drives.shape != (m, n):
        raise InputError(f"{path}, key 'drives': shape {drives.shape}; expected ({m},) or ({m}, {n}), as the responses")
    hidden, labels, scores = (arrays.get(key) for key in KEYS[2:])
    if (hidden is None) != (labels is None):
        there, absent = ("labels", "hidden") if hidden is None else ("hidden", "labels")
        raise InputError(f"{path}: key {there!r} without {absent!r}; a readout is trained on both")
    if scores is not None and hidden is None:
        raise InputError(f"{path}: key 'scores' without 'hidden'; output weights are found from both")
    if hidden is not None and labels is not None:
        if hidden.ndim != 2 or hidden.shape[1] != n:
            raise InputError(f"{path}, key 'hidden': shape {hidden.shape}; expected (k, {n}), a column per neuron")
        k = len(hidden)
        for key, given, shape in (("labels", labels, (k,)), ("scores", scores, (k, n_classes))):
            if given is not None and given.shape != shape:
                raise InputError(f"{path}, key {key!r}: shape {given.shape}; expected {shape} for {k} rows of 'hidden'")
        labels = _labels(path, labels, n_classes)
    return Measurements(
        np.asarray(drives, dtype=np.float64),
        np.asarray(responses, dtype=np.float64),
        None if hidden is None else np.asarray(hidden, dtype=np.float64),
        labels,
        None if scores is None else np.asarray(scores, dtype=np.float64),
        str(path),
    )


def _labels(path: Path, labels: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    wrong = np.flatnonzero((labels != np.round(labels)) | (labels < 0) | (labels >= n_classes))
    if wrong.size:
        raise InputError(
            f"{path}, key 'labels', index {wrong[0]}: {labels[wrong[0]]}; expected a whole number from 0 to "
            f"{n_classes - 1}"
        )
    return labels.astype(np.int64)


def _check_points(found: Measurements, gamma: float) -> None:
    known = np.isfinite(found.responses)
    few = np.flatnonzero(known.sum(axis=0) < LEAST_POINTS)
    if few.size:
        raise InputError(
            f"{found.source}: {known[:, few[0]].sum()} points of neuron {_listed(list(few))}; expected at least "
            f"{LEAST_POINTS}"
        )
    ordered = np.sort(np.where(known, found.drives, np.nan), axis=0)  # NaN last
    different = 1 + np.count_nonzero(np.diff(ordered, axis=0) > _ALIKE, axis=0)
    alike = np.flatnonzero(different < LEAST_POINTS)
    if alike.size:
        raise InputError(
            f"{found.source}: {different[alike[0]]} different drives of neuron {_listed(list(alike))}; expected at "
            f"least {LEAST_POINTS}, spread over the range of the drive"
        )
    span, least = np.nanmax(ordered, axis=0) - ordered[0], _LEAST_SPAN * gamma
    narrow = np.flatnonzero(span < least)
    if narrow.size:
        raise InputError(
            f"{found.source}: the drives of neuron {_listed(list(narrow))} span {span[narrow[0]]:.3g}; expected at "
            f"least {least:.3g}, best spread from {-gamma:g} to {gamma:g}"
        )


def _check_lines(found: Measurements, gamma: float) -> None:
    """Responses near a line: repeats that contradict each other would leave one between them."""
    lines = fit_lines(found.drives, found.responses)
    far = np.abs(np.nan_to_num(found.responses - lines.level - lines.slope * found.drives))
    point, neuron = np.unravel_index(int(np.argmax(far)), far.shape)
    if far[point, neuron] > _OFF_LINE * gamma:
        raise InputError(
            f"{found.source}: responses of neuron {neuron} lie up to {far[point, neuron]:.2g} off a line, "
            f"{found.responses[point, neuron]:.3g} at the drive {found.drives[point, neuron]:.3g}; expected at most "
            f"{_OFF_LINE * gamma:.2g} (do repeated readings contradict each other?)"
        )


def _check_images(found: Measurements, design: Design) -> None:
    """Activations and scores in the units that the weights were trained for, of enough images of every class."""
    if found.hidden is None or found.labels is None:
        return
    network, (k, n) = design.network, found.hidden.shape
    if k <= n:
        raise InputError(
            f"{found.source}, key 'hidden': {k} rows; expected labelled images in at least {n + 1}, one more than the "
            f"network has hidden neurons"
        )
    if len(np.unique(found.labels)) < 2:
        raise InputError(f"{found.source}, key 'labels': all are {found.labels[0]}; expected at least two classes")
    _check_ends(found.source, found.hidden, design)
    different = int(numbered(found.hidden, ALIKE).max()) + 1
    if different <= n:
        raise InputError(
            f"{found.source}, key 'hidden': {k} rows of {different} different images; expected at least {n + 1} "
            "different ones, one more than the network has hidden neurons"
        )
    _check_labels(found.source, found.hidden, found.labels, network, different)
    if found.scores is not None:
        _check_scores(found.source, found.hidden, found.scores, design)


def _check_ends(source: str, hidden: FloatArray, design: Design) -> None:
    """Compare the ends of the activations with those of a nominal neuron, which the larger input values bring about."""
    network, fhn = design.network, design.network.fhn
    scale, shift = recentring(network.hidden, fhn.a, fhn.gamma) if network.recentre else (1.0, 0.0)
    low, high = sorted(scale * (-fhn.a + sign * fhn.gamma) + shift for sign in (1.0, -1.0))
    place = (hidden - low) / (high - low)
    top = float(np.quantile(place.max(axis=0), _QUARTER))
    bottom = float(np.quantile(place.min(axis=0), 1.0 - _QUARTER))
    within = place.min() >= -_BEYOND_ENDS and place.max() <= 1.0 + _BEYOND_ENDS
    if within and _TOPS[0] <= top <= _TOPS[1] and _BOTTOMS[0] <= bottom <= _BOTTOMS[1]:
        return
    volts = design.arrays[1].row_volts[0 if network.recentre else 1]
    raise InputError(
        f"{source}, key 'hidden': values from {hidden.min():.3g} to {hidden.max():.3g}; expected activations about "
        f"from {low:g} to {high:g}, in the unit that the weights were trained for (is it volts, {volts:.3g} V per "
        "unit, or millivolts?)"
    )


def _check_labels(
    source: str, hidden: FloatArray, labels: NDArray[np.int64], network: Network, different: int
) -> None:  # fmt: skip
    """Refuse labels that lack a class, or that the readout as trained finds no better than chance."""
    missing = missing_classes(labels, network.layer_sizes[2])
    if missing:
        raise InputError(
            f"{source}, key 'labels': none is {', '.join(map(str, missing))}; expected images of each of the network's "
            f"{network.layer_sizes[2]} classes, to train the readout on"
        )
    scale, shift = (1.0, 0.0) if network.recentre else recentring(network.hidden, network.fhn.a, network.fhn.gamma)
    scores = (scale * hidden + shift) @ network.weights[1]
    found = (scores if network.biases[1] is None else scores + network.biases[1]).argmax(axis=1)
    if near_chance(found, labels, different):
        raise InputError(
            f"{source}, key 'labels': the readout as trained finds {100.0 * np.mean(found == labels):.1f} % of them in "
            "'hidden', no more than chance may give; expected the classes of the same images in the same order, "
            "counted from 0 as in training"
        )


def _check_scores(source: str, hidden: FloatArray, scores: FloatArray, design: Design) -> None:
    """Compare the scores with what the activations and the weights of the output array give."""
    wanted = hidden @ design.arrays[1].crossbar.weights
    wanted, seen = wanted - wanted.mean(axis=0), scores - scores.mean(axis=0)
    expected, spread = (float(np.sqrt(np.mean(values**2))) for values in (wanted, seen))
    if not _SPREADS_OF_SCORES[0] * expected <= spread <= _SPREADS_OF_SCORES[1] * expected:
        raise InputError(
            f"{source}, key 'scores': they vary by {spread:.3g} rms over the images; expected about {expected:.3g}, "
            "what 'hidden' and the weights of the output array give (are they volts or millivolts?)"
        )
    of_wanted, of_seen = (np.sqrt((values**2).sum(axis=0)) for values in (wanted, seen))
    product = float((wanted * seen).sum())
    slope = product / max(float((wanted**2).sum()), 1e-300)
    follow = product / max(float(np.sqrt((wanted**2).sum() * (seen**2).sum())), 1e-300)
    each = (wanted.T @ seen) / np.maximum(np.outer(of_wanted, of_seen), 1e-300)
    if follow < -_LEAST_CORRELATION:
        raise InputError(
            f"{source}, key 'scores': they fall where what 'hidden' and the weights of the output array give rises "
            f"(correlation {follow:.2f}); expected the sign of the trained network's scores"
        )
    classes, order = linear_sum_assignment(-each)
    others = each[classes, order]
    if others.mean() >= _LEAST_CORRELATION and others.sum() - np.trace(each) > _REORDERED:
        moved = classes[order != classes]
        raise InputError(
            f"{source}, key 'scores': the columns {_listed(order[moved])} follow the classes {_listed(moved)}; "
            "expected a column per class, in the order of the classes"
        )
    if follow < _LEAST_CORRELATION:
        raise InputError(
            f"{source}, key 'scores': their correlation with what 'hidden' and the weights of the output array give is "
            f"{follow:.2f}; expected at least {_LEAST_CORRELATION:g} (are they of the same images in the same order?)"
        )
    if not _SLOPES_OF_SCORES[0] <= slope <= _SLOPES_OF_SCORES[1]:
        volts = design.arrays[1].volts[0 if design.network.recentre else 1]
        raise InputError(
            f"{source}, key 'scores': {slope:.3g} times what 'hidden' and the weights of the output array give; "
            f"expected about 1, in the units of the trained weights (are they volts, {volts:.3g} V per unit, or "
            "millivolts?)"
        )


def _check_units(found: Measurements, design: Design, unit: Unit) -> None:
    """Compare with the nominal neuron: x falls by about 1 per unit of drive, and stays within its cycle."""
    fhn = design.network.fhn
    highest = 2.0 * abs(fhn.gamma)
    far = np.nanmax(np.abs(found.drives))
    if far > highest:
        raise InputError(
            f"{found.source}: drives up to {far:.3g}; expected dimensionless drives within the range of the tanh "
            f"pairs, -{abs(fhn.gamma):g} to {abs(fhn.gamma):g}"
        )
    ratio = float(np.median(-fit_lines(found.drives, found.responses).slope))
    limit = 1.5 * extremes(fhn)[0]
    outside = np.argwhere(np.abs(np.nan_to_num(found.responses)) > limit)
    if _SLOPES[0] <= ratio <= _SLOPES[1] and not len(outside):
        return
    sx = design.scales.sx
    given = ratio * sx if unit == "volts" else ratio
    hint = "expected x itself, or volts with --unit volts"
    for name, per_x in (("x itself (leave out --unit volts)", 1.0), ("volts (--unit volts)", sx),
                        ("millivolts; expected volts or x", 1e3 * sx)):  # fmt: skip
        if 0.7 * per_x <= given <= 1.4 * per_x:
            hint = f"they look like {name}"
    where = ""
    if len(outside):
        point, neuron = outside[0]
        where = f", and neuron {neuron} gives {found.responses[point, neuron]:.3g}, which no FHN neuron's x reaches"
    raise InputError(
        f"{found.source}: responses fall by {ratio:.3g} per unit of drive where a nominal neuron's x falls by about "
        f"1{where}; {hint}"
    )


def _listed(neurons: list[Any]) -> str:
    shown = ", ".join(str(int(j)) for j in neurons[:5])
    return shown + (f" and {len(neurons) - 5} more" if len(neurons) > 5 else "")
