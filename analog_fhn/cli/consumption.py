"""What an answer takes, as people read it and as JSON has it: the place where kinds of circuits differ in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analog_fhn.cli.console import engineering

if TYPE_CHECKING:
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.studies.consumption import Consumption
    from analog_fhn.studies.energy import SiliconConsumption
    from analog_fhn.studies.quiescent import BoardConsumption, Quiescent

_SQUARE_MICRON = 1e-12  # m^2


def content(drawn: Consumption | None) -> dict[str, Any]:
    """What was measured of a chip, for JSON; None: nothing."""
    from analog_fhn.studies.energy import SiliconConsumption
    from analog_fhn.studies.quiescent import BoardConsumption

    per_neuron = power = holds = None
    match drawn:
        case BoardConsumption():
            per_neuron, power, holds = drawn.power_per_neuron, drawn.power, drawn.holds
        case SiliconConsumption():
            per_neuron, power = drawn.power_per_neuron, drawn.power
    return {"power_per_neuron": per_neuron, "power": power, "power_of_holds": holds} | of_answer(drawn)


def of_answer(drawn: Consumption | None) -> dict[str, Any]:
    """Time and energy of an answer, for JSON: the energy by parts where these are known, and then the area, too."""
    answer: dict[str, Any] = {"seconds_per_inference": None, "energy_per_inference": None}
    if drawn is None:
        return answer
    answer = {"seconds_per_inference": drawn.latency, "energy_per_inference": energy(drawn, drawn.seconds)}
    return answer | ({"area": dict(drawn.areas)} if drawn.areas else {})


def energy(drawn: Consumption, seconds: float) -> float | dict[str, float]:
    """Energy of an answer whose windows take so long (J), for JSON: by parts where these are known."""
    return dict(drawn.parts_in(seconds)) or drawn.energy_in(seconds)


def lines(drawn: Consumption) -> Iterator[str]:
    """What people read of what was measured of a chip."""
    from analog_fhn.studies.energy import SiliconConsumption
    from analog_fhn.studies.quiescent import BoardConsumption

    match drawn:
        case BoardConsumption():
            yield _board_line(drawn)
        case SiliconConsumption():
            yield from silicon_lines(drawn)


def _board_line(drawn: BoardConsumption) -> str:
    holds = f", {drawn.holds:.3g} W of hold stages" if drawn.holds else ""
    return (
        f"power: {drawn.power_per_neuron:.3f} W a hidden cell (drive stage, neuron, row driver), {drawn.power:.3g} W "
        f"in all{holds}; an answer takes {_windows(drawn)}{drawn.seconds:.3g} s and {drawn.energy:.3g} J (arrays not "
        "counted)"
    )


def silicon_lines(drawn: SiliconConsumption, bound: str = "") -> Iterator[str]:
    """Energy, time and area of an answer of a chip of transistors.

    Parameters
    ----------
    bound
        Words in front of the energy, where it is no measured one.
    """
    yield (
        f"an answer takes {_windows(drawn)}{engineering(drawn.latency, 's')} and {bound}"
        f"{engineering(drawn.energy, 'J')}: {_parts(drawn.parts)}"
    )
    power = f"{engineering(drawn.power_per_neuron, 'W')} a neuron with its drive stage"
    areas = ", ".join(f"{name} {value / _SQUARE_MICRON:.4g}" for name, value in drawn.areas.items() if name != "total")
    yield (
        f"{power}; area, before layout: {drawn.areas['total'] / _SQUARE_MICRON:.4g} um^2 ({areas}; "
        f"{drawn.area.neurons / drawn.n_cells / _SQUARE_MICRON:.4g} a neuron)"
    )


def _parts(energies: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {engineering(value, 'J')}" for name, value in energies.items() if name != "total")


def _windows(drawn: Consumption) -> str:
    return f"{drawn.windows} windows, " if drawn.windows > 1 else ""


def power_words(network: Network, drawn: Consumption) -> str:
    """Power of the hidden cells, of boards with that of the hold stages, in words."""
    from analog_fhn.studies.energy import SiliconConsumption

    match drawn:
        case SiliconConsumption():
            parts = _parts(drawn.parts)
            return f"{engineering(drawn.power, 'W')} while the neurons run; {engineering(drawn.energy, 'J')}: {parts}"
    watts = drawn.energy_in(1.0)
    each = "" if any(network.held) else f"{watts / network.n_hidden:.3f} W a neuron, "
    return f"{each}{watts:.1f} W in all"


def quiescent_powers(drawn: Consumption) -> dict[str, float] | None:
    """Quiescent powers of a design (W), for JSON; None: its circuit's power is no quiescent one."""
    from analog_fhn.studies.quiescent import Quiescent

    match drawn:
        case Quiescent():
            return {"cells": drawn.cells, "amplifiers": drawn.amplifiers, "hold": drawn.hold}
    return None


def estimate_lines(layout: Design, drawn: Consumption) -> Iterator[str]:
    """What people read of what a design takes; nothing of a board whose layers are used once."""
    from analog_fhn.studies.energy import SiliconConsumption
    from analog_fhn.studies.quiescent import Quiescent

    match drawn:
        case Quiescent() if drawn.windows > 1:
            yield _positions_line(layout, drawn)
        case SiliconConsumption():
            yield from silicon_lines(drawn, "at most ")


def _positions_line(layout: Design, drawn: Quiescent) -> str:
    """What people read of the time of an answer, of a network whose layers are used at several positions."""
    from analog_fhn.studies.quiescent import hold_stages

    network = layout.network
    grids = ", ".join(f"{down} x {along}" for down, along in positions(layout))
    return (
        f"{network.sizes_text}: {grids} positions of the hidden layers, {hold_stages(layout)} hold stages; an answer "
        f"takes {drawn.windows} windows, {drawn.seconds:.3g} s, and {drawn.energy:.3g} J (quiescent: "
        f"{drawn.cells:.3g} W of hidden cells, {drawn.amplifiers:.3g} W of amplifiers behind arrays, {drawn.hold:.3g} "
        "W of hold stages)"
    )


def positions(layout: Design) -> list[tuple[int, int]]:
    """Positions of each hidden layer, down and along."""
    return [(1, 1) if one.window is None else one.window.positions for one in layout.network.hidden_layers]
