"""Effects of error groups, from trials whose effects are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from sweeps import made

from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.sensitivity import Costliest, Difference, GroupEffect, costliest, group_effects
from analog_fhn.montecarlo.store import Store

POINTS = [
    SweepPoint(0, "sweep", "as planned"),
    SweepPoint(1, "only", "only opamp", {"errors": ["opamp"]}),
    SweepPoint(2, "only", "only array_temperature", {"errors": ["array_temperature"]}),
    SweepPoint(3, "without", "all but opamp", {"errors": ["array_temperature"]}),
    SweepPoint(4, "sweep", "another"),
]
# Accuracies of chips 0, 1, ...; None: failed.
ROWS: dict[int, list[float | None]] = {
    0: [0.90, 0.92, 0.94, None],
    1: [0.93, 0.95, None, 0.97],
    2: [0.96, 0.98],
    3: [0.95, 0.98, 0.98, 0.99],
    4: [0.10, 0.10],
}
NOMINAL = 0.98
# Student's t, two-sided 95 %, from the tables: 1 and 2 degrees of freedom.
T1, T2 = 12.706204736, 4.302652730

Effects = Callable[..., dict[str, GroupEffect]]


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    def found(nominal: float | None = NOMINAL) -> dict[str, GroupEffect]:
        with Store.create(tmp_path, {}, POINTS) as store:
            if nominal is not None:
                store.set_nominal(0, nominal)
            for point, values in ROWS.items():
                for chip, accuracy in enumerate(values):
                    agreement = None if accuracy is None else accuracy - 0.01
                    store.add(made(point, chip, accuracy, agreement=agreement))
            return {effect.group: effect for effect in group_effects(store)}

    return found


def close(found: Difference | None, mean: float, half: float) -> bool:
    assert found is not None
    return (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half), rel=1e-7)


def test_group_alone_is_compared_with_the_nominal_chip(effects: Effects) -> None:
    # 0.93, 0.95, 0.97 less 0.98: mean -0.03, standard deviation 0.02
    assert close(effects()["opamp"].alone, -0.03, T2 * 0.02 / math.sqrt(3))


def test_group_of_two_chips_has_a_wide_interval(effects: Effects) -> None:
    # 0.96, 0.98: standard deviation 0.02/sqrt(2)
    assert close(effects()["array_temperature"].alone, -0.01, T1 * 0.01)


def test_group_left_out_is_compared_on_the_same_chips(effects: Effects) -> None:
    # chip 3 failed with all groups; of the others 0.05, 0.06, 0.04
    assert close(effects()["opamp"].left_out, 0.05, T2 * 0.01 / math.sqrt(3))


def test_spread_of_a_group_alone(effects: Effects) -> None:
    assert effects()["opamp"].alone_sd == pytest.approx(0.02)


def test_images_that_a_group_alone_changes(effects: Effects) -> None:
    # one less the agreement, which is 0.01 below the accuracy: 0.08, 0.06, 0.04
    assert effects()["opamp"].alone_changed == pytest.approx(0.06)


def test_group_without_a_point_that_leaves_it_out(effects: Effects) -> None:
    assert effects()["array_temperature"].left_out is None


def test_groups_are_those_of_the_points(effects: Effects) -> None:
    assert set(effects()) == {"opamp", "array_temperature"}


def test_largest_loss_comes_first(effects: Effects) -> None:
    assert list(effects()) == ["opamp", "array_temperature"]


def test_without_a_nominal_chip_nothing_is_said_of_a_group_alone(effects: Effects) -> None:
    assert effects(nominal=None)["opamp"].alone is None


def test_without_a_nominal_chip_a_group_left_out_is_still_compared(effects: Effects) -> None:
    assert effects(nominal=None)["opamp"].left_out is not None


def test_one_chip_has_no_interval(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}, POINTS[:2]) as store:
        store.set_nominal(0, NOMINAL)
        for point in (0, 1):
            store.add(made(point, 0, 0.9, agreement=0.9))
        assert group_effects(store) == [GroupEffect("opamp", None, None, None, None)]


def test_run_without_sensitivity_has_no_effects(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}, POINTS[:1]) as store:
        assert group_effects(store) == []


def test_run_that_has_not_begun_has_no_effects(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}, []) as store:
        assert group_effects(store) == []


# --- the costliest group --------------------------------------------------------------------------------------


def effect(group: str, alone: Difference | None = None, left_out: Difference | None = None) -> GroupEffect:
    return GroupEffect(group, alone, None, None, left_out)


def test_costliest_group_is_the_one_with_the_largest_loss_alone() -> None:
    resistor, opamp = Difference(-0.03, -0.04, -0.02), Difference(-0.01, -0.015, -0.005)
    assert costliest([effect("opamp", opamp, resistor), effect("resistor", resistor)]) == Costliest(
        "resistor", Difference(0.03, 0.02, 0.04), True, ()
    )


def test_groups_whose_intervals_overlap_are_rivals() -> None:
    effects = [
        effect("resistor", Difference(-0.03, -0.04, -0.02)), effect("opamp", Difference(-0.02, -0.021, -0.019)),
        effect("capacitor", Difference(-0.01, -0.019, -0.001)),
    ]  # fmt: skip
    most = costliest(effects)
    assert most is not None
    assert most.rivals == ("opamp",)


def test_without_groups_alone_those_left_out_decide() -> None:
    gained = Difference(0.02, 0.01, 0.03)
    assert costliest([effect("opamp", None, gained)]) == Costliest("opamp", gained, False, ())


def test_no_effect_no_costliest_group() -> None:
    assert costliest([]) is None
    assert costliest([effect("opamp")]) is None
