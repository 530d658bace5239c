"""A plan's table filled in from its recordings, and what the readings of every cell say of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from analog_fhn.board.bench_model import CellModel
from analog_fhn.board.bench_plan import LayerPlan
from analog_fhn.board.bench_recordings import FOLDER, step_readings
from analog_fhn.board.bench_steps import ACCURACY, NOISE, bench_protocols
from analog_fhn.board.diagnosis import SOUND, Suspect, estimate, suspects
from analog_fhn.board.measured import read_measurements
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.neuron import Coefficients, FloatArray

LEAST = 6
"""Readings of a cell that a diagnosis needs."""


def read_recordings(
    folder: Path, plans: tuple[LayerPlan, ...], progress: Callable[[int, int], None] | None = None
) -> tuple[list[FloatArray], list[str]]:
    """Readings of each hidden layer (n_neurons, n_readings), NaN where a recording lacks, and what lacks, in words.

    Parameters
    ----------
    folder
        Of the plan.

    Raises
    ------
    InputError
        If there is no recording at all, or one is broken.
    """
    found, notes, done = [], [], 0
    total = sum(plan.neurons for plan in plans)
    for layer, plan in enumerate(plans):
        rows = []
        for cell in range(plan.neurons):
            row: list[float] = []
            for step in plan.steps:
                values, missing = step_readings(folder / FOLDER, layer, cell, step, plan.volts_per_x)
                row += [values.get(column, np.nan) for column in step.readings]
                notes += missing
            rows.append(row)
            done += 1
            if progress is not None:
                progress(done, total)
        found.append(np.array(rows))
    if not any(np.isfinite(values).any() for values in found):
        first = f" ({notes[0]})" if notes else ""
        raise InputError(f"{folder / FOLDER}: no recording of the plan{first}; expected files as its page names them")
    return found, notes


@dataclass(frozen=True, eq=False)
class CellDiagnosis:
    """What the readings of one cell say.

    Parameters
    ----------
    layer, neuron
        Which cell.
    readings
        How many there are.
    misfit, limit
        How far they are from a nominal cell (chi-squared), and what 99 % of the technology's cells stay below.
    furthest
        Step and column of the readings that are furthest off, and by how many standard deviations of the technology.
    suspects
        Parts that alone would explain it, the likeliest first; empty where the cell is within the limit.
    """

    layer: int
    neuron: int
    readings: int
    misfit: float
    limit: float
    furthest: tuple[tuple[str, str, float], ...]
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True, eq=False)
class LayerDiagnosis:
    """What measurements say of one hidden layer.

    Parameters
    ----------
    cells
        One by one; those that were not measured are left out.
    coefficients, left
        Nine coefficients of these cells as estimated, and the standard deviations that are left of p and q in turn,
        (n_cells, 9).
    estimated
        Readings that the estimated parts give, (n_neurons, n_readings), with less noise than those that were measured;
        NaN of cells that were not.
    """

    cells: tuple[CellDiagnosis, ...]
    coefficients: Coefficients
    left: FloatArray
    estimated: FloatArray


def diagnose(
    path: Path,
    design: Design,
    accuracy: float = ACCURACY,
    noise: float = NOISE,
    progress: Callable[[int, int], None] | None = None,
) -> list[LayerDiagnosis]:
    """Diagnosis of each hidden layer from a table of measurements.

    Parameters
    ----------
    accuracy, noise
        See `analog_fhn.board.bench_steps.BenchProtocol.sigmas`.

    Raises
    ------
    InputError
        For whatever is wrong with the file, and for a cell with too few readings.
    """
    protocols = bench_protocols(design)
    models = [CellModel.of(design, layer, protocol) for layer, protocol in enumerate(protocols)]
    measured = read_measurements(path, protocols, [model.expected for model in models])
    found = []
    for layer, (model, readings) in enumerate(zip(models, measured, strict=True)):
        count = np.isfinite(readings).sum(axis=1)
        few = np.flatnonzero((count > 0) & (count < LEAST))
        if few.size:
            raise InputError(
                f"{path}: {count[few[0]]} readings of neuron {few[0]}{design.layer_names[layer]}; expected at least "
                f"{LEAST}, or none"
            )
        found.append(_of_layer(model, layer, readings, model.protocol.sigmas(accuracy, noise), progress))
    return found


def _of_layer(
    model: CellModel, layer: int, readings: FloatArray, sigma: FloatArray, progress: Callable[[int, int], None] | None
) -> LayerDiagnosis:  # fmt: skip
    there = np.flatnonzero(np.isfinite(readings).any(axis=1))
    whole = estimate(model, readings[there], sigma)
    spread = np.sqrt((model.sensitivities**2).sum(axis=1) + sigma**2)
    cells = []
    for k, neuron in enumerate(there):
        off = (readings[neuron] - model.expected) / spread
        order = np.argsort(-np.abs(np.nan_to_num(off)))[:3]
        names = [(model.protocol.steps[r.step].name, r.column) for r in (model.protocol.readings[i] for i in order)]
        furthest = tuple((*name, float(off[i])) for name, i in zip(names, order, strict=True))
        limit = float(chi2.ppf(SOUND, whole.freedom[k]))
        misfit = float(whole.misfit[k])
        blamed = () if misfit <= limit else tuple(suspects(model, readings[neuron], sigma))
        cells.append(CellDiagnosis(layer, int(neuron), int(whole.freedom[k]), misfit, limit, furthest, blamed))
        if progress is not None:
            progress(k + 1, len(there))
    estimated = np.full(readings.shape, np.nan)
    estimated[there] = model.readings(whole.sigmas)
    errors = coefficient_errors(model, whole.covariances)
    return LayerDiagnosis(tuple(cells), model.coefficients(whole.sigmas), errors, estimated)


def coefficient_errors(model: CellModel, covariances: FloatArray) -> FloatArray:
    """Standard deviations of p and q, (n_cells, 9), that covariances of the parts (n_cells, n_errors, n_errors) leave.

    To first order, with the slopes of the coefficients at the nominal cell.
    """
    around = 0.5 * np.eye(len(model.errors))
    ends = [np.concatenate([c.p, c.q], axis=1) for c in (model.coefficients(around), model.coefficients(-around))]
    slopes = (ends[0] - ends[1]).T
    return np.asarray(np.sqrt(np.einsum("ij,njk,ik->ni", slopes, covariances, slopes)))
