"""From recordings to a reconstruction: latent size, autoencoder, maps from several seeds, and which one is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.interrupts import kept
from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.errors import InputError, check_numbers
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.autoencoder import Autoencoder, AutoencoderOptions, elbow, train_autoencoder
from analog_fhn.reconstruct.model.embedding import Embedding
from analog_fhn.reconstruct.model.maps import MapOptions, NeuralMap, Pairs, PolynomialMap, fit_map, fit_polynomial
from analog_fhn.reconstruct.model.multistep import MultiStepOptions, refine_map
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.model.states import Coordinates
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.rhythm import Levels, Rhythm, waveform_error

RULE = (
    "free runs from three states of each recording at its p, over its length, at most 40 periods; of the maps "
    "whose runs all show their recording's regime, the one with the smallest |log(period/recorded period)| + "
    "|spikes per burst - recorded|/recorded + rms difference of one period/recorded range in its worst run; without "
    "any, the one with most such runs and then the smallest one-step error"
)
"""How `fit` chooses among maps: fixed before any is run, and kept in the file."""

STARTS = 3
"""Recorded states of each recording from which a map is judged."""

_PERIODS = 40.0
_WINDOW = 0.5  # periods: default of the largest lag
_WINDOW_DRIVEN = 0.15  # ... where the control was turned: longer windows hold the control itself, beside p
_WINDOW_REST = 0.01  # of the recording, where nothing has a period

StageProgress = Callable[[str, int, int], None]
"""Called with the name of the stage, the number of its steps that are done and that of all of them."""


@dataclass(frozen=True)
class FitOptions:
    """Everything that decides a reconstruction besides the recordings.

    Parameters
    ----------
    dimension
        A delay vector has so many samples; a spread one has at most as many as `longest` holds.
    stride
        So many samples lie from one of them to the next; None: they are spread, up to `longest`.
    longest
        Largest lag of a spread embedding (s); None: half a period, or 15 % of the median period of recordings at
        several p; 1 % of the first recording where nothing has a period.
    smoothing
        Smoothing of a spread embedding; see `Embedding.spread`.
    latent
        Latent coordinates; None: scanned from 1 to `largest_latent`, by the rule of `autoencoder.elbow`.
    scan_steps
        Training steps of each size in the scan.
    restarts
        So many maps are trained, each from its own seed.
    refine
        How each neural map is then trained on several steps at once, where the recordings hold so many samples in
        succession; it is tried beside the one trained on single steps. None: it is not.
    polynomial
        Order of a polynomial map in place of the neural one; None: the neural one.
    bridge
        Gaps of up to so many samples are bridged before there are delay vectors.
    seed
        Everything random is drawn from it.
    """

    dimension: int = 64
    stride: int | None = None
    longest: float | None = None
    smoothing: float = 0.3
    latent: int | None = None
    largest_latent: int = 6
    scan_steps: int = 2500
    restarts: int = 3
    refine: MultiStepOptions | None = field(default_factory=MultiStepOptions)
    polynomial: int | None = None
    bridge: int = 5
    seed: int = 0
    autoencoder: AutoencoderOptions = field(default_factory=AutoencoderOptions)
    map: MapOptions = field(default_factory=MapOptions)

    def __post_init__(self) -> None:
        check_numbers(self, above_0=("largest_latent", "scan_steps", "restarts"), from_0=("seed",))
        if self.longest is not None and not 0 < self.longest < np.inf:
            raise InputError(f"longest = {self.longest}: expected a number of seconds above 0")
        if self.latent is not None and self.latent < 1:
            raise InputError(f"latent = {self.latent}: expected 1 or more, or None to scan")


@dataclass(frozen=True, eq=False)
class Embedded:
    """Recordings as delay vectors.

    Parameters
    ----------
    embedding
        The embedding that is fitted to all recordings.
    vectors
        Delay vectors of all recordings, shape (m, D).
    index
        Numbers of the newest samples, shape (m,); no number of a recording follows one of another.
    recording
        Number of the recording of each vector, shape (m,).
    control
        p of each vector, shape (m,).
    levels
        Levels of all recordings together.
    step
        Sampling interval (s).
    voltages
        Voltages of each recording (V), short gaps bridged, NaN in longer ones.
    recorded
        Rhythm of each recording.
    """

    embedding: Embedding
    vectors: FloatArray
    index: NDArray[np.intp]
    recording: NDArray[np.intp]
    control: FloatArray
    levels: Levels
    step: float
    voltages: tuple[FloatArray, ...]
    recorded: tuple[Rhythm, ...]


@dataclass(frozen=True, eq=False)
class FitResult:
    """A reconstruction, and what led to it.

    Parameters
    ----------
    reconstruction
        The reconstruction with the map that was chosen.
    maps
        Every map that was tried: of each seed the one trained on single steps, then the one trained on several.
    names
        Name of each map, for people.
    rhythms
        Rhythms of the free runs of each map: `STARTS` of each recording.
    shapes
        Rms difference of one period of each free run from the recorded one, relative to the recorded range.
    one_step
        One-step error of each map.
    chosen
        Number of the map that was chosen.
    recorded
        Rhythm of each recording.
    latent_scan
        Loss by latent size from 1; empty if the size was an option.
    losses
        Loss curves of the scan by latent size, and of the final autoencoder under 0.
    """

    reconstruction: Reconstruction
    maps: tuple[NeuralMap | PolynomialMap, ...]
    names: tuple[str, ...]
    rhythms: tuple[tuple[Rhythm, ...], ...]
    shapes: tuple[tuple[float, ...], ...]
    one_step: FloatArray
    chosen: int
    recorded: tuple[Rhythm, ...]
    latent_scan: tuple[float, ...]
    losses: dict[int, FloatArray]

    @property
    def expected(self) -> list[Rhythm]:
        """What each of a map's free runs should be, in the order of `rhythms`."""
        return _per_run(self.recorded)

    def alike(self, number: int) -> list[tuple[Rhythm, Rhythm]]:
        """Of the free runs of map `number` those in the recorded regime: (recorded, run)."""
        runs = zip(self.expected, self.rhythms[number], strict=True)
        return [(truth, rhythm) for truth, rhythm in runs if truth.regime == rhythm.regime]


