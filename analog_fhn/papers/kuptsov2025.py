"""Reference 2 again: a bursting neuron rebuilt from one recording, from many seeds, and what the data determine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn import plots
from analog_fhn._support.files import write_records
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.judge import pictures
from analog_fhn.reconstruct.judge.advice import advice
from analog_fhn.reconstruct.judge.dynamics import Bifurcation, largest_lyapunov, scan, scan_neuron
from analog_fhn.reconstruct.judge.quality import explained, largest_step, turns_apart
from analog_fhn.reconstruct.model.autoencoder import train_autoencoder
from analog_fhn.reconstruct.model.maps import NeuralMap, free_run
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.pipeline import Embedded, FitOptions, embed, scan_latent, train_maps
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.rhythm import REGIMES, Rhythm, forecast_horizon
from analog_fhn.reconstruct.sources.record import NeuronKind, record_sherman
from analog_fhn.reconstruct.sources.sherman_rinzel import ShermanRinzel

KINDS: tuple[NeuronKind, ...] = ("modified", "original")
Tell = Callable[[str], None]
Row = dict[str, Any]

V_S = -36.0
PERIOD = 0.1
"""A run succeeds if it bursts, its period is within this share of the recording's ..."""
SPIKES = 2.0
"""... and its spikes per burst within this many."""

ONE_STEP = "neural, one step"

_SCALES = (("spread", 32), ("spread", 64), ("spread", 128), ("uniform", 32), ("uniform", 64), ("uniform", 128))
_HORIZONS = 10  # recorded states that forecasts start from
_HORIZON = 60.0  # s
_TURN = 60.0  # s of each run with the knob turned, of which the first third is left out
_SETTLE = 20.0  # s
_SCAN_VS = np.linspace(-45.0, -33.0, 25)


@dataclass(frozen=True)
class StudyOptions:
    """How often and from which recordings a neuron is rebuilt.

    Parameters
    ----------
    seeds
        Autoencoder and map are trained from so many seeds.
    duration
        Length of the recording (s), at 0.01 s.
    run
        Length of the free runs (s).
    orders
        Polynomial maps have these orders.
    control
        Values of p.
    redraws
        Times that one map's control input is drawn anew.
    lengths, noises, missing
        Shorter recordings (s), noise (share of the voltage's standard deviation), share of samples missing.
    record_seeds
        Seeds of each of those.
    options
        Options of each fit; seed and restarts are set here.
    """

    seeds: int = 10
    duration: float = 500.0
    run: float = 200.0
    orders: tuple[int, ...] = (3, 4, 5)
    control: tuple[float, ...] = tuple(float(p) for p in np.round(np.linspace(0.0, 2.0, 41), 3))
    redraws: int = 10
    lengths: tuple[float, ...] = (50.0, 100.0, 200.0, 400.0)
    noises: tuple[float, ...] = (0.01, 0.05)
    missing: tuple[float, ...] = (0.1,)
    record_seeds: int = 3
    options: FitOptions = field(default_factory=lambda: FitOptions(latent=3))

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.record_seeds < 1:
            raise InputError(f"seeds = {self.seeds}, {self.record_seeds}: expected 1 or more")


def reproduce(
    folder: Path, kind: NeuronKind, study: StudyOptions, progress: Tell | None = None
) -> tuple[list[Path], Row]:
    """Everything for one neuron: CSV files and pictures in `folder`, and a summary.

    Parameters
    ----------
    progress
        It is called with each result, a line at a time.
    """
    tell = progress or (lambda _line: None)
    begin = time.perf_counter()
    recording = record_sherman(kind, study.duration, 0.01, v_s=V_S)
    embedded = embed([recording], study.options)
    recorded = embedded.recorded[0]
    tell(f"{kind}: recorded {_text(recorded)}")
    paths = [plots.save(pictures.embedding_advice(advice(recording.voltage, recording.step)), folder / "advice.png")]
    losses, more = elbows(folder, recording, study, tell)
    fits, rows, others, last = many_seeds(folder / "seeds.csv", recording, embedded, study, tell)
    paths += [*more, folder / "seeds.csv"]
    paths += _portraits(folder, recording, embedded, fits, last)
    turns, spread, more = turned(folder, kind, embedded, fits, study, tell)
    paths += more
    records = worse_records(kind, study, tell) if kind == "modified" else []
    if records:
        paths.append(_write(folder / "records.csv", records))
    succeeded = [row for row in rows if row["success"]]
    middle = succeeded or rows
    summary = {
        "period_recorded": recorded.period,
        "period_error": _median([abs(row["period"] / recorded.period - 1.0) for row in middle]),
        "spikes_per_burst": _median([row["spikes_per_burst"] for row in middle]),
        "spikes_per_burst_recorded": recorded.spikes_per_burst,
        "latent_scan": losses,
        "restarts": study.seeds,
        "successes": len(succeeded),
        "other_successes": {
            name: sum(row["success"] for row in others if row["map"] == name)
            for name in dict.fromkeys(row["map"] for row in others)
        },
        "turned": turns,
        "redrawn": spread,
        "records": records,
        "seconds": time.perf_counter() - begin,
    }
    return paths, summary


