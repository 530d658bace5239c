"""White current noise at the two summing nodes of each neuron."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analog_fhn.neuron import FloatArray


@dataclass(frozen=True, eq=False)
class Noise:
    """White noise in dimensionless form: ``dx = ... dt + x dW1``, ``dy = ... dt + y dW2`` (time in units of T).

    Parameters
    ----------
    x, y
        Intensities (per square root of T), shape (n_neurons,).
    seed
        Same seed, same noise.
    first_image
        Number of the first row of the drives among all images: noise belongs to an image, not to a group of them.
    """

    x: FloatArray
    y: FloatArray
    seed: int
    first_image: int = 0

    def from_image(self, first: int) -> Noise:
        """Copy for drives whose first row is image number `first`."""
        return replace(self, first_image=first)
