"""Recordings that are damaged, and recordings in any layout: what is accepted is what was recorded, or says a doubt."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hostile import check, counts, damaged, hostile
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.files import read_recording
from analog_fhn.reconstruct.recordings.recording import Recording

READER = "analog_fhn.reconstruct.recordings.files:read_recording"
N = 120
VOLTAGE = 0.03 * np.sin(0.37 * np.arange(N)) + 0.005 * np.sin(1.7 * np.arange(N)) - 0.04


def body(separator: str = ",", decimal: str = ".", scale: float = 1.0, tail: str = "") -> str:
    rows = (f"{1e-3 * scale * k:.6g}{separator}{scale * v:.6f}{tail}\n" for k, v in enumerate(VOLTAGE))
    return "".join(rows).replace(".", decimal)


MAKERS = [
    ("time,voltage\n" + body()).encode(),
    ("Time (ms);V (mV)\n" + body(";", ",", 1e3)).encode(),
    ("Time (ms),V (mV)\n" + body(",", ",", 1e3)).encode(),
    ("Time,Channel A\r\n(ms),(mV)\r\n\r\n" + body(scale=1e3).replace("\n", "\r\n")).encode("utf-16"),
    ("X,CH1,Start,Increment\nSequence,Volt,0.0,1.0e-03\n"
     + "".join(f"{k},{v:.6e},,\n" for k, v in enumerate(VOLTAGE))).encode(),
    ('ATF\t1.0\n2\t2\n"a=b"\n"c=d"\n"Time (ms)"\t"Trace #1 (mV)"\n' + body("\t", ".", 1e3)).encode(),
    ("LabVIEW Measurement\t\n***End_of_Header***\t\nDelta_X\t1E-3\n***End_of_Header***\t\t\n"
     "X_Value\tUntitled\tComment\n" + body("\t", tail="\t")).encode(),
    ("#CHANNEL:CH1\n#CLOCK=1000uS\n#SIZE=120\nCH1 (V)\n" + "".join(f"{v:.6f}\n" for v in VOLTAGE)).encode(),
    ("t/µs;I/pA;U/mV\n" + body(";", ",", 1e3, ";1")).encode("latin-1"),
]  # fmt: skip


@hostile
@given(content=damaged(MAKERS))
def test_hostile_damaged_recordings(content: bytes) -> None:
    check(READER, "record.csv", content)


LINES = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(["0", "1", "1,5", "2.5", "-3e-3", "∞", "OL", "NA", "nan", "", '"', '"a', "t", "V", "(ms)",
                         "12:00:01", "9" * 400, "1e999", "\0", "\x1b[2J", "Time (s)", "Sample Interval", "X_Value",
                         "ATF", "#", "±"]),
        max_size=6,
    ).flatmap(lambda cells: st.sampled_from([",", ";", "\t", " ", "  "]).map(lambda s: s.join(cells))),
)  # fmt: skip


@hostile
@given(head=st.lists(LINES, max_size=8), row=LINES, rows=st.integers(0, 150), tail=st.lists(LINES, max_size=3))
def test_hostile_made_up_recordings(head: list[str], row: str, rows: int, tail: list[str]) -> None:
    text = "\n".join([*head, *[row.replace("1", str(k)) for k in range(rows)], *tail])
    check(READER, "record.csv", text.encode("utf-8", "surrogatepass"))


# --- layouts with a known truth

STYLES = (
    "{name} ({unit})", "{name} [{unit}]", "{name}({unit})", "{name}/{unit}", "{name} / {unit}", "{name}, {unit}",
    "{name} in {unit}", "{name}_{unit}", "{name} {unit}", "{name}: {unit}", "{name}.{unit}",
)  # fmt: skip
TIME_UNITS = {
    "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "sec": 1.0, "msec": 1e-3, "min": 60.0, "Seconds": 1.0,
    "foo": 1.0, "10 ms": 1e-2,
}  # fmt: skip
VOLT_UNITS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "kV": 1e3, "Volt": 1.0, "foo": 1e-3, "x10 mV": 1e-2}
OTHERS = (
    "I (pA)", "I", "current_nA", "Temp (degC)", "I/nA", "g (nS)", "Stim", "Trigger", "Iinj [pA]", "Index", "power (W)",
    "i(r1)", "sweep", "",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A file and what was recorded in it."""

    content: bytes = field(repr=False)
    step: float
    start: float
    voltage: FloatArray = field(repr=False)
    beginning: str

    def read(self) -> Recording | None:
        """What the reader finds; None: it refuses the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "scope.csv")
            path.write_bytes(self.content)
            try:
                return read_recording(path, allow_clipped=True)
            except InputError:
                return None


@st.composite
def recordings(draw: st.DrawFn) -> Made:
    separator = draw(st.sampled_from([",", ",", ";", "\t"]))
    decimal = draw(st.sampled_from([".", ","]))
    named = draw(st.sampled_from([True, True, True, False]))
    t_unit = draw(st.sampled_from(sorted(TIME_UNITS))) if named else "s"
    v_unit = draw(st.sampled_from(sorted(VOLT_UNITS))) if named else "V"
    style = draw(st.sampled_from(STYLES))
    bare_names = draw(st.booleans()) and t_unit == "s" and v_unit == "V"  # without units, these are assumed
    step = draw(st.sampled_from([1e-5, 2e-4, 1e-3, 0.01, 0.25, 1.0]))
    start = draw(st.sampled_from([0.0, 0.0, -10 * step, 7 * step]))
    digits = draw(st.sampled_from([".6g", ".9e", ".9f"]))
    names = {
        "t": draw(st.sampled_from(["Time", "time", "t", "Zeit"])),
        "v": draw(st.sampled_from(["V", "Vm", "U", "Voltage", "CH1", "Membrane potential"])),
    }
    order = ["t", "v", *draw(st.lists(st.sampled_from(OTHERS), max_size=2))]
    if v_unit == "foo" and style == "{name}({unit})":  # V(foo) is the voltage of a simulator's node
        names["v"] = "Voltage"
    if draw(st.booleans()):
        order = [order[k] for k in draw(st.permutations(range(len(order))))]
    times = (start + step * np.arange(N)) / TIME_UNITS[t_unit]
    values = VOLTAGE / VOLT_UNITS[v_unit]
    cells = {"t": [format(x, ".12g" if digits == ".6g" else ".12e" if digits == ".9e" else ".12f") for x in times],
             "v": [format(x, digits) for x in values]}  # fmt: skip
    if draw(st.booleans()):
        cells["v"][40] = draw(st.sampled_from(["", "nan", "∞", "OL", "NA"]))

    def column(role: str) -> list[str]:
        if role == "Index":
            return [str(k) for k in range(N)]
        return cells.get(role) or [format(50 + 20 * np.sin(k), digits) for k in range(N)]

    def name(role: str) -> str:
        if role not in names:
            return role
        unit = t_unit if role == "t" else v_unit
        return names[role] if bare_names else style.format(name=names[role], unit=unit)

    quote = draw(st.sampled_from(["", "", '"']))
    tail = draw(st.sampled_from(["", "", separator]))

    def line(parts: list[str], q: str = quote) -> str:
        return separator.join(f'"{part}"' if q or separator in part else part for part in parts) + tail

    rows = [line([part.replace(".", decimal) for part in row], "") for row in zip(*map(column, order), strict=True)]
    if quote and decimal == "," == separator:
        rows = [line([part.replace(".", ",") for part in row]) for row in zip(*map(column, order), strict=True)]
    elif separator == decimal == ",":
        rows = [separator.join(part.replace(".", ",") for part in row) for row in zip(*map(column, order), strict=True)]
    head = draw(st.lists(st.sampled_from([["Model", "X1"], ["Source", "CH1"], ["Date", "2024-01-01"], ["Probe", "10x"],
                                          ["Time", "12:30:05"], ["Coupling", "DC"]]), max_size=3))  # fmt: skip
    lines = [line(pair, "") for pair in head]
    if named:
        lines.append(line([name(role) for role in order]))
    lines += rows
    if draw(st.booleans()):
        lines.append(separator * (len(order) - 1))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n"
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    voltage = np.array([np.nan if k == 40 and cells["v"][40] in ("", "nan", "∞", "OL", "NA") else v
                        for k, v in enumerate(VOLTAGE)])  # fmt: skip
    return Made(text.encode(encoding), step, start, voltage, text[:300])


def doubts(recording: Recording) -> bool:
    return any("is not known" in line or "are taken as" in line for line in recording.report)


@hostile
@given(made=recordings())
def test_hostile_layouts_are_read_right_or_refused(made: Made) -> None:
    found = made.read()
    counts.setdefault("layouts", Counter())["refused" if found is None else "accepted"] += 1
    if found is None or doubts(found):
        return
    assert abs(found.step / made.step - 1.0) < 1e-3
    assert abs(found.start - made.start) < 1e-3 * made.step
    assert len(found) == N
    np.testing.assert_allclose(found.voltage, made.voltage, rtol=0, atol=1e-6)


def test_most_layouts_are_accepted() -> None:
    """A reader that refuses everything is right, too, but of no use."""
    accepted = []

    @settings(hostile, max_examples=100)
    @given(made=recordings())
    def judge(made: Made) -> None:
        accepted.append(made.read() is not None)

    judge()
    assert sum(accepted) > 0.4 * len(accepted)
