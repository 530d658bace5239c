"""`analog-fhn trim`: its files name the chip that `classify --trim` and `export --trim` then see."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from repairs import BAD, bench, deep_network, digits_network, images, technology
from sklearn.linear_model import LogisticRegression

from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.trim.finetune import LabelledImages, tune
from analog_fhn.trim.identify import ArrayWeights, ChipTwin, Ends, LayerTwin
from analog_fhn.trim.readout import PENALTIES, LinearReadout, fit_readout
from analog_fhn.trim.repair import STEPS, RepairOptions, as_trained, best_on_all, repair, spread_drives
from analog_fhn.trim.state import load_state, measured_from


def refused(*arguments: object) -> str:
    status, _, err = run(*arguments)
    assert status == 2
    return err.splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with biases, a bad technology, and a chip that was repaired."""
    made = tmp_path_factory.mktemp("trim")
    digits_network(True).save(made / "net.npz")
    technology(**BAD).save(made / "bad.yaml")
    status, _, err = run(
        "trim", made / "net.npz", "--technology", made / "bad.yaml", "--chip", 5, "--dataset", "digits",
        "--labelled", 200, "-o", made / "out", "--json", made / "result.json",
    )  # fmt: skip
    assert status == 0, err
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_every_step_brings_something_at_a_cost(folder: Path, result: Any) -> None:
    with (folder / "out" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["as made", "trim", "readout", "finetune"]
    accuracy = [float(row["accuracy"]) for row in rows]
    assert accuracy[1] > accuracy[0] + 0.01
    assert accuracy[2] > accuracy[0] + 0.01
    assert accuracy[3] > accuracy[2] + 0.01
    assert accuracy[3] > result["accuracy_plain"] - 0.02  # 500 images: two standard errors are 0.014
    assert [int(row["pulses"]) > 0 for row in rows] == [False, False, True, True]
    assert int(rows[0]["runs"]) == 0
    # 5 drives, 2 n runs for the ends twice, and up to 3 times 3 n images for the offsets
    assert 5 + 4 * 24 < int(rows[1]["runs"]) <= 5 + 4 * 24 + 3 * 72
    for row in rows:
        assert float(row["seconds"]) == pytest.approx(0.3 * int(row["runs"]))
    assert result["costs"]["pulses"] == sum(int(row["pulses"]) for row in rows)


def test_files_are_written(folder: Path, result: Any) -> None:
    for name in result["files"]:
        assert (folder / "out" / name).stat().st_size > 0
    assert {"run.cir", "conductances_0.csv", "conductances_1.csv", "accuracy.png"} <= set(result["files"])
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["steps"] == result["steps"]


@pytest.mark.parametrize("options", [["--table", 9], ["--images", 100]])
def test_classify_judges_exactly_this_chip(folder: Path, result: Any, options: list[object]) -> None:
    status, _, err = run(
        "classify", folder / "net.npz", "--dataset", "digits", "--trim", folder / "out" / "trim.npz",
        "--json", folder / "classified.json", *options,
    )  # fmt: skip
    assert status == 0, err
    found = json.loads((folder / "classified.json").read_text())
    if "--images" in options:  # every image simulated
        assert found["accuracy"] == pytest.approx(result["accuracy"], abs=0.1)
    else:
        assert found["accuracy"] == result["accuracy"]
        assert found["settings"]["chip"] == 5


def test_export_writes_the_targets_and_devices_of_the_trimmed_chip(folder: Path) -> None:
    network = Network.load(folder / "net.npz")
    state, made = load_state(folder / "out" / "trim.npz", network)
    status, _, err = run("export", folder / "net.npz", "--trim", folder / "out" / "trim.npz", "-o", folder / "exported")
    assert status == 0, err
    chip = state.chip(Design(network, made))
    for layer in range(2):
        table = np.genfromtxt(folder / "exported" / f"conductances_{layer}.csv", delimiter=",", names=True)
        np.testing.assert_array_equal(table["target_siemens"], state.targets[layer].crossbar.conductance.ravel())
        np.testing.assert_array_equal(table["made_siemens"], chip.arrays[layer].crossbar.conductance.ravel())
    assert not np.array_equal(state.targets[0].crossbar.g_plus, Design(network, made).arrays[0].crossbar.g_plus)


def test_a_trim_file_comes_back_as_it_was(tmp_path: Path) -> None:
    tested = bench(5, digits_network(True), **BAD)
    repair(tested, ["trim", "readout"], images("train", 150), images("test", 50), options=RepairOptions(rounds=3))
    tested.state.save(tmp_path / "trim.npz", tested.design)
    state, made = load_state(tmp_path / "trim.npz", digits_network(True))
    chip = state.chip(Design(digits_network(True), made))
    for one, other in zip(chip.arrays, tested.chip.arrays, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(chip.output.bias, tested.chip.output.bias)
    np.testing.assert_array_equal(chip.layers[0].cells.row_stage.gain, tested.chip.layers[0].cells.row_stage.gain)
    with np.load(tmp_path / "trim.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_fine_tuning_with_the_chip_in_the_forward_pass() -> None:
    pytest.importorskip("jax")
    weights, accuracy = [], []
    for epochs in (0, 2):
        tested = bench(6, digits_network(True), **BAD)
        done = repair(
            tested, ["finetune"], images("train", 150), images("test"), images("train"),
            RepairOptions(rounds=5, epochs=epochs),
        )  # fmt: skip
        assert done[1].facts["twin_error"] < 0.01
        weights.append(tested.chip.layers[0].weights)
        accuracy.append(done[1].accuracy)
        assert done[1].accuracy > done[0].accuracy + 0.02
    assert accuracy[1] > accuracy[0] - 0.02  # 500 images: two standard errors are 0.014
    assert not np.array_equal(*weights)


def test_networks_without_biases_are_repaired_too() -> None:
    tested = bench(6, digits_network(False), **BAD)
    done = repair(tested, STEPS, images("train", 300), images("test"), images("train"), RepairOptions(rounds=5))
    accuracy = [step.accuracy for step in done]
    # The readout is as good as 300 images let it be; all of the training set makes it better. 500 images: two standard
    # errors of a difference are 3.4 points.
    assert accuracy[2] > accuracy[0] + 0.1
    assert accuracy[3] > accuracy[2] - 0.034
    assert accuracy[3] > accuracy[0] + 0.2


def test_tuning_makes_up_in_the_weights_for_what_is_wrong_with_the_neurons() -> None:
    pytest.importorskip("jax")
    network, shown = digits_network(True), images("train")
    rng = np.random.default_rng(0)
    weights = network.weights[0] * (1.0 + 0.3 * rng.normal(size=network.weights[0].shape))
    neurons = Ends(rng.uniform(0.3, 0.7, 24), rng.uniform(0.4, 0.6, 24), np.ones(24, dtype=bool))
    layer = LayerTwin(ArrayWeights(weights, network.biases[0]), neurons, network.fhn.slope)
    twin = ChipTwin((layer,))

    def loss(twin: ChipTwin, readout: LinearReadout) -> float:
        scores = twin.hidden(shown.images) @ readout.weights + readout.bias
        right = scores[np.arange(len(shown.labels)), shown.labels]
        return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - right))

    start = LinearReadout(network.weights[1], network.biases[1])
    reach = weights - 0.02, weights + 0.02
    (tuned,), readout = tune(twin, start, [reach], shown, epochs=5)
    assert np.all((tuned >= reach[0] - 1e-6) & (tuned <= reach[1] + 1e-6))
    after = ChipTwin((replace(layer, array=ArrayWeights(tuned, network.biases[0])),))
    assert loss(after, readout) < 0.8 * loss(twin, start)
    assert loss(after, start) < loss(twin, start)  # the input weights by themselves


def test_only_the_output_array_is_written_on_request() -> None:
    tested = bench(6, **BAD)
    before = tested.chip.layers[0].weights
    done = repair(
        tested, ["finetune"], images("train", 150), images("test"), images("train"), RepairOptions(reprogram="output")
    )
    np.testing.assert_array_equal(tested.chip.layers[0].weights, before)
    assert done[1].accuracy > done[0].accuracy


def test_wrong_use_is_refused(folder: Path, tmp_path: Path) -> None:
    net, trim = folder / "net.npz", folder / "out" / "trim.npz"
    known = "trim", net, "--technology", folder / "bad.yaml", "--dataset", "digits", "-o", tmp_path
    assert "'glue' is not one of trim, readout, finetune" in refused(*known, "--steps", "trim,glue")
    assert "20 labelled images: expected more than the network's 24" in refused(*known, "--labelled", 20)
    assert "--verify 2" in refused(*known, "--verify", 2)
    assert "--dataset is missing" in refused("trim", net, "-o", tmp_path)
    assert "--chip 3 with --measurements" in refused(
        "trim", net, "-o", tmp_path, "--measurements", tmp_path / "m.csv", "--chip", 3
    )
    assert "--labelled 5000: " in refused(*known, "--labelled", 5000)
    assert "--held-out 5000: " in refused(*known, "--held-out", 5000)
    assert "--unit volts without --measurements" in refused(*known, "--unit", "volts")
    assert "--epochs 3 with --reprogram output" in refused(*known, "--reprogram", "output", "--epochs", 3)
    assert "--epochs 3 with --steps trim" in refused(*known, "--steps", "trim", "--epochs", 3)
    assert "--rounds 3 with --steps trim: it is an option of the steps readout and finetune" in refused(
        *known, "--steps", "trim", "--rounds", 3
    )
    assert "--verify 0.1 with --steps trim" in refused(*known, "--steps", "trim", "--verify", 0.1)
    assert "--drives 4 with --steps readout,finetune: it is an option of the step trim" in refused(
        *known, "--steps", "readout,finetune", "--drives", 4
    )
    assert "--reprogram both with --steps trim,readout" in refused(
        *known, "--steps", "trim,readout", "--reprogram", "both"
    )
    assert "--reading-noise -1" in refused(*known, "--reading-noise", -1)
    judged = "classify", net, "--dataset", "digits", "--trim"
    assert "--readout vote: " in refused(*judged, trim, "--readout", "vote")
    assert "was made with the readout 'mean'" in refused(*judged, trim, "--readout", "vote")
    assert "--raw: " in refused(*judged, trim, "--raw")
    assert "--raw: " in refused("export", net, "-o", tmp_path / "none", "--trim", trim, "--raw")
    assert "gain_code[0] is -10001: expected -128 to 127" in refused(*judged, changed(trim, tmp_path, code=-10001))
    assert "chip is 'five': expected a whole number from 0" in refused(*judged, changed(trim, tmp_path, chip="five"))
    assert "saturated rows is -1: expected" in refused(
        *judged, changed(trim, tmp_path, saturated={"rows": -1, "outputs": 0})
    )
    assert "recentre is 1: expected true or false" in refused(*judged, changed(trim, tmp_path, recentre=1))
    assert "format 1; this version reads format 2" in refused(*judged, changed(trim, tmp_path, format=1))
    with pytest.raises(InputError, match="made recentred, but the network is raw"):
        load_state(trim, digits_network(True).with_options(recentre=False))
    with pytest.raises(InputError, match="made for 'sigmoid' hidden units, but the network has 'tanh'"):
        load_state(trim, Network.of_weights(digits_network(True).weights, digits_network(True).biases, "tanh"))
    with pytest.raises(InputError, match="epochs = 2 with reprogram = 'output'"):
        RepairOptions(epochs=2, reprogram="output")
    assert "is the trim of chip 5" in refused(*judged, trim, "--chip", 4)
    assert "--technology discrete" in refused(*judged, trim, "--technology", "discrete")
    assert "is no .npz file" in refused(*judged, folder / "bad.yaml")
    assert "no 'meta' in it" in refused(*judged, broken(trim, tmp_path, "meta"))
    assert "'gain_code' is missing" in refused(*judged, broken(trim, tmp_path, "gain_code"))
    with pytest.raises(InputError, match="expected the network that was trimmed"):
        load_state(trim, digits_network(False))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--steps", "trim"), ("--labelled", 100), ("--held-out", 9), ("--drives", 4), ("--rounds", 8),
        ("--verify", 0.1),
        ("--reprogram", "both"), ("--epochs", 0), ("--reading-noise", 0.1), ("--backend", "direct"), ("--table", 9),
        ("--tables", "x"), ("--errors", "none"), ("--data", "x"), ("--dataset", "digits"),
    ],
)  # fmt: skip
def test_options_of_a_simulated_chip_are_refused_with_measurements(
    folder: Path, tmp_path: Path, option: str, value: object
) -> None:
    given = "trim", folder / "net.npz", "-o", tmp_path / "out", "--measurements", tmp_path / "m.csv", option, value
    assert f"{option} {value} with --measurements" in refused(*given)
    assert not (tmp_path / "out").exists()


