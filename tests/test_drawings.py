"""The committed schematics are those that docs/draw.py draws, and name every part of the netlist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from analog_fhn.cell.opamp_fhn.neuron import NeuronParts
from analog_fhn.cell.ota_fhn.library import subcircuit
from analog_fhn.cell.parts import CAPACITOR, RESISTOR

DOCS = Path(__file__).parents[1] / "docs"
pytest.importorskip("schemdraw")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", DOCS / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


def test_committed_pictures_say_what_the_script_draws(draw: ModuleType, tmp_path: Path) -> None:
    for path in draw.write(tmp_path):
        # Lines may move with schemdraw's version; what is written may not.
        assert sorted(texts(path)) == sorted(texts(DOCS / "images" / path.name))


def test_every_part_of_the_netlist_is_named() -> None:
    shown = texts(DOCS / "images" / "neuron.svg")
    netlist = (DOCS.parent / "netlists" / "fhn_neuron.lib").read_text(encoding="ascii")
    parts = re.findall(r"^(?:X)?((?:R|C|U|M)\w+) ", netlist, re.MULTILINE)
    assert len(parts) == len(NeuronParts.names(RESISTOR)) + len(NeuronParts.names(CAPACITOR)) + 5
    for name in parts:
        assert shown.count(name) == 1, name


def test_every_transistor_and_capacitor_of_the_netlist_is_named() -> None:
    shown = texts(DOCS / "images" / "transistor_neuron.svg")
    circuit = subcircuit("ota_neuron")
    for name in [one.name for one in circuit.transistors] + [one.title() for one in circuit.capacitors]:
        assert shown.count(name) == 1, name


def test_every_gate_is_at_the_node_of_the_netlist(draw: ModuleType) -> None:
    netlist = (DOCS.parent / "netlists" / "ota_neuron.lib").read_text(encoding="ascii")
    gates = dict(re.findall(r"^X(\w+) \w+ (\w+) \w+ \w+ fet_[np] ", netlist, re.MULTILINE))
    drawn: dict[str, str] = {}
    keep = draw._transistor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            draw, "_transistor", lambda d, name, gate, at: drawn.update({name: gate}) or keep(d, name, gate, at)
        )
        draw.transistor_neuron()
    assert drawn == gates


def test_no_label_leaves_the_picture() -> None:
    for name in ("neuron", "neuron_chain", "transistor_neuron", "silicon_answer"):
        root = ElementTree.parse(DOCS / "images" / f"{name}.svg").getroot()
        left, top, width, height = (float(v) for v in root.attrib["viewBox"].split())
        for element in root.iter(f"{SVG}text"):
            x, y = float(element.attrib["x"]), float(element.attrib["y"])
            assert left < x < left + width
            assert top < y < top + height
