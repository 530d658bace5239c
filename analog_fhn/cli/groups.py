"""Option groups that several commands have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analog_fhn.cli import parameters
from analog_fhn.cli.options import values_set

if TYPE_CHECKING:
    from analog_fhn.neuron import FHN, Protocol


@dataclass(frozen=True)
class NeuronOptions:
    """Values of the FHN neurons and when they are watched; None: as without the option."""

    gamma: parameters.GammaOption = None
    a: parameters.AOption = None
    eps: parameters.EpsOption = None
    slope: parameters.SlopeOption = None
    settle: parameters.SettleOption = None
    control: parameters.ControlOption = None

    def fhn(self, usual: FHN) -> FHN:
        """The neuron `usual` with the values that are set."""
        return replace(usual, **values_set(self, "gamma", "a", "eps", "slope"))

    def protocol(self, usual: Protocol) -> Protocol:
        """The protocol `usual` with the times that are set."""
        return replace(usual, **values_set(self, "settle", "control"))
