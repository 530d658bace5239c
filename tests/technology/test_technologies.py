"""Technologies of several circuits: each has its own sections, error groups, classes, conditions and lots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_technology import TEXT, Films, ToyTechnology

from analog_fhn.cell.base import CELLS
from analog_fhn.draws import draw_parts
from analog_fhn.errors import InputError
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import TECHNOLOGIES, Technology, technology_class


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File of the toy, whose cell is listed while a test runs."""
    monkeypatch.setitem(TECHNOLOGIES, "toy", ("toy_technology", "ToyTechnology"))
    path = tmp_path / "films.yaml"
    path.write_text(TEXT)
    return path


def toy(file: Path) -> ToyTechnology:
    technology = Technology.load(file)
    assert type(technology) is ToyTechnology
    return technology


@pytest.mark.parametrize("name", ["discrete", "memristive"])
def test_the_technologies_of_a_board_are_of_its_class(name: str) -> None:
    technology = Technology.load(name)
    assert type(technology) is BoardTechnology
    assert type(technology.under(temperature=320.0)) is BoardTechnology
    assert type(technology.with_errors(["array"])) is BoardTechnology


def test_every_cell_has_a_technology() -> None:
    assert TECHNOLOGIES.keys() == CELLS.keys()


def test_a_file_of_another_cell_has_its_own_sections(file: Path) -> None:
    technology = toy(file)
    assert technology.film.tolerance == 0.03
    assert (technology.column_range, technology.supply_span) == (pytest.approx(0.7), 1.8)
    assert technology.conditions.corner == "ss"
    # Own sections stand between what every file begins with and those of the arrays.
    assert list(technology.model_dump())[4:8] == ["time_unit", "supplies", "film", "low_pass"]
    technology.save(file)
    assert Technology.load(file) == technology


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("film: {", "opamp: {", "unknown key 'opamp'"),
        ("vdd: 1.8, reference", "positive: 15.0, reference", "key 'supplies.vdd' is missing"),
        ("reference: 1.1", "reference: 2.0", r"supplies.reference \(2 V\) must be below supplies.vdd"),
        ("corner: ss", "corner: tt", "conditions.corner = 'tt': expected 'typical', 'ff' or 'ss'"),
        ("  film:\n  -", "  opamp:\n  -", "'opamp' is not one of film, "),
        ("cell: toy", "cell: toi", "films.yaml: cell 'toi': expected one of .*toy"),
        ("cell: toy", "cell: 3", "cell = 3: expected text"),
    ],
)
def test_what_another_cell_does_not_have_is_refused(file: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError, match=message):
        Technology.load(file)


def test_a_class_loads_only_technologies_of_its_own(file: Path) -> None:
    with pytest.raises(InputError, match=r"films.yaml: cell 'toy': expected one of opamp_fhn$"):
        BoardTechnology.load(file)
    assert BoardTechnology.load("discrete").cell == "opamp_fhn"


def test_a_file_without_a_cell_is_of_a_board() -> None:
    values = Technology.load("discrete").model_dump()
    del values["cell"]
    assert type(Technology.from_values(values, "test")) is BoardTechnology


def test_the_order_of_a_boards_sections_is_that_of_its_files() -> None:
    # Keys of tables and configurations of runs are made of it.
    assert list(BoardTechnology.model_fields) == [
        "format", "name", "source", "cell", "time_unit", "supplies", "neuron", "resistor", "capacitor", "opamp",
        "multiplier", "tanh_pair", "rectifier", "row_driver", "low_pass", "hold", "sense_amplifier", "array", "dac",
        "adc", "conditions", "die", "classes",
    ]  # fmt: skip


def test_the_order_of_a_boards_error_groups_is_that_of_its_studies() -> None:
    # Points of a sensitivity are numbered by it.
    assert list(BoardTechnology.ERRORS) == [
        "resistor", "capacitor", "opamp", "multiplier", "tanh_pair", "programming", "faults", "read_noise", "drift",
        "array_temperature", "nonlinearity", "wires", "amplifier_offset", "amplifier_gain",
        "dac", "adc", "hold", "die", "flicker",
    ]  # fmt: skip


def test_conditions_of_a_technology_are_its_own(file: Path) -> None:
    technology = toy(file)
    fast = technology.under(temperature=320.0, corner="ff")
    assert (fast.conditions.temperature, fast.conditions.corner) == (320.0, "ff")
    assert fast.under(temperature=300.0, corner="ss") == technology
    with pytest.raises(InputError, match=r"no key 'conditions.corner'; there are temperature, supply"):
        Technology.load("discrete").under(corner="ff")


def test_error_groups_of_another_technology_are_refused_by_name(file: Path) -> None:
    technology = toy(file)
    assert technology.with_errors(["film"]).film.tolerance == 0.03
    assert technology.with_errors(["array"]).film.tolerance == 0.0
    with pytest.raises(InputError, match=r"error group 'opamp': expected some of film, programming, "):
        technology.with_errors(["opamp"])
    with pytest.raises(InputError, match=r"error group 'film': expected some of resistor, capacitor, "):
        Technology.load("discrete").with_errors(["film"])


def test_classes_of_its_own_sections_are_chosen(file: Path) -> None:
    technology = toy(file)
    fine = technology.with_classes({"film": "fine"})
    bought, present = fine.bought("film"), technology.bought("film")
    assert bought is not None
    assert present is not None
    assert (fine.film.tolerance, bought.price, present.name) == (0.01, 2.0, "plain")


def test_parts_of_its_own_sections_share_lots(file: Path) -> None:
    technology = toy(file).with_values({"film.lot_share": 1.0})
    nominal = Films.alike(5, {"first": 1e4, "second": 2e4})
    drawn = draw_parts(nominal, (0,), technology, 7)
    # One lot holds one value.
    for values in (drawn.first, drawn.second):
        np.testing.assert_allclose(values, values[0], rtol=1e-12)
    assert drawn.second[0] != pytest.approx(2.0 * drawn.first[0], rel=1e-9)


def test_a_lots_number_means_one_section() -> None:
    sections: dict[int, str] = {}
    for cell in TECHNOLOGIES:
        lots = technology_class(cell).LOTS
        assert len(set(lots.values())) == len(lots)
        for section, number in lots.items():
            assert sections.setdefault(number, section) == section


@pytest.mark.parametrize("cell", TECHNOLOGIES)
def test_every_section_with_lots_has_a_number(cell: str) -> None:
    kind = technology_class(cell)
    shared = {
        name
        for name, field in kind.model_fields.items()
        if "lot_share" in getattr(field.annotation, "model_fields", {})
    }
    assert shared <= kind.LOTS.keys()
