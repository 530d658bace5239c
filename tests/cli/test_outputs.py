"""Every command whose outputs cannot be written: old files stay, one message says so, results are kept elsewhere."""

from __future__ import annotations

import errno
import json
import os
import resource
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import run
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from analog_fhn import weights
from analog_fhn.backends.spice import backend as spice
from analog_fhn.cli import train
from analog_fhn.data import load
from analog_fhn.montecarlo import allocation
from analog_fhn.network import Network

OLD = b"what was there before"
KINDS = ("row_driver", "tanh_pair", "multiplier", "fhn_neuron", "opamp", "transimpedance")
CHIP = [*(f"{kind}.lib" for kind in KINDS), "bom.csv", "conductances_0.csv", "conductances_1.csv", "manifest.json"]
REDUCED = [*CHIP, "run.cir", "output.cir", "cell_000.cir", "cell_001.cir"]

# Command -> its outputs; {disk}: where nothing can be written, {here}: the inputs.
COMMANDS = {
    "train --dataset digits --hidden 2 --epochs 1 -o {disk}/net.npz": ["net.npz"],
    "import {here}/net.safetensors -o {disk}/imported.npz": ["imported.npz"],
    "classify {here}/net.npz --dataset digits --images 3 --predictions {disk}/p.csv": ["p.csv"],
    "record --source fhn --duration 0.002 -o {disk}/fhn.csv": ["fhn.csv"],
    "compare {here}/net.npz --dataset digits --images 3 --noise-images 0 --brian-images 0 --spice-images 0 -o {disk}": [
        "compare.csv",
        "waterfall.png",
    ],
    "arrays {here}/net.npz --technology memristive -o {disk}": [
        "arrays.csv",
        "conductances.png",
        "line_losses.png",
        "weights.png",
    ],
    "frontier {here}/net.npz --dataset digits --images 2 --gammas -1 -o {disk}": ["frontier.csv", "frontier.png"],
    "reproduce figure2 -o {disk}": ["figure2.csv", "figure2.png"],
    "reproduce figure4 --network {here}/net.npz --dataset digits --images 2 --gammas -1,1 --control 5 -o {disk}": [
        "figure4.csv",
        "figure4.png",
        "figure4_digits.png",
    ],
    "trim {here}/net.npz --chip 1 --dataset digits --steps trim --labelled 10 --held-out 10 --table 5 -o {disk}": [
        "steps.csv",
        "summary.json",
        "codes.csv",
        "trim.npz",
        "accuracy.png",
        *REDUCED,
    ],
    "design -o {disk}": ["neuron_parts.csv"],
    "allocate {here}/plan.yaml --workers 1 -o {disk}": ["bom.csv", "technology.yaml", "trials.csv"],
    "export {here}/net.npz --form reduced --weights {disk}/chip.keras -o {disk}": ["chip.keras", *REDUCED],
    "export {here}/net.npz --form neurons --weights {disk}/chip.weights.h5 -o {disk}": [
        "chip.weights.h5",
        *CHIP,
        "neuron_000.cir",
        "neuron_001.cir",
    ],
}
FOUND = {
    "chosen": {"classes": {"resistor": "5 % 200 ppm/K"}, "cost": 1.0},
    "present": {"classes": {"resistor": "1 % 50 ppm/K"}, "cost": 2.0},
    "confirmation": {"n_trials": 1, "yield": 1.0, "yield_low": 0.0, "yield_high": 1.0},
    "steps": [],
    "unpriced": [],
}


