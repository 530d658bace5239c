"""A voltage over time at one point of a neuron, on a uniform grid, with what is missing marked as missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator
from scipy.optimize import brentq

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.rhythm import RARE, REACH

MIN_SAMPLES = 100
"""Fewer samples than this are no recording to rebuild a neuron from."""

GLITCH = 2
"""Most samples in succession that, far beyond all others, are taken for an error of the instrument."""

_FLAT = 6  # times as many samples at the extreme value as at those next to it: see `_clipped`


@dataclass(frozen=True, eq=False)
class Recording:
    """Voltage at one point of a neuron, on a uniform grid of times; missing samples are NaN.

    Parameters
    ----------
    voltage
        V, shape (n,).
    step
        Sampling interval (s).
    start
        Time of the first sample (s).
    source
        Titles and files call the recording so.
    states
        True states where they are known, shape (n, k), in the source's units: to judge a reconstruction by, never to
        train one with.
    report
        It says what was noticed and done while the recording was read or changed, a sentence each.

    Raises
    ------
    InputError
        If a shape does not fit, the step is not positive, a time is not finite, or a voltage is infinite.
    """

    voltage: FloatArray
    step: float
    start: float = 0.0
    source: str = ""
    states: FloatArray | None = None
    report: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        what = self.source or "recording"
        if self.voltage.ndim != 1:
            raise InputError(f"{what}: voltage has shape {self.voltage.shape}; expected (n,)")
        if not (math.isfinite(self.step) and self.step > 0 and math.isfinite(self.start)):
            raise InputError(f"{what}: step = {self.step} s, start = {self.start} s; expected a positive step")
        if self.states is not None and (self.states.ndim != 2 or len(self.states) != len(self.voltage)):
            raise InputError(
                f"{what}: states have shape {self.states.shape}; expected ({len(self.voltage)}, k), as many as samples"
            )
        infinite = np.flatnonzero(np.isinf(self.voltage))
        if infinite.size:
            raise InputError(
                f"{what}: sample {infinite[0]} is infinite; expected a voltage, or NaN where it is missing"
            )

    def __len__(self) -> int:
        return len(self.voltage)

    @property
    def time(self) -> FloatArray:
        """Times of the samples (s), shape (n,)."""
        return self.start + self.step * np.arange(len(self.voltage), dtype=np.float64)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where there is no sample, shape (n,)."""
        return np.isnan(self.voltage)

    @property
    def segments(self) -> list[slice]:
        """Stretches without a missing sample, in order."""
        return runs(~self.missing)

    @property
    def gaps(self) -> list[slice]:
        """Stretches of missing samples, in order."""
        return runs(self.missing)

    def cut(self, start: float | None = None, stop: float | None = None) -> Recording:
        """Samples with ``start <= time < stop`` (s); None: from the first, to the last.

        Raises
        ------
        InputError
            If there are none, or a time is not finite.
        """
        for at in (start, stop):
            if at is not None and not math.isfinite(at):
                raise InputError(f"{self.source or 'recording'}: a cut at {at} s; expected a finite time")
        # Half a thousandth of a step: a grid time that is written with few digits still names its sample.
        edges = [
            edge if at is None else min(max(math.ceil((at - self.start) / self.step - 5e-4), 0), len(self))
            for at, edge in ((start, 0), (stop, len(self)))
        ]
        if edges[1] <= edges[0]:
            raise InputError(
                f"{self.source or 'recording'}: nothing between {start} and {stop} s; it runs from {self.start:g} to "
                f"{self.start + self.step * len(self):g} s"
            )
        part = slice(*edges)
        return replace(
            self,
            voltage=self.voltage[part],
            start=self.start + self.step * edges[0],
            states=None if self.states is None else self.states[part],
        )

    def thinned(self, factor: int) -> Recording:
        """Means of `factor` successive samples each, at their middle; what is missing does not count.

        Raises
        ------
        InputError
            If `factor` is below 1, or above the number of samples.
        """
        if not 1 <= factor <= len(self):
            raise InputError(f"thinning by {factor}: expected a whole number from 1 to {len(self)}, the samples")
        whole = len(self) // factor * factor
        known = ~self.missing[:whole].reshape(-1, factor)
        sums = np.where(known, self.voltage[:whole].reshape(-1, factor), 0.0).sum(axis=1)
        states = None if self.states is None else self.states[:whole].reshape(-1, factor, self.states.shape[1])
        voltage = np.divide(sums, known.sum(axis=1), out=np.full(len(sums), np.nan), where=known.any(axis=1))
        return replace(
            self,
            voltage=voltage,
            step=self.step * factor,
            start=self.start + 0.5 * (factor - 1) * self.step,
            states=None if states is None else states.mean(axis=1),
        )

    def with_noise(self, share: float, rng: Generator) -> Recording:
        """Copy with white noise on the voltage, whose standard deviation is `share` of the voltage's.

        Raises
        ------
        InputError
            If the share is negative or not finite.
        """
        if not (math.isfinite(share) and share >= 0):
            raise InputError(f"noise share = {share}: expected a number from 0")
        sigma = share * float(np.nanstd(self.voltage))
        noisy = self.voltage + sigma * rng.standard_normal(len(self.voltage))
        line = f"white noise of {sigma:.3g} V added ({100 * share:g} % of the voltage's standard deviation)"
        return replace(self, voltage=noisy, report=(*self.report, line))

    def with_missing(self, share: float, rng: Generator, mean_length: float = 1.0) -> Recording:
        """Copy from which samples are missing at random.

        Parameters
        ----------
        share
            This share of the samples goes missing, on average.
        mean_length
            Of the bursts in which they go; their lengths are geometric, and bursts may overlap. 1: each sample goes
            independently of the others.

        Raises
        ------
        InputError
            If the share is not at least 0 and below 1, or the mean length is below 1.
        """
        if not 0 <= share < 1 or not 1 <= mean_length <= max(len(self), 1):
            raise InputError(
                f"missing share = {share}, mean length = {mean_length:g}: expected a share from 0 and below 1, and a "
                f"mean length from 1 to the {len(self)} samples"
            )
        gone = np.zeros(len(self.voltage), dtype=bool)
        if share > 0:
            # Bursts that begin before the first sample reach into the recording, too.
            before = math.ceil(20 * mean_length)
            begins = np.flatnonzero(rng.random(before + len(gone)) < _burst_rate(share, mean_length)) - before
            ends = begins + rng.geometric(1.0 / mean_length, len(begins))
            change = np.zeros(len(gone) + 1, dtype=np.intp)
            np.add.at(change, np.clip(begins, 0, len(gone)), 1)
            np.add.at(change, np.clip(ends, 0, len(gone)), -1)
            gone = np.cumsum(change[:-1]) > 0
        line = f"{np.count_nonzero(gone)} of {len(gone)} samples removed at random"
        line += f", in bursts of {mean_length:g} on average" if mean_length > 1 else ""
        return replace(self, voltage=np.where(gone, np.nan, self.voltage), report=(*self.report, line))

    def bridged(self, longest: int) -> Recording:
        """Copy with gaps of up to `longest` samples filled; longer ones, and those at either end, stay.

        The curve is Akima's modified cubic through the samples on both sides, which does not overshoot much where a
        spike begins.
        """
        if longest < 0:
            raise InputError(f"gaps of up to {longest} samples: expected a number from 0")
        n = len(self.voltage)
        short = [gap for gap in self.gaps if gap.stop - gap.start <= longest and gap.start > 0 and gap.stop < n]
        present = np.flatnonzero(~self.missing)
        if not short or len(present) < 2:
            return self
        index = np.concatenate([np.arange(gap.start, gap.stop) for gap in short])
        voltage = self.voltage.copy()
        voltage[index] = Akima1DInterpolator(present, self.voltage[present], method="makima")(index)
        lengths = [gap.stop - gap.start for gap in short]
        line = f"{counted(len(short), 'gap')} of up to {max(lengths)} samples bridged ({sum(lengths)} samples)"
        return replace(self, voltage=voltage, report=(*self.report, line))


