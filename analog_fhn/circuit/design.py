"""A Network laid out in a Technology: every component with its nominal value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from analog_fhn.circuit.chip import Chip, draw_chip
from analog_fhn.circuit.crossbar import Crossbar, map_weights
from analog_fhn.circuit.neuron import NeuronParts, Scales
from analog_fhn.circuit.stages import DriverParts, PairParts, nominal_drivers, nominal_pairs
from analog_fhn.circuit.synthesis import Synthesis, synthesise
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.network import Network


@dataclass(frozen=True)
class Design:
    """Nominal layout: voltage scales, neuron parts, target conductances.

    Parameters
    ----------
    network, technology
        What to build and what to build it with.

    Raises
    ------
    InputError
        If a rail would be reached or offsets would dominate (see `choose_scales`), if a <= 0, or if the network
        has more than one hidden layer.
    """

    network: Network
    technology: Technology

    def __post_init__(self) -> None:
        if len(self.network.weights) != 2:
            raise InputError(
                f"network has {len(self.network.weights) - 1} hidden layers; "
                "a design takes exactly one layer of FHN neurons"
            )
        _ = self.synthesis

    @cached_property
    def synthesis(self) -> Synthesis:
        """Scales and nominal parts of the hidden neurons, in the technology's E series."""
        return synthesise(self.network.fhn, self.technology, self.network.weights[0].shape[1])

    @property
    def scales(self) -> Scales:
        """Voltage scales Sx, Sy and the time unit."""
        return self.synthesis.scales

    @property
    def parts(self) -> NeuronParts:
        """Nominal components of the hidden neurons."""
        return self.synthesis.parts

    @property
    def errors(self) -> dict[str, float]:
        """Relative errors of eps, a, cubic, y_gain and time_unit that the E series leave."""
        return self.synthesis.errors

    @cached_property
    def pairs(self) -> PairParts:
        """Nominal tanh pairs."""
        return nominal_pairs(self.network.fhn, self.technology, self.scales.sx, len(self.parts))

    @cached_property
    def drivers(self) -> DriverParts:
        """Nominal row drivers."""
        net = self.network
        return nominal_drivers(net.fhn, net.hidden, self.technology, self.scales.sx, len(self.parts))

    @cached_property
    def crossbars(self) -> tuple[Crossbar, ...]:
        """Target conductances of each weight layer."""
        return tuple(
            map_weights(w, b, self.technology.array)
            for w, b in zip(self.network.weights, self.network.biases, strict=True)
        )

    def chip(self, seed: int | None) -> Chip:
        """Chip number `seed`; None gives the nominal chip, which has no spread."""
        nominal = self.parts, self.pairs, self.drivers
        return draw_chip(self.network, self.technology, self.scales, nominal, self.crossbars, seed)
