"""`run_ltspice.cir` and `run_xyce.cir` keep to what the manuals of these simulators say; neither program is run."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from portable_lines import check_portable

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.netlist.decks import chip_libraries
from analog_fhn.netlist.whole_chip import whole_chip
from analog_fhn.network import Dense, Network
from analog_fhn.readout import Activation
from analog_fhn.technology.technology import Technology

# A number without suffix: "M" is milli in all three, but "MEG", "MIL", "F" and "A" are not the same everywhere.
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
# .TRAN <print step> <stop> [<start> [<largest step>]] [UIC], the same in both manuals.
TRANSIENT = re.compile(rf"\.tran {NUMBER} (?P<stop>{NUMBER}) {NUMBER} {NUMBER} uic")
WINDOW = rf"FROM=(?P<start>{NUMBER}) TO=(?P<stop>{NUMBER})"


@dataclass(frozen=True)
class Manual:
    """What the reference of a simulator allows in a wrapper.

    Parameters
    ----------
    options
        Keywords by the package that the line begins with; "": none.
    measure
        An average of an expression. LTspice takes it as it is, without blanks; Xyce wants it in braces.
    """

    options: dict[str, set[str]]
    measure: re.Pattern[str]


# LTspice: "Dot commands", .OPTIONS and .MEASURE; with numdgt above 6 it computes in double precision, and plotwinsize=0
# keeps every point, of which .MEASURE makes the mean. Xyce: Reference Guide, section "Netlist Commands".
MANUALS = {
    "run_ltspice.cir": Manual(
        {"": {"reltol", "temp", "tnom", "numdgt", "measdgt", "plotwinsize"}},
        re.compile(rf"\.measure tran (?P<name>\w+) AVG V\((?P<node>\w+)\)/{NUMBER} {WINDOW}"),
    ),
    "run_xyce.cir": Manual(
        {"timeint": {"reltol"}, "device": {"temp", "tnom"}},
        re.compile(rf"\.measure tran (?P<name>\w+) AVG \{{V\((?P<node>\w+)\)/{NUMBER}\}} {WINDOW}"),
    ),
}


def made(*sizes: int, unit: Activation = "sigmoid", **values: Any) -> ManufacturedChip:
    """A chip with these values of its technology."""
    rng = np.random.default_rng(0)
    *hidden, last = (rng.normal(size=shape) for shape in itertools.pairwise(sizes))
    ceiling = 3.0 if unit == "relu" else None
    layers = (*(Dense(weights, None, unit, "tanh", ceiling) for weights in hidden), Dense(last))
    network = Network(layers).with_options(settle=2, control=20)
    return Design(network, Technology.load("discrete").with_values(values)).chip(1)


WIRES = {"word": 2.0, "bit": 2.0, "driver": 2.0, "sense": 0.0}
CHIPS = {
    "two layers with wires": lambda: made(4, 3, 3, 2, **{"array.wires": WIRES}),
    "relu, hot": lambda: made(4, 3, 2, unit="relu", **{"conditions.temperature": 343.15}),
    "curved devices": lambda: made(4, 3, 2, **{"array.nonlinearity": 0.4, "array.levels": None}),
}


@pytest.mark.parametrize("kind", CHIPS)
def test_wrappers_keep_to_the_manuals(kind: str) -> None:
    chip = CHIPS[kind]()
    texts = whole_chip(chip, np.linspace(-1.0, 1.0, 4), recentre=True)
    files = {name: content.decode() for name, content in chip_libraries(chip).items()} | texts
    for name, manual in MANUALS.items():
        title, *lines = texts[name].splitlines()
        assert title.startswith("*")  # LTspice and Xyce take the first line for a title
        assert lines.pop() == ".end"
        check_wrapper(lines, manual, files, chip.network.output.n_out)
    circuit = "\n".join(files[name] for name in included(texts["run_xyce.cir"]))
    check_circuit(check_portable(circuit, functions=("sinh",)))
    assert ("sinh(" in circuit) == (kind == "curved devices")
    assert ("rectifier " in circuit) == (kind == "relu, hot")
    assert "temp=70.0 " in texts["run_xyce.cir"] or kind != "relu, hot"


def included(text: str) -> list[str]:
    return re.findall(r"^\.include (\S+)$", text, re.MULTILINE)


def check_wrapper(lines: list[str], manual: Manual, files: dict[str, str], n_scores: int) -> None:
    """Each line is in one of the manual's forms, once; scores are averaged within the transient."""
    names = included("\n".join(lines))
    assert len(set(names)) == len(names) > 0
    assert set(names) <= set(files)
    others = [line for line in lines if not line.startswith(".include ")]
    (transient,) = (found for line in others if (found := TRANSIENT.fullmatch(line)))
    measured = [found for line in others if (found := manual.measure.fullmatch(line))]
    options = [line.removeprefix(".options ").split() for line in others if line.startswith(".options ")]
    assert len(others) == 1 + len(measured) + len(options)
    for words in options:
        package = "" if "=" in words[0] else words.pop(0)
        for word in words:
            key, value = word.split("=")
            assert key in manual.options[package]
            assert re.fullmatch(NUMBER, value)
    assert [found["name"] for found in measured] == [f"score{k}" for k in range(n_scores)]
    for found in measured:
        assert re.search(rf"\b{found['node']}\b", files["chip.cir"])
        assert 0.0 <= float(found["start"]) < float(found["stop"]) <= float(transient["stop"])


def check_circuit(code: list[str]) -> None:
    """Subcircuits are defined once, and what an instance sets is a parameter of its subcircuit: Xyce refuses others."""
    joined = re.sub(r"\n\+", " ", "\n".join(code)).splitlines()
    headings = [line.split() for line in joined if line.startswith(".subckt")]
    parameters = {words[1]: {word.split("=")[0] for word in words if "=" in word} for words in headings}
    assert len(parameters) == len(headings)
    for line in joined:
        if line[0] in "xX":
            before, _, after = line.partition(" PARAMS: ")
            subcircuit = before.split()[-1]
            assert {word.split("=")[0] for word in after.split()} <= parameters[subcircuit], line
            pins = next(words for words in headings if words[1] == subcircuit)
            n_pins = sum("=" not in word and word != "PARAMS:" for word in pins) - 2
            assert len(before.split()) == n_pins + 2, line
