"""Least squares for one hidden layer of sigmoid units, by Levenberg and Marquardt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.neuron import FloatArray

_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-12
_UP, _DOWN = 4.0, 3.0
_TRIES = 8


@dataclass(frozen=True, eq=False)
class Layer:
    """``f(z) = sigmoid(z K + b) B + c`` for inputs z.

    Parameters
    ----------
    inner
        K over b, shape (n_inputs + 1, n_hidden).
    outer
        B over c, shape (n_hidden + 1, n_outputs).
    """

    inner: FloatArray
    outer: FloatArray

    def __call__(self, z: FloatArray) -> FloatArray:
        """Outputs (n, n_outputs) for inputs (n, n_inputs)."""
        return np.asarray(sigmoid(z @ self.inner[:-1] + self.inner[-1]) @ self.outer[:-1] + self.outer[-1])


def sigmoid(x: FloatArray) -> FloatArray:
    """``1/(1 + exp(-x))``, written so that no exponential overflows."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


@single_blas()
def fit_layer(
    start: Layer,
    z: FloatArray,
    targets: FloatArray,
    scale: FloatArray,
    iterations: int,
    progress: Progress | None = None,
) -> tuple[Layer, FloatArray]:
    """Minimise the mean of ``((f(z) - targets)/scale)²``, summed over outputs.

    D. W. Marquardt, J. Soc. Ind. Appl. Math. 11:431 (1963). The Jacobian is never built: each output has the same
    hidden units, so that ``J^T J`` follows from one Gram matrix of (n_inputs + 2) n_hidden + 1 features.

    Parameters
    ----------
    z, targets
        Shapes (n, n_inputs) and (n, n_outputs).
    scale
        Unit of each output's error, shape (n_outputs,).
    iterations
        So many are done at most.

    Returns
    -------
    layer, losses
        The fitted layer, and the mean after each iteration.
    """
    layer, damping, losses = start, _FIRST_DAMPING, []
    errors = (layer(z) - targets) / scale
    loss = float(np.sum(errors**2)) / len(z)
    for iteration in range(iterations):
        normal, gradient = _normal_equations(layer, z, errors, scale)
        diagonal = np.diag(normal).copy()
        diagonal = np.maximum(diagonal, 1e-12 * diagonal.max())
        for _ in range(_TRIES):
            try:
                factor = cho_factor(normal + np.diag(damping * diagonal), lower=True, check_finite=False)
            except LinAlgError:
                damping *= _UP
                continue
            tried = _moved(layer, cho_solve(factor, -gradient, check_finite=False))
            tried_errors = (tried(z) - targets) / scale
            tried_loss = float(np.sum(tried_errors**2)) / len(z)
            if tried_loss < loss:
                break
            damping *= _UP
        else:
            break
        layer, errors, loss = tried, tried_errors, tried_loss
        damping = max(damping / _DOWN, _LEAST_DAMPING)
        losses.append(loss)
        if progress is not None:
            progress(iteration + 1, iterations)
    return layer, np.array(losses)


def _normal_equations(
    layer: Layer, z: FloatArray, errors: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``J^T J`` and ``J^T e`` of the mean squared error; the parameters are `inner`, row by row, then each output's.

    With s = sigmoid(z K + b): d f_k / d K_ij = z_i s_j (1 - s_j) B_jk, and d f_k / d B_jk = s_j. Products of the
    former for outputs k are those of features z_i s_j (1 - s_j), which all outputs share, times (B B^T)_jj'.
    """
    n, (repeats, n_hidden), n_outputs = len(z), layer.inner.shape, layer.outer.shape[1]
    inputs = np.column_stack([z, np.ones(n)]) / np.sqrt(n)
    n_inner, n_column = layer.inner.size, n_hidden + 1
    unit = sigmoid(z @ layer.inner[:-1] + layer.inner[-1])
    slope = unit * (1.0 - unit)
    features = np.concatenate(
        [*(slope * column[:, None] for column in inputs.T), unit / np.sqrt(n), np.full((n, 1), 1.0 / np.sqrt(n))],
        axis=1,
    )
    gram, back = features.T @ features, layer.outer[:-1] / scale
    normal = np.zeros((n_inner + n_column * n_outputs,) * 2)
    gradient = np.empty(len(normal))
    normal[:n_inner, :n_inner] = gram[:n_inner, :n_inner] * np.tile(back @ back.T, (repeats, repeats))
    carried = errors @ back.T / np.sqrt(n)
    gradient[:n_inner] = np.einsum("nij,nj->ij", features[:, :n_inner].reshape(n, repeats, -1), carried).ravel()
    for k in range(n_outputs):
        block = slice(n_inner + k * n_column, n_inner + (k + 1) * n_column)
        normal[:n_inner, block] = gram[:n_inner, n_inner:] * np.tile(back[:, k], repeats)[:, None] / scale[k]
        normal[block, :n_inner] = normal[:n_inner, block].T
        normal[block, block] = gram[n_inner:, n_inner:] / scale[k] ** 2
        gradient[block] = features[:, n_inner:].T @ errors[:, k] / np.sqrt(n) / scale[k]
    return normal, gradient


def _moved(layer: Layer, step: FloatArray) -> Layer:
    """Layer whose parameters, in the order of `_normal_equations`, are changed by a step."""
    inner, outer = np.split(step, [layer.inner.size])
    return Layer(layer.inner + inner.reshape(layer.inner.shape), layer.outer + outer.reshape(layer.outer.shape[::-1]).T)
