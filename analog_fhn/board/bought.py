"""Chips whose arrays have the conductances of the parts that are bought, instead of those that were wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.board.catalogue import component
from analog_fhn.board.rheostats import POTENTIOMETER, array_codes
from analog_fhn.chip import ManufacturedChip, draw_chip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.board import BoardTechnology


def bought_chip(
    design: Design,
    seed: int | None = None,
    *,
    array: Literal["resistors", "digital"] = "resistors",
    potentiometer: str = POTENTIOMETER,
) -> ManufacturedChip:
    """A chip of a design whose devices were aimed at the conductances of the parts that are bought.

    Parameters
    ----------
    seed
        Of the chip; None: nominal parts, so that the rounding of the devices is all that is added.
    array
        Devices as resistors of the catalogue's values, or as digital potentiometers.
    potentiometer
        Family of these.

    Raises
    ------
    InputError
        If the technology is none of a board, or the catalogue has no part for a device.
    """
    given = bought_conductances(design, array=array, potentiometer=potentiometer)
    targets = tuple(
        replace(target, crossbar=_with(target.crossbar, g)) for target, g in zip(design.arrays, given, strict=True)
    )
    return draw_chip(design.network, design.technology, design.cells, targets, seed)


def bought_conductances(
    design: Design, *, array: Literal["resistors", "digital"] = "resistors", potentiometer: str = POTENTIOMETER
) -> tuple[FloatArray, ...]:
    """Conductances (S) of the parts that are bought for the devices of each array, shape (n_rows, 2 n_out).

    Raises
    ------
    InputError
        See `bought_chip`.
    """
    if array == "digital":
        targets = [one.crossbar.conductance for one in design.arrays]
        return tuple(one.given for one in array_codes(targets, potentiometer))
    technology = design.technology
    if not isinstance(technology, BoardTechnology):
        raise InputError(f"technology {technology.name!r} (cell {technology.cell!r}): expected one of a board")
    return tuple(_of_resistors(one.crossbar.conductance, technology) for one in design.arrays)


def _of_resistors(wanted: FloatArray, technology: BoardTechnology) -> FloatArray:
    levels, places = np.unique(wanted, return_inverse=True)
    bought = [component("resistor", technology, 1.0 / g, section="array").value for g in levels.tolist()]
    return np.asarray(1.0 / np.array(bought, dtype=np.float64))[places].reshape(wanted.shape)


def _with(crossbar: Crossbar, conductance: FloatArray) -> Crossbar:
    return replace(crossbar, g_plus=conductance[:, 0::2], g_minus=conductance[:, 1::2])
