"""Training of a driven map: on single steps, on runs of many, and by the steps' spikes; the best of them is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from analog_fhn._support.interrupts import kept
from analog_fhn._support.progress import Progress
from analog_fhn.errors import InputError, check_numbers
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.bench import BEFORE, Bench
from analog_fhn.reconstruct.driven.judging import misfit, step_runs
from analog_fhn.reconstruct.driven.map import DrivenMap, change
from analog_fhn.reconstruct.driven.traces import gains, raw_inputs, spiking
from analog_fhn.reconstruct.driven.tuning import tune
from analog_fhn.reconstruct.model.adam import minimise
from analog_fhn.training.fit import keras_on_jax

_CHUNK = 25  # updates between two samples of the weights
_CHECK = 5  # samples between two checks
_KEEP = 0.9  # of the running mean of the weights, in each sample
_CLIP = 1.0
_GENERATION = 300  # updates that take as long as a generation of the search
_FLOOR, _SHARE = 1e-4, 0.1  # V, and of the change itself: unit of a single step's error
_FAST = 1e-3  # V: a recorded change above it belongs to a spike ...
_AROUND = 40  # ... with so many samples
_QUIET, _SWING, _NEAR = 0.3e-3, 0.15, 2e-3  # V, of the recorded range within so many s: unit of a run's error
_REACH = 2e-3  # V: distance beyond which a run is drawn no harder, so that it has to spike by itself
_ONSET = 0.1  # s after the beginning of a step, where many runs start
_PULL = 0.2  # of a disturbance of the voltage, what one step is taught to take back


@dataclass(frozen=True)
class Rollouts:
    """Training on runs of `ahead` steps: so many updates by Adam, at this rate."""

    ahead: int
    updates: int
    learning_rate: float

    def __post_init__(self) -> None:
        check_numbers(self, above_0=("ahead", "updates", "learning_rate"))


@dataclass(frozen=True)
class DrivenOptions:
    """How a driven map is trained.

    Parameters
    ----------
    hidden
        Units in each of its two hidden layers.
    updates, batch, learning_rate
        Of the training on single steps.
    noise
        Disturbance of the voltage in it (V).
    rollouts
        Then on runs of several lengths, one after the other.
    runs
        Runs in a batch.
    forcing
        Share of the distance to the recording that is taken away after each step of a run.
    start_noise
        Disturbance of the voltage a run starts from (V); of the traces a share of their spread, `start_share`.
    memories
        Numbers of the voltage's means that a map reads, in the order in which they are tried. With all seven it knows
        0.5 s of the past; with five 50 ms, and cannot take what a long hyperpolarisation left behind for a reason to
        rest.
    rounds
        So often `memories` are gone through, each time from other weights and with other samples: training is chaotic.
    good
        No further map is trained where one has a misfit below it.
    generations, candidates, spread
        Of the search for the scales of its inputs that ends its training, see `tune`; 0 generations: none.
    """

    hidden: int = 48
    updates: int = 3000
    batch: int = 1024
    learning_rate: float = 2e-3
    noise: float = 0.5e-3
    rollouts: tuple[Rollouts, ...] = (Rollouts(50, 800, 5e-4), Rollouts(120, 500, 2e-4))
    runs: int = 32
    forcing: float = 0.05
    start_noise: float = 1e-3
    start_share: float = 0.05
    memories: tuple[int, ...] = (7, 5)
    rounds: int = 3
    good: float = 0.5
    generations: int = 30
    candidates: int = 16
    spread: float = 0.03


@dataclass(frozen=True, eq=False)
class Trained:
    """A map, and how it came about.

    Parameters
    ----------
    state_map
        The map.
    misfits, chosen
        Its misfit on the trained steps at each check, and the number of the smallest.
    maps
        The smallest misfit of every map that was trained.
    notes
        What is to be said.
    """

    state_map: DrivenMap
    misfits: tuple[float, ...]
    chosen: int
    maps: tuple[float, ...]
    notes: tuple[str, ...]


def train(
    bench: Bench, which: NDArray[np.intp], options: DrivenOptions, seed: int, progress: Progress | None = None
) -> Trained:
    """Train a map on some sweeps.

    Now and then the trained steps are run freely, each from the state recorded before it, with the map as it is and
    with the running mean of its weights; the one with the smallest `misfit` is kept. A training that diverges ends
    there. Then the scales of the map's inputs are tuned. Maps are trained, with each of `DrivenOptions.memories` in
    turn, until one has a misfit below `good`; the best is kept. Ctrl-C within `keeping` leaves those that are trained.
    """
    keepers: list[_Keeper] = []
    total = options.rounds * len(options.memories)
    with kept(lambda: keepers):
        for number in range(total):
            turn, place = divmod(number, len(options.memories))
            part = None if progress is None else _part_of(progress, number, total)
            keepers.append(_train_one(bench, which, options, options.memories[place], _seed_of(seed, turn), part))
            if min(keepers[-1].misfits) < options.good:
                break
    best = min(keepers, key=lambda keeper: min(keeper.misfits))
    notes = [note for keeper in keepers for note in keeper.notes]
    smallest = tuple(min(keeper.misfits) for keeper in keepers)
    if len(keepers) < total and min(smallest) >= options.good:
        notes.append(f"interrupted: of up to {total} maps {len(keepers)} trained")
    return Trained(best.best, tuple(best.misfits), int(np.argmin(best.misfits)), smallest, tuple(notes))


def _seed_of(seed: int, turn: int) -> int:
    """Seed of a round of maps; the first is the user's own."""
    return seed if not turn else int(np.random.default_rng((seed, turn)).integers(2**31))


