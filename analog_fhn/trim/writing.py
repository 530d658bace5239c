"""Writing an array in a loop: write, measure the weights from outside, write again what is worth it.

Only differences of two conductances can be measured. What is known of the single devices is their targets; where the
measured difference is not that of the targets, the device with the wider spread is taken to be off. A wrong weight is
mended with that device of its pair which promises the smaller error: errors of programming grow with the conductance,
so a weight that came out too large is better mended by a little more on the other side than by writing it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from analog_fhn.array.crossbar import Crossbar, quantised
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import Array
from analog_fhn.trim.bench import Bench, BoolArray

# A device that moved by less than this share of g_max when it was told to move further did not move.
_STILL = 1e-3
_NOISES = 4.0  # and by less than so many times the noise of the readings
_SUSPECT = 2  # times in a row that a device has to stay where it was to count as stuck
_NORMAL = 1.4826  # standard deviation of normal numbers over their median absolute value
_ODD = 5.0  # sigmas of both devices beyond which a difference is no programming error
_BOTH = 1.3  # how much worse writing one device must promise to be before both are written


@dataclass(frozen=True, eq=False)
class DeviceEstimates:
    """What is known of an array's devices from outside; every array has shape (n_known, n_out).

    The rows are those of the inputs and, where there are bias rows, the first of these: only the sum of all bias rows
    can be measured, and the others are taken to be what they should be.

    Parameters
    ----------
    plus, minus
        Estimated conductances (S).
    sigma_plus, sigma_minus
        How far off they may be (S).
    still_plus, still_minus
        How often in a row a device did not move although it was written.
    n_in
        Rows of inputs. What a bias row is measured to be holds offsets too, which say nothing of its devices.
    """

    plus: FloatArray
    minus: FloatArray
    sigma_plus: FloatArray
    sigma_minus: FloatArray
    still_plus: FloatArray
    still_minus: FloatArray
    n_in: int

    @classmethod
    def of(cls, target: Crossbar, array: Array) -> DeviceEstimates:
        """As far as the targets say it."""
        n = known_rows(target)
        plus, minus = target.g_plus[:n], target.g_minus[:n]
        zero = np.zeros(plus.shape)
        return cls(plus, minus, spread(plus, array), spread(minus, array), zero, zero, target.n_in)

    @property
    def stuck_plus(self) -> BoolArray:
        """Devices that writing does not move."""
        return self.still_plus >= _SUSPECT

    @property
    def stuck_minus(self) -> BoolArray:
        """Devices that writing does not move."""
        return self.still_minus >= _SUSPECT

    def measured(self, difference: FloatArray, array: Array, noise: float = 0.0) -> DeviceEstimates:
        """After the differences were measured: both estimates move, the less certain one by more.

        The less certain the measurement is (`noise`, standard deviation in S), the less they move. A difference that no
        programming error explains is that of a device at the end of its range.
        """
        wrong = difference - (self.plus - self.minus)
        known = np.isfinite(wrong)
        total = self.sigma_plus**2 + self.sigma_minus**2 + noise**2
        ends = np.array([array.g_max, array.g_min])[:, None, None]
        misses = np.abs(difference - np.concatenate([ends - self.minus, self.plus - ends]))
        best = np.argmin(misses, axis=0)
        odd = (
            known
            & (wrong**2 > _ODD**2 * total)
            & (np.abs(wrong) > max(10.0 * _STILL * array.g_max, 2.0 * _NOISES * noise))
        )
        odd[self.n_in :] = False
        end = np.where(best % 2 == 0, array.g_max, array.g_min)
        square = np.where(total > 0.0, total, 1.0)
        share_plus, share_minus = (
            np.where(total > 0.0, sigma**2 / square, 0.5) for sigma in (self.sigma_plus, self.sigma_minus)
        )
        # What each may still be off, with the difference known.
        left_plus, left_minus = (
            sigma * np.sqrt(np.maximum(1.0 - sigma**2 / square, 0.0)) for sigma in (self.sigma_plus, self.sigma_minus)
        )
        plus = self.plus + np.where(known, share_plus * wrong, 0.0)
        minus = self.minus - np.where(known, share_minus * wrong, 0.0)
        # A conductance below zero cannot be: then the other one is off.
        below_plus, below_minus = np.minimum(plus, 0.0), np.minimum(minus, 0.0)
        odd_plus, odd_minus = odd & (best < 2), odd & (best >= 2)
        return replace(
            self,
            plus=np.where(odd_plus, end, np.where(odd_minus, difference + end, plus - below_plus - below_minus)),
            minus=np.where(odd_minus, end, np.where(odd_plus, end - difference, minus - below_minus - below_plus)),
            sigma_plus=np.where(odd, 0.0, np.where(known, left_plus, self.sigma_plus)),
            sigma_minus=np.where(odd, 0.0, np.where(known, left_minus, self.sigma_minus)),
            still_plus=np.where(odd_plus, np.maximum(self.still_plus, 1), self.still_plus),
            still_minus=np.where(odd_minus, np.maximum(self.still_minus, 1), self.still_minus),
        )

    def written(
        self, target: Crossbar, plus: BoolArray, minus: BoolArray, array: Array, verify: float | None
    ) -> DeviceEstimates:
        """After the devices marked in `plus` and `minus`, of this shape, were written, as far as the targets say it."""
        n = len(self.plus)
        return replace(
            self,
            plus=np.where(plus, target.g_plus[:n], self.plus),
            minus=np.where(minus, target.g_minus[:n], self.minus),
            sigma_plus=np.where(plus, spread(target.g_plus[:n], array, verify), self.sigma_plus),
            sigma_minus=np.where(minus, spread(target.g_minus[:n], array, verify), self.sigma_minus),
        )

    def reachable(self, array: Array, k: float) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest weight of each pair, given the devices that are stuck; k is in siemens per weight."""
        low_plus, high_plus = (np.where(self.stuck_plus, self.plus, g) for g in (array.g_min, array.g_max))
        low_minus, high_minus = (np.where(self.stuck_minus, self.minus, g) for g in (array.g_min, array.g_max))
        return (low_plus - high_minus) / k, (high_plus - low_minus) / k


