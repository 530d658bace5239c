"""Currents of a crossbar whose wires have resistance: exact, and what they cost before anything is solved."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from analog_fhn.array.elimination import admittance_of_ends, eliminate
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.wires import Wires

WARN_ABOVE = 0.05  # share of the output current that wires may take without a warning
TILE_LOSS = 0.01  # loss that the tiles named in the warning stay below
SMALLEST_TILE = 8  # rows and columns

# No wire is that good, and further down products with conductances would leave the range of floats.
_NO_RESISTANCE = 1e-100  # ohm
_RIGHT_SIDES = 20  # of the sparse solver at a time


class WireLossWarning(UserWarning):
    """Wires are expected to take more than `WARN_ABOVE` of the output current."""


@dataclass(frozen=True, eq=False)
class Ports:
    """Conductances and admittances of a resistive crossbar between its ends: ``I_out = V_in G_eff - u Y``.

    V_in are the voltages of the word-line drivers, shape (..., n_in); u those of the sense nodes (the amplifiers'
    offsets; 0 at a virtual ground), shape (..., n_out); I_out the currents out of the bit lines, shape (..., n_out).

    Parameters
    ----------
    effective
        G_eff, shape (n_in, n_out), in siemens.
    bit_diagonal
        Diagonal of the admittance Y of the bit lines' ends, shape (n_out,), in siemens. Without wires these are the
        column sums.
    bit_coupling
        Y off its diagonal, shape (n_out, n_out), 0 on the diagonal, in siemens; None: without wires the columns do not
        couple.
    """

    effective: FloatArray
    bit_diagonal: FloatArray
    bit_coupling: FloatArray | None

    @property
    def bit_admittance(self) -> FloatArray:
        """Admittance Y of the bit lines' ends, shape (n_out, n_out), in siemens, symmetric."""
        diagonal = np.diag(self.bit_diagonal)
        return diagonal if self.bit_coupling is None else diagonal + self.bit_coupling

    @classmethod
    def of(cls, effective: FloatArray, bit_admittance: FloatArray) -> Ports:
        """Ports with the whole admittance of the bit lines' ends, shape (n_out, n_out)."""
        diagonal = np.diag(bit_admittance).copy()
        coupling = bit_admittance.copy()
        np.fill_diagonal(coupling, 0.0)
        return cls(effective, diagonal, coupling)


def effective_conductance(conductance: ArrayLike, wires: Wires) -> FloatArray:
    """Conductances that an array with resistive wires has between its ends: ``I_out = V_in @ G_eff``.

    The geometry and the method are those of `solve`; where there are more columns than rows it is the mirrored array
    that is solved (the network is reciprocal), and the admittance of the bit lines is left out.

    Parameters
    ----------
    conductance
        Of the devices, shape (n_in, n_out), in siemens; rows are word lines.
    wires
        Resistances of the lines.

    Returns
    -------
    ndarray
        G_eff, shape (n_in, n_out), in siemens.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, or `conductance` is not a matrix.

    Warns
    -----
    WireLossWarning
        Before anything is solved, if `expected_loss` exceeds `WARN_ABOVE`.
    """
    g, wires = _checked(conductance, wires)
    loss = _worst_loss(g, wires, *g.shape)
    if loss > WARN_ABOVE:
        warnings.warn(_advice(g, wires, loss), WireLossWarning, stacklevel=2)
    return eliminate(g, wires, admittance=False)[0]


