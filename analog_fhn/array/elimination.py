"""Crossbars with resistive wires, solved by eliminating one word line after the other.

The equations and their symbols are those of `analog_fhn.array.wires.solve`; the conductances g here are its D. The
front is the cut through all bit lines behind the word lines that have been eliminated.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from threadpoolctl import threadpool_limits

from analog_fhn._support.compiled import compiled
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.wires import Wires

_ONE_THREAD = 256  # columns: matrices smaller than that lose more to the threads of a BLAS than they gain
_LEAF = 64  # columns that are inverted in one go


def mirrored(g: FloatArray) -> FloatArray:
    """Conductances of the array with bit lines for word lines, shape (n_out, n_in): ends are mirrored, too."""
    return np.ascontiguousarray(g[::-1, ::-1].T)


def eliminate(g: FloatArray, wires: Wires, *, admittance: bool) -> tuple[FloatArray, FloatArray]:
    """G_eff and the admittance of the bit lines' ends, both in siemens.

    Parameters
    ----------
    g
        Conductances of the devices, shape (n_in, n_out), in siemens.
    wires
        Resistances of the wires.
    admittance
        Whether the admittance is needed; without it the second result may be anything.
    """
    if wires.word == wires.driver == 0.0:
        # Nothing couples the columns: each is a ladder like a word line.
        effective = mirrored(_ladders(mirrored(g), wires.bit, wires.sense + wires.bit)[2])
        return effective, np.diag(effective.sum(axis=0))
    n_in, n_out = g.shape
    if wires.bit == wires.sense == 0.0 and not admittance:
        return _ladders(g, wires.word, wires.driver + wires.word)[2], np.empty((0, 0))
    if n_out <= n_in or wires.bit == wires.sense == 0.0:
        return _sweep(g, wires, of_words=False)
    effective, bit_admittance = _sweep(mirrored(g), wires.mirrored(), of_words=admittance)
    return mirrored(effective), np.ascontiguousarray(bit_admittance[::-1, ::-1])


class Elimination:
    """Elimination of one array, kept for many voltages of its rows and many currents beside its devices.

    Device (i, j) carries ``g v + s`` at the voltage v over it; the sources s of `solve` run from the word line to the
    bit line. Currents go down the bit lines as in `_sweep`, ``J_i+1 = P_i J_i + c_i+1``, with the currents c of the
    word lines while all bit lines are at 0 V; voltages come back up as ``b_i = P_i (b_i+1 + r_bit J_i)``.

    It keeps one matrix of (n_out, n_out) for each word line.

    Parameters
    ----------
    g
        Conductances of the devices, shape (n_in, n_out), in siemens.
    wires
        Resistances of the wires.
    """

    def __init__(self, g: FloatArray, wires: Wires) -> None:
        self._g, self._wires = g, wires
        self._first = wires.driver + wires.word
        self._ratio = _ladders(g, wires.word, self._first)[0]
        self._passed: list[FloatArray] = []
        if wires.bit or wires.sense:
            _sweep(g, wires, of_words=False, passed=self._passed)

    def solve(self, rows: FloatArray, sources: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Voltages over the devices, and currents out of the bit lines into 0 V.

        Parameters
        ----------
        rows
            Voltages of the word-line drivers, shape (n_in, n), in volts.
        sources
            Currents beside the devices, shape (n_in, n, n_out), in amperes.

        Returns
        -------
        voltages, currents
            Shapes (n_in, n, n_out) and (n, n_out), in volts and amperes.
        """
        n_in, wires, passed = len(self._g), self._wires, self._passed
        bits = np.zeros_like(sources)
        down = self._words(rows, sources, bits)
        down *= self._g[:, None, :]
        down += sources
        for i in range(1, n_in):
            down[i] += down[i - 1] @ passed[i - 1] if wires.bit else down[i - 1]
        end = wires.bit + wires.sense
        out = down[-1] @ passed[-1] if end else down[-1].copy()
        bits[-1] = end * out
        for i in range(n_in - 2, -1, -1):
            bits[i] = (bits[i + 1] + wires.bit * down[i]) @ passed[i] if wires.bit else bits[i + 1]
        voltages = self._words(rows, sources, bits)
        voltages -= bits
        return voltages, out

    def _words(self, rows: FloatArray, sources: FloatArray, bits: FloatArray) -> FloatArray:
        """Voltages of the word lines at the devices, shape (n_in, n, n_out), the bit lines at these voltages."""
        return np.asarray(_word_lines(self._g, self._ratio, self._wires.word, self._first, rows, sources, bits))


