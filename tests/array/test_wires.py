"""Wire resistance in a crossbar: closed forms, ngspice, a general sparse solver, limits, tiles, expected loss."""

from __future__ import annotations

import itertools
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.array import elimination, wires
from analog_fhn.array.wires import (
    Ports,
    WireLossWarning,
    effective_conductance,
    expected_loss,
    propose_tiles,
    solve,
    solve_sparse,
    solve_tiled,
    tile_slices,
)
from analog_fhn.errors import InputError
from analog_fhn.technology.wires import Wires

SWITCHES = list(itertools.product([False, True], repeat=4))


def devices(n_in: int, n_out: int, seed: int = 0) -> np.ndarray:
    """1 to 100 uS."""
    return np.random.default_rng(seed).uniform(1e-6, 100e-6, (n_in, n_out))


def with_gaps(n_in: int, n_out: int, seed: int = 0) -> np.ndarray:
    """A third of the devices missing, and where there is room a whole row and a whole column."""
    g = devices(n_in, n_out, seed)
    g[np.random.default_rng(seed + 1).random(g.shape) < 1 / 3] = 0.0
    if min(g.shape) > 2:
        g[1] = g[:, -1] = 0.0
    return g


def agree(found: Ports, expected: Ports, rtol: float) -> None:
    """Element by element, the smallest too."""
    np.testing.assert_allclose(found.effective, expected.effective, rtol=rtol, atol=0)
    np.testing.assert_allclose(found.bit_admittance, expected.bit_admittance, rtol=rtol, atol=0)


def without_warning(g: np.ndarray, *resistances: float) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WireLossWarning)
        return effective_conductance(g, Wires(*resistances))


def test_two_by_two_in_fractions() -> None:
    # Nodal analysis by hand: all devices and all wires 1 ohm, 1 V at the first word line
    currents = np.array([1.0, 0.0]) @ solve(np.ones((2, 2)), Wires(1.0, 1.0)).effective
    np.testing.assert_allclose(currents, [7 / 44, 3 / 22], rtol=1e-14, atol=0)


def test_devices_on_the_diagonal_see_their_own_wires_only() -> None:
    # 1000 ohm with 1 + 2 segments of 10 ohm, 2000 ohm with 2 + 1
    currents = np.ones(2) @ solve(np.diag([1 / 1000, 1 / 2000]), Wires(10.0, 10.0)).effective
    np.testing.assert_allclose(currents, [1 / 1030, 1 / 2030], rtol=1e-14, atol=0)


def test_one_device_is_in_series_with_everything() -> None:
    ports = solve([[1e-3]], Wires(1.0, 2.0, 30.0, 400.0))
    np.testing.assert_allclose(ports.effective, [[1 / 1433]], rtol=1e-15)
    np.testing.assert_allclose(ports.bit_admittance, [[1 / 1433]], rtol=1e-15)


