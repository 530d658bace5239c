"""What the check finds of low-passes between hidden layers: too fast, too slow, each with its number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sweeps import discrete

from analog_fhn.cell.base import DriveStage
from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.findings import Finding
from analog_fhn.network import AveragePool, Convolution, Dense, Layer, Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.patches import Patches

FAST, SLOW, SAMPLED = "shift of a drive", "share of an activation", "error of a drive by samples"


def network(hidden_layers: int = 2, scale: float = 1.0, settle: float = 100.0, control: float = 200.0) -> Network:
    rng = np.random.default_rng(0)
    sizes = (5, *[6] * hidden_layers, 3)
    weights = [scale * rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
    return Network.of_weights(weights).with_options(settle=settle, control=control)


def design(time_constant: float, **changes: float) -> Design:
    return Design(network(**changes), discrete().with_values({"low_pass.time_constant": time_constant}))  # type: ignore[arg-type]


def about_low_passes(one: Design) -> list[Finding]:
    return [finding for finding in check(one) if finding.part.startswith("low-pass")]


def test_the_default_low_pass_is_clean() -> None:
    assert about_low_passes(design(10.0)) == []
    assert about_low_passes(design(10.0, hidden_layers=3)) == []


def test_one_hidden_layer_has_no_low_pass() -> None:
    assert about_low_passes(design(300.0, hidden_layers=1, control=1.0, settle=0.0)) == []


@pytest.mark.parametrize(("time_constant", "scale", "severity"), [(2.0, 2.0, "warning"), (1.0, 3.0, "error")])
def test_a_fast_low_pass_lets_oscillations_through(time_constant: float, scale: float, severity: str) -> None:
    one = design(time_constant, scale=scale)
    (finding,) = about_low_passes(one)
    assert finding.quantity.startswith(FAST)
    assert (finding.part, finding.severity, finding.unit) == ("low-pass of hidden layer 1", severity, "1")
    # The largest second-order shift of any drive, from the stage itself: every neuron oscillates at its worst.
    first, second = (cell.cells(cell.nominal) for cell in one.cells)
    variance = first.ripple(np.zeros(6)) @ one.network.weights[1] ** 2
    stage, z = second.drive_stage, np.linspace(-8.0, 8.0, 2001)[:, None] * np.ones(6)
    assert isinstance(stage, DriveStage)
    shift = np.abs((stage.drives(z, variance) - stage.drives(z)) / stage.gain).max()
    assert finding.value == pytest.approx(shift, rel=0.02)
    assert f"up to {100 * finding.value:.2g} % of gamma" in finding.message
    # The shift goes with the square of the ripple, and this with 1/tau: the advice is the time constant that 1 % takes.
    advised = float(finding.message.rsplit("; ", 1)[1].split(" T")[0])
    assert about_low_passes(design(1.1 * advised, scale=scale)) == []


@pytest.mark.parametrize(("settle", "severity"), [(60.0, "warning"), (10.0, "error")])
def test_a_slow_low_pass_is_late(settle: float, severity: str) -> None:
    one = design(20.0, settle=settle, control=200.0)
    (finding,) = about_low_passes(one)
    assert finding.quantity.startswith(SLOW)
    assert finding.severity == severity
    tau = float(one.cells[0].cells(one.cells[0].nominal).row_stage.time_constant[0])
    missing = tau / 200.0 * np.exp(-settle / tau) * (1.0 - np.exp(-200.0 / tau))
    assert finding.value == pytest.approx(missing, rel=1e-6)
    assert f"{100 * missing:.2g} % of an activation is missing after settle = {settle:g} T" in finding.message
    advised = float(finding.message.rsplit("settle = ", 1)[1].split(" T")[0])
    assert about_low_passes(design(20.0, settle=advised)) == []
    assert about_low_passes(design(20.0, settle=advised - 0.2)) != []


def test_a_low_pass_behind_others_is_later_than_those() -> None:
    found = about_low_passes(design(20.0, hidden_layers=3, settle=60.0))
    assert [(one.part, one.severity) for one in found] == [
        ("low-pass of hidden layer 2", "error"), ("low-pass of hidden layer 1", "warning")
    ]  # fmt: skip


# --- relu, and what is held -----------------------------------------------------------------------------------


def of_layers(time_constant: float, *layers: Layer, settle: float = 100.0, control: float = 200.0) -> Design:
    made = Network(layers, fhn=FHN(slope=1.0), protocol=Protocol(settle, control))
    return Design(made, discrete().with_values({"low_pass.time_constant": time_constant}))


def relu_layers(scale: float) -> tuple[Dense, Dense, Dense]:
    first, second, last = (scale * np.random.default_rng(0).normal(size=shape) for shape in ((5, 6), (6, 4), (4, 3)))
    return Dense(first, None, "relu", "tanh", 2.0), Dense(second, None, "relu", "tanh", 3.0), Dense(last)


@pytest.mark.parametrize(("time_constant", "severity"), [(10.0, "warning"), (3.0, "error")])
def test_a_ramp_is_moved_in_its_corners(time_constant: float, severity: str) -> None:
    one = of_layers(time_constant, *relu_layers(2.0))
    (finding,) = about_low_passes(one)
    assert finding.quantity.startswith(FAST)
    assert finding.severity == severity
    first, second = (cell.cells(cell.nominal) for cell in one.cells)
    variance = first.ripple(np.zeros(6)) @ one.network.weights[1] ** 2
    stage, z = second.drive_stage, np.linspace(-3.0, 6.0, 9001)[:, None] * np.ones(4)
    assert isinstance(stage, DriveStage)
    shift = np.abs(stage.drives(z, variance) - stage.drives(z)).max()
    assert finding.value == pytest.approx(shift, rel=0.02)
    # As the ripple itself, it goes with 1/tau.
    advised = float(finding.message.rsplit("; ", 1)[1].split(" T")[0])
    assert about_low_passes(of_layers(1.1 * advised, *relu_layers(2.0), settle=1e3, control=1e3)) == []


def convolutions(scale: float) -> tuple[Layer, ...]:
    random = np.random.default_rng(1)
    return (
        Convolution(scale * random.normal(size=(9, 2)), None, "relu", "tanh", 2.0, Patches((8, 8, 1), (3, 3))),
        AveragePool((6, 6, 2), (2, 2), (2, 2)),
        Convolution(scale * random.normal(size=(8, 3)), None, "relu", "tanh", 3.0, Patches((3, 3, 2), (2, 2))),
        Dense(random.normal(size=(12, 3))),
    )


def test_samples_of_the_oscillation_are_random() -> None:
    assert about_low_passes(of_layers(10.0, *convolutions(1.0))) == []
    one = of_layers(2.0, *convolutions(2.0))
    (finding,) = about_low_passes(one)  # the output array has no drive stage
    assert finding.quantity.startswith(SAMPLED)
    assert finding.part == "low-pass of hidden layer 1"
    first, second = (cell.cells(cell.nominal) for cell in one.cells)
    # A patch of 2 x 2 means of four values each, two channels; weights stand place by place, channels last.
    channel = first.ripple(np.zeros(2)) / 4.0
    of_z = np.tile(channel, 4) @ one.network.weights[1] ** 2
    stage = second.drive_stage
    assert isinstance(stage, DriveStage)
    expected = np.sqrt((stage.slope**2 * of_z).max()) * abs(stage.gain[0])
    assert finding.value == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("settle", "severity"), [(40.0, "warning"), (10.0, "error")])
def test_what_is_held_must_have_settled_when_it_is_sampled(settle: float, severity: str) -> None:
    one = of_layers(20.0, *convolutions(0.5), settle=settle, control=60.0)
    found = about_low_passes(one)
    assert [finding.part for finding in found] == [f"low-pass of hidden layer {k}" for k in (1, 2)]
    tau = float(one.cells[0].cells(one.cells[0].nominal).row_stage.time_constant[0])
    for finding in found:
        assert (finding.severity, finding.quantity.startswith(SLOW)) == (severity, True)
        assert finding.value == pytest.approx(np.exp(-(settle + 60.0) / tau), rel=1e-6)
    advised = float(found[0].message.rsplit("settle = ", 1)[1].split(" T")[0])
    assert about_low_passes(of_layers(20.0, *convolutions(0.5), settle=advised, control=60.0)) == []
    assert about_low_passes(of_layers(20.0, *convolutions(0.5), settle=advised - 0.2, control=60.0)) != []
