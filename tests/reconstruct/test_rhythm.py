from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.rhythm import (
    Levels,
    Rhythm,
    forecast_horizon,
    interval_histogram,
    rhythms,
    waveform_error,
)
from analog_fhn.reconstruct.sources.sherman_rinzel import ShermanRinzel

STEP = 0.01
LEVELS = Levels(-0.06, -0.02)


def drawn(spikes: FloatArray, duration: float, width: float = 0.02) -> FloatArray:
    """Bell-shaped spikes from -60 to -20 mV with their peaks at the given times."""
    time = STEP * np.arange(round(duration / STEP))
    bells = np.exp(-(((time[:, None] - spikes) / width) ** 2))
    return -0.06 + 0.04 * bells.sum(axis=1)


def bursts(sizes: list[int], interval: float = 0.25, pause: float = 3.0, begin: float = 1.0) -> FloatArray:
    times, now = [], begin
    for size in sizes:
        times += [now + interval * k for k in range(size)]
        now = times[-1] + pause
    return np.array(times)


@cache
def modified(v_s: float = -36.0, duration: float = 100.0, settle: float = 60.0) -> tuple[FloatArray, FloatArray]:
    """Voltage (V) and states."""
    states = ShermanRinzel.modified(v_s).simulate(duration, STEP, settle=settle)[1]
    return 1e-3 * states[:, 0], states


@cache
def levels() -> Levels:
    return Levels.of(modified()[0])


def test_levels_are_the_range_without_outliers() -> None:
    voltage = drawn(bursts([5] * 10), 45.0)
    voltage[7] = 3.0
    voltage[9] = np.nan
    found = Levels.of(voltage)
    assert (found.floor, found.ceiling) == pytest.approx((-0.06, -0.02), abs=5e-4)
    assert (LEVELS.low, LEVELS.high) == pytest.approx((-0.044, -0.036))


@pytest.mark.parametrize("voltage", [np.full(50, -0.06), np.full(50, np.nan), np.empty(0)])
def test_a_recording_without_a_range_is_refused(voltage: FloatArray) -> None:
    with pytest.raises(InputError, match="levels"):
        Levels.of(voltage)


def test_spikes_are_timed_within_a_sample() -> None:
    peaks = np.array([0.5, 1.003, 1.707, 2.2])
    found = Rhythm.of(drawn(peaks, 3.0), STEP, LEVELS)
    # the bell crosses 60 % of the range where exp(-(t/width)^2) = 0.6; a straight line between samples is off by less
    # than a tenth of a sample
    np.testing.assert_allclose(found.times, peaks - 0.02 * np.sqrt(-np.log(0.6)), atol=0.1 * STEP)
    np.testing.assert_allclose(found.intervals, np.diff(found.times))


def test_bursts_of_known_size() -> None:
    found = Rhythm.of(drawn(bursts([6] * 5), 22.0), STEP, LEVELS)
    assert found.regime == "bursting"
    assert found.burst_sizes.tolist() == [6, 6, 6]  # the first and the last burst are not complete
    measured = (found.spikes_per_burst, found.period, found.pause, found.first_interval, found.last_interval)
    assert measured == pytest.approx((6, 4.25, 3.0, 0.25, 0.25), rel=1e-3)


@pytest.mark.parametrize("sizes", [[2] * 8, [2, 3, 2, 7, 4, 3], [30, 30, 30, 30], [1, 2, 2, 1, 2, 2, 2, 2]])
def test_bursting_whatever_the_number_of_spikes(sizes: list[int]) -> None:
    times = bursts(sizes)
    found = Rhythm.of(drawn(times, times[-1] + 1.0), STEP, LEVELS)
    assert found.regime == "bursting"
    assert found.burst_sizes.tolist() == sizes[1:-1]
    assert len(found.first_intervals) == sum(size > 1 for size in sizes[1:-1])