def two_neurons() -> Network:
    """A network that is right on more digits than guessing is: two discriminants, and what they tell."""
    digits = load("digits", "train")
    discriminants = LinearDiscriminantAnalysis(n_components=2).fit(digits.images, digits.labels)
    w0 = 0.5 * discriminants.scalings_[:, :2]
    b0 = -digits.images.mean(axis=0) @ w0
    hidden = 1.0 / (1.0 + np.exp(-(digits.images @ w0 + b0)))
    readout = LogisticRegression(C=100.0).fit(hidden, digits.labels)
    return Network.of_weights((w0, readout.coef_.T.copy()), (b0, readout.intercept_))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of the commands."""
    folder = tmp_path_factory.mktemp("inputs")
    network = two_neurons()
    network.save(folder / "net.npz")
    weights.write(folder / "net.safetensors", network.weights, network.biases)
    plan = {"network": "net.npz", "technology": "discrete", "chips": 1, "images": 5, "dataset": "digits", "seed": 4}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan | {"allocation": {"yield": 0.5}}))
    return folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of outputs; other files are kept beside it. Work that takes long is replaced by its result."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "shelter").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "shelter"))
    monkeypatch.setattr(spice, "cell_power", lambda cells, z, protocol: np.ones(len(cells)))
    monkeypatch.setattr(train, "_ann", trained_at_once)
    return tmp_path / "disk"


def trained_at_once(training: Any, test: Any, *_: object) -> Any:
    network = Network.of_weights((np.ones((64, 2)), np.ones((2, 10))))
    done = SimpleNamespace(network=lambda scale: network, history={"accuracy": [0.5]}, settings={})
    return SimpleNamespace(trained=done, predictions=np.zeros(len(test.labels), dtype=int), what="plain", how="at once")


def full(disk: Path) -> Callable[[int], None]:
    """`os.fsync` as it is on a full disk with delayed allocation."""
    true = os.fsync

    def fsync(descriptor: int) -> None:
        if disk in Path(f"/proc/self/fd/{descriptor}").readlink().parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(descriptor)

    return fsync


def started(command: str, here: Path, disk: Path) -> tuple[int, str, str]:
    """Run a command whose outputs are there from before, with one more in JSON."""
    for name in [*COMMANDS[command], "result.json"]:
        (disk / name).write_bytes(OLD)
    arguments = [word.format(disk=disk, here=here) for word in command.split()]
    return run(*arguments, "--json", disk / "result.json")


def one_message(err: str) -> str:
    """The message that ends standard error, the only one about files."""
    *before, last = err.splitlines()
    assert last.startswith("analog-fhn: ")
    assert not any("cannot be written" in line or "Traceback" in line for line in before)
    return last


@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_full_disk_old_files_stay_and_results_are_kept(
    command: str, here: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.startswith("allocate"):  # the disk is full when the search ends: a run folder is written at its start
        monkeypatch.setattr(allocation, "allocate", lambda *_: monkeypatch.setattr(os, "fsync", full(disk)) or FOUND)
    else:
        monkeypatch.setattr(os, "fsync", full(disk))
    status, out, err = started(command, here, disk)
    assert status == 1, err
    assert "No space left on device" in one_message(err)
    assert len(one_message(err)) < 1500
    assert "written" not in out
    assert "saved as" not in out
    names = [*COMMANDS[command], "result.json"]
    assert {name: (disk / name).read_bytes() for name in names} == dict.fromkeys(names, OLD)
    (shelter,) = (disk.parent / "shelter").iterdir()
    assert str(shelter) in err
    assert sorted(path.name for path in shelter.iterdir()) == sorted(names)
    assert all(path.read_bytes() not in (b"", OLD) for path in shelter.iterdir())
    assert "command" in json.loads((shelter / "result.json").read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_read_only_is_refused_before_the_work(
    command: str, here: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.access
    # root may write wherever the disk is not read-only
    monkeypatch.setattr(os, "access", lambda path, mode: true(path, mode) and not (mode & os.W_OK and path == disk))
    monkeypatch.setattr(os, "fsync", full(disk))
    status, out, err = started(command, here, disk)
    assert (status, out) == (2, "")
    assert f"{disk}: cannot be written to" in one_message(err)
    assert not list((disk.parent / "shelter").iterdir())


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("allocate")])
def test_a_place_below_a_file_is_refused_before_the_work(command: str, here: Path, disk: Path) -> None:
    (disk / "file").write_bytes(OLD)
    arguments = [word.format(disk=disk / "file" / "below", here=here) for word in command.split()]
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert f"{disk / 'file' / 'below'}: cannot be used as a folder (Not a directory)" in one_message(err)
    assert (disk / "file").read_bytes() == OLD


def test_without_room_anywhere_the_result_still_comes_on_standard_output(
    here: Path, disk: Path, tmp_path: Path
) -> None:
    (disk / "net.npz").write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        status, out, err = run("train", "--dataset", "digits", "-o", disk / "net.npz", "--json", "-")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    assert json.loads(out)["accuracy"] == pytest.approx(0.1, abs=0.02)
    assert one_message(err) == (
        f"analog-fhn: {disk / 'net.npz'}: cannot be written (File too large), the file that was there is as it was"
    )
    assert (disk / "net.npz").read_bytes() == OLD
    assert not list((tmp_path / "shelter").iterdir())


def test_tables_in_a_folder_that_is_read_only_are_used(here: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["classify", here / "net.npz", "--dataset", "digits", "--images", 3, "--table", 5, "--tables", disk]
    assert run(*command)[0] == 0
    (table,) = disk.iterdir()
    before = table.read_bytes()
    true = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: true(path, mode) and not (mode & os.W_OK and path == disk))
    assert run(*command)[0] == 0
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("export {here}/net.npz --form neurons -o", "Try: "),
        (
            "trim {here}/net.npz --chip 1 --dataset digits --steps trim --labelled 10 --held-out 10 --table 5 -o",
            "Try: ",
        ),
    ],
)
def test_paths_in_suggested_commands_are_quoted(command: str, start: str, here: Path, disk: Path) -> None:
    folder = disk / "it's; echo $HOME"
    status, out, _ = run(*(word.format(here=here) for word in command.split()), folder)
    assert status == 0
    words = shlex.split(out.partition(start)[2])
    assert {str(folder), str(folder / "trim.npz")} & set(words)