def succeeds(rhythm: Rhythm, recorded: Rhythm) -> bool:
    """Whether a run has the recording's bursts: period within `PERIOD`, spikes per burst within `SPIKES`."""
    return bool(
        rhythm.regime == recorded.regime
        and abs(rhythm.period / recorded.period - 1.0) <= PERIOD
        and abs(rhythm.spikes_per_burst - recorded.spikes_per_burst) <= SPIKES
    )


def elbows(
    folder: Path, recording: Recording, study: StudyOptions, tell: Tell
) -> tuple[dict[str, list[float]], list[Path]]:
    """Autoencoder loss by latent size for several embeddings."""
    losses_of: dict[str, list[float]] = {}
    curves: dict[int | str, FloatArray] = {}
    for kind, dimension in _SCALES:
        options = replace(study.options, dimension=dimension, stride=1 if kind == "uniform" else None)
        losses, steps = scan_latent(embed([recording], options), options)
        losses_of[f"{kind}, D = {dimension}"] = list(losses)
        if (kind, dimension) == ("spread", study.options.dimension):
            curves = {size: _smoothed(values) for size, values in steps.items()}
        tell(f"loss by latent size, {kind} D = {dimension}: " + " ".join(f"{loss:.4g}" for loss in losses))
    sizes = range(1, study.options.largest_latent + 1)
    table = [{"embedding": name, **dict(zip(map(str, sizes), v, strict=True))} for name, v in losses_of.items()]
    paths = [
        _write(folder / "elbow.csv", table),
        plots.save(pictures.latent_scan(list(sizes), losses_of, study.options.latent), folder / "elbow.png"),
    ]
    if curves:
        figure = pictures.loss_curves(curves, xlabel="training step", ylabel="mean squared error")
        paths.append(plots.save(figure, folder / "losses.png"))
    return losses_of, paths


def many_seeds(
    path: Path, recording: Recording, embedded: Embedded, study: StudyOptions, tell: Tell
) -> tuple[list[Reconstruction], list[Row], list[Row], FloatArray]:
    """Reconstructions from many seeds, a row for each, rows of other maps on the same states, one seed's runs.

    The reconstructions' maps are trained on several steps in the end; the other ones are these maps before, and
    polynomials. The rows are in the table at `path` as soon as their seed is done.
    """
    recorded = embedded.recorded[0]
    reconstructions: list[Reconstruction] = []
    rows: list[Row] = []
    others: list[Row] = []
    runs = np.empty((0, 0))
    assert recording.states is not None
    truth = recording.states[embedded.index]
    for seed in range(study.seeds):
        begin = time.perf_counter()
        options = replace(study.options, seed=seed, restarts=1)
        *before, reconstruction = _reconstructions(embedded, options)
        seconds = time.perf_counter() - begin
        states = reconstruction.states(embedded.vectors)
        for one in before:
            row, _ = _judged(one, states, embedded, recorded, study.run)
            others.append({"map": ONE_STEP, "seed": seed, **row})
        row, runs = _judged(reconstruction, states, embedded, recorded, study.run)
        decoded = Rhythm.of(reconstruction.voltage(states), embedded.step, embedded.levels)
        row = {
            "map": "neural", "seed": seed, "decoded_period": decoded.period,
            "decoded_spikes_per_burst": decoded.spikes_per_burst,
            "loss": reconstruction.autoencoder.loss(embedded.vectors),
            "explained": " ".join(f"{value:.3f}" for value in explained(states, truth)),
            "largest_step": largest_step(states, embedded.index),
            "turns_apart": turns_apart(states, embedded.index, embedded.step, recorded), **row, "seconds": seconds,
        }  # fmt: skip
        rows.append(row)
        reconstructions.append(reconstruction)
        tell(
            f"seed {seed}: period {row['period']:.2f} s (recorded {recorded.period:.2f}), {row['spikes_per_burst']:g} "
            f"spikes per burst ({recorded.spikes_per_burst:g}), "
            f"{row['successful_starts']} of {len(reconstruction.starts)} starts, horizon {row['horizon']:.1f} s, "
            f"{seconds:.0f} s of training"
        )
        for order in study.orders:
            other = train_maps(embedded, reconstruction.autoencoder, replace(options, polynomial=order)).reconstruction
            row, _ = _judged(other, states, embedded, recorded, study.run)
            others.append({"map": f"polynomial {order}", "seed": seed, **row})
        _write(path, [*rows, *others])
    return reconstructions, rows, others, runs


