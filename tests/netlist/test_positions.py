"""Netlists of networks whose activations are held: what rows are given at every position, which files there are."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import small_cnn

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.export import Form, export, write_chip
from analog_fhn.netlist.positions import Rows, Segment, handed_on, means_matrix, row_volts, segments
from analog_fhn.netlist.whole_chip import estimated_seconds
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.patches import AveragePool, Front, Patches
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires


def chip(*, two: bool = False, hidden: bool = False) -> ManufacturedChip:
    return small_cnn.chip(small_cnn.network(two=two, hidden=hidden))


def test_a_segment_ends_where_activations_are_held() -> None:
    assert segments(small_cnn.network()) == (Segment(range(1), False), Segment(range(1, 1), True))
    both = small_cnn.network(two=True, hidden=True)
    assert both.held == (True, True, False)
    assert segments(both) == (Segment(range(1), False), Segment(range(1, 2), False), Segment(range(2, 3), True))
    dense = Network.of_weights([np.ones((2, 2))] * 3)
    assert segments(dense) == (Segment(range(2), True),)


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_rows_are_given_what_the_patches_take(dilation: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    patches = Patches((7, 6, 2), (3, 2), (2, 1), ((1, 0), (2, 1)), dilation, fill=(0.5, -0.25))
    layers = (
        AveragePool((14, 6, 2), (2, 1), (2, 1)),
        Convolution(rng.normal(size=(12, 2)), None, "sigmoid", "tanh", None, patches),
    )
    net = Network((*layers, Dense(rng.normal(size=(patches.n_positions * 2, 3)))))
    made = Design(net, Technology.load("discrete")).chip(1)
    image = rng.random(14 * 6 * 2)
    expected = net.fronts[0].rows(image[None]) * made.arrays[0].row_volts[0]
    rows = Rows.of(made, 0)
    assert rows.grid == patches.positions
    for k, position in enumerate(product(range(rows.grid[0]), range(rows.grid[1]))):
        np.testing.assert_allclose(row_volts(made, 0, image, position), expected[k], rtol=1e-12)


def test_deeper_rows_have_the_errors_of_the_hold_stages_before() -> None:
    made = chip(two=True)
    values = np.random.default_rng(1).random(32)
    layer = made.layers[1]
    assert layer.row_errors is not None
    expected = (layer.front.rows(values[None]) + layer.row_errors) * made.arrays[1].row_volts[0]
    for column in range(2):
        np.testing.assert_allclose(row_volts(made, 1, values, (0, column)), expected[column], rtol=1e-12)


def test_means_as_a_matrix_are_those_of_the_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.netlist.positions._GROUP", 7)
    pools = (AveragePool((7, 6, 2), (3, 2), (2, 2), ((1, 0), (0, 1))), AveragePool((3, 3, 2), (2, 2)))
    front, values = Front(pools), np.random.default_rng(2).normal(size=84)
    expected = pools[1](pools[0](values[None]))[0]
    np.testing.assert_allclose(means_matrix(front, 84) @ values, expected, rtol=1e-12)
    np.testing.assert_array_equal(means_matrix(Front(), 5).toarray(), np.eye(5))


@pytest.mark.parametrize("count_padding", [False, True])
def test_commands_between_layers_hand_on_means_with_their_droop(
    count_padding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analog_fhn.netlist.positions._TERMS", 3)
    rng = np.random.default_rng(4)
    first = Convolution(rng.normal(size=(4, 2)), None, "sigmoid", "tanh", None, Patches((6, 5, 1), (2, 2)))
    pool = AveragePool((5, 4, 2), (3, 2), (2, 1), ((1, 1), (1, 0)), count_padding)
    lines, places, _ = pool.output_shape
    patches = Patches(pool.output_shape, (2, 2), padding=((0, 1), (1, 0)), fill=(0.5, 0.0))
    second = Convolution(rng.normal(size=(8, 2)), None, "sigmoid", "tanh", None, patches)
    net = Network((first, pool, second, Dense(rng.normal(size=(patches.n_positions * 2, 2)))))
    made = small_cnn.chip(net)
    held = rng.random(40)
    vectors = {"held_0": held, "values_1": np.zeros(Rows.of(made, 1).n_values)}
    for line in handed_on(made, 0):
        if not line.startswith("*"):
            exec(line.removeprefix("let ").replace("const.", ""), {}, vectors)
    # droop in the windows until all positions are over
    holds, window = made.hardware[0].holds, made.network.protocol.settle + made.network.protocol.control
    assert holds is not None
    waited = np.repeat(np.arange(20.0)[::-1], 2) * window * made.time_unit
    means = pool((held + holds.droop * waited)[None])[0].reshape(lines, places, 2)
    expected = np.zeros((lines + 1, places + 1, 2))
    expected[..., 0] = 0.5 * made.arrays[1].row_volts[0]
    expected[:lines, 1:] = means
    np.testing.assert_allclose(vectors["values_1"], expected.ravel(), rtol=1e-12)


FILES = {
    ("full", False): {"layer_0.cir", "layer_1.cir", "output.cir"},
    ("full", True): {"layer_0.cir", "layer_1.cir", "layer_2.cir"},
    ("reduced", False): {f"cell{one}.cir" for one in ("_000", "_001", "_1_000", "_1_001")} | {"output.cir"},
    ("reduced", True): {f"cell{one}.cir" for one in ("_000", "_001", "_1_000", "_1_001", "_2_000", "_2_001")}
    | {"output.cir"},
}


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("form", ["full", "reduced"])
def test_files_of_a_convolutional_network(form: Form, hidden: bool, tmp_path: Path) -> None:
    made = chip(two=True, hidden=hidden)
    names = export(made, small_cnn.image(), tmp_path, {}, form=form)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    decks = {name for name in names if name.endswith(".cir")}
    assert decks == FILES[form, hidden] | {"run.cir", "voltages.cir"}
    assert "sample_hold.lib" in names
    assert [name for name in names if name.startswith("cond")] == [f"conductances_{k}.csv" for k in range(3 + hidden)]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["windows"] == 16 + 2 + hidden
    for name in FILES[form, hidden]:
        names_of = [
            line.split()[0].lower() for line in (tmp_path / name).read_text().splitlines() if line[0] not in "*+."
        ]
        assert len(names_of) == len(set(names_of))
    titles = [path.read_text().splitlines()[0] for path in (*tmp_path.glob("*.cir"), *tmp_path.glob("*.lib"))]
    assert all(title.startswith("* ") for title in titles)


def test_an_export_removes_what_the_one_before_wrote(tmp_path: Path) -> None:
    export(chip(two=True), small_cnn.image(), tmp_path, {}, form="full")
    for name in ("activations.txt", "scores.txt"):
        (tmp_path / name).write_text("of a run\n")
    names = export(chip(), small_cnn.image(), tmp_path, {}, form="reduced")
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())


def test_one_position_is_a_circuit_of_its_own(tmp_path: Path) -> None:
    made = chip(two=True)
    values = np.random.default_rng(1).random(32)
    names = export(made, small_cnn.image(), tmp_path, {}, form="full", position=(0, 1), held=[values])
    assert {name for name in names if name.endswith(".cir")} == {"layer_0.cir", "layer_1.cir", "run.cir"}
    sources = dict(re.findall(r"^V(r1_00\d) r1_00\d 0 (\S+)$", (tmp_path / "layer_1.cir").read_text(), re.MULTILINE))
    n_in = made.arrays[1].crossbar.n_in
    found = [float(sources[f"r1_{i:03d}"]) for i in range(n_in)]
    np.testing.assert_array_equal(found, row_volts(made, 1, values, (0, 1)))
    holds = made.hardware[1].holds
    assert holds is not None
    text = (tmp_path / "layer_1.cir").read_text()
    offsets = [float(value) for value in re.findall(r"sample_hold\n.*vos=(\S+)", text)]
    assert offsets == holds.offset[2:4].tolist()  # channels of position 1
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["position"], manifest["layers"], manifest["writes"]) == ([0, 1], [0, 1], "activations.txt")


def test_a_position_that_one_convolution_has_exports_that_one(tmp_path: Path) -> None:
    for position, held in (((3, 3), [np.zeros(32)]), ((0, 1), [])):
        names = export(chip(two=True), small_cnn.image(), tmp_path, {}, position=position, held=held)
        assert {name for name in names if name.endswith(".cir")} == {"layer_0.cir", "run.cir"}


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    made = chip(two=True)
    with pytest.raises(InputError, match=r"position \(4, 0\): .* layer 0 has 4 x 4, layer 1 has 1 x 2"):
        export(made, small_cnn.image(), tmp_path, {}, position=(4, 0))
    dense = Design(Network.of_weights([np.ones((2, 2))] * 2), Technology.load("discrete")).chip(None)
    with pytest.raises(InputError, match="the network has no convolution"):
        export(dense, np.zeros(2), tmp_path, {}, position=(0, 0))
    with pytest.raises(InputError, match="rows cannot carry x"):
        export(made, small_cnn.image(), tmp_path, {}, recentre=False)
    assert not list(tmp_path.iterdir())


def test_time_grows_with_the_positions() -> None:
    one = small_cnn.network()
    for full in (True, False):
        once = estimated_seconds(small_cnn.chip(one), full=full)
        twice = estimated_seconds(small_cnn.chip(one.with_options(control=100.0)), full=full)
        assert twice == pytest.approx(2.0 * once)  # 60 T and 120 T
    first = one.layers[0]
    assert isinstance(first, Convolution)
    assert first.patches is not None
    every = replace(one, layers=(first, Dense(np.ones((32, 2)))))
    fewer = replace(first, patches=replace(first.patches, strides=(1, 3)))
    some = replace(one, layers=(fewer, Dense(np.ones((16, 2)))))
    seconds = [estimated_seconds(small_cnn.chip(net), full=False) for net in (every, some)]
    assert seconds[0] == pytest.approx(2.0 * seconds[1])


LINE = ".control; shell touch owned"


@pytest.mark.parametrize("form", ["full", "reduced", "neurons"])
def test_no_text_of_the_user_reaches_a_netlist(form: str, tmp_path: Path) -> None:
    made = chip(two=True)
    technology = made.technology.model_copy(update={"name": LINE, "source": LINE})
    hostile = replace(made, technology=technology, network=replace(made.network, provenance={LINE: LINE}))
    folders = [tmp_path / "hostile", tmp_path / "plain"]
    for one, folder in zip((hostile, made), folders, strict=True):
        if form == "neurons":
            names = write_chip(one, [np.full(2, -0.5)] * 2, folder, {"image": LINE})
        else:
            names = export(one, small_cnn.image(), folder, {"image": LINE}, form=form)  # type: ignore[arg-type]
    for name in names:
        if name != "manifest.json":
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_wires_and_tiles_are_at_every_position(tmp_path: Path) -> None:
    technology = Technology.load("discrete")
    changes = {"wires": Wires(word=2.0, bit=2.0, driver=2.0), "tile_rows": 4}
    array = technology.array.model_copy(update=changes)
    made = Design(small_cnn.network(), technology.model_copy(update={"array": array})).chip(1)
    export(made, small_cnn.image(), tmp_path, {}, form="full")
    lines = (tmp_path / "layer_0.cir").read_text().splitlines()
    devices = [line for line in lines if re.match(r"R0_\d{3}_\d{3} ", line)]
    assert len(devices) == np.count_nonzero(made.arrays[0].crossbar.conductance)
    with (tmp_path / "bom.csv").open(newline="") as file:
        (stages,) = (row for row in csv.DictReader(file) if row["part"] == "sample-and-hold stage (hold)")
    assert stages["quantity"] == "32"
