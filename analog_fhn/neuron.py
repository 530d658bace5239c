"""The FitzHugh-Nagumo neuron as mathematics: equations, nullclines, rest point, regime, period.

Equation 1 of Bogatenko et al., Chaos 33(7), 2023, doi:10.1063/5.0152703::

    eps dx/dt = x - x^3/3 - y,        dy/dt = x + a + I

x is the activator, y the inhibitor, I the constant drive. Time is dimensionless everywhere in this module.
Every manufactured neuron on a board obeys the same equations with nine coefficients of its own (see `Coefficients`);
other circuits have other equations (`Dynamics`).
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from analog_fhn.crossings import Rises, mean_period
from analog_fhn.errors import InputError, check_range

FloatArray = NDArray[np.float64]

# First zero of the Airy function: how late, in scaled units, a slowly driven fold is left (Mishchenko and Rozov).
_FOLD_DELAY = 2.338107410459767
_LONGEST = 1e20  # of the times of a protocol, in units of T: their sums and quotients stay numbers


def rates(x: Any, y: Any, p0: Any, p1: Any, p2: Any, p3: Any, p4: Any, q0: Any, q1: Any, q2: Any) -> tuple[Any, Any]:
    """The one statement of the equations: dx/dt and dy/dt of neurons, for numbers, arrays, symbols and compiled loops.

    ``dx/dt = p0 + p1 x + p2 x^2 + p3 x^3 + p4 y``,  ``dy/dt = q0 + q1 x + q2 y``

    Parameters
    ----------
    x, y
        State.
    p0, p1, p2, p3, p4
        Those of `Coefficients` over eps.
    q0, q1, q2
        Those of `Coefficients`, with the drive in q0: ``q0 + q3 I``.
    """
    return p0 + p4 * y + x * (p1 + x * (p2 + x * p3)), q0 + q1 * x + q2 * y


def fast_slope(x: Any, p1: Any, p2: Any, p3: Any) -> Any:
    """Derivative of `rates`' dx/dt with respect to x; the others are p4, q1 and q2."""
    return p1 + x * ((p2 + p2) + x * (p3 + p3 + p3))


@dataclass(frozen=True)
class FHN:
    """What turns a pre-activation z into an FHN neuron's drive and dynamics.

    Parameters
    ----------
    eps
        Time-scale ratio of activator and inhibitor (paper's value lost; 0.01 is our choice).
    a
        Control parameter; with drive I the neuron spikes for ``|a + I| < 1`` and rests otherwise.
    gamma
        Range of the drive: ``I = gamma * tanh(slope * z)`` (the paper's "multiplier").
    slope
        1/2 matches a sigmoid exactly, since ``1 + tanh(z/2) = 2 sigmoid(z)``; 1 matches tanh and is the paper's.

    Raises
    ------
    InputError
        If a value is no number within its range: eps from 1e-12 to 1000; a within +-1e6; gamma within +-1e6, but not
        within +-1e-9; slope from 1e-9 to 1e6.
    """

    eps: float = 0.01
    a: float = 1.0
    gamma: float = -1.0
    slope: float = 0.5

    def __post_init__(self) -> None:
        # Far beyond any neuron, but no product or power of these numbers leaves the range of doubles.
        for name, low, high in (("eps", 1e-12, 1e3), ("a", -1e6, 1e6), ("gamma", -1e6, 1e6), ("slope", 1e-9, 1e6)):
            check_range(f"FHN {name}", getattr(self, name), low, high)
        if abs(self.gamma) < 1e-9:
            raise InputError(
                f"FHN gamma = {self.gamma:g}: the neurons would not see their input; use a nonzero value, of 1e-9 or "
                "more"
            )

    def drive(self, z: ArrayLike) -> FloatArray:
        """Drive of the neurons, ``I = gamma * tanh(slope * z)`` (equation 2 of the paper; slope is ours).

        Parameters
        ----------
        z
            Pre-activations ``X W + b``, any shape.
        """
        drive: FloatArray = self.gamma * np.tanh(self.slope * np.asarray(z, dtype=np.float64))
        return drive


