"""Sweep files of any content: refused, or points that designs can be made of."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import hostile
import hostile_yaml
import numpy as np
import yaml
from hypothesis import given, settings

from analog_fhn.checks.design import check
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

# a file takes 50 ms, most of it PyYAML's
MANY = hostile.EXAMPLES if hostile.EXAMPLES >= 10_000 else max(1, hostile.EXAMPLES // 5)
fewer = settings(hostile.hostile, max_examples=MANY)

PLAN = {
    "network": "net.npz", "technology": "discrete", "dataset": "digits", "chips": 6, "seed": 3, "images": 100,
    "split": "test", "readout": "mean", "gamma": -1.2, "errors": ["resistor", "opamp"],
    "settings": {"array.levels": 16, "settle": 3.0, "a": 1.0, "slope": 0.5}, "table": 9, "specification": 0.9,
    "backend": "direct", "until": {"width": 0.1, "every": 10}, "sensitivity": True,
    "allocation": {"yield": 0.9, "chips": 20, "confirm": 20, "keep": ["opamp"]},
}  # fmt: skip
POINTS = {
    "points": [
        {"resistor.tolerance": 0.02, "control": 4.0},
        {"conditions.temperature": 320.0, "eps": 0.1, "array.programming_error": 0.1, "array.mapping": "two-sided"},
        {"array.levels": [1.0e-6, 5.0e-5, 1.0e-4], "adc": {"bits": 8}},
    ]
}
GRID = {"grid": {"eps": [0.01, 0.02], "array.g_max": [1e-4, 2e-5], "array.device": [None, "pcm"]}}


@cache
def network() -> Network:
    rng = np.random.default_rng(0)
    return Network.of_weights((rng.normal(size=(5, 3)), rng.normal(size=(3, 2))))


def plan(path: Path) -> None:
    """Load a plan, and check the design of each of its points as the command does."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep, technology = Sweep.load(path), Technology.load("discrete")
        for point in sweep.all_points(network(), technology):
            design = point.design(network(), technology)
            if point.role == "sweep":
                check(design)
            assert np.isfinite(design.chip(0).coefficients.p).all()


@fewer
@given(hostile_yaml.files([yaml.safe_dump(PLAN | more, sort_keys=False) for more in (POINTS, GRID, {})]))
def test_hostile_plans(content: bytes) -> None:
    hostile.check("montecarlo.test_hostile_plans:plan", "sweep.yaml", content)
