"""A sheet as it is drawn: symbols, wires and words on a grid of 1.27 mm, before any file's format."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from analog_fhn.board.elements import Element
from analog_fhn.board.symbols import Body

Spot = tuple[int, int]
Justify = Literal["left", "right", "centre"]
Flow = Literal["input", "output", "passive"]


@dataclass(frozen=True)
class Words:
    """A text and where it stands; `angle` 90 reads upwards."""

    text: str
    at: tuple[float, float]
    justify: Justify = "centre"
    size: float = 1.27  # mm
    bold: bool = False
    angle: int = 0


@dataclass(frozen=True)
class Placed:
    """One unit of a symbol on a sheet.

    Parameters
    ----------
    symbol
        Key of the library's symbol.
    body
        Of this unit.
    unit
        From 1.
    element
        The part, or the first one of its package; None: a supply's symbol.
    at, angle
        Its origin, and how far it is turned to the left (degrees).
    reference, value
        Texts of these fields, and where they stand; a size of 0 hides them.
    """

    symbol: str
    body: Body
    unit: int
    element: Element | None
    at: Spot
    angle: int
    reference: Words
    value: Words

    def pin(self, terminal: str) -> Spot:
        """Where a terminal's wire ends."""
        x, y = self.body.pins[terminal].at
        for _ in range(self.angle // 90):
            x, y = y, -x
        return self.at[0] + x, self.at[1] + y


@dataclass(frozen=True)
class Label:
    """Name of a net: within a sheet, or of a pin of the sheet's symbol."""

    text: str
    at: Spot
    side: Literal["left", "right", "up", "down"] = "right"
    sheet_pin: Flow | None = None


@dataclass(frozen=True)
class SheetPin:
    """A pin of a sheet's symbol, and the net that it is on above."""

    name: str
    net: str
    at: Spot
    side: Literal["left", "right"]
    flow: Flow


@dataclass(frozen=True)
class SheetBox:
    """Symbol of a sheet on the sheet above it."""

    key: str
    title: str
    at: Spot
    size: tuple[int, int]
    pins: tuple[SheetPin, ...]


@dataclass
class Drawing:
    """All that is on one sheet."""

    title: str
    placed: list[Placed] = field(default_factory=list)
    wires: list[tuple[Spot, Spot]] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    frames: list[tuple[Spot, Spot]] = field(default_factory=list)
    unconnected: list[Spot] = field(default_factory=list)
    boxes: list[SheetBox] = field(default_factory=list)

    def wire(self, *spots: Spot) -> None:
        """Straight pieces from spot to spot, each along one axis; a piece without length is left out."""
        for a, b in pairwise(spots):
            if a[0] != b[0] and a[1] != b[1]:
                raise ValueError(f"a wire from {a} to {b} is neither horizontal nor vertical")
            if a != b:
                self.wires.append((a, b))

    def move(self, right: int, down: int) -> None:
        """Move everything."""

        def moved(at: tuple[float, float]) -> Any:
            return at[0] + right, at[1] + down

        self.wires = [(moved(a), moved(b)) for a, b in self.wires]
        self.frames = [(moved(a), moved(b)) for a, b in self.frames]
        self.unconnected = [moved(at) for at in self.unconnected]
        self.labels = [replace(one, at=moved(one.at)) for one in self.labels]
        self.words = [replace(one, at=moved(one.at)) for one in self.words]
        self.placed = [
            replace(
                one, at=moved(one.at), reference=replace(one.reference, at=moved(one.reference.at)),
                value=replace(one.value, at=moved(one.value.at)),
            )
            for one in self.placed
        ]  # fmt: skip

    def ends(self) -> Counter[Spot]:
        """How many pins are at each spot."""
        pins = Counter(one.pin(terminal) for one in self.placed for terminal in one.body.pins)
        pins.update(pin.at for box in self.boxes for pin in box.pins)
        return pins

    def segments(self) -> list[tuple[Spot, Spot]]:
        """Wires, cut where another wire, a pin or a label ends on them."""
        lines: tuple[dict[int, set[int]], dict[int, set[int]]] = ({}, {})
        for x, y in {*(s for wire in self.wires for s in wire), *self.ends(), *(one.at for one in self.labels)}:
            lines[0].setdefault(y, set()).add(x)
            lines[1].setdefault(x, set()).add(y)
        found: dict[tuple[Spot, Spot], None] = {}
        for a, b in self.wires:
            along = 0 if a[1] == b[1] else 1
            across = a[1 - along]
            low, high = sorted((a[along], b[along]))
            cuts = sorted(place for place in lines[along][across] if low <= place <= high)
            spots = [(cut, across) if along == 0 else (across, cut) for cut in cuts]
            found.update(dict.fromkeys(pairwise(spots)))
        return list(found)

    def junctions(self) -> list[Spot]:
        """Where three or more wires or pins meet."""
        count, segments = self.ends(), self.segments()
        for segment in segments:
            count.update(segment)
        wired = {spot for segment in segments for spot in segment}
        return sorted(spot for spot, number in count.items() if number > 2 and spot in wired)

    def corners(self) -> list[tuple[float, float]]:
        """Places that a paper has to reach, in grid steps."""
        spots: list[tuple[float, float]] = [spot for wire in self.wires for spot in wire]
        spots += [spot for frame in self.frames for spot in frame] + [one.at for one in self.placed]
        spots += [one.at for one in self.words] + [one.at for one in self.labels]
        return spots + [(box.at[0] + box.size[0], box.at[1] + box.size[1]) for box in self.boxes]
