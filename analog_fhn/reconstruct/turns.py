"""Which twin each hidden neuron is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError


class TakesTurns:
    """What backends of twins share: hidden neuron k is twin k modulo their number, or the one that `which` names."""

    twins: tuple[Any, ...]
    which: tuple[int, ...] | None

    def check_which(self) -> None:
        """Raise InputError if `which` names a twin that is not there."""
        if self.which is not None and not all(0 <= k < len(self.twins) for k in self.which):
            raise InputError(f"which = {self.which}: expected numbers of {len(self.twins)} twins, from 0")

    def only(self, neurons: NDArray[np.intp]) -> Self:
        """The backend for a selection of the cells (n,)."""
        every = self._numbers(int(neurons.max()) + 1 if self.which is None else len(self.which))
        return cast(Self, replace(cast(Any, self), which=tuple(every[neurons].tolist())))

    def numbers(self, cells: Cells) -> NDArray[np.intp]:
        """Number of each cell's twin.

        Raises
        ------
        ValueError
            If `which` is of another number of cells.
        """
        numbers = self._numbers(len(cells))
        if len(numbers) != len(cells):
            raise ValueError(f"which names the twins of {len(numbers)} neurons; there are {len(cells)}")
        return numbers

    def _numbers(self, n_neurons: int) -> NDArray[np.intp]:
        if self.which is None:
            return np.arange(n_neurons) % len(self.twins)
        return np.array(self.which, dtype=np.intp)
