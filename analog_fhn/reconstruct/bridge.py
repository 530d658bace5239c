"""The part of a recorded voltage that is no membrane voltage: the current's over the electrode (bridge balance)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp

_BEFORE = 2e-3  # s before an edge of the current, through which a line is laid
_FROM, _TO = 3e-4, 3e-3  # s after it, through which a parabola is laid: behind the amplifier's own settling
_FEWEST = 3  # edges


@dataclass(frozen=True)
class Bridge:
    """Resistance whose voltage is left in a recording; negative where the bridge was balanced too far.

    Parameters
    ----------
    ohms
        Weighted median over the edges of the current, weights proportional to the edges.
    low, high
        Weighted quartiles (ohm).
    n_edges
        Edges that it was estimated from.
    """

    ohms: float
    low: float
    high: float
    n_edges: int

    def __str__(self) -> str:
        middle, low, high = (round(1e-6 * ohms, 3) + 0.0 for ohms in (self.ohms, self.low, self.high))  # no -0
        return (
            f"the voltage jumps by {middle:.3g} Mohm times the current at its edges (quartiles {low:.3g} to "
            f"{high:.3g}, {self.n_edges} edges): bridge balance"
        )


def bridge(clamp: CurrentClamp) -> Bridge:
    """Estimate the jump of the voltage at the edges of the current.

    The membrane's capacitance lets no jump through. At each edge a parabola through the voltage from 0.3 to 3 ms after
    it is continued to the edge, and a line through the 2 ms before it likewise; their difference over the change of the
    current is one estimate. A cell whose dendrites charge within less than a millisecond adds to it.

    Raises
    ------
    InputError
        If the current has fewer than 3 edges that are far enough apart.
    """
    sweeps = zip(clamp.voltage, clamp.current, strict=True)
    jumps = np.array([jump for v, i in sweeps for jump in _jumps(v, i, clamp.step)])
    if len(jumps) < _FEWEST:
        raise InputError(f"{clamp.source}: {len(jumps)} edges of the current; expected at least {_FEWEST}")
    estimates, weights = jumps[:, 1] / jumps[:, 0], np.abs(jumps[:, 0])
    order = np.argsort(estimates)
    shares = np.cumsum(weights[order]) / weights.sum()
    low, middle, high = estimates[order][np.searchsorted(shares, [0.25, 0.5, 0.75])]
    return Bridge(float(middle), float(low), float(high), len(jumps))


def without_bridge(clamp: CurrentClamp, found: Bridge | None = None) -> CurrentClamp:
    """Copy whose voltage lacks the resistance's part; None: as `bridge` estimates it. The report says so."""
    found = bridge(clamp) if found is None else found
    voltage = tuple(v - found.ohms * i for v, i in zip(clamp.voltage, clamp.current, strict=True))
    largest = found.ohms * max(float(np.abs(i).max()) for i in clamp.current)
    line = f"{found}; subtracted, up to {1e3 * largest:.3g} mV"
    return replace(clamp, voltage=voltage, report=(*clamp.report, line))


def _jumps(voltage: FloatArray, current: FloatArray, step: float) -> list[tuple[float, float]]:
    """Change of current (A) and jump of voltage (V) at each edge that has samples enough around it."""
    before, begin, end = (max(1, round(span / step)) for span in (_BEFORE, _FROM, _TO))
    before, end = max(before, 2), max(end, begin + 3)
    edges = np.flatnonzero(np.diff(current)) + 1
    gaps = np.diff(np.concatenate([[0], edges, [len(current)]]))
    found = []
    for edge, quiet_before, quiet_after in zip(edges, gaps[:-1], gaps[1:], strict=True):
        if quiet_before >= before and quiet_after >= end:
            line = np.polyfit(np.arange(-before, 0), voltage[edge - before : edge], 1)
            parabola = np.polyfit(np.arange(begin, end), voltage[edge + begin : edge + end], 2)
            found.append((float(current[edge] - current[edge - 1]), float(parabola[-1] - line[-1])))
    return found
