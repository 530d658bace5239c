"""Compiled fixed-step integrator: SIMD over neurons, all cores, stable for every drive.

Two methods share one loop. Ralston's explicit third-order Runge-Kutta method (Math. Comp. 16:431, 1962) serves
neurons whose fast rate stays within its stability limit. A linearly implicit Rosenbrock method (ROS2, L-stable;
Verwer, Spee, Blom and Hundsdorfer, SIAM J. Sci. Comput. 20:1456, 1999) serves the others, which rest at large x,
where an explicit step would diverge.

Noise is added by Strang's splitting: a step of the method, then an independent kick of variance sigma^2 h. At a sample
the kick is drawn in two parts, one before and one after it. A kick takes three values (Kloeden and Platen, Numerical
Solution of Stochastic Differential Equations, section 14.2), cut from one random integer for x and y: moments are those
of a normal variable up to order 5, which weak order 2 asks for, and nothing in the loop is transcendental.

1/f noise (`analog_fhn.noise.Flicker`) adds to both rates, from sampling interval to sampling interval, the mean of its
relaxations over the interval, so that its integral over whole intervals is exact. It has a random stream of its own:
white noise is the same with it and without.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled
from analog_fhn.backends.base import Response, check_drives, check_noise
from analog_fhn.backends.direct.steps import FAST, GAMMA, kutta, rosenbrock
from analog_fhn.backends.direct.transconductors import window_responses
from analog_fhn.cell.base import Cells
from analog_fhn.errors import SimulationError
from analog_fhn.neuron import Coefficients, FloatArray, Protocol, coefficients_of, fast_slope
from analog_fhn.noise import Noise
from analog_fhn.transconductors import TransconductorDynamics

_BLOCK = 256  # neurons integrated together; their state and coefficients fit into the first-level cache
_EARLY = 5.0  # duration (T) of the first jumps from the initial state, where the implicit method steps finely too
_STABLE_PRODUCT = 2.3  # step times fast rate; third-order Runge-Kutta diverges at 2.51
_NOISY_PRODUCT = 1.0  # the same with noise, whose kicks carry x beyond the range that the rate is taken over
# Three-point variable: 10923 of the 65536 values of 16 bits are positive, as many negative (a sixth each up to 3e-5),
# scaled so that the variance is exactly 1.
_SIXTH = np.uint32(10923)
_LAST_SIXTH = np.uint32(65536 - 10923)
_KICK = math.sqrt(65536 / (2 * 10923))
_FLICKER = np.uint64(0x6A09E667F3BCC909)  # turns a seed of white noise into that of 1/f noise


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
    noisy_step_per_eps
        Largest step in units of eps where there is noise. At 0.2 the rate of noise-driven spikes and the mean square
        of x agree with those at 0.05 within 0.5 % and 0.1 %, the statistical errors (sigma_x 0.25 to 2, sigma_y 0.02
        to 0.3 at eps = 0.01); at 0.5 the mean square is 0.4 % low.
    """

    step_per_eps: float = 0.5
    refine: int = 1
    noisy_step_per_eps: float = 0.2
    name: str = "direct"

    def steps_per_sample(self, protocol: Protocol, eps: float, noisy: bool = False) -> int:
        """Number of steps per sampling interval; never longer than 0.02 T."""
        step = min((self.noisy_step_per_eps if noisy else self.step_per_eps) * eps, 0.02)
        return self.refine * math.ceil(protocol.interval / step * (1.0 - 1e-9))

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron; see `Backend.respond`."""
        drives = check_drives(cells, drives)
        check_noise(cells, noise)
        if isinstance(cells.dynamics, TransconductorDynamics):
            n_steps = self.steps_per_sample(protocol, cells.dynamics.eps)
            means, traces = window_responses(cells.dynamics, drives, protocol, n_steps, samples)
            return _response(drives, means, traces if samples else None, progress)
        dynamics = coefficients_of(cells.dynamics, self.name)
        n_steps = self.steps_per_sample(protocol, dynamics.eps, noise is not None)
        step = protocol.interval / n_steps
        mean = np.empty(drives.size, dtype=np.float64)
        traces = np.empty((protocol.n_samples if samples else 0, drives.size), dtype=np.float32)
        coefficients = scaled(dynamics)
        offsets = (dynamics.q[:, 0] + dynamics.q[:, 3] * drives).astype(np.float32).ravel()
        margin = 1.0 if noise is None else _STABLE_PRODUCT / _NOISY_PRODUCT
        explicit = explicit_is_stable(dynamics, drives, step * margin).ravel()

        rest, _ = dynamics.rest_point(drives)
        start = max(2.0, abs(protocol.x0), np.cbrt(3.0 * abs(protocol.y0)))
        # Beyond twice anything that the flow reaches from this start: a step was too long.
        limit = 2.0 * np.maximum(np.abs(rest), start) + 1.0
        sigma = slow = steps = None
        if noise is not None:
            # Within a few eps, a small part of T, x is drawn back: ten times what noise does alone in T is far out.
            limit += 10.0 * (noise.x + noise.y)
            sigma = np.stack([noise.x, noise.y]).astype(np.float32)
            slow, steps = np.zeros_like(sigma), np.zeros((6, 0), dtype=np.float32)
            if noise.flicker is not None:
                limit += 10.0 * noise.flicker.deviation * (noise.flicker.x + noise.flicker.y)
                slow = np.stack([noise.flicker.x, noise.flicker.y]).astype(np.float32)
                steps = noise.flicker.steps(protocol.interval)
        limit = limit.astype(np.float32).ravel()

        n_early = math.ceil(_EARLY / protocol.interval)

        def run(implicit: bool | None, index: NDArray[np.intp], n: int, early: int) -> None:
            share = None
            if noise is not None:
                share = _share_before_sample(dynamics, drives, protocol.interval / n, implicit is not None)
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
                sigma,
                share,
                slow,
                steps,
                np.uint64(0 if noise is None else noise.seed),
                np.uint64(0 if noise is None else noise.first_image),
                mean,
                traces,
            )

        # A neuron at rest far out has no spikes that would ask for a short step.
        resting = dynamics.stable_at_rest(drives).ravel()
        if noise is None:
            run(None, np.flatnonzero(explicit), n_steps, n_steps)
            run(True, np.flatnonzero(~explicit & resting), (n_steps + 3) // 4, n_steps)
            run(True, np.flatnonzero(~explicit & ~resting), n_steps, n_steps)
        else:
            finer, stable = _refinement(dynamics, noise, step)
            finer, stable = np.tile(finer, len(drives)), np.tile(stable, len(drives))
            for factor in np.unique(finer):
                for implicit in (None, True):
                    chosen = (finer == factor) & ((explicit & stable) == (implicit is None))
                    run(implicit, np.flatnonzero(chosen), n_steps * factor, n_steps * factor)
        bad = np.flatnonzero(~np.isfinite(mean))
        for shorter in (4, 16, 64):
            if bad.size:
                run(True, bad, n_steps * shorter, n_steps * shorter)
                bad = np.flatnonzero(~np.isfinite(mean))
        return _response(drives, mean, traces if samples else None, progress)


def _response(
    drives: FloatArray,
    mean: FloatArray,
    traces: NDArray[np.float32] | None,
    progress: Callable[[int, int], None] | None,
) -> Response:
    """Means (n_images n_neurons,), NaN of neurons that diverged, and samples as a response.

    Raises
    ------
    SimulationError
        If a neuron diverged.
    """
    bad = np.flatnonzero(~np.isfinite(mean))
    if bad.size:
        image, neuron = divmod(int(bad[0]), drives.shape[1])
        raise SimulationError(
            f"direct: {bad.size} neurons diverged, the first is neuron {neuron} of image {image} at drive "
            f"{drives[image, neuron]:g}"
        )
    if progress is not None:
        progress(drives.size, drives.size)
    return Response(mean.reshape(drives.shape), None if traces is None else traces.reshape(-1, *drives.shape))


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


def _refinement(coefficients: Coefficients, noise: Noise, step: float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """By how much strong noise divides each neuron's step, 1 to 8, and whether the explicit method is stable then.

    Strong noise carries a neuron beyond its spikes, where its fast rate is larger. How far follows from the
    equilibrium densities, down to exp(-18) of their peak: for x in ``V = x^4/(12 eps)``, of which exp(-2 V/sigma^2) is
    the density; for y, with x at the cube root of 3 y, in ``V = 3^(4/3)/4 y^(4/3)``.
    """
    y = (18.0 * noise.y**2 / (2.0 * 3.0 ** (4.0 / 3.0) / 4.0)) ** 0.75
    x = (108.0 * coefficients.eps * noise.x**2) ** 0.25 + np.cbrt(3.0 * y)
    product = step * np.maximum(3.0 * np.abs(coefficients.p[:, 3]) * x**2 - np.abs(coefficients.p[:, 1]), 0.0)
    product /= coefficients.eps * _NOISY_PRODUCT
    finer = 2 ** np.clip(np.ceil(np.log2(np.maximum(product, 1.0))), 0, 3).astype(np.intp)
    return finer, product <= finer


def _share_before_sample(
    coefficients: Coefficients, drives: FloatArray, step: float, implicit: bool
) -> NDArray[np.float32]:
    """Share of the kick at a sample that is drawn before it, shape (drives.size,).

    Any share makes the same process; the sampled variance depends on it. A half is right to first order in the step.
    Where x rests with the fast rate r and the method damps it by R(r h), kicks of variance s^2 h leave it with
    R^2 s^2 h/(1 - R^2) before the next one; the share that adds up to the exact s^2/(2 r) is
    ``1/(2 r h) - R^2/(1 - R^2)``: a half for small r h, and 1/(2 r h) for a stiff neuron.
    """
    x, _ = coefficients.rest_point(drives)
    _, p1, p2, p3, _ = coefficients.p.T
    z = step * fast_slope(x, p1, p2, p3) / coefficients.eps
    if implicit:
        gamma = float(GAMMA)
        damping = (1.0 + (1.0 - 2.0 * gamma) * z) / (1.0 - gamma * z) ** 2
    else:
        damping = 1.0 + z + z**2 / 2.0 + z**3 / 6.0
    with np.errstate(divide="ignore", invalid="ignore"):
        share = -0.5 / z - damping**2 / (1.0 - damping**2)
    share = np.where(coefficients.stable_at_rest(drives) & (z < -1e-3), np.clip(share, 0.0, 0.5), 0.5)
    return np.asarray(share, dtype=np.float32).ravel()


def scaled(coefficients: Coefficients) -> NDArray[np.float32]:
    """Coefficients of dx/dt and dy/dt, shape (7, n_neurons): p0..p4 over eps, q1, q2."""
    p = coefficients.p / coefficients.eps
    return np.ascontiguousarray(np.column_stack([p, coefficients.q[:, 1:3]]).T, dtype=np.float32)


@njit(inline="always", fastmath=FAST)
def _add(y, increment):  # type: ignore[no-untyped-def]
    # Kahan's compensated sum: at rest y creeps by less than its own rounding, and so may kicks be.
    total = y + increment
    return total, (total - y) - increment


@njit(inline="always")
def _mix(z):  # type: ignore[no-untyped-def]
    # The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always")
def _next(a, b, c, d):  # type: ignore[no-untyped-def]
    # sfc32 (Doty-Humphrey, PractRand): 32 bits wide like the floats beside it, and neither multiplies nor branches
    word = np.uint32(np.uint32(a + b) + d)
    return (
        word,
        np.uint32(b ^ (b >> np.uint32(9))),
        np.uint32(c + np.uint32(c << np.uint32(3))),
        np.uint32(np.uint32(np.uint32(c << np.uint32(21)) | (c >> np.uint32(11))) + word),
        np.uint32(d + np.uint32(1)),
    )


@njit(inline="always")
def _three_points(bits):  # type: ignore[no-untyped-def]
    # -1, 0 or 1 from 16 random bits
    return np.float32(np.int32(bits < _SIXTH) - np.int32(bits >= _LAST_SIXTH))


@njit
def _start_stream(seed, image, neuron):  # type: ignore[no-untyped-def]
    """State of a lane's random stream, four uint32: a function of seed, image and neuron alone."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    z = _mix(seed + golden)
    z = _mix((z ^ image) + golden)
    z = _mix((z ^ neuron) + golden)
    w = _mix(z + golden)
    low = np.uint64(0xFFFFFFFF)
    a, b, c, d = np.uint32(z & low), np.uint32(z >> np.uint64(32)), np.uint32(w & low), np.uint32(1)
    for _ in range(12):
        _, a, b, c, d = _next(a, b, c, d)
    return a, b, c, d


