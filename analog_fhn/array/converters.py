"""Converters in front of the input array: what its rows are given of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.draws import draw_code_errors
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import Front
from analog_fhn.technology.sections import Dac


@dataclass(frozen=True, eq=False)
class Converters:
    """Digital-to-analog converters, one for each row; see `analog_fhn.technology.sections.Dac`.

    Parameters
    ----------
    low, step
        Input at code 0, and change from one code to the next, in units of the network's inputs.
    bits, bow
        As in the section.
    errors
        Deviation of each code of each converter, in steps, shape (n_rows, 2^bits); None: none.
    """

    low: float
    step: float
    bits: int
    bow: float
    errors: NDArray[np.float32] | None

    @classmethod
    def of(cls, dac: Dac, input_range: tuple[float, float], n_rows: int, seed: int | None) -> Converters:
        """Those of the chip of this seed (None: the nominal chip) for a network with this range of inputs."""
        low, high = input_range if dac.range is None else dac.range
        errors = None
        if dac.code_sigma and seed is not None:
            errors = np.float32(dac.code_sigma) * draw_code_errors(n_rows, 2**dac.bits, seed)
        return cls(low, (high - low) / (2**dac.bits - 1), dac.bits, dac.bow, errors)

    def codes(self, values: NDArray[np.floating]) -> NDArray[np.intp]:
        """The nearest codes, of the shape of the values; values beyond the range have the first or the last code."""
        last = 2**self.bits - 1
        return np.clip(np.rint((np.asarray(values, dtype=np.float64) - self.low) / self.step), 0, last).astype(np.intp)

    def alike(self, values: NDArray[np.floating]) -> FloatArray:
        """Outputs without what differs from converter to converter, of the shape of the values."""
        codes = self.codes(values)
        share = codes / (2**self.bits - 1)
        return np.asarray(self.low + self.step * (codes + 4.0 * self.bow * share * (1.0 - share)))

    def __call__(self, rows: NDArray[np.floating]) -> FloatArray:
        """Outputs for values of the rows (n, n_rows)."""
        outputs = self.alike(rows)
        if self.errors is not None:
            outputs += self.step * self.errors[np.arange(rows.shape[1]), self.codes(rows)]
        return outputs


@dataclass(frozen=True)
class ConvertedFront(Front):
    """What stands in front of an input array, and converters behind it.

    Parameters
    ----------
    converters
        Of the rows.
    """

    converters: Converters | None = None

    def rows(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Outputs of the converters, shape (n n_positions, n_rows), for values (n, n_inputs)."""
        rows = super().rows(values)
        return rows if self.converters is None else self.converters(rows)
