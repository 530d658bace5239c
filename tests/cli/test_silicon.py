"""Every command for a chip of transistors: what it says, and what it refuses in one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from analog_fhn.design import Design
from analog_fhn.montecarlo.allocation import _prices
from analog_fhn.montecarlo.plan import Allocation
from analog_fhn.network import Network
from analog_fhn.studies.consumption import estimated
from tests import command_line
from tests.silicon import needs_models
from tests.sweeps import random_features

pytestmark = needs_models

SILICON = ("--technology", "silicon", "--chip", 1)
PARTS = {"total", "neurons", "drive", "array", "amplifiers", "hold", "bias"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silicon") / "net.npz"
    random_features((6, 0.5)).save(path)
    return path


def good(*arguments: object) -> Any:
    status, out, err = command_line.run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out)


def refused(*arguments: object) -> str:
    status, out, err = command_line.run(*arguments)
    assert (status, out) == (2, ""), err
    return err.splitlines()[-1]


def test_design_says_energy_time_and_area(net: Path) -> None:
    content = good("design", "--technology", "silicon", "--network", net)
    assert set(content["energy_per_inference"]) == PARTS
    assert set(content["area"]) == {"total", "neurons", "drives", "arrays", "amplifiers"}
    assert (content["findings"], content["quiescent_power"]) == ([], None)
    _, out, _ = command_line.run("design", "--technology", "silicon", "--network", net)
    assert "an answer takes " in out
    assert "um^2" in out


def test_compare_leaves_out_noise_and_gives_energies_by_parts(net: Path) -> None:
    few = ("--images", 20, "--brian-images", 0, "--spice-images", 0)
    content = good("compare", net, "--dataset", "digits", *SILICON, *few)
    energies = content["energy_per_inference"]
    assert energies["total"] == pytest.approx(sum(energies[name] for name in PARTS - {"total"}))
    assert content["stages"][-1]["name"] == "mismatched differential pairs and integrators"
    assert "have no noise" in content["left_out"]["same chip with the noise of its parts"]
    _, out, err = command_line.run("compare", net, "--dataset", "digits", *SILICON, *few)
    assert "note: stage 'same chip with the noise of its parts' is left out" in err
    assert "neurons " in out.splitlines()[-2]


def test_frontier_has_energies_by_parts(net: Path, tmp_path: Path) -> None:
    content = good("frontier", net, "--dataset", "digits", "--images", 10, *SILICON, "-o", tmp_path)
    assert {point["readout"] for point in content["points"]} == {"mean"}
    assert [p["gamma"] for p in content["power_watt"]] == [-1.0]
    with (tmp_path / "frontier.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [f"{name}_joule" for name in ("neurons", "drive", "array", "amplifiers", "hold", "bias")]
    for row, point in zip(rows, content["points"], strict=True):
        total = float(row["energy_joule"])
        assert total == pytest.approx(sum(float(row[name]) for name in names))
        assert total == pytest.approx(point["energy_per_inference"]["total"])
    of_bias = {float(row["control"]): float(row["bias_joule"]) for row in rows if row["settle"] == "0.0"}
    assert of_bias[14.0] == pytest.approx(2.0 * of_bias[7.0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--readout", "vote"),
            "its cells hand on time averages, of which there is no vote; expected the readout 'mean'",
        ),
        (("--gamma", "-0.5"), "expected a = 1 and gamma = 1 or -1"),
        (("--noise", "intrinsic"), "the equations of transistor neurons have no noise; expected a run without it"),
        (("--noise", "1e-12"), "the equations of transistor neurons have no noise; expected a run without it"),
        (("--errors", "opamp"), "error group 'opamp': expected some of threshold, gain"),
    ],
)
def test_what_classify_refuses(options: tuple[str, ...], words: str, net: Path) -> None:
    assert words in refused("classify", net, "--dataset", "digits", *SILICON, "--images", 2, *options)


def test_trim_writes_the_readout(net: Path, tmp_path: Path) -> None:
    given = ("--dataset", "digits", "--labelled", 200, "--held-out", 100)
    content = good("trim", net, *SILICON, *given, "-o", tmp_path)
    assert [step["name"] for step in content["steps"]] == ["as made", "readout"]
    assert content["accuracy"] > content["accuracy_as_made"] - 0.03
    judged = good(
        "classify", net, "--dataset", "digits", "--trim", tmp_path / "trim.npz", "--images", 100, "--table", 9
    )
    assert judged["accuracy"] == content["accuracy"]


def test_what_trim_refuses(net: Path, tmp_path: Path) -> None:
    given = ("trim", net, *SILICON, "--dataset", "digits", "--labelled", 200, "-o", tmp_path / "new")

    def last_line(*options: object) -> str:
        status, _, err = command_line.run(*given, *options)
        assert status == 2
        return err.splitlines()[-1]

    assert "rows of the cell 'ota_fhn' have no trim codes; expected some of readout" in last_line("--steps", "trim")
    assert "has a noise of" in last_line("--steps", "finetune")
    assert "--drives 7 with --steps readout: it is an option of the step trim" in last_line("--drives", 7)


def test_sweep_over_conditions_and_its_report(net: Path, tmp_path: Path) -> None:
    plan = tmp_path / "sweep.yaml"
    text = [f"network: {net}", "technology: silicon", "dataset: digits"]
    text += ["images: 20", "chips: 2", "seed: 1", "table: 9"]
    plan.write_text("\n".join([*text, "grid: {conditions.corner: [typical, ss], conditions.supply: [0.9]}"]))
    content = good("sweep", plan, "-o", tmp_path / "run", "--workers", 1)
    assert (content["n_trials"], content["n_failed"]) == (4, 0)
    again = good("sweep", plan, "-o", tmp_path / "run", "--resume", "--workers", 1)
    assert again["median_accuracy"] == content["median_accuracy"]
    assert good("report", tmp_path / "run")["n_trials"] == 4
    plan.write_text("\n".join([*text, "grid: {conditions.corner: [slow]}"]))
    assert "conditions.corner = 'slow': expected 'typical', 'ff', 'ss'" in refused("sweep", plan, "-o", tmp_path / "no")


def test_allocation_prices_the_legs_of_every_neuron(net: Path) -> None:
    design = Design(Network.load(net), "silicon")
    prices, unpriced = _prices(design, Allocation.model_validate({"yield": 0.9}))
    areas = {part.name: part.price for part in design.technology.classes["legs"]}
    assert (list(prices), unpriced) == (["legs"], [])
    assert prices["legs"] == pytest.approx({name: 6 * area for name, area in areas.items()})
    for name, area in areas.items():
        changed = Design(design.network, design.technology.with_classes({"legs": name}))
        assert estimated(changed).areas["neurons"] == pytest.approx(6e-12 * area, rel=0.01)


def test_arrays_are_written(net: Path, tmp_path: Path) -> None:
    good("arrays", net, *SILICON, "-o", tmp_path)
    assert (tmp_path / "arrays.csv").exists()


def test_doctor_finds_the_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from analog_fhn.studies.doctor import examine_transistors

    checks, neuron = examine_transistors()
    assert [check.ok for check in checks] == [True, True]
    assert neuron is not None
    assert abs(neuron.period_error) < 0.05
    other = tmp_path / "other.lib"
    other.write_text(".lib nothing\n.endl\n")
    monkeypatch.setenv("ANALOG_FHN_PDK", str(other))
    (check,), neuron = examine_transistors()
    assert (check.ok, check.missing, neuron) == (False, False, None)
    assert "no section 'nfet_03v3_t'; expected the models of gf180mcu" in check.found
