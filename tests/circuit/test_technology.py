"""Technologies: what is in the file is what is used, and whatever is wrong is said with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.resources import resource

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
        for key, text in values.items() if isinstance(values, dict) else [("", values)]:
            value = found[section][key] if key else found[section]
            expected = text if isinstance(value, str) else text == "true" if isinstance(value, bool) else float(text)
            assert value == expected, (section, key)


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
        ("format: 1", "format: 2", "format = 2: "),
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
