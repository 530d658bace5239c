"""Transistor cells: their equations against their own transistors in ngspice, their draws, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from silicon import needs_models

from analog_fhn.backends.direct.settled import settled_means
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.ota_fhn.times import DRIVES, period_of
from analog_fhn.draws import draw_cell_parts
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import neuron_deck
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.ngspice.batch import run_batch
from analog_fhn.studies.corners import identity, orbits
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

pytestmark = needs_models

N = 4


def technology(**values: object) -> SiliconTechnology:
    loaded = Technology.load("silicon").with_values(values)
    assert isinstance(loaded, SiliconTechnology)
    return loaded


@pytest.fixture(scope="module")
def cell() -> OtaFHN:
    return OtaFHN(FHN(), "sigmoid", technology(), N)


@pytest.fixture(scope="module")
def drawn(cell: OtaFHN) -> CircuitCells:
    streams = zip(cell.nominal, cell.streams.values(), strict=True)
    return cell.cells(tuple(draw_cell_parts(group, stream, 0, cell.technology, 3) for group, stream in streams))


def test_equations_have_the_period_of_the_transistors_where_they_were_not_fitted(cell: OtaFHN) -> None:
    nominal = cell.cells(tuple(group[:1] for group in cell.nominal))
    for drive, orbit in zip((-0.5, 0.5), orbits(cell, cell.nominal, (-0.5, 0.5)), strict=True):
        assert drive not in DRIVES
        period = period_of(nominal.dynamics, drive - cell.fhn.a) * cell.time_unit
        assert period == pytest.approx(orbit.period, rel=0.015)


def test_drawn_neurons_have_the_means_of_their_transistors(cell: OtaFHN, drawn: CircuitCells) -> None:
    drives = (0.2, 0.7, 1.6)  # a + I: two at which it spikes, one at which it rests
    settled, _ = settled_means(
        drawn, np.tile(np.array(drives)[:, None] - cell.fhn.a, (1, N)), Protocol(), longest=100.0
    )
    for index in range(2):
        measured = orbits(cell, drawn.parts, drives, index)
        # full scale is 2: within 0.2 % of it
        np.testing.assert_allclose(settled[:, index], [orbit.mean for orbit in measured], atol=0.004)
        assert [orbit.period > 0 for orbit in measured] == [True, True, False]


def test_mean_output_is_minus_the_drive_in_every_corner() -> None:
    conditions = {"temperatures": (273.15, 343.15), "corners": ("ss", "fs"), "supplies": (0.9,)}
    for corner in identity("silicon", (0.0, 1.2, 2.0), **conditions):  # type: ignore[arg-type]
        assert np.abs(corner.errors).max() < 0.002
        assert corner.orbits[0].period > 0.0


def test_mismatch_moves_the_mean_as_the_identity_of_the_drawn_copies_says(cell: OtaFHN, drawn: CircuitCells) -> None:
    drive = np.full((1, N), 0.5 - cell.fhn.a)
    settled, _ = settled_means(drawn, drive, Protocol(), longest=100.0)
    expected = drawn.dynamics.identity_mean(drive)
    np.testing.assert_allclose(settled, expected, atol=0.01)
    assert np.abs(expected + 0.5).max() > 0.01  # the copies are not the same


def test_draws_are_pinned(cell: OtaFHN, drawn: CircuitCells) -> None:
    made = cell.technology
    neurons, drives, integrators = (dict(group.items()) for group in drawn.parts)
    assert neurons["dvt_ngx"][:2] / made.fet_n.threshold == pytest.approx(
        [-0.3050332668380361, -0.9878899268348842], rel=1e-9
    )
    assert neurons["beta_pho"][0] / made.fet_p.gain == pytest.approx(-0.9929992062464518, rel=1e-9)
    assert drives["dvt_m1"][0] / made.fet_n.threshold == pytest.approx(-1.2612413284453896, rel=1e-9)
    assert integrators["offset"][0] / made.integrator.offset_sigma == pytest.approx(1.5651501885866552, rel=1e-9)
    assert np.abs(neurons["cx"] / cell.neuron_sizes["cx"] - 1.0).max() <= made.capacitor.tolerance


def test_same_curves_whether_measured_or_remembered(
    cell: OtaFHN, drawn: CircuitCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again = cell.cells(drawn.parts)
    assert list((tmp_path / "analog-fhn" / "curves").iterdir())
    for name, values in drawn.dynamics.arrays().items():
        np.testing.assert_array_equal(values, again.dynamics.arrays()[name])


def test_a_neuron_runs_alone_in_plain_ngspice(cell: OtaFHN, drawn: CircuitCells, tmp_path: Path) -> None:
    protocol = Protocol(0.0, 4.0, 0.01, 1.5, 0.0)
    (tmp_path / "neuron.cir").write_text(
        neuron_deck(drawn, 1, -0.4, protocol, data_file="neuron.txt"), encoding="ascii"
    )
    said = run_batch(tmp_path / "neuron.cir", 60.0)
    mean = float(next(line for line in said.splitlines() if line.startswith("mean_vx")).split("=")[1])
    samples = np.loadtxt(tmp_path / "neuron.txt", skiprows=1)
    assert mean == pytest.approx(samples[:, 1].mean(), abs=0.005)
    response = Spice(workers=1, check=False).respond(drawn[1:2], np.array([[-0.4]]), protocol)
    assert mean == pytest.approx(response.mean[0, 0], abs=1e-4)
    assert response.power is not None
    assert 100e-9 < response.power[0, 0] < 200e-9


def test_what_cannot_be_built_is_refused(cell: OtaFHN, drawn: CircuitCells) -> None:
    with pytest.raises(InputError, match="expected a = 1 and gamma = 1 or -1"):
        OtaFHN(FHN(gamma=-0.5), "sigmoid", technology(), 1)
    with pytest.raises(InputError, match=r"protocol x0 = 20 is 3.1 V in this circuit"):
        neuron_deck(drawn, 0, 0.0, Protocol(x0=20.0))
    with pytest.raises(InputError, match="subcircuit 'ota_neuron' has no size 'w_leg'"):
        _ = OtaFHN(FHN(), "sigmoid", technology(**{"neuron.sizes": {"w_leg": 1e-6}}), 1).neuron_sizes
    with pytest.raises(InputError, match="the equations of transistor neurons have no noise"):
        cell.noise_densities(drawn)


@pytest.mark.parametrize(
    "values", [{"supplies.bias_current": 8e-9}, {"neuron.sizes": {"l_tail_h": 30e-6}}], ids=["bias", "latched"]
)
def test_a_bias_that_leaves_no_oscillation_is_named(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"technology 'silicon': the nominal neuron does not oscillate at a \+ I = 0"):
        _ = OtaFHN(FHN(), "sigmoid", technology(**values), 1).timing