@dataclass(frozen=True)
class Protocol:
    """When the neurons are watched: all times in units of T (dimensionless).

    Parameters
    ----------
    settle, control
        Transient that is discarded, and length of the control window that is read.
    interval
        Sampling interval within the control window; samples stand at ``settle + k * interval``, k = 1, 2, ...
    x0, y0
        Initial state of every neuron.

    Raises
    ------
    InputError
        If a value is no number within its range (control to 1e20 T, interval from 1e-9 to 1e6 T, settle from 0 to
        1e20 T, x0 and y0 within +-1000), or the control window is no multiple of the interval.
    """

    settle: float = 100.0
    control: float = 200.0
    interval: float = 0.2
    x0: float = -1.0
    y0: float = -0.6

    def __post_init__(self) -> None:
        check_range("protocol settle", self.settle, 0.0, _LONGEST)
        check_range("protocol control", self.control, 1e-9, _LONGEST)
        check_range("protocol interval", self.interval, 1e-9, 1e6)
        check_range("protocol x0", self.x0, -1e3, 1e3)
        check_range("protocol y0", self.y0, -1e3, 1e3)
        for name in ("settle", "control"):
            ratio = getattr(self, name) / self.interval
            if abs(ratio - round(ratio)) > 1e-6 * max(1.0, ratio):
                raise InputError(
                    f"protocol {name} = {getattr(self, name)} is no whole number of sampling intervals "
                    f"({self.interval})"
                )

    @property
    def n_samples(self) -> int:
        """Number of samples in the control window."""
        return round(self.control / self.interval)

    @property
    def n_settle(self) -> int:
        """Number of sampling intervals in the discarded transient."""
        return round(self.settle / self.interval)

    @property
    def sample_times(self) -> FloatArray:
        """Times of the samples, shape (n_samples,), in units of T."""
        return self.settle + self.interval * np.arange(1, self.n_samples + 1, dtype=np.float64)


Flow = tuple[Callable[[float, FloatArray], list[float]], Callable[..., list[list[float]]]]
"""Right-hand side and Jacobian as functions of t and the state, which begins with x and y; see `Dynamics.start`."""