def test_readout_and_recentring_are_those_of_the_trim(folder: Path, tmp_path: Path) -> None:
    status, out, err = run(
        "trim", folder / "net.npz", "--dataset", "digits", "--raw", "--readout", "vote", "--errors", "resistor,array",
        "--chip", 2, "--steps", "trim", "--labelled", 60, "--held-out", 50, "-o", tmp_path / "out", "--json",
        tmp_path / "trim.json",
    )  # fmt: skip
    assert status == 0, err
    suggested = out.splitlines()[-1].split("Try: analog-fhn ")[1].split()
    status, _, err = run(*suggested, "--images", 50, "--json", tmp_path / "c.json")
    assert status == 0, err
    trimmed, judged = (json.loads((tmp_path / name).read_text()) for name in ("trim.json", "c.json"))
    assert judged["accuracy"] == trimmed["accuracy"]
    assert trimmed["saturated"] == trimmed["steps"][-1]["saturated"]
    for key in ("readout", "recentre", "protocol", "errors", "technology_values"):
        assert judged["settings"][key] == trimmed["settings"][key]
    assert (judged["settings"]["readout"], judged["settings"]["recentre"]) == ("vote", False)
    assert judged["settings"]["errors"] == ["resistor", "array"]
    # The window is no part of the chip; what was exact stays so.
    status, _, err = run(
        "export", folder / "net.npz", "--trim", tmp_path / "out" / "trim.npz", "--control", 10, "--errors",
        "programming,opamp", "-o", tmp_path / "build", "--form", "reduced", "--json", tmp_path / "e.json",
    )  # fmt: skip
    assert status == 0, err
    settings = json.loads((tmp_path / "e.json").read_text())["settings"]
    assert settings["trim"] == str(tmp_path / "out" / "trim.npz")
    assert settings["errors"] == ["programming"]
    assert (settings["recentre"], settings["protocol"]["control"]) == (False, 10.0)


