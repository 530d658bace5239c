"""Driven maps: their state along a recording, both ways to compute them, training, and what a file must be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct import adex
from analog_fhn.reconstruct.driven.bench import Bench
from analog_fhn.reconstruct.driven.judging import misfit, runs_of_several, step_runs, within
from analog_fhn.reconstruct.driven.map import UNIT, DrivenMap
from analog_fhn.reconstruct.driven.noise import current_noise
from analog_fhn.reconstruct.driven.pipeline import reconstruct_driven
from analog_fhn.reconstruct.driven.traces import OTHERS, VOLTAGE_TIMES, State, traces
from analog_fhn.reconstruct.driven.training import DrivenOptions, Rollouts, train
from analog_fhn.reconstruct.driven.tuning import tune
from analog_fhn.reconstruct.driven.twin import DrivenTwin
from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, steps_of

STEP = 0.25e-3
N_INPUTS = OTHERS + 7
QUICK = DrivenOptions(
    hidden=16, updates=200, batch=256, rollouts=(Rollouts(10, 125, 1e-3),), runs=16, memories=(5,), rounds=1,
    generations=0,
)  # fmt: skip
CURRENTS = 1e-12 * np.arange(-20.0, 100.0, 15.0)  # 8


def membrane(currents: FloatArray, noise: float = 0.0, seed: int = 0) -> CurrentClamp:
    """Passive membrane, 100 Mohm and 10 ms, rest at -60 mV: 0.1 s of steps; white noise of current (V a step)."""
    rng = np.random.default_rng(seed)
    n, on, off = 800, 200, 600
    current = np.zeros((len(currents), n))
    current[:, on:off] = currents[:, None]
    voltage = np.full((len(currents), n), -0.06)
    for k in range(n - 1):
        drift = STEP / 0.01 * (-0.06 - voltage[:, k] + 100e6 * current[:, k])
        voltage[:, k + 1] = voltage[:, k] + drift + noise * rng.standard_normal(len(currents))
    return CurrentClamp(tuple(voltage), tuple(current), STEP, steps_of(tuple(current), 10), "membrane")


def exact_map(bench: Bench) -> DrivenMap:
    """The membrane's own equation as a map with one linear layer."""
    raw = np.zeros((N_INPUTS, 1))
    raw[0, 0], raw[-2, 0] = -STEP / 0.01 / UNIT, STEP / 0.01 * 100e6 / UNIT
    bias = np.array([-0.06 * STEP / 0.01 / UNIT])
    # sinh and tanh are linear for small changes: scaled down, they stay so
    return DrivenMap(((raw, bias),), np.zeros(N_INPUTS), np.ones(N_INPUTS), 1e3, (-0.2, 0.1), bench.step)


def test_traces_are_exponential_means() -> None:
    voltage = np.full((1, 2000), -0.06)
    voltage[0, 100:] = -0.05  # a step answers with an exponential
    slow, spikes = traces(voltage, np.array([-0.06]), STEP)
    for k, time in enumerate(VOLTAGE_TIMES):
        after = STEP * np.arange(1900)
        assert slow[0, 100:, k] == pytest.approx(-0.05 - 0.01 * np.exp(-after / time), abs=1e-12)
    assert spikes.max() < 1e-4


def test_a_map_runs_as_its_equation() -> None:
    bench = Bench.of(membrane(CURRENTS))
    for run in step_runs(bench, exact_map(bench), np.arange(len(bench))):
        # sinh makes a change of 0.2 mV half too large, one of 0.02 mV less than 1 %: the runs meet at the end
        assert run.run == pytest.approx(run.recorded, abs=1.5e-3)
        assert run.run[-1] == pytest.approx(run.recorded[-1], abs=1e-6)
        assert run.within


