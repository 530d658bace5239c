"""Ctrl-C at the real process, once its progress is seen: what is done is kept, a message says so, the status is 130."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import analog_fhn as af

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "net.npz"
    train = af.load_data("digits", "train")
    first = np.random.default_rng(0).normal(size=(64, 12)) / 2.0
    hidden = 1.0 / (1.0 + np.exp(-train.images @ first))
    second, *_ = np.linalg.lstsq(hidden, np.eye(10)[train.labels], rcond=None)
    af.Network.of_weights([first, second], input_range=train.scale).save(path)
    return path


def interrupted(command: Sequence[object], when: str, folder: Path) -> tuple[int, str, str]:
    """Status, standard output and what the terminal shows of a command that gets Ctrl-C once it shows `when`."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "analog_fhn", *map(str, command)],
        stdout=subprocess.PIPE, stderr=other_end, cwd=folder, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(other_end)
    shown, sent, deadline = "", False, time.monotonic() + 100
    try:
        while True:
            assert select.select([terminal], [], [], 60)[0], shown
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # Linux says so of a terminal whose other end is closed
                break
            assert time.monotonic() < deadline, shown[-2000:]
            if not sent and re.search(when, shown):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to its children too
                sent = True
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(terminal)
    assert sent, shown
    return process.returncode, out, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def test_training_keeps_the_last_whole_epoch(tmp_path: Path) -> None:
    command = (
        "train",
        "--dataset",
        "digits",
        "--hidden",
        "8",
        "--epochs",
        "50000",
        "-o",
        "net.npz",
        "--json",
        "net.json",
    )
    status, out, shown = interrupted(command, r"training: loss", tmp_path)
    assert status == 130
    assert "of the training images" in out
    told = json.loads((tmp_path / "net.json").read_text())
    done = len(told["history"]["loss"])
    assert 1 <= done < 50000
    assert f"interrupted: the network is as it was after epoch {done} of 50000" in " ".join(shown.split())
    network = af.load_network(tmp_path / "net.npz")
    assert network.provenance["trained"]["interrupted_after"] == done
    test = af.load_data("digits", "test")
    assert network.accuracy(test.images, test.labels) == told["accuracy"]


def test_classification_keeps_the_images_that_are_judged(network: Path, tmp_path: Path) -> None:
    command = (
        "classify", network, "--dataset", "digits", "--backend", "spice", "--settle", "0", "--control", "5",
        "--predictions", "p.csv", "--json", "p.json",
    )  # fmt: skip
    status, _, shown = interrupted(command, r"images .* (1[7-9]|[2-9]\d)/500", tmp_path)  # 16 are run together
    assert status == 130
    told = json.loads((tmp_path / "p.json").read_text())
    judged = told["n_images"]
    assert 16 <= judged < 500
    assert f"of 500 images the first {judged} are judged" in " ".join(shown.split())
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    test = af.load_data("digits", "test")
    alone = af.load_network(network).with_options(settle=0.0, control=5.0)
    chip = af.Design(alone, "discrete").chip(None)
    first = af.classify(chip, test.images[:16], backend="spice")
    assert [int(row["prediction"]) for row in rows[:16]] == first.predictions.tolist()
    right = [row["prediction"] == row["label"] for row in rows]
    assert (len(rows), told["accuracy"]) == (judged, sum(right) / judged)


def test_comparison_keeps_the_stages_that_are_done(network: Path, tmp_path: Path) -> None:
    command = (
        "compare", network, "--dataset", "digits", "--images", "20", "--brian-images", "0", "--noise-images", "0",
        "--spice-images", "20", "-o", "out", "--json", "out.json",
    )  # fmt: skip
    status, out, _ = interrupted(command, r"stages .*7/8", tmp_path)  # the last stage, in ngspice
    assert status == 130
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["left_out"] == {"same chip in ngspice": "interrupted"}
    assert told["stages"][-1]["name"].startswith("mismatched")
    with (tmp_path / "out" / "compare.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 20
    assert (tmp_path / "out" / "waterfall.png").exists()
    assert "mismatched" in out


def test_the_same_command_goes_on_with_corners(network: Path, tmp_path: Path) -> None:
    command = (
        "corners", network, "--dataset", "digits", "--images", "100", "--temperatures", "280,300,320", "--supplies",
        "1,1.02", "--chips", "10", "--specification", "0.2", "--workers", "1", "-o", "out",
    )  # fmt: skip
    status, _, _ = interrupted(command, r"chips .*[1-9]\d*/60", tmp_path)
    assert status == 130
    with sqlite3.connect(tmp_path / "out" / "results.sqlite") as store:
        before = set(store.execute("select point, trial, seconds from trials"))
    assert 0 < len(before) < 60
    subprocess.run(
        [sys.executable, "-m", "analog_fhn", *map(str, command)], check=True, cwd=tmp_path, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    with sqlite3.connect(tmp_path / "out" / "results.sqlite") as store:
        after = set(store.execute("select point, trial, seconds from trials"))
    assert len(after) == 60
    assert before < after


def test_an_interrupt_before_anything_is_done_leaves_no_file(network: Path, tmp_path: Path) -> None:
    command = ("classify", network, "--dataset", "digits", "--backend", "spice", "--predictions", "p.csv")
    begin = time.monotonic()
    status, out, shown = interrupted(command, r"images", tmp_path)
    assert (status, out) == (130, "")
    assert "interrupted; what was written before is kept" in shown
    assert not list(tmp_path.iterdir())
    assert time.monotonic() - begin < 30