def embed(recordings: Sequence[Recording], options: FitOptions, control: Sequence[float] | None = None) -> Embedded:
    """Delay vectors of one or several recordings with the same step.

    Parameters
    ----------
    control
        Value of p in each recording; default 1.

    Raises
    ------
    InputError
        If there is no recording, steps differ, values of p do not fit, or a recording is too short.
    """
    if not recordings:
        raise InputError("no recording to reconstruct from")
    p = np.ones(len(recordings)) if control is None else np.asarray(control, dtype=np.float64)
    if p.shape != (len(recordings),) or not np.isfinite(p).all():
        raise InputError(f"{len(recordings)} recordings and {p.size} values of p; expected one finite value of each")
    step = recordings[0].step
    for recording in recordings:
        if not np.isclose(recording.step, step, rtol=1e-6, atol=0.0):
            raise InputError(f"{recording.source}: step {recording.step:g} s; expected {step:g} s as in the first one")
    voltages = [recording.bridged(options.bridge).voltage for recording in recordings]
    levels = Levels.of(np.concatenate(voltages))
    recorded = tuple(Rhythm.of(voltage, step, levels, missing=True) for voltage in voltages)
    if options.stride is not None:
        embedding = Embedding.uniform(list(voltages), options.dimension, options.stride)
    else:
        periods = [rhythm.period for rhythm in recorded if np.isfinite(rhythm.period)]
        share = _WINDOW if len(np.unique(p)) == 1 else _WINDOW_DRIVEN
        usual = share * float(np.median(periods)) if periods else _WINDOW_REST * len(voltages[0]) * step
        longest = round((options.longest or usual) / step)
        dimension = min(options.dimension, longest)
        embedding = Embedding.spread(list(voltages), dimension, longest, options.smoothing)
    parts = [embedding.vectors(voltage) for voltage in voltages]
    number = np.repeat(np.arange(len(parts)), [len(index) for _, index in parts])
    return Embedded(
        embedding,
        np.concatenate([vectors for vectors, _ in parts]),
        np.concatenate([index for _, index in parts]) + number * (1 + max(map(len, voltages))),
        number,
        p[number],
        levels,
        step,
        tuple(voltages),
        recorded,
    )


