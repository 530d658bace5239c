"""White and 1/f noise in both equations of each neuron."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray

_BETWEEN_LAYERS = 0x1E3779B97F4A7C15  # between the seeds of two layers' noise: an odd number, so that none recurs
LARGEST = 1e3  # per square root of T; spikes are 4 high, and at a tenth of this no answer is left


# Of the sum of relaxations that makes 1/f noise.
_PER_DECADE = 2.0  # at two a decade their sum ripples by 0.08 %: 2/cosh(pi^2/ln(10^(1/2)))
_LOWEST_HERTZ = 0.1  # where data sheets end ("0.1 to 10 Hz"); what is slower counts as offset and its drift
_ABOVE_CORNER = 100.0  # where the 1/f part is a hundredth of the white one of the same parts


@dataclass(frozen=True, eq=False)
class Flicker:
    """1/f noise in dimensionless form: rates that are added to dx/dt and to dy/dt (time in units of T).

    The one-sided density of a rate at the frequency f is ``k^2/f``, with k the intensity. It is a sum of independent
    relaxations (Ornstein-Uhlenbeck processes), whose rates lambda lie evenly in ln(lambda) and each of which has the
    variance ``k^2 d(ln(lambda))`` (van der Ziel, Physica 16:359, 1950)::

        S(f) = sum of 4 k^2 d(ln(lambda)) lambda/(lambda^2 + (2 pi f)^2)
             = k^2/f (2/pi) (arctan(high/f) - arctan(low/f))  for a dense sum

    so that the rates are stationary, have a finite variance, ``k^2 ln(high/low)``, and are normal.

    Parameters
    ----------
    x, y
        Intensities (per T), shape (n_neurons,). All neurons and both nodes are independent.
    low, high
        Frequencies (1/T) between which the density is that of 1/f noise.

    Raises
    ------
    InputError
        If an intensity is negative, not finite or moves x or y by more than `LARGEST` per T, or the frequencies do not
        rise from above 0.
    """

    x: FloatArray
    y: FloatArray
    low: float
    high: float

    def __post_init__(self) -> None:
        if np.ndim(self.x) != 1 or np.shape(self.x) != np.shape(self.y):
            raise ValueError(
                f"1/f noise needs x and y of one shape (n_neurons,), got {np.shape(self.x)}, {np.shape(self.y)}"
            )
        if not 0.0 < self.low < self.high < np.inf:
            raise InputError(f"1/f noise from {self.low} to {self.high} per T: expected rising frequencies above 0")
        values = self.deviation * np.concatenate([self.x, self.y])
        if not (np.isfinite(values).all() and np.all(values >= 0) and np.all(values <= LARGEST)):
            raise InputError(
                f"1/f noise intensities must be finite, not negative, and move x and y by {LARGEST:g} at most"
            )

    @property
    def deviation(self) -> float:
        """Standard deviation of a rate of intensity 1."""
        return float(np.sqrt(np.log(self.high / self.low)))

    def relaxations(self) -> tuple[FloatArray, FloatArray]:
        """Rates lambda (1/T) of the relaxations, and their variances at intensity 1."""
        decades = np.log10(self.high / self.low)
        n = max(1, int(np.ceil(_PER_DECADE * decades)))
        width = np.log(self.high / self.low) / n
        rates = 2.0 * np.pi * self.low * np.exp(width * (np.arange(n) + 0.5))
        return rates, np.full(n, width)

    def density(self, frequency: ArrayLike) -> FloatArray:
        """One-sided density of a rate of intensity 1 at frequencies (1/T), as the sum of relaxations has it."""
        rates, variances = self.relaxations()
        turning = 2.0 * np.pi * np.asarray(frequency, dtype=np.float64)[..., None]
        return np.asarray((4.0 * variances * rates / (rates**2 + turning**2)).sum(axis=-1))

    def variance_of_mean(self, window: float) -> float:
        """Variance of the mean of a rate of intensity 1 over a window (T), exactly.

        It is the integral of ``S(f) (sin(pi f W)/(pi f W))^2`` over all f above 0, W the window: for each relaxation
        ``2 v (u - 1 + exp(-u))/u^2`` with ``u = lambda W`` and its variance v.
        """
        rates, variances = self.relaxations()
        u = rates * window
        return float((2.0 * variances * (u + np.expm1(-u)) / u**2).sum())

    def steps(self, interval: float) -> NDArray[np.float32]:
        """How the relaxations go on by an interval (T), and what their means over it are, exactly; shape (6, n).

        With independent variables a and b of variance 1, the value r at the beginning and ``u = lambda interval``, the
        rows are the factors of: r at the end, of r and of a; the mean over the interval, of r, of a and of b; and the
        standard deviation of r.
        """
        rates, variances = self.relaxations()
        u = rates * interval
        decay, gone = np.exp(-u), -np.expm1(-u)
        step = np.sqrt(variances * gone * (1.0 + decay))
        common = variances * gone**2 / (u * step)
        # 2 u - 3 + 4 exp(-u) - exp(-2 u) without its differences of large numbers
        spread = np.where(u < 0.02, u**3 * (2.0 / 3.0 - u / 2.0 + 7.0 / 30.0 * u**2), 2.0 * u - gone * (2.0 + gone))
        own = np.sqrt(np.maximum(variances * spread / u**2 - common**2, 0.0))
        return np.stack([decay, step, gone / u, common, own, np.sqrt(variances)]).astype(np.float32)


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
    flicker
        1/f noise besides, of the same neurons; each image begins in its stationary state, independent of the images
        before. None: none.

    Raises
    ------
    InputError
        If an intensity is negative, not finite or above `LARGEST`, or the seed out of range.
    """

    x: FloatArray
    y: FloatArray
    seed: int
    first_image: int = 0
    flicker: Flicker | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.x) != 1 or np.shape(self.x) != np.shape(self.y):
            raise ValueError(
                f"noise needs x and y of one shape (n_neurons,), got {np.shape(self.x)}, {np.shape(self.y)}"
            )
        if self.flicker is not None and np.shape(self.flicker.x) != np.shape(self.x):
            raise ValueError(f"1/f noise has shape {np.shape(self.flicker.x)}; expected {np.shape(self.x)}")
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
        """Noise of the cells' own parts; see `analog_fhn.cell.base.Cell.noise_densities` and `flicker_densities`.

        A white one-sided density S has 1/f noise ``S f_c/f`` beside it, with the corner f_c: of the intensity k that S
        has, ``k sqrt(2 f_c T)``. It lies between 0.1 Hz, where data sheets end, and a hundred times the corner.

        Raises
        ------
        InputError
            If the cells have no components.
        """
        circuit = _circuit(cells)
        white = cls.from_density(circuit, *circuit.cell.noise_densities(circuit), seed)
        coloured = circuit.cell.flicker_densities(circuit)
        if coloured is None:
            return white
        x, y = circuit.cell.noise_intensities(circuit, coloured.density_x, coloured.density_y)
        unit = circuit.cell.time_unit
        high = _ABOVE_CORNER * coloured.corner * unit
        root, low = np.sqrt(2.0 * coloured.corner * unit), min(_LOWEST_HERTZ * unit, 0.1 * high)
        return replace(white, flicker=Flicker(root * x, root * y, low, high))

    def from_image(self, first: int) -> Noise:
        """Copy for drives whose first row is image number `first`."""
        return replace(self, first_image=first)


def chip_noise(chip: Chip, seed: int, density: float | None = None) -> tuple[Noise, ...]:
    """Noise of the neurons of each hidden layer, independent of each other.

    Parameters
    ----------
    chip
        Whose parts make the noise.
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
