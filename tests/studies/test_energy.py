"""Energy, time and area of chips of transistors: every part against a sum of its own."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import activations
from analog_fhn.network import Network
from analog_fhn.studies.consumption import consumption, estimated, is_slow
from analog_fhn.studies.energy import SiliconConsumption, areas, energy_per_inference
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology
from tests.silicon import needs_models

IMAGES = np.random.default_rng(3).random((5, 6))
PARTS = ["total", "neurons", "drive", "array", "amplifiers", "hold", "bias"]


def network() -> Network:
    rng = np.random.default_rng(0)
    return Network.of_weights((rng.normal(size=(6, 2)), rng.normal(size=(2, 3))))


@cache
def chip() -> ManufacturedChip:
    return Design(network(), "silicon").chip(1)


@cache
def drawn() -> SiliconConsumption:
    found = consumption(chip(), IMAGES)
    assert isinstance(found, SiliconConsumption)
    return found


@needs_models
def test_every_part_is_there_and_the_total_is_their_sum() -> None:
    parts = drawn().parts
    assert list(parts) == PARTS
    assert parts["total"] == pytest.approx(sum(parts[name] for name in PARTS[1:])) == drawn().energy
    assert min(parts.values()) > 0.0
    assert not is_slow(chip().technology)


@needs_models
def test_array_takes_the_charge_of_its_devices_from_the_rail() -> None:
    technology = chip().technology
    assert isinstance(technology, SiliconTechnology)
    reading = technology.reading
    hidden = activations(chip(), IMAGES, Direct())
    charge = 0.0
    for array, values in zip(chip().arrays, (IMAGES, hidden), strict=True):
        volts = array.row_volts[0]
        for image in values:
            for k, value in enumerate(image):
                charge += abs(value) * volts * array.ports.effective[k].sum() * reading.duration / len(IMAGES)
        for row in range(array.crossbar.bias_rows):
            bias = array.crossbar.bias_drive * volts
            charge += bias * array.ports.effective[len(values[0]) + row].sum() * reading.duration
        charge += array.crossbar.conductance.shape[1] * reading.pedestal * reading.cycle
    assert drawn().parts["array"] == pytest.approx(charge * reading.rail)


@needs_models
def test_neurons_take_what_the_supply_gives_in_a_transient() -> None:
    cell, one = chip().hardware[0].cells.cell, chip().technology
    assert isinstance(one, SiliconTechnology)
    current = cell.timing.supply_current  # type: ignore[attr-defined]
    window = 7.0 * one.time_unit
    assert drawn().parts["neurons"] == pytest.approx(2 * current * one.supplies.vdd * window)
    # 145 nW and 12.2 pJ in 7 T, of the neuron's transistors alone
    assert drawn().parts["neurons"] / 2 == pytest.approx(12.2e-12, rel=0.05)


@needs_models
def test_a_longer_window_costs_neurons_drives_and_bias_alone() -> None:
    twice = drawn().parts_in(2.0 * drawn().seconds)
    ratios = {name: twice[name] / drawn().parts[name] for name in PARTS[1:]}
    assert ratios == pytest.approx({"neurons": 2, "drive": 2, "array": 1, "amplifiers": 1, "hold": 1, "bias": 2})
    # a chip that is watched for so long agrees
    longer = Design(network(), Technology.load("silicon").with_values({"window.control": 14.0})).chip(1)
    other = energy_per_inference(longer, IMAGES, Direct()).by_name()
    assert {name: other[name] for name in ("neurons", "drive", "bias")} == pytest.approx(
        {name: twice[name] for name in ("neurons", "drive", "bias")}
    )
    reads = drawn().latency - drawn().seconds
    assert reads > 0.0
    assert drawn().latency_in(1.0) - 1.0 == pytest.approx(reads)


@needs_models
def test_no_image_takes_more_than_a_design_is_estimated_to() -> None:
    brightest = consumption(Design(network(), "silicon").chip(None), np.ones((1, 6))).parts
    most = estimated(Design(network(), "silicon")).parts
    assert brightest["array"] <= most["array"] * (1.0 + 1e-9)
    assert {k: v for k, v in brightest.items() if k not in ("array", "total")} == pytest.approx(
        {k: v for k, v in most.items() if k not in ("array", "total")}
    )


@needs_models
def test_area_of_more_neurons_is_that_of_one_times_their_number() -> None:
    rng = np.random.default_rng(0)
    wider = Design(Network.of_weights((rng.normal(size=(6, 5)), rng.normal(size=(5, 3)))), "silicon")
    small, large = areas(Design(network(), "silicon")), areas(wider)
    assert large.neurons / 5 == pytest.approx(small.neurons / 2)
    assert large.drives / 5 == pytest.approx(small.drives / 2)
    assert small.total == pytest.approx(sum(value for name, value in small.by_name().items() if name != "total"))


def test_boards_have_one_number() -> None:
    idle = estimated(Design(network(), "discrete"))
    assert (dict(idle.parts), dict(idle.areas)) == ({}, {})
    assert idle.latency == idle.seconds
    assert is_slow(Technology.load("discrete"))


def test_areas_of_boards_are_refused() -> None:
    with pytest.raises(InputError, match="expected a technology of the cell 'ota_fhn'"):
        areas(Design(network(), "discrete"))


@needs_models
def test_each_hidden_layer_waits_for_the_integrals_of_the_one_before() -> None:
    rng = np.random.default_rng(0)
    deep = Network.of_weights((rng.normal(size=(6, 2)), rng.normal(size=(2, 2)), rng.normal(size=(2, 3))))
    design = Design(deep, "silicon")
    assert design.windows == design.chip(1).windows == estimated(design).windows == 2
    protocol = design.network.protocol
    window = (protocol.settle + protocol.control) * design.time_unit
    assert estimated(design).seconds == pytest.approx(2 * window)
    on_board = Design(deep, "discrete")
    assert on_board.windows == on_board.chip(1).windows == 1
