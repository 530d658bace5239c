"""Noise in physical units: by hand from the parts, and as the charge that a white current leaves on a capacitor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from analog_fhn.circuit import noise as module
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.noise import Noise, intrinsic_densities, intrinsic_sources
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.network import Network

DISCRETE = Technology.load("discrete")
NETWORK = Network((np.ones((2, 3)), np.ones((3, 2))))


def chip_of(technology: Technology = DISCRETE, seed: int | None = None) -> Chip:
    return Design(NETWORK, technology).chip(seed)


def test_intrinsic_densities_by_hand() -> None:
    # calibration/discrete.yaml: a = 1, Sx = 8.2 V/2.05 = 4 V = Sy, so R1 = R3 = Ra = Rb = 10k, R2 = 3*16*10k/100 =
    # 4.8k, R4 = 100k, R5 = 10*100k/4 = 250k; 4kT = 1.6568e-20 J at 300 K; 18 nV and 0.8 uV per root Hz.
    assert chip_of().scales is not None
    assert chip_of().scales.sx == pytest.approx(4.0, rel=1e-12)  # type: ignore[union-attr]
    x, y = intrinsic_sources(chip_of())
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
    for found, expected in ((x, expected_x), (y, expected_y)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], np.full(3, value), rtol=1e-4, err_msg=name)
    total_x, total_y = intrinsic_densities(chip_of())
    np.testing.assert_allclose(total_x, math.sqrt(sum(v**2 for v in expected_x.values())), rtol=1e-4)
    np.testing.assert_allclose(total_y, math.sqrt(sum(v**2 for v in expected_y.values())), rtol=1e-4)


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
    for cold_node, hot_node in zip(intrinsic_sources(chip_of()), intrinsic_sources(chip_of(hot)), strict=True):
        np.testing.assert_allclose(hot_node["resistors"], math.sqrt(1.2) * cold_node["resistors"], rtol=1e-9)
        np.testing.assert_array_equal(hot_node["opamp"], cold_node["opamp"])


def test_densities_follow_the_chips_own_parts() -> None:
    chip = chip_of(seed=4)
    assert chip.parts is not None
    _, y = intrinsic_sources(chip)
    np.testing.assert_allclose(y["opamp"], 18e-9 * (1 / chip.parts.r4 + 1 / chip.parts.r5), rtol=1e-12)
    assert len(set(y["opamp"])) == 3


@pytest.mark.parametrize("node", ["x", "y"])
def test_white_current_charges_the_capacitor(node: str) -> None:
    # In volts and seconds: one-sided density S, so the current's mean over each interval dt has the variance S/(2 dt);
    # dV = i dt/C summed over n intervals. The variance of V must be (sigma V/unit)^2 t/T.
    chip, density, dt, n_steps, n_runs = chip_of(seed=2), 3e-10, 2e-6, 50, 40_000
    assert chip.parts is not None
    assert chip.scales is not None
    parts, scales = chip.parts, chip.scales
    wt = 2 * np.pi * DISCRETE.opamp.gain_bandwidth
    capacitance, scale = {
        "x": (parts.cx * (1 + 1 / 2e5) + (1 / parts.r1 + 1 / parts.r2 + 1 / parts.r3) / wt, scales.sx),
        "y": (parts.cy * (1 + 1 / 2e5) + (1 / parts.r4 + 1 / parts.r5) / wt, scales.sy),
    }[node]
    rng = np.random.default_rng(0)
    current = density / math.sqrt(2 * dt) * rng.standard_normal((n_steps, n_runs))
    volts = current.sum(axis=0) * dt / capacitance[0]
    sigma = getattr(Noise.from_density(chip, density, density, 0), node)[0]
    expected = (sigma * scale) ** 2 * n_steps * dt / scales.time_unit
    # Relative standard error of a variance from n draws: sqrt(2/n) = 0.7 %; four of them.
    assert float(np.mean(volts**2)) == pytest.approx(expected, rel=4 * math.sqrt(2 / n_runs))
    assert expected == pytest.approx(density**2 * n_steps * dt / (2 * capacitance[0] ** 2), rel=1e-12)


def test_densities_may_differ_by_neuron() -> None:
    one, other = Noise.from_density(chip_of(), [1e-9, 2e-9, 0.0], 0.0, 7), Noise.from_density(chip_of(), 1e-9, 0.0, 7)
    np.testing.assert_allclose(one.x, other.x * [1, 2, 0], rtol=1e-12)
    assert not one.y.any()
    assert (one.seed, one.first_image, one.from_image(5).first_image) == (7, 0, 5)


def test_intrinsic_is_the_density_of_the_parts() -> None:
    chip = chip_of(seed=1)
    found, expected = Noise.intrinsic(chip, 3), Noise.from_density(chip, *intrinsic_densities(chip), 3)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.y, expected.y)


@pytest.mark.parametrize("chip", [Chip.ideal(NETWORK), chip_of().with_ideal_neurons()])
def test_ideal_neurons_have_no_physical_noise(chip: Chip) -> None:
    for make in (lambda: Noise.intrinsic(chip, 0), lambda: Noise.from_density(chip, 1e-9, 1e-9, 0)):
        with pytest.raises(InputError, match="noise in physical units needs a technology"):
            make()


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_bad_intensities_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite and not negative"):
        Noise.from_density(chip_of(), value, 0.0, 0)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_bad_seeds_are_refused(seed: int) -> None:
    with pytest.raises(InputError, match="noise seed"):
        replace(Noise.intrinsic(chip_of(), 0), seed=seed)


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Noise(np.zeros(3), np.zeros(2), 0)
