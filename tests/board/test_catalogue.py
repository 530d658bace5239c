"""The catalogue: pins as in data sheets, part numbers that say their value, the part that a technology asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analog_fhn.board.catalogue import PARTS, Catalogue, Component, catalogue, component, named
from analog_fhn.board.codes import read, written
from analog_fhn.errors import InputError
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.e_series import between
from analog_fhn.technology.technology import Technology


def discrete() -> BoardTechnology:
    technology = Technology.load("discrete")
    assert isinstance(technology, BoardTechnology)
    return technology


def every_component() -> list[Component]:
    """One of each form."""
    found = []
    for part in catalogue().parts:
        for form in part.forms:
            number = form.part_number
            if form.code is not None:
                number = number.replace("{}", written(form.code, form.values[0]))
            made = named(number)
            assert made is not None, number
            assert made.part_number == number
            found.append(made)
    return found


def test_every_pin_of_a_package_is_named_once() -> None:
    for part in every_component():
        size = re.search(r"(?:DIP|SOIC|TSSOP|SO)-(\d+)_|1x(\d+)", part.footprint)
        count = len(part.units[0]) if size is None else int(size[1] or size[2])
        assert part.pins == [str(pin) for pin in range(1, count + 1)], part.part_number
        assert all(set(unit) == set(part.units[0]) for unit in part.units)
        if part.unused:
            assert set(part.unused) == set(part.units[0])
            assert set(part.unused.values()) <= {"0", "open", *part.power, *part.units[0]}
        assert list(part.prices) == [1, 10, 100]
        assert part.price(1) >= part.price(10) >= part.price(100) == part.price(12_345)
        assert part.datasheet
        assert part.source


# By the connection diagrams of the data sheets, in the order of the pins.
DIAGRAMS = {
    "TL082CP": "out - + V- + - out V+",
    "OPA2134PA": "out - + V- + - out V+",
    "AD633ANZ": "X1 X2 Y1 Y2 V- Z W V+",
    "AD633ARZ": "Y1 Y2 V- Z W V+ X1 X2",
    "LM13700N/NOPB": "abc . + - out V- . . . . V+ out - + . abc",
    "REF102BU": ". V+ . GND . out . .",
}


@pytest.mark.parametrize("number", DIAGRAMS)
def test_pins_are_those_of_the_data_sheet(number: str) -> None:
    part = named(number)
    assert part is not None
    terminals = {pin: name for unit in (*part.units, part.power) for name, pin in unit.items()}
    assert [terminals.get(pin, ".") for pin in part.pins] == DIAGRAMS[number].split()


def test_the_halves_of_a_dual_amplifier_do_not_mix() -> None:
    amplifier = component("opamp", discrete())
    assert [dict(unit) for unit in amplifier.units] == [
        {"out": "1", "-": "2", "+": "3"},
        {"out": "7", "-": "6", "+": "5"},
    ]


NUMBERS = {
    "MFR-25FTE52-4K42": 4420.0, "MFR-25FTE52-100R": 100.0, "MFR-25FTE52-1M": 1e6, "RT0805FRE0710KL": 10e3,
    "C315C103J5G5TA": 10e-9, "C0805C102J5GACTU": 1e-9, "3296W-1-502LF": 5e3, "4116R-1-105LF": 1e6,
    "TFPT1206L1001FV": 1e3, "TSW-108-07-G-S": 8.0,
}  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_part_numbers_say_their_value(number: str) -> None:
    part = named(number)
    assert part is not None
    assert part.value == pytest.approx(NUMBERS[number], rel=1e-12)


def test_every_value_of_the_series_has_a_part_that_says_it() -> None:
    technology = discrete()
    found = set()
    for kind, series, low, high in (("resistor", "E96", 10.0, 10e6), ("capacitor", "E24", 10e-12, 100e-9)):
        for value in between(series, low, high):
            part = component(kind, technology, value)
            found.add(part.part_number)
            again = named(part.part_number)
            assert again is not None
            assert again.value == pytest.approx(value, rel=1e-9)
            assert part.value == pytest.approx(value, rel=1e-9)
    assert len(found) == len(between("E96", 10.0, 10e6)) + len(between("E24", 10e-12, 100e-9))


@pytest.mark.parametrize("code", ["letter", "three_digits", "four_digits", "pins"])
def test_a_value_that_a_code_has_no_room_for_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        written(code, 1234.5678901)  # type: ignore[arg-type]
    assert read("picofarads", "475") == pytest.approx(4.7e-6)


def test_values_between_those_of_a_series_go_to_the_nearest() -> None:
    technology = discrete()
    assert component("resistor", technology, 238.46e3, section="array").value == 237e3
    assert component("resistor", technology, 5.1e3).value == 5.1e3, "E24 is made too"


def test_the_technology_says_what_is_bought() -> None:
    technology = discrete()
    assert component("opamp", technology).part_number == "TL082CP"
    assert component("opamp", technology, section="sense_amplifier").part_number == "OPA2134PA"
    better = technology.with_classes(
        {"opamp": "OPA2134", "resistor": "0.1 % 25 ppm/K", "tanh_pair": "LM13700, selected: offset 0.2 mV"}
    )
    assert isinstance(better, BoardTechnology)
    assert component("opamp", better).part_number == "OPA2134PA"
    assert component("ota", better).part_number == "LM13700N/NOPB"
    assert component("resistor", better, 4420.0).part_number == "MFP-25BRD52-4K42"
    assert component("resistor", better, 4420.0, section="array").part_number == "MFR-25FTE52-4K42"
    assert component("multiplier", technology, mounting="smd").part_number == "AD633ARZ"
    assert component("potentiometer", technology, 5e3, mounting="smd").mounting == "through-hole", (
        "made in one form only"
    )


def test_what_the_catalogue_lacks_is_said() -> None:
    technology = discrete()
    with pytest.raises(InputError, match=r"kind 'transistor' of part: expected one of opamp, "):
        component("transistor", technology)
    with pytest.raises(InputError, match=r"no capacitor of 2 uF in the catalogue"):
        component("capacitor", technology, 2e-6)
    with pytest.raises(InputError, match=r"opamp 'LM741': not in the catalogue of parts; expected one of TL082, LF412"):
        component("opamp", technology, name="LM741")
    exact = technology.model_copy(update={"resistor": technology.resistor.model_copy(update={"tolerance": 1e-5})})
    with pytest.raises(InputError, match=r"no resistor of 0.001 % and 50 ppm/K .* the best has 0.1 %"):
        component("resistor", exact, 1e3)
    assert named("LM741CN") is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("pinout: diode", "pinout: dioed", "pinout 'dioed' is not among pinouts"),
        ("prices: [1.0, 1.0, 0.5]", "prices: [1.0]", "TL082: expected a price for each of prices.quantities"),
        ('"TSW-1{}-07-G-S"', '"TSW-108-07-G-S"', r"TSW-108-07-G-S: expected \{\} and code together"),
        ("mounting: smd", "mounting: glued", "forms.1.mounting = 'glued': expected 'through-hole' or 'smd'"),
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = PARTS.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "parts.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        Catalogue.load(path)
