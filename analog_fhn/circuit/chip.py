"""One manufactured sample of a design. Nothing else in the package draws component values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from analog_fhn.circuit import neuron as circuit
from analog_fhn.circuit.crossbar import Crossbar, program
from analog_fhn.circuit.neuron import NeuronParts, Scales
from analog_fhn.circuit.technology import Passive, Technology
from analog_fhn.network import Network
from analog_fhn.neuron import Coefficients, FloatArray

# One stream per component: a chip's resistors do not change when its capacitors are drawn differently.
_STREAM_NEURON = 0
_STREAM_ARRAY = 1


@dataclass(frozen=True)
class Chip:
    """Every component's actual value; what every backend takes.

    Parameters
    ----------
    network
        The network that the chip realises.
    weights, biases
        Effective weights of each layer (from the conductances where the chip has them).
    coefficients
        Nine numbers per hidden neuron.
    parts, scales, technology, crossbars
        Components behind them; None for ideal neurons that no technology was chosen for.
    seed
        The integer that all values were drawn from; None for a nominal or ideal chip.
    """

    network: Network
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray | None, ...]
    coefficients: Coefficients
    parts: NeuronParts | None = None
    scales: Scales | None = None
    technology: Technology | None = None
    crossbars: tuple[Crossbar, ...] | None = None
    seed: int | None = None

    @classmethod
    def ideal(cls, network: Network) -> Chip:
        """The mathematics: float weights and ideal FHN equations."""
        n_hidden = network.weights[0].shape[1]
        return cls(network, network.weights, network.biases, Coefficients.ideal(network.fhn, n_hidden))

    @cached_property
    def n_neurons(self) -> int:
        """Number of hidden neurons."""
        return len(self.coefficients)

    def drives(self, images: NDArray[np.floating]) -> FloatArray:
        """Drives of the hidden neurons, shape (n_images, n_neurons), for images (n_images, n_in)."""
        z = np.asarray(images, dtype=np.float64) @ self.weights[0]
        if self.biases[0] is not None:
            z += self.biases[0]
        return self.network.fhn.drive(z)

    def only(self, neurons: slice | NDArray[np.intp]) -> Chip:
        """Copy with only some of the hidden neurons; an array of indices may name a neuron more than once."""
        return replace(
            self,
            weights=(self.weights[0][:, neurons], self.weights[1][neurons]),
            biases=(None if self.biases[0] is None else self.biases[0][neurons], self.biases[1]),
            coefficients=self.coefficients[neurons],
            parts=None if self.parts is None else self.parts[neurons],
            crossbars=None,
        )

    def with_nominal_neurons(self) -> Chip:
        """Copy whose neurons are ideal equations; only the arrays keep their errors."""
        ideal = Coefficients.ideal(self.network.fhn, self.n_neurons)
        return replace(self, coefficients=ideal, parts=None, scales=None)


def draw_chip(
    network: Network,
    technology: Technology,
    scales: Scales,
    nominal: NeuronParts,
    targets: tuple[Crossbar, ...],
    seed: int | None,
) -> Chip:
    """Draw every component from one integer seed; with None all have their nominal values.

    Tolerances: normal with sigma = tolerance/3, cut at the tolerance, or uniform. Offsets and scale errors: normal
    with the data sheet's typical value as sigma. Each component has a random stream of its own, and spreads scale
    the same draws, so that two tolerance levels share their random numbers.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed is None:
        parts, crossbars = nominal, targets
    else:
        if seed < 0:
            raise ValueError(f"chip seed {seed}: expected a non-negative integer")
        parts = _draw_parts(nominal, technology, seed)
        crossbars = tuple(
            program(
                target,
                technology.array,
                _standard_normal(seed, (_STREAM_ARRAY, layer, 0), target.g_plus.shape),
                _standard_normal(seed, (_STREAM_ARRAY, layer, 1), target.g_minus.shape),
            )
            for layer, target in enumerate(targets)
        )
    return Chip(
        network,
        tuple(c.weights for c in crossbars),
        tuple(c.bias for c in crossbars),
        circuit.coefficients(parts, scales, technology, network.fhn.eps),
        parts,
        scales,
        technology,
        crossbars,
        seed,
    )


def _draw_parts(nominal: NeuronParts, technology: Technology, seed: int) -> NeuronParts:
    values = {}
    for index, (name, value) in enumerate(nominal.items()):
        generator = _generator(seed, (_STREAM_NEURON, index))
        uniform = generator.random(len(nominal))
        if name in circuit.RESISTORS:
            values[name] = value * (1.0 + _spread(uniform, technology.resistor))
        elif name in circuit.CAPACITORS:
            values[name] = value * (1.0 + _spread(uniform, technology.capacitor))
        elif name in circuit.OFFSETS:
            values[name] = value + technology.opamp.offset_sigma * ndtri(uniform)
        elif name in circuit.MULTIPLIER_SCALES:
            values[name] = value + technology.multiplier.scale_sigma * ndtri(uniform)
        else:
            values[name] = value + technology.multiplier.offset_sigma * ndtri(uniform)
    return NeuronParts(**values)


def _spread(uniform: FloatArray, part: Passive) -> FloatArray:
    """Relative deviations from uniform draws by the inverse distribution function (a cut normal, or uniform)."""
    if part.distribution == "uniform":
        return np.asarray(part.tolerance * (2.0 * uniform - 1.0))
    tail = 0.0013498980316300933  # share of a standard normal beyond -3
    return np.asarray(part.tolerance / 3.0 * ndtri(tail + (1.0 - 2.0 * tail) * uniform))


def _generator(seed: int, key: tuple[int, ...]) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _standard_normal(seed: int, key: tuple[int, ...], shape: tuple[int, ...]) -> FloatArray:
    return _generator(seed, key).standard_normal(shape)
