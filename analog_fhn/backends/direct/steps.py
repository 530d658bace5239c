"""One step of the FHN equations, for compiled loops over neurons: an explicit method and a linearly implicit one.

Coefficients are those of dx/dt and dy/dt themselves: p0..p4 over eps, q0 with the drive in it, q1, q2. Both return the
increments, and by how much the mean of x over the step differs from x at its beginning: what they make of dm/dt = x.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from analog_fhn import neuron

GAMMA = np.float32(1.0 - math.sqrt(0.5))  # makes ROS2 L-stable
FAST = {"contract", "arcp", "nsz"}  # no reassociation: it would remove compensated sums


rates = njit(inline="always", fastmath=FAST)(neuron.rates)
fast_slope = njit(inline="always", fastmath=FAST)(neuron.fast_slope)


@njit(inline="always", fastmath=FAST)
def kutta(x, y, h, p0, p1, p2, p3, p4, q0, q1, q2):  # type: ignore[no-untyped-def]
    """Ralston's third-order method: nodes 0, 1/2, 3/4, weights 2/9, 3/9, 4/9 (Math. Comp. 16:431, 1962)."""
    half = np.float32(0.5) * h
    three_quarters = np.float32(0.75) * h
    ninth = h * np.float32(1.0 / 9.0)
    k1, l1 = rates(x, y, p0, p1, p2, p3, p4, q0, q1, q2)
    xs = x + half * k1
    ys = y + half * l1
    k2, l2 = rates(xs, ys, p0, p1, p2, p3, p4, q0, q1, q2)
    xs = x + three_quarters * k2
    ys = y + three_quarters * l2
    k3, l3 = rates(xs, ys, p0, p1, p2, p3, p4, q0, q1, q2)
    two = np.float32(2.0)
    three = np.float32(3.0)
    four = np.float32(4.0)
    mean = h * (np.float32(1.0 / 6.0) * k1 + np.float32(1.0 / 3.0) * k2)
    return ninth * (two * k1 + three * k2 + four * k3), ninth * (two * l1 + three * l2 + four * l3), mean


@njit(inline="always", fastmath=FAST)
def rosenbrock(x, y, h, p0, p1, p2, p3, p4, q0, q1, q2):  # type: ignore[no-untyped-def]
    """ROS2, L-stable (Verwer, Spee, Blom and Hundsdorfer, SIAM J. Sci. Comput. 20:1456, 1999)."""
    # (1 - gamma h J) k1 = h f(u);  (1 - gamma h J) k2 = h f(u + k1) - 2 k1;  u += 3/2 k1 + 1/2 k2
    g = h * GAMMA
    a11 = np.float32(1.0) - g * fast_slope(x, p1, p2, p3)
    a12 = -g * p4
    a21 = -g * q1
    a22 = np.float32(1.0) - g * q2
    inverse = np.float32(1.0) / (a11 * a22 - a12 * a21)
    dx, dy = rates(x, y, p0, p1, p2, p3, p4, q0, q1, q2)
    r, s = h * dx, h * dy
    kx = (a22 * r - a12 * s) * inverse
    ky = (a11 * s - a21 * r) * inverse
    x1 = x + kx
    y1 = y + ky
    dx, dy = rates(x1, y1, p0, p1, p2, p3, p4, q0, q1, q2)
    r, s = h * dx - np.float32(2.0) * kx, h * dy - np.float32(2.0) * ky
    lx = (a22 * r - a12 * s) * inverse
    ly = (a11 * s - a21 * r) * inverse
    return kx, ky, lx, ly, np.float32(0.5) * (kx + GAMMA * (kx + lx))
