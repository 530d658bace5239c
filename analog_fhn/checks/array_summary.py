"""The arrays of a chip in numbers: size, scales, amplifiers, and what wires, offsets and devices do to the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analog_fhn.array.sense import SenseParts
from analog_fhn.array.wires import expected_loss, tile_slices
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design


@dataclass(frozen=True)
class ArraySummary:
    """One array of a chip.

    Parameters
    ----------
    array
        "input", "output", or "1", ... between hidden layers.
    rows, bias_rows, bit_lines
        Word lines, how many of them carry the biases, and bit lines, two per output.
    tiles, devices
        Numbers of tiles and of devices.
    siemens_per_weight, largest_weight
        k, and the weight that g_max stands for.
    clipped
        Share of the weights that are larger and were clipped.
    rf, ra
        Nominal resistors of the sense amplifiers (ohm); None: the read-out has none.
    rb
        Nominal transresistance (ohm): of sense amplifiers their last resistor.
    volts_per_unit
        Output voltage that stands for 1 (V).
    largest_column_sum
        Conductance of all devices on one bit line (S).
    noise_gain
        Largest gain of an offset of an input amplifier, ``1 + Rf G``.
    offset
        Sigma of the output that the amplifiers' offsets make without input, in units of z or of a score (rms over the
        columns).
    expected_wire_loss, wire_loss
        Share of the output current that the wires take when all rows have one voltage: estimated for the worst tile,
        and exact for the whole array.
    weight_slope, weight_error
        Effective weights against the trained ones: slope of the regression through 0, and rms of the difference, in
        units of the weights.
    """

    array: str
    rows: int
    bias_rows: int
    bit_lines: int
    tiles: int
    devices: int
    siemens_per_weight: float
    largest_weight: float
    clipped: float
    rf: float | None
    ra: float | None
    rb: float
    volts_per_unit: float
    largest_column_sum: float
    noise_gain: float
    offset: float
    expected_wire_loss: float
    wire_loss: float
    weight_slope: float
    weight_error: float


def summarise(design: Design, chip: ManufacturedChip) -> tuple[ArraySummary, ...]:
    """Every array of a chip of this design."""
    return tuple(_summarise(design, chip, number) for number in range(len(chip.arrays)))


def _summarise(design: Design, chip: ManufacturedChip, number: int) -> ArraySummary:
    technology, target = design.technology, design.arrays[number]
    chip_array, array = chip.arrays[number], technology.array
    g = chip_array.crossbar.conductance
    wires = array.wires
    tiles = list(tile_slices(g.shape, array.tile_rows, array.tile_columns))
    losses = [expected_loss(g[tile], wires) for tile in tiles]
    case = 0 if chip.network.recentre else 1
    trained = design.network.weights[number]
    largest = (array.g_max - array.g_min) / target.crossbar.siemens_per_weight
    sense = target.sense
    slope = float(np.vdot(trained, chip_array.weights) / max(np.vdot(trained, trained), np.finfo(np.float64).tiny))
    return ArraySummary(
        array=design.array_names[number].removesuffix(" array").removeprefix("array "),
        rows=len(g),
        bias_rows=chip_array.crossbar.bias_rows,
        bit_lines=g.shape[1],
        tiles=len(tiles),
        devices=g.size,
        siemens_per_weight=target.crossbar.siemens_per_weight,
        largest_weight=largest,
        clipped=float(np.mean(np.abs(trained) > largest * (1.0 + 1e-12))),
        rf=float(sense.rf[0]) if isinstance(sense, SenseParts) else None,
        ra=float(sense.ra[0]) if isinstance(sense, SenseParts) else None,
        rb=float(sense.transresistance[0]),
        volts_per_unit=target.volts[case],
        largest_column_sum=float(g.sum(axis=0).max()),
        noise_gain=chip_array.sense.largest_noise_gain(chip_array.ports),
        offset=chip_array.sense.offset_sigma(chip_array.ports, technology) / target.volts[case],
        expected_wire_loss=max(losses),
        wire_loss=1.0 - float(chip_array.ports.effective.sum() / g.sum()) if g.any() else 0.0,
        weight_slope=slope,
        weight_error=float(np.sqrt(np.mean((chip_array.weights - trained) ** 2))),
    )
