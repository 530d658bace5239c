"""The readout alone: trained on measured activations, and laid out on the output array that the chip has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from analog_fhn.circuit.crossbar import Crossbar, pairs
from analog_fhn.circuit.design import Design
from analog_fhn.errors import RunError
from analog_fhn.neuron import FloatArray
from analog_fhn.threads import single_blas
from analog_fhn.trim.codes import Codes, TrimHardware, nearest_code

PENALTIES = (1e-3, 1e-2, 1e-1)
_FOLDS = 5
_ITERATIONS = 300
_LEAST_SPREAD = 0.1  # of the neurons' median
_ABNORMAL = 2  # SciPy's status of a line search that failed, be it at the minimum
_STATIONARY = 1e-4  # slope of the loss that counts as none


@dataclass(frozen=True, eq=False)
class Readout:
    """``scores = hidden weights + bias``, shapes (n_neurons, n_classes) and (n_classes,).

    Parameters
    ----------
    penalty
        What it was trained with, on the squared distance from where it started.
    validated
        Accuracy in cross-validation; NaN if there was none.
    """

    weights: FloatArray
    bias: FloatArray
    penalty: float = 0.0
    validated: float = float("nan")

    def classes(self, hidden: FloatArray) -> NDArray[np.intp]:
        """Class of each row of activations (n_images, n_neurons)."""
        return np.asarray((hidden @ self.weights + self.bias).argmax(axis=1))


def fit_readout(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    start: Readout,
    penalty: float,
    *,
    reach: tuple[FloatArray, FloatArray] | None = None,
    largest_bias: float | None = None,
    iterations: int = _ITERATIONS,
) -> Readout:
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
            found = minimize(
                loss, first.ravel(), jac=True, method="L-BFGS-B",
                bounds=Bounds(*(end.ravel() for end in ends)), options={"maxiter": iterations},
            )  # fmt: skip
        values = found.x.reshape(-1, classes)
        if found.status == _ABNORMAL:
            free = np.clip(values - found.jac.reshape(values.shape), *ends) - values
            if np.abs(free).max() > _STATIONARY:
                raise RunError(f"training of the readout failed: {found.message} (slope {np.abs(free).max():.2g})")
        return values[:-1], values[-1]

    # Counted from their means, activations and biases do not compete, and few iterations do.
    weights, bias = solve(level, anchor, start.bias + level @ start.weights, np.inf)
    bias = _centred(bias - (level / spread) @ weights)
    if largest_bias is not None and np.abs(bias).max() > largest_bias:
        weights, bias = solve(np.zeros_like(level), weights, bias, largest_bias)
    return Readout(weights / spread[:, None], bias, penalty)


def _centred(bias: FloatArray) -> FloatArray:
    """Biases whose largest and smallest lie evenly about 0."""
    return np.asarray(bias - 0.5 * (bias.max() + bias.min()))


def train_readout(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    starts: Sequence[Readout],
    penalties: Sequence[float] = PENALTIES,
    *,
    largest_bias: float | None = None,
    written: Callable[[Readout], Readout] | None = None,
) -> Readout:
    """Readout whose start and penalty do best in 5-fold cross-validation on the same images.

    Parameters
    ----------
    hidden, labels
        Shapes (k, n_neurons) and (k,).
    starts
        For instance the readout as trained: where few images are at hand, that is the better start than zeros.
    written
        What the array makes of a readout, which is what counts; None: the readout itself.
    """
    fold = np.arange(len(labels)) % _FOLDS
    best: tuple[float, float, Readout] | None = None
    for start in starts:
        for penalty in sorted(penalties, reverse=True):
            right = np.zeros(len(labels), dtype=bool)
            for part in range(_FOLDS):
                seen = fold != part
                made = fit_readout(hidden[seen], labels[seen], start, penalty, largest_bias=largest_bias)
                made = made if written is None else written(made)
                right[~seen] = made.classes(hidden[~seen]) == labels[~seen]
            score = float(right.mean())
            if best is None or score > best[0]:
                best = score, penalty, start
    assert best is not None
    made = fit_readout(hidden, labels, best[2], best[1], largest_bias=largest_bias)
    return replace(made, validated=best[0])


def lay_out(readout: Readout, design: Design, present: Crossbar) -> tuple[Crossbar, float]:
    """Conductances of a readout on the output array that the chip has, and what all of its scores are multiplied by.

    Amplifiers and bias rows stay as they are. All scores may be scaled: the weights' clip quantile becomes the largest
    weight that the array holds, or less where the amplifiers would leave their linear range.

    Parameters
    ----------
    present
        The array, for its scale and its bias rows.
    """
    technology = design.technology
    array, sense = technology.array, design.arrays[1].sense
    largest = (array.g_max - array.g_min) / present.siemens_per_weight
    scale = largest / max(float(np.quantile(np.abs(readout.weights), array.clip(1))), 1e-12)
    limit = technology.supplies.linear_range / array.read_voltage
    for _ in range(20):
        bar = on_array(readout.weights * scale, present, design, readout.bias * scale)
        difference = bar.g_plus - bar.g_minus
        currents = max(float(np.maximum(sign * difference, 0.0).sum(axis=0).max()) for sign in (1.0, -1.0))
        asked = max(currents * float(sense.rb[0]), float(bar.g_plus.sum(axis=0).max()) * float(sense.rf[0]))
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


def output_codes(present: Codes, error: FloatArray, per_code: FloatArray, hardware: TrimHardware) -> tuple[Codes, int]:
    """Codes that take offsets of the scores back, and how many of them would lie beyond the range.

    Parameters
    ----------
    present
        The codes that were set when `error` was measured.
    error
        Measured minus wanted offset of each score, shape (n_classes,).
    per_code
        Change of each score per code.
    """
    wanted = present.output - error / per_code
    codes, beyond = nearest_code(wanted, hardware.output_bits)
    if beyond:
        # What all scores have in common changes no class: the codes are moved together into their range.
        common = 0.5 * (
            error.max() + error.min() - (present.output * per_code).max() - (present.output * per_code).min()
        )
        codes, beyond = nearest_code(wanted + common / per_code, hardware.output_bits)
    return replace(present, output=codes, saturated_outputs=beyond), beyond
