"""The readout alone: trained on measured activations, and laid out on the output array that the chip has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.special import log_softmax

from analog_fhn._support.hashing import sha256
from analog_fhn._support.threads import single_blas
from analog_fhn.array.crossbar import Crossbar, pairs
from analog_fhn.design import Design
from analog_fhn.errors import RunError
from analog_fhn.neuron import FloatArray
from analog_fhn.trim.codes import TrimCodes, TrimHardware, nearest_code

PENALTIES = (1e-3, 1e-2, 1e-1)
FOLDS = 5
_CLEARLY = 2.0  # standard errors of a difference of two accuracies on the same images
_ABOVE_CHANCE = 3.0  # standard errors
_ITERATIONS = 300
_LEAST_SPREAD = 0.1  # of the neurons' median, or of their largest
_ABNORMAL = 2  # SciPy's status of a line search that failed, be it at the minimum
_STATIONARY = 1e-4  # slope of the loss that counts as none


@dataclass(frozen=True, eq=False)
class LinearReadout:
    """``scores = hidden weights + bias``, shapes (n_neurons, n_classes) and (n_classes,).

    Parameters
    ----------
    penalty
        What it was trained with, on the squared distance from where it started.
    validated
        Accuracy in cross-validation of what was trained; NaN if nothing was.
    before
        Accuracy on the same images of the readout that the training started from; NaN if it was not trained.
    unchanged
        Whether it still is that readout, because the trained ones did worse in cross-validation.
    """

    weights: FloatArray
    bias: FloatArray
    penalty: float = 0.0
    validated: float = float("nan")
    before: float = float("nan")
    unchanged: bool = False

    def classes(self, hidden: FloatArray) -> NDArray[np.intp]:
        """Class of each row of activations (n_images, n_neurons)."""
        return np.asarray((hidden @ self.weights + self.bias).argmax(axis=1))

    def loss(self, hidden: FloatArray, labels: NDArray[np.integer]) -> float:
        """Cross-entropy of activations (n_images, n_neurons) with their labels, summed over the images."""
        logits = hidden @ self.weights + self.bias
        return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].sum())


def fit_readout(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    start: LinearReadout,
    penalty: float,
    *,
    reach: tuple[FloatArray, FloatArray] | None = None,
    largest_bias: float | None = None,
    iterations: int = _ITERATIONS,
) -> LinearReadout:
    """Multinomial logistic regression, drawn towards `start`.

    Minimises the mean cross-entropy plus ``penalty |change of the weights|^2/2``; each weight counts in units of its
    activation's spread. The biases' common part, which changes no class, is such that they lie evenly about 0.

    Parameters
    ----------
    hidden, labels
        Shapes (k, n_neurons) and (k,).
    reach
        Lowest and highest value of each weight, shape (n_neurons, n_classes); None: any.
    largest_bias
        Beyond which no bias may lie, because nothing on the chip could make it; None: any.
    iterations
        At most so many.

    Raises
    ------
    RunError
        If the search fails.
    """
    level, spread = hidden.mean(axis=0), hidden.std(axis=0)
    # A neuron that hardly moves would cost next to nothing, and its weight would outgrow what the array holds.
    spread = np.maximum(spread, _LEAST_SPREAD * float(np.median(spread)) + 1e-9)
    classes = start.weights.shape[1]
    anchor = start.weights * spread[:, None]
    one_hot = np.zeros((len(labels), classes))
    one_hot[np.arange(len(labels)), labels] = 1.0
    low, high = (-np.inf, np.inf) if reach is None else (limit * spread[:, None] for limit in reach)

    def solve(origin: FloatArray, begin: FloatArray, bias: FloatArray, limit: float) -> tuple[FloatArray, FloatArray]:
        """Weights in units of the spread, and biases, of activations counted from `origin`."""
        inputs = (hidden - origin) / spread

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            values = flat.reshape(-1, classes)
            logits = inputs @ values[:-1] + values[-1]
            logits -= logits.max(axis=1, keepdims=True)
            powers = np.exp(logits)
            sums = powers.sum(axis=1)
            change = values[:-1] - anchor
            wrong = (powers / sums[:, None] - one_hot) / len(labels)
            slope = np.vstack([inputs.T @ wrong + penalty * change, wrong.sum(axis=0)])
            total = float(np.mean(np.log(sums) - (logits * one_hot).sum(axis=1)))
            return total + 0.5 * penalty * float((change**2).sum()), slope.ravel()

        ends = [
            np.vstack([np.broadcast_to(end, anchor.shape), np.full(classes, side * limit)])
            for end, side in ((low, -1.0), (high, 1.0))
        ]
        first = np.clip(np.vstack([begin, bias]), *ends)
        with single_blas():
            optimum = minimize(
                loss, first.ravel(), jac=True, method="L-BFGS-B",
                bounds=Bounds(*(end.ravel() for end in ends)), options={"maxiter": iterations},
            )  # fmt: skip
        values = optimum.x.reshape(-1, classes)
        if optimum.status == _ABNORMAL:
            free = np.clip(values - optimum.jac.reshape(values.shape), *ends) - values
            if np.abs(free).max() > _STATIONARY:
                raise RunError(f"training of the readout failed: {optimum.message} (slope {np.abs(free).max():.2g})")
        return values[:-1], values[-1]

    # Counted from their means, activations and biases do not compete, and few iterations do.
    weights, bias = solve(level, anchor, start.bias + level @ start.weights, np.inf)
    bias = _centred(bias - (level / spread) @ weights)
    if largest_bias is not None and np.abs(bias).max() > largest_bias:
        weights, bias = solve(np.zeros_like(level), weights, bias, largest_bias)
    return LinearReadout(weights / spread[:, None], bias, penalty)


def _centred(bias: FloatArray) -> FloatArray:
    """Biases whose largest and smallest lie evenly about 0."""
    return np.asarray(bias - 0.5 * (bias.max() + bias.min()))


def train_readout(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    starts: Sequence[LinearReadout],
    penalties: Sequence[float] = PENALTIES,
    *,
    largest_bias: float | None = None,
    written: Callable[[LinearReadout], LinearReadout] | None = None,
    originals: NDArray[np.integer] | None = None,
) -> LinearReadout:
    """Readout whose start and penalty do best in 5-fold cross-validation on the same images.

    Where that does clearly worse than its start does as it is, the start stays.

    Parameters
    ----------
    hidden, labels
        Shapes (k, n_neurons) and (k,).
    starts
        For instance the readout as trained: where few images are at hand, that is the better start than zeros.
    written
        What the array makes of a readout, which is what counts; None: the readout itself.
    originals
        Number of the image that each row shows, shape (k,), see `numbered`; None: all are different.
    """
    fold = folds(np.arange(len(labels)) if originals is None else originals)
    on_chip = written if written is not None else lambda readout: readout

    def validated(start: LinearReadout, penalty: float) -> NDArray[np.bool_]:
        """Images that a readout which was not trained on them is right on."""
        right = np.zeros(len(labels), dtype=bool)
        for part in range(int(fold.max()) + 1):
            seen = fold != part
            trained = fit_readout(hidden[seen], labels[seen], start, penalty, largest_bias=largest_bias)
            right[~seen] = on_chip(trained).classes(hidden[~seen]) == labels[~seen]
        return right

    # Of equally good ones the first, with the largest penalty, which stays nearest to its start.
    candidates = (
        (validated(start, penalty), penalty, start) for start in starts for penalty in sorted(penalties, reverse=True)
    )
    right, penalty, start = max(candidates, key=lambda candidate: int(candidate[0].sum()))
    bias = _centred(start.bias)
    same = replace(start, bias=bias if largest_bias is None else np.clip(bias, -largest_bias, largest_bias))
    before = on_chip(same).classes(hidden) == labels
    unchanged = clearly_better(before, right)
    return replace(
        same if unchanged else fit_readout(hidden, labels, start, penalty, largest_bias=largest_bias),
        penalty=penalty,
        validated=float(right.mean()),
        before=float(before.mean()),
        unchanged=unchanged,
    )


def clearly_better(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether one readout is right on more images than another, by two standard errors of the difference."""
    won, lost = np.count_nonzero(one & ~other), np.count_nonzero(other & ~one)
    return bool(won - lost > _CLEARLY * np.sqrt(won + lost))


