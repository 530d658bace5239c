"""Reader of recordings in WAV files: `analog-fhn reconstruct record.wav -o twin.npz`.

The first channel of 16-bit PCM, as sound cards write it. A WAV file does not know volts: full scale is taken as 1 V.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.recordings.recording import Recording

FULL_SCALE = 1.0  # V


def read(path: Path) -> Recording:
    """Voltage in the first channel of a file."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, n = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
            data = file.readframes(n)
    except (wave.Error, EOFError) as error:
        raise InputError(f"{path}: is no WAV file of PCM ({error or 'it ends too early'})") from None
    if width != 2 or rate < 1:
        raise InputError(f"{path}: {8 * width} bits, {rate} samples a second; expected 16-bit PCM")
    frames = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], dtype="<i2").reshape(-1, channels)
    notes = () if len(frames) == n else (f"{n} samples announced, {len(frames)} there",)
    report = (*notes, f"full scale taken as {FULL_SCALE:g} V")
    return Recording(FULL_SCALE * frames[:, 0] / 2**15, 1.0 / rate, 0.0, path.name, report=report)
