"""From the time stamps of a file to a uniform grid: jitter, gaps, and stamps with too few digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

JITTER = 0.5
"""Largest deviation of a sampling interval from the usual one, relative to it, that is called jitter."""

_NOTEWORTHY = 1e-3  # of a step: smaller deviations of a time are taken for none
_TELLING = 3
_HOLE = 20.0  # times 99 % of uneven intervals, and ...
_HOLE_STEPS = 10.0  # ... steps of the grid, beyond which an interval is a gap
_LONGEST = 1e15  # s
_LARGEST = 20  # times as many samples as rows


@dataclass(frozen=True, eq=False)
class Sampled:
    """Values on a uniform grid.

    Parameters
    ----------
    start, step
        The grid begins at this time, and its points lie this far apart (s).
    values
        Shape (n, k), NaN where there is none.
    report
        It says what was noticed and done, a sentence each.
    """

    start: float
    step: float
    values: FloatArray
    report: tuple[str, ...] = ()


class UnevenError(InputError):
    """Times that are no uniform sampling; `row` is the one at fault."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def on_grid(times: FloatArray, values: FloatArray, step: float | None = None) -> Sampled:
    """Values on the uniform grid that their times stand for.

    - Times that are uniform to within their last digit: the values as they are, also where times repeat because they
      have too few digits.
    - Some rows left out: NaN in their places.
    - Intervals that vary by less than `JITTER`: values interpolated at the times of the grid.
    - Anything else: only with a `step`, interpolated, but where an interval is 20 times as long as 99 % of them.

    Parameters
    ----------
    times
        Finite times (s), shape (n,), n at least 2.
    values
        Shape (n, k), NaN where there is none.
    step
        Sampling interval (s) of the grid; None: that of the times.

    Raises
    ------
    UnevenError
        If times do not increase, or (without `step`) intervals vary too much.
    InputError
        If `step` is not the interval of times that are uniform, nearly all rows are left out, or times are out of all
        range.
    """
    _check_times(times)
    gaps = np.diff(times)
    digit = np.maximum(last_digits(times), 4e-16 * np.max(np.abs(times)))
    number, usual, odd = np.arange(len(times), dtype=np.intp), float(np.mean(gaps)), int(np.count_nonzero(gaps == 0))
    increase = odd == 0
    if increase:
        usual = float(np.mean(gaps[gaps < 1.5 * np.median(gaps)]))
        number = np.concatenate([[0], np.cumsum(np.rint(gaps / usual).astype(np.intp))])
        odd = int(np.count_nonzero(np.diff(number) > 1))
    # Rounded times, too, leave out or repeat multiples of their last digit, but evenly. Fewer than three tell nothing.
    every = np.arange(len(times), dtype=np.intp)
    rounded = (odd == 0 or odd >= _TELLING) and _slope(times, every, 0.6 * digit) is not None
    number = every if rounded else number
    allowed = np.maximum(digit, _NOTEWORTHY * usual)
    slope = _slope(times, number, allowed) if rounded or increase else None
    if slope is not None and np.all(np.diff(number) > 0):
        chosen = _shortest(times, number, slope, allowed)
        if step is not None and abs(step / chosen - 1.0) > 1e-3:
            raise InputError(
                f"step = {step:g} s, but the times are {chosen:g} s apart; leave --step (step) out, or thin the "
                "recording by --every (Recording.thinned)"
            )
        return _placed(times, values, number, chosen, digit)
    if step is not None:
        return _interpolated(times, values, step)
    if increase and np.all(_uneven(gaps, usual) <= JITTER):
        return _resampled(times, values, usual)
    raise _uneven_error(times, gaps, usual)


def _check_times(times: FloatArray) -> None:
    """Raise InputError for times out of all range, UnevenError for those that decrease."""
    if not (np.abs(times).max() < _LONGEST and (np.ptp(times) > 1 / _LONGEST or np.ptp(times) == 0)):
        raise InputError(
            f"times from {times[0]:g} to {times[-1]:g} s; expected such that lie between {1 / _LONGEST:g} and "
            f"{_LONGEST:g} s apart"
        )
    back = np.diff(times) < 0
    if np.any(back):
        row = int(np.argmax(back)) + 1
        raise UnevenError(
            row, f"time {times[row]:.9g} s comes after {times[row - 1]:.9g} s; expected times that increase"
        )


def last_digits(times: FloatArray) -> FloatArray:
    """Value of the last decimal digit that the times are written with, for each of them, shape (n,).

    Times of one decade are taken to have equally many digits, whether their number is that of decimals or of
    significant digits.
    """
    magnitude = np.abs(times)
    decade = np.floor(np.log10(np.where(magnitude > 0, magnitude, 1.0))).astype(np.intp)
    decade[magnitude == 0] = decade.min()
    digit = np.empty(len(times))
    for power in np.unique(decade):
        here = decade == power
        part = times[here]
        for decimals in range(-int(power), 17 - int(power)):
            # Relative to the number, a float is exact to 1.1e-16.
            if np.all(np.abs(np.round(part, decimals) - part) <= 2.3e-16 * np.abs(part)):
                break
        digit[here] = 10.0**-decimals
    return digit


def _slope(times: FloatArray, number: NDArray[np.intp], allowed: FloatArray) -> float | None:
    """Slope of the times over their numbers, if a straight line passes within what is allowed; else None.

    Half of the last digit is what rounding or cutting it off leaves.
    """
    weight = 1.0 / allowed**2
    mean_number, mean_time = np.average(number, weights=weight), np.average(times, weights=weight)
    centred = number - mean_number
    slope = float((weight * centred) @ (times - mean_time) / ((weight * centred) @ centred))
    error = times - mean_time - slope * centred
    # Where all times end in a half digit, most may be rounded to one side: then the middle is not the mean.
    middle = 0.5 * (error.max() + error.min())
    fits = any(np.all(np.abs(error - offset) <= allowed) for offset in (0.0, middle))
    return slope if slope > 0 and fits else None


