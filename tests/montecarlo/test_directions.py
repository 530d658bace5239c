"""Shifts of the normal numbers that a chip is drawn from: which they are, and what they do to its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest
from sweeps import digits, digits_network, discrete, tiny_network

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.draws import sobol_normal
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.directions import Along, Directions, Means, distance
from analog_fhn.montecarlo.gradient import Gradient, Inventory
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.slopes import Labelled, Slopes
from analog_fhn.montecarlo.trial import at_sobol, chip_seed


def design(**values: Any) -> Design:
    return Design(tiny_network(), discrete().with_values({key.replace("__", "."): v for key, v in values.items()}))


def values(chip: ManufacturedChip) -> np.ndarray:
    """All drawn values of a chip."""
    parts = [v for one in chip.hardware for group in one.cells.parts for _, v in group.items()]
    parts += [v for array in chip.arrays for _, v in array.sense.items()]
    parts += [g.ravel() for array in chip.arrays for g in (array.crossbar.g_plus, array.crossbar.g_minus)]
    return np.concatenate(parts)


def one_group(point: dict[Any, np.ndarray]) -> Directions:
    return Directions.of(point, dict.fromkeys(point, "all"))[0]


def everywhere(of: Design, seed: int = 0) -> Directions:
    rng = np.random.default_rng(seed)
    return one_group({key: np.asarray(rng.normal(size=shape)) for key, shape in Inventory.of(of).items()})


def test_no_shift_changes_nothing() -> None:
    expected = values(design().chip(7))
    np.testing.assert_array_equal(values(design().chip(7, Means({}))), expected)
    np.testing.assert_array_equal(values(design().chip(None, Means({}))), values(design().chip(None)))


def test_a_nominal_chip_shifted_to_a_chips_numbers_is_that_chip() -> None:
    class Listening(Means):
        def moved(self, key: Any, normal: np.ndarray) -> np.ndarray:
            met[key] = normal
            return normal

    met: dict[Any, np.ndarray] = {}
    spread = design(resistor__lot_share=0.5, conditions__temperature=330.0, array__read_noise=0.01)
    chip = spread.chip(3, Listening({}))
    np.testing.assert_allclose(values(spread.chip(None, Means(met))), values(chip), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(values(chip), values(spread.chip(3)), rtol=1e-12, atol=1e-15)


def test_uniform_parts_and_stuck_devices_are_not_moved() -> None:
    exact = discrete().with_errors([])
    uniform = exact.with_values({"resistor.tolerance": 0.01, "resistor.distribution": "uniform"})
    assert Inventory.of(Design(tiny_network(), uniform)) == {}
    stuck = exact.with_values({"array.stuck_on": 0.1})
    assert Inventory.of(Design(tiny_network(), stuck)) == {}
    normal = exact.with_values({"resistor.tolerance": 0.01})
    assert Inventory.of(Design(tiny_network(), normal)) != {}


def test_projections_are_standard_normal_and_do_not_depend_on_the_shift() -> None:
    of = design()
    directions = everywhere(of)
    found = []
    for seed in range(100):
        shifted, unshifted = Along(directions, (2.0,)), Along(directions, (0.0,))
        of.chip(seed, shifted), of.chip(seed, unshifted)
        assert shifted.projections == unshifted.projections
        found.append(shifted.projections[0])
    assert kstest(found, "norm").pvalue > 1e-4


def test_a_shift_adds_its_amount_to_the_projection() -> None:
    of = design(resistor__lot_share=0.5)  # a lot's number is met by several parts, and counts once
    directions = everywhere(of)
    met: dict[Any, np.ndarray] = {}

    class Listening(Along):
        def moved(self, key: Any, normal: np.ndarray) -> np.ndarray:
            met[key] = super().moved(key, normal)
            return met[key]

    along = Listening(directions, (2.5,))
    of.chip(11, along)
    after = sum(float(np.sum(part * met[key])) for key, part in directions.parts.items())
    assert after == pytest.approx(along.projections[0] + 2.5)


def test_the_gradient_is_that_of_the_smoothed_accuracy() -> None:
    test = digits(500)
    of = Design(digits_network(), discrete())
    data, table = Labelled(test.images, test.labels, None), Table(Direct(), 9)
    slopes = Slopes(of, data, table, [chip_seed(0, k) for k in range(8)])
    gradient = Gradient.at(slopes, {})

    def accuracy(step: float) -> float:
        point = {key: step / gradient.length * v for key, v in gradient.slopes.items()}
        scores = slopes.scores(of.chip(None, Means(point)))
        from scipy.stats import norm

        return float(norm.cdf(slopes.margin(scores) / slopes.tau).mean())

    # differences over half a sigma: rivals stay the same, and curvature cancels
    assert (accuracy(0.25) - accuracy(-0.25)) / 0.5 == pytest.approx(gradient.length, rel=0.03)


def test_sobol_points_are_standard_normal_and_even() -> None:
    normal = np.array([sobol_normal(3, 2, k) for k in range(1024)])
    # Numbers of an even sample lie closer to the distribution than random ones ever do.
    assert all(kstest(column, "norm").statistic < 0.003 for column in normal.T)
    assert abs(np.corrcoef(normal.T)[0, 1]) < 0.01
    np.testing.assert_array_equal(sobol_normal(3, 2, 1500), sobol_normal(3, 2, 1500))
    assert not np.array_equal(sobol_normal(4, 2, 0), sobol_normal(3, 2, 0))


def test_a_chip_lies_at_its_sobol_point_and_is_drawn_as_ever_at_right_angles() -> None:
    of = design()
    directions = everywhere(of)
    shift = at_sobol(directions, of, 5, np.array([1.25]))
    of.chip(5, shift)
    assert shift.projections[0] + shift.amounts[0] == pytest.approx(1.25)


def test_streams_that_a_point_lacks_leave_a_direction_of_length_one() -> None:
    of = design(resistor__tolerance=0.0)
    directions = everywhere(design())
    present, lengths = directions.within(Inventory.of(of))
    assert distance(present.parts) == pytest.approx(1.0)
    assert 0.1 < lengths[0] < 1.0
    shift = at_sobol(directions, of, 5, np.array([1.25]))
    of.chip(5, shift)
    assert shift.projections[0] + shift.amounts[0] == pytest.approx(1.25)


def test_a_file_gives_the_same_chips(tmp_path: Path) -> None:
    of = design()
    directions = everywhere(of)
    ShiftFile(directions, (1.5,)).save(tmp_path / "shift.npz", of.network)
    read = ShiftFile.load(tmp_path / "shift.npz", of.network)
    for seed in (None, 4):
        np.testing.assert_array_equal(values(read.chip(of, seed)), values(of.chip(seed, Along(directions, (1.5,)))))


def test_a_file_of_sobol_points_finds_the_number_of_a_seed(tmp_path: Path) -> None:
    of = design()
    directions = everywhere(of)
    ShiftFile(directions, None, 9).save(tmp_path / "sobol.npz", of.network)
    read = ShiftFile.load(tmp_path / "sobol.npz", of.network)
    seed = chip_seed(9, 20)
    expected = of.chip(seed, at_sobol(directions, of, seed, sobol_normal(9, 1, 20)))
    np.testing.assert_array_equal(values(read.chip(of, seed)), values(expected))
    with pytest.raises(InputError, match="expected the seed of a chip"):
        read.chip(of, None)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    of = design()
    path = tmp_path / "shift.npz"
    ShiftFile(everywhere(of), (1.5,)).save(path, of.network)
    with pytest.raises(InputError, match="made for a network with weights"):
        ShiftFile.load(path, digits_network())
    with pytest.raises(InputError, match=r"does not spread .* kinds of parts"):
        ShiftFile.load(path, of.network).chip(design(resistor__tolerance=0.0), 1)
    ShiftFile(everywhere(of), (np.nan,)).save(path, of.network)
    with pytest.raises(InputError, match=r"infinite numbers or NaN|cannot be read|damaged"):
        ShiftFile.load(path, of.network)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"is no \.npz file"):
        ShiftFile.load(path, of.network)
