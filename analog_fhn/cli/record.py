"""`analog-fhn record`: the voltage of a known neuron, to rebuild its dynamics from; or what a recording holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn.cli import circuits, console, costs, option_values, outputs, parameters, record_info
from analog_fhn.cli.options import options_set, takes_option_groups, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.reconstruct.recordings.recording import Recording

Settings = dict[str, Any]
Expect = Callable[[float, float, float], None]

# Options that only some sources have; whatever else is given is refused by name.
_OPTIONS = {
    "--source sherman": ("--vs",),
    "--source sherman-modified": ("--vs",),
    "--source fhn": ("--drive", "--a", "--eps"),
    "--source spice": ("--drive", "--a", "--eps", "--gamma", "--technology", "--chip"),
    "--source twin": ("--drive", "--twin"),
}

# Numbers in a row; seconds for one time unit (Sherman-Rinzel: 1 s, twin: a step) and for a sample, measured on one core
_COSTS = {
    "sherman": (5, 1.6e-3, 8e-6),
    "sherman-modified": (5, 1.6e-3, 8e-6),
    "fhn": (4, 8e-4, 6e-6),
    "spice": (4, 1e-3, 5e-5),
    "twin": (2, 2e-5, 3e-6),
}
_MEMORY, _DISK = 180.0, 20.0  # bytes for each number, measured
_LARGE = 1e8  # bytes of a file that are worth a word


@dataclass(frozen=True)
class TimeOptions:
    """When samples are taken (s); None: what the source usually has."""

    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            metavar="SECONDS",
            help="Length (default: 500 s; fhn and spice: 40 periods; twin: 10 000 samples).",
        ),
    ] = None
    step: Annotated[
        float | None,
        typer.Option(
            "--step",
            metavar="SECONDS",
            help="Sampling interval (default: 0.01 s; fhn and spice: 150 samples a period).",
        ),
    ] = None
    settle: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", help="Time before the first sample; 0 keeps the transient.")
    ] = 0.0

    def check(self) -> None:
        """Refuse a step or a duration that is no positive number."""
        option_values.check_above_0("--step", self.step, "a number of seconds")
        option_values.check_above_0("--duration", self.duration, "a number of seconds")


@dataclass(frozen=True)
class SourceOptions:
    """What is recorded; each option is that of some sources only (see `_OPTIONS`)."""

    vs: Annotated[
        float | None, typer.Option("--vs", metavar="MILLIVOLTS", help="Control parameter V_S (default: -36).")
    ] = None
    drive: Annotated[
        float | None, typer.Option("--drive", metavar="I", help="Constant dimensionless drive (default: -0.5).")
    ] = None
    a: parameters.AOption = None
    eps: parameters.EpsOption = None
    gamma: parameters.GammaOption = None
    twin: Annotated[
        Path | None, typer.Option("--twin", metavar="TWIN.npz", help="Of `analog-fhn reconstruct` (--source twin).")
    ] = None
    technology: parameters.TechnologyOption = None
    chip: parameters.ChipOption = None

    def check(self, name: str) -> None:
        """Refuse an option that `name`, the source as it is asked for, does not have."""
        for option, value in options_set(self).items():
            if option not in _OPTIONS[name]:
                text = f"{value:g}" if isinstance(value, int | float) else value
                raise option_values.foreign(option, f"{option} {text}", name, _OPTIONS)

    @property
    def inputs(self) -> dict[Path, str]:
        """What each file that is read is."""
        files = {} if self.twin is None else {self.twin: "the twin"}
        if self.technology is not None and Path(self.technology).is_file():
            files[Path(self.technology)] = "the technology"
        return files


@dataclass(frozen=True)
class DamageOptions:
    """Noise on the samples, and samples that are missing, both drawn from one seed."""

    noise: Annotated[
        float,
        typer.Option("--noise", metavar="SHARE", help="White noise, relative to the voltage's standard deviation."),
    ] = 0.0
    missing: Annotated[
        float, typer.Option("--missing", metavar="SHARE", help="Share of the samples that go missing at random.")
    ] = 0.0
    missing_length: Annotated[
        float | None,
        typer.Option("--missing-length", metavar="SAMPLES", help="Mean length of the bursts in which they go."),
    ] = None
    seed: parameters.SeedOption = 0

    def check(self) -> None:
        """Refuse a length of gaps that there are none of."""
        if self.missing_length is not None and not self.missing:
            raise InputError(f"--missing-length {self.missing_length:g}: nothing goes missing without --missing SHARE")

    def applied_to(self, recording: Recording) -> Recording:
        """The recording with noise and gaps."""
        import numpy as np

        noise_rng, missing_rng = np.random.default_rng(self.seed).spawn(2)
        if self.noise:
            recording = recording.with_noise(self.noise, noise_rng)
        if self.missing:
            length = 1.0 if self.missing_length is None else self.missing_length
            recording = recording.with_missing(self.missing, missing_rng, length)
        return recording


@takes_option_groups
def record(
    source: Annotated[
        Literal["sherman", "sherman-modified", "fhn", "spice", "twin"] | None,
        typer.Option(
            "--source",
            help="sherman: pancreatic beta cell; sherman-modified: with a second potassium current; fhn: ideal "
            "FitzHugh-Nagumo neuron, one time unit is 1 ms and one unit of x 1 V; spice: our circuit in ngspice; "
            "twin: a free run of what `analog-fhn reconstruct` wrote.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.csv", help="CSV file to write; with --info, of the steps."),
    ] = None,
    *,
    info: record_info.InfoOptions,
    times: TimeOptions,
    what: SourceOptions,
    damage: DamageOptions,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Write the voltage of a known neuron over time as CSV: time (s), voltage (V), and its true states.

    `analog-fhn reconstruct` reads it, and files of oscilloscopes likewise. With --info FILE: say what is in a recording
    of a real neuron under steps of current, with its f-I curve.
    """
    if info.info is not None:
        _refuse_beside_info({"--source": source}, times, what, damage)
        record_info.show(info, output, json)
        return
    for option, value in options_set(info).items():
        raise option_values.foreign(option, f"{option} {value}", "--source", {"--info": (option,)})
    if source is None or output is None:
        missing = "--source" if source is None else "-o"
        raise InputError(f"{missing} is missing: expected --source and -o to record, or --info FILE to look at one")
    _record(source, output, times, what, damage, yes, json)