def test_means_of_samples_are_taken_and_steps_moved() -> None:
    clamp = membrane(CURRENTS)
    fine = tuple(np.repeat(v, 5) for v in clamp.voltage)
    current = tuple(np.repeat(i, 5) for i in clamp.current)
    bench = Bench.of(CurrentClamp(fine, current, STEP / 5, steps_of(current, 50), "fine"))
    assert bench.step == pytest.approx(STEP)
    assert np.stack(clamp.voltage) == pytest.approx(bench.voltage)
    assert [(s.start, s.stop) for s in bench.steps] == [(s.start, s.stop) for s in clamp.steps]


def test_white_current_noise_is_found() -> None:
    bench = Bench.of(membrane(np.tile(CURRENTS, 4), noise=5e-5))
    found = current_noise(bench, exact_map(bench), np.arange(len(bench)))
    assert found.per_step == pytest.approx(5e-5, rel=0.1)
    # dV/dI of one step is STEP/10 ms times 100 Mohm
    assert found.density == pytest.approx(5e-5 / (STEP / 0.01 * 100e6) * np.sqrt(2 * STEP), rel=0.15)


def test_noise_of_the_measurement_is_none_of_the_current() -> None:
    clamp = membrane(np.tile(CURRENTS, 4))
    rng = np.random.default_rng(1)
    bench = Bench.of(replace(clamp, voltage=tuple(v + 5e-5 * rng.standard_normal(len(v)) for v in clamp.voltage)))
    found = current_noise(bench, exact_map(bench), np.arange(len(bench)))
    assert found.per_step < 1e-5
    assert found.one_step == pytest.approx(5e-5 * np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("recorded", "run", "good"),
    [(0, 0, True), (0, 1, False), (1, 0, True), (1, 3, False), (20, 23, True), (20, 24, False)],
)
def test_the_rule(recorded: int, run: int, good: bool) -> None:
    assert within(recorded, run) is good


def test_training_learns_the_membrane() -> None:
    clamp = membrane(CURRENTS)
    result = reconstruct_driven(clamp, QUICK, seed=2)
    assert result.reached
    held = [run.step.amplitude for run in result.held]
    assert held == pytest.approx([CURRENTS[2], CURRENTS[6]])
    assert max(row["rest_error"] for row in result.rows()) < 1e-3  # of up to 7 mV


def crossing() -> tuple[Bench, DrivenMap]:
    """A membrane that rises through the spike's level under large currents, recorded from a map, and this map."""
    n, on, off = 600, 100, 500
    current = np.zeros((8, n))
    current[:, on:off] = 1e-12 * np.arange(300, 1100, 100)[:, None]
    weights, unit = np.zeros((N_INPUTS, 1)), np.ones(N_INPUTS)
    weights[0, 0], weights[-2, 0], unit[0], unit[-2] = -1.0, 1.0, 20e-3, 200e-12
    state_map = DrivenMap(((weights, np.array([-3.0])),), np.zeros(N_INPUTS), unit, 8.0, (-0.2, 0.1), STEP)
    rest = State(np.full(8, -0.06), np.full((8, 7), -0.06), np.zeros((8, 3)), np.full(8, -0.06))
    voltage = state_map.run(rest, current)
    return Bench.of(CurrentClamp(tuple(voltage), tuple(current), STEP, steps_of(tuple(current), 10), "map")), state_map


def test_tuning_finds_a_gain_that_was_lost() -> None:
    bench, state_map = crossing()
    assert misfit(step_runs(bench, state_map, bench.trained)) == 0.0
    unit = state_map.unit.copy()
    unit[-2] *= 1.25  # of the current: fewer steps rise through the level, and later
    lost = replace(state_map, unit=unit)
    before = misfit(step_runs(bench, lost, bench.trained))
    tuned, misfits = tune(bench, bench.trained, lost, 10, 16, 0.1, seed=1)
    assert before > 0.3
    assert misfit(step_runs(bench, tuned, bench.trained)) == misfits[-1] < before / 3
    # what it was not shown is better, too
    assert misfit(step_runs(bench, tuned, bench.held_out)) < misfit(step_runs(bench, lost, bench.held_out)) / 2
    again = tune(bench, bench.trained, lost, 1, 5, 0.1, seed=1)[1]
    assert again == tune(bench, bench.trained, lost, 1, 5, 0.1, seed=1)[1]