def _reconstructions(embedded: Embedded, options: FitOptions) -> list[Reconstruction]:
    """Autoencoder and map of one seed: trained on single steps, and last, on several."""
    autoencoder, _ = train_autoencoder(
        embedded.vectors, embedded.index, options.latent or 3, seed=options.seed, options=options.autoencoder
    )
    result = train_maps(embedded, autoencoder, options)
    return [replace(result.reconstruction, state_map=state_map) for state_map in result.maps]


def _judged(
    reconstruction: Reconstruction, states: FloatArray, embedded: Embedded, recorded: Rhythm, duration: float
) -> tuple[Row, FloatArray]:
    """Free runs from recorded states against the recording, and the forecast horizon from some of all `states`."""
    runs = reconstruction.run(duration)
    rhythms = [Rhythm.of(run, embedded.step, embedded.levels) for run in runs]
    good = [succeeds(rhythm, recorded) for rhythm in rhythms]
    places = np.linspace(0, len(states) - 1 - round(_HORIZON / embedded.step), _HORIZONS).astype(np.intp)
    ahead = reconstruction.run(_HORIZON, start=states[places])
    truth = embedded.embedding.restore(embedded.vectors[:, 0])
    horizons = [
        forecast_horizon(truth[n + 1 : n + 1 + run.size], run, embedded.step, embedded.levels)
        for n, run in zip(places, ahead, strict=True)
    ]
    orbit = free_run(reconstruction.state_map, reconstruction.starts[:1], 5000)[:, 0]
    lively = np.isfinite(orbit).all()
    exponent = (
        largest_lyapunov(reconstruction.state_map.jacobian(orbit, 1.0), embedded.step, len(orbit) // 5)
        if lively
        else np.nan
    )
    with np.errstate(invalid="ignore"):
        row = {
            "regime": Counter(r.regime for r in rhythms).most_common(1)[0][0],
            "period": _median([r.period for r in rhythms]),
            "spikes_per_burst": _median([r.spikes_per_burst for r in rhythms]),
            "pause": _median([r.pause for r in rhythms]),
            "first_interval": _median([r.first_interval for r in rhythms]),
            "last_interval": _median([r.last_interval for r in rhythms]),
            "successful_starts": sum(good),
            "success": all(good),
            "horizon": float(np.median(horizons)),
            "lyapunov": float(exponent),
        }
    return row, runs


def turned(
    folder: Path, kind: NeuronKind, embedded: Embedded, fits: Sequence[Reconstruction], study: StudyOptions, tell: Tell
) -> tuple[list[Row], list[Row], list[Path]]:
    """Regimes over p: of every seed's map, of one map with its control input drawn anew, and of the neuron over V_S."""
    values = np.array(study.control)
    scans = [_scan(one, values) for one in fits]
    turns = [_order(f"seed {seed}", diagram) for seed, diagram in enumerate(scans)]
    rng = np.random.default_rng(study.options.seed)
    first = fits[0]
    redrawn: list[Bifurcation] = []
    if isinstance(first.state_map, NeuralMap):
        redrawn = [_scan(replace(first, state_map=first.state_map.redrawn(rng)), values) for _ in range(study.redraws)]
    spread = [_order(f"draw {k}", diagram) for k, diagram in enumerate(redrawn)]
    for row in (*turns, *spread):
        tell(f"p turned, {row['map']}: {row['order']}")
    neuron = ShermanRinzel.modified if kind == "modified" else ShermanRinzel.original
    true = scan_neuron(neuron, _SCAN_VS, embedded.levels, duration=60.0, settle=40.0)
    tell(f"neuron over V_S: {_order('neuron', true)['order']}")
    paths = [_write(folder / "turned.csv", [*turns, *spread, _order("neuron over V_S", true)])]
    labels = [f"seed {k}" for k in range(len(scans))]
    strips = [("turned.png", scans, labels, "Regimes of maps trained from different seeds")]
    if redrawn:
        names = [f"draw {k}" for k in range(len(redrawn))]
        strips.append(("redrawn.png", redrawn, names, "Regimes of one map, its control input drawn anew"))
    for name, diagram, rows, title in strips:
        regimes = np.array([[REGIMES.index(name) for name in one.dominant] for one in diagram])
        paths.append(plots.save(pictures.regimes(values, regimes, rows, title=title), folder / name))
    figure = pictures.bifurcation(true, scans[0], trained=(V_S, 1.0), titles=("neuron", "map of seed 0"))
    paths.append(plots.save(figure, folder / "bifurcation.png"))
    return turns, spread, paths


def _scan(reconstruction: Reconstruction, values: FloatArray) -> Bifurcation:
    """Rhythms of free runs over p, from every start."""
    n = len(reconstruction.starts)
    voltages = reconstruction.run(_TURN, np.repeat(values, n), np.tile(reconstruction.starts, (len(values), 1)))
    place = {float(value): voltages[k * n : (k + 1) * n] for k, value in enumerate(values)}
    return scan(lambda p: place[float(p)], values, reconstruction.step, reconstruction.levels, settle=_SETTLE)


def _order(name: str, diagram: Bifurcation) -> Row:
    """Regimes in the order in which they appear, with the control values where each ends."""
    dominant = diagram.dominant
    edges = [0, *(k for k in range(1, len(dominant)) if dominant[k] != dominant[k - 1]), len(dominant)]
    text = ", ".join(f"{dominant[a]} {diagram.values[a]:g} to {diagram.values[b - 1]:g}" for a, b in pairwise(edges))
    return {"map": name, "order": text, "multistable": int(np.count_nonzero(diagram.multistable))}


def worse_records(kind: NeuronKind, study: StudyOptions, tell: Tell) -> list[Row]:
    """Shorter, noisy and incomplete recordings, a few seeds each."""
    full = record_sherman(kind, study.duration, 0.01, v_s=V_S)
    longest = embed([full], study.options).recorded[0]
    rng = np.random.default_rng(study.options.seed)
    cases = [(f"{length:g} s", full.cut(0.0, length)) for length in study.lengths if length < study.duration]
    cases += [(f"noise {share:.0%}", full.with_noise(share, rng)) for share in study.noises]
    cases += [(f"{share:.0%} missing", full.with_missing(share, rng)) for share in study.missing]
    rows = []
    for name, recording in cases:
        embedded = embed([recording], replace(study.options, longest=0.5 * longest.period))
        runs = []
        for seed in range(study.record_seeds):
            reconstruction = _reconstructions(embedded, replace(study.options, seed=seed, restarts=1))[-1]
            rhythms = [
                Rhythm.of(run, reconstruction.step, reconstruction.levels) for run in reconstruction.run(study.run)
            ]
            runs.append((rhythms, all(succeeds(rhythm, longest) for rhythm in rhythms)))
        every = [rhythm for rhythms, _ in runs for rhythm in rhythms]
        rows.append(
            {
                "recording": name,
                "seeds": study.record_seeds,
                "successes": sum(good for _, good in runs),
                "period": _median([rhythm.period for rhythm in every]),
                "spikes_per_burst": _median([rhythm.spikes_per_burst for rhythm in every]),
            }
        )
        tell(f"{name}: {rows[-1]['successes']} of {study.record_seeds} seeds, period {rows[-1]['period']:.2f} s")
    return rows


def _portraits(
    folder: Path, recording: Recording, embedded: Embedded, fits: Sequence[Reconstruction], runs: FloatArray
) -> list[Path]:
    """Latent portrait beside the true one, free runs beside the recording, interval histograms."""
    assert recording.states is not None
    some = slice(0, 6000)
    index = embedded.index[some]
    states = fits[0].states(embedded.vectors[some])
    time_, window = recording.time[:3500], recording.voltage[:3500]
    labels = {f"free run from start {k + 1}": run[:3500] for k, run in enumerate(runs)}
    recorded = embedded.recorded[0]
    intervals = {
        f"seed {seed}": Rhythm.of(reconstruction.run(200.0)[0], embedded.step, embedded.levels).intervals
        for seed, reconstruction in enumerate(fits[:3])
    }
    return [
        plots.save(
            pictures.portraits(recording.states[index], states, recording.states[index, 0]), folder / "portraits.png"
        ),
        plots.save(pictures.recording_and_free_run(time_, window, labels), folder / "free_runs.png"),
        plots.save(pictures.intervals(recorded.intervals, intervals), folder / "intervals.png"),
    ]


def _smoothed(values: FloatArray) -> FloatArray:
    width = max(1, len(values) // 100)
    return np.asarray(np.convolve(values, np.ones(width) / width, mode="valid"), dtype=np.float64)


def _median(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def _text(rhythm: Rhythm) -> str:
    return f"{rhythm.regime}, period {rhythm.period:.3f} s, {rhythm.spikes_per_burst:g} spikes per burst"


def _write(path: Path, rows: Sequence[Row]) -> Path:
    write_records(path, rows)
    return path
