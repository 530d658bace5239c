"""`analog-fhn reconstruct`: a neuron's dynamics from its recorded voltage, as a twin that runs by itself."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn.cli import common, costs
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analog_fhn.neuron import FloatArray
    from analog_fhn.reconstruct.fit import Fit, FitOptions
    from analog_fhn.reconstruct.recordings.recording import Recording
    from analog_fhn.reconstruct.rhythm import Rhythm

_FINE = 2000  # samples in a period above which fewer are advised ...
_USUAL = {"spiking": 300, "bursting": 1000}  # ... namely so many


def reconstruct(
    recordings: Annotated[
        list[Path],
        typer.Argument(metavar="RECORD.csv...", help="Recordings of one neuron; several where its drive was turned."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="TWIN.npz", help="Reconstruction to write.")],
    latent: Annotated[
        int | None, typer.Option("--latent", min=1, metavar="N", help="Latent coordinates (default: scanned, by rule).")
    ] = None,
    restarts: Annotated[
        int, typer.Option("--restarts", min=1, metavar="N", help="Maps from as many seeds; one is kept, by rule.")
    ] = 3,
    dimension: Annotated[int, typer.Option("--dimension", min=1, help="Samples in a delay vector.")] = 64,
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, help="Samples between them (default: spread, growing up to --longest)."),
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(
            "--longest",
            metavar="SECONDS",
            help="Largest lag of spread samples (default: half a period; with several drives 15 %).",
        ),
    ] = None,
    hidden: Annotated[
        int | None, typer.Option("--hidden", min=1, help="Sigmoid units of the map (default: 100).")
    ] = None,
    noise: Annotated[
        float,
        typer.Option("--noise", metavar="SHARE", help="Noise on the map's training states, relative to their steps."),
    ] = 0.15,
    ahead: Annotated[
        int | None,
        typer.Option(
            "--ahead",
            min=0,
            metavar="STEPS",
            help="Steps that each map is trained on at once, after single ones (default: 50).",
        ),
    ] = None,
    polynomial: Annotated[
        int | None,
        typer.Option("--polynomial", min=1, metavar="ORDER", help="A polynomial map in place of the neural."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Training steps of the autoencoder; the scan takes half.")
    ] = None,
    drive: Annotated[
        str | None,
        typer.Option("--drive", metavar="I,...", help="Value of the turned control in each recording; makes p."),
    ] = None,
    volts_per_x: Annotated[
        float | None, typer.Option("--volts-per-x", metavar="VOLTS", help="FHN neuron: volts per unit of x.")
    ] = None,
    time_unit: Annotated[
        float | None, typer.Option("--time-unit", metavar="SECONDS", help="FHN neuron: seconds per time unit T.")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME|N", help="Column of the voltage, by name or number from 1.")
    ] = None,
    time_column: Annotated[
        str | None, typer.Option("--time-column", metavar="NAME|N", help="Column of the time.")
    ] = None,
    step: Annotated[
        float | None, typer.Option("--step", metavar="SECONDS", help="Sampling interval of files without times.")
    ] = None,
    begin: Annotated[
        float | None, typer.Option("--start", metavar="SECONDS", help="Time of the first sample that is taken.")
    ] = None,
    stop: Annotated[
        float | None, typer.Option("--stop", metavar="SECONDS", help="Time before which the last one is taken.")
    ] = None,
    volts_per_unit: Annotated[
        float | None,
        typer.Option("--volts-per-unit", metavar="VOLTS", help="One unit of the voltage's column, if not as it says."),
    ] = None,
    seconds_per_unit: Annotated[
        float | None,
        typer.Option("--seconds-per-unit", metavar="SECONDS", help="One unit of the times' column, likewise."),
    ] = None,
    every: Annotated[
        int, typer.Option("--every", min=1, metavar="N", help="Take means of N successive samples each.")
    ] = 1,
    bridge: Annotated[int, typer.Option("--bridge", min=0, help="Longest gap to bridge, samples.")] = 5,
    allow_clipped: Annotated[
        bool, typer.Option("--allow-clipped", help="Accept a recording that looks clipped.")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Folder for pictures of every step.")
    ] = None,
    seed: common.SeedOption = 0,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Rebuild a neuron's dynamics from its voltage: delay vectors, autoencoder, and a map that runs by itself.

    From one recording the map repeats what was recorded; what turning its knob p does is not determined by one value
    of p, and is only of use where --drive gives several.
    """
    import numpy as np

    from analog_fhn.errors import RunError
    from analog_fhn.reconstruct.fit import RULE, FitOptions, fit
    from analog_fhn.reconstruct.model.maps import MapOptions
    from analog_fhn.reconstruct.model.multistep import MultiStepOptions
    from analog_fhn.reconstruct.recordings.files import read_recording

    start = time.perf_counter()
    control = None if drive is None else common.numbers("--drive", drive)
    if len(recordings) > 1 and control is None:
        raise InputError(f"{len(recordings)} recordings: --drive must say at which value of the control each was made")
    if control is not None and len(control) != len(recordings):
        raise InputError(
            f"--drive {drive}: {len(control)} values; expected one for each of {len(recordings)} recordings"
        )
    if stride is not None and longest is not None:
        raise InputError("--stride takes samples at equal distances; --longest is of those that are spread")
    for option, given in (("--hidden", hidden), ("--ahead", ahead)):
        if polynomial is not None and given is not None:
            owners = {"the neural map": (option,)}
            raise common.foreign(option, f"{option} {given}", f"--polynomial {polynomial}", owners)
    hidden = MapOptions.hidden if hidden is None else hidden
    ahead = MultiStepOptions.ahead if ahead is None else ahead
    _check_units(volts_per_x, time_unit, control)
    common.check_above_0("--step", step, "a number of seconds")
    common.check_above_0("--volts-per-unit", volts_per_unit, "a number of volts")
    common.check_above_0("--seconds-per-unit", seconds_per_unit, "a number of seconds")
    common.check_outputs(dict.fromkeys(recordings, "a recording"), {"-o": output, "--json": json})
    common.writable(output)
    folder = None if pictures is None else common.output_folder(pictures)
    options = FitOptions(
        dimension=dimension, stride=stride, longest=longest, latent=latent, restarts=restarts, polynomial=polynomial,
        refine=MultiStepOptions(ahead) if ahead else None, bridge=bridge, seed=seed,
        map=MapOptions(hidden=hidden, noise=noise), **_training(steps),
    )  # fmt: skip
    read = [
        read_recording(
            path, column=column, time_column=time_column, step=step, start=begin, stop=stop,
            volts_per_unit=volts_per_unit, seconds_per_unit=seconds_per_unit, allow_clipped=allow_clipped,
        )
        for path in recordings
    ]  # fmt: skip
    for path, recording in zip(recordings, read, strict=True):
        for line in recording.report:
            common.say(f"{path}: {line}", json)
    read = [recording.thinned(every) for recording in read]
    for path, recording in zip(recordings, read, strict=True):
        low, high = float(np.nanmin(recording.voltage)), float(np.nanmax(recording.voltage))
        common.say(
            f"{path}: {len(recording)} samples every {recording.step:g} s ({recording.step * len(recording):g} s), "
            f"{low:.4g} to {high:.4g} V",
            json,
        )
    common.check_work(costs.reconstruction(options, sum(map(len, read))), yes=yes)
    fine = _too_fine(read[0])
    if fine:
        common.say(fine, json)
    with common.progress_bar("reconstruct") as bar:
        found = fit(read, options, control, lambda _what, done, total: bar(done, total))
    made = found.reconstruction
    if volts_per_x is not None and time_unit is not None:
        from analog_fhn.reconstruct.twin import as_neuron

        made = as_neuron(made, volts_per_x, time_unit)
    made.save(output)
    first = read[0].bridged(bridge)
    vectors, index = made.embedding.vectors(first.voltage)
    states = made.states(vectors)
    quality = _quality(first, found, states, index)
    content = _summary(found, options) | quality | {"file": str(output), "rule": RULE}
    content |= {"every": every, "start": begin, "stop": stop}
    content["recordings"] = [
        {"file": str(path), "samples": len(recording), "step": recording.step, "p": p, "regime": rhythm.regime,
         "period": rhythm.period, "report": list(recording.report)}
        for path, recording, p, rhythm in zip(recordings, read, control or [1.0], found.recorded, strict=True)
    ]  # fmt: skip
    for line in [*_lines(found), _quality_line(quality)]:
        common.say(line, json)
    common.write_json(json, "reconstruct", seed, start, common.without_nan(content))
    written = [output]
    if folder is not None:
        written += _pictures(folder, first, found, 1.0 if control is None else control[0], states, index)
    common.say_written(written, json)
    if ahead and polynomial is None and len(found.maps) == restarts:  # of each restart the first map alone
        why = "nowhere do so many samples follow each other, or it diverged"
        common.say(f"note: no map could be trained on {ahead} steps: {why}", json)
    alike, wanted = len(found.alike(found.chosen)), len(found.wanted)
    if alike < wanted:
        text = f"{alike} of {wanted} free runs of the map that was kept show the recorded regime"
        help = "more --restarts or --steps, another --seed or a longer recording may help"
        if not alike:
            raise RunError(f"{text}; {help}")
        common.say(f"note: {text}; {help}", json)


