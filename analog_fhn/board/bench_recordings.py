"""Readings of the bench protocol from an oscilloscope's recordings: one CSV file for each cell and shot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analog_fhn.board.bench_steps import TEST_POINTS, Shot, Step
from analog_fhn.crossings import Rises, mean_period
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import cell_suffix
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.files import read_channels

FOLDER = "recordings"
_MISSING = 0.01  # share of the samples that may be missing, or stand at the edge of the screen
_EDGE = 0.995  # of half the screen: from here on a sample may have been beyond it
_SMOOTHED = 100  # part of a recording of a jump that is averaged over before its crossings are looked for


def file_name(layer: int, cell: int, shot: str) -> str:
    """Name of the recording of one shot: `cell_003_A1.csv`, of the next hidden layer `cell_1_003_A1.csv`."""
    return f"cell{cell_suffix(layer, cell)}_{shot}.csv"


def step_readings(folder: Path, layer: int, cell: int, step: Step, scale: float) -> tuple[dict[str, float], list[str]]:
    """Readings of a step by column, of the recordings that are in a folder, and what is missing of them, in words.

    Parameters
    ----------
    scale
        Volts per unit of x.

    Raises
    ------
    InputError
        If a recording is broken, lacks a channel, or was beyond the screen.
    """
    found: dict[str, float] = {}
    notes = []
    for shot in step.shots:
        path = folder / file_name(layer, cell, shot.name)
        if not path.is_file():
            notes.append(f"{path}: is not there")
            continue
        waves, interval = read_shot(path, shot)
        values = _jump(waves["Vx"], interval, scale) if shot.trigger is not None else _whole(waves, interval, scale)
        found |= {column: value for column, value in values.items() if column in step.readings}
    for column in step.readings:
        if column not in found and not notes:
            notes.append(f"{folder / file_name(layer, cell, step.shots[-1].name)}: no {column}; Vx does not oscillate")
    return found, notes


def read_shot(path: Path, shot: Shot) -> tuple[dict[str, FloatArray], float]:
    """Voltages of a recording by test point, NaN where a sample is missing, and the sampling interval (s)."""
    names = [(channel.point, f"CH{k}", f"C{k}") for k, channel in enumerate(shot.channels, start=1)]
    recordings = read_channels(path, names)
    waves = {}
    for channel, recording in zip(shot.channels, recordings, strict=True):
        voltage = recording.voltage
        lost = np.mean(~np.isfinite(voltage) | (np.abs(np.nan_to_num(voltage)) > _EDGE * 0.5 * channel.screen))
        if lost > _MISSING:
            raise InputError(
                f"{path}, {channel.point}: {100.0 * lost:.2g} % of the samples are missing or at the edge of the "
                f"screen; expected at most {100.0 * _MISSING:g} % at {channel.per_division:g} V per division"
            )
        waves[channel.point] = voltage
    return waves, recordings[0].step


def _whole(waves: dict[str, FloatArray], interval: float, scale: float) -> dict[str, float]:
    """Means over whole periods, over all of the recording where there is none, and what else a rhythm has."""
    v_x = waves["Vx"]
    times = Rises.of(v_x, 0.0, -0.5 * scale).times(v_x, 0.0)
    rhythm = len(times) >= 3
    part = slice(round(float(times[0])), round(float(times[-1]))) if rhythm else slice(None)
    values = {c: float(np.nanmean(waves[p][part])) for c, p in TEST_POINTS.items() if p in waves}
    if rhythm:
        values["period"] = interval * mean_period(times)
        x = v_x[part]
        values["v_x_high"], values["v_x_low"] = float(np.nanmean(x[x > 0.0])), float(np.nanmean(x[x < 0.0]))
        if "Vy" in waves:
            y = waves["Vy"][part]
            noise = float(np.nanvar(np.diff(y, n=2))) / 6.0  # white noise alone, where the voltage itself is smooth
            values["v_y_rms"] = float(np.sqrt(max(float(np.nanvar(y)) - noise, 0.0)))
    return values


def _jump(v_x: FloatArray, interval: float, scale: float) -> dict[str, float]:
    """Time from -scale/2 to +scale around the trigger, which is in the middle."""
    width = max(1, len(v_x) // _SMOOTHED)
    smooth = np.convolve(np.nan_to_num(v_x), np.full(width, 1.0 / width), mode="valid")
    above = np.flatnonzero((smooth[:-1] < 0.0) & (smooth[1:] >= 0.0))
    if not len(above):
        return {}
    middle = int(above[np.argmin(np.abs(above - len(smooth) // 2))])
    before = np.flatnonzero(smooth[:middle] < -0.5 * scale)
    after = np.flatnonzero(smooth[middle:] >= scale)
    if not len(before) or not len(after):
        return {}
    begin, end = int(before[-1]), middle + int(after[0]) - 1
    first = begin + (-0.5 * scale - smooth[begin]) / (smooth[begin + 1] - smooth[begin])
    last = end + (scale - smooth[end]) / (smooth[end + 1] - smooth[end])
    return {"rise": float(interval * (last - first))}
