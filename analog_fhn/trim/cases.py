"""Technologies for studies of the repair: a programming error, a spread of the neurons, a share of stuck devices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import MIN_DRIVES, Table
from analog_fhn.cell.base import DriveStage
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.technology.board import BoardTechnology

_NEURONS = 1000  # drawn to measure a spread
_WIDEST = 0.3  # beyond it some of the neurons no longer work as such
_STEPS = 12  # of the bisection
_SEED = 0


def case_technology(
    base: BoardTechnology, programming_error: float, neuron_spread: float, stuck: float, fhn: FHN | None = None
) -> BoardTechnology:
    """Technology with the errors of a case, everything else as in `base`.

    The spread of the neurons is made by the tolerance of all resistors and capacitors: that which gives a standard
    deviation of `neuron_spread` for the gain of the activation, its slope over ``tanh(slope z)`` relative to the mean,
    through tanh pair, neuron and row driver. With `discrete` 10 % take a tolerance of 14.4 %; the activation's
    level then spreads by 0.069 (its span is 1) and the slope of the tanh by 6.5 %; 5 % take 7.1 %, and 0.034 and 3.2 %
    come with it (`activation_spread`).

    Parameters
    ----------
    programming_error
        Sigma relative to the target conductance.
    stuck
        Share of stuck devices, half of them at g_max, half at g_min.
    fhn
        Neurons that the spread is measured on; None: the default ones.

    Raises
    ------
    InputError
        If no tolerance up to 30 % gives the spread.
    """
    fhn = FHN() if fhn is None else fhn
    tolerance = _tolerance(base.model_dump_json(), neuron_spread, fhn)
    return base.with_values(
        {
            "array.programming_error": programming_error,
            "array.stuck_on": 0.5 * stuck,
            "array.stuck_off": 0.5 * stuck,
            "resistor.tolerance": tolerance,
            "capacitor.tolerance": tolerance,
        }
    )


def activation_spread(technology: BoardTechnology, fhn: FHN | None = None) -> tuple[float, float, float]:
    """Standard deviations over 1000 drawn neurons: gain (relative), level, and slope of the tanh (relative).

    Measured with `direct` at a few drives: ``activation = level + gain tanh(slope z + shift)``.
    """
    gain, level, slope = _activations(technology, FHN() if fhn is None else fhn)
    return float(gain.std() / gain.mean()), float(level.std()), float(slope.std() / slope.mean())


def _activations(technology: BoardTechnology, fhn: FHN) -> tuple[FloatArray, FloatArray, FloatArray]:
    weights = np.ones((1, _NEURONS)), np.ones((_NEURONS, 1))
    network = Network.of_weights(weights, fhn=fhn)
    cells = Design(network, technology).chip(_SEED).hardware[0].cells
    table = Table(Direct(), MIN_DRIVES).means(cells, network.protocol, window=False)
    stage, rows = cells.drive_stage, cells.row_stage
    if not isinstance(stage, DriveStage):
        raise InputError(f"technology {technology.name!r}: its cells have no tanh whose slope could spread")
    ends = [
        rows.gain * table.look_up((stage.offset + sign * stage.gain)[None])[0] + rows.offset for sign in (1.0, -1.0)
    ]
    return 0.5 * (ends[0] - ends[1]), 0.5 * (ends[0] + ends[1]), stage.slope


@lru_cache(maxsize=16)
def _tolerance(base: str, spread: float, fhn: FHN) -> float:
    technology = BoardTechnology.model_validate_json(base)

    def reached(tolerance: float) -> float:
        values = {"resistor.tolerance": tolerance, "capacitor.tolerance": tolerance}
        return activation_spread(technology.with_values(values), fhn)[0]

    low, high = 0.0, _WIDEST
    if not reached(low) <= spread <= reached(high):
        raise InputError(
            f"neuron spread {spread:g}: expected {reached(low):.3g} (what offsets alone make) to {reached(high):.3g}"
        )
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if reached(middle) < spread else (low, middle)
    return round(0.5 * (low + high), 6)
