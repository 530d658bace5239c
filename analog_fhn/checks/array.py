"""Checks the arrays of a design: converters, devices, wires, amplifiers, what their offsets do to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analog_fhn.array.sense import SENSE_RESISTOR, SenseParts, noise_gains, op_amps
from analog_fhn.array.wires import expected_loss, propose_tiles, tile_slices
from analog_fhn.cell.base import Cell, Curve, curve_of
from analog_fhn.chip import ArrayTarget
from analog_fhn.design import Design
from analog_fhn.findings import CURRENT_ERROR, Finding, judge, unusual_resistance
from analog_fhn.neuron import FloatArray

# A loss common to all columns is a change of scale, which costs little; its unevenness does, which is of its order.
WIRES_WARNING, WIRES_ERROR = 0.05, 0.3
# Share of the signal that an amplifier's finite gain takes.
GAIN_WARNING, GAIN_ERROR = 0.01, 0.1
# Current that devices lack at half the read voltage. MNIST: see "How much an array may suffer" in docs/arrays.md.
CURVED_WARNING, CURVED_ERROR = 0.1, 0.5
# Rms of what clipping takes off the weights, relative to that of the weights. MNIST: 0.03 costs a 784-100-10 network
# nothing, 0.15 and 0.06 cost a 784-64-32-10 network 0.4 points.
CLIPPED_WARNING = 0.05


@dataclass(frozen=True)
class _Limits:
    """What a drive stage's curve bears, as its arguments.

    Parameters
    ----------
    offset
        Warning and error: sigma of the shift by the amplifiers' offsets.
    swing
        Warning and error: argument where the amplifiers' output ends.
    """

    offset: tuple[float, float]
    swing: tuple[float, float]


_LIMITS: dict[Curve, _Limits] = {
    # The tanh's slope is 1 at 0, and it has reached 0.96 and 0.76 at 2 and 1. MNIST, one chip each: 0.11 costs 0.05
    # points, 0.35 costs 0.2, 1 costs 2.
    "tanh": _Limits((0.25, 1.0), (2.0, 1.0)),
    # The ramp goes from 0 to 1, where the ceiling is. MNIST, a 784-128-32-10 network whose ceilings are the 99.9 %
    # quantiles, 8 chips each: 0.02 costs 0.05 points, 0.05 costs 0.2, 0.1 costs 1, 0.2 costs 6.
    "ramp": _Limits((0.05, 0.15), (1.0, 1.0)),
}


def check_arrays(design: Design) -> Iterator[Finding]:
    """Findings about all arrays and their sense amplifiers."""
    for name, array, dense in zip(design.array_names, design.arrays, design.network.dense, strict=True):
        yield from _clipping(design, name, array, dense.weights)
        yield from _wires(design, name, array)
        yield from _characteristic(design, name, array)
        yield from _amplifiers(design, name, array)
    for name, array, cell in zip(design.array_names, design.arrays, design.cells, strict=False):
        yield from _drive_stages(design, name, array, cell)
    yield from _converters(design)


def _clipping(design: Design, name: str, array: ArrayTarget, weights: FloatArray) -> Iterator[Finding]:
    """Rms of what is clipped off the trained weights, relative to that of the weights."""
    settings = design.technology.array
    largest = (settings.g_max - settings.g_min) / array.crossbar.siemens_per_weight
    clipped = np.maximum(np.abs(weights) - largest, 0.0)
    size = float(np.sqrt(np.mean(weights**2)))
    share = float(np.sqrt(np.mean(clipped**2))) / size if size else 0.0
    if share > CLIPPED_WARNING:
        yield Finding(
            name, "weights that are clipped", share, CLIPPED_WARNING, "1", "warning",
            f"{name}: weights beyond {largest:.3g} ({100 * np.mean(clipped > 0.0):.2g} % of them) are clipped, which "
            f"takes {100 * share:.2g} % of the weights' rms; a larger array.clip_quantile keeps more of them",
        )  # fmt: skip


def _wires(design: Design, name: str, array: ArrayTarget) -> Iterator[Finding]:
    settings = design.technology.array
    wires, g = settings.wires, array.crossbar.conductance
    if wires.ideal or not g.any():
        return
    tiles = [
        (expected_loss(g[rows, columns], wires), g[rows, columns].sum())
        for rows, columns in tile_slices(g.shape, settings.tile_rows, settings.tile_columns)
    ]
    loss = sum(share * weight for share, weight in tiles) / sum(weight for _, weight in tiles)
    if judged := judge(loss, WIRES_WARNING, WIRES_ERROR):
        tile = propose_tiles(g, wires, limit=WIRES_WARNING)
        less = f"{100 * WIRES_WARNING:g} %"
        advice = (
            f"tiles of {tile[0]} x {tile[1]} would lose less than {less}"
            if tile
            else f"no tile would lose less than {less}: thicker wires help"
        )
        yield Finding(
            name, "current lost in its wires", loss, judged[1], "1", judged[0],
            f"{name} of {g.shape[0]} x {g.shape[1]} devices: its wires are expected to take {100 * loss:.2g} % of the "
            f"current (largest sum of a row {g.sum(axis=1).max():.2g} S, of a column {g.sum(axis=0).max():.2g} S); "
            f"{advice}",
        )  # fmt: skip


def _characteristic(design: Design, name: str, array: ArrayTarget) -> Iterator[Finding]:
    """What devices lack at half the read voltage, on average weighted by their conductances: ``1 - 1/cosh(x/2)``."""
    settings, g = design.technology.array, array.crossbar.conductance
    v0 = settings.sinh_volts(g)
    timed = array.number > 0 and design.cells[array.number - 1].ROWS_ARE_TIMED
    if v0 is None or timed or not g.any():
        return
    lacking = float(np.average(1.0 - 1.0 / np.cosh(0.5 * settings.read_voltage / v0), weights=g))
    if judged := judge(lacking, CURVED_WARNING, CURVED_ERROR):
        yield Finding(
            name, "current that its devices lack at half the read voltage", lacking, judged[1], "1", judged[0],
            f"{name}: at half of array.read_voltage = {settings.read_voltage:g} V its devices carry "
            f"{100 * lacking:.2g} % less than ohmic ones (array.nonlinearity); a lower read voltage lowers that",
        )  # fmt: skip


def _converters(design: Design) -> Iterator[Finding]:
    """Shift of the first drive stages by the steps and errors of the converters, and inputs beyond their range."""
    dac, network, cell = design.technology.dac, design.network, design.cells[0]
    if dac is None:
        return
    low, high = network.input_range if dac.range is None else dac.range
    beyond = max(low - network.input_range[0], network.input_range[1] - high) / (
        network.input_range[1] - network.input_range[0]
    )
    if beyond > 1e-9:
        yield Finding(
            "input converters", "share of the inputs' range that is beyond theirs", beyond, 0.0, "1", "warning",
            f"input converters: their range, {low:g} to {high:g} (dac.range), leaves out {100 * beyond:.2g} % of the "
            f"network's, {network.input_range[0]:g} to {network.input_range[1]:g}",
        )  # fmt: skip
    step, weights = (high - low) / (2**dac.bits - 1), network.dense[0].weights
    # Rounding and codes' own errors are independent from row to row; the bow, two thirds of it on average, is not.
    variance = (1.0 / 12.0 + dac.code_sigma**2) * (weights**2).sum(axis=0)
    variance = variance + (2.0 / 3.0 * dac.bow * weights.sum(axis=0)) ** 2
    shift = float(cell.fhn.slope * step * np.sqrt(np.mean(variance)) / cell.ceiling)
    curve = curve_of(cell.unit)
    if judged := judge(shift, *_LIMITS[curve].offset):
        yield Finding(
            "input converters", f"shift of the {curve} by their steps and errors (sigma)", shift, judged[1], "1",
            judged[0],
            f"input converters: steps of {step:.2g} (dac.bits = {dac.bits}) with their errors shift the {curve}'s "
            f"argument by {shift:.2g} (sigma, bright images)",
        )  # fmt: skip


def _amplifiers(design: Design, name: str, array: ArrayTarget) -> Iterator[Finding]:
    sense = array.sense
    if not isinstance(sense, SenseParts):
        return
    amplifier = op_amps(design.technology)
    sums = array.crossbar.conductance.sum(axis=0)
    for part, gains in zip(("U1", "U2"), noise_gains(sense, sums), strict=True):
        gain = float(gains.max())
        lost = gain / (amplifier.gain + gain)
        if judged := judge(lost, GAIN_WARNING, GAIN_ERROR):
            yield Finding(
                f"{part} of the {name}", "share of the signal lost by finite gain", lost, judged[1], "1", judged[0],
                f"{part} of the {name}: its noise gain of {gain:.3g} leaves {amplifier.gain / gain:.3g} of its gain of "
                f"{amplifier.gain:.3g}: {100 * lost:.2g} % of the signal are lost",
            )  # fmt: skip
    for part in SenseParts.names(SENSE_RESISTOR):
        if finding := unusual_resistance(f"R{part[1:]} of the {name}", float(getattr(sense, part)[0])):
            yield finding
    current = design.technology.array.read_voltage * float(sums[0::2].max())
    if 2.0 * current > CURRENT_ERROR:
        yield Finding(
            f"U1 of the {name}", "output current", 2.0 * current, CURRENT_ERROR, "A", "note",
            f"U1 of the {name}: with all rows at the read voltage it takes {2e3 * current:.3g} mA, more than "
            f"{CURRENT_ERROR * 1e3:g} mA",
        )  # fmt: skip


def _drive_stages(design: Design, name: str, array: ArrayTarget, cell: Cell) -> Iterator[Finding]:
    """Shift of the argument of a drive stage's curve by an array's amplifiers, and that at which their output ends."""
    technology, fhn, curve = design.technology, cell.fhn, curve_of(cell.unit)
    limits = _LIMITS[curve]
    volts = cell.volts_per_z * cell.ceiling
    sigma = array.sense.nominal_offset_sigma(array.crossbar.conductance.sum(axis=0), technology)
    shift = fhn.slope * sigma / volts
    if judged := judge(shift, *limits.offset):
        yield Finding(
            f"amplifiers of the {name}", f"shift of the {curve} by their offsets (sigma)", shift, judged[1], "1",
            judged[0],
            f"amplifiers of the {name}: their offsets make {1e3 * sigma:.2g} mV (sigma) behind the columns, which "
            f"shifts the {curve}'s argument by {shift:.2g}; less offset or more array.read_voltage helps",
        )  # fmt: skip
    swing = fhn.slope * technology.column_swing / volts
    if judged := judge(-swing, *(-limit for limit in limits.swing)):
        scale = technology.INPUT_SCALES.get(curve)
        advice = f"; a smaller {scale} leaves more" if scale else ""
        yield Finding(
            f"amplifiers of the {name}", f"argument of the {curve} where their output ends", swing, -judged[1], "1",
            judged[0],
            f"amplifiers of the {name}: their output ends where the {curve}'s argument is {swing:.2g}{advice}",
        )  # fmt: skip
