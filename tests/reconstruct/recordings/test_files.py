"""Which columns of a file are times and voltage, in which units: certain, or asked for; nothing is taken in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.recordings.files import read_recording
from analog_fhn.reconstruct.recordings.recording import Recording

STEP = 0.01
N = 400
TIME = STEP * np.arange(N)
VOLTAGE = 0.03 * np.sin(9.0 * TIME) - 0.04

Cell = Callable[[int], str]


def times(factor: float = 1.0) -> Cell:
    return lambda k: f"{TIME[k] * factor:.6g}"


def volts(factor: float = 1.0, digits: int = 9) -> Cell:
    return lambda k: f"{VOLTAGE[k] * factor:.{digits}f}"


def current(k: int) -> str:
    return f"{50.0 + np.sin(k):.3f}"


def count(k: int) -> str:
    return str(k)


def table(*columns: Cell, separator: str = ",", decimal: str = ".") -> str:
    return "".join(separator.join(cell(k) for cell in columns).replace(".", decimal) + "\n" for k in range(N))


MILLI = table(times(1e3), volts(1e3))


def read(folder: Path, text: str, **options: Any) -> Recording:
    path = folder / "scope.csv"
    path.write_text(text, encoding="utf-8")
    return read_recording(path, **options)


def is_right(recording: Recording) -> bool:
    return (
        abs(recording.step / STEP - 1.0) < 1e-9
        and recording.start == 0.0
        and np.allclose(recording.voltage, VOLTAGE, rtol=0, atol=1e-7)
    )


# --- columns


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("Time (s),I (pA),Vm (mV)", (times(), current, volts(1e3))),
        ("Time,I,V", (times(), current, volts())),
        ("Time (s),I_inj (nA),V (mV)", (times(), current, volts(1e3))),
        ("Time (s),Temp (degC),CH1", (times(), current, volts())),
        ("Time (s),Stim,Vm", (times(), current, volts())),
        ("Time (s),Vcmd (mV),Vm (mV)", (times(), current, volts(1e3))),
        ("g (nS),Time (s),Vm (mV)", (current, times(), volts(1e3))),
        ("time,i(r1),v(out)", (times(), current, volts())),
        ("duration (ms),Time (s),V", (current, times(), volts())),
        ("x,t,V", (current, times(), volts())),
    ],
)
def test_a_voltage_goes_before_other_quantities(tmp_path: Path, names: str, columns: tuple[Cell, ...]) -> None:
    assert is_right(read(tmp_path, f"{names}\n" + table(*columns)))


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("Time (s),I (pA)\n", (times(), current)),
        ("Time (s),foo,bar\n", (times(), current, volts())),
        ("t,u,v\n", (times(), current, volts())),
        ("Time (s),CH1,Ampl\n", (times(), current, volts())),
        ("", (times(), current, volts())),
        ("Time (s),I,Temperature\n", (times(), current, current)),
    ],
)
def test_a_voltage_that_is_not_certain_is_asked_for(tmp_path: Path, names: str, columns: tuple[Cell, ...]) -> None:
    with pytest.raises(InputError, match=r"no column is certainly the voltage among .*2.*--column \(column\)"):
        read(tmp_path, names + table(*columns))


def test_a_named_column_is_read_whatever_it_is(tmp_path: Path) -> None:
    recording = read(tmp_path, "Time (s),I (pA)\n" + table(times(), volts()), column="I (pA)")
    assert is_right(recording)
    assert recording.report == ("column 2 'I (pA)' is in pA; its numbers are taken as V",)


def test_part_of_a_name_that_fits_two_columns_is_refused(tmp_path: Path) -> None:
    text = "Time (s),Vm (mV),Vm (V)\n" + table(times(), volts(1e3), volts())
    assert is_right(read(tmp_path, text, column="Vm (V)"))
    with pytest.raises(InputError, match=r"'vm' for the voltage fits the columns 2 'Vm \(mV\)', 3 'Vm \(V\)'"):
        read(tmp_path, text, column="vm")


@pytest.mark.parametrize("head", ["", "Model,X1\nTime,12:30:05\n", "Model,X1\nSource,CH1\n", "Probe,10x\n"])
def test_counts_of_samples_are_not_taken_for_seconds(tmp_path: Path, head: str) -> None:
    with pytest.raises(InputError, match=r"no column of times among 1.*--step \(step\)"):
        read(tmp_path, head + table(count, volts()))
    assert is_right(read(tmp_path, "Sample Interval,0.01\n" + table(count, volts())))


def test_counts_that_are_named_time_need_a_unit_or_an_interval(tmp_path: Path) -> None:
    counts = table(count, volts())
    with pytest.raises(InputError, match="column 1 'Time' may count samples or seconds; expected its unit"):
        read(tmp_path, "Model,X1\nTime,Local\n" + counts)
    assert is_right(read(tmp_path, "Model,X1\nTime,Local\n" + counts, seconds_per_unit=0.01))
    recording = read(tmp_path, "Sample Interval,0.01,s\nTime,V\n" + counts)
    assert is_right(recording)
    assert "column 1 'Time' counts samples; one every 0.01 s" in recording.report[0]


def test_a_line_of_settings_is_no_line_of_names(tmp_path: Path) -> None:
    assert is_right(read(tmp_path, "Model,X1\nCoupling,DC\n" + table(times(), volts())))
    assert is_right(read(tmp_path, "Model,X1\nVolts per division,500mV\n" + table(times(), volts())))


def test_numbers_of_columns_are_no_sample(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: '0,1' seem to be numbers of columns"):
        read(tmp_path, "0,1\n" + table(times(), volts()))


def test_names_that_are_fewer_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: 2 names above 3 numbers in a row; expected as many names"):
        read(tmp_path, "time\tV\n" + table(lambda k: f'"{k + 1}"', times(), volts(), separator="\t"))


# --- units


@pytest.mark.parametrize(
    "names",
    [
        "t/ms,U/mV", "t / ms,U / mV", '"Time, ms","V, mV"', "Time (msec),Vm (mV)", "Time [msec.],Vm [mV]",
        "Time: ms,V: mV", "Time..ms.,Vm..mV.", "Time ms,Vm mV", "time_ms,V_mV", "time-ms,V-mV",
        "TIME (MS),VOLTAGE (MV)",
        "Time (millisec),CH1 (millivolts)", "Time {ms},Voltage <mV>", "Zeit (ms),Spannung (mV)", "ms,mV",
        "Time ms,Channel 1 mV",
        "Time,CH1\n(ms),(mV)", "Time,CH1\nms,mV", "Vertical Units,mV\nHorizontal Units,ms\nTime,CH1",
        "Horizontal Units,ms\nVertical Units,mV",
    ],
)  # fmt: skip
def test_units_are_understood_in_many_styles(tmp_path: Path, names: str) -> None:
    recording = read(tmp_path, f"{names}\n" + MILLI)
    assert is_right(recording)
    assert len(recording.report) == 2
    assert all("converted to" in line for line in recording.report)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("t (µs)", 1e6), ("t (μs)", 1e6), ("t (usec)", 1e6), ("t (Âµs)", 1e6), ("t/ns", 1e9), ("t (sec)", 1.0),
        ("t (mS)", 1e3), ("time_min", 1 / 60), ("time/h", 1 / 3600), ("t (Seconds)", 1.0),
    ],
)  # fmt: skip
def test_units_of_time(tmp_path: Path, name: str, factor: float) -> None:
    text = f"{name},voltage\n" + table(lambda k: repr(float(TIME[k] * factor)), volts())
    assert is_right(read(tmp_path, text))
    assert is_right(read(tmp_path, text, time_column=1))


@pytest.mark.parametrize(("name", "factor"), [("V/uV", 1e6), ("Vm (µV)", 1e6), ("U/kV", 1e-3), ("CH1 in volts", 1.0)])
def test_units_of_voltage(tmp_path: Path, name: str, factor: float) -> None:
    assert is_right(read(tmp_path, f"time,{name}\n" + table(times(), lambda k: repr(float(VOLTAGE[k] * factor)))))


@pytest.mark.parametrize(
    "name", ["t/furlong", "Time (10 ms)", '"Time, ticks"', "Time (MS)", "Time in ticks", "time_ticks"]
)
def test_times_in_an_unknown_unit_are_asked_for(tmp_path: Path, name: str) -> None:
    text = f"{name},voltage\n" + table(times(), volts())
    with pytest.raises(InputError, match="no column of times"):
        read(tmp_path, text)
    (line,) = read(tmp_path, text, time_column=1).report
    assert line.startswith("column 1 ")
    assert line.endswith("its unit is not known; its numbers are taken as s")


@pytest.mark.parametrize(
    "name",
    [
        "Vm (10 mV)",
        "U/furlong",
        '"V, ticks"',
        "Voltage in ticks",
        "Vm (MV)",
        "CH1_x10 mV",
        "CH1 10 mV",
        "V(x10 mV)",
        "V(10mV)",
        "Vm 10 mV",
    ],
)
def test_a_voltage_in_an_unknown_unit_is_told(tmp_path: Path, name: str) -> None:
    (line,) = read(tmp_path, f"time,{name}\n" + table(times(), volts())).report
    assert line.endswith("its unit is not known; its numbers are taken as V")


def test_an_unknown_unit_above_the_data_is_told(tmp_path: Path) -> None:
    (line,) = read(tmp_path, "Vertical Units,furlong\nTime (s),CH1\n" + table(times(), volts())).report
    assert line == "column 2 'CH1': its unit is not known; its numbers are taken as V"


def test_times_that_contradict_the_stated_interval(tmp_path: Path) -> None:
    head = "Sample Interval,0.01,s\nTime,V\n"
    with pytest.raises(InputError, match=r"every 0.01 s by the lines above the data, every 10 s by column 1 'Time'"):
        read(tmp_path, head + table(times(1e3), volts()))
    assert is_right(read(tmp_path, head + table(times(1e3), volts()), seconds_per_unit=1e-3))
    (line,) = read(tmp_path, head + table(times(5.0), volts())).report
    assert "every 0.01 s by the lines above the data, every 0.05 s by" in line


def test_milliseconds_since_1970_are_not_seconds(tmp_path: Path) -> None:
    text = "timestamp,V\n" + table(lambda k: str(1_700_000_000_000 + 10 * k), volts())
    with pytest.raises(InputError, match=r"times up to 1.7e\+12 s; expected seconds"):
        read(tmp_path, text)
    assert read(tmp_path, text, seconds_per_unit=1e-3).step == pytest.approx(STEP)


# --- the comma


def test_a_comma_that_is_separator_and_decimal_mark_is_taken_apart(tmp_path: Path) -> None:
    fixed = table(lambda k: f"{1e3 * TIME[k]:.6f}", volts(1e3, 6), decimal=",")
    recording = read(tmp_path, "Time (ms),V (mV)\n" + fixed)
    assert is_right(recording)
    assert "both separator and decimal mark" in recording.report[0]
    one = read(tmp_path, "U (V)\n" + table(volts(), decimal=","), step=STEP)
    assert is_right(one)


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("", (lambda k: f"{TIME[k]:.3f}", volts())),
        ("", (volts(),)),
        ("Time (s),U (V)\n", (times(), volts())),  # some without decimals
        ("", (times(), volts())),
        ("Nr,Time (s),U (V)\n", (count, lambda k: f"{TIME[k]:.3f}", volts())),
        ("Recording of today\n", (lambda k: f"{TIME[k]:.3f}", volts())),
    ],
)
def test_a_comma_that_may_be_either_is_refused(tmp_path: Path, head: str, columns: tuple[Cell, ...]) -> None:
    with pytest.raises(InputError, match=r"line \d+.*(separator and decimal mark|cells .* expected 4 as in most)"):
        read(tmp_path, head + table(*columns, decimal=","))


def test_whole_numbers_between_commas_stay_whole(tmp_path: Path) -> None:
    steps = table(lambda k: str(10 * k), lambda k: str(round(1e3 * VOLTAGE[k])))
    recording = read(tmp_path, "Time (ms),V (mV)\n" + steps)
    assert recording.step == STEP
    assert np.allclose(recording.voltage, VOLTAGE, atol=6e-4)


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_decimal_commas(tmp_path: Path, separator: str) -> None:
    body = table(times(), volts(), separator=separator, decimal=",")
    assert is_right(read(tmp_path, separator.join(("t", "V")) + "\n" + body))


def test_quoted_decimal_commas(tmp_path: Path) -> None:
    body = table(lambda k: f'"{TIME[k]:.3f}"', lambda k: f'"{VOLTAGE[k]:.9f}"', decimal=",")
    assert is_right(read(tmp_path, '"Time (s)","U (V)"\n' + body))


def test_a_point_among_decimal_commas_is_refused(tmp_path: Path) -> None:
    lines = ("t;V\n" + table(times(), volts(), separator=";", decimal=",")).splitlines()
    lines[200] = "1,99;1.234"
    with pytest.raises(InputError, match=r"line 201, column 2 'V': '1\.234' is no number"):
        read(tmp_path, "\n".join(lines))


# --- makers


ATF = (
    'ATF\t1.0\n4\t{n}     \n"AcquisitionMode=Gap Free"\n"Comment="\n"SignalsExported=IN 0"\n"Signals="\t"IN 0"\n'
    '"Time (s)"\t{names}\n'
)
LVM = (
    "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\nDecimal_Separator\t.\nDate\t2020/01/01\n"
    "***End_of_Header***\t\n\t\nChannels\t1\t\nSamples\t400\t\nDate\t2020/01/01\t\nTime\t12:00:00\t\n"
    "Y_Unit_Label\t{unit}\nX_Dimension\tTime\t\nX0\t0.0E+0\t\nDelta_X\t0.010000\t\n***End_of_Header***\t\t\n"
    "X_Value\tUntitled\tComment\n"
)


def empty(_k: int) -> str:
    return ""


MAKERS = {
    "Axon text, one trace": ATF.format(n=2, names='"Trace #1 (mV)"') + table(times(), volts(1e3), separator="\t"),
    "Axon text, two traces": ATF.format(n=3, names='"Trace #1 (mV)"\t"Trace #2 (mV)"')
    + table(times(), volts(1e3), current, separator="\t"),
    "LabVIEW": LVM.format(unit="") + table(times(), volts(), empty, separator="\t"),
    "LabVIEW, no times": LVM.format(unit="mV") + table(empty, volts(1e3), empty, separator="\t"),
    "LabVIEW, no header": "X_Value,Untitled\n" + table(times(), volts()),
    "separators at the end": '"Time (s)","Voltage (V)"\n' + table(times(), volts()) + ",\n,\n\n",
    "minus of a typesetter": "time;V\n" + table(times(), volts(), separator=";").replace("-", "−"),
    "a comment sign alone": "%\n" + table(times(), volts(), separator=" "),
    "comments": "# made today\n# by hand\ntime,V\n" + table(times(), volts()) + "# end\n",
}


@pytest.mark.parametrize("maker", MAKERS)
def test_more_makers(tmp_path: Path, maker: str) -> None:
    assert is_right(read(tmp_path, MAKERS[maker]))


@pytest.mark.parametrize("word", ["∞", "-∞", "inf", "-inf", "OL", "-OL", "OVERFLOW", "9.9E+37", "1e999"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_samples_out_of_range_are_missing_and_told(tmp_path: Path, word: str, separator: str) -> None:
    cells = table(times(), lambda k: word if k in (100, 101) else volts()(k), separator=separator)
    recording = read(tmp_path, f"t{separator}V\n" + cells)
    assert recording.gaps == [slice(100, 102)]
    assert recording.report[0].startswith("column 2 'V': 2 samples out of the instrument's range (infinite) taken as")


@pytest.mark.parametrize("word", ["", "NA", "nan", "9.91E+37", "N/A"])
def test_cells_without_a_value_are_not_out_of_range(tmp_path: Path, word: str) -> None:
    recording = read(tmp_path, "t,V\n" + table(times(), lambda k: word if k in (100, 101) else volts()(k)))
    assert recording.gaps == [slice(100, 102)]
    assert not any("range" in line for line in recording.report)


@pytest.mark.parametrize(
    "stamp", ["2024-01-01 12:00:{:06.3f}", "2024-01-01T12:00:{:06.3f}Z", "12:00:{:06.3f}", "1/1/24 12:00:{:02.0f} PM"]
)
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), ("\t", ",")])
def test_dates_and_clock_times_are_refused_as_such(tmp_path: Path, stamp: str, separator: str, decimal: str) -> None:
    body = table(lambda k: stamp.format(TIME[k]), volts(), separator=separator, decimal=decimal)
    text = separator.join(("Timestamp", "V")) + "\n" + body
    with pytest.raises(InputError, match=r"column 1 'Timestamp' holds dates or clock times \('.*--step \(step\)"):
        read(tmp_path, text)
    with pytest.raises(InputError, match=r"'Timestamp': '.*' is a date or a clock time, not a number"):
        read(tmp_path, text, time_column="Timestamp")
    assert is_right(read(tmp_path, text, step=STEP))


def test_a_blank_line_without_times_may_be_a_missing_sample(tmp_path: Path) -> None:
    lines = table(volts()).splitlines()
    with pytest.raises(InputError, match="line 52: is blank between the samples"):
        read(tmp_path, "V\n" + "\n".join([*lines[:50], "", *lines[50:]]), step=STEP)
    assert is_right(read(tmp_path, "V\n\n" + "\n\n".join(lines) + "\n\n", step=STEP))


@pytest.mark.parametrize("row", ["1.99", "1.99,0.1,0.2"])
def test_rows_of_another_width_are_refused(tmp_path: Path, row: str) -> None:
    lines = ("t,V\n" + table(times(), volts())).splitlines()
    lines[200] = row
    with pytest.raises(InputError, match=r"line 201: \d cells? .*; expected 2 as in most lines"):
        read(tmp_path, "\n".join(lines))


def test_messages_hold_no_control_characters(tmp_path: Path) -> None:
    for text in ("\x1b[2J\x07\n" * 200, "t\x1b[31m,\x1b]0;x\x07\n" + table(volts(), volts()), "t,V\n\x1b[2J,1\n" * 90):
        with pytest.raises(InputError) as caught:
            read(tmp_path, text)
        assert "\x1b" not in str(caught.value)
