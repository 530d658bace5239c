"""Resistances of lines: what is refused, and a technology's section of them."""

from __future__ import annotations

import math

import pytest

from analog_fhn.errors import InputError
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires


@pytest.mark.parametrize("name", ["word", "bit", "driver", "sense"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1", None])
def test_bad_resistances_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} = .*: expected ohms, finite and not negative"):
        Wires(**{"word": 1.0, "bit": 1.0} | {name: value})


def test_wires_without_any_resistance_are_ideal() -> None:
    assert Wires().ideal
    assert not any(Wires(**{name: 1e-9}).ideal for name in ("word", "bit", "driver", "sense"))


def test_lines_of_the_mirrored_array_change_places() -> None:
    assert Wires(1.0, 2.0, 3.0, 4.0).mirrored() == Wires(2.0, 1.0, 4.0, 3.0)


def test_the_section_of_a_technology_is_read_and_written() -> None:
    technology = Technology.load("discrete").with_values({"array.wires.word": 2, "array.wires.sense": 0.5})
    assert technology.array.wires == Wires(word=2.0, sense=0.5)
    values = technology.model_dump()
    assert values["array"]["wires"] == {"word": 2.0, "bit": 0.0, "driver": 0.0, "sense": 0.5}
    assert Technology.from_values(values, "here") == technology


@pytest.mark.parametrize(
    ("wires", "message"),
    [
        ({"word": -1.0}, "array.wires.word = -1.0: expected 0 or 1e-09 to 1e+09 ohm"),
        ({"word": "1"}, "array.wires.word = '1': expected a number"),
        ({"bitline": 1.0}, "unknown key 'array.wires.bitline'"),
        (3, "array.wires = 3: expected 'key: value' lines"),
        (None, "array.wires = None: expected 'key: value' lines"),
    ],
)
def test_wrong_sections_are_refused(wires: object, message: str) -> None:
    values = Technology.load("discrete").model_dump()
    values["array"]["wires"] = wires
    with pytest.raises(InputError) as caught:
        Technology.from_values(values, "mine.yaml")
    assert str(caught.value) == f"mine.yaml: {message}"
