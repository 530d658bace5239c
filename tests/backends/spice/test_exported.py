"""Whole chips in plain ngspice: their scores against the direct backend's, in both forms."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, SimulationError
from analog_fhn.inference import classify
from analog_fhn.netlist.export import Form, export
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.technology.sections import LowPass
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires
from analog_fhn.training.plain import train_plain

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")

SIZES = (5, 2, 3)


def made(network: dict[str, Any] | None = None, **array: Any) -> ManufacturedChip:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=SIZES[:2]), rng.normal(size=SIZES[1:])
    biases = rng.normal(size=SIZES[1]), rng.normal(size=SIZES[2])
    net = Network.of_weights(weights, biases, **(network or {})).with_options(settle=2.0, control=10.0)
    technology = Technology.load("discrete")
    changed = technology.array.model_copy(update=array)
    return Design(net, technology.model_copy(update={"array": changed})).chip(1)


IMAGES = np.random.default_rng(1).random((2, SIZES[0]))


def exported(chip: ManufacturedChip, image: FloatArray, form: Form, folder: Path) -> FloatArray:
    export(chip, image, folder, {}, form=form)
    return run_exported(folder)


WIRES = {"word": 50.0, "bit": 40.0, "driver": 100.0, "sense": 20.0}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ideal wires": ({}, {}),
    "wires and tiles": ({}, {"wires": Wires(**WIRES), "tile_rows": 4, "tile_columns": 3}),
    "tiles with driver and sense resistance alone": (
        {"recentre": False},
        {"wires": Wires(driver=300.0, sense=200.0), "tile_rows": 3},
    ),
    "raw": ({"recentre": False}, {}),
    "tanh-trained, gamma above 0, rows shifted down": (
        {"hidden": "tanh", "fhn": FHN(a=1.0, gamma=0.8)},
        {"wires": Wires(word=100.0, sense=200.0), "tile_columns": 3},
    ),
    "raw, gamma above 0": (
        {"recentre": False, "fhn": FHN(a=0.6, gamma=0.8)},
        {"wires": Wires(bit=100.0)},
    ),
}


@needs_ngspice
@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_classify(case: str, tmp_path: Path) -> None:
    """Full scale: the spread of an image's scores over the classes."""
    chip = made(*CASES[case][:1], **CASES[case][1])
    expected = classify(chip, IMAGES)
    for k, image in enumerate(IMAGES):
        full, reduced = (exported(chip, image, form, tmp_path / f"{form}_{k}") for form in ("full", "reduced"))
        full_scale = np.ptp(expected.scores[k])
        # 2 % is asked for. Over 10 T, half a dozen periods, what is left of the agreement of single neurons counts.
        assert np.abs(full - expected.scores[k]).max() < 0.01 * full_scale
        assert np.abs(reduced - full).max() < 1e-3 * full_scale
        assert np.argmax(full) == np.argmax(reduced) == expected.predictions[k]


DEEP: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sigmoid, wires and tiles": ({}, {"wires": Wires(**WIRES), "tile_rows": 4}),
    "tanh behind sigmoid, gamma above 0, rows shifted both ways, raw": (
        {"hidden": ["sigmoid", "tanh"], "fhn": FHN(a=1.0, gamma=0.8), "recentre": False},
        {},
    ),
}


