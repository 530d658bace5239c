"""`analog-fhn record`: the voltage of a known neuron, as a recording to rebuild its dynamics from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn.cli import common

if TYPE_CHECKING:
    from analog_fhn.reconstruct.recordings.recording import Recording

Options = dict[str, Any]
Expect = Callable[[float, float, float], None]

# Options that only some sources have; whatever else is given is refused by name.
_OWN = {
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


def record(
    source: Annotated[
        Literal["sherman", "sherman-modified", "fhn", "spice", "twin"],
        typer.Option(
            "--source",
            help="sherman: pancreatic beta cell; sherman-modified: with a second potassium current; fhn: ideal "
            "FitzHugh-Nagumo neuron, one time unit is 1 ms and one unit of x 1 V; spice: our circuit in ngspice; "
            "twin: a free run of what `analog-fhn reconstruct` wrote.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.csv", help="CSV file to write.")],
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            metavar="SECONDS",
            help="Length (default: 500 s; fhn and spice: 40 periods; twin: 10 000 samples).",
        ),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(
            "--step",
            metavar="SECONDS",
            help="Sampling interval (default: 0.01 s; fhn and spice: 150 samples a period).",
        ),
    ] = None,
    settle: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", help="Time before the first sample; 0 keeps the transient.")
    ] = 0.0,
    vs: Annotated[
        float | None, typer.Option("--vs", metavar="MILLIVOLTS", help="Control parameter V_S (default: -36).")
    ] = None,
    drive: Annotated[
        float | None, typer.Option("--drive", metavar="I", help="Constant dimensionless drive (default: -0.5).")
    ] = None,
    a: common.AOption = None,
    eps: common.EpsOption = None,
    gamma: common.GammaOption = None,
    twin: Annotated[
        Path | None, typer.Option("--twin", metavar="TWIN.npz", help="Of `analog-fhn reconstruct` (--source twin).")
    ] = None,
    technology: common.TechnologyOption = None,
    chip: common.ChipOption = None,
    noise: Annotated[
        float,
        typer.Option("--noise", metavar="SHARE", help="White noise, relative to the voltage's standard deviation."),
    ] = 0.0,
    missing: Annotated[
        float, typer.Option("--missing", metavar="SHARE", help="Share of the samples that go missing at random.")
    ] = 0.0,
    missing_length: Annotated[
        float | None,
        typer.Option("--missing-length", metavar="SAMPLES", help="Mean length of the bursts in which they go."),
    ] = None,
    seed: common.SeedOption = 0,
    yes: common.YesOption = False,
    json: common.JsonOption = None,
) -> None:
    """Write the voltage of a known neuron over time as CSV: time (s), voltage (V), and its true states.

    `analog-fhn reconstruct` reads it, and files of oscilloscopes likewise.
    """
    import numpy as np

    from analog_fhn.errors import InputError
    from analog_fhn.reconstruct.recordings.files import write_recording

    start = time.perf_counter()
    own: Options = {
        "--vs": vs, "--drive": drive, "--a": a, "--eps": eps, "--gamma": gamma, "--technology": technology,
        "--chip": chip, "--twin": None if twin is None else str(twin),
    }  # fmt: skip
    name = f"--source {source}"
    for option, value in own.items():
        if value is not None and option not in _OWN[name]:
            raise common.foreign(option, f"{option} {value if isinstance(value, str) else f'{value:g}'}", name, _OWN)
    common.check_above_0("--step", step, "a number of seconds")
    common.check_above_0("--duration", duration, "a number of seconds")
    if missing_length is not None and not missing:
        raise InputError(f"--missing-length {missing_length:g}: nothing goes missing without --missing SHARE")
    inputs = {path: what for path, what in ((twin, "the twin"), (_file(technology), "the technology")) if path}
    common.check_outputs(inputs, {"-o": output, "--json": json})
    common.writable(output)
    makers = {"fhn": _fhn, "spice": _spice, "twin": _twin}
    expect = partial(_expect, source, settle, output, yes)
    made, settings = makers.get(source, _sherman)(source, own, duration, step, settle, expect)
    noise_rng, missing_rng = np.random.default_rng(seed).spawn(2)
    if noise:
        made = made.with_noise(noise, noise_rng)
    if missing:
        made = made.with_missing(missing, missing_rng, 1.0 if missing_length is None else missing_length)
    write_recording(output, made)
    low, high, mean = (float(f(made.voltage)) for f in (np.nanmin, np.nanmax, np.nanmean))
    length = made.step * len(made)
    common.say(
        f"{made.source}: {len(made)} samples every {made.step:g} s ({length:g} s), {low:.4g} to {high:.4g} V", json
    )
    for line in made.report:
        common.say(line, json)
    if "scales" in settings:
        scales = settings["scales"]
        common.say(f"one unit of x is {scales['sx']:.6g} V, T is {scales['time_unit']:g} s", json)
    common.say_written([output], json)
    content = {
        "source": source,
        "file": str(output),
        "n_samples": len(made),
        "n_missing": int(np.count_nonzero(made.missing)),
        "step": made.step,
        "duration": length,
        "voltage": {"low": low, "high": high, "mean": mean, "std": float(np.nanstd(made.voltage))},
        "report": list(made.report),
        "settings": settings
        | {"settle": settle, "noise": noise, "missing": missing, "missing_length": missing_length or 1.0},
    }
    common.write_json(json, "record", seed, start, content)


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
    common.check_work(work, yes=yes)
    if work.disk > _LARGE:
        common.note(f"{cause}: {samples:.3g} samples, a file of about {size(work.disk)}")


def _sherman(
    source: str, own: Options, duration: float | None, step: float | None, settle: float, expect: Expect
) -> tuple[Recording, Options]:
    from analog_fhn.reconstruct.sources.record import record_sherman

    v_s = -36.0 if own["--vs"] is None else own["--vs"]
    duration, step = 500.0 if duration is None else duration, 0.01 if step is None else step
    expect(duration, step, 1.0)
    made = record_sherman("original" if source == "sherman" else "modified", duration, step, v_s=v_s, settle=settle)
    return made, {"v_s": v_s}


def _fhn(
    _source: str, own: Options, duration: float | None, step: float | None, settle: float, expect: Expect
) -> tuple[Recording, Options]:
    from analog_fhn.neuron import FHN, Coefficients
    from analog_fhn.reconstruct.sources.record import FHN_TIME_UNIT, record_fhn, usual_times

    fhn = FHN(**_given(own, "a", "eps"))
    drive = -0.5 if own["--drive"] is None else own["--drive"]
    duration, step = usual_times(Coefficients.ideal(fhn, 1), drive, FHN_TIME_UNIT, duration, step)
    expect(duration, step, FHN_TIME_UNIT)
    made = record_fhn(fhn, drive, duration, step, settle=settle)
    return made, {"fhn": {"eps": fhn.eps, "a": fhn.a}, "drive": drive}


def _twin(
    _source: str, own: Options, duration: float | None, step: float | None, settle: float, expect: Expect
) -> tuple[Recording, Options]:
    import numpy as np

    from analog_fhn.errors import InputError
    from analog_fhn.reconstruct.model.reconstruction import Reconstruction
    from analog_fhn.reconstruct.recordings.recording import Recording
    from analog_fhn.reconstruct.sources.sherman_rinzel import sample_times

    if own["--twin"] is None:
        raise InputError("--source twin: --twin TWIN.npz is missing, a file of `analog-fhn reconstruct`")
    model = Reconstruction.load(own["--twin"])
    if step is not None:
        raise InputError(f"--step {step:g}: a twin has the step of its recordings, {model.step:g} s")
    p = float(model.control[0]) if own["--drive"] is None else own["--drive"]
    low, high = float(model.control.min()), float(model.control.max())
    if not low <= p <= high:
        raise InputError(f"--drive {p:g}: the twin knows drives from {low:g} to {high:g}")
    duration = 10_000 * model.step if duration is None else duration
    expect(duration, model.step, model.step)
    number = len(sample_times(duration, model.step, settle))
    before = round(settle / model.step)
    voltage = model.run((before + number) * model.step, p)[0, before:]
    if not np.isfinite(voltage).all():
        raise InputError(f"--drive {p:g}: the twin diverges there")
    made = Recording(voltage, model.step, source=f"{own['--twin']}, p = {p:g}")
    return made, {"twin": own["--twin"], "drive": p}


def _spice(
    _source: str, own: Options, duration: float | None, step: float | None, settle: float, expect: Expect
) -> tuple[Recording, Options]:
    from dataclasses import asdict

    from analog_fhn.neuron import FHN
    from analog_fhn.reconstruct.sources.record import circuit_chip, record_circuit, usual_times

    fhn = FHN(**_given(own, "a", "eps", "gamma"))
    drive = -0.5 if own["--drive"] is None else own["--drive"]
    technology = common.load_technology(own["--technology"] or "discrete")
    common.warn_of_values(technology)
    chip = circuit_chip(technology, own["--chip"], fhn=fhn)
    cells = chip.hardware[0].cells
    unit = chip.time_unit
    duration, step = usual_times(cells.dynamics[:1], drive, unit, duration, step)
    expect(duration, step, unit)
    (made,) = record_circuit(chip, drive, duration, step, settle=settle)
    settings = {
        "fhn": asdict(fhn), "drive": drive, "technology": technology.name, "chip": own["--chip"],
        "technology_values": technology.model_dump(), "scales": dict(cells.cell.voltage_scales),
    }  # fmt: skip
    return made, settings


def _file(technology: str | None) -> Path | None:
    """File of a technology that is given as one."""
    return Path(technology) if technology is not None and Path(technology).is_file() else None


def _given(own: Options, *names: str) -> Options:
    return {name: own[f"--{name}"] for name in names if own[f"--{name}"] is not None}
