"""Measured devices: formulas at points worked out by hand, moments of the draws, limits, and refusals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analog_fhn._support.resources import resource
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.device import Device
from analog_fhn.technology.technology import Technology

PRESETS = sorted(p.stem for p in resource("calibration", "devices").glob("*.yaml"))
PCM = resource("calibration", "devices/pcm.yaml").read_text(encoding="utf-8")
SONOS = resource("calibration", "devices/sonos.yaml").read_text(encoding="utf-8")
DOCS = Path(__file__).parents[2] / "docs" / "devices.md"
N = 200_000
FIVE_DAYS = 432_000.0


def micro(*values: float) -> FloatArray:
    return np.array(values) * 1e-6


def normal(seed: int, shape: int | tuple[int, ...] = N) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape)


def assert_moments(found: FloatArray, mean: float, sd: float) -> None:
    """Mean and standard deviation of the sample agree with the expected ones to four standard errors."""
    centred = found - found.mean()
    kurtosis = float(np.mean(centred**4) / np.mean(centred**2) ** 2)
    assert abs(float(found.mean()) - mean) < 4.0 * sd / math.sqrt(found.size)
    assert abs(float(found.std()) / sd - 1.0) < 4.0 * math.sqrt((kurtosis - 1.0) / (4.0 * found.size))


def problems(name: str, **asked: object) -> list[str]:
    """Problems of an array within the device's range, with some of it changed."""
    device = Device.load(name)
    low, high = device.g_range or (0.0, 1e-6)
    usual = {"g_min": low, "g_max": high, "read_voltage": 0.2, "seconds": None}
    models = dict.fromkeys(("programming", "read_noise", "drift", "levels"), False)
    return device.problems(**(usual | models | asked))  # type: ignore[arg-type]


# Presets


def test_the_presets_are_the_agreed_ones() -> None:
    expected = "cmo_hfox_0p2 cmo_hfox_2 digital_potentiometer hfo2_rram metal_film pcm rram sonos"
    assert expected.split() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_what_they_are(name: str) -> None:
    device = Device.load(name)
    assert device.name == name
    assert len(device.source) > 20
    assert "odelled" in device.note
    assert device.fit_error or device.fit_error_note != "not stated"
    assert device.programming is not None


@pytest.mark.parametrize("name", PRESETS)
def test_no_conductance_makes_trouble(name: str) -> None:
    # warnings are errors here; nor does the shape change
    device = Device.load(name)
    g = np.array([[0.0, 1e-300, 1e-9], [-1e-7, 2e-6, 1e-4]])
    z = normal(1, g.shape)
    results = [
        device.programming_sigma(g, read_voltage=0.2),
        device.programming_deviation(g, z, read_voltage=0.2),
    ]
    if device.drift is not None:
        results += [device.drifted(g, t, d, read_voltage=0.2) for t in (0.0, FIVE_DAYS) for d in (z, None)]
    if device.read_noise is not None:
        results += [
            device.read_sigma(g, read_voltage=0.2, seconds=FIVE_DAYS),
            device.read_deviation(g, z, read_voltage=0.2, seconds=None),
        ]
    for result in results:
        assert result.shape == g.shape
        assert result.dtype == np.float64
        assert np.isfinite(result).all()


# Programming error: micro-siemens worked out by hand from the published formulas


@pytest.mark.parametrize(
    ("name", "g", "sigma"),
    [
        # 0.26348 + 1.9650 g - 1.1731 g^2 at g = 0, 1/2, 1
        ("pcm", (0.0, 12.5, 25.0), (0.26348, 0.952705, 1.05538)),
        # 4.782 - 0.009107 G
        ("hfo2_rram", (50.0, 100.0, 225.0), (4.32665, 3.8713, 2.732925)),
        # 1.053 + 0.2374 G - 0.01167 G^2 + 1.536e-4 G^3
        ("rram", (0.0, 10.0, 20.0), (1.053, 2.4136, 2.3618)),
        # 0.00106879 G + 0.00081107
        ("cmo_hfox_0p2", (10.0, 50.0), (0.01149897, 0.05425057)),
        # 0.01129 G + 0.01122
        ("cmo_hfox_2", (10.0, 50.0), (0.12412, 0.57572)),
        # 1 % uniform: G/100/sqrt(3)
        ("metal_film", (1.0, 100.0), (0.00577350269, 0.577350269)),
        ("digital_potentiometer", (100.0,), (0.577350269,)),
    ],
)
def test_programming_sigma_by_hand(name: str, g: tuple[float, ...], sigma: tuple[float, ...]) -> None:
    found = Device.load(name).programming_sigma(micro(*g), read_voltage=0.2)
    np.testing.assert_allclose(found, micro(*sigma), rtol=1e-8)


