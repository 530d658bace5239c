"""`analog-fhn reconstruct` of a current-clamp file: a twin that the injected current drives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analog_fhn._support.interrupts import keeping, kept
from analog_fhn._support.words import counted
from analog_fhn.cli import console, outputs
from analog_fhn.cli.options import as_written, options_set
from analog_fhn.errors import InputError, RunError

if TYPE_CHECKING:
    from analog_fhn._support.progress import Progress
    from analog_fhn.reconstruct.adex import Adex
    from analog_fhn.reconstruct.driven.pipeline import DrivenResult
    from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, Step


def is_current_clamp(paths: list[Path]) -> bool:
    """Whether the recordings are files of sweeps, by the ends of their names.

    Raises
    ------
    InputError
        If such a file is not the only one.
    """
    from analog_fhn.reconstruct.recordings.sweep_file import is_sweep_file

    files = [path for path in paths if is_sweep_file(path)]
    if files and len(paths) > 1:
        raise InputError(f"{files[0]} holds all sweeps of a neuron; expected it alone, not {len(paths)} recordings")
    return bool(files)


def refuse_options(path: Path, groups: list[Any]) -> None:
    """Refuse options of the recordings without a known current."""
    for group in groups:
        for option, value in options_set(group).items():
            raise InputError(
                f"{as_written(option, value)} is an option of recordings of one voltage; {path} is a current clamp, "
                "whose currents and steps are in the file"
            )


def reconstruct_driven_file(
    path: Path,
    output: Path,
    pictures: Path | None,
    seed: int,
    json: str | None,
    start: float,
    chosen: Mapping[str, Any],
    *,
    subtract_bridge: bool,
) -> None:
    """Rebuild the neuron of a file, judge it on currents that it was not shown, and write twin, numbers and pictures.

    Parameters
    ----------
    chosen
        Channel, command and volts per unit, as `read_current_clamp` takes them.
    subtract_bridge
        Whether the electrode's part is taken from the voltage first.

    Raises
    ------
    RunError
        If the goal is not met; everything is written before.
    """
    from analog_fhn.reconstruct.bridge import without_bridge
    from analog_fhn.reconstruct.driven.judging import RULE
    from analog_fhn.reconstruct.driven.pipeline import reconstruct_driven
    from analog_fhn.reconstruct.recordings.clamp_files import read_current_clamp

    outputs.check_outputs({path: "the recording"}, {"-o": output, "--json": json, "--pictures": pictures})
    outputs.writable(output)
    folder = None if pictures is None else outputs.output_folder(pictures)
    clamp = read_current_clamp(path, **chosen)
    if subtract_bridge:
        clamp = without_bridge(clamp)
    for line in clamp.report:
        console.say(f"{path}: {line}", json)
    clamp.check_spikes()
    with console.progress_bar("reconstruct") as bar, keeping() as work:
        result = reconstruct_driven(clamp, seed=seed, progress=bar)
    result.twin.save(output)
    adex = None
    if work.interrupted:
        console.going_on(f"with {counted(len(result.trained.maps), 'map')}, and no integrate-and-fire neuron")
    else:
        with console.progress_bar("baseline") as bar, keeping() as work, kept(lambda: True):
            adex = _baseline(clamp, seed, bar)
        if work.interrupted:
            console.going_on("without the integrate-and-fire neuron")
    of_adex = {} if adex is None else {step: len(times) for step, times in adex.counts(clamp, clamp.currents)}
    baseline = [of_adex.get(run.step) for run in result.held]
    for line in _lines(result, baseline):
        console.say(line, json)
    rows = [row | {"spikes_baseline": n} for row, n in zip(result.rows(), baseline, strict=True)]
    content = {"file": str(output), "rule": RULE, "reached": result.reached, "held_out": rows}
    content |= _content(result) | {"baseline": _baseline_content(result, baseline, adex)}
    outputs.write_json(json, "reconstruct", seed, start, outputs.without_nan(content))
    written = [output]
    if folder is not None:
        written += _pictures(clamp, result, of_adex, folder)
    outputs.say_written(written, json)
    if not result.reached:
        missed = [
            f"{1e12 * run.step.amplitude:g} pA: {len(run.times)} spikes for {len(run.recorded_times)}"
            for run in result.held
            if not run.within
        ]
        text = f"{len(missed)} of {len(result.held)} held-out steps are not as recorded ({'; '.join(missed)})"
        if work.interrupted:  # the command ends with what it says of Ctrl-C
            console.say(text, json)
        else:
            raise RunError(f"{text}; another --seed may help")


def _baseline(clamp: CurrentClamp, seed: int, progress: Progress) -> Adex | None:
    """Integrate-and-fire neuron that is fitted to the same steps; None: none of them has a spike."""
    from analog_fhn.reconstruct.adex import fit_adex

    try:
        return fit_adex(clamp, seed, progress=progress)
    except InputError:
        return None


def _baseline_content(result: DrivenResult, spikes: list[int | None], adex: Adex | None) -> dict[str, Any] | None:
    """Its parameters, and whether it meets the rule."""
    from dataclasses import asdict

    from analog_fhn.reconstruct.driven.judging import within

    if adex is None:
        return None
    good = [n is not None and within(len(run.recorded_times), n) for run, n in zip(result.held, spikes, strict=True)]
    return {"model": "adaptive exponential integrate-and-fire", "reached": all(good)} | asdict(adex)


def _lines(result: DrivenResult, baseline: list[int | None]) -> list[str]:
    """Every held-out step, the whole sweeps, and the noise, for people."""
    trained = result.trained
    lines = [*trained.notes, f"{counted(len(trained.maps), 'map')} trained, misfits of the steps trained on: "
             f"{', '.join(f'{misfit:.2f}' for misfit in trained.maps)}; the best is kept"]  # fmt: skip
    for row, integrate_and_fire in zip(result.rows(), baseline, strict=True):
        text = (
            f"held out, {1e12 * row['current']:g} pA, step {row['step']}: {row['spikes_recorded']} spikes "
            f"recorded, {row['spikes_twin']} of the twin (whole sweep: {row['spikes_whole_sweep']})"
        )
        if integrate_and_fire is not None:
            text += f", {integrate_and_fire} of the integrate-and-fire neuron"
        if math.isfinite(row["waveform_error"]):
            text += f", spikes' waveform within {row['waveform_error']:.1%} rms of its range"
        if math.isfinite(row["rest_error"]):
            text += f", {1e3 * row['rest_error']:.2g} mV rms apart"
        lines.append(text)
    noise = result.noise
    if math.isfinite(noise.per_step):
        lines.append(
            f"not explained between spikes: as white current noise {1e12 * noise.density:.2g} pA/sqrt(Hz), "
            f"{1e3 * noise.per_step:.2g} mV a step; one-step error {1e3 * noise.one_step:.2g} mV rms"
        )
    else:
        lines.append("noise between spikes cannot be told: the neuron is nowhere quiet for long enough")
    lines += [
        f"in this noise {1e12 * step.current:g} pA, step {step.step} ({step.recorded} recorded) gives "
        f"{min(step.counts)} to {max(step.counts)} spikes, without it {step.quiet}"
        for step in result.near
    ]
    return lines


def _content(result: DrivenResult) -> dict[str, Any]:
    """What the JSON object says beside the held-out steps."""
    from dataclasses import asdict

    twin = result.twin
    return {
        "trained_on": [
            {"current": run.step.amplitude, "sweep": run.step.sweep + 1, "step": run.step.number + 1,
             "spikes_recorded": len(run.recorded_times),
             "spikes_twin": len(run.times)}
            for run in result.others
        ],
        "curve": {"currents": twin.currents.tolist(), "rates": twin.rates.tolist(), "base": twin.base.tolist()},
        "noise": asdict(result.noise) | {"near_threshold": [vars(step) for step in result.near]},
        "misfits": list(result.trained.misfits), "chosen": result.trained.chosen, "maps": list(result.trained.maps),
        "notes": list(result.trained.notes),
        **{name: twin.notes[name] for name in ("source", "sha256", "recording")}, "settings": twin.notes["options"],
    }  # fmt: skip


def _pictures(clamp: CurrentClamp, result: DrivenResult, of_adex: dict[Step, int], folder: Path) -> list[Path]:
    """Waveforms at held-out currents, and spikes in every step over the current."""
    from analog_fhn import plots
    from analog_fhn.reconstruct.driven.pictures import held_out_waveforms
    from analog_fhn.reconstruct.judge.clamp_pictures import judged_curves

    models = {"twin": {run.step: len(run.times) for run in (*result.held, *result.others)}}
    if of_adex:
        models["integrate-and-fire"] = of_adex
    curves = judged_curves(clamp, models, clamp.held_out, clamp.source)
    return [
        plots.save(held_out_waveforms(result.held, clamp.source), folder / "held_out.png"),
        plots.save(curves, folder / "fi.png"),
    ]
