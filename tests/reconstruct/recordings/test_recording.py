"""Recordings: noise, gaps and bridges; files of oscilloscopes, their units, jitter, gaps and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.files import read_recording, write_recording
from analog_fhn.reconstruct.recordings.recording import Recording, check_recording
from analog_fhn.reconstruct.recordings.sampling import last_digits, on_grid

STEP = 0.01
N = 400


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def wave(n: int = N, step: float = STEP) -> Recording:
    """Two tones; smooth, and never twice the same value."""
    return Recording(signal(step * np.arange(n)), step, source="wave")


def signal(time: FloatArray) -> FloatArray:
    return np.asarray(0.03 * np.sin(2 * np.pi * time / 0.7) + 0.01 * np.sin(2 * np.pi * time / 0.31) - 0.04)


def with_gap(*gaps: slice) -> Recording:
    voltage = wave().voltage.copy()
    for gap in gaps:
        voltage[gap] = np.nan
    return replace(wave(), voltage=voltage)


# --- the recording itself


def test_segments_are_the_stretches_between_gaps() -> None:
    recording = with_gap(slice(0, 2), slice(50, 51), slice(397, 400))
    assert recording.segments == [slice(2, 50), slice(51, 397)]
    assert recording.gaps == [slice(0, 2), slice(50, 51), slice(397, 400)]
    assert wave().segments == [slice(0, N)]
    assert wave().gaps == []


def test_noise_has_the_asked_share_and_leaves_gaps_alone() -> None:
    whole = wave(50_000)
    noisy = whole.with_noise(0.1, rng())
    assert np.std(noisy.voltage - whole.voltage) == pytest.approx(0.1 * np.std(whole.voltage), rel=0.02)
    again = with_gap(slice(5, 9)).with_noise(0.1, rng())
    assert again.gaps == [slice(5, 9)]
    assert "10 %" in again.report[-1]


@pytest.mark.parametrize(("share", "length"), [(0.05, 1.0), (0.2, 4.0), (0.7, 1.0), (0.5, 10.0)])
def test_missing_samples_have_the_asked_share(share: float, length: float) -> None:
    recording = wave(200_000).with_missing(share, rng(), length)
    assert recording.missing.mean() == pytest.approx(share, abs=0.01)
    # Bursts overlap where many are: only then are gaps longer.
    mean_gap = recording.missing.sum() / len(recording.gaps)
    assert mean_gap >= 0.97 * length
    if share < 0.1:
        assert mean_gap == pytest.approx(length / (1 - share), rel=0.03)


def test_no_missing_share_is_the_same_recording() -> None:
    assert not wave().with_missing(0.0, rng()).missing.any()


def test_short_gaps_are_bridged_and_long_ones_stay() -> None:
    recording = with_gap(slice(0, 1), slice(100, 103), slice(200, 201), slice(250, 256), slice(398, 400))
    bridged = recording.bridged(3)
    assert bridged.gaps == [slice(0, 1), slice(250, 256), slice(398, 400)]
    filled = [100, 101, 102, 200]
    assert bridged.voltage[filled] == pytest.approx(wave().voltage[filled], abs=3e-4)
    kept = ~recording.missing
    assert np.array_equal(bridged.voltage[kept], recording.voltage[kept])
    assert "2 gaps of up to 3 samples bridged (4 samples)" in bridged.report[-1]
    assert recording.bridged(0) is recording


def test_cut_and_thinned_keep_times_and_states() -> None:
    states = np.stack([np.arange(N), -np.arange(N)], axis=1).astype(float)
    part = replace(wave(), states=states).cut(0.5, 1.0)
    assert (part.start, len(part)) == (pytest.approx(0.5), 50)
    assert np.array_equal(part.voltage, wave().voltage[50:100])
    thin = part.thinned(7)
    assert thin.step == pytest.approx(0.07)
    assert thin.states is not None
    assert thin.states[:, 0].tolist() == list(range(53, 100, 7))
    assert thin.time == pytest.approx(part.time[3::7])
    assert thin.voltage == pytest.approx(part.voltage[:49].reshape(7, 7).mean(axis=1))
    assert len(wave().cut()) == N
    with pytest.raises(InputError, match="nothing between"):
        wave().cut(10.0, 11.0)


def test_thinned_leaves_out_what_is_missing() -> None:
    thin = Recording(np.array([1.0, np.nan, 4.0, np.nan, np.nan, np.nan, 1.0, 3.0, 8.0, 5.0]), 0.1).thinned(3)
    assert thin.voltage == pytest.approx([2.5, np.nan, 4.0], nan_ok=True)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Recording(np.zeros((2, 2)), 0.1),
        lambda: Recording(np.zeros(4), 0.0),
        lambda: Recording(np.zeros(4), 0.1, start=np.nan),
        lambda: Recording(np.zeros(4), 0.1, states=np.zeros((3, 1))),
        lambda: Recording(np.array([0.0, np.inf]), 0.1),
        lambda: wave().with_noise(-0.1, rng()),
        lambda: wave().with_missing(1.0, rng()),
        lambda: wave().with_missing(0.1, rng(), 0.5),
        lambda: wave().bridged(-1),
        lambda: wave().thinned(0),
        lambda: wave().thinned(N + 1),
    ],
)
def test_impossible_recordings_are_refused(made: Callable[[], Recording]) -> None:
    with pytest.raises(InputError, match=r"expected|infinite"):
        made()


# --- checks


def test_a_flat_top_is_refused_unless_allowed() -> None:
    cut = replace(wave(), voltage=np.minimum(wave().voltage, -0.02))
    with pytest.raises(InputError, match=r"wave: \d+ samples .* exactly the largest value, -0.02 V"):
        check_recording(cut)
    assert "in a row" in check_recording(cut, allow_clipped=True).report[-1]
    floor = replace(wave(), voltage=np.maximum(wave().voltage, -0.06))
    with pytest.raises(InputError, match="smallest"):
        check_recording(floor)


@pytest.mark.parametrize("levels", [16, 64, 256])
@pytest.mark.parametrize("step", [0.01, 0.001])
def test_few_levels_are_not_taken_for_clipping(levels: int, step: float) -> None:
    fine = wave(4000, step).voltage
    quantum = np.ptp(fine) / levels
    check_recording(Recording(quantum * np.rint(fine / quantum), step))


def test_a_neuron_that_comes_to_rest_is_not_clipped() -> None:
    time = STEP * np.arange(4000)
    spike = np.exp(-((time % 8 - 1) ** 2) / 0.01) - 0.05 - 0.6 * (time % 8 < 4) * np.exp(-((time % 8) / 0.5))
    decay = np.exp(-(time % 8) / 0.6)
    check_recording(Recording(np.round(spike, 3), STEP))
    check_recording(Recording(np.round(decay, 2), STEP))


def test_square_edges_of_a_clipped_and_digitised_wave_are_found() -> None:
    fine = np.clip(wave(4000, 0.001).voltage, -0.06, 1.0)
    with pytest.raises(InputError, match="clipped"):
        check_recording(Recording(1e-3 * np.rint(fine / 1e-3), 0.001))


@pytest.mark.parametrize(
    ("voltage", "message"),
    [
        (np.full(200, np.nan), "none of 200 samples"),
        (np.full(200, 0.1), "all 200 samples are 0.1 V"),
        (np.arange(20.0), "20 samples; expected at least 100"),
    ],
)
def test_what_is_no_recording_is_refused(voltage: FloatArray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_recording(Recording(voltage, 0.1))


# --- files: our own


@pytest.mark.parametrize("step", [0.01, 1 / 3, 2e-5, 0.1 + 2**-40])
@pytest.mark.parametrize("start", [0.0, -1.7, 123.456])
def test_round_trip_is_exact(tmp_path: Path, step: float, start: float) -> None:
    states = np.stack([rng(1).normal(size=N), np.arange(N) / 7], axis=1)
    made = Recording(rng().normal(size=N), step, start, states=states).with_missing(0.1, rng(2), 2.0)
    write_recording(tmp_path / "record.csv", made)
    found = read_recording(tmp_path / "record.csv")
    assert np.array_equal(found.time, made.time)
    assert np.array_equal(found.voltage, made.voltage, equal_nan=True)
    assert found.step == pytest.approx(step, rel=1e-14)
    assert found.states is not None
    assert np.array_equal(found.states, states)
    assert found.source == "record.csv"
    assert (tmp_path / "record.csv").read_text().startswith("time,voltage,state_1,state_2\n")


def test_bridging_happens_on_reading(tmp_path: Path) -> None:
    write_recording(tmp_path / "r.csv", with_gap(slice(10, 12), slice(80, 90)))
    assert read_recording(tmp_path / "r.csv").gaps == [slice(10, 12), slice(80, 90)]
    found = read_recording(tmp_path / "r.csv", bridge=2)
    assert found.gaps == [slice(80, 90)]
    assert any("2 gaps, 12 of 400 samples missing; the longest: 10 samples from 0.8 s" in r for r in found.report)
    assert any("bridged" in line for line in found.report)


# --- files: others'


def write(folder: Path, text: str, name: str = "scope.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def table(separator: str = ",", scale: tuple[float, float] = (1.0, 1.0), tail: str = "", times: bool = True) -> str:
    recording = wave()
    rows = zip(recording.time / scale[0], recording.voltage / scale[1], strict=True)
    return "".join((f"{t:.9g}{separator}" if times else "") + f"{v:.9g}{tail}\n" for t, v in rows)


def indexed() -> str:
    return "".join(f"{k},{v:.6e},,\n" for k, v in enumerate(wave().voltage))


def numbered() -> str:
    return "".join(f"{k},{row}\n" for k, row in enumerate(table().splitlines()))


def tektronix() -> str:
    labels = ["Record Length,4.0e+02,", "Sample Interval,1.0e-02,s", "Trigger Point,1.0e+02,Samples", "Source,CH1,"]
    rows = table().splitlines()
    return "".join(f"{labels[k] if k < len(labels) else ',,'},{row},\n" for k, row in enumerate(rows))


FILES = {
    "plain": (table(), {}),
    "names": ("time,voltage\n" + table(), {}),
    "semicolons": ("t;v\n" + table(";"), {}),
    "decimal commas": ("Time (s);U (V)\n" + table(";").replace(".", ","), {}),
    "tabs, LTspice": ("time\tV(out)\n" + table("\t"), {}),
    "blanks, ngspice": (table("  "), {}),
    "blanks with names": ("# Time (s)  Voltage (V)\n" + table(" "), {}),
    "trailing separator": (table(tail=","), {}),
    "carriage returns": (("time,voltage\n" + table()).replace("\n", "\r\n"), {}),
    "quotes": ('"time","voltage"\n' + table(), {}),
    "Keysight": ("x-axis,1\nsecond,Volt\n" + table(), {}),
    "Rigol": ("X,CH1,Start,Increment\nSequence,Volt,0.0,1.0e-02\n" + indexed(), {}),
    "Rigol, times": ("Time(s),CH1V\n" + table(), {}),
    "Siglent": (
        "Record Length,Analog:400\nSample Interval,Analog:0.01\nVertical Units,CH1:V\nSource,CH1\nSecond,Volt\n"
        + table(), {},
    ),
    "PicoScope": ("Time,Channel A\n(ms),(mV)\n\n" + table(scale=(1e-3, 1e-3)), {}),
    "Tektronix TDS": (tektronix(), {}),
    "Tektronix MSO": (
        "Model,MSO2024B\nSample Interval,1e-2\nRecord Length,400\nVertical Units,V\n\n\nTIME,CH1\n" + table(), {},
    ),
    "LeCroy": ("LECROYWR,104,Waveform\nSegments,1,SegmentSize,400\nTime,Ampl\n" + table(), {}),
    "Digilent": ("#Digilent WaveForms\n#Device Name: x\n\nTime (s),Channel 1 (V)\n" + table(), {}),
    "Rohde & Schwarz": ("in s,C1 in V\n" + table(), {}),
    "Hantek": ("nr,time,ch1,ch1s\n" + "".join(f"{k},{row},48\n" for k, row in enumerate(table().splitlines())), {}),
    "Owon": ("Channel :,CH1\nSample Interval :,10.0ms\n\nIndex,CH1_Voltage(mV)\n" + "".join(
        f"{k},{1e3 * v:.6f}\n" for k, v in enumerate(wave().voltage)), {}),
    "interval, unit in brackets": ("Sample Interval (us),10000\nCH1 (V)\n" + table(times=False), {}),
    "interval, unit beside it": ("Sampling Interval,10,ms\nIndex,CH1 (V)\n" + indexed(), {}),
    "interval, a colon": ("# Sampling period: 0.01\nCH1 (V)\n" + table(times=False), {}),
    "interval of two channels": ("Sample Interval :,10.0ms,10.0ms\nIndex,CH1\n" + indexed(), {}),
    "clock": ("#CHANNEL:CH1\n#CLOCK=10000.0uS\n#SIZE=400\nCH1 (V)\n" + table(times=False), {}),
    "rate, unit in brackets": ("Sample Rate (MHz),0.0001\nCH1 (V)\n" + table(times=False), {}),
    "rate, unit behind it": ("Sampling Rate,0.1 kSa/s\nCH1 (V)\n" + table(times=False), {}),
    "rate, unit beside it": ("Sample Rate;0,1;kS/s\nIndex;CH1 (V)\n" + indexed().replace(",,", "").replace(
        ",", ";").replace(".", ","), {}),
    "pandas": (",time,voltage\n" + numbered(), {}),
    "pandas, other names": (",t,CH1\n" + numbered(), {}),
    "pandas, read again": ("Unnamed: 0,t,CH1\n" + numbered(), {}),
    "pandas, times as index": (",CH1\n" + table(), {}),
    "pandas, no times": (",CH1\n" + indexed().replace(",,", ""), {"step": STEP}),
    "lone carriage returns": ('"time","voltage"\r' + table().replace("\n", "\r"), {}),
    "minutes, kilovolts": ("Time (min),CH1 (kV)\n" + table(scale=(60.0, 1e3)), {}),
    "hours, a unit of a line": ("Time,CH1\n(h),(V)\n" + table(scale=(3600.0, 1.0)), {}),
    "ngspice's v(s)": ("time,v(s)\n" + table(), {}),
    "a gate and a minimum": ("time,CH1,h,V_min\n" + table(tail=",0.5,1"), {}),
    "rate": ("Sample Rate,100\nIndex,CH1 (V)\n" + indexed(), {}),
    "Hioki": ('"DATE","01-01-1999"\n"INTERVAL",1.0E-02\n"VERT_UNITS","S","V"\n"SIGNAL","TIME","ACH1"\n"DATA"\n'
              + table(), {}),
    "suffixes": ("time_ms,membrane_mV\n" + table(scale=(1e-3, 1e-3)), {}),
    "micro sign": ("t (µs),V (mV)\n" + table(scale=(1e-6, 1e-3)), {}),
    "no times": ("voltage\n" + table(times=False), {"step": STEP}),
    "no times, stated": ("Sample Interval,0.01\nCH1 (V)\n" + table(times=False), {}),
    "other order": ("voltage,time\n" + "".join(
        ",".join(reversed(row.split(","))) + "\n" for row in table().splitlines()), {}),
    "by number": ("".join(f"{k % 7}," + row + "\n" for k, row in enumerate(table().splitlines())),
                  {"column": 3, "time_column": 2}),
    "by name": ("time,CH1,CH2 (V)\n" + "".join(row.replace(",", ",7,") + "\n" for row in table().splitlines()),
                {"column": "CH2"}),
    "name before number": ("x-axis,2,1\ns,V,V\n" + "".join(
        row.replace(",", ",7,") + "\n" for row in table().splitlines()), {"column": "1"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_files_of_many_makers_are_understood(tmp_path: Path, kind: str) -> None:
    text, options = FILES[kind]
    encoding = "latin-1" if kind == "micro sign" else "utf-8"
    found = read_recording(write(tmp_path, text, encoding=encoding), **options)  # type: ignore[arg-type]
    assert found.step == pytest.approx(STEP, rel=1e-9)
    assert found.start == 0.0
    assert len(found) == N
    assert np.allclose(found.voltage, wave().voltage, rtol=0, atol=1e-7)


def test_conversions_and_other_columns_are_reported(tmp_path: Path) -> None:
    text = "Time (ms),CH1 (mV),CH2 (mV)\n" + "".join(
        f"{10 * k},{1e3 * v:.6f},{k % 5}\n" for k, v in enumerate(wave().voltage)
    )
    report = read_recording(write(tmp_path, text)).report
    assert "voltage from column 2 'CH1 (mV)'; not read: 3 'CH2 (mV)'" in report
    assert "column 1 'Time (ms)' is in ms; converted to s" in report
    assert "column 2 'CH1 (mV)' is in mV; converted to V" in report


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Voltage (furlong)", True), ("CH1 [%]", True), ("V (foo)", True), ("V(out)", False), ("v(n1,n2)", False),
        ("V(s)", False), ("x-axis", False), ("CH1(1)", False), ("CH1 (mV)", False), ("CH1", False),
    ],
)  # fmt: skip
def test_unknown_units_are_reported(tmp_path: Path, name: str, told: bool) -> None:
    report = read_recording(write(tmp_path, f'time,"{name}"\n' + table())).report
    assert (f"column 2 '{name}': its unit is not known; its numbers are taken as V" in report) == told
    assert any("not known" in line for line in report) == told
    with pytest.raises(InputError, match="no column of times"):
        read_recording(write(tmp_path, "time (furlong),voltage\n" + table()))
    report = read_recording(write(tmp_path, "time (furlong),voltage\n" + table()), time_column=1).report
    assert report == ("column 1 'time (furlong)': its unit is not known; its numbers are taken as s",)


def test_units_that_are_told_go_before_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "time (ms),probe (furlong)\n" + table())
    found = read_recording(path, volts_per_unit=10.0, seconds_per_unit=2.0)
    whole = wave()
    np.testing.assert_allclose(found.voltage, 10 * whole.voltage, atol=1e-5)
    assert found.step == pytest.approx(2 * STEP, rel=1e-12)
    assert found.report == (
        "column 1 'time (ms)': one unit is 2 s, as told, not ms",
        "column 2 'probe (furlong)': one unit is 10 V, as told",
    )
    counts = write(tmp_path, "Sample,CH1 (mV)\n" + indexed().replace(",,", ","))
    assert read_recording(counts, time_column=1, seconds_per_unit=1e-6).step == pytest.approx(1e-6, rel=1e-12)
    with pytest.raises(InputError, match=r"scope.csv: seconds_per_unit = 2, but there is no column of times"):
        read_recording(write(tmp_path, "CH1\n" + table(times=False)), step=STEP, seconds_per_unit=2.0)


def test_a_part_is_taken_before_it_is_judged(tmp_path: Path) -> None:
    """Power-up clips and leaves a gap; the part behind it is a good recording."""
    lines = ("time,voltage\n" + table()).splitlines()
    lines[1:121] = [f"{0.01 * k:.2f},0.5" if k < 100 else f"{0.01 * k:.2f}," for k in range(120)]
    path = write(tmp_path, "\n".join(lines))
    with pytest.raises(InputError, match="clipped"):
        read_recording(path)
    found = read_recording(path, start=1.2, stop=3.5)
    assert (found.start, len(found), found.gaps, found.report) == (1.2, 230, [], ())
    assert len(read_recording(path, start=1.2)) == 280
    assert len(read_recording(path, start=-7.0, stop=70.0, allow_clipped=True)) == N


@pytest.mark.parametrize(
    "line",
    [
        "Sample Interval (furlong),10", "Sampling Interval,10,furlong", "Sample Interval,10furlong", "#CLOCK=10MHz",
        "Sample Interval,10,Hz", "Sample Rate,10,us", "Sample Rate (mHz),10", "Sample Rate,10 furlong",
    ],
)  # fmt: skip
def test_an_interval_in_an_unknown_unit_is_not_used(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, f"{line}\nCH1 (V)\n" + table(times=False))
    with pytest.raises(InputError, match=r"no column of times .* --step \(step\)"):
        read_recording(path)
    assert read_recording(path, step=STEP).step == STEP


def test_utf16_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-8-sig"):
        found = read_recording(write(tmp_path, "time,voltage\n" + table(), encoding=encoding))
        assert len(found) == N


def test_glitches_are_missing_samples(tmp_path: Path) -> None:
    lines = ("time,voltage\n" + table()).splitlines()
    lines[51], lines[201], lines[202] = "0.5,60", "2.0,-8", "2.01,9"
    found = read_recording(write(tmp_path, "\n".join(lines)))
    assert found.gaps == [slice(50, 51), slice(200, 202)]
    assert (
        found.report[0] == "3 samples more than 5 ranges beyond the others taken as missing; the first: 60 V at 0.5 s"
    )
    # Three in succession may be what the neuron does.
    lines[203] = "2.02,9"
    assert read_recording(write(tmp_path, "\n".join(lines))).gaps == [slice(50, 51)]


# --- times


def stamped(times: FloatArray, digits: str = ".9g") -> str:
    return "time,voltage\n" + "".join(f"{t:{digits}},{v:.9g}\n" for t, v in zip(times, signal(times), strict=True))


def test_jitter_is_interpolated_and_reported(tmp_path: Path) -> None:
    times = STEP * (np.arange(N) + rng().uniform(-0.1, 0.1, N))
    found = read_recording(write(tmp_path, stamped(times)))
    assert found.step == STEP
    assert len(found) in (N - 1, N)
    assert found.voltage == pytest.approx(signal(found.time), abs=3e-4)
    # Twice as well as if the jitter were ignored.
    assert np.std(found.voltage - signal(found.time)) < 0.5 * np.std(signal(times) - signal(STEP * np.arange(N)))
    assert any("% rms" in line and "interpolated every 0.01 s" in line for line in found.report)


def test_rows_that_are_left_out_are_gaps(tmp_path: Path) -> None:
    keep = np.ones(N, dtype=bool)
    keep[[7, 100, 101, 102]] = False
    found = read_recording(write(tmp_path, stamped(wave().time[keep], ".2f")))
    assert found.gaps == [slice(7, 8), slice(100, 103)]
    assert found.report == ("2 gaps, 4 of 400 samples missing; the longest: 3 samples from 1 s, 1 sample from 0.07 s",)


def test_gaps_and_jitter_together(tmp_path: Path) -> None:
    keep = np.ones(N, dtype=bool)
    keep[100:110] = False
    times = STEP * (np.arange(N) + rng().uniform(-0.1, 0.1, N))
    found = read_recording(write(tmp_path, stamped(times[keep])))
    (gap,) = found.gaps
    assert (gap.start, gap.stop) == (pytest.approx(100, abs=1), pytest.approx(110, abs=1))
    there = ~found.missing
    assert found.voltage[there] == pytest.approx(signal(found.time[there]), abs=3e-4)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "inf", "9.91E+37"])
def test_cells_without_a_value_are_gaps(tmp_path: Path, cell: str) -> None:
    lines = ("time,voltage\n" + table()).splitlines()
    for k in (1, 50, 51):
        lines[k] = lines[k].split(",")[0] + "," + cell
    found = read_recording(write(tmp_path, "\n".join(lines)))
    assert found.gaps == [slice(0, 1), slice(49, 51)]


def test_random_gaps_in_coarse_times_stay_gaps(tmp_path: Path) -> None:
    gone = with_gap().with_missing(0.3, rng(5)).missing
    gone[[0, -1]] = False
    found = read_recording(write(tmp_path, stamped(wave().time[~gone], ".2f")))
    assert np.array_equal(found.missing, gone)


@pytest.mark.parametrize(("n", "digits"), [(40_000, ".5g"), (40_000, ".6g"), (3000, ".2f")])
def test_times_with_few_digits_are_uniform_samples(tmp_path: Path, n: int, digits: str) -> None:
    step = 0.0037
    recording = wave(n, step)
    path = write(
        tmp_path, "".join(f"{t:{digits}},{v:.9g}\n" for t, v in zip(recording.time, recording.voltage, strict=True))
    )
    found = read_recording(path)
    assert len(found) == n
    assert found.step == pytest.approx(step, rel=1e-3 if n == 3000 else 1e-4)
    assert np.allclose(found.voltage, recording.voltage, rtol=0, atol=1e-8)
    assert any("digits" in line or "rounded" in line for line in found.report)


@pytest.mark.parametrize("cut_off", [np.round, lambda t, d: np.floor(t * 10**d) / 10**d], ids=["rounded", "cut off"])
def test_times_rounded_near_their_step(cut_off: Callable[[FloatArray, int], FloatArray]) -> None:
    times = cut_off(0.0013 * np.arange(2000), 3)
    found = on_grid(times, np.zeros((2000, 1)))
    assert len(found.values) == 2000
    assert found.step == pytest.approx(0.0013, rel=1e-3)


def test_last_digits_follow_the_format() -> None:
    times = 0.01 * np.arange(20_000)
    fixed = np.array([float(f"{t:.3f}") for t in times + 0.0005])
    assert set(last_digits(fixed)) == {1e-3}
    general = last_digits(np.array([float(f"{t:.4g}") for t in times + 0.00123]))
    assert general[-1] == pytest.approx(0.1)
    assert general[200] == pytest.approx(1e-3)


def test_uneven_times_need_a_step(tmp_path: Path) -> None:
    times = np.cumsum(np.where(np.arange(600) % 50 < 10, 0.001, 0.008))
    path = write(tmp_path, stamped(times))
    with pytest.raises(InputError, match=r"line \d+, column 1 'time': times are not uniform: intervals from 0.001 to"):
        read_recording(path)
    found = read_recording(path, step=0.004)
    assert found.step == 0.004
    assert found.voltage == pytest.approx(signal(found.time), abs=3e-4)
    assert "uneven times" in found.report[0]


def test_long_holes_in_uneven_times_stay_gaps(tmp_path: Path) -> None:
    times = np.cumsum(np.where(np.arange(600) % 50 < 10, 0.001, 0.008))
    found = read_recording(write(tmp_path, stamped(np.delete(times, slice(200, 350)))), step=0.004)
    (gap,) = found.gaps
    assert found.time[gap.start] - found.step <= times[199] <= found.time[gap.start]
    assert found.time[gap.stop] - found.step <= times[350] <= found.time[gap.stop]
    assert "1 gap" in found.report[1]
    # But a simulator takes long steps where little happens.
    steps = np.concatenate([np.full(9, 0.0937), 0.001 * (1.3 + np.sin(np.arange(200.0))), np.full(8, 0.0871)])
    resting = np.cumsum(steps)
    assert read_recording(write(tmp_path, stamped(resting)), step=0.01).gaps == []


def test_a_step_that_is_not_that_of_the_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"step = 0.02 s, but the times are 0.01 s apart"):
        read_recording(write(tmp_path, table()), step=0.02)
    assert read_recording(write(tmp_path, table()), step=0.01).step == 0.01


# --- mistakes


def changed(line: int, text: str) -> str:
    lines = ("time,voltage\n" + table()).splitlines()
    lines[line - 1] = text
    return "\n".join(lines)


MISTAKES = {
    "empty": ("", {}, "the file is empty"),
    "words": ("once upon\na time\n", {}, "no column of numbers found"),
    "no such name": ("time,voltage\n" + table(), {"column": "CH3"},
                     r"no column 'CH3' for the voltage; .* of: 1 'time', 2 'voltage'"),
    "no such number": (table(), {"column": 3}, "no column 3 for the voltage; .* of: 1, 2"),
    "number zero": (table(), {"column": "0"}, r"no column '0'.*\(from 1\)"),
    "no such times": (table(), {"time_column": "when"}, "no column 'when' for the times"),
    "times as voltage": (table(), {"column": 1}, "column 1 holds the times"),
    "no times": ("CH1,CH2\n" + table(), {}, r"no column of times among 1 'CH1', 2 'CH2'; .*\(step\)"),
    "only times": ("time\n" + table(times=False), {}, "no column besides the times"),
    "text far down": (changed(300, "2.98,over"), {}, r"line 300, column 2 'voltage': 'over' is no number"),
    "text in the first row": (changed(2, "0.0,over"), {}, r"line 2, column 2: 'over' is no number"),
    "text in the third row": (changed(4, "abc,0.0"), {}, r"line 4, column 1: 'abc' is no number"),
    "text without names": ("0,over\n" + table(), {}, r"line 1, column 2: 'over'"),
    "time that is missing": (changed(200, ",0.1"), {}, r"line 200, column 1 'time': there is no time"),
    "time that goes back": (changed(200, "1.5,0.1"), {}, r"line 200, column 1 'time': time 1.5 s comes after 1.97 s"),
    "time that repeats": (changed(200, "1.97,0.1"), {},
                          r"line 200, column 1 'time': time 1.97 s stands there twice; .*--step"),
    "pandas, no times": (",CH1\n" + indexed().replace(",,", ""), {}, r"no column of times among 1, 2 'CH1'"),
    "all on one line": (",".join(["0.5"] * 4000), {}, "1 sample; expected at least 100, each in a line"),
    "too many columns": ("0.5," * 20_000 + "0.5\n", {}, "20001 columns; expected at most 20000, a sample in a line"),
    "very many columns": ("\n".join([",".join(["0.5"] * 4012)] * 100), {}, "among 1, 2, .*, 12 and 4000 more;"),
    "JSON": ('{"time": "' + 140_000 * "x" + '"}\n', {}, r"is no table \(field larger.*; expected columns"),
    "tiny step": (changed(200, "1.97,0.1"), {"step": 1e-310}, "would make inf samples of 399"),
    "constant": ("".join(f"{0.01 * k:.2f},1.5\n" for k in range(N)), {}, "all 400 samples are 1.5 V"),
    "short": ("".join(f"{0.01 * k:.2f},{k}\n" for k in range(50)), {}, "50 samples; expected at least 100"),
    "nothing": ("time,voltage\n" + "".join(f"{0.01 * k:.2f},nan\n" for k in range(N)), {},
                "column 2 'voltage': none of 400 samples is a finite number"),
    "clipped": ("".join(f"{t:.2f},{min(v, -0.02):.6f}\n" for t, v in zip(wave().time, wave().voltage, strict=True)), {},
                r"--allow-clipped \(allow_clipped=True\)"),
    "nothing in between": (table(), {"start": 9.0}, "nothing between 9.0 and None s; it runs from 0 to 4 s"),
    "little in between": (table(), {"start": 3.5}, "50 samples; expected at least 100"),
    "no time to begin with": (table(), {"stop": np.nan}, "a cut at nan s; expected a finite time"),
    "times beyond reason": (table(), {"seconds_per_unit": 1e300}, r"times from 0 to 3.99e\+300 s; expected"),
    "times below reason": (table(), {"seconds_per_unit": 1e-300}, "times from 0 to 3.99e-300 s; expected"),
    "far away": (changed(401, "1e6,0.1"), {}, "expected most of them to be there"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_clearly(tmp_path: Path, mistake: str) -> None:
    text, options, message = MISTAKES[mistake]
    with pytest.raises(InputError, match=message) as caught:
        read_recording(write(tmp_path, text), **options)  # type: ignore[arg-type]
    assert str(caught.value).count("scope.csv") == 1


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize(
    ("name", "unit"), [("step", "second"), ("seconds_per_unit", "second"), ("volts_per_unit", "volt")]
)
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, name: str, unit: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^{name} = {value}: expected a number of {unit}s above 0$"):
        read_recording(write(tmp_path, table()), **{name: value})  # type: ignore[arg-type]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv: cannot be read: No such file"):
        read_recording(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_recording(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(InputError, match="is no text"):
        read_recording(tmp_path / "image.png")
    noise = rng().integers(1, 256, 20_000).astype(np.uint8).tobytes()
    (tmp_path / "noise.bin").write_bytes(noise)
    with pytest.raises(InputError, match=r"noise.bin: no column of numbers found .*; expected columns"):
        read_recording(tmp_path / "noise.bin")


def test_clipped_files_can_be_allowed(tmp_path: Path) -> None:
    found = read_recording(write(tmp_path, MISTAKES["clipped"][0]), allow_clipped=True)
    assert "exactly the largest value" in found.report[-1]
