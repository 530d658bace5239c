"""Numbers of any size in every option: work that they would make without end is refused before it begins."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import typing
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hostile
import numpy as np
import pytest
import typer
import yaml

from analog_fhn import cli
from analog_fhn._support.estimate import Work
from analog_fhn.cli import costs
from analog_fhn.data import load
from analog_fhn.errors import InputError
from analog_fhn.network import Network

NET = "net.npz"
DIGITS = ("--dataset", "digits", "--images", 500)
FHN = ("train", "--dataset", "digits", "-o", "new.npz", "--model", "fhn")
# A small call of each command; the option in question comes last.
CALLS: dict[str, tuple[Any, ...]] = {
    "classify": ("classify", NET, *DIGITS),
    "classify --table": ("classify", NET, *DIGITS, "--table", 9),
    "classify --technology": ("classify", NET, *DIGITS, "--technology", "discrete", "--noise", "intrinsic"),
    "train": ("train", "--dataset", "digits", "-o", "new.npz"),
    "train --model fhn": (*FHN, "--window"),
    "train --technology": (
        "train",
        "--dataset",
        "digits",
        "-o",
        "new.npz",
        "--model",
        "fhn",
        "--technology",
        "discrete",
    ),
    "compare": ("compare", NET, *DIGITS),
    "design": ("design",),
    "arrays": ("arrays", NET, "-o", "arrays", "--dataset", "digits", "--image", 1),
    "export": ("export", NET, "-o", "export", "--form", "reduced", "--dataset", "digits", "--image", 1),
    "frontier": ("frontier", NET, *DIGITS, "-o", "frontier"),
    "sweep": ("sweep", "sweep.yaml", "-o", "run"),
    "allocate": ("allocate", "sweep.yaml", "-o", "run"),
    "trim": ("trim", NET, "-o", "trim", "--dataset", "digits", "--labelled", 200),
    "reconstruct": ("reconstruct", "record.csv", "-o", "twin.npz"),
    "reproduce": ("reproduce", "figure3", "-o", "paper", "--network", NET, "--dataset", "digits", "--images", 5),
    "reproduce table2": ("reproduce", "table2", "-o", "paper", "--dataset", "digits", "--images", 500),
    "reproduce table1-population": ("reproduce", "table1-population", "-o", "paper", "--dataset", "digits"),
    "reproduce reconstruction": ("reproduce", "reconstruction", "-o", "paper"),
}
"""Commands not among them have no numbers, but for `record`, which counts its samples."""

# What more of makes more work; each with a value beyond any machine.
SIZES = {
    "classify": ("--settle", "--control", "--eps"),
    "classify --table": ("--table",),
    "classify --technology": ("--settle", "--control"),
    "train": ("--epochs",),
    "train --model fhn": ("--hidden", "--epochs", "--settle", "--control", "--eps"),
    "train --technology": ("--hidden", "--epochs", "--chips", "--settle", "--control"),
    "compare": ("--spice-table", "--settle", "--control"),
    "frontier": ("--settle",),
    "sweep": ("--workers",),
    "allocate": ("--workers",),
    "trim": ("--drives", "--rounds", "--epochs", "--table"),
    "reconstruct": ("--latent", "--hidden", "--polynomial", "--steps", "--restarts", "--dimension", "--updates"),
    "reproduce": ("--settle", "--control", "--eps"),
    "reproduce table2": ("--epochs",),
    "reproduce table1-population": ("--seeds", "--control"),
    "reproduce reconstruction": ("--seeds", "--duration", "--steps"),
}
TINY = {"--eps"}  # the smaller, the more


# What more of makes no more work, or at most as much as the data hold.
HARMLESS = {
    "--seed", "--chip", "--gamma", "--a", "--slope", "--temperature", "--supply", "--image", "--images", "--noise-seed",
    "--batch", "--learning-rate", "--clip-sigma", "--noise-images", "--brian-images", "--spice-images", "--loss",
    "--vacask-images",
    "--labelled", "--held-out", "--verify", "--reading-noise", "--time-unit", "--stride", "--longest", "--noise",
    "--ahead", "--volts-per-x", "--step", "--start", "--stop", "--volts-per-unit", "--seconds-per-unit", "--every",
    "--bridge", "--images-seed", "--spread", "--spread-seed",
}  # fmt: skip
# Where they are beside the point: of another call of the command, or refused there.
ELSEWHERE = {
    "classify": ("--table",), "train": ("--settle", "--control", "--eps", "--chips"), "design": ("--eps",),
    "arrays": ("--settle", "--control"), "export": ("--settle", "--control", "--cells"),
    "reproduce": ("--epochs", "--seeds", "--duration", "--steps"),
}  # fmt: skip


def numeric(command: str) -> dict[str, bool]:
    """Options of a command whose values are numbers, and whether they are whole ones."""
    (info,) = [info for info in cli.app.registered_commands if info.name == command]
    assert info.callback is not None
    found = {}
    for hint in typing.get_type_hints(info.callback, include_extras=True).values():
        kind, *marks = typing.get_args(hint) or (hint,)
        kinds = {kind, *typing.get_args(kind)}
        for mark in marks:
            if isinstance(mark, typer.models.OptionInfo) and kinds & {int, float}:
                found[next(n for n in (mark.default, *mark.param_decls) if str(n).startswith("--"))] = (
                    float not in kinds
                )
    return found


def cases() -> list[tuple[str, str, float]]:
    """Calls, options and their values: each option of each command once, and where it makes work."""
    found: list[tuple[str, str, float]] = []
    for name, (command, *_) in CALLS.items():
        options = numeric(command)
        for option in options if name == command else SIZES[name]:
            value = 10**9 if option == "--hidden" else 10**18 if options.get(option) else 1e18
            found.append((name, option, 1e-12 if option in TINY else value))
    return found


# --- the reader that the child runs ---------------------------------------------------------------------------


def call(path: Path) -> None:
    """The command line of a JSON file, up to where its work would begin."""
    arguments, changes = json.loads(path.read_text())
    before = Path.cwd()
    os.chdir(folder())
    plan = {"network": NET, "technology": "discrete", "chips": 3, "images": 5, "dataset": "digits", "seed": 3} | changes
    Path("sweep.yaml").write_text(yaml.safe_dump(plan))
    estimates = 2 if arguments[0] in ("sweep", "allocate") else 1
    try:
        with Path(os.devnull).open("w") as null, redirect_stdout(null), begun(estimates):
            cli.app([str(argument) for argument in arguments], standalone_mode=False)
    except typer.Exit:
        pass
    except Exception as error:
        if not type(error).__module__.startswith(("click", "typer")):
            raise
        raise InputError(f"usage: {error}") from None
    finally:
        os.chdir(before)


@cache
def folder() -> str:
    """Where the files lie that the calls read."""
    name = tempfile.mkdtemp(prefix="hostile-")
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    readable().save(Path(name, NET))
    times = np.arange(2000) * 0.01
    rows = np.column_stack([times, np.sin(times) + 0.3 * np.sin(5 * times)])
    np.savetxt(Path(name, "record.csv"), rows, delimiter=",", header="time (s),voltage (V)", comments="")
    return name


@cache
def readable() -> Network:
    """Reads some of the digits: random features, least squares behind them."""
    train = load("digits", "train")
    rng = np.random.default_rng(0)
    first = rng.normal(scale=0.5, size=(64, 8))
    hidden = 1.0 / (1.0 + np.exp(-train.images.astype(float) @ first))
    return Network.of_weights((first, np.linalg.lstsq(hidden, np.eye(10)[train.labels] - 0.1, rcond=None)[0]))


@contextmanager
def begun(estimates: int) -> Iterator[None]:
    """Stop the command when it has passed so many estimates."""
    check, passed = costs.check_work, []

    def checked(work: Work, *, yes: bool) -> None:
        check(work, yes=yes)
        passed.append(work)
        if len(passed) == estimates:
            raise InputError(f"would begin: {work}")

    with patch.object(costs, "check_work", checked):
        yield


# --- what comes of it -----------------------------------------------------------------------------------------


def answer(arguments: tuple[Any, ...], changes: dict[str, Any] | None = None) -> str:
    """What the command said, within seconds and without much memory; a small plan with `changes` lies beside it."""
    content = json.dumps([arguments, changes or {}]).encode()
    return hostile.check("cli.test_hostile_sizes:call", "call.json", content).text


@pytest.mark.parametrize("name", CALLS)
def test_small_work_begins(name: str) -> None:
    if name not in ("design", "arrays", "export"):
        assert "would begin" in answer(CALLS[name])


@pytest.mark.parametrize(("name", "option", "value"), cases())
def test_hostile_numbers_of_any_option_are_answered(name: str, option: str, value: float) -> None:
    said = answer((*CALLS[name], option, value))
    if option in SIZES.get(name, ()):
        assert "--yes to insist" in said
        assert f"{value:g}" in said or str(value) in said
    else:
        assert option in HARMLESS or option in ELSEWHERE.get(name, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"chips": 999999999999},
        {"table": 99999999},
        {"settings": {"control": 1e18}, "table": 0},
        {"settings": {"settle": 1e18}},
        {"allocation": {"yield": 0.9, "chips": 10**15}},
        {"allocation": {"yield": 0.9, "confirm": 10**15}},
    ],
)
def test_hostile_numbers_of_a_plan_are_answered(changes: dict[str, Any]) -> None:
    assert "--yes to insist" in answer(CALLS["sweep"], changes)


def test_who_insists_begins() -> None:
    assert "would begin" in answer((*CALLS["train"], "--hidden", 10**9, "--yes"))