def test_several_maps_run_as_each_alone() -> None:
    bench, state_map = crossing()
    maps = [state_map, replace(state_map, centre=0.1 * state_map.unit, unit=1.1 * state_map.unit)]
    for together, one in zip(runs_of_several(bench, maps, bench.held_out), maps, strict=True):
        for a, b in zip(together, step_runs(bench, one, bench.held_out), strict=True):
            assert a.step == b.step
            assert np.array_equal(a.run, b.run)


def test_training_never_sees_what_is_held_out() -> None:
    clamp, few = membrane(CURRENTS), replace(QUICK, updates=40, rollouts=(), generations=1, candidates=5)
    ruined = replace(clamp, voltage=tuple(v * (3 if k in (2, 6) else 1) for k, v in enumerate(clamp.voltage)))
    maps = [train(bench, bench.trained, few, seed=2).state_map for bench in (Bench.of(clamp), Bench.of(ruined))]
    for (w, b), (v, c) in zip(maps[0].layers, maps[1].layers, strict=True):
        assert np.array_equal(w, v)
        assert np.array_equal(b, c)
    assert np.array_equal(maps[0].unit, maps[1].unit)


def two_steps(first: FloatArray, second: FloatArray) -> CurrentClamp:
    """Sweeps of two steps of currents (A), which spike once in each step above 0: 0.25 s each, 0.25 s apart."""
    n = 4000
    current, voltage = np.zeros((len(first), n)), np.full((len(first), n), -0.06)
    for k, pair in enumerate(zip(first, second, strict=True)):
        for begin, amplitude in zip((1000, 3000), pair, strict=True):
            current[k, begin : begin + 1000] = amplitude
            voltage[k, begin + 300] = 0.02 if amplitude > 0 else -0.06
    return CurrentClamp(tuple(voltage), tuple(current), STEP, steps_of(tuple(current), 10), "pairs")


def test_nothing_is_fitted_to_a_sweep_with_a_held_out_current_and_its_other_steps_are_not_judged() -> None:
    amplitudes = 1e-12 * np.array([0.0, 30.0, 60.0, 90.0])
    clamp = two_steps(amplitudes, amplitudes[::-1])
    assert clamp.held_out == pytest.approx([60e-12])  # in sweeps 1 and 2, beside 30 pA
    assert clamp.trained == [0, 3]
    assert {step.sweep for step in adex._Objective(clamp).steps} == {0, 3}
    result = reconstruct_driven(clamp, replace(QUICK, updates=20, rollouts=()), seed=0)
    assert [(row["current"], row["sweep"], row["step"]) for row in result.rows()] == [
        (pytest.approx(60e-12), 2, 2), (pytest.approx(60e-12), 3, 1)
    ]  # fmt: skip
    assert {run.step.sweep for run in result.others} == {0, 3}


def test_a_recording_whose_every_sweep_has_a_held_out_current_is_refused() -> None:
    current = np.repeat(1e-12 * np.array([0.0, 20.0, 0.0, 40.0, 0.0, 60.0, 0.0, 80.0]), 500)
    stairs = CurrentClamp((np.full(4000, -0.06),), (current,), STEP, steps_of((current,), 10), "pairs")
    for refuse in (lambda: reconstruct_driven(stairs, QUICK), lambda: adex.fit_adex(stairs, 0)):
        with pytest.raises(InputError, match=r"pairs: every sweep has a step of a current that is held out \(60 pA\)"):
            refuse()


def test_noise_is_not_known_where_nothing_is_quiet() -> None:
    bench = Bench.of(membrane(CURRENTS))
    noisy = np.array(bench.voltage)
    noisy[:, ::8] += 5e-3
    found = current_noise(replace(bench, voltage=noisy), exact_map(bench), bench.trained)
    assert np.isnan([found.per_step, found.density, found.one_step]).all()


