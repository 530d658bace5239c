"""`analog-fhn classify --backend twin`: the same classes as from the equations that the twins follow; its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import command_line
import numpy as np
import pytest
from handmade_twin import EPS, handmade

from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.reconstruct.twin import as_neuron

IMAGES = ("--dataset", "digits", "--images", 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    rng = np.random.default_rng(1)
    weights = rng.normal(0.0, 0.5, (64, 4)), rng.normal(0.0, 1.0, (4, 10))
    protocol = Protocol(settle=10.0, control=20.0, interval=0.1)
    Network.of_weights(weights, fhn=FHN(eps=EPS), protocol=protocol, readout="mean").save(folder / "net.npz")
    as_neuron(handmade(), 3.0, 1e-3).save(folder / "twin.npz")
    handmade().save(folder / "plain.npz")
    return folder


def run(folder: Path, *arguments: object) -> tuple[int, str, str]:
    return command_line.run("classify", folder / "net.npz", *IMAGES, *arguments)


def refused(folder: Path, *arguments: object) -> str:
    status, out, err = run(folder, *arguments)
    assert status == 2
    assert out == ""
    (line,) = err.splitlines()
    return line


def classes(path: Path) -> list[str]:
    return [line.split(",")[2] for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def test_twins_decide_as_the_equations_do(folder: Path) -> None:
    twin = folder / "twin.npz"
    status, out, _ = run(
        folder, "--backend", "twin", "--twin", twin, "--twin", twin, "--table", 5, "--tables", folder / "tables",
        "--predictions", folder / "twin.csv", "--json", "-",
    )  # fmt: skip
    assert status == 0
    result = json.loads(out)
    assert result["table"]["n_drives"] == 5
    assert result["identity_deviation"] < 0.1
    assert result["settings"]["backend"] == "twin"
    assert result["settings"]["twins"] == [str(twin)] * 2
    assert len(list((folder / "tables").glob("*.npz"))) == 1
    status, _, _ = run(folder, "--table", 33, "--predictions", folder / "direct.csv")
    assert status == 0
    same = np.mean([a == b for a, b in zip(classes(folder / "twin.csv"), classes(folder / "direct.csv"), strict=True)])
    assert same >= 0.9


def test_a_twin_and_its_backend_belong_together(folder: Path) -> None:
    assert refused(folder, "--twin", "twin.npz") == (
        "analog-fhn: --twin twin.npz is an option of --backend twin; --backend direct has none of that name"
    )
    assert "--twin FILE.npz is missing" in refused(folder, "--backend", "twin")


def test_what_is_no_twin_is_refused(folder: Path) -> None:
    assert "holds nothing" not in refused(folder, "--backend", "twin", "--twin", folder / "absent.npz")
    line = refused(folder, "--backend", "twin", "--twin", folder / "plain.npz")
    assert "plain.npz: is no twin of a neuron" in line


def test_twins_have_no_noise(folder: Path) -> None:
    line = refused(
        folder, "--backend", "twin", "--twin", folder / "twin.npz", "--technology", "discrete", "--noise", "intrinsic"
    )  # fmt: skip
    assert "no reproducible noise" in line


def test_drives_that_were_not_recorded_are_refused(folder: Path) -> None:
    path = folder / "narrow.npz"
    as_neuron(handmade(control=(-0.5, 0.5)), 3.0, 1e-3).save(path)
    assert "was recorded at drives from -0.5 to 0.5" in refused(folder, "--backend", "twin", "--twin", path)