def runs(where: NDArray[np.bool_]) -> list[slice]:
    """Stretches in which `where` (n,) is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [slice(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def check_recording(recording: Recording, *, allow_clipped: bool = False) -> Recording:
    """Recording that a neuron may be rebuilt from: itself, its report with what was allowed.

    Parameters
    ----------
    allow_clipped
        Whether flat tops, where a spike left the range of the instrument, are only reported.

    Raises
    ------
    InputError
        If fewer than `MIN_SAMPLES` samples are there, all are equal, or (without `allow_clipped`) many stand at the
        largest or smallest value and few right beside it.
    """
    what = recording.source or "recording"
    present = recording.voltage[~recording.missing]
    if not present.size:
        raise InputError(f"{what}: none of {len(recording)} samples is a number; expected a voltage")
    if len(present) < MIN_SAMPLES:
        raise InputError(f"{what}: {len(present)} samples; expected at least {MIN_SAMPLES}")
    if np.ptp(present) == 0.0:
        raise InputError(f"{what}: all {len(present)} samples are {present[0]:g} V; expected a voltage that changes")
    lines = [line for end in ("largest", "smallest") if (line := _clipped(present, end))]
    if lines and not allow_clipped:
        raise InputError(
            f"{what}: {'; '.join(lines)}: it looks clipped. Record with a wider range, or allow it: "
            "--allow-clipped (allow_clipped=True)"
        )
    return replace(recording, report=(*recording.report, *lines)) if lines else recording


def without_glitches(recording: Recording) -> Recording:
    """Copy in which one or two samples in succession (`GLITCH`) that lie `REACH` ranges beyond the others are missing.

    The range is that without the 0.1 % lowest and highest samples, and without three of each at least. The report
    tells what is gone.
    """
    present = np.sort(recording.voltage[~recording.missing])
    beyond = max(3, math.ceil(RARE * len(present)))
    if len(present) <= 2 * beyond:
        return recording
    floor, ceiling = present[beyond], present[-1 - beyond]
    if ceiling == floor:  # nearly all of it at one value
        return recording
    margin = REACH * (ceiling - floor)
    far = (recording.voltage < floor - margin) | (recording.voltage > ceiling + margin)
    short = [run for run in runs(far) if run.stop - run.start <= GLITCH]
    if not short:
        return recording
    index = np.concatenate([np.arange(run.start, run.stop) for run in short])
    first = index[0]
    line = (
        f"{counted(len(index), 'sample')} more than {REACH:g} ranges beyond the others taken as missing; the first: "
        f"{recording.voltage[first]:.4g} V at {recording.time[first]:.6g} s"
    )
    voltage = recording.voltage.copy()
    voltage[index] = np.nan
    return replace(recording, voltage=voltage, report=(*recording.report, line))


def _clipped(voltage: FloatArray, end: Literal["largest", "smallest"]) -> str:
    """What is suspicious at one end of the range; empty where nothing is.

    The values next to the extreme one tell. Where a digitised curve turns smoothly, the last level holds at most
    2.4 times the samples of the next one (a parabola). Where it is cut off, or held, it holds many times as many; but
    a level at which the curve comes to rest is approached ever more slowly, with more samples at each next level.
    """
    levels, counts = np.unique(voltage, return_counts=True)
    if end == "largest":
        levels, counts = levels[::-1], counts[::-1]
    if len(levels) < 5:
        return ""
    first, nearby = int(counts[0]), counts[1:4]
    slowly = nearby[0] > 2 * nearby[2] + 3
    if first <= _FLAT * nearby.max() or slowly:
        return ""
    longest = max(part.stop - part.start for part in runs(voltage == levels[0]))
    return (
        f"{first} samples ({100 * first / len(voltage):.2g} %) have exactly the {end} value, {levels[0]:g} V, up to "
        f"{longest} in a row, and {int(nearby[0])} the next one"
    )


def _burst_rate(share: float, mean_length: float) -> float:
    """Probability that a burst begins at a sample so that bursts cover `share` of all samples.

    A sample stays if no burst that began k samples before is longer than k: with geometric lengths the product over k
    of ``1 - rate (1 - 1/mean_length)^k``.
    """
    reach = (1.0 - 1.0 / mean_length) ** np.arange(math.ceil(40 * mean_length))
    return float(brentq(lambda rate: float(np.sum(np.log1p(-rate * reach))) - math.log1p(-share), 0.0, share))


def counted(number: int, name: str) -> str:
    """Number and name, in the plural where it is one."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
