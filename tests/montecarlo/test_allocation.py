"""The cheapest part classes: the search against brute force, and on chips."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sweeps import digits, digits_network, discrete, threads

from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.allocation import Classes, Effect, Verdict, allocate, search
from analog_fhn.montecarlo.open_run import OpenRun, open_run, technology_file
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.runner import Workers
from analog_fhn.netlist.bom import bill, cost
from analog_fhn.technology.sections import PartClass
from analog_fhn.technology.technology import Technology

# --- the search, on made-up classes ---------------------------------------------------------------------------

SPECIFICATION, TARGET = 0.97, 0.9
BEST = Effect(0.98, 0.002**2)


@dataclass(frozen=True)
class Market:
    """Classes whose losses of accuracy, and variances, add up exactly."""

    prices: dict[str, dict[str, float]]
    effects: dict[str, dict[str, Effect]]
    simulated: list[Classes] = field(default_factory=list)

    @classmethod
    def random(cls, seed: int) -> Market:
        """Three or four kinds of parts, each in two to four classes; one class of each loses nothing."""
        rng = np.random.default_rng(seed)
        prices: dict[str, dict[str, float]] = {}
        effects: dict[str, dict[str, Effect]] = {}
        for key in "abcd"[: rng.integers(3, 5)]:
            n = int(rng.integers(2, 5))
            losses = [0.0, *rng.exponential(0.004, n - 1)]
            variances = [0.0, *rng.exponential(0.003**2, n - 1)]
            prices[key] = {f"{key}{k}": float(rng.uniform(1, 10)) for k in range(n)}
            effects[key] = {f"{key}{k}": Effect(BEST.mean - losses[k], BEST.variance + variances[k]) for k in range(n)}
        return cls(prices, effects)

    def combinations(self) -> list[dict[str, str]]:
        """All of them, the cheapest first."""
        found = [dict(zip(self.prices, names, strict=True)) for names in itertools.product(*self.prices.values())]
        return sorted(found, key=self.cost)

    def cost(self, classes: Classes) -> float:
        return sum(self.prices[key][name] for key, name in classes.items())

    def share(self, classes: Classes) -> float:
        """Yield."""
        mean = BEST.mean + sum(self.effects[k][name].mean - BEST.mean for k, name in classes.items())
        variance = BEST.variance + sum(self.effects[k][name].variance - BEST.variance for k, name in classes.items())
        return float(norm.cdf((mean - SPECIFICATION) / np.sqrt(variance)))

    def search(
        self,
        simulate: Callable[[Classes], bool] | None = None,
        confirm: Callable[[Classes], bool] = lambda _: True,
    ) -> dict[str, str] | None:
        """The search; without `simulate` every verdict is exact."""

        def verdict(classes: Classes) -> Verdict:
            self.simulated.append(dict(classes))
            good = self.share(classes) >= TARGET if simulate is None else simulate(classes)
            return "meets" if good else "fails"

        return search(self.prices, self.effects, BEST, SPECIFICATION, TARGET, verdict, confirm)


SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_is_the_cheapest_that_brute_force_finds(seed: int) -> None:
    market = Market.random(seed)
    expected = next(classes for classes in market.combinations() if market.share(classes) >= TARGET)
    assert market.search() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_is_the_cheapest_that_is_confirmed(seed: int) -> None:
    # fresh chips are harder to please than those of the search
    market, harder = Market.random(seed), 0.97
    expected = next(classes for classes in market.combinations() if market.share(classes) >= harder)
    assert market.search(confirm=lambda classes: market.share(classes) >= harder) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_is_never_one_that_the_simulation_refuses(seed: int) -> None:
    # simulations that have nothing to do with the estimates
    market, rng = Market.random(seed), np.random.default_rng(seed)
    good = [classes for classes in market.combinations() if rng.random() < 0.2]
    found = market.search(simulate=lambda classes: classes in good)
    assert found is None or found in good


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_is_never_one_that_is_not_confirmed(seed: int) -> None:
    market, rng = Market.random(seed), np.random.default_rng(seed)
    good = [classes for classes in market.combinations() if rng.random() < 0.2]
    found = market.search(confirm=lambda classes: classes in good)
    assert found is None or found in good


@pytest.mark.parametrize("seed", SEEDS)
def test_no_combination_is_simulated_twice(seed: int) -> None:
    market = Market.random(seed)
    market.search(confirm=lambda classes: market.share(classes) >= 0.97)
    assert all(market.simulated.count(classes) == 1 for classes in market.simulated)


def test_nothing_is_chosen_where_every_simulation_fails() -> None:
    assert Market.random(0).search(simulate=lambda _: False) is None


def test_nothing_is_chosen_where_nothing_is_confirmed() -> None:
    assert Market.random(0).search(confirm=lambda _: False) is None


def two(cheap: Effect, dear: Effect) -> Market:
    """One kind of part in two classes, beside one in the best class."""
    return Market(
        {"part": {"cheap": 1.0, "dear": 2.0}, "other": {"only": 1.0}},
        {"part": {"cheap": cheap, "dear": dear}, "other": {"only": BEST}},
    )


def test_combination_without_hope_is_not_tried_first() -> None:
    market = two(Effect(0.90, BEST.variance), BEST)
    market.search()
    assert market.simulated[0] == {"part": "dear", "other": "only"}


def test_class_of_the_same_mean_and_less_spread_is_tried_after_one_that_fails() -> None:
    # in the mean they are equal; chip by chip the dear one is better
    market = two(Effect(BEST.mean, 0.02**2), BEST)
    assert market.search() == {"part": "dear", "other": "only"}


def test_class_that_is_worse_than_one_that_failed_is_not_simulated() -> None:
    market = two(BEST, Effect(BEST.mean - 0.001, 2 * BEST.variance))
    market.search(simulate=lambda _: False)
    assert market.simulated == [{"part": "cheap", "other": "only"}]


def test_cheaper_class_is_tried_in_what_meets_whatever_was_hoped_of_it() -> None:
    market = two(Effect(0.90, BEST.variance), BEST)
    assert market.search(simulate=lambda _: True) == {"part": "cheap", "other": "only"}


def test_what_met_before_a_cheaper_class_was_tried_is_confirmed_if_that_is_not() -> None:
    market = two(Effect(0.90, BEST.variance), BEST)
    found = market.search(simulate=lambda _: True, confirm=lambda classes: classes["part"] == "dear")
    assert found == {"part": "dear", "other": "only"}


# --- on chips -------------------------------------------------------------------------------------------------

CHIPS, CONFIRM = 40, 30


def part(name: str, price: float, **values: float) -> PartClass:
    return PartClass(name=name, price=price, values=values)


# 10 % resistors and coarse programming pass on a fourth and on two thirds of the chips; capacitors do not matter.
RESISTORS = [
    part("0.1 %", 0.12, tolerance=0.001), part("1 %", 0.02, tolerance=0.01), part("10 %", 0.01, tolerance=0.1)
]  # fmt: skip
CAPACITORS = [part("1 %", 0.6, tolerance=0.01), part("10 %", 0.07, tolerance=0.1)]
DEVICES = [part("fine", 0.002, programming_error=0.005), part("coarse", 0.001, programming_error=0.05)]


def technology(**classes: list[PartClass]) -> Technology:
    """`discrete` with more levels and other classes."""
    return discrete().with_values({"array.levels": 256}).model_copy(update={"classes": classes})


ALL = technology(resistor=RESISTORS, capacitor=CAPACITORS, array=DEVICES)


def plan(allocation: dict[str, Any] | None, **changes: Any) -> Sweep:
    content = {
        "network": "net.npz", "technology": "discrete", "chips": 3, "dataset": "digits", "seed": 3,
        "specification": 0.785, "allocation": allocation,
    } | changes  # fmt: skip
    return Sweep.model_validate(content)


WANTED = {"yield": 0.9, "chips": CHIPS, "confirm": CONFIRM}


def study(folder: Path, wanted: Sweep, parts: Technology = ALL) -> OpenRun:
    return open_run(folder, wanted, digits_network(), parts, digits(), resume=True)


def allocated(folder: Path, wanted: Sweep, parts: Technology = ALL) -> dict[str, Any]:
    """Outcome of the allocation of a run."""
    opened = study(folder, wanted, parts)
    with opened.store, threads(opened.job) as workers:
        return allocate(opened, workers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("allocation")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return allocated(folder, plan(WANTED))


@pytest.fixture
def stored(found: dict[str, Any], folder: Path) -> Iterator[OpenRun]:
    """The run that the allocation left."""
    opened = study(folder, plan(WANTED))
    with opened.store:
        yield opened


CHOICE = {"resistor": "1 %", "capacitor": "10 %", "array": "fine"}


def test_choice_is_cheap_where_it_does_not_matter(found: dict[str, Any]) -> None:
    assert found["chosen"]["classes"] == CHOICE


def test_cost_of_the_choice_is_that_of_its_bill(found: dict[str, Any]) -> None:
    made = Design(digits_network(), ALL.with_classes(CHOICE))
    assert found["chosen"]["cost"] == pytest.approx(cost(bill(made))[0])


def test_present_classes_are_those_of_the_technology(found: dict[str, Any]) -> None:
    # of its capacitors and programming error there is no class: the cheapest then
    assert found["present"]["classes"] == {"resistor": "1 %", "capacitor": "10 %", "array": "coarse"}


def test_parts_without_a_price_are_named(found: dict[str, Any]) -> None:
    made = Design(digits_network(), ALL.with_classes(CHOICE))
    assert found["unpriced"] == cost(bill(made))[1]


def test_choice_meets_the_yield_on_fresh_chips(found: dict[str, Any]) -> None:
    assert found["confirmation"]["yield"] >= found["target"] == 0.9


def test_choice_was_judged_good(found: dict[str, Any]) -> None:
    (step,) = [step for step in found["steps"] if step["classes"] == CHOICE]
    assert (step["verdict"], step["cost"]) == ("meets", found["chosen"]["cost"])


def test_cheaper_combinations_that_were_judged_fail(found: dict[str, Any]) -> None:
    cheaper = [step for step in found["steps"] if step["cost"] < found["chosen"]["cost"]]
    assert cheaper
    assert {step["verdict"] for step in cheaper} == {"fails"}


def test_steps_are_what_their_chips_say(found: dict[str, Any], stored: OpenRun) -> None:
    for step in found["steps"]:
        rows = stored.store.trials(step["point"])[: step["n_trials"]]
        good = [row.accuracy is not None and row.accuracy >= 0.785 for row in rows]
        assert step["yield"] == np.mean(good)


def test_confirmation_is_what_fresh_chips_say(found: dict[str, Any], stored: OpenRun) -> None:
    rows = [row for row in stored.store.trials(found["confirmation"]["point"]) if row.trial >= CHIPS]
    good = [row.accuracy is not None and row.accuracy >= 0.785 for row in rows]
    assert (len(rows), np.mean(good)) == (CONFIRM, found["confirmation"]["yield"])


def test_fresh_chips_are_none_of_the_search(found: dict[str, Any], stored: OpenRun) -> None:
    confirmed = found["confirmation"]["point"]
    others = {row.trial for row in stored.store.trials() if row.point != confirmed}
    assert max(others) < CHIPS <= max(row.trial for row in stored.store.trials(confirmed))


def test_combinations_are_points_with_their_technology(found: dict[str, Any], stored: OpenRun, folder: Path) -> None:
    point = found["confirmation"]["point"]
    made = Technology.load(technology_file(folder, point))
    assert (made.resistor.tolerance, made.capacitor.tolerance, made.array.programming_error) == (0.01, 0.1, 0.005)


def test_outcome_is_stored_with_the_run(found: dict[str, Any], stored: OpenRun) -> None:
    assert stored.store.meta["allocation"] == found


def nobody() -> Executor:
    raise AssertionError("a trial was run")


def test_second_time_nothing_is_simulated(found: dict[str, Any], stored: OpenRun) -> None:
    assert allocate(stored, Workers(nobody, "nothing", 1, 3)) == found


def test_other_prices_need_no_new_trials(found: dict[str, Any], folder: Path) -> None:
    dearer = [part.model_copy(update={"price": 2 * part.price}) for part in CAPACITORS]
    opened = study(folder, plan(WANTED), technology(resistor=RESISTORS, capacitor=dearer, array=DEVICES))
    with opened.store:
        assert allocate(opened, Workers(nobody, "nothing", 1, 3))["chosen"]["cost"] > found["chosen"]["cost"]


def test_class_that_is_another_part_by_now_is_refused(found: dict[str, Any], folder: Path) -> None:
    worse = [CAPACITORS[0], part("10 %", 0.07, tolerance=0.2)]
    with pytest.raises(InputError, match=r"classes\.capacitor\.10 %\.tolerance was 0\.1 and is 0\.2"):
        study(folder, plan(WANTED), technology(resistor=RESISTORS, capacitor=worse, array=DEVICES))


FEW = {"yield": 0.9, "chips": 10, "confirm": 10}
RESISTORS_ALONE = technology(resistor=RESISTORS[1:])


Few = tuple[list[int], list[tuple[int, int]]]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Few:
    """Chips of what is confirmed where a combination gets fewer than judge a class by itself, and progress."""
    opened = study(tmp_path_factory.mktemp("few"), plan(FEW), RESISTORS_ALONE)
    calls: list[tuple[int, int]] = []
    with opened.store, threads(opened.job) as workers:
        confirmed = allocate(opened, workers, lambda *call: calls.append(call))["confirmation"]
        return [row.trial for row in opened.store.trials(confirmed["point"])], calls


def test_fresh_chips_are_none_of_those_that_judged_the_classes(few: Few) -> None:
    assert few[0] == [*range(20), *range(20, 30)]


def test_progress_never_goes_back(few: Few) -> None:
    done = [call[0] for call in few[1]]
    assert done == sorted(done)


def test_progress_stays_below_its_end(few: Few) -> None:
    assert all(done <= total for done, total in few[1])


def test_plan_that_sets_the_value_of_a_class_leaves_the_choice(tmp_path: Path) -> None:
    wanted = plan(FEW, settings={"resistor.tolerance": 0.0})
    assert allocated(tmp_path, wanted, RESISTORS_ALONE)["chosen"]["classes"] == {"resistor": "1 %"}


def test_classes_that_are_kept_are_not_chosen_from(tmp_path: Path) -> None:
    parts = technology(resistor=RESISTORS[1:], capacitor=CAPACITORS)
    assert set(allocated(tmp_path, plan(FEW | {"keep": ["capacitor"]}), parts)["chosen"]["classes"]) == {"resistor"}


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return allocated(tmp_path_factory.mktemp("hopeless"), plan(FEW, specification=0.95), RESISTORS_ALONE)


def test_nothing_is_chosen_where_nothing_meets(hopeless: dict[str, Any]) -> None:
    assert (hopeless["chosen"], hopeless["confirmation"]) == (None, None)


def refusal(folder: Path, wanted: Sweep, parts: Technology = ALL) -> str:
    opened = study(folder, wanted, parts)
    with opened.store, pytest.raises(InputError) as caught:
        allocate(opened, Workers(nobody, "nothing", 1, 3))
    return str(caught.value)


def test_plan_without_an_allocation_is_refused(tmp_path: Path) -> None:
    assert "no key 'allocation'" in refusal(tmp_path, plan(None))


def test_unknown_key_that_is_to_be_kept_names_those_that_exist(tmp_path: Path) -> None:
    said = refusal(tmp_path, plan(WANTED | {"keep": ["opamps"]}))
    assert "allocation.keep: opamps: no keys of the technology's classes (resistor, capacitor, array)" in said


@pytest.mark.parametrize("parts", [technology(), technology(resistor=[])], ids=["none", "empty"])
def test_technology_without_classes_is_refused(parts: Technology, tmp_path: Path) -> None:
    assert "has no classes to choose from" in refusal(tmp_path, plan(WANTED), parts)


def test_nothing_left_to_choose_is_refused(tmp_path: Path) -> None:
    kept = plan(WANTED | {"keep": ["resistor", "capacitor", "array"]})
    assert "has no classes to choose from" in refusal(tmp_path, kept)
