"""Shapes of the schematic's symbols: pins and lines on a grid of 1.27 mm, x to the right, y down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Side = Literal["left", "right", "up", "down"]
PinType = Literal["input", "output", "passive", "power_in", "power_out"]


@dataclass(frozen=True)
class Pin:
    """One pin of a symbol.

    Parameters
    ----------
    at
        Where wires end.
    side
        Of the body on which it lies.
    kind
        What the electrical rules check takes it for.
    length
        From its end to the body, in grid steps.
    name
        Shown beside it; "": none is.
    """

    at: tuple[int, int]
    side: Side
    kind: PinType = "passive"
    length: float = 1.0
    name: str = ""


@dataclass(frozen=True)
class Line:
    """Straight lines from point to point."""

    points: tuple[Point, ...]
    filled: Literal["none", "outline", "background"] = "none"


@dataclass(frozen=True)
class Circle:
    """A circle."""

    centre: Point
    radius: float
    filled: Literal["none", "outline", "background"] = "none"


@dataclass(frozen=True)
class Body:
    """One unit of a symbol: pins by terminal, and what is drawn."""

    pins: Mapping[str, Pin]
    graphics: tuple[Line | Circle, ...]


def _box(left: float, top: float, right: float, bottom: float) -> Line:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return Line(corners, "background")


_VERTICAL = {"1": Pin((0, -3), "up"), "2": Pin((0, 3), "down")}
RESISTOR = Body(_VERTICAL, (_box(-0.8, -2.0, 0.8, 2.0),))
CAPACITOR = Body(
    {"1": Pin((0, -3), "up", length=2.4), "2": Pin((0, 3), "down", length=2.4)},
    (Line(((-1.6, -0.6), (1.6, -0.6))), Line(((-1.6, 0.6), (1.6, 0.6)))),
)
DIODE = Body(
    {"K": Pin((-3, 0), "left", length=2.0), "A": Pin((3, 0), "right", length=2.0)},
    (Line(((1.0, -1.0), (1.0, 1.0), (-1.0, 0.0), (1.0, -1.0))), Line(((-1.0, -1.0), (-1.0, 1.0)))),
)
POTENTIOMETER = Body(
    {"1": Pin((0, -3), "up"), "2": Pin((3, 0), "right", length=1.0), "3": Pin((0, 3), "down")},
    (_box(-0.8, -2.0, 0.8, 2.0), Line(((2.0, 0.0), (0.9, 0.0))), Line(((1.6, -0.4), (0.9, 0.0), (1.6, 0.4)))),
)
JUMPER = Body(
    {"1": Pin((0, 5), "down", length=1.5), "2": Pin((4, 0), "right", length=2.5), "3": Pin((0, -5), "up", length=1.5)},
    (
        Circle((0.0, 3.0), 0.5), Circle((0.0, -3.0), 0.5), Circle((1.0, 0.0), 0.5), Line(((0.2, 2.5), (0.9, 0.5))),
        Line(((-1.2, -4.0), (2.0, -4.0), (2.0, 4.0), (-1.2, 4.0), (-1.2, -4.0))),
    ),
)  # fmt: skip
TEST_POINT = Body({"1": Pin((0, 0), "down", length=1.5)}, (Circle((0.0, -2.1), 0.6),))
AMPLIFIER = Body(
    {
        "-": Pin((-6, -2), "left", "input", 2.0, "-"),
        "+": Pin((-6, 2), "left", "input", 2.0, "+"),
        "out": Pin((6, 0), "right", "output", 2.0),
    },
    (Line(((-4.0, -4.0), (-4.0, 4.0), (4.0, 0.0), (-4.0, -4.0)), "background"),),
)
# A controlled current source leaves a transconductance amplifier: two circles stand at its output.
TRANSCONDUCTOR = Body(
    {
        "+": Pin((-6, -2), "left", "input", 2.0, "+"),
        "-": Pin((-6, 2), "left", "input", 2.0, "-"),
        "abc": Pin((-1, 6), "down", "input", 3.5),
        "out": Pin((7, 0), "right", "output", 1.2),
    },
    (
        Line(((-4.0, -4.0), (-4.0, 4.0), (4.0, 0.0), (-4.0, -4.0)), "background"),
        Circle((4.3, 0.0), 0.9), Circle((4.9, 0.0), 0.9),
    ),
)  # fmt: skip
MULTIPLIER = Body(
    {
        **{
            name: Pin((-10, y), "left", "input", 2.0, name)
            for name, y in (("X1", -6), ("X2", -2), ("Y1", 2), ("Y2", 6))
        },
        "W": Pin((10, 2), "right", "output", 2.0, "W"),
        "Z": Pin((10, 6), "right", "input", 2.0, "Z"),
        "V+": Pin((0, -11), "up", "power_in", 2.0, "+Vs"),
        "V-": Pin((0, 11), "down", "power_in", 2.0, "-Vs"),
    },
    (_box(-8.0, -9.0, 8.0, 9.0),),
)


def supply_unit(power: Mapping[str, str], open_pins: Mapping[str, str]) -> Body:
    """What the units of a package share: supply pins above and below, pins that stay open at the right."""
    half = max(4, len(open_pins) + 2)
    pins = {
        "V+": Pin((0, -half - 2), "up", "power_in", 2.0, "V+"),
        "V-": Pin((0, half + 2), "down", "power_in", 2.0, "V-"),
    }
    pins = {terminal: pins[terminal] for terminal in power}
    for k, pin in enumerate(open_pins):
        pins[f"open {pin}"] = Pin((10, 2 * k - len(open_pins) + 1), "right", "passive", 2.0, open_pins[pin])
    right = 8.0 if open_pins else 3.0
    return Body(pins, (_box(-8.0 if open_pins else -3.0, -half, right, half),))


def connector(count: int) -> Body:
    """A row of pins; wires come from the left."""
    pins = {str(k): Pin((-4, 2 * (k - 1)), "left", "passive", 2.0) for k in range(1, count + 1)}
    return Body(pins, (_box(-2.0, -1.2, 2.0, 2 * (count - 1) + 1.2),))


def power(up: bool) -> Body:
    """Symbol of a supply that comes from above, or of ground and negative supplies below."""
    if up:
        graphics = (Line(((0.0, 0.0), (0.0, -1.5))), Line(((-0.6, -1.0), (0.0, -2.0), (0.6, -1.0))))
        return Body({"1": Pin((0, 0), "down", "power_in", 0.0)}, graphics)
    graphics = (Line(((0.0, 0.0), (0.0, 1.5))), Line(((-0.6, 1.0), (0.0, 2.0), (0.6, 1.0))))
    return Body({"1": Pin((0, 0), "up", "power_in", 0.0)}, graphics)


GROUND = Body(
    {"1": Pin((0, 0), "up", "power_in", 0.0)},
    (
        Line(((0.0, 0.0), (0.0, 1.0))), Line(((-1.0, 1.0), (1.0, 1.0))), Line(((-0.6, 1.5), (0.6, 1.5))),
        Line(((-0.2, 2.0), (0.2, 2.0))),
    ),
)  # fmt: skip
FLAG = Body(
    {"1": Pin((0, 0), "down", "power_out", 0.0)},
    (Line(((0.0, 0.0), (0.0, -1.0), (-0.8, -1.5), (0.0, -2.0), (0.8, -1.5), (0.0, -1.0))),),
)
