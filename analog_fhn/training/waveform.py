"""Waveforms of FHN neurons in JAX, for training with the neurons themselves in the forward pass.

The methods are those of `analog_fhn.backends.direct.steps`, on whole arrays: Ralston's explicit third-order method, and
the L-stable ROS2 where neurons rest far out. This module loads JAX, so it is imported on demand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from analog_fhn.neuron import Protocol, fast_slope, rates

if TYPE_CHECKING:
    from collections.abc import Callable

    State = tuple[jax.Array, jax.Array, jax.Array]
    Flow = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    Advance = Callable[[int, State], State]

_GAMMA = 1.0 - math.sqrt(0.5)  # makes ROS2 L-stable
_LONGEST = 0.02  # largest step (T)
_UNROLL = 2  # steps that XLA fuses into one pass over the neurons


def steps_per_sample(protocol: Protocol, eps: float, step: float | None = None) -> int:
    """Number of steps per sampling interval.

    Parameters
    ----------
    step
        Longest step (T); None: half of eps, and never more than 0.02, as the backend `direct` has it.
    """
    longest = min(0.5 * eps, _LONGEST) if step is None else step
    return math.ceil(protocol.interval / longest * (1.0 - 1e-9))


def simulate(
    drive: ArrayLike,
    p: ArrayLike,
    q: ArrayLike,
    eps: float | jax.Array,
    protocol: Protocol,
    *,
    step: float | None = None,
    implicit: bool = False,
) -> jax.Array:
    """x(t) of FHN neurons under constant drives, by a fixed step in single precision.

    ``dx/dt = (p0 + p1 x + p2 x^2 + p3 x^3 + p4 y)/eps``,  ``dy/dt = q0 + q1 x + q2 y + q3 I``   (time in units of T)

    Parameters
    ----------
    drive
        Constant drives I, shape (..., n_neurons), dimensionless.
    p, q
        Coefficients (see `analog_fhn.neuron.Coefficients`), shapes (n_neurons, 5) and (n_neurons, 4), or (5,) and (4,)
        if all neurons are alike.
    eps
        Time-scale ratio; a traced scalar will do if `step` is given.
    protocol
        Initial state, settling time, control window and sampling interval.
    step
        Longest step (T), shortened to a whole number of steps per sampling interval; None: half of eps.
    implicit
        Use the linearly implicit method, which is stable for every drive and costs twice as much. The explicit one is
        stable while step times ``Coefficients.fast_rate`` stays below 2.5: at half of eps up to ``|x| = 2.4``, that is
        for ``|a + I| < 2.4``.

    Returns
    -------
    jax.Array
        float32, shape (protocol.n_samples, *drive.shape): x at `protocol.sample_times`.

    Notes
    -----
    Fit for `jax.jit` with `protocol`, `step` and `implicit` static, and without `step` also `eps`. Not meant to be
    differentiated: gradients through spikes explode.
    """
    drive = jnp.asarray(drive, jnp.float32)
    p0, p1, p2, p3, p4 = (jnp.asarray(p, jnp.float32)[..., k] / eps for k in range(5))
    q0, q1, q2, q3 = (jnp.asarray(q, jnp.float32)[..., k] for k in range(4))
    constant = q0 + q3 * drive
    n_steps = steps_per_sample(protocol, float(eps) if step is None else 0.0, step)
    h = jnp.float32(protocol.interval / n_steps)

    def flow(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return rates(x, y, p0, p1, p2, p3, p4, constant, q1, q2)

    def slope(x: jax.Array) -> jax.Array:
        return fast_slope(x, p1, p2, p3)

    advance = _rosenbrock(flow, slope, (p4, q1, q2), h) if implicit else _kutta(flow, h)

    def interval(state: State) -> State:
        following: State = lax.fori_loop(0, n_steps, advance, state, unroll=min(_UNROLL, n_steps))
        return following

    def sample(state: State, _: None) -> tuple[State, jax.Array]:
        state = interval(state)
        return state, state[0]

    full = jnp.ones_like(constant)
    start = full * protocol.x0, full * protocol.y0, jnp.zeros_like(constant)
    settled = lax.fori_loop(0, protocol.n_settle, lambda _k, state: interval(state), start)
    samples: jax.Array = lax.scan(sample, settled, None, length=protocol.n_samples)[1]
    return samples


def _kutta(flow: Flow, h: jax.Array) -> Advance:
    """Step of Ralston's explicit third-order method."""

    def advance(_k: int, state: State) -> State:
        x, y, c = state
        k1, l1 = flow(x, y)
        xs, ys = x + 0.5 * h * k1, y + 0.5 * h * l1
        k2, l2 = flow(xs, ys)
        xs, ys = x + 0.75 * h * k2, y + 0.75 * h * l2
        k3, l3 = flow(xs, ys)
        ninth = h / 9.0
        return x + ninth * (2.0 * k1 + 3.0 * k2 + 4.0 * k3), y + ninth * (2.0 * l1 + 3.0 * l2 + 4.0 * l3), c

    return advance


def _rosenbrock(
    flow: Flow,
    slope: Callable[[jax.Array], jax.Array],
    others: tuple[jax.Array, jax.Array, jax.Array],
    h: jax.Array,
) -> Advance:
    """Step of the linearly implicit ROS2.

    Parameters
    ----------
    slope, others
        Jacobian: derivative of dx/dt with respect to x at x; that with respect to y, and those of dy/dt.
    """

    def advance(_k: int, state: State) -> State:
        x, y, c = state
        # (1 - gamma h J) k1 = h f(u);  (1 - gamma h J) k2 = h f(u + k1) - 2 k1;  u += 3/2 k1 + 1/2 k2
        g = h * _GAMMA
        a11 = 1.0 - g * slope(x)
        a12, a21, a22 = -g * others[0], -g * others[1], 1.0 - g * others[2]
        inverse = 1.0 / (a11 * a22 - a12 * a21)
        r, s = (h * rate for rate in flow(x, y))
        kx, ky = (a22 * r - a12 * s) * inverse, (a11 * s - a21 * r) * inverse
        r, s = (h * rate - 2.0 * k for rate, k in zip(flow(x + kx, y + ky), (kx, ky), strict=True))
        lx, ly = (a22 * r - a12 * s) * inverse, (a11 * s - a21 * r) * inverse
        # Kahan's compensated sum: at rest y creeps by less than the sum's rounding.
        increment = 1.5 * ky + 0.5 * ly - c
        total = y + increment
        return x + 1.5 * kx + 0.5 * lx, total, (total - y) - increment

    return advance
