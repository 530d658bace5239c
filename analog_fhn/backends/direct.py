"""Compiled fixed-step integrator: SIMD over neurons, all cores, stable for every drive.

Two methods share one loop. Ralston's explicit third-order Runge-Kutta method (Math. Comp. 16:431, 1962) serves
neurons whose fast rate stays within its stability limit. A linearly implicit Rosenbrock method (ROS2, L-stable;
Verwer, Spee, Blom and Hundsdorfer, SIAM J. Sci. Comput. 20:1456, 1999) serves the others, which rest at large x,
where an explicit step would diverge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from analog_fhn.backends.base import Response, SimulationError, check_drives
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.noise import Noise
from analog_fhn.neuron import Coefficients, FloatArray, Protocol

_BLOCK = 256  # neurons integrated together; their state and coefficients fit into the first-level cache
_GAMMA = np.float32(1.0 - math.sqrt(0.5))  # makes ROS2 L-stable
_EARLY = 5.0  # duration (T) of the first jumps from the initial state, where the implicit method steps finely too
_STABLE_PRODUCT = 2.3  # step times fast rate; third-order Runge-Kutta diverges at 2.51
_FAST = {"contract", "arcp", "nsz"}  # no reassociation: it would remove the compensated sum


@dataclass(frozen=True)
class Direct:
    """Fixed-step integration in single precision.

    Parameters
    ----------
    step_per_eps
        Largest explicit step in units of eps; after 5 T the implicit one is four times as long for neurons that
        rest. 0.5 keeps the period within 2e-4 and the waveform within 1e-3 of the exact ones (measured at eps =
        0.01). It is shortened to a whole number of steps per sampling interval.
    refine
        Divides the step; `refine=2` is the step-halving check.
    """

    step_per_eps: float = 0.5
    refine: int = 1
    name: str = "direct"

    def steps_per_sample(self, protocol: Protocol, eps: float) -> int:
        """Number of steps per sampling interval; never longer than 0.02 T."""
        step = min(self.step_per_eps * eps, 0.02)
        return self.refine * math.ceil(protocol.interval / step * (1.0 - 1e-9))

    def respond(
        self,
        chip: Chip,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron; see `Backend.respond`."""
        drives = check_drives(chip, drives)
        n_steps = self.steps_per_sample(protocol, chip.coefficients.eps)
        step = protocol.interval / n_steps
        mean = np.empty(drives.size, dtype=np.float64)
        traces = np.empty((protocol.n_samples if samples else 0, drives.size), dtype=np.float32)
        coefficients = _scaled(chip.coefficients)
        offsets = (chip.coefficients.q[:, 0] + chip.coefficients.q[:, 3] * drives).astype(np.float32).ravel()
        explicit = explicit_is_stable(chip.coefficients, drives, step).ravel()

        rest, _ = chip.coefficients.rest_point(drives)
        start = max(2.0, abs(protocol.x0), np.cbrt(3.0 * abs(protocol.y0)))
        # Beyond twice anything that the flow reaches from this start: a step was too long.
        limit = (2.0 * np.maximum(np.abs(rest), start) + 1.0).astype(np.float32).ravel()

        n_early = math.ceil(_EARLY / protocol.interval)

        def run(implicit: bool | None, index: NDArray[np.intp], n: int, early: int) -> None:
            _kernel(
                implicit,
                coefficients,
                offsets,
                index,
                np.float32(protocol.interval),
                n,
                early,
                n_early,
                protocol.n_settle,
                protocol.n_samples,
                np.float32(protocol.x0),
                np.float32(protocol.y0),
                limit,
                mean,
                traces,
            )

        run(None, np.flatnonzero(explicit), n_steps, n_steps)
        # A neuron at rest far out has no spikes that would ask for a short step.
        resting = chip.coefficients.stable_at_rest(drives).ravel()
        run(True, np.flatnonzero(~explicit & resting), (n_steps + 3) // 4, n_steps)
        run(True, np.flatnonzero(~explicit & ~resting), n_steps, n_steps)
        bad = np.flatnonzero(~np.isfinite(mean))
        for shorter in (4, 16, 64):
            if bad.size:
                run(True, bad, n_steps * shorter, n_steps * shorter)
                bad = np.flatnonzero(~np.isfinite(mean))
        if bad.size:
            image, neuron = divmod(int(bad[0]), chip.n_neurons)
            raise SimulationError(
                f"direct: {bad.size} neurons diverged, the first is neuron {neuron} of image {image} at drive "
                f"{drives[image, neuron]:g}"
            )
        if progress is not None:
            progress(drives.size, drives.size)
        shape = drives.shape
        return Response(mean.reshape(shape), traces.reshape(-1, *shape) if samples else None)


def explicit_is_stable(coefficients: Coefficients, drives: FloatArray, step: float) -> NDArray[np.bool_]:
    """Whether the explicit method is stable: step times the fast rate at the largest |x| stays below its limit.

    Parameters
    ----------
    drives
        Shape (n_images, n_neurons).

    Returns
    -------
    ndarray
        Shape (n_images, n_neurons).
    """
    return np.asarray(step * coefficients.fast_rate(drives) < _STABLE_PRODUCT)


def _scaled(coefficients: Coefficients) -> NDArray[np.float32]:
    """Coefficients of dx/dt and dy/dt, shape (7, n_neurons): p0..p4 over eps, q1, q2."""
    p = coefficients.p / coefficients.eps
    return np.ascontiguousarray(np.column_stack([p, coefficients.q[:, 1:3]]).T, dtype=np.float32)


@njit(inline="always", fastmath=_FAST)
def _kutta(x, y, c, h, p0, p1, p2, p3, p4, q0, q1, q2):  # type: ignore[no-untyped-def]
    # Ralston's third-order method: nodes 0, 1/2, 3/4, weights 2/9, 3/9, 4/9
    half = np.float32(0.5) * h
    three_quarters = np.float32(0.75) * h
    ninth = h * np.float32(1.0 / 9.0)
    k1 = p0 + p4 * y + x * (p1 + x * (p2 + x * p3))
    l1 = q0 + q1 * x + q2 * y
    xs = x + half * k1
    ys = y + half * l1
    k2 = p0 + p4 * ys + xs * (p1 + xs * (p2 + xs * p3))
    l2 = q0 + q1 * xs + q2 * ys
    xs = x + three_quarters * k2
    ys = y + three_quarters * l2
    k3 = p0 + p4 * ys + xs * (p1 + xs * (p2 + xs * p3))
    l3 = q0 + q1 * xs + q2 * ys
    two = np.float32(2.0)
    three = np.float32(3.0)
    four = np.float32(4.0)
    return x + ninth * (two * k1 + three * k2 + four * k3), y + ninth * (two * l1 + three * l2 + four * l3), c


@njit(inline="always", fastmath=_FAST)
def _rosenbrock(x, y, c, h, p0, p1, p2, p3, p4, q0, q1, q2):  # type: ignore[no-untyped-def]
    # (1 - gamma h J) k1 = h f(u);  (1 - gamma h J) k2 = h f(u + k1) - 2 k1;  u += 3/2 k1 + 1/2 k2
    g = h * _GAMMA
    a11 = np.float32(1.0) - g * (p1 + x * (np.float32(2.0) * p2 + x * (np.float32(3.0) * p3)))
    a12 = -g * p4
    a21 = -g * q1
    a22 = np.float32(1.0) - g * q2
    inverse = np.float32(1.0) / (a11 * a22 - a12 * a21)
    r = h * (p0 + p4 * y + x * (p1 + x * (p2 + x * p3)))
    s = h * (q0 + q1 * x + q2 * y)
    kx = (a22 * r - a12 * s) * inverse
    ky = (a11 * s - a21 * r) * inverse
    x1 = x + kx
    y1 = y + ky
    r = h * (p0 + p4 * y1 + x1 * (p1 + x1 * (p2 + x1 * p3))) - np.float32(2.0) * kx
    s = h * (q0 + q1 * x1 + q2 * y1) - np.float32(2.0) * ky
    lx = (a22 * r - a12 * s) * inverse
    ly = (a11 * s - a21 * r) * inverse
    # At rest y creeps by less than its own rounding: Kahan's compensated sum keeps it moving.
    increment = np.float32(1.5) * ky + np.float32(0.5) * ly - c
    total = y + increment
    return x + np.float32(1.5) * kx + np.float32(0.5) * lx, total, (total - y) - increment


# `implicit` is None or True: Numba compiles the two cases apart and drops the other branch. A kernel made by a
# function would not be found in the cache on disk.
@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    implicit,
    coefficients,
    offsets,
    index,
    interval,
    n_late,
    early_steps,
    n_early,
    n_settle,
    n_samples,
    x0,
    y0,
    limit,
    mean,
    traces,
):
    n_neurons = coefficients.shape[1]
    n_blocks = (index.size + _BLOCK - 1) // _BLOCK
    for block in prange(n_blocks):
        start = block * _BLOCK
        n = min(_BLOCK, index.size - start)
        p = np.zeros((8, _BLOCK), dtype=np.float32)
        x = np.full(_BLOCK, x0, dtype=np.float32)
        y = np.full(_BLOCK, y0, dtype=np.float32)
        c = np.zeros(_BLOCK, dtype=np.float32)
        total = np.zeros(_BLOCK, dtype=np.float32)
        integral = np.zeros(_BLOCK, dtype=np.float64)
        peak = np.zeros(_BLOCK, dtype=np.float32)
        for i in range(_BLOCK):
            flat = index[start + min(i, n - 1)]
            for k in range(7):
                p[k, i] = coefficients[k, flat % n_neurons]
            p[7, i] = offsets[flat]
        p0, p1, p2, p3, p4, q1, q2, q0 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
        for sample in range(n_settle + n_samples):
            n_steps = early_steps if sample < n_early else n_late
            h = interval / np.float32(n_steps)
            total[:] = np.float32(0.5) * x
            for _ in range(n_steps):
                for i in range(_BLOCK):
                    if implicit is None:
                        x[i], y[i], c[i] = _kutta(
                            x[i], y[i], c[i], h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i]
                        )
                    else:
                        x[i], y[i], c[i] = _rosenbrock(
                            x[i], y[i], c[i], h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i]
                        )
                    total[i] += x[i]
                    peak[i] = max(peak[i], abs(x[i]))
            if sample >= n_settle:
                for i in range(_BLOCK):
                    integral[i] += (total[i] - np.float32(0.5) * x[i]) / np.float32(n_steps)
                if traces.shape[0] > 0:
                    for i in range(n):
                        traces[sample - n_settle, index[start + i]] = x[i]
        for i in range(n):
            flat = index[start + i]
            mean[flat] = integral[i] / n_samples if peak[i] < limit[flat] else np.nan
