"""White current noise at the two summing nodes of each neuron, and what the parts themselves contribute to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import Boltzmann, elementary_charge

from analog_fhn.cell.neuron import NeuronParts, Scales, integrators, node_conductances
from analog_fhn.cell.stages import thermal_voltage
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.technology import Technology

# <x^2> of the relaxation oscillation at a + I = 0, eps -> 0: on the branch y = x - x^3/3 from 2 down to 1 time passes
# as (x - 1/x) dx, so it is the integral of x^3 - x over that of x - 1/x.
MEAN_SQUARE_X = 2.25 / (1.5 - math.log(2.0))

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
    def from_density(cls, chip: Chip, density_x: ArrayLike, density_y: ArrayLike, seed: int) -> Noise:
        """Noise of given current density at the summing nodes of U1 (x) and U2 (y).

        A white current of one-sided density S (A^2/Hz) carries charge of variance S t/2 in a time t. At U2 that
        charge goes to the integrator's capacitor: the variance of Vy = Sy y grows as S t/(2 Cy^2), so that in units
        of T ::

            sigma_y = sqrt(S T/2)/(Cy Sy),    and at U1    sigma_x = sqrt(S T/2)/(Cx Sx)

        with the capacitances that `circuit.neuron.coefficients` uses (the amplifier's bandwidth included).

        Parameters
        ----------
        chip
            Gives capacitances, scales and the time unit.
        density_x, density_y
            Square roots of S (A/sqrt(Hz)): numbers, or shape (n_neurons,).
        seed
            Of the noise, not of the chip.

        Raises
        ------
        InputError
            If the chip has no components, or a density is negative or not finite.
        """
        parts, scales, technology = _components(chip)
        cx, cy = integrators(parts, technology)
        root = math.sqrt(scales.time_unit / 2.0)
        x = np.asarray(density_x, dtype=np.float64) * root / (cx * scales.sx)
        y = np.asarray(density_y, dtype=np.float64) * root / (cy * scales.sy)
        return cls(x, y, seed)

    @classmethod
    def intrinsic(cls, chip: Chip, seed: int) -> Noise:
        """Noise of the neuron's own parts, see `intrinsic_sources`.

        Raises
        ------
        InputError
            If the chip has no components.
        """
        return cls.from_density(chip, *intrinsic_densities(chip), seed)

    def from_image(self, first: int) -> Noise:
        """Copy for drives whose first row is image number `first`."""
        return replace(self, first_image=first)


def intrinsic_sources(chip: Chip) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Densities (A/sqrt(Hz)) by source at the summing nodes of U1 and of U2, each of shape (n_neurons,).

    ========== ==================================================================================================
    resistors  thermal, ``4 k T sum(G)`` of R1, R2, R3 at U1, of R4, R5 at U2, at the temperature of the conditions
    opamp      voltage noise of U1 (U2) times the node's conductance ``sum(G)``
    inverter   output noise of U3, through R1 (R4): its voltage noise times ``1 + Rb/Ra``, and thermal of Ra, Rb
    multiplier output noise of M2 through R2, and that of M1, which M2 passes on times Vx/Vm: taken at the
               mean square of Vx = Sx x in the relaxation oscillation, ``<x^2> = 2.79`` (it is modulated in truth)
    tanh pair  at balance: shot noise, 2 q I of each transistor that carries the output (the pair I_tail in all, two
               pnp mirrors twice that, the npn mirror I_tail), and thermal noise of the attenuators times the
               pair's slope I_tail/(2 V_T)
    ========== ==================================================================================================

    All parts count as white: 1/f noise is left out. Also left out are the op-amps' current noise (JFET inputs), the
    reference, and the noise of U1 and U2 that reaches their own outputs unintegrated. U3's
    noise is one and the same at both nodes; `Noise` takes the two for independent.

    Raises
    ------
    InputError
        If the chip has no components.
    """
    parts, scales, technology = _components(chip)
    thermal = 4.0 * Boltzmann * technology.conditions.temperature
    amp, multiplier = technology.opamp.voltage_noise_density, technology.multiplier
    g1, g2 = node_conductances(parts)
    inversion = parts.rb / parts.ra
    inverter = np.sqrt((amp * (1.0 + inversion)) ** 2 + thermal * (parts.ra * inversion**2 + parts.rb))
    through_m2 = math.sqrt(MEAN_SQUARE_X) * scales.sx / multiplier.scale * (1.0 + parts.m2_scale)
    node_x = {
        "resistors": np.sqrt(thermal * g1),
        "opamp": amp * g1,
        "inverter": inverter / parts.r1,
        "multiplier": multiplier.voltage_noise_density * np.sqrt(1.0 + through_m2**2) / parts.r2,
    }
    node_y = {"resistors": np.sqrt(thermal * g2), "opamp": amp * g2, "inverter": inverter / parts.r4}
    if chip.pair is not None:
        tail = np.abs(chip.drive_stage.gain) * scales.sx / technology.neuron.r4
        parallel = sum(chip.pair.source_resistances)
        slope = tail / (2.0 * thermal_voltage(technology.conditions.temperature))
        node_y["tanh pair"] = np.sqrt(8.0 * elementary_charge * tail + thermal * parallel * slope**2)
    return node_x, node_y


def intrinsic_densities(chip: Chip) -> tuple[FloatArray, FloatArray]:
    """Current densities (A/sqrt(Hz)) of all sources together at the summing nodes of U1 and U2, shape (n_neurons,).

    Raises
    ------
    InputError
        If the chip has no components.
    """
    node_x, node_y = (np.sqrt(sum(v**2 for v in node.values())) for node in intrinsic_sources(chip))
    return np.asarray(node_x), np.asarray(node_y)


def _components(chip: Chip) -> tuple[NeuronParts, Scales, Technology]:
    if chip.parts is None or chip.scales is None or chip.technology is None:
        raise InputError(
            "noise in physical units needs a technology (--technology discrete, for instance): this chip's neurons are "
            "ideal equations without capacitors"
        )
    return chip.parts, chip.scales, chip.technology
