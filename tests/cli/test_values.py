"""Technologies with impossible or unusual values: every command refuses the first, and says the second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import yaml

from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

UNUSUAL = "array.g_max = 0.05: unusual, in practice 1e-09 to 0.01 S (0.05 mS is 5e-05)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, technologies (g_max = 100 is meant in uS, 0.05 in mS), and plans, which end where they miss images."""
    place = tmp_path_factory.mktemp("values")
    rng = np.random.default_rng(0)
    network = Network.of_weights((0.1 * rng.normal(size=(64, 3)), rng.normal(size=(3, 10))))
    network.with_options(settle=4.0, control=6.0).save(place / "net.npz")
    for name, g_max in (("impossible", 100.0), ("unusual", 0.05)):
        data = Technology.load("discrete").model_dump()
        data["array"]["g_max"] = g_max
        (place / f"{name}.yaml").write_text(yaml.safe_dump(data))
        plan = {"network": "net.npz", "technology": f"{name}.yaml", "chips": 1, "dataset": "absent.npz", "seed": 0}
        plan |= {"images": 20, "table": 5, "specification": 0.5, "readout": "mean", "allocation": {"yield": 0.5}}
        (place / f"plan_{name}.yaml").write_text(yaml.safe_dump(plan))
    points = yaml.safe_load((place / "plan_impossible.yaml").read_text()) | {"technology": "discrete"}
    points["points"] = [{}, {"array.g_max": 0.05}]
    (place / "plan_points.yaml").write_text(yaml.safe_dump(points))
    points["points"] = [{}, {"array.g_max": 100}]
    (place / "plan_wrong_points.yaml").write_text(yaml.safe_dump(points))
    return place


def commands(folder: Path, technology: str) -> dict[str, tuple[Any, ...]]:
    net, chips, digits = folder / "net.npz", ("--technology", folder / f"{technology}.yaml"), ("--dataset", "digits")
    few = (*digits, "--images", 20)
    return {
        "design": ("design", *chips),
        "classify": ("classify", net, *few, *chips),
        "arrays": ("arrays", net, *chips, "-o", folder / "arrays"),
        "export": ("export", net, *chips, "-o", folder / "export"),
        "frontier": ("frontier", net, *few, *chips, "--gammas", "-1", "-o", folder / "frontier"),
        "compare": ("compare", net, *few, *chips, "-o", folder / "compare"),
        "trim": ("trim", net, *digits, *chips, "-o", folder / "trim"),
        "record": ("record", "--source", "spice", *chips, "--duration", 0.001, "-o", folder / "record.csv"),
        "train": ("train", "--model", "fhn", *few, *chips, "-o", folder / "trained.npz", "--epochs", 1, "--hidden", 3),
        "sweep": ("sweep", folder / f"plan_{technology}.yaml", "-o", folder / f"run_{technology}"),
        "allocate": ("allocate", folder / f"plan_{technology}.yaml", "-o", folder / f"cheap_{technology}"),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(commands(Path(), "")))
def test_impossible_values_are_refused_by_every_command(name: str, folder: Path) -> None:
    status, out, err = command_line.run(*commands(folder, "impossible")[name])
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line == (
        f"analog-fhn: {folder / 'impossible.yaml'}: array.g_max = 100.0: expected 1e-15 to 1 S (100 uS is 0.0001)"
    )


@pytest.mark.parametrize("name", ["classify", "record", "sweep"])
def test_unusual_values_are_said_by_commands(name: str, folder: Path) -> None:
    _, _, err = command_line.run(*commands(folder, "unusual")[name])
    assert err.splitlines().count(f"analog-fhn: warning: {UNUSUAL}") == 1


def test_design_says_unusual_values_and_what_they_lead_to(folder: Path) -> None:
    _, out, _ = command_line.run(*commands(folder, "unusual")["design"])
    assert f"warning: {UNUSUAL}\n" in out
    # 1 V per unit of z from 0.05 S of one weight of 1 at 1 V
    assert "warning: Rb of the input array = 20 ohm: outside 100 ohm to 1e+07 ohm\n" in out


def test_points_of_a_sweep_are_checked_too(folder: Path) -> None:
    _, _, err = command_line.run("sweep", folder / "plan_points.yaml", "-o", folder / "run_points")
    assert err.splitlines().count(f"analog-fhn: warning: {UNUSUAL}") == 1
    status, _, err = command_line.run("sweep", folder / "plan_wrong_points.yaml", "-o", folder / "run_wrong")
    assert status == 2
    assert "point 1 (array.g_max = 100): technology 'discrete': array.g_max = 100: expected 1e-15 to 1 S" in err
