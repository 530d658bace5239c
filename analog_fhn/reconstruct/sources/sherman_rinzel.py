"""The Hodgkin-Huxley-type neuron that reconstructions are judged with: equations, rest points, simulation.

Pancreatic beta cell of A. Sherman, J. Rinzel and J. Keizer, Biophys. J. 54:411 (1988), in the form and with the
additional potassium current of N. Stankevich and E. Mosekilde, Chaos 27:123101 (2017), doi:10.1063/1.4986401::

    tau   dV/dt = -I_Ca - I_K - I_S - I_K2
    tau   dn/dt = sigma (n_inf(V) - n)
    tau_S dS/dt = S_inf(V) - S

    I_Ca = g_Ca m_inf(V) (V - V_Ca)      I_K  = g_K n (V - V_K)
    I_S  = g_S S (V - V_K)               I_K2 = g_K2 p_inf(V) (V - V_K)

    w_inf(V) = 1/(1 + exp((V_w - V)/theta_w)),  w = m, n, S
    p_inf(V) = 1/(exp((V - V_p)/theta_p) + exp((V_p - V)/theta_p))

V is in mV here, as in the papers, and time in s; recordings are in V.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import ODEintWarning, odeint
from scipy.optimize import brentq

from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray

START = (-55.0, 0.001, 0.18)
"""Where simulations begin: V (mV), n, S; from here both neurons run into their bursts."""

MAX_SAMPLES = 100_000_000
"""Most samples of a recording that is made: more than any memory holds."""

_SCAN_POINTS = 20_001  # between V_K and V_Ca: one each 5 uV; the narrowest feature, theta_p, is 1 mV


@dataclass(frozen=True)
class RestPoint:
    """An equilibrium of the neuron.

    Parameters
    ----------
    state
        V (mV), n, S; shape (3,).
    eigenvalues
        Complex eigenvalues of the Jacobian there (1/s), shape (3,), by increasing real part.
    """

    state: FloatArray
    eigenvalues: NDArray[np.complex128]

    @property
    def stable(self) -> bool:
        """Whether every small deviation dies out."""
        return bool(np.all(self.eigenvalues.real < 0.0))


@dataclass(frozen=True)
class ShermanRinzel:
    """Sherman-Rinzel neuron; `original` without, `modified` with the second potassium current.

    Values, but for the control parameter `v_s`: Sherman, Rinzel and Keizer 1988; g_K2, V_p and theta_p: Stankevich
    and Mosekilde 2017. Conductances are relative to one another: the currents have the unit mV.

    Parameters
    ----------
    v_s
        Half-activation voltage V_S of the slow current (mV): the control parameter.
    g_k2
        Conductance of the second potassium current, which makes a rest point stable; 0 in the original.
    g_ca, g_k, g_s
        Conductances of the calcium, the fast and the slow potassium current.
    v_ca, v_k
        Reversal voltages of calcium and potassium (mV).
    v_m, theta_m, v_n, theta_n
        Half-activation voltages and slopes of the calcium and the fast potassium current (mV).
    theta_s
        Slope of the slow current (mV).
    v_p, theta_p
        Centre and width of the second potassium current (mV).
    tau, tau_s
        Time constants of the membrane and of the slow current (s).
    sigma
        Rate of n relative to ``1/tau``.

    Raises
    ------
    InputError
        If a value is not finite, or a time constant, slope or `sigma` is not positive.
    """

    v_s: float = -36.0
    g_k2: float = 0.0
    g_ca: float = 3.6
    g_k: float = 10.0
    g_s: float = 4.0
    v_ca: float = 25.0
    v_k: float = -75.0
    v_m: float = -20.0
    theta_m: float = 12.0
    v_n: float = -16.0
    theta_n: float = 5.6
    theta_s: float = 10.0
    v_p: float = -49.5
    theta_p: float = 1.0
    tau: float = 0.02
    tau_s: float = 35.0
    sigma: float = 0.93

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not math.isfinite(value):
                raise InputError(f"neuron {name} = {value!r}: expected a finite number")
        for name in ("theta_m", "theta_n", "theta_s", "theta_p", "tau", "tau_s", "sigma"):
            if getattr(self, name) <= 0:
                raise InputError(f"neuron {name} = {getattr(self, name)}: expected a positive number")
        if self.v_ca <= self.v_k:
            raise InputError(f"neuron v_ca = {self.v_ca}, v_k = {self.v_k}: expected v_ca above v_k")

    @classmethod
    def original(cls, v_s: float = -36.0) -> ShermanRinzel:
        """Neuron without the second potassium current."""
        return cls(v_s=v_s)

    @classmethod
    def modified(cls, v_s: float = -36.0) -> ShermanRinzel:
        """Neuron with it: a stable rest point may exist beside the bursts."""
        return cls(v_s=v_s, g_k2=0.12)

    def derivatives(self, state: ArrayLike) -> FloatArray:
        """Time derivatives of V (mV/s), n and S (1/s); state and result have shape (..., 3)."""
        v, n, s = np.moveaxis(np.asarray(state, dtype=np.float64), -1, 0)
        return np.stack(self._slopes(v, n, s, np.exp), axis=-1)

    def jacobian(self, state: ArrayLike) -> FloatArray:
        """Derivatives of the derivatives by V, n, S: shape (..., 3, 3) for a state of shape (..., 3).

        Entry (i, j) is that of equation i by variable j.
        """
        v, n, s = np.moveaxis(np.asarray(state, dtype=np.float64), -1, 0)
        m, n_inf, s_inf, p = self._gates(v, np.exp)
        # Of the logistic function: w' = w (1 - w)/theta; of p = 1/(2 cosh u), u = (V - V_p)/theta_p: p' = -p tanh(u).
        dm = m * (1.0 - m) / self.theta_m
        dp = -p * np.tanh((v - self.v_p) / self.theta_p) / self.theta_p
        potassium = self.g_k * n + self.g_s * s + self.g_k2 * p
        zero = np.zeros_like(v)
        by_v = -(self.g_ca * (m + dm * (v - self.v_ca)) + potassium + self.g_k2 * dp * (v - self.v_k)) / self.tau
        rows = (
            (by_v, -self.g_k * (v - self.v_k) / self.tau, -self.g_s * (v - self.v_k) / self.tau),
            (self.sigma * n_inf * (1.0 - n_inf) / self.theta_n / self.tau, zero - self.sigma / self.tau, zero),
            (s_inf * (1.0 - s_inf) / self.theta_s / self.tau_s, zero, zero - 1.0 / self.tau_s),
        )
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def rest_points(self) -> tuple[RestPoint, ...]:
        """All equilibria, by increasing V.

        There ``n = n_inf(V)``, ``S = S_inf(V)``, and the whole current is zero, which it can be between V_K and V_Ca
        only: below all currents are negative, above positive. Two equilibria less than 5 uV apart are not told apart.
        """
        grid = np.linspace(self.v_k, self.v_ca, _SCAN_POINTS)
        current = self._steady(grid)[0]
        places = np.flatnonzero(np.signbit(current[:-1]) != np.signbit(current[1:]))
        points = []
        for k in places:
            v = float(brentq(lambda v: float(self._steady(v)[0]), grid[k], grid[k + 1], xtol=1e-12))
            state = np.array([v, *self._steady(v)[1:]], dtype=np.float64)
            eigenvalues = np.linalg.eigvals(self.jacobian(state)).astype(np.complex128)
            points.append(RestPoint(state, eigenvalues[np.argsort(eigenvalues.real)]))
        return tuple(points)

    def simulate(
        self,
        duration: float,
        step: float,
        *,
        start: Sequence[float] | None = None,
        settle: float = 0.0,
        rtol: float = 1e-9,
        atol: float = 1e-11,
    ) -> tuple[FloatArray, FloatArray]:
        """Integrate the equations (see `integrate`) and sample them.

        Parameters
        ----------
        duration, step
            Length of the recording and sampling interval (s).
        start
            State at the beginning: V (mV), n, S; None: `START`.
        settle
            Time (s) before the first sample.
        rtol, atol
            Errors that the solver may make in a step. With the defaults V is within 2 uV of a run with 1e-12 after 100
            s of bursts.

        Returns
        -------
        time, states
            ``0, step, ...`` (s), shape (n,), without the end; V (mV), n, S at them, shape (n, 3).

        Raises
        ------
        InputError
            If a time is out of range, or `start` is no three finite numbers.
        SimulationError
            If the solver gives up.
        """
        time = sample_times(duration, step, settle)
        state = np.asarray(START if start is None else start, dtype=np.float64)
        if state.shape != (3,) or not np.isfinite(state).all():
            raise InputError(f"start = {start}: expected three finite numbers, V in mV, n and S")

        def slopes(_t: float, u: FloatArray) -> tuple[float, float, float]:
            v, n, s = u.tolist()
            return self._slopes(v, n, s, math.exp)

        return time, integrate(slopes, state, settle + time, rtol=rtol, atol=atol)

    def _gates(self, v: Any, exp: Callable[[Any], Any]) -> tuple[Any, Any, Any, Any]:
        """m_inf, n_inf, S_inf and p_inf at V."""
        rise = exp((v - self.v_p) / self.theta_p)
        return (
            1.0 / (1.0 + exp((self.v_m - v) / self.theta_m)),
            1.0 / (1.0 + exp((self.v_n - v) / self.theta_n)),
            1.0 / (1.0 + exp((self.v_s - v) / self.theta_s)),
            1.0 / (rise + 1.0 / rise),
        )

    def _slopes(self, v: Any, n: Any, s: Any, exp: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
        """Right-hand sides; `exp` is NumPy's for arrays and the much faster one of `math` for numbers."""
        m, n_inf, s_inf, p = self._gates(v, exp)
        calcium = self.g_ca * m * (v - self.v_ca)
        potassium = (self.g_k * n + self.g_s * s + self.g_k2 * p) * (v - self.v_k)
        return -(calcium + potassium) / self.tau, self.sigma * (n_inf - n) / self.tau, (s_inf - s) / self.tau_s

    def _steady(self, v: Any) -> tuple[Any, Any, Any]:
        """Whole current (mV) with n and S at rest at V, and these n and S."""
        _, n, s, _ = self._gates(v, np.exp)
        return -self.tau * self._slopes(v, n, s, np.exp)[0], n, s


