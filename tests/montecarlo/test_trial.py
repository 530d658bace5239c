"""One chip is one row: its seed, its accuracy, and what becomes of a simulation that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import (
    LABELS,
    TROUBLE,
    Misbehaves,
    design,
    digits,
    digits_job,
    digits_network,
    discrete,
    tiny_images,
    tiny_job,
)

from analog_fhn.backends.spice import backend as spice
from analog_fhn.backends.table.backend import default_drives
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import Result, classify, confusion
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.runner import run_chips
from analog_fhn.montecarlo.trial import (
    WINDOW_CHECKS,
    Trial,
    chip_seed,
    keep_job,
    run_trial,
    share_images,
)
from analog_fhn.netlist.decks import neuron_deck

POINT = SweepPoint(0, "sweep", "as planned")


def outcome(trial: Trial) -> tuple[Any, ...]:
    """A row but for its place and the time it took."""
    return trial.chip_seed, trial.status, trial.accuracy, trial.agreement, trial.confusion, trial.table_error


# --- seeds ----------------------------------------------------------------------------------------------------


def test_seeds_of_a_sweep_are_pinned() -> None:
    # SeedSequence(root, spawn_key=(trial,)), first word of its state: NumPy keeps this stream stable. Reports name
    # chips by these numbers.
    expected = [int(np.random.SeedSequence(3, spawn_key=(k,)).generate_state(1)[0]) for k in range(3)]
    assert [chip_seed(3, k) for k in range(3)] == expected
    assert chip_seed(0, 0) == 3757552657


def test_seeds_are_different() -> None:
    # 32 bits: among 2 000 the chance of a pair is 5e-4, and these are fixed
    assert len({chip_seed(root, k) for root in (0, 1) for k in range(1000)}) == 2000


def test_seed_of_a_chip_does_not_depend_on_the_number_of_chips() -> None:
    few, many = (run_chips(design(), tiny_images(), LABELS, n, 5) for n in (2, 4))
    assert [t.chip_seed for t in few] == [t.chip_seed for t in many][:2] == [chip_seed(5, 0), chip_seed(5, 1)]


def test_chip_does_not_depend_on_the_number_of_chips() -> None:
    few, many = (run_chips(design(), tiny_images(), LABELS, n, 5) for n in (2, 4))
    assert list(map(outcome, few)) == list(map(outcome, many))[:2]


def test_chip_does_not_depend_on_the_other_points() -> None:
    settings = {"array.levels": 256}
    job = digits_job()
    alone = run_trial(job, SweepPoint(0, "sweep", "alone", settings), 4)
    run_trial(job, POINT, 4)
    among_others = run_trial(job, SweepPoint(7, "sweep", "among others", settings), 4)
    assert outcome(alone) == outcome(among_others)


# --- the row is that of classify ------------------------------------------------------------------------------

SETTINGS = {
    "as planned": {},
    "values": {"resistor.tolerance": 0.05, "array.levels": 256, "conditions.temperature": 330.0},
    "network": {"gamma": -0.8, "settle": 8.0, "control": 20.0},
    "errors": {"errors": ["resistor", "array"], "array.levels": 64},
    "no errors": {"errors": []},
}


def by_hand(settings: dict[str, Any], trial: int, **options: Any) -> Result:
    """The same chip by the way of `analog-fhn classify`."""
    of_network = {k: v for k, v in settings.items() if k in ("gamma", "settle", "control", "readout")}
    values = {k: v for k, v in settings.items() if k not in of_network and k != "errors"}
    technology = discrete().with_values(values)
    if "errors" in settings:
        technology = technology.with_errors(settings["errors"])
    network = digits_network().with_options(**of_network)
    return classify(Design(network, technology).chip(chip_seed(3, trial)), digits().images, **options)


@pytest.mark.parametrize("name", SETTINGS)
def test_accuracy_is_exactly_that_of_the_chip_with_this_seed(name: str) -> None:
    settings = SETTINGS[name]
    found = run_trial(digits_job(), SweepPoint(2, "sweep", name, settings), 1)
    assert found.accuracy == by_hand(settings, 1, table=9).accuracy(digits().labels)


def test_agreement_is_with_the_plain_network() -> None:
    plain = digits_network().forward(digits().images).argmax(axis=1)
    found = run_trial(digits_job(), POINT, 1)
    assert found.agreement == by_hand({}, 1, table=9).accuracy(plain)


def test_confusion_is_of_the_true_classes() -> None:
    found = run_trial(digits_job(), POINT, 1)
    expected = confusion(by_hand({}, 1, table=9).predictions, digits().labels, 10)
    assert json.loads(found.confusion or "") == expected.ravel().tolist()


def test_number_of_drives_can_be_chosen() -> None:
    found = run_trial(digits_job(table=17), POINT, 1)
    result = by_hand({}, 1, table=17)
    assert result.table is not None
    assert found.table_error == result.table.largest


def test_without_a_table_every_image_is_simulated() -> None:
    job = tiny_job(table=0)
    chip = design().chip(chip_seed(5, 1))
    found = run_trial(job, POINT, 1)
    assert (found.accuracy, found.table_error) == (
        classify(chip, tiny_images()).accuracy(LABELS),
        None,
    )


def test_vote_is_read_from_a_table_of_33() -> None:
    network = design().network.with_options(readout="vote")
    result = classify(Design(network, discrete()).chip(chip_seed(5, 0)), tiny_images(), table=33)
    found = run_trial(tiny_job(), SweepPoint(0, "sweep", "vote", {"readout": "vote"}), 0)
    assert found.accuracy == result.accuracy(LABELS)


def test_table_error_is_the_largest_one() -> None:
    result = by_hand({}, 1, table=9)
    assert result.table is not None
    assert run_trial(digits_job(), POINT, 1).table_error == result.table.largest


def test_control_window_is_compared_for_the_first_chips_alone() -> None:
    job = tiny_job()
    errors = [run_trial(job, POINT, k).window_error for k in (0, WINDOW_CHECKS - 1, WINDOW_CHECKS)]
    assert [error is None for error in errors] == [False, False, True]


def test_window_error_is_that_of_classify() -> None:
    result = by_hand({}, 1, table=9)
    assert result.table is not None
    assert run_trial(digits_job(), POINT, 1).window_error == result.table.window_largest


@pytest.mark.parametrize(
    ("backend", "readout", "drives"), [("direct", "mean", 9), ("direct", "vote", 33), ("spice", "mean", 9)]
)
def test_default_drives(backend: str, readout: str, drives: int) -> None:
    assert default_drives(backend, readout) == drives


@pytest.mark.parametrize("dark", [0.0, 0.6])
def test_shared_images_are_those_in_memory(dark: float, tmp_path: Path) -> None:
    # with 0.6 as black three of four pixels are zero; products leave them out then
    images = np.where(digits().images > dark, digits().images, np.float32(0.0))
    share_images(images, tmp_path)
    shared, in_memory = (run_trial(digits_job(images=given), POINT, 2) for given in (tmp_path, images))
    assert outcome(shared) == outcome(in_memory)


def test_job_can_be_named_by_its_key() -> None:
    job = tiny_job()
    keep_job(job)
    assert outcome(run_trial(job.key, POINT, 0)) == outcome(run_trial(job, POINT, 0))


# --- failures -------------------------------------------------------------------------------------------------


def test_failed_simulation_is_a_row_with_its_message() -> None:
    job = tiny_job(backend=Misbehaves(chip_seed(5, 1), "fails"), table=0)
    found = run_trial(job, POINT, 1)
    assert (found.point, found.trial, *outcome(found)[:4]) == (0, 1, chip_seed(5, 1), "failed", None, None)
    assert found.message == TROUBLE


def test_other_chips_go_on_after_a_failed_simulation() -> None:
    trials = run_chips(
        design(), tiny_images(), LABELS, 3, 5, backend=Misbehaves(chip_seed(5, 1), "fails"), table=0
    )  # fmt: skip
    assert [(t.status, t.accuracy is None) for t in trials] == [("done", False), ("failed", True), ("done", False)]


def test_other_exceptions_of_a_backend_are_rows_that_name_their_kind() -> None:
    found = run_trial(tiny_job(backend=Misbehaves(chip_seed(5, 1), "breaks"), table=0), POINT, 1)
    assert (found.status, found.message) == ("failed", f"ZeroDivisionError: {TROUBLE}")


def test_failed_trial_has_its_seconds() -> None:
    found = run_trial(tiny_job(backend=Misbehaves(chip_seed(5, 1), "fails"), table=0), POINT, 1)
    assert 0.0 < found.seconds < 10.0


def test_mistakes_of_the_caller_are_no_failed_trials() -> None:
    with pytest.raises(InputError, match="timestep"):
        run_trial(tiny_job(backend=Misbehaves(chip_seed(5, 1), "refuses"), table=0), POINT, 1)


def test_images_that_cannot_be_read_are_no_failed_trial(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_trial(tiny_job(images=tmp_path), POINT, 0)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(InputError, match="images have shape"):
        run_chips(design(), tiny_images()[:, :4], LABELS, 2, 5)


def test_point_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(InputError, match=r"point 3 \(steep\): .*gamma"):
        run_trial(tiny_job(), SweepPoint(3, "sweep", "steep", {"gamma": float("nan")}), 0)


def test_converters_and_vote_are_refused() -> None:
    network = design().network.with_options(readout="vote")
    made = Design(network, discrete().with_values({"adc": {"bits": 8}}))
    with pytest.raises(InputError, match="converters"):
        run_chips(made, tiny_images(), LABELS, 1, 5)


@pytest.fixture
def broken_decks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decks that ngspice does not take."""

    def broken(*arguments: Any, **options: Any) -> str:
        return neuron_deck(*arguments, **options).replace("fhn_neuron\n+", "nosuch\n+")

    monkeypatch.setattr(spice, "neuron_deck", broken)


