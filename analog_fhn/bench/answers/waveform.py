"""One neuron of the chip under the drive of the shown image: x(t), and its way through the phase plane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from analog_fhn.bench.answers.plain import numbers
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State
from analog_fhn.bench.work import PatientDirect, Watch
from analog_fhn.chip import ManufacturedChip
from analog_fhn.inference import passes
from analog_fhn.neuron import Dynamics, FloatArray, Protocol, cycle_from_samples, trajectory

_SHOWN = 12.0  # T of the control window that are drawn
_FINER = 10  # samples per sampling interval of the protocol
_WAY = 8.0  # T from the initial state on that the phase plane shows
_POINTS = 1200
_NULLCLINE = 161


def waveform(bench: Bench, state: State, watch: Watch) -> dict[str, Any]:
    """Waveform over the begin of the control window, mean over the whole window, phase plane with both nullclines.

    The output x(t) and its mean are what `direct` integrates for the network's protocol, sampled ten times as often.
    """
    chip = bench.chip(state, watch)
    every = drives_of(bench, chip, state, watch)
    neuron = neuron_of(chip, state, every)
    drives = every[:, neuron]
    at = int(np.argmax(np.abs(drives - drives.mean()))) if len(drives) > 1 else 0
    drive, protocol = float(drives[at]), fine(chip.network.protocol)
    cells = chip.layers[state.layer].cells[np.array([neuron])]
    response = PatientDirect(watch=watch).respond(cells, np.array([[drive]]), protocol, samples=True)
    assert response.samples is not None
    n_shown = min(protocol.n_samples, round(_SHOWN / protocol.interval))
    times, x = protocol.sample_times[:n_shown], response.samples[:n_shown, 0, 0].astype(np.float64)
    dynamics = cells.dynamics
    rests = bool(dynamics.stable_at_rest(np.array([drive]))[0])
    cycle = None if rests else cycle_from_samples(times, x)
    technology = chip.technology
    return {
        "neuron": neuron,
        "drive": drive,
        "position": at if len(drives) > 1 else None,
        "n_positions": len(drives),
        "time": numbers(times),
        "x": numbers(x),
        "mean": float(response.mean[0, 0]),
        "identity": float(dynamics.identity_mean(np.array([drive]))[0]),
        "rests": rests,
        "period": None if cycle is None else cycle.period,
        "time_unit": chip.time_unit,
        "volts_per_x": chip.hardware[state.layer].cells.cell.volts_per_x,
        "settle": protocol.settle,
        "control": protocol.control,
        "technology": technology.name,
        "phase": phase_plane(dynamics, drive, protocol),
    }


def phase_plane(dynamics: Dynamics, drive: float, protocol: Protocol) -> dict[str, Any]:
    """Way from the initial state, both nullclines and the rest point."""
    x, y = trajectory(dynamics, drive, np.linspace(0.0, _WAY, _POINTS), protocol.x0, protocol.y0)
    rest_x, rest_y = (float(value[0]) for value in dynamics.rest_point(np.array([drive])))
    margin = 0.15 * (float(np.ptp(x)) or 1.0)
    along = np.linspace(min(x.min(), rest_x) - margin, max(x.max(), rest_x) + margin, _NULLCLINE)
    return {
        "x": numbers(x), "y": numbers(y), "rest": [rest_x, rest_y],
        "fast": {"x": numbers(along), "y": numbers(dynamics.fast_nullcline(along[:, None])[:, 0])},
    }  # fmt: skip


def fine(protocol: Protocol) -> Protocol:
    """The same times, sampled more often."""
    return replace(protocol, interval=protocol.interval / _FINER)


def neuron_of(chip: ManufacturedChip, state: State, drives: FloatArray) -> int:
    """Neuron that a state shows; `drives` are those of its layer, shape (n_runs, n)."""
    if state.neuron is not None:
        return state.neuron
    oscillates = ~chip.layers[state.layer].cells.dynamics.stable_at_rest(drives)
    return int(np.argmax(oscillates.any(axis=0)))


def drives_of(bench: Bench, chip: ManufacturedChip, state: State, watch: Watch) -> FloatArray:
    """Drives of the neurons of a state's layer under its image, shape (n_runs, n).

    A run is an image, of a convolution a position of it. The layers before are integrated by `direct`.
    """
    engine, layer = PatientDirect(watch=watch), state.layer
    images = bench.dataset.images[state.image : state.image + 1]

    def means_of(number: int, drives: FloatArray) -> FloatArray:
        if number >= layer:  # not asked for
            return np.zeros_like(drives)
        return engine.respond(chip.layers[number].cells, drives, chip.network.protocol).mean

    for number, one in enumerate(passes(chip, images, means_of)):
        if number == layer:
            return one.drives
    raise ValueError(f"layer {layer}; expected one of the {len(chip.layers)} hidden layers")
