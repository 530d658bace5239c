"""The `direct` backend beside Brian2's C++ standalone mode, each at the largest step that keeps the period to 1e-3."""

import os
import time

import numpy as np
import pytest

from analog_fhn.backends.brian import PARAMETERS, dynamics
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FHN, Protocol, cycle, cycle_from_samples

IMAGES, NEURONS, DURATION = 1000, 100, 200.0
EPS = 0.01
PERIOD_ERROR = 1e-3


def period_error(response_x, times, exact):
    found = cycle_from_samples(times, response_x)
    return np.inf if found is None else abs(found.period / exact - 1.0)


def direct_steps(cells, exact):
    """Largest step in units of eps with a period within the limit; samples at every step, so the step is exact."""
    for per_eps in (1.0, 0.9, 0.8, 0.714, 0.667, 0.5):
        step = 0.2 / int(np.ceil(0.2 / (per_eps * EPS) * (1 - 1e-9)))
        protocol = Protocol(settle=10 * step * 100, control=step * 4000, interval=step)
        x = Direct(step_per_eps=step / EPS).respond(cells, np.array([[-1.0]]), protocol, samples=True).samples[:, 0, 0]
        if period_error(x, protocol.sample_times, exact) < PERIOD_ERROR:
            return per_eps
    raise AssertionError("no step is fine enough")


def brian_group(b2, n, method, step, drives, build=None):
    clock = b2.Clock(dt=step * b2.second)
    group = b2.NeuronGroup(n, dynamics() + PARAMETERS, method=method, clock=clock, namespace={"eps": EPS})
    for name, value in {"p1": 1.0, "p3": -1.0 / 3.0, "p4": -1.0, "q0": 1.0, "q1": 1.0, "q3": 1.0}.items():
        setattr(group, name, value)
    group.I, group.x, group.y = drives, -1.0, -0.6
    return group


def brian_step(b2, method, exact):
    for n_steps in (20, 22, 24, 25, 26, 28, 30, 33, 36, 40, 50):
        step = 0.2 / n_steps
        b2.start_scope()
        group = brian_group(b2, 1, method, step, -1.0)
        monitor = b2.StateMonitor(group, "x", record=True, dt=step * b2.second)
        b2.Network(group, monitor).run(30 * b2.second, namespace={})
        x = np.asarray(monitor.x)[0]
        keep = np.asarray(monitor.t / b2.second) > 10.0
        if (
            np.isfinite(x).all()
            and period_error(x[keep], np.asarray(monitor.t / b2.second)[keep], exact) < PERIOD_ERROR
        ):
            return step
    raise AssertionError("no step is fine enough")


def brian_standalone(b2, method, step, drives, threads, folder):
    """Seconds of the compiled program's simulation (compilation apart), and the mean of x."""
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = threads
    try:
        b2.start_scope()
        group = brian_group(b2, drives.size, method, step, drives.ravel())
        b2.Network(group).run(DURATION * b2.second, namespace={})
        b2.device.build(directory=str(folder), run=False)
        start = time.perf_counter()
        b2.device.run(str(folder), with_output=False)
        seconds = time.perf_counter() - start
        return seconds, np.asarray(group.m[:]).reshape(drives.shape) / DURATION
    finally:
        b2.device.reinit()
        b2.set_device("runtime")


@pytest.mark.slow
def test_direct_beside_brian_standalone(tmp_path):
    import brian2 as b2

    cells, one = Cells.ideal("sigmoid", FHN(), NEURONS), Cells.ideal("sigmoid", FHN(), 1)
    exact = cycle(one.dynamics, -1.0).period
    drives = -np.random.default_rng(0).random((IMAGES, NEURONS))

    per_eps = direct_steps(one, exact)
    engine = Direct(step_per_eps=per_eps)
    protocol = Protocol(settle=0.0, control=DURATION)
    engine.respond(cells, drives[:1], protocol)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        ours = engine.respond(cells, drives, protocol).mean
        seconds.append(time.perf_counter() - start)
    best = min(seconds)
    work = drives.size * DURATION

    load = os.getloadavg()[0]
    print(f"\n{IMAGES} images x {NEURONS} neurons x {DURATION:g} T, load {load:.1f}, {os.cpu_count()} cores")
    print(f"{'direct':25} step {per_eps * EPS:.5f}  {best:8.2f} s  {1e9 * best / work:7.1f} ns per neuron and T")
    for method in ("rk2", "rk4"):
        step = brian_step(b2, method, exact)
        for threads in (0, 2):
            took, mean = brian_standalone(b2, method, step, drives, threads, tmp_path / f"{method}{threads}")
            label = f"Brian2 C++ {method}" + (f" {threads} threads" if threads else "")
            print(
                f"{label:25} step {step:.5f}  {took:8.2f} s  {1e9 * took / work:7.1f} ns per neuron and T   "
                f"direct is {took / best:.0f} times faster"
            )
            # Both windows begin at the start and hold about 100 spikes: one spike more or less is 0.02.
            np.testing.assert_allclose(mean, ours, atol=0.03)
