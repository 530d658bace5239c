"""`analog-fhn record --info`: what is in a recording of a real neuron, and what its steps of current did."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.words import counted
from analog_fhn.cli import console, option_values, outputs
from analog_fhn.cli.options import options_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.reconstruct.bridge import Bridge
    from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp
    from analog_fhn.reconstruct.recordings.sweep_file import SweepFile
    from analog_fhn.reconstruct.steps import StepResponse


@dataclass(frozen=True)
class InfoOptions:
    """The file that is looked at, and how."""

    info: Annotated[
        Path | None,
        typer.Option("--info", metavar="FILE", help="Say what is in a recording (.abf and others that neo reads)."),
    ] = None
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="P.png", help="With --info: sweeps, f-I curve, adaptation.")
    ] = None
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="NAME|N", help="With --info: the voltage's channel.")
    ] = None
    command: Annotated[
        str | None, typer.Option("--command", metavar="NAME", help="With --info: the commanded current.")
    ] = None
    volts_per_unit: Annotated[
        float | None,
        typer.Option("--volts-per-unit", metavar="VOLTS", help="With --info: one unit of the voltage's channel."),
    ] = None
    subtract_bridge: Annotated[
        bool, typer.Option("--subtract-bridge", help="With --info: take the electrode's part from the voltage.")
    ] = False


def show(options: InfoOptions, table: Path | None, json: str | None) -> None:
    """Say what is in the file; write the steps as a table, the picture and the JSON that were asked for."""
    from analog_fhn.reconstruct.recordings.sweep_file import is_sweep_file, read_sweep_file

    start = time.perf_counter()
    path = options.info
    assert path is not None
    option_values.check_above_0("--volts-per-unit", options.volts_per_unit, "a number of volts")
    outputs.check_outputs({path: "the recording"}, {"-o": table, "--picture": options.picture, "--json": json})
    for target in (table, options.picture):
        if target is not None:
            outputs.writable(target)
    if not is_sweep_file(path):
        _show_columns(path, options, table, start, json)
        return
    file = read_sweep_file(path)
    for line in _contents(file):
        console.say(line, json)
    clamp, problem = _clamp(file, options, table)
    content = _file_content(file) | {"current_clamp": clamp is not None, "problem": problem}
    responses: list[StepResponse] = []
    if clamp is None:
        console.note(f"{problem}")
    else:
        found, responses = _measured(clamp, options, content)
        said = [str(found)] if found is not None and not options.subtract_bridge else []
        for line in (*clamp.report, *said, *_lines(responses)):
            console.say(line, json)
    outputs.write_json(json, "record", None, start, outputs.without_nan(content))
    outputs.say_written(_write(file, clamp, responses, options.picture, table), json)


def _show_columns(path: Path, options: InfoOptions, table: Path | None, start: float, json: str | None) -> None:
    """What is in a file of columns, such as an oscilloscope's: one voltage over time, and no injected current."""
    import numpy as np

    from analog_fhn.reconstruct.recordings.files import read_recording

    given = options_set(options) | {"--output": table}
    for option, value in given.items():
        if option not in ("--info", "--picture") and value is not None:
            raise InputError(f"{option} {value}: {path} is read as columns of numbers, without sweeps of current")
    recording = read_recording(path, allow_clipped=True)
    low, high = float(np.nanmin(recording.voltage)), float(np.nanmax(recording.voltage))
    for line in (
        f"{path}: columns of numbers, {len(recording)} samples every {recording.step:g} s, {low:.4g} to {high:.4g} V",
        *recording.report,
    ):
        console.say(line, json)
    content = {
        "file": str(path), "program": "columns of numbers", "n_sweeps": 1, "samples": [len(recording)],
        "rate": 1.0 / recording.step, "current_clamp": False, "problem": f"{path}: does not say what was injected",
        "report": list(recording.report),
    }  # fmt: skip
    outputs.write_json(json, "record", None, start, content)
    if options.picture is not None:
        from analog_fhn import plots

        plots.save(plots.traces({"": (recording.time, recording.voltage)}, path.name, "voltage (V)"), options.picture)
        outputs.say_written([options.picture], json)


def _clamp(file: SweepFile, options: InfoOptions, table: Path | None) -> tuple[CurrentClamp | None, str | None]:
    """The file as a current clamp, or why it is none; what was asked for by name must be there."""
    from analog_fhn.reconstruct.bridge import without_bridge
    from analog_fhn.reconstruct.recordings.clamp_files import current_clamp

    asked = any(v is not None for v in (options.channel, options.command, options.volts_per_unit, table))
    try:
        clamp = current_clamp(
            file, channel=options.channel, command=options.command, volts_per_unit=options.volts_per_unit
        )
    except InputError as error:
        if asked or options.subtract_bridge:
            raise
        return None, str(error)
    return (without_bridge(clamp) if options.subtract_bridge else clamp), None


