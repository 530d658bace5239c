"""Rare failures, worst case and corners of a small network, against brute force and `classify`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
from scipy.stats import binomtest
from sweeps import digits, digits_network, discrete, threads

import analog_fhn as af
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.directions import Means, distance
from analog_fhn.montecarlo.gradient import Inventory
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.runner import run_chips
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.shifted_store import ShiftedStore
from analog_fhn.montecarlo.trial import ShiftedTrial

GOAL = 0.708  # nominal chip 0.734; about one chip in a hundred misses it


@cache
def design() -> af.Design:
    return af.Design(digits_network(), discrete())


@pytest.mark.slow
def test_importance_sampling_agrees_with_counting() -> None:
    test = digits(500)
    found = af.rare(design(), test, specification=GOAL, chips=900, pilot=300, workers=1)
    trials = run_chips(design(), test.images, test.labels, 900, 123)
    counted = binomtest(sum((t.accuracy or 0.0) < GOAL for t in trials), len(trials)).proportion_ci(0.999)
    p = found.probability
    half = np.log(p.high / p.probability) * 3.29 / 1.96  # 99.9 %; both intervals miss each other once in 10^5
    assert p.probability * np.exp(-half) < counted.high
    assert p.probability * np.exp(half) > counted.low
    assert p.low < p.probability < p.high
    # a chip of the estimate is its seed and the shift, anywhere
    trial = found.trials[3]
    again = af.classify(found.chip(trial), test.images, table=9).accuracy(test.labels)
    assert again == trial.accuracy
    assert repr(found).startswith(f"<Rare failures: {p.probability:.3g} of the chips miss ")
    row = found.table()[3]
    assert (row["chip_seed"], row["accuracy"]) == (trial.chip_seed, trial.accuracy)


@pytest.mark.slow
def test_a_probability_near_one_in_a_thousand_agrees_with_many_chips() -> None:
    test = digits(500)
    specification = 0.7
    found = af.rare(design(), test, specification=specification, chips=8000)
    study = af.sweep(design(), test, chips=40_000, specification=specification, seed=9)
    counted = study.yield_()[0]
    assert found.probability.low < 1.0 - counted.low
    assert found.probability.high > 1.0 - counted.high


@pytest.mark.slow
def test_workers_do_not_change_the_estimate() -> None:
    values = {"specification": GOAL, "chips": 1500, "pilot": 300}
    one, two = (af.rare(design(), digits(500), workers=n, **values) for n in (1, 2))
    assert one.probability == two.probability
    assert one.amounts == two.amounts


EASY = {"specification": 0.755, "pilot": 30, "workers": 1}  # two chips in five miss it


def test_what_was_judged_before_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.failures.local_workers", lambda job, _: threads(job))

    class Ended(Exception):
        """In place of Ctrl-C."""

    counts: list[int] = []

    def end(done: int, _: int) -> None:
        if done == 50:
            raise Ended

    with pytest.raises(Ended):
        af.rare(design(), digits(), chips=60, folder=tmp_path, progress=end, **EASY)
    found = af.rare(
        design(), digits(), chips=150, folder=tmp_path, progress=lambda done, _: counts.append(done), **EASY
    )
    assert counts[:3] == [30, 50, 51]  # a round at once that was whole, then the part of the next one that was there
    with ShiftedStore(tmp_path) as store:
        kept = store.chips(SweepPoint(len(store.points()) - 1, "sweep", "", amounts=found.amounts))
    assert sorted(kept) == [trial.trial for trial in found.trials]
    for trial in found.trials[::40]:
        assert af.classify(found.chip(trial), digits().images, table=9).accuracy(digits().labels) == trial.accuracy
        np.testing.assert_array_equal(kept[trial.trial].projections, trial.projections)
    with pytest.raises(InputError, match=r"another configuration \(pilot was 30 and is 31\)"):
        af.rare(design(), digits(), chips=150, folder=tmp_path, **(EASY | {"pilot": 31}))


def test_chips_of_an_earlier_run_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    digits_network().save(tmp_path / "net.npz")
    ShiftedStore.create(tmp_path, {}, []).close()
    options = ("--dataset", "digits", "--specification", GOAL, "-o", tmp_path)
    status, _, said = command_line.run("rare", tmp_path / "net.npz", *options)
    assert (status, "holds chips already; add --resume" in said) == (2, True)


@pytest.mark.parametrize(
    ("amounts", "projections", "message"),
    [
        ("[1.5, 0.25]", "[0.5, 1]", r"point 0: shifted by \[1\.5, 0\.25\], but the search comes to \[1\.5, 0\.5\]"),
        ("[1.5, 0.5]", "[0.5]", r"table projections, point 0, trial 3: \[0\.5\]: expected 2 numbers"),
        ("[1.5, 0.5]", "[0.5, NaN]", r"table projections, point 0, trial 3"),
        ("[1.5, 0.5]", None, r"table projections, point 0, trial 3: None: expected 2 numbers"),
    ],
)
def test_rows_that_are_none_of_the_search_s_are_refused(
    amounts: str, projections: str | None, message: str, tmp_path: Path
) -> None:
    point = SweepPoint(0, "sweep", "shifted", amounts=(1.5, 0.5))
    with ShiftedStore.create(tmp_path, {}, []) as store:
        assert store.chips(point) == {}
        store.add(ShiftedTrial(0, 3, 7, "done", 0.5, projections=np.array([0.5, 1.0])))
        assert store.chips(point)[3].projections.tolist() == [0.5, 1.0]
    with closing(sqlite3.connect(tmp_path / ShiftedStore.FILE, isolation_level=None)) as db:
        db.execute("UPDATE points SET settings = ?", (f'{{"amounts": {amounts}}}',))
        db.execute("UPDATE projections SET projections = ?" if projections else "DELETE FROM projections WHERE 1 OR ?",
                   (projections,))  # fmt: skip
    with ShiftedStore(tmp_path) as store, pytest.raises(InputError, match=message):
        store.chips(point)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"specification": 0.99}, r"specification = 0\.99: chips are expected to be right on .* expected less"),
        ({"readout": "vote"}, {}, r"readout 'vote': expected 'mean'"),
        ({"adc.bits": 8}, {}, r"adc: converters answer in steps"),
        ({"errors": []}, {}, r"no normal part moves the accuracy"),
        ({}, {"chips": 0}, r"rare: chips = 0: expected at least 1"),
        ({}, {"workers": 0}, r"rare: workers = 0: expected at least 1"),
        ({}, {"specification": 0.3}, r"sigmas from the nominal chip, .* expected at most 15 sigmas"),
    ],
)
def test_what_no_shift_fits_is_refused(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    network, technology = digits_network(), discrete()
    if "readout" in changes:
        network = network.with_options(readout="vote", settle=5.0, control=10.0)
    if "errors" in changes:
        technology = technology.with_errors([])
    if "adc.bits" in changes:
        technology = technology.model_validate(technology.model_dump() | {"adc": {"bits": 8}})
    with pytest.raises(InputError, match=message):
        af.rare(af.Design(network, technology), digits(200), **({"specification": GOAL} | options))


def test_a_sweep_at_sobol_points_is_drawn_again_from_its_files(tmp_path: Path) -> None:
    test = digits(200)
    study = af.sweep(design(), test, chips=16, sobol=True, workers=1, folder=tmp_path / "run", seed=4)
    trial = study.results.trials[5]
    chip = study.shift.chip(study.design(), trial.chip_seed)
    assert af.classify(chip, test.images, table=9).accuracy(test.labels) == trial.accuracy
    of_file = ShiftFile.load(tmp_path / "run" / "sobol.npz", study.job.network).chip(study.design(), trial.chip_seed)
    np.testing.assert_array_equal(of_file.layers[0].weights, chip.layers[0].weights)
    unshifted = design().chip(trial.chip_seed)
    assert not np.array_equal(unshifted.layers[0].weights, chip.layers[0].weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chips": 100}, r"chips = 100 with sobol: .* expected 64 or 128"),
        ({"chips": 64, "until": {"width": 0.1}}, r"until with sobol"),
        ({"chips": 64, "backend": "reference"}, r"backend 'reference': expected 'direct'"),
    ],
)
def test_sobol_points_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        af.sweep(design(), digits(), sobol=True, **options)


def test_corners_judge_the_same_chips_everywhere(tmp_path: Path) -> None:
    network = tmp_path / "net.npz"
    digits_network().save(network)
    out, report = tmp_path / "corners", tmp_path / "corners.json"
    status, _, _ = command_line.run(
        "corners", network, "--dataset", "digits", "--images", 100, "--temperatures", "280,300", "--supplies", "1,1.05",
        "--chips", 4, "--specification", 0.6, "--workers", 1, "-o", out, "--json", report,
    )  # fmt: skip
    assert status == 0
    content = json.loads(report.read_text())
    assert [(row["temperature"], row["supply"]) for row in content["corners"]] == [
        (280.0, 1.0), (280.0, 1.05), (300.0, 1.0), (300.0, 1.05)
    ]  # fmt: skip
    assert (out / "corners.png").stat().st_size > 1000
    plain = run_chips(af.Design(digits_network(), discrete()), digits(100).images, digits(100).labels, 4, 0)
    assert content["corners"][2]["median"] == np.median([trial.accuracy for trial in plain])
    assert content["worst"] in content["corners"]


def test_process_corners_of_a_board_are_refused() -> None:
    with pytest.raises(InputError, match=r"processes = fast: technology 'discrete' is a board"):
        af.corners(design(), digits(), processes=["fast"])
    with pytest.raises(InputError, match=r"temperatures = \[300, 300\]: expected values that differ"):
        af.corners(design(), digits(), temperatures=[300, 300])


def test_the_worst_case_of_the_command_misses_the_specification_in_classify(tmp_path: Path) -> None:
    network, out, report, shifted = (tmp_path / name for name in ("net.npz", "rare", "rare.json", "classified.json"))
    digits_network().save(network)
    circuit = ("--dataset", "digits", "--images", 200, "--technology", "discrete")
    test, goal = digits(200), 0.68
    options = ("--specification", goal, "--chips", 0, "-o", out, "--json", report)
    assert command_line.run("rare", network, *circuit, *options)[0] == 0
    worst = json.loads(report.read_text())["worst_case"]
    assert worst["accuracy"] < goal <= worst["nominal_accuracy"]
    assert sum(part["share"] for part in worst["parts"]) == pytest.approx(1.0)
    assert worst["distance"] == pytest.approx(np.sqrt(sum(part["sigmas"] ** 2 for part in worst["parts"])))
    assert (out / "worst_case.csv").read_text().startswith("part,group,sigmas,share,largest,index")
    asked = ("classify", network, *circuit, "--table", 9, "--shift", out / "worst_case.npz", "--json", shifted)
    assert command_line.run(*asked)[0] == 0
    assert json.loads(shifted.read_text())["accuracy"] == worst["accuracy"]
    # a chip as far away in a random direction is far better
    rng = np.random.default_rng(0)
    away = {key: rng.normal(size=shape) for key, shape in Inventory.of(design()).items()}
    there = {key: worst["distance"] / distance(away) * values for key, values in away.items()}
    moved = design().chip(None, Means(there))
    assert af.classify(moved, test.images, table=9).accuracy(test.labels) >= goal


def test_a_shift_needs_a_technology(tmp_path: Path) -> None:
    digits_network().save(tmp_path / "net.npz")
    status, _, said = command_line.run("classify", tmp_path / "net.npz", "--dataset", "digits", "--shift", "any.npz")
    assert status == 2
    assert "needs a --technology" in said