@njit
def _start_flicker(state, deviations, seed, image, neuron):  # type: ignore[no-untyped-def]
    """Fill `state`, shape (2 for x and y, n), with normal values of a lane's relaxations, and return its stream."""
    a, b, c, d = _start_stream(seed ^ _FLICKER, image, neuron)
    for k in range(deviations.size):
        one, a, b, c, d = _next(a, b, c, d)
        other, a, b, c, d = _next(a, b, c, d)
        # Box and Muller, Ann. Math. Stat. 29:610, 1958
        radius = deviations[k] * math.sqrt(-2.0 * math.log((one + 0.5) / 4294967296.0))
        angle = 2.0 * math.pi * other / 4294967296.0
        state[0, k] = radius * math.cos(angle)
        state[1, k] = radius * math.sin(angle)
    return a, b, c, d


@njit
def _next_flicker(state, steps, a, b, c, d):  # type: ignore[no-untyped-def]
    """Means over an interval of the sums of relaxations of x and of y, which go on by it; and the stream."""
    unit = np.float32(_KICK)
    of_x = of_y = np.float32(0.0)
    for k in range(steps.shape[1]):
        word, a, b, c, d = _next(a, b, c, d)
        shared, own = unit * _three_points(word & np.uint32(0xFFFF)), unit * _three_points(word >> np.uint32(16))
        of_x += steps[2, k] * state[0, k] + steps[3, k] * shared + steps[4, k] * own
        state[0, k] = steps[0, k] * state[0, k] + steps[1, k] * shared
        word, a, b, c, d = _next(a, b, c, d)
        shared, own = unit * _three_points(word & np.uint32(0xFFFF)), unit * _three_points(word >> np.uint32(16))
        of_y += steps[2, k] * state[1, k] + steps[3, k] * shared + steps[4, k] * own
        state[1, k] = steps[0, k] * state[1, k] + steps[1, k] * shared
    return of_x, of_y, a, b, c, d