def changed(path: Path, folder: Path, *, code: int | None = None, **meta: Any) -> Path:
    """The trim file with its first gain code or entries of its meta changed."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["meta"] = np.array(json.dumps(json.loads(str(arrays["meta"])) | meta))
    if code is not None:
        arrays["gain_code"][0] = code
    np.savez(folder / "changed.npz", **arrays)
    return folder / "changed.npz"


def broken(path: Path, folder: Path, without: str) -> Path:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != without}
    np.savez(folder / "broken.npz", **arrays)
    return folder / "broken.npz"


def test_a_neuron_beyond_its_codes_is_named(folder: Path, tmp_path: Path) -> None:
    drives = spread_drives(digits_network(True), 4)
    responses = -1.0 - drives
    responses[:, 7] = -1.0 - 1e-3 * drives[:, 7]
    np.savez(tmp_path / "bench.npz", drives=drives, responses=responses)
    status, out, err = run(
        "trim", folder / "net.npz", "--measurements", tmp_path / "bench.npz", "-o", tmp_path / "out", "--json", "-"
    )
    assert status == 0, err
    assert "7 (0.001)" in err
    assert json.loads(out)["neurons_beyond_codes"] == [7]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["neurons_beyond_codes"] == [7]


def test_a_bad_file_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    drives = spread_drives(digits_network(True), 4)
    np.savez(
        tmp_path / "bench.npz", drives=drives, responses=-1.0 - drives, hidden=np.ones((0, 24)), labels=np.ones(0)
    )  # fmt: skip
    given = "trim", folder / "net.npz", "--measurements", tmp_path / "bench.npz", "-o", tmp_path / "out"
    assert "key 'hidden': 0 rows; expected labelled images in at least 25" in refused(*given)
    assert not (tmp_path / "out").exists()


def test_measurements_of_a_real_chip(folder: Path, tmp_path: Path) -> None:
    tested = bench(5, digits_network(True), **BAD)
    drives, shown = spread_drives(digits_network(True), 4), images("train", 200)
    hidden, scores = tested.both(shown.images, 1)
    np.savez(
        tmp_path / "bench.npz", drives=drives, responses=tested.neurons(0, drives), hidden=hidden, labels=shown.labels,
        scores=scores,
    )  # fmt: skip
    status, out, err = run(
        "trim", folder / "net.npz", "--technology", folder / "bad.yaml", "--measurements", tmp_path / "bench.npz",
        "-o", tmp_path / "out", "--json", "-",
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(out)
    assert found["slope_mean"] == pytest.approx(1.0, abs=0.1)
    assert found["validated"] > 0.7
    assert "readout from 200 images: " in err
    assert {"codes.csv", "trim.npz", "conductances_1.csv"} <= {p.name for p in (tmp_path / "out").iterdir()}
    with (tmp_path / "out" / "codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["code_of"] for row in rows].count("gain") == 24
    status, _, err = run(
        "classify", folder / "net.npz", "--dataset", "digits", "--trim", tmp_path / "out" / "trim.npz", "--table", 9
    )
    assert status == 0, err
    assert f"holds the codes of the chip measured in {tmp_path / 'bench.npz'}; here they are set on a nominal" in err


def test_images_of_a_file_without_splits_are_held_out(folder: Path, tmp_path: Path) -> None:
    """Chip repaired on a user's own file: judged on what it was not shown."""
    mine, apart = images("train", 300), np.zeros(300, dtype=bool)
    for k in range(10):
        apart[np.flatnonzero(mine.labels == k)[4::5]] = True
    np.savez(tmp_path / "mine.npz", images=mine.images, labels=mine.labels)
    np.savez(
        tmp_path / "apart.npz", train_images=mine.images[~apart], train_labels=mine.labels[~apart],
        test_images=mine.images[apart], test_labels=mine.labels[apart],
    )  # fmt: skip
    found = []
    for name in ("mine", "apart"):
        status, out, err = run(
            "trim", folder / "net.npz", "--technology", folder / "bad.yaml", "--chip", 5, "--dataset",
            tmp_path / f"{name}.npz", "--labelled", 100, "--steps", "readout", "-o", tmp_path / name, "--json", "-",
        )  # fmt: skip
        assert status == 0, err
        assert ("has no test images of its own" in err) == (name == "mine")
        found.append([step["accuracy"] for step in json.loads(out)["steps"]])
    assert found[0] == found[1]