def solve(conductance: ArrayLike, wires: Wires) -> Ports:
    """Effective conductances and admittance of an array with resistive wires, exactly (nodal analysis).

    Word line i runs from its driver through ``r_driver + r_word`` to device (i, 0) and through r_word to each next
    one; bit line j from device (0, j) through r_bit to each next one and through ``r_bit + r_sense`` from the last to
    the virtual ground. Resistances and conductances may be 0, all of them too.

    Each word line is a ladder: the currents into the bit lines at voltages b are ``c_i V_i - M_i b`` with
    ``M_i = D (1 + R D)^-1``, D the devices, ``R_jk = r_driver + r_word (min(j, k) + 1)``, c_i the row sums of M_i.
    Down the bit lines, from one word line to the next, everything above is a Norton equivalent ``J - U b`` ::

        P_i = (1 + r_bit U_i)^-1,    U_i+1 = P_i U_i + M_i+1,    J_i+1 = P_i J_i + c_i+1 V_i+1

    and the last P has ``r_bit + r_sense``. U is kept as its row sums u (``P u + c``) and its off-diagonal elements
    (``-P_jk/r_bit + M_jk``), so that nothing is ever subtracted but on the diagonal of the elimination: elements of
    G_eff keep their relative precision down to the smallest, and r -> 0 needs no limit.

    Nothing but the front is kept on the way down: the J of earlier word lines follow in steps of sqrt(n_in) lines. So
    memory is the array six times, sqrt(n_in) n_out numbers, and a few matrices of (n_out, n_out): 10 MiB for 784 x 200.
    The time goes as n_in n_out^3, 0.8 s there on one core. If n_out > n_in it is the mirrored array that is swept (the
    network is reciprocal): n_out n_in^3, twice that with the admittance.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, or `conductance` is not a matrix.
    """
    return Ports.of(*eliminate(*_checked(conductance, wires), admittance=True))


def solve_sparse(conductance: ArrayLike, wires: Wires) -> Ports:
    """Effective conductances and admittance as `solve` has them, by a general sparse solver: its independent check.

    Slow and large: nodal analysis of all 2 n_in n_out nodes and n_in + n_out ends; nodes joined by 0 ohm are one node.
    The admittance of the ends is the Schur complement of the inner nodes, ``-(L_ee - L_ei L_ii^-1 L_ie)`` off the
    diagonal, with the conductances L between ends e and inner nodes i. As in `solve` all of its terms there are of one
    sign, and the diagonal follows from Kirchhoff: equal voltages everywhere drive no current.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, or `conductance` is not a matrix.
    """
    g, wires = _checked(conductance, wires)
    n_in, n_out = g.shape
    _, ends, inner, laplacian = _nodal(g, wires)
    transfer = -laplacian[ends][:, ends[n_in:]].toarray()
    # + L_ei L_ii^-1 L_ie, some columns of sense nodes at a time
    if inner.size:
        to_inner = -laplacian[ends][:, inner]
        factor = _factor(laplacian, inner)
        for block in range(0, n_out, _RIGHT_SIDES):
            columns = slice(block, block + _RIGHT_SIDES)
            transfer[:, columns] += to_inner @ factor.solve(to_inner[n_in:][columns].T.toarray())
    return Ports.of(transfer[:n_in], admittance_of_ends(transfer[n_in:], transfer[:n_in].sum(axis=0)))


