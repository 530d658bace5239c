"""A current-clamp recording of a file: which channel is the voltage, and what current was injected."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analog_fhn._support.words import counted, listed
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.axon_protocol import Command
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, Step, steps_of
from analog_fhn.reconstruct.recordings.plateaus import plateaus
from analog_fhn.reconstruct.recordings.sweep_file import Channel, SweepFile, read_sweep_file

SHORTEST = 0.01
"""Seconds of the shortest stretch of constant current that counts as a step."""

_DRIFT = 5e-3  # V between the resting voltages of sweeps that are worth a word
_MEMBRANE, _NO_MEMBRANE = (-0.25, 0.15), 5e-3  # V that none goes beyond, and within which of zero none stays
_MOST_CURRENT = 2e-8  # A
_SPIKE = 5e-4  # s between samples, above which spikes fall between them


def read_current_clamp(
    path: Path | str,
    *,
    channel: str | int | None = None,
    command: str | None = None,
    volts_per_unit: float | None = None,
) -> CurrentClamp:
    """Voltage, injected current and its steps in a file of `read_sweep_file`.

    Parameters
    ----------
    path
        The file is read from here.
    channel
        Recorded channel of the voltage, by name or number from 1. None: the only one whose unit is that of a voltage.
    command
        Injected current, by its name in the protocol, or else of the channel that recorded it (see `plateaus`). None:
        the only one of the protocol in a unit of current.
    volts_per_unit
        One unit of the voltage's channel is so many V, whatever the file says.

    Raises
    ------
    InputError
        If the file is broken, it is not certain which channel is the voltage or what current was injected, the neuron
        was voltage-clamped, or the current has no steps.
    MissingProgramError
        If neo is not installed.
    """
    return current_clamp(read_sweep_file(path), channel=channel, command=command, volts_per_unit=volts_per_unit)


def current_clamp(
    file: SweepFile,
    *,
    channel: str | int | None = None,
    command: str | None = None,
    volts_per_unit: float | None = None,
) -> CurrentClamp:
    """As `read_current_clamp`, of a file that is open."""
    _refuse_voltage_clamp(file, command)
    chosen = voltage_channel(file, channel, volts_per_unit)
    injected, current = _injected(file, command)
    factor = 1.0 if volts_per_unit is None else volts_per_unit / chosen.factor
    voltage = tuple(factor * file.samples(chosen, sweep) for sweep in range(file.n_sweeps))
    if any(len(v) != len(i) for v, i in zip(voltage, current, strict=True)):
        raise InputError(f"{file.path}: {injected} has another rate than channel {chosen}; expected the same one")
    steps = steps_of(current, max(2, round(SHORTEST / chosen.step)))
    if not steps:
        differs = " whose current differs between the sweeps" if file.n_sweeps > 1 else ""
        raise InputError(
            f"{file.path}: {injected} has no step of at least {SHORTEST:g} s{differs}; expected steps of current"
        )
    report = [
        f"voltage from channel {chosen}, current from {injected}",
        f"{counted(len(voltage), 'sweep')}, {_steps_text(steps, chosen.step)}",
        *_doubts(voltage, current, chosen.step),
        *_length_report(voltage, steps),
        *_drift_report(voltage, current),
    ]
    return CurrentClamp(voltage, current, chosen.step, steps, file.path.name, file.sha256, tuple(report))


def voltage_channel(file: SweepFile, key: str | int | None = None, volts_per_unit: float | None = None) -> Channel:
    """Channel of the voltage: the one that is named, else the only one with a unit of voltage.

    Raises
    ------
    InputError
        If there is none, or it is not certain which it is.
    """
    if key is not None:
        chosen = file.channel(key)
        if chosen.kind == "current":
            raise InputError(f"{file.path}: channel {chosen} is a current; expected a voltage")
        if chosen.kind != "voltage" and volts_per_unit is None:
            raise InputError(f"{file.path}: channel {chosen} has no unit of voltage; expected volts per unit as well")
        return chosen
    voltages = [c for c in file.channels if c.kind == "voltage"]
    if len(voltages) == 1:
        return voltages[0]
    if voltages:
        raise InputError(
            f"{file.path}: {len(voltages)} channels are voltages: {listed(voltages)}; expected the name or number "
            "of one"
        )
    unknown = [c for c in file.channels if c.kind == "other"]
    hint = " (one without a unit: its number, and volts per unit)" if unknown else ""
    raise InputError(
        f"{file.path}: no channel has a unit of voltage: {listed(file.channels)}; expected a membrane voltage "
        f"in mV{hint}"
    )


def _refuse_voltage_clamp(file: SweepFile, command: str | None) -> None:
    """A voltage that was commanded is no answer of the neuron."""
    commanded = [c for c in file.commands if c.volts is not None]
    if command is None and commanded and not any(c.amperes is not None for c in file.commands):
        raise InputError(
            f"{file.path}: voltage clamp: the command {listed(commanded)} is a voltage, the recorded channels are "
            f"{listed(file.channels)}; expected current clamp, a voltage recorded while a current is commanded"
        )


def _injected(file: SweepFile, name: str | None) -> tuple[str, tuple[FloatArray, ...]]:
    """What was injected, for messages, and the current (A) of each sweep."""
    recorded = [c for c in file.channels if c.kind == "current" and c.name == name]
    if len(recorded) == 1 and all(c.name != name for c in file.commands):
        channel = recorded[0]
        try:
            current = plateaus([file.samples(channel, sweep) for sweep in range(file.n_sweeps)], channel.step)
        except InputError as error:
            raise InputError(f"{file.path}, channel {channel}: {error}") from None
        return f"the recorded channel {channel}", current
    command = _command(file, name)
    scale = command.amperes
    assert scale is not None
    return f"the protocol's {command}", tuple(scale * waveform for waveform in command.waveforms)


def _command(file: SweepFile, name: str | None) -> Command:
    """The commanded current: the one that is named, else the only one."""
    if file.no_commands:
        currents = [c for c in file.channels if c.kind == "current"]
        hint = f", or as the command one of the recorded {listed(currents)}, if it was injected" if currents else ""
        raise InputError(f"{file.path}: {file.no_commands}; expected a protocol of current steps in the file{hint}")
    if name is not None:
        found = [c for c in file.commands if c.name == name]
        if len(found) != 1 or found[0].amperes is None:
            raise InputError(
                f"{file.path}: there is no commanded current {name!r:.60} among {listed(file.commands)}; expected a "
                "name of one in a unit of current"
            )
    else:
        found = [c for c in file.commands if c.amperes is not None]
    if len(found) != 1:
        what = f"{len(found)} currents are commanded: {listed(found)}" if found else (
            f"no current is commanded: {listed(file.commands)}"
        )  # fmt: skip
        raise InputError(f"{file.path}: {what}; expected one in a unit of current, such as pA")
    if found[0].problem:
        raise InputError(f"{file.path}: the command {found[0]} is not known: {found[0].problem}")
    return found[0]


def _steps_text(steps: tuple[Step, ...], step: float) -> str:
    """Steps of current in words."""
    currents = np.unique([s.amplitude for s in steps])
    places = sorted({(s.start, s.stop) for s in steps})
    where = ", ".join(f"{step * start:.4g} to {step * stop:.4g} s" for start, stop in places[:4])
    where += f" and {len(places) - 4} other times" if len(places) > 4 else ""
    low, high = 1e12 * currents[0], 1e12 * currents[-1]
    span = f"{low:.4g} pA" if len(currents) == 1 else f"{len(currents)} currents from {low:.4g} to {high:.4g} pA"
    return f"{counted(len(steps), 'step')} at {span}: {where}"


def _drift_report(voltage: tuple[FloatArray, ...], current: tuple[FloatArray, ...]) -> list[str]:
    """Say that the voltage before the current first changes is not the same in all sweeps."""
    edges = [np.flatnonzero(np.diff(i)) for i in current]
    rests = [float(np.median(v[: e[0] + 1])) for v, e in zip(voltage, edges, strict=True) if len(e)]
    spread = max(rests, default=0.0) - min(rests, default=0.0)
    if spread < _DRIFT:
        return []
    low, high = 1e3 * min(rests), 1e3 * max(rests)
    return [f"the voltage before the first step is {low:.1f} to {high:.1f} mV: the neuron drifts from sweep to sweep"]


def _doubts(voltage: tuple[FloatArray, ...], current: tuple[FloatArray, ...], step: float) -> list[str]:
    """Say what no neuron does and no amplifier is set to: most often a gain or a unit is wrong."""
    low, high = min(float(v.min()) for v in voltage), max(float(v.max()) for v in voltage)
    largest, found = max(float(np.abs(i).max()) for i in current), []
    span = f"the voltage goes from {1e3 * low:.4g} to {1e3 * high:.4g} mV"
    if low < _MEMBRANE[0] or high > _MEMBRANE[1]:
        found.append(f"{span}, further than that of a membrane: are the gain and the unit of its channel right?")
    elif max(-low, high) < _NO_MEMBRANE:
        found.append(f"{span}, near zero throughout: are the gain and the unit of its channel right?")
    if largest > _MOST_CURRENT:
        found.append(f"{1e9 * largest:.4g} nA are more than a neuron is given: is the unit of the current right?")
    if step > _SPIKE:
        found.append(f"a sample every {1e3 * step:.3g} ms: spikes, which last about 1 ms, fall between samples")
    return found


def _length_report(voltage: tuple[FloatArray, ...], steps: tuple[Step, ...]) -> list[str]:
    """Say which sweeps are shorter than others, and how many steps are left in them."""
    lengths = [len(v) for v in voltage]
    numbers = [sum(step.sweep == k for step in steps) for k in range(len(voltage))]
    return [
        f"sweep {k + 1} has {n} samples, others {max(lengths)}; {numbers[k]} of {max(numbers)} steps are whole in it"
        for k, n in enumerate(lengths)
        if n < max(lengths)
    ]
