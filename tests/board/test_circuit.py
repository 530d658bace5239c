"""The parts of a board: as many as the bill of materials has, in packages that are shared out; what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from small_boards import KINDS, small_chip

from analog_fhn.board.circuit import LARGEST, board_circuit
from analog_fhn.board.stock import packages
from analog_fhn.chip import Chip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.bom import bill
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

KIND_OF_PART = {
    "resistor": "resistor", "array resistor": "resistor", "capacitor": "capacitor",
    "operational amplifier (opamp)": "opamp", "operational amplifier (sense_amplifier)": "opamp",
    "multiplier": "multiplier", "transconductance amplifier (tanh_pair)": "ota", "diode (rectifier)": "diode",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_the_bill_is_on_the_board(kind: str) -> None:
    chip = small_chip(kind)
    counted: Counter[tuple[str, float | None]] = Counter()
    for item in bill(Design(chip.network, chip.technology), recentre=chip.network.recentre):
        counted[KIND_OF_PART[item.part], item.value] += item.quantity
    circuit = board_circuit(chip)
    drawn = Counter((one.kind, one.value) for one in circuit.elements if one.path)
    assert drawn == counted
    assert len(circuit.by_path) == drawn.total()


@pytest.mark.parametrize("kind", KINDS)
def test_no_amplifier_is_left_over_but_the_last_transconductor(kind: str) -> None:
    circuit = board_circuit(small_chip(kind))
    left = [
        package.component.kind
        for package in packages(circuit).values()
        if package.component.kind in ("opamp", "ota") and len(package.elements) < len(package.component.units)
    ]
    n_pairs = sum(element.kind == "ota" for element in circuit.elements)
    assert left == ["ota"] * (n_pairs % 2)


def test_designators_are_unique() -> None:
    circuit = board_circuit(small_chip("two hidden layers"))
    named = [(one.reference, one.unit) for one in circuit.elements]
    assert len(set(named)) == len(named)


def test_parts_have_the_values_of_the_chip() -> None:
    chip = small_chip("sigmoid")
    parts = board_circuit(chip, 2).by_path
    neurons = chip.hardware[0].cells.parts[0]
    assert parts["xneuron_001.r2"].actual == {"value": float(dict(neurons.items())["r2"][1])}
    assert parts["xneuron_001.xu3"].actual["vos"] == float(dict(neurons.items())["vos3"][1])
    assert "xneuron_002.r2" not in parts


@pytest.mark.parametrize(
    ("chip", "cells", "message"),
    [
        (lambda: Chip.ideal(small_chip("sigmoid").network), None, "a board needs a chip with a technology"),
        (lambda: Design(small_chip("sigmoid").network, "silicon").chip(1), 1, "has no parts to be bought"),
        (lambda: small_chip("sigmoid"), 4, "cells = 4: expected 1 to 3"),
        (lambda: small_chip("sigmoid"), 0, "cells = 0: expected 1 to 3"),
        (lambda: wired(Wires(word=1.0)), None, "lines with resistance"),
        (lambda: of_size(200, 51), None, f"a board is drawn with up to {LARGEST}"),
    ],
)  # fmt: skip
def test_what_no_board_is_drawn_of(chip, cells: int | None, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        board_circuit(chip(), cells)


def test_cells_of_any_network_stand_alone() -> None:
    assert board_circuit(wired(Wires(word=1.0)), 2).inputs == ("z_000", "z_001")


def wired(wires: Wires):  # type: ignore[no-untyped-def]
    technology = Technology.load("discrete")
    array = technology.array.model_copy(update={"wires": wires})
    return Design(small_chip("sigmoid").network, technology.model_copy(update={"array": array})).chip(1)


def of_size(n_in: int, n_hidden: int):  # type: ignore[no-untyped-def]
    weights = np.ones((n_in, n_hidden)), np.ones((n_hidden, 2))
    return Design(Network.of_weights(weights), "discrete").chip(None)
