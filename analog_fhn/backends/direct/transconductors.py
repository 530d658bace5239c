"""The compiled integrator of neurons that are given by curves (`analog_fhn.transconductors`), in double precision.

Neurons that share their curves are integrated one after another, so that these stay in the first-level cache. All begin
with Ralston's explicit method of order 3; those whose fast rate turns out to be too large for it on their way, or that
diverge, are integrated again by the L-stable Rosenbrock method of order 2 (`steps`). Neurons with and without a lag are
compiled apart: None in place of the lags' rates leaves the states w and u out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from analog_fhn import transconductors
from analog_fhn._support.compiled import compiled
from analog_fhn.backends.direct.steps import FAST
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.transconductors import TransconductorDynamics

_LANES = 8  # neurons stepped together: their arithmetic overlaps
_STABLE_PRODUCT = 2.3  # step times fast rate; the explicit method diverges at 2.51
_FAR = 10.0  # widths of the sweep that no neuron leaves it by, unless a step was too long
_GAMMA = 1.0 - np.sqrt(0.5)  # makes ROS2 L-stable
_LOOK = 1.0  # T between two looks at a neuron that does not oscillate
_CLOSED = (1e-5, 1e-4)  # distance in y, and its share of the swing, below which an orbit counts as closed
_APPROACH_LEFT = 2e-3  # of x, from where Newton's method leads to rest
_ROUNDING = 1e-12  # of x, by which its step may seem to grow
_RIPPLE = 0.01  # swing of x below which an oscillation that decays counts as rest
_F, _G, _O = 0, 4, 8  # first coefficient of these curves in a row of `Curves.of_x`


@dataclass(frozen=True)
class Curves:
    """The curves of n neurons as the kernels take them.

    Parameters
    ----------
    of_x
        Coefficients of f, g and o side by side, shape (n, cells, 12).
    of_y
        Those of h, shape (n, cells, 4).
    grids
        First argument and cells per unit, of x and of y; shape (n, 4).
    bounds
        Lowest and highest x, and y, that count as finite; shape (n, 4).
    lag_rates
        One over the lags, shape (n,); None: there are none.
    """

    of_x: FloatArray
    of_y: FloatArray
    grids: FloatArray
    bounds: FloatArray
    lag_rates: FloatArray | None

    @classmethod
    def of(cls, dynamics: TransconductorDynamics) -> Curves:
        """Those of these equations."""
        x, y = dynamics.fast, dynamics.coupling
        of_x = np.concatenate([c.coefficients for c in (x, dynamics.slow, dynamics.copy)], axis=2)
        width_x, width_y = _FAR * (x.high - x.low), _FAR * (y.high - y.low)
        return cls(
            of_x,
            np.ascontiguousarray(y.coefficients),
            np.stack([x.low, 1.0 / x.step, y.low, 1.0 / y.step], axis=1),
            np.stack([x.low - width_x, x.high + width_x, y.low - width_y, y.high + width_y], axis=1),
            None if dynamics.lags is None else 1.0 / dynamics.lags,
        )


def blocks(index: NDArray[np.intp], n_neurons: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same runs with those of one neuron together, and where blocks of a few runs of one neuron begin and end.

    Shapes (m,) and (n_blocks + 1,).
    """
    index = index[np.argsort(index % n_neurons, kind="stable")]
    counts = np.bincount(index % n_neurons, minlength=n_neurons)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    starts = [np.arange(begin, begin + count, _LANES) for begin, count in zip(first, counts, strict=True)]
    return index, np.concatenate([*starts, [index.size]]).astype(np.intp)


def window_responses(
    dynamics: TransconductorDynamics, drives: FloatArray, protocol: Protocol, n_steps: int, samples: bool
) -> tuple[FloatArray, NDArray[np.float32]]:
    """Means of the output over the control window, and its samples.

    Parameters
    ----------
    drives
        Shape (m, n).
    n_steps
        Steps per sampling interval.

    Returns
    -------
    means
        Shape (m n,), NaN where a neuron diverges.
    samples
        Shape (n_samples, m n); (0, m n) if not asked for.
    """
    curves, size = Curves.of(dynamics), drives.size
    constant = (dynamics.drive_gain * drives + dynamics.bias).ravel()
    mean, stiff = np.full(size, np.nan), np.zeros(size, dtype=np.bool_)
    traces = np.empty((protocol.n_samples if samples else 0, size), dtype=np.float32)

    def run(implicit: bool | None, index: NDArray[np.intp], steps: int) -> None:
        _integrate(
            implicit, curves.lag_rates, curves.of_x, curves.of_y, curves.grids, curves.bounds, constant,
            *blocks(index, len(dynamics)), protocol.interval, steps, protocol.n_settle, protocol.n_samples,
            protocol.x0, protocol.y0, mean, stiff, traces,
        )  # fmt: skip

    run(None, np.arange(size), n_steps)
    for shorter in (1, 4, 16, 64):
        again = np.flatnonzero(stiff | ~np.isfinite(mean))
        if not again.size:
            break
        run(True, again, shorter * n_steps)
    return mean, traces


