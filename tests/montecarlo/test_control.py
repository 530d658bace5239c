"""Few chips at circuit level with many by equations: unbiased, intervals that hold, and narrower ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from scipy.stats import norm
from sweeps import made, random_features

from analog_fhn.errors import InputError
from analog_fhn.montecarlo.control import combine
from analog_fhn.montecarlo.trial import Trial

SPECIFICATION = 0.96


def drawn(rng: np.random.Generator, n: int, of_both: int) -> tuple[list[Trial], list[Trial]]:
    """Chips whose accuracy is normal by equations, and 0.001 lower with a small spread of its own at circuit level."""
    control = rng.normal(0.97, 0.008, n)
    circuit = control[:of_both] - 0.001 + rng.normal(0.0, 0.001, of_both)
    one, other = ([made(0, k, float(value)) for k, value in enumerate(values)] for values in (circuit, control))
    return one, other


def test_intervals_hold_the_truth_and_are_narrower() -> None:
    rng = np.random.default_rng(1)
    true_yield = norm.sf(SPECIFICATION, 0.969, np.hypot(0.008, 0.001))
    found = [combine(*drawn(rng, 400, 20), SPECIFICATION) for _ in range(300)]
    for low, value, high in (
        ("yield_low", true_yield, "yield_high"), ("mean_low", 0.969, "mean_high"),
        ("difference_low", -0.001, "difference_high"),
    ):  # fmt: skip
        held = np.mean([getattr(one, low) <= value <= getattr(one, high) for one in found])
        assert 0.91 < held <= 1.0  # 95 % of 300: above 0.915 with 99.5 %
    assert np.mean([one.mean for one in found]) == pytest.approx(0.969, abs=4 * 0.0005 / 300**0.5)
    widths = np.array([[one.yield_high - one.yield_low, one.alone_high - one.alone_low] for one in found])
    assert widths[:, 0].mean() < 0.8 * widths[:, 1].mean()
    assert np.mean([one.correlation for one in found]) == pytest.approx(0.992, abs=0.005)


def test_equal_runs_leave_an_interval() -> None:
    _, control = drawn(np.random.default_rng(2), 50, 5)
    found = combine(control[:10], control, SPECIFICATION)
    assert found.difference == 0.0
    assert found.passed_by_one == (0, 0)
    assert found.yield_low < found.yield_ < found.yield_high


def test_failed_chips_do_not_pass() -> None:
    one = [made(0, k, None if k == 0 else 0.97) for k in range(8)]
    other = [made(0, k, 0.97) for k in range(40)]
    found = combine(one, other, SPECIFICATION)
    assert found.n_both == 8
    assert found.passed_by_one == (0, 1)
    assert found.yield_ == pytest.approx(1.0 - 1 / 8)
    assert found.mean == pytest.approx(0.97)


def test_too_few_in_both_are_refused() -> None:
    one, other = drawn(np.random.default_rng(3), 30, 4)
    with pytest.raises(InputError, match=r"4 chips were judged in both runs \(of 4 and 30\); expected at least 5"):
        combine(one, other, SPECIFICATION)


def test_two_runs_of_the_command(tmp_path: Path) -> None:
    random_features((3, 0.5)).save(tmp_path / "net.npz")

    def sweep(name: str, chips: int, table: int, seed: int = 3) -> Path:
        plan = tmp_path / f"{name}.yaml"
        plan.write_text(
            f"network: {tmp_path / 'net.npz'}\ntechnology: discrete\ndataset: digits\nimages: 200\nseed: {seed}\n"
            f"chips: {chips}\nspecification: 0.2\ntable: {table}\nstratified: true\n"
        )
        assert run("sweep", plan, "-o", tmp_path / name, "--workers", 1)[0] == 0
        return tmp_path / name

    few, many = sweep("few", 5, 5), sweep("many", 30, 9)
    status, _, errors = run("combine", few, many, "--json", tmp_path / "out.json")
    assert status == 0, errors
    (point,) = json.loads((tmp_path / "out.json").read_text())["points"]
    assert (point["n_both"], point["n_control"]) == (5, 30)
    assert abs(point["difference"]) < 0.02
    assert point["yield_low"] <= point["yield"] <= point["yield_high"]
    status, _, errors = run("combine", few, sweep("other", 30, 9, seed=4))
    assert status == 2
    assert "expected the chips and images of" in errors
