"""The sweep file: what it may say, what is refused, and the points that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sweeps import discrete, tiny_network

from analog_fhn.errors import InputError
from analog_fhn.montecarlo.plan import Sweep, SweepPoint
from analog_fhn.technology.technology import Technology

MINIMUM = {"network": "net.npz", "technology": "discrete", "chips": 3, "dataset": "digits", "seed": 0}


def write(folder: Path, **changes: Any) -> Path:
    """Sweep file with keys changed; a value of None removes the key."""
    content = {k: v for k, v in (MINIMUM | changes).items() if v is not None}
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Sweep.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def plan(**changes: Any) -> Sweep:
    return Sweep.model_validate(MINIMUM | changes)


def points(**changes: Any) -> list[SweepPoint]:
    return plan(**changes).all_points(tiny_network(), discrete())


def refused_point(**changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        points(**changes)
    return str(caught.value)


# --- the file -------------------------------------------------------------------------------------------------


def test_defaults(tmp_path: Path) -> None:
    found = Sweep.load(write(tmp_path)).model_dump()
    assert {key: found[key] for key in found if key not in MINIMUM} == {
        "images": None, "split": "test", "readout": None, "gamma": None, "errors": None, "settings": {}, "points": None,
        "grid": None, "backend": "direct", "table": None, "specification": None, "until": None, "sensitivity": False,
        "sobol": False, "allocation": None, "stratified": False,
    }  # fmt: skip


def test_defaults_of_stopping(tmp_path: Path) -> None:
    found = Sweep.load(write(tmp_path, until={"width": 0.05}))
    assert found.until is not None
    assert found.until.every == 50


def test_defaults_of_the_allocation(tmp_path: Path) -> None:
    found = Sweep.load(write(tmp_path, allocation={"yield": 0.99})).allocation
    assert found is not None
    assert (found.target, found.chips, found.confirm, found.keep) == (0.99, 200, 400, [])


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    sweep = Sweep.load(write(tmp_path, technology="mine.yaml", dataset="data/my.npz"))
    assert (sweep.network, sweep.technology, sweep.dataset) == (
        str(tmp_path / "net.npz"), str(tmp_path / "mine.yaml"), str(tmp_path / "data/my.npz"),
    )  # fmt: skip


def test_devices_are_relative_to_the_file_too(tmp_path: Path) -> None:
    mine = {"array.device": "mine.yaml"}
    placed = {"array.device": str(tmp_path / "mine.yaml")}
    sweep = Sweep.load(write(tmp_path, settings=mine, points=[mine, {"array.device": "pcm"}]))
    assert (sweep.settings, sweep.points) == (placed, [placed, {"array.device": "pcm"}])
    assert Sweep.load(write(tmp_path, grid={"array.device": ["mine.yaml", "pcm", None]})).grid == {
        "array.device": [str(tmp_path / "mine.yaml"), "pcm", None]
    }


@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_names_stay_names(dataset: str, tmp_path: Path) -> None:
    sweep = Sweep.load(write(tmp_path, dataset=dataset))
    assert (sweep.technology, sweep.dataset) == ("discrete", dataset)


def test_absolute_paths_stay(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "net.npz"
    assert Sweep.load(write(tmp_path, network=str(other))).network == str(other)


@pytest.mark.parametrize("key", sorted(MINIMUM))
def test_missing_key(key: str, tmp_path: Path) -> None:
    assert f"key '{key}' is missing" in refusal(write(tmp_path, **{key: None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chip": 3}, "unknown key 'chip'"),
        ({"until": {"width": 0.1, "evry": 3}}, "unknown key 'until.evry'"),
        ({"allocation": {"yield": 0.9, "keeps": []}}, "unknown key 'allocation.keeps'"),
        ({"until": {"every": 3}}, "key 'until.width' is missing"),
        ({"allocation": {}}, "key 'allocation.yield' is missing"),
        ({"chips": 0}, "chips = 0: "),
        ({"chips": 2.5}, "chips = 2.5: "),
        ({"chips": "3"}, "chips = '3': "),
        ({"chips": True}, "chips = True: "),
        ({"seed": -1}, "seed = -1: "),
        ({"images": 0}, "images = 0: "),
        ({"specification": 97.0}, "specification = 97.0: "),
        ({"backend": "ngspice"}, "backend = 'ngspice': "),
        ({"readout": "max"}, "readout = 'max': "),
        ({"gamma": "-1"}, "gamma = '-1': "),
        ({"split": "all"}, "split = 'all': "),
        ({"network": 3}, "network = 3: "),
        ({"errors": "opamp"}, "errors = 'opamp': "),
        ({"sensitivity": "yes"}, "sensitivity = 'yes': "),
        ({"settings": ["gamma"]}, "settings = ['gamma']: "),
        ({"points": {"gamma": -1.0}}, "points: "),
        ({"points": []}, "points = []: "),
        ({"points": [-1.0]}, "points.0 = -1.0: "),
        ({"points": [{"resistor": {"tolerance": 0.02}}]}, "points.0.resistor"),
        ({"grid": {"gamma": -1.0}}, "grid.gamma = -1.0: "),
        ({"grid": {"gamma": []}}, "grid.gamma = []: "),
        ({"until": {"width": 1.0}}, "until.width = 1.0: "),
        ({"until": {"width": 0.0}}, "until.width = 0.0: "),
        ({"until": {"width": 0.1, "every": 0}}, "until.every = 0: "),
        ({"allocation": {"yield": 1.0}}, "allocation.yield = 1.0: "),
        ({"allocation": {"yield": 0.9, "chips": 0}}, "allocation.chips = 0: "),
        ({"allocation": {"yield": 0.9, "confirm": 0}}, "allocation.confirm = 0: "),
        ({"allocation": {"yield": 0.9, "keep": "opamp"}}, "allocation.keep = 'opamp': "),
        ({"points": [{}], "grid": {"gamma": [-1.0]}}, "points and grid: expected one of them"),
        ({"table": -1}, "table = -1: "),
        ({"chips": 10**400}, "a number of 401 characters; expected at most 64"),
        ({"chips": 10**60}, "chips = 100000"),
        ({"gamma": 1e308}, "gamma = 1e+308: expected -1e+30 to 1e+30"),
        ({"network": "a\nb"}, "network = 'a\\nb': expected text on one line"),
        ({"network": "a\0b"}, "holds control characters"),
        ({"grid": {f"key{k}": list(range(10)) for k in range(20)}}, "grid of 1e+20 points: expected at most 10000"),
        (
            {"settings": {"gamma": {"is": 1}}},
            "settings.gamma: expected a number or a whole number or true or false or text or a list",
        ),
        ({"readout": "mean", "settings": {"readout": "vote"}}, "readout stands in the file and in its settings"),
        ({"gamma": -1.0, "settings": {"gamma": -0.5}}, "gamma stands in the file and in its settings"),
        ({"errors": ["opamp"], "settings": {"errors": ["adc"]}}, "errors stands in the file and in its settings"),
    ],
)
def test_refusals_name_file_and_key(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, **changes))


@pytest.mark.parametrize("table", [1, 2, 3, 4])
def test_too_few_drives_are_refused(table: int, tmp_path: Path) -> None:
    assert f"table = {table}: expected at least 5 drives, or 0" in refusal(write(tmp_path, table=table))


@pytest.mark.parametrize("table", [0, 5, 33])
def test_no_table_and_five_drives_are_accepted(table: int, tmp_path: Path) -> None:
    assert Sweep.load(write(tmp_path, table=table)).table == table


def test_key_given_twice(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "chips: 4\n")
    assert "key 'chips' is given twice" in refusal(path)


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "absent.yaml")


# --- points ---------------------------------------------------------------------------------------------------


def test_without_points_there_is_one() -> None:
    (point,) = points()
    assert (point.number, point.role, point.name, dict(point.settings)) == (0, "sweep", "as planned", {})


def test_points_are_named_by_what_is_their_own() -> None:
    found = points(points=[{}, {"gamma": -0.5, "errors": ["opamp", "adc"]}], settings={"array.levels": 16})
    assert [point.name for point in found] == ["as planned", "gamma = -0.5, errors = [opamp, adc]"]


def test_settings_of_the_file_are_common_to_all_points() -> None:
    found = points(
        points=[{}, {"array.levels": 8}], readout="vote", gamma=-0.5, errors=["opamp"], settings={"settle": 4.0}
    )
    common = {"readout": "vote", "gamma": -0.5, "errors": ["opamp"], "settle": 4.0}
    assert [dict(point.settings) for point in found] == [common, common | {"array.levels": 8}]


def test_settings_of_a_point_override_the_common_ones() -> None:
    (point,) = points(points=[{"gamma": -0.5, "errors": ["array"]}], gamma=-0.8, errors=["opamp"])
    assert dict(point.settings) == {"gamma": -0.5, "errors": ["array"]}


def test_null_in_a_point_takes_a_common_setting_back() -> None:
    (point,) = points(points=[{"gamma": None, "errors": None}], gamma=-0.8, errors=["opamp"])
    made = point.design(tiny_network(), discrete())
    assert (made.network.fhn, made.technology) == (tiny_network().fhn, discrete())


def test_last_key_of_a_grid_changes_fastest() -> None:
    found = points(grid={"gamma": [-0.5, -1.0], "array.levels": [8, 16]})
    assert [(p.number, *p.settings.values()) for p in found] == [
        (0, -0.5, 8), (1, -0.5, 16), (2, -1.0, 8), (3, -1.0, 16)
    ]  # fmt: skip


def test_points_keep_the_order_of_the_file() -> None:
    found = points(points=[{"gamma": -1.0}, {"gamma": -0.5}, {"gamma": -0.8}])
    assert [(p.number, p.settings["gamma"]) for p in found] == [(0, -1.0), (1, -0.5), (2, -0.8)]


def test_design_of_a_point_has_its_settings() -> None:
    (point,) = points(
        points=[{"gamma": -0.5, "settle": 4.0, "readout": "vote", "resistor.tolerance": 0.05, "errors": ["resistor"]}]
    )
    made = point.design(tiny_network(), discrete())
    network = tiny_network().with_options(gamma=-0.5, settle=4.0, readout="vote")
    assert (made.network.fhn, made.network.protocol, made.network.readout) == (network.fhn, network.protocol, "vote")
    assert made.technology == discrete().with_values({"resistor.tolerance": 0.05}).with_errors(["resistor"])


def test_classes_of_a_point_stand_over_the_values_of_the_plan() -> None:
    # an allocation tries classes in a plan that sets the same value
    point = SweepPoint(0, "allocation", "", {"resistor.tolerance": 0.03, "classes": {"resistor": "5 % 200 ppm/K"}})
    assert point.design(tiny_network(), discrete()).technology.resistor.tolerance == 0.05


@pytest.mark.parametrize(
    ("own", "messages"),
    [
        ({"resistor.tolerence": 0.1}, ("no key 'resistor.tolerence'", "there are tolerance, distribution")),
        ({"resistors.tolerance": 0.1}, ("no key 'resistors.tolerance'", "resistor, capacitor, opamp")),
        ({"tolerance": 0.1}, ("no key 'tolerance'", "resistor, capacitor, opamp")),
        ({"resistor.tolerance.x": 0.1}, ("no key 'resistor.tolerance.x'", "resistor, capacitor, opamp")),
        ({"resistor.tolerance": "wide"}, ("resistor.tolerance = 'wide'",)),
        ({"resistor.tolerance": 1.5}, ("resistor.tolerance = 1.5",)),
        ({"array.levels": 2.5}, ("array.levels = 2.5",)),
        ({"array.g_min": 1.0}, ("g_min (1.0) must be below g_max",)),
        ({"errors": ["opamps"]}, ("error group 'opamps'", "expected some of resistor, capacitor, opamp")),
        ({"errors": "opamp"}, ("errors = 'opamp': expected a list of error groups",)),
        ({"errors": 3}, ("errors = 3: expected a list of error groups",)),
        ({"classes": "1 %"}, ("classes = '1 %'", "allocate")),
        ({"classes": None}, ("classes = None", "allocate")),
        ({"readout": "max"}, ("readout 'max': expected 'vote' or 'mean'",)),
        ({"gamma": "strong"}, ("gamma = 'strong': expected a number",)),
        ({"settle": True}, ("settle = True: expected a number",)),
        ({"control": [1.0]}, ("control = [1.0]: expected a number",)),
        ({"gamma": float("nan")}, ("gamma = nan",)),
        ({"gamma": -20.0}, ("supplies.minimum_scale",)),
    ],
)
def test_refused_point_names_itself_the_key_and_what_exists(own: dict[str, Any], messages: tuple[str, ...]) -> None:
    said = refused_point(points=[{}, own])
    assert said.startswith("point 1 (")
    for message in messages:
        assert message in said


def test_converters_and_vote_are_refused_before_any_chip() -> None:
    technology = discrete().with_values({"adc": {"bits": 8}})
    with pytest.raises(InputError, match=r"point 1 \(readout = vote\): .*converters \(adc.bits = 8\) and the vote"):
        plan(points=[{}, {"readout": "vote"}]).all_points(tiny_network(), technology)


# --- sensitivity ----------------------------------------------------------------------------------------------

# What `discrete` spreads: it has no faults, read noise, drift, temperature coefficient, wires or converters.
GROUPS = [
    "resistor", "capacitor", "opamp", "multiplier", "tanh_pair", "programming", "amplifier_offset", "amplifier_gain"
]  # fmt: skip


def test_sensitivity_adds_two_points_for_each_group_that_is_spread() -> None:
    found = points(sensitivity=True)
    assert [(p.number, p.role, p.name) for p in found] == [
        (0, "sweep", "as planned"),
        *((1 + k, "only", f"only {group}") for k, group in enumerate(GROUPS)),
        *((1 + len(GROUPS) + k, "without", f"all but {group}") for k, group in enumerate(GROUPS)),
    ]


def test_group_alone_is_the_technology_with_it_alone() -> None:
    found = {p.name: p.design(tiny_network(), discrete()).technology for p in points(sensitivity=True)}
    assert {name: found[f"only {name}"] for name in GROUPS} == {name: discrete().with_errors([name]) for name in GROUPS}


def test_group_left_out_is_the_technology_with_all_others() -> None:
    found = {p.name: p.design(tiny_network(), discrete()).technology for p in points(sensitivity=True)}
    others: dict[str, Technology] = {
        name: discrete().with_errors([other for other in GROUPS if other != name]) for name in GROUPS
    }
    assert {name: found[f"all but {name}"] for name in GROUPS} == others


def test_groups_are_those_that_the_plan_leaves() -> None:
    found = points(sensitivity=True, errors=["opamp", "array"])
    assert [(p.name, p.settings["errors"]) for p in found] == [
        ("as planned", ["opamp", "array"]),
        ("only opamp", ["opamp"]), ("only programming", ["programming"]),
        ("all but opamp", ["programming"]), ("all but programming", ["opamp"]),
    ]  # fmt: skip


def test_sensitivity_is_that_of_the_first_point() -> None:
    found = points(sensitivity=True, points=[{"gamma": -0.5}, {"gamma": -0.8}], errors=["opamp"])
    assert [(p.role, p.settings["gamma"]) for p in found] == [
        ("sweep", -0.5), ("sweep", -0.8), ("only", -0.5), ("without", -0.5)
    ]  # fmt: skip
