"""Reduced equations with the periods and the means of circuits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.base import CircuitBackend, Response, check_drives, refuse_noise
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise

ARRAYS = ("drives", "factor", "shift", "strange", "onsets", "moved", "reach")  # what equations are tuned by

_STRANGE_DRIVES = 129  # at most, that a circuit is run at in place of its equations
_TOGETHER = 8192  # runs of the equations whose curves are copied at once


@dataclass(frozen=True, eq=False)
class TunedEquations:
    """Backend: reduced equations with the circuits' periods and means, integrated by `direct`.

    Parameters
    ----------
    drives
        Drives at which the circuits were run, shape (n_neurons, k), increasing.
    factor
        Period of the circuit over that of its equations there, same shape.
    shift
        What the circuit's mean output is above that of its equations, same shape.
    strange
        Whether the circuit does something else than its equations, shape (n_neurons,): its means come from ngspice, at
        129 drives where more are asked for and interpolated between them.
    onsets, moved
        Drives of the equations' onsets of oscillation, and how far above them the circuit's are; shape (n_neurons, j),
        NaN where a neuron has fewer.
    reach
        How far beside an onset drives are moved, shape (n_neurons,).
    spice
        Simulates those.
    """

    drives: FloatArray
    factor: FloatArray
    shift: FloatArray
    strange: NDArray[np.bool_]
    onsets: FloatArray
    moved: FloatArray
    reach: FloatArray
    spice: CircuitBackend = field(kw_only=True)
    direct: Direct = field(default_factory=Direct, kw_only=True)

    @property
    def name(self) -> str:
        """Name in messages."""
        return self.spice.name

    def only(self, neurons: NDArray[np.intp]) -> TunedEquations:
        """See `analog_fhn.backends.base.OwnNeurons.only`."""
        return replace(self, **{name: getattr(self, name)[neurons] for name in ARRAYS})

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron; see `Backend.respond`. The power is not known."""
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        mean = np.empty(drives.shape)
        waves = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32) if samples else None
        for which, respond in ((~self.strange, self._by_equations), (self.strange, self._by_circuits)):
            neurons = np.flatnonzero(which)
            if neurons.size and drives.size:
                one = respond(cells, neurons, drives[:, neurons], protocol, samples)
                mean[:, neurons] = one.mean
                if waves is not None:
                    waves[:, :, neurons] = one.samples
        if progress is not None:
            progress(drives.size, drives.size)
        return Response(mean, waves)

    def _by_equations(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool
    ) -> Response:
        means, waves = [], []
        for tuned, part, shift in self._tuned(cells, neurons, drives):
            response = self.direct.respond(tuned, part.reshape(1, -1), protocol, samples=samples)
            means.append(response.mean.reshape(part.shape) + shift)
            if response.samples is not None:
                waves.append(response.samples.reshape(-1, *part.shape) + shift.astype(np.float32))
        return Response(np.concatenate(means), np.concatenate(waves, axis=1) if samples else None)

    def _tuned(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray
    ) -> Iterator[tuple[Cells, FloatArray, FloatArray]]:
        """Rows of drives (m, len(neurons)), some after others: a neuron of its own for each drive, drives, shifts."""
        rows = max(1, _TOGETHER // len(neurons))
        dynamics = cells[neurons].dynamics
        per_drive = dynamics.identity_mean(1.0) - dynamics.identity_mean(0.0)
        for first in range(0, len(drives), rows):
            part = drives[first : first + rows]
            # The period's factor differs from drive to drive.
            factor, shift = (self._between(neurons, part, values) for values in (self.factor, self.shift))
            chosen = cells[np.tile(neurons, len(part))]
            moved = self._moved(neurons, part)
            yield (
                replace(chosen, dynamics=chosen.dynamics.slower(factor.ravel())),
                moved,
                shift + per_drive * (part - moved),
            )

    def _moved(self, neurons: NDArray[np.intp], drives: FloatArray) -> FloatArray:
        """Drives of the equations that stand for drives (m, len(neurons)) of the circuits."""
        at = drives.copy()
        for onset, moved in zip(self.onsets[neurons].T, self.moved[neurons].T, strict=True):
            away = np.abs(drives - onset - moved) / self.reach[neurons]
            at -= np.where(away < 1.0, (1.0 - away) * moved, 0.0)
        return at

    def means(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        by: Callable[[Cells, FloatArray], FloatArray],
    ) -> FloatArray:
        """Means (m, n_neurons) under drives of that shape, by a function of equations that makes means of any kind.

        Parameters
        ----------
        protocol
            Neurons that are simulated in ngspice have their means over its control window.
        by
            Called with cells and a drive of each, shape (1, n); returns means of that shape.
        """
        mean = np.empty(drives.shape)
        usual, strange = np.flatnonzero(~self.strange), np.flatnonzero(self.strange)
        if usual.size:
            parts = self._tuned(cells, usual, drives[:, usual])
            rows = [by(tuned, part.reshape(1, -1)).reshape(part.shape) + shift for tuned, part, shift in parts]
            mean[:, usual] = np.concatenate(rows)
        if strange.size:
            mean[:, strange] = self._by_circuits(cells, strange, drives[:, strange], protocol, samples=False).mean
        return mean

    def _by_circuits(
        self, cells: Cells, neurons: NDArray[np.intp], drives: FloatArray, protocol: Protocol, samples: bool
    ) -> Response:
        chosen = cells[neurons]
        if samples or len(drives) <= _STRANGE_DRIVES:
            return self.spice.respond(chosen, drives, protocol, samples=samples)
        grid = np.linspace(drives.min(axis=0), drives.max(axis=0), _STRANGE_DRIVES)
        found = self.spice.respond(chosen, grid, protocol).mean
        return Response(
            np.stack([np.interp(*of_one) for of_one in zip(drives.T, grid.T, found.T, strict=True)], axis=1)
        )

    def _between(self, neurons: NDArray[np.intp], drives: FloatArray, values: FloatArray) -> FloatArray:
        """Values (n_neurons, k) interpolated at drives (m, len(neurons))."""
        columns = [
            np.interp(column, self.drives[k], values[k]) for column, k in zip(drives.T, neurons.tolist(), strict=True)
        ]
        return np.stack(columns, axis=1)