def operating_point(folder: Path, deck: str) -> dict[str, float]:
    """All node voltages and branch currents, in full precision from ngspice's raw file."""
    (folder / "deck.cir").write_text(deck)
    run = subprocess.run(
        ["ngspice", "-b", "-r", "op.raw", "deck.cir"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    head, _, binary = (folder / "op.raw").read_bytes().partition(b"Binary:\n")
    lines = head.decode().splitlines()
    names = [line.split()[1].lower() for line in lines[lines.index("Variables:") + 1 :]]
    return dict(zip(names, np.frombuffer(binary, dtype=np.float64), strict=True))


def deck(g: np.ndarray, inputs: np.ndarray, offsets: np.ndarray, resistances: tuple[float, ...]) -> str:
    """The array drawn out, each resistance a part of its own; sources at both ends."""
    word, bit, driver, sense = resistances
    (n_in, n_out), lines = g.shape, ["crossbar with wires"]

    def part(name: str, a: str, b: str, ohm: float) -> None:
        # ngspice has no resistor of 0 ohm
        lines.append(f"R{name} {a} {b} {ohm!r}" if ohm else f"V{name} {a} {b} 0")

    for i in range(n_in):
        lines.append(f"Vin{i} in{i} 0 {float(inputs[i])!r}")
        part(f"d{i}", f"in{i}", f"w{i}_s", driver)
        for j in range(n_out):
            part(f"w{i}_{j}", f"w{i}_{j - 1}" if j else f"w{i}_s", f"w{i}_{j}", word)
    for j in range(n_out):
        lines.append(f"Vout{j} out{j} 0 {float(offsets[j])!r}")
        part(f"s{j}", f"b{n_in}_{j}", f"out{j}", sense)
        for i in range(n_in):
            part(f"b{i}_{j}", f"b{i}_{j}", f"b{i + 1}_{j}", bit)
    lines += [f"Rg{i}_{j} w{i}_{j} b{i}_{j} {float(1 / g[i, j])!r}" for i, j in np.argwhere(g > 0)]
    return "\n".join([*lines, ".options reltol=1e-12 abstol=1e-20 vntol=1e-16 gmin=1e-18", ".op", ".end", ""])


@pytest.mark.parametrize(
    ("shape", "resistances"),
    [
        ((64, 32), (1.0, 2.0, 50.0, 20.0)),
        ((32, 64), (2.0, 0.5, 30.0, 10.0)),
        ((12, 9), (100.0, 300.0, 1000.0, 500.0)),
        ((7, 10), (0.0, 25.0, 0.0, 4.0)),
        ((10, 7), (25.0, 0.0, 10.0, 0.0)),
    ],
)
def test_ngspice_finds_the_same_currents(
    tmp_path: Path, shape: tuple[int, int], resistances: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(2)
    g = devices(*shape) if max(shape) > 30 else with_gaps(*shape)
    inputs, offsets = rng.uniform(0, 1, shape[0]), rng.normal(0, 0.01, shape[1])
    op = operating_point(tmp_path, deck(g, inputs, offsets, resistances))
    simulated = np.array([op[f"i(vout{j})"] for j in range(shape[1])])
    ports = solve(g, Wires(*resistances))
    currents = inputs @ ports.effective - offsets @ ports.bit_admittance
    # The offsets move the currents by some percent, so that a tenth of a millionth of them would show.
    np.testing.assert_allclose(currents, simulated, rtol=1e-9, atol=1e-9 * np.abs(simulated).max())
    assert np.abs(offsets @ ports.bit_admittance).max() > 0.01 * np.abs(simulated).max()


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 9), (9, 5), (30, 7), (7, 30)])
def test_sparse_solver_finds_the_same(shape: tuple[int, int], switches: tuple[bool, ...]) -> None:
    rng = np.random.default_rng(3)
    for g in (devices(*shape), with_gaps(*shape)):
        resistances = np.where(switches, rng.uniform(10, 1000, 4), 0.0)
        expected = solve_sparse(g, Wires(*resistances))
        agree(solve(g, Wires(*resistances)), expected, 1e-11)
        np.testing.assert_allclose(without_warning(g, *resistances), expected.effective, rtol=1e-11)


@pytest.mark.parametrize("r_g_max", [1e-9, 1e-7, 1e-5, 1e-3, 1e-2])
@pytest.mark.parametrize("shape", [(150, 30), (70, 68), (30, 150)])
def test_sparse_solver_finds_the_same_for_good_and_bad_wires(shape: tuple[int, int], r_g_max: float) -> None:
    r, g = r_g_max / 100e-6, devices(*shape)
    lines = Wires(r, 2 * r, sense=5 * r)
    agree(solve(g, lines), solve_sparse(g, lines), 1e-10)


