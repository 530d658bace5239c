"""Brian2: the neurons' equations in text, one parameter set per neuron.

Polynomial neurons are `analog_fhn.neuron.rates` written out. Neurons of curves call functions that look up the same
cubic of the same cell as everything else does, in each of Brian2's languages: what differs is the step alone.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.temporary import temporary_folder
from analog_fhn.backends.base import Response, check_drives, check_noise
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FloatArray, Protocol, coefficients_of, rates
from analog_fhn.noise import Noise
from analog_fhn.transconductors import Characteristic, TransconductorDynamics, cubic

Mode = Literal["auto", "cython", "numpy", "standalone"]

_STABLE_PRODUCT = 1.8  # step times fast rate, below the limits of all three methods
_NOISY_STEP_PER_EPS = 0.1
PARAMETERS = """dm/dt = x/second : 1
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
# rk4 refuses Brian2's own `xi`. White noise that is held for a step dt has the variance 1/dt.
NOISE_PARAMETERS = """sigma_x : 1 (constant)
sigma_y : 1 (constant)
white_x : 1
white_y : 1
"""
CURVE_EQUATIONS = """dx/dt = (fast(x, k) + coupling(y, k))/second : 1
dy/dt = (slow(x, k) + c)/second : 1
dm/dt = copy(x, k)/second : 1
k : integer (constant)
c : 1 (constant)
"""
LAGGING_CURVE_EQUATIONS = """dx/dt = (fast(x, k) + coupling(y, k))/second : 1
dy/dt = (w + c)/second : 1
dw/dt = (slow(x, k) - w)/(tau*second) : 1
du/dt = (copy(x, k) - u)/(tau*second) : 1
dm/dt = u/second : 1
k : integer (constant)
c : 1 (constant)
tau : 1 (constant)
"""
NOISE_UPDATE = """
white_x = randn()/sqrt(dt/second)
white_y = randn()/sqrt(dt/second)
"""


