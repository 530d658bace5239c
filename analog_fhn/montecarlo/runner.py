"""A loop over chips: one row per chip, written as it finishes."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.base import Backend, SimulationError
from analog_fhn.circuit.design import Design
from analog_fhn.inference import classify

COLUMNS = ("trial", "chip_seed", "status", "accuracy", "message", "seconds")


@dataclass(frozen=True)
class Trial:
    """One chip's outcome; accuracy is None if the simulation failed, and message says why."""

    trial: int
    chip_seed: int
    status: str
    accuracy: float | None
    message: str
    seconds: float


def chip_seed(root: int, trial: int) -> int:
    """Seed of chip number `trial` of a sweep; depends on (root seed, trial) alone."""
    return int(np.random.SeedSequence(root, spawn_key=(trial,)).generate_state(1)[0])


def run_chips(
    design: Design,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    n_chips: int,
    seed: int,
    *,
    backend: str | Backend = "direct",
    table: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """Classify the images with `n_chips` chips.

    Parameters
    ----------
    design
        What is manufactured; its network gives readout and protocol.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    seed
        Root seed; see `chip_seed`.
    table
        CSV file that each row is appended to as its chip finishes.
    progress
        Called with (chips done, chips in all).

    Returns
    -------
    list of Trial
        A simulation that fails is a row with its message, not an exception.
    """
    trials: list[Trial] = []
    if table is not None:
        table.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    for k in range(n_chips):
        number = chip_seed(seed, k)
        start = time.perf_counter()
        try:
            result = classify(design.network, images, chip=design.chip(number), backend=backend)
            trial = Trial(k, number, "done", result.accuracy(labels), "", time.perf_counter() - start)
        except SimulationError as error:
            trial = Trial(k, number, "failed", None, str(error), time.perf_counter() - start)
        trials.append(trial)
        if table is not None:
            with table.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([getattr(trial, name) for name in COLUMNS])
        if progress is not None:
            progress(k + 1, n_chips)
    return trials


def summary(trials: list[Trial], specification: float) -> dict[str, float | int | None]:
    """Numbers of a sweep: trials, failures, median accuracy, yield with its 95 % Wilson interval.

    A failed trial counts as a chip that does not pass.
    """
    from analog_fhn.montecarlo.statistics import wilson

    accuracies = [t.accuracy for t in trials if t.accuracy is not None]
    passed = sum(a >= specification for a in accuracies)
    low, high = wilson(passed, len(trials))
    return {
        "n_trials": len(trials),
        "n_failed": len(trials) - len(accuracies),
        "median_accuracy": float(np.median(accuracies)) if accuracies else None,
        "yield": passed / len(trials),
        "yield_low": low,
        "yield_high": high,
        "specification": specification,
    }
