"""Recordings under current clamp: what is read from Axon files, what is refused, and what the steps did."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("neo")
from abf_files import write_abf
from real_recordings import FOLDER, real

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.bridge import bridge, without_bridge
from analog_fhn.reconstruct.recordings.clamp_files import read_current_clamp
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, held_out_currents, steps_of
from analog_fhn.reconstruct.recordings.sweep_file import is_sweep_file, read_sweep_file
from analog_fhn.reconstruct.steps import step_responses, threshold

N = 12_800  # samples of a sweep: 0.64 s; its epochs begin after 200
STEP = slice(2200, 8200)  # 0.3 s
EPOCHS = ((2000, 0.0, 0.0), (6000, -20.0, 20.0), (1000, 0.0, 0.0), (1000, -50.0, 0.0))


def spiking(number: int, n: int = N) -> FloatArray:
    """-60 mV (in mV), and as many spikes of 1 ms to 30 mV in the step, 20, 30, 40, ... ms apart."""
    voltage = np.full(n, -60.0)
    for k in range(number):
        begin = STEP.start + 200 + 400 * k + 100 * k * (k - 1)
        voltage[begin : begin + 20] = 30.0
    return voltage[:, None]


def recording(path: Path, counts: tuple[int, ...] = (0, 0, 1, 3, 5), **options: object) -> Path:
    return write_abf(path, [spiking(n) for n in counts], **{"epochs": EPOCHS, **options})  # type: ignore[arg-type]


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as error:
        read_current_clamp(path, **options)  # type: ignore[arg-type]
    message = str(error.value)
    assert path.name in message
    assert "Traceback" not in message
    return message


def test_steps_and_what_they_did(tmp_path: Path) -> None:
    clamp = read_current_clamp(recording(tmp_path / "r.abf"))
    assert clamp.step == pytest.approx(5e-5)
    assert [(s.sweep, s.start, s.stop) for s in clamp.steps] == [(k, STEP.start, STEP.stop) for k in range(5)]
    np.testing.assert_allclose(clamp.currents, 1e-12 * np.array([-20, 0, 20, 40, 60]))
    np.testing.assert_allclose(clamp.uniform[0][3], 1e-3 * spiking(3)[:, 0], atol=1e-9)
    assert clamp.uniform[1][0, 9500] == pytest.approx(-50e-12), "the same in all sweeps: a current, but no step"
    last = step_responses(clamp)[-1]
    # 20, 30, 40 and 50 ms apart, the first after 10 ms; the line between two samples rises through -10 mV in between
    np.testing.assert_allclose(last.intervals, [0.02, 0.03, 0.04, 0.05])
    assert last.latency == pytest.approx(0.01, abs=5e-5)
    assert last.rate == pytest.approx(5 / 0.3)
    assert last.adaptation == pytest.approx(np.mean([10 / 50, 10 / 70, 10 / 90]))
    assert (last.baseline, last.peaks[0]) == pytest.approx((-0.06, 0.03))
    between = threshold(step_responses(clamp))
    assert (between.silent, between.spiking) == pytest.approx((0.0, 20e-12))


def test_noise_about_the_level_makes_no_spikes() -> None:
    rng = np.random.default_rng(1)
    voltage = -0.010 + 2e-3 * rng.standard_normal(2000)
    voltage[:100], voltage[1000:1100] = -0.06, -0.06
    current = np.zeros(2000)
    current[50:1990] = 1e-11
    clamp = CurrentClamp((voltage,), (current,), 5e-5, steps_of((current,), 100))
    assert len(clamp.spikes(clamp.steps[0])) == 2


def test_a_quarter_of_the_currents_is_held_out_and_never_an_end() -> None:
    for n in range(4, 40):
        held_out = held_out_currents(np.arange(n))
        assert len(np.unique(held_out)) == -(-n // 4)
        assert 0 < held_out.min() <= held_out.max() < n - 1
    assert held_out_currents(np.arange(16)).tolist() == [2, 6, 10, 14]


def test_the_electrode_s_resistance_is_found_and_taken_away() -> None:
    time = 5e-5 * np.arange(N)
    sweeps, currents = [], []
    for amplitude in (-2e-11, 2e-11, 6e-11):
        current = np.where((time >= 0.1) & (time < 0.4), amplitude, 0.0)
        charge = lambda t: np.where(t >= 0, 1 - np.exp(-np.maximum(t, 0) / 0.02), 0.0)  # noqa: E731
        membrane = -0.06 + 2e8 * amplitude * (charge(time - 0.1) - charge(time - 0.4))
        sweeps.append(membrane + 15e6 * current)
        currents.append(current)
    clamp = CurrentClamp(tuple(sweeps), tuple(currents), 5e-5, steps_of(currents, 200))
    found = bridge(clamp)
    assert found.ohms == pytest.approx(15e6, rel=0.01)
    assert found.n_edges == 6
    left = without_bridge(clamp)
    assert abs(bridge(left).ohms) < 0.02 * 15e6
    assert "subtracted, up to 0.90" in left.report[-1]


def test_the_voltage_is_chosen_by_its_unit(tmp_path: Path) -> None:
    both = [np.hstack([np.full((N, 1), 7.0), spiking(2)]) for _ in range(4)]
    path = write_abf(tmp_path / "two.abf", both, channels=[("IN 0", "pA"), ("IN 1", "mV")], epochs=EPOCHS)
    clamp = read_current_clamp(path)
    assert "voltage from channel 2 'IN 1' (mV)" in clamp.report[0]
    assert clamp.voltage[0].max() == pytest.approx(0.03)
    assert "1 'IN 0' (pA) is a current" in refusal(path, channel=1)
    path = write_abf(tmp_path / "both.abf", both, channels=[("IN 0", "mV"), ("IN 1", "mV")], epochs=EPOCHS)
    assert "2 channels are voltages: 1 'IN 0' (mV), 2 'IN 1' (mV); expected the name or number" in refusal(path)
    assert read_current_clamp(path, channel="IN 1").voltage[0].max() == pytest.approx(0.03)
    assert "there is no channel 'IN 7'" in refusal(path, channel="IN 7")


def test_sweeps_of_unequal_length_keep_their_whole_steps(tmp_path: Path) -> None:
    sweeps = [spiking(2), spiking(2), spiking(2, 5000), spiking(2), spiking(2, 10_000)]
    clamp = read_current_clamp(write_abf(tmp_path / "r.abf", sweeps, epochs=EPOCHS))
    assert [s.sweep for s in clamp.steps] == [0, 1, 3, 4]
    assert "sweep 3 has 5000 samples, others 12800; 0 of 1 steps are whole in it" in clamp.report
    with pytest.raises(InputError, match="sweeps of 5000 to 12800 samples; expected one length"):
        _ = clamp.uniform


def test_one_sweep_has_steps_but_nothing_to_hold_out(tmp_path: Path) -> None:
    clamp = read_current_clamp(recording(tmp_path / "one.abf", (4,)))
    assert [(s.start, s.stop) for s in clamp.steps] == [(STEP.start, STEP.stop), (9200, 10_200)]
    with pytest.raises(InputError, match=r"one\.abf: steps of 2 currents; expected at least 4"):
        _ = clamp.held_out
    assert "1 sweep, 2 steps at 2 currents" in clamp.report[1]


def test_silence_is_a_recording_too(tmp_path: Path) -> None:
    responses = step_responses(read_current_clamp(recording(tmp_path / "r.abf", (0, 0, 0, 0))))
    assert [r.record["rate"] for r in responses] == [0.0] * 4
    assert responses[0].latency is responses[0].adaptation is None
    with pytest.raises(InputError, match="no spike at any of 4 currents up to 4e-11 A"):
        threshold(responses)


@pytest.mark.parametrize(
    ("scale", "options", "doubt"),
    [
        (1.0, {}, ""),
        (10.0, {}, "the voltage goes from -600 to 300 mV, further than that of a membrane"),
        (1e-3, {}, "the voltage goes from -0.06 to 0.03 mV, near zero throughout"),
        (1.0, {"command": ("Cmd", "nA")}, "60 nA are more than a neuron is given"),
        (1.0, {"rate": 1000.0}, "a sample every 1 ms: spikes, which last about 1 ms, fall between samples"),
    ],
)
def test_what_no_neuron_does_is_said(tmp_path: Path, scale: float, options: dict[str, object], doubt: str) -> None:
    sweeps = [scale * spiking(n) for n in (0, 0, 1, 3, 5)]
    clamp = read_current_clamp(write_abf(tmp_path / "r.abf", sweeps, epochs=EPOCHS, **options))  # type: ignore[arg-type]
    assert [line for line in clamp.report[2:] if doubt in line] == list(clamp.report[2:3])
    assert len(clamp.report) == (3 if doubt else 2)


def test_texts_of_other_alphabets_are_taken(tmp_path: Path) -> None:
    clamp = read_current_clamp(recording(tmp_path / "r.abf", command=("Intensit\xe9", "pA")))
    assert len(clamp.steps) == 5


def test_sweeps_that_do_not_make_up_the_data_are_refused(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.abf")
    content = bytearray(path.read_bytes())
    place = content.index(np.array([N, N, 2 * N, N], "<i4").tobytes())  # begin and length of sweeps 2 and 3
    content[place + 4 : place + 8] = np.array([N - 7], "<i4").tobytes()
    path.write_bytes(content)
    assert f"its sweeps are of {5 * N - 7} samples together, its data of {5 * N}" in refusal(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [("Im", "pA")], "command": ("Vc", "mV")}, "voltage clamp: the command 'Vc' (mV) is a voltage"),
        ({"channels": [("IN 0", "")]}, "no channel has a unit of voltage: 1 'IN 0' (no unit)"),
        ({"command": ("Cmd", "")}, "no current is commanded: 'Cmd' (no unit)"),
        ({"channels": [("Im", "pA")]}, "no channel has a unit of voltage: 1 'Im' (pA)"),
        ({"epochs": ()}, "the protocol's 'Cmd' (pA) has no step of at least 0.01 s whose current differs"),
        ({"epoch": {"nEpochType": 2}}, "it has ramps or trains of pulses; expected steps alone"),
        ({"output": {"nWaveformSource": 2}}, "its waveform comes from another file"),
        ({"output": {"nInterEpisodeLevel": 1}}, "the last level is held between sweeps"),
        ({"output": {"nWaveformEnable": 0}}, "no output had a waveform; expected a protocol of current steps"),
        ({"protocol": {"nOperationMode": 3}}, "not recorded in sweeps of a protocol (gap-free or by events)"),
        ({"protocol": {"nAlternateDACOutputState": 1}}, "outputs alternate from sweep to sweep"),
        ({"protocol": {"lNumSamplesPerEpisode": 2**30}}, "the protocol is of 1073741824 samples a sweep"),
        ({"epoch": {"lEpochInitDuration": 2**30}}, "its epochs do not fit into a sweep"),
        ({"epoch": {"lEpochDurationInc": -5000}}, "its epochs do not fit into a sweep"),
    ],
)
def test_what_is_no_current_clamp_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    assert message in refusal(recording(tmp_path / "bad.abf", **options))


def with_current(path: Path, noise: float, shape: FloatArray) -> Path:
    """Sweeps without a protocol whose second channel is the injected current (pA): 10 k times `shape`, and noise."""
    rng = np.random.default_rng(3)
    sweeps = [
        np.hstack([spiking(k), 10.0 * k * shape[:, None] + noise * rng.standard_normal((N, 1))]) for k in range(-1, 4)
    ]
    channels = [("Vm", "mV"), ("Im", "pA")]
    return write_abf(path, sweeps, channels=channels, protocol={"nOperationMode": 3})


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0])
def test_a_recorded_current_has_steps_too_if_it_is_said_to_be_injected(tmp_path: Path, noise: float) -> None:
    shape = np.zeros(N)
    shape[STEP] = 1.0
    path = with_current(tmp_path / "r.abf", noise, shape)
    assert "as the command one of the recorded 2 'Im' (pA), if it was injected" in refusal(path)
    clamp = read_current_clamp(path, command="Im")
    np.testing.assert_allclose(clamp.currents, 1e-11 * np.array([-1, 0, 1, 2, 3]), atol=1e-13)
    for step in clamp.steps:
        assert abs(step.start - STEP.start) <= 2
        assert abs(step.stop - STEP.stop) <= 2
    assert [len(r.spikes) for r in step_responses(clamp)] == [0, 0, 1, 2, 3]


def test_a_recorded_current_that_is_no_step_is_refused(tmp_path: Path) -> None:
    path = with_current(tmp_path / "r.abf", 0.2, np.sin(np.arange(N) / 300.0))
    assert "differs by" in refusal(path, command="Im")


def test_a_unit_may_be_told(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.abf", channels=[("IN 0", "")])
    assert "expected volts per unit as well" in refusal(path, channel=1)
    clamp = read_current_clamp(path, channel=1, volts_per_unit=1e-3)
    assert clamp.voltage[0].min() == pytest.approx(-0.06)


@pytest.mark.parametrize("share", [0.0001, 0.005, 0.02, 0.3, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    whole = recording(tmp_path / "whole.abf").read_bytes()
    path = tmp_path / "cut.abf"
    path.write_bytes(whole[: 4 + int(share * len(whole))])
    assert "cut off" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.abf", b"", "is empty; expected a recording of Axon (ABF)"),
        ("table.abf", b"time,voltage\n0,1\n", "begins with b'time'; expected 'ABF ' or 'ABF2'"),
        ("axon.dat2", b"ABF2" + bytes(600), "begins as Axon's files do; expected a name that ends in .abf"),
        ("block.pkl", b"cos\nsystem\n(S'true'\ntR.", ".pkl may run a program when it is read; expected one of .abf"),
        ("data.mat", b"MATLAB 5.0", ".mat has no agreed layout"),
        ("a.axgd", b"axgx" + bytes(40), "cannot be read as a file of AxoGraph"),
        ("a.smr", bytes(100), "cannot be read as a file of Spike2"),
        ("a.wcp", b"VER=9\n" + bytes(2000), "cannot be read as a file of WinWCP"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refusal(path)


def test_a_rate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = write_abf(tmp_path / "r.abf", [np.zeros((1000, 1))] * 4, epochs=EPOCHS, rate=float("nan"))
    with pytest.raises(
        InputError, match=r"r\.abf: channel 1 'Vm' has the sampling rate nan Hz; expected a number above"
    ):
        read_current_clamp(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.abf")


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.abf").mkdir()
    assert "is a folder; expected a recording of Axon (ABF)" in refusal(tmp_path / "r.abf")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.abf")
        assert "is no regular file" in refusal(tmp_path / "pipe.abf")


@pytest.mark.parametrize(
    ("name", "content", "swept"),
    [
        ("a.dat", b"0 1\n1 2\n", False),
        ("a.dat", b"\0\1binary", True),
        ("a.csv", b"0,1\n", False),
        ("a.csv", b"ABF2", True),
    ],
)
def test_a_table_is_none_whatever_its_name(tmp_path: Path, name: str, content: bytes, swept: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_sweep_file(tmp_path / name) is swept


# Upward crossings of -10 mV in the first and second step, counted independently of this package's reader.
COUNTS = {
    "17o05028_ic_steps": (
        [0] * 5 + [3, 6, 7, 10, 12, 15, 17, 18, 20, 20, 21], [0] * 5 + [3, 6, 8, 10, 12, 14, 15, 17, 19, 19, 21],
    ),
    "171116sh_0018": ([0] * 6 + [1, 1, 3, 4, 5, 6, 6, 7, 8, 8, 9], [0] * 6 + [1, 2, 3, 4, 5, 6, 6, 7, 8, 8, 9]),
}  # fmt: skip


@real
@pytest.mark.parametrize("name", COUNTS)
def test_recorded_neurons(name: str) -> None:
    path = FOLDER / f"{name}.abf"
    clamp = read_current_clamp(path)
    responses = step_responses(clamp)
    for number, counts in enumerate(COUNTS[name]):
        assert [len(r.spikes) for r in responses if r.step.number == number] == counts
    starts = {(s.start * clamp.step, s.stop * clamp.step) for s in clamp.steps}
    np.testing.assert_allclose(sorted(starts), [(0.14685, 0.64685), (1.64685, 2.14685)])
    assert read_sweep_file(path).sha256 == clamp.sha256


@real
def test_a_recorded_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.abf"
    path.write_bytes((FOLDER / "171116sh_0018.abf").read_bytes()[:1_000_000])
    assert "cut off" in refusal(path)