def scan_latent(
    embedded: Embedded, options: FitOptions, progress: StageProgress | None = None
) -> tuple[tuple[float, ...], dict[int, FloatArray]]:
    """Loss of short trainings with 1, 2, ... latent coordinates, and their loss curves."""
    losses, curves = [], {}
    quick = replace(options.autoencoder, steps=options.scan_steps)
    for latent in range(1, min(options.largest_latent, embedded.embedding.dimension) + 1):
        autoencoder, curves[latent] = train_autoencoder(
            embedded.vectors, embedded.index, latent, seed=options.seed, options=quick,
            progress=_named(progress, f"latent size {latent}"),
        )  # fmt: skip
        losses.append(autoencoder.loss(embedded.vectors))
    return tuple(losses), curves


def reconstruct_neuron(
    recordings: Sequence[Recording],
    options: FitOptions | None = None,
    control: Sequence[float] | None = None,
    progress: StageProgress | None = None,
) -> FitResult:
    """Rebuild a neuron's dynamics from recordings of its voltage.

    Parameters
    ----------
    recordings
        Recordings of one neuron, several if its control was turned.
    options
        How delay vectors, autoencoder and maps are made; None: as usual.
    control
        Value p of the control that was turned in each recording, in any unit. By default 1, of which the data say
        nothing.
    progress
        It is called with the name of the stage, the steps of it that are done and all its steps.

    Raises
    ------
    InputError
        As for `embed`; if the latent size does not fit, or a training diverges.
    """
    begin, options = time.perf_counter(), options or FitOptions()
    embedded = embed(recordings, options, control)
    scan, curves = ((), {}) if options.latent is not None else scan_latent(embedded, options, progress)
    latent = options.latent or elbow(scan)
    autoencoder, curves[0] = train_autoencoder(
        embedded.vectors, embedded.index, latent, seed=options.seed, options=options.autoencoder,
        progress=_named(progress, "autoencoder"),
    )  # fmt: skip
    result = train_maps(embedded, autoencoder, options, progress)
    notes = {
        "sources": [recording.source for recording in recordings],
        "options": asdict(options),
        "latent": latent,
        "latent_scan": list(scan),
        "rule": RULE,
        "chosen": result.chosen,
        "map": result.names[result.chosen],
        "seconds": time.perf_counter() - begin,
    }
    result.reconstruction.notes.update(notes)
    return replace(result, latent_scan=scan, losses=curves)


@single_blas()
def train_maps(
    embedded: Embedded, autoencoder: Autoencoder, options: FitOptions, progress: StageProgress | None = None
) -> FitResult:
    """Maps from several seeds in the states of one autoencoder, and the one that `RULE` chooses."""
    latents = autoencoder.encode(embedded.vectors)
    coordinates = Coordinates.fit(latents, embedded.index)
    states = coordinates.of(latents)
    pairs = Pairs.of(states, embedded.index, embedded.control, coordinates.speeds)
    # Neural maps are trained near 0, in the values' own decade: p may be in amperes or in microamperes.
    centre, unit = _scale(embedded.control)
    scaled = replace(pairs, control=(pairs.control - centre) / unit)
    judged = [_Judged.of(embedded, states, k) for k in range(len(embedded.recorded))]
    starts = np.concatenate([one.starts for one in judged])
    control = np.repeat([one.p for one in judged], STARTS)
    maps: dict[str, NeuralMap | PolynomialMap] = {}
    with kept(lambda: maps):
        for restart in range(options.restarts):
            seed, name = options.seed + restart, f"map {restart + 1}"
            if options.polynomial is not None:
                maps[name] = fit_polynomial(pairs, options.polynomial, options.map, seed)
                continue
            one, _ = fit_map(scaled, options.map, seed, _named(progress, f"{name} of {options.restarts}"))
            maps[name] = one.in_unit(centre, unit)
            if options.refine is not None:
                several = f"{name}, {options.refine.ahead} steps ahead"
                # Too few samples in succession, or a training that diverges, is no loss: the map before it is there.
                with suppress(InputError):
                    other, _ = refine_map(
                        one, states, embedded.index, (embedded.control - centre) / unit, coordinates.speeds,
                        options.refine, seed=seed, progress=_named(progress, several),
                    )  # fmt: skip
                    maps[several] = other.in_unit(centre, unit)
    tried = [
        Reconstruction(
            embedded.embedding, autoencoder, coordinates, state_map, embedded.step, embedded.levels, starts, control
        )
        for state_map in maps.values()
    ]
    runs = [[run for one in judged for run in one.judge(reconstruction)] for reconstruction in tried]
    rhythms = tuple(tuple(rhythm for rhythm, _ in judgements) for judgements in runs)
    shapes = tuple(tuple(shape for _, shape in judgements) for judgements in runs)
    one_step = np.array([pairs.error(state_map) for state_map in maps.values()])
    chosen = choose(_per_run(embedded.recorded), rhythms, one_step, shapes)
    return FitResult(
        tried[chosen], tuple(maps.values()), tuple(maps), rhythms, shapes, one_step, chosen, embedded.recorded, (), {}
    )