cubic = njit(fastmath=FAST)(transconductors.cubic)
cubic_slope = njit(fastmath=FAST)(transconductors.cubic_slope)


@njit(fastmath=FAST)
def place_in(argument, low, per_unit, last):  # type: ignore[no-untyped-def]
    """Cell of an argument, and the place in it; the first cell where it is no number."""
    place = (argument - low) * per_unit + 1.0
    cell = 0
    if place > 0.0:
        cell = last if place >= last else int(place)
    return cell, place - cell


@njit(fastmath=FAST)
def value(row, first, t):  # type: ignore[no-untyped-def]
    """Value of the curve whose coefficients in a cell are row[first], ..., row[first + 3]."""
    return cubic(row[first], row[first + 1], row[first + 2], row[first + 3], t)


@njit(fastmath=FAST)
def slope(row, first, t):  # type: ignore[no-untyped-def]
    """Its derivative, per cell."""
    return cubic_slope(row[first + 1], row[first + 2], row[first + 3], t)


@njit(fastmath=FAST)
def rates(x, y, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """dx/dt and dy/dt of a neuron with the curves `of_x` (cells, 12) and `of_y` (cells, 4)."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    j, t = place_in(y, grid[2], grid[3], of_y.shape[0] - 1)
    return value(of_x[i], _F, s) + value(of_y[j], 0, t), value(of_x[i], _G, s) + constant


@njit(fastmath=FAST)
def rates_and_slopes(x, y, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """The same, and df/dx, dh/dy, dg/dx."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    j, t = place_in(y, grid[2], grid[3], of_y.shape[0] - 1)
    dx, dy = value(of_x[i], _F, s) + value(of_y[j], 0, t), value(of_x[i], _G, s) + constant
    return dx, dy, grid[1] * slope(of_x[i], _F, s), grid[3] * slope(of_y[j], 0, t), grid[1] * slope(of_x[i], _G, s)


@njit(fastmath=FAST)
def output(x, of_x, grid):  # type: ignore[no-untyped-def]
    """The output u."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    return value(of_x[i], _O, s)


@njit(fastmath=FAST)
def value_of_g(x, of_x, grid):  # type: ignore[no-untyped-def]
    """g."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    return value(of_x[i], _G, s)


@njit(fastmath=FAST)
def output_rate(x, y, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """du/dt."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    dx, _ = rates(x, y, 0.0, of_x, of_y, grid)
    return grid[1] * slope(of_x[i], _O, s) * dx


@njit(fastmath=FAST)
def kutta(x, y, h, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """State a step h later by Ralston's method (nodes 0, 1/2, 3/4, weights 2/9, 3/9, 4/9), and df/dx before."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    fast = grid[1] * slope(of_x[i], _F, s)
    k1, l1 = rates(x, y, constant, of_x, of_y, grid)
    k2, l2 = rates(x + 0.5 * h * k1, y + 0.5 * h * l1, constant, of_x, of_y, grid)
    k3, l3 = rates(x + 0.75 * h * k2, y + 0.75 * h * l2, constant, of_x, of_y, grid)
    ninth = h * (1.0 / 9.0)
    return x + ninth * (2.0 * k1 + 3.0 * k2 + 4.0 * k3), y + ninth * (2.0 * l1 + 3.0 * l2 + 4.0 * l3), fast


@njit(fastmath=FAST)
def rosenbrock(x, y, h, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """The same by ROS2."""
    # (1 - gamma h J) k1 = h f(u);  (1 - gamma h J) k2 = h f(u + k1) - 2 k1;  u += 3/2 k1 + 1/2 k2
    dx, dy, fast, coupling, slow = rates_and_slopes(x, y, constant, of_x, of_y, grid)
    gamma = h * _GAMMA
    a11, a12, a21 = 1.0 - gamma * fast, -gamma * coupling, -gamma * slow
    inverse = 1.0 / (a11 - a12 * a21)
    r, q = h * dx, h * dy
    kx, ky = (r - a12 * q) * inverse, (a11 * q - a21 * r) * inverse
    dx, dy = rates(x + kx, y + ky, constant, of_x, of_y, grid)
    r, q = h * dx - 2.0 * kx, h * dy - 2.0 * ky
    lx, ly = (r - a12 * q) * inverse, (a11 * q - a21 * r) * inverse
    return x + 1.5 * kx + 0.5 * lx, y + 1.5 * ky + 0.5 * ly, fast


@njit(fastmath=FAST)
def lagging_rates(x, y, w, u, lag_rate, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """dx/dt, dy/dt, dw/dt and du/dt of a neuron with a lag."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    j, t = place_in(y, grid[2], grid[3], of_y.shape[0] - 1)
    dw, du = lag_rate * (value(of_x[i], _G, s) - w), lag_rate * (value(of_x[i], _O, s) - u)
    return value(of_x[i], _F, s) + value(of_y[j], 0, t), w + constant, dw, du


@njit(fastmath=FAST)
def lagging_kutta(x, y, w, u, h, lag_rate, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """`kutta` with a lag."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    fast = grid[1] * slope(of_x[i], _F, s)
    k1, l1, m1, n1 = lagging_rates(x, y, w, u, lag_rate, constant, of_x, of_y, grid)
    a = 0.5 * h
    k2, l2, m2, n2 = lagging_rates(x + a * k1, y + a * l1, w + a * m1, u + a * n1, lag_rate, constant, of_x, of_y, grid)
    a = 0.75 * h
    k3, l3, m3, n3 = lagging_rates(x + a * k2, y + a * l2, w + a * m2, u + a * n2, lag_rate, constant, of_x, of_y, grid)
    a = h * (1.0 / 9.0)
    x, y = x + a * (2.0 * k1 + 3.0 * k2 + 4.0 * k3), y + a * (2.0 * l1 + 3.0 * l2 + 4.0 * l3)
    return x, y, w + a * (2.0 * m1 + 3.0 * m2 + 4.0 * m3), u + a * (2.0 * n1 + 3.0 * n2 + 4.0 * n3), fast


@njit(fastmath=FAST)
def lagging_solution(a, b, c, d, gamma, lag, fast, coupling, slow, copied):  # type: ignore[no-untyped-def]
    """What ``1 - gamma J`` takes to (a, b, c, d), by elimination; gamma has the step in it, lag is gamma over tau."""
    passed = 1.0 / (1.0 + lag)
    right = a + gamma * coupling * (b + gamma * passed * c)
    kx = right / (1.0 - gamma * fast - gamma * gamma * coupling * slow * lag * passed)
    kw = passed * (c + lag * slow * kx)
    return kx, b + gamma * kw, kw, passed * (d + lag * copied * kx)


@njit(fastmath=FAST)
def lagging_rosenbrock(x, y, w, u, h, lag_rate, constant, of_x, of_y, grid):  # type: ignore[no-untyped-def]
    """`rosenbrock` with a lag."""
    i, s = place_in(x, grid[0], grid[1], of_x.shape[0] - 1)
    _, _, fast, coupling, slow = rates_and_slopes(x, y, constant, of_x, of_y, grid)
    copied, gamma = grid[1] * slope(of_x[i], _O, s), h * _GAMMA
    lag = gamma * lag_rate
    dx, dy, dw, du = lagging_rates(x, y, w, u, lag_rate, constant, of_x, of_y, grid)
    kx, ky, kw, ku = lagging_solution(h * dx, h * dy, h * dw, h * du, gamma, lag, fast, coupling, slow, copied)
    dx, dy, dw, du = lagging_rates(x + kx, y + ky, w + kw, u + ku, lag_rate, constant, of_x, of_y, grid)
    dx, dy, dw, du = h * dx - 2.0 * kx, h * dy - 2.0 * ky, h * dw - 2.0 * kw, h * du - 2.0 * ku
    lx, ly, lw, lu = lagging_solution(dx, dy, dw, du, gamma, lag, fast, coupling, slow, copied)
    return x + 1.5 * kx + 0.5 * lx, y + 1.5 * ky + 0.5 * ly, w + 1.5 * kw + 0.5 * lw, u + 1.5 * ku + 0.5 * lu, fast


# `implicit` is None or True, `lag_rates` None or an array: Numba compiles these cases apart.
@compiled(parallel=True, fastmath=FAST, error_model="numpy")
def _integrate(  # type: ignore[no-untyped-def]
    implicit, lag_rates, of_x, of_y, grids, bounds, constant, index, blocks, interval, n_steps, n_settle, n_samples,
    x0, y0, mean, stiff, traces,
):  # fmt: skip
    """Integrate the runs `index` over all sampling intervals; fills `mean`, `stiff` and `traces`.

    The mean is NaN where x or y leaves `bounds`. The integral of the output is by trapezoids with what Euler and
    Maclaurin add to them at both ends of the window, h^2/12 of the difference of its derivatives: of order 4.
    """
    n_neurons = len(of_x)
    h = interval / n_steps
    for block in prange(blocks.size - 1):
        start, n = blocks[block], blocks[block + 1] - blocks[block]
        k = index[start] % n_neurons
        curves_x, curves_y, grid, bound = of_x[k], of_y[k], grids[k], bounds[k]
        x, y, total, largest = np.full(_LANES, x0), np.full(_LANES, y0), np.zeros(_LANES), np.zeros(_LANES)
        drive, within = np.zeros(_LANES), np.ones(_LANES, dtype=np.bool_)
        for i in range(n):
            drive[i] = constant[index[start + i]]
        if lag_rates is not None:
            lag_rate = lag_rates[k]
            w, u = np.full(_LANES, value_of_g(x0, curves_x, grid)), np.full(_LANES, output(x0, curves_x, grid))
            largest[:] = lag_rate
        for sample in range(n_settle + n_samples):
            reads = sample >= n_settle
            if sample == n_settle:
                for i in range(n):
                    if lag_rates is None:
                        end = h / 12.0 * output_rate(x[i], y[i], curves_x, curves_y, grid)
                        total[i] = 0.5 * output(x[i], curves_x, grid) + end
                    else:
                        total[i] = 0.5 * u[i] + h / 12.0 * lag_rate * (output(x[i], curves_x, grid) - u[i])
            for _ in range(n_steps):
                for i in range(n):
                    if lag_rates is None:
                        if implicit is None:
                            x[i], y[i], fast = kutta(x[i], y[i], h, drive[i], curves_x, curves_y, grid)
                        else:
                            x[i], y[i], fast = rosenbrock(x[i], y[i], h, drive[i], curves_x, curves_y, grid)
                    elif implicit is None:
                        x[i], y[i], w[i], u[i], fast = lagging_kutta(
                            x[i], y[i], w[i], u[i], h, lag_rate, drive[i], curves_x, curves_y, grid
                        )
                    else:
                        x[i], y[i], w[i], u[i], fast = lagging_rosenbrock(
                            x[i], y[i], w[i], u[i], h, lag_rate, drive[i], curves_x, curves_y, grid
                        )
                    largest[i] = max(largest[i], abs(fast))
                    if reads:
                        if lag_rates is None:
                            total[i] += output(x[i], curves_x, grid)
                        else:
                            total[i] += u[i]
            for i in range(n):
                within[i] &= bound[0] < x[i] and x[i] < bound[1] and bound[2] < y[i] and y[i] < bound[3]
                if traces.shape[0] > 0 and reads:
                    if lag_rates is None:
                        traces[sample - n_settle, index[start + i]] = output(x[i], curves_x, grid)
                    else:
                        traces[sample - n_settle, index[start + i]] = u[i]
        for i in range(n):
            if lag_rates is None:
                end = h / 12.0 * output_rate(x[i], y[i], curves_x, curves_y, grid)
                whole = total[i] - 0.5 * output(x[i], curves_x, grid) - end
            else:
                whole = total[i] - 0.5 * u[i] - h / 12.0 * lag_rate * (output(x[i], curves_x, grid) - u[i])
            mean[index[start + i]] = whole / (n_samples * n_steps) if within[i] else np.nan
            stiff[index[start + i]] = implicit is None and h * largest[i] > _STABLE_PRODUCT


def settled(
    dynamics: TransconductorDynamics, drives: FloatArray, protocol: Protocol, *, longest: float, step: float
) -> tuple[FloatArray, FloatArray]:
    """Mean of the output over a whole cycle, or at rest, and the period (T, 0 at rest), each of the shape of `drives`.

    As `analog_fhn.backends.direct.settled` has it for polynomials; NaN for neurons that do not settle within `longest`.
    """
    curves = Curves.of(dynamics)
    constant = dynamics.drive_gain * drives + dynamics.bias
    mean, period = np.full((2, *drives.shape), np.nan)
    _follow(
        curves.lag_rates, curves.of_x, curves.of_y, curves.grids, curves.bounds, constant, step,
        max(1, round(_LOOK / step)), longest, protocol.x0, protocol.y0, _RIPPLE * np.sqrt(dynamics.eps), mean, period,
    )  # fmt: skip
    return mean, period


@compiled(parallel=True, fastmath=FAST, error_model="numpy")
def _follow(  # type: ignore[no-untyped-def]
    lag_rates, of_x, of_y, grids, bounds, constant, h, watch, longest, x0, y0, ripple, mean, period
):
    """Follow every neuron until it has closed its orbit or rests; fills `mean` and `period` (m, n)."""
    m, n = constant.shape
    for run in prange(m * n):
        row, k = run // n, run % n
        one = (of_x[k], of_y[k], grids[k])
        lag_rate = None if lag_rates is None else lag_rates[k]
        average, length, stiff = _one(
            None, lag_rate, constant[row, k], one, bounds[k], h, watch, longest, x0, y0, ripple
        )
        if stiff or not np.isfinite(average):
            average, length, _ = _one(
                True, lag_rate, constant[row, k], one, bounds[k], h, watch, longest, x0, y0, ripple
            )
        mean[row, k], period[row, k] = average, length


@njit(fastmath=FAST, error_model="numpy")
def _one(implicit, lag_rate, constant, curves, bound, h, watch, longest, x0, y0, ripple):  # type: ignore[no-untyped-def]
    """Mean, period, and whether the explicit method is unstable on the way; NaN where the neuron does not settle."""
    of_x, of_y, grid = curves
    x, y, u = x0, y0, output(x0, of_x, grid)
    rate = value_of_g(x, of_x, grid) + constant
    if lag_rate is not None:
        w = rate - constant
        if implicit is None and h * lag_rate > _STABLE_PRODUCT:
            return np.nan, np.nan, True
    area, crossed = 0.0, -1.0  # integral of u since the last upward crossing, and its time, in steps
    bottom, top = 0.0, 0.0  # y at the last upward and downward crossing of dy/dt = 0: its minimum and maximum
    seen, before = np.inf, 0.0  # x at the last look, and Newton's step there
    time = 0
    while time * h < longest:
        for _ in range(watch):
            x_before, u_before, rate_before = x, u, rate
            if implicit is None:
                if lag_rate is None:
                    x, y, fast = kutta(x, y, h, constant, of_x, of_y, grid)
                else:
                    x, y, w, u, fast = lagging_kutta(x, y, w, u, h, lag_rate, constant, of_x, of_y, grid)
                if h * abs(fast) > _STABLE_PRODUCT:
                    return np.nan, np.nan, True
            elif lag_rate is None:
                x, y, fast = rosenbrock(x, y, h, constant, of_x, of_y, grid)
            else:
                x, y, w, u, fast = lagging_rosenbrock(x, y, w, u, h, lag_rate, constant, of_x, of_y, grid)
            time += 1
            if lag_rate is None:
                u, rate = output(x, of_x, grid), value_of_g(x, of_x, grid) + constant
            else:
                rate = w + constant
            area += 0.5 * (u_before + u)
            if (rate_before < 0.0) == (rate < 0.0):
                continue
            if rate < 0.0:
                top = y
                continue
            # dy/dt taken as linear in the step is 0 at this share of it; there y is lowest.
            place = rate_before / (rate_before - rate)
            lowest = y - 0.5 * rate * (1.0 - place) * h
            # What this step holds after the crossing belongs to the cycle that begins.
            if lag_rate is None:
                late = (1.0 - place) * 0.5 * (output(x_before + place * (x - x_before), of_x, grid) + u)
            else:
                late = (1.0 - place) * 0.5 * (u_before + place * (u - u_before) + u)
            now = time - 1 + place
            if crossed >= 0.0:
                swing = top - lowest
                if abs(lowest - bottom) < max(_CLOSED[0], _CLOSED[1] * swing):
                    return (area - late) / (now - crossed), (0.0 if swing < ripple else (now - crossed) * h), False
            crossed, bottom, area = now, lowest, late
        if not (bound[0] < x and x < bound[1] and bound[2] < y and y < bound[3]):
            return np.nan, np.nan, False
        # Newton's step to the rest point, whose x makes g + constant 0: dy/dt, lag or not, depends on x alone there.
        _, slow, _, _, slow_slope = rates_and_slopes(x, y, constant, of_x, of_y, grid)
        left = -slow / slow_slope
        near = abs(left) < _APPROACH_LEFT and abs(x - seen) < _APPROACH_LEFT
        nearer = abs(left) < abs(before) + _ROUNDING
        seen, before = x, left
        # A cycle may come near the rest point, too, but it has crossed the line then.
        if near and nearer and time - crossed >= 2 * watch:
            for _ in range(3):
                _, slow, _, _, slow_slope = rates_and_slopes(x, y, constant, of_x, of_y, grid)
                x -= slow / slow_slope
            return output(x, of_x, grid), 0.0, False
    return np.nan, np.nan, False
