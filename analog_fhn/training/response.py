"""Neurons' responses as arrays: what a training step needs of the chips that it is to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.direct.backend import Direct, explicit_is_stable
from analog_fhn.backends.table.backend import MIN_DRIVES, Table
from analog_fhn.backends.table.build import grid_range
from analog_fhn.backends.table.means import even_means
from analog_fhn.cell.base import Cells, Curve, DriveStage
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.readout import Activation

SETTLED_DRIVES = 33
WINDOW_DRIVES = 1025

_GROUP = 2000  # drives that are integrated at a time


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of n neurons, from the pre-activation z to the activation that the next array sees.

    ``I = gain curve(slope z + shift) + offset``, ``h = row_gain <x>(I) + row_offset``; <x> is interpolated between
    drives that lie evenly from `low` to `high`.

    Parameters
    ----------
    gain, slope, shift, offset
        Of the drive, shape (n,).
    row_gain, row_offset
        Of the row driver, shape (n,).
    low, high
        First and last drive, shape (n,).
    mean
        Time average of the output, shape (n, n_drives).
    deviation
        Standard deviation of the time average in noise, shape (n, n_drives).
    p, q
        Coefficients (`neuron.Coefficients`), shapes (n, 5) and (n, 4), time in units of T; of neurons that have other
        equations (n, 0): these cannot be simulated in a training step.
    eps
        Nominal time-scale ratio, shape (n,).
    waves
        x at the samples of the control window, shape (n, n_drives, n_samples); n_samples = 0: not recorded.
    curve
        Of the drive stages: "tanh", or the "ramp" of a relu; see `analog_fhn.cell.base.DriveStage`.
    """

    gain: FloatArray
    slope: FloatArray
    shift: FloatArray
    offset: FloatArray
    row_gain: FloatArray
    row_offset: FloatArray
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    deviation: FloatArray
    p: FloatArray
    q: FloatArray
    eps: FloatArray
    waves: NDArray[np.float32]
    curve: Curve = "tanh"

    @classmethod
    def of(
        cls,
        cells: Cells,
        protocol: Protocol,
        *,
        recentre: bool = True,
        before: int | None = None,
        held: bool = False,
        window: bool = False,
        samples: bool = False,
        drives: int | None = None,
        noise: Noise | None = None,
        repeats: int = 64,
    ) -> Responses:
        """Responses of the cells of a hidden layer, integrated by `direct`.

        Parameters
        ----------
        cells
            Cells behind a tanh or a ramp.
        recentre
            Whether the output array's rows carry the activation or x itself.
        before
            Number of hidden layers before these cells, whose rows lead through low-passes to one more: activations are
            then what of them the control window sees (`RowStage.handed_over`). None: the rows lead to the output array.
        held
            Whether the rows lead to stages that hold the activations (`RowStage.held`), without their errors.
        window
            Whether the average is over the protocol's control window, after its settling time and from its initial
            state. Else it is that of the settled neuron: over one cycle, or at rest.
        samples
            Whether x(t) over the control window is recorded too; needs `window`, and no noise.
        drives
            Number of drives, at least 5; by default 33, or 1025 with `window`: from a common initial state the average
            over a short window is no smooth function of the drive.
        noise
            White current noise; needs `window`. Mean and deviation are then over repeated runs.
        repeats
            Runs with noise at each drive.

        Raises
        ------
        InputError
            For too few drives, noise without a window, or cells that are driven linearly.
        SimulationError
            If a neuron diverges.
        """
        n = (WINDOW_DRIVES if window else SETTLED_DRIVES) if drives is None else drives
        if n < MIN_DRIVES:
            raise InputError(f"responses at {n} drives: expected at least {MIN_DRIVES}")
        if (noise is not None or samples) and not window:
            raise InputError("responses in noise or at instants: expected window=True, for they need a control window")
        if noise is not None and samples:
            raise InputError("responses at instants have no noise; expected samples=False, or no noise")
        stage, dynamics = cells.drive_stage, cells.dynamics
        if not isinstance(stage, DriveStage):
            raise InputError("responses of cells that are driven linearly: expected a bounded drive of the neurons")
        low, high = grid_range(cells)
        waves = np.zeros((len(low), n, 0), dtype=np.float32)
        if samples:
            response = Direct().respond(cells, np.linspace(low, high, n), protocol, samples=True)
            assert response.samples is not None
            mean, deviation = np.ascontiguousarray(response.mean.T), np.zeros((len(low), n))
            waves = np.ascontiguousarray(response.samples.transpose(2, 1, 0))
        elif window:
            mean, deviation = _windows(cells, np.linspace(low, high, n), protocol, noise, repeats)
        else:
            mean = Table(Direct(), n, average="settled").means(cells, protocol, window=False).mean
            deviation = np.zeros_like(mean)
        rows = cells.row_stage
        row_gain, row_offset = rows.of(recentre)
        if held or before is not None:
            through = rows.held(protocol) if held or before is None else rows.handed_over(protocol, before)
            row_gain, row_offset = (v * through for v in rows.of(recentre=True))
        none = np.zeros((len(cells), 0))
        p, q = (dynamics.p, dynamics.q) if isinstance(dynamics, Coefficients) else (none, none)
        return cls(
            stage.gain, stage.slope, stage.shift, stage.offset, row_gain, row_offset, low, high, mean, deviation,
            p, q, np.full(len(cells), dynamics.eps), waves, stage.CURVE,
        )  # fmt: skip

    @classmethod
    def nominal(
        cls,
        fhn: FHN,
        hidden: Activation = "sigmoid",
        protocol: Protocol | None = None,
        *,
        ceiling: float = 1.0,
        recentre: bool = True,
        window: bool = False,
        samples: bool = False,
        drives: int | None = None,
    ) -> Responses:
        """Response of one ideal neuron, of a relu with this ceiling; see `of`."""
        protocol = Protocol() if protocol is None else protocol
        cells = Cells.ideal(hidden, fhn, 1, ceiling=ceiling)
        return cls.of(cells, protocol, recentre=recentre, window=window, samples=samples, drives=drives)

    @classmethod
    def together(cls, parts: Sequence[Responses]) -> Responses:
        """All neurons of several responses, which have equally many drives, and one curve."""
        curves = {part.curve for part in parts}
        if len(curves) != 1:
            raise ValueError(f"responses with the curves {sorted(curves)}; expected one curve")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0].arrays()}
        return replace(parts[0], **joined)

    def __len__(self) -> int:
        return len(self.gain)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Responses:
        return replace(self, **{name: values[index] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, Any]:
        """All but the curve, by name; the first axis of each is that of the neurons."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "curve"}

    @property
    def n_drives(self) -> int:
        """Drives of each neuron."""
        return int(self.mean.shape[1])

    @property
    def has_coefficients(self) -> bool:
        """Whether the neurons' equations are a polynomial, by whose coefficients they can be simulated."""
        return bool(self.p.shape[1] > 0)

    @property
    def explicit_is_stable(self) -> bool:
        """Whether the explicit method is stable for every neuron and drive at a step of half of eps.

        True of neurons without coefficients, which are not simulated.
        """
        if not self.has_coefficients:
            return True
        neurons = Coefficients(self.p, self.q, float(self.eps[0]))
        return bool(np.all(explicit_is_stable(neurons, np.stack([self.low, self.high]), 0.5 * neurons.eps)))

    def activations(self, z: FloatArray) -> FloatArray:
        """Activations of neurons with pre-activations z, shape (n_images, n)."""
        stage = DriveStage.of_curve(self.curve, self.gain, self.slope, self.shift, self.offset)
        drives = stage.drives(z)
        return self.row_gain * even_means(drives, self.low, self.high, self.mean) + self.row_offset


def _windows(
    cells: Cells, grid: FloatArray, protocol: Protocol, noise: Noise | None, repeats: int
) -> tuple[FloatArray, FloatArray]:
    """Mean over the control window and its deviation in noise, each (n_neurons, n_drives)."""
    runs = 1 if noise is None else repeats
    drives = np.repeat(grid, runs, axis=0)
    groups = []
    for first in range(0, len(drives), _GROUP):
        part = None if noise is None else noise.from_image(first)
        groups.append(Direct().respond(cells, drives[first : first + _GROUP], protocol, noise=part).mean)
    means = np.concatenate(groups).reshape(len(grid), runs, -1)
    deviation = np.zeros(grid.shape) if noise is None else means.std(axis=1, ddof=1)
    return np.ascontiguousarray(means.mean(axis=1).T), np.ascontiguousarray(deviation.T)
