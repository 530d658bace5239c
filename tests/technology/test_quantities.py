"""Numbers of technologies and devices: each has a unit and bounds, and a value in another unit than SI is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from analog_fhn.errors import InputError
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.technology.device import Device
from analog_fhn.technology.quantities import Quantity
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "calibration" / "devices").glob("*.yaml"))


def numbers(annotation: Any, key: str, metadata: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Key and metadata of every number that a type can hold."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from numbers(arguments[0], key, (*arguments[1:], *metadata))
    elif origin in (Union, UnionType, list, tuple, dict):
        outer = metadata if origin in (Union, UnionType) else ()
        for argument in arguments:
            yield from numbers(argument, key, outer)
    elif annotation in (int, float):
        yield key, metadata
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, hint in get_type_hints(annotation, include_extras=True).items():
            if name in annotation.model_fields:
                yield from numbers(hint, f"{key}.{name}")


@pytest.mark.parametrize("section", [Technology, Device])
def test_every_number_has_a_unit_and_bounds(section: type[BaseModel]) -> None:
    every = list(numbers(section, section.__name__))
    assert len(every) > 30
    assert [key for key, metadata in every if not any(isinstance(one, Quantity) for one in metadata)] == []


def test_every_number_of_a_plan_but_those_of_its_settings_is_bounded() -> None:
    # settings have the bounds of what they set
    free = [key for key, metadata in numbers(Sweep, "Sweep") if not metadata]
    assert set(free) <= {"Sweep.settings", "Sweep.points", "Sweep.grid", "Sweep.gamma"}


@pytest.mark.parametrize("name", ["discrete", "memristive"])
def test_technologies_of_the_package_are_usual(name: str) -> None:
    assert [str(one) for one in Technology.load(name).unusual()] == []


@pytest.mark.parametrize("name", PRESETS)
def test_measured_devices_are_usual(name: str) -> None:
    device = Device.load(name)
    low, high = device.g_range or (5e-6, 1e-5)
    values = {"array.device": device.model_dump(), "array.g_min": max(low, 1e-9), "array.g_max": min(high, 1e-3)}
    values |= {"array.read_voltage": 0.2}
    assert [str(one) for one in DISCRETE.with_values(values).unusual()] == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("array.g_max", 100, "expected 1e-15 to 1 S (100 uS is 0.0001)"),
        ("array.g_max", 1e308, "expected 1e-15 to 1 S"),
        ("array.g_max", 1e-320, "expected 1e-15 to 1 S"),
        ("array.g_min", 10, "expected 0 to 1 S (10 mS is 0.01)"),
        ("array.levels", [1e-6, 100], "expected 0 to 1 S (100 uS is 0.0001)"),
        ("array.levels", 10**12, "expected 2 to 65536"),
        ("array.levels", 10**400, "expected 2 to 65536"),
        ("opamp.gain", 1e-320, "expected 1 to 1e+30"),
        ("opamp.gain_bandwidth", 3.0, "expected 100 to 1e+30 Hz (3 MHz is 3e+06)"),
        ("opamp.slew_rate", 13, "expected 100 to 1e+30 V/s (13 MV/s is 1.3e+07)"),
        ("opamp.offset_sigma", 3, "expected 0 to 1 V (3 mV is 0.003)"),
        ("opamp.quiescent_current", 1.4, "expected 0 to 1 A (1.4 mA is 0.0014)"),
        ("opamp.voltage_noise_density", 18, "(18 nV/sqrt(Hz) is 1.8e-08)"),
        ("opamp.bias_current", 30, "expected 0 to 0.01 A"),
        ("supplies.positive", 15000, "expected 0.001 to 1000 V (15000 mV is 15)"),
        ("supplies.negative", 15, "expected -1000 to -0.001 V"),
        ("conditions.temperature", 27, "expected 200 to 400 K"),
        ("resistor.tolerance", 1, "expected 0 to 0.999999"),
        ("resistor.temperature_coefficient", 50, "expected 0 to 0.009 1/K"),
        ("array.drift_time", 1e308, "expected 0 to 1e+12 s"),
        ("array.wires.word", 1e308, "expected 0 or 1e-09 to 1e+09 ohm"),
        ("time_unit", float("nan"), "expected 1e-12 to 1e+06 s"),
        ("adc", {"bits": 99}, "adc.bits = 99: expected 1 to 24"),
    ],
)
def test_impossible_values_are_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        DISCRETE.with_values({key: value})
    assert key in str(caught.value)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("array.g_max", 0.05, "array.g_max = 0.05: unusual, in practice 1e-09 to 0.01 S (0.05 mS is 5e-05)"),
        ("opamp.gain", 106, "opamp.gain = 106: unusual, in practice 1000 to 1e+09"),
        ("opamp.quiescent_current", 0.2, "opamp.quiescent_current = 0.2: unusual, in practice 1e-09 to 0.1 A"),
        ("time_unit", 1000, "time_unit = 1000: unusual, in practice 1e-07 to 100 s (1000 ms is 1)"),
        ("array.wires.word", 1e5, "array.wires.word = 100000: unusual, in practice 0.0001 to 10000 ohm"),
        ("array.levels", [1e-6, 0.00005, 0.0001], ""),
        ("array.g_min", 0.0, ""),
    ],
)
def test_unusual_values_are_said(key: str, value: object, said: str) -> None:
    (*messages,) = (str(one) for one in DISCRETE.with_values({key: value}).unusual())
    if said:
        assert messages[0].startswith(said)
    else:
        assert messages == []


def test_unusual_parts_that_may_be_bought_are_said() -> None:
    offered = {"classes": {"opamp": [{"name": "odd", "price": 1.0, "values": {"gain": 106.0}}]}}
    (one,) = Technology.from_values(DISCRETE.model_dump() | offered, "mine").unusual()
    assert str(one).startswith("classes.opamp 'odd': gain = 106: unusual, in practice 1000 to 1e+09")


def test_unusual_values_of_a_device_are_said() -> None:
    device = Device.load("metal_film").model_dump() | {"read_voltage_limit": 500.0}
    (one,) = DISCRETE.with_values({"array.device": device}).unusual()
    assert str(one).startswith("array.device.read_voltage_limit = 500: unusual, in practice 0.001 to 20 V")
