"""Measurements of a real chip from a file of the bench: CSV or `.npz`, checked before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from analog_fhn._support.npz import read_npz
from analog_fhn._support.tables import TextTable, excerpt, finite_number, named_rows, read_text_table
from analog_fhn._support.words import listed
from analog_fhn.data.class_shares import missing_classes
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, extremes
from analog_fhn.trim.codes import fit_lines, rows_carry_activations
from analog_fhn.trim.readout import near_chance, numbered

Unit = Literal["x", "volts"]

LEAST_POINTS = 3
COLUMNS = ("neuron", "drive", "response")
FURTHER_COLUMNS = (
    "step", "v_z", "v_y", "v_nx", "w", "period", "v_x_high", "v_x_low", "v_y_rms", "rise", "row",
)  # fmt: skip
"""Columns that a `.csv` file may have besides: readings of the bench protocol, of which v_z and row are used here."""
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
_ROWS_BEYOND = 3.0  # times the largest voltage of a nominal row, which is no row's
_REORDERED = 1.0  # gain of the classes' correlations, summed, by which another order explains the scores better
ALIKE = 0.03  # rms difference of two images' activations, in units of their spread, below which they are of one image


@dataclass(frozen=True, eq=False)
class NeuronResponses:
    """Responses of the neurons of one hidden layer.

    Parameters
    ----------
    drives, responses
        Shape (m, n_neurons): drives I and time averages of x, both dimensionless; NaN where a neuron has fewer points
        than another.
    """

    drives: FloatArray
    responses: FloatArray


@dataclass(frozen=True, eq=False)
class RowResponses:
    """Rows behind the neurons of one hidden layer under voltages in the place of the array's outputs, all codes at 0.

    Parameters
    ----------
    arguments, rows
        Shape (m, n_neurons): pre-activations z, and what the rows carry, in the units of the activation (without
        recentring of x); NaN where a neuron has fewer points than another.
    """

    arguments: FloatArray
    rows: FloatArray


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What k labelled images do to the rows and outputs of a chip.

    Parameters
    ----------
    hidden
        Activations on the rows of the output array, shape (k, n_neurons).
    labels
        Classes of the images, shape (k,).
    scores
        Outputs, shape (k, n_classes), in the units of the trained weights, with the output array as it was laid out
        and all output codes at 0, the middle of their range; None: not measured.
    """

    hidden: FloatArray
    labels: NDArray[np.int64]
    scores: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured on one chip.

    Parameters
    ----------
    layers
        Responses of each hidden layer's neurons.
    rows
        What labelled images do; None: not measured.
    source
        Name of the file.
    cells
        What whole cells of each hidden layer do; None: not measured.
    """

    layers: tuple[NeuronResponses, ...]
    rows: LabelledRows | None = None
    source: str = "measurements"
    cells: tuple[RowResponses, ...] | None = None


def load_measurements(path: Path, design: Design, unit: Unit = "x") -> Measurements:
    """Read `.csv` (neuron, drive, response) or `.npz` (drives, responses; if measured hidden, labels, scores).

    Of several hidden layers a `.csv` file has the column `layer` besides, numbered from 0, and a `.npz` file
    `drives_1`, `responses_1` of the second one, and so on. Lines of a `.csv` file without a drive but with v_z (V)
    tell of whole cells: the time average of the row (V) is in the column `row`; see `FURTHER_COLUMNS`.

    Parameters
    ----------
    design
        Of the chip: numbers of neurons and classes, and volts per unit of x.
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
    measurements = _from_csv(path, design) if suffix == ".csv" else _from_npz(path, design)
    if unit == "volts":
        layers = tuple(
            replace(layer, responses=layer.responses / cell.volts_per_x)
            for layer, cell in zip(measurements.layers, design.cells, strict=True)
        )
        measurements = replace(measurements, layers=layers)
    for layer, place, cell in zip(measurements.layers, design.layer_names, design.cells, strict=True):
        fhn, source = design.network.fhn, measurements.source
        _check_points(source, place, layer, abs(fhn.gamma))
        _check_units(source, place, layer, fhn, cell.volts_per_x, unit)
        _check_lines(source, place, layer, abs(fhn.gamma))
    if measurements.rows is not None:
        _check_images(measurements.source, measurements.rows, design)
    return measurements