def _scale(control: FloatArray) -> tuple[float, float]:
    """Middle of the values of p in whole units, and the unit, the decade of their spread; 0 and 1 of a single one.

    The data say nothing about a single one.
    """
    values = np.unique(control)
    if len(values) < 2:
        return 0.0, 1.0
    unit = 10.0 ** round(math.log10(values.std()))
    return unit * round(values.mean() / unit), unit


def _per_run(recorded: Sequence[Rhythm]) -> list[Rhythm]:
    return [rhythm for rhythm in recorded for _ in range(STARTS)]


@dataclass(frozen=True, eq=False)
class _Judged:
    """One recording, and how long and from where the free runs go that are compared with it."""

    p: float
    starts: FloatArray  # (STARTS, L)
    voltage: FloatArray
    duration: float  # s

    @classmethod
    def of(cls, embedded: Embedded, states: FloatArray, number: int) -> _Judged:
        of_recording = embedded.recording == number
        # From the first state on.
        voltage = embedded.voltages[number][embedded.embedding.span :]
        recorded = embedded.recorded[number]
        starts = states[of_recording][
            np.linspace(0, np.count_nonzero(of_recording) - 1, STARTS + 2).astype(np.intp)[1:-1]
        ]
        duration = float(np.fmin(_PERIODS * recorded.period, len(voltage) * embedded.step))
        return cls(float(embedded.control[of_recording][0]), starts, voltage, duration)

    def judge(self, reconstruction: Reconstruction) -> list[tuple[Rhythm, float]]:
        """Of each free run the rhythm, and the difference of one period, relative to the recorded range."""
        return [
            (
                Rhythm.of(run, reconstruction.step, reconstruction.levels),
                waveform_error(self.voltage, run, reconstruction.step, reconstruction.levels).of_range,
            )
            for run in reconstruction.run(self.duration, np.full(STARTS, self.p), self.starts)
        ]


def choose(
    recorded: Sequence[Rhythm],
    rhythms: Sequence[Sequence[Rhythm]],
    one_step: FloatArray,
    shapes: Sequence[Sequence[float]] | None = None,
) -> int:
    """Number of the map that `RULE` chooses.

    Parameters
    ----------
    recorded
        Rhythm that each free run should have.
    rhythms
        Rhythms of the free runs of each map.
    one_step
        One-step error of each map.
    shapes
        Difference of one period of each run from the recorded one, relative to its range; NaN or None: not known.
    """

    def key(k: int) -> tuple[Any, ...]:
        runs = list(zip(recorded, rhythms[k], strict=True))
        missing = sum(rhythm.regime != truth.regime for truth, rhythm in runs)
        apart = [0.0] * len(rhythms[k]) if shapes is None else np.nan_to_num(shapes[k]).tolist()
        scores = [deviation(*run) + shape for run, shape in zip(runs, apart, strict=True)]
        score = max(scores, default=np.inf)
        return missing, score if missing == 0 and np.isfinite(score) else 0.0, one_step[k]

    return min(range(len(rhythms)), key=key)


def deviation(recorded: Rhythm, rhythm: Rhythm) -> float:
    """|log(period/recorded)| + |spikes per burst - recorded|/recorded; where there are no bursts, the first term."""
    if not (np.isfinite(recorded.period) and np.isfinite(rhythm.period)):
        return 0.0 if recorded.regime == rhythm.regime else float("inf")
    error = abs(float(np.log(rhythm.period / recorded.period)))
    if np.isfinite(recorded.spikes_per_burst) and np.isfinite(rhythm.spikes_per_burst):
        error += abs(rhythm.spikes_per_burst - recorded.spikes_per_burst) / recorded.spikes_per_burst
    return error


def _named(progress: StageProgress | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
