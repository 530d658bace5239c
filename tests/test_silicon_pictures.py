"""Pictures of transistor neurons: what they show, and the example that makes them."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from silicon import needs_models

from analog_fhn import plots


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "silicon.py"
    spec = importlib.util.spec_from_file_location("silicon_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_condition_is_a_line_and_a_point(tmp_path: Path) -> None:
    drives = np.array([-1.0, 0.0, 2.0])
    conditions = {
        (corner, kelvin, supply): (1e-5 * kelvin * drives, 1e-5 * supply, 1e-7)
        for corner in ("typical", "ss")
        for kelvin in (273.15, 343.15)
        for supply in (0.9, 1.0)
    }
    conditions["ss", 343.15, 1.0] = (drives, 0.0, 1e-7)  # does not oscillate: no period
    figure = plots.process_conditions(drives, conditions, 0.002, "made up")
    error, period, power = figure.axes
    measured = [line for line in error.lines if len(line.get_xdata()) == len(drives)]
    assert len(measured) == len(conditions)
    first = measured[0].get_ydata()
    # in %, and what is below the floor is shown there
    np.testing.assert_allclose(first, [100 * 273.15e-5, 1e-4, 200 * 273.15e-5])
    assert sum(len(line.get_xdata()) for line in period.lines) == len(conditions) - 1
    assert sum(len(line.get_xdata()) for line in power.lines) == len(conditions)
    np.testing.assert_allclose(period.lines[0].get_data(), [[0.0, 70.0], [9.0, 9.0]])
    assert plots.save(figure, tmp_path / "conditions.png").read_bytes().startswith(b"\x89PNG")


def test_sigmas_stand_at_their_areas(tmp_path: Path) -> None:
    figure = plots.mismatch_over_area(
        [32.0, 8.0], {"offset": [0.02, 0.04], "period": [0.06, 0.06]}, 100, ["whole", "quarter"], "made up"
    )
    (axes,) = figure.axes
    offset, period, law = (line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() != "None")
    np.testing.assert_allclose(offset.get_data(), [[8.0, 32.0], [4.0, 2.0]])
    np.testing.assert_allclose(period.get_data(), [[8.0, 32.0], [6.0, 6.0]])
    np.testing.assert_allclose(law.get_ydata(), [4.0, 2.0])
    assert plots.save(figure, tmp_path / "spread.png").read_bytes().startswith(b"\x89PNG")


@needs_models
def test_the_example_writes_all_three_parts(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = "--corners typical --temperatures 300 --supplies 1 --drives 0 2 --neurons 3 --legs once --compared 1"
    monkeypatch.setattr(sys, "argv", ["silicon.py", *quick.split(), "-o", str(tmp_path)])
    example.main()
    for name in ("silicon_conditions.png", "silicon_spread.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "conditions.csv").open(newline="") as file:
        spiking, resting = csv.DictReader(file)
    assert float(spiking["period_s"]) == pytest.approx(23.9e-6, rel=0.02)
    assert float(resting["period_s"]) == 0.0
    assert abs(float(resting["error_of_full_scale"])) < 0.002
    with (tmp_path / "spread.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["legs"] for row in rows] == ["once"] * 3
    with (tmp_path / "equations.csv").open(newline="") as file:
        rows_compared = list(csv.DictReader(file))
    assert [row["equations"] for row in rows_compared] == ["with the lag"] * 3 + ["without"] * 3
    for row in rows_compared[:3]:
        assert float(row["period_s"]) == pytest.approx(float(row["transistor_period_s"]), rel=0.03)
    # four legs 0.22 um wide, two of 29.3 and two of 44 um
    assert float(rows[0]["leg_area_um2"]) == pytest.approx(0.22 * 2 * (29.3 + 44.0))
