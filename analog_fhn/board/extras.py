"""What a board has that the netlist has not: connectors, test points, trimmers with their jumpers, bulk capacitors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analog_fhn.board.elements import BULK, SheetParts
from analog_fhn.trim.codes import TrimHardware

# Signals on one connector; it has two grounds besides.
PINS = 16
# Values of trimmers (ohm).
TRIMMERS = (100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6)
# Of an offset null (ohm): from rails of 15 V to the 20 mV that the codes reach.
NULL_TRIMMER, NULL_SERIES, NULL_SHUNT = 10e3, 75e3, 100.0


def cell(parts: SheetParts, suffix: str, driver: str, nodes: Sequence[str]) -> None:
    """Test points of a cell, and trimmers of its row driver, whose nodes are its pins.

    A jumper chooses between the fixed resistor and the trimmer, which reaches as far as the codes of
    `analog_fhn.trim.codes` do.
    """
    neuron = f"xneuron{suffix}"
    points = {
        "Vz": f"z{suffix}", "Vx": f"x{suffix}", "Vy": f"y{suffix}", "-Vx": f"nx{suffix}", "W": f"{neuron}.cube",
        "row": f"row{suffix}", "sum2": f"sum2{suffix}",
    }  # fmt: skip
    for name, node in points.items():
        parts.add(name, "test_point", {"1": node})
    hardware = TrimHardware()
    fitted = {element.path: element for element in parts.elements}
    trims = (("gain", "rf", nodes[1], hardware.gain_range), ("offset", "rshift", nodes[2], hardware.offset_range))
    for name, resistor, node, reach in trims:
        fixed = fitted.get(f"{driver}.{resistor}")
        if fixed is None or fixed.value is None:
            continue
        free = f"board.{driver}.{resistor}_trim"
        parts.add(name, "jumper", {"1": node, "2": node, "3": free})
        ends = {"1": f"{driver}.sum", "2": f"{driver}.sum", "3": free}
        parts.add(name, "potentiometer", ends, trimmer(fixed.value * (1.0 + reach)))


def trimmer(largest: float) -> float:
    """The smallest trimmer that reaches a resistance, or the largest there is (ohm)."""
    return next((value for value in TRIMMERS if value >= largest), TRIMMERS[-1])


def null(parts: SheetParts, stage: str) -> None:
    """Offset null of an output's second amplifier: a jumper puts its input from ground to a divided trimmer."""
    wiper, level = f"board.{stage}.wiper", f"board.{stage}.null"
    parts.add("null", "potentiometer", {"1": "vcc", "2": wiper, "3": "vee"}, NULL_TRIMMER)
    parts.add("Rn1", "resistor", {"1": wiper, "2": level}, NULL_SERIES, section="resistor")
    parts.add("Rn2", "resistor", {"1": level, "2": "0"}, NULL_SHUNT, section="resistor")
    parts.add("null", "jumper", {"1": "0", "2": "0", "3": level})


def connectors(parts: SheetParts, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Connectors of signals, with two grounds at their ends."""
    for name, nodes in (("inputs", inputs), ("outputs", outputs)):
        for start in range(0, len(nodes), PINS):
            pins = (*nodes[start : start + PINS], "0", "0")
            parts.add(name, "connector", {str(k): node for k, node in enumerate(pins, 1)})


def supplies(parts: SheetParts, voltages: Mapping[str, float]) -> None:
    """Connectors of rails and references, their capacitors and test points."""
    references = [node for node in voltages if node not in ("0", "vcc", "vee")]
    above, below = ([node for node in references if voltages[node] * sign > 0.0] for sign in (1, -1))
    for name, nodes in (("supply", ("vcc", "0", "vee")), ("reference", (*above, "0", *below))):
        parts.add(name, "connector", {str(k): node for k, node in enumerate(nodes, 1)})
    for node in ("vcc", "vee", *references):
        parts.add(node.upper(), "decoupling", {"1": node, "2": "0"}, BULK)
    for node in voltages:
        parts.add("GND" if node == "0" else node.upper(), "test_point", {"1": node})
