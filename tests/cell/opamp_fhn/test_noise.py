"""Noise in physical units: by hand from the parts, and as the charge that a white current leaves on a capacitor."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from small_signal import output_noise

from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.opamp_fhn import noise as module
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.cell.opamp_fhn.neuron import Scales
from analog_fhn.cell.opamp_fhn.noise import intensities
from analog_fhn.cell.opamp_fhn.stages import PairParts
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import drive_stage_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.noise import Noise
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
NETWORK = Network.of_weights((np.ones((2, 3)), np.ones((3, 2))))


def cells_of(technology: Technology = DISCRETE, seed: int | None = None) -> CircuitCells:
    return Design(NETWORK, technology).chip(seed).hardware[0].cells


def layout(cells: CircuitCells) -> OpAmpFHN:
    assert isinstance(cells.cell, OpAmpFHN)
    return cells.cell


def sources(cells: CircuitCells) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    return layout(cells).noise_sources(cells)


def densities(cells: CircuitCells) -> tuple[FloatArray, FloatArray]:
    return layout(cells).noise_densities(cells)


def from_density(cells: CircuitCells, x: ArrayLike, y: ArrayLike, seed: int) -> Noise:
    return Noise(*intensities(groups(cells)[0], x, y, layout(cells).scales, cells.cell.technology), seed)


def textbook_cells() -> CircuitCells:
    """Nominal cells whose parts are those of the textbook design: a = 1, Sx = Sy = 4 V, T = 1 ms, Vref = 10 V."""
    cells = cells_of()
    neurons, *others = cells.parts
    values = {"r1": 10e3, "r2": 4.8e3, "r3": 10e3, "r4": 100e3, "r5": 250e3, "ra": 10e3, "rb": 10e3}
    parts = replace(neurons, **{name: np.full(3, value) for name, value in values.items()})
    cell = replace(layout(cells))
    cell.__dict__["synthesis"] = replace(cell.synthesis, scales=Scales(4.0, 4.0, 1e-3))
    return replace(cells, cell=cell, parts=(parts, *others))


def test_intrinsic_densities_by_hand() -> None:
    # calibration/discrete.yaml: 18 nV and 0.8 uV per root Hz, multipliers' scale 10 V; 4kT = 1.6568e-20 J at 300 K.
    cells = textbook_cells()
    x, y = sources(cells)
    g1, g2 = 1e-4 + 1 / 4800 + 1e-4, 1e-5 + 4e-6
    u3 = math.sqrt((2 * 18e-9) ** 2 + 2 * 1.6568e-20 * 1e4)  # 40.3 nV
    through_m2 = 4 * math.sqrt(2.7887) / 10
    expected_x = {
        "resistors": math.sqrt(1.6568e-20 * g1),  # 2.60 pA
        "opamp": 18e-9 * g1,  # 7.35 pA
        "inverter": u3 / 1e4,  # 4.03 pA
        "multiplier": 0.8e-6 * math.sqrt(1 + through_m2**2) / 4800,  # 200 pA
    }
    expected_y = {"resistors": math.sqrt(1.6568e-20 * g2), "opamp": 18e-9 * g2, "inverter": u3 / 1e5}
    _, pairs, _ = groups(cells)
    assert isinstance(pairs, PairParts)
    parallel = float((pairs.rs1 * pairs.rp1 / (pairs.rs1 + pairs.rp1))[0])
    tail = float(-cells.drive_stage.gain[0]) * 4.0 / 1e5  # 40 uA
    shot, slope = 8 * 1.602177e-19 * tail, tail / (2 * 8.617333e-5 * 300)
    expected_y["tanh pair"] = math.sqrt(shot + 1.6568e-20 * 2 * parallel * slope**2)  # 8.4 pA
    for found, expected in ((x, expected_x), (y, expected_y)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], np.full(3, value), rtol=1e-4, err_msg=name)
    total_x, total_y = densities(cells)
    np.testing.assert_allclose(total_x, math.sqrt(sum(v**2 for v in expected_x.values())), rtol=1e-4)
    np.testing.assert_allclose(total_y, math.sqrt(sum(v**2 for v in expected_y.values())), rtol=1e-4)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
@pytest.mark.parametrize("temperature", [300.0, 343.0])
def test_noise_of_the_tanh_pair_is_that_of_its_transistors(temperature: float, tmp_path: Path) -> None:
    """ngspice's small-signal noise analysis of the pair's transistors and resistors, at balance."""
    cells = cells_of(DISCRETE.under(temperature=temperature))
    found = output_noise(drive_stage_deck(cells, 0, 0.0), tmp_path)
    # Base currents' shot noise and the mirrors' finite beta are left out of the formula.
    assert float(sources(cells)[1]["tanh pair"][0]) == pytest.approx(found, rel=0.01)


def test_mean_square_of_the_relaxation_oscillation() -> None:
    x = np.linspace(1, 2, 200_001)
    rate = x - 1 / x
    assert float(np.trapezoid(x**2 * rate, x) / np.trapezoid(rate, x)) == pytest.approx(module.MEAN_SQUARE_X, rel=1e-9)


def test_thermal_noise_follows_the_temperature() -> None:
    hot = DISCRETE.model_copy(
        update={
            "conditions": DISCRETE.conditions.model_copy(update={"temperature": 360.0}),
            "resistor": DISCRETE.resistor.model_copy(update={"temperature_coefficient": 0.0}),
        }
    )
    for cold_node, hot_node in zip(sources(cells_of()), sources(cells_of(hot)), strict=True):
        np.testing.assert_allclose(hot_node["resistors"], math.sqrt(1.2) * cold_node["resistors"], rtol=1e-9)
        np.testing.assert_array_equal(hot_node["opamp"], cold_node["opamp"])


def test_densities_follow_the_chips_own_parts() -> None:
    cells = cells_of(seed=4)
    neurons, _, _ = groups(cells)
    _, y = sources(cells)
    np.testing.assert_allclose(y["opamp"], 18e-9 * (1 / neurons.r4 + 1 / neurons.r5), rtol=1e-12)
    assert len(set(y["opamp"])) == 3


@pytest.mark.parametrize("node", ["x", "y"])
def test_white_current_charges_the_capacitor(node: str) -> None:
    # In volts and seconds: one-sided density S, so the current's mean over each interval dt has the variance S/(2 dt);
    # dV = i dt/C summed over n intervals. The variance of V must be (sigma V/unit)^2 t/T.
    cells, density, dt, n_steps, n_runs = cells_of(seed=2), 3e-10, 2e-6, 50, 40_000
    parts, scales = groups(cells)[0], layout(cells).scales
    wt = 2 * np.pi * DISCRETE.opamp.gain_bandwidth
    capacitance, scale = {
        "x": (parts.cx * (1 + 1 / 2e5) + (1 / parts.r1 + 1 / parts.r2 + 1 / parts.r3) / wt, scales.sx),
        "y": (parts.cy * (1 + 1 / 2e5) + (1 / parts.r4 + 1 / parts.r5) / wt, scales.sy),
    }[node]
    rng = np.random.default_rng(0)
    current = density / math.sqrt(2 * dt) * rng.standard_normal((n_steps, n_runs))
    volts = current.sum(axis=0) * dt / capacitance[0]
    sigma = getattr(from_density(cells, density, density, 0), node)[0]
    expected = (sigma * scale) ** 2 * n_steps * dt / scales.time_unit
    # Relative standard error of a variance from n draws: sqrt(2/n) = 0.7 %; four of them.
    assert float(np.mean(volts**2)) == pytest.approx(expected, rel=4 * math.sqrt(2 / n_runs))
    assert expected == pytest.approx(density**2 * n_steps * dt / (2 * capacitance[0] ** 2), rel=1e-12)


def test_densities_may_differ_by_neuron() -> None:
    one, other = from_density(cells_of(), [1e-9, 2e-9, 0.0], 0.0, 7), from_density(cells_of(), 1e-9, 0.0, 7)
    np.testing.assert_allclose(one.x, other.x * [1, 2, 0], rtol=1e-12)
    assert not one.y.any()
    assert (one.seed, one.first_image, one.from_image(5).first_image) == (7, 0, 5)


def test_intrinsic_is_the_density_of_the_parts() -> None:
    cells = cells_of(seed=1)
    found, expected = Noise.intrinsic(cells, 3), from_density(cells, *densities(cells), 3)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.y, expected.y)


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_bad_intensities_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite and not negative"):
        from_density(cells_of(), value, 0.0, 0)
