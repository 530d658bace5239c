"""A population drawn around a recorded neuron: threshold and gain of each unit's f-I curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.words import counted, engineering
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.twin import DrivenTwin


@dataclass(frozen=True)
class Spread:
    """How far the f-I curves of neurons lie apart, and which of them each unit has.

    Under a current I unit k answers as the recorded neuron does under ``t + g_k (I - t - d_k)``, t being the threshold
    of the recorded one: its threshold is moved by d_k, its f-I curve steeper by g_k.

    Parameters
    ----------
    threshold
        Standard deviation of d_k, which are normal (A).
    gain
        Standard deviation of ln g_k, which are normal.
    seed
        Of the draw; unit k has the same numbers in populations of any size.

    Raises
    ------
    InputError
        If a deviation is negative or not finite.
    """

    threshold: float
    gain: float
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("threshold", "gain"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} = {getattr(self, name)}: expected a number from 0")

    @classmethod
    def of(cls, twins: Sequence[DrivenTwin], share: float = 1.0, seed: int = 0) -> Spread:
        """What the measured f-I curves of some neurons show: sample deviations, times `share`.

        Of each curve `DrivenTwin.threshold`, and the logarithm of its mean slope from there to the largest current.

        Raises
        ------
        InputError
            If there are fewer than two, one of them never spiked, or the share is negative.
        """
        if len(twins) < 2:
            raise InputError(
                f"a spread needs more than {counted(len(twins), 'twin')}: expected two or more recorded neurons, which "
                "tell how far they spread"
            )
        if not 0 <= share < np.inf:
            raise InputError(f"spread {share}: expected a number from 0, by which that of the recordings is multiplied")
        slopes = [twin.rates[-1] / twin.span for twin in twins]
        if min(slopes) <= 0:
            raise InputError("a recorded neuron is silent at its largest current; expected spikes, for its gain")
        thresholds = np.std([twin.threshold for twin in twins], ddof=1)
        return cls(share * float(thresholds), share * float(np.std(np.log(slopes), ddof=1)), seed)

    def levels(self, level: FloatArray, units: NDArray[np.intp], span: FloatArray) -> FloatArray:
        """Levels of current that units answer to.

        Parameters
        ----------
        level
            Currents, shape (..., n): 0 at the recorded threshold, 1 at the largest recorded current.
        units
            Their numbers, shape (n,).
        span
            The largest recorded current less the threshold, shape (n,), A.

        Returns
        -------
        Shape (..., n), cut to 0 to 1: what was not recorded is not known.
        """
        drawn = np.random.default_rng(self.seed).standard_normal((int(units.max()) + 1, 2))[units]
        moved, gain = self.threshold * drawn[:, 0], np.exp(self.gain * drawn[:, 1])
        return np.asarray(np.clip(gain * (level - moved / span), 0.0, 1.0))

    def __str__(self) -> str:
        return f"thresholds spread by {engineering(self.threshold, 'A')}, gains by a factor of {np.exp(self.gain):.3g}"