# `implicit` is None or True; `sigma`, `share`, `slow` and `steps` None or arrays: Numba compiles the cases apart, and
# drops the other branches. A kernel made by a function would not be found in the cache on disk.
@compiled(parallel=True, fastmath=FAST, error_model="numpy")
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
    sigma,
    share,
    slow,
    steps,
    seed,
    first_image,
    mean,
    traces,
):
    """Integrate the neurons `index` over all sampling intervals; fills `mean` and `traces`, NaN where x leaves `limit`.

    An interval has `early_steps` steps in the first `n_early` intervals, `n_late` later. The mean of x is the integral
    over the sampled intervals: by trapezoids without noise, else by what each step makes of dm/dt = x. With noise a
    step is one of the method and then a kick; the kick at a sample is `share` of one before it, the rest after it.
    `slow` holds the intensities of 1/f noise, `steps` how its relaxations go on (`Flicker.steps`), if there are any.
    """
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
        if sigma is not None:
            random = np.zeros((4, _BLOCK), dtype=np.uint32)
            kick = np.zeros((6, _BLOCK), dtype=np.float32)  # of x, y: within an interval, before, after a sample
            # A kick has the variance sigma^2 h, shared before and after a sample as `share` and 1 - `share`.
            root = math.sqrt(interval / n_late) * _KICK
            for i in range(_BLOCK):
                flat = index[start + min(i, n - 1)]
                image, neuron = first_image + np.uint64(flat // n_neurons), np.uint64(flat % n_neurons)
                random[0, i], random[1, i], random[2, i], random[3, i] = _start_stream(seed, image, neuron)
                for k in range(2):
                    kick[k, i] = sigma[k, flat % n_neurons] * root
                    kick[2 + k, i] = kick[k, i] * math.sqrt(share[flat])
                    kick[4 + k, i] = kick[k, i] * math.sqrt(np.float32(1.0) - share[flat])
            cx = np.zeros(_BLOCK, dtype=np.float32)
            s0, s1, s2, s3 = random[0], random[1], random[2], random[3]
        if sigma is not None:
            relaxing = np.zeros((_BLOCK, 2, steps.shape[1]), dtype=np.float32)
            stream = np.zeros((_BLOCK, 4), dtype=np.uint32)
            constant = np.zeros((4, _BLOCK), dtype=np.float32)  # rates without 1/f noise; its intensities, of x and y
            for i in range(_BLOCK):
                flat = index[start + min(i, n - 1)]
                image, neuron = first_image + np.uint64(flat // n_neurons), np.uint64(flat % n_neurons)
                state = _start_flicker(relaxing[i], steps[5], seed, image, neuron)
                stream[i, 0], stream[i, 1], stream[i, 2], stream[i, 3] = state
                constant[0, i], constant[1, i] = p[0, i], p[7, i]
                constant[2, i], constant[3, i] = slow[0, flat % n_neurons], slow[1, flat % n_neurons]
        p0, p1, p2, p3, p4, q1, q2, q0 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
        for sample in range(n_settle + n_samples):
            n_steps = early_steps if sample < n_early else n_late
            h = interval / np.float32(n_steps)
            if sigma is not None:
                for i in range(_BLOCK):
                    of_x, of_y, stream[i, 0], stream[i, 1], stream[i, 2], stream[i, 3] = _next_flicker(
                        relaxing[i], steps, stream[i, 0], stream[i, 1], stream[i, 2], stream[i, 3]
                    )
                    p0[i] = constant[0, i] + constant[2, i] * of_x
                    q0[i] = constant[1, i] + constant[3, i] * of_y
            # Trapezoids of the interval: x_0/2 + x_1 + ... + x_n - x_n/2, the last term below
            if sigma is None:
                total[:] = np.float32(0.5) * x
            else:
                total[:] = np.float32(0.0)
                for i in range(_BLOCK):
                    word, s0[i], s1[i], s2[i], s3[i] = _next(s0[i], s1[i], s2[i], s3[i])
                    x[i], cx[i] = _add(x[i], kick[4, i] * _three_points(word & np.uint32(0xFFFF)) - cx[i])
                    y[i], c[i] = _add(y[i], kick[5, i] * _three_points(word >> np.uint32(16)) - c[i])
            for step in range(n_steps):
                if sigma is not None:
                    last = 2 if step == n_steps - 1 else 0
                    kick_x, kick_y = kick[last], kick[last + 1]
                for i in range(_BLOCK):
                    if implicit is None:
                        kx, ky, mx = kutta(x[i], y[i], h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i])
                    else:
                        kx, ky, lx, ly, mx = rosenbrock(
                            x[i], y[i], h, p0[i], p1[i], p2[i], p3[i], p4[i], q0[i], q1[i], q2[i]
                        )
                    # u += k explicitly, u += 3/2 k1 + 1/2 k2 implicitly (`steps`); with noise sigma dW besides
                    if sigma is None:
                        if implicit is None:
                            x[i] += kx
                            y[i] += ky
                        else:
                            x[i] = x[i] + np.float32(1.5) * kx + np.float32(0.5) * lx
                            y[i], c[i] = _add(y[i], np.float32(1.5) * ky + np.float32(0.5) * ly - c[i])
                        total[i] += x[i]
                    else:
                        if implicit is not None:
                            kx = np.float32(1.5) * kx + np.float32(0.5) * lx
                            ky = np.float32(1.5) * ky + np.float32(0.5) * ly
                        # A kick is a jump, and a stiff neuron is back within the step: no trapezoid serves here.
                        total[i] += x[i] + mx
                        word, s0[i], s1[i], s2[i], s3[i] = _next(s0[i], s1[i], s2[i], s3[i])
                        x[i], cx[i] = _add(x[i], kx + kick_x[i] * _three_points(word & np.uint32(0xFFFF)) - cx[i])
                        y[i], c[i] = _add(y[i], ky + kick_y[i] * _three_points(word >> np.uint32(16)) - c[i])
                    peak[i] = max(peak[i], abs(x[i]))
            if sample >= n_settle:
                for i in range(_BLOCK):
                    if sigma is None:
                        integral[i] += (total[i] - np.float32(0.5) * x[i]) / np.float32(n_steps)
                    else:
                        integral[i] += total[i] / np.float32(n_steps)
                if traces.shape[0] > 0:
                    for i in range(n):
                        traces[sample - n_settle, index[start + i]] = x[i]
        for i in range(n):
            flat = index[start + i]
            mean[flat] = integral[i] / n_samples if peak[i] < limit[flat] else np.nan