@pytest.mark.usefixtures("broken_decks")
def test_deck_of_a_failing_trial_is_kept_in_a_folder_of_its_own(tmp_path: Path) -> None:
    job = tiny_job(backend="spice", table=0, keep=tmp_path / "failed", workers=1)
    for k in range(2):
        assert run_trial(job, SweepPoint(1, "sweep", "in ngspice"), k).status == "failed"
    folders = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.cir"))
    assert [str(path.parent) for path in folders] == ["failed/point_1_chip_0", "failed/point_1_chip_1"]


@pytest.mark.usefixtures("broken_decks")
def test_message_of_a_failing_trial_names_its_deck(tmp_path: Path) -> None:
    job = tiny_job(backend="spice", table=0, keep=tmp_path / "failed", workers=1)
    found = run_trial(job, POINT, 0)
    (deck,) = tmp_path.rglob("*.cir")
    assert str(deck) in found.message


# --- run_chips ------------------------------------------------------------------------------------------------


def test_progress_counts_chips() -> None:
    calls: list[tuple[int, int]] = []
    run_chips(design(), tiny_images(), LABELS, 2, 5, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_images_in_double_precision_give_the_same_rows() -> None:
    one = run_chips(design(), tiny_images(), LABELS, 2, 5)
    other = run_chips(design(), tiny_images().astype(np.float64), LABELS, 2, 5)
    assert list(map(outcome, one)) == list(map(outcome, other))