def test_sonos_is_known_in_currents() -> None:
    # I = 176.3 nA, at which sigma_I = 19.89 nA (1 - 1/e) = 12.57288 nA, whatever the voltage
    device = Device.load("sonos")
    for volt in (0.1, 0.5):
        found = device.programming_sigma(np.array([176.3e-9 / volt]), read_voltage=volt)
        np.testing.assert_allclose(found * volt, 12.57288e-9, rtol=1e-6)
    assert device.programming_sigma(np.array([0.0, -1e-7]), read_voltage=0.1).tolist() == [0.0, 0.0]


def test_sigma_is_never_negative() -> None:
    # beyond the range the line falls below zero
    assert Device.load("hfo2_rram").programming_sigma(micro(600.0), read_voltage=0.2).tolist() == [0.0]


@pytest.mark.parametrize("name", ["pcm", "hfo2_rram", "rram", "cmo_hfox_0p2", "cmo_hfox_2", "sonos"])
def test_programming_errors_have_their_sigma(name: str) -> None:
    device = Device.load(name)
    low, high = device.g_range or (0.0, 3.2e-6 / 0.2)
    for k, g in enumerate(np.linspace(low, high, 4)[1:]):
        deviation = device.programming_deviation(np.full(N, g), normal(10 + k), read_voltage=0.2)
        assert_moments(deviation, 0.0, float(device.programming_sigma(np.array([g]), read_voltage=0.2)[0]))


@pytest.mark.parametrize("name", ["metal_film", "digital_potentiometer"])
def test_resistors_are_uniform_within_their_tolerance(name: str) -> None:
    device = Device.load(name)
    for k, g in enumerate((5e-5, 1e-4)):
        found = g + device.programming_deviation(np.full(N, g), normal(20 + k), read_voltage=1.0)
        r = 1.0 / found * g
        assert 0.99 <= r.min() < 0.9901
        assert 1.0099 < r.max() <= 1.01
        assert_moments(r, 1.0, 0.01 / math.sqrt(3.0))
        share, _ = np.histogram(r, bins=20, range=(0.99, 1.01))
        assert np.abs(share - N / 20).max() < 4.5 * math.sqrt(N / 20)
        assert_moments(
            found - g, g * 0.01**2 / 3.0, float(device.programming_sigma(np.array([g]), read_voltage=1.0)[0])
        )


# Drift


def test_pcm_exponents_by_hand() -> None:
    # g = 0: limits 0.1 and 0.045; g = 0.1: 0.0244 + 0.0155 ln 10, -0.0059 + 0.0125 ln 10; g = 1: limits 0.049, 0.008
    device = Device.load("pcm")
    g = micro(1e-9, 2.5, 25.0)
    # 180 s after the first reading are 200 s after programming: ten times t0
    for z, nu in ((0.0, (0.1, 0.0600901, 0.049)), (1.0, (0.145, 0.0829724, 0.057)), (-1.0, (0.055, 0.0372078, 0.041))):
        found = device.drifted(g, 180.0, np.full(3, z))
        np.testing.assert_allclose(-np.log10(found / g), nu, rtol=2e-6)
    np.testing.assert_allclose(device.drifted(g, 180.0, None), device.drifted(g, 180.0, np.zeros(3)), rtol=1e-15)
    np.testing.assert_allclose(device.drifted(micro(2.5), 180.0, None), micro(2.5 * 0.870783), rtol=1e-6)


def test_pcm_first_reading_has_not_drifted() -> None:
    g = micro(0.0, 1.0, 25.0)
    np.testing.assert_array_equal(Device.load("pcm").drifted(g, 0.0, normal(2, 3)), g)


def test_pcm_does_not_grow() -> None:
    # nu is cut at zero: at small g its mean is 2.2 sigma above
    g = np.full(N, 0.25e-6)
    found = Device.load("pcm").drifted(g, 1e6, normal(3))
    assert found.max() == g[0]
    assert (found == g).mean() > 0.01


