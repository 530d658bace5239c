"""Voltages along resistive lines: Kirchhoff's laws hold, and the currents are those of the wires' solver."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from analog_fhn.array.wires import node_voltages, solve_tiled
from analog_fhn.technology.wires import Wires

RESISTANCES = list(product((0.0, 3.0), (0.0, 2.0), (0.0, 20.0), (0.0, 30.0)))


def example() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(1e-6, 1e-2, (7, 5)) * (rng.random((7, 5)) > 0.2), rng.uniform(-1.0, 1.0, 7)


@pytest.mark.parametrize(("word", "bit", "driver", "sense"), RESISTANCES)
@pytest.mark.parametrize("tiles", [{}, {"tile_rows": 3, "tile_columns": 2}])
def test_currents_are_those_of_the_wires_solver(
    word: float, bit: float, driver: float, sense: float, tiles: dict[str, int]
) -> None:
    g, volts, lines = *example(), Wires(word, bit, driver, sense)
    at_word, at_bit = node_voltages(g, volts, lines, **tiles)
    ports = solve_tiled(g, lines, **tiles)
    current = (g * (at_word - at_bit)).sum(axis=0)
    np.testing.assert_allclose(current, volts @ ports.effective, rtol=1e-9, atol=1e-15)


def test_ohms_and_kirchhoffs_laws_along_the_lines() -> None:
    g, volts = example()
    at_word, at_bit = node_voltages(g, volts, Wires(3.0, 2.0, 20.0, 30.0))
    through = g * (at_word - at_bit)
    # what flows in a segment is all that the devices beyond it take; of a bit line, all that those above it give
    words = np.cumsum(through[:, ::-1], axis=1)[:, ::-1]
    bits = np.cumsum(through, axis=0)
    np.testing.assert_allclose(volts - at_word[:, 0], 23.0 * words[:, 0], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(at_word[:, :-1] - at_word[:, 1:], 3.0 * words[:, 1:], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(at_bit[:-1] - at_bit[1:], 2.0 * bits[:-1], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(at_bit[-1], 32.0 * bits[-1], rtol=1e-8, atol=1e-12)


def test_a_known_case() -> None:
    # badcrossbar's README: devices and wires of 1 ohm, 2 x 2, V = [1, 0] give I = [7/44, 3/22]
    at_word, at_bit = node_voltages(np.ones((2, 2)), np.array([1.0, 0.0]), Wires(1.0, 1.0))
    np.testing.assert_allclose(at_bit[-1], [7 / 44, 3 / 22], rtol=1e-12)
    assert at_word[0, 0] < 1.0


def test_ideal_wires_lose_nothing() -> None:
    g, volts = example()
    at_word, at_bit = node_voltages(g, volts, Wires())
    np.testing.assert_array_equal(at_word, np.tile(volts[:, None], (1, 5)))
    np.testing.assert_array_equal(at_bit, np.zeros((7, 5)))
