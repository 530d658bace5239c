"""What a neuron of nine coefficients does under a constant drive, in the few numbers that a bench reads.

Two lags of the amplifiers, which the coefficients leave out, act as a change of the capacitor of x: U3's makes it
larger by a share u, the multipliers' smaller by c x^2 (docs/neuron_circuit.md).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from analog_fhn import neuron
from analog_fhn._support.compiled import compiled
from analog_fhn.neuron import Coefficients, FloatArray

NAMES = ("x", "x2", "x3", "y", "y_rms", "high", "low", "period", "rise")
"""Numbers of a waveform: means of x, its square and cube and of y, rms of y about its mean, means of x above and below
0, period (T), and time (T) that x takes from -1/2 to 1 on its way up."""

_STEP = 0.2  # eps
_SETTLE, _WINDOW = 6.0, 14.0  # T
_LOW, _UP, _TOP = -0.5, 0.0, 1.0

_rates = njit(inline="always")(neuron.rates)


def waveform_numbers(
    neurons: Coefficients, drives: FloatArray, lag: tuple[FloatArray, FloatArray], start: tuple[float, float]
) -> FloatArray:
    """`NAMES` of each neuron under each drive, shape (len(NAMES), n_drives, n_neurons).

    A neuron whose rest point is stable is taken to rest there: of it period, rise, and means above and below 0 are NaN.
    Others are integrated (classical Runge-Kutta method), and averaged over whole periods.

    Parameters
    ----------
    drives
        Shape (n_drives, n_neurons).
    lag
        u and c, each of shape (n_neurons,).
    start
        x and y at the beginning.
    """
    x, y = neurons.rest_point(drives)
    rests = neurons.stable_at_rest(drives)
    numbers = np.full((len(NAMES), *drives.shape), np.nan)
    numbers[:5] = x, x**2, x**3, y, np.zeros_like(y)
    drive, index = np.nonzero(~rests)
    if len(index):
        p, q = neurons.p[index] / neurons.eps, neurons.q[index]
        coefficients = np.column_stack([p, q[:, 0] + q[:, 3] * drives[drive, index], q[:, 1:3]])
        h = _STEP * neurons.eps
        settle, steps = math.ceil(_SETTLE / h), math.ceil(_WINDOW / h)
        lags = np.column_stack([lag[0][index], lag[1][index]])
        numbers[:, drive, index] = _integrate(coefficients, lags, h, settle, steps, start[0], start[1]).T
    return numbers


@compiled(nogil=True)
def _integrate(c, lags, h, settle, steps, x0, y0):  # type: ignore[no-untyped-def]  # pragma: no cover
    """`NAMES` of neurons that oscillate, shape (n, len(NAMES)); NaN where there is no whole period."""
    found = np.full((len(c), 9), np.nan)
    for k in range(len(c)):
        p0, p1, p2, p3, p4, q0, q1, q2 = c[k]
        u, s = lags[k]
        x, y, armed, low_at, n, rises, rise, passing = x0, y0, False, 0.0, 0, 0, 0.0, False
        first, last, sums, whole, at_first = 0.0, 0.0, np.zeros(8), np.zeros(8), False
        for step in range(settle + steps):
            g = 1.0 / (1.0 + u - s * x * x)
            k1, l1 = _rates(x, y, p0, p1, p2, p3, p4, q0, q1, q2)
            k2, l2 = _rates(x + 0.5 * h * g * k1, y + 0.5 * h * l1, p0, p1, p2, p3, p4, q0, q1, q2)
            k3, l3 = _rates(x + 0.5 * h * g * k2, y + 0.5 * h * l2, p0, p1, p2, p3, p4, q0, q1, q2)
            k4, l4 = _rates(x + h * g * k3, y + h * l3, p0, p1, p2, p3, p4, q0, q1, q2)
            new_x = x + h * g / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            new_y = y + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
            if step >= settle:
                if x < _LOW:
                    armed = True
                    if new_x >= _LOW:
                        low_at, passing = step + (_LOW - x) / (new_x - x), True
                if passing and x < _TOP and new_x >= _TOP:
                    rise += step + (_TOP - x) / (new_x - x) - low_at
                    rises += 1
                    passing = False
                if armed and x < _UP and new_x >= _UP:
                    armed = False
                    last = step + (_UP - x) / (new_x - x)
                    whole[:] = sums
                    if not at_first:
                        at_first, first = True, last
                        sums[:] = 0.0
                        whole[:] = 0.0
                        n = 0
                    else:
                        n += 1
                if at_first:
                    mx, my = 0.5 * (x + new_x), 0.5 * (y + new_y)
                    sums[0] += mx
                    sums[1] += 0.5 * (x * x + new_x * new_x)
                    sums[2] += 0.5 * (x * x * x + new_x * new_x * new_x)
                    sums[3] += my
                    sums[4] += my * my
                    sums[7] += 1.0
                    if mx > 0.0:
                        sums[5] += mx
                        sums[6] += 1.0
            x, y = new_x, new_y
        if n > 0:
            total = whole[7]
            found[k, :4] = whole[:4] / total
            found[k, 4] = math.sqrt(max(whole[4] / total - (whole[3] / total) ** 2, 0.0))
            if whole[6] > 0.0 and whole[6] < total:
                found[k, 5] = whole[5] / whole[6]
                found[k, 6] = (whole[0] - whole[5]) / (total - whole[6])
            found[k, 7] = (last - first) * h / n
            if rises > 0:
                found[k, 8] = rise * h / rises
    return found