def test_many_columns_without_wire_between_rows() -> None:
    g = with_gaps(4, 300)
    lines = Wires(word=3.0, sense=200.0)
    agree(solve(g, lines), solve_sparse(g, lines), 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("r_g_max", [1e-9, 1e-4, 1e-2])
def test_sparse_solver_finds_the_same_at_full_size(r_g_max: float) -> None:
    r, g = r_g_max / 100e-6, devices(784, 200)
    lines = Wires(r, r, driver=10 * r)
    agree(solve(g, lines), solve_sparse(g, lines), 1e-9)


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (1, 1)])
def test_without_wires_nothing_changes(shape: tuple[int, int]) -> None:
    g = with_gaps(*shape)
    ports = solve(g, Wires(0.0, 0.0))
    np.testing.assert_array_equal(ports.effective, g)
    np.testing.assert_allclose(ports.bit_admittance, np.diag(g.sum(axis=0)), rtol=1e-15)


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_the_best_wires_are_as_good_as_none(shape: tuple[int, int], switches: tuple[bool, ...]) -> None:
    g = with_gaps(*shape)
    for ohm in (1e-9, 1e-90, 1e-150, 5e-324):
        lines = Wires(*np.where(switches, ohm, 0.0))
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            ports = solve(g, lines)
        # a missing device is passed by way of three others
        np.testing.assert_allclose(ports.effective, g, rtol=1e-11, atol=1e-20)
        np.testing.assert_allclose(ports.bit_admittance, np.diag(g.sum(axis=0)), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_no_devices_no_currents(shape: tuple[int, int], switches: tuple[bool, ...]) -> None:
    lines = Wires(*np.where(switches, 10.0, 0.0))
    with np.errstate(all="raise"):
        ports = solve(np.zeros(shape), lines)
        assert expected_loss(np.zeros(shape), lines) == 0.0
    assert not ports.effective.any()
    assert not ports.bit_admittance.any()


@pytest.mark.parametrize("which", range(4))
def test_more_resistance_gives_less_current(which: int) -> None:
    g, totals = devices(20, 12), []
    for ohm in (0.0, 1e-3, 1.0, 100.0, 1e4, 1e7):
        resistances = [5.0, 5.0, 5.0, 5.0]
        resistances[which] = ohm
        totals.append(without_warning(g, *resistances).sum(axis=0))
    assert np.all(np.diff(totals, axis=0) < 0)


def test_small_losses_are_proportional_to_the_resistance() -> None:
    # First order by hand, for one row of two: the near segment carries both currents, the far one the second
    a, b, r = 30e-6, 70e-6, 1e-3
    lost = np.array([[a, b]]) - solve([[a, b]], Wires(r, 0.0)).effective
    np.testing.assert_allclose(lost, [[a * r * (a + b), b * r * (a + 2 * b)]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(90, 12), (12, 90), (10, 10)])
def test_current_flows_equally_well_both_ways(shape: tuple[int, int]) -> None:
    g = with_gaps(*shape)
    one = without_warning(g, 20.0, 7.0, 40.0, 90.0)
    other = without_warning(g[::-1, ::-1].T, 7.0, 20.0, 90.0, 40.0)
    np.testing.assert_allclose(one, other.T[::-1, ::-1], rtol=1e-12)
    # `solve` never mirrors an array that has fewer columns than rows: both directions of the recursion
    np.testing.assert_allclose(solve(g, Wires(20.0, 7.0, 40.0, 90.0)).effective, one, rtol=1e-12)


@pytest.mark.parametrize("shape", [(90, 12), (12, 90)])
def test_the_admittance_is_that_of_a_passive_network(shape: tuple[int, int]) -> None:
    ports = solve(with_gaps(*shape), Wires(20.0, 7.0, 40.0, 90.0))
    np.testing.assert_array_equal(ports.bit_admittance, ports.bit_admittance.T)
    assert np.linalg.eigvalsh(ports.bit_admittance).min() > -1e-18
    # one volt at every end drives no current
    np.testing.assert_allclose(ports.bit_admittance.sum(axis=0), ports.effective.sum(axis=0), rtol=1e-12, atol=1e-18)


def test_the_number_of_threads_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    g = devices(150, 80)
    one = solve(g, Wires(1.0, 1.0))
    monkeypatch.setattr(elimination, "_ONE_THREAD", 0)
    agree(solve(g, Wires(1.0, 1.0)), one, 1e-13)


def test_the_given_array_stays_as_it_is() -> None:
    g = devices(30, 6)
    before = g.copy()
    for array in (g, g.T):
        solve(array, Wires(1.0, 1.0))
        without_warning(array, 1.0, 1.0, 1.0, 1.0)
    np.testing.assert_array_equal(g, before)


@pytest.mark.parametrize("ports", [solve, solve_sparse, solve_tiled])
def test_whole_numbers_will_do(ports) -> None:
    np.testing.assert_allclose(ports([[1, 1], [1, 1]], Wires(1, 1)).effective[0], [7 / 44, 3 / 22], rtol=1e-14)


@pytest.mark.parametrize(
    ("conductance", "message"),
    [
        ([1e-6, 2e-6], r"conductance has shape \(2,\): expected \(n_in, n_out\)"),
        (np.empty((0, 3)), r"conductance has shape \(0, 3\)"),
        ([[1e-6, 1e-6], [-2e-6, 0.0]], r"conductance\[1, 0\] = -2e-06: expected siemens"),
        ([[1e-6, np.nan]], r"conductance\[0, 1\] = nan"),
        ([[np.inf]], r"conductance\[0, 0\] = inf"),
        ([["a"]], "conductance: numbers of type <U1"),
        ([[1j]], "conductance: numbers of type complex128"),
        ([[1e-6], [1e-6, 1e-6]], "conductance: rows of different lengths"),
    ],
)
@pytest.mark.parametrize(
    "function", [solve, solve_sparse, solve_tiled, effective_conductance, expected_loss, propose_tiles]
)
def test_bad_conductances_are_refused(function, conductance, message: str) -> None:
    with pytest.raises(InputError, match=message):
        function(conductance, Wires(1.0, 1.0))


def test_tiles_cover_the_array_once() -> None:
    times = np.zeros((10, 7), dtype=int)
    slices = list(tile_slices((10, 7), 4, 3))
    for tile in slices:
        times[tile] += 1
    np.testing.assert_array_equal(times, 1)
    assert [(r.start, r.stop) for r, _ in slices[::3]] == [(0, 4), (4, 8), (8, 10)]
    assert [(c.start, c.stop) for _, c in slices[:3]] == [(0, 3), (3, 6), (6, 7)]
    assert list(tile_slices((10, 7))) == [(slice(0, 10), slice(0, 7))]
    assert list(tile_slices((10, 7), 16, None)) == [(slice(0, 10), slice(0, 7))]


@pytest.mark.parametrize(("rows", "columns"), [(4, 3), (4, None), (None, 3), (20, 20)])
def test_tiles_are_arrays_of_their_own(rows: int | None, columns: int | None) -> None:
    g, lines = with_gaps(10, 7), Wires(30.0, 20.0, 100.0, 50.0)
    found = solve_tiled(g, lines, tile_rows=rows, tile_columns=columns)
    inputs, offsets = np.random.default_rng(5).normal(size=(2, 10))
    # Each tile by the general solver, its currents into the amplifiers of its columns
    currents = np.zeros(7)
    for i in range(0, 10, rows or 10):
        for j in range(0, 7, columns or 7):
            tile = solve_sparse(g[i : i + (rows or 10), j : j + (columns or 7)], lines)
            width = tile.effective.shape[1]
            currents[j : j + width] += inputs[i : i + len(tile.effective)] @ tile.effective
            currents[j : j + width] -= offsets[j : j + width] @ tile.bit_admittance
    np.testing.assert_allclose(inputs @ found.effective - offsets[:7] @ found.bit_admittance, currents, rtol=1e-11)


def test_an_undivided_array_is_one_tile() -> None:
    lines = Wires(1.0, 1.0, sense=3.0)
    agree(solve_tiled(devices(10, 7), lines), solve(devices(10, 7), lines), 1e-15)


@pytest.mark.parametrize("name", ["tile_rows", "tile_columns"])
@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_bad_tiles_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} = {value}: expected a whole number"):
        solve_tiled(devices(3, 3), Wires(1.0, 1.0), **{name: value})


