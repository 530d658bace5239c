"""Technology and device files of any content: refused, or designs, chips and findings come of them, all finite."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import asdict
from pathlib import Path

import hostile
import hostile_yaml
import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from analog_fhn._support.resources import resource
from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.device import Device
from analog_fhn.technology.quantities import quantity_of
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

# a file takes 50 ms, most of it PyYAML's
MANY = hostile.EXAMPLES if hostile.EXAMPLES >= 10_000 else max(1, hostile.EXAMPLES // 5)
fewer = settings(hostile.hostile, max_examples=MANY)

TECHNOLOGIES = [resource("calibration", f"{n}.yaml").read_text(encoding="utf-8") for n in ("discrete", "memristive")]
DEVICES = [p.read_text(encoding="utf-8") for p in sorted(resource("calibration", "devices").glob("*.yaml"))]


def build(path: Path) -> None:
    """Load a technology and make everything of it that a command may ask for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rng = np.random.default_rng(0)
        sizes = (5, 3, 3, 2)
        weights = [rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
        network = Network.of_weights(weights, [rng.normal(size=n) for n in sizes[1:]])
        design = Design(network, Technology.load(path))
        for finding in check(design):
            assert np.isfinite(finding.value), finding
            assert len(finding.message) < 1000
        assert np.isfinite(list(design.errors.values())).all()
        for seed in (None, 0):
            chip = design.chip(seed)
            scores, shift = chip.scores_of_rows(recentre=True)
            for layer in chip.layers:
                for numbers in (layer.cells.dynamics.p, layer.cells.dynamics.q, layer.weights, layer.bias,
                                *layer.cells.drive_stage.range(), layer.cells.row_stage.gain):  # fmt: skip
                    assert np.isfinite(numbers).all()
            for numbers in (chip.output.weights, scores, shift):
                assert np.isfinite(numbers).all()


def build_with_device(path: Path) -> None:
    """Load a device, and build with it where the array can be within its range."""
    device = Device.load(path)
    low, high = device.g_range or (0.0, 1e-5)
    data = yaml.safe_load(TECHNOLOGIES[0])
    data["array"] |= {"device": path.name, "read_voltage": 0.2, "levels": None, "g_min": low, "g_max": high}
    for key, model in (("programming_error", device.programming), ("read_noise", device.read_noise)):
        data["array"][key] = "device" if model else 0.0
    data["array"] |= {"drift_time": 3600.0} if device.drift else {}
    data["array"] |= {"levels": "device"} if device.levels else {}
    technology = path.with_name("technology.yaml")
    technology.write_text(yaml.safe_dump(data), encoding="utf-8")
    try:
        build(technology)
    finally:
        technology.unlink()


@fewer
@given(hostile_yaml.files(TECHNOLOGIES))
def test_hostile_technologies(content: bytes) -> None:
    hostile.check("technology.test_hostile_technologies:build", "mine.yaml", content)


@fewer
@given(hostile_yaml.files(DEVICES))
def test_hostile_devices(content: bytes) -> None:
    hostile.check("technology.test_hostile_technologies:build_with_device", "device.yaml", content)


BASE = Technology.load("discrete")
SECTIONS: dict[str, BaseModel | Wires] = {name: section for name, section in BASE if isinstance(section, BaseModel)}
SECTIONS["array.wires"] = BASE.array.wires


@st.composite
def possible(draw: st.DrawFn) -> bytes:
    """`discrete` with a few numbers anywhere in what is possible, most often at an end of it."""
    data = BASE.model_dump()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(sorted(SECTIONS)))
        section = SECTIONS[place]
        values = dict(section) if isinstance(section, BaseModel) else asdict(section)
        numeric = [
            key for key, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        key = draw(st.sampled_from(numeric))
        limits = quantity_of(type(section), key).possible
        number = draw(st.one_of(st.sampled_from(limits), st.floats(*map(float, limits))))
        if limits[0] > 0:
            decades = st.floats(math.log10(limits[0]), math.log10(limits[1]))
            number = draw(st.one_of(st.just(number), decades.map(lambda power: 10.0**power)))
        target = data
        for name in place.split("."):
            target = target[name]
        target[key] = round(number) if isinstance(values[key], int) else float(number)
    return yaml.safe_dump(data, sort_keys=False).encode()


@fewer
@given(possible())
def test_hostile_technologies_of_possible_numbers(content: bytes) -> None:
    hostile.check("technology.test_hostile_technologies:build", "mine.yaml", content)


@fewer
@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_technology(content: bytes) -> None:
    assert hostile.check("technology.test_hostile_technologies:build", "mine.yaml", content).kind == "refused"
