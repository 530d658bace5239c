"""Which parts of a cell its readings tell of: an estimate of all parts, and single parts that explain a fault."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.board.bench_model import CellModel, PartError
from analog_fhn.neuron import FloatArray

_ROUNDS = 4  # of Gauss and Newton
_LARGEST = 60.0  # sigma, that a step of them may go
_ALIKE = 0.97  # cosine between what two parts do to the readings, above which the readings cannot tell them apart
_CLOSE = 4.0  # of the statistic, within which another part explains the readings as well
SOUND = 0.99
"""Share of the technology's cells whose readings are off by less than those of a cell with a fault."""
_TELLS = 1e-6  # certainty (1/sigma^2) below which no reading tells of a part
_TRIED = 6  # parts whose faults are followed beyond the linear model


@dataclass(frozen=True, eq=False)
class Estimate:
    """Parts of n cells as their readings tell, the technology's spread taken into account.

    Parameters
    ----------
    sigmas
        Deviations of the parts, (n, n_errors), in standard deviations of the technology.
    covariances
        What is uncertain of them, (n, n_errors, n_errors): the unit matrix where the readings tell nothing.
    misfit
        What the readings are off by from a nominal cell, (n,): chi-squared of `freedom` where the cells are sound.
    freedom
        How many readings there are of each cell, (n,).
    """

    sigmas: FloatArray
    covariances: FloatArray
    misfit: FloatArray
    freedom: FloatArray


def estimate(model: CellModel, readings: FloatArray, sigma: FloatArray) -> Estimate:
    """Most likely parts of n cells: least squares with the technology's spread as a prior (Gauss and Newton).

    Parameters
    ----------
    readings
        Shape (n, n_readings); NaN where there is none.
    sigma
        Standard deviations of the readings, (n_readings,).
    """
    n, m = len(readings), len(model.errors)
    deviations, covariances = np.zeros((n, m)), np.tile(np.eye(m), (n, 1, 1))
    for number in range(_ROUNDS):
        predicted = model.readings(deviations)
        if number % 2 == 0:  # slopes change little, and take most of the time
            slopes = model.slopes(deviations)
        for k in range(n):
            known = np.isfinite(readings[k]) & np.isfinite(predicted[k]) & np.isfinite(slopes[k]).all(axis=1)
            weighted = slopes[k, known] / sigma[known, None]
            off = (readings[k] - predicted[k])[known] / sigma[known] + weighted @ deviations[k]
            covariances[k] = np.linalg.inv(weighted.T @ weighted + np.eye(m))
            deviations[k] = covariances[k] @ weighted.T @ off
    off, freedom = readings - model.expected, np.isfinite(readings).sum(axis=1).astype(np.float64)
    misfit = np.array([_misfit(model.sensitivities, one, sigma) for one in off])
    return Estimate(deviations, covariances, misfit, freedom)


@dataclass(frozen=True)
class Fault:
    """A deviation of one part that alone would explain the readings.

    Parameters
    ----------
    part
        The part.
    sigmas, error
        Its deviation in standard deviations of the technology, and the standard deviation of that.
    misfit
        What is left of the misfit.
    """

    part: PartError
    sigmas: float
    error: float
    misfit: float


@dataclass(frozen=True)
class Suspect:
    """Faults that the readings cannot tell apart, the smallest deviation first.

    Parameters
    ----------
    faults
        One or more.
    explained
        How much of the misfit the best of them takes away.
    """

    faults: tuple[Fault, ...]
    explained: float


def suspects(model: CellModel, readings: FloatArray, sigma: FloatArray) -> list[Suspect]:
    """Single faults that may be behind the readings of one cell (n_readings,), the likeliest first.

    All other parts are taken to deviate as the technology has it. With the sensitivities J of the readings, each part's
    column J_j over the others' covariance ``C = J J' - J_j J_j' + diag(sigma^2)`` gives its deviation
    ``d = J_j' C^-1 r/(J_j' C^-1 J_j)`` and the misfit that it takes away; the best parts are followed beyond the linear
    model, as far as their faults go.
    """
    known = np.isfinite(readings) & np.isfinite(model.expected)
    slopes, noise = model.sensitivities[known], np.diag(sigma[known] ** 2)
    off = readings[known] - model.expected[known]
    before = _misfit(model.sensitivities, readings - model.expected, sigma)
    found = []
    for j in range(len(model.errors)):
        inverse = np.linalg.inv(noise + slopes @ slopes.T - np.outer(slopes[:, j], slopes[:, j]))
        certainty = slopes[:, j] @ inverse @ slopes[:, j]
        if certainty > _TELLS:
            size = slopes[:, j] @ inverse @ off / certainty
            left = off - size * slopes[:, j]
            found.append((float(left @ inverse @ left), float(size), 1.0 / np.sqrt(certainty), j, inverse))
    found.sort(key=lambda one: one[0])
    tried = [_followed(model, readings, known, *one[1:]) for one in found[:_TRIED]]
    return _grouped(model, sorted(tried, key=lambda one: one.misfit), sigma, before)


def _followed(
    model: CellModel, readings: FloatArray, known: NDArray[np.bool_], size: float, error: float, j: int,
    inverse: FloatArray,
) -> Fault:  # fmt: skip
    """One part's fault, by the model itself in place of its slopes."""
    unit, best = np.eye(len(model.errors))[j], Fault(model.errors[j], size, error, np.inf)
    for _ in range(_ROUNDS):
        around = model.readings(np.array([size, size + 0.5, size - 0.5])[:, None] * unit)[:, known]
        off, slope = readings[known] - around[0], around[1] - around[2]
        if not (np.isfinite(off).all() and np.isfinite(slope).all()):
            break
        misfit, certainty = float(off @ inverse @ off), float(slope @ inverse @ slope)
        if certainty < _TELLS:
            break
        if misfit < best.misfit:
            best = Fault(model.errors[j], size, 1.0 / math.sqrt(certainty), misfit)
        size += float(np.clip(slope @ inverse @ off / certainty, -_LARGEST, _LARGEST))
    return best


def alike(model: CellModel, sigma: FloatArray) -> FloatArray:
    """Cosines between what any two parts do to the readings, (n_errors, n_errors), in units of what other parts do."""
    slopes = np.nan_to_num(model.sensitivities)
    product = slopes.T @ np.linalg.solve(np.diag(sigma**2) + slopes @ slopes.T, slopes)
    size = np.sqrt(np.maximum(np.diag(product), _TELLS))
    return np.asarray(product / np.outer(size, size))


def _grouped(model: CellModel, tried: list[Fault], sigma: FloatArray, before: float) -> list[Suspect]:
    """Suspects: faults that leave nearly the same misfit, or whose parts do the same to the readings, together."""
    cosines, groups = np.abs(alike(model, sigma)), list[list[Fault]]()
    place = {error: number for number, error in enumerate(model.errors)}
    for one in tried:
        for group in groups:
            cosine = cosines[place[group[0].part], place[one.part]]
            if one.misfit - group[0].misfit < _CLOSE or cosine > _ALIKE:
                group.append(one)
                break
        else:
            groups.append([one])
    return [
        Suspect(tuple(sorted(group, key=lambda one: abs(one.sigmas))), before - group[0].misfit) for group in groups
    ]


def _misfit(slopes: FloatArray, off: FloatArray, sigma: FloatArray) -> float:
    known = np.isfinite(off) & np.isfinite(slopes).all(axis=1)
    covariance = slopes[known] @ slopes[known].T + np.diag(sigma[known] ** 2)
    return float(off[known] @ np.linalg.solve(covariance, off[known]))
