"""Recordings of neurons that we know: Sherman-Rinzel, FitzHugh-Nagumo, and our own circuit in ngspice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import Akima1DInterpolator

from analog_fhn.backends.spice.backend import failed_run
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.netlist.decks import MAX_STEP, neuron_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, Dynamics, FloatArray, Protocol, cycle_from_samples
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.sources.sherman_rinzel import START, ShermanRinzel, integrate, sample_times
from analog_fhn.technology.technology import Technology

NeuronKind = Literal["original", "modified"]

FHN_TIME_UNIT = 1e-3
"""One time unit T of the FitzHugh-Nagumo equations (s), as recordings have it."""

_PERIODS, _PER_PERIOD = 40, 150
_RELTOL = 1e-6  # the period is within 1e-4 of a run with 1e-7 and a quarter of the step; the usual 1e-5 leaves 5e-4
_AT_REST = 3.0  # T, in place of the period of a neuron that has none: about that of one that spikes


def record_sherman(
    kind: NeuronKind = "modified",
    duration: float = 500.0,
    step: float = 0.01,
    *,
    v_s: float = -36.0,
    settle: float = 0.0,
    start: Sequence[float] | None = None,
) -> Recording:
    """Membrane voltage (V) of a Sherman-Rinzel neuron; see `ShermanRinzel.simulate`.

    Parameters
    ----------
    kind
        The modified neuron has the second potassium current, the original one has not.
    duration, step, settle
        Length, sampling interval and time before the first sample (s). Without settling the transient from `start` to
        the cycle is in the recording.
    v_s
        The control parameter (mV).
    start
        V (mV), n, S; None: `neurons.START`.

    Returns
    -------
    Recording
        Its states are V (mV), n, S.
    """
    neuron = ShermanRinzel.original(v_s) if kind == "original" else ShermanRinzel.modified(v_s)
    _, states = neuron.simulate(duration, step, start=START if start is None else start, settle=settle)
    return Recording(1e-3 * states[:, 0], step, source=f"Sherman-Rinzel ({kind}), V_S = {v_s:g} mV", states=states)


def record_fhn(
    fhn: FHN | None = None,
    drive: float = -0.5,
    duration: float | None = None,
    step: float | None = None,
    *,
    settle: float = 0.0,
    start: tuple[float, float] | None = None,
) -> Recording:
    """Activator x of an ideal FitzHugh-Nagumo neuron under a constant drive; one unit of x is 1 V.

    Parameters
    ----------
    fhn
        Neuron, of which eps and a count; None: the default.
    drive
        Dimensionless drive I.
    duration, step
        Length and sampling interval (s), one time unit being `FHN_TIME_UNIT`; None: see `usual_times`.
    settle
        Time before the first sample (s).
    start
        x and y at the beginning; None: those of `Protocol`.

    Returns
    -------
    Recording
        Its states are x, y.

    Raises
    ------
    InputError
        If a time is out of range or the drive is not finite.
    """
    fhn = FHN() if fhn is None else fhn
    (drive,) = _drives(drive)
    neuron = Coefficients.ideal(fhn, 1)
    duration, step = usual_times(neuron, drive, FHN_TIME_UNIT, duration, step)
    times = (settle + sample_times(duration, step, settle)) / FHN_TIME_UNIT

    states = integrate(neuron.flow(drive)[0], np.array(_start(start)), times)
    return Recording(states[:, 0].copy(), step, source=f"FitzHugh-Nagumo, I = {drive:g}", states=states)


def circuit_chip(
    technology: Technology | str = "discrete", seed: int | None = None, *, fhn: FHN | None = None, neurons: int = 1
) -> ManufacturedChip:
    """Chip of a few neurons that no network asks for; None for the seed: the nominal chip."""
    parts = technology if isinstance(technology, Technology) else Technology.load(technology)
    network = Network.of_weights((np.ones((1, neurons)), np.ones((neurons, 1))), fhn=FHN() if fhn is None else fhn)
    return Design(network, parts).chip(seed)


def record_circuit(
    chip: ManufacturedChip,
    drives: ArrayLike = -0.5,
    duration: float | None = None,
    step: float | None = None,
    *,
    neuron: int = 0,
    settle: float = 0.0,
    start: tuple[float, float] | None = None,
) -> list[Recording]:
    """V(x) of one neuron of a chip at component level in ngspice: one recording for each drive.

    Parameters
    ----------
    chip
        Chip with components, for instance one of `circuit_chip`.
    drives
        Dimensionless drives I, shape (n,) or one number.
    duration, step
        Length and sampling interval (s); None: see `usual_times` at the first drive, the same for all drives.
    neuron
        Index of the neuron.
    settle, start
        As for `record_fhn`.

    Returns
    -------
    list of Recording
        Their states are V(x) and V(y), in V.

    Raises
    ------
    InputError
        If the chip has no such neuron in its first hidden layer, a drive is not finite, or a time is out of range.
    MissingProgramError
        If ngspice or PySpice is absent.
    SimulationError
        If a run fails.
    """
    cells = chip.hardware[0].cells
    cell, technology = cells.cell, chip.technology
    if not 0 <= neuron < len(cells):
        raise InputError(f"neuron {neuron}: the chip has neurons 0 to {len(cells) - 1}")
    values = _drives(drives)
    unit = cell.time_unit
    duration, step = usual_times(cells.dynamics[neuron : neuron + 1], values[0], unit, duration, step)
    times = settle + sample_times(duration, step, settle)
    whole = (settle + duration) / unit
    x0, y0 = _start(start)
    # The deck only runs from 0 to the end of the protocol: samples are taken here, at the times of the recording.
    protocol = Protocol(settle=0.0, control=whole, interval=whole, x0=x0, y0=y0)
    deck = neuron_deck(cells, neuron, values[0], protocol, reltol=_RELTOL, max_step=min(MAX_STEP, step / unit))
    which = f"{technology.name}, {'nominal' if chip.seed is None else f'chip {chip.seed}'}, neuron {neuron}"
    with SimulatorProcess() as simulator:
        simulator.load(deck)
        recordings = []
        for drive in values:
            simulator.alter("idrive", cell.drive_current(drive))
            states = _simulated(simulator, deck, times, f"{which}, drive {drive:g}")
            recordings.append(Recording(states[:, 0].copy(), step, source=f"{which}, I = {drive:g}", states=states))
    return recordings


def _simulated(simulator: SimulatorProcess, deck: str, times: FloatArray, what: str) -> FloatArray:
    """V(x) and V(y) of a run of the loaded deck, at `times` (s), shape (n, 2); `what` names the run in messages."""
    try:
        waves = simulator.run()
    except SimulationError as error:
        raise failed_run(None, "recording", deck, f"{simulator.log}{error}\n", f"{what}: {error}") from error
    at = np.clip(times, waves["time"][0], waves["time"][-1])
    return np.stack([_curve(waves["time"], waves[node], at) for node in ("x", "y")], axis=1)


def usual_times(
    neuron: Dynamics, drive: float, unit: float, duration: float | None, step: float | None
) -> tuple[float, float]:
    """Length and sampling interval (s) of a recording, where they are not given: 40 periods of 150 samples each.

    A neuron at rest is recorded for 40 times 3 T.

    Parameters
    ----------
    neuron
        Equations of one neuron.
    drive
        Dimensionless drive I.
    unit
        Time unit T (s).
    """
    if duration is not None and step is not None:
        return duration, step
    times = np.asarray(np.arange(0.0, 24.0, 0.004), dtype=np.float64)
    x = integrate(neuron.flow(drive)[0], np.array(_start(None)), times)[:, 0]
    cycle = cycle_from_samples(times[times >= 6.0], x[times >= 6.0], n_phase=2)
    period = unit * (_AT_REST if cycle is None else cycle.period)
    step = float(f"{period / _PER_PERIOD:.2g}") if step is None else step
    if duration is None:
        samples = _PERIODS * period / step
        duration = math.ceil(samples) * step if math.isfinite(samples) else _PERIODS * period
    return duration, step


def _drives(drives: ArrayLike) -> list[float]:
    values = np.atleast_1d(np.asarray(drives, dtype=np.float64))
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InputError(f"drives {drives!r}: expected finite numbers, shape (n,)")
    return [float(value) for value in values]


def _start(start: tuple[float, float] | None) -> tuple[float, float]:
    if start is None:
        return Protocol.x0, Protocol.y0
    if len(start) != 2 or not np.isfinite(start).all():
        raise InputError(f"start = {start}: expected two finite numbers, x and y")
    return start


def _curve(time: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Values between the simulator's uneven time points: chords would put kinks of 1e-4 into a smooth recording."""
    keep = np.concatenate([[True], np.diff(time) > 0.0])
    return np.asarray(Akima1DInterpolator(time[keep], values[keep], method="makima")(at), dtype=np.float64)
