"""The study of the arrays' errors: every point has one error alone, and its accuracies are those of the chips."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import Technology

IMAGES = 200


@pytest.fixture(scope="module")
def study() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "arrays.py"
    spec = importlib.util.spec_from_file_location("arrays_study", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["arrays_study"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network() -> Network:
    """Random hidden neurons with an output layer by least squares: right on most digits, without training."""
    train = load("digits", "train")
    w0 = np.random.default_rng(0).normal(size=(64, 30)) * 0.5
    hidden = 1 / (1 + np.exp(-(train.images - 0.3) @ w0))
    w1 = np.linalg.lstsq(hidden, np.eye(10)[train.labels], rcond=None)[0]
    return Network.of_weights((w0, w1), (-0.3 * w0.sum(axis=0), np.zeros(10))).with_options(settle=10.0, control=60.0)


@pytest.fixture(scope="module")
def rows(study: ModuleType, network: Network, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The table of the whole study on some digits, one chip per point."""
    folder = tmp_path_factory.mktemp("study")
    network.save(folder / "net.npz")
    arguments = ["arrays.py", folder / "net.npz", "--dataset", "digits", "--images", IMAGES, "--chips", 1, "-o", folder]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(argument) for argument in arguments])
        study.main()
    assert (folder / "arrays.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "arrays.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def errors_of(technology: Technology) -> set[str]:
    """Groups without which the technology would be another."""
    return {
        group
        for group in BoardTechnology.ERRORS
        if technology.with_errors(set(BoardTechnology.ERRORS) - {group}) != technology
    }


def test_every_point_has_its_error_alone(study: ModuleType, network: Network) -> None:
    allowed = {
        study.LEVELS: set(), study.PROGRAMMING: {"programming"}, study.FAULTS: {"faults"}, study.WIRES: {"wires"},
        study.OFFSET: {"amplifier_offset"}, study.DRIFT: {"drift"}, study.CURVED: {"nonlinearity"},
        study.CONVERTERS: {"dac"},
    }  # fmt: skip
    everything = {"programming", "drift", "read_noise"}
    for point in study.plan(network):
        expected = everything if "read noise" in point.curve or "all three" in point.curve else allowed[point.panel]
        expected = expected | ({"die"} if "shared" in point.curve else set())
        assert errors_of(point.technology) == expected, point
        levels = point.size if point.panel == study.LEVELS else 32 if "32 levels" in point.curve else None
        assert point.technology.array.levels == levels


def test_every_panel_and_size_is_in_the_table(study: ModuleType, rows: list[dict[str, str]]) -> None:
    for panel, (_, ticks) in study.AXES.items():
        curves: dict[str, list[float]] = {}
        for row in rows:
            if row["error"] == panel:
                curves.setdefault(row["variant"], []).append(float(row["size"]))
        three = (study.PROGRAMMING, study.FAULTS, study.WIRES)
        number = {study.DRIFT: 4, study.CURVED: 1}.get(panel, 3 if panel in three else 2)
        assert len(curves) == number
        assert all(sizes == list(ticks) for sizes in curves.values())


def test_accuracies_are_those_of_the_chips(study: ModuleType, network: Network, rows: list[dict[str, str]]) -> None:
    test = load("digits", "test").head(IMAGES)
    points = list(study.plan(network))
    assert len(points) == len(rows)
    for k in (1, 17, 40, -1):
        assert (rows[k]["error"], rows[k]["variant"]) == (points[k].panel, points[k].curve)
        chip = Design(network, points[k].technology).chip(0 if points[k].random else None).with_ideal_cells()
        simulated = classify(chip, test.images).accuracy(test.labels)
        # 60 T against the settled cycle's mean: two images of 200 may fall on the other side
        assert float(rows[k]["accuracy"]) == pytest.approx(simulated, abs=0.0101)


def test_large_errors_cost_and_small_ones_do_not(
    study: ModuleType, network: Network, rows: list[dict[str, str]]
) -> None:
    test = load("digits", "test").head(IMAGES)
    plain = network.accuracy(test.images, test.labels)
    assert plain > 0.8

    def accuracy(panel: str, variant: str, size: float) -> float:
        (found,) = [
            float(row["accuracy"])
            for row in rows
            if (row["error"], row["variant"], float(row["size"])) == (panel, variant, size)
        ]
        return found

    assert accuracy(study.LEVELS, "Gmax: 0.999 quantile of |w|", 64) == pytest.approx(plain, abs=0.02)
    assert accuracy(study.LEVELS, "Gmax: 0.999 quantile of |w|", 2) < plain - 0.2
    assert accuracy(study.FAULTS, "at Gmax", 5.0) < plain - 0.03
    assert accuracy(study.OFFSET, "0.2 V on the rows", 0.1) == pytest.approx(plain, abs=0.02)
    assert accuracy(study.OFFSET, "0.2 V on the rows", 5.0) < accuracy(study.OFFSET, "1 V on the rows", 5.0)