def test_regular_spikes_are_no_bursts() -> None:
    found = Rhythm.of(drawn(np.arange(0.5, 20, 0.4), 20.0), STEP, LEVELS)
    assert found.regime == "spiking"
    assert found.period == pytest.approx(0.4, rel=1e-3)
    assert len(found.burst_sizes) == 0
    assert np.isnan([found.spikes_per_burst, found.pause, found.first_interval, found.last_interval]).all()


def test_intervals_without_a_pattern_are_irregular() -> None:
    rng = np.random.default_rng(2)
    random = np.cumsum(0.1 + rng.exponential(0.4, size=300))
    assert Rhythm.of(drawn(random, random[-1]), STEP, LEVELS).regime == "irregular"
    alternating = np.cumsum(np.tile([0.6, 0.7], 30))
    assert Rhythm.of(drawn(alternating, alternating[-1]), STEP, LEVELS).regime == "irregular"
    few = Rhythm.of(drawn(np.array([0.5, 3.0]), 3.5), STEP, LEVELS)
    assert few.regime == "irregular"
    assert np.isnan(few.period)


def test_silence() -> None:
    rest = np.full(1000, -0.05)
    assert Rhythm.of(rest, STEP, LEVELS).regime == "silent"
    assert Rhythm.of(np.full(1000, -0.03), STEP, LEVELS).regime == "silent"
    # one burst, then nothing for the last third and more
    assert Rhythm.of(drawn(bursts([8]), 12.0), STEP, LEVELS).regime == "silent"
    # a pause is no silence
    assert Rhythm.of(drawn(bursts([8] * 4), 17.5), STEP, LEVELS).regime == "bursting"


def test_what_came_before_the_last_part_does_not_count() -> None:
    early = bursts([4, 4, 4])
    times = np.concatenate([early, early[-1] + 0.3 * np.arange(1, 101)])
    found = Rhythm.of(drawn(times, times[-1] + 0.1), STEP, LEVELS)
    assert found.regime == "spiking"
    assert found.period == pytest.approx(0.3, rel=0.01)
    assert found.times[0] > 8.0


def test_settling_is_left_out_and_times_stay() -> None:
    voltage = drawn(np.concatenate([bursts([9, 9]), 10.0 + np.arange(0, 20, 0.5)]), 30.0)
    found = Rhythm.of(voltage, STEP, LEVELS, settle=9.0)
    assert found.regime == "spiking"
    assert found.times[0] == pytest.approx(10.0 - 0.0143, abs=1e-3)
    with pytest.raises(InputError, match="settling"):
        Rhythm.of(voltage, STEP, LEVELS, settle=30.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.3])
def test_a_run_that_leaves_the_range_or_the_numbers_has_diverged(bad: float) -> None:
    voltage = drawn(np.arange(0.5, 10, 0.4), 10.0)
    voltage[-1] = bad
    found = Rhythm.of(voltage, STEP, LEVELS)
    assert found.regime == "diverged"
    assert len(found.times) == 0


def test_short_gaps_are_bridged_and_long_ones_break_the_intervals() -> None:
    voltage = drawn(np.arange(0.5, 20, 0.4), 20.0, width=0.04)
    voltage[[101, 102, 333]] = np.nan
    whole = Rhythm.of(voltage, STEP, LEVELS, missing=True)
    assert (whole.regime, len(whole.intervals)) == ("spiking", 48)
    voltage[1000:1100] = np.nan
    broken = Rhythm.of(voltage, STEP, LEVELS, missing=True)
    assert broken.regime == "spiking"
    assert broken.intervals.max() < 0.42
    assert len(broken.intervals) in (44, 45)


def test_no_burst_crosses_a_gap() -> None:
    voltage = drawn(bursts([6] * 7), 30.0)
    voltage[1000:1060] = np.nan  # in the third burst
    found = Rhythm.of(voltage, STEP, LEVELS, missing=True)
    assert found.regime == "bursting"
    assert found.burst_sizes.tolist() == [6] * 4