class Dynamics(ABC):
    """Equations of n neurons with two states x and y, a drive I and an output u(x); time in units of T.

    ``dy/dt`` averaged over a cycle is 0, so that the time average of the output is a line in the drive whatever x and y
    do (`identity_mean`). Arrays of neurons have the last axis n.
    """

    eps: float
    """Nominal time-scale ratio of x and y, which step sizes are measured in."""

    KIND: ClassVar[str]
    """What these equations are, for messages."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of neurons."""

    @abstractmethod
    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        """Equations of some of the neurons."""

    @abstractmethod
    def slower(self, factor: FloatArray) -> Self:
        """Equations of the same neurons whose states take `factor` times as long, shape (n,)."""

    @abstractmethod
    def arrays(self) -> Mapping[str, FloatArray]:
        """All numbers of the equations but eps, by name; the first axis of each is that of the neurons."""

    def numbers(self) -> list[tuple[str, FloatArray]]:
        """The same as people are told of them."""
        return [(f"{name} of the neurons", values) for name, values in self.arrays().items()]

    @abstractmethod
    def flow(self, drive: float) -> Flow:
        """Right-hand side and Jacobian of one neuron's equations as an ODE solver takes them: functions of t and state.

        Raises
        ------
        ValueError
            If these are the equations of more neurons than one.
        """

    def start(self, x: float, y: float) -> list[float]:
        """State of one neuron that begins at x and y: these two, and what else `flow` integrates, settled at them."""
        return [x, y]

    @abstractmethod
    def output_flow(self) -> tuple[Callable[[FloatArray], float], Callable[[FloatArray], list[float]]]:
        """Output u of one neuron and its gradient with respect to the state: functions of the state of `flow`.

        Raises
        ------
        ValueError
            If these are the equations of more neurons than one.
        """

    @abstractmethod
    def output(self, x: ArrayLike) -> FloatArray:
        """Output u at `x` (..., n), where it has had time to follow x."""

    def output_of(self, states: FloatArray) -> FloatArray:
        """Output u at states of `flow`, shape (n_states, ..., n)."""
        return self.output(states[0])

    @abstractmethod
    def identity_mean(self, drive: ArrayLike, mean_y: ArrayLike = 0.0) -> FloatArray:
        """Time-averaged output that follows from averaging dy/dt.

        A check on a simulation, never a replacement for one.
        """

    def identity_at(self, neurons: NDArray[np.intp], drive: FloatArray) -> FloatArray:
        """The same of some of the neurons (m,), each at a drive of its own (m,)."""
        return self[neurons].identity_mean(drive)

    @property
    @abstractmethod
    def slow_slope(self) -> FloatArray:
        """By how much dy/dt changes with the output, d(dy/dt)/du, shape (n,): ``u - <u> = (dy/dt)/slow_slope``."""

    @abstractmethod
    def slow_variance(self, mean_output: ArrayLike) -> FloatArray:
        """Variance of y over the cycle of neurons with this time average (..., n) of the output; 0 at rest."""

    @abstractmethod
    def fast_nullcline(self, x: ArrayLike) -> FloatArray:
        """y where dx/dt = 0, at `x` (..., n)."""

    @abstractmethod
    def rest_point(self, drive: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Rest points (x, y), each of the shape of `drive` (..., n)."""

    @abstractmethod
    def stable_at_rest(self, drive: ArrayLike) -> NDArray[np.bool_]:
        """True where the rest point is linearly stable: the neuron is excitable there, else it oscillates."""

    @abstractmethod
    def spiking_drive(self) -> FloatArray:
        """A drive of each neuron, shape (n,), at which it spikes: its rest point lies well between its two onsets."""

    @abstractmethod
    def fast_rate(self, drive: ArrayLike) -> FloatArray:
        """Bound of the fast rate |d(dx/dt)/dx| (1/T) over all x that a neuron reaches under `drive` (..., n)."""


@dataclass(frozen=True)
class Coefficients(Dynamics):
    """Nine numbers per neuron; what every ODE backend integrates (time in units of T). The output is x itself.

    ``dx/dt = (p0 + p1 x + p2 x^2 + p3 x^3 + p4 y)/eps``,  ``dy/dt = q0 + q1 x + q2 y + q3 I``

    Parameters
    ----------
    p
        Shape (n_neurons, 5). Ideal: (0, 1, 0, -1/3, -1).
    q
        Shape (n_neurons, 4). Ideal: (a, 1, 0, 1).
    eps
        Nominal time-scale ratio; a neuron's own deviation is inside p.
    """

    p: FloatArray
    q: FloatArray
    eps: float

    KIND: ClassVar[str] = "a polynomial of nine coefficients"

    def __post_init__(self) -> None:
        if self.p.ndim != 2 or self.p.shape[1] != 5 or self.q.shape != (len(self.p), 4):
            raise ValueError(f"coefficients need shapes (n, 5) and (n, 4), got {self.p.shape} and {self.q.shape}")

    @classmethod
    def ideal(cls, fhn: FHN, n_neurons: int) -> Coefficients:
        """Coefficients of `n_neurons` ideal neurons."""
        p = np.tile([0.0, 1.0, 0.0, -1.0 / 3.0, -1.0], (n_neurons, 1))
        q = np.tile([fhn.a, 1.0, 0.0, 1.0], (n_neurons, 1))
        return cls(p, q, fhn.eps)

    def __len__(self) -> int:
        return len(self.p)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Self:
        return replace(self, p=self.p[index], q=self.q[index])

    def slower(self, factor: FloatArray) -> Self:
        """See `Dynamics.slower`."""
        return replace(self, p=self.p / factor[:, None], q=self.q / factor[:, None])

    def arrays(self) -> Mapping[str, FloatArray]:
        """The coefficients: p and q."""
        return {"p": self.p, "q": self.q}

    def numbers(self) -> list[tuple[str, FloatArray]]:
        """Each coefficient by its own name."""
        return [
            (f"coefficient {letter}{k}", column)
            for letter, table in self.arrays().items()
            for k, column in enumerate(table.T)
        ]

    def derivatives(self, x: ArrayLike, y: ArrayLike, drive: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Time derivatives (dx/dt, dy/dt) in units of 1/T; arguments broadcast to (..., n_neurons)."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        q0, q1, q2, q3 = self.q.T
        p0, p1, p2, p3, p4 = self.p.T / self.eps
        dx, dy = rates(x, y, p0, p1, p2, p3, p4, q0 + q3 * np.asarray(drive, dtype=np.float64), q1, q2)
        return dx, dy

    def flow(self, drive: float) -> Flow:
        """Right-hand side and Jacobian of one neuron's equations as an ODE solver takes them: functions of t, (x, y).

        Raises
        ------
        ValueError
            If these are the coefficients of more neurons than one.
        """
        if len(self) != 1:
            raise ValueError(f"expected one neuron, got {len(self)}")
        p0, p1, p2, p3, p4 = (self.p[0] / self.eps).tolist()
        q0, q1, q2, q3 = self.q[0].tolist()
        q0 += q3 * drive

        def rhs(_t: float, u: FloatArray) -> list[float]:
            x, y = u.tolist()  # Python's numbers are much faster here
            return list(rates(x, y, p0, p1, p2, p3, p4, q0, q1, q2))

        def jacobian(_t: float, u: FloatArray) -> list[list[float]]:
            return [[fast_slope(u[0], p1, p2, p3), p4], [q1, q2]]

        return rhs, jacobian

    def output_flow(self) -> tuple[Callable[[FloatArray], float], Callable[[FloatArray], list[float]]]:
        """x itself; see `Dynamics.output_flow`."""
        return lambda state: float(state[0]), lambda _state: [1.0, 0.0]

    def output(self, x: ArrayLike) -> FloatArray:
        """x itself."""
        return np.asarray(x, dtype=np.float64)

    @property
    def slow_slope(self) -> FloatArray:
        """q1."""
        return self.q[:, 1]

    def slow_variance(self, mean_output: ArrayLike) -> FloatArray:
        """Variance of y over the cycle of neurons with this time average (..., n_neurons) of x; 0 at rest.

        That of the relaxation oscillation of the ideal cubic, whose branches y passes at the rate x - <x>; its ends lie
        beyond the folds by ``2.338 (eps (1 -+ <x>))^(2/3)`` (Mishchenko and Rozov, Differential Equations with Small
        Parameters and Relaxation Oscillations, 1980).
        """
        m = np.asarray(mean_output, dtype=np.float64)
        inside = np.minimum(np.abs(m), 1.0)
        late = _FOLD_DELAY * self.eps ** (2.0 / 3.0) * ((1.0 - inside) ** (2.0 / 3.0) + (1.0 + inside) ** (2.0 / 3.0))
        return np.where(np.abs(m) < 1.0, np.interp(inside, *_branch_variance()) * (1.0 + 0.75 * late) ** 2, 0.0)

    def fast_nullcline(self, x: ArrayLike) -> FloatArray:
        """y on the cubic nullcline dx/dt = 0 at `x` (..., n_neurons)."""
        x = np.asarray(x, dtype=np.float64)
        p0, p1, p2, p3, p4 = self.p.T
        return np.asarray(-(p0 + x * (p1 + x * (p2 + x * p3))) / p4)

    def identity_mean(self, drive: ArrayLike, mean_y: ArrayLike = 0.0) -> FloatArray:
        """Time-averaged x that follows from averaging dy/dt: ``-(q0 + q2 <y> + q3 I)/q1``.

        A check on a simulation, never a replacement for one. For the ideal neuron it is ``-(a + I)``.
        """
        q0, q1, q2, q3 = self.q.T
        return np.asarray(-(q0 + q2 * np.asarray(mean_y) + q3 * np.asarray(drive)) / q1)

    def rest_point(self, drive: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Rest points (x, y), each of the shape of `drive` (..., n_neurons).

        Where both nullclines cross: x = -(q0 + q3 I)/q1 without a leak (q2 = 0; ideal: x = -(a + I), y = x - x^3/3),
        from where Newton's method follows the crossing that a small leak moves.
        """
        drive = np.asarray(drive, dtype=np.float64)
        p0, p1, p2, p3, p4 = (np.broadcast_to(v, drive.shape) for v in self.p.T)
        q0, q1, q2, q3 = (np.broadcast_to(v, drive.shape) for v in self.q.T)
        x = -(q0 + q3 * drive) / q1
        if np.any(q2):
            for _ in range(50):
                value = (p0 + x * (p1 + x * (p2 + x * p3))) * q2 - p4 * (q0 + q1 * x + q3 * drive)
                slope = (p1 + x * (2 * p2 + 3 * x * p3)) * q2 - p4 * q1
                step = value / slope
                x = x - step
                if np.max(np.abs(step)) < 1e-14:
                    break
        y = -(p0 + x * (p1 + x * (p2 + x * p3))) / p4
        return x, y

    def fast_rate(self, drive: ArrayLike) -> FloatArray:
        """Bound of the fast rate |d(dx/dt)/dx| (1/T) over all x that a neuron reaches under `drive` (..., n_neurons).

        x reaches its rest point, and 2.05 in a spike: 2 is where the jump from the fold at |x| = 1 lands, and at
        finite eps the fold is overshot a little. An explicit method is stable while step times rate stays below its
        limit (2 for order 1 and 2, 2.51 for order 3, 2.78 for order 4).
        """
        rest, _ = self.rest_point(drive)
        x = np.maximum(np.abs(rest), 2.05)
        _, p1, p2, p3, _ = self.p.T
        return np.asarray((np.abs(p1 + 3.0 * p3 * x**2) + 2.0 * np.abs(p2) * x) / self.eps)

    def spiking_drive(self) -> FloatArray:
        """Drive of each neuron, shape (n_neurons,), that puts its rest point at x = -1/2, where every neuron spikes."""
        q0, q1, _, q3 = self.q.T
        return np.asarray((0.5 * q1 - q0) / q3)

    def stable_at_rest(self, drive: ArrayLike) -> NDArray[np.bool_]:
        """True where the rest point is linearly stable: the neuron is excitable there, else it oscillates."""
        x, _ = self.rest_point(drive)
        _, p1, p2, p3, p4 = self.p.T
        _, q1, q2, _ = self.q.T
        fast = fast_slope(x, p1, p2, p3) / self.eps
        trace = fast + q2
        determinant = fast * q2 - p4 * q1 / self.eps
        return np.asarray((trace < 0) & (determinant > 0))


def coefficients_of(dynamics: Dynamics, what: str) -> Coefficients:
    """The equations, if they are a polynomial.

    Parameters
    ----------
    what
        Who needs that, as the message begins.

    Raises
    ------
    InputError
        If they are others.
    """
    if not isinstance(dynamics, Coefficients):
        raise InputError(f"{what}: the neurons' equations are {dynamics.KIND}; expected {Coefficients.KIND}")
    return dynamics


@cache
def _branch_variance() -> tuple[FloatArray, FloatArray]:
    """Time averages m of x from 0 to 1, and the variance of y in the relaxation oscillation at eps -> 0 with each."""
    means = np.linspace(0.0, 1.0, 101)
    x = 1.0 + (np.arange(4000) + 0.5) / 4000
    # On the right branch y = x - x^3/3 for x from 2 to 1, and dt = dy/(x - m); the left one mirrors it, with -m.
    y, dy = x - x**3 / 3.0, x**2 - 1.0
    right, left = dy / (x - means[:, None]), dy / (x + means[:, None])
    time = (right + left).sum(axis=1)
    mean = ((right - left) @ y) / time
    return means, ((right + left) @ y**2) / time - mean**2


def extremes(fhn: FHN) -> tuple[float, float]:
    """Largest |x| and |y| that a neuron reaches under its largest drive.

    x reaches ``max(2.05, |a| + |gamma|)``: the rest point, or 2, where a spike from the fold at x = 1 lands, with
    less than 0.05 of overshoot (measured at eps = 0.01). y follows the cubic nullcline, which has its fold at 2/3.
    """
    x = max(2.05, abs(fhn.a) + abs(fhn.gamma))
    return x, max(2.0 / 3.0, abs(x - x**3 / 3.0))


def regime(fhn: FHN, drive: float) -> Literal["oscillating", "excitable"]:
    """Regime of the ideal neuron: oscillating for ``|a + I| < 1``, excitable (a stable rest point) otherwise."""
    return "oscillating" if abs(fhn.a + drive) < 1.0 else "excitable"


@dataclass(frozen=True)
class Cycle:
    """One period of an oscillating neuron, beginning at the rising zero crossing of its output.

    Parameters
    ----------
    period
        In units of T.
    phase, x
        Shape (n_phase,): phase in [0, 1), and the output there, which is x for a polynomial neuron.
    """

    period: float
    phase: FloatArray
    x: FloatArray


def cycle(dynamics: Dynamics, drive: float, n_phase: int = 512, settle: float = 20.0) -> Cycle:
    """Limit cycle of one neuron by SciPy's Radau (rtol 1e-9), from where its output crosses 0 in 12 T after `settle`.

    Parameters
    ----------
    dynamics
        Of exactly one neuron.
    drive
        Constant drive I.
    n_phase
        Number of phase points.
    settle
        Transient before the cycle is measured, in units of T.

    Raises
    ------
    ValueError
        If the neuron does not oscillate at this drive.
    """
    rhs, jacobian = dynamics.flow(drive)
    output, _ = dynamics.output_flow()

    def rising(_t: float, u: FloatArray) -> float:
        return output(u)

    rising.direction = 1.0  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, settle + 12.0), dynamics.start(-1.0, -0.6), method="Radau", rtol=1e-9, atol=1e-11,
        jac=jacobian, events=rising, dense_output=True,
    )  # fmt: skip
    assert solution.t_events is not None
    assert solution.sol is not None
    crossings = np.asarray(solution.t_events[0])
    crossings = crossings[crossings > settle]
    if len(crossings) < 3:
        raise ValueError(f"the neuron does not oscillate at drive {drive} (a rest point is reached)")
    period = mean_period(crossings)
    phase = np.arange(n_phase) / n_phase
    states = np.asarray(solution.sol(crossings[0] + phase * period))
    return Cycle(period, phase, dynamics.output_of(states[..., None])[:, 0])


