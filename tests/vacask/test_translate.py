"""Our netlists in VACASK's language: every line is translated or refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from analog_fhn._support.resources import resource
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import cell_deck, neuron_deck
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.technology.technology import Technology
from analog_fhn.vacask.expressions import translated, value_of
from analog_fhn.vacask.text import read
from analog_fhn.vacask.translate import section_of, translate

BEHIND = ".tran 1e-6 1e-3 0 1e-6 uic\n.save v(a)\n.end\n"


def deck(*lines: str, behind: str = BEHIND) -> str:
    return "\n".join(["title", *lines]) + "\n" + behind


def lines_of(*lines: str, behind: str = BEHIND) -> list[str]:
    return translate(deck(*lines, behind=behind)).text.splitlines()


# --- expressions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("6.283185307179586e-6*gbw", 6.283185307179586e-6 * 3e6), ("-vx0*rb/ra", 8.0), ("(gbw==0)*3.2e+041+1", 1.0),
     ("tanh(vx0)+max(ra, rb)", math.tanh(-4.0) + 2.0), ("+1e-3", 1e-3)],
)  # fmt: skip
def test_expressions_have_values(text: str, value: float) -> None:
    assert value_of(text, {"gbw": 3e6, "vx0": -4.0, "ra": 1.0, "rb": 2.0}) == pytest.approx(value, rel=1e-15)


def test_expressions_keep_their_order() -> None:
    text = translated("vx0*vx0/scale - (1+a)*b/-c")
    values = {"vx0": -4.0, "scale": 10.0, "a": 0.1, "b": 2.0, "c": 3.0}
    assert value_of(text, values) == value_of("vx0*vx0/scale - (1+a)*b/-c", values)
    assert translated("0.5*abs(i(vsense))*v(in)", probes=True) == "((0.5*abs(i(vsense)))*v(in))"


@pytest.mark.parametrize(
    "text", ["a**2", "a if b else c", "v(x)", "sin(a)", "10u", "'x'", "a.b", "a[0]", "f(a=1)", "", "a<b", "True", "1/0",
             "1e400", "unknown", "__import__('os')"],
)  # fmt: skip
def test_other_expressions_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="netlist"):
        value_of(text, {"a": 1.0, "b": 1.0, "c": 1.0, "x": 1.0})


@pytest.mark.parametrize("text", ["v(x)", "i(vsense)"])
def test_only_behaviours_see_voltages(text: str) -> None:
    with pytest.raises(InputError, match="VACASK is given"):
        translated(text)


# --- lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("R1 a 0 {2*5}", "r1 (a 0) resistor r=(2*5)"),
        ("Cx a b 1e-9 IC={1+1}", "cx (a b) capacitor c=1e-09"),
        ("V1 a 0 -15.0", "v1 (a 0) vsource dc=(-15.0)"),
        ("I1 a 0 1e-3", "i1 (a 0) isource dc=0.001"),
        ("E1 a 0 b 0 1", "e1 (a 0 b 0) vcvs gain=1"),
        ("G1 a 0 b 0 2", "g1 (a 0 b 0) vccs gain=2"),
        ("E1 a 0 VALUE={tanh(v(b))}", "e1 (a 0) v=tanh(v(b))"),
        ("G1 a 0 VALUE={0.5*abs(i(V1))}", "g1 (a 0) i=(0.5*abs(i(v1)))"),
        ("F1 a 0 V1 0.5", 'f1 (a 0) cccs ctlinst="v1" gain=0.5'),
        ("H1 a 0 V1 4", 'h1 (a 0) ccvs ctlinst="v1" gain=4'),
    ],
)
def test_elements(line: str, expected: str) -> None:
    assert lines_of(line)[-1] == expected


def test_subcircuits_with_their_parameters_and_models() -> None:
    lines = lines_of(
        ".subckt part a b PARAMS: is=1e-9",
        "+ n=2",
        ".param half={n/2}",
        "* a remark",
        "D1 a b clamp",
        "Q1 a b 0 npair",
        ".model clamp D(IS={is} N=0.2)",
        ".model npair NPN(IS={is} BF=200)",
        ".ends",
        "X1 a 0 part PARAMS: n=3",
    )
    assert lines[lines.index("subckt part (a b)") :] == [
        "subckt part (a b)", "parameters is=1e-09", "parameters n=2.0", "parameters half=(n/2)",
        "model clamp sp_diode  is=is n=0.2", "model npair sp_bjt type=1 is=is bf=200", "  d1 (a b) clamp",
        "  q1 (a b 0) npair", "ends", "x1 (a 0) part n=3",
    ]  # fmt: skip
    assert {'load "spice/diode.osdi"', 'load "spice/bjt.osdi"'} <= set(lines)


@pytest.mark.parametrize(
    "line",
    ["L1 a 0 1e-3", "V1 a 0 PULSE(0 1 1e-6)", "V1 a 0 DC 5", "R1 a 0 10k", "E1 a 0 POLY(1) b 0 0 1",
     "S1 a 0 b 0 switch", "R1 a 0 1 tc=1", "Cx a 0 1e-9 m=2", "X1 a 0 nothing", "D1 a 0 nothing", "R+ a 0 1",
     "R1 a+ 0 1", "Model a 0 1", ".global vdd", ".include x.lib", ".ic a=1", ".control", ".options method=gear",
     ".param x", "R1 a 0", "F1 a 0 0.5", ".temp 27", "B1 a 0 V=1", ".lib /no/such/file tt", "E1 a 0 VALUE={v(b)^3}",
     "E1 a 0 VALUE={v(b,0)}", ".subckt load a", "Q1 a b 0 0 npair"],
)  # fmt: skip
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(InputError, match=r"netlist|VACASK|expected"):
        translate(deck(line))


@pytest.mark.parametrize("behind", [".end\n", ".tran 1e-6 1e-3 0 1e-6\n.end\n", ".save v(a)\n.end\n", ".op\n.end\n"])
def test_a_deck_without_a_transient_or_results_is_refused(behind: str) -> None:
    with pytest.raises(InputError, match=r"netlist"):
        translate(deck("R1 a 0 1", behind=behind))


def test_an_instance_sets_only_what_the_subcircuit_has() -> None:
    subcircuit = (".subckt part a b PARAMS: r=1", "R1 a b {r}", ".ends")
    for instance in ("X1 a 0 part PARAMS: q=1", "X1 a part"):
        with pytest.raises(InputError, match="x1"):
            translate(deck(*subcircuit, instance))


# --- what a transient begins with -----------------------------------------------------------------------------


def test_capacitors_begin_at_their_initial_conditions_down_the_hierarchy() -> None:
    translation = translate(
        deck(
            ".subckt inner p PARAMS: v0=0",
            "Cin p mid 1e-9 IC={-v0}",
            "Cground mid 0 1e-9",
            ".ends",
            ".subckt outer p PARAMS: w0=1",
            ".param twice={2*w0}",
            "Xinner p inner PARAMS: v0={twice+1}",
            ".ends",
            "Xone a outer PARAMS: w0=3",
            "Ctop a b 1e-9 IC=0.5",
        )
    )
    assert translation.initial == [
        (("a", "xone:xinner:mid"), -7.0),
        (("xone:xinner:mid",), 0.0),  # without a condition ngspice begins at 0 V
        (("a", "b"), 0.5),
    ]


def test_a_settled_beginning_has_its_starts_alone() -> None:
    lines = (".subckt start x PARAMS: v0=1", ".ic v(x)={v0}", ".ends", "Xs a start PARAMS: v0=2", "C1 a 0 1 IC=3")
    found = translate(deck(*lines, behind=BEHIND.replace(" uic", "")))
    assert found.initial == [(("a",), 2.0)]


# --- the foundry's models -------------------------------------------------------------------------------------

CARD = (
    ".model {name} nmos\n+ level=54 lmin={low} lmax={high} wmin=1e-7 wmax=1e-5\n+ version=4.5 vth0={vth0} noia=noise\n"
)


@pytest.fixture
def models(tmp_path: Path) -> str:
    cards = [CARD.format(name=f"fet.{k}", low=low, high=high, vth0=0.5 + k) for k, (low, high) in
             enumerate(((1e-6, 2e-6), (2e-6, 4e-6), (4e-6, 9e-6)))]  # fmt: skip
    text = ".LIB noise\n.param noise='(1==0)*3+7'\n.ENDL\n.lib tt\n.subckt other a b\nLx a b 1\n.ends\n"
    path = tmp_path / "models.lib"
    path.write_text(text + "".join(cards) + ".endl tt\n")
    return f'.lib "{path}" noise\n.lib "{path}" tt'


def test_a_transistor_gets_the_model_of_its_size(models: str) -> None:
    lines = lines_of(
        models,
        ".subckt fet_n d g s b l=1e-6 m=1",
        "M0 d g s b fet w=1e-6 l={l} m={m} delvto=0.01",
        ".ends",
        "X1 a a 0 0 fet_n l=2e-6",
        "X2 a a 0 0 fet_n l=8e-6 m=2",
    )
    assert [line for line in lines if line.startswith("model fet")] == [
        "model fet__1 sp_bsim4v8 type=1 vth0=1.5 noia=7.0",
        "model fet__2 sp_bsim4v8 type=1 vth0=2.5 noia=7.0",
    ]
    assert next(line.strip() for line in lines if "@" in line).startswith("@if l >= 1.99999")
    assert "    m0 (d g s b) fet__1 w=1e-06 l=l $mfactor=m delvto=0.01" in lines


@pytest.mark.parametrize(
    ("instance", "message"),
    [("M1 a a 0 0 fet w=1e-6 l=1e-3", "no model"), ("M1 a a 0 0 other w=1e-6 l=1e-6", "no model")],
)
def test_a_transistor_without_a_model_is_refused(models: str, instance: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translate(deck(models, instance))


def test_other_levels_and_sections_are_refused(models: str, tmp_path: Path) -> None:
    path = tmp_path / "models.lib"
    path.write_text(path.read_text().replace("level=54", "level=49"))
    with pytest.raises(InputError, match="BSIM4 alone"):
        translate(deck(models, "M1 a a 0 0 fet w=1e-6 l=3e-6"))
    with pytest.raises(InputError, match="no section"):
        section_of(str(path), "ff")


# --- our own ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [*(p.name for p in sorted(Path(str(resource("netlists", "opamp.lib"))).parent.glob("*.lib")))]
)
def test_every_library_is_understood(name: str) -> None:
    text = resource("netlists", name).read_text(encoding="ascii")
    found = read("title\n" + text, lambda _path, _section: "")
    assert len(found.subcircuits) == text.count("\n.subckt") + text.startswith(".subckt")
    elements = sum(len(scope.elements) for scope in found.subcircuits.values())
    assert elements == sum(line[:1].isalpha() for line in text.splitlines())


@pytest.mark.parametrize("technology", ["discrete", "memristive"])
def test_every_element_of_a_cell_is_there(technology: str) -> None:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(4, 3)), rng.normal(size=(3, 2))))
    cells = Design(network, Technology.load(technology)).chip(1).hardware[0].cells
    for text in (neuron_deck(cells, 0, -1.0, Protocol()), cell_deck(cells, 1, 0.5, Protocol())):
        source = [line for line in text.splitlines()[1:] if line[:1].isalpha()]
        lines = translate(text).text.splitlines()
        written = [line.split()[0] for line in lines if len(line.split()) > 1 and line.split()[1].startswith("(")]
        assert [line.split()[0].lower() for line in source] == written