@dataclass(frozen=True)
class Brian:
    """Brian2 with a fixed step.

    Noise is normal and held for a step, which is 0.1 eps or shorter then; that takes (rate * step)^2/12 off the
    variance of a fast variable: 1 % at eps = 0.01 where x rests at 2. One stream serves all neurons of a call, seeded
    by `Noise.seed` and `Noise.first_image`: the same call gives the same result, other groups of images another one.

    Parameters
    ----------
    step_per_eps
        Largest step in units of eps; shortened so that the method is stable for the largest |x| of the run and
        a whole number of steps fits the sampling interval.
    method
        Brian2's name of the integrator; rk4 at half of eps keeps the period within 1e-4.
    mode
        "auto": Cython if it compiles on this machine, else NumPy; "cython", "numpy"; or "standalone" (C++, compiled
        at every call).
    """

    step_per_eps: float = 0.5
    method: Literal["rk4", "rk2", "euler"] = "rk4"
    mode: Mode = "auto"
    name: str = "brian"

    @property
    def mode_used(self) -> Literal["cython", "numpy", "standalone"]:
        """What `mode` comes to on this machine.

        Raises
        ------
        MissingProgramError
            If Brian2 is not installed.
        """
        if self.mode != "auto":
            return self.mode
        _brian2()
        return "cython" if cython_works() else "numpy"

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
        """Integrate every neuron; see `Backend.respond`.

        Raises
        ------
        InputError
            For 1/f noise, which this backend does not have.
        MissingProgramError
            If Brian2 is not installed.
        """
        if noise is not None and noise.flicker is not None:
            raise InputError(
                "backend 'brian' has no 1/f noise; use direct, or a technology with opamp.noise_corner = 0"
            )
        b2 = _brian2()
        drives = check_drives(cells, drives)
        check_noise(cells, noise)
        step = protocol.interval / self._steps_per_sample(cells, drives, protocol, noise is not None)
        mode = self.mode_used
        if mode == "standalone":
            with temporary_folder("brian") as folder:
                b2.set_device("cpp_standalone", build_on_run=False)
                try:
                    mean, traces = self._run(b2, cells, drives, protocol, step, samples, noise, str(folder))
                finally:
                    b2.device.reinit()
                    b2.set_device("runtime")
        else:
            with _target(b2, mode):
                mean, traces = self._run(b2, cells, drives, protocol, step, samples, noise)
        if not np.isfinite(mean).all():
            image, neuron = (int(i) for i in np.argwhere(~np.isfinite(mean))[0])
            raise SimulationError(
                f"brian: neuron {neuron} of image {image} diverged at drive {drives[image, neuron]:g}, step {step:g}"
            )
        if progress is not None:
            progress(drives.size, drives.size)
        return Response(mean, traces)

    def _steps_per_sample(self, cells: Cells, drives: FloatArray, protocol: Protocol, noisy: bool) -> int:
        rate = float(np.max(cells.dynamics.fast_rate(drives)))
        per_eps = min(self.step_per_eps, _NOISY_STEP_PER_EPS) if noisy else self.step_per_eps
        step = min(per_eps * cells.dynamics.eps, _STABLE_PRODUCT / rate)
        return int(np.ceil(protocol.interval / step * (1.0 - 1e-9)))

    def _run(
        self,
        b2: Any,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        step: float,
        samples: bool,
        noise: Noise | None,
        build_folder: str | None = None,
    ) -> tuple[FloatArray, Any]:
        second = b2.second
        b2.start_scope()
        clock = b2.Clock(dt=step * second)
        if noise is not None:
            sequence = np.random.SeedSequence([noise.seed, noise.first_image])
            b2.seed(int(sequence.generate_state(1)[0]))
        if isinstance(cells.dynamics, TransconductorDynamics):
            group = _group_of_curves(b2, cells.dynamics, drives, method=self.method, clock=clock)
        else:
            neurons = coefficients_of(cells.dynamics, self.name)
            equations = dynamics(noisy=noise is not None) + PARAMETERS
            if noise is not None:
                equations += NOISE_PARAMETERS
            namespace = {"eps": neurons.eps}
            group = b2.NeuronGroup(drives.size, equations, method=self.method, clock=clock, namespace=namespace)
            for i in range(5):
                setattr(group, f"p{i}", np.tile(neurons.p[:, i], len(drives)))
            for i in range(4):
                setattr(group, f"q{i}", np.tile(neurons.q[:, i], len(drives)))
            group.I = drives.ravel()
        group.x, group.y = protocol.x0, protocol.y0
        lagging = isinstance(cells.dynamics, TransconductorDynamics) and cells.dynamics.lags is not None
        if lagging:
            group.w, group.u = "slow(x, k)", "copy(x, k)"
        seen = "u" if lagging else "x"
        network = b2.Network(group)
        if noise is not None:
            group.sigma_x, group.sigma_y = np.tile(noise.x, len(drives)), np.tile(noise.y, len(drives))
            network.add(group.run_regularly(NOISE_UPDATE, when="start"))
        network.run(protocol.settle * second, namespace={})
        group.m = 0
        monitor = None
        if samples:
            monitor = b2.StateMonitor(group, seen, record=True, dt=protocol.interval * second)
            network.add(monitor)
        network.run(protocol.control * second, namespace={})
        if build_folder is not None:
            b2.device.build(directory=build_folder, run=True)
        mean = np.asarray(group.m[:]).reshape(drives.shape) / protocol.control
        if monitor is None:
            return mean, None
        # The monitor records at the beginning of its intervals; the last sample is the group's final state.
        traces = np.concatenate([np.asarray(getattr(monitor, seen)).T[1:], np.asarray(getattr(group, seen)[:])[None]])
        traces = traces.reshape(-1, *drives.shape)
        return mean, (traces if lagging else cells.dynamics.output(traces)).astype(np.float32)


def _group_of_curves(b2: Any, dynamics: TransconductorDynamics, drives: FloatArray, **options: Any) -> Any:
    """Neurons that are given by curves, under drives (n_images, n)."""
    namespace = {name: _function(b2, name, curve) for name, curve in dynamics.curves.items()}
    equations = CURVE_EQUATIONS if dynamics.lags is None else LAGGING_CURVE_EQUATIONS
    group = b2.NeuronGroup(drives.size, equations, namespace=namespace, **options)
    if dynamics.lags is not None:
        group.tau = np.tile(dynamics.lags, len(drives))
    group.k = np.tile(np.arange(len(dynamics)), len(drives))
    group.c = (dynamics.drive_gain * drives + dynamics.bias).ravel()
    return group


