"""Last stage of a driven map: gains and offsets of its inputs, searched by free runs of the trained steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult, differential_evolution

from analog_fhn._support.progress import Progress
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.bench import Bench
from analog_fhn.reconstruct.driven.judging import misfit, runs_of_several
from analog_fhn.reconstruct.driven.map import DrivenMap

_REACH = 0.3  # largest logarithm of a gain, and largest offset in an input's unit


def tune(
    bench: Bench,
    which: NDArray[np.intp],
    state_map: DrivenMap,
    generations: int,
    candidates: int,
    spread: float,
    seed: int,
    progress: Progress | None = None,
) -> tuple[DrivenMap, list[float]]:
    """Search the scales of a map's inputs for the smallest `misfit` of some sweeps' steps.

    Training follows the voltage sample by sample, and gradients through a spike are of little use: what it leaves are
    f-I curves that are a little too steep or too flat. Twice as many numbers as inputs mend that, and are few enough to
    be searched without gradients, on what the twin is judged by: differential evolution (Storn and Price, J. Global
    Optim. 11:341, 1997).

    Parameters
    ----------
    which
        Numbers of the sweeps; none of those held out.
    generations, candidates
        Of at least 5 candidates, which are run at once.
    spread
        Standard deviation of the first ones around the map as it is: of the gains' logarithms, and of offsets in units
        of the inputs.
    seed
        Of the search.

    Returns
    -------
    The best map, and the smallest misfit after each generation. It is no worse than the map that was given.
    """
    misfits: list[float] = []

    def after(intermediate_result: OptimizeResult) -> None:
        misfits.append(float(intermediate_result.fun))
        if progress is not None:
            progress(len(misfits), generations)

    rng = np.random.default_rng(seed)
    n = 2 * len(state_map.centre)
    first = np.clip(spread * rng.standard_normal((candidates, n)), -_REACH, _REACH)
    first[0] = 0.0
    found = differential_evolution(
        cast(Any, _objective(bench, which, state_map)),  # its type hints lack vectorized functions
        Bounds(np.full(n, -_REACH), np.full(n, _REACH)), init=first, rng=rng, vectorized=True, updating="deferred",
        maxiter=generations, polish=False, tol=0.0, callback=after,
    )  # fmt: skip
    return _scaled(state_map, found.x), misfits


def _objective(bench: Bench, which: NDArray[np.intp], state_map: DrivenMap) -> Callable[[FloatArray], FloatArray]:
    """Misfit (s,) of s points of the search, shape (2 n_in, s)."""

    def misfits(points: FloatArray) -> FloatArray:
        maps = [_scaled(state_map, point) for point in points.T]
        return np.array([misfit(runs) for runs in runs_of_several(bench, maps, which)])

    return misfits


def _scaled(state_map: DrivenMap, point: FloatArray) -> DrivenMap:
    """The map with the logarithms of gains, then the offsets (in units of the inputs), on its inputs."""
    gains, offsets = np.split(point, 2)
    unit = state_map.unit
    return replace(state_map, centre=state_map.centre - offsets * unit, unit=unit * np.exp(-gains))
