"""The same state elsewhere: as a command line with its files, and as lines of Python."""

from __future__ import annotations

import json
from shlex import quote
from typing import Any

from analog_fhn._support.yaml_files import yaml_text
from analog_fhn.bench.answers.yields import SEED
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State

FILE = "technology.yaml"
SWEEP = "sweep.yaml"
# Values of a technology that the command line has options for.
_OPTIONS = {"conditions.temperature": "--temperature", "conditions.supply": "--supply"}
_OPTION_NAMES = {"gamma": "--gamma", "a": "--a", "eps": "--eps", "slope": "--slope", "settle": "--settle",
                 "control": "--control", "readout": "--readout"}  # fmt: skip


def commands(bench: Bench, state: State) -> dict[str, Any]:
    """What gives the same result as the page: a link's content, commands with their files, lines of Python."""
    return {
        "state": state.changed,
        "command": _classify(bench, state),
        "file": FILE if _in_file(state) else None,
        "technology": _technology_text(bench, state) if _in_file(state) else None,
        "python": _python(bench, state),
        "sweep": f"analog-fhn sweep {SWEEP} -o run",
        "sweep_file": _sweep_text(bench, state),
    }


def _in_file(state: State) -> dict[str, Any]:
    """Values that only a technology's file can say."""
    return {key: value for key, value in state.values.items() if key not in _OPTIONS}


def _technology_text(bench: Bench, state: State) -> str:
    technology = bench.technology(state.model_copy(update={"values": _in_file(state)}))
    return yaml_text(technology.model_dump())


def _classify(bench: Bench, state: State) -> str:
    network = str(bench.names["network"])
    network = f"./{network}" if network.startswith("-") else network  # no option
    words = ["analog-fhn classify", quote(network), "--dataset", quote(str(bench.names["dataset"]))]
    if bench.names["data"] is not None:
        words += ["--data", quote(str(bench.names["data"]))]
    words += ["--technology", FILE if _in_file(state) else state.technology]
    if state.chip is not None:
        words += ["--chip", str(state.chip)]
    for key, value in state.options.items():
        words += [_OPTION_NAMES[key], f"{value}"]
    for key, value in state.values.items():
        if key in _OPTIONS:
            words += [_OPTIONS[key], f"{value}"]
    words += ["--table", str(bench.drives(state)), "--images", str(bench.n_images(state))]
    return " ".join(words)


def _python(bench: Bench, state: State) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in state.options.items())
    network = f"af.load_network({bench.names['network']!r})" + (f".with_options({options})" if options else "")
    technology = f"af.Technology.load({state.technology!r})"
    if state.values:
        technology += f".with_values({state.values!r})"
    data = "" if bench.names["data"] is None else f", {bench.names['data']!r}"
    return "\n".join(
        [
            "import analog_fhn as af",
            "",
            f"network = {network}",
            f"technology = {technology}",
            f"images = af.load_data({bench.names['dataset']!r}, 'test'{data}).head({bench.n_images(state)})",
            f"chip = af.Design(network, technology).chip({state.chip!r})",
            f"result = af.classify(chip, images.images, table={bench.drives(state)})",
            "print(result.accuracy(images.labels))",
        ]
    )


def _sweep_text(bench: Bench, state: State) -> str:
    """The yield run as a sweep file; the number of chips and the specification are the page's to fill in."""
    settings = json.loads(json.dumps(state.options | state.values))
    plan: dict[str, Any] = {
        "network": str(bench.names["network"]), "technology": state.technology,
        "dataset": str(bench.names["dataset"]), "images": bench.n_images(state), "seed": SEED,
    }  # fmt: skip
    return yaml_text(plan | ({"settings": settings} if settings else {}))