def _measured(
    clamp: CurrentClamp, options: InfoOptions, content: dict[str, Any]
) -> tuple[Bridge | None, list[StepResponse]]:
    """Bridge balance and responses to the steps; `content` is given what they are."""
    from dataclasses import asdict

    from analog_fhn.reconstruct.bridge import bridge
    from analog_fhn.reconstruct.recordings.current_clamp import REARM_LEVEL, SPIKE_LEVEL
    from analog_fhn.reconstruct.steps import step_responses

    try:
        found = bridge(clamp)
    except InputError:  # too few edges of the current
        found = None
    responses = step_responses(clamp)
    content |= {
        "step": clamp.step, "report": list(clamp.report), "bridge": None if found is None else asdict(found),
        "bridge_subtracted": options.subtract_bridge, "spike_level": SPIKE_LEVEL, "rearm_level": REARM_LEVEL,
        "currents": clamp.currents.tolist(), "steps": [response.record for response in responses],
        "thresholds": _thresholds(responses),
    }  # fmt: skip
    return found, responses


def _thresholds(responses: list[StepResponse]) -> list[dict[str, Any]]:
    """Threshold current for the steps of each number; none where there is no spike."""
    from analog_fhn.reconstruct.steps import threshold

    found = []
    for number in sorted({response.step.number for response in responses}):
        own = [response for response in responses if response.step.number == number]
        if any(len(response.spikes) for response in own):
            between = threshold(own)
            found.append({"step": number + 1, "silent": between.silent, "spiking": between.spiking})
    return found


def _contents(file: SweepFile) -> list[str]:
    """Sweeps, channels and commands, for people."""
    first = file.channels[0]
    lengths = sorted(set(file.lengths(first)))
    samples = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    seconds = f"{lengths[0] * first.step:g}" + ("" if len(lengths) == 1 else f" to {lengths[-1] * first.step:g}")
    return [
        f"{file.path}: {file.program}, {counted(file.n_sweeps, 'sweep')} of {samples} samples ({seconds} s) at "
        f"{1e-3 / first.step:g} kHz",
        *(f"channel {channel}: {channel.kind}" for channel in file.channels),
        *(f"command {command}" + (f": {command.problem}" if command.problem else "") for command in file.commands),
        *([f"no command: {file.no_commands}"] if file.no_commands else []),
    ]


def _file_content(file: SweepFile) -> dict[str, Any]:
    return {
        "file": str(file.path), "program": file.program, "sha256": file.sha256, "n_sweeps": file.n_sweeps,
        "samples": file.lengths(file.channels[0]), "rate": 1.0 / file.channels[0].step,
        "channels": [
            {"number": c.number, "name": c.name, "unit": c.unit, "kind": c.kind, "rate": 1.0 / c.step}
            for c in file.channels
        ],
        "commands": [{"name": c.name, "unit": c.unit, "problem": c.problem or None} for c in file.commands],
    }  # fmt: skip


def _lines(responses: list[StepResponse]) -> list[str]:
    """Thresholds, and a table of the steps in ms, mV and pA."""
    pico = 1e12
    lines = []
    for entry in _thresholds(responses):
        silent = "no silent current" if entry["silent"] is None else f"silent at {pico * entry['silent']:g} pA"
        lines.append(f"threshold, step {entry['step']}: {silent}, spikes from {pico * entry['spiking']:g} pA")
    if not lines:
        lines.append("no spike in any step")
    names = ("step", "pA", "spikes", "1/s", "latency ms", "first ms", "last ms", "adaptation", "baseline mV")
    lines.append("  ".join(f"{name:>11}" for name in names))
    for r in sorted(responses, key=lambda r: (r.step.number, r.step.amplitude)):
        cells = [
            f"{r.step.number + 1}", f"{pico * r.step.amplitude:g}", f"{len(r.spikes)}", f"{r.rate:g}",
            *("" if v is None else f"{1e3 * v:.1f}" for v in (r.latency, r.first_interval, r.last_interval)),
            "" if r.adaptation is None else f"{r.adaptation:.3f}", f"{1e3 * r.baseline:.1f}",
        ]  # fmt: skip
        lines.append("  ".join(f"{cell:>11}" for cell in cells))
    return lines


def _write(
    file: SweepFile, clamp: CurrentClamp | None, responses: list[StepResponse], picture: Path | None, table: Path | None
) -> list[Path]:
    """Table and picture; the paths of those that were asked for."""
    from analog_fhn._support.files import write_records

    if table is not None:
        write_records(table, [response.record for response in responses])
    if picture is not None:
        from analog_fhn import plots
        from analog_fhn.reconstruct.judge.clamp_pictures import channel_sheet, step_sheet

        plots.save(channel_sheet(file) if clamp is None else step_sheet(clamp, responses), picture)
    return [path for path in (table, picture) if path is not None]