def test_a_training_that_diverges_keeps_the_best_map_and_says_so() -> None:
    bench = Bench.of(membrane(CURRENTS))
    wild = replace(QUICK, updates=20, rollouts=(Rollouts(5, 50, 1e30),))
    trained = train(bench, bench.trained, wild, seed=0)
    assert "diverged" in trained.notes[0]
    assert np.isfinite(misfit(step_runs(bench, trained.state_map, bench.trained)))


def test_maps_are_trained_until_one_is_good_and_the_best_is_kept() -> None:
    bench = Bench.of(membrane(CURRENTS))
    few = replace(QUICK, updates=20, rollouts=(), memories=(7, 5), rounds=2)
    every = train(bench, bench.trained, replace(few, good=0.0), seed=4)
    assert len(set(every.maps)) == 4  # no two from the same weights
    assert misfit(step_runs(bench, every.state_map, bench.trained)) == min(every.misfits) == min(every.maps)
    enough = np.nextafter(max(every.maps[:2]), np.inf)
    assert train(bench, bench.trained, replace(few, good=enough), seed=4).maps == every.maps[:1]


def test_a_twin_runs_without_what_trained_it(tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    bench = Bench.of(membrane(CURRENTS))
    twin = DrivenTwin(exact_map(bench), CURRENTS, np.zeros(8), np.full(8, -0.06), 1e-5)
    twin.save(path)
    script = (
        "import sys\nfrom analog_fhn.reconstruct.driven.twin import DrivenTwin\n"
        "run = DrivenTwin.load(sys.argv[1]).run(0.05, [2e-11])\n"
        "print(repr(float(run[0, -1])), sorted({'jax', 'keras', 'neo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{float(twin.run(0.05, [2e-11])[0, -1])!r} []\n"
    quiet, noisy, again = (twin.run(0.05, [0.0, 2e-11], seed) for seed in (None, 4, 4))
    assert np.array_equal(noisy, again)
    assert 1e-5 < np.std(noisy - quiet) < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, arrays: meta.update(kind="a reconstruction"), "is not a driven twin, but 'a reconstruction'"),
        (lambda meta, arrays: meta.update(format=9), "this version reads format 1"),
        (lambda meta, arrays: meta.update(step=-1.0), "step"),
        (lambda meta, arrays: meta.update(noise=-1.0), "noise"),
        (lambda meta, arrays: meta.update(layers="1"), "layers"),
        (lambda meta, arrays: arrays.update(rates=np.full(8, -1.0)), "rates: -1 is below 0"),
        (lambda meta, arrays: arrays.update(currents=np.array(1.0)), "currents of shape"),
        (lambda meta, arrays: arrays.pop("centre"), "'centre' is missing"),
        (lambda meta, arrays: arrays.update(weights_0=np.zeros((3, 1))), "a layer has shape"),
        (lambda meta, arrays: arrays.update(rates=np.full(8, np.nan)), "holds no finite numbers"),
        (lambda meta, arrays: arrays.update(currents=np.zeros(8)), "expected two or more, increasing"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "twin.npz"
    bench = Bench.of(membrane(CURRENTS))
    DrivenTwin(exact_map(bench), CURRENTS, np.zeros(8), np.full(8, -0.06)).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays.pop("meta")))
    change(meta, arrays)
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    with pytest.raises(InputError, match=message) as caught:
        DrivenTwin.load(path)
    assert str(path) in str(caught.value)


def test_sweeps_without_enough_currents_or_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="membrane: steps of 3 currents; expected at least 4"):
        reconstruct_driven(membrane(CURRENTS[:3]), QUICK)
    clamp = membrane(CURRENTS)
    shorter = (clamp.voltage[0][:-10], *clamp.voltage[1:]), (clamp.current[0][:-10], *clamp.current[1:])
    with pytest.raises(InputError, match="expected one length"):
        reconstruct_driven(CurrentClamp(*shorter, STEP, clamp.steps, "cut"), QUICK)
