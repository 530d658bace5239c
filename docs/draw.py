"""Draws the circuit page's schematics: `python docs/draw.py [FOLDER]` writes `neuron.svg` and `neuron_chain.svg`.

Text stays text in the SVG, so that it can be searched, and no date or random name goes in: the same drawing is the
same file. Nodes of one name are one node, as in the netlist.
"""

from __future__ import annotations

import sys
from pathlib import Path

import schemdraw
import schemdraw.elements as elm
from schemdraw import flow

FOLDER = Path(__file__).parent / "images"
INPUT = -2.6  # x coordinate, relative to an amplifier's summing node, where its input resistors begin


def neuron() -> schemdraw.Drawing:
    """Three op-amps, two multipliers, two capacitors, seven resistors, the drive current."""
    d = _drawing()

    # U1: R1, R2, R3 into the summing node, Cx
    u1 = _amplifier(d, "U1", (0.0, 0.0))
    _feedback(d, u1, elm.Capacitor, "Cx")
    _resistor(d, u1, 1.5, "R1", "−Vx")
    _resistor(d, u1, 0.0, "R2", None)
    _resistor(d, u1, -2.6, "R3", "Vy")

    # M1, M2: the cube
    cube = (INPUT - 1.5, 0.0)
    m2 = _multiplier(d, "M2", cube)
    d.add(elm.Line().at(cube).to((INPUT, 0.0)))
    d.add(elm.Label().at((cube[0] + 0.75, -0.45)).label("Vx³/Vm²", loc="center", fontsize=11))
    into = m2.absanchors["y"]
    m1 = _multiplier(d, "M1", (into[0] - 1.5, into[1]))
    d.add(elm.Line().at(m1.absanchors["w"]).to(into))
    d.add(elm.Label().at((into[0] - 0.75, into[1] - 0.45)).label("Vx²/Vm", loc="center", fontsize=11))
    for multiplier, pin in ((m2, "x"), (m1, "x"), (m1, "y")):
        d.add(elm.Line().at(multiplier.absanchors[pin]).left(0.4))
        d.add(elm.Dot(open=True).label("Vx", loc="left"))

    # U3: the inverter, behind U1
    x = u1.absanchors["out"]
    d.add(elm.Line().at(x).right(1.0))
    d.add(elm.Dot())
    corner = d.here
    d.add(elm.Line().up(1.0))
    d.add(elm.Dot(open=True).label("Vx", loc="top"))
    start = (corner[0] + 2.8, corner[1])
    d.add(elm.Resistor().at(corner).to(start).label("Ra"))
    u3 = _amplifier(d, "U3", start)
    _feedback(d, u3, elm.Resistor, "Rb")
    d.add(elm.Line().at(u3.absanchors["out"]).right(0.7))
    d.add(elm.Dot(open=True).label("−Vx", loc="right"))

    # U2: R4, R5 and the drive into the summing node, Cy
    u2 = _amplifier(d, "U2", (0.0, -6.0))
    _feedback(d, u2, elm.Capacitor, "Cy")
    _resistor(d, u2, 0.0, "R4", "−Vx")
    _resistor(d, u2, 1.5, "R5", "−Vref")
    node = u2.absanchors["in1"]
    d.add(elm.SourceI().at((node[0] - 0.6, node[1])).down(2.2).label("Iin = I Sx/R4", loc="top"))
    d.add(elm.Ground())
    d.add(elm.Dot().at((node[0] - 0.6, node[1])))
    d.add(elm.Line().at(u2.absanchors["out"]).right(0.7))
    d.add(elm.Dot(open=True).label("Vy", loc="right"))
    return d


def chain() -> schemdraw.Drawing:
    """What stands before and behind a neuron."""
    d = _drawing()
    boxes = [
        ("input array,\namplifiers", "V(z)"),
        ("tanh pair", "Iin"),
        ("neuron:\nU1, U2, U3,\nM1, M2", "−Vx"),
        ("row driver", "0 to Vread"),
        ("output array,\namplifiers", "scores"),
    ]
    width, gap, x = 2.8, 2.2, 0.0
    d.add(flow.Arrow().at((-gap, 0.0)).to((0.0, 0.0)))
    d.add(elm.Label().at((-gap / 2, 0.3)).label("pixels", loc="center", fontsize=11))
    for text, output in boxes:
        d.add(flow.Box(w=width, h=1.8).anchor("W").at((x, 0.0)).label(text, fontsize=11))
        x += width
        d.add(flow.Arrow().at((x, 0.0)).to((x + gap, 0.0)))
        d.add(elm.Label().at((x + gap / 2, 0.3)).label(output, loc="center", fontsize=11))
        x += gap
    return d


def write(folder: Path) -> list[Path]:
    """Write both drawings as SVG; the paths."""
    paths = []
    for name, drawing in (("neuron", neuron()), ("neuron_chain", chain())):
        path = folder / f"{name}.svg"
        path.write_bytes(drawing.get_imagedata("svg"))
        paths.append(path)
    return paths


def _drawing() -> schemdraw.Drawing:
    schemdraw.use("svg")
    d = schemdraw.Drawing(show=False)
    d.config(unit=2.4, fontsize=12, font="sans-serif", bgcolor="white", margin=0.3)
    return d


def _amplifier(d: schemdraw.Drawing, name: str, at: tuple[float, float]) -> elm.Element:
    """Op-amp with its summing node (inverting input) at a point and the other input grounded."""
    amp = d.add(elm.Opamp(leads=True).anchor("in1").at(at))
    centre = amp.absanchors["center"]
    d.add(elm.Label().at((centre[0] + 0.1, centre[1])).label(name, loc="center"))
    d.add(elm.Line().at(amp.absanchors["in2"]).down(0.4))
    d.add(elm.Ground())
    return amp


def _feedback(d: schemdraw.Drawing, amp: elm.Element, part: type[elm.Element2Term], label: str) -> None:
    node, out = amp.absanchors["in1"], amp.absanchors["out"]
    d.add(elm.Line().at(node).up(1.5))
    d.add(part().right().tox(out[0]).label(label))
    d.add(elm.Line().down().toy(out[1]))
    d.add(elm.Dot().at(out))
    d.add(elm.Dot().at(node))


def _resistor(d: schemdraw.Drawing, amp: elm.Element, height: float, label: str, node: str | None) -> None:
    """Resistor from a named node (or from what ends there) into the summing node, above or below its own height."""
    x, y = amp.absanchors["in1"]
    bus = (x - 0.6, y)
    d.add(elm.Line().at((x, y)).to(bus))
    if height:
        d.add(elm.Line().at(bus).to((bus[0], y + height)))
        d.add(elm.Dot().at(bus))
    end = (x + INPUT, y + height)
    d.add(elm.Resistor().at(end).to((bus[0], y + height)).label(label))
    if node is not None:
        d.add(elm.Dot(open=True).at(end).label(node, loc="left"))


def _multiplier(d: schemdraw.Drawing, name: str, at: tuple[float, float]) -> elm.Element:
    """Multiplier whose output stands at a point."""
    pins = [
        elm.IcPin(name="X", side="left", slot="2/2", anchorname="x"),
        elm.IcPin(name="Y", side="left", slot="1/2", anchorname="y"),
        elm.IcPin(name="W", side="right", anchorname="w"),
    ]
    block = d.add(elm.Ic(pins=pins, size=(1.6, 1.8)).anchor("w").at(at))
    centre = block.absanchors["center"]
    d.add(elm.Label().at((centre[0], centre[1] + 1.2)).label(name, loc="center"))
    return block


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(written)
