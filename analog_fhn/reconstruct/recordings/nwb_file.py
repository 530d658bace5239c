"""Intracellular recordings in NWB files (Neurodata Without Borders): responses of electrodes and what was injected.

neo would make one sweep of all series of a file that it did not write itself, so they are taken from pynwb, which neo
reads such files with, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.words import listed
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.axon_protocol import Command

_UNITS = {"CurrentClampSeries": "V", "VoltageClampSeries": "A"}
_STIMULI = {"CurrentClampStimulusSeries": "A", "VoltageClampStimulusSeries": "V"}
_ANSWERS = dict(zip(_STIMULI, _UNITS, strict=True))
_UNPAIRED = "the file does not say which stimulus belongs to which response"


@dataclass(frozen=True, eq=False)
class NwbSource:
    """Responses of each electrode in an open file, sweep by sweep, and what was commanded.

    Parameters
    ----------
    names, units, steps
        Electrode, unit (V or A) and sampling interval (s) of each.
    commands
        Stimuli, where the file has some for each response.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    steps: tuple[float, ...]
    commands: tuple[Command, ...]
    _series: tuple[tuple[Any, ...], ...] = field(repr=False)

    @property
    def n_sweeps(self) -> int:
        """Sweeps, as many for each electrode."""
        return len(self._series[0]) if self._series else 0

    def length(self, place: tuple[int, int], sweep: int) -> int:
        """Samples of a sweep."""
        return len(self._series[place[1]][sweep].data)

    def samples(self, place: tuple[int, int], sweep: int) -> FloatArray:
        """Samples of a sweep, in V or A."""
        return _values(self._series[place[1]][sweep])


def open_nwb(path: Path) -> NwbSource:
    """Open a file; what is wrong within it is raised by pynwb in many ways.

    Raises
    ------
    InputError
        If there are no responses under current or voltage clamp, electrodes have different numbers of sweeps, or a
        series of samples has no rate, or another one than the others.
    MissingProgramError
        If pynwb is not installed.
    """
    with extra("nwb", "NWB files need pynwb"):
        import pynwb
    file = pynwb.NWBHDF5IO(str(path), "r").read()
    responses = _by_electrode(path, file.acquisition, _UNITS)
    stimuli = _by_electrode(path, file.stimulus, _STIMULI)
    if not responses:
        found = sorted({type(series).__name__ for series in file.acquisition.values()})
        raise InputError(f"{path}: holds {listed(found) or 'no series'}; expected {' or '.join(_UNITS)}")
    if len({len(series) for series in responses.values()}) > 1:
        found = [f"{len(own)} {kind} of {shown(name)}" for (name, kind), own in responses.items()]
        raise InputError(f"{path}: holds {listed(found)}; expected as many of each")
    keys = list(responses)
    return NwbSource(
        tuple(electrode for electrode, _ in keys), tuple(_UNITS[kind] for _, kind in keys),
        tuple(1.0 / float(responses[key][0].rate) for key in keys),
        tuple(_command(key, series, responses) for key, series in stimuli.items()),
        tuple(tuple(responses[key]) for key in keys),
    )  # fmt: skip


def _by_electrode(path: Path, group: Any, kinds: dict[str, str]) -> dict[tuple[str, str], list[Any]]:
    """Series of these kinds by electrode and kind, in the order of their sweeps, or of time if those are not said."""
    found: dict[tuple[str, str], list[Any]] = {}
    for series in group.values():
        kind = type(series).__name__
        if kind in kinds:
            if series.rate is None or not float(series.rate) > 0:
                raise InputError(f"{path}: series {shown(series.name)} has no rate; expected samples at equal times")
            found.setdefault((str(series.electrode.name), kind), []).append(series)
    for (electrode, kind), own in found.items():
        if len(rates := {float(series.rate) for series in own}) > 1:
            raise InputError(
                f"{path}: {kind} of electrode {shown(electrode)} have {min(rates):g} to {max(rates):g} samples a "
                "second; expected one rate"
            )
        numbered = all(series.sweep_number is not None for series in own)
        own.sort(key=lambda s: (int(s.sweep_number) if numbered else float(s.starting_time or 0.0), s.name))
    return found


def _command(key: tuple[str, str], stimuli: Sequence[Any], responses: dict[tuple[str, str], list[Any]]) -> Command:
    """Stimuli of an electrode, one for each of its responses, by their numbers or, where there are none, in order."""
    electrode, kind = key
    own = responses.get((electrode, _ANSWERS[kind]), [])
    numbers = [series.sweep_number for series in own]
    if None not in numbers and all(series.sweep_number is not None for series in stimuli):
        by_number = {int(series.sweep_number): series for series in stimuli}
        if len(by_number) < len(stimuli) or len({*map(int, numbers)}) < len(numbers):
            return Command(electrode, _STIMULI[kind], (), "several stimuli, or responses, have one sweep number")
        stimuli = [by_number[int(n)] for n in numbers if int(n) in by_number]
    unit = _STIMULI[kind]
    if len(stimuli) != len(own):
        return Command(electrode, unit, (), _UNPAIRED)
    if any(len(s.data) != len(r.data) or s.rate != r.rate for s, r in zip(stimuli, own, strict=True)):
        return Command(electrode, unit, (), "stimuli and responses have different numbers of samples, or rates")
    return Command(electrode, unit, tuple(map(_values, stimuli)))


def _values(series: Any) -> FloatArray:
    """Samples in the series' unit, by its factor and offset."""
    return np.asarray(float(series.conversion) * np.ravel(series.data[:]).astype(np.float64) + float(series.offset))