def node_voltages(
    conductance: ArrayLike,
    row_volts: ArrayLike,
    wires: Wires,
    *,
    tile_rows: int | None = None,
    tile_columns: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Voltages of the word line and of the bit line at every device (V), each of shape (n_in, n_out).

    Nodal analysis by a general sparse solver, as in `solve_sparse`; the amplifiers behind the bit lines are at 0 V.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`.
    row_volts
        Of the word-line drivers, shape (n_in,), in volts.
    tile_rows, tile_columns
        Size of the tiles, see `tile_slices`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, or `conductance` is not a matrix.
    """
    whole, wires = _checked(conductance, wires)
    volts = np.asarray(row_volts, dtype=np.float64)
    at_word, at_bit = np.empty_like(whole), np.empty_like(whole)
    for tile in tile_slices(whole.shape, tile_rows, tile_columns):
        g = whole[tile]
        node, ends, inner, laplacian = _nodal(g, wires)
        known = np.concatenate([volts[tile[0]], np.zeros(g.shape[1])])
        voltages = np.empty(laplacian.shape[0])
        voltages[ends] = known
        # No current leaves an inner node: L_ii v_i = -L_ie v_e.
        if inner.size:
            voltages[inner] = _factor(laplacian, inner).solve(-(laplacian[inner][:, ends] @ known))
        at_word[tile], at_bit[tile] = voltages[node].reshape(2, *g.shape)
    return at_word, at_bit


def _nodal(
    g: FloatArray, wires: Wires
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer], csc_array]:
    """Nodes and conductances of an array for nodal analysis.

    Returns
    -------
    at_devices
        Node on the word line of each device, row after row, then on its bit line; shape (2 n_in n_out,).
    ends
        Node of each driver, then of each sense node; shape (n_in + n_out,).
    inner
        All nodes that are no end.
    laplacian
        Conductances between the nodes (S): sums on the diagonal, negative between two nodes.
    """
    n_in, n_out = g.shape
    n_inner = 2 * g.size
    word = np.arange(g.size).reshape(g.shape)
    bit = word + g.size
    drivers, senses = n_inner + np.arange(n_in), n_inner + n_in + np.arange(n_out)
    lines = (
        (drivers, word[:, 0], wires.driver + wires.word),
        (word[:, :-1], word[:, 1:], wires.word),
        (bit[:-1], bit[1:], wires.bit),
        (bit[-1], senses, wires.bit + wires.sense),
    )
    # What is joined by 0 ohm becomes one node
    joined = [(a.ravel(), b.ravel()) for a, b, r in lines if not r]
    a, b = (np.concatenate([np.empty(0, dtype=np.intp), *(pair[k] for pair in joined)]) for k in range(2))
    size = n_inner + n_in + n_out
    n_nodes, node = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(size, size)), directed=False)

    # A branch of conductance G adds G to the diagonal at both of its nodes and -G between them
    branches = [(word.ravel(), bit.ravel(), g.ravel())]
    branches += [(a.ravel(), b.ravel(), np.full(a.size, 1.0 / r)) for a, b, r in lines if r]
    a, b = (node[np.concatenate([branch[k] for branch in branches])] for k in range(2))
    between = np.concatenate([branch[2] for branch in branches])
    values = np.concatenate([between, between, -between, -between])
    places = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    laplacian = csc_array(coo_array((values, places), shape=(n_nodes, n_nodes)))
    ends = node[n_inner:]
    return node[:n_inner], ends, np.setdiff1d(np.arange(n_nodes), ends), laplacian


def _factor(laplacian: csc_array, inner: NDArray[np.integer]) -> SuperLU:
    """LU factors of the conductances between inner nodes, L_ii."""
    inside = csc_array(laplacian[inner][:, inner])
    return splu(inside, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})


def expected_loss(conductance: ArrayLike, wires: Wires) -> float:
    """Share of the total output current that the wires are expected to take, all inputs at one voltage.

    It is estimated from sums of conductances; nothing is solved. To first order each resistance takes
    ``r I^2/sum(G)``, I the current through it at 1 V without wires: sums of G from a place on a line to its end. With
    x_w, x_b, x_d, x_s these shares of word lines, bit lines, drivers and sense ends ::

        loss = 1 - 1/(1 + x_d + x_s + f(x_w) - 1 + f(x_b) - 1),    f(x) = s/tanh(s),  s = sqrt(3 x)

    where f is what a line of evenly spread devices does (a cable with open end; algebra). For random conductances of 1
    to 100 uS, 784 x 200, r_word = r_bit, it says .0011, .0109, .0978, .484, .838 at r Gmax = 1e-8, 1e-7, 1e-6, 1e-5,
    1e-4; exact is .0011, .0109, .0978, .486, .860.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, or `conductance` is not a matrix.
    """
    g, wires = _checked(conductance, wires)
    return _worst_loss(g, wires, *g.shape)


def propose_tiles(
    conductance: ArrayLike,
    wires: Wires,
    *,
    limit: float = TILE_LOSS,
) -> tuple[int, int] | None:
    """Rows and columns of the largest tiles of which none is expected to lose more than `limit`.

    Tried are powers of two from `SMALLEST_TILE` (8) on, and the full size, in each direction; of tiles with as many
    devices, those that lose less. None if even tiles of 8 x 8 (or the whole array, if it is smaller) lose more.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`; every tile has the wires, drivers and ends of `solve_tiled`.
    limit
        Share of the output current, see `expected_loss`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, `conductance` is not a matrix, or `limit` is not positive.
    """
    g, wires = _checked(conductance, wires)
    if not limit > 0:
        raise InputError(f"limit = {limit!r}: expected a share above 0")
    return _propose_tiles(g, wires, limit)


def tile_slices(
    shape: tuple[int, int], tile_rows: int | None = None, tile_columns: int | None = None
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile, row after row of tiles; the last ones may be smaller. None: undivided.

    Raises
    ------
    InputError
        If a tile would have no rows or no columns.
    """
    for name, value in (("tile_rows", tile_rows), ("tile_columns", tile_columns)):
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise InputError(f"{name} = {value!r}: expected a whole number, 1 or more")
    rows, columns = (
        [slice(k, min(k + (size or n), n)) for k in range(0, n, size or n)]
        for n, size in zip(shape, (tile_rows, tile_columns), strict=True)
    )
    return itertools.product(rows, columns)


def solve_tiled(
    conductance: ArrayLike,
    wires: Wires,
    *,
    tile_rows: int | None = None,
    tile_columns: int | None = None,
) -> Ports:
    """Effective conductances and admittance as `solve` has them, of an array in tiles.

    Each tile has drivers of its own on its word lines (r_driver and wires as in `solve`), and bit lines of its own,
    which end (r_sense) in the amplifier of their column, common to all tiles of the column. So tiles do not see each
    other: G_eff is put together from theirs, and the admittances of all tiles of a column add up.

    Parameters
    ----------
    conductance, wires
        As in `effective_conductance`.
    tile_rows, tile_columns
        Size of the tiles, see `tile_slices`.

    Raises
    ------
    InputError
        If a conductance is negative or not finite, `conductance` is not a matrix, or a tile would be empty.
    """
    g, wires = _checked(conductance, wires)
    if wires.ideal:
        return Ports(g, g.sum(axis=0), None)
    n_out = g.shape[1]
    effective, bit_admittance = np.empty_like(g), np.zeros((n_out, n_out))
    for rows, columns in tile_slices(g.shape, tile_rows, tile_columns):
        tile = eliminate(np.ascontiguousarray(g[rows, columns]), wires, admittance=True)
        effective[rows, columns] = tile[0]
        bit_admittance[columns, columns] += tile[1]
    return Ports.of(effective, bit_admittance)


def _checked(conductance: ArrayLike, wires: Wires) -> tuple[FloatArray, Wires]:
    """Conductances (S), or an `InputError` that names what is wrong with them; wires without tiny resistances."""
    try:
        g = np.asarray(conductance)
    except ValueError:
        raise InputError("conductance: rows of different lengths; expected (n_in, n_out)") from None
    if g.dtype.kind not in "fiu":
        raise InputError(f"conductance: numbers of type {g.dtype}; expected real ones, in siemens")
    if g.ndim != 2 or not g.size:
        raise InputError(f"conductance has shape {g.shape}: expected (n_in, n_out), not empty")
    bad = np.argwhere(~(np.isfinite(g) & (g >= 0)))
    if bad.size:
        i, j = bad[0]
        raise InputError(f"conductance[{i}, {j}] = {g[i, j]}: expected siemens, finite and not negative")
    ohms = (float(r) if r > _NO_RESISTANCE else 0.0 for r in (wires.word, wires.bit, wires.driver, wires.sense))
    return np.ascontiguousarray(g, dtype=np.float64), Wires(*ohms)


def _worst_loss(g: FloatArray, wires: Wires, n_rows: int, n_columns: int) -> float:
    """Largest `expected_loss` of all tiles of `n_rows` and `n_columns`."""
    n_in, n_out = g.shape
    # All tiles in one array, (tile down, row, tile across, column); what a smaller last tile lacks has no conductance
    down, across = -(-n_in // n_rows), -(-n_out // n_columns)
    tiles = np.zeros((down * n_rows, across * n_columns))
    tiles[:n_in, :n_out] = g
    tiles = tiles.reshape(down, n_rows, across, n_columns)
    # Currents at 1 V on every row: through each piece of wire flows that of all devices beyond it (word lines, seen
    # from their far end) or before it (bit lines)
    in_words = tiles[..., ::-1].cumsum(axis=3)
    in_bits = tiles.cumsum(axis=1)
    in_drivers, in_senses = tiles.sum(axis=3), tiles.sum(axis=1)
    in_bits.reshape(-1, across, n_columns)[n_in:] = 0.0  # wires that a smaller last tile does not have
    # x = sum of r I^2, over the output current
    total = in_senses.sum(axis=2)
    per_volt = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    words = wires.word * per_volt * np.einsum("arbc,arbc->ab", in_words, in_words)
    bits = wires.bit * per_volt * np.einsum("arbc,arbc->ab", in_bits, in_bits)
    drivers = wires.driver * per_volt * np.einsum("arb,arb->ab", in_drivers, in_drivers)
    senses = wires.sense * per_volt * np.einsum("abc,abc->ab", in_senses, in_senses)
    excess = drivers + senses + _line(words) + _line(bits)
    return float(np.max(excess / (1.0 + excess)))


def _line(x: FloatArray) -> FloatArray:
    """Excess resistance of a line of evenly spread devices: s/tanh(s) - 1 with s = sqrt(3 x), precise for small x."""
    s = np.sqrt(3.0 * np.maximum(x, 1e-4))
    return np.where(x < 1e-4, x - 0.2 * x**2, s / np.tanh(s) - 1.0)


def _propose_tiles(g: FloatArray, wires: Wires, limit: float) -> tuple[int, int] | None:
    """Rows and columns of the largest tiles that lose less than `limit`, see `propose_tiles`."""
    rows, columns = (
        [n, *(2**k for k in range(SMALLEST_TILE.bit_length() - 1, n.bit_length()) if 2**k < n)] for n in g.shape
    )
    sizes = sorted(itertools.product(rows, columns), key=math.prod, reverse=True)
    for _, alike in itertools.groupby(sizes, key=math.prod):
        loss, size = min((_worst_loss(g, wires, *size), size) for size in alike)
        if loss < limit:
            return size
    return None


def _advice(g: FloatArray, wires: Wires, loss: float) -> str:
    """Warning of a loss (share of the output current), with the tiles that would help."""
    tiles = _propose_tiles(g, wires, TILE_LOSS)
    return (
        f"the wires (r_word {wires.word:g}, r_bit {wires.bit:g}, r_driver {wires.driver:g}, r_sense {wires.sense:g} "
        f"ohm) are expected to take {100 * loss:.0f} % of the output current: the devices of a row add up to at most "
        f"{1e3 * g.sum(axis=1).max():.3g} mS, those of a column to {1e3 * g.sum(axis=0).max():.3g} mS. "
        + (
            f"Tiles of {tiles[0]} rows and {tiles[1]} columns would lose less than {100 * TILE_LOSS:g} %"
            if tiles
            else f"Even tiles of {min(SMALLEST_TILE, len(g))} rows and {min(SMALLEST_TILE, g.shape[1])} columns would "
            f"lose more than {100 * TILE_LOSS:g} %"
        )
    )
