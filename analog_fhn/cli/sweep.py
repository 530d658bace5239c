"""`analog-fhn sweep`: many chips of one design."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from analog_fhn.cli import common


def sweep(
    plan: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="What to sweep.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Run folder: trials.csv, histogram.png.")
    ],
    data: common.DataOption = None,
    json: common.JsonOption = None,
) -> None:
    """Draw chips, classify with each, report the spread of the accuracy and the yield."""
    from analog_fhn import plots
    from analog_fhn.circuit.design import Design
    from analog_fhn.circuit.technology import Technology
    from analog_fhn.montecarlo.plan import Sweep
    from analog_fhn.montecarlo.runner import run_chips, summary

    start = time.perf_counter()
    wanted = Sweep.load(plan)
    network = common.load_network(Path(wanted.network), readout=wanted.readout, gamma=wanted.gamma)
    design = Design(network, Technology.load(wanted.technology))
    chosen = common.load_images(wanted.dataset, wanted.split, data, wanted.images, network)
    folder = common.output_folder(output)
    plain = network.accuracy(chosen.images, chosen.labels)
    specification = plain - 0.005 if wanted.specification is None else wanted.specification
    with common.progress_bar("chips") as bar:
        trials = run_chips(
            design,
            chosen.images,
            chosen.labels,
            wanted.chips,
            wanted.seed,
            backend=wanted.backend,
            table=folder / "trials.csv",
            progress=bar,
        )
    result = summary(trials, specification)
    accuracies = [t.accuracy for t in trials if t.accuracy is not None]
    if accuracies:
        title = f"{len(accuracies)} chips, technology {design.technology.name}"
        plots.save(plots.histogram(accuracies, specification, plain, title), folder / "histogram.png")
        common.say(
            f"{result['n_trials']} chips: median {common.percent(float(result['median_accuracy'] or 0))}, "
            f"worst {common.percent(min(accuracies))}, plain network {common.percent(plain)}; yield at "
            f"{common.percent(specification)}: {100 * float(result['yield'] or 0):.1f} % "
            f"(95 % interval {100 * float(result['yield_low'] or 0):.1f} to "
            f"{100 * float(result['yield_high'] or 0):.1f} %)",
            json,
        )
    for trial in trials:
        if trial.status != "done":
            common.say(f"chip {trial.chip_seed} failed: {trial.message}", json)
    common.say(f"written: {folder / 'trials.csv'}, {folder / 'histogram.png'}", json)
    content = result | {
        "accuracy_plain": plain,
        "n_images": len(chosen.labels),
        # What the plan leaves open (readout: null) stands in the settings as it was used.
        "settings": wanted.model_dump() | common.settings(network, None, technology=design.technology),
    }
    common.write_json(json, "sweep", wanted.seed, start, content)
    if not accuracies:
        from analog_fhn.backends.base import SimulationError

        raise SimulationError("every chip of the sweep failed; see trials.csv")