def admittance_of_ends(mutual: FloatArray, to_other_side: FloatArray) -> FloatArray:
    """Admittance of the ends of one side of the array, shape (n, n), in siemens, symmetric.

    Kirchhoff gives the diagonal: equal voltages at all ends drive no current.

    Parameters
    ----------
    mutual
        Current from one end to another per volt between them, shape (n, n); the diagonal does not matter.
    to_other_side
        Current from each end to all ends of the other side per volt, shape (n,).
    """
    mutual = 0.5 * (mutual + mutual.T)
    np.fill_diagonal(mutual, 0.0)
    return np.diag(to_other_side + mutual.sum(axis=0)) - mutual


def _sweep(
    g: FloatArray, wires: Wires, *, of_words: bool, passed: list[FloatArray] | None = None
) -> tuple[FloatArray, FloatArray]:
    """G_eff and the admittance of the bit lines' ends, or instead of it that of the word lines' ends.

    The matrices P of all pieces of the bit lines that have a resistance, the first word line's first, are added to
    `passed`, each of shape (n_out, n_out).
    """
    n_in, n_out = g.shape
    width = -(-n_out // 4) * 4  # `_invert_leaf` takes four columns at a time; columns without devices change nothing
    devices = np.zeros((n_in, width))
    devices[:, :n_out] = g
    ratio, resistance, transfer = _ladders(devices, wires.word, wires.driver + wires.word)
    end = wires.bit + wires.sense
    # To carry each word line's currents down one by one would be twice the work: they go in segments.
    length = n_in if n_in <= 2 * width or not wires.bit else math.isqrt(n_in)
    front = _Front(n_in, width, length, of_words)

    with _threads(width):
        for i in range(n_in):
            if i and wires.bit:
                front.pass_wire(wires.bit)
                if passed is not None:
                    passed.append(front.matrix[:n_out, :n_out].copy())
            front.add_currents(i, transfer[i])
            # U_i+1 = P_i U_i + M_i+1, where P_i U_i = (1 - P_i)/r_bit, scaled by the r that comes next.
            if wires.bit:
                r = end if i == n_in - 1 else wires.bit
                scale = r / wires.bit
            else:
                # Without wires between them the matrix is not inverted: it gathers the M_i.
                r, scale = end or 1.0, -1.0
            _add_word(front.matrix, scale, r, front.of_all_drivers, devices[i], ratio[i], resistance[i])
        if end:
            front.pass_wire(end)
            if passed is not None:
                passed.append(front.matrix[:n_out, :n_out].copy())
        front.close_segment(n_in)

    effective = np.ascontiguousarray(front.effective[:, :n_out])
    if of_words:
        return effective, admittance_of_ends(front.mutual, effective.sum(axis=1))
    mutual = front.matrix / end if end else -front.matrix
    return effective, admittance_of_ends(mutual[:n_out, :n_out], front.of_all_drivers[:n_out])


class _Front:
    """Norton equivalent ``J - U b`` of all word lines above the front, as the bit lines see it.

    The currents J of each driver are carried down in segments of word lines: those of earlier segments wait as they
    were where the present segment began.

    Parameters
    ----------
    n_in
        Number of word lines.
    width
        Number of bit lines.
    length
        Largest number of word lines in a segment.
    of_words
        Whether currents from driver to driver are followed too.

    Attributes
    ----------
    matrix
        ``1 + r U`` with the resistance r that comes next, then its inverse P, in turn; shape (width, width).
    effective
        Currents into the bit lines per volt at each driver, shape (n_in, width): J where the present segment began,
        after the last segment G_eff.
    mutual
        Currents from driver to driver per volt, shape (n_in, n_in); empty unless `of_words`.
    """

    def __init__(self, n_in: int, width: int, length: int, of_words: bool) -> None:
        self.matrix = np.zeros((width, width))
        self.effective = np.empty((n_in, width))
        self.mutual = np.zeros((n_in, n_in) if of_words else (0, 0))
        # Rows of currents into the bit lines at the front: per ampere into each of them where the segment began (not
        # in the first segment), per volt at all drivers together (u), per volt at each driver of the segment (J).
        self._rows, self._spare = np.zeros((2, width + 1 + length, width))
        self._all_drivers = width
        self._segment = width + 1
        self._first, self._end = width, width + 1
        self._segment_mutual = np.zeros((len(self._rows), len(self._rows)) if of_words else (0, 0))

    @property
    def of_all_drivers(self) -> FloatArray:
        """Currents into the bit lines per volt at all drivers together: u, the row sums of U; shape (width,)."""
        return np.asarray(self._rows[self._all_drivers])

    def pass_wire(self, r: float) -> None:
        """Move the front down by a piece of wire of r ohm: ``J = P J`` with ``P = (1 + r U)^-1``."""
        _invert(self.matrix)
        rows = slice(self._first, self._end)
        np.matmul(self._rows[rows], self.matrix, out=self._spare[rows])
        self._rows, self._spare = self._spare, self._rows
        if len(self._segment_mutual):
            # Drivers k and l share the wire: the current from one to the other grows by r J_k P J_l.
            self._segment_mutual[rows, rows] += r * (self._rows[rows] @ self._spare[rows].T)

    def add_currents(self, i: int, transfer: FloatArray) -> None:
        """Add the currents c_i of word line i, shape (width,), to the front: ``J_i+1 = P_i J_i + c_i+1 V_i+1``."""
        if self._end == len(self._rows):
            self.close_segment(i)
            width = len(self.matrix)
            self._rows[:width] = np.eye(width)
            self._first, self._end = 0, self._segment
        self._rows[self._all_drivers] += transfer
        self._rows[self._end] = transfer
        self._end += 1

    def close_segment(self, n_done: int) -> None:
        """Carry the currents of all segments down to the front, which the first `n_done` word lines are above."""
        begin = n_done - (self._end - self._segment)
        earlier, latest = slice(0, begin), slice(begin, n_done)
        inside, width = slice(self._segment, self._end), len(self.matrix)
        effective, mutual, near = self.effective, self.mutual, self._segment_mutual
        if len(near):
            mutual[latest, latest] = near[inside, inside]
            mutual[earlier, latest] = effective[earlier] @ near[:width, inside]
            mutual[latest, earlier] = mutual[earlier, latest].T
            mutual[earlier, earlier] += effective[earlier] @ near[:width, :width] @ effective[earlier].T
            near[:] = 0.0
        effective[earlier] = effective[earlier] @ self._rows[:width]
        effective[latest] = self._rows[inside]


def _threads(width: int) -> AbstractContextManager[object]:
    """One BLAS thread while small matrices are multiplied; that goes for the whole process."""
    return threadpool_limits(1, "blas") if _LEAF < width < _ONE_THREAD else nullcontext()


def _invert(a: FloatArray) -> None:
    """Invert in place a symmetric positive definite matrix whose elements off the diagonal are 0 or less.

    By halves, A being the first, B the corner and C the last block; all sums but those on the diagonal are of one
    sign ::

        S = C - B' A^-1 B,    (A^-1 + A^-1 B S^-1 B' A^-1    -A^-1 B S^-1)
                              (-S^-1 B' A^-1                       S^-1  )
    """
    if len(a) <= _LEAF:
        leaf = np.ascontiguousarray(a)
        _invert_leaf(leaf)
        a[:] = leaf
        return
    half = len(a) // 8 * 4
    head, corner, tail = a[:half, :half], a[:half, half:], a[half:, half:]
    _invert(head)
    across = head @ corner  # A^-1 B
    tail -= corner.T @ across  # S
    _invert(tail)
    np.matmul(across, -tail, out=corner)
    head -= corner @ across.T
    a[half:, :half] = corner.T


@compiled(error_model="numpy", fastmath={"contract"})
def _invert_leaf(a):  # type: ignore[no-untyped-def]
    """Invert in place by Gauss-Jordan, four columns at a time (there must be a multiple of four); see `_invert`."""
    n = a.shape[0]
    pivot = np.empty((4, 4))
    f = np.empty((4, 4))
    x = np.empty((4, n))
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    for k in range(0, n, 4):
        # The block on the diagonal, inverted by itself
        for s in range(4):
            for t in range(4):
                pivot[s, t] = a[k + s, k + t]
        for s in range(4):
            p = 1.0 / pivot[s, s]
            for t in range(4):
                pivot[s, t] *= p
            for i in range(4):
                if i != s:
                    q = pivot[i, s]
                    for t in range(4):
                        pivot[i, t] -= q * pivot[s, t]
                    pivot[i, s] = -q * p
            pivot[s, s] = p
        # Its four rows, multiplied by that inverse
        y0, y1, y2, y3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        for s in range(4):
            for j in range(n):
                x[s, j] = (pivot[s, 0] * y0[j] + pivot[s, 1] * y1[j]) + (pivot[s, 2] * y2[j] + pivot[s, 3] * y3[j])
            for t in range(4):
                x[s, k + t] = pivot[s, t]
        # All other rows, less these four times what stands in their four columns
        for i in range(0, n, 4):
            if i == k:
                continue
            for s in range(4):
                for t in range(4):
                    f[s, t] = a[i + s, k + t]
                    a[i + s, k + t] = 0.0
            z0, z1, z2, z3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            f00, f01, f02, f03 = f[0, 0], f[0, 1], f[0, 2], f[0, 3]
            f10, f11, f12, f13 = f[1, 0], f[1, 1], f[1, 2], f[1, 3]
            f20, f21, f22, f23 = f[2, 0], f[2, 1], f[2, 2], f[2, 3]
            f30, f31, f32, f33 = f[3, 0], f[3, 1], f[3, 2], f[3, 3]
            for j in range(n):
                z0[j] -= f00 * x0[j] + f01 * x1[j] + f02 * x2[j] + f03 * x3[j]
                z1[j] -= f10 * x0[j] + f11 * x1[j] + f12 * x2[j] + f13 * x3[j]
                z2[j] -= f20 * x0[j] + f21 * x1[j] + f22 * x2[j] + f23 * x3[j]
                z3[j] -= f30 * x0[j] + f31 * x1[j] + f32 * x2[j] + f33 * x3[j]
        for s in range(4):
            for j in range(n):
                a[k + s, j] = x[s, j]


@compiled(error_model="numpy")
def _ladders(g, r, r_first):  # type: ignore[no-untyped-def]
    """Solve every word line as a ladder by itself, the bit lines at 0 V; r_first is the resistance before device 0.

    Returns three arrays of the shape of `g`, which are what is needed of ``Z = (D + Laplacian)^-1``: `ratio`, the
    voltage at a device over that at the device before it where no current enters behind; `resistance` Z_jj, the voltage
    at device j per ampere into it; `transfer` c, the current through each device per volt at the driver.
    """
    n_in, n_out = g.shape
    ratio, resistance, transfer = np.empty_like(g), np.empty_like(g), np.empty_like(g)
    for i in range(n_in):
        # From the far end to the driver: conductance of a device and all that lies beyond it
        beyond = 0.0
        for j in range(n_out - 1, -1, -1):
            beyond += g[i, j]
            resistance[i, j] = beyond
            ratio[i, j] = 1.0 / (1.0 + (r if j else r_first) * beyond)
            beyond *= ratio[i, j]
        # From the driver on: resistance back to it, and the voltage per volt there
        back = r_first
        voltage = 1.0
        for j in range(n_out):
            resistance[i, j] = back / (1.0 + back * resistance[i, j])
            back = r + back / (1.0 + g[i, j] * back)
            voltage *= ratio[i, j]
            transfer[i, j] = g[i, j] * voltage
    return ratio, resistance, transfer


@compiled(error_model="numpy")
def _word_lines(g, ratio, r, r_first, rows, sources, bits):  # type: ignore[no-untyped-def]
    """Voltages of the word lines at the devices; shapes as for `Elimination.solve`.

    A device draws ``g w - q`` from its word line at w, with ``q = g b - s``. From the far end on, a device and all
    beyond it are a Norton equivalent ``Y w - Q`` with ``Q_j = q_j + ratio_j+1 Q_j+1``; from the driver on ``w_j =
    ratio_j (w_j-1 + r Q_j)``.
    """
    n_in, n, n_out = sources.shape
    words = np.empty_like(sources)
    for i in range(n_in):
        for k in range(n):
            beyond = 0.0
            for j in range(n_out - 1, -1, -1):
                beyond += g[i, j] * bits[i, k, j] - sources[i, k, j]
                words[i, k, j] = beyond
                beyond *= ratio[i, j]
            voltage = rows[i, k]
            for j in range(n_out):
                voltage = ratio[i, j] * (voltage + (r if j else r_first) * words[i, k, j])
                words[i, k, j] = voltage
    return words


@compiled(error_model="numpy")
def _add_word(matrix, scale, r, row_sums, g, ratio, resistance):  # type: ignore[no-untyped-def]
    """Make ``1 + r U`` of `matrix` P, U including the M of the next word line; its row sums are already in `row_sums`.

    Off the diagonal ``r U = -(scale P + r |M|)``, with ``M_jk = -g_j Z_jk g_k``. Z_jk, the voltage at device j per
    ampere into device k < j, is that at k times the ratios of all steps between.
    """
    n = g.size
    z = np.empty(n)  # Z_jk of the present j
    total = np.zeros(n)  # sums of each row and column off the diagonal
    for j in range(n):
        weight = r * g[j]
        row = matrix[j]
        here = 0.0
        for k in range(j):
            z[k] *= ratio[j]
            value = scale * row[k] + weight * g[k] * z[k]
            row[k] = -value
            total[k] += value
            here += value
        total[j] += here
        z[j] = resistance[j]
    # U has the row sums u: its diagonal is what they leave.
    for j in range(n):
        matrix[j, j] = 1.0 + r * row_sums[j] + total[j]
    # The upper triangle, in blocks that the cache holds
    for first in range(0, n, 16):
        for column in range(0, first + 1, 16):
            for j in range(first, min(first + 16, n)):
                for k in range(column, min(column + 16, j)):
                    matrix[k, j] = matrix[j, k]
