"""Small Axon files (ABF2) for tests, written by the tables of fields that neo reads them with."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio import axonrawio

from analog_fhn.neuron import FloatArray

BLOCK = axonrawio.BLOCKSIZE


def packed(fields: Iterable[tuple[str, str]], values: Mapping[str, Any]) -> bytes:
    """Fields one after another; those without a value are zero."""
    parts = []
    for name, fmt in fields:
        value = values.get(name, list(struct.unpack(fmt, bytes(struct.calcsize(fmt)))))
        parts.append(struct.pack(fmt, *(value if isinstance(value, list) else [value])))
    return b"".join(parts)


def write_abf(
    path: Path,
    sweeps: Sequence[FloatArray],
    *,
    channels: Sequence[tuple[str, str]] = (("Vm", "mV"),),
    command: tuple[str, str] = ("Cmd", "pA"),
    epochs: Sequence[tuple[int, float, float]] = (),
    rate: float = 20_000.0,
    protocol: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
    epoch: Mapping[str, Any] | None = None,
) -> Path:
    """Write sweeps of shape (samples, channels), in the channels' units.

    Parameters
    ----------
    channels
        Name and unit of each.
    command
        Name and unit of the one output.
    epochs
        Samples, first level and increment from sweep to sweep, of each; they begin after 1/64 of the sweep.
    protocol, output, epoch
        Further fields of these sections.
    """
    texts = [text.encode("latin-1") or b" " for pair in (*channels, command) for text in pair]
    strings = [b"", b"Clampex", b"steps.pro", *texts]
    places = [
        {"nADCNum": k, "lADCChannelNameIndex": 3 + 2 * k, "lADCUnitsIndex": 4 + 2 * k} for k in range(len(channels))
    ]
    adc = [packed(axonrawio.ADCInfoDescription, place) for place in places]
    names = 3 + 2 * len(channels)
    dac = packed(
        axonrawio.DACInfoDescription,
        {"nWaveformEnable": 1, "nWaveformSource": 1, "lDACChannelNameIndex": names, "lDACChannelUnitsIndex": names + 1}
        | dict(output or {}),
    )
    shapes = [
        packed(
            axonrawio.EpochInfoPerDACDescription,
            {"nEpochNum": k, "nEpochType": 1, "lEpochInitDuration": n, "fEpochInitLevel": level, "fEpochLevelInc": up}
            | dict(epoch or {}),
        )
        for k, (n, level, up) in enumerate(epochs)
    ]
    lengths = [sweep.size for sweep in sweeps]
    offsets = np.cumsum([0, *lengths[:-1]])
    settings = {
        "nOperationMode": 5, "fADCSequenceInterval": 1e6 / rate, "lNumSamplesPerEpisode": max(lengths, default=0),
        "fADCRange": 10.0, "lADCResolution": 32768,
    } | dict(protocol or {})  # fmt: skip
    contents = {
        "ProtocolSection": [packed(axonrawio.protocolInfoDescription, settings)], "ADCSection": adc,
        "DACSection": [dac], "EpochPerDACSection": shapes, "StringsSection": [b"\0" + b"\0".join(strings) + b"\0"],
        "SynchArraySection": [struct.pack("ii", a, n) for a, n in zip(offsets, lengths, strict=True)],
        "DataSection": [np.concatenate([np.ravel(s) for s in sweeps]).astype("<f4").tobytes()] if lengths else [],
    }  # fmt: skip
    header = {"fFileSignature": b"ABF2", "fFileVersionNumber": [0, 0, 0, 2], "lActualEpisodes": len(sweeps),
              "nDataFormat": 1, "uProtocolPathIndex": 2}  # fmt: skip
    path.write_bytes(_file(header, contents))
    return path


def _file(header: Mapping[str, Any], contents: Mapping[str, list[bytes]]) -> bytes:
    """Header, then the sections, each from the beginning of a block."""
    data = bytearray(BLOCK)
    for name, offset, fmt in axonrawio.headerDescriptionV2:
        part = packed([(name, fmt)], header)
        data[offset : offset + len(part)] = part
    for number, name in enumerate(axonrawio.sectionNames):
        entries = contents.get(name, [])
        if not entries:
            continue
        count = len(entries[0]) // 4 if name == "DataSection" else len(entries)
        size = 4 if name == "DataSection" else len(entries[0])
        struct.pack_into("IIl", data, 76 + 16 * number, len(data) // BLOCK, size, count)
        data += b"".join(entries)
        data += bytes(-len(data) % BLOCK)
    return bytes(data)
