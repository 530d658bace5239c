"""What `analog-fhn reconstruct` says of its result: lines for people, the JSON object's content, pictures."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analog_fhn.cli import console
from analog_fhn.errors import InputError, RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analog_fhn.neuron import FloatArray
    from analog_fhn.reconstruct.pipeline import FitOptions, FitResult
    from analog_fhn.reconstruct.recordings.recording import Recording
    from analog_fhn.reconstruct.rhythm import Rhythm

_FINE = 2000  # samples in a period above which fewer are advised ...
_USUAL = {"spiking": 300, "bursting": 1000}  # ... namely so many


def recordings_content(
    paths: list[Path], recordings: list[Recording], control: list[float] | None, result: FitResult
) -> list[dict[str, Any]]:
    """What the JSON object says about each recording."""
    return [
        {"file": str(path), "samples": len(recording), "step": recording.step, "p": p, "regime": rhythm.regime,
         "period": rhythm.period, "report": list(recording.report)}
        for path, recording, p, rhythm in zip(paths, recordings, control or [1.0], result.recorded, strict=True)
    ]  # fmt: skip


def say_doubts(result: FitResult, options: FitOptions, json: str | None) -> None:
    """Say what did not work out.

    Raises
    ------
    RunError
        If no free run of the chosen map shows the recorded regime.
    """
    # Of each restart there is the first map alone.
    if options.refine is not None and options.polynomial is None and len(result.maps) == options.restarts:
        why = "nowhere do so many samples follow each other, or it diverged"
        console.say(f"note: no map could be trained on {options.refine.ahead} steps: {why}", json)
    alike, every = len(result.alike(result.chosen)), len(result.expected)
    if alike < every:
        text = f"{alike} of {every} free runs of the map that was kept show the recorded regime"
        remedy = "more --restarts or --steps, another --seed or a longer recording may help"
        if not alike:
            raise RunError(f"{text}; {remedy}")
        console.say(f"note: {text}; {remedy}", json)


def too_fine(recording: Recording) -> str:
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


def summary(result: FitResult, options: FitOptions) -> dict[str, Any]:
    """Content of the JSON object: rhythms of the recordings and of the free runs, the maps and the settings."""
    from dataclasses import asdict

    import numpy as np

    from analog_fhn.reconstruct.pipeline import STARTS

    first, chosen = result.recorded[0], result.rhythms[result.chosen][:STARTS]
    period = float(np.median([rhythm.period for rhythm in chosen]))
    return {
        "recorded_regime": first.regime,
        "recorded_regimes": [rhythm.regime for rhythm in result.recorded],
        "regimes": [[rhythm.regime for rhythm in rhythms] for rhythms in result.rhythms],
        "period_recorded": first.period,
        "period": period,
        "period_error": period / first.period - 1.0,
        "spikes_per_burst": float(np.median([rhythm.spikes_per_burst for rhythm in chosen])),
        "spikes_per_burst_recorded": first.spikes_per_burst,
        "latent": result.reconstruction.autoencoder.latent,
        "latent_scan": list(result.latent_scan),
        "one_step_errors": [float(error) for error in result.one_step],
        "restarts": options.restarts,
        "maps": list(result.names),
        "dimension": result.reconstruction.embedding.dimension,
        "waveform_errors": [list(shapes) for shapes in result.shapes],
        "chosen": result.chosen,
        "settings": asdict(options),
    }


def lines(result: FitResult) -> list[str]:
    """The latent scan, the recorded rhythms, and a line on the free runs of each map."""
    lines = []
    if result.latent_scan:
        losses = " ".join(f"{loss:.3g}" for loss in result.latent_scan)
        lines.append(
            f"loss with 1, 2, ... latent coordinates: {losses}; {result.reconstruction.autoencoder.latent} taken"
        )
        if result.reconstruction.autoencoder.latent == 1:
            lines.append("no size takes more than 60 % of the loss away: the scan shows no elbow; try more --steps")
    lines.append("recorded: " + "; ".join(map(_rhythm, result.recorded)))
    maps = zip(result.names, result.rhythms, result.shapes, result.one_step, strict=True)
    for k, (name, rhythms, shapes, error) in enumerate(maps):
        runs = "; ".join(map(_rhythm, rhythms)) if len(result.recorded) == 1 else _counted(result, k)
        known = [shape for shape in shapes if math.isfinite(shape)]
        if known:
            runs += f", waveform within {max(known):.1%} rms of its range"
        choice = ", kept" if k == result.chosen else ""
        lines.append(f"{name} (one-step error {error:.2g}{choice}), free runs: {runs}")
    return lines


def _counted(result: FitResult, number: int) -> str:
    """How many free runs of a map show the recorded regime, and the largest error of the period among these."""
    import numpy as np

    alike = result.alike(number)
    text = f"{len(alike)} of {len(result.expected)} in the recorded regime"
    errors = [abs(rhythm.period / truth.period - 1.0) for truth, rhythm in alike]
    errors = [error for error in errors if np.isfinite(error)]
    return f"{text}, period within {max(errors):.1%}" if errors else text


def quality(recording: Recording, result: FitResult, states: FloatArray, index: NDArray[np.intp]) -> dict[str, Any]:
    """Tears and turns of the first recording's curve, and what it explains of a state that is known."""
    from analog_fhn.reconstruct.judge.quality import explained, largest_step, turns_apart

    share = None
    if recording.states is not None:
        with suppress(InputError):  # more latent coordinates than can be told apart
            share = explained(states, recording.states[index]).tolist()
    return {
        "largest_step": largest_step(states, index),
        "turns_apart": turns_apart(states, index, recording.step, result.recorded[0]),
        "explained": share,
    }


