"""Neurons whose equations are measured curves: transconductors, capacitors and a copy of one of the currents.

Two transconductors that are driven by x, and one that is driven by y, charge two capacitors; the output is a copy of
the current that charges the second one::

    dx/dt = f(x) + h(y),        dy/dt = g(x) + d I + b,        u = o(x)

f, h, g and o are what a circuit simulator's DC sweeps, or a source meter, say of them. Since <dy/dt> = 0, <g> is
-(d I + b) whatever the curves are, and so is <u> as far as o is a copy of g.

The mirrors through which g and o pass may lag behind x, both by the same time constant tau::

    dx/dt = f(x) + h(y),   tau dw/dt = g(x) - w,   dy/dt = w + d I + b,   tau du/dt = o(x) - u

A low-pass leaves averages as they are, so that <u> is what it was; rest points are, too. Oscillations become slower,
and u is smoother. f holds what passes into x through mirrors of its own, which are faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from analog_fhn.neuron import Dynamics, FloatArray, Flow

_FEWEST_POINTS = 4  # that a cubic spline passes through
_PER_CELL = 8  # points of a cell at which the sign of a slope is looked up
_COPY_POINTS = 129  # at which the output is compared with the curve that it copies
_CYCLES = 9  # drives between the two onsets at which the cycle's swing of y is measured
_CYCLE_SETTLE, _CYCLE_WINDOW = 6.0, 16.0  # T of these runs; periods are 2 to 4 T
_CYCLE_STEP = 0.5  # of eps, by the classical Runge-Kutta method of order 4
_STABLE_PRODUCT = 2.0  # its step times the fast rate; it diverges at 2.78


def cubic(c0: Any, c1: Any, c2: Any, c3: Any, t: Any) -> Any:
    """The one statement of a curve within a cell, for numbers, arrays and compiled loops: t is the place in the cell.

    t runs from 0 to 1; in the straight ends beyond the grid it is below 1 in the first cell, above 0 in the last.
    """
    return c0 + t * (c1 + t * (c2 + t * c3))


def cubic_slope(c1: Any, c2: Any, c3: Any, t: Any) -> Any:
    """Derivative of `cubic` with respect to t."""
    return c1 + t * ((c2 + c2) + t * (c3 + c3 + c3))


@dataclass(frozen=True, eq=False)
class Characteristic:
    """One curve per neuron: a cubic spline on an even grid, which goes on as a straight line beyond both ends.

    Value, slope and curvature are continuous, but for the curvature at both ends.

    Parameters
    ----------
    low, step
        First argument of each neuron's grid, and distance of two; shape (n,).
    coefficients
        Shape (n, n_cells + 2, 4): ``c0 + t (c1 + t (c2 + t c3))`` in each cell, t the place in it; the first and the
        last are the straight lines beyond the grid.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """

    low: FloatArray
    step: FloatArray
    coefficients: FloatArray

    def __post_init__(self) -> None:
        shape = self.coefficients.shape
        if len(shape) != 3 or shape[1] < 3 or shape[2] != 4 or {self.low.shape, self.step.shape} != {shape[:1]}:
            raise ValueError(
                f"a curve needs coefficients (n, n_cells + 2, 4), low and step (n,), got {shape}, {self.low.shape}, "
                f"{self.step.shape}"
            )

    @classmethod
    def through(cls, low: ArrayLike, high: ArrayLike, values: ArrayLike) -> Characteristic:
        """Curves through values at even arguments.

        Parameters
        ----------
        low, high
            First and last argument: numbers, or of shape (n,).
        values
            Shape (n, n_points), at least 4 points each.

        Raises
        ------
        ValueError
            If the shapes do not fit, or high is not above low.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] < _FEWEST_POINTS:
            raise ValueError(f"values have shape {values.shape}; expected (n, {_FEWEST_POINTS} or more)")
        n, cells = values.shape[0], values.shape[1] - 1
        first, last = (np.array(np.broadcast_to(np.asarray(v, dtype=np.float64), (n,))) for v in (low, high))
        if not np.all(last > first):
            raise ValueError(f"a curve from {first} to {last}; expected high above low")
        step = (last - first) / cells
        if np.isfinite(values).all():
            inner = CubicSpline(np.arange(cells + 1.0), values, axis=1).c.transpose(2, 1, 0)[:, :, ::-1]
        else:  # said of the finished chip, where the parts are known that are to blame
            inner = np.full((n, cells, 4), np.nan)
        coefficients = np.zeros((n, cells + 2, 4))
        coefficients[:, 1:-1] = inner
        coefficients[:, 0, 1] = inner[:, 0, 1]
        coefficients[:, 0, 0] = inner[:, 0, 0] - inner[:, 0, 1]
        coefficients[:, -1, 1] = inner[:, -1] @ np.array([0.0, 1.0, 2.0, 3.0])
        coefficients[:, -1, 0] = inner[:, -1].sum(axis=1)
        return cls(first, step, coefficients)

    def times(self, factor: FloatArray) -> Characteristic:
        """The curves times a number of each neuron, shape (n,)."""
        return Characteristic(self.low, self.step, self.coefficients * factor[:, None, None])

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Characteristic:
        return Characteristic(self.low[index], self.step[index], self.coefficients[index])

    @property
    def n_cells(self) -> int:
        """Cells of the grid, the straight ends not counted."""
        return int(self.coefficients.shape[1] - 2)

    @property
    def high(self) -> FloatArray:
        """Last argument of each neuron's grid, shape (n,)."""
        return np.asarray(self.low + self.n_cells * self.step)

    def __call__(self, argument: ArrayLike) -> FloatArray:
        """Values at arguments (..., n)."""
        c, t = self._located(argument)
        return np.asarray(cubic(c[..., 0], c[..., 1], c[..., 2], c[..., 3], t))

    def slope(self, argument: ArrayLike) -> FloatArray:
        """Derivatives at arguments (..., n)."""
        c, t = self._located(argument)
        return np.asarray(cubic_slope(c[..., 1], c[..., 2], c[..., 3], t) / self.step)

    def _located(self, argument: ArrayLike) -> tuple[FloatArray, FloatArray]:
        place = (np.asarray(argument, dtype=np.float64) - self.low) / self.step + 1.0
        cell = np.nan_to_num(np.clip(place, 0.0, self.n_cells + 1.0)).astype(np.intp)
        return self.coefficients[np.arange(len(self)), cell], place - cell

    def alone(self) -> tuple[Callable[[float], float], Callable[[float], float]]:
        """Value and derivative of one neuron's curve, as functions of a number.

        Raises
        ------
        ValueError
            If these are the curves of more neurons than one.
        """
        if len(self) != 1:
            raise ValueError(f"expected one neuron, got {len(self)}")
        rows = self.coefficients[0].tolist()  # Python's numbers are much faster here
        low, step, last = float(self.low[0]), float(self.step[0]), float(self.n_cells + 1)

        def value(argument: float) -> float:
            place = (argument - low) / step + 1.0
            cell = int(min(max(0.0, place), last))
            c0, c1, c2, c3 = rows[cell]
            return float(cubic(c0, c1, c2, c3, place - cell))

        def slope(argument: float) -> float:
            place = (argument - low) / step + 1.0
            cell = int(min(max(0.0, place), last))
            _, c1, c2, c3 = rows[cell]
            return float(cubic_slope(c1, c2, c3, place - cell) / step)

        return value, slope

    def inverse(self, values: ArrayLike) -> FloatArray:
        """Arguments at which the curves take `values` (..., n).

        The lowest such argument within the grid, where there are several; infinite where even the straight end, being
        level, does not take the value.
        """
        values = np.asarray(values, dtype=np.float64)
        result, n = np.empty(values.shape), self.n_cells
        for k, (low, step, rows) in enumerate(zip(self.low, self.step, self.coefficients, strict=True)):
            knots = np.append(rows[1:-1, 0], rows[-1, 0])
            sign = 1.0 if knots[-1] >= knots[0] else -1.0
            wanted = values[..., k]
            # Of a curve that turns back, what rises for the first time counts.
            cell = np.searchsorted(np.maximum.accumulate(sign * knots), sign * wanted)
            c0, c1, c2, c3 = np.moveaxis(rows[np.minimum(cell, n + 1)], -1, 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                straight = np.where(wanted == c0 + c1 * (cell == 0), cell == 0, (wanted - c0) / c1)
                first, last = np.zeros(wanted.shape), np.ones(wanted.shape)
                t = np.full(wanted.shape, 0.5)
                for _ in range(60):  # Newton's method within a bracket that shrinks
                    error = sign * (cubic(c0, c1, c2, c3, t) - wanted)
                    first, last = np.where(error < 0.0, t, first), np.where(error < 0.0, last, t)
                    step_to = t - error / (sign * cubic_slope(c1, c2, c3, t))
                    inside = (step_to > first) & (step_to < last)
                    following = np.where(inside, step_to, 0.5 * (first + last))
                    if np.all(np.abs(following - t) < 1e-14):
                        break
                    t = following
            t = np.where((cell == 0) | (cell > n), straight, t)
            result[..., k] = low + (np.minimum(cell, n + 1) + t - 1.0) * step
        return result

    @property
    def slopes(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest derivative within the grid, each of shape (n,)."""
        c1, c2, c3 = (self.coefficients[:, 1:-1, k] for k in (1, 2, 3))
        with np.errstate(divide="ignore", invalid="ignore"):
            turning = np.where(c3 != 0.0, -c2 / (3.0 * c3), 0.0)
        turning = np.clip(turning, 0.0, 1.0)
        every = np.concatenate([cubic_slope(c1, c2, c3, t) for t in (0.0, turning, 1.0)], axis=1) / self.step[:, None]
        return every.min(axis=1), every.max(axis=1)

    @property
    def largest_slope(self) -> FloatArray:
        """Highest derivative within the grid, shape (n,)."""
        return self.slopes[1]

    @cached_property
    def folds(self) -> tuple[FloatArray, FloatArray]:
        """Ends of the stretch around the steepest rise in which the curve rises, each of shape (n,)."""
        n_points = self.n_cells * _PER_CELL + 1
        x = self.low[:, None] + self.step[:, None] * (np.arange(n_points) / _PER_CELL)
        slope = self.slope(x.T).T
        ends = np.empty((2, len(self)))
        for k, (at, rise) in enumerate(zip(x, slope, strict=True)):
            top = int(np.argmax(rise))
            for end, direction in ((0, -1), (1, 1)):
                i = top
                while 0 <= i + direction < n_points and rise[i] > 0.0 and rise[i + direction] > 0.0:
                    i += direction
                beyond = i + direction
                ends[end, k] = at[i]
                if 0 <= beyond < n_points and rise[i] > 0.0:
                    ends[end, k] += (at[beyond] - at[i]) * rise[i] / (rise[i] - rise[beyond])
        return ends[0], ends[1]


@dataclass(frozen=True, eq=False)
class TransconductorDynamics(Dynamics):
    """Equations of n neurons of transconductors; see the module. Everything is dimensionless.

    ``dx/dt = f(x) + h(y)``,  ``dy/dt = g(x) + d I + b``,  ``u = o(x)``, time in units of T, x and y in those of
    `Protocol`. As in the FHN equations g and o rise with x, h falls with y, and f rises in the middle alone. With a lag
    g and u are low-passed; they begin settled, at g and o of the first x.

    Parameters
    ----------
    fast, coupling
        f and h (1/T).
    slow
        g (1/T).
    copy
        o, nearly a multiple of g. f, g and o come from one sweep of x: they have one grid.
    drive_gain, bias
        d and b, shape (n,).
    eps
        Nominal ratio of the time scales of x and y, which step sizes are measured in: one over the largest slope of the
        nominal neuron's f, which for a cubic is the eps of `FHN`.
    lag
        tau (T), a number or of shape (n,): above 0 for all neurons, or 0 for all, which then have two states.

    Raises
    ------
    ValueError
        If the curves are not those of equally many neurons, those of x have different grids, eps is not above 0, or
        some neurons have a lag and others none.
    """

    fast: Characteristic
    coupling: Characteristic
    slow: Characteristic
    copy: Characteristic
    drive_gain: FloatArray
    bias: FloatArray
    eps: float
    lag: FloatArray | float = 0.0

    KIND: ClassVar[str] = "curves of transconductors"

    def __post_init__(self) -> None:
        n = len(self.fast)
        shapes = {self.drive_gain.shape, self.bias.shape, *((len(curve),) for curve in self.curves.values())}
        if shapes != {(n,)}:
            raise ValueError(f"curves, drive_gain and bias of shapes {sorted(shapes)}; expected those of {n} neurons")
        grids = {(c.n_cells, c.low.tobytes(), c.step.tobytes()) for c in (self.fast, self.slow, self.copy)}
        if len(grids) != 1:
            raise ValueError("the curves fast, slow and copy have different grids; expected those of one sweep of x")
        if not self.eps > 0.0:
            raise ValueError(f"eps = {self.eps}; expected a number above 0")
        if np.shape(self.lag) not in ((), (n,)):
            raise ValueError(f"lag of shape {np.shape(self.lag)}; expected a number, or one for each of {n} neurons")
        if not (np.all(np.equal(self.lag, 0.0)) or np.all(np.greater(self.lag, 0.0))):
            raise ValueError(f"lag = {self.lag}; expected 0 for all neurons, or times above 0 for all")

    @cached_property
    def lags(self) -> FloatArray | None:
        """tau of each neuron (T), shape (n,); None where there is no lag, and so no further state."""
        if not np.any(self.lag):
            return None
        return np.array(np.broadcast_to(np.asarray(self.lag, dtype=np.float64), (len(self),)))

    @property
    def curves(self) -> Mapping[str, Characteristic]:
        """The four curves by name."""
        return {name: getattr(self, name) for name in ("fast", "coupling", "slow", "copy")}

    def __len__(self) -> int:
        return len(self.drive_gain)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        numbers = {"eps", *(["lag"] if np.ndim(self.lag) == 0 else [])}
        parts = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name not in numbers}
        return replace(self, **parts)

    def slower(self, factor: FloatArray) -> Self:
        """See `Dynamics.slower`."""
        rates = {name: getattr(self, name).times(1.0 / factor) for name in ("fast", "coupling", "slow")}
        gains = {name: getattr(self, name) / factor for name in ("drive_gain", "bias")}
        return replace(self, **rates, **gains, lag=self.lag if self.lags is None else self.lags * factor)

    def arrays(self) -> Mapping[str, FloatArray]:
        """Grids and coefficients of the curves, gain and bias; lags, if there are any."""
        parts = {
            f"{part} of the {name} curve": getattr(curve, part)
            for name, curve in self.curves.items()
            for part in ("low", "step", "coefficients")
        }
        lags = {} if self.lags is None else {"lag": self.lags}
        return parts | {"drive gain": self.drive_gain, "bias": self.bias} | lags

    def start(self, x: float, y: float) -> list[float]:
        """x and y; with a lag also g and o of this x. See `Dynamics.start`."""
        if self.lags is None:
            return [x, y]
        return [x, y, self.slow.alone()[0](x), self.copy.alone()[0](x)]

    def flow(self, drive: float) -> Flow:
        """Right-hand side and Jacobian of one neuron's equations, of (x, y) or (x, y, w, u); see `Dynamics.flow`."""
        f, f_slope = self.fast.alone()
        h, h_slope = self.coupling.alone()
        g, g_slope = self.slow.alone()
        constant = float(self.drive_gain[0]) * drive + float(self.bias[0])

        def rhs(_t: float, state: FloatArray) -> list[float]:
            x, y = state.tolist()
            return [f(x) + h(y), g(x) + constant]

        def jacobian(_t: float, state: FloatArray) -> list[list[float]]:
            x, y = state[:2].tolist()
            return [[f_slope(x), h_slope(y)], [g_slope(x), 0.0]]

        if self.lags is None:
            return rhs, jacobian
        o, o_slope = self.copy.alone()
        rate = 1.0 / float(self.lags[0])

        def lagging(_t: float, state: FloatArray) -> list[float]:
            x, y, w, u = state.tolist()
            return [f(x) + h(y), w + constant, rate * (g(x) - w), rate * (o(x) - u)]

        def lagging_jacobian(_t: float, state: FloatArray) -> list[list[float]]:
            x, y = state[:2].tolist()
            return [
                [f_slope(x), h_slope(y), 0.0, 0.0],
                [0.0, 0.0, 1.0, 0.0],
                [rate * g_slope(x), 0.0, -rate, 0.0],
                [rate * o_slope(x), 0.0, 0.0, -rate],
            ]

        return lagging, lagging_jacobian

    def output_flow(self) -> tuple[Callable[[FloatArray], float], Callable[[FloatArray], list[float]]]:
        """o of x; with a lag the last state. See `Dynamics.output_flow`."""
        if self.lags is not None:
            return lambda state: float(state[3]), lambda _state: [0.0, 0.0, 0.0, 1.0]
        o, slope = self.copy.alone()
        return lambda state: o(float(state[0])), lambda state: [slope(float(state[0])), 0.0]

    def output(self, x: ArrayLike) -> FloatArray:
        """o at `x` (..., n); with a lag what the output comes to there."""
        return self.copy(x)

    def output_of(self, states: FloatArray) -> FloatArray:
        """Output at states of `flow`, shape (2 or 4, ..., n)."""
        return self.copy(states[0]) if self.lags is None else np.asarray(states[3])

    @cached_property
    def _line_of_copy(self) -> tuple[FloatArray, FloatArray]:
        """Offset and slope of the line ``o = offset + slope g`` fitted to both curves, each of shape (n,).

        Over twice the width between the folds of f, that is as far as spikes reach, if the sweeps do.
        """
        left, right = self.fast.folds
        low = np.maximum(1.5 * left - 0.5 * right, self.slow.low)
        high = np.minimum(1.5 * right - 0.5 * left, self.slow.high)
        x = np.linspace(low, high, _COPY_POINTS)
        g, o = self.slow(x), self.copy(x)
        away = g - g.mean(axis=0)
        slope = (away * o).sum(axis=0) / (away**2).sum(axis=0)
        return o.mean(axis=0) - slope * g.mean(axis=0), slope

    def identity_mean(self, drive: ArrayLike, mean_y: ArrayLike = 0.0) -> FloatArray:
        """Time-averaged output ``c0 - c1 (d I + b)``, where ``o = c0 + c1 g`` is the line fitted to both curves.

        Exact where o is such a line of g. `mean_y` does not matter, for y has no leak.
        """
        offset, slope = self._line_of_copy
        return np.asarray(offset - slope * (self.drive_gain * np.asarray(drive, dtype=np.float64) + self.bias))

    def identity_at(self, neurons: NDArray[np.intp], drive: FloatArray) -> FloatArray:
        """See `Dynamics.identity_at`."""
        offset, slope = (part[neurons] for part in self._line_of_copy)
        return np.asarray(offset - slope * (self.drive_gain[neurons] * drive + self.bias[neurons]))

    @property
    def slow_slope(self) -> FloatArray:
        """One over the slope of the output against g, shape (n,); see `identity_mean`."""
        return 1.0 / self._line_of_copy[1]

    def fast_nullcline(self, x: ArrayLike) -> FloatArray:
        """y at which ``h(y) = -f(x)``, at `x` (..., n)."""
        return self.coupling.inverse(-self.fast(x))

    def rest_point(self, drive: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Rest points (x, y), each of the shape of `drive` (..., n): ``g(x) = -(d I + b)``, ``h(y) = -f(x)``."""
        x = self.slow.inverse(-(self.drive_gain * np.asarray(drive, dtype=np.float64) + self.bias))
        return x, self.fast_nullcline(x)

    def stable_at_rest(self, drive: ArrayLike) -> NDArray[np.bool_]:
        """True where the rest point is linearly stable; see `Dynamics.stable_at_rest`."""
        x, y = self.rest_point(drive)
        fast, loop = self.fast.slope(x), self.coupling.slope(y) * self.slow.slope(x)
        stable = (fast < 0.0) & (loop < 0.0)
        if self.lags is not None:
            # Routh and Hurwitz on tau s^3 + (1 - tau f') s^2 - f' s - h' g' = 0; u decays by itself.
            stable &= (1.0 - self.lags * fast) * fast < self.lags * loop
        return np.asarray(stable)

    def spiking_drive(self) -> FloatArray:
        """Drive of each neuron, shape (n,), that puts its rest point at a quarter of the way between the folds of f."""
        left, right = self.fast.folds
        return self._drive_of_rest(left + 0.25 * (right - left))

    def _drive_of_rest(self, x: FloatArray) -> FloatArray:
        """Drives that put the rest points at x (..., n)."""
        return np.asarray(-(self.slow(x) + self.bias) / self.drive_gain)

    def fast_rate(self, drive: ArrayLike) -> FloatArray:
        """Largest |df/dx| within the grid or one over the lag, in the shape of `drive` (..., n)."""
        lowest, highest = self.fast.slopes
        rate = np.maximum(np.abs(lowest), np.abs(highest))
        if self.lags is not None:
            rate = np.maximum(rate, 1.0 / self.lags)
        return np.array(np.broadcast_to(rate, np.shape(drive)))

    def slow_variance(self, mean_output: ArrayLike) -> FloatArray:
        """Variance of y over the cycle of neurons with this time average (..., n) of the output; 0 at rest.

        Interpolated between the cycles at nine drives between each neuron's onsets, which are integrated once.
        """
        mean = np.asarray(mean_output, dtype=np.float64)
        means, variances, ends = self._cycle_variance
        columns = np.broadcast_shapes(mean.shape, (len(self),))
        result = np.empty(columns)
        for k in range(len(self)):
            one = np.broadcast_to(mean, columns)[..., k]
            inside = (one > ends[0, k]) & (one < ends[1, k])
            result[..., k] = np.where(inside, np.interp(one, means[:, k], variances[:, k]), 0.0)
        return result

    @cached_property
    def _cycle_variance(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means of the output and variances of y at drives between the onsets, (m, n), and means at the onsets, (2, n).

        The means increase.
        """
        left, right = self.fast.folds
        place = (np.arange(_CYCLES) + 0.5)[:, None] / _CYCLES
        drives = self._drive_of_rest(left + place * (right - left))
        rates = self.drive_gain * drives + self.bias
        h = min(_CYCLE_STEP * self.eps, _STABLE_PRODUCT / float(np.max(self.fast_rate(self.bias))))
        x, y = left + place * (right - left) + 0.1 * (right - left), self.fast_nullcline(left + place * (right - left))

        lag_rate = None if self.lags is None else 1.0 / self.lags
        states = [x, y] if lag_rate is None else [x, y, self.slow(x)]

        def flow(x: FloatArray, y: FloatArray, *w: FloatArray) -> list[FloatArray]:
            slow = self.slow(x)
            if lag_rate is None:
                return [self.fast(x) + self.coupling(y), slow + rates]
            return [self.fast(x) + self.coupling(y), w[0] + rates, lag_rate * (slow - w[0])]

        def ahead(share: float, slopes: list[FloatArray]) -> list[FloatArray]:
            return [value + share * h * slope for value, slope in zip(states, slopes, strict=True)]

        n_settle, n_window = (round(time / h) for time in (_CYCLE_SETTLE, _CYCLE_WINDOW))
        total, first, second, output = (np.zeros(drives.shape) for _ in range(4))
        for step in range(n_settle + n_window):
            k1 = flow(*states)
            k2 = flow(*ahead(0.5, k1))
            k3 = flow(*ahead(0.5, k2))
            k4 = flow(*ahead(1.0, k3))
            states = [
                value + h / 6.0 * (one + 2.0 * (two + three) + four)
                for value, one, two, three, four in zip(states, k1, k2, k3, k4, strict=True)
            ]
            x, y = states[:2]
            if step >= n_settle:
                # Hann's window suppresses what a window of no whole number of periods adds.
                weight = 1.0 - np.cos(2.0 * np.pi * (step - n_settle + 0.5) / n_window)
                total += weight
                first += weight * y
                second += weight * y**2
                output += weight * self.copy(x)  # whose mean is that of the output, lag or not
        means, variances = output / total, second / total - (first / total) ** 2
        order = np.argsort(means, axis=0)
        ends = np.sort(self.copy(np.stack([left, right])), axis=0)
        return np.take_along_axis(means, order, 0), np.take_along_axis(variances, order, 0), ends
