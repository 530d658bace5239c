"""Draws the schematics of the pages on circuits: `python docs/draw.py [FOLDER]` writes them as SVG.

Text stays text in the SVG, so that it can be searched, and no date or random name goes in: the same drawing is the
same file. Nodes of one name are one node, as in the netlist.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import schemdraw
import schemdraw.elements as elm
from schemdraw import flow

FOLDER = Path(__file__).parent / "images"
FET = 5 / 3  # from drain to source of a transistor as schemdraw draws it
RAIL = 9.5  # height of the positive supply above that of node 0
COLUMN = 3.0  # distance of two columns of transistors
INPUT = -2.6  # x coordinate, relative to an amplifier's summing node, where its input resistors begin


def neuron(canvas: Any = None) -> schemdraw.Drawing:
    """Three op-amps, two multipliers, two capacitors, seven resistors, the drive current.

    Parameters
    ----------
    canvas
        Axes of Matplotlib to draw into; None: SVG.
    """
    d = _drawing(canvas)

    # U1: R1, R2, R3 into the summing node, Cx
    u1 = _amplifier(d, "U1", (0.0, 0.0))
    _feedback(d, u1, elm.Capacitor, "Cx")
    _resistor(d, u1, 1.5, "R1", "−Vx")
    _resistor(d, u1, 0.0, "R2", None)
    _resistor(d, u1, -2.6, "R3", "Vy")

    # M1, M2: the cube
    small = canvas is not None
    cube = (INPUT - 1.5, 0.0)
    m2 = _multiplier(d, "M2", cube, pins=not small)
    d.add(elm.Line().at(cube).to((INPUT, 0.0)))
    into = m2.absanchors["y"]
    m1 = _multiplier(d, "M1", (into[0] - 1.5, into[1]), pins=not small)
    d.add(elm.Line().at(m1.absanchors["w"]).to(into))
    if not small:
        d.add(elm.Label().at((cube[0] + 0.75, -0.45)).label("Vx³/Vm²", loc="center", fontsize=11))
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


def transistor_neuron() -> schemdraw.Drawing:
    """The neuron of netlists/ota_neuron.lib: g with its mirrors and legs above, f, h and the capacitors below."""
    d = _drawing()
    _heading(d, 0, 0.0, "g: pair")
    _pair(d, (0, 1), 0.0, ("pa", "a"), ("pb", "b"), ("ngx", "x"), ("ngr", "vref"), "ngt")
    _stack(d, 2, 0.0, [("pca", "a")], [("nca", "na")], "na", "turn round")
    _stack(d, 3, 0.0, [("pcb", "b")], [("ncb", "nb")], "nb", "")
    _stack(d, 4, 0.0, [("pxb", "b")], [("nxa", "na")], "x", "−g into x")
    _stack(d, 5, 0.0, [("pya", "a"), ("pyc", "a")], [("nyc", "nb"), ("nyb", "nb")], "y", "+g into y")
    _stack(d, 6, 0.0, [("poa", "a"), ("poc", "a")], [("noc", "nb"), ("nob", "nb")], "out", "its copy")
    low = -RAIL - 4.0
    _heading(d, 0, low, "f: positive feedback")
    _pair(d, (0, 1), low, ("pfd", "c"), ("pfo", "c"), ("nfx", "x"), ("nfr", "vref"), "nft", ("c", "x"))
    _heading(d, 2.5, low, "h")
    _pair(d, (2.5, 3.5), low, ("phd", "d"), ("pho", "d"), ("nhr", "vref"), ("nhy", "y"), "nht", ("d", "x"))
    for column, name, node in ((4.8, "Cx", "x"), (5.6, "Cy", "y")):
        top = (column * COLUMN, low + 6.0)
        d.add(elm.Dot(open=True).at(top).label(node, loc="top"))
        d.add(elm.Capacitor().at(top).down(2.4).label(name, loc="bottom"))
        d.add(elm.Ground())
    source = (6.4 * COLUMN, low + 6.0)
    d.add(elm.Dot(open=True).at(source).label("y", loc="top"))
    d.add(elm.SourceI().at((source[0], source[1] - 2.4)).to(source).label("drive", loc="bottom"))
    d.add(elm.Ground().at((source[0], source[1] - 2.4)))
    return d


def answer() -> schemdraw.Drawing:
    """What the parts of a chip of transistors do in one answer, and when, in two rows."""
    d = _drawing()
    rows = [
        [
            ("input array,\ncolumn_readout", "V(z), held", "read"),
            ("ota_tanh or\nota_ramp", "a + I", "window"),
            ("ota_neuron", "out", "window"),
        ],
        [
            ("integrate_hold", "V(hold)", "window"),
            ("ota_row_driver", "pulse", "read"),
            ("output array,\ncolumn_readout", "scores", "read"),
        ],
    ]
    width, gap = 3.1, 2.2
    for row, (boxes, first) in enumerate(zip(rows, ("pixels", "out"), strict=True)):
        x, y = 0.0, -4.2 * row
        d.add(flow.Arrow().at((-gap, y)).to((0.0, y)))
        d.add(elm.Label().at((-gap / 2, y + 0.3)).label(first, loc="center", fontsize=11))
        for text, output, when in boxes:
            d.add(flow.Box(w=width, h=1.8).anchor("W").at((x, y)).label(text, fontsize=11))
            d.add(elm.Label().at((x + width / 2, y - 1.6)).label(when, loc="center", fontsize=11))
            x += width
            d.add(flow.Arrow().at((x, y)).to((x + gap, y)))
            d.add(elm.Label().at((x + gap / 2, y + 0.3)).label(output, loc="center", fontsize=11))
            x += gap
    return d


def write(folder: Path) -> list[Path]:
    """Write all drawings as SVG; the paths."""
    drawings = {
        "neuron": neuron(),
        "neuron_chain": chain(),
        "transistor_neuron": transistor_neuron(),
        "silicon_answer": answer(),
    }
    paths = []
    for name, drawing in drawings.items():
        path = folder / f"{name}.svg"
        path.write_bytes(drawing.get_imagedata("svg"))
        paths.append(path)
    return paths


def _drawing(canvas: Any = None) -> schemdraw.Drawing:
    schemdraw.use("svg" if canvas is None else "matplotlib")
    d = schemdraw.Drawing(show=False, canvas=canvas)
    d.config(unit=2.4, fontsize=12 if canvas is None else 8, font="sans-serif", bgcolor="white", margin=0.3)
    if canvas is not None:
        d.config(lw=1.0)
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


def _multiplier(d: schemdraw.Drawing, name: str, at: tuple[float, float], *, pins: bool = True) -> elm.Element:
    """Multiplier whose output stands at a point, with the names of its pins or without."""
    x, y, w = "XYW" if pins else ("", "", "")
    named = [
        elm.IcPin(name=x, side="left", slot="2/2", anchorname="x"),
        elm.IcPin(name=y, side="left", slot="1/2", anchorname="y"),
        elm.IcPin(name=w, side="right", anchorname="w"),
    ]
    block = d.add(elm.Ic(pins=named, size=(1.6, 1.8)).anchor("w").at(at))
    centre = block.absanchors["center"]
    d.add(elm.Label().at((centre[0], centre[1] + 1.2)).label(name, loc="center"))
    return block


def _heading(d: schemdraw.Drawing, column: float, base: float, text: str) -> None:
    d.add(elm.Label().theta(0).at((column * COLUMN + 0.5 * COLUMN, base + RAIL + 1.3)).label(text, loc="center"))


def _transistor(d: schemdraw.Drawing, name: str, gate: str, drain: tuple[float, float]) -> elm.Element:
    """Transistor with its drain at a point and its gate to the left, at a named node; a PMOS has a name with p."""
    kind = elm.AnalogPFet if name.startswith("p") else elm.AnalogNFet
    fet = d.add(kind().theta(0).reverse().anchor("drain").at(drain))
    x, y = fet.absanchors["center"]
    d.add(elm.Label().theta(0).at((x + 0.65, y)).label(name, loc="center", fontsize=11))
    d.add(elm.Dot(open=True).at(fet.absanchors["gate"]).label(gate, loc="left", fontsize=10))
    return fet


def _supply(d: schemdraw.Drawing, at: tuple[float, float]) -> None:
    d.add(elm.Vdd().at(at).label("vdd", fontsize=10))


def _stack(
    d: schemdraw.Drawing,
    column: float,
    base: float,
    above: list[tuple[str, str]],
    below: list[tuple[str, str]],
    node: str,
    text: str,
) -> None:
    """PMOS from the supply down, NMOS to node 0, each (name, gate), and the node between them."""
    x, middle = column * COLUMN, base + RAIL / 2
    _heading(d, column - 0.5, base, text)
    top = base + RAIL
    _supply(d, (x, top))
    for name, gate in above:
        top -= FET
        _transistor(d, name, gate, (x, top))
    bottom = base + FET * len(below)
    d.add(elm.Line().at((x, top)).to((x, bottom)))
    d.add(elm.Dot(open=True).at((x, middle)).label(node, loc="right"))
    for name, gate in below:
        _transistor(d, name, gate, (x, bottom))
        bottom -= FET
    d.add(elm.Ground().at((x, base)))


def _pair(
    d: schemdraw.Drawing,
    columns: tuple[float, float],
    base: float,
    load: tuple[str, str],
    other_load: tuple[str, str],
    left: tuple[str, str],
    right: tuple[str, str],
    tail: str,
    nodes: tuple[str, str] | None = None,
) -> None:
    """Differential pair with a load on each side; transistors as (name, gate), nodes between load and pair.

    Without `nodes` both loads are diodes.
    """
    places = [column * COLUMN for column in columns]
    drains = nodes or (load[1], other_load[1])
    common = base + 2.6
    for x, (p, p_gate), (n, n_gate), node in zip(places, (load, other_load), (left, right), drains, strict=True):
        _supply(d, (x, base + RAIL))
        _transistor(d, p, p_gate, (x, base + RAIL - FET))
        d.add(elm.Line().at((x, base + RAIL - FET)).to((x, common + FET)))
        d.add(elm.Dot(open=True).at((x, base + RAIL / 2)).label(node, loc="right"))
        _transistor(d, n, n_gate, (x, common + FET))
    centre = sum(places) / 2
    d.add(elm.Line().at((places[0], common)).to((places[1], common)))
    d.add(elm.Line().at((centre, common)).to((centre, base + FET)))
    _transistor(d, tail, "bn", (centre, base + FET))
    d.add(elm.Ground().at((centre, base)))


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(written)