def columns_of(network: Network) -> tuple[str, ...]:
    """Columns of a `.csv` file of measurements on a network's chip."""
    return COLUMNS if len(network.hidden_layers) == 1 else ("layer", *COLUMNS)


def keys_of(network: Network) -> tuple[str, ...]:
    """Keys of a `.npz` file of measurements on a network's chip."""
    deeper = range(1, len(network.hidden_layers))
    return (*KEYS[:2], *(f"{key}_{layer}" for layer in deeper for key in KEYS[:2]), *KEYS[2:])


def _from_csv(path: Path, design: Design) -> Measurements:
    columns = columns_of(design.network)
    table = read_text_table(path, f"the columns {','.join(columns)}")
    sizes = [dense.n_out for dense in design.network.hidden_layers]
    points: list[list[list[tuple[float, float]]]] = [[[] for _ in range(n)] for n in sizes]
    cells: list[list[list[tuple[float, float]]]] = [[[] for _ in range(n)] for n in sizes]
    for line, texts in named_rows(table, columns, FURTHER_COLUMNS):
        values = dict(zip((*columns, *FURTHER_COLUMNS), texts, strict=True))
        layer = 0
        if "layer" in values:
            layer = _index(table, line, "layer", values["layer"], len(points), "hidden layers")
        neuron = _index(table, line, "neuron", values["neuron"], len(points[layer]), "neurons")
        if not values["drive"].strip() and values["v_z"].strip():
            cells[layer][neuron].append(_row_point(table, line, values, design, layer))
            continue
        drive, response = (finite_number(table, line, name, values[name]) for name in ("drive", "response"))
        points[layer][neuron].append((drive, response))
    layers = []
    for neurons, place in zip(points, design.layer_names, strict=True):
        absent = [j for j, of_neuron in enumerate(neurons) if not of_neuron]
        if absent:
            raise InputError(
                f"{path}: no measurement of neuron {listed(absent, 5)}{place}; expected at least {LEAST_POINTS} of "
                f"each of the network's {len(neurons)} neurons"
            )
        layers.append(NeuronResponses(*_columns_of_points(neurons)))
    rows = tuple(RowResponses(*_columns_of_points(neurons)) for neurons in cells)
    return Measurements(tuple(layers), source=str(path), cells=rows if any(map(any, cells)) else None)


def _columns_of_points(neurons: list[list[tuple[float, float]]]) -> FloatArray:
    """Points of each neuron as two arrays (m, n_neurons), NaN where a neuron has fewer."""
    values = np.full((2, max(map(len, neurons)), len(neurons)), np.nan)
    for j, of_neuron in enumerate(neurons):
        if of_neuron:
            values[:, : len(of_neuron), j] = np.array(of_neuron).T
    return values


def _row_point(
    table: TextTable, line: int, values: dict[str, str], design: Design, layer: int
) -> tuple[float, float]:  # fmt: skip
    """Pre-activation and what the row carries, of a line of a whole cell."""
    volts, row = (finite_number(table, line, name, values[name]) for name in ("v_z", "row"))
    cell = design.cells[layer]
    unit = cell.row_volts[0 if rows_carry_activations(design.network, layer) else 1]
    limit = _ROWS_BEYOND * unit * max(cell.largest_activation, 1.0)
    if abs(row) > limit:
        raise InputError(
            f"{table.path}, line {line}, column 'row': {row:g}; expected volts within {limit:.3g} of 0, where the row "
            f"of a nominal cell carries {unit:.3g} V for 1"
        )
    return volts / cell.volts_per_z, row / unit


def _index(table: TextTable, line: int, column: str, text: str, n: int, things: str) -> int:
    """Number of a neuron or layer in a cell, from 0 to n - 1."""
    number = table.layout.number(text)
    if number is None or not number.is_integer():
        raise InputError(f"{table.path}, line {line}, column {column!r}: {excerpt(text)}; expected a whole number")
    if not 0 <= number < n:
        raise InputError(
            f"{table.path}, line {line}, column {column!r}: {number:g}; the network has {things} 0 to {n - 1}"
        )
    return int(number)


