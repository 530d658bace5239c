"""`analog-fhn reconstruct`: a neuron's dynamics from its recorded voltage, as a twin that runs by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analog_fhn._support.interrupts import keeping
from analog_fhn.cli import console, costs, option_values, outputs, parameters, reconstruct_driven, reconstruct_result
from analog_fhn.cli.options import as_written, options_set, takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.reconstruct.model.reconstruction import Reconstruction
    from analog_fhn.reconstruct.pipeline import FitOptions
    from analog_fhn.reconstruct.recordings.recording import Recording


@dataclass(frozen=True)
class FitSettings:
    """How delay vectors, autoencoder and maps are made."""

    latent: Annotated[
        int | None, typer.Option("--latent", min=1, metavar="N", help="Latent coordinates (default: scanned, by rule).")
    ] = None
    restarts: Annotated[
        int, typer.Option("--restarts", min=1, metavar="N", help="Maps from as many seeds; one is kept, by rule.")
    ] = 3
    dimension: Annotated[int, typer.Option("--dimension", min=1, help="Samples in a delay vector.")] = 64
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, help="Samples between them (default: spread, growing up to --longest)."),
    ] = None
    longest: Annotated[
        float | None,
        typer.Option(
            "--longest",
            metavar="SECONDS",
            help="Largest lag of spread samples (default: half a period; with several drives 15 %).",
        ),
    ] = None
    hidden: Annotated[int | None, typer.Option("--hidden", min=1, help="Sigmoid units of the map (default: 100).")] = (
        None
    )
    noise: Annotated[
        float,
        typer.Option("--noise", metavar="SHARE", help="Noise on the map's training states, relative to their steps."),
    ] = 0.15
    ahead: Annotated[
        int | None,
        typer.Option(
            "--ahead",
            min=0,
            metavar="STEPS",
            help="Steps that each map is trained on at once, after single ones (default: 50).",
        ),
    ] = None
    updates: Annotated[
        int | None,
        typer.Option("--updates", min=1, metavar="N", help="Updates of this training (default: 500)."),
    ] = None
    polynomial: Annotated[
        int | None,
        typer.Option("--polynomial", min=1, metavar="ORDER", help="A polynomial map in place of the neural."),
    ] = None
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Training steps of the autoencoder; the scan takes half.")
    ] = None

    def options(self, bridge: int, seed: int) -> FitOptions:
        """Options of the fit; gaps of up to `bridge` samples are bridged.

        Raises
        ------
        InputError
            If two of the options do not go together.
        """
        from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
        from analog_fhn.reconstruct.model.maps import MapOptions
        from analog_fhn.reconstruct.model.multistep import MultiStepOptions
        from analog_fhn.reconstruct.pipeline import FitOptions

        if self.stride is not None and self.longest is not None:
            raise InputError("--stride takes samples at equal distances; --longest is of those that are spread")
        for option, value in (("--hidden", self.hidden), ("--ahead", self.ahead), ("--updates", self.updates)):
            if self.polynomial is not None and value is not None:
                owners = {"the neural map": (option,)}
                raise option_values.foreign(option, f"{option} {value}", f"--polynomial {self.polynomial}", owners)
        if self.ahead == 0 and self.updates is not None:
            raise InputError(f"--updates {self.updates} is of the training that --ahead 0 leaves out")
        several = None if self.ahead == 0 else MultiStepOptions(**values_set(self, "ahead", "updates"))
        steps = {}
        if self.steps is not None:
            steps = {"autoencoder": AutoencoderOptions(steps=self.steps), "scan_steps": max(1, self.steps // 2)}
        return FitOptions(
            dimension=self.dimension, stride=self.stride, longest=self.longest, latent=self.latent,
            restarts=self.restarts, polynomial=self.polynomial, refine=several,
            bridge=bridge, seed=seed, map=MapOptions(noise=self.noise, **values_set(self, "hidden")),
            **steps,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True)
class DriveOptions:
    """The control that was turned, and the units in which it makes the reconstruction a hidden neuron."""

    drive: Annotated[
        str | None,
        typer.Option("--drive", metavar="I,...", help="Value of the turned control in each recording; makes p."),
    ] = None
    volts_per_x: Annotated[
        float | None, typer.Option("--volts-per-x", metavar="VOLTS", help="FHN neuron: volts per unit of x.")
    ] = None
    time_unit: Annotated[
        float | None, typer.Option("--time-unit", metavar="SECONDS", help="FHN neuron: seconds per time unit T.")
    ] = None

    def control(self, n_recordings: int) -> list[float] | None:
        """Value of the control in each recording; None: it was not turned.

        Raises
        ------
        InputError
            If the values are not as many as the recordings, or the units lack something.
        """
        control = None if self.drive is None else option_values.numbers("--drive", self.drive)
        if n_recordings > 1 and control is None:
            raise InputError(f"{n_recordings} recordings: --drive must say at which value of the control each was made")
        if control is not None and len(control) != n_recordings:
            raise InputError(
                f"--drive {self.drive}: {len(control)} values; expected one for each of {n_recordings} recordings"
            )
        if (self.volts_per_x is None) != (self.time_unit is None):
            raise InputError(
                "--volts-per-x and --time-unit belong together: they make a twin a hidden neuron of `classify`"
            )
        option_values.check_above_0("--volts-per-x", self.volts_per_x)
        option_values.check_above_0("--time-unit", self.time_unit)
        if self.volts_per_x is not None and (control is None or len(set(control)) < 2):
            raise InputError(
                "--volts-per-x: a hidden neuron is driven; expected recordings at two or more values of --drive"
            )
        return control

    def with_units(self, reconstruction: Reconstruction) -> Reconstruction:
        """The reconstruction as a hidden neuron, if its units are set."""
        from analog_fhn.reconstruct.twin import as_neuron

        if self.volts_per_x is None or self.time_unit is None:
            return reconstruction
        return as_neuron(reconstruction, self.volts_per_x, self.time_unit)


@dataclass(frozen=True)
class ReadingOptions:
    """How the files are read, and which of their samples are taken."""

    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME|N", help="Column of the voltage, by name or number from 1.")
    ] = None
    time_column: Annotated[str | None, typer.Option("--time-column", metavar="NAME|N", help="Column of the time.")] = (
        None
    )
    step: Annotated[
        float | None, typer.Option("--step", metavar="SECONDS", help="Sampling interval of files without times.")
    ] = None
    begin: Annotated[
        float | None, typer.Option("--start", metavar="SECONDS", help="Time of the first sample that is taken.")
    ] = None
    stop: Annotated[
        float | None, typer.Option("--stop", metavar="SECONDS", help="Time before which the last one is taken.")
    ] = None
    volts_per_unit: Annotated[
        float | None,
        typer.Option(
            "--volts-per-unit", metavar="VOLTS", help="One unit of the voltage's column or channel, if not as it says."
        ),
    ] = None
    seconds_per_unit: Annotated[
        float | None,
        typer.Option("--seconds-per-unit", metavar="SECONDS", help="One unit of the column of times, likewise."),
    ] = None
    every: Annotated[
        int, typer.Option("--every", min=1, metavar="N", help="Replace every N successive samples by their mean.")
    ] = 1
    bridge: Annotated[int, typer.Option("--bridge", min=0, help="Longest gap to bridge, samples.")] = 5
    allow_clipped: Annotated[bool, typer.Option("--allow-clipped", help="Accept a recording that looks clipped.")] = (
        False
    )

    def read(self, paths: list[Path], json: str | None) -> list[Recording]:
        """Recordings of the files, thinned; what is noticed in them is said."""
        import numpy as np

        from analog_fhn.reconstruct.recordings.files import read_recording

        recordings = [
            read_recording(
                path, column=self.column, time_column=self.time_column, step=self.step, start=self.begin,
                stop=self.stop, volts_per_unit=self.volts_per_unit, seconds_per_unit=self.seconds_per_unit,
                allow_clipped=self.allow_clipped,
            )
            for path in paths
        ]  # fmt: skip
        for path, recording in zip(paths, recordings, strict=True):
            for line in recording.report:
                console.say(f"{path}: {line}", json)
        recordings = [recording.thinned(self.every) for recording in recordings]
        for path, recording in zip(paths, recordings, strict=True):
            low, high = float(np.nanmin(recording.voltage)), float(np.nanmax(recording.voltage))
            length = recording.step * len(recording)
            console.say(
                f"{path}: {len(recording)} samples every {recording.step:g} s ({length:g} s), "
                f"{low:.4g} to {high:.4g} V",
                json,
            )
        return recordings

    def check(self) -> None:
        """Refuse a step or a unit that is no positive number."""
        option_values.check_above_0("--step", self.step, "a number of seconds")
        option_values.check_above_0("--volts-per-unit", self.volts_per_unit, "a number of volts")
        option_values.check_above_0("--seconds-per-unit", self.seconds_per_unit, "a number of seconds")


@dataclass(frozen=True)
class ClampOptions:
    """How a current clamp is taken."""

    channel: Annotated[
        str | None, typer.Option("--channel", metavar="NAME|N", help="Current clamp: the voltage's channel.")
    ] = None
    command: Annotated[
        str | None, typer.Option("--command", metavar="NAME", help="Current clamp: the injected current.")
    ] = None
    subtract_bridge: Annotated[
        bool,
        typer.Option("--subtract-bridge", help="Current clamp: take the electrode's part from the voltage first."),
    ] = False


@takes_option_groups
def reconstruct(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORD.csv...",
            help="Recordings of one neuron, several where its drive was turned; or one current clamp.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="TWIN.npz", help="Reconstruction to write.")],
    *,
    fitting: FitSettings,
    drives: DriveOptions,
    reading: ReadingOptions,
    clamp: ClampOptions,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Folder for pictures of every step.")
    ] = None,
    seed: parameters.SeedOption = 0,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Rebuild a neuron's dynamics from its voltage: delay vectors, autoencoder, and a map that runs by itself.

    From one recording the map repeats what was recorded; what turning its knob p does is not determined by one value
    of p, and is only of use where --drive gives several. A current clamp (.abf and others) makes a twin that the
    injected current drives, judged on currents that it was not shown.
    """
    from analog_fhn.reconstruct.pipeline import RULE, reconstruct_neuron

    start = time.perf_counter()
    if reconstruct_driven.is_current_clamp(recordings):
        others = [fitting, drives, replace(reading, volts_per_unit=None)]
        reconstruct_driven.refuse_options(recordings[0], others)
        reading.check()
        chosen = {"channel": clamp.channel, "command": clamp.command, "volts_per_unit": reading.volts_per_unit}
        reconstruct_driven.reconstruct_driven_file(
            recordings[0], output, pictures, seed, json, start, chosen, subtract_bridge=clamp.subtract_bridge
        )
        return
    for option, value in options_set(clamp).items():
        text = as_written(option, value)
        raise option_values.foreign(option, text, "a recording of one voltage", {"current clamps": (option,)})
    control = drives.control(len(recordings))
    options = fitting.options(reading.bridge, seed)
    reading.check()
    outputs.check_outputs(dict.fromkeys(recordings, "a recording"), {"-o": output, "--json": json})
    outputs.writable(output)
    folder = None if pictures is None else outputs.output_folder(pictures)
    read = reading.read(recordings, json)
    costs.check_work(costs.reconstruction(options, sum(map(len, read))), yes=yes)
    if too_fine := reconstruct_result.too_fine(read[0]):
        console.say(too_fine, json)
    with console.progress_bar("reconstruct") as bar, keeping() as work:

        def advance(stage: str, done: int, total: int) -> None:
            bar.label(stage)
            bar(done, total)

        result = reconstruct_neuron(read, options, control, advance)
    if work.interrupted:
        console.going_on(f"with {', '.join(result.names)}")
    drives.with_units(result.reconstruction).save(output)
    first = read[0].bridged(reading.bridge)
    vectors, index = result.reconstruction.embedding.vectors(first.voltage)
    states = result.reconstruction.states(vectors)
    quality = reconstruct_result.quality(first, result, states, index)
    for line in [*reconstruct_result.lines(result), reconstruct_result.quality_line(quality)]:
        console.say(line, json)
    content = reconstruct_result.summary(result, options) | quality | {"file": str(output), "rule": RULE}
    content |= {"every": reading.every, "start": reading.begin, "stop": reading.stop}
    content["recordings"] = reconstruct_result.recordings_content(recordings, read, control, result)
    outputs.write_json(json, "reconstruct", seed, start, outputs.without_nan(content))
    written = [output]
    if folder is not None:
        p = 1.0 if control is None else control[0]
        written += reconstruct_result.write_pictures(folder, first, result, p, states, index)
    outputs.say_written(written, json)
    reconstruct_result.say_doubts(result, options, json)
