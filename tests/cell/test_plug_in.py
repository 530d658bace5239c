"""The cell of examples/extend goes through equations, tables, sweeps, the regression and netlists as our own do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from extras import EXTEND, install
from sweeps import digits, digits_network

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.reference import Reference
from analog_fhn.backends.spice.backend import Spice, run_exported
from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.inference import classify
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.regression import regression
from analog_fhn.montecarlo.trial import Job, run_trial
from analog_fhn.netlist.bom import bill
from analog_fhn.netlist.export import Form, export
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.noise import Noise
from analog_fhn.technology.technology import Technology


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path / "installed")


def technology() -> Technology:
    return Technology.load(EXTEND / "sources.yaml")


def small(protocol: Protocol) -> Network:
    rng = np.random.default_rng(0)
    return Network.of_weights((rng.normal(size=(4, 3)), rng.normal(size=(3, 2))), protocol=protocol)


def test_every_backend_integrates_the_same_sampled_parts() -> None:
    protocol = Protocol(settle=5.0, control=20.0)
    cells = Design(small(protocol), technology()).chip(5).last.cells
    drives = np.array([[-1.0, -0.6, 0.4]])
    exact = Reference().respond(cells, drives, protocol).mean
    np.testing.assert_allclose(Direct().respond(cells, drives, protocol).mean, exact, atol=2e-3)
    np.testing.assert_allclose(Spice().respond(cells, drives, protocol).mean, exact, atol=2e-3)


def test_its_parts_spread_with_the_seed_as_their_kinds_say() -> None:
    network = Network.of_weights((np.ones((1, 4000)), np.ones((4000, 1))))
    parts = dict(Design(network, technology()).chip(1).hardware[0].cells.parts[0].items())
    for name, width in (("rx", 0.01), ("cy", 0.05)):  # tolerances of sources.yaml
        values = parts[name] / np.median(parts[name]) - 1.0
        assert np.abs(values).max() < 1.02 * width
        assert values.std() == pytest.approx(width / 3.0, rel=0.05)
    assert parts["offset"].std() == pytest.approx(2e-3, rel=0.05)


def test_tables_classify_as_the_simulation_does() -> None:
    chip = Design(digits_network(), technology()).chip(2)
    images = digits().images[:40]
    simulated, read = classify(chip, images), classify(chip, images, table=9)
    np.testing.assert_allclose(read.scores, simulated.scores, atol=0.02)


def test_noise_checks_and_bill_come_from_its_own_declaration() -> None:
    design = Design(small(Protocol()), technology())
    noise = Noise.intrinsic(design.chip(1).last.cells, 0)
    assert np.all(noise.x > 0.0)
    assert "Cx" not in [finding.part for finding in check(design)]
    fast = Design(small(Protocol()), technology().model_copy(update={"time_unit": 1e-5}))
    assert [finding.value for finding in check(fast) if finding.part == "Cx"] == [pytest.approx(1e-11)]
    places = " ".join(item.where for item in bill(design))
    assert "Rx of the neurons" in places
    assert "Bx By Bdrive Brow of the neurons" in places


def test_a_sweep_and_its_regression_name_its_parts() -> None:
    network, images = digits_network(), digits()
    job = Job(
        "sources", network, technology(), images.images, images.labels, network.forward(images.images).argmax(1), 1
    )
    point = SweepPoint(0, "sweep", "as planned")
    trials = [run_trial(job, point, k) for k in range(40)]
    assert {trial.status for trial in trials} == {"done"}
    result = regression(job, point, trials)
    assert result is not None
    assert {term.group for term in result.terms} >= {"current_source", "array devices"}
    assert "neuron offset" in [name for name, _, _ in result.components]


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_the_exported_chip_gives_the_scores_of_classify(form: Form, tmp_path: Path) -> None:
    chip = Design(small(Protocol(settle=5.0, control=20.0)), technology()).chip(3)
    image = np.array([0.2, 0.9, 0.5, 0.1])
    export(chip, image, tmp_path, {}, form=form)
    scores = run_exported(tmp_path)
    expected = classify(chip, image[None]).scores[0]
    np.testing.assert_allclose(scores, expected, atol=0.02 * np.abs(expected).max())
