"""Noise of the parts of a hidden cell, at the summing nodes of its two integrators."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import Boltzmann

from analog_fhn.cell.opamp_fhn.neuron import NeuronParts, Scales, integrators, node_conductances
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.board import BoardTechnology

# <x^2> of the relaxation oscillation at a + I = 0, eps -> 0: on the branch y = x - x^3/3 from 2 down to 1 time passes
# as (x - 1/x) dx, so it is the integral of x^3 - x over that of x - 1/x.
MEAN_SQUARE_X = 2.25 / (1.5 - math.log(2.0))


def intensities(
    parts: NeuronParts,
    density_x: ArrayLike,
    density_y: ArrayLike,
    scales: Scales,
    technology: BoardTechnology,
    load: FloatArray | float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Intensities in dx and dy, per square root of T, of current densities at the summing nodes of U1 and U2.

    A white current of one-sided density S (A^2/Hz) carries charge of variance S t/2 in a time t. At U2 that
    charge goes to the integrator's capacitor: the variance of Vy = Sy y grows as S t/(2 Cy^2), so that in units
    of T ::

        sigma_y = sqrt(S T/2)/(Cy Sy),    and at U1    sigma_x = sqrt(S T/2)/(Cx Sx)

    with the capacitances that `coefficients` uses (the amplifier's bandwidth included).

    Parameters
    ----------
    parts
        Of n neurons.
    density_x, density_y
        Square roots of S (A/sqrt(Hz)): numbers, or shape (n,).
    load
        As for `coefficients`.
    """
    cx, cy = integrators(parts, technology, load)
    root = math.sqrt(scales.time_unit / 2.0)
    x = np.asarray(density_x, dtype=np.float64) * root / (cx * scales.sx)
    return x, np.asarray(density_y, dtype=np.float64) * root / (cy * scales.sy)


def intrinsic_sources(
    parts: NeuronParts, load: FloatArray, scales: Scales, technology: BoardTechnology
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Densities (A/sqrt(Hz)) by source at the summing nodes of U1 and of U2, each of shape (n_neurons,).

    ========== ==================================================================================================
    resistors  thermal, ``4 k T sum(G)`` of R1, R2, R3 at U1, of R4, R5 at U2, at the temperature of the conditions
    opamp      voltage noise of U1 (U2) times the node's conductance ``sum(G)``, with that of the drive stage
    inverter   output noise of U3, through R1 (R4): its voltage noise times ``1 + Rb/Ra``, and thermal of Ra, Rb
    multiplier output noise of M2 through R2, and that of M1, which M2 passes on times Vx/Vm: taken at the
               mean square of Vx = Sx x in the relaxation oscillation, ``<x^2> = 2.79`` (it is modulated in truth)
    ========== ==================================================================================================

    At U2 that of the drive stage comes on top, see `analog_fhn.cell.opamp_fhn.drive.DriveCircuit.noise`.

    These are the white parts; for 1/f noise of the op-amps see `amplifier_sources`, that of multipliers, pairs and
    resistors is left out. Also left out are the op-amps' current noise (JFET inputs), the
    reference, and the noise of U1 and U2 that reaches their own outputs unintegrated. U3's
    noise is one and the same at both nodes; `Noise` takes the two for independent.

    Parameters
    ----------
    parts
        Of n neurons.
    load
        Conductance (S) that the drive stages add to the summing nodes of U2, shape (n,).
    """
    thermal = 4.0 * Boltzmann * technology.conditions.temperature
    multiplier = technology.multiplier
    amplifiers_x, amplifiers_y = amplifier_sources(parts, load, technology)
    g1, g2 = node_conductances(parts)
    resistors = np.sqrt(thermal * (parts.ra * (parts.rb / parts.ra) ** 2 + parts.rb))
    through_m2 = math.sqrt(MEAN_SQUARE_X) * scales.sx / multiplier.scale * (1.0 + parts.m2_scale)
    node_x = {
        "resistors": np.sqrt(thermal * g1),
        "opamp": amplifiers_x["opamp"],
        "inverter": np.hypot(amplifiers_x["inverter"], resistors / parts.r1),
        "multiplier": multiplier.voltage_noise_density * np.sqrt(1.0 + through_m2**2) / parts.r2,
    }
    node_y = {
        "resistors": np.sqrt(thermal * g2),
        "opamp": amplifiers_y["opamp"],
        "inverter": np.hypot(amplifiers_y["inverter"], resistors / parts.r4),
    }
    return node_x, node_y


def amplifier_sources(
    parts: NeuronParts, load: FloatArray, technology: BoardTechnology
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """White densities (A/sqrt(Hz)) of the op-amps alone at the summing nodes of U1 and of U2, each of shape (n,).

    The voltage noise e of U1 and of U2 acts times the node's conductance, that of U3 times ``1 + Rb/Ra`` through R1 and
    R4. With 1/f noise ``e^2 (1 + f_c/f)`` they have the same factor (f_c is `opamp.noise_corner`).

    Parameters
    ----------
    parts, load
        As for `intrinsic_sources`.
    """
    amp = technology.opamp.voltage_noise_density
    g1, g2 = node_conductances(parts)
    inverted = amp * (1.0 + parts.rb / parts.ra)
    return (
        {"opamp": amp * g1, "inverter": inverted / parts.r1},
        {"opamp": amp * (g2 + load), "inverter": inverted / parts.r4},
    )