@pytest.mark.parametrize("g", [0.0025, 0.017, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("seconds", [1.0, 3600.0, 3.15e7])
def test_pcm_exponents_have_their_moments(g: float, seconds: float) -> None:
    mean = min(max(0.0244 - 0.0155 * math.log(g), 0.049), 0.1)
    sd = min(max(-0.0059 - 0.0125 * math.log(g), 0.008), 0.045)
    # moments of max(0, nu)
    a = mean / sd
    cdf, pdf = 0.5 * (1.0 + math.erf(a / math.sqrt(2.0))), math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    first = mean * cdf + sd * pdf
    second = (mean**2 + sd**2) * cdf + mean * sd * pdf
    start = np.full(N, 25e-6 * g)
    found = Device.load("pcm").drifted(start, seconds, normal(30))
    nu = -np.log(found / start) / math.log((seconds + 20.0) / 20.0)
    assert_moments(nu, first, math.sqrt(second - first**2))


@pytest.mark.parametrize("name", ["cmo_hfox_0p2", "cmo_hfox_2"])
def test_cmo_hfox_relaxes_with_the_logarithm(name: str) -> None:
    device = Device.load(name)
    g = micro(9.0, 50.0, 88.0)
    # ln t = 5: mean -0.445, sigma 0.622
    t = math.exp(5.0)
    np.testing.assert_allclose(device.drifted(g, t, None) - g, np.full(3, -0.445e-6), rtol=1e-9)
    np.testing.assert_allclose(device.drifted(g, t, np.full(3, -2.0)) - g, np.full(3, -1.689e-6), rtol=1e-9)
    for k, seconds in enumerate((1.0, 3600.0, 3.15e8)):
        log_t = math.log(seconds)
        found = device.drifted(np.full(N, 50e-6), seconds, normal(40 + k)) - 50e-6
        assert_moments(found, -0.089e-6 * log_t, 0.042e-6 * log_t + 0.412e-6)


def test_cmo_hfox_before_its_first_second() -> None:
    device = Device.load("cmo_hfox_0p2")
    g, z = micro(9.0, 50.0), np.array([1.0, -1.0])
    np.testing.assert_array_equal(device.drifted(g, 0.0, z), g)
    np.testing.assert_allclose(device.drifted(g, 0.5, z), g + 0.412e-6 * z, rtol=1e-14)


FIT = (3.19927e-1, 1.06596e-1, -1.04054e-3, 4.50290e-6, -1.10352e-8, 1.56477e-11, -1.27592e-14, 5.45513e-18)
FIT += (-7.26841e-22, -2.43893e-25, 7.14608e-29)


@pytest.mark.parametrize("current", [100.0, 400.0, 1000.0, 1500.0])
def test_sonos_after_five_days(current: float) -> None:
    # in nA; all cells programmed to one target have the measured mean and the measured spread, no more
    device = Device.load("sonos")
    mean = current + sum(c * current**k for k, c in enumerate(FIT))
    volt = 0.1
    g = current * 1e-9 / volt
    found = device.drifted(np.array([g]), FIVE_DAYS, None, read_voltage=volt)
    np.testing.assert_allclose(found * volt * 1e9, mean, rtol=1e-9)
    programmed = g + device.programming_deviation(np.full(N, g), normal(50), read_voltage=volt)
    after = device.drifted(programmed, FIVE_DAYS, normal(51), read_voltage=volt) * volt * 1e9
    sigma = 34.58 * (1.0 - math.exp(-mean / 207.3))
    assert_moments(after, mean, sigma)


def test_sonos_at_once_and_beyond_its_currents() -> None:
    device = Device.load("sonos")
    g = micro(0.0, 1.0, 10.0)
    np.testing.assert_array_equal(device.drifted(g, 0.0, normal(4, 3), read_voltage=0.1), g)
    # above 1.8 uA the mean change stays what it is there
    change = device.drifted(micro(18.0, 30.0), FIVE_DAYS, None, read_voltage=0.1) - micro(18.0, 30.0)
    assert change[1] == pytest.approx(change[0], rel=1e-9)
    with pytest.raises(InputError, match=r"3600 s: measured 432000 s after programming only"):
        device.drifted(g, 3600.0, None, read_voltage=0.1)
    with pytest.raises(InputError, match="'sonos' was measured in currents: read_voltage is needed"):
        device.drifted(g, FIVE_DAYS, None)


# Read noise


def test_pcm_read_noise_by_hand() -> None:
    # Q = 0.0088 g^-0.65: 0.0393082 at g = 0.1, 0.175583 at 0.01, 0.2 at 0.001; first reading: sqrt(ln(4e7)) = 4.183825
    device = Device.load("pcm")
    g = micro(0.0, 0.025, 0.25, 2.5, 25.0)
    found = device.read_sigma(g, read_voltage=0.2, seconds=None)
    expected = g * np.array([0.2, 0.2, 0.175583, 0.0393082, 0.0088]) * 4.183825
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # a year: sqrt(ln((3.15e7 + 20)/5e-7)) = sqrt(31.774156)
    later = device.read_sigma(g, read_voltage=0.2, seconds=3.15e7)
    np.testing.assert_allclose(later[1:] / found[1:], math.sqrt(31.774156) / 4.183825, rtol=1e-6)


def test_relative_read_noise_is_that_of_the_programmed_state() -> None:
    # half the conductance after drift: half the noise, not half of a larger share
    device = Device.load("pcm")
    g = micro(2.5, 25.0)
    whole = device.read_sigma(g, read_voltage=0.2, seconds=10.0)
    np.testing.assert_allclose(device.read_sigma(g / 2, read_voltage=0.2, seconds=10.0, programmed=g), whole / 2)
    assert (device.read_sigma(g / 2, read_voltage=0.2, seconds=10.0) > 0.75 * whole).all()


@pytest.mark.parametrize(
    ("name", "g", "sigma"),
    [
        ("pcm", 2.5e-6, lambda g: g * 0.0393082 * 4.183825),
        ("pcm", 25e-6, lambda g: g * 0.0088 * 4.183825),
        # 12.58 nA (1 - exp(-I/215.4 nA)), I = G 0.2 V
        ("sonos", 1e-6, lambda g: 12.58e-9 * (1.0 - math.exp(-g * 0.2 / 215.4e-9)) / 0.2),
        ("sonos", 8e-6, lambda g: 12.58e-9 * (1.0 - math.exp(-g * 0.2 / 215.4e-9)) / 0.2),
    ],
)
def test_read_noise_has_its_sigma(name: str, g: float, sigma: Callable[[float], float]) -> None:
    found = Device.load(name).read_deviation(np.full(N, g), normal(60), read_voltage=0.2, seconds=0.0)
    assert_moments(found, 0.0, sigma(g))


@pytest.mark.parametrize("name", ["rram", "metal_film"])
def test_models_that_are_not_there(name: str) -> None:
    device = Device.load(name)
    with pytest.raises(InputError, match=f"device '{name}' has no drift"):
        device.drifted(micro(1.0), 1.0, None)
    with pytest.raises(InputError, match=f"device '{name}' has no read noise"):
        device.read_sigma(micro(1.0), read_voltage=0.2, seconds=None)


# Levels


def test_resistors_have_96_values_a_decade() -> None:
    device = Device.load("metal_film")
    e96 = np.round(10.0 ** (np.arange(96) / 96.0), 2)
    found = device.level_values(1e-5, 1e-4)
    assert found is not None
    np.testing.assert_allclose(found, np.sort(1.0 / np.append(e96 * 1e4, 1e5)), rtol=1e-12)
    whole = device.level_values(0.0, 1.0)
    assert whole is not None
    assert len(whole) == 6 * 96 + 1
    assert (whole[0], whole[-1]) == (1e-7, 0.1)
    assert device.level_values(1.01e-5, 1.02e-5) == ()
    assert device.level_values(0.2, 0.3) == ()


def test_potentiometer_has_256_codes() -> None:
    device = Device.load("digital_potentiometer")
    found = device.level_values(0.0, 1.0)
    assert found is not None
    np.testing.assert_allclose(1.0 / np.array(found), np.arange(256, 0, -1) * 78.125 + 60.0, rtol=1e-12)
    # 78.125 D + 60 ohm from 6.935 to 20.06 kohm: D = 88..256
    assert device.g_range is not None
    assert len(device.level_values(*device.g_range) or ()) == 169


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"metal_film", "digital_potentiometer"}))
def test_memories_are_continuous(name: str) -> None:
    assert Device.load(name).level_values(1e-6, 1e-4) is None


