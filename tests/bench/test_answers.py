"""What the page is told, number by number against what the library returns to whoever asks it directly."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import silicon
import small_cnn
import yaml

import analog_fhn as af
from analog_fhn.array.crossbar import Crossbar
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.reference import Reference
from analog_fhn.bench.answers.accuracy import accuracy, sizes
from analog_fhn.bench.answers.array import array
from analog_fhn.bench.answers.follow import follow
from analog_fhn.bench.answers.response import response
from analog_fhn.bench.answers.waveform import waveform
from analog_fhn.bench.answers.yields import YieldRun, yields
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.commands import FILE, commands
from analog_fhn.bench.knobs import network_knobs, technology_knobs
from analog_fhn.bench.state import State, check_value
from analog_fhn.bench.work import Kept, PatientDirect, Stopped, Watch
from analog_fhn.cell.base import Cells
from analog_fhn.data import from_arrays, load
from analog_fhn.inference import confusion, hidden_response, layer_values
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.neuron import FHN, Protocol, trajectory

TURNED = {
    "chip": 3, "gamma": -0.8, "eps": 0.02, "settle": 10.0, "neuron": 2, "image": 7, "images": 150,
    "values": {
        "resistor.tolerance": 0.03, "array.levels": 12, "conditions.temperature": 320.0, "array.wires.word": 2.0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def state(bench: Bench) -> State:
    return bench.state(json.loads(json.dumps(TURNED)))


@pytest.fixture(scope="module")
def chip(network: af.Network) -> Any:
    """The same chip, made as the documentation says."""
    turned = network.with_options(gamma=-0.8, eps=0.02, settle=10.0)
    return af.Design(turned, af.Technology.load("discrete").with_values(TURNED["values"])).chip(3)


@pytest.fixture(scope="module")
def images() -> af.Dataset:
    return load("digits", "test")


def unpacked(content: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(content["data"]), dtype="<f4").reshape(content["shape"])


def test_waveform_is_what_direct_integrates(bench: Bench, state: State, chip: Any, images: af.Dataset) -> None:
    answer = waveform(bench, state, Watch())
    cells, protocol = chip.layers[0].cells[np.array([2])], chip.network.protocol
    drive = chip.layers[0].drives(images.images[7:8])[0, 2]
    finer = replace(protocol, interval=protocol.interval / 10)
    by_hand = Direct().respond(cells, np.array([[drive]]), finer, samples=True)
    assert (answer["neuron"], answer["drive"]) == (2, drive)
    np.testing.assert_allclose(answer["x"], by_hand.samples[: len(answer["x"]), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(answer["time"], finer.sample_times[: len(answer["x"])], rtol=1e-6)
    assert answer["mean"] == by_hand.mean[0, 0]
    assert answer["mean"] == pytest.approx(answer["identity"], abs=0.05)  # a window of 16 periods
    assert answer["mean"] == pytest.approx(Direct().respond(cells, np.array([[drive]]), protocol).mean[0, 0], abs=1e-3)


def test_period_and_phase_plane_are_those_of_the_exact_solver(bench: Bench, state: State, chip: Any) -> None:
    answer = waveform(bench, state.model_copy(update={"neuron": None}), Watch())  # one that oscillates
    cells, drive = chip.layers[0].cells[np.array([answer["neuron"]])], answer["drive"]
    assert answer["rests"] is False
    assert answer["period"] == pytest.approx(af.cycle(cells.dynamics, drive, settle=2.0).period, rel=2e-3)
    fast = answer["phase"]["fast"]
    along, height = (np.array(fast[name])[:, None] for name in ("x", "y"))
    np.testing.assert_allclose(cells.dynamics.derivatives(along, height, 0.0)[0], 0.0, atol=2e-4)
    x, y = answer["phase"]["rest"]
    np.testing.assert_allclose(cells.dynamics.derivatives(x, y, drive), 0.0, atol=1e-9)


def test_a_trajectory_is_that_of_the_reference() -> None:
    cells, protocol = Cells.ideal("sigmoid", FHN(eps=0.05), 1), Protocol(settle=0.0, control=8.0, interval=0.1)
    exact = Reference().respond(cells, np.array([[-0.6]]), protocol, samples=True).samples[:, 0, 0]
    x, _ = trajectory(cells.dynamics, -0.6, np.r_[0.0, protocol.sample_times], protocol.x0, protocol.y0)
    np.testing.assert_allclose(x[1:], exact, atol=2e-3)


def test_a_neuron_that_is_not_named_is_one_that_oscillates(bench: Bench) -> None:
    assert waveform(bench, bench.state({"chip": 1, "image": 3}), Watch())["rests"] is False


def test_response_is_that_of_the_table_that_judges(bench: Bench, state: State, chip: Any, images: af.Dataset) -> None:
    answer = response(bench, state, Watch())
    table = af.Table(af.make_backend("direct"), 9).means(chip.layers[0].cells, chip.network.protocol)
    np.testing.assert_allclose(answer["mean"], table.mean[2], rtol=1e-6)
    np.testing.assert_allclose([answer["drive"][0], answer["drive"][-1]], [table.low[2], table.high[2]], rtol=1e-6)
    drives = chip.layers[0].drives(images.images[7:8])
    np.testing.assert_allclose(answer["image_drives"], drives[0, 2], rtol=1e-6)
    np.testing.assert_allclose(answer["image_means"], table.look_up(drives)[0, 2], rtol=1e-6)


def test_conductances_are_the_chips(bench: Bench, state: State, chip: Any) -> None:
    answer = array(bench, state, Watch())
    assert [one["name"] for one in answer["arrays"]] == ["input array", "output array"]
    for one, built in zip(answer["arrays"], chip.arrays, strict=True):
        assert isinstance(built.crossbar, Crossbar)
        np.testing.assert_array_equal(unpacked(one["conductance"]), built.crossbar.conductance.astype(np.float32))
        assert one["largest"] == built.crossbar.conductance.max()


def test_large_arrays_are_thinned(bench: Bench, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.bench.answers.array._MOST", 500)
    first = array(bench, state, Watch())["arrays"][0]
    assert first["conductance"]["shape"] == [-(-first["rows"] // first["every"]), first["columns"]]
    assert np.prod(first["conductance"]["shape"]) <= 500


def test_an_image_is_followed_to_the_scores_of_classify(
    bench: Bench, state: State, chip: Any, images: af.Dataset
) -> None:
    answer = follow(bench, state, Watch())
    result = af.classify(chip, images.images[7:8])
    np.testing.assert_allclose(answer["scores"], result.scores[0], rtol=1e-6)
    assert (answer["answer"], answer["label"]) == (result.predictions[0], images.labels[7])
    hidden = af.activations(chip, images.images[7:8], Direct())[0]
    np.testing.assert_allclose(answer["layers"][0]["values"], hidden, rtol=1e-6)
    np.testing.assert_allclose(answer["plain_scores"], bench.network.forward(images.images[7:8])[0], rtol=1e-6)
    np.testing.assert_allclose(answer["pixels"], images.images[7], rtol=1e-6)
    assert answer["shape"] == [8, 8, 1]


@pytest.mark.parametrize("readout", ["mean", "vote"])
def test_accuracy_is_that_of_classify_at_every_number_of_images(
    bench: Bench, state: State, chip: Any, images: af.Dataset, readout: Any
) -> None:
    answers = list(accuracy(bench, state.model_copy(update={"readout": readout}), Watch()))
    assert [one["images"] for one in answers] == [100, 150]
    built = replace(chip, network=chip.network.with_options(readout=readout))
    for one in answers:
        n, labels = one["images"], images.labels[: one["images"]]
        result = af.classify(built, images.images[:n], table=33 if readout == "vote" else 9)
        assert one["accuracy"] == result.accuracy(labels)
        assert (one["low"], one["high"]) == wilson(one["right"], n)
        assert one["confusion"] == confusion(result.predictions, labels, 10).tolist()
        assert one["plain"] == bench.network.accuracy(images.images[:n], labels)
    assert one["accuracy"] > 0.5


def test_numbers_of_images_grow_to_all() -> None:
    assert sizes(30) == [30]
    assert sizes(1000) == [100, 200, 500, 1000]
    assert sizes(1797) == [100, 200, 500, 1000, 1797]


def test_yield_is_that_of_a_sweep(bench: Bench, state: State, chip: Any, images: af.Dataset) -> None:
    answers = list(yields(bench, state, YieldRun(chips=6, specification=0.8), Watch()))
    design = af.Design(chip.network, chip.technology)
    study = af.sweep(design, images.head(150), chips=6, specification=0.8, workers=1)
    assert [one["accuracy"] for one in answers] == list(study.accuracies())
    assert [one["seed"] for one in answers] == [row["chip_seed"] for row in study.table()]
    (known,) = study.yield_()
    assert (answers[-1]["yield"], answers[-1]["yield_low"], answers[-1]["yield_high"]) == (
        known.share, known.low, known.high,
    )  # fmt: skip


def test_a_specification_that_says_nothing_is_refused(bench: Bench, state: State) -> None:
    with pytest.raises(af.InputError, match=r"specification = 0\.05: a chip that always answers"):
        next(yields(bench, state, YieldRun(chips=5, specification=0.05), Watch()))
    with pytest.raises(af.InputError, match="chips = 100000: expected 2 to 500"):
        YieldRun.read({"chips": 100_000})


def test_a_convolutional_network_is_followed_position_by_position() -> None:
    net = small_cnn.network(hidden=True)
    data = from_arrays(small_cnn.IMAGES, np.array([0, 1, 0]))
    bench = Bench(net, data, {"network": "cnn.npz", "dataset": "x.npz", "data": None})
    state = bench.state({"chip": 1, "image": 1, "layer": 1, "neuron": 1})
    built = af.Design(net, "discrete").chip(1)
    answer = follow(bench, state, Watch())
    np.testing.assert_allclose(answer["scores"], af.classify(built, data.images[1:2]).scores[0], rtol=1e-6)
    _, outputs = layer_values(built, data.images[1:2], Direct())
    first, second = answer["layers"]
    assert (first["channels"], first["lines"], first["places"], answer["shape"]) == (2, 4, 4, [6, 6, 1])
    np.testing.assert_allclose(np.reshape(first["values"], (2, 16)).T, outputs[0], rtol=1e-6)
    np.testing.assert_allclose(second["values"], outputs[1][0], rtol=1e-6)
    _, passes = hidden_response(built, data.images[1:2], Direct())
    assert waveform(bench, state, Watch())["drive"] == pytest.approx(passes[1].drives[0, 1], rel=1e-9)
    assert waveform(bench, replace_layer(state, 0), Watch())["n_positions"] == 16


def replace_layer(state: State, layer: int) -> State:
    return state.model_copy(update={"layer": layer})


@silicon.needs_models
def test_a_chip_of_transistors_says_that_it_computes(bench: Bench, network: af.Network, images: af.Dataset) -> None:
    said: list[tuple[str, int, int]] = []
    turned = bench.state({"technology": "silicon", "chip": 2, "images": 60})
    *_, shown = accuracy(bench, turned, Watch(lambda *words: said.append(words)))
    chip = af.Design(network.with_options(), "silicon").chip(2)
    assert shown["accuracy"] == af.classify(chip, images.images[:60], table=9).accuracy(images.labels[:60])
    assert {what for what, _, _ in said} >= {"chip", "response tables"}
    assert [done for what, done, _ in said if what == "response tables"] == sorted(
        done for what, done, _ in said if what == "response tables"
    )
    # Other levels of the arrays leave the neurons as they are, and their tables.
    said.clear()
    other = bench.state({"technology": "silicon", "chip": 2, "images": 60, "values": {"array.programming_error": 0.2}})
    *_, other_shown = accuracy(bench, other, Watch(lambda *words: said.append(words)))
    assert "response tables" not in {what for what, _, _ in said}
    assert other_shown["confusion"] != shown["confusion"]


# --- the same elsewhere ----------------------------------------------------------------------------------------


def test_the_shown_lines_of_python_give_the_pages_accuracy(bench: Bench, state: State) -> None:
    *_, shown = accuracy(bench, state, Watch())
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(commands(bench, state)["python"], {})
    assert float(said.getvalue()) == shown["accuracy"]


@pytest.mark.parametrize("values", [TURNED["values"], {"conditions.supply": 0.98, "conditions.temperature": 310.0}])
def test_the_shown_command_gives_the_pages_accuracy(
    bench: Bench, state: State, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = state.model_copy(update={"values": values})
    answer = commands(bench, turned)
    monkeypatch.chdir(tmp_path)
    assert (answer["technology"] is None) == ("conditions.supply" in values)
    if answer["technology"] is not None:
        Path(FILE).write_text(answer["technology"])
    program, *arguments = shlex.split(answer["command"])
    status, out, err = command_line.run(*arguments, "--json", "-")
    assert (program, status) == ("analog-fhn", 0), err
    *_, shown = accuracy(bench, turned, Watch())
    assert json.loads(out)["accuracy"] == shown["accuracy"]


@pytest.mark.parametrize("name", ["-x.npz", "a \"b\" $(touch c) `d` 'e'\n<script>.npz"])
def test_a_name_is_one_word_of_the_command(network: af.Network, images: af.Dataset, name: str) -> None:
    bench = Bench(network, images, {"network": name, "dataset": name, "data": name})
    answer = commands(bench, bench.state({}))
    words = shlex.split(answer["command"])
    assert (Path(words[2]), words[4], words[6]) == (Path(name), name, name)
    assert not words[2].startswith("-")
    assert yaml.safe_load(answer["sweep_file"])["network"] == name
    calls = [node for node in ast.walk(ast.parse(answer["python"])) if isinstance(node, ast.Constant)]
    assert [call.value for call in calls].count(name) == 3


def test_a_name_that_is_no_text_is_refused(network: af.Network, images: af.Dataset) -> None:
    with pytest.raises(af.InputError, match="cannot show this name"):
        Bench(network, images, {"network": "a\udcff.npz", "dataset": "digits", "data": None})


def test_the_shown_sweep_gives_the_pages_chips(bench: Bench, state: State, tmp_path: Path) -> None:
    text = commands(bench, state)["sweep_file"] + "chips: 2\nspecification: 0.8\n"
    (tmp_path / "sweep.yaml").write_text(text)
    status, _, err = command_line.run("sweep", tmp_path / "sweep.yaml", "-o", tmp_path / "run", "--workers", 1)
    assert status == 0, err
    rows = (tmp_path / "run" / "trials.csv").read_text().splitlines()
    place = rows[0].split(",").index("accuracy")
    shown = [one["accuracy"] for one in yields(bench, state, YieldRun(chips=2, specification=0.8), Watch())]
    assert [float(row.split(",")[place]) for row in rows[1:]] == shown


# --- knobs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["discrete", "memristive", "silicon", "sky130"])
def test_every_knob_is_a_value_of_the_technology(name: str, network: af.Network) -> None:
    technology = af.Technology.load(name)
    knobs = technology_knobs(technology, network)
    assert {"array.levels", "array.programming_error", "conditions.temperature"} <= {knob.key for knob in knobs}
    for knob in knobs:
        value: Any = technology
        for part in knob.key.split("."):
            value = getattr(value, part)
        assert knob.value == (value if isinstance(value, int | float | str) else None)
        # Ends of the slider are values that can be asked for.
        for end in knob.slider if not knob.choices else ():
            check_value(knob, int(end) if knob.whole else end)
        assert technology.with_values({knob.key: value if knob.value is None else knob.value}) == technology
    assert len({knob.key for knob in [*knobs, *network_knobs(network, technology)]}) == len(knobs) + 7


def test_transistors_have_no_vote_and_two_gammas(network: af.Network) -> None:
    board, chip = (network_knobs(network, af.Technology.load(name)) for name in ("discrete", "silicon"))
    assert (board[-1].choices, chip[-1].choices) == (("mean", "vote"), ("mean",))
    assert (board[0].key, board[0].steps, chip[0].steps) == ("gamma", (), (-1.0, 1.0))
    assert [knob.value for knob in chip if knob.key in ("settle", "control")] == [20.0, 40.0]  # the network's own
    usual = network.with_options(settle=100.0, control=200.0)
    assert [knob.value for knob in network_knobs(usual, af.Technology.load("silicon")) if knob.unit == "T"] == [
        0.0,
        7.0,
    ]


# --- work that is shared and stopped ---------------------------------------------------------------------------


def test_runs_in_parts_are_the_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.bench.work._RUNS", 6)
    cells, protocol = Cells.ideal("sigmoid", FHN(), 3), Protocol(settle=2.0, control=4.0)
    drives, said = np.linspace(-2.5, 0.5, 15).reshape(5, 3), []
    at_once = Direct().respond(cells, drives, protocol, samples=True)
    parts = PatientDirect(watch=Watch(lambda *words: said.append(words))).respond(cells, drives, protocol, samples=True)
    np.testing.assert_array_equal(parts.mean, at_once.mean)
    np.testing.assert_array_equal(parts.samples, at_once.samples)
    assert said == [("neurons", 0, 5), ("neurons", 2, 5), ("neurons", 4, 5)]
    said.clear()  # runs of six times that length: fewer at a time
    monkeypatch.setattr("analog_fhn.bench.work._TIMES", 1.0)
    PatientDirect(watch=Watch(lambda *words: said.append(words))).respond(cells, drives, protocol)
    assert len(said) == 5


def test_work_that_is_stopped_ends_and_leaves_nothing_behind() -> None:
    kept, watch = Kept(2), Watch()
    watch.stop()
    with pytest.raises(Stopped):
        kept.get("a", lambda: 1, watch)
    assert not kept._busy
    assert kept.get("a", lambda: 2, Watch()) == 2
    assert kept.get("a", lambda: 3, Watch()) == 2
    kept.get("b", lambda: 4, Watch()), kept.get("c", lambda: 5, Watch())
    assert kept.get("a", lambda: 6, Watch()) == 6  # the oldest made room
