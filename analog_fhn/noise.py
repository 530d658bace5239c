"""White noise in both equations of each neuron."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

_BETWEEN_LAYERS = 0x1E3779B97F4A7C15  # between the seeds of two layers' noise: an odd number, so that none recurs
LARGEST = 1e3  # per square root of T; spikes are 4 high, and at a tenth of this no answer is left


@dataclass(frozen=True, eq=False)
class Noise:
    """White noise in dimensionless form: ``dx = ... dt + x dW1``, ``dy = ... dt + y dW2`` (time in units of T).

    Parameters
    ----------
    x, y
        Intensities (per square root of T), shape (n_neurons,). All neurons and both nodes are independent.
    seed
        From 0 to 2^63 - 1. Same seed, same noise.
    first_image
        Number of the first row of the drives among all images: noise belongs to an image, not to a group of them.

    Raises
    ------
    InputError
        If an intensity is negative, not finite or above `LARGEST`, or the seed out of range.
    """

    x: FloatArray
    y: FloatArray
    seed: int
    first_image: int = 0

    def __post_init__(self) -> None:
        if np.ndim(self.x) != 1 or np.shape(self.x) != np.shape(self.y):
            raise ValueError(
                f"noise needs x and y of one shape (n_neurons,), got {np.shape(self.x)}, {np.shape(self.y)}"
            )
        values = np.concatenate([self.x, self.y])
        if not (np.isfinite(values).all() and np.all(values >= 0)):
            raise InputError("noise intensities must be finite and not negative")
        if values.size and values.max() > LARGEST:
            raise InputError(
                f"noise moves x or y by {values.max():.3g} per square root of T; more than {LARGEST:g} would carry "
                "every amplifier to its rails at once"
            )
        if not 0 <= self.seed < 2**63 or self.first_image < 0:
            raise InputError(f"noise seed {self.seed}: expected an integer from 0 to 2^63 - 1")

    @classmethod
    def from_density(cls, cells: Cells, density_x: ArrayLike, density_y: ArrayLike, seed: int) -> Noise:
        """Noise of given white current density in dx and in dy; see `analog_fhn.cell.base.Cell.noise_intensities`.

        Parameters
        ----------
        cells
            Made of parts.
        density_x, density_y
            Square roots of the one-sided densities (A/sqrt(Hz)): numbers, or shape (n_neurons,).
        seed
            Of the noise, not of the chip.

        Raises
        ------
        InputError
            If the cells have no components, or a density is negative or not finite.
        """
        circuit = _circuit(cells)
        return cls(*circuit.cell.noise_intensities(circuit, density_x, density_y), seed)

    @classmethod
    def intrinsic(cls, cells: Cells, seed: int) -> Noise:
        """Noise of the cells' own parts; see `analog_fhn.cell.base.Cell.noise_densities`.

        Raises
        ------
        InputError
            If the cells have no components.
        """
        circuit = _circuit(cells)
        return cls.from_density(circuit, *circuit.cell.noise_densities(circuit), seed)

    def from_image(self, first: int) -> Noise:
        """Copy for drives whose first row is image number `first`."""
        return replace(self, first_image=first)


def chip_noise(chip: Chip, seed: int, density: float | None = None) -> tuple[Noise, ...]:
    """Noise of the neurons of each hidden layer, independent of each other.

    Parameters
    ----------
    seed
        From 0 to 2^63 - 1.
    density
        Of the white current noise in dx and in dy (A/sqrt(Hz)); None: that of the parts themselves.

    Raises
    ------
    InputError
        If the chip has no components, or a value is out of range.
    """
    layers = []
    for number, layer in enumerate(chip.layers):
        layer_seed = (seed + number * _BETWEEN_LAYERS) % 2**63 if number else seed
        layers.append(
            Noise.intrinsic(layer.cells, layer_seed)
            if density is None
            else Noise.from_density(layer.cells, density, density, layer_seed)
        )
    return tuple(layers)


def _circuit(cells: Cells) -> CircuitCells:
    if not isinstance(cells, CircuitCells):
        raise InputError(
            "noise in physical units needs a technology, for instance discrete: these neurons are ideal equations "
            "without capacitors"
        )
    return cells
