"""White noise of the neurons: whose it is, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analog_fhn.cell.base import CircuitCells
from analog_fhn.chip import Chip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.noise import Noise, chip_noise
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
NETWORK = Network.of_weights((np.ones((2, 3)), np.ones((3, 2))))


def cells_of() -> CircuitCells:
    return Design(NETWORK, DISCRETE).chip(None).hardware[0].cells


@pytest.mark.parametrize("chip", [Chip.ideal(NETWORK), Design(NETWORK, DISCRETE).chip(None).with_ideal_cells()])
def test_ideal_neurons_have_no_physical_noise(chip: Chip) -> None:
    for make in (lambda: Noise.intrinsic(chip.last.cells, 0), lambda: chip_noise(chip, 0)):
        with pytest.raises(InputError, match="noise in physical units needs a technology"):
            make()


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_bad_seeds_are_refused(seed: int) -> None:
    with pytest.raises(InputError, match="noise seed"):
        replace(Noise.intrinsic(cells_of(), 0), seed=seed)


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Noise(np.zeros(3), np.zeros(2), 0)


def test_each_hidden_layer_has_noise_of_its_own_parts_and_seed() -> None:
    network = Network.of_weights((np.ones((2, 3)), np.ones((3, 4)), np.ones((4, 2))))
    chip = Design(network, DISCRETE).chip(1)
    first, second = chip_noise(chip, 5)
    assert (first.seed, len(first.x), len(second.x)) == (5, 3, 4)
    assert second.seed != first.seed
    np.testing.assert_array_equal(second.y, Noise.intrinsic(chip.layers[1].cells, 0).y)
    assert chip_noise(chip, 5)[1].seed == second.seed
    assert chip_noise(chip, 6)[1].seed != second.seed