def data_file(path: Path, **train: np.ndarray) -> Path:
    judged = images("test", 60)
    np.savez(
        path, train_images=train["images"], train_labels=train["labels"], test_images=judged.images,
        test_labels=judged.labels,
    )  # fmt: skip
    return path


def test_labels_that_no_readout_can_be_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    known = "trim", folder / "net.npz", "--technology", folder / "bad.yaml", "-o", tmp_path / "out", "--dataset"
    shown = images("train", 300)
    order = np.argsort(shown.labels, kind="stable")
    mixed = data_file(tmp_path / "sorted.npz", images=shown.images[order], labels=shown.labels[order])
    err = refused(*known, mixed, "--labelled", 90)
    assert "--labelled 90: the first 90 training images" in err
    assert "none is of class 3, 4, 5, 6, 7, 8, 9; expected images of each of the network's 10 classes" in err
    for labels in ((shown.labels + 1) % 10, np.random.default_rng(0).permutation(shown.labels)):
        err = refused(*known, data_file(tmp_path / "wrong.npz", images=shown.images, labels=labels), "--labelled", 100)
        assert (
            "% of them, no more than chance may give; expected the images and the classes that it was trained for"
            in err
        )
    assert not (tmp_path / "out").exists()
    # All of them, and codes alone, which need no labels, are no worse sorted.
    run_of = run(*known, mixed, "--labelled", 60, "--steps", "trim")
    assert run_of[0] == 0, run_of[2]
    accuracy = []
    for given in (shown, LabelledImages(shown.images[order], shown.labels[order])):
        done = repair(bench(5, digits_network(True), **BAD), ["trim", "readout"], given, images("test"))
        accuracy.append(done[-1].accuracy)
    assert accuracy[1] > accuracy[0] - 0.034  # 500 images: two standard errors of a difference