def _refuse_beside_info(given: dict[str, Any], *groups: TimeOptions | SourceOptions | DamageOptions) -> None:
    """Refuse options of the sources: a file that exists is not recorded."""
    for group in groups:
        given = given | options_set(group)
    for option, value in given.items():
        if value is not None:
            raise option_values.foreign(option, f"{option} {value}", "--info", {"recording (--source)": (option,)})


def _record(
    source: str, output: Path, times: TimeOptions, what: SourceOptions, damage: DamageOptions, yes: bool,
    json: str | None,
) -> None:  # fmt: skip
    """Record, and write the file."""
    from analog_fhn.reconstruct.recordings.files import write_recording

    start = time.perf_counter()
    what.check(f"--source {source}")
    times.check()
    damage.check()
    outputs.check_outputs(what.inputs, {"-o": output, "--json": json})
    outputs.writable(output)
    expect = partial(_expect, source, times.settle, output, yes)
    recording, settings = _SOURCES[source](what, times, expect)
    recording = damage.applied_to(recording)
    write_recording(output, recording)
    voltage = _statistics(recording)
    console.say(
        f"{recording.source}: {len(recording)} samples every {recording.step:g} s "
        f"({recording.step * len(recording):g} s), {voltage['low']:.4g} to {voltage['high']:.4g} V",
        json,
    )
    for line in recording.report:
        console.say(line, json)
    if "scales" in settings:
        scales = settings["scales"]
        console.say(f"one unit of x is {scales['sx']:.6g} V, T is {scales['time_unit']:g} s", json)
    outputs.say_written([output], json)
    settings |= {"settle": times.settle, "noise": damage.noise, "missing": damage.missing}
    content = {
        "source": source,
        "file": str(output),
        "n_samples": len(recording),
        "n_missing": int(recording.missing.sum()),
        "step": recording.step,
        "duration": recording.step * len(recording),
        "voltage": voltage,
        "report": list(recording.report),
        "settings": settings | {"missing_length": damage.missing_length or 1.0},
    }
    outputs.write_json(json, "record", damage.seed, start, content)


def _statistics(recording: Recording) -> dict[str, float]:
    """Lowest, highest and mean voltage and its standard deviation (V), missing samples left out."""
    import numpy as np

    v = recording.voltage
    low, high = float(np.nanmin(v)), float(np.nanmax(v))
    return {"low": low, "high": high, "mean": float(np.nanmean(v)), "std": float(np.nanstd(v))}


def _expect(source: str, settle: float, output: Path, yes: bool, duration: float, step: float, unit: float) -> None:
    """Refuse a recording that is beyond the machine, and say what is large; `unit` is the neuron's time unit (s)."""
    from analog_fhn._support.estimate import Work, product, size

    if not 0 <= settle < math.inf:  # refused where it is used
        return
    numbers, each_unit, each_sample = _COSTS[source]
    samples = product(duration, 1.0 / step)
    seconds = product(duration + settle, 1.0 / unit, each_unit) + product(samples, each_sample)
    if source == "spice":  # its steps are no longer than those of the samples while it settles, either
        seconds += product(settle, 1.0 / step, each_sample)
    cause = f"--source {source}: {duration:g} s at a step of {step:g} s" + (f", after {settle:g} s" if settle else "")
    work = Work(
        cause, seconds, memory=product(samples, numbers, _MEMORY), disk=product(samples, numbers, _DISK),
        folder=output.parent,
    )  # fmt: skip
    costs.check_work(work, yes=yes)
    if work.disk > _LARGE:
        console.note(f"{cause}: {samples:.3g} samples, a file of about {size(work.disk)}")


