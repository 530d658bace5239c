"""Ends of the activations on a chip's rows, from rows that were read under voltages in the place of the array."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from analog_fhn.cell.base import DriveStage
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.trim.codes import RowCodes, RowTarget, TrimHardware, codes_of_ends
from analog_fhn.trim.identify import Ends
from analog_fhn.trim.measurements import RowResponses

_READ = 0.002  # of the amplitude, that a row may be off
_STAGE = 0.05  # spread of a drive stage's slope (relative), and of its shift
_LEAST_SWING = 0.5  # change of the curve (from -1 to 1) over the points, below which they do not tell the ends


def ends_of_rows(network: Network, layer: int, measured: RowResponses) -> Ends:
    """Ends of a hidden layer's rows: least squares of ``centre + amplitude curve(slope z + shift)``, row by row.

    The curve is tanh, or that of a ramp from -1 to 1. Slope and shift are those of nominal drive stages, give or take
    their spread.
    """
    n = measured.rows.shape[1]
    stage = DriveStage.ideal(network.units[layer], network.neurons[layer], 1, network.ceilings[layer])
    ideal, _ = RowTarget.of(network, layer).of_response(-network.fhn.a, -1.0, network.fhn.gamma)

    def curve(z: FloatArray, slope: float, shift: float) -> FloatArray:
        place = stage.curve(stage.slope * (1.0 + slope) * z + stage.shift + shift)
        return np.asarray(2.0 * place - 1.0 if stage.CURVE == "ramp" else place)

    amplitude, centre, known = np.full(n, ideal), np.zeros(n), np.zeros(n, dtype=np.bool_)
    for j, (z, rows) in enumerate(zip(measured.arguments.T, measured.rows.T, strict=True)):
        there = np.isfinite(rows)
        z, rows = z[there], rows[there]
        if len(z) < 2 or np.ptp(curve(z, 0.0, 0.0)) < _LEAST_SWING:
            continue
        start = np.polyfit(curve(z, 0.0, 0.0), rows, 1)

        def off(values: FloatArray, z: FloatArray = z, rows: FloatArray = rows) -> FloatArray:
            left = rows - values[1] - values[0] * curve(z, values[2], values[3])
            return np.concatenate([left / (_READ * abs(ideal)), values[2:] / _STAGE])

        fit = least_squares(off, [*start, 0.0, 0.0])
        amplitude[j], centre[j], known[j] = fit.x[0], fit.x[1], True
    return Ends(amplitude, centre, known)


def codes_of_rows(
    codes: RowCodes, network: Network, layer: int, measured: RowResponses, hardware: TrimHardware
) -> RowCodes:  # fmt: skip
    """Codes that trim drive stages and row drivers too, where the rows tell; `codes` where they do not."""
    ends, target = ends_of_rows(network, layer, measured), RowTarget.of(network, layer)
    ideal = target.of_response(-network.fhn.a, -1.0, network.fhn.gamma)
    told = ends.known & (ends.amplitude * ideal[0] > 0.0)
    none = RowCodes.none(len(told))
    better = codes_of_ends(none, ends.amplitude, ends.centre, ideal, target, hardware, told)
    gain, offset = (np.where(told, new, old) for new, old in ((better.gain, codes.gain), (better.offset, codes.offset)))
    return RowCodes(gain, offset, better.saturated if told.all() else max(better.saturated, codes.saturated))
