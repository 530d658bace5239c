"""What parts and devices have in common by their places: covariances as stated, and nothing else changed.

Covariances of standard normal numbers estimated from N chips have the standard error ``sqrt((1 + rho^2)/N)``, and are
given five of them: one pair in 1.7 million fails by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import kstest

from analog_fhn.array.crossbar import Crossbar, manufacture
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.cell.parts import CAPACITOR, OPAMP_OFFSET, RESISTOR, Parts, part
from analog_fhn.design import Design
from analog_fhn.draws import DeviceDraws, DevicePlaces, draw_parts
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import Die
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
CHIPS = 2000
KINDS = {
    "correlated": Die(share=0.6, length=250e-6),
    "gradient": Die(gradient_share=0.8, gradient_length=1.5e-3),
    "both": Die(share=0.3, length=400e-6, gradient_share=0.5, gradient_length=2e-3, layer_pitch=300e-6),
}


@dataclass(frozen=True)
class Offsets(Parts):
    vos: FloatArray = part(OPAMP_OFFSET, lot="vos")


@dataclass(frozen=True)
class Passives(Parts):
    one: FloatArray = part(RESISTOR)
    other: FloatArray = part(RESISTOR)
    capacitor: FloatArray = part(CAPACITOR)


def covariance(die: Die, down: FloatArray, along: FloatArray) -> FloatArray:
    """Covariances of all places with coordinates `down` and `along` (m), shape (n, n)."""
    dy, dx = (np.abs(place[:, None] - place) for place in (down, along))
    near = die.share * np.exp(-(dx + dy) / die.length)
    waves = [np.cos(np.sqrt(2.0) * d / die.gradient_length) for d in (dx, dy)]
    return np.asarray(near + die.gradient_share * sum(waves) / 2.0 + (1.0 - die.common) * np.eye(len(down)))


def agrees(normals: FloatArray, exact: FloatArray) -> None:
    """The covariance of numbers (n_chips, n) is `exact` (n, n), and each of the n is standard normal."""
    found = normals.T @ normals / len(normals)
    assert np.all(np.abs(found - exact) < 5.0 * np.sqrt((1.0 + exact**2) / len(normals)))
    for column in normals.T:
        assert kstest(column, "norm").pvalue > 1e-5


def technology(die: Die, **values: object) -> Technology:
    changed = {f"die.{key}": value for key, value in die.model_dump().items()}
    return DISCRETE.with_values(changed | {key.replace("_of_", "."): value for key, value in values.items()})


@pytest.mark.parametrize("name", KINDS)
def test_offsets_of_cells_have_the_stated_covariance(name: str) -> None:
    made = technology(KINDS[name])
    nominal = Offsets.alike(5, {})
    drawn = np.array([
        [draw_parts(nominal, (line,), made, seed, line=line).vos for line in range(3)] for seed in range(CHIPS // 2)
    ])  # fmt: skip
    die = KINDS[name]
    down, along = (
        grid.ravel()
        for grid in np.meshgrid(np.arange(3) * die.layer_pitch, np.arange(5) * die.cell_pitch, indexing="ij")
    )
    agrees(drawn.reshape(len(drawn), -1) / made.opamp.offset_sigma, covariance(die, down, along))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "quantity"), [("correlated", "programming"), ("gradient", "programming"), ("both", "drift")]
)
def test_devices_have_the_stated_covariance(name: str, quantity: str) -> None:
    die = KINDS[name].model_copy(update={"device_pitch": 60e-6, "tile_gap": 200e-6})
    places = DevicePlaces(die, 2, 4)
    rows, outputs = 4, 3
    normals = np.empty((CHIPS, rows, 2 * outputs))
    for seed in range(CHIPS):
        draws = DeviceDraws(seed, 1, (rows, outputs), places)
        for side in range(2):
            normals[seed, :, side::2] = draws.side(side).draw(quantity, 0)  # type: ignore[arg-type]
    i, j = (grid.ravel() for grid in np.indices((rows, 2 * outputs)))
    down, along = i * 60e-6 + (i // 2) * 200e-6, j * 60e-6 + (j // 4) * 200e-6
    agrees(normals.reshape(CHIPS, -1), covariance(die, down, along))


def test_a_difference_grows_as_pelgroms_distance_term() -> None:
    die = KINDS["gradient"]
    distance = np.array([1e-6, 1e-5, 1e-4])
    exact = covariance(die, np.zeros(4), np.concatenate([[0.0], distance]))
    differing = 2.0 * die.gradient_share - 2.0 * (exact[0, 1:])
    np.testing.assert_allclose(np.sqrt(differing), np.sqrt(0.8) * distance / die.gradient_length, rtol=2e-3)


def test_tolerances_are_kept_and_neighbours_are_alike() -> None:
    made = technology(Die(share=1.0, length=1.0, cell_pitch=1e-6))
    parts = draw_parts(Passives.alike(200, {"one": 1e4, "other": 1e4, "capacitor": 1e-9}), (0,), made, 3)
    assert np.ptp(parts.one) < 0.005 * 1e4
    np.testing.assert_allclose(parts.one, parts.other, rtol=1e-12)  # one nominal value, one function of the place
    assert abs(np.corrcoef(parts.one, parts.capacitor)[0, 1]) < 1.0 - 1e-6
    wide = technology(Die(share=0.5, length=1e-3))
    values = [draw_parts(Passives.alike(1, {"one": 1e4}), (0,), wide, seed).one[0] for seed in range(2000)]
    deviation = np.array(values) / 1e4 - 1.0
    assert np.abs(deviation).max() <= 0.01
    # Normal with sigma a third of the tolerance, cut there: variance 0.9733 of it; error of a variance sqrt(2/2000).
    assert deviation.var() == pytest.approx(0.9733 * (0.01 / 3) ** 2, rel=5 * np.sqrt(2 / 2000))


def test_lots_and_places_add_up() -> None:
    made = technology(Die(share=0.3, length=1e-3), opamp_of_lot_share=0.5)
    drawn = np.array([draw_parts(Offsets.alike(2, {}), (0,), made, seed).vos for seed in range(CHIPS)])
    exact = 0.5 + 0.3 * np.exp(-0.1)
    agrees(drawn / made.opamp.offset_sigma, np.array([[1.0, exact], [exact, 1.0]]))  # type: ignore[attr-defined]


def small(die: Die, seed: int = 7, errors: tuple[str, ...] | None = None, n_hidden: int = 3) -> tuple[FloatArray, ...]:
    made = technology(die)
    made = made if errors is None else made.with_errors(errors)
    network = Network.of_weights((np.linspace(-1.0, 1.0, 12).reshape(4, 3)[:, :n_hidden], np.ones((n_hidden, 2))))
    chip = Design(network, made).chip(seed)
    return groups(chip.hardware[0].cells)[0].r1, chip.arrays[0].crossbar.g_plus, chip.arrays[1].sense.vos1  # type: ignore[attr-defined]


def test_the_group_takes_them_away_and_leaves_the_rest() -> None:
    groups_of = ("resistor", "programming", "amplifier_offset")
    for none in (small(Die(length=5e-3)), small(KINDS["both"], errors=groups_of)):
        for values, plain in zip(none, small(Die()), strict=True):
            np.testing.assert_array_equal(values, plain)
    for values, plain in zip(small(KINDS["both"], errors=(*groups_of, "die")), small(Die()), strict=True):
        assert not np.array_equal(values, plain)


def test_a_place_does_not_depend_on_those_behind_it() -> None:
    np.testing.assert_array_equal(small(KINDS["both"], n_hidden=2)[0], small(KINDS["both"])[0][:2])


def test_a_devices_place_has_the_same_say_in_every_attempt() -> None:
    die = Die(share=1.0, length=1e-5)
    draws = DeviceDraws(0, 0, (6, 4), DevicePlaces(die, None, None))
    first, again = (draws.side(0).draw("programming", attempt) for attempt in (0, 5))
    np.testing.assert_allclose(first, again)
    alone = replace(draws, places=None)
    for quantity in ("fault", "read"):
        np.testing.assert_array_equal(draws.side(1).draw(quantity, 0), alone.side(1).draw(quantity, 0))  # type: ignore[arg-type]


def test_temperature_coefficients_stay_within_their_limits() -> None:
    array = DISCRETE.with_values({"array.temperature_coefficient": 1e-3, "array.programming_error": 0.0}).array
    g = np.full((40, 30), 5e-5)
    draws = DeviceDraws(1, 0, g.shape, DevicePlaces(KINDS["both"], None, None))
    made = manufacture(Crossbar(g, g, 1.0), array, 310.0, draws)
    coefficient = (5e-5 / made.g_plus - 1.0) / 10.0
    assert 0.0 < np.abs(coefficient).max() <= 1e-3 * (1.0 + 1e-9)


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(InputError, match=r"die.share \(0.7\) \+ die.gradient_share \(0.4\): expected at most 1"):
        DISCRETE.with_values({"die.share": 0.7, "die.gradient_share": 0.4})
    with pytest.raises(InputError, match=r"resistor.lot_share \(0.5\) \+ die.share \(0.7\)"):
        DISCRETE.with_values({"die.share": 0.7, "resistor.lot_share": 0.5})
