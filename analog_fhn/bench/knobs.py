"""The knobs of the page: which values there are to turn, read from network and technology, with unit and range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel

from analog_fhn.cell.base import cell_class
from analog_fhn.network import Network
from analog_fhn.technology.quantities import Quantity, quantity_of
from analog_fhn.technology.technology import Technology

Scale = Literal["linear", "log", "power"]

# Of a technology's error groups, what changes nothing that the page shows: noise that is simulated with the neurons,
# and curved characteristics, which no response table serves.
_LEFT_OUT = ("flicker", "nonlinearity")

TIME = Quantity("T", (0, 2000), (0, 300))
WINDOW = Quantity("T", (0.2, 2000), (2, 400))
NETWORK_QUANTITIES = {
    "gamma": Quantity("1", (-100, 100), (-3, 3)),
    "a": Quantity("1", (-100, 100), (-2, 2)),
    "eps": Quantity("1", (1e-3, 1), (1e-3, 0.3)),
    "slope": Quantity("1", (1e-3, 100), (0.1, 4)),
    "settle": TIME,
    "control": WINDOW,
}
"""What a state may set of a network, within what can be computed while somebody waits; usual values span a slider."""


@dataclass(frozen=True)
class Knob:
    """One value to turn.

    Parameters
    ----------
    key
        Name in `Network.with_options`, or key of the technology: ``resistor.tolerance``.
    unit
        SI unit; "1" for a ratio or count, "T" for a time in the neuron's unit.
    low, high
        Smallest and largest value that is accepted.
    slider
        Ends of the slider.
    scale
        How values lie along it: evenly, by their logarithms, or as a fourth power from 0 on.
    value
        What the network or technology says; text where that is no number, None where there is none.
    whole
        Whether only whole numbers will do.
    choices
        Words to choose from instead of a number; (): a number.
    optional
        Whether null is a value, too: none of it, or no limit.
    steps
        Values that the slider goes through, where there are few; (): all that it spans.
    """

    key: str
    unit: str
    low: float
    high: float
    slider: tuple[float, float]
    scale: Scale
    value: float | str | None
    whole: bool = False
    choices: tuple[str, ...] = ()
    optional: bool = False
    steps: tuple[float, ...] = ()

    @classmethod
    def of(cls, key: str, quantity: Quantity, value: Any, *, whole: bool = False, optional: bool = False) -> Knob:
        """Knob of a quantity; its slider spans the usual values."""
        low, high = quantity.usual or quantity.possible
        if quantity.zero or (low == 0.0 and quantity.unit != "T"):
            slider, scale = (0.0, high), "power"
        else:
            slider, scale = (low, high), "log" if low > 0.0 and high / low >= 100.0 else "linear"
        bottom = 0.0 if quantity.zero else quantity.possible[0]
        return cls(
            key, quantity.unit, bottom, quantity.possible[1], slider, scale,  # type: ignore[arg-type]
            value if isinstance(value, int | float | str) else None, whole, (), optional,
        )  # fmt: skip


def network_knobs(network: Network, technology: Technology) -> list[Knob]:
    """Knobs of neurons and readout, with the technology's own window where that is what is watched."""
    protocol = technology.protocol(network.protocol)
    values = {name: getattr(network.fhn, name) for name in ("gamma", "a", "eps", "slope")}
    values |= {name: getattr(protocol, name) for name in ("settle", "control")}
    knobs = [Knob.of(name, NETWORK_QUANTITIES[name], value) for name, value in values.items()]
    cell = cell_class(technology.cell)
    if cell.GAMMAS:
        low, high = min(cell.GAMMAS), max(cell.GAMMAS)
        knobs = [replace(k, slider=(low, high), steps=cell.GAMMAS) if k.key == "gamma" else k for k in knobs]
    votes = cell.SHOWS_OSCILLATIONS and not network.held[-1]
    return [*knobs, choice("readout", network.readout, ("mean", "vote") if votes else ("mean",))]


def technology_knobs(technology: Technology, network: Network) -> list[Knob]:
    """Knobs of parts and arrays: levels and conductances, what the error groups spread, and the conditions."""
    array = technology.array
    knobs = [
        Knob("array.levels", "1", 2, 65536, (2, 256), "log", _number(array.levels), True, (), True),
        Knob.of("array.g_min", quantity_of(type(array), "g_min"), array.g_min),
        Knob.of("array.g_max", quantity_of(type(array), "g_max"), array.g_max),
        *_spread(technology, network),
        Knob.of("conditions.temperature", quantity_of(type(technology.conditions), "temperature"),
                technology.conditions.temperature),
        Knob.of("conditions.supply", quantity_of(type(technology.conditions), "supply"), technology.conditions.supply),
    ]  # fmt: skip
    corners = type(technology.conditions).model_fields.get("corner")
    if corners is not None:
        words = getattr(corners.annotation, "__args__", ())
        knobs.append(choice("conditions.corner", getattr(technology.conditions, "corner"), tuple(words)))  # noqa: B009
    return knobs


def _spread(technology: Technology, network: Network) -> Iterator[Knob]:
    """Knobs of what the error groups set to nothing."""
    for group, sections in technology.ERRORS.items():
        if group in _LEFT_OUT or (group == "hold" and not any(network.held)):
            continue
        if group == "drift" and technology.array.device is None:
            continue
        for section, exact in sections.items():
            for name in exact if section else ():
                part = getattr(technology, section)
                yield from _numbers(f"{section}.{name}", type(part), name, getattr(part, name))


def _numbers(key: str, section: type[Any], name: str, value: Any) -> Iterator[Knob]:
    """Knob of a value, or of each number in it."""
    if isinstance(value, BaseModel) or is_dataclass(value):
        names = list(type(value).model_fields) if isinstance(value, BaseModel) else [f.name for f in fields(value)]
        for inner in names:
            yield from _numbers(f"{key}.{inner}", type(value), inner, getattr(value, inner))
    elif not isinstance(value, bool | list | tuple | dict):
        yield Knob.of(key, quantity_of(section, name), value, optional=value is None or name == "drift_time")


def choice(key: str, value: str, choices: tuple[str, ...]) -> Knob:
    """Knob of one of several words."""
    return Knob(key, "1", 0, 0, (0, 0), "linear", value, False, choices)


def _number(levels: Any) -> float | None:
    return levels if isinstance(levels, int) else None
