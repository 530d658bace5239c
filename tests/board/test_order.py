"""The order of a board: every element is bought once, packages are shared, and arrays come as what was chosen."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.board.bought import bought_chip, bought_conductances
from analog_fhn.board.catalogue import named
from analog_fhn.board.circuit import BoardCircuit, board_circuit
from analog_fhn.board.order import OrderLine, order, ranges, remarks, write_order
from analog_fhn.board.rheostats import array_codes, rheostat
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

N_IN, N_HIDDEN, N_OUT = 9, 3, 3


def design(**array: object) -> Design:
    rng = np.random.default_rng(1)
    network = Network.of_weights((rng.normal(size=(N_IN, N_HIDDEN)), rng.normal(size=(N_HIDDEN, N_OUT))))
    technology = Technology.load("discrete")
    changed = technology.array.model_copy(update=array)
    return Design(network, technology.model_copy(update={"array": changed}))


def circuit(cells: int | None = None, **array: object) -> BoardCircuit:
    return board_circuit(design(**array).chip(1), cells)


def line(lines: list[OrderLine], number: str) -> OrderLine:
    (found,) = (one for one in lines if one.part.part_number == number)
    return found


def spelled(text: str) -> list[str]:
    """Designators that ranges stand for."""
    found = []
    for one in filter(None, text.split(", ")):
        prefix, first, last = re.fullmatch(r"(\D+)(\d+)(?:-\1(\d+))?", one).groups()  # type: ignore[union-attr]
        found += [f"{prefix}{k}" for k in range(int(first), int(last or first) + 1)]
    return found


def test_every_designator_is_bought_once() -> None:
    board = circuit()
    lines = [one for one in order(board) if one.part.kind != "shunt"]
    bought = [reference for one in lines for reference in spelled(one.references)]
    assert len(bought) == len(set(bought))
    assert set(bought) == {element.reference for element in board.elements}
    assert sum(one.used for one in lines) == len(board.elements)


def test_amplifiers_share_packages_and_spares_follow_the_rule() -> None:
    lines = order(circuit(3))
    # A cell has three amplifiers in the neuron and one in the row driver: two packages, all used.
    assert (line(lines, "TL082CP").needed, line(lines, "TL082CP").left, line(lines, "TL082CP").spares) == (6, 0, 1)
    # Three halves of transconductance amplifiers are in two packages: one half is left.
    assert (line(lines, "LM13700N/NOPB").needed, line(lines, "LM13700N/NOPB").left) == (2, 1)
    assert (line(lines, "AD633ANZ").quantity, line(lines, "AD633ANZ").total) == (7, 140.0)
    # R1, R3, Ra, Rb of three neurons; a tenth and at least two.
    assert (line(lines, "MFR-25FTE52-10K").needed, line(lines, "MFR-25FTE52-10K").spares) == (12, 2)
    assert line(lines, "TFPT1206L1001FV").needed == 6
    assert line(lines, "SNT-100-BK-G").needed == line(lines, "TSW-103-07-G-S").needed == 6
    ten = order(circuit(3), boards=10)
    assert (line(ten, "MFR-25FTE52-10K").needed, line(ten, "MFR-25FTE52-10K").spares) == (120, 12)
    assert line(ten, "LM13700N/NOPB").left == 10
    assert line(ten, "AD633ANZ").total == 61 * 20.0
    assert lines.total == pytest.approx(sum(one.part.price(one.quantity) * one.quantity for one in lines))


def test_the_file_has_what_a_buyer_needs(tmp_path: Path) -> None:
    bought = order(circuit(2))
    bought.write(tmp_path / "bom.csv")
    with (tmp_path / "bom.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(bought)
    (pair,) = (row for row in rows if row["part_number"] == "LM13700N/NOPB")
    assert (pair["manufacturer"], pair["package"], pair["quantity"]) == ("Texas Instruments", "DIP-16", "2")
    assert all(named(row["part_number"]) for row in rows)
    assert "in all, " in str(bought)
    assert any("ppm/K" in sentence for sentence in remarks(circuit(2), bought))


def test_devices_of_an_array_are_resistors_of_the_series() -> None:
    one = design()
    given = np.concatenate([g.ravel() for g in bought_conductances(one)])
    wanted = np.concatenate([array.crossbar.conductance.ravel() for array in one.arrays])
    # Neighbours in E96 are 2.4 % apart, so that the nearest is at most 1.3 % away.
    assert 0.005 < np.max(np.abs(given / wanted - 1.0)) < 0.013
    mantissas = 1.0 / given / 10.0 ** np.floor(np.log10(1.0 / given) + 1e-9) * 100.0
    assert np.allclose(mantissas, np.round(mantissas), atol=1e-6)
    chip = bought_chip(one)
    assert np.array_equal(np.concatenate([array.crossbar.conductance.ravel() for array in chip.arrays]), given)
    lines = [line for line in order(circuit()) if line.part.kind == "resistor"]
    sold = {line.part.value for line in lines}
    assert {float(f"{r:.3g}") for r in (1.0 / given).tolist()} <= {float(f"{r:.3g}") for r in sold if r}


def test_networks_hold_eight_equal_resistors() -> None:
    board = circuit()
    lines = order(board, array="networks")
    networks = [one for one in lines if one.part.kind == "resistor_network"]
    assert networks
    assert all(one.used == 8 * one.needed and one.left == 0 and one.worst < 1e-9 for one in networks)
    plain = order(board)
    for one in networks:
        single = next(line for line in plain if line.part.kind == "resistor" and line.part.value == one.part.value)
        rest = next((line.needed for line in lines if line.part.part_number == single.part.part_number), 0)
        assert single.needed == one.used + rest
        assert single.needed - one.used >= 0
    devices = order(circuit(programming_error=0.005), array="networks")
    assert not any(one.part.kind == "resistor_network" for one in devices), "2 % would not do"


def test_prices_of_the_page_are_those_of_orders() -> None:
    groups = {
        "multiplier": 0, "opamp": 1, "ota": 1, "resistor": 2, "tempco_resistor": 2, "potentiometer": 3,
    }  # fmt: skip
    network = Network.of_weights((np.eye(N_IN, 4), np.eye(4, N_OUT)))
    four = board_circuit(Design(network, Technology.load("discrete")).chip(1), 4)
    page = (Path(__file__).parents[2] / "docs" / "board_parts.md").read_text(encoding="utf-8")
    for name, boards in (("four cells alone", 1), ("four cells alone, ten boards", 10)):
        lines, sums = order(four, boards=boards), np.zeros(5)
        for one in lines:
            sums[groups.get(one.part.kind, 4)] += one.total
        cells = [sum(one.quantity for one in lines), f"{lines.total:.0f} USD", *(f"{value:.0f}" for value in sums)]
        assert "| " + " | ".join(map(str, [name, *cells])) + " |" in page


def test_codes_of_potentiometers(tmp_path: Path) -> None:
    one = design(g_min=10e-6)
    arrays = array_codes([array.crossbar.conductance for array in one.arrays])
    part = arrays[0].potentiometer
    assert part.part.part_number == "AD5292BRUZ-100"
    every = np.arange(11, 1024)
    conductances = 1.0 / (100e3 * every / 1024 + 60.0)
    for array, target in zip(arrays, one.arrays, strict=True):
        wanted = target.crossbar.conductance
        best = every[np.argmin(np.abs(conductances - wanted[..., None]), axis=-1)]
        assert np.array_equal(array.codes, best)
        assert np.allclose(array.given, 1.0 / (100e3 * best / 1024 + 60.0), rtol=1e-12)
        assert np.max(np.abs(array.errors)) < 0.005
    board = circuit(g_min=10e-6)
    lines = write_order(board, tmp_path, array="digital")
    with (tmp_path / "codes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(array.codes.size for array in arrays)
    assert {int(row["data_word"], 16) - int(row["code"]) for row in rows} == {0x0400}
    nodes = {element.reference: element.terminals for element in board.elements if element.section == "array"}
    assert nodes.keys() == {row["reference"] for row in rows}
    last = rows[-1]
    assert (last["array"], last["row"], last["bit_line"]) == ("1", str(len(arrays[1].codes) - 1), str(2 * N_OUT - 1))
    assert nodes[last["reference"]] == board.by_path[f"r1_{len(arrays[1].codes) - 1:03d}_{2 * N_OUT - 1:03d}"].terminals
    coarse = rheostat(20e-6, 100e-6, "AD5291")
    assert (coarse.part.part_number, coarse.word(3)) == ("AD5291BRUZ-50", 0x0400 | 3 << 2)
    assert (tmp_path / "bom.csv").read_text(encoding="utf-8").count("\n") == len(lines) + 1
    assert line(lines, "AD5292BRUZ-100").needed == len(rows) == line(lines, "C320C105K5R5TA").needed
    given = bought_conductances(one, array="digital")
    assert all(np.array_equal(g, array.given) for g, array in zip(given, arrays, strict=True))


def test_what_cannot_be_ordered_is_said() -> None:
    with pytest.raises(
        InputError, match=r"conductances from 1e-06 to 0.0001 S are out of reach of AD5292 .*array.g_min"
    ):
        order(circuit(), array="digital")
    with pytest.raises(InputError, match=r"digital potentiometer 'X9C': expected one of AD5291, AD5292"):
        rheostat(1e-5, 1e-4, "X9C")
    with pytest.raises(InputError, match="boards = 0: expected 1 or more"):
        order(circuit(1), boards=0)


def test_ranges() -> None:
    assert ranges(["R2", "R1", "R10", "C1", "R3", "R11"]) == "C1, R1-R3, R10-R11"
