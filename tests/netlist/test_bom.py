"""The bill of materials: every part counted once, values and series as the design has them."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_cnn

from analog_fhn.design import Design
from analog_fhn.netlist.bom import Item, bill, cost, write_bill
from analog_fhn.network import Network
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.device import Device
from analog_fhn.technology.sections import Adc
from analog_fhn.technology.technology import Technology

N_IN, N_HIDDEN, N_OUT = 7, 5, 3


def design(technology: str = "discrete", **sections: dict[str, Any]) -> Design:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(N_IN, N_HIDDEN)), rng.normal(size=(N_HIDDEN, N_OUT))
    network = Network.of_weights(weights, (0.3 * rng.normal(size=N_HIDDEN), 0.3 * rng.normal(size=N_OUT)))
    made = Technology.load(technology)
    changes = {name: getattr(made, name).model_copy(update=values) for name, values in sections.items()}
    return Design(network, made.model_copy(update=changes))


def count(items: list[Item], part: str, where: str = "") -> int:
    return sum(item.quantity for item in items if item.part.startswith(part) and where in item.where)


def test_quantities_add_up() -> None:
    one = design()
    items = bill(one)
    # Neuron: R1 to R5, Ra, Rb; pair: two attenuators and the tail; driver: three; two amplifiers of three resistors.
    assert count(items, "resistor") == N_HIDDEN * (7 + 5 + 3) + 3 * (N_HIDDEN + N_OUT)
    assert count(items, "capacitor") == 2 * N_HIDDEN
    assert count(items, "operational amplifier (opamp)") == 4 * N_HIDDEN
    assert count(items, "operational amplifier (sense_amplifier)") == 2 * (N_HIDDEN + N_OUT)
    assert count(items, "multiplier") == 2 * N_HIDDEN
    assert count(items, "transconductance amplifier") == N_HIDDEN
    assert [item.where for item in items if item.part.startswith("trans")] == [
        "tanh pairs, the halves of 3 dual packages"
    ]
    for bar in one.crossbars:
        assert bar.bias_rows >= 1
    devices = (N_IN + one.crossbars[0].bias_rows) * 2 * N_HIDDEN + (N_HIDDEN + one.crossbars[1].bias_rows) * 2 * N_OUT
    assert count(items, "array resistor") == devices


def test_without_recentring_there_is_no_shift_resistor() -> None:
    one = design()
    assert count(bill(one), "resistor") - count(bill(one, recentre=False), "resistor") == N_HIDDEN
    assert not any("Rshift" in item.where for item in bill(one, recentre=False))


def test_two_hidden_layers_have_their_low_passes_and_arrays() -> None:
    rng = np.random.default_rng(1)
    sizes = (7, 5, 4, 3)
    network = Network.of_weights([rng.normal(size=shape) for shape in itertools.pairwise(sizes)])
    one = Design(network, Technology.load("discrete"))
    for recentre in (True, False):
        items = bill(one, recentre=recentre)
        (low_pass,) = (item for item in items if "Cf" in item.where)
        # 10 T of 1 ms over the row drivers' Rf, the nearest of E24
        assert (low_pass.quantity, low_pass.where) == (5, "Cf of the row drivers of hidden layer 1")
        assert low_pass.value == one.cells[0].nominal[2].cf[0]
        assert low_pass.in_series
        # Without recentring only the last layer's rows are not shifted.
        assert count(items, "resistor") == 15 * 5 + (15 if recentre else 14) * 4 + 3 * (5 + 4 + 3)
        assert count(items, "capacitor") == 2 * (5 + 4) + 5
        assert count(items, "operational amplifier (opamp)") == 4 * (5 + 4)
        assert count(items, "array resistor", "array 1") >= 6 * 2 * 4
        assert cost(items)[1] == []


def test_equal_parts_stand_in_one_line() -> None:
    items = bill(design())
    keys = Counter((item.part, item.value, item.tolerance) for item in items)
    assert max(keys.values()) == 1
    (ten,) = (item for item in items if item.part == "resistor" and item.value == 10e3)
    assert {"R1 of the neurons", "Ra of the neurons", "Rb of the neurons"} <= set(ten.where.split("; "))


def test_array_devices_are_the_target_conductances() -> None:
    one = design(array={"levels": 8})
    found = Counter({item.value: item.quantity for item in bill(one) if item.part == "array resistor"})
    expected = Counter(
        1.0 / g for bar in one.crossbars for g in np.concatenate([bar.g_plus, bar.g_minus]).ravel().tolist()
    )
    assert found == expected
    assert len(found) <= 8


# The E96 series (IEC 60063), its values from 1 to 2 written out.
E96 = {
    100, 102, 105, 107, 110, 113, 115, 118, 121, 124, 127, 130, 133, 137, 140, 143, 147, 150, 154, 158, 162, 165, 169,
    174, 178, 182, 187, 191, 196,
}  # fmt: skip


def test_the_series_is_judged_value_by_value() -> None:
    items = bill(design(row_driver={"input_resistor": 103.5e3}, array={"levels": 40}))
    judged = 0
    for item in items:
        if item.series == "E96" and item.value is not None:
            mantissa = item.value / 10 ** np.floor(np.log10(item.value) + 1e-12) * 100
            if mantissa < 199:
                judged += 1
                assert item.in_series == any(abs(mantissa / value - 1) < 1e-9 for value in E96), item
    assert judged > 10
    by_value = {item.value: item for item in items if item.part == "resistor"}
    assert not by_value[103.5e3].in_series, "given by the technology, not chosen"
    resistors = [item for item in items if item.part == "array resistor"]
    assert {item.in_series for item in resistors} == {True, False}, "10 kohm is one, most 1/G are none"


@pytest.mark.parametrize(
    ("tolerance", "letter"),
    [(0.001, "B"), (0.005, "D"), (0.01, "F"), (0.02, "G"), (0.05, "J"), (0.1, "K"), (0.2, "M"), (0.03, None)],
)
def test_tolerance_classes(tolerance: float, letter: str | None) -> None:
    items = bill(design(resistor={"tolerance": tolerance}, capacitor={"tolerance": tolerance}))
    for item in items:
        if item.part == "capacitor" or item.where.startswith("R2"):
            assert (item.tolerance, item.tolerance_class) == (tolerance, letter)


def test_measured_devices_are_counted_by_conductance() -> None:
    one = design("memristive", array={"levels": 8})
    found = [item for item in bill(one) if item.part == "array device, settable"]
    expected = Counter(g for bar in one.crossbars for g in bar.conductance.ravel().tolist())
    assert {item.value: item.quantity for item in found} == expected
    assert {item.unit for item in found} == {"S"}


def test_resistors_as_devices_are_bought_by_their_own_series_and_tolerance() -> None:
    preset = Device.load("metal_film")
    one = design(array={"device": preset, "levels": "device", "programming_error": "device"})
    found = [item for item in bill(one) if item.part == "array resistor"]
    assert sum(item.quantity for item in found) == sum(bar.conductance.size for bar in one.crossbars)
    assert {(item.series, item.in_series, item.tolerance, item.tolerance_class) for item in found} == {
        ("E96", True, 0.01, "F")
    }
    potentiometer = Device.load("digital_potentiometer")
    codes = {"g_min": 49.9e-6, "g_max": 144e-6, "device": potentiometer, "levels": "device"}
    items = bill(design(array=codes | {"programming_error": "device"}))
    steps = [(item.value - 60.0) / 20e3 * 256 for item in items if item.part == "array device, codes"]  # type: ignore[operator]
    assert len(steps) > 1
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)


def test_continuous_devices_are_one_line_each() -> None:
    one = design(array={"levels": None})
    found = [item for item in bill(one) if item.part == "array device, settable"]
    assert [item.quantity for item in found] == [sum(bar.conductance.size for bar in one.crossbars)]


def test_converters_are_in_it() -> None:
    adc = Technology.load("discrete").model_copy(update={"adc": Adc(bits=9)})
    (item,) = (item for item in bill(Design(design().network, adc)) if item.part.startswith("analog"))
    assert (item.value, item.unit, item.quantity) == (9, "bit", N_OUT)


def test_written_table_reads_back(tmp_path: Path) -> None:
    items = bill(design())
    write_bill(items, tmp_path / "bom.csv")
    with (tmp_path / "bom.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(items)
    for row, item in zip(rows, items, strict=True):
        assert (row["part"], int(row["quantity"]), row["where"]) == (item.part, item.quantity, item.where)
        assert row["value"] == ("" if item.value is None else repr(item.value))
        assert row["in_series"] == {None: "", True: "yes", False: "no"}[item.in_series]
        assert row["choice"] == (item.choice or "")
        assert row["price"] == ("" if item.price is None else repr(item.price))


def priced(one: Design, **chosen: str) -> list[Item]:
    return bill(Design(one.network, one.technology.with_classes(chosen)))


def test_every_part_of_the_board_has_its_class_and_price() -> None:
    one = design()
    items = bill(one)
    for item in items:
        (key,) = (key for key in one.technology.classes if item.part.startswith(key) or f"({key})" in item.part)
        bought = one.technology.bought(key)
        assert bought is not None
        assert (item.choice, item.price) == (bought.name, bought.price)
    # Counted as above: 15 resistors a neuron, 3 a transimpedance amplifier; 4 and 2 amplifiers.
    devices = sum(bar.conductance.size for bar in one.crossbars)
    expected = 0.02 * (15 * N_HIDDEN + 3 * (N_HIDDEN + N_OUT) + devices) + 0.1 * 2 * N_HIDDEN
    expected += 0.25 * 4 * N_HIDDEN + 1.5 * 2 * (N_HIDDEN + N_OUT) + 10.0 * 2 * N_HIDDEN + 0.8 * N_HIDDEN
    total, unpriced = cost(items)
    assert total == pytest.approx(expected, rel=1e-12)
    assert unpriced == []


@pytest.mark.parametrize(
    ("key", "name", "more"),
    [
        ("resistor", "0.1 % 25 ppm/K", 0.10 * 15 * N_HIDDEN),
        ("sense_resistor", "0.1 % 25 ppm/K", 0.10 * 3 * (N_HIDDEN + N_OUT)),
        ("capacitor", "1 % C0G", 0.5 * 2 * N_HIDDEN),
        ("opamp", "OPA2134", 1.25 * 4 * N_HIDDEN),
        ("multiplier", "AD633, trimmed: offsets", 6.0 * 2 * N_HIDDEN),
        ("tanh_pair", "LM13700, selected: offset 0.2 mV", 1.7 * N_HIDDEN),
        ("sense_amplifier", "TL082", -1.25 * 2 * (N_HIDDEN + N_OUT)),
    ],
)
def test_each_choice_costs_what_its_parts_cost(key: str, name: str, more: float) -> None:
    one = design()
    assert cost(priced(one, **{key: name}))[0] - cost(bill(one))[0] == pytest.approx(more, rel=1e-9)


def test_prices_leave_the_lines_as_they_are() -> None:
    one = design()
    bare = bill(Design(one.network, one.technology.model_copy(update={"classes": {}})))
    assert [replace(item, choice=None, price=None) for item in bill(one)] == bare
    assert cost(bare) == (0.0, list(dict.fromkeys(item.part for item in bare)))


def test_equal_resistors_of_different_classes_are_bought_apart() -> None:
    one = design()
    # Value and tolerance are the same.
    classes = {
        "resistor": [{"name": "one", "price": 0.5, "values": {"tolerance": 0.01}}],
        "sense_resistor": [{"name": "other", "price": 0.7, "values": {"resistor_tolerance": 0.01}}],
    }
    made = BoardTechnology.model_validate(one.technology.model_dump() | {"classes": classes})
    items = [item for item in bill(Design(one.network, made)) if item.part == "resistor"]
    assert {item.choice for item in items} == {"one", "other"}
    assert all(("transimpedance" in item.where) == (item.choice == "other") for item in items)
    assert cost(items) == (pytest.approx(0.5 * 15 * N_HIDDEN + 0.7 * 3 * (N_HIDDEN + N_OUT)), [])


def test_parts_without_a_price_are_named() -> None:
    one = design()
    made = one.technology.model_copy(update={"adc": Adc(bits=9)})
    total, unpriced = cost(bill(Design(one.network, made)))
    assert total == pytest.approx(cost(bill(one))[0])
    assert unpriced == ["analog-to-digital converter"]
    assert cost(bill(design("memristive")))[1] == ["array device, settable"]


def test_a_class_whose_name_is_a_formula_is_text_in_the_table(tmp_path: Path) -> None:
    (item, *_) = bill(design())
    write_bill([replace(item, choice='=HYPERLINK("http://example.org")')], tmp_path / "bom.csv")
    with (tmp_path / "bom.csv").open(newline="", encoding="utf-8") as file:
        assert [row["choice"][:2] for row in csv.DictReader(file)] == ["'="]


def test_hold_stages_means_and_switches_are_counted() -> None:
    net = small_cnn.network(two=True)
    one = Design(net, Technology.load("discrete"))
    items = bill(one)
    # 4 x 4 and 1 x 2 positions of two channels; arrays and cells once
    assert count(items, "sample-and-hold stage") == 2 * 16 + 2 * 2
    assert count(items, "sample-and-hold stage", "behind hidden layer 1, 16 positions x 2") == 36
    (capacitor,) = (item for item in items if item.part == "hold capacitor")
    assert (capacitor.value, capacitor.unit, capacitor.quantity) == (1e-6, "F", 36)
    assert count(items, "multiplier") == 2 * (2 + 2)
    # means of four held values each, in front of the second convolution alone
    assert count(items, "averaging resistor") == 4 * 8
    assert count(items, "operational amplifier (sense_amplifier)") == 2 * (2 + 2 + 2) + 8
    # a row sees the first column of the means and the second, or the second and the border; one discharges each Cf
    assert count(items, "analog switch") == 8 * 2 + 2 + 2
    within = Design(net, one.technology.with_values({"hold.capacitor": None}))
    assert not any(item.part == "hold capacitor" for item in bill(within))
    dense = bill(design())
    assert not any("hold" in item.part or "switch" in item.part for item in dense)
