"""Files of electrophysiologists, read by neo and pynwb: sweeps, channels with their units, and the commanded waveforms.

Only readers of plain data are used, chosen by the end of the file's name: neo also has some that unpickle what they
find. Its lowest layer gives numbers and texts; the layer above would evaluate a text of the file as a unit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.hashing import sha256_of_stream
from analog_fhn._support.tables import excerpt
from analog_fhn._support.words import counted, listed
from analog_fhn.errors import InputError, MissingProgramError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.axon_protocol import Command, axon_commands, check_sections
from analog_fhn.reconstruct.recordings.nwb_file import NwbSource, open_nwb
from analog_fhn.reconstruct.recordings.units import ampere_factor, volt_factor

Kind = Literal["voltage", "current", "other"]

READERS = {
    ".abf": ("AxonRawIO", "Axon (ABF)"),
    ".axgd": ("AxographRawIO", "AxoGraph"),
    ".axgx": ("AxographRawIO", "AxoGraph"),
    ".smr": ("Spike2RawIO", "Spike2"),
    ".smrx": ("CedRawIO", "Spike2"),
    ".wcp": ("WinWcpRawIO", "WinWCP"),
    ".edr": ("WinEdrRawIO", "WinEDR"),
    ".nwb": ("", "NWB"),
}
"""Ends of file names: neo's reader of them (NWB has its own), and the program that writes them."""

REFUSED = {
    **dict.fromkeys((".pkl", ".pickle"), "may run a program when it is read"),
    **dict.fromkeys((".dat", ".elphy"), "has several formats, one of which is evaluated as a program"),
    ".mat": "has no agreed layout for recordings",
}
"""Ends of file names that are not read, and why."""

_MAGIC = (b"ABF ", b"ABF2")
_SEEN = 512  # bytes that tell a text from other files
_SAID = 200  # characters of what another package says of a file
_LARGEST = 2**31  # samples of all channels together


@dataclass(frozen=True)
class Channel:
    """A recorded channel.

    Parameters
    ----------
    number
        From 1, in the order of the file.
    name, unit
        As in the file.
    kind
        What its unit measures.
    factor
        V or A in one unit; 1 for others.
    step
        Sampling interval (s).
    place
        Stream of neo, and the channel's place in it.
    """

    number: int
    name: str
    unit: str
    kind: Kind
    factor: float
    step: float
    place: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.number} {shown(self.name)} ({self.unit or 'no unit'})"


@dataclass(frozen=True, eq=False)
class SweepFile:
    """A file of sweeps, whose samples are read when they are asked for.

    Parameters
    ----------
    path
        The file.
    program
        What writes such files.
    sha256
        Of its bytes.
    channels
        All recorded channels.
    n_sweeps
        Number of sweeps.
    commands
        What was commanded, where the file says it.
    no_commands
        Why it does not say so; empty if it does.
    """

    path: Path
    program: str
    sha256: str
    channels: tuple[Channel, ...]
    n_sweeps: int
    commands: tuple[Command, ...]
    no_commands: str
    _source: _Neo | NwbSource = field(repr=False)

    def samples(self, channel: Channel, sweep: int) -> FloatArray:
        """Samples of a sweep (from 0), shape (n,), in V or A by the channel's unit."""
        with _errors_named(self.path, self.program):
            return channel.factor * self._source.samples(channel.place, sweep)

    def lengths(self, channel: Channel) -> list[int]:
        """Samples in each sweep."""
        return [self._source.length(channel.place, sweep) for sweep in range(self.n_sweeps)]

    def channel(self, key: str | int) -> Channel:
        """Channel by name or by number, from 1.

        Raises
        ------
        InputError
            If there is none, or several have the name.
        """
        named = [c for c in self.channels if c.name == str(key).strip()]
        if len(named) == 1:
            return named[0]
        if not named and str(key).strip().isdecimal() and 1 <= int(key) <= len(self.channels):
            return self.channels[int(key) - 1]
        what = f"{len(named)} channels are called" if named else "there is no channel"
        raise InputError(
            f"{self.path}: {what} {shown(key)}; expected a name or a number (from 1) of: {listed(self.channels)}"
        )


def is_sweep_file(path: Path | str) -> bool:
    """Whether a file has a name or begins as files do that this module reads, or refuses by name.

    A text whose name ends as those do that are refused is none: it may be a table of numbers.
    """
    ending = Path(path).suffix.lower()
    first = _first_bytes(Path(path), _SEEN) or b""
    return ending in READERS or first[:4] in _MAGIC or (ending in REFUSED and not _is_text(first))


def read_sweep_file(path: Path | str) -> SweepFile:
    """Open a recording: Axon's ABF, AxoGraph, Spike2, WinWCP, WinEDR (by neo) or NWB (by pynwb).

    Raises
    ------
    InputError
        If the file cannot be read, is empty, cut off or not of the kind that its name says, or its kind is not read.
    MissingProgramError
        If neo or pynwb is not installed, or what neo needs for this kind of file.
    """
    path = Path(path)
    ending = path.suffix.lower()
    sha256 = _checked(path, ending)
    program = READERS[ending][1]
    commands: tuple[Command, ...]
    with _errors_named(path, program):
        if ending == ".nwb":
            nwb = open_nwb(path)
            source: _Neo | NwbSource = nwb
            channels, n_sweeps, commands, problem = _nwb_channels(nwb), nwb.n_sweeps, nwb.commands, ""
        else:
            source, reader = _open(path, ending)
            channels, n_sweeps = _channels(reader, path), int(reader.header["nb_segment"][0])
            commands, problem = (), f"{program} files do not say what was commanded"
        lengths = [[source.length(channel.place, sweep) for sweep in range(n_sweeps)] for channel in channels]
    total = sum(map(sum, lengths))
    if not total:
        sweeps, parts = counted(n_sweeps, "sweep"), counted(len(channels), "channel")
        raise InputError(f"{path}: holds {sweeps} of {parts}, but no sample; expected some")
    if total > _LARGEST:
        raise InputError(f"{path}: {total} samples; expected at most {_LARGEST}")
    if ending == ".abf":
        with _errors_named(path, program):
            commands, problem = axon_commands(reader, lengths[0])
    if not commands and not problem:
        problem = "the file has no stimuli"
    return SweepFile(path, program, sha256, channels, n_sweeps, commands, problem, source)