def exact_loss(g: np.ndarray, *resistances: float) -> float:
    return 1.0 - without_warning(g, *resistances).sum() / g.sum()


@pytest.mark.parametrize("shape", [(200, 60), (60, 200), (16, 8)])
@pytest.mark.parametrize(
    "geometry", [(1, 1, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 30, 10)]
)
def test_expected_loss(shape: tuple[int, int], geometry: tuple[float, ...]) -> None:
    for g in (devices(*shape), devices(*shape) ** 3 / 1e-8):  # the second: a quarter of Gmax on average
        for r in (1e-3, 1.0, 100.0):
            resistances = [r * k for k in geometry]
            exact = exact_loss(g, *resistances)
            found = expected_loss(g, Wires(*resistances))
            if exact < 0.1:
                assert found == pytest.approx(exact, rel=0.01)
            elif exact < 0.5:
                assert found == pytest.approx(exact, abs=0.01)
            else:
                assert found == pytest.approx(exact, abs=0.04)


@pytest.mark.slow
def test_expected_loss_at_full_size() -> None:
    # The numbers in the docstring
    g, table = devices(784, 200), []
    for r in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        table.append((expected_loss(g, Wires(r, r)), exact_loss(g, r, r, 0.0, 0.0)))
    expected = [(0.0011, 0.0011), (0.0109, 0.0109), (0.0978, 0.0978), (0.484, 0.486), (0.838, 0.860)]
    np.testing.assert_allclose(table, expected, atol=5e-4)