def _train_one(
    bench: Bench, which: NDArray[np.intp], options: DrivenOptions, means: int, seed: int, progress: Progress | None
) -> _Keeper:
    """One map that reads so many means of the voltage."""
    first = DrivenMap.drawn(bench, which, options.hidden, means, np.random.default_rng(seed))
    keeper = _Keeper(bench, which, first)
    variables = [keras_on_jax().Variable(v, dtype="float32") for layer in first.layers for v in layer]
    stages: list[tuple[str, Any, int, float]] = [
        ("single steps", _single(bench, which, first, options), options.updates, options.learning_rate)
    ]
    stages += [
        (f"{r.ahead} steps", _several(bench, which, first, options, r.ahead), r.updates, r.learning_rate)
        for r in options.rollouts
    ]
    done, total = 0, sum(stage[2] for stage in stages) + _GENERATION * options.generations
    for number, (name, loss, updates, rate) in enumerate(stages):
        try:
            minimise(
                loss, variables, steps=updates, learning_rate=rate, seed=seed + number, what=f"map ({name})",
                chunk=_CHUNK, clip=_CLIP, progress=None if progress is None else _shifted(progress, done, total),
                each=keeper.watch if number else keeper.take,
            )  # fmt: skip
        except InputError as error:
            keeper.notes.append(f"{error}; the best map before it is kept")
        done += updates
        if not number:
            keeper.check(keeper.last)
        values = [v for layer in keeper.best.layers for v in layer]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    if options.generations:
        shifted = None if progress is None else _shifted(progress, done, total, _GENERATION)
        keeper.tune(options, seed, shifted)
    return keeper


def _part_of(progress: Progress, number: int, parts: int) -> Progress:
    return lambda done, total: progress(number * total + done, parts * total)


def _shifted(progress: Progress, before: int, total: int, each: int = 1) -> Progress:
    return lambda done, _: progress(before + each * done, total)


class _Keeper:
    """Runs the trained steps with states of a map that it is shown, and with their running mean; keeps the best."""

    def __init__(self, bench: Bench, which: NDArray[np.intp], first: DrivenMap) -> None:
        self._bench, self._which, self.best = bench, which, first
        self._mean: list[FloatArray] | None = None
        self._shown = 0
        self.last = [v for layer in first.layers for v in layer]
        self.misfits: list[float] = []
        self.notes: list[str] = []

    def take(self, values: list[FloatArray]) -> None:
        """Remember values without a run."""
        self.last = values

    def watch(self, values: list[FloatArray]) -> None:
        """Take values into the running mean, and check both now and then."""
        if not all(np.isfinite(v).all() for v in values):  # the loss says so in the next step
            return
        mean = values if self._mean is None else self._mean
        self._mean = [_KEEP * m + (1 - _KEEP) * v for m, v in zip(mean, values, strict=True)]
        self._shown += 1
        if self._shown % _CHECK == 0:
            self.check(values)
            self.check(self._mean)

    def check(self, values: list[FloatArray]) -> None:
        """Run the trained steps; keep the map if none before was as good."""
        candidate = replace(self.best, layers=tuple(_pairs(values)))
        error = misfit(step_runs(self._bench, candidate, self._which))
        if not self.misfits or error < min(self.misfits):
            self.best = candidate
        self.misfits.append(error)

    def tune(self, options: DrivenOptions, seed: int, progress: Progress | None) -> None:
        """Search the scales of the best map's inputs; see `tune`."""
        self.best, misfits = tune(
            self._bench, self._which, self.best, options.generations, options.candidates, options.spread, seed, progress
        )
        self.misfits += misfits