def orbit(dynamics: Dynamics, drive: float, x: float, y: float, end: float = 20.0) -> tuple[FloatArray, FloatArray]:
    """Trajectory (x, y) of one neuron from a state to `end` (T), by SciPy's Radau; two arrays (n,).

    Raises
    ------
    ValueError
        If these are the equations of more neurons than one.
    """
    rhs, jacobian = dynamics.flow(drive)
    solution = solve_ivp(rhs, (0.0, end), dynamics.start(x, y), method="Radau", rtol=1e-6, atol=1e-9, jac=jacobian)
    return np.asarray(solution.y[0]), np.asarray(solution.y[1])


def cycle_from_samples(times: ArrayLike, x: ArrayLike, n_phase: int = 512, dip: float = -0.5) -> Cycle | None:
    """Limit cycle of a sampled waveform: mean period over all whole periods, waveform folded into one.

    A rising crossing of x = 0 counts only after x has been below `dip`, so noise near zero is not counted twice.

    Parameters
    ----------
    times, x
        Shape (n,); times increasing, in units of T; sampling must resolve the upstroke (half of eps or
        finer); between samples a cubic spline is used.
    n_phase
        Number of phase points.
    dip
        Level that arms the next crossing.

    Returns
    -------
    Cycle or None
        None if there are fewer than three crossings: the neuron rests.
    """
    times, x = np.asarray(times, dtype=np.float64), np.asarray(x, dtype=np.float64)
    curve = CubicSpline(times, x)
    rises = Rises.of(x, 0.0, dip).after
    if len(rises) < 3:
        return None
    crossings = np.array([brentq(lambda t: float(curve(t)), times[k - 1], times[k]) for k in rises])
    phase = np.arange(n_phase) / n_phase
    folded = [np.interp(start + phase * (end - start), times, x) for start, end in itertools.pairwise(crossings)]
    return Cycle(mean_period(crossings), phase, np.mean(folded, axis=0))


def waveform_rms(one: Cycle, other: Cycle) -> float:
    """Rms difference of two cycles, each in its own phase, relative to the peak-to-peak of `other`.

    Both cycles begin at the rising zero crossing of x, so that they are aligned there.
    """
    if one.x.shape != other.x.shape:
        raise ValueError(f"cycles have {one.x.size} and {other.x.size} phase points; expected equal numbers")
    return float(np.sqrt(np.mean((one.x - other.x) ** 2)) / np.ptp(other.x))