@pytest.mark.parametrize("where", ["end", "begin", "middle"])
def test_missing_samples_are_no_silence(where: str) -> None:
    gap = {"end": slice(1200, 2000), "begin": slice(0, 800), "middle": slice(600, 1400)}[where]
    for times, regime in ((np.arange(0.5, 20, 0.4), "spiking"), (bursts([4] * 8, interval=0.2, pause=2.0), "bursting")):
        voltage = drawn(times, 20.0, width=0.04)
        voltage[gap] = np.nan
        assert Rhythm.of(voltage, STEP, LEVELS, missing=True).regime == regime
    # Silence that was recorded is one, also around a gap: 4 s of spikes, 3 s of silence before it and 5 s after it.
    voltage = drawn(np.arange(0.5, 4, 0.4), 20.0, width=0.04)
    voltage[700:1500] = np.nan
    assert Rhythm.of(voltage, STEP, LEVELS, missing=True).regime == "silent"


def test_a_recording_cannot_diverge() -> None:
    voltage = drawn(np.arange(0.5, 20, 0.4), 20.0)
    voltage[1013] = 60.0
    assert Rhythm.of(voltage, STEP, LEVELS, missing=True).regime != "diverged"
    assert Rhythm.of(voltage, STEP, LEVELS).regime == "diverged"


# Reference table of the neuron (RK4, 1 ms): 16 spikes, 8.56 s, pause 4.05 s, first interval 0.207 s, last 0.564 s. Its
# intervals are read at the peaks, ours where the voltage rises: 1 % allowed.
def test_the_modified_neuron_bursts_as_published() -> None:
    found = Rhythm.of(modified()[0], STEP, levels())
    assert found.regime == "bursting"
    assert set(found.burst_sizes.tolist()) == {16}
    measured = (found.period, found.pause, found.first_interval, found.last_interval)
    assert measured == pytest.approx((8.56, 4.05, 0.207, 0.564), rel=0.01)


@pytest.mark.parametrize(
    ("v_s", "regime"),
    [(-44.0, "bursting"), (-35.1, "bursting"), (-35.0, "irregular"), (-34.8, "irregular"), (-34.7, "spiking"),
     (-33.0, "spiking")],
)  # fmt: skip
def test_regimes_of_the_modified_neuron(v_s: float, regime: str) -> None:
    assert Rhythm.of(modified(v_s, 100.0, 150.0)[0], STEP, levels()).regime == regime


@pytest.mark.parametrize(
    ("v_s", "regime"),
    [(-45.0, "silent"), (-38.0, "bursting"), (-33.8, "bursting"), (-33.7, "irregular"), (-33.5, "spiking")],
)
def test_regimes_of_the_original_neuron(v_s: float, regime: str) -> None:
    states = ShermanRinzel.original(v_s).simulate(100.0, STEP, settle=150.0)[1]
    assert Rhythm.of(1e-3 * states[:, 0], STEP, levels()).regime == regime


def test_noise_of_5_percent_of_the_range_and_missing_samples() -> None:
    rng = np.random.default_rng(0)
    voltage = modified()[0] + 0.05 * levels().span * rng.normal(size=10_000)
    voltage[rng.random(10_000) < 0.05] = np.nan
    found = Rhythm.of(voltage, STEP, Levels.of(voltage), missing=True)
    assert found.regime == "bursting"
    assert found.spikes_per_burst == 16
    assert found.period == pytest.approx(8.558, rel=1e-3)
    assert found.first_interval == pytest.approx(0.206, rel=0.05)


def test_many_runs_one_by_one() -> None:
    runs = np.stack([drawn(np.arange(0.5, 10, 0.4), 10.0), np.full(1000, -0.05), np.full(1000, np.nan)])
    assert [r.regime for r in rhythms(runs, STEP, LEVELS)] == ["spiking", "silent", "diverged"]


def test_interval_histogram_counts_all_intervals() -> None:
    shares, edges = interval_histogram([0.2, 0.2, 0.4, np.nan, 30.0], [0.1, 0.3, 1.0])
    assert shares.tolist() == [0.5, 0.25]  # a quarter lies outside the edges
    assert edges.tolist() == [0.1, 0.3, 1.0]
    assert interval_histogram([])[0].sum() == 0