def _function(b2: Any, name: str, curve: Characteristic) -> Any:
    """A curve as a function of its argument and the number of a neuron, in all languages that Brian2 runs in."""
    low, step, rows = curve.low, curve.step, curve.coefficients
    last = curve.n_cells + 1

    def in_numpy(argument: FloatArray, neuron: Any) -> FloatArray:
        place = (argument - low[neuron]) / step[neuron] + 1.0
        cell = np.nan_to_num(np.clip(place, 0.0, last)).astype(np.intp)
        c0, c1, c2, c3 = np.moveaxis(rows[neuron, cell], -1, 0)
        return np.asarray(cubic(c0, c1, c2, c3, place - cell))

    function = b2.Function(in_numpy, arg_units=[1, 1], return_unit=1, arg_types=["float", "integer"])
    function.implementations.add_implementation("numpy", in_numpy)
    arrays = {f"curve_{name}_rows": rows.ravel(), f"curve_{name}_grid": np.stack([low, step], axis=1).ravel()}
    values = {"NAME": f"curve_{name}", "LAST": str(last), "ROW": str(4 * (last + 1))}
    for target, text in _LOOK_UP.items():
        for key, value in values.items():
            text = text.replace(f"%{key}%", value)
        function.implementations.add_implementation(target, text, namespace=arrays, name=f"curve_{name}")
    return function


# `analog_fhn.transconductors.cubic` in a cell that is looked up; the first one where the argument is no number
_LOOK_UP = {
    "cython": """
cdef double %NAME%(const double argument, const int neuron):
    global _namespace%NAME%_rows
    global _namespace%NAME%_grid
    cdef double place = (argument - _namespace%NAME%_grid[2*neuron])/_namespace%NAME%_grid[2*neuron + 1] + 1.0
    cdef int cell = 0
    if place >= %LAST%:
        cell = %LAST%
    elif place > 0.0:
        cell = <int>place
    cdef double t = place - cell
    cdef int c = %ROW%*neuron + 4*cell
    return _namespace%NAME%_rows[c] + t*(_namespace%NAME%_rows[c + 1] + t*(
        _namespace%NAME%_rows[c + 2] + t*_namespace%NAME%_rows[c + 3]))
""",
    "cpp": """
static inline double %NAME%(const double argument, const int neuron)
{
    const double place = (argument - _namespace%NAME%_grid[2*neuron])/_namespace%NAME%_grid[2*neuron + 1] + 1.0;
    const int cell = place >= %LAST% ? %LAST% : (place > 0.0 ? (int)place : 0);
    const double t = place - cell;
    const double* c = _namespace%NAME%_rows + %ROW%*neuron + 4*cell;
    return c[0] + t*(c[1] + t*(c[2] + t*c[3]));
}
""",
}


@functools.cache
def dynamics(noisy: bool = False) -> str:
    """`analog_fhn.neuron.rates` as Brian2's equations, which want physical units: one time unit T is one second."""
    import sympy  # Brian2 needs it, too

    x, y, p0, p1, p2, p3, p4, q0, q1, q2, q3, drive = sympy.symbols("x y p0 p1 p2 p3 p4 q0 q1 q2 q3 I")
    dx, dy = rates(x, y, p0, p1, p2, p3, p4, q0 + q3 * drive, q1, q2)
    kicks = [f" + sigma_{name}*white_{name}" if noisy else "" for name in "xy"]
    return f"dx/dt = (({dx})/eps{kicks[0]})/second : 1\ndy/dt = ({dy}{kicks[1]})/second : 1\n"


@functools.cache
def cython_works() -> bool:
    """Whether Brian2 can compile Cython code here: a compiler is there, and a test module compiles and runs."""
    from brian2.codegen.runtime.cython_rt.cython_rt import CythonCodeObject

    # Brian2 keeps its test module on disk, and would find it there after the compiler is gone.
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC")
    if compiler and shutil.which(shlex.split(compiler)[0]) is None:
        return False
    return bool(CythonCodeObject.is_available())


@contextmanager
def _target(b2: Any, target: str) -> Iterator[None]:
    """Generate code for `target`; afterwards preferences and random state are as they were before."""
    before, state = b2.prefs.codegen.target, b2.get_device().get_random_state()
    b2.prefs.codegen.target = target
    try:
        yield
    finally:
        b2.prefs.codegen.target = before
        b2.get_device().set_random_state(state)


def _brian2() -> Any:
    with extra("brian", "the brian backend needs Brian2"):
        import brian2
    brian2.BrianLogger.suppress_name("resolution_conflict")
    return brian2
