"""Voltages along the lines of a crossbar with resistive wires: where it is that they are lost."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from analog_fhn.circuit.technology import Wires
from analog_fhn.circuit.wires import tile_slices
from analog_fhn.neuron import FloatArray


def node_voltages(
    conductance: FloatArray,
    row_volts: FloatArray,
    wires: Wires,
    *,
    tile_rows: int | None = None,
    tile_columns: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Voltages of the word line and of the bit line at every device (V), each of shape (n_in, n_out).

    Nodal analysis of the network that `wires.solve_tiled` describes, by a general sparse solver; the amplifiers behind
    the bit lines are at 0 V.

    Parameters
    ----------
    conductance
        Of the devices, shape (n_in, n_out), in siemens.
    row_volts
        Of the word-line drivers, shape (n_in,), in volts.
    wires
        Resistances of the lines.
    tile_rows, tile_columns
        Size of the tiles, each with drivers and ends of its own; None: not divided.
    """
    word, bit = np.empty_like(conductance), np.empty_like(conductance)
    for tile in tile_slices(conductance.shape, tile_rows, tile_columns):
        word[tile], bit[tile] = _tile(conductance[tile], row_volts[tile[0]], wires)
    return word, bit


def _tile(g: FloatArray, volts: FloatArray, wires: Wires) -> tuple[FloatArray, FloatArray]:
    n_in, n_out = g.shape
    # Nodes that 0 ohm join are one. First those that are looked for, then the drivers and ground.
    n_word = g.size if wires.word else n_in if wires.driver else 0
    n = n_word + (g.size if wires.bit else n_out if wires.sense else 0)
    known = np.append(volts, 0.0)
    drivers, ground = np.arange(n, n + n_in), np.full(n_out, n + n_in)
    words = np.arange(n_in) if n_word else drivers
    bits = n_word + np.arange(n_out) if n > n_word else ground
    word = np.arange(g.size).reshape(g.shape) if wires.word else np.repeat(words[:, None], n_out, axis=1)
    bit = n_word + np.arange(g.size).reshape(g.shape) if wires.bit else np.repeat(bits[None], n_in, axis=0)
    voltages = known
    if n:
        lines = (
            (drivers, word[:, 0], wires.driver + wires.word),
            (word[:, :-1], word[:, 1:], wires.word),
            (bit[:-1], bit[1:], wires.bit),
            (bit[-1], ground, wires.bit + wires.sense),
        )
        branches = [(word.ravel(), bit.ravel(), g.ravel())]
        branches += [(a.ravel(), b.ravel(), np.full(a.size, 1.0 / r)) for a, b, r in lines if r]
        a, b = (np.concatenate([branch[k] for branch in branches]) for k in range(2))
        between = np.concatenate([branch[2] for branch in branches])
        values = np.concatenate([between, between, -between, -between])
        places = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
        laplacian = csc_array(coo_array((values, places), shape=(n + n_in + 1, n + n_in + 1)))
        factor = splu(csc_array(laplacian[:n, :n]), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        voltages = np.concatenate([factor.solve(-(laplacian[:n, n:] @ known)), known])
    return voltages[word], voltages[bit]