@dataclass(frozen=True, eq=False)
class _Neo:
    """A file that neo has opened."""

    reader: Any

    def length(self, place: tuple[int, int], sweep: int) -> int:
        return int(self.reader.get_signal_size(0, sweep, place[0]))

    def samples(self, place: tuple[int, int], sweep: int) -> FloatArray:
        stream, index = place
        raw = self.reader.get_analogsignal_chunk(0, sweep, None, None, stream, channel_indexes=[index])
        scaled = self.reader.rescale_signal_raw_to_float(raw, "float64", stream, channel_indexes=[index])
        return np.asarray(scaled[:, 0], dtype=np.float64)


def _open(path: Path, ending: str) -> tuple[_Neo, Any]:
    """A file opened by neo, and neo's reader."""
    name, program = READERS[ending]
    with extra("recordings", f"{program} files need neo"):
        from neo import rawio
    reader = getattr(rawio, name)(filename=str(path))
    reader.parse_header()
    return _Neo(reader), reader


def _nwb_channels(nwb: NwbSource) -> tuple[Channel, ...]:
    """Electrodes as channels."""
    rows = zip(nwb.names, nwb.units, nwb.steps, strict=True)
    return tuple(
        Channel(k + 1, name, unit, "voltage" if unit == "V" else "current", 1.0, step, (0, k))
        for k, (name, unit, step) in enumerate(rows)
    )


def _checked(path: Path, ending: str) -> str:
    """SHA-256 of a file whose name ends as one does that is read, and that begins so."""
    first = _first_bytes(path)
    if ending in REFUSED:
        raise InputError(f"{path}: {ending} {REFUSED[ending]}; expected one of {', '.join(READERS)}")
    if ending not in READERS:
        if first in _MAGIC:
            raise InputError(f"{path}: begins as Axon's files do; expected a name that ends in .abf")
        raise InputError(f"{path}: files ending in {ending!r} are not read as sweeps; expected {', '.join(READERS)}")
    if first is None:
        _refuse_unreadable(path, READERS[ending][1])
    if not first:
        raise InputError(f"{path}: is empty; expected a recording of {READERS[ending][1]}")
    if ending == ".abf" and first not in _MAGIC:
        raise InputError(f"{path}: begins with {first!r}; expected 'ABF ' or 'ABF2', as Axon's files do")
    if first == b"ABF2":
        check_sections(path)
    with path.open("rb") as stream:
        return sha256_of_stream(stream)


def _refuse_unreadable(path: Path, program: str) -> None:
    """Say why a file has no first bytes."""
    expected = f"expected a recording of {program}"
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            what = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{path}: is {what}; {expected}")
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {expected}") from None


def _is_text(content: bytes) -> bool:
    """Whether bytes can be text in a language of one byte a letter."""
    return bool(content) and not any(byte < 9 or 13 < byte < 32 for byte in content)


def _first_bytes(path: Path, number: int = 4) -> bytes | None:
    """First bytes; None if it is no file that can be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return stream.read(number)
    except OSError:
        return None


def _channels(reader: Any, path: Path) -> tuple[Channel, ...]:
    """Channels in the order of the file; neo sorts those of one rate into a stream."""
    channels, header = [], reader.header["signal_channels"]
    places: dict[str, int] = {}
    streams = [str(stream["id"]) for stream in reader.header["signal_streams"]]
    for number, entry in enumerate(header, 1):
        stream, unit = str(entry["stream_id"]), str(entry["units"]).strip()
        volts, amperes = volt_factor(unit), ampere_factor(unit)
        kind: Kind = "voltage" if volts is not None else "current" if amperes is not None else "other"
        index = places[stream] = places.get(stream, -1) + 1
        name, rate = str(entry["name"]).strip(), float(entry["sampling_rate"])
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(
                f"{path}: channel {number} {excerpt(name)} has the sampling rate {rate:g} Hz; expected a number above 0"
            )
        place = streams.index(stream), index
        channels.append(Channel(number, name, unit, kind, volts or amperes or 1.0, 1.0 / rate, place))
    return tuple(channels)


@contextmanager
def _errors_named(path: Path, program: str) -> Iterator[None]:
    """Whatever neo meets in a broken file becomes an InputError that names the file: it raises errors of every kind."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InputError, MissingProgramError, KeyboardInterrupt):
        raise
    except ImportError as error:
        raise MissingProgramError(f"{path}: reading {program} needs another package ({error})") from error
    except Exception as error:
        words = " ".join(str(error).split())
        said = f": {words[:_SAID]}{'...' if len(words) > _SAID else ''}" if words else ""
        detail = f"{type(error).__name__}{said}"
        raise InputError(
            f"{path}: cannot be read as a file of {program} ({detail}); expected a whole one: is it cut off or damaged?"
        ) from error