@needs_ngspice
@pytest.mark.parametrize("case", DEEP)
def test_two_hidden_layers(case: str, tmp_path: Path) -> None:
    """Low-passes as parts in the full form, their means in the reduced one, their equations in `classify`."""
    options, array = DEEP[case]
    rng = np.random.default_rng(2)
    sizes = (5, 3, 2, 3)
    weights = [2.0 * rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
    network = Network.of_weights(weights, [rng.normal(size=n) for n in sizes[1:]], **options)
    technology = Technology.load("discrete")
    changes = {"array": technology.array.model_copy(update=array), "low_pass": LowPass(time_constant=3.0)}
    chip = Design(network.with_options(settle=15.0, control=40.0), technology.model_copy(update=changes)).chip(1)
    expected = classify(chip, IMAGES[:1])
    full, reduced = (exported(chip, IMAGES[0], form, tmp_path / form) for form in ("full", "reduced"))
    full_scale = np.ptp(expected.scores[0])
    assert np.abs(full - expected.scores[0]).max() < 0.02 * full_scale
    assert np.abs(reduced - expected.scores[0]).max() < 0.02 * full_scale
    assert np.argmax(full) == np.argmax(reduced) == expected.predictions[0]


@needs_ngspice
@pytest.mark.parametrize("form", ["full", "reduced"])
def test_one_hidden_neuron(form: Form, tmp_path: Path) -> None:
    network = Network.of_weights((np.array([[1.0], [-2.0]]), np.array([[1.0, -1.0]]))).with_options(
        settle=2.0, control=10.0
    )
    chip = Design(network, Technology.load("discrete")).chip(1)
    image = np.array([0.9, 0.4])
    expected = classify(chip, image[np.newaxis]).scores[0]
    assert np.abs(exported(chip, image, form, tmp_path) - expected).max() < 0.01 * np.ptp(expected)


@needs_ngspice
def test_every_imperfection_is_in_the_netlists(tmp_path: Path) -> None:
    """A chip whose scores are far from the nominal ones: the netlists follow the chip, not the design."""
    chip = made(wires=Wires(word=400.0, bit=400.0), programming_error=0.2)
    nominal = made()
    scores = [classify(one, IMAGES[:1]).scores[0] for one in (chip, nominal)]
    full_scale = np.ptp(scores[0])
    assert np.abs(scores[0] - scores[1]).max() > 0.1 * full_scale
    assert np.abs(exported(chip, IMAGES[0], "full", tmp_path) - scores[0]).max() < 0.01 * full_scale


def spoil(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


@needs_ngspice
@pytest.mark.parametrize(
    ("form", "name", "old", "new", "words"),
    [
        ("full", "chip.cir", " fhn_neuron\n", " no_neuron\n", "unknown subckt"),
        ("full", "run.cir", ".tran 5e-05 0.012", ".tran 5e-05 0.011", "the transient stopped early"),
        ("full", "chip.cir", "Vr_001 r_001 0", "Vr_001 r_000 0", "aborted"),
        ("reduced", "cell_001.cir", " tanh_pair\n", " no_pair\n", "unknown subckt"),
        ("reduced", "cell_001.cir", ".tran 5e-05 0.012", ".tran 5e-05 0.011", "the transient stopped early"),
        ("reduced", "run.cir", "source cell_001.cir", "source cell_002.cir", "No such file"),
        ("reduced", "output.cir", "score_2 vcc", "score_3 vcc", "score_2"),
    ],
)
def test_failed_runs_have_no_scores(form: Form, name: str, old: str, new: str, words: str, tmp_path: Path) -> None:
    export(made(), IMAGES[0], tmp_path, {}, form=form)
    spoil(tmp_path, name, old, new)
    (tmp_path / "scores.txt").write_text("0 1\n1 2\n2 3\n")
    with pytest.raises(SimulationError, match=words):
        run_exported(tmp_path)


def test_a_folder_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        run_exported(tmp_path)


def test_absent_ngspice_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(made(), IMAGES[0], tmp_path, {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgramError, match="ngspice is not installed"):
        run_exported(tmp_path)


@needs_ngspice
def test_a_run_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    export(made(), IMAGES[0], tmp_path, {})
    with pytest.raises(SimulationError, match=r"within 0\.01 s"):
        run_exported(tmp_path, timeout=0.01)


# --- whole networks -------------------------------------------------------------------------------------------


@cache
def digits(*hidden: int) -> tuple[Network, Dataset]:
    """Hidden layers of these sizes, trained on the digits of scikit-learn by scikit-learn."""
    train, test = load("digits", "train"), load("digits", "test")
    fitted = MLPClassifier(hidden, activation="logistic", alpha=1e-3, max_iter=1000, random_state=0)
    fitted.fit(train.images, train.labels)
    network = Network.of_weights(tuple(fitted.coefs_), tuple(fitted.intercepts_))
    assert network.accuracy(test.images, test.labels) > 0.9
    return network, test


@pytest.mark.slow
@needs_ngspice
@pytest.mark.parametrize(("hidden", "settle", "control"), [((16,), 10.0, 30.0), ((16, 12), 20.0, 40.0)])
def test_digits_run_whole(hidden: tuple[int, ...], settle: float, control: float, tmp_path: Path) -> None:
    """Twenty images through every component of a mismatched chip in one circuit, low-passes of 3 T as parts."""
    network, test = digits(*hidden)
    technology = Technology.load("discrete").with_values({"low_pass.time_constant": 3.0})
    chip = Design(network.with_options(settle=settle, control=control), technology).chip(1)
    images = test.images[:20].astype(np.float64)
    expected = classify(chip, images)
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(exported, chip, image, "full", tmp_path / f"{k}") for k, image in enumerate(images)]
        found = np.array([run.result() for run in runs])
    seconds = time.perf_counter() - start
    # Of an image's scores over the classes: the smallest that there could be a question about.
    full_scale = np.ptp(expected.scores, axis=1)
    deviation = np.abs(found - expected.scores).max(axis=1) / full_scale
    same = np.count_nonzero(found.argmax(axis=1) == expected.predictions)
    right = np.count_nonzero(found.argmax(axis=1) == test.labels[:20])
    print(
        f"{network.layer_sizes}, full form, {settle + control:g} T: {same} of 20 images in the same class "
        f"as direct ({right} right), scores off by {deviation.max():.2%} of full scale at most, "
        f"{deviation.mean():.2%} on average; {seconds:.0f} s in all"
    )
    assert same == 20
    assert deviation.max() < 0.02


@pytest.mark.slow
@needs_ngspice
def test_mnist_size_runs_cell_by_cell(tmp_path: Path) -> None:
    """784-100-10 after one epoch of training, at the full protocol of 300 T."""
    train, test = (load("mnist", split) for split in ("train", "test"))
    network = train_plain(train, epochs=1).network((0.0, 1.0))
    assert network.layer_sizes == (784, 100, 10)
    chip = Design(network, Technology.load("discrete")).chip(1)
    image = test.images[:1].astype(np.float64)
    expected = classify(chip, image)
    names = export(chip, image[0], tmp_path, {})
    assert "chip.cir" not in names, "reduced without being told"
    start = time.perf_counter()
    found = run_exported(tmp_path)
    seconds = time.perf_counter() - start
    deviation = np.abs(found - expected.scores[0]).max() / np.ptp(expected.scores[0])
    print(f"784-100-10, reduced form, 300 T: scores off by {deviation:.2%} of full scale; {seconds:.0f} s")
    assert np.argmax(found) == expected.predictions[0]
    assert deviation < 0.02
