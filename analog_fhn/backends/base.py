"""What every backend does: (cells, drives, protocol) in, responses of the neurons out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, runtime_checkable
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError

if TYPE_CHECKING:  # every process of ngspice imports this module, and needs neither SciPy nor Numba
    from analog_fhn.cell.base import Cells
    from analog_fhn.neuron import FloatArray, Protocol
    from analog_fhn.noise import Noise


CIRCUIT_BACKENDS = ("spice", "vacask")
"""Names of the backends that are a `CircuitBackend`."""


@dataclass(frozen=True)
class Response:
    """What the neurons did over the control window.

    Parameters
    ----------
    mean
        Time average of the neurons' output, which is x for polynomial neurons (`Dynamics.output`), shape (n_images,
        n_neurons); an integral over the window, not a mean of samples.
    samples
        The output at `Protocol.sample_times`, shape (n_samples, n_images, n_neurons), or None if not asked for.
    power
        Mean power that each neuron, without its tanh pair and row driver, draws from the supplies over the control
        window (W), shape (n_images, n_neurons); None where a backend knows no supplies.
    """

    mean: FloatArray
    samples: NDArray[np.float32] | None = None
    power: FloatArray | None = None


class Backend(Interface):
    """One way to integrate the neurons of a hidden layer."""

    @property
    def name(self) -> str:
        """Name on the command line and in result files."""

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron under a constant drive.

        Parameters
        ----------
        cells
            Of n_neurons neurons: their equations, and if they have parts the values of these.
        drives
            Shape (n_images, n_neurons), dimensionless.
        protocol
            Settling time, control window, sampling interval and initial state.
        samples
            Whether the samples are wanted beside the mean.
        noise
            White current noise at the summing nodes; None: none.
        progress
            Called with (done, total) now and then.

        Raises
        ------
        SimulationError
            If a state is not finite or a simulator fails.
        InputError
            If noise is asked for and the backend has none.
        """


@runtime_checkable
class OwnNeurons(Interface):
    """A backend whose neurons are its own, not those that the cells' components describe."""

    def only(self, neurons: NDArray[np.intp]) -> Backend:
        """The backend for a selection of the cells (n,)."""


@runtime_checkable
class CircuitBackend(Backend, Interface):
    """A backend that simulates the circuits of neurons, component by component: runs of it take long."""

    def circuit(self, cells: Cells, protocol: Protocol) -> dict[str, str]:
        """What decides results besides the chip's numbers: SHA-256 of the first neuron's deck, program's version."""

    def unchecked(self) -> CircuitBackend:
        """The same without the check of its settings, for cells that another run of it has just checked."""


def backend_of(backend: Backend, neurons: NDArray[np.intp] | None) -> Backend:
    """Backend for the cells of these neurons (n,); None: of all."""
    return backend.only(neurons) if neurons is not None and isinstance(backend, OwnNeurons) else backend


def refuse_noise(name: str, noise: Noise | None) -> None:
    """Raise InputError if noise is asked of a backend that has none."""
    if noise is not None:
        raise InputError(f"backend {name!r} has no reproducible noise; use direct or brian")


def check_noise(cells: Cells, noise: Noise | None) -> None:
    """Refuse noise of another number of neurons (ValueError), or of neurons that are no polynomial (InputError)."""
    if noise is None:
        return
    from analog_fhn.neuron import coefficients_of

    if np.shape(noise.x) != (len(cells),):
        raise ValueError(f"noise has shape {np.shape(noise.x)}; expected ({len(cells)},)")
    coefficients_of(cells.dynamics, "white noise")


def check_drives(cells: Cells, drives: FloatArray) -> FloatArray:
    """Drives as a (n_images, n_neurons) float64 array.

    Raises
    ------
    ValueError
        If the shape does not fit the cells.
    InputError
        If a drive is not finite.
    """
    drives = np.asarray(drives, dtype=np.float64)
    if drives.ndim != 2 or drives.shape[1] != len(cells):
        raise ValueError(f"drives have shape {drives.shape}; expected (n_images, {len(cells)})")
    if not np.isfinite(drives).all():
        image, neuron = (int(i) for i in np.argwhere(~np.isfinite(drives))[0])
        raise InputError(
            f"hidden layer: the drive of neuron {neuron} for image {image} is {drives[image, neuron]}, no finite "
            "number; expected weights, parts and images whose sums stay finite"
        )
    return drives
