"""Time averages of settled neurons, integrated no longer than they need: compiled, SIMD over neurons.

A neuron that oscillates is followed until its orbit closes; its mean is over that cycle, from one upward crossing of
the line dy/dt = 0 to the next. Every cycle of a planar system runs around its fixed point and so crosses that line
(small oscillations beside the onset of spikes too); y at the crossing tells whether the cycle repeats. Where it
crosses, x is close to its own mean: an error of the crossing's time hardly changes the mean. A neuron that rests is
followed until it is close to its rest point, to which Newton's method then goes in one step. Differences of x from look
to look would not tell that point: far out they are no larger than rounding while much of the way is left.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from analog_fhn._support.compiled import compiled
from analog_fhn.backends.direct.backend import explicit_is_stable, scaled
from analog_fhn.backends.direct.steps import FAST, fast_slope, kutta, rates, rosenbrock
from analog_fhn.backends.direct.transconductors import settled
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FloatArray, Protocol, coefficients_of
from analog_fhn.transconductors import TransconductorDynamics

_BLOCK = 64
_LOOK = 1.0  # T between two looks at a neuron that does not oscillate
_CLOSED = (1e-5, 2e-4)  # distance in y, and its share of the swing, below which an orbit counts as closed
_APPROACH_LEFT = 2e-3  # of x, from where Newton's step leads to rest
_ROUNDING = 1e-5  # of x, by which that step may seem to grow
_RIPPLE = 0.01  # swing of x below which an oscillation that decays counts as rest


def settled_means(
    cells: Cells, drives: FloatArray, protocol: Protocol, *, longest: float, step_per_eps: float = 0.5
) -> tuple[FloatArray, FloatArray]:
    """Mean of the output over a whole cycle, or the settled output at rest, and the period.

    Parameters
    ----------
    cells
        Of n neurons.
    drives
        Shape (m, n).
    protocol
        Its initial state; times and sampling do not matter.
    longest
        Time (T) after which a neuron is given up.
    step_per_eps
        Largest step in units of eps; see `Direct`.

    Returns
    -------
    mean
        Shape (m, n); NaN for a neuron that neither repeats its cycle nor comes to rest in time, or diverges.
    period
        Shape (m, n), in T; 0 at rest, NaN like the mean. Beside the onset, oscillations that die out too slowly to be
        told from a cycle have theirs.
    """
    step = min(step_per_eps * cells.dynamics.eps, 0.02)
    if isinstance(cells.dynamics, TransconductorDynamics):
        return settled(cells.dynamics, drives, protocol, longest=longest, step=step)
    dynamics = coefficients_of(cells.dynamics, "means of settled neurons")
    q = dynamics.q
    offsets = (q[:, 0] + q[:, 3] * drives).astype(np.float32).ravel()
    explicit = explicit_is_stable(dynamics, drives, step).ravel()
    coefficients = scaled(dynamics)
    mean, period = np.full((2, drives.size), np.nan)
    # A small oscillation has the angular frequency 1/sqrt(eps), and dy/dt is its x.
    ripple = _RIPPLE * np.sqrt(dynamics.eps)
    for implicit, chosen in ((None, explicit), (True, ~explicit)):
        index = np.flatnonzero(chosen)
        if index.size:
            _follow(
                implicit, coefficients, offsets, index, np.float32(step), max(1, round(_LOOK / step)), longest,
                np.float32(protocol.x0), np.float32(protocol.y0), ripple, mean, period,
            )  # fmt: skip
    return mean.reshape(drives.shape), period.reshape(drives.shape)


@njit(fastmath=FAST, error_model="numpy")
def _advance(implicit, x, y, c, x_before, rate_before, rate, total, h, p):  # type: ignore[no-untyped-def]
    """One step h of every neuron of a block, with dy/dt before and after it; adds the trapezoid of x to `total`."""
    p0, p1, p2, p3, p4, q1, q2, q0 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
    for i in range(_BLOCK):
        xo = x[i]
        yo = y[i]
        if implicit is None:
            kx, ky, _m = kutta(xo, yo, h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i])
        else:
            kx, ky, lx, ly, _m = rosenbrock(xo, yo, h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i])
            # u += 3/2 k1 + 1/2 k2, as in `rosenbrock`
            kx = np.float32(1.5) * kx + np.float32(0.5) * lx
            # Kahan's compensated sum: far out y creeps by less than its own rounding.
            ky = np.float32(1.5) * ky + np.float32(0.5) * ly - c[i]
        xn = xo + kx
        yn = yo + ky
        if implicit is not None:
            c[i] = (yn - yo) - ky
        x[i] = xn
        y[i] = yn
        x_before[i] = xo
        total[i] += np.float32(0.5) * (xo + xn)
        rate_before[i] = q0[i] + q1[i] * xo + q2[i] * yo
        rate[i] = q0[i] + q1[i] * xn + q2[i] * yn


# Adding up in any order is what makes this a few vector instructions.
@njit(fastmath=True, error_model="numpy")
def _crossings(rate_before, rate):  # type: ignore[no-untyped-def]
    """Number of neurons of a block that crossed dy/dt = 0 in this step."""
    count = np.float32(0.0)
    for i in range(_BLOCK):
        crossed = (rate_before[i] < np.float32(0.0)) != (rate[i] < np.float32(0.0))
        count += np.float32(1.0) if crossed else np.float32(0.0)
    return count


# `implicit` is None or True: Numba compiles the two cases apart.
@compiled(parallel=True, fastmath=FAST, error_model="numpy")
def _follow(  # type: ignore[no-untyped-def]
    implicit, coefficients, offsets, index, h, watch, longest, x0, y0, ripple, mean, period
):
    """Follow the neurons `index` by steps h until each has closed its orbit or rests; fills `mean` and `period`.

    `watch` is the number of steps between two looks at what does not oscillate; other names as in `settled_means`.
    """
    n_neurons = coefficients.shape[1]
    n_blocks = (index.size + _BLOCK - 1) // _BLOCK
    for block in prange(n_blocks):
        start = block * _BLOCK
        n = min(_BLOCK, index.size - start)
        p = np.zeros((8, _BLOCK), dtype=np.float32)
        x = np.full(_BLOCK, x0, dtype=np.float32)
        y = np.full(_BLOCK, y0, dtype=np.float32)
        c = np.zeros(_BLOCK, dtype=np.float32)  # what rounding added to y
        x_before = np.zeros(_BLOCK, dtype=np.float32)  # one step ago
        rate_before = np.zeros(_BLOCK, dtype=np.float32)  # dy/dt then, and now
        rate = np.zeros(_BLOCK, dtype=np.float32)
        total = np.zeros(_BLOCK, dtype=np.float32)  # sum of x since the last look or crossing, trapezoids
        area = np.zeros(_BLOCK)  # the same from the last crossing to the last look
        crossed = np.full(_BLOCK, -1.0)  # time of the last upward crossing, in steps
        bottom = np.zeros(_BLOCK)  # y at the last upward crossing, a minimum
        top = np.zeros(_BLOCK)  # y at the last downward crossing
        seen = np.full(_BLOCK, np.inf)  # x at the last look
        before = np.zeros(_BLOCK)  # Newton's step there
        done = np.zeros(_BLOCK, dtype=np.bool_)
        for i in range(_BLOCK):
            flat = index[start + min(i, n - 1)]
            for k in range(7):
                p[k, i] = coefficients[k, flat % n_neurons]
            p[7, i] = offsets[flat]
        left = n
        time = 0
        while left > 0 and time * h < longest:
            for _ in range(watch):
                _advance(implicit, x, y, c, x_before, rate_before, rate, total, h, p)
                time += 1
                if _crossings(rate_before, rate) == 0.0:
                    continue
                for i in range(n):
                    vo, vn = rate_before[i], rate[i]
                    if done[i] or (vo < 0.0) == (vn < 0.0):
                        continue
                    if vn < 0.0:
                        top[i] = y[i]
                        continue
                    # An upward crossing: dy/dt taken as linear in the step is 0 at this share of it. There y is lowest,
                    # the integral of that line below its value at the end.
                    place = vo / (vo - vn)
                    at = x_before[i] + place * (x[i] - x_before[i])
                    lowest = y[i] - np.float32(0.5) * vn * (1.0 - place) * h
                    # What this step holds after the crossing belongs to the cycle that begins.
                    late = (1.0 - place) * 0.5 * (at + x[i])
                    now = time - 1 + place
                    # <x> = integral of x over the cycle, divided by its period, both in steps
                    if crossed[i] >= 0.0:
                        swing = top[i] - lowest
                        if abs(lowest - bottom[i]) < max(_CLOSED[0], _CLOSED[1] * swing):
                            flat = index[start + i]
                            mean[flat] = (area[i] + total[i] - late) / (now - crossed[i])
                            period[flat] = 0.0 if swing < ripple else (now - crossed[i]) * h
                            done[i] = True
                            left -= 1
                    crossed[i] = now
                    bottom[i] = lowest
                    area[i] = late
                    total[i] = np.float32(0.0)
            for i in range(n):
                area[i] += total[i]
                total[i] = np.float32(0.0)
                if done[i]:
                    continue
                if not abs(x[i]) < 1e4:
                    done[i] = True
                    left -= 1
                    continue
                p0, p1, p2, p3, p4, q1, q2 = p[0, i], p[1, i], p[2, i], p[3, i], p[4, i], p[5, i], p[6, i]
                fast, _ = rates(x[i], y[i], p0, p1, p2, p3, p4, p[7, i], q1, q2)
                slope = fast_slope(np.float64(x[i]), np.float64(p1), np.float64(p2), np.float64(p3))
                rest = (p4 * rate[i] - q2 * fast) / (slope * q2 - p4 * q1)
                # Newton's step in x to the fixed point: J (rest, .) = -(dx/dt, dy/dt), by Cramer's rule
                near = abs(rest) < _APPROACH_LEFT and abs(x[i] - seen[i]) < _APPROACH_LEFT
                nearer = abs(rest) < abs(before[i]) + _ROUNDING
                seen[i], before[i] = x[i], rest
                # A cycle may come near the fixed point, too, but it has crossed the line then.
                if near and nearer and time - crossed[i] >= 2 * watch:
                    flat = index[start + i]
                    mean[flat] = x[i] + rest
                    period[flat] = 0.0
                    done[i] = True
                    left -= 1
