"""Response tables against direct simulation, and what they say about themselves."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analog_fhn._support.resources import resource
from analog_fhn.backends.base import Backend, Response
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice import backend as spice_module
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.backends.table import backend as table_module
from analog_fhn.backends.table import build as characterise
from analog_fhn.backends.table import waveforms as response_table
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.build import grid_range
from analog_fhn.backends.table.waveforms import ResponseTable
from analog_fhn.cell import base
from analog_fhn.cell.base import Cells, CircuitCells, DriveStage
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.inference import classify, classify_all
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol, cycle, cycle_from_samples, waveform_rms
from analog_fhn.noise import Noise
from analog_fhn.technology.sections import Adc
from analog_fhn.technology.technology import Technology
from analog_fhn.training.plain import train_plain

PROTOCOL = Protocol()
FINE = Protocol(settle=20.0, control=20.0, interval=0.005)


def ideal(n: int, **settings: Any) -> Cells:
    return Cells.ideal("sigmoid", FHN(**settings), n)


@cache
def mismatched(n: int = 4, seed: int = 5) -> CircuitCells:
    return chip_of(n, seed).hardware[0].cells


def chip_of(n: int, seed: int) -> ManufacturedChip:
    network = Network.of_weights((np.ones((1, n)), np.ones((n, 2))))
    return Design(network, Technology.load("discrete")).chip(seed)


def leaky(n: int = 2) -> Cells:
    """Neurons whose mean is no straight line over the drive, so that interpolation has something to miss."""
    cells = ideal(n)
    q = cells.dynamics.q.copy()
    q[:, 2] = -0.25 * (1 + np.arange(n))
    return replace(cells, dynamics=Coefficients(cells.dynamics.p, q, cells.dynamics.eps))


@cache
def made(n: int = 33) -> ResponseTable:
    return Table(Direct(), n).make(mismatched(), PROTOCOL)


@dataclass(frozen=True)
class Counting:
    """The direct backend, and how many neurons it was asked to run."""

    name: str = "counting"
    asked: list[int] = field(default_factory=list, repr=False, compare=False)

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        self.asked.append(drives.size)
        answer = Direct().respond(cells, drives, protocol, samples=samples, noise=noise, progress=progress)
        return replace(answer, power=1e-3 * (2.0 + drives**2))


def exact_mean(cells: Cells, neuron: int, drive: float) -> float:
    """Time average over one period, or the rest point, by Radau."""
    one = cells.dynamics[np.array([neuron])]
    if one.stable_at_rest(np.array([drive]))[0]:
        return float(one.rest_point(np.array([drive]))[0][0])
    return float(np.mean(cycle(one, drive, n_phase=8192).x))


# --- the mean -------------------------------------------------------------------------------------------------

DRIVES = (-0.97, -0.61, -0.33, -0.08, 0.05, 0.45)


@pytest.mark.parametrize(("neuron", "drive"), [(0, -0.83), (1, -0.08), (2, 0.07), (3, 0.45)])
def test_mean_is_that_of_the_chips_own_equations(neuron: int, drive: float) -> None:
    mean = made().respond(np.full((1, 4), drive), PROTOCOL).mean[0, neuron]
    assert mean == pytest.approx(exact_mean(mismatched(), neuron, drive), abs=1e-3)


def test_mean_is_that_of_very_long_windows() -> None:
    drives = np.random.default_rng(3).uniform(-0.97, 0.97, (50, 4))
    long = Direct().respond(mismatched(), drives, Protocol(settle=50.0, control=4000.0)).mean
    # The long window misses by (y(end) - y(start))/4000, y swings by 1.6 at most.
    np.testing.assert_allclose(made().respond(drives, PROTOCOL).mean, long, rtol=0, atol=1e-3)


@pytest.mark.parametrize("n", [5, 33])
def test_stated_errors_are_those_of_an_independent_look(n: int) -> None:
    cells = leaky()
    table = Table(Direct(), n).make(cells, PROTOCOL)
    low, high = grid_range(cells)
    drives = np.linspace(low, high, 60)[1:-1]
    # Beside the jump of the mean at the onset of spikes, into whose cell no check falls
    clear = np.abs(drives - [-0.169, -0.335]) > 0.01
    long = Direct().respond(cells, drives, Protocol(settle=50.0, control=4000.0)).mean
    errors = (table.respond(drives, PROTOCOL).mean - long)[clear]
    # 16 checks against 114 others: sampling may differ by half; the long window itself misses by 1.6/4000.
    assert np.sqrt(np.mean(errors**2)) < 1.5 * table.quality.rms + 4e-4
    assert np.abs(errors).max() < 1.5 * table.quality.largest + 4e-4
    if n == 5:
        # ... and they are no exaggeration: where interpolation really misses, it is stated within a factor.
        assert table.quality.rms > 2e-3
        assert np.sqrt(np.mean(errors**2)) > table.quality.rms / 3


def test_a_coarse_table_is_stated_to_be_worse() -> None:
    coarse, fine = (Table(Direct(), n).quality(leaky(), PROTOCOL) for n in (5, 33))
    assert coarse.rms > 5 * fine.rms
    assert coarse.largest > 5 * fine.largest
    assert coarse.period_rms > 5 * fine.period_rms
    assert fine.period_largest < 0.05


def test_quality_compares_with_the_identity_and_the_control_window() -> None:
    short, long = (Table(Direct(), 9).quality(mismatched(), Protocol(20.0, control)) for control in (10.0, 400.0))
    # The mean over a finite window misses by (y(end) - y(start))/control: y swings by 4/3 and more.
    assert 1e-3 < short.window_rms < short.window_largest < 1.6 / 10
    assert long.window_largest < 1.6 / 400 + 5e-4
    assert (short.n_window, long.n_window) == (13, 8)
    # algebra, for neurons almost without a leak: the mean is on a straight line
    assert 0 < long.identity_deviation < 5e-3
    assert Table(Direct(), 9).quality(leaky(), PROTOCOL).identity_deviation > 0.05


def test_onset_of_spikes_is_where_the_rest_point_loses_its_stability() -> None:
    table, cells = made(), mismatched()
    for neuron in range(4):
        rests = table.regime[neuron, : table.counts[neuron]] == 0
        (edge,) = np.flatnonzero(rests[:-1] != rests[1:])
        bracket = table.drives[neuron, edge : edge + 2]
        # A cell is 2/32 wide and was halved six times.
        assert bracket[1] - bracket[0] < 2.1 / 32 / 2**6
        stable = [cells.dynamics[[neuron]].stable_at_rest(np.array([d]))[0] for d in np.linspace(-0.5, 0.5, 4001)]
        onset = np.linspace(-0.5, 0.5, 4001)[np.flatnonzero(np.diff(stable))[0]]
        # Half a cell of 1e-3; within 2e-4 = eps/50 oscillations change by less than an e-fold in 50 T.
        assert bracket.mean() == pytest.approx(onset, abs=7e-4)


@cache
def made_with(eps: float) -> ResponseTable:
    return Table(Direct(), 33).make(ideal(1, eps=eps), PROTOCOL)


@pytest.mark.parametrize("eps", [0.3, 0.1, 0.05, 0.01])
def test_mean_beside_the_onset_is_as_exact_as_stated(eps: float) -> None:
    # From full spikes over oscillations that never cross zero (eps/8 of drives) to damped ones at rest
    drives = np.concatenate([np.linspace(-0.2 * eps, 0.02 * eps, 23), [-0.030, -0.0080]])[:, None]
    table = made_with(eps)
    mean = table.respond(drives, PROTOCOL).mean
    long = Direct().respond(ideal(1, eps=eps), drives, Protocol(100.0, 8000.0, 0.5)).mean
    # The long window misses by the swing of y over its length, 2/8000 at most; 12 checks are at other drives.
    assert np.abs(mean - long).max() < 1.5 * table.quality.largest + 2.5e-4
    assert table.quality.largest < 5e-4
    # the identity, which has no window
    np.testing.assert_allclose(mean, -1.0 - drives, rtol=0, atol=1.5 * table.quality.largest + 1e-4)


@pytest.mark.parametrize("eps", [0.3, 0.1])
def test_oscillations_that_never_cross_zero_are_sampled(eps: float) -> None:
    table, cells = made_with(eps), ideal(1, eps=eps)
    swinging = np.flatnonzero(table.regime[0, : table.counts[0]] == 4)
    # The range of drives is known to half a cell of 1e-3 at both ends; it begins at drive 0 and is eps/8 wide for
    # small eps.
    low, high = table.drives[0, swinging[[0, -1]]]
    assert -0.16 * eps < low < -0.1 * eps
    assert high == pytest.approx(0.0, abs=0.02 * eps + 1e-3)

    late = Protocol(settle=200.0, control=20.0, interval=0.01)
    drives = np.append(table.drives[0, swinging[:-1]], -0.1 * eps)[:, None]
    drives = drives[drives[:, 0] < -0.05 * eps]
    ours = table.respond(drives, late, samples=True).samples
    direct = Direct().respond(cells, drives, late, samples=True).samples
    assert ours is not None
    assert direct is not None
    assert direct.max() < 0
    # 5 % of growth is let pass. Linear interpolation of the amplitude, a root of the drive, costs some more.
    np.testing.assert_allclose(np.ptp(ours, axis=0), np.ptp(direct, axis=0), rtol=0.1)
    # At the table's own drives in phase, too, where they settle within the table's runs: std of sin(wt) - sin(wt + d)
    # is d/sqrt(2), or 0.35 d of its swing, so this is 1/40 of the period.
    settled = drives[:, 0] < -0.12 * eps
    settled[-1] = False
    assert settled.any()
    assert np.all(np.std(ours - direct, axis=0)[settled] < 0.05 * np.ptp(direct, axis=0)[settled])


@pytest.mark.parametrize("eps", [0.3, 0.01])
def test_cells_with_an_onset_are_checked_twice_more(eps: float) -> None:
    table = made_with(eps)
    grid = np.linspace(*(v[0] for v in grid_range(ideal(1, eps=eps))), 33)
    drives = table.drives[0, : table.counts[0]]
    regimes = table.regime[0, [np.argmin(np.abs(drives - d)) for d in grid]]
    edges = np.count_nonzero(np.diff(regimes))
    assert edges in (1, 2)
    assert table.quality.n_checks == 8 + 2 * edges


def test_errors_beside_an_onset_are_stated() -> None:
    # With a leak the mean bends and jumps at the onset; of three checks per neuron only the two there see it.
    cells = leaky()
    table = Table(Direct(), 33, checks=1).make(cells, PROTOCOL)
    assert table.quality.n_checks == 2 * (1 + 2)
    near = [np.flatnonzero(np.diff(table.regime[k, : table.counts[k]]))[0] for k in range(2)]
    drives = np.array([table.drives[k, i] for k, i in enumerate(near)]) + np.linspace(-0.05, 0.05, 41)[:, None]
    long = Direct().respond(cells, drives, Protocol(settle=200.0, control=8000.0)).mean
    errors = np.abs(table.respond(drives, PROTOCOL).mean - long)
    # The tenth beyond leaves room for the jump itself. Errors elsewhere are six times smaller.
    assert np.quantile(errors, 0.9) < table.quality.largest + 2.5e-4


def test_spikes_within_one_cell_are_found() -> None:
    # Five drives from -20 to 20: the neuron rests at all of them but spikes for 2 units in between.
    cells = ideal(2, gamma=-20.0)
    table = Table(Direct(), 6).make(cells, Protocol(settle=200.0, control=100.0))
    assert (table.regime == 1).any(axis=1).all()
    samples = table.respond(np.array([[-1.0, -0.8]]), FINE, samples=True).samples
    assert samples is not None
    assert samples.max() > 1.9


def test_slow_neurons_get_the_users_own_window() -> None:
    # gamma = -6: y relaxes with up to 7^2 - 1 = 48 T, far beyond the table's 40 T.
    cells, protocol = ideal(1, gamma=-6.0), Protocol(settle=50.0, control=20.0)
    table = Table(Direct(), 9).make(cells, protocol)
    ends = table.drives[:, [0, -1]].T
    direct = Direct().respond(cells, ends, protocol).mean
    assert np.abs(direct - cells.dynamics.rest_point(ends)[0]).max() > 0.05  # not settled indeed
    np.testing.assert_array_equal(table.respond(ends, protocol).mean, direct)
    settled = Table(Direct(), 9).make(cells, Protocol(settle=2000.0, control=100.0))
    np.testing.assert_allclose(
        settled.respond(ends, protocol).mean, cells.dynamics.rest_point(ends)[0], rtol=0, atol=1e-3
    )


def test_power_is_interpolated_where_the_backend_knows_it() -> None:
    drives = np.linspace(-0.9, 0.9, 20)[:, None] * np.ones(4)
    power = Table(Counting(), 33).respond(mismatched(), drives, PROTOCOL).power
    assert power is not None
    # A parabola over cells of 1/16: 2/8 times the cell's width squared, times 1 mW
    np.testing.assert_allclose(power, 1e-3 * (2 + drives**2), rtol=0, atol=1e-3 * (2.1 / 32) ** 2 / 4)
    assert made().respond(drives, PROTOCOL).power is None


# --- samples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drive", [d for d in DRIVES if d < 0])
def test_waveform_is_that_of_direct(drive: float) -> None:
    drives = np.full((1, 4), drive)
    ours = made().respond(drives, FINE, samples=True).samples
    direct = Direct().respond(mismatched(), drives, FINE, samples=True).samples
    assert ours is not None
    assert direct is not None
    for neuron in range(4):
        one, other = (cycle_from_samples(FINE.sample_times, x[:, 0, neuron]) for x in (ours, direct))
        assert one is not None
        assert other is not None
        assert one.period == pytest.approx(other.period, rel=1.2 * made().quality.period_largest + 1e-3)
        # Nearby drives differ in their duty cycle; smeared jumps would cost 5 % and more.
        assert waveform_rms(one, other) < 0.01


def test_samples_at_the_tables_own_drives_are_in_phase_with_direct() -> None:
    node = np.array([5, 9, 12, 14])
    drives = made().drives[np.arange(4), node][None]
    ours = made().respond(drives, FINE, samples=True).samples
    direct = Direct().respond(mismatched(), drives, FINE, samples=True).samples
    assert ours is not None
    assert direct is not None
    # 4 peak to peak; a shift by one sample of 0.005 T would give 0.06.
    assert np.sqrt(np.mean((ours - direct) ** 2, axis=0)).max() < 0.05


def test_samples_begin_near_those_of_direct_between_drives() -> None:
    # The first crossing is a smooth function of the drive; the crossing counts must not be mixed up.
    rng = np.random.default_rng(0)
    drives = rng.uniform(-0.95, -0.1, (40, 4))
    protocol = Protocol(settle=0.0, control=12.0, interval=0.005)
    ours = made().respond(drives, protocol, samples=True).samples
    direct = Direct().respond(mismatched(), drives, protocol, samples=True).samples
    assert ours is not None
    assert direct is not None
    late = protocol.sample_times > 6.0
    # Signs agree but for the time by which the crossings are off: 6 periods of 2 T, 1 % each
    assert np.mean((ours[late] > 0) == (direct[late] > 0)) > 0.97


def test_resting_neurons_give_their_rest_point() -> None:
    drives = np.full((1, 4), 0.5)
    response = made().respond(drives, PROTOCOL, samples=True)
    assert response.samples is not None
    np.testing.assert_array_equal(response.samples[:, 0], np.tile(response.mean.astype(np.float32), (1000, 1)))


def test_samples_average_to_the_mean() -> None:
    drives = np.random.default_rng(1).uniform(-0.9, 0.9, (60, 4))
    response = made().respond(drives, Protocol(0.0, 1000.0, 0.05), samples=True)
    assert response.samples is not None
    # The window cuts a period: 1.6/1000; interpolated branches under interpolated durations: second order.
    difference = response.samples.mean(axis=0, dtype=np.float64) - response.mean
    assert np.abs(difference).max() < 0.01
    assert np.sqrt(np.mean(difference**2)) < 2e-3


def test_several_images_and_long_intervals_sample_the_same_curve() -> None:
    drives = np.random.default_rng(2).uniform(-0.9, 0.9, (3, 4))
    fine = made().respond(drives, Protocol(10.0, 20.0, 0.1), samples=True).samples
    coarse = made().respond(drives[1:2], Protocol(10.0, 20.0, 5.0), samples=True).samples
    assert fine is not None
    assert coarse is not None
    # Phases are summed step by step: 1e-12, times a slope of 130.
    np.testing.assert_allclose(coarse[:, 0], fine[49::50, 1], rtol=0, atol=1e-3)


# --- classes --------------------------------------------------------------------------------------------------


def test_decisions_are_those_of_direct() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    net = train_plain(train, n_hidden=16, epochs=8).network(train.scale).with_options(settle=20.0, control=100.0)
    chip = Design(net, Technology.load("discrete")).chip(7)
    readouts: Any = [("mean", True), ("vote", True)]
    direct = classify_all(chip, test.images, readouts)
    table = classify_all(chip, test.images, readouts, table=33)
    labels = test.labels
    assert [r.backend for r in table] == ["direct table of 33"] * 2
    assert direct[0].accuracy(labels) > 0.75
    # A window of 100 T: both means differ by up to 1.6/100. Images that are near a tie may fall either way.
    assert np.mean(direct[0].predictions == table[0].predictions) > 0.985
    # The vote of a finite number of spikes is a matter of chance where two classes are close: by as much as two
    # windows of the same direct simulation differ (and a standard deviation of that count, 1 % of 500 images).
    later = classify_all(replace(chip, network=net.with_options(settle=120.0)), test.images, readouts)
    by_chance = float(np.mean(direct[1].predictions == later[1].predictions))
    assert np.mean(direct[1].predictions == table[1].predictions) > by_chance - 0.01
    assert abs(direct[1].accuracy(labels) - table[1].accuracy(labels)) < 0.02
    assert table[0].table is not None
    assert table[0].table.n_drives == 33
    assert direct[0].table is None


def test_groups_of_images_share_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from analog_fhn import inference

    monkeypatch.setattr(inference, "_GROUP", 7)
    images = load("digits", "test").images[:30]
    rng = np.random.default_rng(0)
    net = Network.of_weights((rng.normal(size=(64, 6)), rng.normal(size=(6, 10))), protocol=Protocol(5.0, 10.0))
    backend = Counting()
    calls: list[tuple[int, int]] = []
    classify(net, images, backend=backend, table=5, progress=lambda done, total: calls.append((done, total)))
    # grid, two onsets, checks, window, three repetitions of some that grow or decay; not 30 more, for the images
    assert sum(backend.asked) <= 6 * (5 + 2 * 6 + 8 + 2 * 2 + 2 + 3 * 4)
    assert calls[-1] == (30, 30)
    assert calls[0][1] == 6 * (5 + 6 + 8)


# --- kept and found again -------------------------------------------------------------------------------------


def arrays(table: ResponseTable) -> dict[str, NDArray[Any]]:
    return {name: getattr(table, name) for name in response_table._TYPES}


def test_a_stored_table_is_reused_to_the_last_bit(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    one = Table(first, 9, tmp_path).make(mismatched(), PROTOCOL)
    other = Table(second, 9, tmp_path).make(mismatched(), PROTOCOL)
    assert first.asked
    assert second.asked == []
    for name, values in arrays(one).items():
        np.testing.assert_array_equal(values, arrays(other)[name], strict=True)
    assert one.quality == other.quality
    (path,) = tmp_path.iterdir()
    assert path.name == f"{Table(first, 9).key(mismatched(), PROTOCOL)}.npz"


def test_a_table_is_made_once_per_process() -> None:
    backend = Counting()
    table = Table(backend, 9)
    table.respond(mismatched(), np.zeros((2, 4)), PROTOCOL)
    runs = len(backend.asked)
    table.respond(mismatched(), np.ones((3, 4)) * 0.3, PROTOCOL, samples=True)
    table.quality(mismatched(), PROTOCOL)
    assert len(backend.asked) == runs
    table.make(mismatched(seed=6), PROTOCOL)
    assert len(backend.asked) > runs


def test_the_key_is_everything_that_decides_and_nothing_else() -> None:
    base, cells = Table(Spice(), 9), mismatched()
    technology, stage = cells.cell.technology, cells.drive_stage
    assert isinstance(stage, DriveStage)

    def built(technology: Technology) -> CircuitCells:
        return replace(cells, cell=replace(cells.cell, technology=technology))

    narrower = technology.supplies.model_copy(update={"linear_range": 7.9})
    faster = technology.opamp.model_copy(update={"slew_rate": 2 * technology.opamp.slew_rate})
    different = [
        base.key(cells, PROTOCOL),
        base.key(mismatched(seed=6), PROTOCOL),
        base.key(built(technology.model_copy(update={"supplies": narrower})), PROTOCOL),
        base.key(built(technology.model_copy(update={"opamp": faster})), PROTOCOL),
        base.key(built(technology.under(temperature=310.0)), PROTOCOL),
        base.key(built(technology.under(supply=0.97)), PROTOCOL),
        base.key(replace(cells, drive_stage=replace(stage, gain=1.01 * stage.gain)), PROTOCOL),
        base.key(replace(cells, drive_stage=replace(stage, offset=stage.offset + 0.01)), PROTOCOL),
        base.key(cells, Protocol(y0=-0.5)),
        base.key(cells, Protocol(control=100.0)),
        Table(Spice(), 10).key(cells, PROTOCOL),
        Table(Spice(), 9, settle=10.0).key(cells, PROTOCOL),
        Table(Spice(reltol=1e-6), 9).key(cells, PROTOCOL),
        Table(Spice(max_step=0.02), 9).key(cells, PROTOCOL),
        Table(Direct(), 9).key(cells, PROTOCOL),
    ]
    assert len(set(different)) == len(different)

    renamed = technology.model_copy(update={"name": "other", "source": "another", **other_stages(technology)})
    same = Table(Spice(workers=1, keep=Path("somewhere"), check=False), 9, Path("elsewhere"))
    assert same.key(cells, PROTOCOL) == different[0]
    assert base.key(built(renamed), PROTOCOL) == different[0]


def other_stages(technology: Technology) -> dict[str, Any]:
    """Arrays, amplifiers, converters, pairs, drivers unlike those of the technology, for neurons that stay the same."""
    return {
        "array": technology.array.model_copy(update={"programming_error": 0.123}),
        "tanh_pair": technology.tanh_pair.model_copy(update={"offset_sigma": 0.0123}),
        "row_driver": technology.row_driver.model_copy(update={"input_resistor": 12345.0}),
        "low_pass": technology.low_pass.model_copy(update={"time_constant": 12.345}),
        "sense_amplifier": technology.sense_amplifier.model_copy(update={"offset_sigma": 0.0123}),
        "adc": Adc(bits=8),
    }


@pytest.mark.parametrize("library", OpAmpFHN.NEURON_LIBRARIES)
def test_another_circuit_has_another_key(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = mismatched()
    keys = [[Table(inner, 9).key(cells, PROTOCOL) for inner in (Spice(), Direct())]]
    for name in OpAmpFHN.NEURON_LIBRARIES:
        shutil.copyfile(resource("netlists", name), tmp_path / name)
    monkeypatch.setattr(base, "resource", lambda _folder, name: tmp_path / name)
    for text in ("* a remark\n", "Rmore x 0 1e12\n"):
        with (tmp_path / library).open("a") as file:
            file.write(text)
        keys.append([Table(inner, 9).key(cells, PROTOCOL) for inner in (Spice(), Direct())])
    assert keys[0] == keys[1]
    assert keys[0][0] != keys[2][0]
    assert keys[0][1] == keys[2][1]


def test_another_version_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = mismatched()
    before = [Table(inner, 9).key(cells, PROTOCOL) for inner in (Spice(), Direct())]
    with monkeypatch.context() as patch:
        patch.setattr(spice_module, "_version", lambda: "1")
        after = [Table(inner, 9).key(cells, PROTOCOL) for inner in (Spice(), Direct())]
    assert before[0] != after[0]
    assert before[1] == after[1]
    monkeypatch.setattr(table_module, "__version__", "0.0.0")
    assert not {*before, *after} & {Table(inner, 9).key(cells, PROTOCOL) for inner in (Spice(), Direct())}


def corrupt_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def drop_array(path: Path) -> None:
    with np.load(path) as file:
        rest = {name: file[name] for name in file.files if name != "period"}
    np.savez(path, **rest)


def spoil_counts(path: Path) -> None:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content["counts"] = content["counts"] + 1000
    np.savez(path, **content)


def edited(name: str, change: Callable[[np.ndarray], object], *, signed: bool) -> Callable[[Path], None]:
    """Changes an array; with `signed` the hash of the content as well, so that only its values can tell."""

    def edit(path: Path) -> None:
        with np.load(path) as file:
            content = {key: file[key] for key in file.files}
        content[name] = np.array(change(content[name]))
        if signed:
            meta = json.loads(str(content.pop("meta")))
            meta["content"] = response_table._content_hash(path.stem, meta["quality"], content)
            content["meta"] = np.array(json.dumps(meta))
        np.savez(path, **content)

    return edit


def with_first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed.flat[0] = value
        return changed

    return change


def other_key(path: Path) -> None:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content["meta"] = np.array(str(content["meta"]).replace(path.stem, "0" * 64))
    np.savez(path, **content)


def pickled(path: Path) -> None:
    np.savez(path, meta=np.array([{"key": path.stem}], dtype=object))


@pytest.mark.parametrize(
    "damage",
    [
        corrupt_middle,
        drop_array,
        spoil_counts,
        other_key,
        pickled,
        edited("mean", lambda mean: mean[:, ::-1], signed=False),
        edited("mean", with_first(np.nan), signed=True),
        edited("wave", with_first(1e30), signed=True),
        edited("wave", lambda wave: wave[..., :1], signed=True),
        edited("drives", lambda drives: drives[:, ::-1], signed=True),
        edited("drives", lambda drives: drives * 0.5, signed=True),
        edited("counts", lambda counts: counts.astype(np.float64), signed=True),
        edited("counts", lambda counts: counts * 0, signed=True),
        edited("regime", lambda regime: regime * 0 + 7, signed=True),
        edited("period", lambda period: period * 0, signed=True),
        edited("duty", lambda duty: duty + 1, signed=True),
        edited("mean", lambda mean: mean.astype(np.float32), signed=True),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_damaged_table_is_made_again(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Table(Counting(), 5, tmp_path).make(mismatched(), PROTOCOL)
    (path,) = tmp_path.iterdir()
    damage(path)
    backend = Counting()
    with caplog.at_level(logging.WARNING):
        again = Table(backend, 5, tmp_path).make(mismatched(), PROTOCOL)
    assert backend.asked
    (record,) = caplog.records
    assert str(path) in record.message
    assert record.message.endswith("the table is made again")
    np.testing.assert_array_equal(again.mean, whole.mean)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    ResponseTable.load(path, path.stem, grid_range(mismatched()))


def test_a_table_that_cannot_be_stored_is_used_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        table = Table(Direct(), 5, tmp_path / "file").make(mismatched(), PROTOCOL)
    assert table.quality.n_drives == 5
    assert "cannot be stored" in caplog.records[0].message


def test_small_memory_gives_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Table(Direct(), 9).make(mismatched(), PROTOCOL)
    monkeypatch.setattr(characterise, "_SAMPLE_BYTES", 3 * 4 * 4000.0)  # three neurons at a time
    parts = Table(Direct(), 9).make(mismatched(), PROTOCOL)
    for name, values in arrays(whole).items():
        np.testing.assert_array_equal(values, arrays(parts)[name])
    assert whole.quality == parts.quality


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drive", [1.5, -1.5])
def test_drives_outside_the_table_are_refused(drive: float) -> None:
    drives = np.zeros((2, 4))
    drives[1, 2] = drive
    low, high = (float(v[2]) for v in grid_range(mismatched()))
    with pytest.raises(InputError, match=rf"drive {drive} of neuron 2 \(image 1\) lies outside .* {low:g} to {high:g}"):
        made().respond(drives, PROTOCOL)


def test_noise_is_refused() -> None:
    noise = Noise(np.ones(4), np.ones(4), 0)
    with pytest.raises(InputError, match="backend 'direct table of 33' has no reproducible noise"):
        Table(Direct()).respond(mismatched(), np.zeros((1, 4)), PROTOCOL, noise=noise)
    backend = Counting()
    with pytest.raises(InputError, match="no reproducible noise"):
        classify(chip_of(4, 5), np.ones((1, 1)), backend=backend, table=5, noise=[noise])
    assert backend.asked == []  # not after minutes of making a table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 4}, "table of 4 drives: expected at least 5"),
        ({"control": 0.0}, "control = 0.0"),
        ({"settle": -1.0}, "settle = -1.0"),
        ({"checks": 0}, "checks = 0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Table(Direct(), **options)


@dataclass(frozen=True)
class Failing:
    """Direct, but for three neurons."""

    name: str = "failing"

    def respond(self, cells: Cells, drives: FloatArray, protocol: Protocol, **options: Any) -> Response:
        if len(cells) == 3:
            raise SimulationError("neuron 0: did not converge")
        return Direct().respond(cells, drives, protocol, **options)


def test_a_failure_names_the_chips_neurons() -> None:
    # The first neuron never rests, so that the onset is looked for in the others only.
    cells = mismatched()
    stage = cells.drive_stage
    assert isinstance(stage, DriveStage)
    stage = replace(stage, gain=stage.gain * [0.1, 1, 1, 1], offset=np.array([-0.5, 0, 0, 0]))
    backend: Backend = Failing()
    with pytest.raises(SimulationError, match=r"did not converge \(here 0, 1, \.\.\. stand for neurons 1, 2, 3 of"):
        Table(backend, 5).make(replace(cells, drive_stage=stage), PROTOCOL)


# --- op-amps --------------------------------------------------------------------------------------------------


def test_spice_table_is_spice() -> None:
    cells = mismatched(2)
    protocol = Protocol(settle=20.0, control=40.0)
    calls: list[tuple[int, int]] = []
    table = Table(Spice(), 5, checks=2, bisections=2, tuned=False)
    quality = table.make(cells, protocol, lambda done, total: calls.append((done, total))).quality
    drives = np.array([[-0.77, -0.41], [-0.2, 0.3]])
    one, other = table.respond(cells, drives, protocol), Spice().respond(cells, drives, protocol)
    ours, spice = one.mean, other.mean
    # the finite window: 1.6/40, as measured
    assert 0 < quality.window_largest < 1.6 / 40
    assert np.abs(ours - spice).max() < 1.6 / 40
    # Averages over whole periods are better than that: within 0.01 of the chip's own equations (shared design),
    # which know nothing of the op-amps' and multipliers' finite speed.
    long = Direct().respond(cells, drives, Protocol(settle=50.0, control=4000.0)).mean
    np.testing.assert_allclose(ours, long, rtol=0, atol=0.01)
    assert quality.largest < 2e-3
    # Five drives a neuron, and windows that cut a period; the supply currents hardly depend on the drive.
    assert one.power is not None
    np.testing.assert_allclose(one.power, other.power, rtol=0.01)
    assert calls[-1][0] == calls[-1][1]
