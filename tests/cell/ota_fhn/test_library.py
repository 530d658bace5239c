"""Circuits of transistors are read from their own netlists: names, sizes, areas, deviations."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.cell.ota_fhn.library import GAIN, THRESHOLD, parsed, subcircuit
from analog_fhn.errors import InputError
from analog_fhn.technology.foundry import Extent, Mismatch, Polarity

TEXT = """\
* a pair and its tail
.subckt pair a b out PARAMS: w_g=2u l_g=10e-6 m_t=2
+ c=30f
+ dvt_m1=0 beta_m1=1 dvt_m2=0 beta_m2=1 dvt_mt=0 beta_mt=1
Xm1 out a s 0 fet_n w={w_g} l={l_g} m=1 dvt={dvt_m1} beta={beta_m1}
Xm2 0 b s 0 fet_p PARAMS: w={w_g} l=5u dvt={dvt_m2} beta={beta_m2}
Xmt s 0 0 0 fet_n w=0.5u
+ l={l_g} m={m_t} dvt={dvt_mt} beta={beta_mt}
C1 out 0 {c}
.ends
"""
MISMATCH: dict[Polarity, Mismatch] = {"n": Mismatch(5e-9, 4e-9, 1e-7, -1e-7), "p": Mismatch(6e-9, 3e-9, 0.0, 0.0)}


def test_transistors_and_sizes_are_those_of_the_text() -> None:
    pair = parsed(TEXT, "pair")
    assert pair.pins == ("a", "b", "out")
    assert pair.sizes == pytest.approx({"w_g": 2e-6, "l_g": 10e-6, "m_t": 2.0, "c": 30e-15})
    assert [(t.name, t.polarity) for t in pair.transistors] == [("m1", "n"), ("m2", "p"), ("mt", "n")]
    assert pair.capacitors == ("c",)
    assert pair.gate_area(pair.sizes) == pytest.approx((2 * 10 + 2 * 5 + 0.5 * 10 * 2) * 1e-12)


def test_effective_areas_are_those_of_the_models() -> None:
    pair = parsed(TEXT, "pair")
    areas = pair.root_areas(pair.with_sizes({"l_g": 20e-6}), MISMATCH)
    # sqrt(m (L - dl)(W - dw))
    assert areas["m1"] == pytest.approx(np.sqrt(19.9e-6 * 2.1e-6))
    assert areas["m2"] == pytest.approx(np.sqrt(5e-6 * 2e-6))
    assert areas["mt"] == pytest.approx(np.sqrt(2 * 19.9e-6 * 0.6e-6))


def test_drawn_values_become_volts_and_factors_of_the_area() -> None:
    pair = parsed(TEXT, "pair")
    kinds = {field.name: field.kind for field in pair.parts.described()}
    assert kinds["dvt_m1"] is THRESHOLD["n"]
    assert kinds["beta_m2"] is GAIN["p"]
    parts = pair.nominal(pair.sizes, 3).with_values(
        dvt_m1=np.array([0.0, 1e-8, 0.0]), beta_m2=np.array([0.0, 2e-8, 0.0])
    )
    areas = pair.root_areas(pair.sizes, MISMATCH)
    assert pair.values(parts, 0, pair.sizes, areas) == {"c": 30e-15}
    values = pair.values(parts, 1, pair.with_sizes({"w_g": 3e-6}), areas)
    expected = {"w_g": 3e-6, "c": 30e-15, "dvt_m1": 1e-8 / areas["m1"], "beta_m2": 1.0 + 2e-8 / areas["m2"]}
    assert values == pytest.approx(expected)


def test_what_a_circuit_does_not_have_is_named() -> None:
    pair = parsed(TEXT, "pair")
    with pytest.raises(InputError, match=r"subcircuit 'pair' has no size 'w_x'; there are w_g, l_g, m_t, c"):
        pair.with_sizes({"w_x": 1.0})
    extents: dict[Polarity, Extent] = {p: Extent((1e-6, 1e-4), (1e-6, 5e-5)) for p in ("n", "p")}  # type: ignore[misc]
    with pytest.raises(
        InputError, match=r"transistor m1 is 2e-06 m wide and 6e-05 m long, 1 in parallel; the models are"
    ):
        pair.check(pair.with_sizes({"l_g": 6e-5}), extents)
    with pytest.raises(InputError, match=r"transistor mt is 5e-07 m wide"):
        pair.check(pair.sizes, extents)
    with pytest.raises(ValueError, match="no subcircuit 'other'"):
        parsed(TEXT, "other")
    with pytest.raises(ValueError, match=r"expected dvt=\{dvt_m1\}"):
        parsed(TEXT.replace("dvt={dvt_m1}", "dvt=0"), "pair")


@pytest.mark.parametrize("name", ["ota_neuron", "ota_tanh", "ota_ramp", "bias_line"])
def test_every_transistor_of_our_netlists_can_be_drawn(name: str) -> None:
    circuit = subcircuit(name)
    assert circuit.transistors
    assert len({t.name for t in circuit.transistors}) == len(circuit.transistors)
    areas = circuit.root_areas(circuit.sizes, MISMATCH)
    assert all(1e-7 < area < 2e-5 for area in areas.values())
