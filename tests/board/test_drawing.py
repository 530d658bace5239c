"""Sheets that can be read: no text upon another, no wire through a symbol, every pin connected or left open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from small_boards import KINDS, small_chip

from analog_fhn.board.circuit import board_circuit
from analog_fhn.board.drawing import Drawing, Placed, Words
from analog_fhn.board.project import drawings
from analog_fhn.board.stock import packages
from analog_fhn.board.symbols import Circle

Box = tuple[float, float, float, float]  # left, top, right, bottom
LETTER = 0.95  # width of a letter in heights, in KiCad's font


@pytest.fixture(scope="module", params=KINDS)
def sheets(request: pytest.FixtureRequest) -> dict[str, Drawing]:
    circuit = board_circuit(small_chip(request.param))
    return drawings(circuit, packages(circuit))


def texts(drawing: Drawing) -> Iterator[tuple[str, Box]]:
    """Every text that is seen, headings not counted, and its box."""
    for one in drawing.placed:
        for words in (one.reference, one.value):
            if words.size and words.text:
                # What stands on its head is justified the other way round.
                yield words.text, box_of(words, "left" if one.angle == 180 else words.justify)
    for words in drawing.words:
        if words.size < 1.5:
            left, top, right, low = box_of(words, words.justify)
            half = (low - top) / 2  # its lower edge is at its place
            yield words.text, (left, top - half, right, low - half)


def box_of(words: Words, justify: str) -> Box:
    height = words.size / 1.27
    width, (x, y) = LETTER * height * len(words.text), words.at
    left = {"left": x, "centre": x - width / 2, "right": x - width}[justify]
    return left, y - height / 2, left + width, y + height / 2


def bodies(one: Placed) -> Iterator[Box]:
    """What the lines of a symbol enclose, its pins not counted; of a triangle's an amplifier has eight slices."""
    for item in one.body.graphics:
        if isinstance(item, Circle):
            (x, y), r = item.centre, item.radius
            points = [(x - r, y - r), (x + r, y + r)]
        elif len(item.points) == 4 and item.filled == "background":
            for k in range(8):
                half = 4.0 - 0.5 * (k + 1)
                left, right = one.at[0] - 4.0 + k, one.at[0] - 3.0 + k
                yield left, one.at[1] - half, right, one.at[1] + half
            continue
        else:
            points = list(item.points)
        for _ in range(one.angle // 90):
            points = [(y, -x) for x, y in points]
        xs, ys = ([one.at[k] + point[k] for point in points] for k in range(2))
        yield min(xs), min(ys), max(xs), max(ys)


def meet(one: Box, other: Box, by: float = 0.05) -> bool:
    return (
        min(one[2], other[2]) - max(one[0], other[0]) > by and min(one[3], other[3]) - max(one[1], other[1]) > by
    )  # fmt: skip


def test_no_text_lies_upon_another(sheets: dict[str, Drawing]) -> None:
    for key, drawing in sheets.items():
        seen = sorted(texts(drawing), key=lambda one: one[1])
        for k, (text, box) in enumerate(seen):
            beside = itertools.takewhile(lambda one, box=box: one[1][0] < box[2], seen[k + 1 :])
            assert not [(text, other) for other, its in beside if meet(box, its)], key


def test_no_text_lies_upon_a_symbol(sheets: dict[str, Drawing]) -> None:
    for key, drawing in sheets.items():
        upon = [
            (text, one.reference.text)
            for text, box in texts(drawing)
            for one in drawing.placed
            for lines in bodies(one)
            # The supply unit's fields stand within it.
            if not (one.symbol == "LM13700N_NOPB" and one.unit == 3) and meet(box, lines)
        ]
        assert not upon, key


def test_no_wire_runs_through_a_symbol(sheets: dict[str, Drawing]) -> None:
    for key, drawing in sheets.items():
        through = [
            (wire, one.reference.text)
            for wire in drawing.wires
            for one in drawing.placed
            for lines in bodies(one)
            if meet(
                (min(wire[0][0], wire[1][0]) - 0.1, min(wire[0][1], wire[1][1]) - 0.1,
                 max(wire[0][0], wire[1][0]) + 0.1, max(wire[0][1], wire[1][1]) + 0.1),
                lines, 0.15,
            )
        ]  # fmt: skip
        assert not through, key


def test_every_pin_is_wired_or_left_open(sheets: dict[str, Drawing]) -> None:
    for key, drawing in sheets.items():
        wired = {spot for segment in drawing.segments() for spot in segment} | set(drawing.unconnected)
        ends = drawing.ends()
        loose = [spot for spot, number in ends.items() if number < 2 and spot not in wired]
        assert not loose, key
