"""Measurements of a real chip from a file of the bench: CSV or `.npz`, checked before anything is made of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analog_fhn.circuit.design import Design
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray, extremes
from analog_fhn.npz import read_npz
from analog_fhn.readout import recentring

Unit = Literal["x", "volts"]

LEAST_POINTS = 3
COLUMNS = ("neuron", "drive", "response")
KEYS = ("drives", "responses", "hidden", "labels", "scores")
# Of the nominal slope of the response over the drive: beyond these it is another unit, not another neuron.
_SLOPES = (0.4, 2.5)
_LEAST_SPAN = 0.3  # of |gamma|, that the drives of a neuron have to span to tell its slope
_ALIKE = 1e-6  # drives that differ by less are one
# Activations: they move by this share of what lies between the ideal ends, and stay that near to these.
_SPANS = (0.2, 2.5)
_BEYOND_ENDS = 1.0
_SCORES = (0.2, 5.0)  # rms of the scores over the images, relative to what the activations and the weights give


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
    _check_images(found, design)
    return found


def _from_csv(path: Path, design: Design) -> Measurements:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    header = [name.strip() for name in rows[0]] if rows else []
    if sorted(header) != sorted(COLUMNS):
        unknown, missing = [n for n in header if n not in COLUMNS], [n for n in COLUMNS if n not in header]
        wrong = "; ".join(
            f"{what} {', '.join(map(repr, names))}"
            for what, names in (("unknown column", unknown), ("missing column", missing))
            if names
        )
        raise InputError(f"{path}, line 1: {wrong or 'a column twice'}; expected the columns {','.join(COLUMNS)}")
    n, points = design.network.layer_sizes[1], {name: header.index(name) for name in COLUMNS}
    of_neuron: list[list[tuple[float, float]]] = [[] for _ in range(n)]
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} values; expected {len(header)}")
        try:
            neuron = int(row[points["neuron"]])
        except ValueError:
            raise InputError(
                f"{path}, line {line}, column 'neuron': {row[points['neuron']]!r}; expected a whole number"
            ) from None
        if not 0 <= neuron < n:
            raise InputError(f"{path}, line {line}, column 'neuron': {neuron}; the network has neurons 0 to {n - 1}")
        values = []
        for name in COLUMNS[1:]:
            try:
                value = float(row[points[name]])
            except ValueError:
                value = np.nan
            if not np.isfinite(value):
                raise InputError(
                    f"{path}, line {line}, column {name!r}: {row[points[name]]!r}; expected a finite number"
                )
            values.append(value)
        of_neuron[neuron].append((values[0], values[1]))
    absent = [j for j, own in enumerate(of_neuron) if not own]
    if absent:
        raise InputError(
            f"{path}: no measurement of neuron {_listed(absent)}; expected at least {LEAST_POINTS} of each of the "
            f"network's {n} neurons"
        )
    most = max(len(own) for own in of_neuron)
    table = np.full((2, most, n), np.nan)
    for j, own in enumerate(of_neuron):
        table[:, : len(own), j] = np.array(own).T
    return Measurements(table[0], table[1], source=str(path))


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


def _check_images(found: Measurements, design: Design) -> None:
    """Activations and scores in the units that the weights were trained for, and enough of them."""
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
    fhn = network.fhn
    scale, shift = recentring(network.hidden, fhn.a, fhn.gamma) if network.recentre else (1.0, 0.0)
    low, high = sorted(scale * (-fhn.a + sign * fhn.gamma) + shift for sign in (1.0, -1.0))
    least, most, span = float(found.hidden.min()), float(found.hidden.max()), high - low
    reach = low - _BEYOND_ENDS * span, high + _BEYOND_ENDS * span
    if not (_SPANS[0] * span <= most - least <= _SPANS[1] * span and reach[0] <= least and most <= reach[1]):
        raise InputError(
            f"{found.source}, key 'hidden': values from {least:.3g} to {most:.3g}; expected activations about from "
            f"{low:g} to {high:g}, in the unit that the weights were trained for (is it volts or millivolts?)"
        )
    if found.scores is None:
        return
    wanted = _spread(found.hidden @ design.arrays[1].crossbar.weights)
    spread = _spread(found.scores)
    if not _SCORES[0] * wanted <= spread <= _SCORES[1] * wanted:
        raise InputError(
            f"{found.source}, key 'scores': they vary by {spread:.3g} rms over the images; expected about "
            f"{wanted:.3g}, what 'hidden' and the weights of the output array give (are they volts or millivolts?)"
        )


def _spread(values: FloatArray) -> float:
    return float(np.sqrt(np.mean((values - values.mean(axis=0)) ** 2)))


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
    from analog_fhn.trim.codes import fit_lines  # measured lines against the nominal one

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