def _from_npz(path: Path, design: Design) -> Measurements:
    arrays, keys = read_npz(path, "measurements"), keys_of(design.network)
    required = [key for key in keys if key not in KEYS[2:]]
    unknown, missing = sorted(arrays.keys() - set(keys)), [key for key in required if key not in arrays]
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; expected some of {', '.join(keys)}")
    if missing:
        raise InputError(f"{path}: key {missing[0]!r} is missing; expected {' and '.join(required)}")
    for key, values in arrays.items():
        if values.dtype.kind not in "fiu":
            raise InputError(f"{path}, key {key!r}: type {values.dtype}; expected real numbers")
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            place = tuple(int(i) for i in bad[0])
            raise InputError(f"{path}, key {key!r}, index {place}: {values[place]}; expected a finite number")
    layers = tuple(
        _responses(path, arrays, drives, responses, dense.n_out)
        for drives, responses, dense in zip(
            required[0::2], required[1::2], design.network.hidden_layers, strict=True
        )
    )  # fmt: skip
    return Measurements(layers, _rows(path, arrays, design.network), str(path))


def _responses(path: Path, arrays: dict[str, NDArray[Any]], first: str, second: str, n: int) -> NeuronResponses:
    """Drives and responses of one hidden layer's n neurons, under these keys."""
    drives, responses = arrays[first], arrays[second]
    if responses.ndim != 2 or responses.shape[1] != n:
        raise InputError(f"{path}, key {second!r}: shape {responses.shape}; expected (m, {n}), a column per neuron")
    m = len(responses)
    if drives.shape == (m,):
        drives = np.repeat(drives[:, None], n, axis=1)
    if drives.shape != (m, n):
        raise InputError(
            f"{path}, key {first!r}: shape {drives.shape}; expected ({m},) or ({m}, {n}), as the responses"
        )
    return NeuronResponses(np.asarray(drives, dtype=np.float64), np.asarray(responses, dtype=np.float64))


def _rows(path: Path, arrays: dict[str, NDArray[Any]], network: Network) -> LabelledRows | None:
    """What labelled images do, if it was measured."""
    n, n_classes = network.output.n_in, network.output.n_out
    hidden, labels, scores = (arrays.get(key) for key in KEYS[2:])
    if (hidden is None) != (labels is None):
        there, absent = ("labels", "hidden") if hidden is None else ("hidden", "labels")
        raise InputError(f"{path}: key {there!r} without {absent!r}; a readout is trained on both")
    if scores is not None and hidden is None:
        raise InputError(f"{path}: key 'scores' without 'hidden'; output weights are computed from both")
    if hidden is None or labels is None:
        return None
    if hidden.ndim != 2 or hidden.shape[1] != n:
        raise InputError(f"{path}, key 'hidden': shape {hidden.shape}; expected (k, {n}), a column per neuron")
    k = len(hidden)
    for key, values, shape in (("labels", labels, (k,)), ("scores", scores, (k, n_classes))):
        if values is not None and values.shape != shape:
            raise InputError(f"{path}, key {key!r}: shape {values.shape}; expected {shape} for {k} rows of 'hidden'")
    return LabelledRows(
        np.asarray(hidden, dtype=np.float64),
        _labels(path, labels, n_classes),
        None if scores is None else np.asarray(scores, dtype=np.float64),
    )