def _too_fine(recording: Recording) -> str:
    """Advice where a period has more samples than a map of single steps can use; empty where it has not."""
    import numpy as np

    from analog_fhn.reconstruct.rhythm import Levels, Rhythm

    rhythm = Rhythm.of(recording.voltage, recording.step, Levels.of(recording.voltage), missing=True)
    samples = rhythm.period / recording.step
    if not (np.isfinite(samples) and samples > _FINE):
        return ""
    return (
        f"{samples:.0f} samples in a period are more than a map of single steps can use; try --every "
        f"{round(samples / _USUAL[rhythm.regime])}"
    )


def _check_units(volts_per_x: float | None, time_unit: float | None, control: list[float] | None) -> None:
    if (volts_per_x is None) != (time_unit is None):
        raise InputError(
            "--volts-per-x and --time-unit belong together: they make a twin a hidden neuron of `classify`"
        )
    common.check_above_0("--volts-per-x", volts_per_x)
    common.check_above_0("--time-unit", time_unit)
    if volts_per_x is not None and (control is None or len(set(control)) < 2):
        raise InputError(
            "--volts-per-x: a hidden neuron is driven; expected recordings at two or more values of --drive"
        )


def _training(steps: int | None) -> dict[str, Any]:
    from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions

    if steps is None:
        return {}
    return {"autoencoder": AutoencoderOptions(steps=steps), "scan_steps": max(1, steps // 2)}


def _summary(found: Fit, options: FitOptions) -> dict[str, Any]:
    from dataclasses import asdict

    import numpy as np

    from analog_fhn.reconstruct.fit import STARTS

    first, kept = found.recorded[0], found.rhythms[found.chosen][:STARTS]
    period = float(np.median([rhythm.period for rhythm in kept]))
    return {
        "recorded_regime": first.regime,
        "recorded_regimes": [rhythm.regime for rhythm in found.recorded],
        "regimes": [[rhythm.regime for rhythm in rhythms] for rhythms in found.rhythms],
        "period_recorded": first.period,
        "period": period,
        "period_error": period / first.period - 1.0,
        "spikes_per_burst": float(np.median([rhythm.spikes_per_burst for rhythm in kept])),
        "spikes_per_burst_recorded": first.spikes_per_burst,
        "latent": found.reconstruction.autoencoder.latent,
        "latent_scan": list(found.latent_scan),
        "one_step_errors": [float(error) for error in found.one_step],
        "restarts": options.restarts,
        "maps": list(found.names),
        "dimension": found.reconstruction.embedding.dimension,
        "waveform_errors": [list(shapes) for shapes in found.shapes],
        "chosen": found.chosen,
        "settings": asdict(options),
    }


def _lines(found: Fit) -> list[str]:
    lines = []
    if found.latent_scan:
        losses = " ".join(f"{loss:.3g}" for loss in found.latent_scan)
        lines.append(
            f"loss with 1, 2, ... latent coordinates: {losses}; {found.reconstruction.autoencoder.latent} taken"
        )
        if found.reconstruction.autoencoder.latent == 1:
            lines.append("no size takes more than 60 % of the loss away: the scan shows no elbow; try more --steps")
    lines.append("recorded: " + "; ".join(map(_rhythm, found.recorded)))
    found_maps = zip(found.names, found.rhythms, found.shapes, found.one_step, strict=True)
    for k, (name, rhythms, shapes, error) in enumerate(found_maps):
        runs = "; ".join(map(_rhythm, rhythms)) if len(found.recorded) == 1 else _counted(found, k)
        known = [shape for shape in shapes if math.isfinite(shape)]
        if known:
            runs += f", waveform within {max(known):.1%} rms of its range"
        kept = ", kept" if k == found.chosen else ""
        lines.append(f"{name} (one-step error {error:.2g}{kept}), free runs: {runs}")
    return lines


def _counted(found: Fit, number: int) -> str:
    """How many free runs of a map are right, and how far off in period the worst of these is."""
    import numpy as np

    alike = found.alike(number)
    text = f"{len(alike)} of {len(found.wanted)} in the recorded regime"
    errors = [abs(rhythm.period / truth.period - 1.0) for truth, rhythm in alike]
    errors = [error for error in errors if np.isfinite(error)]
    return f"{text}, period within {max(errors):.1%}" if errors else text


def _quality(recording: Recording, found: Fit, states: FloatArray, index: NDArray[np.intp]) -> dict[str, Any]:
    """Tears and turns of the first recording's curve, and what it explains of a state that is known."""
    from analog_fhn.reconstruct.judge.quality import explained, largest_step, turns_apart

    share = None
    if recording.states is not None:
        with suppress(InputError):  # more latent coordinates than can be told apart
            share = explained(states, recording.states[index]).tolist()
    return {
        "largest_step": largest_step(states, index),
        "turns_apart": turns_apart(states, index, recording.step, found.recorded[0]),
        "explained": share,
    }


def _quality_line(quality: dict[str, Any]) -> str:
    line = f"recovered state, in standard deviations: largest step {quality['largest_step']:.2g}"
    if math.isfinite(quality["turns_apart"]):
        line += f", turns of a burst {quality['turns_apart']:.2g} apart"
    if quality["explained"] is not None:
        line += "; explains (cubic R2) of the true state " + " ".join(f"{v:.3f}" for v in quality["explained"])
    return line


def _rhythm(rhythm: Rhythm) -> str:
    text = str(rhythm.regime)
    if math.isfinite(rhythm.period):
        text += f", period {rhythm.period:.4g} s"
    if math.isfinite(rhythm.spikes_per_burst):
        text += f", {rhythm.spikes_per_burst:g} spikes per burst"
    return text


def _pictures(
    folder: Path, recording: Recording, found: Fit, p: float, states: FloatArray, index: NDArray[np.intp]
) -> list[Path]:
    """Advice on the embedding, latent scan, portrait, free runs at p and intervals, beside the recording made at p."""
    from analog_fhn import plots
    from analog_fhn.reconstruct.judge import pictures
    from analog_fhn.reconstruct.judge.advice import advice
    from analog_fhn.reconstruct.rhythm import Rhythm

    made = found.reconstruction
    paths = [plots.save(pictures.embedding_advice(advice(recording.voltage, recording.step)), folder / "advice.png")]
    if found.latent_scan:
        sizes = list(range(1, len(found.latent_scan) + 1))
        label = f"D = {made.embedding.dimension}"
        figure = pictures.latent_scan(sizes, {label: found.latent_scan}, made.autoencoder.latent)
        paths.append(plots.save(figure, folder / "latent_scan.png"))
    shown = slice(0, 6000)
    truth = (
        None if recording.states is None or recording.states.shape[1] not in (2, 3) else recording.states[index[shown]]
    )
    figure = pictures.portraits(truth, states[shown], 1e3 * recording.voltage[index[shown]])
    paths.append(plots.save(figure, folder / "portraits.png"))
    length = min(len(recording), 6000)
    runs = made.run(length * made.step, p)
    labels = {f"free run from start {k + 1}": run for k, run in enumerate(runs)}
    figure = pictures.recording_and_free_run(recording.time[:length], recording.voltage[:length], labels)
    paths.append(plots.save(figure, folder / "free_runs.png"))
    rhythms = {label: Rhythm.of(run, made.step, made.levels).intervals for label, run in labels.items()}
    intervals = found.recorded[0].intervals
    if len(intervals):
        paths.append(plots.save(pictures.intervals(intervals, rhythms), folder / "intervals.png"))
    return paths
