"""A cell's sheet: drive stage, multipliers, integrators, inverter and row driver, each where its signal comes by.

Above, from left to right: V(x) is cubed by the multipliers, integrated by U1, inverted by U3. Below: the drive stage
feeds the integrator U2, at its right is the row driver, and under them what supplies the packages. Nets that join
blocks far apart have labels: x, nx = -V(x), y, z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analog_fhn.board.artist import Artist
from analog_fhn.board.drawing import Drawing, Spot
from analog_fhn.board.elements import Element, Sheet
from analog_fhn.board.stock import Package
from analog_fhn.netlist.decks import cell_suffix


def draw_cell(sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> Drawing:
    """Draw the sheet of one cell.

    Parameters
    ----------
    elements
        On this sheet.
    stock, block
        See `Artist`.
    """
    return _Cell(sheet, elements, stock, block).draw()


class _Cell(Artist):
    """Draws one cell."""

    def __init__(self, sheet: Sheet, elements: Sequence[Element], stock: Mapping[str, Package], block: int) -> None:
        super().__init__(sheet, stock, block)
        self.suffix = cell_suffix(sheet.layer, sheet.items.start)
        self.parts = {element.path.rpartition(".")[2]: element for element in elements if "." in element.path}
        self.parts |= {element.kind: element for element in elements if element.kind == "ota"}
        self.extras = {(element.kind, element.name): element for element in elements if not element.path}
        self.decoupling: dict[str, list[Element]] = {}
        for element in elements:
            if element.kind == "decoupling":
                self.decoupling.setdefault(element.name, []).append(element)

    def draw(self) -> Drawing:
        """All blocks."""
        self.multipliers()
        self.integrator_x()
        self.inverter()
        if "ota" in self.parts:
            self.tanh_pair()
        else:
            self.rectifier()
        self.integrator_y()
        self.row_driver()
        self.supplies()
        self.notes()
        self.drawing.move(0, -22)
        return self.drawing

    def local(self, node: str) -> str:
        """Label of a node on this sheet."""
        return node.removesuffix(self.suffix)

    def source(self, node: str, at: Spot) -> None:
        """What stands at the left end of a wire: a supply's symbol, or a label."""
        if node in ("0", "vref", "vplus"):
            self.supply(node, at)
        else:
            self.label(self.local(node), at, "left")

    def into(self, name: str, node: Spot, y: int, reach: int = 10) -> None:
        """A resistor from its own node, `reach` to the left of it, into a summing node's vertical wire."""
        element = self.parts[name]
        placed = self.passive(element, (node[0] - 6, y), "left")
        self.wire(placed.pin("2"), (node[0], y), node)
        start = (node[0] - reach - 2, y)
        self.wire(start, placed.pin("1"))
        self.source(element.terminals["1"], start)

    def point(self, name: str, at: Spot) -> None:
        """A test point."""
        self.test_point(self.extras["test_point", name], at)

    def multipliers(self) -> None:
        """M1 squares V(x), M2 multiplies the square with V(x)."""
        self.frame((12, 34), (146, 84), "M1, M2: cube of V(x)")
        first, second = (self.parts[name] for name in ("xm1", "xm2"))
        for element, x in ((first, 58), (second, 112)):
            placed = self.put(element, (x, 60), 0, (2.0, -10.2), (2.0, 10.2), "left")
            for pin in ("X2", "Y2"):
                end = placed.pin(pin)
                self.ground(end, (end[0] - 2, end[1]))
            end = placed.pin("Z")
            self.ground(end, (end[0] + 2, end[1]))
            for node, pin in (("vcc", "V+"), ("vee", "V-")):
                self.supply(node, placed.pin(pin))
        self.label("x", (36, 54), "left")
        self.wire((36, 54), (48, 54))
        self.wire((40, 54), (40, 62), (48, 62))
        self.wire((68, 62), (102, 62))
        self.label("square", (80, 62))
        self.label("x", (94, 54), "left")
        self.wire((94, 54), (102, 54))
        self.wire((122, 62), (132, 62))
        self.point("W", (132, 62))

    def integrator_x(self) -> None:
        """U1 with Cx: sums -V(x), the cube and V(y)."""
        self.frame((150, 34), (226, 84), "U1: integrates x")
        node, out = self.inverting(self.parts["xu1"], (198, 64))
        self.feedback(self.parts["cx"], node, out, 16)
        self.into("r1", node, 54)
        cube = self.passive(self.parts["r2"], (182, 62), "left")
        self.wire((132, 62), cube.pin("1"))
        self.label("cube", (152, 62))
        self.wire(cube.pin("2"), node)
        self.into("r3", node, 70)
        self.wire(out, (218, 64))
        self.point("Vx", (213, 64))
        self.label("x", (214, 64))

    def inverter(self) -> None:
        """U3 with Ra and Rb makes -V(x)."""
        self.frame((230, 34), (292, 84), "U3: inverts")
        node, out = self.inverting(self.parts["xu3"], (260, 66))
        ra = self.passive(self.parts["ra"], (242, 64), "left")
        self.wire((218, 64), ra.pin("1"))
        self.wire(ra.pin("2"), node)
        self.feedback(self.parts["rb"], node, out, 12)
        self.wire(out, (282, 66))
        self.point("-Vx", (275, 66))
        self.label("nx", (277, 66))

    def tanh_pair(self) -> None:
        """The drive stage of a sigmoid: attenuators, a transconductance amplifier, the resistor of its tail current."""
        self.frame((12, 90), (146, 158), "Drive stage: tanh pair")
        placed = self.amplifier(self.parts["ota"], (110, 126))
        upper, lower = placed.pin("+"), placed.pin("-")
        self.attenuator("rs1", "rp1", (86, 106))
        self.wire((86, 106), (98, 106), (98, upper[1]), upper)
        self.attenuator("rs2", "rp2", (86, lower[1]))
        self.wire((86, lower[1]), lower)
        tail = self.passive(self.parts["rabc"], (placed.pin("abc")[0], 138), "down")
        self.wire(placed.pin("abc"), tail.pin("2"))
        self.ground(tail.pin("1"))
        self.wire(placed.pin("out"), (152, 126))
        self.label("sum2", (130, 126))

    def attenuator(self, series: str, shunt: str, node: Spot) -> None:
        """Two resistors in front of one of the pair's inputs, one of which is grounded."""
        x, y = node
        placed = self.passive(self.parts[series], (x - 20, y), "left")
        self.wire(placed.pin("2"), node)
        down = self.passive(self.parts[shunt], (x - 8, y + 6), "up")
        self.wire((x - 8, y), down.pin("1"))
        self.ground(down.pin("2"))
        start = self.parts[series].terminals["1"]
        if start == "0":
            self.ground(placed.pin("1"), (x - 28, y), (x - 28, y + 2))
        else:
            self.input((26, y), placed.pin("1"))

    def input(self, at: Spot, end: Spot) -> None:
        """The cell's input, with its test point."""
        self.port("z", at, "left", "input")
        self.wire(at, end)
        self.point("Vz", (at[0] + 8, at[1]))

    def integrator_y(self) -> None:
        """U2 with Cy: sums -V(x), the reference and the drive."""
        self.frame((150, 90), (226, 158), "U2: integrates y")
        node, out = self.inverting(self.parts["xu2"], (198, 128))
        self.feedback(self.parts["cy"], node, out, 20)
        self.into("r4", node, 116)
        self.into("r5", node, 138)
        self.wire((152, 126), node)
        self.point("sum2", (160, 126))
        self.wire(out, (218, 128))
        self.point("Vy", (213, 128))
        self.label("y", (214, 128))

    def row_driver(self) -> None:
        """Amplifier that shifts and scales -V(x) for a row, with its trimmers."""
        self.frame((230, 90), (320, 178), "Row driver")
        node, out = self.inverting(self.parts["xu"], (278, 136))
        x, y = node
        self.into("rin", node, y, 8)
        far = x + 34
        self.wire(out, (far, out[1]))
        self.trimmed("rf", "gain", node, (x + 10, y - 12), right=True)
        self.wire((far, y - 17), (far, out[1]))
        if "cf" in self.parts:
            cf = self.passive(self.parts["cf"], (x + 10, y - 32), "right")
            self.wire((x, y - 22), (x, y - 32), cf.pin("2"))
            self.wire(cf.pin("1"), (far, y - 32), (far, y - 17))
        if "rshift" in self.parts:
            self.trimmed("rshift", "offset", node, (x - 12, y + 14), right=False)
        self.port("row", (311, out[1]), "right", "output")
        self.wire((far, out[1]), (311, out[1]))
        self.point("row", (306, out[1]))

    def trimmed(self, resistor: str, name: str, node: Spot, at: Spot, *, right: bool) -> None:
        """A fixed resistor at `at`, 10 steps beside it its trimmer, and a jumper that chooses one of them.

        Both have one end at the summing node. The fixed resistor's other end goes to the jumper's terminal 1, the
        trimmer's to 3; its terminal 2 is the output if the jumper stands at the right, else the reference.
        """
        x, y = at
        other = y - 10 if right else y + 10
        jumper = self.extras["jumper", name]
        centre = (x + 16 if right else x - 16, (y + other) // 2)
        chosen = self.put(jumper, centre, 0 if right else 180, (-7.4 if right else 7.4, 0.0), None)
        fixed = self.passive(self.parts[resistor], at, "right" if right else "left")
        # Its fields stand where its wiper is not.
        near, far = (1.9, 3.7) if right else (-3.7, -1.9)
        potentiometer = self.extras["potentiometer", name]
        trimmer = self.put(potentiometer, (x, other), 90 if right else 270, (0.0, near), (0.0, far))
        wiper, end = trimmer.pin("2"), trimmer.pin("1")
        self.wire(fixed.pin("2"), (node[0], y), node)
        beside = (end[0] + (-1 if right else 1), end[1])
        self.wire(end, beside, (node[0], other), (node[0], y))
        self.wire(wiper, (beside[0], wiper[1]), beside)
        self.wire(fixed.pin("1"), chosen.pin("1"))
        self.wire(trimmer.pin("3"), chosen.pin("3"))
        common = chosen.pin("2")
        if right:
            self.wire(common, (node[0] + 34, common[1]))
        else:
            self.wire(common, (common[0] - 2, common[1]))
            self.supply(jumper.terminals["2"], (common[0] - 2, common[1]))

    def rectifier(self) -> None:
        """The drive stage of a relu: U5 and D2 clamp at the limit, the follower U4 with D1 passes what is positive."""
        self.frame((12, 90), (146, 158), "Drive stage: rectifier")
        rz = self.passive(self.parts["rz"], (42, 112), "left")
        self.input((22, 112), rz.pin("1"))
        clamp, follower = (
            self.amplifier(self.parts[name], at) for name, at in (("xu5", (84, 134)), ("xu4", (116, 110)))
        )
        self.wire(rz.pin("2"), follower.pin("+"))
        below = self.diode(self.parts["d3"], (52, 118), "up")
        self.wire((52, 112), below.pin("K"))
        self.ground(below.pin("A"))
        self.wire((64, 112), (64, 132), clamp.pin("-"))
        across = self.diode(self.parts["d2"], (84, 122), "right")
        self.wire((64, 122), across.pin("A"))
        self.wire(across.pin("K"), (96, 122), (96, 134), clamp.pin("out"))
        upper, lower = (
            self.passive(self.parts["rl1"], (58, 136), "left"),
            self.passive(self.parts["rl2"], (70, 142), "up"),
        )
        self.supply("vplus", (50, 136))
        self.wire((50, 136), upper.pin("1"))
        self.wire(upper.pin("2"), clamp.pin("+"))
        self.wire((70, 136), lower.pin("1"))
        self.ground(lower.pin("2"))
        passed = self.diode(self.parts["d1"], (128, 110), "right")
        self.wire(follower.pin("out"), passed.pin("A"))
        self.wire(passed.pin("K"), (136, 110), (136, 100), (106, 100), (106, 108), follower.pin("-"))
        out, off = (
            self.passive(self.parts["rout"], (136, 117), "up"),
            self.passive(self.parts["roff"], (122, 126), "left"),
        )
        self.wire((136, 110), out.pin("1"))
        self.wire(out.pin("2"), (136, 126), (152, 126))
        self.supply("vref", (114, 126))
        self.wire((114, 126), off.pin("1"))
        self.wire(off.pin("2"), (136, 126))
        self.label("sum2", (139, 126))

    def supplies(self) -> None:
        """Supply units and capacitors of all packages, and what is left of them."""
        self.frame((12, 184), (226, 226), "Supplies of the packages")
        x = 18
        for reference, capacitors in self.decoupling.items():
            package = self.stock[reference]
            x += self.supplies_of(package, capacitors, (x, 206))
            for unit in range(len(package.component.units)):
                if unit not in package.elements:
                    self.unused(package, unit, (x + 10, 206))

    def notes(self) -> None:
        """Names that the designators have in the netlist and on the pages about the neuron; what the jumpers do."""
        lines = ["Designators, and the names in the netlist:"]
        passives = [one for one in self.parts.values() if one.kind in ("resistor", "capacitor", "diode")]
        for kind in ("resistor", "capacitor", "diode"):
            said = [f"{one.reference} {one.name}" for one in passives if one.kind == kind]
            lines += [", ".join(said[k : k + 7]) for k in range(0, len(said), 7)]
        jumpers = [element for (kind, _), element in self.extras.items() if kind == "jumper"]
        lines += [
            f"{one.reference}: 1-2 fixed resistor, 2-3 trimmer ({one.name} of the row)" for one in jumpers
        ]  # fmt: skip
        if "ota" in self.parts:
            ota = self.parts["ota"]
            others = [one for unit, one in self.stock[ota.reference].elements.items() if unit != ota.unit]
            lines += [f"{ota.reference}: its other half is on sheet {one.sheet}" for one in others]
        for k, line in enumerate(lines):
            self.caption(line, (232, 187 + 3 * k), 1.27)