def _labels(path: Path, labels: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    wrong = np.flatnonzero((labels != np.round(labels)) | (labels < 0) | (labels >= n_classes))
    if wrong.size:
        raise InputError(
            f"{path}, key 'labels', index {wrong[0]}: {labels[wrong[0]]}; expected a whole number from 0 to "
            f"{n_classes - 1}"
        )
    return labels.astype(np.int64)


def _check_points(source: str, place: str, measured: NeuronResponses, gamma: float) -> None:
    """Refuse neurons with too few different drives; `place` says in messages which layer they are of."""
    known = np.isfinite(measured.responses)
    few = np.flatnonzero(known.sum(axis=0) < LEAST_POINTS)
    if few.size:
        raise InputError(
            f"{source}: {known[:, few[0]].sum()} points of neuron {listed(few, 5)}{place}; expected at least "
            f"{LEAST_POINTS}"
        )
    ordered = np.sort(np.where(known, measured.drives, np.nan), axis=0)  # NaN last
    different = 1 + np.count_nonzero(np.diff(ordered, axis=0) > _ALIKE, axis=0)
    alike = np.flatnonzero(different < LEAST_POINTS)
    if alike.size:
        raise InputError(
            f"{source}: {different[alike[0]]} different drives of neuron {listed(alike, 5)}{place}; expected at "
            f"least {LEAST_POINTS}, spread over the range of the drive"
        )
    span, least = np.nanmax(ordered, axis=0) - ordered[0], _LEAST_SPAN * gamma
    narrow = np.flatnonzero(span < least)
    if narrow.size:
        raise InputError(
            f"{source}: the drives of neuron {listed(narrow, 5)}{place} span {span[narrow[0]]:.3g}; expected at "
            f"least {least:.3g}, best spread from {-gamma:g} to {gamma:g}"
        )


def _check_lines(source: str, place: str, measured: NeuronResponses, gamma: float) -> None:
    """Responses near a line: repeats that contradict each other would leave one between them."""
    drives, responses = measured.drives, measured.responses
    lines = fit_lines(drives, responses)
    far = np.abs(np.nan_to_num(responses - lines.level - lines.slope * drives))
    point, neuron = np.unravel_index(int(np.argmax(far)), far.shape)
    if far[point, neuron] > _OFF_LINE * gamma:
        raise InputError(
            f"{source}: responses of neuron {neuron}{place} lie up to {far[point, neuron]:.2g} off a line, "
            f"{responses[point, neuron]:.3g} at the drive {drives[point, neuron]:.3g}; expected at most "
            f"{_OFF_LINE * gamma:.2g} (do repeated readings contradict each other?)"
        )


def _check_images(source: str, rows: LabelledRows, design: Design) -> None:
    """Activations and scores in the units that the weights were trained for, of enough images of every class."""
    network, (k, n) = design.network, rows.hidden.shape
    neurons = "hidden neurons" if len(network.hidden_layers) == 1 else "neurons in its last hidden layer"
    if k <= n:
        raise InputError(
            f"{source}, key 'hidden': {k} rows; expected labelled images in at least {n + 1}, one more than the "
            f"network has {neurons}"
        )
    if len(np.unique(rows.labels)) < 2:
        raise InputError(f"{source}, key 'labels': all are {rows.labels[0]}; expected at least two classes")
    _check_ends(source, rows.hidden, design)
    different = int(numbered(rows.hidden, ALIKE).max()) + 1
    if different <= n:
        raise InputError(
            f"{source}, key 'hidden': {k} rows of {different} different images; expected at least {n + 1} "
            f"different ones, one more than the network has {neurons}"
        )
    _check_labels(source, rows.hidden, rows.labels, network, different)
    if rows.scores is not None:
        _check_scores(source, rows.hidden, rows.scores, design)


def _check_ends(source: str, hidden: FloatArray, design: Design) -> None:
    """Compare the ends of the activations with those of a nominal neuron, which the larger input values bring about."""
    network, fhn = design.network, design.network.fhn
    scale, shift = network.recentring(-1) if network.recentre else (1.0, 0.0)
    low, high = sorted(scale * (-fhn.a + sign * fhn.gamma) + shift for sign in (1.0, -1.0))
    place = (hidden - low) / (high - low)
    top = float(np.quantile(place.max(axis=0), _QUARTER))
    bottom = float(np.quantile(place.min(axis=0), 1.0 - _QUARTER))
    within = place.min() >= -_BEYOND_ENDS and place.max() <= 1.0 + _BEYOND_ENDS
    if within and _TOPS[0] <= top <= _TOPS[1] and _BOTTOMS[0] <= bottom <= _BOTTOMS[1]:
        return
    volts = design.arrays[-1].row_volts[0 if network.recentre else 1]
    raise InputError(
        f"{source}, key 'hidden': values from {hidden.min():.3g} to {hidden.max():.3g}; expected activations about "
        f"from {low:g} to {high:g}, in the unit that the weights were trained for (is it volts, {volts:.3g} V per "
        "unit, or millivolts?)"
    )


def _check_labels(
    source: str, hidden: FloatArray, labels: NDArray[np.int64], network: Network, different: int
) -> None:  # fmt: skip
    """Refuse labels that lack a class, or that the readout as trained finds no better than chance."""
    missing = missing_classes(labels, network.output.n_out)
    if missing:
        raise InputError(
            f"{source}, key 'labels': none is {', '.join(map(str, missing))}; expected images of each of the network's "
            f"{network.output.n_out} classes, to train the readout on"
        )
    scale, shift = (1.0, 0.0) if network.recentre else network.recentring(-1)
    classes = network.output.pre_activations(scale * hidden + shift).argmax(axis=1)
    if near_chance(classes, labels, different):
        raise InputError(
            f"{source}, key 'labels': the readout as trained finds {100.0 * np.mean(classes == labels):.1f} % of them "
            "in 'hidden', no more than chance may give; expected the classes of the same images in the same order, "
            "counted from 0 as in training"
        )


def _check_scores(source: str, hidden: FloatArray, scores: FloatArray, design: Design) -> None:
    """Compare the scores with what the activations and the weights of the output array give."""
    predicted = hidden @ design.arrays[-1].crossbar.weights
    predicted, seen = predicted - predicted.mean(axis=0), scores - scores.mean(axis=0)
    expected, spread = (float(np.sqrt(np.mean(values**2))) for values in (predicted, seen))
    if not _SPREADS_OF_SCORES[0] * expected <= spread <= _SPREADS_OF_SCORES[1] * expected:
        raise InputError(
            f"{source}, key 'scores': they vary by {spread:.3g} rms over the images; expected about {expected:.3g}, "
            "what 'hidden' and the weights of the output array give (are they volts or millivolts?)"
        )
    of_predicted, of_seen = (np.sqrt((values**2).sum(axis=0)) for values in (predicted, seen))
    product = float((predicted * seen).sum())
    slope = product / max(float((predicted**2).sum()), 1e-300)
    follow = product / max(float(np.sqrt((predicted**2).sum() * (seen**2).sum())), 1e-300)
    each = (predicted.T @ seen) / np.maximum(np.outer(of_predicted, of_seen), 1e-300)
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
            f"{source}, key 'scores': the columns {listed(order[moved], 5)} follow the classes {listed(moved, 5)}; "
            "expected a column per class, in the order of the classes"
        )
    if follow < _LEAST_CORRELATION:
        raise InputError(
            f"{source}, key 'scores': their correlation with what 'hidden' and the weights of the output array give is "
            f"{follow:.2f}; expected at least {_LEAST_CORRELATION:g} (are they of the same images in the same order?)"
        )
    if not _SLOPES_OF_SCORES[0] <= slope <= _SLOPES_OF_SCORES[1]:
        volts = design.arrays[-1].volts[0 if design.network.recentre else 1]
        raise InputError(
            f"{source}, key 'scores': {slope:.3g} times what 'hidden' and the weights of the output array give; "
            f"expected about 1, in the units of the trained weights (are they volts, {volts:.3g} V per unit, or "
            "millivolts?)"
        )


