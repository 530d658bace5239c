"""Presets fitted to measurements: known devices come back, intervals hold what they say, bad files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import command_line
import numpy as np
import pytest

from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.technology.device import Device, Tabulated
from analog_fhn.technology.device_fit import Readings, fit_device, read_readings
from analog_fhn.technology.technology import Technology


def measured(
    name: str, seed: int, *, states: int = 8, n: int = 1200, times: tuple[float, ...] = (), noise: float = 0.0
) -> Readings:
    """Readings of a preset's devices, times after its first reading, 20 s after programming."""
    device, rng = Device.load(name), np.random.default_rng(seed)
    assert device.g_range is not None
    low, high = device.g_range
    target = rng.choice(np.linspace(high, max(low, 0.1 * high), states), n)
    first = target + device.programming_deviation(target, rng.normal(size=n), read_voltage=0.2)
    normal = rng.normal(size=n)
    read = [first, *(device.drifted(first, t, normal) for t in times)]
    values = np.concatenate([g * (1.0 + noise * rng.normal(size=n)) for g in read])
    seconds = 20.0 + np.repeat((0.0, *times), n) if times else None
    number = np.tile(np.arange(n), 1 + len(times))
    return Readings("measured.csv", np.tile(target, 1 + len(times)), values, seconds, number)


def write(path: Path, readings: Readings, delimiter: str = ",") -> Path:
    """The readings as a file, devices in the first column."""
    seconds = readings.seconds
    names = ["device", "target", "conductance", *([] if seconds is None else ["seconds"])]
    columns = [readings.device, readings.target, readings.conductance, *([] if seconds is None else [seconds])]
    lines = [delimiter.join(names), *(delimiter.join(map(repr, map(float, row))) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["pcm", "hfo2_rram", "rram"])
def test_a_known_devices_programming_error_comes_back_within_its_intervals(name: str) -> None:
    known, inside, total, worst = Device.load(name), 0, 0, 0.0
    for seed in range(6):
        for one in fit_device(measured(name, seed, n=3000), name).states:
            truth = float(known.programming_sigma(np.array([one.target]), read_voltage=0.2)[0])
            inside += one.low <= truth <= one.high
            total += 1
            worst = max(worst, abs(one.fitted / truth - 1.0))
    # 95 % of 48 intervals; 40 or fewer have a chance of one in a thousand
    assert inside > 40, (inside, total)
    assert worst < 0.15


def test_intervals_of_the_fit_hold_what_they_say() -> None:
    known, hits = Device.load("hfo2_rram"), []
    for seed in range(20):
        states = fit_device(measured("hfo2_rram", seed, n=800), "again").states
        one = states[3]
        truth = float(known.programming_sigma(np.array([one.target]), read_voltage=0.2)[0])
        hits.append(one.fitted_low <= truth <= one.fitted_high)
    assert sum(hits) >= 16  # of 20 at 95 %; fewer have a chance below one in a thousand


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_drift_exponents_come_back(noise: float) -> None:
    readings = measured("pcm", 1, n=1500, states=1, times=(100.0, 1e4, 1e6), noise=noise)
    found = fit_device(readings, "again")
    # At 25 uS, near which the devices are: mean clip(0.0244, 0.049, 0.1), sigma clip(-0.0059, 0.008, 0.045)
    assert found.drift is not None
    assert abs(found.drift.mean - 0.049) < 4 * found.drift.mean_error
    assert abs(found.drift.sigma - 0.008) < 4 * found.drift.sigma_error
    assert found.drift.residual == pytest.approx(noise, rel=0.05, abs=1e-9)
    known, g = Device.load("pcm"), np.array([25e-6])
    for seconds in (100.0, 1e6):
        again = found.device.drifted(g, seconds, None)
        np.testing.assert_allclose(again, known.drifted(g, seconds, None), rtol=0.005)
    assert found.device.time_range == pytest.approx((100.0, 1e6))


def test_exponents_may_depend_on_the_state() -> None:
    found = fit_device(measured("pcm", 2, n=2000, times=(1e3, 1e5)), "again").device
    known = Device.load("pcm")
    g = np.array([3e-6, 12e-6, 24e-6])
    # The preset's mean is a line with a limit, the fit's a line
    np.testing.assert_allclose(found.drifted(g, 1e5, None), known.drifted(g, 1e5, None), rtol=0.05)
    spread = [d.drifted(g, 1e5, np.ones(3)) / d.drifted(g, 1e5, None) for d in (found, known)]
    np.testing.assert_allclose(np.log(spread[0]), np.log(spread[1]), rtol=0.3)


def test_a_table_of_sigmas_is_a_preset_too() -> None:
    found = fit_device(measured("hfo2_rram", 3), "again", model="table")
    assert isinstance(found.device.programming, Tabulated)
    at = np.array([one.target for one in found.states])
    sigma = found.device.programming_sigma(at, read_voltage=0.2)
    np.testing.assert_allclose(sigma, [one.sigma for one in found.states])
    middle = found.device.programming_sigma(np.array([at[:2].mean(), 0.0]), read_voltage=0.2)
    np.testing.assert_allclose(middle, [sigma[:2].mean(), sigma[0]])


def test_many_targets_are_gathered_into_states() -> None:
    states = fit_device(measured("hfo2_rram", 4, states=1200), "again").states
    assert len(states) == 12
    assert sum(one.readings for one in states) == 1200
    assert [one.target for one in states] == sorted(one.target for one in states)


def test_fit_error_is_the_largest_distance_from_a_state() -> None:
    found = fit_device(measured("hfo2_rram", 5), "again")
    assert found.device.fit_error is not None
    largest = max(abs(one.sigma - one.fitted) for one in found.states)
    assert found.device.fit_error[0].value == pytest.approx(largest)
    assert found.device.fit_error[1].value == pytest.approx(max(abs(one.deviation) for one in found.states))
    assert found.device.g_range == pytest.approx((50e-6, 225e-6))


@pytest.mark.parametrize("model", ["polynomial", "table"])
def test_a_fitted_preset_is_used_like_any_other(model: str, tmp_path: Path) -> None:
    path = write(tmp_path / "lot7.csv", measured("pcm", 6, times=(1e3, 1e5)), delimiter=";")
    status, out, err = command_line.run(
        "device", "fit", path, "-o", tmp_path / "mine.yaml", "--sigma", model, "--json", tmp_path / "fit.json"
    )
    assert (status, err) == (0, "")
    assert "drift exponent 0.0" in out
    device = Device.load(tmp_path / "mine.yaml")
    assert device == fit_device(read_readings(path), "lot7", model=model).device  # type: ignore[arg-type]
    content = json.loads((tmp_path / "fit.json").read_text())
    assert content["command"] == "device fit"
    assert len(content["states"]) == 8
    values = {
        "array.device": str(tmp_path / "mine.yaml"), "array.g_min": 2.5e-6, "array.g_max": 25e-6, "array.levels": None,
        "array.programming_error": "device", "array.drift_time": 1e4,
    }  # fmt: skip
    technology = Technology.load("discrete").with_values(values)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(12, 6)), rng.normal(size=(6, 3))
    net = Network.of_weights(weights, protocol=Protocol(settle=5.0, control=20.0))
    images: FloatArray = rng.random((20, 12))
    known = technology.with_values({"array.device": "pcm"})
    mine, of_preset = (Design(net, one).chip(3).arrays[0].crossbar.g_plus for one in (technology, known))
    np.testing.assert_allclose(mine, of_preset, rtol=0.1, atol=0.4e-6)
    scores = classify(Design(net, technology).chip(3), images).scores
    assert np.abs(scores - classify(Design(net, known).chip(3), images).scores).max() < 0.1 * np.ptp(scores)