def test_waveform_of_itself_and_of_a_shifted_start() -> None:
    voltage = modified()[0]
    assert max(waveform_error(voltage, voltage, STEP, levels())) < 1e-9
    # another period of the same burst, other sampling instants
    assert waveform_error(voltage, voltage[337:], STEP, levels()).of_deviation < 0.01
    finer = 1e-3 * ShermanRinzel.modified().simulate(100.0, STEP / 2, settle=61.0)[1][1::2, 0]
    assert waveform_error(voltage[: len(finer)], finer, STEP, levels()).of_deviation < 0.01


def test_waveform_of_another_amplitude() -> None:
    # drawn bursts, 10 % of their deviation from the mean added: rms is 10 % of the standard deviation
    voltage = drawn(bursts([6] * 6), 25.0)
    beat = voltage[1000:1425]  # one period
    run = beat.mean() + 1.1 * (voltage - beat.mean())
    found = waveform_error(voltage, run, STEP, LEVELS)
    assert found.of_deviation == pytest.approx(0.1, rel=0.02)
    assert found.of_range == pytest.approx(0.1 * beat.std() / np.ptp(beat), rel=0.02)


def test_waveform_of_a_run_that_does_not_repeat() -> None:
    voltage = modified()[0]
    assert np.isnan(waveform_error(voltage, np.full(5000, -0.05), STEP, levels())).all()
    assert np.isnan(waveform_error(voltage, np.full(5000, np.nan), STEP, levels())).all()


def test_forecast_horizon_of_a_lost_a_late_and_an_extra_spike() -> None:
    times = np.arange(0.5, 20, 0.4)
    voltage = drawn(times, 20.0)
    edge = 0.02 * np.sqrt(-np.log(0.6))
    assert forecast_horizon(voltage, voltage, STEP, LEVELS) == pytest.approx(20.0)
    lost = drawn(np.delete(times, 20), 20.0)
    assert forecast_horizon(voltage, lost, STEP, LEVELS) == pytest.approx(times[20] - edge, abs=1e-3)
    extra = drawn(np.insert(times, 20, times[20] - 0.21), 20.0)
    assert forecast_horizon(voltage, extra, STEP, LEVELS) == pytest.approx(times[20] - 0.21 - edge, abs=2e-3)
    slow = drawn(0.5 + 0.41 * np.arange(47), 20.0)  # 10 ms later each time: half an interval at the 21st
    assert forecast_horizon(voltage, slow, STEP, LEVELS) == pytest.approx(0.5 + 0.4 * 20, abs=0.45)
    silent = np.full(2000, -0.06)
    assert forecast_horizon(voltage, silent, STEP, LEVELS) == pytest.approx(0.5 - edge, abs=1e-3)


def test_forecast_of_a_lone_spike() -> None:
    for late, horizon in ((0.01, 10.0), (3.0, 2.0)):
        one, other = drawn(np.array([2.0]), 10.0), drawn(np.array([2.0 + late]), 10.0)
        assert forecast_horizon(one, other, STEP, LEVELS) == pytest.approx(horizon, abs=0.03)


def test_forecast_ends_where_the_run_or_the_recording_does() -> None:
    voltage = drawn(np.arange(0.5, 20, 0.4), 20.0)
    ended = voltage.copy()
    ended[1000:] = np.nan
    assert forecast_horizon(voltage, ended, STEP, LEVELS) == pytest.approx(10.0, abs=0.2)
    gap = voltage.copy()
    gap[1000:1100] = np.nan
    assert forecast_horizon(gap, voltage, STEP, LEVELS) == pytest.approx(10.0)


def test_forecast_of_a_neuron_with_another_parameter() -> None:
    voltage, states = modified()
    near = ShermanRinzel.modified(-36.1).simulate(50.0, STEP, start=states[0].tolist())[1]
    horizon = forecast_horizon(voltage[:5000], 1e-3 * near[:, 0], STEP, levels())
    assert 1.0 < horizon < 30.0
