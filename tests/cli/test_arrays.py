"""`analog-fhn arrays`: its numbers are those of the chip, its pictures are written, its refusals are clear."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest

from analog_fhn import plots
from analog_fhn.array.wires import node_voltages
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import make_backend
from analog_fhn.network import Network
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.technology import Technology

WIRES = {"word": 0.5, "bit": 1.0, "driver": 5.0, "sense": 4.0}


def run(*arguments: object) -> tuple[int, str, str]:
    return command_line.run("arrays", *arguments)


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with biases, and a technology with wires and tiles."""
    made = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 6)), rng.normal(size=(6, 10))
    network = Network.of_weights(weights, (5.0 * rng.normal(size=6), rng.normal(size=10)))
    network.with_options(settle=4.0, control=6.0).save(made / "net.npz")
    wired(tile_rows=32, tile_columns=8).save(made / "wired.yaml")
    return made


def wired(**values: Any) -> Technology:
    discrete = Technology.load("discrete")
    data = discrete.model_dump()
    data["array"] |= {"wires": WIRES, **values}
    data["name"] = "wired"
    return BoardTechnology.model_validate(data)


def design(folder: Path) -> Design:
    return Design(Network.load(folder / "net.npz"), Technology.load(folder / "wired.yaml"))


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    status, out, err = run(
        folder / "net.npz", "--technology", folder / "wired.yaml", "--chip", 3, "-o", folder / "out",
        "--json", folder / "result.json",
    )  # fmt: skip
    assert status == 0, err
    return out.splitlines()


@pytest.fixture(scope="module")
def result(folder: Path, printed: list[str]) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_numbers_are_those_of_the_chip(folder: Path, result: Any) -> None:
    chip = design(folder).chip(3)
    for found, layer, target, weights in zip(
        result["arrays"], chip.arrays, design(folder).arrays, chip.network.weights, strict=True
    ):
        g = layer.crossbar.conductance
        assert (found["rows"], found["bit_lines"], found["devices"]) == (*g.shape, g.size)
        assert found["bias_rows"] == len(g) - len(weights)
        assert found["largest_column_sum"] == pytest.approx(g.sum(axis=0).max(), rel=1e-12)
        assert found["siemens_per_weight"] * found["largest_weight"] == pytest.approx(99e-6, rel=1e-12)
        assert found["largest_weight"] == pytest.approx(np.quantile(np.abs(weights), 0.999), rel=1e-12)
        assert (found["rf"], found["ra"], found["rb"]) == tuple(getattr(target.sense, r)[0] for r in ("rf", "ra", "rb"))
        assert found["volts_per_unit"] == target.volts[0]
        made = layer.weights
        assert found["weight_error"] == pytest.approx(np.std(made - weights), rel=0.1)
        slope, _, _, _ = np.linalg.lstsq(weights.reshape(-1, 1), made.ravel())
        assert found["weight_slope"] == pytest.approx(float(slope[0]), rel=1e-9)
    # 73 x 12 in tiles of 32 x 8: 3 x 2; 7 x 20: 1 x 3
    rows = result["arrays"][0]["rows"]
    assert [a["tiles"] for a in result["arrays"]] == [2 * int(np.ceil(rows / 32)), 3]


def test_offset_is_the_spread_of_the_chips_biases(folder: Path) -> None:
    technology = design(folder).technology.with_errors(["amplifier_offset", "wires"])
    offset = Design(design(folder).network, technology)
    technology.save(folder / "offsets.yaml")
    _, out, _ = run(folder / "net.npz", "--technology", folder / "offsets.yaml", "-o", folder / "o", "--json", "-")
    nominal = offset.chip(None)
    chips = [offset.chip(seed) for seed in range(150)]
    for number, found in enumerate(json.loads(out)["arrays"]):
        spread = np.array([chip.arrays[number].bias() - nominal.arrays[number].bias() for chip in chips])
        # four standard errors of 150 chips, 6 or 10 columns
        assert np.sqrt(np.mean(spread**2)) == pytest.approx(found["offset"], rel=4 / np.sqrt(2 * spread.size))


def test_wire_loss_is_that_of_the_line_voltages(folder: Path, result: Any) -> None:
    chip = design(folder).chip(3)
    for found, layer in zip(result["arrays"], chip.arrays, strict=True):
        g = layer.crossbar.conductance
        array = design(folder).technology.array
        word, bit = node_voltages(g, np.ones(len(g)), array.wires, tile_rows=32, tile_columns=8)
        exact = 1 - (g * (word - bit)).sum() / g.sum()
        assert found["wire_loss"] == pytest.approx(exact, rel=1e-9)
        assert 0.5 * exact < found["expected_wire_loss"] < 2.0 * exact


