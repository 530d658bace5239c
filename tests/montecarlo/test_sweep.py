"""Many chips: seeds, rows, failures, yield, and the sweep file."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analog_fhn.backends.base import Response, SimulationError
from analog_fhn.backends.direct import Direct
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.runner import COLUMNS, Trial, chip_seed, run_chips, summary
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def design() -> Design:
    rng = np.random.default_rng(0)
    network = Network((rng.normal(size=(5, 4)), rng.normal(size=(4, 3))), protocol=Protocol(settle=2.0, control=10.0))
    return Design(network, Technology.load("discrete"))


def images() -> np.ndarray:
    return np.random.default_rng(1).random((8, 5))


class FailsOn:
    """Direct, except for one call, which fails as a simulator would."""

    name = "direct"

    def __init__(self, call: int) -> None:
        self.call, self.calls = call, 0

    def respond(self, chip: Chip, drives: FloatArray, protocol: Protocol, **options: Any) -> Response:
        self.calls += 1
        if self.calls - 1 == self.call:
            raise SimulationError('neuron 2, drive -1: timestep too small, "trouble", again')
        return Direct().respond(chip, drives, protocol, **options)


# --- seeds ----------------------------------------------------------------------------------------------------


def test_seed_of_a_chip_depends_on_root_and_number_alone() -> None:
    d, x = design(), images()
    few, many = run_chips(d, x, LABELS, 2, 5), run_chips(d, x, LABELS, 4, 5)
    assert [t.chip_seed for t in few] == [t.chip_seed for t in many][:2] == [chip_seed(5, 0), chip_seed(5, 1)]


def test_seeds_of_a_sweep_are_pinned() -> None:
    # SeedSequence(root, spawn_key=(trial,)), first word of its state: NumPy keeps this stream stable. Reports name
    # chips by these numbers.
    expected = [int(np.random.SeedSequence(3, spawn_key=(k,)).generate_state(1)[0]) for k in range(3)]
    assert [chip_seed(3, k) for k in range(3)] == expected
    assert chip_seed(0, 0) == 3757552657


def test_seeds_are_different() -> None:
    # 32 bits: among 2 000 the chance of a pair is 5e-4, and these are fixed
    assert len({chip_seed(root, k) for root in (0, 1) for k in range(1000)}) == 2000


# --- rows -----------------------------------------------------------------------------------------------------


def test_accuracy_is_that_of_the_chip_with_this_seed() -> None:
    d, x = design(), images()
    for trial in run_chips(d, x, LABELS, 2, 9):
        assert trial.accuracy == classify(d.network, x, chip=d.chip(trial.chip_seed)).accuracy(LABELS)


def test_rows_are_written_as_they_finish(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    lengths: list[int] = []
    run_chips(
        design(), images(), LABELS, 3, 5, table=path,
        progress=lambda _done, _total: lengths.append(len(path.read_text().splitlines())),
    )  # fmt: skip
    assert lengths == [2, 3, 4]


def test_rows_are_the_trials(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    trials = run_chips(design(), images(), LABELS, 2, 5, table=path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(int(r["trial"]), int(r["chip_seed"]), r["status"], float(r["accuracy"])) for r in rows] == [
        (t.trial, t.chip_seed, "done", t.accuracy) for t in trials
    ]


def test_failed_trial_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    trials = run_chips(design(), images(), LABELS, 3, 5, backend=FailsOn(1), table=path)
    assert [(t.status, t.accuracy is None) for t in trials] == [("done", False), ("failed", True), ("done", False)]
    with path.open(newline="") as file:
        row = list(csv.DictReader(file))[1]
    assert (row["accuracy"], row["message"]) == ("", 'neuron 2, drive -1: timestep too small, "trouble", again')


def test_progress_counts_chips() -> None:
    calls: list[tuple[int, int]] = []
    run_chips(design(), images(), LABELS, 2, 5, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_mistakes_of_the_caller_are_no_failed_trials() -> None:
    with pytest.raises(InputError, match="images have shape"):
        run_chips(design(), images()[:, :4], LABELS, 2, 5)


# --- statistics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (990, 1000), (1, 1)])
@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959963984540054), (0.99, 2.5758293035489004)])
def test_wilson_interval_is_the_textbook_formula(k: int, n: int, confidence: float, z: float) -> None:
    # E. B. Wilson, J. Am. Stat. Assoc. 22:209, 1927
    p = k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson(k, n, confidence) == pytest.approx((centre - half, centre + half), rel=1e-9, abs=1e-12)


def trials(*accuracies: float | None) -> list[Trial]:
    return [Trial(k, k, "failed" if a is None else "done", a, "", 0.1) for k, a in enumerate(accuracies)]


def test_summary_counts_failures_as_chips_that_do_not_pass() -> None:
    found = summary(trials(0.98, 0.95, None, 0.97, 0.99), 0.97)
    low, high = wilson(3, 5)
    assert found == {
        "n_trials": 5, "n_failed": 1, "median_accuracy": pytest.approx(0.975), "yield": 0.6, "yield_low": low,
        "yield_high": high, "specification": 0.97,
    }  # fmt: skip


def test_summary_when_everything_failed() -> None:
    found = summary(trials(None, None), 0.97)
    assert (found["n_failed"], found["median_accuracy"], found["yield"]) == (2, None, 0.0)


# --- the sweep file -------------------------------------------------------------------------------------------

MINIMUM = {"network": "net.npz", "technology": "discrete", "chips": 3, "dataset": "digits", "seed": 0}


def write(folder: Path, **changes: Any) -> Path:
    """Sweep file with keys changed; a value of None removes the key."""
    content = {k: v for k, v in (MINIMUM | changes).items() if v is not None}
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Sweep.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_defaults(tmp_path: Path) -> None:
    sweep = Sweep.load(write(tmp_path))
    found = (sweep.images, sweep.split, sweep.readout, sweep.gamma, sweep.backend, sweep.specification)
    assert found == (None, "test", None, None, "direct", None)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    sweep = Sweep.load(write(tmp_path, technology="mine.yaml", dataset="data/my.npz"))
    assert (sweep.network, sweep.technology, sweep.dataset) == (
        str(tmp_path / "net.npz"), str(tmp_path / "mine.yaml"), str(tmp_path / "data/my.npz"),
    )  # fmt: skip


def test_names_stay_names(tmp_path: Path) -> None:
    sweep = Sweep.load(write(tmp_path, dataset="mnist"))
    assert (sweep.technology, sweep.dataset) == ("discrete", "mnist")


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
        ({"chips": 0}, "chips = 0: "),
        ({"chips": 2.5}, "chips = 2.5: "),
        ({"chips": "3"}, "chips = '3': "),
        ({"seed": -1}, "seed = -1: "),
        ({"images": 0}, "images = 0: "),
        ({"specification": 97.0}, "specification = 97.0: "),
        ({"backend": "ngspice"}, "backend = 'ngspice': "),
        ({"readout": "max"}, "readout = 'max': "),
        ({"split": "all"}, "split = 'all': "),
        ({"network": 3}, "network = 3: "),
    ],
)
def test_refusals_name_file_and_key(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, **changes))


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "absent.yaml")