def numbered(rows: NDArray[np.floating], nearness: float = 0.0) -> NDArray[np.intp]:
    """Number of the image that each row (k, m) is of, counted in order of their first rows; copies have one number.

    Parameters
    ----------
    nearness
        Rms difference of two rows, in units of the columns' spreads, below which they are of one image; 0: only rows
        that are the same.
    """
    numbers = _in_order(sha256(row) for row in np.ascontiguousarray(rows))
    spread = rows.std(axis=0) if nearness > 0.0 else np.zeros(rows.shape[1])
    if not spread.any():
        return numbers
    first = np.unique(numbers, return_index=True)[1]
    # A column that hardly moves is mostly noise.
    scaled = rows[first] / np.maximum(spread, _LEAST_SPREAD * spread.max())
    near = cKDTree(scaled).query_pairs(nearness * np.sqrt(scaled.shape[1]), output_type="ndarray")
    linked = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(first), len(first)))
    return _in_order(connected_components(linked, directed=False)[1][numbers].tolist())


def _in_order(keys: Iterable[Hashable]) -> NDArray[np.intp]:
    """Number of each key, counted in order of their first places."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.intp)


def folds(originals: NDArray[np.integer]) -> NDArray[np.integer]:
    """Fold of each row; those of one image are in one fold."""
    return np.asarray(originals % FOLDS)


def near_chance(classes: NDArray[np.integer], labels: NDArray[np.integer], number: int | None = None) -> bool:
    """Whether classes agree with labels no more than those of shuffled images would, to within three standard errors.

    Parameters
    ----------
    number
        Of different images among them; None: all are different.
    """
    n_classes = int(max(classes.max(), labels.max())) + 1
    shares = (np.bincount(values, minlength=n_classes) / len(labels) for values in (classes, labels))
    chance = float(np.prod(list(shares), axis=0).sum())
    error = np.sqrt(chance * (1.0 - chance) / (len(labels) if number is None else number))
    return bool(np.mean(classes == labels) <= chance + _ABOVE_CHANCE * error)


def lay_out(readout: LinearReadout, design: Design, present: Crossbar) -> tuple[Crossbar, float]:
    """Conductances of a readout on the output array that the chip has, and what all of its scores are multiplied by.

    Amplifiers and bias rows stay as they are. All scores may be scaled: the weights' clip quantile becomes the largest
    weight that the array holds, or less where the amplifiers would leave their linear range.

    Parameters
    ----------
    present
        The array, for its scale and its bias rows.
    """
    technology = design.technology
    array, sense = technology.array, design.arrays[-1].sense
    largest = (array.g_max - array.g_min) / present.siemens_per_weight
    scale = largest / max(float(np.quantile(np.abs(readout.weights), array.clip(design.arrays[-1].number))), 1e-12)
    limit = technology.column_range / array.read_voltage
    for _ in range(20):
        bar = on_array(readout.weights * scale, present, design, readout.bias * scale)
        difference = bar.g_plus - bar.g_minus
        currents = max(float(np.maximum(sign * difference, 0.0).sum(axis=0).max()) for sign in (1.0, -1.0))
        asked = sense.largest_output(float(bar.g_plus.sum(axis=0).max()), currents)
        if asked <= limit * 1.02:
            break
        scale *= 0.98 * limit / asked
    return bar, scale


def on_array(weights: FloatArray, present: Crossbar, design: Design, bias: FloatArray | None = None) -> Crossbar:
    """Conductances of weights at the scale of an array that is there: clipped, mapped, quantised.

    Parameters
    ----------
    weights
        Shape (n_in, n_out).
    bias
        Shape (n_out,), for the bias rows; without any it is left to the offset nulls. None: the bias rows stay.
    """
    array = design.technology.array
    rows = np.vstack([weights, (present.g_plus - present.g_minus)[present.n_in :] / present.siemens_per_weight])
    if bias is not None and present.bias_rows:
        rows[present.n_in :] = bias / (present.bias_rows * present.bias_drive)
    k = present.siemens_per_weight
    largest = (array.g_max - array.g_min) / k
    plus, minus = pairs(np.clip(rows, -largest, largest), k, array)
    return replace(present, g_plus=plus, g_minus=minus)


def output_codes(
    present: TrimCodes, error: FloatArray, per_code: FloatArray, hardware: TrimHardware
) -> tuple[TrimCodes, int]:
    """Codes that take offsets of the scores back, and how many of them would lie beyond the range.

    Parameters
    ----------
    present
        The codes that were set when `error` was measured.
    error
        Measured minus intended offset of each score, shape (n_classes,).
    per_code
        Change of each score per code.
    """
    exact = present.output - error / per_code
    codes, beyond = nearest_code(exact, hardware.output_bits)
    if beyond:
        # What all scores have in common changes no class: the codes are moved together into their range.
        common = 0.5 * (
            error.max() + error.min() - (present.output * per_code).max() - (present.output * per_code).min()
        )
        codes, beyond = nearest_code(exact + common / per_code, hardware.output_bits)
    return replace(present, output=codes, saturated_outputs=beyond), beyond