def test_table_says_what_the_json_says(folder: Path, printed: list[str], result: Any) -> None:
    lines = {line[:40].strip(): line[40:].split() for line in printed}
    assert lines["devices"] == [str(a["devices"]) for a in result["arrays"]]
    assert lines["effective weights: slope"] == [f"{a['weight_slope']:.4f}" for a in result["arrays"]]
    with (folder / "out" / "arrays.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, found in zip(rows, result["arrays"], strict=True):
        assert row == {key: str(value) for key, value in found.items()}


def test_pictures_show_the_chip(folder: Path, result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conductances", "weights", "line_losses"):
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    shown: dict[str, Any] = {}
    for name in ("conductances", "weights", "line_losses"):
        keep = getattr(plots, name)
        monkeypatch.setattr(
            plots, name, lambda data, *rest, name=name, keep=keep: shown.update({name: data}) or keep(data, *rest)
        )
    status, _, err = run(
        folder / "net.npz", "--technology", folder / "wired.yaml", "--chip", 3, "-o", folder / "image",
        "--image", 5, "--dataset", "digits",
    )  # fmt: skip
    assert status == 0, err
    chip = design(folder).chip(3)
    for drawn, layer, wanted in zip(
        zip(*(shown[name].values() for name in ("conductances", "weights", "line_losses")), strict=True),
        chip.arrays, chip.network.weights, strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(drawn[0], layer.crossbar.conductance)
        np.testing.assert_array_equal(drawn[1][0], wanted)
        np.testing.assert_array_equal(drawn[1][1], layer.weights)
    check_image(chip, shown["line_losses"])


def check_image(chip: ManufacturedChip, losses: dict[str, Any]) -> None:
    """The currents behind the bit lines' ends are those that make z and the scores of the image."""
    image = load("digits", "test").images[5:6]
    response = make_backend("direct").respond(chip.last.cells, chip.last.drives(image), chip.network.protocol)
    weights, shift = chip.scores_of_rows(True)
    wanted = chip.last.pre_activations(image)[0], (response.mean @ weights + shift)[0]
    for (_, bit), layer, output in zip(losses.values(), chip.arrays, wanted, strict=True):
        g = layer.crossbar.conductance
        tops = range(31, len(g), 32) if len(g) > 32 else []
        ends = sorted({*tops, len(g) - 1})
        current = bit[ends].sum(axis=0) / (WIRES["bit"] + WIRES["sense"])
        plus, minus = current[0::2], current[1::2]
        sense = layer.sense
        # finite gain of 1e6 and noise gains below 100
        volts = sense.rb * (sense.rf / sense.ra * plus - minus) + layer.columns.offset
        np.testing.assert_allclose(volts / layer.volts[0], output, rtol=0, atol=1e-3 * np.abs(output).max())


def test_ideal_wires_lose_nothing_to_show(folder: Path) -> None:
    (folder / "ideal").mkdir()
    (folder / "ideal" / "line_losses.png").write_bytes(b"of another technology")
    status, out, err = run(folder / "net.npz", "-o", folder / "ideal")
    assert status == 0, err
    assert "line_losses.png: not written, the wires of discrete are ideal" in out
    assert not (folder / "ideal" / "line_losses.png").exists()
    assert (folder / "ideal" / "conductances.png").exists()


def test_weights_of_zero_are_shown(tmp_path: Path) -> None:
    Network.of_weights((np.zeros((6, 3)), np.zeros((3, 2)))).save(tmp_path / "zero.npz")
    status, out, err = run(tmp_path / "zero.npz", "-o", tmp_path / "out")
    assert status == 0, err
    assert "RuntimeWarning" not in err
    assert out.count("weights.png") == 1


def test_refusals(folder: Path) -> None:
    net, out = folder / "net.npz", folder / "no"
    assert "--image 3 needs --dataset to take the image from" in refused(net, "-o", out, "--image", 3)
    assert "--dataset digits: without --image K" in refused(net, "-o", out, "--dataset", "digits")
    message = refused(net, "-o", out, "--image", 10**6, "--dataset", "digits")
    assert "--image 1000000" in message
    assert "has images 0 to " in message
    assert "error group 'wire'" in refused(net, "-o", out, "--errors", "wire")
    assert not out.exists()