def test_without_an_output_the_preset_is_printed(tmp_path: Path) -> None:
    path = write(tmp_path / "lot7.csv", measured("hfo2_rram", 7))
    status, out, _ = command_line.run("device", "fit", path, "--name", "mine", "--source", "lot 7")
    assert status == 0
    assert "name: mine\nsource: lot 7\n" in out


HEADER = "device,seconds,target,conductance\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target,current\n1e-5,1e-5\n", "line 1: unknown column 'current'; missing column 'conductance'; expected the"),
        ("target,conductance\n1e-5,abc\n", "line 2, column 'conductance': 'abc'; expected a finite number"),
        ("target,conductance\n25,1e-5\n", "line 2, column 'target': '25'; expected siemens, 0 to 1 (25 uS is 2.5e-05)"),
        ("target,conductance\n-1e-5,1e-5\n", "line 2, column 'target': '-1e-5'; expected siemens, 0 to 1"),
        ("target,conductance\n1e-5,1e-5\n", "1 devices; expected at least 10"),
        ("target,conductance\n" + "1e-5,1e-5\n" * 12, "column 'conductance': all as in column 'target'"),
        ("target,conductance\n" + "0,1e-7\n" * 12, "column 'target': all 0; expected conductances in siemens"),
        ("target,conductance,seconds\n1e-5,1e-5,3\n", "column 'seconds' without column 'device'"),
        (HEADER + "1,-3,1e-5,1e-5\n", "line 2, column 'seconds': '-3'; expected seconds after programming, 0 or more"),
        (HEADER + "1.5,3,1e-5,1e-5\n", "line 2, column 'device': '1.5'; expected the number of the device"),
        (HEADER + "1,3,1e-5,1e-5\n1,5,2e-5,1e-5\n", "line 3, column 'target': 2e-05; expected 1e-05 as in line 2"),
        (HEADER + "1,3,1e-5,1e-5\n1,3,1e-5,2e-5\n", "line 3, column 'device': 1, as in line 2 at the same time"),
        ("", "the file is empty"),
    ],
)
def test_bad_files_get_one_message(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    status, out, err = command_line.run("device", "fit", tmp_path / "bad.csv")
    assert (status, out) == (2, "")
    assert f"{tmp_path / 'bad.csv'}" in err
    assert message in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("first", "message"),
    [(0.0, "first readings at 0 to 0 s; expected times after programming above 0"), (2.0, "differ by a factor of")],
)
def test_first_readings_need_one_time_above_0(first: float, message: str) -> None:
    readings = measured("pcm", 8, n=50, times=(1e3,))
    assert readings.seconds is not None
    readings.seconds[: 50 if first == 0.0 else 1] *= first
    with pytest.raises(InputError, match=message):
        fit_device(readings, "again")


def test_refused_tables_of_sigma(tmp_path: Path) -> None:
    head = "format: 1\nname: a\nsource: b\ng_range: [0.0, 1e-5]\nprogramming: {kind: table, q: [1e-6, 5e-6], values: "
    (tmp_path / "a.yaml").write_text(head + "[1e-7]}\n")
    with pytest.raises(InputError, match="values: 1 numbers; expected 2, one for each of q"):
        Device.load(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text(head.replace("[1e-6, 5e-6]", "[5e-6, 1e-6]") + "[1e-7, 1e-7]}\n")
    with pytest.raises(InputError, match="q: expected rising numbers"):
        Device.load(tmp_path / "a.yaml")