def known_rows(target: Crossbar) -> int:
    """Rows whose weights can be measured: those of the inputs and one for the biases, if there are bias rows."""
    return target.n_in + min(target.bias_rows, 1)


def with_bias(weights: FloatArray, bias: FloatArray, target: Crossbar) -> FloatArray:
    """Weights (n_in, n_out), and below them what the first bias row has to be for `bias` (n_out,)."""
    if not target.bias_rows:
        return weights
    others = (target.g_plus - target.g_minus)[target.n_in + 1 :].sum(axis=0) / target.siemens_per_weight
    return np.vstack([weights, bias / target.bias_drive - others])


def spread(conductance: FloatArray, array: Array, verify: float | None = None) -> FloatArray:
    """Standard deviation of devices that are written to a conductance (S), as the technology says.

    Parameters
    ----------
    verify
        Tolerance of a write-verify as a share of g_max; None: not verified.
    """
    if isinstance(array.programming_error, str):
        assert array.device is not None
        one = np.ones(conductance.shape)
        sigma = np.abs(array.device.programming_deviation(conductance, one, read_voltage=array.read_voltage))
    else:
        sigma = array.programming_error * conductance
    verify = array.write_tolerance if verify is None else verify
    if verify is None:
        return np.asarray(sigma)
    # Of all pulses either one ends within the tolerance, or the last one counts, wherever it ended.
    edge = verify * array.g_max / np.where(sigma > 0.0, sigma, 1e-30)
    within = 2.0 * ndtr(edge) - 1.0
    missed = (1.0 - within) ** (array.write_pulses - 1)
    square_within = np.where(edge > 5.0, 1.0, 1.0 - edge * np.exp(-0.5 * edge**2) * np.sqrt(2.0 / np.pi) / within)
    return np.asarray(sigma * np.sqrt((1.0 - missed) * np.maximum(square_within, 0.0) + missed))


@dataclass(frozen=True, eq=False)
class WritePlan:
    """What to write next.

    Parameters
    ----------
    target
        Of all devices.
    plus, minus
        Devices to write, shape (n_rows, n_out).
    """

    target: Crossbar
    plus: BoolArray
    minus: BoolArray


