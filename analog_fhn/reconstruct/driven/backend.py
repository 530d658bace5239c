"""Recorded neurons as hidden units: drive = injected current, activation = rate of spikes or mean voltage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.progress import Progress
from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.reconstruct.driven.spread import Spread
from analog_fhn.reconstruct.driven.twin import DrivenTwin
from analog_fhn.reconstruct.recordings.current_clamp import REARM_LEVEL, SPIKE_LEVEL
from analog_fhn.reconstruct.turns import TakesTurns

Activation = Literal["rate", "voltage", "curve"]
"""What a hidden neuron hands on: spikes in the control window by its length, the mean voltage in it, or the rate of the
measured f-I curve, without a twin."""

CURRENTS = 257
"""Currents at which a twin is run, evenly from threshold to the largest recorded; a drive takes the nearest."""

SECONDS_PER_T = 0.01
"""Time unit T of a protocol (s)."""

_REFERENCE = 1.0  # s from rest, in which the mean voltages at both ends are taken


@dataclass(frozen=True, eq=False)
class _Runs:
    """What a twin did at each of `CURRENTS`: value in the control window (c,), voltage at samples (n_samples, c)."""

    value: FloatArray
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class LivingNeurons(TakesTurns):
    """A backend whose neurons are driven twins.

    The range of a neuron's drive is laid on the currents from its threshold (the largest at which the recording was
    silent) to the largest recorded. What the neuron hands on is scaled so that both ends give what the neuron that the
    network was trained for gives there; between them its own curve counts, and so does its finite window: counts of
    spikes are whole numbers. Every run begins at rest.

    Parameters
    ----------
    twins
        Hidden neuron k is twin k modulo their number.
    activation
        See `Activation`. x(t), which a vote reads, is the voltage, scaled by its means at both ends.
    seconds_per_T
        Time unit of the protocol (s).
    which
        Twin of each neuron, in place of that rule.
    spread
        Units are drawn around their twins; neurons of one number in several hidden layers are the same unit. None:
        every unit is its twin.
    units
        Number of each neuron in that draw; None: 0, 1, ...

    Raises
    ------
    InputError
        If there is no twin, or a value is out of range.
    """

    identity: ClassVar[bool] = False
    """A recorded neuron's mean is not that of FitzHugh and Nagumo's, -(a + I)."""

    twins: tuple[DrivenTwin, ...] = field(compare=False)
    activation: Activation = "rate"
    seconds_per_T: float = SECONDS_PER_T
    which: tuple[int, ...] | None = None
    spread: Spread | None = None
    units: tuple[int, ...] | None = None
    name: str = "twin"
    _digests: tuple[str, ...] = field(init=False, repr=False)
    _kept: dict[tuple[int, Protocol, bool], _Runs] = field(default_factory=dict, init=False, repr=False, compare=False)
    _ends: dict[int, FloatArray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.twins:
            raise InputError("no twin: expected one or more")
        if self.activation not in ("rate", "voltage", "curve"):
            raise InputError(f"activation = {self.activation!r}: expected 'rate', 'voltage' or 'curve'")
        if not 0 < self.seconds_per_T < np.inf:
            raise InputError(f"seconds_per_T = {self.seconds_per_T}: expected a number of seconds above 0")
        self.check_which()
        object.__setattr__(self, "_digests", tuple(twin.digest() for twin in self.twins))

    @classmethod
    def load(cls, paths: Sequence[Path], activation: Activation = "rate") -> LivingNeurons:
        """From files of `DrivenTwin.save`."""
        return cls(tuple(DrivenTwin.load(path) for path in paths), activation)

    def drawn(self, share: float = 1.0, seed: int = 0) -> LivingNeurons:
        """Units drawn around the first twin with the spread of all, or `share` of it; see `Spread.of`."""
        return replace(self, twins=self.twins[:1], spread=Spread.of(self.twins, share, seed))

    def only(self, neurons: NDArray[np.intp]) -> LivingNeurons:
        """The backend for a selection of the cells (n,)."""
        every = neurons if self.units is None else np.array(self.units)[neurons]
        return replace(super().only(neurons), units=tuple(every.tolist()))

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Progress | None = None,
    ) -> Response:
        """Run every neuron's twin under its current; see `Backend.respond`. A twin is run once for each protocol.

        Raises
        ------
        InputError
            If noise is asked for, or x(t) of the measured curve.
        """
        refuse_noise(self.name, noise)
        if samples and self.activation == "curve":
            raise InputError("the measured f-I curve has no x(t) for a vote; use the mean readout, or a twin's rate")
        drives = check_drives(cells, drives)
        numbers = self.numbers(cells)
        low, high = cells.drive_stage.range()
        silent, strongest = (cells.dynamics.identity_mean(ends[None])[0] for ends in (high, low))
        level = np.clip((high - drives) / (high - low), 0.0, 1.0)
        if self.spread is not None:
            units = np.arange(len(cells)) if self.units is None else np.array(self.units)
            level = self.spread.levels(level, units, np.array([twin.span for twin in self.twins])[numbers])
        place = np.rint(level * (CURRENTS - 1)).astype(np.intp)
        mean = np.empty_like(drives)
        x = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32) if samples else None
        for number in np.unique(numbers):
            mine = np.flatnonzero(numbers == number)
            runs = self._runs(int(number), protocol, samples)
            mean[:, mine] = runs.value[place[:, mine]]
            if x is not None:
                x[:, :, mine] = runs.samples[:, place[:, mine]]
            if progress is not None:
                progress(int(mine[-1]) + 1, len(cells))
        span = strongest - silent
        shaped = None if x is None else (silent + span * x).astype(np.float32)
        return Response(silent + span * mean, shaped)

    def currents(self, number: int) -> FloatArray:
        """Currents at which a twin is run, shape (CURRENTS,), A."""
        twin = self.twins[number]
        return np.linspace(twin.threshold, twin.currents[-1], CURRENTS)

    def _runs(self, number: int, protocol: Protocol, samples: bool) -> _Runs:
        """Runs of a twin, in units of what its two ends give."""
        for key in ((number, protocol, True), (number, protocol, samples)):
            if key in self._kept:
                return self._kept[key]
        twin, currents = self.twins[number], self.currents(number)
        top = np.interp(currents[-1], twin.currents, twin.rates)
        if self.activation != "voltage" and not top > 0:
            raise InputError(
                f"the neuron was silent at the largest recorded current ({1e12 * currents[-1]:.4g} pA), to which the "
                "strongest drive belongs; expected one that spikes there"
            )
        if self.activation == "curve":
            runs = _Runs(np.interp(currents, twin.currents, twin.rates) / top, np.empty((0, CURRENTS), np.float32))
        else:
            begin, end = (self.seconds_per_T * t for t in (protocol.settle, protocol.settle + protocol.control))
            voltage = twin.run(end, currents)
            first = round(begin / twin.step)
            window = voltage[:, first:]
            if self.activation == "rate":
                value = counts(window) / (self.seconds_per_T * protocol.control) / top
            else:
                value = self._scaled(number, window.mean(axis=1))
            x = np.empty((0, CURRENTS), np.float32)
            if samples:
                at = np.rint(self.seconds_per_T * protocol.sample_times / twin.step).astype(int)
                x = self._scaled(number, voltage[:, np.minimum(at, voltage.shape[1] - 1)].T).astype(np.float32)
            runs = _Runs(value, x)
        self._kept[number, protocol, samples] = runs
        return runs

    def _scaled(self, number: int, voltage: FloatArray) -> FloatArray:
        """Voltage in units of its means at the weakest and the strongest current."""
        if number not in self._ends:
            ends = self.currents(number)[[0, -1]]
            self._ends[number] = self.twins[number].run(_REFERENCE, ends).mean(axis=1)
        weakest, strongest = self._ends[number]
        return np.asarray((voltage - weakest) / (strongest - weakest))


def counts(voltage: FloatArray) -> NDArray[np.intp]:
    """Spikes of each run, voltage (m, n), as `spike_times` counts them."""
    armed = np.ones(len(voltage), dtype=bool)
    found = np.zeros(len(voltage), dtype=np.intp)
    armed &= voltage[:, 0] < REARM_LEVEL
    for column in voltage.T[1:]:
        spike = armed & (column >= SPIKE_LEVEL)
        found += spike
        armed = (armed & ~spike) | (column < REARM_LEVEL)
    return found
