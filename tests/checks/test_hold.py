"""Findings about hold stages: each against what it is said to be of, and gone with the way out that it names."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import small_cnn

from analog_fhn.checks.design import check
from analog_fhn.checks.hold import check_holds, longest_wait
from analog_fhn.design import Design
from analog_fhn.findings import Finding
from analog_fhn.hold import Hold, HoldParts
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

QUIET = {"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0}


def design(network: Network, **values: object) -> Design:
    return Design(network, Technology.load("discrete").with_values(QUIET | values))


def of(kind: str, one: Design) -> list[Finding]:
    return [finding for finding in check_holds(one) if kind in finding.quantity]


def test_the_longest_wait_is_that_of_the_first_sample() -> None:
    one = design(small_cnn.network(two=True))
    # a droop of the first position alone, as the rows of the last position of the next array have it
    droop = np.zeros((16, 2))
    droop[0] = 1.0
    errors = Hold(np.zeros((16, 2)), droop, 0.0).errors(one.network.fronts[1], driven=True)
    assert errors is not None
    last = errors[0].max() * 4  # of a mean of four; later positions do not see the first value
    assert last == 15.5
    assert longest_wait(one, 0) == 16.5
    assert longest_wait(one, 1) == 1.0


def test_droop_is_that_of_drawn_stages() -> None:
    one = design(small_cnn.network(two=True), **{"hold.droop_sigma": 1.5})
    first, second = of("droop", one)
    assert [found.part for found in (first, second)] == [
        "hold stages of hidden layer 1",
        "hold stages of hidden layer 2",
    ]
    parts = HoldParts(np.zeros(2000), np.random.default_rng(0).normal(0.0, 1.5, 2000))
    drawn = Hold.of(parts, 0.0, one.cells[0].row_volts[0], 60.0 * one.time_unit, 2).droop.std() / 2.0  # ceiling of 2
    assert first.value == pytest.approx(16.5 * drawn, rel=0.05)
    assert second.value == pytest.approx(drawn, rel=0.05)
    assert [found.severity for found in (first, second)] == ["error", "warning"]


def test_a_larger_capacitor_helps_as_much_as_it_says() -> None:
    values = {"hold.droop_sigma": 0.05, "hold.capacitor": 1e-7}
    (found,) = of("droop", design(small_cnn.network(), **values))
    (larger,) = re.findall(r"hold\.capacitor = (\S+) F", found.message)
    # a leakage over a larger capacitor
    for factor, helps in ((1.0, True), (0.9, False)):
        capacitor = factor * float(larger)
        slower = {"hold.droop_sigma": 0.05 * 1e-7 / capacitor, "hold.capacitor": capacitor}
        assert (not of("droop", design(small_cnn.network(), **slower))) == helps


@pytest.mark.parametrize(("volts", "severity"), [(0.01, None), (0.03, "warning"), (0.2, "error")])
def test_offsets(volts: float, severity: str | None) -> None:
    found = of("offset", design(small_cnn.network(), **{"hold.offset_sigma": volts}))
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    if found:
        # the row of the largest activation is at about half a volt
        assert volts < found[0].value < 3.0 * volts


def test_samples_in_front_of_the_output_want_a_slower_low_pass() -> None:
    net = small_cnn.network("sigmoid")
    (found,) = of("in a sample", design(net, **{"low_pass.time_constant": 2.0}))
    assert found.value == pytest.approx(0.114, rel=0.05)  # docs/circuit.md, behind 2 T
    (enough,) = re.findall(r"low_pass\.time_constant = (\S+) T", found.message)
    assert not of("in a sample", design(net, **{"low_pass.time_constant": float(enough)}))
    # behind another hidden layer it is a matter of the low-passes' check
    hidden = small_cnn.network("sigmoid", hidden=True)
    assert not of("in a sample", design(hidden, **{"low_pass.time_constant": 2.0}))


def test_the_time_of_an_answer_is_that_of_all_windows() -> None:
    net = small_cnn.network(two=True)
    (found,) = of("time of an answer", design(net))
    assert (found.severity, found.value) == ("note", pytest.approx(18 * 0.06))
    assert "18 settling times and control windows of 0.06 s" in found.message
    short = replace(net, protocol=replace(net.protocol, settle=2.0, control=10.0))
    assert not of("time of an answer", design(short))


def test_what_is_not_held_has_no_findings() -> None:
    dense = Network.of_weights([np.ones((3, 2)), np.ones((2, 2)), np.ones((2, 2))])
    assert not list(check_holds(design(dense, **{"hold.offset_sigma": 1.0})))
    assert any("hold" in one.part for one in check(design(small_cnn.network(), **{"hold.offset_sigma": 1.0})))
