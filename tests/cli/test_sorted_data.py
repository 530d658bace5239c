"""Data sets sorted by class: no command takes the first images, all of one class, for the whole without a word."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import run

from analog_fhn.data import load
from analog_fhn.network import Network

TOLD = "the first 40 of 500 images are all of class 0, whose share would be 4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of the test split, sorted by class, and a network that answers 0 and 1 for everything."""
    folder = tmp_path_factory.mktemp("sorted")
    test = load("digits", "test")
    order = np.argsort(test.labels, kind="stable")
    np.savez(folder / "sorted.npz", images=test.images[order], labels=test.labels[order])
    network = two_classes()
    network.save(folder / "net.npz")
    return folder


def two_classes() -> Network:
    """Tells 0 from 1, by least squares, and knows no other digit."""
    train = load("digits", "train")
    rng = np.random.default_rng(0)
    first = rng.normal(scale=0.5, size=(64, 12))
    few = train.labels < 2
    hidden = 1.0 / (1.0 + np.exp(-train.images[few].astype(float) @ first))
    wanted = np.where(np.arange(10) < 2, np.eye(10)[train.labels[few]], -2.0)
    second = np.linalg.lstsq(hidden, wanted, rcond=None)[0]
    return Network.of_weights((first, second))


def good(*arguments: object) -> tuple[Any, str]:
    status, out, err = run(*arguments, "--json", "-")
    assert status == 0, err
    return json.loads(out), err


def refused(*arguments: object) -> str:
    status, out, err = run(*arguments)
    assert (status, out) == (2, ""), err
    return err.splitlines()[-1]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def plan(folder: Path, **changes: Any) -> Path:
    content = {"network": "net.npz", "technology": "discrete", "dataset": "sorted.npz", "chips": 2, "seed": 5} | changes
    (folder / "plan.yaml").write_text(yaml.safe_dump(content))
    return folder / "plan.yaml"


# Without a word the first 40 images gave 100 % of a network that finds 20 % of the digits, and a yield of 100 %.


def test_classify_says_that_the_first_images_are_of_one_class(folder: Path) -> None:
    found, said = good("classify", folder / "net.npz", "--dataset", folder / "sorted.npz", "--images", 40)
    assert found["accuracy_plain"] == 1.0
    assert f"analog-fhn: warning: --images 40: {TOLD}" in said
    assert "--stratified gives each class its share" in said


def test_stratified_images_judge_as_all_do(folder: Path, tmp_path: Path) -> None:
    ask = ("classify", folder / "net.npz", "--dataset", folder / "sorted.npz")
    few, said = good(*ask, "--images", 40, "--stratified", "--predictions", tmp_path / "out.csv")
    assert "warning" not in said
    assert few["accuracy_plain"] == pytest.approx(good(*ask)[0]["accuracy_plain"], abs=0.05)
    assert (few["settings"]["stratified"], few["settings"]["images_seed"]) == (True, 0)
    rows = table(tmp_path / "out.csv")
    labels = np.load(folder / "sorted.npz")["labels"]
    assert [int(row["label"]) for row in rows] == [labels[int(row["image"])] for row in rows]
    assert set(np.bincount([int(row["label"]) for row in rows])) <= {3, 4, 5}


def test_a_seed_of_images_that_are_not_drawn_is_refused(folder: Path) -> None:
    said = refused("classify", folder / "net.npz", "--dataset", folder / "sorted.npz", "--images-seed", 1)
    assert said == "analog-fhn: --images-seed 1: no images are drawn without --stratified"


def test_stages_of_compare_that_see_some_of_the_images_say_so(folder: Path) -> None:
    _, said = good(
        "compare", folder / "net.npz", "--dataset", folder / "sorted.npz", "--noise-images", 40, "--brian-images", 0,
        "--spice-images", 0, "--settle", 1, "--control", 1,
    )  # fmt: skip
    assert f"warning: --noise-images 40: {TOLD}" in said


@pytest.mark.parametrize("command", ["sweep", "allocate"])
def test_sweep_refuses_first_images_of_one_class(folder: Path, command: str) -> None:
    said = refused(command, plan(folder, images=40), "-o", folder / command)
    assert f"images: 40: {TOLD}; expected each class in its share (stratified: true draws it so)" in said


