"""Spikes, bursts and regime of a voltage series, by rules that are declared here and shared by recording and free run.

Voltages may be in any unit, as long as the levels are in the same one; times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from analog_fhn._support.compiled import compiled
from analog_fhn.crossings import Rises
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

Regime = Literal["silent", "spiking", "bursting", "irregular", "diverged"]
REGIMES: tuple[Regime, ...] = get_args(Regime)

RARE = 0.001  # share of the samples left out at either end when the range of a recording is taken
RISE = 0.6  # a spike begins where the voltage rises through this share of the range ...
FALL = 0.4  # ... after it was below this one
REACH = 5.0  # ranges beyond the recording's own at which a run has diverged
PAUSE = 4.0  # a pause is longer than this times the median interval within bursts
CLEAR = 1.5  # short pauses (10 % quantile) are longer than this times the long intervals within bursts (95 %)
REGULAR = 0.03  # coefficient of variation up to which a train of spikes is regular ...
BLUR = 0.5  # ... or the standard deviation, in samples: a spike is not timed better than that
LAST = 1 / 3  # what ended before this last share of the run, and twice its longest return ago, is over


@dataclass(frozen=True)
class Levels:
    """Range of a recording's voltage, from which the thresholds follow.

    A spike begins where the voltage rises through `high` after it was below `low`: noise smaller than their distance,
    a fifth of the range, makes no spikes of its own.

    Parameters
    ----------
    floor, ceiling
        Lowest and highest voltage, without rare outliers.
    """

    floor: float
    ceiling: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.floor, self.ceiling]).all() or self.ceiling <= self.floor:
            raise InputError(f"levels: floor {self.floor:g} and ceiling {self.ceiling:g} span no range")

    @classmethod
    def of(cls, voltage: ArrayLike) -> Levels:
        """Levels of a recording that spikes, shape (n,): its 0.1 % and 99.9 % quantiles; NaN samples are left out.

        Raises
        ------
        InputError
            The recording has no finite sample, or is flat.
        """
        v = np.asarray(voltage, dtype=np.float64)
        v = v[np.isfinite(v)]
        if not len(v):
            raise InputError("levels: the recording has no finite sample")
        floor, ceiling = np.quantile(v, [RARE, 1 - RARE])
        return cls(float(floor), float(ceiling))

    @property
    def span(self) -> float:
        """`ceiling - floor`."""
        return self.ceiling - self.floor

    @property
    def low(self) -> float:
        """Voltage below which the neuron is ready for another spike."""
        return self.floor + FALL * self.span

    @property
    def high(self) -> float:
        """Voltage whose upward crossing is the time of a spike."""
        return self.floor + RISE * self.span


@dataclass(frozen=True, eq=False)
class Rhythm:
    """When a neuron spikes, how the spikes group into bursts, and which regime that is.

    Rules. A **pause** is an interval longer than `PAUSE` times the median interval within bursts (found by iteration
    from the lower quartile, so that even pairs of spikes are bursts). The regime is

    - `diverged`: a sample is not finite, or lies `REACH` ranges beyond the levels; a recording cannot;
    - `silent`: no spike, or none in the last third of the run and for twice the longest interval, missing samples not
      counted;
    - `bursting`: at least two pauses, and pauses clearly longer than the other intervals (`CLEAR`); the number of
      spikes per burst may vary;
    - `spiking`: no bursts, at least three intervals, and their standard deviation is below 3 % of the mean or half a
      sample;
    - `irregular`: everything else (intervals that alternate, too).

    Where pauses stopped, by the same rule as spikes, only what came after the last one counts.

    Parameters
    ----------
    regime
        The regime, one of `REGIMES`.
    times
        Spikes, shape (k,), s from the first sample of the series (samples left out by `settle` included).
    intervals
        Between successive spikes, s, in order; those that span a gap in the recording are left out.
    burst_starts, burst_sizes
        First spike (s) and number of spikes of each complete burst, shape (b,): preceded and followed by a pause.
    periods
        Start of each complete burst to the start of the next, shape (b,), s.
    pauses
        Last spike of each complete burst to the first of the next, shape (b,), s.
    first_intervals, last_intervals
        First and last interval of each complete burst of two spikes or more, s.
    """

    regime: Regime
    times: FloatArray
    intervals: FloatArray
    burst_starts: FloatArray
    burst_sizes: NDArray[np.intp]
    periods: FloatArray
    pauses: FloatArray
    first_intervals: FloatArray
    last_intervals: FloatArray

    @classmethod
    def of(
        cls,
        voltage: ArrayLike,
        step: float,
        levels: Levels | None = None,
        settle: float = 0.0,
        missing: bool = False,
    ) -> Rhythm:
        """Rhythm of a voltage series.

        Parameters
        ----------
        voltage
            Series of voltages, shape (n,).
        step
            Sampling interval, s.
        levels
            Levels of the recording; None: those of the series itself (a series that may be silent needs the
            recording's).
        settle
            So much of the beginning is left out, s.
        missing
            True for a recording: NaN samples are missing. A gap no longer than the median spike stays above `high`
            is bridged by a straight line; a longer one may hide a spike, and no interval or burst crosses it.

        Raises
        ------
        InputError
            Fewer than two samples remain after `settle`, or the step is not positive.
        """
        v = np.ascontiguousarray(voltage, dtype=np.float64)
        if v.ndim != 1 or not step > 0:
            raise InputError(f"rhythm: voltage of shape (n,) and a positive step expected, not {v.shape} and {step:g}")
        skipped = int(np.ceil(settle / step - 1e-9))
        if len(v) < skipped + 2:
            raise InputError(f"rhythm: {len(v)} samples of {step:g} s leave nothing after {settle:g} s of settling")
        levels = levels or Levels.of(v)
        if not missing and _diverged(v, levels):
            return _rhythm("diverged")
        rest = _without_short_gaps(v[skipped:], levels) if missing else v[skipped:]
        rises = Rises.of(rest, levels.high, levels.low)
        times = rises.times(rest, levels.high)
        absent = np.cumsum(np.isnan(rest)[::-1])[::-1]
        left = (len(rest) - absent[np.ceil(times).astype(np.intp)] - times) * step
        return _classified(times * step, rises.gaps, left, (len(rest) - absent[0]) * step, skipped * step, step)

    @property
    def spikes_per_burst(self) -> float:
        """Median number of spikes of the complete bursts; NaN without bursts."""
        return _median(self.burst_sizes)

    @property
    def period(self) -> float:
        """Median period of the bursts, or mean interval of regular spiking, s; NaN in other regimes."""
        if self.regime == "spiking":
            return float(self.intervals.mean())
        return _median(self.periods)

    @property
    def pause(self) -> float:
        """Median pause, s; NaN without bursts."""
        return _median(self.pauses)

    @property
    def first_interval(self) -> float:
        """Median first interval of the bursts, s; NaN without bursts."""
        return _median(self.first_intervals)

    @property
    def last_interval(self) -> float:
        """Median last interval of the bursts, s; NaN without bursts."""
        return _median(self.last_intervals)


def rhythms(voltages: Iterable[ArrayLike], step: float, levels: Levels, settle: float = 0.0) -> list[Rhythm]:
    """Rhythm of each of many free runs, shape (m, n) or a sequence of series; see `Rhythm.of`."""
    return [Rhythm.of(v, step, levels, settle) for v in voltages]


def interval_histogram(intervals: ArrayLike, edges: ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
    """Share of the intervals in each bin.

    Parameters
    ----------
    intervals
        Shape (n,), s; those that are not finite or not positive are left out.
    edges
        Shape (bins + 1,), s; without them 60 bins on a logarithmic scale from 0.05 to 20 s.

    Returns
    -------
    tuple
        Shares, shape (bins,), of all intervals (those outside the edges too), and the edges.
    """
    bounds = np.geomspace(0.05, 20.0, 61) if edges is None else np.asarray(edges, dtype=np.float64)
    d = np.asarray(intervals, dtype=np.float64)
    d = d[np.isfinite(d) & (d > 0)]
    counts = np.histogram(d, bounds)[0].astype(np.float64)
    return counts / max(len(d), 1), bounds


class WaveformError(NamedTuple):
    """Root mean square difference of two waveforms over one period.

    Parameters
    ----------
    of_deviation
        Relative to the standard deviation of the recorded waveform over that period.
    of_range
        Relative to its peak-to-peak value.
    """

    of_deviation: float
    of_range: float


def waveform_error(
    recorded: ArrayLike, run: ArrayLike, step: float, levels: Levels, settle: float = 0.0
) -> WaveformError:
    """How far one period of a free run lies from one period of the recording.

    A period goes from the first spike of a burst to that of the next (regular spiking: from spike to spike). The most
    typical complete one is taken from each series, and each is read at its own phase, 0 to 1. Both start at their
    spike; the run is then shifted by up to one sample to where the difference is least, since spikes are timed no
    better than that. Differences in period do not count here.

    Parameters
    ----------
    recorded
        Voltages of the recording, shape (n,); NaN samples are missing.
    run
        Voltages of the free run, shape (m,), in the same unit.
    step
        Sampling interval of both, s.
    settle
        So much of the beginning of the run is left out, s.

    Returns
    -------
    WaveformError
        NaN in both places where either series has no complete period (silent, irregular or diverged).
    """
    first = _cycle(np.asarray(recorded, np.float64), step, Rhythm.of(recorded, step, levels, missing=True))
    second = _cycle(np.asarray(run, np.float64), step, Rhythm.of(run, step, levels, settle))
    if first is None or second is None:
        return WaveformError(float("nan"), float("nan"))
    phases = np.linspace(0.0, 1.0, round(4 * first.length / step), endpoint=False, dtype=np.float64)
    truth = first.at(phases)

    def difference(shift: float) -> float:
        return float(np.sqrt(np.mean((second.at(phases, shift) - truth) ** 2)))

    best = minimize_scalar(difference, bounds=(-step, step), method="bounded", options={"xatol": 1e-3 * step})
    least = min(float(best.fun), difference(0.0))
    return WaveformError(least / float(truth.std()), least / float(np.ptp(truth)))


def forecast_horizon(recorded: ArrayLike, run: ArrayLike, step: float, levels: Levels) -> float:
    """How long a free run that starts on a recorded state keeps step with the recording, s.

    The k-th spikes of both are compared. The run has left the recording at the first k at which they lie further apart
    than half the local interval (the shorter one of those before and after the recorded spike), or which only one of
    both has; the horizon is the earlier one of the two spikes.

    Parameters
    ----------
    recorded, run
        Shape (n,) and (m,), from the same instant on. NaN samples of the recording are missing; the comparison ends at
        a gap that may hide a spike. A run that is not finite ends there.
    step
        Sampling interval of both, s.

    Returns
    -------
    float
        The length of the shorter series where the run never leaves the recording.
    """
    truth = _without_short_gaps(np.asarray(recorded, dtype=np.float64), levels)
    free = np.asarray(run, dtype=np.float64)
    length = min(_finite_part(truth), _finite_part(free))
    spikes, ours = (Rises.of(v[:length], levels.high, levels.low).times(v[:length], levels.high) for v in (truth, free))
    end = float(length)
    for k in range(max(len(spikes), len(ours))):
        true = spikes[k] if k < len(spikes) else np.inf
        mine = ours[k] if k < len(ours) else np.inf
        near = np.diff(spikes[max(min(k, len(spikes) - 1) - 1, 0) : k + 2])
        # A single recorded spike has no interval: it lies at least that far from the ends.
        lone = min(true, end - true) if np.isfinite(true) else 0.0
        tolerance = 0.5 * (near.min() if len(near) else lone)
        earlier = min(true, mine)
        # A partner that would still be in time after the end is given the benefit of the doubt.
        if earlier >= end or (max(true, mine) == np.inf and earlier + tolerance >= end):
            break
        if abs(true - mine) > tolerance:
            return float(earlier) * step
    return end * step


def _finite_part(voltage: FloatArray) -> int:
    bad = np.flatnonzero(~np.isfinite(voltage))
    return int(bad[0]) if len(bad) else len(voltage)


class _Cycle(NamedTuple):
    """One period of a waveform: interpolant (s -> voltage), its start and its length (s)."""

    curve: CubicSpline
    start: float
    length: float

    def at(self, phases: FloatArray, shift: float = 0.0) -> FloatArray:
        return np.asarray(self.curve(self.start + shift + phases * self.length), dtype=np.float64)


def _cycle(voltage: FloatArray, step: float, rhythm: Rhythm) -> _Cycle | None:
    """The complete period closest to the median one, among those with the median number of spikes."""
    if rhythm.regime == "bursting" and len(rhythm.periods):
        usual = rhythm.burst_sizes == np.sort(rhythm.burst_sizes)[len(rhythm.burst_sizes) // 2]
        starts, lengths = rhythm.burst_starts[usual], rhythm.periods[usual]
    elif rhythm.regime == "spiking":
        starts, lengths = rhythm.times[:-1], np.diff(rhythm.times)
    else:
        return None
    k = int(np.argmin(np.abs(lengths - np.median(lengths))))
    margin = 3 * step
    first = max(int((starts[k] - margin) / step), 0)
    last = min(int((starts[k] + lengths[k] + margin) / step) + 1, len(voltage))
    index = np.arange(first, last)
    index = index[np.isfinite(voltage[first:last])]
    return _Cycle(CubicSpline(index * step, voltage[index]), float(starts[k]), float(lengths[k]))


def _median(values: FloatArray | NDArray[np.intp]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _diverged(voltage: FloatArray, levels: Levels) -> bool:
    margin = REACH * levels.span
    return not bool(np.all((voltage > levels.floor - margin) & (voltage < levels.ceiling + margin)))


def _without_short_gaps(voltage: FloatArray, levels: Levels) -> FloatArray:
    """The voltage with lines across gaps that cannot hide a spike; NaN in longer ones."""
    if not np.isnan(voltage).any():
        return voltage
    widths = Rises.of(voltage, levels.high, levels.low).widths
    return np.asarray(_bridged(voltage, int(np.median(widths)) if len(widths) else 0), dtype=np.float64)


@compiled()
def _bridged(voltage, longest):  # type: ignore[no-untyped-def]
    """A copy with gaps of at most `longest` samples filled by straight lines."""
    filled, last = voltage.copy(), -1
    for n in range(len(voltage)):
        if np.isnan(voltage[n]):
            continue
        if last >= 0 and 1 < n - last <= longest + 1:
            for k in range(last + 1, n):
                filled[k] = voltage[last] + (voltage[n] - voltage[last]) * (k - last) / (n - last)
        last = n
    return filled


def _pause_length(intervals: FloatArray) -> float:
    """Length above which an interval is a pause."""
    typical = float(np.quantile(intervals, 0.25))
    for _ in range(20):
        within = float(np.median(intervals[intervals <= PAUSE * typical]))
        if within == typical:
            break
        typical = within
    return PAUSE * typical


def _over(returns: FloatArray, left: float, duration: float) -> bool:
    """Whether something that came back after `returns` (s) and was not seen in the `left` (s) has stopped for good."""
    longest = float(returns.max()) if len(returns) else 0.0
    return left > max(LAST * duration, 2.0 * longest)


def _rhythm(regime: Regime, times: FloatArray | None = None, intervals: FloatArray | None = None) -> Rhythm:
    none = np.empty(0)
    return Rhythm(
        regime,
        none if times is None else times,
        none if intervals is None else intervals[np.isfinite(intervals)],
        none, np.empty(0, np.intp), none, none, none, none,
    )  # fmt: skip


def _classified(
    times: FloatArray, parts: NDArray[np.intp], left: FloatArray, duration: float, origin: float, step: float
) -> Rhythm:
    """Rhythm from spike times (s after `origin`); an interval with a gap inside is NaN from here on.

    `left` (s) are the samples that there are from each spike on, `duration` those of the whole.
    """
    intervals = np.where(np.diff(parts) == 0, np.diff(times), np.nan)
    finite = intervals[np.isfinite(intervals)]
    if not len(times) or _over(finite, float(left[-1]), duration):
        return _rhythm("silent", times + origin, intervals)
    if len(finite) < 3:
        return _rhythm("irregular", times + origin, intervals)
    length = _pause_length(finite)
    ends = np.flatnonzero(intervals > length)
    if len(ends) >= 2:
        resumed, last = times[ends + 1], int(ends[-1]) + 1
        if _over(np.diff(resumed), float(left[last]), duration):
            begin = float(times[last])
            return _classified(times[last:] - begin, parts[last:], left[last:], float(left[last]), origin + begin, step)
        pauses, within = finite[finite > length], finite[finite <= length]
        if np.quantile(pauses, 0.1) > CLEAR * np.quantile(within, 0.95):
            return _bursting(times, intervals, ends, origin)
    regular = finite.std() < max(REGULAR * finite.mean(), BLUR * step)
    return _rhythm("spiking" if regular else "irregular", times + origin, intervals)


def _bursting(times: FloatArray, intervals: FloatArray, ends: NDArray[np.intp], origin: float) -> Rhythm:
    """Rhythm with its complete bursts; `ends` are the indices of the pauses among the intervals."""
    before, after = ends[:-1], ends[1:]
    broken = np.concatenate([[0], np.cumsum(np.isnan(intervals))])
    whole = broken[after] == broken[before + 1]
    before, after = before[whole], after[whole]
    several = after - before > 1
    return Rhythm(
        regime="bursting",
        times=times + origin,
        intervals=intervals[np.isfinite(intervals)],
        burst_starts=times[before + 1] + origin,
        burst_sizes=after - before,
        periods=times[after + 1] - times[before + 1],
        pauses=intervals[after],
        first_intervals=intervals[before[several] + 1],
        last_intervals=intervals[after[several] - 1],
    )