def test_proposed_tiles_are_the_largest_that_will_do() -> None:
    g, lines = devices(100, 50), Wires(0.5, 0.3, 1.0, 2.0)

    def worst(rows: int, columns: int) -> float:
        return max(expected_loss(g[tile], lines) for tile in tile_slices(g.shape, rows, columns))

    sizes = list(itertools.product((8, 16, 32, 64, 100), (8, 16, 32, 50)))
    found = propose_tiles(g, lines, limit=0.01)
    good = [size for size in sizes if worst(*size) < 0.01]
    assert found in good
    assert 0 < len(good) < len(sizes)
    most = max(rows * columns for rows, columns in good)
    assert found == min((size for size in good if size[0] * size[1] == most), key=lambda size: worst(*size))


def test_good_wires_need_no_tiles_and_bad_ones_are_beyond_help() -> None:
    assert propose_tiles(devices(100, 50), Wires(1e-3, 1e-3)) == (100, 50)
    assert propose_tiles(devices(5, 3), Wires(1e-3, 1e-3)) == (5, 3)
    assert propose_tiles(devices(100, 50), Wires(1e3, 1e3)) is None
    with pytest.raises(InputError, match="limit = 0"):
        propose_tiles(devices(5, 3), Wires(1.0, 1.0), limit=0)


def test_a_lossy_array_is_announced_before_it_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.full((100, 50), 50e-6)
    monkeypatch.setattr(wires, "eliminate", lambda *_, **__: pytest.fail("solved before the warning"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", WireLossWarning)
        with pytest.raises(WireLossWarning) as caught:
            effective_conductance(g, Wires(2.0, 1.0))
    message = str(caught.value)
    rows, columns = propose_tiles(g, Wires(2.0, 1.0))
    assert f"to take {100 * expected_loss(g, Wires(2.0, 1.0)):.0f} % of the output current" in message
    assert "a row add up to at most 2.5 mS, those of a column to 5 mS" in message
    assert f"Tiles of {rows} rows and {columns} columns would lose less than 1 %" in message


def test_hopeless_wires_are_told_so() -> None:
    with pytest.warns(WireLossWarning, match="Even tiles of 8 rows and 8 columns would lose more than 1 %"):
        effective_conductance(devices(20, 20), Wires(1e3, 1e3))


def test_little_loss_and_plain_solving_go_without_a_warning() -> None:
    # Warnings are errors here
    g = np.full((100, 50), 50e-6)
    assert 0.04 < expected_loss(g, Wires(0.2, 0.2)) < 0.05
    effective_conductance(g, Wires(0.2, 0.2))
    solve(g, Wires(100.0, 100.0))
    solve_tiled(g, Wires(100.0, 100.0), tile_rows=64)
