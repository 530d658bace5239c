"""Maps from one state to the next, with a constant input that turns the control knob."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.errors import InputError, check_numbers
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.embedding import successive
from analog_fhn.reconstruct.model.levenberg import Layer, fit_layer, sigmoid

CONTROL = 0.1
"""Standard deviation of the control input's first weights: the scale of p, which the data do not determine."""

_FAR = 1e3  # standard deviations from the data, beyond which a state has diverged


class StateMap(Protocol):
    """What runs by itself."""

    def step(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """States (m, L) one sample later, at p of shape () or (m,)."""
        ...

    def jacobian(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """``d u_i(n+1) / d u_j(n)``, shape (m, L, L)."""
        ...


@dataclass(frozen=True)
class MapOptions:
    """How a map is trained on pairs of successive states.

    Parameters
    ----------
    hidden
        Sigmoid units.
    noise
        Standard deviation of noise on the states that the map starts from, as a share of each coordinate's step: it
        teaches the map to return to the recorded orbit.
    samples
        So many pairs are drawn from the recording.
    iterations
        So many are done at most, by the method of Levenberg and Marquardt.
    steepness
        Standard deviation of the first weights of the units, per standard deviation of a coordinate.
    """

    hidden: int = 100
    noise: float = 0.15
    samples: int = 4000
    iterations: int = 60
    steepness: float = 2.0

    def __post_init__(self) -> None:
        check_numbers(self, above_0=("hidden", "samples", "iterations", "steepness"), from_0=("noise",))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Successive states to learn from.

    Parameters
    ----------
    now, then
        States (m, L) and those one sample later.
    control
        p at each, shape (m,).
    speeds
        Unit of each coordinate's error, shape (L,): `Coordinates.speeds`.
    """

    now: FloatArray
    then: FloatArray
    control: FloatArray
    speeds: FloatArray

    @classmethod
    def of(cls, u: FloatArray, index: NDArray[np.intp], control: ArrayLike, speeds: FloatArray) -> Pairs:
        """From states (m, L) of samples numbered `index` (m,), recorded at `control`, shape () or (m,)."""
        first = successive(index)
        p = np.broadcast_to(np.asarray(control, dtype=np.float64), (len(u),))
        return cls(u[first], u[first + 1], p[first], speeds)

    def drawn(self, rng: Generator, number: int, noise: float) -> Pairs:
        """Some of them, with noise on the states they start from."""
        chosen = rng.integers(0, len(self.now), number)
        now = self.now[chosen] + noise * self.speeds * rng.normal(size=(number, self.now.shape[1]))
        return replace(self, now=now, then=self.then[chosen], control=self.control[chosen])

    def error(self, state_map: StateMap) -> float:
        """Mean over all pairs of the squared one-step error, in units of each coordinate's mean squared step."""
        return float(np.mean(((state_map.step(self.now, self.control) - self.then) / self.speeds) ** 2))


@dataclass(frozen=True, eq=False)
class NeuralMap:
    """``u(n+1) = u(n) + sigmoid(u A + p alpha + b) B + c``: one hidden layer, p a constant input.

    P. V. Kuptsov, N. V. Stankevich, Chaos, Solitons & Fractals 191:115818 (2025).

    Parameters
    ----------
    a
        A, shape (L, n_hidden).
    alpha, b
        Shape (n_hidden,).
    big_b
        B, shape (n_hidden, L).
    c
        Shape (L,).
    """

    a: FloatArray
    alpha: FloatArray
    b: FloatArray
    big_b: FloatArray
    c: FloatArray

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """What it consists of, by name."""
        return {"a": self.a, "alpha": self.alpha, "b": self.b, "big_b": self.big_b, "c": self.c}

    def _units(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        return sigmoid(u @ self.a + np.asarray(p, dtype=np.float64)[..., None] * self.alpha + self.b)

    def step(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """States (m, L) one sample later, at p of shape () or (m,)."""
        return np.asarray(u + self._units(u, p) @ self.big_b + self.c)

    def jacobian(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """``d u_i(n+1) / d u_j(n)``, shape (m, L, L)."""
        unit = self._units(u, p)
        slopes = np.einsum("mh,jh,hi->mij", unit * (1.0 - unit), self.a, self.big_b, optimize=True)
        return np.asarray(np.eye(len(self.c)) + slopes)

    def in_unit(self, centre: float, unit: float) -> NeuralMap:
        """The same map of p, where this one takes ``(p - centre)/unit``."""
        alpha = self.alpha / unit
        return replace(self, alpha=alpha, b=self.b - centre * alpha)

    def redrawn(self, rng: Generator, p: float = 1.0) -> NeuralMap:
        """The same map at p, with the control input's weights drawn anew: what a recording at one p cannot tell apart.

        Parameters
        ----------
        p
            Where the map was trained.
        """
        alpha = CONTROL * rng.normal(size=self.alpha.shape)
        return replace(self, alpha=alpha, b=self.b + p * (self.alpha - alpha))


def fit_map(
    pairs: Pairs, options: MapOptions, seed: int, progress: Progress | None = None
) -> tuple[NeuralMap, FloatArray]:
    """Train a map on one step.

    The units' first thresholds run through drawn states; alpha is drawn from a normal distribution. Where all pairs
    have the same p, training moves p alpha and b alike: the data say nothing of their difference.

    Parameters
    ----------
    progress
        It is called with the iterations that are done and all of them.

    Returns
    -------
    state_map
        The trained map.
    losses
        After each iteration, in the units of `Pairs.error`, noise included.
    """
    rng = np.random.default_rng(seed)
    drawn = pairs.drawn(rng, options.samples, options.noise)
    size, states = drawn.now.shape[1], drawn.now
    a = options.steepness * rng.normal(size=(size, options.hidden))
    places = rng.integers(0, len(states), options.hidden)
    alpha = CONTROL * rng.normal(size=options.hidden)
    b = -np.sum(states[places] * a.T, axis=1) - drawn.control[places] * alpha
    inner, inputs = np.vstack([a, alpha, b]), np.column_stack([states, drawn.control])
    targets = drawn.then - drawn.now
    unit = np.column_stack([sigmoid(inputs @ inner[:-1] + inner[-1]), np.ones(len(states))])
    gram = unit.T @ unit + 1e-4 * np.eye(unit.shape[1])
    outer = np.asarray(np.linalg.solve(gram, unit.T @ targets), dtype=np.float64)
    layer, losses = fit_layer(Layer(inner, outer), inputs, targets, pairs.speeds, options.iterations, progress)
    state_map = NeuralMap(layer.inner[:size], layer.inner[size], layer.inner[-1], layer.outer[:-1], layer.outer[-1])
    return state_map, losses / size


@dataclass(frozen=True, eq=False)
class PolynomialMap:
    """``u(n+1) = u(n) + sum_k C_k m_k(u, p)`` over all monomials up to an order: what the neural map is measured by.

    Parameters
    ----------
    powers
        Powers of the coordinates and of p in each monomial, shape (k, L + 1).
    coefficients
        C, shape (k, L).
    """

    powers: NDArray[np.intp]
    coefficients: FloatArray

    @property
    def arrays(self) -> dict[str, NDArray[np.intp] | FloatArray]:
        """What it consists of, by name."""
        return {"powers": self.powers, "coefficients": self.coefficients}

    def step(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """States (m, L) one sample later, at p of shape () or (m,)."""
        return np.asarray(u + _monomials(u, p, self.powers) @ self.coefficients)

    def jacobian(self, u: FloatArray, p: ArrayLike) -> FloatArray:
        """``d u_i(n+1) / d u_j(n)``, shape (m, L, L)."""
        size = u.shape[1]
        slopes = np.empty((len(u), size, size))
        for j in range(size):
            lowered = self.powers.copy()
            lowered[:, j] = np.maximum(lowered[:, j] - 1, 0)
            slopes[:, :, j] = (_monomials(u, p, lowered) * self.powers[:, j]) @ self.coefficients
        return np.eye(size) + slopes


@single_blas()
def fit_polynomial(pairs: Pairs, order: int, options: MapOptions, seed: int) -> PolynomialMap:
    """Least squares with a small ridge, on pairs drawn and disturbed like those of `fit_map`.

    The ridge gives monomials that differ in the power of a constant p the same coefficients.
    """
    if order < 1:
        raise InputError(f"order = {order}: expected 1 or more")
    drawn = pairs.drawn(np.random.default_rng(seed), options.samples, options.noise)
    size = drawn.now.shape[1]
    powers = np.array(
        [
            [chosen.count(k) for k in range(size + 1)]
            for degree in range(order + 1)
            for chosen in combinations_with_replacement(range(size + 1), degree)
        ]
    )
    features = _monomials(drawn.now, drawn.control, powers)
    scale = np.sqrt(np.mean(features**2, axis=0))
    gram = (features / scale).T @ (features / scale) + 1e-8 * len(features) * np.eye(len(powers))
    right = (features / scale).T @ (drawn.then - drawn.now)
    return PolynomialMap(powers, np.linalg.solve(gram, right) / scale[:, None])


def _monomials(u: FloatArray, p: ArrayLike, powers: NDArray[np.intp]) -> FloatArray:
    """Monomials of states (m, L) and p, shape (m, k)."""
    column = np.broadcast_to(np.asarray(p, dtype=np.float64), (len(u),))
    ladder = np.ones((powers.max(initial=0) + 1, len(u), powers.shape[1]))
    for k in range(1, len(ladder)):
        ladder[k] = ladder[k - 1] * np.column_stack([u, column])
    result = np.ones((len(u), len(powers)))
    for j in range(powers.shape[1]):
        result *= ladder[powers[:, j], :, j].T
    return result


@single_blas()
def free_run(state_map: StateMap, start: FloatArray, steps: int, p: ArrayLike = 1.0) -> FloatArray:
    """Orbits of the map, shape (steps, m, L), the first state being one step from the start; NaN once they diverge.

    Parameters
    ----------
    start
        Shape (m, L).
    p
        Shape () or (m,).
    """
    orbit = np.empty((steps, *start.shape))
    u = np.asarray(start, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(steps):
            u = state_map.step(u, p)
            u = np.where(np.abs(u) < _FAR, u, np.nan)
            orbit[k] = u
    return orbit
