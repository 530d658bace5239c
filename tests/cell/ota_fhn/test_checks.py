"""Findings about transistor cells: their numbers against those of drawn transistors, and what makes them appear."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.cell.ota_fhn.checks import findings, margins
from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.findings import Finding
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.transconductors import TransconductorDynamics
from tests.silicon import needs_models

pytestmark = needs_models

# Over 300 drawn neurons, each a transient of its transistors: sigmas of offset (share of full scale) and gain, which
# 300 draws tell within 4 % (one sigma).
OFFSET, GAIN = 0.0249, 0.0106


@cache
def technology() -> Technology:
    return Technology.load("silicon")


def design(**values: object) -> Design:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(5, 2)), rng.normal(size=(2, 3))))
    return Design(network, technology().with_values({key.replace("__", "."): value for key, value in values.items()}))


def cell(made: Design) -> OtaFHN:
    (only,) = made.cells
    assert isinstance(only, OtaFHN)
    return only


def finding(made: Design, quantity: str) -> Finding:
    (found,) = [one for one in check(made) if quantity in one.quantity]
    return found


def test_the_design_has_no_findings() -> None:
    assert check(design()) == []


def test_spread_is_that_of_drawn_transistors() -> None:
    _, sigma = margins(cell(design()))
    assert float(sigma.offset) == pytest.approx(OFFSET, rel=0.12)
    assert float(sigma.gain) == pytest.approx(GAIN, rel=0.12)


def test_no_mismatch_no_spread() -> None:
    without = Design(design().network, technology().with_errors(()))
    _, sigma = margins(cell(without))
    assert (float(sigma.offset), float(sigma.gain), float(sigma.low)) == (0.0, 0.0, 0.0)
    assert check(without) == []


def test_unit_current_is_where_spiking_ends() -> None:
    found = finding(design(neuron__unit_current=1.9e-9), "drive at which spiking ends")
    # transistors spike up to 2.5 nA and rest from 2.8 nA on
    assert 2.4e-9 < (1.0 + found.value) * 1.9e-9 < 2.8e-9
    assert "neuron.unit_current = 2.6e-09 A" in found.message


def test_time_unit_that_does_not_fit() -> None:
    made = design(time_unit=15e-6)
    found = finding(made, "period")
    assert found.severity == "warning"
    assert found.value == pytest.approx(cell(made).timing.periods[0] / 30e-6 - 1.0)
    assert f"time_unit = {0.5 * cell(made).timing.periods[0]:.3g} s would fit" in found.message
    # as good as the advice
    assert check(design(time_unit=float(f"{0.5 * cell(made).timing.periods[0]:.3g}"))) == []


def test_h_that_hardly_brings_x_back() -> None:
    made = design(neuron__sizes={"l_tail_h": 25e-6})
    errors = [one for one in check(made) if "range of h" in one.quantity]
    assert [one.severity for one in errors] == ["error", "error"]
    assert all("latches" in one.message and one.value < 3.0 for one in errors)


def test_reference_that_leaves_no_headroom() -> None:
    found = finding(design(supplies__reference=1.5), "distance to a supply")
    assert (found.part, found.severity) == ("x", "error")
    assert found.message.startswith("node x: it reaches 1.7")


def test_capacitors_with_which_x_reaches_the_supply() -> None:
    one = cell(design())
    neuron = design().chip(None).last.cells.dynamics[:1]
    assert isinstance(neuron, TransconductorDynamics)
    # as transients are with capacitors of 1 and 100 fF
    timing = replace(one.timing, reach=(-0.64, 0.66), lag=3e-6, fast=1e-15)
    messages = [found.message for found in findings(one, timing, neuron) if found.severity in ("error", "warning")]
    starts = ["node x: it reaches 1.76 V, 40 mV from vdd", "node x: it reaches -0.64 V from the reference",
              "mirrors: into y and the output they lag by 3 us", "Cx: the lag of the mirrors leaves 3.3 %"]  # fmt: skip
    assert [message.startswith(start) for message, start in zip(messages, starts, strict=True)] == [True] * 4


@pytest.mark.parametrize(("key", "value"), [("fet_n__threshold", 5.2e-9), ("fet_p__gain", 2.1e-9)])
def test_mismatch_that_the_foundry_does_not_state(key: str, value: float) -> None:
    found = finding(design(**{key: value}), "against the foundry's file")
    assert found.severity == "warning"
    assert found.message.startswith(f"{key.replace('__', '.')} = {value:.6g} is ")


def test_windows_and_capacitors_that_do_not_fit_them() -> None:
    short = finding(design(window__control=1.4), "periods in the control window")
    assert (short.severity, short.limit) == ("error", 1.0)
    assert short.value == pytest.approx(1.4 * 12e-6 / cell(design()).timing.periods[0])
    small = finding(design(integrator__capacitor=0.3e-12), "largest voltage that it integrates to")
    # 4.8 nA for 7 T on 0.3 pF
    assert small.value == pytest.approx(4.8e-9 * 84e-6 / 0.3e-12)
    assert small.severity == "error"


def test_bias_that_leaves_no_oscillation_is_refused() -> None:
    with pytest.raises(InputError, match="the nominal neuron does not oscillate at a"):
        design(supplies__bias_current=10e-9)


@pytest.mark.parametrize("name", ["half the area", "0.7 of the area", "once", "1.2 of the area", "twice the area"])
def test_every_class_of_legs_works(name: str) -> None:
    made = Design(design().network, technology().with_classes({"legs": name}))
    assert not [one for one in check(made) if one.severity == "error"]
    assert cell(made).timing.periods[0] == pytest.approx(24e-6, rel=0.1)