def _sherman(
    kind: Literal["original", "modified"], what: SourceOptions, times: TimeOptions, expect: Expect
) -> tuple[Recording, Settings]:
    from analog_fhn.reconstruct.sources.record import record_sherman

    v_s = -36.0 if what.vs is None else what.vs
    duration = 500.0 if times.duration is None else times.duration
    step = 0.01 if times.step is None else times.step
    expect(duration, step, 1.0)
    return record_sherman(kind, duration, step, v_s=v_s, settle=times.settle), {"v_s": v_s}


def _fhn(what: SourceOptions, times: TimeOptions, expect: Expect) -> tuple[Recording, Settings]:
    from analog_fhn.neuron import FHN, Coefficients
    from analog_fhn.reconstruct.sources.record import FHN_TIME_UNIT, record_fhn, usual_times

    fhn = FHN(**values_set(what, "a", "eps"))
    drive = -0.5 if what.drive is None else what.drive
    duration, step = usual_times(Coefficients.ideal(fhn, 1), drive, FHN_TIME_UNIT, times.duration, times.step)
    expect(duration, step, FHN_TIME_UNIT)
    recording = record_fhn(fhn, drive, duration, step, settle=times.settle)
    return recording, {"fhn": {"eps": fhn.eps, "a": fhn.a}, "drive": drive}


def _twin(what: SourceOptions, times: TimeOptions, expect: Expect) -> tuple[Recording, Settings]:
    import numpy as np

    from analog_fhn.reconstruct.model.reconstruction import Reconstruction
    from analog_fhn.reconstruct.recordings.recording import Recording
    from analog_fhn.reconstruct.sources.sherman_rinzel import sample_times

    if what.twin is None:
        raise InputError("--source twin: --twin TWIN.npz is missing, a file of `analog-fhn reconstruct`")
    model = Reconstruction.load(what.twin)
    if times.step is not None:
        raise InputError(f"--step {times.step:g}: a twin has the step of its recordings, {model.step:g} s")
    p = float(model.control[0]) if what.drive is None else what.drive
    low, high = float(model.control.min()), float(model.control.max())
    if not low <= p <= high:
        raise InputError(f"--drive {p:g}: the twin knows drives from {low:g} to {high:g}")
    duration = 10_000 * model.step if times.duration is None else times.duration
    expect(duration, model.step, model.step)
    number = len(sample_times(duration, model.step, times.settle))
    before = round(times.settle / model.step)
    voltage = model.run((before + number) * model.step, p)[0, before:]
    if not np.isfinite(voltage).all():
        raise InputError(f"--drive {p:g}: the twin diverges there")
    recording = Recording(voltage, model.step, source=f"{what.twin}, p = {p:g}")
    return recording, {"twin": str(what.twin), "drive": p}


def _spice(what: SourceOptions, times: TimeOptions, expect: Expect) -> tuple[Recording, Settings]:
    from analog_fhn.neuron import FHN
    from analog_fhn.reconstruct.sources.record import circuit_chip, record_circuit, usual_times

    fhn = FHN(**values_set(what, "a", "eps", "gamma"))
    drive = -0.5 if what.drive is None else what.drive
    technology = circuits.load_technology(what.technology or "discrete")
    circuits.warn_of_values(technology)
    chip = circuit_chip(technology, what.chip, fhn=fhn)
    cells = chip.hardware[0].cells
    unit = chip.time_unit
    duration, step = usual_times(cells.dynamics[:1], drive, unit, times.duration, times.step)
    expect(duration, step, unit)
    (recording,) = record_circuit(chip, drive, duration, step, settle=times.settle)
    settings = {
        "fhn": asdict(fhn), "drive": drive, "technology": technology.name, "chip": what.chip,
        "technology_values": technology.model_dump(), "scales": dict(cells.cell.voltage_scales),
    }  # fmt: skip
    return recording, settings


_SOURCES: dict[str, Callable[[SourceOptions, TimeOptions, Expect], tuple[Recording, Settings]]] = {
    "sherman": partial(_sherman, "original"),
    "sherman-modified": partial(_sherman, "modified"),
    "fhn": _fhn,
    "spice": _spice,
    "twin": _twin,
}