def test_copies_of_too_few_images_are_refused() -> None:
    shown = images("train", 20)
    copies = LabelledImages(np.tile(shown.images, (5, 1)), np.tile(shown.labels, 5))
    with pytest.raises(
        InputError, match="100 labelled images, of which 20 differ: expected more than the network's 24"
    ):
        repair(bench(5, digits_network(True)), ["trim"], copies, images("test", 50))


def test_fine_tuning_chooses_its_penalty_on_images_left_out() -> None:
    tested, shown, fresh = bench(None, digits_network(True)), images("train", 80), images("test")
    labels = shown.labels.copy()
    labels[::4] = np.random.default_rng(0).permutation(
        labels[::4]
    )  # a quarter of them wrong: not to be learnt by heart
    hidden, new = tested.hidden(shown.images), tested.hidden(fresh.images)
    start, noisy = as_trained(tested.design.network), LabelledImages(shown.images, labels)
    made = best_on_all(tested, hidden, noisy, start)
    losses = {p: fit_readout(hidden, labels, start, p).loss(new, fresh.labels) for p in PENALTIES}
    assert made.penalty != PENALTIES[0]
    assert losses[made.penalty] < 0.5 * losses[PENALTIES[0]]


def test_a_chip_whose_neurons_all_saturate_without_input_is_repaired(tmp_path: Path) -> None:
    given = digits_network()
    total = 3.0 * given.weights[0].sum(axis=0)
    chosen = np.argsort(-np.abs(total))[:12]
    # For images whose paper is 1 and ink 0: without input the neurons are far from where any image brings them.
    shown, judged = images("train", 400), images("test", 60)
    first = 3.0 * given.weights[0][:, chosen]
    hidden = 1.0 / (1.0 + np.exp(-shown.images.astype(float) @ first))
    second = LogisticRegression(C=0.3, max_iter=2000).fit(hidden, shown.labels)
    network = Network.of_weights((-first, second.coef_.T), (total[chosen], second.intercept_))
    network.save(tmp_path / "net.npz")
    inverted = tmp_path / "inverted.npz"
    np.savez(
        inverted, train_images=1.0 - shown.images, train_labels=shown.labels, test_images=1.0 - judged.images,
        test_labels=judged.labels,
    )  # fmt: skip
    status, _, err = run(
        "trim", tmp_path / "net.npz", "--dataset", inverted, "--chip", 5, "--labelled", 60, "--rounds", 2,
        "-o", tmp_path / "out", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert status == 0, err
    for path in (tmp_path / "r.json", tmp_path / "out" / "summary.json"):
        assert json.loads(path.read_text())["steps"][-1]["facts"]["input_error_after"] is None


def test_a_folder_in_the_way_is_named_before_the_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    drives = spread_drives(digits_network(True), 4)
    np.savez(tmp_path / "bench.npz", drives=drives, responses=-1.0 - drives)
    given = "trim", folder / "net.npz", "-o", tmp_path
    assert "summary.json: cannot be written" in refused(*given, "--dataset", "digits")
    assert "summary.json: cannot be written" in refused(*given, "--measurements", tmp_path / "bench.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench.npz", "summary.json"]


def test_a_readout_that_stays_is_told(folder: Path, tmp_path: Path) -> None:
    tested, shown = bench(None, digits_network(True)), images("train", 40)
    labels = shown.labels.copy()
    labels[::2] = np.random.default_rng(1).permutation(labels[::2])
    drives = spread_drives(digits_network(True), 4)
    np.savez(
        tmp_path / "bench.npz", drives=drives, responses=tested.neurons(0, drives), labels=np.tile(labels, 2),
        hidden=np.tile(tested.hidden(shown.images), (2, 1)),
    )  # fmt: skip
    status, out, err = run(
        "trim", folder / "net.npz", "--measurements", tmp_path / "bench.npz", "-o", tmp_path / "out", "--json", "-"
    )
    assert status == 0, err
    found = json.loads(out)
    assert found["kept"]
    assert "it stays" in err
    assert "readout from 80 images (40 different ones): " in err
    assert found["validated_before"] == pytest.approx(0.6, abs=0.1)
    assert measured_from(tmp_path / "out" / "trim.npz") == str(tmp_path / "bench.npz")
    assert measured_from(folder / "out" / "trim.npz") is None


def test_a_chip_of_two_hidden_layers_is_repaired_judged_and_exported(folder: Path, tmp_path: Path) -> None:
    net, out = tmp_path / "deep.npz", tmp_path / "out"
    deep_network().save(net)
    status, _, err = run(
        "trim", net, "--technology", folder / "bad.yaml", "--chip", 1, "--dataset", "digits", "--labelled", 200,
        "--rounds", 5, "-o", out, "--json", tmp_path / "trim.json",
    )  # fmt: skip
    assert status == 0, err
    repaired = json.loads((tmp_path / "trim.json").read_text())
    accuracy = [step["accuracy"] for step in repaired["steps"]]
    assert accuracy[2] > accuracy[0] + 0.05
    assert accuracy[3] > repaired["accuracy_plain"] - 0.03  # 500 images: two standard errors are 0.014
    tuned = repaired["steps"][3]["facts"]
    for array in ("input", "array_1", "output"):
        assert tuned[f"{array}_error_after"] < 0.7 * tuned[f"{array}_error_before"]
    assert {f"conductances_{k}.csv" for k in range(3)} <= set(repaired["files"])
    with (out / "codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows if row["code_of"] == "gain"] == ["0"] * 16 + ["1"] * 12
    status, _, err = run(
        "classify", net, "--dataset", "digits", "--trim", out / "trim.npz", "--table", 9, "--json", tmp_path / "c.json"
    )
    assert status == 0, err
    assert json.loads((tmp_path / "c.json").read_text())["accuracy"] == repaired["accuracy"]
    status, _, err = run("export", net, "--trim", out / "trim.npz", "--form", "reduced", "-o", tmp_path / "exported")
    assert status == 0, err
    state, parts = load_state(out / "trim.npz", deep_network())
    table = np.genfromtxt(tmp_path / "exported" / "conductances_1.csv", delimiter=",", names=True)
    chip = state.chip(Design(deep_network(), parts))
    np.testing.assert_array_equal(table["made_siemens"], chip.arrays[1].crossbar.conductance.ravel())
    with pytest.raises(InputError, match="'gain_code_1' is missing"):
        load_state(broken(out / "trim.npz", tmp_path, "gain_code_1"), deep_network())


def test_both_hidden_layers_are_tuned_with_the_chip_in_the_forward_pass() -> None:
    pytest.importorskip("jax")
    tested = bench(1, deep_network(), **BAD)
    before = [array.crossbar.g_plus for array in tested.chip.arrays]
    done = repair(
        tested, ["finetune"], images("train", 150), images("test"), images("train"),
        RepairOptions(rounds=3, epochs=1),
    )  # fmt: skip
    assert done[1].accuracy > done[0].accuracy + 0.05
    assert done[1].facts["twin_error"] < 0.02
    for old, array in zip(before, tested.chip.arrays, strict=True):
        assert not np.array_equal(old, array.crossbar.g_plus)


def test_too_few_images_for_the_larger_of_two_layers_are_refused() -> None:
    with pytest.raises(InputError, match="16 labelled images: expected more than the 16 neurons of a hidden layer"):
        repair(bench(1, deep_network()), ["trim"], images("train", 16), images("test", 50))
