"""From recordings to a reconstruction: what is refused, what is chosen, and whether the rhythm comes back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.autoencoder import Autoencoder, AutoencoderOptions, Progress, elbow
from analog_fhn.reconstruct.model.maps import MapOptions, NeuralMap, PolynomialMap, StateMap, free_run
from analog_fhn.reconstruct.model.multistep import MultiStepOptions, windows
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.pipeline import (
    STARTS,
    FitOptions,
    FitResult,
    choose,
    deviation,
    embed,
    reconstruct_neuron,
    train_maps,
)
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.rhythm import Regime, Rhythm
from analog_fhn.reconstruct.sources.record import record_fhn, record_sherman

QUICK = FitOptions(
    dimension=16,
    latent=2,
    restarts=2,
    refine=None,
    autoencoder=AutoencoderOptions(steps=1500, batch_size=128),
    map=MapOptions(hidden=40, samples=2000, iterations=25),
)


@cache
def recording() -> Recording:
    return record_fhn(settle=0.02)


@cache
def fitted() -> FitResult:
    return reconstruct_neuron([recording()], QUICK)


def rhythm(regime: Regime, period: float = np.nan, spikes: int = 0) -> Rhythm:
    none, bursting = np.empty(0), regime == "bursting"
    intervals = np.array([period]) if regime == "spiking" else none
    periods, sizes = (np.array([period]), np.array([spikes])) if bursting else (none, np.empty(0, np.intp))
    return Rhythm(regime, none, intervals, none, sizes, periods, none, none, none)


BURSTING = rhythm("bursting", 8.0, 16)


def test_deviation_counts_period_and_spikes() -> None:
    assert deviation(BURSTING, BURSTING) == 0.0
    assert deviation(BURSTING, rhythm("bursting", 16.0, 12)) == pytest.approx(np.log(2) + 0.25)
    assert deviation(BURSTING, rhythm("bursting", 4.0, 16)) == pytest.approx(np.log(2))
    assert deviation(rhythm("spiking", 1.0), rhythm("spiking", 2.0)) == pytest.approx(np.log(2))
    assert deviation(rhythm("silent"), rhythm("silent")) == 0.0
    assert deviation(BURSTING, rhythm("silent")) == np.inf


def test_all_runs_in_the_regime_come_first() -> None:
    near, far = rhythm("bursting", 8.1, 16), rhythm("bursting", 12.0, 10)
    assert choose([BURSTING] * 3, [[near, near, rhythm("spiking", 0.2)], [far, far, far]], np.array([0.1, 0.5])) == 1


def test_among_them_the_worst_run_decides() -> None:
    good, middling, bad = (rhythm("bursting", period, 16) for period in (8.0, 8.4, 9.0))
    assert choose([BURSTING] * 2, [[good, bad], [middling, middling]], np.array([0.1, 0.5])) == 1
    fewer = rhythm("bursting", 8.0, 8)
    assert choose([BURSTING], [[fewer], [middling]], np.array([0.1, 0.5])) == 1


def test_without_any_the_most_runs_and_then_the_error_decide() -> None:
    burst, silent = rhythm("bursting", 20.0, 40), rhythm("silent")
    runs = [[silent, silent], [burst, silent], [silent, burst], [rhythm("diverged"), silent]]
    assert choose([BURSTING] * 2, runs, np.array([0.1, 0.4, 0.3, 0.2])) == 2


def test_equal_rhythms_leave_it_to_the_error() -> None:
    assert choose([BURSTING], [[BURSTING], [BURSTING], [BURSTING]], np.array([0.3, 0.1, 0.2])) == 1
    silent = rhythm("silent")
    assert choose([silent], [[silent], [silent]], np.array([0.3, 0.1])) == 1


def test_neuron_spikes_at_its_period() -> None:
    found = fitted()
    assert found.recorded[0].regime == "spiking"
    runs = found.reconstruction.run(20 * found.recorded[0].period)
    for run in runs:
        made = Rhythm.of(run, recording().step, found.reconstruction.levels, settle=5 * found.recorded[0].period)
        assert made.regime == "spiking"
        assert made.period == pytest.approx(found.recorded[0].period, rel=0.04)


def test_voltage_of_recorded_states_is_the_recording() -> None:
    made = fitted().reconstruction
    vectors, index = made.embedding.vectors(recording().voltage)
    error = made.voltage(made.states(vectors)) - recording().voltage[index]
    assert np.sqrt(np.mean(error**2)) < 0.15 * recording().voltage.std()


def test_what_led_to_it_is_kept() -> None:
    found = fitted()
    assert len(found.maps) == len(found.rhythms) == len(found.one_step) == 2
    assert all(len(own) == 3 for own in found.rhythms)
    assert found.chosen == choose(found.recorded * 3, found.rhythms, found.one_step, found.shapes)
    assert found.reconstruction.state_map is found.maps[found.chosen]
    assert list(found.losses) == [0]
    assert found.losses[0].shape == (1500,)
    notes = found.reconstruction.notes
    assert notes["sources"] == ["FitzHugh-Nagumo, I = -0.5"]
    assert (notes["latent"], notes["latent_scan"], notes["chosen"]) == (2, [], found.chosen)
    assert notes["options"]["map"]["hidden"] == 40
    assert notes["rule"].startswith("free runs from three states of each recording")
    assert found.reconstruction.control.tolist() == [1.0] * STARTS


def test_it_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    fitted().reconstruction.save(path)
    duration = 5 * fitted().recorded[0].period
    assert np.array_equal(Reconstruction.load(path).run(duration), fitted().reconstruction.run(duration))


def test_same_seed_same_arrays() -> None:
    again = reconstruct_neuron([recording()], QUICK)
    for one, other in zip(again.maps, fitted().maps, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    assert np.array_equal(again.losses[0], fitted().losses[0])
    # Two restarts are two seeds.
    assert not np.allclose(again.maps[0].arrays["a"], again.maps[1].arrays["a"])


def principal(
    vectors: np.ndarray, index: np.ndarray, latent: int, *, seed: int, options: AutoencoderOptions, progress: Progress
) -> tuple[Autoencoder, np.ndarray]:
    """In place of a training: the linear autoencoder of the principal components, exactly."""
    del index, seed
    progress(options.steps, options.steps)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:latent].T
    zeros = np.zeros((len(axes), latent))
    encoder = ((np.concatenate([axes, zeros], axis=1), np.zeros(2 * latent)),)
    return Autoencoder(encoder, ((axes.T, np.zeros(len(axes))),)), np.zeros(options.steps)


def test_threads_of_the_linear_algebra_do_not_matter() -> None:
    options = replace(QUICK, restarts=1, map=MapOptions(iterations=2))
    embedded = embed([recording()], options)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append(train_maps(embedded, fitted().reconstruction.autoencoder, options).maps[0].arrays)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_latent_size_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.reconstruct.pipeline.train_autoencoder", principal)
    calls: list[tuple[str, int]] = []
    options = replace(
        QUICK, latent=None, largest_latent=4, scan_steps=70, restarts=1, map=MapOptions(8, samples=300, iterations=3)
    )
    found = reconstruct_neuron([recording()], options, progress=lambda name, _, total: calls.append((name, total)))
    vectors = embed([recording()], options).vectors
    left = 1 - np.cumsum(np.linalg.eigvalsh(vectors.T @ vectors)[::-1]) / np.sum(vectors**2)
    assert np.array(found.latent_scan) == pytest.approx(left[:4], rel=1e-4)
    assert {size: len(losses) for size, losses in found.losses.items()} == {1: 70, 2: 70, 3: 70, 4: 70, 0: 1500}
    assert found.reconstruction.autoencoder.latent == elbow(left[:4])
    assert found.reconstruction.notes["latent"] == elbow(left[:4])
    assert found.reconstruction.notes["latent_scan"] == list(found.latent_scan)
    names = [f"latent size {size}" for size in (1, 2, 3, 4)]
    assert list(dict.fromkeys(calls)) == [
        *((name, 70) for name in names), ("autoencoder", 1500), ("map 1 of 1", 3),
    ]  # fmt: skip


def test_a_polynomial_takes_the_same_way() -> None:
    options = replace(QUICK, polynomial=3, restarts=1)
    found = train_maps(embed([recording()], options), fitted().reconstruction.autoencoder, options)
    assert isinstance(found.reconstruction.state_map, PolynomialMap)
    assert found.reconstruction.state_map.powers.sum(axis=1).max() == 3
    assert found.one_step.shape == (1,)
    assert len(found.rhythms[0]) == 3


def test_two_recordings_never_follow_each_other() -> None:
    made = embed([recording(), recording()], QUICK, [0.5, 1.5])
    assert np.count_nonzero(np.diff(made.index) != 1) == 1
    half = len(made.index) // 2
    assert np.array_equal(made.vectors[:half], made.vectors[half:])
    assert made.control.tolist() == [0.5] * half + [1.5] * half
    assert len(made.recorded) == 2


def test_maps_are_tried_after_one_step_and_after_several() -> None:
    options = replace(QUICK, restarts=1, refine=MultiStepOptions(20, updates=100))
    embedded, autoencoder = embed([recording()], options), fitted().reconstruction.autoencoder
    found = train_maps(embedded, autoencoder, options)
    assert found.names == ("map 1", "map 1, 20 steps ahead")
    one, several = found.maps
    assert isinstance(one, NeuralMap)
    assert all(np.array_equal(one.arrays[name], fitted().maps[0].arrays[name]) for name in one.arrays)  # type: ignore[union-attr]
    states = found.reconstruction.states(embedded.vectors)
    first = windows(embedded.index, 20)

    def error(state_map: StateMap) -> float:
        return float(np.abs(free_run(state_map, states[first], 20)[-1] - states[first + 20]).mean())

    assert error(several) < error(one)
    # Nowhere so many samples in succession; a training that diverges.
    brief = replace(options, refine=MultiStepOptions(len(recording())))
    assert train_maps(embedded, autoencoder, brief).names == ("map 1",)
    wild = replace(options, refine=MultiStepOptions(20, updates=20, learning_rate=1e30))
    assert train_maps(embedded, autoencoder, wild).names == ("map 1",)


def test_every_recording_is_judged_at_its_own_drive() -> None:
    drives = [-0.5, -0.2, 0.3]
    recordings = [record_fhn(drive=drive, duration=0.04, step=2e-5) for drive in drives]
    found = reconstruct_neuron(recordings, QUICK, drives)
    assert [rhythm.regime for rhythm in found.recorded] == ["spiking", "spiking", "silent"]
    assert found.recorded[1].period > 1.1 * found.recorded[0].period
    truth = [rhythm for rhythm in found.recorded for _ in range(STARTS)]
    assert found.chosen == choose(truth, found.rhythms, found.one_step, found.shapes)
    made = found.reconstruction
    assert np.array_equal(made.control, np.repeat(drives, STARTS))
    kept = found.rhythms[found.chosen]
    assert len(kept) == len(made.starts) == 3 * STARTS
    for k, drive in enumerate(drives):
        length = len(made.embedding.vectors(recordings[k].voltage)[0]) * made.step
        runs = made.run(np.fmin(40 * found.recorded[k].period, length), np.full(STARTS, drive), made.starts_near(drive))
        for run, rhythm in zip(runs, kept[STARTS * k : STARTS * (k + 1)], strict=True):
            again = Rhythm.of(run, made.step, made.levels)
            assert again.regime == rhythm.regime
            assert again.times == pytest.approx(rhythm.times, abs=made.step)


def test_the_unit_of_p_does_not_matter() -> None:
    drives = np.array([-0.5, -0.2, 0.3])
    brief = MapOptions(20, iterations=3)
    options = replace(QUICK, stride=2, restarts=1, map=brief, refine=MultiStepOptions(10, updates=5))
    embedded = embed([record_fhn(drive=d, duration=0.01, step=2e-5) for d in drives], options, drives)
    autoencoder = fitted().reconstruction.autoencoder
    made = train_maps(embedded, autoencoder, options).maps
    for unit in (1e-9, 1e12):
        others = train_maps(replace(embedded, control=unit * embedded.control), autoencoder, options).maps
        for one, other in zip(made, others, strict=True):
            assert isinstance(one, NeuralMap)
            assert isinstance(other, NeuralMap)
            found = replace(other, alpha=unit * other.alpha)
            for name, values in one.arrays.items():
                np.testing.assert_allclose(found.arrays[name], values, rtol=1e-4, atol=1e-6)


def test_maps_are_judged_by_what_was_recorded_around_gaps() -> None:
    voltage = recording().voltage.copy()
    for begin in range(500, len(voltage), 800):
        voltage[begin : begin + 20] = np.nan
    embedded = embed([Recording(voltage, recording().step)], QUICK)
    whole, gappy = fitted(), train_maps(embedded, fitted().reconstruction.autoencoder, QUICK)
    right = [k for k, own in enumerate(gappy.rhythms) if all(rhythm.regime == "spiking" for rhythm in own)]
    assert right
    for k in right:
        assert max(gappy.shapes[k]) < 2 * max(whole.shapes[whole.chosen]) + 0.02


def test_short_windows_and_recordings_at_rest() -> None:
    made = embed([recording()], replace(QUICK, dimension=64, longest=30 * recording().step))
    assert made.embedding.lags[-1] == 30
    assert 20 <= made.embedding.dimension <= 30
    rest = Recording(np.exp(-np.arange(2000) / 500.0), 1e-6)
    assert embed([rest], QUICK).embedding.lags[-1] == 20


def test_longest_lag_is_half_the_period() -> None:
    made = embed([recording()], QUICK)
    assert made.embedding.lags[-1] * made.step == pytest.approx(made.recorded[0].period / 2, abs=made.step)
    period = made.recorded[0].period
    twice = embed([recording(), recording()], QUICK, [2.0, 2.0])
    assert twice.embedding.lags[-1] == made.embedding.lags[-1]
    driven = embed([recording(), recording()], QUICK, [1.0, 2.0])
    assert driven.embedding.lags[-1] * made.step == pytest.approx(0.15 * period, abs=made.step)
    assert embed([recording()], replace(QUICK, longest=1e-3)).embedding.lags[-1] == round(1e-3 / made.step)
    assert embed([recording()], replace(QUICK, stride=2)).embedding.lags.tolist() == list(range(0, 32, 2))


def test_short_gaps_are_bridged_and_long_ones_left_out() -> None:
    whole = recording()
    counts = []
    for gap in (0, 5, 6):
        voltage = whole.voltage.copy()
        voltage[3000 : 3000 + gap] = np.nan
        made = embed([Recording(voltage, whole.step)], QUICK)
        counts.append(len(made.vectors))
    assert counts[1] == counts[0]
    assert counts[2] < counts[0] - 6


def test_steps_that_differ_are_refused() -> None:
    other = Recording(recording().voltage, 2 * recording().step, source="the slow one")
    with pytest.raises(InputError, match="the slow one: step"):
        embed([recording(), other], QUICK)
    brief = [Recording(recording().voltage, step, source=f"{step:g}") for step in (1e-9, 9e-9)]
    with pytest.raises(InputError, match="9e-09: step"):
        embed(brief, QUICK)


@pytest.mark.parametrize("control", [[1.0], [1.0, 2.0, 3.0], [1.0, np.nan]])
def test_controls_that_do_not_fit_are_refused(control: list[float]) -> None:
    with pytest.raises(InputError, match="2 recordings and"):
        embed([recording(), recording()], QUICK, control)


def test_no_recording_is_refused() -> None:
    with pytest.raises(InputError, match="no recording"):
        reconstruct_neuron([], QUICK)


def test_a_recording_shorter_than_its_vectors_is_refused() -> None:
    brief = Recording(recording().voltage[:200], recording().step)
    with pytest.raises(InputError, match="successive samples are needed"):
        reconstruct_neuron([brief], replace(QUICK, longest=300 * brief.step))


@pytest.mark.parametrize(
    "option", [{"restarts": 0}, {"longest": 0.0}, {"seed": -1}, {"largest_latent": 0}, {"latent": 0}]
)
def test_options_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        FitOptions(**option)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_bursting_neuron_bursts_again(seed: int) -> None:
    neuron = record_sherman("modified")
    found = reconstruct_neuron([neuron], FitOptions(latent=3, seed=seed))
    assert found.recorded[0].period == pytest.approx(8.558, abs=0.005)
    for run in found.reconstruction.run(100.0):
        made = Rhythm.of(run, neuron.step, found.reconstruction.levels)
        assert made.regime == "bursting"
        assert made.period == pytest.approx(found.recorded[0].period, rel=0.1)
        assert made.spikes_per_burst == pytest.approx(16, abs=2)