def plan_writes(
    devices: DeviceEstimates,
    differences: FloatArray,
    present: Crossbar,
    array: Array,
    importance: FloatArray,
    tolerance: float,
    verify: float | None = None,
    more: int = 0,
) -> WritePlan:
    """Choose the devices whose writing makes the array better, and their targets.

    Parameters
    ----------
    differences
        Of the conductances of each pair, as they should be (S), shape (n_known, n_out); NaN: leave the pair as it is.
    present
        The last targets.
    importance
        Of the rows, shape (n_known,): rms of what drives them.
    tolerance
        Error of a pair, times its row's importance, below which it is left alone (S).
    more
        Rounds that may follow: with more of them it pays to be hard to please.
    """
    patience = float(np.sqrt(expected_square(more)))
    goal = np.where(np.isnan(differences), devices.plus - devices.minus, differences)
    error = np.abs(devices.plus - devices.minus - goal)

    def single(movable: BoolArray, ask: FloatArray) -> tuple[FloatArray, FloatArray]:
        settable = quantised(np.clip(ask, array.g_min, array.g_max), array)
        cost = np.hypot(settable - ask, patience * spread(settable, array, verify))
        return settable, np.where(movable, cost, np.inf)

    both_plus = quantised(np.clip(array.g_min + np.maximum(goal, 0.0), array.g_min, array.g_max), array)
    both_minus = quantised(np.clip(array.g_min + np.maximum(-goal, 0.0), array.g_min, array.g_max), array)
    spreads = np.hypot(spread(both_plus, array, verify), spread(both_minus, array, verify))
    anew = _BOTH * np.hypot(both_plus - both_minus - goal, patience * spreads)
    # A device under suspicion is written alone, so that one can see whether it moves.
    anew = np.where(np.maximum(devices.still_plus, devices.still_minus) > 0, np.inf, anew)
    goal_plus, by_plus = single(~devices.stuck_plus, devices.minus + goal)
    goal_minus, by_minus = single(~devices.stuck_minus, devices.plus - goal)
    choice = np.argmin([error, by_plus, by_minus, anew], axis=0)
    choice[error * importance[:, None] <= tolerance] = 0
    plus, minus = (choice == 1) | (choice == 3), (choice == 2) | (choice == 3)
    n = len(choice)
    g_plus, g_minus = present.g_plus.copy(), present.g_minus.copy()
    g_plus[:n] = np.where(choice == 3, both_plus, np.where(choice == 1, goal_plus, g_plus[:n]))
    g_minus[:n] = np.where(choice == 3, both_minus, np.where(choice == 2, goal_minus, g_minus[:n]))
    none = np.zeros((len(g_plus) - n, g_plus.shape[1]), dtype=bool)
    return WritePlan(
        replace(present, g_plus=g_plus, g_minus=g_minus), np.vstack([plus, none]), np.vstack([minus, none])
    )


def expected_square(more: int) -> float:
    """Expected square of a standard normal number, if one may be drawn again up to `more` times (optimal stopping)."""
    value = 1.0
    for _ in range(more):
        c = np.sqrt(value)
        inside = 2.0 * ndtr(c) - 1.0
        value = float(inside - 2.0 * c * np.exp(-0.5 * value) / np.sqrt(2.0 * np.pi) + value * (1.0 - inside))
    return value


@dataclass(frozen=True, eq=False)
class Written:
    """Outcome of `write_weights`.

    Parameters
    ----------
    devices
        What is known of the array now.
    weights
        Last measured weights, shape (n_known, n_out); NaN where the chip could not tell.
    errors
        Rms error of the weights, times their rows' importance, before the first round and after each; NaN: none was
        told.
    """

    devices: DeviceEstimates
    weights: FloatArray
    errors: list[float]


