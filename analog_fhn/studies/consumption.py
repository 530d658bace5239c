"""Energy, power, time and area of an answer: what any circuit says of them, and where each kind finds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Bar, Card, Grid, Shown
from analog_fhn._support.words import engineering
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.technology.technology import Technology

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Module of `measured` and `estimated` (see `Circuit`), by the name that a technology's class calls it
# (`Technology.CONSUMPTION`).
CIRCUITS = {
    "supply currents": "analog_fhn.studies.quiescent",
    "energies": "analog_fhn.studies.energy",
}


@dataclass(frozen=True, repr=False)
class Consumption(Shown, ABC):
    """What an answer of a chip takes; a subclass for each kind of circuit.

    Parameters
    ----------
    seconds
        All settling times and control windows of one answer, one after another.
    windows
        How many they are; see `Design.windows`.
    """

    seconds: float = field(kw_only=True)
    windows: int = field(default=1, kw_only=True)

    if TYPE_CHECKING:  # of some circuits a field, of others computed

        @property
        def power(self) -> float:
            """Power that hidden cells draw while they run (W)."""

    def _card(self) -> Card:
        parts, areas = dict(self.parts), dict(self.areas)
        facts: dict[str, Any] = {"time of an answer": engineering(self.latency, "s"), **self._facts()}
        if areas:
            facts["area, before layout"] = f"{areas['total'] * 1e6:.4g} mm²"
        rows = [(name, Bar(value / self.energy, engineering(value, "J"))) for name, value in parts.items()]
        # A part never stands without the whole.
        grids = [Grid(("energy of an answer", ""), rows)] if parts else []
        return Card("Consumption", f"{engineering(self.energy, 'J')} an answer{self._counted()}", facts, grids)

    def _facts(self) -> dict[str, str]:
        """What else a kind of circuit shows of what it takes."""
        return {}

    def _counted(self) -> str:
        """What is not in the energy, in words; a circuit whose energy is not that of the whole overrides this."""
        return ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Energy of an answer by what takes it, on these axes or those of a new figure.

        Raises
        ------
        InputError
            If the energy is not known by parts.
        MissingProgramError
            Without matplotlib.
        """
        if not self.parts:
            raise InputError("the energy of this circuit is not known by parts; expected a chip of transistors")
        from analog_fhn import plots  # needs an optional package

        on, parts = plots.canvas(ax), {name: value for name, value in self.parts.items() if name != "total"}
        words = {name: engineering(value, "J") for name, value in parts.items()}
        title = f"{engineering(self.energy, 'J')} an answer"
        share = {name: value / self.energy for name, value in parts.items()}
        return plots.only_axes(plots.shares(share, words, title, on), on)

    @property
    def energy(self) -> float:
        """Energy of one answer (J)."""
        return self.energy_in(self.seconds)

    @property
    def parts(self) -> Mapping[str, float]:
        """Energy of one answer by what takes it (J), "total" first; empty where it is not told by parts."""
        return self.parts_in(self.seconds)

    @abstractmethod
    def energy_in(self, seconds: float) -> float:
        """Energy of an answer (J) whose settling times and control windows take so long (s)."""

    def parts_in(self, seconds: float) -> Mapping[str, float]:
        """As `parts`, for an answer whose settling times and control windows take so long (s).

        A circuit whose energy is known by parts overrides this.
        """
        return {}

    @property
    def areas(self) -> Mapping[str, float]:
        """Area by what takes it (m^2), "total" first; empty where it is not known.

        A circuit whose area is known overrides this.
        """
        return {}

    @property
    def latency(self) -> float:
        """Time from the image to the answer (s)."""
        return self.latency_in(self.seconds)

    def latency_in(self, seconds: float) -> float:
        """Time of an answer (s) whose settling times and control windows take so long (s).

        A circuit whose arrays are read before and after the neurons run overrides this.
        """
        return seconds


class Circuit(Interface):
    """How one kind of circuit finds out what it takes: what a module of `CIRCUITS` has.

    Attributes
    ----------
    TRANSIENTS
        Whether `measured` runs transients of all cells, which take long; else it takes about as long as classifying.
    """

    TRANSIENTS: bool

    def measured(self, chip: ManufacturedChip, images: NDArray[np.floating]) -> Consumption:
        """What an answer of a chip takes, in ngspice, as a mean over some images (n, n_in)."""

    def estimated(self, design: Design) -> Consumption:
        """What an answer of a design takes, without images."""


def consumption(chip: ManufacturedChip, images: NDArray[np.floating]) -> Consumption:
    """Power, energy and time of an answer of a chip, measured in ngspice, as a mean over some images (n, n_in).

    On a board these are the hidden cells' supply currents and the hold stages' quiescent ones; arrays and their
    amplifiers are not in them. On silicon everything is, by parts.

    Parameters
    ----------
    chip
        With components; its network's times are those of the answer.
    images
        Scaled as in training; on a board transients of all cells are run under each.

    Raises
    ------
    MissingProgramError
        If ngspice or the models are absent.
    SimulationError
        If ngspice fails.
    """
    return _circuit(chip.technology).measured(chip, images)


def is_slow(technology: Technology) -> bool:
    """Whether `consumption` takes transients of all cells in ngspice, for chips of a technology."""
    return _circuit(technology).TRANSIENTS


def estimated(design: Design) -> Consumption:
    """Power, energy and time of an answer of a design, without images.

    On a board by the quiescent currents of all parts. On silicon the energy of the arrays is that with all rows at the
    read voltage, which no image reaches.

    Raises
    ------
    MissingProgramError
        If the cell is one of transistors, and ngspice or the models are absent.
    """
    return _circuit(design.technology).estimated(design)


def _circuit(technology: Technology) -> Circuit:
    return import_module(CIRCUITS[technology.CONSUMPTION])
