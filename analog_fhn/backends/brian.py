"""Brian2: the same nine coefficients as equations in text, one parameter set per neuron."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analog_fhn.backends.base import Response, SimulationError, check_drives
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.noise import Noise
from analog_fhn.errors import MissingProgramError
from analog_fhn.neuron import FloatArray, Protocol

_STABLE_PRODUCT = 1.8  # step times fast rate, below the limits of all three methods
# Brian2 wants physical units; one dimensionless time unit T is written as one second.
EQUATIONS = """
dx/dt = (p0 + p1*x + p2*x**2 + p3*x**3 + p4*y)/eps/second : 1
dy/dt = (q0 + q1*x + q2*y + q3*I)/second : 1
dm/dt = x/second : 1
p0 : 1 (constant)
p1 : 1 (constant)
p2 : 1 (constant)
p3 : 1 (constant)
p4 : 1 (constant)
q0 : 1 (constant)
q1 : 1 (constant)
q2 : 1 (constant)
q3 : 1 (constant)
I : 1 (constant)
"""


@dataclass(frozen=True)
class Brian:
    """Brian2 with a fixed step.

    Parameters
    ----------
    step_per_eps
        Largest step in units of eps; shortened so that the method is stable for the largest |x| of the run and
        a whole number of steps fits the sampling interval.
    method
        Brian2's name of the integrator; rk4 at half of eps keeps the period within 1e-4.
    mode
        "runtime" (Brian2 picks Cython or NumPy) or "standalone" (C++, compiled at every call).
    """

    step_per_eps: float = 0.5
    method: Literal["rk4", "rk2", "euler"] = "rk4"
    mode: Literal["runtime", "standalone"] = "runtime"
    name: str = "brian"

    def respond(
        self,
        chip: Chip,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron; see `Backend.respond`.

        Raises
        ------
        MissingProgramError
            If Brian2 is not installed.
        """
        b2 = _brian2()
        drives = check_drives(chip, drives)
        step = protocol.interval / self._steps_per_sample(chip, drives, protocol)
        if self.mode == "standalone":
            with tempfile.TemporaryDirectory(prefix="analog-fhn-brian-") as folder:
                b2.set_device("cpp_standalone", build_on_run=False)
                try:
                    mean, traces = self._run(b2, chip, drives, protocol, step, samples, folder)
                finally:
                    b2.device.reinit()
                    b2.set_device("runtime")
        else:
            mean, traces = self._run(b2, chip, drives, protocol, step, samples)
        if not np.isfinite(mean).all():
            image, neuron = (int(i) for i in np.argwhere(~np.isfinite(mean))[0])
            raise SimulationError(
                f"brian: neuron {neuron} of image {image} diverged at drive {drives[image, neuron]:g}, step {step:g}"
            )
        if progress is not None:
            progress(drives.size, drives.size)
        return Response(mean, traces)

    def _steps_per_sample(self, chip: Chip, drives: FloatArray, protocol: Protocol) -> int:
        rate = float(np.max(chip.coefficients.fast_rate(drives)))
        step = min(self.step_per_eps * chip.coefficients.eps, _STABLE_PRODUCT / rate)
        return int(np.ceil(protocol.interval / step * (1.0 - 1e-9)))

    def _run(
        self,
        b2: Any,
        chip: Chip,
        drives: FloatArray,
        protocol: Protocol,
        step: float,
        samples: bool,
        build_folder: str | None = None,
    ) -> tuple[FloatArray, Any]:
        second = b2.second
        b2.start_scope()
        clock = b2.Clock(dt=step * second)
        namespace = {"eps": chip.coefficients.eps}
        group = b2.NeuronGroup(drives.size, EQUATIONS, method=self.method, clock=clock, namespace=namespace)
        for i in range(5):
            setattr(group, f"p{i}", np.tile(chip.coefficients.p[:, i], len(drives)))
        for i in range(4):
            setattr(group, f"q{i}", np.tile(chip.coefficients.q[:, i], len(drives)))
        group.I, group.x, group.y = drives.ravel(), protocol.x0, protocol.y0
        network = b2.Network(group)
        network.run(protocol.settle * second, namespace={})
        group.m = 0
        monitor = None
        if samples:
            monitor = b2.StateMonitor(group, "x", record=True, dt=protocol.interval * second)
            network.add(monitor)
        network.run(protocol.control * second, namespace={})
        if build_folder is not None:
            b2.device.build(directory=build_folder, run=True)
        mean = np.asarray(group.m[:]).reshape(drives.shape) / protocol.control
        if monitor is None:
            return mean, None
        # The monitor records at the beginning of its intervals; the last sample is the group's final state.
        traces = np.concatenate([np.asarray(monitor.x).T[1:], np.asarray(group.x[:])[None]])
        return mean, traces.reshape(-1, *drives.shape).astype(np.float32)


def _brian2() -> Any:
    try:
        import brian2
    except ImportError:
        raise MissingProgramError(
            'the brian backend needs Brian2, which is not installed: pip install "analog-fhn[brian]"'
        ) from None
    brian2.BrianLogger.suppress_name("resolution_conflict")
    return brian2
