"""SciPy's Radau at rtol 1e-9: the truth that the other backends are tested against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from analog_fhn.backends.base import Response, check_drives, refuse_noise
from analog_fhn.cell.base import Cells
from analog_fhn.errors import SimulationError
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise


@dataclass(frozen=True)
class Reference:
    """Implicit Runge-Kutta of order 5 with error control, one neuron at a time.

    Parameters
    ----------
    rtol
        Relative tolerance; the absolute one is a hundredth of it.
    """

    rtol: float = 1e-9
    name: str = "reference"

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
        """Integrate every neuron; see `Backend.respond`. The mean is one more state, the integral of the output."""
        refuse_noise(self.name, noise)
        drives = check_drives(cells, drives)
        times = protocol.sample_times
        mean = np.empty(drives.shape)
        traces = np.empty((protocol.n_samples, *drives.shape), dtype=np.float32) if samples else None
        for done, (image, neuron) in enumerate(np.ndindex(*drives.shape), start=1):
            output, integral = self._one(cells, neuron, float(drives[image, neuron]), protocol, times)
            mean[image, neuron] = integral / protocol.control
            if traces is not None:
                traces[:, image, neuron] = output
            if progress is not None:
                progress(done, drives.size)
        return Response(mean, traces)

    def _one(
        self, cells: Cells, neuron: int, drive: float, protocol: Protocol, times: FloatArray
    ) -> tuple[FloatArray, float]:
        one = cells.dynamics[neuron : neuron + 1]
        flow, slopes = one.flow(drive)
        output, gradient = one.output_flow()

        def rhs(t: float, state: FloatArray) -> list[float]:
            return [*flow(t, state[:-1]), output(state)]

        def jacobian(t: float, state: FloatArray) -> list[list[float]]:
            return [*([*row, 0.0] for row in slopes(t, state)), [*gradient(state), 0.0]]

        solution = solve_ivp(
            rhs,
            (0.0, times[-1]),
            [*one.start(protocol.x0, protocol.y0), 0.0],
            method="Radau",
            t_eval=np.concatenate([[protocol.settle], times]),
            rtol=self.rtol,
            atol=self.rtol / 100,
            jac=jacobian,
        )
        if not solution.success or not np.isfinite(solution.y).all():
            raise SimulationError(f"reference: neuron {neuron} at drive {drive:g}: {solution.message}")
        integral = solution.y[-1]
        return one.output_of(solution.y[:-1, 1:, None])[:, 0], float(integral[-1] - integral[0])
