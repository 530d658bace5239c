"""Twins as hidden neurons: units, drives, tables, and which neuron has which twin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade_twin import EPS, handmade

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.cell.base import Cells
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.noise import Noise
from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
from analog_fhn.reconstruct.model.maps import MapOptions
from analog_fhn.reconstruct.pipeline import FitOptions, reconstruct_neuron
from analog_fhn.reconstruct.sources.record import FHN_TIME_UNIT, record_fhn
from analog_fhn.reconstruct.twin import Twins, as_neuron, units_of

PROTOCOL = Protocol(settle=10.0, control=20.0, interval=0.1)
DRIVES = np.linspace(-1.0, 1.0, 9)[:, None]


def cells(neurons: int = 1) -> Cells:
    return Cells.ideal("sigmoid", FHN(eps=EPS), neurons)


@pytest.fixture(scope="module")
def twin() -> Twins:
    return Twins((as_neuron(handmade(), 3.0, 1e-3),))


def test_units_are_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    as_neuron(handmade(), 3.0, 1e-3).save(path)
    (loaded,) = Twins.load([path]).twins
    assert units_of(loaded) == (3.0, 1e-3)


@pytest.mark.parametrize(("volts", "seconds"), [(0.0, 1e-3), (3.0, -1.0), (np.nan, 1e-3), (3.0, np.inf)])
def test_units_must_be_positive(volts: float, seconds: float) -> None:
    with pytest.raises(InputError, match="expected a number above 0"):
        as_neuron(handmade(), volts, seconds)


def test_recordings_at_one_drive_make_no_twin() -> None:
    with pytest.raises(InputError, match="recordings at several drives"):
        as_neuron(handmade(control=(1.0,)), 3.0, 1e-3)


def test_a_reconstruction_without_units_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    handmade().save(path)
    with pytest.raises(InputError, match=r"plain\.npz: is no twin of a neuron: .* how many volts"):
        Twins.load([path])


def test_no_twin_is_refused() -> None:
    with pytest.raises(InputError, match="one reconstruction or more"):
        Twins(())


def test_free_runs_are_the_neuron(twin: Twins) -> None:
    response = twin.respond(cells(), DRIVES, PROTOCOL, samples=True)
    true = Direct(refine=4).respond(cells(), DRIVES, PROTOCOL, samples=True)
    # A window holds no whole number of periods.
    assert response.mean == pytest.approx(true.mean, abs=0.1)
    assert response.samples is not None
    assert response.samples.shape == (PROTOCOL.n_samples, 9, 1)
    assert true.samples is not None
    # The Euler steps lag behind, more from spike to spike: what agrees are the values that x takes.
    for extreme in (np.min, np.max):
        assert extreme(response.samples, axis=0) == pytest.approx(extreme(true.samples, axis=0), abs=0.2)


def test_the_mean_is_an_integral_over_the_window(twin: Twins) -> None:
    fine = replace(PROTOCOL, interval=0.001)
    response = twin.respond(cells(), DRIVES, fine, samples=True)
    assert response.samples is not None
    assert response.mean == pytest.approx(response.samples.mean(axis=0, dtype=np.float64), abs=1e-4)


def test_a_table_of_twins_follows_the_identity(twin: Twins) -> None:
    table = Table(twin, 5, settle=10.0, control=10.0, bisections=3, checks=2).make(cells(), PROTOCOL)
    drives = np.linspace(-1.0, 1.0, 41)[:, None]
    mean = table.respond(drives, PROTOCOL).mean
    assert mean == pytest.approx(-(1.0 + drives), abs=0.02)
    assert table.quality.identity_deviation < 0.02


def test_neurons_take_turns_in_the_table_too() -> None:
    twins = Twins(tuple(as_neuron(handmade(a=a), 3.0, 1e-3) for a in (1.0, 0.9)))
    table = Table(twins, 5, settle=10.0, control=10.0, bisections=1, checks=1)
    drives = np.full((1, 5), 0.5)
    expected = np.array([[-1.5, -1.4, -1.5, -1.4, -1.5]])
    assert twins.respond(cells(5), drives, PROTOCOL).mean == pytest.approx(expected, abs=1e-3)
    assert table.respond(cells(5), drives, PROTOCOL).mean == pytest.approx(expected, abs=1e-3)
    some = twins.only(np.array([1, 4, 3, 1]))
    assert some.which == (1, 0, 1, 1)
    assert some.only(np.array([2, 1])).which == (1, 0)


def test_another_twin_is_another_table(twin: Twins) -> None:
    other = Twins((as_neuron(handmade(a=0.9), 3.0, 1e-3),))
    same = Twins((as_neuron(handmade(), 3.0, 1e-3),))
    keys = [Table(backend, 9).key(cells(), PROTOCOL) for backend in (twin, other, same)]
    assert keys[0] == keys[2]
    assert keys[0] != keys[1]


def test_units_decide_the_table(twin: Twins) -> None:
    other = Twins((as_neuron(handmade(), 3.1, 1e-3),))
    assert Table(twin, 9).key(cells(), PROTOCOL) != Table(other, 9).key(cells(), PROTOCOL)


def test_nothing_is_extrapolated() -> None:
    twin = Twins((as_neuron(handmade(control=(-0.8, 0.0, 0.8)), 3.0, 1e-3),))
    with pytest.raises(InputError, match=r"drives from -0\.8 to 0\.8, and is asked for drives from -1 to 1"):
        twin.respond(cells(), DRIVES, PROTOCOL)


def test_the_margin_of_a_table_is_the_end_of_the_range(twin: Twins) -> None:
    response = twin.respond(cells(), np.array([[1.0], [1.015]]), PROTOCOL).mean
    assert response[0] == response[1]


def test_noise_is_refused(twin: Twins) -> None:
    noise = Noise(np.array([0.1]), np.array([0.1]), 0)
    with pytest.raises(InputError, match="no reproducible noise"):
        twin.respond(cells(), DRIVES, PROTOCOL, noise=noise)


def test_a_twin_that_diverges_says_so() -> None:
    wild = handmade()
    wild = replace(wild, state_map=replace(wild.state_map, coefficients=50.0 * wild.state_map.coefficients))  # type: ignore[type-var, attr-defined]
    with pytest.raises(SimulationError, match=r"twin 0 diverges at drive -1"):
        Twins((as_neuron(wild, 3.0, 1e-3),)).respond(cells(), DRIVES, PROTOCOL)


def test_recordings_of_spikes_and_of_rest_make_a_twin() -> None:
    # Noise-free recordings of the equations at nine drives, some of which rest; a short training. The mean of x runs
    # from 0 to -2 over these drives. Other seeds: rms 0.04 to 0.08.
    fhn = FHN(eps=EPS)
    drives = [float(drive) for drive in np.linspace(-1.0, 1.0, 9)]
    recordings = [record_fhn(fhn, drive, 40.0 * FHN_TIME_UNIT, 0.04 * FHN_TIME_UNIT) for drive in drives]
    options = FitOptions(
        dimension=10, longest=0.8 * FHN_TIME_UNIT, latent=2, restarts=1, refine=None,
        autoencoder=AutoencoderOptions(steps=2000, batch_size=128), map=MapOptions(hidden=40, iterations=40),
    )  # fmt: skip
    fitted = as_neuron(reconstruct_neuron(recordings, options, drives).reconstruction, 1.0, FHN_TIME_UNIT)
    between = np.linspace(-0.9, 0.9, 13)[:, None]
    mean = Twins((fitted,)).respond(cells(), between, PROTOCOL).mean
    error = mean + 1.0 + between
    assert np.sqrt(np.mean(error**2)) < 0.15