def sample_times(duration: float, step: float, settle: float = 0.0) -> FloatArray:
    """Times ``0, step, ...`` of a recording, without its end, shape (round(duration/step),).

    Raises
    ------
    InputError
        If a time is not finite, the step is not positive, `settle` is negative, or there are fewer than two samples or
        more than `MAX_SAMPLES`.
    """
    for name, value in (("duration", duration), ("step", step), ("settle", settle)):
        if not math.isfinite(value):
            raise InputError(f"{name} = {value!r}: expected a finite number of seconds")
    if step <= 0 or settle < 0:
        raise InputError(
            f"step = {step} s, settle = {settle} s: expected a positive step and no negative settling time"
        )
    if duration / step > MAX_SAMPLES + 0.5:
        raise InputError(
            f"duration = {duration} s at a step of {step} s: {duration / step:.15g} samples; expected at most "
            f"{MAX_SAMPLES}"
        )
    number = round(duration / step)
    if number < 2:
        raise InputError(f"duration = {duration} s at a step of {step} s: expected at least two steps")
    return step * np.arange(number, dtype=np.float64)


def integrate(
    slopes: Callable[[float, FloatArray], Sequence[float]],
    start: FloatArray,
    times: FloatArray,
    *,
    rtol: float = 1e-9,
    atol: float = 1e-11,
) -> FloatArray:
    """Solution of ``du/dt = slopes(t, u)`` from `start` at time 0, at `times` (n,); shape (n, len(start)).

    LSODA of ODEPACK by `scipy.integrate.odeint`, whose loop over the steps is compiled: three times faster here than
    the same method in `solve_ivp`.

    Raises
    ------
    SimulationError
        If the solver gives up before the last time, or leaves the finite numbers.
    """
    begins = times[0] == 0.0
    grid = times if begins else np.concatenate([[0.0], times])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ODEintWarning)  # it is raised below
        try:
            solution, info = odeint(
                slopes, start, grid, tfirst=True, rtol=rtol, atol=atol, mxstep=1_000_000, full_output=True
            )
        except OverflowError:
            raise SimulationError("the solver gave up: numbers became too large") from None
    if info["message"] != "Integration successful." or not np.isfinite(solution).all():
        raise SimulationError(f"the solver gave up: {info['message']}")
    return np.asarray(solution if begins else solution[1:], dtype=np.float64)