def _shortest(times: FloatArray, number: NDArray[np.intp], slope: float, allowed: FloatArray) -> float:
    """Step near the slope with the fewest digits: one that makes exactly these times, else one that is allowed."""
    candidates = [float(f"{slope:.{digits}g}") for digits in range(1, 18)]
    near = slope + np.spacing(slope) * np.arange(-32.0, 33.0)
    for step in (*candidates, *near.tolist()):
        if np.array_equal(times[0] + step * number, times):
            return float(step)
    for step in candidates:
        if np.all(np.abs(times - times[0] - step * number) <= allowed + allowed[0]):
            return step
    return slope


def _placed(times: FloatArray, values: FloatArray, number: NDArray[np.intp], step: float, digit: FloatArray) -> Sampled:
    """Values at their places of the grid."""
    n = int(number[-1]) + 1
    if n > _LARGEST * len(times):
        raise InputError(
            f"{len(times)} samples at a step of {step:g} s cover {times[-1] - times[0]:g} s, which would be {n}; "
            "expected most of them to be there"
        )
    placed = np.full((n, values.shape[1]), np.nan)
    placed[number] = values
    repeated = int(np.count_nonzero(np.diff(times) == 0))
    coarse = float(np.max(digit)) / step
    off = np.max(np.abs(times - times[0] - step * number)) / step
    report = []
    if repeated:
        report.append(
            f"{repeated} times repeat the one before, having too few digits (the last one is worth {coarse:.2g} "
            f"steps); taken as samples every {step:.9g} s"
        )
    elif off > _NOTEWORTHY:
        report.append(f"times are rounded to {100 * coarse:.2g} % of a step; taken as samples every {step:.9g} s")
    return Sampled(float(times[0]), step, placed, tuple(report))


def _uneven(gaps: FloatArray, usual: float) -> FloatArray:
    """How far intervals are from the usual one, relative to it; what is longer than 1.5 is a gap."""
    return np.where(gaps < (1.0 + JITTER) * usual, np.abs(gaps / usual - 1.0), 0.0)


def _resampled(times: FloatArray, values: FloatArray, usual: float) -> Sampled:
    uneven = _uneven(np.diff(times), usual)
    # The shortest number that ends no farther off than the times are.
    slack = float(np.max(uneven)) * usual / len(times)
    step = next(s for s in (float(f"{usual:.{d}g}") for d in range(1, 18)) if abs(s - usual) <= slack)
    line = (
        f"sampling intervals vary by {100 * float(np.sqrt(np.mean(uneven**2))):.2g} % rms, "
        f"{100 * float(np.max(uneven)):.2g} % at most; interpolated every {step:.9g} s"
    )
    return Sampled(float(times[0]), step, _curve(times, values, _grid(times, step), (1.0 + JITTER) * usual), (line,))


def _interpolated(times: FloatArray, values: FloatArray, step: float) -> Sampled:
    keep = np.concatenate([[True], np.diff(times) > 0])
    times, values = times[keep], values[keep]
    gaps = np.diff(times)
    longest = max(_HOLE * float(np.quantile(gaps, 0.99, method="lower")), _HOLE_STEPS * step)
    line = (
        f"uneven times, {gaps.min():.3g} to {gaps[gaps <= longest].max():.3g} s apart; interpolated every {step:.9g} s"
    )
    return Sampled(float(times[0]), step, _curve(times, values, _grid(times, step), longest), (line,))


def _grid(times: FloatArray, step: float) -> FloatArray:
    steps = float(times[-1] - times[0]) / step * (1 + 1e-12)
    if steps > 1000 * _LARGEST * len(times):
        raise InputError(f"step = {step:g} s would make {steps:.6g} samples of {len(times)}")
    return np.asarray(times[0] + step * np.arange(math.floor(steps) + 1))


def _curve(times: FloatArray, values: FloatArray, grid: FloatArray, longest: float) -> FloatArray:
    """Values at the times of the grid, by a smooth curve; NaN in gaps: longer than `longest`, or without value."""
    curves = np.full((len(grid), values.shape[1]), np.nan)
    for k, column in enumerate(values.T):
        row = np.flatnonzero(~np.isnan(column))
        if len(row) < 2:
            continue
        known = times[row]
        after = np.clip(np.searchsorted(known, grid), 1, len(known) - 1)
        curve = Akima1DInterpolator(known, column[row], method="makima", extrapolate=False)(grid)
        near = (known[after] - known[after - 1] <= longest) & (row[after] - row[after - 1] == 1)
        curves[:, k] = np.where(near, curve, np.nan)
    return curves


def _uneven_error(times: FloatArray, gaps: FloatArray, usual: float) -> UnevenError:
    if np.any(gaps == 0):
        row = int(np.argmax(gaps == 0)) + 1
        return UnevenError(
            row,
            f"time {times[row]:.9g} s stands there twice; expected times that increase, or --step (step) to make them "
            "uniform by interpolation",
        )
    row = int(np.argmax(_uneven(gaps, usual))) + 1
    return UnevenError(
        row,
        f"times are not uniform: intervals from {gaps.min():.4g} to {gaps.max():.4g} s, usually {usual:.4g} s; "
        f"expected equal ones to within {100 * JITTER:g} %, or --step (step) to interpolate with",
    )