def write_weights(
    bench: Bench,
    number: int,
    goal: FloatArray,
    measure: Callable[[], FloatArray],
    importance: FloatArray,
    *,
    devices: DeviceEstimates | None = None,
    present: FloatArray | None = None,
    rounds: int = 8,
    tolerance: float = 0.01,
    verify: float | None = None,
) -> Written:
    """Write an array until its weights are those that they should be, as far as the rounds go.

    Parameters
    ----------
    number
        Of the array, from 0, the input array.
    goal
        Weights as they should be, shape (n_known, n_out), see `with_bias`, in the units of `measure`; NaN: of no
        interest.
    measure
        Reads the weights (n_known, n_out) from the chip; NaN where it cannot.
    importance
        Rms of what drives each row, shape (n_known,).
    devices
        What was known before; None: the targets.
    present
        Weights as they are, if they were measured just now.
    rounds
        Most rounds of writing.
    tolerance
        Error of a weight times its row's importance that is left alone, as a share of the largest weight.
    verify
        Tolerance that the bench verifies its writing with.
    """
    array = bench.design.technology.array
    target = bench.targets(number)
    devices = DeviceEstimates.of(target, array) if devices is None else devices
    k = target.siemens_per_weight
    weights = measure() if present is None else present
    noise = 0.0
    if bench.noisy:
        # Measured twice, for the noise: the median stands for a row in the middle of its tanh.
        again = measure()
        change = np.abs(again - weights)
        noise = _NORMAL * k * float(np.nanmedian(change)) / np.sqrt(2.0) if np.isfinite(change).any() else 0.0
    still = max(_STILL * array.g_max, _NOISES * noise)
    scale = _column_scale(weights, devices, k)
    devices = devices.measured(weights * k / scale, array, noise)
    errors = [_error(weights, goal, importance)]
    for more in reversed(range(rounds)):
        difference, n = devices.plus - devices.minus, len(devices.plus)
        plan = plan_writes(
            devices, goal * k / scale, target, array, importance, tolerance * array.g_max, verify, more=more
        )  # fmt: skip
        if not (plan.plus.any() or plan.minus.any()):
            break
        bench.write(number, plan.target, plan.plus, plan.minus)
        target, plus, minus = plan.target, plan.plus[:n], plan.minus[:n]
        intended = devices.written(target, plus, minus, array, verify)
        weights = measure()
        now = weights * k / scale
        # Of a pair, one device alone was sent somewhere else, and the difference is what it was.
        idle = (np.abs(now - difference) < still) & (np.abs(intended.plus - intended.minus - difference) > 5.0 * still)
        moved = np.abs(now - difference) >= still
        devices = _settled(devices, intended, now, array, noise, plus & ~minus, minus & ~plus, idle, moved)
        errors.append(_error(weights, goal, importance))
    return Written(devices, weights, errors)


def _settled(
    before: DeviceEstimates,
    written: DeviceEstimates,
    now: FloatArray,
    array: Array,
    noise: float,
    plus: BoolArray,
    minus: BoolArray,
    idle: BoolArray,
    moved: BoolArray,
) -> DeviceEstimates:
    """What is known after a round: devices that did not move are where they were, and under suspicion."""
    written = replace(
        written,
        still_plus=np.where(plus & idle, before.still_plus + 1, np.where(plus & moved, 0, before.still_plus)),
        still_minus=np.where(minus & idle, before.still_minus + 1, np.where(minus & moved, 0, before.still_minus)),
    )
    measured = written.measured(now, array, noise)
    # An idle device is where it was, and so is its partner.
    single = idle & (plus | minus)
    estimates = {
        name: np.where(single, getattr(before, name), getattr(measured, name))
        for name in ("plus", "minus", "sigma_plus", "sigma_minus")
    }
    return DeviceEstimates(
        **estimates,
        still_plus=np.where(single, written.still_plus, measured.still_plus),
        still_minus=np.where(single, written.still_minus, measured.still_minus),
        n_in=before.n_in,
    )


def _column_scale(weights: FloatArray, devices: DeviceEstimates, k: float) -> FloatArray:
    """Measured weights over those of the devices, column by column: gains of amplifiers and tanh pairs."""
    known = np.where(np.isfinite(weights), weights, 0.0)
    estimated = np.where(np.isfinite(weights), (devices.plus - devices.minus) / k, 0.0)
    # Robust against devices that are stuck: those far off are left out the second time.
    off = np.abs(known - _ratio(known, estimated) * estimated)
    near = off <= 3.0 * np.median(off, axis=0) + 1e-12
    return _ratio(known * near, estimated * near)


def _ratio(measured: FloatArray, estimated: FloatArray) -> FloatArray:
    """Least squares of `measured` on `estimated`, column by column; 1 for a column of zeros."""
    square, product = (estimated**2).sum(axis=0), (measured * estimated).sum(axis=0)
    positive = (square > 0.0) & (product > 0.0)
    return np.where(positive, product / np.where(positive, square, 1.0), 1.0)


def _error(weights: FloatArray, goal: FloatArray, importance: FloatArray) -> float:
    square = ((weights - goal) * importance[:, None]) ** 2
    return float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else float("nan")