def _pairs(values: Any) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _single(bench: Bench, which: NDArray[np.intp], first: DrivenMap, options: DrivenOptions) -> Callable[..., Any]:
    """Loss of single steps: a quarter of the batch around spikes, the voltage disturbed."""
    import jax
    import jax.numpy as jnp

    n = bench.voltage.shape[1] - 1
    base = np.broadcast_to(bench.base[which][:, None], (len(which), n))
    part = (which, slice(n))
    scaled = first.scaled(bench.voltage[part], bench.slow[part], bench.spikes[part], bench.current[part], base)
    delta = np.diff(bench.voltage[which], axis=1).ravel()
    near = np.convolve(np.abs(delta) > _FAST, np.ones(_AROUND), "same") > 0
    inputs, target = jnp.asarray(scaled.reshape(len(delta), -1), jnp.float32), jnp.asarray(delta, jnp.float32)
    quarter = options.batch // 4 if near.any() else 0
    fast, slow = jnp.asarray(np.flatnonzero(near)), jnp.asarray(np.flatnonzero(~near))
    moved = jnp.asarray(1.0 / first.unit[: 1 + first.means], jnp.float32)

    def loss(values, key):  # type: ignore[no-untyped-def]
        a, b, c = jax.random.split(key, 3)
        chosen = jax.random.choice(b, slow, (options.batch - quarter,))
        if quarter:
            chosen = jnp.concatenate([jax.random.choice(a, fast, (quarter,)), chosen])
        shift = options.noise * jax.random.normal(c, (options.batch,))
        x = inputs[chosen].at[:, : len(moved)].add(shift[:, None] * moved)
        y = target[chosen] - _PULL * shift
        error = jnp.mean((change(_pairs(values), x, first.bound, jnp) - y) ** 2 / (_FLOOR**2 + (_SHARE * y) ** 2))
        return error, error

    return loss


def _several(
    bench: Bench, which: NDArray[np.intp], first: DrivenMap, options: DrivenOptions, ahead: int
) -> Callable[..., Any]:
    """Loss of runs of `ahead` steps, drawn weakly towards the recording."""
    import jax
    import jax.numpy as jnp

    data = [
        jnp.asarray(a[which], jnp.float32)
        for a in (bench.voltage, bench.current, bench.slow[..., : first.means], bench.spikes, bench.base, _units(bench))
    ]
    centre, unit = (jnp.asarray(v, jnp.float32) for v in (first.centre, first.unit))
    of_voltage, of_spikes = (jnp.asarray(v, jnp.float32) for v in gains(bench.step))
    n_slow, of_voltage = first.means, of_voltage[: first.means]
    spread_slow, spread_spikes = unit[1 : 1 + n_slow], unit[1 + n_slow : 1 + n_slow + len(of_spikes)]
    places = jnp.asarray(_starts(bench, ahead))
    low, high = first.limits

    def loss(values, key):  # type: ignore[no-untyped-def]
        layers, keys = _pairs(values), jax.random.split(key, 5)
        j = jax.random.randint(keys[0], (options.runs,), 0, len(which))
        i = jax.random.choice(keys[1], places, (options.runs,))
        window = i[:, None] + jnp.arange(ahead + 1)
        true, current, base = data[0][j[:, None], window], data[1][j[:, None], window], data[4][j]
        size = data[5][j[:, None], window]
        v = true[:, 0] + options.start_noise * jax.random.normal(keys[2], (options.runs,))
        m = data[2][j, i] + options.start_share * spread_slow * jax.random.normal(keys[3], (options.runs, n_slow))
        s = data[3][j, i] + options.start_share * spread_spikes * jax.random.normal(
            keys[4], (options.runs, len(of_spikes))
        )

        def advance(state, now):  # type: ignore[no-untyped-def]
            v, m, s = state
            amps, target, size = now
            x = (raw_inputs(v, m, s, amps, base, jnp) - centre) / unit
            new = jnp.clip(v + change(layers, x, first.bound, jnp), low, high)
            m, s = m + of_voltage * (v[:, None] - m), s + of_spikes * (spiking(v, jnp)[:, None] - s)
            square = ((new - target) / size) ** 2
            pull = options.forcing * jnp.clip(target - new, -_REACH, _REACH)
            return (new + pull, m, s), jnp.mean(square / (1 + jnp.sqrt(1 + square)))

        error = jnp.mean(jax.lax.scan(advance, (v, m, s), (current.T[:-1], true.T[1:], size.T[1:]))[1])
        return error, error

    return loss


def _units(bench: Bench) -> FloatArray:
    """Unit of a run's error at each sample, shape (m, n), V: fine between spikes, coarse where one may come early."""
    window = 2 * round(_NEAR / bench.step) + 1
    swing = maximum_filter1d(bench.voltage, window, axis=1) - minimum_filter1d(bench.voltage, window, axis=1)
    return np.asarray(_QUIET + _SWING * swing)


def _starts(bench: Bench, ahead: int) -> NDArray[np.intp]:
    """Samples that runs start from: all of each step, as many around its beginning, half as many anywhere."""
    last = bench.voltage.shape[1] - ahead - 1
    if last < 1:
        raise InputError(f"{bench.clamp.source}: sweeps are shorter than the {ahead} steps that the map is trained on")
    early, onset = round(2 * BEFORE / bench.step), round(_ONSET / bench.step)
    driven = np.concatenate([np.arange(start - early, max(start, stop - ahead)) for start, stop in bench.windows])
    onsets = np.concatenate([np.arange(start - ahead, start + onset) for start, _ in bench.windows])
    anywhere = np.linspace(0, last - 1, len(driven) // 2).astype(int)
    onsets = np.resize(onsets, len(driven))
    return np.asarray(np.clip(np.concatenate([driven, onsets, anywhere]), 0, last - 1))
