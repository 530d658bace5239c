"""Devices of arrays as digital potentiometers: the code of each, the conductance it gives, and its error."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import CsvTable
from analog_fhn.board.catalogue import Component, Rheostat, catalogue, named
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray

POTENTIOMETER = "AD5292"
_REACH = 0.01  # relative distance from the last code's conductance that is within reach

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class RheostatPart:
    """A digital potentiometer between its wiper W and its end B, ``R = R_AB D/N + R_W`` with the code D.

    Parameters
    ----------
    part
        With its end-to-end resistance R_AB as value (ohm).
    codes
        N codes from 0, and the resistance R_W of the wiper (ohm).
    """

    part: Component
    codes: Rheostat

    @property
    def end_to_end(self) -> float:
        """R_AB (ohm)."""
        assert self.part.value is not None
        return self.part.value

    def conductance(self, code: IntArray | int) -> FloatArray:
        """Conductances of codes (S)."""
        ohms = self.end_to_end * np.asarray(code, dtype=np.float64) / self.codes.positions + self.codes.wiper
        return np.asarray(1.0 / ohms)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """Least and largest conductance (S)."""
        least, most = self.conductance(np.array([self.codes.positions - 1, self.codes.lowest])).tolist()
        return least, most

    def reaches(self, low: float, high: float) -> bool:
        """Whether it gives conductances from `low` to `high` (S), to a hundredth."""
        return self.reach[0] <= low * (1.0 + _REACH) and high <= self.reach[1] * (1.0 + _REACH)

    def code(self, conductance: FloatArray | float) -> IntArray:
        """Codes whose conductances are nearest to these (S)."""
        g = np.asarray(conductance, dtype=np.float64)
        exact = (1.0 / g - self.codes.wiper) * self.codes.positions / self.end_to_end
        below = np.clip(np.floor(exact), self.codes.lowest, self.codes.positions - 1).astype(np.int64)
        above = np.minimum(below + 1, self.codes.positions - 1)
        nearer = np.abs(self.conductance(above) - g) < np.abs(self.conductance(below) - g)
        return np.where(nearer, above, below)

    def nearest(self, conductance: FloatArray | float) -> FloatArray:
        """Conductances that the nearest codes give (S)."""
        return self.conductance(self.code(conductance))

    def word(self, code: int) -> int:
        """Data word of 16 bits that writes a code into the wiper's register: two zeros, command 1, ten bits."""
        return 0x0400 | code << self.codes.bits_below


def rheostat(low: float, high: float, name: str = POTENTIOMETER) -> RheostatPart:
    """The potentiometer of a family with the least resistance whose conductances reach from `low` to `high` (S).

    Raises
    ------
    InputError
        If the catalogue has no such family, or none of it reaches so far.
    """
    parts = [part for part in catalogue().parts if part.kind == "digital_potentiometer"]
    family = next((part for part in parts if part.name == name), None)
    if family is None or family.rheostat is None:
        known = ", ".join(part.name for part in parts)
        raise InputError(f"digital potentiometer {shown(name)}: expected one of {known}")
    every = [
        RheostatPart(made, family.rheostat)
        for form in family.forms
        if (made := named(form.part_number)) is not None
    ]  # fmt: skip
    for one in sorted(every, key=lambda one: one.end_to_end):
        if one.reaches(low, high):
            return one
    said = ", ".join(f"{one.part.part_number} from {one.reach[0]:.4g} to {one.reach[1]:.4g} S" for one in every)
    raise InputError(
        f"conductances from {low:g} to {high:g} S are out of reach of {name} ({said}): expected array.g_min and "
        "array.g_max within that"
    )


@dataclass(frozen=True)
class ArrayCodes:
    """Codes of all devices of one array.

    Parameters
    ----------
    potentiometer
        Of all devices.
    wanted
        Target conductances (S), shape (n_rows, 2 n_out), columns +, -, +, -, ...
    codes
        Of the same shape.
    """

    potentiometer: RheostatPart
    wanted: FloatArray
    codes: IntArray

    @property
    def given(self) -> FloatArray:
        """Conductances that the codes give (S)."""
        return self.potentiometer.conductance(self.codes)

    @property
    def errors(self) -> FloatArray:
        """Relative deviations of these."""
        return np.asarray(self.given / self.wanted - 1.0)


def array_codes(conductances: Sequence[FloatArray], name: str = POTENTIOMETER) -> tuple[ArrayCodes, ...]:
    """Codes of the devices of all arrays, which are of one type.

    Parameters
    ----------
    conductances
        Targets (S) of each array, shape (n_rows, 2 n_out).
    name
        Family of potentiometers.

    Raises
    ------
    InputError
        See `rheostat`.
    """
    low, high = min(float(g.min()) for g in conductances), max(float(g.max()) for g in conductances)
    chosen = rheostat(low, high, name)
    return tuple(ArrayCodes(chosen, g, chosen.code(g)) for g in conductances)


def codes_text(arrays: Sequence[ArrayCodes], references: Mapping[tuple[int, int, int], str] | None = None) -> str:
    """CSV with a line for each device: where it is, its code, data word, conductances and error.

    Parameters
    ----------
    references
        Designators of devices by array, row and bit line; None: there are none.
    """
    file = io.StringIO(newline="")
    table = CsvTable(file)
    table.writerow([
        "array", "row", "bit_line", "reference", "part_number", "code", "data_word", "wanted_s", "given_s", "error",
    ])  # fmt: skip
    for number, one in enumerate(arrays):
        given, errors, device = one.given, one.errors, one.potentiometer
        for (i, j), code in np.ndenumerate(one.codes):
            table.writerow([
                number, i, j, (references or {}).get((number, i, j), ""), device.part.part_number, int(code),
                f"0x{device.word(int(code)):04X}", f"{one.wanted[i, j]:.6g}", f"{given[i, j]:.6g}",
                f"{errors[i, j]:.4g}",
            ])  # fmt: skip
    return file.getvalue()