def test_temperature_coefficients() -> None:
    found = {name: c for name in PRESETS if (c := Device.load(name).temperature_coefficient) is not None}
    assert found == {"metal_film": 50e-6, "digital_potentiometer": 35e-6}


# Limits


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_to_say_within_the_range(name: str) -> None:
    device = Device.load(name)
    asked = {
        "programming": device.programming is not None,
        "read_noise": device.read_noise is not None,
        "drift": device.drift is not None,
        "levels": device.levels is not None,
    }
    assert problems(name, **asked) == []
    seconds = {"sonos": FIVE_DAYS, "rram": 1.0}.get(name, 3600.0)
    assert problems(name, seconds=seconds, **asked) == []
    assert problems(name, seconds=0.0, temperature=300.0, **asked) == []


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("pcm", {"g_max": 3e-4}, "array.g_max = 0.0003: device 'pcm' is known from 0 to 2.5e-05 S"),
        ("hfo2_rram", {"g_min": 1e-6}, "array.g_min = 1e-06: device 'hfo2_rram' is known from 5e-05 to 0.000225 S"),
        ("hfo2_rram", {"read_voltage": 1.0}, "array.read_voltage = 1: device 'hfo2_rram' bears at most 0.5 V"),
        (
            "sonos",
            {"g_max": 1e-5, "read_voltage": 1.0},
            "array.g_max = 1e-05 at array.read_voltage = 1: device 'sonos' is known from 0 to 3.2e-06 A",
        ),
        (
            "sonos",
            {"g_max": 1e-5, "drift": True, "seconds": FIVE_DAYS},
            "array.g_max = 1e-05 at array.read_voltage = 0.2 and with drift: "
            "device 'sonos' is known from 0 to 1.8e-06 A",
        ),
        ("sonos", {"seconds": 3600.0}, "array.drift_time = 3600: device 'sonos' is known at 0 or 432000 s only"),
        ("pcm", {"seconds": 1e9}, "array.drift_time = 1e+09: device 'pcm' is known from 0 to 3.2e+07 s"),
        ("cmo_hfox_2", {"seconds": 0.5}, "array.drift_time = 0.5: device 'cmo_hfox_2' is known from 1 to 3.2e+08 s"),
        ("rram", {"seconds": 60.0}, "array.drift_time = 60: device 'rram' is known at 1 s only"),
        ("rram", {"drift": True}, "array.drift_time: device 'rram' has no drift"),
        ("rram", {"read_noise": True}, "array.read_noise: device 'rram' has no read noise"),
        ("pcm", {"levels": True}, "array.levels: device 'pcm' has no levels, its conductance is continuous"),
        (
            "pcm",
            {"temperature_coefficient": True},
            "array.temperature_coefficient: device 'pcm' has no temperature coefficient",
        ),
        (
            "metal_film",
            {"levels": True, "g_min": 1.005e-5, "g_max": 1.03e-5},
            "array.levels: device 'metal_film' has 1 between array.g_min = 1.005e-05 and array.g_max = 1.03e-05, "
            "at least 2 are needed",
        ),
        (
            "digital_potentiometer",
            {"temperature": 220.0},
            "conditions.temperature = 220: device 'digital_potentiometer' is known from 233 to 378 K",
        ),
    ],
)
def test_what_is_out_of_range_is_said(name: str, asked: dict[str, object], expected: str) -> None:
    assert problems(name, **asked) == [expected]


