"""Technologies: what is in the file is what is used, and whatever is wrong is said with file and key."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from analog_fhn._support.resources import resource
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import Technology

DISCRETE = resource("calibration", "discrete.yaml").read_text(encoding="utf-8")


def write(folder: Path, old: str, new: str) -> Path:
    """The technology `discrete` with one piece of its text replaced."""
    assert DISCRETE.count(old) == 1
    path = folder / "mine.yaml"
    path.write_text(DISCRETE.replace(old, new), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Technology.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_discrete_is_what_its_file_says() -> None:
    found = Technology.load("discrete").model_dump()
    # Every number as it stands in the text: PyYAML alone takes 10.0e3 for text.
    for section, values in yaml.load(DISCRETE, yaml.BaseLoader).items():
        compare(found[section], values, section)


def compare(found: Any, text: Any, where: str) -> None:
    """What was read against the text of it; keys that the text leaves out have their defaults."""
    if isinstance(text, dict):
        for key, value in text.items():
            compare(found[key], value, f"{where}.{key}")
    elif isinstance(text, list):
        assert len(found) == len(text), where
        for index, value in enumerate(text):
            compare(found[index], value, f"{where}.{index}")
    else:
        expected = text if isinstance(found, str) else text == "true" if isinstance(found, bool) else float(text)
        assert found == expected, where


def test_discrete_is_the_agreed_board() -> None:
    # shared design: 1 % resistors, 5 % capacitors, TL082 offsets of 3 mV, 32 levels, 1 % programming error
    t = Technology.load("discrete")
    found = (t.resistor.tolerance, t.capacitor.tolerance, t.opamp.offset_sigma, t.array.levels)
    assert (*found, t.array.programming_error) == (0.01, 0.05, 3e-3, 32, 0.01)


def test_save_and_load_give_the_same(tmp_path: Path) -> None:
    technology = Technology.load("discrete")
    technology.save(str(tmp_path / "copy.yml"))
    assert Technology.load(tmp_path / "copy.yml") == technology


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "1E-3", "+1e-3", ".001", "0.1e-2", "0.001"])
def test_numbers_in_every_notation(text: str, tmp_path: Path) -> None:
    # YAML 1.1 takes 1e-3 for text
    assert Technology.load(write(tmp_path, "1.0e-3          #", f"{text} #")).time_unit == 1e-3


def test_numbers_with_a_positive_exponent(tmp_path: Path) -> None:
    assert Technology.load(write(tmp_path, "r4: 100.0e3", "r4: 10.0e3")).neuron.r4 == 10_000.0


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    assert Technology.load(write(tmp_path, "r4: 100.0e3", "r4: 100000")).neuron.r4 == 100_000.0


def test_levels_may_be_absent(tmp_path: Path) -> None:
    assert Technology.load(write(tmp_path, "levels: 32", "levels: null")).array.levels is None


def test_technology_cannot_be_changed_by_accident() -> None:
    technology = Technology.load("discrete")
    with pytest.raises(ValueError, match="frozen"):
        technology.time_unit = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  tolerance: 0.01 ", "  tolerence: 0.01 ", "unknown key 'resistor.tolerence'"),
        ("time_unit: 1.0e-3", "time_unit: 1.0e-3\ncolour: red", "unknown key 'colour'"),
        ("  levels: 32", "  levels: 32\n  levels: 64", "key 'levels' is given twice"),
        ("format: 1", "format: 1\nformat: 1", "key 'format' is given twice"),
        ("  g_max: 100.0e-6", "", "key 'array.g_max' is missing"),
        ("supplies:", "supply:", "key 'supplies' is missing"),
        ("r1: 10.0e3", 'r1: "10k"', "neuron.r1 = '10k': "),
        ("r1: 10.0e3", "r1: 10k", "neuron.r1 = '10k': "),
        ("levels: 32", "levels: 32.0", "array.levels = 32.0: "),
        ("levels: 32", "levels: true", "array.levels = True: "),
        ("levels: 32", "levels: 1", "array.levels = 1: "),
        ("gain: 2.0e5", "gain: .nan", "opamp.gain = nan: "),
        ("gain: 2.0e5", "gain: -1", "opamp.gain = -1: "),
        ("negative: -15.0", "negative: 15.0", "supplies.negative = 15.0: "),
        ("tolerance: 0.05", "tolerance: 1.0", "capacitor.tolerance = 1.0: "),
        ("mapping: one-sided", "mapping: both", "array.mapping = 'both': "),
        ("format: 1", "format: 2", "format = 2: expected 1"),
        ("name: discrete", 'name: "a\\nb"', "name = 'a\\nb': expected text on one line"),
        ("name: discrete", 'name: "a\\x1b[31m"', "'a\\x1b[31m' holds control characters"),
        ("name: discrete", f"name: {'x' * 200}", "expected text of at most 100 characters"),
        ("name: discrete", "name: 1", "name = 1: expected text"),
        ("compensated: true", "compensated: yes", "tanh_pair.compensated = 'yes': expected true or false"),
        (
            "  series: E24",
            "  series: E13",
            "capacitor.series = 'E13': expected 'E12', 'E24', 'E48', 'E96' or 'E192'",
        ),
        ("levels: 32", "levels: [1.0e-6, x]", "array.levels.1 = 'x': expected a number"),
        ("levels: 32", "levels: many", "array.levels = 'many': expected a whole number or a list or 'device'"),
        ("g_min: 1.0e-6", "g_min: 100.0e-6", "g_min (0.0001) must be below g_max (0.0001)"),
    ],
)
def test_refusals_name_file_and_key(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, old, new))


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("positive: 15.0", "positive: 8.0", "supplies.positive (8 V)"),
        ("negative: -15.0", "negative: -7.0", "-supplies.negative (7 V)"),
        ("output_limit: 13.5       #", "output_limit: 7.9        #", "opamp.output_limit (7.9 V)"),
        ("output_limit: 11.0", "output_limit: 6.0", "multiplier.output_limit (6 V)"),
    ],
)
def test_no_rail_may_be_reached(old: str, new: str, name: str, tmp_path: Path) -> None:
    assert f"must be below {name}: a rail would be reached" in refusal(write(tmp_path, old, new))


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "r1: 10.0e3", 'r1: "10k"')
    path.write_text(path.read_text() + "colour: red\n")
    message = refusal(path)
    assert "neuron.r1" in message
    assert "colour" in message


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"technology 'discreet': not one of .*discrete.*, and no path of a \.yaml"):
        Technology.load("discreet")


@pytest.mark.parametrize("name", ["../calibration/discrete", "discrete.txt", ""])
def test_names_are_no_paths(name: str) -> None:
    with pytest.raises(InputError, match="not one of"):
        Technology.load(name)


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "absent.yaml")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "", "3: 4\n"])
def test_not_a_mapping(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert "expected 'key: value' lines" in refusal(path)


@pytest.mark.parametrize("text", ["a: [1\n", "a: b: c\n", "!!python/object:os.system {}\n", "\tx: 1\n"])
def test_not_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert "is not valid YAML" in refusal(path)


@pytest.mark.parametrize("text", ["? [1, 2]\n: 3\n", "? {a: 1}\n: 3\n", "a: 2024-99-99\n"])
def test_odd_yaml_is_an_input_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert refusal(path)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    assert "cannot be read" in refusal(path)


def test_another_corner() -> None:
    hot = Technology.load("discrete").under(temperature=343.0, supply=0.95)
    assert (hot.conditions.temperature, hot.conditions.supply) == (343.0, 0.95)
    assert hot.under() == hot
    assert hot.under(supply=1.0).under(temperature=300.0) == Technology.load("discrete")


@pytest.mark.parametrize(
    ("corner", "message"),
    [
        ({"temperature": 20.0}, r"technology 'discrete': conditions\.temperature = 20\.0: .* 200"),
        # AD633: 11 V on 15 V; 20 % less supply leaves 8 V for the 8.2 V that the design uses
        ({"supply": 0.8}, r"linear_range \(8\.2 V\) must be below multiplier\.output_limit \(8 V at .*supply = 0\.8\)"),
        ({"supply": float("nan")}, r"conditions\.supply = nan"),
    ],
)
def test_impossible_corners_are_refused(corner: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Technology.load("discrete").under(**corner)


# --- what may be bought -----------------------------------------------------------------------------------------


def offering(key: str, *offered: dict[str, Any], **more: list[dict[str, Any]]) -> Technology:
    data = Technology.load("discrete").model_dump() | {"classes": {key: list(offered), **more}}
    return BoardTechnology.model_validate(data)


def part(name: str, price: float = 1.0, **values: float) -> dict[str, Any]:
    return {"name": name, "price": price, "values": values}


@pytest.mark.parametrize("name", ["discrete", "memristive"])
def test_what_a_technology_has_is_among_what_may_be_bought(name: str) -> None:
    technology = Technology.load(name)
    assert technology.classes.keys() == BoardTechnology.CLASSES.keys() - ({"array"} if name == "memristive" else set())
    for key, offered in technology.classes.items():
        assert technology.bought(key) in offered, key
        assert len(offered) > 1, key


def test_a_dearer_class_is_no_worse() -> None:
    errors = {field for group in BoardTechnology.ERRORS.values() for values in group.values() for field in values}
    for name in ("discrete", "memristive"):
        for key, offered in Technology.load(name).classes.items():
            for cheap, dear in pairwise(sorted(offered, key=lambda one: one.price)):
                assert cheap.price < dear.price, key
                spread = cheap.values.keys() & errors
                assert spread, key
                assert all(cheap.values[field] >= dear.values[field] for field in spread), (key, dear.name)


def test_chosen_classes_are_set_and_found_again() -> None:
    before = Technology.load("discrete")
    for key, offered in before.classes.items():
        name, _ = BoardTechnology.CLASSES[key]
        for one in offered:
            after = before.with_classes({key: one.name})
            assert after.bought(key) == one
            assert getattr(after, name) == getattr(before, name).model_copy(update=one.values)
            assert after.model_copy(update={name: getattr(before, name)}) == before, "nothing else"


def test_amplifier_and_its_resistors_are_chosen_apart() -> None:
    made = Technology.load("discrete").with_classes(
        {"sense_resistor": "0.1 % 25 ppm/K", "sense_amplifier": "OPA2140", "capacitor": "10 % C0G"}
    )
    sense = made.sense_amplifier
    assert (sense.resistor_tolerance, sense.offset_sigma, made.capacitor.tolerance) == (0.001, 30e-6, 0.1)
    assert made.resistor.tolerance == 0.01
    again = made.with_classes({"sense_resistor": "1 % 50 ppm/K", "sense_amplifier": "OPA2134", "capacitor": "5 % C0G"})
    assert again == Technology.load("discrete")


def test_values_of_no_class_are_not_bought() -> None:
    technology = Technology.load("discrete")
    other = technology.resistor.model_copy(update={"temperature_coefficient": 60e-6})
    assert technology.model_copy(update={"resistor": other}).bought("resistor") is None
    assert technology.model_copy(update={"classes": {}}).bought("resistor") is None
    assert technology.with_errors(["resistor"]).bought("capacitor") is None


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"diode": "1 %"}, r"technology 'discrete': no classes of 'diode'; there are those of: resistor, .*array"),
        ({"capacitor": "3 %"}, r"technology 'discrete': capacitor '3 %': not one of '1 % C0G', '2 % C0G', '5 % C0G', "),
    ],
)
def test_unknown_choices_list_the_known_ones(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Technology.load("discrete").with_classes(chosen)


def test_without_classes_nothing_can_be_chosen() -> None:
    with pytest.raises(InputError, match="no classes of 'resistor'; there are those of: none"):
        Technology.load("discrete").model_copy(update={"classes": {}}).with_classes({"resistor": "1 %"})


def test_choices_keep_device_and_corner() -> None:
    # The array of `memristive` has a device preset, which is no text any more once it is read.
    hot = Technology.load("memristive").under(temperature=320.0)
    made = hot.with_classes({"resistor": "0.1 % 25 ppm/K"})
    assert (made.array, made.conditions, made.resistor.tolerance) == (hot.array, hot.conditions, 0.001)


def test_classes_are_saved(tmp_path: Path) -> None:
    made = offering(
        "array", part("faulty", 0.0, stuck_on=0.01, stuck_off=0.02), part("good", 2, stuck_on=0, stuck_off=0)
    )
    made.with_classes({"array": "faulty"}).save(tmp_path / "made.yaml")
    found = Technology.load(tmp_path / "made.yaml")
    assert (found.classes, found.array.stuck_off) == (made.classes, 0.02)
    assert found.bought("array") == made.classes["array"][0]


def test_a_file_without_classes_offers_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DISCRETE[: DISCRETE.index("\nclasses:")], encoding="utf-8")
    assert Technology.load(path) == Technology.load("discrete").model_copy(update={"classes": {}})


def test_what_may_be_bought_changes_no_chip_and_no_response() -> None:
    technology = Technology.load("discrete")
    network = Network.of_weights(([[1.0, -0.5]] * 3, [[0.2, 0.7]] * 2))
    chips = [Design(network, t).chip(3) for t in (technology, technology.model_copy(update={"classes": {}}))]
    one, two = (chip.hardware[0].cells for chip in chips)
    for group, same in zip(one.parts, two.parts, strict=True):
        assert [values.tolist() for _, values in group.items()] == [values.tolist() for _, values in same.items()]
    assert Table(Direct(), 9).key(one, Protocol()) == Table(Direct(), 9).key(two, Protocol())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("classes:\n  resistor:", "classes:\n  resistr:", "classes: 'resistr' is not one of resistor, capacitor, "),
        ("price: 0.12, values: {programming", "price: -1, values: {programming", "classes.array.0.price = -1: "),
        ("price: 0.12, values: {programming", "prise: 1, values: {programming", "unknown key 'classes.array.0.prise'"),
        ('{name: "1 % C0G", price: 0.6, ', "{price: 0.6, ", "key 'classes.capacitor.0.name' is missing"),
        ('{name: "1 % C0G", ', "{name: 1, ", "classes.capacitor.0.name = 1: "),
        ('{name: "1 % C0G"', '{name: "2 % C0G"', "classes.capacitor '2 % C0G': the name is given twice"),
        ("{programming_error: 0.2}", "{programming_error: much}", "array.5.values.programming_error = 'much': "),
        ("{programming_error: 0.2}", "{programming_error: 2}", "(20 %, E6)': programming_error = 2.0: "),
        ("{programming_error: 0.2}", "{}", "classes.array.5.values: "),
        ("{programming_error: 0.2}", "{g_min: 0.2}", "(20 %, E6)': g_min = 0.2: a class sets only programming_error, "),
        ("{programming_error: 0.2}", "{stuck_on: 0.2}", "sets stuck_on, expected programming_error as the first"),
        ("{programming_error: 0.2}", "{programming_error: 0.1}", "sets the same values as 'sigma 10 % (10 %, E12)'"),
        ("{resistor_tolerance: 5.0e-2}", "{tolerance: 5.0e-2}", "tolerance = 0.05: a class sets only resistor_tol"),
        (
            "offset_sigma: 30.0e-6",
            "resistor_tolerance: 30.0e-6",
            "resistor_tolerance = 3e-05: a class sets only offset",
        ),
    ],
)
def test_refused_classes_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, old, new))


def test_classes_are_checked_against_their_section() -> None:
    with pytest.raises(ValueError, match=r"classes\.array 'bad': stuck_on \+ stuck_off = 1\.2: expected at most 1"):
        offering("array", part("bad", stuck_on=0.6, stuck_off=0.6))


def test_all_wrong_classes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"'x': tolerance = 2.*'y': gain = 0"):
        offering("resistor", part("x", tolerance=2.0), opamp=[part("y", gain=0.0)])
