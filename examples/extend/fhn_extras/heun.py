"""A backend: Heun's method with a fixed step, all neurons and images at once in NumPy.

`analog-fhn classify net.npz --dataset digits --backend heun`, or `backend="heun"` in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray, Protocol, coefficients_of
from analog_fhn.noise import Noise


@dataclass(frozen=True)
class Heun:
    """Explicit trapezoidal rule on the nine coefficients of each neuron; global error of second order in the step.

    Parameters
    ----------
    step
        Largest step, as a share of the neurons' eps (T).
    """

    step: float = 0.1
    name: str = "heun"

    def __post_init__(self) -> None:
        if not 0.0 < self.step <= 0.5:  # above it the fast branch is no longer stable
            raise InputError(f"step = {self.step:g}: expected a share of eps above 0, at most 0.5")

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
        """Integrate every neuron under a constant drive; see `analog_fhn.backends.base.Backend`."""
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        neurons = coefficients_of(cells.dynamics, f"backend {self.name!r}")
        p, q = neurons.p.T[:, None, :], neurons.q.T[:, None, :]  # (5, 1, n) and (4, 1, n)

        def slopes(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
            fast = p[0] + x * (p[1] + x * (p[2] + x * p[3])) + p[4] * y
            return fast / neurons.eps, q[0] + q[1] * x + q[2] * y + q[3] * drives

        x, y = np.full(drives.shape, protocol.x0), np.full(drives.shape, protocol.y0)
        integral, traces, before = np.zeros(drives.shape), [], 0.0
        times = [protocol.settle, *protocol.sample_times]
        for index, end in enumerate(times):
            n_steps = max(1, int(np.ceil((end - before) / (self.step * neurons.eps))))
            h = (end - before) / n_steps
            for _ in range(n_steps if end > before else 0):
                dx, dy = slopes(x, y)
                ahead_dx, ahead_dy = slopes(x + h * dx, y + h * dy)
                after = x + 0.5 * h * (dx + ahead_dx)
                if index:  # within the control window
                    integral += 0.5 * h * (x + after)
                x, y = after, y + 0.5 * h * (dy + ahead_dy)
            before = end
            if samples and index:
                traces.append(x.astype(np.float32))
            if progress is not None:
                progress(index + 1, len(times))
        if not np.isfinite(x).all():
            raise SimulationError(f"{self.name}: a state is not finite; take a smaller step than {self.step:g} eps")
        return Response(integral / (times[-1] - protocol.settle), np.stack(traces) if samples else None)
