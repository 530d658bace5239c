"""`analog-fhn reproduce`: the paper's figures and tables, beside what this package computes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from analog_fhn.cli import common
from analog_fhn.errors import InputError


def reproduce(
    what: Annotated[Literal["figure2", "figure3", "figure4", "table1"], typer.Argument(help="What to make again.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for CSV and pictures.")],
    network: Annotated[
        Path | None, typer.Option("--network", metavar="NETWORK.npz", help="Default: trained on the spot, and saved.")
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Data set.")] = "mnist",
    split: common.SplitOption = "test",
    images: common.ImagesOption = None,
    gammas: Annotated[str | None, typer.Option("--gammas", help="Comma-separated list for figure4.")] = None,
    curve: Annotated[
        Path | None, typer.Option("--curve", metavar="figure4.csv", help="For table1: default OUTPUT/figure4.csv.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="File name of figure4's output.")] = "figure4",
    gamma: common.GammaOption = None,
    a: common.AOption = None,
    eps: common.EpsOption = None,
    slope: common.SlopeOption = None,
    settle: common.SettleOption = None,
    control: common.ControlOption = None,
    data: common.DataOption = None,
    seed: common.SeedOption = 0,
    json: common.JsonOption = None,
) -> None:
    """Make a figure or table of the paper again, with the paper's protocol unless an option says otherwise."""
    from analog_fhn.neuron import FHN
    from analog_fhn.report import paper

    start = time.perf_counter()
    folder = common.output_folder(output)
    content: dict[str, Any] = {}
    if what == "figure2":
        fhn = FHN(**{k: v for k, v in {"a": a, "eps": eps}.items() if v is not None})
        paths = paper.figure2(folder, fhn)
    else:
        if Path(name).name != name or not name:
            raise InputError(f"--name {name!r}: expected a file name without folders")
        source = network or _trained(folder / "network.npz", dataset, data, seed, json)
        net = common.load_network(
            source, protocol="paper", gamma=gamma, a=a, eps=eps, slope=slope, settle=settle, control=control
        )
        chosen = common.load_images(dataset, split, data, images, net)
        with common.progress_bar(what) as bar:
            if what == "figure3":
                paths = paper.figure3(folder, net, chosen)
            elif what == "figure4":
                values = paper.GAMMAS if gammas is None else common.numbers("--gammas", gammas)
                paths = paper.figure4(folder, net, chosen, values, name, bar)
            else:
                known = paper.read_curve(curve or folder / "figure4.csv")
                train = common.load_images(dataset, "train", data, None, net)
                paths, agreement = paper.table1(folder, net, train, chosen, known, bar)
                content["agreement"] = agreement
                for key, found in agreement.items():
                    correlation = paper.correlation_text(found["correlation"])
                    common.say(
                        f"{key:11} gamma {found['gamma']:7.3f}: {found['accuracy']:5.1f} % (paper "
                        f"{found['published']:.1f} %), per digit r = {correlation}, "
                        f"rms difference {found['rms_difference']:.1f} points",
                        json,
                    )
        content["settings"] = common.settings(net, None) | {"dataset": dataset, "split": split}
    common.say("written: " + ", ".join(str(path) for path in paths), json)
    common.write_json(json, f"reproduce {what}", seed, start, content | {"files": [str(path) for path in paths]})


def _trained(path: Path, dataset: str, data: Path | None, seed: int, json: str | None) -> Path:
    """Train the plain network with default settings, once."""
    from analog_fhn.datasets import load
    from analog_fhn.training.plain import train_plain

    if not path.exists():
        training = load(dataset, "train", data)
        train_plain(training, seed=seed).network(training.scale).save(path)
        common.say(f"trained a network: {path}", json)
    return path