def _check_units(
    source: str, place: str, measured: NeuronResponses, fhn: FHN, volts_per_x: float, unit: Unit
) -> None:  # fmt: skip
    """Compare with the nominal neuron: x falls by about 1 per unit of drive, and stays within its cycle."""
    highest = 2.0 * abs(fhn.gamma)
    far = np.nanmax(np.abs(measured.drives))
    if far > highest:
        raise InputError(
            f"{source}: drives up to {far:.3g}; expected dimensionless drives within the range of the tanh "
            f"pairs, -{abs(fhn.gamma):g} to {abs(fhn.gamma):g}"
        )
    ratio = float(np.median(-fit_lines(measured.drives, measured.responses).slope))
    limit = 1.5 * extremes(fhn)[0]
    outside = np.argwhere(np.abs(np.nan_to_num(measured.responses)) > limit)
    if _SLOPES[0] <= ratio <= _SLOPES[1] and not len(outside):
        return
    in_file = ratio * volts_per_x if unit == "volts" else ratio
    hint = "expected x itself, or volts with --unit volts"
    for name, per_x in (("x itself (leave out --unit volts)", 1.0), ("volts (--unit volts)", volts_per_x),
                        ("millivolts; expected volts or x", 1e3 * volts_per_x)):  # fmt: skip
        if 0.7 * per_x <= in_file <= 1.4 * per_x:
            hint = f"they look like {name}"
    where = ""
    if len(outside):
        point, neuron = outside[0]
        value = measured.responses[point, neuron]
        where = f", and neuron {neuron}{place} gives {value:.3g}, which no FHN neuron's x reaches"
    raise InputError(
        f"{source}: responses fall by {ratio:.3g} per unit of drive where a nominal neuron's x falls by about "
        f"1{where}; {hint}"
    )
