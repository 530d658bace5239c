"""Neurons that are given by curves: the ideal cubic as a sweep shows it, and saturating transconductors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.transconductors import Characteristic, TransconductorDynamics

REACH_X, REACH_Y = 3.0, 2.5


def tabulated(fhn: FHN, n: int, points: int = 101, gain: FloatArray | float = 1.0) -> TransconductorDynamics:
    """Ideal FHN neurons; `gain` (n,) or a number: the output is so many times x."""
    x, y = np.linspace(-REACH_X, REACH_X, points), np.linspace(-REACH_Y, REACH_Y, points)
    one = np.ones((n, 1))
    return TransconductorDynamics(
        Characteristic.through(-REACH_X, REACH_X, one * (x - x**3 / 3.0) / fhn.eps),
        Characteristic.through(-REACH_Y, REACH_Y, one * -y / fhn.eps),
        Characteristic.through(-REACH_X, REACH_X, one * x),
        Characteristic.through(-REACH_X, REACH_X, one * x * np.reshape(gain, (-1, 1))),
        np.ones(n),
        np.full(n, fhn.a),
        fhn.eps,
    )


def saturating(
    n: int, spread: float = 0.05, eps: float = 0.02, seed: int = 1, copies: float = 0.03
) -> TransconductorDynamics:
    """Pairs whose currents saturate: f = 1.8 tanh(x/0.9) - g, g = 3 tanh(x/3), h = -1.5 tanh(y/1.5), o nearly g.

    Every current of every neuron deviates by a relative `spread`; o from g by `copies` in its gain and offset, so that
    they have other midpoints too.
    """
    rng = np.random.default_rng(seed)

    def off(sigma: float) -> FloatArray:
        return 1.0 + sigma * rng.normal(size=(n, 1))

    x, y = np.linspace(-5.0, 5.0, 161), np.linspace(-3.0, 3.0, 121)
    shift = spread * rng.normal(size=(n, 1))
    g = 3.0 * off(spread) * np.tanh((x - shift) / 3.0)
    f = 1.8 * off(spread) * np.tanh(x / 0.9) - g
    o = off(copies) * 3.0 * np.tanh((x - shift + copies * rng.normal(size=(n, 1))) / 3.0)
    return TransconductorDynamics(
        Characteristic.through(x[0], x[-1], f / eps),
        Characteristic.through(y[0], y[-1], -1.5 * off(spread) * np.tanh(y / 1.5) / eps),
        Characteristic.through(x[0], x[-1], g),
        Characteristic.through(x[0], x[-1], o),
        off(spread)[:, 0],
        off(spread)[:, 0],
        eps,
    )


def cells_of(dynamics: TransconductorDynamics, fhn: FHN | None = None) -> Cells:
    """The neurons between ideal stages."""
    return replace(Cells.ideal("sigmoid", FHN() if fhn is None else fhn, len(dynamics)), dynamics=dynamics)