def test_stratified_sweep_is_repeated_by_its_own_command(folder: Path) -> None:
    found, _ = good(
        "sweep", plan(folder, images=60, stratified=True, specification=0.15), "-o", folder / "run", "--workers", 1
    )
    assert found["accuracy_plain"] == pytest.approx(0.2, abs=0.02)
    row = table(folder / "run" / "trials.csv")[0]
    again, _ = good(
        "classify", folder / "net.npz", "--dataset", folder / "sorted.npz", "--images", 60, "--stratified",
        "--images-seed", 5, "--technology", folder / "run" / "technologies" / "point_000.yaml", "--chip",
        row["chip_seed"], "--table", 9,
    )  # fmt: skip
    assert again["accuracy"] == float(row["accuracy"])


def test_train_refuses_first_images_of_few_classes(folder: Path, tmp_path: Path) -> None:
    said = refused("train", "--dataset", folder / "sorted.npz", "--images", 80, "-o", tmp_path / "net.npz")
    assert "--images 80: the first 80 of" in said
    assert "--stratified" in said
    assert not (tmp_path / "net.npz").exists()


def test_images_all_of_one_class_are_no_training(tmp_path: Path) -> None:
    np.savez(tmp_path / "ones.npz", images=np.random.default_rng(0).random((40, 6)), labels=np.full(40, 3))
    said = refused("train", "--dataset", tmp_path / "ones.npz", "-o", tmp_path / "net.npz")
    assert "all 32 training images are of class 3; expected at least two classes" in said


def test_labels_that_are_identifiers_are_no_classes(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 60_000, 40)
    np.savez(tmp_path / "ids.npz", **{f"{split}_{k}": v for split in ("train", "test")
                                      for k, v in (("images", np.eye(40)), ("labels", labels))})  # fmt: skip
    said = refused("train", "--dataset", tmp_path / "ids.npz", "-o", tmp_path / "net.npz")
    assert "of 40 training images; expected classes numbered 0, 1, ..." in said


def test_a_class_that_has_no_image_is_told(folder: Path, tmp_path: Path) -> None:
    whole = np.load(folder / "sorted.npz")
    other = whole["labels"] != 4
    np.savez(tmp_path / "lacks.npz", images=whole["images"][other], labels=whole["labels"][other])
    _, said = good("classify", folder / "net.npz", "--dataset", tmp_path / "lacks.npz")
    assert "no test image is of class 4, of the classes 0 to 9" in said


def test_a_class_that_the_first_images_of_a_mixed_set_lack_is_told(folder: Path) -> None:
    """As chance has it: no warning."""
    ask = ("classify", folder / "net.npz", "--dataset", "digits", "--settle", 1, "--control", 1)
    _, said = good(*ask, "--images", 18)
    assert said.splitlines()[0] == "analog-fhn: note: --images 18: no image is of class 4"
    assert "no image" not in good(*ask, "--images", 9)[1]  # so few cannot be of all classes


# --- a promise on a chip needs a network that knows more than one answer --------------------------------------


@pytest.mark.parametrize("command", ["sweep", "allocate"])
def test_a_specification_that_one_answer_meets_is_refused(folder: Path, command: str) -> None:
    said = refused(command, plan(folder, specification=0.1), "-o", folder / command)
    assert "specification = 0.1: a chip that always answers 3 is right on 10.20% of the images; expected more" in said


@pytest.fixture(scope="module")
def wrong(folder: Path) -> Path:
    """The network answers none of these images as their labels say."""
    network, whole = Network.load(folder / "net.npz"), np.load(folder / "sorted.npz")
    answers = network.forward(whole["images"]).argmax(axis=1)
    np.savez(folder / "wrong.npz", images=whole["images"], labels=(answers + 1 + np.arange(500) % 9) % 10)
    return folder / "wrong.npz"


def test_sweep_refuses_a_network_that_is_wrong_on_all_images(folder: Path, wrong: Path) -> None:
    said = refused("sweep", plan(folder, dataset=str(wrong)), "-o", folder / "wrong")
    assert "the plain network is right on 0.00% of the 500 images" in said


def test_trim_refuses_a_network_that_is_wrong_on_all_held_out_images(folder: Path, wrong: Path, tmp_path: Path) -> None:
    said = refused("trim", folder / "net.npz", "--dataset", wrong, "--steps", "trim", "--labelled",
                   100, "--chip", 1, "-o", tmp_path / "out")  # fmt: skip
    assert "the plain network is right on 0.00 % of" in said
