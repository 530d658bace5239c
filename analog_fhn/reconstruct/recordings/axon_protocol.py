"""What an Axon file (ABF2) says that was commanded, sweep by sweep."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.units import ampere_factor, volt_factor

_BLOCK = 512  # bytes
_FIRST_SECTION, _SECTIONS = 76, 18  # byte of the list of sections, and how many there are
_TEXTS = 10  # section whose entries are texts of any length; the length that it states is that of all
_STEP = 1  # type of an epoch of constant level
_FROM_EPOCHS = 1  # source of a waveform
_EPISODIC = 5
_MOST_OUTPUTS = 16


@dataclass(frozen=True, eq=False)
class Command:
    """A waveform that was commanded.

    Parameters
    ----------
    name, unit
        As in the file.
    waveforms
        One array for each sweep, as many samples as its voltage has, in the unit of the file.
    problem
        Why they are not known, or not relied on; empty if they are.
    """

    name: str
    unit: str
    waveforms: tuple[FloatArray, ...]
    problem: str = ""

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.unit or 'no unit'})"

    @property
    def amperes(self) -> float | None:
        """Amperes of its unit; None if it is no current."""
        return ampere_factor(self.unit)

    @property
    def volts(self) -> float | None:
        """Volts of its unit; None if it is no voltage."""
        return volt_factor(self.unit)


def check_sections(path: Path) -> None:
    """Refuse a file (ABF2) whose list of sections cannot be true: reading it would take for ever.

    Raises
    ------
    InputError
        If a section does not lie within the file, or has entries without a length.
    """
    with path.open("rb") as stream:
        header, size = stream.read(_BLOCK), path.stat().st_size
    if len(header) < _BLOCK:
        raise InputError(f"{path}: {size} bytes; expected at least a header of {_BLOCK}: it is cut off")
    for number in range(1, _SECTIONS + 1):
        block, length, entries = struct.unpack_from("<IIq", header, _FIRST_SECTION + 16 * (number - 1))
        end = block * _BLOCK + length * (1 if number == _TEXTS else entries)
        possible = 0 <= entries <= size and length > 0 and end <= size
        if entries and not possible:
            raise InputError(
                f"{path}: has {size} bytes; expected a whole file, which by its header has {entries} entries of "
                f"{length} bytes from byte {block * _BLOCK} on: it is cut off, or its header is broken"
            )


def axon_commands(reader: Any, lengths: Sequence[int]) -> tuple[tuple[Command, ...], str]:
    """Commands of the outputs whose waveform was enabled, and why there are none, if so.

    Parameters
    ----------
    reader
        neo's `AxonRawIO`, whose header was parsed.
    lengths
        Samples in each sweep.
    """
    info = reader._axon_info  # neo has no other way to these parts of the header
    if float(info["fFileVersionNumber"]) < 2.0:
        return (), "the protocol of ABF files before version 2 is not read"
    protocol, outputs = info["protocol"], info["listDACInfo"]
    if protocol["nOperationMode"] != _EPISODIC:
        return (), "it was not recorded in sweeps of a protocol (gap-free or by events)"
    for output in outputs:  # neo takes them for UTF-8, and no file whose texts are not
        output["DACChNames"] = output["DACChNames"].decode("utf-8", errors="replace").encode()
        output["DACChUnits"] = output["DACChUnits"].decode("utf-8", errors="replace").encode()
    enabled = [k for k, output in enumerate(outputs[:_MOST_OUTPUTS]) if output["nWaveformEnable"]]
    if not enabled:
        return (), "no output had a waveform"
    problem = _doubt(info, lengths)
    waveforms, names, units = (None, *_names(outputs)) if problem else reader.read_raw_protocol()
    commands = []
    for k in enabled:
        own = problem or _doubt_of_output(info, k)
        sweeps = () if own or waveforms is None else tuple(
            np.asarray(sweep[k][:n], dtype=np.float64) for sweep, n in zip(waveforms, lengths, strict=True)
        )  # fmt: skip
        commands.append(Command(names[k].strip("\0 "), units[k].strip("\0 "), sweeps, own))
    return tuple(commands), ""


def _names(outputs: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Names and units of outputs."""
    return tuple(  # type: ignore[return-value]
        [output[key].decode("utf-8") for output in outputs] for key in ("DACChNames", "DACChUnits")
    )


def _doubt(info: dict[str, Any], lengths: Sequence[int]) -> str:
    """What neo's waveforms cannot be made with; what comes from a broken header must not ask for any memory."""
    protocol = info["protocol"]
    channels = max(1, info["sections"]["ADCSection"]["llNumEntries"])
    samples = protocol["lNumSamplesPerEpisode"] // channels
    if info["lActualEpisodes"] != len(lengths) or len(info["listDACInfo"]) > _MOST_OUTPUTS:
        return f"the protocol is of {info['lActualEpisodes']} sweeps, the data of {len(lengths)}"
    data, together = info["sections"]["DataSection"]["llNumEntries"], channels * sum(lengths)
    if not 0 <= data - together < channels * len(lengths):  # where one sweep ends elsewhere, all others begin elsewhere
        return f"its sweeps are of {together} samples together, its data of {data}"
    if samples < max(lengths) or samples > 2 * max(lengths):
        return f"the protocol is of {samples} samples a sweep, the data of {max(lengths)}"
    if protocol["nAlternateDACOutputState"]:
        return "outputs alternate from sweep to sweep, which is not read"
    if info["sections"].get("UserListSection", {}).get("llNumEntries"):
        return "a list of values that differ from sweep to sweep replaces a part of the protocol, which is not read"
    for epochs in info["dictEpochInfoPerDAC"].values():
        for sweep in (0, len(lengths) - 1):
            spans = [e["lEpochInitDuration"] + e["lEpochDurationInc"] * sweep for e in epochs.values()]
            if min(spans, default=0) < 0 or samples // 64 + sum(spans) > samples:
                return "its epochs do not fit into a sweep"
    return ""


def _doubt_of_output(info: dict[str, Any], number: int) -> str:
    """What the waveform of one output has that is not read."""
    output = info["listDACInfo"][number]
    epochs = info["dictEpochInfoPerDAC"].get(number, {}).values()
    if output["nWaveformSource"] != _FROM_EPOCHS:
        return "its waveform comes from another file"
    if any(epoch["nEpochType"] != _STEP for epoch in epochs):
        return "it has ramps or trains of pulses; expected steps alone"
    if output["nInterEpisodeLevel"]:
        return "the last level is held between sweeps, which is not read"
    if output["nConditEnable"]:
        return "a conditioning train comes before each sweep, which is not read"
    return ""