def test_sonos_may_carry_more_before_it_drifts() -> None:
    assert problems("sonos", g_max=1e-5, drift=True, seconds=0.0) == []


def test_every_problem_is_said_at_once() -> None:
    found = problems("hfo2_rram", g_min=0.0, g_max=1e-3, read_voltage=1.0, drift=True)
    assert len(found) == 4


def test_no_programming_error(tmp_path: Path) -> None:
    start, rest = PCM.split("\nprogramming:")
    _, drift = rest.split("\ndrift:")
    (tmp_path / "mine.yaml").write_text(f"{start}\ndrift:{drift}", encoding="utf-8")
    device = Device.load(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match="has no programming error"):
        device.programming_sigma(micro(1.0), read_voltage=0.2)
    models = {"programming": True, "read_noise": True, "drift": True, "levels": False}
    found = device.problems(g_min=0.0, g_max=1e-5, read_voltage=0.2, seconds=None, **models)
    assert found == ["array.programming_error: device 'pcm' has no programming error"]


# Files


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"device 'pmc': not one of cmo_.*, pcm, .*, and no path of a \.yaml file"):
        Device.load("pmc")


@pytest.mark.parametrize("name", ["../devices/pcm", "pcm.txt", "", "discrete"])
def test_names_are_no_paths(name: str) -> None:
    with pytest.raises(InputError, match="not one of"):
        Device.load(name)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"device file .*absent\.yaml: cannot be read"):
        Device.load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (PCM, "format: 1", "format: 1\ncolour: red", "unknown key 'colour'"),
        (PCM, "  exponent: 0.65", "  exponnent: 0.65", "unknown key 'read_noise.exponnent'"),
        (PCM, "  t_read: 250.0e-9", "", "key 'read_noise.t_read' is missing"),
        (PCM, "format: 1", "format: 2", "format = 2: "),
        (PCM, "source: ", "sauce: ", "key 'source' is missing"),
        (PCM, "  exponent: 0.65", '  exponent: "0.65"', "read_noise.exponent = '0.65': "),
        (PCM, "  exponent: 0.65", "  exponent: .nan", "read_noise.exponent = nan: "),
        (PCM, "  t_read: 250.0e-9", "  t_read: 30.0", "t0 (20 s) must not be below t_read (30 s)"),
        (PCM, "kind: power_law", "kind: law", "drift.kind = 'law': expected 'power_law', 'logarithmic', 'measured'"),
        (PCM, "g_range: [0.0, 25.0e-6]", "g_range: [0.0]", "g_range"),
        (PCM, "g_range: [0.0, 25.0e-6]", 'g_range: [0.0, "1"]', "g_range.1 = '1': "),
        (
            PCM,
            "g_range: [0.0, 25.0e-6]",
            "g_range: [1.0, 0.5]",
            "the first number (1) must not exceed the second (0.5)",
        ),
        (PCM, "g_range: [0.0, 25.0e-6]", "", "expected either g_range (S) or current_range (A)"),
        (
            SONOS,
            "current_range: ",
            "g_range: [0, 1.0]\ncurrent_range: ",
            "expected either g_range (S) or current_range",
        ),
        (PCM, "[0.26348, 1.9650, -1.1731]", "[]", "programming.coefficients = []: "),
        (PCM, "[0.26348, 1.9650, -1.1731]", "[.inf]", "programming.coefficients.0 = inf: "),
        (PCM, "    unit: S", "    unit: uS", "fit_error.0.unit = 'uS': "),
    ],
)
def test_refusals_name_file_and_key(text: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    assert text.count(old) == 1
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Device.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_own_device_needs_no_notes(tmp_path: Path) -> None:
    # the smallest file that docs/devices.md gives
    text = "format: 1\nname: mine\nsource: my laboratory\ng_range: [0, 1.0e-4]\n"
    (tmp_path / "mine.yaml").write_text(text)
    device = Device.load(tmp_path / "mine.yaml")
    assert (device.note, device.fit_error, device.fit_error_note) == ("not stated", None, "not stated")


def test_a_users_own_device_is_used_by_a_technology(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(format: 1\n.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (tmp_path / "mine.yaml").write_text(example[1])
    technology = resource("calibration", "memristive.yaml").read_text(encoding="utf-8")
    (tmp_path / "board.yaml").write_text(technology.replace("device: cmo_hfox_2", "device: mine.yaml"))
    array = Technology.load(tmp_path / "board.yaml").array
    assert array.device == Device.load(tmp_path / "mine.yaml")
    assert array.device.name == "mine"
    assert Technology.load(tmp_path / "board.yaml").unusual() == []


def test_states_need_the_programming_error(tmp_path: Path) -> None:
    start, rest = SONOS.split("\nprogramming:")
    path = tmp_path / "mine.yaml"
    path.write_text(f"{start}\ndrift:{rest.split('drift:')[1]}", encoding="utf-8")
    with pytest.raises(InputError, match="programming must be given"):
        Device.load(path)


def test_a_device_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Device.load("pcm").name = "mine"  # type: ignore[misc]