def quality_line(quality: dict[str, Any]) -> str:
    """The result of `quality` in words."""
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


def write_pictures(
    folder: Path, recording: Recording, result: FitResult, p: float, states: FloatArray, index: NDArray[np.intp]
) -> list[Path]:
    """Advice on the embedding, latent scan, portrait, free runs at p and intervals, beside the recording made at p."""
    from analog_fhn import plots
    from analog_fhn.reconstruct.judge import pictures
    from analog_fhn.reconstruct.judge.advice import advice
    from analog_fhn.reconstruct.rhythm import Rhythm

    reconstruction = result.reconstruction
    paths = [plots.save(pictures.embedding_advice(advice(recording.voltage, recording.step)), folder / "advice.png")]
    if result.latent_scan:
        sizes = list(range(1, len(result.latent_scan) + 1))
        label = f"D = {reconstruction.embedding.dimension}"
        figure = pictures.latent_scan(sizes, {label: result.latent_scan}, reconstruction.autoencoder.latent)
        paths.append(plots.save(figure, folder / "latent_scan.png"))
    shown = slice(0, 6000)
    truth = None
    if recording.states is not None and recording.states.shape[1] in (2, 3):
        truth = recording.states[index[shown]]
    figure = pictures.portraits(truth, states[shown], 1e3 * recording.voltage[index[shown]])
    paths.append(plots.save(figure, folder / "portraits.png"))
    length = min(len(recording), 6000)
    runs = reconstruction.run(length * reconstruction.step, p)
    labels = {f"free run from start {k + 1}": run for k, run in enumerate(runs)}
    figure = pictures.recording_and_free_run(recording.time[:length], recording.voltage[:length], labels)
    paths.append(plots.save(figure, folder / "free_runs.png"))
    rhythms = {
        label: Rhythm.of(run, reconstruction.step, reconstruction.levels).intervals for label, run in labels.items()
    }
    intervals = result.recorded[0].intervals
    if len(intervals):
        paths.append(plots.save(pictures.intervals(intervals, rhythms), folder / "intervals.png"))
    return paths
